/* See image.h. */
#include "meta/image.h"

struct meta_image *meta_image_new_empty(void)
{
        struct meta_image *i = calloc(1, sizeof *i);

        if (!i)
                return NULL;
        atomic_init(&i->refs, 1);
        pmap_init(&i->topics_by_name, &meta_topics_by_name_ops);
        pmap_init(&i->topics_by_id, &meta_topics_by_id_ops);
        pmap_init(&i->brokers, &meta_brokers_ops);
        pmap_init(&i->configs, &meta_configs_ops);
        pmap_init(&i->features, &meta_features_ops);
        pmap_init(&i->acls, &meta_acls_ops);
        pmap_init(&i->acls_by_id, &meta_acls_by_id_ops);
        pmap_init(&i->credentials, &meta_credentials_ops);
        pmap_init(&i->tokens, &meta_tokens_ops);
        pmap_init(&i->tokens_by_digest, &meta_tokens_by_digest_ops);
        return i;
}

struct meta_image *meta_image_ref(struct meta_image *i)
{
        if (i)
                atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
        return i;
}

struct meta_image *meta_image_unref(struct meta_image *i)
{
        if (!i || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        pmap_fini(&i->topics_by_name);
        pmap_fini(&i->topics_by_id);
        pmap_fini(&i->brokers);
        pmap_fini(&i->configs);
        pmap_fini(&i->features);
        pmap_fini(&i->acls);
        pmap_fini(&i->acls_by_id);
        pmap_fini(&i->credentials);
        pmap_fini(&i->tokens);
        pmap_fini(&i->tokens_by_digest);
        explicit_bzero(i->decoy_seed_bytes, sizeof i->decoy_seed_bytes);
        meta_disruption_unref(i->disruption);
        free(i->cluster_id_text);
        free(i);
        return NULL;
}

int32_t meta_image_leader(const struct meta_image *i, const struct meta_partition *p)
{
        const struct meta_broker *b = p->leader < 0 ? NULL : meta_image_broker(i, p->leader);

        return b && !b->fenced ? p->leader : META_NO_NODE;
}

bool meta_image_broker_is_live(const struct meta_image *i, int32_t id)
{
        const struct meta_broker *b = meta_image_broker(i, id);

        return b && !b->fenced && !b->in_shutdown;
}

/* ---- comparison ---- */

static bool partition_equal(const struct meta_partition *a, const struct meta_partition *b)
{
        size_t ids = (size_t)a->replicas_count + a->isr_count + a->elr_count + a->last_known_elr_count +
                     a->adding_count + a->removing_count;

        return a->index == b->index && a->leader == b->leader && a->leader_epoch == b->leader_epoch &&
               a->partition_epoch == b->partition_epoch && a->replicas_count == b->replicas_count &&
               a->isr_count == b->isr_count && a->elr_count == b->elr_count &&
               a->last_known_elr_count == b->last_known_elr_count && a->adding_count == b->adding_count &&
               a->removing_count == b->removing_count && a->recovering == b->recovering &&
               !memcmp(a->ids, b->ids, ids * sizeof *a->ids) &&
               !memcmp(meta_partition_directories(a), meta_partition_directories(b),
                       a->replicas_count * sizeof(struct uuid));
}

static bool topic_equal(const struct meta_topic *a, const struct meta_topic *b)
{
        if (!uuid_equal(a->id, b->id) || !str_equal(a->name, b->name) || a->partitions_count != b->partitions_count)
                return false;
        for (uint32_t i = 0; i < a->partitions_count; i++)
                if (!partition_equal(meta_topic_partition(a, (int32_t)i), meta_topic_partition(b, (int32_t)i)))
                        return false;
        return true;
}

static bool broker_equal(const struct meta_broker *a, const struct meta_broker *b)
{
        if (a->id != b->id || a->epoch != b->epoch || !uuid_equal(a->incarnation, b->incarnation) ||
            a->fenced != b->fenced || a->in_shutdown != b->in_shutdown || a->duty != b->duty ||
            !str_equal(a->rack, b->rack) || a->endpoints_count != b->endpoints_count ||
            a->features_count != b->features_count || a->directories_count != b->directories_count)
                return false;
        for (uint32_t i = 0; i < a->endpoints_count; i++) {
                const struct meta_endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];

                if (!str_equal(x->listener, y->listener) || !str_equal(x->host, y->host) || x->port != y->port ||
                    x->security != y->security)
                        return false;
        }
        for (uint32_t i = 0; i < a->features_count; i++) {
                const struct meta_feature_range *x = &a->features[i], *y = &b->features[i];

                if (!str_equal(x->name, y->name) || x->level_min != y->level_min || x->level_max != y->level_max)
                        return false;
        }
        return !memcmp(a->directories, b->directories, a->directories_count * sizeof(struct uuid));
}

static bool configs_equal(const struct meta_configs *a, const struct meta_configs *b)
{
        if (a->key.type != b->key.type || !str_equal(a->key.name, b->key.name) || a->count != b->count)
                return false;
        for (uint32_t i = 0; i < a->count; i++)
                if (!str_equal(a->items[i].name, b->items[i].name) || !str_equal(a->items[i].value, b->items[i].value))
                        return false;
        return true;
}

