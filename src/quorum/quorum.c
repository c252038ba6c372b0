/* See quorum.h. This file is the host of the consensus core: events go in, and what comes out is handed to the files that do
 * it: quorum_disk.c (vote and log), quorum_apply.c (image, roles), quorum_members.c, quorum_peers.c (messages),
 * quorum_snapshots.c, quorum_install.c.
 * Invariants:
 *  1. An entry is in memory from its beginning until it is applied and written; indexes run on without gaps.
 *  2. At most one disk job, one vote job and one store job run at a time (qlog.c and the store rely on it).
 *  3. The core is not stepped while its actions are done; callbacks of the owner run after that (quorum_settle()), so that
 *     they may propose. */
#include "quorum/quorum_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/process.h"

#define ELECTION_MS 1000
#define APPEND_ENTRIES_MAX 4096
#define APPEND_WINDOW 8 /* messages of QUORUM_MESSAGE_BYTES on their way to one member */

void quorum_die(const char *fmt, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        diag_about(DIAG_ERROR, DIAG_ABOUT(METADATA_FAILED),
                   "metadata: %s; ending, because what is on disk is not certain any more", text);
        process_end(70);
}

void quorum_die_io(const char *path, int error)
{
        if (error == -ENOSPC || error == -EDQUOT) {
                diag_about(DIAG_ERROR, DIAG_ABOUT(METADATA_FAILED, { "PATH", .text = str_of(path) }),
                           "metadata: %s cannot be written: %s; ending. Free space there and start again: nothing that "
                           "was "
                           "acknowledged is lost",
                           path, strerror(-error));
                process_end(70);
        }
        quorum_die("%s cannot be written: %s; check the disk", path, strerror(-error));
}

void quorum_step(struct quorum *q, const char *what)
{
        if (q->cfg.step)
                q->cfg.step(q->cfg.step_arg, what);
}

/* ---- actions ---- */

static void add_entry(struct quorum *q, struct quorum_entry *e)
{
        quorum_entries_add(&q->entries, e);
        q->pending_bytes += e->e.payload.len;
        q->last_index = e->e.index;
}

/* Entries that the core asks for by itself. */
static void append_own(struct quorum *q, const struct raft_action *a)
{
        struct qlog_entry e = { .index = a->append.first, .term = a->append.term, .type = QLOG_NOOP };
        CLEANUP(freep) uint8_t *payload = NULL;
        struct quorum_entry *n = NULL;
        struct voters v;
        size_t len = 0;

        assert(a->append.first == a->append.last);
        if (a->append.source == RAFT_FROM_MEMBERS) {
                e.type = QLOG_VOTERS;
                if (!quorum_voters_payload(q, a->append.members, &payload, &len)) {
                        e.payload = span_of(payload, len);
                        n = quorum_entry_new(&e);
                }
        } else {
                n = quorum_entry_new(&e);
        }
        if (!n || quorum_entries_reserve(&q->entries, 1))
                quorum_die("no memory for an entry of the log");
        add_entry(q, n);
        if (e.type == QLOG_VOTERS) {
                if (voters_decode(e.payload, &v))
                        quorum_die("no memory for the members of the group");
                quorum_voters_add(q, e.index, &v);
        }
}

/* Those of the message or of the proposal that is being handled. */
static void append_incoming(struct quorum *q, const struct raft_action *a)
{
        for (int64_t i = a->append.first; i <= a->append.last; i++) {
                struct quorum_entry **at = &q->incoming[i - q->incoming_first];
                struct voters v;

                assert(i >= q->incoming_first && i < q->incoming_first + (int64_t)q->incoming_count);
                (*at)->e.term = a->append.term;
                if ((*at)->e.type == QLOG_VOTERS) {
                        int r = voters_decode((*at)->e.payload, &v);

                        if (r < 0)
                                quorum_die("no memory for the members of the group");
                        assert(!r); /* it was decoded when it came */
                        quorum_voters_add(q, i, &v);
                }
                add_entry(q, TAKE_PTR(*at));
        }
}

static void do_append(struct quorum *q, const struct raft_action *a)
{
        assert(a->append.first == q->last_index + 1);
        q->edition = a->append.edition;
        if (a->append.source == RAFT_FROM_NOOP || a->append.source == RAFT_FROM_MEMBERS)
                append_own(q, a);
        else
                append_incoming(q, a);
}

