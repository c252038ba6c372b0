/* Goal: members change one at a time, and no majority of before can decide against one of after. Method: stories, step by step. */
#include "raft-scene.h"

static void elect_first(int count, int voters)
{
        scene_init(count, voters);
        scene_start();
        scene_elect(1);
        scene_live(200);
        CU_ASSERT_FATAL(scene_leads(1));
}

/* The published bug of 2015: S1 appends {1,2,3,4,5} in term 1 and nobody else gets it; S2 leads in term 2 and appends {1,2,3},
 * which S3 gets: a majority. Then S1 wins with S4 and S5 and undoes it. A change has to wait for an entry of its own term. */
static void test_no_change_before_an_entry_of_the_term(void)
{
        struct raft_members d;

        scene_init(5, 4);
        d = scene_voters(5, 1, 2, 3, 4, 5);
        for (int i = 1; i <= 4; i++)
                scene_log(i, "1");
        scene_log(1, "1 1");
        scene_log_members(1, 2, &d);
        scene_start();
        scene_node(1)->is_cut_off = true;
        scene_node(2)->hold_log = true; /* so that its no-op is not committed yet */
        scene_node(3)->hold_log = true;
        scene_elect(2);
        CU_ASSERT_FATAL(scene_leads(2));
        CU_ASSERT_EQUAL(scene_change(2, RAFT_CHANGE_REMOVE, scene_id(4)), RAFT_E_CHANGING);
        CU_ASSERT_EQUAL(scene_change(2, RAFT_CHANGE_RESTATE, RAFT_ID_NOBODY), RAFT_E_CHANGING);
        scene_node(2)->hold_log = scene_node(3)->hold_log = false;
        scene_sync(2);
        scene_sync(3);
        scene_run();
        scene_live(100);
        CU_ASSERT_EQUAL(scene_change(2, RAFT_CHANGE_REMOVE, scene_id(4)), RAFT_OK);
        scene_run();
        CU_ASSERT(scene_node(2)->members_committed);
        /* Now S1 cannot win: S4 has the entry of term 2. */
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = true;
        scene_node(1)->is_cut_off = false;
        for (int i = 0; i < 3; i++)
                scene_elect(1);
        CU_ASSERT(!scene_leads(1));
        scene_end();
}

/* A new member is a learner, gets the log, counts for nothing, and becomes a voter when it has caught up. */
static void test_learner_catches_up(void)
{
        elect_first(4, 3);
        scene_propose(1, 20);
        scene_run();
        scene_node(4)->is_cut_off = true;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(4)), RAFT_OK);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_RESTATE, RAFT_ID_NOBODY), RAFT_E_CHANGING);
        scene_live(2000);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->members.count, 4);
        CU_ASSERT(!scene_node(1)->members.at[3].is_voter);
        CU_ASSERT_EQUAL(scene_committed(1), scene_node(1)->last); /* without it */
        CU_ASSERT_EQUAL(scene_transfer(1, 4), RAFT_E_UNKNOWN);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(4)), RAFT_E_EXISTS);
        scene_node(4)->is_cut_off = false;
        scene_node(4)->hold_log = true; /* it has all, but not durably */
        scene_live(1500);
        CU_ASSERT_EQUAL(scene_node(4)->last, scene_node(1)->last);
        CU_ASSERT(!scene_node(1)->members.at[3].is_voter);
        CU_ASSERT_EQUAL(scene_node(4)->role, RAFT_FOLLOWER);
        scene_node(4)->hold_log = false;
        scene_sync(4);
        scene_live(3000);
        CU_ASSERT(scene_node(1)->members.at[3].is_voter);
        CU_ASSERT(scene_node(4)->members.at[3].is_voter);
        CU_ASSERT(scene_node(4)->members_committed);
        CU_ASSERT(scene_same(1, 4, scene_node(1)->last));
        scene_end();
}

