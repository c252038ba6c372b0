/* ShareFetch (78): a member of a share group gives back what it has done and gets records, of which nobody else has any meanwhile (KIP-932). */
#include "handler/quota.h"
#include "handler/share_rows.h"
#include "wire/messages.h"

enum { ACQUIRE_BATCHES = 0, ACQUIRE_RECORDS = 1 };

struct share_fetch_op {
        struct rq *rq;
        struct share_fetch_request req;
        struct share_ask ask;
        struct rq_file *files; /* one for each row that is told */
        struct leader_hints hints;
};

/* ---- answering ---- */

static void slice_release_pin(void *pin)
{
        struct plog_slice s = { .len = 1, .pin = pin };

        plog_slice_release(&s);
}

static bool fill_acquired(struct rq *rq, const struct share_row *row, struct share_fetch_response_partition *ret)
{
        ret->acquired_records = ARENA_NEW_ARRAY(&rq->arena, struct share_fetch_response_acquired, row->acquired_count);
        if (!ret->acquired_records)
                return false;
        ret->acquired_records_count = (int32_t)row->acquired_count;
        for (size_t i = 0; i < row->acquired_count; i++) {
                struct share_fetch_response_acquired *r = &ret->acquired_records[i];

                share_fetch_response_acquired_init(r);
                r->first_offset = row->acquired[i].first;
                r->last_offset = row->acquired[i].last;
                r->delivery_count = row->acquired[i].deliveries;
        }
        return true;
}

static bool fill_partition(struct share_fetch_op *op, struct share_row *row, struct rq_file *file,
                           struct share_fetch_response_partition *ret)
{
        static const uint8_t nothing[1];
        struct leader_hint hint;

        share_fetch_response_partition_init(ret);
        ret->partition_index = row->place.index;
        ret->error_code = error_of_share(row->outcome);
        ret->error_message = share_words(row->outcome);
        ret->acknowledge_error_code = error_of_share(row->ack_outcome);
        ret->acknowledge_error_message = share_words(row->ack_outcome);
        if (ret->error_code)
                handler_count_error(op->rq, ret->error_code);
        if (ret->acknowledge_error_code)
                handler_count_error(op->rq, ret->acknowledge_error_code);
        hint = share_leader_hint(op->rq, row, ret->error_code ? ret->error_code : ret->acknowledge_error_code,
                                 &op->hints);
        ret->current_leader.leader_id = hint.leader;
        ret->current_leader.leader_epoch = hint.epoch;
        ret->records = (struct wire_records){ .data = nothing };
        if (!fill_acquired(op->rq, row, ret))
                return false;
        if (!row->slice.len)
                return true;
        *file = (struct rq_file){ .fd = row->slice.fd,
                                  .pos = row->slice.pos,
                                  .len = row->slice.len,
                                  .release = slice_release_pin,
                                  .release_arg = row->slice.pin };
        ret->records = (struct wire_records){ .len = row->slice.len, .ext = file };
        return true;
}

/* False: out of memory. */
static bool fill_topics(struct share_fetch_op *op, struct share_row **told, size_t count,
                        struct share_fetch_response *rsp)
{
        struct share_fetch_response_topic *topic = NULL;
        struct share_fetch_response_partition *partitions =
                ARENA_NEW_ARRAY(&op->rq->arena, struct share_fetch_response_partition, count);

        rsp->responses = ARENA_NEW_ARRAY(&op->rq->arena, struct share_fetch_response_topic, count);
        op->files = ARENA_NEW_ARRAY(&op->rq->arena, struct rq_file, count);
        if (!partitions || !rsp->responses || !op->files)
                return false;
        for (size_t i = 0; i < count; i++) {
                if (!topic || !uuid_equal(topic->topic_id, told[i]->place.topic_id)) {
                        topic = &rsp->responses[rsp->responses_count++];
                        share_fetch_response_topic_init(topic);
                        topic->topic_id = told[i]->place.topic_id;
                        topic->partitions = &partitions[i];
                        topic->partitions_count = 0;
                }
                if (!fill_partition(op, told[i], &op->files[i], &partitions[i]))
                        return false;
                topic->partitions_count++;
        }
        return true;
}

static void refuse(struct rq *rq, int16_t error, struct str why)
{
        struct share_fetch_response rsp;

        share_fetch_response_init(&rsp);
        rsp.error_code = error;
        rsp.error_message = why;
        handler_count_error(rq, error);
        RQ_REPLY(rq, share_fetch_response, &rsp);
}

/* A topic of the session that the client may not read any more. What it was to get comes to others when its time is up. */
static void withhold(struct rq *rq, struct share_row *row)
{
        if (!row->acquired_count || !authorize_topic(rq, ACL_READ, row->place.topic_id, STR_NULL))
                return;
        row->outcome = SHARES_E_DENIED;
        row->acquired_count = 0;
        plog_slice_release(&row->slice);
        row->slice.len = 0;
}

