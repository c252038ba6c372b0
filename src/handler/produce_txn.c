#include "handler/produce_txn.h"

#include <errno.h>

#include "handler/group_ask.h"
#include "wire/batch.h"

enum { VERSION_ABORTABLE = 11, VERSION_ADDS = 12, AGAIN_MS = 10, AGAIN_MS_MAX = 500 };

/* What a client that produces makes of it. */
static int16_t error_of(const struct rq *rq, int outcome)
{
        switch (outcome) {
        case COORD_E_INVALID_TXN_STATE:
                return rq->version >= VERSION_ABORTABLE ? KERR_TRANSACTION_ABORTABLE : KERR_INVALID_TXN_STATE;
        case COORD_E_PRODUCER_FENCED:
                return KERR_INVALID_PRODUCER_EPOCH;
        case COORD_E_CONCURRENT_TXN: /* older clients do not expect it here, but try again for this: */
                return rq->version >= VERSION_ADDS ? KERR_CONCURRENT_TRANSACTIONS : KERR_NOT_ENOUGH_REPLICAS;
        case COORD_E_NOT_COORDINATOR: /* of the transaction: tried again */
        case COORD_E_LOADING:
        case COORD_E_NOT_AVAILABLE:
        case COORD_E_NOT_ATTEMPTED:
                return KERR_NOT_ENOUGH_REPLICAS;
        default:
                return error_of_coord(outcome);
        }
}

/* Note one partition. What is wrong with it is found again when it is appended. */
static void look(struct produce_txn *t, const struct produce_request_topic *topic,
                 const struct produce_request_partition *in, struct produce_txn_part *part)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        struct str name = t->rq->version >= 13 ? STR_NULL : topic->name;
        struct coord_txn_add *add = &t->ask.add;
        const struct meta_topic *meta; /* of rq->image, which stays */
        struct batch_header h;
        struct span batch;

        *part = (struct produce_txn_part){ .guard.marker_offset = PLOG_TXN_UNCHECKED };
        if (resolve_topic(t->rq, topic->topic_id, name, &meta) ||
            resolve_partition(t->rq, topic->topic_id, name, in->index, &p) || partition_check_epoch(p, -1) ||
            batch_single(span_of(in->records.data, in->records.len), &batch, &h) || !batch_is_transactional(&h) ||
            !batch_has_producer(&h))
                return;
        if (partition_txn_look(p, &h, &part->guard))
                return;
        part->is_asked = true;
        if (!add->items_count) {
                add->producer_id = h.producer_id;
                add->producer_epoch = h.producer_epoch;
        }
        if (h.producer_id != add->producer_id || h.producer_epoch != add->producer_epoch) {
                part->error = KERR_INVALID_PRODUCER_ID_MAPPING; /* a transaction has one producer */
                return;
        }
        t->asked[add->items_count] = part;
        add->items[add->items_count++] = (struct coord_txn_item){ .topic = meta->name, .partition = in->index };
}

static void look_at_all(struct produce_txn *t)
{
        size_t at = 0;

        t->ask.add.items_count = 0;
        for (int32_t i = 0; i < t->req->topic_data_count; i++)
                for (int32_t k = 0; k < t->req->topic_data[i].partition_data_count; k++, at++)
                        if (!t->denied || !t->denied[i])
                                look(t, &t->req->topic_data[i], &t->req->topic_data[i].partition_data[k],
                                     &t->parts[at]);
}

static void answered(struct coord_request *crq);

static void ask(struct produce_txn *t)
{
        struct coord_txn_add *add = &t->ask.add;

        coord_request_init(&add->rq, COORD_TXN_ADD, t->req->transactional_id);
        add->rq.reply_loop = rq_loop(t->rq);
        add->rq.done = answered;
        txn_link_ask(t->rq->h->deps.txn_link, &t->ask);
}

/* The marker that was waited for is in the log now: what was noted of the partitions is of before. */
static void on_again(struct loop_timer *timer)
{
        struct produce_txn *t = container_of(timer, struct produce_txn, again);

        look_at_all(t);
        if (t->ask.add.items_count)
                ask(t);
        else
                t->done(t);
}

static bool is_ending(const struct coord_txn_add *add)
{
        if (add->rq.outcome)
                return add->rq.outcome == COORD_E_CONCURRENT_TXN;
        for (int32_t i = 0; i < add->items_count; i++)
                if (add->items[i].ret_outcome == COORD_E_CONCURRENT_TXN)
                        return true;
        return false;
}

static void answered(struct coord_request *crq)
{
        struct produce_txn *t = container_of(crq, struct produce_txn, ask.add.rq);

        if (is_ending(&t->ask.add) && loop_now_ms(rq_loop(t->rq)) < t->until_ms) {
                coord_request_fini(crq);
                loop_timer_start(&t->again, AGAIN_MS);
                return;
        }
        for (int32_t i = 0; i < t->ask.add.items_count; i++)
                t->asked[i]->error = error_of(t->rq, crq->outcome ? crq->outcome : t->ask.add.items[i].ret_outcome);
        coord_request_fini(crq);
        t->done(t);
}

int produce_txn_begin(struct produce_txn *t, size_t parts_count)
{
        struct coord_txn_add *add = &t->ask.add;

        if (!t->req->transactional_id.p)
                return 0;
        add->verify_only = t->rq->version < VERSION_ADDS;
        add->version = COORD_TXN_VERSION_2;
        t->parts = ARENA_NEW_ARRAY(&t->rq->arena, struct produce_txn_part, parts_count);
        t->asked = ARENA_NEW_ARRAY(&t->rq->arena, struct produce_txn_part *, parts_count);
        add->items = ARENA_NEW_ARRAY(&t->rq->arena, struct coord_txn_item, parts_count);
        if (!t->parts || !t->asked || !add->items)
                return -ENOMEM;
        look_at_all(t);
        if (!add->items_count)
                return 0;
        loop_timer_init(&t->again, rq_loop(t->rq), on_again);
        t->until_ms = loop_now_ms(rq_loop(t->rq)) + AGAIN_MS_MAX;
        ask(t);
        return 1;
}
