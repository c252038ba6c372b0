/* Descriptors that are in no haste. They are in an epoll set of their own, which the loop looks at as if it were one descriptor:
 *
 *      Watching --an event, soon after the last look--> Gathering --a look finds nothing--> Watching
 *
 * Watching, the first event wakes the loop and is told at once. Gathering, no event wakes it; a timer looks, and tells all that have
 * come since. So who comes seldom does not wait, and of many that come often each costs a part of a wake-up only.
 *
 * Invariants:
 * 1. What the kernel watches a descriptor for (patient_known) is what it shall be watched for, or it shall be watched for nothing: that
 *    is often so for a moment only, and the kernel hears of it when an event comes nevertheless.
 * 2. What a look has found and not told yet is forgotten for a descriptor that is watched for nothing: its owner may be gone. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sys/loop.h"
#include "sys/loop_internal.h"

enum { LOOK_MAX = 128 };

struct loop_patience {
        int fd;               /* the set */
        struct loop_io watch; /* of it; not set while gathering */
        struct loop_timer due;
        int64_t looked_ns;
        struct epoll_event found[LOOK_MAX];
        int at, count; /* of what was found: told up to @at */
};

static int events_of(uint32_t epoll_events)
{
        uint32_t both = epoll_events & (EPOLLERR | EPOLLHUP); /* as libev does: who tries finds out */

        return (epoll_events & EPOLLIN || both ? LOOP_READ : 0) | (epoll_events & EPOLLOUT || both ? LOOP_WRITE : 0);
}

static bool tell_kernel(struct loop_patience *p, struct loop_io *w, int events)
{
        struct epoll_event e = { .data.ptr = w };
        int op = !events ? EPOLL_CTL_DEL : w->patient_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (events == w->patient_known)
                return true;
        e.events = (events & LOOP_READ ? EPOLLIN : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0);
        if (epoll_ctl(p->fd, op, w->ev.fd, &e))
                return false;
        w->patient_known = (uint8_t)events;
        return true;
}

/* Return: how many had events; LOOK_MAX: there may be more. */
static int look(struct loop *l)
{
        struct loop_patience *p = l->patience;
        int count = epoll_wait(p->fd, p->found, LOOK_MAX, 0);

        p->looked_ns = l->turn_ns;
        p->count = MAX2(count, 0); /* EINTR: the next look finds them */
        for (p->at = 0; p->at < p->count;) {
                const struct epoll_event *e = &p->found[p->at++];
                struct loop_io *w = e->data.ptr;
                int events = w ? events_of(e->events) & w->patient_events : 0;

                if (events)
                        w->fn(w, events);
                else if (w && !w->patient_events)
                        (void)tell_kernel(p, w, 0); /* works, or is tried again at the next event */
        }
        p->count = 0;
        return count;
}

static void on_event(struct loop_io *w, int events)
{
        struct loop *l = w->loop;
        struct loop_patience *p = l->patience;
        bool often = l->turn_ns - p->looked_ns < LOOP_PATIENCE_MS * 1000000LL;

        (void)events;
        look(l);
        if (!often)
                return;
        loop_io_set(&p->watch, 0);
        loop_timer_start(&p->due, LOOP_PATIENCE_MS);
}

static void on_due(struct loop_timer *t)
{
        int count = look(t->loop);

        if (count)
                loop_timer_start(t, count == LOOK_MAX ? 0 : LOOP_PATIENCE_MS);
        else
                loop_io_set(&t->loop->patience->watch, LOOP_READ);
}

static struct loop_patience *patience_of(struct loop *l)
{
        struct loop_patience *p = l->patience;

        if (p)
                return p;
        p = calloc(1, sizeof *p);
        if (!p)
                return NULL;
        p->fd = epoll_create1(EPOLL_CLOEXEC);
        if (p->fd < 0) {
                free(p);
                return NULL;
        }
        loop_io_init(&p->watch, l, p->fd, on_event);
        loop_timer_init(&p->due, l, on_due);
        l->patience = p;
        loop_io_set(&p->watch, LOOP_READ);
        return p;
}

static void forget_found(struct loop_patience *p, const struct loop_io *w)
{
        for (int i = p->at; i < p->count; i++)
                if (p->found[i].data.ptr == w)
                        p->found[i].data.ptr = NULL;
}

bool loop_patient_watch(struct loop_io *w, int events)
{
        struct loop_patience *p = patience_of(w->loop);

        if (!p || (events && !tell_kernel(p, w, events)))
                return false;
        if (!events)
                forget_found(p, w);
        w->patient_events = (uint8_t)events;
        return true;
}

void loop_patient_leave(struct loop_io *w)
{
        struct loop_patience *p = w->loop->patience;

        if (p) {
                forget_found(p, w);
                (void)tell_kernel(p, w, 0); /* fails only for what is not in the set */
        }
        w->patient_events = w->patient_known = 0;
        w->patient = false;
}

void loop_patience_free(struct loop *l)
{
        if (!l->patience)
                return;
        close(l->patience->fd);
        free(TAKE_PTR(l->patience));
}
