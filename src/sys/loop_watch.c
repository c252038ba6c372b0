/* Timers, descriptors and signals of a loop: thin faces of libev's watchers. */
#include "sys/clock.h"
#include "sys/loop.h"
#include "sys/loop_internal.h"

/* ---- timers ---- */

static void loop_on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
        struct loop_timer *t = container_of(w, struct loop_timer, ev);

        t->fn(t);
}

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(struct loop_timer *t))
{
        ev_timer_init(&t->ev, loop_on_timer, 0., 0.);
        t->loop = l;
        t->fn = fn;
}

void loop_timer_start(struct loop_timer *t, int64_t delay_ms)
{
        struct loop *l = t->loop;
        double delay_s = delay_ms > 0 ? (double)delay_ms / 1e3 : 0.;

        loop_assert_owned(l);
        ev_timer_stop(l->ev, &t->ev);
        /* libev counts from the start of the turn. A long turn must not make a timer fire early. */
        if (loop_current() == l)
                delay_s += delay_ms > 0 ? (double)(clock_mono_ns() - l->turn_ns) / 1e9 : 0.;
        else
                ev_now_update(l->ev);
        ev_timer_set(&t->ev, delay_s, 0.);
        ev_timer_start(l->ev, &t->ev);
}

void loop_timer_stop(struct loop_timer *t)
{
        loop_assert_owned(t->loop);
        ev_timer_stop(t->loop->ev, &t->ev);
}

/* ---- descriptors ---- */

static void loop_on_io(struct ev_loop *ev, ev_io *w, int events)
{
        struct loop_io *io = container_of(w, struct loop_io, ev);

        io->fn(io, events & (EV_READ | EV_WRITE));
}

void loop_io_init(struct loop_io *w, struct loop *l, int fd, void (*fn)(struct loop_io *w, int events))
{
        ev_io_init(&w->ev, loop_on_io, fd, 0);
        w->patient = false;
        w->patient_events = w->patient_known = 0;
        w->loop = l;
        w->fn = fn;
}

static int io_events(const struct loop_io *w)
{
        return w->patient ? w->patient_events : ev_is_active(&w->ev) ? w->ev.events & (EV_READ | EV_WRITE) : 0;
}

void loop_io_set(struct loop_io *w, int events)
{
        struct ev_loop *ev = w->loop->ev;

        loop_assert_owned(w->loop);
        assert(!(events & ~(EV_READ | EV_WRITE)));
        if (io_events(w) == events)
                return;
        if (w->patient) {
                if (loop_patient_watch(w, events))
                        return;
                loop_patient_leave(w);
        }
        ev_io_stop(ev, &w->ev);
        if (!events)
                return;
        ev_io_modify(&w->ev, events); /* keeps libev's mark for descriptors that it has not seen yet */
        ev_io_start(ev, &w->ev);
}

void loop_io_set_patient(struct loop_io *w, bool patient)
{
        int events = io_events(w);

        if (w->patient == patient)
                return;
        if (patient) {
                loop_io_set(w, 0);
                w->patient = true;
        } else {
                loop_patient_leave(w);
        }
        loop_io_set(w, events);
}

/* ---- signals ---- */

static void loop_on_signal(struct ev_loop *ev, ev_signal *w, int events)
{
        struct loop_signal *s = container_of(w, struct loop_signal, ev);

        s->fn(s, w->signum);
}

void loop_signal_start(struct loop_signal *s, struct loop *l, int signo, void (*fn)(struct loop_signal *s, int signo))
{
        loop_assert_owned(l);
        ev_signal_init(&s->ev, loop_on_signal, signo);
        s->loop = l;
        s->fn = fn;
        ev_signal_start(l->ev, &s->ev);
}

void loop_signal_stop(struct loop_signal *s)
{
        if (!s->loop)
                return; /* never started */
        loop_assert_owned(s->loop);
        ev_signal_stop(s->loop->ev, &s->ev);
}
