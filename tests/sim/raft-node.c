/* The host of a core, as raft.h asks it to be: does the actions in order, reads entries when it likes, sends them in part or not,
 * makes and takes snapshots, restarts from what is on its disk. */
#include <stdlib.h>
#include <string.h>

#include "raft-world.h"

/* ---- life ---- */

static struct uuid directory_of(uint32_t slot, uint32_t number)
{
        struct uuid u = UUID_ZERO;

        u.b[0] = (uint8_t)(slot + 1);
        u.b[1] = (uint8_t)(number + 1);
        return u;
}

static void collect_counts(struct node *n)
{
        struct raft_status s;
        uint64_t *to = (uint64_t *)&core_counted;
        const uint64_t *from = (const uint64_t *)&s.counts;

        raft_status(n->core, &s);
        for (size_t i = 0; i < sizeof s.counts / sizeof *to; i++)
                to[i] += from[i];
}

void node_free(struct node *n)
{
        if (n->core)
                collect_counts(n);
        n->core = raft_free(n->core);
        while (n->ops) {
                struct op *o = n->ops;

                n->ops = o->next;
                free(o);
        }
        n->ops_end = &n->ops;
        n->ops_busy = 0;
}

void node_wipe(struct node *n)
{
        assert(!n->is_alive);
        n->id = (struct raft_id){ (int32_t)n->slot + 1, directory_of(n->slot, n->directories_made++) };
        n->vote = (struct raft_vote){ 0, RAFT_ID_NOBODY };
        n->stored = (struct state){ .index = 0 };
        n->disk.cut = n->stored;
        n->disk.last = 0;
        n->disk.at[0] = (struct entry){ .term = 0 };
}

/* What is on disk, as the core wants it. */
static int restore(struct node *n)
{
        static struct raft_run runs[INDEX_MAX + 1];
        static struct raft_members_at members[INDEX_MAX + 1];
        struct raft_restore from = {
                .self = n->id,
                .vote = n->vote,
                .cut_index = n->disk.cut.index,
                .cut_term = n->disk.cut.term,
                .runs = runs,
                .members = members,
                .last_index = n->disk.last,
                .commit_index = n->stored.index,
        };
        struct raft_options options = w.options;

        if (n->disk.cut.members)
                members[from.members_count++] =
                        (struct raft_members_at){ n->disk.cut.members_index, *n->disk.cut.members };
        for (int64_t i = n->disk.cut.index + 1; i <= n->disk.last; i++) {
                const struct entry *e = &n->disk.at[i];

                if (!from.runs_count || runs[from.runs_count - 1].term != e->term)
                        runs[from.runs_count++] = (struct raft_run){ i, e->term };
                if (e->members)
                        members[from.members_count++] = (struct raft_members_at){ i, *e->members };
        }
        options.seed = chance_u64(&w.chance);
        return raft_new(&from, &options, &n->core);
}

void node_boot(struct node *n)
{
        struct raft_event ev = { .type = RAFT_EV_START };
        struct raft_status s;

        assert(!n->is_alive);
        trace("node %u starts, log %lld..%lld, stored %lld, vote %d in %d", n->slot + 1,
              (long long)n->disk.cut.index + 1, (long long)n->disk.last, (long long)n->stored.index,
              n->vote.voted_for.node, n->vote.term);
        n->is_alive = true;
        n->life++;
        n->wake_us = 0;
        n->edition = 1;
        n->sent_count = 0;
        n->is_receiving = false;
        memset(n->sending, 0, sizeof n->sending);
        n->log.cut = n->disk.cut;
        n->log.last = n->disk.last;
        memcpy(&n->log.at[n->log.cut.index], &n->disk.at[n->log.cut.index],
               (size_t)(n->log.last - n->log.cut.index + 1) * sizeof n->log.at[0]);
        n->applied = n->stored;
        n->apply_to = n->applied.index;
        n->vote_wanted = n->vote;
        n->role = RAFT_FOLLOWER;
        n->commit_index = n->stored.index;
        n->members_index = -2;
        n->newest_members = log_members(&n->log);
        CHECK(!restore(n), "node %u cannot start", n->slot + 1);
        raft_status(n->core, &s);
        counted.restarts_in_change += s.members_index > n->stored.index;
        node_step(n, &ev);
}

