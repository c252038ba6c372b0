/* Goal: every decision, as a table of what is asked and what comes of it; refusals change nothing.
 * Method: decisions on images, without threads, files or clocks. */
#include <errno.h>

#include "controller-stage.h"

/* ---- topics ---- */

static void test_topic_names(void)
{
        static const struct {
                const char *name;
                enum controller_outcome want;
        } names[] = {
                { "a", CONTROLLER_OK },
                { "A.z_0-9", CONTROLLER_OK },
                { "", CONTROLLER_E_TOPIC_NAME },
                { ".", CONTROLLER_E_TOPIC_NAME },
                { "..", CONTROLLER_E_TOPIC_NAME },
                { "...", CONTROLLER_OK },
                { "a b", CONTROLLER_E_TOPIC_NAME },
                { "caf\xc3\xa9", CONTROLLER_E_TOPIC_NAME },
                { "a/b", CONTROLLER_E_TOPIC_NAME },
                { "a", CONTROLLER_E_TOPIC_EXISTS },
                { "A_z.0-9", CONTROLLER_E_TOPIC_NAME }, /* collides */
                { "A_z_0-9", CONTROLLER_E_TOPIC_NAME },
                { "A-z_0-9", CONTROLLER_OK },
                { "_._", CONTROLLER_E_TOPIC_NAME }, /* with ... */
                { "__cluster_metadata", CONTROLLER_E_TOPIC_NAME },
                { "__consumer_offsets", CONTROLLER_OK },
                { "_.consumer_offsets", CONTROLLER_E_TOPIC_NAME },
        };
        char longest[251];

        setup();
        brokers(1);
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                struct controller_create_topic t = create(names[i].name, 1, 1);

                if (t.result.outcome != names[i].want)
                        printf("%s: %d ", names[i].name, t.result.outcome);
                CU_ASSERT_EQUAL(t.result.outcome, names[i].want);
                CU_ASSERT_EQUAL(emitted, names[i].want ? 0 : 2);
                CU_ASSERT_EQUAL(str_is_null(t.result.message), !names[i].want);
        }
        memset(longest, 'x', sizeof longest);
        longest[250] = 0;
        CU_ASSERT_EQUAL(create(longest, 1, 1).result.outcome, CONTROLLER_E_TOPIC_NAME);
        longest[249] = 0;
        CU_ASSERT_EQUAL(create(longest, 1, 1).result.outcome, CONTROLLER_OK);
        teardown();
}

static void test_topic_counts(void)
{
        static const struct {
                int32_t partitions;
                int16_t factor;
                enum controller_outcome want;
        } counts[] = {
                { 0, 1, CONTROLLER_E_PARTITIONS },
                { -2, 1, CONTROLLER_E_PARTITIONS },
                { 10001, 1, CONTROLLER_E_PARTITIONS },
                { INT32_MAX, 1, CONTROLLER_E_PARTITIONS },
                { 1, 0, CONTROLLER_E_REPLICATION },
                { 1, -2, CONTROLLER_E_REPLICATION },
                { 1, 4, CONTROLLER_E_REPLICATION },
                { 1, INT16_MAX, CONTROLLER_E_REPLICATION },
                { 7, 3, CONTROLLER_OK },
        };
        static const struct controller_assignment nobody;
        struct controller_create_topic t;

        setup();
        brokers(3);
        for (size_t i = 0; i < ARRAY_LEN(counts); i++)
                CU_ASSERT_EQUAL(create("t", counts[i].partitions, counts[i].factor).result.outcome, counts[i].want);
        t = create("defaults", -1, -1);
        CU_ASSERT_EQUAL(t.result.outcome, CONTROLLER_OK);
        CU_ASSERT(t.partitions_count == 1 && t.replication_factor == 1);
        CU_ASSERT(part("t", 6) && part("t", 6)->replicas_count == 3 && part("t", 6)->isr_count == 3);
        CU_ASSERT_EQUAL(part("t", 0)->leader, meta_partition_replicas(part("t", 0))[0]);
        CU_ASSERT(uuid_equal(meta_partition_directories(part("t", 0))[0], dirs[part("t", 0)->leader]));
        CU_ASSERT(part("t", 0)->leader_epoch == 0 && part("t", 0)->partition_epoch == 0);
        t = (struct controller_create_topic){
                .name = STR_LIT("empty"), .partitions_count = 2, .replication_factor = 1, .assignments = &nobody
        }; /* an empty list of assignments is none */
        ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
        CU_ASSERT_EQUAL(t.result.outcome, CONTROLLER_OK);
        CU_ASSERT(part("empty", 1) && part("empty", 1)->replicas_count == 1);
        teardown();
}

