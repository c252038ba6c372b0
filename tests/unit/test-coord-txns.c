/* Goal: the machine of the transactions keeps KIP-98, KIP-360 and KIP-890. Method: a small world with time that is set by hand and a
 * trace of everything that comes out, so that a test reads as a story with the expected trace beside each step.
 *
 *   init OK 1000/0         an answer; producer id and epoch
 *   +x Ongoing 1000/0 [t-0 t-1]   a record of the id x    -x  its tombstone
 *   ~x commit 1000/0 [t-0]        markers to send; ! after the epoch: it is above that of the records */
#include <stdio.h>
#include <string.h>

#include "coord/marks.h"
#include "coord/records.h"
#include "coord/txns.h"
#include "unit.h"

struct logged {
        struct logged *next;
        size_t key_len, value_len;
        bool tombstone;
        uint8_t bytes[];
};

struct world {
        struct txns_conf conf;
        struct txns *ts;
        struct coord_time now;
        bool hold_commits; /* writes are not committed until the test says so */
        uint64_t written;
        struct coord_marks *marks[16]; /* that are on their way */
        unsigned marks_count;
        struct logged *log, **log_tail;
        char trace[8192];
};

static void say(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct world *w, const char *fmt, ...)
{
        size_t at = strlen(w->trace);
        va_list ap;

        if (at && at + 2 < sizeof w->trace) {
                w->trace[at++] = ' ';
                w->trace[at] = 0;
        }
        va_start(ap, fmt);
        vsnprintf(w->trace + at, sizeof w->trace - at, fmt, ap);
        va_end(ap);
}

#define EXPECT(w, text) \
        do { \
                CU_ASSERT_STRING_EQUAL((w)->trace, text); \
                if (strcmp((w)->trace, text)) \
                        fprintf(stderr, "line %d\n  want: %s\n  have: %s\n", __LINE__, text, (w)->trace); \
                (w)->trace[0] = 0; \
        } while (0)

static const char *outcome_name(int outcome)
{
        static const char *const names[] = { [COORD_OK] = "OK",
                                             [COORD_E_INVALID_TXN_ID] = "INVALID_ID",
                                             [COORD_E_TXN_NOT_FOUND] = "NOT_FOUND",
                                             [COORD_E_UNKNOWN_PRODUCER] = "UNKNOWN",
                                             [COORD_E_PRODUCER_FENCED] = "FENCED",
                                             [COORD_E_CONCURRENT_TXN] = "CONCURRENT",
                                             [COORD_E_INVALID_TXN_STATE] = "STATE",
                                             [COORD_E_NEED_PRODUCER_ID] = "NEED_ID",
                                             [COORD_E_UNKNOWN_PARTITION] = "NO_PARTITION",
                                             [COORD_E_NOT_ATTEMPTED] = "NOT_ATTEMPTED",
                                             [COORD_E_TOO_LARGE] = "TOO_LARGE",
                                             [COORD_E_NO_ROOM] = "NO_ROOM" };

        return outcome < 0 ? "ERRNO" : outcome < (int)ARRAY_LEN(names) && names[outcome] ? names[outcome] : "?";
}

static void say_record(struct world *w, const struct coord_record *r)
{
        struct transaction_log_value v;
        struct arena a;
        struct str id;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL_FATAL(records_decode_txn_key(r->key, &a, &id), 0);
        if (!r->value.data) {
                say(w, "-%.*s", STR_FMT(id));
                arena_fini(&a);
                return;
        }
        CU_ASSERT_EQUAL_FATAL(records_decode_txn(r->value, &a, &v), 0);
        say(w, "+%.*s %s %lld/%d", STR_FMT(id), coord_txn_state_name(v.transaction_status), (long long)v.producer_id,
            v.producer_epoch);
        CU_ASSERT_EQUAL(v.transaction_partitions_count < 0, v.transaction_status == COORD_TXN_EMPTY ||
                                                                    v.transaction_status == COORD_TXN_COMPLETE_COMMIT ||
                                                                    v.transaction_status == COORD_TXN_COMPLETE_ABORT);
        for (int32_t i = 0; i < v.transaction_partitions_count; i++)
                for (int32_t k = 0; k < v.transaction_partitions[i].partition_ids_count; k++)
                        say(w, "%s%.*s-%d", i + k ? "" : "[", STR_FMT(v.transaction_partitions[i].topic),
                            v.transaction_partitions[i].partition_ids[k]);
        if (v.transaction_partitions_count > 0)
                strcat(w->trace, "]");
        arena_fini(&a);
}

