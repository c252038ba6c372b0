/* Goal: offsets are committed, shown, kept and forgotten by Kafka's rules. Method: stories. */
#include "meta/builder.h"
#include "test-coord-world.h"

#define DAY_MS (24ll * 3600 * 1000)

static void test_simple_consumer(void)
{
        struct world w;

        world_init(&w);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), -1); /* unknown group: no error */
        CU_ASSERT_EQUAL(commit(&w, NULL, 1, "t", 0, 5), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_EQUAL(commit(&w, NULL, -1, "t", 0, 5), COORD_OK);
        EXPECT(&w, "+t-0=5");
        CU_ASSERT_EQUAL(w.last_need, 1);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
        CU_ASSERT_EQUAL(fetch(&w, "t", 1), -1);
        CU_ASSERT_EQUAL(fetch(&w, "u", 0), -1);
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_EMPTY); /* committing made the group */
        world_fini(&w);
}

static void test_who_may_commit(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        CU_ASSERT_EQUAL(commit(&w, NULL, -1, "t", 0, 5), COORD_E_UNKNOWN_MEMBER); /* the group lives */
        CU_ASSERT_EQUAL(commit(&w, "z", 1, "t", 0, 5), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(commit(&w, "a", 0, "t", 0, 5), COORD_E_ILLEGAL_GENERATION);
        CU_ASSERT_EQUAL(commit(&w, "a", 1, "t", 0, 5), COORD_OK);
        w.trace[0] = 0;
        JOIN(&w, "a", 0);
        CU_ASSERT_EQUAL(commit(&w, "b", 1, "t", 0, 6), COORD_OK); /* Preparing: the last generation may still */
        JOIN(&w, "b", 0);
        CU_ASSERT_EQUAL(commit(&w, "a", 2, "t", 0, 7), COORD_E_REBALANCING); /* Completing */
        CU_ASSERT_EQUAL(commit(&w, "a", 1, "t", 0, 7), COORD_E_ILLEGAL_GENERATION);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 6);
        world_fini(&w);
}

static void test_commit_keeps_the_session(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        pass(&w, 9000);
        CU_ASSERT_EQUAL(commit(&w, "a", 1, "t", 0, 5), COORD_OK);
        pass(&w, 9000);
        w.trace[0] = 0;
        beat(&w, "a", 1);
        EXPECT(&w, "a:beat OK");
        world_fini(&w);
}

static void test_metadata_limit(void)
{
        char text[4 * 4096 + 1];
        struct coord_commit_item items[3];
        struct coord_offset_commit c = {
                .generation = -1, .member_id = STR_LIT(""), .retention_ms = -1, .items = items, .items_count = 3
        };
        struct world w;

        world_init(&w);
        for (size_t i = 0; i < sizeof text - 1; i++)
                text[i] = "\xf0\x9f\x98\x80"[i % 4]; /* one character, two units of UTF-16 */
        for (int i = 0; i < 3; i++)
                items[i] = (struct coord_commit_item){ .topic = STR_LIT("t"), .partition = i, .offset = i };
        items[0].metadata = (struct str){ text, 2048 * 4 };
        items[1].metadata = (struct str){ text, 2049 * 4 };
        coord_request_init(&c.rq, COORD_OFFSET_COMMIT, STR_LIT("g"));
        ask(&w, &c.rq);
        CU_ASSERT_EQUAL(c.rq.outcome, COORD_OK);
        CU_ASSERT_EQUAL(items[0].ret_outcome, COORD_OK);
        CU_ASSERT_EQUAL(items[1].ret_outcome, COORD_E_METADATA_TOO_LARGE);
        CU_ASSERT_EQUAL(items[2].ret_outcome, COORD_OK); /* null metadata: empty */
        EXPECT(&w, "+t-0=0 +t-2=2");
        coord_request_fini(&c.rq);
        world_fini(&w);
}

static void test_uncommitted_versions(void)
{
        struct world w;

        world_init(&w);
        commit(&w, NULL, -1, "t", 0, 1);
        w.hold_commits = true;
        commit(&w, NULL, -1, "t", 0, 2);
        commit(&w, NULL, -1, "t", 0, 3);
        CU_ASSERT_EQUAL(w.last_need, 3);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 1);
        groups_committed(w.gs, 2);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 2);
        delete_group(&w);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 2); /* not committed: still there */
        CU_ASSERT_EQUAL(commit(&w, NULL, -1, "t", 0, 9), COORD_E_NOT_AVAILABLE);
        groups_committed(w.gs, 3);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 3);
        groups_committed(w.gs, w.written);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), -1);
        CU_ASSERT_EQUAL(commit(&w, NULL, -1, "t", 0, 10), COORD_OK); /* a new group */
        w.hold_commits = false;
        world_fini(&w);
}

