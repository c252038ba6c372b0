/* What a follower is answered: records as ranges of files, watermarks, errors. See serve.h.
 *
 * Partitions are looked at in the order in which they got news, and those that an answer has no room for come first in the
 * next, so that a busy one starves nobody. What a partition was answered with records or an error is not looked at again
 * until the follower names its position anew. */
#include <errno.h>
#include <stdlib.h>

#include "replica/serve_priv.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
        ANSWER_PARTITIONS_MAX = 1000, /* of them each may be a range of a file: see PEER_EXTS_MAX */
        WATERMARK_DELAY_MS = 20,      /* a watermark alone is told so much later: mostly records take it along */
        THROTTLED_MS = 100,           /* a throttled partition is looked at again */
        COPY_LEN_MAX = 16 << 10,      /* records up to so long are copied: a range of a file is three calls more */
        COPIES_LEN_MAX = 32 << 10,    /* of all partitions of an answer */
};
static_assert((int)ANSWER_PARTITIONS_MAX <= (int)PEER_EXTS_MAX, "an answer's ranges fit into a message");

typedef struct replica_fetch_response_partition said_t;

struct answer {
        struct session *s;
        struct arena *arena;
        said_t *said;
        struct wanted **of; /* beside said */
        int32_t count, max;
        size_t left;     /* bytes of records that still fit */
        unsigned ranges; /* partitions with records, those that were copied too */
        uint8_t *copies; /* COPIES_LEN_MAX, once there are some */
        size_t copies_len;
        bool urgent;        /* there are records or errors */
        bool throttled;     /* something was left out for its rate */
        struct ilist later; /* to be looked at for the next answer, in order */
};

static void release_pin(void *pin)
{
        struct plog_slice s = { .len = 1, .pin = pin };

        plog_slice_release(&s);
}

static said_t *say(struct answer *a, struct wanted *w)
{
        said_t *p = &a->said[a->count];

        a->of[a->count++] = w;
        replica_fetch_response_partition_init(p);
        p->slot = w->slot;
        p->error = (int8_t)w->error;
        p->leader_epoch = w->answer.leader_epoch;
        p->high_watermark = w->answer.high_watermark;
        p->start_offset = w->answer.start_offset;
        return p;
}

static void say_trouble(struct answer *a, struct wanted *w)
{
        said_t *p = say(a, w);

        p->fetch_offset = w->at.fetch_offset;
        if (w->error == REPLICA_FETCH_E_OUT_OF_RANGE) {
                p->end_offset = w->answer.end_offset;
        } else if (!w->error) {
                p->diverging_epoch = w->answer.diverging_epoch;
                p->diverging_end = w->answer.diverging_end;
        }
        w->hungry = false;
        a->urgent = true;
}

/* The watermark as it is by now. */
static void refresh(struct wanted *w)
{
        struct partition_view view;

        partition_view(w->partition, &view);
        w->answer.high_watermark = view.high_watermark;
        w->answer.start_offset = view.start_offset;
        w->tell |= view.high_watermark != w->told_watermark || view.start_offset != w->told_start;
}

/* May it take records now? Who is in sync always may. */
static bool is_throttled(struct answer *a, const struct wanted *w)
{
        struct partition_conf conf;

        partition_get_conf(w->partition, &conf);
        if (!conf.leader_throttled || partition_replica_in_sync(w->partition, w->at.node) ||
            throttle_room(a->s->serve->throttle, clock_mono_ms()))
                return false;
        a->throttled = true;
        return true;
}

/* Records of one partition into w->slice. Return: as plog_read(). */
static int read_records(struct answer *a, struct wanted *w)
{
        if (w->slice.len)
                return 0;
        return plog_read(partition_log(w->partition),
                         &(struct plog_read_args){ .from_offset = w->at.fetch_offset,
                                                   .below_offset = INT64_MAX,
                                                   .len_max = MIN2(a->left, (size_t)SERVE_PARTITION_LEN_MAX),
                                                   .at_least_one = !a->ranges },
                         false, &w->slice);
}

/* Short records go into the message itself: no look at the page cache, no sendfile(2), and no third piece behind it.
 * Return: where they are, or NULL: they go as a range. */
static const uint8_t *copy_short(struct answer *a, const struct plog_slice *s)
{
        uint8_t *copy;

        if (s->len > COPY_LEN_MAX || s->len > COPIES_LEN_MAX - a->copies_len)
                return NULL;
        if (!a->copies)
                a->copies = malloc(COPIES_LEN_MAX);
        copy = a->copies ? a->copies + a->copies_len : NULL;
        if (!copy || file_pread_nowait(s->fd, copy, s->len, s->pos) != (ssize_t)s->len)
                return NULL;
        a->copies_len += s->len;
        return copy;
}

