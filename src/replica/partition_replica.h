/* What replication itself needs of a partition: the leader's side of a follower's fetch, the follower's side of the
 * answer, questions about the ISR, and news without waiting. Handlers and coordinators need none of it.
 *
 * Thread: any; what blocks says so. */
#pragma once

#include "replica/partition.h"

/* ---- news ---- */

enum {
        PARTITION_NEWS_DATA = 1,      /* the log's end moved */
        PARTITION_NEWS_WATERMARK = 2, /* the high watermark or the log's start moved */
        PARTITION_NEWS_DURABLE = 4,   /* the durable end moved */
        PARTITION_NEWS_ROLE = 8,      /* role, leader or leader epoch changed; or it was closed */
        PARTITION_NEWS_FAILED = 16,   /* the log failed */
        PARTITION_NEWS_ISR = 32,      /* this node leads as before, and the ISR may be another */
};

/* Embedded in its owner; fn is called with the partition's lock held, on any thread: it notes the news under a lock of its
 * own and posts mail, and calls nothing of the partition. */
struct partition_watch {
        struct ilist link;
        void (*fn)(struct partition_watch *w, unsigned news);
};

/* From now on @w is called, until partition_unwatch(). Its link is in no list. */
void partition_watch(struct partition *p, struct partition_watch *w);
/* When it returns, no call is under way and none will come. Harmless when it is not watching. */
void partition_unwatch(struct partition *p, struct partition_watch *w);

/* ---- the leader's side ---- */

/* What a follower says of its log. The node is authenticated. */
struct partition_fetch {
        int32_t node;
        int64_t broker_epoch;
        int32_t leader_epoch; /* that it follows */
        int64_t fetch_offset; /* its log's end */
        int64_t durable_end;
        int32_t last_epoch;   /* of its last batch; -1: it has none */
        int64_t start_offset; /* -1: not known */
        bool damaged;         /* there are records that it cannot serve */
};

struct partition_fetch_answer {
        int64_t high_watermark, start_offset, end_offset;
        int32_t leader_epoch;
        int32_t diverging_epoch; /* -1: its log is a prefix of ours; else the largest epoch that both know ... */
        int64_t diverging_end;   /* ... and where it ended in our log (KIP-101, KIP-595) */
};

/* Take note of a follower's position (when its log is a prefix of ours) and tell it ours.
 * Return: 0; PARTITION_E_NOT_LEADER, PARTITION_E_FENCED_EPOCH, PARTITION_E_UNKNOWN_EPOCH, PARTITION_E_NOT_REPLICA;
 * PLOG_E_OUT_OF_RANGE with @ret: it ends before our start or behind our end. */
int partition_replica_fetch(struct partition *p, const struct partition_fetch *f, struct partition_fetch_answer *ret);
/* May a replica on @node have records of this leader in this epoch? Return: as before, but for PLOG_E_OUT_OF_RANGE. */
int partition_check_replica(struct partition *p, int32_t node, int64_t broker_epoch, int32_t leader_epoch);
/* A follower cannot go on: out of the ISR with it. Return: as before. */
int partition_replica_failed(struct partition *p, const struct partition_fetch *f);
/* Is the follower one of the ISR? What is not is caught up at a bounded rate. */
bool partition_replica_in_sync(struct partition *p, int32_t node);

/* The question that events.ask told of. Return: false when there is none any more. */
bool partition_take_ask(struct partition *p, struct insync_ask *ret_ask);
void partition_ask_answered(struct partition *p, const struct insync_ask *ask, enum insync_outcome outcome);
/* Now and then, more often than every lag_max_ms: who lags is found here, and a lease that was renewed. */
void partition_tick(struct partition *p);

/* ---- the follower's side; all refuse (PARTITION_E_NOT_FOLLOWER) unless it follows in @leader_epoch ---- */

struct partition_position {
        int32_t leader, leader_epoch;
        int64_t start_offset, durable_start, durable_end, end_offset;
        int32_t last_epoch; /* of the last batch; -1: it has none */
        bool failed, damaged;
        bool throttled; /* it is not in sync, and catches up at the throttled rate */
};
/* Where the next fetch goes on. Return: 0 or PARTITION_E_NOT_FOLLOWER. */
int partition_position(struct partition *p, struct partition_position *ret);

/* Append what the leader sent, CRCs checked: see plog_append_run(). */
int partition_follow_append(struct partition *p, int32_t leader_epoch, struct span batches,
                            struct plog_run_result *ret);
/* The leader's high watermark: ours is that, as far as the log reaches. */
int partition_follow_watermark(struct partition *p, int32_t leader_epoch, int64_t high_watermark);
/* The leader says where our logs part: cut ours there, as far as one answer tells (KIP-101). Blocks. Return: 0; and as
 * plog_truncate(). */
int partition_follow_truncate(struct partition *p, int32_t leader_epoch, int32_t diverging_epoch,
                              int64_t diverging_end);
/* Nothing is left of ours in the leader's log: begin anew at @offset. Blocks. Return: as plog_restart(). */
int partition_follow_restart(struct partition *p, int32_t leader_epoch, int64_t offset);
/* The leader's log begins at @offset: so does ours from now on, as far as it reaches. Blocks. Return: as
 * plog_delete_records(). */
int partition_follow_start(struct partition *p, int32_t leader_epoch, int64_t offset);
