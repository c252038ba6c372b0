/* See builder.h. One function to a record type; the switch is in meta_builder_apply(). A record is checked against the
 * image before anything is touched, because the log and the store are untrusted bytes like any other. */
#include "meta/builder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define PAYLOAD_FORMAT 0

static void set_decoy_seed(struct meta_image *n, struct span seed)
{
        if (!seed.data)
                return;
        memcpy(n->decoy_seed_bytes, seed.data, seed.len);
        n->decoy_seed = span_of(n->decoy_seed_bytes, seed.len);
}

int meta_builder_init(struct meta_builder *b, const struct meta_image *base)
{
        CLEANUP(meta_image_unrefp) struct meta_image *n = meta_image_new_empty();

        if (!n)
                return -ENOMEM;
        if (!str_is_null(base->cluster_id)) {
                n->cluster_id_text = strndup(base->cluster_id.p, base->cluster_id.len);
                if (!n->cluster_id_text)
                        return -ENOMEM;
                n->cluster_id = str_of(n->cluster_id_text);
        }
        n->edit = base->edit + 1;
        n->index = base->index;
        n->term = base->term;
        n->next_producer_id = base->next_producer_id;
        n->partitions_count = base->partitions_count;
        n->topics_by_name = pmap_copy(&base->topics_by_name);
        n->topics_by_id = pmap_copy(&base->topics_by_id);
        n->brokers = pmap_copy(&base->brokers);
        n->configs = pmap_copy(&base->configs);
        n->features = pmap_copy(&base->features);
        n->acls = pmap_copy(&base->acls);
        n->acls_by_id = pmap_copy(&base->acls_by_id);
        n->credentials = pmap_copy(&base->credentials);
        n->tokens = pmap_copy(&base->tokens);
        n->tokens_by_digest = pmap_copy(&base->tokens_by_digest);
        set_decoy_seed(n, base->decoy_seed);
        n->disruption = meta_disruption_ref(base->disruption);
        b->next = TAKE_PTR(n);
        b->why[0] = 0;
        return 0;
}

void meta_builder_fini(struct meta_builder *b)
{
        b->next = meta_image_unref(b->next);
}

struct meta_image *meta_builder_finish(struct meta_builder *b, int64_t index, int32_t term)
{
        b->next->index = index;
        b->next->term = term;
        return TAKE_PTR(b->next);
}

PRINTF_LIKE(2, 3)
static int conflict(struct meta_builder *b, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(b->why, sizeof b->why, fmt, ap);
        va_end(ap);
        return META_E_CONFLICT;
}

/* ---- topics ---- */

static int put_topic(struct meta_builder *b, struct meta_topic *t)
{
        int r = pmap_put(&b->next->topics_by_name, t);

        return r ? r : pmap_put(&b->next->topics_by_id, t);
}

static int apply_topic(struct meta_builder *b, const struct rec_topic *r)
{
        CLEANUP(meta_topic_unrefp) struct meta_topic *t = NULL;

        if (!r->name.len)
                return conflict(b, "a topic without a name");
        if (meta_image_topic(b->next, r->name) || meta_image_topic_by_id(b->next, r->topic_id))
                return conflict(b, "topic %.*s is there already", STR_FMT(r->name));
        t = meta_topic_new(r->topic_id, r->name, b->next->edit);
        return t ? put_topic(b, t) : -ENOMEM;
}

static int apply_topic_remove(struct meta_builder *b, const struct rec_topic_remove *r)
{
        CLEANUP(meta_topic_unrefp) struct meta_topic *t = meta_topic_ref(meta_image_topic_by_id(b->next, r->topic_id));
        struct meta_resource_key key = { META_RESOURCE_TOPIC, STR_NULL };
        int x;

        if (!t)
                return conflict(b, "removal of a topic that is not there");
        x = pmap_remove(&b->next->topics_by_id, &r->topic_id);
        if (!x)
                x = pmap_remove(&b->next->topics_by_name, &t->name);
        if (x)
                return x;
        b->next->partitions_count -= t->partitions_count;
        key.name = t->name;
        x = pmap_remove(&b->next->configs, &key);
        return x == -ENOENT ? 0 : x;
}

