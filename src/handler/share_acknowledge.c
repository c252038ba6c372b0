/* ShareAcknowledge (79): a member of a share group tells what became of records, and fetches none (KIP-932). */
#include "handler/share_rows.h"
#include "wire/messages.h"

struct share_acknowledge_op {
        struct rq *rq;
        struct share_acknowledge_request req;
        struct share_ask ask;
        struct leader_hints hints;
};

/* ---- answering ---- */

static void fill_partition(struct share_acknowledge_op *op, const struct share_row *row,
                           struct share_acknowledge_response_partition *ret)
{
        struct leader_hint hint;

        share_acknowledge_response_partition_init(ret);
        ret->partition_index = row->place.index;
        ret->error_code = error_of_share(row->ack_outcome);
        ret->error_message = share_words(row->ack_outcome);
        if (ret->error_code)
                handler_count_error(op->rq, ret->error_code);
        hint = share_leader_hint(op->rq, row, ret->error_code, &op->hints);
        ret->current_leader.leader_id = hint.leader;
        ret->current_leader.leader_epoch = hint.epoch;
}

static bool fill_topics(struct share_acknowledge_op *op, struct share_row **told, size_t count,
                        struct share_acknowledge_response *rsp)
{
        struct share_acknowledge_response_topic *topic = NULL;
        struct share_acknowledge_response_partition *partitions =
                ARENA_NEW_ARRAY(&op->rq->arena, struct share_acknowledge_response_partition, count);

        rsp->responses = ARENA_NEW_ARRAY(&op->rq->arena, struct share_acknowledge_response_topic, count);
        if (!partitions || !rsp->responses)
                return false;
        for (size_t i = 0; i < count; i++) {
                if (!topic || !uuid_equal(topic->topic_id, told[i]->place.topic_id)) {
                        topic = &rsp->responses[rsp->responses_count++];
                        share_acknowledge_response_topic_init(topic);
                        topic->topic_id = told[i]->place.topic_id;
                        topic->partitions = &partitions[i];
                        topic->partitions_count = 0;
                }
                fill_partition(op, told[i], &partitions[i]);
                topic->partitions_count++;
        }
        return true;
}

static void refuse(struct rq *rq, int16_t error, struct str why)
{
        struct share_acknowledge_response rsp;

        share_acknowledge_response_init(&rsp);
        rsp.error_code = error;
        rsp.error_message = why;
        handler_count_error(rq, error);
        RQ_REPLY(rq, share_acknowledge_response, &rsp);
}

static void answer(struct share_ask *a)
{
        struct share_acknowledge_op *op = container_of(a, struct share_acknowledge_op, ask);
        struct rq *rq = op->rq;
        struct share_acknowledge_response rsp;
        int16_t error = error_of_share(a->outcome);
        struct share_row **told;
        size_t count;
        bool filled;

        if (error) {
                share_ask_fini(a);
                refuse(rq, error, STR_NULL);
                return;
        }
        share_acknowledge_response_init(&rsp);
        rsp.acquisition_lock_timeout_ms = (int32_t)a->ret_settings.part.lock_ms;
        told = share_rows_told(rq, a, &count);
        filled = told && fill_topics(op, told, count, &rsp);
        share_ask_fini(a);
        if (!filled) {
                rq_close_nomem(rq);
                return;
        }
        LEADER_HINTS_TELL(rq, &op->hints, share_acknowledge_response_node, &rsp);
        RQ_REPLY(rq, share_acknowledge_response, &rsp);
}

/* ---- the request ---- */

SHARE_ROWS_FILL(fill_rows, share_acknowledge_request)

void handler_share_acknowledge(struct rq *rq)
{
        struct share_acknowledge_op *op = ARENA_NEW(&rq->arena, struct share_acknowledge_op);
        struct str why = STR_NULL;
        int16_t error;

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, share_acknowledge_request, &op->req))
                return;
        op->rq = rq;
        share_ask_init(rq, &op->ask, SHARE_ACKNOWLEDGE, op->req.group_id, op->req.member_id,
                       op->req.share_session_epoch, answer);
        if (!fill_rows(rq, &op->req, &op->ask)) {
                rq_close_nomem(rq);
                return;
        }
        error = share_check(rq, op->req.group_id, op->req.member_id, &why);
        if (error)
                refuse(rq, error, why);
        else
                share_ask_submit(rq->h->deps.shares, &op->ask);
}
