/* All transactional ids of one partition: who they are, the event in hand, answers, records and markers on their way out. */
#include "coord/txns.h"

#include <errno.h>
#include <string.h>

#include "coord/txn_priv.h"

enum { TICK_TIMERS_MAX = 1000 };

void txns_conf_init(struct txns_conf *conf)
{
        *conf = (struct txns_conf){
                .expiry_ms = 7LL * 24 * 3600 * 1000,
                .record_len_max = 32u << 20, /* a third of the topic's segments */
                .memory_max = 256u << 20,
        };
}

int txns_new(const struct txns_conf *conf, struct txns **ret_txns)
{
        struct txns *ts = calloc(1, sizeof *ts);

        if (!ts)
                return -ENOMEM;
        ts->conf = *conf;
        map_init(&ts->by_id, conf->hash_seed);
        ilist_init(&ts->all);
        ilist_init(&ts->preparing);
        timer_heap_init(&ts->timers);
        *ret_txns = ts;
        return 0;
}

struct txns *txns_free(struct txns *ts)
{
        if (!ts)
                return NULL;
        ilist_for_each (t, &ts->all, struct txn, link)
                txns_remove(ts, t);
        timer_heap_fini(&ts->timers);
        map_fini(&ts->by_id);
        free(ts);
        return NULL;
}

/* ---- by id ---- */

struct txn *txns_find(struct txns *ts, struct str id)
{
        for (struct map_node *n = map_first(&ts->by_id, id); n; n = map_next_same(n)) {
                struct txn *t = container_of(n, struct txn, node);

                if (str_equal(t->id, id))
                        return t;
        }
        return NULL;
}

struct txn *txns_add(struct txns *ts, struct str id)
{
        struct txn *t = txn_new(ts, id);

        if (!t || map_insert(&ts->by_id, &t->node, t->id)) {
                txn_free(t);
                txns_fail(ts, -ENOMEM);
                return NULL;
        }
        ilist_push_back(&ts->all, &t->link);
        ts->stats.txns++;
        ts->stats.memory += sizeof *t + t->id.len;
        return t;
}

void txns_remove(struct txns *ts, struct txn *t)
{
        map_remove(&ts->by_id, &t->node);
        ilist_unlink(&t->link);
        ts->stats.txns--;
        ts->stats.memory -= sizeof *t + t->id.len;
        txn_free(t);
}

/* ---- the event in hand ---- */

static void begin(struct txns *ts, struct coord_time now, struct coord_actions *acts)
{
        assert(!ts->acts);
        ts->now = now;
        ts->acts = acts;
        acts->seq = ts->write_seq + 1;
}

static int finish(struct txns *ts)
{
        if (ts->acts->records_count)
                ts->write_seq = ts->acts->seq;
        ts->acts = NULL;
        return ts->err;
}

void txns_fail(struct txns *ts, int err)
{
        if (!ts->err)
                ts->err = err;
}

bool txns_has_room(const struct txns *ts, size_t len)
{
        return ts->stats.memory <= ts->conf.memory_max && len <= ts->conf.memory_max - ts->stats.memory;
}

void txn_reply(struct txns *ts, struct txn *t, struct coord_request *rq, int outcome)
{
        assert(rq->magic == COORD_REQUEST_MAGIC);
        assert(ilist_is_empty(&rq->link));
        rq->outcome = outcome;
        rq->need_seq = t ? t->seq : 0;
        ilist_push_back(&ts->acts->replies, &rq->link);
}

void txns_record(struct txns *ts, struct span key, struct span value)
{
        struct coord_record *rec = key.data ? ARENA_NEW(&ts->acts->arena, struct coord_record) : NULL;

        if (!rec) {
                txns_fail(ts, -ENOMEM);
                return;
        }
        *rec = (struct coord_record){ .key = key, .value = value };
        *ts->acts->records_tail = rec;
        ts->acts->records_tail = &rec->next;
        ts->acts->records_count++;
}

/* ---- events ---- */

#define AS(rq, type) container_of(rq, struct type, rq)

static void dispatch(struct txns *ts, struct coord_request *rq)
{
        switch (rq->op) {
        case COORD_TXN_INIT:
                txns_init(ts, AS(rq, coord_txn_init));
                break;
        case COORD_TXN_ADD:
                txns_add_parts(ts, AS(rq, coord_txn_add));
                break;
        case COORD_TXN_END:
                txns_end(ts, AS(rq, coord_txn_end));
                break;
        case COORD_TXN_ABORT:
                txns_abort(ts, rq);
                break;
        case COORD_TXN_DESCRIBE:
                txns_describe(ts, AS(rq, coord_txn_describe));
                break;
        case COORD_TXN_LIST:
                txns_list(ts, AS(rq, coord_txn_list));
                break;
        default:
                assert(!"asked of a coordinator of transactions");
        }
}

