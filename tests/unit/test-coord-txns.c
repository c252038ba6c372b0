/* Goal: the machine of the transactions keeps KIP-98, KIP-360 and KIP-890. Method: a small world with time that is set by hand and a
 * trace of everything that comes out, so that a test reads as a story with the expected trace beside each step.
 *
 *   init OK 1000/0         an answer; producer id and epoch
 *   +x Ongoing 1000/0 [t-0 t-1]   a record of the id x    -x  its tombstone
 *   ~x commit 1000/0 [t-0]        markers to send; ! after the epoch: it is above that of the records */
#include "test-coord-txns-world.h"

enum { V1 = COORD_TXN_VERSION_1, V2 = COORD_TXN_VERSION_2 };

/* ---- stories ---- */

static void test_one_transaction(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, -1);
        EXPECT(&w, "init NEED_ID");
        init(&w, "x", -1, -1, 1000);
        EXPECT(&w, "+x Empty 1000/0 init OK 1000/0");
        end(&w, "x", 1000, 0, true, V1, -1);
        EXPECT(&w, "end STATE");
        add(&w, "x", 1000, 0, "t0", false, V1);
        EXPECT(&w, "+x Ongoing 1000/0 [t-0] add OK");
        add(&w, "x", 1000, 0, "t0", false, V1);
        EXPECT(&w, "add OK");
        add(&w, "x", 1000, 0, "u3 t2 t1", false, V1);
        EXPECT(&w, "+x Ongoing 1000/0 [t-0 t-1 t-2 u-3] add OK");
        end(&w, "x", 1000, 0, true, V1, -1);
        EXPECT(&w, "+x PrepareCommit 1000/0 [t-0 t-1 t-2 u-3] end OK 1000/0 ~x commit 1000/0 [t-0 t-1 t-2 u-3]");
        /* Until all have their markers the next one cannot begin. */
        add(&w, "x", 1000, 0, "t0", false, V1);
        EXPECT(&w, "add CONCURRENT");
        init(&w, "x", -1, -1, -1);
        EXPECT(&w, "init CONCURRENT");
        end(&w, "x", 1000, 0, true, V1, -1);
        EXPECT(&w, "end CONCURRENT");
        end(&w, "x", 1000, 0, false, V1, -1);
        EXPECT(&w, "end STATE");
        marked(&w);
        EXPECT(&w, "+x CompleteCommit 1000/0");
        end(&w, "x", 1000, 0, true, V1, -1); /* its answer was lost */
        EXPECT(&w, "end OK 1000/0");
        end(&w, "x", 1000, 0, false, V1, -1);
        EXPECT(&w, "end STATE");
        add(&w, "x", 1000, 0, "t5", false, V1);
        EXPECT(&w, "+x Ongoing 1000/0 [t-5] add OK");
        end(&w, "x", 1000, 0, false, V1, -1);
        marked(&w);
        EXPECT(&w, "+x PrepareAbort 1000/0 [t-5] end OK 1000/0 ~x abort 1000/0 [t-5] +x CompleteAbort 1000/0");
        world_fini(&w);
}

/* Nobody is told to end anything before the decision is committed. */
static void test_decision_first(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        add(&w, "x", 1, 0, "t0", false, V1);
        w.trace[0] = 0;
        w.hold_commits = true;
        end(&w, "x", 1, 0, true, V1, -1);
        EXPECT(&w, "+x PrepareCommit 1/0 [t-0] end OK 1/0");
        commit_all(&w);
        EXPECT(&w, "~x commit 1/0 [t-0]");
        w.hold_commits = false;
        marked(&w);
        world_fini(&w);
}

static void test_who_may(void)
{
        struct world w;

        world_init(&w);
        add(&w, "x", 1, 0, "t0", false, V1);
        end(&w, "x", 1, 0, true, V2, -1);
        EXPECT(&w, "add UNKNOWN end UNKNOWN");
        init(&w, "x", -1, -1, 1);
        init(&w, "x", -1, -1, -1);
        EXPECT(&w, "+x Empty 1/0 init OK 1/0 +x Empty 1/1 init OK 1/1");
        add(&w, "x", 2, 1, "t0", false, V1);
        EXPECT(&w, "add UNKNOWN");
        add(&w, "x", 1, 0, "t0", false, V1);
        EXPECT(&w, "add FENCED");
        add(&w, "x", 1, 2, "t0", false, V1); /* from the future */
        EXPECT(&w, "add FENCED");
        end(&w, "x", 1, 0, true, V1, -1);
        end(&w, "x", 1, 2, true, V2, -1);
        end(&w, "x", 7, 1, true, V2, -1);
        EXPECT(&w, "end FENCED end FENCED end UNKNOWN");
        init(&w, "", -1, -1, 1);
        EXPECT(&w, "init INVALID_ID");
        world_fini(&w);
}

