/* What the world does to the group: crashes, cuts, slow disks, clocks, operators. And the calm after it. */
#include <string.h>

#include "raft-world.h"

static struct node *any_node(void)
{
        return &w.nodes[chance_below(&w.chance, w.nodes_used)];
}

struct node *world_leader(void)
{
        struct node *best = NULL;
        struct raft_status s, best_s = { .term = 0 };

        for (uint32_t i = 0; i < w.nodes_used; i++) {
                if (!w.nodes[i].is_alive)
                        continue;
                raft_status(w.nodes[i].core, &s);
                if (s.role != RAFT_LEADER || (best && s.term < best_s.term))
                        continue;
                best = &w.nodes[i];
                best_s = s;
        }
        return best;
}

/* One that leads, or believes so. */
static struct node *any_leader(void)
{
        struct node *found = NULL;
        uint32_t count = 0;

        for (uint32_t i = 0; i < w.nodes_used; i++)
                if (w.nodes[i].is_alive && w.nodes[i].role == RAFT_LEADER && chance_one_in(&w.chance, ++count))
                        found = &w.nodes[i];
        return found;
}

/* ---- how bad it is ---- */

void trouble_init(void)
{
        static const uint32_t usual[TROUBLES] = {
                [TROUBLE_CRASH] = 14,
                [TROUBLE_CRASH_ALL] = 1,
                [TROUBLE_SPLIT] = 8,
                [TROUBLE_ONE_WAY] = 12,
                [TROUBLE_ISOLATE_LEADER] = 24,
                [TROUBLE_HEAL] = 4,
                [TROUBLE_SLOW_DISK] = 8,
                [TROUBLE_CLOCK] = 4,
                [TROUBLE_ADD] = 20,
                [TROUBLE_REMOVE] = 16,
                [TROUBLE_RESTATE] = 4,
                [TROUBLE_TRANSFER] = 10,
                [TROUBLE_STORE] = 25,
                [TROUBLE_WIPE] = 6,
                [TROUBLE_UNREACHABLE] = 4,
        };
        static const uint32_t losses[] = { 0, 0, 100, 20, 5 }, lates[] = { 0, 50, 20, 8 };

        w.options = (struct raft_options){
                .election_ms = 100 + chance_below(&w.chance, 200),
                .append_entries_max = 1 + chance_below(&w.chance, ENTRIES_MAX),
                .append_window = 1 + chance_below(&w.chance, 6),
        };
        w.options.heartbeat_ms = w.options.election_ms / (3 + chance_below(&w.chance, 5));
        w.delay_us = 200 + chance_below(&w.chance, 6000);
        w.loss_one_in = losses[chance_below(&w.chance, ARRAY_LEN(losses))];
        w.double_one_in = chance_one_in(&w.chance, 2) ? 0 : 10;
        w.late_one_in = lates[chance_below(&w.chance, ARRAY_LEN(lates))];
        w.clocks_jump = chance_one_in(&w.chance, 3);
        w.trouble_us = (uint32_t)w.options.election_ms * 125 << chance_below(&w.chance, 6);
        for (int i = 0; i < TROUBLES; i++)
                w.weights[i] = chance_one_in(&w.chance, 3) ? usual[i] * chance_below(&w.chance, 5) : usual[i];
}

/* ---- the network ---- */

void trouble_heal(void)
{
        memset(w.blocked, 0, sizeof w.blocked);
}

/* A cut lasts as long as no election takes, or some. */
static void plan_healing(void)
{
        counted.partitions++;
        world_plan(chance_below(&w.chance, 6000 * (uint64_t)w.options.election_ms), HAPPENS_HEALING, NULL);
}

static void split(void)
{
        uint32_t side = (uint32_t)chance_u64(&w.chance);

        plan_healing();
        for (uint32_t i = 0; i < NODES; i++)
                for (uint32_t j = 0; j < NODES; j++)
                        w.blocked[i][j] = ((side >> i) & 1) != ((side >> j) & 1);
}

