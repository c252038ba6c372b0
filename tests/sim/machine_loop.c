/* Loops on fibers: stands in for sys/loop.c and loop_watch.c. libev's structs in loop.h are memory for our own use:
 *   ev_timer: active is the place in the loop's heap + 1, at the local monotonic time in ns, repeat a number that keeps order
 *   ev_io: active is the place in the loop's list + 1, fd, events */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "network.h"
#include "sys/clock.h"
#include "sys/loop.h"

enum { LOOP_MAGIC = 0x6c6f6f70, MAIL_PER_TURN = 4096, ROUNDS_PER_TURN = 8, WAKE_NS_MAX = 30 * US };

struct loop {
        unsigned magic;
        char name[32];
        struct machine *machine;
        struct fiber *runner; /* while it runs */
        struct fiber *thread;
        struct ilist mail, later;
        bool stop;
        int64_t turn_ns;
        double timers_made;
        struct loop_timer **timers; /* heap */
        size_t timers_count, timers_room;
        struct loop_io **ios;
        size_t ios_count, ios_room;
        struct loop_io **todo; /* in this turn; NULL where it was stopped since */
        size_t todo_count, todo_room;
};

static void *room(void *list, size_t count, size_t *have)
{
        if (count < *have)
                return list;
        *have = *have ? *have * 2 : 16;
        list = realloc(list, *have * sizeof(void *));
        assert(list);
        return list;
}

static void wake(struct loop *l)
{
        if (l->runner && l->runner != fiber_here())
                fiber_wake(l->runner, chance_below(&l->machine->chance, WAKE_NS_MAX));
}

/* ---- mail ---- */

struct loop *loop_current(void)
{
        return fiber_here() ? fiber_loop(fiber_here()) : NULL;
}

const char *loop_name(const struct loop *l)
{
        return l->name;
}

int64_t loop_now_ms(struct loop *l)
{
        return loop_current() == l ? l->turn_ns / MS : clock_mono_ms();
}

void loop_post(struct loop *l, struct mail *m)
{
        assert(l->magic == LOOP_MAGIC && m->fn);
        assert(!machine_here() || machine_here() == l->machine);
        ilist_push_back(&l->mail, &m->link);
        wake(l);
}

void loop_post_later(struct loop *l, struct mail *m)
{
        assert(l->magic == LOOP_MAGIC && m->fn && loop_current() == l);
        ilist_push_back(&l->later, &m->link);
}

static void deliver(struct loop *l)
{
        struct ilist batch = ILIST_INIT(batch), *link;
        int left = MAIL_PER_TURN;

        for (int round = 0; round < ROUNDS_PER_TURN && left && !ilist_is_empty(&l->mail); round++) {
                ilist_splice_back(&batch, &l->mail);
                for (; left && (link = ilist_pop_front(&batch)); left--) {
                        struct mail *m = ilist_entry(link, struct mail, link);

                        m->fn(l, m);
                }
        }
        ilist_splice_back(&batch, &l->mail);
        ilist_splice_back(&l->mail, &batch);
        ilist_splice_back(&l->mail, &l->later);
}

/* ---- timers ---- */

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
        return a->ev.at < b->ev.at || (a->ev.at <= b->ev.at && a->ev.repeat < b->ev.repeat);
}

static void put(struct loop *l, size_t i, struct loop_timer *t)
{
        l->timers[i] = t;
        t->ev.active = (int)i + 1;
}

static void sift(struct loop *l, size_t i, struct loop_timer *t)
{
        for (; i && is_before(t, l->timers[(i - 1) / 2]); i = (i - 1) / 2)
                put(l, i, l->timers[(i - 1) / 2]);
        for (size_t child; (child = i * 2 + 1) < l->timers_count; i = child) {
                if (child + 1 < l->timers_count && is_before(l->timers[child + 1], l->timers[child]))
                        child++;
                if (!is_before(l->timers[child], t))
                        break;
                put(l, i, l->timers[child]);
        }
        put(l, i, t);
}

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(struct loop_timer *t))
{
        memset(t, 0, sizeof *t);
        t->loop = l;
        t->fn = fn;
}

void loop_timer_stop(struct loop_timer *t)
{
        struct loop *l = t->loop;
        size_t i = (size_t)t->ev.active;
        struct loop_timer *last;

        if (!i--)
                return;
        assert(loop_current() == l || !l->runner);
        t->ev.active = 0;
        last = l->timers[--l->timers_count];
        if (last != t)
                sift(l, i, last);
}

void loop_timer_start(struct loop_timer *t, int64_t delay_ms)
{
        struct loop *l = t->loop;

        assert(l->magic == LOOP_MAGIC);
        assert(loop_current() == l || !l->runner);
        loop_timer_stop(t);
        t->ev.at = (double)(machine_mono_ns(l->machine) + MAX2(delay_ms, (int64_t)0) * MS);
        t->ev.repeat = ++l->timers_made;
        l->timers = room(l->timers, l->timers_count, &l->timers_room);
        sift(l, l->timers_count++, t);
}

/* ---- descriptors ---- */

void loop_io_init(struct loop_io *w, struct loop *l, int fd, void (*fn)(struct loop_io *w, int events))
{
        memset(w, 0, sizeof *w);
        w->ev.fd = fd;
        w->loop = l;
        w->fn = fn;
}