/* A new producer ends what the one before has left open, under an epoch that nobody gets. */
static void test_fencing(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        add(&w, "x", 1, 0, "t0", false, V1);
        w.trace[0] = 0;
        init(&w, "x", -1, -1, -1);
        EXPECT(&w, "+x PrepareAbort 1/1 [t-0] init CONCURRENT ~x abort 1/1! [t-0]");
        end(&w, "x", 1, 0, true, V1, -1);
        EXPECT(&w, "end FENCED");
        marked(&w);
        init(&w, "x", -1, -1, -1);
        EXPECT(&w, "+x CompleteAbort 1/1 +x Empty 1/2 init OK 1/2");
        world_fini(&w);
}

/* KIP-360: a producer gets its next epoch; and again, when the answer was lost. */
static void test_same_producer(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        w.trace[0] = 0;
        init(&w, "x", 1, 0, -1);
        EXPECT(&w, "+x Empty 1/1 init OK 1/1");
        init(&w, "x", 1, 0, -1);
        EXPECT(&w, "+x Empty 1/1 init OK 1/1");
        init(&w, "x", 1, 1, -1);
        EXPECT(&w, "+x Empty 1/2 init OK 1/2");
        init(&w, "x", 1, 0, -1);
        EXPECT(&w, "init FENCED");
        init(&w, "x", 2, 2, -1);
        EXPECT(&w, "init FENCED");
        world_fini(&w);
}

/* KIP-890: the epoch grows with each transaction. */
static void test_version_2(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        add(&w, "x", 1, 0, "t0", false, V2);
        w.trace[0] = 0;
        end(&w, "x", 1, 0, true, V2, -1);
        EXPECT(&w, "+x PrepareCommit 1/1 [t-0] end OK 1/1 ~x commit 1/1! [t-0]");
        end(&w, "x", 1, 0, true, V2, -1); /* again */
        EXPECT(&w, "end CONCURRENT");
        marked(&w);
        end(&w, "x", 1, 0, true, V2, -1);
        EXPECT(&w, "+x CompleteCommit 1/1 end OK 1/1");
        end(&w, "x", 1, 0, false, V2, -1);
        EXPECT(&w, "end STATE");
        end(&w, "x", 1, 1, true, V2, -1); /* of a transaction that never began */
        EXPECT(&w, "end STATE");
        end(&w, "x", 1, 1, false, V2, -1); /* nobody knows what is on its way: the next epoch keeps it out */
        EXPECT(&w, "+x PrepareAbort 1/2 end OK 1/2 +x CompleteAbort 1/2");
        add(&w, "x", 1, 1, "t0", false, V2);
        EXPECT(&w, "add FENCED");
        add(&w, "x", 1, 2, "t0", false, V2);
        end(&w, "x", 1, 2, false, V2, -1);
        marked(&w);
        EXPECT(&w, "+x Ongoing 1/2 [t-0] add OK +x PrepareAbort 1/3 [t-0] end OK 1/3 ~x abort 1/3! [t-0] "
                   "+x CompleteAbort 1/3");
        world_fini(&w);
}

