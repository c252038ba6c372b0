/* Goal: whatever happens to up to seven brokers, in whatever order, what must hold of partitions holds after each decision, no
 * leader misses acknowledged records without saying so, and in the end everything is in sync again.
 * Method: a seed chooses topics and steps: brokers are lost, paused, stopped, replaced and come back; leaders know old
 * metadata; ISR changes arrive late; replicas move; the controller fails between the entries of one decision. The model
 * of what replicas hold (controller-model.h) and the checks of every image (controller-stage.h) judge. A failure prints
 * its seed; SEED=n runs that one alone (TRACE=1 says what it does), SEEDS=n that many. */
#include <errno.h>
#include <stdlib.h>

#include "controller-model.h"

static struct random_source rng_source;
static int brokers_count;
static uint64_t unclean_told, leaders_new, moves_begun;

static uint32_t rng(uint32_t n)
{
        return (uint32_t)(random_source_next(&rng_source) % n);
}

/* ---- deciding and judging ---- */

static bool tracing; /* TRACE=1: what a seed does, for people */

static void trace_list(const char *name, const int32_t *ids, uint32_t count)
{
        printf(" %s", name);
        for (uint32_t i = 0; i < count; i++)
                printf(" %d", ids[i]);
}

static void trace(int part, const struct meta_partition *p)
{
        printf("  %d: leader %d in %d, epoch %d,", part, p->leader, p->leader_epoch, p->partition_epoch);
        trace_list("replicas", meta_partition_replicas(p), p->replicas_count);
        trace_list("isr", meta_partition_isr(p), p->isr_count);
        trace_list("elr", meta_partition_elr(p), p->elr_count);
        trace_list("known", meta_partition_last_known_elr(p), p->last_known_elr_count);
        trace_list("adding", meta_partition_adding(p), p->adding_count);
        trace_list("removing", meta_partition_removing(p), p->removing_count);
        printf("%s; acked %d of", p->recovering ? " recovering" : "", parts[part].acked.count);
        for (int32_t id = 1; id <= brokers_count; id++)
                printf(" %d%s", common(&nodes[id].replicas[part].log, &parts[part].acked),
                       nodes[id].replicas[part].lost ? "!" : "");
        printf("\n");
}

static void judge(struct meta_image *before)
{
        for (int i = 0; i < parts_count; i++) {
                const struct meta_topic *t = meta_image_topic_by_id(before, parts[i].topic_id);
                const struct meta_partition *was = t ? meta_topic_partition(t, parts[i].index) : NULL,
                                            *p = now_of(&parts[i]);
                const char *fault;

                if (tracing && was != p)
                        trace(i, p);
                fault = leader_fault(i, was, p);
                if (!fault)
                        fault = member_fault(i, p);
                if (fault)
                        printf("partition %d: %s ", i, fault);
                CU_ASSERT_PTR_NULL(fault);
                leaders_new += was && was->leader_epoch != p->leader_epoch;
                unclean_told += was && p->recovering && !was->recovering;
        }
}

/* Another controller takes over: with fresh leases, and finishes what was begun. */
static void fail_over(void)
{
        struct meta_image *before = meta_image_ref(image);
        struct decision d;

        entries_max = -1;
        assert(!controller_leases_start(&memory.leases, image, now_ms, rules.session_timeout_ms));
        assert(!places_rebuild(&memory.places, image));
        start(&d);
        assert(!decision_heal(&d));
        commit(&d);
        judge(before);
        meta_image_unref(before);
}

/* Decide; sometimes the controller fails before all of it is committed. @told: what the decision makes known is taken up
 * before judging. Return: whether the answer came. */
static bool decide(enum controller_op op, void *item, void (*told)(void *arg), void *arg)
{
        struct meta_image *before = meta_image_ref(image);
        bool cut;

        entries_max = rng(20) == 0 ? (int)rng(4) : -1;
        cut = entries_max >= 0;
        ask(op, item, 1, false);
        entries_max = -1;
        if (tracing && emitted)
                printf("op %d of %d at %lld%s\n", op, *(int32_t *)item, (long long)now_ms, cut ? ", cut off" : "");
        if (told && !cut)
                told(arg);
        judge(before);
        meta_image_unref(before);
        if (cut)
                fail_over();
        return !cut;
}

