/* Goal: consumer groups (KIP-848): who is let in, who is given what and when, epochs, static members, expressions, the log, and the
 * way from and to classic groups. Method: clients that act as the protocol says, or not, against the machine of the groups with topics of
 * an image that is made for it; then many clients at random, with lost answers, clients that die and machines that are loaded again: no
 * partition is ever read by two, and in the end each has its share. */
#include "coord/consumer_priv.h"
#include "meta/builder.h"
#include "test-coord-world.h"

enum { TOPICS = 6, PARTS_MAX = 40 };

/* ---- topics ---- */

static struct {
        char name[16];
        int32_t partitions; /* 0: there is none */
        unsigned life;      /* of its id */
} topics[TOPICS];
static struct meta_image *image;

static struct uuid topic_id(int t)
{
        struct uuid u = UUID_ZERO;

        u.b[0] = (uint8_t)(t + 1);
        u.b[1] = (uint8_t)topics[t].life;
        return u;
}

static int topic_of(struct uuid id)
{
        return id.b[0] - 1;
}

static void build_image(void)
{
        static int64_t index = 1;
        struct meta_image *empty = meta_image_new_empty();
        struct meta_builder b;

        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, empty), 0);
        for (int t = 0; t < TOPICS; t++) {
                struct meta_record r = { .type = META_TOPIC };
                int32_t node = 1;
                struct uuid dir = UUID_ZERO;

                if (!topics[t].partitions)
                        continue;
                r.topic.topic_id = topic_id(t);
                r.topic.name = str_of(topics[t].name);
                CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, index), 0);
                for (int p = 0; p < topics[t].partitions; p++) {
                        struct meta_record pr = { .type = META_PARTITION };

                        rec_partition_init(&pr.partition);
                        pr.partition.topic_id = topic_id(t);
                        pr.partition.partition = p;
                        pr.partition.leader = 1;
                        pr.partition.replicas = pr.partition.isr = &node;
                        pr.partition.replicas_count = pr.partition.isr_count = 1;
                        pr.partition.directories = &dir;
                        pr.partition.directories_count = 1;
                        CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &pr, index), 0);
                }
        }
        meta_image_unref(image);
        image = meta_builder_finish(&b, ++index, 1);
        meta_builder_fini(&b);
        meta_image_unref(empty);
}

static void set_topic(int t, const char *name, int32_t partitions)
{
        snprintf(topics[t].name, sizeof topics[t].name, "%s", name);
        topics[t].partitions = partitions;
        build_image();
}

static struct meta_image *give_image(void *arg)
{
        return meta_image_ref(image);
}

static void begin(struct world *w)
{
        memset(topics, 0, sizeof topics);
        set_topic(0, "t", 4);
        set_topic(1, "u", 2);
        world_init(w);
        w->conf.image = give_image;
        world_reload(w);
}

static void end(struct world *w)
{
        world_fini(w);
        image = meta_image_unref(image);
}

/* ---- clients ---- */

struct client {
        const char *id, *instance, *assignor, *regex;
        const char *names[3];
        int32_t epoch;
        bool has[TOPICS][PARTS_MAX];
};

/* What it was answered last. */
static struct {
        int outcome;
        int32_t epoch;
        bool has_assignment;
        bool has[TOPICS][PARTS_MAX];
        char why[200];
} told;

enum { FULL = 1, OWNED = 2, LOST = 4 };

static void take(const struct coord_consumer_heartbeat *rq)
{
        memset(&told, 0, sizeof told);
        told.outcome = rq->rq.outcome;
        told.epoch = rq->ret_epoch;
        told.has_assignment = rq->ret_has_assignment;
        if (!str_is_null(rq->ret_why))
                snprintf(told.why, sizeof told.why, "%.*s", STR_FMT(rq->ret_why));
        for (int32_t i = 0; rq->ret_has_assignment && i < rq->ret_assignment_count; i++) {
                int t = topic_of(rq->ret_assignment[i].id);

                if (!uuid_equal(rq->ret_assignment[i].id, topic_id(t)))
                        continue; /* of a topic that is gone: a client finds nothing to read */
                for (int32_t p = 0; p < rq->ret_assignment[i].partitions_count; p++)
                        told.has[t][rq->ret_assignment[i].partitions[p]] = true;
        }
}

