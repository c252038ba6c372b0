/* The store and its logs while a simulation runs, and what may be done to them, each step with what the model must know of it.
 * One thing at a time: there is one world. */
#pragma once

#include "disk.h"
#include "host.h"
#include "model.h"
#include "plog/compact.h"

enum { WORLD_LOGS_MAX = 3 };

struct world {
        struct chance chance;
        struct sim_log logs[WORLD_LOGS_MAX];
        int logs_count;
        struct iopool *pool;
        struct plog_store *store; /* NULL: not open */
        struct plog_compaction *compaction;
        struct sim_log *compacted; /* by it */
        int64_t preallocate_step_len;
        bool pure;       /* nothing but crashes: then nothing may be said to be damaged, and no call may fail */
        bool may_fail;   /* calls may fail for other reasons than the disk */
        int may_append;  /* so many times in the middle of a sync, as another thread would */
        char again[600]; /* the command that does this run again */
};

extern struct world world;

/* Everything is new: disk, clock, chance, @logs_count logs, of which the third is compacted. Their conf is set by
 * world_conf() and may be changed before the store is opened. */
void world_init(uint64_t seed, int logs_count, bool pure);
void world_fini(void);
struct plog_conf world_conf(void);

/* The store and all logs are opened and compared with the model, as far as the disk lets them. */
void world_open(void);
/* All is closed; on a dead disk, too. */
void world_close(void);
void world_log_open(struct sim_log *l);
void world_log_close(struct sim_log *l);
/* Run all jobs: what was appended to logs that are not relaxed becomes durable. */
void world_settle(void);

/* ---- steps ---- */

/* One batch. @producer 0: none. */
void world_append(struct sim_log *l, int64_t producer);
void world_delete_records(struct sim_log *l, int64_t below);
/* Retention as if the topic's limits were these; -1: none. */
void world_retain(struct sim_log *l, int64_t bytes, int64_t ms);
void world_truncate(struct sim_log *l, int64_t at);
void world_assign_epoch(struct sim_log *l);
/* One step of about @len bytes, begun when none is under way. False: it has come to its end, or cannot begin. */
bool world_compact(struct sim_log *l, size_t map_bytes, int64_t len);
/* Delete the log and make another one of its name. */
void world_delete(struct sim_log *l);
