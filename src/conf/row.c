/* Values as text: one reader and one writer for every type of the tables. */
#include "conf/address.h"
#include "conf/offset_reset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
        const char *name;
        int64_t factor;
};

/* GB means GiB: the deployment guide calls 1073741824 "1GB", and an operator who means 10^9 bytes of segment writes
 * digits. */
static const struct unit size_units[] = {
        { "B", 1 },
        { "KiB", INT64_C(1) << 10 },
        { "MiB", INT64_C(1) << 20 },
        { "GiB", INT64_C(1) << 30 },
        { "TiB", INT64_C(1) << 40 },
        { "KB", INT64_C(1) << 10 },
        { "MB", INT64_C(1) << 20 },
        { "GB", INT64_C(1) << 30 },
        { "TB", INT64_C(1) << 40 },
};

static const struct unit time_units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

int conf_values_find(const char *values, struct str word)
{
        struct str v;

        for (int place = 0; !str_is_null(v = conf_values_at(values, place)); place++)
                if (str_equal(v, word))
                        return place;
        return -1;
}

struct str conf_values_at(const char *values, int place)
{
        for (; place > 0; place--) {
                values = strchr(values, '|');
                if (!values)
                        return STR_NULL;
                values++;
        }
        return (struct str){ values, strcspn(values, "|") };
}

bool conf_host_is_wildcard(const char *host)
{
        struct in6_addr v6;
        struct in_addr v4;
        uint32_t low;

        if (!*host || !strcmp(host, "*"))
                return true;
        if (inet_pton(AF_INET6, host, &v6) == 1) {
                memcpy(&low, &v6.s6_addr[12], sizeof low);
                return IN6_IS_ADDR_UNSPECIFIED(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && !low);
        }
        return inet_aton(host, &v4) && !v4.s_addr; /* "0" and "0x0" are IPv4 addresses, too */
}

unsigned conf_name_distance(struct str a, struct str b)
{
        enum { MAX = 63 };
        uint8_t d[MAX + 1][MAX + 1];
        size_t m = MIN2(a.len, (size_t)MAX), n = MIN2(b.len, (size_t)MAX);

        for (size_t i = 0; i <= m; i++)
                d[i][0] = (uint8_t)i;
        for (size_t j = 0; j <= n; j++)
                d[0][j] = (uint8_t)j;
        for (size_t i = 1; i <= m; i++)
                for (size_t j = 1; j <= n; j++) {
                        unsigned best = d[i - 1][j - 1] + (a.p[i - 1] != b.p[j - 1]);

                        best = MIN2(best, d[i - 1][j] + 1u);
                        best = MIN2(best, d[i][j - 1] + 1u);
                        if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                                best = MIN2(best, d[i - 2][j - 2] + 1u);
                        d[i][j] = (uint8_t)best;
                }
        return d[m][n];
}

static void add_number(struct strbuf *out, int64_t n)
{
        if (n == INT64_MAX)
                strbuf_add_c(out, "9223372036854775807 (no limit)");
        else
                strbuf_printf(out, "%lld", (long long)n);
}

/* "a, b, c" from "a|b|c". */
static void add_words(struct strbuf *out, const char *values)
{
        struct str v;

        for (int place = 0; !str_is_null(v = conf_values_at(values, place)); place++)
                strbuf_printf(out, "%s%.*s", place ? ", " : "", STR_FMT(v));
}

