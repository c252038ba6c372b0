/* Goal: what was acknowledged is never lost, and three nodes always come to have the same, even where memory runs out again
 * and again. Method: elections, records, closed logs, broken connections, cold disks and restarts of nodes by chance, from a
 * seed (SEED=n runs one); in the end the logs are compared, and what was acknowledged is looked for. */
#include <stdlib.h>

#include "replica-cluster.h"

/* ---- memory that runs out: for the threads of replication, now and then ---- */

static atomic_bool memory_fails;
static atomic_uint failures;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(void)
{
        static __thread uint32_t seed;

        if (!atomic_load(&memory_fails) || !loop_current() || strcmp(loop_name(loop_current()), "replication"))
                return false;
        if (!seed)
                seed = (uint32_t)clock_mono_ns() | 1;
        seed = seed * 1664525u + 1013904223u;
        if ((seed >> 8) % 20)
                return false;
        atomic_fetch_add(&failures, 1);
        return true;
}

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return fails() ? NULL : __real_realloc(p, size);
}

/* ---- the storm ---- */

static uint32_t chance(uint32_t *seed, uint32_t n)
{
        *seed = *seed * 1664525u + 1013904223u;
        return (*seed >> 8) % n;
}

struct acked {
        int64_t offset;
        uint8_t fill;
};

/* Somebody in the ISR who is open. -1: nobody. */
static int candidate(struct cluster *c, uint32_t *seed)
{
        int first = (int)chance(seed, NODES);

        for (int i = 0; i < NODES; i++) {
                int n = (first + i) % NODES;

                if (c->in_isr[n] && c->nodes[n].p)
                        return n;
        }
        return -1;
}

static unsigned isr_bits(const struct cluster *c)
{
        unsigned bits = 0;

        for (int i = 0; i < NODES; i++)
                bits |= (unsigned)c->in_isr[i] << i;
        return bits;
}

static void elect_again(struct cluster *c, uint32_t *seed)
{
        int n;
        unsigned isr;

        pthread_mutex_lock(&c->lock);
        n = candidate(c, seed);
        isr = isr_bits(c);
        pthread_mutex_unlock(&c->lock);
        cluster_elect(c, n, isr);
}

/* Append with acks=all and wait: what was acknowledged is remembered. */
static bool append_acked(struct cluster *c, int n, uint8_t fill, struct acked *ret)
{
        struct waiter w;

        if (!c->nodes[n].p || cnode_append(&c->nodes[n], 1, 50 + fill, fill, true))
                return false;
        ret->offset = cview(&c->nodes[n]).end_offset - 1; /* nobody else appends */
        ret->fill = fill;
        wait_ack(c, &w, n, ret->offset + 1);
        for (int i = 0; i < 3000 && !told(c, &w); i++)
                usleep(1000);
        if (!w.told && partition_unwait(&w.wait))
                return false;
        while (!told(c, &w))
                ;
        return !w.wait.outcome;
}

static void check_acked(struct cluster *c, int n, const struct acked *acked, unsigned count)
{
        size_t len;
        uint8_t *bytes = cnode_bytes(&c->nodes[n], 0, &len);
        struct batch_iter it = batch_iter_of(span_of(bytes, len));
        struct batch_header h;
        struct span batch;
        unsigned i = 0;

        while (i < count && batch_iter_next(&it, &batch, &h) == 0)
                if (h.base_offset == acked[i].offset) {
                        /* length and bytes are those that were acknowledged */
                        CU_ASSERT(memchr(batch.data + BATCH_HEADER_LEN, acked[i].fill, batch.len - BATCH_HEADER_LEN) !=
                                  NULL);
                        CU_ASSERT(batch.len >= BATCH_HEADER_LEN + 50u + acked[i].fill);
                        CU_ASSERT(batch.len < BATCH_HEADER_LEN + 70u + acked[i].fill);
                        i++;
                }
        CU_ASSERT_EQUAL(i, count);
        free(bytes);
}

