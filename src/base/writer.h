/* Writing into a buffer whose exact size was computed before. Passing the end is a bug in the size computation, so it
 * is asserted, not reported. Bytes that live elsewhere (record data in a file) are left out of the buffer and noted as
 * an external piece at the position where they belong. */
#pragma once

#include "base/bytes.h"
#include "base/macros.h"
#include "base/span.h"

/* Bytes to be sent after buffer position @pos; what @ref means is between the two who exchange it. */
struct writer_ext {
        size_t pos;
        size_t len;
        void *ref;
};

struct writer {
        uint8_t *start;
        uint8_t *at;
        uint8_t *end;
        struct writer_ext *exts; /* may be NULL when the message can hold none */
        size_t exts_count;
        size_t exts_max;
};

static inline struct writer writer_of(void *buf, size_t size)
{
        return (struct writer){ .start = buf, .at = buf, .end = (uint8_t *)buf + size };
}

static inline size_t writer_pos(const struct writer *w)
{
        return (size_t)(w->at - w->start);
}

static inline uint8_t *writer_take(struct writer *w, size_t len)
{
        uint8_t *p = w->at;

        assert(len <= (size_t)(w->end - w->at));
        w->at += len;
        return p;
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
        *writer_take(w, 1) = v;
}

static inline void writer_be16(struct writer *w, uint16_t v)
{
        store_be16(writer_take(w, 2), v);
}

static inline void writer_be32(struct writer *w, uint32_t v)
{
        store_be32(writer_take(w, 4), v);
}

static inline void writer_be64(struct writer *w, uint64_t v)
{
        store_be64(writer_take(w, 8), v);
}

static inline void writer_bytes(struct writer *w, const void *data, size_t len)
{
        if (len)
                memcpy(writer_take(w, len), data, len);
}

static inline void writer_ext(struct writer *w, void *ref, size_t len)
{
        assert(w->exts_count < w->exts_max);
        w->exts[w->exts_count++] = (struct writer_ext){ .pos = writer_pos(w), .len = len, .ref = ref };
}

static inline void writer_uvarlong(struct writer *w, uint64_t v)
{
        while (v >= 0x80) {
                writer_u8(w, (uint8_t)(v | 0x80));
                v >>= 7;
        }
        writer_u8(w, (uint8_t)v);
}

static inline void writer_uvarint(struct writer *w, uint32_t v)
{
        writer_uvarlong(w, v);
}

static inline void writer_varint(struct writer *w, int32_t v)
{
        writer_uvarint(w, (uint32_t)v << 1 ^ (uint32_t)(v >> 31));
}

static inline void writer_varlong(struct writer *w, int64_t v)
{
        writer_uvarlong(w, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

/* Bytes that a number takes. */
static inline size_t uvarlong_size(uint64_t v)
{
        return (70 - (size_t)__builtin_clzll(v | 1)) / 7;
}

static inline size_t uvarint_size(uint32_t v)
{
        return uvarlong_size(v);
}

static inline size_t varint_size(int32_t v)
{
        return uvarint_size((uint32_t)v << 1 ^ (uint32_t)(v >> 31));
}

static inline size_t varlong_size(int64_t v)
{
        return uvarlong_size((uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}
