/* Goal: metrics of clients are read as the proto files of OpenTelemetry say, whatever the order of fields; what is cut, or no protobuf,
 * is refused. Method: messages that are built here, byte by byte; each point is noted as text. */
#include <math.h>
#include <stdio.h>

#include "obs/otlp.h"
#include "unit.h"

/* ---- building ---- */

struct message {
        uint8_t bytes[2048];
        size_t len;
};

static void put_varint(struct message *m, uint64_t v)
{
        for (; v > 0x7f; v >>= 7)
                m->bytes[m->len++] = (uint8_t)v | 0x80;
        m->bytes[m->len++] = (uint8_t)v;
}

static void put_number(struct message *m, unsigned field, uint64_t v)
{
        put_varint(m, field << 3);
        put_varint(m, v);
}

static void put_fixed64(struct message *m, unsigned field, uint64_t v)
{
        put_varint(m, field << 3 | 1);
        for (int i = 0; i < 8; i++)
                m->bytes[m->len++] = (uint8_t)(v >> 8 * i);
}

static void put_double(struct message *m, unsigned field, double v)
{
        uint64_t bits;

        memcpy(&bits, &v, sizeof bits);
        put_fixed64(m, field, bits);
}

static void put_bytes(struct message *m, unsigned field, const void *data, size_t len)
{
        put_varint(m, field << 3 | 2);
        put_varint(m, len);
        memcpy(m->bytes + m->len, data, len);
        m->len += len;
}

static void put_text(struct message *m, unsigned field, const char *text)
{
        put_bytes(m, field, text, strlen(text));
}

static void put(struct message *m, unsigned field, const struct message *inner)
{
        put_bytes(m, field, inner->bytes, inner->len);
}

static struct message attribute(const char *key, const char *text)
{
        struct message any = { 0 }, m = { 0 };

        put_text(&any, 1, text);
        put_text(&m, 1, key);
        put(&m, 2, &any);
        return m;
}

/* @data: a gauge (field 5) or sum (7) of a metric of this name, as a whole message from one resource. */
static struct message metrics(const char *name, unsigned field, const struct message *data, bool name_last)
{
        struct message metric = { 0 }, scope = { 0 }, resource = { 0 }, one = { 0 }, m = { 0 };
        struct message who = attribute("who", "me");

        if (!name_last)
                put_text(&metric, 1, name);
        put(&metric, field, data);
        if (name_last)
                put_text(&metric, 1, name);
        put(&scope, 2, &metric);
        put(&resource, 1, &who);
        put(&one, 2, &scope);
        put(&one, 1, &resource);
        put(&m, 1, &one);
        return m;
}

/* ---- reading ---- */

static char trace[2048];

static void note_attributes(struct otlp_attributes a)
{
        struct str key;

        for (;;) {
                CLEANUP(strbuf_finip) struct strbuf value = { 0 };

                if (!otlp_attribute_next(&a, &key, &value))
                        return;
                snprintf(trace + strlen(trace), sizeof trace - strlen(trace), " %.*s=%s", STR_FMT(key),
                         value.data ? value.data : "");
        }
}

static int note(void *arg, const struct otlp_point *p)
{
        static const char *const kinds[] = { "gauge", "counter", "delta", "up-and-down" };

        snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "%.*s %s %g", STR_FMT(p->name), kinds[p->kind],
                 p->value);
        note_attributes(p->own);
        strcat(trace, " |");
        note_attributes(p->resource);
        strcat(trace, "\n");
        return *(int *)arg;
}

static int read_all(const struct message *m, int answer)
{
        trace[0] = '\0';
        return otlp_read(span_of(m->bytes, m->len), note, &answer);
}

#define EXPECT(m, text) \
        do { \
                CU_ASSERT_EQUAL(read_all(m, 0), 0); \
                CU_ASSERT_STRING_EQUAL(trace, text); \
        } while (0)

static void test_gauge(void)
{
        struct message point = { 0 }, data = { 0 }, m, topic = attribute("topic", "t"), other = attribute("", "");

        put_fixed64(&point, 3, 1);
        put(&point, 7, &topic);
        put_double(&point, 4, 1.5);
        put(&point, 7, &other);
        put(&data, 1, &point);
        put(&data, 1, &point);
        m = metrics("a.b", 5, &data, false);
        EXPECT(&m, "a.b gauge 1.5 topic=t = | who=me\na.b gauge 1.5 topic=t = | who=me\n");
}

static void test_sums(void)
{
        static const struct {
                uint64_t temporality, monotonic;
                const char *text;
        } rows[] = { { 2, 1, "s counter -3 | who=me\n" },
                     { 1, 1, "s delta -3 | who=me\n" },
                     { 2, 0, "s up-and-down -3 | who=me\n" } };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct message point = { 0 }, data = { 0 }, m;

                put_fixed64(&point, 6, (uint64_t)-3);
                put(&data, 1, &point);
                put_number(&data, 2, rows[i].temporality); /* behind the points, and they have it all the same */
                put_number(&data, 3, rows[i].monotonic);
                m = metrics("s", 7, &data, true);
                EXPECT(&m, rows[i].text);
        }
}

