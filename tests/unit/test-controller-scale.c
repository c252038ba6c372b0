/* Goal: the loss of a broker among 100,000 partitions is decided in well below the three seconds that it may take, in entries
 * of bounded size, each of which leaves a sound image; and so is the return, a stop, a drain, and a restart.
 * Method: nine brokers in three racks, 20 topics of 5,000 partitions with three replicas, times printed. PARTITIONS=n takes
 * another number (20,000 without it, so that the test is quick under a sanitizer too). */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "controller-host.h"
#include "controller-stage.h"
#include "sys/clock.h"

enum { BROKERS = 9, PER_TOPIC = 5000, BOUND_MS = 3000 };

static int partitions_count;

/* Of this process, so that a busy machine does not count. */
static int64_t cpu_ns(void)
{
        return (int64_t)clock() * (1000000000 / CLOCKS_PER_SEC);
}

static int led_by(int32_t id)
{
        const struct meta_topic *t;
        int count = 0;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++)
                        count += meta_topic_partition(t, (int32_t)i)->leader == id;
        return count;
}

/* Led by @id though somebody else in sync could. */
static int led_needlessly(int32_t id)
{
        const struct meta_topic *t;
        int count = 0;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);
                        bool other = false;

                        for (uint32_t k = 0; k < p->isr_count; k++)
                                other |= meta_partition_isr(p)[k] != id &&
                                         meta_image_broker_is_live(image, meta_partition_isr(p)[k]);
                        count += p->leader == id && other;
                }
        return count;
}

static int in_sync(int32_t id)
{
        const struct meta_topic *t;
        int count = 0;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);

                        count += meta_ids_contain(meta_partition_isr(p), p->isr_count, id);
                }
        return count;
}

static void set_min_isr(const char *topic)
{
        struct controller_config_change c = { STR_LIT("min.insync.replicas"), CONTROLLER_CONFIG_SET, STR_LIT("2") };
        struct controller_alter_configs a = {
                .type = META_RESOURCE_TOPIC, .name = str_of(topic), .changes = &c, .changes_count = 1
        };

        ask(CONTROLLER_ALTER_CONFIGS, &a, 1, false);
        CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_OK);
}

static void build(void)
{
        static const char *const racks[] = { "a", "b", "c" };
        const char *text = getenv("PARTITIONS");

        partitions_count = text ? atoi(text) : 20000;
        setup();
        bootstrap();
        for (int32_t id = 1; id <= BROKERS; id++) {
                struct controller_register_broker r = registration(id, 1, racks[id % 3]);

                ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
                beat(id, false, false);
        }
        for (int t = 0; t < partitions_count / PER_TOPIC; t++) {
                char name[16];

                snprintf(name, sizeof name, "topic-%d", t);
                CU_ASSERT_EQUAL_FATAL(create(name, PER_TOPIC, 3).result.outcome, CONTROLLER_OK);
                if (t % 2) /* some have configurations, which take longer to look at */
                        set_min_isr(name);
                arena_fini(&mem);
        }
        CU_ASSERT_EQUAL(image->partitions_count, partitions_count);
}

/* Time a decision, then let the log do it. */
static void timed(const char *what, struct decision *d, int r, int64_t began_ns)
{
        int64_t ms = (cpu_ns() - began_ns) / 1000000, len = (int64_t)d->batch.len;

        CU_ASSERT_EQUAL(r, 0);
        for (size_t i = 0; i < d->parts_count; i++) {
                CU_ASSERT(d->parts[i].batch.len < rules.part_len + 4096);
                len += (int64_t)d->parts[i].batch.len;
        }
        commit(d);
        printf("\n    %s: %lld ms, %u records in %u entries, %lld KiB", what, (long long)ms, emitted, entries,
               (long long)len >> 10);
        CU_ASSERT(ms < BOUND_MS);
        arena_fini(&mem);
}

static void timed_ask(const char *what, enum controller_op op, void *item)
{
        struct controller_request rq = { .op = op, .items = item, .items_count = 1 };
        int64_t began_ns = cpu_ns();
        struct decision d;
        int r;

        start(&d);
        r = decision_run(&d, &rq);
        timed(what, &d, r, began_ns);
}

static void expire_all_but(int32_t from, const char *what)
{
        int64_t began_ns, next;
        struct decision d;
        int r;

        now_ms += 5000;
        for (int32_t id = from; id <= BROKERS; id++)
                beat(id, false, false);
        now_ms += 4500;
        began_ns = cpu_ns();
        start(&d);
        r = decision_expire_leases(&d, &next);
        timed(what, &d, r, began_ns);
}

static void heartbeat(const char *what, int32_t id, bool fence, bool stop)
{
        struct controller_heartbeat h = { .broker_id = id,
                                          .broker_epoch = meta_image_broker(image, id)->epoch,
                                          .applied_index = image->index,
                                          .want_fence = fence,
                                          .want_shutdown = stop };

        timed_ask(what, CONTROLLER_HEARTBEAT, &h);
        CU_ASSERT_EQUAL(h.result.outcome, CONTROLLER_OK);
}