static int send(struct world *w, struct coord_consumer_heartbeat *rq)
{
        struct coord_actions acts;
        struct coord_request *answer;

        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_request(w->gs, &rq->rq, w->now, &acts), 0);
        answer = ilist_first(&acts.replies, struct coord_request, link);
        CU_ASSERT_PTR_EQUAL_FATAL(answer, &rq->rq);
        ilist_unlink(&rq->rq.link);
        take(rq);
        for (struct coord_record *r = acts.records; r; r = r->next) {
                say_record(w, r);
                log_record(w, r, -1);
        }
        if (acts.records_count)
                w->written = acts.seq;
        CU_ASSERT(rq->rq.need_seq <= w->written);
        coord_actions_fini(&acts);
        groups_committed(w->gs, w->written);
        coord_request_fini(&rq->rq);
        return told.outcome;
}

static struct coord_partitions *list_owned(struct client *c, int32_t numbers[TOPICS][PARTS_MAX],
                                           struct coord_partitions owned[TOPICS], int32_t *ret_count)
{
        *ret_count = 0;
        for (int t = 0; t < TOPICS; t++) {
                int32_t n = 0;

                for (int p = 0; p < PARTS_MAX; p++)
                        if (c->has[t][p])
                                numbers[t][n++] = p;
                if (n)
                        owned[(*ret_count)++] = (struct coord_partitions){
                                .id = topic_id(t), .partitions = numbers[t], .partitions_count = n
                        };
        }
        return owned;
}

/* A heartbeat as a well-behaved client sends it. It gives up at once what it shall no longer have, and says so the next time. */
static int heartbeat(struct world *w, struct client *c, int flags)
{
        struct coord_consumer_heartbeat rq = { .member_id = str_of(c->id),
                                               .epoch = c->epoch,
                                               .rebalance_timeout_ms = -1,
                                               .client_id = STR_LIT("client"),
                                               .client_host = STR_LIT("/127.0.0.1"),
                                               .must_have_id = true };
        int32_t numbers[TOPICS][PARTS_MAX];
        struct coord_partitions owned[TOPICS];
        struct str names[3];

        coord_request_init(&rq.rq, COORD_CONSUMER_HEARTBEAT, STR_LIT("g"));
        if (c->instance)
                rq.instance_id = str_of(c->instance);
        if (c->epoch == EPOCH_JOIN)
                memset(c->has, 0, sizeof c->has);
        if (c->epoch == EPOCH_JOIN || flags & FULL) {
                rq.rebalance_timeout_ms = 60000;
                for (int i = 0; i < 3 && c->names[i]; i++)
                        names[rq.names_count++] = str_of(c->names[i]);
                rq.names = names;
                if (c->regex)
                        rq.regex = str_of(c->regex);
                if (c->assignor)
                        rq.assignor = str_of(c->assignor);
                flags |= OWNED;
        }
        if (flags & OWNED)
                rq.owned = list_owned(c, numbers, owned, &rq.owned_count);
        send(w, &rq);
        if (flags & LOST)
                return told.outcome;
        if (told.outcome == COORD_OK) {
                c->epoch = told.epoch;
                if (told.has_assignment)
                        memcpy(c->has, told.has, sizeof c->has);
        }
        return told.outcome;
}

static int leaves(struct world *w, struct client *c, int32_t how)
{
        c->epoch = how;
        memset(c->has, 0, sizeof c->has);
        return heartbeat(w, c, LOST);
}

/* "t0 t1 u0" */
static const char *has(const struct client *c)
{
        static char text[4000];
        size_t at = 0;

        text[0] = 0;
        for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < PARTS_MAX; p++)
                        if (c->has[t][p])
                                at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%d", at ? " " : "",
                                                       topics[t].name, p);
        return text;
}

