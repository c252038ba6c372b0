/* Goal: what a log has promised survives every crash and every failure of its disk. Method: a seeded workload on several
 * logs, on a disk in memory (disk.h) and beside a model (model.h); the power goes, or the process ends, after the n-th
 * change of the disk, for each n, and again in the lives that follow, also in the middle of recovery; or the n-th operation
 * of a kind fails, for each n. A run is a function of its seed; what fails prints the command that does it again. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "host.h"
#include "model.h"
#include "plog/compact.h"
#include "sim.h"
#include "sys/clock.h"
#include "wire/batch.h"

enum { LOGS = 3, STEPS_MAX = 70, LIVES_MAX = 4 };

#define DATA_DIR "/srv/data"

static struct {
        struct sim_plan plan;
        struct chance chance;
        struct sim_log logs[LOGS];
        struct iopool *pool;
        struct plog_store *store;
        struct plog_compaction *compaction;
        struct sim_log *compacted;
        int64_t preallocate_step_len;
        bool pure;        /* nothing but crashes: then nothing may be said to be damaged, and no call may fail */
        int may_append;   /* so many times in the middle of a sync, as another thread would */
        uint64_t changes; /* of the first life */
} sim;

void sim_wrong(const struct sim_log *l, const char *fmt, ...)
{
        va_list args;

        fprintf(stderr, "\nWRONG: %s: ", l ? l->name : "store");
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\n    again: %s\n", sim_plan_command(&sim.plan));
        if (l)
                fprintf(stderr, "    model: start %lld to %lld, promised end %lld, end %lld\n", (long long)l->start_min,
                        (long long)l->start_max, (long long)l->promised_end, (long long)l->end);
        sim_diag_print();
        disk_print();
        fflush(NULL);
        _exit(1);
}

void sim_trace(const struct sim_log *l, const char *fmt, ...)
{
        va_list args;

        if (!getenv("SIM_TRACE"))
                return;
        fprintf(stderr, "    %llu %s: ", (unsigned long long)disk_changes(), l ? l->name : "all");
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\n");
}

/* The call may have failed: the disk is gone, or one of its operations failed. */
static bool excused(void)
{
        return disk_is_dead() || disk_has_failed();
}

/* ---- logs ---- */

static void on_durable(void *arg, struct plog *pl)
{
        struct sim_log *l = arg;
        struct plog_ends e;

        plog_ends(pl, &e);
        if (e.failed)
                l->failed = true;
        model_promised(l, e.durable_end_offset);
}

static struct plog_conf random_conf(int n)
{
        struct chance *c = &sim.chance;
        struct plog_conf conf = {
                .segment_bytes = 600 + chance_below(c, 3) * 800,
                .segment_ms = INT64_MAX / 2,
                .index_interval_bytes = chance_one_in(c, 2) ? 1 : 500,
                .retention_ms = -1,
                .retention_bytes = -1,
                .cleanup_delete = n != 2,
                .cleanup_compact = n == 2,
                .flush_before_ack = n != 1,
                .flush_ms = 50,
                .flush_messages = 12,
                .max_compaction_lag_ms = INT64_MAX,
                .delete_retention_ms = INT64_MAX,
                .file_delete_delay_ms = chance_one_in(c, 2) ? 0 : 100,
        };

        return conf;
}

static void log_open(struct sim_log *l)
{
        struct plog_open_args args = { .dir = l->dir, .name = l->name, .topic_id = l->topic_id, .conf = l->conf };
        int r = plog_open(sim.store, &args, &l->pl);

        l->failed = false;
        if (r && !excused())
                sim_wrong(l, "it cannot be opened: %d", r);
        if (r) {
                l->pl = NULL;
                return;
        }
        if (!disk_is_dead())
                model_recovered(l, &sim.chance);
        if (sim.pure && !disk_is_dead())
                SIM_CHECK(l, !sim_diag_errors(), "recovery speaks of an error");
        plog_set_listener(l->pl, (struct plog_listener){ on_durable, l });
}

static void log_close(struct sim_log *l)
{
        if (sim.compacted == l) {
                sim.compaction = plog_compact_end(sim.compaction);
                sim.compacted = NULL;
        }
        plog_close(l->pl);
        l->pl = NULL;
}

/* ---- steps ---- */