/* The connection from one node to another breaks, if there is one. */
static void break_connection(struct cluster *c, int from, int to)
{
        if (from == to || !c->nodes[from].up || !c->nodes[to].up)
                return;
        CU_ASSERT_EQUAL(peer_hub_set_address(c->nodes[from].hub, to, "127.0.0.1:1"), 0);
        usleep(1000);
        cnode_addresses(c);
}

static void restart(struct cluster *c, int n, uint32_t *seed)
{
        cnode_close(&c->nodes[n]);
        if (c->leader == n)
                elect_again(c, seed);
        cnode_stop(&c->nodes[n]);
        cnode_start(&c->nodes[n]);
        cnode_open(&c->nodes[n]);
}

static void storm(uint32_t seed, bool without_memory, unsigned *acked_sum)
{
        struct acked acked[400];
        unsigned acked_count = 0;
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        atomic_store(&memory_fails, without_memory);
        for (int step = 0; step < 120; step++) {
                int n = (int)chance(&seed, NODES), leader = c.leader;

                switch (chance(&seed, 16)) {
                case 0:
                        elect_again(&c, &seed);
                        break;
                case 1:
                        cnode_close(&c.nodes[n]);
                        if (c.leader == n)
                                elect_again(&c, &seed);
                        break;
                case 2:
                case 3:
                        if (!c.nodes[n].p)
                                cnode_open(&c.nodes[n]);
                        break;
                case 4:
                        usleep(chance(&seed, 50000));
                        break;
                case 12:
                        break_connection(&c, n, (int)chance(&seed, NODES));
                        break;
                case 13:
                        atomic_store(&reads_are_cold, chance(&seed, 2));
                        break;
                case 14:
                        if (chance(&seed, 4) == 0)
                                restart(&c, n, &seed);
                        break;
                case 5: /* records that nobody is promised */
                        if (leader >= 0 && c.nodes[leader].p)
                                for (uint32_t k = chance(&seed, 20); k; k--)
                                        (void)cnode_append(&c.nodes[leader], 1, chance(&seed, 2000), 'r', false);
                        break;
                default:
                        if (leader < 0)
                                elect_again(&c, &seed);
                        else if (append_acked(&c, leader, (uint8_t)('A' + chance(&seed, 26)), &acked[acked_count]))
                                acked_count++;
                }
        }
        atomic_store(&reads_are_cold, false);
        atomic_store(&memory_fails, false);
        for (int i = 0; i < NODES; i++)
                if (!c.nodes[i].p)
                        cnode_open(&c.nodes[i]);
        if (c.leader < 0)
                elect_again(&c, &seed);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, c.leader));
        CU_ASSERT(c.alters < 400); /* who has gone does not join and leave all the time */
        all_same(&c);
        check_acked(&c, 0, acked, acked_count);
        *acked_sum += acked_count;
        cluster_fini(&c);
}

static void storms(uint32_t count, bool without_memory)
{
        const char *given = getenv("SEED");
        uint32_t first = given ? (uint32_t)strtoul(given, NULL, 0) : 1;
        unsigned acked = 0;

        if (given)
                count = 1;
        for (uint32_t seed = first; seed < first + count; seed++) {
                unsigned before = CU_get_number_of_failures();

                storm(seed * 2654435761u, without_memory, &acked);
                if (CU_get_number_of_failures() != before)
                        fprintf(stderr, "    SEED=%u\n", seed);
        }
        /* Something was: how much is the machine's business while three nodes wait for memory. */
        CU_ASSERT(given || acked > (without_memory ? 2 : 10) * count);
}

static void test_storm(void)
{
        storms(6, false);
}

static void test_without_memory(void)
{
        storms(4, true);
        CU_ASSERT(atomic_load(&failures) > 10);
}

static const struct unit_case cases[] = {
        { "by chance", test_storm },
        { "memory runs out", test_without_memory },
};
UNIT_MAIN("replica/storm", cases)