/* The topic in a form that this builder may write, borrowed from the image. */
static int topic_to_write(struct meta_builder *b, struct uuid id, struct meta_topic **ret_topic)
{
        struct meta_topic *t = meta_image_topic_by_id(b->next, id);
        int r;

        if (!t)
                return conflict(b, "partition of a topic that is not there");
        if (t->edit != b->next->edit) {
                t = meta_topic_clone(t, b->next->edit);
                if (!t)
                        return -ENOMEM;
                r = put_topic(b, t);
                meta_topic_unref(t); /* the maps hold it */
                if (r)
                        return r;
        }
        *ret_topic = t;
        return 0;
}

/* Counts fit the object's 16 bits, and each replica has its directory or none has. */
static bool partition_is_sane(const struct rec_partition *r)
{
        return r->replicas_count > 0 && r->replicas_count <= INT16_MAX && r->isr_count >= 0 &&
               r->isr_count <= INT16_MAX && r->elr_count >= 0 && r->elr_count <= INT16_MAX &&
               r->last_known_elr_count >= 0 && r->last_known_elr_count <= INT16_MAX && r->adding_count >= 0 &&
               r->adding_count <= INT16_MAX && r->removing_count >= 0 && r->removing_count <= INT16_MAX &&
               (r->directories_count == r->replicas_count || r->directories_count == 0);
}

static int put_partition(struct meta_builder *b, struct meta_topic *t, const struct rec_partition *r)
{
        CLEANUP(meta_partition_unrefp) struct meta_partition *p = NULL;

        if (!partition_is_sane(r))
                return conflict(b, "partition %.*s-%d with impossible replicas", STR_FMT(t->name), r->partition);
        p = meta_partition_new(r);
        return p ? meta_topic_put(t, p, b->next->edit) : -ENOMEM;
}

static int apply_partition(struct meta_builder *b, const struct rec_partition *r)
{
        struct meta_topic *t = NULL;
        int x = topic_to_write(b, r->topic_id, &t);

        if (x)
                return x;
        assert(t);
        if (r->partition < 0 || (uint32_t)r->partition != t->partitions_count)
                return conflict(b, "partition %.*s-%d where %u is next", STR_FMT(t->name), r->partition,
                                t->partitions_count);
        x = put_partition(b, t, r);
        b->next->partitions_count += !x;
        return x;
}

#define TAKE_LIST(to, from, list) \
        do { \
                if ((from)->list##_count >= 0) { \
                        (to)->list = (from)->list; \
                        (to)->list##_count = (from)->list##_count; \
                } \
        } while (0)

static int apply_partition_change(struct meta_builder *b, const struct rec_partition_change *r)
{
        const struct meta_partition *old;
        struct rec_partition now;
        struct meta_topic *t = NULL;
        int x = topic_to_write(b, r->topic_id, &t);

        if (x)
                return x;
        assert(t);
        old = meta_topic_partition(t, r->partition);
        if (!old)
                return conflict(b, "change of partition %.*s-%d, which is not there", STR_FMT(t->name), r->partition);
        meta_partition_to_record(old, t->id, &now);
        if (r->leader != META_LEADER_STAYS) {
                now.leader = r->leader;
                now.leader_epoch++;
        }
        now.partition_epoch++;
        if (r->recovering >= 0)
                now.recovering = r->recovering != 0;
        TAKE_LIST(&now, r, isr);
        TAKE_LIST(&now, r, elr);
        TAKE_LIST(&now, r, last_known_elr);
        TAKE_LIST(&now, r, adding);
        TAKE_LIST(&now, r, removing);
        TAKE_LIST(&now, r, directories);
        if (r->replicas_count >= 0 && r->directories_count < 0 && r->replicas_count != now.replicas_count)
                now.directories_count = 0; /* they belonged to other replicas */
        TAKE_LIST(&now, r, replicas);
        return put_partition(b, t, &now);
}

/* ---- configurations ---- */

static int apply_config(struct meta_builder *b, const struct rec_config *r)
{
        struct meta_resource_key key = { r->resource_type, r->resource_name };
        struct meta_configs *old = pmap_get(&b->next->configs, &key);
        CLEANUP(meta_configs_unrefp) struct meta_configs *c = NULL;

        if (!r->name.len)
                return conflict(b, "a configuration without a name");
        if (!old && str_is_null(r->value))
                return 0;
        c = meta_configs_with(old, key, r->name, r->value);
        if (!c)
                return -ENOMEM;
        return c->count ? pmap_put(&b->next->configs, c) : pmap_remove(&b->next->configs, &key);
}

