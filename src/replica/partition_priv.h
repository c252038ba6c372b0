/* What the files partition*.c share. */
#pragma once

#include <pthread.h>

#include "replica/partition_replica.h"

struct partition {
        atomic_uint refs;
        struct uuid topic_id;
        int32_t index;
        int32_t node_id;
        char *topic_name;
        struct plog *log;
        struct partition_events events;
        const atomic_llong *lease_until_ms;
        int64_t lag_max_ms;

        pthread_mutex_t lock; /* guards all below */
        struct partition_conf conf;
        enum partition_role role;
        int32_t leader; /* -1: none */
        int32_t leader_epoch, partition_epoch;
        struct insync insync; /* its high_watermark is the partition's, in every role */
        bool in_isr;          /* this node is, says the metadata */
        bool closed;
        bool told_failed;
        int64_t no_room_ms;          /* since when appends find no room on the disk; 0: they do */
        int64_t stall_ms, stall_end; /* since when nothing became durable behind that end; 0: nothing waits for that */
        int64_t damage_told_ms;
        bool cutting;               /* a job on the pool cuts the log: no other role until it is done */
        struct replica_state *next; /* the state that waits for it; NULL: none */
        bool ask_waits;             /* partition_take_ask() */
        struct insync_ask ask;      /* while it waits */
        int64_t told_end, told_durable, told_start, told_watermark; /* to those who watch */
        struct ilist acks;                                          /* PARTITION_WAIT_ACK by offset, smallest first */
        struct ilist locals;                                        /* PARTITION_WAIT_LOCAL likewise */
        struct ilist starts;                                        /* PARTITION_WAIT_START likewise */
        struct ilist datas;   /* PARTITION_WAIT_DATA and _STABLE, no order: nearly all wait at the end */
        struct ilist watches; /* struct partition_watch */
};

/* ---- partition_wait.c; all but the last with the lock ---- */

/* Put everybody on a list on @ret_told, with an outcome. */
void waits_end_all(struct ilist *waits, int outcome, struct ilist *ret_told);
/* Those up to @end_offset of a list that is in order. */
void waits_end_up_to(struct ilist *waits, int64_t end_offset, struct ilist *ret_told);
/* Those who wait for data of which there is some now. */
void waits_end_datas(struct partition *p, int64_t stable_offset, int64_t start_offset, struct ilist *ret_told);
/* Post their mail; without the lock. */
void waits_post(struct ilist *told);

/* ---- partition.c ---- */

/* With the lock: look at the log, move the high watermark, and collect whom that concerns. */
void partition_advance(struct partition *p, struct ilist *ret_told);
/* With the lock: @news to all who watch. */
void partition_tell(struct partition *p, unsigned news);
/* With the lock. Without transactions that is the high watermark. */
int64_t partition_stable_offset(struct partition *p, const struct plog_ends *ends);
/* With the lock: may the leader act? @now_ms is monotonic. */
bool partition_has_lease(const struct partition *p, int64_t now_ms);

/* ---- partition_role.c ---- */

/* With the lock: the state that waited for the end of the cutting comes into force. Return: true when the owner is to be
 * told (partition_tell_role()). */
bool partition_apply_next(struct partition *p, struct ilist *ret_told);
/* Without the lock. */
void partition_tell_role(struct partition *p);

/* ---- partition_lead.c ---- */

/* With the lock, as a leader: what an append came to. */
void partition_note_room(struct partition *p, int append_outcome);

/* With the lock: ask the controller for a change of the ISR when there is one. */
void partition_ask(struct partition *p, int64_t now_ms);
