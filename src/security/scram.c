/* See scram.h.
 *
 *    FIRST --scram_take_first()--> CHALLENGE --scram_challenge()--> FINAL --scram_take_final()--> DONE
 *    and from each to DONE when it fails. */
#include "security/scram.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "security/principal.h"

enum scram_state { SCRAM_FIRST, SCRAM_CHALLENGE, SCRAM_FINAL, SCRAM_DONE };

struct scram {
        enum scram_mechanism mechanism;
        enum scram_state state;
        bool known, by_token, by_earlier;
        struct scram_credential credential; /* without its salt */
        struct strbuf user;
        struct strbuf header; /* gs2-header of the client, which its final message repeats */
        struct strbuf nonce;  /* the client's, then both */
        size_t client_nonce_len;
        struct strbuf auth; /* AuthMessage as far as it has come */
};

/* ---- mechanisms ---- */

static const struct {
        const char *name;
        const EVP_MD *(*digest)(void);
        size_t key_len;
} mechanisms[] = {
        [SCRAM_SHA_256] = { "SCRAM-SHA-256", EVP_sha256, 32 },
        [SCRAM_SHA_512] = { "SCRAM-SHA-512", EVP_sha512, 64 },
};

const char *scram_error_text(int outcome)
{
        static const char *const texts[] = {
                [SCRAM_E_MALFORMED] = "other-error",
                [SCRAM_E_ENCODING] = "invalid-username-encoding",
                [SCRAM_E_BINDING] = "extensions-not-supported",
                [SCRAM_E_AUTHZID] = "other-error",
                [SCRAM_E_NONCE] = "invalid-proof",
                [SCRAM_E_PROOF] = "invalid-proof",
        };

        return outcome > 0 && (size_t)outcome < ARRAY_LEN(texts) ? texts[outcome] : "no-resources";
}

const char *scram_name(enum scram_mechanism m)
{
        assert(m > SCRAM_UNKNOWN && m < SCRAM_MECHANISM_END);
        return mechanisms[m].name;
}

enum scram_mechanism scram_by_name(struct str name)
{
        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++)
                if (str_equal_c(name, mechanisms[m].name))
                        return m;
        return SCRAM_UNKNOWN;
}

size_t scram_key_len(enum scram_mechanism m)
{
        assert(m > SCRAM_UNKNOWN && m < SCRAM_MECHANISM_END);
        return mechanisms[m].key_len;
}

/* ---- keys ---- */

static int hmac(enum scram_mechanism m, const uint8_t *key, const void *data, size_t len,
                uint8_t ret[SCRAM_KEY_LEN_MAX])
{
        unsigned n = 0;

        return HMAC(mechanisms[m].digest(), key, (int)scram_key_len(m), data, len, ret, &n) ? 0 : -ENOMEM;
}

static int digest(enum scram_mechanism m, const uint8_t *data, uint8_t ret[SCRAM_KEY_LEN_MAX])
{
        return EVP_Digest(data, scram_key_len(m), ret, NULL, mechanisms[m].digest(), NULL) ? 0 : -ENOMEM;
}

int scram_salt_password(enum scram_mechanism m, struct span password, struct span salt, int32_t iterations,
                        uint8_t ret_salted[SCRAM_KEY_LEN_MAX])
{
        assert(iterations > 0 && salt.len <= SCRAM_SALT_LEN_MAX && password.len <= SCRAM_MESSAGE_LEN_MAX);
        return PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.len, salt.data, (int)salt.len, iterations,
                                 mechanisms[m].digest(), (int)scram_key_len(m), ret_salted)
                       ? 0
                       : -ENOMEM;
}

int scram_derive(enum scram_mechanism m, const uint8_t *salted, struct scram_keys *ret_keys)
{
        uint8_t client[SCRAM_KEY_LEN_MAX] = { 0 };
        struct scram_keys k = { 0 };
        int r = hmac(m, salted, "Client Key", 10, client);

        if (!r)
                r = digest(m, client, k.stored);
        if (!r)
                r = hmac(m, salted, "Server Key", 10, k.server);
        if (!r)
                *ret_keys = k;
        OPENSSL_cleanse(client, sizeof client);
        OPENSSL_cleanse(&k, sizeof k);
        return r;
}

