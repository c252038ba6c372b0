/* Goal: every job runs once, starts in order, is answered on its loop, and none is lost when the pool ends.
 * Method: pools of one and of several threads; answers counted. */
#include <stdatomic.h>
#include <unistd.h>

#include "sys/iopool.h"
#include "unit.h"

enum { JOBS = 2000 };

struct task {
        struct io_job job;
        unsigned number;
        struct run *run;
};

struct run {
        struct iopool *pool;
        struct loop *loop;
        atomic_uint started, misordered, elsewhere, done; /* CUnit's assertions belong to the main thread */
        struct task tasks[JOBS];
};
static struct run run;

static void task_run(struct io_job *job)
{
        struct task *t = container_of(job, struct task, job);

        if (atomic_fetch_add(&t->run->started, 1) != t->number)
                atomic_fetch_add(&t->run->misordered, 1);
        if (loop_current())
                atomic_fetch_add(&t->run->elsewhere, 1);
}

static void task_done(struct io_job *job)
{
        struct task *t = container_of(job, struct task, job);

        if (loop_current() != t->run->loop)
                atomic_fetch_add(&t->run->elsewhere, 1);
        if (atomic_fetch_add(&t->run->done, 1) + 1 == JOBS && t->run->loop)
                loop_stop(t->run->loop);
}

static void run_set_up(unsigned threads_count, struct loop *reply_loop)
{
        run = (struct run){ .loop = reply_loop };
        CU_ASSERT_EQUAL_FATAL(iopool_new(threads_count, &run.pool), 0);
        for (unsigned i = 0; i < JOBS; i++)
                run.tasks[i] = (struct task){
                        .job = { .run = task_run, .done = task_done, .reply_loop = reply_loop },
                        .number = i,
                        .run = &run,
                };
}

static void test_order(void)
{
        struct loop *l;

        CU_ASSERT_EQUAL_FATAL(loop_new("asks", &l), 0);
        run_set_up(1, l);
        for (unsigned i = 0; i < JOBS; i++)
                iopool_submit(run.pool, &run.tasks[i].job);
        loop_run(l);
        CU_ASSERT_EQUAL(run.done, JOBS);
        CU_ASSERT_EQUAL(run.misordered, 0);
        CU_ASSERT_EQUAL(run.elsewhere, 0);
        iopool_free(run.pool);
        loop_free(l);
}

static void test_drain(void)
{
        run_set_up(3, NULL);
        for (unsigned i = 0; i < JOBS; i++)
                iopool_submit(run.pool, &run.tasks[i].job);
        CU_ASSERT_PTR_NULL(iopool_free(run.pool));
        CU_ASSERT_EQUAL(run.started, JOBS);
        CU_ASSERT_EQUAL(run.done, JOBS);
        CU_ASSERT_EQUAL(run.elsewhere, 0);
        CU_ASSERT_PTR_NULL(iopool_free(NULL));
}

/* ---- jobs that submit jobs while the pool ends ---- */

struct chain {
        struct io_job job;
        struct iopool *pool;
        unsigned left;
};

static void chain_run(struct io_job *job)
{
        usleep(100);
}

static void chain_done(struct io_job *job)
{
        struct chain *c = container_of(job, struct chain, job);

        if (--c->left)
                iopool_submit(c->pool, &c->job);
}

static void test_chain(void)
{
        struct chain c = { .job = { .run = chain_run, .done = chain_done }, .left = 50 };

        CU_ASSERT_EQUAL_FATAL(iopool_new(4, &c.pool), 0);
        iopool_submit(c.pool, &c.job);
        iopool_free(c.pool);
        CU_ASSERT_EQUAL(c.left, 0);
}

/* ---- threads that hang ---- */

struct long_job {
        struct io_job job;
        atomic_bool runs, go;
        bool steps;
};

static void long_run(struct io_job *job)
{
        struct long_job *l = container_of(job, struct long_job, job);

        atomic_store(&l->runs, true);
        while (!atomic_load(&l->go)) {
                usleep(1000);
                if (l->steps)
                        iopool_step();
        }
}

static void long_done(struct io_job *job)
{
        struct long_job *l = container_of(job, struct long_job, job);

        atomic_store(&l->runs, false);
}

static int64_t silence_of(bool steps, char name[16])
{
        struct long_job l = { .job = { .run = long_run, .done = long_done }, .steps = steps };
        struct iopool *pool;
        int64_t ms;

        CU_ASSERT_EQUAL_FATAL(iopool_new(2, &pool), 0);
        CU_ASSERT_EQUAL(iopool_silent_ms(pool, name), 0); /* idle is not silent */
        iopool_submit(pool, &l.job);
        while (!atomic_load(&l.runs))
                usleep(100);
        usleep(300000);
        ms = iopool_silent_ms(pool, name);
        atomic_store(&l.go, true);
        iopool_free(pool);
        return ms;
}

static void test_silence(void)
{
        char name[16];

        iopool_step(); /* on a thread of no pool: nothing */
        CU_ASSERT(silence_of(false, name) >= 290);
        CU_ASSERT(!strncmp(name, "io-", 3));
        CU_ASSERT(silence_of(true, name) < 200);
}

static const struct unit_case cases[] = {
        { "one thread starts jobs in order and answers by mail", test_order },
        { "ending the pool runs what was submitted", test_drain },
        { "jobs may submit jobs while the pool ends", test_chain },
        { "a thread that hangs is known, one that works for long is not blamed", test_silence },
};
UNIT_MAIN("sys/iopool", cases)
