/* Threads, locks and conditions of pthread.h, made of fibers: the linker puts these in the place of the library's
 * (-Wl,--wrap). A lock's memory is used as it is; all zero is a lock that nobody holds. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "fiber.h"
#include "machine.h"

struct fake_mutex {
        struct fiber *owner;
        struct fiber_queue queue;
};

struct fake_rwlock {
        struct fiber *writer;
        struct fiber_queue queue;
        unsigned readers;
};

static_assert(sizeof(struct fake_mutex) <= sizeof(pthread_mutex_t), "a lock's memory holds ours");
static_assert(sizeof(struct fake_rwlock) <= sizeof(pthread_rwlock_t), "a lock's memory holds ours");
static_assert(sizeof(struct fiber_queue) <= sizeof(pthread_cond_t), "a condition's memory holds ours");

#define WRAP(name) __wrap_##name
int WRAP(pthread_mutex_init)(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int WRAP(pthread_mutex_destroy)(pthread_mutex_t *m);
int WRAP(pthread_mutex_lock)(pthread_mutex_t *m);
int WRAP(pthread_mutex_trylock)(pthread_mutex_t *m);
int WRAP(pthread_mutex_unlock)(pthread_mutex_t *m);
int WRAP(pthread_cond_init)(pthread_cond_t *c, const pthread_condattr_t *a);
int WRAP(pthread_cond_destroy)(pthread_cond_t *c);
int WRAP(pthread_cond_wait)(pthread_cond_t *c, pthread_mutex_t *m);
int WRAP(pthread_cond_signal)(pthread_cond_t *c);
int WRAP(pthread_cond_broadcast)(pthread_cond_t *c);
int WRAP(pthread_rwlock_init)(pthread_rwlock_t *l, const pthread_rwlockattr_t *a);
int WRAP(pthread_rwlock_destroy)(pthread_rwlock_t *l);
int WRAP(pthread_rwlock_rdlock)(pthread_rwlock_t *l);
int WRAP(pthread_rwlock_wrlock)(pthread_rwlock_t *l);
int WRAP(pthread_rwlock_unlock)(pthread_rwlock_t *l);
int WRAP(pthread_create)(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int WRAP(pthread_join)(pthread_t t, void **ret);
int WRAP(pthread_setname_np)(pthread_t t, const char *name);
int WRAP(pthread_sigmask)(int how, const sigset_t *set, sigset_t *ret_old);

/* ---- locks ---- */

int WRAP(pthread_mutex_init)(pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
        (void)a;
        memset(m, 0, sizeof *m);
        return 0;
}

int WRAP(pthread_mutex_destroy)(pthread_mutex_t *m)
{
        const struct fake_mutex *f = (struct fake_mutex *)(void *)m;

        assert(!f->owner && !f->queue.first);
        return 0;
}

int WRAP(pthread_mutex_lock)(pthread_mutex_t *m)
{
        struct fake_mutex *f = (struct fake_mutex *)(void *)m;

        assert(!f->owner || f->owner != fiber_here());
        while (f->owner)
                fiber_queue_wait(&f->queue, NEVER);
        f->owner = fiber_here();
        return 0;
}

int WRAP(pthread_mutex_trylock)(pthread_mutex_t *m)
{
        struct fake_mutex *f = (struct fake_mutex *)(void *)m;

        if (f->owner)
                return EBUSY;
        f->owner = fiber_here();
        return 0;
}

int WRAP(pthread_mutex_unlock)(pthread_mutex_t *m)
{
        struct fake_mutex *f = (struct fake_mutex *)(void *)m;

        assert(f->owner == fiber_here());
        f->owner = NULL;
        fiber_queue_wake_one(&f->queue);
        return 0;
}

/* ---- conditions ---- */

int WRAP(pthread_cond_init)(pthread_cond_t *c, const pthread_condattr_t *a)
{
        (void)a;
        memset(c, 0, sizeof *c);
        return 0;
}

int WRAP(pthread_cond_destroy)(pthread_cond_t *c)
{
        assert(!((struct fiber_queue *)(void *)c)->first);
        return 0;
}

int WRAP(pthread_cond_wait)(pthread_cond_t *c, pthread_mutex_t *m)
{
        WRAP(pthread_mutex_unlock)(m);
        fiber_queue_wait((struct fiber_queue *)(void *)c, NEVER);
        return WRAP(pthread_mutex_lock)(m);
}

int WRAP(pthread_cond_signal)(pthread_cond_t *c)
{
        fiber_queue_wake_one((struct fiber_queue *)(void *)c);
        return 0;
}

int WRAP(pthread_cond_broadcast)(pthread_cond_t *c)
{
        fiber_queue_wake_all((struct fiber_queue *)(void *)c);
        return 0;
}

/* ---- locks of readers and writers ---- */

int WRAP(pthread_rwlock_init)(pthread_rwlock_t *l, const pthread_rwlockattr_t *a)
{
        (void)a;
        memset(l, 0, sizeof *l);
        return 0;
}

int WRAP(pthread_rwlock_destroy)(pthread_rwlock_t *l)
{
        const struct fake_rwlock *f = (struct fake_rwlock *)(void *)l;

        assert(!f->writer && !f->readers);
        return 0;
}

int WRAP(pthread_rwlock_rdlock)(pthread_rwlock_t *l)
{
        struct fake_rwlock *f = (struct fake_rwlock *)(void *)l;

        while (f->writer)
                fiber_queue_wait(&f->queue, NEVER);
        f->readers++;
        return 0;
}

int WRAP(pthread_rwlock_wrlock)(pthread_rwlock_t *l)
{
        struct fake_rwlock *f = (struct fake_rwlock *)(void *)l;

        while (f->writer || f->readers)
                fiber_queue_wait(&f->queue, NEVER);
        f->writer = fiber_here();
        return 0;
}

int WRAP(pthread_rwlock_unlock)(pthread_rwlock_t *l)
{
        struct fake_rwlock *f = (struct fake_rwlock *)(void *)l;

        if (f->writer) {
                assert(f->writer == fiber_here());
                f->writer = NULL;
        } else {
                assert(f->readers);
                f->readers--;
        }
        if (!f->readers)
                fiber_queue_wake_all(&f->queue);
        return 0;
}

/* ---- threads ---- */

struct start {
        void *(*fn)(void *arg);
        void *arg;
};

static void thread_main(void *arg)
{
        struct start s = *(struct start *)arg;

        free(arg);
        s.fn(s.arg);
}

int WRAP(pthread_create)(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
        struct start *s = malloc(sizeof *s);
        struct fiber *f;

        (void)a;
        assert(s && fiber_here());
        *s = (struct start){ fn, arg };
        f = fiber_start(fiber_machine(fiber_here()), "thread", thread_main, s);
        fiber_keep(f);
        *t = (pthread_t)f;
        return 0;
}

int WRAP(pthread_join)(pthread_t t, void **ret)
{
        if (ret)
                *ret = NULL;
        fiber_join((struct fiber *)t);
        return 0;
}

int WRAP(pthread_setname_np)(pthread_t t, const char *name)
{
        (void)t;
        (void)name;
        return 0;
}

int WRAP(pthread_sigmask)(int how, const sigset_t *set, sigset_t *ret_old)
{
        (void)how;
        (void)set;
        (void)ret_old;
        return 0;
}