static void decide_own(int (*fn)(struct decision *d))
{
        struct meta_image *before = meta_image_ref(image);
        struct decision d;

        start(&d);
        assert(!fn(&d));
        commit(&d);
        judge(before);
        meta_image_unref(before);
}

static int expire(struct decision *d)
{
        int64_t next;

        return decision_expire_leases(d, &next);
}

static int balance(struct decision *d)
{
        bool more;

        return decision_balance(d, &more);
}

/* ---- nodes ---- */

static void refresh(int32_t id)
{
        struct model_node *n = &nodes[id];

        if (!n->up || !n->registered)
                return;
        meta_image_unref(n->view);
        n->view = meta_image_ref(image);
        for (int i = 0; i < parts_count; i++)
                if (leading(id, i) && !(parts[i].in_flight && parts[i].alter.broker_id == id))
                        n->replicas[i].asked = 0;
}

static void heartbeat(int32_t id)
{
        struct model_node *n = &nodes[id];
        struct controller_heartbeat h = { .broker_id = id,
                                          .broker_epoch = n->epoch,
                                          .applied_index = n->view ? n->view->index : 0,
                                          .want_shutdown = n->stopping,
                                          .guarded = n->stopping && rng(2) };
        int64_t sent_ms = now_ms;

        if (!n->up || !n->registered || n->paused)
                return;
        for (int i = 0; i < parts_count; i++) /* not before it has told what it lost */
                h.want_fence |= n->replicas[i].lost;
        if (!decide(CONTROLLER_HEARTBEAT, &h, NULL, NULL))
                return;
        if (h.result.outcome) {
                n->registered = false; /* it was fenced out: begin again, as a process that ends and starts */
                n->up = false;
                n->clean_epoch = -1;
                return;
        }
        n->lease_until_ms = h.fenced ? 0 : sent_ms + rules.session_timeout_ms;
        if (h.should_shutdown && n->stopping) {
                n->up = n->registered = false;
                n->clean_epoch = n->epoch;
        }
}

static void told_all(void *arg)
{
        const struct controller_register_broker *r = arg;
        struct model_node *n = &nodes[r->broker.broker_id];

        if (r->result.outcome)
                return;
        for (int i = 0; i < parts_count; i++)
                n->replicas[i].lost &= !n->replicas[i].evident && !r->lost_count;
}

static void cut_log(struct model_replica *r)
{
        if (r->log.count) {
                r->log.count = (int)rng((uint32_t)r->log.count + 1);
                r->lost = true;
        }
}

/* What a stop of the machine leaves. */
static void crash(int32_t id, bool *ret_same_boot)
{
        struct model_node *n = &nodes[id];
        bool same_boot = rng(2), replaced = rng(8) == 0;

        n->up = n->registered = n->paused = n->stopping = false;
        n->clean_epoch = -1;
        n->view = meta_image_unref(n->view);
        if (replaced)
                n->directory.b[1]++;
        for (int i = 0; i < parts_count; i++) {
                struct topic_settings s;

                assert(!settings_of_topic(&memory.settings, conf, image, parts[i].topic, &s));
                n->replicas[i].evident = replaced || (s.relaxed && !same_boot);
                if (replaced) {
                        n->replicas[i].lost |= n->replicas[i].log.count > 0;
                        n->replicas[i].log.count = 0;
                } else if (n->replicas[i].evident || rng(30) == 0) {
                        cut_log(&n->replicas[i]);
                }
        }
        *ret_same_boot = same_boot;
}

static bool same_boot[NODES + 1];

