/* Observers: nodes that follow the committed log without a vote. Each asks any controller for what comes next, and is
 * answered at once or when there is more; entries mostly come from memory. What a controller knows of its observers it tells
 * the leader now and then, for operators. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/clock.h"

#define WAIT_MS_MAX 30000
#define FETCH_LEN_MAX QUORUM_MESSAGE_BYTES
#define REPORT_MS 5000        /* between reports to the leader: for people, who do not look more often */
#define FORGET_MS (5 * 60000) /* an observer that was not heard of for so long is gone */

struct quorum_observer {
        int32_t node;
        struct uuid directory;
        int64_t index; /* it has everything up to here */
        int64_t fetched_ms;
        int64_t caught_up_ms; /* -1: never */
        bool fetches_here;    /* or another controller says so */
};

/* A request that waits; in the request's arena. */
struct waiter {
        struct ilist link;
        struct peer_request *rq;
        const struct quorum_fetch_request *m;
        int64_t deadline_ms;
};

/* ---- who they are ---- */

static struct quorum_observer *observer_of(struct quorum *q, int32_t node)
{
        struct quorum_observer *oldest = NULL;

        for (uint32_t i = 0; i < q->observers_count; i++) {
                struct quorum_observer *o = &q->observers[i];

                if (o->node == node)
                        return o;
                if (!oldest || o->fetched_ms < oldest->fetched_ms)
                        oldest = o;
        }
        if (!q->observers)
                q->observers = calloc(QUORUM_OBSERVERS_MAX, sizeof *q->observers);
        if (!q->observers)
                return NULL;
        if (q->observers_count < QUORUM_OBSERVERS_MAX)
                oldest = &q->observers[q->observers_count++];
        *oldest = (struct quorum_observer){ .node = node, .caught_up_ms = -1 };
        return oldest;
}

static void note_observer(struct quorum *q, int32_t node, const struct quorum_fetch_request *m)
{
        struct quorum_observer *o = observer_of(q, node);

        if (!o)
                return;
        o->directory = m->directory;
        o->index = m->next - 1;
        o->fetched_ms = loop_now_ms(q->cfg.loop);
        o->fetches_here = true;
        if (o->index >= q->image->index)
                o->caught_up_ms = o->fetched_ms;
}

static void forget_silent(struct quorum *q)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);

        for (uint32_t i = 0; i < q->observers_count;) {
                if (now_ms - q->observers[i].fetched_ms > FORGET_MS)
                        q->observers[i] = q->observers[--q->observers_count];
                else
                        i++;
        }
}

void quorum_feed_describe(struct quorum *q, struct quorum_description *ret)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop), wall_ms = clock_wall_ms();

        forget_silent(q);
        for (uint32_t i = 0; i < q->observers_count; i++) {
                const struct quorum_observer *o = &q->observers[i];

                ret->observers[ret->observers_count++] = (struct quorum_replica){
                        .node = o->node,
                        .directory = o->directory,
                        .log_end = o->index + 1,
                        .heard_ms = wall_ms - (now_ms - o->fetched_ms),
                        .caught_up_ms = o->caught_up_ms < 0 ? -1 : wall_ms - (now_ms - o->caught_up_ms),
                };
        }
}

/* ---- telling the leader ---- */

static void report_done(struct quorum_call *c)
{
        struct quorum *q = c->q;

        quorum_call_free(c);
        quorum_stop_continue(q);
}

void quorum_feed_report(struct quorum *q)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);
        CLEANUP(freep) struct quorum_observers_request_observer *list = NULL;
        struct quorum_observers_request rq;
        struct quorum_call *c;

        if (q->leader < 0 || q->leader == q->cfg.node_id || !q->observers_count ||
            now_ms - q->observers_told_ms < REPORT_MS)
                return;
        q->observers_told_ms = now_ms;
        list = calloc(q->observers_count, sizeof *list);
        c = list ? quorum_call_new(q, q->leader, QUORUM_OBSERVERS_REQUEST_KEY, REPORT_MS, report_done) : NULL;
        if (!c)
                return;
        quorum_observers_request_init(&rq);
        rq.observers = list;
        for (uint32_t i = 0; i < q->observers_count; i++) {
                const struct quorum_observer *o = &q->observers[i];

                if (!o->fetches_here || now_ms - o->fetched_ms > FORGET_MS)
                        continue;
                list[rq.observers_count++] = (struct quorum_observers_request_observer){
                        .node = o->node,
                        .directory = o->directory,
                        .index = o->index,
                        .fetched_ago_ms = now_ms - o->fetched_ms,
                        .caught_up_ago_ms = o->caught_up_ms < 0 ? -1 : now_ms - o->caught_up_ms,
                };
        }
        if (PEER_ENCODE(&c->call.out, quorum_observers_request, &rq, 0, 0)) {
                quorum_call_drop(c);
                return;
        }
        quorum_call_submit(c);
}

