/* Goal: what is appended is read back, over rolls and reopening, and the three ends say the truth. Method: a real folder. */
#include <pthread.h>
#include <stdatomic.h>

#include "plog-fixture.h"

static void test_append_read(void)
{
        struct fixture f;
        struct plog *pl;
        int64_t next;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(read_all(pl, 0, 1 << 20, &next), 0);
        CU_ASSERT_EQUAL(append_simple(pl, 3, 100, 'a'), 0);
        CU_ASSERT_EQUAL(append_simple(pl, 2, 10, 'b'), 3);
        CU_ASSERT_EQUAL(read_all(pl, 0, 1 << 20, &next), 5);
        CU_ASSERT_EQUAL(next, 5);
        CU_ASSERT_EQUAL(read_all(pl, 1, 1, &next), 5); /* inside a batch: that batch, whole */
        wait_durable(pl);
        CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, 5);
        plog_close(pl);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, 5);
        CU_ASSERT_EQUAL(read_all(pl, 0, 1 << 20, &next), 5);
        CU_ASSERT_EQUAL(append_simple(pl, 1, 10, 'c'), 5);
        plog_close(pl);
        fixture_fini(&f);
}

static void test_read_bounds(void)
{
        struct plog_slice s;
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < 300; i++)
                append_simple(pl, 2, 100, (uint8_t)i);
        for (int round = 0; round < 2; round++) { /* the second time from disk, without memory of the tail */
                for (int64_t from = 0; from < 600; from += 37)
                        for (int64_t below = from; below <= 600; below += 53) {
                                struct plog_read_args a = { .from_offset = from,
                                                            .below_offset = below,
                                                            .len_max = 5000,
                                                            .at_least_one = true };

                                CU_ASSERT_EQUAL_FATAL(plog_read(pl, &a, true, &s), 0);
                                CU_ASSERT_FATAL(s.next_offset <= below || !s.len);
                                if (s.len) {
                                        CU_ASSERT_EQUAL_FATAL(s.first_offset, from & ~INT64_C(1));
                                        CU_ASSERT_FATAL(s.len <= 5000);
                                        CU_ASSERT_FATAL(s.next_offset + 1 >= below || s.len + 400 > 5000);
                                } else {
                                        CU_ASSERT_FATAL(below < (from & ~INT64_C(1)) + 2);
                                }
                                plog_slice_release(&s);
                        }
                CU_ASSERT_EQUAL(plog_read(pl, &(struct plog_read_args){ .from_offset = 601 }, true, &s),
                                PLOG_E_OUT_OF_RANGE);
                CU_ASSERT_EQUAL(plog_read(pl, &(struct plog_read_args){ .from_offset = -1 }, true, &s),
                                PLOG_E_OUT_OF_RANGE);
                CU_ASSERT_EQUAL(
                        plog_read(pl, &(struct plog_read_args){ .from_offset = 600, .below_offset = 600 }, true, &s),
                        0);
                CU_ASSERT_EQUAL(s.len, 0);
                /* A limit below the first batch: nothing, or that batch when asked so. */
                CU_ASSERT_EQUAL(
                        plog_read(pl, &(struct plog_read_args){ .from_offset = 10, .below_offset = 600, .len_max = 10 },
                                  true, &s),
                        0);
                CU_ASSERT_EQUAL(s.len, 0);
                plog_close(pl);
                pl = fixture_open(&f, "t-0");
        }
        plog_close(pl);
        fixture_fini(&f);
}

static void test_roll_and_reopen(void)
{
        struct fixture f;
        struct plog *pl;
        int64_t next, records = 0;

        fixture_init(&f);
        f.conf.segment_bytes = 20000;
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < 500; i++) {
                append_simple(pl, 1 + i % 3, 50 + (size_t)i, (uint8_t)i);
                records += 1 + i % 3;
        }
        CU_ASSERT_EQUAL(read_all(pl, 0, 3000, &next), records);
        wait_durable(pl);
        plog_close(pl);
        f.store = plog_store_close(f.store);
        fixture_open_store(&f);
        CU_ASSERT(plog_store_was_clean(f.store));
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, records);
        CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, records);
        CU_ASSERT_EQUAL(read_all(pl, 0, 100000, &next), records);
        for (int64_t from = 0; from < records; from += 61)
                CU_ASSERT_EQUAL_FATAL((read_all(pl, from, 7000, &next), next), records);
        plog_close(pl);
        fixture_fini(&f);
}

static void test_identity(void)
{
        struct plog_open_args args = { .name = "t-0", .topic_id = { { 9 } } };
        struct fixture f;
        struct plog *pl;
        char dir[512];

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        append_simple(pl, 1, 10, 'x');
        plog_close(pl);
        snprintf(dir, sizeof dir, "%s/t-0", f.dir);
        args.dir = dir;
        args.conf = f.conf;
        diag_set_level(0);
        CU_ASSERT_EQUAL(plog_open(f.store, &args, &pl), -EUCLEAN);
        fixture_fini(&f);
}

/* ---- the listener ---- */

struct slow_listener {
        struct plog *log;
        atomic_bool inside, leave, left, changed;
};

static void listen_slowly(void *arg, struct plog *pl)
{
        struct slow_listener *s = arg;

        (void)pl;
        atomic_store(&s->inside, true);
        for (int i = 0; i < 10000 && !atomic_load(&s->leave); i++)
                usleep(1000);
        atomic_store(&s->left, true);
}

static void *listen_no_more(void *arg)
{
        struct slow_listener *s = arg;

        plog_set_listener(s->log, (struct plog_listener){ 0 });
        atomic_store(&s->changed, true);
        return NULL;
}

/* Whoever takes the listener away may free what it points to: a call that is under way is waited for. */
static void test_listener_goes(void)
{
        struct slow_listener s = { 0 };
        struct fixture f;
        pthread_t thread;

        fixture_init(&f);
        s.log = fixture_open(&f, "t-0");
        plog_set_listener(s.log, (struct plog_listener){ .durable = listen_slowly, .arg = &s });
        append_simple(s.log, 1, 10, 'x');
        for (int i = 0; i < 10000 && !atomic_load(&s.inside); i++)
                usleep(1000);
        CU_ASSERT_FATAL(atomic_load(&s.inside));
        pthread_create(&thread, NULL, listen_no_more, &s);
        usleep(50000);
        CU_ASSERT(!atomic_load(&s.changed));
        CU_ASSERT_EQUAL(ends_of(s.log).durable_end_offset, 1); /* and nobody else waits for it */
        append_simple(s.log, 1, 10, 'y');
        atomic_store(&s.leave, true);
        pthread_join(thread, NULL);
        CU_ASSERT(atomic_load(&s.left) && atomic_load(&s.changed));
        wait_durable(s.log);
        plog_close(s.log);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "append, read, reopen", test_append_read },
        { "bounds of a read", test_read_bounds },
        { "roll and reopen", test_roll_and_reopen },
        { "a foreign folder is refused", test_identity },
        { "taking the listener away waits for it", test_listener_goes },
};
UNIT_MAIN("plog/log", cases)
