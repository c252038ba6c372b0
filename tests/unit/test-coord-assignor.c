/* Goal: sets of partitions are sets, and the assignors give every partition to one subscriber, or, for share groups, each also something, evenly,
 * and move as few as they can. Method:
 * named cases; then random sets against arrays of bits, and random groups that change by a member, a subscription or a topic at a time. */
#include <stdio.h>

#include "coord/assignor.h"
#include "sys/clock.h"
#include "unit.h"

enum { TOPICS = 6, PARTS = 20, MEMBERS = 12 };

static uint64_t state = 1;

static uint64_t chance(uint64_t n)
{
        state = state * 6364136223846793005u + 1442695040888963407u;
        return (state >> 33) % n;
}

static struct uuid id_of(unsigned t)
{
        struct uuid u = UUID_ZERO;

        u.b[0] = (uint8_t)(t >> 8);
        u.b[1] = (uint8_t)t;
        return u;
}

/* ---- sets ---- */

struct bits {
        bool in[TOPICS][PARTS];
};

static struct assignment *set_of(const struct bits *b)
{
        struct assignment_entry e[2 * TOPICS * PARTS];
        struct assignment *a;
        size_t n = 0;

        for (unsigned t = TOPICS; t-- > 0;)
                for (int p = PARTS; p-- > 0;)
                        for (int twice = b->in[t][p] ? 1 + (int)chance(2) : 0; twice; twice--)
                                e[n++] = (struct assignment_entry){ id_of(t), p };
        CU_ASSERT_EQUAL_FATAL(assignment_new(e, n, &a), 0);
        return a;
}

static struct bits bits_of(const struct assignment *a)
{
        struct bits b = { 0 };
        size_t n = 0;

        for (uint32_t i = 0; a && i < a->topics_count; i++) {
                CU_ASSERT(a->topics[i].partitions_count > 0);
                for (int32_t k = 0; k < a->topics[i].partitions_count; k++, n++) {
                        CU_ASSERT(!k || a->topics[i].partitions[k - 1] < a->topics[i].partitions[k]);
                        b.in[a->topics[i].id.b[1]][a->topics[i].partitions[k]] = true;
                }
                CU_ASSERT(!i || a->topics[i - 1].id.b[1] < a->topics[i].id.b[1]);
        }
        CU_ASSERT(!a || (n == a->partitions_count && n));
        return b;
}

static struct bits some(void)
{
        struct bits b = { 0 };
        uint64_t density = chance(4);

        for (unsigned t = 0; t < TOPICS; t++)
                for (int p = 0; p < PARTS; p++)
                        b.in[t][p] = density && chance(8) < density * density;
        return b;
}

static bool same(struct bits a, struct bits b)
{
        return !memcmp(&a, &b, sizeof a);
}

static bool is_odd(void *arg, struct uuid id, int32_t partition)
{
        return partition % 2;
}

static void check_pair(struct bits x, struct bits y)
{
        struct assignment *a = set_of(&x), *b = set_of(&y), *r[4];
        struct bits want[4] = { 0 };
        bool subset = true, meets = false;

        for (unsigned t = 0; t < TOPICS; t++)
                for (int p = 0; p < PARTS; p++) {
                        bool in_x = x.in[t][p], in_y = y.in[t][p];

                        want[0].in[t][p] = in_x && in_y;
                        want[1].in[t][p] = in_x && !in_y;
                        want[2].in[t][p] = in_x || in_y;
                        want[3].in[t][p] = in_x && p % 2;
                        subset &= !in_x || in_y;
                        meets |= in_x && in_y;
                        CU_ASSERT_EQUAL(assignment_has(a, id_of(t), p), in_x);
                }
        CU_ASSERT_EQUAL(assignment_and(a, b, &r[0]), 0);
        CU_ASSERT_EQUAL(assignment_minus(a, b, &r[1]), 0);
        CU_ASSERT_EQUAL(assignment_or(a, b, &r[2]), 0);
        CU_ASSERT_EQUAL(assignment_filter(a, is_odd, NULL, &r[3]), 0);
        for (int i = 0; i < 4; i++) {
                CU_ASSERT(same(bits_of(r[i]), want[i]));
                CU_ASSERT(!assignment_equal(r[i], a) || r[i] == a || !a); /* one set in memory */
                assignment_unref(r[i]);
        }
        CU_ASSERT_EQUAL(assignment_is_subset(a, b), subset);
        CU_ASSERT_EQUAL(assignment_meets(a, b), meets);
        CU_ASSERT_EQUAL(assignment_equal(a, b), same(x, y));
        assignment_unref(a);
        assignment_unref(b);
}

