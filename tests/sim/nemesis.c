/* See nemesis.h. One thing after the other, with a while between them; several may go on at the same time. */
#include "nemesis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "history.h"
#include "network.h"

#define STOP_NS (SECOND * 200) /* no orderly stop takes longer, whatever else happens */

struct nemesis_counts nemesis_counts;
static struct chance chance;
static bool over;
static unsigned running;
static int64_t pace_ns;

static struct node_host *some_node(void)
{
        return &nodes[chance_below(&chance, nodes_count)];
}

static void wait_up_to(int64_t ns)
{
        int64_t until_ns = sim_now() + (int64_t)chance_below(&chance, (uint64_t)ns);

        while (!over && sim_now() < until_ns)
                fiber_sleep(MIN2(until_ns - sim_now(), SECOND / 2));
}

static void with_disk(struct machine *m, void (*fn)(void *arg), void *arg)
{
        struct machine *before = machine_here();

        machine_enter(m);
        fn(arg);
        machine_enter(before);
}

/* ---- processes ---- */

static void kill_process(struct node_host *h)
{
        nemesis_counts.kills++;
        world_say("kill %s", h->machine->name);
        machine_kill(h->machine);
}

static void cut_power(struct node_host *h)
{
        nemesis_counts.power_cuts++;
        world_say("power of %s", h->machine->name);
        node_host_lost(h);
        machine_cut_power(h->machine);
}

static void cut_power_of_all(struct node_host *h)
{
        (void)h;
        nemesis_counts.blackouts++;
        world_say("power of all nodes");
        for (unsigned i = 0; i < nodes_count; i++) {
                node_host_lost(&nodes[i]);
                machine_cut_power(nodes[i].machine);
        }
}

static void set_crash(void *arg)
{
        disk_crash_after(*(uint64_t *)arg);
}

/* In the middle of a change of the disk. */
static void crash_in_write(struct node_host *h)
{
        uint64_t after = 1 + chance_below(&chance, 200);

        nemesis_counts.crashes_in_write++;
        world_say("power of %s after %u more changes of its disk", h->machine->name, (unsigned)after);
        with_disk(h->machine, set_crash, &after);
}

static void stop_in_order(struct node_host *h)
{
        int64_t until_ns = sim_now() + STOP_NS;

        nemesis_counts.stops++;
        world_say("stop %s", h->machine->name);
        node_host_stop(h);
        while (h->machine->is_up) {
                if (sim_now() > until_ns)
                        world_fail("%s does not stop", h->machine->name);
                fiber_queue_wait(&h->machine->ended, sim_now() + SECOND);
        }
        wait_up_to(SECOND * 5);
        h->is_wanted = true;
}

static void pause_process(struct node_host *h)
{
        if (!h->machine->is_up || h->machine->is_stopped)
                return;
        nemesis_counts.pauses++;
        world_say("pause %s", h->machine->name);
        machine_stop(h->machine);
        wait_up_to(chance_one_in(&chance, 3) ? SECOND * 30 : SECOND * 3);
        if (h->machine->is_stopped)
                machine_continue(h->machine);
        world_say("continue %s", h->machine->name);
}

/* ---- network ---- */

static void cut(struct node_host *h)
{
        struct machine *other = machine_of(1 + chance_below(&chance, machines_count() - 1));
        bool both = chance_one_in(&chance, 2), from = chance_one_in(&chance, 2);

        if (other == h->machine)
                return;
        nemesis_counts.cuts += both;
        nemesis_counts.one_way_cuts += !both;
        world_say("cut %s%s-%s%s", h->machine->name, both || !from ? "<" : "", both || from ? ">" : "", other->name);
        if (both || from)
                network_cut(h->machine, other, true);
        if (both || !from)
                network_cut(other, h->machine, true);
        wait_up_to(SECOND * 20);
        network_cut(h->machine, other, false);
        network_cut(other, h->machine, false);
        world_say("heal %s %s", h->machine->name, other->name);
}

/* Cut off from the other nodes, in one direction or both, while clients reach it. */
static void isolate(struct node_host *h)
{
        bool from = !chance_one_in(&chance, 3), to = !from || chance_one_in(&chance, 2);

        nemesis_counts.isolations++;
        world_say("isolate %s%s%s", from ? "" : ">", h->machine->name, to ? "" : ">");
        for (unsigned i = 0; i < nodes_count; i++) {
                if (&nodes[i] == h)
                        continue;
                network_cut(h->machine, nodes[i].machine, from);
                network_cut(nodes[i].machine, h->machine, to);
        }
        wait_up_to(SECOND * 15);
        for (unsigned i = 0; i < nodes_count; i++) {
                network_cut(h->machine, nodes[i].machine, false);
                network_cut(nodes[i].machine, h->machine, false);
        }
        world_say("heal %s", h->machine->name);
}

static void reset(struct node_host *h)
{
        nemesis_counts.resets += network_reset_one(h->machine);
}

static void slow_network(struct node_host *h)
{
        (void)h;
        nemesis_counts.slow_networks++;
        network_set_latency(MS * (1 + chance_below(&chance, 60)));
        wait_up_to(SECOND * 10);
        network_set_latency(150 * US);
}

/* ---- disks ---- */

