/* What must hold after every step, seen from outside: the checks know all nodes and their disks, and trust no core. */
#include <stdlib.h>
#include <string.h>

#include "raft-world.h"

/* ---- tables that only grow ---- */

struct fact {
        uint64_t key; /* 0: free */
        uint64_t value;
};

enum { FACTS_SIZE = 1 << 16 };

static struct fact entries[FACTS_SIZE], votes[FACTS_SIZE];
static size_t entries_count, votes_count;

void check_reset(void)
{
        memset(entries, 0, sizeof entries);
        memset(votes, 0, sizeof votes);
        entries_count = votes_count = 0;
}

/* The value of @key; the first one that is said stays. */
static uint64_t fact(struct fact *table, size_t *count, uint64_t key, uint64_t value)
{
        struct chance c = { key };
        size_t at = chance_u64(&c) % FACTS_SIZE;

        while (table[at].key && table[at].key != key)
                at = (at + 1) % FACTS_SIZE;
        if (!table[at].key) {
                table[at] = (struct fact){ key, value };
                CHECK(++*count < FACTS_SIZE - 1000, "too much for this program's tables");
        }
        return table[at].value;
}

/* ---- logs ---- */

/* Log matching: an index and a term are one entry, with one past. */
void check_entry(int64_t index, const struct entry *e)
{
        uint64_t chain = fact(entries, &entries_count, ((uint64_t)index << 32) | (uint32_t)e->term, e->chain);

        CHECK(chain == e->chain, "two entries with index %lld and term %d are not the same, or have another past",
              (long long)index, e->term);
}

void check_truncate(const struct node *n, int64_t from)
{
        CHECK(from > n->commit_index, "node %u truncates from %lld, and %lld is committed", n->slot + 1,
              (long long)from, (long long)n->commit_index);
        CHECK(from > w.committed_last || n->log.at[from].chain != w.committed[from].chain,
              "node %u truncates entry %lld, which is committed", n->slot + 1, (long long)from);
}

static bool has_durably(const struct node *n, int64_t index, uint64_t chain)
{
        if (index <= n->disk.cut.index)
                return n->disk.cut.index <= w.committed_last; /* only what is committed is ever cut */
        return index <= n->disk.last && n->disk.at[index].chain == chain;
}

static bool has_majority(const struct raft_members *m, int64_t index, uint64_t chain)
{
        uint32_t have = 0, voters = 0;

        for (uint32_t i = 0; i < m->count; i++) {
                const struct node *voter = &w.nodes[m->at[i].id.node - 1];

                if (!m->at[i].is_voter)
                        continue;
                voters++;
                /* One whose disk is gone may have had it. It votes for nobody any more, so nothing can be elected past it. */
                have += !raft_id_equal(voter->id, m->at[i].id) || has_durably(voter, index, chain);
        }
        return have > voters / 2;
}

static void check_commit(struct node *n, const struct raft_status *s)
{
        CHECK(s->commit_index >= n->commit_index, "node %u: what is committed goes back from %lld to %lld", n->slot + 1,
              (long long)n->commit_index, (long long)s->commit_index);
        for (int64_t i = MAX2(n->commit_index, n->log.cut.index - 1) + 1; i <= s->commit_index; i++) {
                const struct entry *e = &n->log.at[i];

                if (i > w.committed_last) {
                        CHECK(i == w.committed_last + 1, "node %u commits %lld, and nobody %lld", n->slot + 1,
                              (long long)i, (long long)w.committed_last + 1);
                        w.committed[++w.committed_last] = *e;
                        if (s->role == RAFT_LEADER)
                                /* In the same step, after it has committed, it may have made a voter of a learner. */
                                CHECK(has_majority(s->members, i, e->chain) || has_majority(&n->members, i, e->chain),
                                      "node %u commits %lld, which no majority has on its disks", n->slot + 1,
                                      (long long)i);
                }
                CHECK(e->chain == w.committed[i].chain, "node %u commits another entry %lld than others", n->slot + 1,
                      (long long)i);
        }
        CHECK(s->role != RAFT_LEADER || s->commit_index == n->commit_index ||
                      n->log.at[s->commit_index].term == s->term,
              "node %u leads in term %d and commits %lld, the newest of which is of an older term", n->slot + 1,
              s->term, (long long)s->commit_index);
        n->commit_index = s->commit_index;
}

void check_applied(const struct node *n, int64_t index)
{
        CHECK(index <= w.committed_last, "node %u applies %lld, which is not committed", n->slot + 1, (long long)index);
        CHECK(!index || n->applied.chain == w.committed[index].chain, "node %u applies another history up to %lld",
              n->slot + 1, (long long)index);
}

/* ---- messages ---- */

/* At most one vote of a replica in a term. */
static void check_vote(struct raft_id voter, int32_t term, struct raft_id candidate)
{
        uint64_t key = ((uint64_t)voter.directory.b[0] << 48) | ((uint64_t)voter.directory.b[1] << 40) |
                       ((uint64_t)(uint32_t)term << 1) | 1;
        uint64_t value = ((uint64_t)candidate.directory.b[0] << 8) | candidate.directory.b[1];

        CHECK(fact(votes, &votes_count, key, value) == value, "node %d votes twice in term %d", voter.node, term);
}

