/* Fetch (key 1): long poll over many partitions, answered from the page cache by file ranges.
 *
 *   request -> session says which partitions -> read all (no record bytes, only where they lie)
 *      enough, an error, or no time left -> answer
 *      a batch header is cold            -> the same on the pool (cold record bytes are net's business, as they leave)
 *      too little                        -> wait on every partition; the first news reads all again
 *
 * Sources: KIP-227 (sessions), KIP-320 (epochs), KIP-74 (limits: at least one batch), KIP-516 (topic ids). */
#include "base/err.h"
#include "handler/leader_hint.h"
#include "handler/quota.h"
#include "wire/codec.h"
#include "wire/messages.h"

/* Partitions whose records one answer carries; the others follow in the next. Each keeps a file open until it has left,
 * and a response is at most 4096 pieces for net. */
enum {
        FETCH_SLICES_MAX = 256,
        /* Aborted transactions that one answer tells of (KIP-98), so that it stays small beside its records. What its first
         * partition needs is told in any case; plog_aborted() bounds that. */
        FETCH_ABORTED_MAX = 32768,
};
static_assert(2 * FETCH_SLICES_MAX + 1 <= 4096, "an answer's pieces fit into net_reply()");

struct fetch_work {
        struct partition *partition;  /* NULL: item->error says why */
        int64_t seen_end;             /* what was visible when it was read last */
        int32_t reader;               /* the client is to read from this node; -1: from us */
        struct plog_slice slice;      /* held when len is not 0 */
        struct plog_aborted *aborted; /* in the slice; for readers of committed records */
        size_t aborted_count;
        struct fetch_response_aborted_transaction *told; /* as the answer says it */
        struct rq_file file;
        struct partition_wait wait;
        struct fetch_op *op;
};

struct fetch_op {
        struct rq *rq;
        struct fetch_request req;
        struct fetch_plan plan;
        struct fetch_work *works; /* one per item of the plan */
        int64_t deadline_ms;
        struct loop_timer timer;
        unsigned waits_count; /* mails that will still come */
        int64_t parked_at_ns;
        struct io_job job;
        bool may_block, late;
        size_t aborted_left; /* so many more transactions are told of */
        bool full;           /* the answer takes no more records, however few min_bytes are there */
        int outcome;         /* of the read on the pool */
        struct leader_hints hints;
};

/* ---- reading ---- */

static void slice_release_pin(void *pin)
{
        struct plog_slice s = { .len = 1, .pin = pin };

        plog_slice_release(&s);
}

static void slice_drop(struct fetch_work *work)
{
        if (work->slice.len)
                plog_slice_release(&work->slice);
        work->slice.len = 0;
        free(work->aborted);
        work->aborted = NULL;
        work->aborted_count = 0;
}

static void works_release(struct fetch_op *op)
{
        for (size_t i = 0; i < op->plan.items_count; i++) {
                slice_drop(&op->works[i]);
                op->plan.items[i].records_len = 0;
        }
}

/* KIP-595: does what the client read last still belong to our log? Sets the diverging epoch when not. */
static int16_t check_divergence(struct partition *p, struct fetch_item *item)
{
        int32_t epoch;
        int64_t end_offset;
        int r;

        item->diverging_epoch = -1;
        if (item->last_fetched_epoch < 0)
                return 0;
        r = plog_epoch_end(partition_log(p), item->last_fetched_epoch, &epoch, &end_offset);
        if (r == PLOG_E_NOT_FOUND)
                return KERR_OFFSET_OUT_OF_RANGE;
        if (r)
                return error_of_log(r);
        if (epoch < item->last_fetched_epoch || end_offset < item->fetch_offset) {
                item->diverging_epoch = epoch;
                item->diverging_end_offset = end_offset;
        }
        return 0;
}

/* A client older than version 10 may not know zstd (KIP-110). As in Kafka the topic's configuration decides: where
 * producers choose the codec, their consumers are taken to know it. */
static int16_t check_old_client(const struct fetch_op *op, struct partition *p)
{
        struct partition_conf conf;

        if (op->rq->version >= 10)
                return 0;
        partition_get_conf(p, &conf);
        return conf.compression == CODEC_ZSTD ? KERR_UNSUPPORTED_COMPRESSION_TYPE : 0;
}

