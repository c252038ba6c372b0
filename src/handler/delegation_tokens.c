/* CreateDelegationToken (key 38), RenewDelegationToken (39), ExpireDelegationToken (40), DescribeDelegationToken (41).
 *
 * A token's id is chance, its HMAC that of the id under the secret that all nodes are given, and its holder logs in by SCRAM with the id as
 * name and the HMAC in base64 as password (sasl_scram.c). The metadata has a digest of the HMAC, to find a token by, and the keys of SCRAM:
 * neither lets anybody in. Sources: KIP-48, KIP-373. */
#include "handler/delegation_tokens.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base64.h"
#include "handler/ask.h"
#include "handler/audit.h"
#include "handler/client_conn.h"
#include "handler/slow.h"
#include "security/scram.h"
#include "security/token.h"
#include "wire/messages.h"

enum { SALT_LEN = 32, NO_TIME = -1 };

static const struct str user_type = { "User", 4 };

/* ---- what a token is ---- */

/* Of its HMAC, by one of this node's secrets. */
static bool is_ours(const struct rq *rq, const struct meta_token *t, uint8_t ret_hmac[TOKEN_HMAC_LEN])
{
        uint8_t digest[TOKEN_DIGEST_LEN];

        for (int i = 0; i < TOKEN_SECRETS; i++)
                if (!token_ring_hmac(rq->h->deps.token_secrets, (enum token_secret)i, t->id, ret_hmac) &&
                    !token_digest(span_of(ret_hmac, TOKEN_HMAC_LEN), digest) &&
                    !memcmp(digest, t->digest, sizeof digest))
                        return true;
        return false;
}
static_assert((int)TOKEN_DIGEST_LEN == (int)META_TOKEN_DIGEST_LEN, "one digest");

const struct meta_token *delegation_token_alive(const struct rq *rq, struct str id)
{
        const struct meta_token *t = token_ring_has(rq->h->deps.token_secrets) ? meta_image_token(rq->image, id) : NULL;
        uint8_t hmac[TOKEN_HMAC_LEN];
        bool alive = t && MIN2(t->expiry_ms, t->max_ms) >= clock_wall_ms() && is_ours(rq, t, hmac);

        explicit_bzero(hmac, sizeof hmac);
        return alive ? t : NULL;
}

struct str delegation_token_user(struct str principal)
{
        assert(principal.len > user_type.len);
        return (struct str){ principal.p + user_type.len + 1, principal.len - user_type.len - 1 };
}

/* "User:alice"; null text: out of memory. */
static struct str principal_text(struct rq *rq, struct str type, struct str name)
{
        size_t len = type.len + 1 + name.len;
        char *p = ARENA_NEW_ARRAY(&rq->arena, char, len);

        if (!p)
                return STR_NULL;
        memcpy(p, type.p, type.len);
        p[type.len] = ':';
        if (name.len)
                memcpy(p + type.len + 1, name.p, name.len);
        return (struct str){ p, len };
}

/* Tokens are for who has proven to be somebody, and not by a token: else one would never end. */
static bool may_ask(const struct rq *rq)
{
        int protocol = client_conn_of(rq->net.conn)->listener->protocol;

        return protocol != CONF_PROTOCOL_PLAINTEXT && !rq->principal->by_token &&
               !(protocol == CONF_PROTOCOL_SSL && principal_equals(rq->principal, principal_anonymous()));
}

static int16_t error_of(enum controller_outcome outcome)
{
        switch (outcome) {
        case CONTROLLER_E_TOKEN_UNKNOWN:
                return KERR_DELEGATION_TOKEN_NOT_FOUND;
        case CONTROLLER_E_TOKEN_EXPIRED:
                return KERR_DELEGATION_TOKEN_EXPIRED;
        case CONTROLLER_E_TOKEN_STRANGER:
                return KERR_DELEGATION_TOKEN_OWNER_MISMATCH;
        case CONTROLLER_E_TOKENS_FULL:
                return KERR_POLICY_VIOLATION;
        default:
                return error_of_controller(outcome);
        }
}

