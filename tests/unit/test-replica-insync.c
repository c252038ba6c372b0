/* Goal: the high watermark and the ISR follow KIP-497 and KIP-966, and nothing below a high watermark is ever missing on
 * a replica that may be elected. Method: cases by hand; then a seeded cluster of logs, messages that come late or never,
 * crashes that lose what was not flushed, and a controller that elects from ISR and ELR, with every rule checked at
 * every step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/insync.h"
#include "unit.h"

enum { LAG_MS = 1000 };

static const int32_t three[] = { 1, 2, 3 };

static struct replica_state state_of(int32_t epoch, int32_t partition_epoch, const int32_t *isr, int32_t isr_count)
{
        return (struct replica_state){ .leader = 1,
                                       .leader_epoch = epoch,
                                       .partition_epoch = partition_epoch,
                                       .replicas = three,
                                       .replicas_count = 3,
                                       .isr = isr,
                                       .isr_count = isr_count };
}

/* Node 1 leads with @isr_count of the three in sync, from an end of 10. */
static void lead(struct insync *p, int32_t isr_count, int32_t min_insync)
{
        struct replica_state s = state_of(5, 7, three, isr_count);

        insync_init(p, 1);
        insync_set_conf(p, true, min_insync);
        CU_ASSERT_EQUAL_FATAL(insync_lead(p, &s, 10, 0), 0);
        insync_self(p, 10, 10, 0);
}

static void test_watermark(void)
{
        struct insync p;

        lead(&p, 3, 1);
        CU_ASSERT(!insync_advance(&p)); /* nothing is known of the others */
        insync_self(&p, 20, 15, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 18, 12, 1));
        CU_ASSERT(!insync_advance(&p));
        CU_ASSERT(insync_fetched(&p, 3, 100, 14, 11, 1));
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 11); /* the least durable end */
        CU_ASSERT(insync_fetched(&p, 3, 100, 20, 20, 2));
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 12);
        CU_ASSERT(insync_fetched(&p, 2, 100, 19, 9, 2)); /* says less than before: believed, and no way back */
        CU_ASSERT(!insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 12);
        insync_set_conf(&p, false, 1); /* relaxed: the log's end counts */
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 19);
        /* A durable end past the log's own is nonsense and counts for no more than that. */
        insync_set_conf(&p, true, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 20, 999, 2));
        CU_ASSERT_EQUAL(insync_find(&p, 2)->durable_end, 20);
        insync_fini(&p);
}

static void test_min_isr(void)
{
        struct insync p;

        lead(&p, 1, 2); /* alone in the ISR, two are wanted */
        insync_self(&p, 20, 20, 1);
        CU_ASSERT(!insync_has_min_isr(&p));
        CU_ASSERT(!insync_advance(&p));
        insync_set_conf(&p, true, 1);
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 20);
        insync_set_conf(&p, true, 9); /* never more than there are replicas */
        CU_ASSERT_EQUAL(insync_min_isr(&p), 3);
        insync_fini(&p);
}

