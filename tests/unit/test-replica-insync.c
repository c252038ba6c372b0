/* Goal: the high watermark and the ISR follow KIP-497 and KIP-966, and nothing below a high watermark is ever missing on
 * a replica that may be elected. Method: cases by hand; by chance it is test-replica-insync-random.c. */
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

/* DeleteRecords is done when nobody who can be elected has the records. */
static void test_low_start(void)
{
        static const int32_t both[] = { 1, 2 };
        struct replica_state s = state_of(5, 8, both, 2);
        struct insync_ask ask;
        struct insync p;

        lead(&p, 3, 2);
        insync_begins(&p, 1, 8);
        CU_ASSERT_EQUAL(insync_low_start(&p), -1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1) && insync_fetched(&p, 3, 100, 10, 10, 1));
        insync_begins(&p, 2, 8);
        insync_begins(&p, 3, 5);
        CU_ASSERT_EQUAL(insync_low_start(&p), 5);
        CU_ASSERT_EQUAL_FATAL(insync_change(&p, &s, 2), 0); /* 3 is out of sync: it does not count, */
        CU_ASSERT_EQUAL(insync_low_start(&p), 8);
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 2)); /* and comes back only when its log begins there */
        CU_ASSERT(!insync_ask(&p, 3, LAG_MS, &ask));
        insync_begins(&p, 3, 8);
        CU_ASSERT(insync_ask(&p, 3, LAG_MS, &ask));
        s.partition_epoch++;
        s.isr_count = 1;
        CU_ASSERT_EQUAL_FATAL(insync_change(&p, &s, 4),
                              0); /* 2 left, and may have been remembered (ELR) with what it has */
        CU_ASSERT_EQUAL(insync_low_start(&p), -1);
        insync_fini(&p);
}

/* Who cannot serve everything is in sync only while it is needed. */
static void test_damaged(void)
{
        static const int32_t both[] = { 1, 2 };
        struct replica_state s = state_of(5, 8, both, 2);
        struct insync_ask ask;
        struct insync p;

        lead(&p, 3, 2);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 1) && insync_fetched(&p, 3, 100, 10, 10, 1));
        CU_ASSERT(insync_has_sound(&p));
        insync_damaged(&p, 2, true);
        insync_damaged(&p, 3, true);
        CU_ASSERT(!insync_has_sound(&p));
        CU_ASSERT_FATAL(insync_ask(&p, 2, LAG_MS, &ask)); /* one of them is one too many */
        CU_ASSERT(ask.isr_count == 2 && ask.isr[0] == 1 && ask.isr[1] == 3);
        CU_ASSERT_EQUAL_FATAL(insync_change(&p, &s, 3), 0);
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 3));
        CU_ASSERT(!insync_ask(&p, 3, LAG_MS, &ask)); /* 2 is needed, 3 is not */
        insync_damaged(&p, 3, false);
        CU_ASSERT_FATAL(insync_ask(&p, 4, LAG_MS, &ask));
        CU_ASSERT_EQUAL(ask.isr_count, 3);
        s = state_of(5, 9, both, 1);
        CU_ASSERT_EQUAL_FATAL(insync_change(&p, &s, 5), 0);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, 6));
        CU_ASSERT_FATAL(insync_ask(&p, 6, LAG_MS, &ask)); /* too few: a damaged one holds new records as well as any */
        CU_ASSERT_EQUAL(ask.isr_count, 3);
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

/* One that cannot join keeps nobody else out: after a refusal they are tried one by one. */
static void test_refused_for_another(void)
{
        struct insync_ask ask;
        struct insync p;
        bool joined = false;
        int64_t now = 1;

        lead(&p, 1, 1);
        CU_ASSERT(insync_fetched(&p, 2, 100, 10, 10, now)); /* it has gone since, and is fenced for ever */
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, now));
        for (int i = 0; i < 4 && !joined; i++) {
                CU_ASSERT_FATAL(insync_ask(&p, now, LAG_MS, &ask));
                CU_ASSERT_EQUAL(ask.isr_count, i ? 2 : 3);
                joined = ask.isr_count == 2 && (ask.isr[0] == 3 || ask.isr[1] == 3);
                insync_answered(&p, &ask, joined ? INSYNC_OK : INSYNC_E_INELIGIBLE, now);
                now += 10000;
        }
        CU_ASSERT(joined);
        insync_fini(&p);
}

/* Who is heard of again after it left is asked for at once, whatever was refused before. */
static void test_heard_again(void)
{
        static const int32_t other[] = { 1, 2 };
        struct replica_state s = state_of(5, 8, other, 2);
        struct insync_ask ask;
        struct insync p;

        lead(&p, 3, 1);
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 1));
        CU_ASSERT_EQUAL(insync_change(&p, &s, 1), 0);
        s = state_of(5, 9, three, 1);
        CU_ASSERT_EQUAL(insync_change(&p, &s, 1), 0);
        CU_ASSERT(insync_fetched(&p, 3, 100, 10, 10, 1));
        for (int i = 0; i < 10; i++)
                if (insync_ask(&p, 1 + i * 10000, LAG_MS, &ask))
                        insync_answered(&p, &ask, INSYNC_E_INELIGIBLE, 1 + i * 10000);
        CU_ASSERT(!insync_ask(&p, 90002, LAG_MS, &ask));
        CU_ASSERT(insync_fetched(&p, 2, 101, 10, 10, 90002));
        CU_ASSERT(insync_ask(&p, 90002, LAG_MS, &ask));
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
        { "low start", test_low_start },
        { "damaged ones", test_damaged },
        { "a refusal is taken back", test_refused },
        { "a refusal keeps nobody else out", test_refused_for_another },
        { "who is heard of again is asked for", test_heard_again },
        { "the epoch's start is a measure", test_epoch_start },
        { "who lags leaves", test_shrink },
        { "steady load", test_steady_load },
        { "failed logs, old messages", test_failed_and_old_messages },
        { "it leads again", test_leads_again },
};
UNIT_MAIN("replica/insync", cases)
