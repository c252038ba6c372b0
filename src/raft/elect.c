/* Elections: asking first (pre-vote), standing, voting. The diagram is in raft_internal.h.
 * A vote is given at most once in a term, durably before it is told, and to a log that is at least as new as the own one (Raft
 * 5.2, 5.4.1). While a leader is heard nobody else gets one, unless that leader itself wants it (thesis 4.2.3, 3.10). */
#include "raft/raft_internal.h"

void raft_elect_rest(struct raft *r)
{
        r->election_ms = r->now + r->options.election_ms + (int64_t)(raft_chance(r) % (uint64_t)r->options.election_ms);
}

void raft_elect_follow(struct raft *r, int32_t term, struct raft_id leader)
{
        assert(term >= raft_term(r));
        if (r->role == RAFT_LEADER)
                raft_lead_end(r);
        if (term > raft_term(r)) {
                r->vote = (struct raft_vote){ term, RAFT_ID_NOBODY };
                r->agreed_index = r->commit_index;
                r->owes_vote = r->owes_ack = r->owes_refusal = false;
        }
        r->role = RAFT_FOLLOWER;
        r->leader = leader;
        r->votes = 0;
        raft_elect_rest(r);
}

static bool has_majority(const struct raft *r)
{
        return (uint32_t)__builtin_popcountll(r->votes) > raft_members_voters(raft_members(r)) / 2;
}

/* Count a vote, if its giver has one. The same one counts once, however often it comes. */
static void count_vote(struct raft *r, struct raft_id id)
{
        const struct raft_members *m = raft_members(r);

        for (uint32_t i = 0; i < m->count; i++)
                if (raft_id_equal(m->at[i].id, id) && m->at[i].is_voter)
                        r->votes |= UINT64_C(1) << i;
}

static void send_requests(struct raft *r, enum raft_message_type type, int32_t term)
{
        const struct raft_members *m = raft_members(r);

        for (uint32_t i = 0; i < m->count; i++)
                if (m->at[i].is_voter && !raft_id_equal(m->at[i].id, r->self))
                        raft_send(
                                r, m->at[i].id,
                                (struct raft_message){ .type = type,
                                                       .term = term,
                                                       .last_index = r->log.last_index,
                                                       .last_term = raft_log_last_term(&r->log),
                                                       .by_transfer = type == RAFT_VOTE_REQUEST && r->is_by_transfer });
}

/* A voter of the newest members, or of those before while the newest may be rolled back: its log may be needed to commit them
 * (thesis 4.2.2, figure 4.6). */
static bool may_stand(const struct raft *r)
{
        for (size_t i = 0; i < r->history.count; i++)
                if (raft_members_have_voter(&r->history.at[i].members, r->self))
                        return true;
        return false;
}

void raft_elect_ask(struct raft *r)
{
        assert(r->role != RAFT_LEADER);
        if (!may_stand(r) || raft_term(r) >= RAFT_TERM_MAX) {
                raft_elect_follow(r, raft_term(r), RAFT_ID_NOBODY);
                return;
        }
        if (raft_is_only_voter(r)) {
                raft_elect_stand(r, false);
                return;
        }
        r->counts.prevotes_begun++;
        r->role = RAFT_PRECANDIDATE;
        r->leader = RAFT_ID_NOBODY;
        r->votes = 0;
        count_vote(r, r->self);
        raft_elect_rest(r);
        send_requests(r, RAFT_PREVOTE_REQUEST, raft_term(r) + 1);
}

void raft_elect_stand(struct raft *r, bool by_transfer)
{
        if (raft_term(r) >= RAFT_TERM_MAX)
                return;
        raft_elect_follow(r, raft_term(r) + 1, RAFT_ID_NOBODY);
        r->counts.elections_begun++;
        r->role = RAFT_CANDIDATE;
        r->vote.voted_for = r->self;
        r->is_by_transfer = by_transfer;
        r->is_standing = false;
}

/* The own vote is durable: now it counts, and others may be asked. */
static void stand_for_real(struct raft *r)
{
        r->is_standing = true;
        count_vote(r, r->self);
        if (has_majority(r))
                raft_lead_begin(r);
        else
                send_requests(r, RAFT_VOTE_REQUEST, raft_term(r));
}