static void test_validate_only_and_two_in_one(void)
{
        struct controller_create_topic two[] = {
                { .name = STR_LIT("x.y"), .partitions_count = 2, .replication_factor = 1 },
                { .name = STR_LIT("x_y"), .partitions_count = 2, .replication_factor = 1 },
        };

        setup();
        brokers(1);
        ask(CONTROLLER_CREATE_TOPICS, two, 2, true);
        CU_ASSERT_EQUAL(emitted, 0);
        CU_ASSERT_EQUAL(two[0].result.outcome, CONTROLLER_OK);
        ask(CONTROLLER_CREATE_TOPICS, two, 2, false); /* the second sees the first */
        CU_ASSERT_EQUAL(two[0].result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(two[1].result.outcome, CONTROLLER_E_TOPIC_NAME);
        CU_ASSERT_EQUAL(emitted, 3);
        teardown();
}

static void test_manual_assignment(void)
{
        static const int32_t r12[] = { 1, 2 }, r21[] = { 2, 1 }, r11[] = { 1, 1 }, r19[] = { 1, 9 }, r1[] = { 1 };
        struct {
                struct controller_assignment a[2];
                int32_t partitions;
                enum controller_outcome want;
        } cases[] = {
                { { { 0, r12, 2 }, { 1, r21, 2 } }, 2, CONTROLLER_E_INVALID },
                { { { 0, r12, 2 }, { 0, r21, 2 } }, -1, CONTROLLER_E_ASSIGNMENT },
                { { { 0, r12, 2 }, { 2, r21, 2 } }, -1, CONTROLLER_E_ASSIGNMENT },
                { { { 0, r12, 2 }, { 1, r1, 1 } }, -1, CONTROLLER_E_ASSIGNMENT },
                { { { 0, r12, 2 }, { 1, r11, 2 } }, -1, CONTROLLER_E_ASSIGNMENT },
                { { { 0, r12, 2 }, { 1, r19, 2 } }, -1, CONTROLLER_E_ASSIGNMENT },
                { { { 0, r12, 2 }, { 1, r12, 0 } }, -1, CONTROLLER_E_ASSIGNMENT },
                { { { 1, r21, 2 }, { 0, r12, 2 } }, -1, CONTROLLER_OK },
        };
        struct controller_create_topic t;

        setup();
        brokers(2);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                t = (struct controller_create_topic){ .name = STR_LIT("m"),
                                                      .partitions_count = cases[i].partitions,
                                                      .replication_factor = -1,
                                                      .assignments = cases[i].a,
                                                      .assignments_count = 2 };
                ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
                CU_ASSERT_EQUAL(t.result.outcome, cases[i].want);
        }
        CU_ASSERT_EQUAL(part("m", 0)->leader, 1);
        CU_ASSERT_EQUAL(part("m", 1)->leader, 2);
        CU_ASSERT_EQUAL(t.replication_factor, 2);
        beat(2, true, false); /* fenced: it may hold a replica, but not alone */
        t = (struct controller_create_topic){ .name = STR_LIT("n"),
                                              .partitions_count = -1,
                                              .replication_factor = -1,
                                              .assignments = &(struct controller_assignment){ 0, r21, 2 },
                                              .assignments_count = 1 };
        ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
        CU_ASSERT_EQUAL(t.result.outcome, CONTROLLER_OK);
        CU_ASSERT(part("n", 0)->leader == 1 && part("n", 0)->isr_count == 1 && part("n", 0)->replicas_count == 2);
        t.name = STR_LIT("o");
        t.assignments = &(struct controller_assignment){ 0, r21, 1 };
        t.partitions_count = t.replication_factor = -1;
        ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
        CU_ASSERT_EQUAL(t.result.outcome, CONTROLLER_E_ASSIGNMENT);
        beat(1, true, false);
        CU_ASSERT_EQUAL(create("p", 1, 1).result.outcome, CONTROLLER_E_REPLICATION);
        teardown();
}