/* Epochs end; another producer id goes on. */
static void test_epochs_end(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        for (int i = 0; i < INT16_MAX - 2; i++) {
                end(&w, "x", 1, (int16_t)i, false, V2, -1);
                w.trace[0] = 0;
        }
        add(&w, "x", 1, INT16_MAX - 2, "t0", false, V2);
        end(&w, "x", 1, INT16_MAX - 2, true, V2, -1);
        marked(&w);
        EXPECT(&w, "+x Ongoing 1/32765 [t-0] add OK +x PrepareCommit 1/32766 [t-0] end OK 1/32766 "
                   "~x commit 1/32766! [t-0] +x CompleteCommit 1/32766");
        add(&w, "x", 1, INT16_MAX - 1, "t0", false, V2);
        end(&w, "x", 1, INT16_MAX - 1, true, V2, -1);
        EXPECT(&w, "+x Ongoing 1/32766 [t-0] add OK end NEED_ID");
        end(&w, "x", 1, INT16_MAX - 1, true, V2, 2);
        EXPECT(&w, "+x PrepareCommit 1/32767 [t-0] end OK 2/0 ~x commit 1/32767! [t-0]");
        reload(&w);
        EXPECT(&w, "~x commit 1/32767! [t-0]");
        marked(&w);
        EXPECT(&w, "+x CompleteCommit 2/0");
        end(&w, "x", 1, INT16_MAX - 1, true, V2, -1); /* its answer was lost */
        EXPECT(&w, "end OK 2/0");
        reload(&w);
        end(&w, "x", 1, INT16_MAX - 1, true, V2, -1);
        EXPECT(&w, "end OK 2/0");
        add(&w, "x", 2, 0, "t0", false, V2);
        EXPECT(&w, "+x Ongoing 2/0 [t-0] add OK");
        world_fini(&w);

        world_init(&w); /* the same for who asks for epochs */
        init(&w, "y", -1, -1, 1);
        for (int i = 0; i < INT16_MAX - 1; i++) {
                init(&w, "y", -1, -1, -1);
                w.trace[0] = 0;
        }
        init(&w, "y", -1, -1, -1);
        EXPECT(&w, "init NEED_ID");
        init(&w, "y", -1, -1, 2);
        EXPECT(&w, "+y Empty 2/0 init OK 2/0");
        world_fini(&w);
}

static void test_time_is_up(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        add(&w, "x", 1, 0, "t0", false, V1);
        w.trace[0] = 0;
        pass(&w, 30000);
        reload(&w); /* what is left of the time is known again */
        pass(&w, 29999);
        EXPECT(&w, "");
        pass(&w, 1);
        EXPECT(&w, "+x PrepareAbort 1/1 [t-0] ~x abort 1/1! [t-0]");
        end(&w, "x", 1, 0, true, V1, -1);
        EXPECT(&w, "end FENCED");
        marked(&w);
        EXPECT(&w, "+x CompleteAbort 1/1");
        pass(&w, w.conf.expiry_ms - 1);
        EXPECT(&w, "");
        pass(&w, 1); /* nobody has used the id for a week */
        EXPECT(&w, "-x");
        reload(&w);
        add(&w, "x", 1, 1, "t0", false, V1);
        EXPECT(&w, "add UNKNOWN");
        init(&w, "x", 1, 1, 9); /* one that lives on */
        EXPECT(&w, "+x Empty 9/0 init OK 9/0");
        world_fini(&w);
}

/* Leaders ask for clients that have said themselves what takes part. */
static void test_verify(void)
{
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        add(&w, "x", 1, 0, "t0", false, V1);
        w.trace[0] = 0;
        add(&w, "x", 1, 0, "t0 t1", true, V1);
        EXPECT(&w, "verify OK t1:STATE");
        add(&w, "x", 1, 1, "t0", true, V1);
        add(&w, "x", 2, 0, "t0", true, V1);
        add(&w, "y", 1, 0, "t0", true, V1);
        EXPECT(&w, "verify FENCED verify UNKNOWN verify UNKNOWN");
        end(&w, "x", 1, 0, true, V1, -1);
        w.trace[0] = 0;
        add(&w, "x", 1, 0, "t0", true, V1);
        EXPECT(&w, "verify CONCURRENT");
        marked(&w);
        w.trace[0] = 0;
        add(&w, "x", 1, 0, "t0", true, V1);
        EXPECT(&w, "verify OK t0:STATE");
        world_fini(&w);
}

static bool exists(void *arg, struct str topic, int32_t partition)
{
        return partition < 3;
}

