/* Writing the protocol's primitive types: the same code counts (no writer) and writes, so the two cannot disagree. */
#include "wire/prim.h"

#define STRING_LEN_MAX INT16_MAX

static void wire_put(const struct wire_codec *k, const void *m, struct wire_out *o, int16_t version)
{
        assert(version >= k->version_min);
        assert(version <= k->version_max);
        o->version = version;
        o->flexible = version >= k->flexible_from;
        k->put(o, m);
}

size_t wire_size(const struct wire_codec *k, const void *m, int16_t version)
{
        struct wire_out o = { .w = NULL };

        wire_put(k, m, &o, version);
        return o.size;
}

void wire_encode(const struct wire_codec *k, const void *m, struct writer *w, int16_t version)
{
        struct wire_out o = { .w = w };

        wire_put(k, m, &o, version);
}

/* Room for @len bytes, or NULL when only counting. */
static uint8_t *room(struct wire_out *o, size_t len)
{
        o->size += len;
        return o->w ? writer_take(o->w, len) : NULL;
}

static void put_raw(struct wire_out *o, const void *data, size_t len)
{
        uint8_t *p;

        if (!len)
                return;
        p = room(o, len);
        if (p)
                memcpy(p, data, len);
}

static void put_uvarint(struct wire_out *o, uint32_t v)
{
        o->size += uvarint_size(v);
        if (o->w)
                writer_uvarint(o->w, v);
}

void wire_put_bool(struct wire_out *o, bool v)
{
        wire_put_int8(o, v);
}

void wire_put_int8(struct wire_out *o, int8_t v)
{
        uint8_t *p = room(o, 1);

        if (p)
                *p = (uint8_t)v;
}

void wire_put_uint16(struct wire_out *o, uint16_t v)
{
        uint8_t *p = room(o, 2);

        if (p)
                store_be16(p, v);
}

void wire_put_uint32(struct wire_out *o, uint32_t v)
{
        uint8_t *p = room(o, 4);

        if (p)
                store_be32(p, v);
}

static void put_uint64(struct wire_out *o, uint64_t v)
{
        uint8_t *p = room(o, 8);

        if (p)
                store_be64(p, v);
}

void wire_put_int16(struct wire_out *o, int16_t v)
{
        wire_put_uint16(o, (uint16_t)v);
}

void wire_put_int32(struct wire_out *o, int32_t v)
{
        wire_put_uint32(o, (uint32_t)v);
}

void wire_put_int64(struct wire_out *o, int64_t v)
{
        put_uint64(o, (uint64_t)v);
}

void wire_put_float64(struct wire_out *o, double v)
{
        uint64_t bits;

        memcpy(&bits, &v, sizeof bits);
        put_uint64(o, bits);
}

void wire_put_uuid(struct wire_out *o, struct uuid v)
{
        put_raw(o, v.b, 16);
}

void wire_put_plain_string(struct wire_out *o, struct str v, bool nullable)
{
        assert(v.len <= STRING_LEN_MAX);
        wire_put_int16(o, !v.p && nullable ? -1 : (int16_t)v.len);
        put_raw(o, v.p, v.p ? v.len : 0);
}

void wire_put_string(struct wire_out *o, struct str v, bool nullable)
{
        if (!o->flexible) {
                wire_put_plain_string(o, v, nullable);
                return;
        }
        assert(v.len <= STRING_LEN_MAX);
        put_uvarint(o, !v.p && nullable ? 0 : (uint32_t)v.len + 1);
        put_raw(o, v.p, v.len);
}

/* The length or count in front of bytes and arrays; -1 is null. */
static void put_length(struct wire_out *o, int64_t len)
{
        assert(len <= INT32_MAX);
        if (o->flexible)
                put_uvarint(o, (uint32_t)(len + 1));
        else
                wire_put_int32(o, (int32_t)len);
}

void wire_put_bytes(struct wire_out *o, struct span v, bool nullable)
{
        put_length(o, !v.data && nullable ? -1 : (int64_t)v.len);
        put_raw(o, v.data, v.len);
}

void wire_put_records(struct wire_out *o, const struct wire_records *v, bool nullable)
{
        if (!v->ext) {
                wire_put_bytes(o, (struct span){ v->data, v->len }, nullable);
                return;
        }
        put_length(o, (int64_t)v->len);
        if (o->w && v->len)
                writer_ext(o->w, v->ext, v->len);
}

void wire_put_structs(struct wire_out *o, const void *v, int32_t count, bool nullable, size_t elem_size,
                      wire_put_fn *fn)
{
        const uint8_t *at = v;

        assert(count >= -1);
        if (count < 0 && !nullable)
                count = 0;
        put_length(o, count);
        for (int32_t i = 0; i < count; i++)
                fn(o, at + (size_t)i * elem_size);
}

#define DEFINE_PUT_ARRAY(name, type, ...) \
        static void put_##name(struct wire_out *o, const void *v) \
        { \
                wire_put_##name(o, *(const type *)v __VA_ARGS__); \
        } \
        void wire_put_##name##s(struct wire_out *o, const type *v, int32_t count, bool nullable) \
        { \
                wire_put_structs(o, v, count, nullable, sizeof *v, put_##name); \
        }
DEFINE_PUT_ARRAY(int8, int8_t)
DEFINE_PUT_ARRAY(int16, int16_t)
DEFINE_PUT_ARRAY(int32, int32_t)
DEFINE_PUT_ARRAY(int64, int64_t)
DEFINE_PUT_ARRAY(uuid, struct uuid)
DEFINE_PUT_ARRAY(string, struct str, , false)
DEFINE_PUT_ARRAY(bytes, struct span, , false)

void wire_put_optional(struct wire_out *o, const void *m, wire_put_fn *fn)
{
        wire_put_int8(o, m ? 1 : -1);
        if (m)
                fn(o, m);
}

void wire_put_tag_count(struct wire_out *o, uint32_t count)
{
        if (o->flexible)
                put_uvarint(o, count);
}

void wire_put_tag(struct wire_out *o, uint32_t tag, wire_put_tag_fn *fn, const void *m)
{
        struct wire_out count = { .w = NULL, .version = o->version, .flexible = o->flexible };

        fn(&count, m, tag);
        put_uvarint(o, tag);
        put_uvarint(o, (uint32_t)count.size);
        fn(o, m, tag);
}
