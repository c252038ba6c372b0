/* A follower: taking the leader's entries and heartbeats, and saying how far the log agrees (Raft 5.3).
 * agreed_index: up to it this log was compared with that of this term's leader, and is the same. What is durable of that
 * is acknowledged; it is never truncated in this term, and what is committed never at all. */
#include "raft/raft_internal.h"

/* An old leader is told the newer term, or it would never hear of it: nobody takes its messages. */
static void answer_old(struct raft *r, const struct raft_message *m)
{
        bool beat = m->type == RAFT_HEARTBEAT;

        if (m->type == RAFT_TIMEOUT_NOW)
                return;
        raft_send(r, m->from, (struct raft_message){ .type = beat ? RAFT_HEARTBEAT_ANSWER : RAFT_APPEND_ANSWER });
}

int raft_follow_enter(struct raft *r, const struct raft_message *m)
{
        if (m->term < raft_term(r)) {
                answer_old(r, m);
                return -1;
        }
        if (m->term == raft_term(r) &&
            (r->role == RAFT_LEADER || (r->leader.node != RAFT_NOBODY && !raft_id_equal(r->leader, m->from))))
                return RAFT_E_MESSAGE; /* two leaders in one term */
        if (m->term > raft_term(r) || r->role != RAFT_FOLLOWER) {
                r->counts.step_downs += r->role == RAFT_LEADER;
                raft_elect_follow(r, m->term, m->from);
        }
        r->leader = m->from;
        r->leader_heard_ms = r->now;
        raft_elect_rest(r);
        return RAFT_OK;
}

/* ---- answers ---- */

void raft_follow_ack(struct raft *r)
{
        if (r->role != RAFT_FOLLOWER || r->leader.node == RAFT_NOBODY)
                return;
        if (!raft_term_is_durable(r)) {
                r->owes_ack = true;
                return;
        }
        r->owes_ack = r->log.persisted_index < r->agreed_index;
        raft_send(r, r->leader,
                  (struct raft_message){ .type = RAFT_APPEND_ANSWER,
                                         .match_index = MIN2(r->log.persisted_index, r->agreed_index),
                                         .last_index = r->agreed_index });
}

void raft_follow_on_persisted(struct raft *r)
{
        if (r->owes_refusal && raft_term_is_durable(r)) {
                r->owes_refusal = false;
                raft_send(r, r->refusal.to, r->refusal);
        }
        if (r->owes_ack)
                raft_follow_ack(r);
}

/* The entry before those that came is not here, or another one is: say where to look next. */
static void refuse(struct raft *r, const struct raft_message *m)
{
        int64_t below = MIN2(m->prev_index - 1, r->log.last_index);
        int64_t hint = raft_log_find(&r->log, below, m->prev_term);

        hint = MAX2(hint, r->commit_index); /* there everybody agrees */
        r->counts.appends_rejected++;
        r->refusal = (struct raft_message){
                .type = RAFT_APPEND_ANSWER,
                .to = m->from,
                .rejected = true,
                .match_index = MIN2(r->log.persisted_index, r->agreed_index),
                .last_index = r->agreed_index,
                .prev_index = m->prev_index,
                .hint_index = hint,
                .hint_term = raft_log_term(&r->log, hint),
        };
        r->owes_refusal = true;
        raft_follow_on_persisted(r);
}

void raft_follow_commit(struct raft *r, int64_t index)
{
        r->commit_index = MAX2(r->commit_index, MIN2(index, r->agreed_index));
        raft_history_commit(&r->history, r->commit_index);
}

/* ---- entries ---- */

static bool append_is_sane(const struct raft_event *ev)
{
        const struct raft_message *m = ev->message.message;
        int64_t last = m->prev_index + m->count, before = m->prev_index;

        if (m->count && (m->entries_term < MAX2(m->prev_term, 1) || m->entries_term > m->term))
                return false;
        for (size_t i = 0; i < ev->message.members_count; i++) {
                const struct raft_members_at *at = &ev->message.members[i];

                if (at->index <= before || at->index > last || !raft_members_are_sane(&at->members))
                        return false;
                before = at->index;
        }
        return true;
}

