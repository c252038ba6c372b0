/* Goal: a group changes its type, empty or with its members, and back (KIP-848, online migration): nobody loses what it has, or what was committed.
 * Method: clients of both protocols in one group, step by step. */
#include "test-coord-consumers.h"

/* ---- without members ---- */

static void test_other_types(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        JOIN(&w, "x", .type = "connect");
        pass(&w, 3000);
        sync_as(&w, "x", 1, "x=y");
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_PTR_NOT_NULL(strstr(told.why, "another kind"));
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        commit(&w, "x", 1, "t", 0, 5);
        leave(&w, "x");
        pass(&w, 3000);
        /* Empty: it becomes the other type, and back; what it has committed stays. */
        a.epoch = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(fetches(&w, "a", 2), 5);
        world_reload(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(fetches(&w, "a", 2), 5);
        w.trace[0] = 0;
        JOIN(&w, "y", .type = "connect");
        EXPECT(&w, "y:join INCONSISTENT");
        leaves(&w, &a, EPOCH_LEAVE);
        stable_group(&w, "y");
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        world_reload(&w);
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
        end(&w);
}

/* ---- with members ---- */

static void test_upgrade(void)
{
        struct client x = { .names = { "t" } }, y = { .names = { "t" } }, a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        classic_pair(&w, &x, &y);
        /* One that speaks the new protocol comes: the group changes, its members stay and keep what they have. */
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(a.epoch, 2);
        SAME(has(&a), "");
        SAME(shown_state(&w), "Reconciling");
        CU_ASSERT_EQUAL(described.ret_members_count, 3);
        world_reload(&w);
        CU_ASSERT_EQUAL(beat_classic(&w, &x), COORD_E_REBALANCING);
        CU_ASSERT_EQUAL(commits(&w, x.id, 1, false), COORD_OK);
        CU_ASSERT_EQUAL(commits(&w, x.id, 2, false), COORD_E_ILLEGAL_GENERATION);
        CU_ASSERT_EQUAL(sync_classic(&w, &x), COORD_E_REBALANCING);
        CU_ASSERT_EQUAL(join_classic(&w, &x, true), COORD_OK);
        CU_ASSERT_EQUAL(sync_classic(&w, &x), COORD_OK);
        CU_ASSERT_EQUAL(beat_classic(&w, &x), COORD_OK);
        /* One that keeps what it has while it joins gives up what it must, and joins again. */
        CU_ASSERT_EQUAL(join_classic(&w, &y, false), COORD_OK);
        CU_ASSERT_EQUAL(sync_classic(&w, &y), COORD_OK);
        while (beat_classic(&w, &y) == COORD_E_REBALANCING) {
                CU_ASSERT_EQUAL_FATAL(join_classic(&w, &y, false), COORD_OK);
                CU_ASSERT_EQUAL_FATAL(sync_classic(&w, &y), COORD_OK);
        }
        /* What the first one waits for has been given up: it is told to come for it. */
        if (beat_classic(&w, &x) == COORD_E_REBALANCING) {
                CU_ASSERT_EQUAL(join_classic(&w, &x, false), COORD_OK);
                CU_ASSERT_EQUAL(sync_classic(&w, &x), COORD_OK);
        }
        heartbeat(&w, &a, OWNED);
        heartbeat(&w, &a, OWNED);
        CU_ASSERT_EQUAL(count(&x) + count(&y) + count(&a), 4);
        CU_ASSERT(count(&x) && count(&y) && count(&a));
        CU_ASSERT_EQUAL(x.epoch, 2);
        SAME(shown_state(&w), "Stable");
        /* A third one of the classic protocol. */
        CU_ASSERT_EQUAL(join_classic(&w, &(struct client){ .id = "", .names = { "t" } }, true),
                        COORD_E_MEMBER_ID_REQUIRED);
        world_reload(&w);
        CU_ASSERT_EQUAL(beat_classic(&w, &x), COORD_OK);
        /* The last one of the new protocol leaves: the group is a classic one again, and shares out anew. */
        w.trace[0] = 0;
        leaves(&w, &a, EPOCH_LEAVE);
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_PREPARING);
        CU_ASSERT_EQUAL(beat_classic(&w, &x), COORD_E_REBALANCING);
        CU_ASSERT_EQUAL(fetches(&w, "", -1), 5);
        world_reload(&w);
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        CU_ASSERT_EQUAL(groups_find(w.gs, STR_LIT("g"))->members_count, 2);
        end(&w);
}

