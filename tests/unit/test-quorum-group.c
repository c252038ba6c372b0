/* Goal: a group of controllers forms once and by all, keeps what was acknowledged while leaders come and go, brings up those
 * that are behind, takes voters in and out, and refuses those that would endanger it. Method: quorums in one process with
 * real folders over a network in memory that can be cut. */
#include "quorum-net.h"
#include "quorum-world.h"
#include "unit.h"

static void begin(const char *name, size_t count)
{
        diag_set_level(DIAG_ERROR);
        net_begin();
        world_begin(name, count, false);
}

static void end(void)
{
        for (int i = 0; i < WORLD_NODES; i++) {
                world_close(i + 1);
                CU_ASSERT(!world_nodes[i].gone);
        }
        world_end();
        net_end();
}

static struct quorum_config plain(void)
{
        return (struct quorum_config){ 0 };
}

static int32_t form(size_t count)
{
        for (size_t i = 1; i <= count; i++)
                CU_ASSERT_EQUAL_FATAL(world_open((int32_t)i, plain()), 0);
        return world_voters((uint32_t)count, 10000);
}

/* At whoever leads; who has just lost leadership says so, and another one is looked for. */
static int propose_at_leader(const char *name)
{
        int64_t end_ms = clock_mono_ms() + 10000;
        int32_t leader;
        int r;

        do {
                leader = world_leader(10000);
                r = leader ? world_propose(leader, name) : QUORUM_E_NOT_LEADER;
        } while (r == QUORUM_E_NOT_LEADER && clock_mono_ms() < end_ms);
        return r;
}

static void forms_and_fails_over(size_t count)
{
        int32_t leader, next;
        char name[32];

        begin("group", count);
        leader = form(count);
        CU_ASSERT_EQUAL_FATAL(leader, 1);
        for (int i = 0; i < 20; i++) {
                snprintf(name, sizeof name, "a%d", i);
                CU_ASSERT_EQUAL(world_propose(leader, name), QUORUM_OK);
        }
        for (size_t i = 1; i <= count; i++) {
                CU_ASSERT(world_reaches((int32_t)i, world_applied_of(leader), 3000));
                CU_ASSERT(world_has((int32_t)i, "a19"));
                CU_ASSERT_EQUAL(world_role_of((int32_t)i).leader_id, leader);
        }
        /* The leader is cut off: another one takes over, and the old one notices. */
        net_isolate(leader, true);
        for (int i = 0; i < 500; i++) {
                next = world_leader(10000);
                if (next != leader)
                        break;
                world_sleep(10);
        }
        CU_ASSERT_NOT_EQUAL_FATAL(next, leader);
        CU_ASSERT_EQUAL(world_propose(next, "b"), QUORUM_OK);
        for (int i = 0; i < 500 && world_role_of(leader).is_leader; i++)
                world_sleep(10);
        CU_ASSERT(!world_role_of(leader).is_leader);
        net_heal();
        CU_ASSERT(world_reaches(leader, world_applied_of(next), 5000));
        CU_ASSERT(world_has(leader, "b"));
        /* All stop and come again. */
        for (size_t i = 1; i <= count; i++)
                world_close((int32_t)i);
        leader = form(count);
        CU_ASSERT_FATAL(leader > 0);
        CU_ASSERT(world_has(leader, "b") && world_has(leader, "a0"));
        CU_ASSERT_EQUAL(propose_at_leader("c"), QUORUM_OK);
        end();
}

static void test_three(void)
{
        forms_and_fails_over(3);
}

static void test_five(void)
{
        forms_and_fails_over(5);
}

static void test_stop_hands_over(void)
{
        int32_t leader, next;
        int64_t start_ms;

        begin("handover", 3);
        leader = form(3);
        CU_ASSERT_FATAL(leader > 0);
        start_ms = clock_mono_ms();
        world_close(leader);
        next = world_leader(5000);
        CU_ASSERT(next > 0 && next != leader);
        /* Sooner than an election by silence. */
        CU_ASSERT(clock_mono_ms() - start_ms < 250);
        CU_ASSERT_EQUAL(world_propose(next, "x"), QUORUM_OK);
        end();
}

