/* ShareGroupHeartbeat: a member joins, says what it wants, is told what it shall have, and leaves (KIP-932). */
#include <errno.h>

#include "coord/share_priv.h"

/* What is wrong with it, for people; NULL: nothing. */
static const char *fault(const struct coord_share_heartbeat *rq)
{
        if (!rq->member_id.len)
                return "The member id must not be empty.";
        if (!str_is_null(rq->rack_id) && !rq->rack_id.len)
                return "The rack id must not be empty.";
        if (rq->epoch == EPOCH_JOIN && (!rq->names || !rq->names_count))
                return "A member that joins must say what it is subscribed to.";
        if (rq->epoch < EPOCH_LEAVE)
                return "The member epoch must be -1 or more.";
        return NULL;
}

/* What a member of a consumer group would say. */
static struct coord_consumer_heartbeat as_consumer(const struct coord_share_heartbeat *rq)
{
        return (struct coord_consumer_heartbeat){
                .member_id = rq->member_id,
                .rack_id = rq->rack_id,
                .client_id = rq->client_id,
                .client_host = rq->client_host,
                .epoch = rq->epoch,
                .rebalance_timeout_ms = -1,
                .names = rq->names,
                .names_count = rq->names_count,
        };
}

static int check(const struct groups *gs, struct coord_share_heartbeat *rq)
{
        struct coord_consumer_heartbeat says = as_consumer(rq);
        const char *what = fault(rq);

        if (!what)
                return consumer_check_limits(gs, &says);
        rq->ret_why = str_of(what);
        return COORD_E_INVALID_REQUEST;
}

/* ---- answers ---- */

static struct str words(int outcome, const struct group *g)
{
        switch (outcome) {
        case COORD_E_GROUP_NOT_FOUND:
                return g ? STR_LIT("The group is not a share group.") : STR_LIT("There is no such group.");
        case COORD_E_UNKNOWN_MEMBER:
                return STR_LIT("The group has no such member.");
        case COORD_E_FENCED_EPOCH:
                return STR_LIT("The member epoch is not the member's: it must join again.");
        case COORD_E_GROUP_FULL:
                return STR_LIT("The group has as many members as it may have.");
        case COORD_E_TOO_LARGE:
                return STR_LIT("The member says more than can be stored.");
        default:
                return STR_NULL;
        }
}

static void refuse(struct groups *gs, struct group *g, struct coord_share_heartbeat *rq, int outcome)
{
        coord_request_refuse(&rq->rq, outcome);
        if (str_is_null(rq->ret_why))
                rq->ret_why = words(outcome, g);
        group_reply(gs, g, &rq->rq, outcome);
}

static void reply(struct consumer_member *m, struct coord_share_heartbeat *rq, bool with_assignment)
{
        struct group *g = m->group;
        bool failed = false;

        rq->ret_member_id = coord_request_keep(&rq->rq, m->id, &failed);
        rq->ret_epoch = m->epoch;
        rq->ret_heartbeat_interval_ms = (int32_t)consumer_settings(g)->share_heartbeat_interval_ms;
        rq->ret_has_assignment = with_assignment;
        if (with_assignment)
                rq->ret_assignment = consumer_list(m->assigned, &rq->rq.arena, &rq->ret_assignment_count);
        failed |= with_assignment && !rq->ret_assignment;
        group_reply(g->owner, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}

/* ---- who it is ---- */

/* No group of another type becomes a share group. */
static int find_or_add(struct groups *gs, const struct coord_share_heartbeat *rq, struct group **ret_group)
{
        int outcome = share_find_group(gs, rq->rq.id, ret_group);

        if (*ret_group || rq->epoch != EPOCH_JOIN)
                return outcome;
        *ret_group = groups_add(gs, rq->rq.id);
        if (*ret_group && !group_become_share(*ret_group))
                return COORD_OK;
        groups_fail(gs, -ENOMEM);
        return -ENOMEM;
}

/* A member that did not get our answer says the epoch before. */
static int check_epoch(const struct consumer_member *m, int32_t epoch)
{
        if (epoch == EPOCH_JOIN || epoch == m->epoch || (epoch < m->epoch && epoch == m->previous_epoch))
                return COORD_OK;
        return COORD_E_FENCED_EPOCH;
}

static int find_or_add_member(struct group *g, const struct coord_share_heartbeat *rq, struct consumer_member **ret,
                              bool *ret_is_new)
{
        struct groups *gs = g->owner;

        *ret_is_new = false;
        *ret = consumer_find(g, rq->member_id);
        if (*ret)
                return check_epoch(*ret, rq->epoch);
        if (g->consumer->members_count >= gs->conf.share_group_size_max) {
                gs->stats.joins_refused++;
                return COORD_E_GROUP_FULL;
        }
        if (rq->epoch != EPOCH_JOIN)
                return COORD_E_UNKNOWN_MEMBER;
        *ret_is_new = true;
        *ret = consumer_member_new(g, rq->member_id, STR_NULL);
        if (*ret)
                return COORD_OK;
        groups_fail(gs, -ENOMEM);
        return -ENOMEM;
}

/* ---- a heartbeat ---- */

static void join_or_beat(struct groups *gs, struct coord_share_heartbeat *rq)
{
        CLEANUP(assignment_unrefp) struct assignment *before = NULL;
        struct coord_consumer_heartbeat says = as_consumer(rq);
        struct consumer_member *m = NULL;
        struct group *g = NULL;
        bool is_new;
        int outcome = find_or_add(gs, rq, &g);

        if (!outcome)
                outcome = find_or_add_member(g, rq, &m, &is_new);
        if (outcome) {
                refuse(gs, g, rq, outcome);
                if (g)
                        group_collect(g);
                return;
        }
        before = assignment_ref(m->assigned);
        consumer_advance(m, &says, NULL, is_new);
        reply(m, rq, rq->epoch == EPOCH_JOIN || rq->names || !assignment_equal(before, m->assigned));
}

static int leave(struct groups *gs, const struct coord_share_heartbeat *rq, struct group **ret_group)
{
        struct consumer_member *m;
        int outcome = share_find_group(gs, rq->rq.id, ret_group);

        if (outcome)
                return outcome;
        m = consumer_find(*ret_group, rq->member_id);
        if (!m)
                return COORD_E_UNKNOWN_MEMBER;
        consumer_remove(m);
        return COORD_OK;
}

void groups_share_heartbeat(struct groups *gs, struct coord_share_heartbeat *rq)
{
        struct group *g = NULL;
        int outcome = gs->conf.image ? check(gs, rq) : COORD_E_NOT_AVAILABLE;

        if (!outcome && rq->epoch != EPOCH_LEAVE) {
                join_or_beat(gs, rq);
                return;
        }
        if (!outcome)
                outcome = leave(gs, rq, &g);
        if (outcome) {
                refuse(gs, g, rq, outcome);
                return;
        }
        rq->ret_member_id = rq->member_id; /* borrowed from the request, which lives as long */
        rq->ret_epoch = rq->epoch;
        group_reply(gs, g, &rq->rq, COORD_OK);
}
