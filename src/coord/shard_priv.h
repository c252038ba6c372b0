/* shard.c, shard_load.c and shard_write.c share this; nobody else includes it. */
#pragma once

#include "coord/marks.h"
#include "coord/shard.h"
#include "sys/clock.h"

enum shard_state {
        SHARD_LOADING,    /* a job of the pool reads the log */
        SHARD_CONFIRMING, /* all is read; waits until all of it is below the high watermark */
        SHARD_ACTIVE,
        SHARD_FAILED,  /* no machine; will load again */
        SHARD_CLOSING, /* waits for its job or its mail */
};

struct shard_write {
        uint64_t seq;
        int64_t end_offset;
};

struct deleted_topic {
        struct ilist link;
        size_t len;
        char name[];
};

struct coord_shard {
        struct coord_shard_args args;
        char *name;
        enum shard_state state;
        void *machine;
        struct loop_timer timer;
        int64_t timer_ms; /* when it fires; of an active shard */
        struct coord_stats published;
        /* Loading. */
        struct io_job load;
        bool load_runs;
        int64_t load_offset, load_end;
        int32_t leader_epoch; /* in which it was read: in another one somebody else may have written since */
        bool load_done;
        int load_result;
        uint8_t *load_buf;
        size_t load_buf_size;
        int64_t load_started_ms;
        uint64_t load_records;
        int64_t retry_ms;
        struct ilist deleted_topics; /* while loading */
        /* Writing. */
        struct partition_wait wait;
        bool wait_runs;
        struct shard_write *writes; /* ring, oldest first */
        size_t writes_first, writes_count, writes_size;
        uint64_t committed_seq;
        struct ilist held;  /* answers, coord_request.link */
        struct ilist marks; /* that are being sent, coord_marks.link */
};

static inline struct coord_time shard_now(const struct coord_shard *s)
{
        return (struct coord_time){ .mono_ms = loop_now_ms(s->args.loop), .wall_ms = clock_wall_ms() };
}

/* An event of the machine: nobody else asks it meanwhile. */
#define SHARD_EVENT(s, call) \
        ({ \
                int r_; \
\
                pthread_mutex_lock((s)->args.lock); \
                r_ = (s)->args.ops->call; \
                pthread_mutex_unlock((s)->args.lock); \
                r_; \
        })

/* shard.c */
void shard_set_state(struct coord_shard *s, enum shard_state to);
/* Act on what an event handed back; @r is what it returned. Frees @acts. */
void shard_act(struct coord_shard *s, struct coord_actions *acts, int r);
/* Drop the machine, refuse what waits, load again later (unless closing). */
void shard_fail(struct coord_shard *s, int outcome);
void shard_activate(struct coord_shard *s);
/* Go, when closing and nothing runs any more; @s may be gone afterwards. */
void shard_maybe_gone(struct coord_shard *s);

/* shard_load.c */
void shard_load(struct coord_shard *s);

/* shard_write.c */
/* Append the records of @acts. Return: 0; an outcome for those who wait; negative errno. */
int shard_append(struct coord_shard *s, struct coord_actions *acts);
/* Append the end of a producer's transaction, and have the machine do what follows from it. */
void shard_write_marker(struct coord_shard *s, struct coord_txn_marker *rq);
void shard_hold(struct coord_shard *s, struct coord_request *rq);
void shard_refuse_held(struct coord_shard *s, int outcome);
/* Refuse answers that have waited too long. */
void shard_expire_held(struct coord_shard *s);
/* Stop waiting for the high watermark; wait_runs stays true while the mail is on its way. */
void shard_unwait(struct coord_shard *s);
/* Wait until the high watermark is at @offset. */
void shard_wait(struct coord_shard *s, int64_t offset);