/* What came of an operation that may fail: the log is as it was, or it is FAILED. */
static void note_failure(struct sim_log *l, int r, const char *what)
{
        struct plog_ends e;

        if (r && !excused() && !l->failed)
                sim_wrong(l, "%s: %d", what, r);
        plog_ends(l->pl, &e);
        l->failed |= e.failed;
}

static void step_append(struct sim_log *l)
{
        int64_t producer = chance_one_in(&sim.chance, 2) ? 0 : 1 + (int64_t)chance_below(&sim.chance, SIM_PRODUCERS);
        struct sim_batch *b;
        struct plog_append_result res;
        int r;

        if (l->failed)
                return;
        if (chance_one_in(&sim.chance, 10))
                l->epoch++;
        b = model_make(l, &sim.chance, producer);
        r = plog_append(l->pl,
                        &(struct plog_append_args){ .batch = b->bytes,
                                                    .len = b->len,
                                                    .leader_epoch = b->epoch,
                                                    .now_ms = clock_wall_ms(),
                                                    .max_timestamp = b->timestamp + b->count - 1,
                                                    .max_timestamp_offset_delta = b->count - 1,
                                                    .keep_base_offset = -1,
                                                    .check_sequence = true },
                        &res);
        batch_set_base(b->bytes, b->base, b->epoch);
        if (r) {
                model_refused(l, b);
                note_failure(l, r, "an append");
                return;
        }
        SIM_CHECK(l, res.base_offset == b->base, "appended at %lld and not at %lld", (long long)res.base_offset,
                  (long long)b->base);
        model_appended(l, b);
}

/* In the middle of a sync of another thread. */
static void on_sync(void *arg)
{
        (void)arg;
        if (!sim.may_append || !chance_one_in(&sim.chance, 4))
                return;
        sim.may_append--;
        for (uint32_t n = 1 + chance_below(&sim.chance, 6); n > 0; n--) {
                struct sim_log *l = &sim.logs[chance_below(&sim.chance, LOGS)];

                if (l->pl && !disk_is_dead())
                        step_append(l);
        }
}

static void step_delete_records(struct sim_log *l)
{
        int64_t at = l->start_min + (int64_t)chance_below(&sim.chance, (uint64_t)(l->end - l->start_min) / 2 + 1),
                start;
        int r;

        l->start_max = MAX2(l->start_max, at);
        sim_trace(l, "delete records below %lld", (long long)at);
        r = plog_delete_records(l->pl, at, &start);
        if (!r) {
                SIM_CHECK(l, start >= at, "records are deleted up to %lld, not %lld", (long long)start, (long long)at);
                l->start_min = MAX2(l->start_min, start);
        }
        note_failure(l, r, "deleting records");
}

static void step_retain(struct sim_log *l)
{
        struct plog_conf conf = l->conf;
        struct plog_ends e;
        int r;

        conf.cleanup_delete = true;
        if (chance_one_in(&sim.chance, 2))
                conf.retention_bytes = chance_below(&sim.chance, 6000);
        else
                conf.retention_ms = chance_below(&sim.chance, (uint64_t)l->end * 10 + 1);
        plog_set_conf(l->pl, &conf);
        l->start_max = MAX2(l->start_max, l->promised_end);
        r = plog_retain(l->pl, INT64_C(1700000000000) + l->end * 10, l->promised_end);
        plog_set_conf(l->pl, &l->conf);
        plog_ends(l->pl, &e);
        sim_trace(l, "retention: %d, starts at %lld", r, (long long)e.start_offset);
        if (r > 0 && !disk_is_dead() && !e.failed)
                l->start_min = l->start_max = e.start_offset;
        note_failure(l, MIN2(r, 0), "retention");
}

static void step_truncate(struct sim_log *l)
{
        int64_t low = MAX2(l->start_max, l->end - 20);
        int64_t at = low + (int64_t)chance_below(&sim.chance, (uint64_t)(l->end - low) + 1);
        int64_t end = model_base_of(l, at);
        struct plog_ends e;
        int r;

        if (l->compacted || l->failed)
                return;
        end = at >= l->end ? l->end : end;
        l->promised_end = MIN2(l->promised_end, end);
        l->start_min = MIN2(l->start_min, end);
        r = plog_truncate(l->pl, at);
        l->promised_end = MIN2(l->promised_end, end); /* it was flushed before */
        if (!r) {
                plog_ends(l->pl, &e);
                SIM_CHECK(l, e.end_offset == end, "cut at %lld, it ends at %lld and not at %lld", (long long)at,
                          (long long)e.end_offset, (long long)end);
                if (end < l->end)
                        model_truncated(l, end);
                model_promised(l, e.durable_end_offset);
        }
        note_failure(l, r, "truncation");
}

