/* Goal: a token that is signed with a known key and says what it has to is believed, and no other one is. Method: keys made here, tokens
 * signed with them by each algorithm, and tokens that are wrong in one place. */
#include <errno.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "security/jwt.h"
#include "security/oauth.h"
#include "unit.h"

#define CLAIMS "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":[\"x\",\"kafka\"],\"iat\":1000,\"exp\":2000}"

enum { NOW_MS = 1500000 };

static EVP_PKEY *rsa, *small, *p256, *p384, *ed;

static void add_url(struct strbuf *out, const void *data, size_t len)
{
        size_t begin = out->len;

        base64_add(out, span_of(data, len));
        while (out->len > begin && out->data[out->len - 1] == '=')
                out->len--;
        for (size_t i = begin; i < out->len; i++)
                out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

static void add_text(struct strbuf *out, const char *text)
{
        strbuf_add(out, text, strlen(text));
}

/* ---- the set of keys ---- */

static void add_number(struct strbuf *out, const char *name, EVP_PKEY *key, const char *param)
{
        BIGNUM *n = NULL;
        uint8_t bytes[1100];
        int len;

        CU_ASSERT_FATAL(EVP_PKEY_get_bn_param(key, param, &n) == 1);
        len = BN_bn2bin(n, bytes);
        BN_free(n);
        add_text(out, name);
        add_url(out, bytes, (size_t)len);
        add_text(out, "\"");
}

static void add_rsa(struct strbuf *out, EVP_PKEY *key, const char *rest)
{
        add_text(out, "{\"kty\":\"RSA\",");
        add_number(out, "\"n\":\"", key, OSSL_PKEY_PARAM_RSA_N);
        add_number(out, ",\"e\":\"", key, OSSL_PKEY_PARAM_RSA_E);
        add_text(out, rest);
        add_text(out, "},");
}

static void add_ec(struct strbuf *out, EVP_PKEY *key, const char *curve, size_t len, const char *id)
{
        uint8_t point[200];
        size_t n = 0;

        CU_ASSERT_FATAL(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof point,
                                                        &n) == 1 &&
                        n == 1 + 2 * len);
        add_text(out, "{\"kty\":\"EC\",\"crv\":\"");
        add_text(out, curve);
        add_text(out, "\",\"x\":\"");
        add_url(out, point + 1, len);
        add_text(out, "\",\"y\":\"");
        add_url(out, point + 1 + len, len);
        add_text(out, "\",\"kid\":\"");
        add_text(out, id);
        add_text(out, "\"},");
}

static struct jwks *keys(void)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        char why[JWKS_WHY_SIZE];
        struct jwks *k = NULL;
        uint8_t x[32];
        size_t len = sizeof x;

        add_text(&out, "{\"keys\":[");
        add_rsa(&out, rsa, ",\"kid\":\"r\",\"use\":\"sig\"");
        add_rsa(&out, small, ",\"kid\":\"small\"");
        add_ec(&out, p256, "P-256", 32, "p256");
        add_ec(&out, p384, "P-384", 48, "p384");
        CU_ASSERT_FATAL(EVP_PKEY_get_raw_public_key(ed, x, &len) == 1);
        add_text(&out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\",\"x\":\"");
        add_url(&out, x, len);
        add_text(&out, "\"},{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"r2\"},{},1]}");
        CU_ASSERT_EQUAL_FATAL(jwks_read(span_of(out.data, out.len), &k, why), 0);
        return k;
}

/* ---- tokens ---- */

/* The signature as it stands in a token. */
static size_t raw_of(const uint8_t *der, size_t len, size_t half, uint8_t *ret)
{
        const uint8_t *at = der;
        ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &at, (long)len);

        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, (int)half);
        BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + half, (int)half);
        ECDSA_SIG_free(s);
        return 2 * half;
}

struct signer {
        const char *header;
        EVP_PKEY **key;
        const EVP_MD *(*digest)(void);
        bool pss;
        size_t half;
};