/* One is told to join, and does not; another one joins, and does not ask for its part. */
static void test_classic_time_outs(void)
{
        struct client x = { .names = { "t" } }, y = { .names = { "t" } }, a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        classic_pair(&w, &x, &y);
        heartbeat(&w, &a, 0);
        beat_classic(&w, &x);
        CU_ASSERT_EQUAL(join_classic(&w, &y, true), COORD_OK);
        for (int i = 0; i < 13; i++) {
                pass(&w, 5000);
                beat_classic(&w, &x);
                beat_classic(&w, &y);
                heartbeat(&w, &a, OWNED);
        }
        CU_ASSERT_EQUAL(beat_classic(&w, &x), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(beat_classic(&w, &y), COORD_E_UNKNOWN_MEMBER);
        heartbeat(&w, &a, OWNED);
        SAME(has(&a), "t0 t1 t2 t3");
        end(&w);
}

/* What a node lets groups change: there, and back. */
static void test_policy(void)
{
        struct client x = { .names = { "t" } }, y = { .names = { "t" } }, z = { .names = { "t" } };
        struct client a = { .id = "a", .names = { "t" } };
        struct world w;

        /* No way there: the classic group stays, and is one of the other type only when it is empty. */
        begin(&w);
        w.conf.upgrades = false;
        world_reload(&w);
        classic_pair(&w, &x, &y);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_PTR_NOT_NULL(strstr(told.why, "migration_policy"));
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        pass(&w, 60000);
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_EMPTY);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(join_classic(&w, &x, true), COORD_OK); /* which is one that may become classic */
        leaves(&w, &a, EPOCH_LEAVE);
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        end(&w);
        /* No way back: classic members go on in a consumer group. */
        begin(&w);
        w.conf.downgrades = false;
        world_reload(&w);
        x = y = z;
        a.epoch = 0;
        classic_pair(&w, &x, &y);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        leaves(&w, &a, EPOCH_LEAVE);
        CU_ASSERT_EQUAL(describe_it(&w), COORD_OK);
        CU_ASSERT_EQUAL(described.ret_members_count, 2);
        for (int i = 0; i < 4; i++)
                for (struct client *c = i & 1 ? &x : &y; beat_classic(&w, c) == COORD_E_REBALANCING;) {
                        CU_ASSERT_EQUAL_FATAL(join_classic(&w, c, false), COORD_OK);
                        CU_ASSERT_EQUAL_FATAL(sync_classic(&w, c), COORD_OK);
                }
        CU_ASSERT_EQUAL(count(&x), 2);
        CU_ASSERT_EQUAL(count(&y), 2);
        SAME(shown_state(&w), "Stable");
        end(&w);
        /* None: they do not mix. */
        begin(&w);
        w.conf.upgrades = w.conf.downgrades = false;
        world_reload(&w);
        a.epoch = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(join_classic(&w, &z, true), COORD_E_INCONSISTENT_PROTOCOL);
        end(&w);
}

/* A group that has more members than one of the other type may have stays as it is. */
static void test_sizes(void)
{
        struct client x = { .names = { "t" } }, y = { .names = { "t" } }, a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        classic_pair(&w, &x, &y);
        w.conf.consumer_group_size_max = 1;
        world_reload(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_PTR_NOT_NULL(strstr(told.why, "more classic members"));
        w.conf.consumer_group_size_max = 3;
        world_reload(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        w.conf.group_size_max = 1;
        world_reload(&w);
        leaves(&w, &a, EPOCH_LEAVE);
        CU_ASSERT_EQUAL(describe_it(&w), COORD_OK);
        end(&w);
}

static const struct unit_case cases[] = {
        { "groups of the other type", test_other_types },
        { "classic members, upgraded", test_upgrade },
        { "classic members that do not answer", test_classic_time_outs },
        { "the ways that are allowed", test_policy },
        { "too many members", test_sizes },
        { "memory", forget_answers },
};
UNIT_MAIN("consumer groups, upgrade", cases)
