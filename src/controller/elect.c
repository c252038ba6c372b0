/* What happens to partitions when something happens to a broker. The rules are in change.h; here is whom they are applied to.
 *
 * Where a change weakens a broker, partitions change before the broker's record, and where it strengthens it, after: a
 * controller that fails between two entries of one decision then leaves nothing behind that is trusted too much.
 *
 * The leader epoch grows also when a broker that stopped uncleanly goes on leading, because what it had written and not
 * acknowledged may be gone and be written differently now. After a clean stop of the only possible leader nothing is lost:
 * leader and epoch stay. While that broker is still fenced it leads on paper only (meta_image_leader()). */
#include "controller/change.h"

static bool in_isr(const struct meta_partition *p, int32_t id)
{
        return meta_ids_contain(meta_partition_isr(p), p->isr_count, id);
}

/* ---- loss and stop ---- */

static void without(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                    void *arg)
{
        struct change c;

        if ((p->leader == broker_id || in_isr(p, broker_id)) && change_begin(&c, d, t, p))
                change_end(&c);
}

void elect_before_loss(struct decision *d, const int32_t *broker_ids, size_t count)
{
        d->gone = broker_ids;
        d->gone_count = count;
        for (size_t i = 0; i < count; i++)
                decision_each_place(d, broker_ids[i], without, NULL);
        d->gone = NULL;
        d->gone_count = 0;
}

void elect_before_stop(struct decision *d, int32_t broker_id)
{
        d->leaving = broker_id;
        decision_each_place(d, broker_id, without, NULL);
        d->leaving = META_NO_NODE;
}

/* ---- restart ---- */

struct restart {
        const struct controller_register_broker *rb;
        bool clean;
};

static bool has_directory(const struct rec_broker *b, struct uuid id)
{
        for (int32_t i = 0; i < b->directories_count; i++)
                if (uuid_equal(b->directories[i], id))
                        return true;
        return false;
}

/* The replica may miss acknowledged records. The only one there is stays: nobody could take its place, and what it has
 * left is worth more than nothing. */
static void lose(struct change *c, int32_t broker_id)
{
        if (c->replicas.count > 1)
                id_list_add(&c->lost, broker_id);
        else
                c->new_epoch = true;
}

static void restart(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                    void *arg)
{
        const struct restart *r = arg;
        const struct rec_broker *b = &r->rb->broker;
        struct uuid none = { 0 }, *directory;
        int32_t place = 0;
        struct change c;

        if (!change_begin(&c, d, t, p))
                return;
        while (c.replicas.at[place] != broker_id)
                place++;
        directory = &c.directories[place];
        if (!r->clean && !r->rb->same_boot &&
            settings_relaxed_on(decision_image(d), t->name, broker_id, c.settings.relaxed))
                lose(&c, broker_id);
        if (!uuid_equal(*directory, none) && !has_directory(b, *directory)) {
                id_list_add(&c.lost, broker_id); /* another disk: also the only replica would be an empty one */
                *directory = none;
        }
        if (uuid_equal(*directory, none) && b->directories_count == 1)
                *directory = b->directories[0];
        c.new_epoch |= !r->clean && c.leader == broker_id;
        change_end(&c);
}

/* @again: under the same registration. Then the leader, whoever it is, must ask everyone anew how far they are: what it
 * was told under this broker epoch does not hold any more. A new leader epoch makes it. */
static void lose_one(struct decision *d, struct controller_partition at, int32_t broker_id, bool is_complete,
                     bool again)
{
        const struct meta_topic *t = meta_image_topic_by_id(decision_image(d), at.topic_id);
        const struct meta_partition *p = t ? meta_topic_partition(t, at.partition) : NULL;
        struct change c;

        if (!p || !meta_ids_contain(meta_partition_replicas(p), p->replicas_count, broker_id) ||
            !change_begin(&c, d, t, p))
                return;
        if (is_complete)
                d->leaving = broker_id;
        else
                lose(&c, broker_id);
        c.new_epoch |= again;
        change_end(&c);
        if (is_complete)
                d->leaving = META_NO_NODE;
}

