#include "object/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { REQUEST_LEN_MAX = 8 << 20 }; /* the list of 50,000 blocks */

void object_request_init(struct object_request *rq, const char *method, struct str origin)
{
        const char *host = memchr(origin.p, '/', origin.len);
        bool tls = origin.len > 6 && !memcmp(origin.p, "https:", 6);

        *rq = (struct object_request){ .method = method, .origin = origin };
        arena_init(&rq->arena, REQUEST_LEN_MAX);
        assert(host);
        host += 2;
        rq->host = (struct str){ host, origin.len - (size_t)(host - origin.p) };
        for (const char *usual = tls ? ":443" : ":80"; usual; usual = NULL) {
                size_t len = strlen(usual);

                if (rq->host.len > len && !memcmp(rq->host.p + rq->host.len - len, usual, len))
                        rq->host.len -= len;
        }
        object_request_header(rq, "host", rq->host);
}

void object_request_fini(struct object_request *rq)
{
        arena_fini(&rq->arena);
}

static void add(struct object_request *rq, struct object_field *fields, unsigned *count, unsigned count_max,
                const char *name, struct str value)
{
        struct str copy = { "", 0 };

        if (value.len) {
                copy = (struct str){ arena_memdup(&rq->arena, value.p, value.len), value.len };
                if (!copy.p) {
                        rq->failed = true;
                        return;
                }
        }
        if (*count == count_max) {
                rq->failed = true;
                return;
        }
        fields[(*count)++] = (struct object_field){ str_of(name), copy };
}

void object_request_query(struct object_request *rq, const char *name, struct str value)
{
        add(rq, rq->query, &rq->query_count, OBJECT_QUERY_MAX, name, value);
}

void object_request_header(struct object_request *rq, const char *name, struct str value)
{
        if (!value.p)
                value = (struct str){ "", 0 };
        while (value.len && value.p[0] == ' ') {
                value.p++;
                value.len--;
        }
        while (value.len && value.p[value.len - 1] == ' ')
                value.len--;
        /* A line break would begin another header. */
        for (size_t i = 0; i < value.len; i++)
                if (value.p[i] == '\r' || value.p[i] == '\n' || value.p[i] == '\0')
                        rq->failed = true;
        add(rq, rq->headers, &rq->headers_count, OBJECT_HEADERS_MAX, name, value);
}

void object_request_query_f(struct object_request *rq, const char *name, const char *fmt, ...)
{
        struct str value;
        va_list ap;

        va_start(ap, fmt);
        value = arena_vprintf(&rq->arena, fmt, ap);
        va_end(ap);
        rq->failed |= !value.p;
        object_request_query(rq, name, value);
}

void object_request_header_f(struct object_request *rq, const char *name, const char *fmt, ...)
{
        struct str value;
        va_list ap;

        va_start(ap, fmt);
        value = arena_vprintf(&rq->arena, fmt, ap);
        va_end(ap);
        rq->failed |= !value.p;
        object_request_header(rq, name, value);
}

struct str object_request_header_of(const struct object_request *rq, const char *name)
{
        for (unsigned i = 0; i < rq->headers_count; i++)
                if (str_equal_c(rq->headers[i].name, name))
                        return rq->headers[i].value;
        return STR_NULL;
}

static int field_compare(const void *a, const void *b)
{
        const struct object_field *x = a, *y = b;
        int r = str_compare(x->name, y->name);

        return r ? r : str_compare(x->value, y->value);
}

void object_request_sort(struct object_request *rq)
{
        qsort(rq->query, rq->query_count, sizeof rq->query[0], field_compare);
        qsort(rq->headers, rq->headers_count, sizeof rq->headers[0], field_compare);
}

void object_percent_encode(struct strbuf *out, struct str text, bool keep_slash)
{
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.p[i];

                if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                    c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash))
                        strbuf_add(out, &c, 1);
                else
                        strbuf_printf(out, "%%%02X", c);
        }
}

void object_request_encode_query(const struct object_request *rq, struct strbuf *out)
{
        for (unsigned i = 0; i < rq->query_count; i++) {
                if (i)
                        strbuf_add_c(out, "&");
                object_percent_encode(out, rq->query[i].name, false);
                strbuf_add_c(out, "=");
                object_percent_encode(out, rq->query[i].value, false);
        }
}

char *object_request_url(const struct object_request *rq)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };

        strbuf_add(&out, rq->origin.p, rq->origin.len);
        strbuf_add(&out, rq->path.p, rq->path.len);
        if (rq->query_count || rq->raw_query.len)
                strbuf_add_c(&out, "?");
        object_request_encode_query(rq, &out);
        if (rq->query_count && rq->raw_query.len)
                strbuf_add_c(&out, "&");
        strbuf_add(&out, rq->raw_query.p, rq->raw_query.len);
        return strbuf_take(&out);
}
