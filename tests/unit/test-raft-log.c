/* Goal: logs become the leader's, nothing that is committed is lost, and nothing counts before it is durable. Method: the stories
 * of the Raft paper and some of our own, step by step. */
#include "raft-scene.h"

/* Figure 7: when the leader at the top comes to power, followers may be in any of (a) to (f). All become like it. */
static void test_figure_7(void)
{
        static const char *const logs[] = {
                "1 1 1 4 4 5 5 6 6",       /* (a) */
                "1 1 1 4",                 /* (b) */
                "1 1 1 4 4 5 5 6 6 6 6",   /* (c) */
                "1 1 1 4 4 5 5 6 6 6 7 7", /* (d) */
                "1 1 1 4 4 4 4",           /* (e) */
                "1 1 1 2 2 2 3 3 3 3 3",   /* (f) */
        };

        scene_init(7, 7);
        scene_log(1, "1 1 1 4 4 5 5 6 6 6");
        for (int i = 0; i < 6; i++)
                scene_log(i + 2, logs[i]);
        scene_start();
        scene_elect(1); /* (d) tells it of term 7 */
        scene_elect(1); /* (a), (b), (e) and (f) give it a majority */
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->term, 8);
        CU_ASSERT_STRING_EQUAL(scene_terms(1), "1 1 1 4 4 5 5 6 6 6 8");
        for (int i = 2; i <= 7; i++) {
                CU_ASSERT_STRING_EQUAL(scene_terms(i), "1 1 1 4 4 5 5 6 6 6 8");
                CU_ASSERT(scene_same(1, i, 11));
        }
        CU_ASSERT_EQUAL(scene_committed(1), 11);
        scene_end();
}

/* Figure 8: an entry of an older term that is on a majority is not committed by that, because another may still replace it. */
static void test_figure_8(void)
{
        scene_init(5, 5);
        for (int i = 1; i <= 5; i++)
                scene_log(i, "1");
        scene_start();
        /* (a) S1 leads in term 2 and reaches S2 only. */
        for (int i = 3; i <= 5; i++)
                scene_node(i)->hold_log = true;
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        for (int i = 3; i <= 5; i++) { /* what came was not durable yet */
                scene_crash(i);
                scene_node(i)->hold_log = false;
                scene_boot(i);
                CU_ASSERT_STRING_EQUAL(scene_terms(i), "1");
        }
        CU_ASSERT_EQUAL(scene_committed(1), 0);
        CU_ASSERT_STRING_EQUAL(scene_terms(2), "1 2");
        /* (b) S1 crashes. S5 leads in term 3 with votes of S3, S4 and itself, and takes another entry at index 2. */
        scene_crash(1);
        scene_node(2)->is_cut_off = true;
        for (int i = 3; i <= 4; i++)
                scene_node(i)->hold_log = true;
        scene_elect(5);
        CU_ASSERT_FATAL(scene_leads(5));
        CU_ASSERT_STRING_EQUAL(scene_terms(5), "1 3");
        scene_crash(5);
        scene_node(2)->is_cut_off = false;
        for (int i = 3; i <= 4; i++) {
                scene_crash(i);
                scene_node(i)->hold_log = false;
                scene_boot(i);
        }
        /* (c) S1 comes back and leads in term 4. The entry of term 2 gets to S3, so it is on a majority; that of term 4 does
         * not. */
        scene_boot(1);
        scene_node(1)->hold_sending = true;
        scene_elect(1); /* hears of term 3 */
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT_STRING_EQUAL(scene_terms(1), "1 2 4");
        scene_lose_mail();
        {
                /* By hand, as the core sends the newest first. */
                struct scene_mail mail = { .m = { .type = RAFT_APPEND,
                                                  .from = scene_id(1),
                                                  .to = scene_id(3),
                                                  .term = scene_node(1)->term,
                                                  .prev_index = 1,
                                                  .prev_term = 1,
                                                  .count = 1,
                                                  .entries_term = 2 } };

                mail.entries[0] = scene_node(1)->log[2];
                CU_ASSERT_EQUAL(scene_give(3, &mail), RAFT_OK);
                mail.m.to = scene_id(2);
                CU_ASSERT_EQUAL(scene_give(2, &mail), RAFT_OK);
        }
        while (scene_deliver())
                ;
        CU_ASSERT_STRING_EQUAL(scene_terms(3), "1 2");
        CU_ASSERT_EQUAL(scene_committed(1), 0); /* on S1, S2, S3, and yet */
        /* (d) S1 crashes, S5 comes back and wins with its log of term 3: index 2 is replaced everywhere. */
        scene_crash(1);
        scene_boot(5);
        scene_elect(5); /* hears of the newer term */
        scene_elect(5);
        CU_ASSERT_FATAL(scene_leads(5));
        for (int i = 2; i <= 4; i++)
                CU_ASSERT(scene_same(5, i, 3));
        CU_ASSERT_EQUAL(scene_committed(5), 3);
        scene_end();
}

