/* See machine.h. This file: the life of machines; process_end(), and what systemd and the machine's memory are asked. */
#include "machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "network.h"
#include "sys/memory.h"
#include "sys/process.h"
#include "sys/systemd.h"

enum { SYNC_NS = 800 * US, READ_NS = 60 * US };

static struct machine *machines[MACHINES_MAX];
static unsigned count;
static struct machine *here;

/* ---- what the disk takes ---- */

static void on_pause(enum disk_op op, bool before)
{
        struct machine *m = here;
        int64_t ns = op == DISK_OPS ? m->read_ns : m->sync_ns;

        /* A loop reads what is in the page cache. What waits in a sync or for a cold read is a thread of the pool, or a start. */
        if (!fiber_here() || !ns || (op == DISK_OPS && (fiber_loop(fiber_here()) || !chance_one_in(&m->chance, 4))))
                return;
        /* What is written while a sync goes on may be covered or not. */
        if (op == DISK_OPS || chance_one_in(&m->chance, 2) == before)
                fiber_sleep(ns / 2 + chance_below(&m->chance, (uint64_t)ns * 3 / 2));
}

static void on_died(void)
{
        machine_cut_power(here);
}

/* ---- life ---- */

struct machine *machine_new(const char *name, bool with_disk)
{
        struct machine *m = calloc(1, sizeof *m);

        assert(m && count < MACHINES_MAX);
        m->number = (int)count + 1;
        snprintf(m->name, sizeof m->name, "%s", name);
        ilist_init(&m->fibers);
        ilist_init(&m->held);
        m->chance.state = chance_u64(&sim_chance);
        if (with_disk)
                m->disk = disk_new(chance_u64(&sim_chance));
        m->base_mono_ns = SECOND * (1 + chance_below(&sim_chance, 1000));
        machine_set_disk(m, 0, 0);
        disk_hooks = (struct disk_hooks){ .pause = on_pause, .close_other = network_close, .died = on_died };
        return machines[count++] = m;
}

unsigned machines_count(void)
{
        return count;
}

struct machine *machine_of(unsigned i)
{
        return machines[i];
}

void machine_enter(struct machine *m)
{
        here = m;
        if (m && m->disk)
                disk_use(m->disk);
}

struct machine *machine_here(void)
{
        return here;
}

struct process {
        struct machine *machine;
        void (*main)(void *arg);
        void *arg;
};

static void process_main(void *arg)
{
        struct process p = *(struct process *)arg;

        free(arg);
        p.main(p.arg);
        machine_has_ended(p.machine);
}

void machine_start(struct machine *m, void (*main)(void *arg), void *arg)
{
        struct process *p = malloc(sizeof *p);

        assert(p && !m->is_up);
        *p = (struct process){ m, main, arg };
        m->is_up = true;
        m->lost_power = false;
        m->lives++;
        fiber_start(m, "main", process_main, p);
}

/* The process is no more. When it is the one that runs: does not return. */
static void end(struct machine *m, int status)
{
        m->is_up = false;
        m->exit_status = status;
        if (m->is_stopped)
                machine_continue(m);
        if (m->on_end)
                m->on_end(m);
        fiber_queue_wake_all(&m->ended);
        fibers_drop(m);
}

static void close_files(struct machine *m)
{
        struct machine *before = here;

        if (!m->disk)
                return;
        machine_enter(m);
        disk_close_all();
        machine_enter(before);
}

void machine_kill(struct machine *m)
{
        if (!m->is_up)
                return;
        network_end(m, true);
        close_files(m);
        end(m, -1);
}

void machine_cut_power(struct machine *m)
{
        struct machine *before = here;

        network_end(m, false);
        if (m->disk) {
                machine_enter(m);
                disk_close_all();
                disk_power_on();
                machine_enter(before);
        }
        m->base_ns = sim_now();
        m->base_mono_ns = SECOND;
        m->lost_power = true;
        if (m->is_up)
                end(m, -1);
}

void machine_has_ended(struct machine *m)
{
        struct machine *before = here;

        if (fibers_count(m) > 1)
                world_fail("%s: a thread outlives main()", m->name);
        if (network_open_count(m))
                world_fail("%s: %u sockets are open at the end", m->name, network_open_count(m));
        machine_enter(m);
        if (m->disk && disk_open_count())
                world_fail("%s: %u files are open at the end", m->name, disk_open_count());
        machine_enter(before);
        m->is_up = false;
        m->exit_status = 0;
        if (m->on_end)
                m->on_end(m);
        fiber_queue_wake_all(&m->ended);
}

void machine_stop(struct machine *m)
{
        m->is_stopped = true;
}

void machine_continue(struct machine *m)
{
        m->is_stopped = false;
        fibers_resume(m);
}

_Noreturn void process_end(int status)
{
        struct machine *m = here;

        world_say("%s ends by itself, status %d", m->name, status);
        network_end(m, true);
        close_files(m);
        end(m, status);
        abort(); /* not reached */
}

/* ---- clocks: see machine_clock.c ---- */

int64_t machine_mono_ns(const struct machine *m)
{
        int64_t passed = sim_now() - m->base_ns;

        return m->base_mono_ns + passed + passed / 1000000 * m->drift_ppm;
}

int64_t machine_when(const struct machine *m, int64_t mono_ns)
{
        int64_t left = mono_ns - machine_mono_ns(m);

        if (left <= 0)
                return sim_now();
        return sim_now() + left - left / 1000000 * m->drift_ppm + (m->drift_ppm ? left / 1000000 + MS : 0);
}

void machine_set_disk(struct machine *m, int64_t sync_ns, int64_t read_ns)
{
        m->sync_ns = sync_ns ? sync_ns : SYNC_NS;
        m->read_ns = read_ns ? read_ns : READ_NS;
}

void machine_set_drift(struct machine *m, int32_t ppm)
{
        m->base_mono_ns = machine_mono_ns(m);
        m->base_ns = sim_now();
        m->drift_ppm = ppm;
}

void machine_jump(struct machine *m, int64_t ms)
{
        m->wall_ahead_ms += ms;
}

/* ---- the rest of sys/ ---- */

bool memory_is_plenty(void)
{
        return chance_one_in(&here->chance, 2);
}

void systemd_ready(const char *status)
{
        (void)status;
}

void systemd_status(const char *fmt, ...)
{
        (void)fmt;
}

void systemd_extend(int64_t ms)
{
        (void)ms;
}

void systemd_stopping(void)
{
}

int64_t systemd_watchdog_ms(void)
{
        return 0;
}

void systemd_watchdog_ping(void)
{
}