void quorum_observers_told(struct quorum *q, struct peer_request *rq, const struct quorum_observers_request *m)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);
        struct quorum_observers_response a;

        for (int32_t i = 0; i < m->observers_count && i < QUORUM_OBSERVERS_MAX; i++) {
                const struct quorum_observers_request_observer *from = &m->observers[i];
                struct quorum_observer *o;
                int64_t at_ms = now_ms - MAX2(from->fetched_ago_ms, (int64_t)0);

                if (from->fetched_ago_ms > FORGET_MS)
                        continue;
                o = observer_of(q, from->node);
                if (!o || o->fetched_ms > at_ms)
                        continue;
                o->directory = from->directory;
                o->index = from->index;
                o->fetched_ms = at_ms;
                o->fetches_here = false;
                o->caught_up_ms = from->caught_up_ago_ms < 0 ? -1 : now_ms - from->caught_up_ago_ms;
        }
        quorum_observers_response_init(&a);
        QUORUM_ANSWER(rq, quorum_observers_response, &a);
}

/* ---- entries ---- */

static void answer(struct quorum *q, struct peer_request *rq, enum quorum_fetch_outcome outcome, struct span entries,
                   const char *text)
{
        struct quorum_fetch_response_controller controllers[RAFT_MEMBERS_MAX];
        const struct voters *v = quorum_voters(q);
        struct quorum_fetch_response a;

        quorum_fetch_response_init(&a);
        a.outcome = (int8_t)outcome;
        a.leader = q->role_told.leader_id;
        a.term = q->term;
        a.commit_index = q->image->index;
        a.controllers = controllers;
        for (uint32_t i = 0; v && i < v->count; i++) {
                if (!v->at[i].raft.is_voter)
                        continue;
                quorum_fetch_response_controller_init(&controllers[a.controllers_count]);
                controllers[a.controllers_count].node = v->at[i].raft.id.node;
                controllers[a.controllers_count++].address = str_of(v->at[i].address);
        }
        a.entries = entries.data ? entries : span_of("", 0);
        a.text = str_of(text ? text : "");
        QUORUM_ANSWER(rq, quorum_fetch_response, &a);
}

struct reading {
        struct quorum_reading rg;
        struct peer_request *rq;
};

static void entries_read(struct quorum *q, struct quorum_reading *rg)
{
        struct reading *r = container_of(rg, struct reading, rg);

        if (rg->result == -ENOENT)
                answer(q, r->rq, QUORUM_FETCH_SNAPSHOT, SPAN_NULL, NULL);
        else if (rg->result)
                peer_refuse(r->rq, rg->result);
        else
                answer(q, r->rq, QUORUM_FETCH_OK, span_of(rg->bytes, rg->len), NULL);
        free(rg->bytes);
        free(r);
}

static void give_entries(struct quorum *q, struct peer_request *rq, const struct quorum_fetch_request *m)
{
        size_t len_max = (size_t)MAX2(MIN2(m->len_max, (int32_t)FETCH_LEN_MAX), 1), len = 0;
        int64_t last;
        CLEANUP(freep)
        uint8_t *bytes = quorum_entries_frame(&q->entries, m->next, q->image->index, len_max, &len, &last);
        struct reading *r;

        if (bytes) {
                answer(q, rq, QUORUM_FETCH_OK, span_of(bytes, len), NULL);
                return;
        }
        r = m->next < q->entries.first ? calloc(1, sizeof *r) : NULL;
        if (!r) {
                peer_refuse(rq, -ENOMEM);
                return;
        }
        r->rq = rq;
        r->rg.rd = (struct qlog_read){ m->next, q->image->index, len_max };
        r->rg.done = entries_read;
        if (!quorum_read(q, &r->rg))
                return;
        free(r);
        peer_refuse(rq, -EAGAIN);
}

