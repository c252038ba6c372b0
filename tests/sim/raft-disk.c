/* A node's disk: the vote in one file, the log in another, both written later than they are asked to be. What a crash interrupts is
 * there, or not, or the beginning of it. */
#include <stdlib.h>
#include <string.h>

#include "raft-world.h"

static uint64_t write_us(const struct node *n)
{
        if (n->is_slow && !w.is_calm)
                return chance_below(&w.chance, 4000 * (uint64_t)w.options.election_ms);
        return 100 + chance_below(&w.chance, 2 * (uint64_t)w.delay_us);
}

/* ---- the vote ---- */

static void vote_kick(struct node *n)
{
        if (n->vote_busy ||
            (n->vote_wanted.term == n->vote.term && raft_id_equal(n->vote_wanted.voted_for, n->vote.voted_for)))
                return;
        n->vote_busy = true;
        n->vote_writing = n->vote_wanted;
        world_plan(write_us(n), HAPPENS_VOTE_WRITTEN, n);
}

void disk_write_vote(struct node *n, struct raft_vote v)
{
        n->vote_wanted = v;
        vote_kick(n);
}

void disk_vote_written(struct node *n)
{
        struct raft_event ev = { .type = RAFT_EV_VOTE_PERSISTED, .vote = n->vote_writing };

        n->vote = n->vote_writing;
        n->vote_busy = false;
        vote_kick(n);
        node_step(n, &ev);
}

/* ---- the log ---- */

struct state log_state(const struct log *l, int64_t index)
{
        struct state s = l->cut;

        assert(index >= l->cut.index && index <= l->last);
        for (int64_t i = s.index + 1; i <= index; i++)
                if (l->at[i].members) {
                        s.members = l->at[i].members;
                        s.members_index = i;
                }
        s.index = index;
        s.term = l->at[index].term;
        s.chain = l->at[index].chain;
        return s;
}

int64_t log_members(const struct log *l)
{
        for (int64_t i = l->last; i > l->cut.index; i--)
                if (l->at[i].members)
                        return i;
        return l->cut.members ? l->cut.members_index : -1;
}

void log_cut(struct log *l, int64_t index)
{
        if (index > l->cut.index)
                l->cut = log_state(l, index);
}

static void log_reset(struct log *l, const struct state *s)
{
        l->cut = *s;
        l->last = s->index;
        l->at[s->index] = (struct entry){ s->term, s->chain, NULL };
}

static void log_kick(struct node *n)
{
        uint32_t count = 0;

        if (n->ops_busy || !n->ops)
                return;
        for (const struct op *o = n->ops; o && (!count || !chance_one_in(&w.chance, 8)); o = o->next)
                count++;
        n->ops_busy = count;
        world_plan(write_us(n), HAPPENS_LOG_WRITTEN, n);
}

static struct op *op_new(struct node *n, enum op_type type, int64_t count)
{
        struct op *o = malloc(sizeof *o + (size_t)count * sizeof o->entries[0]);

        assert(o);
        *o = (struct op){ .type = type, .edition = n->edition };
        *n->ops_end = o;
        n->ops_end = &o->next;
        return o;
}

void disk_append(struct node *n, int64_t first, int64_t last)
{
        struct op *o = op_new(n, OP_APPEND, last - first + 1);

        o->first = first;
        o->last = last;
        memcpy(o->entries, &n->log.at[first], (size_t)(last - first + 1) * sizeof o->entries[0]);
        log_kick(n);
}

void disk_truncate(struct node *n, int64_t from)
{
        op_new(n, OP_TRUNCATE, 0)->first = from;
        log_kick(n);
}

void disk_install(struct node *n, const struct state *s)
{
        struct op *o = op_new(n, OP_INSTALL, 0);

        o->state = *s;
        o->last = s->index;
        log_kick(n);
}

void disk_store(struct node *n, const struct state *s)
{
        op_new(n, OP_STORE, 0)->state = *s;
        log_kick(n);
}

/* @count: how many entries of an append. */
static void apply(struct node *n, const struct op *o, int64_t count)
{
        switch (o->type) {
        case OP_APPEND:
                CHECK(o->first == n->disk.last + 1, "node %u writes entry %lld behind %lld", n->slot + 1,
                      (long long)o->first, (long long)n->disk.last);
                memcpy(&n->disk.at[o->first], o->entries, (size_t)count * sizeof o->entries[0]);
                n->disk.last = o->first + count - 1;
                break;
        case OP_TRUNCATE:
                CHECK(o->first > n->disk.cut.index && o->first <= n->disk.last, "node %u truncates nothing",
                      n->slot + 1);
                n->disk.last = o->first - 1;
                break;
        case OP_INSTALL:
                n->stored = o->state;
                log_reset(&n->disk, &o->state);
                break;
        case OP_STORE:
                if (o->state.index > n->stored.index)
                        n->stored = o->state;
                break;
        }
}

static struct op *pop(struct node *n)
{
        struct op *o = n->ops;

        n->ops = o->next;
        if (!n->ops)
                n->ops_end = &n->ops;
        return o;
}

void disk_log_written(struct node *n)
{
        struct raft_event ev = { .type = RAFT_EV_LOG_PERSISTED };
        int64_t cut = 0;

        for (; n->ops_busy; n->ops_busy--) {
                struct op *o = pop(n);

                apply(n, o, o->last - o->first + 1);
                if (o->type == OP_APPEND || o->type == OP_INSTALL) {
                        ev.persisted.edition = o->edition;
                        ev.persisted.index = o->last;
                }
                if (o->type == OP_STORE)
                        cut = o->state.index;
                free(o);
        }
        log_kick(n);
        if (ev.persisted.edition)
                node_step(n, &ev);
        if (!cut)
                return;
        /* Some entries stay, for members that are a little behind. */
        cut -= chance_below(&w.chance, 40);
        if (cut > n->log.cut.index && cut > n->disk.cut.index && cut <= n->disk.last) {
                struct raft_event ev_cut = { .type = RAFT_EV_CUT, .cut.index = cut };

                counted.cuts++;
                log_cut(&n->log, cut);
                log_cut(&n->disk, cut);
                node_step(n, &ev_cut);
        }
}

void disk_crash(struct node *n)
{
        uint32_t done = chance_below(&w.chance, n->ops_busy + 1);

        if (n->vote_busy && chance_one_in(&w.chance, 2))
                n->vote = n->vote_writing;
        n->vote_busy = false;
        for (uint32_t i = 0; n->ops; i++) {
                struct op *o = pop(n);

                if (i < done) {
                        apply(n, o, o->last - o->first + 1);
                        counted.writes_kept++;
                } else if (i == done && i < n->ops_busy && o->type == OP_APPEND) {
                        apply(n, o, chance_below(&w.chance, (uint64_t)(o->last - o->first + 2)));
                        counted.writes_torn++;
                }
                free(o);
        }
        n->ops_busy = 0;
}
