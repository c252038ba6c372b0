/* Goal: joining, rebalancing, syncing, heartbeats and leaving are as Kafka's clients expect. Method: stories with the
 * expected trace beside each step. */
#include "test-coord-world.h"

static void test_first_member(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .require_id = true);
        EXPECT(&w, "a:join ID_REQUIRED");
        JOIN(&w, "a", .require_id = true);
        EXPECT(&w, ""); /* parked: the initial delay */
        pass(&w, 2999);
        EXPECT(&w, "");
        pass(&w, 1);
        EXPECT(&w, "a:join OK gen=1 range lead=a [a]");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_COMPLETING);
        sync_as(&w, "a", 1, "a=x");
        EXPECT(&w, "+group gen=1 [ a=x ] a:sync OK 'x'");
        CU_ASSERT_EQUAL(w.last_need, 1); /* the answer waits for the write */
        beat(&w, "a", 1);
        EXPECT(&w, "a:beat OK");
        world_fini(&w);
}

static void test_static_needs_no_id_first(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .require_id = true, .instance = "i1");
        pass(&w, 3000);
        EXPECT(&w, "a:join OK gen=1 range lead=a [a]");
        CU_ASSERT_NSTRING_EQUAL(who(&w, "a")->id, "i1-00000000-0000-0000-0000-", 27);
        world_fini(&w);
}

static void test_pending_member_expires(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .require_id = true);
        w.trace[0] = 0;
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_EMPTY);
        pass(&w, 10000);                              /* its session time-out */
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_DEAD); /* nothing is left of the group */
        JOIN(&w, "a", .require_id = true);
        EXPECT(&w, "a:join UNKNOWN");
        world_fini(&w);
}

static void test_pending_member_is_waited_for(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        JOIN(&w, "b", .require_id = true);
        EXPECT(&w, "b:join ID_REQUIRED");
        JOIN(&w, "a", 0); /* the leader asks for a new assignment */
        EXPECT(&w, "");   /* b is on its way */
        JOIN(&w, "b", .require_id = true);
        EXPECT(&w, "a:join OK gen=2 range lead=a [a b] b:join OK gen=2 range lead=a");
        world_fini(&w);
}

static void test_initial_delay_is_extended(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .rebalance_ms = 7000);
        pass(&w, 2000);
        JOIN(&w, "b", .rebalance_ms = 7000);
        pass(&w, 1000);
        EXPECT(&w, ""); /* b came: 3 s more */
        pass(&w, 2000);
        JOIN(&w, "c", .rebalance_ms = 7000);
        pass(&w, 1000);
        EXPECT(&w, ""); /* c came: but only 1 s is left of the rebalance time-out */
        pass(&w, 1000);
        EXPECT(&w, "a:join OK gen=1 range lead=a [a b c] b:join OK gen=1 range lead=a c:join OK gen=1 range lead=a");
        world_fini(&w);
}

static void test_no_delay_when_not_empty(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        JOIN(&w, "b", 0);
        EXPECT(&w, "");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_PREPARING);
        beat(&w, "a", 1);
        EXPECT(&w, "a:beat REBALANCING"); /* not UNKNOWN */
        JOIN(&w, "a", 0);
        EXPECT(&w, "a:join OK gen=2 range lead=a [a b] b:join OK gen=2 range lead=a");
        world_fini(&w);
}

static void test_absent_member_is_dropped(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        JOIN(&w, "a", .rebalance_ms = 8000);
        for (int i = 0; i < 12; i++) {
                pass(&w, 4900);
                beat(&w, "b", 1); /* alive, but does not join */
        }
        w.trace[0] = 0;
        pass(&w, 1200); /* b's 60 s is the group's rebalance time-out */
        EXPECT(&w, "a:join OK gen=2 range lead=a [a]");
        beat(&w, "b", 1);
        EXPECT(&w, "b:beat UNKNOWN");
        world_fini(&w);
}