static void test_expand(void)
{
        static const int32_t both[] = { 1, 2 };
        struct replica_state s = state_of(5, 8, both, 2);
        struct insync_ask ask;
        struct insync p;

        lead(&p, 1, 1);
        insync_self(&p, 20, 20, 1);
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT(!insync_ask(&p, 1, LAG_MS, &ask));
        CU_ASSERT(insync_fetched(&p, 2, 100, 20, 19, 1)); /* has it, but not durably */
        CU_ASSERT(!insync_ask(&p, 1, LAG_MS, &ask));
        CU_ASSERT(insync_fetched(&p, 2, 100, 20, 20, 1));
        CU_ASSERT_FATAL(insync_ask(&p, 1, LAG_MS, &ask));
        CU_ASSERT(ask.leader_epoch == 5 && ask.partition_epoch == 7 && ask.isr_count == 2);
        CU_ASSERT(ask.isr[0] == 1 && ask.isr[1] == 2 && ask.broker_epochs[1] == 100);
        CU_ASSERT(!insync_ask(&p, 1, LAG_MS, &ask)); /* one question at a time */
        /* It counts from the question on. */
        insync_self(&p, 30, 30, 2);
        CU_ASSERT(!insync_advance(&p));
        CU_ASSERT(insync_fetched(&p, 2, 100, 25, 25, 2));
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 25);
        /* No answer: it still counts, and the same is asked again. */
        insync_answered(&p, &ask, INSYNC_E_UNKNOWN, 3);
        insync_self(&p, 40, 40, 3);
        CU_ASSERT(!insync_advance(&p));
        CU_ASSERT(!insync_ask(&p, 4, LAG_MS, &ask));
        CU_ASSERT(insync_failed(&p, 2, 100)); /* no matter: first it must be known what became of the question */
        CU_ASSERT_FATAL(insync_ask(&p, 1000, LAG_MS, &ask));
        CU_ASSERT(ask.isr_count == 2 && ask.partition_epoch == 7);
        CU_ASSERT_EQUAL(insync_change(&p, &s, 1000), 0);
        CU_ASSERT_EQUAL(p.isr_count, 2);
        insync_answered(&p, &ask, INSYNC_E_INELIGIBLE, 1000); /* comes too late to matter */
        CU_ASSERT(!insync_advance(&p));
        CU_ASSERT(insync_fetched(&p, 2, 100, 40, 40, 1001));
        CU_ASSERT(insync_advance(&p));
        insync_fini(&p);
}

static void test_refused(void)
{
        struct insync_ask ask;
        struct insync p;

        lead(&p, 1, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1));
        CU_ASSERT_FATAL(insync_ask(&p, 1, LAG_MS, &ask));
        insync_answered(&p, &ask, INSYNC_E_INELIGIBLE, 1);
        insync_self(&p, 20, 20, 2);
        CU_ASSERT(insync_advance(&p)); /* it counts no more */
        CU_ASSERT_EQUAL(p.high_watermark, 20);
        CU_ASSERT(insync_fetched(&p, 2, 100, 20, 20, 2));
        CU_ASSERT(!insync_ask(&p, 2, LAG_MS, &ask)); /* not at once */
        CU_ASSERT(insync_ask(&p, 1000, LAG_MS, &ask));
        insync_fini(&p);
}

/* The old leader's watermark is not the measure alone: what it may have acknowledged lies below the epoch's start. */
static void test_epoch_start(void)
{
        struct insync_ask ask;
        struct insync p;

        lead(&p, 1, 1); /* the watermark is still 0 */
        CU_ASSERT(insync_fetched(&p, 2, 100, 9, 9, 1));
        CU_ASSERT(!insync_ask(&p, 1, LAG_MS, &ask));
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1));
        CU_ASSERT(insync_ask(&p, 1, LAG_MS, &ask));
        insync_fini(&p);
}

static void test_shrink(void)
{
        static const int32_t both[] = { 1, 3 };
        struct replica_state s = state_of(5, 8, both, 2);
        struct insync_ask ask;
        struct insync p;

        lead(&p, 3, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1));
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 1));
        CU_ASSERT(!insync_ask(&p, 1000000, LAG_MS, &ask)); /* idle: nobody lags */
        insync_self(&p, 20, 20, 1000000);
        CU_ASSERT(!insync_ask(&p, 1000000 + LAG_MS, LAG_MS, &ask)); /* had all until then */
        CU_ASSERT(insync_fetched(&p, 3, 100, 15, 15, 1000500));     /* not all, but what there was at its mark */
        CU_ASSERT_FATAL(insync_ask(&p, 1000001 + LAG_MS, LAG_MS, &ask) == true);
        CU_ASSERT(ask.isr_count == 1 || ask.isr_count == 2);
        CU_ASSERT(ask.isr[0] == 1);
        /* Until it is in force the watermark waits for the one that lags. */
        CU_ASSERT(!insync_advance(&p) || p.high_watermark == 10);
        CU_ASSERT_EQUAL(insync_change(&p, &s, 1000001 + LAG_MS), 0);
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 15);
        /* Who left comes back when it fetches, not because of what it had. */
        CU_ASSERT(insync_fetched(&p, 2, 100, 20, 20, 1000001 + LAG_MS));
        CU_ASSERT(insync_fetched(&p, 3, 100, 20, 20, 1000001 + LAG_MS));
        s.partition_epoch = 9;
        CU_ASSERT_FATAL(insync_ask(&p, 1000001 + LAG_MS, LAG_MS, &ask));
        CU_ASSERT(ask.isr_count == 3);
        s.isr = three;
        s.isr_count = 3;
        CU_ASSERT_EQUAL(insync_change(&p, &s, 1000001 + LAG_MS), 0);
        s.partition_epoch = 10;
        s.isr_count = 1;
        CU_ASSERT_EQUAL(insync_change(&p, &s, 1000001 + LAG_MS), 0);
        CU_ASSERT(!insync_ask(&p, 1000001 + LAG_MS, LAG_MS, &ask));
        insync_fini(&p);
}

