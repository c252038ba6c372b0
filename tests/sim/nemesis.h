/* What befalls the machines, the disks, the network and the clocks while clients work. */
#pragma once

#include "nodes.h"

struct nemesis_counts {
        uint64_t kills, power_cuts, crashes_in_write, stops, pauses, cuts, one_way_cuts, isolations, blackouts, resets,
                slow_disks, slow_networks, sync_fails, write_fails, full_disks, jumps, drifts;
};
extern struct nemesis_counts nemesis_counts;

/* Begin on a fiber of the world's; does its work until nemesis_stop(). @clients: where the clients are. */
void nemesis_start(struct machine *world, uint64_t seed);
/* Nothing more begins; all that is wrong is put right. On a fiber. */
void nemesis_stop(void);
