/* ListOffsets (key 2): offsets by name (earliest, latest, ...) or by time. Searches by time read the disk and run on the
 * pool. Sources: KIP-79, KIP-734 (max timestamp), KIP-405 and KIP-1005 (local and tiered ends), KIP-207. */
#include "handler/internal.h"
#include "handler/twice.h"
#include "wire/messages.h"

enum {
        OFFSETS_LATEST = -1,
        OFFSETS_EARLIEST = -2,
        OFFSETS_MAX_TIMESTAMP = -3,
        OFFSETS_EARLIEST_LOCAL = -4,
        OFFSETS_LATEST_TIERED = -5,
        OFFSETS_EARLIEST_PENDING_UPLOAD = -6,
};

struct list_offsets_op {
        struct rq *rq;
        struct list_offsets_request req;
        struct list_offsets_response rsp;
        struct io_job job;
        uint8_t *named_twice; /* of each partition, in the order of the request */
        int16_t *denied;      /* of each topic: why it is not told of, or 0 */
        bool needs_disk;
};

static void fill(struct list_offsets_response_partition *ret, int64_t timestamp, int64_t offset, int32_t epoch)
{
        ret->timestamp = timestamp;
        ret->offset = offset;
        ret->leader_epoch = epoch;
}

/* What was the latest offset under the leader before may lie above what a new one knows to be replicated. Rather than go
 * back, it asks for patience (KIP-207). */
static int16_t error_not_yet(const struct rq *rq)
{
        return rq->version >= 5 ? KERR_OFFSET_NOT_AVAILABLE : KERR_LEADER_NOT_AVAILABLE;
}

/* What can be told without the disk. Return: false when the pool is needed. */
static bool list_named(struct rq *rq, struct partition *p, int64_t timestamp, bool read_committed,
                       struct list_offsets_response_partition *ret, int16_t *ret_error)
{
        struct partition_view view;
        int64_t latest;

        *ret_error = 0;
        partition_view(p, &view);
        latest = read_committed ? view.stable_offset : view.high_watermark;
        switch (timestamp) {
        case OFFSETS_LATEST:
                if (!view.watermark_known)
                        *ret_error = error_not_yet(rq);
                else
                        fill(ret, -1, latest, view.leader_epoch);
                return true;
        case OFFSETS_EARLIEST:
        case OFFSETS_EARLIEST_LOCAL: /* all that is kept is local */
                fill(ret, -1, view.start_offset, plog_epoch_at(partition_log(p), view.start_offset));
                return true;
        case OFFSETS_LATEST_TIERED:
        case OFFSETS_EARLIEST_PENDING_UPLOAD: /* nothing is in the object tier, nothing waits to go there */
                fill(ret, -1, -1, -1);
                return true;
        default:
                return false;
        }
}

static int16_t list_by_time(struct rq *rq, struct partition *p, int64_t timestamp, bool read_committed,
                            struct list_offsets_response_partition *ret)
{
        struct partition_view view;
        struct plog_position at;
        int64_t below;
        int r;

        partition_view(p, &view);
        below = read_committed ? view.stable_offset : view.high_watermark;
        r = timestamp == OFFSETS_MAX_TIMESTAMP ? plog_find_max_time(partition_log(p), below, &at)
                                               : plog_find_time(partition_log(p), timestamp, below, &at);
        if (r == PLOG_E_NOT_FOUND && !view.watermark_known)
                return error_not_yet(rq);
        if (r == PLOG_E_NOT_FOUND) {
                fill(ret, -1, -1, -1); /* no error: there is no such record */
                return 0;
        }
        if (r)
                return error_of_log(r);
        fill(ret, at.timestamp_ms, at.offset, at.leader_epoch);
        return 0;
}

/* Which versions know which names (a client that asks too early gets what Kafka gives: error 35). */
static bool timestamp_is_known(int16_t version, int64_t timestamp)
{
        static const int16_t since[] = { 0, 0, 0, 7, 8, 9, 11 };

        return timestamp >= 0 || (timestamp >= OFFSETS_EARLIEST_PENDING_UPLOAD && version >= since[-timestamp]);
}

