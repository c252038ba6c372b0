/* Members as their leader sees them: where their logs agree, what is on its way to them. The diagram is in raft_internal.h. */
#include <string.h>

#include "raft/raft_internal.h"

struct raft_peer *raft_peer_find(struct raft *r, struct raft_id id)
{
        for (uint32_t i = 0; i < r->peers_count; i++)
                if (raft_id_equal(r->peers[i].member.id, id))
                        return &r->peers[i];
        return NULL;
}

static void drop(struct raft *r, uint32_t place)
{
        r->peers_count--;
        memmove(&r->peers[place], &r->peers[place + 1], (r->peers_count - place) * sizeof r->peers[0]);
}

static void begin_round(struct raft *r, struct raft_peer *p)
{
        p->has_caught_up = false;
        p->round_last = r->log.last_index;
        p->round_from_ms = r->now;
}

static void add(struct raft *r, struct raft_member member)
{
        struct raft_peer *p;

        /* One that leaves makes room, also for its node's next directory. */
        for (uint32_t i = r->peers_count; i-- > 0;)
                if (r->peers[i].is_leaving &&
                    (r->peers_count == RAFT_PEERS_MAX || r->peers[i].member.id.node == member.id.node))
                        drop(r, i);
        assert(r->peers_count < RAFT_PEERS_MAX);
        p = &r->peers[r->peers_count++];
        *p = (struct raft_peer){
                .member = member,
                .next_index = r->log.last_index + 1,
                .heard_ms = -1,
                .echo_ms = -1,
                .caught_up_ms = -1,
        };
        begin_round(r, p);
}

void raft_peers_rebuild(struct raft *r)
{
        const struct raft_members *m = raft_members(r);

        for (uint32_t i = 0; i < r->peers_count; i++) {
                struct raft_peer *p = &r->peers[i];
                const struct raft_member *member = raft_members_find_id(m, p->member.id);

                if (member) {
                        p->member = *member;
                        if (p->is_leaving)
                                begin_round(r, p);
                        p->is_leaving = false;
                } else if (!p->is_leaving) {
                        p->is_leaving = true;
                        p->leaves_index = raft_members_index(r);
                        p->leaves_ms = r->now + 10 * r->options.election_ms;
                }
        }
        for (uint32_t i = 0; i < m->count; i++)
                if (!raft_id_equal(m->at[i].id, r->self) && !raft_peer_find(r, m->at[i].id))
                        add(r, m->at[i]);
}

void raft_peers_release(struct raft *r)
{
        for (uint32_t i = r->peers_count; i-- > 0;) {
                struct raft_peer *p = &r->peers[i];
                bool knows = p->match_index >= p->leaves_index && r->commit_index >= p->leaves_index;

                if (!p->is_leaving || (!knows && r->now < p->leaves_ms))
                        continue;
                if (knows)
                        raft_lead_heartbeat(r, p); /* tells the commit index */
                drop(r, i);
        }
}

/* ---- states ---- */

static void clear(struct raft_peer *p)
{
        p->in_flight_first = p->in_flight_count = 0;
        p->is_offered = p->is_paused = false;
}

void raft_peer_probe(struct raft *r, struct raft_peer *p, int64_t next, bool paused)
{
        clear(p);
        r->counts.probes_again += p->progress == RAFT_REPLICATE;
        p->progress = RAFT_PROBE;
        p->next_index = next;
        p->is_paused = paused;
        p->probed_ms = r->now;
        assert(p->next_index > p->match_index);
}

void raft_peer_replicate(struct raft *r, struct raft_peer *p, int64_t next)
{
        clear(p);
        p->progress = RAFT_REPLICATE;
        p->next_index = next;
        assert(p->next_index > p->match_index);
}

/* A learner's round ends when it has what there was when the round began (thesis 4.2.1). */
static void end_round(struct raft *r, struct raft_peer *p)
{
        if (p->has_caught_up || p->match_index < p->round_last)
                return;
        if (r->now - p->round_from_ms <= r->options.election_ms)
                p->has_caught_up = true;
        else
                begin_round(r, p);
}

void raft_peer_matches(struct raft *r, struct raft_peer *p, int64_t match)
{
        p->match_index = MAX2(p->match_index, match);
        while (p->in_flight_count && p->in_flight[p->in_flight_first].last <= p->match_index) {
                p->in_flight_first = (p->in_flight_first + 1) % RAFT_WINDOW_MAX;
                p->in_flight_count--;
        }
        if (p->match_index == r->log.last_index)
                p->caught_up_ms = r->now;
        end_round(r, p);
        if (p->progress != RAFT_SEND_SNAPSHOT && p->next_index <= p->match_index)
                raft_peer_replicate(r, p, p->match_index + 1);
}

/* ---- sending ---- */

static void send_append(struct raft *r, struct raft_peer *p, int64_t last)
{
        int64_t prev = p->next_index - 1, count = last - prev;

        p->told_commit = r->commit_index;
        raft_send(r, p->member.id,
                  (struct raft_message){ .type = RAFT_APPEND,
                                         .prev_index = prev,
                                         .prev_term = raft_log_term(&r->log, prev),
                                         .count = count,
                                         .entries_term = count ? raft_log_term(&r->log, last) : 0,
                                         .commit_index = r->commit_index,
                                         .offer = count ? p->offer : 0 });
}

void raft_peer_offer(struct raft *r, struct raft_peer *p)
{
        int64_t last;

        if (p->is_offered || p->progress == RAFT_SEND_SNAPSHOT ||
            (p->progress == RAFT_PROBE ? p->is_paused : p->in_flight_count >= r->options.append_window))
                return;
        if (p->next_index - 1 < r->log.cut_index) {
                clear(p);
                raft_snapshot_offer(r, p);
                return;
        }
        if (p->next_index > r->log.last_index) {
                if (p->progress == RAFT_PROBE) {
                        p->is_paused = true;
                        p->probed_ms = r->now;
                        send_append(r, p, p->next_index - 1);
                }
                return;
        }
        last = MIN2(raft_log_run_end(&r->log, p->next_index), p->next_index + r->options.append_entries_max - 1);
        if (p->progress == RAFT_PROBE) {
                p->is_paused = true;
                p->probed_ms = r->now;
                last = p->next_index; /* what is refused is small */
        }
        p->is_offered = true;
        p->offer = ++r->offers_made;
        p->offer_last = last;
        send_append(r, p, last);
}

void raft_peer_on_sent(struct raft *r, const struct raft_event *ev)
{
        struct raft_peer *p = raft_peer_find(r, ev->sent.to);

        if (r->role != RAFT_LEADER || !p || !p->is_offered || p->progress == RAFT_SEND_SNAPSHOT ||
            p->offer != ev->sent.offer)
                return;
        assert(ev->sent.last >= p->next_index - 1 && ev->sent.last <= p->offer_last);
        p->is_offered = false;
        if (ev->sent.last < p->next_index) {
                raft_peer_probe(r, p, p->next_index, true); /* later, with a heartbeat's answer */
                return;
        }
        if (p->progress == RAFT_PROBE)
                return;
        assert(p->in_flight_count < r->options.append_window);
        p->in_flight[(p->in_flight_first + p->in_flight_count++) % RAFT_WINDOW_MAX] =
                (struct raft_in_flight){ ev->sent.last, r->now };
        p->next_index = ev->sent.last + 1;
}