void node_crash(struct node *n)
{
        assert(n->is_alive);
        disk_crash(n);
        trace("node %u crashes, log %lld..%lld, stored %lld, vote %d in %d", n->slot + 1,
              (long long)n->disk.cut.index + 1, (long long)n->disk.last, (long long)n->stored.index,
              n->vote.voted_for.node, n->vote.term);
        node_free(n);
        n->is_alive = false;
        n->life++;
}

/* The applied state is written, so that the log may be cut. */
void node_store(struct node *n)
{
        if (n->applied.index > n->stored.index)
                disk_store(n, &n->applied);
}

/* ---- the log ---- */

static void put_entry(struct node *n, int64_t index, struct entry e)
{
        uint64_t before = n->log.at[index - 1].chain;

        if (!e.chain) { /* a new one: known by what was before it, and a number */
                struct chance c = { before ^ ((uint64_t)e.term << 32) ^ (++w.values_made * 0x9e3779b97f4a7c15u) };

                e.chain = chance_u64(&c) | 1;
        }
        CHECK(index < INDEX_MAX, "the log is too long for this program");
        n->log.at[index] = e;
        check_entry(index, &e);
}

static const struct raft_members *keep_members(const struct raft_members *m, int64_t index)
{
        struct raft_members_at *copy = malloc(sizeof *copy);

        if (w.members_count == w.members_size) {
                w.members_size = w.members_size ? 2 * w.members_size : 64;
                w.members = realloc(w.members, w.members_size * sizeof *w.members);
        }
        assert(copy && w.members);
        *copy = (struct raft_members_at){ index, *m };
        w.members[w.members_count++] = copy;
        return &copy->members;
}

static void do_append(struct node *n, const struct raft_action *a, const struct packet *from)
{
        CHECK(a->append.first == n->log.last + 1, "node %u appends %lld behind %lld", n->slot + 1,
              (long long)a->append.first, (long long)n->log.last);
        CHECK(a->append.edition == n->edition, "node %u appends to another edition", n->slot + 1);
        for (int64_t i = a->append.first; i <= a->append.last; i++) {
                struct entry e = { .term = a->append.term };

                if (a->append.source == RAFT_FROM_MEMBERS)
                        e.members = keep_members(a->append.members, i);
                if (a->append.source == RAFT_FROM_MESSAGE) {
                        e = from->entries[i - from->m.prev_index - 1];
                        CHECK(e.term == a->append.term, "node %u takes an entry of term %d for one of %d", n->slot + 1,
                              e.term, a->append.term);
                }
                put_entry(n, i, e);
                if (e.members && a->append.source == RAFT_FROM_MEMBERS)
                        check_members_appended(n, i);
        }
        n->log.last = a->append.last;
        for (int64_t i = a->append.first; i <= a->append.last; i++)
                if (n->log.at[i].members)
                        n->newest_members = i;
        disk_append(n, a->append.first, a->append.last);
}

static void do_truncate(struct node *n, const struct raft_action *a)
{
        trace("node %u truncates from %lld", n->slot + 1, (long long)a->truncate.from);
        check_truncate(n, a->truncate.from);
        n->log.last = a->truncate.from - 1;
        n->newest_members = log_members(&n->log);
        n->edition = a->truncate.edition;
        disk_truncate(n, a->truncate.from);
}

