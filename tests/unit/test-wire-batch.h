/* Batches made by hand for tests: every field can be wrong. Not the builder of wire/, so that one checks the other. */
#pragma once

#include <stdio.h>

#include "base/crc32c.h"
#include "base/strbuf.h"
#include "base/writer.h"
#include "wire/batch.h"

#define MAKE_NOW 1700000000000 /* ms; the base timestamp of every batch made */

static inline void make_varlong(struct strbuf *b, int64_t v)
{
        uint8_t buf[10];
        struct writer w = writer_of(buf, sizeof buf);

        writer_varlong(&w, v);
        strbuf_add(b, buf, writer_pos(&w));
}

static inline void make_sized(struct strbuf *b, const char *text)
{
        make_varlong(b, text ? (int64_t)strlen(text) : -1);
        if (text)
                strbuf_add_c(b, text);
}

/* A length and that many bytes. */
static inline void make_body(struct strbuf *out, const struct strbuf *body)
{
        make_varlong(out, (int64_t)body->len);
        strbuf_add(out, body->data, body->len);
}

static inline void make_record_start(struct strbuf *body, int64_t timestamp_delta, int32_t offset_delta)
{
        strbuf_add(body, "", 1);
        make_varlong(body, timestamp_delta);
        make_varlong(body, offset_delta);
}

/* A record with one header "h"="v" when @header. */
static inline void make_record(struct strbuf *out, int32_t offset_delta, int64_t timestamp_delta, const char *key,
                               const char *value, bool header)
{
        struct strbuf body = { 0 };

        make_record_start(&body, timestamp_delta, offset_delta);
        make_sized(&body, key);
        make_sized(&body, value);
        make_varlong(&body, header);
        if (header) {
                make_sized(&body, "h");
                make_sized(&body, "v");
        }
        make_body(out, &body);
        strbuf_fini(&body);
}

/* A batch around @records (as they are, the codec is only a number here). @count records. */
static inline void make_batch(struct strbuf *out, uint16_t attributes, int32_t count, const struct strbuf *records)
{
        uint8_t h[BATCH_HEADER_LEN];
        struct writer w = writer_of(h, sizeof h);
        size_t at = out->len;

        writer_be64(&w, 0);
        writer_be32(&w, (uint32_t)(BATCH_HEADER_LEN - BATCH_PREFIX_LEN + records->len));
        writer_be32(&w, (uint32_t)-1);
        writer_u8(&w, 2);
        writer_be32(&w, 0);
        writer_be16(&w, attributes);
        writer_be32(&w, (uint32_t)(count - 1));
        writer_be64(&w, MAKE_NOW);
        writer_be64(&w, MAKE_NOW);
        writer_be64(&w, (uint64_t)-1);
        writer_be16(&w, (uint16_t)-1);
        writer_be32(&w, (uint32_t)-1);
        writer_be32(&w, (uint32_t)count);
        strbuf_add(out, h, sizeof h);
        strbuf_add(out, records->data, records->len);
        store_be32(out->data + at + BATCH_CRC_AT,
                   crc32c_portable(0, out->data + at + BATCH_ATTRIBUTES_AT, out->len - at - BATCH_ATTRIBUTES_AT));
}

/* After a field of the single batch in @b was changed. */
static inline void make_crc(struct strbuf *b)
{
        store_be32(b->data + BATCH_CRC_AT,
                   crc32c_portable(0, b->data + BATCH_ATTRIBUTES_AT, b->len - BATCH_ATTRIBUTES_AT));
}

/* @count records k<i>=v<i>, one ms apart. */
static inline void make_plain(struct strbuf *out, int32_t count)
{
        struct strbuf records = { 0 };
        char key[16], value[16];

        for (int32_t i = 0; i < count; i++) {
                snprintf(key, sizeof key, "k%d", (int)i);
                snprintf(value, sizeof value, "v%d", (int)i);
                make_record(&records, i, i, key, value, i & 1);
        }
        make_batch(out, 0, count, &records);
        strbuf_fini(&records);
}

static inline struct span made(const struct strbuf *b)
{
        return span_of(b->data, b->len);
}
