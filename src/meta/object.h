/* The things that a metadata image is made of. All of them are counted and, once an image that holds them was handed out,
 * never written again; each is one allocation that holds its text too. Who keeps one longer than its image takes a
 * reference. Any thread may read; references may be taken and given back on any thread. */
#pragma once

#include "meta/pmap.h"
#include "meta/record.h"

/* ---- partition ---- */

struct meta_partition {
        atomic_uint refs;
        int32_t index;
        int32_t leader; /* META_NO_NODE: none. See meta_image_leader() for the one that clients are told */
        int32_t leader_epoch;
        int32_t partition_epoch;
        /* The lists follow each other in @ids, in this order. */
        uint16_t replicas_count;
        uint16_t isr_count;
        uint16_t elr_count;
        uint16_t last_known_elr_count;
        uint16_t adding_count;
        uint16_t removing_count : 15;
        uint16_t recovering : 1; /* elected uncleanly, and the leader has not said yet that it is done */
        int32_t ids[];           /* then one struct uuid to a replica: meta_partition_directories() */
};

static inline const int32_t *meta_partition_replicas(const struct meta_partition *p)
{
        return p->ids;
}

static inline const int32_t *meta_partition_isr(const struct meta_partition *p)
{
        return p->ids + p->replicas_count;
}

static inline const int32_t *meta_partition_elr(const struct meta_partition *p)
{
        return meta_partition_isr(p) + p->isr_count;
}

static inline const int32_t *meta_partition_last_known_elr(const struct meta_partition *p)
{
        return meta_partition_elr(p) + p->elr_count;
}

static inline const int32_t *meta_partition_adding(const struct meta_partition *p)
{
        return meta_partition_last_known_elr(p) + p->last_known_elr_count;
}

static inline const int32_t *meta_partition_removing(const struct meta_partition *p)
{
        return meta_partition_adding(p) + p->adding_count;
}

/* The directory of the replica in the same place of the replicas. */
static inline const struct uuid *meta_partition_directories(const struct meta_partition *p)
{
        return (const struct uuid *)(meta_partition_removing(p) + p->removing_count);
}

/* Is @id among the @count numbers at @ids? Linear: lists of replicas are short. */
bool meta_ids_contain(const int32_t *ids, size_t count, int32_t id);

/* ---- topic ---- */

/* Partitions stand in chunks, so that a change of one costs a chunk and not the topic. */
#define META_CHUNK_LEN 32

struct meta_chunk {
        atomic_uint refs;
        uint32_t size; /* places */
        uint64_t edit; /* generation that may still write it */
        struct meta_partition *parts[];
};

struct meta_topic {
        atomic_uint refs;
        uint32_t partitions_count;
        uint64_t edit; /* generation that may still write it */
        struct uuid id;
        struct str name;
        struct meta_chunk **chunks;
        uint32_t chunks_size; /* places in @chunks */
        char text[];
};

/* The partition, borrowed from the topic; NULL when there is no such index. */
static inline const struct meta_partition *meta_topic_partition(const struct meta_topic *t, int32_t index)
{
        if (index < 0 || (uint32_t)index >= t->partitions_count)
                return NULL;
        return t->chunks[index / META_CHUNK_LEN]->parts[index % META_CHUNK_LEN];
}

/* ---- broker ---- */

struct meta_endpoint {
        struct str listener;
        struct str host;
        uint16_t port;
        int16_t security;
};

struct meta_feature_range {
        struct str name;
        int16_t level_min;
        int16_t level_max;
};

/* What is asked of a broker for longer than a restart. */
enum meta_duty {
        META_DUTY_NONE,
        META_DUTY_DRAINED, /* gets no new replicas, and leads only what nobody else can */
        META_DUTY_LEAVING, /* and its replicas move elsewhere; then it is unregistered */
        META_DUTY_END
};

struct meta_broker {
        atomic_uint refs;
        int32_t id;
        int64_t epoch; /* index of the entry that registered it */
        struct uuid incarnation;
        bool fenced;      /* leads nothing, joins no ISR, is not told to clients */
        bool in_shutdown; /* asked to stop: gets no new leaderships */
        uint8_t duty;     /* enum meta_duty */
        struct str rack;  /* may be null */
        uint32_t endpoints_count;
        uint32_t features_count;
        uint32_t directories_count;
        struct meta_endpoint *endpoints;
        struct meta_feature_range *features;
        struct uuid *directories;
};

/* The endpoint of @listener, or NULL. */
const struct meta_endpoint *meta_broker_endpoint(const struct meta_broker *b, struct str listener);

/* ---- configuration of one resource ---- */

struct meta_config {
        struct str name;
        struct str value;
};

struct meta_resource_key {
        int8_t type; /* enum meta_resource */
        struct str name;
};

struct meta_configs {
        atomic_uint refs;
        uint32_t count;
        struct meta_resource_key key;
        struct meta_config items[]; /* ordered by name */
};

/* The value of @name, or STR_NULL. NULL for @c is fine. */
struct str meta_configs_get(const struct meta_configs *c, struct str name);

