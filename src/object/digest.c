#include "object/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static int digest(const char *name, struct span data, uint8_t *ret_digest)
{
        EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
        int r = 0;

        if (!md)
                return -EOPNOTSUPP;
        if (!EVP_Digest(data.data, data.len, ret_digest, NULL, md, NULL))
                r = -ENOMEM;
        EVP_MD_free(md);
        return r;
}

int object_sha256(struct span data, uint8_t ret_digest[OBJECT_SHA256_SIZE])
{
        return digest("SHA256", data, ret_digest);
}

int object_md5(struct span data, uint8_t ret_digest[OBJECT_MD5_SIZE])
{
        return digest("MD5", data, ret_digest);
}

int object_hmac_sha256(struct span key, struct span data, uint8_t ret_digest[OBJECT_SHA256_SIZE])
{
        /* HMAC() takes NULL for "the key of before". */
        return HMAC(EVP_sha256(), key.len ? key.data : (const uint8_t *)"", (int)key.len, data.data, data.len,
                    ret_digest, NULL)
                       ? 0
                       : -ENOMEM;
}

void object_hex(const uint8_t *data, size_t len, char *ret_hex)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < len; i++) {
                ret_hex[2 * i] = digits[data[i] >> 4];
                ret_hex[2 * i + 1] = digits[data[i] & 15];
        }
        ret_hex[2 * len] = '\0';
}
