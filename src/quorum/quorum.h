/* The replicated metadata log and the image it makes: this node's member of the controller quorum.
 *
 * Entries are proposed by the leader, made durable, committed, and applied in order to an image that every member holds.
 * The image is also kept in the metadata store, so that the log stays short. A group of one voter elects itself when it
 * starts: the term grows by one and a no-op opens it, as with any election; nothing of an older term counts as committed
 * before that no-op is (Raft 5.4.2). Interfaces are asynchronous and name terms, because leadership can be lost while a
 * proposal is on its way.
 *
 * Order of life: quorum_open(); with others also peer_hub_new() with quorum_directory(), quorum_attach(), peer_hub_start();
 * quorum_start(), ... quorum_stop(); peer_hub_stop(), quorum_close(), and only then peer_hub_free() and the end of the loop's
 * memory.
 *
 * Thread: the loop given in the configuration, but for quorum_open(), quorum_attach() and quorum_close().
 * A write or fsync of log, vote or store that fails ends the process with a diagnostic (DESIGN.md 6): what is on disk is
 * then not known, and a member that goes on could break a promise. */
#pragma once

#include "meta/builder.h"
#include "peer/peer.h"
#include "raft/raft.h"
#include "sys/iopool.h"

struct quorum;

/* One of the bootstrap list. */
struct quorum_controller {
        int32_t node;
        const char *address; /* HOST:PORT of its peer listener */
};

struct quorum_config {
        const char *dir; /* the metadata folder: log/, image/ and vote are in it. Borrowed for quorum_open() */
        int32_t node_id;
        struct loop *loop;
        struct iopool *pool;
        int64_t segment_len;       /* of the log; 0: default */
        int64_t store_after_bytes; /* write the image when the log has grown by so much since; 0: 1 MiB */
        int64_t store_after_ms;    /* or so long after the first change that it lacks; 0: 5 s */
        /* The bootstrap list, this node among it, copied; none: a node alone, which forms a group of itself. With a list
         * the node with the lowest id forms a group when all others are blank and have the same list, and adds them one by
         * one; the others wait to be added. A group that is there goes by its log, and not by the list. */
        const struct quorum_controller *controllers;
        size_t controllers_count; /* at most RAFT_MEMBERS_MAX */
        const char *advertised;   /* HOST:PORT where others find this node; with a list only. Copied */
        int64_t election_ms;      /* see struct raft_options; 0: 1 s */
        int64_t heartbeat_ms;     /* 0: a fifth of that */
        int64_t cache_bytes;      /* of applied entries that are kept in memory for others; 0: 8 MiB */
        /* Log, snapshots and store together stay below about this, by removing entries that members or observers might
         * still have fetched one by one; those get a snapshot then. 0: 1 GiB. Alone nothing is kept for others. */
        int64_t volume_bytes_max;
        /* Told after each durable step, on a pool thread; may be NULL. For tests and the flight recorder. */
        void (*step)(void *arg, const char *what);
        void *step_arg;
};

/* Outcomes. */
enum {
        QUORUM_OK,
        QUORUM_E_NOT_LEADER, /* this node does not lead, or not in that term */
        QUORUM_E_LOST,    /* leadership or the node ended before the commit was known: it may or may not be committed */
        QUORUM_E_FULL,    /* too much is on its way; try again after some completions */
        QUORUM_E_REFUSED, /* the folder cannot be used as it is; @why says what and what to do */
        QUORUM_E_BUSY,    /* another change of members, or a transfer, is on its way; try again */
        QUORUM_E_EXISTS,  /* a member with this node id is there already */
        QUORUM_E_UNKNOWN, /* there is no such member */
        QUORUM_E_UNSAFE,  /* with what would be left of the voters nothing could be committed, as far as is known */
        QUORUM_E_TIMEOUT, /* not done in time; it may still come to be */
};

struct quorum_role {
        bool is_leader; /* of @term, with everything committed before it applied: decisions may start */
        int32_t term;
        int32_t leader_id; /* -1: not known */
};

/* Entries that were committed and applied, as one step. Images are borrowed for the call. */
struct quorum_applied {
        struct meta_image *before;
        struct meta_image *after;
        int64_t last_index;
        int32_t last_term;
};

/* Called on the quorum's loop. */
struct quorum_events {
        void (*applied)(void *arg, const struct quorum_applied *a);
        void (*role)(void *arg, const struct quorum_role *role);
};

/* A batch of records that becomes one entry: applied all or not at all. Embedded in its owner. */
struct quorum_proposal {
        struct ilist link; /* the quorum's */
        int64_t index;     /* set by quorum_propose() */
        int32_t term;      /* set by the caller: in which term it was decided */
        /* Exactly once after quorum_propose() gave 0: QUORUM_OK after events.applied was called with its effect, or
         * QUORUM_E_LOST. May free its owner. */
        void (*done)(struct quorum_proposal *p, int result);
};

/* Lock and read the folder, which is made when missing. Blocks. Nothing runs before quorum_start().
 * @events  copied.
 * @why     one line for the operator after an outcome or error.
 * Return: 0; QUORUM_E_REFUSED; negative errno. */
