/* JoinGroup: who is let in, as whom, and what that does to the group (KIP-62, KIP-345, KIP-394, KIP-814). */
#include <errno.h>
#include <stdio.h>

#include "coord/consumer_priv.h"

/* ---- answers ---- */

void join_reply_error(struct groups *gs, struct group *g, struct coord_join *rq, struct str member_id, int outcome)
{
        bool failed = false;

        coord_request_refuse(&rq->rq, outcome);
        rq->ret_member_id = coord_request_keep(&rq->rq, member_id, &failed);
        if (str_is_null(rq->ret_member_id))
                rq->ret_member_id = STR_LIT("");
        group_reply(gs, g, &rq->rq, failed ? -ENOMEM : outcome);
}

static bool list_members(struct group *g, struct coord_join *rq)
{
        bool failed = false;
        int32_t i = 0;

        rq->ret_members = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_join_member, g->members_count);
        if (!rq->ret_members)
                return true;
        ilist_for_each (m, &g->members, struct group_member, link)
                rq->ret_members[i++] = (struct coord_join_member){
                        .member_id = coord_request_keep(&rq->rq, m->id, &failed),
                        .instance_id = coord_request_keep(&rq->rq, m->instance_id, &failed),
                        .metadata = coord_request_keep_bytes(&rq->rq, member_metadata(m, g->protocol_name), &failed),
                };
        rq->ret_members_count = i;
        return failed;
}