/* Clients that say where they stand may read from followers (KIP-392): they know what to do when one is behind. Others come here
 * because the leader has moved, and had better learn that at once. */
static int16_t check_role(const struct fetch_op *op, struct partition *p, const struct fetch_item *item)
{
        return error_of_log(op->req.rack_id.len ? partition_check_read(p, item->current_leader_epoch)
                                                : partition_check_epoch(p, item->current_leader_epoch));
}

static bool is_in_rack(const struct fetch_op *op, int32_t node)
{
        const struct meta_broker *b = meta_image_broker(op->rq->image, node);

        return b && !b->fenced && b->rack.p && str_equal(b->rack, op->req.rack_id);
}

/* A follower in the client's rack that is in sync and has what the client asks for, the one that has most; -1: none, or
 * the leader is in that rack, too. Source: KIP-392, Kafka's RackAwareReplicaSelector. */
static int32_t find_reader(const struct fetch_op *op, struct partition *p, int64_t offset)
{
        struct partition_reader readers[INSYNC_REPLICAS_MAX];
        const struct partition_reader *best = NULL;
        unsigned count;

        if (!op->req.rack_id.len || !op->rq->h->deps.conf->replication.read_from_rack ||
            is_in_rack(op, op->rq->h->deps.node_id))
                return -1;
        count = partition_readers(p, offset, readers, ARRAY_LEN(readers));
        for (unsigned i = 0; i < count; i++)
                if ((!best || readers[i].end_offset > best->end_offset) && is_in_rack(op, readers[i].node))
                        best = &readers[i];
        return best ? best->node : -1;
}

/* A leader whose log has failed is replaced, and may be the last one to learn it: what is beyond its end may well be there. */
static bool is_left_behind(const struct partition_view *view, const struct fetch_item *item)
{
        return view->failed && item->fetch_offset > view->end_offset;
}

/* What the answer says of the partition, and from where it may be read. What the client read last is judged first: one
 * that is ahead of us must be told where our logs part, which out of range would not say. */
static int16_t view_item(struct fetch_op *op, struct fetch_item *item, int64_t *ret_below)
{
        struct fetch_work *work = item->work;
        struct partition_view view;
        int16_t error = check_role(op, work->partition, item);

        if (error)
                return error;
        partition_view(work->partition, &view);
        error = check_divergence(work->partition, item);
        if (error)
                return error;
        if (item->diverging_epoch < 0 &&
            (item->fetch_offset < view.start_offset || item->fetch_offset > view.end_offset))
                return is_left_behind(&view, item) ? KERR_NOT_LEADER_OR_FOLLOWER : KERR_OFFSET_OUT_OF_RANGE;
        /* A new leader knows of a watermark that others may have told to be higher. It serves what is below and says -1, which
         * clients take for "not told", so that nobody sees the end go back (as KIP-207 for ListOffsets). */
        if (view.role != PARTITION_LEADER || view.watermark_known) {
                item->high_watermark = view.high_watermark;
                item->stable_offset = view.stable_offset;
        }
        item->start_offset = view.start_offset;
        *ret_below = op->req.isolation_level ? view.stable_offset : view.high_watermark;
        work->seen_end = *ret_below;
        if (view.role == PARTITION_LEADER && item->diverging_epoch < 0)
                work->reader = find_reader(op, work->partition, item->fetch_offset);
        return 0;
}

/* Which transactions in the slice were aborted. A slice with too many is left for the next answer.
 * Return: 0, -EAGAIN, or an error of the log. */
static int find_aborted(struct fetch_op *op, struct fetch_item *item, bool at_least_one)
{
        struct fetch_work *work = item->work;
        int r;

        if (!op->req.isolation_level || !work->slice.len)
                return 0;
        r = plog_aborted(partition_log(work->partition), item->fetch_offset, work->slice.next_offset, op->may_block,
                         &work->aborted, &work->aborted_count);
        if (r)
                return r;
        if (work->aborted_count > op->aborted_left && !at_least_one)
                slice_drop(work);
        op->aborted_left -= MIN2(op->aborted_left, work->aborted_count);
        return 0;
}

