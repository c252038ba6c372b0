/* Goal: consumer groups (KIP-848): who is let in, who is given what and when, epochs, static members, expressions, the log. Method: clients
 * that act as the protocol says, or not, step by step. */
#include "test-coord-consumers.h"

/* ---- one or two ---- */

static void test_share(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        SAME(has(&a), "t0 t1 t2 t3");
        CU_ASSERT_EQUAL(a.epoch, 2);
        SAME(shown_state(&w), "Stable");
        /* Nothing new: nothing written, nothing told. */
        w.consumer_records = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, OWNED), COORD_OK);
        CU_ASSERT(!told.has_assignment && !w.consumer_records);
        /* Another one: it is told its epoch, and gets what the first has given up. */
        CU_ASSERT_EQUAL(heartbeat(&w, &b, 0), COORD_OK);
        SAME(has(&b), "");
        CU_ASSERT_EQUAL(b.epoch, 3);
        SAME(shown_state(&w), "Reconciling");
        CU_ASSERT_EQUAL(heartbeat(&w, &a, OWNED), COORD_OK);
        CU_ASSERT_EQUAL(count(&a), 2);
        CU_ASSERT_EQUAL(a.epoch, 2); /* until it says that it has given them up */
        heartbeat(&w, &b, 0);
        CU_ASSERT_EQUAL(count(&b), 0);
        heartbeat(&w, &a, OWNED);
        CU_ASSERT_EQUAL(a.epoch, 3);
        heartbeat(&w, &b, 0);
        CU_ASSERT_EQUAL(count(&b), 2);
        for (int p = 0; p < 4; p++)
                CU_ASSERT(a.has[0][p] != b.has[0][p]);
        SAME(shown_state(&w), "Stable");
        CU_ASSERT_EQUAL(described.ret_members_count, 2);
        CU_ASSERT(described.ret_epoch == 3 && described.ret_target_epoch == 3);
        /* One leaves: the other is told at its next heartbeat. */
        CU_ASSERT_EQUAL(leaves(&w, &b, EPOCH_LEAVE), COORD_OK);
        SAME(shown_state(&w), "Assigning");
        heartbeat(&w, &a, 0);
        SAME(has(&a), "t0 t1 t2 t3");
        CU_ASSERT_EQUAL(a.epoch, 4);
        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE), COORD_OK);
        SAME(shown_state(&w), "Empty");
        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE), COORD_E_UNKNOWN_MEMBER);
        end(&w);
}

static void test_epochs(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } }, lost;
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &(struct client){ .id = "a", .names = { "t" }, .epoch = 2 }, 0),
                        COORD_E_GROUP_NOT_FOUND);
        heartbeat(&w, &a, 0);
        a.epoch = 3;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, OWNED), COORD_E_FENCED_EPOCH);
        a.epoch = 2;
        b.epoch = 2;
        CU_ASSERT_EQUAL(heartbeat(&w, &b, 0), COORD_E_UNKNOWN_MEMBER);
        b.epoch = 0;
        heartbeat(&w, &b, 0);
        heartbeat(&w, &a, OWNED);
        /* The answer with the new epoch is lost: it says the one before, and what it has. */
        lost = a;
        heartbeat(&w, &a, OWNED);
        CU_ASSERT_EQUAL(a.epoch, 3);
        CU_ASSERT_EQUAL(heartbeat(&w, &lost, FULL), COORD_OK);
        CU_ASSERT_EQUAL(lost.epoch, 3);
        CU_ASSERT(told.has_assignment);
        /* With more than it has, or without saying it, it is fenced. */
        lost.epoch = 2;
        CU_ASSERT_EQUAL(heartbeat(&w, &lost, 0), COORD_E_FENCED_EPOCH);
        memset(lost.has[0], 1, 4);
        CU_ASSERT_EQUAL(heartbeat(&w, &lost, FULL), COORD_E_FENCED_EPOCH);
        /* It joins again, with nothing, and has its part at once. */
        a.epoch = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(a.epoch, 3);
        CU_ASSERT_EQUAL(count(&a), 2);
        end(&w);
}

static void test_time_outs(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } };
        struct world w;

        begin(&w);
        heartbeat(&w, &a, 0);
        pass(&w, 44999);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        pass(&w, 45001);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_UNKNOWN_MEMBER);
        SAME(shown_state(&w), "Empty");
        a.epoch = 0;
        heartbeat(&w, &a, 0);
        /* It lives, but does not give up what it must: after its rebalance timeout it is put out. */
        heartbeat(&w, &b, 0);
        for (int i = 0; i < 8; i++) {
                pass(&w, 10000);
                heartbeat(&w, &b, 0);
                if (heartbeat(&w, &(struct client){ .id = "a", .epoch = a.epoch }, LOST) != COORD_OK)
                        break;
        }
        pass(&w, 1000);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_UNKNOWN_MEMBER);
        heartbeat(&w, &b, 0);
        SAME(has(&b), "t0 t1 t2 t3");
        end(&w);
}