static void test_lost_proposal(void)
{
        int32_t leader;
        int r;

        begin("lost", 3);
        leader = form(3);
        CU_ASSERT_FATAL(leader > 0);
        net_isolate(leader, true);
        r = world_propose(leader, "never");
        CU_ASSERT(r == QUORUM_E_LOST || r == QUORUM_E_NOT_LEADER);
        CU_ASSERT_EQUAL(r, QUORUM_E_LOST);
        CU_ASSERT_EQUAL(propose_at_leader("other"), QUORUM_OK);
        net_heal();
        CU_ASSERT_EQUAL(propose_at_leader("after"), QUORUM_OK);
        CU_ASSERT(world_reaches(leader, world_applied_of(world_leader(1000)), 5000));
        CU_ASSERT(!world_has(leader, "never")); /* it was cut off its log */
        CU_ASSERT(world_has(leader, "after"));
        end();
}

static void test_snapshot_for_the_far_behind(void)
{
        struct quorum_config small = { .segment_len = 2000,
                                       .store_after_bytes = 1000,
                                       .store_after_ms = 20,
                                       .cache_bytes = 2000,
                                       .volume_bytes_max = 8000 };
        int32_t leader, behind;
        char name[200];

        begin("snapshot", 3);
        for (int i = 1; i <= 3; i++)
                CU_ASSERT_EQUAL_FATAL(world_open(i, small), 0);
        leader = world_voters(3, 10000);
        CU_ASSERT_FATAL(leader > 0);
        behind = leader == 3 ? 2 : 3;
        world_close(behind);
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof name, "s%0150d", i);
                CU_ASSERT_EQUAL(propose_at_leader(name), QUORUM_OK);
        }
        CU_ASSERT_EQUAL_FATAL(world_open(behind, small), 0);
        CU_ASSERT(world_reaches(behind, world_applied_of(world_leader(1000)), 10000));
        CU_ASSERT(world_has(behind, name));
        for (int i = 0; i < 200 && world_stats(behind).log_first_index <= 100; i++)
                world_sleep(10); /* it shows the image before all of it is on its disk */
        CU_ASSERT(world_stats(behind).log_first_index > 100);
        CU_ASSERT(world_stats(leader).log_bytes < 8000 + 2 * 2000);
        /* What took the place of its log holds after a restart, too. */
        world_close(behind);
        CU_ASSERT_EQUAL_FATAL(world_open(behind, small), 0);
        CU_ASSERT_EQUAL(propose_at_leader("more"), QUORUM_OK);
        CU_ASSERT(world_reaches(behind, world_applied_of(world_leader(1000)), 10000));
        CU_ASSERT(world_has(behind, "more") && world_has(behind, name));
        /* And nobody has forgotten who the members are, although no log says it any more. */
        for (int i = 1; i <= 3; i++)
                world_close(i);
        for (int i = 1; i <= 3; i++)
                CU_ASSERT_EQUAL_FATAL(world_open(i, small), 0);
        CU_ASSERT(world_voters(3, 10000) > 0);
        CU_ASSERT_EQUAL(propose_at_leader("again"), QUORUM_OK);
        end();
}

static void test_log_for_the_behind(void)
{
        struct quorum_config cfg = {
                .segment_len = 20000, .store_after_bytes = 1000, .store_after_ms = 20, .cache_bytes = 2000
        };
        int32_t leader, behind;
        char name[200];

        begin("behind", 3);
        for (int i = 1; i <= 3; i++)
                CU_ASSERT_EQUAL_FATAL(world_open(i, cfg), 0);
        leader = world_voters(3, 10000);
        CU_ASSERT_FATAL(leader > 0);
        behind = leader == 3 ? 2 : 3;
        world_close(behind);
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof name, "s%0150d", i);
                CU_ASSERT_EQUAL(propose_at_leader(name), QUORUM_OK);
        }
        CU_ASSERT_EQUAL_FATAL(world_open(behind, cfg), 0);
        CU_ASSERT(world_reaches(behind, world_applied_of(world_leader(1000)), 10000));
        CU_ASSERT(world_has(behind, name));
        /* From the disk of the leader, whose memory has but the newest: no snapshot. */
        CU_ASSERT_EQUAL(world_stats(behind).log_first_index, 1);
        CU_ASSERT_EQUAL(world_stats(leader).snapshot_bytes, 0);
        end();
}