static void do_install(struct node *n, const struct raft_action *a)
{
        trace("node %u installs %lld", n->slot + 1, (long long)a->install.index);
        assert(a->install.index == n->incoming.index && a->install.term == n->incoming.term);
        CHECK(n->log.last < n->incoming.index || n->log.at[n->incoming.index].chain != n->incoming.chain,
              "node %u throws away a log that has all of a snapshot up to %lld", n->slot + 1,
              (long long)n->incoming.index);
        n->log.cut = n->applied = n->incoming;
        n->newest_members = n->incoming.members_index;
        n->apply_to = n->applied.index;
        n->log.last = a->install.index;
        n->log.at[n->log.last] = (struct entry){ n->incoming.term, n->incoming.chain, NULL };
        n->edition = a->install.edition;
        disk_install(n, &n->incoming);
}

static void apply(struct node *n)
{
        for (int64_t i = n->applied.index + 1; i <= n->apply_to; i++) {
                const struct entry *e = &n->log.at[i];

                CHECK(i <= n->disk.last, "node %u applies %lld, which is not on its disk", n->slot + 1, (long long)i);
                n->applied.index = i;
                n->applied.term = e->term;
                n->applied.chain = e->chain;
                if (e->members) {
                        n->applied.members = e->members;
                        n->applied.members_index = i;
                }
        }
        check_applied(n, n->applied.index);
}

/* ---- entries out ---- */

static void report_sent(struct node *n, const struct raft_message *m, int64_t last)
{
        assert(n->sent_count < ARRAY_LEN(n->sent));
        n->sent[n->sent_count++] =
                (struct raft_event){ .type = RAFT_EV_SENT, .sent = { .to = m->to, .offer = m->offer, .last = last } };
}

static void read_entries(struct node *n, const struct raft_message *m)
{
        struct packet *p;

        if (!raft_offer_is_valid(n->core, m->to, m->term, m->offer))
                return;
        if (m->prev_index < n->log.cut.index || (!w.is_calm && chance_one_in(&w.chance, 50))) {
                counted.reads_cut += m->prev_index < n->log.cut.index;
                report_sent(n, m, m->prev_index);
                return;
        }
        p = packet_new();
        p->m = *m;
        if (chance_one_in(&w.chance, 4))
                p->m.count = 1 + chance_below(&w.chance, (uint64_t)m->count);
        p->count = (uint32_t)p->m.count;
        for (uint32_t i = 0; i < p->count; i++) {
                p->entries[i] = n->log.at[m->prev_index + 1 + i];
                CHECK(p->entries[i].term == m->entries_term, "node %u offers entries of more than one term",
                      n->slot + 1);
        }
        report_sent(n, m, m->prev_index + p->m.count);
        net_send(n, p);
}

static void do_send(struct node *n, const struct raft_message *m)
{
        struct packet *p;

        check_send(n, m);
        if (m->count && !chance_one_in(&w.chance, 3)) {
                read_entries(n, m);
                return;
        }
        p = packet_new();
        p->m = *m;
        if (m->count) /* they are not in memory */
                world_plan(chance_below(&w.chance, 4 * (uint64_t)w.delay_us), HAPPENS_ENTRIES_READ, n)->packet = p;
        else
                net_send(n, p);
}

/* ---- snapshots ---- */

static void do_send_snapshot(struct node *n, const struct raft_action *a)
{
        struct sending *s = &n->sending[a->snapshot.to.node - 1];
        struct packet *p = packet_new();

        CHECK(n->applied.index >= a->snapshot.at_least, "node %u is to send a snapshot that it does not have",
              n->slot + 1);
        *s = (struct sending){ true, a->snapshot.to, a->snapshot.offer };
        p->offer = a->snapshot.offer;
        p->m = (struct raft_message){ .from = n->id, .to = a->snapshot.to };
        world_plan(chance_below(&w.chance, 4 * (uint64_t)w.delay_us), HAPPENS_CHUNK, n)->packet = p;
        p = packet_new();
        p->offer = a->snapshot.offer;
        p->m.to = a->snapshot.to;
        world_plan(1000 * (uint64_t)w.options.election_ms * (1 + chance_below(&w.chance, 3)), HAPPENS_SNAPSHOT_TIMEOUT,
                   n)
                ->packet = p;
}

