/* Who leads. Leaders come from the in-sync replicas, in the order of the replicas, and must be live; with an empty ISR from the
 * eligible ones (KIP-966). A partition without a candidate has no leader and keeps its ISR: its last member alone knows
 * what was acknowledged.
 *
 * The leader epoch grows with every election, also when a broker that stopped uncleanly goes on leading, because what it
 * had written and not acknowledged may be gone and be written differently now. After a clean stop of the only possible leader
 * nothing is lost: leader and epoch stay. While that broker is still fenced it leads on paper only (meta_image_leader()). */
#include <errno.h>

#include "controller/decide.h"

/* The first live replica among @ids, or META_NO_NODE. */
static int32_t first_live(const struct meta_image *image, const struct meta_partition *p, const int32_t *ids,
                          size_t count)
{
        for (uint32_t i = 0; i < p->replicas_count; i++) {
                int32_t id = meta_partition_replicas(p)[i];

                if (meta_ids_contain(ids, count, id) && meta_image_broker_is_live(image, id))
                        return id;
        }
        return META_NO_NODE;
}

static void start_change(struct meta_record *r, const struct meta_topic *t, const struct meta_partition *p)
{
        meta_record_init(r, META_PARTITION_CHANGE);
        r->partition_change.topic_id = t->id;
        r->partition_change.partition = p->index;
}

/* The ISR without @broker_id. */
static bool take_from_isr(struct decision *d, struct meta_record *r, const struct meta_partition *p, int32_t broker_id)
{
        int32_t *isr = ARENA_NEW_ARRAY(d->mem, int32_t, p->isr_count);
        int32_t count = 0;

        if (!isr) {
                d->failed = -ENOMEM;
                return false;
        }
        for (uint32_t i = 0; i < p->isr_count; i++)
                if (meta_partition_isr(p)[i] != broker_id)
                        isr[count++] = meta_partition_isr(p)[i];
        r->partition_change.isr = isr;
        r->partition_change.isr_count = count;
        return true;
}

/* @broker_id is not live any more. @alone: what becomes of a partition that only it could lead. */
enum alone { ALONE_NOBODY, ALONE_STAYS, ALONE_STAYS_NEW_EPOCH };

static void partition_after_loss(struct decision *d, const struct meta_topic *t, const struct meta_partition *p,
                                 int32_t broker_id, enum alone alone)
{
        bool leads = p->leader == broker_id;
        bool in_isr = meta_ids_contain(meta_partition_isr(p), p->isr_count, broker_id);
        struct meta_record r;
        int32_t heir;

        if (!leads && !in_isr)
                return;
        start_change(&r, t, p);
        heir = first_live(decision_image(d), p, meta_partition_isr(p), p->isr_count);
        if (heir == META_NO_NODE) {
                if (!leads || alone == ALONE_STAYS)
                        return;
                r.partition_change.leader = alone == ALONE_STAYS_NEW_EPOCH ? broker_id : META_NO_NODE;
        } else {
                if (leads)
                        r.partition_change.leader = heir;
                if (in_isr && !take_from_isr(d, &r, p, broker_id))
                        return;
        }
        decision_emit(d, &r);
}

/* Call @fn for every partition. The image may change meanwhile: a copy of the map is walked. */
static void each_partition(struct decision *d, int32_t broker_id, int how,
                           void (*fn)(struct decision *d, const struct meta_topic *t, const struct meta_partition *p,
                                      int32_t broker_id, int how))
{
        struct pmap topics = pmap_copy(&decision_image(d)->topics_by_id);
        const struct meta_topic *t;

        pmap_for_each (it, t, &topics)
                for (int32_t i = 0; i < (int32_t)t->partitions_count && !d->failed; i++)
                        fn(d, t, meta_topic_partition(t, i), broker_id, how);
        pmap_fini(&topics);
}

static void loss(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                 int how)
{
        partition_after_loss(d, t, p, broker_id, (enum alone)how);
}

void elect_after_loss(struct decision *d, int32_t broker_id)
{
        const struct meta_broker *b = meta_image_broker(decision_image(d), broker_id);

        /* One that is only asked to stop serves what nobody else can, until it has stopped. */
        each_partition(d, broker_id, b && !b->fenced ? ALONE_STAYS : ALONE_NOBODY, loss);
}

void elect_after_restart(struct decision *d, int32_t broker_id, bool clean)
{
        each_partition(d, broker_id, clean ? ALONE_STAYS : ALONE_STAYS_NEW_EPOCH, loss);
}

static void gain(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                 int how)
{
        const struct meta_image *image = decision_image(d);
        struct meta_record r;

        if (p->leader != META_NO_NODE)
                return;
        start_change(&r, t, p);
        r.partition_change.leader = first_live(image, p, meta_partition_isr(p), p->isr_count);
        if (r.partition_change.leader == META_NO_NODE && !p->isr_count) {
                r.partition_change.leader = first_live(image, p, meta_partition_elr(p), p->elr_count);
                r.partition_change.isr = &r.partition_change.leader;
                r.partition_change.isr_count = 1;
        }
        if (r.partition_change.leader != META_NO_NODE)
                decision_emit(d, &r);
}

void elect_after_return(struct decision *d, int32_t broker_id)
{
        each_partition(d, broker_id, 0, gain);
}