/* Learners do not help a commit. */
static void test_learners_do_not_count(void)
{
        elect_first(4, 2);
        scene_node(3)->hold_log = scene_node(4)->hold_log = true; /* never caught up */
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(3)), RAFT_OK);
        scene_run();
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(4)), RAFT_OK);
        scene_run();
        scene_live(1500);
        scene_node(2)->is_cut_off = true;
        scene_propose(1, 1);
        scene_run();
        scene_node(3)->hold_log = scene_node(4)->hold_log = false;
        scene_sync(3);
        scene_sync(4);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(3)->durable, scene_node(1)->last);
        CU_ASSERT_EQUAL(scene_committed(1), scene_node(1)->last - 1);
        scene_end();
}

/* They do not stand when nobody leads, and what they say to one who stands is nothing. */
static void test_learners_do_not_vote(void)
{
        struct scene_mail m = { .m = { .type = RAFT_PREVOTE_ANSWER, .granted = true } };

        elect_first(3, 2);
        scene_node(2)->is_cut_off = true; /* so that it stays a learner */
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(3)), RAFT_OK);
        scene_live(20000);
        CU_ASSERT_EQUAL(scene_node(3)->members.count, 3);
        CU_ASSERT(!scene_node(3)->members.at[2].is_voter);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_PRECANDIDATE);
        CU_ASSERT_EQUAL(scene_node(3)->role, RAFT_FOLLOWER);
        CU_ASSERT_EQUAL(scene_status(3).counts.prevotes_begun, 0);
        m.m.from = scene_id(3);
        m.m.to = scene_id(1);
        m.m.term = scene_node(1)->term + 1;
        CU_ASSERT_EQUAL(scene_give(1, &m), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_PRECANDIDATE);
        /* Nor when the leader that is leaving tells them to. */
        m.m = (struct raft_message){
                .type = RAFT_TIMEOUT_NOW, .from = scene_id(1), .to = scene_id(3), .term = scene_node(3)->term
        };
        CU_ASSERT_EQUAL(scene_give(3, &m), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(3)->role, RAFT_FOLLOWER);
        scene_end();
}

/* What is truncated is undone: the members are again those of before. */
static void test_roll_back(void)
{
        elect_first(4, 3);
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = true;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(4)), RAFT_OK);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(1)->members.count, 4);
        CU_ASSERT_EQUAL(scene_node(4)->members.count, 4);
        CU_ASSERT(!scene_node(1)->members_committed);
        scene_node(1)->is_cut_off = true;
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = false;
        scene_elect(2);
        CU_ASSERT_FATAL(scene_leads(2));
        scene_propose(2, 2);
        scene_run();
        scene_node(1)->is_cut_off = false;
        scene_live(1500);
        CU_ASSERT_EQUAL(scene_node(1)->members.count, 3);
        CU_ASSERT_EQUAL(scene_node(1)->members_index, 0);
        CU_ASSERT_EQUAL(scene_status(1).counts.members_rolled_back, 1);
        CU_ASSERT(scene_same(1, 2, scene_node(2)->last));
        scene_end();
}

/* A node that starts again with members in its log that are not committed goes by them, and by those of before when they are
 * truncated. */
static void test_restart_with_a_pending_change(void)
{
        elect_first(3, 3);
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = true;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(3)), RAFT_OK);
        scene_run(); /* lost */
        scene_crash(1);
        scene_boot(1);
        CU_ASSERT_EQUAL(scene_status(1).members->count, 2);
        CU_ASSERT(!scene_status(1).members_are_committed);
        /* It wins by the new members, of whom S2 is one. */
        scene_node(2)->is_cut_off = false;
        scene_elect(1);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT(scene_node(2)->members_committed);
        CU_ASSERT_EQUAL(scene_node(2)->members.count, 2);
        scene_end();

        elect_first(3, 3);
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = true;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(3)), RAFT_OK);
        scene_run(); /* lost */
        scene_crash(1);
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = false;
        scene_elect(2);
        CU_ASSERT_FATAL(scene_leads(2));
        scene_boot(1);
        scene_live(1500);
        CU_ASSERT_EQUAL(scene_node(1)->members.count, 3);
        CU_ASSERT(scene_same(1, 2, scene_node(2)->last));
        scene_end();
}

