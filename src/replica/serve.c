/* Sessions of followers: what they want, and what has news. The answers are serve_answer.c's. See serve.h.
 *
 *   a message names positions -> each is told to its partition at once (partition_replica_fetch())
 *   a partition has news      -> on the session's list, one mail for many
 *   a fetch                   -> answered when there is something, or when its time is over; the next fetch of the
 *                                session ends the one that waits
 *   a report                  -> answered at once with what changed of the partitions that it names */
#include "replica/serve.h"

#include <errno.h>

#include "replica/serve_priv.h"
#include "sys/clock.h"

/* ---- one partition ---- */

enum replica_fetch_error serve_error_of(int outcome)
{
        switch (outcome) {
        case 0:
                return REPLICA_FETCH_OK;
        case PARTITION_E_NOT_LEADER:
                return REPLICA_FETCH_E_NOT_LEADER;
        case PARTITION_E_FENCED_EPOCH:
                return REPLICA_FETCH_E_FENCED_EPOCH;
        case PARTITION_E_UNKNOWN_EPOCH:
                return REPLICA_FETCH_E_UNKNOWN_EPOCH;
        case PARTITION_E_NOT_REPLICA:
                return REPLICA_FETCH_E_NOT_REPLICA;
        case PLOG_E_OUT_OF_RANGE:
                return REPLICA_FETCH_E_OUT_OF_RANGE;
        default:
                return REPLICA_FETCH_E_LOG;
        }
}

void wanted_ready(struct wanted *w)
{
        if (ilist_is_empty(&w->ready_link))
                ilist_push_back(&w->session->ready, &w->ready_link);
}

void wanted_ask(struct wanted *w)
{
        int r = w->partition ? partition_replica_fetch(w->partition, &w->at, &w->answer) : 0;

        w->error = w->partition ? serve_error_of(r) : REPLICA_FETCH_E_UNKNOWN;
        if (w->error && w->error != REPLICA_FETCH_E_OUT_OF_RANGE)
                w->answer = (struct partition_fetch_answer){ .leader_epoch = w->at.leader_epoch,
                                                             .high_watermark = -1,
                                                             .start_offset = -1,
                                                             .end_offset = -1,
                                                             .diverging_epoch = -1 };
        if (!w->error && (w->answer.high_watermark != w->told_watermark || w->answer.start_offset != w->told_start))
                w->tell = true;
        if (w->error || w->answer.diverging_epoch >= 0 || w->answer.end_offset > w->at.fetch_offset || w->tell)
                wanted_ready(w);
}

bool wanted_is_current(struct wanted *w)
{
        return !partition_check_epoch(w->partition, w->at.leader_epoch);
}

/* With the partition's lock held, on any thread. */
static void on_news(struct partition_watch *watch, unsigned news)
{
        struct wanted *w = container_of(watch, struct wanted, watch);
        struct session *s = w->session;
        bool post = false;

        news &= PARTITION_NEWS_DATA | PARTITION_NEWS_WATERMARK | PARTITION_NEWS_ROLE | PARTITION_NEWS_FAILED |
                PARTITION_NEWS_ISR;
        if (!news)
                return;
        pthread_mutex_lock(&s->lock);
        w->news |= news;
        if (ilist_is_empty(&w->news_link))
                ilist_push_back(&s->news, &w->news_link);
        if (!s->mail_posted)
                s->mail_posted = post = true;
        pthread_mutex_unlock(&s->lock);
        if (post)
                loop_post(s->loop, &s->mail);
}

static void wanted_free(struct wanted *w)
{
        struct session *s = w->session;

        if (w->partition)
                partition_unwatch(w->partition, &w->watch); /* no news comes any more */
        pthread_mutex_lock(&s->lock);
        ilist_unlink(&w->news_link);
        pthread_mutex_unlock(&s->lock);
        ilist_unlink(&w->ready_link);
        if (w->slice.len)
                plog_slice_release(&w->slice);
        partition_unref(w->partition);
        free(w);
}

static struct wanted *wanted_of(struct session *s, int32_t slot)
{
        return slot >= 0 && slot < s->wanted_size ? s->wanted[slot] : NULL;
}