/* ---- create ---- */

struct create_op {
        struct rq *rq;
        struct create_delegation_token_request req;
        struct create_delegation_token_response rsp;
        struct controller_create_token item;
        char id[UUID_TEXT_SIZE];
        uint8_t salt[SALT_LEN], hmac[TOKEN_HMAC_LEN], digest[TOKEN_DIGEST_LEN];
        struct scram_keys keys[SCRAM_MECHANISM_END];
        int error;
        struct slow slow;
        struct ask ask;
};

static void create_fail(struct create_op *op, int16_t error)
{
        op->rsp.error_code = error;
        handler_count_error(op->rq, error);
        RQ_REPLY(op->rq, create_delegation_token_response, &op->rsp);
}

static void create_done(struct controller_request *crq)
{
        struct create_op *op = container_of(crq, struct create_op, ask.rq);
        enum controller_outcome outcome = ask_result(&op->ask, &op->item.result)->outcome;

        ask_fini(&op->ask);
        explicit_bzero(op->keys, sizeof op->keys);
        if (outcome) {
                create_fail(op, error_of(outcome));
                return;
        }
        op->rsp.issue_timestamp_ms = op->item.issue_ms;
        op->rsp.expiry_timestamp_ms = op->item.expiry_ms;
        op->rsp.max_timestamp_ms = op->item.max_ms;
        op->rsp.token_id = op->item.id;
        op->rsp.hmac = span_of(op->hmac, sizeof op->hmac);
        RQ_REPLY(op->rq, create_delegation_token_response, &op->rsp);
}

static int derive(struct create_op *op, enum scram_mechanism m, struct span password)
{
        uint8_t salted[SCRAM_KEY_LEN_MAX];
        int r = scram_salt_password(m, password, span_of(op->salt, sizeof op->salt), SCRAM_ITERATIONS_MIN, salted);

        if (!r)
                r = scram_derive(m, salted, &op->keys[m]);
        explicit_bzero(salted, sizeof salted);
        return r;
}

/* On the pool. */
static void make(struct slow *s)
{
        struct create_op *op = container_of(s, struct create_op, slow);
        CLEANUP(strbuf_finip) struct strbuf password = { 0 };
        int r = token_ring_hmac(op->rq->h->deps.token_secrets, TOKEN_SECRET, op->item.id, op->hmac);

        if (!r)
                r = token_digest(span_of(op->hmac, sizeof op->hmac), op->digest);
        base64_add(&password, span_of(op->hmac, sizeof op->hmac));
        if (!r && password.failed)
                r = -ENOMEM;
        for (enum scram_mechanism m = SCRAM_SHA_256; !r && m < SCRAM_MECHANISM_END; m++)
                r = derive(op, m, span_of(password.data, password.len));
        if (password.data)
                explicit_bzero(password.data, password.len);
        op->error = r;
}

static void made(struct slow *s)
{
        struct create_op *op = container_of(s, struct create_op, slow);
        const struct scram_keys *keys = op->keys;

        if (op->error) {
                rq_close_nomem(op->rq);
                return;
        }
        op->item.iterations = SCRAM_ITERATIONS_MIN;
        op->item.digest = span_of(op->digest, sizeof op->digest);
        op->item.salt = span_of(op->salt, sizeof op->salt);
        op->item.sha256_stored_key = span_of(keys[SCRAM_SHA_256].stored, scram_key_len(SCRAM_SHA_256));
        op->item.sha256_server_key = span_of(keys[SCRAM_SHA_256].server, scram_key_len(SCRAM_SHA_256));
        op->item.sha512_stored_key = span_of(keys[SCRAM_SHA_512].stored, scram_key_len(SCRAM_SHA_512));
        op->item.sha512_server_key = span_of(keys[SCRAM_SHA_512].server, scram_key_len(SCRAM_SHA_512));
        ask_submit(op->rq, &op->ask, CONTROLLER_CREATE_TOKENS, &op->item, 1, false, create_done);
}