static void register_node(int32_t id)
{
        static struct controller_partition lost[PARTS];
        struct model_node *n = &nodes[id];
        struct controller_register_broker r = registration(id, ++n->incarnation, NULL);
        struct model_part *p = parts;
        bool tell = rng(2);

        r.broker.directories = &n->directory;
        r.previous_epoch = n->clean_epoch;
        r.same_boot = same_boot[id];
        r.lost = lost;
        for (int i = 0; tell && i < parts_count; i++, p++)
                if (n->replicas[i].lost && !n->replicas[i].evident)
                        lost[r.lost_count++] = (struct controller_partition){ p->topic_id, p->index };
        if (!decide(CONTROLLER_REGISTER_BROKER, &r, told_all, &r) || r.result.outcome)
                return;
        n->up = n->registered = true;
        n->stopping = n->paused = false;
        n->epoch = r.epoch;
        n->lease_until_ms = now_ms + rules.session_timeout_ms;
        n->clean_epoch = -1;
        for (int i = 0; i < parts_count; i++)
                n->replicas[i].epoch = -1;
        refresh(id);
}

static void report_losses(int32_t id)
{
        struct model_node *n = &nodes[id];

        for (int i = 0; i < parts_count && n->up && n->registered; i++) {
                struct controller_report_loss l = { .broker_id = id,
                                                    .broker_epoch = n->epoch,
                                                    .topic_id = parts[i].topic_id,
                                                    .partition = parts[i].index };

                if (n->replicas[i].lost && decide(CONTROLLER_REPORT_LOSS, &l, NULL, NULL) && !l.result.outcome) {
                        n->replicas[i].lost = false;
                        n->replicas[i].reported_index = image->index;
                        if (now_of(&parts[i])->replicas_count == 1) /* the only replica goes on with what it has */
                                (void)member_fault(i, now_of(&parts[i]));
                }
        }
}

/* ---- what arrives ---- */

static void deliver(int part)
{
        struct model_part *p = &parts[part];
        bool answered;

        if (!p->in_flight)
                return;
        answered = decide(CONTROLLER_ALTER_PARTITION, &p->alter, NULL, NULL);
        if (answered || rng(2)) /* or it is sent again */
                p->in_flight = false;
}

static void move(int part)
{
        struct model_part *p = &parts[part];
        struct controller_reassign r = { .topic = p->topic, .partition = p->index, .cancel = rng(3) == 0 };
        int32_t to[NODES];

        r.replicas = to;
        r.replicas_count = 1 + (int32_t)rng(3);
        for (int32_t i = 0; i < r.replicas_count; i++)
                to[i] = 1 + (int32_t)rng((uint32_t)brokers_count);
        moves_begun += decide(CONTROLLER_ALTER_REASSIGNMENTS, &r, NULL, NULL) && !r.result.outcome && !r.cancel;
}

static void elect(int part, enum controller_election type)
{
        struct controller_elect_leader e = { .topic = parts[part].topic, .partition = parts[part].index, .type = type };

        unclean_asked = type == CONTROLLER_ELECT_UNCLEAN;
        decide(CONTROLLER_ELECT_LEADERS, &e, NULL, NULL);
        unclean_asked = false;
}

static void duty(int32_t id, enum controller_op op)
{
        struct controller_broker_duty b = { .broker_id = id };

        decide(op, &b, NULL, NULL);
}

static void set_config(struct str topic, const char *name, const char *value)
{
        struct controller_config_change c = { str_of(name), CONTROLLER_CONFIG_SET, str_of(value) };
        struct controller_alter_configs a = {
                .type = META_RESOURCE_TOPIC, .name = topic, .changes = &c, .changes_count = 1
        };

        decide(CONTROLLER_ALTER_CONFIGS, &a, NULL, NULL);
}

/* A node that lost its place in the cluster by decommissioning comes back as a new one, elsewhere. */
static void note_forgotten(void)
{
        for (int32_t id = 1; id <= brokers_count; id++)
                if (nodes[id].registered && !meta_image_broker(image, id))
                        nodes[id].up = nodes[id].registered = false;
}

/* ---- a run ---- */

static const char *const numbers[] = { "1", "2", "3" };

