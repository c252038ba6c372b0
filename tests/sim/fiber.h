/* Threads that are none: each has a stack, and runs until it waits. One of them runs at a time, time stands still meanwhile but
 * for the little that a look at a clock costs, and goes on when all wait. What runs next among several is chance, from the
 * run's seed. So a run of many nodes with all their threads is one thread, quick, and the same each time.
 *
 * Locks, conditions and threads of pthread.h that the code under test uses are made of these (threads.c). */
#pragma once

#include "base/list.h"
#include "chance.h"

struct machine;
struct fiber;
struct loop;

#define NEVER INT64_MAX
enum { US = 1000, MS = 1000 * US };
#define SECOND INT64_C(1000000000)

/* Something that happens at a time. Embedded in its owner; one that is zeroed is not planned. */
struct due {
        int64_t at_ns;
        uint64_t number; /* of two at the same time the one that was planned first is first */
        size_t place;    /* in the heap, + 1; 0: not planned */
        void (*fn)(struct due *d);
};

/* Plan, or plan anew. @fn runs on no fiber, and may not wait. */
void due_plan(struct due *d, int64_t at_ns, void (*fn)(struct due *d));
/* Harmless when it is not planned. */
void due_cancel(struct due *d);

/* Nanoseconds since the run began. */
int64_t sim_now(void);
/* Computing takes time, too. */
void sim_spend(int64_t ns);
/* Chance of whoever runs the world; machines have their own. */
extern struct chance sim_chance;
/* Run @main on a fiber of @m, and everything that it starts, until it returns. Once in a process. */
void sim_run(uint64_t seed, struct machine *m, void (*main)(void *arg), void *arg);
/* Fibers that were run, for the report. */
uint64_t sim_turns(void);

/* Gone when @fn returns, unless fiber_keep() is called before it runs. */
struct fiber *fiber_start(struct machine *m, const char *name, void (*fn)(void *arg), void *arg);
/* NULL: none runs. */
struct fiber *fiber_here(void);
struct machine *fiber_machine(const struct fiber *f);
const char *fiber_name(const struct fiber *f);
/* Wait until somebody wakes it or the time has come, or for no reason. True: woken. */
bool fiber_park(int64_t until_ns);
/* It goes on @after_ns from now, unless it is about to earlier. */
void fiber_wake(struct fiber *f, int64_t after_ns);
void fiber_sleep(int64_t ns);
/* It stays until fiber_join(). */
void fiber_keep(struct fiber *f);
/* Wait for it to return; it is gone afterwards. On a fiber of the same machine. */
void fiber_join(struct fiber *f);
/* Nothing of it runs any more: the process that it was in has ended. Of the running one: does not return. */
void fibers_drop(struct machine *m);
/* Fibers that have not returned. */
unsigned fibers_count(const struct machine *m);
/* Say in the trace which have not. */
void fibers_say(const struct machine *m);
/* A process that was stopped goes on. */
void fibers_resume(struct machine *m);

/* The loop that runs on it, for the loops' own use. */
struct loop *fiber_loop(const struct fiber *f);
void fiber_set_loop(struct fiber *f, struct loop *l);

/* Fibers that wait for the same thing. All zero is empty. */
struct fiber_queue {
        struct fiber *first;
};
/* Wait in it until @until_ns or until woken. True: woken. */
bool fiber_queue_wait(struct fiber_queue *q, int64_t until_ns);
void fiber_queue_wake_one(struct fiber_queue *q);
void fiber_queue_wake_all(struct fiber_queue *q);
