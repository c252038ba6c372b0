/* See placement.h. Greedy: each place takes the broker that the rule prefers now. With equal starts the counts never
 * differ by more than one between brokers of racks of equal size. */
#include "controller/placement.h"

uint64_t random_source_next(struct random_source *r)
{
        uint64_t z = r->state += 0x9e3779b97f4a7c15u;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

struct chosen {
        const struct placement_broker *brokers;
        const int32_t *ids;
        size_t count;
};

static bool is_chosen(const struct chosen *c, int32_t id)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->ids[i] == id)
                        return true;
        return false;
}

static bool rack_is_used(const struct placement_broker *brokers, size_t brokers_count, const struct chosen *c,
                         struct str rack)
{
        for (size_t i = 0; i < brokers_count; i++)
                if (is_chosen(c, brokers[i].id) && str_equal(brokers[i].rack, rack))
                        return true;
        return false;
}

/* Smaller is better. */
static uint64_t cost(const struct placement_broker *brokers, size_t brokers_count, const struct chosen *c,
                     const struct placement_broker *b)
{
        uint64_t used = rack_is_used(brokers, brokers_count, c, b->rack);

        if (c->count == 0) /* the leader */
                return (uint64_t)b->leaders << 32 | b->replicas;
        return (uint64_t)!b->can_lead << 63 | used << 62 | (uint64_t)b->replicas;
}

bool placement_choose(struct placement_broker *brokers, size_t brokers_count, size_t replicas_count,
                      struct random_source *random, int32_t *ret_replicas)
{
        struct chosen c = { .brokers = brokers, .ids = ret_replicas };

        for (; c.count < replicas_count; c.count++) {
                size_t start = random_source_next(random) % brokers_count;
                struct placement_broker *best = NULL;
                uint64_t best_cost = 0;

                for (size_t k = 0; k < brokers_count; k++) {
                        struct placement_broker *b = &brokers[(start + k) % brokers_count];
                        uint64_t x;

                        if (is_chosen(&c, b->id) || (c.count == 0 && !b->can_lead))
                                continue;
                        x = cost(brokers, brokers_count, &c, b);
                        if (!best || x < best_cost) {
                                best = b;
                                best_cost = x;
                        }
                }
                if (!best)
                        return false;
                ret_replicas[c.count] = best->id;
        }
        for (size_t i = 0; i < brokers_count; i++) {
                brokers[i].leaders += brokers[i].id == ret_replicas[0];
                brokers[i].replicas += is_chosen(&c, brokers[i].id);
        }
        return true;
}
