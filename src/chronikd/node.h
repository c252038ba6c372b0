/* One running node: what it consists of. Made and ended by node.c; admin*.c and metrics.c read it. A process may have
 * several (the simulator does); the program has one, see serve.c. */
#pragma once

#include <stdatomic.h>

#include "chronikd/admin_gate.h"
#include "chronikd/audit.h"
#include "chronikd/changes.h"
#include "chronikd/compactor.h"
#include "chronikd/first_user.h"
#include "chronikd/led.h"
#include "chronikd/listeners.h"
#include "chronikd/look.h"
#include "chronikd/member.h"
#include "chronikd/mesh.h"
#include "chronikd/progress.h"
#include "chronikd/replication.h"
#include "chronikd/retain.h"
#include "chronikd/scrub.h"
#include "chronikd/secret_ages.h"
#include "chronikd/token_secret.h"
#include "chronikd/transactions.h"
#include "controller/controller.h"
#include "coord/groups.h"
#include "coord/txn_link.h"
#include "coord/txns.h"
#include "handler/handler.h"
#include "meta/publish.h"
#include "obs/http.h"
#include "share/shares.h"

struct node {
        struct conf *conf;
        struct loop *loop;
        struct iopool *pool;
        struct plog_store
                *store; /* NULL: without the role ingest, and without handler, coord, net and what goes with them */
        struct controller *controller;
        struct partition_table *table;
        struct handler *handler;
        struct coord *coord, *txns; /* of groups, of transactions */
        struct groups_conf groups_conf;
        struct txns_conf txns_conf;
        struct txn_link txn_link;
        struct shares *shares;
        struct loop *reactors[256];
        struct net_server *net;
        struct listeners listeners;
        struct audit audit;
        struct first_user first_user;
        struct token_secrets token_secrets; /* with the role ingest */
        struct secret_ages secret_ages;
        struct led led;
        struct changes changes;
        struct retain retain;
        struct compactor compactor;
        struct progress progress;
        struct scrub scrub;
        struct member member; /* with the role ingest */
        struct mesh mesh;
        struct look look;
        struct replication replication;
        char log_dir[1200], meta_dir[1200], kafka[300];
        int64_t retained_ms, retried_ms;

        struct loop_timer tick;
        struct mail net_stopped;
        void (*ingest_stopped)(struct node *n);
        atomic_bool ready, stopping;

        struct admin_gate *gate; /* of the admin listener, the owner's; NULL: there is no listener */

        /* By the owner, before node_start(); may be NULL. Main loop: every partition is open, clients are served. */
        void (*on_ready)(void *arg);
        void *arg;
};

/* ---- node.c: on the thread that runs the main loop ---- */

/* Open what is on disk and listen for clients. @conf is borrowed until node_free(). Return: 0, or 1 when that cannot be: why
 * has been said, and the process is to end, because what had been begun is not undone. */
int node_new(struct conf *conf, struct node **ret_node);
/* Register, open the logs, serve, once @n->loop runs, which is the caller's business. */
void node_start(struct node *n);
/* Say "stopping" from now on, and have others lead what this node leads, for some seconds at most; then @left, on the main loop.
 * Until then it serves. Once. */
void node_leave(struct node *n, void (*left)(void *arg), void *arg);
/* After that: stop in good order; ends @n->loop. Once. */
void node_stop(struct node *n);
/* After the loop has ended. NULL is fine. Returns NULL. */
struct node *node_free(struct node *n);

/* Room on the file system of records; of metadata where the node keeps no records. Any thread. Both 0 when it cannot be told. */
void node_disk_space(const struct node *n, uint64_t *ret_free, uint64_t *ret_total);

/* Say @what, and @why; returns 1. */
int node_fail(const char *what, const char *why);
/* "HOST:PORT", an IPv6 address in brackets. */
void node_format_address(struct conf_addr a, char *text, size_t size);
/* Why an address cannot be listened on; static or thread-local text. */
const char *node_why_not(int error);

/* ---- the admin listener ---- */

/* Answer a request of the admin listener (admin.c), if who asks may do it. On a thread of its own; may wait. */
void admin_serve(void *node, struct http_request *rq);
/* The same of a request that the node itself or another one makes: nobody is asked who they are. */
void admin_answer(struct node *n, struct http_request *rq);
/* The node's metrics as Prometheus text (metrics.c). Likewise. */
void metrics_write(struct node *n, struct strbuf *out);
