/* A list of aborted transactions: those that ended in one segment, in the order of their markers, and the bytes of its
 * BASE.txn file (FORMAT.md). Readers of committed records need it to tell which records they must leave out (KIP-98).
 * Not thread safe. */
#pragma once

#include "base/span.h"
#include "plog/plog.h"

enum {
        /* Aborted transactions that end in one segment: a segment is rolled rather than hold more, and compaction does not
         * join segments beyond it, so that whoever looks at a segment's list needs no more than 256 KiB. */
        ABORTED_MAX = 8192,
};

struct aborted {
        struct plog_aborted *entries; /* last offsets rise */
        uint32_t count, size;
};

void aborted_fini(struct aborted *a);
/* Memory for one more. Return: 0 or -ENOMEM. */
int aborted_reserve(struct aborted *a);
/* There is room. @t ends behind all others; else it is left out. */
void aborted_add(struct aborted *a, const struct plog_aborted *t);
/* Those that ended below @offset go. */
void aborted_drop_below(struct aborted *a, int64_t offset);
struct aborted_range {
        int64_t from, to;           /* they have an offset from here up to below there */
        int64_t last_from, last_to; /* and end from here up to below there */
};
/* Append to @out those in the range. Return: 1 when no later list can hold any more of them; 0; -ENOMEM. */
int aborted_select(const struct aborted *a, const struct aborted_range *range, struct aborted *out);

/* Content of a .txn file; free(*ret_data). -ENOMEM. */
int aborted_encode(const struct aborted *a, int64_t base_offset, void **ret_data, size_t *ret_len);
/* Read one over an empty @a. Pure. Return: 0; -EUCLEAN damaged or of another segment; -ENOMEM. */
int aborted_decode(struct aborted *a, struct span bytes, int64_t base_offset);

/* Entries alone, as they are in a snapshot too. @ret has room for all of @a. */
struct disk_aborted;
void aborted_encode_entries(const struct aborted *a, struct disk_aborted *ret);
/* Append @count entries that end at or above @last_from. Return: 0; -EUCLEAN; -ENOMEM. */
int aborted_decode_entries(struct aborted *a, const struct disk_aborted *d, uint32_t count, int64_t last_from);
