/* What a node without a vote runs in the place of a quorum: it follows the committed log of the controllers, applies it to
 * an image, and keeps that in its own store, so that after a start it asks for what is new only. It tells what the quorum
 * tells (quorum.h), so that who works with the image need not know which of the two it is.
 *
 * Order of life: observer_open(), peer_hub_new() with observer_directory(), peer_hub_start(), observer_start(), ...
 * observer_stop(), peer_hub_stop(), the end of the loop, observer_close(), peer_hub_free().
 *
 * Thread: the loop given in the configuration, but for observer_open() and observer_close(). */
#pragma once

#include "quorum/quorum.h"

struct observer;

struct observer_config {
        const char *dir; /* the metadata folder; made when missing. Borrowed for observer_open() */
        int32_t node_id;
        struct loop *loop;
        struct iopool *pool;
        const struct quorum_controller
                *controllers;      /* where to begin asking; copied. Later the controllers say who they are */
        size_t controllers_count;  /* 1..RAFT_MEMBERS_MAX */
        struct str cluster_id;     /* what the cluster must be; null: any, the first time. Copied */
        int64_t wait_ms;           /* how long a controller holds a request that has no answer yet; 0: 5 s */
        int64_t store_after_bytes; /* as of a quorum */
        int64_t store_after_ms;
        /* On the loop, once: this node must not follow any more, because its store is of another history or cluster. @why is
         * for the operator. May be NULL. */
        void (*refused)(void *arg, const char *why);
};

/* Lock and read the folder. Blocks. @events: copied; of roles it tells who leads.
 * Return: 0; QUORUM_E_REFUSED; negative errno; @why says what to do. */
int observer_open(const struct observer_config *cfg, const struct quorum_events *events, void *events_arg,
                  struct observer **ret_observer, char *why, size_t why_size);
/* NULL is fine. Returns NULL. */
struct observer *observer_close(struct observer *o);
DEFINE_FREEP(struct observer, observer_close)

/* Begin to follow, through @hub, which outlives the observer. */
void observer_start(struct observer *o, struct peer_hub *hub);
/* Write the image to the store, then call @done once. */
void observer_stop(struct observer *o, void (*done)(void *arg), void *arg);

/* The applied image; one reference. */
struct meta_image *observer_image(const struct observer *o);
struct quorum_role observer_role(const struct observer *o);
struct uuid observer_directory(const struct observer *o);

struct observer_stats {
        int64_t applied_index, stored_index;
        int64_t commit_index; /* of the controllers, as they last said */
        int32_t controller;   /* that is asked at the moment; -1: none answers */
        int64_t heard_ms;     /* wall clock: when one last answered; -1: never */
        uint64_t fetches, snapshots;
        char trouble[512]; /* why it does not follow; empty: it does */
};
void observer_stats(const struct observer *o, struct observer_stats *ret);
