/* One request until it succeeds, cannot, or has been tried often enough.
 *
 *     go_on() -> send() -> on_transfer(): judge -> good, or not to be mended -> finish()
 *        ^                                 `-> back_off(): waits between half and all of backoff_ms * 2^n, or what the store asks for
 *        `---------------------------------------------'
 *
 * A get that takes long is sent a second time to a buffer of its own; whoever ends first with a good answer counts. */
#include <stdio.h>

#include "base/crc32c.h"
#include "object/internal.h"
#include "sys/clock.h"

/* A hedge for one get in twenty at most: when everything is slow they would make it slower. */
enum { HEDGE_SHARE = 20, HEDGE_FREE = 4 };

static void on_transfer(struct object_transfer *tr, CURLcode result);

static void drop_live(struct object_try *t, unsigned i)
{
        t->live[i] = object_transfer_free(t->live[i]);
        if (i == 1 && t->hedge_buf) {
                budget_give(&t->w->s->memory, t->call.len);
                free(t->hedge_buf);
                t->hedge_buf = NULL;
                object_put_feed_hungry(t->w->s);
        }
}

static void stop_all(struct object_try *t)
{
        loop_timer_stop(&t->timer);
        ilist_unlink(&t->key_wait);
        drop_live(t, 0);
        drop_live(t, 1);
}

static void finish(struct object_try *t)
{
        stop_all(t);
        t->active = false;
        t->w->running--;
        t->done(t);
}

static void fail(struct object_try *t, int result, const char *text)
{
        t->verdict = (struct object_verdict){ .result = result };
        snprintf(t->verdict.text, sizeof t->verdict.text, "%s", text);
        finish(t);
}

/* ---- sending ---- */

static size_t body_max(const struct object_try *t)
{
        return t->call.step == STEP_LIST ? LIST_BODY_MAX : ERROR_BODY_MAX;
}

/* @i: 0 the request, 1 its hedge. */
static int send_one(struct object_try *t, unsigned i, void *sink)
{
        struct object_store *s = t->w->s;
        struct object_request rq;
        int r = s->place.provider->build(&s->place, &t->call, &s->keys.now, clock_wall_ms(), &rq);

        if (r) {
                object_request_fini(&rq);
                return r;
        }
        atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed);
        t->w->requests++;
        return object_transfer_start(&s->http, &rq, 0, sink, t->call.len, body_max(t), on_transfer, t, &t->live[i]);
}

static bool may_hedge(const struct object_try *t)
{
        const struct object_store *s = t->w->s;

        return s->c.hedge_after_ms && t->call.step == STEP_GET && s->gets_hedged < HEDGE_FREE + s->gets / HEDGE_SHARE;
}

static void hedge(struct object_try *t)
{
        struct object_store *s = t->w->s;

        if (!may_hedge(t) || !budget_try_take(&s->memory, t->call.len))
                return;
        t->hedge_buf = malloc(t->call.len);
        if (!t->hedge_buf) {
                budget_give(&s->memory, t->call.len);
                return;
        }
        s->gets_hedged++;
        atomic_fetch_add_explicit(&s->hedges, 1, memory_order_relaxed);
        if (send_one(t, 1, t->hedge_buf))
                drop_live(t, 1);
}

static void on_try_timer(struct loop_timer *timer)
{
        struct object_try *t = container_of(timer, struct object_try, timer);

        if (t->live[0])
                hedge(t);
        else
                object_try_go_on(t);
}

void object_try_go_on(struct object_try *t)
{
        struct object_store *s = t->w->s;
        int r = object_keys_get(&s->keys, &t->key_wait);

        if (r == -EAGAIN)
                return;
        if (r) {
                fail(t, r, s->keys.why);
                return;
        }
        t->attempts++;
        s->gets += t->call.step == STEP_GET;
        r = send_one(t, 0, t->call.step == STEP_GET ? t->w->op->get_buf : NULL);
        if (r == OBJECT_BAD_CREDENTIALS)
                fail(t, r, "the account's key is no base64");
        else if (r)
                fail(t, r, r == -E2BIG ? "the request is too large" : "memory is out, or OpenSSL has no such digest");
        else if (may_hedge(t))
                loop_timer_start(&t->timer, s->c.hedge_after_ms);
}

/* ---- answers ---- */

static void spoiled(struct object_verdict *v, const struct object_transfer *tr, const char *what)
{
        v->result = OBJECT_DAMAGED;
        v->retry = true;
        snprintf(v->text, sizeof v->text, "%.*s: %s", STR_FMT(tr->rq.origin), what);
}

