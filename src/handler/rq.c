/* Requests: header parsing, dispatch by the API table, building of responses. */
#include "handler/rq.h"

#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/limits.h"
#include "handler/apis.h"
#include "handler/authorize.h"
#include "handler/client_conn.h"
#include "handler/handler.h"
#include "handler/internal.h"
#include "handler/quota.h"
#include "handler/sasl.h"
#include "sys/diag.h"

enum {
        HEADER_LEN_MIN = 8,           /* api key, version, correlation id */
        ARENA_ANSWER_MAX = 512 << 20, /* DescribeConfigs of 10,000 topics takes some 150 MiB */
        DETACH_LEN_MAX = 64 * 1024,
};

static void rq_fini(struct rq *rq)
{
        handler_image_drop(rq);
        rq->principal = principal_unref(rq->principal);
        arena_fini(&rq->arena);
}

bool rq_decoded(struct rq *rq, int outcome)
{
        if (outcome == 0 && cursor_ok(&rq->in)) {
                rq->arena.limit = ARENA_ANSWER_MAX; /* the frame bounded what was decoded; answers may be larger */
                return true;
        }
        if (outcome == -ENOMEM)
                rq_close_nomem(rq);
        else
                rq_close(rq, "malformed request");
        return false;
}

bool rq_detach(struct rq *rq)
{
        size_t len = cursor_left(&rq->in);
        uint8_t *copy;

        if (len > DETACH_LEN_MAX)
                return true; /* stays counted where it is */
        copy = arena_memdup(&rq->arena, rq->in.at, len);
        if (!copy)
                return false;
        if (rq->client_id.p) {
                rq->client_id.p = arena_memdup(&rq->arena, rq->client_id.p, rq->client_id.len);
                if (!rq->client_id.p)
                        return false;
        }
        rq->in = cursor_of(span_of(copy, len));
        iobuf_unref(TAKE_PTR(rq->net.frame));
        return true;
}

/* Before the last thing that is done with its connection. */
static void mute(const struct rq *rq)
{
        if (rq->throttle_ms)
                net_conn_mute(rq->net.conn, rq->throttle_ms);
}

void rq_reply_none(struct rq *rq)
{
        handler_count_done(rq);
        mute(rq);
        rq_fini(rq);
        net_reply_none(&rq->net);
}

void rq_close(struct rq *rq, const char *reason)
{
        diag_limited(DIAG_INFO, "client %s: %s (%s version %d); its connection is closed", net_conn_peer(rq->net.conn),
                     reason, rq->api ? rq->api->name : "unknown API", rq->version);
        handler_count_done(rq);
        rq_fini(rq);
        net_reply_close(&rq->net, reason);
}

void rq_close_nomem(struct rq *rq)
{
        diag_limited(DIAG_ERROR,
                     "out of memory while answering %s of client %s; its connection is closed. "
                     "Lower performance.buffer_memory or give the service more memory",
                     rq->api ? rq->api->name : "a request", net_conn_peer(rq->net.conn));
        rq_close(rq, "out of memory");
}

static bool response_is_flexible(const struct rq *rq)
{
        /* Source: KIP-482; an ApiVersions response keeps header 0 in every version (KIP-511). */
        return rq->api->key != KAPI_API_VERSIONS && rq->version >= rq->api->wire->response_flexible_from;
}

void rq_tell_throttle(const struct rq *rq, void *msg, ptrdiff_t offset)
{
        if (offset >= 0)
                memcpy((char *)msg + offset, &rq->throttle_ms, sizeof rq->throttle_ms);
}

bool rq_out_begin(struct rq *rq, size_t size, size_t exts_max, struct rq_out *ret_out)
{
        size_t header_len = 4 + response_is_flexible(rq);
        uint8_t *buf = malloc(header_len + size);
        struct rq_out out = { .buf = buf, .size = header_len + size };

        out.w = writer_of(buf, out.size);
        if (exts_max) {
                out.w.exts = ARENA_NEW_ARRAY(&rq->arena, struct writer_ext, exts_max);
                out.w.exts_max = exts_max;
        }
        if (!buf || (exts_max && !out.w.exts)) {
                free(buf);
                rq_close_nomem(rq);
                return false;
        }
        writer_be32(&out.w, (uint32_t)rq->correlation_id);
        if (response_is_flexible(rq))
                writer_uvarint(&out.w, 0);
        *ret_out = out;
        return true;
}

/* Cut the buffer at its file ranges: memory, file, memory, file, ... memory. The last memory piece frees the buffer. */
static unsigned pieces_cut(const struct rq_out *out, struct net_piece *pieces)
{
        size_t from = 0;
        unsigned n = 0;

        for (size_t i = 0; i < out->w.exts_count; i++) {
                const struct writer_ext *x = &out->w.exts[i];
                const struct rq_file *f = x->ref;

                if (x->pos > from)
                        pieces[n++] = (struct net_piece){ .data = out->buf + from, .fd = -1, .len = x->pos - from };
                pieces[n++] = (struct net_piece){
                        .fd = f->fd,
                        .pos = f->pos,
                        .len = f->len,
                        .release = f->release,
                        .release_arg = f->release_arg,
                };
                from = x->pos;
        }
        pieces[n++] = (struct net_piece){
                .data = out->buf + from,
                .fd = -1,
                .len = out->size - from,
                .release = free,
                .release_arg = out->buf,
        };
        return n;
}

