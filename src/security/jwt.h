/* JSON Web Tokens that are signed, and the keys to check them with. Pure: bytes and the time in, claims or an outcome out.
 * Signatures: RS256, RS384, RS512, PS256, ES256, ES384, EdDSA (Ed25519). "none" and those with a shared secret (HS256...) are refused, and so is
 * what is encrypted. Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518, RFC 7519 (JWT), RFC 8037 (EdDSA), RFC 8725 (what to beware of). */
#pragma once

#include "base/macros.h"
#include "base/span.h"
#include "security/principal.h"

enum {
        JWT_LEN_MAX = 32 << 10,
        JWKS_LEN_MAX = 1 << 20,
        JWKS_KEYS_MAX = 64,
        JWKS_WHY_SIZE = 160,
};

/* ---- keys ---- */

/* A set of public keys. Immutable and counted; any thread. */
struct jwks;

/* From the text of a JWKS. Keys of other kinds, or for another use than signatures, are passed over. Return: 0; -EINVAL: @why says why, such
 * as that no key is left; -ENOMEM. */
int jwks_read(struct span text, struct jwks **ret_keys, char why[JWKS_WHY_SIZE]);
struct jwks *jwks_ref(struct jwks *k);
/* NULL is fine. Returns NULL. */
struct jwks *jwks_unref(struct jwks *k);
DEFINE_FREEP(struct jwks, jwks_unref)

/* A place for a set that is replaced now and then. */
struct jwks_slot;

/* @k: the first one; the reference is taken over. NULL: out of memory, and it is not. */
struct jwks_slot *jwks_slot_new(struct jwks *k);
/* NULL is fine. Returns NULL. */
struct jwks_slot *jwks_slot_free(struct jwks_slot *s);
/* Put another set there, whose reference is taken over. Any thread. */
void jwks_slot_set(struct jwks_slot *s, struct jwks *k);
/* The set that is there now, with a new reference. Any thread. */
struct jwks *jwks_slot_get(struct jwks_slot *s);

/* ---- tokens ---- */

/* What a token has to say. Texts are borrowed for the call. */
struct jwt_rules {
        struct str issuer;        /* empty: whoever */
        struct str audiences;     /* with commas between them, of which it has to name one; empty: whomever it is for */
        struct str subject_claim; /* that says who it is: "sub" */
        int64_t skew_ms;          /* by which clocks may differ */
        int64_t now_ms;           /* wall clock */
};

struct jwt_claims {
        char subject[PRINCIPAL_NAME_LEN_MAX + 1];
        size_t subject_len;
        int64_t expires_ms; /* wall clock */
};

enum {
        JWT_OK,
        JWT_E_MALFORMED, /* no signed token in the compact form */
        JWT_E_ALGORITHM, /* one that is not trusted here, or a header that may not be overlooked */
        JWT_E_KEY,       /* no key of the set fits */
        JWT_E_SIGNATURE,
        JWT_E_NO_EXPIRY,
        JWT_E_EXPIRED,
        JWT_E_NOT_YET, /* valid or issued in the future */
        JWT_E_ISSUER,
        JWT_E_AUDIENCE,
        JWT_E_SUBJECT, /* there is none, or one that is no name */
};
/* In words, for the operator. Static. */
const char *jwt_error_text(int outcome);

/* Check a token. Return: JWT_OK with @ret_claims; JWT_E_*; -ENOMEM. */
int jwt_check(const struct jwks *keys, struct str token, const struct jwt_rules *rules, struct jwt_claims *ret_claims);
