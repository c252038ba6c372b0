/* The conversation of a follower with one leader.
 *
 * A fetch is nearly always in flight: the leader holds it until there is news. It names the partitions whose position has
 * changed; a second one is sent when more have changed while the first waits, which ends that one. What the disk has
 * made durable is reported at once in a message of its own, so that acks=all waits for one flush of the follower and not
 * for the next fetch.
 *
 *   session over (connection lost, leader started anew) --all calls have come back--> another session names everything */
#include <errno.h>
#include <string.h>

#include "replica/replicator_priv.h"
#include "sys/clock.h"
#include "sys/diag.h"

enum {
        LATER_MS_MIN = 50,
        LATER_MS_MAX = 2000,
        BACK_OFF_MS_MIN = 20,
        BACK_OFF_MS_MAX = 1000,
        TIMEOUT_MS = 10000,      /* beyond the long poll: the leader's loop is stuck */
        DECODE_BYTES_MIN = 4096, /* an answer takes so much and a few times its bytes */
        THROTTLED_MS = 100,      /* a throttled partition is looked at again */
};

/* ---- followed partitions ---- */

/* With the partition's lock held, on any thread. */
static void on_news(struct partition_watch *watch, unsigned news)
{
        struct follow *w = container_of(watch, struct follow, watch);
        struct fetcher *f = w->fetcher;
        bool post = false;

        if (!(news & (PARTITION_NEWS_DURABLE | PARTITION_NEWS_FAILED)))
                return;
        pthread_mutex_lock(&f->lock);
        if (ilist_is_empty(&w->news_link))
                ilist_push_back(&f->news, &w->news_link);
        if (!f->mail_posted)
                f->mail_posted = post = true;
        pthread_mutex_unlock(&f->lock);
        if (post)
                loop_post(f->r->loop, &f->mail);
}

static void on_mail(struct loop *l, struct mail *m)
{
        struct fetcher *f = container_of(m, struct fetcher, mail);
        struct ilist *link;

        (void)l;
        pthread_mutex_lock(&f->lock);
        f->mail_posted = false;
        while ((link = ilist_pop_front(&f->news))) {
                struct follow *w = ilist_entry(link, struct follow, news_link);

                ilist_unlink(&w->report_link);
                ilist_push_back(&f->reports, &w->report_link);
        }
        pthread_mutex_unlock(&f->lock);
        fetcher_run(f);
}

void follow_changed(struct follow *w)
{
        w->state = FOLLOW_CHANGED;
        ilist_unlink(&w->link);
        ilist_push_back(&w->fetcher->changed, &w->link);
}

void follow_report(struct follow *w)
{
        ilist_unlink(&w->report_link);
        ilist_push_back(&w->fetcher->reports, &w->report_link);
        fetcher_run(w->fetcher);
}

static void wait_until(struct follow *w, int64_t at_ms)
{
        w->state = FOLLOW_LATER;
        w->later_ms = at_ms;
        ilist_unlink(&w->link);
        ilist_push_back(&w->fetcher->later, &w->link);
}

void follow_later(struct follow *w)
{
        int64_t wait_ms = MIN2((int64_t)LATER_MS_MIN << MIN2(w->tries, 10), (int64_t)LATER_MS_MAX);

        w->tries++;
        wait_until(w, clock_mono_ms() + wait_ms);
}

static int slot_take(struct fetcher *f, struct follow *w)
{
        if (f->slots_next == f->slots_size) {
                int32_t size = MAX2(f->slots_size * 2, 64);
                struct follow **slots = realloc(f->slots, (size_t)size * sizeof *slots);

                if (!slots)
                        return -ENOMEM;
                f->slots = slots;
                f->slots_size = size;
        }
        w->slot = f->slots_next;
        f->slots[f->slots_next++] = w;
        return 0;
}

int follow_new(struct fetcher *f, struct partition *p, int32_t leader_epoch)
{
        struct follow *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->key.topic_id = partition_topic_id(p);
        w->key.index = partition_index(p);
        w->fetcher = f;
        w->partition = partition_ref(p);
        w->leader_epoch = leader_epoch;
        w->watch.fn = on_news;
        ilist_init(&w->watch.link);
        ilist_init(&w->link);
        ilist_init(&w->report_link);
        ilist_init(&w->news_link);
        HASH_ADD(hh, f->r->follows, key, sizeof w->key, w);
        if (!w->hh.tbl || slot_take(f, w)) {
                if (w->hh.tbl)
                        HASH_DEL(f->r->follows, w);
                partition_unref(w->partition);
                free(w);
                return -ENOMEM;
        }
        f->follows_count++;
        atomic_fetch_add(&f->r->following, 1);
        partition_watch(p, &w->watch);
        follow_changed(w);
        /* Slots are not used twice in a session: an answer that is on its way would be taken for the new one's. */
        if (f->slots_next >= REPLICA_SLOTS_MAX)
                fetcher_reset(f);
        return 0;
}

