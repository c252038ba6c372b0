/* What transactions need of other nodes: a coordinator has markers written by the partitions' leaders, a leader asks the
 * coordinator whether a partition takes part, and an operator's word goes to the coordinator. To the own node both go without a connection.
 *
 * Order of life: txn_link_init(), txn_link_register() before the hub starts, txn_link_start() once there are coordinators, ...,
 * txn_link_stop() after the hub has stopped and while the loops still run. */
#pragma once

#include <stdatomic.h>

#include "coord/coord.h"
#include "coord/marks.h"
#include "peer/peer.h"
#include "replica/table.h"

/* Where the metadata says that a partition is. */
struct txn_place {
        struct uuid topic_id;
        int32_t leader; /* -1: nobody just now */
};

struct txn_link {
        /* By the owner, before txn_link_init(). */
        int32_t node_id;
        struct peer_hub *hub; /* NULL: the node is alone */
        struct partition_table *table;
        /* Any thread. Return: false: there is no such partition (any more). */
        bool (*find)(void *arg, struct str topic, int32_t partition, struct txn_place *ret);
        void *arg;

        struct coord *_Atomic groups, *_Atomic txns; /* NULL: not yet */
        atomic_bool stopping;
        atomic_uint in_work; /* and one for as long as it is not being stopped */
        struct loop *stop_loop;
        struct mail stop_mail;
        void (*stopped)(void *arg);
        void *stopped_arg;
};

void txn_link_init(struct txn_link *l);
/* Serve other nodes; without a hub nothing. Return: as peer_hub_register(). */
int txn_link_register(struct txn_link *l);
void txn_link_start(struct txn_link *l, struct coord *groups, struct coord *txns);
/* @stopped on @loop once nothing is on its way any more. */
void txn_link_stop(struct txn_link *l, struct loop *loop, void (*stopped)(void *arg), void *arg);

/* ---- a coordinator's markers: mark_send.c ---- */

/* See struct coord_config, @link being the struct txn_link: until all markers are written and replicated, or nobody waits. On a loop. */
void txn_link_send(void *link, struct coord_marks *m);

/* ---- one marker into logs of this node: mark_write.c ---- */

struct mark_write;

struct mark_item {
        struct str topic;
        int32_t partition;
        /* COORD_OK: written, and replicated; COORD_E_INVALID_PRODUCER_EPOCH: the log knows this epoch or a newer one already, and
         * that is replicated; COORD_E_COORDINATOR_FENCED, _NOT_COORDINATOR (this node does not lead it), _UNKNOWN_PARTITION,
         * _LOADING, _NOT_AVAILABLE; negative errno. */
        int outcome;

        struct mark_write *write;
        struct partition *p; /* held */
        struct partition_wait wait;
        struct coord_txn_marker ask; /* of the coordinator of groups, for its own partitions */
};

/* Embedded in its owner, who keeps it until @done. */
struct mark_write {
        struct txn_link *link;
        struct loop *loop; /* where it is started, and done */
        int64_t producer_id;
        int16_t producer_epoch;
        int32_t coordinator_epoch;
        bool commit, bumped;
        struct mark_item *items; /* zeroed but for topic and partition */
        size_t items_count;
        void (*done)(struct mark_write *w); /* once, perhaps at once */

        size_t left;
        struct loop_timer timer;
};
void mark_write_start(struct mark_write *w);

/* ---- asking a transaction's coordinator: txn_ask.c ---- */

/* Embedded in its owner, who fills in @add (coord_request_init(), its input, reply_loop, done) and keeps it until done(). */
struct txn_ask {
        struct coord_txn_add add;
        struct txn_link *link;
        struct peer_call call;
        struct mail mail;
};
/* Answered once, on the reply loop. COORD_E_NOT_AVAILABLE: the coordinator cannot be reached. */
void txn_link_ask(struct txn_link *l, struct txn_ask *a);

/* ---- an operator's end of a transaction: txn_abort.c ---- */

/* Embedded in its owner, who fills in @rq (coord_request_init() with COORD_TXN_ABORT, reply_loop, done) and @partition, in which the
 * id lives, and keeps it until done(). */
struct txn_abort {
        struct coord_request rq;
        int32_t partition;
        struct txn_link *link;
        struct peer_call call;
        struct mail mail;
};
/* Answered once, on the reply loop, when the decision is committed; the markers follow. COORD_E_NOT_AVAILABLE: the coordinator cannot
 * be reached. Also on a node that coordinates nothing. */
void txn_link_abort(struct txn_link *l, struct txn_abort *a);

/* ---- for the files above ---- */

void txn_link_begin(struct txn_link *l);
void txn_link_end(struct txn_link *l);
int mark_write_register(struct txn_link *l);
int txn_ask_register(struct txn_link *l);
int txn_abort_register(struct txn_link *l);