static void log_record(struct world *w, const struct coord_record *r)
{
        struct logged *l = malloc(sizeof *l + r->key.len + r->value.len);

        *l = (struct logged){ .key_len = r->key.len, .value_len = r->value.len, .tombstone = !r->value.data };
        memcpy(l->bytes, r->key.data, r->key.len);
        if (r->value.len)
                memcpy(l->bytes + r->key.len, r->value.data, r->value.len);
        *w->log_tail = l;
        w->log_tail = &l->next;
}

static void take_marks(struct world *w, struct coord_marks *m)
{
        say(w, "~%.*s %s %lld/%d%s", STR_FMT(m->id), m->commit ? "commit" : "abort", (long long)m->producer_id,
            m->producer_epoch, m->bumped ? "!" : "");
        for (size_t i = 0; i < m->items_count; i++)
                say(w, "%s%.*s-%d", i ? "" : "[", STR_FMT(m->items[i].topic), m->items[i].partition);
        strcat(w->trace, "]");
        w->marks[w->marks_count++] = m;
}

static void commit_all(struct world *w);

static void settle(struct world *w, struct coord_actions *acts)
{
        struct ilist *l;

        for (struct coord_record *r = acts->records; r; r = r->next) {
                say_record(w, r);
                log_record(w, r);
        }
        if (acts->records_count)
                w->written = acts->seq;
        while ((l = ilist_pop_front(&acts->replies)))
                CU_ASSERT(ilist_entry(l, struct coord_request, link)->need_seq <= w->written);
        while ((l = ilist_pop_front(&acts->marks)))
                take_marks(w, ilist_entry(l, struct coord_marks, link));
        coord_actions_fini(acts);
}

static void commit_all(struct world *w)
{
        struct coord_actions acts;
        uint64_t before;

        do {
                before = w->written;
                coord_actions_init(&acts);
                CU_ASSERT_EQUAL(txns_committed(w->ts, w->written, w->now, &acts), 0);
                settle(w, &acts);
        } while (w->written != before);
}

static void ask(struct world *w, struct coord_request *rq)
{
        struct coord_actions acts;

        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(txns_request(w->ts, rq, w->now, &acts), 0);
        settle(w, &acts);
}

static void done(struct world *w)
{
        if (!w->hold_commits)
                commit_all(w);
}

/* ---- what clients ask ---- */

static void init(struct world *w, const char *id, int64_t producer_id, int16_t epoch, int64_t new_id)
{
        struct coord_txn_init rq = {
                .timeout_ms = 60000, .producer_id = producer_id, .producer_epoch = epoch, .new_producer_id = new_id
        };

        coord_request_init(&rq.rq, COORD_TXN_INIT, str_of(id));
        rq.timeout_ms = 60000;
        rq.producer_id = producer_id;
        rq.producer_epoch = epoch;
        rq.new_producer_id = new_id;
        ask(w, &rq.rq);
        if (rq.rq.outcome)
                say(w, "init %s", outcome_name(rq.rq.outcome));
        else
                say(w, "init OK %lld/%d", (long long)rq.ret_producer_id, rq.ret_producer_epoch);
        coord_request_fini(&rq.rq);
        done(w);
}

