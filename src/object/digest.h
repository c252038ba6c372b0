/* Digests that requests to object stores carry. Pure; any thread. */
#pragma once

#include "base/span.h"

enum { OBJECT_SHA256_SIZE = 32, OBJECT_SHA256_HEX_SIZE = 65, OBJECT_MD5_SIZE = 16 };

/* Return, all three: 0; -ENOMEM: OpenSSL had no memory; -EOPNOTSUPP: it does not offer the digest (MD5 where only FIPS 140 is allowed). */
int object_sha256(struct span data, uint8_t ret_digest[OBJECT_SHA256_SIZE]);
int object_md5(struct span data, uint8_t ret_digest[OBJECT_MD5_SIZE]);
int object_hmac_sha256(struct span key, struct span data, uint8_t ret_digest[OBJECT_SHA256_SIZE]);

/* @len bytes as lower-case hexadecimal digits with a NUL behind them: @ret_hex has room for 2 * @len + 1. */
void object_hex(const uint8_t *data, size_t len, char *ret_hex);