static void make_topics(void)
{
        static char names[4][8];

        parts_count = 0;
        for (int t = 0; t < 4 && parts_count + 2 <= PARTS; t++) {
                struct controller_create_topic c;

                snprintf(names[t], sizeof names[t], "t%d", t);
                c = create(names[t], 1 + (int32_t)rng(2), (int16_t)(1 + rng((uint32_t)MIN2(brokers_count, 3))));
                CU_ASSERT_EQUAL_FATAL(c.result.outcome, CONTROLLER_OK);
                for (int32_t i = 0; i < c.partitions_count; i++)
                        parts[parts_count++] =
                                (struct model_part){ .topic_id = c.id, .topic = str_of(names[t]), .index = i };
                set_config(str_of(names[t]), "min.insync.replicas", numbers[rng(3)]);
                if (rng(3) == 0)
                        set_config(str_of(names[t]), "chronik.flush.before.ack", "false");
                if (rng(6) == 0)
                        set_config(str_of(names[t]), "unclean.leader.election.enable", "true");
        }
}

/* A live node finds that a disk has lost something. */
static void rot(int32_t id, int part)
{
        if (!nodes[id].up || !nodes[id].registered)
                return;
        cut_log(&nodes[id].replicas[part]);
        nodes[id].replicas[part].evident = false;
        report_losses(id);
}

static void step_node(int32_t id)
{
        struct model_node *n = &nodes[id];

        switch (rng(8)) {
        case 0:
                if (rng(4) == 0 && n->up)
                        crash(id, &same_boot[id]);
                break;
        case 1:
                n->paused = rng(4) == 0;
                break;
        case 2:
                n->stopping |= n->up && rng(6) == 0;
                break;
        case 3:
        case 4:
                if (!n->up)
                        register_node(id);
                break;
        case 5:
                if (rng(12) == 0)
                        rot(id, (int)rng((uint32_t)parts_count));
                report_losses(id);
                break;
        default:
                refresh(id);
        }
}

static void step_part(int part)
{
        int32_t id = 1 + (int32_t)rng((uint32_t)brokers_count);

        switch (rng(10)) {
        case 0:
        case 1:
                produce(id, part);
                break;
        case 2:
        case 3:
        case 4:
        case 5:
                fetch(id, part, 1 + (int)rng(6));
                break;
        case 6:
        case 7:
                ask_isr(id, part, rng(3) ? 0 : 1u << (1 + rng(NODES)));
                break;
        default:
                deliver(part);
        }
}

static void step_admin(void)
{
        int part = (int)rng((uint32_t)parts_count);
        int32_t id = 1 + (int32_t)rng((uint32_t)brokers_count);

        switch (rng(12)) {
        case 0:
        case 1:
                move(part);
                break;
        case 2:
                elect(part, CONTROLLER_ELECT_PREFERRED);
                break;
        case 3:
                if (rng(4) == 0)
                        elect(part, CONTROLLER_ELECT_UNCLEAN);
                break;
        case 4:
                duty(id, CONTROLLER_DRAIN_BROKER);
                break;
        case 5:
                duty(id, CONTROLLER_UNDRAIN_BROKER);
                break;
        case 6:
                if (rng(4) == 0)
                        duty(id, CONTROLLER_DECOMMISSION_BROKER);
                break;
        case 7:
                set_config(parts[part].topic, "min.insync.replicas", numbers[rng(3)]);
                break;
        case 8:
                decide_own(balance);
                break;
        case 9:
                fail_over();
                break;
        default:
                decide_own(decision_duties);
                note_forgotten();
        }
}

static void step(void)
{
        uint32_t what = rng(100);

        if (what < 55) {
                step_part((int)rng((uint32_t)parts_count));
        } else if (what < 75) {
                step_node(1 + (int32_t)rng((uint32_t)brokers_count));
        } else if (what < 81) {
                step_admin();
        } else if (what < 85) {
                now_ms += rng(4000);
                decide_own(expire);
        } else {
                int32_t id = 1 + (int32_t)rng((uint32_t)brokers_count);

                if (rng(3))
                        refresh(id);
                heartbeat(id);
        }
}

