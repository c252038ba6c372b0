/* See park.h. */
#include "handler/park.h"

static void on_wait(struct loop *l, struct mail *m)
{
        struct park_wait *w = container_of(m, struct park_wait, wait.mail);
        struct park *p = w->park;

        (void)l;
        if (w->wait.outcome)
                p->failed(p, w->row, error_of_log(w->wait.outcome));
        if (--p->left == 0)
                p->done(p);
}

static void on_timer(struct loop_timer *t)
{
        struct park *p = container_of(t, struct park, timer);

        for (size_t i = 0; i < p->count; i++) {
                struct park_wait *w = &p->waits[i];

                if (w->wait.partition && partition_unwait(&w->wait)) {
                        p->failed(p, w->row, KERR_REQUEST_TIMED_OUT);
                        p->left--;
                }
        }
        if (p->left == 0)
                p->done(p);
}

bool park_init(struct park *p, struct rq *rq, size_t max)
{
        p->waits = ARENA_NEW_ARRAY(&rq->arena, struct park_wait, max);
        loop_timer_init(&p->timer, rq_loop(rq), on_timer);
        return p->waits;
}

void park_add(struct park *p, struct partition *partition, int64_t offset, void *row)
{
        p->waits[p->count++] =
                (struct park_wait){ .partition = partition, .park = p, .row = row, .wait.offset = offset };
}

void park_begin(struct park *p, struct rq *rq, enum partition_wait_kind kind, int32_t timeout_ms)
{
        size_t count = p->count;
        struct loop *loop = rq_loop(rq);

        assert(count > 0);
        p->left = count;
        loop_timer_start(&p->timer, MIN2((int64_t)MAX2(timeout_ms, 0), rq->h->deps.conf->replication.ack_timeout_ms));
        for (size_t i = 0; i < count; i++) {
                struct park_wait *w = &p->waits[i];

                w->wait.mail.fn = on_wait;
                partition_wait(w->partition, &w->wait, kind, w->wait.offset, loop);
        }
}

void park_fini(struct park *p)
{
        loop_timer_stop(&p->timer);
        for (size_t i = 0; i < p->count; i++)
                partition_unref(p->waits[i].partition);
}
