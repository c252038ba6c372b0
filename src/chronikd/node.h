/* One running node: what it consists of. Made and ended by node.c; admin*.c read it. */
#pragma once

#include <stdatomic.h>

#include "chronikd/compactor.h"
#include "chronikd/led.h"
#include "chronikd/progress.h"
#include "chronikd/retain.h"
#include "chronikd/scrub.h"
#include "controller/controller.h"
#include "handler/handler.h"
#include "meta/publish.h"
#include "obs/http.h"

struct node {
        struct conf *conf;
        struct loop *loop;
        struct iopool *pool;
        struct plog_store *store;
        struct controller *controller;
        struct partition_table *table;
        struct handler *handler;
        struct coord *coord;
        struct loop *reactors[256];
        struct net_server *net;
        struct http_server *http;
        struct led led;
        struct retain retain;
        struct compactor compactor;
        struct progress progress;
        struct scrub scrub;
        struct meta_subscriber subscriber;
        char log_dir[1200], meta_dir[1200], kafka[300], admin[300];
        uint16_t port;
        int64_t retained_ms, retried_ms;

        struct controller_request rq; /* registration and heartbeats, one at a time */
        struct arena rq_mem;
        struct controller_register_broker registration;
        struct controller_heartbeat heartbeat;
        struct rec_broker_endpoint endpoint;
        struct uuid directory;
        struct loop_timer beat, tick;
        struct loop_signal on_term, on_int;
        struct mail net_stopped;
        struct io_job admin_closing;
        atomic_bool ready, stopping;
};

/* Run a node until it is told to stop (SIGTERM, SIGINT). Return: the exit status. */
int node_run(struct conf *conf);

/* ---- member.c; on the main loop ---- */

/* Register, follow the metadata, and renew the lease until member_stop(). A refusal ends the process. */
void member_start(struct node *n);
void member_stop(struct node *n);
/* For struct led: what the image at @index asks for is done. */
void member_applied(void *node, int64_t index);

/* ---- the admin listener ---- */

/* Answer a request of the admin listener (admin.c). On a thread of its own; may wait. */
void admin_answer(void *node, struct http_request *rq);
/* The node's metrics as Prometheus text (metrics.c). Likewise. */
void metrics_write(struct node *n, struct strbuf *out);
