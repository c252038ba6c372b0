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

static const struct placement_broker *find(const struct placement_broker *b, size_t count, int32_t id)
{
        for (size_t k = 0; k < count; k++)
                if (b[k].id == id)
                        return &b[k];
        return NULL;
}

/* Among those that can lead: no rack has two replicas more than another one that has room. */
static bool racks_are_even(const struct placement_broker *b, size_t count, const int32_t *ids, size_t rf)
{
        size_t used[ARRAY_LEN(racks)] = { 0 }, room[ARRAY_LEN(racks)] = { 0 };

        for (size_t i = 0; i < count; i++)
                room[b[i].rack.p[0] - 'a'] += b[i].can_lead;
        for (size_t i = 0; i < rf; i++) {
                const struct placement_broker *x = find(b, count, ids[i]);

                if (x->can_lead) {
                        used[x->rack.p[0] - 'a']++;
                        room[x->rack.p[0] - 'a']--;
                }
        }
        for (size_t r = 0; r < ARRAY_LEN(racks); r++)
                for (size_t q = 0; q < ARRAY_LEN(racks); q++)
                        if (used[r] > used[q] + 1 && room[q])
                                return false;
        return true;
}

static bool partition_is_fine(const struct placement_broker *b, size_t count, const int32_t *ids, size_t rf)
{
        unsigned live = 0, live_used = 0;
        size_t leaders = 0;

        for (size_t i = 0; i < count; i++)
                leaders += b[i].can_lead;
        for (size_t i = 0; i < rf; i++) {
                const struct placement_broker *x = find(b, count, ids[i]);

                for (size_t k = 0; k < i; k++)
                        if (ids[k] == ids[i])
                                return false;
                if (!x || (i == 0 && !x->can_lead) || (i < leaders) != x->can_lead)
                        return false; /* who can lead comes first, and all of them before others */
                live += x->can_lead;
                if (x->can_lead)
                        live_used |= 1u << (x->rack.p[0] - 'a');
        }
        return (unsigned)__builtin_popcount(live_used) >= MIN2(live, racks_of(b, count)) &&
               racks_are_even(b, count, ids, rf);
}

static struct arena mem;

static struct placement placement_of(struct placement_broker *b, size_t count)
{
        struct placement p;

        assert(!placement_init(&p, b, count, &mem));
        return p;
}

static void make_shape(struct random_source *shape, struct placement_broker b[BROKERS_MAX], size_t count)
{
        size_t kinds = 1 + random_source_next(shape) % ARRAY_LEN(racks);

        for (size_t i = 0; i < count; i++)
                b[i] = (struct placement_broker){ .id = (int32_t)(i * 3 + 1),
                                                  .rack = str_of(racks[random_source_next(shape) % kinds]),
                                                  .can_lead = random_source_next(shape) % 5 != 0 };
}

