/* SCRAM over the tokens of a connection: credentials come from the metadata, of users and of delegation tokens (KIP-48). */
#include <errno.h>

#include "base/base64.h"
#include "handler/delegation_tokens.h"
#include "handler/sasl_internal.h"
#include "sys/diag.h"

enum { NONCE_LEN = 24, NEIGHBOURS_MAX = 16 };

static struct scram_credential credential_of(const struct meta_credential *c)
{
        struct scram_credential ret = { .iterations = c->iterations,
                                        .salt = c->salt,
                                        .has_earlier = meta_credential_has_earlier(c, clock_wall_ms()) };

        memcpy(ret.keys.stored, c->stored_key.data, c->stored_key.len);
        memcpy(ret.keys.server, c->server_key.data, c->server_key.len);
        if (ret.has_earlier) {
                memcpy(ret.earlier.stored, c->earlier_stored_key.data, c->earlier_stored_key.len);
                memcpy(ret.earlier.server, c->earlier_server_key.data, c->earlier_server_key.len);
        }
        return ret;
}

/* One that a credential which is made up may look like: of a user whose name comes next, or of the first. */
static const struct meta_credential *neighbour(const struct meta_image *image, enum scram_mechanism m, struct str user)
{
        const struct meta_credential_key from = { user, 0 };
        const struct meta_credential *c;
        struct pmap_iter it;

        for (int round = 0; round < 2; round++) {
                pmap_iter_init(&it, &image->credentials, round ? NULL : &from);
                for (int i = 0; i < NEIGHBOURS_MAX && (c = pmap_next(&it)); i++)
                        if (c->key.mechanism == (int8_t)m)
                                return c;
        }
        return NULL;
}

int sasl_credential(struct rq *rq, enum scram_mechanism m, struct str user, uint8_t salt_mem[SCRAM_SALT_LEN_MAX],
                    struct scram_credential *ret, bool *ret_known)
{
        const struct meta_credential *c = meta_image_credential(rq->image, user, (int8_t)m);
        struct scram_credential like;

        *ret_known = c != NULL;
        if (c) {
                *ret = credential_of(c);
                return 0;
        }
        c = neighbour(rq->image, m, user);
        if (c)
                like = credential_of(c);
        return scram_decoy(m, rq->image->decoy_seed, user, c ? &like : NULL, salt_mem, ret);
}

/* Of the delegation token that the client names as its user. */
static int token_credential(struct rq *rq, enum scram_mechanism m, struct str id, uint8_t salt_mem[SCRAM_SALT_LEN_MAX],
                            struct scram_credential *ret, bool *ret_known)
{
        const struct meta_token *t = delegation_token_alive(rq, id);
        const struct meta_token_keys *keys;

        *ret_known = t != NULL;
        if (!t)
                return scram_decoy(m, rq->image->decoy_seed, id, NULL, salt_mem, ret);
        keys = m == SCRAM_SHA_256 ? &t->sha256 : &t->sha512;
        *ret = (struct scram_credential){ .iterations = t->iterations, .salt = t->salt };
        memcpy(ret->keys.stored, keys->stored.data, keys->stored.len);
        memcpy(ret->keys.server, keys->server.data, keys->server.len);
        return 0;
}

/* The user says its name, and is given salt and nonce. */
static void challenge(struct rq *rq, struct scram *x, enum scram_mechanism m)
{
        CLEANUP(strbuf_finip) struct strbuf nonce = { 0 }, out = { 0 };
        uint8_t random[NONCE_LEN], salt[SCRAM_SALT_LEN_MAX];
        struct scram_credential c = { 0 };
        bool known;
        int r = scram_by_token(x) ? token_credential(rq, m, scram_user(x), salt, &c, &known)
                                  : sasl_credential(rq, m, scram_user(x), salt, &c, &known);

        random_bytes(random, sizeof random);
        base64_add(&nonce, span_of(random, sizeof random));
        if (r || nonce.failed || scram_challenge(x, &c, known, (struct str){ nonce.data, nonce.len }, &out))
                rq_close_nomem(rq);
        else
                sasl_answer(rq, span_of(out.data, out.len));
        explicit_bzero(&c, sizeof c);
}

static void failed(struct rq *rq, struct scram *x, int outcome)
{
        struct str text = STR_NULL;

        if (outcome < 0) {
                rq_close_nomem(rq);
                return;
        }
        if (outcome == SCRAM_E_AUTHZID)
                text = STR_LIT(
                        "Authentication failed: Client requested an authorization id that is different from username");
        sasl_fail(rq, scram_user(x), text, scram_error_text(outcome));
}

bool sasl_earlier_password(struct rq *rq, enum scram_mechanism m, struct sasl_user *user)
{
        const struct meta_credential *c = meta_image_credential(rq->image, user->name, (int8_t)m);
        int64_t now_ms = clock_wall_ms();

        if (!c || !meta_credential_has_earlier(c, now_ms))
                return false;
        user->until_ms = c->earlier_until_ms;
        atomic_fetch_add_explicit(&rq->h->earlier_logins, 1, memory_order_relaxed);
        diag_limited(
                DIAG_NOTICE,
                "client %s: user %.*s logged in with the password from before its rotation, which ends in %lld minutes",
                net_conn_peer(rq->net.conn), STR_FMT(user->name), (long long)(c->earlier_until_ms - now_ms) / 60000);
        return true;
}

/* Names are the exchange's, which ends here, or the image's. */
static void succeed(struct rq *rq, const struct scram *x, enum scram_mechanism m, struct span data)
{
        struct sasl_user user = { .name = scram_user(x) };
        const struct meta_token *t;

        if (scram_by_earlier(x) && !sasl_earlier_password(rq, m, &user)) {
                sasl_fail(rq, user.name, STR_NULL, SASL_EARLIER_IS_OVER);
                return;
        }

        if (scram_by_token(x)) {
                t = delegation_token_alive(rq, user.name);
                if (!t) { /* not any more */
                        sasl_fail(rq, user.name, STR_NULL, "the delegation token has ended");
                        return;
                }
                user = (struct sasl_user){ .name = delegation_token_user(t->owner),
                                           .by_token = true,
                                           .until_ms = MIN2(t->expiry_ms, t->max_ms) };
        }
        sasl_succeed(rq, &user, data);
}

void sasl_scram_token(struct rq *rq, struct span token)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct sasl *s = client_conn_of(rq->net.conn)->sasl;
        enum scram_mechanism m = s->mechanism == SASL_SCRAM_SHA_256 ? SCRAM_SHA_256 : SCRAM_SHA_512;
        struct scram *x = s->scram;
        int r;

        if (!scram_is_begun(x)) {
                r = scram_take_first(x, token);
                if (r)
                        failed(rq, x, r);
                else
                        challenge(rq, x, m);
                return;
        }
        r = scram_take_final(x, token, &out);
        explicit_bzero((void *)(uintptr_t)token.data, token.len); /* the proof, in the frame (scram.c) */
        if (r) {
                failed(rq, x, r);
                return;
        }
        succeed(rq, x, m, span_of(out.data, out.len));
}
