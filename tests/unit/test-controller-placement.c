/* Goal: replicas are distinct, spread evenly over brokers and over racks, and led by who can lead.
 * Method: clusters of many shapes from seeds; the seed is printed on a failure. */
#include <stdio.h>

#include "controller/placement.h"
#include "unit.h"

#define BROKERS_MAX 12

static const char *const racks[] = { "a", "b", "c", "d" };

/* Racks among the brokers that can lead. */
static unsigned racks_of(const struct placement_broker *b, size_t count)
{
        unsigned seen = 0;

        for (size_t i = 0; i < count; i++)
                if (b[i].can_lead)
                        seen |= 1u << (b[i].rack.p[0] - 'a');
        return (unsigned)__builtin_popcount(seen);
}

static bool partition_is_fine(const struct placement_broker *b, size_t count, const int32_t *ids, size_t rf)
{
        unsigned live = 0, live_used = 0;
        size_t leaders = 0;

        for (size_t i = 0; i < count; i++)
                leaders += b[i].can_lead;
        for (size_t i = 0; i < rf; i++) {
                const struct placement_broker *x = NULL;

                for (size_t k = 0; k < count; k++)
                        if (b[k].id == ids[i])
                                x = &b[k];
                for (size_t k = 0; k < i; k++)
                        if (ids[k] == ids[i])
                                return false;
                if (!x || (i == 0 && !x->can_lead) || (i < leaders) != x->can_lead)
                        return false; /* who can lead comes first, and all of them before others */
                live += x->can_lead;
                if (x->can_lead)
                        live_used |= 1u << (x->rack.p[0] - 'a');
        }
        return (unsigned)__builtin_popcount(live_used) >= MIN2(live, racks_of(b, count));
}

static void test_shapes(void)
{
        for (uint64_t seed = 1; seed <= 300; seed++) {
                struct random_source shape = { seed }, random = { seed * 7 };
                struct placement_broker b[BROKERS_MAX];
                size_t count = 1 + random_source_next(&shape) % BROKERS_MAX, live = 0;
                size_t rf = 1 + random_source_next(&shape) % count, kinds = 1 + random_source_next(&shape) % 4;
                bool ok = true;

                for (size_t i = 0; i < count; i++) {
                        b[i] = (struct placement_broker){ .id = (int32_t)(i * 3 + 1),
                                                          .rack = str_of(racks[random_source_next(&shape) % kinds]),
                                                          .can_lead = random_source_next(&shape) % 5 != 0 };
                        live += b[i].can_lead;
                }
                for (int p = 0; p < 60 && ok; p++) {
                        int32_t ids[BROKERS_MAX];
                        bool placed = placement_choose(b, count, rf, &random, ids);

                        ok &= placed == (live > 0);
                        ok &= !placed || partition_is_fine(b, count, ids, rf);
                }
                for (size_t i = 0; i < count && ok && live; i++)
                        for (size_t k = 0; k < count; k++)
                                if (b[i].can_lead && b[k].can_lead)
                                        ok &= b[i].leaders <= b[k].leaders + 1;
                if (!ok)
                        printf("seed %llu ", (unsigned long long)seed);
                CU_ASSERT(ok);
        }
}

/* Racks of equal size: replicas differ by one at most over the whole cluster, and every partition has one in each rack. */
static void test_even_racks(void)
{
        struct random_source random = { 5 };
        struct placement_broker b[9];
        uint32_t least = UINT32_MAX, most = 0;

        for (int i = 0; i < 9; i++)
                b[i] = (struct placement_broker){ .id = i, .rack = str_of(racks[i % 3]), .can_lead = true };
        for (int p = 0; p < 900; p++) {
                int32_t ids[3];

                CU_ASSERT(placement_choose(b, 9, 3, &random, ids));
                CU_ASSERT(ids[0] % 3 != ids[1] % 3 && ids[1] % 3 != ids[2] % 3 && ids[0] % 3 != ids[2] % 3);
        }
        for (int i = 0; i < 9; i++) {
                CU_ASSERT_EQUAL(b[i].leaders, 100);
                least = MIN2(least, b[i].replicas);
                most = MAX2(most, b[i].replicas);
        }
        CU_ASSERT(most - least <= 3);
}

/* A new broker gets its share first. */
static void test_load_counts(void)
{
        struct random_source random = { 5 };
        struct placement_broker b[3] = { { .id = 1, .can_lead = true, .leaders = 10, .replicas = 10 },
                                         { .id = 2, .can_lead = true, .leaders = 10, .replicas = 10 },
                                         { .id = 3, .can_lead = true } };

        for (int p = 0; p < 10; p++) {
                int32_t id;

                CU_ASSERT(placement_choose(b, 3, 1, &random, &id));
                CU_ASSERT_EQUAL(id, 3);
        }
}

static const struct unit_case cases[] = {
        { "clusters of many shapes", test_shapes },
        { "racks of equal size", test_even_racks },
        { "what is there already counts", test_load_counts },
};
UNIT_MAIN("placement", cases)
