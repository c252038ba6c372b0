/* Heartbeat, and what happens when none comes. */
#include "coord/consumer_priv.h"

static int check(const struct group *g, const struct coord_heartbeat *rq)
{
        int outcome;

        if (!g)
                return COORD_E_UNKNOWN_MEMBER;
        if (g->state == COORD_GROUP_DEAD)
                return COORD_E_NOT_AVAILABLE;
        outcome = group_check_member(g, rq->member_id, rq->instance_id);
        if (outcome)
                return outcome;
        return rq->generation == g->generation ? COORD_OK : COORD_E_ILLEGAL_GENERATION;
}

void groups_heartbeat(struct groups *gs, struct coord_heartbeat *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        int outcome = g && g->consumer ? consumer_check_beat(g, rq) : check(g, rq);

        if (!outcome && !g->consumer) {
                member_reset_session(group_find_member(g, rq->member_id));
                /* The member is known and alive, and it must join again (not: unknown, which would lose its place). */
                if (g->state == COORD_GROUP_PREPARING)
                        outcome = COORD_E_REBALANCING;
        }
        group_reply(gs, g, &rq->rq, outcome);
}

bool groups_heartbeat_quick(struct groups *gs, const struct coord_heartbeat *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        struct group_member *m;

        if (!g || g->consumer || g->state != COORD_GROUP_STABLE || g->state_seq > gs->committed_seq || check(g, rq))
                return false;
        m = group_find_member(g, rq->member_id);
        return groups_timer_defer(gs, &m->session, m->session_timeout_ms);
}

void member_session_due(void *arg, struct timer *t)
{
        struct groups *gs = arg;
        struct group_member *m = container_of(t, struct group_member, session);
        struct group *g = m->group;
        bool was_pending = m->pending;

        /* Who waits for us cannot send heartbeats. Its session starts again with the answer. Only a first join is given
         * up: its client is not known to have ever received anything. */
        if (!m->is_new && (m->await_join || m->await_sync))
                return;
        gs->stats.session_expiries++;
        group_remove_member(g, m);
        if (was_pending)
                group_maybe_complete_join(g);
        else
                group_rebalance_or_complete(g);
        group_collect(g);
}