static void send_chunk(struct node *n, struct packet *p)
{
        struct raft_status s;

        raft_status(n->core, &s);
        if (!raft_offer_is_valid(n->core, p->m.to, s.term, p->offer)) {
                packet_free(p);
                return;
        }
        p->snapshot = n->applied;
        p->m.type = RAFT_SNAPSHOT;
        p->m.term = s.term;
        p->m.last_index = n->applied.index;
        p->m.last_term = n->applied.term;
        p->is_last_chunk = chance_one_in(&w.chance, 2);
        if (!p->is_last_chunk) {
                struct packet *rest = packet_new();

                memcpy(rest, p, sizeof *rest);
                world_plan(chance_below(&w.chance, 4 * (uint64_t)w.delay_us), HAPPENS_CHUNK, n)->packet = rest;
        }
        net_send(n, p);
}

static void end_sending(struct node *n, const struct packet *p, struct raft_id to, bool ok)
{
        struct sending *s = &n->sending[to.node - 1];
        struct raft_event ev = { .type = RAFT_EV_SNAPSHOT_SENT,
                                 .snapshot_sent = {
                                         .to = to, .offer = p->offer, .ok = ok, .index = p->snapshot.index } };

        if (!s->is_active || s->offer != p->offer || !raft_id_equal(s->to, to))
                return;
        s->is_active = false;
        node_step(n, &ev);
}

static void answer_snapshot(struct node *n, struct packet *p, enum packet_type type)
{
        struct raft_id to = p->m.from;

        p->type = type;
        p->m.from = n->id;
        p->m.to = to;
        net_send(n, p);
}

static void receive_chunk(struct node *n, struct packet *p)
{
        struct raft_event ev = { .type = RAFT_EV_MESSAGE, .message.message = &p->m };

        n->is_receiving = false;
        CHECK(node_step(n, &ev) != RAFT_E_MESSAGE, "node %u finds a snapshot broken", n->slot + 1);
        if (!p->is_last_chunk) {
                packet_free(p);
                return;
        }
        if (n->is_receiving)
                world_plan(chance_below(&w.chance, 8 * (uint64_t)w.delay_us), HAPPENS_SNAPSHOT_WRITTEN, n)->packet = p;
        else
                answer_snapshot(n, p, PACKET_SNAPSHOT_REFUSED);
}

static void snapshot_written(struct node *n, struct packet *p)
{
        struct raft_event ev = {
                .type = RAFT_EV_SNAPSHOT_RECEIVED,
                .snapshot = { .index = p->snapshot.index,
                              .term = p->snapshot.term,
                              .members = p->snapshot.members,
                              .members_index = p->snapshot.members_index },
        };

        n->incoming = p->snapshot;
        CHECK(!node_step(n, &ev), "node %u finds a snapshot broken that it has received", n->slot + 1);
        answer_snapshot(n, p, PACKET_SNAPSHOT_DONE);
}

/* ---- a step ---- */

static void do_action(struct node *n, const struct raft_action *a, const struct packet *from)
{
        switch (a->type) {
        case RAFT_ACT_VOTE:
                disk_write_vote(n, a->vote);
                break;
        case RAFT_ACT_TRUNCATE:
                do_truncate(n, a);
                break;
        case RAFT_ACT_APPEND:
                do_append(n, a, from);
                break;
        case RAFT_ACT_INSTALL:
                do_install(n, a);
                break;
        case RAFT_ACT_SEND:
                do_send(n, &a->message);
                break;
        case RAFT_ACT_SEND_SNAPSHOT:
                do_send_snapshot(n, a);
                break;
        case RAFT_ACT_RECEIVE_SNAPSHOT:
                n->is_receiving = true;
                break;
        case RAFT_ACT_APPLY:
                n->apply_to = a->apply.index;
                break;
        case RAFT_ACT_ROLE:
                trace("node %u: role %d, term %d, leader %d", n->slot + 1, a->role.role, a->role.term, a->role.leader);
                break;
        case RAFT_ACT_MEMBERS:
                trace("node %u: members of %lld%s: %u, voters %u", n->slot + 1, (long long)a->members.index,
                      a->members.is_committed ? ", committed" : "", a->members.members->count,
                      raft_members_voters(a->members.members));
                break;
        case RAFT_ACT_TRANSFER:
                trace("node %u: transfer %s", n->slot + 1, a->transfer.moved ? "moved" : "aborted");
                break;
        }
}

