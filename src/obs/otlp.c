/* Each message is walked field by field, and the inner ones only where they are wanted. Fields may come in any order, so that what
 * belongs to all points of a message is looked for first. */
#include "obs/otlp.h"

#include <math.h>
#include <string.h>

#include "base/cursor.h"
#include "base/utf8.h"

/* ---- the wire format ---- */

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* A field. What is no number has @bytes. */
struct field {
        uint32_t number;
        enum wire_type type;
        uint64_t bits; /* of VARINT, FIXED64, FIXED32 */
        struct span bytes;
};

static uint64_t varint(struct cursor *c)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t b = cursor_u8(c);

                v |= (uint64_t)(b & 0x7f) << shift;
                if (!(b & 0x80))
                        return v;
        }
        cursor_fail(c); /* longer than ten bytes */
        return 0;
}

static uint64_t little_endian(struct cursor *c, unsigned len)
{
        const uint8_t *p = cursor_take(c, len);
        uint64_t v = 0;

        for (unsigned i = 0; p && i < len; i++)
                v |= (uint64_t)p[i] << 8 * i;
        return v;
}

/* The next field; false at the end, or when what comes is none, which @c latches. */
static bool next_field(struct cursor *c, struct field *ret)
{
        uint64_t key, len;

        if (!cursor_left(c))
                return false;
        key = varint(c);
        *ret = (struct field){ .number = (uint32_t)(key >> 3), .type = (enum wire_type)(key & 7) };
        if (!ret->number || key >> 3 >= 1u << 29)
                cursor_fail(c);
        switch (ret->type) {
        case VARINT:
                ret->bits = varint(c);
                break;
        case FIXED64:
                ret->bits = little_endian(c, 8);
                break;
        case FIXED32:
                ret->bits = little_endian(c, 4);
                break;
        case BYTES:
                len = varint(c);
                ret->bytes.data = cursor_take(c, len > SIZE_MAX ? SIZE_MAX : (size_t)len);
                ret->bytes.len = ret->bytes.data ? (size_t)len : 0;
                break;
        default: /* groups are of protobuf 2 */
                cursor_fail(c);
        }
        return cursor_ok(c);
}

static double as_double(uint64_t bits)
{
        double v;

        memcpy(&v, &bits, sizeof v);
        return v;
}

/* ---- the messages; numbers of fields are those of opentelemetry/proto/metrics/v1 and common/v1 ---- */

enum { METRICS_DATA_RESOURCE = 1 };
enum { RESOURCE_METRICS_RESOURCE = 1, RESOURCE_METRICS_SCOPE = 2 };
enum { RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_METRICS_METRIC = 2 };
enum { METRIC_NAME = 1, METRIC_DESCRIPTION = 2, METRIC_GAUGE = 5, METRIC_SUM = 7 };
enum { GAUGE_POINT = 1, SUM_POINT = 1, SUM_TEMPORALITY = 2, SUM_MONOTONIC = 3 };
enum { POINT_DOUBLE = 4, POINT_INT = 6, POINT_ATTRIBUTES = 7, POINT_FLAGS = 8 };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };
enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4 };
enum { TEMPORALITY_DELTA = 1, FLAG_NO_VALUE = 1 };

struct reader {
        int (*fn)(void *arg, const struct otlp_point *p);
        void *arg;
        struct otlp_point point; /* what is known so far */
};

static struct str text_of(const struct field *f)
{
        return (struct str){ (const char *)f->bytes.data, f->bytes.len };
}

/* Attributes are read when they are wanted; that they can be is found out here. */
static int check_attribute(struct span message)
{
        struct cursor c = cursor_of(message);
        struct field f, inner;

        while (next_field(&c, &f)) {
                struct cursor value = cursor_of(f.bytes);

                if (f.number != KEY_VALUE_VALUE || f.type != BYTES)
                        continue;
                while (next_field(&value, &inner))
                        ;
                if (!cursor_ok(&value))
                        return OTLP_E_MALFORMED;
        }
        return cursor_ok(&c) ? OTLP_OK : OTLP_E_MALFORMED;
}

static int check_resource(struct span message)
{
        struct cursor c = cursor_of(message);
        struct field f;

        while (next_field(&c, &f))
                if (f.number == RESOURCE_ATTRIBUTES && f.type == BYTES && check_attribute(f.bytes))
                        return OTLP_E_MALFORMED;
        return cursor_ok(&c) ? OTLP_OK : OTLP_E_MALFORMED;
}

static int read_point(struct reader *r, struct span message)
{
        struct cursor c = cursor_of(message);
        bool has_value = false;
        uint64_t flags = 0;
        struct field f;

        while (next_field(&c, &f)) {
                if (f.number == POINT_DOUBLE && f.type == FIXED64) {
                        r->point.value = as_double(f.bits);
                        has_value = true;
                } else if (f.number == POINT_INT && f.type == FIXED64) {
                        r->point.value = (double)(int64_t)f.bits;
                        has_value = true;
                } else if (f.number == POINT_FLAGS && f.type == VARINT) {
                        flags = f.bits;
                } else if (f.number == POINT_ATTRIBUTES && f.type == BYTES && check_attribute(f.bytes)) {
                        return OTLP_E_MALFORMED;
                }
        }
        if (!cursor_ok(&c))
                return OTLP_E_MALFORMED;
        if (!has_value || flags & FLAG_NO_VALUE)
                return OTLP_OK;
        r->point.own = (struct otlp_attributes){ message, POINT_ATTRIBUTES };
        return r->fn(r->arg, &r->point);
}