/* Under steady load nobody is ever at the leader's end; who keeps up stays, who falls behind leaves. */
static void test_steady_load(void)
{
        struct insync_ask ask;
        struct insync p;
        int64_t end = 10, slow = 10;

        lead(&p, 3, 1);
        for (int64_t now = 0; now < 10 * LAG_MS; now += 10) {
                end += 10;
                insync_self(&p, end, end, now);
                CU_ASSERT(insync_fetched(&p, 2, 100, end - 5, end - 5, now + 5));
                slow += 5; /* half as fast */
                CU_ASSERT(insync_fetched(&p, 3, 100, slow, slow, now + 5));
                if (insync_ask(&p, now + 5, LAG_MS, &ask)) {
                        CU_ASSERT_EQUAL(ask.isr_count, 2);
                        CU_ASSERT(ask.isr[1] == 2);
                        CU_ASSERT(now > LAG_MS && now < 3 * LAG_MS);
                        insync_fini(&p);
                        return;
                }
        }
        CU_FAIL("the slow one stayed");
        insync_fini(&p);
}

static void test_failed_and_old_messages(void)
{
        struct insync_ask ask;
        struct insync p;

        lead(&p, 3, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1));
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 1));
        CU_ASSERT(!insync_fetched(&p, 2, 99, 500, 500, 1)); /* from before its restart */
        CU_ASSERT(!insync_fetched(&p, 4, 100, 10, 10, 1));  /* no replica */
        CU_ASSERT(!insync_fetched(&p, 1, 100, 10, 10, 1));  /* ourselves */
        CU_ASSERT(!insync_failed(&p, 2, 99));
        CU_ASSERT(!insync_ask(&p, 1, LAG_MS, &ask));
        CU_ASSERT(insync_failed(&p, 2, 100));
        CU_ASSERT_FATAL(insync_ask(&p, 1, LAG_MS, &ask));
        CU_ASSERT(ask.isr_count == 2 && ask.isr[0] == 1 && ask.isr[1] == 3);
        insync_fini(&p);
}

/* ---- a cluster ---- */

enum { NODES = 4, LOG_MAX = 4000, MAIL_MAX = 16, STEPS = 8000 };

enum mail_kind { MAIL_NONE, MAIL_FETCH, MAIL_ANSWER, MAIL_ASK, MAIL_ASK_ANSWER };

struct letter {
        enum mail_kind kind;
        int from, to;
        int32_t leader_epoch;
        int64_t broker_epoch, offset, durable_end;
        uint32_t fetch; /* number of the fetch: of several under way only the last is listened to */
        int32_t last_epoch;
        /* answer */
        bool diverged;
        int64_t end_offset, high_watermark;
        int32_t epoch, count;
        struct record {
                int32_t epoch;
                uint32_t value;
        } records[8];
        struct insync_ask ask;
        enum insync_outcome outcome;
};