/* Read one partition: where its bytes lie, up to @len_max. Return: 0 (with item->error) or -EAGAIN: needs the pool. */
static int read_item(struct fetch_op *op, struct fetch_item *item, size_t len_max, bool at_least_one)
{
        struct fetch_work *work = item->work;
        int64_t below;
        int r;

        item->high_watermark = item->stable_offset = item->start_offset = -1;
        work->reader = -1;
        item->error = view_item(op, item, &below);
        item->elsewhere = work->reader >= 0;
        if (item->error || item->diverging_epoch >= 0 || work->reader >= 0 || (!len_max && !at_least_one))
                return 0;
        r = plog_read(partition_log(work->partition),
                      &(struct plog_read_args){
                              .from_offset = item->fetch_offset,
                              .below_offset = below,
                              .len_max = MIN2(len_max, (size_t)MAX2(item->max_bytes, 0)),
                              .at_least_one = at_least_one,
                      },
                      op->may_block, &work->slice);
        if (r)
                work->slice.len = 0;
        else
                r = find_aborted(op, item, at_least_one);
        if (r == -EAGAIN)
                return r; /* the slice goes with all others */
        item->error = error_of_log(r);
        if (!item->error && work->slice.len)
                item->error = check_old_client(op, work->partition);
        if (item->error)
                slice_drop(work);
        item->records_len = work->slice.len;
        return 0;
}

/* The most that an answer may hold, but for its first batch. */
static size_t response_max(const struct fetch_op *op)
{
        return (size_t)MIN2((int64_t)MAX2(op->req.max_bytes, 0), op->rq->h->deps.conf->fetch.max_bytes);
}

/* Read every partition of the plan. Return: 0 with what was found, or -EAGAIN when the pool is needed. */
static int read_all(struct fetch_op *op, size_t *ret_len, bool *ret_has_error)
{
        size_t left = response_max(op), total = 0, slices_count = 0;
        bool has_error = false;

        op->aborted_left = FETCH_ABORTED_MAX;
        for (size_t i = 0; i < op->plan.items_count; i++) {
                struct fetch_item *item = &op->plan.items[i];

                if (((struct fetch_work *)item->work)->partition) {
                        bool has_room = slices_count < FETCH_SLICES_MAX;
                        int r = read_item(op, item, has_room ? left : 0, total == 0);

                        if (r)
                                return r;
                }
                total += item->records_len;
                slices_count += item->records_len != 0;
                left -= MIN2(left, item->records_len);
                /* Who is to read elsewhere is told at once. */
                has_error |=
                        item->error || item->diverging_epoch >= 0 || ((struct fetch_work *)item->work)->reader >= 0;
        }
        op->full = total && (!left || slices_count == FETCH_SLICES_MAX);
        *ret_len = total;
        *ret_has_error = has_error;
        return 0;
}

/* ---- answering ---- */

/* Before anything is handed over to the response. False: out of memory. */
static bool tell_aborted(struct fetch_op *op, struct fetch_work *work)
{
        if (!work->aborted_count)
                return true;
        work->told = ARENA_NEW_ARRAY(&op->rq->arena, struct fetch_response_aborted_transaction, work->aborted_count);
        if (!work->told)
                return false;
        for (size_t i = 0; i < work->aborted_count; i++) {
                fetch_response_aborted_transaction_init(&work->told[i]);
                work->told[i].producer_id = work->aborted[i].producer_id;
                work->told[i].first_offset = work->aborted[i].first_offset;
        }
        return true;
}

