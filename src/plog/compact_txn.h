/* What compaction must know of transactions while it goes through a log from its beginning: which records were aborted, and
 * which markers still have records of theirs before them. Memory: the aborted transactions of one segment, and a number for
 * each transaction that is open at one place. As Kafka's CleanedTransactionMetadata. */
#pragma once

#include "plog/compact_batch.h"
#include "plog/internal.h"

struct compact_txns {
        struct plog *pl;
        const struct segment *segment; /* whose list is held; only compared */
        struct plog_aborted *aborted;  /* with an offset in it, by producer, then offset */
        size_t aborted_count;
        /* Producers of whose open transaction there was a batch: open addressing, -1 is empty. */
        int64_t *with_data;
        size_t with_data_size, with_data_count;
};

static inline struct compact_txns compact_txns_of(struct plog *pl)
{
        return (struct compact_txns){ .pl = pl };
}
void compact_txns_fini(struct compact_txns *t);
/* What comes next are batches of @s. Blocks. Return: 0; as plog_aborted(). */
int compact_txns_load(struct compact_txns *t, const struct segment *s);
/* Was it a batch of a transaction that was aborted? */
bool compact_txns_is_aborted(const struct compact_txns *t, const struct batch_header *h);
/* What is to become of the next batch. Aborted transactions that are still to be told of, because there are records or batches
 * of theirs, are added to @kept with their markers. Return: 0 or -ENOMEM. */
int compact_txns_judge(struct compact_txns *t, const struct batch_header *h, struct span batch, struct aborted *kept,
                       enum compact_fate *ret_fate);
