/* What is counted of requests. Each reactor writes counters of its own; errors are rare and share one table. */
#include <errno.h>

#include "handler/authorize.h"
#include "handler/internal.h"
#include "handler/telemetry.h"
#include "obs/expo.h"
#include "obs/latency.h"

enum { APIS_MAX = 96, ERROR_MIN = -1, ERRORS_COUNT = 160 };

struct stats_shard {
        _Atomic uint64_t started[APIS_MAX], done[APIS_MAX];
        _Atomic uint64_t records_in, bytes_in;
        struct latency produce, fetch;
} __attribute__((aligned(64)));

int stats_init(struct handler *h, unsigned reactors_count)
{
        unsigned count;

        handler_apis(&count);
        assert(count <= APIS_MAX);
        if (posix_memalign((void **)&h->stats, 64, reactors_count * sizeof *h->stats))
                return -ENOMEM;
        memset((void *)h->stats, 0, reactors_count * sizeof *h->stats);
        h->errors = calloc((size_t)APIS_MAX * ERRORS_COUNT, sizeof *h->errors);
        if (!h->errors)
                return -ENOMEM;
        return 0;
}

void stats_fini(struct handler *h)
{
        free(h->stats);
        free((void *)h->errors);
}

/* The reactor is the only writer. */
static void plus(_Atomic uint64_t *n, uint64_t v)
{
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + v, memory_order_relaxed);
}

static struct stats_shard *shard_of(const struct rq *rq)
{
        return &rq->h->stats[net_conn_reactor(rq->net.conn)];
}

void handler_count_start(struct rq *rq)
{
        rq->counted = true;
        plus(&shard_of(rq)->started[rq->api->number], 1);
}

void handler_count_done(struct rq *rq)
{
        struct stats_shard *s = shard_of(rq);
        int64_t now_ns;

        if (!rq->counted)
                return; /* it never got as far as a handler */
        rq->counted = false;
        plus(&s->done[rq->api->number], 1);
        if (rq->api->key != KAPI_PRODUCE && rq->api->key != KAPI_FETCH)
                return;
        now_ns = clock_mono_ns();
        latency_record(rq->api->key == KAPI_PRODUCE ? &s->produce : &s->fetch,
                       now_ns - rq->net.arrived_ns - rq->parked_ns, now_ns / 1000000);
}

void handler_count_error(struct rq *rq, int16_t error)
{
        if (rq->api && error >= ERROR_MIN && error < ERROR_MIN + ERRORS_COUNT)
                atomic_fetch_add_explicit(&rq->h->errors[rq->api->number * ERRORS_COUNT + error - ERROR_MIN], 1,
                                          memory_order_relaxed);
}

void handler_count_appended(struct rq *rq, uint64_t records, uint64_t bytes)
{
        plus(&shard_of(rq)->records_in, records);
        plus(&shard_of(rq)->bytes_in, bytes);
}

/* ---- telling ---- */

static uint64_t sum(const struct handler *h, size_t offset_in_shard)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < h->deps.reactors_count; i++)
                n += atomic_load_explicit((_Atomic uint64_t *)((char *)&h->stats[i] + offset_in_shard),
                                          memory_order_relaxed);
        return n;
}

static void expose_latency(const struct handler *h, struct strbuf *out, const char *name, const char *help,
                           size_t offset_in_shard)
{
        static const struct {
                double q;
                const char *text;
        } quantiles[] = { { 0.5, "0.5" }, { 0.95, "0.95" }, { 0.99, "0.99" } };
        struct latency_view *v = calloc(1, sizeof *v);

        if (!v)
                return;
        for (unsigned i = 0; i < h->deps.reactors_count; i++)
                latency_add((struct latency *)((char *)&h->stats[i] + offset_in_shard), clock_mono_ms(), v);
        expo_family(out, name, "summary", help);
        for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
                expo_value(out, name, "", (struct expo_label[]){ { "quantile", str_of(quantiles[i].text) }, { 0 } },
                           latency_quantile(v, quantiles[i].q));
        expo_value(out, name, "_sum", NULL, (double)v->sum_ns / 1e9);
        expo_value(out, name, "_count", NULL, (double)v->count);
        free(v);
}

static void expose_errors(const struct handler *h, struct strbuf *out)
{
        unsigned count;
        const struct handler_api *apis = handler_apis(&count);

        expo_family(out, "chronik_request_errors_total", "counter",
                    "Error codes in answers, of requests as a whole or of their items.");
        for (unsigned i = 0; i < count; i++)
                for (int e = 0; e < ERRORS_COUNT; e++) {
                        uint32_t n = atomic_load_explicit(&h->errors[i * ERRORS_COUNT + e], memory_order_relaxed);

                        if (n)
                                expo_value(out, "chronik_request_errors_total", "",
                                           (struct expo_label[]){
                                                   { "api", str_of(apis[i].wire->name) },
                                                   { "error", str_of(wire_error_name((int16_t)(e + ERROR_MIN))) },
                                                   { 0 } },
                                           n);
                }
}

void handler_expose(struct handler *h, struct strbuf *out)
{
        uint64_t started = 0, done = 0;
        unsigned count;
        const struct handler_api *apis = handler_apis(&count);

        expo_family(out, "chronik_requests_total", "counter", "Requests answered, by API.");
        for (unsigned i = 0; i < count; i++) {
                uint64_t n = sum(h, offsetof(struct stats_shard, done) + i * sizeof(uint64_t));

                started += sum(h, offsetof(struct stats_shard, started) + i * sizeof(uint64_t));
                done += n;
                expo_value(out, "chronik_requests_total", "",
                           (struct expo_label[]){ { "api", str_of(apis[i].wire->name) }, { 0 } }, (double)n);
        }
        expo_family(out, "chronik_requests_in_work", "gauge", "Requests that were read and not answered yet.");
        expo_value(out, "chronik_requests_in_work", "", NULL, (double)(started - MIN2(done, started)));
        expose_errors(h, out);
        expo_family(
                out, "chronik_earlier_password_logins_total", "counter",
                "Logins with the password from before a rotation: while it grows, a client was not told the new one.");
        expo_value(out, "chronik_earlier_password_logins_total", "", NULL,
                   (double)atomic_load_explicit(&h->earlier_logins, memory_order_relaxed));
        expose_latency(h, out, "chronik_produce_latency_seconds",
                       "Time from a whole Produce request to its answer; quantiles of the last minute.",
                       offsetof(struct stats_shard, produce));
        expose_latency(
                h, out, "chronik_fetch_latency_seconds",
                "Time from a whole Fetch request to its answer without the time it asked to wait; quantiles of the "
                "last minute.",
                offsetof(struct stats_shard, fetch));
        expo_family(out, "chronik_appended_records_total", "counter", "Records that clients produced.");
        expo_value(out, "chronik_appended_records_total", "", NULL,
                   (double)sum(h, offsetof(struct stats_shard, records_in)));
        expo_family(out, "chronik_appended_bytes_total", "counter", "Bytes of record batches that clients produced.");
        expo_value(out, "chronik_appended_bytes_total", "", NULL,
                   (double)sum(h, offsetof(struct stats_shard, bytes_in)));
        expo_family(out, "chronik_fetch_sessions", "gauge", "Incremental fetch sessions that are remembered.");
        expo_value(out, "chronik_fetch_sessions", "", NULL, fetch_sessions_count(h->sessions));
        authorization_expose(h->authorization, out);
        telemetry_expose(h->telemetry, clock_mono_ms(), out);
}
