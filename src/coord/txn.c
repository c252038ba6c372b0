/* A transactional id's states and life.
 *
 *              txns_add_parts()           txn_prepare()                      txn_complete(), when all
 *      Empty -----------------> Ongoing ----------------> PrepareCommit ----> CompleteCommit
 *        |                       ^ |                 `---> PrepareAbort -----> CompleteAbort    logs have their markers
 *        |                       | |                         ^                     |
 *        |                       +-|-------------------------|---------------------+  the next one
 *        |                         |  time is up; a new producer fences this one   |
 *        +-------------------------|-------------------------+  (an abort of nothing, version 2)
 *
 * Empty again by InitProducerId, from Empty and the two Complete states. An id that has been in these for long is forgotten. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coord/records.h"
#include "coord/txn_priv.h"

#define TO(s) (1u << COORD_TXN_##s)

static const struct {
        const char *name;
        unsigned next; /* allowed moves */
} states[COORD_TXN_STATES_COUNT] = {
        [COORD_TXN_EMPTY] = { "Empty", TO(EMPTY) | TO(ONGOING) | TO(PREPARE_ABORT) },
        [COORD_TXN_ONGOING] = { "Ongoing", TO(ONGOING) | TO(PREPARE_COMMIT) | TO(PREPARE_ABORT) },
        [COORD_TXN_PREPARE_COMMIT] = { "PrepareCommit", TO(COMPLETE_COMMIT) },
        [COORD_TXN_PREPARE_ABORT] = { "PrepareAbort", TO(COMPLETE_ABORT) },
        [COORD_TXN_COMPLETE_COMMIT] = { "CompleteCommit", TO(EMPTY) | TO(ONGOING) | TO(PREPARE_ABORT) },
        [COORD_TXN_COMPLETE_ABORT] = { "CompleteAbort", TO(EMPTY) | TO(ONGOING) | TO(PREPARE_ABORT) },
        [COORD_TXN_DEAD] = { "Dead", 0 },
        [COORD_TXN_PREPARE_EPOCH_FENCE] = { "PrepareEpochFence", 0 },
};

const char *coord_txn_state_name(enum coord_txn_state s)
{
        return states[s].name;
}

bool coord_txn_state_parse(struct str name, enum coord_txn_state *ret_state)
{
        for (unsigned i = 0; i < COORD_TXN_STATES_COUNT; i++)
                if (str_equal_c(name, states[i].name)) {
                        *ret_state = i;
                        return true;
                }
        return false;
}

/* ---- life ---- */

struct txn *txn_new(struct txns *owner, struct str id)
{
        struct txn *t = calloc(1, sizeof *t);
        char *copy = malloc(id.len + 1);

        if (!t || !copy) {
                free(copy);
                free(t);
                return NULL;
        }
        memcpy(copy, id.p, id.len);
        t->id = (struct str){ copy, id.len };
        t->owner = owner;
        t->producer_id = t->previous_producer_id = t->next_producer_id = -1;
        t->epoch = t->last_epoch = -1;
        t->version = COORD_TXN_VERSION_1;
        t->start_ms = -1;
        t->timer.fn = txn_due;
        ilist_init(&t->link);
        ilist_init(&t->preparing);
        return t;
}

struct txn *txn_free(struct txn *t)
{
        if (!t)
                return NULL;
        timer_unset(&t->owner->timers, &t->timer);
        ilist_unlink(&t->preparing);
        txn_clear(t);
        free((char *)t->id.p);
        free(t);
        return NULL;
}

static bool is_open(enum coord_txn_state s)
{
        return s == COORD_TXN_ONGOING || s == COORD_TXN_PREPARE_COMMIT || s == COORD_TXN_PREPARE_ABORT;
}

void txn_set_state(struct txn *t, enum coord_txn_state to)
{
        assert(states[t->state].next & 1u << to);
        t->owner->stats.txns_open += (uint64_t)is_open(to) - (uint64_t)is_open(t->state);
        t->state = to;
}

/* ---- its record ---- */

static struct transaction_log_value_topic *record_topics(const struct txn *t, struct arena *a)
{
        struct transaction_log_value_topic *topics =
                ARENA_NEW_ARRAY(a, struct transaction_log_value_topic, t->topics_count);

        for (size_t i = 0; topics && i < t->topics_count; i++) {
                transaction_log_value_topic_init(&topics[i]);
                topics[i].topic = t->topics[i].name;
                topics[i].partition_ids = t->topics[i].partitions;
                topics[i].partition_ids_count = (int32_t)t->topics[i].count;
        }
        return topics;
}

