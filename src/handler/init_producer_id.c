/* InitProducerId (key 22): an id for an idempotent producer; with a transactional id, also an epoch that fences whoever had it
 * before, and the end of what that one has left open. Sources: KIP-98, KIP-360. */
#include "handler/group_ask.h"
#include "handler/producer_id.h"
#include "wire/messages.h"

struct init_op {
        struct rq *rq;
        struct init_producer_id_request req;
        struct producer_id_get id;
        struct coord_txn_init ask;
};

static void answer(struct init_op *op, int16_t error, int64_t id, int16_t epoch)
{
        struct init_producer_id_response rsp;

        /* Older clients do not know the better name. */
        if (error == KERR_PRODUCER_FENCED && op->rq->version < 4)
                error = KERR_INVALID_PRODUCER_EPOCH;
        init_producer_id_response_init(&rsp);
        rsp.error_code = error;
        rsp.producer_id = error ? -1 : id;
        rsp.producer_epoch = error ? -1 : epoch;
        if (error)
                handler_count_error(op->rq, error);
        RQ_REPLY(op->rq, init_producer_id_response, &rsp);
}

/* ---- idempotence alone ---- */

static void got_id(struct producer_id_get *g, int64_t id)
{
        answer(container_of(g, struct init_op, id), id < 0 ? KERR_COORDINATOR_NOT_AVAILABLE : 0, id, 0);
}

/* ---- transactions ---- */

static void init_done(struct coord_request *crq);

static void ask(struct init_op *op, int64_t new_id)
{
        coord_request_init(&op->ask.rq, COORD_TXN_INIT, op->req.transactional_id);
        op->ask.timeout_ms = op->req.transaction_timeout_ms;
        op->ask.producer_id = op->req.producer_id;
        op->ask.producer_epoch = op->req.producer_epoch;
        op->ask.new_producer_id = new_id;
        txn_ask_here(op->rq, &op->ask.rq, init_done);
}

static void got_new_id(struct producer_id_get *g, int64_t id)
{
        struct init_op *op = container_of(g, struct init_op, id);

        if (id < 0)
                answer(op, KERR_COORDINATOR_NOT_AVAILABLE, -1, -1);
        else
                ask(op, id);
}

static void init_done(struct coord_request *crq)
{
        struct init_op *op = container_of(crq, struct init_op, ask.rq);

        coord_request_fini(crq);
        if (crq->outcome == COORD_E_NEED_PRODUCER_ID) {
                op->id = (struct producer_id_get){ .rq = op->rq, .done = got_new_id };
                producer_id_get(&op->id);
                return;
        }
        answer(op, error_of_coord(crq->outcome), op->ask.ret_producer_id, op->ask.ret_producer_epoch);
}

/* An idempotent producer needs the right to be one, or to write to any topic (KIP-679). */
static int16_t denied_init(struct rq *rq, struct str id)
{
        if (id.p)
                return authorize(rq, ACL_WRITE, ACL_TRANSACTIONAL_ID, id) ? 0
                                                                          : KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        return authorize_cluster_first(rq, ACL_IDEMPOTENT_WRITE) || authorize_any(rq, ACL_WRITE, ACL_TOPIC)
                       ? 0
                       : KERR_CLUSTER_AUTHORIZATION_FAILED;
}

void handler_init_producer_id(struct rq *rq)
{
        struct init_op *op = ARENA_NEW(&rq->arena, struct init_op);
        const struct init_producer_id_request *req;
        int16_t denied;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        req = &op->req;
        if (!RQ_DECODE(rq, init_producer_id_request, &op->req))
                return;
        denied = denied_init(rq, req->transactional_id);
        if (denied) {
                answer(op, denied, -1, -1);
                return;
        }
        /* A producer that has an id has an epoch, too; and an id of transactions cannot be empty. */
        if ((req->producer_id < 0) != (req->producer_epoch < 0) || req->producer_id < -1 || req->producer_epoch < -1 ||
            (req->transactional_id.p && !req->transactional_id.len)) {
                answer(op, KERR_INVALID_REQUEST, -1, -1);
        } else if (!req->transactional_id.p) {
                op->id = (struct producer_id_get){ .rq = rq, .done = got_id };
                producer_id_get(&op->id);
        } else if (req->transaction_timeout_ms <= 0 ||
                   req->transaction_timeout_ms > rq->h->deps.conf->transactions.max_timeout_ms) {
                answer(op, KERR_INVALID_TRANSACTION_TIMEOUT, -1, -1);
        } else {
                ask(op, -1);
        }
}
