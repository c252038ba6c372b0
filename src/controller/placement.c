/* See placement.h. Greedy: each place takes the broker that the rule prefers now. With equal starts the counts never
 * differ by more than one between brokers of racks of equal size. */
#include "controller/placement.h"

#include <errno.h>

uint64_t random_source_next(struct random_source *r)
{
        uint64_t z = r->state += 0x9e3779b97f4a7c15u;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

int placement_init(struct placement *p, struct placement_broker *brokers, size_t count, struct arena *mem)
{
        *p = (struct placement){ .brokers = brokers, .count = count };
        for (size_t i = 0; i < count; i++) {
                size_t k = 0;

                assert(i == 0 || brokers[i - 1].id < brokers[i].id);
                while (k < i && !str_equal(brokers[k].rack, brokers[i].rack))
                        k++;
                brokers[i].rack_number = k < i ? brokers[k].rack_number : p->racks_count++;
                brokers[i].is_chosen = false;
        }
        p->rack_used = ARENA_NEW_ARRAY(mem, uint32_t, p->racks_count);
        return p->rack_used ? 0 : -ENOMEM;
}

struct placement_broker *placement_broker(const struct placement *p, int32_t id)
{
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (p->brokers[mid].id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < p->count && p->brokers[low].id == id ? &p->brokers[low] : NULL;
}

static void take(struct placement *p, struct placement_broker *b)
{
        b->is_chosen = true;
        p->rack_used[b->rack_number]++;
}

static void give_back(struct placement *p, const int32_t *ids, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct placement_broker *b = placement_broker(p, ids[i]);

                if (!b || !b->is_chosen)
                        continue;
                b->is_chosen = false;
                p->rack_used[b->rack_number]--;
        }
}

struct cost {
        uint64_t first, second;
};

/* What is against a broker. */
static struct cost cost_of(const struct placement *p, const struct placement_broker *b, bool leads)
{
        if (leads)
                return (struct cost){ b->leaders, b->replicas };
        return (struct cost){ (uint64_t)!b->can_lead << 32 | p->rack_used[b->rack_number], b->replicas };
}

/* The best broker that is not chosen yet; ties go to who comes first from a place that chance gives. */
static struct placement_broker *best_of(const struct placement *p, bool leads, bool live_only,
                                        struct random_source *random)
{
        size_t start = random_source_next(random) % p->count;
        struct placement_broker *best = NULL;
        struct cost least = { 0 };

        for (size_t k = 0; k < p->count; k++) {
                struct placement_broker *b = &p->brokers[(start + k) % p->count];
                struct cost x;

                if (b->is_chosen || (live_only && !b->can_lead))
                        continue;
                x = cost_of(p, b, leads);
                if (best && (x.first > least.first || (x.first == least.first && x.second >= least.second)))
                        continue;
                best = b;
                least = x;
        }
        return best;
}

bool placement_choose(struct placement *p, size_t replicas_count, struct random_source *random, int32_t *ret_replicas)
{
        size_t count = 0;

        for (; count < replicas_count; count++) {
                struct placement_broker *b = best_of(p, count == 0, count == 0, random);

                if (!b)
                        break;
                take(p, b);
                ret_replicas[count] = b->id;
        }
        give_back(p, ret_replicas, count);
        if (count < replicas_count)
                return false;
        placement_broker(p, ret_replicas[0])->leaders++;
        for (size_t i = 0; i < count; i++)
                placement_broker(p, ret_replicas[i])->replicas++;
        return true;
}

int32_t placement_choose_one(struct placement *p, const int32_t *replicas, size_t replicas_count,
                             const int32_t *without, size_t without_count, struct random_source *random)
{
        struct placement_broker *b;

        if (!p->count)
                return -1;
        for (size_t i = 0; i < replicas_count; i++)
                if ((b = placement_broker(p, replicas[i])) && !b->is_chosen)
                        take(p, b);
        for (size_t i = 0; i < without_count; i++)
                if ((b = placement_broker(p, without[i])))
                        b->is_chosen = true; /* and its rack is not used */
        b = best_of(p, false, true, random);
        give_back(p, replicas, replicas_count);
        for (size_t i = 0; i < without_count; i++) {
                struct placement_broker *x = placement_broker(p, without[i]);

                if (x)
                        x->is_chosen = false;
        }
        if (!b)
                return -1;
        b->replicas++;
        return b->id;
}