/* ---- brokers ---- */

static int apply_broker(struct meta_builder *b, const struct rec_broker *r, int64_t index)
{
        CLEANUP(meta_broker_unrefp) struct meta_broker *n = NULL;

        if (r->broker_id < 0 || r->endpoints_count > UINT16_MAX || r->features_count > UINT16_MAX ||
            r->directories_count > UINT16_MAX || r->duty < 0 || r->duty >= META_DUTY_END)
                return conflict(b, "broker %d with impossible contents", r->broker_id);
        n = meta_broker_new(r);
        if (!n)
                return -ENOMEM;
        if (n->epoch < 0)
                n->epoch = index;
        return pmap_put(&b->next->brokers, n);
}

static int apply_broker_change(struct meta_builder *b, const struct rec_broker_change *r)
{
        struct meta_broker *old = meta_image_broker(b->next, r->broker_id);
        CLEANUP(meta_broker_unrefp) struct meta_broker *n = NULL;
        CLEANUP(arena_finip) struct arena mem;
        struct rec_broker now;
        int x;

        arena_init(&mem, 0);
        if (!old || old->epoch != r->epoch)
                return conflict(b, "change of broker %d in epoch %lld, which is not registered", r->broker_id,
                                (long long)r->epoch);
        x = meta_broker_to_record(old, &mem, &now);
        if (x)
                return x;
        if (r->fenced >= 0)
                now.fenced = r->fenced != 0;
        if (r->in_shutdown >= 0)
                now.in_shutdown = r->in_shutdown != 0;
        if (r->duty >= 0)
                now.duty = r->duty;
        TAKE_LIST(&now, r, directories);
        if (now.duty >= META_DUTY_END)
                return conflict(b, "broker %d with duty %d", r->broker_id, r->duty);
        n = meta_broker_new(&now);
        return n ? pmap_put(&b->next->brokers, n) : -ENOMEM;
}

static int apply_broker_remove(struct meta_builder *b, const struct rec_broker_remove *r)
{
        const struct meta_broker *old = meta_image_broker(b->next, r->broker_id);

        if (!old || old->epoch != r->epoch)
                return conflict(b, "removal of broker %d in epoch %lld, which is not registered", r->broker_id,
                                (long long)r->epoch);
        return pmap_remove(&b->next->brokers, &r->broker_id);
}

/* ---- the rest ---- */

static int apply_producer_ids(struct meta_builder *b, const struct rec_producer_ids *r)
{
        if (r->next_producer_id < b->next->next_producer_id)
                return conflict(b, "producer ids go back from %lld to %lld", (long long)b->next->next_producer_id,
                                (long long)r->next_producer_id);
        b->next->next_producer_id = r->next_producer_id;
        return 0;
}

static int apply_feature(struct meta_builder *b, const struct rec_feature *r)
{
        CLEANUP(meta_feature_unrefp) struct meta_feature *f = NULL;
        int x;

        if (r->level < 0 || !r->name.len)
                return conflict(b, "feature %.*s at level %d", STR_FMT(r->name), r->level);
        if (!r->level) {
                x = pmap_remove(&b->next->features, &r->name);
                return x == -ENOENT ? 0 : x;
        }
        f = meta_feature_new(r->name, r->level);
        return f ? pmap_put(&b->next->features, f) : -ENOMEM;
}

static int apply_cluster(struct meta_builder *b, const struct rec_cluster *r)
{
        if (!str_is_null(b->next->cluster_id))
                return conflict(b, "a second cluster id, %.*s", STR_FMT(r->cluster_id));
        if (!r->cluster_id.len || memchr(r->cluster_id.p, 0, r->cluster_id.len))
                return conflict(b, "a cluster id that is no text");
        b->next->cluster_id_text = strndup(r->cluster_id.p, r->cluster_id.len);
        if (!b->next->cluster_id_text)
                return -ENOMEM;
        b->next->cluster_id = str_of(b->next->cluster_id_text);
        return 0;
}

static int apply_disruption(struct meta_builder *b, const struct rec_disruption *r)
{
        struct meta_disruption *n = meta_disruption_new(r);

        if (!n)
                return -ENOMEM;
        meta_disruption_unref(b->next->disruption);
        b->next->disruption = n;
        return 0;
}