static int count(const struct client *c)
{
        int n = 0;

        for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < PARTS_MAX; p++)
                        n += c->has[t][p];
        return n;
}

static struct coord_consumer_describe described;

static int describe_it(struct world *w)
{
        struct coord_actions acts;

        coord_request_fini(&described.rq);
        described = (struct coord_consumer_describe){ 0 };
        coord_request_init(&described.rq, COORD_CONSUMER_DESCRIBE, STR_LIT("g"));
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_request(w->gs, &described.rq, w->now, &acts), 0);
        ilist_unlink(&described.rq.link);
        coord_actions_fini(&acts);
        return described.rq.outcome;
}

static const char *shown_state(struct world *w)
{
        return describe_it(w) == COORD_OK ? coord_group_state_name(described.ret_state) : "none";
}

#define SAME(a, b) CU_ASSERT_STRING_EQUAL(a, b)

/* ---- one or two ---- */

static void test_share(void)
{
        struct client a = { .id = "a", .names = { "t" } }, b = { .id = "b", .names = { "t" } };
        struct world w;

        begin(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        SAME(has(&a), "t0 t1 t2 t3");
        CU_ASSERT_EQUAL(a.epoch, 1);
        SAME(shown_state(&w), "Stable");
        /* Nothing new: nothing written, nothing told. */
        w.consumer_records = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, OWNED), COORD_OK);
        CU_ASSERT(!told.has_assignment && !w.consumer_records);
        /* Another one: it is told its epoch, and gets what the first has given up. */
        CU_ASSERT_EQUAL(heartbeat(&w, &b, 0), COORD_OK);
        SAME(has(&b), "");
        CU_ASSERT_EQUAL(b.epoch, 2);
        SAME(shown_state(&w), "Reconciling");
        CU_ASSERT_EQUAL(heartbeat(&w, &a, OWNED), COORD_OK);
        CU_ASSERT_EQUAL(count(&a), 2);
        CU_ASSERT_EQUAL(a.epoch, 1); /* until it says that it has given them up */
        heartbeat(&w, &b, 0);
        CU_ASSERT_EQUAL(count(&b), 0);
        heartbeat(&w, &a, OWNED);
        CU_ASSERT_EQUAL(a.epoch, 2);
        heartbeat(&w, &b, 0);
        CU_ASSERT_EQUAL(count(&b), 2);
        for (int p = 0; p < 4; p++)
                CU_ASSERT(a.has[0][p] != b.has[0][p]);
        SAME(shown_state(&w), "Stable");
        CU_ASSERT_EQUAL(described.ret_members_count, 2);
        CU_ASSERT(described.ret_epoch == 2 && described.ret_target_epoch == 2);
        /* One leaves: the other is told at its next heartbeat. */
        CU_ASSERT_EQUAL(leaves(&w, &b, EPOCH_LEAVE), COORD_OK);
        SAME(shown_state(&w), "Assigning");
        heartbeat(&w, &a, 0);
        SAME(has(&a), "t0 t1 t2 t3");
        CU_ASSERT_EQUAL(a.epoch, 3);
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
        CU_ASSERT_EQUAL(heartbeat(&w, &(struct client){ .id = "a", .names = { "t" }, .epoch = 1 }, 0),
                        COORD_E_GROUP_NOT_FOUND);
        heartbeat(&w, &a, 0);
        a.epoch = 2;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, OWNED), COORD_E_FENCED_EPOCH);
        a.epoch = 1;
        b.epoch = 1;
        CU_ASSERT_EQUAL(heartbeat(&w, &b, 0), COORD_E_UNKNOWN_MEMBER);
        b.epoch = 0;
        heartbeat(&w, &b, 0);
        heartbeat(&w, &a, OWNED);
        /* The answer with the new epoch is lost: it says the one before, and what it has. */
        lost = a;
        heartbeat(&w, &a, OWNED);
        CU_ASSERT_EQUAL(a.epoch, 2);
        CU_ASSERT_EQUAL(heartbeat(&w, &lost, FULL), COORD_OK);
        CU_ASSERT_EQUAL(lost.epoch, 2);
        CU_ASSERT(told.has_assignment);
        /* With more than it has, or without saying it, it is fenced. */
        lost.epoch = 1;
        CU_ASSERT_EQUAL(heartbeat(&w, &lost, 0), COORD_E_FENCED_EPOCH);
        memset(lost.has[0], 1, 4);
        CU_ASSERT_EQUAL(heartbeat(&w, &lost, FULL), COORD_E_FENCED_EPOCH);
        /* It joins again, with nothing, and has its part at once. */
        a.epoch = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(a.epoch, 2);
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
        c.epoch = 2;
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
        CU_ASSERT_EQUAL(c.epoch, 2); /* no rebalance */
        a.epoch = 2;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_FENCED_INSTANCE);
        CU_ASSERT_EQUAL(leaves(&w, &a, EPOCH_LEAVE_STATIC), COORD_E_FENCED_INSTANCE);
        a.instance = NULL;
        a.epoch = 2;
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
        const struct coord_consumer_heartbeat good = { .member_id = STR_LIT("m"),
                                                       .rebalance_timeout_ms = 1000,
                                                       .names = &t,
                                                       .names_count = 1,
                                                       .owned = &none };
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
        REFUSED((rq.epoch = 1, rq.owned = &negative, rq.owned_count = 1));
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

