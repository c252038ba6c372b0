/* What a coordinator's state machine is to its host: given requests, time and news, it hands back answers and records.
 * Its log is one internal partition; the host (shard.h) reads that at the start and appends what comes out.
 * The group coordinator is one such machine (groups.h); the transaction coordinator will be another. */
#pragma once

#include "coord/request.h"

struct coord_time {
        int64_t mono_ms; /* for time-outs */
        int64_t wall_ms; /* for what is written */
};

struct coord_record {
        struct coord_record *next;
        struct span key;
        struct span value; /* null: a tombstone */
};

struct coord_actions {
        struct ilist replies; /* coord_request.link, in order */
        struct coord_record *records, **records_tail;
        size_t records_count;
        uint64_t seq;       /* number of this write, when there are records */
        struct arena arena; /* memory of the records */
};

static inline void coord_actions_init(struct coord_actions *a)
{
        *a = (struct coord_actions){ 0 };
        ilist_init(&a->replies);
        a->records_tail = &a->records;
        arena_init(&a->arena, 0);
}

static inline void coord_actions_fini(struct coord_actions *a)
{
        arena_fini(&a->arena);
}

/* Gauges, then counters. */
struct coord_stats {
        uint64_t groups, members, offsets, memory;
        uint64_t rebalances, session_expiries, offsets_committed, offsets_expired, joins_refused, records_skipped;
};
enum { COORD_STATS_COUNT = sizeof(struct coord_stats) / sizeof(uint64_t) };

/* Functions that return int: 0, or negative errno, after which the machine is to be dropped and loaded again. */
struct coord_machine_ops {
        int (*new)(const void *arg, void **ret_machine);
        void (*free)(void *m);
        /* Loading, on any one thread: a record of the log, in order. @value null: a tombstone. */
        int (*replay)(void *m, struct span key, struct span value);
        int (*loaded)(void *m, struct coord_time now, struct coord_actions *acts);
        /* Events. */
        int (*request)(void *m, struct coord_request *rq, struct coord_time now, struct coord_actions *acts);
        int (*tick)(void *m, struct coord_time now, struct coord_actions *acts);
        int (*topic_deleted)(void *m, struct str topic, struct coord_time now, struct coord_actions *acts);
        /* Every write up to @seq is committed. */
        void (*committed)(void *m, uint64_t seq);
        /* Give back every request that is parked. */
        void (*abort)(void *m, int outcome, struct coord_actions *acts);
        int64_t (*next_ms)(const void *m);
        void (*stats)(const void *m, struct coord_stats *ret);
};