bool scram_keys_equal(enum scram_mechanism m, const struct scram_keys *a, const struct scram_keys *b)
{
        return !CRYPTO_memcmp(a->stored, b->stored, scram_key_len(m));
}

enum scram_match scram_match(enum scram_mechanism m, const struct scram_keys *shown, const struct scram_credential *c)
{
        /* Both are compared always, an earlier one that is not there as well: its time tells nothing. */
        int now = scram_keys_equal(m, shown, &c->keys),
            earlier = (int)scram_keys_equal(m, shown, &c->earlier) & (int)c->has_earlier;

        return (enum scram_match)(now * SCRAM_MATCH + (1 - now) * earlier * SCRAM_MATCH_EARLIER);
}

/* Salts of Java's clients are text, those of others are bytes: a made-up one looks like its neighbours. */
static bool salt_is_text(struct span salt)
{
        for (size_t i = 0; i < salt.len; i++)
                if (!((salt.data[i] >= '0' && salt.data[i] <= '9') || (salt.data[i] >= 'a' && salt.data[i] <= 'z')))
                        return false;
        return salt.len > 0;
}

int scram_decoy(enum scram_mechanism m, struct span seed, struct str user, const struct scram_credential *like,
                uint8_t salt_mem[SCRAM_SALT_LEN_MAX], struct scram_credential *ret_credential)
{
        size_t len = like ? MIN2(like->salt.len, (size_t)SCRAM_SALT_LEN_MAX) : 32;
        struct scram_credential c = { .iterations = like ? like->iterations : SCRAM_ITERATIONS_MIN,
                                      .salt = { salt_mem, len } };
        uint8_t key[SCRAM_KEY_LEN_MAX];
        uint8_t block = (uint8_t)m;
        unsigned n;

        if (!HMAC(EVP_sha512(), seed.data, (int)seed.len, (const uint8_t *)user.p, user.len, key, &n))
                return -ENOMEM;
        for (size_t at = 0; at < len; at += n, block += SCRAM_MECHANISM_END) {
                uint8_t out[SCRAM_KEY_LEN_MAX];

                if (!HMAC(EVP_sha512(), key, sizeof key, &block, 1, out, &n))
                        return -ENOMEM;
                memcpy(salt_mem + at, out, MIN2(len - at, (size_t)n));
        }
        if (like && salt_is_text(like->salt))
                for (size_t i = 0; i < len; i++)
                        salt_mem[i] = (uint8_t)("0123456789abcdefghijklmnopqrstuvwxyz"[salt_mem[i] % 36]);
        /* Keys that nobody has the password of; whoever hit them would still not be let in. */
        memcpy(c.keys.stored, key, sizeof key);
        memcpy(c.keys.server, key, sizeof key);
        OPENSSL_cleanse(key, sizeof key);
        *ret_credential = c;
        OPENSSL_cleanse(&c, sizeof c);
        return 0;
}

/* ---- one exchange ---- */

struct scram *scram_new(enum scram_mechanism m)
{
        struct scram *s = calloc(1, sizeof *s);

        assert(m > SCRAM_UNKNOWN && m < SCRAM_MECHANISM_END);
        if (s)
                s->mechanism = m;
        return s;
}

struct scram *scram_free(struct scram *s)
{
        if (!s)
                return NULL;
        strbuf_fini(&s->user);
        strbuf_fini(&s->header);
        strbuf_fini(&s->nonce);
        strbuf_fini(&s->auth);
        OPENSSL_cleanse(s, sizeof *s);
        free(s);
        return NULL;
}

struct str scram_user(const struct scram *s)
{
        return (struct str){ s->user.data, s->user.len };
}

