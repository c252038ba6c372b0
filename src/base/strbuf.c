/* Growing buffer: doubles, keeps a NUL after the last byte. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>

void strbuf_fini(struct strbuf *b)
{
        free(b->data);
        *b = (struct strbuf){ 0 };
}

char *strbuf_reserve(struct strbuf *b, size_t len)
{
        size_t need;

        if (b->failed)
                return NULL;
        if (__builtin_add_overflow(b->len + 1, len, &need)) {
                b->failed = true;
                return NULL;
        }
        if (need > b->size) {
                size_t size = MAX2(need, b->size * 2);
                char *data;

                size = MAX2(size, (size_t)64);
                data = realloc(b->data, size);
                if (!data) {
                        b->failed = true;
                        return NULL;
                }
                b->data = data;
                b->size = size;
        }
        return b->data + b->len;
}

void strbuf_add(struct strbuf *b, const void *data, size_t len)
{
        char *p = strbuf_reserve(b, len);

        if (!p)
                return;
        if (len)
                memcpy(p, data, len);
        b->len += len;
        b->data[b->len] = '\0';
}

void strbuf_add_c(struct strbuf *b, const char *cstr)
{
        strbuf_add(b, cstr, strlen(cstr));
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
        va_list ap;
        int len;
        char *p;

        va_start(ap, fmt);
        len = vsnprintf(NULL, 0, fmt, ap);
        va_end(ap);
        p = len < 0 ? NULL : strbuf_reserve(b, (size_t)len);
        if (!p)
                return;
        va_start(ap, fmt);
        vsnprintf(p, (size_t)len + 1, fmt, ap);
        va_end(ap);
        b->len += (size_t)len;
}

char *strbuf_take(struct strbuf *b)
{
        char *data;

        if (b->failed || !strbuf_reserve(b, 0)) {
                strbuf_fini(b);
                return NULL;
        }
        b->data[b->len] = '\0';
        data = TAKE_PTR(b->data);
        *b = (struct strbuf){ 0 };
        return data;
}
