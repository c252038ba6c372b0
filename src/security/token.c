/* See token.h. */
#include "security/token.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

int token_hmac(struct span secret, struct str id, uint8_t ret_hmac[TOKEN_HMAC_LEN])
{
        unsigned len = 0;

        return HMAC(EVP_sha512(), secret.data, (int)secret.len, (const uint8_t *)id.p, id.len, ret_hmac, &len)
                       ? 0
                       : -ENOMEM;
}

int token_digest(struct span hmac, uint8_t ret_digest[TOKEN_DIGEST_LEN])
{
        return EVP_Digest(hmac.data, hmac.len, ret_digest, NULL, EVP_sha256(), NULL) ? 0 : -ENOMEM;
}

/* ---- the secrets of a node ---- */

struct token_ring {
        pthread_rwlock_t lock; /* guards the rest; a leaf */
        struct span secret[TOKEN_SECRETS];
};

static struct span forget(struct span s)
{
        if (s.data)
                explicit_bzero((void *)(uintptr_t)s.data, s.len);
        free((void *)(uintptr_t)s.data);
        return SPAN_NULL;
}

struct token_ring *token_ring_new(void)
{
        struct token_ring *r = calloc(1, sizeof *r);

        if (r)
                pthread_rwlock_init(&r->lock, NULL);
        return r;
}

struct token_ring *token_ring_free(struct token_ring *r)
{
        if (!r)
                return NULL;
        for (int i = 0; i < TOKEN_SECRETS; i++)
                r->secret[i] = forget(r->secret[i]);
        pthread_rwlock_destroy(&r->lock);
        free(r);
        return NULL;
}

int token_ring_set(struct token_ring *r, const struct span secrets[TOKEN_SECRETS])
{
        struct span before[TOKEN_SECRETS], copy[TOKEN_SECRETS] = { 0 };
        bool failed = false;

        for (int i = 0; i < TOKEN_SECRETS; i++) {
                uint8_t *p = secrets[i].len ? malloc(secrets[i].len) : NULL;

                failed |= secrets[i].len && !p;
                if (!p)
                        continue;
                memcpy(p, secrets[i].data, secrets[i].len);
                copy[i] = span_of(p, secrets[i].len);
        }
        for (int i = 0; i < TOKEN_SECRETS && failed; i++)
                copy[i] = forget(copy[i]);
        if (failed)
                return -ENOMEM;
        pthread_rwlock_wrlock(&r->lock);
        memcpy(before, r->secret, sizeof before);
        memcpy(r->secret, copy, sizeof copy);
        pthread_rwlock_unlock(&r->lock);
        for (int i = 0; i < TOKEN_SECRETS; i++)
                before[i] = forget(before[i]);
        return 0;
}

bool token_ring_has(struct token_ring *r)
{
        bool has;

        pthread_rwlock_rdlock(&r->lock);
        has = r->secret[TOKEN_SECRET].len;
        pthread_rwlock_unlock(&r->lock);
        return has;
}

int token_ring_hmac(struct token_ring *r, enum token_secret which, struct str id, uint8_t ret_hmac[TOKEN_HMAC_LEN])
{
        int x = -ENOENT;

        pthread_rwlock_rdlock(&r->lock);
        if (r->secret[which].len)
                x = token_hmac(r->secret[which], id, ret_hmac);
        pthread_rwlock_unlock(&r->lock);
        return x;
}
