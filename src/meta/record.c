/* See record.h. One row to a type; the row's functions are the generated ones. */
#include "meta/record.h"

#include <errno.h>

#define FRAME_HEAD_LEN 8 /* be16 type, be16 version, be32 length of what follows */

struct record_kind {
        const char *name;
        int16_t version_min;
        int16_t version_max;
        void (*init)(void *m);
        int (*decode)(void *ret, struct cursor *c, int16_t version, struct arena *a);
        size_t (*size)(const void *m, int16_t version);
        void (*encode)(const void *m, struct writer *w, int16_t version);
};

/* Generated functions take their own struct; these take any. */
#define KIND_FUNCTIONS(x) \
        static void x##_init_any(void *m) \
        { \
                rec_##x##_init(m); \
        } \
        static int x##_decode_any(void *ret, struct cursor *c, int16_t version, struct arena *a) \
        { \
                return rec_##x##_decode(ret, c, version, a); \
        } \
        static size_t x##_size_any(const void *m, int16_t version) \
        { \
                return rec_##x##_size(m, version); \
        } \
        static void x##_encode_any(const void *m, struct writer *w, int16_t version) \
        { \
                rec_##x##_encode(m, w, version); \
        }
KIND_FUNCTIONS(topic)
KIND_FUNCTIONS(topic_remove)
KIND_FUNCTIONS(partition)
KIND_FUNCTIONS(partition_change)
KIND_FUNCTIONS(config)
KIND_FUNCTIONS(broker)
KIND_FUNCTIONS(broker_change)
KIND_FUNCTIONS(broker_remove)
KIND_FUNCTIONS(producer_ids)
KIND_FUNCTIONS(feature)
KIND_FUNCTIONS(disruption)
KIND_FUNCTIONS(cluster)
KIND_FUNCTIONS(acl)
KIND_FUNCTIONS(acl_remove)
KIND_FUNCTIONS(scram_credential)
KIND_FUNCTIONS(scram_credential_remove)
KIND_FUNCTIONS(decoy_seed)
KIND_FUNCTIONS(delegation_token)
KIND_FUNCTIONS(delegation_token_remove)
#undef KIND_FUNCTIONS

#define KIND(X, x, text) \
        [META_##X] = { text,           REC_##X##_VERSION_MIN, REC_##X##_VERSION_MAX, x##_init_any, \
                       x##_decode_any, x##_size_any,          x##_encode_any }
static const struct record_kind kinds[META_RECORD_TYPE_END] = {
        KIND(TOPIC, topic, "topic"),
        KIND(TOPIC_REMOVE, topic_remove, "topic removal"),
        KIND(PARTITION, partition, "partition"),
        KIND(PARTITION_CHANGE, partition_change, "partition change"),
        KIND(CONFIG, config, "configuration"),
        KIND(BROKER, broker, "broker"),
        KIND(BROKER_CHANGE, broker_change, "broker change"),
        KIND(BROKER_REMOVE, broker_remove, "broker removal"),
        KIND(PRODUCER_IDS, producer_ids, "producer ids"),
        KIND(FEATURE, feature, "feature"),
        KIND(CLUSTER, cluster, "cluster"),
        KIND(DISRUPTION, disruption, "disruption token"),
        KIND(ACL, acl, "rule of access"),
        KIND(ACL_REMOVE, acl_remove, "removal of a rule of access"),
        KIND(SCRAM_CREDENTIAL, scram_credential, "SCRAM credential"),
        KIND(SCRAM_CREDENTIAL_REMOVE, scram_credential_remove, "SCRAM credential removal"),
        KIND(DECOY_SEED, decoy_seed, "decoy seed"),
        KIND(DELEGATION_TOKEN, delegation_token, "delegation token"),
        KIND(DELEGATION_TOKEN_REMOVE, delegation_token_remove, "delegation token removal"),
};
#undef KIND

static const struct record_kind *kind_of(unsigned type)
{
        return type < META_RECORD_TYPE_END && kinds[type].name ? &kinds[type] : NULL;
}

/* All members of the union start where it starts. */
static void *body_of(const struct meta_record *r)
{
        return (void *)&r->topic;
}

void meta_record_init(struct meta_record *r, enum meta_record_type type)
{
        const struct record_kind *k = kind_of(type);

        assert(k);
        r->type = type;
        k->init(body_of(r));
}

const char *meta_record_name(enum meta_record_type type)
{
        const struct record_kind *k = kind_of(type);

        return k ? k->name : "?";
}

size_t meta_record_size(const struct meta_record *r)
{
        const struct record_kind *k = kind_of(r->type);

        assert(k);
        return FRAME_HEAD_LEN + k->size(body_of(r), k->version_max);
}

void meta_record_write(const struct meta_record *r, struct writer *w)
{
        const struct record_kind *k = kind_of(r->type);
        size_t len = k->size(body_of(r), k->version_max);

        writer_be16(w, (uint16_t)r->type);
        writer_be16(w, (uint16_t)k->version_max);
        writer_be32(w, (uint32_t)len);
        k->encode(body_of(r), w, k->version_max);
}

int meta_record_read(struct cursor *c, struct arena *mem, struct meta_record *ret_record)
{
        const struct record_kind *k;
        struct cursor body;
        uint16_t type, version;
        const uint8_t *bytes;
        uint32_t len;
        int r;

        if (cursor_ok(c) && !cursor_left(c))
                return META_END;
        type = cursor_be16(c);
        version = cursor_be16(c);
        len = cursor_be32(c);
        bytes = cursor_take(c, len);
        if (!cursor_ok(c))
                return META_E_MALFORMED;
        k = kind_of(type);
        if (!k || version > k->version_max)
                return META_E_UNKNOWN;
        if (version < k->version_min)
                return META_E_MALFORMED;
        body = cursor_of(span_of(bytes, len));
        ret_record->type = type;
        r = k->decode(body_of(ret_record), &body, (int16_t)version, mem);
        if (r)
                return r < 0 ? r : META_E_MALFORMED;
        return cursor_left(&body) ? META_E_MALFORMED : META_OK;
}
