/* Loops and their mail. Watchers are in loop_watch.c, signs of life in loop_pulse.c.
 *
 * Mail from other threads goes into a box under a short lock; only the post that finds the box empty wakes the loop.
 * Mail from the loop's own thread goes straight to the list of what is to be delivered. Both are delivered by the
 * prepare watcher, which libev runs once a turn just before it waits for events.
 *
 * Invariants:
 * 1. Mail of one posting thread is delivered in order: a thread uses the box or the list, never both, while it is or
 *    is not the loop's; when the loop's thread leaves, its list goes in front of the box.
 * 2. A turn delivers what was there when delivery began, then what that has posted, and so on for ROUNDS_PER_TURN: a request
 *    that goes from hand to hand is answered without a system call in between. It delivers at most MAIL_PER_TURN; the rest
 *    waits for the next turn, before which events are looked at. So mail that posts mail cannot starve descriptors and timers.
 * 3. The loop does not wait while mail is left. */
#include "sys/loop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "sys/clock.h"
#include "sys/loop_internal.h"

enum { MAIL_PER_TURN = 4096, ROUNDS_PER_TURN = 8 };

static _Thread_local struct loop *loop_here;

struct loop *loop_current(void)
{
        return loop_here;
}

const char *loop_name(const struct loop *l)
{
        return l->name;
}

int64_t loop_now_ms(struct loop *l)
{
        loop_assert_owned(l);
        if (loop_current() != l)
                return clock_mono_ms();
        return l->turn_ns / 1000000;
}

/* ---- mail ---- */

static void loop_take_box(struct loop *l)
{
        pthread_mutex_lock(&l->lock);
        ilist_splice_back(&l->mail, &l->box);
        pthread_mutex_unlock(&l->lock);
}

static void loop_deliver(struct loop *l)
{
        struct ilist batch = ILIST_INIT(batch), *link;
        int left = MAIL_PER_TURN;

        loop_take_box(l);
        for (int round = 0; round < ROUNDS_PER_TURN && left && !ilist_is_empty(&l->mail); round++) {
                ilist_splice_back(&batch, &l->mail);
                for (; left && (link = ilist_pop_front(&batch)); left--) {
                        struct mail *m = ilist_entry(link, struct mail, link);

                        m->fn(l, m);
                }
        }
        ilist_splice_back(&batch, &l->mail); /* what is left goes before what was posted meanwhile */
        ilist_splice_back(&l->mail, &batch);
        ilist_splice_back(&l->mail, &l->later);
        if (ilist_is_empty(&l->mail))
                ev_idle_stop(l->ev, &l->no_wait);
        else
                ev_idle_start(l->ev, &l->no_wait);
}

void loop_post(struct loop *l, struct mail *m)
{
        bool was_empty;

        assert(l->magic == LOOP_MAGIC);
        assert(m->fn);
        if (loop_here == l) {
                ilist_push_back(&l->mail, &m->link);
                return;
        }
        pthread_mutex_lock(&l->lock);
        was_empty = ilist_is_empty(&l->box);
        ilist_push_back(&l->box, &m->link);
        /* The mail may be what ends and frees the loop; loop_free() waits for those who wake it. */
        if (was_empty)
                atomic_fetch_add_explicit(&l->wakers, 1, memory_order_relaxed);
        pthread_mutex_unlock(&l->lock);
        if (!was_empty)
                return;
        /* Without the lock: the loop's thread wants it first thing, and would wait for us, who may not run meanwhile. */
        ev_async_send(l->ev, &l->wake);
        atomic_fetch_sub_explicit(&l->wakers, 1, memory_order_release);
}

void loop_post_later(struct loop *l, struct mail *m)
{
        loop_assert_here(l);
        assert(m->fn);
        ilist_push_back(&l->later, &m->link);
}

/* ---- hooks ---- */

static void loop_on_before(struct ev_loop *ev, ev_prepare *w, int events)
{
        struct loop *l = ev_userdata(ev);

        assert(l->magic == LOOP_MAGIC);
        /* Mail that is already here is still delivered in the last turn. */
        loop_deliver(l);
        if (atomic_load_explicit(&l->stop, memory_order_acquire))
                ev_break(ev, EVBREAK_ALL);
}

static void loop_on_after(struct ev_loop *ev, ev_check *w, int events)
{
        struct loop *l = ev_userdata(ev);

        l->turn_ns = clock_mono_ns();
}

static void loop_on_wake(struct ev_loop *ev, ev_async *w, int events)
{
}

