/* Goal: brokers that are drained, decommissioned, stopped and balanced; the drain guard, the disruption token, and features
 * that every node must be able to do.
 * Method: small clusters told as stories; what every image must hold is checked beside it. */
#include <errno.h>

#include "controller-stage.h"

/* Leaders and replicas that a broker has. */
static int leads(int32_t id)
{
        const struct meta_topic *t;
        int count = 0;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++)
                        count += meta_topic_partition(t, (int32_t)i)->leader == id;
        return count;
}

static int holds(int32_t id)
{
        const struct meta_topic *t;
        int count = 0;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);

                        count += meta_ids_contain(meta_partition_replicas(p), p->replicas_count, id);
                }
        return count;
}

static int moving(void)
{
        const struct meta_topic *t;
        int count = 0;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++)
                        count += meta_topic_partition(t, (int32_t)i)->adding_count > 0;
        return count;
}

static struct controller_result duty(enum controller_op op, int32_t id)
{
        struct controller_broker_duty b = { .broker_id = id };

        ask(op, &b, 1, false);
        return b.result;
}

static void duties(void)
{
        struct decision d;

        start(&d);
        CU_ASSERT_EQUAL(decision_duties(&d), 0);
        commit(&d);
}

static bool balance(void)
{
        struct decision d;
        bool more;

        start(&d);
        CU_ASSERT_EQUAL(decision_balance(&d, &more), 0);
        commit(&d);
        return more;
}

/* Every leader finds every live replica in sync. */
static void catch_up(void)
{
        struct pmap topics = pmap_copy(&image->topics_by_id);
        const struct meta_topic *t;

        pmap_for_each (it, t, &topics)
                for (int32_t i = 0; i < (int32_t)t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(meta_image_topic_by_id(image, t->id), i);
                        struct controller_isr_member members[8];
                        struct controller_alter_partition a = { .broker_id = p->leader,
                                                                .topic_id = t->id,
                                                                .partition = i,
                                                                .leader_epoch = p->leader_epoch,
                                                                .partition_epoch = p->partition_epoch,
                                                                .isr = members };

                        if (p->leader == META_NO_NODE)
                                continue;
                        a.broker_epoch = meta_image_broker(image, p->leader)->epoch;
                        for (uint32_t k = 0; k < p->replicas_count; k++)
                                if (meta_image_broker_is_live(image, meta_partition_replicas(p)[k]))
                                        members[a.isr_count++] =
                                                (struct controller_isr_member){ meta_partition_replicas(p)[k], -1 };
                        ask(CONTROLLER_ALTER_PARTITION, &a, 1, false);
                }
        pmap_fini(&topics);
}

