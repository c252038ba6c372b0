/* The secret part of delegation tokens: whoever knows the HMAC of a token's id logs in with it, as with a password. Pure; any thread.
 * Source: KIP-48. */
#pragma once

#include "base/span.h"

enum { TOKEN_HMAC_LEN = 64, TOKEN_DIGEST_LEN = 32, TOKEN_SECRET_LEN_MIN = 16, TOKEN_SECRET_LEN_MAX = 4096 };

/* HMAC-SHA-512 of the id under the cluster's secret. Return: 0; -ENOMEM: OpenSSL would not. */
int token_hmac(struct span secret, struct str id, uint8_t ret_hmac[TOKEN_HMAC_LEN]);
/* SHA-256 of what is or claims to be an HMAC: what it is looked up by, so that the HMAC need not be kept. Return: as above. */
int token_digest(struct span hmac, uint8_t ret_digest[TOKEN_DIGEST_LEN]);

/* ---- the secrets of a node ---- */

/* HMACs are made with the first. While it is replaced, those of the others count as well: of the next one, because another node may make tokens
 * with it already, and of the one from before. */
enum token_secret { TOKEN_SECRET, TOKEN_SECRET_NEXT, TOKEN_SECRET_BEFORE, TOKEN_SECRETS };

struct token_ring;

/* Without secrets. NULL: out of memory. */
struct token_ring *token_ring_new(void);
/* Wipes it. NULL is fine. Returns NULL. */
struct token_ring *token_ring_free(struct token_ring *r);
/* Take copies in the place of those that it has; an empty one: there is none. Any thread. Return: 0; -ENOMEM. */
int token_ring_set(struct token_ring *r, const struct span secrets[TOKEN_SECRETS]);
/* Is there the first? Any thread. */
bool token_ring_has(struct token_ring *r);
/* HMAC of the id under one of them. Any thread. Return: 0; -ENOENT: there is none; -ENOMEM. */
int token_ring_hmac(struct token_ring *r, enum token_secret which, struct str id, uint8_t ret_hmac[TOKEN_HMAC_LEN]);
