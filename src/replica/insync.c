/* The leader's arithmetic; see insync.h. */
#include "replica/insync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* After a refusal the question is put again later and later: what the controller minds may last (a fenced broker). */
enum { ASK_AGAIN_MS_MIN = 200, ASK_AGAIN_MS_MAX = 10000, REFUSALS_MAX = 6 };

void insync_init(struct insync *p, int32_t self)
{
        *p = (struct insync){ .self = self, .leader_epoch = -1, .partition_epoch = -1, .durable = true };
}

void insync_fini(struct insync *p)
{
        free(p->members);
        p->members = NULL;
        p->count = 0;
}

void insync_set_conf(struct insync *p, bool durable, int32_t min_insync)
{
        p->durable = durable;
        p->min_insync = min_insync;
}

static struct insync_member *find(const struct insync *p, int32_t id)
{
        for (int32_t i = 0; i < p->count; i++)
                if (p->members[i].id == id)
                        return &p->members[i];
        return NULL;
}

const struct insync_member *insync_find(const struct insync *p, int32_t id)
{
        return find(p, id);
}

static bool contains(const int32_t *ids, int32_t count, int32_t id)
{
        for (int32_t i = 0; i < count; i++)
                if (ids[i] == id)
                        return true;
        return false;
}

/* ---- the metadata ---- */

/* The members that @s names: those that are known keep what is known of them, when @keep. */
static int members_set(struct insync *p, const struct replica_state *s, bool keep, int64_t now_ms)
{
        struct insync_member *members = calloc((size_t)s->replicas_count, sizeof *members);
        int32_t isr_count = 0;

        if (!members)
                return -ENOMEM;
        assert(s->replicas_count > 0 && s->replicas_count <= INSYNC_REPLICAS_MAX);
        for (int32_t i = 0; i < s->replicas_count; i++) {
                const struct insync_member *known = keep ? find(p, s->replicas[i]) : NULL;

                members[i] = known ? *known
                                   : (struct insync_member){
                                             .id = s->replicas[i],
                                             .broker_epoch = -1,
                                             .end_offset = -1,
                                             .durable_end = -1,
                                             .start_offset = -1,
                                             /* It has so long to come: nobody can have caught up with a new leader. */
                                             .caught_up_ms = now_ms,
                                             .mark_end = INT64_MAX,
                                     };
                members[i].in_isr = contains(s->isr, s->isr_count, members[i].id);
                if (known && known->in_isr && !members[i].in_isr)
                        members[i].alive = false; /* it may be gone: what is known of it does not bring it back */
                members[i].asked = false;
                isr_count += members[i].in_isr;
        }
        free(p->members);
        p->members = members;
        p->count = s->replicas_count;
        p->isr_count = isr_count;
        p->partition_epoch = s->partition_epoch;
        p->asking = INSYNC_NOTHING; /* a question stands on the partition epoch before, and is refused if it comes */
        p->refusals = 0;
        p->ask_at_ms = 0;
        return 0;
}

int insync_lead(struct insync *p, const struct replica_state *s, int64_t end_offset, int64_t now_ms)
{
        int r;

        assert(s->leader == p->self && s->leader_epoch > p->leader_epoch);
        r = members_set(p, s, false, now_ms);
        if (r)
                return r;
        p->leader_epoch = s->leader_epoch;
        p->epoch_start = end_offset;
        return 0;
}

int insync_change(struct insync *p, const struct replica_state *s, int64_t now_ms)
{
        assert(s->leader_epoch == p->leader_epoch);
        if (s->partition_epoch <= p->partition_epoch)
                return 0;
        return members_set(p, s, true, now_ms);
}

/* ---- what the replicas hold ---- */

/* The leader's log grows: who had all of it until now was caught up until now. */
static void note_growth(struct insync *p, int64_t before, int64_t now_ms)
{
        for (int32_t i = 0; i < p->count; i++) {
                struct insync_member *m = &p->members[i];

                if (m->id == p->self || insync_replicated_end(p, m) < before)
                        continue;
                m->caught_up_ms = MAX2(m->caught_up_ms, now_ms);
                m->mark_end = before + 1; /* having anything more means: caught up after now */
                m->mark_ms = now_ms;
        }
}

void insync_self(struct insync *p, int64_t end_offset, int64_t durable_end, int64_t now_ms)
{
        struct insync_member *self = find(p, p->self);

        if (!self)
                return;
        if (p->count > 1 && end_offset > self->end_offset)
                note_growth(p, self->end_offset, now_ms);
        self->end_offset = end_offset;
        self->durable_end = durable_end;
        self->caught_up_ms = now_ms;
}

