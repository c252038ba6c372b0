/* Goal: at most one leader in a term, none without a majority that hears it, and no disturbance of one that is fine; leadership
 * moves when it is told to. Method: stories, step by step. */
#include "raft-scene.h"

static void test_alone(void)
{
        scene_init(1, 1);
        scene_start(); /* no time passes */
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->term, 1);
        CU_ASSERT_EQUAL(scene_node(1)->applied, 1);
        CU_ASSERT_EQUAL(scene_node(1)->wake_ms, INT64_MAX);
        CU_ASSERT_EQUAL(scene_propose(1, 3), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(1)->applied, 4);
        scene_crash(1);
        scene_boot(1);
        CU_ASSERT_EQUAL(scene_node(1)->term, 2);
        CU_ASSERT_EQUAL(scene_node(1)->applied, 5);
        scene_wait(100000);
        scene_tick(1);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT(raft_has_lease(scene_node(1)->core, scene.now_ms));
        CU_ASSERT_EQUAL(scene_transfer(1, RAFT_NOBODY), RAFT_E_UNKNOWN);
        scene_end();
}

/* The disk is slow: no other term is begun meanwhile, and nothing is done in this one. */
static void test_alone_with_a_slow_disk(void)
{
        scene_init(1, 1);
        scene_node(1)->hold_vote = true;
        scene_start();
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_CANDIDATE);
        CU_ASSERT_EQUAL(scene_node(1)->wake_ms, INT64_MAX);
        scene_wait(100000);
        scene_tick(1);
        CU_ASSERT_EQUAL(scene_node(1)->term, 1);
        CU_ASSERT_EQUAL(scene_node(1)->last, 0);
        scene_node(1)->hold_vote = false;
        scene_sync(1);
        CU_ASSERT(scene_leads(1));
        scene_end();
}

static struct scene_mail vote_request(int from, int to, int32_t term, int64_t last_index, int32_t last_term)
{
        return (struct scene_mail){ .m = { .type = RAFT_VOTE_REQUEST,
                                           .from = scene_id(from),
                                           .to = scene_id(to),
                                           .term = term,
                                           .last_index = last_index,
                                           .last_term = last_term } };
}

/* One vote in a term, told when it is durable, remembered over a crash. */
static void test_one_vote(void)
{
        struct scene_mail a, b;

        scene_init(3, 3);
        scene_start();
        scene_wait(5000);
        a = vote_request(2, 1, 5, 0, 0);
        b = vote_request(3, 1, 5, 0, 0);
        scene_node(1)->hold_vote = true;
        scene_give(1, &a);
        CU_ASSERT_EQUAL(scene_node(1)->sent[RAFT_VOTE_ANSWER], 0);
        scene_node(1)->hold_vote = false;
        scene_sync(1);
        CU_ASSERT_EQUAL(scene_node(1)->sent[RAFT_VOTE_ANSWER], 1);
        CU_ASSERT(scene.mail[0].m.granted && scene.mail[0].m.to.node == 2);
        scene_give(1, &b);
        CU_ASSERT(!scene.mail[1].m.granted && scene.mail[1].m.to.node == 3);
        scene_give(1, &a); /* again: the same */
        CU_ASSERT(scene.mail[2].m.granted && scene.mail[2].m.to.node == 2);
        scene_crash(1);
        scene_boot(1);
        scene_wait(5000);
        scene_give(1, &b);
        CU_ASSERT(!scene.mail[3].m.granted);
        scene_end();
}

/* Only a log that is at least as new gets a vote: the newer last term, then the longer one. */
static void test_newer_log(void)
{
        static const struct {
                int64_t index;
                int32_t term;
                bool granted;
        } tries[] = { { 9, 1, false }, { 2, 2, false }, { 3, 2, true }, { 1, 3, true } };

        scene_init(3, 3);
        scene_log(1, "1 1 2");
        scene_start();
        for (int i = 0; i < 4; i++) {
                struct scene_mail m = vote_request(2, 1, 10 + i, tries[i].index, tries[i].term);

                scene_wait(5000);
                scene_give(1, &m);
                CU_ASSERT_EQUAL(scene_node(1)->vote.voted_for.node, tries[i].granted ? 2 : RAFT_NOBODY);
                m.m.type = RAFT_PREVOTE_REQUEST;
                m.m.term = 50;
                scene_give(1, &m);
                CU_ASSERT_EQUAL(scene.mail[scene.mail_last - 1].m.granted, tries[i].granted);
        }
        scene_end();
}

/* A node that cannot hear anything asks and asks; its term stays, and when it is back the leader stays, too. */
static void test_cut_off_does_not_disturb(void)
{
        int32_t term;

        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        term = scene_node(1)->term;
        scene_node(3)->is_cut_off = true;
        scene_live(20000);
        CU_ASSERT_EQUAL(scene_node(3)->role, RAFT_PRECANDIDATE);
        CU_ASSERT_EQUAL(scene_status(3).term, term);
        scene_node(3)->is_cut_off = false;
        scene_live(3000);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->term, term);
        CU_ASSERT_EQUAL(scene_node(3)->leader, 1);
        scene_end();
}

