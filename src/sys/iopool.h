/* Threads for what blocks: fsync, preallocation, cold reads, LMDB commits, compression. A job runs once on a pool
 * thread and is then answered by mail on the loop that asked. Jobs start in order of submission, end in any order. */
#pragma once

#include "sys/loop.h"

struct iopool;

struct io_job {
        struct ilist link; /* the pool's */
        /* On a pool thread. */
        void (*run)(struct io_job *job);
        /* After run(): on @reply_loop's thread, or at once on the pool thread when @reply_loop is NULL.
         * May free the job. Never NULL. */
        void (*done)(struct io_job *job);
        struct loop *reply_loop;
        struct mail reply; /* the pool's */
};

/* @threads_count: 1..1024. Return: 0 or negative errno. */
int iopool_new(unsigned threads_count, struct iopool **ret_pool);
/* Wait until every job that was submitted has run, end the threads, free. NULL is fine. Returns NULL. */
struct iopool *iopool_free(struct iopool *p);
DEFINE_FREEP(struct iopool, iopool_free)

/* Queue @job (owned by the pool until done()). Any thread. Jobs may submit jobs. Cannot fail: it allocates nothing. The job
 * may be done before this returns, and the pool is freed only after that. */
void iopool_submit(struct iopool *p, struct io_job *job);

/* How long the thread that hangs for longest has been in one job without a step: milliseconds, 0 when all are idle. @ret_name: which,
 * "io-3". Any thread. */
int64_t iopool_silent_ms(struct iopool *p, char ret_name[16]);
/* The calling thread has made a step: a call to the kernel has returned, say. Costs nothing on threads of no pool. */
void iopool_step(void);