static void step_epoch(struct sim_log *l)
{
        int r = plog_assign_epoch(l->pl, ++l->epoch);

        if (r && !l->failed)
                sim_wrong(l, "assigning an epoch: %d", r);
}

static void step_compact(struct sim_log *l)
{
        struct plog_compact_args args = { .now_ms = INT64_C(1700000000000) + l->end * 10,
                                          .below_offset = l->promised_end,
                                          .map_bytes_max = chance_one_in(&sim.chance, 2) ? 1 << 16 : 24 * 256 };
        int r;

        if (!sim.compaction) {
                r = plog_compact_begin(l->pl, &args, &sim.compaction);
                if (r) {
                        sim.compaction = NULL;
                        if (r != PLOG_E_NOT_FOUND)
                                note_failure(l, r, "the beginning of compaction");
                        return;
                }
                sim.compacted = l;
        }
        sim_trace(l, "compaction");
        r = plog_compact_step(sim.compaction, 1 + chance_below(&sim.chance, 6000));
        if (r == 1)
                return;
        sim.compaction = plog_compact_end(sim.compaction);
        sim.compacted = NULL;
        if (r != PLOG_E_NOT_FOUND)
                note_failure(l, r, "compaction");
}

static void step_delete(struct sim_log *l)
{
        int r;

        if (sim.compacted == l)
                return;
        l->maybe_gone = true;
        r = plog_delete(l->pl);
        l->pl = NULL;
        if (r && !excused())
                sim_wrong(l, "deleting it: %d", r);
        if (r)
                return;
        model_clear(l);
        l->topic_id.b[1]++;
        l->epoch = 0;
        if (!disk_is_dead())
                log_open(l);
}

static void step_tick(void)
{
        static const int64_t steps_ms[] = { 1, 20, 60, 200, 61000 };

        sim_clock_advance(steps_ms[chance_below(&sim.chance, ARRAY_LEN(steps_ms))]);
        plog_store_tick(sim.store, clock_mono_ms());
}

/* ---- a life: from opening the store to its end ---- */

static bool store_open(void)
{
        const char *why = "";
        int r = iopool_new(4, &sim.pool);

        assert(!r);
        r = plog_store_open(&(struct plog_store_config){ .dir = DATA_DIR,
                                                         .pool = sim.pool,
                                                         .files_open_max = 3,
                                                         .preallocate_step_len = sim.preallocate_step_len },
                            &sim.store, &why);
        if (r && !excused())
                sim_wrong(NULL, "it cannot be opened: %d %s", r, why);
        if (!r)
                return true;
        sim.pool = iopool_free(sim.pool);
        return false;
}

static void life_begin(void)
{
        sim_diag_reset();
        if (!store_open())
                return;
        for (int i = 0; i < LOGS && !disk_is_dead(); i++)
                log_open(&sim.logs[i]);
}

static void life_end(void)
{
        if (!sim.store)
                return;
        sim.may_append = 0;
        for (int i = 0; i < LOGS; i++)
                if (sim.logs[i].pl)
                        log_close(&sim.logs[i]);
        sim_pool_run_all(&sim.chance);
        sim.store = plog_store_close(sim.store);
        sim.pool = iopool_free(sim.pool);
        SIM_CHECK(NULL, !disk_open_count(), "%u files are open after the end", disk_open_count());
}

/* The store stops and starts, as it should, or a log alone. */
static void step_reopen(struct sim_log *l)
{
        bool all = chance_one_in(&sim.chance, 3);

        sim_trace(l, all ? "all are closed and opened" : "is closed and opened");
        if (!all) {
                log_close(l);
                if (!disk_is_dead())
                        log_open(l);
                return;
        }
        life_end();
        if (!disk_is_dead())
                life_begin();
}