static void test_static(void)
{
        struct client a = { .id = "a", .instance = "i", .names = { "t" } }, b = { .id = "b", .names = { "t" } },
                      c = { .id = "c", .instance = "i", .names = { "t" } };
        struct world w;
        char before[100];

        begin(&w);
        heartbeat(&w, &a, 0);
        heartbeat(&w, &b, 0);
        for (int i = 0; i < 3; i++) {
                heartbeat(&w, &a, OWNED);
                heartbeat(&w, &b, OWNED);
        }
        snprintf(before, sizeof before, "%s", has(&a));
        CU_ASSERT_EQUAL(heartbeat(&w, &c, 0), COORD_E_UNRELEASED_INSTANCE);
        c.epoch = 3;
        CU_ASSERT_EQUAL(heartbeat(&w, &c, 0), COORD_E_FENCED_INSTANCE);
        /* It leaves for a while: its part waits. */
        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE_STATIC), COORD_OK);
        CU_ASSERT_EQUAL(told.epoch, EPOCH_LEAVE_STATIC);
        heartbeat(&w, &b, OWNED);
        CU_ASSERT_EQUAL(count(&b), 2);
        world_reload(&w);
        c.epoch = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &c, 0), COORD_OK);
        SAME(has(&c), before);
        CU_ASSERT_EQUAL(c.epoch, 3); /* no rebalance */
        a.epoch = 3;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_FENCED_INSTANCE);
        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE_STATIC), COORD_E_FENCED_INSTANCE);
        a.instance = NULL;
        a.epoch = 3;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_UNKNOWN_MEMBER);
        /* It leaves and does not come back. */
        leaves(&w, &c, EPOCH_LEAVE_STATIC);
        for (int i = 0; i < 5; i++) {
                pass(&w, 10000);
                heartbeat(&w, &b, OWNED);
        }
        CU_ASSERT_EQUAL(count(&b), 4);
        /* An administrator removes one by its instance id. */
        c.epoch = 0;
        heartbeat(&w, &c, 0);
        CU_ASSERT_EQUAL(consumer_leave_one(groups_find(w.gs, STR_LIT("g")),
                                           &(struct coord_leave_member){ .instance_id = STR_LIT("x") }),
                        COORD_E_UNKNOWN_MEMBER);
        end(&w);
}

static void test_topics_change(void)
{
        struct client a = { .id = "a", .names = { "t", "v" } }, r = { .id = "r", .regex = "[uv].*" };
        struct world w;

        begin(&w);
        heartbeat(&w, &a, 0);
        SAME(has(&a), "t0 t1 t2 t3");
        set_topic(0, "t", 5);
        heartbeat(&w, &a, 0);
        SAME(has(&a), "t0 t1 t2 t3 t4");
        set_topic(2, "v", 1);
        heartbeat(&w, &a, 0);
        SAME(has(&a), "t0 t1 t2 t3 t4 v0");
        set_topic(2, "v", 0);
        heartbeat(&w, &a, OWNED);
        heartbeat(&w, &a, OWNED);
        SAME(has(&a), "t0 t1 t2 t3 t4");
        /* An expression: of the whole name, and looked for again when 10 s have passed since. */
        leaves(&w, &a, EPOCH_LEAVE);
        CU_ASSERT_EQUAL(heartbeat(&w, &r, 0), COORD_OK);
        SAME(has(&r), "u0 u1");
        set_topic(3, "v2", 1);
        set_topic(4, "xv", 1);
        heartbeat(&w, &r, 0);
        SAME(has(&r), "u0 u1");
        pass(&w, 10000);
        heartbeat(&w, &r, 0);
        SAME(has(&r), "u0 u1 v20");
        CU_ASSERT(consumer_is_subscribed(groups_find(w.gs, STR_LIT("g")), STR_LIT("v2")));
        world_reload(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &r, 0), COORD_OK);
        SAME(has(&r), "u0 u1 v20");
        /* Another one, then names. */
        r.regex = "t|v2";
        heartbeat(&w, &r, FULL);
        heartbeat(&w, &r, OWNED);
        heartbeat(&w, &r, OWNED);
        SAME(has(&r), "t0 t1 t2 t3 t4 v20");
        r.regex = "";
        r.names[0] = "u";
        heartbeat(&w, &r, FULL);
        heartbeat(&w, &r, OWNED);
        SAME(has(&r), "u0 u1");
        describe_it(&w);
        CU_ASSERT(str_is_null(described.ret_members[0].regex));
        r.regex = "(";
        CU_ASSERT_EQUAL(heartbeat(&w, &r, FULL), COORD_E_INVALID_REGEX);
        CU_ASSERT_PTR_NOT_NULL(strstr(told.why, "not valid"));
        end(&w);
}

