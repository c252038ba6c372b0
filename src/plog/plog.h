/* One partition's log on local disk.
 *
 * A log is a folder of segments: Kafka v2 record batches back to back, byte for byte as they are served, with a sparse
 * offset index and a time index beside each that can always be rebuilt. FORMAT.md describes every file.
 * It knows nothing of replication, groups or metadata; offsets, epochs and limits are given to it.
 *
 * Three ends, never out of this order:   start <= durable end <= end
 *   start        first offset that may be read (moved by retention and plog_delete_records())
 *   durable end  everything below is on stable storage
 *   end          next offset to be given (log end offset)
 *
 * Thread: every function may be called from any thread (a lock per log, held for short computations and one pwritev)
 * unless it says "blocks": such a one reads or syncs the disk and belongs on the I/O pool. */
#pragma once

#include "base/iobuf.h"
#include "base/span.h"
#include "base/uuid.h"
#include "sys/iopool.h"

struct plog;
struct plog_store; /* store.h: what all logs of a node share: descriptors, flusher, pool */

/* ---- settings (a resolved topic configuration) ---- */

struct plog_conf {
        int64_t segment_bytes; /* roll when the next batch would pass it */
        int64_t segment_ms;    /* roll when the first batch of the segment is older (by record time) */
        int64_t segment_jitter_ms;
        int64_t index_interval_bytes; /* one index entry per so many bytes */
        int64_t retention_ms;         /* -1: no limit */
        int64_t retention_bytes;      /* -1: no limit */
        int64_t file_delete_delay_ms;
        bool cleanup_delete, cleanup_compact;
        bool flush_before_ack;  /* the durable end counts for acknowledgements: the flusher syncs at once */
        int64_t flush_ms;       /* relaxed logs only: most time data stays unsynced */
        int64_t flush_messages; /* relaxed logs only: most records that stay unsynced */
        int64_t min_compaction_lag_ms,
                max_compaction_lag_ms; /* compaction leaves younger records; is due for older ones */
        double min_cleanable_ratio;    /* compaction is due when this share of the log is new */
        int64_t delete_retention_ms;   /* compaction keeps a tombstone so long */
        int64_t producer_expiry_ms;    /* producer state older than this is forgotten */
};

/* ---- outcomes ---- */

enum {
        PLOG_OK,
        PLOG_E_OUT_OF_ORDER_SEQUENCE,  /* idempotence: gap */
        PLOG_E_INVALID_PRODUCER_EPOCH, /* idempotence: epoch older than the one known */
        PLOG_E_DUPLICATE,              /* idempotence: one of the last five batches; result filled as at first */
        PLOG_E_SEGMENT_LIMIT,          /* batch larger than segment_bytes */
        PLOG_E_OUT_OF_RANGE,           /* offset below start or above end */
        PLOG_E_NOT_FOUND,              /* no record at or after that time; no such epoch */
        PLOG_E_FAILED,                 /* a write or sync failed: read-only up to the durable end */
        PLOG_E_CLOSED,                 /* closed or deleted meanwhile */
        PLOG_E_DAMAGED,                /* bytes on disk are not what was written, or missing */
        PLOG_E_INVALID_TXN_STATE,      /* outside of a transaction, of a producer that has one open */
        PLOG_E_COORDINATOR_FENCED,     /* marker of a transaction coordinator older than the one known */
};

/* ---- append ---- */

struct plog_append_args {
        uint8_t *
                batch; /* one whole v2 batch, validated; no control batch unless it is a replica's copy; base offset and leader epoch are written into it */
        size_t len;
        int32_t leader_epoch;
        int64_t now_ms; /* wall clock */
        /* From the validated batch, so that it is not looked for again: */
        int64_t max_timestamp;
        int64_t max_timestamp_offset_delta; /* of the record that has it; -1 unknown (compressed, not looked at) */
        /* Offset to keep when the batch has one already (a replica's copy); -1: give the next. */
        int64_t keep_base_offset;
        bool check_sequence; /* idempotence rules on (clients); off for replicas' copies and coordinators */
        /* The batch belongs to a transaction that must be open here already, or that has been found to be open at its coordinator since
         * plog_txn_look() gave this marker (KIP-890). */
        bool check_txn;
        int64_t txn_marker; /* -1: no marker was known; PLOG_TXN_UNCHECKED: nobody has looked */
};

