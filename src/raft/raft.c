/* See raft.h. This file: the core's life, the way of an event, and what the host is told at the end of a step. */
#include <errno.h>

#include "raft/raft_internal.h"

/* ---- life ---- */

static bool options_are_sane(const struct raft_options *o)
{
        return o->heartbeat_ms > 0 && o->election_ms >= 3 * o->heartbeat_ms && o->election_ms <= 24 * 3600 * 1000 &&
               o->append_entries_max > 0 && o->append_window > 0 && o->append_window <= RAFT_WINDOW_MAX;
}

static int check_restore(const struct raft_restore *from, const struct raft_options *options)
{
        if (!options_are_sane(options) || from->self.node < 0 || from->vote.term < 0 || from->vote.term > RAFT_TERM_MAX)
                return -EINVAL;
        return 0;
}

int raft_new(const struct raft_restore *from, const struct raft_options *options, struct raft **ret_raft)
{
        CLEANUP(raft_freep) struct raft *r = NULL;
        int result = check_restore(from, options);

        if (result)
                return result;
        r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->self = from->self;
        r->options = *options;
        r->chance = options->seed;
        r->vote = from->vote;
        r->leader = r->told_leader = RAFT_ID_NOBODY;
        r->commit_index = r->apply_index = r->agreed_index = from->commit_index;
        result = raft_log_init(&r->log, from);
        if (!result)
                result = raft_history_init(&r->history, from);
        if (result)
                return result;
        /* An entry proves that its term has begun, also when the vote file is older: in that term nothing was promised. */
        if (raft_log_last_term(&r->log) > r->vote.term)
                r->vote = (struct raft_vote){ raft_log_last_term(&r->log), RAFT_ID_NOBODY };
        r->durable = r->asked = r->vote;
        r->told_term = raft_term(r);
        r->told_members_index = raft_members_index(r);
        r->told_members_committed = r->told_members_index <= r->commit_index;
        *ret_raft = TAKE_PTR(r);
        return 0;
}

struct raft *raft_free(struct raft *r)
{
        if (!r)
                return NULL;
        raft_log_fini(&r->log);
        raft_history_fini(&r->history);
        free(r);
        return NULL;
}