/* A leader that is heard is not voted down, also by one who really stands and has a newer term. */
static void test_no_vote_while_a_leader_is_heard(void)
{
        struct scene_mail m;

        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        scene_live(300);
        for (int to = 1; to <= 2; to++) {
                m = vote_request(3, to, 50, 90, 40);
                scene_give(to, &m);
                CU_ASSERT_EQUAL(scene_node(to)->term, 1);
                m.m.type = RAFT_PREVOTE_REQUEST;
                scene_give(to, &m);
                CU_ASSERT_EQUAL(scene_node(to)->term, 1);
                CU_ASSERT(!scene.mail[(scene.mail_last - 1) % SCENE_MAIL].m.granted);
        }
        /* A node that starts may have heard one just before. */
        scene_crash(2);
        scene_boot(2);
        m.m.type = RAFT_VOTE_REQUEST;
        scene_give(2, &m);
        CU_ASSERT_EQUAL(scene_status(2).term, 1);
        scene_wait(1001);
        scene_give(2, &m);
        CU_ASSERT_EQUAL(scene_status(2).term, 50);
        scene_end();
}

/* A leader that no majority answers steps down; the others have found another one, and it follows. */
static void test_no_majority(void)
{
        scene_init(5, 5);
        scene_start();
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        scene_node(1)->is_cut_off = true;
        scene_live(1100);
        CU_ASSERT_EQUAL(scene_node(1)->leader, RAFT_NOBODY);
        CU_ASSERT_EQUAL(scene_propose(1, 1), RAFT_E_NOT_LEADER);
        CU_ASSERT_EQUAL(scene_status(1).counts.quorum_step_downs, 1);
        scene_live(10000);
        CU_ASSERT_EQUAL(scene_leads(2) + scene_leads(3) + scene_leads(4) + scene_leads(5), 1);
        scene_node(1)->is_cut_off = false;
        scene_live(3000);
        CU_ASSERT_EQUAL(scene_node(1)->leader, scene_node(2)->leader);
        scene_end();
}

/* It hears nothing, but its messages arrive: it must step down all the same, or nobody could ever take its place. */
static void test_deaf_leader(void)
{
        struct scene_mail mail;

        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        for (int i = 0; i < 1200; i += 50) {
                scene_wait(50);
                scene_tick(1);
                while (scene.mail_first != scene.mail_last) {
                        mail = scene.mail[scene.mail_first++ % SCENE_MAIL];
                        if (mail.m.to.node != 1)
                                scene_give(mail.m.to.node, &mail);
                }
        }
        CU_ASSERT(!scene_leads(1));
        scene_end();
}

/* One that stood while it was cut off has a newer term, and takes no message of an older one. It says so, and the group moves on. */
static void test_newer_term_returns(void)
{
        scene_init(3, 3);
        scene_node(3)->vote.term = 9;
        scene_start();
        scene_node(3)->is_cut_off = true;
        scene_elect(1);
        scene_propose(1, 3);
        scene_live(300);
        CU_ASSERT_FATAL(scene_leads(1));
        scene_node(3)->is_cut_off = false;
        scene_live(5000);
        CU_ASSERT(scene_leads(1) || scene_leads(2)); /* its own log is too old */
        CU_ASSERT(scene_node(1)->term > 9);
        CU_ASSERT_EQUAL(scene_node(3)->leader, scene_node(1)->leader);
        CU_ASSERT_EQUAL(scene_committed(3), scene_node(1)->last);
        scene_end();
}

/* A lease ends before anybody else can be elected. */
static void test_lease(void)
{
        int64_t end;

        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT(raft_has_lease(scene_node(1)->core, scene.now_ms));
        CU_ASSERT(!raft_has_lease(scene_node(2)->core, scene.now_ms));
        scene_live(500);
        scene_node(1)->is_cut_off = true;
        for (end = scene.now_ms; raft_has_lease(scene_node(1)->core, end); end++)
                ;
        CU_ASSERT(end - scene.now_ms > 600 && end - scene.now_ms <= 750);
        scene_wait(999);
        scene_tick(2);
        CU_ASSERT_EQUAL(scene_node(2)->role, RAFT_FOLLOWER);
        scene_end();
}

/* Two stand in one term and neither wins; later one does. */
static void test_split_vote(void)
{
        struct scene_mail m;

        scene_init(4, 4);
        scene_start();
        scene_wait(2000);
        for (int i = 1; i <= 2; i++) {
                m = vote_request(i, i + 2, 1, 0, 0);
                scene_tick(i);
                scene_give(i + 2, &m);
        }
        scene_run();
        CU_ASSERT(!scene_leads(1) && !scene_leads(2));
        scene_live(10000);
        CU_ASSERT_EQUAL(scene_leads(1) + scene_leads(2) + scene_leads(3) + scene_leads(4), 1);
        scene_end();
}