enum { PLOG_TXN_UNCHECKED = -2 };

struct plog_append_result {
        int64_t base_offset;
        int64_t last_offset;
        int64_t append_time_ms; /* timestamp that was answered at first, for a duplicate; else max_timestamp */
        int64_t start_offset;
};

/* Append one batch at the end. Sequence check, offset, write and state change are one atomic step.
 * Durability: none until the durable end passes (see struct plog_listener).
 * Return: PLOG_OK, PLOG_E_DUPLICATE (with @ret), PLOG_E_OUT_OF_ORDER_SEQUENCE, PLOG_E_INVALID_PRODUCER_EPOCH,
 * PLOG_E_INVALID_TXN_STATE, PLOG_E_SEGMENT_LIMIT, PLOG_E_FAILED, PLOG_E_CLOSED; -ENOMEM, -ENOSPC (no room: what was written is cut back) and other
 * negative errno leave the log as it was. Another write error makes the log FAILED and is returned as PLOG_E_FAILED. */
int plog_append(struct plog *pl, const struct plog_append_args *args, struct plog_append_result *ret);

struct plog_run_args {
        struct span batches; /* whole batches back to back, as the leader's log has them; borrowed for the call */
        int64_t now_ms;      /* wall clock */
};

struct plog_run_result {
        int64_t end_offset; /* behind what was appended */
        size_t len;         /* bytes of it; on failure less than there were, perhaps none */
};

/* Append a replica's copy of many batches, with one write for as many as lie in one segment: offsets and epochs are the
 * leader's, gaps in offsets are taken as they are, nothing is checked of producers' sequences. CRCs were checked.
 * Return: PLOG_OK, all are appended; -EINVAL: the first batch that is not is cut short, lies before the end, or is of an
 * older leader epoch than the one before; otherwise as plog_append(). @ret is filled in any case. */
int plog_append_run(struct plog *pl, const struct plog_run_args *args, struct plog_run_result *ret);

/* ---- transactions (KIP-98) ---- */

struct plog_marker_args {
        int64_t producer_id;
        int16_t producer_epoch;
        int32_t coordinator_epoch; /* of the transaction's coordinator */
        int32_t leader_epoch;
        bool commit; /* else abort */
        /* The epoch is above that of the transaction's records, as always with transactions of version 2 (KIP-890): a marker whose
         * epoch the log knows already has come before. */
        bool bumped;
        int64_t now_ms; /* wall clock */
};

/* Append the marker that ends a producer's transaction in this log. That it has none open is fine: the marker then only
 * tells the epochs. Return: PLOG_OK; PLOG_E_INVALID_PRODUCER_EPOCH and PLOG_E_COORDINATOR_FENCED when a newer producer or
 * coordinator is known; otherwise as plog_append(). */
int plog_append_marker(struct plog *pl, const struct plog_marker_args *args, struct plog_append_result *ret);

/* What the log knows of a producer whose batch with this header is to be appended to a transaction. */
struct plog_txn_look {
        /* Its coordinator need not be asked: the transaction is open here, the batch is a duplicate, or its epoch is over. */
        bool is_settled;
        int64_t marker_offset; /* for plog_append_args.txn_marker */
};
struct batch_header;
void plog_txn_look(struct plog *pl, const struct batch_header *h, struct plog_txn_look *ret);
/* May a batch of this producer and epoch, without a sequence, be appended to its transaction? @txn_marker as of plog_append_args.
 * Return: 0; PLOG_E_INVALID_PRODUCER_EPOCH; PLOG_E_INVALID_TXN_STATE. */
