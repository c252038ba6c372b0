/* Everything that is told comes from counters of the led partitions and of the store; see progress.h. */
#include "chronikd/progress.h"

#include <stdio.h>

#include "chronikd/node.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/systemd.h"

enum {
        TELL_MS = 1000,   /* between two states for systemd */
        LONG_MS = 2000,   /* from here on the operator is told as well */
        SAY_MS = 10000,   /* between two lines for the operator */
        EXTEND_MS = 60000 /* a disk may hang so long between two steps forward before systemd gives up */
};

struct unit {
        double bytes;
        const char *name;
};

static struct unit unit_for(uint64_t bytes)
{
        return bytes >= 1000000000 ? (struct unit){ 1e9, "GB" } : (struct unit){ 1e6, "MB" };
}

void progress_text(struct node *n, char ret_text[PROGRESS_TEXT_SIZE])
{
        unsigned wanted = atomic_load(&n->led.opens_wanted), done = atomic_load(&n->led.opens_done);
        struct plog_store_recovery r;
        struct unit u;

        plog_store_recovery(n->store, &r);
        u = unit_for(r.bytes_found);
        if (!wanted)
                snprintf(ret_text, PROGRESS_TEXT_SIZE, "starting");
        else if (!r.bytes_found)
                snprintf(ret_text, PROGRESS_TEXT_SIZE, "opening: %u of %u partitions", MIN2(done, wanted), wanted);
        else /* how much more the partitions have that were not looked at yet, nobody knows */
                snprintf(ret_text, PROGRESS_TEXT_SIZE, "recovering: %u of %u partitions, %.1f of at least %.1f %s read",
                         MIN2(done, wanted), wanted, (double)r.bytes_read / u.bytes, (double)r.bytes_found / u.bytes,
                         u.name);
}

void progress_begin(struct node *n)
{
        n->progress = (struct progress){ .begun_ms = clock_mono_ms(), .said_ms = n->progress.said_ms };
}

/* Nothing is known of the logs to open before the node is registered, which takes a controller. Waiting for others is no fault of this
 * node, so systemd is to wait as well, and no longer than this thread goes on. */
static void tell_waiting(struct node *n, int64_t now_mono_ms)
{
        static const char text[] = "waiting for a controller: none is active";
        struct progress *p = &n->progress;

        if (!p->waiting_ms)
                p->waiting_ms = p->said_ms = now_mono_ms;
        if (now_mono_ms - p->waiting_ms < LONG_MS || now_mono_ms - p->told_ms < TELL_MS)
                return;
        p->told_ms = now_mono_ms;
        systemd_status("%s", text);
        systemd_extend(EXTEND_MS);
        if (now_mono_ms - p->said_ms < SAY_MS)
                return;
        p->said_ms = now_mono_ms;
        diag(DIAG_NOTICE, "%s", text);
}

/* systemd waits longer only while there is progress: a start that hangs is ended. */
static void tell_systemd(struct node *n, const char *text)
{
        struct progress *p = &n->progress;
        struct plog_store_recovery r;
        uint64_t sum;

        plog_store_recovery(n->store, &r);
        sum = r.bytes_read + atomic_load(&n->led.opens_done);
        systemd_status("%s", text);
        if (sum > p->told_sum)
                systemd_extend(EXTEND_MS);
        p->told_sum = sum;
}

void progress_tick(struct node *n, int64_t now_mono_ms)
{
        struct progress *p = &n->progress;
        char text[PROGRESS_TEXT_SIZE];

        if (n->ready || n->stopping)
                return;
        if (!p->begun_ms)
                tell_waiting(n, now_mono_ms);
        if (!p->begun_ms || !atomic_load(&n->led.opens_wanted))
                return;
        progress_text(n, text);
        if (now_mono_ms - p->told_ms >= TELL_MS) {
                p->told_ms = now_mono_ms;
                tell_systemd(n, text);
        }
        if (now_mono_ms - p->begun_ms >= LONG_MS && now_mono_ms - p->said_ms >= SAY_MS) {
                p->said_ms = now_mono_ms;
                diag(DIAG_NOTICE, "%s", text);
        }
}

void progress_end(struct node *n)
{
        struct plog_store_recovery r;

        plog_store_recovery(n->store, &r);
        if (r.logs)
                diag(DIAG_NOTICE, "recovered %u partitions in %.2f s: %llu bytes read, %llu cut off", r.logs,
                     (double)(clock_mono_ms() - n->progress.begun_ms) / 1000, (unsigned long long)r.bytes_read,
                     (unsigned long long)r.bytes_cut);
}
