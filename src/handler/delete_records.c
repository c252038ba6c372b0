/* DeleteRecords (key 21): move the start of partitions up. Each move is made durable, so the work is the pool's.
 * Source: KIP-107. */
#include "handler/internal.h"
#include "wire/messages.h"

enum { TO_HIGH_WATERMARK = -1 };

struct delete_records_op {
        struct rq *rq;
        struct delete_records_request req;
        struct delete_records_response rsp;
        struct io_job job;
};

static int16_t delete_one(struct rq *rq, struct str topic, const struct delete_records_request_partition *in,
                          int64_t *ret_low_watermark)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        struct partition_view view;
        int64_t offset = in->offset;
        int16_t error;
        int r;

        if (meta_topic_is_internal(topic))
                return KERR_INVALID_TOPIC_EXCEPTION;
        error = resolve_partition(rq, UUID_ZERO, topic, in->partition_index, &p);
        if (error)
                return error;
        error = error_of_log(partition_check_epoch(p, -1)); /* the leader's business; followers' logs follow */
        if (error)
                return error;
        if (!partition_is_deletable(p))
                return KERR_POLICY_VIOLATION;
        partition_view(p, &view);
        if (offset == TO_HIGH_WATERMARK)
                offset = view.high_watermark;
        if (offset < 0 || offset > view.high_watermark)
                return KERR_OFFSET_OUT_OF_RANGE;
        r = plog_delete_records(partition_log(p), offset, ret_low_watermark);
        if (r == 0)
                partition_start_moved(p);
        return error_of_log(r);
}

static void job_run(struct io_job *job)
{
        struct delete_records_op *op = container_of(job, struct delete_records_op, job);

        for (int32_t i = 0; i < op->req.topics_count; i++)
                for (int32_t k = 0; k < op->req.topics[i].partitions_count; k++) {
                        struct delete_records_response_partition *p = &op->rsp.topics[i].partitions[k];

                        p->error_code = delete_one(op->rq, op->req.topics[i].name, &op->req.topics[i].partitions[k],
                                                   &p->low_watermark);
                }
}

static void job_done(struct io_job *job)
{
        struct delete_records_op *op = container_of(job, struct delete_records_op, job);

        for (int32_t i = 0; i < op->rsp.topics_count; i++)
                for (int32_t k = 0; k < op->rsp.topics[i].partitions_count; k++)
                        if (op->rsp.topics[i].partitions[k].error_code)
                                handler_count_error(op->rq, op->rsp.topics[i].partitions[k].error_code);
        RQ_REPLY(op->rq, delete_records_response, &op->rsp);
}

static bool op_prepare(struct delete_records_op *op)
{
        struct arena *a = &op->rq->arena;

        delete_records_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(a, struct delete_records_response_topic, op->req.topics_count);
        if (!op->rsp.topics)
                return false;
        op->rsp.topics_count = op->req.topics_count;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct delete_records_request_topic *in = &op->req.topics[i];
                struct delete_records_response_topic *t = &op->rsp.topics[i];

                delete_records_response_topic_init(t);
                t->name = in->name;
                t->partitions = ARENA_NEW_ARRAY(a, struct delete_records_response_partition, in->partitions_count);
                if (!t->partitions)
                        return false;
                t->partitions_count = in->partitions_count;
                for (int32_t k = 0; k < in->partitions_count; k++) {
                        delete_records_response_partition_init(&t->partitions[k]);
                        t->partitions[k].partition_index = in->partitions[k].partition_index;
                        t->partitions[k].low_watermark = -1;
                }
        }
        return true;
}

void handler_delete_records(struct rq *rq)
{
        struct delete_records_op *op = ARENA_NEW(&rq->arena, struct delete_records_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, delete_records_request, &op->req))
                return;
        if (!op_prepare(op)) {
                rq_close_nomem(rq);
                return;
        }
        op->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = rq_loop(rq) };
        iopool_submit(rq->h->deps.pool, &op->job);
}