int plog_txn_check(struct plog *pl, int64_t producer_id, int16_t epoch, int64_t txn_marker);

/* What is remembered of one producer. */
struct plog_producer {
        int64_t id;
        int64_t last_timestamp;    /* of its newest batch; -1: none is known */
        int64_t txn_first_offset;  /* of the transaction that it has open; -1: none */
        int32_t last_sequence;     /* -1: none is known */
        int32_t coordinator_epoch; /* of the last marker; -1: none */
        int16_t epoch;
};
/* All of them; free(*ret_list). Return: 0 or -ENOMEM. */
int plog_producers(struct plog *pl, struct plog_producer **ret_list, size_t *ret_count);

/* The last stable offset, never above @high_watermark: the first offset of a transaction that is open, or whose marker is not
 * below @high_watermark; else @high_watermark. It does not go back while @high_watermark does not. */
int64_t plog_stable_offset(struct plog *pl, int64_t high_watermark);

struct plog_aborted {
        int64_t producer_id;
        int64_t first_offset;  /* of its records here */
        int64_t last_offset;   /* of its marker */
        int64_t stable_offset; /* what was stable behind that marker: all that end later have no offset below */
};

/* The aborted transactions with an offset from @from_offset up to below @to_offset, by first offset. @to_offset is not above
 * the last stable offset. Their count is bounded by ABORTED_MAX for each segment that the offsets lie in, and the
 * transactions that were open where they end.
 * Blocks only when a list is not in the page cache: @may_block false gives -EAGAIN then.
 * Return: 0 with *@ret_list (free() it; NULL when there are none); PLOG_E_CLOSED; PLOG_E_DAMAGED when it cannot be told;
 * negative errno. */
int plog_aborted(struct plog *pl, int64_t from_offset, int64_t to_offset, bool may_block,
                 struct plog_aborted **ret_list, size_t *ret_count);

/* ---- read ---- */

/* A run of whole batches in one segment file, pinned: the file stays open and on disk until plog_slice_release(). */
struct plog_slice {
        int fd;
        int64_t pos;
        size_t len;           /* 0: nothing to read below the bound */
        int64_t first_offset; /* base offset of the first batch */
        int64_t next_offset;  /* offset after the last batch */
        struct plog_pin *pin;
};

struct plog_read_args {
        int64_t from_offset;  /* the batch that holds it (or the first one after it) comes first, whole */
        int64_t below_offset; /* only batches whose last offset is below this (high watermark, stable offset, end) */
        size_t len_max;       /* whole batches up to so many bytes */
        bool at_least_one;    /* give the first batch even when it is longer than len_max */
};

/* Find what to send; reads batch headers through the page cache, no record bytes. At most one segment at a time.
 * Blocks only when headers are cold: @may_block false gives -EAGAIN then, and the caller repeats it on the pool.
 * Return: 0 with @ret (len may be 0); PLOG_E_OUT_OF_RANGE, PLOG_E_CLOSED; PLOG_E_DAMAGED when the offset lies in a damaged
 * range, or no batch is left between it and one: what lies before and behind is given; negative errno. */
int plog_read(struct plog *pl, const struct plog_read_args *args, bool may_block, struct plog_slice *ret);
/* Unpin. Any thread; a slice with len 0 needs none. */
void plog_slice_release(struct plog_slice *s);
/* Copy a slice's bytes (@buf has @s->len). Blocks. Return: 0 or negative errno. */
int plog_slice_copy(const struct plog_slice *s, void *buf);
/* Call @fn for each batch of a slice, in order; @len: of the slice up to the batch's end. A non-zero return of @fn ends it and is returned.
 * Reads headers only; blocks when they are cold: @may_block false gives -EAGAIN then.
 * Return: 0; what @fn returned; -EAGAIN; -EUCLEAN: the file is damaged, or was cut meanwhile; another negative errno. */
int plog_slice_heads(const struct plog_slice *s, bool may_block,
                     int (*fn)(void *arg, const struct batch_header *h, size_t len), void *arg);

