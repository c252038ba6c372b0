/* Goal: members of a share group get each record one at a time, are told of what they acknowledge when it is written, wait for records and are woken,
 * and nothing that was acknowledged comes again, whatever fails. Method: each rule by name, on a real log with a coordinator that can be held
 * up; then, at random, members, failures and restarts against a list of what was acknowledged. */
#include <errno.h>
#include <stdlib.h>

#include "plog-txn.h"
#include "share-world.h"

static void test_shared(void)
{
        struct member a = { .id = "a", .connection = 1 }, b = { .id = "b", .connection = 2 };
        struct asked q;
        struct world w;

        world_init(&w);
        world_append(&w, 10);
        world_append(&w, 10);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 5000;
        q.ask.records_max = 5; /* to the end of the batch */
        asked_run(&w, &q, &a);
        CU_ASSERT(got(&q, 0, 9, 1));
        CU_ASSERT_EQUAL(w.writes, 1); /* where the group begins */
        share_ask_fini(&q.ask);
        fetch(&w, &q, &b, 0);
        CU_ASSERT(got(&q, 10, 19, 1));
        share_ask_fini(&q.ask);
        fetch(&w, &q, &b, 0);
        CU_ASSERT(got_nothing(&q));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(acknowledge(&w, &b, 0, 9, SHARE_ACCEPT), SHARES_E_STATE); /* not its own */
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 9, SHARE_ACCEPT), SHARES_OK);
        CU_ASSERT_EQUAL(w.start, 10);
        CU_ASSERT_EQUAL(acknowledge(&w, &b, 10, 14, SHARE_ACCEPT), SHARES_OK);
        CU_ASSERT_EQUAL(w.start, 15);
        /* A new leader reads what was written: the others come again. */
        world_close(&w);
        world_open(&w);
        a.epoch = 0;
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 15, 19, 1));
        share_ask_fini(&q.ask);
        world_fini(&w);
}

static void test_strict(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        struct world w;

        world_init(&w);
        world_append(&w, 10);
        world_append(&w, 10);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 5000;
        q.ask.records_max = 3;
        q.ask.strict = true;
        asked_run(&w, &q, &a);
        CU_ASSERT(got(&q, 0, 2, 1));
        share_ask_fini(&q.ask);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.records_max = 9;
        q.ask.strict = true;
        asked_run(&w, &q, &a);
        CU_ASSERT(got(&q, 3, 11, 1));
        share_ask_fini(&q.ask);
        world_fini(&w);
}

static void test_written_first(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q, second;
        struct world w;

        world_init(&w);
        world_append(&w, 10);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 9, 1));
        share_ask_fini(&q.ask);
        w.held = true;
        asked_init(&q, &a, SHARE_ACKNOWLEDGE);
        asked_ack(&q, 0, 3, SHARE_ACCEPT);
        asked_submit(&w, &q, &a);
        asked_init(&second, &a, SHARE_ACKNOWLEDGE);
        asked_ack(&second, 4, 9, SHARE_REJECT);
        asked_submit(&w, &second, &a);
        CU_ASSERT(!world_wait(&w, &q.done, 20));
        CU_ASSERT(!second.done);
        coordinator_let_go(&w);
        CU_ASSERT(world_wait(&w, &second.done, 5000));
        CU_ASSERT(q.done && !q.ask.ret_rows[0].ack_outcome && !second.ask.ret_rows[0].ack_outcome);
        CU_ASSERT_EQUAL(w.start, 10);
        share_ask_fini(&q.ask);
        share_ask_fini(&second.ask);
        world_fini(&w);
}

static void test_renewed(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        unsigned writes;
        struct world w;

        world_init(&w);
        world_append(&w, 2);
        fetch(&w, &q, &a, 5000);
        share_ask_fini(&q.ask);
        writes = w.writes;
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 1, SHARE_RENEW), SHARES_OK);
        CU_ASSERT_EQUAL(w.writes, writes);
        w.settings.may_renew = false;
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 1, SHARE_RENEW), SHARES_E_STATE);
        world_fini(&w);
}

