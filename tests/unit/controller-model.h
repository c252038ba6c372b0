/* A model of what replicas hold, beside the stage of controller-stage.h: nodes that lead and follow by what they know of the
 * metadata (which may be old), their logs, and which records were acknowledged. It finds elections of leaders that miss
 * acknowledged records without knowing any rule of the controller.
 *
 * A record is a number. A leader acknowledges what all in the ISR it knows, and all it asked to be in it, have, while that
 * ISR has min ISR members. Followers fetch from the leader they know, if it leads in the same leader epoch, and first cut
 * what it does not have. */
#pragma once

#include "controller-stage.h"

enum { NODES = 7, PARTS = 10, LOG_MAX = 400 };

struct model_log {
        int count;
        uint32_t at[LOG_MAX];
};

/* One node's replica of one partition. */
struct model_replica {
        struct model_log log;
        bool lost;              /* it misses something, and the controller has not been told */
        int64_t reported_index; /* of the metadata that knows it: until then it does not lead */
        bool evident;           /* and will see it by itself: relaxed and rebooted, or another directory */
        /* As leader. */
        int32_t epoch;             /* that the rest belongs to */
        int progress[NODES + 1];   /* of the others, as they told in this epoch; -1: nothing yet */
        int64_t epochs[NODES + 1]; /* of the registration under which they told it (KIP-903) */
        int acked;                 /* what it has acknowledged itself */
        uint32_t asked;            /* in the ISR that was asked for: bit 1 << id */
};

struct model_node {
        bool up, paused, registered;
        struct meta_image *view; /* NULL: none */
        uint8_t incarnation;
        int64_t epoch;
        int64_t lease_until_ms; /* as the node counts it */
        int64_t clean_epoch;    /* of the registration that ended cleanly, or -1 */
        bool stopping;
        struct uuid directory;
        struct model_replica replicas[PARTS];
};

struct model_part {
        struct uuid topic_id;
        struct str topic;
        int32_t index;
        struct model_log acked;
        /* An AlterPartition on its way. */
        bool in_flight;
        struct controller_alter_partition alter;
        struct controller_isr_member members[NODES];
};

static struct model_node nodes[NODES + 1]; /* by id, from 1 */
static struct model_part parts[PARTS];
static int parts_count;
static uint32_t next_record;

/* What a node knows of a partition. */
static inline const struct meta_partition *known(const struct model_node *n, const struct model_part *p)
{
        const struct meta_topic *t = n->view ? meta_image_topic_by_id(n->view, p->topic_id) : NULL;

        return t ? meta_topic_partition(t, p->index) : NULL;
}

static inline const struct meta_partition *now_of(const struct model_part *p)
{
        const struct meta_topic *t = meta_image_topic_by_id(image, p->topic_id);

        return t ? meta_topic_partition(t, p->index) : NULL;
}

static inline int common(const struct model_log *a, const struct model_log *b)
{
        int i = 0;

        while (i < a->count && i < b->count && a->at[i] == b->at[i])
                i++;
        return i;
}

static inline bool has_acked(int32_t id, int part)
{
        return common(&nodes[id].replicas[part].log, &parts[part].acked) == parts[part].acked.count;
}

/* The node leads the partition as far as it knows; its state as leader belongs to that epoch. */
static inline struct model_replica *leading(int32_t id, int part)
{
        struct model_node *n = &nodes[id];
        const struct meta_partition *p = known(n, &parts[part]);
        struct model_replica *r = &n->replicas[part];

        if (!p || !n->up || !n->registered || r->lost || n->view->index < r->reported_index ||
            now_ms >= n->lease_until_ms || p->leader != id || meta_image_leader(n->view, p) != id)
                return NULL;
        if (r->epoch != p->leader_epoch) {
                r->epoch = p->leader_epoch;
                r->asked = 0;
                r->acked = 0;
                for (int i = 0; i <= NODES; i++)
                        r->progress[i] = -1;
        }
        return r;
}

static inline int high_watermark(int32_t id, int part)
{
        const struct meta_partition *p = known(&nodes[id], &parts[part]);
        const struct model_replica *r = &nodes[id].replicas[part];
        struct settings cache = { 0 };
        struct topic_settings s;
        int hw = r->log.count;

        assert(!settings_of_topic(&cache, conf, nodes[id].view, parts[part].topic, &s));
        settings_fini(&cache);
        if (p->isr_count < MIN2(s.min_isr, (int32_t)p->replicas_count))
                return 0;
        for (int32_t k = 1; k <= NODES; k++)
                if (k != id && (meta_ids_contain(meta_partition_isr(p), p->isr_count, k) || r->asked >> k & 1))
                        hw = MIN2(hw, r->progress[k]);
        return MAX2(hw, 0);
}

/* Acknowledge what can be. What was acknowledged before must be among it, or the model itself is wrong. */
static inline void acknowledge(int32_t id, int part)
{
        struct model_log *acked = &parts[part].acked;
        struct model_replica *r = leading(id, part);
        int hw = r ? high_watermark(id, part) : 0;

        if (!r || hw <= r->acked)
                return;
        r->acked = hw;
        if (hw <= acked->count)
                return;
        if (common(&r->log, acked) < acked->count) /* a leader of old that goes on with another history */
                printf("two histories: node %d, partition %d ", id, part);
        CU_ASSERT(common(&r->log, acked) == acked->count);
        acked->count = hw;
        memcpy(acked->at, r->log.at, (size_t)hw * sizeof *acked->at);
}