static int step_once(struct node *n, struct raft_event *ev, const struct packet *from)
{
        struct raft_actions todo;
        int result;

        ev->now_ms = node_clock_ms(n);
        result = raft_step(n->core, ev, &todo);
        CHECK(result >= 0, "no memory");
        w.steps++;
        for (size_t i = 0; i < todo.count; i++)
                do_action(n, &todo.at[i], from);
        check_step(n);
        if (n->apply_to > n->applied.index)
                apply(n);
        node_wake_at(n, todo.wake_ms);
        return result;
}

static int step_with(struct node *n, struct raft_event *ev, const struct packet *from)
{
        int result = step_once(n, ev, from);

        while (n->sent_count) {
                struct raft_event sent = n->sent[0];

                n->sent_count--;
                memmove(n->sent, n->sent + 1, n->sent_count * sizeof n->sent[0]);
                step_once(n, &sent, NULL);
        }
        return result;
}

int node_step(struct node *n, struct raft_event *ev)
{
        return step_with(n, ev, NULL);
}

static void receive(struct node *n, struct packet *p)
{
        struct raft_members_at members[ENTRIES_MAX];
        struct raft_event ev = { .type = RAFT_EV_MESSAGE, .message = { .message = &p->m, .members = members } };
        int result;

        if (p->type != PACKET_RAFT) {
                if (raft_id_equal(p->m.to, n->id))
                        end_sending(n, p, p->m.from, p->type == PACKET_SNAPSHOT_DONE);
                packet_free(p);
                return;
        }
        if (p->m.type == RAFT_SNAPSHOT) {
                receive_chunk(n, p);
                return;
        }
        for (uint32_t i = 0; i < p->count; i++)
                if (p->entries[i].members)
                        members[ev.message.members_count++] =
                                (struct raft_members_at){ p->m.prev_index + 1 + i, *p->entries[i].members };
        result = step_with(n, &ev, p);
        CHECK(result == RAFT_OK || result == RAFT_E_FOREIGN,
              "node %u finds a message broken: type %d of node %d, term %d", n->slot + 1, p->m.type, p->m.from.node,
              p->m.term);
        packet_free(p);
}

void node_handle(struct node *n, const struct happening *h)
{
        struct raft_event tick = { .type = RAFT_EV_TICK };

        switch (h->type) {
        case HAPPENS_TICK:
                if (h->at_us != n->wake_us)
                        break; /* another one has taken its place */
                n->wake_us = 0;
                if (node_clock_ms(n) >= n->wake_ms)
                        node_step(n, &tick);
                else
                        node_wake_at(n, n->wake_ms);
                break;
        case HAPPENS_PACKET:
                receive(n, h->packet);
                break;
        case HAPPENS_VOTE_WRITTEN:
                disk_vote_written(n);
                break;
        case HAPPENS_LOG_WRITTEN:
                disk_log_written(n);
                break;
        case HAPPENS_ENTRIES_READ:
                read_entries(n, &h->packet->m);
                packet_free(h->packet);
                while (n->sent_count) {
                        struct raft_event sent = n->sent[--n->sent_count];

                        node_step(n, &sent);
                }
                break;
        case HAPPENS_CHUNK:
                send_chunk(n, h->packet);
                break;
        case HAPPENS_SNAPSHOT_TIMEOUT:
                end_sending(n, h->packet, h->packet->m.to, false);
                packet_free(h->packet);
                break;
        case HAPPENS_SNAPSHOT_WRITTEN:
                snapshot_written(n, h->packet);
                break;
        default:
                assert(!"not a node's");
        }
}
