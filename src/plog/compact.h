/* Compaction of one log: of records with the same key only the newest stays (Kafka's cleanup.policy=compact).
 *
 * First the newest offset of every key that was written since the last time is noted, in bounded memory; then sealed
 * segments are written again without what is superseded, several small ones into one, and put in place one by one. The
 * active segment, what is not below the high watermark and the last stable offset, and what is younger than
 * min.compaction.lag.ms is left alone. Records of aborted transactions go; markers go when nothing of their transaction is
 * left and delete.retention.ms has passed since that was seen.
 * The work is done in steps, so that its owner can spread it over time; appends, reads and flushes go on meanwhile. */
#pragma once

#include "plog/plog.h"

struct plog_dirt {
        int64_t clean_bytes; /* compacted before */
        int64_t dirty_bytes; /* may be compacted, and was not yet */
        int64_t oldest_ms;   /* time of the first segment that was not; INT64_MAX when there is none */
        double share;        /* dirty bytes of all, 0 to 1 */
        bool due;            /* by the log's min_cleanable_ratio or max_compaction_lag_ms */
};

/* How much there is to be done. Blocks. Return: 0; PLOG_E_CLOSED, PLOG_E_FAILED; PLOG_E_DAMAGED when the log holds damage
 * (it is not compacted then, because what is missing might be the newest of a key); negative errno. */
int plog_dirt(struct plog *pl, int64_t now_ms, int64_t below_offset, struct plog_dirt *ret);

struct plog_compact_args {
        int64_t now_ms;
        int64_t below_offset; /* high watermark */
        size_t map_bytes_max; /* memory for keys; with more keys than fit the rest waits for the next time */
};

struct plog_compaction;

/* Begin. A reference to the log is held until the end. Return: 0; PLOG_E_NOT_FOUND: there is nothing to do; otherwise as
 * plog_dirt(). */
int plog_compact_begin(struct plog *pl, const struct plog_compact_args *args, struct plog_compaction **ret_compaction);
/* Go on until about @len bytes more have been read. Blocks.
 * Return: 1 there is more to do; 0 all is done, and is durable; PLOG_E_NOT_FOUND when retention or truncation came in
 * between (begin again); PLOG_E_CLOSED, PLOG_E_FAILED, PLOG_E_DAMAGED (it has told the operator where); negative errno.
 * After anything but 1 only plog_compact_end() may follow. What was put in place before stays. */
int plog_compact_step(struct plog_compaction *c, int64_t len);

struct plog_compact_result {
        int64_t bytes_read; /* of the second part */
        int64_t bytes_written;
        int64_t keys;
        int64_t cleaned_offset; /* up to here no key is superseded by another one below it */
};
void plog_compact_result(const struct plog_compaction *c, struct plog_compact_result *ret);
/* Free; whatever was begun and not put in place is removed. NULL is fine. Returns NULL. */
struct plog_compaction *plog_compact_end(struct plog_compaction *c);
