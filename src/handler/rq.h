/* One request of a client, from frame to answer. Every handler is a function of one of these.
 *
 * A handler decodes with RQ_DECODE(), does or starts its work, and answers exactly once with RQ_REPLY() (or one of the
 * rq_close/rq_reply_none functions), on the reactor that owns the connection. Memory from rq->arena lives until then. */
#pragma once

#include "base/arena.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "net/server.h"
#include "wire/api.h"
#include "wire/errors.h"

struct handler;
struct meta_image;
struct principal;

struct rq {
        struct net_request net; /* first: net allocates and frees it */
        struct handler *h;
        const struct handler_api *api;
        int16_t version;
        int32_t correlation_id;
        struct str client_id; /* null when not given; borrowed from the frame copy in the arena */
        struct cursor in;     /* what follows the header */
        struct arena arena;
        bool counted;        /* by handler_count_start() */
        bool has_quotas;     /* somebody has some (quota.h) */
        int32_t throttle_ms; /* the client has used too much: it is told, and not read from for so long (KIP-219) */
        int64_t parked_ns;   /* time spent waiting for news that the client asked to wait for; no latency of ours */
        struct principal *principal;   /* who speaks; a reference. NULL: not known yet */
        struct meta_image *image;      /* metadata as of the request's arrival; held until the answer */
        struct image_hold *image_hold; /* what holds it (image.c) */
};

/* A response under construction. */
struct rq_out {
        struct writer w;
        uint8_t *buf;
        size_t size;
};

/* A file range inside a response (see struct wire_records): what writer_ext's ref points to. In the arena. */
struct rq_file {
        int fd;
        int64_t pos;
        size_t len;
        void (*release)(void *arg);
        void *release_arg;
};

/* Parse the rest of the frame into *@ret (of struct @type); when it is malformed the connection is closed, as Kafka
 * does, and the macro gives false: the handler returns at once. */
#define RQ_DECODE(rq, type, ret) rq_decoded((rq), type##_decode((ret), &(rq)->in, (rq)->version, &(rq)->arena))
bool rq_decoded(struct rq *rq, int outcome);

/* Answer with *@msg (of struct @type). @rq is gone afterwards. */
#define RQ_REPLY(rq, type, msg) RQ_REPLY_EXT(rq, type, msg, 0)
/* The same for a message that holds up to @exts_max file ranges. */
#define RQ_REPLY_EXT(rq, type, msg, exts_max) \
        do { \
                const struct type *msg_ = (msg); \
                struct rq_out out_; \
                if ((rq)->throttle_ms) \
                        rq_tell_throttle((rq), (void *)(uintptr_t)msg_, type##_THROTTLE); \
                if (rq_out_begin((rq), type##_size(msg_, (rq)->version), (exts_max), &out_)) { \
                        type##_encode(msg_, &out_.w, (rq)->version); \
                        rq_out_send((rq), &out_); \
                } \
        } while (0)
/* Its throttle_time_ms is at @offset (-1: it has none). */
void rq_tell_throttle(const struct rq *rq, void *msg, ptrdiff_t offset);
bool rq_out_begin(struct rq *rq, size_t size, size_t exts_max, struct rq_out *ret_out);
void rq_out_send(struct rq *rq, struct rq_out *out);

/* For requests that may be parked for long: move what is left of a small frame into the arena and give the frame back,
 * so that it does not take from the memory of those that are being read. Before RQ_DECODE(). False: out of memory. */
bool rq_detach(struct rq *rq);

/* Answer with @piece as it is, without a header: a token of SASL as old clients have it. @rq is gone afterwards. */
void rq_reply_piece(struct rq *rq, const struct net_piece *piece);

/* End the request without an answer (acks=0); or close its connection, for @reason. @rq is gone afterwards. */
void rq_reply_none(struct rq *rq);
void rq_close(struct rq *rq, const char *reason);
/* Out of memory: says so (rate-limited) and closes the connection; the client tries again elsewhere or later. */
void rq_close_nomem(struct rq *rq);

static inline struct loop *rq_loop(const struct rq *rq)
{
        return net_conn_loop(rq->net.conn);
}

/* Text for error_message fields, in the request's arena; null text when memory is out. */
#define RQ_TEXT(rq, ...) rq_text((rq), __VA_ARGS__)
/* Cut to LIMIT_TEXT_LEN: texts quote what the client sent, and the protocol's strings end at 32,767 bytes. */
struct str rq_text(struct rq *rq, const char *fmt, ...) PRINTF_LIKE(2, 3);
