/* Goal: what a log has promised survives every crash and every failure of its disk. Method: a seeded workload on several
 * logs, on a disk in memory (disk.h) and beside a model (model.h); the power goes, or the process ends, after the n-th
 * change of the disk, for each n, and again in the lives that follow, also in the middle of recovery; or the n-th operation
 * of a kind fails, for each n. A run is a function of its seed; what fails prints the command that does it again. */
#include <stdio.h>

#include "sim.h"
#include "sys/clock.h"
#include "world.h"

enum { STEPS_MAX = 70, LIVES_MAX = 4 };

#define LOGS WORLD_LOGS_MAX

/* ---- steps ---- */

static void step_append(struct sim_log *l)
{
        struct chance *c = &world.chance;

        if (chance_one_in(c, 10))
                l->epoch++;
        world_append(l, chance_one_in(c, 2) ? 0 : 1 + (int64_t)chance_below(c, SIM_PRODUCERS));
}

static void step_delete_records(struct sim_log *l)
{
        world_delete_records(
                l, l->start_min + (int64_t)chance_below(&world.chance, (uint64_t)(l->end - l->start_min) / 2 + 1));
}

static void step_retain(struct sim_log *l)
{
        struct chance *c = &world.chance;

        if (chance_one_in(c, 2))
                world_retain(l, chance_below(c, 6000), -1);
        else
                world_retain(l, -1, chance_below(c, (uint64_t)l->end * 10 + 1));
}

static void step_truncate(struct sim_log *l)
{
        int64_t low = MAX2(l->start_max, l->end - 20);

        world_truncate(l, low + (int64_t)chance_below(&world.chance, (uint64_t)(l->end - low) + 1));
}

static void step_compact(struct sim_log *l)
{
        struct chance *c = &world.chance;

        world_compact(l, chance_one_in(c, 2) ? 1 << 16 : 24 * 256, 1 + chance_below(c, 6000));
}

static void step_tick(void)
{
        static const int64_t steps_ms[] = { 1, 20, 60, 200, 61000 };

        sim_clock_advance(steps_ms[chance_below(&world.chance, ARRAY_LEN(steps_ms))]);
        plog_store_tick(world.store, clock_mono_ms());
}

/* The store stops and starts, as it should, or a log alone. */
static void step_reopen(struct sim_log *l)
{
        bool all = chance_one_in(&world.chance, 3);

        sim_trace(l, all ? "all are closed and opened" : "is closed and opened");
        if (!all) {
                world_log_close(l);
                if (!disk_is_dead())
                        world_log_open(l);
                return;
        }
        world_close();
        if (!disk_is_dead())
                world_open();
}

static void step_log(struct sim_log *l)
{
        uint32_t what = chance_below(&world.chance, 100);

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
                world_assign_epoch(l);
        else if (what < 90)
                model_compare(l, &world.chance);
        else if (what < 95)
                step_reopen(l);
        else if (what < 96)
                world_delete(l);
        else if (l->compacted)
                step_compact(l);
}

static void step(void)
{
        struct sim_log *l = &world.logs[chance_below(&world.chance, LOGS)];
        uint32_t what = chance_below(&world.chance, 100);

        world.may_append = 2;
        if (what < 25)
                sim_pool_run_one(&world.chance);
        else if (what < 32)
                world_settle();
        else if (what < 38)
                step_tick();
        world.may_append = 0;
        if (what < 38)
                return;
        if (!world.store)
                return;
        if (!l->pl)
                world_log_open(l);
        else if (l->failed && chance_one_in(&world.chance, 4))
                step_reopen(l);
        else
                step_log(l);
}

/* ---- a run ---- */

static void run_init(const struct sim_plan *plan)
{
        struct chance *c = &world.chance;

        world_init(plan->seed, LOGS, plan->fault < 0);
        snprintf(world.again, sizeof world.again, "%s", sim_plan_command(plan));
        world.preallocate_step_len = chance_one_in(c, 2) ? 0 : 1000;
        for (int i = 0; i < LOGS; i++) {
                struct plog_conf *conf = &world.logs[i].conf;

                conf->segment_bytes += chance_below(c, 3) * 800;
                conf->index_interval_bytes = chance_one_in(c, 2) ? 1 : 500;
                conf->file_delete_delay_ms = chance_one_in(c, 2) ? 0 : 100;
        }
}

static void live(void)
{
        uint32_t steps = STEPS_MAX / 2 + chance_below(&world.chance, STEPS_MAX / 2);

        world_open();
        while (steps-- && !disk_is_dead() && world.store)
                step();
}

/* What ends the life: the power, the process, or nothing but time. */
static void die(void)
{
        bool dead = disk_is_dead();

        sim_trace(NULL, "the end of a life");
        if (!dead && chance_one_in(&world.chance, 2)) {
                world_close();
                dead = disk_is_dead();
        } else if (!dead) { /* between two changes */
                disk_kill();
                world_close();
        } else {
                world_close();
        }
        if (chance_one_in(&world.chance, 3)) {
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
        world.chance.state = chance_seed(plan->seed ^ world.chance.state, plan->variant);
        disk_reseed(chance_u64(&world.chance));
        die();
        for (uint32_t lives = chance_below(&world.chance, LIVES_MAX); lives; lives--) {
                disk_crash_after(1 + chance_below(&world.chance, chance_one_in(&world.chance, 2) ? 12 : 150));
                live();
                die();
        }
        live();
        world_close();
        world_open(); /* all in order after a clean stop */
        world_close();
        world_fini();
}

int main(void)
{
        return sim_main(run, 3, 1);
}