/* Is the follower as far as the leader, or was it at a time that we remember? */
static void note_caught_up(struct insync *p, struct insync_member *m, int64_t now_ms)
{
        int64_t end = insync_replicated_end(p, m), leader_end = find(p, p->self)->end_offset;

        if (end >= leader_end)
                m->caught_up_ms = MAX2(m->caught_up_ms, now_ms);
        else if (end >= m->mark_end)
                m->caught_up_ms = MAX2(m->caught_up_ms, m->mark_ms);
        else if (m->mark_end != INT64_MAX)
                return; /* the mark stays until it is reached */
        m->mark_end = leader_end;
        m->mark_ms = now_ms;
}

bool insync_fetched(struct insync *p, int32_t id, int64_t broker_epoch, int64_t end_offset, int64_t durable_end,
                    int64_t now_ms)
{
        struct insync_member *m = find(p, id);

        if (!m || id == p->self || broker_epoch < m->broker_epoch)
                return false;
        m->broker_epoch = broker_epoch;
        m->end_offset = end_offset;
        m->durable_end = MIN2(durable_end, end_offset);
        m->failed = false;
        if (!m->alive && !m->in_isr && p->asking == INSYNC_NOTHING)
                p->ask_at_ms = 0; /* what was refused was not about it */
        m->alive = true;
        note_caught_up(p, m, now_ms);
        return true;
}

/* Is it one of the maximal ISR? The leader is whatever the ISR says: it is never without itself while it leads. */
static bool counts(const struct insync *p, const struct insync_member *m)
{
        return m->in_isr || m->asked || m->id == p->self;
}

void insync_begins(struct insync *p, int32_t id, int64_t start_offset)
{
        struct insync_member *m = find(p, id);

        if (m)
                m->start_offset = start_offset;
}

void insync_damaged(struct insync *p, int32_t id, bool damaged)
{
        struct insync_member *m = find(p, id);

        if (m)
                m->damaged = damaged;
}

bool insync_has_sound(const struct insync *p)
{
        for (int32_t i = 0; i < p->count; i++) {
                const struct insync_member *m = &p->members[i];

                if (m->in_isr && m->id != p->self && !m->damaged && !m->failed)
                        return true;
        }
        return false;
}

int64_t insync_low_start(const struct insync *p)
{
        int64_t start_offset = INT64_MAX;

        /* Fewer than that: who left is remembered as one that has everything (ELR, KIP-966). */
        if (!insync_has_min_isr(p))
                return -1;
        for (int32_t i = 0; i < p->count; i++) {
                const struct insync_member *m = &p->members[i];

                if (counts(p, m))
                        start_offset = MIN2(start_offset, m->start_offset);
        }
        return start_offset == INT64_MAX ? -1 : start_offset;
}

bool insync_failed(struct insync *p, int32_t id, int64_t broker_epoch)
{
        struct insync_member *m = find(p, id);

        if (!m || id == p->self || broker_epoch < m->broker_epoch)
                return false;
        m->failed = true;
        return true;
}

/* ---- the high watermark ---- */

int32_t insync_min_isr(const struct insync *p)
{
        return MAX2(MIN2(p->min_insync, p->count), 1);
}

bool insync_has_min_isr(const struct insync *p)
{
        return p->isr_count >= insync_min_isr(p);
}

bool insync_advance(struct insync *p)
{
        int64_t end = INT64_MAX;

        if (!insync_has_min_isr(p))
                return false;
        for (int32_t i = 0; i < p->count; i++) {
                const struct insync_member *m = &p->members[i];

                if (counts(p, m))
                        end = MIN2(end, insync_replicated_end(p, m));
        }
        if (end == INT64_MAX || end <= p->high_watermark)
                return false;
        p->high_watermark = end;
        return true;
}

/* ---- the ISR ---- */

/* Damaged ones leave as long as there are enough without them. */
static bool is_spared(const struct insync *p, const struct insync_member *m)
{
        int32_t spare = p->isr_count - insync_min_isr(p);

        for (int32_t i = 0; i < p->count && &p->members[i] != m; i++)
                spare -= p->members[i].in_isr && p->members[i].damaged && p->members[i].id != p->self;
        return spare > 0;
}