static void test_sets(void)
{
        for (int i = 0; i < 3000; i++) {
                struct bits x = some(), y = chance(5) ? some() : x;

                CU_ASSERT(same(bits_of(NULL), (struct bits){ 0 }));
                check_pair(x, y);
        }
}

/* ---- groups ---- */

static uint64_t parts_max = PARTS;

static struct {
        struct assignor_topic topics[TOPICS];
        struct assignor_subscription subscriptions[MEMBERS];
        uint32_t indices[MEMBERS][TOPICS];
        struct assignor_member members[MEMBERS];
        size_t count;
} group;

static void forget(void)
{
        for (size_t m = 0; m < MEMBERS; m++)
                group.members[m].before = assignment_unref(group.members[m].before);
        memset(&group, 0, sizeof group);
}

static void subscribe(size_t m, unsigned topics)
{
        group.subscriptions[m] = (struct assignor_subscription){ group.indices[m], 0 };
        for (uint32_t t = 0; t < TOPICS; t++)
                if (topics & 1u << t)
                        group.indices[m][group.subscriptions[m].topics_count++] = t;
        group.members[m].subscription = &group.subscriptions[m];
}

static bool may_have(size_t m, uint32_t t)
{
        for (uint32_t i = 0; i < group.subscriptions[m].topics_count; i++)
                if (group.indices[m][i] == t)
                        return true;
        return false;
}

static size_t size_of(const struct assignment *a)
{
        return a ? a->partitions_count : 0;
}

static void check_exact(void)
{
        for (uint32_t t = 0; t < TOPICS; t++)
                for (int32_t p = 0; p < PARTS + 5; p++) {
                        size_t owners = 0, subscribers = 0;

                        for (size_t m = 0; m < group.count; m++) {
                                bool has = assignment_has(group.members[m].ret_after, group.topics[t].id, p);

                                owners += has;
                                subscribers += may_have(m, t);
                                CU_ASSERT(!has || may_have(m, t));
                        }
                        CU_ASSERT_EQUAL(owners, subscribers && p < group.topics[t].partitions_count);
                }
}

/* Nobody has a partition that one with two fewer could have. */
static void check_even(void)
{
        for (size_t m = 0; m < group.count; m++)
                for (size_t o = 0; o < group.count; o++)
                        if (size_of(group.members[m].ret_after) >= size_of(group.members[o].ret_after) + 2)
                                for (uint32_t t = 0; t < TOPICS; t++)
                                        CU_ASSERT(!may_have(o, t) ||
                                                  !assignment_find(group.members[m].ret_after, group.topics[t].id));
}

