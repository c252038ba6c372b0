/* The active controller of this node: a thread that decides, one request after the other, on top of everything decided
 * before, and proposes the records to the quorum. Answers wait for the commit; images are published to subscribers.
 * Decisions are in decide.h and pure; this is their host. */
#pragma once

#include "controller/decide.h"
#include "meta/publish.h"
#include "quorum/observer.h"

struct controller;
struct peer_hub;

struct controller_config {
        const char *dir; /* the metadata folder. Borrowed for controller_new() */
        int32_t node_id;
        bool follows_only; /* no member of the quorum: the metadata is pulled from @quorum.controllers, and never decided on here */
        const struct conf *conf; /* a reference is taken */
        struct iopool *pool;
        struct peer_hub *hub;  /* the way to other nodes, who ask here, too; NULL: there are none */
        struct str cluster_id; /* of a new cluster, or to be checked; null: any. Borrowed likewise */
        const struct controller_feature *features; /* must stay */
        size_t features_count;
        const struct controller_alter_credential *first_user; /* of a new cluster: its credentials. Must stay */
        size_t first_user_count;                              /* 0: it has none */
        int64_t session_timeout_ms;                           /* 0: 9 s */
        struct quorum_config quorum; /* dir, node_id, loop and pool are filled in here. All zero is a node alone */
};

/* Open the metadata folder (see quorum_open()); blocks. The thread does not run yet; the image that the store holds is
 * already readable.
 * Return: 0; QUORUM_E_REFUSED; negative errno; @why says what to do. */
int controller_new(const struct controller_config *cfg, struct controller **ret_controller, char *why, size_t why_size);
/* Start the thread. Requests may be submitted from now on; they wait until this node is active. Return: 0 or errno. */
int controller_start(struct controller *c);
/* Stop: refuse new requests, finish those on their way, write the image to the store, then call @done on @reply_loop, or
 * on the controller's thread when that is NULL. No request is answered after that. Any thread, once. */
void controller_stop(struct controller *c, struct loop *reply_loop, void (*done)(void *arg), void *arg);
/* Join the thread and free. Blocks; after controller_stop() has called back, or when never started. NULL is fine. */
struct controller *controller_free(struct controller *c);
DEFINE_FREEP(struct controller, controller_free)

/* There are other nodes: ask them, and answer them, over @hub. Before controller_start() and peer_hub_start(); the controller must
 * have stopped before the hub does. Return: as peer_hub_register(). */
int controller_serve_peers(struct controller *c, struct peer_hub *hub);

/* Ask the active controller, which may be another node. Any thread; @rq->done runs once on @rq->reply_loop. Requests of one thread are decided in order of submission. */
void controller_submit(struct controller *c, struct controller_request *rq);

/* The committed image; one reference. Any thread, but see meta/publish.h for hot paths. */
struct meta_image *controller_image(struct controller *c);
/* For meta_subscribe() and its kin. */
struct meta_publisher *controller_publisher(struct controller *c);

/* Identity of the metadata folder. */
struct uuid controller_directory(const struct controller *c);

struct controller_status {
        bool active;
        bool follows_only; /* then @observer is filled in, otherwise @quorum */
        int32_t term;
        int32_t leader_id;
        struct quorum_stats quorum;
        struct observer_stats observer;
        uint64_t requests;
};
/* A snapshot of a moment ago. Any thread. */
void controller_status(struct controller *c, struct controller_status *ret);