/* (e) of figure 8: an entry of the own term commits the older ones with it. */
static void test_figure_8_e(void)
{
        scene_init(5, 5);
        scene_log(1, "1 2");
        scene_log(2, "1 2");
        for (int i = 3; i <= 5; i++)
                scene_log(i, "1");
        scene_log(5, "1 3");
        scene_start();
        scene_node(5)->is_cut_off = true;
        scene_node(4)->is_cut_off = true;
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT_EQUAL(scene_committed(1), 3);
        scene_crash(1);
        scene_node(5)->is_cut_off = scene_node(4)->is_cut_off = false;
        for (int tries = 0; tries < 3; tries++)
                scene_elect(5);
        CU_ASSERT(!scene_leads(5)); /* S2 and S3 know better */
        scene_end();
}

/* A follower acknowledges what is durable, and a leader counts its own copy when it is durable. */
static void test_not_before_it_is_durable(void)
{
        scene_init(3, 3);
        scene_start();
        scene_node(3)->is_cut_off = true;
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT_EQUAL(scene_committed(1), 1);
        scene_node(2)->hold_log = true;
        scene_propose(1, 1);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(2)->last, 2);
        CU_ASSERT_EQUAL(scene_committed(1), 1);
        scene_live(200); /* heartbeats say nothing else */
        CU_ASSERT_EQUAL(scene_committed(1), 1);
        scene_node(2)->hold_log = false;
        scene_sync(2);
        scene_run();
        CU_ASSERT_EQUAL(scene_committed(1), 2);
        scene_node(1)->hold_log = true;
        scene_propose(1, 1);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(2)->durable, 3);
        CU_ASSERT_EQUAL(scene_committed(1), 2);
        /* With two others it need not wait for its own disk to commit, but to apply. */
        scene_node(3)->is_cut_off = false;
        scene_live(200);
        CU_ASSERT_EQUAL(scene_committed(1), 3);
        CU_ASSERT_EQUAL(scene_node(1)->applied, 2);
        scene_node(1)->hold_log = false;
        scene_sync(1);
        CU_ASSERT_EQUAL(scene_node(1)->applied, 3);
        scene_end();
}

/* The report of a write that was overtaken by a truncation is not taken for its successor, which has the same index and term. */
static void test_report_of_a_truncated_write(void)
{
        struct raft_event late = { .type = RAFT_EV_LOG_PERSISTED, .persisted = { .edition = 1, .index = 3 } };
        struct scene_mail old = { .m = { .type = RAFT_APPEND, .prev_index = 1, .prev_term = 1, .count = 2 } };
        struct scene_mail new = old;

        scene_init(5, 5);
        scene_log(1, "1");
        scene_start();
        scene_node(1)->hold_log = true;
        old.m.to = new.m.to = scene_id(1);
        old.m.from = scene_id(2);
        old.m.term = old.m.entries_term = 2;
        old.entries[0] = (struct scene_entry){ 2, 2002, false, { 0 } };
        old.entries[1] = (struct scene_entry){ 2, 2003, false, { 0 } };
        scene_give(1, &old);
        new.m.from = scene_id(3);
        new.m.term = new.m.entries_term = 3;
        new.m.count = 1;
        new.entries[0] = (struct scene_entry){ 3, 3002, false, { 0 } };
        scene_give(1, &new);
        CU_ASSERT_STRING_EQUAL(scene_terms(1), "1 3");
        old.m.from = scene_id(4);
        old.m.term = 4;
        scene_give(1, &old);
        CU_ASSERT_STRING_EQUAL(scene_terms(1), "1 2 2");
        scene_step(1, &late, NULL);
        CU_ASSERT_EQUAL(scene_status(1).persisted_index, 1);
        scene_node(1)->hold_log = false;
        scene_sync(1);
        CU_ASSERT_EQUAL(scene_status(1).persisted_index, 3);
        scene_end();
}