static void test_leader_is_replaced(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        leave(&w, "a");
        EXPECT(&w, "leave OK OK");
        JOIN(&w, "b", 0);
        EXPECT(&w, "b:join OK gen=2 range lead=b [b]");
        world_fini(&w);
}

static void test_rejoin_without_change(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        JOIN(&w, "b", 0); /* a follower without news: the generation as it is */
        EXPECT(&w, "b:join OK gen=1 range lead=a");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        JOIN(&w, "b", .topic = "u");
        EXPECT(&w, "");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_PREPARING);
        world_fini(&w);
}

static void test_rejoin_while_completing(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", 0);
        JOIN(&w, "b", 0);
        pass(&w, 6000);
        w.trace[0] = 0;
        JOIN(&w, "a", 0); /* it did not get the answer */
        EXPECT(&w, "a:join OK gen=1 range lead=a [a b]");
        sync_as(&w, "b", 1, NULL);
        EXPECT(&w, "");
        JOIN(&w, "a", .topic = "u"); /* news: those who wait for the old assignment join again */
        EXPECT(&w, "b:sync REBALANCING");
        JOIN(&w, "b", 0);
        EXPECT(&w, "a:join OK gen=2 range lead=a [a b] b:join OK gen=2 range lead=a");
        world_fini(&w);
}

static void test_votes(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .protocols = "sticky,range");
        JOIN(&w, "b", .protocols = "range,sticky");
        JOIN(&w, "c", .protocols = "cool,range,sticky");
        JOIN(&w, "d", .protocols = "cool");
        EXPECT(&w, "d:join INCONSISTENT");
        JOIN(&w, "e", .type = "connect");
        EXPECT(&w, "e:join INCONSISTENT");
        JOIN(&w, "f", .protocols = "");
        EXPECT(&w, "f:join INCONSISTENT");
        pass(&w, 9000);
        EXPECT(&w, "a:join OK gen=1 range lead=a [a b c] b:join OK gen=1 range lead=a c:join OK gen=1 range lead=a");
        world_fini(&w);
}

static void test_bounds(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .session_ms = 5999);
        EXPECT(&w, "a:join SESSION");
        JOIN(&w, "a", .session_ms = 1800001);
        EXPECT(&w, "a:join SESSION");
        memcpy(who(&w, "a")->id, "nobody", 7);
        JOIN(&w, "a", 0); /* a group is made only by a member without an id */
        EXPECT(&w, "a:join UNKNOWN");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_DEAD);
        world_fini(&w);
}

static void test_group_size(void)
{
        struct world w;

        world_init(&w);
        w.gs = groups_free(w.gs);
        w.conf.group_size_max = 2;
        world_start(&w);
        JOIN(&w, "a", 0);
        JOIN(&w, "b", 0);
        JOIN(&w, "c", 0);
        EXPECT(&w, "c:join FULL");
        pass(&w, 6000);
        w.trace[0] = 0;
        JOIN(&w, "c", 0);
        EXPECT(&w, "c:join FULL");
        JOIN(&w, "b", 0); /* who is in stays in */
        EXPECT(&w, "b:join OK gen=1 range lead=a");
        world_fini(&w);
}

static void test_memory_bounds(void)
{
        struct world w;

        world_init(&w);
        w.gs = groups_free(w.gs);
        w.conf.member_metadata_len_max = 20;
        world_start(&w);
        JOIN(&w, "a", 0);
        EXPECT(&w, "");
        JOIN(&w, "b", .topic = "a-name-that-is-too-long");
        EXPECT(&w, "b:join TOO_LARGE");
        world_drop(&w);
        w.trace[0] = 0;
        w.conf.memory_max = 900;
        world_start(&w);
        JOIN(&w, "c", 0);
        JOIN(&w, "d", 0);
        JOIN(&w, "e", 0);
        EXPECT(&w, "d:join NO_ROOM e:join NO_ROOM");
        world_fini(&w);
}

