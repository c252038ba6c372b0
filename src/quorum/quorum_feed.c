/* What observers are answered: nodes that follow the committed log without a vote. Each asks any controller for what comes
 * next, and is answered at once or when there is more; entries mostly come from memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quorum/quorum_internal.h"

#define WAIT_MS_MAX 30000
#define FETCH_LEN_MAX QUORUM_MESSAGE_BYTES

/* A request that waits; in the request's arena. */
struct waiter {
        struct ilist link;
        struct peer_request *rq;
        const struct quorum_fetch_request *m;
        int64_t deadline_ms;
};

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
        if (index == commit && (q->role_told.leader_id < 0 || q->term < m->term ||
                                (q->role_told.leader_id == m->leader && q->term == m->term)))
                return false;
        if (index == commit) {
                answer(q, rq, QUORUM_FETCH_OK, SPAN_NULL, NULL);
                return true;
        }
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
        quorum_observer_note(q, rq->peer->node, m);
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
