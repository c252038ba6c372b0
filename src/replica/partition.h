/* A partition as one of its replicas sees it: the log, the role that this node has in it, the leader epoch, the high
 * watermark, and those who wait for it.
 *
 *             partition_set_state(): the metadata names as leader ...
 *   IDLE (nobody, or this node is no replica) <---> LEADER (this node) <---> FOLLOWER (another one)
 *
 * The high watermark is the end of what every replica in sync holds durably (or has written, for a topic that does not
 * flush before it acknowledges); with one replica it is the log's durable end. Nothing at or above it is shown to
 * consumers. A leader finds it (insync.h), a follower is told it. Whoever waits is told by mail on a loop of its own;
 * nobody scans. What only replication itself needs of a partition is in partition_replica.h.
 *
 * Thread: any, unless it says otherwise. Lock order: partition, then plog (docs/LOCKS.md). */
#pragma once

#include <stdatomic.h>

#include "plog/plog.h"
#include "replica/insync.h"
#include "sys/loop.h"

struct partition;

enum {
        PARTITION_OK = 0,
        /* Positive outcomes of plog_append() are passed on unchanged (PLOG_E_...); these come on top. */
        PARTITION_E_NOT_LEADER = 100,
        PARTITION_E_FENCED_EPOCH,        /* the caller's leader epoch is older than ours */
        PARTITION_E_UNKNOWN_EPOCH,       /* the caller's leader epoch is newer than ours */
        PARTITION_E_NOT_ENOUGH_REPLICAS, /* before the append: the ISR is below the minimum */
        PARTITION_E_NOT_ENOUGH_AFTER,    /* after the append: it is now, and the records may get lost yet */
        PARTITION_E_NOT_FOLLOWER,        /* this node does not follow, or another leader, or in another epoch */
        PARTITION_E_NOT_REPLICA,         /* who asks is no replica, or of an older registration */
};

enum partition_role { PARTITION_IDLE, PARTITION_LEADER, PARTITION_FOLLOWER };

/* What the topic's configuration says of records and acknowledgements. Small: copied for each produce. */
struct partition_conf {
        int32_t min_insync_replicas; /* more than there are replicas means all of them */
        bool flush_before_ack;       /* acknowledged means on stable storage */
        bool compacted;              /* records need a key */
        bool deletable;              /* cleanup.policy holds delete: DeleteRecords is allowed */
        bool log_append_time;        /* the broker's clock goes into the batch */
        int32_t max_message_bytes;   /* largest batch, as stored */
        int64_t timestamp_before_max_ms, timestamp_after_max_ms;
        /* This replica as a leader, or as a follower, catches up at the throttled rate. */
        bool leader_throttled, follower_throttled;
        int8_t compression; /* codec to store in; -1: the producer's */
        int32_t compression_level;
};

/* News to the owner of all partitions. Any may be NULL. */
struct partition_events {
        /* Role, leader or leader epoch changed. Called without locks, on the thread that changed it. */
        void (*role)(void *arg, struct partition *p);
        /* There is a question to the controller: partition_take_ask(). Called with the partition's lock held: posts mail. */
        void (*ask)(void *arg, struct partition *p);
        /* The log has failed: likewise, and once. Or this node should not go on leading: its disk has had no room for records, or
         * has made nothing durable, for too long, or some of its records are damaged; and others could; now and then for as long as that lasts. */
        void (*failed)(void *arg, struct partition *p);
        void *arg;
};

struct partition_open_args {
        const char *topic_name;
        struct uuid topic_id;
        int32_t index;
        int32_t node_id;      /* this node */
        int32_t leader_epoch; /* this node leads from now on, with no other replica; -1: IDLE until partition_set_state() */
        int64_t high_watermark; /* what is remembered of it; 0: nothing. For an IDLE one */
        struct plog *log;       /* reference taken over */
        struct partition_conf conf;
        struct partition_events events;
        int64_t lag_max_ms; /* a follower that was not caught up for longer leaves the ISR */
        /* Monotonic ms until which this node may act as leader of partitions with several replicas: the controller has
         * answered its heartbeat. NULL: always. Outlives the partition. */
        const atomic_llong *lease_until_ms;
};

/* Return: 0 or negative errno. The new partition has one reference. */
int partition_new(const struct partition_open_args *args, struct partition **ret_partition);
struct partition *partition_ref(struct partition *p);
struct partition *partition_unref(struct partition *p);
DEFINE_FREEP(struct partition, partition_unref)

/* The topic goes or leadership moves: every waiter is told now (PARTITION_E_NOT_LEADER), later calls refuse. */
void partition_close(struct partition *p);
void partition_set_conf(struct partition *p, const struct partition_conf *conf);
void partition_get_conf(struct partition *p, struct partition_conf *ret);
/* The metadata says this of the partition: take the role that follows. Saying the same again changes nothing, and older
 * epochs are ignored. While the log is being cut (partition_replica.h) the change waits until that is done.
 * A new leader epoch of our own is written to the log's epoch history (KIP-101). Return: 0; PLOG_E_CLOSED; -ENOMEM: all
 * is as it was, and it is to be said again. */
int partition_set_state(struct partition *p, const struct replica_state *s);

/* What it was made with; the name lives as long as the partition. */
const char *partition_topic_name(const struct partition *p);
struct uuid partition_topic_id(const struct partition *p);
int32_t partition_index(const struct partition *p);
struct plog *partition_log(struct partition *p); /* borrowed while the partition is held */