static void test_topic_configs(void)
{
        static const struct {
                struct conf_pair pair;
                enum controller_outcome want;
        } cases[] = {
                { { { "retention.ms", 12 }, { "1000", 4 } }, CONTROLLER_OK },
                { { { "retention.ms", 12 }, { "often", 5 } }, CONTROLLER_E_CONFIG },
                { { { "no.such.thing", 13 }, { "1", 1 } }, CONTROLLER_E_CONFIG },
                { { { "cleanup.policy", 14 }, { NULL, 0 } }, CONTROLLER_E_CONFIG },
                { { { "cleanup.policy", 14 }, { "compact", 7 } }, CONTROLLER_OK },
        };

        setup();
        brokers(1);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                char name[8];
                struct controller_create_topic t = {
                        .partitions_count = 1, .replication_factor = 1, .configs = &cases[i].pair, .configs_count = 1
                };

                snprintf(name, sizeof name, "c%zu", i);
                t.name = str_of(name);
                ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
                CU_ASSERT_EQUAL(t.result.outcome, cases[i].want);
                CU_ASSERT(cases[i].want ||
                          str_equal(meta_configs_get(meta_image_configs(image, META_RESOURCE_TOPIC, t.name),
                                                     cases[i].pair.name),
                                    cases[i].pair.value));
        }
        teardown();
}

static void test_delete(void)
{
        struct controller_delete_topic d[3];
        struct uuid id;

        setup();
        brokers(1);
        id = create("gone", 2, 1).id;
        d[0] = (struct controller_delete_topic){ .id = id };
        d[1] = (struct controller_delete_topic){ .name = STR_LIT("gone") };
        d[2] = (struct controller_delete_topic){ .id = id };
        ask(CONTROLLER_DELETE_TOPICS, d, 3, false);
        CU_ASSERT_EQUAL(d[0].result.outcome, CONTROLLER_OK);
        CU_ASSERT(str_equal_c(d[0].name, "gone"));
        CU_ASSERT_EQUAL(d[1].result.outcome, CONTROLLER_E_TOPIC_UNKNOWN);
        CU_ASSERT_EQUAL(d[2].result.outcome, CONTROLLER_E_TOPIC_ID_UNKNOWN);
        CU_ASSERT_FALSE(uuid_equal(create("gone", 1, 1).id, id)); /* a new topic of an old name */
        teardown();
}

static void test_create_partitions(void)
{
        static const int32_t r2[] = { 2 };
        static const struct controller_assignment one = { 0, r2, 1 };
        static const struct {
                const char *name;
                int32_t count;
                const struct controller_assignment *a;
                enum controller_outcome want;
        } cases[] = {
                { "nope", 5, NULL, CONTROLLER_E_TOPIC_UNKNOWN },
                { "p", 3, NULL, CONTROLLER_E_PARTITIONS },
                { "p", 2, NULL, CONTROLLER_E_PARTITIONS },
                { "p", -1, NULL, CONTROLLER_E_PARTITIONS },
                { "p", 10001, NULL, CONTROLLER_E_PARTITIONS },
                { "p", 5, &one, CONTROLLER_E_ASSIGNMENT },
                { "p", 4, &one, CONTROLLER_OK },
                { "p", 6, NULL, CONTROLLER_OK },
        };

        setup();
        brokers(2);
        create("p", 3, 1);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct controller_create_partitions c = { .name = str_of(cases[i].name),
                                                          .count = cases[i].count,
                                                          .assignments = cases[i].a,
                                                          .assignments_count = !!cases[i].a };

                ask(CONTROLLER_CREATE_PARTITIONS, &c, 1, true);
                CU_ASSERT_EQUAL(c.result.outcome, cases[i].want);
                CU_ASSERT_EQUAL(emitted, 0);
                ask(CONTROLLER_CREATE_PARTITIONS, &c, 1, false);
                CU_ASSERT_EQUAL(c.result.outcome, cases[i].want);
        }
        CU_ASSERT_EQUAL(part("p", 3)->leader, 2);
        CU_ASSERT(part("p", 5) && !part("p", 6));
        teardown();
}

