/* EndTxn: commit or abort; and an operator's abort. With version 2 (KIP-890) the epoch grows with each transaction, so that nothing that comes late can be
 * taken for part of the next one; the request that ended a transaction is then known by the epoch below the one in force. */
#include "coord/txn_priv.h"

static bool is_v2(const struct coord_txn_end *rq)
{
        return rq->version >= COORD_TXN_VERSION_2;
}

/* The request that has ended the last transaction has come again. */
static bool is_again(const struct txn *t, const struct coord_txn_end *rq)
{
        if (!is_v2(rq) || (!txn_is_prepared(t) && !txn_is_complete(t)))
                return false;
        if (rq->producer_id == t->producer_id)
                return rq->producer_epoch == t->epoch - 1;
        return rq->producer_id == t->previous_producer_id && rq->producer_epoch == TXN_EPOCH_MAX - 1 && !t->epoch;
}

static int check_producer(const struct txn *t, const struct coord_txn_end *rq)
{
        if (!t)
                return COORD_E_UNKNOWN_PRODUCER;
        if (is_again(t, rq))
                return COORD_OK;
        if (t->producer_id != rq->producer_id)
                return COORD_E_UNKNOWN_PRODUCER;
        return t->epoch == rq->producer_epoch ? COORD_OK : COORD_E_PRODUCER_FENCED;
}

enum what { END, NOTHING };

/* Return: an outcome; COORD_OK with what is to be done. */
static int decide(const struct txn *t, const struct coord_txn_end *rq, enum what *ret_what)
{
        bool again = is_again(t, rq);

        *ret_what = NOTHING;
        switch (t->state) {
        case COORD_TXN_ONGOING:
                *ret_what = END;
                return COORD_OK;
        case COORD_TXN_PREPARE_COMMIT:
        case COORD_TXN_PREPARE_ABORT:
                return rq->commit == (t->state == COORD_TXN_PREPARE_COMMIT) ? COORD_E_CONCURRENT_TXN
                                                                            : COORD_E_INVALID_TXN_STATE;
        case COORD_TXN_COMPLETE_COMMIT:
        case COORD_TXN_COMPLETE_ABORT:
                if (!is_v2(rq) || again)
                        return rq->commit == (t->state == COORD_TXN_COMPLETE_COMMIT) ? COORD_OK
                                                                                     : COORD_E_INVALID_TXN_STATE;
                break;
        default:
                break;
        }
        /* An abort of nothing: nobody knows whether something is on its way, which the next epoch keeps out. */
        *ret_what = END;
        return is_v2(rq) && !rq->commit ? COORD_OK : COORD_E_INVALID_TXN_STATE;
}

/* What the client goes on with. */
static void tell_next(const struct txn *t, struct coord_txn_end *rq)
{
        bool rotates = t->next_producer_id >= 0;

        rq->ret_producer_id = rotates ? t->next_producer_id : t->producer_id;
        rq->ret_producer_epoch = rotates ? 0 : t->epoch;
}

static int end(struct txn *t, const struct coord_txn_end *rq)
{
        if (is_v2(rq) && txn_epoch_is_exhausted(t->epoch)) {
                if (rq->new_producer_id < 0)
                        return COORD_E_NEED_PRODUCER_ID;
                t->next_producer_id = rq->new_producer_id;
        }
        t->version = rq->version;
        txn_prepare(t, rq->commit, is_v2(rq));
        return COORD_OK;
}

void txns_end(struct txns *ts, struct coord_txn_end *rq)
{
        struct txn *t = txns_find(ts, rq->rq.id);
        int outcome = check_producer(t, rq);
        enum what what = NOTHING;

        if (!outcome)
                outcome = decide(t, rq, &what);
        if (!outcome && what == END)
                outcome = end(t, rq);
        if (outcome)
                coord_request_refuse(&rq->rq, outcome);
        else
                tell_next(t, rq);
        txn_reply(ts, outcome == COORD_E_CONCURRENT_TXN ? NULL : t, &rq->rq, outcome);
}

/* As when its time is up: under an epoch that keeps its producer out, who can begin again (KIP-588, KIP-890). */
void txns_abort(struct txns *ts, struct coord_request *rq)
{
        struct txn *t = txns_find(ts, rq->id);

        if (!t) {
                txn_reply(ts, NULL, rq, COORD_E_TXN_NOT_FOUND);
        } else if (txn_is_prepared(t)) {
                txn_reply(ts, NULL, rq, COORD_E_CONCURRENT_TXN);
        } else if (t->state != COORD_TXN_ONGOING) {
                txn_reply(ts, t, rq, COORD_E_INVALID_TXN_STATE);
        } else {
                txn_prepare(t, false, t->epoch < TXN_EPOCH_MAX);
                txn_reply(ts, t, rq, COORD_OK);
        }
}