static void loop_on_no_wait(struct ev_loop *ev, ev_idle *w, int events)
{
}

/* ---- life ---- */

int loop_new(const char *name, struct loop **ret_loop)
{
        struct loop *l = calloc(1, sizeof *l);

        if (!l)
                return -ENOMEM;
        l->magic = LOOP_MAGIC;
        snprintf(l->name, sizeof l->name, "%s", name);
        ilist_init(&l->mail);
        ilist_init(&l->later);
        ilist_init(&l->box);
        pthread_mutex_init(&l->lock, NULL);
        l->ev = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
        if (!l->ev) {
                pthread_mutex_destroy(&l->lock);
                free(l);
                return -EMFILE; /* libev says no more; descriptors are what it needs */
        }
        ev_set_userdata(l->ev, l);
        ev_async_init(&l->wake, loop_on_wake);
        ev_async_start(l->ev, &l->wake);
        ev_prepare_init(&l->before, loop_on_before);
        ev_prepare_start(l->ev, &l->before);
        ev_check_init(&l->after, loop_on_after);
        ev_set_priority(&l->after, EV_MAXPRI);
        ev_check_start(l->ev, &l->after);
        ev_idle_init(&l->no_wait, loop_on_no_wait);
        ev_set_priority(&l->no_wait, EV_MINPRI);
        *ret_loop = l;
        return 0;
}

struct loop *loop_free(struct loop *l)
{
        if (!l)
                return NULL;
        assert(l->magic == LOOP_MAGIC);
        assert(!atomic_load(&l->running));
        assert(!l->has_thread);       /* loop_join() first */
        pthread_mutex_lock(&l->lock); /* a poster may still be inside */
        pthread_mutex_unlock(&l->lock);
        while (atomic_load_explicit(&l->wakers, memory_order_acquire)) /* or about to write eight bytes */
                sched_yield();
        pthread_mutex_destroy(&l->lock);
        loop_patience_free(l);
        ev_loop_destroy(l->ev);
        l->magic = 0;
        free(l);
        return NULL;
}

void loop_run(struct loop *l)
{
        struct loop *outer = loop_here;

        assert(l->magic == LOOP_MAGIC);
        assert(!outer); /* one loop to a thread */
        atomic_store(&l->running, true);
        loop_here = l;
        ev_now_update(l->ev);
        l->turn_ns = clock_mono_ns();
        loop_pulse_begin(l);
        ev_run(l->ev, 0);
        loop_pulse_end(l);
        loop_here = NULL;
        pthread_mutex_lock(&l->lock);
        ilist_splice_back(&l->mail, &l->later);
        ilist_splice_back(&l->mail, &l->box);
        ilist_splice_back(&l->box, &l->mail);
        pthread_mutex_unlock(&l->lock);
        atomic_store(&l->stop, false);
        atomic_store(&l->running, false);
}

static void *loop_thread(void *arg)
{
        struct loop *l = arg;
        char short_name[16];

        snprintf(short_name, sizeof short_name, "%.15s", l->name);
        pthread_setname_np(pthread_self(), short_name);
        loop_run(l);
        return NULL;
}

int loop_start_thread(struct loop *l)
{
        sigset_t block, old;
        int r;

        assert(l->magic == LOOP_MAGIC);
        assert(!l->has_thread);
        /* Signals belong to the main loop; those that a fault raises must reach the thread that made it. SIGPIPE stays
         * blocked here, which is what makes sendfile(2) to a peer that is gone harmless. */
        sigfillset(&block);
        sigdelset(&block, SIGSEGV);
        sigdelset(&block, SIGBUS);
        sigdelset(&block, SIGILL);
        sigdelset(&block, SIGFPE);
        sigdelset(&block, SIGABRT);
        sigdelset(&block, SIGTRAP);
        pthread_sigmask(SIG_SETMASK, &block, &old);
        r = pthread_create(&l->thread, NULL, loop_thread, l);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r)
                return -r;
        l->has_thread = true;
        return 0;
}

void loop_stop(struct loop *l)
{
        assert(l->magic == LOOP_MAGIC);
        pthread_mutex_lock(&l->lock);
        atomic_store_explicit(&l->stop, true, memory_order_release);
        ev_async_send(l->ev, &l->wake);
        pthread_mutex_unlock(&l->lock);
}

void loop_join(struct loop *l)
{
        if (!l->has_thread)
                return;
        pthread_join(l->thread, NULL);
        l->has_thread = false;
}