static void test_alone_becomes_several(void)
{
        char why[512];

        begin("several", 0);
        CU_ASSERT_EQUAL_FATAL(world_open(1, plain()), 0);
        CU_ASSERT_EQUAL_FATAL(world_leader(5000), 1);
        CU_ASSERT_EQUAL(world_propose(1, "old"), QUORUM_OK);
        world_close(1);
        world_list_count = 3;
        CU_ASSERT_EQUAL(form(3), 1);
        CU_ASSERT(world_reaches(3, world_applied_of(1), 3000));
        CU_ASSERT(world_has(3, "old"));
        for (int i = 1; i <= 3; i++)
                world_close(i);
        /* And is not alone again by a mistake in the configuration. */
        world_list_count = 0;
        CU_ASSERT_EQUAL(world_open(1, plain()), QUORUM_E_REFUSED);
        memcpy(why, world_nodes[0].why, sizeof why);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "several controllers"));
        end();
}

/* Three proposals that reach nobody, and then this loop does nothing until another one leads. */
struct asleep {
        struct world_proposal w[3];
        struct world_ask *a;
        int lost, ok;
};
static struct asleep asleep;

static void asleep_done(struct quorum_proposal *p, int result)
{
        asleep.lost += result == QUORUM_E_LOST;
        asleep.ok += result == QUORUM_OK;
        if (asleep.lost + asleep.ok == 3)
                world_answer(asleep.a);
}

static void do_sleep(struct world_ask *a)
{
        asleep = (struct asleep){ .a = a };
        for (int i = 0; i < 3; i++) {
                struct quorum_proposal *p = &asleep.w[i].p;
                struct meta_batch batch = { 0 };
                struct meta_record rec;

                meta_record_init(&rec, META_FEATURE);
                rec.feature.name = STR_LIT("slept");
                rec.feature.level = 1;
                assert(!meta_batch_add(&batch, &rec));
                *p = (struct quorum_proposal){ .term = quorum_role(a->n->q).term, .done = asleep_done };
                assert(!quorum_propose(a->n->q, p, &batch));
        }
        clock_sleep_ms(100);
        net_heal();
        clock_sleep_ms(1500);
}

static void test_overtaken_asleep(void)
{
        int32_t leader, next;

        begin("asleep", 3);
        leader = form(3);
        CU_ASSERT_FATAL(leader > 0);
        net_isolate(leader, true);
        world_ask(&world_nodes[leader - 1], do_sleep, NULL);
        CU_ASSERT_EQUAL(asleep.lost, 3);
        next = world_leader(5000);
        CU_ASSERT(next > 0 && next != leader);
        CU_ASSERT_EQUAL(propose_at_leader("x"), QUORUM_OK);
        CU_ASSERT(world_reaches(leader, world_applied_of(world_leader(1000)), 5000));
        CU_ASSERT(!world_has(leader, "slept"));
        end();
}

