/* Goal: a member that needs what was cut gets a snapshot, and it takes the place of its log only when it must. Method: stories, step
 * by step; the test is the host that carries snapshots. */
#include "raft-scene.h"

static int cut(int id, int64_t index)
{
        struct raft_event ev = { .type = RAFT_EV_CUT, .cut.index = index };
        struct scene_node *n = scene_node(id);

        if (index > n->cut) {
                n->cut_term = n->log[index].term;
                n->cut = index;
        }
        return scene_step(id, &ev, NULL);
}

static int chunk(int from, int to, int64_t index)
{
        struct scene_mail mail = { .m = { .type = RAFT_SNAPSHOT,
                                          .from = scene_id(from),
                                          .to = scene_id(to),
                                          .term = scene_node(from)->term,
                                          .last_index = index,
                                          .last_term = raft_term_at(scene_node(from)->core, index) } };

        scene_node(to)->receives = false;
        return scene_give(to, &mail);
}

static int received(int from, int to, int64_t index)
{
        struct raft_event ev = { .type = RAFT_EV_SNAPSHOT_RECEIVED,
                                 .snapshot = { .index = index,
                                               .term = raft_term_at(scene_node(from)->core, index),
                                               .members = &scene.first.members,
                                               .members_index = 0 } };

        return scene_step(to, &ev, NULL);
}

static void sent(int from, bool ok, int64_t index)
{
        struct scene_node *n = scene_node(from);
        struct raft_event ev = { .type = RAFT_EV_SNAPSHOT_SENT,
                                 .snapshot_sent = {
                                         .to = n->snapshot_to, .offer = n->snapshot_offer, .ok = ok, .index = index } };

        n->snapshot_to = RAFT_ID_NOBODY;
        scene_step(from, &ev, NULL);
}

/* S1 leads; S3 was away while 20 entries were committed and 15 of them cut. */
static void set_out(const char *log_of_3)
{
        scene_init(3, 3);
        scene_log(3, log_of_3);
        if (*log_of_3) /* or it could not win */
                for (int i = 1; i <= 2; i++)
                        scene_log(i, "1 9");
        scene_start();
        scene_node(3)->is_cut_off = true;
        scene_node(1)->snapshot_to = RAFT_ID_NOBODY;
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        scene_propose(1, 20);
        scene_run();
        CU_ASSERT_EQUAL(cut(1, 15), RAFT_OK);
        CU_ASSERT_EQUAL(scene_status(1).first_index, 16);
        CU_ASSERT_EQUAL(raft_term_at(scene_node(1)->core, 14), -1);
        CU_ASSERT(raft_term_at(scene_node(1)->core, 15) > 0);
        scene_node(3)->is_cut_off = false;
        scene_live(1500);
        CU_ASSERT_EQUAL(scene_node(1)->snapshot_to.node, 3);
        CU_ASSERT_EQUAL(scene_node(1)->snapshot_at_least, 15);
}

static void test_blank_follower(void)
{
        int64_t last;

        set_out("");
        last = scene_node(1)->last;
        CU_ASSERT(raft_offer_is_valid(scene_node(1)->core, scene_id(3), scene_node(1)->term,
                                      scene_node(1)->snapshot_offer));
        CU_ASSERT_EQUAL(chunk(1, 3, 18), RAFT_OK);
        CU_ASSERT(scene_node(3)->receives);
        CU_ASSERT_EQUAL(scene_node(3)->last, 0);
        scene_node(3)->hold_log = true;
        CU_ASSERT_EQUAL(received(1, 3, 18), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(3)->installed, 18);
        CU_ASSERT_EQUAL(scene_committed(3), 18);
        CU_ASSERT_EQUAL(scene_status(3).members->count, 3);
        sent(1, true, 18);
        scene_run();
        scene_live(500);
        CU_ASSERT_EQUAL(scene_node(3)->last, last);
        CU_ASSERT_EQUAL(scene_status(1).peers[1].match_index, 0); /* nothing of it is durable */
        CU_ASSERT_EQUAL(scene_node(3)->applied, 0);
        scene_node(3)->hold_log = false;
        scene_sync(3);
        scene_run();
        CU_ASSERT_EQUAL(scene_status(1).peers[1].match_index, last);
        CU_ASSERT_EQUAL(scene_node(3)->applied, last);
        CU_ASSERT(scene_same(1, 3, last));
        scene_end();
}

/* A log that parted from the leader's before the snapshot's end is thrown away, though it is longer. */
static void test_conflicting_log(void)
{
        set_out("1 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2");
        CU_ASSERT_EQUAL(scene_node(3)->last, 33);
        CU_ASSERT_EQUAL(chunk(1, 3, 16), RAFT_OK);
        CU_ASSERT(scene_node(3)->receives);
        CU_ASSERT_EQUAL(received(1, 3, 16), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(3)->installed, 16);
        CU_ASSERT_EQUAL(scene_status(3).last_index, 16);
        sent(1, true, 16);
        scene_run();
        CU_ASSERT_EQUAL(scene_node(3)->last, scene_node(1)->last);
        CU_ASSERT(scene_same(1, 3, scene_node(1)->last));
        scene_end();
}

