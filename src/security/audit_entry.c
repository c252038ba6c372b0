/* See audit_entry.h. */
#include "security/audit_entry.h"

#include <errno.h>
#include <inttypes.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/utf8.h"

const char *audit_kind_name(enum audit_kind kind)
{
        static const char *const names[] = {
                [AUDIT_START] = "start",   [AUDIT_CHECKPOINT] = "checkpoint", [AUDIT_DROPPED] = "dropped",
                [AUDIT_LOGIN] = "login",   [AUDIT_DENIED] = "denied",         [AUDIT_LOGIN_FAILED] = "login_failed",
                [AUDIT_CHANGE] = "change", [AUDIT_GRANTED] = "granted",       [AUDIT_HANDOVER] = "handover",
        };

        assert((size_t)kind < ARRAY_LEN(names));
        return names[kind];
}

/* ---- members ---- */

void audit_text_write(struct str s, struct strbuf *out)
{
        CLEANUP(strbuf_finip) struct strbuf clean = { 0 };

        s = utf8_clip(s, AUDIT_TEXT_LEN_MAX);
        utf8_add_clean(&clean, s);
        if (clean.failed) {
                out->failed = true;
                return;
        }
        strbuf_add(out, "\"", 1);
        for (size_t i = 0; i < clean.len; i++) {
                unsigned char c = (unsigned char)clean.data[i];

                if (c < ' ' || c == 0x7f)
                        strbuf_printf(out, "\\u%04x", c);
                else if (c == '"' || c == '\\')
                        strbuf_printf(out, "\\%c", c);
                else
                        strbuf_add(out, &c, 1);
        }
        strbuf_add(out, "\"", 1);
}

static void text_member(struct strbuf *out, const char *name, struct str text)
{
        if (!text.p)
                return;
        strbuf_printf(out, ",\"%s\":", name);
        audit_text_write(text, out);
}

static void value_member(struct strbuf *out, const char *name, struct str json)
{
        if (!json.p)
                return;
        strbuf_printf(out, ",\"%s\":", name);
        if (json.len > AUDIT_VALUE_LEN_MAX)
                strbuf_printf(out, "\"too long: %zu bytes\"", json.len);
        else
                strbuf_add(out, json.p, json.len);
}

static void common_members(struct strbuf *out, int64_t time_ms, int32_t node, enum audit_kind kind)
{
        strbuf_printf(out, "\"time_ms\":%" PRId64 ",\"node\":%" PRId32 ",\"kind\":\"%s\"", MAX2(time_ms, INT64_C(0)),
                      node, audit_kind_name(kind));
}

void audit_entry_write(const struct audit_entry *e, struct strbuf *out)
{
        common_members(out, e->time_ms, e->node, e->kind);
        text_member(out, "principal", e->principal);
        text_member(out, "role", e->role);
        text_member(out, "host", e->host);
        text_member(out, "listener", e->listener);
        text_member(out, "api", e->api);
        if (e->has_correlation_id)
                strbuf_printf(out, ",\"correlation_id\":%" PRId32, e->correlation_id);
        text_member(out, "client_id", e->client_id);
        text_member(out, "operation", e->operation);
        text_member(out, "resource", e->resource);
        text_member(out, "name", e->name);
        text_member(out, "outcome", e->outcome);
        value_member(out, "before", e->before);
        value_member(out, "after", e->after);
}

void audit_start_write(int64_t time_ms, int32_t node, int64_t torn_bytes, struct strbuf *out)
{
        common_members(out, time_ms, node, AUDIT_START);
        strbuf_printf(out, ",\"torn_bytes\":%" PRId64, torn_bytes);
}

void audit_dropped_write(int64_t time_ms, int32_t node, uint64_t count, struct strbuf *out)
{
        common_members(out, time_ms, node, AUDIT_DROPPED);
        strbuf_printf(out, ",\"count\":%" PRIu64, count);
}

/* ---- keys ---- */