static int wanted_new(struct session *s, const struct replica_fetch_request_add *add, int64_t broker_epoch)
{
        struct wanted *w;

        if (add->slot >= s->wanted_size) {
                int32_t size = MAX2(64, s->wanted_size);
                struct wanted **slots;

                while (size <= add->slot)
                        size *= 2;
                slots = realloc(s->wanted, (size_t)size * sizeof *slots);
                if (!slots)
                        return -ENOMEM;
                for (int32_t i = s->wanted_size; i < size; i++)
                        slots[i] = NULL;
                s->wanted = slots;
                s->wanted_size = size;
        }
        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        *w = (struct wanted){ .session = s,
                              .slot = add->slot,
                              .watch.fn = on_news,
                              .at = { .node = s->node,
                                      .broker_epoch = broker_epoch,
                                      .leader_epoch = add->leader_epoch,
                                      .start_offset = -1 },
                              .told_watermark = -1,
                              .told_start = -1 };
        ilist_init(&w->watch.link);
        ilist_init(&w->news_link);
        ilist_init(&w->ready_link);
        w->partition = partition_table_find(s->serve->table, add->topic_id, add->index);
        if (w->partition)
                partition_watch(w->partition, &w->watch);
        s->wanted[add->slot] = w;
        return 0;
}

/* ---- sessions ---- */

static void session_clear(struct session *s)
{
        for (int32_t i = 0; i < s->wanted_size; i++)
                if (s->wanted[i])
                        wanted_free(TAKE_PTR(s->wanted[i]));
        free(s->wanted);
        s->wanted = NULL;
        s->wanted_size = 0;
}

/* When its mail and its job have run. */
static void session_maybe_free(struct session *s)
{
        bool posted;

        pthread_mutex_lock(&s->lock);
        posted = s->mail_posted;
        pthread_mutex_unlock(&s->lock);
        if (!s->gone || s->job_runs || posted)
                return;
        pthread_mutex_destroy(&s->lock);
        atomic_fetch_sub(&s->serve->sessions, 1);
        free(s);
}

static void session_close(struct session *s)
{
        loop_assert_here(s->loop);
        s->gone = true;
        loop_timer_stop(&s->timer);
        if (s->parked)
                serve_answer_error(TAKE_PTR(s->parked), REPLICA_FETCH_E_SESSION);
        session_clear(s);
        session_maybe_free(s);
}

static void news_take(struct session *s)
{
        struct ilist news = ILIST_INIT(news);
        struct ilist *link;

        pthread_mutex_lock(&s->lock);
        s->mail_posted = false;
        while ((link = ilist_pop_front(&s->news))) {
                struct wanted *w = ilist_entry(link, struct wanted, news_link);
                unsigned what = w->news;

                w->news = 0;
                if (what & ~(unsigned)(PARTITION_NEWS_WATERMARK | PARTITION_NEWS_ISR))
                        wanted_ready(w);
                if (what & PARTITION_NEWS_ISR)
                        w->isr_moved = s->isr_moved = true;
                if (what & PARTITION_NEWS_WATERMARK)
                        w->tell = true;
                if (w->tell)
                        wanted_ready(w);
        }
        pthread_mutex_unlock(&s->lock);
}

static void on_mail(struct loop *l, struct mail *m)
{
        struct session *s = container_of(m, struct session, mail);

        (void)l;
        if (s->gone) {
                pthread_mutex_lock(&s->lock);
                s->mail_posted = false;
                pthread_mutex_unlock(&s->lock);
                session_maybe_free(s);
                return;
        }
        news_take(s);
        session_answer(s, false);
}

static void on_timer(struct loop_timer *t)
{
        session_answer(container_of(t, struct session, timer), false);
}

/* ---- cold reads ---- */

static void job_run(struct io_job *job)
{
        struct session *s = container_of(job, struct session, job);

        for (unsigned i = 0; i < s->reads_count; i++) {
                struct cold_read *c = &s->reads[i];

                if (plog_read(partition_log(c->partition),
                              &(struct plog_read_args){ .from_offset = c->offset,
                                                        .below_offset = INT64_MAX,
                                                        .len_max = SERVE_PARTITION_LEN_MAX,
                                                        .at_least_one = true },
                              true, &c->slice))
                        c->slice.len = 0;
        }
}

