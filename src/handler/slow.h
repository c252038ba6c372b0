/* Work of a request that takes milliseconds of computing, such as what a password becomes: it is done on the I/O pool, by a few at a time,
 * so that strangers do not keep the threads from writing records. */
#pragma once

#include "handler/internal.h"

/* Embedded in what the work is about, which lives in the request's arena. */
struct slow {
        struct rq *rq;
        void (*run)(struct slow *s);  /* on the pool */
        void (*done)(struct slow *s); /* on the request's reactor, afterwards */
        struct io_job job;
        struct loop_timer timer;
};

/* @rq, @run and @done are the caller's to fill in. On the request's reactor; @done is called exactly once, later. */
void slow_submit(struct slow *s);