void conf_row_expect(const struct conf_row *row, struct strbuf *out)
{
        switch (row->type) {
        case CONF_INT:
        case CONF_SIZE:
        case CONF_TIME:
                strbuf_add_c(out, row->type == CONF_INT    ? "a whole number from "
                                  : row->type == CONF_SIZE ? "a number of bytes from "
                                                           : "a number of milliseconds from ");
                add_number(out, row->min);
                strbuf_add_c(out, " to ");
                add_number(out, row->max);
                break;
        case CONF_RATIO:
                strbuf_add_c(out, "a number from 0 to 1");
                break;
        case CONF_BOOL:
                strbuf_add_c(out, "true or false");
                break;
        case CONF_ENUM:
                strbuf_add_c(out, "one of ");
                add_words(out, row->values);
                break;
        case CONF_SET:
                strbuf_add_c(out, "one or more of ");
                add_words(out, row->values);
                break;
        case CONF_STR:
                if (row->check == CONF_CHECK_NAME)
                        strbuf_printf(out, "at most %lld letters, digits, dots, underscores and hyphens",
                                      (long long)row->max);
                else if (row->check == CONF_CHECK_THROTTLED)
                        strbuf_add_c(out, "* or PARTITION:NODE pairs with commas between them");
                else if (row->check == CONF_CHECK_CONTROLLERS)
                        strbuf_printf(out, "at most %d of ID@HOST:PORT with commas between them, each ID once",
                                      CONF_CONTROLLERS_MAX);
                else if (row->check == CONF_CHECK_OFFSET_RESET)
                        strbuf_add_c(out, "earliest, latest, or by_duration: and a duration as ISO 8601 writes it, "
                                          "like by_duration:PT36H");
                else
                        strbuf_printf(out, "at most %lld printable characters", (long long)row->max);
                break;
        case CONF_ADDR:
                strbuf_add_c(out, "HOST:PORT, an IPv6 address as [ADDRESS]:PORT");
                break;
        }
}

/* "is 'TEXT'; give EXPECT". The text is cut: it may be anything. */
static int refuse(const struct conf_row *row, struct str text, struct strbuf *why)
{
        strbuf_add_c(why, "is '");
        for (size_t i = 0; i < text.len && i < 60; i++) {
                char c = text.p[i];

                strbuf_add(why, (unsigned char)c < 0x20 || c == 0x7f ? "?" : &c, 1);
        }
        strbuf_printf(why, "%s'; give ", text.len > 60 ? "..." : "");
        conf_row_expect(row, why);
        return why->failed ? -ENOMEM : CONF_E_INVALID;
}

struct str conf_value_trim(struct str s)
{
        while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
                s.p++, s.len--;
        while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
                s.len--;
        return s;
}

/* Take the leading [+-]digits off @s. Return: false when there are none or the number does not fit. */
static bool take_number(struct str *s, int64_t *ret_number)
{
        bool negative = s->len && s->p[0] == '-';
        size_t i = negative || (s->len && s->p[0] == '+');
        size_t first = i;
        int64_t n = 0;

        for (; i < s->len && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
                int digit = s->p[i] - '0';

                if (__builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, digit, &n))
                        return false; /* counted downwards, so that INT64_MIN fits */
        }
        if (i == first || (!negative && __builtin_sub_overflow((int64_t)0, n, &n)))
                return false;
        s->p += i;
        s->len -= i;
        *ret_number = n;
        return true;
}

static bool take_unit(const struct unit *units, size_t count, struct str s, int64_t *number)
{
        s = conf_value_trim(s);
        for (size_t i = 0; i < count; i++)
                if (s.len == strlen(units[i].name) && !strncasecmp(s.p, units[i].name, s.len))
                        return !__builtin_mul_overflow(*number, units[i].factor, number);
        return false;
}

static bool parse_number(const struct conf_row *row, struct str text, enum conf_syntax syntax, int64_t *ret)
{
        if (!take_number(&text, ret))
                return false;
        if (text.len) {
                if (syntax == CONF_SYNTAX_PLAIN)
                        return false;
                if (row->type == CONF_SIZE && !take_unit(size_units, ARRAY_LEN(size_units), text, ret))
                        return false;
                if (row->type == CONF_TIME && !take_unit(time_units, ARRAY_LEN(time_units), text, ret))
                        return false;
                if (row->type == CONF_INT)
                        return false;
        }
        return *ret >= row->min && *ret <= row->max;
}