/* What was read is for the next answer, if its partition still wants it. */
static void reads_take(struct session *s)
{
        for (unsigned i = 0; i < s->reads_count; i++) {
                struct cold_read *c = &s->reads[i];
                struct wanted *w = s->gone ? NULL : wanted_of(s, c->slot);

                if (w && w->partition == c->partition && w->hungry && w->at.fetch_offset == c->offset &&
                    !w->slice.len) {
                        w->slice = c->slice;
                        wanted_ready(w);
                } else if (c->slice.len) {
                        plog_slice_release(&c->slice);
                }
                partition_unref(c->partition);
        }
        s->reads_count = 0;
}

static void job_done(struct io_job *job)
{
        struct session *s = container_of(job, struct session, job);

        s->job_runs = false;
        reads_take(s);
        if (s->gone)
                session_maybe_free(s);
        else
                session_answer(s, false);
}

void wanted_read_cold(struct wanted *w)
{
        struct session *s = w->session;

        if (s->job_runs || s->reads_count == COLD_MAX)
                return;
        s->reads[s->reads_count++] = (struct cold_read){ .partition = partition_ref(w->partition),
                                                         .slot = w->slot,
                                                         .offset = w->at.fetch_offset };
}

static struct session *session_new(struct serve *serve, struct peer_request *rq)
{
        struct session *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        s->serve = serve;
        s->node = rq->peer->node;
        s->loop = peer_request_loop(rq);
        s->mail.fn = on_mail;
        s->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = s->loop };
        s->watermark_at_ms = INT64_MAX;
        ilist_init(&s->ready);
        ilist_init(&s->news);
        pthread_mutex_init(&s->lock, NULL);
        loop_timer_init(&s->timer, s->loop, on_timer);
        atomic_fetch_add(&serve->sessions, 1);
        return s;
}

/* The session that the message belongs to, made when it begins one. NULL: there is none, or no memory for it. */
static struct session *session_find(struct serve *serve, struct peer_request *rq,
                                    const struct replica_fetch_request *req)
{
        struct session *first = peer_request_user(rq), **at = &first, *s;

        while (*at && (*at)->fetcher != req->fetcher)
                at = &(*at)->next;
        s = *at;
        if (s && s->id == req->session && s->sequence == req->sequence) {
                s->sequence++;
                return s;
        }
        if (s) {
                *at = s->next;
                session_close(s);
        }
        s = req->sequence == 0 ? session_new(serve, rq) : NULL;
        if (s) {
                s->fetcher = req->fetcher;
                s->id = req->session;
                s->sequence = 1;
                s->next = first;
                first = s;
        }
        peer_request_set_user(rq, first);
        return s;
}

/* ---- messages ---- */

/* Every number is judged before anything is changed: a session is as the follower thinks it is, or it is none. */
static bool is_sound(const struct session *s, const struct replica_fetch_request *req)
{
        int32_t top = s ? s->wanted_size : 0;

        for (int32_t i = 0; i < req->adds_count; i++) {
                if (req->adds[i].slot < 0 || req->adds[i].slot >= REPLICA_SLOTS_MAX || req->adds[i].leader_epoch < 0)
                        return false;
                top = MAX2(top, req->adds[i].slot + 1);
        }
        for (int32_t i = 0; i < req->positions_count; i++)
                if (req->positions[i].slot < 0 || req->positions[i].slot >= top || req->positions[i].fetch_offset < 0)
                        return false;
        return req->max_wait_ms >= 0 && req->max_bytes >= 0 && req->fetcher >= 0 && req->fetcher < REPLICA_FETCHERS_MAX;
}

static int take_adds(struct session *s, const struct replica_fetch_request *req)
{
        for (int32_t i = 0; i < req->removes_count; i++) {
                struct wanted *w = wanted_of(s, req->removes[i]);

                if (w) {
                        s->wanted[req->removes[i]] = NULL;
                        wanted_free(w);
                }
        }
        for (int32_t i = 0; i < req->adds_count; i++) {
                int r;

                if (wanted_of(s, req->adds[i].slot))
                        wanted_free(TAKE_PTR(s->wanted[req->adds[i].slot]));
                r = wanted_new(s, &req->adds[i], req->broker_epoch);
                if (r)
                        return r;
        }
        return 0;
}

