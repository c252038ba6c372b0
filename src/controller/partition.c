/* What is asked of single partitions: who is in sync (AlterPartition: KIP-497, KIP-704, KIP-841, KIP-903), and elections
 * (KIP-183, KIP-460). */
#include "controller/change.h"

#include <errno.h>

/* ---- AlterPartition ---- */

static void tell_state(struct decision *d, struct controller_alter_partition *a)
{
        const struct meta_image *image = decision_image(d);
        const struct meta_topic *t = meta_image_topic_by_id(image, a->topic_id);
        const struct meta_partition *p = t ? meta_topic_partition(t, a->partition) : NULL;
        struct topic_settings settings;

        if (!p || d->failed)
                return;
        d->failed = settings_of_topic(&d->memory->settings, d->rules->conf, image, t->name, &settings);
        a->state = (struct controller_partition_state){
                .leader = p->leader,
                .leader_epoch = p->leader_epoch,
                .partition_epoch = p->partition_epoch,
                .min_isr = d->failed ? 0 : min_isr_of(&settings, p->replicas_count),
                .recovering = p->recovering,
                .isr = arena_memdup(d->mem, meta_partition_isr(p), p->isr_count * sizeof(int32_t)),
                .isr_count = p->isr_count,
        };
        if (!a->state.isr)
                d->failed = -ENOMEM;
}

static bool asker_is_fine(struct decision *d, struct controller_alter_partition *a)
{
        const struct meta_broker *b = meta_image_broker(decision_image(d), a->broker_id);

        if (b && b->epoch == a->broker_epoch)
                return true;
        decision_refuse(d, &a->result, b ? CONTROLLER_E_BROKER_EPOCH : CONTROLLER_E_BROKER_UNKNOWN,
                        "Broker %d is not registered with epoch %lld.", a->broker_id, (long long)a->broker_epoch);
        return false;
}

/* Compare before set. The order of checks is Kafka's: who is older learns that first. */
static bool epochs_are_fine(struct decision *d, struct controller_alter_partition *a, const struct meta_partition *p)
{
        enum controller_outcome outcome = CONTROLLER_OK;

        if (a->leader_epoch > p->leader_epoch || a->partition_epoch > p->partition_epoch)
                outcome = CONTROLLER_E_AHEAD;
        else if (a->leader_epoch < p->leader_epoch)
                outcome = CONTROLLER_E_LEADER_EPOCH;
        else if (a->broker_id != p->leader)
                outcome = CONTROLLER_E_INVALID;
        else if (a->partition_epoch < p->partition_epoch)
                outcome = CONTROLLER_E_PARTITION_EPOCH;
        if (outcome)
                decision_refuse(d, &a->result, outcome,
                                "The partition is led by %d in leader epoch %d, partition epoch %d; asked was by %d in "
                                "%d, %d.",
                                p->leader, p->leader_epoch, p->partition_epoch, a->broker_id, a->leader_epoch,
                                a->partition_epoch);
        return !outcome;
}

static bool members_make_sense(struct decision *d, struct controller_alter_partition *a, const struct meta_partition *p)
{
        bool has_leader = false;

        for (int32_t i = 0; i < a->isr_count; i++) {
                int32_t id = a->isr[i].broker_id;
                bool twice = false;

                for (int32_t k = 0; k < i; k++)
                        twice |= a->isr[k].broker_id == id;
                if (twice || !meta_ids_contain(meta_partition_replicas(p), p->replicas_count, id)) {
                        decision_refuse(d, &a->result, CONTROLLER_E_INVALID,
                                        "Broker %d is twice in the ISR that was sent, or has no replica.", id);
                        return false;
                }
                has_leader |= id == p->leader;
        }
        if (!has_leader || (a->recovering && !p->recovering) || (a->recovering && a->isr_count > 1)) {
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID,
                                has_leader ? "A leader that recovers is alone in the ISR, and does so only after an "
                                             "unclean election."
                                           : "The ISR that was sent lacks the leader.");
                return false;
        }
        return true;
}

/* Who is fenced, stops, or registered again since the leader heard of it is not in sync. A leader that stops may still name
 * itself: naming one more is how it hands over what only it could lead. */