static void test_drain(void)
{
        struct controller_create_topic t;

        setup();
        brokers(4);
        create("t", 8, 3);
        create("alone", 4, 1);
        CU_ASSERT_EQUAL(duty(CONTROLLER_DRAIN_BROKER, 9).outcome, CONTROLLER_E_BROKER_UNKNOWN);
        CU_ASSERT_EQUAL(duty(CONTROLLER_DRAIN_BROKER, 1).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(leads(1), 1); /* of "alone", which nobody else has */
        CU_ASSERT(holds(1) > 1);      /* what it has it keeps, in sync */
        CU_ASSERT_EQUAL(duty(CONTROLLER_DRAIN_BROKER, 1).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0);
        t = create("new", 6, 3);
        CU_ASSERT_EQUAL(t.result.outcome, CONTROLLER_OK);
        for (int32_t i = 0; i < 6; i++)
                CU_ASSERT_FALSE(meta_ids_contain(meta_partition_replicas(part("new", i)), 3, 1));
        CU_ASSERT_EQUAL(create("wide", 1, 4).result.outcome, CONTROLLER_E_REPLICATION);
        beat(2, true, false); /* others are lost: it leads again only where it must */
        CU_ASSERT_EQUAL(leads(1), 1);
        beat(3, true, false);
        beat(4, true, false);
        CU_ASSERT(leads(1) > 1);
        beat(2, false, false);
        catch_up();
        duties(); /* and hands over when they are back */
        CU_ASSERT(leads(2) > 0);
        for (int32_t i = 0; i < 8; i++)
                CU_ASSERT(part("t", i)->leader != 1 || !meta_ids_contain(meta_partition_replicas(part("t", i)), 3, 2));
        CU_ASSERT_FALSE(balance());
        CU_ASSERT_EQUAL(duty(CONTROLLER_UNDRAIN_BROKER, 1).outcome, CONTROLLER_OK);
        catch_up();
        CU_ASSERT_FALSE(balance());
        for (int32_t i = 0; i < 8; i++)
                CU_ASSERT(meta_partition_replicas(part("t", i))[0] != 1 || part("t", i)->leader == 1);
        teardown();
}

static void test_duty_outlives_a_restart(void)
{
        struct controller_register_broker r;

        setup();
        brokers(2);
        duty(CONTROLLER_DRAIN_BROKER, 2);
        r = registration(2, 7, NULL);
        now_ms += 9001;
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(meta_image_broker(image, 2)->duty, META_DUTY_DRAINED);
        teardown();
}

static void test_decommission(void)
{
        int rounds = 0;

        setup();
        brokers(4);
        create("t", 20, 3);
        create("alone", 4, 1);
        beat(4, true, false);
        CU_ASSERT_EQUAL(duty(CONTROLLER_DECOMMISSION_BROKER, 1).outcome,
                        CONTROLLER_OK); /* fenced ones count: they come back */
        CU_ASSERT_EQUAL(duty(CONTROLLER_DRAIN_BROKER, 1).outcome, CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(duty(CONTROLLER_DECOMMISSION_BROKER, 2).outcome, CONTROLLER_E_TOO_FEW_BROKERS);
        beat(4, false, false);
        while (meta_image_broker(image, 1) && rounds++ < 50) {
                duties();
                CU_ASSERT(moving() <= 5);
                CU_ASSERT(moving() == 5 || holds(1) <= 5);
                catch_up();
        }
        CU_ASSERT_PTR_NULL(meta_image_broker(image, 1));
        CU_ASSERT_EQUAL(holds(1), 0);
        CU_ASSERT_EQUAL(moving(), 0);
        for (int32_t id = 2; id <= 4; id++)
                CU_ASSERT(holds(id) >= 20 && holds(id) <= 22); /* all of "t", a share of "alone" */
        duties();
        CU_ASSERT_EQUAL(emitted, 0);
        teardown();
}

/* ---- stopping ---- */

static void test_controlled_stop(void)
{
        struct controller_heartbeat h = { .broker_id = 1, .want_shutdown = true };

        setup();
        brokers(3);
        create("t", 6, 3);
        beat(2, false, false);
        beat(3, false, false);
        h.broker_epoch = meta_image_broker(image, 1)->epoch;
        h.applied_index = image->index;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT_EQUAL(leads(1), 0);
        CU_ASSERT_FALSE(h.should_shutdown); /* the others do not know yet */
        CU_ASSERT(meta_image_broker(image, 1)->in_shutdown);
        beat(2, false, false);
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT_FALSE(h.should_shutdown);
        beat(3, false, false);
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(h.should_shutdown);
        controller_leases_start(&memory.leases, image, now_ms, 9000); /* another controller: it asks anew */
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT_FALSE(h.should_shutdown);
        beat(2, false, false);
        beat(3, false, false);
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(h.should_shutdown);
        teardown();
}

static void test_guarded_stop(void)
{
        struct controller_heartbeat h = { .broker_id = 1, .want_shutdown = true, .guarded = true };

        setup();
        brokers(2);
        create("t", 1, 1);
        h.broker_id = part("t", 0)->leader;
        h.broker_epoch = meta_image_broker(image, h.broker_id)->epoch;
        h.applied_index = image->index;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(h.held && !h.should_shutdown && emitted == 0);
        CU_ASSERT(strstr(h.result.message.p, "t-0") != NULL);
        h.guarded = false;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(!h.held && meta_image_broker(image, h.broker_id)->in_shutdown);
        teardown();
}

static void test_fenced_must_know(void)
{
        struct controller_heartbeat h = { .broker_id = 1 };
        int64_t old;
        struct decision d;

        setup();
        brokers(2);
        old = image->index;
        now_ms += 9001;
        beat(2, false, false);
        start(&d);
        CU_ASSERT_EQUAL(decision_expire_leases(&d, &(int64_t){ 0 }), 0);
        commit(&d);
        CU_ASSERT(meta_image_broker(image, 1)->fenced);
        h.broker_epoch = meta_image_broker(image, 1)->epoch;
        h.applied_index = old;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(h.fenced && !h.caught_up);
        h.applied_index = image->index;
        ask(CONTROLLER_HEARTBEAT, &h, 1, false);
        CU_ASSERT(!h.fenced);
        teardown();
}

static void test_unregister_alive(void)
{
        struct controller_unregister_broker u = { .broker_id = 1 };

        setup();
        brokers(1);
        ask(CONTROLLER_UNREGISTER_BROKER, &u, 1, false);
        CU_ASSERT_EQUAL(u.result.outcome, CONTROLLER_E_INVALID);
        beat(1, true, false);
        ask(CONTROLLER_UNREGISTER_BROKER, &u, 1, false);
        CU_ASSERT_EQUAL(u.result.outcome, CONTROLLER_OK);
        teardown();
}

/* ---- guard and token ---- */

static struct controller_guard judge(int32_t id, bool quorum)
{
        struct controller_guard g = { .node_id = id, .quorum_would_be_lost = quorum };

        ask(CONTROLLER_GUARD, &g, 1, false);
        CU_ASSERT_EQUAL(g.result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0);
        return g;
}

static void set_min_isr(const char *topic, const char *value)
{
        struct controller_config_change c = { STR_LIT("min.insync.replicas"), CONTROLLER_CONFIG_SET, str_of(value) };
        struct controller_alter_configs a = {
                .type = META_RESOURCE_TOPIC, .name = str_of(topic), .changes = &c, .changes_count = 1
        };

        ask(CONTROLLER_ALTER_CONFIGS, &a, 1, false);
}

static void test_guard(void)
{
        struct controller_guard g;

        setup();
        brokers(3);
        create("t", 7, 3);
        set_min_isr("t", "2");
        g = judge(1, false);
        CU_ASSERT(g.safe && !g.below_min_isr && !g.offline && str_is_null(g.partitions));
        g = judge(1, true);
        CU_ASSERT(!g.safe && !g.below_min_isr);
        beat(3, true, false);
        g = judge(1, false); /* two are left of three, and two must be */
        CU_ASSERT(!g.safe && g.below_min_isr == 7 && g.offline == 0);
        CU_ASSERT(str_equal_c(g.partitions, "t-0, t-1, t-2, t-3, t-4"));
        g = judge(3, false); /* it serves nothing */
        CU_ASSERT(g.safe);
        set_min_isr("t", "1");
        CU_ASSERT(judge(1, false).safe);
        beat(2, true, false);
        g = judge(1, false);
        CU_ASSERT(!g.safe && g.below_min_isr == 7 && g.offline == 7);
        CU_ASSERT(judge(99, false).safe);
        teardown();
}

static struct controller_disruption token(enum controller_disruption_op op, const char *who, int32_t node,
                                          const char *why)
{
        struct controller_disruption x = {
                .op = op, .who = str_of(who), .node_id = node, .reason = str_of(why), .ttl_ms = 60000
        };

        ask(CONTROLLER_DISRUPTION, &x, 1, false);
        return x;
}

static void test_token(void)
{
        struct controller_disruption x;

        setup();
        brokers(3);
        create("t", 3, 3);
        x = token(CONTROLLER_DISRUPTION_ACQUIRE, "ann", 1, "kernel");
        CU_ASSERT(x.result.outcome == CONTROLLER_OK && x.until_ms == wall_ms + 60000);
        CU_ASSERT(str_equal_c(image->disruption->holder, "ann") && image->disruption->node_id == 1);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_ACQUIRE, "bob", 2, "disk").result.outcome,
                        CONTROLLER_E_DISRUPTION_HELD);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_RELEASE, "bob", 2, "").result.outcome,
                        CONTROLLER_E_DISRUPTION_HELD);
        wall_ms += 1000;
        x = token(CONTROLLER_DISRUPTION_ACQUIRE, "ann", 1, "kernel"); /* prolonged */
        CU_ASSERT(x.result.outcome == CONTROLLER_OK && x.until_ms == wall_ms + 60000);
        wall_ms += 60000;
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_ACQUIRE, "bob", 2, "disk").result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_OVERRIDE, "ann", 1, "").result.outcome, CONTROLLER_E_INVALID);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_OVERRIDE, "ann", 1, "fire").result.outcome, CONTROLLER_OK);
        CU_ASSERT(str_equal_c(image->disruption->holder, "ann") && str_equal_c(image->disruption->override_by, "ann") &&
                  str_equal_c(image->disruption->override_of, "bob") &&
                  str_equal_c(image->disruption->override_reason, "fire") && image->disruption->override_ms == wall_ms);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_RELEASE, "ann", 1, "").result.outcome, CONTROLLER_OK);
        CU_ASSERT(str_is_null(image->disruption->holder) && str_equal_c(image->disruption->override_by, "ann"));
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_RELEASE, "ann", 1, "").result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_ACQUIRE, "", 1, "").result.outcome, CONTROLLER_E_INVALID);
        beat(2, true, false);
        beat(3, true, false);
        x = token(CONTROLLER_DISRUPTION_ACQUIRE, "bob", 1, "disk");
        CU_ASSERT_EQUAL(x.result.outcome, CONTROLLER_E_UNSAFE_TO_STOP);
        CU_ASSERT(strstr(x.result.message.p, "3 partitions") && strstr(x.result.message.p, "t-0"));
        CU_ASSERT_EQUAL(emitted, 0);
        CU_ASSERT_EQUAL(token(CONTROLLER_DISRUPTION_OVERRIDE, "bob", 1, "disk").result.outcome, CONTROLLER_OK);
        CU_ASSERT(str_is_null(image->disruption->override_of));
        teardown();
}

