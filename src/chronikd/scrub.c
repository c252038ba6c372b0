/* The course of the background check, and of verifications:
 *
 *   NEXT --one was asked for--------------------------> STEP (pool) --more--> pause by the rate --> STEP ... --> END (pool) --> NEXT
 *     \--none--> LOOK (pool) --a log is due--> STEP ...
 *                   \--none is--> pause --> NEXT
 *
 * A pause for the rate is due after a log's last step as well, and is taken in pieces, so that nobody waits long for an order.
 * A verification goes first: a log that is checked in the background is put away and comes again later.
 * Everything of it runs either on the loop or in its one job, never both; what admin threads ask for is verify.c's. */
#include "chronikd/scrub.h"

#include <errno.h>

#include "sys/clock.h"
#include "sys/diag.h"

enum { INTERVAL_MIN_MS = 1000, STEP_LEN = 1 << 20, LOOK_MS = 60 * 1000, PAUSE_MS = 500, TRIES_MAX = 3 };

static void look_run(struct io_job *job);
static void look_done(struct io_job *job);
static void step_run(struct io_job *job);
static void step_done(struct io_job *job);
static void end_run(struct io_job *job);
static void end_done(struct io_job *job);

static void submit(struct scrub *s, void (*run)(struct io_job *job), void (*done)(struct io_job *job))
{
        s->job = (struct io_job){ .run = run, .done = done, .reply_loop = s->loop };
        s->on_pool = true;
        iopool_submit(s->pool, &s->job);
}

/* Back on the loop. Return: false when it stops; what it had in work is put away first. */
static bool goes_on(struct scrub *s)
{
        s->on_pool = false;
        if (!s->stopping)
                return true;
        if (s->partition) {
                s->outcome = PLOG_E_CLOSED;
                submit(s, end_run, end_done);
        } else {
                verify_end(s);
                s->stopped(s->arg);
        }
        return false;
}

/* ---- which one ---- */

static bool has_failed(const struct scrub *s, struct partition *p)
{
        for (unsigned i = 0; i < s->failed_count; i++)
                if (uuid_equal(s->failed[i].topic_id, partition_topic_id(p)) &&
                    s->failed[i].index == partition_index(p))
                        return true;
        return false;
}

struct search {
        struct scrub *s;
        struct partition *best;
        int64_t best_ms, now_ms;
};

static int consider(void *arg, struct partition *p)
{
        struct search *search = arg;
        int64_t checked_ms = plog_checked_ms(partition_log(p));
        struct partition_view view;

        partition_view(p, &view);
        /* A clock that was set back must not put a check off. */
        if (view.closed || (checked_ms <= search->now_ms && search->now_ms - checked_ms < search->s->interval_ms) ||
            has_failed(search->s, p))
                return 0;
        if (!search->best || checked_ms < search->best_ms) {
                partition_unref(search->best);
                search->best = partition_ref(p);
                search->best_ms = checked_ms;
        }
        return 0;
}

static void look_run(struct io_job *job)
{
        struct scrub *s = container_of(job, struct scrub, job);
        struct search search = { .s = s, .now_ms = clock_wall_ms() };

        (void)partition_table_visit(s->table, consider, &search); /* when memory is out: the next look */
        s->partition = search.best;
}

/* A verification waits for what the background does. */
static bool is_overtaken(struct scrub *s)
{
        struct partition *p = s->asked ? NULL : verify_next(s);

        partition_unref(p);
        return p;
}

static void next(struct scrub *s)
{
        if (verify_is_abandoned(s))
                verify_end(s);
        s->partition = verify_next(s);
        s->asked = s->partition;
        s->tries = 0;
        if (s->asked)
                submit(s, step_run, step_done);
        else if (s->interval_ms >= 0)
                submit(s, look_run, look_done);
}

static int64_t look_pause_ms(const struct scrub *s)
{
        return MIN2(s->interval_ms, (int64_t)LOOK_MS);
}

static void look_done(struct io_job *job)
{
        struct scrub *s = container_of(job, struct scrub, job);

        if (!goes_on(s))
                return;
        if (s->partition) {
                submit(s, step_run, step_done);
                return;
        }
        s->failed_count = 0;
        loop_timer_start(&s->timer, is_overtaken(s) ? 0 : look_pause_ms(s));
}

/* ---- at work ---- */

