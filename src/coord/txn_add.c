/* AddPartitionsToTxn and AddOffsetsToTxn: partitions take part from now on, which opens the transaction; and whether they do, for
 * leaders whose clients have said so themselves (KIP-890). */
#include <errno.h>

#include "coord/txn_priv.h"

static int check_producer(const struct txn *t, const struct coord_txn_add *rq)
{
        if (!t || t->producer_id != rq->producer_id)
                return COORD_E_UNKNOWN_PRODUCER;
        if (t->epoch != rq->producer_epoch)
                return COORD_E_PRODUCER_FENCED;
        return txn_is_prepared(t) ? COORD_E_CONCURRENT_TXN : COORD_OK;
}

static void verify(struct txn *t, struct coord_txn_add *rq)
{
        for (int32_t i = 0; i < rq->items_count; i++) {
                struct coord_txn_item *item = &rq->items[i];

                item->ret_outcome = t->state == COORD_TXN_ONGOING && txn_has(t, item->topic, item->partition)
                                            ? COORD_OK
                                            : COORD_E_INVALID_TXN_STATE;
        }
        txn_reply(t->owner, t, &rq->rq, COORD_OK);
}

/* All of them, or none. */
static bool are_known(struct txns *ts, struct coord_txn_add *rq)
{
        bool all = true;

        for (int32_t i = 0; ts->conf.partition_exists && i < rq->items_count; i++) {
                struct coord_txn_item *item = &rq->items[i];

                item->ret_outcome = ts->conf.partition_exists(ts->conf.partitions_arg, item->topic, item->partition)
                                            ? COORD_OK
                                            : COORD_E_UNKNOWN_PARTITION;
                all &= !item->ret_outcome;
        }
        for (int32_t i = 0; !all && i < rq->items_count; i++)
                if (!rq->items[i].ret_outcome)
                        rq->items[i].ret_outcome = COORD_E_NOT_ATTEMPTED;
        return all;
}

/* What the new ones would take at most. */
static int check_room(const struct txn *t, const struct coord_txn_add *rq)
{
        size_t len = 0;

        for (int32_t i = 0; i < rq->items_count; i++)
                len += txn_part_len(rq->items[i].topic);
        if (t->id.len + t->parts_len + len > t->owner->conf.record_len_max)
                return COORD_E_TOO_LARGE;
        return txns_has_room(t->owner, len) ? COORD_OK : COORD_E_NO_ROOM;
}

static bool has_all(const struct txn *t, const struct coord_txn_add *rq)
{
        for (int32_t i = 0; i < rq->items_count; i++)
                if (!txn_has(t, rq->items[i].topic, rq->items[i].partition))
                        return false;
        return true;
}

static void add(struct txn *t, const struct coord_txn_add *rq)
{
        struct txns *ts = t->owner;

        for (int32_t i = 0; i < rq->items_count; i++)
                if (txn_put(t, rq->items[i].topic, rq->items[i].partition))
                        txns_fail(ts, -ENOMEM);
        if (t->state != COORD_TXN_ONGOING)
                t->start_ms = ts->now.wall_ms;
        t->version = rq->version;
        t->update_ms = ts->now.wall_ms;
        txn_set_state(t, COORD_TXN_ONGOING);
        txn_record(t);
}

void txns_add_parts(struct txns *ts, struct coord_txn_add *rq)
{
        struct txn *t = txns_find(ts, rq->rq.id);
        int outcome = check_producer(t, rq);

        for (int32_t i = 0; i < rq->items_count; i++)
                rq->items[i].ret_outcome = COORD_OK;
        if (outcome) {
                txn_reply(ts, outcome == COORD_E_CONCURRENT_TXN ? NULL : t, &rq->rq, outcome);
                return;
        }
        if (rq->verify_only) {
                verify(t, rq);
                return;
        }
        if (rq->items_count && !(t->state == COORD_TXN_ONGOING && has_all(t, rq)) && are_known(ts, rq)) {
                outcome = check_room(t, rq);
                if (!outcome)
                        add(t, rq);
        }
        txn_reply(ts, t, &rq->rq, outcome);
}
