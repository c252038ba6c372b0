/* Which runs there are, and saying which one failed: shared by the simulations. A run is a function of its plan. */
#pragma once

#include "disk.h"

struct sim_plan {
        uint64_t seed;
        int fault;        /* enum disk_op that fails; -1: a crash instead */
        uint64_t nth;     /* operation of that kind, or change, at which it happens; 0: it does not */
        int error;        /* negative errno */
        uint64_t variant; /* what chance makes of it */
};

/* The command that does this run again. Static memory. */
const char *sim_plan_command(const struct sim_plan *plan);

/* One run. @ret_changes, @ret_counts: how much there was in its first life. It ends the program when something is wrong. */
typedef void sim_run_fn(const struct sim_plan *plan, uint64_t *ret_changes, uint64_t ret_counts[DISK_OPS]);

/* SIM_SEED=SEED:FAULT:NTH:ERROR:VARIANT: that run. SIM_S=SECONDS: runs with new seeds for so long. Otherwise a short course
 * that is the same every time: all crash points of so many seeds, all failures of others. Return: the program's exit status. */
int sim_main(sim_run_fn *run, unsigned crash_seeds, unsigned fault_seeds);