static void test_comes_again(void)
{
        struct member a = { .id = "a", .connection = 1 }, b = { .id = "b", .connection = 2 };
        struct asked q;
        struct world w;

        world_init(&w);
        w.settings.part.lock_ms = 50;
        world_append(&w, 4);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 3, 1));
        share_ask_fini(&q.ask);
        fetch(&w, &q, &b, 5000); /* is woken when the time is up */
        CU_ASSERT(got(&q, 0, 3, 2));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 3, SHARE_ACCEPT), SHARES_E_STATE);
        CU_ASSERT_EQUAL(acknowledge(&w, &b, 0, 1, SHARE_RELEASE), SHARES_OK);
        CU_ASSERT_EQUAL(acknowledge(&w, &b, 2, 3, SHARE_ACCEPT), SHARES_OK);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 1, 3));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(w.runs[0].state, SHARE_AVAILABLE);
        CU_ASSERT_EQUAL(w.runs[0].deliveries, 2);
        world_fini(&w);
}

static void test_connection(void)
{
        struct member a = { .id = "a", .connection = 1 }, b = { .id = "b", .connection = 2 };
        struct asked q, waits;
        struct world w;

        world_init(&w);
        world_append(&w, 4);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 3, 1));
        share_ask_fini(&q.ask);
        asked_init(&waits, &b, SHARE_FETCH);
        waits.ask.wait_ms = 10000;
        asked_submit(&w, &waits, &b);
        CU_ASSERT(!world_wait(&w, &waits.done, 20));
        shares_connection_closed(w.shares, 1);
        CU_ASSERT(world_wait(&w, &waits.done, 5000));
        CU_ASSERT(got(&waits, 0, 3, 2));
        share_ask_fini(&waits.ask);
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 3, SHARE_ACCEPT), SHARES_E_NO_SESSION);
        /* Who waits on a connection that is gone is given nothing. */
        asked_init(&waits, &b, SHARE_FETCH);
        waits.ask.wait_ms = 10000;
        asked_submit(&w, &waits, &b);
        CU_ASSERT(!world_wait(&w, &waits.done, 20));
        shares_connection_closed(w.shares, 2);
        CU_ASSERT(world_wait(&w, &waits.done, 5000));
        CU_ASSERT(got_nothing(&waits));
        share_ask_fini(&waits.ask);
        a.epoch = 0;
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 3, 3));
        share_ask_fini(&q.ask);
        world_fini(&w);
}

static int session_outcome(struct world *w, struct member *m, enum share_ask_kind kind)
{
        struct asked q;
        int outcome;

        asked_init(&q, m, kind);
        asked_run(w, &q, m);
        outcome = q.ask.outcome;
        share_ask_fini(&q.ask);
        return outcome;
}

static void test_sessions(void)
{
        struct member a = { .id = "a", .connection = 1, .epoch = 1 }, b = { .id = "b", .connection = 2 };
        struct asked q;
        struct world w;

        world_init(&w);
        w.sessions_max = 1;
        world_close(&w);
        world_open(&w);
        world_append(&w, 4);
        CU_ASSERT_EQUAL(session_outcome(&w, &a, SHARE_FETCH), SHARES_E_NO_SESSION);
        a.epoch = 0;
        CU_ASSERT_EQUAL(session_outcome(&w, &a, SHARE_ACKNOWLEDGE), SHARES_E_SESSION_EPOCH);
        a.epoch = 0;
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 3, 1));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(session_outcome(&w, &b, SHARE_FETCH), SHARES_E_SESSIONS_FULL);
        a.epoch = 7;
        CU_ASSERT_EQUAL(session_outcome(&w, &a, SHARE_FETCH), SHARES_E_SESSION_EPOCH);
        a.epoch = 1;
        /* The end of a session takes what it says, and gives back the rest. */
        a.epoch = SHARE_EPOCH_CLOSE;
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 1, SHARE_ACCEPT), SHARES_OK);
        CU_ASSERT_EQUAL(session_outcome(&w, &a, SHARE_ACKNOWLEDGE), SHARES_E_NO_SESSION);
        b.epoch = 0;
        fetch(&w, &q, &b, 5000);
        CU_ASSERT(got(&q, 2, 3, 2));
        share_ask_fini(&q.ask);
        /* What is not named is remembered; what is forgotten is not fetched. */
        world_append(&w, 2);
        asked_init(&q, &b, SHARE_FETCH);
        q.ask.rows_count = 0;
        asked_run(&w, &q, &b);
        CU_ASSERT(got(&q, 4, 5, 1));
        share_ask_fini(&q.ask);
        world_append(&w, 2);
        asked_init(&q, &b, SHARE_FETCH);
        q.ask.rows_count = 0;
        q.ask.forgets = &(struct share_place){ topic_id, 0 };
        q.ask.forgets_count = 1;
        asked_run(&w, &q, &b);
        CU_ASSERT_EQUAL(q.ask.ret_rows_count, 0);
        share_ask_fini(&q.ask);
        world_fini(&w);
}