/* splitmix64 */
uint64_t raft_chance(struct raft *r)
{
        uint64_t z = r->chance += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

/* ---- actions ---- */

struct raft_action *raft_act(struct raft *r, enum raft_action_type type)
{
        struct raft_action *a = &r->actions[r->actions_count++];

        assert(r->actions_count <= RAFT_ACTIONS_MAX);
        *a = (struct raft_action){ .type = type };
        return a;
}

void raft_send(struct raft *r, struct raft_id to, struct raft_message m)
{
        bool pre = m.type == RAFT_PREVOTE_REQUEST || (m.type == RAFT_PREVOTE_ANSWER && m.granted);

        assert(!raft_id_equal(to, r->self));
        if (!m.term)
                m.term = raft_term(r);
        /* Promise 1. What is kept back for good is an answer that its asker does without. */
        if (!pre && !raft_term_is_durable(r))
                return;
        m.from = r->self;
        m.to = to;
        raft_act(r, RAFT_ACT_SEND)->message = m;
}

/* ---- events ---- */

static void on_start(struct raft *r)
{
        assert(!r->is_started);
        r->is_started = true;
        /* Before it stopped it may have heard a leader that still relies on that. */
        r->leader_heard_ms = r->now;
        raft_elect_rest(r);
        if (raft_is_only_voter(r))
                raft_elect_stand(r, false);
}

static void on_tick(struct raft *r)
{
        if (r->role == RAFT_LEADER)
                raft_lead_on_tick(r);
        else
                raft_elect_on_tick(r);
}

static bool message_is_sane(const struct raft *r, const struct raft_message *m)
{
        bool may_be_0 = m->type == RAFT_PREVOTE_ANSWER || m->type == RAFT_VOTE_ANSWER;

        return m->type >= RAFT_PREVOTE_REQUEST && m->type <= RAFT_TIMEOUT_NOW && m->term >= (may_be_0 ? 0 : 1) &&
               m->term <= RAFT_TERM_MAX && m->from.node >= 0 && m->from.node != r->self.node && m->last_index >= 0 &&
               m->last_term >= 0 && m->last_term <= m->term && m->prev_index >= 0 && m->prev_term >= 0 &&
               m->prev_term <= m->term && m->count >= 0 && m->count <= INT64_MAX / 4 &&
               m->prev_index <= INT64_MAX / 4 && m->commit_index >= 0 && m->match_index >= 0 && m->hint_index >= 0 &&
               m->hint_term >= 0 && (m->prev_index || !m->prev_term);
}

static int on_timeout_now(struct raft *r, const struct raft_message *m)
{
        int result = raft_follow_enter(r, m);

        if (result)
                return MAX2(result, RAFT_OK);
        if (raft_is_voter(r))
                raft_elect_stand(r, true);
        return RAFT_OK;
}

static int on_message(struct raft *r, const struct raft_event *ev)
{
        const struct raft_message *m = ev->message.message;

        if (!raft_id_equal(m->to, r->self)) {
                r->counts.messages_foreign++;
                return RAFT_E_FOREIGN;
        }
        if (!message_is_sane(r, m))
                return RAFT_E_MESSAGE;
        switch (m->type) {
        case RAFT_PREVOTE_REQUEST:
        case RAFT_VOTE_REQUEST:
                raft_elect_on_request(r, m);
                return RAFT_OK;
        case RAFT_PREVOTE_ANSWER:
        case RAFT_VOTE_ANSWER:
                raft_elect_on_answer(r, m);
                return RAFT_OK;
        case RAFT_APPEND:
                return raft_follow_on_append(r, ev);
        case RAFT_HEARTBEAT:
                return raft_follow_on_heartbeat(r, m);
        case RAFT_APPEND_ANSWER:
        case RAFT_HEARTBEAT_ANSWER:
                return raft_lead_on_answer(r, m);
        case RAFT_SNAPSHOT:
                return raft_snapshot_on_message(r, m);
        case RAFT_TIMEOUT_NOW:
                return on_timeout_now(r, m);
        }
        return RAFT_E_MESSAGE;
}

static void on_vote_persisted(struct raft *r, const struct raft_vote *v)
{
        assert(v->term <= r->asked.term);
        if (v->term < r->durable.term || (v->term == r->durable.term && r->durable.voted_for.node != RAFT_NOBODY))
                return;
        r->durable = *v;
        raft_elect_on_persisted(r);
        raft_follow_on_persisted(r);
}

static void on_log_persisted(struct raft *r, const struct raft_event *ev)
{
        assert(ev->persisted.edition <= r->log.edition);
        if (ev->persisted.edition != r->log.edition)
                return; /* of what was thrown away */
        assert(ev->persisted.index <= r->log.last_index);
        r->log.persisted_index = MAX2(r->log.persisted_index, ev->persisted.index);
        raft_follow_on_persisted(r);
}

static int on_propose(struct raft *r, const struct raft_event *ev)
{
        assert(ev->propose.count > 0);
        if (r->role != RAFT_LEADER || ev->propose.term != raft_term(r))
                return RAFT_E_NOT_LEADER;
        if (r->is_transferring)
                return RAFT_E_TRANSFER;
        raft_lead_append(r, ev->propose.count, RAFT_FROM_PROPOSAL);
        return RAFT_OK;
}

static void on_unreachable(struct raft *r, struct raft_id to)
{
        struct raft_peer *p = raft_peer_find(r, to);

        if (p && p->progress == RAFT_REPLICATE)
                raft_peer_probe(r, p, p->match_index + 1, true);
}

static int dispatch(struct raft *r, const struct raft_event *ev)
{
        assert(r->is_started != (ev->type == RAFT_EV_START));
        switch (ev->type) {
        case RAFT_EV_START:
                on_start(r);
                return RAFT_OK;
        case RAFT_EV_TICK:
                on_tick(r);
                return RAFT_OK;
        case RAFT_EV_MESSAGE:
                return on_message(r, ev);
        case RAFT_EV_VOTE_PERSISTED:
                on_vote_persisted(r, &ev->vote);
                return RAFT_OK;
        case RAFT_EV_LOG_PERSISTED:
                on_log_persisted(r, ev);
                return RAFT_OK;
        case RAFT_EV_PROPOSE:
                return on_propose(r, ev);
        case RAFT_EV_CHANGE:
                return raft_change_on_request(r, ev);
        case RAFT_EV_TRANSFER:
                return raft_transfer_on_request(r, ev->transfer.to);
        case RAFT_EV_SENT:
                raft_peer_on_sent(r, ev);
                return RAFT_OK;
        case RAFT_EV_UNREACHABLE:
                on_unreachable(r, ev->unreachable.to);
                return RAFT_OK;
        case RAFT_EV_SNAPSHOT_SENT:
                raft_snapshot_on_sent(r, ev);
                return RAFT_OK;
        case RAFT_EV_SNAPSHOT_RECEIVED:
                return raft_snapshot_on_received(r, ev);
        case RAFT_EV_CUT:
                assert(ev->cut.index <= r->apply_index);
                raft_log_cut(&r->log, ev->cut.index);
                return RAFT_OK;
        }
        assert(!"an event of no known type");
        return RAFT_OK;
}

/* ---- the end of a step ---- */

static void tell_vote(struct raft *r)
{
        if (raft_vote_equal(&r->vote, &r->asked))
                return;
        assert(r->vote.term > r->asked.term || r->asked.voted_for.node == RAFT_NOBODY);
        r->asked = r->vote;
        raft_act(r, RAFT_ACT_VOTE)->vote = r->vote;
}

static void tell_role(struct raft *r)
{
        struct raft_action *a;

        if (r->told_role == r->role && r->told_term == raft_term(r) && raft_id_equal(r->told_leader, r->leader))
                return;
        r->told_role = r->role;
        r->told_term = raft_term(r);
        r->told_leader = r->leader;
        a = raft_act(r, RAFT_ACT_ROLE);
        a->role.role = r->role;
        a->role.term = raft_term(r);
        a->role.leader = r->leader.node;
        a->role.first_index = r->role == RAFT_LEADER ? r->term_first_index : 0;
}

static void tell_members(struct raft *r)
{
        int64_t index = raft_members_index(r);
        bool committed = index <= r->commit_index;
        struct raft_action *a;

        if (index == r->told_members_index && committed == r->told_members_committed)
                return;
        r->told_members_index = index;
        r->told_members_committed = committed;
        a = raft_act(r, RAFT_ACT_MEMBERS);
        a->members.members = raft_members(r);
        a->members.index = index;
        a->members.is_committed = committed;
}

static void tell_apply(struct raft *r)
{
        int64_t index = MIN2(r->commit_index, r->log.persisted_index);

        if (index <= r->apply_index)
                return;
        r->apply_index = index;
        raft_act(r, RAFT_ACT_APPLY)->apply.index = index;
}

static void check(const struct raft *r)
{
        assert(r->commit_index >= r->log.cut_index && r->commit_index <= r->log.last_index);
        assert(r->log.persisted_index <= r->log.last_index);
        assert(r->apply_index <= r->commit_index);
        assert(raft_log_last_term(&r->log) <= raft_term(r));
        assert(raft_members_index(r) <= r->log.last_index);
        assert(r->durable.term <= r->vote.term);
        if (r->role == RAFT_LEADER) {
                assert(raft_vote_equal(&r->vote, &r->durable));
                assert(raft_log_last_term(&r->log) == raft_term(r));
                assert(r->term_first_index > 0 && r->term_first_index <= r->log.last_index);
                assert(r->history.count < 2 || raft_members_index(r) < r->term_first_index ||
                       r->history.at[r->history.count - 2].index <= r->commit_index); /* promise 5 */
        } else {
                assert(r->agreed_index >= r->commit_index && r->agreed_index <= r->log.last_index);
                assert(!r->peers_count && !r->is_transferring);
        }
}

static int64_t wake_ms(const struct raft *r)
{
        if (r->role == RAFT_LEADER)
                return raft_lead_wake(r);
        return r->role == RAFT_CANDIDATE && !r->is_standing ? INT64_MAX : r->election_ms;
}

int raft_step(struct raft *r, const struct raft_event *ev, struct raft_actions *ret_todo)
{
        size_t members = ev->type == RAFT_EV_MESSAGE ? ev->message.members_count : 0;
        int result;

        if (raft_log_reserve(&r->log) || raft_history_reserve(&r->history, members + 2))
                return -ENOMEM;
        r->now = MAX2(r->now, ev->now_ms);
        r->actions_count = 0;
        result = dispatch(r, ev);
        r->counts.messages_refused += result == RAFT_E_MESSAGE;
        raft_lead_commit(r);
        raft_change_settle(r);
        raft_transfer_settle(r);
        tell_vote(r);
        tell_role(r);
        tell_members(r);
        tell_apply(r);
        raft_lead_offer(r);
        check(r);
        *ret_todo = (struct raft_actions){ r->actions, r->actions_count, wake_ms(r) };
        return result;
}
