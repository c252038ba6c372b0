/* A rate for replicas that catch up (Kafka's leader and follower .replication.throttled.rate): what was copied in the last
 * second against what may be. Replicas in sync are never held back, but what they copy counts.
 * Any thread; no lock: a little more may pass than is meant. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { THROTTLE_WINDOW_MS = 1000 };

struct throttle {
        atomic_llong bytes_per_second; /* 0: no limit */
        atomic_llong window_ms;        /* when the window began, monotonic */
        atomic_llong bytes;            /* in it */
};

/* Bytes that may be copied now, or 0. */
static inline int64_t throttle_room(struct throttle *t, int64_t now_ms)
{
        int64_t rate = atomic_load_explicit(&t->bytes_per_second, memory_order_relaxed);
        int64_t used = atomic_load_explicit(&t->bytes, memory_order_relaxed);

        if (!rate)
                return INT64_MAX;
        if (now_ms - atomic_load_explicit(&t->window_ms, memory_order_relaxed) >= THROTTLE_WINDOW_MS)
                return rate;
        return used < rate ? rate - used : 0;
}

static inline void throttle_note(struct throttle *t, int64_t now_ms, int64_t bytes)
{
        int64_t rate = atomic_load_explicit(&t->bytes_per_second, memory_order_relaxed);
        int64_t since = atomic_load_explicit(&t->window_ms, memory_order_relaxed), used;

        if (!rate)
                return;
        if (now_ms - since >= THROTTLE_WINDOW_MS) {
                /* What went beyond the last window's share is taken from this one's: one batch may be larger than it. */
                used = atomic_load_explicit(&t->bytes, memory_order_relaxed) - rate * (now_ms - since) / 1000;
                atomic_store_explicit(&t->bytes, used > 0 && since ? used : 0, memory_order_relaxed);
                atomic_store_explicit(&t->window_ms, now_ms, memory_order_relaxed);
        }
        atomic_fetch_add_explicit(&t->bytes, bytes, memory_order_relaxed);
}