static bool parse_ratio(struct str text, double *ret)
{
        char buf[32], *end;

        if (!text.len || text.len >= sizeof buf || (text.p[0] != '.' && (text.p[0] < '0' || text.p[0] > '9')))
                return false;
        memcpy(buf, text.p, text.len);
        buf[text.len] = '\0';
        *ret = strtod(buf, &end);
        return end == buf + text.len && *ret >= 0 && *ret <= 1;
}

static bool parse_bool(struct str text, int64_t *ret)
{
        if (text.len == 4 && !strncasecmp(text.p, "true", 4))
                *ret = 1;
        else if (text.len == 5 && !strncasecmp(text.p, "false", 5))
                *ret = 0;
        else
                return false;
        return true;
}

static bool parse_set(const struct conf_row *row, struct str text, int64_t *ret)
{
        int64_t bits = 0;

        for (;;) {
                const char *comma = memchr(text.p, ',', text.len);
                size_t len = comma ? (size_t)(comma - text.p) : text.len;
                int place = conf_values_find(row->values, conf_value_trim((struct str){ text.p, len }));

                if (place < 0)
                        return false;
                bits |= INT64_C(1) << place;
                if (!comma)
                        break;
                text.p += len + 1;
                text.len -= len + 1;
        }
        *ret = bits;
        return true;
}

static bool is_name_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
}

/* PARTITION:NODE[,PARTITION:NODE...], or *. */
static bool is_throttled_list(struct str s)
{
        int64_t n;

        if (!s.len || str_equal_c(s, "*"))
                return true;
        for (;;) {
                s = conf_value_trim(s);
                if (!s.len || s.p[0] == '-' || s.p[0] == '+' || !take_number(&s, &n) || !s.len || s.p[0] != ':')
                        return false;
                s.p++, s.len--;
                if (!s.len || s.p[0] == '-' || s.p[0] == '+' || !take_number(&s, &n))
                        return false;
                s = conf_value_trim(s);
                if (!s.len)
                        return true;
                if (s.p[0] != ',')
                        return false;
                s.p++, s.len--;
        }
}

static bool is_good_text(const struct conf_row *row, struct str text)
{
        struct conf_controller controllers[CONF_CONTROLLERS_MAX];
        struct conf_offset_reset reset;

        if (text.len > (uint64_t)row->max)
                return false;
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.p[i];

                if (c < 0x20 || c == 0x7f || (row->check == CONF_CHECK_NAME && !is_name_char((char)c)))
                        return false;
        }
        if (row->check == CONF_CHECK_CONTROLLERS)
                return conf_controllers_parse(text, controllers) >= 0;
        if (row->check == CONF_CHECK_OFFSET_RESET)
                return conf_offset_reset_parse(text, &reset);
        return row->check != CONF_CHECK_THROTTLED || is_throttled_list(text);
}

/* Return: 0, CONF_E_INVALID, -ENOMEM. The empty text is the empty address: a row whose default it is may be left out.
 */
static int parse_addr(const struct conf_row *row, struct str text, struct arena *mem, struct conf_addr *ret)
{
        struct str host;
        uint16_t port;
        char *copy;

        if (!text.len) {
                if (!row->default_value || *row->default_value)
                        return CONF_E_INVALID;
                *ret = (struct conf_addr){ "", 0 };
                return 0;
        }
        if (!conf_address_split(text, &host, &port))
                return CONF_E_INVALID;
        copy = arena_strdup0(mem, host);
        if (!copy)
                return -ENOMEM;
        *ret = (struct conf_addr){ copy, port };
        return 0;
}

int conf_value_parse(const struct conf_row *row, struct str text, enum conf_syntax syntax, struct arena *mem,
                     struct conf_value *ret_value, struct strbuf *why)
{
        struct conf_value v = { 0 };
        bool good = false;
        int r;

