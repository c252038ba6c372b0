/* See rows.h; keys in FORMAT.md. */
#include "meta/rows.h"

#include <errno.h>

#include "base/crc32c.h"
#include "meta/builder.h"

/* What one walk works with. */
struct walk {
        const struct meta_rows_sink *sink;
        struct arena mem;
        const struct meta_topic *topic;
};

struct key {
        uint8_t bytes[META_ROW_KEY_LEN_MAX];
        size_t len;
};

/* ---- keys ---- */

static void key_start(struct key *k, enum meta_row row)
{
        k->bytes[0] = (uint8_t)row;
        k->len = 1;
}

/* Text longer than the key has room for goes in by its checksum and its beginning: equal text still gives an equal key,
 * and the row's record holds the whole. Two long names that collide would need equal beginnings and CRC-32C. */
static void key_add(struct key *k, const void *data, size_t len, size_t len_max)
{
        if (len > len_max) {
                store_be32(k->bytes + k->len, crc32c(0, data, len));
                k->len += 4;
                len = len_max - 4;
        }
        if (len)
                memcpy(k->bytes + k->len, data, len);
        k->len += len;
}

static void key_of_partition(struct key *k, struct uuid topic, int32_t index)
{
        key_start(k, META_ROW_PARTITION);
        key_add(k, topic.b, 16, 16);
        store_be32(k->bytes + k->len, (uint32_t)index);
        k->len += 4;
}

static void key_of_config(struct key *k, const struct meta_resource_key *resource, struct str name)
{
        key_start(k, META_ROW_CONFIG);
        k->bytes[k->len++] = (uint8_t)resource->type;
        key_add(k, resource->name.p, resource->name.len, 250);
        k->bytes[k->len++] = 0;
        key_add(k, name.p, name.len, 250);
}

static void key_of_broker(struct key *k, int32_t id)
{
        key_start(k, META_ROW_BROKER);
        store_be32(k->bytes + k->len, (uint32_t)id);
        k->len += 4;
}

static int row_remove(struct walk *w, const struct key *k)
{
        return w->sink->remove ? w->sink->remove(w->sink->arg, span_of(k->bytes, k->len)) : 0;
}

static int row_put(struct walk *w, const struct key *k, const struct meta_record *rec)
{
        return w->sink->put(w->sink->arg, span_of(k->bytes, k->len), rec);
}

static int put_partition(void *arg, const struct meta_partition *before, const struct meta_partition *after)
{
        struct walk *w = arg;
        struct meta_record rec;
        struct key k;

        key_of_partition(&k, w->topic->id, after ? after->index : before->index);
        if (!after)
                return row_remove(w, &k);
        rec.type = META_PARTITION;
        meta_partition_to_record(after, w->topic->id, &rec.partition);
        return row_put(w, &k, &rec);
}

static int put_topic(struct walk *w, const struct meta_topic_change *ch)
{
        struct meta_record rec;
        struct key k;
        int r = 0;

        w->topic = ch->after ? ch->after : ch->before;
        key_start(&k, META_ROW_TOPIC);
        key_add(&k, w->topic->id.b, 16, 16);
        if (!ch->after) {
                r = row_remove(w, &k);
        } else if (!ch->before) {
                meta_record_init(&rec, META_TOPIC);
                rec.topic.topic_id = w->topic->id;
                rec.topic.name = w->topic->name;
                r = row_put(w, &k, &rec);
        }
        return r ? r : meta_topic_diff(ch->before, ch->after, put_partition, w);
}

static int put_broker(struct walk *w, const struct meta_broker_change *ch)
{
        struct meta_record rec = { .type = META_BROKER };
        struct key k;
        int r;

        key_of_broker(&k, ch->after ? ch->after->id : ch->before->id);
        if (!ch->after)
                return row_remove(w, &k);
        r = meta_broker_to_record(ch->after, &w->mem, &rec.broker);
        return r ? r : row_put(w, &k, &rec);
}

static int put_configs(struct walk *w, const struct meta_configs_change *ch)
{
        const struct meta_resource_key *resource = ch->after ? &ch->after->key : &ch->before->key;
        struct meta_record rec;
        struct key k;
        int r = 0;

        for (uint32_t i = 0; !r && ch->before && i < ch->before->count; i++) {
                const struct meta_config *c = &ch->before->items[i];

                key_of_config(&k, resource, c->name);
                if (str_is_null(meta_configs_get(ch->after, c->name)))
                        r = row_remove(w, &k);
        }
        for (uint32_t i = 0; !r && ch->after && i < ch->after->count; i++) {
                const struct meta_config *c = &ch->after->items[i];

                if (str_equal(meta_configs_get(ch->before, c->name), c->value))
                        continue;
                key_of_config(&k, resource, c->name);
                meta_record_init(&rec, META_CONFIG);
                rec.config.resource_type = resource->type;
                rec.config.resource_name = resource->name;
                rec.config.name = c->name;
                rec.config.value = c->value;
                r = row_put(w, &k, &rec);
        }
        return r;
}

static int put_feature(void *arg, void *before, void *after)
{
        const struct meta_feature *f = after ? after : before;
        struct meta_record rec;
        struct key k;

        key_start(&k, META_ROW_FEATURE);
        key_add(&k, f->name.p, f->name.len, 250);
        if (!after)
                return row_remove(arg, &k);
        meta_record_init(&rec, META_FEATURE);
        rec.feature.name = f->name;
        rec.feature.level = f->level;
        return row_put(arg, &k, &rec);
}

