/* The host of one state machine: one internal partition that this node leads, on one loop.
 *
 * It reads the partition into a new machine, brings it requests and time, appends its records, and holds every answer
 * until the write that the answer depends on is below the high watermark. When a write fails, what was changed in
 * memory is undone by dropping the machine and reading the partition again.
 *
 * Thread: the shard's loop, all functions but coord_shard_quick(). While it loads, the machine belongs to one job of the I/O pool at a
 * time; when it is active, to who has args.lock: each of its events takes that. */
#pragma once

#include <pthread.h>

#include "coord/machine.h"
#include "replica/partition.h"
#include "sys/iopool.h"

struct coord_shard;

struct coord_shard_args {
        const char *name; /* for diagnostics: TOPIC-PARTITION; copied */
        int32_t index;
        struct loop *loop;
        pthread_mutex_t *lock; /* for the state and the machine; taken by all functions but coord_shard_quick() */
        struct iopool *pool;
        struct partition *partition; /* reference taken over on success */
        const struct coord_machine_ops *ops;
        const void *machine_arg;   /* for ops->new; kept */
        int64_t commit_timeout_ms; /* answers that wait longer for their write are given up */
        _Atomic uint64_t *stats;   /* COORD_STATS_COUNT sums over all shards, kept up to date */
        /* The machine has finished a transaction: have @m's markers written, then call coord_shard_marked(), unless m->shard is NULL
         * by then: nobody waits any more, and @m is to be freed. NULL: the machine hands none out. */
        void (*send)(void *arg, struct coord_marks *m);
        void *send_arg;
        /* After coord_shard_close(), when nothing of it runs any more: it is freed right after. */
        void (*gone)(void *arg, struct coord_shard *s);
        void *gone_arg;
};

/* Start loading. Return: 0 or -ENOMEM. */
int coord_shard_new(const struct coord_shard_args *args, struct coord_shard **ret_shard);
/* Answer everything with COORD_E_NOT_COORDINATOR and go. */
void coord_shard_close(struct coord_shard *s);

/* The number of its partition; whether it has loaded and answers. */
int32_t coord_shard_index(const struct coord_shard *s);
bool coord_shard_is_active(const struct coord_shard *s);
/* Answered now or later, by mail. */
void coord_shard_request(struct coord_shard *s, struct coord_request *rq);
/* Fill in the answer of a request that the machine can answer in between (coord_machine_ops.quick); the caller sends it. Any thread that
 * has args.lock and knows that the shard is there. Return: false: use coord_shard_request(). */
bool coord_shard_quick(struct coord_shard *s, struct coord_request *rq);
/* For requests that go from shard to shard: the machine adds to @rq, which is not answered here. Sets
 * COORD_E_LOADING when this shard has nothing to add yet. */
void coord_shard_collect(struct coord_shard *s, struct coord_request *rq);
/* All of @m's markers are where they belong; m->shard was not NULL. */
void coord_shard_marked(struct coord_marks *m);
/* Its committed offsets go; when the shard is loading, afterwards. */
void coord_shard_topic_deleted(struct coord_shard *s, struct str topic);

/* Send the answer to @rq->reply_loop. Any thread. */
void coord_request_answer(struct coord_request *rq);
