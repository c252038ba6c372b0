/* Cores that talk when a test says so: each step of a story is one line. Disks answer at once unless they are held; messages wait
 * in one queue, in order, until scene_run(); what a node that is cut off sends or should get is lost. Time stands still but for
 * scene_wait(). Tests that know exactly what should happen use this; what might happen is tests/sim. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "raft/raft.h"
#include "unit.h"

enum { SCENE_NODES = 8, SCENE_LOG = 100, SCENE_MAIL = 400, SCENE_ENTRIES = 16 };

struct scene_entry {
        int32_t term;
        uint32_t number; /* no other entry has it */
        bool names_members;
        struct raft_members members;
};

struct scene_mail {
        struct raft_message m;
        struct scene_entry entries[SCENE_ENTRIES];
};

struct scene_node {
        struct raft_id id;
        struct raft *core;
        int64_t wake_ms;
        /* the log, and how much of it is durable; entry i is at [i] */
        struct scene_entry log[SCENE_LOG];
        int64_t cut, last, durable;
        int32_t cut_term;
        uint64_t edition;
        struct raft_vote vote; /* durable */
        struct raft_vote vote_wanted;
        int64_t applied;
        bool is_cut_off, hold_vote, hold_log, hold_sending;
        /* what it was told last */
        enum raft_role role;
        int32_t term, leader;
        struct raft_members members;
        int64_t members_index;
        bool members_committed;
        int transfers_moved, transfers_aborted;
        struct raft_message offer;  /* while hold_sending */
        struct raft_id snapshot_to; /* a snapshot is wanted */
        uint64_t snapshot_offer;
        int64_t snapshot_at_least;
        bool receives; /* the last RAFT_SNAPSHOT was welcome */
        int64_t installed;
        uint32_t sent[16]; /* messages by type, since the test looked */
};

static struct {
        struct scene_node nodes[SCENE_NODES]; /* by node id; [0] is nobody */
        int count;
        int64_t now_ms;
        struct scene_mail mail[SCENE_MAIL];
        int mail_first, mail_last;
        uint32_t numbers;
        struct raft_options options;
        struct raft_members_at first; /* the members before the first entry */
} scene;

static inline struct scene_node *scene_node(int id)
{
        return &scene.nodes[id];
}

static inline struct raft_id scene_id(int id)
{
        return scene.nodes[id].id;
}

static inline int scene_step(int id, struct raft_event *ev, const struct scene_mail *from);

/* ---- before the start ---- */

/* @count nodes, all of them voters of members at index 0 when @voters says how many; @learners follow them. */
static inline void scene_init(int count, int voters)
{
        memset(&scene, 0, sizeof scene);
        scene.count = count;
        scene.now_ms = 1000;
        scene.options = (struct raft_options){
                .election_ms = 1000, .heartbeat_ms = 100, .append_entries_max = 8, .append_window = 4
        };
        for (int i = 1; i <= count; i++) {
                struct scene_node *n = scene_node(i);

                *n = (struct scene_node){
                        .id = { i, UUID_ZERO }, .leader = RAFT_NOBODY, .edition = 1, .members_index = -1
                };
                n->id.directory.b[0] = 0xd0;
                n->id.directory.b[1] = (uint8_t)i;
                n->vote.voted_for = RAFT_ID_NOBODY;
                if (i <= voters)
                        scene.first.members.at[scene.first.members.count++] = (struct raft_member){ n->id, true };
        }
}

/* A log of entries of these terms, "1 1 2"; the same index and term is the same entry in all logs. */
static inline void scene_log(int id, const char *terms)
{
        struct scene_node *n = scene_node(id);

        for (n->last = 0; *terms; terms++)
                if (*terms != ' ') {
                        n->last++;
                        n->log[n->last] = (struct scene_entry){ .term = *terms - '0' };
                        n->log[n->last].number = (uint32_t)(n->log[n->last].term * 1000 + n->last);
                }
        n->durable = n->last;
}

