/* Produce (key 0): validate each batch, append it on this reactor, answer when the acknowledgement that was asked for
 * holds.
 *
 *   acks 0   no answer; an error closes the connection, so that the client looks for the leader again
 *   acks 1   parked until this node holds every batch as its topic promises it: on stable storage, or written where the
 *            topic does not flush before it acknowledges (then the answer is immediate)
 *   acks -1  parked until every batch is below its partition's high watermark, or the time-out
 *
 * The frame's memory is given back after the append: what parks is only the response.
 * Batches that the topic keeps in another codec are compressed again, which takes long: from the first such batch on the
 * request is done on the I/O pool, and later requests of its connection wait, so that sequences stay in order.
 * Of transactions it is asked first whether the partitions take part (produce_txn.h); later requests wait likewise.
 * Sources: KIP-98 (idempotence, transactions), KIP-467 (record errors), KIP-516 (topic ids), KIP-951 (leader hints). */
#include "base/err.h"
#include "base/strbuf.h"
#include "handler/leader_hint.h"
#include "handler/park.h"
#include "handler/produce_txn.h"
#include "handler/quota.h"
#include "wire/batch_records.h"
#include "wire/messages.h"

struct produce_op {
        struct rq *rq;
        struct produce_request req;
        struct produce_response rsp;
        struct park park;
        struct produce_txn txn;
        const int16_t *denied;    /* of each topic: why nothing is written to it, or 0; NULL without an authorizer */
        size_t parts_count;       /* all partitions */
        int32_t topic, partition; /* how far it is */
        size_t part;              /* likewise, over all topics */
        bool on_pool, failed;
        struct io_job job;
        uint64_t appended_records, appended_bytes;
        size_t request_len;
        bool has_error;
};

enum { LATER = INT16_MAX }; /* no code of Kafka's: not on this thread */

/* ---- one batch ---- */

static int16_t error_of_batch(int outcome)
{
        switch (outcome) {
        case BATCH_OK:
                return 0;
        case BATCH_E_TOO_LARGE:
                return KERR_MESSAGE_TOO_LARGE;
        case BATCH_E_LENGTH:
        case BATCH_E_MAGIC:
        case BATCH_E_CRC:
                return KERR_CORRUPT_MESSAGE;
        case BATCH_E_CODEC:
                return KERR_UNSUPPORTED_COMPRESSION_TYPE;
        case BATCH_E_TIMESTAMP:
                return KERR_INVALID_TIMESTAMP;
        case BATCH_E_TRUNCATED:
        case BATCH_E_MAGIC_OLD:
        case BATCH_E_NOT_ONE:
        case BATCH_E_INVALID:
        case BATCH_E_RECORDS:
                return KERR_INVALID_RECORD;
        default:
                return KERR_UNKNOWN_SERVER_ERROR;
        }
}

static int16_t refuse(struct rq *rq, struct produce_response_partition *ret, int16_t error, const char *text)
{
        ret->error_message = RQ_TEXT(rq, "%s", text);
        return error;
}

/* KIP-467: which records were wrong, and why. */
static void list_record_errors(struct rq *rq, const struct batch_check_args *args,
                               const struct batch_check_result *check, struct produce_response_partition *ret)
{
        uint32_t count = MIN2(check->errors_count, (uint32_t)BATCH_ERRORS_MAX);
        char text[BATCH_TEXT_SIZE];

        ret->record_errors = ARENA_NEW_ARRAY(&rq->arena, struct produce_response_record_error, count);
        if (!ret->record_errors)
                return;
        for (uint32_t i = 0; i < count; i++) {
                batch_record_error_format(&check->errors[i], args, text, sizeof text);
                produce_response_record_error_init(&ret->record_errors[i]);
                ret->record_errors[i].batch_index = check->errors[i].index;
                ret->record_errors[i].batch_index_error_message = RQ_TEXT(rq, "%s", text);
        }
        ret->record_errors_count = (int32_t)count;
}