int txns_request(struct txns *ts, struct coord_request *rq, struct coord_time now, struct coord_actions *acts)
{
        begin(ts, now, acts);
        if (!coord_op_visits(rq->op) && (!rq->id.len || rq->id.len > TXN_ID_LEN_MAX)) {
                coord_request_refuse(rq, COORD_E_INVALID_TXN_ID);
                txn_reply(ts, NULL, rq, COORD_E_INVALID_TXN_ID);
        } else {
                dispatch(ts, rq);
        }
        return finish(ts);
}

int txns_tick(struct txns *ts, struct coord_time now, struct coord_actions *acts)
{
        struct timer *t;

        begin(ts, now, acts);
        for (unsigned i = 0; i < TICK_TIMERS_MAX && (t = timer_pop_due(&ts->timers, now.mono_ms)); i++)
                t->fn(ts, t);
        return finish(ts);
}

/* What was decided before goes on; everything that was read is committed. */
int txns_loaded(struct txns *ts, struct coord_time now, struct coord_actions *acts)
{
        begin(ts, now, acts);
        ilist_for_each (t, &ts->all, struct txn, link) {
                txn_set_timer(t);
                if (txn_is_prepared(t))
                        txn_prepared(t);
        }
        return finish(ts);
}

int txns_marked(struct txns *ts, struct coord_marks *m, struct coord_time now, struct coord_actions *acts)
{
        begin(ts, now, acts);
        txn_complete(m->owner);
        coord_marks_free(m);
        return finish(ts);
}

int txns_committed(struct txns *ts, uint64_t seq, struct coord_time now, struct coord_actions *acts)
{
        struct txn *t;

        assert(seq <= ts->write_seq);
        begin(ts, now, acts);
        ts->committed_seq = MAX2(ts->committed_seq, seq);
        while ((t = ilist_first(&ts->preparing, struct txn, preparing)) && t->seq <= ts->committed_seq) {
                ilist_unlink(&t->preparing);
                txn_prepared(t);
        }
        return finish(ts);
}

int64_t txns_next_ms(const struct txns *ts)
{
        return timer_next_ms(&ts->timers);
}

void txns_stats(const struct txns *ts, struct coord_stats *ret)
{
        *ret = ts->stats;
}

/* ---- as a machine for a host ---- */

static int machine_new(const void *arg, void **ret)
{
        return txns_new(arg, (struct txns **)ret);
}

static void machine_free(void *m)
{
        txns_free(m);
}

static int machine_replay(void *m, int64_t producer_id, struct span key, struct span value)
{
        (void)producer_id;
        return txns_replay(m, key, value);
}

static int machine_loaded(void *m, struct coord_time now, struct coord_actions *acts)
{
        return txns_loaded(m, now, acts);
}

static int machine_request(void *m, struct coord_request *rq, struct coord_time now, struct coord_actions *acts)
{
        return txns_request(m, rq, now, acts);
}

static int machine_tick(void *m, struct coord_time now, struct coord_actions *acts)
{
        return txns_tick(m, now, acts);
}

/* Its partitions need no markers any more, which the sender finds out by itself. */
static int machine_topic_deleted(void *m, struct str topic, struct coord_time now, struct coord_actions *acts)
{
        (void)m;
        (void)topic;
        (void)now;
        (void)acts;
        return 0;
}

static int machine_marked(void *m, struct coord_marks *marks, struct coord_time now, struct coord_actions *acts)
{
        return txns_marked(m, marks, now, acts);
}

static int machine_committed(void *m, uint64_t seq, struct coord_time now, struct coord_actions *acts)
{
        return txns_committed(m, seq, now, acts);
}

/* No request is ever parked here. */
static void machine_abort(void *m, int outcome, struct coord_actions *acts)
{
        (void)m;
        (void)outcome;
        (void)acts;
}

static int64_t machine_next_ms(const void *m)
{
        return txns_next_ms(m);
}

static void machine_stats(const void *m, struct coord_stats *ret)
{
        txns_stats(m, ret);
}

const struct coord_machine_ops txns_ops = {
        .new = machine_new,
        .free = machine_free,
        .replay = machine_replay,
        .loaded = machine_loaded,
        .request = machine_request,
        .tick = machine_tick,
        .topic_deleted = machine_topic_deleted,
        .marked = machine_marked,
        .committed = machine_committed,
        .abort = machine_abort,
        .next_ms = machine_next_ms,
        .stats = machine_stats,
};