static int put_acl(void *arg, void *before, void *after)
{
        const struct meta_acl *a = after ? after : before;
        struct meta_record rec = { .type = META_ACL };
        struct key k;

        key_start(&k, META_ROW_ACL);
        key_add(&k, a->id.b, 16, 16);
        if (!after)
                return row_remove(arg, &k);
        meta_acl_to_record(a, &rec.acl);
        return row_put(arg, &k, &rec);
}

static int put_disruption(struct walk *w, const struct meta_disruption *x)
{
        struct meta_record rec = { .type = META_DISRUPTION };
        struct key k;

        key_start(&k, META_ROW_DISRUPTION);
        if (!x)
                return row_remove(w, &k);
        meta_disruption_to_record(x, &rec.disruption);
        return row_put(w, &k, &rec);
}

static int put_credential(void *arg, void *before, void *after)
{
        const struct meta_credential *c = after ? after : before;
        struct meta_record rec = { .type = META_SCRAM_CREDENTIAL };
        struct key k;

        key_start(&k, META_ROW_SCRAM_CREDENTIAL);
        k.bytes[k.len++] = (uint8_t)c->key.mechanism;
        key_add(&k, c->key.user.p, c->key.user.len, 250);
        if (!after)
                return row_remove(arg, &k);
        meta_credential_to_record(c, &rec.scram_credential);
        return row_put(arg, &k, &rec);
}

static int put_decoy_seed(struct walk *w, const struct meta_image *i)
{
        struct meta_record rec;
        struct key k;

        key_start(&k, META_ROW_DECOY_SEED);
        if (!i->decoy_seed.data)
                return row_remove(w, &k);
        meta_record_init(&rec, META_DECOY_SEED);
        rec.decoy_seed.seed = i->decoy_seed;
        return row_put(w, &k, &rec);
}

static int put_token(void *arg, void *before, void *after)
{
        const struct meta_token *t = after ? after : before;
        struct meta_record rec = { .type = META_DELEGATION_TOKEN };
        struct key k;

        key_start(&k, META_ROW_DELEGATION_TOKEN);
        key_add(&k, t->id.p, t->id.len, 250);
        if (!after)
                return row_remove(arg, &k);
        meta_token_to_record(t, &rec.delegation_token);
        return row_put(arg, &k, &rec);
}

static int put_changes(struct walk *w, const struct meta_delta *d)
{
        int r = 0;

        for (uint32_t i = 0; !r && i < d->topics_count; i++)
                r = put_topic(w, &d->topics[i]);
        for (uint32_t i = 0; !r && i < d->brokers_count; i++)
                r = put_broker(w, &d->brokers[i]);
        for (uint32_t i = 0; !r && i < d->configs_count; i++)
                r = put_configs(w, &d->configs[i]);
        if (!r)
                r = pmap_diff(&d->before->features, &d->after->features, put_feature, w);
        if (!r)
                r = pmap_diff(&d->before->acls_by_id, &d->after->acls_by_id, put_acl, w);
        if (!r && d->before->disruption != d->after->disruption)
                r = put_disruption(w, d->after->disruption);
        if (!r)
                r = pmap_diff(&d->before->credentials, &d->after->credentials, put_credential, w);
        if (!r && !span_equal(d->before->decoy_seed, d->after->decoy_seed))
                r = put_decoy_seed(w, d->after);
        if (!r)
                r = pmap_diff(&d->before->tokens, &d->after->tokens, put_token, w);
        return r;
}

int meta_rows_walk(const struct meta_delta *d, const struct meta_rows_sink *sink)
{
        struct walk w = { .sink = sink };
        int r;

        arena_init(&w.mem, 0);
        r = put_changes(&w, d);
        arena_fini(&w.mem);
        return r;
}

/* ---- an image as records ---- */

struct records {
        int (*fn)(void *arg, const struct meta_record *rec);
        void *arg;
};

static int records_put(void *arg, struct span key, const struct meta_record *rec)
{
        struct records *to = arg;

        return to->fn(to->arg, rec);
}

/* What the head row says, as records. */
static int records_of_head(const struct meta_image *i, struct records *to)
{
        struct meta_record rec;
        int r = 0;

        if (!str_is_null(i->cluster_id)) {
                meta_record_init(&rec, META_CLUSTER);
                rec.cluster.cluster_id = i->cluster_id;
                r = to->fn(to->arg, &rec);
        }
        if (r)
                return r;
        meta_record_init(&rec, META_PRODUCER_IDS);
        rec.producer_ids.next_producer_id = i->next_producer_id;
        return to->fn(to->arg, &rec);
}

int meta_image_records(struct meta_image *image, int (*fn)(void *arg, const struct meta_record *rec), void *arg)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        CLEANUP(meta_delta_unrefp) struct meta_delta *d = NULL;
        struct records to = { fn, arg };
        int r;

        if (!empty)
                return -ENOMEM;
        r = meta_delta_new(empty, image, &d);
        if (!r)
                r = records_of_head(image, &to);
        return r ? r : meta_rows_walk(d, &(struct meta_rows_sink){ .put = records_put, .arg = &to });
}
