/* Goal: members of a share group are let in, assigned to, told, fenced and put out as KIP-932 and Kafka 4.3 say; leaders read and write how far the
 * group is, and stale ones do not; operators see, set and forget it. Method: named cases, one machine, a log that is read again. */
#include "test-coord-shares.h"

static void test_join(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t", "u" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(a.epoch, 2);
        SAME(has(&a), "t0 t1 t2 t3");
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK); /* as it was told before */
        CU_ASSERT(!told.has_assignment);
        CU_ASSERT_EQUAL(share_beat(&w, &a, FULL), COORD_OK);
        CU_ASSERT(told.has_assignment);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        CU_ASSERT_EQUAL(b.epoch, 3);
        SAME(share_state(&w), "Stable");
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK); /* it is told at once what it has left */
        CU_ASSERT_EQUAL(a.epoch, 3);
        CU_ASSERT(told.has_assignment);
        CU_ASSERT_EQUAL(count(&a) + count(&b), 6);
        CU_ASSERT_EQUAL(count(&a), 3);
        CU_ASSERT_EQUAL(show(&w), COORD_OK);
        CU_ASSERT_EQUAL(shown.ret_epoch, 3);
        CU_ASSERT_EQUAL(shown.ret_target_epoch, 3);
        CU_ASSERT_EQUAL(shown.ret_members_count, 2);
        CU_ASSERT(str_equal_c(shown.ret_assignor, "simple"));
        CU_ASSERT_EQUAL(share_leave(&w, &a), COORD_OK);
        CU_ASSERT_EQUAL(told.epoch, -1);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        CU_ASSERT_EQUAL(count(&b), 6);
        CU_ASSERT_EQUAL(share_leave(&w, &b), COORD_OK);
        SAME(share_state(&w), "Empty");
        pass(&w, 30LL * 24 * 3600 * 1000); /* it stays until somebody deletes it */
        SAME(share_state(&w), "Empty");
        CU_ASSERT_EQUAL(share_delete(&w), COORD_OK);
        SAME(share_state(&w), "none");
        world_reload(&w);
        SAME(share_state(&w), "none");
        CU_ASSERT_EQUAL(w.gs->stats.groups, 0);
        CU_ASSERT_EQUAL(w.gs->stats.memory, 0);
        shares_end(&w);
}

/* More members than partitions: each has one, and each partition has a member. */
static void test_many(void)
{
        struct client m[9];
        struct world w;
        int of[4] = { 0 };

        begin(&w);
        for (int i = 0; i < 9; i++) {
                static char ids[9][4];

                snprintf(ids[i], sizeof ids[i], "m%d", i);
                m[i] = (struct client){ .id = ids[i], .names = { "t" } };
                CU_ASSERT_EQUAL(share_beat(&w, &m[i], 0), COORD_OK);
        }
        for (int i = 0; i < 9; i++) {
                CU_ASSERT_EQUAL(share_beat(&w, &m[i], 0), COORD_OK);
                CU_ASSERT(count(&m[i]) >= 1 && count(&m[i]) <= 2);
                for (int p = 0; p < 4; p++)
                        of[p] += m[i].has[0][p];
        }
        for (int p = 0; p < 4; p++)
                CU_ASSERT(of[p] >= 2 && of[p] <= 3);
        shares_end(&w);
}

static void test_refused(void)
{
        struct client a = { .id = "a", .names = { "t" } }, nobody = { .id = "", .names = { "t" } },
                      none = { .id = "n" }, late = { .id = "l", .epoch = 3, .names = { "t" } },
                      odd = { .id = "o", .epoch = -2, .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &nobody, 0), COORD_E_INVALID_REQUEST);
        CU_ASSERT_EQUAL(share_beat(&w, &none, 0), COORD_E_INVALID_REQUEST);
        CU_ASSERT_EQUAL(share_beat(&w, &odd, 0), COORD_E_INVALID_REQUEST);
        CU_ASSERT_EQUAL(share_beat(&w, &late, 0), COORD_E_GROUP_NOT_FOUND);
        SAME(told.why, "There is no such group.");
        CU_ASSERT_EQUAL(share_leave(&w, &late), COORD_E_GROUP_NOT_FOUND);
        SAME(share_state(&w), "none");
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        late.epoch = 3;
        CU_ASSERT_EQUAL(share_beat(&w, &late, 0), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(share_leave(&w, &late), COORD_E_UNKNOWN_MEMBER);
        a.epoch = 3;
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_E_FENCED_EPOCH);
        a.epoch = EPOCH_JOIN; /* again, as the same member */
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(a.epoch, 2);
        w.gs->conf.share_group_size_max = 1;
        late.epoch = EPOCH_JOIN;
        CU_ASSERT_EQUAL(share_beat(&w, &late, 0), COORD_E_GROUP_FULL);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        w.gs->conf.memory_max = w.gs->stats.memory;
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_E_NO_ROOM);
        shares_end(&w);
}

