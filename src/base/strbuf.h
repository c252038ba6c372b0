/* A growing buffer of text or bytes. Owned by one; a failed allocation latches and is asked for once at the end. */
#pragma once

#include "base/macros.h"
#include "base/span.h"

struct strbuf {
        char *data; /* always NUL-terminated when not NULL */
        size_t len;
        size_t size;
        bool failed;
};

/* Free the memory; the buffer is empty and usable afterwards. */
void strbuf_fini(struct strbuf *b);

/* Make room for @len more bytes. Return: where they go, or NULL (and latched) when memory is out. */
char *strbuf_reserve(struct strbuf *b, size_t len);

/* Add bytes, a C string, or formatted text at the end; latches when memory is out. */
void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_add_c(struct strbuf *b, const char *cstr);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Take the memory (free() it); NULL when anything failed. The buffer is empty afterwards. */
char *strbuf_take(struct strbuf *b);

static inline void strbuf_finip(struct strbuf *b)
{
        strbuf_fini(b);
}
