/* Goal: the rules of change.h, one by one: who is in the ISR, who leads, what ELR keeps, when epochs grow, how a reassignment
 * ends; and AlterPartition's compare-and-set.
 * Method: one partition on three or four brokers, told as a story; what every image must hold is checked beside it. */
#include <errno.h>

#include "controller-stage.h"

static const struct meta_partition *t0(void)
{
        return part("t", 0);
}

/* "1 2 3" */
static bool is(const int32_t *ids, uint32_t count, const char *want)
{
        char text[64] = "";
        size_t len = 0;

        for (uint32_t i = 0; i < count; i++)
                len += (size_t)snprintf(text + len, sizeof text - len, "%s%d", i ? " " : "", ids[i]);
        if (strcmp(text, want))
                printf("'%s' instead of '%s' ", text, want);
        return !strcmp(text, want);
}

#define REPLICAS(want) CU_ASSERT(is(meta_partition_replicas(t0()), t0()->replicas_count, want))
#define ISR(want) CU_ASSERT(is(meta_partition_isr(t0()), t0()->isr_count, want))
#define ELR(want) CU_ASSERT(is(meta_partition_elr(t0()), t0()->elr_count, want))
#define KNOWN(want) CU_ASSERT(is(meta_partition_last_known_elr(t0()), t0()->last_known_elr_count, want))
#define MOVING(added, removed) \
        CU_ASSERT(is(meta_partition_adding(t0()), t0()->adding_count, added) && \
                  is(meta_partition_removing(t0()), t0()->removing_count, removed))
#define LEADER(id, epoch) CU_ASSERT(t0()->leader == (id) && t0()->leader_epoch == (epoch))

static void set_topic(const char *name, const char *value)
{
        struct controller_config_change c = { str_of(name), value ? CONTROLLER_CONFIG_SET : CONTROLLER_CONFIG_DELETE,
                                              str_of(value) };
        struct controller_alter_configs a = {
                .type = META_RESOURCE_TOPIC, .name = STR_LIT("t"), .changes = &c, .changes_count = 1
        };

        ask(CONTROLLER_ALTER_CONFIGS, &a, 1, false);
        CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_OK);
}

static void stage(int32_t brokers_count, const int32_t *replicas, int32_t count, const char *min_isr)
{
        struct controller_assignment assignment = { 0, replicas, count };
        struct controller_create_topic t = { .name = STR_LIT("t"),
                                             .partitions_count = -1,
                                             .replication_factor = -1,
                                             .assignments = &assignment,
                                             .assignments_count = 1 };

        setup();
        brokers(brokers_count);
        ask(CONTROLLER_CREATE_TOPICS, &t, 1, false);
        CU_ASSERT_EQUAL_FATAL(t.result.outcome, CONTROLLER_OK);
        set_topic("min.insync.replicas", min_isr);
}

static const int32_t r123[] = { 1, 2, 3 }, r1[] = { 1 }, r12[] = { 1, 2 };

static void lose(int32_t id)
{
        CU_ASSERT_EQUAL(beat(id, true, false), CONTROLLER_OK);
}

static void come_back(int32_t id)
{
        CU_ASSERT_EQUAL(beat(id, false, false), CONTROLLER_OK);
}

/* The leader asks for an ISR, as it knows the partition now. */
static struct controller_alter_partition alter_as(int32_t id, const int32_t *isr, int32_t count)
{
        static struct controller_isr_member members[8];
        struct controller_alter_partition a = { .broker_id = id,
                                                .broker_epoch = meta_image_broker(image, id)->epoch,
                                                .topic_id = meta_image_topic(image, STR_LIT("t"))->id,
                                                .leader_epoch = t0()->leader_epoch,
                                                .partition_epoch = t0()->partition_epoch,
                                                .isr = members,
                                                .isr_count = count };

        for (int32_t i = 0; i < count; i++)
                members[i] = (struct controller_isr_member){ isr[i], meta_image_broker(image, isr[i])->epoch };
        return a;
}

static enum controller_outcome alter(int32_t id, const int32_t *isr, int32_t count)
{
        struct controller_alter_partition a = alter_as(id, isr, count);

        ask(CONTROLLER_ALTER_PARTITION, &a, 1, false);
        CU_ASSERT(a.state.leader == t0()->leader && a.state.leader_epoch == t0()->leader_epoch);
        CU_ASSERT(a.state.partition_epoch == t0()->partition_epoch && a.state.isr_count == t0()->isr_count);
        return a.result.outcome;
}

