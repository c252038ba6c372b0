/* Who the members are, as entries of the log name them, with their addresses; adding, removing, handing over. The core
 * decides what may be done; this file remembers what an entry said, and sees to what takes more than one step. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/clock.h"

/* ---- what entries said ---- */

static struct quorum_voters_at *newest(const struct quorum *q)
{
        return ilist_last(&q->voters, struct quorum_voters_at, link);
}

struct voters *quorum_voters(const struct quorum *q)
{
        struct quorum_voters_at *v = newest(q);

        return v ? &v->voters : NULL;
}

void quorum_voters_add(struct quorum *q, int64_t index, const struct voters *v)
{
        struct quorum_voters_at *at = malloc(sizeof *at);

        if (!at)
                quorum_die("no memory for the members of the group");
        assert(!newest(q) || newest(q)->index < index);
        *at = (struct quorum_voters_at){ .index = index, .voters = *v };
        ilist_push_back(&q->voters, &at->link);
}

void quorum_voters_drop(struct quorum *q, int64_t from)
{
        struct quorum_voters_at *v;

        while ((v = newest(q)) && v->index >= from) {
                ilist_unlink(&v->link);
                free(v);
        }
}

const struct quorum_voters_at *quorum_voters_at(const struct quorum *q, int64_t index)
{
        const struct quorum_voters_at *found = NULL;

        ilist_for_each (v, &q->voters, struct quorum_voters_at, link)
                if (v->index <= index)
                        found = v;
        return found;
}

void quorum_voters_prune(struct quorum *q, int64_t index)
{
        const struct quorum_voters_at *holds = quorum_voters_at(q, index);

        ilist_for_each (v, &q->voters, struct quorum_voters_at, link) {
                if (!holds || v == holds)
                        break;
                ilist_unlink(&v->link);
                free(v);
        }
}

int quorum_voters_payload(struct quorum *q, const struct raft_members *next, uint8_t **ret_payload, size_t *ret_len)
{
        static const struct voters none;
        const struct voters *now = quorum_voters(q);
        struct voters v;

        voters_next(now ? now : &none, next, q->adding, q->adding_address, &v);
        for (uint32_t i = 0; i < v.count; i++) {
                const struct quorum_peer *p;
                struct voters_member *m = &v.at[i];

                if (m->raft.id.node == q->cfg.node_id) {
                        if (q->cfg.advertised)
                                snprintf(m->address, sizeof m->address, "%s", q->cfg.advertised);
                } else if ((p = quorum_peer(q, m->raft.id.node)) && p->said[0]) {
                        snprintf(m->address, sizeof m->address, "%s", p->said);
                }
        }
        return voters_encode(&v, ret_payload, ret_len);
}

bool quorum_is_only_voter(const struct quorum *q)
{
        const struct voters *v = quorum_voters(q);

        for (uint32_t i = 0; v && i < v->count; i++)
                if (v->at[i].raft.is_voter && v->at[i].raft.id.node != q->cfg.node_id)
                        return false;
        return true;
}

/* ---- a leader's duties ---- */

/* Does what the log says of addresses differ from what the nodes say themselves? */
static bool must_restate(struct quorum *q)
{
        const struct quorum_voters_at *at = newest(q);

        if (!q->is_group || !at)
                return false;
        if (!at->index) /* the group's beginning is in no entry yet */
                return true;
        for (uint32_t i = 0; i < at->voters.count; i++) {
                const struct voters_member *m = &at->voters.at[i];
                const struct quorum_peer *p;
                const char *said = q->cfg.advertised;

                if (m->raft.id.node != q->cfg.node_id) {
                        p = quorum_peer(q, m->raft.id.node);
                        said = p ? p->said : NULL;
                }
                if (said && said[0] && strcmp(said, m->address))
                        return true;
        }
        return false;
}

