/* What a core knows, for those who ask: hosts, people, tests. */
#include "raft/raft_internal.h"

int32_t raft_term_at(const struct raft *r, int64_t index)
{
        return raft_log_term(&r->log, index);
}

bool raft_offer_is_valid(const struct raft *r, struct raft_id to, int32_t term, uint64_t offer)
{
        if (r->role != RAFT_LEADER || raft_term(r) != term)
                return false;
        for (uint32_t i = 0; i < r->peers_count; i++)
                if (raft_id_equal(r->peers[i].member.id, to))
                        return r->peers[i].is_offered && r->peers[i].offer == offer;
        return false;
}

static struct raft_peer_status peer_status(const struct raft_peer *p)
{
        return (struct raft_peer_status){
                .member = p->member,
                .progress = p->progress,
                .match_index = p->match_index,
                .next_index = p->next_index,
                .heard_ms = p->heard_ms,
                .caught_up_ms = p->caught_up_ms,
                .in_flight = p->in_flight_count,
        };
}

void raft_status(const struct raft *r, struct raft_status *ret)
{
        *ret = (struct raft_status){
                .self = r->self,
                .role = r->role,
                .term = raft_term(r),
                .leader = r->leader,
                .first_index = r->log.cut_index + 1,
                .last_index = r->log.last_index,
                .last_term = raft_log_last_term(&r->log),
                .persisted_index = r->log.persisted_index,
                .commit_index = r->commit_index,
                .term_first_index = r->term_first_index,
                .is_transferring = r->is_transferring,
                .members = raft_members(r),
                .members_index = raft_members_index(r),
                .members_are_committed = raft_members_index(r) <= r->commit_index,
                .counts = r->counts,
        };
        for (uint32_t i = 0; i < r->peers_count; i++)
                if (!r->peers[i].is_leaving)
                        ret->peers[ret->peers_count++] = peer_status(&r->peers[i]);
}
