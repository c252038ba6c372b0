/* One partition as one group consumes it, on the node that leads it: found or made, loaded from the coordinator, ended. */
#include <errno.h>
#include <stdlib.h>

#include "share/shares_priv.h"
#include "sys/clock.h"

enum {
        CALL_TRIES_MS = 15000, /* the coordinator is asked for so long; a fail-over takes less */
        SWEEP_MS = 10000,
        IDLE_MS = 60000, /* a cell that nobody has asked for so long is given back, when all of it is written */
        RETRY_MS = 20,
        RETRY_MS_MAX = 1000,
};

/* ---- life ---- */

static void on_retry(struct loop_timer *t);
static void on_locks(struct loop_timer *t);

static struct str key_of(const struct share_place *place)
{
        static_assert(sizeof *place == sizeof place->topic_id + sizeof place->index, "no bytes that say nothing");
        return (struct str){ (const char *)place, sizeof *place };
}

struct share_cell *cell_find(struct share_shard *sh, struct str group, const struct share_place *place)
{
        for (struct map_node *n = map_first(&sh->cells, key_of(place)); n; n = map_next_same(n)) {
                struct share_cell *c = container_of(n, struct share_cell, node);

                if (!share_place_compare(&c->place, place) && str_equal(c->group, group))
                        return c;
        }
        return NULL;
}

static struct share_cell *cell_new(struct share_shard *sh, struct str group, const struct share_place *place)
{
        struct share_cell *c = calloc(1, sizeof *c + group.len);

        if (!c)
                return NULL;
        c->shard = sh;
        c->place = *place;
        c->refs = 1; /* the table's */
        memcpy(c->text, group.p, group.len);
        c->group = (struct str){ c->text, group.len };
        ilist_init(&c->waiting);
        ilist_init(&c->acks);
        if (map_insert(&sh->cells, &c->node, key_of(&c->place))) {
                free(c);
                return NULL;
        }
        if (!loop_timer_is_active(&sh->sweep))
                loop_timer_start(&sh->sweep, SWEEP_MS);
        loop_timer_init(&c->retry, sh->loop, on_retry);
        loop_timer_init(&c->locks, sh->loop, on_locks);
        ilist_push_back(&sh->cells_list, &c->link);
        sh->cells_count++;
        SHARES_COUNT(sh->owner, cells, 1);
        return c;
}

/* Nobody holds it but the table, and the coordinator knows all. */
static bool is_at_rest(const struct share_cell *c)
{
        return c->refs == 1 && c->state == CELL_READY && share_part_changes(c->part) == c->written &&
               share_part_next_ms(c->part) == INT64_MAX;
}

void cell_unref(struct share_cell *c)
{
        if (--c->refs) {
                if (c->is_left && is_at_rest(c))
                        cell_end(c, PARTITION_E_NOT_LEADER);
                return;
        }
        assert(c->state == CELL_GONE && ilist_is_empty(&c->waiting) && ilist_is_empty(&c->acks));
        partition_unref(c->partition);
        share_part_free(c->part);
        free(c);
}

void cell_end(struct share_cell *c, int outcome)
{
        struct share_shard *sh = c->shard;

        if (c->state == CELL_GONE)
                return;
        c->state = CELL_GONE;
        c->outcome = outcome;
        map_remove(&sh->cells, &c->node);
        ilist_unlink(&c->link);
        sh->cells_count--;
        SHARES_COUNT(sh->owner, cells, -1);
        loop_timer_stop(&c->retry);
        loop_timer_stop(&c->locks);
        ilist_for_each (row, &c->acks, struct share_row, ack_link)
                row_acked(row, outcome);
        cell_news(c);
        cell_unref(c);
}

/* Who leads it, and in which epoch; @ret_epoch. */
static bool leads(struct partition *p, int32_t *ret_epoch)
{
        struct partition_view v;

        partition_view(p, &v);
        *ret_epoch = v.leader_epoch;
        return v.role == PARTITION_LEADER && !v.closed;
}

bool cell_check(struct share_cell *c)
{
        int32_t epoch;

        if (c->state == CELL_GONE)
                return false;
        if (leads(c->partition, &epoch) && epoch == c->leader_epoch)
                return true;
        cell_end(c, PARTITION_E_NOT_LEADER);
        return false;
}

void cell_news(struct share_cell *c)
{
        ilist_for_each (row, &c->waiting, struct share_row, wait_link)
                ask_make_ready(row->ask);
}

/* ---- asking the coordinator ---- */

bool cell_is_transient(int outcome)
{
        return outcome < 0 || outcome == COORD_E_NOT_COORDINATOR || outcome == COORD_E_LOADING ||
               outcome == COORD_E_NOT_AVAILABLE || outcome == COORD_E_NO_ROOM;
}