static void test_scale(void)
{
        struct controller_register_broker r;
        struct controller_broker_duty drain = { .broker_id = 5 };
        struct controller_guard guard = { .node_id = 6 };
        struct decision d;
        int64_t began_ns;
        bool more;

        build();
        CU_ASSERT(led_by(1) > partitions_count / 10);
        expire_all_but(2, "a broker is lost");
        CU_ASSERT(led_by(1) == 0 && in_sync(1) == 0);
        CU_ASSERT_EQUAL(led_by(META_NO_NODE), 0);
        heartbeat("it comes back", 1, false, false);
        expire_all_but(4, "three more are lost at once");
        CU_ASSERT(led_by(1) == 0 && led_by(2) == 0 && led_by(3) == 0);
        for (int32_t id = 1; id <= 3; id++)
                heartbeat("one of them comes back", id, false, false);
        CU_ASSERT_EQUAL(led_by(META_NO_NODE), 0);
        r = registration(2, 2, "c");
        now_ms += 1;
        controller_leases_start(&memory.leases, image, now_ms, 9000);
        timed_ask("one registers after an unclean stop", CONTROLLER_REGISTER_BROKER, &r);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(meta_image_broker(image, 2)->epoch, r.epoch);
        heartbeat("one stops", 4, false, true);
        CU_ASSERT_EQUAL(led_needlessly(4), 0);
        timed_ask("one is drained", CONTROLLER_DRAIN_BROKER, &drain);
        CU_ASSERT_EQUAL(led_needlessly(5), 0);
        timed_ask("may one stop?", CONTROLLER_GUARD, &guard);
        start(&d);
        began_ns = cpu_ns();
        timed("leaders are balanced", &d, decision_balance(&d, &more), began_ns);
        start(&d);
        began_ns = cpu_ns();
        timed("a controller takes over", &d, decision_heal(&d), began_ns);
        began_ns = cpu_ns();
        CU_ASSERT_EQUAL(places_rebuild(&memory.places, image), 0);
        printf("\n    places are looked up anew: %lld ms ", (long long)(cpu_ns() - began_ns) / 1000000);
        teardown();
}

/* ---- with the real log ---- */

static struct host host = { .session_timeout_ms = 1500 };
static int64_t epochs[BROKERS + 1];

static void beat_all(int32_t from)
{
        CLEANUP(meta_image_unrefp) struct meta_image *now = controller_image(host.c);

        for (int32_t id = from; id <= BROKERS; id++) {
                struct controller_heartbeat h = { .broker_id = id,
                                                  .broker_epoch = epochs[id],
                                                  .applied_index = now->index };
                struct controller_request rq = { .op = CONTROLLER_HEARTBEAT, .heartbeat = &h };

                CU_ASSERT(host_ask(&host, &rq) == CONTROLLER_OK && h.result.outcome == CONTROLLER_OK && !h.fenced);
        }
}

static bool leads_something(int32_t id)
{
        bool leads;

        image = controller_image(host.c);
        leads = led_by(id) > 0;
        image = meta_image_unref(image);
        return leads;
}

/* From the last heartbeat of a broker until nobody is told any more that it leads, with everything on disk. */
static void test_failover(void)
{
        char why[200], name[16];
        int64_t heard_ms, took_ms;

        host_dir(&host, "scale");
        CU_ASSERT_EQUAL_FATAL(host_open(&host, (struct quorum_config){ 0 }, why, sizeof why), 0);
        for (int32_t id = 1; id <= BROKERS; id++)
                epochs[id] = host_add_broker(&host, id, -1);
        for (int t = 0; t < partitions_count / PER_TOPIC; t++) {
                struct controller_create_topic c = { .partitions_count = PER_TOPIC, .replication_factor = 3 };
                struct controller_request rq = { .op = CONTROLLER_CREATE_TOPICS, .create_topics = &c };

                snprintf(name, sizeof name, "topic-%d", t);
                c.name = str_of(name);
                CU_ASSERT(host_ask(&host, &rq) == CONTROLLER_OK && c.result.outcome == CONTROLLER_OK);
                beat_all(1);
                arena_fini(&host.mem);
        }
        heard_ms = clock_mono_ms();
        CU_ASSERT(leads_something(1));
        while (leads_something(1) && clock_mono_ms() - heard_ms < 20000) {
                beat_all(2);
                arena_fini(&host.mem);
                clock_sleep_ms(20);
        }
        took_ms = clock_mono_ms() - heard_ms;
        printf("\n    with the log on disk: %lld ms after the last heartbeat, of which the lease is %lld ms ",
               (long long)took_ms, (long long)host.session_timeout_ms);
        CU_ASSERT(took_ms < host.session_timeout_ms + BOUND_MS);
        host_close(&host);
        file_remove_tree(host.dir);
}

static const struct unit_case cases[] = {
        { "many partitions", test_scale },
        { "a real failover", test_failover },
};
UNIT_MAIN("controller, scale", cases)