void elect_before_restart(struct decision *d, const struct controller_register_broker *rb,
                          const struct meta_broker *old)
{
        struct restart r = { rb, rb->previous_epoch == old->epoch };

        d->leaving = rb->broker.broker_id;
        for (int32_t i = 0; i < rb->lost_count && !d->failed; i++)
                lose_one(d, rb->lost[i], rb->broker.broker_id, false, false);
        decision_each_place(d, rb->broker.broker_id, restart, &r);
        d->leaving = META_NO_NODE;
}

void decide_report_loss(struct decision *d, struct controller_report_loss *l)
{
        const struct meta_image *image = decision_image(d);
        const struct meta_broker *b = meta_image_broker(image, l->broker_id);
        const struct meta_topic *t = meta_image_topic_by_id(image, l->topic_id);
        const struct meta_partition *p = t ? meta_topic_partition(t, l->partition) : NULL;

        l->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!b)
                decision_refuse(d, &l->result, CONTROLLER_E_BROKER_UNKNOWN, "Broker %d is not registered.",
                                l->broker_id);
        else if (b->epoch != l->broker_epoch)
                decision_refuse(d, &l->result, CONTROLLER_E_BROKER_EPOCH,
                                "Broker %d is registered with epoch %lld, not %lld.", l->broker_id, (long long)b->epoch,
                                (long long)l->broker_epoch);
        else if (!p)
                decision_refuse(d, &l->result, t ? CONTROLLER_E_PARTITION_UNKNOWN : CONTROLLER_E_TOPIC_ID_UNKNOWN,
                                "There is no such partition.");
        else
                lose_one(d, (struct controller_partition){ l->topic_id, l->partition }, l->broker_id, l->is_complete,
                         true);
}

/* ---- return ---- */

static void with(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                 void *arg)
{
        struct change c;

        if (meta_image_leader(decision_image(d), p) == META_NO_NODE && change_begin(&c, d, t, p))
                change_end(&c);
}

void elect_after_return(struct decision *d, int32_t broker_id)
{
        decision_each_place(d, broker_id, with, NULL);
}

static void hand_over(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                      void *arg)
{
        bool someone = false;
        struct change c;

        for (uint32_t i = 0; i < p->isr_count; i++) {
                const struct meta_broker *b = meta_image_broker(decision_image(d), meta_partition_isr(p)[i]);

                someone |= b && b->duty == META_DUTY_NONE && !b->fenced && !b->in_shutdown;
        }
        if (p->leader != broker_id || !someone || !change_begin(&c, d, t, p))
                return;
        c.to_willing = true;
        change_end(&c);
}

void elect_after_drain(struct decision *d, int32_t broker_id)
{
        decision_each_place(d, broker_id, hand_over, NULL);
}

/* ---- partitions by topic ---- */

/* Call @fn for the partitions of @topic, or of all topics. The image may change meanwhile: a copy of the map is walked. */
static void each_partition(struct decision *d, const struct meta_topic *topic, decision_place_fn *fn)
{
        struct pmap topics = pmap_copy(&decision_image(d)->topics_by_id);
        const struct meta_topic *t;

        pmap_for_each (it, t, &topics)
                for (int32_t i = 0; (!topic || t == topic) && i < (int32_t)t->partitions_count && !d->failed; i++)
                        fn(d, t, meta_topic_partition(t, i), META_NO_NODE, NULL);
        pmap_fini(&topics);
}

static void forget_elr(struct decision *d, const struct meta_topic *t, const struct meta_partition *p,
                       int32_t broker_id, void *arg)
{
        struct change c;

        if (!p->elr_count || !change_begin(&c, d, t, p))
                return;
        c.forget_elr = true;
        change_end(&c);
}

void elect_before_min_isr(struct decision *d, const struct meta_topic *topic)
{
        each_partition(d, topic, forget_elr);
}

void elect_after_unclean(struct decision *d, const struct meta_topic *topic)
{
        each_partition(d, topic, with);
}

int decision_heal(struct decision *d)
{
        d->may_split = true;
        each_partition(d, NULL, with);
        return d->failed;
}