void rq_out_send(struct rq *rq, struct rq_out *out)
{
        struct net_piece small[8], *pieces = small;
        struct arena arena;

        assert(out->w.at == out->w.end); /* size and encode agree */
        if (out->w.exts_count * 2 + 1 > ARRAY_LEN(small)) {
                pieces = ARENA_NEW_ARRAY(&rq->arena, struct net_piece, out->w.exts_count * 2 + 1);
                if (!pieces) {
                        for (size_t i = 0; i < out->w.exts_count; i++) {
                                const struct rq_file *f = out->w.exts[i].ref;

                                if (f->release)
                                        f->release(f->release_arg);
                        }
                        free(out->buf);
                        rq_close_nomem(rq);
                        return;
                }
        }
        handler_count_done(rq);
        handler_image_drop(rq);
        rq->principal = principal_unref(rq->principal);
        mute(rq);
        arena = rq->arena; /* the pieces live in it until net has copied them, and net frees rq */
        net_reply(&rq->net, pieces, pieces_cut(out, pieces));
        arena_fini(&arena);
}

void rq_reply_piece(struct rq *rq, const struct net_piece *piece)
{
        handler_count_done(rq);
        rq_fini(rq);
        net_reply(&rq->net, piece, 1);
}

/* The header behind the fixed prefix: client id, and tagged fields from header version 2 on. */
static bool header_rest_decode(struct rq *rq)
{
        int16_t len = cursor_be16s(&rq->in);
        const uint8_t *p;

        if (len < -1)
                return false;
        if (len >= 0) {
                p = cursor_take(&rq->in, (size_t)len);
                rq->client_id = (struct str){ p ? (const char *)p : "", p ? (size_t)len : 0 };
        }
        if (rq->version >= rq->api->wire->request_flexible_from) {
                uint32_t tags = cursor_uvarint(&rq->in);

                for (uint32_t i = 0; i < tags && cursor_ok(&rq->in); i++) {
                        cursor_uvarint(&rq->in);
                        cursor_take(&rq->in, cursor_uvarint(&rq->in));
                }
        }
        return cursor_ok(&rq->in);
}

bool handler_can_overlap(void *owner, struct span frame)
{
        (void)owner;
        return frame.len >= 2 && load_be16(frame.data) == KAPI_PRODUCE;
}

static void admit(struct rq *rq)
{
        int16_t key;

        rq->principal = client_principal(rq->net.conn);
        rq->in = cursor_of(rq->net.body);
        if (sasl_take_token(rq))
                return;
        key = cursor_be16s(&rq->in);
        rq->version = cursor_be16s(&rq->in);
        rq->correlation_id = cursor_be32s(&rq->in);
        rq->api = handler_api_find(key);
        if (!cursor_ok(&rq->in)) {
                rq_close(rq, "request shorter than its header");
                return;
        }
        if (!sasl_admit(rq, key))
                return;
        if (key == KAPI_API_VERSIONS && (rq->version < rq->api->version_min || rq->version > rq->api->version_max)) {
                handler_api_versions_unsupported(rq); /* KIP-511: the one error that is answered */
                return;
        }
        if (!rq->api || rq->version < rq->api->version_min || rq->version > rq->api->version_max) {
                rq_close(rq, "unsupported API key or version");
                return;
        }
        if (!header_rest_decode(rq)) {
                rq_close(rq, "malformed request header");
                return;
        }
        if (!handler_image_take(rq)) {
                rq_close_nomem(rq);
                return;
        }
        handler_count_start(rq);
        if (rq->has_quotas)
                quota_request(rq, rq->api->fn);
        else
                rq->api->fn(rq);
}

void handler_request(void *owner, struct net_request *net)
{
        struct rq *rq = container_of(net, struct rq, net);

        rq->h = owner;
        arena_init_shared(&rq->arena, LIMIT_DECODED_BYTES_MIN + net->body.len * LIMIT_DECODED_PER_FRAME_BYTE,
                          &rq->h->decode_budget, LIMIT_DECODED_FREE_BYTES);
        if (!audit_must_wait(rq, admit))
                admit(rq);
}

struct str rq_text(struct rq *rq, const char *fmt, ...)
{
        struct str text;
        va_list ap;

        va_start(ap, fmt);
        text = arena_vprintf(&rq->arena, fmt, ap);
        va_end(ap);
        return utf8_clip(text, LIMIT_TEXT_LEN);
}
