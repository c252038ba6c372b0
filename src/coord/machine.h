/* What a coordinator's state machine is to its host: given requests, time and news, it hands back answers and records.
 * Its log is one internal partition; the host (shard.h) reads that at the start and appends what comes out.
 * The group coordinator is one such machine (groups.h), the transaction coordinator another (txns.h). */
#pragma once

#include "coord/request.h"

struct coord_marks;

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
        struct ilist marks;   /* coord_marks.link: to be sent; of the transaction coordinator alone (marks.h) */
        struct coord_record *records, **records_tail;
        size_t records_count;
        uint64_t seq;        /* number of this write, when there are records */
        int64_t producer_id; /* whose transaction the records belong to; -1: nobody's */
        int16_t producer_epoch;
        struct arena arena; /* memory of the records */
};

static inline void coord_actions_init(struct coord_actions *a)
{
        *a = (struct coord_actions){ .producer_id = -1 };
        ilist_init(&a->replies);
        ilist_init(&a->marks);
        a->records_tail = &a->records;
        arena_init(&a->arena, 0);
}

static inline void coord_actions_fini(struct coord_actions *a)
{
        arena_fini(&a->arena);
}

struct coord_stats {
        /* Gauges. */
        uint64_t groups, members, offsets, memory, txns, txns_open;
        /* Counters. */
        uint64_t rebalances, session_expiries, offsets_committed, offsets_expired, joins_refused, records_skipped;
        uint64_t txns_committed, txns_aborted, txns_timed_out;
};
enum {
        COORD_STATS_COUNT = sizeof(struct coord_stats) / sizeof(uint64_t),
        COORD_GAUGES_COUNT = offsetof(struct coord_stats, rebalances) / sizeof(uint64_t),
};

/* Functions that return int: 0, or negative errno, after which the machine is to be dropped and loaded again. */
struct coord_machine_ops {
        int (*new)(const void *arg, void **ret_machine);
        void (*free)(void *m);
        /* Loading, on any one thread: a record of the log, in order. @value null: a tombstone. @producer_id: whose transaction it
         * belongs to; -1: nobody's. */
        int (*replay)(void *m, int64_t producer_id, struct span key, struct span value);
        /* Likewise: the end of a producer's transaction in this log. NULL: the machine's log has none. */
        int (*replay_marker)(void *m, int64_t producer_id, bool commit);
        int (*loaded)(void *m, struct coord_time now, struct coord_actions *acts);
        /* Events. */
        int (*request)(void *m, struct coord_request *rq, struct coord_time now, struct coord_actions *acts);
        int (*tick)(void *m, struct coord_time now, struct coord_actions *acts);
        int (*topic_deleted)(void *m, struct str topic, struct coord_time now, struct coord_actions *acts);
        /* The end of a producer's transaction was appended to this log, as the write acts->seq; there are no records. NULL: the
         * log has none. */
        int (*marker)(void *m, int64_t producer_id, bool commit, struct coord_time now, struct coord_actions *acts);
        /* Markers that were handed out in coord_actions are where they belong; they are the machine's again. May be NULL. */
        int (*marked)(void *m, struct coord_marks *marks, struct coord_time now, struct coord_actions *acts);
        /* Every write up to @seq is committed. */
        int (*committed)(void *m, uint64_t seq, struct coord_time now, struct coord_actions *acts);
        /* Give back every request that is parked. */
        void (*abort)(void *m, int outcome, struct coord_actions *acts);
        /* A request that changes nothing but how long somebody's session lasts, and rests on nothing that is not committed: fill in its
         * answer. On any thread, in between events (the host has a lock), when the machine is loaded. Return: false: it is another
         * one, and is untouched. NULL: the machine has none. */
        bool (*quick)(void *m, struct coord_request *rq, int64_t mono_ms);
        int64_t (*next_ms)(const void *m);
        void (*stats)(const void *m, struct coord_stats *ret);
};