static bool say_records(struct answer *a, struct wanted *w)
{
        struct wire_records records = { .data = copy_short(a, &w->slice), .len = w->slice.len };
        struct net_piece *piece;
        said_t *p;

        if (!records.data) {
                piece = ARENA_NEW(a->arena, struct net_piece);
                if (!piece)
                        return false;
                *piece = (struct net_piece){ .fd = w->slice.fd,
                                             .pos = w->slice.pos,
                                             .len = w->slice.len,
                                             .release = release_pin,
                                             .release_arg = w->slice.pin };
                records.ext = piece;
        }
        p = say(a, w);
        p->records = records;
        p->fetch_offset = w->at.fetch_offset;
        a->left -= MIN2(a->left, w->slice.len);
        a->ranges++;
        a->urgent = true;
        return true;
}

/* Look at one that is hungry. Return: false when it is to be looked at again. */
static bool look_hungry(struct answer *a, struct wanted *w)
{
        int r;

        if (!w->error && w->answer.diverging_epoch < 0 && !wanted_is_current(w))
                wanted_ask(w); /* tells what it is instead */
        if (w->error || w->answer.diverging_epoch >= 0) {
                say_trouble(a, w);
                return true;
        }
        refresh(w);
        if (is_throttled(a, w))
                return false;
        r = a->left || !a->ranges ? read_records(a, w) : -ENOBUFS;
        if (r == -EAGAIN)
                wanted_read_cold(w);
        if (r == -EAGAIN || r == -ENOBUFS)
                return false;
        if (r) {
                w->error = r == PLOG_E_OUT_OF_RANGE ? REPLICA_FETCH_E_NOT_LEADER : REPLICA_FETCH_E_LOG;
                say_trouble(a, w); /* the log moved meanwhile: asked again, it tells */
                return true;
        }
        if (w->slice.len)
                return say_records(a, w);
        return true;
}

static void look(struct answer *a, struct wanted *w)
{
        int32_t before = a->count;

        if (w->hungry && !look_hungry(a, w)) {
                ilist_unlink(&w->ready_link);
                ilist_push_back(&a->later, &w->ready_link);
        }
        /* Who has to cut its log takes no watermark: what it has below may be another's. */
        if (a->count != before || !w->tell || w->error || w->answer.diverging_epoch >= 0 || !w->partition)
                return;
        if (!w->hungry)
                refresh(w);
        (void)say(a, w);
}

static bool answer_begin(struct answer *a, struct session *s)
{
        int32_t n = 0;

        *a = (struct answer){ .s = s, .arena = &s->parked->arena, .left = s->parked_max };
        ilist_init(&a->later);
        ilist_for_each (w, &s->ready, struct wanted, ready_link)
                if (++n == ANSWER_PARTITIONS_MAX)
                        break;
        a->max = n;
        a->said = ARENA_NEW_ARRAY(a->arena, said_t, n);
        a->of = ARENA_NEW_ARRAY(a->arena, struct wanted *, n);
        return a->said && a->of;
}

static bool is_trouble(const said_t *said)
{
        return said->error || said->diverging_epoch >= 0;
}

/* What was said is said: the slices are the message's now, or copied. */
static void answer_commit(struct answer *a)
{
        for (int32_t i = 0; i < a->count; i++) {
                struct wanted *w = a->of[i];
                bool trouble = is_trouble(&a->said[i]);

                w->told_watermark = trouble ? -1 : a->said[i].high_watermark;
                w->told_start = trouble ? -1 : a->said[i].start_offset;
                w->tell = false;
                if (!a->said[i].records.len)
                        continue;
                atomic_fetch_add_explicit(&a->s->serve->bytes, w->slice.len, memory_order_relaxed);
                throttle_note(a->s->serve->throttle, clock_mono_ms(), (int64_t)w->slice.len);
                if (!a->said[i].records.ext)
                        plog_slice_release(&w->slice);
                w->slice.len = 0;
                w->hungry = false;
        }
}

/* It was not said after all: as before. */
static void answer_take_back(struct answer *a)
{
        for (int32_t i = 0; i < a->count; i++) {
                struct wanted *w = a->of[i];

                if (is_trouble(&a->said[i]))
                        w->hungry = true;
                if (ilist_is_empty(&w->ready_link))
                        ilist_push_back(&a->later, &w->ready_link);
        }
        a->count = 0;
}