void follow_remove(struct follow *w)
{
        struct fetcher *f = w->fetcher;

        partition_unwatch(w->partition, &w->watch);
        pthread_mutex_lock(&f->lock);
        ilist_unlink(&w->news_link);
        pthread_mutex_unlock(&f->lock);
        ilist_unlink(&w->link);
        ilist_unlink(&w->report_link);
        HASH_DEL(f->r->follows, w);
        f->slots[w->slot] = NULL;
        f->follows_count--;
        atomic_fetch_sub(&f->r->following, 1);
        if (w->added && f->removes_count == f->removes_size) {
                int32_t size = MAX2(f->removes_size * 2, 16);
                int32_t *removes = realloc(f->removes, (size_t)size * sizeof *removes);

                if (removes) {
                        f->removes = removes;
                        f->removes_size = size;
                } else {
                        fetcher_reset(f);
                }
        }
        if (w->added && f->removes_count < f->removes_size)
                f->removes[f->removes_count++] = w->slot;
        if (w->state == FOLLOW_BUSY) {
                w->gone = true;
                return;
        }
        partition_unref(w->partition);
        free(w);
}

/* ---- messages ---- */

struct message {
        struct replica_fetch_request req;
        struct arena arena;
};

/* Its position, if it may be named. */
static bool add_position(struct fetcher *f, struct message *m, struct follow *w)
{
        struct replica_fetch_request_position *pos = &m->req.positions[m->req.positions_count];
        struct partition_position at;

        if (partition_position(w->partition, &at) || at.leader_epoch != w->leader_epoch)
                return false; /* the role's news comes */
        if (!m->req.report && at.throttled && !throttle_room(&f->r->follower_throttle, clock_mono_ms())) {
                wait_until(w, clock_mono_ms() + THROTTLED_MS);
                return false;
        }
        replica_fetch_request_position_init(pos);
        pos->slot = w->slot;
        pos->fetch_offset = at.end_offset;
        pos->durable_end = at.durable_end;
        pos->last_epoch = at.last_epoch;
        pos->failed = at.failed;
        pos->damaged = w->said_damaged = at.damaged;
        if (at.durable_start != w->said_start)
                pos->start_offset = w->said_start = at.durable_start;
        if (!m->req.report)
                w->named = at.end_offset;
        m->req.positions_count++;
        if (at.failed)
                w->state = FOLLOW_FAILED;
        return true;
}

static void add_partition(struct message *m, struct follow *w)
{
        struct replica_fetch_request_add *add = &m->req.adds[m->req.adds_count++];

        replica_fetch_request_add_init(add);
        add->slot = w->slot;
        add->topic_id = w->key.topic_id;
        add->index = w->key.index;
        add->leader_epoch = w->leader_epoch;
}

static size_t list_len(const struct ilist *l)
{
        size_t n = 0;

        for (const struct ilist *at = l->next; at != l; at = at->next)
                n++;
        return n;
}

static bool message_begin(struct fetcher *f, struct message *m, bool report, size_t count)
{
        arena_init(&m->arena, 0);
        replica_fetch_request_init(&m->req);
        m->req.session = f->session;
        m->req.sequence = f->sequence;
        m->req.broker_epoch = atomic_load(&f->r->broker_epoch);
        m->req.report = report;
        m->req.max_wait_ms = report ? 0 : f->r->cfg.fetch_wait_ms;
        m->req.max_bytes = f->r->cfg.fetch_bytes;
        m->req.positions = ARENA_NEW_ARRAY(&m->arena, struct replica_fetch_request_position, count);
        m->req.adds = report ? NULL : ARENA_NEW_ARRAY(&m->arena, struct replica_fetch_request_add, count);
        return m->req.positions && (report || m->req.adds);
}

static void on_answer(struct peer_call *call);

static bool message_send(struct fetcher *f, struct message *m, struct fetch_call *c)
{
        int r = PEER_ENCODE(&c->call.out, replica_fetch_request, &m->req, REPLICA_FETCH_VERSION, 0);

        if (r)
                return false;
        c->busy = true;
        c->is_report = m->req.report;
        c->call.node = f->node;
        c->call.lane = PEER_DATA;
        c->call.key = REPLICA_FETCH_KEY;
        c->call.version = REPLICA_FETCH_VERSION;
        c->call.timeout_ms = m->req.max_wait_ms + TIMEOUT_MS;
        c->call.loop = f->r->loop;
        c->call.done = on_answer;
        f->sequence++;
        f->r->busy++;
        atomic_fetch_add(&f->r->fetches, 1);
        peer_call_submit(f->r->cfg.hub, &c->call);
        return true;
}