/* @parts: "t0 u1": topics of one letter, partitions of one digit. */
static void add(struct world *w, const char *id, int64_t producer_id, int16_t epoch, const char *parts,
                bool verify_only, int8_t version)
{
        struct coord_txn_item items[8];
        struct coord_txn_add rq;

        memset(&rq, 0, sizeof rq);
        coord_request_init(&rq.rq, COORD_TXN_ADD, str_of(id));
        rq.producer_id = producer_id;
        rq.producer_epoch = epoch;
        rq.verify_only = verify_only;
        rq.version = version;
        rq.items = items;
        for (const char *p = parts; *p; p += p[2] ? 3 : 2)
                items[rq.items_count++] = (struct coord_txn_item){ .topic = { p, 1 }, .partition = p[1] - '0' };
        ask(w, &rq.rq);
        say(w, "%s %s", verify_only ? "verify" : "add", outcome_name(rq.rq.outcome));
        for (int32_t i = 0; !rq.rq.outcome && i < rq.items_count; i++)
                if (rq.items[i].ret_outcome)
                        say(w, "%.2s:%s", &parts[i * 3], outcome_name(rq.items[i].ret_outcome));
        coord_request_fini(&rq.rq);
        done(w);
}

static void end(struct world *w, const char *id, int64_t producer_id, int16_t epoch, bool commit, int8_t version,
                int64_t new_id)
{
        struct coord_txn_end rq;

        memset(&rq, 0, sizeof rq);
        coord_request_init(&rq.rq, COORD_TXN_END, str_of(id));
        rq.producer_id = producer_id;
        rq.producer_epoch = epoch;
        rq.commit = commit;
        rq.version = version;
        rq.new_producer_id = new_id;
        ask(w, &rq.rq);
        if (rq.rq.outcome)
                say(w, "end %s", outcome_name(rq.rq.outcome));
        else
                say(w, "end OK %lld/%d", (long long)rq.ret_producer_id, rq.ret_producer_epoch);
        coord_request_fini(&rq.rq);
        done(w);
}

/* The oldest markers are where they belong. */
static void marked(struct world *w)
{
        struct coord_actions acts;
        struct coord_marks *m = w->marks[0];

        memmove(w->marks, w->marks + 1, --w->marks_count * sizeof w->marks[0]);
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(txns_marked(w->ts, m, w->now, &acts), 0);
        settle(w, &acts);
        done(w);
}

static void pass(struct world *w, int64_t ms)
{
        int64_t end_ms = w->now.mono_ms + ms;

        while (txns_next_ms(w->ts) <= end_ms) {
                int64_t step_ms = MAX2(txns_next_ms(w->ts) - w->now.mono_ms, (int64_t)0);
                struct coord_actions acts;

                w->now.mono_ms += step_ms;
                w->now.wall_ms += step_ms;
                coord_actions_init(&acts);
                CU_ASSERT_EQUAL(txns_tick(w->ts, w->now, &acts), 0);
                settle(w, &acts);
                done(w);
        }
        w->now.wall_ms += end_ms - w->now.mono_ms;
        w->now.mono_ms = end_ms;
}

/* ---- life ---- */

static void start(struct world *w)
{
        struct coord_actions acts;

        CU_ASSERT_EQUAL_FATAL(txns_new(&w->conf, &w->ts), 0);
        for (struct logged *l = w->log; l; l = l->next)
                CU_ASSERT_EQUAL(txns_replay(w->ts, span_of(l->bytes, l->key_len),
                                            l->tombstone ? SPAN_NULL : span_of(l->bytes + l->key_len, l->value_len)),
                                0);
        w->written = 0;
        coord_actions_init(&acts);
        CU_ASSERT_EQUAL(txns_loaded(w->ts, w->now, &acts), 0);
        settle(w, &acts);
        done(w);
}

static void drop(struct world *w)
{
        while (w->marks_count)
                coord_marks_free(w->marks[--w->marks_count]);
        w->ts = txns_free(w->ts);
}

static void reload(struct world *w)
{
        drop(w);
        start(w);
}

static void world_init(struct world *w)
{
        memset(w, 0, sizeof *w);
        txns_conf_init(&w->conf);
        w->now = (struct coord_time){ .mono_ms = 1000000, .wall_ms = 1700000000000 };
        w->log_tail = &w->log;
        start(w);
}

static void world_fini(struct world *w)
{
        struct coord_stats stats;

        txns_stats(w->ts, &stats);
        CU_ASSERT_EQUAL(stats.records_skipped, 0);
        drop(w);
        while (w->log) {
                struct logged *l = w->log;

                w->log = l->next;
                free(l);
        }
}

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
        { "random courses", test_random },
};

UNIT_MAIN("coord-txns", cases)