static void test_record_bound(void)
{
        struct world w;

        world_init(&w);
        w.gs = groups_free(w.gs);
        w.conf.record_len_max = 800;
        world_start(&w);
        JOIN(&w, "a", 0);
        pass(&w, 3000);
        w.trace[0] = 0;
        sync_as(&w, "a", 1,
                "a=0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
                "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
                "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
                "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
                "1");
        EXPECT(&w, "a:sync TOO_LARGE");
        sync_as(&w, "a", 1, "a=x"); /* nothing was changed by it */
        EXPECT(&w, "+group gen=1 [ a=x ] a:sync OK 'x'");
        world_fini(&w);
}

/* ---- sync ---- */

static void test_sync_parks_and_leaves_out(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", 0);
        JOIN(&w, "b", 0);
        pass(&w, 6000);
        w.trace[0] = 0;
        sync_as(&w, "b", 1, NULL);
        EXPECT(&w, "");
        pass(&w, 10000); /* both sessions: who waits for us does not expire, the leader does */
        EXPECT(&w, "b:sync REBALANCING");
        JOIN(&w, "b", 0);
        EXPECT(&w, "b:join OK gen=2 range lead=b [b]");
        sync_as(&w, "b", 2, "a=x");
        EXPECT(&w, "+group gen=2 [ b= ] b:sync OK ''"); /* left out: empty bytes, not null */
        world_fini(&w);
}

static void test_sync_refusals(void)
{
        struct world w;
        struct asked *q;

        world_init(&w);
        stable_group(&w, "ab");
        sync_as(&w, "a", 0, NULL);
        EXPECT(&w, "a:sync ILLEGAL_GENERATION");
        sync_as(&w, "z", 1, NULL);
        EXPECT(&w, "z:sync UNKNOWN");
        sync_as(&w, "b", 1, NULL); /* Stable: its part of the assignment again */
        EXPECT(&w, "b:sync OK 'y'");
        q = new_asked("b", COORD_SYNC);
        q->sync.member_id = str_of(who(&w, "b")->id);
        q->sync.generation = 1;
        q->sync.protocol_name = STR_LIT("sticky");
        ask(&w, &q->rq);
        EXPECT(&w, "b:sync INCONSISTENT");
        JOIN(&w, "a", 0);
        sync_as(&w, "b", 1, NULL);
        EXPECT(&w, "b:sync REBALANCING");
        world_fini(&w);
}

static void test_sync_times_out(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .rebalance_ms = 20000);
        JOIN(&w, "b", .rebalance_ms = 20000);
        pass(&w, 6000);
        sync_as(&w, "a", 1, "a=x b=y");
        w.trace[0] = 0;
        for (int i = 0; i < 3; i++) {
                pass(&w, 6000);
                beat(&w, "a", 1);
                beat(&w, "b", 1); /* b lives but never asks for its part */
        }
        w.trace[0] = 0;
        pass(&w, 3000);
        beat(&w, "a", 1);
        beat(&w, "b", 1);
        EXPECT(&w, "a:beat REBALANCING b:beat UNKNOWN");
        world_fini(&w);
}

/* ---- heartbeats, sessions, leaving ---- */

static void test_sessions(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        beat(&w, "a", 2);
        EXPECT(&w, "a:beat ILLEGAL_GENERATION");
        pass(&w, 9000);
        beat(&w, "a", 1);
        EXPECT(&w, "a:beat OK");
        pass(&w, 1000); /* b was silent for 10 s */
        beat(&w, "a", 1);
        EXPECT(&w, "a:beat REBALANCING");
        pass(&w, 10000); /* now a, too: the group is empty, and says so in the log */
        EXPECT(&w, "+group gen=2 [ ]");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_EMPTY);
        beat(&w, "a", 2);
        EXPECT(&w, "a:beat UNKNOWN");
        world_fini(&w);
}

static void test_first_join_is_given_up(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        JOIN(&w, "b", .rebalance_ms = 900000, .session_ms = 6000);
        for (int i = 0; i < 33; i++) {
                pass(&w, 9000);
                beat(&w, "a", 1);
        }
        w.trace[0] = 0;
        pass(&w, 3000); /* 5 minutes */
        EXPECT(&w, "b:join UNKNOWN");
        world_fini(&w);
}

