/* Handing leadership over (thesis 3.10): no new proposals, wait until the successor has all, tell it to elect itself at once. It
 * fails when that takes longer than an election time-out; then everything goes on as before. */
#include "raft/raft_internal.h"

struct raft_peer *raft_transfer_best(struct raft *r)
{
        struct raft_peer *best = NULL;

        for (uint32_t i = 0; i < r->peers_count; i++) {
                struct raft_peer *p = &r->peers[i];

                if (p->is_leaving || !p->member.is_voter || p->heard_ms < 0 ||
                    r->now - p->heard_ms >= r->options.election_ms)
                        continue;
                if (!best || p->match_index > best->match_index)
                        best = p;
        }
        return best;
}

void raft_transfer_tell(struct raft *r, struct raft_id to)
{
        r->lease_is_void = true;
        raft_send(r, to, (struct raft_message){ .type = RAFT_TIMEOUT_NOW });
}

int raft_transfer_on_request(struct raft *r, int32_t to)
{
        const struct raft_member *member = raft_members_find(raft_members(r), to);
        const struct raft_peer *best;

        if (r->role != RAFT_LEADER)
                return RAFT_E_NOT_LEADER;
        if (r->is_transferring)
                return RAFT_E_TRANSFER;
        if (to == RAFT_NOBODY) {
                best = raft_transfer_best(r);
                member = best ? &best->member : NULL;
        }
        if (!member || !member->is_voter || raft_id_equal(member->id, r->self))
                return RAFT_E_UNKNOWN;
        r->counts.transfers_begun++;
        r->is_transferring = true;
        r->transfer_to = member->id;
        r->transfer_ms = r->now + r->options.election_ms;
        return RAFT_OK;
}

static void end(struct raft *r, bool moved)
{
        raft_act(r, RAFT_ACT_TRANSFER)->transfer.moved = moved;
        r->is_transferring = false;
        if (moved)
                r->counts.transfers_moved++;
        else
                r->counts.transfers_aborted++;
}

void raft_transfer_end(struct raft *r)
{
        if (r->is_transferring)
                end(r, true);
}

void raft_transfer_settle(struct raft *r)
{
        const struct raft_peer *p;

        if (r->role != RAFT_LEADER || !r->is_transferring)
                return;
        p = raft_peer_find(r, r->transfer_to);
        /* Told once; when the message is lost the transfer fails. */
        if (p && p->match_index == r->log.last_index && r->transfer_to.node != RAFT_NOBODY) {
                raft_transfer_tell(r, r->transfer_to);
                r->transfer_to.node = RAFT_NOBODY;
        }
}

void raft_transfer_on_tick(struct raft *r)
{
        if (r->is_transferring && r->now >= r->transfer_ms)
                end(r, false);
}
