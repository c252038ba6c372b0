/* Where the logs of partitions end, wherever they are led: for the lag of groups. It goes by the link of txn_link.h, and lives as that does. */
#pragma once

#include "coord/txn_link.h"

enum { LOG_END_UNKNOWN = -1 };

struct log_end {
        struct uuid topic_id;
        int32_t partition;
        int32_t leader;  /* as the metadata says; -1: nobody just now */
        int64_t ret_end; /* the first offset that is not replicated; LOG_END_UNKNOWN: the leader is not, cannot be reached, or does not know yet */
};

/* Embedded in its owner, who keeps it and the items until done(). */
struct log_ends {
        struct log_end *items;
        size_t count;
        struct arena *arena; /* for the questions; lives as long */
        struct loop *loop;   /* where this is started, and done */
        void (*done)(struct log_ends *e);

        struct txn_link *link;
        size_t left; /* questions on their way, and one while they are made */
};

/* Ask all leaders at once, each in pieces of a bounded length. @e->done once, perhaps before this returns. Items without an answer are
 * LOG_END_UNKNOWN; that is no failure. */
void log_ends_ask(struct txn_link *l, struct log_ends *e);

/* Answer other nodes; by txn_link_register(). */
int log_ends_register(struct txn_link *l);
