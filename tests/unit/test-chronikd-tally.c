/* Goal: what is told of the health of nodes and partitions is what the metadata says, each state and figure by its meaning; and
 * what changes is counted once, by the node that it belongs to.
 * Method: an image of four brokers and one partition for each case, made of records; then one change after the other. */
#include <stdio.h>

#include "chronikd/changes.h"
#include "chronikd/tally.h"
#include "meta/builder.h"
#include "unit.h"

static struct conf *conf;
static struct uuid id = { { 1 } };

static struct meta_image *apply(struct meta_image *from, const struct meta_record *records, size_t count)
{
        struct meta_image *next;
        struct meta_builder b;

        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, from), 0);
        for (size_t i = 0; i < count; i++) {
                int r = meta_builder_apply(&b, &records[i], from->index + 1);

                if (r)
                        fprintf(stderr, "record %zu: %s\n", i, b.why);
                CU_ASSERT_EQUAL_FATAL(r, 0);
        }
        next = meta_builder_finish(&b, from->index + 1, 1);
        meta_image_unref(from);
        return next;
}

static struct meta_record broker(int32_t node, bool fenced, bool stopping, enum meta_duty duty)
{
        struct meta_record r;

        meta_record_init(&r, META_BROKER);
        r.broker.broker_id = node;
        r.broker.fenced = fenced;
        r.broker.in_shutdown = stopping;
        r.broker.duty = (int8_t)duty;
        return r;
}

static struct meta_record partition(int32_t index, int32_t leader, int32_t *isr, int32_t isr_count, int32_t *adding,
                                    int32_t adding_count)
{
        static int32_t replicas[] = { 1, 2, 3, 4 };
        static struct uuid dirs[4];
        struct meta_record r;

        meta_record_init(&r, META_PARTITION);
        r.partition.topic_id = id;
        r.partition.partition = index;
        r.partition.leader = leader;
        r.partition.replicas = replicas;
        r.partition.directories = dirs;
        r.partition.replicas_count = r.partition.directories_count = 3 + adding_count;
        r.partition.isr = isr;
        r.partition.isr_count = isr_count;
        r.partition.adding = adding;
        r.partition.adding_count = adding_count;
        return r;
}

static struct meta_record topic(void)
{
        struct meta_record r;

        meta_record_init(&r, META_TOPIC);
        r.topic.topic_id = id;
        r.topic.name = STR_LIT("t");
        return r;
}

static struct meta_record min_isr(struct str value)
{
        struct meta_record r;

        meta_record_init(&r, META_CONFIG);
        r.config.resource_type = META_RESOURCE_TOPIC;
        r.config.resource_name = STR_LIT("t");
        r.config.name = STR_LIT("min.insync.replicas");
        r.config.value = value;
        return r;
}

/* Node 1 lives, 2 is drained, 3 is fenced, 4 lives. Partitions: 0 whole; 1 without 3; 2 alone with 1; 3 led by the fenced one;
 * 4 led by the drained one; 5 with a replica that is being added; 6 without a leader. */
static struct meta_image *image_new(void)
{
        static int32_t all[] = { 1, 2, 3 }, two[] = { 1, 2 }, one[] = { 1 }, four[] = { 4 };
        struct meta_record records[] = {
                broker(1, false, false, META_DUTY_NONE),
                broker(2, false, false, META_DUTY_DRAINED),
                broker(3, true, false, META_DUTY_LEAVING),
                broker(4, false, false, META_DUTY_NONE),
                topic(),
                min_isr(STR_LIT("2")),
                partition(0, 1, all, 3, NULL, 0),
                partition(1, 1, two, 2, NULL, 0),
                partition(2, 1, one, 1, NULL, 0),
                partition(3, 3, all, 3, NULL, 0),
                partition(4, 2, two, 2, NULL, 0),
                partition(5, 1, all, 3, four, 1),
                partition(6, META_NO_NODE, two, 2, NULL, 0),
        };

        return apply(meta_image_new_empty(), records, ARRAY_LEN(records));
}

