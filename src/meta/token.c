/* See token.h. */
#include "meta/token.h"

enum { SHA_256_LEN = 32, SHA_512_LEN = 64 };

bool meta_token_is_possible(const struct rec_delegation_token *r)
{
        for (int32_t i = 0; i < r->renewers_count; i++)
                if (!r->renewers[i].len)
                        return false;
        return r->token_id.len && r->owner.len && r->requester.len && r->renewers_count >= 0 &&
               r->renewers_count <= META_TOKEN_RENEWERS_MAX && r->digest.len == META_TOKEN_DIGEST_LEN &&
               r->iterations >= 1 && r->salt.len && r->salt.len <= META_TOKEN_SALT_LEN_MAX &&
               r->sha256_stored_key.len == SHA_256_LEN && r->sha256_server_key.len == SHA_256_LEN &&
               r->sha512_stored_key.len == SHA_512_LEN && r->sha512_server_key.len == SHA_512_LEN;
}

/* ---- life ---- */

static size_t text_len(const struct rec_delegation_token *r)
{
        size_t len = r->token_id.len + r->owner.len + r->requester.len + r->salt.len +
                     (size_t)r->renewers_count * sizeof(struct str) + 2 * (SHA_256_LEN + SHA_512_LEN);

        for (int32_t i = 0; i < r->renewers_count; i++)
                len += r->renewers[i].len;
        return len;
}

static struct str put_text(char **at, struct str s)
{
        struct str copy = { *at, s.len };

        if (s.len)
                memcpy(*at, s.p, s.len);
        *at += s.len;
        return copy;
}

static struct span put_bytes(char **at, struct span s)
{
        struct str copy = put_text(at, (struct str){ (const char *)s.data, s.len });

        return span_of(copy.p, copy.len);
}

struct meta_token *meta_token_new(const struct rec_delegation_token *r)
{
        struct meta_token *t = malloc(sizeof *t + text_len(r));
        char *at;

        if (!t)
                return NULL;
        *t = (struct meta_token){ .iterations = r->iterations,
                                  .issue_ms = r->issue_ms,
                                  .expiry_ms = r->expiry_ms,
                                  .max_ms = r->max_ms,
                                  .renewers_count = (uint32_t)r->renewers_count };
        at = (char *)(t->renewers + r->renewers_count);
        atomic_init(&t->refs, 1);
        memcpy(t->digest, r->digest.data, sizeof t->digest);
        for (int32_t i = 0; i < r->renewers_count; i++)
                t->renewers[i] = put_text(&at, r->renewers[i]);
        t->id = put_text(&at, r->token_id);
        t->owner = put_text(&at, r->owner);
        t->requester = put_text(&at, r->requester);
        t->salt = put_bytes(&at, r->salt);
        t->sha256 =
                (struct meta_token_keys){ put_bytes(&at, r->sha256_stored_key), put_bytes(&at, r->sha256_server_key) };
        t->sha512 =
                (struct meta_token_keys){ put_bytes(&at, r->sha512_stored_key), put_bytes(&at, r->sha512_server_key) };
        return t;
}

struct meta_token *meta_token_ref(struct meta_token *t)
{
        if (t)
                atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
        return t;
}

size_t meta_token_bytes(const struct meta_token *t)
{
        struct rec_delegation_token r;

        meta_token_to_record(t, &r);
        return sizeof *t + text_len(&r);
}

struct meta_token *meta_token_unref(struct meta_token *t)
{
        if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        explicit_bzero(t, meta_token_bytes(t));
        free(t);
        return NULL;
}

/* ---- what it says ---- */

void meta_token_to_record(const struct meta_token *t, struct rec_delegation_token *ret)
{
        rec_delegation_token_init(ret);
        ret->token_id = t->id;
        ret->owner = t->owner;
        ret->requester = t->requester;
        ret->renewers = (struct str *)(uintptr_t)t->renewers;
        ret->renewers_count = (int32_t)t->renewers_count;
        ret->issue_ms = t->issue_ms;
        ret->expiry_ms = t->expiry_ms;
        ret->max_ms = t->max_ms;
        ret->digest = span_of(t->digest, sizeof t->digest);
        ret->iterations = t->iterations;
        ret->salt = t->salt;
        ret->sha256_stored_key = t->sha256.stored;
        ret->sha256_server_key = t->sha256.server;
        ret->sha512_stored_key = t->sha512.stored;
        ret->sha512_server_key = t->sha512.server;
}

static bool keys_equal(const struct meta_token_keys *a, const struct meta_token_keys *b)
{
        return span_equal(a->stored, b->stored) && span_equal(a->server, b->server);
}

bool meta_token_equal(const struct meta_token *a, const struct meta_token *b)
{
        if (a->renewers_count != b->renewers_count)
                return false;
        for (uint32_t i = 0; i < a->renewers_count; i++)
                if (!str_equal(a->renewers[i], b->renewers[i]))
                        return false;
        return str_equal(a->id, b->id) && str_equal(a->owner, b->owner) && str_equal(a->requester, b->requester) &&
               a->issue_ms == b->issue_ms && a->expiry_ms == b->expiry_ms && a->max_ms == b->max_ms &&
               a->iterations == b->iterations && !memcmp(a->digest, b->digest, sizeof a->digest) &&
               span_equal(a->salt, b->salt) && keys_equal(&a->sha256, &b->sha256) && keys_equal(&a->sha512, &b->sha512);
}

/* ---- how maps see them ---- */

static const void *key_id(const void *value)
{
        return &((const struct meta_token *)value)->id;
}

static const void *key_digest(const void *value)
{
        return ((const struct meta_token *)value)->digest;
}

static int compare_ids(const void *a, const void *b)
{
        return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static int compare_digests(const void *a, const void *b)
{
        return memcmp(a, b, META_TOKEN_DIGEST_LEN);
}

static void ref_any(void *value)
{
        meta_token_ref(value);
}

static void unref_any(void *value)
{
        meta_token_unref(value);
}

const struct pmap_ops meta_tokens_ops = { key_id, compare_ids, ref_any, unref_any };
const struct pmap_ops meta_tokens_by_digest_ops = { key_digest, compare_digests, ref_any, unref_any };