/* ---- finalised feature ---- */

struct meta_feature {
        atomic_uint refs;
        int16_t level;
        struct str name;
        char text[];
};

/* ---- the disruption token ---- */

/* Who takes a node down on purpose, one at a time, and who overrode that last. */
struct meta_disruption {
        atomic_uint refs;
        int32_t node_id;
        int64_t since_ms; /* wall clock */
        int64_t until_ms;
        int64_t override_ms;
        struct str holder; /* null: free */
        struct str reason;
        struct str override_by; /* null: there was none yet */
        struct str override_reason;
        struct str override_of; /* null: nobody held it */
        char text[];
};

/* ---- SCRAM credentials ---- */

enum { META_SALT_LEN_MAX = 256 };

struct meta_credential_key {
        struct str user;
        int8_t mechanism; /* 1: SCRAM-SHA-256, 2: SCRAM-SHA-512 */
};

struct meta_credential {
        atomic_uint refs;
        int32_t iterations;
        struct meta_credential_key key;
        struct span salt, stored_key, server_key;
        int64_t set_ms; /* wall clock; 0: not known */
        struct span earlier_stored_key,
                earlier_server_key; /* of the password before, while both count; empty: it does not */
        int64_t earlier_until_ms;   /* wall clock */
        size_t text_len;
        char text[]; /* what these point into; wiped at the end */
};

/* Does the password from before still count? */
static inline bool meta_credential_has_earlier(const struct meta_credential *c, int64_t wall_ms)
{
        return c->earlier_stored_key.len && wall_ms < c->earlier_until_ms;
}

/* ---- making them; each gives one reference, or NULL when memory is out ---- */

struct meta_partition *meta_partition_new(const struct rec_partition *r);
struct meta_topic *meta_topic_new(struct uuid id, struct str name, uint64_t edit);
/* A copy that @edit may write; chunks and partitions are shared. */
struct meta_topic *meta_topic_clone(const struct meta_topic *t, uint64_t edit);
/* Put @p (a reference is taken) at the index it carries: an existing one, or the next. @t belongs to @edit.
 * Return: 0 or -ENOMEM. */
int meta_topic_put(struct meta_topic *t, struct meta_partition *p, uint64_t edit);
struct meta_broker *meta_broker_new(const struct rec_broker *r);
/* A copy with @name set to @value, or without @name when @value is null. @from may be NULL. */
struct meta_configs *meta_configs_with(const struct meta_configs *from, struct meta_resource_key key, struct str name,
                                       struct str value);
struct meta_feature *meta_feature_new(struct str name, int16_t level);
struct meta_disruption *meta_disruption_new(const struct rec_disruption *r);
struct meta_credential *meta_credential_new(const struct rec_scram_credential *r);

/* What a record of the thing looks like: the way back, for the store and for changes. Arrays and text are borrowed from
 * the object, but those that the record wants in another form come from @mem (broker only). */
void meta_partition_to_record(const struct meta_partition *p, struct uuid topic_id, struct rec_partition *ret);
int meta_broker_to_record(const struct meta_broker *b, struct arena *mem, struct rec_broker *ret);
void meta_disruption_to_record(const struct meta_disruption *x, struct rec_disruption *ret);
void meta_credential_to_record(const struct meta_credential *c, struct rec_scram_credential *ret);

struct meta_topic *meta_topic_ref(struct meta_topic *t);
struct meta_topic *meta_topic_unref(struct meta_topic *t);
struct meta_partition *meta_partition_unref(struct meta_partition *p);
struct meta_broker *meta_broker_unref(struct meta_broker *b);
struct meta_configs *meta_configs_ref(struct meta_configs *c);
struct meta_configs *meta_configs_unref(struct meta_configs *c);
struct meta_feature *meta_feature_unref(struct meta_feature *f);
struct meta_disruption *meta_disruption_ref(struct meta_disruption *x);
struct meta_disruption *meta_disruption_unref(struct meta_disruption *x);
struct meta_credential *meta_credential_unref(struct meta_credential *c);
DEFINE_FREEP(struct meta_topic, meta_topic_unref)
DEFINE_FREEP(struct meta_partition, meta_partition_unref)
DEFINE_FREEP(struct meta_broker, meta_broker_unref)
DEFINE_FREEP(struct meta_configs, meta_configs_unref)
DEFINE_FREEP(struct meta_feature, meta_feature_unref)
DEFINE_FREEP(struct meta_credential, meta_credential_unref)

/* How the maps of an image order and count them. Keys: struct str *, struct uuid *, int32_t *, struct meta_resource_key *,
 * struct str *, struct meta_credential_key *. */
extern const struct pmap_ops meta_topics_by_name_ops;
extern const struct pmap_ops meta_topics_by_id_ops;
extern const struct pmap_ops meta_brokers_ops;
extern const struct pmap_ops meta_configs_ops;
extern const struct pmap_ops meta_features_ops;
extern const struct pmap_ops meta_credentials_ops; /* by user, then mechanism */