void loop_io_set(struct loop_io *w, int events)
{
        struct loop *l = w->loop;
        size_t i = (size_t)w->ev.active;

        assert(loop_current() == l || !l->runner);
        assert(!(events & ~(LOOP_READ | LOOP_WRITE)));
        if (!i && !events)
                return;
        w->ev.events = events;
        network_watch(w->ev.fd, events ? w : NULL);
        if (events && !i) {
                l->ios = room(l->ios, l->ios_count, &l->ios_room);
                l->ios[l->ios_count++] = w;
                w->ev.active = (int)l->ios_count;
        } else if (!events) {
                struct loop_io *last = l->ios[--l->ios_count];

                l->ios[i - 1] = last;
                last->ev.active = (int)i;
                w->ev.active = 0;
                for (size_t k = 0; k < l->todo_count; k++)
                        if (l->todo[k] == w)
                                l->todo[k] = NULL;
        }
}

/* All descriptors of a machine are told of in its own order and time; haste is a matter of the kernel. */
void loop_io_set_patient(struct loop_io *w, bool patient)
{
        w->patient = patient;
}

void machine_loop_wake(struct loop_io *w)
{
        wake(w->loop);
}

/* Signals are the program's, not a node's. */
void loop_signal_start(struct loop_signal *s, struct loop *l, int signo, void (*fn)(struct loop_signal *s, int signo))
{
        (void)signo;
        s->loop = l;
        s->fn = fn;
}

void loop_signal_stop(struct loop_signal *s)
{
        (void)s;
}

/* ---- turns ---- */

static void run_timers(struct loop *l)
{
        double now = (double)l->turn_ns;
        double made = l->timers_made; /* one that is started meanwhile waits for the next turn */

        while (l->timers_count && l->timers[0]->ev.at <= now && l->timers[0]->ev.repeat <= made) {
                struct loop_timer *t = l->timers[0];

                loop_timer_stop(t);
                t->fn(t);
        }
}

/* Is anything to be done for a descriptor? With it all in todo. */
static bool look(struct loop *l)
{
        l->todo_count = 0;
        for (size_t i = 0; i < l->ios_count; i++)
                if (network_ready(l->ios[i]->ev.fd) & l->ios[i]->ev.events) {
                        l->todo = room(l->todo, l->todo_count, &l->todo_room);
                        l->todo[l->todo_count++] = l->ios[i];
                }
        return l->todo_count;
}

static void run_ios(struct loop *l)
{
        for (size_t i = 0; i < l->todo_count; i++) {
                struct loop_io *w = l->todo[i];
                int events = w ? network_ready(w->ev.fd) & w->ev.events : 0;

                if (events)
                        w->fn(w, events);
        }
        l->todo_count = 0;
}

static void wait_for_something(struct loop *l)
{
        for (;;) {
                int64_t now_ns = machine_mono_ns(l->machine);

                if (look(l) || !ilist_is_empty(&l->mail) || l->stop)
                        return;
                if (l->timers_count && l->timers[0]->ev.at <= (double)now_ns)
                        return;
                fiber_park(l->timers_count ? machine_when(l->machine, (int64_t)l->timers[0]->ev.at) : NEVER);
        }
}

void loop_run(struct loop *l)
{
        assert(l->magic == LOOP_MAGIC && !l->runner && !loop_current());
        l->runner = fiber_here();
        fiber_set_loop(l->runner, l);
        l->turn_ns = clock_mono_ns();
        for (;;) {
                deliver(l);
                if (l->stop)
                        break;
                wait_for_something(l);
                l->turn_ns = clock_mono_ns();
                if (chance_one_in(&l->machine->chance, 2)) {
                        run_ios(l);
                        run_timers(l);
                } else {
                        run_timers(l);
                        run_ios(l);
                }
        }
        fiber_set_loop(l->runner, NULL);
        l->runner = NULL;
        l->stop = false;
}

/* ---- life ---- */

int loop_new(const char *name, struct loop **ret_loop)
{
        struct loop *l = calloc(1, sizeof *l);

        if (!l)
                return -ENOMEM;
        l->magic = LOOP_MAGIC;
        l->machine = machine_here();
        snprintf(l->name, sizeof l->name, "%s", name);
        ilist_init(&l->mail);
        ilist_init(&l->later);
        *ret_loop = l;
        return 0;
}

struct loop *loop_free(struct loop *l)
{
        if (!l)
                return NULL;
        assert(l->magic == LOOP_MAGIC && !l->runner && !l->thread);
        l->magic = 0;
        free(l->timers);
        free(l->ios);
        free(l->todo);
        free(l);
        return NULL;
}

static void thread_main(void *arg)
{
        loop_run(arg);
}

int loop_start_thread(struct loop *l)
{
        assert(!l->thread);
        l->thread = fiber_start(l->machine, l->name, thread_main, l);
        fiber_keep(l->thread);
        return 0;
}

void loop_stop(struct loop *l)
{
        assert(l->magic == LOOP_MAGIC);
        l->stop = true;
        wake(l);
}

void loop_join(struct loop *l)
{
        if (!l->thread)
                return;
        fiber_join(l->thread);
        l->thread = NULL;
}
