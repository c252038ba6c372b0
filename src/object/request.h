/* One HTTP request as it is put together and signed, before it is sent. Pure; any thread; one owner. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"

enum { OBJECT_QUERY_MAX = 16, OBJECT_HEADERS_MAX = 24 };

struct object_field {
        struct str name;  /* of a header: in lower case */
        struct str value; /* not encoded */
};

/* Everything is borrowed, or lies in the arena. Sorted by name when object_request_sort() was called. */
struct object_request {
        struct arena arena;
        bool failed; /* memory was out somewhere, or there were too many fields */
        const char *method;
        struct str origin; /* "https://host:port" */
        struct str host;   /* the same without the scheme, and without a port that the scheme has anyhow */
        struct str path;   /* percent-encoded, begins with '/' */
        struct object_field query[OBJECT_QUERY_MAX];
        unsigned query_count;
        struct str raw_query; /* goes behind the query as it is; borrowed */
        struct object_field headers[OBJECT_HEADERS_MAX];
        unsigned headers_count;
        struct span body;
};

/* An empty request. @origin and @path are kept as they are; adds the header "host". */
void object_request_init(struct object_request *rq, const char *method, struct str origin);
void object_request_fini(struct object_request *rq);
static inline void object_request_finip(struct object_request *rq)
{
        object_request_fini(rq);
}

/* Add a query field or a header; latches when it does not fit. The names are literals; values are copied. A header's value has spaces
 * at its ends removed. */
void object_request_query(struct object_request *rq, const char *name, struct str value);
void object_request_query_f(struct object_request *rq, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void object_request_header(struct object_request *rq, const char *name, struct str value);
void object_request_header_f(struct object_request *rq, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The value of a header, or STR_NULL. */
struct str object_request_header_of(const struct object_request *rq, const char *name);

/* Sort query and headers by name (then by value), as signatures want them. */
void object_request_sort(struct object_request *rq);

/* Append @text percent-encoded as RFC 3986 section 2.3 has it: letters, digits and "-._~" stay, and '/' too with @keep_slash. */
void object_percent_encode(struct strbuf *out, struct str text, bool keep_slash);
/* Append the query, encoded: "a=1&b=". */
void object_request_encode_query(const struct object_request *rq, struct strbuf *out);
/* The whole address, for who sends it: origin, path, "?" and query. NULL when memory is out; free() it. */
char *object_request_url(const struct object_request *rq);