static void fill_partition(struct fetch_op *op, struct fetch_item *item, struct fetch_response_partition *ret)
{
        static const uint8_t nothing[1];
        struct fetch_work *work = item->work;

        fetch_response_partition_init(ret);
        ret->partition_index = item->index;
        ret->error_code = item->error;
        ret->high_watermark = item->error ? -1 : item->high_watermark;
        ret->last_stable_offset = item->error ? -1 : item->stable_offset;
        ret->log_start_offset = item->error ? -1 : item->start_offset;
        ret->aborted_transactions = work->told;
        ret->aborted_transactions_count = op->req.isolation_level ? (int32_t)work->aborted_count : -1;
        ret->records = (struct wire_records){ .data = nothing };
        if (item->error)
                handler_count_error(op->rq, item->error);
        if (item->diverging_epoch >= 0) {
                ret->diverging_epoch.epoch = item->diverging_epoch;
                ret->diverging_epoch.end_offset = item->diverging_end_offset;
        }
        ret->preferred_read_replica = work->reader;
        if (op->rq->version >= 12 &&
            (item->error == KERR_FENCED_LEADER_EPOCH || item->error == KERR_NOT_LEADER_OR_FOLLOWER)) {
                struct leader_hint hint =
                        leader_hint(op->rq, item->topic.id, item->topic.name, item->index, work->partition, &op->hints);

                ret->current_leader.leader_id = hint.leader;
                ret->current_leader.leader_epoch = hint.epoch;
        }
        if (!work->slice.len)
                return;
        work->file = (struct rq_file){
                .fd = work->slice.fd,
                .pos = work->slice.pos,
                .len = work->slice.len,
                .release = slice_release_pin,
                .release_arg = work->slice.pin,
        };
        ret->records = (struct wire_records){ .len = work->slice.len, .ext = &work->file };
        work->slice.len = 0; /* the response owns it now */
}

static bool same_topic(const struct fetch_topic_ref *a, const struct fetch_topic_ref *b)
{
        return uuid_equal(a->id, b->id) && str_equal(a->name, b->name);
}

/* The items to include, neighbours of one topic together, in order. False: out of memory. */
static bool fill_topics(struct fetch_op *op, struct fetch_response *rsp)
{
        struct arena *a = &op->rq->arena;
        struct fetch_response_topic *topic = NULL;
        struct fetch_response_partition *partitions;
        const struct fetch_topic_ref *last = NULL;

        rsp->responses = ARENA_NEW_ARRAY(a, struct fetch_response_topic, op->plan.items_count);
        partitions = ARENA_NEW_ARRAY(a, struct fetch_response_partition, op->plan.items_count);
        if (!rsp->responses || !partitions)
                return false;
        for (size_t i = 0; i < op->plan.items_count; i++)
                if (op->plan.items[i].include && !tell_aborted(op, op->plan.items[i].work))
                        return false;
        for (size_t i = 0; i < op->plan.items_count; i++) {
                struct fetch_item *item = &op->plan.items[i];

                if (!item->include)
                        continue;
                if (!last || !same_topic(last, &item->topic)) {
                        topic = &rsp->responses[rsp->responses_count++];
                        fetch_response_topic_init(topic);
                        topic->topic = item->topic.name;
                        topic->topic_id = item->topic.id;
                        topic->partitions = partitions;
                        topic->partitions_count = 0;
                        last = &item->topic;
                }
                fill_partition(op, item, partitions++);
                topic->partitions_count++;
        }
        return true;
}

static void op_free(struct fetch_op *op)
{
        works_release(op);
        for (size_t i = 0; i < op->plan.items_count; i++)
                partition_unref(op->works[i].partition);
        loop_timer_stop(&op->timer);
}

/* What the answer holds: known once the session has said which partitions it tells of. */
static size_t records_len(const struct fetch_op *op)
{
        size_t len = 0;

        for (size_t i = 0; i < op->plan.items_count; i++)
                len += op->plan.items[i].include ? op->works[i].slice.len : 0;
        return len;
}

static void answer(struct fetch_op *op)
{
        struct rq *rq = op->rq;
        struct fetch_response rsp;
        size_t items_count = op->plan.items_count;

        fetch_response_init(&rsp);
        rsp.session_id = fetch_session_finish(rq->h->sessions, &op->plan, clock_mono_ms());
        quota_use(rq, QUOTA_FETCH, (double)records_len(op));
        if (!fill_topics(op, &rsp)) {
                op_free(op);
                rq_close_nomem(rq);
                return;
        }
        if (rq->version >= 16)
                LEADER_HINTS_TELL(rq, &op->hints, fetch_response_node, &rsp);
        op_free(op);
        RQ_REPLY_EXT(rq, fetch_response, &rsp, items_count);
}