bool scram_is_begun(const struct scram *s)
{
        return s->state != SCRAM_FIRST;
}

bool scram_by_earlier(const struct scram *s)
{
        return s->by_earlier;
}

bool scram_by_token(const struct scram *s)
{
        return s->by_token;
}

/* Up to the next comma, which is taken too. False: nothing is left. */
static bool part_next(struct str *rest, struct str *ret_part)
{
        const char *comma;

        if (str_is_null(*rest))
                return false;
        comma = rest->len ? memchr(rest->p, ',', rest->len) : NULL;
        if (!comma) {
                *ret_part = *rest;
                *rest = STR_NULL;
                return true;
        }
        *ret_part = (struct str){ rest->p, (size_t)(comma - rest->p) };
        *rest = (struct str){ comma + 1, rest->len - ret_part->len - 1 };
        return true;
}

/* "x=value", with @ret_value of at least a character. */
static bool part_is(struct str part, char name, struct str *ret_value)
{
        if (part.len < 3 || part.p[0] != name || part.p[1] != '=')
                return false;
        *ret_value = (struct str){ part.p + 2, part.len - 2 };
        return true;
}

/* "=2C" and "=3D" stand for what would end or begin something; a bare '=' is an error. */
static int name_decode(struct str name, struct strbuf *out)
{
        for (size_t i = 0; i < name.len; i++) {
                char c = name.p[i];

                if (c == '=') {
                        if (name.len - i < 3)
                                return SCRAM_E_ENCODING;
                        if (!memcmp(name.p + i, "=2C", 3))
                                c = ',';
                        else if (memcmp(name.p + i, "=3D", 3))
                                return SCRAM_E_ENCODING;
                        i += 2;
                }
                strbuf_add(out, &c, 1);
        }
        if (out->failed)
                return -ENOMEM;
        if (!out->len || out->len > PRINCIPAL_NAME_LEN_MAX || !utf8_is_valid((struct str){ out->data, out->len }))
                return SCRAM_E_ENCODING;
        return SCRAM_OK;
}

static bool text_is_printable(struct str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.p[i] < '!' || s.p[i] > '~')
                        return false;
        return true;
}

/* What follows the nonce: extensions. One is known; others may be overlooked. */
static int take_extensions(struct scram *s, struct str rest)
{
        struct str part;

        while (part_next(&rest, &part)) {
                const char *equals = part.len ? memchr(part.p, '=', part.len) : NULL;

                if (!equals || equals == part.p)
                        return SCRAM_E_MALFORMED;
                if (str_equal(part, STR_LIT("tokenauth=true")))
                        s->by_token = true;
        }
        return SCRAM_OK;
}

/* gs2-cbind-flag and authzid. @ret_bare: what follows them. */
static int take_header(struct scram *s, struct str all, struct str *ret_bare, struct str *ret_authzid)
{
        struct str rest = all, flag = STR_NULL, authzid = STR_NULL;

        if (!part_next(&rest, &flag) || !part_next(&rest, &authzid) || str_is_null(rest))
                return SCRAM_E_MALFORMED;
        if (flag.len > 2 && !memcmp(flag.p, "p=", 2))
                return SCRAM_E_BINDING; /* it is not offered */
        if (!str_equal(flag, STR_LIT("n")) && !str_equal(flag, STR_LIT("y")))
                return SCRAM_E_MALFORMED;
        if (authzid.len && !part_is(authzid, 'a', ret_authzid))
                return SCRAM_E_MALFORMED;
        strbuf_add(&s->header, all.p, all.len - rest.len);
        *ret_bare = rest;
        return SCRAM_OK;
}

