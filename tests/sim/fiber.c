/* See fiber.h. Switching stacks is a few instructions on x86-64, and ucontext elsewhere. */
#include "fiber.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "machine.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SWITCH_BEGIN(save, stack, size) __sanitizer_start_switch_fiber((save), (stack), (size))
#define SWITCH_END(save) __sanitizer_finish_switch_fiber((save), NULL, NULL)
#else
#define SWITCH_BEGIN(save, stack, size) ((void)(save))
#define SWITCH_END(save) ((void)(save))
#endif

enum { STACK_LEN = 512 * 1024, NAME_LEN = 24, TURN_NS = 1500 };

struct fiber {
        struct ilist link;  /* of the machine's */
        struct ilist ready; /* to run, or held because its machine is stopped */
        struct machine *machine;
        char name[NAME_LEN];
        void (*fn)(void *arg);
        void *arg;
        char *stack;
        void *sp; /* or its ucontext_t */
        struct due due;
        bool woken, returned, dropped, kept;
        int error;
        struct loop *loop;
        struct fiber_queue *queue; /* that it stands in */
        struct fiber *queue_next;
        struct fiber *joiner;
        void *fake_stack;
};

struct chance sim_chance;

static struct {
        int64_t now_ns;
        uint64_t numbers, turns;
        struct due **heap;
        size_t heap_count, heap_room;
        struct ilist ready;
        unsigned ready_count;
        struct fiber *here;
        void *sp;
        void *fake_stack;
        const void *main_stack;
        size_t main_stack_len;
        char **stacks; /* not in use */
        size_t stacks_count, stacks_room;
} sched;

/* ---- what is due ---- */

static bool is_before(const struct due *a, const struct due *b)
{
        return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->number < b->number);
}

static void heap_put(size_t i, struct due *d)
{
        sched.heap[i] = d;
        d->place = i + 1;
}

static void heap_up(size_t i, struct due *d)
{
        for (; i && is_before(d, sched.heap[(i - 1) / 2]); i = (i - 1) / 2)
                heap_put(i, sched.heap[(i - 1) / 2]);
        heap_put(i, d);
}

static void heap_down(size_t i, struct due *d)
{
        for (size_t child; (child = i * 2 + 1) < sched.heap_count; i = child) {
                if (child + 1 < sched.heap_count && is_before(sched.heap[child + 1], sched.heap[child]))
                        child++;
                if (!is_before(sched.heap[child], d))
                        break;
                heap_put(i, sched.heap[child]);
        }
        heap_put(i, d);
}

void due_cancel(struct due *d)
{
        size_t i = d->place;
        struct due *last;

        if (!i--)
                return;
        d->place = 0;
        last = sched.heap[--sched.heap_count];
        if (last == d)
                return;
        if (i && is_before(last, sched.heap[(i - 1) / 2]))
                heap_up(i, last);
        else
                heap_down(i, last);
}

void due_plan(struct due *d, int64_t at_ns, void (*fn)(struct due *d))
{
        due_cancel(d);
        d->at_ns = at_ns;
        d->number = ++sched.numbers;
        d->fn = fn;
        if (sched.heap_count == sched.heap_room) {
                sched.heap_room = sched.heap_room ? sched.heap_room * 2 : 256;
                sched.heap = realloc(sched.heap, sched.heap_room * sizeof(struct due *));
                assert(sched.heap);
        }
        heap_up(sched.heap_count++, d);
}

int64_t sim_now(void)
{
        return sched.now_ns;
}

void sim_spend(int64_t ns)
{
        sched.now_ns += ns;
}

uint64_t sim_turns(void)
{
        return sched.turns;
}

/* ---- stacks ---- */