static bool must_leave(const struct insync *p, const struct insync_member *m, int64_t leader_end, int64_t now_ms,
                       int64_t lag_max_ms)
{
        if (!m->in_isr || m->id == p->self)
                return false;
        return m->failed || (m->damaged && is_spared(p, m)) ||
               (insync_replicated_end(p, m) < leader_end && now_ms - m->caught_up_ms > lag_max_ms);
}

/* Who joins must have all that may have been acknowledged, in this leader's epoch: the watermark may still be the one
 * of a leader before, which is why the epoch's start counts, too (KAFKA-7128). And nothing that may have been told to be deleted. */
static bool may_join(const struct insync *p, const struct insync_member *m)
{
        return !m->in_isr && !m->failed && (!m->damaged || !insync_has_min_isr(p)) && m->alive &&
               m->start_offset >= find(p, p->self)->start_offset &&
               insync_replicated_end(p, m) >= MAX2(p->high_watermark, p->epoch_start);
}

/* All who may join are asked for together. When that was refused, and nobody says for whose sake, one by one: one that is
 * fenced and does not speak any more must not keep the others out. */
static bool joins_now(const struct insync *p, const struct insync_member *m)
{
        uint32_t candidates = 0, place = 0;

        if (!may_join(p, m))
                return false;
        for (int32_t i = 0; i < p->count; i++) {
                if (&p->members[i] == m)
                        place = candidates;
                candidates += may_join(p, &p->members[i]);
        }
        assert(candidates > 0); /* it is one itself */
        return !p->refusals || place == p->turn % candidates;
}

static void ask_fill(struct insync *p, struct insync_ask *ret)
{
        ret->leader_epoch = p->leader_epoch;
        ret->partition_epoch = p->partition_epoch;
        ret->isr_count = 0;
        for (int32_t i = 0; i < p->count; i++) {
                if (!p->members[i].asked)
                        continue;
                ret->isr[ret->isr_count] = p->members[i].id;
                ret->broker_epochs[ret->isr_count++] = p->members[i].id == p->self ? -1 : p->members[i].broker_epoch;
        }
        p->asking = INSYNC_ASKED;
}

bool insync_ask(struct insync *p, int64_t now_ms, int64_t lag_max_ms, struct insync_ask *ret_ask)
{
        const struct insync_member *self = find(p, p->self);
        bool leaves = false, joins = false;

        if (!self || p->count == 1 || p->asking == INSYNC_ASKED || now_ms < p->ask_at_ms)
                return false;
        if (p->asking == INSYNC_UNKNOWN) {
                ask_fill(p, ret_ask);
                return true;
        }
        for (int32_t i = 0; i < p->count; i++)
                leaves |= must_leave(p, &p->members[i], self->end_offset, now_ms, lag_max_ms);
        /* One thing at a time: a refusal of those who join must not keep those who lag. */
        for (int32_t i = 0; i < p->count; i++) {
                struct insync_member *m = &p->members[i];

                if (leaves)
                        m->asked = m->id == p->self ||
                                   (m->in_isr && !must_leave(p, m, self->end_offset, now_ms, lag_max_ms));
                else if (joins_now(p, m))
                        m->asked = joins = true;
                else
                        m->asked = m->in_isr || m->id == p->self;
        }
        if (leaves || joins) {
                ask_fill(p, ret_ask);
                return true;
        }
        for (int32_t i = 0; i < p->count; i++)
                p->members[i].asked = false;
        return false;
}

void insync_answered(struct insync *p, const struct insync_ask *ask, enum insync_outcome outcome, int64_t now_ms)
{
        if (p->asking != INSYNC_ASKED || ask->leader_epoch != p->leader_epoch ||
            ask->partition_epoch != p->partition_epoch)
                return; /* the metadata was quicker */
        p->refusals = outcome == INSYNC_OK ? 0 : MIN2(p->refusals + 1, (int32_t)REFUSALS_MAX);
        p->ask_at_ms = p->refusals ? now_ms + MIN2(ASK_AGAIN_MS_MIN << (p->refusals - 1), (int)ASK_AGAIN_MS_MAX) : 0;
        switch (outcome) {
        case INSYNC_E_UNKNOWN:
                p->asking = INSYNC_UNKNOWN;
                break;
        case INSYNC_E_INELIGIBLE: /* it did not come into force, and never will */
                p->asking = INSYNC_NOTHING;
                p->turn++;
                for (int32_t i = 0; i < p->count; i++)
                        p->members[i].asked = false;
                break;
        case INSYNC_OK:
        case INSYNC_E_STALE:
                /* The metadata that says so is on its way; until then all that was asked for may be in force. */
                break;
        }
}
