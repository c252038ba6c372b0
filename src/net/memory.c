/* The budget of frames: reserved in full before a body is read, given back when the last reference to the frame goes.
 *
 * Invariants:
 * 1. Whoever waits is served in order of arrival; nobody overtakes, so a large frame is not starved by small ones.
 * 2. A frame that is larger than the whole budget is let in when nothing else is.
 * 3. Only whole frames are reserved, so no two half-read frames can wait for each other. */
#include <errno.h>

#include "net/net_internal.h"

struct net_memory {
        pthread_mutex_t lock; /* guards everything below; docs/LOCKS: a loop's mailbox may be locked inside */
        size_t used, limit;
        struct ilist waiters;
        bool closed;
};

/* What a frame costs us; never 0, so that used tells whether any frame lives. */
static size_t cost_of(size_t frame_len)
{
        return sizeof(struct iobuf) + frame_len;
}

struct net_memory *net_memory_new(size_t limit)
{
        struct net_memory *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        pthread_mutex_init(&m->lock, NULL);
        m->limit = limit;
        ilist_init(&m->waiters);
        return m;
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
        assert(ilist_is_empty(&m->waiters));
        m->closed = true;
        last = !m->used;
        pthread_mutex_unlock(&m->lock);
        if (last)
                memory_free(m);
}

static bool memory_fits(struct net_memory *m, size_t frame_len)
{
        size_t cost = cost_of(frame_len);

        if (m->used && (m->used > m->limit || cost > m->limit - m->used))
                return false;
        m->used += cost;
        return true;
}

static void memory_grant(struct net_memory *m)
{
        struct net_memory_wait *w;

        while ((w = ilist_first(&m->waiters, struct net_memory_wait, link)) && memory_fits(m, w->frame_len)) {
                ilist_unlink(&w->link);
                loop_post(w->loop, &w->granted);
        }
}

bool net_memory_take(struct net_memory *m, size_t frame_len)
{
        bool taken;

        pthread_mutex_lock(&m->lock);
        taken = ilist_is_empty(&m->waiters) && memory_fits(m, frame_len);
        pthread_mutex_unlock(&m->lock);
        return taken;
}

void net_memory_give(void *memory, size_t frame_len)
{
        struct net_memory *m = memory;
        bool last;

        pthread_mutex_lock(&m->lock);
        assert(m->used >= cost_of(frame_len));
        m->used -= cost_of(frame_len);
        memory_grant(m);
        last = m->closed && !m->used;
        pthread_mutex_unlock(&m->lock);
        if (last)
                memory_free(m);
}

void net_memory_wait(struct net_memory *m, struct net_memory_wait *w)
{
        pthread_mutex_lock(&m->lock);
        ilist_push_back(&m->waiters, &w->link);
        memory_grant(m);
        pthread_mutex_unlock(&m->lock);
}

bool net_memory_cancel(struct net_memory *m, struct net_memory_wait *w)
{
        bool waited;

        pthread_mutex_lock(&m->lock);
        waited = !ilist_is_empty(&w->link);
        ilist_unlink(&w->link);
        memory_grant(m); /* it may have been the one in front that did not fit */
        pthread_mutex_unlock(&m->lock);
        return waited;
}

bool net_memory_is_short(struct net_memory *m)
{
        bool is_short;

        pthread_mutex_lock(&m->lock);
        is_short = !ilist_is_empty(&m->waiters) || m->used > m->limit - m->limit / 8;
        pthread_mutex_unlock(&m->lock);
        return is_short;
}

uint64_t net_memory_used(struct net_memory *m)
{
        uint64_t used;

        pthread_mutex_lock(&m->lock);
        used = m->used;
        pthread_mutex_unlock(&m->lock);
        return used;
}