static int16_t create_refusal(struct create_op *op, struct str owner_type)
{
        struct rq *rq = op->rq;

        if (!may_ask(rq))
                return KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
        if (!str_equal(op->item.owner, op->item.requester) &&
            !authorize(rq, ACL_CREATE_TOKENS, ACL_USER, op->item.owner))
                return KERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED;
        for (int32_t i = 0; i < op->req.renewers_count; i++)
                if (!str_equal(op->req.renewers[i].principal_type, user_type))
                        return KERR_INVALID_PRINCIPAL_TYPE;
        if (!str_equal(owner_type, user_type))
                return KERR_INVALID_PRINCIPAL_TYPE;
        return token_ring_has(rq->h->deps.token_secrets) ? 0 : KERR_DELEGATION_TOKEN_AUTH_DISABLED;
}

/* Who asks, for whom, and who may renew it, as texts. False: out of memory. */
static bool create_read(struct create_op *op)
{
        struct rq *rq = op->rq;
        struct str *renewers = ARENA_NEW_ARRAY(&rq->arena, struct str, op->req.renewers_count);
        bool ok = renewers;

        for (int32_t i = 0; ok && i < op->req.renewers_count; i++) {
                renewers[i] =
                        principal_text(rq, op->req.renewers[i].principal_type, op->req.renewers[i].principal_name);
                ok = renewers[i].p;
        }
        op->item.renewers = renewers;
        op->item.renewers_count = op->req.renewers_count;
        op->item.requester = principal_text(rq, rq->principal->type, rq->principal->name);
        op->item.owner = principal_text(rq, op->rsp.principal_type, op->rsp.principal_name);
        op->item.lifetime_ms = op->req.max_lifetime_ms;
        return ok && op->item.requester.p && op->item.owner.p;
}

static void create_init(struct create_op *op)
{
        const struct principal *p = op->rq->principal;
        struct uuid id;

        create_delegation_token_response_init(&op->rsp);
        op->rsp.token_requester_principal_type = p->type;
        op->rsp.token_requester_principal_name = p->name;
        op->rsp.principal_type = p->type;
        op->rsp.principal_name = p->name;
        if (op->req.owner_principal_name.len) {
                op->rsp.principal_type =
                        str_is_null(op->req.owner_principal_type) ? STR_LIT("") : op->req.owner_principal_type;
                op->rsp.principal_name = op->req.owner_principal_name;
        }
        op->rsp.issue_timestamp_ms = op->rsp.expiry_timestamp_ms = op->rsp.max_timestamp_ms = NO_TIME;
        op->rsp.token_id = STR_LIT("");
        op->rsp.hmac = span_of("", 0);
        random_bytes(&id, sizeof id);
        uuid_format(id, op->id);
        random_bytes(op->salt, sizeof op->salt);
        op->item.id = str_of(op->id);
}

void handler_create_delegation_token(struct rq *rq)
{
        struct create_op *op = ARENA_NEW(&rq->arena, struct create_op);
        int16_t error;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, create_delegation_token_request, &op->req))
                return;
        create_init(op);
        if (!create_read(op)) {
                rq_close_nomem(rq);
                return;
        }
        error = create_refusal(op, op->rsp.principal_type);
        if (error) {
                audit_done(rq, STR_LIT("CREATE_TOKEN"), STR_LIT("DELEGATION_TOKEN"), STR_NULL, error);
                create_fail(op, error);
                return;
        }
        op->slow = (struct slow){ .rq = rq, .run = make, .done = made };
        slow_submit(&op->slow);
}

/* ---- renew, expire ---- */

struct alter_op {
        struct rq *rq;
        struct controller_alter_token item;
        uint8_t digest[TOKEN_DIGEST_LEN];
        struct ask ask;
};