static enum controller_outcome restart(int32_t id, bool clean, bool same_boot, bool lost)
{
        struct controller_register_broker r = registration(id, 0, NULL);
        struct controller_partition p = { meta_image_topic(image, STR_LIT("t"))->id, 0 };
        static uint8_t incarnation = 10;

        r.broker.incarnation.b[0] = ++incarnation;
        r.previous_epoch = clean ? meta_image_broker(image, id)->epoch : -1;
        r.same_boot = same_boot;
        r.lost = &p;
        r.lost_count = lost;
        controller_leases_start(&memory.leases, image, now_ms, 9000); /* nobody is heard of yet */
        ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
        return r.result.outcome;
}

/* ---- ISR, ELR, elections ---- */

static void test_elr(void)
{
        stage(3, r123, 3, "2");
        lose(2);
        ISR("1 3");
        ELR("");
        lose(1); /* below min ISR now: 1 has everything */
        ISR("3");
        ELR("1");
        LEADER(3, 1);
        lose(3);
        ISR("3"); /* the last stays */
        ELR("1");
        LEADER(META_NO_NODE, 2);
        come_back(2); /* it was out before: not eligible */
        LEADER(META_NO_NODE, 2);
        come_back(1); /* it is */
        LEADER(1, 3);
        ISR("1");
        ELR("3");
        come_back(3);
        CU_ASSERT_EQUAL(alter(1, (int32_t[]){ 1, 3 }, 2), CONTROLLER_OK);
        ISR("1 3");
        ELR(""); /* min ISR is reached */
        teardown();
}

static void test_slow_follower_goes_into_elr(void)
{
        stage(3, r123, 3, "3");
        CU_ASSERT_EQUAL(alter(1, (int32_t[]){ 1, 2 }, 2), CONTROLLER_OK);
        ELR("3");
        LEADER(1, 0); /* an ISR change is no election */
        CU_ASSERT_EQUAL(t0()->partition_epoch, 1);
        set_topic("min.insync.replicas", "2"); /* from now on 1 and 2 acknowledge without 3 */
        ELR("");
        teardown();
}

static void test_min_isr_is_bounded_by_replicas(void)
{
        stage(3, r12, 2, "3");
        lose(2);
        ISR("1");
        ELR("2");
        come_back(2);
        CU_ASSERT_EQUAL(alter(1, r12, 2), CONTROLLER_OK); /* two of two are enough */
        ELR("");
        teardown();
}

static void test_lost_together(void)
{
        struct decision d;
        int64_t next;

        stage(3, r123, 3, "1");
        set_topic("unclean.leader.election.enable", "true");
        now_ms += 9001;
        start(&d);
        CU_ASSERT_EQUAL(decision_expire_leases(&d, &next), 0);
        CU_ASSERT(strstr(d.news, "broker 1 2 3") != NULL);
        commit(&d);
        LEADER(META_NO_NODE, 1); /* one election, not three */
        ISR("1 2 3");
        CU_ASSERT_FALSE(t0()->recovering);
        come_back(3); /* any of them has everything */
        LEADER(3, 2);
        ISR("3");
        teardown();
}

/* ---- unclean ---- */

static void test_unclean(void)
{
        struct controller_elect_leader e = { .topic = STR_LIT("t"), .type = CONTROLLER_ELECT_UNCLEAN };

        stage(3, r123, 3, "1");
        ask(CONTROLLER_ELECT_LEADERS, &e, 1, false);
        CU_ASSERT_EQUAL(e.result.outcome, CONTROLLER_E_ELECTION_NOT_NEEDED);
        lose(2);
        lose(3);
        lose(1);
        ISR("1");
        ask(CONTROLLER_ELECT_LEADERS, &e, 1, false);
        CU_ASSERT_EQUAL(e.result.outcome, CONTROLLER_E_ELIGIBLE_NOT_AVAILABLE);
        come_back(3);
        LEADER(META_NO_NODE, 1);
        ask(CONTROLLER_ELECT_LEADERS, &e, 1, false); /* asked for, and recorded */
        CU_ASSERT_EQUAL(e.result.outcome, CONTROLLER_OK);
        LEADER(3, 2);
        ISR("3");
        ELR("");
        CU_ASSERT(t0()->recovering);
        come_back(2);
        {
                struct controller_alter_partition a = alter_as(3, (int32_t[]){ 3, 2 }, 2);

                a.recovering = true; /* not with others in the ISR */
                ask(CONTROLLER_ALTER_PARTITION, &a, 1, false);
                CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_E_INVALID);
        }
        CU_ASSERT_EQUAL(alter(3, (int32_t[]){ 3, 2 }, 2), CONTROLLER_OK);
        CU_ASSERT_FALSE(t0()->recovering);
        {
                struct controller_alter_partition a = alter_as(3, (int32_t[]){ 3 }, 1);

                a.recovering = true; /* nor again */
                ask(CONTROLLER_ALTER_PARTITION, &a, 1, false);
                CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_E_INVALID);
        }
        teardown();
}