static void test_leave_batch(void)
{
        struct world w;
        struct asked *q;

        world_init(&w);
        JOIN(&w, "a", .instance = "i1");
        JOIN(&w, "b", .instance = "i2");
        pass(&w, 6000);
        sync_as(&w, "a", 1, "a=x");
        w.trace[0] = 0;
        q = new_asked("", COORD_LEAVE);
        q->leave.members = q->leavers;
        q->leave.members_count = 4;
        q->leavers[0] = (struct coord_leave_member){ .member_id = STR_LIT(""), .instance_id = STR_LIT("i1") };
        q->leavers[1] = (struct coord_leave_member){ .member_id = STR_LIT(""), .instance_id = STR_LIT("i9") };
        q->leavers[2] = (struct coord_leave_member){ .member_id = STR_LIT("x"), .instance_id = STR_LIT("i2") };
        q->leavers[3] = (struct coord_leave_member){ .member_id = STR_LIT("x") };
        ask(&w, &q->rq);
        EXPECT(&w, "leave OK OK UNKNOWN FENCED UNKNOWN");
        beat(&w, "b", 1);
        EXPECT(&w, "b:beat REBALANCING");
        world_fini(&w);
}

/* ---- static members ---- */

static void test_static_restart(void)
{
        struct world w;
        struct asked *q;

        world_init(&w);
        JOIN(&w, "a", .instance = "i1");
        JOIN(&w, "b", .instance = "i2");
        pass(&w, 6000);
        sync_as(&w, "a", 1, "a=x b=y");
        w.trace[0] = 0;
        JOIN(&w, "b2", .instance = "i2"); /* a new process in b's place: same generation, nobody else is disturbed */
        EXPECT(&w, "+group gen=1 [ a=x ?=y ] b2:join OK gen=1 range lead=a");
        sync_as(&w, "b2", 1, NULL);
        EXPECT(&w, "b2:sync OK 'y'");
        q = new_asked("b", COORD_HEARTBEAT);
        q->beat.member_id = str_of(who(&w, "b")->id);
        q->beat.instance_id = STR_LIT("i2");
        q->beat.generation = 1;
        ask(&w, &q->rq);
        EXPECT(&w, "b:beat FENCED");
        JOIN(&w, "b", .instance = "i2");
        EXPECT(&w, "b:join FENCED");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        world_fini(&w);
}

static void test_static_leader_restart(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .instance = "i1");
        JOIN(&w, "b", 0);
        pass(&w, 6000);
        sync_as(&w, "a", 1, "a=x b=y");
        w.trace[0] = 0;
        JOIN(&w, "a2", .instance = "i1"); /* before version 9: told that its former self leads */
        EXPECT(&w, "+group gen=1 [ ?=x b=y ] a2:join OK gen=1 range lead=a");
        JOIN(&w, "a3", .instance = "i1", .skip = true); /* since: it leads, and leaves the assignment alone */
        EXPECT(&w, "+group gen=1 [ ?=x b=y ] a3:join OK gen=1 range lead=a3 skip [a3 b]");
        JOIN(&w, "a4", .instance = "i1", .protocols = "sticky");
        EXPECT(&w, "a4:join INCONSISTENT");
        world_fini(&w);
}

static void test_static_restart_changes_protocol(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .instance = "i1", .protocols = "range,sticky");
        JOIN(&w, "b", .instance = "i2", .protocols = "range,sticky");
        pass(&w, 6000);
        sync_as(&w, "a", 1, "a=x b=y");
        w.trace[0] = 0;
        JOIN(&w, "b2", .instance = "i2", .protocols = "sticky");
        EXPECT(&w, ""); /* the next generation would choose otherwise: everyone has to join */
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_PREPARING);
        JOIN(&w, "a", .instance = "i1", .protocols = "range,sticky");
        EXPECT(&w, "a:join OK gen=2 sticky lead=a [a b2] b2:join OK gen=2 sticky lead=a");
        sync_as(&w, "b2", 2, NULL);
        JOIN(&w, "b3", .instance = "i2", .protocols = "sticky"); /* while completing: the leader knows b2 only */
        EXPECT(&w, "b2:sync FENCED");
        JOIN(&w, "a", .instance = "i1", .protocols = "range,sticky");
        EXPECT(&w, "a:join OK gen=3 sticky lead=a [a b3] b3:join OK gen=3 sticky lead=a");
        world_fini(&w);
}