static void test_fetch_all(void)
{
        struct coord_offset_fetch f = { .all = true };
        struct world w;

        world_init(&w);
        commit(&w, NULL, -1, "t", 2, 12);
        commit(&w, NULL, -1, "u", 0, 20);
        commit(&w, NULL, -1, "t", 0, 10);
        coord_request_init(&f.rq, COORD_OFFSET_FETCH, STR_LIT("g"));
        ask(&w, &f.rq);
        CU_ASSERT_EQUAL_FATAL(f.items_count, 3);
        CU_ASSERT(str_equal_c(f.items[0].topic, "t") && f.items[0].partition == 0 && f.items[0].ret_offset == 10);
        CU_ASSERT(str_equal_c(f.items[1].topic, "t") && f.items[1].partition == 2 && f.items[1].ret_offset == 12);
        CU_ASSERT(str_equal_c(f.items[2].topic, "u") && f.items[2].ret_leader_epoch == 3);
        coord_request_fini(&f.rq);
        world_fini(&w);
}

static int delete_offset(struct world *w, const char *topic)
{
        struct coord_delete_item item = { .topic = str_of(topic) };
        struct coord_offset_delete d = { .items = &item, .items_count = 1 };

        coord_request_init(&d.rq, COORD_OFFSET_DELETE, STR_LIT("g"));
        ask(w, &d.rq);
        coord_request_fini(&d.rq);
        return d.rq.outcome ? d.rq.outcome : item.ret_outcome;
}

static void test_offset_delete(void)
{
        struct world w;

        world_init(&w);
        CU_ASSERT_EQUAL(delete_offset(&w, "t"), COORD_E_GROUP_NOT_FOUND);
        stable_group(&w, "a");
        commit(&w, "a", 1, "t", 0, 5);
        commit(&w, "a", 1, "u", 0, 6);
        w.trace[0] = 0;
        CU_ASSERT_EQUAL(delete_offset(&w, "t"), COORD_E_SUBSCRIBED);
        CU_ASSERT_EQUAL(delete_offset(&w, "v"), COORD_OK);
        EXPECT(&w, "");
        CU_ASSERT_EQUAL(delete_offset(&w, "u"), COORD_OK);
        EXPECT(&w, "-u-0");
        CU_ASSERT_EQUAL(fetch(&w, "u", 0), -1);
        leave(&w, "a");
        w.trace[0] = 0;
        CU_ASSERT_EQUAL(delete_offset(&w, "t"), COORD_OK);
        EXPECT(&w, "-t-0");
        world_fini(&w);

        world_init(&w);
        JOIN(&w, "a", .type = "connect");
        pass(&w, 3000);
        CU_ASSERT_EQUAL(delete_offset(&w, "t"), COORD_E_NON_EMPTY_GROUP); /* what it uses cannot be known */
        world_fini(&w);
}

static void test_delete_group(void)
{
        struct world w;

        world_init(&w);
        delete_group(&w);
        EXPECT(&w, "delete NOT_FOUND");
        stable_group(&w, "a");
        commit(&w, "a", 1, "t", 0, 5);
        w.trace[0] = 0;
        delete_group(&w);
        EXPECT(&w, "delete NON_EMPTY");
        leave(&w, "a");
        w.trace[0] = 0;
        w.hold_commits = true;
        delete_group(&w);
        EXPECT(&w, "-t-0 -group delete OK");
        JOIN(&w, "b", 0);
        EXPECT(&w, "b:join NOT_AVAILABLE"); /* until it is gone for sure */
        groups_committed(w.gs, w.written);
        JOIN(&w, "b", 0);
        EXPECT(&w, "");
        world_fini(&w);
}

static void test_topic_deleted(void)
{
        struct coord_actions acts;
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        commit(&w, "a", 1, "t", 0, 5);
        commit(&w, "a", 1, "t", 3, 5);
        commit(&w, "a", 1, "u", 0, 6);
        w.trace[0] = 0;
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_topic_deleted(w.gs, STR_LIT("t"), w.now, &acts), 0);
        settle(&w, &acts);
        EXPECT(&w, "-t-0 -t-3");
        CU_ASSERT_EQUAL(fetch(&w, "t", 3), -1);
        CU_ASSERT_EQUAL(fetch(&w, "u", 0), 6);
        world_fini(&w);
}

