/* CreatePartitions (key 37): more partitions for topics that exist. Sources: KIP-195, KIP-599 (quotas). */
#include "handler/ask.h"
#include "handler/quota.h"
#include "handler/twice.h"
#include "wire/messages.h"

struct more_op {
        struct rq *rq;
        struct create_partitions_request req;
        struct create_partitions_response rsp;
        struct controller_create_partitions *items;
        int32_t *rows;
        uint32_t items_count;
        struct ask ask;
};

static void done(struct controller_request *crq)
{
        struct more_op *op = container_of(crq, struct more_op, ask.rq);

        for (uint32_t i = 0; i < op->items_count; i++) {
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);
                struct create_partitions_response_result *out = &op->rsp.results[op->rows[i]];

                out->error_code = error_of_controller(result->outcome);
                if (!out->error_code)
                        continue;
                out->error_message = RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message));
                handler_count_error(op->rq, out->error_code);
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, create_partitions_response, &op->rsp);
}

static bool add_item(struct more_op *op, const struct create_partitions_request_topic *in, int32_t row)
{
        struct controller_create_partitions *item = &op->items[op->items_count];
        struct controller_assignment *a = NULL;

        if (in->assignments_count >= 0) {
                a = ARENA_NEW_ARRAY(&op->rq->arena, struct controller_assignment, in->assignments_count);
                if (!a)
                        return false;
        }
        for (int32_t i = 0; i < in->assignments_count; i++) {
                a[i].replicas = in->assignments[i].broker_ids;
                a[i].replicas_count = in->assignments[i].broker_ids_count;
        }
        op->rows[op->items_count++] = row;
        *item = (struct controller_create_partitions){
                .name = in->name,
                .count = in->count,
                .assignments = a,
                .assignments_count = MAX2(in->assignments_count, 0),
        };
        return true;
}

static bool may(const struct more_op *op, const struct create_partitions_request_topic *in)
{
        const struct meta_topic *t = meta_image_topic(op->rq->image, in->name);
        int32_t more = t ? in->count - t->partitions_count : 0;

        return op->req.validate_only || more <= 0 || quota_try(op->rq, QUOTA_MUTATION, more, op->rq->version >= 3);
}

static void refuse(struct more_op *op, struct create_partitions_response_result *out, int16_t error, struct str text)
{
        out->error_code = error;
        out->error_message = text;
        handler_count_error(op->rq, error);
}

/* One result for each name. False: out of memory. */
static bool take(struct more_op *op, int32_t i, bool is_named_twice)
{
        const struct create_partitions_request_topic *in = &op->req.topics[i];
        int32_t row = op->rsp.results_count++;
        struct create_partitions_response_result *out = &op->rsp.results[row];
        struct rq *rq = op->rq;

        create_partitions_response_result_init(out);
        out->name = in->name;
        if (is_named_twice)
                refuse(op, out, KERR_INVALID_REQUEST,
                       RQ_TEXT(rq, "The topic is named twice in this request; name it once."));
        else if (!authorize(rq, ACL_ALTER, ACL_TOPIC, in->name))
                refuse(op, out, KERR_TOPIC_AUTHORIZATION_FAILED, STR_NULL);
        else if (!may(op, in))
                refuse(op, out, KERR_THROTTLING_QUOTA_EXCEEDED, quota_mutation_text());
        else
                return add_item(op, in, row);
        return true;
}

void handler_create_partitions(struct rq *rq)
{
        struct more_op *op = ARENA_NEW(&rq->arena, struct more_op);
        uint8_t *twice;
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, create_partitions_request, &op->req))
                return;
        count = op->req.topics_count;
        twice = twice_names(&rq->arena, op->req.topics, sizeof *op->req.topics,
                            offsetof(struct create_partitions_request_topic, name), (size_t)count);
        create_partitions_response_init(&op->rsp);
        op->rsp.results = ARENA_NEW_ARRAY(&rq->arena, struct create_partitions_response_result, count);
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_create_partitions, count);
        op->rows = ARENA_NEW_ARRAY(&rq->arena, int32_t, count);
        if (!twice || !op->rsp.results || !op->items || !op->rows) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++)
                if (twice[i] != TWICE_AGAIN && !take(op, i, twice[i])) {
                        rq_close_nomem(rq);
                        return;
                }
        ask_submit(rq, &op->ask, CONTROLLER_CREATE_PARTITIONS, op->items, op->items_count, op->req.validate_only, done);
}
