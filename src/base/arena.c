/* Bump allocator in blocks that double up to 64 KiB; larger requests get a block of their own. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

enum { BLOCK_MAX = 64 * 1024, ALIGN = 16 };

struct arena_block {
        struct arena_block *older;
        size_t size;
        size_t used;
        _Alignas(ALIGN) uint8_t data[];
};

/* With its head it is a size that the heap keeps ready for the thread that frees one and wants the next (glibc: up to 1032). */
enum { BLOCK_MIN = 1024 - sizeof(struct arena_block) };

void arena_init(struct arena *a, size_t limit)
{
        *a = (struct arena){ .limit = limit };
}

void arena_init_shared(struct arena *a, size_t limit, struct budget *shared, size_t free_len)
{
        *a = (struct arena){ .limit = limit, .shared = shared, .free_len = free_len };
}

void arena_fini(struct arena *a)
{
        while (a->blocks) {
                struct arena_block *older = a->blocks->older;

                free(a->blocks);
                a->blocks = older;
        }
        if (a->taken)
                budget_give(a->shared, a->taken);
        a->used = a->taken = 0;
}

/* The first blocks cost the others nothing: small requests never touch the shared count. */
static bool arena_take(struct arena *a, size_t size)
{
        if (!a->shared || a->used + size <= a->free_len)
                return true;
        if (!budget_try_take_more(a->shared, size, a->taken))
                return false;
        a->taken += size;
        return true;
}

static struct arena_block *arena_grow(struct arena *a, size_t size)
{
        size_t want = a->blocks ? a->blocks->size * 2 : BLOCK_MIN;
        struct arena_block *b;

        want = MIN2(want, (size_t)BLOCK_MAX);
        want = MAX2(want, size);
        if (!arena_take(a, want))
                return NULL;
        b = malloc(sizeof *b + want); /* what was taken is given back with the rest */
        if (!b)
                return NULL;
        b->size = want;
        b->used = 0;
        b->older = a->blocks;
        a->blocks = b;
        return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
        struct arena_block *b = a->blocks;
        void *p;

        if (size > SIZE_MAX / 2)
                return NULL;
        size = (MAX2(size, (size_t)1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        if (a->limit && (size > a->limit || a->used > a->limit - size))
                return NULL;
        if (!b || b->size - b->used < size) {
                b = arena_grow(a, size);
                if (!b)
                        return NULL;
        }
        p = b->data + b->used;
        b->used += size;
        a->used += size;
        return memset(p, 0, size);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
        size_t total;

        if (__builtin_mul_overflow(count, size, &total))
                return NULL;
        return arena_alloc(a, total);
}

void *arena_memdup(struct arena *a, const void *data, size_t len)
{
        void *p = arena_alloc(a, len);

        if (p && len)
                memcpy(p, data, len);
        return p;
}

char *arena_strdup0(struct arena *a, struct str s)
{
        char *p = arena_alloc(a, s.len + 1);

        if (p && s.len)
                memcpy(p, s.p, s.len);
        return p;
}

struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
        va_list again;
        char *p;
        int len;

        va_copy(again, ap);
        len = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        p = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
        if (!p)
                return STR_NULL;
        vsnprintf(p, (size_t)len + 1, fmt, ap);
        return (struct str){ p, (size_t)len };
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
        struct str text;
        va_list ap;

        va_start(ap, fmt);
        text = arena_vprintf(a, fmt, ap);
        va_end(ap);
        return text;
}
