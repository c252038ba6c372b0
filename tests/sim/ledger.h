/* What transactional producers did, and what readers of committed records may see of it: of each transaction all or nothing, and of
 * one that was not committed nothing; each producer's in order; the offset that was committed with the last one that is there. */
#pragma once

#include "history.h"

enum { LEDGER_WRITERS_MAX = 4, LEDGER_VALUE_LEN = 20 };

enum ledger_outcome {
        LEDGER_OPEN,      /* it may yet become anything */
        LEDGER_COMMITTED, /* the producer was told so */
        LEDGER_ABORTED,   /* it never asked for a commit, or was told that there is none */
        LEDGER_UNKNOWN,   /* it asked for a commit and was told nothing */
};

struct ledger_txn {
        uint32_t number, writer;
        enum ledger_outcome outcome;
        uint32_t sent[HISTORY_PARTITIONS_MAX]; /* records that are acknowledged, or on their way */
        uint32_t found[HISTORY_PARTITIONS_MAX];
        bool shown;  /* as committed */
        bool staged; /* its number is the offset that it commits */
};

struct ledger_counts {
        uint64_t txns, committed, aborted, unknown, shown, zombies, timed_out, staged, concurrent;
};
extern struct ledger_counts ledger_counts;

void ledger_reset(void);
/* A transaction begins; the pointer is good until the next one does. */
struct ledger_txn *ledger_begin(uint32_t writer);
struct ledger_txn *ledger_find(uint32_t number);
/* Record @index of the transaction in partition @part. */
void ledger_value(const struct ledger_txn *t, int32_t part, uint32_t index, uint8_t ret[LEDGER_VALUE_LEN]);
/* A reader of committed records was shown it. */
void ledger_show(struct history_part *p, int64_t offset, struct span value);

/* At the end: each partition's records are given to ledger_found() in order, between these two. @offsets: what each writer's group has
 * committed; -1: nothing. */
void ledger_read_begin(void);
void ledger_found(struct history_part *p, int64_t offset, struct span value);
void ledger_read_end(const int64_t offsets[LEDGER_WRITERS_MAX], const char *when);