/* An answer that was lost: the member says the epoch before, once. */
static void test_epochs(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_beat(&w, &a, LOST), COORD_OK);
        CU_ASSERT_EQUAL(told.epoch, 3);
        CU_ASSERT_EQUAL(share_beat(&w, &a, FULL), COORD_OK);
        CU_ASSERT_EQUAL(a.epoch, 3);
        CU_ASSERT_EQUAL(count(&a), 2);
        a.epoch = 1;
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_E_FENCED_EPOCH);
        shares_end(&w);
}

static void test_session(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        pass(&w, 30000);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        pass(&w, 16000);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        SAME(has(&b), "t0 t1 t2 t3");
        world_reload(&w); /* sessions start again */
        pass(&w, 40000);
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        CU_ASSERT(!told.has_assignment);
        set_topic(0, "t", 6); /* topics grow */
        CU_ASSERT_EQUAL(share_beat(&w, &b, 0), COORD_OK);
        SAME(has(&b), "t0 t1 t2 t3 t4 t5");
        shares_end(&w);
}

/* ---- other types of groups, and other requests ---- */

static int plain(struct world *w, enum coord_op op)
{
        struct coord_heartbeat beat = { .member_id = STR_LIT("a"), .generation = 2 };
        struct coord_leave_member who = { .member_id = STR_LIT("a") };
        struct coord_leave leave = { .members = &who, .members_count = 1 };
        struct coord_sync sync = { .member_id = STR_LIT("a"), .generation = 2 };
        struct coord_describe describe = { 0 };
        struct coord_offset_delete del = { 0 };
        struct coord_request *rq = op == COORD_HEARTBEAT  ? &beat.rq
                                   : op == COORD_LEAVE    ? &leave.rq
                                   : op == COORD_SYNC     ? &sync.rq
                                   : op == COORD_DESCRIBE ? &describe.rq
                                                          : &del.rq;
        struct coord_actions acts;
        int outcome;

        coord_request_init(rq, op, STR_LIT("g"));
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_request(w->gs, rq, w->now, &acts), 0);
        CU_ASSERT_FATAL(!ilist_is_empty(&rq->link));
        ilist_unlink(&rq->link);
        coord_actions_fini(&acts);
        outcome = rq->outcome;
        coord_request_fini(rq);
        return outcome;
}

