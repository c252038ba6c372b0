/* Metrics that clients push: input is a message MetricsData. Whatever it is, every text of a point lies within it, its attributes end,
 * and it is read the same way twice. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "obs/otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct look {
        const uint8_t *data;
        size_t size;
        size_t points, attributes, sum;
};

static void check_within(const struct look *l, struct str s)
{
        if (s.len && ((const uint8_t *)s.p < l->data || (const uint8_t *)s.p + s.len > l->data + l->size))
                abort();
}

static void walk(struct look *l, struct otlp_attributes a)
{
        struct str key;
        size_t left = a.message.len;

        for (;;) {
                CLEANUP(strbuf_finip) struct strbuf value = { 0 };

                if (!otlp_attribute_next(&a, &key, &value))
                        return;
                if (a.message.len >= left)
                        abort();
                left = a.message.len;
                if (key.len)
                        check_within(l, key);
                l->attributes++;
                l->sum += key.len + value.len;
        }
}

static int on_point(void *arg, const struct otlp_point *p)
{
        struct look *l = arg;

        check_within(l, p->name);
        if (p->name.len && !utf8_is_valid(p->name))
                abort();
        walk(l, p->own);
        walk(l, p->resource);
        l->points++;
        return l->points > 1000 ? 5 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct look a = { data, size, 0, 0, 0 }, b = a;
        int first = otlp_read(span_of(data, size), on_point, &a), second = otlp_read(span_of(data, size), on_point, &b);

        if (first != second || memcmp(&a, &b, sizeof a) != 0)
                abort();
        return 0;
}