struct peer {
        bool up;
        int64_t broker_epoch;
        struct record log[LOG_MAX];
        int64_t end, durable_end, high_watermark;
        int32_t leader, leader_epoch, partition_epoch; /* as it knows them */
        uint32_t fetches;
        struct insync insync;
};

struct world {
        uint64_t chance;
        struct peer peers[NODES];
        struct letter mail[MAIL_MAX];
        int32_t replicas[NODES];
        /* the controller's */
        int32_t leader, leader_epoch, partition_epoch, min_insync;
        bool in_isr[NODES], in_elr[NODES];
        int64_t now;
        /* the truth */
        struct record committed[LOG_MAX];
        int64_t committed_end;
        uint32_t values;
        unsigned elections, commits, divergences;
        bool broken;
};

static uint32_t chance(struct world *w, uint32_t n)
{
        w->chance = w->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(w->chance >> 33) % n;
}

static struct letter *mail_new(struct world *w)
{
        for (int i = 0; i < MAIL_MAX; i++)
                if (!w->mail[i].kind)
                        return &w->mail[i];
        return NULL;
}

static int isr_size(const struct world *w)
{
        int n = 0;

        for (int i = 0; i < NODES; i++)
                n += w->in_isr[i];
        return n;
}

static void broken(struct world *w, const char *what)
{
        if (!w->broken)
                fprintf(stderr, "    %s\n", what);
        w->broken = true;
}

/* Everything below the highest watermark that ever was is durable on whoever may be elected. */
static void check(struct world *w)
{
        for (int i = 0; i < NODES; i++) {
                const struct peer *n = &w->peers[i];

                if (!w->in_isr[i] && !w->in_elr[i])
                        continue;
                if (n->durable_end < w->committed_end)
                        broken(w, "a replica that may be elected lacks acknowledged records");
                else if (memcmp(n->log, w->committed, (size_t)w->committed_end * sizeof *n->log))
                        broken(w, "a replica that may be elected has other records than were acknowledged");
        }
}

static void note_watermark(struct world *w, struct peer *n)
{
        int64_t hw = n->insync.high_watermark;

        if (hw > n->end)
                broken(w, "a watermark above the log");
        if (memcmp(n->log, w->committed, (size_t)(hw < w->committed_end ? hw : w->committed_end) * sizeof *n->log))
                broken(w, "a watermark over other records");
        n->high_watermark = hw;
        if (hw <= w->committed_end)
                return;
        memcpy(w->committed, n->log, (size_t)hw * sizeof *n->log);
        w->committed_end = hw;
        w->commits++;
}

static bool leads(const struct peer *n, int id)
{
        return n->up && n->leader == id;
}

static void self(struct world *w, struct peer *n)
{
        insync_self(&n->insync, n->end, n->durable_end, w->now);
        if (insync_advance(&n->insync))
                note_watermark(w, n);
}

/* ---- the controller ---- */

static void elect(struct world *w)
{
        int candidates[NODES], count = 0;

        if (w->leader >= 0 && w->peers[w->leader].up && w->in_isr[w->leader])
                return;
        for (int i = 0; i < NODES; i++)
                if (w->in_isr[i] && w->peers[i].up)
                        candidates[count++] = i;
        for (int i = 0; !count && i < NODES; i++)
                if (w->in_elr[i] && w->peers[i].up)
                        candidates[count++] = i;
        w->leader = count ? candidates[chance(w, (uint32_t)count)] : -1;
        w->leader_epoch++;
        w->partition_epoch++;
        if (w->leader < 0)
                return;
        w->elections++;
        if (!w->in_isr[w->leader]) { /* from the ELR: it is all that is in sync */
                w->in_isr[w->leader] = true;
                w->in_elr[w->leader] = false;
        }
}

static void set_isr(struct world *w, const bool isr[NODES])
{
        int size = 0;

        for (int i = 0; i < NODES; i++)
                size += isr[i];
        for (int i = 0; i < NODES; i++) {
                if (size >= w->min_insync)
                        w->in_elr[i] = false;
                else
                        w->in_elr[i] = (w->in_elr[i] || w->in_isr[i]) && !isr[i];
                w->in_isr[i] = isr[i];
        }
        w->partition_epoch++;
}

