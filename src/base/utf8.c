#include "base/utf8.h"

/* RFC 3629, section 4: the range of the second byte depends on the first. */
static bool second_is_right(uint8_t first, uint8_t second)
{
        switch (first) {
        case 0xe0:
                return second >= 0xa0 && second <= 0xbf;
        case 0xed: /* surrogates are no characters */
                return second >= 0x80 && second <= 0x9f;
        case 0xf0:
                return second >= 0x90 && second <= 0xbf;
        case 0xf4:
                return second >= 0x80 && second <= 0x8f;
        default:
                return second >= 0x80 && second <= 0xbf;
        }
}

unsigned utf8_char_len(struct str s)
{
        const uint8_t *p = (const uint8_t *)s.p;
        unsigned len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

        if (len > s.len || (len >= 2 && !second_is_right(p[0], p[1])))
                return 0;
        for (unsigned i = 2; i < len; i++)
                if (p[i] < 0x80 || p[i] > 0xbf)
                        return 0;
        return len;
}

bool utf8_is_valid(struct str s)
{
        for (unsigned len; s.len; s.p += len, s.len -= len) {
                len = utf8_char_len(s);
                if (!len)
                        return false;
        }
        return true;
}

void utf8_add_clean(struct strbuf *out, struct str s)
{
        while (s.len) {
                unsigned len = utf8_char_len(s);

                if (len)
                        strbuf_add(out, s.p, len);
                else
                        strbuf_add_c(out, "\xef\xbf\xbd");
                len = MAX2(len, 1u);
                s.p += len;
                s.len -= len;
        }
}

struct str utf8_clip(struct str s, size_t len_max)
{
        if (s.len <= len_max)
                return s;
        /* Bytes that go on a character are 10xxxxxx; at most three of them come before one that begins it. */
        for (int i = 0; i < 3 && len_max && ((uint8_t)s.p[len_max] & 0xc0) == 0x80; i++)
                len_max--;
        return (struct str){ s.p, len_max };
}