/* A log that has the snapshot's last entry has all before it: nothing is thrown away, it is committed up to there. */
static void test_log_that_has_it(void)
{
        scene_init(3, 3);
        scene_log(1, "1 1 1 1 1 1");
        scene_log(2, "1 1 1 1 1 1");
        scene_log(3, "1 1 1 1 2 2");
        scene_node(1)->vote.term = scene_node(2)->vote.term = 2;
        scene_start();
        scene_node(3)->is_cut_off = true;
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        scene_node(3)->is_cut_off = false;
        CU_ASSERT_EQUAL(chunk(1, 3, 4), RAFT_OK);
        CU_ASSERT(!scene_node(3)->receives);
        CU_ASSERT_EQUAL(scene_committed(3), 4);
        CU_ASSERT_EQUAL(received(1, 3, 4), RAFT_OK); /* of an earlier time, say */
        CU_ASSERT_EQUAL(scene_node(3)->installed, 0);
        CU_ASSERT_EQUAL(scene_committed(3), 4);
        CU_ASSERT_STRING_EQUAL(scene_terms(3), "1 1 1 1 2 2");
        CU_ASSERT_EQUAL(chunk(1, 3, 3), RAFT_OK); /* committed already */
        CU_ASSERT(!scene_node(3)->receives);
        CU_ASSERT_EQUAL(received(1, 3, 3), RAFT_OK);
        CU_ASSERT_EQUAL(scene_status(3).counts.snapshots_skipped, 4);
        scene_end();
}

/* The sending fails: again, a little later, and with what is cut by then. A late report of the first one is not heard. */
static void test_failed_sending(void)
{
        struct raft_event late = { .type = RAFT_EV_SNAPSHOT_SENT };
        uint64_t first;

        set_out("");
        first = scene_node(1)->snapshot_offer;
        sent(1, false, 0);
        CU_ASSERT_EQUAL(scene_node(1)->snapshot_to.node, RAFT_NOBODY);
        CU_ASSERT_EQUAL(cut(1, 18), RAFT_OK);
        scene_live(300);
        CU_ASSERT_EQUAL(scene_node(1)->snapshot_to.node, 3);
        CU_ASSERT_EQUAL(scene_node(1)->snapshot_at_least, 18);
        CU_ASSERT_NOT_EQUAL(scene_node(1)->snapshot_offer, first);
        late.snapshot_sent.to = scene_id(3);
        late.snapshot_sent.offer = first;
        late.snapshot_sent.ok = true;
        late.snapshot_sent.index = 16;
        scene_step(1, &late, NULL);
        CU_ASSERT_EQUAL(scene_status(1).peers[1].progress, RAFT_SEND_SNAPSHOT);
        /* A leader that is none any more has nothing to send. */
        scene_node(1)->is_cut_off = true;
        scene_live(1500);
        CU_ASSERT(!raft_offer_is_valid(scene_node(1)->core, scene_id(3), scene_node(1)->term,
                                       scene_node(1)->snapshot_offer));
        scene_end();
}

/* One that stands when the last chunk is written does not go on with another log than its voters saw. */
static void test_candidate(void)
{
        set_out("");
        CU_ASSERT_EQUAL(chunk(1, 3, 16), RAFT_OK);
        scene_node(3)->is_cut_off = true;
        scene_elect(3);
        CU_ASSERT_EQUAL(scene_node(3)->role, RAFT_PRECANDIDATE);
        CU_ASSERT_EQUAL(received(1, 3, 16), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(3)->installed, 16);
        CU_ASSERT_EQUAL(scene_node(3)->role, RAFT_FOLLOWER);
        /* A leader has all that is committed: for it there is no such snapshot. */
        CU_ASSERT_EQUAL(received(1, 1, 16), RAFT_OK);
        CU_ASSERT_EQUAL(scene_node(1)->installed, 0);
        scene_end();
}

/* A node starts from a snapshot, with members that are named in it, and the rest of its log. */
static void test_start_from_a_cut(void)
{
        scene_init(3, 3);
        scene_log(1, "1 1 1 1 2 2");
        scene_node(1)->cut = 5;
        scene_node(1)->cut_term = 2;
        scene_boot(1);
        CU_ASSERT_EQUAL(scene_status(1).first_index, 6);
        CU_ASSERT_EQUAL(scene_status(1).last_term, 2);
        CU_ASSERT_EQUAL(scene_status(1).term, 2); /* the log proves it */
        CU_ASSERT_EQUAL(scene_committed(1), 5);
        scene_boot(2);
        scene_boot(3);
        scene_elect(1);
        CU_ASSERT_FATAL(scene_leads(1));
        CU_ASSERT_EQUAL(scene_node(1)->snapshot_at_least, 5);
        scene_end();
}

/* A chunk of an old leader is not kept; one of a new leader is its first message. */
static void test_whose_chunk(void)
{
        struct scene_mail mail = { .m = { .type = RAFT_SNAPSHOT, .term = 5, .last_index = 9, .last_term = 5 } };

        scene_init(3, 3);
        scene_start();
        mail.m.from = scene_id(2);
        mail.m.to = scene_id(1);
        CU_ASSERT_EQUAL(scene_give(1, &mail), RAFT_OK);
        CU_ASSERT(scene_node(1)->receives);
        CU_ASSERT_EQUAL(scene_node(1)->leader, 2);
        CU_ASSERT_EQUAL(scene_node(1)->term, 5);
        scene_node(1)->receives = false;
        mail.m.term = 4;
        mail.m.last_term = 4;
        mail.m.from = scene_id(3);
        CU_ASSERT_EQUAL(scene_give(1, &mail), RAFT_OK);
        CU_ASSERT(!scene_node(1)->receives);
        CU_ASSERT_EQUAL(scene.mail[0].m.type, RAFT_APPEND_ANSWER); /* the newer term */
        CU_ASSERT_EQUAL(scene.mail[0].m.term, 5);
        scene_end();
}

static const struct unit_case cases[] = {
        { "a follower without anything", test_blank_follower },
        { "a conflicting log behind a snapshot", test_conflicting_log },
        { "a log that has it already", test_log_that_has_it },
        { "sending fails", test_failed_sending },
        { "a candidate", test_candidate },
        { "a start from a cut", test_start_from_a_cut },
        { "whose chunk", test_whose_chunk },
};

UNIT_MAIN("raft-snapshot", cases)