int cell_outcome_of(int outcome)
{
        switch (outcome) {
        case COORD_E_GROUP_NOT_FOUND:
                return SHARES_E_NO_GROUP;
        case COORD_E_UNKNOWN_PARTITION:
                return SHARES_E_UNKNOWN_PARTITION;
        case COORD_E_FENCED_LEADER:
        case COORD_E_FENCED_STATE: /* it was altered: who asks again reads it */
                return PARTITION_E_NOT_LEADER;
        default:
                return SHARES_E_NOT_AVAILABLE;
        }
}

bool cell_call_again(struct share_cell *c, int outcome)
{
        int64_t after_ms = MIN2((int64_t)RETRY_MS << MIN2(c->tries, 10U), (int64_t)RETRY_MS_MAX);

        if (!cell_is_transient(outcome) || shares_are_draining(c->shard->owner) ||
            clock_mono_ms() + after_ms - c->since_ms > CALL_TRIES_MS || !cell_check(c))
                return false;
        c->tries++;
        loop_timer_start(&c->retry, after_ms);
        return true;
}

/* ---- loading ---- */

static void on_read(struct coord_request *rq);
static void start_find(struct share_cell *c);

static void read_call(struct share_cell *c)
{
        struct share_call *call = &c->call;

        *call = (struct share_call){ 0 };
        coord_request_init(&call->rq, COORD_SHARE_READ, c->group);
        call->rq.reply_loop = c->shard->loop;
        call->rq.done = on_read;
        call->read.topic_id = c->place.topic_id;
        call->read.partition = c->place.index;
        call->read.leader_epoch = c->leader_epoch;
        c->calling = true;
        c->refs++;
        c->shard->work++;
        c->shard->owner->cfg.ask(c->shard->owner->cfg.arg, call);
}

static void on_retry(struct loop_timer *t)
{
        struct share_cell *c = container_of(t, struct share_cell, retry);

        c->refs++; /* it may end */
        c->calling = false;
        if (c->state == CELL_LOADING)
                read_call(c);
        else if (c->state == CELL_STARTING && !c->part)
                start_find(c);
        else
                cell_write(c);
        cell_unref(c);
}

void cell_ready(struct share_cell *c)
{
        c->state = CELL_READY;
        cell_news(c);
}

/* What was read, with the gaps between its runs. */
static int make_part(struct share_cell *c, const struct coord_share_read *read)
{
        struct share_run *runs = calloc((size_t)read->ret_runs_count * 2 + 1, sizeof *runs);
        int64_t next = read->ret_start;
        size_t count = 0;
        int r;

        if (!runs)
                return -ENOMEM;
        for (int32_t i = 0; i < read->ret_runs_count; i++) {
                const struct coord_share_run *in = &read->ret_runs[i];

                if (in->first > next)
                        runs[count++] = (struct share_run){ .first = next, .last = in->first - 1 };
                runs[count++] = (struct share_run){ .first = in->first,
                                                    .last = in->last,
                                                    .state = (enum share_state)in->state,
                                                    .deliveries = (uint16_t)MAX2(in->deliveries, (int16_t)0) };
                next = in->last + 1;
        }
        r = share_part_new(&c->settings.part, read->ret_start, runs, count, &c->part);
        free(runs);
        return r;
}

static void loaded(struct share_cell *c, const struct coord_share_read *read)
{
        int r;

        c->calling = false;
        c->tries = 0;
        c->state_epoch = read->ret_state_epoch;
        c->number = 0;
        if (read->ret_start == COORD_SHARE_START_UNKNOWN) {
                c->state = CELL_STARTING;
                start_find(c);
                return;
        }
        r = make_part(c, read);
        if (r)
                cell_end(c, r);
        else
                cell_ready(c);
}

static void on_read(struct coord_request *rq)
{
        struct share_cell *c = container_of(rq, struct share_cell, call.rq);
        struct coord_share_read read = c->call.read; /* the next call takes its place */

        c->shard->work--;
        if (c->state == CELL_LOADING) {
                if (!read.rq.outcome)
                        loaded(c, &read);
                else if (!cell_call_again(c, read.rq.outcome))
                        cell_end(c, cell_outcome_of(read.rq.outcome));
        }
        arena_fini(&read.rq.arena);
        cell_unref(c);
}

/* ---- where to begin ---- */

static void begin_at(struct share_cell *c, int64_t offset)
{
        int r = share_part_new(&c->settings.part, offset, NULL, 0, &c->part);

        c->calling = false;
        if (r)
                cell_end(c, r);
        else
                cell_write(
                        c); /* which makes it ready: who asks again after a fail-over must begin at the same offset */
}

static void job_run(struct io_job *job)
{
        struct share_cell *c = container_of(job, struct share_cell, job);
        struct partition_view v;
        struct plog_position at;

        partition_view(c->partition, &v);
        c->start = v.high_watermark;
        if (!plog_find_time(partition_log(c->partition), clock_wall_ms() - c->settings.reset_back_ms, v.high_watermark,
                            &at))
                c->start = at.offset;
}