static void test_values_of_attributes(void)
{
        struct message number = { 0 }, yes = { 0 }, real = { 0 }, list = { 0 }, point = { 0 }, data = { 0 }, m;
        const struct message *values[] = { &number, &yes, &real, &list };

        put_number(&number, 3, (uint64_t)-7);
        put_number(&yes, 2, 1);
        put_double(&real, 4, 0.25);
        put_text(&list, 5, "");
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
                struct message kv = { 0 };

                put(&kv, 2, values[i]);
                put_text(&kv, 1, "k");
                put(&point, 7, &kv);
        }
        put_double(&point, 4, 1);
        put(&data, 1, &point);
        m = metrics("a", 5, &data, false);
        EXPECT(&m, "a gauge 1 k=-7 k=true k=0.25 k= | who=me\n");
}

/* Nothing, a point without a value, kinds that are not for us, and unknown fields of every type. */
static void test_skipped(void)
{
        struct message point = { 0 }, data = { 0 }, m = { 0 };

        EXPECT(&m, "");
        put_double(&point, 4, 1);
        put_number(&point, 8, 1); /* no recorded value */
        put(&data, 1, &point);
        m = metrics("a", 5, &data, false);
        EXPECT(&m, "");
        m = metrics("a", 9, &data, false); /* a histogram */
        EXPECT(&m, "");
        put_number(&m, 99, UINT64_MAX);
        put_fixed64(&m, 98, 1);
        put_text(&m, 97, "x");
        put_varint(&m, 96 << 3 | 5);
        m.len += 4;
        EXPECT(&m, "");
}

static void test_stops(void)
{
        struct message point = { 0 }, data = { 0 }, m;

        put_double(&point, 4, 1);
        put(&data, 1, &point);
        put(&data, 1, &point);
        m = metrics("a", 5, &data, false);
        CU_ASSERT_EQUAL(read_all(&m, 77), 77);
        CU_ASSERT_STRING_EQUAL(trace, "a gauge 1 | who=me\n");
}

/* Cut anywhere but at its end, a message is refused. */
static void test_cut(void)
{
        struct message point = { 0 }, data = { 0 }, m, topic = attribute("topic", "t");

        put(&point, 7, &topic);
        put_double(&point, 4, 1.5);
        put(&data, 1, &point);
        put_number(&data, 2, 2);
        m = metrics("a.b", 7, &data, false);
        for (size_t len = 1; len < m.len; len++) {
                struct message cut = m;

                cut.len = len;
                CU_ASSERT_EQUAL(read_all(&cut, 0), OTLP_E_MALFORMED);
        }
}

/* Each level is looked into. */
static void test_malformed(void)
{
        static const uint8_t bad[][12] = {
                { 1, 0x0b },       /* a group */
                { 1, 0x0e },       /* no type */
                { 2, 0x02, 0x00 }, /* field 0 */
                { 3, 0x0a, 0x05, 0x00 },
                { 11, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
                { 10, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
                { 2, 0x0d, 0x00 },
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct message inner = { .len = bad[i][0] }, kv = { 0 }, resource = { 0 }, one = { 0 }, m = { 0 };

                memcpy(inner.bytes, bad[i] + 1, inner.len);
                CU_ASSERT_EQUAL(read_all(&inner, 0), OTLP_E_MALFORMED);
                put(&kv, 2, &inner);
                put(&resource, 1, &kv);
                put(&one, 1, &resource);
                put(&m, 1, &one);
                CU_ASSERT_EQUAL(read_all(&m, 0), OTLP_E_MALFORMED);
                m = metrics("a", 5, &inner, false);
                CU_ASSERT_EQUAL(read_all(&m, 0), OTLP_E_MALFORMED);
                m = metrics("a", 7, &inner, false);
                CU_ASSERT_EQUAL(read_all(&m, 0), OTLP_E_MALFORMED);
        }
        {
                struct message point = { 0 }, data = { 0 }, m;

                put_double(&point, 4, NAN);
                put(&data, 1, &point);
                m = metrics("not \xff text", 5, &data, false);
                CU_ASSERT_EQUAL(read_all(&m, 0), OTLP_E_MALFORMED);
        }
}

static const struct unit_case cases[] = {
        { "a gauge", test_gauge },
        { "sums", test_sums },
        { "values of attributes", test_values_of_attributes },
        { "what is skipped", test_skipped },
        { "the reader may stop", test_stops },
        { "cut", test_cut },
        { "malformed", test_malformed },
};

UNIT_MAIN("obs-otlp", cases)