static void drop_tail(struct raft *r, int64_t from)
{
        struct raft_action *a;

        assert(from > r->commit_index);
        assert(from > r->agreed_index);
        r->counts.truncations++;
        r->counts.members_rolled_back += raft_history_truncate(&r->history, from);
        raft_log_truncate(&r->log, from);
        a = raft_act(r, RAFT_ACT_TRUNCATE);
        a->truncate.from = from;
        a->truncate.edition = r->log.edition;
}

/* Entries first..last of the message become the next ones. */
static void append(struct raft *r, const struct raft_event *ev, int64_t first, int64_t last)
{
        int32_t term = ev->message.message->entries_term;
        struct raft_action *a;

        assert(first == r->log.last_index + 1);
        raft_log_append(&r->log, last - first + 1, term);
        for (size_t i = 0; i < ev->message.members_count; i++)
                if (ev->message.members[i].index >= first)
                        raft_history_push(&r->history, ev->message.members[i].index, &ev->message.members[i].members);
        a = raft_act(r, RAFT_ACT_APPEND);
        a->append.first = first;
        a->append.last = last;
        a->append.term = term;
        a->append.source = RAFT_FROM_MESSAGE;
        a->append.edition = r->log.edition;
}

/* The logs agree up to @prev; take what is new of the entries behind it up to @last. */
static int take(struct raft *r, const struct raft_event *ev, int64_t prev, int64_t last)
{
        int64_t known = MIN2(last, r->log.last_index);
        int64_t first = raft_log_conflict(&r->log, prev, known, ev->message.message->entries_term);

        if (first <= known) {
                if (first <= r->agreed_index)
                        return RAFT_E_MESSAGE; /* a leader changed its log */
                drop_tail(r, first);
        }
        if (first <= last)
                append(r, ev, first, last);
        return RAFT_OK;
}

int raft_follow_on_append(struct raft *r, const struct raft_event *ev)
{
        const struct raft_message *m = ev->message.message;
        int64_t prev = m->prev_index, last = m->prev_index + m->count;
        int result;

        if (!append_is_sane(ev))
                return RAFT_E_MESSAGE;
        result = raft_follow_enter(r, m);
        if (result)
                return MAX2(result, RAFT_OK);
        if (last > r->commit_index) {
                if (prev < r->commit_index) {
                        if (raft_log_term(&r->log, r->commit_index) != m->entries_term)
                                return RAFT_E_MESSAGE; /* another history than what is committed */
                        prev = r->commit_index;
                } else if (raft_log_term(&r->log, prev) != m->prev_term) {
                        if (prev <= r->agreed_index)
                                return RAFT_E_MESSAGE;
                        refuse(r, m);
                        return RAFT_OK;
                }
                result = take(r, ev, prev, last);
                if (result)
                        return result;
                r->agreed_index = MAX2(r->agreed_index, last);
        }
        raft_follow_commit(r, m->commit_index);
        if (!m->count || r->log.persisted_index >= last)
                raft_follow_ack(r);
        else
                r->owes_ack = true;
        return RAFT_OK;
}

int raft_follow_on_heartbeat(struct raft *r, const struct raft_message *m)
{
        int result = raft_follow_enter(r, m);

        if (result)
                return MAX2(result, RAFT_OK);
        raft_follow_commit(r, m->commit_index);
        raft_send(r, m->from,
                  (struct raft_message){ .type = RAFT_HEARTBEAT_ANSWER,
                                         .match_index = MIN2(r->log.persisted_index, r->agreed_index),
                                         .last_index = r->agreed_index,
                                         .sent_ms = m->sent_ms });
        return RAFT_OK;
}
