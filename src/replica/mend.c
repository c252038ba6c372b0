/* Mending: records that are rotten on this node's disk are fetched from the leader and written over what is there.
 *
 *   a tick finds damage in a followed log --> its first range --ReplicaRead, until it is whole--> plog_mend() on the pool --> a tick
 *
 * One range at a time on a node. What cannot be mended (the leader cannot read it either, or its bytes lie differently, as in a log
 * that is cleaned) waits a while, and others have their turn; it stays damaged, and told, until somebody sees to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replica/replicator_priv.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "wire/batch.h"

enum {
        MEND_LEN_MAX = 64 << 20, /* of a range; all of it is held in memory before anything is written */
        READ_LEN = 1 << 20,
        TIMEOUT_MS = 10000,
        AGAIN_MS_MIN = 2000,
        AGAIN_MS_MAX = 600000, /* after one that came to nothing; twice as long after each */
        RANGES_MAX = 16,       /* that are looked at in one partition */
};

/* ---- which ---- */

static int compare_place(const struct mend *m, const struct follow *w, int64_t offset)
{
        int c = memcmp(&w->key, &m->last, sizeof w->key);

        return c ? c : (offset > m->last_offset) - (offset < m->last_offset);
}

static bool can_be_mended(const struct plog_damaged_range *r)
{
        return r->why != PLOG_DAMAGE_MISSING && r->segment_base >= 0 && r->end_pos - r->pos <= MEND_LEN_MAX;
}

/* Of the ranges of @w the first behind the one that was tried last; *@ret_any: any. */
static bool next_range(const struct mend *m, const struct follow *w, struct plog_damaged_range *ret, bool *ret_behind)
{
        struct plog_damaged_range list[RANGES_MAX];
        size_t count = MIN2(plog_damaged(partition_log(w->partition), RANGES_MAX, list), (size_t)RANGES_MAX);
        bool any = false;

        *ret_behind = false;
        for (size_t i = 0; i < count && !*ret_behind; i++) {
                if (!can_be_mended(&list[i]))
                        continue;
                *ret_behind = compare_place(m, w, list[i].from_offset) > 0;
                if (!any || *ret_behind)
                        *ret = list[i];
                any = true;
        }
        return any;
}

/* Round and round, so that one that cannot be mended keeps no other waiting. The leader is told of damage that is news. */
static struct follow *choose(struct replicator *r)
{
        struct follow *w, *next, *best = NULL;
        bool best_behind = false;

        HASH_ITER (hh, r->follows, w, next) {
                struct plog_damaged_range range;
                struct plog_ends ends;
                bool behind;

                plog_ends(partition_log(w->partition), &ends);
                if ((ends.damaged_ranges > 0) != w->said_damaged)
                        follow_report(w);
                if (!ends.damaged_ranges || !next_range(&r->mend, w, &range, &behind))
                        continue;
                if (best &&
                    (best_behind > behind || (best_behind == behind && memcmp(&w->key, &best->key, sizeof w->key) > 0)))
                        continue;
                best = w;
                best_behind = behind;
                r->mend.range = range;
        }
        return best;
}

/* ---- fetching ---- */

static void mend_end(struct mend *m, bool done)
{
        struct replicator *r = container_of(m, struct replicator, mend);

        m->fails = done ? 0 : MIN2(m->fails + 1, 16u);
        if (m->fails)
                m->not_before_ms =
                        clock_mono_ms() + MIN2((int64_t)AGAIN_MS_MIN << (m->fails - 1), (int64_t)AGAIN_MS_MAX);
        m->partition = partition_unref(m->partition);
        free(m->bytes);
        m->bytes = NULL;
        r->busy--;
}

static void mend_run(struct io_job *job)
{
        struct mend *m = container_of(job, struct mend, job);

        m->outcome = plog_mend(partition_log(m->partition), &m->range, span_of(m->bytes, m->len));
}

