/* The strategy's words, and durations. */
#include "conf/offset_reset.h"

#include <string.h>

#define BY_DURATION "by_duration:"

static char upper(char c)
{
        return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Take [+-]digits off @s; counted downwards for a minus. False: there are none, or too many. */
static bool take_digits(struct str *s, int64_t *ret, bool *ret_negative)
{
        bool negative = s->len && s->p[0] == '-';
        size_t i = s->len && (s->p[0] == '-' || s->p[0] == '+'), first = i;
        int64_t n = 0;

        for (; i < s->len && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
                int digit = negative ? '0' - s->p[i] : s->p[i] - '0';

                if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
                        return false;
        }
        if (i == first)
                return false;
        s->p += i;
        s->len -= i;
        *ret = n;
        *ret_negative = negative;
        return true;
}

/* Up to nine digits behind the point of a second, as nanoseconds. False: there are more. */
static bool take_fraction(struct str *s, int64_t *ret_ns)
{
        int64_t ns = 0;
        int digits = 0;

        for (; s->len && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->len--)
                if (++digits > 9)
                        return false;
                else
                        ns = ns * 10 + (s->p[0] - '0');
        for (; digits < 9; digits++)
                ns *= 10;
        *ret_ns = ns;
        return true;
}

/* One part, like 36H, into the sum. @units: the letters that may still come; those up to it are used up. */
static bool take_part(struct str *s, const char **units, int64_t *ms, int64_t *ns)
{
        int64_t n, fraction = 0, factor;
        bool negative, has_point = false;
        const char *unit;

        if (!take_digits(s, &n, &negative))
                return false;
        if (s->len && (s->p[0] == '.' || s->p[0] == ',')) {
                has_point = true;
                s->p++, s->len--;
                if (!take_fraction(s, &fraction))
                        return false;
        }
        unit = s->len ? strchr(*units, upper(s->p[0])) : NULL;
        if (!unit || !*unit || (has_point && *unit != 'S'))
                return false;
        s->p++, s->len--;
        *units = unit + 1;
        factor = *unit == 'D' ? 86400000 : *unit == 'H' ? 3600000 : *unit == 'M' ? 60000 : 1000;
        *ns += negative ? -fraction : fraction;
        return !__builtin_mul_overflow(n, factor, &n) && !__builtin_add_overflow(*ms, n, ms);
}

static bool parse_duration(struct str s, int64_t *ret_ms)
{
        int64_t ms = 0, ns = 0;
        const char *units = "D";
        bool negative = s.len && s.p[0] == '-';

        if (s.len && (s.p[0] == '-' || s.p[0] == '+'))
                s.p++, s.len--;
        if (s.len < 2 || upper(s.p[0]) != 'P')
                return false;
        s.p++, s.len--;
        if (upper(s.p[0]) != 'T' && !take_part(&s, &units, &ms, &ns))
                return false;
        if (s.len) {
                if (upper(s.p[0]) != 'T')
                        return false;
                s.p++, s.len--;
                units = "HMS";
                do
                        if (!take_part(&s, &units, &ms, &ns))
                                return false;
                while (s.len);
        }
        if (negative && __builtin_sub_overflow((int64_t)0, ms, &ms))
                return false;
        if (negative)
                ns = -ns;
        if (ms < 0 || (ms == 0 && ns < 0)) /* a fraction is less than the smallest step of what is before the point */
                return false;
        if (ns < 0)
                ms -= (-ns + 999999) / 1000000;
        else if (__builtin_add_overflow(ms, ns / 1000000, &ms))
                return false;
        *ret_ms = ms;
        return true;
}

bool conf_offset_reset_parse(struct str text, struct conf_offset_reset *ret)
{
        struct conf_offset_reset r = { 0 };
        size_t prefix = strlen(BY_DURATION);

        if (str_equal_c(text, "latest"))
                r.kind = CONF_OFFSET_RESET_LATEST;
        else if (str_equal_c(text, "earliest"))
                r.kind = CONF_OFFSET_RESET_EARLIEST;
        else if (text.len > prefix && !memcmp(text.p, BY_DURATION, prefix) &&
                 parse_duration((struct str){ text.p + prefix, text.len - prefix }, &r.duration_ms))
                r.kind = CONF_OFFSET_RESET_BY_DURATION;
        else
                return false;
        *ret = r;
        return true;
}