static void send_fetch(struct fetcher *f, struct fetch_call *c)
{
        size_t count = list_len(&f->changed);
        struct message m;
        bool sent;

        if (!message_begin(f, &m, false, count)) {
                arena_fini(&m.arena);
                fetcher_reset(f);
                return;
        }
        for (struct ilist *link; count-- && (link = ilist_pop_front(&f->changed));) {
                struct follow *w = ilist_entry(link, struct follow, link);
                bool add = !w->added;

                w->state = FOLLOW_WAITING;
                if (add)
                        w->said_start = -1;
                if (!add_position(f, &m, w))
                        continue;
                ilist_unlink(&w->report_link); /* this says it */
                if (add) {
                        add_partition(&m, w);
                        w->added = true;
                }
        }
        m.req.removes = f->removes;
        m.req.removes_count = f->removes_count;
        sent = message_send(f, &m, c);
        f->removes_count = 0;
        arena_fini(&m.arena);
        if (!sent)
                fetcher_reset(f);
}

static void send_report(struct fetcher *f, struct fetch_call *c)
{
        size_t count = list_len(&f->reports);
        struct message m;
        bool sent = true;

        if (!message_begin(f, &m, true, count)) {
                arena_fini(&m.arena);
                fetcher_reset(f);
                return;
        }
        for (struct ilist *link; count-- && (link = ilist_pop_front(&f->reports));) {
                struct follow *w = ilist_entry(link, struct follow, report_link);

                /* Others say it with their next fetch. */
                if (w->added && (w->state == FOLLOW_WAITING || w->state == FOLLOW_FAILED))
                        (void)add_position(f, &m, w);
        }
        if (m.req.positions_count)
                sent = message_send(f, &m, c);
        arena_fini(&m.arena);
        if (!sent)
                fetcher_reset(f);
}

/* ---- answers ---- */

static void take_answer(struct fetcher *f, const struct fetch_call *c, const struct replica_fetch_response *rsp)
{
        for (int32_t i = 0; i < rsp->partitions_count; i++) {
                const struct replica_fetch_response_partition *said = &rsp->partitions[i];
                struct follow *w = said->slot >= 0 && said->slot < f->slots_next ? f->slots[said->slot] : NULL;

                if (!w || !w->added)
                        continue;
                /* A position that was named twice is answered twice. */
                if (w->state == FOLLOW_WAITING && !c->is_report &&
                    (said->fetch_offset < 0 || said->fetch_offset == w->named))
                        follow_take(w, said);
                else if (!said->error && said->leader_epoch == w->leader_epoch && said->diverging_epoch < 0)
                        (void)partition_follow_watermark(w->partition, w->leader_epoch, said->high_watermark);
        }
}

static void call_failed(struct fetcher *f, int outcome)
{
        if (outcome == PEER_E_STOPPED)
                return;
        f->back_off_ms = MIN2(MAX2(f->back_off_ms * 2, (int64_t)BACK_OFF_MS_MIN), (int64_t)BACK_OFF_MS_MAX);
        f->not_before_ms = clock_mono_ms() + f->back_off_ms;
        if (!f->told_down && f->back_off_ms == BACK_OFF_MS_MAX) {
                f->told_down = true;
                diag(DIAG_WARN, "node %d, which leads %u partitions that are followed here, is not reached (%s)",
                     f->node, f->follows_count, peer_outcome_name(outcome));
        }
}

static void on_answer(struct peer_call *call)
{
        struct fetch_call *c = container_of(call, struct fetch_call, call);
        struct fetcher *f = c->fetcher;
        struct replica_fetch_response rsp;
        struct arena arena;
        int outcome = call->outcome;

        c->busy = false;
        f->r->busy--;
        if (outcome == PEER_OK) {
                arena_init(&arena, 16 * call->body.len + DECODE_BYTES_MIN);
                if (PEER_DECODE(replica_fetch_response, &rsp, call->body, REPLICA_FETCH_VERSION, &arena)) {
                        outcome = PEER_E_MALFORMED;
                } else if (rsp.error) {
                        if (!f->reset)
                                fetcher_reset(f);
                } else if (!f->reset && !f->r->stopping) {
                        f->back_off_ms = 0;
                        f->told_down = false;
                        take_answer(f, c, &rsp);
                }
                arena_fini(&arena);
        }
        if (call->outcome == PEER_OK)
                iobuf_unref(call->frame); /* before the next answer takes its place */
        if (outcome != PEER_OK) {
                call_failed(f, outcome);
                fetcher_reset(f);
        }
        fetcher_run(f);
}