static void step_log(struct sim_log *l)
{
        uint32_t what = chance_below(&sim.chance, 100);

        if (what < 60)
                step_append(l);
        else if (what < 68 && l->compacted)
                step_compact(l);
        else if (what < 72)
                step_delete_records(l);
        else if (what < 76 && !l->compacted)
                step_retain(l);
        else if (what < 82)
                step_truncate(l);
        else if (what < 85)
                step_epoch(l);
        else if (what < 90)
                model_compare(l, &sim.chance);
        else if (what < 95)
                step_reopen(l);
        else if (what < 96)
                step_delete(l);
        else if (l->compacted)
                step_compact(l);
}

static void step(void)
{
        struct sim_log *l = &sim.logs[chance_below(&sim.chance, LOGS)];
        uint32_t what = chance_below(&sim.chance, 100);

        sim.may_append = 2;
        if (what < 25)
                sim_pool_run_one(&sim.chance);
        else if (what < 32)
                sim_pool_run_all(&sim.chance);
        else if (what < 38)
                step_tick();
        sim.may_append = 0;
        if (what < 38)
                return;
        if (!sim.store)
                return;
        if (!l->pl)
                log_open(l);
        else if (l->failed && chance_one_in(&sim.chance, 4))
                step_reopen(l);
        else
                step_log(l);
}

/* ---- a run ---- */

static void run_init(const struct sim_plan *plan)
{
        memset(&sim, 0, sizeof sim);
        sim.plan = *plan;
        sim.pure = plan->fault < 0;
        sim.chance.state = chance_seed(plan->seed, 1);
        sim_clock_reset(chance_seed(plan->seed, 2));
        disk_init(chance_seed(plan->seed, 3));
        disk_on_sync(on_sync, NULL);
        sim.preallocate_step_len = chance_one_in(&sim.chance, 2) ? 0 : 1000;
        for (int i = 0; i < LOGS; i++) {
                struct sim_log *l = &sim.logs[i];

                snprintf(l->name, sizeof l->name, "%s-%d", i == 0 ? "plain" : i == 1 ? "relaxed" : "compacted", i);
                snprintf(l->dir, sizeof l->dir, "%s/%s", DATA_DIR, l->name);
                l->conf = random_conf(i);
                l->compacted = i == 2;
                l->may_forget = !sim.pure;
                l->topic_id = (struct uuid){ { 1, 0, (uint8_t)i } };
        }
}

static void run_fini(void)
{
        for (int i = 0; i < LOGS; i++) {
                free(sim.logs[i].log.list);
                free(sim.logs[i].ghosts.list);
        }
        model_free_batches();
        disk_fini();
}

static void live(void)
{
        uint32_t steps = STEPS_MAX / 2 + chance_below(&sim.chance, STEPS_MAX / 2);

        life_begin();
        while (steps-- && !disk_is_dead() && sim.store)
                step();
}

/* What ends the life: the power, the process, or nothing but time. */
static void die(void)
{
        bool dead = disk_is_dead();

        sim_trace(NULL, "the end of a life");
        if (!dead && chance_one_in(&sim.chance, 2)) {
                life_end();
                dead = disk_is_dead();
        } else if (!dead) { /* between two changes */
                disk_kill();
                life_end();
        } else {
                life_end();
        }
        if (chance_one_in(&sim.chance, 3)) {
                disk_restart();
                sim_trace(NULL, "only the process had ended");
        } else {
                disk_power_on();
                sim_trace(NULL, "the power had gone");
        }
}

static void run(const struct sim_plan *plan, uint64_t *ret_changes, uint64_t ret_counts[DISK_OPS])
{
        run_init(plan);
        if (plan->fault >= 0)
                disk_fail((enum disk_op)plan->fault, plan->nth, plan->error);
        else
                disk_crash_after(plan->nth);
        live();
        *ret_changes = disk_changes();
        for (int i = 0; i < DISK_OPS; i++)
                ret_counts[i] = disk_count((enum disk_op)i);
        /* From here on chance depends on which variant of the crash this is. */
        sim.chance.state = chance_seed(plan->seed ^ sim.chance.state, plan->variant);
        disk_reseed(chance_u64(&sim.chance));
        die();
        for (uint32_t lives = chance_below(&sim.chance, LIVES_MAX); lives; lives--) {
                disk_crash_after(1 + chance_below(&sim.chance, chance_one_in(&sim.chance, 2) ? 12 : 150));
                live();
                die();
        }
        live();
        life_end();
        life_begin(); /* all in order after a clean stop */
        life_end();
        run_fini();
}

int main(void)
{
        return sim_main(run, 5, 3);
}
