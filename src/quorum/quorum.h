/* The replicated metadata log and the image it makes: this node's member of the controller quorum.
 *
 * Entries are proposed by the leader, made durable, committed, and applied in order to an image that every member holds.
 * The image is also kept in the metadata store, so that the log stays short. A group of one voter elects itself when it
 * starts: the term grows by one and a no-op opens it, as with any election; nothing of an older term counts as committed
 * before that no-op is (Raft 5.4.2). Interfaces are asynchronous and name terms, because leadership can be lost while a
 * proposal is on its way.
 *
 * Thread: the loop given in the configuration, but for quorum_open() and quorum_close().
 * A write or fsync of log, vote or store that fails ends the process with a diagnostic (DESIGN.md 6): what is on disk is
 * then not known, and a member that goes on could break a promise. */
#pragma once

#include "meta/builder.h"
#include "sys/iopool.h"

struct quorum;

struct quorum_config {
        const char *dir; /* the metadata folder: log/, image/ and vote are in it. Borrowed for quorum_open() */
        int32_t node_id;
        struct loop *loop;
        struct iopool *pool;
        int64_t segment_len;       /* of the log; 0: default */
        int64_t store_after_bytes; /* write the image when the log has grown by so much since; 0: 1 MiB */
        int64_t store_after_ms;    /* or so long after the first change that it lacks; 0: 5 s */
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

/* Take part. events.role follows. */
void quorum_start(struct quorum *q);
/* Refuse new proposals, finish those on their way, write the image to the store, then call @done once. */
void quorum_stop(struct quorum *q, void (*done)(void *arg), void *arg);

/* Make @batch the next entry. On 0 the memory of @batch is the quorum's and @p lives until p->done.
 * Return: 0; QUORUM_E_NOT_LEADER; QUORUM_E_FULL; -ENOMEM. */
int quorum_propose(struct quorum *q, struct quorum_proposal *p, struct meta_batch *batch);

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
};
/* Figures as they are now. On the quorum's loop. */
void quorum_stats(const struct quorum *q, struct quorum_stats *ret);
