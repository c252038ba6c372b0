/* A shared count of bytes with a limit. Taken before memory is; refusal is a normal answer. Any thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
        atomic_size_t used;
        size_t limit;
};

static inline void budget_init(struct budget *b, size_t limit)
{
        atomic_init(&b->used, 0);
        b->limit = limit;
}

/* Take @len more for an owner that has @own of it already. What passes the limit is let in when nobody else has anything: what is
 * too large runs alone. */
static inline bool budget_try_take_more(struct budget *b, size_t len, size_t own)
{
        size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

        do {
                if (used > own && (used > b->limit || len > b->limit - used))
                        return false;
        } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + len, memory_order_acq_rel,
                                                        memory_order_relaxed));
        return true;
}

static inline bool budget_try_take(struct budget *b, size_t len)
{
        return budget_try_take_more(b, len, 0);
}

static inline void budget_give(struct budget *b, size_t len)
{
        atomic_fetch_sub_explicit(&b->used, len, memory_order_acq_rel);
}
