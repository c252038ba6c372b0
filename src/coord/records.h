/* Keys and values of __consumer_offsets and __transaction_state, byte for byte as Kafka writes them, because clients (Burrow, kafka-ui, the
 * console consumer's formatter) read that topic. Layouts: wire/schema/stored.wire; FORMAT.md says which versions.
 * Pure. Encoded bytes come from the caller's arena, decoded text is borrowed from the bytes. */
#pragma once

#include "base/arena.h"
#include "coord/assignment.h"
#include "wire/messages.h"

enum {
        RECORDS_OK,
        RECORDS_E_OTHER,     /* a kind or version that is not ours: to be skipped */
        RECORDS_E_MALFORMED, /* ours, but the bytes are no such record */
        RECORDS_E_TOO_LARGE, /* a text does not fit into the format */
};

enum records_kind {
        RECORDS_OFFSET,
        RECORDS_GROUP,
        /* Of consumer groups (KIP-848): */
        RECORDS_CONSUMER_GROUP,
        RECORDS_CONSUMER_MEMBER,
        RECORDS_CONSUMER_TARGET, /* of which epoch the target is */
        RECORDS_CONSUMER_TARGET_MEMBER,
        RECORDS_CONSUMER_CURRENT, /* what a member has */
        RECORDS_CONSUMER_REGEX,
        /* Of share groups (KIP-932), in the same order: */
        RECORDS_SHARE_GROUP,
        RECORDS_SHARE_MEMBER,
        RECORDS_SHARE_TARGET,
        RECORDS_SHARE_TARGET_MEMBER,
        RECORDS_SHARE_CURRENT,
        RECORDS_SHARE_PROGRESS, /* how far such a group is in a partition */
};

struct records_key {
        enum records_kind kind;
        struct str group;
        struct str topic; /* RECORDS_OFFSET */
        int32_t partition;
        struct str member;    /* its id; RECORDS_CONSUMER_REGEX: the expression */
        struct uuid topic_id; /* RECORDS_SHARE_PROGRESS */
};

/* Of groups whose members the coordinator assigns to. */
static inline bool records_is_consumer(enum records_kind kind)
{
        return kind >= RECORDS_CONSUMER_GROUP;
}

static inline bool records_is_share(enum records_kind kind)
{
        return kind >= RECORDS_SHARE_GROUP;
}

/* Return: 0, RECORDS_E_OTHER, RECORDS_E_MALFORMED, -ENOMEM. */
int records_decode_key(struct span key, struct arena *a, struct records_key *ret);
int records_decode_offset(struct span value, struct arena *a, struct offset_commit_value *ret);
int records_decode_group(struct span value, struct arena *a, struct group_metadata_value *ret);

/* Begin a key or a value: its version, and room for @len bytes that @ret_writer writes. Return: 0 or -ENOMEM. */
int records_begin(struct arena *a, size_t len, int16_t version, struct writer *ret_writer, struct span *ret);
/* Return: 0, RECORDS_E_TOO_LARGE, -ENOMEM. */
int records_encode_offset_key(struct str group, struct str topic, int32_t partition, struct arena *a, struct span *ret);
int records_encode_group_key(struct str group, struct arena *a, struct span *ret);
/* Version 3, or 1 when an expiry time is given (only OffsetCommit versions 2 to 4 have one). */
int records_encode_offset(const struct offset_commit_value *v, struct arena *a, struct span *ret);
/* Of __transaction_state. Return: as those above. */
int records_decode_txn_key(struct span key, struct arena *a, struct str *ret_id);
int records_decode_txn(struct span value, struct arena *a, struct transaction_log_value *ret);
int records_encode_txn_key(struct str id, struct arena *a, struct span *ret);
/* Version 1. */
int records_encode_txn(const struct transaction_log_value *v, struct arena *a, struct span *ret);

/* Version 3. */
int records_encode_group(const struct group_metadata_value *v, struct arena *a, struct span *ret);

/* ---- consumer groups (records_consumer.c); all of version 0 ---- */

/* What is left of @value after its version. Return: 0, RECORDS_E_OTHER, RECORDS_E_MALFORMED. */
int records_open_value(struct span value, struct cursor *ret);
/* @version: of the key. Return: as records_decode_key(). */
int records_decode_consumer_key(struct cursor *c, int16_t version, struct arena *a, struct records_key *ret);
/* @member: null for the group's own. */
int records_encode_consumer_key(enum records_kind kind, struct str group, struct str member, struct arena *a,
                                struct span *ret);
int records_decode_consumer_group(struct span value, struct arena *a, struct consumer_group_metadata_value *ret);
int records_encode_consumer_group(const struct consumer_group_metadata_value *v, struct arena *a, struct span *ret);
int records_decode_consumer_member(struct span value, struct arena *a,
                                   struct consumer_group_member_metadata_value *ret);
int records_encode_consumer_member(const struct consumer_group_member_metadata_value *v, struct arena *a,
                                   struct span *ret);
int records_decode_consumer_epoch(struct span value, struct arena *a, int32_t *ret_epoch);
int records_encode_consumer_epoch(int32_t epoch, int64_t now_ms, struct arena *a, struct span *ret);
/* Decoded sets are one reference each. */
int records_decode_consumer_target(struct span value, struct arena *a, struct assignment **ret);
int records_encode_consumer_target(const struct assignment *target, struct arena *a, struct span *ret);
struct records_current {
        int32_t epoch, previous_epoch;
        int8_t state;
        struct assignment *assigned, *revoking;
        struct records_since *since; /* of some of both, in any order (KIP-1251); lies in the arena */
        size_t since_count;
};
struct records_since {
        struct uuid id;
        int32_t partition, epoch;
};
int records_decode_consumer_current(struct span value, struct arena *a, struct records_current *ret);
/* @since: the epoch since which a partition of either is the member's; @v's own are not looked at. */
int records_encode_consumer_current(const struct records_current *v,
                                    int32_t (*since)(const void *arg, struct uuid id, int32_t partition),
                                    const void *arg, struct arena *a, struct span *ret);
int records_decode_consumer_regex(struct span value, struct arena *a,
                                  struct consumer_group_regular_expression_value *ret);
int records_encode_consumer_regex(const struct consumer_group_regular_expression_value *v, struct arena *a,
                                  struct span *ret);

/* ---- share groups (records_share.c): what is not the same as of a consumer group; of version 0 ---- */

int records_decode_share_group(struct span value, struct arena *a, struct consumer_group_metadata_value *ret);
int records_encode_share_group(const struct consumer_group_metadata_value *v, struct arena *a, struct span *ret);
/* What such a member does not have is null, or -1. */
int records_decode_share_member(struct span value, struct arena *a, struct consumer_group_member_metadata_value *ret);
int records_encode_share_member(const struct consumer_group_member_metadata_value *v, struct arena *a,
                                struct span *ret);
/* It has nothing to give up, and no epochs of partitions. */
int records_decode_share_current(struct span value, struct arena *a, struct records_current *ret);
int records_encode_share_current(const struct records_current *v, struct arena *a, struct span *ret);
int records_decode_share_progress_key(struct cursor *c, struct arena *a, struct records_key *ret);
int records_encode_share_progress_key(struct str group, struct uuid topic_id, int32_t partition, struct arena *a,
                                      struct span *ret);
/* Runs are not looked at. */
int records_decode_share_progress(struct span value, struct arena *a, struct share_progress_value *ret);
int records_encode_share_progress(const struct share_progress_value *v, struct arena *a, struct span *ret);