static void take_positions(struct session *s, const struct replica_fetch_request *req)
{
        for (int32_t i = 0; i < req->positions_count; i++) {
                const struct replica_fetch_request_position *pos = &req->positions[i];
                struct wanted *w = wanted_of(s, pos->slot);

                if (!w)
                        continue;
                w->at.broker_epoch = req->broker_epoch;
                w->at.durable_end = pos->durable_end;
                w->at.last_epoch = pos->last_epoch;
                w->at.damaged = pos->damaged;
                if (pos->start_offset >= 0)
                        w->at.start_offset = pos->start_offset;
                if (!req->report || !w->hungry)
                        w->at.fetch_offset = pos->fetch_offset;
                if (pos->failed) {
                        if (w->partition)
                                (void)partition_replica_failed(w->partition, &w->at);
                        w->hungry = false;
                        continue;
                }
                if (!req->report) {
                        w->hungry = true;
                        if (w->slice.len) /* of the position before */
                                plog_slice_release(&w->slice);
                        w->slice.len = 0;
                }
                wanted_ask(w);
        }
}

/* A follower that was out of the ISR for a moment, and had all there was, has no position to name: that it speaks at all
 * says that it is there with what it named before, and may come back. One with records under way names its position soon. */
static void take_alive(struct session *s)
{
        if (!s->isr_moved)
                return;
        s->isr_moved = false;
        for (int32_t i = 0; i < s->wanted_size; i++) {
                struct wanted *w = s->wanted[i];

                if (!w || !w->isr_moved)
                        continue;
                w->isr_moved = false;
                if (w->hungry && !w->error)
                        wanted_ask(w);
        }
}

/* A fetch waits, the one that waited before is answered. */
static void park(struct session *s, struct peer_request *rq, const struct replica_fetch_request *req)
{
        if (s->parked)
                session_answer(s, true);
        s->parked_until_ms = clock_mono_ms() + req->max_wait_ms;
        s->parked_max = (size_t)req->max_bytes;
        s->parked = rq;
        loop_timer_start(&s->timer, req->max_wait_ms);
        session_answer(s, false);
        if (s->parked == rq)
                peer_request_detach(rq); /* all of it has been taken */
}

static void on_request(void *arg, struct peer_request *rq)
{
        struct serve *serve = arg;
        struct replica_fetch_request req;
        struct session *s;
        int r = PEER_DECODE(replica_fetch_request, &req, rq->body, rq->version, &rq->arena);

        if (r) {
                peer_refuse(rq, r);
                return;
        }
        if (peer_request_is_gone(rq)) { /* its sessions are over, and it would begin one for ever */
                serve_answer_error(rq, REPLICA_FETCH_E_SESSION);
                return;
        }
        if (!is_sound(NULL, &(struct replica_fetch_request){ .fetcher = req.fetcher })) {
                peer_refuse(rq, WIRE_E_MALFORMED);
                return;
        }
        s = session_find(serve, rq, &req);
        if (!s) {
                serve_answer_error(rq, REPLICA_FETCH_E_SESSION);
                return;
        }
        if (!is_sound(s, &req) || take_adds(s, &req)) {
                s->sequence = -1; /* whatever comes next begins anew */
                serve_answer_error(rq, REPLICA_FETCH_E_SESSION);
                return;
        }
        take_positions(s, &req);
        take_alive(s);
        if (req.report)
                session_answer_report(s, rq, &req);
        else
                park(s, rq, &req);
}

static void on_closed(void *arg, const struct peer_identity *peer, void *user)
{
        struct session *s = user, *next;

        (void)arg;
        (void)peer;
        for (; s; s = next) {
                next = s->next;
                session_close(s);
        }
}

int serve_register(struct serve *s, struct peer_hub *hub)
{
        int r = serve_read_register(s, hub);

        return r ? r
                 : peer_hub_register(hub, &(struct peer_service){ .key = REPLICA_FETCH_KEY,
                                                                  .version_min = REPLICA_FETCH_VERSION,
                                                                  .version_max = REPLICA_FETCH_VERSION,
                                                                  .request = on_request,
                                                                  .closed = on_closed,
                                                                  .arg = s });
}

bool serve_is_busy(struct serve *s)
{
        return atomic_load(&s->sessions) > 0 || atomic_load(&s->reads) > 0;
}