/* ---- deciding ---- */

static bool leads_surely(const struct quorum *q)
{
        return q->active && raft_has_lease(q->core, loop_now_ms(q->cfg.loop));
}

/* Return: true when it was answered; false: there is nothing new for it yet. */
static bool try_answer(struct quorum *q, struct peer_request *rq, const struct quorum_fetch_request *m)
{
        int64_t index = m->next - 1, commit = q->image->index;
        char text[300];
        int32_t term;

        if (!quorum_takes_part(q) || !quorum_voters(q)) {
                answer(q, rq, QUORUM_FETCH_NOT_READY, SPAN_NULL, NULL);
                return true;
        }
        if (index > commit) {
                if (!leads_surely(q)) {
                        answer(q, rq, QUORUM_FETCH_BEHIND, SPAN_NULL, NULL);
                        return true;
                }
                snprintf(text, sizeof text,
                         "node %d has metadata up to index %lld, but the group has committed only %lld: its folder is "
                         "of "
                         "another cluster, or the controllers were set back to a copy. Give the node an empty metadata "
                         "folder, or the controllers their newest one",
                         rq->peer->node, (long long)index, (long long)commit);
                answer(q, rq, QUORUM_FETCH_REFUSED, SPAN_NULL, text);
                return true;
        }
        term = index ? raft_term_at(q->core, index) : 0;
        if (index + 1 < q->log_first_index || term < 0) {
                answer(q, rq, QUORUM_FETCH_SNAPSHOT, SPAN_NULL, NULL);
                return true;
        }
        if (term != m->prev_term) {
                snprintf(text, sizeof text,
                         "node %d has metadata of term %d at index %lld, where the group has term %d: its folder is of "
                         "another history. Give the node an empty metadata folder",
                         rq->peer->node, m->prev_term, (long long)index, term);
                answer(q, rq, QUORUM_FETCH_REFUSED, SPAN_NULL, text);
                return true;
        }
        if (index == commit)
                return false;
        give_entries(q, rq, m);
        return true;
}

/* ---- waiting ---- */

static void waiter_end(struct quorum *q, struct waiter *w)
{
        ilist_unlink(&w->link);
        q->waiters_count--;
}

static void waiters_fired(struct loop_timer *t)
{
        struct quorum *q = container_of(t, struct quorum, waiters_timer);
        int64_t now_ms = loop_now_ms(q->cfg.loop), next_ms = INT64_MAX;

        ilist_for_each (w, &q->waiters, struct waiter, link) {
                if (w->deadline_ms > now_ms) {
                        next_ms = MIN2(next_ms, w->deadline_ms);
                        continue;
                }
                waiter_end(q, w);
                answer(q, w->rq, QUORUM_FETCH_OK, SPAN_NULL, NULL);
        }
        if (next_ms != INT64_MAX)
                loop_timer_start(t, MAX2(next_ms - now_ms, (int64_t)50)); /* many have nearly the same end */
}

static void wait_for_more(struct quorum *q, struct peer_request *rq, const struct quorum_fetch_request *m)
{
        int64_t wait_ms = MIN2((int64_t)m->wait_ms, (int64_t)WAIT_MS_MAX);
        struct waiter *w =
                wait_ms > 0 && q->waiters_count < QUORUM_OBSERVERS_MAX ? ARENA_NEW(&rq->arena, struct waiter) : NULL;

        if (!w) {
                answer(q, rq, QUORUM_FETCH_OK, SPAN_NULL, NULL);
                return;
        }
        *w = (struct waiter){ .rq = rq, .m = m, .deadline_ms = loop_now_ms(q->cfg.loop) + wait_ms };
        ilist_push_back(&q->waiters, &w->link);
        q->waiters_count++;
        if (!loop_timer_is_active(&q->waiters_timer))
                loop_timer_start(&q->waiters_timer, wait_ms);
}

void quorum_feed_init(struct quorum *q)
{
        loop_timer_init(&q->waiters_timer, q->cfg.loop, waiters_fired);
}

