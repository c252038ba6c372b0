/* What operators ask: one transactional id, or all (KIP-664). */
#include <errno.h>

#include "coord/txn_priv.h"

static struct str keep(struct coord_request *rq, struct str s)
{
        return (struct str){ arena_memdup(&rq->arena, s.p, s.len), s.len };
}

static bool describe_parts(struct coord_txn_describe *rq, const struct txn *t)
{
        rq->ret_items = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_txn_item, t->partitions_count);
        if (!rq->ret_items)
                return false;
        for (size_t i = 0; i < t->topics_count; i++) {
                struct str topic = keep(&rq->rq, t->topics[i].name);

                if (!topic.p)
                        return false;
                for (size_t k = 0; k < t->topics[i].count; k++)
                        rq->ret_items[rq->ret_items_count++] =
                                (struct coord_txn_item){ .topic = topic, .partition = t->topics[i].partitions[k] };
        }
        return true;
}

void txns_describe(struct txns *ts, struct coord_txn_describe *rq)
{
        struct txn *t = txns_find(ts, rq->rq.id);

        if (!t) {
                txn_reply(ts, NULL, &rq->rq, COORD_E_TXN_NOT_FOUND);
                return;
        }
        rq->ret_state = t->state;
        rq->ret_timeout_ms = t->timeout_ms;
        rq->ret_start_ms = t->start_ms;
        rq->ret_producer_id = t->producer_id;
        rq->ret_producer_epoch = t->epoch;
        txn_reply(ts, t, &rq->rq, describe_parts(rq, t) ? COORD_OK : -ENOMEM);
}

static bool is_wanted(const struct coord_txn_list *rq, const struct txn *t)
{
        bool found = !rq->producer_ids_count;

        if (rq->states_mask && !(rq->states_mask & 1u << t->state))
                return false;
        for (int32_t i = 0; !found && i < rq->producer_ids_count; i++)
                found = rq->producer_ids[i] == t->producer_id;
        if (rq->running_ms >= 0 && (t->start_ms < 0 || t->owner->now.wall_ms - t->start_ms <= rq->running_ms))
                return false;
        return found;
}

static bool list_one(struct coord_txn_list *rq, const struct txn *t)
{
        if (rq->ret_txns_count == rq->txns_size) {
                int32_t size = rq->txns_size ? rq->txns_size * 2 : 64;
                struct coord_listed_txn *txns = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_listed_txn, size);

                if (!txns)
                        return false;
                for (int32_t i = 0; i < rq->ret_txns_count; i++)
                        txns[i] = rq->ret_txns[i];
                rq->ret_txns = txns;
                rq->txns_size = size;
        }
        rq->ret_txns[rq->ret_txns_count] = (struct coord_listed_txn){ .id = keep(&rq->rq, t->id),
                                                                      .producer_id = t->producer_id,
                                                                      .state = t->state };
        return rq->ret_txns[rq->ret_txns_count++].id.p;
}

void txns_list(struct txns *ts, struct coord_txn_list *rq)
{
        bool ok = true;

        ilist_for_each (t, &ts->all, struct txn, link)
                if (ok && is_wanted(rq, t))
                        ok = list_one(rq, t);
        txn_reply(ts, NULL, &rq->rq, ok ? rq->rq.outcome : -ENOMEM);
}