static void answer_session_error(struct rq *rq, int outcome)
{
        static const int16_t errors[] = {
                [FETCH_SESSION_E_NOT_FOUND] = KERR_FETCH_SESSION_ID_NOT_FOUND,
                [FETCH_SESSION_E_EPOCH] = KERR_INVALID_FETCH_SESSION_EPOCH,
                [FETCH_SESSION_E_TOPIC_ID] = KERR_FETCH_SESSION_TOPIC_ID_ERROR,
        };
        struct fetch_response rsp;

        fetch_response_init(&rsp);
        rsp.error_code = outcome > 0 ? errors[outcome] : KERR_UNKNOWN_SERVER_ERROR;
        handler_count_error(rq, rsp.error_code);
        RQ_REPLY(rq, fetch_response, &rsp);
}

/* ---- waiting ---- */

static void evaluate(struct fetch_op *op);

/* The first news (or the end of time) takes all other waits back; when no mail is under way any more, read again. */
static void waits_end(struct fetch_op *op)
{
        for (size_t i = 0; i < op->plan.items_count && op->waits_count; i++) {
                struct fetch_work *work = &op->works[i];

                if (work->partition && work->wait.partition && partition_unwait(&work->wait))
                        op->waits_count--;
        }
        if (op->waits_count)
                return;
        op->rq->parked_ns += clock_mono_ns() - op->parked_at_ns;
        evaluate(op);
}

static void on_wait(struct loop *l, struct mail *m)
{
        struct fetch_work *work = container_of(m, struct fetch_work, wait.mail);
        struct fetch_op *op = work->op;

        (void)l;
        op->waits_count--;
        waits_end(op);
}

static void on_timer(struct loop_timer *t)
{
        struct fetch_op *op = container_of(t, struct fetch_op, timer);

        op->late = true;
        if (op->waits_count)
                waits_end(op);
}

static void waits_start(struct fetch_op *op)
{
        struct loop *loop = rq_loop(op->rq);
        enum partition_wait_kind kind = op->req.isolation_level ? PARTITION_WAIT_STABLE : PARTITION_WAIT_DATA;
        int64_t left_ms = op->deadline_ms - clock_mono_ms();

        op->parked_at_ns = clock_mono_ns();
        /* All are counted first: a wait may be answered while the next one is being set up. */
        for (size_t i = 0; i < op->plan.items_count; i++)
                op->waits_count += op->works[i].partition != NULL;
        loop_timer_start(&op->timer, MAX2(left_ms, (int64_t)0));
        for (size_t i = 0; i < op->plan.items_count; i++) {
                struct fetch_work *work = &op->works[i];

                if (!work->partition)
                        continue;
                work->wait.mail.fn = on_wait;
                partition_wait(work->partition, &work->wait, kind, MAX2(work->seen_end, op->plan.items[i].fetch_offset),
                               loop);
        }
        if (atomic_load(
                    &op->rq->h
                             ->stopping)) /* since it was looked at: whoever wakes the others may have been here before */
                loop_timer_start(&op->timer, 0);
}

/* ---- the pool ---- */

static void job_run(struct io_job *job)
{
        struct fetch_op *op = container_of(job, struct fetch_op, job);
        size_t len;
        bool has_error;

        op->outcome = read_all(op, &len, &has_error);
}

static void job_done(struct io_job *job)
{
        /* What was read on the pool is worth an answer even when it is less than min_bytes. */
        answer(container_of(job, struct fetch_op, job));
}

static void evaluate(struct fetch_op *op)
{
        int64_t enough = MIN2((int64_t)op->req.min_bytes, (int64_t)response_max(op)); /* more will never be there */
        size_t len = 0;
        bool has_error = false;

        works_release(op);
        op->may_block = false;
        if (read_all(op, &len, &has_error) == -EAGAIN) {
                works_release(op);
                op->may_block = true;
                op->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = rq_loop(op->rq) };
                loop_timer_stop(&op->timer);
                iopool_submit(op->rq->h->deps.pool, &op->job);
                return;
        }
        if (has_error || op->late || op->full || op->plan.items_count == 0 || (int64_t)len >= enough ||
            clock_mono_ms() >= op->deadline_ms || atomic_load(&op->rq->h->stopping) ||
            net_conn_is_gone(op->rq->net.conn)) {
                answer(op);
                return;
        }
        works_release(op);
        waits_start(op);
}

/* ---- the request ---- */

