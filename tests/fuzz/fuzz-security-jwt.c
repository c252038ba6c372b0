/* What a client says by OAUTHBEARER, and sets of keys. Nobody gets in: the keys are those of the input, and nothing here signs. */
#include <stdlib.h>

#include "security/jwt.h"
#include "security/oauth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

/* The set, a 0, and the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
        struct jwt_rules rules = { .subject_claim = STR_LIT("sub"), .now_ms = 1000 };
        CLEANUP(jwks_unrefp) struct jwks *keys = NULL;
        char why[JWKS_WHY_SIZE];
        struct jwt_claims c;
        struct oauth o;

        if (!zero || jwks_read(span_of(data, (size_t)(zero - data)), &keys, why))
                return 0;
        if (!oauth_read(span_of(zero + 1, size - (size_t)(zero - data) - 1), &o))
                return 0;
        must(o.token.len > 0);
        if (jwt_check(keys, o.token, &rules, &c) == JWT_OK)
                must(c.subject_len > 0 && c.subject_len <= PRINCIPAL_NAME_LEN_MAX);
        return 0;
}