/* Entry @index of its log names members. */
static inline void scene_log_members(int id, int64_t index, const struct raft_members *m)
{
        scene_node(id)->log[index].names_members = true;
        scene_node(id)->log[index].members = *m;
}

static inline struct raft_members scene_voters(int count, ...)
{
        struct raft_members m = { .count = 0 };
        va_list ids;

        va_start(ids, count);
        while (count--)
                m.at[m.count++] = (struct raft_member){ scene_id(va_arg(ids, int)), true };
        va_end(ids);
        return m;
}

/* ---- life ---- */

/* From what is durable. */
static inline void scene_boot(int id)
{
        struct scene_node *n = scene_node(id);
        struct raft_run runs[SCENE_LOG];
        struct raft_members_at members[SCENE_LOG];
        struct raft_restore from = { .self = n->id,
                                     .vote = n->vote,
                                     .cut_index = n->cut,
                                     .cut_term = n->cut_term,
                                     .runs = runs,
                                     .members = members,
                                     .last_index = n->durable,
                                     .commit_index = n->cut };
        struct raft_event ev = { .type = RAFT_EV_START };

        n->last = n->durable;
        n->edition = 1;
        n->applied = n->cut;
        n->vote_wanted = n->vote;
        n->role = RAFT_FOLLOWER;
        n->leader = RAFT_NOBODY;
        if (raft_members_find(&scene.first.members, id) || n->cut)
                members[from.members_count++] = scene.first;
        for (int64_t i = n->cut + 1; i <= n->last; i++) {
                if (!from.runs_count || runs[from.runs_count - 1].term != n->log[i].term)
                        runs[from.runs_count++] = (struct raft_run){ i, n->log[i].term };
                if (n->log[i].names_members)
                        members[from.members_count++] = (struct raft_members_at){ i, n->log[i].members };
        }
        scene.options.seed = (uint64_t)id + 77;
        CU_ASSERT_EQUAL_FATAL(raft_new(&from, &scene.options, &n->core), 0);
        scene_step(id, &ev, NULL);
}

static inline void scene_crash(int id)
{
        scene_node(id)->core = raft_free(scene_node(id)->core);
}

static inline void scene_start(void)
{
        for (int i = 1; i <= scene.count; i++)
                scene_boot(i);
}

static inline void scene_end(void)
{
        for (int i = 1; i <= scene.count; i++)
                scene_crash(i);
}

/* ---- the host ---- */

static inline void scene_put(const struct scene_mail *mail)
{
        CU_ASSERT_FATAL(scene.mail_last < SCENE_MAIL * 1000);
        scene.mail[scene.mail_last++ % SCENE_MAIL] = *mail;
        CU_ASSERT_FATAL(scene.mail_last - scene.mail_first < SCENE_MAIL);
}

static inline void scene_send(int id, const struct raft_message *m)
{
        struct scene_node *n = scene_node(id);
        struct scene_mail mail = { .m = *m };

        for (int64_t i = 0; i < m->count; i++)
                mail.entries[i] = n->log[m->prev_index + 1 + i];
        n->sent[m->type]++;
        scene_put(&mail);
}

static inline void scene_do_append(struct scene_node *n, const struct raft_action *a, const struct scene_mail *from)
{
        CU_ASSERT_EQUAL_FATAL(a->append.first, n->last + 1);
        CU_ASSERT_FATAL(a->append.last < SCENE_LOG);
        for (int64_t i = a->append.first; i <= a->append.last; i++) {
                n->log[i] = (struct scene_entry){ .term = a->append.term, .number = 100000 + ++scene.numbers };
                if (a->append.source == RAFT_FROM_MESSAGE)
                        n->log[i] = from->entries[i - from->m.prev_index - 1];
                if (a->append.source == RAFT_FROM_MEMBERS) {
                        n->log[i].names_members = true;
                        n->log[i].members = *a->append.members;
                }
        }
        n->last = a->append.last;
}

