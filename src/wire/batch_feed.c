/* Refilling and walking. A record is
 *   varint length of the rest | u8 attributes | varlong timestamp delta | varint offset delta
 *   | varint key length (-1: null), key | varint value length (-1: null), value
 *   | varint header count | per header: varint key length, key, varint value length (-1: null), value
 * and a batch holds nothing but records (KIP-98, "Message Format"). */
#include "wire/batch_feed.h"

#include "base/err.h"

enum {
        WINDOW_LEN = 64 * 1024, /* a block of lz4 as Java and librdkafka write it; stays in the second-level cache */
        VARINT_LEN_MAX = 5,
        VARLONG_LEN_MAX = 10,
        /* length, attributes, timestamp delta, offset delta, key length */
        START_LEN_MAX = VARINT_LEN_MAX + 1 + VARLONG_LEN_MAX + VARINT_LEN_MAX + VARINT_LEN_MAX,
        HEADER_LEN_MIN = 2, /* an empty key and a null value */
};

static const char text_short[] = "a record runs past the end of the batch";
static const char text_number[] = "a number in a record is malformed";
static const char text_length[] = "a record's length does not match its contents";

static int feed_fold(struct batch_feed *f, int r)
{
        if (r < 0)
                return err_trace(r);
        if (r == CODEC_E_UNKNOWN) {
                f->why = "there is no codec of that number";
                return BATCH_E_CODEC;
        }
        if (r == CODEC_E_TOO_LARGE) {
                f->why = "the records decompress to more than is allowed";
                return BATCH_E_TOO_LARGE;
        }
        return batch_feed_fail(f, "the compressed records are malformed or cut short");
}

int batch_feed_open(struct batch_feed *f, struct span batch, const struct batch_header *h, uint64_t inflated_len_max)
{
        struct span in;
        int r;

        assert(batch.len == batch_len(h));
        in = span_of(batch.data + BATCH_HEADER_LEN, batch.len - BATCH_HEADER_LEN);
        *f = (struct batch_feed){ 0 };
        if (batch_codec(h) == CODEC_NONE) {
                f->at = in.data;
                f->end = in.data + in.len;
                f->given = in.len;
                return 0;
        }
        if (h->records_count == 0 && in.len == 0)
                return 0; /* compaction leaves such batches, whatever their codec */
        r = codec_stream_open(batch_codec(h), in,
                              inflated_len_max ? inflated_len_max : batch_inflated_len_max(batch.len), &f->stream);
        return r ? feed_fold(f, r) : 0;
}

void batch_feed_close(struct batch_feed *f)
{
        f->stream = codec_stream_close(f->stream);
        f->at = f->end = NULL;
}

int batch_feed_fill(struct batch_feed *f, size_t want)
{
        size_t have = batch_feed_left(f), size = 0, len;
        uint8_t *buf = codec_stream_buffer(f->stream, WINDOW_LEN, &size);

        if (!buf)
                return -ENOMEM;
        if (have)
                memmove(buf, f->at, have);
        while (have < want && !f->drained) {
                int r;

                if (have == size) { /* by doubling: what a length claims is believed only as far as bytes come */
                        buf = codec_stream_buffer(f->stream, MIN2(size * 2, want), &size);
                        if (!buf)
                                return -ENOMEM;
                }
                r = codec_stream_read(f->stream, buf + have, size - have, &len);
                if (r)
                        return feed_fold(f, r);
                f->drained = len < size - have;
                f->given += len;
                have += len;
        }
        f->at = buf;
        f->end = buf + have;
        return 0;
}

int batch_feed_end(struct batch_feed *f)
{
        int r = batch_feed_need(f, 1);

        if (r)
                return r;
        return batch_feed_left(f) ? batch_feed_fail(f, "bytes are left after the last record") : 0;
}

/* Step over @len bytes, which may reach over several windows. */
static int feed_skip(struct batch_feed *f, size_t len)
{
        while (len > batch_feed_left(f)) {
                int r;

                len -= batch_feed_left(f);
                f->at = f->end;
                r = batch_feed_need(f, 1);
                if (r)
                        return r;
                if (batch_feed_left(f) == 0)
                        return batch_feed_fail(f, text_short);
        }
        f->at += len;
        return 0;
}

/* A number inside a record of which @left bytes remain. */
static int walk_varint(struct batch_feed *f, int64_t *left, int32_t *ret_value)
{
        struct cursor c;
        int r = batch_feed_need(f, VARINT_LEN_MAX);

        if (r)
                return r;
        c = (struct cursor){ f->at, f->end, false };
        *ret_value = batch_varint(&c);
        if (!cursor_ok(&c))
                return batch_feed_fail(f, text_number);
        *left -= c.at - f->at;
        f->at = c.at;
        return *left < 0 ? batch_feed_fail(f, text_length) : 0;
}

