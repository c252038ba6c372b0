/* What compaction makes of one batch. Pure: bytes and rules in, bytes out. Sources: Kafka's documentation of log
 * compaction, KIP-534 (delete horizon). */
#pragma once

#include "base/strbuf.h"
#include "plog/keymap.h"
#include "wire/batch.h"

struct compact_rules {
        const struct keymap *map; /* newest offset of every key that was written in mapped_from..mapped_to-1 */
        int64_t mapped_to;
        int64_t now_ms;
        int64_t delete_retention_ms;   /* how long a tombstone stays after what it deleted has gone */
        const int64_t *producers_last; /* rising: last offsets of the last batches of producers that are remembered */
        size_t producers_count;
};

enum {
        COMPACT_SAME,      /* the batch stays as it is */
        COMPACT_REWRITTEN, /* what is left was appended to @out */
        COMPACT_GONE,
        COMPACT_DAMAGED, /* it cannot be read */
};

/* @batch is one whole batch, its CRC checked. Records keep their offsets; the batch keeps its base and last offset, its
 * producer and its codec.
 *   - a record goes when its key was written again later, or when it has no key;
 *   - a tombstone gets a horizon once all before it has gone, and goes when that has passed;
 *   - the last batch of a producer stays, without records if need be, so that its sequence is known;
 *   - control batches stay.
 * Return: an outcome above; -ENOMEM, -EIO. */
int compact_batch(const struct compact_rules *rules, struct span batch, const struct batch_header *h,
                  struct strbuf *out);

/* Append @h without records: it holds the place of its offsets. Return: 0 or -ENOMEM. */
int compact_batch_empty(const struct batch_header *h, struct strbuf *out);