static void mend_done(struct io_job *job)
{
        struct mend *m = container_of(job, struct mend, job);

        if (!m->outcome)
                diag(DIAG_NOTICE,
                     "%s-%d: the offsets from %lld to %lld were damaged and are as leader %d has them again",
                     partition_topic_name(m->partition), partition_index(m->partition), (long long)m->range.from_offset,
                     (long long)m->range.to_offset - 1, m->leader);
        else if (m->outcome != PLOG_E_NOT_FOUND)
                diag_limited(DIAG_WARN,
                             "%s-%d: the damaged offsets from %lld to %lld cannot be written again as leader %d has "
                             "them: %s",
                             partition_topic_name(m->partition), partition_index(m->partition),
                             (long long)m->range.from_offset, (long long)m->range.to_offset - 1, m->leader,
                             m->outcome == -EINVAL ? "its batches are not as long" : strerror(-m->outcome));
        mend_end(m, !m->outcome);
}

/* Take what came; false: it does not fit. */
static bool take(struct mend *m, const struct wire_records *records)
{
        struct batch_iter it = batch_iter_of(span_of(records->data, records->len));
        struct batch_header h;
        struct span batch;
        int r;

        if (!records->data || !records->len || records->len > m->size - m->len)
                return false;
        while (!(r = batch_iter_next(&it, &batch, &h)))
                m->next_offset = batch_last_offset(&h) + 1;
        memcpy(m->bytes + m->len, records->data, records->len);
        m->len += records->len;
        return r == BATCH_END;
}

static void on_records(struct peer_call *call);

static bool read_more(struct mend *m)
{
        struct replicator *r = container_of(m, struct replicator, mend);
        struct replica_read_request rq;

        replica_read_request_init(&rq);
        rq.topic_id = partition_topic_id(m->partition);
        rq.index = partition_index(m->partition);
        rq.leader_epoch = m->leader_epoch;
        rq.broker_epoch = atomic_load(&r->broker_epoch);
        rq.from_offset = m->next_offset;
        rq.to_offset = m->range.to_offset;
        rq.max_bytes = READ_LEN;
        m->call = (struct peer_call){ .node = m->leader,
                                      .lane = PEER_DATA,
                                      .key = REPLICA_READ_KEY,
                                      .version = REPLICA_FETCH_VERSION,
                                      .timeout_ms = TIMEOUT_MS,
                                      .loop = r->loop,
                                      .done = on_records };
        if (PEER_ENCODE(&m->call.out, replica_read_request, &rq, REPLICA_FETCH_VERSION, 0))
                return false;
        peer_call_submit(r->cfg.hub, &m->call);
        return true;
}

static void on_records(struct peer_call *call)
{
        struct mend *m = container_of(call, struct mend, call);
        struct replicator *r = container_of(m, struct replicator, mend);
        struct iobuf *frame = TAKE_PTR(call->frame);
        struct replica_read_response rsp;
        struct arena mem;
        bool fits;

        arena_init(&mem, 4096);
        fits = call->outcome == PEER_OK && !r->stopping &&
               !PEER_DECODE(replica_read_response, &rsp, call->body, call->version, &mem) && !rsp.error &&
               take(m, &rsp.records);
        arena_fini(&mem);
        iobuf_unref(frame);
        if (fits && m->len == m->size) {
                m->job = (struct io_job){ .run = mend_run, .done = mend_done, .reply_loop = r->loop };
                iopool_submit(r->cfg.pool, &m->job);
        } else if (!fits || m->next_offset >= m->range.to_offset || !read_more(m)) {
                mend_end(m, false);
        }
}

void mend_look(struct replicator *r)
{
        struct partition_position pos;
        struct mend *m = &r->mend;
        struct follow *w;

        if (m->partition || clock_mono_ms() < m->not_before_ms || atomic_load(&r->broker_epoch) < 0)
                return;
        w = choose(r);
        if (!w || partition_position(w->partition, &pos))
                return;
        m->last = w->key;
        m->last_offset = m->range.from_offset;
        m->size = (size_t)(m->range.end_pos - m->range.pos);
        m->bytes = malloc(m->size);
        if (!m->bytes)
                return;
        m->partition = partition_ref(w->partition);
        m->leader = pos.leader;
        m->leader_epoch = pos.leader_epoch;
        m->next_offset = m->range.from_offset;
        m->len = 0;
        r->busy++;
        if (!read_more(m))
                mend_end(m, false);
}