static int take_first(struct scram *s, struct str all)
{
        struct str bare = STR_NULL, authzid = STR_NULL, rest, part = STR_NULL, name = STR_NULL, nonce = STR_NULL;
        CLEANUP(strbuf_finip) struct strbuf as = { 0 };
        int r = take_header(s, all, &bare, &authzid);

        if (r)
                return r;
        rest = bare;
        if (!part_next(&rest, &part))
                return SCRAM_E_MALFORMED;
        if (part.len >= 2 && !memcmp(part.p, "m=", 2))
                return SCRAM_E_BINDING; /* RFC 5802 section 5.1: what is mandatory and not known ends it */
        if (part.len < 2 || memcmp(part.p, "n=", 2))
                return SCRAM_E_MALFORMED;
        name = (struct str){ part.p + 2, part.len - 2 };
        if (!part_next(&rest, &part) || !part_is(part, 'r', &nonce) || !text_is_printable(nonce))
                return SCRAM_E_MALFORMED;
        r = name_decode(name, &s->user);
        if (!r)
                r = take_extensions(s, rest);
        if (!r && authzid.len)
                r = name_decode(authzid, &as);
        if (!r && authzid.len && !str_equal((struct str){ as.data, as.len }, scram_user(s)))
                r = SCRAM_E_AUTHZID;
        if (r)
                return r;
        strbuf_add(&s->nonce, nonce.p, nonce.len);
        strbuf_add(&s->auth, bare.p, bare.len);
        return s->header.failed || s->nonce.failed || s->auth.failed ? -ENOMEM : SCRAM_OK;
}

int scram_take_first(struct scram *s, struct span message)
{
        int r;

        assert(s->state == SCRAM_FIRST);
        s->state = SCRAM_DONE;
        if (!message.len || message.len > SCRAM_MESSAGE_LEN_MAX)
                return SCRAM_E_MALFORMED;
        r = take_first(s, (struct str){ (const char *)message.data, message.len });
        if (!r)
                s->state = SCRAM_CHALLENGE;
        return r;
}

int scram_challenge(struct scram *s, const struct scram_credential *c, bool known, struct str nonce, struct strbuf *out)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };

        assert(s->state == SCRAM_CHALLENGE);
        assert(nonce.len && text_is_printable(nonce) && !memchr(nonce.p, ',', nonce.len));
        s->state = SCRAM_DONE;
        s->known = known;
        s->credential = *c;
        s->credential.salt = SPAN_NULL;
        s->client_nonce_len = s->nonce.len;
        strbuf_add(&s->nonce, nonce.p, nonce.len);
        if (s->nonce.failed)
                return -ENOMEM;
        strbuf_printf(&text, "r=%s,s=", s->nonce.data);
        base64_add(&text, c->salt);
        strbuf_printf(&text, ",i=%d", c->iterations);
        if (text.failed)
                return -ENOMEM;
        strbuf_add_c(&s->auth, ",");
        strbuf_add(&s->auth, text.data, text.len);
        strbuf_add(out, text.data, text.len);
        if (s->auth.failed || out->failed)
                return -ENOMEM;
        s->state = SCRAM_FINAL;
        return 0;
}

/* Channel binding data repeat the header of the first message, so that nobody in between has changed that. */
static bool binding_is_ours(const struct scram *s, struct str text)
{
        uint8_t data[SCRAM_MESSAGE_LEN_MAX];
        size_t len;

        return text.len / 4 * 3 <= sizeof data && !base64_read(text, data, &len) && len == s->header.len &&
               !memcmp(data, s->header.data, len);
}

/* The nonce of both, or, of librdkafka before 2.6.1, the client's and then that of both (its issue 4895). That does no harm: what is proved
 * covers our first message, too, and the nonce in it. */
static bool nonce_is_ours(const struct scram *s, struct str nonce)
{
        struct str both = { s->nonce.data, s->nonce.len };

        if (nonce.len == s->client_nonce_len + both.len && !memcmp(nonce.p, both.p, s->client_nonce_len))
                nonce = (struct str){ nonce.p + s->client_nonce_len, both.len };
        return str_equal(nonce, both);
}