static void test_waits(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        struct world w;

        world_init(&w);
        w.settings.reset = SHARE_RESET_LATEST;
        world_append(&w, 4);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 10000;
        asked_submit(&w, &q, &a);
        CU_ASSERT(!world_wait(&w, &q.done, 50));
        world_append(&w, 2);
        CU_ASSERT(world_wait(&w, &q.done, 5000));
        CU_ASSERT(got(&q, 4, 5, 1));
        share_ask_fini(&q.ask);
        /* An acknowledgement is answered although there is nothing to fetch. */
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 10000;
        asked_ack(&q, 4, 5, SHARE_ACCEPT);
        asked_run(&w, &q, &a);
        CU_ASSERT(got_nothing(&q));
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].ack_outcome, SHARES_OK);
        CU_ASSERT_EQUAL(w.start, 6);
        share_ask_fini(&q.ask);
        fetch(&w, &q, &a, 30); /* the time is up */
        CU_ASSERT(got_nothing(&q));
        share_ask_fini(&q.ask);
        world_fini(&w);
}

static void test_by_time(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct plog_append_result res;
        struct asked q;
        struct world w;

        world_init(&w);
        w.settings.reset = SHARE_RESET_BY_TIME;
        w.settings.reset_back_ms = 3600 * 1000;
        append_want(w.scene.log, &(struct batch_want){ .count = 3, .timestamp = clock_wall_ms() - 7200 * 1000 }, &res);
        append_want(w.scene.log, &(struct batch_want){ .count = 3, .timestamp = clock_wall_ms() - 60 * 1000 }, &res);
        wait_durable(w.scene.log);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 3, 5, 1));
        share_ask_fini(&q.ask);
        world_fini(&w);
}

static void test_committed(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        struct world w;

        world_init(&w);
        w.settings.read_committed = true;
        CU_ASSERT_EQUAL(put_data(w.scene.log, 1, 0, true), 0);
        CU_ASSERT_EQUAL(put_data(w.scene.log, 2, 0, true), 1);
        CU_ASSERT_EQUAL(put_marker(w.scene.log, 1, false), 2);
        CU_ASSERT_EQUAL(put_data(w.scene.log, 0, 0, false), 3);
        wait_durable(w.scene.log);
        fetch(&w, &q, &a, 20); /* the second transaction is open */
        CU_ASSERT(got_nothing(&q));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(put_marker(w.scene.log, 2, true), 4);
        wait_durable(w.scene.log);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 5000;
        asked_run(&w, &q, &a);
        CU_ASSERT_EQUAL_FATAL(q.ask.ret_rows[0].acquired_count, 2);
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].acquired[0].first, 1);
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].acquired[0].last, 1);
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].acquired[1].first, 3);
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 1, 1, SHARE_ACCEPT), SHARES_OK);
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 3, 3, SHARE_ACCEPT), SHARES_OK);
        CU_ASSERT_EQUAL(w.start, 5); /* behind the marker, too */
        world_fini(&w);
}

static void test_coordinator_fails(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        struct world w;

        world_init(&w);
        world_append(&w, 4);
        w.fails_with = COORD_E_LOADING; /* is waited for */
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 10000;
        asked_submit(&w, &q, &a);
        CU_ASSERT(!world_wait(&w, &q.done, 50));
        w.fails_with = 0;
        CU_ASSERT(world_wait(&w, &q.done, 5000));
        CU_ASSERT(got(&q, 0, 3, 1));
        share_ask_fini(&q.ask);
        w.fails_with = COORD_E_NOT_COORDINATOR;
        asked_init(&q, &a, SHARE_ACKNOWLEDGE);
        asked_ack(&q, 0, 0, SHARE_ACCEPT);
        asked_submit(&w, &q, &a);
        CU_ASSERT(!world_wait(&w, &q.done, 50));
        w.fails_with = 0;
        CU_ASSERT(world_wait(&w, &q.done, 5000));
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].ack_outcome, SHARES_OK);
        CU_ASSERT_EQUAL(w.start, 1);
        share_ask_fini(&q.ask);
        /* The state was altered meanwhile: what is said of the old one counts no more, and the new one is read. */
        w.state_epoch++;
        w.start = 2;
        w.runs_count = 0;
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 1, 3, SHARE_ACCEPT), PARTITION_E_NOT_LEADER);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 2, 3, 1));
        share_ask_fini(&q.ask);
        /* There is no such group any more. */
        w.fails_with = COORD_E_GROUP_NOT_FOUND;
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 2, 3, SHARE_ACCEPT), SHARES_E_NO_GROUP);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].outcome, SHARES_E_NO_GROUP);
        share_ask_fini(&q.ask);
        w.fails_with = 0;
        world_fini(&w);
}

