/* Fetching for a share group: what is available in each partition of the session is read, and given to the member that asks; without any the
 * request is parked until there is. */
#include <errno.h>
#include <stdlib.h>

#include "share/shares_priv.h"
#include "sys/clock.h"

enum {
        ROUNDS_MAX = 16,     /* reads that find nothing to deliver, before others have their turn */
        HOLE_MAX = 200,      /* records that are read although they are not available, so that more come at once */
        ROW_RUNS_MAX = 1000, /* runs of records that one partition of an answer has */
};

/* ---- what to read ---- */

/* Have the row its cell. Return: false: it has none, and its outcome tells why. */
static bool row_cell(struct share_ask *a, struct share_row *row)
{
        if (row->cell && !cell_check(row->cell)) {
                row->outcome = row->cell->outcome;
                cell_unref(row->cell);
                row->cell = NULL;
                if (row->outcome != PARTITION_E_NOT_LEADER) /* else it may lead again, or the state be read anew */
                        return false;
        }
        if (!row->cell) {
                row->outcome = cell_get(a->shard, a->group, &row->place, &row->cell);
                if (row->outcome)
                        return false;
        }
        return true;
}

/* Set @r up, when there is something to read. */
static void plan(struct share_ask *a, struct share_row *row, int64_t records_left, struct share_reading *r)
{
        struct share_cell *c;
        struct partition_view v;

        *r = (struct share_reading){ 0 };
        if (!row->fetches || row->outcome || !row_cell(a, row))
                return;
        c = row->cell;
        assert(c);
        if (c->state != CELL_READY)
                return;
        c->settings = a->ret_settings;
        share_part_configure(c->part, &c->settings.part);
        partition_view(c->partition, &v);
        if (v.start_offset > share_part_start(c->part)) {
                share_part_log_start(c->part, v.start_offset);
                cell_write(c);
                if (c->state != CELL_READY)
                        return;
        }
        r->below = c->settings.read_committed ? v.stable_offset : v.high_watermark;
        r->next = share_part_next(c->part);
        row->seen_end = MAX2(r->below, r->next);
        if (records_left <= 0 || r->next >= r->below || !share_part_has_room(c->part))
                return;
        r->row = row;
        r->log = partition_log(c->partition);
        r->committed = c->settings.read_committed;
        r->reach = share_part_reach(c->part, records_left, HOLE_MAX);
}

static bool is_retried(int outcome)
{
        return outcome == PLOG_E_CLOSED || outcome == PLOG_E_OUT_OF_RANGE;
}

/* Read what is planned. Return: 0 or -EAGAIN: the disk has to be waited for. */
static int read_all(struct share_ask *a, bool may_block)
{
        size_t left = a->bytes_max, total = 0;

        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_reading *r = &a->readings[i];

                if (!r->row || (!left && total))
                        continue;
                if (reading_run(r, left, total == 0, may_block))
                        return -EAGAIN;
                total += r->cut_len;
                left -= MIN2(left, r->cut_len);
        }
        return 0;
}

/* ---- taking what was read ---- */

static int acquire(struct share_ask *a, struct share_row *row, const struct share_reading *r, int64_t max)
{
        struct share_cell *c = row->cell;
        int64_t first = MAX2(r->next, share_part_start(c->part));
        size_t size = MIN2((size_t)(r->cut_next - first), (size_t)ROW_RUNS_MAX), count = 0;
        struct share_run *runs = calloc(MAX2(size, (size_t)1), sizeof *runs);
        int e = runs ? 0 : -ENOMEM;

        if (!e && r->cut_next > first)
                e = share_part_acquire(c->part, a->number, first, r->cut_next - 1, max, clock_mono_ms(), runs, size,
                                       &count);
        row->acquired = e || !count ? NULL : ARENA_NEW_ARRAY(&a->arena, struct share_acquired, count);
        for (size_t i = 0; row->acquired && i < count; i++) {
                row->acquired[i] = (struct share_acquired){ runs[i].first, runs[i].last, (int16_t)runs[i].deliveries };
                SHARES_COUNT(a->shares, acquired, runs[i].last - runs[i].first + 1);
        }
        row->acquired_count = row->acquired ? count : 0; /* without memory their time runs out */
        free(runs);
        return e;
}

static int64_t records_of(const struct share_row *row)
{
        int64_t n = 0;

        for (size_t i = 0; i < row->acquired_count; i++)
                n += row->acquired[i].last - row->acquired[i].first + 1;
        return n;
}

/* Return: whether anything has changed for the next look. */
static bool take(struct share_ask *a, struct share_reading *r, int64_t *records_left)
{
        struct share_row *row = r->row;
        struct share_cell *c = row->cell;
        uint64_t before;
        int e = 0;

        if (c->state != CELL_READY || !r->cut_len)
                return false;
        before = share_part_changes(c->part);
        for (size_t i = 0; !e && i < r->spans_count; i++)
                e = share_part_archive(c->part, r->spans[i].first, r->spans[i].last);
        if (!e)
                e = acquire(a, row, r, a->strict ? *records_left : INT64_MAX);
        if (e) {
                row->outcome = e;
                return false;
        }
        if (row->acquired_count) {
                *records_left -= records_of(row);
                row->slice = r->slice;
                row->slice.len = r->cut_len;
                r->slice.len = 0;
                cell_set_locks(c);
        }
        if (share_part_changes(c->part) == before)
                return false;
        cell_write(c);
        return true;
}