static void test_unclean_by_configuration(void)
{
        stage(2, r12, 2, "1");
        lose(2);
        lose(1);
        come_back(2);
        LEADER(META_NO_NODE, 1);
        set_topic("unclean.leader.election.enable", "true"); /* counts for what waits already */
        LEADER(2, 2);
        CU_ASSERT(t0()->recovering);
        come_back(1);
        CU_ASSERT_EQUAL(alter(2, r12, 2), CONTROLLER_OK);
        lose(1);
        lose(2); /* and from now on */
        come_back(1);
        LEADER(1, 4);
        CU_ASSERT(t0()->recovering);
        teardown();
}

/* ---- unclean stops ---- */

static void test_durable_keeps_its_place(void)
{
        stage(2, r12, 2, "2");
        lose(2);
        lose(1);
        ISR("1");
        ELR("2");
        CU_ASSERT_EQUAL(restart(1, false, false, false), CONTROLLER_OK); /* the rack lost power */
        CU_ASSERT_EQUAL(restart(2, false, false, false), CONTROLLER_OK);
        ISR("1");
        ELR("2");
        come_back(2);
        LEADER(2, 2);
        teardown();
}

static void test_lost_leaves(void)
{
        stage(2, r12, 2, "2");
        lose(2);
        lose(1);
        CU_ASSERT_EQUAL(restart(2, false, false, true), CONTROLLER_OK);
        ISR("1");
        ELR("");
        CU_ASSERT_EQUAL(restart(1, true, true, true), CONTROLLER_OK); /* also after a clean stop, when it says so */
        ISR("");
        KNOWN("1");
        come_back(1);
        come_back(2);
        LEADER(META_NO_NODE, 1); /* an operator must say what counts */
        {
                struct controller_elect_leader e = { .topic = STR_LIT("t"), .type = CONTROLLER_ELECT_UNCLEAN };

                ask(CONTROLLER_ELECT_LEADERS, &e, 1, false);
                CU_ASSERT_EQUAL(e.result.outcome, CONTROLLER_OK);
        }
        LEADER(1, 2); /* who led last */
        KNOWN("");
        CU_ASSERT(t0()->recovering);
        teardown();
}

static void test_relaxed(void)
{
        stage(2, r12, 2, "2");
        set_topic("chronik.flush.before.ack", "false");
        lose(2);
        lose(1);
        CU_ASSERT_EQUAL(restart(2, false, true, false), CONTROLLER_OK); /* only the process ended */
        ELR("2");
        CU_ASSERT_EQUAL(restart(2, false, false, false), CONTROLLER_OK);
        ELR("");
        CU_ASSERT_EQUAL(restart(1, true, false, false), CONTROLLER_OK); /* a clean stop flushes */
        ISR("1");
        CU_ASSERT_EQUAL(restart(1, false, false, false), CONTROLLER_OK);
        ISR("");
        KNOWN("1");
        come_back(2);
        LEADER(META_NO_NODE, 1);
        come_back(1); /* Kafka's promise: who led last leads again */
        LEADER(1, 2);
        CU_ASSERT(t0()->recovering);
        teardown();
}

static void test_relaxed_on_one_broker(void)
{
        struct controller_config_change c = { STR_LIT("chronik.flush.before.ack"), CONTROLLER_CONFIG_SET,
                                              STR_LIT("false") };
        struct controller_alter_configs a = {
                .type = META_RESOURCE_BROKER, .name = STR_LIT("2"), .changes = &c, .changes_count = 1
        };

        stage(2, r12, 2, "2");
        ask(CONTROLLER_ALTER_CONFIGS, &a, 1, false);
        CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_OK);
        lose(2);
        ELR("2");
        CU_ASSERT_EQUAL(restart(2, false, false, false), CONTROLLER_OK);
        ELR("");
        teardown();
}