/* ---- offsets, times, epochs ---- */

struct plog_ends {
        int64_t start_offset;
        int64_t durable_start_offset; /* a loss of power does not take the start back below this */
        int64_t durable_end_offset;
        int64_t end_offset;
        int64_t size_bytes;
        int64_t damaged_offsets; /* of all damaged ranges */
        unsigned damaged_ranges;
        /* First offset of a transaction that is open, or whose marker plog_stable_offset() did not yet see below a high
         * watermark; INT64_MAX: none, everything below the high watermark is stable. */
        int64_t unstable_offset;
        bool failed;
        bool settled; /* false: it has failed, and a sync that is under way may yet move the durable end, which is then the end */
};
void plog_ends(struct plog *pl, struct plog_ends *ret);

struct plog_position {
        int64_t offset;
        int64_t timestamp_ms;
        int32_t leader_epoch; /* -1 when none is known */
};

/* First record (exact, also inside compressed batches; damaged ranges are passed over) with a timestamp >= @timestamp_ms, at or after start and below
 * @below_offset. Blocks. Return: 0, PLOG_E_NOT_FOUND, PLOG_E_CLOSED, PLOG_E_DAMAGED, negative errno. */
int plog_find_time(struct plog *pl, int64_t timestamp_ms, int64_t below_offset, struct plog_position *ret);
/* The record with the largest timestamp (the first of equals). Blocks. Return: as plog_find_time(). */
int plog_find_max_time(struct plog *pl, int64_t below_offset, struct plog_position *ret);

/* Leader epoch of the batch that holds @offset (or of the end), -1 when none is known. */
int32_t plog_epoch_at(struct plog *pl, int64_t offset);
/* Latest leader epoch that was written or assigned; -1 none. */
int32_t plog_latest_epoch(struct plog *pl);
/* A new leader epoch starts at the end of the log (KIP-101). Durable with the next flush. */
int plog_assign_epoch(struct plog *pl, int32_t epoch);
/* The log follows another node's from now on: an epoch that was assigned and in which nothing was written never was. */
void plog_forget_epochs(struct plog *pl);
/* The largest epoch <= @epoch and where it ended (KIP-101; kafka OffsetForLeaderEpoch). Return: 0, PLOG_E_NOT_FOUND. */
int plog_epoch_end(struct plog *pl, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset);

/* ---- damage ---- */

enum plog_damage_why {
        PLOG_DAMAGE_MISSING = 1, /* a file, or its end, is not there any more; looked for again at every start */
        PLOG_DAMAGE_HEADER, /* all from here are rotten: found by a check (scrub.h), and looked at again by the next */
        PLOG_DAMAGE_CRC,
        PLOG_DAMAGE_OFFSET,
        PLOG_DAMAGE_EPOCH,
        PLOG_DAMAGE_UNREADABLE,
};
/* As the end of a sentence. Static. */
const char *plog_damage_text(enum plog_damage_why why);

/* Offsets that were on stable storage and are refused. Whoever has them elsewhere (a replica) can write the right batches
 * over the bytes from pos to end_pos, when they are as long, and have the log checked: what is whole is served again. */
struct plog_damaged_range {
        int64_t from_offset, to_offset; /* up to below to_offset */
        int64_t segment_base;           /* in the file of this name; of several the last one; -1: no bytes are there */
        int64_t pos, end_pos;           /* likewise; -1 */
        int64_t found_ms;               /* wall clock */
        enum plog_damage_why why;       /* of the first batch */
};
/* The first @max of them, rising. Return: how many there are. */
size_t plog_damaged(struct plog *pl, size_t max, struct plog_damaged_range *ret);
/* Write @batches, as another replica has them, over the bytes of a range that plog_damaged() told: on stable storage, and served
 * again, when it returns 0. Blocks. Return: 0; -EINVAL, and nothing was done: they are not the range's offsets, not right, or not as
 * long as the range's bytes (a log that is cleaned differs from replica to replica), or the bytes are missing; PLOG_E_NOT_FOUND:
 * the range is not as it was; other negative errno: it stays damaged. */
