/* See oauth.h.
 *
 *    n,[a=AUTHZID],^A  KEY=VALUE^A ...  ^A        ^A is the byte 1; the pair "auth" holds "Bearer TOKEN" */
#include "security/oauth.h"

#include <strings.h>

#include "base/utf8.h"

#define BEARER "Bearer "

static struct str take_to(struct str *rest, char end, bool *ret_ok)
{
        const char *at = rest->len ? memchr(rest->p, end, rest->len) : NULL;
        struct str part;

        if (!at) {
                *ret_ok = false;
                return STR_NULL;
        }
        part = (struct str){ rest->p, (size_t)(at - rest->p) };
        *rest = (struct str){ at + 1, rest->len - part.len - 1 };
        return part;
}

/* A name in which "=2C" and "=3D" would stand for a comma and an equals sign is not asked for: nobody acts as somebody else. */
static bool read_header(struct str *rest, struct oauth *ret)
{
        bool ok = true;
        struct str flag = take_to(rest, ',', &ok), authzid = ok ? take_to(rest, ',', &ok) : STR_NULL;

        if (!ok || !str_equal_c(flag, "n") || !utf8_is_valid(authzid))
                return false;
        if (authzid.len) {
                if (authzid.len < 3 || memcmp(authzid.p, "a=", 2))
                        return false;
                ret->authzid = (struct str){ authzid.p + 2, authzid.len - 2 };
        }
        (void)take_to(rest, 1, &ok);
        return ok;
}

static bool is_key(struct str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z'))
                        return false;
        return s.len;
}

static bool is_value(struct str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!((s.p[i] >= 32 && s.p[i] < 127) || s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n'))
                        return false;
        return true;
}

static bool take_bearer(struct str value, struct oauth *ret)
{
        size_t len = sizeof BEARER - 1;

        if (!str_is_null(ret->token) || value.len <= len || strncasecmp(value.p, BEARER, len))
                return false;
        ret->token = (struct str){ value.p + len, value.len - len };
        while (ret->token.len && ret->token.p[0] == ' ')
                ret->token = (struct str){ ret->token.p + 1, ret->token.len - 1 };
        while (ret->token.len && ret->token.p[ret->token.len - 1] == ' ')
                ret->token.len--;
        return ret->token.len;
}

bool oauth_read(struct span message, struct oauth *ret)
{
        struct str rest = { (const char *)message.data, message.len };

        *ret = (struct oauth){ 0 };
        if (!read_header(&rest, ret))
                return false;
        for (;;) {
                bool ok = true;
                struct str value = take_to(&rest, 1, &ok), key;

                if (ok && !value.len) /* the end */
                        return !rest.len && !str_is_null(ret->token);
                key = ok ? take_to(&value, '=', &ok) : STR_NULL;
                if (!ok || !is_key(key) || !is_value(value))
                        return false;
                if (str_equal_c(key, "auth") && !take_bearer(value, ret))
                        return false;
        }
}
