/* Whole nodes on simulated machines. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "network.h"
#include "nodes.h"

static void world_main(void *arg)
{
        (void)arg;
        nodes_new(1);
        nodes[0].is_wanted = true;
        if (!nodes_wait_ready(SECOND * 60))
                world_fail("not ready");
        fiber_sleep(SECOND * 600);
        node_host_stop(&nodes[0]);
        while (nodes[0].machine->is_up)
                fiber_sleep(SECOND);
}

int main(void)
{
        uint64_t seed = getenv("SIM_SEED") ? strtoull(getenv("SIM_SEED"), NULL, 0) : 1;

        sim_chance.state = seed;
        sim_run(seed, machine_new("world", false), world_main, NULL);
        fprintf(stderr, "%.1f s simulated, %llu turns, hash %016llx\n", (double)sim_now() / 1e9,
                (unsigned long long)sim_turns(), (unsigned long long)world_hash());
        return 0;
}