/* The points of a gauge or sum have the same number. */
static int read_points(struct reader *r, struct span message)
{
        struct cursor c = cursor_of(message);
        struct field f;
        int e = OTLP_OK;

        static_assert((int)GAUGE_POINT == (int)SUM_POINT, "one function reads both");
        while (!e && next_field(&c, &f))
                if (f.number == GAUGE_POINT && f.type == BYTES)
                        e = read_point(r, f.bytes);
        return e ? e : cursor_ok(&c) ? OTLP_OK : OTLP_E_MALFORMED;
}

static int read_sum(struct reader *r, struct span message)
{
        struct cursor c = cursor_of(message);
        uint64_t temporality = 0;
        bool monotonic = false;
        struct field f;

        while (next_field(&c, &f)) {
                if (f.number == SUM_TEMPORALITY && f.type == VARINT)
                        temporality = f.bits;
                else if (f.number == SUM_MONOTONIC && f.type == VARINT)
                        monotonic = f.bits != 0;
        }
        r->point.kind = temporality == TEMPORALITY_DELTA ? OTLP_DELTA : monotonic ? OTLP_COUNTER : OTLP_UP_AND_DOWN;
        return cursor_ok(&c) ? read_points(r, message) : OTLP_E_MALFORMED;
}

static int read_metric(struct reader *r, struct span message)
{
        struct cursor c = cursor_of(message);
        struct field f, data = { 0 };

        r->point.name = r->point.description = STR_LIT("");
        while (next_field(&c, &f)) {
                if (f.number == METRIC_NAME && f.type == BYTES)
                        r->point.name = text_of(&f);
                else if (f.number == METRIC_DESCRIPTION && f.type == BYTES)
                        r->point.description = text_of(&f);
                else if ((f.number == METRIC_GAUGE || f.number == METRIC_SUM) && f.type == BYTES)
                        data = f;
        }
        if (!cursor_ok(&c) || !utf8_is_valid(r->point.name) || !utf8_is_valid(r->point.description))
                return OTLP_E_MALFORMED;
        r->point.kind = OTLP_GAUGE;
        return data.number == METRIC_SUM ? read_sum(r, data.bytes) : read_points(r, data.bytes);
}

static int read_scope(struct reader *r, struct span message)
{
        struct cursor c = cursor_of(message);
        struct field f;
        int e = OTLP_OK;

        while (!e && next_field(&c, &f))
                if (f.number == SCOPE_METRICS_METRIC && f.type == BYTES)
                        e = read_metric(r, f.bytes);
        return e ? e : cursor_ok(&c) ? OTLP_OK : OTLP_E_MALFORMED;
}

static int read_resource_metrics(struct reader *r, struct span message)
{
        struct cursor c = cursor_of(message);
        struct field f;
        int e = OTLP_OK;

        r->point.resource = (struct otlp_attributes){ SPAN_NULL, RESOURCE_ATTRIBUTES };
        while (next_field(&c, &f))
                if (f.number == RESOURCE_METRICS_RESOURCE && f.type == BYTES)
                        r->point.resource.message = f.bytes;
        if (!cursor_ok(&c) || check_resource(r->point.resource.message))
                return OTLP_E_MALFORMED;
        c = cursor_of(message);
        while (!e && next_field(&c, &f))
                if (f.number == RESOURCE_METRICS_SCOPE && f.type == BYTES)
                        e = read_scope(r, f.bytes);
        return e;
}

int otlp_read(struct span message, int (*fn)(void *arg, const struct otlp_point *p), void *arg)
{
        struct reader r = { .fn = fn, .arg = arg };
        struct cursor c = cursor_of(message);
        struct field f;
        int e = OTLP_OK;

        while (!e && next_field(&c, &f))
                if (f.number == METRICS_DATA_RESOURCE && f.type == BYTES)
                        e = read_resource_metrics(&r, f.bytes);
        return e ? e : cursor_ok(&c) ? OTLP_OK : OTLP_E_MALFORMED;
}

/* ---- attributes ---- */

static void add_value(struct span any, struct strbuf *value)
{
        struct cursor c = cursor_of(any);
        struct field f;

        while (next_field(&c, &f)) {
                if (f.number == ANY_STRING && f.type == BYTES)
                        strbuf_add(value, f.bytes.data, f.bytes.len);
                else if (f.number == ANY_BOOL && f.type == VARINT)
                        strbuf_add_c(value, f.bits ? "true" : "false");
                else if (f.number == ANY_INT && f.type == VARINT)
                        strbuf_printf(value, "%lld", (long long)f.bits);
                else if (f.number == ANY_DOUBLE && f.type == FIXED64)
                        strbuf_printf(value, "%.9g", as_double(f.bits));
        }
}

static void read_attribute(struct span message, struct str *ret_key, struct strbuf *value)
{
        struct cursor c = cursor_of(message);
        struct field f;

        *ret_key = STR_LIT("");
        while (next_field(&c, &f)) {
                if (f.number == KEY_VALUE_KEY && f.type == BYTES)
                        *ret_key = text_of(&f);
                else if (f.number == KEY_VALUE_VALUE && f.type == BYTES)
                        add_value(f.bytes, value);
        }
}

bool otlp_attribute_next(struct otlp_attributes *rest, struct str *ret_key, struct strbuf *value)
{
        struct cursor c = cursor_of(rest->message);
        struct field f;

        while (next_field(&c, &f)) {
                if (f.number != rest->number || f.type != BYTES)
                        continue;
                rest->message = span_of(c.at, (size_t)(c.end - c.at));
                read_attribute(f.bytes, ret_key, value);
                return true;
        }
        return false;
}