/* A request that is too large as a whole changes nothing. */
static void test_too_large(void)
{
        static struct controller_create_topic t[30];
        struct controller_request rq = { .op = CONTROLLER_CREATE_TOPICS, .items = t, .items_count = 30 };
        struct decision d;
        char names[30][8];

        setup();
        brokers(1);
        for (int i = 0; i < 30; i++) {
                snprintf(names[i], 8, "big%d", i);
                t[i] = (struct controller_create_topic){ .name = str_of(names[i]),
                                                         .partitions_count = 10000,
                                                         .replication_factor = 1 };
        }
        start(&d);
        CU_ASSERT_EQUAL(decision_run(&d, &rq), -E2BIG);
        CU_ASSERT_EQUAL(rq.result.outcome, CONTROLLER_E_TOO_LARGE);
        decision_fini(&d);
        teardown();
}

/* ---- configurations ---- */

static struct controller_result alter(int8_t type, const char *name, bool replace,
                                      const struct controller_config_change *c, int32_t count)
{
        struct controller_alter_configs a = {
                .type = type, .name = str_of(name), .replace = replace, .changes = c, .changes_count = count
        };

        ask(CONTROLLER_ALTER_CONFIGS, &a, 1, false);
        return a.result;
}

static bool config_is(int8_t type, const char *resource, const char *name, const char *value)
{
        return str_equal(
                meta_configs_get(meta_image_configs(image, (enum meta_resource)type, str_of(resource)), str_of(name)),
                str_of(value));
}

#define CH(o, n, v) ((struct controller_config_change){ str_of(n), CONTROLLER_CONFIG_##o, str_of(v) })

