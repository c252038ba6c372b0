/* The budget of frames: reserved in full before a body is read, given back when the last reference to the frame goes.
 *
 * It is cut in three, so that one kind of use cannot take from another: large frames (a peer that announces 100 MiB
 * must not hold up everybody's heartbeats), small ones, and bytes that were read and cannot be looked at yet.
 *
 * Invariants:
 * 1. Whoever waits is served in order of arrival within its kind; nobody overtakes.
 * 2. A frame that is larger than its kind's whole share is let in when no other of its kind is.
 * 3. Only whole frames are reserved, so no two half-read frames can wait for each other. Bytes that were already read
 * are taken without asking; while their share is used up, nobody reads more than it can use (read.c). */
#include <errno.h>

#include "net/net_internal.h"

enum { SMALL, LARGE, KINDS_COUNT };

/* Requests without records are below this, even with hundreds of partitions. */
enum { SMALL_LEN_MAX = 64 * 1024 };

struct share {
        size_t used, limit;
        struct ilist waiters;
};

struct net_memory {
        pthread_mutex_t lock; /* guards everything below; docs/LOCKS.md: a loop's mailbox may be locked inside */
        size_t small_len_max;
        struct share shares[KINDS_COUNT];
        bool closed;
        atomic_size_t left_used; /* written under the lock, read by anybody */
        size_t left_limit;
};

/* What a buffer costs us; never 0, so that used tells whether any lives. */
static size_t cost_of(size_t len)
{
        return sizeof(struct iobuf) + len;
}

static struct share *share_of(struct net_memory *m, size_t frame_len)
{
        return &m->shares[frame_len <= m->small_len_max ? SMALL : LARGE];
}

struct net_memory *net_memory_new(size_t limit)
{
        struct net_memory *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        pthread_mutex_init(&m->lock, NULL);
        m->small_len_max = MIN2(limit / 16, (size_t)SMALL_LEN_MAX);
        m->shares[SMALL].limit = limit / 8 * 3;
        m->shares[LARGE].limit = limit / 2;
        m->left_limit = limit / 8;
        for (int i = 0; i < KINDS_COUNT; i++)
                ilist_init(&m->shares[i].waiters);
        return m;
}

static size_t left_used(struct net_memory *m)
{
        return atomic_load_explicit(&m->left_used, memory_order_relaxed);
}

static bool memory_is_unused(struct net_memory *m)
{
        return !m->shares[SMALL].used && !m->shares[LARGE].used && !left_used(m);
}

static void memory_free(struct net_memory *m)
{
        pthread_mutex_destroy(&m->lock);
        free(m);
}

void net_memory_close(struct net_memory *m)
{
        bool last;

        pthread_mutex_lock(&m->lock);
        for (int i = 0; i < KINDS_COUNT; i++)
                assert(ilist_is_empty(&m->shares[i].waiters));
        m->closed = true;
        last = memory_is_unused(m);
        pthread_mutex_unlock(&m->lock);
        if (last)
                memory_free(m);
}

static bool share_fits(struct share *s, size_t frame_len)
{
        size_t cost = cost_of(frame_len);

        if (s->used && (s->used > s->limit || cost > s->limit - s->used))
                return false;
        s->used += cost;
        return true;
}

static void share_grant(struct share *s)
{
        struct net_memory_wait *w;

        while ((w = ilist_first(&s->waiters, struct net_memory_wait, link)) && share_fits(s, w->frame_len)) {
                ilist_unlink(&w->link);
                loop_post(w->loop, &w->granted);
        }
}

bool net_memory_take(struct net_memory *m, size_t frame_len)
{
        struct share *s = share_of(m, frame_len);
        bool taken;

        pthread_mutex_lock(&m->lock);
        taken = ilist_is_empty(&s->waiters) && share_fits(s, frame_len);
        pthread_mutex_unlock(&m->lock);
        return taken;
}

void net_memory_give(void *memory, size_t frame_len)
{
        struct net_memory *m = memory;
        struct share *s = share_of(m, frame_len);
        bool last;

        pthread_mutex_lock(&m->lock);
        assert(s->used >= cost_of(frame_len));
        s->used -= cost_of(frame_len);
        share_grant(s);
        last = m->closed && memory_is_unused(m);
        pthread_mutex_unlock(&m->lock);
        if (last)
                memory_free(m);
}

void net_memory_wait(struct net_memory *m, struct net_memory_wait *w)
{
        struct share *s = share_of(m, w->frame_len);

        pthread_mutex_lock(&m->lock);
        ilist_push_back(&s->waiters, &w->link);
        share_grant(s);
        pthread_mutex_unlock(&m->lock);
}

bool net_memory_cancel(struct net_memory *m, struct net_memory_wait *w)
{
        struct share *s = share_of(m, w->frame_len);
        bool waited;

        pthread_mutex_lock(&m->lock);
        waited = !ilist_is_empty(&w->link);
        ilist_unlink(&w->link);
        share_grant(s); /* it may have been the one in front that did not fit */
        pthread_mutex_unlock(&m->lock);
        return waited;
}

bool net_memory_is_awaited(struct net_memory *m, size_t frame_len)
{
        struct share *s = share_of(m, frame_len);
        bool awaited;

        pthread_mutex_lock(&m->lock);
        awaited = !ilist_is_empty(&s->waiters);
        pthread_mutex_unlock(&m->lock);
        return awaited;
}

void net_memory_take_left(struct net_memory *m, size_t len)
{
        pthread_mutex_lock(&m->lock);
        atomic_fetch_add_explicit(&m->left_used, cost_of(len), memory_order_relaxed);
        pthread_mutex_unlock(&m->lock);
}

void net_memory_give_left(void *memory, size_t len)
{
        struct net_memory *m = memory;
        bool last;

        pthread_mutex_lock(&m->lock);
        assert(left_used(m) >= cost_of(len));
        atomic_fetch_sub_explicit(&m->left_used, cost_of(len), memory_order_relaxed);
        last = m->closed && memory_is_unused(m);
        pthread_mutex_unlock(&m->lock);
        if (last)
                memory_free(m);
}

bool net_memory_has_room_for_left(struct net_memory *m)
{
        return left_used(m) < m->left_limit;
}

uint64_t net_memory_used(struct net_memory *m)
{
        uint64_t used;

        pthread_mutex_lock(&m->lock);
        used = m->shares[SMALL].used + m->shares[LARGE].used + left_used(m);
        pthread_mutex_unlock(&m->lock);
        return used;
}
