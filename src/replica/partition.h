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
        PARTITION_E_FENCED_EPOCH,   /* the caller's leader epoch is older than ours */
        PARTITION_E_UNKNOWN_EPOCH,  /* the caller's leader epoch is newer than ours */
        PARTITION_E_NOT_ENOUGH_REPLICAS, /* before the append: the ISR is below the minimum */
};

struct partition_conf {
        int32_t min_insync_replicas;
        bool flush_before_ack;
};

struct partition_open_args {
        const char *topic_name;
        struct uuid topic_id;
        int32_t index;
        int32_t leader_epoch;
        struct plog *log;          /* reference taken over */
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
/* A new leader epoch (KIP-101): written to the log's epoch history. */
int partition_set_leader_epoch(struct partition *p, int32_t leader_epoch);

const char *partition_topic_name(const struct partition *p);
struct uuid partition_topic_id(const struct partition *p);
int32_t partition_index(const struct partition *p);
struct plog *partition_log(struct partition *p); /* borrowed while the partition is held */

struct partition_view {
        int64_t start_offset;
        int64_t high_watermark;
        int64_t stable_offset;  /* last stable offset (read_committed may read below it); never above high_watermark */
        int64_t end_offset;
        int32_t leader_epoch;
        bool closed;
        bool failed;            /* the log is read-only after a write error */
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

/* Embedded in its owner. The mail is posted exactly once after partition_wait(), unless partition_unwait() returned
 * true first. @outcome is set before: 0 or PARTITION_E_NOT_LEADER / PLOG_E_FAILED. */
struct partition_wait {
        struct ilist link;
        int64_t offset;
        struct loop *loop;
        struct mail mail;
        int outcome;
        uint8_t kind, state;
        struct partition *partition; /* held while waiting */
};

enum partition_wait_kind {
        PARTITION_WAIT_ACK,   /* until high watermark >= offset */
        PARTITION_WAIT_DATA,  /* until high watermark > offset, or start offset > offset: something new to read */
};

/* Tell @loop (by w->mail, whose fn the owner has set) when the condition holds; at once when it does already. */
void partition_wait(struct partition *p, struct partition_wait *w, enum partition_wait_kind kind, int64_t offset,
                    struct loop *loop);
/* Stop waiting. Return: true when the mail will not come; false when it was posted already and must be awaited. */
bool partition_unwait(struct partition_wait *w);
