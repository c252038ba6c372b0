/* What the tests of partitions share: a partition on a real log, a flusher that can be held up, and those who wait, with the
 * test's own thread as their loop. */
#pragma once

#include <pthread.h>

#include "plog-fixture.h"
#include "replica/partition.h"

/* ---- holding up the flusher: while the gate is shut every pool thread waits in it ---- */

enum { POOL_THREADS = 2 };

struct gate {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned inside;
        bool shut;
        struct gate_job {
                struct io_job job;
                struct gate *gate;
        } jobs[POOL_THREADS];
};

static inline void gate_run(struct io_job *job)
{
        struct gate *g = container_of(job, struct gate_job, job)->gate;

        pthread_mutex_lock(&g->lock);
        g->inside++;
        pthread_cond_broadcast(&g->changed);
        while (g->shut)
                pthread_cond_wait(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
}

static inline void gate_done(struct io_job *job)
{
        struct gate *g = container_of(job, struct gate_job, job)->gate;

        pthread_mutex_lock(&g->lock);
        g->inside--;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
}

static inline void gate_await(struct gate *g, unsigned inside)
{
        pthread_mutex_lock(&g->lock);
        while (g->inside != inside)
                pthread_cond_wait(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
}

static inline void gate_shut(struct gate *g, struct iopool *pool)
{
        g->shut = true;
        for (unsigned i = 0; i < POOL_THREADS; i++) {
                g->jobs[i] = (struct gate_job){ .job = { .run = gate_run, .done = gate_done }, .gate = g };
                iopool_submit(pool, &g->jobs[i].job);
        }
        gate_await(g, POOL_THREADS);
}

static inline void gate_open(struct gate *g)
{
        pthread_mutex_lock(&g->lock);
        g->shut = false;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
        gate_await(g, 0);
}

/* ---- one partition, and the test's own thread as the loop of those who wait ---- */

static const struct uuid topic_id = { { 1, 2, 3 } };

struct scene {
        struct fixture f;
        struct gate gate;
        struct loop *loop;
        struct plog *log;
        struct partition *p;
};

static inline struct partition_conf conf_durable(void)
{
        return (struct partition_conf){ .min_insync_replicas = 1,
                                        .flush_before_ack = true,
                                        .deletable = true,
                                        .max_message_bytes = 1 << 20,
                                        .compression = -1 };
}

static inline struct partition *open_partition(struct plog *log, const struct partition_conf *conf)
{
        struct partition *p = NULL;

        CU_ASSERT_EQUAL_FATAL(partition_new(&(struct partition_open_args){ .topic_name = "t",
                                                                           .topic_id = topic_id,
                                                                           .index = 0,
                                                                           .leader_epoch = 5,
                                                                           .log = plog_ref(log),
                                                                           .conf = *conf },
                                            &p),
                              0);
        return p;
}

/* The metadata says: replicas 0 (this node), 1, ..., of which the first @isr_count are in sync. */
static inline void say(struct partition *p, int32_t leader, int32_t leader_epoch, int32_t partition_epoch,
                       int32_t replicas_count, int32_t isr_count)
{
        static const int32_t ids[] = { 0, 1, 2, 3 };
        struct replica_state s = { .leader = leader,
                                   .leader_epoch = leader_epoch,
                                   .partition_epoch = partition_epoch,
                                   .replicas = ids,
                                   .replicas_count = replicas_count,
                                   .isr = ids,
                                   .isr_count = isr_count };

        CU_ASSERT_EQUAL(partition_set_state(p, &s), 0);
}

static inline void scene_init_with(struct scene *s, const struct partition_conf *conf)
{
        *s = (struct scene){ .gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER } };
        fixture_init(&s->f);
        diag_set_level(0);
        s->f.conf.flush_before_ack = conf->flush_before_ack;
        CU_ASSERT_EQUAL_FATAL(loop_new("test", &s->loop), 0);
        s->log = fixture_open(&s->f, "t-0");
        s->p = open_partition(s->log, conf);
}

static inline void scene_init(struct scene *s)
{
        struct partition_conf conf = conf_durable();

        scene_init_with(s, &conf);
}

static inline void on_last(struct loop *l, struct mail *m)
{
        (void)m;
        loop_stop(l);
}

/* Deliver all mail that is there. */
static inline void turn(struct scene *s)
{
        struct mail last = { .fn = on_last };

        loop_post(s->loop, &last);
        loop_run(s->loop);
}

/* The order is the owner's (chronikd/led.c): the partition is closed, then its log, then given back. */
static inline void scene_fini(struct scene *s)
{
        partition_close(s->p);
        turn(s); /* whoever still waited was told */
        plog_close(s->log);
        partition_unref(s->p);
        loop_free(s->loop);
        fixture_fini(&s->f);
}

static inline void set_relaxed(struct scene *s, bool relaxed)
{
        struct partition_conf conf = conf_durable();

        conf.flush_before_ack = s->f.conf.flush_before_ack = !relaxed;
        plog_set_conf(s->log, &s->f.conf);
        partition_set_conf(s->p, &conf);
}

static inline int append_need(struct partition *p, bool need_min_isr, struct plog_append_result *ret)
{
        struct strbuf b = batch_make(&(struct batch_want){ .count = 2, .value_len = 20 });
        struct plog_append_args args = { .batch = (uint8_t *)b.data,
                                         .len = b.len,
                                         .now_ms = NOW_MS,
                                         .leader_epoch = 99,
                                         .keep_base_offset = 12345 };
        int r = partition_append(p, &args, need_min_isr, ret);

        strbuf_fini(&b);
        return r;
}

/* Two records. Return: the offset behind them. */
static inline int64_t append_two(struct partition *p)
{
        struct plog_append_result res = { 0 };

        CU_ASSERT_EQUAL_FATAL(append_need(p, false, &res), PLOG_OK);
        return res.last_offset + 1;
}

static inline struct partition_view view_of(struct partition *p)
{
        struct partition_view v;

        partition_view(p, &v);
        return v;
}

struct waiter {
        struct partition_wait wait;
        unsigned told;
};

static inline void on_told(struct loop *l, struct mail *m)
{
        struct waiter *w = container_of(m, struct waiter, wait.mail);

        CU_ASSERT(loop_current() == l);
        w->told++;
}

static inline void wait_for(struct scene *s, struct waiter *w, enum partition_wait_kind kind, int64_t offset)
{
        w->wait.mail.fn = on_told;
        partition_wait(s->p, &w->wait, kind, offset, s->loop);
}

/* Deliver until @w was told @told times; at most ten seconds. */
static inline void turn_until(struct scene *s, const struct waiter *w, unsigned told)
{
        for (int i = 0; i < 10000 && w->told < told; i++) {
                turn(s);
                if (w->told < told)
                        usleep(1000);
        }
        turn(s); /* one mail too many would come now */
        CU_ASSERT_EQUAL(w->told, told);
}
