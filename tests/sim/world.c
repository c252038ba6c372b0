/* See world.h. */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/clock.h"
#include "wire/batch.h"

#define DATA_DIR "/srv/data"
#define TIME_MS INT64_C(1700000000000) /* records' times begin here */

struct world world;

void sim_wrong(const struct sim_log *l, const char *fmt, ...)
{
        va_list args;

        fprintf(stderr, "\nWRONG: %s: ", l ? l->name : "store");
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\n    again: %s\n", world.again);
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
        return disk_is_dead() || disk_has_failed() || world.may_fail;
}

/* ---- opening and closing ---- */

static void on_durable(void *arg, struct plog *pl)
{
        struct sim_log *l = arg;
        struct plog_ends e;

        plog_ends(pl, &e);
        if (e.failed)
                l->failed = true;
        else
                l->promised_epoch = MAX2(l->promised_epoch, l->assigned_epoch);
        model_promised(l, e.durable_end_offset);
}

void world_log_open(struct sim_log *l)
{
        struct plog_open_args args = { .dir = l->dir, .name = l->name, .topic_id = l->topic_id, .conf = l->conf };
        int r = plog_open(world.store, &args, &l->pl);

        l->failed = false;
        if (r && !excused())
                sim_wrong(l, "it cannot be opened: %d", r);
        if (r) {
                l->pl = NULL;
                return;
        }
        if (!disk_is_dead())
                model_recovered(l, &world.chance);
        if (world.pure && !disk_is_dead())
                SIM_CHECK(l, !sim_diag_errors(), "recovery speaks of an error");
        plog_set_listener(l->pl, (struct plog_listener){ on_durable, l });
}

void world_log_close(struct sim_log *l)
{
        if (world.compacted == l) {
                world.compaction = plog_compact_end(world.compaction);
                world.compacted = NULL;
        }
        plog_close(l->pl);
        l->pl = NULL;
}

/* ---- a life: from opening the store to its end ---- */

static bool store_open(void)
{
        const char *why = "";
        int r = iopool_new(4, &world.pool);

        assert(!r);
        r = plog_store_open(&(struct plog_store_config){ .dir = DATA_DIR,
                                                         .pool = world.pool,
                                                         .files_open_max = 3,
                                                         .preallocate_step_len = world.preallocate_step_len },
                            &world.store, &why);
        if (r && !excused())
                sim_wrong(NULL, "it cannot be opened: %d %s", r, why);
        if (!r)
                return true;
        world.pool = iopool_free(world.pool);
        return false;
}

void world_open(void)
{
        sim_diag_reset();
        if (!store_open())
                return;
        for (int i = 0; i < world.logs_count && !disk_is_dead(); i++)
                world_log_open(&world.logs[i]);
}

void world_close(void)
{
        if (!world.store)
                return;
        world.may_append = 0;
        for (int i = 0; i < world.logs_count; i++)
                if (world.logs[i].pl)
                        world_log_close(&world.logs[i]);
        sim_pool_run_all(&world.chance);
        world.store = plog_store_close(world.store);
        world.pool = iopool_free(world.pool);
        SIM_CHECK(NULL, !disk_open_count(), "%u files are open after the end", disk_open_count());
}

