/* Goal: nothing below a high watermark is ever missing on a replica that may be elected. Method: a seeded cluster of logs, messages
 * that come late or never, crashes that lose what was not flushed, and a controller that elects from ISR and ELR, with every
 * rule checked at every step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/insync.h"
#include "unit.h"

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

static const struct unit_case cases[] = {
        { "a cluster by chance", test_random },
};
UNIT_MAIN("replica/insync, by chance", cases)
