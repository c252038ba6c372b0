/* Memory that runs out once, for the code under test only: the simulation's own files are compiled to call the real functions
 * (meson.build). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The @n-th allocation from now on fails (1: the next one), once; 0: none. While the disk is held none does. */
void alloc_fail(uint64_t n);
/* Has that happened? */
bool alloc_has_failed(void);
