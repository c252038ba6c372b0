/* See object.h. Invariant: an object is written only by who made it, before it is shared; topics and chunks also by the
 * builder whose generation (edit) they carry. */
#include "meta/object.h"

#include <errno.h>

static void ref(atomic_uint *refs)
{
        atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* True at the last one. */
static bool unref(atomic_uint *refs)
{
        return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

bool meta_ids_contain(const int32_t *ids, size_t count, int32_t id)
{
        for (size_t i = 0; i < count; i++)
                if (ids[i] == id)
                        return true;
        return false;
}

/* ---- partition ---- */

static int32_t *add_ids(int32_t *at, const int32_t *ids, uint16_t count)
{
        if (count)
                memcpy(at, ids, count * sizeof *ids);
        return at + count;
}

struct meta_partition *meta_partition_new(const struct rec_partition *r)
{
        size_t ids = (size_t)r->replicas_count + (size_t)r->isr_count + (size_t)r->elr_count +
                     (size_t)r->last_known_elr_count + (size_t)r->adding_count + (size_t)r->removing_count;
        struct meta_partition *p =
                malloc(sizeof *p + ids * sizeof(int32_t) + (size_t)r->replicas_count * sizeof(struct uuid));
        int32_t *at;

        if (!p)
                return NULL;
        *p = (struct meta_partition){
                .index = r->partition,
                .leader = r->leader,
                .leader_epoch = r->leader_epoch,
                .partition_epoch = r->partition_epoch,
                .replicas_count = (uint16_t)r->replicas_count,
                .isr_count = (uint16_t)r->isr_count,
                .elr_count = (uint16_t)r->elr_count,
                .last_known_elr_count = (uint16_t)r->last_known_elr_count,
                .adding_count = (uint16_t)r->adding_count,
                .removing_count = (uint16_t)(r->removing_count & INT16_MAX), /* checked by the builder */
                .recovering = r->recovering,
        };
        atomic_init(&p->refs, 1);
        at = add_ids(p->ids, r->replicas, p->replicas_count);
        at = add_ids(at, r->isr, p->isr_count);
        at = add_ids(at, r->elr, p->elr_count);
        at = add_ids(at, r->last_known_elr, p->last_known_elr_count);
        at = add_ids(at, r->adding, p->adding_count);
        at = add_ids(at, r->removing, p->removing_count);
        memset(at, 0, p->replicas_count * sizeof(struct uuid));
        if (r->directories_count == r->replicas_count && r->replicas_count)
                memcpy(at, r->directories, p->replicas_count * sizeof(struct uuid));
        return p;
}

void meta_partition_to_record(const struct meta_partition *p, struct uuid topic_id, struct rec_partition *ret)
{
        rec_partition_init(ret);
        ret->topic_id = topic_id;
        ret->partition = p->index;
        ret->leader = p->leader;
        ret->leader_epoch = p->leader_epoch;
        ret->partition_epoch = p->partition_epoch;
        ret->replicas = (int32_t *)meta_partition_replicas(p);
        ret->replicas_count = p->replicas_count;
        ret->isr = (int32_t *)meta_partition_isr(p);
        ret->isr_count = p->isr_count;
        ret->elr = (int32_t *)meta_partition_elr(p);
        ret->elr_count = p->elr_count;
        ret->last_known_elr = (int32_t *)meta_partition_last_known_elr(p);
        ret->last_known_elr_count = p->last_known_elr_count;
        ret->adding = (int32_t *)meta_partition_adding(p);
        ret->adding_count = p->adding_count;
        ret->removing = (int32_t *)meta_partition_removing(p);
        ret->removing_count = p->removing_count;
        ret->recovering = p->recovering;
        ret->directories = (struct uuid *)meta_partition_directories(p);
        ret->directories_count = p->replicas_count;
}

struct meta_partition *meta_partition_unref(struct meta_partition *p)
{
        if (p && unref(&p->refs))
                free(p);
        return NULL;
}

/* ---- topic ---- */

static struct meta_chunk *chunk_unref(struct meta_chunk *c)
{
        if (c && unref(&c->refs)) {
                for (uint32_t i = 0; i < c->size; i++)
                        meta_partition_unref(c->parts[i]);
                free(c);
        }
        return NULL;
}

/* A chunk of @size places with the partitions of @from (may be NULL, has no more places). */
static struct meta_chunk *chunk_new(uint32_t size, const struct meta_chunk *from, uint64_t edit)
{
        struct meta_chunk *c = calloc(1, sizeof *c + size * sizeof c->parts[0]);

        if (!c)
                return NULL;
        atomic_init(&c->refs, 1);
        c->size = size;
        c->edit = edit;
        for (uint32_t i = 0; from && i < from->size; i++) {
                c->parts[i] = from->parts[i];
                if (c->parts[i])
                        ref(&c->parts[i]->refs);
        }
        return c;
}

static uint32_t chunks_count(const struct meta_topic *t)
{
        return (t->partitions_count + META_CHUNK_LEN - 1) / META_CHUNK_LEN;
}

struct meta_topic *meta_topic_new(struct uuid id, struct str name, uint64_t edit)
{
        struct meta_topic *t = malloc(sizeof *t + name.len + 1);

        if (!t)
                return NULL;
        *t = (struct meta_topic){ .edit = edit, .id = id, .name = { t->text, name.len } };
        atomic_init(&t->refs, 1);
        memcpy(t->text, name.p, name.len);
        t->text[name.len] = 0;
        return t;
}

struct meta_topic *meta_topic_clone(const struct meta_topic *from, uint64_t edit)
{
        CLEANUP(meta_topic_unrefp) struct meta_topic *t = meta_topic_new(from->id, from->name, edit);
        uint32_t count = chunks_count(from);

        if (!t)
                return NULL;
        if (count) {
                t->chunks = malloc(count * sizeof *t->chunks);
                if (!t->chunks)
                        return NULL;
                t->chunks_size = count;
        }
        for (uint32_t i = 0; i < count; i++) {
                t->chunks[i] = from->chunks[i];
                ref(&t->chunks[i]->refs);
        }
        t->partitions_count = from->partitions_count;
        return TAKE_PTR(t);
}

/* Room for one more chunk pointer. */
static int topic_grow(struct meta_topic *t)
{
        uint32_t size = t->chunks_size ? t->chunks_size * 2 : 1;
        struct meta_chunk **chunks = realloc(t->chunks, size * sizeof *chunks);

        if (!chunks)
                return -ENOMEM;
        t->chunks = chunks;
        t->chunks_size = size;
        return 0;
}

int meta_topic_put(struct meta_topic *t, struct meta_partition *p, uint64_t edit)
{
        uint32_t index = (uint32_t)p->index, place = index % META_CHUNK_LEN, at = index / META_CHUNK_LEN;
        struct meta_chunk *c = NULL, *copy;

        assert(t->edit == edit);
        assert(index <= t->partitions_count);
        if (at < chunks_count(t))
                c = t->chunks[at];
        else if (at == t->chunks_size && topic_grow(t))
                return -ENOMEM;
        if (!c || c->edit != edit || place >= c->size) {
                uint32_t size = c ? c->size : 1;

                while (size <= place)
                        size *= 2;
                copy = chunk_new(size, c, edit);
                if (!copy)
                        return -ENOMEM;
                chunk_unref(c);
                t->chunks[at] = c = copy;
        }
        ref(&p->refs);
        meta_partition_unref(c->parts[place]);
        c->parts[place] = p;
        if (index == t->partitions_count)
                t->partitions_count++;
        return 0;
}

struct meta_topic *meta_topic_ref(struct meta_topic *t)
{
        if (t)
                ref(&t->refs);
        return t;
}

struct meta_topic *meta_topic_unref(struct meta_topic *t)
{
        if (t && unref(&t->refs)) {
                for (uint32_t i = 0; i < chunks_count(t); i++)
                        chunk_unref(t->chunks[i]);
                free(t->chunks);
                free(t);
        }
        return NULL;
}

/* ---- broker ---- */

/* Copy text behind an object; null stays null. */
static struct str put_text(char **at, struct str s)
{
        struct str copy = { *at, s.len };

        if (str_is_null(s))
                return s;
        memcpy(*at, s.p, s.len);
        *at += s.len;
        **at = 0;
        *at += 1;
        return copy;
}

static size_t broker_text_len(const struct rec_broker *r)
{
        size_t len = r->rack.len + 1;

        for (int32_t i = 0; i < r->endpoints_count; i++)
                len += r->endpoints[i].listener.len + r->endpoints[i].host.len + 2;
        for (int32_t i = 0; i < r->features_count; i++)
                len += r->features[i].name.len + 1;
        return len;
}

struct meta_broker *meta_broker_new(const struct rec_broker *r)
{
        size_t endpoints = (size_t)r->endpoints_count * sizeof(struct meta_endpoint);
        size_t features = (size_t)r->features_count * sizeof(struct meta_feature_range);
        size_t directories = (size_t)r->directories_count * sizeof(struct uuid);
        struct meta_broker *b = malloc(sizeof *b + endpoints + features + directories + broker_text_len(r));
        char *at;

        if (!b)
                return NULL;
        at = (char *)(b + 1);
        *b = (struct meta_broker){
                .id = r->broker_id,
                .epoch = r->epoch,
                .incarnation = r->incarnation,
                .fenced = r->fenced,
                .in_shutdown = r->in_shutdown,
                .duty = (uint8_t)r->duty,
                .endpoints_count = (uint32_t)r->endpoints_count,
                .features_count = (uint32_t)r->features_count,
                .directories_count = (uint32_t)r->directories_count,
                .endpoints = (struct meta_endpoint *)at,
                .features = (struct meta_feature_range *)(at + endpoints),
                .directories = (struct uuid *)(at + endpoints + features),
        };
        atomic_init(&b->refs, 1);
        at += endpoints + features + directories;
        b->rack = put_text(&at, r->rack);
        for (int32_t i = 0; i < r->endpoints_count; i++)
                b->endpoints[i] = (struct meta_endpoint){
                        .listener = put_text(&at, r->endpoints[i].listener),
                        .host = put_text(&at, r->endpoints[i].host),
                        .port = (uint16_t)r->endpoints[i].port,
                        .security = r->endpoints[i].security,
                };
        for (int32_t i = 0; i < r->features_count; i++)
                b->features[i] = (struct meta_feature_range){
                        .name = put_text(&at, r->features[i].name),
                        .level_min = r->features[i].level_min,
                        .level_max = r->features[i].level_max,
                };
        if (directories)
                memcpy(b->directories, r->directories, directories);
        return b;
}

int meta_broker_to_record(const struct meta_broker *b, struct arena *mem, struct rec_broker *ret)
{
        struct rec_broker r;

        rec_broker_init(&r);
        r.broker_id = b->id;
        r.epoch = b->epoch;
        r.incarnation = b->incarnation;
        r.fenced = b->fenced;
        r.in_shutdown = b->in_shutdown;
        r.duty = (int8_t)b->duty;
        r.rack = b->rack;
        r.endpoints_count = (int32_t)b->endpoints_count;
        r.features_count = (int32_t)b->features_count;
        r.directories = b->directories;
        r.directories_count = (int32_t)b->directories_count;
        r.endpoints = ARENA_NEW_ARRAY(mem, struct rec_broker_endpoint, b->endpoints_count);
        r.features = ARENA_NEW_ARRAY(mem, struct rec_broker_feature, b->features_count);
        if (!r.endpoints || !r.features)
                return -ENOMEM;
        for (uint32_t i = 0; i < b->endpoints_count; i++)
                r.endpoints[i] = (struct rec_broker_endpoint){
                        .listener = b->endpoints[i].listener,
                        .host = b->endpoints[i].host,
                        .port = b->endpoints[i].port,
                        .security = b->endpoints[i].security,
                };
        for (uint32_t i = 0; i < b->features_count; i++)
                r.features[i] = (struct rec_broker_feature){
                        .name = b->features[i].name,
                        .level_min = b->features[i].level_min,
                        .level_max = b->features[i].level_max,
                };
        *ret = r;
        return 0;
}

const struct meta_endpoint *meta_broker_endpoint(const struct meta_broker *b, struct str listener)
{
        for (uint32_t i = 0; i < b->endpoints_count; i++)
                if (str_equal(b->endpoints[i].listener, listener))
                        return &b->endpoints[i];
        return NULL;
}

struct meta_broker *meta_broker_unref(struct meta_broker *b)
{
        if (b && unref(&b->refs))
                free(b);
        return NULL;
}

/* ---- configurations ---- */

struct str meta_configs_get(const struct meta_configs *c, struct str name)
{
        for (uint32_t i = 0; c && i < c->count; i++)
                if (str_equal(c->items[i].name, name))
                        return c->items[i].value;
        return STR_NULL;
}

struct meta_configs *meta_configs_with(const struct meta_configs *from, struct meta_resource_key key, struct str name,
                                       struct str value)
{
        uint32_t old = from ? from->count : 0, i = 0;
        size_t text = key.name.len + 1 + name.len + 1 + value.len + 1;
        struct meta_configs *c;
        char *at;

        for (i = 0; i < old; i++)
                text += from->items[i].name.len + from->items[i].value.len + 2;
        c = malloc(sizeof *c + (old + 1) * sizeof c->items[0] + text);
        if (!c)
                return NULL;
        atomic_init(&c->refs, 1);
        at = (char *)&c->items[old + 1];
        c->count = 0;
        c->key = (struct meta_resource_key){ key.type, put_text(&at, key.name) };
        for (i = 0; i < old && str_compare(from->items[i].name, name) < 0; i++)
                c->items[c->count++] =
                        (struct meta_config){ put_text(&at, from->items[i].name), put_text(&at, from->items[i].value) };
        if (!str_is_null(value))
                c->items[c->count++] = (struct meta_config){ put_text(&at, name), put_text(&at, value) };
        if (i < old && str_equal(from->items[i].name, name))
                i++;
        for (; i < old; i++)
                c->items[c->count++] =
                        (struct meta_config){ put_text(&at, from->items[i].name), put_text(&at, from->items[i].value) };
        return c;
}

struct meta_configs *meta_configs_ref(struct meta_configs *c)
{
        if (c)
                ref(&c->refs);
        return c;
}

struct meta_configs *meta_configs_unref(struct meta_configs *c)
{
        if (c && unref(&c->refs))
                free(c);
        return NULL;
}

/* ---- features ---- */

struct meta_feature *meta_feature_new(struct str name, int16_t level)
{
        struct meta_feature *f = malloc(sizeof *f + name.len + 1);

        if (!f)
                return NULL;
        atomic_init(&f->refs, 1);
        f->level = level;
        f->name = (struct str){ f->text, name.len };
        memcpy(f->text, name.p, name.len);
        f->text[name.len] = 0;
        return f;
}

struct meta_feature *meta_feature_unref(struct meta_feature *f)
{
        if (f && unref(&f->refs))
                free(f);
        return NULL;
}

/* ---- the disruption token ---- */

struct meta_disruption *meta_disruption_new(const struct rec_disruption *r)
{
        size_t text = r->holder.len + r->reason.len + r->override_by.len + r->override_reason.len + r->override_of.len;
        struct meta_disruption *x = malloc(sizeof *x + text + 5); /* a NUL behind each */
        char *at;

        if (!x)
                return NULL;
        at = x->text;
        *x = (struct meta_disruption){
                .node_id = r->node_id,
                .since_ms = r->since_ms,
                .until_ms = r->until_ms,
                .override_ms = r->override_ms,
        };
        atomic_init(&x->refs, 1);
        x->holder = put_text(&at, r->holder);
        x->reason = put_text(&at, r->reason);
        x->override_by = put_text(&at, r->override_by);
        x->override_reason = put_text(&at, r->override_reason);
        x->override_of = put_text(&at, r->override_of);
        return x;
}

void meta_disruption_to_record(const struct meta_disruption *x, struct rec_disruption *ret)
{
        rec_disruption_init(ret);
        ret->holder = x->holder;
        ret->node_id = x->node_id;
        ret->since_ms = x->since_ms;
        ret->until_ms = x->until_ms;
        ret->reason = x->reason;
        ret->override_by = x->override_by;
        ret->override_reason = x->override_reason;
        ret->override_ms = x->override_ms;
        ret->override_of = x->override_of;
}

struct meta_disruption *meta_disruption_ref(struct meta_disruption *x)
{
        if (x)
                ref(&x->refs);
        return x;
}

struct meta_disruption *meta_disruption_unref(struct meta_disruption *x)
{
        if (x && unref(&x->refs))
                free(x);
        return NULL;
}

/* ---- SCRAM credentials ---- */

static struct span put_bytes(char **at, struct span s)
{
        char *p = *at;

        if (s.len)
                memcpy(p, s.data, s.len);
        *at += s.len;
        return span_of(p, s.len);
}

struct meta_credential *meta_credential_new(const struct rec_scram_credential *r)
{
        size_t text_len = r->name.len + 1 + r->salt.len + r->stored_key.len + r->server_key.len +
                          r->earlier_stored_key.len + r->earlier_server_key.len;
        struct meta_credential *c = malloc(sizeof *c + text_len);
        char *at;

        if (!c)
                return NULL;
        at = c->text;
        *c = (struct meta_credential){ .iterations = r->iterations,
                                       .key.mechanism = r->mechanism,
                                       .set_ms = r->set_ms,
                                       .earlier_until_ms = r->earlier_until_ms,
                                       .text_len = text_len };
        atomic_init(&c->refs, 1);
        c->key.user = put_text(&at, r->name);
        c->salt = put_bytes(&at, r->salt);
        c->stored_key = put_bytes(&at, r->stored_key);
        c->server_key = put_bytes(&at, r->server_key);
        c->earlier_stored_key = put_bytes(&at, r->earlier_stored_key);
        c->earlier_server_key = put_bytes(&at, r->earlier_server_key);
        return c;
}

void meta_credential_to_record(const struct meta_credential *c, struct rec_scram_credential *ret)
{
        rec_scram_credential_init(ret);
        ret->name = c->key.user;
        ret->mechanism = c->key.mechanism;
        ret->iterations = c->iterations;
        ret->salt = c->salt;
        ret->stored_key = c->stored_key;
        ret->server_key = c->server_key;
        ret->set_ms = c->set_ms;
        ret->earlier_stored_key = c->earlier_stored_key;
        ret->earlier_server_key = c->earlier_server_key;
        ret->earlier_until_ms = c->earlier_until_ms;
}

struct meta_credential *meta_credential_unref(struct meta_credential *c)
{
        if (c && unref(&c->refs)) {
                explicit_bzero(c->text, c->text_len);
                free(c);
        }
        return NULL;
}

/* ---- how maps see them ---- */

static int compare_text(const void *a, const void *b)
{
        return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static int compare_uuid(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct uuid));
}

static int compare_id(const void *a, const void *b)
{
        int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

        return (x > y) - (x < y);
}

static int compare_resource(const void *a, const void *b)
{
        const struct meta_resource_key *x = a, *y = b;

        return x->type != y->type ? x->type - y->type : str_compare(x->name, y->name);
}

static int compare_credential(const void *a, const void *b)
{
        const struct meta_credential_key *x = a, *y = b;
        int r = str_compare(x->user, y->user);

        return r ? r : x->mechanism - y->mechanism;
}

#define MAP_OPS(ops_name, type, key_member, compare_fn) \
        static const void *ops_name##_key(const void *value) \
        { \
                return &((const type *)value)->key_member; \
        } \
        static void ops_name##_ref(void *value) \
        { \
                ref(&((type *)value)->refs); \
        } \
        static void ops_name##_unref(void *value); \
        const struct pmap_ops meta_##ops_name##_ops = { ops_name##_key, compare_fn, ops_name##_ref, \
                                                        ops_name##_unref }; \
        static void ops_name##_unref(void *value)

MAP_OPS(topics_by_name, struct meta_topic, name, compare_text)
{
        meta_topic_unref(value);
}
MAP_OPS(topics_by_id, struct meta_topic, id, compare_uuid)
{
        meta_topic_unref(value);
}
MAP_OPS(brokers, struct meta_broker, id, compare_id)
{
        meta_broker_unref(value);
}
MAP_OPS(configs, struct meta_configs, key, compare_resource)
{
        meta_configs_unref(value);
}
MAP_OPS(features, struct meta_feature, name, compare_text)
{
        meta_feature_unref(value);
}
MAP_OPS(credentials, struct meta_credential, key, compare_credential)
{
        meta_credential_unref(value);
}