/* ---- offsets ---- */

static int commits(struct world *w, const char *member, int32_t epoch, bool knows_epochs)
{
        struct coord_commit_item item = { .topic = STR_LIT("t"), .offset = 5, .leader_epoch = -1 };
        struct coord_offset_commit rq = { .generation = epoch,
                                          .member_id = str_of(member),
                                          .knows_epochs = knows_epochs,
                                          .retention_ms = -1,
                                          .items = &item,
                                          .items_count = 1 };
        struct coord_actions acts;
        int outcome;

        coord_request_init(&rq.rq, COORD_OFFSET_COMMIT, STR_LIT("g"));
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_request(w->gs, &rq.rq, w->now, &acts), 0);
        ilist_unlink(&rq.rq.link);
        for (struct coord_record *r = acts.records; r; r = r->next)
                log_record(w, r, -1);
        if (acts.records_count)
                w->written = acts.seq;
        outcome = rq.rq.outcome ? rq.rq.outcome : item.ret_outcome;
        coord_request_fini(&rq.rq);
        coord_actions_fini(&acts);
        groups_committed(w->gs, w->written);
        return outcome;
}

static int fetches(struct world *w, const char *member, int32_t epoch)
{
        struct coord_fetch_item item = { .topic = STR_LIT("t") };
        struct coord_offset_fetch rq = { .member_id = str_of(member),
                                         .member_epoch = epoch,
                                         .items = &item,
                                         .items_count = 1 };
        struct coord_actions acts;
        int outcome;

        coord_request_init(&rq.rq, COORD_OFFSET_FETCH, STR_LIT("g"));
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(groups_request(w->gs, &rq.rq, w->now, &acts), 0);
        ilist_unlink(&rq.rq.link);
        outcome = rq.rq.outcome ? -rq.rq.outcome : (int)item.ret_offset;
        coord_request_fini(&rq.rq);
        coord_actions_fini(&acts);
        return outcome;
}

