/* What observer.c, observer_fetch.c and observer_open.c share. All of it belongs to the observer's loop, but for what a job
 * holds while it is on the pool. */
#pragma once

#include "meta/store.h"
#include "quorum/observer.h"
#include "quorum/peer_quorum.h"
#include "quorum/snapshot.h"
#include "quorum/vote.h"

enum observer_state { OBSERVER_CLOSED, OBSERVER_FOLLOWING, OBSERVER_REFUSED, OBSERVER_STOPPING };

/* A controller that may be asked. */
struct observer_controller {
        int32_t node;
        char address[PEER_ADDRESS_SIZE];
};

/* A snapshot that is fetched. */
struct observer_snapshot {
        struct snapshot_id id; /* index 0: whichever the controller has */
        int32_t next;
        struct iobuf *frame; /* holds @chunk while it is written */
        struct span chunk;
        bool is_last;
        struct meta_image *image;
        int result;
        char why[256];
};

struct observer {
        struct observer_config cfg;
        struct quorum_events events;
        void *events_arg;
        enum observer_state state;
        int lock_fd;
        char *snapshots_dir, *cluster_id;
        struct vote vote;         /* for the identity of the folder */
        struct meta_store *store; /* the store job's while it runs */
        struct meta_image *image; /* applied */
        struct peer_hub *hub;
        struct quorum_role role;
        bool role_known;

        struct observer_controller controllers[RAFT_MEMBERS_MAX];
        uint32_t controllers_count, at; /* which is asked */
        unsigned failures;              /* in a row */
        struct peer_call call;
        bool calling;
        struct loop_timer retry_timer;
        int64_t commit_index, heard_ms;
        uint64_t fetches, snapshots;
        char trouble[512];

        bool wants_snapshot, snapshot_busy;
        struct observer_snapshot snapshot;
        struct io_job snapshot_job;

        struct io_job store_job;
        bool store_busy;
        struct meta_image *store_image;
        int store_result;
        bool store_full;
        struct loop_timer store_timer;
        int64_t stored_index, bytes_since_store;

        void (*stop_done)(void *arg);
        void *stop_arg;
};

/* ---- observer.c ---- */

/* The image is another one: tell of it, and see that the store gets it. Takes @after. */
void observer_advance(struct observer *o, struct meta_image *after, size_t bytes);
void observer_lead(struct observer *o, int32_t leader, int32_t term);
PRINTF_LIKE(2, 3) void observer_refuse(struct observer *o, const char *fmt, ...);
void observer_stop_continue(struct observer *o);
void observer_store_kick(struct observer *o, bool now);

/* ---- observer_fetch.c ---- */

void observer_fetch_init(struct observer *o);
void observer_fetch(struct observer *o);