static void test_alter_configs(void)
{
        struct controller_config_change two[] = { CH(SET, "retention.ms", "5"), CH(SET, "retention.bytes", "x") };
        struct controller_config_change dup[] = { CH(SET, "retention.ms", "5"), CH(DELETE, "retention.ms", NULL) };

        setup();
        brokers(1);
        create("t", 1, 1);
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(SET, "retention.ms", "7"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT(config_is(2, "t", "retention.ms", "7"));
        CU_ASSERT_EQUAL(alter(2, "t", false, two, 2).outcome, CONTROLLER_E_CONFIG);
        CU_ASSERT(config_is(2, "t", "retention.ms", "7")); /* all or none */
        CU_ASSERT_EQUAL(alter(2, "t", false, dup, 2).outcome, CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(SET, "retention.ms", NULL), 1).outcome, CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(SET, "no.such", "1"), 1).outcome, CONTROLLER_E_CONFIG);
        CU_ASSERT_EQUAL(alter(2, "u", false, &CH(SET, "retention.ms", "1"), 1).outcome, CONTROLLER_E_TOPIC_UNKNOWN);
        CU_ASSERT_EQUAL(alter(3, "t", false, &CH(SET, "retention.ms", "1"), 1).outcome, CONTROLLER_E_RESOURCE);
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(APPEND, "retention.ms", "1"), 1).outcome, CONTROLLER_E_CONFIG);
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(APPEND, "cleanup.policy", "compact"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT(config_is(2, "t", "cleanup.policy", "delete,compact")); /* starts from the default */
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(APPEND, "cleanup.policy", "compact"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0); /* it is there already */
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(SUBTRACT, "cleanup.policy", "delete"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT(config_is(2, "t", "cleanup.policy", "compact"));
        CU_ASSERT_EQUAL(alter(2, "t", true, &CH(SET, "retention.bytes", "9"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT(config_is(2, "t", "retention.bytes", "9"));
        CU_ASSERT(config_is(2, "t", "retention.ms", NULL) && config_is(2, "t", "cleanup.policy", NULL));
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(DELETE, "retention.bytes", NULL), 1).outcome, CONTROLLER_OK);
        CU_ASSERT_PTR_NULL(meta_image_configs(image, META_RESOURCE_TOPIC, STR_LIT("t")));
        CU_ASSERT_EQUAL(alter(2, "t", false, &CH(DELETE, "retention.bytes", NULL), 1).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0);
        teardown();
}

static void test_alter_other_resources(void)
{
        struct controller_alter_configs same[2] = {
                { .type = 2, .name = STR_LIT("t"), .changes = &CH(SET, "retention.ms", "1"), .changes_count = 1 },
                { .type = 2, .name = STR_LIT("t"), .changes = &CH(SET, "retention.ms", "2"), .changes_count = 1 },
        };

        setup();
        brokers(1);
        create("t", 1, 1);
        ask(CONTROLLER_ALTER_CONFIGS, same, 2, false); /* one resource twice: the later one counts */
        CU_ASSERT(config_is(2, "t", "retention.ms", "2"));
        CU_ASSERT_EQUAL(alter(4, "", false, &CH(SET, "min.insync.replicas", "2"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(alter(4, "1", false, &CH(SET, "min.insync.replicas", "1"), 1).outcome, CONTROLLER_E_CONFIG);
        CU_ASSERT_EQUAL(alter(4, "1", false, &CH(SET, "log.retention.ms", "77777"), 1).outcome, CONTROLLER_OK);
        CU_ASSERT(config_is(4, "", "min.insync.replicas", "2") && config_is(4, "1", "log.retention.ms", "77777"));
        CU_ASSERT_EQUAL(alter(4, "2", false, &CH(SET, "min.insync.replicas", "1"), 1).outcome,
                        CONTROLLER_E_BROKER_UNKNOWN);
        CU_ASSERT_EQUAL(alter(4, "01", false, &CH(SET, "min.insync.replicas", "1"), 1).outcome,
                        CONTROLLER_E_BROKER_UNKNOWN);
        CU_ASSERT_EQUAL(alter(4, "1", false, &CH(SET, "node.id", "4"), 1).outcome, CONTROLLER_E_CONFIG); /* read only */
        CU_ASSERT_EQUAL(alter(32, "g", false, &CH(SET, "consumer.session.timeout.ms", "50000"), 1).outcome,
                        CONTROLLER_OK);
        CU_ASSERT_EQUAL(alter(32, "g", false, &CH(SET, "consumer.session.timeout.ms", "soon"), 1).outcome,
                        CONTROLLER_E_CONFIG);
        CU_ASSERT_EQUAL(alter(32, "g", false, &CH(SET, "colour", "red"), 1).outcome, CONTROLLER_E_CONFIG);
        CU_ASSERT_EQUAL(alter(32, "", false, &CH(SET, "consumer.session.timeout.ms", "1"), 1).outcome,
                        CONTROLLER_E_INVALID);
        teardown();
}

/* ---- brokers ---- */

static void test_registration(void)
{
        struct controller_register_broker r;
        int64_t epoch;

        setup();
        brokers(1);
        epoch = meta_image_broker(image, 1)->epoch;
        r = registration(1, 1, NULL); /* the same process asks again */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT(r.result.outcome == CONTROLLER_OK && r.epoch == epoch && emitted == 0);
        r = registration(1, 2, NULL); /* another one, while the first is alive */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_BROKER_DUPLICATE);
        now_ms += 9001;
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false); /* its lease has ended */
        CU_ASSERT(r.result.outcome == CONTROLLER_OK && r.epoch > epoch);
        CU_ASSERT_EQUAL(meta_image_broker(image, 1)->epoch, r.epoch);
        CU_ASSERT(meta_image_broker(image, 1)->fenced);
        r = registration(2, 1, NULL);
        r.cluster_id = STR_LIT("cluster-2");
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_CLUSTER);
        r = registration(2, 1, NULL);
        r.broker.directories = &dirs[1]; /* a copied disk */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_BROKER_DUPLICATE);
        r = registration(2, 1, NULL);
        r.broker.features_count = 1; /* an older program */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_FEATURE);
        r = registration(2, 1, NULL);
        r.broker.endpoints_count = 0;
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_INVALID);
        teardown();
}