static void test_limits(void)
{
        struct world w;

        world_init(&w);
        w.conf.partition_exists = exists;
        w.conf.record_len_max = 150;
        reload(&w);
        init(&w, "x", -1, -1, 1);
        w.trace[0] = 0;
        add(&w, "x", 1, 0, "t0 t9", false, V1);
        EXPECT(&w, "add OK t0:NOT_ATTEMPTED t9:NO_PARTITION");
        add(&w, "x", 1, 0, "t0", false, V1);
        EXPECT(&w, "+x Ongoing 1/0 [t-0] add OK");
        add(&w, "x", 1, 0, "u0 v0 w0", false, V1);
        EXPECT(&w, "add TOO_LARGE");
        w.conf.memory_max = 1;
        reload(&w);
        w.trace[0] = 0;
        init(&w, "y", -1, -1, 2);
        EXPECT(&w, "init NO_ROOM");
        world_fini(&w);
}

/* Whatever the moment in which the coordinator goes: what was decided is ended as it was decided. */
static void test_reload_anywhere(void)
{
        struct world w;

        for (int8_t version = V1; version <= V2; version++)
                for (int commit = 0; commit < 2; commit++) {
                        int16_t epoch = version == V2;

                        world_init(&w);
                        init(&w, "x", -1, -1, 1);
                        reload(&w);
                        add(&w, "x", 1, 0, "t0 u1", false, version);
                        w.trace[0] = 0;
                        reload(&w);
                        EXPECT(&w, "");
                        end(&w, "x", 1, 0, commit, version, -1);
                        CU_ASSERT_EQUAL(w.marks_count, 1);
                        w.trace[0] = 0;
                        reload(&w);
                        CU_ASSERT_EQUAL_FATAL(w.marks_count, 1);
                        CU_ASSERT_EQUAL(w.marks[0]->commit, commit);
                        CU_ASSERT_EQUAL(w.marks[0]->producer_epoch, epoch);
                        CU_ASSERT_EQUAL(w.marks[0]->bumped, version == V2);
                        CU_ASSERT_EQUAL(w.marks[0]->items_count, 2);
                        w.trace[0] = 0;
                        end(&w, "x", 1, 0, commit, version, -1);
                        EXPECT(&w, "end CONCURRENT");
                        marked(&w);
                        w.trace[0] = 0;
                        reload(&w);
                        CU_ASSERT_EQUAL(w.marks_count, 0);
                        end(&w, "x", 1, 0, commit, version, -1);
                        EXPECT(&w, epoch ? "end OK 1/1" : "end OK 1/0");
                        add(&w, "x", 1, epoch, "t0", false, version);
                        EXPECT(&w, epoch ? "+x Ongoing 1/1 [t-0] add OK" : "+x Ongoing 1/0 [t-0] add OK");
                        world_fini(&w);
                }
}

static void test_operators(void)
{
        struct coord_txn_describe d;
        struct coord_txn_list l;
        struct world w;

        world_init(&w);
        init(&w, "x", -1, -1, 1);
        init(&w, "y", -1, -1, 2);
        add(&w, "y", 2, 0, "t0 u1 t1", false, V1);
        memset(&d, 0, sizeof d);
        coord_request_init(&d.rq, COORD_TXN_DESCRIBE, STR_LIT("y"));
        ask(&w, &d.rq);
        CU_ASSERT_EQUAL(d.rq.outcome, COORD_OK);
        CU_ASSERT_EQUAL(d.ret_state, COORD_TXN_ONGOING);
        CU_ASSERT_EQUAL(d.ret_producer_id, 2);
        CU_ASSERT_EQUAL(d.ret_timeout_ms, 60000);
        CU_ASSERT_EQUAL(d.ret_start_ms, w.now.wall_ms);
        CU_ASSERT_EQUAL(d.ret_items_count, 3);
        coord_request_fini(&d.rq);
        coord_request_init(&d.rq, COORD_TXN_DESCRIBE, STR_LIT("z"));
        ask(&w, &d.rq);
        CU_ASSERT_EQUAL(d.rq.outcome, COORD_E_TXN_NOT_FOUND);
        coord_request_fini(&d.rq);
        for (int i = 0; i < 4; i++) {
                const int64_t two = 2;

                memset(&l, 0, sizeof l);
                coord_request_init(&l.rq, COORD_TXN_LIST, STR_NULL);
                l.running_ms = i == 3 ? 1000 : -1;
                l.states_mask = i == 1 ? 1 << COORD_TXN_EMPTY : 0;
                l.producer_ids = &two;
                l.producer_ids_count = i == 2;
                if (i == 3)
                        pass(&w, 1001);
                ask(&w, &l.rq);
                CU_ASSERT_EQUAL(l.ret_txns_count, i == 0 ? 2 : 1);
                CU_ASSERT(str_equal_c(l.ret_txns[l.ret_txns_count - 1].id, i == 1 ? "x" : "y"));
                coord_request_fini(&l.rq);
        }
        world_fini(&w);
}