/* A leader removes itself: it leads until that is committed, does not count itself, and hands over at once. */
static void test_leader_removes_itself(void)
{
        elect_first(3, 3);
        scene_node(3)->is_cut_off = true;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(1)), RAFT_OK);
        scene_run();
        scene_live(500);
        CU_ASSERT(scene_leads(1)); /* S2 alone is no majority of {2,3} */
        CU_ASSERT(!scene_node(1)->members_committed);
        CU_ASSERT(!raft_has_lease(scene_node(1)->core, scene.now_ms));
        scene_node(3)->is_cut_off = false;
        scene_live(200);
        CU_ASSERT(!scene_leads(1));
        CU_ASSERT_EQUAL(scene_status(1).counts.removal_step_downs, 1);
        CU_ASSERT(scene_leads(2) || scene_leads(3));
        scene_live(20000);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_FOLLOWER); /* it does not try */
        CU_ASSERT_EQUAL(scene_status(1).counts.prevotes_begun, 1);
        scene_end();
}

/* Thesis, figure 4.6: S1 of {1,2} removed itself and crashed; S2 does not have that entry. Without S1's candidacy, which counts
 * S2 only, nobody could ever be elected. */
static void test_removed_and_needed(void)
{
        struct raft_members rest;

        scene_init(2, 2);
        rest = scene_voters(1, 2);
        scene_log(1, "1 1");
        scene_log(2, "1");
        scene_log_members(1, 2, &rest);
        scene_start();
        scene_live(20000);
        CU_ASSERT(scene_leads(2));
        CU_ASSERT(scene_node(2)->members_committed);
        CU_ASSERT_EQUAL(scene_node(2)->members.count, 1);
        scene_end();
}

/* One that was removed hears of it, and does not disturb; neither does one that could not be told. */
static void test_removed_does_not_disturb(void)
{
        int32_t term;

        elect_first(4, 4);
        term = scene_node(1)->term;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(4)), RAFT_OK);
        scene_live(200);
        CU_ASSERT(scene_node(4)->members_committed);
        CU_ASSERT_EQUAL(scene_node(4)->members.count, 3);
        scene_node(3)->is_cut_off = true;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(3)), RAFT_OK);
        scene_live(20000); /* the leader has forgotten it */
        scene_node(3)->is_cut_off = false;
        scene_live(20000);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT_EQUAL(scene_status(1).term, term);
        CU_ASSERT_EQUAL(scene_status(3).term, term);
        CU_ASSERT(scene_status(3).counts.prevotes_begun > 5);
        CU_ASSERT_EQUAL(scene_status(4).counts.prevotes_begun, 0);
        scene_end();
}

/* A voter whose disk is replaced is nobody: it is not voted by and not copied to until it was removed and added. */
static void test_new_directory(void)
{
        struct raft_id old, new;
        int64_t before;

        elect_first(3, 3);
        scene_propose(1, 5);
        scene_run();
        scene_crash(2);
        old = new = scene_id(2);
        new.directory.b[1] = 0x77;
        *scene_node(2) = (struct scene_node){ .id = new,
                                              .leader = RAFT_NOBODY,
                                              .edition = 1,
                                              .vote = { .voted_for = RAFT_ID_NOBODY },
                                              .members_index = -1 };
        {
                struct raft_members_at first = scene.first;

                scene.first.members.count = 0;
                scene_boot(2); /* blank */
                scene.first = first;
        }
        scene_live(20000);
        CU_ASSERT_EQUAL(scene_node(2)->last, 0);
        CU_ASSERT_EQUAL(scene_status(2).counts.prevotes_begun, 0);
        CU_ASSERT(scene_status(2).counts.messages_foreign > 0); /* the host tells the operator */
        scene_node(3)->is_cut_off = true;
        scene_propose(1, 1);
        scene_run();
        before = scene_committed(1);
        CU_ASSERT_EQUAL(before, scene_node(1)->last - 1);
        scene_node(3)->is_cut_off = false;
        scene_live(500);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, new), RAFT_E_EXISTS);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, new), RAFT_E_UNKNOWN);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, old), RAFT_OK);
        scene_run();
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, new), RAFT_OK);
        scene_live(2000);
        CU_ASSERT_EQUAL(scene_node(2)->members.count, 3);
        CU_ASSERT_EQUAL(raft_members_voters(&scene_node(1)->members), 3);
        CU_ASSERT(scene_same(1, 2, scene_node(1)->last));
        scene_end();
}

