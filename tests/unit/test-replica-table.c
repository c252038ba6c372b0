/* Goal: a partition is found exactly while it is in the table, by id and index, and whoever found it may keep it.
 * Method: more partitions than shards; then finders and visitors on threads while partitions come and go. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "plog-fixture.h"
#include "replica/table.h"

enum { TOPICS = 10, PARTITIONS = 13 };

static struct uuid id_of(int topic)
{
        struct uuid id = { { 0 } };

        id.b[0] = id.b[5] = (uint8_t)(topic + 1);
        return id;
}

static struct partition *make(struct plog *log, int topic, int32_t index)
{
        struct partition_open_args args = {
                .topic_name = "t", .topic_id = id_of(topic), .index = index, .log = plog_ref(log)
        };
        struct partition *p = NULL;

        CU_ASSERT_EQUAL_FATAL(partition_new(&args, &p), 0);
        return p;
}

static struct partition *done_with(struct partition *p)
{
        partition_close(p);
        return partition_unref(p);
}

struct seen {
        unsigned count[TOPICS][PARTITIONS];
        unsigned total, stop_at;
};

static int see(void *arg, struct partition *p)
{
        struct seen *s = arg;

        s->count[partition_topic_id(p).b[0] - 1][partition_index(p)]++;
        return ++s->total == s->stop_at ? 42 : 0;
}

static void test_find(void)
{
        struct seen seen = { 0 }, some = { .stop_at = 5 };
        struct partition_table *t;
        struct partition *p, *twin;
        struct fixture f;
        struct plog *log;

        fixture_init(&f);
        log = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL_FATAL(partition_table_new(&t), 0);
        for (int i = 0; i < TOPICS; i++)
                for (int32_t k = 0; k < PARTITIONS; k++)
                        CU_ASSERT_EQUAL(partition_table_put(t, make(log, i, k)), 0);
        CU_ASSERT_EQUAL(partition_table_count(t), TOPICS * PARTITIONS);
        twin = make(log, 3, 4);
        CU_ASSERT_EQUAL(partition_table_put(t, twin), -EEXIST);
        done_with(twin); /* stayed ours */
        CU_ASSERT_PTR_NULL(partition_table_find(t, id_of(TOPICS), 0));
        CU_ASSERT_PTR_NULL(partition_table_find(t, id_of(0), PARTITIONS));
        CU_ASSERT_PTR_NULL(partition_table_find(t, id_of(0), -1));
        p = partition_table_find(t, id_of(3), 4);
        CU_ASSERT_FATAL(p && p != twin);
        CU_ASSERT(uuid_equal(partition_topic_id(p), id_of(3)) && partition_index(p) == 4);
        partition_unref(p);
        CU_ASSERT_EQUAL(partition_table_visit(t, see, &seen), 0);
        CU_ASSERT_EQUAL(seen.total, TOPICS * PARTITIONS);
        CU_ASSERT_EQUAL(partition_table_visit(t, see, &some), 42); /* the visitor ends it */
        CU_ASSERT_EQUAL(some.total, 5);
        for (int i = 0; i < TOPICS; i++)
                for (int32_t k = 0; k < PARTITIONS; k++) {
                        CU_ASSERT_EQUAL(seen.count[i][k], 1);
                        p = partition_table_take(t, id_of(i), k);
                        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
                        CU_ASSERT_PTR_NULL(partition_table_take(t, id_of(i), k));
                        CU_ASSERT_PTR_NULL(partition_table_find(t, id_of(i), k));
                        done_with(p);
                }
        CU_ASSERT_EQUAL(partition_table_count(t), 0);
        partition_table_free(t);
        CU_ASSERT_PTR_NULL(partition_table_free(NULL));
        plog_close(log);
        fixture_fini(&f);
}

/* ---- threads ---- */

struct crowd {
        struct partition_table *table;
        atomic_bool over;
        atomic_uint found, wrong;
};

static int look_inside(void *arg, struct partition *p)
{
        struct crowd *c = arg;

        if (partition_index(p) >= PARTITIONS)
                atomic_fetch_add(&c->wrong, 1);
        return 0;
}

static void *find_and_visit(void *arg)
{
        struct crowd *c = arg;

        for (unsigned i = 0; !atomic_load(&c->over); i++) {
                struct partition *p =
                        partition_table_find(c->table, id_of((int)(i % TOPICS)), (int32_t)(i % PARTITIONS));
                struct partition_view view;

                if (p) {
                        atomic_fetch_add(&c->found, 1);
                        partition_view(p, &view); /* ours to use even when it was taken out meanwhile */
                        partition_unref(p);
                }
                if (i % 64 == 0 && partition_table_visit(c->table, look_inside, c))
                        atomic_fetch_add(&c->wrong, 1);
        }
        return NULL;
}

static void test_threads(void)
{
        struct crowd c = { 0 };
        pthread_t threads[3];
        struct fixture f;
        struct plog *log;

        fixture_init(&f);
        log = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL_FATAL(partition_table_new(&c.table), 0);
        for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
                pthread_create(&threads[i], NULL, find_and_visit, &c);
        for (int round = 0; round < 40 || (!atomic_load(&c.found) && round < 20000); round++) {
                for (int32_t k = 0; k < TOPICS * PARTITIONS; k++)
                        CU_ASSERT_EQUAL(partition_table_put(c.table, make(log, k % TOPICS, k % PARTITIONS)), 0);
                for (int32_t k = 0; k < TOPICS * PARTITIONS; k++)
                        done_with(partition_table_take(c.table, id_of(k % TOPICS), k % PARTITIONS));
        }
        atomic_store(&c.over, true);
        for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
                pthread_join(threads[i], NULL);
        CU_ASSERT(atomic_load(&c.found) > 0);
        CU_ASSERT_EQUAL(atomic_load(&c.wrong), 0);
        partition_table_free(c.table);
        plog_close(log);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "put, find, visit, take", test_find },
        { "finders and visitors while partitions come and go", test_threads },
};
UNIT_MAIN("replica/table", cases)