static void test_figures(void)
{
        struct meta_image *image = image_new();
        const struct tally_node *n;
        struct tally t;

        CU_ASSERT_EQUAL_FATAL(tally_take(image, conf, &t), 0);
        CU_ASSERT_EQUAL(t.partitions, 7);
        /* 1, 2, 4, 6: the replica that is being added is no want */
        CU_ASSERT_EQUAL(t.under_replicated.count, 4);
        CU_ASSERT_STRING_EQUAL(t.under_replicated.names, "t-1, t-2, t-4, t-6");
        /* 2 has one of two; 3 and 6 have no leader that could take anything */
        CU_ASSERT_STRING_EQUAL(t.below_min_isr.names, "t-2, t-3, t-6");
        CU_ASSERT_STRING_EQUAL(t.offline.names, "t-3, t-6");
        CU_ASSERT_EQUAL(t.reassigning, 1);
        CU_ASSERT_EQUAL(t.not_preferred, 1); /* 4 */
        CU_ASSERT_EQUAL(t.recovering, 0);
        n = tally_find(&t, 1);
        CU_ASSERT(n->leads == 4 && n->replicas == 7 && n->behind == 0 && n->leads_under_replicated == 2 &&
                  n->leads_below_min_isr == 1);
        CU_ASSERT_EQUAL(n->leads_movable, 0); /* 2 is drained, 3 is fenced: nobody else could */
        n = tally_find(&t, 2);
        CU_ASSERT(n->leads == 1 && n->leads_movable == 1 && n->behind == 1);
        n = tally_find(&t, 3);
        CU_ASSERT(n->leads == 0 && n->replicas == 7 && n->behind == 4);
        n = tally_find(&t, 4);
        CU_ASSERT(n->leads == 0 && n->replicas == 1 && n->behind == 1);
        CU_ASSERT_PTR_NULL(tally_find(&t, 0));
        CU_ASSERT_PTR_NULL(tally_find(&t, 5));
        tally_fini(&t);
        meta_image_unref(image);
}

static void test_without_a_node(void)
{
        struct meta_image *image = image_new();
        struct tally t;

        CU_ASSERT_EQUAL_FATAL(tally_take_without(image, conf, 2, &t), 0);
        CU_ASSERT_EQUAL(t.partitions, 7);
        CU_ASSERT_EQUAL(t.under_replicated.count,
                        7); /* also 5: one is being added, one is away, three of four are left */
        CU_ASSERT_STRING_EQUAL(t.below_min_isr.names, "t-1, t-2, t-3, t-4, t-6");
        CU_ASSERT_STRING_EQUAL(t.offline.names, "t-3, t-4, t-6");
        tally_fini(&t);
        CU_ASSERT_EQUAL_FATAL(tally_take_without(image, conf, 4, &t), 0);
        CU_ASSERT_EQUAL(t.partitions, 1); /* the others are none of its business */
        CU_ASSERT_EQUAL(t.under_replicated.count + t.below_min_isr.count + t.offline.count, 0);
        tally_fini(&t);
        meta_image_unref(image);
}

static void test_many_names(void)
{
        static int32_t one[] = { 1 };
        struct meta_record records[40] = { broker(1, false, false, META_DUTY_NONE), topic() };
        struct meta_image *image;
        struct tally t;

        for (int32_t i = 0; i < 38; i++)
                records[2 + i] = partition(i, 1, one, 1, NULL, 0);
        image = apply(meta_image_new_empty(), records, 40);
        CU_ASSERT_EQUAL_FATAL(tally_take(image, conf, &t), 0);
        CU_ASSERT_EQUAL(t.under_replicated.count, 38);
        CU_ASSERT_STRING_EQUAL(t.under_replicated.names, "t-0, t-1, t-2, t-3, t-4");
        CU_ASSERT_EQUAL(t.below_min_isr.count, 0); /* the node's default is one */
        tally_fini(&t);
        meta_image_unref(image);
}

