/* Changes of members, one at a time (thesis 4). A new voter is a learner until it has caught up, so that the majority which a
 * commit needs does not wait for it. */
#include "raft/raft_internal.h"

/* No change before an entry of the own term is committed: another leader's change might be in a log that is newer than this
 * one's idea of the members (the bug of 2015). And none on top of one that may be rolled back. */
static bool may_change(const struct raft *r)
{
        return r->commit_index >= r->term_first_index && raft_members_index(r) <= r->commit_index;
}

static void append_members(struct raft *r, const struct raft_members *m)
{
        assert(may_change(r));
        assert(raft_members_are_sane(m));
        raft_lead_append(r, 1, RAFT_FROM_MEMBERS);
        raft_history_push(&r->history, r->log.last_index, m);
        r->actions[r->actions_count - 1].append.members = raft_members(r);
        raft_peers_rebuild(r);
}

static bool was_heard_lately(const struct raft *r, const struct raft_peer *p)
{
        return p->heard_ms >= 0 && r->now - p->heard_ms < r->options.election_ms;
}

/* Enough of the voters of @m are there to commit anything. */
static bool is_safe(struct raft *r, const struct raft_members *m)
{
        uint32_t alive = 0;

        for (uint32_t i = 0; i < m->count; i++) {
                const struct raft_peer *p = raft_peer_find(r, m->at[i].id);

                if (m->at[i].is_voter)
                        alive += raft_id_equal(m->at[i].id, r->self) || (p && was_heard_lately(r, p));
        }
        return alive > raft_members_voters(m) / 2;
}

static int add(struct raft_members *m, struct raft_id id)
{
        if (raft_members_find(m, id.node))
                return RAFT_E_EXISTS;
        if (m->count == RAFT_MEMBERS_MAX)
                return RAFT_E_FULL;
        m->at[m->count++] = (struct raft_member){ id, false };
        return RAFT_OK;
}

static int remove_member(struct raft *r, struct raft_members *m, struct raft_id id)
{
        const struct raft_member *member = raft_members_find_id(m, id);
        bool was_voter;

        if (!member)
                return RAFT_E_UNKNOWN;
        was_voter = member->is_voter;
        m->at[member - m->at] = m->at[m->count - 1];
        m->count--;
        if (!raft_members_voters(m))
                return RAFT_E_LAST;
        return !was_voter || is_safe(r, m) ? RAFT_OK : RAFT_E_UNSAFE;
}

int raft_change_on_request(struct raft *r, const struct raft_event *ev)
{
        struct raft_members m = *raft_members(r);
        int result = RAFT_OK;

        if (r->role != RAFT_LEADER)
                return RAFT_E_NOT_LEADER;
        if (r->is_transferring)
                return RAFT_E_TRANSFER;
        if (!may_change(r))
                return RAFT_E_CHANGING;
        if (ev->change.type == RAFT_CHANGE_ADD)
                result = add(&m, ev->change.id);
        else if (ev->change.type == RAFT_CHANGE_REMOVE)
                result = remove_member(r, &m, ev->change.id);
        if (!result)
                append_members(r, &m);
        return result;
}

/* The learner that has caught up becomes a voter. */
static void promote(struct raft *r)
{
        for (uint32_t i = 0; i < r->peers_count; i++) {
                struct raft_peer *p = &r->peers[i];
                struct raft_members m = *raft_members(r);

                if (p->is_leaving || p->member.is_voter || !p->has_caught_up || !was_heard_lately(r, p))
                        continue;
                for (uint32_t j = 0; j < m.count; j++)
                        m.at[j].is_voter |= raft_id_equal(m.at[j].id, p->member.id);
                r->counts.learners_promoted++;
                append_members(r, &m);
                return;
        }
}

/* This leader was removed, and that is committed: its work is done. */
static void leave(struct raft *r)
{
        struct raft_peer *best = raft_transfer_best(r);

        r->counts.removal_step_downs++;
        for (uint32_t i = 0; i < r->peers_count; i++)
                raft_lead_heartbeat(r, &r->peers[i]); /* the commit */
        if (best)
                raft_transfer_tell(r, best->member.id); /* saves the others the wait */
        raft_elect_follow(r, raft_term(r), RAFT_ID_NOBODY);
}

void raft_change_settle(struct raft *r)
{
        if (r->role != RAFT_LEADER || !may_change(r))
                return;
        if (!raft_is_voter(r))
                leave(r);
        else if (!r->is_transferring)
                promote(r);
}
