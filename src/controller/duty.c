/* Brokers that give up their work: drained for a while, or decommissioned for good. The duty is in the metadata, so that it
 * outlives the controller and the broker's restarts.
 *
 * A decommissioned broker's replicas leave by reassignment, so many at once as moves_max allows in the whole cluster;
 * decision_duties() is asked again and again, starts what is possible, and unregisters the broker when nothing is
 * left on it. What is moving already, for whatever reason, is waited for. */
#include <stdio.h>

#include "controller/change.h"

static const struct meta_broker *duty_broker(struct decision *d, struct controller_broker_duty *x)
{
        const struct meta_broker *b = meta_image_broker(decision_image(d), x->broker_id);

        x->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!b)
                decision_refuse(d, &x->result, CONTROLLER_E_BROKER_UNKNOWN, "Broker %d is not registered.",
                                x->broker_id);
        return b;
}

static void emit_duty(struct decision *d, const struct meta_broker *b, enum meta_duty duty)
{
        struct meta_record r;

        if (b->duty == duty)
                return;
        meta_record_init(&r, META_BROKER_CHANGE);
        r.broker_change.broker_id = b->id;
        r.broker_change.epoch = b->epoch;
        r.broker_change.duty = (int8_t)duty;
        decision_emit(d, &r);
        d->placement = NULL;
}

void decide_drain(struct decision *d, struct controller_broker_duty *x)
{
        const struct meta_broker *b = duty_broker(d, x);

        if (!b)
                return;
        if (b->duty == META_DUTY_LEAVING) {
                decision_refuse(d, &x->result, CONTROLLER_E_INVALID,
                                "Broker %d is being decommissioned, which includes being drained.", b->id);
                return;
        }
        emit_duty(d, b, META_DUTY_DRAINED);
        elect_after_drain(d, x->broker_id);
}

/* Moves that have begun go on; they can be cancelled one by one. */
void decide_undrain(struct decision *d, struct controller_broker_duty *x)
{
        const struct meta_broker *b = duty_broker(d, x);

        if (b)
                emit_duty(d, b, META_DUTY_NONE);
}

/* ---- decommissioning ---- */

struct fit {
        size_t others; /* brokers that can take replicas */
        size_t most;   /* replicas of the partition that has most */
        struct str topic;
        int32_t partition;
};

static void find_most(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                      void *arg)
{
        size_t count = p->replicas_count - p->adding_count;
        struct fit *f = arg;

        if (count <= f->most)
                return;
        f->most = count;
        f->topic = t->name;
        f->partition = p->index;
}

void decide_decommission(struct decision *d, struct controller_broker_duty *x)
{
        const struct meta_broker *b = duty_broker(d, x), *other;
        struct fit f = { 0 };

        if (!b)
                return;
        pmap_for_each (it, other, &decision_image(d)->brokers)
                f.others += other->id != b->id && other->duty == META_DUTY_NONE;
        decision_each_place(d, x->broker_id, find_most, &f);
        if (f.most > f.others) {
                decision_refuse(d, &x->result, CONTROLLER_E_TOO_FEW_BROKERS,
                                "%.*s-%d has %zu replicas, and only %zu brokers are left to hold them. Add brokers, or "
                                "reassign it to fewer.",
                                STR_FMT(f.topic), f.partition, f.most, f.others);
                return;
        }
        emit_duty(d, b, META_DUTY_LEAVING);
        elect_after_drain(d, x->broker_id);
}

struct leaving {
        int32_t room;   /* moves that may begin now */
        int32_t moving; /* partitions with a replica on the broker that move */
        uint32_t left;  /* replicas on the broker */
        bool begin;     /* else only count */
};

static void leave(struct decision *d, const struct meta_topic *t, const struct meta_partition *p, int32_t broker_id,
                  void *arg)
{
        int32_t kept[CHANGE_IDS_MAX + 1], id, kept_count = 0, without[1] = { broker_id };
        struct placement *where;
        struct leaving *l = arg;
        struct change c;

        l->left += !l->begin;
        if (p->adding_count || p->removing_count) {
                l->moving += !l->begin;
                return;
        }
        if (!l->begin || l->room <= 0 || p->replicas_count > LIMIT_REPLICAS || !(where = decision_placement(d)))
                return;
        for (uint32_t i = 0; i < p->replicas_count; i++)
                if (meta_partition_replicas(p)[i] != broker_id)
                        kept[kept_count++] = meta_partition_replicas(p)[i];
        id = placement_choose_one(where, kept, (size_t)kept_count, without, 1, d->random);
        if (id == META_NO_NODE || !change_begin(&c, d, t, p))
                return; /* nobody can take it now */
        /* In the same place: who is preferred to lead stays as even as it was. */
        for (uint32_t i = 0; i < p->replicas_count; i++)
                kept[i] = meta_partition_replicas(p)[i] == broker_id ? id : meta_partition_replicas(p)[i];
        if (change_reassign(&c, kept, p->replicas_count))
                l->room -= change_end(&c);
}

/* All partitions that leave some broker. One that leaves two is counted twice; the bound is none the worse for it. */
static int32_t count_moving(struct decision *d)
{
        struct pmap brokers = pmap_copy(&decision_image(d)->brokers);
        const struct meta_broker *b;
        struct leaving l = { 0 };

        pmap_for_each (it, b, &brokers)
                if (b->duty == META_DUTY_LEAVING)
                        decision_each_place(d, b->id, leave, &l);
        pmap_fini(&brokers);
        return l.moving;
}

static void forget(struct decision *d, const struct meta_broker *b)
{
        struct meta_record r;

        snprintf(d->news, sizeof d->news, "broker %d is decommissioned: nothing is left on it", b->id);
        meta_record_init(&r, META_BROKER_REMOVE);
        r.broker_remove.broker_id = b->id;
        r.broker_remove.epoch = b->epoch;
        decision_emit(d, &r);
}

int decision_duties(struct decision *d)
{
        struct pmap brokers = pmap_copy(&decision_image(d)->brokers);
        const struct meta_broker *b;
        struct leaving l = { .begin = true };

        d->may_split = true;
        l.room = d->rules->moves_max - count_moving(d);
        pmap_for_each (it, b, &brokers) {
                struct leaving rest = { 0 };

                if (b->duty != META_DUTY_NONE)
                        elect_after_drain(d, b->id); /* others may be in sync by now */
                if (b->duty != META_DUTY_LEAVING || d->failed)
                        continue;
                decision_each_place(d, b->id, leave, &l);
                decision_each_place(d, b->id, leave, &rest);
                if (!rest.left && !d->failed)
                        forget(d, b); /* the broker itself learns it from its next heartbeat */
        }
        pmap_fini(&brokers);
        return d->failed;
}