static void test_other_requests(void)
{
        struct client a = { .id = "a", .names = { "t" } }, c = { .id = "c", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        for (int i = 0; i < 2; i++) { /* with members, and without */
                CU_ASSERT_EQUAL(plain(&w, COORD_HEARTBEAT), COORD_E_UNKNOWN_MEMBER);
                CU_ASSERT_EQUAL(plain(&w, COORD_SYNC), COORD_E_UNKNOWN_MEMBER);
                CU_ASSERT_EQUAL(plain(&w, COORD_LEAVE), COORD_OK); /* of it: unknown */
                CU_ASSERT_EQUAL(plain(&w, COORD_DESCRIBE), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT_EQUAL(plain(&w, COORD_OFFSET_DELETE), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT_EQUAL(commits(&w, "a", 2, true), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT_EQUAL(commits(&w, "", -1, true), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT_EQUAL(fetches(&w, "a", 2), -1); /* nothing is committed */
                CU_ASSERT_EQUAL(fetches(&w, "", -1), -1);
                c.epoch = EPOCH_JOIN;
                CU_ASSERT_EQUAL(heartbeat(&w, &c, 0), COORD_E_GROUP_NOT_FOUND);
                SAME(told.why, "The group is not a consumer group.");
                CU_ASSERT_EQUAL(leaves(&w, &c, EPOCH_LEAVE), COORD_E_GROUP_NOT_FOUND);
                c = (struct client){ .id = "a", .epoch = 2 }; /* as if it were the member */
                CU_ASSERT_EQUAL(heartbeat(&w, &c, 0), COORD_E_GROUP_NOT_FOUND);
                c = (struct client){ .id = "c", .names = { "t" } };
                CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT(described.ret_is_other_type);
                w.trace[0] = 0;
                join(&w, "x", (struct how){ 0 });
                EXPECT(&w, "x:join INCONSISTENT");
                if (!i) {
                        CU_ASSERT_EQUAL(share_delete(&w), COORD_E_NON_EMPTY_GROUP);
                        CU_ASSERT_EQUAL(share_leave(&w, &a), COORD_OK);
                }
        }
        forget_answers();
        shares_end(&w);
}

static void test_other_groups(void)
{
        struct client a = { .id = "a", .names = { "t" } }, s = { .id = "s", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        for (int i = 0; i < 2; i++) {
                s.epoch = EPOCH_JOIN;
                CU_ASSERT_EQUAL(share_beat(&w, &s, 0), COORD_E_GROUP_NOT_FOUND);
                SAME(told.why, "The group is not a share group.");
                CU_ASSERT_EQUAL(share_leave(&w, &s), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT_EQUAL(show(&w), COORD_E_GROUP_NOT_FOUND);
                CU_ASSERT(shown.ret_is_other_type);
                SAME(stands(&w, NULL, 0), "outcome 5");
                CU_ASSERT_EQUAL(share_alter(&w, "t", 0, 1), COORD_E_GROUP_NOT_FOUND);
                if (!i)
                        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE), COORD_OK);
        }
        CU_ASSERT_EQUAL(share_delete(&w), COORD_OK);
        s.epoch = EPOCH_JOIN;
        CU_ASSERT_EQUAL(share_beat(&w, &s, 0), COORD_OK); /* the name is free again */
        CU_ASSERT_EQUAL(show(&w), COORD_OK);
        world_reload(&w);
        CU_ASSERT_EQUAL(show(&w), COORD_OK);
        CU_ASSERT_EQUAL(shown.ret_members_count, 1);
        forget_answers();
        shares_end(&w);
}

/* ---- leaders ---- */

static void test_read_write(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct lead l = { .partition = 1, .leader_epoch = 4 }, old = { .partition = 1, .leader_epoch = 3 }, x;
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        x = (struct lead){ .partition = 4 };
        CU_ASSERT_EQUAL(share_read(&w, &x), COORD_E_UNKNOWN_PARTITION);
        x = (struct lead){ .topic = 3 };
        CU_ASSERT_EQUAL(share_read(&w, &x), COORD_E_UNKNOWN_PARTITION);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(last_need, w.written); /* fencing is written */
        CU_ASSERT_EQUAL(l.start, COORD_SHARE_START_UNKNOWN);
        CU_ASSERT_EQUAL(share_read(&w, &old), COORD_E_FENCED_LEADER);
        old.state_epoch = l.state_epoch;
        CU_ASSERT_EQUAL(share_write(&w, &old), COORD_E_FENCED_LEADER);
        l.start = 10;
        l.runs[0] = (struct coord_share_run){ 10, 12, 0, 2 };
        l.runs[1] = (struct coord_share_run){ 13, 13, 2, 1 };
        l.runs[2] = (struct coord_share_run){ 20, 24, 4, 5 };
        l.runs_count = 3;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(last_need, w.written);
        SAME(stands(&w, NULL, 0), "t1=10/6@4");
        SAME(stands(&w, "t", 1), "t1=10/6@4");
        SAME(stands(&w, "t", 0), "t0=-1@0");
        SAME(stands(&w, "v", 0), "v0=?");
        world_reload(&w);
        x = (struct lead){ .partition = 1, .leader_epoch = 4 };
        CU_ASSERT_EQUAL(share_read(&w, &x), COORD_OK);
        CU_ASSERT_NOT_EQUAL(x.state_epoch, l.state_epoch);
        CU_ASSERT(x.start == l.start && x.runs_count == l.runs_count && !memcmp(x.runs, l.runs, sizeof x.runs));
        CU_ASSERT_EQUAL(share_read(&w, &old), COORD_E_FENCED_LEADER);
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_FENCED_STATE); /* it has read again since */
        x.leader_epoch = 5;
        CU_ASSERT_EQUAL(share_read(&w, &x), COORD_OK);
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_FENCED_LEADER);
        CU_ASSERT_EQUAL(x.runs_count, 3);
        shares_end(&w);
}

/* A write that was given up and comes late, behind the one that was sent in its place, changes nothing. */
static void test_late_write(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct lead l = { .leader_epoch = 1 }, late;
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        l.start = 10;
        late = l;
        l.number++;
        l.start = 20;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_write(&w, &late), COORD_E_FENCED_STATE);
        SAME(stands(&w, NULL, 0), "t0=20@1");
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK); /* the same again */
        late.number = l.number - 2;
        CU_ASSERT_EQUAL(share_write(&w, &late), COORD_E_FENCED_STATE);
        world_reload(&w);
        late.number = 0;
        CU_ASSERT_EQUAL(share_write(&w, &late), COORD_E_FENCED_STATE);
        SAME(stands(&w, NULL, 0), "t0=20@1");
        shares_end(&w);
}

/* What makes no sense, or too much, is refused, and changes nothing. */
static void test_bad_writes(void)
{
        static const struct {
                int64_t start;
                struct coord_share_run runs[2];
                int32_t count;
        } bad[] = {
                { -2, { { 0 } }, 0 },
                { -1, { { 0, 1, 2, 1 } }, 1 },
                { 5, { { 4, 6, 2, 1 } }, 1 },
                { 5, { { 6, 5, 2, 1 } }, 1 },
                { 5, { { 5, 6, 1, 1 } }, 1 },
                { 5, { { 5, 6, 3, 1 } }, 1 },
                { 5, { { 5, 6, -1, 1 } }, 1 },
                { 5, { { 5, 6, 2, -1 } }, 1 },
                { 5, { { 5, 6, 2, 1 }, { 6, 7, 2, 1 } }, 2 },
                { 5, { { 5, INT64_MAX, 2, 1 } }, 1 },
                { 5, { { 0 } }, -1 },
        };
        struct client a = { .id = "a", .names = { "t" } };
        struct lead l = { .leader_epoch = 1 };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_FENCED_STATE); /* nobody has read it */
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        l.start = 3;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK);
        for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
                struct lead x = l;

                x.start = bad[i].start;
                memcpy(x.runs, bad[i].runs, sizeof bad[i].runs);
                x.runs_count = bad[i].count;
                CU_ASSERT_EQUAL(share_write(&w, &x), COORD_E_INVALID_REQUEST);
        }
        SAME(stands(&w, NULL, 0), "t0=3@1");
        l.runs_count = COORD_SHARE_RUNS_MAX + 1;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_TOO_LARGE);
        l.runs_count = 1;
        l.runs[0] = (struct coord_share_run){ 3, 3, 2, 1 };
        w.gs->conf.memory_max = w.gs->stats.memory;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_NO_ROOM);
        l = (struct lead){ .partition = 2, .leader_epoch = 1 };
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_E_NO_ROOM);
        shares_end(&w);
}

