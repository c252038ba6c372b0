/* What is remembered of each producer of one log, so that a batch that is sent again is known again (KIP-98): its epoch
 * and its last five batches. Guarded by the log's lock. */
#pragma once

#include "plog/format.h"
#include "wire/batch.h"

struct producer_batch {
        int32_t first_sequence, last_sequence;
        int64_t first_offset, last_offset;
        int64_t timestamp; /* what was answered at first: the batch's largest */
};

struct producer {
        struct producer *next; /* in its bucket */
        int64_t id;
        int64_t last_used_ms;
        int64_t txn_first_offset; /* of its open transaction; -1 none */
        int32_t coordinator_epoch;
        int16_t epoch; /* -1: none known */
        uint8_t batch_count;
        struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
};

struct producers {
        struct producer **buckets; /* a power of two of them; NULL while there is no producer */
        uint32_t buckets_count, count;
};

void producers_fini(struct producers *p);
/* NULL: nothing is known of @id. */
struct producer *producers_find(const struct producers *p, int64_t id);
/* Find or make; NULL when memory is out. */
struct producer *producers_get(struct producers *p, int64_t id);

/* May this batch be appended? @producer NULL: nothing is known of it.
 * Return: PLOG_OK; PLOG_E_DUPLICATE with @ret_known; PLOG_E_OUT_OF_ORDER_SEQUENCE; PLOG_E_INVALID_PRODUCER_EPOCH. */
int producer_check(const struct producer *producer, const struct batch_header *h,
                   const struct producer_batch **ret_known);
/* A batch was appended (or found at recovery). */
void producer_note(struct producer *producer, const struct batch_header *h, int64_t now_ms);
/* Forget those without an open transaction that were not used for @expiry_ms. */
void producers_expire(struct producers *p, int64_t now_ms, int64_t expiry_ms);

/* Content of a snapshot file of the state before @offset; free(*ret). -ENOMEM. */
int producers_encode(const struct producers *p, int64_t offset, void **ret_data, size_t *ret_len);
/* Read a snapshot over an empty @p. Return: 0; -ENOENT; -EUCLEAN when it is damaged or of another offset; -ENOMEM. */
int producers_load(struct producers *p, const char *path, int64_t offset);
