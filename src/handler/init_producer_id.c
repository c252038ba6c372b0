/* InitProducerId (key 22), idempotent producers only: a number that no other producer ever had. Numbers come from the
 * controller in blocks; the answer to a request that finds the block used up waits for the next one. Source: KIP-98,
 * KIP-360. */
#include "handler/ask.h"
#include "wire/messages.h"

struct id_op {
        struct rq *rq;
        struct controller_allocate_ids item;
        struct ask ask;
};

static void answer(struct rq *rq, int16_t error, int64_t id)
{
        struct init_producer_id_response rsp;

        init_producer_id_response_init(&rsp);
        rsp.error_code = error;
        rsp.producer_id = id;
        rsp.producer_epoch = error ? -1 : 0;
        if (error)
                handler_count_error(rq, error);
        RQ_REPLY(rq, init_producer_id_response, &rsp);
}

/* The next id of the block, or -1. */
static int64_t id_take(struct handler *h)
{
        int64_t id = -1;

        pthread_mutex_lock(&h->ids_lock);
        if (h->ids_next < h->ids_end)
                id = h->ids_next++;
        pthread_mutex_unlock(&h->ids_lock);
        return id;
}

static void allocated(struct controller_request *crq)
{
        struct id_op *op = container_of(crq, struct id_op, ask.rq);
        struct handler *h = op->rq->h;
        const struct controller_result *result = ask_result(&op->ask, &op->item.result);
        int64_t id = -1;

        if (result->outcome == CONTROLLER_OK && op->item.count > 0) {
                id = op->item.first;
                pthread_mutex_lock(&h->ids_lock);
                if (h->ids_next >= h->ids_end) { /* else another request brought a block meanwhile; ours is left out */
                        h->ids_next = op->item.first + 1;
                        h->ids_end = op->item.first + op->item.count;
                }
                pthread_mutex_unlock(&h->ids_lock);
        }
        ask_fini(&op->ask);
        answer(op->rq, id < 0 ? KERR_COORDINATOR_NOT_AVAILABLE : 0, id);
}

void handler_init_producer_id(struct rq *rq)
{
        const struct meta_broker *self = meta_image_broker(rq->image, rq->h->deps.node_id);
        struct init_producer_id_request req;
        struct id_op *op;
        int64_t id;

        if (!RQ_DECODE(rq, init_producer_id_request, &req))
                return;
        /* A producer that has an id has an epoch, too; and an id of transactions cannot be empty. */
        if ((req.producer_id == -1) != (req.producer_epoch == -1) ||
            (req.transactional_id.p && !req.transactional_id.len)) {
                answer(rq, KERR_INVALID_REQUEST, -1);
                return;
        }
        if (req.transactional_id.p) {
                answer(rq, KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1); /* no transactions are served */
                return;
        }
        id = id_take(rq->h);
        if (id >= 0) {
                answer(rq, 0, id);
                return;
        }
        op = ARENA_NEW(&rq->arena, struct id_op);
        if (!op || !self) {
                answer(rq, KERR_COORDINATOR_NOT_AVAILABLE, -1);
                return;
        }
        op->rq = rq;
        op->item.broker_id = self->id;
        op->item.broker_epoch = self->epoch;
        ask_submit(rq, &op->ask, CONTROLLER_ALLOCATE_IDS, &op->item, 1, false, allocated);
}