static void one_way(void)
{
        uint32_t i = any_node()->slot, j = any_node()->slot;

        plan_healing();
        if (chance_one_in(&w.chance, 2))
                w.blocked[i][j] = true;
        else
                for (j = 0; j < NODES; j++)
                        w.blocked[i][j] = true;
}

static void isolate_leader(void)
{
        const struct node *n = world_leader();

        if (!n)
                return;
        plan_healing();
        for (uint32_t j = 0; j < NODES; j++)
                w.blocked[n->slot][j] = w.blocked[j][n->slot] = true;
}

static void unreachable(void)
{
        struct node *n = any_leader(), *o = any_node();
        struct raft_event ev = { .type = RAFT_EV_UNREACHABLE, .unreachable.to = o->id };

        if (n)
                node_step(n, &ev);
}

/* ---- nodes ---- */

static void crash(struct node *n)
{
        if (!n->is_alive)
                return;
        counted.crashes++;
        node_crash(n);
        world_plan(chance_below(&w.chance, 4000 * (uint64_t)w.options.election_ms), HAPPENS_RESTART, n);
}

/* Whether a majority of @m has its disks, were @without to lose its own, and a voter by then. */
static bool is_alive_majority(const struct raft_members *m, const struct node *without)
{
        uint32_t left = 0, voters = raft_members_voters(m);

        for (uint32_t i = 0; i < m->count; i++) {
                const struct node *n = &w.nodes[m->at[i].id.node - 1];

                voters += !m->at[i].is_voter && n == without;
                left += m->at[i].is_voter && n != without && raft_id_equal(n->id, m->at[i].id);
        }
        return left > voters / 2;
}

static const struct raft_members *committed_members(void)
{
        const struct raft_members *m = &w.first_members;

        for (int64_t i = w.committed_last; i > 0; i--)
                if (w.committed[i].members)
                        return w.committed[i].members;
        return m;
}

/* A new disk, when the group can live without the old one, whichever change of members will be committed. */
static void wipe(struct node *n)
{
        if (!is_alive_majority(committed_members(), n) || n->directories_made >= DIRECTORIES_MAX)
                return;
        for (size_t i = 0; i < w.members_count; i++)
                if (w.members[i]->index > w.committed_last && !is_alive_majority(&w.members[i]->members, n))
                        return;
        counted.wipes++;
        if (n->is_alive)
                node_crash(n);
        node_wipe(n);
        trace("node %u has a new disk", n->slot + 1);
        n->life++;
        node_boot(n);
}

static void change_clock(struct node *n)
{
        uint32_t rate = 950 + chance_below(&w.chance, 101);
        int64_t jump = 0;

        if (w.clocks_jump) {
                counted.clock_jumps++;
                rate = 500 + chance_below(&w.chance, 1000);
                jump = chance_below(&w.chance, 3000 * (uint64_t)w.options.election_ms);
        }
        node_set_clock(n, jump, rate);
        if (n->is_alive)
                node_wake_at(n, n->wake_ms);
}

/* ---- operators ---- */

/* The operator does not remove a voter when the disk of another one has gone the moment before: a change cannot be undone by
 * the leader that began it, and nobody could commit this one. */
static bool would_be_stuck(const struct node *leader, struct raft_id id)
{
        struct raft_status s;
        struct raft_members m;

        raft_status(leader->core, &s);
        m = *s.members;
        for (uint32_t i = m.count; i-- > 0;)
                if (raft_id_equal(m.at[i].id, id))
                        m.at[i] = m.at[--m.count];
        return m.count && raft_members_voters(&m) && !is_alive_majority(&m, NULL);
}

static int change(enum raft_change_type type, struct raft_id id)
{
        struct node *n = any_leader();
        struct raft_event ev = { .type = RAFT_EV_CHANGE, .change = { .type = type, .id = id } };
        int result;

        if (!n || (type == RAFT_CHANGE_REMOVE && would_be_stuck(n, id)))
                return RAFT_E_NOT_LEADER;
        result = node_step(n, &ev);
        trace("node %u: change %d of node %d: %d", n->slot + 1, type, id.node, result);
        counted.changes_begun += !result;
        counted.changes_refused += result > 0;
        counted.removals_refused_unsafe += result == RAFT_E_UNSAFE;
        counted.self_removals += !result && type == RAFT_CHANGE_REMOVE && raft_id_equal(id, n->id);
        return result;
}