/* DeleteRecords is allowed for topics whose cleanup.policy holds delete. */
bool partition_is_deletable(struct partition *p);
/* Those who wait for data look again, whether there is any or not. */
void partition_wake(struct partition *p);
/* The log's start was moved from outside: tells those who wait below it. */
void partition_start_moved(struct partition *p);

struct partition_view {
        enum partition_role role;
        int32_t leader; /* as far as this node knows; -1: none */
        int64_t start_offset;
        int64_t high_watermark;
        /* Of a leader: its watermark has reached what the leaders before may have shown. Until then it is not told as the
         * latest offset, which would go back (KIP-207). */
        bool watermark_known;
        int64_t stable_offset; /* last stable offset (read_committed may read below it); never above high_watermark */
        int64_t end_offset;
        int32_t leader_epoch;
        bool closed;
        bool failed; /* the log is read-only after a write error */
};
void partition_view(struct partition *p, struct partition_view *ret);

/* Compare a client's idea of the leader epoch with ours (-1: no check; KIP-320), and see that this node leads.
 * Return: 0, PARTITION_E_FENCED_EPOCH, PARTITION_E_UNKNOWN_EPOCH, PARTITION_E_NOT_LEADER. */
int partition_check_epoch(struct partition *p, int32_t current_leader_epoch);
/* The same for who may also read from a follower (KIP-392). */
int partition_check_read(struct partition *p, int32_t current_leader_epoch);
/* This node leads, and nobody else can have been elected by this moment: what it knows is the newest. */
bool partition_leads_surely(struct partition *p);

/* An in-sync follower that a consumer at @offset may read from: it holds all below the high watermark. */
struct partition_reader {
        int32_t node;
        int64_t end_offset;
};
/* Of a leader: fill @ret with such followers. Return: how many, at most @max. */
unsigned partition_readers(struct partition *p, int64_t offset, struct partition_reader *ret, unsigned max);

/* plog_append() under the partition's leadership: args->leader_epoch and keep_base_offset are set here.
 * @need_min_isr: acks=all; refused before the append when the ISR is too small, and when the lease is over. */
int partition_append(struct partition *p, struct plog_append_args *args, bool need_min_isr,
                     struct plog_append_result *ret);

/* The same for one whose state stands on what it has read of the partition: refused (PARTITION_E_NOT_LEADER) unless this
 * node leads in @leader_epoch. */
int partition_append_in(struct partition *p, int32_t leader_epoch, struct plog_append_args *args, bool need_min_isr,
                        struct plog_append_result *ret);

/* ---- transactions ---- */

/* Taken before a transaction's coordinator is asked whether a producer's records may come here: between that and the append
 * neither the leader nor what is open here may have changed (KIP-890). */
struct partition_txn_guard {
        int32_t leader_epoch;
        int64_t marker_offset;
};
/* Of a batch with this header. Return: the coordinator need not be asked (see struct plog_txn_look). */
bool partition_txn_look(struct partition *p, const struct batch_header *h, struct partition_txn_guard *ret_guard);
/* As plog_txn_check(), and that this node leads as it did then. Return: also PARTITION_E_NOT_LEADER. */
int partition_txn_check(struct partition *p, int64_t producer_id, int16_t producer_epoch,
                        const struct partition_txn_guard *guard);
/* plog_append_marker() as partition_append_in() does it, with acks=all. @leader_epoch -1: any. */
int partition_append_marker_in(struct partition *p, int32_t leader_epoch, struct plog_marker_args *args,
                               struct plog_append_result *ret);

/* ---- waiting ---- */

/* Embedded in its owner, zeroed before first use; the owner sets mail.fn. The mail is posted exactly once after
 * partition_wait(), unless partition_unwait() returned true first. @outcome is set before: 0, PARTITION_E_NOT_LEADER,
 * PARTITION_E_NOT_ENOUGH_AFTER or PLOG_E_FAILED. */
struct partition_wait {
        struct ilist link;
        int64_t offset;
        struct loop *loop;
        struct mail mail;
        int outcome;
        uint8_t kind, state;
        struct partition *partition;                /* held while waiting */
        void (*fn)(struct loop *l, struct mail *m); /* the owner's, while mail.fn is the partition's */
};

enum partition_wait_kind {
        PARTITION_WAIT_ACK,   /* acks=all: until high watermark >= offset */
        PARTITION_WAIT_START, /* until no log of a replica that may be elected begins below offset */
        PARTITION_WAIT_LOCAL, /* acks=1: until this node holds everything below offset as the topic promises it */
        /* until high watermark > offset, or start offset > offset: something new to read. Of a follower, too */
        PARTITION_WAIT_DATA,
        PARTITION_WAIT_STABLE, /* the same for readers of committed records: last stable offset > offset, or start offset */
};

/* Tell @loop (by w->mail, whose fn the owner has set) when the condition holds; at once when it does already.
 * Thread: @loop's, or any other that @loop's does not know of the wait before. */
void partition_wait(struct partition *p, struct partition_wait *w, enum partition_wait_kind kind, int64_t offset,
                    struct loop *loop);
/* Stop waiting. Return: true when no mail will come (any more); false when it was posted and must be awaited.
 * Thread: the loop that was given to partition_wait(). */
bool partition_unwait(struct partition_wait *w);
