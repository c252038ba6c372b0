#include "conf/quota.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "sys/sock.h"

static const char *const keys[] = { [QUOTA_PRODUCE] = "producer_byte_rate",
                                    [QUOTA_FETCH] = "consumer_byte_rate",
                                    [QUOTA_REQUEST] = "request_percentage",
                                    [QUOTA_MUTATION] = "controller_mutation_rate",
                                    [QUOTA_CONNECTION] = "connection_creation_rate" };
static const char *const parts[] = { [QUOTA_CLIENT_ID] = "client-id", [QUOTA_IP] = "ip", [QUOTA_USER] = "user" };

const char *quota_key_name(enum quota_key key)
{
        return keys[key];
}

const char *quota_part_name(enum quota_part part)
{
        return parts[part];
}

/* ---- whom ---- */

const char *quota_entity_check(struct quota_entity *e, struct arena *a)
{
        struct quota_entity_part *ip = &e->parts[QUOTA_IP];
        char text[SOCK_TEXT_SIZE];

        for (int i = 0; i < QUOTA_PARTS; i++)
                if (e->parts[i].is_set && !str_is_null(e->parts[i].name) && !e->parts[i].name.len)
                        return "A name is empty; the default has none.";
        if (!ip->is_set)
                return e->parts[QUOTA_CLIENT_ID].is_set || e->parts[QUOTA_USER].is_set
                               ? NULL
                               : "A quota is for somebody: name a user, a client-id or an ip.";
        if (e->parts[QUOTA_CLIENT_ID].is_set || e->parts[QUOTA_USER].is_set)
                return "A quota is for users and client ids, or for an ip, not for both.";
        if (str_is_null(ip->name))
                return NULL;
        if (sock_canonical_host(ip->name, text))
                return "An ip is an address in numbers; names are not looked up.";
        ip->name = arena_printf(a, "%s", text);
        return str_is_null(ip->name) ? "The server is out of memory." : NULL;
}

/* ---- names ---- */

static void put_escaped(struct strbuf *out, struct str s)
{
        for (size_t i = 0; i < s.len; i++) {
                if (s.p[i] == '%' || s.p[i] == ',')
                        strbuf_printf(out, "%%%02X", (unsigned char)s.p[i]);
                else
                        strbuf_add(out, &s.p[i], 1);
        }
}

struct str quota_entity_format(const struct quota_entity *e, struct arena *a)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        void *copy;

        for (int i = 0; i < QUOTA_PARTS; i++) {
                if (!e->parts[i].is_set)
                        continue;
                strbuf_printf(&out, "%s%s%s", out.len ? "," : "", parts[i], str_is_null(e->parts[i].name) ? "" : "=");
                put_escaped(&out, e->parts[i].name);
        }
        if (out.failed || !out.len || out.len > QUOTA_NAME_LEN_MAX)
                return STR_NULL;
        copy = arena_memdup(a, out.data, out.len);
        return copy ? (struct str){ copy, out.len } : STR_NULL;
}

static int hex(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool unescape(struct str s, struct arena *a, struct str *ret)
{
        char *out = arena_alloc(a, s.len);
        size_t n = 0;

        for (size_t i = 0; out && i < s.len; i++) {
                if (s.p[i] != '%') {
                        out[n++] = s.p[i];
                        continue;
                }
                if (i + 2 >= s.len || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
                        return false;
                out[n++] = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
                i += 2;
        }
        *ret = (struct str){ out, n };
        return out;
}

static bool parse_part(struct str s, struct arena *a, struct quota_entity *ret)
{
        for (int i = 0; i < QUOTA_PARTS; i++) {
                size_t len = strlen(parts[i]);
                struct quota_entity_part *p = &ret->parts[i];

                if (s.len < len || memcmp(s.p, parts[i], len) != 0 || (s.len > len && s.p[len] != '='))
                        continue;
                if (p->is_set)
                        return false;
                p->is_set = true;
                p->name = STR_NULL;
                return s.len == len || unescape((struct str){ s.p + len + 1, s.len - len - 1 }, a, &p->name);
        }
        return false;
}

bool quota_entity_parse(struct str name, struct arena *a, struct quota_entity *ret)
{
        struct str ip;

        *ret = (struct quota_entity){ 0 };
        if (!name.len || name.len > QUOTA_NAME_LEN_MAX)
                return false;
        for (size_t at = 0; at <= name.len;) {
                const char *comma = memchr(name.p + at, ',', name.len - at);
                size_t end = comma ? (size_t)(comma - name.p) : name.len;

                if (!parse_part((struct str){ name.p + at, end - at }, a, ret))
                        return false;
                at = end + 1;
        }
        ip = ret->parts[QUOTA_IP].name;
        return !quota_entity_check(ret, a) && (str_is_null(ip) || str_equal(ip, ret->parts[QUOTA_IP].name));
}

/* ---- values ---- */

double quota_value(struct str value)
{
        char text[32];

        snprintf(text, sizeof text, "%.*s", STR_FMT(value));
        return strtod(text, NULL);
}

/* Half a byte is none; the other quotas are shares and rates. */
static bool is_in_bytes(int key)
{
        return key == QUOTA_PRODUCE || key == QUOTA_FETCH;
}

static bool is_for_addresses(struct str name)
{
        size_t len = strlen(parts[QUOTA_IP]);

        return name.len >= len && !memcmp(name.p, parts[QUOTA_IP], len);
}

static int judge(enum quota_key key, struct str value, struct strbuf *why)
{
        char text[32], *end;
        double v;

        snprintf(text, sizeof text, "%.*s", STR_FMT(value));
        v = strtod(text, &end);
        if (!value.len || value.len >= sizeof text || *end || !isfinite(v) || v <= 0)
                strbuf_printf(why, "%s: is %.*s; right is a number above 0", keys[key], STR_FMT(value));
        else if (key == QUOTA_CONNECTION && (v != floor(v) || v > INT32_MAX))
                strbuf_printf(why, "%s: is %.*s; right is a whole number from 1 to %d", keys[key], STR_FMT(value),
                              INT32_MAX);
        else if (is_in_bytes((int)key) && v != floor(v))
                strbuf_printf(why, "%s: is %.*s; right is a whole number above 0", keys[key], STR_FMT(value));
        else
                return 0;
        return why->failed ? -ENOMEM : CONF_E_INVALID;
}

int quota_validate(struct str name, struct str key, struct str value, struct strbuf *why)
{
        bool addresses = is_for_addresses(name), first = true;

        for (int i = 0; i < QUOTA_KEYS; i++)
                if (str_equal_c(key, keys[i]) && (i == QUOTA_CONNECTION) == addresses)
                        return judge(i, value, why);
        strbuf_printf(why, "%.*s: there is no such quota for %s; there are", STR_FMT(key),
                      addresses ? "addresses" : "users and client ids");
        for (int i = 0; i < QUOTA_KEYS; i++) {
                if ((i == QUOTA_CONNECTION) != addresses)
                        continue;
                strbuf_printf(why, "%s %s", first ? "" : ",", keys[i]);
                first = false;
        }
        return why->failed ? -ENOMEM : CONF_E_UNKNOWN;
}
