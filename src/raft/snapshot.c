/* When a snapshot is sent and to whom, and what becomes of one that was received. What is in it, and its chunks, are the host's. */
#include "raft/raft_internal.h"

void raft_snapshot_offer(struct raft *r, struct raft_peer *p)
{
        struct raft_action *a = raft_act(r, RAFT_ACT_SEND_SNAPSHOT);

        r->counts.snapshots_offered++;
        p->progress = RAFT_SEND_SNAPSHOT;
        p->is_offered = true;
        p->offer = ++r->offers_made;
        a->snapshot.to = p->member.id;
        a->snapshot.offer = p->offer;
        a->snapshot.at_least = r->log.cut_index;
}

void raft_snapshot_on_sent(struct raft *r, const struct raft_event *ev)
{
        struct raft_peer *p = raft_peer_find(r, ev->snapshot_sent.to);
        int64_t index = ev->snapshot_sent.index;

        if (r->role != RAFT_LEADER || !p || p->progress != RAFT_SEND_SNAPSHOT || p->offer != ev->snapshot_sent.offer)
                return;
        assert(!ev->snapshot_sent.ok || index <= r->commit_index);
        if (ev->snapshot_sent.ok)
                raft_peer_probe(r, p, MAX2(index, p->match_index) + 1, false);
        else
                raft_peer_probe(r, p, MAX2(p->next_index, p->match_index + 1), true); /* again, a little later */
}

/* All that is in it is here. A log with its last entry has all before it (promise 2), and a snapshot is made of what is committed;
 * its sender has it, too. */
static bool is_here(struct raft *r, int64_t index, int32_t term)
{
        if (index > r->commit_index && raft_log_term(&r->log, index) != term)
                return false;
        r->counts.snapshots_skipped++;
        r->commit_index = MAX2(r->commit_index, index);
        r->agreed_index = MAX2(r->agreed_index, index);
        raft_history_commit(&r->history, r->commit_index);
        return true;
}

int raft_snapshot_on_message(struct raft *r, const struct raft_message *m)
{
        int result = raft_follow_enter(r, m);

        if (result)
                return MAX2(result, RAFT_OK);
        if (is_here(r, m->last_index, m->last_term))
                raft_follow_ack(r);
        else
                raft_act(r, RAFT_ACT_RECEIVE_SNAPSHOT);
        return RAFT_OK;
}

/* The log is another one, or ends too early: the snapshot takes its place. */
static void install(struct raft *r, const struct raft_event *ev)
{
        struct raft_action *a;

        r->counts.snapshots_installed++;
        r->counts.members_rolled_back += raft_history_truncate(&r->history, r->commit_index + 1);
        raft_history_truncate(&r->history, 0);
        raft_history_push(&r->history, ev->snapshot.members_index, ev->snapshot.members);
        raft_log_reset(&r->log, ev->snapshot.index, ev->snapshot.term, r->commit_index);
        r->commit_index = ev->snapshot.index;
        r->agreed_index = MAX2(r->agreed_index, ev->snapshot.index);
        a = raft_act(r, RAFT_ACT_INSTALL);
        a->install.index = ev->snapshot.index;
        a->install.term = ev->snapshot.term;
        a->install.edition = r->log.edition;
}

int raft_snapshot_on_received(struct raft *r, const struct raft_event *ev)
{
        int64_t index = ev->snapshot.index;

        if (index < 1 || ev->snapshot.term < 1 || ev->snapshot.term > raft_term(r) ||
            ev->snapshot.members_index > index || ev->snapshot.members_index < 0 ||
            !raft_members_are_sane(ev->snapshot.members))
                return RAFT_E_MESSAGE;
        if (is_here(r, index, ev->snapshot.term))
                return RAFT_OK;
        if (r->role == RAFT_LEADER || index <= r->agreed_index)
                return RAFT_E_MESSAGE; /* a leader has all that is committed, and the log agrees with it */
        if (r->role != RAFT_FOLLOWER)
                raft_elect_follow(r, raft_term(r), RAFT_ID_NOBODY); /* who voted saw another log */
        install(r, ev);
        r->owes_ack = true;
        return RAFT_OK;
}
