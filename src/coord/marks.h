/* The markers that end one transaction: made by its coordinator when it is decided, sent to the leader of every partition that
 * takes part (mark_sender.h), back when all have them. */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "base/span.h"

struct coord_shard;

struct coord_mark {
        struct str topic;
        int32_t partition;
        bool done; /* the sender's */
};

/* On the heap; owned by the shard's machine, then by the sender until coord_shard_marked() gives it back. */
struct coord_marks {
        struct ilist link;         /* of the machine's actions, then of the shard */
        struct coord_shard *shard; /* NULL: nobody waits for it. On the shard's loop */
        void *owner;               /* the machine's */
        int32_t coordinator_epoch;
        int64_t producer_id;
        int16_t producer_epoch;
        bool commit, bumped; /* see struct plog_marker_args */
        struct str id;       /* of the transaction, for diagnostics */
        struct coord_mark *items;
        size_t items_count;
        struct arena mem; /* of text and items */
};

/* With room for @items_max. NULL: no memory. */
struct coord_marks *coord_marks_new(struct str id, size_t items_max);
/* False: no memory. @topic is copied; the items of one topic come one after the other. */
bool coord_marks_add(struct coord_marks *m, struct str topic, int32_t partition);
/* NULL is fine. Returns NULL. */
struct coord_marks *coord_marks_free(struct coord_marks *m);
