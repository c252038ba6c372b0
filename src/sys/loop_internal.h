/* Inside of a loop; for loop.c and loop_watch.c only. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "sys/loop.h"

enum { LOOP_MAGIC = 0x6c6f6f70 };

struct loop {
        unsigned magic;
        char name[LOOP_NAME_SIZE];
        struct ev_loop *ev;
        int64_t turn_ns;   /* clock_mono_ns() at the start of this turn */
        ev_async wake;     /* ends a wait for events; delivery is the prepare watcher's */
        ev_prepare before; /* before each wait: deliver mail */
        ev_check after;    /* after each wait: take the time */
        ev_idle no_wait;   /* active while mail is left for the next turn, so that the loop does not wait */

        struct loop_patience *patience; /* NULL: no descriptor was patient yet */

        struct ilist mail;  /* to deliver, in order; the loop's thread only */
        struct ilist later; /* likewise, in the next turn */
        pthread_mutex_t lock;
        struct ilist box; /* from other threads; guarded by lock */
        atomic_uint
                wakers; /* threads that have put mail in the box and are about to wake the loop; counted up under lock */

        struct ilist running_link;   /* loop_pulse.c's, while it runs */
        struct mail pulse;           /* likewise */
        atomic_int_fast64_t owed_ms; /* since when @pulse is on its way; 0: it is not */

        atomic_bool stop;
        atomic_bool running;
        bool has_thread;
        pthread_t thread;
};

/* ---- loop_patient.c ---- */

/* loop_io_set() of one that is patient. False: the kernel refuses, and nothing has changed. */
bool loop_patient_watch(struct loop_io *w, int events);
/* It is watched for nothing, and not patient any more. */
void loop_patient_leave(struct loop_io *w);
void loop_patience_free(struct loop *l);

/* On the loop's thread, or before it has one. */
static inline void loop_assert_owned(struct loop *l)
{
        assert(l->magic == LOOP_MAGIC);
        assert(loop_current() == l || !atomic_load_explicit(&l->running, memory_order_relaxed));
}

/* ---- loop_pulse.c ---- */

/* The loop runs from now on, and no longer. On its thread. */
void loop_pulse_begin(struct loop *l);
void loop_pulse_end(struct loop *l);