/* All come back and work: everything must become in sync, and every move must end. */
static void settle(void)
{
        for (int32_t id = 1; id <= brokers_count; id++) {
                nodes[id].paused = nodes[id].stopping = false;
                if (nodes[id].up && meta_image_broker(image, id) && meta_image_broker(image, id)->in_shutdown)
                        nodes[id].up = nodes[id].registered = false;
        }
        for (int round = 0; round < 60; round++) {
                now_ms += 1000;
                for (int32_t id = 1; id <= brokers_count; id++) {
                        if (!nodes[id].up)
                                register_node(id);
                        report_losses(id);
                        refresh(id);
                        heartbeat(id);
                        duty(id, CONTROLLER_UNDRAIN_BROKER);
                }
                decide_own(expire);
                note_forgotten();
                for (int i = 0; i < parts_count; i++) {
                        const struct meta_partition *p = now_of(&parts[i]);

                        if (p->leader == META_NO_NODE && round > 20) /* the operator gives up what is lost */
                                elect(i, CONTROLLER_ELECT_UNCLEAN);
                        for (int32_t id = 1; id <= brokers_count; id++) {
                                refresh(id);
                                fetch(id, i, LOG_MAX);
                        }
                        deliver(i);
                        for (int32_t id = 1; id <= brokers_count; id++)
                                ask_isr(id, i, 0);
                        deliver(i);
                }
        }
}

static void check_settled(void)
{
        for (int i = 0; i < parts_count; i++) {
                const struct meta_partition *p = now_of(&parts[i]);
                bool fine = p->leader != META_NO_NODE && p->isr_count == p->replicas_count && !p->elr_count &&
                            !p->adding_count && !p->removing_count && !p->recovering;

                if (!fine)
                        printf("partition %d: leader %d, %u of %u in sync, ELR %u, +%u -%u, recovering %u ", i,
                               p->leader, p->isr_count, p->replicas_count, p->elr_count, p->adding_count,
                               p->removing_count, p->recovering);
                CU_ASSERT(fine);
        }
}

static void run(uint64_t seed, int steps)
{
        unsigned faults = CU_get_number_of_failures();

        setup();
        memset(nodes, 0, sizeof nodes);
        next_record = 0;
        parts_count = 0;
        rng_source.state = seed;
        brokers_count = 1 + (int)rng(NODES);
        rules.part_len = rng(2) ? 1 : 1 << 20; /* an entry to a record, or one for all */
        brokers(0);
        for (int32_t id = 1; id <= brokers_count; id++) {
                nodes[id].directory = (struct uuid){ { (uint8_t)id } };
                nodes[id].clean_epoch = -1;
                while (!nodes[id].up)
                        register_node(id);
                while (meta_image_broker(image, id)->fenced)
                        heartbeat(id);
        }
        make_topics();
        for (int i = 0; i < steps && CU_get_number_of_failures() == faults; i++) {
                step();
                if (i % 64 == 0)
                        arena_fini(&mem);
        }
        if (CU_get_number_of_failures() == faults) {
                settle();
                check_settled();
        }
        if (CU_get_number_of_failures() != faults)
                printf("seed %llu\n", (unsigned long long)seed);
        for (int32_t id = 1; id <= NODES; id++)
                nodes[id].view = meta_image_unref(nodes[id].view);
        teardown();
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);

        return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_random(void)
{
        uint64_t one = number_of("SEED", 0), count = number_of("SEEDS", 60);
        unsigned faults = CU_get_number_of_failures();

        tracing = getenv("TRACE") != NULL;
        if (one)
                run(one, (int)number_of("STEPS", 1500));
        for (uint64_t seed = 1; !one && seed <= count && CU_get_number_of_failures() == faults; seed++)
                run(seed, (int)number_of("STEPS", 1500));
        printf("(%llu leaders, %llu unclean, %llu moves) ", (unsigned long long)leaders_new,
               (unsigned long long)unclean_told, (unsigned long long)moves_begun);
        CU_ASSERT(one || (leaders_new > count && unclean_told > 0 && moves_begun > count)); /* things did happen */
}

static const struct unit_case cases[] = { { "random brokers", test_random } };
UNIT_MAIN("controller, random", cases)