static int16_t check_batch(struct rq *rq, const struct partition_conf *conf, struct span batch, int64_t now_ms,
                           struct batch_check_result *ret_check, struct produce_response_partition *ret)
{
        struct batch_check_args args = {
                .now_ms = now_ms,
                .timestamp_before_ms_max = conf->timestamp_before_max_ms,
                .timestamp_after_ms_max = conf->timestamp_after_max_ms,
                .log_append_time = conf->log_append_time,
                .keys_required = conf->compacted,
                .len_max = (size_t)conf->max_message_bytes,
        };
        int r = batch_check(batch, &args, ret_check);

        if (r < 0)
                return refuse(rq, ret, KERR_UNKNOWN_SERVER_ERROR, "The server is out of memory.");
        if (r == BATCH_E_RECORDS || r == BATCH_E_TIMESTAMP)
                list_record_errors(rq, &args, ret_check, ret);
        if (r)
                return refuse(rq, ret, error_of_batch(r), ret_check->text);
        if (rq->version < 7 && batch_codec(&ret_check->header) == CODEC_ZSTD)
                return refuse(rq, ret, KERR_UNSUPPORTED_COMPRESSION_TYPE,
                              "zstd needs Produce version 7 or later (KIP-110).");
        return 0;
}

/* What is known of the transaction by now. Return: 0 with the guard to append under (NULL: it belongs to none), or Kafka's code. */
static int16_t check_txn(const struct produce_op *op, const struct batch_header *h,
                         struct produce_response_partition *ret, const struct produce_txn_part **ret_part)
{
        *ret_part = NULL;
        if (!batch_is_transactional(h))
                return 0;
        if (!op->txn.parts)
                return refuse(op->rq, ret, KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                              "Records of a transaction, but the request has no transactional id.");
        *ret_part = &op->txn.parts[op->part];
        if (!(*ret_part)->error)
                return 0;
        return refuse(op->rq, ret, (*ret_part)->error,
                      "The transaction's coordinator does not let the partition take part.");
}

/* Store in the topic's codec when the producer used another. @ret_batch is then @ret_owned's bytes. */
static int16_t recompress(struct produce_op *op, const struct partition_conf *conf, struct batch_check_result *check,
                          struct span *batch, struct strbuf *ret_owned)
{
        int r;

        if (conf->compression < 0 || batch_codec(&check->header) == conf->compression)
                return 0;
        if (!op->on_pool)
                return LATER;
        r = batch_recompress(*batch, conf->compression, conf->compression_level, check->inflated_len, ret_owned);
        if (r)
                return error_of_batch(r);
        *batch = span_of(ret_owned->data, ret_owned->len);
        if (batch->len > (size_t)conf->max_message_bytes)
                return KERR_MESSAGE_TOO_LARGE;
        return 0;
}

static int16_t append_batch(struct produce_op *op, struct partition *p, const struct partition_conf *conf,
                            struct span batch, struct produce_response_partition *ret, int64_t *ret_end_offset)
{
        CLEANUP(strbuf_finip) struct strbuf owned = { 0 };
        const struct produce_txn_part *part = NULL;
        struct batch_check_result check;
        struct plog_append_result result;
        struct plog_append_args args;
        int64_t now_ms = clock_wall_ms();
        int16_t error = check_batch(op->rq, conf, batch, now_ms, &check, ret);
        int r;