int quorum_open(const struct quorum_config *cfg, const struct quorum_events *events, void *events_arg,
                struct quorum **ret_quorum, char *why, size_t why_size);
/* After quorum_stop() has completed, or when never started. Blocks. NULL is fine. Returns NULL. */
struct quorum *quorum_close(struct quorum *q);
DEFINE_FREEP(struct quorum, quorum_close)

/* Speak to others through @hub, which was not started yet and outlives the quorum. Of a quorum with a bootstrap list,
 * before quorum_start(); not on its loop. Return: 0 or negative errno. */
int quorum_attach(struct quorum *q, struct peer_hub *hub);

/* Take part. events.role follows. */
void quorum_start(struct quorum *q);
/* Refuse new proposals, finish those on their way, write the image to the store, then call @done once. A leader of several
 * hands over first; what could not be committed ends with QUORUM_E_LOST. */
void quorum_stop(struct quorum *q, void (*done)(void *arg), void *arg);

/* Make @batch the next entry. On 0 the memory of @batch is the quorum's and @p lives until p->done.
 * Return: 0; QUORUM_E_NOT_LEADER; QUORUM_E_FULL; -ENOMEM. */
int quorum_propose(struct quorum *q, struct quorum_proposal *p, struct meta_batch *batch);

/* The index that the next proposal would have: the quorum appends entries of its own, so it is asked for each. */
int64_t quorum_next_index(const struct quorum *q);

/* The metadata's disk is full: only what must be should be proposed. It is looked at again afterwards, so that a later
 * question may have another answer. On the quorum's loop. */
bool quorum_is_low(struct quorum *q);

/* The applied image; one reference. */
struct meta_image *quorum_image(const struct quorum *q);
struct quorum_role quorum_role(const struct quorum *q);
/* Identity of the metadata folder. */
struct uuid quorum_directory(const struct quorum *q);

struct quorum_stats {
        int64_t committed_index, applied_index, stored_index, log_first_index, log_bytes;
        uint64_t entries_written, groups_written, images_stored, bytes_pending;
        int64_t snapshot_bytes; /* of the files */
        uint32_t voters_count, observers_count;
};
/* Figures as they are now. On the quorum's loop. */
void quorum_stats(const struct quorum *q, struct quorum_stats *ret);

/* ---- for operators; on the quorum's loop ---- */

struct quorum_replica {
        int32_t node;
        struct uuid directory;
        bool is_voter; /* or a learner, or an observer */
        char address[PEER_ADDRESS_SIZE];
        int64_t log_end;      /* index behind its last durable entry; -1: not known */
        int64_t heard_ms;     /* wall clock: when it last answered or asked; -1: never */
        int64_t caught_up_ms; /* wall clock: when it last had everything; -1: never */
};

enum { QUORUM_OBSERVERS_MAX = 1024 }; /* that are remembered; four times the largest cluster */

/* Some 300 KiB: not for a stack. */
struct quorum_description {
        int32_t leader_id; /* -1: not known */
        int32_t term;
        int64_t high_watermark; /* index behind the last committed entry */
        /* What other nodes have is known to the leader only; this node's own figures are always right. Observers are those
         * that ask this node, and a leader's all. */
        uint32_t members_count;
        struct quorum_replica members[RAFT_MEMBERS_MAX];
        uint32_t observers_count;
        struct quorum_replica observers[QUORUM_OBSERVERS_MAX];
        uint32_t expected_count; /* of the bootstrap list, not yet added */
        int32_t expected[RAFT_MEMBERS_MAX];
        char trouble[512]; /* what keeps the group from being as it should be; empty: nothing */
};
void quorum_describe(struct quorum *q, struct quorum_description *ret);

/* A change of the voters. Embedded in its owner, who keeps it until @done. */
struct quorum_change {
        struct raft_id id;               /* node and directory; for a removal a directory of zeros means any */
        char address[PEER_ADDRESS_SIZE]; /* of a voter that is added */
        int64_t timeout_ms;
        /* On the quorum's loop, once: QUORUM_OK; QUORUM_E_NOT_LEADER, _BUSY, _EXISTS, _UNKNOWN, _UNSAFE, _FULL: nothing was
         * done; QUORUM_E_LOST, _TIMEOUT: it may have been, or may come to be. @why says more. */
        void (*done)(struct quorum_change *ch, int result);
        char why[256];

        /* The quorum's. */
        bool is_add;
        int64_t deadline_ms;
};
/* Add a voter: it gets the log first, and counts when it has caught up. */
void quorum_add_voter(struct quorum *q, struct quorum_change *ch);
/* Remove a voter or learner. */
void quorum_remove_voter(struct quorum *q, struct quorum_change *ch);
/* Hand leadership to voter @node, or to the one that has most of the log (-1). events.role follows when it moved.
 * Return: 0: it is tried; QUORUM_E_NOT_LEADER; QUORUM_E_BUSY; QUORUM_E_UNKNOWN. */
int quorum_transfer(struct quorum *q, int32_t node);
