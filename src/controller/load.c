/* What each broker has, as placement wants to know it. Counted once in a decision, from the image it began with and what
 * it placed; topics that are assigned by hand in the same decision are not counted. */
#include <errno.h>

#include "controller/decide.h"

/* The preferred one leads in the long run, whoever leads now. */
static void count_partition(const struct placement *where, const struct meta_partition *p)
{
        for (uint32_t k = 0; k < p->replicas_count; k++) {
                struct placement_broker *b = placement_broker(where, meta_partition_replicas(p)[k]);

                if (!b || meta_ids_contain(meta_partition_removing(p), p->removing_count, b->id))
                        continue;
                b->replicas++;
                b->leaders += k == 0;
        }
}

struct placement *decision_placement(struct decision *d)
{
        const struct meta_image *image = decision_image(d);
        struct placement *where = d->placement ? d->placement : ARENA_NEW(d->mem, struct placement);
        struct placement_broker *brokers;
        const struct meta_broker *b;
        const struct meta_topic *t;
        size_t count = 0;

        if (d->placement)
                return where;
        brokers = ARENA_NEW_ARRAY(d->mem, struct placement_broker, image->brokers.count);
        if (!where || !brokers) {
                d->failed = -ENOMEM;
                return NULL;
        }
        pmap_for_each (it, b, &image->brokers)
                if (b->duty == META_DUTY_NONE)
                        brokers[count++] = (struct placement_broker){ .id = b->id,
                                                                      .rack = b->rack,
                                                                      .can_lead = !b->fenced && !b->in_shutdown };
        d->failed = placement_init(where, brokers, count, d->mem);
        if (d->failed)
                return NULL;
        if (count > 1) /* with one there is nothing to choose */
                pmap_for_each (it, t, &image->topics_by_id)
                        for (uint32_t i = 0; i < t->partitions_count; i++)
                                count_partition(where, meta_topic_partition(t, (int32_t)i));
        return d->placement = where;
}