static void test_leader_moves(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        struct world w;

        world_init(&w);
        world_append(&w, 4);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 3, 1));
        share_ask_fini(&q.ask);
        say(w.scene.p, 0, 6, 1, 1, 1); /* leads again, in a later epoch */
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 1, SHARE_ACCEPT), PARTITION_E_NOT_LEADER);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 0, 3, 1));
        CU_ASSERT_EQUAL(w.leader_epoch, 6);
        share_ask_fini(&q.ask);
        w.leader_epoch = 8; /* somebody else has read it */
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 1, SHARE_ACCEPT), PARTITION_E_NOT_LEADER);
        w.leader_epoch = 6;
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 10000;
        asked_submit(&w, &q, &a);
        CU_ASSERT(world_wait(&w, &q.done, 5000)); /* read anew */
        share_ask_fini(&q.ask);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 10000;
        asked_submit(&w, &q, &a);
        CU_ASSERT(!world_wait(&w, &q.done, 20));
        say(w.scene.p, 1, 9, 2, 2, 2); /* another node leads: who waits is told */
        CU_ASSERT(world_wait(&w, &q.done, 5000));
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].outcome, PARTITION_E_NOT_LEADER);
        share_ask_fini(&q.ask);
        asked_init(&q, &a, SHARE_FETCH);
        q.rows[0].place = (struct share_place){ { { 9 } }, 0 };
        q.ask.rows_count = 1;
        asked_run(&w, &q, &a);
        CU_ASSERT_EQUAL(q.ask.ret_rows[0].outcome, SHARES_E_UNKNOWN_TOPIC);
        share_ask_fini(&q.ask);
        world_fini(&w);
}

/* A request for a partition that is not led here. */
static int elsewhere(struct world *w, struct member *m, enum share_ask_kind kind, int32_t index)
{
        struct asked q;
        int outcome;

        asked_init(&q, m, kind);
        q.rows[0].place.index = index;
        if (kind == SHARE_ACKNOWLEDGE)
                asked_ack(&q, 0, 0, SHARE_ACCEPT);
        asked_run(w, &q, m);
        outcome = kind == SHARE_FETCH ? q.ask.ret_rows[0].outcome : q.ask.ret_rows[0].ack_outcome;
        share_ask_fini(&q.ask);
        return outcome;
}

static void test_elsewhere(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct world w;

        world_init(&w);
        CU_ASSERT_EQUAL(elsewhere(&w, &a, SHARE_FETCH, 1), PARTITION_E_NOT_LEADER);
        CU_ASSERT_EQUAL(elsewhere(&w, &a, SHARE_FETCH, 2), SHARES_E_UNKNOWN_PARTITION);
        CU_ASSERT_EQUAL(elsewhere(&w, &a, SHARE_ACKNOWLEDGE, 1), PARTITION_E_NOT_LEADER);
        CU_ASSERT_EQUAL(elsewhere(&w, &a, SHARE_ACKNOWLEDGE, 2), SHARES_E_UNKNOWN_PARTITION);
        CU_ASSERT_EQUAL(elsewhere(&w, &a, SHARE_ACKNOWLEDGE, 0), SHARES_E_STATE);
        world_fini(&w);
}

static bool has_ended;

static void look_for_cells(struct world *w)
{
        struct shares_stats s;

        shares_stats(w->shares, &s);
        has_ended = !s.cells;
}

