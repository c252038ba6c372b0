/* Looking at something that changes by itself, such as certificates that others replace: on the I/O pool now and then, and at once when
 * asked to. On the main loop. */
#pragma once

#include "sys/iopool.h"

struct lookout {
        void (*look)(struct lookout *l);   /* on the pool: take up what has changed */
        void (*looked)(struct lookout *l); /* on the loop, after each look; may be NULL */
        int64_t every_ms;                  /* between two looks; 0: ten seconds */
        struct iopool *pool;
        struct loop_timer timer;
        struct io_job job;
        bool runs, busy, again;
        void (*stopped)(void *arg);
        void *stopped_arg;
};

/* Look from now on, first in @l->every_ms. What is above is set; it belongs to the job while one runs. */
void lookout_start(struct lookout *l, struct loop *loop, struct iopool *pool);
/* Look at once, even where a look has just begun. Nothing happens where nobody looks. */
void lookout_now(struct lookout *l);
/* Has what lookout_now() began not ended? */
static inline bool lookout_is_busy(const struct lookout *l)
{
        return l->busy;
}
/* No more; @stopped, maybe from within, when nothing is on the pool. Also for one that was not started. Once. */
void lookout_stop(struct lookout *l, void (*stopped)(void *arg), void *arg);
