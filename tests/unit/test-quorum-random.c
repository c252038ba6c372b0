/* Goal: whatever is cut, lost, stopped and started, what a group has acknowledged is in every node's image in the end, all
 * images are the same, and no term has two leaders. Method: a seeded course of troubles over a network in memory, with a
 * client that proposes all the time; logs so short that snapshots are needed. QUORUM_SEED=N does one course, QUORUM_S=N goes
 * on for so many seconds. */
#include "quorum-net.h"
#include "quorum-world.h"
#include "unit.h"

enum { NAMES_MAX = 20000, TERMS_MAX = 10000 };

static uint64_t chance;
static bool acked[NAMES_MAX];
static atomic_int names;
static int32_t leader_of[TERMS_MAX];

static uint32_t below(uint32_t n)
{
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(chance >> 33) % n;
}

static struct quorum_config small(void)
{
        return (struct quorum_config){ .segment_len = 3000,
                                       .store_after_bytes = 2000,
                                       .store_after_ms = 30,
                                       .cache_bytes = 4000,
                                       .election_ms = 200,
                                       .volume_bytes_max = 30000 };
}

/* ---- the client, on a thread of its own ---- */

struct client {
        pthread_t thread;
        atomic_bool ends;
        pthread_mutex_t world; /* held while nodes are opened and closed */
        unsigned ok, lost, refused;
};

static void *propose_on(void *arg)
{
        struct client *c = arg;

        while (!atomic_load(&c->ends)) {
                int n = atomic_load(&names);
                char name[128];
                int32_t leader;
                int r;

                if (n >= NAMES_MAX)
                        break;
                snprintf(name, sizeof name, "f%d-%0*d", n, n % 7 * 12, 0);
                pthread_mutex_lock(&c->world);
                leader = world_leader(0);
                r = leader ? world_propose(leader, name) : QUORUM_E_NOT_LEADER;
                pthread_mutex_unlock(&c->world);
                if (r == QUORUM_OK) {
                        acked[n] = true;
                        c->ok++;
                } else if (r == QUORUM_E_LOST) {
                        c->lost++;
                } else {
                        c->refused++;
                        world_sleep(5);
                        continue;
                }
                atomic_fetch_add(&names, 1);
                if (n % 16 == 0)
                        world_sleep(1);
        }
        return NULL;
}

/* ---- troubles ---- */

static void check_terms(int32_t count)
{
        for (int32_t i = 1; i <= count; i++) {
                struct quorum_role role = world_role_of(i);

                if (role.is_leader && role.term < TERMS_MAX) {
                        CU_ASSERT(!leader_of[role.term] || leader_of[role.term] == i);
                        leader_of[role.term] = i;
                }
        }
}

static void trouble(struct client *c, int32_t count)
{
        int32_t a = 1 + (int32_t)below((uint32_t)count), b = 1 + (int32_t)below((uint32_t)count);

        switch (below(8)) {
        case 0:
                net_isolate(a, true);
                break;
        case 1:
                if (a != b)
                        net_cut(a, b, true);
                break;
        case 2:
        case 3:
                net_heal();
                break;
        case 4:
                net_lose_one_in(below(2) ? 0 : 5 + below(30));
                break;
        case 5:
        case 6: /* as the client may wait for an answer that only others can give, it is not kept from it for long */
                net_heal();
                pthread_mutex_lock(&c->world);
                if (world_nodes[a - 1].runs)
                        world_close(a);
                else
                        CU_ASSERT_EQUAL(world_open(a, small()), 0);
                pthread_mutex_unlock(&c->world);
                break;
        case 7: {
                int32_t leader = world_leader(0);

                if (leader)
                        net_isolate(leader, true);
                break;
        }
        }
}

/* All is well again: everybody gets everything. */
static void calm(int32_t count)
{
        CLEANUP(meta_image_unrefp) struct meta_image *first = NULL;
        int32_t leader = 0;
        int64_t index;

        net_lose_one_in(0);
        net_heal();
        for (int32_t i = 1; i <= count; i++)
                if (!world_nodes[i - 1].runs)
                        CU_ASSERT_EQUAL_FATAL(world_open(i, small()), 0);
        for (int i = 0; i < 100 && (!leader || world_propose(leader, "calm") != QUORUM_OK); i++)
                leader = world_leader(10000);
        CU_ASSERT_FATAL(leader > 0);
        index = world_applied_of(leader);
        for (int32_t i = 1; i <= count; i++) {
                CU_ASSERT_FATAL(world_reaches(i, index, 20000));
                CU_ASSERT(!world_nodes[i - 1].gone);
        }
        world_sleep(50);
        first = world_image_of(1);
        for (int32_t i = 2; i <= count; i++) {
                CLEANUP(meta_image_unrefp) struct meta_image *other = world_image_of(i);

                CU_ASSERT(other->index != first->index || meta_image_equal(first, other));
                CU_ASSERT(other->features.count == first->features.count);
        }
        for (int n = 0; n < atomic_load(&names); n++) {
                char name[128];

                snprintf(name, sizeof name, "f%d-%0*d", n, n % 7 * 12, 0);
                if (acked[n] && meta_image_feature_level(first, str_of(name)) != 1) {
                        printf("%s was acknowledged and is lost ", name);
                        CU_FAIL("lost");
                }
        }
}

static void run(uint64_t seed)
{
        static struct client c;
        int32_t count;
        unsigned steps;

        diag_set_level(DIAG_ERROR - 1);
        chance = seed * 2 + 1;
        below(2);
        count = below(2) ? 5 : 3;
        c = (struct client){ .ok = 0 };
        pthread_mutex_init(&c.world, NULL);
        memset(acked, 0, sizeof acked);
        memset(leader_of, 0, sizeof leader_of);
        atomic_store(&names, 0);
        net_begin();
        world_begin("random", (size_t)count, false);
        for (int32_t i = 1; i <= count; i++)
                CU_ASSERT_EQUAL_FATAL(world_open(i, small()), 0);
        CU_ASSERT_FATAL(world_voters((uint32_t)count, 15000) > 0);
        pthread_create(&c.thread, NULL, propose_on, &c);
        for (steps = 10 + below(20); steps; steps--) {
                trouble(&c, count);
                for (uint32_t ms = 20 + below(400); ms > 10; ms -= 10) {
                        world_sleep(10);
                        check_terms(count);
                }
        }
        net_lose_one_in(0);
        net_heal();
        atomic_store(&c.ends, true);
        pthread_join(c.thread, NULL);
        calm(count);
        printf("seed %llu, %d nodes: %u acknowledged, %u lost from sight, %u not taken\n", (unsigned long long)seed,
               count, c.ok, c.lost, c.refused);
        world_end();
        net_end();
}

static void test_random(void)
{
        const char *seed = getenv("QUORUM_SEED"), *s = getenv("QUORUM_S");
        int64_t end_ms = clock_mono_ms() + (s ? atoll(s) * 1000 : 0);

        printf("\n");
        if (seed) {
                run(strtoull(seed, NULL, 10));
                return;
        }
        for (uint64_t i = s ? random_u64() >> 32 : 1; s ? clock_mono_ms() < end_ms : i <= 2; i++)
                run(i);
}

static const struct unit_case cases[] = { { "troubles", test_random } };
UNIT_MAIN("quorum-random", cases)
