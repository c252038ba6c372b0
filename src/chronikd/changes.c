/* See changes.h. */
#include "chronikd/changes.h"

/* Is somebody in @a's ISR who is not in @b's? */
static bool isr_has_more(const struct meta_partition *a, const struct meta_partition *b)
{
        for (uint32_t i = 0; i < a->isr_count; i++)
                if (!meta_ids_contain(meta_partition_isr(b), b->isr_count, meta_partition_isr(a)[i]))
                        return true;
        return false;
}

static int count(void *arg, const struct meta_partition *before, const struct meta_partition *after)
{
        struct changes *c = arg;
        bool led, leads;

        if (!before || !after) /* created or deleted */
                return 0;
        led = before->leader == c->node_id;
        leads = after->leader == c->node_id;
        if (leads && !led)
                atomic_fetch_add(&c->elected, 1);
        if (leads && after->recovering && !before->recovering)
                atomic_fetch_add(&c->elected_uncleanly, 1);
        if (led && !leads)
                atomic_fetch_add(&c->resigned, 1);
        /* Of two leaders the new one counts; of none the old one. */
        if (!leads && !(led && after->leader == META_NO_NODE))
                return 0;
        if (isr_has_more(before, after))
                atomic_fetch_add(&c->isr_shrinks, 1);
        if (isr_has_more(after, before))
                atomic_fetch_add(&c->isr_expands, 1);
        return 0;
}

void changes_count(struct changes *c, const struct meta_delta *d)
{
        bool first = !c->began;

        c->began = true;
        for (uint32_t i = 0; i < d->topics_count && !first; i++)
                if (d->topics[i].before && d->topics[i].after)
                        (void)meta_topic_diff(d->topics[i].before, d->topics[i].after, count, c);
}