static inline void produce(int32_t id, int part)
{
        struct model_replica *r = leading(id, part);

        if (!r || r->log.count == LOG_MAX)
                return;
        r->log.at[r->log.count++] = ++next_record;
        acknowledge(id, part);
}

static inline void fetch(int32_t id, int part, int most)
{
        const struct meta_partition *p = known(&nodes[id], &parts[part]);
        struct model_replica *to = &nodes[id].replicas[part], *from;
        const struct meta_partition *theirs;
        int same;

        if (!nodes[id].up || !nodes[id].registered || !p || p->leader == META_NO_NODE || p->leader == id ||
            !meta_ids_contain(meta_partition_replicas(p), p->replicas_count, id))
                return;
        from = leading(p->leader, part);
        theirs = known(&nodes[p->leader], &parts[part]);
        if (!from || theirs->leader_epoch != p->leader_epoch)
                return;
        same = common(&to->log, &from->log);
        to->log.count = same;
        while (most-- > 0 && to->log.count < from->log.count) {
                to->log.at[to->log.count] = from->log.at[to->log.count];
                to->log.count++;
        }
        from->progress[id] = to->log.count;
        from->epochs[id] = nodes[id].epoch;
        acknowledge(p->leader, part);
}

/* The leader asks for an ISR of those who have all it has; sometimes it leaves one out that does, as one that was slow. */
static inline void ask_isr(int32_t id, int part, uint32_t leave_out)
{
        struct model_replica *r = leading(id, part);
        const struct meta_partition *p = known(&nodes[id], &parts[part]);
        struct model_part *m = &parts[part];

        if (!r || m->in_flight)
                return;
        m->alter = (struct controller_alter_partition){ .broker_id = id,
                                                        .broker_epoch = nodes[id].epoch,
                                                        .topic_id = m->topic_id,
                                                        .partition = m->index,
                                                        .leader_epoch = p->leader_epoch,
                                                        .partition_epoch = p->partition_epoch,
                                                        .isr = m->members };
        for (uint32_t i = 0; i < p->replicas_count; i++) {
                int32_t k = meta_partition_replicas(p)[i];
                const struct meta_broker *b = meta_image_broker(nodes[id].view, k);

                if (k != id && (r->progress[k] < r->log.count || leave_out >> k & 1 || !b || b->fenced))
                        continue;
                m->members[m->alter.isr_count++] =
                        (struct controller_isr_member){ k, k == id ? nodes[id].epoch : r->epochs[k] };
                r->asked |= 1u << k;
        }
        m->in_flight = true;
}

static bool unclean_asked; /* by the decision that is judged */

static inline bool unclean_is_allowed(int part, const struct meta_partition *before, const struct meta_partition *p)
{
        struct topic_settings s;

        assert(!settings_of_topic(&memory.settings, conf, image, parts[part].topic, &s));
        return unclean_asked || s.unclean ||
               (s.relaxed && before && before->last_known_elr_count &&
                meta_partition_last_known_elr(before)[0] == p->leader);
}

/* Who leads has everything, or is said not to. One that is fenced leads on paper only, and one that has ended does not lead: both may still have to report what they
 * lost. */
static inline const char *leader_fault(int part, const struct meta_partition *before, const struct meta_partition *p)
{
        bool told = p->recovering && p->leader != META_NO_NODE &&
                    (!before || !before->recovering ||
                     (before->leader != p->leader &&
                      !meta_ids_contain(meta_partition_isr(before), before->isr_count, p->leader)));
        int32_t leader = meta_image_leader(image, p);
        struct model_part *m = &parts[part];

        if (told && !unclean_is_allowed(part, before, p))
                return "an unclean election that nobody allowed";
        told |= p->recovering && before && before->leader_epoch != p->leader_epoch; /* or still */
        if (leader == META_NO_NODE || has_acked(leader, part) || (nodes[leader].replicas[part].lost && !told))
                return NULL;
        if (p->replicas_count > 1 && !told)
                return nodes[leader].registered ? "a leader that misses acknowledged records" : NULL;
        /* The only replica goes on with what it has; or somebody asked for this one. */
        m->acked.count = common(&nodes[leader].replicas[part].log, &m->acked);
        return NULL;
}

/* Members of ISR and ELR have everything, but for what the controller could not know yet. */
static inline const char *member_fault(int part, const struct meta_partition *p)
{
        for (uint32_t i = 0; i < p->replicas_count; i++) {
                int32_t id = meta_partition_replicas(p)[i];

                bool member = meta_ids_contain(meta_partition_isr(p), p->isr_count, id) ||
                              meta_ids_contain(meta_partition_elr(p), p->elr_count, id);

                if (!member || nodes[id].replicas[part].lost || has_acked(id, part))
                        continue;
                if (p->replicas_count > 1)
                        return "a member of ISR or ELR misses acknowledged records";
                /* The only replica keeps its place with what it has. */
                parts[part].acked.count = common(&nodes[id].replicas[part].log, &parts[part].acked);
        }
        return NULL;
}
