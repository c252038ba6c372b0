#include "coord/utf16.h"

/* Length of the sequence that a first byte announces; 0 when it cannot be one. */
static unsigned sequence_len(uint8_t first)
{
        if (first < 0x80)
                return 1;
        if (first >= 0xc2 && first < 0xe0)
                return 2;
        if (first >= 0xe0 && first < 0xf0)
                return 3;
        return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The character at @p, or UTF16_REPLACEMENT with *@len 1. */
static uint32_t decode(const uint8_t *p, size_t left, unsigned *len)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        static const uint8_t first_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        uint32_t c;

        *len = sequence_len(p[0]);
        if (!*len || *len > left)
                goto bad;
        c = p[0] & first_mask[*len];
        for (unsigned i = 1; i < *len; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        goto bad;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (c >= least[*len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff))
                return c;
bad:
        *len = 1;
        return UTF16_REPLACEMENT;
}

unsigned utf16_next(struct str *s, uint16_t ret_units[2])
{
        unsigned len;
        uint32_t c = decode((const uint8_t *)s->p, s->len, &len);

        s->p += len;
        s->len -= len;
        if (c < 0x10000) {
                ret_units[0] = (uint16_t)c;
                return 1;
        }
        c -= 0x10000;
        ret_units[0] = (uint16_t)(0xd800 | c >> 10);
        ret_units[1] = (uint16_t)(0xdc00 | (c & 0x3ff));
        return 2;
}

size_t utf16_len(struct str s)
{
        uint16_t units[2];
        size_t n = 0;

        while (s.len)
                n += utf16_next(&s, units);
        return n;
}
