/* Does the node get on? As long as every loop takes its mail and no thread of the I/O pool hangs in a call, systemd's watchdog is told
 * so; when one does not, it is not, and the unit ends the process and starts it anew (WatchdogSec). On the main loop. */
#pragma once

#include "sys/iopool.h"

struct watch {
        struct iopool *pool;
        struct loop_timer timer;
        bool pings; /* systemd waits for them */
        bool stuck;
        int64_t every_ms, loop_ms_max, disk_ms_max;
};

/* Watch until the loop ends. @disk_ms_max: as the parameter storage.stuck_ms. */
void watch_start(struct watch *w, struct loop *loop, struct iopool *pool, int64_t disk_ms_max);