static void answer(struct share_ask *a)
{
        struct share_fetch_op *op = container_of(a, struct share_fetch_op, ask);
        struct rq *rq = op->rq;
        struct share_fetch_response rsp;
        struct share_row **told;
        size_t count, bytes = 0;

        if (a->outcome) {
                int16_t error = error_of_share(a->outcome);

                share_ask_fini(a);
                refuse(rq, error, STR_NULL);
                return;
        }
        share_fetch_response_init(&rsp);
        rsp.acquisition_lock_timeout_ms = (int32_t)a->ret_settings.part.lock_ms;
        told = share_rows_told(rq, a, &count);
        for (size_t i = 0; told && i < count; i++)
                withhold(rq, told[i]);
        if (!told || !fill_topics(op, told, count, &rsp)) {
                share_ask_fini(a); /* the connection goes, and with it what was acquired */
                rq_close_nomem(rq);
                return;
        }
        LEADER_HINTS_TELL(rq, &op->hints, share_fetch_response_node, &rsp);
        for (size_t i = 0; i < count; i++) {
                bytes += told[i]->slice.len;
                told[i]->slice.len = 0; /* the response owns it now */
        }
        quota_use(rq, QUOTA_FETCH, (double)bytes);
        share_ask_fini(a);
        RQ_REPLY_EXT(rq, share_fetch_response, &rsp, count);
}

/* ---- the request ---- */

SHARE_ROWS_FILL(fill_rows, share_fetch_request)

static bool fill_forgets(struct share_fetch_op *op)
{
        const struct share_fetch_request *req = &op->req;
        struct share_place *forgets;
        size_t count = 0;

        for (int32_t i = 0; i < req->forgotten_topics_data_count; i++)
                count += (size_t)req->forgotten_topics_data[i].partitions_count;
        forgets = ARENA_NEW_ARRAY(&op->rq->arena, struct share_place, count);
        op->ask.forgets = forgets;
        op->ask.forgets_count = count;
        for (int32_t i = 0; forgets && i < req->forgotten_topics_data_count; i++)
                for (int32_t k = 0; k < req->forgotten_topics_data[i].partitions_count; k++)
                        *forgets++ = (struct share_place){ req->forgotten_topics_data[i].topic_id,
                                                           req->forgotten_topics_data[i].partitions[k] };
        return op->ask.forgets;
}

/* What is wrong with it beyond one partition; null: nothing. */
static struct str fault(const struct share_fetch_op *op)
{
        const struct share_fetch_request *req = &op->req;

        if (req->share_acquire_mode < ACQUIRE_BATCHES || req->share_acquire_mode > ACQUIRE_RECORDS)
                return STR_LIT("The mode must be 0, whole batches, or 1, no more records than asked for.");
        for (size_t i = 0; req->share_session_epoch == SHARE_EPOCH_OPEN && i < op->ask.rows_count; i++)
                if (op->ask.rows[i].acks_count || op->ask.rows[i].ack_fault)
                        return STR_LIT("A new session has nothing to acknowledge.");
        if (req->is_renew_ack && (req->max_wait_ms || req->min_bytes || req->max_bytes || req->max_records))
                return STR_LIT("A request that renews must ask for no records: its wait, bytes and records must be 0.");
        return STR_NULL;
}

void handler_share_fetch(struct rq *rq)
{
        struct share_fetch_op *op = ARENA_NEW(&rq->arena, struct share_fetch_op);
        struct str why = STR_NULL;
        int16_t error;

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, share_fetch_request, &op->req))
                return;
        op->rq = rq;
        share_ask_init(rq, &op->ask, SHARE_FETCH, op->req.group_id, op->req.member_id, op->req.share_session_epoch,
                       answer);
        if (!fill_rows(rq, &op->req, &op->ask) || !fill_forgets(op)) {
                rq_close_nomem(rq);
                return;
        }
        error = share_check(rq, op->req.group_id, op->req.member_id, &why);
        if (!error)
                why = fault(op);
        if (!str_is_null(why)) {
                refuse(rq, error ? error : KERR_INVALID_REQUEST, why);
                return;
        }
        op->ask.only_renews = op->req.is_renew_ack;
        op->ask.strict = op->req.share_acquire_mode == ACQUIRE_RECORDS;
        op->ask.wait_ms = op->req.max_wait_ms;
        op->ask.records_max = MAX2(op->req.max_records, 1);
        op->ask.bytes_max = (size_t)MIN2((int64_t)MAX2(op->req.max_bytes, 0), rq->h->deps.conf->fetch.max_bytes);
        share_ask_submit(rq->h->deps.shares, &op->ask);
}
