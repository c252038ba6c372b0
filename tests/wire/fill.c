/* Random values for messages: the lengths at which an encoding changes its form come up often. */
#include "case.h"

#include <stdio.h>

struct fill fill_of(uint64_t seed, struct arena *a)
{
        return (struct fill){ .state = seed * 0x9e3779b97f4a7c15 | 1, .a = a };
}

/* xorshift64*; the seed is printed by a failing test. */
uint64_t fill_u64(struct fill *f)
{
        f->state ^= f->state >> 12;
        f->state ^= f->state << 25;
        f->state ^= f->state >> 27;
        return f->state * 0x2545f4914f6cdd1d;
}

uint32_t fill_below(struct fill *f, uint32_t below)
{
        return (uint32_t)((fill_u64(f) >> 32) * below >> 32);
}

bool fill_bool(struct fill *f)
{
        return fill_u64(f) >> 63;
}

double fill_float64(struct fill *f)
{
        return (double)(int64_t)fill_u64(f) / 1024;
}

void *fill_alloc(struct fill *f, int32_t count, size_t size)
{
        void *p;

        if (count < 1)
                return NULL;
        p = arena_alloc_array(f->a, (size_t)count, size);
        if (!p) {
                fputs("fill: out of memory\n", stderr);
                abort();
        }
        return p;
}

struct uuid fill_uuid(struct fill *f)
{
        struct uuid u;
        uint64_t a = fill_u64(f), b = fill_u64(f);

        memcpy(u.b, &a, 8);
        memcpy(u.b + 8, &b, 8);
        return u;
}

static size_t pick_len(struct fill *f, size_t len_max)
{
        static const size_t edges[] = { 0, 1, 126, 127, 128, 16382, 16383, 16384, 32766, 32767 };
        uint32_t dice = fill_below(f, 100);

        if (f->small || dice < 70)
                return fill_below(f, 6);
        if (dice < 94)
                return fill_below(f, 40);
        if (dice < 99)
                return edges[fill_below(f, 5)];
        return MIN2(edges[fill_below(f, ARRAY_LEN(edges))], len_max);
}

struct span fill_bytes(struct fill *f, bool nullable)
{
        size_t len;
        uint8_t *p;

        if (nullable && fill_below(f, 4) == 0)
                return SPAN_NULL;
        len = pick_len(f, 1 << 20);
        p = fill_alloc(f, (int32_t)len + 1, 1);
        for (size_t i = 0; i < len; i++)
                p[i] = (uint8_t)fill_u64(f);
        return (struct span){ p, len };
}

struct str fill_string(struct fill *f, bool nullable)
{
        struct span s = fill_bytes(f, nullable);

        if (f->plain && s.len) {
                char *text = fill_alloc(f, (int32_t)s.len, 1);

                for (size_t i = 0; i < s.len; i++)
                        text[i] = (char)('a' + s.data[i] % 26);
                return (struct str){ text, s.len };
        }
        return (struct str){ (const char *)s.data, s.len };
}

struct wire_records fill_records(struct fill *f, bool nullable)
{
        struct span s = f->plain ? span_of("", 0) : fill_bytes(f, nullable);

        return (struct wire_records){ .data = s.data, .len = s.len };
}

int32_t fill_count(struct fill *f, bool nullable)
{
        uint32_t dice = fill_below(f, 100);

        if (nullable && dice < 25)
                return -1;
        if (f->small || dice < 95)
                return (int32_t)fill_below(f, 3);
        return dice < 99 ? (int32_t)fill_below(f, 9) : 125 + (int32_t)fill_below(f, 5);
}

bool records_same(const struct wire_records *a, const struct wire_records *b)
{
        return span_equal((struct span){ a->data, a->len }, (struct span){ b->data, b->len }) && a->ext == b->ext;
}
