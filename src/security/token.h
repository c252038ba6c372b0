/* The secret part of delegation tokens: whoever knows the HMAC of a token's id logs in with it, as with a password. Pure; any thread.
 * Source: KIP-48. */
#pragma once

#include "base/span.h"

enum { TOKEN_HMAC_LEN = 64, TOKEN_DIGEST_LEN = 32 };

/* HMAC-SHA-512 of the id under the cluster's secret. Return: 0; -ENOMEM: OpenSSL would not. */
int token_hmac(struct span secret, struct str id, uint8_t ret_hmac[TOKEN_HMAC_LEN]);
/* SHA-256 of what is or claims to be an HMAC: what it is looked up by, so that the HMAC need not be kept. Return: as above. */
int token_digest(struct span hmac, uint8_t ret_digest[TOKEN_DIGEST_LEN]);