static void test_offsets(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        heartbeat(&w, &a, 0);
        CU_ASSERT_EQUAL(commits(&w, "a", 1, true), COORD_OK);
        CU_ASSERT_EQUAL(commits(&w, "a", 2, true), COORD_E_STALE_EPOCH);
        CU_ASSERT_EQUAL(commits(&w, "a", 0, true), COORD_E_STALE_EPOCH);
        CU_ASSERT_EQUAL(commits(&w, "a", 1, false), COORD_E_UNSUPPORTED_VERSION);
        CU_ASSERT_EQUAL(commits(&w, "b", 1, true), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(commits(&w, "", -1, true), COORD_E_UNKNOWN_MEMBER);
        CU_ASSERT_EQUAL(fetches(&w, "a", 1), 5);
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

/* ---- classic groups ---- */

static void test_other_types(void)
{
        struct client a = { .id = "a", .names = { "t" } };
        struct world w;

        begin(&w);
        stable_group(&w, "x");
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_E_GROUP_NOT_FOUND);
        CU_ASSERT_PTR_NOT_NULL(strstr(told.why, "classic"));
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        commit(&w, "x", 1, "t", 0, 5);
        leave(&w, "x");
        pass(&w, 3000);
        /* Empty: it becomes the other type, and back; what it has committed stays. */
        a.epoch = 0;
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(fetches(&w, "a", 1), 5);
        world_reload(&w);
        CU_ASSERT_EQUAL(heartbeat(&w, &a, 0), COORD_OK);
        CU_ASSERT_EQUAL(fetches(&w, "a", 1), 5);
        w.trace[0] = 0;
        JOIN(&w, "y", );
        EXPECT(&w, "y:join INCONSISTENT");
        leaves(&w, &a, EPOCH_LEAVE);
        stable_group(&w, "y");
        CU_ASSERT_EQUAL(describe_it(&w), COORD_E_GROUP_NOT_FOUND);
        world_reload(&w);
        CU_ASSERT_EQUAL(state(&w), COORD_GROUP_STABLE);
        CU_ASSERT_EQUAL(fetch(&w, "t", 0), 5);
        end(&w);
}

/* ---- at random ---- */

static uint64_t seed_state;

static uint64_t chance(uint64_t n)
{
        seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
        return (seed_state >> 33) % n;
}

enum { CLIENTS = 7 };

struct life {
        struct client c;
        char id[16], instance[8];
        bool lives, lost; /* the last answer */
        int64_t silent_ms;
};

/* No partition is had by two that the coordinator may still believe in. */
static void check_exclusive(struct life *lives)
{
        for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < PARTS_MAX; p++) {
                        int owners = 0;

                        for (int i = 0; i < CLIENTS; i++)
                                owners += lives[i].lives && lives[i].c.has[t][p];
                        CU_ASSERT_FATAL(owners <= 1);
                }
}

static void begin_life(struct life *l, int i, unsigned *next_id)
{
        static const char *const names[] = { "t", "u", "v" };

        *l = (struct life){ .lives = true };
        snprintf(l->id, sizeof l->id, "m%u", (*next_id)++);
        l->c.id = l->id;
        if (i < 2) {
                snprintf(l->instance, sizeof l->instance, "i%d", i);
                l->c.instance = l->instance;
        }
        for (int n = 0, k = 0; n < 3; n++)
                if (chance(3))
                        l->c.names[k++] = names[n];
        l->c.regex = chance(4) ? "" : "w.*";
        l->c.assignor = chance(4) ? NULL : chance(2) ? "uniform" : "range";
}

static void one_beat(struct world *w, struct life *l)
{
        int flags = chance(5) && !l->lost ? OWNED : FULL, outcome; /* who was not answered says everything again */

        l->lost = !chance(6);
        if (l->lost)
                flags |= LOST;
        outcome = heartbeat(w, &l->c, flags);
        if (flags & LOST)
                return;
        if (outcome == COORD_OK) {
                l->silent_ms = w->now.mono_ms;
                return;
        }
        CU_ASSERT_FATAL(outcome == COORD_E_FENCED_EPOCH || outcome == COORD_E_UNKNOWN_MEMBER ||
                        outcome == COORD_E_UNRELEASED_INSTANCE || outcome == COORD_E_FENCED_INSTANCE ||
                        outcome == COORD_E_GROUP_NOT_FOUND);
        memset(l->c.has, 0, sizeof l->c.has); /* it gives everything up, and joins again */
        l->c.epoch = 0;
}

static void change_topics(void)
{
        int t = (int)chance(5);
        static const char *const names[] = { "t", "u", "v", "w1", "w2" };

        if (!topics[t].partitions || chance(3)) {
                set_topic(t, names[t], MIN2(topics[t].partitions + 1 + (int32_t)chance(4), PARTS_MAX));
        } else if (!chance(3)) {
                topics[t].life++;
                set_topic(t, names[t], 0);
        }
}

