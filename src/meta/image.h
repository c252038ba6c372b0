/* The metadata image: all that the cluster knows at one index of the metadata log. Immutable and counted; images share
 * what did not change. Look things up without locks, hold a reference as long as you use what you found.
 * Pure; any thread. Made by builder.h only. */
#pragma once

#include "meta/acl.h"
#include "meta/object.h"
#include "meta/token.h"

enum { META_DECOY_SEED_LEN_MAX = 32 };

struct meta_image {
        atomic_uint refs;
        uint64_t edit;         /* generation: larger than that of every image it was made from */
        int64_t index;         /* of the last entry applied; 0: none */
        int32_t term;          /* of that entry: the "metadata epoch" */
        struct str cluster_id; /* null until the cluster's first record */
        char *cluster_id_text;
        int64_t next_producer_id;
        int64_t partitions_count; /* of all topics */
        struct pmap topics_by_name;
        struct pmap topics_by_id;
        struct pmap brokers;
        struct pmap configs;
        struct pmap features;
        struct pmap acls; /* rules of access, by what they say */
        struct pmap acls_by_id;
        struct pmap credentials; /* of SCRAM */
        struct pmap tokens;      /* delegation tokens, by their id */
        struct pmap tokens_by_digest;
        struct span decoy_seed; /* null until there is a credential */
        uint8_t decoy_seed_bytes[META_DECOY_SEED_LEN_MAX];
        struct meta_disruption *disruption; /* NULL: nobody ever asked for it */
};

/* The image before the first record; one reference, NULL when memory is out. */
struct meta_image *meta_image_new_empty(void);
struct meta_image *meta_image_ref(struct meta_image *i);
struct meta_image *meta_image_unref(struct meta_image *i);
DEFINE_FREEP(struct meta_image, meta_image_unref)

/* ---- lookups; results are borrowed from the image, NULL when there is none ---- */

static inline struct meta_topic *meta_image_topic(const struct meta_image *i, struct str name)
{
        return pmap_get(&i->topics_by_name, &name);
}

static inline struct meta_topic *meta_image_topic_by_id(const struct meta_image *i, struct uuid id)
{
        return pmap_get(&i->topics_by_id, &id);
}

static inline struct meta_broker *meta_image_broker(const struct meta_image *i, int32_t id)
{
        return pmap_get(&i->brokers, &id);
}

static inline struct meta_configs *meta_image_configs(const struct meta_image *i, enum meta_resource type,
                                                      struct str name)
{
        struct meta_resource_key key = { (int8_t)type, name };

        return pmap_get(&i->configs, &key);
}

/* Finalised level; 0 when the feature is not finalised. */
static inline int16_t meta_image_feature_level(const struct meta_image *i, struct str name)
{
        const struct meta_feature *f = pmap_get(&i->features, &name);

        return f ? f->level : 0;
}

static inline const struct meta_credential *meta_image_credential(const struct meta_image *i, struct str user,
                                                                  int8_t mechanism)
{
        struct meta_credential_key key = { user, mechanism };

        return pmap_get(&i->credentials, &key);
}

static inline const struct meta_token *meta_image_token(const struct meta_image *i, struct str id)
{
        return pmap_get(&i->tokens, &id);
}

/* The one whose HMAC has this digest. */
static inline const struct meta_token *meta_image_token_by_digest(const struct meta_image *i,
                                                                  const uint8_t digest[META_TOKEN_DIGEST_LEN])
{
        return pmap_get(&i->tokens_by_digest, digest);
}

/* The leader that clients may be told: META_NO_NODE when the partition has none, or when it is fenced or gone. */
int32_t meta_image_leader(const struct meta_image *i, const struct meta_partition *p);

/* Registered, not fenced and not asked to stop. */
bool meta_image_broker_is_live(const struct meta_image *i, int32_t id);

/* ---- iteration: pmap_for_each() on the maps (topics in order of name, brokers by id), or from a name on: ---- */

/* Start before the first topic whose name is >= @from (null: the first); then pmap_next() gives struct meta_topic. */
static inline struct pmap_iter meta_image_topics_from(const struct meta_image *i, struct str from)
{
        struct pmap_iter it;

        pmap_iter_init(&it, &i->topics_by_name, str_is_null(from) ? NULL : &from);
        return it;
}

/* Same content, object by object, whatever is shared and whatever the index; for tests and checks. */
bool meta_image_equal(const struct meta_image *a, const struct meta_image *b);

/* Bytes that the image would take if it shared nothing (malloc's own overhead left out). */
size_t meta_image_bytes(const struct meta_image *i);