static void do_truncate(struct quorum *q, const struct raft_action *a)
{
        quorum_drop_entries(q, a->truncate.from);
        q->edition = a->truncate.edition;
}

static void do_role(struct quorum *q, const struct raft_action *a)
{
        bool led = q->role == RAFT_LEADER;

        q->role_due = true;
        q->role = a->role.role;
        q->term = a->role.term;
        q->leader = a->role.leader;
        q->term_start = a->role.first_index;
        if (led && q->role != RAFT_LEADER)
                q->active = false;
}

static void act(struct quorum *q, const struct raft_action *a)
{
        switch (a->type) {
        case RAFT_ACT_VOTE:
                q->vote_wanted = a->vote;
                q->vote_due = true;
                break;
        case RAFT_ACT_TRUNCATE:
                do_truncate(q, a);
                break;
        case RAFT_ACT_APPEND:
                do_append(q, a);
                break;
        case RAFT_ACT_INSTALL:
                quorum_install(q, (struct snapshot_id){ a->install.index, a->install.term }, a->install.edition);
                break;
        case RAFT_ACT_SEND:
                quorum_send(q, &a->message);
                break;
        case RAFT_ACT_SEND_SNAPSHOT:
                quorum_snapshot_send(q, a->snapshot.to, a->snapshot.offer, a->snapshot.at_least);
                break;
        case RAFT_ACT_RECEIVE_SNAPSHOT:
                q->welcome = true;
                break;
        case RAFT_ACT_APPLY:
                q->apply_to = a->apply.index;
                break;
        case RAFT_ACT_ROLE:
                do_role(q, a);
                break;
        case RAFT_ACT_MEMBERS:
                q->members_due = true;
                break;
        case RAFT_ACT_TRANSFER:
                if (q->state == QUORUM_HANDING)
                        q->state = QUORUM_STOPPING;
                break;
        }
}

static int step_once(struct quorum *q, struct raft_event *ev)
{
        struct raft_actions todo;
        int r;

        ev->now_ms = loop_now_ms(q->cfg.loop);
        r = raft_step(q->core, ev, &todo);
        if (r < 0)
                return r;
        q->acting = true;
        for (size_t i = 0; i < todo.count; i++)
                act(q, &todo.at[i]);
        q->acting = false;
        if (todo.wake_ms == INT64_MAX)
                loop_timer_stop(&q->tick_timer);
        else
                loop_timer_start(&q->tick_timer, MAX2(todo.wake_ms - ev->now_ms, (int64_t)0));
        return r;
}

/* What cannot be dropped and tried later. */
static void step_surely(struct quorum *q, struct raft_event *ev)
{
        if (step_once(q, ev) < 0)
                quorum_die("no memory for the consensus");
}

int quorum_event(struct quorum *q, struct raft_event *ev)
{
        int r;

        assert(q->core && !q->acting);
        r = step_once(q, ev);
        if (r < 0 && ev->type != RAFT_EV_MESSAGE && ev->type != RAFT_EV_PROPOSE && ev->type != RAFT_EV_CHANGE &&
            ev->type != RAFT_EV_TRANSFER && ev->type != RAFT_EV_TICK && ev->type != RAFT_EV_UNREACHABLE)
                quorum_die("no memory for the consensus");
        while (q->sent_count) {
                struct raft_event sent = q->sent[0];

                memmove(q->sent, q->sent + 1, --q->sent_count * sizeof sent);
                step_surely(q, &sent);
        }
        quorum_vote_kick(q);
        quorum_disk_kick(q);
        quorum_settle(q);
        return r;
}

void quorum_note_sent(struct quorum *q, const struct raft_message *m, int64_t last)
{
        struct raft_event ev = { .type = RAFT_EV_SENT, .sent = { .to = m->to, .offer = m->offer, .last = last } };

        if (!q->acting) {
                quorum_event(q, &ev);
                return;
        }
        assert(q->sent_count < ARRAY_LEN(q->sent));
        q->sent[q->sent_count++] = ev;
}