/* ClientKey is the proof without its signature, and StoredKey the digest of it: what the proof shows, if @stored is what it was made with. */
static int proof_shows(const struct scram *s, const uint8_t *stored, const uint8_t *proof, struct scram_keys *ret_shown)
{
        uint8_t key[SCRAM_KEY_LEN_MAX];
        int r = hmac(s->mechanism, stored, s->auth.data, s->auth.len, key);

        for (size_t i = 0; i < scram_key_len(s->mechanism) && !r; i++)
                key[i] ^= proof[i];
        if (!r)
                r = digest(s->mechanism, key, ret_shown->stored);
        OPENSSL_cleanse(key, sizeof key);
        return r;
}

/* The proof is tried with either password's key, always, so that the time does not tell whether there are two. @ret_server: the key that signs
 * the answer. */
static int check_proof(struct scram *s, const uint8_t *proof, const uint8_t **ret_server)
{
        const struct scram_credential *c = &s->credential;
        struct scram_keys now = { 0 }, earlier = { 0 };
        bool is_now, is_earlier;
        int r = proof_shows(s, c->keys.stored, proof, &now);

        if (!r)
                r = proof_shows(s, c->earlier.stored, proof, &earlier);
        is_now = !r && scram_match(s->mechanism, &now, c) == SCRAM_MATCH;
        is_earlier = !r && scram_match(s->mechanism, &earlier, c) == SCRAM_MATCH_EARLIER;
        OPENSSL_cleanse(&now, sizeof now);
        OPENSSL_cleanse(&earlier, sizeof earlier);
        if (r)
                return r;
        s->by_earlier = !is_now && is_earlier;
        *ret_server = is_now ? c->keys.server : c->earlier.server;
        return ((int)is_now | (int)is_earlier) & (int)s->known ? SCRAM_OK : SCRAM_E_PROOF;
}

static int take_final(struct scram *s, struct str all, uint8_t proof[SCRAM_MESSAGE_LEN_MAX], struct strbuf *out)
{
        uint8_t signature[SCRAM_KEY_LEN_MAX];
        struct str rest = all, part = STR_NULL, binding = STR_NULL, nonce = STR_NULL, text = STR_NULL;
        const uint8_t *server = NULL;
        size_t len = 0;
        int r;

        if (!part_next(&rest, &part) || !part_is(part, 'c', &binding) || !part_next(&rest, &part) ||
            !part_is(part, 'r', &nonce))
                return SCRAM_E_MALFORMED;
        do { /* extensions of the final message, none of which is known; the proof is last */
                if (!part_next(&rest, &part))
                        return SCRAM_E_MALFORMED;
        } while (!str_is_null(rest));
        if (!part_is(part, 'p', &text) || base64_read(text, proof, &len) || len != scram_key_len(s->mechanism))
                return SCRAM_E_MALFORMED;
        if (!binding_is_ours(s, binding))
                return SCRAM_E_BINDING;
        if (!nonce_is_ours(s, nonce))
                return SCRAM_E_NONCE;
        strbuf_add_c(&s->auth, ",");
        strbuf_add(&s->auth, all.p, all.len - part.len - 1);
        if (s->auth.failed)
                return -ENOMEM;
        r = check_proof(s, proof, &server);
        if (!r)
                r = hmac(s->mechanism, server, s->auth.data, s->auth.len, signature);
        if (r)
                return r;
        strbuf_add_c(out, "v=");
        base64_add(out, span_of(signature, scram_key_len(s->mechanism)));
        return out->failed ? -ENOMEM : SCRAM_OK;
}

int scram_take_final(struct scram *s, struct span message, struct strbuf *out)
{
        uint8_t proof[SCRAM_MESSAGE_LEN_MAX]; /* who has it and the stored key has the client's key */
        int r;

        assert(s->state == SCRAM_FINAL);
        s->state = SCRAM_DONE;
        if (!message.len || message.len > SCRAM_MESSAGE_LEN_MAX)
                return SCRAM_E_MALFORMED;
        r = take_final(s, (struct str){ (const char *)message.data, message.len }, proof, out);
        OPENSSL_cleanse(proof, sizeof proof);
        return r;
}