/* ---- the conversation ---- */

static bool is_quiet(const struct fetcher *f)
{
        for (unsigned i = 0; i < FETCHES_MAX; i++)
                if (f->fetches[i].busy)
                        return false;
        for (unsigned i = 0; i < REPORTS_MAX; i++)
                if (f->report_calls[i].busy)
                        return false;
        return true;
}

static struct fetch_call *idle_call(struct fetch_call *calls, unsigned count, bool *ret_any_busy)
{
        struct fetch_call *idle = NULL;

        *ret_any_busy = false;
        for (unsigned i = 0; i < count; i++)
                if (calls[i].busy)
                        *ret_any_busy = true;
                else
                        idle = &calls[i];
        return idle;
}

void fetcher_reset(struct fetcher *f)
{
        f->reset = true;
}

/* Another session: all is named anew, in slots of its own. */
static void begin_session(struct fetcher *f)
{
        struct follow *w, *next;

        f->reset = false;
        f->session = (int32_t)random_u64();
        f->sequence = 0;
        f->removes_count = 0;
        f->slots_next = 0;
        HASH_ITER (hh, f->r->follows, w, next) {
                if (w->fetcher != f)
                        continue;
                w->added = false;
                w->slot = f->slots_next;
                f->slots[f->slots_next++] = w; /* there were as many before */
                if (w->state == FOLLOW_WAITING || w->state == FOLLOW_FAILED)
                        follow_changed(w);
        }
}

/* Those whose time has come. Return: when the next one's does; INT64_MAX: none waits. */
static int64_t wake_later(struct fetcher *f, int64_t now_ms)
{
        int64_t next_ms = INT64_MAX;

        ilist_for_each (w, &f->later, struct follow, link) {
                if (w->later_ms <= now_ms)
                        follow_changed(w);
                else
                        next_ms = MIN2(next_ms, w->later_ms);
        }
        return next_ms;
}

void fetcher_run(struct fetcher *f)
{
        int64_t now_ms = clock_mono_ms(), next_ms;
        struct fetch_call *c;
        bool waits;

        if (f->r->stopping || atomic_load(&f->r->broker_epoch) < 0)
                return;
        next_ms = wake_later(f, now_ms);
        if (f->reset && is_quiet(f))
                begin_session(f);
        if (now_ms < f->not_before_ms)
                next_ms = MIN2(next_ms, f->not_before_ms);
        else if (!f->reset) {
                c = idle_call(f->fetches, FETCHES_MAX, &waits);
                if (c && (!ilist_is_empty(&f->changed) || f->removes_count || (!waits && f->follows_count)))
                        send_fetch(f, c);
                c = idle_call(f->report_calls, REPORTS_MAX, &waits);
                if (c && !f->reset && !ilist_is_empty(&f->reports))
                        send_report(f, c);
        }
        if (f->reset && is_quiet(f)) /* no memory for a message */
                next_ms = MIN2(next_ms, now_ms + BACK_OFF_MS_MAX);
        if (next_ms != INT64_MAX)
                loop_timer_start(&f->timer, MAX2(next_ms - now_ms, (int64_t)1));
}

static void on_timer(struct loop_timer *t)
{
        fetcher_run(container_of(t, struct fetcher, timer));
}

struct fetcher *fetcher_find(struct replicator *r, int32_t node)
{
        struct fetcher *f;

        ilist_for_each (it, &r->fetchers, struct fetcher, link)
                if (it->node == node)
                        return it;
        f = calloc(1, sizeof *f);
        if (!f)
                return NULL;
        f->r = r;
        f->node = node;
        f->session = (int32_t)random_u64();
        f->mail.fn = on_mail;
        for (unsigned i = 0; i < FETCHES_MAX; i++)
                f->fetches[i].fetcher = f;
        for (unsigned i = 0; i < REPORTS_MAX; i++)
                f->report_calls[i].fetcher = f;
        ilist_init(&f->changed);
        ilist_init(&f->later);
        ilist_init(&f->reports);
        ilist_init(&f->news);
        pthread_mutex_init(&f->lock, NULL);
        loop_timer_init(&f->timer, r->loop, on_timer);
        ilist_push_back(&r->fetchers, &f->link);
        return f;
}

void fetcher_free(struct fetcher *f)
{
        assert(is_quiet(f) && !f->follows_count && !f->mail_posted);
        ilist_unlink(&f->link);
        pthread_mutex_destroy(&f->lock);
        free(f->slots);
        free(f->removes);
        free(f);
}