static void test_static_member_keeps_its_place(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .rebalance_ms = 5000, .instance = "i1", .session_ms = 60000);
        JOIN(&w, "b", .rebalance_ms = 5000);
        pass(&w, 6000);
        sync_as(&w, "a", 1, "a=x b=y");
        sync_as(&w, "b", 1, NULL);
        w.trace[0] = 0;
        JOIN(&w, "b", .topic = "u", .rebalance_ms = 5000);
        pass(&w, 5000); /* a is away, but static: it stays a member, and b leads */
        EXPECT(&w, "b:join OK gen=2 range lead=b [a b]");
        world_fini(&w);
}

static void test_superseded_requests_are_answered(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        JOIN(&w, "a", 0);
        JOIN(&w, "a", 0);
        EXPECT(&w, "a:join REBALANCING"); /* the first one; the second is parked */
        JOIN(&w, "b", 0);
        EXPECT(&w, "a:join OK gen=2 range lead=a [a b] b:join OK gen=2 range lead=a");
        sync_as(&w, "b", 2, NULL);
        sync_as(&w, "b", 2, NULL);
        EXPECT(&w, "b:sync REBALANCING");
        leave(&w, "b"); /* with a request parked */
        EXPECT(&w, "b:sync UNKNOWN leave OK OK");
        world_fini(&w);
}

static void test_reload(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        CU_ASSERT_EQUAL(commit(&w, "a", 1, "t", 0, 7), COORD_OK);
        w.trace[0] = 0;
        world_reload(&w);
        EXPECT(&w, "");
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 7);
        beat(&w, "a", 1);
        sync_as(&w, "b", 1, NULL);
        EXPECT(&w, "a:beat OK b:sync OK 'y'");
        JOIN(&w, "b", 0); /* also its subscription is known again */
        EXPECT(&w, "b:join OK gen=1 range lead=a");
        pass(&w, 9999);
        beat(&w, "a", 1);
        EXPECT(&w, "a:beat OK"); /* sessions run from the load on */
        pass(&w, 1);
        beat(&w, "b", 1);
        EXPECT(&w, "b:beat UNKNOWN");
        world_fini(&w);
}

static const struct unit_case cases[] = {
        { "first member", test_first_member },
        { "static needs no id first", test_static_needs_no_id_first },
        { "pending member expires", test_pending_member_expires },
        { "pending member is waited for", test_pending_member_is_waited_for },
        { "initial delay is extended", test_initial_delay_is_extended },
        { "no delay when not empty", test_no_delay_when_not_empty },
        { "absent member is dropped", test_absent_member_is_dropped },
        { "leader is replaced", test_leader_is_replaced },
        { "rejoin without change", test_rejoin_without_change },
        { "rejoin while completing", test_rejoin_while_completing },
        { "votes", test_votes },
        { "bounds", test_bounds },
        { "group size", test_group_size },
        { "memory bounds", test_memory_bounds },
        { "record bound", test_record_bound },
        { "sync parks and leaves out", test_sync_parks_and_leaves_out },
        { "sync refusals", test_sync_refusals },
        { "sync times out", test_sync_times_out },
        { "sessions", test_sessions },
        { "first join is given up", test_first_join_is_given_up },
        { "leave batch", test_leave_batch },
        { "static restart", test_static_restart },
        { "static leader restart", test_static_leader_restart },
        { "static restart changes protocol", test_static_restart_changes_protocol },
        { "static member keeps its place", test_static_member_keeps_its_place },
        { "superseded requests are answered", test_superseded_requests_are_answered },
        { "reload", test_reload },
};

UNIT_MAIN("coord-join", cases)
