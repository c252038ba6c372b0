/* What is remembered of each producer of one log, so that a batch that is sent again is known again (KIP-98): its epoch
 * and its last five batches; and of their transactions: which are open, which are finished and not yet replicated, which
 * of the active segment were aborted. Guarded by the log's lock. */
#pragma once

#include "plog/aborted.h"
#include "plog/format.h"
#include "wire/batch_records.h"

struct producer_batch {
        int32_t first_sequence, last_sequence;
        int64_t first_offset, last_offset;
        int64_t timestamp; /* what was answered at first: the batch's largest */
};

struct producer {
        struct producer *next; /* in its bucket */
        int64_t id;
        int64_t last_used_ms;
        int64_t txn_first_offset;             /* of its open transaction; -1 none */
        struct producer *txn_prev, *txn_next; /* of those with an open one */
        int64_t marker_offset;                /* of the last marker in this run; -1 none */
        int32_t coordinator_epoch;
        int16_t epoch; /* -1: none known */
        uint8_t batch_count;
        struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
};

/* Offsets of a finished transaction: its first record, its marker. */
struct finished {
        int64_t first_offset, last_offset;
};

enum {
        /* Finished transactions that are not yet replicated, one by one. With more the two oldest count as one: the last
         * stable offset may be lower for a while. */
        FINISHED_MAX = 1024,
};

struct producers {
        struct producer **buckets; /* a power of two of them; NULL while there is no producer */
        uint32_t buckets_count, count;
        struct producer *txn_first, *txn_last; /* with an open transaction, by its first offset */
        struct finished *finished;             /* last offsets rise */
        uint32_t finished_count, finished_size;
        struct aborted aborted; /* of the active segment */
        int64_t aborted_from;   /* no older ones are in it */
};

void producers_fini(struct producers *p);
/* Is there anything that a snapshot must hold? */
static inline bool producers_any(const struct producers *p)
{
        return p->count || p->finished_count || p->aborted.count;
}
/* NULL: nothing is known of @id. */
struct producer *producers_find(const struct producers *p, int64_t id);
/* Find or make; NULL when memory is out. */
struct producer *producers_get(struct producers *p, int64_t id);

/* Fill @ret, which has room for all of them. Return: how many. */
size_t producers_list(const struct producers *p, struct plog_producer *ret);

/* May this batch of records be appended? @producer NULL: nothing is known of it.
 * Return: PLOG_OK; PLOG_E_DUPLICATE with @ret_known; PLOG_E_OUT_OF_ORDER_SEQUENCE; PLOG_E_INVALID_PRODUCER_EPOCH;
 * PLOG_E_INVALID_TXN_STATE. */
int producer_check(const struct producer *producer, const struct batch_header *h,
                   const struct producer_batch **ret_known);
/* May a batch of this epoch become part of the producer's transaction? @txn_marker: see struct plog_append_args.
 * Return: PLOG_OK; PLOG_E_INVALID_PRODUCER_EPOCH; PLOG_E_INVALID_TXN_STATE. */
int producer_check_txn(const struct producer *producer, int16_t epoch, int64_t txn_marker);
/* May this marker? @bumped: see struct plog_marker_args. Return: PLOG_OK; PLOG_E_INVALID_PRODUCER_EPOCH;
 * PLOG_E_COORDINATOR_FENCED. */
int producer_check_marker(const struct producer *producer, const struct batch_header *h, const struct batch_marker *m,
                          bool bumped);

/* Memory for what a marker leaves behind. Return: 0 or -ENOMEM. */
int producers_reserve(struct producers *p);
/* A batch of @producer was appended (or found at recovery). @marker: what a control batch says, after producers_reserve();
 * NULL for any other batch, and for a control batch that is no marker (any more), which changes nothing. */
void producers_note(struct producers *p, struct producer *producer, const struct batch_header *h,
                    const struct batch_marker *marker, int64_t now_ms);
/* Forget those without an open transaction that were not used for @expiry_ms. */
void producers_expire(struct producers *p, int64_t now_ms, int64_t expiry_ms);

/* First offset of a transaction that is open, or finished and not known to be replicated; INT64_MAX: none. */
int64_t producers_unstable(const struct producers *p);
/* Everything below @high_watermark is replicated. */
void producers_replicated(struct producers *p, int64_t high_watermark);

/* Content of a snapshot file of the state before @offset; free(*ret). -ENOMEM. */
int producers_encode(const struct producers *p, int64_t offset, void **ret_data, size_t *ret_len);
/* Read a snapshot over an empty @p. Return: 0; -ENOENT; -EUCLEAN when it is damaged or of another offset; -ENOMEM. */
int producers_load(struct producers *p, const char *path, int64_t offset);