/* ---- balance ---- */

static void test_balance(void)
{
        setup();
        brokers(3);
        create("t", 30, 3);
        rules.balance_max = 4;
        beat(1, true, false);
        beat(1, false, false);
        CU_ASSERT_EQUAL(leads(1), 0);
        CU_ASSERT_FALSE(balance()); /* it is not in sync */
        CU_ASSERT_EQUAL(emitted, 0);
        catch_up();
        CU_ASSERT(balance()); /* so many in a round */
        CU_ASSERT_EQUAL(leads(1), 4);
        rules.imbalance_percent = 60;
        CU_ASSERT_FALSE(balance()); /* 6 of 10 are not more than 60 in 100 */
        CU_ASSERT_EQUAL(leads(1), 4);
        rules.imbalance_percent = 10;
        CU_ASSERT(balance());
        CU_ASSERT(!balance() && leads(1) == 10);
        beat(2, true, false);
        beat(2, false, false);
        catch_up();
        duty(CONTROLLER_DRAIN_BROKER, 2);
        CU_ASSERT_FALSE(balance()); /* a drain forbids it */
        CU_ASSERT_EQUAL(leads(2), 0);
        duty(CONTROLLER_UNDRAIN_BROKER, 2);
        {
                struct controller_reassign r = { .topic = STR_LIT("t") };
                int32_t to[3];

                for (int32_t i = 0; i < 30; i++)
                        if (meta_partition_replicas(part("t", i))[0] == 2 &&
                            part("t", i)->leader == meta_partition_replicas(part("t", i))[1])
                                r.partition = i;
                memcpy(to, meta_partition_replicas(part("t", r.partition)), sizeof to);
                beat(to[2], true, false);
                to[1] = to[2]; /* who leads is to go, but stays for as long as this one is not in sync */
                r.replicas = to;
                r.replicas_count = 2;
                ask(CONTROLLER_ALTER_REASSIGNMENTS, &r, 1, false);
                CU_ASSERT_EQUAL(part("t", r.partition)->removing_count, 1);
                rules.balance_max = 100;
                CU_ASSERT_FALSE(balance());
                CU_ASSERT(part("t", r.partition)->leader != 2); /* it moves, so it is left alone */
                for (int32_t i = 0; i < 30; i++)
                        CU_ASSERT(i == r.partition || meta_partition_replicas(part("t", i))[0] != 2 ||
                                  part("t", i)->leader == 2);
        }
        teardown();
}