/* With the last member goes what is known here: an operator may alter it at the coordinator. */
static void test_left(void)
{
        struct member a = { .id = "a", .connection = 1 }, b = { .id = "b", .connection = 2 };
        struct asked q, waits;
        struct world w;

        world_init(&w);
        world_append(&w, 4);
        for (int round = 0; round < 3; round++) {
                a.epoch = b.epoch = 0;
                fetch(&w, &q, &a, 5000);
                CU_ASSERT(got(&q, 0, 3, 1));
                share_ask_fini(&q.ask);
                asked_init(&waits, &b, SHARE_FETCH);
                waits.ask.wait_ms = 10000;
                asked_submit(&w, &waits, &b);
                a.epoch = SHARE_EPOCH_CLOSE;
                CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 3, SHARE_ACCEPT), SHARES_OK);
                look_for_cells(&w);
                CU_ASSERT(!has_ended); /* the other one is there */
                shares_connection_closed(w.shares, 2);
                CU_ASSERT(world_wait(&w, &waits.done, 5000));
                share_ask_fini(&waits.ask);
                look_for_cells(&w);
                CU_ASSERT(has_ended);
                w.start = 0;
                w.state_epoch++;
        }
        world_fini(&w);
}

/* Not before the coordinator knows what the last one has left; one that comes meanwhile goes on with what is known here. */
static void test_left_unwritten(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q, closes;
        struct world w;

        world_init(&w);
        world_append(&w, 4);
        for (int comes_again = 0; comes_again < 2; comes_again++) {
                a.epoch = 0;
                fetch(&w, &q, &a, 5000);
                CU_ASSERT(got(&q, 0, 3, 1 + comes_again));
                share_ask_fini(&q.ask);
                w.held = true;
                a.epoch = SHARE_EPOCH_CLOSE;
                asked_init(&closes, &a, SHARE_ACKNOWLEDGE);
                asked_ack(&closes, 0, 0, comes_again ? SHARE_ACCEPT : SHARE_RELEASE);
                asked_submit(&w, &closes, &a);
                CU_ASSERT(!world_wait(&w, &closes.done, 20));
                look_for_cells(&w);
                CU_ASSERT(!has_ended);
                a.epoch = 0;
                if (comes_again) {
                        fetch(&w, &q, &a, 0);
                        CU_ASSERT(got(&q, 1, 3, 3));
                        share_ask_fini(&q.ask);
                }
                coordinator_let_go(&w);
                CU_ASSERT(world_wait(&w, &closes.done, 5000));
                share_ask_fini(&closes.ask);
                look_for_cells(&w);
                CU_ASSERT_EQUAL(has_ended, !comes_again);
        }
        world_fini(&w);
}

static void test_log_start(void)
{
        struct member a = { .id = "a", .connection = 1 };
        struct asked q;
        struct world w;
        int64_t start;

        world_init(&w);
        world_append(&w, 4);
        world_append(&w, 4);
        asked_init(&q, &a, SHARE_FETCH);
        q.ask.wait_ms = 5000;
        q.ask.records_max = 1;
        asked_run(&w, &q, &a);
        CU_ASSERT(got(&q, 0, 3, 1));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(plog_delete_records(w.scene.log, 6, &start), 0);
        fetch(&w, &q, &a, 5000);
        CU_ASSERT(got(&q, 6, 7, 1));
        share_ask_fini(&q.ask);
        CU_ASSERT_EQUAL(acknowledge(&w, &a, 0, 3, SHARE_ACCEPT), SHARES_E_STATE); /* gone */
        world_fini(&w);
}

/* ---- at random ---- */

enum { RANDOM_MEMBERS = 4, RANDOM_RECORDS = 2000 };

struct dice {
        struct world w;
        struct member members[RANDOM_MEMBERS];
        int8_t accepted[RANDOM_RECORDS + 100]; /* and the member was told so */
        int64_t end;
        unsigned redelivered;
};

static void note(struct dice *d, const struct asked *q, int64_t *ret_first, int64_t *ret_last)
{
        *ret_first = *ret_last = -1;
        for (size_t i = 0; !q->ask.outcome && i < q->ask.ret_rows_count; i++) {
                const struct share_row *row = &q->ask.ret_rows[i];

                for (size_t k = 0; k < row->acquired_count; k++) {
                        for (int64_t o = row->acquired[k].first; o <= row->acquired[k].last; o++)
                                CU_ASSERT(!d->accepted[o]);
                        d->redelivered += row->acquired[k].deliveries > 1;
                }
                if (row->acquired_count) {
                        *ret_first = row->acquired[0].first;
                        *ret_last = row->acquired[0].last;
                }
        }
}