static void alter_reply(struct alter_op *op, int16_t error)
{
        int64_t expiry_ms = error ? NO_TIME : op->item.expiry_ms;
        struct rq *rq = op->rq;

        if (error)
                handler_count_error(rq, error);
        if (rq->api->key == KAPI_RENEW_DELEGATION_TOKEN) {
                struct renew_delegation_token_response rsp;

                renew_delegation_token_response_init(&rsp);
                rsp.error_code = error;
                rsp.expiry_timestamp_ms = expiry_ms;
                RQ_REPLY(rq, renew_delegation_token_response, &rsp);
        } else {
                struct expire_delegation_token_response rsp;

                expire_delegation_token_response_init(&rsp);
                rsp.error_code = error;
                rsp.expiry_timestamp_ms = expiry_ms;
                RQ_REPLY(rq, expire_delegation_token_response, &rsp);
        }
}

static void alter_done(struct controller_request *crq)
{
        struct alter_op *op = container_of(crq, struct alter_op, ask.rq);
        enum controller_outcome outcome = ask_result(&op->ask, &op->item.result)->outcome;

        ask_fini(&op->ask);
        alter_reply(op, error_of(outcome));
}

static void alter_refuse(struct alter_op *op, int16_t error)
{
        bool renews = op->rq->api->key == KAPI_RENEW_DELEGATION_TOKEN;

        audit_done(op->rq, renews ? STR_LIT("RENEW_TOKEN") : STR_LIT("EXPIRE_TOKEN"), STR_LIT("DELEGATION_TOKEN"),
                   op->item.id, error);
        alter_reply(op, error);
}