/* ---- directories ---- */

/* A vote that comes from another disk than the member's counts for nothing, and a message to another disk is not taken. */
static void test_other_directory(void)
{
        struct scene_mail m;
        struct raft_id other;

        scene_init(3, 3);
        scene_start();
        scene_node(2)->is_cut_off = scene_node(3)->is_cut_off = true;
        scene_elect(1);
        other = scene_id(2);
        other.directory.b[5] = 1;
        m = (struct scene_mail){
                .m = { .type = RAFT_PREVOTE_ANSWER, .from = other, .to = scene_id(1), .term = 1, .granted = true }
        };
        scene_give(1, &m);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_PRECANDIDATE);
        m.m.from = scene_id(2);
        scene_give(1, &m);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_CANDIDATE);
        m.m.type = RAFT_VOTE_ANSWER;
        m.m.from = other;
        scene_give(1, &m);
        CU_ASSERT_EQUAL(scene_node(1)->role, RAFT_CANDIDATE);
        m = vote_request(2, 1, 9, 0, 0);
        m.m.to.directory.b[5] = 1;
        CU_ASSERT_EQUAL(scene_give(1, &m), RAFT_E_FOREIGN);
        CU_ASSERT_EQUAL(scene_node(1)->term, 1);
        scene_end();
}

/* ---- transfer ---- */

static void test_transfer(void)
{
        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        scene_live(200);
        CU_ASSERT_EQUAL(scene_transfer(2, 3), RAFT_E_NOT_LEADER);
        CU_ASSERT_EQUAL(scene_transfer(1, 1), RAFT_E_UNKNOWN);
        CU_ASSERT_EQUAL(scene_transfer(1, 7), RAFT_E_UNKNOWN);
        scene_propose(1, 4); /* it waits until these have arrived */
        CU_ASSERT_EQUAL(scene_transfer(1, 2), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(1)->sent[RAFT_TIMEOUT_NOW], 0);
        CU_ASSERT_EQUAL(scene_transfer(1, 3), RAFT_E_TRANSFER);
        CU_ASSERT_EQUAL(scene_propose(1, 1), RAFT_E_TRANSFER);
        scene_run(); /* no time passes, and a leader was heard just now */
        CU_ASSERT(scene_leads(2));
        CU_ASSERT_EQUAL(scene_node(1)->transfers_moved, 1);
        CU_ASSERT_EQUAL(scene_node(1)->leader, 2);
        CU_ASSERT_EQUAL(scene_node(2)->last, 6);
        scene_end();
}

static void test_transfer_aborted(void)
{
        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        scene_live(200);
        scene_node(2)->is_cut_off = true;
        scene_propose(1, 1);
        CU_ASSERT_EQUAL(scene_transfer(1, 2), RAFT_OK);
        scene_live(900);
        CU_ASSERT_EQUAL(scene_node(1)->transfers_aborted, 0);
        scene_live(200);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->transfers_aborted, 1);
        CU_ASSERT_EQUAL(scene_propose(1, 1), RAFT_OK);
        /* To whom it may concern: the one that has most. */
        CU_ASSERT_EQUAL(scene_transfer(1, RAFT_NOBODY), RAFT_OK);
        scene_run();
        CU_ASSERT(scene_leads(3));
        scene_end();
}

/* The message that tells the successor is lost. Nothing has happened, but that there is no lease any more in this term: it may
 * still arrive. */
static void test_transfer_message_lost(void)
{
        scene_init(3, 3);
        scene_start();
        scene_elect(1);
        scene_live(200);
        CU_ASSERT(raft_has_lease(scene_node(1)->core, scene.now_ms));
        CU_ASSERT_EQUAL(scene_transfer(1, 2), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(1)->sent[RAFT_TIMEOUT_NOW], 1);
        scene_lose_mail();
        scene_live(1100);
        CU_ASSERT(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->transfers_aborted, 1);
        CU_ASSERT(!raft_has_lease(scene_node(1)->core, scene.now_ms));
        scene_end();
}

static const struct unit_case cases[] = {
        { "the only voter elects itself at once", test_alone },
        { "and waits for its disk", test_alone_with_a_slow_disk },
        { "one vote in a term", test_one_vote },
        { "only for a log as new", test_newer_log },
        { "one that is cut off does not disturb", test_cut_off_does_not_disturb },
        { "no vote while a leader is heard", test_no_vote_while_a_leader_is_heard },
        { "a leader without a majority steps down", test_no_majority },
        { "a leader that hears nothing steps down", test_deaf_leader },
        { "a newer term returns", test_newer_term_returns },
        { "the lease", test_lease },
        { "a split vote", test_split_vote },
        { "another directory", test_other_directory },
        { "transfer", test_transfer },
        { "transfer that fails", test_transfer_aborted },
        { "transfer of which the message is lost", test_transfer_message_lost },
};

UNIT_MAIN("raft-elect", cases)
