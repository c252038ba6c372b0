/* A leader: its term's first entry, heartbeats, what answers mean, what is committed, and whether a majority still hears it. */
#include "raft/raft_internal.h"

void raft_lead_begin(struct raft *r)
{
        assert(r->role == RAFT_CANDIDATE);
        assert(raft_vote_equal(&r->vote, &r->durable));
        assert(raft_id_equal(r->vote.voted_for, r->self));
        r->counts.elections_won++;
        r->role = RAFT_LEADER;
        r->leader = r->self;
        r->owes_ack = r->owes_refusal = r->owes_vote = false;
        r->leader_heard_ms = INT64_MIN;
        r->led_since_ms = r->now;
        r->heartbeat_ms = r->now;
        r->lease_is_void = r->is_transferring = false;
        r->peers_count = 0;
        raft_peers_rebuild(r);
        r->term_first_index = r->log.last_index + 1;
        raft_lead_append(r, 1, RAFT_FROM_NOOP);
        raft_lead_on_tick(r);
}

void raft_lead_end(struct raft *r)
{
        assert(r->role == RAFT_LEADER);
        raft_transfer_end(r);
        r->peers_count = 0;
        r->term_first_index = 0;
        r->agreed_index = r->commit_index;
}

void raft_lead_append(struct raft *r, int64_t count, enum raft_source source)
{
        struct raft_action *a = raft_act(r, RAFT_ACT_APPEND);

        assert(r->role == RAFT_LEADER);
        raft_log_append(&r->log, count, raft_term(r));
        a->append.first = r->log.last_index - count + 1;
        a->append.last = r->log.last_index;
        a->append.term = raft_term(r);
        a->append.source = source;
        a->append.edition = r->log.edition;
}

/* ---- majorities ---- */

int64_t raft_peer_heard(const struct raft_peer *p)
{
        return p->heard_ms;
}

static int64_t peer_echo(const struct raft_peer *p)
{
        return p->echo_ms;
}

static int64_t peer_match(const struct raft_peer *p)
{
        return p->match_index;
}

int64_t raft_lead_majority(const struct raft *r, int64_t (*of)(const struct raft_peer *p), int64_t own)
{
        int64_t values[RAFT_MEMBERS_MAX];
        uint32_t count = 0;

        if (raft_is_voter(r))
                values[count++] = own;
        for (uint32_t i = 0; i < r->peers_count; i++) {
                const struct raft_peer *p = &r->peers[i];
                uint32_t at = count;

                if (p->is_leaving || !p->member.is_voter)
                        continue;
                for (count++; at && values[at - 1] < of(p); at--)
                        values[at] = values[at - 1];
                values[at] = of(p);
        }
        assert(count && count == raft_members_voters(raft_members(r)));
        return values[count / 2];
}

void raft_lead_commit(struct raft *r)
{
        int64_t index;

        if (r->role != RAFT_LEADER)
                return;
        index = raft_lead_majority(r, peer_match, r->log.persisted_index);
        /* Raft 5.4.2: only entries of the own term are committed by counting. */
        if (index <= r->commit_index || raft_log_term(&r->log, index) != raft_term(r))
                return;
        r->commit_index = index;
        raft_history_commit(&r->history, index);
}

bool raft_has_lease(const struct raft *r, int64_t now_ms)
{
        int64_t echo;

        /* One that removes itself may leave a single voter behind, which waits for nobody when it starts. */
        if (r->role != RAFT_LEADER || r->lease_is_void || r->commit_index < r->term_first_index || !raft_is_voter(r))
                return false;
        echo = raft_lead_majority(r, peer_echo, now_ms);
        return echo >= 0 && now_ms - echo < r->options.election_ms / 4 * 3;
}

/* ---- time ---- */

void raft_lead_heartbeat(struct raft *r, struct raft_peer *p)
{
        p->told_commit = r->commit_index;
        raft_send(r, p->member.id,
                  (struct raft_message){ .type = RAFT_HEARTBEAT, .commit_index = r->commit_index, .sent_ms = r->now });
}

/* When a majority was heard last. */
static int64_t majority_heard_ms(const struct raft *r)
{
        return MAX2(r->led_since_ms, raft_lead_majority(r, raft_peer_heard, r->now));
}

