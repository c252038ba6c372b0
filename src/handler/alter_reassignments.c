/* AlterPartitionReassignments (key 45): where replicas are to go; null replicas cancel. Sources: KIP-455, KIP-860. */
#include "handler/ask.h"
#include "wire/messages.h"

struct move_op {
        struct rq *rq;
        struct alter_partition_reassignments_request req;
        struct alter_partition_reassignments_response rsp;
        struct controller_reassign *items; /* in the order of the request, as are the answers */
        uint32_t items_count;
        struct ask ask;
};

static void done(struct controller_request *crq)
{
        struct move_op *op = container_of(crq, struct move_op, ask.rq);
        uint32_t n = 0;

        op->rsp.error_code = error_of_controller(crq->result.outcome);
        if (op->rsp.error_code)
                op->rsp.error_message = RQ_TEXT(op->rq, "%.*s", STR_FMT(crq->result.message));
        for (int32_t i = 0; i < op->rsp.responses_count; i++)
                for (int32_t k = 0; k < op->rsp.responses[i].partitions_count; k++) {
                        struct alter_partition_reassignments_response_partition *p =
                                &op->rsp.responses[i].partitions[k];
                        const struct controller_result *result = ask_result(&op->ask, &op->items[n++].result);

                        p->error_code = error_of_controller(result->outcome);
                        if (!p->error_code)
                                continue;
                        p->error_message = RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message));
                        handler_count_error(op->rq, p->error_code);
                }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, alter_partition_reassignments_response, &op->rsp);
}

static bool prepare_topic(struct move_op *op, int32_t i)
{
        const struct alter_partition_reassignments_request_topic *in = &op->req.topics[i];
        struct alter_partition_reassignments_response_topic *out = &op->rsp.responses[i];

        alter_partition_reassignments_response_topic_init(out);
        out->name = in->name;
        out->partitions = ARENA_NEW_ARRAY(&op->rq->arena, struct alter_partition_reassignments_response_partition,
                                          in->partitions_count);
        if (!out->partitions)
                return false;
        out->partitions_count = in->partitions_count;
        for (int32_t k = 0; k < in->partitions_count; k++) {
                alter_partition_reassignments_response_partition_init(&out->partitions[k]);
                out->partitions[k].error_message = STR_NULL;
                out->partitions[k].partition_index = in->partitions[k].partition_index;
                op->items[op->items_count++] = (struct controller_reassign){
                        .topic = in->name,
                        .partition = in->partitions[k].partition_index,
                        .cancel = in->partitions[k].replicas_count < 0,
                        .keep_factor = !op->req.allow_replication_factor_change,
                        .replicas = in->partitions[k].replicas,
                        .replicas_count = MAX2(in->partitions[k].replicas_count, 0),
                };
        }
        return true;
}

void handler_alter_partition_reassignments(struct rq *rq)
{
        struct move_op *op = ARENA_NEW(&rq->arena, struct move_op);
        size_t count = 0;
        bool ok;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, alter_partition_reassignments_request, &op->req))
                return;
        alter_partition_reassignments_response_init(&op->rsp);
        op->rsp.error_message = STR_NULL;
        op->rsp.allow_replication_factor_change = op->req.allow_replication_factor_change;
        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += (size_t)op->req.topics[i].partitions_count;
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_reassign, count);
        op->rsp.responses =
                ARENA_NEW_ARRAY(&rq->arena, struct alter_partition_reassignments_response_topic, op->req.topics_count);
        ok = op->items && op->rsp.responses;
        for (int32_t i = 0; ok && i < op->req.topics_count; i++)
                ok = prepare_topic(op, i);
        if (!ok) {
                rq_close_nomem(rq);
                return;
        }
        op->rsp.responses_count = op->req.topics_count;
        if (ask_refused(rq, &op->ask, ACL_ALTER))
                done(&op->ask.rq);
        else
                ask_submit(rq, &op->ask, CONTROLLER_ALTER_REASSIGNMENTS, op->items, op->items_count, false, done);
}
