/* Clients of consumer groups (KIP-848) that act as the protocol says, or not, against the machine of the groups, with topics of an image that
 * is made for it. Group "g". */
#pragma once

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
/* What is configured, of groups. */
static struct {
        const char *group, *name, *value; /* no value: none is */
} configs[4];
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
        for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
                struct meta_record r = { .type = META_CONFIG };

                if (!configs[i].value)
                        continue;
                r.config.resource_type = META_RESOURCE_GROUP;
                r.config.resource_name = str_of(configs[i].group);
                r.config.name = str_of(configs[i].name);
                r.config.value = str_of(configs[i].value);
                CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, index), 0);
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

/* NULL is no value: it is as if it had never been set. */
static void set_config(int i, const char *group, const char *name, const char *value)
{
        configs[i].group = group;
        configs[i].name = name;
        configs[i].value = value;
        build_image();
}

static struct meta_image *give_image(void *arg)
{
        return meta_image_ref(image);
}

static void begin(struct world *w)
{
        memset(topics, 0, sizeof topics);
        memset(configs, 0, sizeof configs);
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
        int32_t rebalance_ms; /* 0: a minute */
        bool has[TOPICS][PARTS_MAX];
};

/* What it was answered last. */
static struct {
        int outcome;
        int32_t epoch;
        int32_t interval_ms;
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
        told.interval_ms = rq->ret_heartbeat_interval_ms;
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

/* What takes the place of groups_request(), for a test. */
static int (*request_by)(struct world *w, struct coord_request *rq, struct coord_actions *acts);

/* A request of the test's stack that is answered at once, perhaps after others. */
static int ask_now(struct world *w, struct coord_request *rq)
{
        struct coord_actions acts;

        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(request_by ? request_by(w, rq, &acts) : groups_request(w->gs, rq, w->now, &acts), 0);
        CU_ASSERT_FATAL(!ilist_is_empty(&rq->link));
        ilist_unlink(&rq->link);
        if (acts.records_count)
                CU_ASSERT(rq->need_seq <= acts.seq);
        settle(w, &acts);
        return rq->outcome;
}

static unsigned quick_count; /* heartbeats that could be answered in between */

/* What can be answered in between gets the same answer as it gets in its turn, and leaves nothing else. */
static int send(struct world *w, struct coord_consumer_heartbeat *rq)
{
        struct coord_consumer_heartbeat quick = *rq;
        bool done = !request_by && groups_quick(w->gs, &quick.rq, w->now.mono_ms);
        unsigned records = w->consumer_records;

        ask_now(w, &rq->rq);
        if (done) {
                quick_count++;
                CU_ASSERT(quick.rq.outcome == COORD_OK && rq->rq.outcome == COORD_OK);
                CU_ASSERT(str_equal(quick.ret_member_id, rq->ret_member_id));
                CU_ASSERT_EQUAL(quick.ret_epoch, rq->ret_epoch);
                CU_ASSERT_EQUAL(quick.ret_heartbeat_interval_ms, rq->ret_heartbeat_interval_ms);
                CU_ASSERT(!quick.ret_has_assignment && !rq->ret_has_assignment && str_is_null(rq->ret_why));
                CU_ASSERT(rq->rq.need_seq <= w->gs->committed_seq);
                CU_ASSERT_EQUAL(w->consumer_records, records);
        }
        take(rq);
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
                        owned[(*ret_count)++] = (struct coord_partitions){ .id = topic_id(t),
                                                                           .partitions = numbers[t],
                                                                           .partitions_count = n };
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
                rq.rebalance_timeout_ms = c->rebalance_ms ? c->rebalance_ms : 60000;
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

/* ---- offsets of t-0 ---- */

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
        struct coord_offset_fetch rq = {
                .member_id = str_of(member), .member_epoch = epoch, .items = &item, .items_count = 1
        };
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

/* ---- clients of the classic protocol in such a group ---- */

/* Subscription of version 1: topics, no user data, what it has. */
static struct span subscribe_classic(const struct client *c, uint8_t *buf, size_t size)
{
        struct writer w = writer_of(buf, size);
        uint32_t n = 0, lists = 0;

        for (int i = 0; i < 3 && c->names[i]; i++)
                n++;
        writer_be16(&w, 1);
        writer_be32(&w, n);
        for (uint32_t i = 0; i < n; i++) {
                writer_be16(&w, (uint16_t)strlen(c->names[i]));
                writer_bytes(&w, c->names[i], strlen(c->names[i]));
        }
        writer_be32(&w, UINT32_MAX);
        for (int pass = 0; pass < 2; pass++) {
                if (pass)
                        writer_be32(&w, lists);
                for (int t = 0; t < TOPICS; t++) {
                        uint32_t parts = 0;

                        for (int p = 0; p < PARTS_MAX; p++)
                                parts += c->has[t][p];
                        lists += !pass && parts;
                        if (!pass || !parts)
                                continue;
                        writer_be16(&w, (uint16_t)strlen(topics[t].name));
                        writer_bytes(&w, topics[t].name, strlen(topics[t].name));
                        writer_be32(&w, parts);
                        for (uint32_t p = 0; p < PARTS_MAX; p++)
                                if (c->has[t][p])
                                        writer_be32(&w, p);
                }
        }
        return span_of(buf, writer_pos(&w));
}

static void take_classic(struct client *c, struct span data)
{
        struct consumer_protocol_assignment v;
        struct cursor in = cursor_of(data);
        int16_t version = cursor_be16s(&in);
        struct arena a;

        memset(c->has, 0, sizeof c->has);
        arena_init(&a, 0);
        CU_ASSERT_EQUAL_FATAL(consumer_protocol_assignment_decode(&v, &in, version, &a), 0);
        for (int32_t i = 0; i < v.assigned_partitions_count; i++)
                for (int t = 0; t < TOPICS; t++)
                        if (str_equal_c(v.assigned_partitions[i].topic, topics[t].name))
                                for (int32_t p = 0; p < v.assigned_partitions[i].partitions_count; p++)
                                        c->has[t][v.assigned_partitions[i].partitions[p]] = true;
        arena_fini(&a);
}

/* JoinGroup, of a group that does not make it wait. @eager: it gives up all that it has before. */
static int join_classic(struct world *w, struct client *c, bool eager)
{
        uint8_t buf[2000];
        struct coord_protocol p = { .name = STR_LIT("range") };
        struct coord_join j = { .member_id = str_of(c->id),
                                .client_id = STR_LIT("c"),
                                .client_host = STR_LIT("/h"),
                                .session_timeout_ms = 45000,
                                .rebalance_timeout_ms = c->rebalance_ms ? c->rebalance_ms : 60000,
                                .protocol_type = STR_LIT("consumer"),
                                .protocols = &p,
                                .protocols_count = 1,
                                .require_member_id = true };
        int outcome;

        if (eager)
                memset(c->has, 0, sizeof c->has);
        p.metadata = subscribe_classic(c, buf, sizeof buf);
        coord_request_init(&j.rq, COORD_JOIN, STR_LIT("g"));
        outcome = ask_now(w, &j.rq);
        if (outcome == COORD_OK) {
                c->epoch = j.ret_generation;
                CU_ASSERT(str_equal_c(j.ret_member_id, c->id));
                CU_ASSERT(str_equal_c(j.ret_protocol_name, "range"));
                CU_ASSERT(!str_equal_c(j.ret_leader, c->id));
        }
        coord_request_fini(&j.rq);
        return outcome;
}

static int sync_classic(struct world *w, struct client *c)
{
        struct coord_sync s = { .member_id = str_of(c->id),
                                .generation = c->epoch,
                                .protocol_type = STR_LIT("consumer"),
                                .protocol_name = STR_LIT("range") };
        int outcome;

        coord_request_init(&s.rq, COORD_SYNC, STR_LIT("g"));
        outcome = ask_now(w, &s.rq);
        if (outcome == COORD_OK)
                take_classic(c, s.ret_assignment);
        coord_request_fini(&s.rq);
        return outcome;
}

static int beat_classic(struct world *w, struct client *c)
{
        struct coord_heartbeat b = { .member_id = str_of(c->id), .generation = c->epoch };
        int outcome;

        coord_request_init(&b.rq, COORD_HEARTBEAT, STR_LIT("g"));
        outcome = ask_now(w, &b.rq);
        coord_request_fini(&b.rq);
        return outcome;
}

/* A stable classic group of "x" and "y", each with half of t. */
__attribute__((unused)) static void classic_pair(struct world *w, struct client *x, struct client *y)
{
        uint8_t bytes[2][64];
        struct asked *q;

        JOIN(w, "x", );
        JOIN(w, "y", );
        pass(w, 6000);
        x->id = who(w, "x")->id;
        y->id = who(w, "y")->id;
        x->epoch = y->epoch = 1;
        q = new_asked("x", COORD_SYNC);
        q->sync.member_id = str_of(x->id);
        q->sync.generation = 1;
        q->sync.assignments = q->assignments;
        q->sync.assignments_count = 2;
        for (uint32_t i = 0; i < 2; i++) {
                struct writer wr = writer_of(bytes[i], sizeof bytes[i]);

                writer_be16(&wr, 0);
                writer_be32(&wr, 1);
                writer_be16(&wr, 1);
                writer_bytes(&wr, "t", 1);
                writer_be32(&wr, 2);
                writer_be32(&wr, 2 * i);
                writer_be32(&wr, 2 * i + 1);
                writer_be32(&wr, UINT32_MAX);
                q->assignments[i] =
                        (struct coord_assignment){ str_of(i ? y->id : x->id), span_of(bytes[i], writer_pos(&wr)) };
        }
        ask(w, &q->rq);
        CU_ASSERT_EQUAL(sync_classic(w, x), COORD_OK);
        CU_ASSERT_EQUAL(sync_classic(w, y), COORD_OK);
        SAME(has(x), "t0 t1");
        SAME(has(y), "t2 t3");
}

/* In the end of a program: nothing is kept. */
static void forget_answers(void)
{
        coord_request_fini(&described.rq);
}
