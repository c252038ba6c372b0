/* Goal: a crash costs the next start no more reading than was asked for, whichever logs are written to and whichever are not.
 * Method: many logs and a small bound; a copy of the folder is what a crash leaves, and its recovery is counted. */
#include "plog-fixture.h"

enum { LOGS = 20, BOUND = 1 << 20, VALUE_LEN = 50000 };

struct many {
        struct fixture f;
        struct plog *logs[LOGS];
};

static void name_of(int i, char ret_name[16])
{
        snprintf(ret_name, 16, "t-%d", i);
}

static void many_open(struct many *m)
{
        char name[16];

        for (int i = 0; i < LOGS; i++) {
                name_of(i, name);
                m->logs[i] = fixture_open(&m->f, name);
        }
}

static void many_init(struct many *m)
{
        fixture_init(&m->f);
        m->f.store = plog_store_close(m->f.store);
        m->f.recovery_bytes_max = BOUND;
        m->f.conf.segment_bytes = 100 << 20;
        fixture_open_store(&m->f);
        many_open(m);
}

static void many_fini(struct many *m)
{
        for (int i = 0; i < LOGS; i++)
                plog_close(m->logs[i]);
        fixture_fini(&m->f);
}

/* @rounds batches to each of the first @count logs, flushed. */
static void many_append(struct many *m, int count, int rounds)
{
        for (int r = 0; r < rounds; r++) {
                for (int i = 0; i < count; i++)
                        append_simple(m->logs[i], 1, VALUE_LEN, (uint8_t)i);
                for (int i = 0; i < count; i++)
                        wait_durable(m->logs[i]);
        }
}

/* Crash now: how many bytes are read then. Everything must be there. */
static uint64_t many_crash(struct many *m)
{
        struct plog_store_recovery recovery;
        struct many after = { 0 };
        char crashed[300];

        snprintf(crashed, sizeof crashed, "%.250s.crash", m->f.dir);
        copy_tree(m->f.dir, crashed);
        fixture_init_at(&after.f, crashed);
        after.f.conf.segment_bytes = 100 << 20;
        many_open(&after);
        plog_store_recovery(after.f.store, &recovery);
        CU_ASSERT_EQUAL(recovery.bytes_read, recovery.bytes_found);
        CU_ASSERT_EQUAL(recovery.bytes_cut, 0);
        for (int i = 0; i < LOGS; i++)
                CU_ASSERT_EQUAL(ends_of(after.logs[i]).durable_end_offset, ends_of(m->logs[i]).end_offset);
        many_fini(&after);
        return recovery.bytes_read;
}

/* As the owner of the store does at @now_ms, until nothing changes any more. */
static void tick_at(struct many *m, int64_t now_ms)
{
        for (int i = 0; i < 20; i++) {
                plog_store_tick(m->f.store, now_ms);
                usleep(10000);
        }
}

static void tick(struct many *m)
{
        tick_at(m, clock_mono_ms());
}

/* Logs that are written to look after it themselves. */
static void test_written(void)
{
        struct many m;

        many_init(&m);
        many_append(&m, LOGS, 2);
        CU_ASSERT(many_crash(&m) > BOUND / 2); /* below the bound nothing is done, a new log's first checkpoint apart */
        many_append(&m, LOGS, 10);
        CU_ASSERT(many_crash(&m) < BOUND + BOUND / 2);
        many_append(&m, 3, 40);
        CU_ASSERT(many_crash(&m) < BOUND + BOUND / 2);
        many_fini(&m);
}

/* Many that were written to a little, and then no more: the tick asks for their checkpoints. */
static void test_idle(void)
{
        struct many m;

        many_init(&m);
        many_append(&m, LOGS, 4);
        tick(&m);
        CU_ASSERT(many_crash(&m) <= BOUND);
        many_fini(&m);
}

/* What is below the bound has its checkpoint after a while. */
static void test_old(void)
{
        struct many m;
        int64_t begun_ms;

        many_init(&m);
        begun_ms = clock_mono_ms();
        many_append(&m, LOGS, 1);
        many_append(&m, 1, 2);
        CU_ASSERT(many_crash(&m) > 0);
        tick_at(&m, begun_ms + 59000); /* however long the machine took for the above */
        CU_ASSERT(many_crash(&m) > 0);
        tick_at(&m, clock_mono_ms() + 61000);
        CU_ASSERT_EQUAL(many_crash(&m), 0);
        many_fini(&m);
}

/* Closed and deleted logs no longer count. */
static void test_gone(void)
{
        struct many m;

        many_init(&m);
        many_append(&m, 10, 3);
        for (int i = 0; i < 10; i++) {
                char name[16];

                CU_ASSERT_EQUAL(plog_delete(m.logs[i]), 0);
                name_of(i, name);
                m.logs[i] = fixture_open(&m.f, name);
        }
        for (int i = 10; i < LOGS; i++) { /* together more than the bound */
                append_simple(m.logs[i], 1, VALUE_LEN, 1);
                wait_durable(m.logs[i]);
                append_simple(m.logs[i], 1, VALUE_LEN / 2, 1);
                wait_durable(m.logs[i]);
        }
        tick(&m);
        /* Were the deleted ones counted, all others would have been asked for a checkpoint and nothing were left to read. How
         * much is left depends on when the first checkpoint of each log came. */
        CU_ASSERT(many_crash(&m) >= VALUE_LEN / 2);
        many_fini(&m);
}

static _Atomic int syncs_of_checkpoints;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
        char link[64], path[1200] = "";

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        (void)!readlink(link, path, sizeof path - 1);
        syncs_of_checkpoints += strstr(path, "/checkpoint") != NULL;
        return __real_fdatasync(fd);
}

/* A power cut takes what the page cache holds: a checkpoint is on the disk for every 8 MiB or so, and not for much less. */
static void test_settled(void)
{
        struct many m;

        many_init(&m);
        syncs_of_checkpoints = 0;
        many_append(&m, 1, 7 * 20);
        CU_ASSERT(syncs_of_checkpoints <= 7); /* one for each MiB; each syncs the one before, and no more */
        many_append(&m, 1, 50 * 20);
        CU_ASSERT(syncs_of_checkpoints >= 5 && syncs_of_checkpoints <= 7 + 50 + 7);
        many_fini(&m);
}

static const struct unit_case cases[] = {
        { "checkpoints reach the disk", test_settled },   { "logs that are written to keep the bound", test_written },
        { "logs that are idle keep it", test_idle },      { "what is old has a checkpoint", test_old },
        { "logs that are gone do not count", test_gone },
};
UNIT_MAIN("plog/checkpoint", cases)
