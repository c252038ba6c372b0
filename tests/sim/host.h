/* What stands in for the rest of sys/ when a simulation runs on one thread: clock and chance (clock.c), the I/O pool
 * (pool.c), messages for people (diag.c). Each defines every function of the header of the same name, so that the linker
 * takes nothing of the real one. */
#pragma once

#include "chance.h"
#include "sys/iopool.h"

/* ---- clock.c ---- */

/* Both clocks begin again at the same moment; random_u64() and its like follow from @seed. */
void sim_clock_reset(uint64_t seed);
/* Time goes on. */
void sim_clock_advance(int64_t ms);

/* ---- pool.c ---- */

/* Jobs wait until the test runs them. They begin nearly in order: one of the first few, as with several threads.
 * Run one. False: none waits. */
bool sim_pool_run_one(struct chance *c);
/* Run until none waits, those that jobs submit included. */
void sim_pool_run_all(struct chance *c);

/* ---- diag.c ---- */

/* Forget what was said. */
void sim_diag_reset(void);
/* How many errors (not warnings or less) were said since. */
unsigned sim_diag_errors(void);
/* Write the last messages to standard error. */
void sim_diag_print(void);
