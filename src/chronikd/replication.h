/* Replication as part of a node: the replicator, and its questions and news brought to the controller. */
#pragma once

#include <stdatomic.h>

#include "controller/controller.h"
#include "replica/replicator.h"

struct replication {
        struct replicator *replicator; /* NULL: this node is alone */
        struct controller *controller;
        struct loop *loop; /* where the controller's answers arrive: the main loop */
        struct partition_table *table;
        int32_t node_id;
        char watermarks_path[1300];
        int32_t fetch_wait_ms, fetch_bytes;
        atomic_llong broker_epoch;
        /* Monotonic ms until which this node may act as leader beside others: the controller answered its heartbeat. */
        atomic_llong lease_until_ms;
        atomic_bool stopping;
        bool replicator_stopped, hub_stopped;
        void (*stopped)(void *arg);
        void *arg;
};

/* Make the replicator and register its service, before the hub starts. The members above @broker_epoch but the first are filled in.
 * Return: 0 or negative errno. */
int replication_open(struct replication *r, struct peer_hub *hub, struct iopool *pool);
/* This node has registered. On the main loop. */
void replication_registered(struct replication *r, int64_t broker_epoch);
/* Which replicas here may miss acknowledged records, because what their log once had on stable storage is damaged or gone: for
 * CONTROLLER_REPORT_LOSS, in @mem. Return: 0 or -ENOMEM. */
int replication_losses(struct replication *r, struct arena *mem, struct controller_report_loss **ret_items,
                       uint32_t *ret_count);
/* Fetch nothing more and ask nothing more; the rest ends with the hub. On the main loop. */
void replication_stop(struct replication *r);
/* The hub has stopped: when nothing of replication runs any more, @stopped, on the main loop; at once without a replicator. */
void replication_hub_stopped(struct replication *r, void (*stopped)(void *arg), void *arg);
/* Before the hub is freed. */
void replication_close(struct replication *r);