/* An addition is done when the node is a voter, a removal when it is nothing, and the entry is committed. */
static void check_change(struct quorum *q)
{
        struct quorum_change *ch = q->change;
        struct raft_status s;
        const struct raft_member *m;

        if (!ch)
                return;
        raft_status(q->core, &s);
        m = raft_members_find(s.members, ch->id.node);
        if (!s.members_are_committed) {
        } else if (ch->is_add && m && m->is_voter) {
                quorum_change_end(q, QUORUM_OK, "");
                return;
        } else if (!ch->is_add && !m) {
                quorum_change_end(q, QUORUM_OK, "");
                return;
        }
        if (q->role != RAFT_LEADER)
                quorum_change_end(q, QUORUM_E_LOST, "another controller leads now");
        else if (loop_now_ms(q->cfg.loop) >= ch->deadline_ms)
                quorum_change_end(q, QUORUM_E_TIMEOUT,
                                  ch->is_add ? "the new voter gets the log, but has not caught up"
                                             : "the change is not committed yet");
}

void quorum_members_kick(struct quorum *q)
{
        quorum_peers_update(q);
        quorum_voters_prune(q, q->image->index);
        if (!quorum_takes_part(q))
                return;
        check_change(q);
        if (!q->active || q->state != QUORUM_RUNNING)
                return;
        if (must_restate(q)) {
                struct raft_event ev = { .type = RAFT_EV_CHANGE, .change = { .type = RAFT_CHANGE_RESTATE } };

                (void)quorum_event(q, &ev); /* another time when it cannot be now */
                return;
        }
        quorum_add_expected(q);
}

/* ---- what operators ask for ---- */

PRINTF_LIKE(3, 4)
static void end(struct quorum_change *ch, int result, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(ch->why, sizeof ch->why, fmt, ap);
        va_end(ap);
        ch->done(ch, result);
}

void quorum_change_end(struct quorum *q, int result, const char *why)
{
        struct quorum_change *ch = TAKE_PTR(q->change);

        if (ch)
                end(ch, result, "%s", why);
}

static int outcome_of(int raft_outcome)
{
        switch (raft_outcome) {
        case RAFT_OK:
                return QUORUM_OK;
        case RAFT_E_TRANSFER:
        case RAFT_E_CHANGING:
                return QUORUM_E_BUSY;
        case RAFT_E_EXISTS:
                return QUORUM_E_EXISTS;
        case RAFT_E_UNKNOWN:
                return QUORUM_E_UNKNOWN;
        case RAFT_E_LAST:
        case RAFT_E_UNSAFE:
                return QUORUM_E_UNSAFE;
        case RAFT_E_FULL:
                return QUORUM_E_FULL;
        default:
                return raft_outcome < 0 ? QUORUM_E_BUSY : QUORUM_E_NOT_LEADER;
        }
}

static const char *outcome_text(int outcome)
{
        switch (outcome) {
        case QUORUM_E_BUSY:
                return "another change is on its way; try again";
        case QUORUM_E_EXISTS:
                return "a member with this node id is there; remove it first";
        case QUORUM_E_UNKNOWN:
                return "there is no such member";
        case QUORUM_E_UNSAFE:
                return "too few of the voters that would be left are known to be there";
        case QUORUM_E_FULL:
                return "the group is as large as it can be";
        case QUORUM_E_NOT_LEADER:
                return "this node is not the active controller";
        default:
                return "";
        }
}

static void change(struct quorum *q, struct quorum_change *ch, bool is_add)
{
        struct raft_event ev = { .type = RAFT_EV_CHANGE,
                                 .change = { .type = is_add ? RAFT_CHANGE_ADD : RAFT_CHANGE_REMOVE, .id = ch->id } };
        const struct voters *v = quorum_voters(q);
        const struct voters_member *m = v ? voters_find(v, ch->id.node) : NULL;
        int r = QUORUM_E_NOT_LEADER;

        loop_assert_here(q->cfg.loop);
        ch->why[0] = 0;
        ch->is_add = is_add;
        if (!is_add && m && uuid_is_zero(ch->id.directory))
                ev.change.id.directory = m->raft.id.directory;
        if (q->state == QUORUM_RUNNING && q->active && q->is_group) {
                r = QUORUM_E_BUSY;
                if (!q->change) {
                        q->change = ch; /* it may be done before this returns */
                        ch->deadline_ms = loop_now_ms(q->cfg.loop) + MAX2(ch->timeout_ms, (int64_t)1);
                        if (is_add) {
                                q->adding = ch->id.node;
                                snprintf(q->adding_address, sizeof q->adding_address, "%s", ch->address);
                        }
                        r = outcome_of(quorum_event(q, &ev));
                        q->adding = RAFT_NOBODY;
                        if (!r)
                                return;
                        q->change = NULL;
                }
        }
        end(ch, r, "%s", outcome_text(r));
}

