/* Checking the logs of this node for rot (plog/scrub.h), one log at a time and in small steps on the I/O pool: in the background
 * the one whose last check is longest ago, at a bounded rate; and at once those that the operator asked for.
 *
 * When a log was checked last is kept in its folder, so that a restart begins where the last run ended, to the log. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "plog/scrub.h"
#include "replica/table.h"
#include "sys/iopool.h"

/* What became of one partition of a verification. */
struct verify_item {
        struct partition *partition; /* counted; NULL once it was looked at */
        char topic[256];
        int32_t index;
        int outcome; /* of plog_scrub_step(): 0, PLOG_E_CLOSED, negative errno */
        bool done;
        struct plog_scrub_result result;
        struct plog_damaged_range *damaged; /* of the whole log */
        size_t damaged_count;
};

/* A verification that the operator asked for: under scrub.lock. */
struct verify {
        uint64_t id; /* 0: none was asked for yet */
        bool running;
        bool abandoned;               /* nobody asked how it goes for VERIFY_PATIENCE_MS */
        int64_t bytes_per_second_max; /* 0: no limit */
        int64_t bytes, bytes_all;     /* about */
        int64_t asked_ms;             /* monotonic: when somebody asked last how it goes */
        struct verify_item *items;
        size_t items_count, at;
};

enum { VERIFY_PATIENCE_MS = 30000 };

struct scrub {
        /* By the owner, before scrub_start(). */
        struct partition_table *table;
        struct iopool *pool;
        struct loop *loop;
        int64_t interval_ms;          /* -1: in the background nothing is checked; a second at least */
        int64_t bytes_per_second_max; /* in the background; 0: no limit */

        struct io_job job;
        struct loop_timer timer;
        struct partition *partition; /* at work on it; counted */
        struct plog_scrub *work;
        bool asked;  /* it is one of the verification's */
        int outcome; /* of the last step */
        unsigned tries;
        int64_t step_bytes, seen_bytes;
        int64_t step_began_ns;
        int64_t pause_ms; /* to go by, so that the rate is kept */
        /* Logs whose check failed last, passed over until all others had their turn. */
        struct {
                struct uuid topic_id;
                int32_t index;
        } failed[16];
        unsigned failed_count;
        bool on_pool, stopping;
        void (*stopped)(void *arg);
        void *arg;

        pthread_mutex_t lock;
        struct verify verify;
        struct mail asked_mail;
        bool mailed;

        atomic_ullong runs, bytes, indexes_rebuilt, failures;
        atomic_llong last_ms; /* when a check of a log was finished; 0 never */
};

/* On the loop. */
void scrub_start(struct scrub *s);
/* Begin nothing more, put away what is in work, then call @stopped, once. On the loop, after scrub_start(). */
void scrub_stop(struct scrub *s, void (*stopped)(void *arg), void *arg);
/* After scrub_stop(), or without scrub_start(). */
void scrub_fini(struct scrub *s);

/* ---- verify.c ---- */

enum {
        VERIFY_OK,
        VERIFY_E_RUNNING = 1,  /* one at a time */
        VERIFY_E_NO_PARTITION, /* this node leads none that is meant */
};

struct verify_args {
        struct uuid topic_id; /* zero: all topics */
        int32_t partition;    /* -1: all */
        int64_t bytes_per_second_max;
};
/* Ask for a verification; it goes on as long as somebody calls verify_look() now and then. Any thread but the loop's.
 * Return: VERIFY_OK with its id; VERIFY_E_*; -ENOMEM. */
int verify_ask(struct scrub *s, const struct verify_args *args, uint64_t *ret_id);
/* Call @fn with the last verification as it stands, under the lock, short. Any thread. */
void verify_look(struct scrub *s, void (*fn)(void *arg, const struct verify *v), void *arg);
/* The next partition of the verification, a new reference; NULL: it is at its end, or there is none. On the loop. */
struct partition *verify_next(struct scrub *s);
int64_t verify_rate(struct scrub *s);
/* What came of it, and how it goes: @bytes were read since the last call. On the loop or in its job. */
void verify_progress(struct scrub *s, int64_t bytes);
void verify_note(struct scrub *s, struct partition *p, int outcome, const struct plog_scrub_result *result);
/* Nobody waits for it any more, or the node stops. */
bool verify_is_abandoned(struct scrub *s);
void verify_end(struct scrub *s);
