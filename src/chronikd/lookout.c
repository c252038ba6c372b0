/* See lookout.h. */
#include "chronikd/lookout.h"

enum { EVERY_MS = 10000 };

static void begin(struct lookout *l);

static void run(struct io_job *job)
{
        struct lookout *l = container_of(job, struct lookout, job);

        l->look(l);
}

static void done(struct io_job *job)
{
        struct lookout *l = container_of(job, struct lookout, job);

        l->busy = false;
        if (l->stopped) {
                l->stopped(l->stopped_arg);
                return;
        }
        if (l->looked)
                l->looked(l);
        if (l->again)
                begin(l);
        else
                loop_timer_start(&l->timer, l->every_ms);
}

static void begin(struct lookout *l)
{
        l->busy = true;
        l->again = false;
        l->job = (struct io_job){ .run = run, .done = done, .reply_loop = l->timer.loop };
        iopool_submit(l->pool, &l->job);
}

static void on_timer(struct loop_timer *t)
{
        begin(container_of(t, struct lookout, timer));
}

void lookout_start(struct lookout *l, struct loop *loop, struct iopool *pool)
{
        l->pool = pool;
        l->every_ms = l->every_ms ? l->every_ms : EVERY_MS;
        l->runs = true;
        loop_timer_init(&l->timer, loop, on_timer);
        loop_timer_start(&l->timer, l->every_ms);
}

void lookout_now(struct lookout *l)
{
        if (!l->runs)
                return;
        if (l->busy) {
                l->again = true; /* what it looks at may have been looked at already */
        } else {
                loop_timer_stop(&l->timer);
                begin(l);
        }
}

void lookout_stop(struct lookout *l, void (*stopped)(void *arg), void *arg)
{
        if (l->runs)
                loop_timer_stop(&l->timer);
        l->runs = false;
        if (!l->busy) {
                stopped(arg);
                return;
        }
        l->stopped = stopped;
        l->stopped_arg = arg;
}