/* What the numbers mean is no matter here, but nothing may stand twice, or have no name. */
static int apply_acl(struct meta_builder *b, const struct rec_acl *r)
{
        CLEANUP(meta_acl_unrefp) struct meta_acl *a = NULL;
        int x;

        if (!r->resource_name.len || !r->principal.len || !r->host.len)
                return conflict(b, "a rule of access without a resource, a principal or a host");
        a = meta_acl_new(r);
        if (!a)
                return -ENOMEM;
        if (pmap_get(&b->next->acls_by_id, &a->id) || pmap_get(&b->next->acls, &a->entry))
                return conflict(b, "a rule of access for %.*s that is there already", STR_FMT(r->principal));
        x = pmap_put(&b->next->acls, a);
        return x ? x : pmap_put(&b->next->acls_by_id, a);
}

static int apply_acl_remove(struct meta_builder *b, const struct rec_acl_remove *r)
{
        CLEANUP(meta_acl_unrefp) struct meta_acl *a = meta_acl_ref(pmap_get(&b->next->acls_by_id, &r->id));
        int x;

        if (!a)
                return conflict(b, "removal of a rule of access that is not there");
        x = pmap_remove(&b->next->acls, &a->entry);
        return x ? x : pmap_remove(&b->next->acls_by_id, &a->id);
}

/* Digests of SHA-256 and SHA-512. Salts and iterations are judged where they come from; what is stored only has to be usable. */
static int apply_scram_credential(struct meta_builder *b, const struct rec_scram_credential *r)
{
        CLEANUP(meta_credential_unrefp) struct meta_credential *c = NULL;
        size_t key_len = r->mechanism == 1 ? 32 : 64, earlier_len = r->earlier_stored_key.len;

        if ((earlier_len && earlier_len != key_len) || r->earlier_server_key.len != earlier_len || !r->name.len ||
            r->mechanism < 1 || r->mechanism > 2 || r->iterations < 1 || !r->salt.len ||
            r->salt.len > META_SALT_LEN_MAX || r->stored_key.len != key_len || r->server_key.len != key_len)
                return conflict(b, "an impossible SCRAM credential of user %.*s", STR_FMT(r->name));
        c = meta_credential_new(r);
        return c ? pmap_put(&b->next->credentials, c) : -ENOMEM;
}

static int apply_scram_credential_remove(struct meta_builder *b, const struct rec_scram_credential_remove *r)
{
        struct meta_credential_key key = { r->name, r->mechanism };
        int x = pmap_remove(&b->next->credentials, &key);

        return x == -ENOENT
                       ? conflict(b, "removal of a SCRAM credential of user %.*s, which is not there", STR_FMT(r->name))
                       : x;
}

static int apply_decoy_seed(struct meta_builder *b, const struct rec_decoy_seed *r)
{
        if (!r->seed.len || r->seed.len > META_DECOY_SEED_LEN_MAX)
                return conflict(b, "a decoy seed of %zu bytes", r->seed.len);
        set_decoy_seed(b->next, r->seed);
        return 0;
}

/* Of a token that is there only its times change: two maps know it, and both its keys stay. */
static int apply_delegation_token(struct meta_builder *b, const struct rec_delegation_token *r)
{
        CLEANUP(meta_token_unrefp) struct meta_token *t = NULL;
        const struct meta_token *there, *same;
        int x;

        if (!meta_token_is_possible(r))
                return conflict(b, "an impossible delegation token %.*s", STR_FMT(r->token_id));
        t = meta_token_new(r);
        if (!t)
                return -ENOMEM;
        there = meta_image_token(b->next, t->id);
        same = meta_image_token_by_digest(b->next, t->digest);
        if (there != same)
                return conflict(b, "delegation token %.*s with another HMAC than before, or that of another one",
                                STR_FMT(r->token_id));
        x = pmap_put(&b->next->tokens, t);
        return x ? x : pmap_put(&b->next->tokens_by_digest, t);
}

static int apply_delegation_token_remove(struct meta_builder *b, const struct rec_delegation_token_remove *r)
{
        CLEANUP(meta_token_unrefp) struct meta_token *t = meta_token_ref(pmap_get(&b->next->tokens, &r->token_id));
        int x;

        if (!t)
                return conflict(b, "removal of delegation token %.*s, which is not there", STR_FMT(r->token_id));
        x = pmap_remove(&b->next->tokens, &t->id);
        return x ? x : pmap_remove(&b->next->tokens_by_digest, t->digest);
}

