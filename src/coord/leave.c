/* LeaveGroup: members that go by themselves, and static ones that an administrator removes by instance id (KIP-345). */
#include "coord/consumer_priv.h"

static int leave_one(struct group *g, const struct coord_leave_member *who, bool *joined_left)
{
        struct group_member *m;
        int outcome;

        if (!who->member_id.len) {
                m = str_is_null(who->instance_id) ? NULL : group_find_instance(g, who->instance_id);
                if (!m)
                        return COORD_E_UNKNOWN_MEMBER;
        } else {
                m = group_find_member(g, who->member_id);
                if (!m || !m->pending) {
                        outcome = group_check_member(g, who->member_id, who->instance_id);
                        if (outcome)
                                return outcome;
                }
        }
        assert(m);
        *joined_left |= !m->pending;
        group_remove_member(g, m);
        return COORD_OK;
}

void groups_leave(struct groups *gs, struct coord_leave *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        bool joined_left = false;

        /* Each of its members is unknown; the request itself is right. Members of a share group leave by heartbeat alone. */
        if (!g || group_type(g) == COORD_GROUP_SHARE) {
                for (int32_t i = 0; i < rq->members_count; i++)
                        rq->members[i].ret_outcome = COORD_E_UNKNOWN_MEMBER;
                group_reply(gs, g, &rq->rq, COORD_OK);
                return;
        }
        if (g->state == COORD_GROUP_DEAD) {
                group_reply(gs, g, &rq->rq, COORD_E_NOT_AVAILABLE);
                return;
        }
        for (int32_t i = 0; i < rq->members_count; i++) /* one that leaves may make it a classic group for the next */
                rq->members[i].ret_outcome = g->consumer ? consumer_leave_one(g, &rq->members[i])
                                                         : leave_one(g, &rq->members[i], &joined_left);
        if (joined_left)
                group_rebalance_or_complete(g);
        else if (!g->consumer)
                group_maybe_complete_join(g);
        group_reply(gs, g, &rq->rq, COORD_OK);
        group_collect(g);
}