static enum insync_outcome decide(struct world *w, const struct letter *m)
{
        bool isr[NODES] = { 0 };

        if (m->ask.leader_epoch != w->leader_epoch || m->ask.partition_epoch != w->partition_epoch)
                return INSYNC_E_STALE;
        for (int32_t i = 0; i < m->ask.isr_count; i++) {
                int id = m->ask.isr[i];

                if (!w->peers[id].up ||
                    (m->ask.broker_epochs[i] >= 0 && m->ask.broker_epochs[i] != w->peers[id].broker_epoch))
                        return INSYNC_E_INELIGIBLE;
                isr[id] = true;
        }
        set_isr(w, isr);
        return INSYNC_OK;
}

/* ---- nodes ---- */

static void see_metadata(struct world *w, int id)
{
        struct peer *n = &w->peers[id];
        int32_t isr[NODES], isr_count = 0;
        struct replica_state s = { .leader = w->leader,
                                   .leader_epoch = w->leader_epoch,
                                   .partition_epoch = w->partition_epoch,
                                   .replicas = w->replicas,
                                   .replicas_count = NODES,
                                   .isr = isr };

        if (!n->up || n->partition_epoch == w->partition_epoch)
                return;
        for (int i = 0; i < NODES; i++)
                if (w->in_isr[i])
                        isr[isr_count++] = i;
        s.isr_count = isr_count;
        if (w->leader == id) {
                if (w->leader_epoch > n->insync.leader_epoch) {
                        n->insync.high_watermark = n->high_watermark;
                        CU_ASSERT_EQUAL_FATAL(insync_lead(&n->insync, &s, n->end, w->now), 0);
                } else {
                        CU_ASSERT_EQUAL_FATAL(insync_change(&n->insync, &s, w->now), 0);
                }
        }
        n->leader = w->leader;
        n->leader_epoch = w->leader_epoch;
        n->partition_epoch = w->partition_epoch;
        if (w->leader == id)
                self(w, n);
}

static void append(struct world *w, int id)
{
        struct peer *n = &w->peers[id];

        if (!leads(n, id))
                return;
        for (uint32_t k = 1 + chance(w, 4); k && n->end < LOG_MAX; k--)
                n->log[n->end++] = (struct record){ n->leader_epoch, ++w->values };
        self(w, n);
}

static void flush(struct world *w, int id)
{
        struct peer *n = &w->peers[id];

        if (!n->up)
                return;
        n->durable_end = n->end;
        if (leads(n, id))
                self(w, n);
}

static void fetch(struct world *w, int id)
{
        struct peer *n = &w->peers[id];
        struct letter *m = mail_new(w);

        if (!m || !n->up || n->leader < 0 || n->leader == id)
                return;
        *m = (struct letter){ .kind = MAIL_FETCH,
                              .from = id,
                              .to = n->leader,
                              .leader_epoch = n->leader_epoch,
                              .broker_epoch = n->broker_epoch,
                              .offset = n->end,
                              .fetch = ++n->fetches,
                              .durable_end = n->durable_end,
                              .last_epoch = n->end ? n->log[n->end - 1].epoch : -1 };
}

/* The largest epoch <= @epoch in a log, and where it ends. */
static int64_t epoch_end(const struct peer *n, int32_t epoch, int32_t *ret_epoch)
{
        int64_t end = n->end;

        while (end && n->log[end - 1].epoch > epoch)
                end--;
        *ret_epoch = end ? n->log[end - 1].epoch : -1;
        return end;
}