static void alter(struct rq *rq, enum controller_op what, struct span hmac, int64_t period_ms)
{
        struct alter_op *op = ARENA_NEW(&rq->arena, struct alter_op);
        const struct meta_token *known;

        if (!op || token_digest(hmac, op->digest)) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        known = meta_image_token_by_digest(rq->image, op->digest);
        op->item = (struct controller_alter_token){ .digest = span_of(op->digest, sizeof op->digest),
                                                    .id = known ? known->id : STR_NULL,
                                                    .who = principal_text(rq, rq->principal->type, rq->principal->name),
                                                    .period_ms = period_ms };
        if (!op->item.who.p)
                rq_close_nomem(rq);
        else if (!may_ask(rq))
                alter_refuse(op, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
        else if (!token_ring_has(rq->h->deps.token_secrets))
                alter_refuse(op, KERR_DELEGATION_TOKEN_AUTH_DISABLED);
        else
                ask_submit(rq, &op->ask, what, &op->item, 1, false, alter_done);
}

void handler_renew_delegation_token(struct rq *rq)
{
        struct renew_delegation_token_request req;

        if (RQ_DECODE(rq, renew_delegation_token_request, &req))
                alter(rq, CONTROLLER_RENEW_TOKENS, req.hmac, req.renew_period_ms);
}

void handler_expire_delegation_token(struct rq *rq)
{
        struct expire_delegation_token_request req;

        if (RQ_DECODE(rq, expire_delegation_token_request, &req))
                alter(rq, CONTROLLER_EXPIRE_TOKENS, req.hmac, req.expiry_time_period_ms);
}

/* ---- describe ---- */

/* Whose tokens are wanted. */
struct owners {
        struct str *at; /* in order; NULL: everybody's */
        size_t count;
};

static int compare_texts(const void *a, const void *b)
{
        return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool is_wanted(const struct owners *o, struct str principal)
{
        return bsearch(&principal, o->at, o->count, sizeof *o->at, compare_texts);
}

static bool some_are_wanted(const struct owners *o, const struct meta_token *t)
{
        bool wanted = !o->at || is_wanted(o, t->owner) || is_wanted(o, t->requester);

        for (uint32_t i = 0; !wanted && i < t->renewers_count; i++)
                wanted = is_wanted(o, t->renewers[i]);
        return wanted;
}

static bool may_see(struct rq *rq, const struct owners *me, const struct meta_token *t)
{
        return some_are_wanted(me, t) || authorize_quietly(rq, ACL_DESCRIBE, ACL_DELEGATION_TOKEN, t->id) ||
               authorize_quietly(rq, ACL_DESCRIBE_TOKENS, ACL_USER, t->owner);
}

static bool read_owners(struct rq *rq, const struct describe_delegation_token_request *req, struct owners *ret)
{
        *ret = (struct owners){ 0 };
        if (req->owners_count < 0)
                return true;
        ret->at = ARENA_NEW_ARRAY(&rq->arena, struct str, (size_t)req->owners_count + 1);
        if (!ret->at)
                return false;
        for (; ret->count < (size_t)req->owners_count; ret->count++) {
                const struct describe_delegation_token_request_owner *o = &req->owners[ret->count];

                ret->at[ret->count] = principal_text(rq, o->principal_type, o->principal_name);
                if (!ret->at[ret->count].p)
                        return false;
        }
        qsort(ret->at, ret->count, sizeof *ret->at, compare_texts);
        return true;
}

/* One token; those of another secret are passed over. False: out of memory. */
static bool tell(struct rq *rq, const struct meta_token *t, struct describe_delegation_token_response *rsp)
{
        struct describe_delegation_token_response_renewer *renewers =
                ARENA_NEW_ARRAY(&rq->arena, struct describe_delegation_token_response_renewer, t->renewers_count);
        uint8_t *hmac = ARENA_NEW_ARRAY(&rq->arena, uint8_t, TOKEN_HMAC_LEN);
        struct describe_delegation_token_response_token *out = &rsp->tokens[rsp->tokens_count];

        if (!renewers || !hmac)
                return false;
        if (!is_ours(rq, t, hmac))
                return true;
        for (uint32_t i = 0; i < t->renewers_count; i++)
                renewers[i] = (struct describe_delegation_token_response_renewer){
                        .principal_type = user_type, .principal_name = delegation_token_user(t->renewers[i])
                };
        describe_delegation_token_response_token_init(out);
        out->principal_type = out->token_requester_principal_type = user_type;
        out->principal_name = delegation_token_user(t->owner);
        out->token_requester_principal_name = delegation_token_user(t->requester);
        out->issue_timestamp = t->issue_ms;
        out->expiry_timestamp = t->expiry_ms;
        out->max_timestamp = t->max_ms;
        out->token_id = t->id;
        out->hmac = span_of(hmac, TOKEN_HMAC_LEN);
        out->renewers = renewers;
        out->renewers_count = (int32_t)t->renewers_count;
        rsp->tokens_count++;
        return true;
}

static bool describe(struct rq *rq, const struct describe_delegation_token_request *req,
                     struct describe_delegation_token_response *rsp)
{
        const struct pmap *tokens = &rq->image->tokens;
        struct str who = principal_text(rq, rq->principal->type, rq->principal->name);
        struct owners me = { .at = &who, .count = 1 }, owners;
        const struct meta_token *t;

        rsp->tokens = ARENA_NEW_ARRAY(&rq->arena, struct describe_delegation_token_response_token, tokens->count);
        if (!rsp->tokens || !who.p || !read_owners(rq, req, &owners))
                return false;
        pmap_for_each (it, t, tokens)
                if (some_are_wanted(&owners, t) && may_see(rq, &me, t) && !tell(rq, t, rsp))
                        return false;
        return true;
}

void handler_describe_delegation_token(struct rq *rq)
{
        struct describe_delegation_token_request req;
        struct describe_delegation_token_response rsp;

        if (!RQ_DECODE(rq, describe_delegation_token_request, &req))
                return;
        describe_delegation_token_response_init(&rsp);
        if (!may_ask(rq))
                rsp.error_code = KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
        else if (!token_ring_has(rq->h->deps.token_secrets))
                rsp.error_code = KERR_DELEGATION_TOKEN_AUTH_DISABLED;
        if (rsp.error_code) {
                handler_count_error(rq, rsp.error_code);
        } else if (!describe(rq, &req, &rsp)) {
                rq_close_nomem(rq);
                return;
        }
        RQ_REPLY(rq, describe_delegation_token_response, &rsp);
}