static void step_run(struct io_job *job)
{
        struct scrub *s = container_of(job, struct scrub, job);
        struct plog_scrub_result res = { 0 };

        s->outcome = 0;
        s->step_bytes = 0;
        s->step_began_ns = clock_mono_ns();
        if (!s->work) {
                s->outcome = plog_scrub_begin(partition_log(s->partition), &s->work);
                s->seen_bytes = 0;
                s->tries++;
        }
        if (s->outcome)
                return;
        s->outcome = plog_scrub_step(s->work, STEP_LEN);
        plog_scrub_result(s->work, &res);
        s->step_bytes = res.bytes - s->seen_bytes;
        s->seen_bytes = res.bytes;
        atomic_fetch_add(&s->bytes, (unsigned long long)s->step_bytes);
        if (s->asked)
                verify_progress(s, s->step_bytes);
        if (s->outcome == PLOG_E_NOT_FOUND && s->tries < TRIES_MAX) { /* truncated meanwhile: from the beginning */
                s->work = plog_scrub_end(s->work);
                s->outcome = 1;
        }
}

static bool is_dropped(struct scrub *s)
{
        return is_overtaken(s) || (s->asked && verify_is_abandoned(s));
}

/* The rest of the time that what was just read may take. */
static int64_t pause_of(struct scrub *s)
{
        int64_t rate = s->asked ? verify_rate(s) : s->bytes_per_second_max;
        int64_t took_ms = (clock_mono_ns() - s->step_began_ns) / 1000000;

        if (rate <= 0)
                return 0;
        return MAX2((int64_t)((double)s->step_bytes * 1000 / (double)rate) - took_ms, INT64_C(0));
}

static void keep_rate(struct scrub *s)
{
        int64_t ms = MIN2(s->pause_ms, (int64_t)PAUSE_MS);

        s->pause_ms -= ms;
        loop_timer_start(&s->timer, ms);
}

static void step_done(struct io_job *job)
{
        struct scrub *s = container_of(job, struct scrub, job);

        if (!goes_on(s))
                return;
        s->pause_ms = is_dropped(s) ? 0 : pause_of(s);
        if (s->outcome != 1 || is_dropped(s))
                submit(s, end_run, end_done);
        else
                keep_rate(s);
}

static void note_failure(struct scrub *s)
{
        struct partition *p = s->partition;

        atomic_fetch_add(&s->failures, 1);
        diag_limited(DIAG_ERROR, "%s-%d: the check of the log failed: %s; it is tried again", partition_topic_name(p),
                     partition_index(p), strerror(-s->outcome));
        if (s->failed_count == ARRAY_LEN(s->failed))
                s->failed_count = 0;
        s->failed[s->failed_count].topic_id = partition_topic_id(p);
        s->failed[s->failed_count++].index = partition_index(p);
}

static void end_run(struct io_job *job)
{
        struct scrub *s = container_of(job, struct scrub, job);
        struct plog_scrub_result res = { 0 };

        if (s->work)
                plog_scrub_result(s->work, &res);
        s->work = plog_scrub_end(s->work);
        atomic_fetch_add(&s->indexes_rebuilt, res.indexes_rebuilt);
        if (!s->outcome) {
                atomic_fetch_add(&s->runs, 1);
                atomic_store(&s->last_ms, clock_wall_ms());
        } else if (s->outcome < 0) {
                note_failure(s);
        }
        if (s->asked)
                verify_note(s, s->partition, s->outcome, &res);
        s->partition = partition_unref(s->partition);
}

static void end_done(struct io_job *job)
{
        struct scrub *s = container_of(job, struct scrub, job);

        if (goes_on(s))
                keep_rate(s);
}

/* ---- life ---- */

static void on_timer(struct loop_timer *t)
{
        struct scrub *s = container_of(t, struct scrub, timer);

        if (s->partition && is_dropped(s))
                submit(s, end_run, end_done);
        else if (s->pause_ms && !verify_is_abandoned(s))
                keep_rate(s);
        else if (s->partition)
                submit(s, step_run, step_done);
        else
                next(s);
}

/* A verification was asked for: do not wait for the next look, or for the rate of the background. */
static void on_asked(struct loop *l, struct mail *m)
{
        struct scrub *s = container_of(m, struct scrub, asked_mail);

        (void)l;
        pthread_mutex_lock(&s->lock);
        s->mailed = false;
        pthread_mutex_unlock(&s->lock);
        if (s->on_pool || s->stopping)
                return;
        s->pause_ms = 0; /* it is the background's */
        loop_timer_start(&s->timer, 0);
}

void scrub_start(struct scrub *s)
{
        pthread_mutex_init(&s->lock, NULL);
        s->asked_mail.fn = on_asked;
        if (s->interval_ms >= 0) /* empty logs would be looked at without a pause */
                s->interval_ms = MAX2(s->interval_ms, (int64_t)INTERVAL_MIN_MS);
        loop_timer_init(&s->timer, s->loop, on_timer);
        if (s->interval_ms >= 0)
                loop_timer_start(&s->timer, look_pause_ms(s));
}

void scrub_stop(struct scrub *s, void (*stopped)(void *arg), void *arg)
{
        s->stopping = true;
        s->stopped = stopped;
        s->arg = arg;
        loop_timer_stop(&s->timer);
        if (!s->on_pool)
                goes_on(s);
}