static void random_step(struct world *w, struct life *lives, unsigned *next_id)
{
        int i = (int)chance(CLIENTS);
        struct life *l = &lives[i];

        switch (chance(40)) {
        case 0:
                if (l->lives)
                        leaves(w, &l->c, l->c.instance && chance(2) ? EPOCH_LEAVE_STATIC : EPOCH_LEAVE);
                l->lives = false;
                break;
        case 1: /* it dies: nobody is told */
                l->lives = false;
                break;
        case 2:
                change_topics();
                /* A topic that is gone is had by nobody; one of that name is another one. */
                for (int k = 0; k < CLIENTS; k++)
                        for (int t = 0; t < TOPICS; t++)
                                if (!topics[t].partitions)
                                        memset(lives[k].c.has[t], 0, sizeof lives[k].c.has[t]);
                break;
        case 3:
                world_reload(w);
                break;
        case 4:
                pass(w, (int64_t)chance(30000));
                break;
        default:
                pass(w, (int64_t)chance(3000));
                if (!l->lives)
                        begin_life(l, i, next_id);
                one_beat(w, l);
        }
        /* A client that was not answered for as long as its session lasts gives everything up by itself, as clients do. */
        for (int k = 0; k < CLIENTS; k++)
                if (lives[k].lives && w->now.mono_ms - lives[k].silent_ms >= 40000)
                        memset(lives[k].c.has, 0, sizeof lives[k].c.has), lives[k].c.epoch = 0;
        check_exclusive(lives);
}

static bool wants(const struct life *l, int t)
{
        for (int n = 0; n < 3 && l->c.names[n]; n++)
                if (!strcmp(l->c.names[n], topics[t].name))
                        return true;
        return l->c.regex && *l->c.regex && topics[t].name[0] == 'w';
}

static void check_settled(struct world *w, struct life *lives)
{
        for (int round = 0; round < 25; round++) {
                pass(w, 5000);
                for (int i = 0; i < CLIENTS; i++)
                        if (lives[i].lives && heartbeat(w, &lives[i].c, round ? OWNED : FULL) != COORD_OK) {
                                memset(lives[i].c.has, 0, sizeof lives[i].c.has);
                                lives[i].c.epoch = 0;
                        }
                check_exclusive(lives);
        }
        for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < topics[t].partitions; p++) {
                        int owners = 0, wanted = 0;

                        for (int i = 0; i < CLIENTS; i++) {
                                wanted |= lives[i].lives && wants(&lives[i], t);
                                owners += lives[i].lives && lives[i].c.has[t][p];
                                CU_ASSERT(!lives[i].lives || !lives[i].c.has[t][p] || wants(&lives[i], t));
                        }
                        CU_ASSERT_EQUAL(owners, wanted);
                }
}

static void test_random(void)
{
        const char *s = getenv("CONSUMER_SEED");
        uint64_t first = s ? strtoull(s, NULL, 0) : 1, last = s ? first : 200;

        for (uint64_t seed = first; seed <= last; seed++) {
                static struct life lives[CLIENTS];
                unsigned next_id = 0;
                struct world w;

                seed_state = seed * 7919;
                memset(lives, 0, sizeof lives);
                begin(&w);
                for (int i = 0; i < 600; i++)
                        random_step(&w, lives, &next_id);
                check_settled(&w, lives);
                if (CU_get_number_of_failures())
                        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
                w.trace[0] = 0;
                end(&w);
        }
}

static void test_end(void)
{
        coord_request_fini(&described.rq);
}

static const struct unit_case cases[] = {
        { "two share", test_share },
        { "epochs", test_epochs },
        { "time-outs", test_time_outs },
        { "static members", test_static },
        { "topics come and go", test_topics_change },
        { "assignors", test_assignors },
        { "requests that make no sense", test_refused },
        { "offsets", test_offsets },
        { "groups of the other type", test_other_types },
        { "at random", test_random },
        { "memory", test_end },
};
UNIT_MAIN("consumer groups", cases)