static void forget_sessions(struct dice *d)
{
        for (int i = 0; i < RANDOM_MEMBERS; i++)
                d->members[i].epoch = 0;
}

/* A member fetches, and says something of the first run that it gets, or nothing, and goes. */
static void step(struct dice *d)
{
        struct member *m = &d->members[rand() % RANDOM_MEMBERS];
        int64_t first, last;
        struct asked q;
        int what = rand() % 20;

        asked_init(&q, m, SHARE_FETCH);
        q.ask.wait_ms = 5;
        q.ask.records_max = 1 + rand() % 20;
        q.ask.strict = rand() % 2;
        asked_submit(&d->w, &q, m);
        CU_ASSERT_FATAL(world_wait(&d->w, &q.done, 20000));
        if (q.ask.outcome)
                m->epoch = 0;
        note(d, &q, &first, &last);
        share_ask_fini(&q.ask);
        if (first < 0)
                return;
        if (what < 12 && !acknowledge(&d->w, m, first, last, SHARE_ACCEPT)) {
                for (int64_t o = first; o <= last; o++)
                        d->accepted[o] = 1;
        } else if (what >= 12 && what < 16) {
                (void)acknowledge(&d->w, m, first, first + (last - first) / 2, SHARE_RELEASE);
        } else if (what >= 16) {
                shares_connection_closed(d->w.shares, m->connection);
                m->epoch = 0;
        }
}

static void disturb(struct dice *d)
{
        switch (rand() % 60) {
        case 0: /* the node ends, and comes again */
                world_close(&d->w);
                world_open(&d->w);
                forget_sessions(d);
                break;
        case 1:
                d->w.leader_epoch++; /* fenced until it is elected again */
                say(d->w.scene.p, 0, d->w.leader_epoch + 1, d->w.leader_epoch + 1, 1, 1);
                break;
        case 2:
                d->w.fails_with = rand() % 2 ? COORD_E_NOT_AVAILABLE : COORD_E_FENCED_STATE;
                d->w.fails_calls = 1 + (unsigned)rand() % 4;
                break;
        default:
                break;
        }
        if (d->end < RANDOM_RECORDS) {
                int32_t count = 1 + rand() % 10;

                d->end = world_append(&d->w, count) + count;
        }
}

static void test_random(void)
{
        struct dice *d = calloc(1, sizeof *d);
        int64_t done = 0;

        CU_ASSERT_PTR_NOT_NULL_FATAL(d);
        world_init(&d->w);
        d->w.settings.part.lock_ms = 30;
        d->w.settings.part.deliveries_max = UINT16_MAX;
        d->w.settings.part.records_max = 50;
        for (int i = 0; i < RANDOM_MEMBERS; i++)
                d->members[i] = (struct member){ .id = &"a\0b\0c\0d"[2 * i], .connection = (uint64_t)i + 1 };
        srand(11);
        for (int i = 0; i < 600; i++) {
                disturb(d);
                step(d);
        }
        d->w.fails_with = 0;
        /* Locks end by the clock, and on a busy machine before their records are acknowledged: no number of steps is surely enough. */
        for (int64_t end_ms = clock_mono_ms() + 20000; d->w.start < d->end && clock_mono_ms() < end_ms;)
                step(d);
        for (int64_t o = 0; o < d->end; o++)
                done += d->accepted[o];
        CU_ASSERT_EQUAL(d->w.start, d->end);
        CU_ASSERT(done > d->end / 2); /* some answers were lost, and what they told of was done */
        CU_ASSERT(d->redelivered > 0);
        printf("%lld records, %lld told of, %u came again ", (long long)d->end, (long long)done, d->redelivered);
        world_fini(&d->w);
        free(d);
}

static const struct unit_case cases[] = {
        { "shared", test_shared },
        { "strict", test_strict },
        { "written first", test_written_first },
        { "renewed", test_renewed },
        { "comes again", test_comes_again },
        { "connection", test_connection },
        { "sessions", test_sessions },
        { "waits", test_waits },
        { "by time", test_by_time },
        { "committed", test_committed },
        { "the coordinator fails", test_coordinator_fails },
        { "the leader moves", test_leader_moves },
        { "log start", test_log_start },
        { "elsewhere", test_elsewhere },
        { "left", test_left },
        { "left unwritten", test_left_unwritten },
        { "at random", test_random },
};
UNIT_MAIN("shares", cases)
