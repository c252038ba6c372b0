/* One change of one partition: begins as a copy of what is known, is edited, and ends as one record, or none when nothing
 * differs. Every path that changes a partition goes through here, so that the rules hold whatever the reason:
 *
 * 1. The ISR holds live brokers only (registered, not fenced, not stopping), unless none is left: then the last stay.
 * 2. The leader comes from the ISR, then from the live ELR, then (allowed or asked for) from anyone live; else none.
 * 3. ELR: who leaves an ISR that is smaller than min ISR holds everything acknowledged, because nothing was since
 *    (KIP-966). It is empty when the ISR has min ISR members, and after an unclean election.
 * 4. The leader epoch grows with every election, when replicas are taken away, and where it is asked for.
 * 5. A reassignment is complete when all its targets are in the ISR. */
#pragma once

#include "conf/limits.h"
#include "controller/decide.h"

#define CHANGE_IDS_MAX (2 * LIMIT_REPLICAS)

struct id_list {
        int32_t count;
        int32_t at[CHANGE_IDS_MAX];
};

struct change {
        struct decision *d;
        const struct meta_topic *topic;      /* borrowed from the image until change_end() */
        const struct meta_partition *before; /* likewise */
        struct topic_settings settings;

        /* To be edited. */
        struct id_list replicas, isr, adding, removing;
        struct id_list lost; /* may miss acknowledged records: they leave ISR and ELR */
        struct uuid directories[CHANGE_IDS_MAX];
        bool recovering;
        bool new_epoch;  /* the leader's epoch grows even if it stays */
        bool to_first;   /* the first replica should lead */
        bool to_willing; /* a leader that is drained should hand over */
        bool unclean;    /* asked for */
        bool forget_elr; /* what it says does not hold any more */

        /* What comes of it. */
        int32_t leader;
        struct id_list elr, last_known;
        bool elected_uncleanly;
};

/* Start. Return: false when the partition cannot be changed: d->failed says why, or it has more replicas than any
 * decision of this program gives one. */
bool change_begin(struct change *c, struct decision *d, const struct meta_topic *t, const struct meta_partition *p);
/* Apply the rules and emit what differs. Return: whether something did. @c, topic and partition are used up. */
bool change_end(struct change *c);

/* Editing. */
bool id_list_has(const struct id_list *l, int32_t id);
void id_list_add(struct id_list *l, int32_t id); /* unless it is there */
void id_list_remove(struct id_list *l, int32_t id);

/* Let @replicas be where the partition goes: what is missing is added, what is too much goes when all are in sync
 * (KIP-455). A reassignment that was going on is given up for it.
 * Return: false when what it leaves of the ISR could not lead; nothing is changed then. */
bool change_reassign(struct change *c, const int32_t *replicas, int32_t count);

/* How many must be in sync for a partition with @replicas_count replicas. */
static inline int32_t min_isr_of(const struct topic_settings *s, int32_t replicas_count)
{
        return MIN2(s->min_isr, replicas_count);
}