        if (str_is_null(text))
                return refuse(row, STR_LIT(""), why);
        text = conf_value_trim(text);
        switch (row->type) {
        case CONF_INT:
        case CONF_SIZE:
        case CONF_TIME:
                good = parse_number(row, text, syntax, &v.i);
                break;
        case CONF_RATIO:
                good = parse_ratio(text, &v.r);
                break;
        case CONF_BOOL:
                good = parse_bool(text, &v.i);
                break;
        case CONF_ENUM:
                v.i = conf_values_find(row->values, text);
                good = v.i >= 0;
                break;
        case CONF_SET:
                good = parse_set(row, text, &v.i);
                break;
        case CONF_STR:
                good = is_good_text(row, text);
                if (good && !(v.s = arena_strdup0(mem, text)))
                        return -ENOMEM;
                break;
        case CONF_ADDR:
                r = parse_addr(row, text, mem, &v.addr);
                if (r < 0)
                        return r;
                good = r == 0;
                break;
        }
        if (!good)
                return refuse(row, text, why);
        *ret_value = v;
        return 0;
}

static void format_set(const struct conf_row *row, int64_t bits, struct strbuf *out)
{
        struct str word;
        bool first = true;

        for (int place = 0; !str_is_null(word = conf_values_at(row->values, place)); place++) {
                if (!(bits & (INT64_C(1) << place)))
                        continue;
                strbuf_printf(out, "%s%.*s", first ? "" : ",", STR_FMT(word));
                first = false;
        }
}

void conf_value_format(const struct conf_row *row, struct conf_value value, struct strbuf *out)
{
        struct str word;

        switch (row->type) {
        case CONF_INT:
        case CONF_SIZE:
        case CONF_TIME:
                strbuf_printf(out, "%lld", (long long)value.i);
                break;
        case CONF_RATIO:
                strbuf_printf(out, "%g", value.r);
                break;
        case CONF_BOOL:
                strbuf_add_c(out, value.i ? "true" : "false");
                break;
        case CONF_ENUM:
                word = conf_values_at(row->values, (int)value.i);
                strbuf_add(out, word.p, word.len);
                break;
        case CONF_SET:
                format_set(row, value.i, out);
                break;
        case CONF_STR:
                strbuf_add_c(out, value.s);
                break;
        case CONF_ADDR:
                if (value.addr.host[0])
                        strbuf_printf(out, strchr(value.addr.host, ':') ? "[%s]:%u" : "%s:%u", value.addr.host,
                                      value.addr.port);
                break;
        }
}

struct conf_value conf_value_get(const struct conf_row *row, const void *object)
{
        const char *field = (const char *)object + row->offset;
        struct conf_value v = { 0 };

        switch (row->type) {
        case CONF_INT:
        case CONF_SIZE:
        case CONF_TIME:
                v.i = *(const int64_t *)field;
                break;
        case CONF_RATIO:
                v.r = *(const double *)field;
                break;
        case CONF_BOOL:
                v.i = *(const bool *)field;
                break;
        case CONF_ENUM:
                v.i = *(const int *)field;
                break;
        case CONF_SET:
                v.i = *(const unsigned *)field;
                break;
        case CONF_STR:
                v.s = *(const char *const *)field;
                break;
        case CONF_ADDR:
                v.addr = *(const struct conf_addr *)field;
                break;
        }
        return v;
}

void conf_value_put(const struct conf_row *row, struct conf_value value, void *object)
{
        char *field = (char *)object + row->offset;

        switch (row->type) {
        case CONF_INT:
        case CONF_SIZE:
        case CONF_TIME:
                *(int64_t *)field = value.i;
                break;
        case CONF_RATIO:
                *(double *)field = value.r;
                break;
        case CONF_BOOL:
                *(bool *)field = value.i != 0;
                break;
        case CONF_ENUM:
                *(int *)field = (int)value.i;
                break;
        case CONF_SET:
                *(unsigned *)field = (unsigned)value.i;
                break;
        case CONF_STR:
                *(const char **)field = value.s;
                break;
        case CONF_ADDR:
                *(struct conf_addr *)field = value.addr;
                break;
        }
}