static inline void scene_do(int id, const struct raft_action *a, const struct scene_mail *from)
{
        struct scene_node *n = scene_node(id);

        switch (a->type) {
        case RAFT_ACT_VOTE:
                n->vote_wanted = a->vote;
                break;
        case RAFT_ACT_TRUNCATE:
                n->last = a->truncate.from - 1;
                n->durable = MIN2(n->durable, n->last);
                n->edition = a->truncate.edition;
                break;
        case RAFT_ACT_APPEND:
                scene_do_append(n, a, from);
                break;
        case RAFT_ACT_INSTALL:
                n->installed = n->cut = n->last = a->install.index;
                n->cut_term = a->install.term;
                n->durable = 0;
                n->edition = a->install.edition;
                break;
        case RAFT_ACT_SEND:
                if (a->message.count && n->hold_sending)
                        n->offer = a->message;
                else
                        scene_send(id, &a->message);
                break;
        case RAFT_ACT_SEND_SNAPSHOT:
                n->snapshot_to = a->snapshot.to;
                n->snapshot_offer = a->snapshot.offer;
                n->snapshot_at_least = a->snapshot.at_least;
                break;
        case RAFT_ACT_RECEIVE_SNAPSHOT:
                n->receives = true;
                break;
        case RAFT_ACT_APPLY:
                CU_ASSERT(a->apply.index > n->applied && a->apply.index <= n->durable);
                n->applied = a->apply.index;
                break;
        case RAFT_ACT_ROLE:
                n->role = a->role.role;
                n->term = a->role.term;
                n->leader = a->role.leader;
                break;
        case RAFT_ACT_MEMBERS:
                n->members = *a->members.members;
                n->members_index = a->members.index;
                n->members_committed = a->members.is_committed;
                break;
        case RAFT_ACT_TRANSFER:
                n->transfers_moved += a->transfer.moved;
                n->transfers_aborted += !a->transfer.moved;
                break;
        }
}

/* What was written is durable now, as far as nothing is held. */
static inline void scene_sync(int id)
{
        struct scene_node *n = scene_node(id);

        if (!n->hold_vote &&
            (n->vote.term != n->vote_wanted.term || !raft_id_equal(n->vote.voted_for, n->vote_wanted.voted_for))) {
                struct raft_event ev = { .type = RAFT_EV_VOTE_PERSISTED, .vote = n->vote_wanted };

                n->vote = n->vote_wanted;
                scene_step(id, &ev, NULL);
        }
        if (!n->hold_log && n->durable < n->last) {
                struct raft_event ev = { .type = RAFT_EV_LOG_PERSISTED,
                                         .persisted = { .edition = n->edition, .index = n->last } };

                n->durable = n->last;
                scene_step(id, &ev, NULL);
        }
}

static inline int scene_step(int id, struct raft_event *ev, const struct scene_mail *from)
{
        struct scene_node *n = scene_node(id);
        struct raft_message offers[SCENE_NODES];
        struct raft_actions todo;
        int result, count = 0;

        ev->now_ms = scene.now_ms;
        result = raft_step(n->core, ev, &todo);
        CU_ASSERT_FATAL(result >= 0);
        n->wake_ms = todo.wake_ms;
        for (size_t i = 0; i < todo.count; i++) {
                const struct raft_action *a = &todo.at[i];

                if (a->type == RAFT_ACT_SEND && a->message.count && !n->hold_sending)
                        offers[count++] = a->message;
                scene_do(id, a, from);
        }
        for (int i = 0; i < count; i++) {
                struct raft_event sent = { .type = RAFT_EV_SENT,
                                           .sent = { .to = offers[i].to,
                                                     .offer = offers[i].offer,
                                                     .last = offers[i].prev_index + offers[i].count } };

                scene_step(id, &sent, NULL);
        }
        scene_sync(id);
        return result;
}

/* ---- what a story is made of ---- */