static void test_only_replica(void)
{
        struct uuid other = { { 0xee } };

        stage(2, r1, 1, "1");
        set_topic("chronik.flush.before.ack", "false");
        lose(1);
        LEADER(META_NO_NODE, 1);
        CU_ASSERT_EQUAL(restart(1, false, false, true), CONTROLLER_OK);
        come_back(1);
        LEADER(1, 2); /* it goes on with what it has */
        CU_ASSERT_FALSE(t0()->recovering);
        CU_ASSERT_EQUAL(restart(1, false, false, false), CONTROLLER_OK);
        LEADER(1, 3); /* in a new epoch, at once */
        set_topic("chronik.flush.before.ack", NULL);
        dirs[1] = other; /* another disk: registration() would set it back */
        {
                struct controller_register_broker r = registration(1, 99, NULL);

                dirs[1] = other;
                r.previous_epoch = meta_image_broker(image, 1)->epoch;
                controller_leases_start(&memory.leases, image, now_ms, 9000);
                ask(CONTROLLER_REGISTER_BROKER, &r, 1, false);
                CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_OK);
        }
        ISR("");
        KNOWN("1");
        CU_ASSERT(uuid_equal(meta_partition_directories(t0())[0], other));
        come_back(1);
        LEADER(META_NO_NODE, 4); /* an empty disk is not taken for the partition */
        memset(&dirs[1], 0, sizeof dirs[1]);
        teardown();
}

static void test_report_of_a_live_broker(void)
{
        struct controller_report_loss l = { .broker_id = 1 };

        stage(2, r12, 2, "1");
        l.topic_id = meta_image_topic(image, STR_LIT("t"))->id;
        l.broker_epoch = meta_image_broker(image, 1)->epoch - 1;
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false);
        CU_ASSERT_EQUAL(l.result.outcome, CONTROLLER_E_BROKER_EPOCH);
        l.broker_epoch++;
        l.partition = 5;
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false);
        CU_ASSERT_EQUAL(l.result.outcome, CONTROLLER_E_PARTITION_UNKNOWN);
        l.partition = 0;
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false);
        CU_ASSERT_EQUAL(l.result.outcome, CONTROLLER_OK);
        LEADER(2, 1);
        ISR("2");
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false); /* not in the ISR: the leader must ask anew how far it is */
        LEADER(2, 2);
        teardown();
}

/* A disk that takes no more, with all that was acknowledged on it. */
static void test_report_of_a_complete_replica(void)
{
        struct controller_report_loss l = { .broker_id = 1, .is_complete = true };

        stage(2, r12, 2, "1");
        l.topic_id = meta_image_topic(image, STR_LIT("t"))->id;
        l.broker_epoch = meta_image_broker(image, 1)->epoch;
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false);
        CU_ASSERT_EQUAL(l.result.outcome, CONTROLLER_OK);
        LEADER(2, 1); /* somebody else, while there is one */
        ISR("2");
        l.broker_id = 2;
        l.broker_epoch = meta_image_broker(image, 2)->epoch;
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false);
        CU_ASSERT_EQUAL(l.result.outcome, CONTROLLER_OK);
        ISR("2"); /* the last one stays */
        CU_ASSERT_EQUAL(restart(2, false, false, false), CONTROLLER_OK);
        come_back(2);
        ISR("2");
        CU_ASSERT_EQUAL(t0()->leader, 2);
        l.is_complete = false;
        l.broker_epoch = meta_image_broker(image, 2)->epoch;
        ask(CONTROLLER_REPORT_LOSS, &l, 1, false);
        ISR(""); /* unless it may miss something */
        teardown();
}

/* ---- AlterPartition ---- */

