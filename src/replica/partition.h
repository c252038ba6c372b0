/* A partition as its leader sees it: the log, the leader epoch, the high watermark, and those who wait for it.
 *
 * The high watermark is the end of what every replica in sync holds durably; with one replica it is the log's durable
 * end (or the log end for a topic that does not flush before it acknowledges). Nothing at or above it is shown to
 * consumers. Whoever waits is told by mail on a loop of its own; nobody scans.
 *
 * Thread: any, unless it says otherwise. Lock order: partition, then plog (docs/LOCKS.md). */
#pragma once

#include "plog/plog.h"
#include "sys/loop.h"

struct partition;

enum {
        PARTITION_OK = 0,
        /* Positive outcomes of plog_append() are passed on unchanged (PLOG_E_...); these come on top. */
        PARTITION_E_NOT_LEADER = 100,
        PARTITION_E_FENCED_EPOCH,        /* the caller's leader epoch is older than ours */
        PARTITION_E_UNKNOWN_EPOCH,       /* the caller's leader epoch is newer than ours */
        PARTITION_E_NOT_ENOUGH_REPLICAS, /* before the append: the ISR is below the minimum */
};

/* What the topic's configuration says of records and acknowledgements. Small: copied for each produce. */
struct partition_conf {
        int32_t min_insync_replicas;
        int32_t replicas_count;    /* the minimum in sync is never more than this */
        bool flush_before_ack;     /* acknowledged means on stable storage */
        bool compacted;            /* records need a key */
        bool deletable;            /* cleanup.policy holds delete: DeleteRecords is allowed */
        bool log_append_time;      /* the broker's clock goes into the batch */
        int32_t max_message_bytes; /* largest batch, as stored */
        int64_t timestamp_before_max_ms, timestamp_after_max_ms;
        int8_t compression; /* codec to store in; -1: the producer's */
        int32_t compression_level;
};

struct partition_open_args {
        const char *topic_name;
        struct uuid topic_id;
        int32_t index;
        int32_t leader_epoch;
        struct plog *log; /* reference taken over */
        struct partition_conf conf;
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
/* A new leader epoch (KIP-101): written to the log's epoch history. */
int partition_set_leader_epoch(struct partition *p, int32_t leader_epoch);

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
        int64_t start_offset;
        int64_t high_watermark;
        int64_t stable_offset; /* last stable offset (read_committed may read below it); never above high_watermark */
        int64_t end_offset;
        int32_t leader_epoch;
        bool closed;
        bool failed; /* the log is read-only after a write error */
};
void partition_view(struct partition *p, struct partition_view *ret);

/* Compare a client's idea of the leader epoch with ours (-1: no check; KIP-320).
 * Return: 0, PARTITION_E_FENCED_EPOCH, PARTITION_E_UNKNOWN_EPOCH, PARTITION_E_NOT_LEADER. */
int partition_check_epoch(struct partition *p, int32_t current_leader_epoch);

/* plog_append() under the partition's leadership: args->leader_epoch and keep_base_offset are set here.
 * @need_min_isr: acks=all; refused before the append when the ISR is too small. */
int partition_append(struct partition *p, struct plog_append_args *args, bool need_min_isr,
                     struct plog_append_result *ret);

/* ---- waiting ---- */

/* Embedded in its owner, zeroed before first use; the owner sets mail.fn. The mail is posted exactly once after
 * partition_wait(), unless partition_unwait() returned true first. @outcome is set before: 0 or PARTITION_E_NOT_LEADER /
 * PLOG_E_FAILED. */
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
        PARTITION_WAIT_LOCAL, /* acks=1: until this node holds everything below offset as the topic promises it */
        PARTITION_WAIT_DATA,  /* until high watermark > offset, or start offset > offset: something new to read */
        PARTITION_WAIT_STABLE, /* the same for readers of committed records: last stable offset > offset, or start offset */
};

/* Tell @loop (by w->mail, whose fn the owner has set) when the condition holds; at once when it does already.
 * Thread: @loop's, or any other that @loop's does not know of the wait before. */
void partition_wait(struct partition *p, struct partition_wait *w, enum partition_wait_kind kind, int64_t offset,
                    struct loop *loop);
/* Stop waiting. Return: true when no mail will come (any more); false when it was posted and must be awaited.
 * Thread: the loop that was given to partition_wait(). */
bool partition_unwait(struct partition_wait *w);