static void job_done(struct io_job *job)
{
        struct share_cell *c = container_of(job, struct share_cell, job);

        c->shard->work--;
        if (c->state == CELL_STARTING)
                begin_at(c, c->start);
        cell_unref(c);
}

static void start_find(struct share_cell *c)
{
        struct partition_view v;

        c->calling = true;
        partition_view(c->partition, &v);
        if (c->settings.reset == SHARE_RESET_EARLIEST) {
                begin_at(c, v.start_offset);
        } else if (!v.watermark_known) { /* the end is not known yet: it may only grow */
                if (!cell_call_again(c, COORD_E_NOT_AVAILABLE))
                        cell_end(c, SHARES_E_NOT_AVAILABLE);
        } else if (c->settings.reset == SHARE_RESET_LATEST) {
                begin_at(c, v.high_watermark);
        } else {
                c->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = c->shard->loop };
                c->refs++;
                c->shard->work++;
                iopool_submit(c->shard->owner->cfg.pool, &c->job);
        }
}

/* ---- found or made ---- */

/* Return: SHARES_OK with a reference in @ret; or why there can be no cell. */
static int find_partition(struct share_shard *sh, const struct share_place *place, struct partition **ret,
                          int32_t *ret_epoch)
{
        const struct shares_config *cfg = &sh->owner->cfg;
        struct partition *p = partition_table_find(cfg->table, place->topic_id, place->index);
        int r;

        if (!p) {
                r = cfg->known(cfg->arg, place);
                return r ? r : PARTITION_E_NOT_LEADER;
        }
        if (!leads(p, ret_epoch)) {
                partition_unref(p);
                return PARTITION_E_NOT_LEADER;
        }
        *ret = p;
        return SHARES_OK;
}

int cell_missing(struct share_shard *sh, const struct share_place *place)
{
        struct partition *p = NULL;
        int32_t epoch;
        int r = find_partition(sh, place, &p, &epoch);

        partition_unref(p);
        return r ? r : SHARES_E_STATE;
}

int cell_get(struct share_shard *sh, struct str group, const struct share_place *place, struct share_cell **ret_cell)
{
        struct share_cell *c = cell_find(sh, group, place);
        struct partition *p = NULL;
        int32_t epoch;
        int r;

        if (c && !cell_check(c))
                c = NULL;
        if (!c) {
                if (sh->stopping)
                        return SHARES_E_NOT_AVAILABLE;
                r = find_partition(sh, place, &p, &epoch);
                if (r)
                        return r;
                c = sh->cells_count < sh->owner->cfg.cells_max ? cell_new(sh, group, place) : NULL;
                if (!c) {
                        partition_unref(p);
                        return SHARES_E_NOT_AVAILABLE;
                }
                c->partition = p;
                c->leader_epoch = epoch;
                c->settings = sh->owner->cfg.settings(sh->owner->cfg.arg, group);
                c->since_ms = clock_mono_ms();
                c->refs++; /* until the caller has it: the coordinator may answer at once */
                read_call(c);
        } else {
                c->refs++;
        }
        c->used_ms = clock_mono_ms();
        c->is_left = false;
        *ret_cell = c;
        return SHARES_OK;
}

/* ---- time-outs of what is under way ---- */

void cell_set_locks(struct share_cell *c)
{
        int64_t at = share_part_next_ms(c->part);

        if (at == INT64_MAX || c->state != CELL_READY)
                loop_timer_stop(&c->locks);
        else
                loop_timer_start(&c->locks, MAX2(at - clock_mono_ms(), (int64_t)0));
}

static void on_locks(struct loop_timer *t)
{
        struct share_cell *c = container_of(t, struct share_cell, locks);
        uint64_t before = share_part_changes(c->part);

        (void)share_part_tick(c->part, clock_mono_ms()); /* takes no memory */
        SHARES_COUNT(c->shard->owner, timed_out, share_part_changes(c->part) - before);
        cell_set_locks(c);
        cell_news(c);
        cell_write(c); /* it may end */
}

/* ---- what nobody uses ---- */

void cells_leave(struct share_shard *sh, struct str group)
{
        ilist_for_each (c, &sh->cells_list, struct share_cell, link) {
                if (!str_equal(c->group, group))
                        continue;
                c->is_left = true;
                c->refs++;
                cell_unref(c);
        }
}

void cells_sweep(struct loop_timer *t)
{
        struct share_shard *sh = container_of(t, struct share_shard, sweep);
        int64_t now = clock_mono_ms();

        ilist_for_each (c, &sh->cells_list, struct share_cell, link)
                if (cell_check(c) && now - c->used_ms > IDLE_MS && is_at_rest(c))
                        cell_end(c, SHARES_E_NOT_AVAILABLE);
        if (sh->cells_count)
                loop_timer_start(&sh->sweep, SWEEP_MS);
}
