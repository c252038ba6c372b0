/* Leaderships go back to preferred leaders, a bounded number in a round, when others lead too much of what a broker should
 * lead (Kafka's leader.imbalance.per.broker.percentage). A partition whose replicas move is left alone, and so is one
 * whose preferred leader is drained. */
#include <errno.h>
#include <stdlib.h>

#include "controller/change.h"

struct share {
        int32_t id;
        uint32_t preferred; /* partitions that it should lead */
        uint32_t elsewhere; /* of these, led by others while it could lead them */
};

static int compare_share(const void *a, const void *b)
{
        const struct share *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

static struct share *share_of(struct share *at, size_t count, int32_t id)
{
        return bsearch(&(struct share){ .id = id }, at, count, sizeof *at, compare_share);
}

static bool is_willing(const struct meta_image *image, int32_t id)
{
        const struct meta_broker *b = meta_image_broker(image, id);

        return b && !b->fenced && !b->in_shutdown && b->duty == META_DUTY_NONE;
}

/* The preferred leader could lead, and does not. */
static bool is_led_elsewhere(const struct meta_image *image, const struct meta_partition *p)
{
        int32_t first = meta_partition_replicas(p)[0];

        return p->leader != first && p->leader != META_NO_NODE && !p->adding_count && !p->removing_count &&
               meta_ids_contain(meta_partition_isr(p), p->isr_count, first) && is_willing(image, first);
}

static struct share *count_shares(struct decision *d, size_t *ret_count)
{
        const struct meta_image *image = decision_image(d);
        struct share *at = ARENA_NEW_ARRAY(d->mem, struct share, image->brokers.count), *s;
        const struct meta_broker *b;
        const struct meta_topic *t;
        size_t count = 0;

        if (!at) {
                d->failed = -ENOMEM;
                return NULL;
        }
        pmap_for_each (it, b, &image->brokers)
                at[count++].id = b->id;
        pmap_for_each (it, t, &image->topics_by_id)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);

                        s = share_of(at, count, meta_partition_replicas(p)[0]);
                        if (!s)
                                continue;
                        s->preferred++;
                        s->elsewhere += is_led_elsewhere(image, p);
                }
        *ret_count = count;
        return at;
}

static bool is_due(const struct decision *d, const struct share *s)
{
        return s && (uint64_t)s->elsewhere * 100 > (uint64_t)s->preferred * (uint64_t)d->rules->imbalance_percent;
}

int decision_balance(struct decision *d, bool *ret_more)
{
        struct pmap topics;
        const struct meta_topic *t;
        struct share *shares;
        size_t count = 0;
        int32_t moved = 0;

        *ret_more = false;
        d->may_split = true;
        shares = count_shares(d, &count);
        if (!shares)
                return d->failed;
        topics = pmap_copy(&decision_image(d)->topics_by_id);
        pmap_for_each (it, t, &topics)
                for (int32_t i = 0; i < (int32_t)t->partitions_count && !d->failed && !*ret_more; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, i);
                        struct change c;

                        if (!is_led_elsewhere(decision_image(d), p) ||
                            !is_due(d, share_of(shares, count, meta_partition_replicas(p)[0])))
                                continue;
                        if (moved == d->rules->balance_max) {
                                *ret_more = true;
                                break;
                        }
                        if (!change_begin(&c, d, t, p))
                                continue;
                        c.to_first = true;
                        moved += change_end(&c);
                }
        pmap_fini(&topics);
        return d->failed;
}
