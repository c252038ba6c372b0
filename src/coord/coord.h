/* The coordinators of one kind on one node, of groups or of transactions: one shard for each partition of their topic
 * (__consumer_offsets, __transaction_state) that is led here, spread over the loops (partition i on loop i % n), reached by mail
 * from any thread, or not even that: a heartbeat that changes nothing is answered on the caller's.
 *
 * The owner says how many partitions the topic has, which of them are led here and which topics were deleted; it makes
 * the topic when a client first asks for a coordinator. */
#pragma once

#include "coord/machine.h"
#include "coord/place.h"
#include "replica/partition.h"
#include "sys/iopool.h"

struct coord;

struct coord_config {
        struct loop **loops; /* borrowed for the coordinator's life */
        unsigned loops_count;
        struct iopool *pool;
        const struct coord_machine_ops *ops;
        const void *machine_arg;   /* for ops->new; borrowed for the coordinator's life */
        int64_t commit_timeout_ms; /* Kafka: offsets.commit.timeout.ms, 5000 */
        /* As of a shard (shard.h); NULL: the machine hands out no markers. */
        void (*send)(void *arg, struct coord_marks *m);
        void *send_arg;
};

/* Return: 0 or -ENOMEM. */
int coord_new(const struct coord_config *cfg, struct coord **ret_coord);

/* Close every shard: all that waits is answered. Later opens are ignored, later requests get COORD_E_NOT_COORDINATOR.
 * @done runs once on @loop's thread when nothing of the coordinator runs any more. The loops must still run. */
void coord_stop(struct coord *c, struct loop *loop, void (*done)(void *arg), void *arg);
/* After coord_stop()'s answer, or when nothing was ever opened. NULL is fine. Returns NULL. */
struct coord *coord_free(struct coord *c);
DEFINE_FREEP(struct coord, coord_free)

/* ---- news from the owner; any thread; taken in order per calling thread ---- */

/* How many partitions the topic has; 0: there is no such topic (yet). */
void coord_set_partitions(struct coord *c, int32_t count);
int32_t coord_partitions(const struct coord *c);
/* Partition @index is led here: its state is read, then served. A reference of its own is taken.
 * Return: 0 or -ENOMEM. */
int coord_partition_open(struct coord *c, int32_t index, struct partition *p);
/* It is led here no longer. Return: 0 or -ENOMEM. */
int coord_partition_close(struct coord *c, int32_t index);
/* What was committed for @topic (copied) goes. Return: 0 or -ENOMEM. */
int coord_topic_deleted(struct coord *c, struct str topic);

/* ---- requests ---- */

/* Ask. @rq: coord_request_init() and its input fields, reply_loop and done. Owned by the coordinator until done() runs
 * on the reply loop, once, whatever happens. Any thread. COORD_LIST, COORD_SNAPSHOT and COORD_TXN_LIST visit every shard of
 * this node, COORD_TXN_MARKER that of its partition, others the one that their id lives in.
 * Return: true: it was a heartbeat that changes nothing, and is answered already. done() is called all the
 * same, on the reply loop's thread after this has returned. */
bool coord_submit(struct coord *c, struct coord_request *rq);

/* Sums over all shards, as of now. Any thread. */
void coord_stats(const struct coord *c, struct coord_stats *ret);