/* ---- operators ---- */

static void test_alter(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct lead l = { .leader_epoch = 1 };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 4, 7), COORD_OK);
        SAME(share_state(&w), "none"); /* there is no such partition */
        CU_ASSERT_EQUAL(share_alter(&w, "t", 0, 2), COORD_OK);
        SAME(share_state(&w), "Empty"); /* it is made */
        world_reload(&w);
        SAME(stands(&w, NULL, 0), "t0=2@0");
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        l.start = 3;
        l.runs[0] = (struct coord_share_run){ 5, 5, 2, 1 };
        l.runs_count = 1;
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 0, 7), COORD_E_NON_EMPTY_GROUP);
        CU_ASSERT_EQUAL(share_leave(&w, &a), COORD_OK);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 0, 7), COORD_OK);
        CU_ASSERT_EQUAL(item_outcome, COORD_OK);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 3, 9), COORD_OK); /* where nothing was known */
        CU_ASSERT_EQUAL(share_alter(&w, "t", 4, 9), COORD_OK);
        CU_ASSERT_EQUAL(item_outcome, COORD_E_UNKNOWN_PARTITION);
        CU_ASSERT_EQUAL(share_alter(&w, "t", 3, -1), COORD_OK);
        CU_ASSERT_EQUAL(item_outcome, COORD_E_INVALID_REQUEST);
        SAME(stands(&w, NULL, 0), "t0=7@1 t3=9@0");
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_FENCED_STATE);
        world_reload(&w);
        SAME(stands(&w, NULL, 0), "t0=7@1 t3=9@0");
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_E_FENCED_STATE);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(l.start, 7);
        CU_ASSERT_EQUAL(l.runs_count, 0);
        CU_ASSERT_EQUAL(share_write(&w, &l), COORD_OK);
        shares_end(&w);
}