/* The type is OpenSSL's own. */
static EVP_PKEY *pkey_of(const struct audit_key *k)
{
        return (EVP_PKEY *)(uintptr_t)k;
}

int audit_key_generate(struct audit_key **ret_key)
{
        EVP_PKEY *p = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

        if (!p)
                return -ENOMEM;
        *ret_key = (struct audit_key *)p;
        return 0;
}

/* A file with a pass phrase is not asked for one. */
static int no_phrase(char *buf, int size, int writes, void *arg)
{
        (void)buf;
        (void)size;
        (void)writes;
        (void)arg;
        return -1;
}

int audit_key_read(struct span pem, struct audit_key **ret_key)
{
        BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
        EVP_PKEY *p = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL) : NULL;

        BIO_free(bio);
        if (!p || !EVP_PKEY_is_a(p, "ED25519")) {
                EVP_PKEY_free(p);
                return -EINVAL;
        }
        *ret_key = (struct audit_key *)p;
        return 0;
}

int audit_key_write(const struct audit_key *k, struct strbuf *out)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        long len;

        if (!bio || !PEM_write_bio_PrivateKey(bio, pkey_of(k), NULL, NULL, 0, NULL, NULL)) {
                BIO_free(bio);
                return -ENOMEM;
        }
        len = BIO_get_mem_data(bio, &data);
        strbuf_add(out, data, (size_t)len);
        explicit_bzero(data, (size_t)len);
        BIO_free(bio);
        return out->failed ? -ENOMEM : 0;
}

struct audit_key *audit_key_free(struct audit_key *k)
{
        EVP_PKEY_free(pkey_of(k));
        return NULL;
}

void audit_key_public(const struct audit_key *k, uint8_t ret_key[AUDIT_KEY_LEN])
{
        size_t len = AUDIT_KEY_LEN;
        int done = EVP_PKEY_get_raw_public_key(pkey_of(k), ret_key, &len);

        assert(done == 1 && len == AUDIT_KEY_LEN);
}

void audit_hex(const uint8_t *data, size_t len, char *ret_text)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < len; i++) {
                ret_text[2 * i] = digits[data[i] >> 4];
                ret_text[2 * i + 1] = digits[data[i] & 15];
        }
        ret_text[2 * len] = '\0';
}