        if (!error)
                error = check_txn(op, &check.header, ret, &part);
        if (!error)
                error = recompress(op, conf, &check, &batch, &owned);
        if (error)
                return error;
        if (conf->log_append_time)
                check.max_timestamp = now_ms;
        /* The frame is ours alone until the append, so its bytes may be changed in place. */
        batch_set_timestamps((uint8_t *)(uintptr_t)batch.data, batch.len, conf->log_append_time, check.max_timestamp);
        args = (struct plog_append_args){
                .batch = (uint8_t *)(uintptr_t)batch.data,
                .len = batch.len,
                .now_ms = now_ms,
                .max_timestamp = check.max_timestamp,
                .max_timestamp_offset_delta = conf->log_append_time ? 0 : check.max_timestamp_delta,
                .check_sequence = batch_has_producer(&check.header),
                .check_txn = part,
                .txn_marker = part ? part->guard.marker_offset : 0,
        };
        r = partition_append_in(p, part && part->is_asked ? part->guard.leader_epoch : -1, &args, op->req.acks == -1,
                                &result);
        if (r && r != PLOG_E_DUPLICATE)
                return error_of_log(r);
        ret->base_offset = result.base_offset;
        ret->log_append_time_ms = conf->log_append_time ? result.append_time_ms : -1;
        ret->log_start_offset = result.start_offset;
        *ret_end_offset = result.last_offset + 1;
        if (r != PLOG_E_DUPLICATE) {
                op->appended_records += (uint64_t)check.header.records_count;
                op->appended_bytes += batch.len;
        }
        return 0;
}

static int16_t produce_partition(struct produce_op *op, const struct produce_request_topic *topic,
                                 const struct produce_request_partition *in, struct produce_response_partition *ret)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        struct partition_conf conf;
        struct batch_header h;
        struct span batch;
        int64_t end_offset = 0;
        int16_t error = resolve_partition(op->rq, topic->topic_id, op->rq->version >= 13 ? STR_NULL : topic->name,
                                          in->index, &p);
        int r;

        if (error)
                return error;
        if (meta_topic_is_internal(str_of(partition_topic_name(p))))
                return refuse(op->rq, ret, KERR_INVALID_TOPIC_EXCEPTION,
                              "Internal topics are written by the node alone.");
        r = batch_single(span_of(in->records.data, in->records.len), &batch, &h);
        if (r)
                return refuse(op->rq, ret, error_of_batch(r),
                              r == BATCH_E_MAGIC_OLD ? "Record batches need magic 2 (message format v2)."
                                                     : "Exactly one whole record batch is needed for each partition.");
        partition_get_conf(p, &conf);
        error = append_batch(op, p, &conf, batch, ret, &end_offset);
        if (error || op->req.acks == 0)
                return error;
        park_add(&op->park, TAKE_PTR(p), end_offset, ret);
        return 0;
}

/* ---- the answer ---- */

/* Where nothing was written because another node leads, the client is told which (KIP-951). */
static void tell_leaders(struct produce_op *op)
{
        struct leader_hints hints = { 0 };
        struct rq *rq = op->rq;

        for (int32_t i = 0; i < op->rsp.responses_count; i++) {
                struct produce_response_topic *t = &op->rsp.responses[i];

                for (int32_t k = 0; k < t->partition_responses_count; k++) {
                        struct produce_response_partition *p = &t->partition_responses[k];
                        struct leader_hint hint;

                        if (p->error_code != KERR_NOT_LEADER_OR_FOLLOWER)
                                continue;
                        hint = leader_hint(rq, t->topic_id, rq->version >= 13 ? STR_NULL : t->name, p->index, NULL,
                                           &hints);
                        p->current_leader.leader_id = hint.leader;
                        p->current_leader.leader_epoch = hint.epoch;
                }
        }
        LEADER_HINTS_TELL(rq, &hints, produce_response_node, &op->rsp);
}

static void op_answer(struct produce_op *op)
{
        struct rq *rq = op->rq;

        park_fini(&op->park);
        if (op->has_error && rq->version >= 10)
                tell_leaders(op);
        RQ_REPLY(rq, produce_response, &op->rsp);
}

/* An append that cannot be confirmed: the client must not take its offset for granted. */
static void wait_failed(struct park *p, void *row, int16_t error)
{
        struct produce_op *op = container_of(p, struct produce_op, park);
        struct produce_response_partition *ret = row;

        op->has_error = true;
        ret->error_code = error;
        ret->base_offset = ret->log_append_time_ms = ret->log_start_offset = -1;
        handler_count_error(op->rq, error);
}

