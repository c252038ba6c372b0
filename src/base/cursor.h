/* Bounds-checked reading of untrusted bytes. A read past the end gives zero and latches the failure, so that a decoder
 * reads a whole struct and asks cursor_ok() once. Pure; the bytes are borrowed. */
#pragma once

#include "base/bytes.h"
#include "base/span.h"

struct cursor {
        const uint8_t *at;
        const uint8_t *end;
        bool failed;
};

static inline struct cursor cursor_of(struct span s)
{
        return (struct cursor){ s.data, s.data + s.len, false };
}

static inline bool cursor_ok(const struct cursor *c)
{
        return !c->failed;
}

/* Bytes left; 0 after a failure. */
static inline size_t cursor_left(const struct cursor *c)
{
        return c->failed ? 0 : (size_t)(c->end - c->at);
}

static inline void cursor_fail(struct cursor *c)
{
        c->failed = true;
}

/* The next @len bytes, or NULL and a latched failure when fewer are left. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t len)
{
        const uint8_t *p = c->at;

        if (c->failed || len > (size_t)(c->end - c->at)) {
                c->failed = true;
                return NULL;
        }
        c->at += len;
        return p;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 1);
        return p ? *p : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 2);
        return p ? load_be16(p) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 4);
        return p ? load_be32(p) : 0;
}

static inline uint64_t cursor_be64(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 8);
        return p ? load_be64(p) : 0;
}

static inline int8_t cursor_s8(struct cursor *c)
{
        return (int8_t)cursor_u8(c);
}

static inline int16_t cursor_be16s(struct cursor *c)
{
        return (int16_t)cursor_be16(c);
}

static inline int32_t cursor_be32s(struct cursor *c)
{
        return (int32_t)cursor_be32(c);
}

static inline int64_t cursor_be64s(struct cursor *c)
{
        return (int64_t)cursor_be64(c);
}

/* Base-128 numbers, least significant group first, at most 5 (10) bytes; more is a failure. Signed ones are zigzag. */
uint32_t cursor_uvarint(struct cursor *c);
uint64_t cursor_uvarlong(struct cursor *c);

static inline int32_t cursor_varint(struct cursor *c)
{
        uint32_t v = cursor_uvarint(c);
        return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

static inline int64_t cursor_varlong(struct cursor *c)
{
        uint64_t v = cursor_uvarlong(c);
        return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Fails unless @count elements of at least @len_min bytes fit into what is left: asked before memory is taken.
 * Negative counts fail too. Return: the count, 0 after a failure. */
static inline uint32_t cursor_array_fits(struct cursor *c, int64_t count, size_t len_min)
{
        size_t left = cursor_left(c);

        if (c->failed || count < 0 || (uint64_t)count > (len_min ? left / len_min : left)) {
                c->failed = true;
                return 0;
        }
        return (uint32_t)count;
}