static int digit_of(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool audit_unhex(struct str text, uint8_t *ret_data, size_t len)
{
        if (text.len != 2 * len)
                return false;
        for (size_t i = 0; i < len; i++) {
                int high = digit_of(text.p[2 * i]), low = digit_of(text.p[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret_data[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

static int sign(const struct audit_key *k, struct str what, uint8_t ret_signature[AUDIT_SIGNATURE_LEN])
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t len = AUDIT_SIGNATURE_LEN;
        bool done = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey_of(k)) == 1 &&
                    EVP_DigestSign(ctx, ret_signature, &len, (const uint8_t *)what.p, what.len) == 1;

        EVP_MD_CTX_free(ctx);
        return done && len == AUDIT_SIGNATURE_LEN ? 0 : -ENOMEM;
}

bool audit_signature_is_of(const uint8_t key[AUDIT_KEY_LEN], const uint8_t signature[AUDIT_SIGNATURE_LEN],
                           struct str what)
{
        EVP_PKEY *p = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, AUDIT_KEY_LEN);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool is_of = p && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, p) == 1 &&
                     EVP_DigestVerify(ctx, signature, AUDIT_SIGNATURE_LEN, (const uint8_t *)what.p, what.len) == 1;

        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(p);
        return is_of;
}

/* ---- the chain ---- */

int audit_hash(const uint8_t previous[AUDIT_HASH_LEN], struct str bytes, uint8_t ret_hash[AUDIT_HASH_LEN])
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool done = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
                    EVP_DigestUpdate(ctx, previous, AUDIT_HASH_LEN) == 1 &&
                    EVP_DigestUpdate(ctx, bytes.p, bytes.len) == 1 && EVP_DigestFinal_ex(ctx, ret_hash, NULL) == 1;

        EVP_MD_CTX_free(ctx);
        return done ? 0 : -ENOMEM;
}

/* @out holds the entry from @from on, without its hash. */
static int seal(struct audit_chain *c, size_t from, struct strbuf *out)
{
        uint8_t hash[AUDIT_HASH_LEN];
        char text[2 * AUDIT_HASH_LEN + 1];
        int r;

        if (out->failed)
                return -ENOMEM;
        r = audit_hash(c->hash, (struct str){ out->data + from, out->len - from }, hash);
        if (r)
                return r;
        audit_hex(hash, sizeof hash, text);
        strbuf_printf(out, ",\"hash\":\"%s\"}\n", text);
        if (out->failed)
                return -ENOMEM;
        c->seq++;
        memcpy(c->hash, hash, sizeof hash);
        return 0;
}

int audit_chain_add(struct audit_chain *c, struct str members, struct strbuf *out)
{
        size_t from = out->len;

        strbuf_printf(out, "{\"seq\":%" PRIu64 ",", c->seq + 1);
        strbuf_add(out, members.p, members.len);
        return seal(c, from, out);
}

/* Sign what @out holds from @from on, and append key and signature. */
static int add_signature(const struct audit_key *key, size_t from, struct strbuf *out)
{
        uint8_t public[AUDIT_KEY_LEN], signature[AUDIT_SIGNATURE_LEN];
        char text[2 * AUDIT_SIGNATURE_LEN + 1];
        int r;

        audit_key_public(key, public);
        audit_hex(public, sizeof public, text);
        strbuf_printf(out, ",\"public_key\":\"%s\"", text);
        if (out->failed)
                return -ENOMEM;
        r = sign(key, (struct str){ out->data + from, out->len - from }, signature);
        if (r)
                return r;
        audit_hex(signature, sizeof signature, text);
        strbuf_printf(out, ",\"signature\":\"%s\"", text);
        return out->failed ? -ENOMEM : 0;
}

/* @next: NULL for a checkpoint. */
static int add_signed(struct audit_chain *c, const struct audit_key *key, const struct audit_key *next, int64_t time_ms,
                      int32_t node, struct strbuf *out)
{
        char text[2 * AUDIT_HASH_LEN + 1];
        uint8_t public[AUDIT_KEY_LEN];
        size_t from = out->len;
        int r;

        audit_hex(c->hash, sizeof c->hash, text);
        strbuf_printf(out, "{\"seq\":%" PRIu64 ",", c->seq + 1);
        common_members(out, time_ms, node, next ? AUDIT_HANDOVER : AUDIT_CHECKPOINT);
        strbuf_printf(out, ",\"previous\":\"%s\"", text);
        if (next) {
                audit_key_public(next, public);
                audit_hex(public, sizeof public, text);
                strbuf_printf(out, ",\"next_key\":\"%s\"", text);
        }
        r = add_signature(key, from, out);
        return r ? r : seal(c, from, out);
}

int audit_chain_checkpoint(struct audit_chain *c, const struct audit_key *key, int64_t time_ms, int32_t node,
                           struct strbuf *out)
{
        return add_signed(c, key, NULL, time_ms, node, out);
}

int audit_chain_handover(struct audit_chain *c, const struct audit_key *key, const struct audit_key *next,
                         int64_t time_ms, int32_t node, struct strbuf *out)
{
        return add_signed(c, key, next, time_ms, node, out);
}

int audit_head_write(const struct audit_chain *c, uint64_t first, const struct audit_key *key, int32_t node,
                     struct strbuf *out)
{
        char hash[2 * AUDIT_HASH_LEN + 1];
        size_t from = out->len;
        int r;

        audit_hex(c->hash, sizeof c->hash, hash);
        strbuf_printf(out, "{\"node\":%" PRId32 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"hash\":\"%s\"", node,
                      first, c->seq, hash);
        r = add_signature(key, from, out);
        strbuf_add(out, "}\n", 2);
        return r || out->failed ? -ENOMEM : 0;
}
