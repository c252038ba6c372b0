/* What the files of the shares have in common. Nobody else includes this.
 *
 *      request --> session (shares.c) --> acknowledgements (shares_ack.c) --+--> answer, when they are written (cell_write.c)
 *                                     --> fetch: plan, read, acquire (shares_fetch.c) --+--> answer
 *                                               ^-- news of a cell, or of its log <-- parked
 *
 * All of a shard is touched on its loop only, but for reads on the pool, which see nothing of it. */
#pragma once

#include <stdatomic.h>

#include "share/share_link.h"
#include "share/shares.h"

/*      LOADING: the coordinator is asked what it knows
 *      STARTING: it knows nothing: where to begin is found out, and written
 *      READY
 *      GONE: out of the table, for @outcome; whoever comes next makes a new one */
enum cell_state { CELL_LOADING, CELL_STARTING, CELL_READY, CELL_GONE };

struct share_cell {
        struct map_node node;
        struct ilist link; /* share_shard.cells_list */
        struct share_shard *shard;
        struct share_place place;
        enum cell_state state;
        int outcome; /* CELL_GONE */
        struct partition *partition;
        int32_t leader_epoch, state_epoch;
        int64_t number; /* of its writes since it has read */
        struct share_settings settings;
        struct share_part *part; /* from CELL_STARTING's write on */
        unsigned refs;
        struct ilist waiting;    /* share_row.wait_link: of requests that are parked */
        struct ilist acks;       /* share_row.ack_link: not written yet, in order */
        struct share_call call;  /* one at a time */
        struct loop_timer retry; /* of it */
        struct loop_timer locks; /* records are under way for too long */
        struct io_job job;       /* looks for where to begin */
        int64_t start, since_ms; /* the job's answer; when the call was first tried */
        unsigned tries;
        bool calling;              /* the call is on its way, or is tried again soon */
        bool is_left;              /* the group has no session here any more: it ends when it is at rest */
        uint64_t writing, written; /* share_part_changes() */
        int64_t used_ms;
        struct str group;
        char text[];
};

struct share_shard {
        struct shares *owner;
        struct loop *loop;
        struct map cells;
        struct ilist cells_list;
        size_t cells_count;
        struct share_sessions sessions;
        struct ilist asks;  /* share_ask.link: parked, or waiting for writes */
        struct ilist ready; /* likewise: to be looked at again */
        struct mail ready_mail, drain_mail, stop_mail;
        bool ready_posted, stopping;
        size_t work;             /* calls and jobs that will come back */
        struct loop_timer sweep; /* of cells; at the stop: is everything back? */
};

struct shares {
        struct shares_config cfg;
        struct share_shard *shards;
        atomic_bool draining;
        atomic_uint shards_left;
        atomic_size_t sessions_count;
        struct loop *stop_loop;
        struct mail stop_mail;
        void (*stopped)(void *arg);
        void *stopped_arg;
        _Atomic uint64_t stats[sizeof(struct shares_stats) / sizeof(uint64_t)];
};

#define SHARES_COUNT(s, field, n) \
        atomic_fetch_add_explicit(&(s)->stats[offsetof(struct shares_stats, field) / sizeof(uint64_t)], (uint64_t)(n), \
                                  memory_order_relaxed)

/* What is read for one row. The first part is said on the loop, the second on whichever thread reads. */
struct share_reading {
        struct share_row *row; /* NULL: nothing */
        struct plog *log;
        int64_t next, reach, below;
        bool committed;
        int outcome; /* 0, an outcome of the log */
        struct plog_slice slice;
        size_t cut_len; /* of the slice: up to the batch that reaches far enough */
        int64_t cut_next;
        struct share_span *spans; /* what is not to be delivered; free() */
        size_t spans_count, spans_size;
        struct plog_aborted *aborted;
        size_t aborted_count;
};

struct share_span {
        int64_t first, last;
};

/* ---- shares.c ---- */
/* Look at it again soon; it is not parked any more. */
void ask_make_ready(struct share_ask *a);
/* Answer. */
void ask_answer(struct share_ask *a);
bool shares_are_draining(const struct shares *s);

/* ---- cell.c: life, loading ---- */

/* A loop_timer's function, for share_shard.sweep. */
void cells_sweep(struct loop_timer *t);

/* The cell that @place has, made when there is none. @ret_cell is held. Return: SHARES_OK, or why there can be none. */
int cell_get(struct share_shard *sh, struct str group, const struct share_place *place, struct share_cell **ret_cell);
/* There is none for what was acknowledged: why. */
int cell_missing(struct share_shard *sh, const struct share_place *place);
/* NULL: none. */
struct share_cell *cell_find(struct share_shard *sh, struct str group, const struct share_place *place);
void cell_unref(struct share_cell *c);
/* It is of no use any more: all that wait for it are told @outcome. */
void cell_end(struct share_cell *c, int outcome);
/* Is this node still the leader that has loaded it? If not it ends, and is gone where nobody holds it. */
bool cell_check(struct share_cell *c);
/* Requests that are parked look again. */
void cell_news(struct share_cell *c);
/* The group's last session here has ended: so do its cells, and the next member finds what the coordinator knows then. */
void cells_leave(struct share_shard *sh, struct str group);
/* The time-outs of what is under way. */
void cell_set_locks(struct share_cell *c);
/* Is the coordinator to be asked again after @outcome? */
bool cell_is_transient(int outcome);
/* After @outcome: will the call be tried again? */
bool cell_call_again(struct share_cell *c, int outcome);
/* An outcome of the coordinator, as this module's. */
int cell_outcome_of(int coord_outcome);
void cell_ready(struct share_cell *c);

/* ---- cell_write.c ---- */

/* Write what has changed, if anything. Without memory it ends, and is gone where nobody holds it. */
void cell_write(struct share_cell *c);

/* ---- shares_ack.c ---- */
void ask_acknowledge(struct share_ask *a);
/* A row's acknowledgement has come to its end. */
void row_acked(struct share_row *row, int outcome);
/* What is under way to the session is available again. */
void session_release(struct share_shard *sh, const struct share_session *ss);

/* ---- shares_fetch.c ---- */
void ask_fetch(struct share_ask *a);
void ask_unpark(struct share_ask *a);
/* A loop_timer's function, for share_ask.timer. */
void ask_time_is_up(struct loop_timer *t);

/* ---- reading.c: any thread ---- */
int reading_run(struct share_reading *r, size_t len_max, bool at_least_one, bool may_block);
void reading_drop(struct share_reading *r);
