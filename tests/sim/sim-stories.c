/* Goal: what once went wrong stays mended. Method: each story is a short piece of work with one log, on the disk in memory and
 * beside the model. The power goes, or the process ends, after each of its changes; another start, at once followed by
 * another crash, or in the middle of which it comes; a third start, from which work goes on. And each operation of each kind fails once, and
 * each allocation. Of what was not
 * synced all is lost, or some, or the data, or the names. The story that is wrong is named:
 * `sim-stories NAME` runs it alone. What each story found is told beside it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "sys/clock.h"
#include "world.h"

/* ---- stories ---- */

static void put(int count, int64_t producer)
{
        struct sim_log *l = &world.logs[world.logs_count - 1];

        while (count-- > 0 && l->pl && !disk_is_dead())
                world_append(l, producer);
}

static bool gone(void)
{
        const struct sim_log *l = &world.logs[world.logs_count - 1];

        return !l->pl || l->failed || disk_is_dead();
}

static void settle(void)
{
        if (world.store && !disk_is_dead())
                world_settle();
}

/* The data folder's own name was not synced. partition.meta, torn before its first sync, kept a log from being opened in which
 * nothing had been promised. After a killed process, names in the page cache counted as durable. */
static void first_batch(void)
{
        put(1, 1);
        settle();
        put(1, 2);
        settle();
}

/* Footers were written before names and epochs were durable: recovery believed them and did not look for the epochs, or
 * took the second of two new segments for what is left of promised ones. Segments that recovery sealed had no snapshot. */
static void two_segments_in_one_flush(void)
{
        for (int i = 0; i < 5; i++) {
                world.logs[0].epoch++;
                put(2, 1 + i % 2);
        }
        settle();
}

/* A torn checkpoint lay over the last one that was synced, and the start moved back. A killed process left a start in the
 * page cache, upon which the next one removed segments. Epochs moved before the start did. Segments that came back from
 * below the start were missed as lost ones. */
static void delete_records(void)
{
        struct sim_log *l = &world.logs[0];

        put(6, 1);
        settle();
        if (gone())
                return;
        world_delete_records(l, l->end / 2);
        sim_clock_advance(61000);
        put(2, 2);
        settle();
        sim_clock_advance(61000);
        put(1, 2);
        settle();
        if (gone())
                return;
        world_delete_records(l, l->end - 1);
        world_retain(l, 0, -1);
}

/* The checkpoint of a truncation had time zero as the largest one: look-ups by time skipped records. Segments that were cut,
 * or their indexes, came back and vouched for new ones. Epochs of cut batches hid those of new ones. */
static void truncation(void)
{
        struct sim_log *l = &world.logs[0];

        put(5, 1);
        l->epoch++;
        put(5, 1);
        settle();
        if (gone())
                return;
        world_truncate(l, l->end / 2);
        put(3, 2);
        settle();
        if (gone())
                return;
        world_truncate(l, l->end / 2);
        l->epoch++;
        put(3, 2);
        settle();
}

/* Producers were forgotten when the log was cut back to where retention had left it, or when the only snapshot that knew of
 * them had gone with the checkpoint before. */
static void retention_of_all(void)
{
        struct sim_log *l = &world.logs[0];

        put(4, 1);
        put(4, 2);
        settle();
        if (gone())
                return;
        world_retain(l, -1, 0);
        put(4, 3);
        settle();
        if (gone())
                return;
        world_truncate(l, l->start_max);
        put(2, 3);
        settle();
        if (!gone())
                world_retain(l, 0, -1);
}

/* An epoch that was assigned and has no batch yet. */
static void epochs(void)
{
        struct sim_log *l = &world.logs[0];

        put(2, 1);
        if (!gone())
                world_assign_epoch(l);
        settle();
        put(1, 1);
        settle();
        if (gone())
                return;
        world_assign_epoch(l);
        world_log_close(l);
        if (!disk_is_dead())
                world_log_open(l);
}

/* A journal that could not be synced stayed, and a later start took it for half done. */
static void compaction(void)
{
        struct sim_log *l = &world.logs[2];

        put(14, 1);
        settle();
        while (!gone() && world_compact(l, 1 << 16, 700))
                put(1, 0);
        put(8, 0);
        settle();
        while (!gone() && world_compact(l, 1 << 16, 1 << 20))
                ;
}

static void deletion(void)
{
        struct sim_log *l = &world.logs[0];

        put(4, 1);
        settle();
        if (!gone())
                world_delete(l);
        put(2, 1);
        settle();
}

static void clean_stop(void)
{
        put(3, 1);
        settle();
        world_close();
        if (!disk_is_dead())
                world_open();
        put(3, 1);
        settle();
}

/* Bytes that were cut back for want of room came back behind the end of a sealed segment (each write fails once). Data that a
 * failed sync had left in the page cache was read at the next start and promised (each sync fails once). */
static void many_flushes(void)
{
        for (int i = 0; i < 12; i++) {
                put(1, i % 3);
                settle();
        }
}

static const struct story {
        const char *name;
        int logs_count;
        void (*work)(void);
} stories[] = {
        { "first-batch", 1, first_batch },
        { "two-segments-in-one-flush", 1, two_segments_in_one_flush },
        { "delete-records", 1, delete_records },
        { "truncation", 1, truncation },
        { "retention-of-all", 1, retention_of_all },
        { "epochs", 1, epochs },
        { "compaction", 3, compaction },
        { "deletion", 1, deletion },
        { "clean-stop", 1, clean_stop },
        { "many-flushes", 1, many_flushes },
};

