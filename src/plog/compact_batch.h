/* What compaction makes of one batch. Pure: bytes and rules in, bytes out. Sources: Kafka's documentation of log
 * compaction, KIP-534 (delete horizon). */
#pragma once

#include "base/strbuf.h"
#include "plog/format.h"
#include "plog/keymap.h"
#include "wire/batch.h"

enum compact_known {
        COMPACT_BATCHES, /* its last batches of records, those of them that are in what is compacted */
        COMPACT_UNKNOWN, /* all that are remembered come later: any may be the last one here */
        COMPACT_MARKER,  /* no batches, and its last marker */
        COMPACT_MARKERS, /* only that markers told of it, long ago */
};

/* What is remembered of a producer. */
struct compact_producer {
        int64_t id;
        enum compact_known known;
        int64_t last_offsets[PRODUCER_BATCHES]; /* of the batches, or of the marker */
        uint8_t count;
        int16_t epoch;
};

struct compact_rules {
        const struct keymap *map; /* newest offset of every key that was written in mapped_from..mapped_to-1 */
        int64_t mapped_to;
        int64_t now_ms;
        int64_t delete_retention_ms; /* how long a tombstone or marker stays after what it stands for has gone */
        const struct compact_producer *producers; /* by id */
        size_t producers_count;
};

/* What its transaction makes of a batch. */
enum compact_fate {
        COMPACT_BY_KEYS,     /* nothing: its records are looked at */
        COMPACT_DISCARD,     /* its records were aborted */
        COMPACT_KEEP,        /* a control batch that is needed, or that we know nothing of */
        COMPACT_IDLE_MARKER, /* nothing of the transaction that it ended is left */
};

enum {
        COMPACT_SAME,      /* the batch stays as it is */
        COMPACT_REWRITTEN, /* what is left was appended to @out */
        COMPACT_GONE,
        COMPACT_DAMAGED, /* it cannot be read */
};

/* @batch is one whole batch, its CRC checked. Records keep their offsets; the batch keeps its base and last offset, its
 * producer and its codec.
 *   - a record goes when its key was written again later, when it has no key, or when it was aborted;
 *   - a tombstone gets a horizon once all before it has gone, and goes when that has passed; a marker likewise, once nothing of
 *     its transaction is left;
 *   - batches that are remembered of a producer stay (in transactions: the last one), without records if need be, so that its
 *     sequence is known, also when later ones are cut off, and those are known that are sent again; all stay when it is not
 *     known which they are; if only markers told of it, the last one stays, or all of its epoch when it is not known which is
 *     the last.
 * Return: an outcome above; -ENOMEM, -EIO. */
int compact_batch(const struct compact_rules *rules, enum compact_fate fate, struct span batch,
                  const struct batch_header *h, struct strbuf *out);

/* Append a batch that holds the place of @h's offsets: without records, of no producer. Return: 0 or -ENOMEM. */
int compact_batch_placeholder(const struct batch_header *h, struct strbuf *out);