static void reply_as(struct group *g, struct group_member *m, struct coord_join *rq, struct str leader,
                     bool with_members)
{
        bool failed = false;

        rq->ret_generation = g->generation;
        rq->ret_protocol_type = coord_request_keep(&rq->rq, g->protocol_type, &failed);
        rq->ret_protocol_name = coord_request_keep(&rq->rq, g->protocol_name, &failed);
        rq->ret_leader = coord_request_keep(&rq->rq, leader, &failed);
        rq->ret_member_id = coord_request_keep(&rq->rq, m->id, &failed);
        if (with_members)
                failed |= list_members(g, rq);
        group_reply(g->owner, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}

void join_reply_current(struct groups *gs, struct group *g, struct group_member *m, struct coord_join *rq,
                        bool with_members)
{
        assert(g->leader);
        reply_as(g, m, rq, g->leader->id, with_members);
}

/* ---- what a member brings ---- */

static int check_limits(const struct groups *gs, const struct coord_join *rq)
{
        size_t len = 0;

        if (rq->client_id.len > CLIENT_LEN_MAX || rq->instance_id.len > CLIENT_LEN_MAX ||
            rq->client_host.len > TEXT_LEN_MAX || rq->protocol_type.len > TEXT_LEN_MAX ||
            rq->protocols_count > PROTOCOLS_MAX)
                return COORD_E_TOO_LARGE;
        for (int32_t i = 0; i < rq->protocols_count; i++) {
                if (rq->protocols[i].name.len > TEXT_LEN_MAX)
                        return COORD_E_TOO_LARGE;
                len += rq->protocols[i].name.len + rq->protocols[i].metadata.len;
        }
        if (len > gs->conf.member_metadata_len_max)
                return COORD_E_TOO_LARGE;
        return groups_has_room(gs, len + rq->client_id.len + rq->client_host.len + sizeof(struct group_member))
                       ? COORD_OK
                       : COORD_E_NO_ROOM;
}

static void park(struct group_member *m, struct coord_join *rq)
{
        struct coord_join *before = m->await_join;

        m->await_join = rq;
        if (before) /* its connection is most likely gone; if not, the client tries again */
                join_reply_error(m->group->owner, m->group, before, m->id, COORD_E_REBALANCING);
        else
                m->group->joining_count++;
}

static int update_member(struct group_member *m, const struct coord_join *rq)
{
        int r = group_count_protocols(m->group, m, -1);

        if (!r)
                r = member_set_protocols(m, rq->protocols, rq->protocols_count);
        if (!r)
                r = group_count_protocols(m->group, m, +1);
        m->session_timeout_ms = rq->session_timeout_ms;
        m->rebalance_timeout_ms = rq->rebalance_timeout_ms;
        return r;
}

static void update_and_rebalance(struct group *g, struct group_member *m, struct coord_join *rq)
{
        if (update_member(m, rq))
                groups_fail(g->owner, -ENOMEM);
        park(m, rq);
        group_rebalance_or_complete(g);
}

static int fill_member(struct group_member *m, const struct coord_join *rq)
{
        m->session_timeout_ms = rq->session_timeout_ms;
        m->rebalance_timeout_ms = rq->rebalance_timeout_ms;
        m->is_new = true;
        if (text_dup(rq->instance_id, &m->instance_id) ||
            text_dup(str_is_null(rq->client_id) ? STR_LIT("") : rq->client_id, &m->client_id) ||
            text_dup(str_is_null(rq->client_host) ? STR_LIT("") : rq->client_host, &m->client_host))
                return -ENOMEM;
        return member_set_protocols(m, rq->protocols, rq->protocols_count);
}

/* @m has its id only. */
static void add_and_rebalance(struct group *g, struct group_member *m, struct coord_join *rq)
{
        struct groups *gs = g->owner;
        bool first = g->members_count == 0;

        if (first) {
                text_free(&g->protocol_type);
                if (text_dup(rq->protocol_type, &g->protocol_type))
                        groups_fail(gs, -ENOMEM);
        }
        if (fill_member(m, rq) || group_join_member(g, m)) {
                groups_fail(gs, -ENOMEM);
                join_reply_error(gs, g, rq, m->id, -ENOMEM);
                return;
        }
        if (g->state == COORD_GROUP_PREPARING && g->waits_initially)
                g->new_member_added = true;
        park(m, rq);
        /* Its client cannot send heartbeats before it is answered; one that went away is noticed by this bound only. */
        groups_timer_set(gs, &m->session, gs->conf.new_member_join_timeout_ms);
        group_rebalance_or_complete(g);
}

/* ---- new members ---- */

/* The client's or the instance's name, then a random UUID. */
struct str join_make_member_id(struct groups *gs, struct coord_join *rq)
{
        struct uuid u = gs->conf.new_uuid(gs->conf.new_uuid_arg);
        struct str name = str_is_null(rq->instance_id) ? rq->client_id : rq->instance_id;
        const uint8_t *b = u.b;

        return arena_printf(&rq->rq.arena, "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                            STR_FMT(name), b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
                            b[12], b[13], b[14], b[15]);
}

/* A static member is back under a new id: it takes the place of its former self, whose requests are fenced. */
static void replace_static(struct group *g, struct group_member *m, struct str new_id, struct coord_join *rq)
{
        struct groups *gs = g->owner;
        struct coord_join *old_join = TAKE_PTR(m->await_join);
        struct str old_id = STR_NULL;

        if (old_join) {
                g->joining_count--;
                join_reply_error(gs, g, old_join, m->id, COORD_E_FENCED_INSTANCE);
        }
        if (m->await_sync)
                sync_reply(gs, m, COORD_E_FENCED_INSTANCE);
        if (text_dup(m->id, &old_id) || member_set_id(m, new_id) || update_member(m, rq)) {
                groups_fail(gs, -ENOMEM);
                join_reply_error(gs, g, rq, STR_LIT(""), -ENOMEM);
                text_free(&old_id);
                return;
        }
        member_reset_session(m);
        if (g->state == COORD_GROUP_STABLE && str_equal(group_select_protocol(g), g->protocol_name)) {
                bool leads = g->leader == m;

                group_record(g);
                /* No rebalance. A leader that cannot be told to leave the assignment alone (before version 9) is told
                 * that its former self leads. */
                rq->ret_skip_assignment = leads && rq->can_skip_assignment;
                reply_as(g, m, rq, leads && !rq->can_skip_assignment ? old_id : g->leader->id,
                         leads && rq->can_skip_assignment);
        } else {
                park(m, rq);
                group_rebalance_or_complete(g);
        }
        text_free(&old_id);
}

static void join_new(struct group *g, struct coord_join *rq)
{
        struct groups *gs = g->owner;
        struct group_member *m = str_is_null(rq->instance_id) ? NULL : group_find_instance(g, rq->instance_id);
        struct str id = join_make_member_id(gs, rq);

        if (str_is_null(id)) {
                join_reply_error(gs, g, rq, STR_LIT(""), -ENOMEM);
                return;
        }
        if (m) {
                replace_static(g, m, id, rq);
                return;
        }
        m = member_new(g, id);
        if (!m) {
                join_reply_error(gs, g, rq, STR_LIT(""), -ENOMEM);
                return;
        }
        if (str_is_null(rq->instance_id) && rq->require_member_id) {
                m->session_timeout_ms = rq->session_timeout_ms;
                (void)member_set_assignment(m, SPAN_NULL); /* charges it; takes no memory */
                member_reset_session(m);
                join_reply_error(gs, g, rq, id, COORD_E_MEMBER_ID_REQUIRED);
                return;
        }
        add_and_rebalance(g, m, rq);
}

/* ---- known members ---- */

static void join_again(struct group *g, struct group_member *m, struct coord_join *rq)
{
        bool same = member_has_protocols(m, rq->protocols, rq->protocols_count);
        switch (g->state) {
        case COORD_GROUP_PREPARING:
                update_and_rebalance(g, m, rq);
                break;
        case COORD_GROUP_COMPLETING:
                /* Most likely it did not get the answer of this generation. */
                if (same)
                        join_reply_current(g->owner, g, m, rq, m == g->leader);
                else
                        update_and_rebalance(g, m, rq);
                break;
        case COORD_GROUP_STABLE:
                /* A leader joins to have the assignment made anew, for what it alone can see (topics' partitions). */
                if (same && m != g->leader)
                        join_reply_current(g->owner, g, m, rq, false);
                else
                        update_and_rebalance(g, m, rq);
                break;
        case COORD_GROUP_EMPTY:
        case COORD_GROUP_ASSIGNING:
        case COORD_GROUP_RECONCILING:
        case COORD_GROUP_DEAD:
                join_reply_error(g->owner, g, rq, rq->member_id, COORD_E_UNKNOWN_MEMBER);
                break;
        }
}

static void join_known(struct group *g, struct coord_join *rq)
{
        struct group_member *m = group_find_member(g, rq->member_id);
        int outcome;

        if (m && m->pending) {
                if (str_is_null(rq->instance_id))
                        add_and_rebalance(g, m, rq);
                else /* a static member is never told its id first: this is somebody else's */
                        join_reply_error(g->owner, g, rq, rq->member_id, COORD_E_UNKNOWN_MEMBER);
                return;
        }
        outcome = group_check_member(g, rq->member_id, rq->instance_id);
        if (outcome) {
                join_reply_error(g->owner, g, rq, rq->member_id, outcome);
                return;
        }
        assert(m);
        join_again(g, m, rq);
}

/* Would the group stay within its size? Members that have a place keep it; during the join phase places belong to those
 * who have joined. */
static bool has_place(const struct group *g, struct str member_id)
{
        const struct group_member *m = group_find_member(g, member_id);
        unsigned most = g->owner->conf.group_size_max;

        switch (g->state) {
        case COORD_GROUP_PREPARING:
                return (m && m->await_join) || g->joining_count < most;
        case COORD_GROUP_COMPLETING:
        case COORD_GROUP_STABLE:
                return (m && !m->pending) || g->members_count < most;
        default:
                return true;
        }
}

static void refuse_full(struct group *g, struct coord_join *rq)
{
        struct group_member *m = group_find_member(g, rq->member_id);

        g->owner->stats.joins_refused++;
        if (m) {
                group_remove_member(g, m);
                group_maybe_complete_join(g);
        }
        join_reply_error(g->owner, g, rq, STR_LIT(""), COORD_E_GROUP_FULL);
}

void groups_join(struct groups *gs, struct coord_join *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        bool is_new = !rq->member_id.len;
        int outcome;

        outcome = check_limits(gs, rq);
        if (rq->session_timeout_ms < gs->conf.session_timeout_min_ms ||
            rq->session_timeout_ms > gs->conf.session_timeout_max_ms)
                outcome = COORD_E_INVALID_SESSION_TIMEOUT;
        else if (!outcome && !g && !is_new)
                outcome = COORD_E_UNKNOWN_MEMBER;
        if (!outcome && !g) {
                g = groups_add(gs, rq->rq.id);
                outcome = g ? COORD_OK : -ENOMEM;
        }
        if (!outcome && g->state == COORD_GROUP_DEAD)
                outcome = COORD_E_NOT_AVAILABLE;
        if (outcome) {
                gs->stats.joins_refused++;
                join_reply_error(gs, g, rq, rq->member_id, outcome);
                return;
        }
        if (group_type(g) == COORD_GROUP_CONSUMER && !g->consumer->members_count)
                group_become_classic(g);
        if (group_type(g) == COORD_GROUP_SHARE)
                join_reply_error(gs, g, rq, rq->member_id, COORD_E_INCONSISTENT_PROTOCOL);
        else if (g->consumer)
                consumer_join(g, rq);
        else if (!has_place(g, rq->member_id))
                refuse_full(g, rq);
        else if (!group_supports(g, rq->protocol_type, rq->protocols, rq->protocols_count))
                join_reply_error(gs, g, rq, rq->member_id, COORD_E_INCONSISTENT_PROTOCOL);
        else if (is_new)
                join_new(g, rq);
        else
                join_known(g, rq);
        group_collect(g);
}
