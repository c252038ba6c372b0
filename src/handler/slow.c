/* See slow.h. */
#include "handler/slow.h"

enum { WAIT_MS = 5 };

static void run(struct io_job *job)
{
        struct slow *s = container_of(job, struct slow, job);

        s->run(s);
}

static void done(struct io_job *job)
{
        struct slow *s = container_of(job, struct slow, job);

        atomic_fetch_sub(&s->rq->h->slow_jobs, 1);
        s->done(s);
}

/* Half of the threads stay free. */
static void try(struct slow *s)
{
        struct handler *h = s->rq->h;
        unsigned max = (unsigned)MAX2(h->deps.conf->server.num_io_threads / 2, INT64_C(1));

        if (atomic_fetch_add(&h->slow_jobs, 1) < max) {
                s->job = (struct io_job){ .run = run, .done = done, .reply_loop = rq_loop(s->rq) };
                iopool_submit(h->deps.pool, &s->job);
                return;
        }
        atomic_fetch_sub(&h->slow_jobs, 1);
        loop_timer_start(&s->timer, WAIT_MS);
}

static void on_timer(struct loop_timer *t)
{
        try(container_of(t, struct slow, timer));
}

void slow_submit(struct slow *s)
{
        loop_timer_init(&s->timer, rq_loop(s->rq), on_timer);
        try(s);
}