static bool term_is_durable(const struct node *n, int32_t term)
{
        return n->vote.term >= term || n->disk.at[n->disk.last].term >= term;
}

/* What is acknowledged is on the disk, and is what the leader has. */
static void check_match(const struct node *n, const struct raft_message *m)
{
        const struct node *leader = &w.nodes[m->to.node - 1];
        struct raft_status s;

        CHECK(m->match_index <= n->disk.last, "node %u acknowledges %lld, and has %lld on its disk", n->slot + 1,
              (long long)m->match_index, (long long)n->disk.last);
        if (!leader->is_alive || !raft_id_equal(leader->id, m->to))
                return;
        raft_status(leader->core, &s);
        if (s.role != RAFT_LEADER || s.term != m->term || m->match_index < leader->log.cut.index ||
            m->match_index < n->disk.cut.index)
                return;
        CHECK(m->match_index <= leader->log.last &&
                      leader->log.at[m->match_index].chain == n->disk.at[m->match_index].chain,
              "node %u acknowledges %lld, which is not what its leader has", n->slot + 1, (long long)m->match_index);
}

void check_send(const struct node *n, const struct raft_message *m)
{
        bool pre = m->type == RAFT_PREVOTE_REQUEST || (m->type == RAFT_PREVOTE_ANSWER && m->granted);

        CHECK(raft_id_equal(m->from, n->id) && m->to.node != n->id.node, "node %u sends as another", n->slot + 1);
        CHECK(pre || term_is_durable(n, m->term), "node %u says %d of term %d before it is durable", n->slot + 1,
              m->type, m->term);
        if (m->type == RAFT_VOTE_ANSWER && m->granted) {
                CHECK(n->vote.term == m->term && raft_id_equal(n->vote.voted_for, m->to),
                      "node %u gives a vote in term %d that is not durable", n->slot + 1, m->term);
                check_vote(n->id, m->term, m->to);
        }
        if (m->type == RAFT_VOTE_REQUEST) {
                CHECK(n->vote.term == m->term && raft_id_equal(n->vote.voted_for, n->id),
                      "node %u stands in term %d, and its own vote is not durable", n->slot + 1, m->term);
                check_vote(n->id, m->term, n->id);
        }
        if (m->type == RAFT_APPEND_ANSWER || m->type == RAFT_HEARTBEAT_ANSWER)
                check_match(n, m);
}

/* ---- leaders and members ---- */

/* At most one change is not committed, and none comes before an entry of the leader's own term is committed. */
void check_members_appended(const struct node *n, int64_t index)
{
        struct raft_status s;

        raft_status(n->core, &s); /* what it thinks is committed is checked at the end of the step */
        for (int64_t i = s.commit_index + 1; i < index; i++)
                CHECK(!n->log.at[i].members, "node %u changes members at %lld, and %lld is not committed", n->slot + 1,
                      (long long)index, (long long)i);
        CHECK(s.commit_index > 0 && n->log.at[s.commit_index].term == n->log.at[index].term,
              "node %u changes members before an entry of its term is committed", n->slot + 1);
}

static void check_new_leader(struct node *n, const struct raft_status *s)
{
        struct raft_id *leader = &w.leaders[s->term % TERMS_MAX];

        CHECK(s->term < TERMS_MAX, "too many terms for this program");
        CHECK(leader->node <= 0 || raft_id_equal(*leader, n->id), "nodes %d and %d lead in term %d", leader->node,
              n->id.node, s->term);
        *leader = n->id;
        /* Leader completeness. */
        CHECK(n->log.last >= w.committed_last, "node %u leads in term %d up to %lld, and %lld is committed",
              n->slot + 1, s->term, (long long)n->log.last, (long long)w.committed_last);
        CHECK(w.committed_last < n->log.cut.index ||
                      n->log.at[w.committed_last].chain == w.committed[w.committed_last].chain || !w.committed_last,
              "node %u leads in term %d without what is committed", n->slot + 1, s->term);
        if (w.clocks_jump)
                return;
        for (uint32_t i = 0; i < w.nodes_used; i++) {
                const struct node *o = &w.nodes[i];

                if (o == n || !o->is_alive)
                        continue;
                counted.leases_checked++;
                CHECK(!raft_has_lease(o->core, node_clock_ms(o)), "node %u is elected while node %u has a lease",
                      n->slot + 1, o->slot + 1);
        }
}

void check_step(struct node *n)
{
        struct raft_status s;

        raft_status(n->core, &s);
        CHECK(s.last_index == n->log.last && s.first_index == n->log.cut.index + 1,
              "node %u: its core has %lld..%lld, its host %lld..%lld", n->slot + 1, (long long)s.first_index,
              (long long)s.last_index, (long long)n->log.cut.index + 1, (long long)n->log.last);
        if (s.role == RAFT_LEADER && n->role != RAFT_LEADER)
                check_new_leader(n, &s);
        if (n->role == RAFT_CANDIDATE && s.role == RAFT_PRECANDIDATE)
                counted.split_votes++;
        CHECK(s.members_index == n->newest_members,
              "node %u goes by the members of %lld, and its log has those of %lld", n->slot + 1,
              (long long)s.members_index, (long long)n->newest_members);
        n->role = s.role;
        check_commit(n, &s);
        if (n->members_index != s.members_index) {
                n->members_index = s.members_index;
                n->members = *s.members;
        }
}