static struct meta_image *only_u_is_there(void *arg)
{
        struct meta_image *empty = meta_image_new_empty(), *image;
        struct meta_record r = { .type = META_TOPIC, .topic = { .topic_id = { { 1 } }, .name = STR_LIT("u") } };
        struct meta_builder b;

        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, empty), 0);
        CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, 1), 0);
        image = meta_builder_finish(&b, 1, 1);
        meta_builder_fini(&b);
        meta_image_unref(empty);
        return image;
}

/* The node died between the deletion of a topic and the tombstones: they are written when the log has been read. */
static void test_topic_gone_meanwhile(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        commit(&w, "a", 1, "t", 0, 5);
        commit(&w, "a", 1, "t", 3, 5);
        commit(&w, "a", 1, "u", 0, 6);
        w.conf.image = only_u_is_there;
        w.trace[0] = 0;
        world_reload(&w);
        EXPECT(&w, "-t-0 -t-3");
        CU_ASSERT_EQUAL(fetch(&w, "t", 3), -1);
        CU_ASSERT_EQUAL(fetch(&w, "u", 0), 6);
        world_fini(&w);
}

/* ---- expiry ---- */

/* Beats of @tag for @ms. */
static void live(struct world *w, const char *tag, int generation, int64_t ms)
{
        for (; ms > 0; ms -= 1700000) {
                pass(w, MIN2(ms, (int64_t)1700000));
                beat(w, tag, generation);
        }
}

static void test_expiry_counts_from_empty(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .session_ms = 1800000);
        pass(&w, 3000);
        sync_as(&w, "a", 1, "a=x");
        commit(&w, "a", 1, "t", 0, 5);
        w.trace[0] = 0;
        live(&w, "a", 1, 30 * DAY_MS); /* a live group keeps what it subscribes to, however old */
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
        leave(&w, "a");
        w.trace[0] = 0;
        pass(&w, 7 * DAY_MS - 1000);
        EXPECT(&w, "");
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
        pass(&w, 700000);
        EXPECT(&w, "-t-0 -group"); /* nothing is left: the group goes too */
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_DEAD);
        world_fini(&w);
}

static void test_expiry_survives_a_reload(void)
{
        struct world w;

        world_init(&w);
        stable_group(&w, "a");
        commit(&w, "a", 1, "t", 0, 5);
        pass(&w, 1000);
        leave(&w, "a");
        pass(&w, 6 * DAY_MS);
        world_reload(&w);
        w.trace[0] = 0;
        pass(&w, DAY_MS - 1000);
        EXPECT(&w, "");
        pass(&w, 700000);
        EXPECT(&w, "-t-0 -group");
        world_fini(&w);
}

static void test_expiry_of_simple_consumers(void)
{
        struct world w;

        world_init(&w);
        commit(&w, NULL, -1, "t", 0, 5);
        pass(&w, 6 * DAY_MS);
        commit(&w, NULL, -1, "t", 1, 6);
        w.trace[0] = 0;
        pass(&w, DAY_MS + 700000);
        EXPECT(&w, "-t-0"); /* each by its own commit */
        pass(&w, 6 * DAY_MS);
        EXPECT(&w, "-t-1 -group");
        world_fini(&w);
}

static void test_expiry_of_unsubscribed_topics(void)
{
        struct world w;

        world_init(&w);
        JOIN(&w, "a", .session_ms = 1800000);
        pass(&w, 3000);
        sync_as(&w, "a", 1, "a=x");
        commit(&w, "a", 1, "t", 0, 5);
        commit(&w, "a", 1, "old", 0, 6);
        live(&w, "a", 1, 8 * DAY_MS);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
        CU_ASSERT_EQUAL(fetch(&w, "old", 0), -1);
        world_fini(&w);
}