/* Any member, perhaps of a disk that is gone. */
static void remove_any(void)
{
        const struct raft_members *m = committed_members();

        (void)change(RAFT_CHANGE_REMOVE, m->at[chance_below(&w.chance, m->count)].id);
}

static void transfer(void)
{
        struct node *n = any_leader();
        struct raft_event ev = { .type = RAFT_EV_TRANSFER,
                                 .transfer.to = chance_one_in(&w.chance, 3) ? RAFT_NOBODY : any_node()->id.node };

        if (n)
                node_step(n, &ev);
}

void trouble_propose(void)
{
        struct node *n = any_leader();
        struct raft_event ev = { .type = RAFT_EV_PROPOSE };
        struct raft_status s;

        if (!n)
                return;
        raft_status(n->core, &s);
        if (s.last_index > INDEX_MAX - 200 - (w.is_calm ? 0 : INDEX_MAX / 3))
                return; /* this program's tables are nearly full */
        ev.propose.term = s.term;
        ev.propose.count = w.is_calm ? 1 : 1 + chance_below(&w.chance, 3);
        counted.proposals += node_step(n, &ev) == RAFT_OK;
}

/* ---- all of it ---- */

static enum trouble pick(void)
{
        uint32_t sum = 0, at;
        int i;

        for (i = 0; i < TROUBLES; i++)
                sum += w.weights[i];
        at = chance_below(&w.chance, sum);
        for (i = 0; at >= w.weights[i]; i++)
                at -= w.weights[i];
        return (enum trouble)i;
}

void trouble_make(void)
{
        struct node *n = any_node();

        switch (pick()) {
        case TROUBLE_CRASH:
                crash(n);
                break;
        case TROUBLE_CRASH_ALL:
                for (uint32_t i = 0; i < w.nodes_used; i++)
                        crash(&w.nodes[i]);
                break;
        case TROUBLE_SPLIT:
                split();
                break;
        case TROUBLE_ONE_WAY:
                one_way();
                break;
        case TROUBLE_ISOLATE_LEADER:
                isolate_leader();
                break;
        case TROUBLE_HEAL:
                trouble_heal();
                break;
        case TROUBLE_SLOW_DISK:
                n->is_slow = !n->is_slow;
                break;
        case TROUBLE_CLOCK:
                change_clock(n);
                break;
        case TROUBLE_ADD:
                (void)change(RAFT_CHANGE_ADD, n->id);
                break;
        case TROUBLE_REMOVE:
                remove_any();
                break;
        case TROUBLE_RESTATE:
                (void)change(RAFT_CHANGE_RESTATE, RAFT_ID_NOBODY);
                break;
        case TROUBLE_TRANSFER:
                transfer();
                break;
        case TROUBLE_STORE:
                if (n->is_alive)
                        node_store(n);
                break;
        case TROUBLE_WIPE:
                wipe(n);
                break;
        case TROUBLE_UNREACHABLE:
                unreachable();
                break;
        case TROUBLES:
                break;
        }
}

/* ---- the calm ---- */

void trouble_calm(void)
{
        trace("---- calm");
        w.is_calm = true;
        trouble_heal();
        for (uint32_t i = 0; i < w.nodes_used; i++) {
                struct node *n = &w.nodes[i];

                node_set_clock(n, 0, 1000);
                n->is_slow = false;
                if (!n->is_alive)
                        node_boot(n);
                else
                        node_wake_at(n, n->wake_ms);
        }
}

void trouble_repair(void)
{
        const struct raft_members *m = committed_members();

        for (uint32_t i = 0; i < m->count; i++)
                if (!raft_id_equal(w.nodes[m->at[i].id.node - 1].id, m->at[i].id)) {
                        (void)change(RAFT_CHANGE_REMOVE, m->at[i].id);
                        return;
                }
}