static void test_shapes(void)
{
        for (uint64_t seed = 1; seed <= 300; seed++) {
                struct random_source shape = { seed }, random = { seed * 7 };
                struct placement_broker b[BROKERS_MAX];
                size_t count = 1 + random_source_next(&shape) % BROKERS_MAX, live = 0;
                size_t rf = 1 + random_source_next(&shape) % count;
                struct placement where;
                bool ok = true;

                make_shape(&shape, b, count);
                where = placement_of(b, count);
                for (size_t i = 0; i < count; i++)
                        live += b[i].can_lead;
                for (int p = 0; p < 60 && ok; p++) {
                        int32_t ids[BROKERS_MAX];
                        bool placed = placement_choose(&where, rf, &random, ids);

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
        arena_fini(&mem);
}

/* Racks of equal size: replicas differ by little over the whole cluster, and every partition has one in each rack. */
static void test_even_racks(void)
{
        struct random_source random = { 5 };
        struct placement_broker b[9];
        uint32_t least = UINT32_MAX, most = 0;
        struct placement where;

        for (int i = 0; i < 9; i++)
                b[i] = (struct placement_broker){ .id = i, .rack = str_of(racks[i % 3]), .can_lead = true };
        where = placement_of(b, 9);
        for (int p = 0; p < 900; p++) {
                int32_t ids[3];

                CU_ASSERT(placement_choose(&where, 3, &random, ids));
                CU_ASSERT(ids[0] % 3 != ids[1] % 3 && ids[1] % 3 != ids[2] % 3 && ids[0] % 3 != ids[2] % 3);
        }
        for (int i = 0; i < 9; i++) {
                CU_ASSERT_EQUAL(b[i].leaders, 100);
                least = MIN2(least, b[i].replicas);
                most = MAX2(most, b[i].replicas);
        }
        CU_ASSERT(most - least <= 3);
        arena_fini(&mem);
}

/* A new broker gets its share first. */
static void test_load_counts(void)
{
        struct random_source random = { 5 };
        struct placement_broker b[3] = { { .id = 1, .can_lead = true, .leaders = 10, .replicas = 10 },
                                         { .id = 2, .can_lead = true, .leaders = 10, .replicas = 10 },
                                         { .id = 3, .can_lead = true } };
        struct placement where = placement_of(b, 3);

        for (int p = 0; p < 10; p++) {
                int32_t id;

                CU_ASSERT(placement_choose(&where, 1, &random, &id));
                CU_ASSERT_EQUAL(id, 3);
        }
        arena_fini(&mem);
}

/* One replica more, in place of one that goes: a live broker that has none, in a rack that is used least. */
static void test_one_more(void)
{
        for (uint64_t seed = 1; seed <= 300; seed++) {
                struct random_source shape = { seed }, random = { seed * 7 };
                size_t count = 2 + random_source_next(&shape) % (BROKERS_MAX - 1), rf, live = 0;
                struct placement_broker b[BROKERS_MAX];
                int32_t ids[BROKERS_MAX], id, gone;
                struct placement where;
                bool ok;

                make_shape(&shape, b, count);
                b[0].can_lead = true;
                where = placement_of(b, count);
                rf = 1 + random_source_next(&shape) % (count - 1);
                ok = placement_choose(&where, rf, &random, ids);
                gone = ids[rf - 1];
                for (size_t i = 0; i < count; i++)
                        live += b[i].can_lead && b[i].id != gone;
                for (size_t i = 0; i + 1 < rf; i++)
                        live -= find(b, count, ids[i])->can_lead;
                id = placement_choose_one(&where, ids, rf - 1, &gone, 1, &random);
                ok &= (id == -1) == (live == 0);
                if (id != -1) {
                        ids[rf - 1] = id;
                        ok &= id != gone && find(b, count, id)->can_lead;
                        for (size_t i = 0; i + 1 < rf; i++)
                                ok &= ids[i] != id;
                        ((struct placement_broker *)find(b, count, gone))->can_lead = false; /* it has no room */
                        ok &= racks_are_even(b, count, ids, rf);
                }
                for (size_t i = 0; i < count; i++)
                        ok &= !b[i].is_chosen;
                for (size_t i = 0; i < where.racks_count; i++)
                        ok &= where.rack_used[i] == 0;
                if (!ok)
                        printf("seed %llu ", (unsigned long long)seed);
                CU_ASSERT(ok);
        }
        arena_fini(&mem);
}

/* 200 nodes in 10 racks and 100,000 partitions: placed in seconds, evenly. */
static void test_many(void)
{
        static struct placement_broker b[200];
        static char names[10][4];
        struct random_source random = { 5 };
        uint32_t least = UINT32_MAX, most = 0;
        struct placement where;

        for (int i = 0; i < 200; i++) {
                snprintf(names[i % 10], sizeof names[0], "r%d", i % 10);
                b[i] = (struct placement_broker){ .id = i, .rack = str_of(names[i % 10]), .can_lead = true };
        }
        where = placement_of(b, 200);
        for (int p = 0; p < 100000; p++) {
                int32_t ids[3];

                assert(placement_choose(&where, 3, &random, ids));
        }
        for (int i = 0; i < 200; i++) {
                CU_ASSERT_EQUAL(b[i].leaders, 500);
                least = MIN2(least, b[i].replicas);
                most = MAX2(most, b[i].replicas);
        }
        CU_ASSERT(most - least <= 3);
        arena_fini(&mem);
}

static const struct unit_case cases[] = {
        { "clusters of many shapes", test_shapes },
        { "racks of equal size", test_even_racks },
        { "what is there already counts", test_load_counts },
        { "one replica more", test_one_more },
        { "many nodes", test_many },
};
UNIT_MAIN("placement", cases)
