/* Appending records, and holding answers until they are committed. */
#include <errno.h>

#include "coord/shard_priv.h"
#include "wire/batch_records.h"

/* A batch is closed when it has grown past this; one record may be longer. */
enum { BATCH_LEN_WANTED = 512 << 10, WRITES_SIZE_MIN = 16 };

static int make_room(struct coord_shard *s)
{
        size_t size = s->writes_size ? s->writes_size * 2 : WRITES_SIZE_MIN;
        struct shard_write *writes;

        if (s->writes_count < s->writes_size)
                return 0;
        assert(s->writes_count == s->writes_size);
        writes = reallocarray(NULL, size, sizeof *writes);
        if (!writes)
                return -ENOMEM;
        for (size_t i = 0; i < s->writes_count; i++)
                writes[i] = s->writes[(s->writes_first + i) % s->writes_size];
        free(s->writes);
        s->writes = writes;
        s->writes_first = 0;
        s->writes_size = size;
        return 0;
}

static void push_write(struct coord_shard *s, uint64_t seq, int64_t end_offset)
{
        s->writes[(s->writes_first + s->writes_count++) % s->writes_size] = (struct shard_write){ seq, end_offset };
}

/* Finish the batch and append it. */
static int append_batch(struct coord_shard *s, struct batch_builder *b, int64_t now_ms, int64_t *ret_end_offset)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct plog_append_result result;
        struct plog_append_args args;
        int r = batch_builder_finish(b, &out);

        if (r)
                return r < 0 ? r : COORD_E_TOO_LARGE;
        args = (struct plog_append_args){
                .batch = (uint8_t *)out.data,
                .len = out.len,
                .now_ms = now_ms,
                .max_timestamp = now_ms,
                .max_timestamp_offset_delta = 0,
                .keep_base_offset = -1,
        };
        r = partition_append_in(s->args.partition, s->leader_epoch, &args, true, &result);
        if (r)
                return coord_outcome_of_log(r);
        *ret_end_offset = result.last_offset + 1;
        return 0;
}

static int append_all(struct coord_shard *s, struct batch_builder *b, const struct coord_record *records,
                      int64_t now_ms, int64_t *ret_end_offset)
{
        int64_t delta = 0;
        int r;

        for (const struct coord_record *rec = records; rec; rec = rec->next) {
                struct batch_record br = {
                        .offset = delta++, .timestamp = now_ms, .key = rec->key, .value = rec->value
                };

                r = batch_builder_add(b, &br);
                if (r)
                        return r < 0 ? r : COORD_E_TOO_LARGE;
                if (rec->next && batch_builder_len(b) < BATCH_LEN_WANTED)
                        continue;
                r = append_batch(s, b, now_ms, ret_end_offset);
                if (r)
                        return r;
                delta = 0;
        }
        return 0;
}

int shard_append(struct coord_shard *s, struct coord_actions *acts)
{
        struct batch_build_args args = batch_build_args();
        struct batch_builder b;
        int64_t end_offset = -1;
        int r = make_room(s);

        if (r)
                return r;
        if (acts->producer_id >= 0) {
                args.transactional = true;
                args.producer_id = acts->producer_id;
                args.producer_epoch = acts->producer_epoch;
        }
        batch_builder_init(&b, &args);
        r = append_all(s, &b, acts->records, clock_wall_ms(), &end_offset);
        batch_builder_fini(&b);
        if (r)
                return r;
        push_write(s, acts->seq, end_offset);
        if (!s->wait_runs)
                shard_wait(s, end_offset);
        return 0;
}

static int append_marker(struct coord_shard *s, const struct coord_txn_marker *rq, int64_t *ret_end_offset)
{
        struct plog_marker_args args = { .producer_id = rq->producer_id,
                                         .producer_epoch = rq->producer_epoch,
                                         .coordinator_epoch = rq->coordinator_epoch,
                                         .commit = rq->commit,
                                         .bumped = rq->bumped,
                                         .now_ms = clock_wall_ms() };
        struct plog_append_result result;
        int r = make_room(s);

        if (!r)
                r = partition_append_marker_in(s->args.partition, s->leader_epoch, &args, &result);
        if (r)
                return coord_outcome_of_log(r);
        *ret_end_offset = result.last_offset + 1;
        return 0;
}