/* A message that comes late does not cut off what a newer one of the same leader appended. */
static void test_late_message_truncates_nothing(void)
{
        struct scene_mail mail = { .m = { .type = RAFT_APPEND, .term = 2, .count = 4, .entries_term = 2 } };

        scene_init(3, 3);
        scene_start();
        mail.m.from = scene_id(2);
        mail.m.to = scene_id(1);
        for (uint32_t i = 0; i < 4; i++)
                mail.entries[i] = (struct scene_entry){ 2, 2001 + i, false, { 0 } };
        CU_ASSERT_EQUAL(scene_give(1, &mail), RAFT_OK);
        mail.m.count = 2;
        CU_ASSERT_EQUAL(scene_give(1, &mail), RAFT_OK);
        CU_ASSERT_STRING_EQUAL(scene_terms(1), "2 2 2 2");
        /* What is committed is what agrees: a leader's commit index says nothing of what was not compared. */
        mail.m = (struct raft_message){
                .type = RAFT_HEARTBEAT, .from = scene_id(3), .to = scene_id(1), .term = 3, .commit_index = 4
        };
        CU_ASSERT_EQUAL(scene_give(1, &mail), RAFT_OK);
        CU_ASSERT_EQUAL(scene_committed(1), 0);
        scene_end();
}

/* The window: no more than append_window messages are unanswered, and the host sends less than was offered, or nothing. */
static void test_window_and_partial_sending(void)
{
        struct raft_event sent = { .type = RAFT_EV_SENT };
        struct scene_node *n;

        scene_init(2, 2);
        scene_start();
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        scene_node(2)->is_cut_off = true;
        memset(scene_node(1)->sent, 0, sizeof scene_node(1)->sent);
        for (int i = 0; i < 10; i++)
                scene_propose(1, 1);
        CU_ASSERT_EQUAL(scene_node(1)->sent[RAFT_APPEND], 4);
        scene_lose_mail();
        scene_node(2)->is_cut_off = false;
        scene_live(1500); /* they are lost: from where the follower has them */
        CU_ASSERT_EQUAL(scene_committed(1), 11);
        /* Of eight that are offered three are sent, then nothing for a while. */
        n = scene_node(1);
        n->hold_sending = true;
        scene_propose(1, 20);
        CU_ASSERT_EQUAL(n->offer.count, 8);
        n->offer.count = 3;
        sent.sent.to = n->offer.to;
        sent.sent.offer = n->offer.offer;
        sent.sent.last = n->offer.prev_index + 3;
        CU_ASSERT(raft_offer_is_valid(n->core, n->offer.to, n->term, n->offer.offer));
        scene_send(1, &n->offer);
        scene_step(1, &sent, NULL);
        CU_ASSERT(!raft_offer_is_valid(n->core, sent.sent.to, n->term, sent.sent.offer));
        CU_ASSERT_EQUAL(n->offer.prev_index, 14);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(2)->last, 14);
        sent.sent.offer = n->offer.offer;
        sent.sent.last = n->offer.prev_index;
        n->hold_sending = false;
        scene_step(1, &sent, NULL);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(2)->last, 14);
        scene_live(500);
        CU_ASSERT_EQUAL(scene_node(2)->last, 31);
        scene_end();
}

static const struct unit_case cases[] = {
        { "figure 7: all logs become the leader's", test_figure_7 },
        { "figure 8: older terms are not counted", test_figure_8 },
        { "figure 8 (e): but committed with the own one", test_figure_8_e },
        { "nothing counts before it is durable", test_not_before_it_is_durable },
        { "the report of a truncated write", test_report_of_a_truncated_write },
        { "late messages", test_late_message_truncates_nothing },
        { "window, offers sent in part", test_window_and_partial_sending },
};

UNIT_MAIN("raft-log", cases)