static bool members_are_eligible(struct decision *d, struct controller_alter_partition *a)
{
        for (int32_t i = 0; i < a->isr_count; i++) {
                const struct meta_broker *b = meta_image_broker(decision_image(d), a->isr[i].broker_id);

                if (b && !b->fenced && (!b->in_shutdown || b->id == a->broker_id) &&
                    (a->isr[i].broker_epoch == -1 || a->isr[i].broker_epoch == b->epoch))
                        continue;
                decision_refuse(d, &a->result, CONTROLLER_E_INELIGIBLE, "Broker %d is %s, so it cannot be in the ISR.",
                                a->isr[i].broker_id,
                                !b               ? "not registered"
                                : b->fenced      ? "fenced"
                                : b->in_shutdown ? "stopping"
                                                 : "registered with another epoch");
                return false;
        }
        return true;
}

static void alter(struct decision *d, struct controller_alter_partition *a, const struct meta_topic *t,
                  const struct meta_partition *p)
{
        struct change c;

        if (!change_begin(&c, d, t, p))
                return;
        c.isr.count = 0;
        for (int32_t i = 0; i < a->isr_count; i++)
                id_list_add(&c.isr, a->isr[i].broker_id);
        c.recovering = a->recovering;
        change_end(&c);
        tell_state(d, a);
        if (!d->failed && a->state.leader != a->broker_id)
                decision_refuse(d, &a->result, CONTROLLER_E_NEW_LEADER, "Broker %d leads now.", a->state.leader);
}

void decide_alter_partition(struct decision *d, struct controller_alter_partition *a)
{
        const struct meta_topic *t = meta_image_topic_by_id(decision_image(d), a->topic_id);
        const struct meta_partition *p = t ? meta_topic_partition(t, a->partition) : NULL;

        a->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        a->state = (struct controller_partition_state){ .leader = META_NO_NODE };
        if (!asker_is_fine(d, a))
                return;
        if (!p) {
                decision_refuse(d, &a->result, t ? CONTROLLER_E_PARTITION_UNKNOWN : CONTROLLER_E_TOPIC_ID_UNKNOWN,
                                "There is no such partition.");
                return;
        }
        if (epochs_are_fine(d, a, p) && members_make_sense(d, a, p) && members_are_eligible(d, a))
                alter(d, a, t, p);
        else
                tell_state(d, a);
}

/* ---- elections ---- */

static bool preferred_is_needed(struct decision *d, struct controller_elect_leader *e, const struct meta_partition *p)
{
        int32_t first = meta_partition_replicas(p)[0];

        if (p->leader == first) {
                decision_refuse(d, &e->result, CONTROLLER_E_ELECTION_NOT_NEEDED,
                                "Broker %d, the preferred leader, leads already.", first);
                return false;
        }
        if (meta_ids_contain(meta_partition_isr(p), p->isr_count, first) &&
            meta_image_broker_is_live(decision_image(d), first) &&
            meta_image_broker(decision_image(d), first)->duty == META_DUTY_NONE)
                return true;
        decision_refuse(d, &e->result, CONTROLLER_E_PREFERRED_NOT_AVAILABLE,
                        "Broker %d, the preferred leader, is not in sync, not live, or drained.", first);
        return false;
}

static bool unclean_is_needed(struct decision *d, struct controller_elect_leader *e, const struct meta_partition *p)
{
        int32_t leader = meta_image_leader(decision_image(d), p);

        if (leader == META_NO_NODE)
                return true;
        decision_refuse(d, &e->result, CONTROLLER_E_ELECTION_NOT_NEEDED, "Broker %d leads.", leader);
        return false;
}

void decide_elect_leader(struct decision *d, struct controller_elect_leader *e)
{
        const struct meta_topic *t = meta_image_topic(decision_image(d), e->topic);
        const struct meta_partition *p = t ? meta_topic_partition(t, e->partition) : NULL;
        struct change c;

        e->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!p) {
                decision_refuse(d, &e->result, t ? CONTROLLER_E_PARTITION_UNKNOWN : CONTROLLER_E_TOPIC_UNKNOWN,
                                "There is no partition %d of topic '%.*s'.", e->partition, STR_FMT(e->topic));
                return;
        }
        if (e->type == CONTROLLER_ELECT_PREFERRED ? !preferred_is_needed(d, e, p) : !unclean_is_needed(d, e, p))
                return;
        if (!change_begin(&c, d, t, p))
                return;
        c.to_first = e->type == CONTROLLER_ELECT_PREFERRED;
        c.unclean = e->type == CONTROLLER_ELECT_UNCLEAN;
        change_end(&c);
        if (c.leader == META_NO_NODE || !meta_image_broker_is_live(decision_image(d), c.leader))
                decision_refuse(d, &e->result, CONTROLLER_E_ELIGIBLE_NOT_AVAILABLE,
                                "No replica of %.*s-%d is on a live broker.", STR_FMT(e->topic), e->partition);
}
