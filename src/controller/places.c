/* See places.h. */
#include "controller/places.h"

#include <errno.h>
#include <stdlib.h>

void places_fini(struct places *p)
{
        for (size_t i = 0; i < p->brokers_count; i++)
                free(p->brokers[i].at);
        free(p->brokers);
        *p = (struct places){ 0 };
}

/* Where @id stands, or would stand. */
static size_t search(const struct places *p, int32_t id)
{
        size_t low = 0, high = p->brokers_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (p->brokers[mid].id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static struct places_broker *get(struct places *p, int32_t id)
{
        size_t at = search(p, id);

        if (at < p->brokers_count && p->brokers[at].id == id)
                return &p->brokers[at];
        if (p->brokers_count == p->brokers_size) {
                size_t size = p->brokers_size ? p->brokers_size * 2 : 8;
                struct places_broker *brokers = realloc(p->brokers, size * sizeof *brokers);

                if (!brokers)
                        return NULL;
                p->brokers = brokers;
                p->brokers_size = size;
        }
        for (size_t i = p->brokers_count; i > at; i--)
                p->brokers[i] = p->brokers[i - 1];
        p->brokers[at] = (struct places_broker){ .id = id };
        p->brokers_count++;
        return &p->brokers[at];
}

int places_add(struct places *p, int32_t broker_id, struct uuid topic_id, int32_t partition)
{
        struct places_broker *b = get(p, broker_id);

        if (!b)
                return -ENOMEM;
        if (b->count == b->size) {
                uint32_t size = b->size ? b->size * 2 : 16;
                struct place *at = realloc(b->at, size * sizeof *at);

                if (!at)
                        return -ENOMEM;
                b->at = at;
                b->size = size;
        }
        b->at[b->count++] = (struct place){ topic_id, partition };
        p->count++;
        return 0;
}

static int build(struct places *p, const struct meta_image *image)
{
        const struct meta_topic *t;

        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *x = meta_topic_partition(t, (int32_t)i);

                        for (uint32_t k = 0; k < x->replicas_count; k++)
                                if (places_add(p, meta_partition_replicas(x)[k], t->id, (int32_t)i))
                                        return -ENOMEM;
                }
        p->count_at_build = p->count;
        return 0;
}

int places_rebuild(struct places *p, const struct meta_image *image)
{
        struct places new = { 0 };

        if (build(&new, image)) {
                places_fini(&new);
                return -ENOMEM;
        }
        places_fini(p);
        *p = new;
        return 0;
}

const struct places_broker *places_of(const struct places *p, int32_t broker_id)
{
        size_t at = search(p, broker_id);

        return at < p->brokers_count && p->brokers[at].id == broker_id ? &p->brokers[at] : NULL;
}

bool places_are_stale(const struct places *p)
{
        return p->count > 2 * p->count_at_build + 10000;
}