static void test_retention_of_a_commit(void)
{
        struct coord_commit_item item = { .topic = STR_LIT("t"), .offset = 5 };
        struct coord_offset_commit c = {
                .generation = -1, .member_id = STR_LIT(""), .retention_ms = 1000, .items = &item, .items_count = 1
        };
        struct world w;

        world_init(&w);
        coord_request_init(&c.rq, COORD_OFFSET_COMMIT, STR_LIT("g"));
        ask(&w, &c.rq);
        coord_request_fini(&c.rq);
        world_reload(&w); /* also the record says it */
        w.trace[0] = 0;
        pass(&w, 600000);
        EXPECT(&w, "-t-0 -group");
        world_fini(&w);
}

/* ---- operators ---- */

static void test_describe_and_list(void)
{
        struct coord_describe d = { 0 };
        struct coord_list l = { 0 };
        enum coord_group_state s;
        enum coord_group_type t;
        struct world w;

        world_init(&w);
        stable_group(&w, "ab");
        coord_request_init(&d.rq, COORD_DESCRIBE, STR_LIT("g"));
        ask(&w, &d.rq);
        CU_ASSERT_EQUAL(d.ret_state, COORD_GROUP_STABLE);
        CU_ASSERT(str_equal_c(d.ret_protocol_type, "consumer") && str_equal_c(d.ret_protocol_name, "range"));
        CU_ASSERT_EQUAL_FATAL(d.ret_members_count, 2);
        CU_ASSERT(str_equal_c(d.ret_members[0].client_id, "c") && str_equal_c(d.ret_members[0].client_host, "/h"));
        CU_ASSERT(span_equal(d.ret_members[1].assignment, span_of("y", 1)) && d.ret_members[1].metadata.len == 13);
        coord_request_fini(&d.rq);
        JOIN(&w, "a", 0);
        coord_request_init(&d.rq, COORD_DESCRIBE, STR_LIT("g"));
        ask(&w, &d.rq);
        CU_ASSERT_EQUAL(d.ret_state, COORD_GROUP_PREPARING);
        CU_ASSERT_EQUAL(d.ret_protocol_name.len, 0);
        CU_ASSERT(span_equal(d.ret_members[1].assignment, span_of("y", 1)) && d.ret_members[1].metadata.len == 0);
        coord_request_fini(&d.rq);

        for (unsigned mask = 0; mask < 32; mask++) {
                l = (struct coord_list){ .states_mask = mask };
                coord_request_init(&l.rq, COORD_LIST, STR_NULL);
                ask(&w, &l.rq);
                CU_ASSERT_EQUAL(l.ret_groups_count, !mask || mask & 1u << COORD_GROUP_PREPARING ? 1 : 0);
                if (l.ret_groups_count)
                        CU_ASSERT(str_equal_c(l.ret_groups[0].group_id, "g") &&
                                  str_equal_c(l.ret_groups[0].protocol_type, "consumer"));
                coord_request_fini(&l.rq);
        }
        CU_ASSERT(coord_group_state_parse(STR_LIT("preparingREBALANCE"), &s) && s == COORD_GROUP_PREPARING);
        CU_ASSERT_FALSE(coord_group_state_parse(STR_LIT("Stabl"), &s));
        CU_ASSERT(coord_group_type_parse(STR_LIT("Classic"), &t) && t == COORD_GROUP_CLASSIC);
        CU_ASSERT_STRING_EQUAL(coord_group_state_name(COORD_GROUP_COMPLETING), "CompletingRebalance");
        world_fini(&w);
}

static void test_group_ids(void)
{
        struct coord_offset_fetch f = { .all = true };
        struct asked *q;
        struct world w;

        world_init(&w);
        coord_request_init(&f.rq, COORD_OFFSET_FETCH, STR_LIT(""));
        ask(&w, &f.rq);
        CU_ASSERT_EQUAL(f.rq.outcome, COORD_OK);
        coord_request_fini(&f.rq);
        coord_request_init(&f.rq, COORD_OFFSET_FETCH, STR_NULL);
        ask(&w, &f.rq);
        CU_ASSERT_EQUAL(f.rq.outcome, COORD_E_INVALID_GROUP_ID);
        coord_request_fini(&f.rq);
        q = new_asked("a", COORD_HEARTBEAT);
        q->rq.id = STR_LIT("");
        ask(&w, &q->rq);
        EXPECT(&w, "a:beat INVALID_GROUP_ID");
        world_fini(&w);
}

