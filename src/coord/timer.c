#include "coord/timer.h"

#include <errno.h>

enum { HEAP_SIZE_MIN = 64 };

void timer_heap_init(struct timer_heap *h)
{
        *h = (struct timer_heap){ 0 };
}

void timer_heap_fini(struct timer_heap *h)
{
        free(h->entries);
        timer_heap_init(h);
}

static void place(struct timer_heap *h, struct timer *t, size_t pos)
{
        h->entries[pos] = t;
        t->pos = pos;
}

static void sift_up(struct timer_heap *h, struct timer *t)
{
        size_t pos = t->pos;

        while (pos > 1 && h->entries[pos / 2]->heap_ms > t->heap_ms) {
                place(h, h->entries[pos / 2], pos);
                pos /= 2;
        }
        place(h, t, pos);
}

static void sift_down(struct timer_heap *h, struct timer *t)
{
        size_t pos = t->pos, child;

        while ((child = pos * 2) <= h->count) {
                if (child < h->count && h->entries[child + 1]->heap_ms < h->entries[child]->heap_ms)
                        child++;
                if (h->entries[child]->heap_ms >= t->heap_ms)
                        break;
                place(h, h->entries[child], pos);
                pos = child;
        }
        place(h, t, pos);
}

static int make_room(struct timer_heap *h)
{
        size_t size = h->size ? h->size * 2 : HEAP_SIZE_MIN;
        struct timer **entries;

        if (h->count + 1 < h->size)
                return 0;
        entries = reallocarray(h->entries, size, sizeof *entries);
        if (!entries)
                return -ENOMEM;
        h->entries = entries;
        h->size = size;
        return 0;
}

int timer_set(struct timer_heap *h, struct timer *t, int64_t at_ms)
{
        int r;

        t->wanted_ms = at_ms;
        if (timer_is_set(t)) {
                if (at_ms >= t->heap_ms)
                        return 0;
                t->heap_ms = at_ms;
                sift_up(h, t);
                return 0;
        }
        r = make_room(h);
        if (r)
                return r;
        t->heap_ms = at_ms;
        place(h, t, ++h->count);
        sift_up(h, t);
        return 0;
}

void timer_unset(struct timer_heap *h, struct timer *t)
{
        struct timer *last;

        if (!timer_is_set(t))
                return;
        assert(h->entries[t->pos] == t);
        last = h->entries[h->count--];
        if (last != t) {
                place(h, last, t->pos);
                sift_up(h, last);
                sift_down(h, last);
        }
        t->pos = 0;
}

struct timer *timer_pop_due(struct timer_heap *h, int64_t now_ms)
{
        while (h->count && h->entries[1]->heap_ms <= now_ms) {
                struct timer *t = h->entries[1];

                if (t->wanted_ms <= now_ms) {
                        timer_unset(h, t);
                        return t;
                }
                t->heap_ms = t->wanted_ms;
                sift_down(h, t);
        }
        return NULL;
}

int64_t timer_next_ms(const struct timer_heap *h)
{
        return h->count ? h->entries[1]->heap_ms : INT64_MAX;
}