static void test_compare_and_set(void)
{
        struct controller_alter_partition a;

        stage(4, r123, 3, "1");
#define REFUSED(change, want) \
        do { \
                a = alter_as(1, r123, 2); \
                change; \
                ask(CONTROLLER_ALTER_PARTITION, &a, 1, false); \
                CU_ASSERT_EQUAL(a.result.outcome, want); \
                CU_ASSERT_EQUAL(emitted, 0); \
        } while (0)
        REFUSED(a.broker_epoch--, CONTROLLER_E_BROKER_EPOCH);
        REFUSED(a.broker_id = 9, CONTROLLER_E_BROKER_UNKNOWN);
        REFUSED(a.topic_id.b[0] ^= 1, CONTROLLER_E_TOPIC_ID_UNKNOWN);
        REFUSED(a.partition = 1, CONTROLLER_E_PARTITION_UNKNOWN);
        REFUSED(a.leader_epoch++, CONTROLLER_E_AHEAD);
        REFUSED(a.partition_epoch++, CONTROLLER_E_AHEAD);
        REFUSED(a.leader_epoch--, CONTROLLER_E_LEADER_EPOCH);
        REFUSED(a.partition_epoch--, CONTROLLER_E_PARTITION_EPOCH);
        REFUSED((a.broker_id = 2, a.broker_epoch = meta_image_broker(image, 2)->epoch), CONTROLLER_E_INVALID);
        REFUSED(a = alter_as(1, (int32_t[]){ 2, 3 }, 2), CONTROLLER_E_INVALID);    /* without the leader */
        REFUSED(a = alter_as(1, (int32_t[]){ 1, 4 }, 2), CONTROLLER_E_INVALID);    /* no replica */
        REFUSED(a = alter_as(1, (int32_t[]){ 1, 2, 2 }, 3), CONTROLLER_E_INVALID); /* twice */
        REFUSED(((struct controller_isr_member *)a.isr)[1].broker_epoch--, CONTROLLER_E_INELIGIBLE);
        lose(3);
        CU_ASSERT_EQUAL(alter(1, r123, 3), CONTROLLER_E_INELIGIBLE); /* fenced */
        come_back(3);
        CU_ASSERT_EQUAL(alter(1, r123, 3), CONTROLLER_OK);
        CU_ASSERT_EQUAL(beat(3, false, true), CONTROLLER_OK);
        ISR("1 2");
        CU_ASSERT_EQUAL(alter(1, r123, 3), CONTROLLER_E_INELIGIBLE); /* stopping */
        a = alter_as(1, r12, 2);
        ask(CONTROLLER_ALTER_PARTITION, &a, 1, false); /* what is so already */
        CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_OK);
        CU_ASSERT_EQUAL(emitted, 0);
        CU_ASSERT_EQUAL(a.state.min_isr, 1);
#undef REFUSED
        teardown();
}

/* A leader that stops and was alone hands over when somebody has caught up. */
static void test_handing_over(void)
{
        stage(2, r12, 2, "1");
        CU_ASSERT_EQUAL(alter(1, r1, 1), CONTROLLER_OK);
        CU_ASSERT_EQUAL(beat(1, false, true), CONTROLLER_OK);
        LEADER(1, 0);
        CU_ASSERT_EQUAL(alter(1, r12, 2), CONTROLLER_E_NEW_LEADER);
        LEADER(2, 1);
        ISR("2");
        teardown();
}

/* ---- reassignment ---- */

static enum controller_outcome move(const int32_t *to, int32_t count)
{
        struct controller_reassign r = {
                .topic = STR_LIT("t"), .cancel = !to, .replicas = to, .replicas_count = count
        };

        ask(CONTROLLER_ALTER_REASSIGNMENTS, &r, 1, false);
        return r.result.outcome;
}

static void test_reassignment(void)
{
        static const int32_t to[] = { 4, 2 };

        stage(4, r12, 2, "1");
        CU_ASSERT_EQUAL(move(to, 2), CONTROLLER_OK);
        REPLICAS("4 2 1");
        MOVING("4", "1");
        LEADER(1, 0);
        CU_ASSERT(uuid_equal(meta_partition_directories(t0())[0], dirs[4]));
        CU_ASSERT(uuid_equal(meta_partition_directories(t0())[2], dirs[1]));
        CU_ASSERT_EQUAL(alter(1, (int32_t[]){ 1, 4 }, 2), CONTROLLER_OK); /* 2 is a target and not in sync */
        MOVING("4", "1");
        CU_ASSERT_EQUAL(alter(1, (int32_t[]){ 1, 2, 4 }, 3), CONTROLLER_E_NEW_LEADER);
        REPLICAS("4 2");
        MOVING("", "");
        ISR("2 4");
        LEADER(4, 1);
        CU_ASSERT(uuid_equal(meta_partition_directories(t0())[1], dirs[2]));
        CU_ASSERT_EQUAL(move((int32_t[]){ 2, 4 }, 2), CONTROLLER_OK); /* another order: done at once */
        REPLICAS("2 4");
        LEADER(4, 1);                                              /* who prefers comes with the next balancing */
        CU_ASSERT_EQUAL(move((int32_t[]){ 2 }, 1), CONTROLLER_OK); /* fewer: at once, fencing the other */
        REPLICAS("2");
        LEADER(2, 2);
        teardown();
}