/* Where all are subscribed to the same: as few are moved as can be. */
static void check_still(void)
{
        size_t total = 0, kept[MEMBERS], floor, extra, must = 0, did = 0;

        for (uint32_t t = 0; t < TOPICS; t++)
                total += may_have(0, t) ? (size_t)group.topics[t].partitions_count : 0;
        floor = total / group.count;
        extra = total % group.count;
        for (size_t m = 0; m < group.count; m++) {
                struct assignment *both;

                CU_ASSERT_EQUAL(assignment_and(group.members[m].before, group.members[m].ret_after, &both), 0);
                did += size_of(both);
                assignment_unref(both);
                kept[m] = 0;
                for (uint32_t i = 0; group.members[m].before && i < group.members[m].before->topics_count; i++)
                        for (uint32_t t = 0; t < TOPICS; t++)
                                if (may_have(m, t) &&
                                    uuid_equal(group.members[m].before->topics[i].id, group.topics[t].id))
                                        for (int32_t k = 0; k < group.members[m].before->topics[i].partitions_count;
                                             k++)
                                                kept[m] += group.members[m].before->topics[i].partitions[k] <
                                                           group.topics[t].partitions_count;
        }
        /* The most that can stay: each the floor, and one more for as many as there is one for. */
        for (size_t m = 0; m < group.count; m++) {
                must += MIN2(kept[m], floor);
                if (kept[m] > floor && extra) {
                        must++;
                        extra--;
                }
        }
        CU_ASSERT_EQUAL(did, must);
}

/* Of a share group: each partition has somebody, and each member something, where there are such. */
static void check_shared(bool alike)
{
        size_t most = 0, least = SIZE_MAX;

        for (uint32_t t = 0; t < TOPICS; t++)
                for (int32_t p = 0; p < PARTS + 5; p++) {
                        size_t owners = 0, subscribers = 0;

                        for (size_t m = 0; m < group.count; m++) {
                                bool has = assignment_has(group.members[m].ret_after, group.topics[t].id, p);

                                owners += has;
                                subscribers += may_have(m, t);
                                CU_ASSERT(!has || may_have(m, t));
                        }
                        CU_ASSERT_EQUAL(owners > 0, subscribers && p < group.topics[t].partitions_count);
                }
        for (size_t m = 0; m < group.count; m++) {
                bool could = false;

                for (uint32_t t = 0; t < TOPICS; t++)
                        could |= may_have(m, t) && group.topics[t].partitions_count;
                CU_ASSERT_EQUAL(size_of(group.members[m].ret_after) > 0, could);
                most = MAX2(most, size_of(group.members[m].ret_after));
                least = MIN2(least, size_of(group.members[m].ret_after));
        }
        if (alike) /* and that is all: with more members than partitions some share one, and none has many */
                CU_ASSERT(most <= least + 1);
}

/* Nothing has changed: nothing moves, unless there is not one for each, when who shares which may change. */
static void check_settled(assignor_fn *assign)
{
        for (uint32_t t = 0; t < TOPICS; t++)
                if (assign == assignor_simple && (size_t)group.topics[t].partitions_count < group.count)
                        return;
        CU_ASSERT_EQUAL_FATAL(assign(group.topics, TOPICS, group.members, group.count), 0);
        for (size_t m = 0; m < group.count; m++) {
                CU_ASSERT_PTR_EQUAL(group.members[m].ret_after, group.members[m].before);
                assignment_unref(group.members[m].ret_after);
        }
}

static void go_on(void)
{
        for (size_t m = 0; m < group.count; m++) {
                assignment_unref(group.members[m].before);
                group.members[m].before = group.members[m].ret_after;
                group.members[m].ret_after = NULL;
        }
}

static void change(bool alike)
{
        switch (chance(alike ? 3 : 4)) {
        case 0:
                if (group.count < MEMBERS) {
                        subscribe(group.count, alike ? (1u << TOPICS) - 1 : (unsigned)chance(1u << TOPICS));
                        group.count++;
                }
                break;
        case 1:
                if (group.count > 1) {
                        size_t m = chance(group.count);

                        assignment_unref(group.members[m].before);
                        group.count--;
                        for (; m < group.count; m++) {
                                unsigned mask = 0;

                                for (uint32_t t = 0; t < TOPICS; t++)
                                        mask |= may_have(m + 1, t) ? 1u << t : 0;
                                group.members[m].before = group.members[m + 1].before;
                                subscribe(m, mask);
                        }
                        group.members[group.count].before = NULL;
                }
                break;
        case 2: {
                struct assignor_topic *t = &group.topics[chance(TOPICS)];

                t->partitions_count = (int32_t)chance(parts_max);
                break;
        }
        default:
                if (group.count)
                        subscribe(chance(group.count), (unsigned)chance(1u << TOPICS));
        }
}