/* ---- waiting ---- */

static void on_wait(struct loop *l, struct mail *m)
{
        struct share_row *row = container_of(m, struct share_row, wait.mail);
        struct share_ask *a = row->ask;

        (void)l;
        a->waits_left--;
        ask_unpark(a);
        ask_make_ready(a);
}

void ask_unpark(struct share_ask *a)
{
        if (!a->parked)
                return;
        a->parked = false;
        loop_timer_stop(&a->timer);
        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_row *row = &a->ret_rows[i];

                ilist_unlink(&row->wait_link);
                if (row->wait.partition && partition_unwait(&row->wait))
                        a->waits_left--;
        }
}

void ask_time_is_up(struct loop_timer *t)
{
        struct share_ask *a = container_of(t, struct share_ask, timer);

        a->late = true;
        ask_make_ready(a);
}

static void park(struct share_ask *a)
{
        struct loop *loop = a->shard->loop;

        a->parked = true;
        loop_timer_start(&a->timer, MAX2(a->deadline_ms - clock_mono_ms(), (int64_t)0));
        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_row *row = &a->ret_rows[i];
                struct share_cell *c = row->cell;

                if (!row->fetches || !c)
                        continue;
                ilist_push_back(&c->waiting, &row->wait_link);
                if (c->state != CELL_READY)
                        continue;
                a->waits_left++;
                row->wait.mail.fn = on_wait;
                partition_wait(c->partition, &row->wait,
                               c->settings.read_committed ? PARTITION_WAIT_STABLE : PARTITION_WAIT_DATA, row->seen_end,
                               loop);
        }
}

/* ---- a look ---- */

static void readings_drop(struct share_ask *a)
{
        for (size_t i = 0; i < a->ret_rows_count; i++)
                reading_drop(&a->readings[i]);
}

static struct share_row *row_in_turn(struct share_ask *a, size_t i)
{
        return &a->ret_rows[(a->first_row + i) % a->ret_rows_count];
}

/* Return: whether the next look may find more; @ret_end: there is something to answer. */
static bool take_all(struct share_ask *a, bool *ret_end)
{
        int64_t left = a->records_max;
        bool changed = false;

        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_reading *r = &a->readings[i];

                if (!r->row)
                        continue;
                if (r->outcome && !is_retried(r->outcome))
                        r->row->outcome = r->outcome;
                else if (left > 0)
                        changed |= take(a, r, &left);
        }
        readings_drop(a);
        for (size_t i = 0; i < a->ret_rows_count; i++)
                *ret_end |= a->ret_rows[i].outcome || a->ret_rows[i].acquired_count;
        return changed;
}

static void settle(struct share_ask *a, bool changed, bool end)
{
        bool late = a->late || shares_are_draining(a->shares) || clock_mono_ms() >= a->deadline_ms ||
                    (a->has_acks && !a->acks_left);

        if (end || late) {
                a->answered = true;
                if (!a->acks_left)
                        ask_answer(a);
        } else if (changed) {
                ask_make_ready(a);
        } else {
                park(a);
        }
}

static void job_run(struct io_job *job)
{
        (void)read_all(container_of(job, struct share_ask, job), true); /* what it could not read has its outcome */
}

static void job_done(struct io_job *job)
{
        struct share_ask *a = container_of(job, struct share_ask, job);
        bool end = false, changed;

        a->shard->work--;
        a->in_job = false;
        if (a->abandoned)
                readings_drop(a);
        changed = take_all(a, &end);
        settle(a, changed, end);
}

/* Return: how many partitions have something to read. */
static size_t plan_all(struct share_ask *a)
{
        int64_t left = a->records_max;
        size_t count = 0;

        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_reading *r = &a->readings[i];

                plan(a, row_in_turn(a, i), left, r);
                if (!r->row)
                        continue;
                count++;
                left -= MAX2(r->reach - r->next + 1, (int64_t)1);
        }
        return count;
}

void ask_fetch(struct share_ask *a)
{
        bool end = false, changed = !a->abandoned;

        for (unsigned round = 0; changed && !end && round < ROUNDS_MAX; round++) {
                if (plan_all(a) && read_all(a, false)) {
                        readings_drop(a);
                        (void)plan_all(a);
                        a->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = a->shard->loop };
                        a->in_job = true;
                        a->shard->work++;
                        iopool_submit(a->shard->owner->cfg.pool, &a->job);
                        return;
                }
                changed = take_all(a, &end);
        }
        settle(a, changed, end);
}