static void sign(struct strbuf *out, const struct signer *s, const char *claims)
{
        uint8_t sig[1100], raw[200];
        size_t len = sizeof sig;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pctx;

        add_url(out, s->header, strlen(s->header));
        add_text(out, ".");
        add_url(out, claims, strlen(claims));
        CU_ASSERT_FATAL(EVP_DigestSignInit(ctx, &pctx, s->digest ? s->digest() : NULL, NULL, *s->key) == 1);
        if (s->pss)
                CU_ASSERT_FATAL(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                                EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
        CU_ASSERT_FATAL(EVP_DigestSign(ctx, sig, &len, (uint8_t *)out->data, out->len) == 1);
        EVP_MD_CTX_free(ctx);
        if (s->half)
                len = raw_of(sig, len, s->half, raw);
        add_text(out, ".");
        add_url(out, s->half ? raw : sig, len);
}

static const struct jwt_rules rules = { .issuer = { "me", 2 },
                                        .audiences = { "here,kafka", 10 },
                                        .subject_claim = { "sub", 3 },
                                        .skew_ms = 1000,
                                        .now_ms = NOW_MS };

static int checked(const struct strbuf *token, const struct jwt_rules *by, struct jwt_claims *ret)
{
        CLEANUP(jwks_unrefp) struct jwks *k = keys();

        return jwt_check(k, (struct str){ token->data, token->len }, by, ret);
}

static int outcome_of(const struct signer *s, const char *claims)
{
        CLEANUP(strbuf_finip) struct strbuf token = { 0 };
        struct jwt_claims c;

        sign(&token, s, claims);
        return checked(&token, &rules, &c);
}

static const struct signer es256 = { "{\"alg\":\"ES256\",\"kid\":\"p256\"}", &p256, EVP_sha256, .half = 32 };

static void test_algorithms(void)
{
        static const struct signer good[] = {
                { "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"JWT\"}", &rsa, EVP_sha256, .pss = false },
                { "{\"alg\":\"RS384\"}", &rsa, EVP_sha384, .pss = false },
                { "{\"alg\":\"RS512\",\"kid\":\"r\"}", &rsa, EVP_sha512, .pss = false },
                { "{\"alg\":\"PS256\",\"kid\":\"r\"}", &rsa, EVP_sha256, .pss = true },
                { "{\"alg\":\"ES256\"}", &p256, EVP_sha256, .half = 32 },
                { "{\"alg\":\"ES384\",\"kid\":\"p384\"}", &p384, EVP_sha384, .half = 48 },
                { "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", &ed, NULL, .pss = false },
        };

        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                CLEANUP(strbuf_finip) struct strbuf token = { 0 };
                struct jwt_claims c;

                sign(&token, &good[i], CLAIMS);
                CU_ASSERT_EQUAL(checked(&token, &rules, &c), JWT_OK);
                CU_ASSERT(!strcmp(c.subject, "alice") && c.subject_len == 5 && c.expires_ms == 2000000);
                /* Any bit of it counts. */
                for (size_t at = 0; at < token.len; at += 7) {
                        token.data[at] ^= 1;
                        CU_ASSERT_NOT_EQUAL(checked(&token, &rules, &c), JWT_OK);
                        token.data[at] ^= 1;
                }
                token.len--;
                CU_ASSERT_NOT_EQUAL(checked(&token, &rules, &c), JWT_OK);
        }
}

static void test_what_is_not_trusted(void)
{
        static const struct {
                struct signer s;
                int outcome;
        } bad[] = {
                { { "{\"alg\":\"none\"}", &p256, EVP_sha256, .half = 32 }, JWT_E_ALGORITHM },
                { { "{\"alg\":\"HS256\",\"kid\":\"r2\"}", &p256, EVP_sha256, .half = 32 }, JWT_E_ALGORITHM },
                { { "{\"alg\":\"RS1\"}", &rsa, EVP_sha1, .pss = false }, JWT_E_ALGORITHM },
                { { "{}", &rsa, EVP_sha256, .pss = false }, JWT_E_ALGORITHM },
                { { "{\"alg\":\"ES256\",\"crit\":[\"x\"]}", &p256, EVP_sha256, .half = 32 }, JWT_E_ALGORITHM },
                { { "{\"alg\":\"ES256\",\"kid\":1}", &p256, EVP_sha256, .half = 32 }, JWT_E_ALGORITHM },
                { { "{\"alg\":\"ES256\",\"kid\":\"r\"}", &p256, EVP_sha256, .half = 32 }, JWT_E_KEY },
                { { "{\"alg\":\"ES256\",\"kid\":\"nobody\"}", &p256, EVP_sha256, .half = 32 }, JWT_E_KEY },
                { { "{\"alg\":\"RS256\",\"kid\":\"small\"}", &small, EVP_sha256, .pss = false }, JWT_E_KEY },
                { { "{\"alg\":\"RS256\"}", &small, EVP_sha256, .pss = false }, JWT_E_SIGNATURE },
                { { "{\"alg\":\"PS256\",\"kid\":\"r\"}", &rsa, EVP_sha256, .pss = false }, JWT_E_SIGNATURE },
                { { "{\"alg\":\"RS256\",\"kid\":\"r\"}", &rsa, EVP_sha512, .pss = false }, JWT_E_SIGNATURE },
                { { "[1]", &rsa, EVP_sha256, .pss = false }, JWT_E_MALFORMED },
                { { "{\"alg\":\"none\",\"alg\":\"ES256\"}", &p256, EVP_sha256, .half = 32 }, JWT_E_MALFORMED },
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CU_ASSERT_EQUAL(outcome_of(&bad[i].s, CLAIMS), bad[i].outcome);
}

static void test_claims(void)
{
        static const struct {
                const char *claims;
                int outcome;
        } of[] = {
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":1499.5}", JWT_OK }, /* the skew */
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":1499}", JWT_E_EXPIRED },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\"}", JWT_E_NO_EXPIRY },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":\"2000\"}", JWT_E_MALFORMED },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":1e300}", JWT_E_MALFORMED },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000,\"nbf\":1502}", JWT_E_NOT_YET },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000,\"iat\":1502}", JWT_E_NOT_YET },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000,\"nbf\":1501}", JWT_OK },
                { "{\"sub\":\"alice\",\"iss\":\"other\",\"aud\":\"here\",\"exp\":2000}", JWT_E_ISSUER },
                { "{\"sub\":\"alice\",\"aud\":\"here\",\"exp\":2000}", JWT_E_ISSUER },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"exp\":2000}", JWT_E_AUDIENCE },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"her\",\"exp\":2000}", JWT_E_AUDIENCE },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":\"here,kafka\",\"exp\":2000}", JWT_E_AUDIENCE },
                { "{\"sub\":\"alice\",\"iss\":\"me\",\"aud\":[],\"exp\":2000}", JWT_E_AUDIENCE },
                { "{\"sub\":\"\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000}", JWT_E_SUBJECT },
                { "{\"sub\":7,\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000}", JWT_E_SUBJECT },
                { "{\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000}", JWT_E_SUBJECT },
                { "{\"sub\":\"a\",\"sub\":\"b\",\"iss\":\"me\",\"aud\":\"here\",\"exp\":2000}", JWT_E_MALFORMED },
                { "7", JWT_E_MALFORMED },
        };
        struct jwt_rules loose = { .subject_claim = STR_LIT("name"), .now_ms = NOW_MS };
        CLEANUP(strbuf_finip) struct strbuf token = { 0 };
        struct jwt_claims c;

        for (size_t i = 0; i < ARRAY_LEN(of); i++)
                CU_ASSERT_EQUAL(outcome_of(&es256, of[i].claims), of[i].outcome);
        sign(&token, &es256, "{\"name\":\"bob\",\"exp\":1600}");
        CU_ASSERT(checked(&token, &loose, &c) == JWT_OK && !strcmp(c.subject, "bob"));
}