/* A new reign: the process that was heard of by the one before may be replaced at once. */
static void test_restart_of_a_node(void)
{
        struct controller_register_broker r;

        setup();
        brokers(1);
        create("t", 1, 1);
        CU_ASSERT_EQUAL(controller_leases_start(&memory.leases, image, now_ms, 9000), 0);
        r = registration(1, 2, NULL);
        r.previous_epoch = meta_image_broker(image, 1)->epoch; /* the stop was clean */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
        CU_ASSERT(part("t", 0)->leader == 1 && part("t", 0)->leader_epoch == 0);
        CU_ASSERT_EQUAL(meta_image_leader(image, part("t", 0)), META_NO_NODE); /* on paper only, until unfenced */
        beat(1, false, false);
        CU_ASSERT_EQUAL(meta_image_leader(image, part("t", 0)), 1);
        CU_ASSERT_EQUAL(part("t", 0)->partition_epoch, 0);
        controller_leases_start(&memory.leases, image, now_ms, 9000);
        r = registration(1, 3, NULL);
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT(part("t", 0)->leader == 1 && part("t", 0)->leader_epoch == 1);
        teardown();
}

static void test_heartbeats_and_leases(void)
{
        struct controller_heartbeat h = { .broker_id = 1 };
        struct decision d;
        int64_t next;

        setup();
        brokers(2);
        create("t", 8, 2);
        CU_ASSERT_EQUAL(beat(3, false, false), CONTROLLER_E_BROKER_UNKNOWN);
        h.broker_epoch = 12345;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT_EQUAL(h.result.outcome, CONTROLLER_E_BROKER_EPOCH);
        now_ms += 8000;
        beat(1, false, false);
        CU_ASSERT_EQUAL(emitted, 0);
        now_ms += 1500; /* 2 has not been heard of for 9.5 s */
        start(&d);
        CU_ASSERT_EQUAL(decision_expire_leases(&d, &next), 0);
        commit(&d);
        CU_ASSERT_EQUAL(next, now_ms - 1500 + 9000);
        CU_ASSERT(meta_image_broker(image, 2)->fenced);
        CU_ASSERT_FALSE(meta_image_broker(image, 1)->fenced);
        for (int32_t i = 0; i < 8; i++) {
                CU_ASSERT_EQUAL(part("t", i)->leader, 1);
                CU_ASSERT(part("t", i)->isr_count == 1 && meta_partition_isr(part("t", i))[0] == 1);
                CU_ASSERT_EQUAL(part("t", i)->leader_epoch, meta_partition_replicas(part("t", i))[0] == 2);
                CU_ASSERT_EQUAL(part("t", i)->partition_epoch, 1);
        }
        beat(1, true, false); /* the last one goes: nobody leads, the ISR stays */
        CU_ASSERT_EQUAL(part("t", 0)->leader, META_NO_NODE);
        CU_ASSERT_EQUAL(part("t", 0)->isr_count, 1);
        beat(2, false, false); /* it is not in the ISR, so it must not lead */
        CU_ASSERT_EQUAL(part("t", 0)->leader, META_NO_NODE);
        beat(1, false, false);
        CU_ASSERT_EQUAL(part("t", 0)->leader, 1);
        teardown();
}

