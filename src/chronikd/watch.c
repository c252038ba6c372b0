/* See watch.h. */
#include "chronikd/watch.h"

#include <stdio.h>

#include "sys/diag.h"
#include "sys/systemd.h"

enum {
        EVERY_MS = 5000,     /* at most, between two looks */
        LOOP_MS_MAX = 15000, /* without a watchdog */
        WHY_SIZE = 160,
};

/* @why: which thread hangs. */
static bool is_stuck(const struct watch *w, char why[WHY_SIZE])
{
        char name[LOOP_NAME_SIZE];
        int64_t ms = loops_silent_ms(name);

        if (ms > w->loop_ms_max) {
                snprintf(why, WHY_SIZE, "the thread %s has taken nothing up for %lld s", name, (long long)ms / 1000);
                return true;
        }
        ms = iopool_silent_ms(w->pool, name);
        if (!w->disk_ms_max || ms <= w->disk_ms_max)
                return false;
        snprintf(why, WHY_SIZE, "the thread %s has been waiting for a disk for %lld s", name, (long long)ms / 1000);
        return true;
}

static void on_timer(struct loop_timer *t)
{
        struct watch *w = container_of(t, struct watch, timer);
        bool was_stuck = w->stuck;
        char why[WHY_SIZE];

        w->stuck = is_stuck(w, why);
        if (w->stuck && !was_stuck)
                diag(DIAG_ERROR, "this node hangs: %s%s", why, w->pings ? "; the watchdog will end it" : "");
        if (!w->stuck && was_stuck)
                diag(DIAG_WARN, "this node goes on");
        if (!w->stuck && w->pings)
                systemd_watchdog_ping();
        loop_timer_start(t, w->every_ms);
}

void watch_start(struct watch *w, struct loop *loop, struct iopool *pool, int64_t disk_ms_max)
{
        int64_t half_ms = systemd_watchdog_ms();

        *w = (struct watch){ .pool = pool,
                             .pings = half_ms,
                             .every_ms = half_ms ? MIN2((half_ms + 1) / 2, (int64_t)EVERY_MS) : EVERY_MS,
                             .loop_ms_max = half_ms ? half_ms : LOOP_MS_MAX,
                             .disk_ms_max = disk_ms_max };
        loop_timer_init(&w->timer, loop, on_timer);
        loop_timer_start(&w->timer, 0);
}
