/* See jwt.h. The order: what the header says, the signature, and only then what the token says. */
#include <errno.h>
#include <math.h>

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "security/jwt_internal.h"

enum {
        TRIES_MAX = 4, /* keys for a token that does not name one */
        SIGNATURE_LEN_MAX = 1024 + 8,
        EC_DER_LEN_MAX = 128,
};

static const struct algorithm {
        const char *name;
        enum jwt_kind kind;
        const EVP_MD *(*digest)(void); /* NULL: the kind has its own */
        bool pss;
        size_t half_len; /* of r and of s, for EC */
} algorithms[] = {
        { "RS256", JWT_RSA, EVP_sha256, .pss = false },    { "RS384", JWT_RSA, EVP_sha384, .pss = false },
        { "RS512", JWT_RSA, EVP_sha512, .pss = false },    { "PS256", JWT_RSA, EVP_sha256, .pss = true },
        { "ES256", JWT_P256, EVP_sha256, .half_len = 32 }, { "ES384", JWT_P384, EVP_sha384, .half_len = 48 },
        { "EdDSA", JWT_ED25519, NULL, .pss = false },
};

const char *jwt_error_text(int outcome)
{
        static const char *const texts[] = {
                [JWT_OK] = "nothing is wrong",
                [JWT_E_MALFORMED] = "it is no signed token",
                [JWT_E_ALGORITHM] = "its algorithm, or something else in its header, is not accepted",
                [JWT_E_KEY] = "the key that it is signed with is not known",
                [JWT_E_SIGNATURE] = "the signature is wrong",
                [JWT_E_NO_EXPIRY] = "it does not say when it ends",
                [JWT_E_EXPIRED] = "it has expired",
                [JWT_E_NOT_YET] = "it is not valid yet",
                [JWT_E_ISSUER] = "it is of another issuer",
                [JWT_E_AUDIENCE] = "it is for another audience",
                [JWT_E_SUBJECT] = "it does not say who it is",
        };

        return outcome >= 0 && (size_t)outcome < ARRAY_LEN(texts) ? texts[outcome] : "no memory";
}

/* ---- parts ---- */

struct parts {
        struct str header, payload, signature, is_signed;
};

/* Three parts with dots between them. */
static bool split(struct str token, struct parts *ret)
{
        const char *first = token.len ? memchr(token.p, '.', token.len) : NULL, *end = token.p + token.len, *second;

        second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
        if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
                return false;
        ret->header = (struct str){ token.p, (size_t)(first - token.p) };
        ret->payload = (struct str){ first + 1, (size_t)(second - first - 1) };
        ret->signature = (struct str){ second + 1, (size_t)(end - second - 1) };
        ret->is_signed = (struct str){ token.p, (size_t)(second - token.p) };
        return ret->header.len && ret->payload.len;
}

/* An object of JSON in base64. Return: 0; JWT_E_MALFORMED; -ENOMEM. */
static int read_object(struct str text, json_t **ret)
{
        CLEANUP(freep) uint8_t *bytes = malloc(text.len / 4 * 3 + 3);
        size_t len;
        int r = bytes ? base64url_read(text, bytes, &len) : -ENOMEM;

        if (r)
                return r == -ENOMEM ? r : JWT_E_MALFORMED;
        *ret = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
        return json_is_object(*ret) ? 0 : JWT_E_MALFORMED;
}

/* ---- signature ---- */

/* r and s as OpenSSL wants them. Return: the length; 0: that is none. */
static size_t der_of(const struct algorithm *a, struct span signature, uint8_t ret[EC_DER_LEN_MAX])
{
        ECDSA_SIG *sig;
        uint8_t *at = ret;
        BIGNUM *r, *s;
        int len = 0;

        if (signature.len != 2 * a->half_len)
                return 0;
        sig = ECDSA_SIG_new();
        r = BN_bin2bn(signature.data, (int)a->half_len, NULL);
        s = BN_bin2bn(signature.data + a->half_len, (int)a->half_len, NULL);
        if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
                len = i2d_ECDSA_SIG(sig, &at);
        } else {
                BN_free(r);
                BN_free(s);
        }
        ECDSA_SIG_free(sig);
        return len > 0 ? (size_t)len : 0;
}

static bool fits(const struct algorithm *a, const struct jwt_key *k, struct str id)
{
        return k->kind == a->kind && (!k->algorithm || !strcmp(k->algorithm, a->name)) &&
               (str_is_null(id) || (k->id && str_equal_c(id, k->id)));
}

static bool verify(const struct algorithm *a, const struct jwt_key *k, struct str text, struct span signature)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pctx;
        bool ok = ctx && EVP_DigestVerifyInit(ctx, &pctx, a->digest ? a->digest() : NULL, NULL, k->pkey) == 1;

        if (ok && a->pss)
                ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
        if (ok)
                ok = EVP_DigestVerify(ctx, signature.data, signature.len, (const uint8_t *)text.p, text.len) == 1;
        EVP_MD_CTX_free(ctx);
        return ok;
}