void world_settle(void)
{
        sim_pool_run_all(&world.chance);
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

void world_append(struct sim_log *l, int64_t producer)
{
        struct sim_batch *b;
        struct plog_append_result res;
        int r;

        if (l->failed || disk_is_dead())
                return;
        b = model_make(l, &world.chance, producer);
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
        struct chance *c = &world.chance;

        (void)arg;
        if (!world.may_append || !chance_one_in(c, 4))
                return;
        world.may_append--;
        for (uint32_t n = 1 + chance_below(c, 6); n > 0; n--) {
                struct sim_log *l = &world.logs[chance_below(c, (uint64_t)world.logs_count)];

                if (l->pl)
                        world_append(l, chance_below(c, 1 + SIM_PRODUCERS));
        }
}

void world_delete_records(struct sim_log *l, int64_t below)
{
        int64_t start;
        int r;

        l->start_max = MAX2(l->start_max, below);
        sim_trace(l, "delete records below %lld", (long long)below);
        r = plog_delete_records(l->pl, below, &start);
        if (!r) {
                SIM_CHECK(l, start >= below, "records are deleted up to %lld, not %lld", (long long)start,
                          (long long)below);
                l->start_min = MAX2(l->start_min, start);
        }
        note_failure(l, r, "deleting records");
}

void world_retain(struct sim_log *l, int64_t bytes, int64_t ms)
{
        struct plog_conf conf = l->conf;
        struct plog_ends e;
        int r;

        conf.cleanup_delete = true;
        conf.retention_bytes = bytes;
        conf.retention_ms = ms;
        plog_set_conf(l->pl, &conf);
        l->start_max = MAX2(l->start_max, l->promised_end);
        r = plog_retain(l->pl,
                        &(struct plog_retain_args){ .now_ms = TIME_MS + l->end * 10, .below_offset = l->promised_end });
        plog_set_conf(l->pl, &l->conf);
        plog_ends(l->pl, &e);
        sim_trace(l, "retention: %d, starts at %lld", r, (long long)e.start_offset);
        if (r > 0 && !disk_is_dead() && !e.failed)
                l->start_min = l->start_max = e.start_offset;
        note_failure(l, MIN2(r, 0), "retention");
}

void world_truncate(struct sim_log *l, int64_t at)
{
        int64_t end = at >= l->end ? l->end : model_base_of(l, at);
        struct plog_ends e;
        int r;

        if (l->compacted || l->failed)
                return;
        l->promised_end = MIN2(l->promised_end, end);
        l->start_min = MIN2(l->start_min, end);
        r = plog_truncate(l->pl, at);
        l->promised_end = MIN2(l->promised_end, end); /* it was flushed before */
        if (end < l->end)
                l->assigned_epoch = l->promised_epoch = -1;
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

void world_assign_epoch(struct sim_log *l)
{
        int r = plog_assign_epoch(l->pl, ++l->epoch);

        sim_trace(l, "epoch %d", l->epoch);
        if (r && !l->failed)
                sim_wrong(l, "assigning an epoch: %d", r);
        l->assigned_epoch = l->epoch;
}

bool world_compact(struct sim_log *l, size_t map_bytes, int64_t len)
{
        struct plog_compact_args args = { .now_ms = TIME_MS + l->end * 10,
                                          .below_offset = l->promised_end,
                                          .map_bytes_max = map_bytes };
        int r;

        if (!world.compaction) {
                r = plog_compact_begin(l->pl, &args, &world.compaction);
                if (r) {
                        world.compaction = NULL;
                        if (r != PLOG_E_NOT_FOUND)
                                note_failure(l, r, "the beginning of compaction");
                        return false;
                }
                world.compacted = l;
        }
        sim_trace(l, "compaction");
        r = plog_compact_step(world.compaction, len);
        if (r == 1)
                return true;
        world.compaction = plog_compact_end(world.compaction);
        world.compacted = NULL;
        if (r != PLOG_E_NOT_FOUND)
                note_failure(l, r, "compaction");
        return false;
}

void world_delete(struct sim_log *l)
{
        int r;

        if (world.compacted == l)
                return;
        sim_trace(l, "is deleted");
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
                world_log_open(l);
}

/* ---- the world ---- */

struct plog_conf world_conf(void)
{
        return (struct plog_conf){ .segment_bytes = 600,
                                   .segment_ms = INT64_MAX / 2,
                                   .index_interval_bytes = 1,
                                   .retention_ms = -1,
                                   .retention_bytes = -1,
                                   .cleanup_delete = true,
                                   .flush_before_ack = true,
                                   .flush_ms = 50,
                                   .flush_messages = 12,
                                   .max_compaction_lag_ms = INT64_MAX,
                                   .delete_retention_ms = INT64_MAX };
}

void world_init(uint64_t seed, int logs_count, bool pure)
{
        static const char *const names[WORLD_LOGS_MAX] = { "plain", "relaxed", "compacted" };

        assert(logs_count <= WORLD_LOGS_MAX);
        memset(&world, 0, sizeof world);
        world.logs_count = logs_count;
        world.pure = pure;
        world.chance.state = chance_seed(seed, 1);
        sim_clock_reset(chance_seed(seed, 2));
        disk_init(chance_seed(seed, 3));
        disk_on_sync(on_sync, NULL);
        for (int i = 0; i < logs_count; i++) {
                struct sim_log *l = &world.logs[i];

                snprintf(l->name, sizeof l->name, "%s-%d", names[i], i);
                snprintf(l->dir, sizeof l->dir, "%s/%s", DATA_DIR, l->name);
                l->conf = world_conf();
                l->compacted = i == 2;
                l->conf.cleanup_compact = l->compacted;
                l->conf.cleanup_delete = !l->compacted;
                l->conf.flush_before_ack = i != 1;
                l->may_forget = !pure;
                l->topic_id = (struct uuid){ { 1, 0, (uint8_t)i } };
                model_clear(l);
        }
}

void world_fini(void)
{
        for (int i = 0; i < world.logs_count; i++) {
                free(world.logs[i].log.list);
                free(world.logs[i].ghosts.list);
        }
        model_free_batches();
        disk_fini();
}
