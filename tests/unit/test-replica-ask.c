/* Goal: questions about ISRs are gathered while one batch is with the controller, go on when it was answered, and are put
 * again when nobody knows what became of them. Method: a replicator whose controller is the test; partitions whose
 * followers never fetch. */
#include <stdatomic.h>

#include "replica-scene.h"
#include "replica/replicator.h"

enum { PARTITIONS = 5 };

struct office {
        struct fixture f;
        struct partition_table *table;
        struct peer_hub *hub;
        struct replicator *r;
        struct loop *loop;
        struct plog *logs[PARTITIONS];
        struct partition *partitions[PARTITIONS];
        _Atomic(struct replica_alter *) held;
        atomic_uint batches, overlaps;
        bool stopped;
};

static void on_alter(void *arg, struct replica_alter *a)
{
        struct office *o = arg;

        atomic_fetch_add(&o->overlaps, atomic_load(&o->held) != NULL);
        atomic_fetch_add(&o->batches, 1);
        atomic_store(&o->held, a);
}

static struct replica_alter *await_alter(struct office *o)
{
        struct replica_alter *a = NULL;

        for (int i = 0; i < 10000 && !(a = atomic_load(&o->held)); i++)
                usleep(1000);
        CU_ASSERT_PTR_NOT_NULL_FATAL(a);
        return a;
}

static void answer(struct office *o, enum insync_outcome outcome)
{
        struct replica_alter *a = await_alter(o);

        for (size_t i = 0; i < a->count; i++)
                a->items[i].outcome = outcome;
        atomic_store(&o->held, NULL);
        replica_alter_answer(a);
}

/* Leads with followers 1 and 2, of which nobody hears anything. */
static void open_one(struct office *o, int i)
{
        struct partition_open_args args = { .topic_name = "t",
                                            .topic_id = topic_id,
                                            .index = i,
                                            .leader_epoch = -1,
                                            .conf = conf_durable(),
                                            .events = { .role = replicator_role, .ask = replicator_ask, .arg = o->r },
                                            .lag_max_ms = 100 };
        char name[20];

        snprintf(name, sizeof name, "t-%d", i);
        o->logs[i] = fixture_open(&o->f, name);
        args.log = plog_ref(o->logs[i]);
        CU_ASSERT_EQUAL_FATAL(partition_new(&args, &o->partitions[i]), 0);
        CU_ASSERT_EQUAL_FATAL(partition_table_put(o->table, partition_ref(o->partitions[i])), 0);
        say(o->partitions[i], 0, 1, 1, 3, 3);
        append_two(o->partitions[i]);
}

static void close_one(struct office *o, int i)
{
        partition_unref(partition_table_take(o->table, topic_id, i));
        partition_close(o->partitions[i]);
        replicator_role(o->r, o->partitions[i]);
        plog_close(o->logs[i]);
        partition_unref(o->partitions[i]);
}

static void office_init(struct office *o)
{
        struct replicator_config rc = { .ops = { .alter = on_alter, .arg = o }, .tick_ms = 20 };

        memset(o, 0, sizeof *o);
        fixture_init(&o->f);
        diag_set_level(0);
        CU_ASSERT_EQUAL_FATAL(loop_new("test", &o->loop), 0);
        CU_ASSERT_EQUAL_FATAL(partition_table_new(&o->table), 0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_new(&(struct peer_conf){ .program = "test" }, &o->hub), 0);
        rc.table = o->table;
        rc.hub = o->hub;
        rc.pool = o->f.pool;
        CU_ASSERT_EQUAL_FATAL(replicator_new(&rc, &o->r), 0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_start(o->hub, NULL), 0);
}

static void on_stopped(void *arg)
{
        ((struct office *)arg)->stopped = true;
}

static void on_hub_stopped(struct loop *l, struct mail *m)
{
        (void)m;
        loop_stop(l);
}

static void office_stop(struct office *o)
{
        struct mail hub = { .fn = on_hub_stopped };

        replicator_stop(o->r, o->loop, on_stopped, o);
        peer_hub_stop(o->hub, 100, o->loop, &hub);
        loop_run(o->loop);
        replicator_hub_stopped(o->r);
}

static void office_fini(struct office *o)
{
        for (int i = 0; i < 1000 && !o->stopped; i++) {
                struct mail last = { .fn = on_last };

                usleep(1000);
                loop_post(o->loop, &last);
                loop_run(o->loop);
        }
        CU_ASSERT(o->stopped);
        replicator_free(o->r);
        peer_hub_free(o->hub);
        partition_table_free(o->table);
        loop_free(o->loop);
        fixture_fini(&o->f);
}

static void test_gathered(void)
{
        struct replica_alter *a;
        struct office o;

        office_init(&o);
        open_one(&o, 0);
        a = await_alter(&o);
        CU_ASSERT_EQUAL(a->count, 1);
        CU_ASSERT(a->items[0].ask.isr_count == 1 && a->items[0].ask.isr[0] == 0);
        for (int i = 1; i < PARTITIONS; i++)
                open_one(&o, i);
        usleep(400000); /* they lag as well by now, and wait */
        CU_ASSERT_EQUAL(o.batches, 1);
        answer(&o, INSYNC_OK);
        a = await_alter(&o);
        CU_ASSERT_EQUAL(a->count, PARTITIONS - 1);
        say(a->items[0].partition, 0, 1, 2, 3, 1); /* the metadata is quicker than the answer */
        answer(&o, INSYNC_E_STALE);
        usleep(100000);
        CU_ASSERT_EQUAL(o.batches, 2);
        CU_ASSERT_EQUAL(o.overlaps, 0);
        for (int i = 0; i < PARTITIONS; i++)
                close_one(&o, i);
        office_stop(&o);
        office_fini(&o);
}

static void test_asked_again(void)
{
        struct office o;

        office_init(&o);
        open_one(&o, 0);
        for (int i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL(await_alter(&o)->items[0].ask.partition_epoch, 1);
                answer(&o, INSYNC_E_UNKNOWN);
        }
        CU_ASSERT(o.batches >= 3);
        close_one(&o, 0);
        for (int i = 0; i < 100 && atomic_load(&o.held); i++)
                answer(&o, INSYNC_E_UNKNOWN);
        office_stop(&o);
        office_fini(&o);
}

/* The stop waits for the answer, and the partition lives as long. */
static void test_stop_with_a_question(void)
{
        struct office o;

        office_init(&o);
        open_one(&o, 0);
        (void)await_alter(&o);
        close_one(&o, 0);
        office_stop(&o);
        usleep(50000);
        CU_ASSERT(!o.stopped);
        answer(&o, INSYNC_OK);
        office_fini(&o);
}

/* Made and ended at once: both are only mail to a thread that may not have begun. */
static void test_stop_at_once(void)
{
        for (int i = 0; i < 50; i++) {
                struct office o;

                office_init(&o);
                office_stop(&o);
                office_fini(&o);
        }
}

static const struct unit_case cases[] = {
        { "a stop at once", test_stop_at_once },
        { "questions are gathered", test_gathered },
        { "asked again", test_asked_again },
        { "a stop with a question", test_stop_with_a_question },
};
UNIT_MAIN("replica/replicator_ask", cases)
