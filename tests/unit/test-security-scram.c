/* Goal: who knows the password gets in and who does not stays out, and nothing tells an unknown user from a known one. Method: the
 * exchange of RFC 7677, a client of our own for the rest, messages that are wrong in one place. */
#include "base/base64.h"
#include "security/plain.h"
#include "security/scram.h"
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static struct span span_c(const char *text)
{
        return span_of(text, strlen(text));
}

static struct str text_of(const struct strbuf *b)
{
        return (struct str){ b->data, b->len };
}

static struct scram_credential credential(enum scram_mechanism m, const char *password, struct span salt,
                                          int32_t iterations)
{
        struct scram_credential c = { .iterations = iterations, .salt = salt };
        uint8_t salted[SCRAM_KEY_LEN_MAX];

        CU_ASSERT_EQUAL_FATAL(scram_salt_password(m, span_c(password), salt, iterations, salted), 0);
        CU_ASSERT_EQUAL_FATAL(scram_derive(m, salted, &c.keys), 0);
        return c;
}

#define RFC_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static struct scram *rfc_exchange(const char *first, struct strbuf *out)
{
        uint8_t salt[SCRAM_SALT_LEN_MAX];
        struct scram *s = scram_new(SCRAM_SHA_256);
        size_t len = 0;

        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_EQUAL_FATAL(base64_read(STR_LIT("W22ZaJ0SNY7soEsUEjb6gQ=="), salt, &len), 0);
        struct scram_credential c = credential(SCRAM_SHA_256, "pencil", span_of(salt, len), 4096);
        CU_ASSERT_EQUAL_FATAL(scram_take_first(s, span_c(first)), SCRAM_OK);
        CU_ASSERT(str_equal(scram_user(s), STR_LIT("user")));
        CU_ASSERT_EQUAL_FATAL(scram_challenge(s, &c, true, STR_LIT("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"), out), 0);
        return s;
}