static void cold_start(struct session *s)
{
        if (s->job_runs || !s->reads_count)
                return;
        s->job_runs = true;
        iopool_submit(s->serve->pool, &s->job);
}

static void set_timer(struct answer *a)
{
        struct session *s = a->s;
        int64_t now_ms = clock_mono_ms(), at_ms = MIN2(s->parked_until_ms, s->watermark_at_ms);

        if (a->throttled)
                at_ms = MIN2(at_ms, now_ms + THROTTLED_MS);
        loop_timer_start(&s->timer, MAX2(at_ms - now_ms, (int64_t)0));
}

static void answer_send(struct answer *a)
{
        struct session *s = a->s;
        struct replica_fetch_response rsp;
        struct peer_request *rq = s->parked;
        struct peer_out out;
        int r;

        replica_fetch_response_init(&rsp);
        rsp.partitions = a->said;
        rsp.partitions_count = a->count;
        r = PEER_ENCODE(&out, replica_fetch_response, &rsp, rq->version, a->ranges);
        if (r) {
                answer_take_back(a);
                ilist_splice_back(&s->ready, &a->later);
                s->parked = NULL;
                peer_refuse(rq, r);
                return;
        }
        answer_commit(a);
        s->parked = NULL;
        s->watermark_at_ms = INT64_MAX;
        loop_timer_stop(&s->timer);
        peer_answer(rq, &out);
}

void session_answer(struct session *s, bool must)
{
        int64_t now_ms = clock_mono_ms();
        struct answer a;

        if (!s->parked || (!must && ilist_is_empty(&s->ready) && now_ms < s->parked_until_ms))
                return;
        if (!answer_begin(&a, s)) {
                peer_refuse(TAKE_PTR(s->parked), -ENOMEM);
                return;
        }
        for (int32_t i = 0; i < a.max; i++)
                look(&a, ilist_entry(ilist_pop_front(&s->ready), struct wanted, ready_link));
        if (a.count && s->watermark_at_ms == INT64_MAX)
                s->watermark_at_ms = now_ms + WATERMARK_DELAY_MS;
        if (a.urgent || must || now_ms >= s->parked_until_ms || (a.count && now_ms >= s->watermark_at_ms)) {
                /* What had no room comes first the next time, what has more follows. */
                ilist_splice_back(&a.later, &s->ready);
                ilist_splice_back(&s->ready, &a.later);
                answer_send(&a);
        } else {
                answer_take_back(&a);
                ilist_splice_back(&a.later, &s->ready);
                ilist_splice_back(&s->ready, &a.later);
                set_timer(&a);
        }
        free(a.copies);
        cold_start(s);
}

void session_answer_report(struct session *s, struct peer_request *rq, const struct replica_fetch_request *req)
{
        struct replica_fetch_response rsp;
        struct peer_out out;
        int r;

        replica_fetch_response_init(&rsp);
        rsp.partitions = ARENA_NEW_ARRAY(&rq->arena, said_t, req->positions_count);
        for (int32_t i = 0; rsp.partitions && i < req->positions_count; i++) {
                struct wanted *w = s->wanted[req->positions[i].slot];
                said_t *p = &rsp.partitions[rsp.partitions_count];

                if (!w || w->error || !w->partition || w->answer.diverging_epoch >= 0)
                        continue;
                refresh(w);
                if (!w->tell)
                        continue;
                replica_fetch_response_partition_init(p);
                p->slot = w->slot;
                p->leader_epoch = w->answer.leader_epoch;
                p->high_watermark = w->told_watermark = w->answer.high_watermark;
                p->start_offset = w->told_start = w->answer.start_offset;
                w->tell = false;
                rsp.partitions_count++;
        }
        r = rsp.partitions ? PEER_ENCODE(&out, replica_fetch_response, &rsp, rq->version, 0) : -ENOMEM;
        if (r)
                peer_refuse(rq, r);
        else
                peer_answer(rq, &out);
        session_answer(s, false); /* positions brought news for the fetch that waits, too */
}

void serve_answer_error(struct peer_request *rq, enum replica_fetch_error error)
{
        struct replica_fetch_response rsp;
        struct peer_out out;
        int r;

        replica_fetch_response_init(&rsp);
        rsp.error = (int8_t)error;
        r = PEER_ENCODE(&out, replica_fetch_response, &rsp, rq->version, 0);
        if (r)
                peer_refuse(rq, r);
        else
                peer_answer(rq, &out);
}