/* Flatten the request into items and partitions to forget. False: out of memory. */
static bool request_flatten(struct rq *rq, const struct fetch_request *req, struct fetch_session_request *ret)
{
        struct fetch_item *items;
        struct fetch_forget *forgets;
        size_t items_count = 0, forgets_count = 0;
        bool by_id = rq->version >= 13;

        for (int32_t i = 0; i < req->topics_count; i++)
                items_count += (size_t)req->topics[i].partitions_count;
        for (int32_t i = 0; i < req->forgotten_topics_data_count; i++)
                forgets_count += (size_t)req->forgotten_topics_data[i].partitions_count;
        items = ARENA_NEW_ARRAY(&rq->arena, struct fetch_item, items_count);
        forgets = ARENA_NEW_ARRAY(&rq->arena, struct fetch_forget, forgets_count);
        if (!items || !forgets)
                return false;
        *ret = (struct fetch_session_request){
                .session_id = req->session_id,
                .epoch = req->session_epoch,
                .by_id = by_id,
                .items = items,
                .items_count = items_count,
                .forgets = forgets,
                .forgets_count = forgets_count,
        };
        for (int32_t i = 0; i < req->topics_count; i++) {
                const struct fetch_request_topic *t = &req->topics[i];

                for (int32_t k = 0; k < t->partitions_count; k++) {
                        const struct fetch_request_partition *p = &t->partitions[k];

                        *items++ = (struct fetch_item){
                                .topic = { by_id ? t->topic_id : UUID_ZERO, by_id ? STR_NULL : t->topic },
                                .index = p->partition,
                                .current_leader_epoch = p->current_leader_epoch,
                                .fetch_offset = p->fetch_offset,
                                .last_fetched_epoch = p->last_fetched_epoch,
                                .max_bytes = p->partition_max_bytes,
                        };
                }
        }
        for (int32_t i = 0; i < req->forgotten_topics_data_count; i++) {
                const struct fetch_request_forgotten_topic *t = &req->forgotten_topics_data[i];

                for (int32_t k = 0; k < t->partitions_count; k++)
                        *forgets++ = (struct fetch_forget){
                                .topic = { by_id ? t->topic_id : UUID_ZERO, by_id ? STR_NULL : t->topic },
                                .index = t->partitions[k],
                        };
        }
        return true;
}

static void works_start(struct fetch_op *op)
{
        const struct fetch_topic_ref *last = NULL;
        int16_t denied = 0;

        for (size_t i = 0; i < op->plan.items_count; i++) {
                struct fetch_item *item = &op->plan.items[i];
                struct fetch_work *work = &op->works[i];

                work->op = op;
                work->reader = -1;
                item->work = work;
                item->diverging_epoch = -1;
                item->high_watermark = item->stable_offset = item->start_offset = -1;
                if (!last || !same_topic(last, &item->topic)) /* one question for each topic */
                        denied = authorize_topic(op->rq, ACL_READ, item->topic.id, item->topic.name);
                last = &item->topic;
                item->error = denied ? denied
                                     : resolve_partition(op->rq, item->topic.id, item->topic.name, item->index,
                                                         &work->partition);
        }
}

void handler_fetch(struct rq *rq)
{
        struct fetch_op *op = ARENA_NEW(&rq->arena, struct fetch_op);
        struct fetch_session_request session_rq;
        int r;

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, fetch_request, &op->req))
                return;
        op->rq = rq;
        if (!request_flatten(rq, &op->req, &session_rq)) {
                rq_close_nomem(rq);
                return;
        }
        r = fetch_session_begin(rq->h->sessions, &session_rq, &rq->arena, clock_mono_ms(), &op->plan);
        if (r) {
                answer_session_error(rq, r);
                return;
        }
        op->works = ARENA_NEW_ARRAY(&rq->arena, struct fetch_work, op->plan.items_count);
        if (!op->works) {
                fetch_session_abandon(rq->h->sessions, &op->plan);
                rq_close_nomem(rq);
                return;
        }
        works_start(op);
        op->deadline_ms = clock_mono_ms() + MAX2(op->req.max_wait_ms, 0);
        loop_timer_init(&op->timer, rq_loop(rq), on_timer);
        evaluate(op);
}