static void serve(struct world *w, const struct letter *m)
{
        struct peer *n = &w->peers[m->to];
        struct letter *a = mail_new(w);
        int32_t epoch;
        int64_t end;

        if (!a || !leads(n, m->to) || n->leader_epoch != m->leader_epoch)
                return;
        *a = (struct letter){ .kind = MAIL_ANSWER,
                              .from = m->to,
                              .to = m->from,
                              .leader_epoch = m->leader_epoch,
                              .broker_epoch = m->broker_epoch,
                              .fetch = m->fetch,
                              .offset = m->offset };
        end = epoch_end(n, m->last_epoch, &epoch);
        if (m->offset && (epoch != m->last_epoch || end < m->offset)) {
                a->diverged = true;
                a->epoch = epoch;
                a->end_offset = end;
                return;
        }
        if (insync_fetched(&n->insync, m->from, m->broker_epoch, m->offset, m->durable_end, w->now) &&
            insync_advance(&n->insync))
                note_watermark(w, n);
        a->high_watermark = n->insync.high_watermark;
        for (int64_t at = m->offset; at < n->end && a->count < 8; at++)
                a->records[a->count++] = n->log[at];
}

static void take(struct world *w, const struct letter *m)
{
        struct peer *n = &w->peers[m->to];
        int32_t epoch;

        if (!n->up || n->broker_epoch != m->broker_epoch || n->leader_epoch != m->leader_epoch ||
            n->leader != m->from || n->fetches != m->fetch)
                return;
        if (m->diverged) {
                int64_t end = epoch_end(n, m->epoch, &epoch);

                n->end = end < m->end_offset ? end : m->end_offset;
                n->durable_end = n->durable_end < n->end ? n->durable_end : n->end;
                w->divergences++;
                return;
        }
        for (int32_t i = 0; i < m->count && n->end < LOG_MAX; i++)
                n->log[n->end++] = m->records[i];
        if (m->high_watermark > n->high_watermark)
                n->high_watermark = m->high_watermark < n->end ? m->high_watermark : n->end;
}

static void ask(struct world *w, int id)
{
        struct peer *n = &w->peers[id];
        struct letter *m = mail_new(w);

        if (!m || !leads(n, id) || !insync_ask(&n->insync, w->now, 300, &m->ask))
                return;
        m->kind = MAIL_ASK;
        m->from = id;
}

static void deliver(struct world *w)
{
        struct letter *m = &w->mail[chance(w, MAIL_MAX)], got = *m;
        bool lost = chance(w, 20) == 0;

        m->kind = MAIL_NONE;
        switch (got.kind) {
        case MAIL_FETCH:
                if (!lost)
                        serve(w, &got);
                break;
        case MAIL_ANSWER:
                if (!lost)
                        take(w, &got);
                break;
        case MAIL_ASK: /* lost on its way there, or only the answer is */
                got.outcome = lost && chance(w, 2) ? INSYNC_E_UNKNOWN : decide(w, &got);
                if (lost)
                        got.outcome = INSYNC_E_UNKNOWN;
                got.kind = MAIL_ASK_ANSWER;
                *m = got;
                break;
        case MAIL_ASK_ANSWER:
                if (leads(&w->peers[got.from], got.from))
                        insync_answered(&w->peers[got.from].insync, &got.ask, got.outcome, w->now);
                break;
        case MAIL_NONE:
                break;
        }
}

static void crash(struct world *w, int id)
{
        struct peer *n = &w->peers[id];
        bool isr[NODES];

        if (!n->up)
                return;
        n->up = false;
        n->end = n->durable_end + chance(w, (uint32_t)(n->end - n->durable_end) + 1);
        n->durable_end = n->end; /* recovered, and synced before it counts */
        n->high_watermark = 0;
        n->leader = -1;
        insync_fini(&n->insync);
        memcpy(isr, w->in_isr, sizeof isr);
        if (isr[id]) {
                isr[id] = false;
                set_isr(w, isr);
        }
        if (w->leader == id)
                elect(w);
}

static void start(struct world *w, int id)
{
        struct peer *n = &w->peers[id];

        if (n->up)
                return;
        n->up = true;
        n->broker_epoch++;
        n->leader = n->leader_epoch = n->partition_epoch = -1;
        insync_init(&n->insync, id);
        insync_set_conf(&n->insync, true, w->min_insync);
        if (w->leader < 0)
                elect(w);
}

