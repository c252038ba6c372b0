/* Keys and values of __consumer_offsets and __transaction_state, byte for byte as Kafka writes them, because clients (Burrow, kafka-ui, the
 * console consumer's formatter) read that topic. Layouts: wire/schema/stored.wire; FORMAT.md says which versions.
 * Pure. Encoded bytes come from the caller's arena, decoded text is borrowed from the bytes. */
#pragma once

#include "base/arena.h"
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
};

struct records_key {
        enum records_kind kind;
        struct str group;
        struct str topic; /* RECORDS_OFFSET */
        int32_t partition;
};

/* Return: 0, RECORDS_E_OTHER, RECORDS_E_MALFORMED, -ENOMEM. */
int records_decode_key(struct span key, struct arena *a, struct records_key *ret);
int records_decode_offset(struct span value, struct arena *a, struct offset_commit_value *ret);
int records_decode_group(struct span value, struct arena *a, struct group_metadata_value *ret);

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
