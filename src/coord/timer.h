/* Many deadlines, of which few ever pass: a binary heap whose entries may be late. Moving a deadline further away (what
 * every heartbeat does) only notes the wish, O(1); the heap learns of it when the old time comes. Pure: time is given. */
#pragma once

#include "base/macros.h"

struct timer {
        int64_t wanted_ms; /* when it shall fire */
        int64_t heap_ms;   /* where the heap has it; never later than wanted_ms */
        size_t pos;        /* place in the heap, from 1; 0: not set */
        void (*fn)(void *arg, struct timer *t);
};

struct timer_heap {
        struct timer **entries; /* from 1 on */
        size_t count;
        size_t size;
};

void timer_heap_init(struct timer_heap *h);
void timer_heap_fini(struct timer_heap *h);

static inline bool timer_is_set(const struct timer *t)
{
        return t->pos != 0;
}

/* Fire at @at_ms instead of whenever it was set to before. Return: 0, or -ENOMEM (only for a timer that was not set). */
int timer_set(struct timer_heap *h, struct timer *t, int64_t at_ms);
/* Harmless when not set. */
void timer_unset(struct timer_heap *h, struct timer *t);

/* Take the earliest timer that is due at @now_ms out of the heap; NULL when none is. */
struct timer *timer_pop_due(struct timer_heap *h, int64_t now_ms);
/* No timer fires before this; INT64_MAX when none is set. May be early, never late. */
int64_t timer_next_ms(const struct timer_heap *h);
