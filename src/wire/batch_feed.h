/* The decompressed records of one batch as a run of bytes that is refilled: over the batch itself when it is not
 * compressed, over a window of a decoder when it is. And the walk over records that looks at numbers only and skips
 * keys, values and header contents, so that the window need not grow with the records.
 * Shared by batch_check.c and batch_records.c; nobody else includes it. */
#pragma once

#include "base/cursor.h"
#include "wire/batch.h"

struct batch_feed {
        const uint8_t *at; /* what is there and not yet used: at..end */
        const uint8_t *end;
        struct codec_stream *stream; /* NULL: no more than what is there */
        uint64_t given;              /* bytes that were ever there */
        bool drained;                /* the stream has ended and was good */
        const char *why;             /* after an outcome */
};

/* Start at the first record. @batch must be whole and stay until close. @inflated_len_max 0: batch_inflated_len_max().
 * Return: 0; BATCH_E_CODEC, BATCH_E_INVALID, -ENOMEM; nothing is to be closed then. */
int batch_feed_open(struct batch_feed *f, struct span batch, const struct batch_header *h, uint64_t inflated_len_max);
void batch_feed_close(struct batch_feed *f);

/* Read on until @want bytes are there in a row, or all there are. What was there may move.
 * Return: 0 also when the end makes it fewer; BATCH_E_INVALID, BATCH_E_TOO_LARGE, -ENOMEM. */
int batch_feed_fill(struct batch_feed *f, size_t want);

static inline size_t batch_feed_left(const struct batch_feed *f)
{
        return (size_t)(f->end - f->at);
}

static inline int batch_feed_need(struct batch_feed *f, size_t want)
{
        return likely(batch_feed_left(f) >= want) || !f->stream || f->drained ? 0 : batch_feed_fill(f, want);
}

static inline int batch_feed_fail(struct batch_feed *f, const char *why)
{
        f->why = why;
        return BATCH_E_INVALID;
}

/* After the last record: is nothing left? Return: 0; BATCH_E_INVALID and as batch_feed_fill(). */
int batch_feed_end(struct batch_feed *f);

/* What the walk tells of a record. */
struct batch_walk_record {
        int64_t timestamp_delta;
        int32_t offset_delta;
        bool key_is_null;
};

/* Step over one record, checking everything about its form. Return: 0; BATCH_E_INVALID, BATCH_E_TOO_LARGE, -ENOMEM. */
int batch_walk_next(struct batch_feed *f, struct batch_walk_record *ret);

/* Numbers are short in practice: one and two bytes are taken here, longer ones by the cursor. */
static inline bool batch_short_number(struct cursor *c, int32_t *ret_value)
{
        uint32_t v;

        if (unlikely(c->failed || c->end - c->at < 2))
                return false;
        v = c->at[0];
        if (v >= 0x80) {
                if (c->at[1] >= 0x80)
                        return false;
                v = (v & 0x7f) | (uint32_t)c->at[1] << 7;
                c->at++;
        }
        c->at++;
        *ret_value = (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
        return true;
}

static inline int32_t batch_varint(struct cursor *c)
{
        int32_t v;

        return likely(batch_short_number(c, &v)) ? v : cursor_varint(c);
}

static inline int64_t batch_varlong(struct cursor *c)
{
        int32_t v;

        return likely(batch_short_number(c, &v)) ? v : cursor_varlong(c);
}

/* Timestamp of a record. Sums wrap as they do in every client; batch_check() refuses those that would. */
static inline int64_t batch_record_time(const struct batch_header *h, int64_t delta)
{
        return batch_is_log_append_time(h) ? h->max_timestamp
                                           : (int64_t)((uint64_t)h->base_timestamp + (uint64_t)delta);
}