static void tick_fired(struct loop_timer *t)
{
        struct quorum *q = container_of(t, struct quorum, tick_timer);

        if (!quorum_takes_part(q))
                return;
        if (quorum_event(q, &(struct raft_event){ .type = RAFT_EV_TICK }) < 0)
                loop_timer_start(t, 10); /* no memory: again soon */
}

static void retry_fired(struct loop_timer *t)
{
        struct quorum *q = container_of(t, struct quorum, retry_timer);

        if (q->state == QUORUM_FORMING)
                quorum_form(q);
        if (q->state == QUORUM_RUNNING && q->is_group && quorum_is_blank(q))
                quorum_wait_to_be_added(q);
        else if (quorum_takes_part(q) && q->is_group)
                quorum_look_for_removal(q);
        if (quorum_takes_part(q)) {
                q->members_due = q->senders_due = true;
                quorum_settle(q);
                quorum_snapshot_clean(q);
                quorum_feed_report(q);
        }
        if (q->state != QUORUM_CLOSED)
                loop_timer_start(t, QUORUM_RETRY_MS);
}

/* ---- beginning ---- */

void quorum_begin(struct quorum *q)
{
        int64_t election_ms = q->cfg.election_ms ? q->cfg.election_ms : ELECTION_MS;
        struct raft_options options = {
                .election_ms = election_ms,
                .heartbeat_ms = q->cfg.heartbeat_ms ? q->cfg.heartbeat_ms : election_ms / 5,
                .append_entries_max = APPEND_ENTRIES_MAX,
                .append_window = APPEND_WINDOW,
                .seed = random_u64(),
        };
        struct raft_members_at members[RAFT_MEMBERS_MAX];
        size_t count = 0;
        int r;

        ilist_for_each (v, &q->voters, struct quorum_voters_at, link) {
                if (count == ARRAY_LEN(members))
                        break; /* at most two are in a log that was stored in time */
                members[count].index = v->index;
                voters_members(&v->voters, &members[count++].members);
        }
        q->restore.self = (struct raft_id){ q->cfg.node_id, q->vote.directory };
        q->restore.vote = (struct raft_vote){ .term = q->vote.term,
                                              .voted_for = { q->vote.voted_for, q->vote.voted_for_directory } };
        q->restore.runs = q->runs;
        q->restore.members = members;
        q->restore.members_count = count;
        r = raft_new(&q->restore, &options, &q->core);
        if (r)
                quorum_die(r == -ENOMEM ? "no memory for the consensus" : "vote and log in %s contradict each other",
                           q->cfg.dir);
        free(TAKE_PTR(q->runs));
        q->state = QUORUM_RUNNING;
        quorum_peers_update(q);
        quorum_event(q, &(struct raft_event){ .type = RAFT_EV_START });
}

void quorum_start(struct quorum *q)
{
        loop_assert_here(q->cfg.loop);
        assert(q->state == QUORUM_CLOSED);
        assert(!q->is_group || q->hub);
        quorum_store_init(q);
        quorum_feed_init(q);
        loop_timer_init(&q->tick_timer, q->cfg.loop, tick_fired);
        loop_timer_init(&q->retry_timer, q->cfg.loop, retry_fired);
        if (q->is_group)
                loop_timer_start(&q->retry_timer, QUORUM_RETRY_MS);
        if (q->is_group && quorum_is_blank(q) && q->cfg.controllers[0].node == q->cfg.node_id) {
                q->state = QUORUM_FORMING;
                quorum_peers_update(q);
                quorum_form(q);
                return;
        }
        quorum_begin(q);
}

/* ---- what others ask ---- */