static void slow_disk(struct node_host *h)
{
        int64_t sync_ns = MS * (int64_t)(5 + chance_below(&chance, chance_one_in(&chance, 3) ? 2000 : 50));

        nemesis_counts.slow_disks++;
        world_say("slow disk of %s", h->machine->name);
        machine_set_disk(h->machine, sync_ns, MS * (int64_t)(1 + chance_below(&chance, 20)));
        wait_up_to(SECOND * 15);
        machine_set_disk(h->machine, 0, 0);
}

static void fail_sync(void *arg)
{
        (void)arg;
        disk_fail(chance_one_in(&chance, 3) ? DISK_SYNC_DIR : DISK_SYNC, 1 + chance_below(&chance, 20), -EIO);
}

static void fail_write(void *arg)
{
        (void)arg;
        disk_fail(DISK_WRITE, 1 + chance_below(&chance, 20), -EIO);
}

static void fail_none(void *arg)
{
        (void)arg;
        disk_fail_none();
}

/* What a node does not trust any more after that is cut off when it starts again, which an operator sees to. */
static void failing_disk(struct node_host *h, bool in_sync)
{
        nemesis_counts.sync_fails += in_sync;
        nemesis_counts.write_fails += !in_sync;
        world_say("a %s of %s will fail", in_sync ? "sync" : "write", h->machine->name);
        history_unsure(true);
        with_disk(h->machine, in_sync ? fail_sync : fail_write, NULL);
        wait_up_to(SECOND * 10);
        with_disk(h->machine, fail_none, NULL);
        node_host_lost(h);
        if (chance_one_in(&chance, 2))
                machine_kill(h->machine);
        else
                stop_in_order(h);
        history_unsure(false);
}

static void fail_sync_of(struct node_host *h)
{
        failing_disk(h, true);
}

static void fail_write_of(struct node_host *h)
{
        failing_disk(h, false);
}

static void fill(void *arg)
{
        disk_set_full(*(bool *)arg);
}

static void full_disk(struct node_host *h)
{
        bool full = true;

        nemesis_counts.full_disks++;
        world_say("full disk of %s", h->machine->name);
        history_unsure(true);
        with_disk(h->machine, fill, &full);
        h->machine->store_full = chance_one_in(&chance, 2);
        wait_up_to(SECOND * 15);
        full = h->machine->store_full = false;
        with_disk(h->machine, fill, &full);
        world_say("room on the disk of %s", h->machine->name);
        node_host_lost(h);
        machine_kill(h->machine);
        history_unsure(false);
}

/* ---- clocks ---- */

static void jump(struct node_host *h)
{
        nemesis_counts.jumps++;
        machine_jump(h->machine, (int64_t)chance_below(&chance, 2400000) - 1200000);
        wait_up_to(SECOND * 20);
        h->machine->wall_ahead_ms = 0;
}

static void drift(struct node_host *h)
{
        nemesis_counts.drifts++;
        machine_set_drift(h->machine, (int32_t)chance_below(&chance, 2000) - 1000);
}

/* ---- one at a time ---- */

/* The last two are for several nodes. */
enum { KINDS_ALONE = 14 };
static void (*const kinds[])(struct node_host *h) = {
        kill_process, cut_power,    crash_in_write, stop_in_order, pause_process, cut,   reset,   slow_network,
        slow_disk,    fail_sync_of, fail_write_of,  full_disk,     jump,          drift, isolate, cut_power_of_all,
};
static unsigned weights[ARRAY_LEN(kinds)];

static void once(void *arg)
{
        struct node_host *h = some_node();
        unsigned sum = 0, pick, kind = 0;

        (void)arg;
        for (unsigned i = 0; i < ARRAY_LEN(weights); i++)
                sum += weights[i];
        pick = chance_below(&chance, sum);
        while (pick >= weights[kind])
                pick -= weights[kind++];
        kinds[kind](h);
        running--;
}

static void go_on(void *arg)
{
        struct machine *world = arg;

        running++;
        while (!over) {
                wait_up_to(pace_ns);
                if (over)
                        break;
                running++;
                fiber_start(world, "nemesis", once, NULL);
        }
        running--;
}

void nemesis_start(struct machine *world, uint64_t seed)
{
        chance.state = seed;
        /* Each run has things of its own that happen more often or not at all. */
        for (unsigned i = 0; i < (nodes_count > 1 ? ARRAY_LEN(kinds) : KINDS_ALONE); i++)
                weights[i] = chance_one_in(&chance, 3) ? 0 : 1 + chance_below(&chance, 8);
        weights[0] += 1; /* so that something happens */
        pace_ns = SECOND * (2 + chance_below(&chance, 30));
        fiber_start(world, "nemesis", go_on, world);
}

void nemesis_stop(void)
{
        bool full = false;

        over = true;
        while (running)
                fiber_sleep(SECOND / 10);
        network_heal_all();
        for (unsigned i = 0; i < nodes_count; i++) {
                uint64_t none = 0;

                with_disk(nodes[i].machine, set_crash, &none);
                with_disk(nodes[i].machine, fail_none, NULL);
                with_disk(nodes[i].machine, fill, &full);
                machine_set_disk(nodes[i].machine, 0, 0);
                nodes[i].is_wanted = true;
        }
}