static void test_reload_keeps_what_lasts(void)
{
        int64_t before[14], after[14];
        struct world w;

        world_init(&w);
        for (int i = 0; i < 50; i++) {
                commit(&w, NULL, -1, i % 2 ? "t" : "u", i % 7, i);
                if (i % 5 == 0)
                        delete_offset(&w, "t");
        }
        for (int i = 0; i < 14; i++)
                before[i] = fetch(&w, i < 7 ? "t" : "u", i % 7);
        world_reload(&w);
        for (int i = 0; i < 14; i++)
                after[i] = fetch(&w, i < 7 ? "t" : "u", i % 7);
        CU_ASSERT(!memcmp(before, after, sizeof before));
        CU_ASSERT_EQUAL(before[7], 42);
        world_fini(&w);
}

/* ---- transactions ---- */

/* A commit of a transaction, by a producer whose consumer is @tag in @generation (-1: it does not say). */
static int stage(struct world *w, int64_t producer_id, const char *tag, int32_t generation, int32_t partition,
                 int64_t offset)
{
        struct coord_commit_item item = { .topic = STR_LIT("t"),
                                          .partition = partition,
                                          .offset = offset,
                                          .leader_epoch = 3,
                                          .metadata = STR_LIT("note") };
        struct coord_offset_commit c;

        memset(&c, 0, sizeof c);
        coord_request_init(&c.rq, COORD_TXN_OFFSET_COMMIT, STR_LIT("g"));
        c.generation = generation;
        c.member_id = tag ? str_of(who(w, tag)->id) : STR_LIT("");
        c.instance_id = STR_NULL;
        c.producer_id = producer_id;
        c.retention_ms = -1;
        c.items = &item;
        c.items_count = 1;
        ask(w, &c.rq);
        coord_request_fini(&c.rq);
        return c.rq.outcome ? c.rq.outcome : item.ret_outcome;
}

/* What readers of stable offsets are told: -1 nothing, -2 not yet. */
static int64_t fetch_stable(struct world *w, int32_t partition)
{
        struct coord_fetch_item item = { .topic = STR_LIT("t"), .partition = partition };
        struct coord_offset_fetch f;

        memset(&f, 0, sizeof f);
        coord_request_init(&f.rq, COORD_OFFSET_FETCH, STR_LIT("g"));
        f.require_stable = true;
        f.items = &item;
        f.items_count = 1;
        ask(w, &f.rq);
        CU_ASSERT_EQUAL(f.rq.outcome, COORD_OK);
        if (item.ret_outcome)
                CU_ASSERT_EQUAL(item.ret_outcome, COORD_E_UNSTABLE_OFFSET);
        coord_request_fini(&f.rq);
        return item.ret_outcome ? -2 : item.ret_offset;
}

static void test_transaction(void)
{
        struct world w;

        for (int reloads = 0; reloads < 2; reloads++) {
                world_init(&w);
                CU_ASSERT_EQUAL(commit(&w, NULL, -1, "t", 0, 5), COORD_OK);
                CU_ASSERT_EQUAL(stage(&w, 7, NULL, -1, 0, 10), COORD_OK);
                CU_ASSERT_EQUAL(stage(&w, 7, NULL, -1, 0, 11), COORD_OK);
                CU_ASSERT_EQUAL(stage(&w, 7, NULL, -1, 1, 20), COORD_OK);
                CU_ASSERT_EQUAL(stage(&w, 8, NULL, -1, 2, 30), COORD_OK);
                EXPECT(&w, "+t-0=5 +t-0=10 +t-0=11 +t-1=20 +t-2=30");
                if (reloads)
                        world_reload(&w);
                CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5); /* pending offsets are not seen */
                CU_ASSERT_EQUAL(fetch(&w, "t", 1), -1);
                CU_ASSERT_EQUAL(fetch_stable(&w, 0), -2);
                CU_ASSERT_EQUAL(fetch_stable(&w, 1), -2);
                CU_ASSERT_EQUAL(fetch_stable(&w, 3), -1);
                w.hold_commits = true;
                world_marker(&w, 7, true);
                if (reloads) {
                        world_reload(&w);
                } else { /* the marker is not committed */
                        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
                        CU_ASSERT_EQUAL(fetch_stable(&w, 0), -2);
                        CU_ASSERT_EQUAL(fetch_stable(&w, 1), -2);
                        groups_committed(w.gs, w.written);
                }
                w.hold_commits = false;
                CU_ASSERT_EQUAL(fetch_stable(&w, 0), 11);
                CU_ASSERT_EQUAL(fetch(&w, "t", 1), 20);
                CU_ASSERT_EQUAL(fetch_stable(&w, 2), -2);
                world_marker(&w, 8, false);
                CU_ASSERT_EQUAL(fetch_stable(&w, 2), -1);
                world_marker(&w, 9, true); /* of whom nothing is known */
                world_fini(&w);
        }
}

