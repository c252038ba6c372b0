/* Retention of every log, now and then, a few logs at a time on the I/O pool. */
#pragma once

#include "replica/table.h"
#include "sys/iopool.h"

struct retain {
        /* By the owner. */
        struct partition_table *table;
        struct iopool *pool;
        struct loop *loop;

        struct io_job job;
        struct partition **todo; /* counted */
        size_t todo_count, todo_size;
        bool running, stopping;
        void (*stopped)(void *arg);
        void *arg;
};

/* Begin a sweep, unless one runs. On the loop. */
void retain_start(struct retain *t);
/* Begin no more; call @stopped once none runs. On the loop. */
void retain_stop(struct retain *t, void (*stopped)(void *arg), void *arg);
