/* UnregisterBroker (key 64): a broker that will not come back is forgotten. Its replicas stay in the assignments until they
 * are reassigned. One that is alive is refused (Kafka takes it, and leaves a process that serves nobody). Source: KIP-631. */
#include "handler/ask.h"
#include "wire/messages.h"

struct unregister_op {
        struct rq *rq;
        struct controller_unregister_broker item;
        struct ask ask;
};

static void done(struct controller_request *crq)
{
        struct unregister_op *op = container_of(crq, struct unregister_op, ask.rq);
        const struct controller_result *result = ask_result(&op->ask, &op->item.result);
        struct unregister_broker_response rsp;

        unregister_broker_response_init(&rsp);
        rsp.error_message = STR_NULL;
        rsp.error_code = error_of_controller(result->outcome);
        if (rsp.error_code) {
                rsp.error_message = RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message));
                handler_count_error(op->rq, rsp.error_code);
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, unregister_broker_response, &rsp);
}

void handler_unregister_broker(struct rq *rq)
{
        struct unregister_op *op = ARENA_NEW(&rq->arena, struct unregister_op);
        struct unregister_broker_request req;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, unregister_broker_request, &req))
                return;
        op->item.broker_id = req.broker_id;
        if (ask_refused(rq, &op->ask, ACL_ALTER))
                done(&op->ask.rq);
        else
                ask_submit(rq, &op->ask, CONTROLLER_UNREGISTER_BROKER, &op->item, 1, false, done);
}
