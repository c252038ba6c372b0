/* Borrowed bytes and text. Neither owns memory; who does is said where one is handed over.
 * A NULL pointer with length 0 means "null" (Kafka's nullable types); empty but present has a non-NULL pointer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
        const uint8_t *data;
        size_t len;
};

/* Text: UTF-8, not terminated by NUL. */
struct str {
        const char *p;
        size_t len;
};

#define SPAN_NULL ((struct span){ NULL, 0 })
#define STR_NULL ((struct str){ NULL, 0 })
/* A str from a string literal. */
#define STR_LIT(s) ((struct str){ (s), sizeof(s) - 1 })

/* For printf: printf("%.*s", STR_FMT(s)). */
#define STR_FMT(s) (int)(s).len, ((s).p ? (s).p : "")

static inline struct span span_of(const void *data, size_t len)
{
        return (struct span){ (const uint8_t *)data, len };
}

static inline struct str str_of(const char *cstr)
{
        return cstr ? (struct str){ cstr, strlen(cstr) } : STR_NULL;
}

static inline bool str_is_null(struct str s)
{
        return !s.p;
}

static inline bool str_equal(struct str a, struct str b)
{
        return a.len == b.len && !a.p == !b.p && (a.len == 0 || !memcmp(a.p, b.p, a.len));
}

static inline bool str_equal_c(struct str a, const char *b)
{
        return str_equal(a, str_of(b));
}

static inline bool span_equal(struct span a, struct span b)
{
        return a.len == b.len && !a.data == !b.data && (a.len == 0 || !memcmp(a.data, b.data, a.len));
}

/* Order of bytes, shorter first when one is a prefix of the other. */
static inline int str_compare(struct str a, struct str b)
{
        size_t n = a.len < b.len ? a.len : b.len;
        int r = n ? memcmp(a.p, b.p, n) : 0;

        if (r)
                return r;
        return (a.len > b.len) - (a.len < b.len);
}