void raft_elect_on_persisted(struct raft *r)
{
        if (!raft_vote_equal(&r->vote, &r->durable))
                return;
        if (r->role == RAFT_CANDIDATE && !r->is_standing) {
                stand_for_real(r);
        } else if (r->owes_vote) {
                r->owes_vote = false;
                raft_send(r, r->vote.voted_for, (struct raft_message){ .type = RAFT_VOTE_ANSWER, .granted = true });
        }
}

void raft_elect_on_tick(struct raft *r)
{
        if (r->now < r->election_ms)
                return;
        if (r->role == RAFT_CANDIDATE && !r->is_standing)
                return; /* the disk is slow; another term would not make it faster */
        raft_elect_ask(r);
}

/* ---- being asked ---- */

static bool is_as_new(const struct raft *r, const struct raft_message *m)
{
        int32_t last_term = raft_log_last_term(&r->log);

        return m->last_term > last_term || (m->last_term == last_term && m->last_index >= r->log.last_index);
}

/* A leader was heard within the shortest time after which anybody may think that there is none. */
static bool hears_leader(const struct raft *r)
{
        return r->role == RAFT_LEADER ||
               (r->leader_heard_ms > INT64_MIN && r->now - r->leader_heard_ms < r->options.election_ms);
}

static void refuse(struct raft *r, const struct raft_message *m)
{
        bool pre = m->type == RAFT_PREVOTE_REQUEST;

        if (pre)
                r->counts.prevotes_refused++;
        else
                r->counts.votes_refused++;
        raft_send(r, m->from, (struct raft_message){ .type = pre ? RAFT_PREVOTE_ANSWER : RAFT_VOTE_ANSWER });
}

static void on_prevote_request(struct raft *r, const struct raft_message *m)
{
        if (m->term <= raft_term(r) || hears_leader(r) || !is_as_new(r, m)) {
                refuse(r, m);
                return;
        }
        raft_send(r, m->from, (struct raft_message){ .type = RAFT_PREVOTE_ANSWER, .term = m->term, .granted = true });
}

static void on_vote_request(struct raft *r, const struct raft_message *m)
{
        if (m->term < raft_term(r)) {
                refuse(r, m);
                return;
        }
        if (m->term > raft_term(r)) {
                if (!m->by_transfer && hears_leader(r)) {
                        r->counts.votes_refused++; /* without a word: the own term may be the older one */
                        return;
                }
                r->counts.step_downs += r->role == RAFT_LEADER;
                raft_elect_follow(r, m->term, RAFT_ID_NOBODY);
        }
        if ((r->vote.voted_for.node != RAFT_NOBODY && !raft_id_equal(r->vote.voted_for, m->from)) || !is_as_new(r, m)) {
                refuse(r, m);
                return;
        }
        r->counts.votes_granted++;
        if (r->vote.voted_for.node == RAFT_NOBODY)
                raft_elect_rest(r);
        r->vote.voted_for = m->from;
        r->owes_vote = true;
        raft_elect_on_persisted(r);
}

void raft_elect_on_request(struct raft *r, const struct raft_message *m)
{
        if (m->type == RAFT_PREVOTE_REQUEST)
                on_prevote_request(r, m);
        else
                on_vote_request(r, m);
}

void raft_elect_on_answer(struct raft *r, const struct raft_message *m)
{
        bool pre = m->type == RAFT_PREVOTE_ANSWER;

        if (!(pre && m->granted) && m->term > raft_term(r)) {
                r->counts.step_downs += r->role == RAFT_LEADER;
                raft_elect_follow(r, m->term, RAFT_ID_NOBODY);
                return;
        }
        if (!m->granted || r->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE) || m->term != raft_term(r) + pre ||
            (!pre && !r->is_standing))
                return;
        count_vote(r, m->from);
        if (!has_majority(r))
                return;
        if (pre)
                raft_elect_stand(r, false);
        else
                raft_lead_begin(r);
}