static int check_signature(const struct jwks *keys, const struct parts *p, const struct algorithm *a, struct str id)
{
        uint8_t raw[SIGNATURE_LEN_MAX], der[EC_DER_LEN_MAX];
        struct span signature = { raw, 0 };
        int tries = 0, r;

        if (!p->signature.len || p->signature.len / 4 * 3 + 3 > sizeof raw)
                return JWT_E_SIGNATURE;
        r = base64url_read(p->signature, raw, &signature.len);
        if (r)
                return r == -ENOMEM ? r : JWT_E_MALFORMED;
        if (a->half_len)
                signature = span_of(der, der_of(a, signature, der));
        for (size_t i = 0; i < keys->count && signature.len && tries < TRIES_MAX; i++) {
                if (!fits(a, &keys->keys[i], id))
                        continue;
                tries++;
                if (verify(a, &keys->keys[i], p->is_signed, signature))
                        return 0;
        }
        return tries || !signature.len ? JWT_E_SIGNATURE : JWT_E_KEY;
}

/* The header is believed in nothing but which of our keys and algorithms it means. */
static int check_header(const struct jwks *keys, const struct parts *p)
{
        CLEANUP(jwt_json_freep) json_t *header = NULL;
        int r = read_object(p->header, &header);
        struct str name;

        if (r)
                return r;
        name = jwt_text(header, "alg");
        if (json_object_get(header, "crit") || (json_object_get(header, "kid") && !jwt_text(header, "kid").p))
                return JWT_E_ALGORITHM;
        for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
                if (str_equal_c(name, algorithms[i].name))
                        return check_signature(keys, p, &algorithms[i], jwt_text(header, "kid"));
        return JWT_E_ALGORITHM;
}

/* ---- claims ---- */

/* Seconds since 1970, perhaps with a fraction. Return: 0; -ENOENT: there is no such claim; -EINVAL: it is no time. */
static int read_time(const json_t *payload, const char *name, int64_t *ret_ms)
{
        const json_t *v = json_object_get(payload, name);
        double s = json_number_value(v);

        if (!v)
                return -ENOENT;
        if (!json_is_number(v) || !isfinite(s) || s < 0 || s > 1e12)
                return -EINVAL;
        *ret_ms = (int64_t)(s * 1000);
        return 0;
}

static int check_times(const json_t *payload, const struct jwt_rules *rules, struct jwt_claims *c)
{
        static const char *const since[] = { "nbf", "iat" };
        int r = read_time(payload, "exp", &c->expires_ms);
        int64_t ms;

        if (r)
                return r == -ENOENT ? JWT_E_NO_EXPIRY : JWT_E_MALFORMED;
        if (c->expires_ms + rules->skew_ms <= rules->now_ms)
                return JWT_E_EXPIRED;
        for (size_t i = 0; i < ARRAY_LEN(since); i++) {
                r = read_time(payload, since[i], &ms);
                if (r == -EINVAL)
                        return JWT_E_MALFORMED;
                if (!r && ms - rules->skew_ms > rules->now_ms)
                        return JWT_E_NOT_YET;
        }
        return 0;
}

static bool is_listed(struct str list, struct str word)
{
        while (list.len) {
                const char *comma = memchr(list.p, ',', list.len);
                size_t len = comma ? (size_t)(comma - list.p) : list.len;

                if (len && str_equal((struct str){ list.p, len }, word))
                        return true;
                list = comma ? (struct str){ comma + 1, list.len - len - 1 } : (struct str){ list.p, 0 };
        }
        return false;
}

/* One text, or an array of them. */
static bool is_for(const json_t *payload, struct str audiences)
{
        const json_t *v = json_object_get(payload, "aud");

        if (!audiences.len || is_listed(audiences, jwt_text(payload, "aud")))
                return true;
        for (size_t i = 0; i < json_array_size(v); i++) {
                const json_t *one = json_array_get(v, i);

                if (json_is_string(one) &&
                    is_listed(audiences, (struct str){ json_string_value(one), json_string_length(one) }))
                        return true;
        }
        return false;
}

static int read_subject(const json_t *payload, struct str claim, struct jwt_claims *c)
{
        char name[256];
        struct str text;

        if (!claim.len || claim.len >= sizeof name)
                return JWT_E_SUBJECT;
        memcpy(name, claim.p, claim.len);
        name[claim.len] = 0;
        text = jwt_text(payload, name);
        if (!text.len || text.len > PRINCIPAL_NAME_LEN_MAX || !utf8_is_valid(text) || memchr(text.p, 0, text.len))
                return JWT_E_SUBJECT;
        memcpy(c->subject, text.p, text.len);
        c->subject[text.len] = 0;
        c->subject_len = text.len;
        return 0;
}

int jwt_check(const struct jwks *keys, struct str token, const struct jwt_rules *rules, struct jwt_claims *ret_claims)
{
        CLEANUP(jwt_json_freep) json_t *payload = NULL;
        struct jwt_claims c = { 0 };
        struct parts p;
        int r;

        if (token.len > JWT_LEN_MAX || !split(token, &p))
                return JWT_E_MALFORMED;
        r = check_header(keys, &p);
        if (!r)
                r = read_object(p.payload, &payload);
        if (!r)
                r = check_times(payload, rules, &c);
        if (r)
                return r;
        if (rules->issuer.len && !str_equal(rules->issuer, jwt_text(payload, "iss")))
                return JWT_E_ISSUER;
        if (!is_for(payload, rules->audiences))
                return JWT_E_AUDIENCE;
        r = read_subject(payload, rules->subject_claim, &c);
        if (!r)
                *ret_claims = c;
        return r;
}