static void waits_done(struct park *p)
{
        op_answer(container_of(p, struct produce_op, park));
}

/* Copy what the response still needs out of the frame and give the frame back. False: out of memory. */
static bool frame_release(struct produce_op *op)
{
        for (int32_t i = 0; i < op->rsp.responses_count; i++) {
                struct str *name = &op->rsp.responses[i].name;

                if (!name->p)
                        continue;
                name->p = arena_memdup(&op->rq->arena, name->p, name->len);
                if (!name->p)
                        return false;
        }
        op->rq->client_id = STR_NULL;
        iobuf_unref(TAKE_PTR(op->rq->net.frame));
        return true;
}

static void op_park(struct produce_op *op)
{
        if (!frame_release(op)) {
                park_fini(&op->park);
                rq_close_nomem(op->rq);
                return;
        }
        op->park.failed = wait_failed;
        op->park.done = waits_done;
        park_begin(&op->park, op->rq, op->req.acks == 1 ? PARTITION_WAIT_LOCAL : PARTITION_WAIT_ACK,
                   op->req.timeout_ms);
}

static void op_finish(struct produce_op *op)
{
        if (op->req.acks == 0) {
                if (op->has_error)
                        rq_close(op->rq, "an error where acks=0 allows no answer");
                else
                        rq_reply_none(op->rq);
        } else if (op->park.count) {
                op_park(op);
        } else {
                op_answer(op);
        }
}

/* ---- the request ---- */

static bool op_prepare(struct produce_op *op)
{
        struct arena *a = &op->rq->arena;
        size_t partitions_count = 0;

        for (int32_t i = 0; i < op->req.topic_data_count; i++)
                partitions_count += (size_t)op->req.topic_data[i].partition_data_count;
        produce_response_init(&op->rsp);
        op->rsp.responses = ARENA_NEW_ARRAY(a, struct produce_response_topic, op->req.topic_data_count);
        op->rsp.responses_count = op->req.topic_data_count;
        op->parts_count = partitions_count;
        return park_init(&op->park, op->rq, partitions_count) && op->rsp.responses;
}

static bool has_transactional(const struct produce_op *op)
{
        struct batch_header h;
        struct span batch;

        for (int32_t i = 0; i < op->req.topic_data_count; i++)
                for (int32_t k = 0; k < op->req.topic_data[i].partition_data_count; k++) {
                        struct wire_records in = op->req.topic_data[i].partition_data[k].records;

                        if (!batch_single(span_of(in.data, in.len), &batch, &h) && batch_is_transactional(&h))
                                return true;
                }
        return false;
}

/* One question for each topic, here on the reactor. Who may not write in the transaction writes nothing at all. False: out of
 * memory. */
static bool op_authorize(struct produce_op *op)
{
        struct rq *rq = op->rq;
        struct str txn_id = op->req.transactional_id;
        int16_t *denied, all = 0;

        if (!rq->h->authorization)
                return true;
        denied = ARENA_NEW_ARRAY(&rq->arena, int16_t, op->req.topic_data_count);
        if (!denied)
                return false;
        if (txn_id.p && has_transactional(op) && !authorize(rq, ACL_WRITE, ACL_TRANSACTIONAL_ID, txn_id))
                all = KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        for (int32_t i = 0; i < op->req.topic_data_count; i++) {
                const struct produce_request_topic *t = &op->req.topic_data[i];

                denied[i] =
                        all ? all : authorize_topic(rq, ACL_WRITE, t->topic_id, rq->version >= 13 ? STR_NULL : t->name);
        }
        op->denied = denied;
        return true;
}