void txn_record(struct txn *t)
{
        struct txns *ts = t->owner;
        struct transaction_log_value v;
        struct span key = SPAN_NULL, value = SPAN_NULL;

        transaction_log_value_init(&v);
        v.producer_id = t->producer_id;
        v.previous_producer_id = t->previous_producer_id;
        v.next_producer_id = t->next_producer_id;
        v.producer_epoch = t->epoch;
        v.transaction_timeout_ms = t->timeout_ms;
        v.transaction_status = (int8_t)t->state;
        v.last_update_timestamp_ms = t->update_ms;
        v.start_timestamp_ms = t->start_ms;
        v.client_transaction_version = t->version;
        v.transaction_partitions_count = -1;
        if (is_open(t->state)) {
                v.transaction_partitions = record_topics(t, &ts->acts->arena);
                v.transaction_partitions_count = (int32_t)t->topics_count;
        }
        if ((is_open(t->state) && !v.transaction_partitions) || records_encode_txn(&v, &ts->acts->arena, &value) ||
            records_encode_txn_key(t->id, &ts->acts->arena, &key))
                key = SPAN_NULL;
        txns_record(ts, key, value);
        t->seq = ts->acts->seq;
        txn_set_timer(t);
}

/* ---- the end ---- */

void txn_prepare(struct txn *t, bool commit, bool bump)
{
        struct txns *ts = t->owner;

        t->bumped = bump;
        if (bump) {
                t->last_epoch = t->epoch;
                t->epoch++;
        }
        if (t->start_ms < 0)
                t->start_ms = ts->now.wall_ms;
        t->update_ms = ts->now.wall_ms;
        txn_set_state(t, commit ? COORD_TXN_PREPARE_COMMIT : COORD_TXN_PREPARE_ABORT);
        txn_record(t);
        ilist_push_back(&ts->preparing, &t->preparing);
}

static struct coord_marks *marks_of(struct txn *t)
{
        struct coord_marks *m = coord_marks_new(t->id, t->partitions_count);
        bool ok = m;

        for (size_t i = 0; ok && i < t->topics_count; i++)
                for (size_t k = 0; ok && k < t->topics[i].count; k++)
                        ok = coord_marks_add(m, t->topics[i].name, t->topics[i].partitions[k]);
        if (!ok)
                return coord_marks_free(m);
        m->owner = t;
        m->producer_id = t->producer_id;
        m->producer_epoch = t->epoch;
        m->commit = t->state == COORD_TXN_PREPARE_COMMIT;
        m->bumped = t->bumped;
        return m;
}

void txn_prepared(struct txn *t)
{
        struct coord_marks *m;

        if (!t->partitions_count) {
                txn_complete(t);
                return;
        }
        m = marks_of(t);
        if (m)
                ilist_push_back(&t->owner->acts->marks, &m->link);
        else
                txns_fail(t->owner, -ENOMEM);
}

void txn_complete(struct txn *t)
{
        struct txns *ts = t->owner;
        bool commit = t->state == COORD_TXN_PREPARE_COMMIT;

        txn_set_state(t, commit ? COORD_TXN_COMPLETE_COMMIT : COORD_TXN_COMPLETE_ABORT);
        txn_clear(t);
        if (t->next_producer_id >= 0) {
                t->previous_producer_id = t->producer_id;
                t->producer_id = t->next_producer_id;
                t->next_producer_id = -1;
                t->epoch = 0;
                t->last_epoch = -1;
        }
        t->update_ms = ts->now.wall_ms;
        t->bumped = false;
        txn_record(t);
        ts->stats.txns_committed += commit;
        ts->stats.txns_aborted += !commit;
}

/* ---- time ---- */

static int64_t due_ms(const struct txn *t)
{
        if (t->state == COORD_TXN_ONGOING)
                return t->start_ms + t->timeout_ms;
        return t->update_ms + t->owner->conf.expiry_ms;
}

void txn_set_timer(struct txn *t)
{
        struct txns *ts = t->owner;

        if (txn_is_prepared(t)) {
                timer_unset(&ts->timers, &t->timer);
                return;
        }
        /* The clock may have been set meanwhile: a transaction is given its time once more at most. */
        if (timer_set(&ts->timers, &t->timer,
                      ts->now.mono_ms + MIN2(MAX2(due_ms(t) - ts->now.wall_ms, (int64_t)0),
                                             MAX2((int64_t)t->timeout_ms, ts->conf.expiry_ms))))
                txns_fail(ts, -ENOMEM);
}

static void forget(struct txn *t)
{
        struct txns *ts = t->owner;
        struct span key = SPAN_NULL;

        (void)records_encode_txn_key(t->id, &ts->acts->arena, &key); /* a null key latches the failure */
        txns_record(ts, key, SPAN_NULL);
        txns_remove(ts, t);
}

void txn_due(void *arg, struct timer *timer)
{
        struct txn *t = container_of(timer, struct txn, timer);
        struct txns *ts = arg;

        if (due_ms(t) > ts->now.wall_ms && t->state != COORD_TXN_ONGOING) {
                txn_set_timer(t);
        } else if (t->state == COORD_TXN_ONGOING) {
                ts->stats.txns_timed_out++;
                txn_prepare(t, false, t->epoch < TXN_EPOCH_MAX);
        } else {
                forget(t);
        }
}
