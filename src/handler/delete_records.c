/* DeleteRecords (key 21): move the start of partitions up. Each move is made durable, so the work is the pool's. Then the request
 * is parked until the log of every replica in sync begins there, so that no leader to come has the records again.
 * Source: KIP-107. */
#include "handler/park.h"
#include "wire/messages.h"

enum { TO_HIGH_WATERMARK = -1 };

struct delete_records_op {
        struct rq *rq;
        struct delete_records_request req;
        struct delete_records_response rsp;
        struct park park;
        struct io_job job;
};

static int16_t delete_one(struct delete_records_op *op, struct str topic,
                          const struct delete_records_request_partition *in,
                          struct delete_records_response_partition *ret)
{
        struct rq *rq = op->rq;
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
        r = plog_delete_records(partition_log(p), offset, &ret->low_watermark);
        if (r)
                return error_of_log(r);
        partition_start_moved(p);
        park_add(&op->park, TAKE_PTR(p), offset, ret);
        return 0;
}

static void job_run(struct io_job *job)
{
        struct delete_records_op *op = container_of(job, struct delete_records_op, job);

        for (int32_t i = 0; i < op->req.topics_count; i++)
                for (int32_t k = 0; k < op->req.topics[i].partitions_count; k++) {
                        struct delete_records_response_partition *p = &op->rsp.topics[i].partitions[k];

                        if (!p->error_code)
                                p->error_code =
                                        delete_one(op, op->req.topics[i].name, &op->req.topics[i].partitions[k], p);
                }
}

/* ---- waiting for the followers ---- */

static void op_record(const struct delete_records_op *op, const struct delete_records_response_topic *t,
                      const struct delete_records_response_partition *p)
{
        if (p->error_code)
                handler_count_error(op->rq, p->error_code);
        if (p->error_code != KERR_TOPIC_AUTHORIZATION_FAILED) /* which has been recorded */
                audit_done(op->rq, STR_LIT("DELETE_RECORDS"), STR_LIT("PARTITION"),
                           RQ_TEXT(op->rq, "%.*s-%d", STR_FMT(t->name), p->partition_index), p->error_code);
}

static void op_answer(struct delete_records_op *op)
{
        park_fini(&op->park);
        for (int32_t i = 0; i < op->rsp.topics_count; i++)
                for (int32_t k = 0; k < op->rsp.topics[i].partitions_count; k++)
                        op_record(op, &op->rsp.topics[i], &op->rsp.topics[i].partitions[k]);
        RQ_REPLY(op->rq, delete_records_response, &op->rsp);
}

/* It is deleted here, and perhaps not for good. */
static void wait_failed(struct park *p, void *row, int16_t error)
{
        struct delete_records_response_partition *ret = row;

        (void)p;
        ret->error_code = error;
        ret->low_watermark = -1;
}

static void waits_done(struct park *p)
{
        op_answer(container_of(p, struct delete_records_op, park));
}

static void job_done(struct io_job *job)
{
        struct delete_records_op *op = container_of(job, struct delete_records_op, job);

        if (!op->park.count) {
                op_answer(op);
                return;
        }
        op->park.failed = wait_failed;
        op->park.done = waits_done;
        park_begin(&op->park, op->rq, PARTITION_WAIT_START, op->req.timeout_ms);
}

static bool op_prepare(struct delete_records_op *op)
{
        struct arena *a = &op->rq->arena;
        size_t partitions_count = 0;

        for (int32_t i = 0; i < op->req.topics_count; i++)
                partitions_count += (size_t)op->req.topics[i].partitions_count;
        delete_records_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(a, struct delete_records_response_topic, op->req.topics_count);
        if (!park_init(&op->park, op->rq, partitions_count) || !op->rsp.topics)
                return false;
        op->rsp.topics_count = op->req.topics_count;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct delete_records_request_topic *in = &op->req.topics[i];
                struct delete_records_response_topic *t = &op->rsp.topics[i];
                int16_t denied = authorize_topic(op->rq, ACL_DELETE, UUID_ZERO, in->name);

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
                        t->partitions[k].error_code = denied; /* not tried then */
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