static void test_assignors(void)
{
        struct client a = { .id = "a", .names = { "t", "u" }, .assignor = "range" },
                      b = { .id = "b", .names = { "t", "u" }, .assignor = "range" };
        struct world w;

        begin(&w);
        heartbeat(&w, &a, 0);
        heartbeat(&w, &b, 0);
        for (int i = 0; i < 3; i++) {
                heartbeat(&w, &a, OWNED);
                heartbeat(&w, &b, OWNED);
        }
        SAME(has(&a), "t0 t1 u0");
        SAME(has(&b), "t2 t3 u1");
        describe_it(&w);
        CU_ASSERT(str_equal_c(described.ret_assignor, "range"));
        a.assignor = "sticky";
        CU_ASSERT_EQUAL(heartbeat(&w, &a, FULL), COORD_E_UNSUPPORTED_ASSIGNOR);
        end(&w);
}

/* ---- what makes no sense ---- */

static int sent(struct world *w, struct coord_consumer_heartbeat rq)
{
        coord_request_init(&rq.rq, COORD_CONSUMER_HEARTBEAT, STR_LIT("g"));
        return send(w, &rq);
}

static void test_refused(void)
{
        const struct str t = STR_LIT("t");
        const struct coord_partitions none = { 0 };
        int32_t minus = -1;
        const struct coord_partitions negative = { .partitions = &minus, .partitions_count = 1 };
        const struct coord_consumer_heartbeat good = {
                .member_id = STR_LIT("m"), .rebalance_timeout_ms = 1000, .names = &t, .names_count = 1, .owned = &none
        };
        struct coord_consumer_heartbeat rq;
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } };
        struct world w;

#define REFUSED(change) \
        do { \
                rq = good; \
                change; \
                CU_ASSERT_EQUAL(sent(&w, rq), COORD_E_INVALID_REQUEST); \
                CU_ASSERT(told.why[0]); \
        } while (0)
        begin(&w);
        REFUSED((rq.member_id = STR_LIT(""), rq.must_have_id = true));
        REFUSED(rq.rebalance_timeout_ms = -1);
        REFUSED(rq.rebalance_timeout_ms = -2);
        REFUSED(rq.owned = NULL);
        REFUSED(rq.owned_count = 1);
        REFUSED((rq.names = NULL, rq.names_count = 0));
        REFUSED(rq.instance_id = STR_LIT(""));
        REFUSED(rq.rack_id = STR_LIT(""));
        REFUSED(rq.epoch = -3);
        REFUSED(rq.epoch = -2);
        REFUSED((rq.epoch = -1, rq.member_id = STR_LIT("")));
        REFUSED((rq.epoch = 2, rq.owned = &negative, rq.owned_count = 1));
        CU_ASSERT_EQUAL(w.consumer_records, 0);
        SAME(shown_state(&w), "none"); /* nothing of it has left a trace */
        /* Version 0: an id is made up. */
        rq = good;
        rq.member_id = STR_LIT("");
        CU_ASSERT_EQUAL(sent(&w, rq), COORD_OK);
        describe_it(&w);
        CU_ASSERT_EQUAL(described.ret_members[0].member_id.len, 22);
        w.conf.consumer_group_size_max = 2;
        world_reload(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(heartbeat(&w, &b, 0), COORD_E_GROUP_FULL);
        end(&w);
}

/* ---- what a group is configured to do ---- */

static void test_configs(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        set_config(0, "h", "consumer.heartbeat.interval.ms", "9000"); /* of another one */
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(told.interval_ms, 5000);
        set_config(1, "g", "consumer.heartbeat.interval.ms", "7000");
        set_config(2, "g", "consumer.session.timeout.ms", "60000");
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(told.interval_ms, 7000);
        pass(&w, 59999);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        /* It is heard, and its session is as long as what is configured then. */
        set_config(2, "g", "consumer.session.timeout.ms", NULL);
        set_config(1, "g", "consumer.heartbeat.interval.ms", NULL);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(told.interval_ms, 5000);
        pass(&w, 44999);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        pass(&w, 45000);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_UNKNOWN_MEMBER);
        /* A coordinator that has read the log gives as long, and what is out of the node's bounds is brought into them. */
        a.epoch = 0;
        set_config(1, "g", "consumer.heartbeat.interval.ms", "20000");
        set_config(2, "g", "consumer.session.timeout.ms", "60000");
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(told.interval_ms, 15000);
        world_reload(&w);
        pass(&w, 59999);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        pass(&w, 60000);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_UNKNOWN_MEMBER);
        end(&w);
}

