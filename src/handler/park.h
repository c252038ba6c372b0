/* A request that waits for partitions. Each wait ends by itself, the time-out ends those that are left, then the request is answered.
 * On the request's reactor, but for park_add(). */
#pragma once

#include "handler/internal.h"

struct park;

struct park_wait {
        struct partition_wait wait;
        struct partition *partition; /* held until park_fini() */
        struct park *park;
        void *row; /* of the answer */
};

/* Embedded in its owner. */
struct park {
        struct park_wait *waits; /* in the request's memory */
        size_t count;
        size_t left; /* mails that will still come */
        struct loop_timer timer;
        /* By the owner, before park_begin(): one of the waits came to nothing, with Kafka's code; all have ended, once. */
        void (*failed)(struct park *p, void *row, int16_t error);
        void (*done)(struct park *p);
};

/* Room for @max partitions. False: no memory. */
bool park_init(struct park *p, struct rq *rq, size_t max);
/* One more to wait for; the reference is taken over. @row: for failed(). Any thread, before park_begin(). */
void park_add(struct park *p, struct partition *partition, int64_t offset, void *row);
/* Wait for all of them, as the client asked for @timeout_ms, but no longer than replication.ack_timeout_ms. There is one at least. */
void park_begin(struct park *p, struct rq *rq, enum partition_wait_kind kind, int32_t timeout_ms);
/* Before the answer, begun or not: the partitions are given back. */
void park_fini(struct park *p);