/* The record that was written last counts, however it was committed. */
static void test_transaction_and_plain(void)
{
        struct world w;

        for (int reloads = 0; reloads < 2; reloads++) {
                world_init(&w);
                stage(&w, 7, NULL, -1, 0, 10);
                commit(&w, NULL, -1, "t", 0, 12);
                if (reloads)
                        world_reload(&w);
                world_marker(&w, 7, true);
                CU_ASSERT_EQUAL(fetch(&w, "t", 0), 12);
                commit(&w, NULL, -1, "t", 0, 13);
                stage(&w, 7, NULL, -1, 0, 14);
                stage(&w, 8, NULL, -1, 0, 15);
                if (reloads)
                        world_reload(&w);
                world_marker(&w, 8, true);
                world_marker(&w, 7, true);
                CU_ASSERT_EQUAL(fetch(&w, "t", 0), 15);
                world_fini(&w);
        }
}

static void test_who_may_stage(void)
{
        struct world w;

        world_init(&w);
        CU_ASSERT_EQUAL(stage(&w, 7, NULL, 3, 0, 1), COORD_E_GROUP_NOT_FOUND);
        stable_group(&w, "ab");
        CU_ASSERT_EQUAL(stage(&w, 7, NULL, -1, 0, 1), COORD_OK); /* producers could not always say */
        CU_ASSERT_EQUAL(stage(&w, 7, "a", 0, 0, 1), COORD_E_ILLEGAL_GENERATION);
        CU_ASSERT_EQUAL(stage(&w, 7, "z", 1, 0, 1), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(stage(&w, 7, "a", 1, 0, 1), COORD_OK);
        world_fini(&w);
}

/* What goes while a transaction is open does not come back with its commit; time alone takes nothing away from it. */
static void test_transaction_and_removal(void)
{
        struct world w;

        for (int reloads = 0; reloads < 2; reloads++) {
                world_init(&w);
                stage(&w, 7, NULL, -1, 0, 10);
                w.trace[0] = 0;
                pass(&w, 30 * DAY_MS);
                EXPECT(&w, "");
                delete_group(&w);
                EXPECT(&w, "-t-0 -group delete OK");
                if (reloads)
                        world_reload(&w);
                world_marker(&w, 7, true);
                CU_ASSERT_EQUAL(fetch(&w, "t", 0), -1);
                stage(&w, 7, NULL, -1, 0, 11);
                world_marker(&w, 7, true);
                CU_ASSERT_EQUAL(fetch(&w, "t", 0), 11);
                delete_offset(&w, "t");
                stage(&w, 7, NULL, -1, 0, 12);
                world_marker(&w, 7, false);
                CU_ASSERT_EQUAL(fetch(&w, "t", 0), -1);
                w.trace[0] = 0;
                world_fini(&w);
        }
}

static const struct unit_case cases[] = {
        { "simple consumer", test_simple_consumer },
        { "who may commit", test_who_may_commit },
        { "commit keeps the session", test_commit_keeps_the_session },
        { "metadata limit", test_metadata_limit },
        { "uncommitted versions", test_uncommitted_versions },
        { "a transaction's offsets", test_transaction },
        { "a transaction's offsets and others", test_transaction_and_plain },
        { "who may commit with a transaction", test_who_may_stage },
        { "a transaction's offsets and removal", test_transaction_and_removal },
        { "fetch all", test_fetch_all },
        { "offset delete", test_offset_delete },
        { "delete group", test_delete_group },
        { "topic deleted", test_topic_deleted },
        { "topic gone meanwhile", test_topic_gone_meanwhile },
        { "expiry counts from empty", test_expiry_counts_from_empty },
        { "expiry survives a reload", test_expiry_survives_a_reload },
        { "expiry of simple consumers", test_expiry_of_simple_consumers },
        { "expiry of unsubscribed topics", test_expiry_of_unsubscribed_topics },
        { "retention of a commit", test_retention_of_a_commit },
        { "describe and list", test_describe_and_list },
        { "group ids", test_group_ids },
        { "reload keeps what lasts", test_reload_keeps_what_lasts },
};

UNIT_MAIN("coord-offsets", cases)