int plog_mend(struct plog *pl, const struct plog_damaged_range *range, struct span batches);
/* When a check last went through the whole log (scrub.h), ms since 1970; 0: never. */
int64_t plog_checked_ms(struct plog *pl);

/* ---- change ---- */

/* Records below @offset are no longer served; whole segments below go later. Never moves back. Durable before it
 * returns. Blocks. Return: 0 with the start in force; PLOG_E_OUT_OF_RANGE when above the end; negative errno. */
int plog_delete_records(struct plog *pl, int64_t offset, int64_t *ret_start_offset);
/* Drop everything at and after @offset, whole batches (a follower's divergence). The caller does not append meanwhile.
 * Blocks. Return: 0; PLOG_E_FAILED, PLOG_E_CLOSED; negative errno: the log is FAILED now, or what comes before could not be
 * flushed for want of memory or room (-ENOMEM, -ENOSPC) and nothing was done. */
int plog_truncate(struct plog *pl, int64_t offset);
/* Drop everything and go on at @offset, which may lie anywhere: a follower whose log has nothing in common any more with
 * what the leader still holds. The caller does not append meanwhile. Blocks. Return: as plog_truncate(). */
int plog_restart(struct plog *pl, int64_t offset);
/* New settings from now on. */
void plog_set_conf(struct plog *pl, const struct plog_conf *conf);
struct plog_retain_args {
        int64_t now_ms;       /* wall clock */
        int64_t below_offset; /* the high watermark: only what lies below */
        bool deleted_only; /* only what lies below the log's start; no retention: a follower's start is its leader's business */
};
/* Apply retention by time and size to whole segments, to PLOG_RETAIN_MAX of them at a call, because flushes of this log wait
 * meanwhile. Their files go later, some at each plog_store_tick(). Blocks.
 * Return: segments removed (PLOG_RETAIN_MAX: call again, after others have had their turn), or negative errno. */
enum { PLOG_RETAIN_MAX = 64 };
int plog_retain(struct plog *pl, const struct plog_retain_args *args);
/* Forget expired producers. */
void plog_expire_producers(struct plog *pl, int64_t now_ms);

/* ---- news upward ---- */

struct plog_listener {
        /* The durable end moved (or the log failed: see plog_ends()). On the thread that synced; may ask the log and post
         * mail. Must be short, must not block, and must not change the listener. */
        void (*durable)(void *arg, struct plog *pl);
        void *arg;
};
/* When it returns, no call of the listener before is under way. */
void plog_set_listener(struct plog *pl, struct plog_listener listener);

/* ---- life ---- */

struct plog_open_args {
        const char *dir;      /* folder of this log, made when missing: DATA/TOPIC-PARTITION */
        const char *name;     /* for diagnostics: TOPIC-PARTITION */
        struct uuid topic_id; /* written into the folder at creation; another id found there is refused (-EUCLEAN) */
        int32_t partition;
        struct plog_conf conf;
};

/* Open and, after an unclean stop, recover: cut a torn tail at the last whole batch whose CRC is right, rebuild indexes
 * and producer state, sync what was recovered before it counts as durable. An empty log makes no file but its
 * folder's meta file; segments are created by the first append. Blocks.
 * Return: 0; -EUCLEAN foreign folder; other negative errno. */
int plog_open(struct plog_store *store, const struct plog_open_args *args, struct plog **ret_log);
/* Flush, write the checkpoint that makes the next start quick, close. Readers that hold slices keep their files.
 * Blocks. */
void plog_close(struct plog *pl);
/* Close and remove: the folder is renamed at once (never to be opened again) and deleted later. Blocks. */
int plog_delete(struct plog *pl);
/* References: readers on other threads may hold a log while it is deleted; their calls give PLOG_E_CLOSED. */
struct plog *plog_ref(struct plog *pl);
struct plog *plog_unref(struct plog *pl);
