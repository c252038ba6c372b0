/* SyncGroup: the leader's assignment goes to everyone; who asks before it came is parked. */
#include <errno.h>

#include "coord/consumer_priv.h"

/* Answer the parked request of @m. */
void sync_reply(struct groups *gs, struct group_member *m, int outcome)
{
        struct coord_sync *rq = TAKE_PTR(m->await_sync);
        struct group *g = m->group;

        coord_request_refuse(&rq->rq, outcome);
        if (outcome == COORD_OK) {
                struct str type = g->protocol_type, name = g->protocol_name;
                struct span data = m->assignment;

                rq->ret_protocol_type = (struct str){ arena_memdup(&rq->rq.arena, type.p, type.len), type.len };
                rq->ret_protocol_name = (struct str){ arena_memdup(&rq->rq.arena, name.p, name.len), name.len };
                /* A member that the leader left out gets no bytes at all, which clients take for "nothing". */
                if (data.len)
                        rq->ret_assignment = span_of(arena_memdup(&rq->rq.arena, data.data, data.len), data.len);
                if ((type.p && !rq->ret_protocol_type.p) || (name.p && !rq->ret_protocol_name.p) ||
                    !rq->ret_assignment.data)
                        outcome = -ENOMEM;
        }
        group_reply(gs, g, &rq->rq, outcome);
}

/* @m has asked for this generation's assignment (or left); when all have, the watch over them ends. */
void group_synced(struct group_member *m)
{
        struct group *g = m->group;

        if (!m->pending_sync)
                return;
        m->pending_sync = false;
        if (!--g->pending_sync_count)
                timer_unset(&g->owner->timers, &g->sync_timer);
}

/* Members that did not ask within the rebalance time-out are dropped, and the rest shares out their part. */
void group_sync_due(void *arg, struct timer *t)
{
        struct group *g = container_of(t, struct group, sync_timer);

        assert(g->state == COORD_GROUP_COMPLETING || g->state == COORD_GROUP_STABLE);
        ilist_for_each (m, &g->members, struct group_member, link)
                if (m->pending_sync)
                        group_remove_member(g, m);
        group_rebalance(g);
}

static void park(struct group_member *m, struct coord_sync *rq)
{
        if (m->await_sync)
                sync_reply(m->group->owner, m, COORD_E_REBALANCING);
        m->await_sync = rq;
}

static void assign(struct group *g, const struct coord_sync *rq)
{
        ilist_for_each (m, &g->members, struct group_member, link)
                (void)member_set_assignment(m, SPAN_NULL); /* takes no memory */
        for (int32_t i = 0; i < rq->assignments_count; i++) {
                struct group_member *m = group_find_member(g, rq->assignments[i].member_id);

                if (m && !m->pending && member_set_assignment(m, rq->assignments[i].data))
                        groups_fail(g->owner, -ENOMEM);
        }
}

static void complete_sync(struct group *g, const struct coord_sync *rq)
{
        assign(g, rq);
        group_set_state(g, COORD_GROUP_STABLE);
        group_record(g);
        ilist_for_each (m, &g->members, struct group_member, link)
                if (m->await_sync) {
                        sync_reply(g->owner, m, COORD_OK);
                        member_reset_session(m); /* it could not send heartbeats while it waited */
                }
}

/* Would the group's record with this assignment be too long to be written? Asked before anything changes: a write that
 * fails costs every group of the partition a reload. */
static bool too_large(const struct group *g, const struct coord_sync *rq)
{
        size_t len = 0;

        ilist_for_each (m, &g->members, struct group_member, link)
                len += m->memory;
        for (int32_t i = 0; i < rq->assignments_count; i++)
                len += rq->assignments[i].data.len;
        return len > g->owner->conf.record_len_max;
}

static bool differs(struct str asked, struct str ours)
{
        return !str_is_null(asked) && !str_equal(asked, ours);
}

static int check(const struct group *g, const struct coord_sync *rq)
{
        int outcome;

        if (!g)
                return COORD_E_UNKNOWN_MEMBER;
        if (g->state == COORD_GROUP_DEAD)
                return COORD_E_NOT_AVAILABLE;
        outcome = group_check_member(g, rq->member_id, rq->instance_id);
        if (outcome)
                return outcome;
        if (rq->generation != g->generation)
                return COORD_E_ILLEGAL_GENERATION;
        if (differs(rq->protocol_type, g->protocol_type) || differs(rq->protocol_name, g->protocol_name))
                return COORD_E_INCONSISTENT_PROTOCOL;
        if (g->state == COORD_GROUP_PREPARING)
                return COORD_E_REBALANCING;
        return g->state == COORD_GROUP_COMPLETING && too_large(g, rq) ? COORD_E_TOO_LARGE : COORD_OK;
}

void groups_sync(struct groups *gs, struct coord_sync *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        struct group_member *m;
        int outcome;

        if (g && g->consumer) {
                consumer_sync(g, rq);
                return;
        }
        outcome = check(g, rq);
        if (outcome) {
                coord_request_refuse(&rq->rq, outcome);
                group_reply(gs, g, &rq->rq, outcome);
                return;
        }
        m = group_find_member(g, rq->member_id);
        park(m, rq);
        group_synced(m);
        if (g->state == COORD_GROUP_STABLE)
                sync_reply(gs, m, COORD_OK);
        else if (m == g->leader)
                complete_sync(g, rq);
}
