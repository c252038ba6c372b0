/* Memory of the machine, and of the control groups that the process is in. Any thread. */
#pragma once

#include <stdbool.h>

/* Is there memory that nobody uses, not even the page cache: at least 1/16 of the machine's, and of what the control group
 * and those above it may have? Then what is read from the disk may stay in the page cache without driving anything out.
 * The kernel is asked at most once in 10 ms; reads a few small files of /proc and /sys. */
bool memory_is_plenty(void);
