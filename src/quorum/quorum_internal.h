/* What quorum.c, quorum_open.c and quorum_store.c share. All of it belongs to the quorum's loop, but for what a job holds while it
 * is on the pool. */
#pragma once

#include "meta/store.h"
#include "quorum/qlog.h"
#include "quorum/quorum.h"
#include "quorum/vote.h"

/* Memory for entries that are not yet committed: a few of the largest. */
#define QUORUM_PENDING_BYTES_MAX (64u << 20)

/*  CLOSED --quorum_start--> VOTING --vote is durable, no-op applied--> LEADING --quorum_stop--> STOPPING --> CLOSED
 *                           VOTING --quorum_stop--> STOPPING */
enum quorum_state { QUORUM_CLOSED, QUORUM_VOTING, QUORUM_LEADING, QUORUM_STOPPING };

/* An entry in memory: from proposal (or from the log, at start) until it is applied. */
struct quorum_entry {
        struct ilist link;
        struct qlog_entry e;              /* payload is owned */
        struct quorum_proposal *proposal; /* NULL: nobody waits */
};

struct quorum {
        struct quorum_config cfg;
        struct quorum_events events;
        void *events_arg;
        enum quorum_state state;
        int lock_fd;
        char *vote_path;
        struct vote vote;
        struct qlog *log;         /* the disk job's while it runs */
        struct meta_store *store; /* the store job's while it runs */
        struct meta_image *image; /* applied */

        struct ilist unwritten; /* entries that wait for the disk, in order */
        struct ilist writing;   /* the group on its way to the disk */
        struct ilist written;   /* durable here, not yet committed */
        int64_t last_index;     /* of the newest entry, written or not */
        int64_t commit_index;
        int64_t term_start; /* index of this term's no-op */
        size_t pending_bytes;

        struct io_job vote_job;
        int vote_result;
        bool vote_busy;

        struct io_job disk_job;
        bool disk_busy;
        struct qlog_group group;
        uint8_t *group_bytes;
        bool reserve_due;   /* the disk was full: the disk job looks whether there is room again */
        bool drop_due;      /* the store holds more than when the log was last truncated */
        int64_t drop_below; /* index up to which the disk job truncates; 0: not */
        int disk_result;

        struct io_job store_job;
        bool store_busy;
        struct meta_image *store_image; /* being written */
        int store_result;
        bool store_full; /* the last attempt found no room */
        struct loop_timer store_timer;
        int64_t stored_index;
        int64_t bytes_since_store;

        void (*stop_done)(void *arg);
        void *stop_arg;

        uint64_t entries_written, groups_written, images_stored;
        int64_t log_first_index, log_bytes; /* as of the last disk job */
};

struct quorum_entry *quorum_entry_free(struct quorum *q, struct quorum_entry *e);
/* Copy of @e with its payload. NULL when memory is out. */
struct quorum_entry *quorum_entry_new(struct quorum *q, const struct qlog_entry *e);

/* Ends the process: see quorum.h. */
__attribute__((noreturn, format(printf, 1, 2))) void quorum_die(const char *fmt, ...);
/* The same after a failed write; says what the operator can do about it. */
_Noreturn void quorum_die_io(const char *path, int error);
void quorum_step(struct quorum *q, const char *what);

/* The store has not everything that was applied: see that it gets it, now or in a while. */
void quorum_store_kick(struct quorum *q, bool now);
void quorum_store_init(struct quorum *q);
/* The store holds more now: drop what the log need not keep. */
void quorum_log_drop(struct quorum *q);
/* Something ended: go on with stopping when that was asked for. */
void quorum_stop_continue(struct quorum *q);