static void test_sets(void)
{
        static const char *const none[] = {
                "",
                "[]",
                "{\"keys\":1}",
                "{\"keys\":[]}",
                "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
                "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
                "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}",
                "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AQAB\"}]}"
        };
        char why[JWKS_WHY_SIZE];
        struct jwks *k;

        for (size_t i = 0; i < ARRAY_LEN(none); i++)
                CU_ASSERT_EQUAL(jwks_read(span_of(none[i], strlen(none[i])), &k, why), -EINVAL);
}

static bool reads(const char *message, struct oauth *o)
{
        return oauth_read(span_of(message, strlen(message)), o);
}

static void test_messages(void)
{
        static const char *const bad[] = { "",
                                           "n,,",
                                           "n,,\1\1",
                                           "n,,\1auth=Bearer x\1",
                                           "n,,\1auth=Bearer \1\1",
                                           "n,,\1auth=Basic x\1\1",
                                           "n,,\1auth=Bearer x\1auth=Bearer y\1\1",
                                           "y,,\1auth=Bearer x\1\1",
                                           "n,b=x,\1auth=Bearer x\1\1",
                                           "n,,\1auth=Bearer x\1a1=y\1\1",
                                           "n,,\1auth=Bearer x\1\1more",
                                           "n,,\1auth=Bearer x\1k\1\1" };
        struct oauth o;

        CU_ASSERT(reads("n,,\1auth=Bearer abc\1\1", &o) && str_equal_c(o.token, "abc") && !o.authzid.len);
        CU_ASSERT(reads("n,a=me,\1host=h\1auth=bearer abc\1Port=9\1\1", &o) && str_equal_c(o.authzid, "me"));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CU_ASSERT(!reads(bad[i], &o));
}

static void test_all(void)
{
        rsa = EVP_RSA_gen(2048);
        small = EVP_RSA_gen(1024);
        p256 = EVP_EC_gen("P-256");
        p384 = EVP_EC_gen("P-384");
        ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        CU_ASSERT_FATAL(rsa && small && p256 && p384 && ed);
        test_algorithms();
        test_what_is_not_trusted();
        test_claims();
        EVP_PKEY_free(rsa);
        EVP_PKEY_free(small);
        EVP_PKEY_free(p256);
        EVP_PKEY_free(p384);
        EVP_PKEY_free(ed);
}

static const struct unit_case cases[] = {
        { "tokens", test_all },
        { "sets of keys", test_sets },
        { "messages of a client", test_messages },
};
UNIT_MAIN("jwt", cases)