static void test_add_and_remove(void)
{
        int32_t leader, other;
        struct uuid directory;

        begin("change", 3);
        leader = form(3);
        CU_ASSERT_FATAL(leader > 0);
        world_list_count = 4; /* the fourth knows all */
        CU_ASSERT_EQUAL_FATAL(world_open(4, plain()), 0);
        directory = quorum_directory(world_nodes[3].q);
        CU_ASSERT_EQUAL(world_change(leader, true, 2, directory, 3000), QUORUM_E_EXISTS);
        other = leader == 1 ? 2 : 1;
        CU_ASSERT_EQUAL(world_change(other, true, 4, directory, 3000), QUORUM_E_NOT_LEADER);
        CU_ASSERT_EQUAL(world_change(leader, true, 4, directory, 5000), QUORUM_OK);
        CU_ASSERT_EQUAL(world_voters(4, 3000), leader);
        CU_ASSERT_EQUAL(propose_at_leader("four"), QUORUM_OK);
        CU_ASSERT(world_reaches(4, world_applied_of(leader), 3000));
        CU_ASSERT_EQUAL(world_change(leader, false, other, UUID_ZERO, 5000), QUORUM_OK);
        CU_ASSERT_EQUAL(world_change(leader, false, other, UUID_ZERO, 5000), QUORUM_E_UNKNOWN);
        CU_ASSERT_EQUAL(world_voters(3, 3000), leader);
        /* The leader goes itself: another one leads on. */
        CU_ASSERT_EQUAL(world_change(leader, false, leader, UUID_ZERO, 5000), QUORUM_OK);
        for (int i = 0; i < 500 && world_role_of(leader).is_leader; i++)
                world_sleep(10);
        CU_ASSERT(!world_role_of(leader).is_leader);
        CU_ASSERT(world_voters(2, 5000) > 0);
        CU_ASSERT_EQUAL(propose_at_leader("two"), QUORUM_OK);
        end();
}

static bool troubled(int32_t id, const char *text, int64_t wait_ms)
{
        int64_t end_ms = clock_mono_ms() + wait_ms;
        const struct quorum_description *d;

        do {
                d = world_describe(id);
                if (strstr(d->trouble, text))
                        return true;
                world_sleep(20);
        } while (clock_mono_ms() < end_ms);
        printf("'%s' ", d->trouble);
        return false;
}

static void test_wiped_voter(void)
{
        int32_t leader;
        struct uuid directory;

        begin("wiped", 3);
        leader = form(3);
        CU_ASSERT_EQUAL_FATAL(leader, 1);
        world_close(3);
        file_remove_tree(world_nodes[2].dir);
        CU_ASSERT_EQUAL_FATAL(world_open(3, plain()), 0);
        CU_ASSERT(troubled(1, "remove the voter, then add it again", 5000));
        CU_ASSERT_EQUAL(propose_at_leader("x"), QUORUM_OK);
        CU_ASSERT_EQUAL(world_applied_of(3), 0); /* it gets nothing */
        directory = quorum_directory(world_nodes[2].q);
        CU_ASSERT_EQUAL(world_change(leader, false, 3, UUID_ZERO, 5000), QUORUM_OK);
        CU_ASSERT_EQUAL(world_change(leader, true, 3, directory, 5000), QUORUM_OK);
        CU_ASSERT_EQUAL(world_voters(3, 3000), leader);
        CU_ASSERT(world_reaches(3, world_applied_of(leader), 3000));
        CU_ASSERT(world_has(3, "x"));
        end();
}

/* The one with the lowest id would form a group, if it could; it is added to the one that is there. */
static void test_wiped_lowest(void)
{
        struct uuid directory;
        int32_t leader;

        begin("wiped-lowest", 3);
        CU_ASSERT_EQUAL_FATAL(form(3), 1);
        CU_ASSERT_EQUAL(world_propose(1, "x"), QUORUM_OK);
        world_close(1);
        file_remove_tree(world_nodes[0].dir);
        leader = world_leader(5000);
        CU_ASSERT_FATAL(leader > 1);
        CU_ASSERT_EQUAL_FATAL(world_open(1, plain()), 0);
        CU_ASSERT(troubled(1, "belongs to a group already", 5000));
        directory = quorum_directory(world_nodes[0].q);
        CU_ASSERT_EQUAL(world_change(leader, false, 1, UUID_ZERO, 5000), QUORUM_OK);
        CU_ASSERT_EQUAL(world_change(leader, true, 1, directory, 5000), QUORUM_OK);
        CU_ASSERT_EQUAL(world_voters(3, 3000), leader);
        CU_ASSERT(world_reaches(1, world_applied_of(leader), 3000));
        CU_ASSERT(world_has(1, "x"));
        CU_ASSERT_EQUAL(world_describe(1)->trouble[0], 0);
        end();
}

