/* A queue and the threads that empty it. The bound of the queue is its submitters': each owns its jobs and has few. */
#include "sys/iopool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "sys/clock.h"

enum { IOPOOL_MAGIC = 0x706f6f6c, IOPOOL_THREADS_MAX = 1024 };

struct iopool {
        unsigned magic;
        pthread_mutex_t lock;
        pthread_cond_t work;
        struct ilist jobs; /* guarded by lock, as is stopping */
        bool stopping;
        unsigned threads_count;
        struct worker {
                struct iopool *pool;
                pthread_t thread;
                atomic_int_fast64_t step_ms; /* when its job began, or made its last step; 0: it has none */
        } workers[];
};

static _Thread_local struct worker *worker_here;

static void step(struct worker *w)
{
        atomic_store_explicit(&w->step_ms, clock_mono_ms(), memory_order_relaxed);
}

void iopool_step(void)
{
        if (worker_here)
                step(worker_here);
}

int64_t iopool_silent_ms(struct iopool *p, char ret_name[16])
{
        int64_t now_ms = clock_mono_ms(), worst_ms = 0;

        assert(p->magic == IOPOOL_MAGIC);
        ret_name[0] = '\0';
        for (unsigned i = 0; i < p->threads_count; i++) {
                int64_t step_ms = atomic_load_explicit(&p->workers[i].step_ms, memory_order_relaxed);

                if (!step_ms || now_ms - step_ms <= worst_ms)
                        continue;
                worst_ms = now_ms - step_ms;
                snprintf(ret_name, 16, "io-%u", i);
        }
        return worst_ms;
}

static void iopool_on_reply(struct loop *l, struct mail *m)
{
        struct io_job *job = container_of(m, struct io_job, reply);

        job->done(job);
}

static void iopool_answer(struct io_job *job)
{
        if (!job->reply_loop) {
                job->done(job);
                return;
        }
        job->reply.fn = iopool_on_reply;
        loop_post(job->reply_loop, &job->reply);
}

static void *iopool_thread(void *arg)
{
        struct worker *w = arg;
        struct iopool *p = w->pool;
        struct ilist *link;

        assert(p->magic == IOPOOL_MAGIC);
        worker_here = w;
        pthread_mutex_lock(&p->lock);
        for (;;) {
                link = ilist_pop_front(&p->jobs);
                if (link) {
                        struct io_job *job = ilist_entry(link, struct io_job, link);

                        pthread_mutex_unlock(&p->lock);
                        step(w); /* its own: where threads are simulated, worker_here may be another's */
                        job->run(job);
                        iopool_answer(job);
                        atomic_store_explicit(&w->step_ms, 0, memory_order_relaxed);
                        pthread_mutex_lock(&p->lock);
                } else if (p->stopping) {
                        /* A job that still runs may submit another: its own thread comes back here and takes it. */
                        break;
                } else {
                        pthread_cond_wait(&p->work, &p->lock);
                }
        }
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

static int iopool_start_thread(struct iopool *p)
{
        struct worker *w = &p->workers[p->threads_count];
        char name[16];
        int r;

        w->pool = p;
        r = pthread_create(&w->thread, NULL, iopool_thread, w);
        if (r)
                return -r;
        snprintf(name, sizeof name, "io-%u", p->threads_count);
        pthread_setname_np(w->thread, name);
        p->threads_count++;
        return 0;
}

int iopool_new(unsigned threads_count, struct iopool **ret_pool)
{
        CLEANUP(iopool_freep) struct iopool *p = NULL;
        sigset_t block, old;
        int r = 0;

        assert(threads_count >= 1 && threads_count <= IOPOOL_THREADS_MAX);
        p = calloc(1, sizeof *p + threads_count * sizeof p->workers[0]);
        if (!p)
                return -ENOMEM;
        p->magic = IOPOOL_MAGIC;
        ilist_init(&p->jobs);
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->work, NULL);
        sigfillset(&block); /* signals belong to the main loop, except those that a fault raises */
        sigdelset(&block, SIGSEGV);
        sigdelset(&block, SIGBUS);
        sigdelset(&block, SIGILL);
        sigdelset(&block, SIGFPE);
        sigdelset(&block, SIGABRT);
        sigdelset(&block, SIGTRAP);
        pthread_sigmask(SIG_SETMASK, &block, &old);
        for (unsigned i = 0; i < threads_count && !r; i++)
                r = iopool_start_thread(p);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r)
                return r;
        *ret_pool = TAKE_PTR(p);
        return 0;
}

struct iopool *iopool_free(struct iopool *p)
{
        if (!p)
                return NULL;
        assert(p->magic == IOPOOL_MAGIC);
        pthread_mutex_lock(&p->lock);
        p->stopping = true;
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
        for (unsigned i = 0; i < p->threads_count; i++)
                pthread_join(p->workers[i].thread, NULL);
        assert(ilist_is_empty(&p->jobs));
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->lock);
        p->magic = 0;
        free(p);
        return NULL;
}

void iopool_submit(struct iopool *p, struct io_job *job)
{
        assert(p->magic == IOPOOL_MAGIC);
        assert(job->run && job->done);
        pthread_mutex_lock(&p->lock);
        ilist_push_back(&p->jobs, &job->link);
        pthread_mutex_unlock(&p->lock);
        /* Without the lock, or the thread that wakes would wait for it. */
        pthread_cond_signal(&p->work);
}
