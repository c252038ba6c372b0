/* InitProducerId with a transactional id: the producer gets an epoch that fences all before it (KIP-98, KIP-360). */
#include "coord/txn_priv.h"

static bool has_producer(const struct coord_txn_init *rq)
{
        return rq->producer_id >= 0;
}

/* Is the producer that the client had the one in force, or the one whose epochs it used up? */
static bool is_its_producer(const struct txn *t, const struct coord_txn_init *rq)
{
        return !has_producer(rq) || rq->producer_id == t->producer_id ||
               (rq->producer_id == t->previous_producer_id && txn_epoch_is_exhausted(rq->producer_epoch));
}

static void grant(struct txn *t, struct coord_txn_init *rq)
{
        struct txns *ts = t->owner;

        txn_set_state(t, COORD_TXN_EMPTY);
        txn_clear(t);
        t->timeout_ms = rq->timeout_ms;
        t->update_ms = ts->now.wall_ms;
        t->start_ms = -1;
        txn_record(t);
        rq->ret_producer_id = t->producer_id;
        rq->ret_producer_epoch = t->epoch;
        txn_reply(ts, t, &rq->rq, COORD_OK);
}

static void rotate(struct txn *t, struct coord_txn_init *rq)
{
        t->last_epoch = has_producer(rq) ? t->epoch : -1;
        t->previous_producer_id = t->producer_id;
        t->producer_id = rq->new_producer_id;
        t->epoch = 0;
        grant(t, rq);
}

static void refuse(struct txns *ts, struct txn *t, struct coord_txn_init *rq, int outcome)
{
        coord_request_refuse(&rq->rq, outcome);
        txn_reply(ts, t, &rq->rq, outcome);
}

/* The next epoch; or the one that this client has got already, when its first request was answered in vain. */
static void bump(struct txn *t, struct coord_txn_init *rq)
{
        if (!has_producer(rq)) {
                t->last_epoch = -1;
                t->epoch++;
        } else if (rq->producer_epoch == t->epoch) {
                t->last_epoch = t->epoch;
                t->epoch++;
        } else if (rq->producer_epoch != t->last_epoch) {
                refuse(t->owner, t, rq, COORD_E_PRODUCER_FENCED);
                return;
        }
        grant(t, rq);
}

static void init_new(struct txns *ts, struct coord_txn_init *rq)
{
        struct txn *t;

        if (rq->new_producer_id < 0) {
                refuse(ts, NULL, rq, COORD_E_NEED_PRODUCER_ID);
                return;
        }
        if (!txns_has_room(ts, sizeof *t + rq->rq.id.len)) {
                refuse(ts, NULL, rq, COORD_E_NO_ROOM);
                return;
        }
        t = txns_add(ts, rq->rq.id);
        if (!t) {
                refuse(ts, NULL, rq, ts->err);
                return;
        }
        t->producer_id = rq->new_producer_id;
        t->epoch = 0;
        grant(t, rq);
}

void txns_init(struct txns *ts, struct coord_txn_init *rq)
{
        struct txn *t = txns_find(ts, rq->rq.id);

        if (!t) {
                init_new(ts, rq);
        } else if (!is_its_producer(t, rq)) {
                refuse(ts, t, rq, COORD_E_PRODUCER_FENCED);
        } else if (txn_is_prepared(t)) {
                refuse(ts, NULL, rq, COORD_E_CONCURRENT_TXN);
        } else if (t->state == COORD_TXN_ONGOING) {
                /* It is aborted under an epoch that nobody gets, so that whoever writes on is refused; the client asks again. */
                txn_prepare(t, false, t->epoch < TXN_EPOCH_MAX);
                t->last_epoch = -1;
                refuse(ts, NULL, rq, COORD_E_CONCURRENT_TXN);
        } else if (!txn_epoch_is_exhausted(t->epoch) || (has_producer(rq) && rq->producer_epoch != t->epoch)) {
                bump(t, rq);
        } else if (rq->new_producer_id < 0) {
                refuse(ts, NULL, rq, COORD_E_NEED_PRODUCER_ID);
        } else {
                rotate(t, rq);
        }
}