/* An open transaction is aborted under the next epoch, which keeps its producer out; nothing else can be aborted. */
static void test_operator_aborts(void)
{
        for (int8_t version = V1; version <= V2; version++) {
                struct world w;

                world_init(&w);
                abort_by_operator(&w, "x");
                EXPECT(&w, "abort NOT_FOUND");
                init(&w, "x", -1, -1, 1);
                EXPECT(&w, "+x Empty 1/0 init OK 1/0");
                abort_by_operator(&w, "x");
                EXPECT(&w, "abort STATE");
                add(&w, "x", 1, 0, "t0", false, version);
                EXPECT(&w, "+x Ongoing 1/0 [t-0] add OK");
                abort_by_operator(&w, "x");
                EXPECT(&w, "+x PrepareAbort 1/1 [t-0] abort OK ~x abort 1/1! [t-0]");
                abort_by_operator(&w, "x");
                EXPECT(&w, "abort CONCURRENT");
                reload(&w);
                EXPECT(&w, version == V1 ? "~x abort 1/1 [t-0]" : "~x abort 1/1! [t-0]");
                marked(&w);
                EXPECT(&w, "+x CompleteAbort 1/1");
                abort_by_operator(&w, "x");
                EXPECT(&w, "abort STATE");
                add(&w, "x", 1, 0, "t0", false, V1);
                EXPECT(&w, "add FENCED");
                world_fini(&w);
        }
}

/* Random courses with reloads anywhere: the epoch never goes back, and no id has two transactions at a time. */
static void test_random(void)
{
        unsigned seed = 1;

        for (int run = 0; run < 200; run++) {
                int64_t producer_id = -1;
                int16_t epoch = -1;
                bool open = false;
                int8_t version = run % 2 ? V2 : V1;
                struct world w;

                world_init(&w);
                for (int step = 0; step < 200; step++) {
                        char what;

                        seed = seed * 1103515245 + 12345;
                        what = "iaaaeeemmmrp"[(seed >> 16) % 12];
                        w.trace[0] = 0;
                        switch (what) {
                        case 'i':
                                init(&w, "x", -1, -1, 1);
                                if (sscanf(strstr(w.trace, "init"), "init OK %ld/%hd", &producer_id, &epoch) == 2)
                                        open = false;
                                else
                                        epoch = -2; /* it is fenced, or would be */
                                break;
                        case 'a':
                                add(&w, "x", producer_id, epoch, "t0 t1", false, version);
                                if (strstr(w.trace, "add OK"))
                                        open = true;
                                break;
                        case 'e':
                                end(&w, "x", producer_id, epoch, (seed >> 20) & 1, version, -1);
                                if (strstr(w.trace, "end OK")) {
                                        CU_ASSERT(open || version == V2 || !strstr(w.trace, "~x"));
                                        sscanf(strstr(w.trace, "end OK"), "end OK %ld/%hd", &producer_id, &epoch);
                                        open = false;
                                }
                                break;
                        case 'm':
                                if (w.marks_count)
                                        marked(&w);
                                break;
                        case 'r':
                                reload(&w);
                                break;
                        case 'p':
                                pass(&w, 20000);
                                break;
                        }
                        CU_ASSERT(w.marks_count <= 1);
                }
                world_fini(&w);
        }
}

static const struct unit_case cases[] = {
        { "one transaction after the other", test_one_transaction },
        { "the decision is committed first", test_decision_first },
        { "who may", test_who_may },
        { "a new producer fences the one before", test_fencing },
        { "the same producer asks for its next epoch", test_same_producer },
        { "version 2", test_version_2 },
        { "epochs end", test_epochs_end },
        { "time is up", test_time_is_up },
        { "leaders ask", test_verify },
        { "limits", test_limits },
        { "a coordinator goes at any moment", test_reload_anywhere },
        { "operators", test_operators },
        { "an operator aborts", test_operator_aborts },
        { "random courses", test_random },
};

UNIT_MAIN("coord-txns", cases)
