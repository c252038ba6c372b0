/* GetTelemetrySubscriptions (key 71), PushTelemetry (key 72): a client asks what it is to push, and pushes it. On the pool: patterns are
 * matched, metrics decompressed. Source: KIP-714. */
#include <errno.h>
#include <string.h>

#include "handler/client_conn.h"
#include "handler/internal.h"
#include "handler/telemetry.h"
#include "wire/codec.h"
#include "wire/messages.h"

struct telemetry_op {
        struct rq *rq;
        struct telemetry_client client;
        union {
                struct get_telemetry_subscriptions_request ask;
                struct push_telemetry_request push;
        };
        struct telemetry_offer offer;
        struct io_job job;
        int outcome;
};

/* As Kafka: the first is what clients choose. */
static int8_t codecs[] = { CODEC_ZSTD, CODEC_LZ4, CODEC_GZIP, CODEC_SNAPPY };

static struct telemetry_op *op_new(struct rq *rq)
{
        struct telemetry_op *op = ARENA_NEW(&rq->arena, struct telemetry_op);
        const char *peer = net_conn_peer(rq->net.conn), *colon = strrchr(peer, ':');
        const struct client_software *software = client_software_of(rq->net.conn);

        if (!op) {
                rq_close_nomem(rq);
                return NULL;
        }
        op->rq = rq;
        op->client = (struct telemetry_client){ .client_id = str_is_null(rq->client_id) ? STR_LIT("") : rq->client_id,
                                                .host = str_of(net_conn_peer_host(rq->net.conn)),
                                                .port = str_of(colon ? colon + 1 : NULL) };
        if (software) { /* copied: it goes with the connection, perhaps before the request */
                op->client.software_name = RQ_TEXT(rq, "%s", software->name);
                op->client.software_version = RQ_TEXT(rq, "%s", software->version);
        }
        return op;
}

/* Ids that no client gets: Kafka's zero and one. */
static bool is_reserved(struct uuid id)
{
        id.b[15] &= 0xfe;
        return uuid_is_zero(id);
}

static void start(struct telemetry_op *op, void (*run)(struct io_job *job), void (*done)(struct io_job *job))
{
        op->job = (struct io_job){ .run = run, .done = done, .reply_loop = rq_loop(op->rq) };
        iopool_submit(op->rq->h->deps.pool, &op->job);
}

/* False: the connection has been closed. */
static bool is_told(struct telemetry_op *op)
{
        if (op->outcome < 0)
                rq_close_nomem(op->rq);
        else if (op->outcome)
                handler_count_error(op->rq, (int16_t)op->outcome);
        return op->outcome >= 0;
}

/* ---- asking ---- */

static void ask_run(struct io_job *job)
{
        struct telemetry_op *op = container_of(job, struct telemetry_op, job);

        op->outcome = telemetry_ask(op->rq->h->telemetry, op->rq->image, &op->client, &op->rq->arena, clock_mono_ms(),
                                    &op->offer);
}

static void ask_done(struct io_job *job)
{
        struct telemetry_op *op = container_of(job, struct telemetry_op, job);
        struct get_telemetry_subscriptions_response rsp;

        if (!is_told(op))
                return;
        get_telemetry_subscriptions_response_init(&rsp);
        rsp.error_code = (int16_t)op->outcome;
        if (!op->outcome) {
                rsp.client_instance_id = op->client.id;
                rsp.subscription_id = op->offer.subscription_id;
                rsp.accepted_compression_types = codecs;
                rsp.accepted_compression_types_count = ARRAY_LEN(codecs);
                rsp.push_interval_ms = op->offer.interval_ms;
                rsp.telemetry_max_bytes = (int32_t)op->rq->h->deps.conf->server.telemetry_max_bytes;
                /* Sums since the beginning are what Prometheus takes; after a lost push they are right again by themselves. Kafka
                 * asks for differences. */
                rsp.delta_temporality = false;
                rsp.requested_metrics = op->offer.metrics;
                rsp.requested_metrics_count = op->offer.metrics_count;
        }
        RQ_REPLY(op->rq, get_telemetry_subscriptions_response, &rsp);
}

void handler_get_telemetry_subscriptions(struct rq *rq)
{
        struct telemetry_op *op = op_new(rq);

        if (!op || !RQ_DECODE(rq, get_telemetry_subscriptions_request, &op->ask))
                return;
        op->client.id = op->ask.client_instance_id;
        while (is_reserved(op->client.id))
                random_bytes(op->client.id.b, sizeof op->client.id.b);
        start(op, ask_run, ask_done);
}

/* ---- pushing ---- */

static void push_run(struct io_job *job)
{
        struct telemetry_op *op = container_of(job, struct telemetry_op, job);
        const struct push_telemetry_request *req = &op->push;
        struct telemetry_push push = { .subscription_id = req->subscription_id,
                                       .terminating = req->terminating,
                                       .codec = req->compression_type,
                                       .metrics = req->metrics,
                                       .len_max = (size_t)op->rq->h->deps.conf->server.telemetry_max_bytes };

        op->outcome = telemetry_push(op->rq->h->telemetry, op->rq->image, &op->client, &op->rq->arena, clock_mono_ms(),
                                     &push);
}

static void push_reply(struct telemetry_op *op)
{
        struct push_telemetry_response rsp;

        if (!is_told(op))
                return;
        push_telemetry_response_init(&rsp);
        rsp.error_code = (int16_t)op->outcome;
        RQ_REPLY(op->rq, push_telemetry_response, &rsp);
}

static void push_done(struct io_job *job)
{
        push_reply(container_of(job, struct telemetry_op, job));
}

void handler_push_telemetry(struct rq *rq)
{
        struct telemetry_op *op = op_new(rq);

        if (!op || !RQ_DECODE(rq, push_telemetry_request, &op->push))
                return;
        op->client.id = op->push.client_instance_id;
        if (is_reserved(op->client.id)) {
                op->outcome = KERR_INVALID_REQUEST;
                push_reply(op);
                return;
        }
        start(op, push_run, push_done);
}