static char *stack_take(void)
{
        char *stack;

        if (sched.stacks_count)
                return sched.stacks[--sched.stacks_count];
        stack = mmap(NULL, STACK_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(stack != MAP_FAILED);
        mprotect(stack, 4096, PROT_NONE); /* a stack that is too small is seen */
        return stack;
}

static void stack_give(char *stack)
{
        if (sched.stacks_count == sched.stacks_room) {
                sched.stacks_room = sched.stacks_room ? sched.stacks_room * 2 : 64;
                sched.stacks = realloc(sched.stacks, sched.stacks_room * sizeof(char *));
                assert(sched.stacks);
        }
        sched.stacks[sched.stacks_count++] = stack;
}

#if defined(__x86_64__)
void fiber_switch(void **ret_sp, void *sp);
__asm__(".text\n"
        ".globl fiber_switch\n"
        ".type fiber_switch,@function\n"
        "fiber_switch:\n"
        "        push %rbp\n"
        "        push %rbx\n"
        "        push %r12\n"
        "        push %r13\n"
        "        push %r14\n"
        "        push %r15\n"
        "        mov %rsp, (%rdi)\n"
        "        mov %rsi, %rsp\n"
        "        pop %r15\n"
        "        pop %r14\n"
        "        pop %r13\n"
        "        pop %r12\n"
        "        pop %rbx\n"
        "        pop %rbp\n"
        "        ret\n"
        ".size fiber_switch,.-fiber_switch\n");

static void *stack_begin(char *stack, void (*fn)(void))
{
        void **sp = (void **)(void *)(stack + STACK_LEN);

        *--sp = NULL; /* where it would return to; keeps the alignment that a call has */
        *--sp = (void *)fn;
        for (int i = 0; i < 6; i++)
                *--sp = NULL;
        return sp;
}
#else
static void fiber_switch(void **ret_sp, void *sp)
{
        ucontext_t here;

        *ret_sp = &here;
        swapcontext(&here, sp);
}

static void *stack_begin(char *stack, void (*fn)(void))
{
        ucontext_t *c = (ucontext_t *)(void *)(stack + 4096);

        getcontext(c);
        c->uc_stack.ss_sp = stack + 4096 + sizeof *c;
        c->uc_stack.ss_size = STACK_LEN - 4096 - sizeof *c;
        c->uc_link = NULL;
        makecontext(c, fn, 0);
        return c;
}
#endif

/* ---- running ---- */

static void switch_out(void)
{
        struct fiber *f = sched.here;

        f->error = errno;
        SWITCH_BEGIN(f->returned || f->dropped ? NULL : &f->fake_stack, sched.main_stack, sched.main_stack_len);
        fiber_switch(&f->sp, sched.sp);
        SWITCH_END(f->fake_stack);
        errno = f->error;
}

static void fiber_main(void)
{
        struct fiber *f = sched.here;

        SWITCH_END(f->fake_stack);
        f->fn(f->arg);
        f->returned = true;
        if (f->joiner)
                fiber_wake(f->joiner, 0);
        switch_out();
        abort();
}

static void make_ready(struct fiber *f)
{
        ilist_push_back(f->machine->is_stopped ? &f->machine->held : &sched.ready, &f->ready);
        sched.ready_count += !f->machine->is_stopped;
}

static void on_due(struct due *d)
{
        make_ready(container_of(d, struct fiber, due));
}

void fibers_resume(struct machine *m)
{
        struct ilist *link;

        while ((link = ilist_pop_front(&m->held)))
                make_ready(ilist_entry(link, struct fiber, ready));
}

struct fiber *fiber_start(struct machine *m, const char *name, void (*fn)(void *arg), void *arg)
{
        struct fiber *f = calloc(1, sizeof *f);

        assert(f);
        f->machine = m;
        f->fn = fn;
        f->arg = arg;
        f->stack = stack_take();
        f->sp = stack_begin(f->stack, fiber_main);
        snprintf(f->name, sizeof f->name, "%s", name);
        ilist_push_back(&m->fibers, &f->link);
        ilist_init(&f->ready);
        due_plan(&f->due, sched.now_ns, on_due);
        return f;
}

void fiber_keep(struct fiber *f)
{
        f->kept = true;
}

static void fiber_unlink(struct fiber *f)
{
        due_cancel(&f->due);
        if (!ilist_is_empty(&f->ready))
                sched.ready_count -= !f->machine->is_stopped;
        ilist_unlink(&f->ready);
        ilist_unlink(&f->link);
}

static void fiber_free(struct fiber *f)
{
        fiber_unlink(f);
        stack_give(f->stack);
        free(f);
}

static struct fiber *pick(void)
{
        struct ilist *at = sched.ready.next;

        for (uint32_t skip = sched.ready_count > 1 ? chance_below(&sim_chance, MIN2(sched.ready_count, 4u)) : 0; skip;
             skip--)
                at = at->next;
        ilist_unlink(at);
        sched.ready_count--;
        return ilist_entry(at, struct fiber, ready);
}

static void run_one(struct fiber *f)
{
        if (f->machine->is_stopped) { /* since it was made ready */
                ilist_push_back(&f->machine->held, &f->ready);
                return;
        }
        sched.here = f;
        sched.turns++;
        sched.now_ns += TURN_NS;
        machine_enter(f->machine);
        SWITCH_BEGIN(&sched.fake_stack, f->stack, STACK_LEN);
        fiber_switch(&sched.sp, f->sp);
        SWITCH_END(sched.fake_stack);
        sched.here = NULL;
        machine_enter(NULL);
        if (f->dropped || (f->returned && !f->kept))
                fiber_free(f);
}

/* For the sanitizer. */
static void main_stack_find(void)
{
        pthread_attr_t a;
        void *at;

        if (pthread_getattr_np(pthread_self(), &a) || pthread_attr_getstack(&a, &at, &sched.main_stack_len))
                abort();
        sched.main_stack = at;
        pthread_attr_destroy(&a);
}

void sim_run(uint64_t seed, struct machine *m, void (*main)(void *arg), void *arg)
{
        struct fiber *f;

        sim_chance.state = seed;
        ilist_init(&sched.ready);
        main_stack_find();
        f = fiber_start(m, "main", main, arg);
        fiber_keep(f);
        while (!f->returned) {
                while (sched.heap_count && sched.heap[0]->at_ns <= sched.now_ns) {
                        struct due *d = sched.heap[0];

                        due_cancel(d);
                        d->fn(d);
                }
                if (sched.ready_count) {
                        run_one(pick());
                        continue;
                }
                assert(sched.heap_count); /* all wait for each other */
                sched.now_ns = MAX2(sched.now_ns, sched.heap[0]->at_ns);
        }
        fiber_free(f);
}

/* ---- for those that run ---- */

struct fiber *fiber_here(void)
{
        return sched.here;
}

struct machine *fiber_machine(const struct fiber *f)
{
        return f->machine;
}

const char *fiber_name(const struct fiber *f)
{
        return f->name;
}

struct loop *fiber_loop(const struct fiber *f)
{
        return f->loop;
}

void fiber_set_loop(struct fiber *f, struct loop *l)
{
        f->loop = l;
}

bool fiber_park(int64_t until_ns)
{
        struct fiber *f = sched.here;

        assert(f);
        f->woken = false;
        if (until_ns != NEVER)
                due_plan(&f->due, MAX2(until_ns, sched.now_ns), on_due);
        switch_out();
        return f->woken;
}

void fiber_wake(struct fiber *f, int64_t after_ns)
{
        int64_t at_ns = sched.now_ns + after_ns;

        if (f->returned || f == sched.here || !ilist_is_empty(&f->ready))
                return;
        f->woken = true;
        if (!f->due.place || f->due.at_ns > at_ns)
                due_plan(&f->due, at_ns, on_due);
}

void fiber_sleep(int64_t ns)
{
        int64_t until_ns = sched.now_ns + ns;

        while (sched.now_ns < until_ns)
                fiber_park(until_ns);
}

void fiber_join(struct fiber *f)
{
        assert(f->machine == sched.here->machine && f != sched.here);
        f->joiner = sched.here;
        while (!f->returned)
                fiber_park(NEVER);
        fiber_free(f);
}

unsigned fibers_count(const struct machine *m)
{
        unsigned n = 0;

        ilist_for_each (f, &m->fibers, struct fiber, link)
                n += !f->returned;
        return n;
}

void fibers_say(const struct machine *m)
{
        ilist_for_each (f, &((struct machine *)(uintptr_t)m)->fibers, struct fiber, link)
                if (!f->returned)
                        world_say("%s: %s has not ended", m->name, f->name);
}

void fibers_drop(struct machine *m)
{
        struct fiber *self = sched.here && sched.here->machine == m ? sched.here : NULL;

        ilist_for_each (f, &m->fibers, struct fiber, link)
                if (f != self)
                        fiber_free(f);
        if (!self)
                return;
        self->dropped = true;
        switch_out();
        abort();
}

/* ---- queues ---- */

static void queue_leave(struct fiber_queue *q, struct fiber *f)
{
        for (struct fiber **at = &q->first; *at; at = &(*at)->queue_next)
                if (*at == f) {
                        *at = f->queue_next;
                        break;
                }
        f->queue = NULL;
}

bool fiber_queue_wait(struct fiber_queue *q, int64_t until_ns)
{
        struct fiber *f = sched.here, **end = &q->first;
        bool left;

        assert(!f->queue);
        while (*end)
                end = &(*end)->queue_next;
        f->queue = q;
        f->queue_next = NULL;
        *end = f;
        fiber_park(until_ns);
        left = !f->queue;
        if (!left)
                queue_leave(q, f);
        return left;
}

void fiber_queue_wake_one(struct fiber_queue *q)
{
        struct fiber *f = q->first;

        if (!f)
                return;
        queue_leave(q, f);
        fiber_wake(f, 0);
}

void fiber_queue_wake_all(struct fiber_queue *q)
{
        while (q->first)
                fiber_queue_wake_one(q);
}