static int16_t list_partition(struct list_offsets_op *op, const struct list_offsets_request_topic *topic,
                              const struct list_offsets_request_partition *in, bool may_block,
                              struct list_offsets_response_partition *ret)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        int16_t error;

        if (!timestamp_is_known(op->rq->version, in->timestamp))
                return KERR_UNSUPPORTED_VERSION;
        error = resolve_partition(op->rq, UUID_ZERO, topic->name, in->partition_index, &p);
        if (!error)
                error = error_of_log(partition_check_epoch(p, in->current_leader_epoch));
        if (error || list_named(op->rq, p, in->timestamp, op->req.isolation_level != 0, ret, &error))
                return error;
        if (!may_block) {
                op->needs_disk = true;
                return 0;
        }
        return list_by_time(op->rq, p, in->timestamp, op->req.isolation_level != 0, ret);
}

/* A partition that is named twice is an error of the client (Kafka: INVALID_REQUEST, each time). */
static bool find_named_twice(struct list_offsets_op *op)
{
        struct twice_item *items;
        size_t count = 0, at = 0;

        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += (size_t)op->req.topics[i].partitions_count;
        items = ARENA_NEW_ARRAY(&op->rq->arena, struct twice_item, count);
        op->named_twice = ARENA_NEW_ARRAY(&op->rq->arena, uint8_t, count);
        if (!items || !op->named_twice)
                return false;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct list_offsets_request_topic *t = &op->req.topics[i];

                for (int32_t k = 0; k < t->partitions_count; k++, at++)
                        items[at] = (struct twice_item){ t->name, t->partitions[k].partition_index, (int32_t)at };
        }
        twice_find(items, count, op->named_twice);
        return true;
}

static void list_all(struct list_offsets_op *op, bool may_block)
{
        const uint8_t *twice = op->named_twice;

        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct list_offsets_request_topic *in = &op->req.topics[i];

                for (int32_t k = 0; k < in->partitions_count; k++) {
                        struct list_offsets_response_partition *p = &op->rsp.topics[i].partitions[k];

                        list_offsets_response_partition_init(p);
                        p->partition_index = in->partitions[k].partition_index;
                        fill(p, -1, -1, -1);
                        p->error_code = op->denied[i] ? op->denied[i]
                                        : *twice      ? KERR_INVALID_REQUEST
                                                      : list_partition(op, in, &in->partitions[k], may_block, p);
                        twice++;
                }
        }
}

static void answer(struct list_offsets_op *op)
{
        for (int32_t i = 0; i < op->rsp.topics_count; i++)
                for (int32_t k = 0; k < op->rsp.topics[i].partitions_count; k++)
                        if (op->rsp.topics[i].partitions[k].error_code)
                                handler_count_error(op->rq, op->rsp.topics[i].partitions[k].error_code);
        RQ_REPLY(op->rq, list_offsets_response, &op->rsp);
}

static void job_run(struct io_job *job)
{
        list_all(container_of(job, struct list_offsets_op, job), true);
}

static void job_done(struct io_job *job)
{
        answer(container_of(job, struct list_offsets_op, job));
}

static bool op_prepare(struct list_offsets_op *op)
{
        struct arena *a = &op->rq->arena;

        list_offsets_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(a, struct list_offsets_response_topic, op->req.topics_count);
        op->denied = ARENA_NEW_ARRAY(a, int16_t, op->req.topics_count);
        if (!op->rsp.topics || !op->denied)
                return false;
        op->rsp.topics_count = op->req.topics_count;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                struct list_offsets_response_topic *t = &op->rsp.topics[i];

                list_offsets_response_topic_init(t);
                t->name = op->req.topics[i].name;
                op->denied[i] = authorize_topic(op->rq, ACL_DESCRIBE, UUID_ZERO, t->name);
                t->partitions_count = op->req.topics[i].partitions_count;
                t->partitions = ARENA_NEW_ARRAY(a, struct list_offsets_response_partition, t->partitions_count);
                if (!t->partitions)
                        return false;
        }
        return true;
}

void handler_list_offsets(struct rq *rq)
{
        struct list_offsets_op *op = ARENA_NEW(&rq->arena, struct list_offsets_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, list_offsets_request, &op->req))
                return;
        if (!op_prepare(op) || !find_named_twice(op)) {
                rq_close_nomem(rq);
                return;
        }
        list_all(op, false);
        if (!op->needs_disk) {
                answer(op);
                return;
        }
        op->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = rq_loop(rq) };
        iopool_submit(rq->h->deps.pool, &op->job);
}
