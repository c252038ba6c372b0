/* Reading the protocol's primitive types. Every length is checked against the bytes that are left before it is used,
 * and every array count against the least that its elements take before memory is taken. */
#include "wire/prim.h"

#include <errno.h>

#define STRING_LEN_MAX INT16_MAX /* the old length prefix is an int16; the compact form is held to the same limit */

int wire_decode(const struct wire_codec *k, void *ret, struct cursor *c, int16_t version, struct arena *a)
{
        struct wire_reader r = { .c = *c, .arena = a, .version = version, .flexible = version >= k->flexible_from };

        if (version < k->version_min || version > k->version_max)
                cursor_fail(&r.c);
        else
                k->read(&r, ret);
        *c = r.c;
        if (r.no_memory)
                return -ENOMEM;
        return cursor_ok(&r.c) ? WIRE_OK : WIRE_E_MALFORMED;
}

bool wire_read_bool(struct wire_reader *r)
{
        return cursor_u8(&r->c) != 0;
}

int8_t wire_read_int8(struct wire_reader *r)
{
        return cursor_s8(&r->c);
}

int16_t wire_read_int16(struct wire_reader *r)
{
        return cursor_be16s(&r->c);
}

uint16_t wire_read_uint16(struct wire_reader *r)
{
        return cursor_be16(&r->c);
}

int32_t wire_read_int32(struct wire_reader *r)
{
        return cursor_be32s(&r->c);
}

uint32_t wire_read_uint32(struct wire_reader *r)
{
        return cursor_be32(&r->c);
}

int64_t wire_read_int64(struct wire_reader *r)
{
        return cursor_be64s(&r->c);
}

double wire_read_float64(struct wire_reader *r)
{
        uint64_t bits = cursor_be64(&r->c);
        double v;

        memcpy(&v, &bits, sizeof v);
        return v;
}

struct uuid wire_read_uuid(struct wire_reader *r)
{
        const uint8_t *p = cursor_take(&r->c, 16);
        struct uuid u = UUID_ZERO;

        if (p)
                memcpy(u.b, p, 16);
        return u;
}

/* The compact form of a length: it is stored plus one, 0 is null. -1 for null. */
static int64_t compact_length(struct wire_reader *r)
{
        return (int64_t)cursor_uvarint(&r->c) - 1;
}

/* @len bytes, borrowed. A negative length is null where that is allowed. Never NULL when the bytes are present. */
static struct span take(struct wire_reader *r, int64_t len, bool nullable, int64_t len_max)
{
        static const uint8_t nothing[1];
        struct span s;

        if (!cursor_ok(&r->c) || (len == -1 && nullable))
                return SPAN_NULL;
        if (len < 0 || len > len_max) {
                cursor_fail(&r->c);
                return SPAN_NULL;
        }
        s = (struct span){ cursor_take(&r->c, (size_t)len), (size_t)len };
        if (!cursor_ok(&r->c))
                return SPAN_NULL;
        if (!s.data)
                s.data = nothing;
        return s;
}

struct str wire_read_plain_string(struct wire_reader *r, bool nullable)
{
        struct span s = take(r, cursor_be16s(&r->c), nullable, STRING_LEN_MAX);

        return (struct str){ (const char *)s.data, s.len };
}

struct str wire_read_string(struct wire_reader *r, bool nullable)
{
        struct span s;

        if (!r->flexible)
                return wire_read_plain_string(r, nullable);
        s = take(r, compact_length(r), nullable, STRING_LEN_MAX);
        return (struct str){ (const char *)s.data, s.len };
}

struct span wire_read_bytes(struct wire_reader *r, bool nullable)
{
        return take(r, r->flexible ? compact_length(r) : cursor_be32s(&r->c), nullable, INT32_MAX);
}

struct wire_records wire_read_records(struct wire_reader *r, bool nullable)
{
        struct span s = wire_read_bytes(r, nullable);

        return (struct wire_records){ .data = s.data, .len = s.len };
}

void *wire_read_structs(struct wire_reader *r, bool nullable, size_t len_min, size_t elem_size, wire_read_fn *fn,
                        int32_t *ret_count)
{
        int64_t count = r->flexible ? compact_length(r) : cursor_be32s(&r->c);
        uint8_t *all;

        *ret_count = 0;
        if (count == -1 && nullable && cursor_ok(&r->c)) {
                *ret_count = -1;
                return NULL;
        }
        count = cursor_array_fits(&r->c, count, len_min);
        if (count == 0)
                return NULL;
        if (count > INT32_MAX) {
                cursor_fail(&r->c);
                return NULL;
        }
        all = arena_alloc_array(r->arena, (size_t)count, elem_size);
        if (!all) {
                r->no_memory = true;
                cursor_fail(&r->c);
                return NULL;
        }
        for (int64_t i = 0; i < count && cursor_ok(&r->c); i++)
                fn(r, all + (size_t)i * elem_size);
        *ret_count = (int32_t)count;
        return all;
}

#define DEFINE_READ_ARRAY(name, type, len_min, expr) \
        static void read_##name(struct wire_reader *r, void *ret) \
        { \
                *(type *)ret = (expr); \
        } \
        type *wire_read_##name##s(struct wire_reader *r, bool nullable, int32_t *ret_count) \
        { \
                return wire_read_structs(r, nullable, (len_min), sizeof(type), read_##name, ret_count); \
        }
DEFINE_READ_ARRAY(int8, int8_t, 1, cursor_s8(&r->c))
DEFINE_READ_ARRAY(int16, int16_t, 2, cursor_be16s(&r->c))
DEFINE_READ_ARRAY(int32, int32_t, 4, cursor_be32s(&r->c))
DEFINE_READ_ARRAY(int64, int64_t, 8, cursor_be64s(&r->c))
DEFINE_READ_ARRAY(uuid, struct uuid, 16, wire_read_uuid(r))
DEFINE_READ_ARRAY(string, struct str, r->flexible ? 1 : 2, wire_read_string(r, false))
DEFINE_READ_ARRAY(bytes, struct span, r->flexible ? 1 : 4, wire_read_bytes(r, false))

void *wire_read_optional(struct wire_reader *r, size_t size, wire_read_fn *fn)
{
        void *m;

        if (cursor_s8(&r->c) < 0 || !cursor_ok(&r->c))
                return NULL;
        m = arena_alloc(r->arena, size);
        if (!m) {
                r->no_memory = true;
                cursor_fail(&r->c);
                return NULL;
        }
        fn(r, m);
        return m;
}

void wire_read_tags(struct wire_reader *r, wire_read_tag_fn *fn, void *ret_struct)
{
        uint32_t count;

        if (!r->flexible)
                return;
        count = cursor_uvarint(&r->c);
        count = cursor_array_fits(&r->c, count, 2);
        for (uint32_t i = 0; i < count && cursor_ok(&r->c); i++) {
                uint32_t tag = cursor_uvarint(&r->c);
                uint32_t len = cursor_uvarint(&r->c);
                const uint8_t *all_end = r->c.end;
                const uint8_t *body = cursor_take(&r->c, len);

                if (!cursor_ok(&r->c))
                        return;
                if (!fn || !body)
                        continue;
                /* The field is read within its own length, and must fill it when it is one that we know. */
                r->c.end = r->c.at;
                r->c.at = body;
                if (fn(r, ret_struct, tag) && r->c.at != r->c.end)
                        cursor_fail(&r->c);
                r->c.at = r->c.end;
                r->c.end = all_end;
        }
}
