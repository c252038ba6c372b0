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

/* Without memory the client asks for metadata. */
static void tell_leaders(struct share_acknowledge_op *op, struct share_acknowledge_response *rsp)
{
        if (!op->hints.count)
                return;
        rsp->node_endpoints = ARENA_NEW_ARRAY(&op->rq->arena, struct share_acknowledge_response_node, op->hints.count);
        for (int32_t i = 0; rsp->node_endpoints && i < op->hints.count; i++) {
                struct share_acknowledge_response_node *n = &rsp->node_endpoints[rsp->node_endpoints_count++];
                struct leader_place place = leader_hints_place(op->rq, &op->hints, i);

                share_acknowledge_response_node_init(n);
                n->node_id = place.id;
                n->host = place.host;
                n->port = place.port;
                n->rack = place.rack;
        }
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
        tell_leaders(op, &rsp);
        RQ_REPLY(rq, share_acknowledge_response, &rsp);
}

/* ---- the request ---- */

static bool fill_row(struct rq *rq, const struct share_acknowledge_request_partition *p, bool may_renew,
                     struct share_row *row)
{
        struct share_acks acks;
        size_t size = 0;

        for (int32_t i = 0; i < p->acknowledgement_batches_count; i++)
                size += (size_t)p->acknowledgement_batches[i].acknowledge_types_count;
        if (!share_acks_begin(rq, &acks, row, size, may_renew))
                return false;
        for (int32_t i = 0; i < p->acknowledgement_batches_count; i++) {
                const struct share_acknowledge_request_ack_batch *b = &p->acknowledgement_batches[i];

                share_acks_add(&acks, &(struct share_ack_batch){ b->first_offset, b->last_offset, b->acknowledge_types,
                                                                 b->acknowledge_types_count });
        }
        return true;
}

static bool fill_rows(struct share_acknowledge_op *op)
{
        const struct share_acknowledge_request *req = &op->req;
        struct share_ask *a = &op->ask;
        size_t count = 0;

        for (int32_t i = 0; i < req->topics_count; i++)
                count += (size_t)req->topics[i].partitions_count;
        a->rows = ARENA_NEW_ARRAY(&op->rq->arena, struct share_row, count);
        if (!a->rows)
                return false;
        for (int32_t i = 0; i < req->topics_count; i++)
                for (int32_t k = 0; k < req->topics[i].partitions_count; k++) {
                        const struct share_acknowledge_request_partition *p = &req->topics[i].partitions[k];
                        struct share_row *row = &a->rows[a->rows_count++];

                        share_row_name(op->rq, row, req->topics[i].topic_id, p->partition_index);
                        if (!fill_row(op->rq, p, req->is_renew_ack, row))
                                return false;
                }
        return true;
}

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
        if (!fill_rows(op)) {
                rq_close_nomem(rq);
                return;
        }
        error = share_check(rq, op->req.group_id, op->req.member_id, &why);
        if (error)
                refuse(rq, error, why);
        else
                share_ask_submit(rq->h->deps.shares, &op->ask);
}