void quorum_add_voter(struct quorum *q, struct quorum_change *ch)
{
        change(q, ch, true);
}

void quorum_remove_voter(struct quorum *q, struct quorum_change *ch)
{
        change(q, ch, false);
}

int quorum_transfer(struct quorum *q, int32_t node)
{
        struct raft_event ev = { .type = RAFT_EV_TRANSFER, .transfer = { .to = node < 0 ? RAFT_NOBODY : node } };

        loop_assert_here(q->cfg.loop);
        if (q->state != QUORUM_RUNNING || !q->active)
                return QUORUM_E_NOT_LEADER;
        return outcome_of(quorum_event(q, &ev));
}

/* ---- description ---- */

static int64_t to_wall(const struct quorum *q, int64_t mono_ms)
{
        return mono_ms < 0 ? -1 : clock_wall_ms() - (loop_now_ms(q->cfg.loop) - mono_ms);
}

static void describe_member(struct quorum *q, const struct raft_status *s, const struct voters_member *m,
                            struct quorum_replica *ret)
{
        *ret = (struct quorum_replica){ .node = m->raft.id.node,
                                        .directory = m->raft.id.directory,
                                        .is_voter = m->raft.is_voter,
                                        .log_end = -1,
                                        .heard_ms = -1,
                                        .caught_up_ms = -1 };
        memcpy(ret->address, m->address, sizeof ret->address);
        if (ret->node == q->cfg.node_id) {
                ret->log_end = q->written_index + 1;
                ret->heard_ms = clock_wall_ms();
                ret->caught_up_ms = s->role == RAFT_LEADER ? ret->heard_ms : -1;
        }
        for (uint32_t i = 0; s->role == RAFT_LEADER && i < s->peers_count; i++) {
                if (s->peers[i].member.id.node != ret->node)
                        continue;
                ret->log_end = s->peers[i].match_index + 1;
                ret->heard_ms = to_wall(q, s->peers[i].heard_ms);
                ret->caught_up_ms = to_wall(q, s->peers[i].caught_up_ms);
        }
}

static void describe_trouble(const struct quorum *q, struct quorum_description *ret)
{
        const struct voters *v = quorum_voters(q);
        size_t len = 0;

        if (q->trouble[0])
                len = (size_t)snprintf(ret->trouble, sizeof ret->trouble, "%s", q->trouble);
        for (uint32_t i = 0; i < q->peers_count && len < sizeof ret->trouble; i++) {
                const struct quorum_peer *p = &q->peers[i];

                if (p->trouble[0] && (!v || voters_find(v, p->node) || voters_expect(v, p->node)))
                        len += (size_t)snprintf(ret->trouble + len, sizeof ret->trouble - len, "%snode %d: %s",
                                                len ? "; " : "", p->node, p->trouble);
        }
}

void quorum_describe(struct quorum *q, struct quorum_description *ret)
{
        const struct voters *v = quorum_voters(q);
        struct raft_status s = { .role = RAFT_FOLLOWER };

        loop_assert_here(q->cfg.loop);
        memset(ret, 0, sizeof *ret);
        if (q->core)
                raft_status(q->core, &s);
        ret->leader_id = q->core ? q->leader : META_NO_NODE;
        ret->term = q->term;
        ret->high_watermark = q->apply_to + 1;
        for (uint32_t i = 0; v && i < v->count; i++)
                describe_member(q, &s, &v->at[i], &ret->members[ret->members_count++]);
        for (uint32_t i = 0; v && i < v->expected_count; i++)
                ret->expected[ret->expected_count++] = v->expected[i];
        quorum_feed_describe(q, ret);
        describe_trouble(q, ret);
}