static void test_reassignment_cancelled_and_replaced(void)
{
        static const int32_t to34[] = { 3, 4 }, to24[] = { 2, 4 };

        stage(4, r12, 2, "1");
        CU_ASSERT_EQUAL(move(NULL, 0), CONTROLLER_E_NO_REASSIGNMENT);
        CU_ASSERT_EQUAL(move(to34, 2), CONTROLLER_OK);
        REPLICAS("3 4 1 2");
        CU_ASSERT_EQUAL(alter(1, (int32_t[]){ 1, 2, 3 }, 3), CONTROLLER_OK);
        CU_ASSERT_EQUAL(move(to24, 2), CONTROLLER_OK); /* another one instead: 3 goes, 4 stays on its way */
        REPLICAS("2 4 1");
        MOVING("4", "1");
        ISR("1 2");
        LEADER(1, 1); /* a replica was taken away */
        CU_ASSERT_EQUAL(move(NULL, 0), CONTROLLER_OK);
        REPLICAS("2 1");
        MOVING("", "");
        ISR("1 2");
        CU_ASSERT_EQUAL(move(to34, 2), CONTROLLER_OK);
        CU_ASSERT_EQUAL(alter(1, (int32_t[]){ 1, 3 }, 2), CONTROLLER_OK);
        lose(1); /* 3, which is new, is all that is in sync */
        ISR("3");
        LEADER(3, 3);
        CU_ASSERT_EQUAL(move(NULL, 0), CONTROLLER_E_ASSIGNMENT);
        ISR("3");
        teardown();
}

static void test_reassignment_refused(void)
{
        static const int32_t many[40] = { 1, 2 };
        struct controller_reassign r = {
                .topic = STR_LIT("t"), .keep_factor = true, .replicas = r123, .replicas_count = 3
        };

        stage(4, r12, 2, "1");
        CU_ASSERT_EQUAL(move(r12, 0), CONTROLLER_E_ASSIGNMENT);
        CU_ASSERT_EQUAL(move((int32_t[]){ 1, 1 }, 2), CONTROLLER_E_ASSIGNMENT);
        CU_ASSERT_EQUAL(move((int32_t[]){ 1, 7 }, 2), CONTROLLER_E_ASSIGNMENT);
        CU_ASSERT_EQUAL(move(many, 40), CONTROLLER_E_ASSIGNMENT);
        ask(CONTROLLER_ALTER_REASSIGNMENTS, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_REPLICATION);
        r.partition = 3;
        ask(CONTROLLER_ALTER_REASSIGNMENTS, &r, 1, false);
        CU_ASSERT_EQUAL(r.result.outcome, CONTROLLER_E_PARTITION_UNKNOWN);
        CU_ASSERT_EQUAL(t0()->partition_epoch, 0);
        teardown();
}

static const struct unit_case cases[] = {
        { "ELR below min ISR", test_elr },
        { "a slow follower, and another min ISR", test_slow_follower_goes_into_elr },
        { "min ISR is bounded by the replicas", test_min_isr_is_bounded_by_replicas },
        { "lost together", test_lost_together },
        { "unclean when asked for", test_unclean },
        { "unclean by configuration", test_unclean_by_configuration },
        { "a durable replica keeps its place", test_durable_keeps_its_place },
        { "a lost replica leaves", test_lost_leaves },
        { "a relaxed topic", test_relaxed },
        { "a broker that is relaxed alone", test_relaxed_on_one_broker },
        { "the only replica", test_only_replica },
        { "a loss under the same registration", test_report_of_a_live_broker },
        { "a disk that takes no more", test_report_of_a_complete_replica },
        { "compare and set", test_compare_and_set },
        { "a stopping leader hands over", test_handing_over },
        { "reassignment", test_reassignment },
        { "reassignment cancelled and replaced", test_reassignment_cancelled_and_replaced },
        { "reassignment refused", test_reassignment_refused },
};
UNIT_MAIN("controller, partitions", cases)