/* ---- ends of a life ---- */

enum { ALL_LOST, SOME_LOST, KILLED, NAMES_LOST, DATA_LOST };

static const struct end {
        const char *name;
        bool killed; /* only the process */
        enum disk_temper data, names;
        bool torn;
} ends[] = {
        [ALL_LOST] = { "all lost", false, DISK_LOSE_ALL, DISK_LOSE_ALL, false },
        [SOME_LOST] = { "some lost", false, DISK_KEEP_SOME, DISK_KEEP_SOME, true },
        [KILLED] = { "killed", true, 0, 0, false },
        [NAMES_LOST] = { "names lost", false, DISK_KEEP_ALL, DISK_LOSE_ALL, false },
        [DATA_LOST] = { "data lost", false, DISK_LOSE_ALL, DISK_KEEP_ALL, false },
};

enum { SECOND_ENDS = 2 };

static void end_life(const struct end *e)
{
        if (!disk_is_dead())
                disk_kill();
        world_close();
        if (e->killed)
                disk_restart();
        else
                disk_power_on_as(e->data, e->names, e->torn);
        sim_trace(NULL, "%s", e->name);
}

/* What comes after the first life: two starts more. @nth: change of the second start at which it ends; 0: it does not, but
 * right after. Return: was there such a change? */
static bool live_on(const struct end *second, uint64_t nth)
{
        bool reached;

        disk_crash_after(nth);
        world_open();
        reached = disk_is_dead();
        disk_crash_after(0);
        put(1, 2);
        end_life(second);
        world_open();
        put(3, 3);
        settle();
        world_close();
        world_open();
        world_close();
        world_fini();
        return reached;
}

static void begin(const struct story *s, bool pure, const char *how, uint64_t nth)
{
        world_init(nth, s->logs_count, pure);
        snprintf(world.again, sizeof world.again, "build/tests/sim/sim-stories %s (%s, %llu)", s->name, how,
                 (unsigned long long)nth);
}

/* Return: is there a change number @nth? */
static bool crash(const struct story *s, const struct end *first, const struct end *second, uint64_t nth)
{
        bool reached;
        char how[100];

        snprintf(how, sizeof how, "%s, then %s", first->name, second->name);
        begin(s, true, how, nth);
        disk_crash_after(nth);
        world_open();
        if (!disk_is_dead())
                s->work();
        reached = disk_is_dead();
        end_life(first);
        live_on(second, 0);
        return reached;
}

/* The process ends, and in the middle of the next start the power goes. Return: is there a change number @start_nth in that
 * start? */
static bool crash_in_start(const struct story *s, uint64_t nth, uint64_t start_nth)
{
        char how[100];

        snprintf(how, sizeof how, "killed, then a crash after change %llu of the next start",
                 (unsigned long long)start_nth);
        begin(s, true, how, nth);
        disk_crash_after(nth);
        world_open();
        if (!disk_is_dead())
                s->work();
        end_life(&ends[KILLED]);
        return live_on(&ends[SOME_LOST], start_nth);
}

static bool fail(const struct story *s, enum disk_op op, int error, const struct end *first, uint64_t nth)
{
        bool reached;
        char how[100];

        snprintf(how, sizeof how, "%s fails, then %s", disk_op_name(op), first->name);
        begin(s, false, how, nth);
        disk_fail(op, nth, error);
        world_open();
        if (world.store)
                s->work();
        reached = disk_has_failed();
        end_life(first);
        live_on(&ends[ALL_LOST], 0);
        return reached;
}

static bool run_out(const struct story *s, const struct end *first, uint64_t nth)
{
        bool reached;
        char how[100];

        snprintf(how, sizeof how, "an allocation fails, then %s", first->name);
        begin(s, false, how, nth);
        world.may_fail = true;
        alloc_fail(nth);
        world_open();
        if (world.store)
                s->work();
        reached = alloc_has_failed();
        alloc_fail(0);
        world.may_fail = false;
        end_life(first);
        live_on(&ends[ALL_LOST], 0);
        return reached;
}

static int tell(const struct story *s)
{
        int runs = 0;

        for (size_t i = 0; i < ARRAY_LEN(ends); i++)
                for (size_t k = 0; k < SECOND_ENDS; k++)
                        for (uint64_t n = 1; crash(s, &ends[i], &ends[k], n); n++)
                                runs++;
        for (uint64_t n = 1; crash(s, &ends[KILLED], &ends[SOME_LOST], n); n++)
                for (uint64_t k = 1; crash_in_start(s, n, k); k++)
                        runs++;
        for (int op = 0; op < DISK_OPS; op++)
                for (size_t i = 0; i < ARRAY_LEN(ends); i += op == DISK_WRITE ? 1 : 2)
                        for (uint64_t n = 1; fail(s, (enum disk_op)op, op == DISK_WRITE ? -ENOSPC : -EIO, &ends[i], n);
                             n++)
                                runs++;
        for (uint64_t n = 1; run_out(s, &ends[n % ARRAY_LEN(ends)], n); n++)
                runs++;
        printf("%s: %d runs\n", s->name, runs);
        fflush(stdout);
        return runs;
}

int main(int argc, char **argv)
{
        int runs = 0;

        for (size_t i = 0; i < ARRAY_LEN(stories); i++)
                if (argc < 2 || !strcmp(argv[1], stories[i].name))
                        runs += tell(&stories[i]);
        return runs ? 0 : 1;
}