static void step(struct world *w)
{
        int id = (int)chance(w, NODES);
        uint32_t what = chance(w, 1000);

        w->now += chance(w, 20);
        if (what < 150)
                append(w, id);
        else if (what < 300)
                flush(w, id);
        else if (what < 480)
                fetch(w, id);
        else if (what < 880)
                deliver(w);
        else if (what < 930)
                ask(w, id);
        else if (what < 980)
                see_metadata(w, id);
        else if (what < 983)
                crash(w, id);
        else
                start(w, id);
        check(w);
}

static bool run(uint64_t seed, unsigned *sum)
{
        struct world *w = calloc(1, sizeof *w);
        bool ok;

        w->chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        w->min_insync = 1 + (int32_t)(seed % 3);
        for (int i = 0; i < NODES; i++) {
                w->replicas[i] = i;
                w->in_isr[i] = true;
                start(w, i);
        }
        w->leader = -1;
        elect(w);
        for (int i = 0; i < STEPS && !w->broken; i++)
                step(w);
        for (int i = 0; i < NODES; i++)
                if (w->peers[i].up)
                        insync_fini(&w->peers[i].insync);
        sum[0] += w->elections;
        sum[1] += w->commits;
        sum[2] += w->divergences;
        sum[3] += isr_size(w) == NODES;
        ok = !w->broken;
        free(w);
        return ok;
}

static void test_random(void)
{
        const char *given = getenv("SEED");
        uint64_t first = given ? strtoull(given, NULL, 0) : 1, count = given ? 1 : 600;
        unsigned sum[4] = { 0 };

        for (uint64_t seed = first; seed < first + count; seed++)
                if (!run(seed, sum)) {
                        fprintf(stderr, "    SEED=%llu\n", (unsigned long long)seed);
                        CU_FAIL_FATAL("acknowledged records are not safe");
                }
        if (!given) { /* it happened at all */
                CU_ASSERT(sum[0] > 500 && sum[1] > 10000 && sum[2] > 100 && sum[3] > 0);
        }
        if (getenv("SHOW"))
                fprintf(stderr, "    elections %u commits %u divergences %u full at the end %u\n", sum[0], sum[1],
                        sum[2], sum[3]);
}

/* What was known of the others in an epoch before may have been cut off since. */
static void test_leads_again(void)
{
        struct replica_state s = state_of(6, 9, three, 3);
        struct insync p;

        lead(&p, 3, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1));
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 1));
        CU_ASSERT(insync_advance(&p));
        insync_self(&p, 20, 20, 2);
        CU_ASSERT(insync_fetched(&p, 2, 100, 20, 20, 2));
        CU_ASSERT(insync_fetched(&p, 3, 100, 20, 20, 2));
        CU_ASSERT_EQUAL(insync_lead(&p, &s, 20, 3), 0);
        insync_self(&p, 20, 20, 3);
        CU_ASSERT(!insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 10);
        CU_ASSERT(insync_fetched(&p, 2, 100, 15, 15, 4));
        CU_ASSERT(insync_fetched(&p, 3, 100, 20, 20, 4));
        CU_ASSERT(insync_advance(&p));
        CU_ASSERT_EQUAL(p.high_watermark, 15);
        insync_fini(&p);
}

static const struct unit_case cases[] = {
        { "the watermark is the least replicated end", test_watermark },
        { "it stays below the minimum in sync", test_min_isr },
        { "who has caught up joins", test_expand },
        { "a refusal is taken back", test_refused },
        { "the epoch's start is a measure", test_epoch_start },
        { "who lags leaves", test_shrink },
        { "steady load", test_steady_load },
        { "failed logs, old messages", test_failed_and_old_messages },
        { "it leads again", test_leads_again },
        { "a cluster by chance", test_random },
};
UNIT_MAIN("replica/insync", cases)
