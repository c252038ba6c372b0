/* The load generator of `make bench`: one thread, one epoll, requests made with the project's own codecs. It speaks in
 * versions that every broker of the comparison has, names topics by name, and asks for no metadata: one node, one
 * address. It is a program for measuring: what goes wrong ends it with a message and status 1, so that no figure comes
 * of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "wire/api.h"
#include "wire/batch_records.h"
#include "wire/messages.h"

enum {
        PRODUCE_VERSION = 11, /* the last one that names topics and says nothing about transactions */
        FETCH_VERSION = 12,   /* the last one that names topics */
        CREATE_TOPICS_VERSION = 5,
        DELETE_TOPICS_VERSION = 4,
        API_VERSIONS_VERSION = 3,
        EVENTS_MAX = 256,
        RECORD_STAMP_LEN = 8, /* a record's value begins with the time at which it was due, in ns */
};

struct options {
        const char *host, *topic;
        const char *configs[16]; /* NAME=VALUE, for create */
        int configs_count;
        int port;
        int partitions;
        int connections;
        int in_flight; /* requests of one connection that are not answered yet */
        int acks;
        enum codec codec;
        size_t batch_bytes, record_bytes; /* before compression */
        double seconds;                   /* 0: no limit of time */
        int64_t bytes_max;                /* stop sending after so many; 0: any */
        int64_t batches_max;              /* likewise */
        double rate;                      /* e2e: batches a second; produce: bytes a second, 0: as fast as it goes */
        int groups, members;              /* groups: how many, and of each */
        int64_t expect_records;           /* consume: a pass must give exactly so many; -1: any */
};

void die(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
void *must_alloc(size_t count, size_t size);
int64_t now_ns(void);

/* ---- samples.c: durations, kept one by one so that quantiles are exact ---- */

struct samples {
        uint32_t *us;
        size_t count, size;
        bool sorted;
};

void samples_add(struct samples *s, int64_t duration_ns);
double samples_quantile_ms(struct samples *s, double quantile); /* 0 when empty */
void samples_fini(struct samples *s);

/* ---- conn.c ---- */

struct frame {
        uint8_t *data;
        size_t len, size;
        struct writer_ext ext; /* of the one external piece, when there is one */
};

/* Start a request: length, header, and room for @body_len bytes, which the returned writer wants next.
 * @ext_len: bytes that will be sent from elsewhere. */
struct writer frame_begin(struct frame *f, int16_t key, int16_t version, int32_t correlation_id, size_t body_len,
                          size_t ext_len);

#define FRAME_PUT(f, key, version, correlation_id, ext_len, name, m) \
        do { \
                struct writer put_w = \
                        frame_begin((f), (key), (version), (correlation_id), name##_size((m), (version)), (ext_len)); \
                name##_encode((m), &put_w, (version)); \
        } while (0)

struct conn {
        int fd, index;
        int epoll_fd; /* -1: blocking */
        bool wants_write;
        struct iovec *out; /* queue of borrowed pieces */
        size_t out_at, out_count, out_size;
        uint8_t *in;
        size_t in_at, in_len, in_size;
};

/* Connect. @epoll_fd: -1 for a blocking connection, otherwise it is registered there with @c as its data. */
void conn_open(struct conn *c, const struct options *o, int index, int epoll_fd);
void conn_close(struct conn *c);
/* Queue @len bytes, borrowed until they are gone; then conn_flush() sends what the socket takes. */
void conn_put(struct conn *c, const void *data, size_t len);
void conn_flush(struct conn *c);
/* Read what there is; blocks on a blocking connection. */
void conn_read(struct conn *c);
/* The next whole answer, without its length, borrowed until the next conn_read(); false when there is none yet. */
bool conn_next(struct conn *c, struct span *ret_frame);
/* One request, one answer, on a blocking connection. */
struct span conn_ask(struct conn *c, const struct frame *f);

/* Take an answer's header off; the rest is left in @c. */
int32_t answer_begin(struct span frame, bool flexible, struct cursor *c);

/* Send @f when the sockets of @epoll_fd have room, read what came, and give each connection that has something to @fn.
 * @timeout_ns: the longest wait. */
typedef void load_answer_fn(void *owner, struct conn *c, struct span frame);
void load_turn(int epoll_fd, int64_t timeout_ns, load_answer_fn *fn, void *owner);

/* ---- batches ---- */

/* A batch of about @batch_bytes with records of @record_bytes each; its first record carries @stamp_ns. */
struct span batch_make(const struct options *o, int64_t stamp_ns, struct strbuf *out);
int batch_records_per(const struct options *o);

/* The partitions of one fetch, encoded. */
struct fetch_part {
        int32_t index;
        int64_t next_offset, high_watermark;
        int64_t records, bytes; /* of this pass */
};
void fetch_put(struct frame *f, const struct options *o, const struct fetch_part *parts, int count, int wait_ms,
               struct arena *a);

/* ---- the commands; each prints one line of JSON ---- */

void load_create(const struct options *o);
void load_delete(const struct options *o);
void load_idle(const struct options *o);
void load_produce(const struct options *o);
void load_consume(const struct options *o);
void load_e2e(const struct options *o);
void load_groups(const struct options *o); /* one line for each of its three phases */