static void test_states(void)
{
        static const struct tally_node leads = { .leads_movable = 1 }, idle = { 0 };
        const struct {
                struct meta_broker b;
                const char *idle, *leads;
        } cases[] = {
                { { .fenced = false }, "active", "active" },
                { { .fenced = true, .in_shutdown = true, .duty = META_DUTY_LEAVING }, "fenced", "fenced" },
                { { .in_shutdown = true, .duty = META_DUTY_LEAVING }, "stopping", "stopping" },
                { { .duty = META_DUTY_LEAVING }, "leaving", "leaving" },
                { { .duty = META_DUTY_DRAINED }, "drained", "draining" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                CU_ASSERT_STRING_EQUAL(tally_state(&cases[i].b, &idle), cases[i].idle);
                CU_ASSERT_STRING_EQUAL(tally_state(&cases[i].b, &leads), cases[i].leads);
        }
}

/* One partition changes as @change says; nodes 1 to 3 count. The image goes on from there. */
static void step(struct meta_image **image, struct changes at[3], int32_t leader, int32_t *isr, int32_t isr_count,
                 int8_t recovering)
{
        struct meta_image *before = meta_image_ref(*image);
        struct meta_delta *d;
        struct meta_record r;

        meta_record_init(&r, META_PARTITION_CHANGE);
        r.partition_change.topic_id = id;
        r.partition_change.leader = leader;
        r.partition_change.isr = isr;
        r.partition_change.isr_count = isr ? isr_count : -1;
        r.partition_change.recovering = recovering;
        *image = apply(*image, &r, 1);
        CU_ASSERT_EQUAL_FATAL(meta_delta_new(before, *image, &d), 0);
        for (int i = 0; i < 3; i++)
                changes_count(&at[i], d);
        meta_delta_unref(d);
        meta_image_unref(before);
}

#define EXPECT(i, e, u, l, s, x) \
        CU_ASSERT(at[(i)-1].elected == (e) && at[(i)-1].elected_uncleanly == (u) && at[(i)-1].resigned == (l) && \
                  at[(i)-1].isr_shrinks == (s) && at[(i)-1].isr_expands == (x))

static void test_changes(void)
{
        static int32_t all[] = { 1, 2, 3 }, two[] = { 1, 2 }, last[] = { 2 }, third[] = { 3 };
        struct meta_record records[] = { broker(1, false, false, 0), topic(), partition(0, 1, all, 3, NULL, 0) };
        struct meta_image *empty = meta_image_new_empty(), *image = apply(meta_image_ref(empty), records, 3);
        struct changes at[3] = { { .node_id = 1 }, { .node_id = 2 }, { .node_id = 3 } };
        struct meta_delta *d;

        CU_ASSERT_EQUAL_FATAL(meta_delta_new(empty, image, &d), 0);
        for (int i = 0; i < 3; i++)
                changes_count(&at[i], d); /* all that there is: nothing of it is news */
        meta_delta_unref(d);
        meta_image_unref(empty);
        EXPECT(1, 0, 0, 0, 0, 0);
        step(&image, at, -2, two, 2, -1);
        EXPECT(1, 0, 0, 0, 1, 0);
        step(&image, at, -2, all, 3, -1);
        EXPECT(1, 0, 0, 0, 1, 1);
        step(&image, at, 2, last, 1, -1); /* the leader is lost: the new one counts what became of the ISR */
        EXPECT(1, 0, 0, 1, 1, 1);
        EXPECT(2, 1, 0, 0, 1, 0);
        step(&image, at, META_NO_NODE, NULL, 0, -1);
        EXPECT(2, 1, 0, 1, 1, 0);
        step(&image, at, 3, third, 1, 1);
        EXPECT(3, 1, 1, 0, 1, 1);
        EXPECT(1, 0, 0, 1, 1, 1);
        EXPECT(2, 1, 0, 1, 1, 0);
        step(&image, at, -2, NULL, 0, 0);
        EXPECT(3, 1, 1, 0, 1, 1);
        meta_image_unref(image);
}

static const struct unit_case cases[] = {
        { "figures", test_figures },       { "what is missing without one node", test_without_a_node },
        { "many names", test_many_names }, { "states", test_states },
        { "changes", test_changes },
};

int main(void)
{
        struct strbuf errors = { 0 };

        if (conf_load(NULL, NULL, 0, NULL, &conf, &errors))
                return 1;
        return unit_run("chronikd/tally", cases, ARRAY_LEN(cases));
}