void quorum_fetch_asked(struct quorum *q, struct peer_request *rq, const struct quorum_fetch_request *m)
{
        if (m->next < 1) {
                peer_refuse(rq, WIRE_E_MALFORMED);
                return;
        }
        note_observer(q, rq->peer->node, m);
        if (!try_answer(q, rq, m))
                wait_for_more(q, rq, m);
}

void quorum_feed_wake(struct quorum *q)
{
        struct ilist waiters;

        if (ilist_is_empty(&q->waiters))
                return;
        ilist_init(&waiters);
        ilist_splice_back(&waiters, &q->waiters);
        q->waiters_count = 0;
        ilist_for_each (w, &waiters, struct waiter, link) {
                ilist_unlink(&w->link);
                if (!try_answer(q, w->rq, w->m)) /* the leader is news, too */
                        answer(q, w->rq, QUORUM_FETCH_OK, SPAN_NULL, NULL);
        }
}

void quorum_feed_stop(struct quorum *q)
{
        struct ilist waiters;

        ilist_init(&waiters);
        ilist_splice_back(&waiters, &q->waiters);
        q->waiters_count = 0;
        ilist_for_each (w, &waiters, struct waiter, link) {
                ilist_unlink(&w->link);
                answer(q, w->rq, QUORUM_FETCH_NOT_READY, SPAN_NULL, NULL);
        }
}

/* ---- snapshots ---- */

struct chunk_read {
        struct io_job job;
        struct quorum *q;
        struct peer_request *rq;
        struct snapshot_id id;
        int32_t number;
        ssize_t len;
        uint8_t bytes[SNAPSHOT_CHUNK_LEN];
};

static void answer_chunk(struct peer_request *rq, int8_t outcome, struct snapshot_id id, struct span chunk)
{
        struct quorum_fetch_snapshot_response a;

        quorum_fetch_snapshot_response_init(&a);
        a.outcome = outcome;
        a.index = id.index;
        a.snapshot_term = id.term;
        a.chunk = chunk.data ? chunk : span_of("", 0);
        QUORUM_ANSWER(rq, quorum_fetch_snapshot_response, &a);
}

static void chunk_run(struct io_job *job)
{
        struct chunk_read *cr = container_of(job, struct chunk_read, job);

        cr->len = snapshot_chunk_read(cr->q->snapshots_dir, cr->id, (uint32_t)cr->number, cr->bytes);
}

static void chunk_done(struct io_job *job)
{
        struct chunk_read *cr = container_of(job, struct chunk_read, job);
        struct quorum *q = cr->q;

        if (cr->len > 0)
                answer_chunk(cr->rq, 0, cr->id, span_of(cr->bytes, (size_t)cr->len));
        else
                answer_chunk(cr->rq, 2, cr->id, SPAN_NULL);
        free(cr);
        q->jobs--;
        q->chunk_reads--;
        quorum_stop_continue(q);
}

void quorum_fetch_snapshot_asked(struct quorum *q, struct peer_request *rq,
                                 const struct quorum_fetch_snapshot_request *m)
{
        struct snapshot_id id = { m->index, m->snapshot_term };
        struct quorum_snapshot_file *f = NULL;
        struct chunk_read *cr;

        if (quorum_takes_part(q))
                f = id.index ? quorum_snapshot_find(q, id) : quorum_snapshot_want(q, q->log_first_index - 1);
        if (!f || m->number < 0 || q->chunk_reads == QUORUM_CHUNK_READS_MAX) {
                answer_chunk(rq, !f && id.index ? 2 : 1, id, SPAN_NULL);
                return;
        }
        cr = malloc(sizeof *cr);
        if (!cr) {
                peer_refuse(rq, -ENOMEM);
                return;
        }
        f->used_ms = loop_now_ms(q->cfg.loop);
        cr->q = q;
        cr->rq = rq;
        cr->id = f->id;
        cr->number = m->number;
        cr->job = (struct io_job){ .run = chunk_run, .done = chunk_done, .reply_loop = q->cfg.loop };
        q->jobs++;
        q->chunk_reads++;
        iopool_submit(q->cfg.pool, &cr->job);
}