/* pmap_diff() meets objects that are not the same one: they may still say the same. Non-zero ends it. */
static int differs_topic(void *arg, void *a, void *b)
{
        return !a || !b || !topic_equal(a, b);
}

static int differs_broker(void *arg, void *a, void *b)
{
        return !a || !b || !broker_equal(a, b);
}

static int differs_configs(void *arg, void *a, void *b)
{
        return !a || !b || !configs_equal(a, b);
}

static int differs_feature(void *arg, void *a, void *b)
{
        const struct meta_feature *x = a, *y = b;

        return !x || !y || x->level != y->level;
}

static int differs_acl(void *arg, void *a, void *b)
{
        const struct meta_acl *x = a, *y = b;

        return !x || !y || !uuid_equal(x->id, y->id) || meta_acl_compare(&x->entry, &y->entry);
}

static int differs_credential(void *arg, void *a, void *b)
{
        const struct meta_credential *x = a, *y = b;

        return !x || !y || x->iterations != y->iterations || !span_equal(x->salt, y->salt) ||
               !span_equal(x->stored_key, y->stored_key) || !span_equal(x->server_key, y->server_key);
}

static int differs_token(void *arg, void *a, void *b)
{
        return !a || !b || !meta_token_equal(a, b);
}

static bool disruption_equal(const struct meta_disruption *a, const struct meta_disruption *b)
{
        if (!a || !b)
                return a == b;
        return a->node_id == b->node_id && a->since_ms == b->since_ms && a->until_ms == b->until_ms &&
               a->override_ms == b->override_ms && str_equal(a->holder, b->holder) && str_equal(a->reason, b->reason) &&
               str_equal(a->override_by, b->override_by) && str_equal(a->override_reason, b->override_reason) &&
               str_equal(a->override_of, b->override_of);
}

bool meta_image_equal(const struct meta_image *a, const struct meta_image *b)
{
        return str_equal(a->cluster_id, b->cluster_id) && a->next_producer_id == b->next_producer_id &&
               a->partitions_count == b->partitions_count && disruption_equal(a->disruption, b->disruption) &&
               !pmap_diff(&a->topics_by_name, &b->topics_by_name, differs_topic, NULL) &&
               !pmap_diff(&a->topics_by_id, &b->topics_by_id, differs_topic, NULL) &&
               !pmap_diff(&a->brokers, &b->brokers, differs_broker, NULL) &&
               !pmap_diff(&a->configs, &b->configs, differs_configs, NULL) &&
               !pmap_diff(&a->features, &b->features, differs_feature, NULL) &&
               !pmap_diff(&a->acls, &b->acls, differs_acl, NULL) &&
               !pmap_diff(&a->acls_by_id, &b->acls_by_id, differs_acl, NULL) &&
               !pmap_diff(&a->credentials, &b->credentials, differs_credential, NULL) &&
               !pmap_diff(&a->tokens, &b->tokens, differs_token, NULL) &&
               !pmap_diff(&a->tokens_by_digest, &b->tokens_by_digest, differs_token, NULL) &&
               span_equal(a->decoy_seed, b->decoy_seed);
}

/* ---- accounting ---- */

static size_t topic_bytes(const struct meta_topic *t)
{
        size_t bytes = sizeof *t + t->name.len + 1 + t->chunks_size * sizeof *t->chunks;

        for (uint32_t i = 0; i < t->partitions_count; i++) {
                const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);
                const struct meta_chunk *c = t->chunks[i / META_CHUNK_LEN];

                if (i % META_CHUNK_LEN == 0)
                        bytes += sizeof *c + c->size * sizeof c->parts[0];
                bytes += sizeof *p + (size_t)((const char *)(meta_partition_directories(p) + p->replicas_count) -
                                              (const char *)p->ids);
        }
        return bytes;
}

size_t meta_image_bytes(const struct meta_image *i)
{
        size_t nodes = 2 * (size_t)i->topics_by_id.count + i->brokers.count + i->configs.count + i->features.count +
                       2 * (size_t)i->acls.count + i->credentials.count + 2 * (size_t)i->tokens.count;
        size_t bytes = sizeof *i + nodes * pmap_node_size();
        const struct meta_credential *u;
        const struct meta_configs *c;
        const struct meta_token *token;
        const struct meta_topic *t;
        const struct meta_acl *a;

        pmap_for_each (it, t, &i->topics_by_id)
                bytes += topic_bytes(t);
        pmap_for_each (it, c, &i->configs) {
                bytes += sizeof *c + c->key.name.len;
                for (uint32_t k = 0; k < c->count; k++)
                        bytes += sizeof c->items[k] + c->items[k].name.len + c->items[k].value.len + 2;
        }
        pmap_for_each (it, a, &i->acls)
                bytes += sizeof *a + a->entry.resource_name.len + a->entry.principal.len + a->entry.host.len;
        pmap_for_each (it, u, &i->credentials)
                bytes += sizeof *u + u->key.user.len + 1 + u->salt.len + u->stored_key.len + u->server_key.len;
        pmap_for_each (it, token, &i->tokens)
                bytes += meta_token_bytes(token);
        return bytes + i->brokers.count * sizeof(struct meta_broker) + i->features.count * sizeof(struct meta_feature);
}