static void test_remove(void)
{
        struct client a = { .id = "a", .names = { "t", "u" } };
        struct lead l = { .leader_epoch = 1 }, u = { .topic = 1, .leader_epoch = 1 }, was;
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &u), COORD_OK);
        was = l;
        CU_ASSERT_EQUAL(share_remove(&w, "t"), COORD_E_NON_EMPTY_GROUP);
        CU_ASSERT_EQUAL(share_leave(&w, &a), COORD_OK);
        CU_ASSERT_EQUAL(share_remove(&w, "t"), COORD_OK);
        CU_ASSERT_EQUAL(item_outcome, COORD_OK);
        CU_ASSERT_EQUAL(share_remove(&w, "t"), COORD_OK);
        CU_ASSERT_EQUAL(item_outcome, COORD_E_UNKNOWN_PARTITION);
        SAME(stands(&w, NULL, 0), "u0=-1@1");
        CU_ASSERT_EQUAL(share_write(&w, &was), COORD_E_FENCED_STATE);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_write(&w, &was), COORD_E_FENCED_STATE); /* it is another state now */
        world_reload(&w);
        SAME(stands(&w, NULL, 0), "u0=-1@1 t0=-1@1");
        was = l;
        CU_ASSERT_EQUAL(share_delete(&w), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_E_GROUP_NOT_FOUND);
        a.epoch = EPOCH_JOIN;
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK); /* another group of that name */
        SAME(stands(&w, NULL, 0), "");
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_write(&w, &was), COORD_E_FENCED_STATE);
        shares_end(&w);
}

static void test_topic_gone(void)
{
        struct client a = { .id = "a", .names = { "t", "u" } };
        struct lead l = { .leader_epoch = 1 }, u = { .topic = 1, .leader_epoch = 1 };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        CU_ASSERT_EQUAL(share_read(&w, &u), COORD_OK);
        topic_gone(&w, 0);
        SAME(stands(&w, NULL, 0), "u0=-1@1");
        set_topic(0, "t", 4); /* again, as another one */
        SAME(stands(&w, "t", 0), "t0=-1@0");
        CU_ASSERT_EQUAL(share_read(&w, &l), COORD_OK);
        topics[1].partitions = 0; /* nobody tells us: it went while nobody coordinated */
        build_image();
        world_reload(&w);
        SAME(stands(&w, NULL, 0), "t0=-1@1");
        CU_ASSERT_EQUAL(share_find_topic(groups_find(w.gs, STR_LIT("g")), topic_id(1)), NULL);
        CU_ASSERT_EQUAL(share_beat(&w, &a, 0), COORD_OK);
        SAME(has(&a), "t0 t1 t2 t3");
        shares_end(&w);
}

static const struct unit_case cases[] = {
        { "join and leave", test_join },
        { "more members than partitions", test_many },
        { "refused", test_refused },
        { "epochs", test_epochs },
        { "sessions", test_session },
        { "other requests", test_other_requests },
        { "other groups", test_other_groups },
        { "leaders read and write", test_read_write },
        { "bad writes", test_bad_writes },
        { "a write that comes late", test_late_write },
        { "starts are set", test_alter },
        { "and forgotten", test_remove },
        { "topics that are gone", test_topic_gone },
};
UNIT_MAIN("share groups", cases)