static void test_shutdown_and_unregister(void)
{
        struct controller_unregister_broker u = { .broker_id = 2 };

        setup();
        brokers(2);
        create("t", 4, 2);
        create("alone", 4, 1);
        beat(2, false, true);
        CU_ASSERT(meta_image_broker(image, 2)->in_shutdown);
        for (int32_t i = 0; i < 4; i++) {
                CU_ASSERT_EQUAL(part("t", i)->leader, 1);
                /* What nobody else has it serves to the end. */
                CU_ASSERT_EQUAL(part("alone", i)->leader, meta_partition_replicas(part("alone", i))[0]);
        }
        beat(2, false, true);
        CU_ASSERT_EQUAL(emitted, 0);
        ask(CONTROLLER_UNREGISTER_BROKER, &u, 1, false);
        CU_ASSERT_EQUAL(u.result.outcome, CONTROLLER_OK);
        CU_ASSERT_PTR_NULL(meta_image_broker(image, 2));
        for (int32_t i = 0; i < 4; i++)
                CU_ASSERT_EQUAL(part("alone", i)->leader,
                                meta_partition_replicas(part("alone", i))[0] == 2 ? META_NO_NODE : 1);
        ask(CONTROLLER_UNREGISTER_BROKER, &u, 1, false);
        CU_ASSERT_EQUAL(u.result.outcome, CONTROLLER_E_BROKER_UNKNOWN);
        teardown();
}

/* A broker that has not read the metadata up to its registration stays fenced. */
static void test_unfence_needs_metadata(void)
{
        struct controller_register_broker r;
        struct controller_heartbeat h = { .broker_id = 1 };

        setup();
        bootstrap();
        r = registration(1, 1, NULL);
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        h.broker_epoch = r.epoch;
        h.applied_index = r.epoch - 1;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(h.fenced && !h.caught_up);
        h.applied_index = r.epoch;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(!h.fenced && h.caught_up);
        teardown();
}

/* ---- features, ids ---- */

static void test_features(void)
{
        static const struct {
                const char *name;
                int16_t level;
                bool down;
                enum controller_outcome want;
        } cases[] = {
                { "no.such", 1, false, CONTROLLER_E_FEATURE },
                { "metadata.version", 21, false, CONTROLLER_E_FEATURE },
                { "metadata.version", 19, false, CONTROLLER_E_FEATURE },
                { "metadata.version", 19, true, CONTROLLER_OK },
                { "metadata.version", 0, true, CONTROLLER_E_FEATURE },
                { "metadata.version", -1, true, CONTROLLER_E_FEATURE },
                { "transaction.version", 0, true, CONTROLLER_OK },
                { "transaction.version", 2, false, CONTROLLER_OK },
        };

        setup();
        brokers(1);
        CU_ASSERT_EQUAL(meta_image_feature_level(image, STR_LIT("metadata.version")), 20);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct controller_update_feature f = { .name = str_of(cases[i].name),
                                                       .level = cases[i].level,
                                                       .change = cases[i].down ? CONTROLLER_FEATURE_SAFE_DOWNGRADE
                                                                               : CONTROLLER_FEATURE_UPGRADE };

                ask(CONTROLLER_UPDATE_FEATURES, &f, 1, false);
                CU_ASSERT_EQUAL(f.result.outcome, cases[i].want);
                if (!cases[i].want)
                        CU_ASSERT_EQUAL(meta_image_feature_level(image, f.name), f.level);
        }
        teardown();
}

static void test_producer_ids(void)
{
        struct controller_allocate_ids a[2];

        setup();
        brokers(1);
        a[0] = a[1] =
                (struct controller_allocate_ids){ .broker_id = 1, .broker_epoch = meta_image_broker(image, 1)->epoch };
        ask(CONTROLLER_ALLOCATE_IDS, a, 2, false);
        CU_ASSERT(a[0].first == 0 && a[0].count == 1000 && a[1].first == 1000);
        CU_ASSERT_EQUAL(image->next_producer_id, 2000);
        a[0].broker_id = 7;
        ask(CONTROLLER_ALLOCATE_IDS, a, 1, false);
        CU_ASSERT_EQUAL(a[0].result.outcome, CONTROLLER_E_BROKER_UNKNOWN);
        teardown();
}

/* ---- rules of access ---- */

