/* Reassignment of replicas (KIP-455, KIP-860): what is asked for. What comes of it is in change.c: it is complete when an
 * AlterPartition, or any other change, finds all targets in sync. */
#include "controller/change.h"

static bool targets_are_fine(struct decision *d, struct controller_reassign *r, const struct meta_partition *p)
{
        const char *what = NULL;
        int32_t id = META_NO_NODE;

        if (r->replicas_count < 1 || r->replicas_count > LIMIT_REPLICAS) {
                decision_refuse(d, &r->result, CONTROLLER_E_ASSIGNMENT,
                                "A partition can have 1 to %d replicas, not %d.", LIMIT_REPLICAS, r->replicas_count);
                return false;
        }
        for (int32_t i = 0; i < r->replicas_count && !what; i++) {
                const struct meta_broker *b = meta_image_broker(decision_image(d), r->replicas[i]);
                bool new = !meta_ids_contain(meta_partition_replicas(p), p->replicas_count, r->replicas[i]);

                id = r->replicas[i];
                if (!b)
                        what = "is not registered";
                else if (meta_ids_contain(r->replicas, (size_t)i, id))
                        what = "is named twice";
                else if (new && b->duty != META_DUTY_NONE)
                        what = "is drained and gets no new replicas";
        }
        if (what)
                decision_refuse(d, &r->result, CONTROLLER_E_ASSIGNMENT, "Broker %d %s.", id, what);
        return !what;
}

/* Replicas without those that a reassignment brings: what cancelling goes back to, and what a factor is compared with. */
static int32_t original_of(const struct meta_partition *p, int32_t ret_ids[CHANGE_IDS_MAX])
{
        int32_t count = 0;

        for (uint32_t i = 0; i < p->replicas_count && i < CHANGE_IDS_MAX; i++) {
                int32_t id = meta_partition_replicas(p)[i];

                if (!meta_ids_contain(meta_partition_adding(p), p->adding_count, id))
                        ret_ids[count++] = id;
        }
        return count;
}

static bool is_moving(const struct meta_partition *p)
{
        return p->adding_count || p->removing_count;
}

static void emit(struct decision *d, struct controller_reassign *r, const struct meta_topic *t,
                 const struct meta_partition *p, const int32_t *to, int32_t count)
{
        struct change c;

        if (!change_begin(&c, d, t, p))
                return;
        if (change_reassign(&c, to, count))
                change_end(&c);
        else
                decision_refuse(d, &r->result, CONTROLLER_E_ASSIGNMENT,
                                "Only replicas that this would take away are in sync; it would lose what they hold.");
}

void decide_reassign(struct decision *d, struct controller_reassign *r)
{
        const struct meta_topic *t = meta_image_topic(decision_image(d), r->topic);
        const struct meta_partition *p = t ? meta_topic_partition(t, r->partition) : NULL;
        int32_t original[CHANGE_IDS_MAX], count;

        r->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!p) {
                decision_refuse(d, &r->result, t ? CONTROLLER_E_PARTITION_UNKNOWN : CONTROLLER_E_TOPIC_UNKNOWN,
                                "There is no partition %d of topic '%.*s'.", r->partition, STR_FMT(r->topic));
                return;
        }
        count = original_of(p, original);
        if (r->cancel) {
                if (is_moving(p))
                        emit(d, r, t, p, original, count);
                else
                        decision_refuse(d, &r->result, CONTROLLER_E_NO_REASSIGNMENT,
                                        "Partition %.*s-%d is not being reassigned.", STR_FMT(r->topic), r->partition);
                return;
        }
        if (!targets_are_fine(d, r, p))
                return;
        if (r->keep_factor && r->replicas_count != count) {
                decision_refuse(
                        d, &r->result, CONTROLLER_E_REPLICATION,
                        "The partition has %d replicas; %d are named, and a change of their number was not asked "
                        "for.",
                        count, r->replicas_count);
                return;
        }
        emit(d, r, t, p, r->replicas, r->replicas_count);
}
