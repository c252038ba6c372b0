/* The course of the compactor:
 *
 *   LOOK (pool) --a log is due--> STEP (pool) --more--> pause by the rate --> STEP ... --done, failed--> END (pool) --> LOOK
 *        \--none is--> pause of interval_ms --> LOOK
 *
 * Everything of it runs either on the loop or in its one job, never both. */
#include "chronikd/compactor.h"

#include <errno.h>

#include "sys/clock.h"
#include "sys/diag.h"

enum { STEP_LEN = 1 << 20 };

static void look_run(struct io_job *job);
static void look_done(struct io_job *job);
static void step_run(struct io_job *job);
static void step_done(struct io_job *job);
static void end_run(struct io_job *job);
static void end_done(struct io_job *job);

static void submit(struct compactor *c, void (*run)(struct io_job *job), void (*done)(struct io_job *job))
{
        c->job = (struct io_job){ .run = run, .done = done, .reply_loop = c->loop };
        c->on_pool = true;
        iopool_submit(c->pool, &c->job);
}

/* Back on the loop. Return: false when the compactor stops; what it had in work is put away first. */
static bool goes_on(struct compactor *c)
{
        c->on_pool = false;
        if (!c->stopping)
                return true;
        if (c->partition)
                submit(c, end_run, end_done);
        else
                c->stopped(c->arg);
        return false;
}

/* ---- which one ---- */

static bool is_hopeless(const struct compactor *c, struct partition *p)
{
        for (unsigned i = 0; i < c->hopeless_count; i++)
                if (uuid_equal(c->hopeless[i].topic_id, partition_topic_id(p)) &&
                    c->hopeless[i].index == partition_index(p))
                        return true;
        return c->hopeless_count == ARRAY_LEN(c->hopeless);
}

struct search {
        struct compactor *c;
        struct partition *best;
        double best_share;
};

static int consider(void *arg, struct partition *p)
{
        struct search *s = arg;
        struct partition_conf conf;
        struct partition_view view;
        struct plog_dirt dirt;

        partition_get_conf(p, &conf);
        partition_view(p, &view);
        if (!conf.compacted || view.closed || view.failed || is_hopeless(s->c, p))
                return 0;
        if (plog_dirt(partition_log(p), clock_wall_ms(), view.high_watermark, &dirt) || !dirt.due)
                return 0; /* a log that cannot be looked at now is looked at again */
        if (!s->best || dirt.share > s->best_share) {
                partition_unref(s->best);
                s->best = partition_ref(p);
                s->best_share = dirt.share;
        }
        return 0;
}

static void look_run(struct io_job *job)
{
        struct compactor *c = container_of(job, struct compactor, job);
        struct search s = { .c = c };

        (void)partition_table_visit(c->table, consider, &s); /* when memory is out: the next look */
        c->partition = s.best;
}

static void look_done(struct io_job *job)
{
        struct compactor *c = container_of(job, struct compactor, job);

        if (!goes_on(c))
                return;
        if (c->partition)
                submit(c, step_run, step_done);
        else
                loop_timer_start(&c->timer, c->interval_ms);
}

/* ---- at work ---- */

static void step_run(struct io_job *job)
{
        struct compactor *c = container_of(job, struct compactor, job);
        struct plog_compact_result res = { 0 };
        struct partition_view view;

        c->outcome = 0;
        c->step_bytes = 0;
        if (!c->work) {
                partition_view(c->partition, &view);
                c->outcome = plog_compact_begin(partition_log(c->partition),
                                                &(struct plog_compact_args){ .now_ms = clock_wall_ms(),
                                                                             .below_offset = view.high_watermark,
                                                                             .map_bytes_max = c->map_bytes_max },
                                                &c->work);
                c->seen_bytes = 0;
        }
        if (c->outcome)
                return;
        c->outcome = plog_compact_step(c->work, STEP_LEN);
        plog_compact_result(c->work, &res);
        c->step_bytes = STEP_LEN + res.bytes_written - c->seen_bytes;
        c->seen_bytes = res.bytes_written;
}

static void give_up(struct compactor *c)
{
        struct partition *p = c->partition;
        bool hopeless = c->outcome == PLOG_E_DAMAGED || c->outcome == -ENOBUFS;

        if (c->outcome == PLOG_E_NOT_FOUND || c->outcome == PLOG_E_CLOSED || c->outcome == PLOG_E_FAILED)
                return; /* the log went its own way meanwhile */
        atomic_fetch_add(&c->failures, 1);
        if (c->outcome < 0 && c->outcome != -ENOBUFS)
                diag_limited(DIAG_ERROR, "%s-%d: compaction failed: %s; it is tried again", partition_topic_name(p),
                             partition_index(p), strerror(-c->outcome));
        if (!hopeless || c->hopeless_count == ARRAY_LEN(c->hopeless))
                return;
        c->hopeless[c->hopeless_count].topic_id = partition_topic_id(p);
        c->hopeless[c->hopeless_count++].index = partition_index(p);
        if (c->hopeless_count == ARRAY_LEN(c->hopeless))
                diag(DIAG_ERROR,
                     "%u logs cannot be compacted: no other is tried until the node starts again. Check the disk",
                     c->hopeless_count);
}

static void step_done(struct io_job *job)
{
        struct compactor *c = container_of(job, struct compactor, job);

        if (!goes_on(c))
                return;
        if (c->outcome == 1) {
                loop_timer_start(&c->timer,
                                 c->bytes_per_second_max > 0 ? c->step_bytes * 1000 / c->bytes_per_second_max : 0);
                return;
        }
        if (c->outcome)
                give_up(c);
        submit(c, end_run, end_done);
}

static void end_run(struct io_job *job)
{
        struct compactor *c = container_of(job, struct compactor, job);
        struct plog_compact_result res = { 0 };

        if (c->work)
                plog_compact_result(c->work, &res);
        if (c->work && !c->outcome) {
                atomic_fetch_add(&c->runs, 1);
                diag(DIAG_INFO, "%s-%d: compacted below offset %lld: %lld keys, %lld bytes became %lld",
                     partition_topic_name(c->partition), partition_index(c->partition), (long long)res.cleaned_offset,
                     (long long)res.keys, (long long)res.bytes_read, (long long)res.bytes_written);
        }
        atomic_fetch_add(&c->bytes_read, (unsigned long long)res.bytes_read);
        atomic_fetch_add(&c->bytes_written, (unsigned long long)res.bytes_written);
        c->work = plog_compact_end(c->work);
        c->partition = partition_unref(c->partition);
}

static void end_done(struct io_job *job)
{
        struct compactor *c = container_of(job, struct compactor, job);

        if (!goes_on(c))
                return;
        /* After a failure not at once: the same log would be the first again. */
        loop_timer_start(&c->timer, c->outcome ? c->interval_ms : 0);
}

/* ---- life ---- */

static void on_timer(struct loop_timer *t)
{
        struct compactor *c = container_of(t, struct compactor, timer);

        if (c->partition)
                submit(c, step_run, step_done);
        else
                submit(c, look_run, look_done);
}

void compactor_start(struct compactor *c)
{
        loop_timer_init(&c->timer, c->loop, on_timer);
        loop_timer_start(&c->timer, c->interval_ms);
}

void compactor_stop(struct compactor *c, void (*stopped)(void *arg), void *arg)
{
        c->stopping = true;
        c->stopped = stopped;
        c->arg = arg;
        loop_timer_stop(&c->timer);
        if (!c->on_pool)
                goes_on(c);
}