void raft_lead_on_tick(struct raft *r)
{
        if (r->now - majority_heard_ms(r) >= r->options.election_ms) {
                r->counts.quorum_step_downs++;
                raft_elect_follow(r, raft_term(r), RAFT_ID_NOBODY);
                return;
        }
        raft_transfer_on_tick(r);
        if (r->now < r->heartbeat_ms)
                return;
        r->heartbeat_ms = r->now + r->options.heartbeat_ms;
        for (uint32_t i = 0; i < r->peers_count; i++)
                raft_lead_heartbeat(r, &r->peers[i]);
}

int64_t raft_lead_wake(const struct raft *r)
{
        int64_t at = MIN2(r->heartbeat_ms, majority_heard_ms(r) + r->options.election_ms);

        if (!r->peers_count)
                return INT64_MAX;
        return r->is_transferring ? MIN2(at, r->transfer_ms) : at;
}

/* ---- answers ---- */

/* The logs part before what was sent. */
static void on_rejected(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
        int64_t next;

        if (p->progress == RAFT_SEND_SNAPSHOT || m->prev_index <= p->match_index ||
            (p->progress == RAFT_PROBE && m->prev_index != p->next_index - 1))
                return; /* old */
        next = raft_log_find(&r->log, m->hint_index, m->hint_term) + 1;
        raft_peer_probe(r, p, MAX2(next, p->match_index + 1), false);
}

/* It answers a heartbeat that was sent well after entries that it does not have: they will not come any more. A slow disk is not
 * meant; what was received counts here, durable or not. */
static bool is_overdue(const struct raft *r, const struct raft_peer *p, const struct raft_message *m)
{
        return p->progress == RAFT_REPLICATE && p->in_flight_count && m->last_index < p->next_index - 1 &&
               m->sent_ms - p->in_flight[p->in_flight_first].sent_ms >= 2 * r->options.heartbeat_ms;
}

static void on_heartbeat_answer(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
        p->echo_ms = MAX2(p->echo_ms, m->sent_ms);
        if (is_overdue(r, p, m))
                raft_peer_probe(r, p, MAX2(m->last_index, p->match_index) + 1, false);
        else if (p->progress == RAFT_PROBE && m->last_index >= p->next_index - 1)
                raft_peer_replicate(r, p, m->last_index + 1); /* as good as an answer to the probe */
        else if (p->progress == RAFT_PROBE && r->now - p->probed_ms >= r->options.heartbeat_ms)
                p->is_paused = false;
}

static void on_append_answer(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
        int64_t received = MAX2(m->last_index, p->match_index);

        if (m->rejected)
                on_rejected(r, p, m);
        else if ((p->progress == RAFT_PROBE && received >= p->next_index - 1) ||
                 (p->progress == RAFT_SEND_SNAPSHOT && received >= r->log.cut_index))
                raft_peer_replicate(r, p, received + 1);
}

int raft_lead_on_answer(struct raft *r, const struct raft_message *m)
{
        struct raft_peer *p;

        if (m->term > raft_term(r)) {
                r->counts.step_downs += r->role == RAFT_LEADER;
                raft_elect_follow(r, m->term, RAFT_ID_NOBODY);
                return RAFT_OK;
        }
        p = raft_peer_find(r, m->from);
        if (r->role != RAFT_LEADER || m->term < raft_term(r) || !p)
                return RAFT_OK;
        if (m->match_index > m->last_index || m->last_index > r->log.last_index || m->sent_ms > r->now ||
            (m->rejected && m->hint_index >= m->prev_index))
                return RAFT_E_MESSAGE;
        p->heard_ms = r->now;
        raft_peer_matches(r, p, m->match_index);
        if (m->type == RAFT_HEARTBEAT_ANSWER)
                on_heartbeat_answer(r, p, m);
        else
                on_append_answer(r, p, m);
        return RAFT_OK;
}

/* ---- at the end of a step ---- */

void raft_lead_offer(struct raft *r)
{
        if (r->role != RAFT_LEADER)
                return;
        raft_peers_release(r);
        for (uint32_t i = 0; i < r->peers_count; i++) {
                struct raft_peer *p = &r->peers[i];

                raft_peer_offer(r, p);
                /* The news that something is committed does not wait for the next heartbeat. */
                if (p->progress == RAFT_REPLICATE && !p->is_offered && p->told_commit < r->commit_index)
                        raft_lead_heartbeat(r, p);
        }
}
