/* Delegation tokens in the metadata: who may log in as whom, and until when. The token's secret, its HMAC, is not here: only a digest of it
 * and what SCRAM keeps of a password. Counted, and never written once made; any thread may read. Source: KIP-48, KIP-373. */
#pragma once

#include "meta/pmap.h"
#include "meta/record.h"

enum {
        META_TOKEN_DIGEST_LEN = 32,
        META_TOKEN_SALT_LEN_MAX = 256,
        META_TOKEN_RENEWERS_MAX = 64,
};

/* Of one mechanism of SCRAM. */
struct meta_token_keys {
        struct span stored, server;
};

struct meta_token {
        atomic_uint refs;
        uint32_t renewers_count;
        int32_t iterations;
        struct str id;
        struct str owner, requester;           /* principals: "User:alice" */
        int64_t issue_ms, expiry_ms, max_ms;   /* wall clock */
        uint8_t digest[META_TOKEN_DIGEST_LEN]; /* of the HMAC */
        struct span salt;
        struct meta_token_keys sha256, sha512;
        struct str renewers[]; /* principals likewise; then the text that all of these point into, wiped at the end */
};

/* Can the record be a token? */
bool meta_token_is_possible(const struct rec_delegation_token *r);
/* One reference, with copies; NULL when memory is out. @r is possible. */
struct meta_token *meta_token_new(const struct rec_delegation_token *r);
struct meta_token *meta_token_ref(struct meta_token *t);
/* NULL is fine. Returns NULL. */
struct meta_token *meta_token_unref(struct meta_token *t);
DEFINE_FREEP(struct meta_token, meta_token_unref)

/* The way back; texts and the array of renewers are borrowed from @t. */
void meta_token_to_record(const struct meta_token *t, struct rec_delegation_token *ret);
/* All of both is the same. */
bool meta_token_equal(const struct meta_token *a, const struct meta_token *b);
/* Bytes that it takes. */
size_t meta_token_bytes(const struct meta_token *t);

/* How the maps of an image order and count them. Keys: struct str *, and META_TOKEN_DIGEST_LEN bytes. */
extern const struct pmap_ops meta_tokens_ops;
extern const struct pmap_ops meta_tokens_by_digest_ops;