static inline int scene_give(int id, const struct scene_mail *mail)
{
        struct raft_members_at members[SCENE_ENTRIES];
        struct raft_event ev = { .type = RAFT_EV_MESSAGE, .message = { .message = &mail->m, .members = members } };

        for (int64_t i = 0; i < MIN2(mail->m.count, SCENE_ENTRIES); i++)
                if (mail->entries[i].names_members)
                        members[ev.message.members_count++] =
                                (struct raft_members_at){ (int64_t)((uint64_t)mail->m.prev_index + 1 + (uint64_t)i),
                                                          mail->entries[i].members };
        return scene_step(id, &ev, mail);
}

/* The next message arrives, or is lost. False: there is none. */
static inline bool scene_deliver(void)
{
        struct scene_mail mail;
        int from, to;

        if (scene.mail_first == scene.mail_last)
                return false;
        mail = scene.mail[scene.mail_first++ % SCENE_MAIL];
        from = mail.m.from.node;
        to = mail.m.to.node;
        if (scene_node(to)->core && !scene_node(from)->is_cut_off && !scene_node(to)->is_cut_off)
                CU_ASSERT(scene_give(to, &mail) != RAFT_E_MESSAGE);
        return true;
}

/* Until all is quiet. */
static inline void scene_run(void)
{
        int limit = 20000;

        while (scene_deliver())
                CU_ASSERT_FATAL(limit-- > 0);
}

static inline void scene_lose_mail(void)
{
        scene.mail_first = scene.mail_last;
}

static inline void scene_tick(int id)
{
        struct raft_event ev = { .type = RAFT_EV_TICK };

        if (scene_node(id)->core)
                scene_step(id, &ev, NULL);
}

/* Time passes; nobody notices yet. */
static inline void scene_wait(int64_t ms)
{
        scene.now_ms += ms;
}

/* Time passes in steps of a heartbeat, everybody notices, and messages arrive. */
static inline void scene_live(int64_t ms)
{
        for (; ms > 0; ms -= 50) {
                scene_wait(50);
                for (int i = 1; i <= scene.count; i++)
                        scene_tick(i);
                scene_run();
        }
}

/* This node loses patience, and everybody has forgotten the last leader. */
static inline void scene_elect(int id)
{
        scene_wait(2 * scene.options.election_ms);
        scene_tick(id);
        scene_run();
}

static inline bool scene_leads(int id)
{
        return scene_node(id)->role == RAFT_LEADER;
}

static inline int scene_propose(int id, int64_t count)
{
        struct raft_event ev = { .type = RAFT_EV_PROPOSE, .propose = { .term = scene_node(id)->term, .count = count } };

        return scene_step(id, &ev, NULL);
}

static inline int scene_change(int id, enum raft_change_type type, struct raft_id what)
{
        struct raft_event ev = { .type = RAFT_EV_CHANGE, .change = { .type = type, .id = what } };

        return scene_step(id, &ev, NULL);
}

static inline int scene_transfer(int id, int to)
{
        struct raft_event ev = { .type = RAFT_EV_TRANSFER, .transfer.to = to };

        return scene_step(id, &ev, NULL);
}

static inline struct raft_status scene_status(int id)
{
        struct raft_status s;

        raft_status(scene_node(id)->core, &s);
        return s;
}

static inline int64_t scene_committed(int id)
{
        return scene_status(id).commit_index;
}

/* The terms of its log, "1 1 2". */
static inline const char *scene_terms(int id)
{
        static char text[2 * SCENE_LOG + 1];
        const struct scene_node *n = scene_node(id);
        size_t len = 0;

        text[0] = '\0';
        for (int64_t i = n->cut + 1; i <= n->last; i++)
                len += (size_t)snprintf(text + len, sizeof text - len, "%s%d", len ? " " : "", n->log[i].term);
        return text;
}

/* Two logs hold the same entries up to @last. */
static inline bool scene_same(int a, int b, int64_t last)
{
        if (scene_node(a)->last < last || scene_node(b)->last < last)
                return false;
        for (int64_t i = MAX2(scene_node(a)->cut, scene_node(b)->cut) + 1; i <= last; i++)
                if (scene_node(a)->log[i].number != scene_node(b)->log[i].number)
                        return false;
        return true;
}