static void at_random(assignor_fn *assign, bool alike)
{
        for (int round = 0; round < 60; round++) {
                forget();
                for (unsigned t = 0; t < TOPICS; t++)
                        group.topics[t] = (struct assignor_topic){ id_of(t), (int32_t)chance(parts_max) };
                subscribe(0, alike ? (1u << TOPICS) - 1 : 1);
                group.count = 1;
                for (int step = 0; step < 60; step++) {
                        change(alike);
                        CU_ASSERT_EQUAL_FATAL(assign(group.topics, TOPICS, group.members, group.count), 0);
                        if (assign == assignor_simple)
                                check_shared(alike);
                        else
                                check_exact();
                        if (assign == assignor_uniform)
                                check_even();
                        if (assign == assignor_uniform && alike)
                                check_still();
                        go_on();
                        check_settled(assign);
                }
        }
        forget();
}

static void test_random(void)
{
        for (parts_max = 2; parts_max <= PARTS + 12; parts_max += 6) {
                at_random(assignor_simple, true);
                at_random(assignor_simple, false);
        }
        parts_max = PARTS;
        at_random(assignor_uniform, true);
        at_random(assignor_uniform, false);
        at_random(assignor_range, true);
        at_random(assignor_range, false);
}

static void test_range(void)
{
        group.topics[0] = (struct assignor_topic){ id_of(0), 7 };
        group.topics[1] = (struct assignor_topic){ id_of(1), 7 };
        group.count = 3;
        for (size_t m = 0; m < 3; m++)
                subscribe(m, 3);
        CU_ASSERT_EQUAL_FATAL(assignor_range(group.topics, TOPICS, group.members, 3), 0);
        for (size_t m = 0; m < 3; m++)
                for (int32_t p = 0; p < 7; p++)
                        for (unsigned t = 0; t < 2; t++)
                                CU_ASSERT_EQUAL(assignment_has(group.members[m].ret_after, id_of(t), p),
                                                (p < 3 && m == 0) || (p >= 3 && p < 5 && m == 1) || (p >= 5 && m == 2));
        go_on();
        forget();
}

/* What it costs in a large group; told, not judged. */
static void test_large(void)
{
        enum { MANY = 1001, WIDE = 10 };
        static struct assignor_member members[MANY];
        static uint32_t indices[WIDE];
        static struct assignor_topic topics[WIDE];
        struct assignor_subscription all = { indices, WIDE };
        int64_t began_ms;

        for (uint32_t t = 0; t < WIDE; t++) {
                topics[t] = (struct assignor_topic){ id_of(t), 1000 };
                indices[t] = t;
        }
        for (size_t m = 0; m < MANY; m++)
                members[m] = (struct assignor_member){ .subscription = &all };
        for (size_t count = 1; count <= MANY; count = count == 1 ? 2 : count == 2 ? MANY - 1 : count + 1) {
                began_ms = clock_mono_ms();
                CU_ASSERT_EQUAL(assignor_uniform(topics, WIDE, members, count), 0);
                printf("%zu members, 10,000 partitions: %lld ms; ", count, (long long)(clock_mono_ms() - began_ms));
                for (size_t m = 0; m < count; m++) {
                        assignment_unref(members[m].before);
                        members[m].before = members[m].ret_after;
                }
        }
        for (size_t m = 0; m < MANY; m++)
                assignment_unref(members[m].before);
}

static const struct unit_case cases[] = {
        { "sets", test_sets },
        { "ranges", test_range },
        { "at random", test_random },
        { "a large group", test_large },
};
UNIT_MAIN("assignors", cases)
