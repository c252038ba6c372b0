/* See token.h. */
#include "security/token.h"

#include <errno.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

int token_hmac(struct span secret, struct str id, uint8_t ret_hmac[TOKEN_HMAC_LEN])
{
        unsigned len = 0;

        return HMAC(EVP_sha512(), secret.data, (int)secret.len, (const uint8_t *)id.p, id.len, ret_hmac, &len)
                       ? 0
                       : -ENOMEM;
}

int token_digest(struct span hmac, uint8_t ret_digest[TOKEN_DIGEST_LEN])
{
        return EVP_Digest(hmac.data, hmac.len, ret_digest, NULL, EVP_sha256(), NULL) ? 0 : -ENOMEM;
}
