/* One event loop to a thread (libev). Everything that belongs to a loop is touched only on its thread; other threads
 * post mail. Nothing on a loop may block: that goes to the I/O pool (iopool.h). */
#pragma once

#include <ev.h>

#include "base/list.h"

struct loop;

/* ---- life ---- */

/* New loop. @name appears in thread names and diagnostics; copied. Return: 0 or negative errno. */
int loop_new(const char *name, struct loop **ret_loop);
/* Free a loop that does not run (any more); mail that was not delivered is dropped. NULL is fine. Returns NULL. */
struct loop *loop_free(struct loop *l);
DEFINE_FREEP(struct loop, loop_free)

/* Run on the calling thread until loop_stop(). */
void loop_run(struct loop *l);
/* Run on a new thread named after the loop (signals blocked there). Return: 0 or negative errno. */
int loop_start_thread(struct loop *l);
/* Make loop_run() return after the current turn. Any thread. */
void loop_stop(struct loop *l);
/* Wait for the thread of loop_start_thread() to end. */
void loop_join(struct loop *l);

/* The loop that runs on the calling thread, or NULL. */
struct loop *loop_current(void);
static inline void loop_assert_here(const struct loop *l)
{
        assert(loop_current() == l);
}
const char *loop_name(const struct loop *l);
enum { LOOP_NAME_SIZE = 32 };
/* Ask every loop that runs in this process for a sign of life, which it gives when it takes its mail, and say for how long the worst of
 * them has owed one: milliseconds, 0 when all have answered; @ret_name: which. Called now and then, from one thread. */
int64_t loops_silent_ms(char ret_name[LOOP_NAME_SIZE]);
/* Monotonic milliseconds at the start of this turn (cheap). On the loop's thread. */
int64_t loop_now_ms(struct loop *l);

/* ---- mail ---- */

/* A message to a loop. Embedded in its owner, who must keep it alive until @fn has run; @fn may free the owner.
 * One mail may not be posted again before its @fn was called. */
struct mail {
        struct ilist link;
        void (*fn)(struct loop *l, struct mail *m);
};

/* Deliver @m->fn on @l's thread, in order of posting (per posting thread). Any thread. Wakes the loop when needed;
 * posting to the loop that one is on costs no system call and is delivered in the same turn or the next. */
void loop_post(struct loop *l, struct mail *m);
/* The same for who has had its share and lets others go first: delivered in the next turn, when events have been looked at. On the
 * loop's thread. */
void loop_post_later(struct loop *l, struct mail *m);

/* ---- timers: one shot; restart in the callback for a period ---- */

struct loop_timer {
        ev_timer ev;
        struct loop *loop;
        void (*fn)(struct loop_timer *t);
};

/* Set up once, before any start or stop. */
void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(struct loop_timer *t));
/* (Re)start: fires once after @delay_ms (at least; 0 is the next turn). On the loop's thread. */
void loop_timer_start(struct loop_timer *t, int64_t delay_ms);
/* Harmless when not running. On the loop's thread. */
void loop_timer_stop(struct loop_timer *t);
static inline bool loop_timer_is_active(const struct loop_timer *t)
{
        return ev_is_active(&t->ev);
}

/* ---- descriptors ---- */

enum { LOOP_READ = EV_READ, LOOP_WRITE = EV_WRITE };

enum { LOOP_PATIENCE_MS = 2 }; /* see loop_io_set_patient() */

struct loop_io {
        ev_io ev;
        bool patient;
        uint8_t patient_events; /* what it is watched for while it is patient */
        uint8_t patient_known;  /* what the kernel watches it for */
        struct loop *loop;
        void (*fn)(struct loop_io *w, int events);
};

void loop_io_init(struct loop_io *w, struct loop *l, int fd, void (*fn)(struct loop_io *w, int events));
/* Watch for @events (LOOP_READ | LOOP_WRITE); 0 stops. No system call when nothing changes. On the loop's thread. */
void loop_io_set(struct loop_io *w, int events);
/* Its events need no haste: where those of patient descriptors come often, they are told LOOP_PATIENCE_MS late (or what the kernel
 * makes of it: up to 1 ms more), with all that have come until then, so that one wake-up serves many. Others do not wait for
 * them, nor for each other. A few system calls when it changes. Where the kernel refuses, it is as if it were not patient. @w's memory
 * may go when its descriptor is closed (set to 0 before), or when it is not patient. On the loop's thread. */
void loop_io_set_patient(struct loop_io *w, bool patient);

/* ---- signals (only on the main loop) ---- */

struct loop_signal {
        ev_signal ev;
        struct loop *loop;
        void (*fn)(struct loop_signal *s, int signo);
};
void loop_signal_start(struct loop_signal *s, struct loop *l, int signo, void (*fn)(struct loop_signal *s, int signo));
void loop_signal_stop(struct loop_signal *s);