/* Two wiped disks never elect each other behind the back of a third. */
static void test_two_wiped_disks(void)
{
        begin("two-wiped", 3);
        CU_ASSERT_EQUAL_FATAL(form(3), 1);
        CU_ASSERT_EQUAL(world_propose(1, "precious"), QUORUM_OK);
        CU_ASSERT(world_reaches(3, world_applied_of(1), 3000));
        for (int i = 1; i <= 3; i++)
                world_close(i);
        file_remove_tree(world_nodes[0].dir);
        file_remove_tree(world_nodes[1].dir);
        CU_ASSERT_EQUAL_FATAL(world_open(1, plain()), 0);
        CU_ASSERT_EQUAL_FATAL(world_open(2, plain()), 0);
        CU_ASSERT_EQUAL(world_leader(1500), 0); /* the third is not there: they wait */
        CU_ASSERT_EQUAL_FATAL(world_open(3, plain()), 0);
        CU_ASSERT(troubled(1, "belongs to a group already", 5000));
        CU_ASSERT_EQUAL(world_leader(1500), 0);
        end();
}

static void test_lists_that_disagree(void)
{
        static const struct quorum_controller other[] = { { 1, "127.0.0.1:9000" },
                                                          { 2, "127.0.0.1:9001" },
                                                          { 4, "127.0.0.1:9003" } };
        struct quorum_config cfg = { .controllers = other, .controllers_count = 3 };

        begin("lists", 3);
        CU_ASSERT_EQUAL_FATAL(world_open(1, plain()), 0);
        CU_ASSERT_EQUAL_FATAL(world_open(2, cfg), 0);
        CU_ASSERT_EQUAL_FATAL(world_open(3, plain()), 0);
        CU_ASSERT(troubled(1, "another list of controllers", 5000));
        CU_ASSERT_EQUAL(world_leader(1000), 0);
        world_close(2);
        CU_ASSERT_EQUAL_FATAL(world_open(2, plain()), 0);
        CU_ASSERT_EQUAL(world_voters(3, 10000), 1);
        end();
}

struct transfer {
        int32_t to;
        int result;
};

static void do_transfer(struct world_ask *a)
{
        struct transfer *t = a->arg;

        t->result = quorum_transfer(a->n->q, t->to);
        world_answer(a);
}

static void test_transfer(void)
{
        int32_t leader;

        begin("transfer", 3);
        leader = form(3);
        CU_ASSERT_EQUAL_FATAL(leader, 1);
        for (int i = 0; i < 6; i++) {
                struct transfer t = { .to = leader % 3 + 1 };

                CU_ASSERT(world_reaches(t.to, world_applied_of(leader), 3000));
                world_ask(&world_nodes[leader - 1], do_transfer, &t);
                CU_ASSERT_EQUAL(t.result, QUORUM_OK);
                for (int k = 0; k < 500 && !world_role_of(t.to).is_leader; k++)
                        world_sleep(5);
                CU_ASSERT(world_role_of(t.to).is_leader);
                CU_ASSERT_EQUAL(world_propose(t.to, "t"), QUORUM_OK);
                leader = t.to;
        }
        CU_ASSERT_EQUAL(world_nodes[0].led + world_nodes[1].led + world_nodes[2].led, 7);
        end();
}

static const struct unit_case cases[] = {
        { "three: form, fail over, restart", test_three },
        { "five: form, fail over, restart", test_five },
        { "a leader that stops hands over", test_stop_hands_over },
        { "a proposal whose leader is cut off", test_lost_proposal },
        { "a snapshot for who is far behind", test_snapshot_for_the_far_behind },
        { "the log, for who is less behind", test_log_for_the_behind },
        { "one that becomes several", test_alone_becomes_several },
        { "a leader that sleeps and is overtaken", test_overtaken_asleep },
        { "adding and removing voters", test_add_and_remove },
        { "a wiped voter is refused", test_wiped_voter },
        { "a wiped voter with the lowest id", test_wiped_lowest },
        { "two wiped disks and a third", test_two_wiped_disks },
        { "lists that disagree", test_lists_that_disagree },
        { "transfer", test_transfer },
};
UNIT_MAIN("quorum-group", cases)