/* ---- features ---- */

static struct controller_result feature(const char *name, int16_t level, enum controller_feature_change change)
{
        struct controller_update_feature f = { .name = str_of(name), .level = level, .change = change };

        ask(CONTROLLER_UPDATE_FEATURES, &f, 1, false);
        return f.result;
}

static void test_features(void)
{
        static const struct controller_feature known[] = { { "metadata.version", 1, 21, 20, 15 },
                                                           { "transaction.version", 0, 2, 2 } };
        struct rec_broker_feature old[] = { { STR_LIT("metadata.version"), 1, 20 },
                                            { STR_LIT("transaction.version"), 0, 2 } };
        struct rec_broker_feature new[] = { { STR_LIT("metadata.version"), 1, 21 },
                                            { STR_LIT("transaction.version"), 0, 2 } };
        struct controller_ability other = { 2, true, old, 2 };
        struct controller_register_broker r;
        struct controller_update_feature two[2] = {
                { .name = STR_LIT("transaction.version"), .level = 1, .change = CONTROLLER_FEATURE_SAFE_DOWNGRADE },
                { .name = STR_LIT("metadata.version"), .level = 99 },
        };

        setup();
        rules.features = known;
        others = &other;
        others_count = 1;
        brokers(1);
        CU_ASSERT_EQUAL(feature("metadata.version", 21, CONTROLLER_FEATURE_UPGRADE).outcome, CONTROLLER_E_FEATURE);
        r = registration(1, 5, NULL); /* the broker is upgraded */
        r.broker.features = new;
        r.broker.features_count = ARRAY_LEN(new);
        now_ms += 9001;
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
        CU_ASSERT(strstr(feature("metadata.version", 21, CONTROLLER_FEATURE_UPGRADE).message.p, "Controller 2") !=
                  NULL);
        other.is_known = false;
        other.features_count = 0;
        CU_ASSERT(strstr(feature("metadata.version", 21, CONTROLLER_FEATURE_UPGRADE).message.p,
                         "Controller 2 is not") != NULL);
        other = (struct controller_ability){ 2, true, new, 2 };
        CU_ASSERT_EQUAL(feature("metadata.version", 21, CONTROLLER_FEATURE_SAFE_DOWNGRADE).outcome,
                        CONTROLLER_E_FEATURE);
        CU_ASSERT_EQUAL(feature("metadata.version", 21, CONTROLLER_FEATURE_UPGRADE).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(meta_image_feature_level(image, STR_LIT("metadata.version")), 21);
        r = registration(2, 1, NULL); /* an old one may not join any more */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_FEATURE);
        CU_ASSERT_EQUAL(feature("metadata.version", 15, CONTROLLER_FEATURE_UPGRADE).outcome, CONTROLLER_E_FEATURE);
        CU_ASSERT_EQUAL(feature("metadata.version", 14, CONTROLLER_FEATURE_SAFE_DOWNGRADE).outcome,
                        CONTROLLER_E_FEATURE);
        CU_ASSERT_EQUAL(feature("metadata.version", 15, CONTROLLER_FEATURE_SAFE_DOWNGRADE).outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(feature("metadata.version", 14, CONTROLLER_FEATURE_UNSAFE_DOWNGRADE).outcome, CONTROLLER_OK);
        ask(CONTROLLER_UPDATE_FEATURES, two, 2, false); /* all or none */
        CU_ASSERT_EQUAL(two[1].result.outcome, CONTROLLER_E_FEATURE);
        CU_ASSERT_EQUAL(emitted, 0);
        CU_ASSERT_EQUAL(meta_image_feature_level(image, STR_LIT("transaction.version")), 2);
        teardown();
}

static const struct unit_case cases[] = {
        { "drain", test_drain },
        { "a duty outlives a restart", test_duty_outlives_a_restart },
        { "decommission", test_decommission },
        { "a controlled stop", test_controlled_stop },
        { "a guarded stop", test_guarded_stop },
        { "a fenced broker must know of it", test_fenced_must_know },
        { "a live broker is not forgotten", test_unregister_alive },
        { "the drain guard", test_guard },
        { "the disruption token", test_token },
        { "balance", test_balance },
        { "features", test_features },
};
UNIT_MAIN("controller, duties", cases)