static bool topic_prepare(struct produce_op *op, const struct produce_request_topic *in,
                          struct produce_response_topic *ret)
{
        produce_response_topic_init(ret);
        ret->name = in->name;
        ret->topic_id = in->topic_id;
        ret->partition_responses =
                ARENA_NEW_ARRAY(&op->rq->arena, struct produce_response_partition, in->partition_data_count);
        if (!ret->partition_responses)
                return false;
        ret->partition_responses_count = in->partition_data_count;
        return true;
}

/* One partition after the other. False: it goes on from here on the pool. */
static bool topic_go_on(struct produce_op *op, const struct produce_request_topic *in,
                        struct produce_response_topic *ret)
{
        int16_t denied = op->denied ? op->denied[op->topic] : 0;
        bool acks_ok = op->req.acks >= -1 && op->req.acks <= 1;

        for (; op->partition < in->partition_data_count; op->partition++, op->part++) {
                const struct produce_request_partition *data = &in->partition_data[op->partition];
                struct produce_response_partition *p = &ret->partition_responses[op->partition];

                produce_response_partition_init(p);
                p->index = data->index;
                p->base_offset = -1;
                p->error_code = denied    ? denied
                                : acks_ok ? produce_partition(op, in, data, p)
                                          : KERR_INVALID_REQUIRED_ACKS;
                if (p->error_code == LATER)
                        return false;
                if (p->error_code) {
                        op->has_error = true;
                        handler_count_error(op->rq, p->error_code);
                }
        }
        op->partition = 0;
        return true;
}

/* As far as it gets on this thread. False: the rest is for the pool. */
static bool op_go_on(struct produce_op *op)
{
        for (; op->topic < op->req.topic_data_count; op->topic++) {
                const struct produce_request_topic *in = &op->req.topic_data[op->topic];
                struct produce_response_topic *ret = &op->rsp.responses[op->topic];

                if (!ret->partition_responses && !topic_prepare(op, in, ret)) {
                        op->failed = true;
                        return true;
                }
                if (!topic_go_on(op, in, ret))
                        return false;
        }
        return true;
}

static void op_appended(struct produce_op *op)
{
        handler_count_appended(op->rq, op->appended_records, op->appended_bytes);
        quota_use(op->rq, QUOTA_PRODUCE, (double)op->request_len);
        if (!op->failed) {
                op_finish(op);
                return;
        }
        /* Closing is honest: nothing that was appended has been acknowledged. */
        park_fini(&op->park);
        rq_close_nomem(op->rq);
}

static void job_run(struct io_job *job)
{
        struct produce_op *op = container_of(job, struct produce_op, job);
        bool done = op_go_on(op);

        assert(done);
}

static void job_done(struct io_job *job)
{
        struct produce_op *op = container_of(job, struct produce_op, job);

        net_request_go_on(&op->rq->net);
        op_appended(op);
}

static void op_start(struct produce_op *op)
{
        if (op_go_on(op)) {
                op_appended(op);
                return;
        }
        op->on_pool = true;
        net_request_hold(&op->rq->net);
        op->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = rq_loop(op->rq) };
        iopool_submit(op->rq->h->deps.pool, &op->job);
}

static void txn_known(struct produce_txn *t)
{
        net_request_go_on(&t->rq->net);
        op_start(container_of(t, struct produce_op, txn));
}

void handler_produce(struct rq *rq)
{
        struct produce_op *op = ARENA_NEW(&rq->arena, struct produce_op);
        int r;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        op->request_len = rq->net.body.len;
        if (!RQ_DECODE(rq, produce_request, &op->req))
                return;
        if (!op_prepare(op) || !op_authorize(op)) {
                rq_close_nomem(rq);
                return;
        }
        op->txn = (struct produce_txn){ .rq = rq, .req = &op->req, .denied = op->denied, .done = txn_known };
        r = produce_txn_begin(&op->txn, op->parts_count);
        if (r < 0)
                rq_close_nomem(rq);
        else if (r)
                net_request_hold(&rq->net);
        else
                op_start(op);
}