int quorum_propose(struct quorum *q, struct quorum_proposal *p, struct meta_batch *batch)
{
        struct raft_event ev = { .type = RAFT_EV_PROPOSE, .propose = { .term = p->term, .count = 1 } };
        struct qlog_entry e = {
                .index = q->last_index + 1, .term = p->term, .type = QLOG_RECORDS, .payload = meta_batch_payload(batch)
        };
        struct quorum_entry *n;
        int r;

        loop_assert_here(q->cfg.loop);
        if (q->state != QUORUM_RUNNING || !q->active || p->term != q->term)
                return QUORUM_E_NOT_LEADER;
        if (q->pending_bytes && q->pending_bytes + batch->len > QUORUM_PENDING_BYTES_MAX)
                return QUORUM_E_FULL;
        n = quorum_entries_reserve(&q->entries, 1) ? NULL : quorum_entry_new(&e);
        if (!n)
                return -ENOMEM;
        n->proposal = p;
        p->index = e.index;
        q->incoming = &n;
        q->incoming_first = e.index;
        q->incoming_count = 1;
        r = quorum_event(q, &ev);
        q->incoming = NULL;
        q->incoming_count = 0;
        if (n) { /* it was not taken */
                free(n);
                return r < 0 ? r : QUORUM_E_NOT_LEADER;
        }
        meta_batch_fini(batch);
        return 0;
}

int64_t quorum_next_index(const struct quorum *q)
{
        return q->last_index + 1;
}

struct meta_image *quorum_image(const struct quorum *q)
{
        return meta_image_ref(q->image);
}

struct quorum_role quorum_role(const struct quorum *q)
{
        int32_t leader = q->leader == q->cfg.node_id && !q->active ? META_NO_NODE : q->leader;

        return (struct quorum_role){ q->active, q->term, leader };
}

bool quorum_is_low(struct quorum *q)
{
        if (!qlog_is_low(q->log))
                return false;
        q->reserve_due = true;
        quorum_disk_kick(q);
        return true;
}

struct uuid quorum_directory(const struct quorum *q)
{
        return q->vote.directory;
}

void quorum_stats(const struct quorum *q, struct quorum_stats *ret)
{
        const struct voters *v = quorum_voters(q);

        *ret = (struct quorum_stats){
                .committed_index = q->apply_to,
                .applied_index = q->image->index,
                .stored_index = q->stored_index,
                .log_first_index = q->log_first_index,
                .log_bytes = q->log_bytes,
                .entries_written = q->entries_written,
                .groups_written = q->groups_written,
                .images_stored = q->images_stored,
                .bytes_pending = q->pending_bytes,
                .snapshot_bytes = q->snapshot_bytes,
                .observers_count = q->observers_count,
        };
        for (uint32_t i = 0; v && i < v->count; i++)
                ret->voters_count += v->at[i].raft.is_voter;
}

/* ---- stopping ---- */

/* Called whenever something ends: all entries first, then the image, then the answer. A node alone finishes what was
 * proposed; in a group what is not committed by now may be committed by others. */
void quorum_stop_continue(struct quorum *q)
{
        bool alone = !q->is_group && q->core;

        if (q->state != QUORUM_STOPPING || q->vote_busy || q->disk_busy || q->store_busy || q->install_busy || q->jobs)
                return;
        if (alone && q->image->index < q->last_index)
                return;
        if (q->stored_index < q->image->index && !q->store_full && !q->install_due) {
                quorum_store_kick(q, true);
                return;
        }
        loop_timer_stop(&q->store_timer);
        loop_timer_stop(&q->tick_timer);
        loop_timer_stop(&q->retry_timer);
        loop_timer_stop(&q->waiters_timer);
        q->active = false;
        quorum_lose_proposals(q);
        q->state = QUORUM_CLOSED;
        q->stop_done(q->stop_arg);
}

void quorum_stop(struct quorum *q, void (*done)(void *arg), void *arg)
{
        struct raft_event ev = { .type = RAFT_EV_TRANSFER, .transfer = { .to = RAFT_NOBODY } };

        loop_assert_here(q->cfg.loop);
        assert(q->state == QUORUM_FORMING || q->state == QUORUM_RUNNING);
        q->stop_done = done;
        q->stop_arg = arg;
        quorum_feed_stop(q);
        quorum_change_end(q, QUORUM_E_LOST, "this node stops");
        if (q->is_group && q->core && q->role == RAFT_LEADER && !quorum_is_only_voter(q)) {
                q->state = QUORUM_HANDING;
                /* Ends with RAFT_ACT_TRANSFER, which goes on to STOPPING; so does losing leadership. */
                if (quorum_event(q, &ev) == RAFT_OK)
                        return;
        }
        q->state = QUORUM_STOPPING;
        quorum_stop_continue(q);
}