static void test_refusals(void)
{
        struct raft_id id;

        elect_first(3, 3);
        CU_ASSERT_EQUAL(scene_change(2, RAFT_CHANGE_REMOVE, scene_id(3)), RAFT_E_NOT_LEADER);
        scene_node(3)->is_cut_off = true;
        scene_live(1500);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(2)),
                        RAFT_E_UNSAFE); /* {1,3}, and S3 is not there */
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(3)), RAFT_OK);
        scene_live(200);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(3)), RAFT_E_UNKNOWN);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(2)), RAFT_OK);
        scene_live(200);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_REMOVE, scene_id(1)), RAFT_E_LAST);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_RESTATE, RAFT_ID_NOBODY), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(1)->members.count, 1);
        CU_ASSERT_EQUAL(scene_node(1)->members_index, scene_node(1)->last);
        for (int i = 1; i < RAFT_MEMBERS_MAX; i++) {
                id = (struct raft_id){ 100 + i, { { 9 } } };
                CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, id), RAFT_OK);
                scene_lose_mail();
        }
        id.node = 99;
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, id), RAFT_E_FULL);
        scene_end();
}

/* From one to three and back to another one, with a leader that changes in between. */
static void test_grow_and_shrink(void)
{
        elect_first(3, 1);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(2)), RAFT_OK);
        scene_live(500);
        CU_ASSERT_EQUAL(scene_change(1, RAFT_CHANGE_ADD, scene_id(3)), RAFT_OK);
        scene_transfer(1, 2); /* the next leader finds the learner and goes on */
        scene_live(2000);
        CU_ASSERT_FATAL(scene_leads(2));
        CU_ASSERT_EQUAL(raft_members_voters(&scene_node(2)->members), 3);
        CU_ASSERT_EQUAL(scene_change(2, RAFT_CHANGE_REMOVE, scene_id(1)), RAFT_OK);
        scene_live(200);
        CU_ASSERT_EQUAL(scene_change(2, RAFT_CHANGE_REMOVE, scene_id(2)), RAFT_OK);
        scene_live(2000);
        CU_ASSERT(scene_leads(3));
        CU_ASSERT_EQUAL(scene_committed(3), scene_node(3)->last);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_FOLLOWER);
        CU_ASSERT_EQUAL(scene_node(2)->role, RAFT_FOLLOWER);
        scene_end();
}

static const struct unit_case cases[] = {
        { "no change before an entry of the term", test_no_change_before_an_entry_of_the_term },
        { "a learner catches up and becomes a voter", test_learner_catches_up },
        { "learners do not count", test_learners_do_not_count },
        { "learners do not vote", test_learners_do_not_vote },
        { "roll-back", test_roll_back },
        { "restart with a pending change", test_restart_with_a_pending_change },
        { "a leader removes itself", test_leader_removes_itself },
        { "removed, and needed once more", test_removed_and_needed },
        { "removed ones do not disturb", test_removed_does_not_disturb },
        { "a voter with a new directory", test_new_directory },
        { "refusals", test_refusals },
        { "from one to three and back", test_grow_and_shrink },
};

UNIT_MAIN("raft-change", cases)