/* ---- heartbeats that are answered in between ---- */

static bool is_quick(struct world *w, struct client *c, int flags)
{
        unsigned before = quick_count;

        CU_ASSERT_EQUAL(heartbeat(w, c, flags), COORD_OK);
        return quick_count > before;
}

static void test_quick(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .instance = "i", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT(!is_quick(&w, &a, 0)); /* it joins */
        CU_ASSERT(is_quick(&w, &a, 0));
        CU_ASSERT(!is_quick(&w, &a, OWNED)); /* it says something */
        CU_ASSERT(!is_quick(&w, &b, 0));
        CU_ASSERT(!is_quick(&w, &a, 0)); /* it is told something */
        CU_ASSERT(!is_quick(&w, &a, OWNED));
        CU_ASSERT(is_quick(&w, &a, 0));
        CU_ASSERT(!is_quick(&w, &b, 0)); /* likewise */
        CU_ASSERT(is_quick(&w, &b, 0));
        /* The topics, or what the group is configured to do, may have changed: once it is looked at. */
        set_config(0, "g", "consumer.session.timeout.ms", "60000");
        CU_ASSERT(!is_quick(&w, &a, 0));
        CU_ASSERT(is_quick(&w, &a, 0));
        CU_ASSERT(is_quick(&w, &b, 0)); /* the other one's look was enough */
        /* It keeps the session. */
        for (int i = 0; i < 3; i++) {
                pass(&w, 50000);
                CU_ASSERT(is_quick(&w, &a, 0));
                CU_ASSERT(is_quick(&w, &b, 0));
        }
        set_config(0, "g", "consumer.session.timeout.ms", NULL);
        CU_ASSERT(!is_quick(&w, &a, 0)); /* the session is shorter */
        CU_ASSERT(is_quick(&w, &a, 0));
        /* A coordinator that has just read the log looks first. */
        world_reload(&w);
        CU_ASSERT(!is_quick(&w, &a, 0));
        CU_ASSERT(is_quick(&w, &a, 0));
        end(&w);
}

/* ---- offsets ---- */

static void test_offsets(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        heartbeat(&w, &a, 0);
        CU_ASSERT_EQUAL(commits(&w, "a", 2, true), COORD_OK);
        CU_ASSERT_EQUAL(commits(&w, "a", 3, true), COORD_E_STALE_EPOCH);
        CU_ASSERT_EQUAL(commits(&w, "a", 0, true), COORD_E_STALE_EPOCH);
        CU_ASSERT_EQUAL(commits(&w, "a", 1, false), COORD_E_UNSUPPORTED_VERSION);
        CU_ASSERT_EQUAL(commits(&w, "b", 1, true), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(commits(&w, "", -1, true), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(fetches(&w, "a", 2), 5);
        CU_ASSERT_EQUAL(fetches(&w, "", -1), 5);
        CU_ASSERT_EQUAL(fetches(&w, "a", 0), -COORD_E_STALE_EPOCH);
        CU_ASSERT_EQUAL(fetches(&w, "b", 1), -COORD_E_UNKNOWN_MEMBER);
        leaves(&w, &a, EPOCH_LEAVE);
        CU_ASSERT_EQUAL(commits(&w, "", -1, false), COORD_OK); /* an administrator sets an empty group's */
        /* Nobody reads it for long: it expires, the group with it, and no record is left. */
        pass(&w, 8LL * 24 * 3600 * 1000);
        SAME(shown_state(&w), "none");
        world_reload(&w);
        CU_ASSERT_PTR_NULL(groups_find(w.gs, STR_LIT("g")));
        end(&w);
}

static const struct unit_case cases[] = {
        { "two share", test_share },
        { "epochs", test_epochs },
        { "time-outs", test_time_outs },
        { "static members", test_static },
        { "topics come and go", test_topics_change },
        { "assignors", test_assignors },
        { "requests that make no sense", test_refused },
        { "configurations", test_configs },
        { "heartbeats answered in between", test_quick },
        { "offsets", test_offsets },
        { "memory", forget_answers },
};
UNIT_MAIN("consumer groups", cases)