int meta_builder_apply(struct meta_builder *b, const struct meta_record *r, int64_t index)
{
        switch (r->type) {
        case META_TOPIC:
                return apply_topic(b, &r->topic);
        case META_TOPIC_REMOVE:
                return apply_topic_remove(b, &r->topic_remove);
        case META_PARTITION:
                return apply_partition(b, &r->partition);
        case META_PARTITION_CHANGE:
                return apply_partition_change(b, &r->partition_change);
        case META_CONFIG:
                return apply_config(b, &r->config);
        case META_BROKER:
                return apply_broker(b, &r->broker, index);
        case META_BROKER_CHANGE:
                return apply_broker_change(b, &r->broker_change);
        case META_BROKER_REMOVE:
                return apply_broker_remove(b, &r->broker_remove);
        case META_PRODUCER_IDS:
                return apply_producer_ids(b, &r->producer_ids);
        case META_FEATURE:
                return apply_feature(b, &r->feature);
        case META_CLUSTER:
                return apply_cluster(b, &r->cluster);
        case META_DISRUPTION:
                return apply_disruption(b, &r->disruption);
        case META_ACL:
                return apply_acl(b, &r->acl);
        case META_ACL_REMOVE:
                return apply_acl_remove(b, &r->acl_remove);
        case META_SCRAM_CREDENTIAL:
                return apply_scram_credential(b, &r->scram_credential);
        case META_SCRAM_CREDENTIAL_REMOVE:
                return apply_scram_credential_remove(b, &r->scram_credential_remove);
        case META_DECOY_SEED:
                return apply_decoy_seed(b, &r->decoy_seed);
        case META_DELEGATION_TOKEN:
                return apply_delegation_token(b, &r->delegation_token);
        case META_DELEGATION_TOKEN_REMOVE:
                return apply_delegation_token_remove(b, &r->delegation_token_remove);
        case META_RECORD_TYPE_END:
                break;
        }
        return conflict(b, "a record of type %d", r->type);
}

int meta_builder_apply_entry(struct meta_builder *b, struct span payload, int64_t index)
{
        struct cursor c = cursor_of(payload);
        CLEANUP(arena_finip) struct arena mem;
        struct meta_record rec;
        uint8_t format;
        int r;

        arena_init(&mem, 0);
        format = cursor_u8(&c);
        if (!cursor_ok(&c) || format != PAYLOAD_FORMAT) {
                snprintf(b->why, sizeof b->why, "payload format %d where %d is known", cursor_ok(&c) ? format : -1,
                         PAYLOAD_FORMAT);
                return cursor_ok(&c) ? META_E_UNKNOWN : META_E_MALFORMED;
        }
        for (unsigned i = 0;; i++) {
                r = meta_record_read(&c, &mem, &rec);
                if (r == META_END)
                        return 0;
                if (r == META_E_MALFORMED || r == META_E_UNKNOWN)
                        snprintf(b->why, sizeof b->why, "record %u of the entry is %s", i,
                                 r == META_E_UNKNOWN ? "of a kind that only a newer program knows" : "malformed");
                if (!r)
                        r = meta_builder_apply(b, &rec, index);
                if (r)
                        return r;
                if (mem.used > 1 << 16) /* what was applied has been copied */
                        arena_fini(&mem);
        }
}

/* ---- payloads ---- */

void meta_batch_fini(struct meta_batch *b)
{
        free(b->data);
        *b = (struct meta_batch){ 0 };
}

int meta_batch_add(struct meta_batch *b, const struct meta_record *r)
{
        size_t need = meta_record_size(r), size = b->size ? b->size : 256, at = b->len ? b->len : 1;
        struct writer w;

        if (at + need > META_PAYLOAD_LEN_MAX)
                return -E2BIG;
        while (size < at + need)
                size *= 2;
        if (size > b->size) {
                uint8_t *data = realloc(b->data, size);

                if (!data)
                        return -ENOMEM;
                b->data = data;
                b->size = size;
        }
        b->data[0] = PAYLOAD_FORMAT;
        w = writer_of(b->data + at, need);
        meta_record_write(r, &w);
        assert(writer_pos(&w) == need);
        b->len = at + need;
        b->count++;
        return 0;
}
