/* The world of test-coord-txns.c: one machine of transactions, a log, time that is set by hand, and a trace of everything that comes
 * out. */
#pragma once

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

#include "coord-trace.h"

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

static void abort_by_operator(struct world *w, const char *id)
{
        struct coord_request rq;

        memset(&rq, 0, sizeof rq);
        coord_request_init(&rq, COORD_TXN_ABORT, str_of(id));
        ask(w, &rq);
        say(w, "abort %s", outcome_name(rq.outcome));
        coord_request_fini(&rq);
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