static void test_does_what_the_rfc_shows(void)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        CLEANUP(scram_freep) struct scram *s = rfc_exchange(RFC_FIRST, &out);

        CU_ASSERT(str_equal(text_of(&out), STR_LIT("r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
        out.len = 0;
        CU_ASSERT_EQUAL(
                scram_take_final(s, span_c("c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
                                 &out),
                SCRAM_OK);
        CU_ASSERT(str_equal(text_of(&out), STR_LIT("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
}

static void test_refuses_final_messages(void)
{
        static const struct {
                const char *message;
                int outcome;
        } bad[] = {
                { "c=biws,r=" RFC_NONCE ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_E_PROOF },
                { "c=biws,r=" RFC_NONCE ",x=1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_E_PROOF },
                { "c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndV", SCRAM_E_MALFORMED },
                { "c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7An", SCRAM_E_MALFORMED },
                { "c=biws,r=" RFC_NONCE, SCRAM_E_MALFORMED },
                { "c=biws,r=" RFC_NONCE ",", SCRAM_E_MALFORMED },
                { "c=eSws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_E_BINDING },
                { "c=biws,r=" RFC_NONCE "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_E_NONCE },
                { "c=biws,r=rOprNGfwEbeRWgbNEkqP" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                  SCRAM_E_NONCE },
                { "c=biws,r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                  SCRAM_E_PROOF },
                { "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_E_NONCE },
                { "r=" RFC_NONCE ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_E_MALFORMED },
                { "", SCRAM_E_MALFORMED },
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                CLEANUP(strbuf_finip) struct strbuf out = { 0 };
                CLEANUP(scram_freep) struct scram *s = rfc_exchange(RFC_FIRST, &out);

                out.len = 0;
                CU_ASSERT_EQUAL(scram_take_final(s, span_c(bad[i].message), &out), bad[i].outcome);
                CU_ASSERT_EQUAL(out.len, 0);
        }
}

static void test_refuses_first_messages(void)
{
        static const struct {
                const char *message;
                int outcome;
        } first[] = {
                { "n,,n=user,r=abc", SCRAM_OK },
                { "y,,n=user,r=abc", SCRAM_OK },
                { "n,a=user,n=user,r=abc", SCRAM_OK },
                { "n,,n=user,r=abc,x=1", SCRAM_OK },
                { "n,a=root,n=user,r=abc", SCRAM_E_AUTHZID },
                { "p=tls-unique,,n=user,r=abc", SCRAM_E_BINDING },
                { "n,,m=1,n=user,r=abc", SCRAM_E_BINDING },
                { "n,,n=,r=abc", SCRAM_E_ENCODING },
                { "n,,n=us=er,r=abc", SCRAM_E_ENCODING },
                { "n,,n=user=,r=abc", SCRAM_E_ENCODING },
                { "n,,n=\xff\xfe,r=abc", SCRAM_E_ENCODING },
                { "n,,n=user", SCRAM_E_MALFORMED },
                { "n,,n=user,r=", SCRAM_E_MALFORMED },
                { "n,,n=user,r=a b", SCRAM_E_MALFORMED },
                { "n,,n=user,r=abc,", SCRAM_E_MALFORMED },
                { "n,,r=abc,n=user", SCRAM_E_MALFORMED },
                { "n,n=user,r=abc", SCRAM_E_MALFORMED },
                { "n", SCRAM_E_MALFORMED },
                { "", SCRAM_E_MALFORMED },
        };

        for (size_t i = 0; i < ARRAY_LEN(first); i++) {
                CLEANUP(scram_freep) struct scram *s = scram_new(SCRAM_SHA_512);

                CU_ASSERT_EQUAL(scram_take_first(s, span_c(first[i].message)), first[i].outcome);
        }
}

static void test_reads_names_and_extensions(void)
{
        CLEANUP(scram_freep) struct scram *s = scram_new(SCRAM_SHA_256), *t = scram_new(SCRAM_SHA_256);

        CU_ASSERT_EQUAL(scram_take_first(s, span_c("n,,n=a=2Cb=3Dc,r=abc,tokenauth=true")), SCRAM_OK);
        CU_ASSERT(str_equal(scram_user(s), STR_LIT("a,b=c")));
        CU_ASSERT(scram_by_token(s));
        CU_ASSERT_EQUAL(scram_take_first(t, span_c("n,,n=a,r=abc,tokenauth=truely")), SCRAM_OK);
        CU_ASSERT(!scram_by_token(t));
}

/* ---- a client ---- */

static void client_final(enum scram_mechanism m, const char *password, const char *first_bare, struct str challenge,
                         const char *twice, struct strbuf *ret)
{
        const EVP_MD *md = m == SCRAM_SHA_256 ? EVP_sha256() : EVP_sha512();
        uint8_t salt[SCRAM_SALT_LEN_MAX * 2], salted[64], client[64], stored[64], signature[64];
        CLEANUP(strbuf_finip) struct strbuf auth = { 0 };
        const char *s = strstr(challenge.p, ",s=") + 3, *i = strstr(challenge.p, ",i=") + 3;
        size_t salt_len = 0, len = scram_key_len(m);
        unsigned n;

        CU_ASSERT_EQUAL_FATAL(base64_read((struct str){ s, (size_t)(i - 3 - s) }, salt, &salt_len), 0);
        CU_ASSERT_EQUAL_FATAL(scram_salt_password(m, span_c(password), span_of(salt, salt_len), atoi(i), salted), 0);
        HMAC(md, salted, (int)len, (const uint8_t *)"Client Key", 10, client, &n);
        EVP_Digest(client, len, stored, NULL, md, NULL);
        strbuf_printf(ret, "c=biws,r=%s", twice);
        strbuf_add(ret, challenge.p + 2, (size_t)(s - 3 - challenge.p) - 2);
        strbuf_printf(&auth, "%s,%.*s,%s", first_bare, STR_FMT(challenge), ret->data);
        HMAC(md, stored, (int)len, (const uint8_t *)auth.data, auth.len, signature, &n);
        for (size_t k = 0; k < len; k++)
                client[k] ^= signature[k];
        strbuf_add_c(ret, ",p=");
        base64_add(ret, span_of(client, len));
}

/* @twice: what stands before the nonce in the final message. */
static int try_password_and(enum scram_mechanism m, const struct scram_credential *c, bool known, const char *password,
                            const char *twice)
{
        CLEANUP(strbuf_finip) struct strbuf challenge = { 0 }, final = { 0 }, out = { 0 };
        CLEANUP(scram_freep) struct scram *s = scram_new(m);

        CU_ASSERT_EQUAL_FATAL(scram_take_first(s, span_c("n,,n=alice,r=abc")), SCRAM_OK);
        CU_ASSERT_EQUAL_FATAL(scram_challenge(s, c, known, STR_LIT("def"), &challenge), 0);
        client_final(m, password, "n=alice,r=abc", text_of(&challenge), twice, &final);
        return scram_take_final(s, span_of(final.data, final.len), &out);
}

static int try_password(enum scram_mechanism m, const struct scram_credential *c, bool known, const char *password)
{
        return try_password_and(m, c, known, password, "");
}

static void test_lets_in_who_knows_the_password(void)
{
        for (enum scram_mechanism m = SCRAM_SHA_256; m < SCRAM_MECHANISM_END; m++) {
                struct scram_credential c = credential(m, "secret", span_c("salt and more"), 5000);

                CU_ASSERT_EQUAL(try_password(m, &c, true, "secret"), SCRAM_OK);
                CU_ASSERT_EQUAL(try_password(m, &c, true, "secrets"), SCRAM_E_PROOF);
                CU_ASSERT_EQUAL(try_password(m, &c, false, "secret"), SCRAM_E_PROOF);      /* known to nobody */
                CU_ASSERT_EQUAL(try_password_and(m, &c, true, "secret", "abc"), SCRAM_OK); /* librdkafka of old */
                CU_ASSERT_EQUAL(try_password_and(m, &c, true, "secret", "abd"), SCRAM_E_NONCE);
                CU_ASSERT_EQUAL(scram_by_name(str_of(scram_name(m))), m);
        }
        CU_ASSERT_EQUAL(scram_by_name(STR_LIT("SCRAM-SHA-1")), SCRAM_UNKNOWN);
}

static void test_two_passwords(void)
{
        for (enum scram_mechanism m = SCRAM_SHA_256; m < SCRAM_MECHANISM_END; m++) {
                struct scram_credential c = credential(m, "new", span_c("one salt"), 5000),
                                        old = credential(m, "old", span_c("one salt"), 5000);

                CU_ASSERT_EQUAL(try_password(m, &c, true, "old"), SCRAM_E_PROOF);
                c.earlier = old.keys;
                CU_ASSERT_EQUAL(try_password(m, &c, true, "old"), SCRAM_E_PROOF); /* it is there, but does not count */
                CU_ASSERT_EQUAL(scram_match(m, &old.keys, &c), SCRAM_NO_MATCH);
                c.has_earlier = true;
                CU_ASSERT_EQUAL(try_password(m, &c, true, "old"), SCRAM_OK);
                CU_ASSERT_EQUAL(try_password(m, &c, true, "new"), SCRAM_OK);
                CU_ASSERT_EQUAL(try_password(m, &c, true, "other"), SCRAM_E_PROOF);
                CU_ASSERT_EQUAL(try_password(m, &c, false, "old"), SCRAM_E_PROOF);
                CU_ASSERT_EQUAL(scram_match(m, &old.keys, &c), SCRAM_MATCH_EARLIER);
                CU_ASSERT_EQUAL(scram_match(m, &c.keys, &c), SCRAM_MATCH);
                c.earlier = c.keys;
                CU_ASSERT_EQUAL(scram_match(m, &c.keys, &c), SCRAM_MATCH); /* which is the one that does not end */
        }
}

/* Without an earlier password its keys are zeros, and who knows a preimage of those is still not let in. */
static void test_zeros_are_no_password(void)
{
        struct scram_credential c = credential(SCRAM_SHA_256, "new", span_c("salt"), 5000);
        struct scram_keys zeros = { 0 };

        CU_ASSERT_EQUAL(scram_match(SCRAM_SHA_256, &zeros, &c), SCRAM_NO_MATCH);
}

static void test_makes_decoys(void)
{
        struct scram_credential like = { .iterations = 8192, .salt = span_c("1k2l3m4n5o6p7q8r9s0t1u2v3") }, a, b;
        uint8_t salt_a[SCRAM_SALT_LEN_MAX], salt_b[SCRAM_SALT_LEN_MAX];

        CU_ASSERT_EQUAL(scram_decoy(SCRAM_SHA_256, span_c("seed"), STR_LIT("eve"), &like, salt_a, &a), 0);
        CU_ASSERT_EQUAL(scram_decoy(SCRAM_SHA_256, span_c("seed"), STR_LIT("eve"), &like, salt_b, &b), 0);
        CU_ASSERT(span_equal(a.salt, b.salt));
        CU_ASSERT_EQUAL(a.iterations, 8192);
        CU_ASSERT_EQUAL(a.salt.len, like.salt.len);
        for (size_t i = 0; i < a.salt.len; i++)
                CU_ASSERT((a.salt.data[i] >= '0' && a.salt.data[i] <= '9') ||
                          (a.salt.data[i] >= 'a' && a.salt.data[i] <= 'z'));
        CU_ASSERT_EQUAL(scram_decoy(SCRAM_SHA_512, span_c("seed"), STR_LIT("eve"), &like, salt_b, &b), 0);
        CU_ASSERT(!span_equal(a.salt, b.salt));
        CU_ASSERT_EQUAL(scram_decoy(SCRAM_SHA_256, span_c("feed"), STR_LIT("eve"), &like, salt_b, &b), 0);
        CU_ASSERT(!span_equal(a.salt, b.salt));
        like.salt.len = SCRAM_SALT_LEN_MAX * 10;
        CU_ASSERT_EQUAL(scram_decoy(SCRAM_SHA_256, span_c("seed"), STR_LIT("eve"), NULL, salt_b, &b), 0);
        CU_ASSERT_EQUAL(b.salt.len, 32);
        CU_ASSERT_EQUAL(b.iterations, SCRAM_ITERATIONS_MIN);
}

static void test_reads_base64_strictly(void)
{
        static const char *const bad[] = { "YQ=", "YQ", "YR==", "YWI=YWI=", "====", "Y===", "YW\n=", "YW-_" };
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        uint8_t data[64];
        size_t len;

        for (size_t i = 0; i < 7; i++) {
                out.len = 0;
                base64_add(&out, span_of("foobar", i));
                if (i) /* an empty buffer has no memory */
                        CU_ASSERT_EQUAL(base64_read(text_of(&out), data, &len), 0);
                if (i)
                        CU_ASSERT(len == i && !memcmp(data, "foobar", i));
        }
        CU_ASSERT_STRING_EQUAL(out.data, "Zm9vYmFy");
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CU_ASSERT(base64_read(str_of(bad[i]), data, &len) < 0);
}

static void test_reads_plain(void)
{
        struct plain p = { 0 };

        CU_ASSERT_EQUAL(plain_read(span_of("\0alice\0secret", 13), &p), PLAIN_OK);
        CU_ASSERT(str_equal(p.user, STR_LIT("alice")) && span_equal(p.password, span_c("secret")));
        CU_ASSERT_EQUAL(plain_read(span_of("alice\0alice\0secret", 18), &p), PLAIN_OK);
        CU_ASSERT_EQUAL(plain_read(span_of("root\0alice\0secret", 17), &p), PLAIN_E_AUTHZID);
        CU_ASSERT_EQUAL(plain_read(span_of("\0\0secret", 8), &p), PLAIN_E_NO_USER);
        CU_ASSERT_EQUAL(plain_read(span_of("\0alice\0", 7), &p), PLAIN_E_NO_PASSWORD);
        CU_ASSERT_EQUAL(plain_read(span_of("\0alice", 6), &p), PLAIN_E_MALFORMED);
        CU_ASSERT_EQUAL(plain_read(span_of("alice", 5), &p), PLAIN_E_MALFORMED);
        CU_ASSERT_EQUAL(plain_read(span_of("\0alice\0secret\0", 14), &p), PLAIN_E_MALFORMED);
        CU_ASSERT_EQUAL(plain_read(span_of("\0\xff\0secret", 9), &p), PLAIN_E_MALFORMED);
        CU_ASSERT_EQUAL(plain_read(SPAN_NULL, &p), PLAIN_E_MALFORMED);
}

static const struct unit_case cases[] = {
        { "the exchange of RFC 7677", test_does_what_the_rfc_shows },
        { "final messages that are wrong", test_refuses_final_messages },
        { "first messages", test_refuses_first_messages },
        { "names and extensions", test_reads_names_and_extensions },
        { "passwords", test_lets_in_who_knows_the_password },
        { "two passwords", test_two_passwords },
        { "no earlier password", test_zeros_are_no_password },
        { "decoys", test_makes_decoys },
        { "base64", test_reads_base64_strictly },
        { "PLAIN", test_reads_plain },
};
UNIT_MAIN("SCRAM", cases)