static enum controller_outcome create_acl(struct controller_create_acl *a, const char *principal, const char *name,
                                          int operation)
{
        *a = (struct controller_create_acl){ .entry = { ACL_TOPIC, ACL_LITERAL, (int8_t)operation, ACL_ALLOW,
                                                        str_of(name), str_of(principal), STR_LIT("*") } };
        ask(CONTROLLER_CREATE_ACLS, a, 1, false);
        return a->result.outcome;
}

static void test_acls(void)
{
        struct controller_create_acl a, two[2];
        struct controller_delete_acls d[] = {
                { .filter = { ACL_TOPIC, ACL_PATTERN_MATCH, ACL_OPERATION_ANY, ACL_PERMISSION_ANY, STR_LIT("t"),
                              STR_LIT("User:alice"), STR_NULL } },
                { .filter = { ACL_TOPIC, ACL_PATTERN_MATCH, ACL_OPERATION_ANY, ACL_PERMISSION_ANY, STR_LIT("t"),
                              STR_NULL, STR_NULL } },
                { .filter = { 0, ACL_PATTERN_ANY, ACL_OPERATION_ANY, ACL_PERMISSION_ANY, STR_NULL, STR_NULL,
                              STR_NULL } },
        };

        setup_at(CONTROLLER_LEVEL_SECURITY);
        CU_ASSERT_EQUAL(create_acl(&a, "User:alice", "t", ACL_READ), CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 1);
        CU_ASSERT_EQUAL(create_acl(&a, "User:alice", "t", ACL_READ), CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0); /* it is there */
        CU_ASSERT_EQUAL(create_acl(&a, "alice", "t", ACL_READ), CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(create_acl(&a, "User:alice", "", ACL_READ), CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(create_acl(&a, "User:alice", "t", ACL_OPERATION_ANY), CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(create_acl(&a, "User:bob", "*", ACL_WRITE), CONTROLLER_OK);
        CU_ASSERT_EQUAL(create_acl(&a, "User:bob", "u", ACL_WRITE), CONTROLLER_OK);
        two[0] = two[1] = a;
        two[0].entry.operation = two[1].entry.operation = ACL_ALL;
        ask(CONTROLLER_CREATE_ACLS, two, 2, false); /* the same twice is one */
        CU_ASSERT_EQUAL(emitted, 1);
        CU_ASSERT_EQUAL(image->acls.count, 4);
        ask(CONTROLLER_DELETE_ACLS, d, 3, false);
        CU_ASSERT_EQUAL(d[0].deleted_count, 1);
        CU_ASSERT(str_equal_c(d[0].deleted[0].principal, "User:alice"));
        CU_ASSERT_EQUAL(d[1].deleted_count, 1); /* of which one has gone already */
        CU_ASSERT(str_equal_c(d[1].deleted[0].resource_name, "*"));
        CU_ASSERT_EQUAL(d[2].result.outcome, CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(image->acls.count, 2);
        ask(CONTROLLER_DELETE_ACLS, d, 1, false);
        CU_ASSERT_EQUAL(d[0].result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(d[0].deleted_count, 0);
        teardown();
}

static const struct unit_case cases[] = {
        { "topic names", test_topic_names },
        { "numbers of partitions and replicas", test_topic_counts },
        { "validate only; items see each other", test_validate_only_and_two_in_one },
        { "manual assignments", test_manual_assignment },
        { "configurations of new topics", test_topic_configs },
        { "deletion by name and id", test_delete },
        { "more partitions", test_create_partitions },
        { "too large a request", test_too_large },
        { "altering configurations of a topic", test_alter_configs },
        { "altering those of brokers and groups", test_alter_other_resources },
        { "registration", test_registration },
        { "a node restarts", test_restart_of_a_node },
        { "heartbeats and leases", test_heartbeats_and_leases },
        { "stopping and unregistering", test_shutdown_and_unregister },
        { "unfencing needs the metadata", test_unfence_needs_metadata },
        { "features", test_features },
        { "producer ids", test_producer_ids },
        { "rules of access", test_acls },
};
UNIT_MAIN("decide", cases)