/* Bytes with a length of at least @len_min before them: -1 where null is allowed, else 0. */
static int walk_bytes(struct batch_feed *f, int64_t *left, int32_t len, int32_t len_min)
{
        if (len < len_min)
                return batch_feed_fail(f, "a key, value or header has a negative length");
        if (len > *left)
                return batch_feed_fail(f, text_length);
        if (len <= 0)
                return 0;
        *left -= len;
        return feed_skip(f, (size_t)len);
}

static int walk_sized(struct batch_feed *f, int64_t *left, int32_t len_min)
{
        int32_t len = 0;
        int r = walk_varint(f, left, &len);

        return r ? r : walk_bytes(f, left, len, len_min);
}

static int walk_headers(struct batch_feed *f, int64_t *left)
{
        int32_t count = 0;
        int r = walk_varint(f, left, &count);

        if (r)
                return r;
        if (count < 0 || count > *left / HEADER_LEN_MIN)
                return batch_feed_fail(f, "a record's header count is impossible");
        for (; count > 0 && !r; count--) {
                r = walk_sized(f, left, 0);
                if (!r)
                        r = walk_sized(f, left, -1);
        }
        return r;
}

static int walk_carefully(struct batch_feed *f, struct batch_walk_record *ret)
{
        struct cursor c;
        const uint8_t *body;
        int64_t left;
        int32_t key_len;
        int r = batch_feed_need(f, START_LEN_MAX);

        if (r)
                return r;
        c = (struct cursor){ f->at, f->end, false };
        left = batch_varint(&c);
        body = c.at;
        (void)cursor_u8(&c); /* attributes of records are not used */
        ret->timestamp_delta = batch_varlong(&c);
        ret->offset_delta = batch_varint(&c);
        key_len = batch_varint(&c);
        if (!cursor_ok(&c))
                return batch_feed_fail(f, batch_feed_left(f) < START_LEN_MAX ? text_short : text_number);
        left -= c.at - body;
        f->at = c.at;
        if (left < 0)
                return batch_feed_fail(f, text_length);
        ret->key_is_null = key_len < 0;
        r = walk_bytes(f, &left, key_len, -1);
        if (!r)
                r = walk_sized(f, &left, -1);
        if (!r)
                r = walk_headers(f, &left);
        if (r)
                return r;
        return left ? batch_feed_fail(f, text_length) : 0;
}

/* A number of at most three bytes, of which more can be read. False: it is longer. */
static inline bool plain_varint(const uint8_t **p, int32_t *ret)
{
        const uint8_t *at = *p;
        uint32_t v = at[0] & 0x7f;

        *p = at + 1;
        if (at[0] & 0x80) {
                v |= (uint32_t)(at[1] & 0x7f) << 7;
                *p = at + 2;
                if (at[1] & 0x80) {
                        v |= (uint32_t)at[2] << 14;
                        *p = at + 3;
                        if (at[2] & 0x80)
                                return false;
                }
        }
        *ret = (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
        return true;
}

/* Step over a length and as many bytes; -1 is null. */
static inline bool plain_bytes(const uint8_t **p, const uint8_t *end, int32_t *ret_len)
{
        if (*p >= end || !plain_varint(p, ret_len) || *ret_len < -1 || *ret_len > end - *p)
                return false;
        *p += MAX2(*ret_len, 0);
        return true;
}

/* What most records are: whole in the window with more behind it, short numbers, no headers. It accepts nothing that the
 * careful way refuses, and where it has a doubt it says false and has done nothing. */
static bool walk_plain(struct batch_feed *f, struct batch_walk_record *ret)
{
        const uint8_t *p = f->at, *end;
        int32_t len, time, offset, key_len, value_len;

        if (batch_feed_left(f) < START_LEN_MAX || !plain_varint(&p, &len) || len < 0 ||
            (size_t)len + START_LEN_MAX > (size_t)(f->end - p))
                return false;
        end = p + len;
        p++; /* attributes of records are not used */
        if (!plain_varint(&p, &time) || !plain_varint(&p, &offset) || !plain_bytes(&p, end, &key_len) ||
            !plain_bytes(&p, end, &value_len) || p + 1 != end || *p)
                return false;
        *ret = (struct batch_walk_record){ .timestamp_delta = time,
                                           .offset_delta = offset,
                                           .key_is_null = key_len < 0 };
        f->at = end;
        return true;
}

int batch_walk_next(struct batch_feed *f, struct batch_walk_record *ret)
{
        return walk_plain(f, ret) ? 0 : walk_carefully(f, ret);
}
