#include "security/plain.h"

#include "base/utf8.h"
#include "security/principal.h"

enum { PASSWORD_LEN_MAX = 4096 };

int plain_read(struct span message, struct plain *ret_plain)
{
        struct str parts[3] = { 0 };
        const char *at = (const char *)message.data, *end = at + message.len;
        struct plain p;

        if (!message.len)
                return PLAIN_E_MALFORMED;
        for (int i = 0; i < 3; i++) {
                const char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;

                if (!nul != (i == 2))
                        return PLAIN_E_MALFORMED;
                parts[i] = (struct str){ at, (size_t)((nul ? nul : end) - at) };
                at += parts[i].len + 1;
        }
        p = (struct plain){ parts[1], span_of(parts[2].p, parts[2].len) };
        if (!p.user.len)
                return PLAIN_E_NO_USER;
        if (!p.password.len)
                return PLAIN_E_NO_PASSWORD;
        if (p.user.len > PRINCIPAL_NAME_LEN_MAX || !utf8_is_valid(p.user) || p.password.len > PASSWORD_LEN_MAX)
                return PLAIN_E_MALFORMED;
        if (parts[0].len && !str_equal(parts[0], p.user))
                return PLAIN_E_AUTHZID;
        *ret_plain = p;
        return PLAIN_OK;
}