/* Is what came of an object what was asked for? */
static void check_got(struct object_try *t, struct object_transfer *tr, struct object_verdict *v)
{
        const struct object_answer *a = &tr->answer;
        struct object_op *op = t->w->op;
        uint8_t digest[OBJECT_SHA256_SIZE];
        char hex[OBJECT_SHA256_HEX_SIZE];
        int64_t total = a->range_total, want;

        if (a->status == 416) {
                tr->sink_len = 0;
                if (total > t->call.offset)
                        spoiled(v, tr, "the store has the range, and says that it has not");
                else if (op->expect_crc && op->crc)
                        spoiled(v, tr, "the object ends before the range");
                return;
        }
        /* Azure's emulator says "bytes 10-9/10" for what begins at the end. */
        if (a->status == 206 && a->range_first < 0 && !a->content_len)
                total = t->call.offset;
        else if (a->status == 206 && a->range_first != t->call.offset) {
                spoiled(v, tr, "the store sent another range than was asked for");
                return;
        }
        if (a->status != 206) { /* all of it: right if it is what was asked for */
                total = a->content_len >= 0 ? a->content_len : (int64_t)tr->sink_len;
                if (t->call.offset || (uint64_t)total > t->call.len) {
                        v->result = OBJECT_UNSUPPORTED;
                        snprintf(v->text, sizeof v->text, "%.*s: it does not know ranges", STR_FMT(tr->rq.origin));
                        return;
                }
        }
        want = total < 0 ? a->range_last - a->range_first + 1 : MIN2(total - t->call.offset, (int64_t)t->call.len);
        if ((int64_t)tr->sink_len != want) {
                spoiled(v, tr, "the answer has another length than it says");
                return;
        }
        if (op->expect_crc && crc32c(0, tr->sink, tr->sink_len) != op->crc) {
                spoiled(v, tr, "the bytes do not have the CRC-32C that was expected");
                return;
        }
        /* All of an object that was written at once carries its digest. */
        if (!t->call.offset && want == total && strlen(a->sha256) == 64 &&
            !object_sha256(span_of(tr->sink, tr->sink_len), digest)) {
                object_hex(digest, sizeof digest, hex);
                if (strcmp(hex, a->sha256) != 0)
                        spoiled(v, tr, "the bytes do not have the SHA-256 that they were written with");
        }
}

static void judge(struct object_try *t, struct object_transfer *tr, CURLcode result, struct object_verdict *v)
{
        struct object_store *s = t->w->s;

        /* What was refused before all of it was sent is an answer all the same. */
        if (result && !(result == CURLE_SEND_ERROR && tr->answer.status >= 300)) {
                object_transfer_judge(tr, result, v);
                if (tr->overflow && t->call.step != STEP_GET)
                        v->retry = false;
                return;
        }
        object_judge(&s->place, &t->call, &tr->answer, span_of(tr->body.data, tr->body.len), clock_wall_ms(), v);
        if (!v->result && t->call.step == STEP_GET)
                check_got(t, tr, v);
}

static void back_off(struct object_try *t)
{
        const struct object_config *c = &t->w->s->c;
        int64_t most = c->backoff_ms, wait;

        for (unsigned i = 1; i < t->attempts && most < c->backoff_max_ms; i++)
                most *= 2;
        most = MIN2(most, (int64_t)c->backoff_max_ms);
        /* At random, so that those who failed together do not come back together. */
        wait = most / 2 + (int64_t)(random_u64() % (uint64_t)(most / 2 + 1));
        if (t->verdict.retry_after_ms > wait)
                wait = MIN2(t->verdict.retry_after_ms, (int64_t)c->backoff_max_ms);
        atomic_fetch_add_explicit(&t->w->s->retries, 1, memory_order_relaxed);
        loop_timer_start(&t->timer, wait);
}

static void take_good(struct object_try *t, struct object_transfer *tr, bool hedged)
{
        t->answer = tr->answer;
        strbuf_fini(&t->body);
        t->body = tr->body;
        tr->body = (struct strbuf){ 0 };
        t->got_len = tr->sink_len;
        if (!hedged)
                return;
        atomic_fetch_add_explicit(&t->w->s->hedges_won, 1, memory_order_relaxed);
        drop_live(t, 0); /* it writes to the caller's buffer */
        memcpy(t->w->op->get_buf, t->hedge_buf, t->got_len);
}

static void on_transfer(struct object_transfer *tr, CURLcode result)
{
        struct object_try *t = tr->owner;
        bool hedged = tr == t->live[1];

        judge(t, tr, result, &t->verdict);
        if (t->verdict.result >= 0) {
                take_good(t, tr, hedged);
                finish(t);
                return;
        }
        drop_live(t, hedged);
        if (t->live[!hedged]) /* the other may still succeed */
                return;
        loop_timer_stop(&t->timer);
        if (t->verdict.result == OBJECT_BAD_CREDENTIALS && !t->renewed && object_keys_refused(&t->w->s->keys)) {
                t->renewed = true;
                object_try_go_on(t);
                return;
        }
        if (t->verdict.retry && t->attempts < t->attempts_max)
                back_off(t);
        else
                finish(t);
}

/* ---- begin and end ---- */

static void on_first(struct loop_timer *timer)
{
        struct object_try *t = container_of(timer, struct object_try, timer);

        timer->fn = on_try_timer;
        object_try_go_on(t);
}

void object_try_start(struct object_try *t, struct object_work *w, void (*done)(struct object_try *t))
{
        assert(!t->active);
        object_try_fini(t);
        t->w = w;
        t->done = done;
        t->active = true;
        t->attempts = 0;
        t->attempts_max = w->s->c.attempts_max;
        t->renewed = false;
        t->verdict = (struct object_verdict){ 0 };
        ilist_init(&t->key_wait);
        w->running++;
        loop_timer_init(&t->timer, w->s->loop, on_first);
        loop_timer_start(&t->timer, 0);
}

void object_try_stop(struct object_try *t)
{
        if (!t->active)
                return;
        stop_all(t);
        t->active = false;
        t->w->running--;
}

void object_try_fini(struct object_try *t)
{
        strbuf_fini(&t->body);
}