void shard_write_marker(struct coord_shard *s, struct coord_txn_marker *rq)
{
        struct coord_actions acts;
        int64_t end_offset = -1;
        int r = append_marker(s, rq, &end_offset);

        if (r) {
                coord_request_refuse(&rq->rq, r);
                /* It has come before: it counts when that is committed. */
                if (r == COORD_E_INVALID_PRODUCER_EPOCH && s->writes_count) {
                        rq->rq.need_seq = s->writes[(s->writes_first + s->writes_count - 1) % s->writes_size].seq;
                        shard_hold(s, &rq->rq);
                } else {
                        coord_request_answer(&rq->rq);
                }
                return;
        }
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, marker(s->machine, rq->producer_id, rq->commit, shard_now(s), &acts));
        rq->rq.need_seq = acts.seq;
        ilist_push_back(&acts.replies, &rq->rq.link);
        push_write(s, acts.seq, end_offset);
        if (!s->wait_runs)
                shard_wait(s, end_offset);
        shard_act(s, &acts, r);
}

/* ---- answers that wait ---- */

void shard_hold(struct coord_shard *s, struct coord_request *rq)
{
        rq->deadline_ms = loop_now_ms(s->args.loop) + s->args.commit_timeout_ms;
        ilist_push_back(&s->held, &rq->link);
}

/* In order: an answer never overtakes one that was decided before it. */
static void release_held(struct coord_shard *s)
{
        struct coord_request *rq;

        while ((rq = ilist_first(&s->held, struct coord_request, link)) && rq->need_seq <= s->committed_seq) {
                ilist_unlink(&rq->link);
                coord_request_answer(rq);
        }
}

void shard_refuse_held(struct coord_shard *s, int outcome)
{
        for (struct ilist *l; (l = ilist_pop_front(&s->held));) {
                struct coord_request *rq = ilist_entry(l, struct coord_request, link);

                coord_request_refuse(rq, outcome);
                coord_request_answer(rq);
        }
}

/* The write may still be committed later: the change stays, and who was refused asks again. */
void shard_expire_held(struct coord_shard *s)
{
        int64_t now_ms = loop_now_ms(s->args.loop);
        struct coord_request *rq;

        while ((rq = ilist_first(&s->held, struct coord_request, link)) && rq->deadline_ms <= now_ms) {
                ilist_unlink(&rq->link);
                coord_request_refuse(rq, COORD_E_NOT_AVAILABLE);
                coord_request_answer(rq);
        }
}

/* ---- the high watermark ---- */

static void commit_writes(struct coord_shard *s)
{
        struct coord_actions acts;
        struct partition_view v;
        int r;

        partition_view(s->args.partition, &v);
        while (s->writes_count && s->writes[s->writes_first].end_offset <= v.high_watermark) {
                s->committed_seq = s->writes[s->writes_first].seq;
                s->writes_first = (s->writes_first + 1) % s->writes_size;
                s->writes_count--;
        }
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, committed(s->machine, s->committed_seq, shard_now(s), &acts));
        release_held(s);
        if (s->writes_count)
                shard_wait(s, s->writes[s->writes_first].end_offset);
        shard_act(s, &acts, r);
}

static void on_wait(struct loop *l, struct mail *m)
{
        struct coord_shard *s = container_of(m, struct coord_shard, wait.mail);

        s->wait_runs = false;
        switch (s->state) {
        case SHARD_CONFIRMING:
                if (s->wait.outcome)
                        shard_fail(s, coord_outcome_of_log(s->wait.outcome));
                else
                        shard_activate(s);
                break;
        case SHARD_ACTIVE:
                if (s->wait.outcome)
                        shard_fail(s, coord_outcome_of_log(s->wait.outcome));
                else
                        commit_writes(s);
                break;
        case SHARD_LOADING:
        case SHARD_FAILED:
                break;
        case SHARD_CLOSING:
                shard_maybe_gone(s);
                break;
        }
}

void shard_wait(struct coord_shard *s, int64_t offset)
{
        assert(!s->wait_runs);
        s->wait = (struct partition_wait){ .mail.fn = on_wait };
        s->wait_runs = true;
        partition_wait(s->args.partition, &s->wait, PARTITION_WAIT_ACK, offset, s->args.loop);
}

void shard_unwait(struct coord_shard *s)
{
        if (s->wait_runs && partition_unwait(&s->wait))
                s->wait_runs = false;
}
