/* Delegation tokens (KIP-48, KIP-373): how long they last is what Kafka's controller says. */
#include "base/utf8.h"
#include "conf/limits.h"
#include "controller/decide.h"
#include "security/principal.h"

enum { SWEEP_MAX = 1000 };

/* Far ahead, not overflown. */
static int64_t after(int64_t now_ms, int64_t ms)
{
        return ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + ms;
}

static bool is_over(const struct decision *d, const struct meta_token *t)
{
        return MIN2(t->expiry_ms, t->max_ms) < d->wall_ms;
}

/* ---- create ---- */

static bool is_principal(struct str text)
{
        size_t type_len = sizeof "User:" - 1;

        return text.len > type_len && text.len <= type_len + PRINCIPAL_NAME_LEN_MAX &&
               !memcmp(text.p, "User:", type_len) && utf8_is_valid(text);
}

static bool are_principals(struct decision *d, struct controller_create_token *t)
{
        bool fine = is_principal(t->owner) && is_principal(t->requester);

        if (t->renewers_count > META_TOKEN_RENEWERS_MAX) {
                decision_refuse(d, &t->result, CONTROLLER_E_INVALID, "A token has at most %d renewers.",
                                META_TOKEN_RENEWERS_MAX);
                return false;
        }
        for (int32_t i = 0; i < t->renewers_count; i++)
                fine = fine && is_principal(t->renewers[i]);
        if (!fine)
                decision_refuse(d, &t->result, CONTROLLER_E_INVALID,
                                "Owner and renewers of a token are users whose names have 1 to %d bytes of UTF-8.",
                                PRINCIPAL_NAME_LEN_MAX);
        return !t->result.outcome;
}

/* Anybody who has logged in may ask for tokens, and each of them is in the memory of every node. */
static bool has_room(struct decision *d, struct controller_create_token *t)
{
        const struct pmap *tokens = &decision_image(d)->tokens;
        const struct meta_token *other;
        int32_t own = 0;

        pmap_for_each (it, other, tokens)
                own += str_equal(other->requester, t->requester);
        if (tokens->count >= LIMIT_DELEGATION_TOKENS)
                decision_refuse(d, &t->result, CONTROLLER_E_TOKENS_FULL, "There are %d delegation tokens already.",
                                LIMIT_DELEGATION_TOKENS);
        else if (own >= LIMIT_DELEGATION_TOKENS_OF_ONE)
                decision_refuse(d, &t->result, CONTROLLER_E_TOKENS_FULL,
                                "%.*s has asked for %d delegation tokens already; expire some.", STR_FMT(t->requester),
                                LIMIT_DELEGATION_TOKENS_OF_ONE);
        return !t->result.outcome;
}

void decide_create_token(struct decision *d, struct controller_create_token *t)
{
        const struct conf *conf = d->rules->conf;
        int64_t lifetime_ms = conf->security.delegation_token_max_lifetime_ms;
        struct meta_record r;

        t->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!decision_has_level(d, &t->result, CONTROLLER_LEVEL_SECURITY, "Delegation tokens") ||
            !are_principals(d, t) || !has_room(d, t))
                return;
        if (t->lifetime_ms > 0)
                lifetime_ms = MIN2(lifetime_ms, t->lifetime_ms);
        t->issue_ms = d->wall_ms;
        t->max_ms = after(d->wall_ms, lifetime_ms);
        t->expiry_ms = MIN2(t->max_ms, after(d->wall_ms, conf->security.delegation_token_expiry_time_ms));
        meta_record_init(&r, META_DELEGATION_TOKEN);
        r.delegation_token = (struct rec_delegation_token){ .token_id = t->id,
                                                            .owner = t->owner,
                                                            .requester = t->requester,
                                                            .renewers = (struct str *)(uintptr_t)t->renewers,
                                                            .renewers_count = t->renewers_count,
                                                            .issue_ms = t->issue_ms,
                                                            .expiry_ms = t->expiry_ms,
                                                            .max_ms = t->max_ms,
                                                            .digest = t->digest,
                                                            .iterations = t->iterations,
                                                            .salt = t->salt,
                                                            .sha256_stored_key = t->sha256_stored_key,
                                                            .sha256_server_key = t->sha256_server_key,
                                                            .sha512_stored_key = t->sha512_stored_key,
                                                            .sha512_server_key = t->sha512_server_key };
        /* Chance makes both anew each time; who asks twice for the same has a request that came twice. */
        if (!meta_token_is_possible(&r.delegation_token) || meta_image_token(decision_image(d), t->id) ||
            meta_image_token_by_digest(decision_image(d), t->digest.data))
                decision_refuse(d, &t->result, CONTROLLER_E_INVALID, "This cannot be a delegation token.");
        else
                decision_emit(d, &r);
}

/* ---- renew, expire ---- */

static const struct meta_token *find(struct decision *d, struct controller_alter_token *t)
{
        const struct meta_token *token = t->digest.len == META_TOKEN_DIGEST_LEN
                                                 ? meta_image_token_by_digest(decision_image(d), t->digest.data)
                                                 : NULL;

        t->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (!token)
                decision_refuse(d, &t->result, CONTROLLER_E_TOKEN_UNKNOWN, "There is no such delegation token.");
        return token;
}

/* Who asked for it on somebody else's behalf may not: KIP-373 leaves that to the owner and the renewers. */
static bool may_alter(struct decision *d, struct controller_alter_token *t, const struct meta_token *token)
{
        bool may = str_equal(t->who, token->owner);

        for (uint32_t i = 0; i < token->renewers_count; i++)
                may = may || str_equal(t->who, token->renewers[i]);
        if (!may)
                decision_refuse(d, &t->result, CONTROLLER_E_TOKEN_STRANGER, "%.*s neither owns nor renews this token.",
                                STR_FMT(t->who));
        return may;
}

static bool is_alive(struct decision *d, struct controller_alter_token *t, const struct meta_token *token)
{
        if (is_over(d, token))
                decision_refuse(d, &t->result, CONTROLLER_E_TOKEN_EXPIRED, "The delegation token has expired.");
        return !t->result.outcome;
}

static void put_expiry(struct decision *d, struct controller_alter_token *t, const struct meta_token *token,
                       int64_t period_ms)
{
        struct meta_record r;

        t->expiry_ms = MIN2(token->max_ms, after(d->wall_ms, period_ms));
        meta_record_init(&r, META_DELEGATION_TOKEN);
        meta_token_to_record(token, &r.delegation_token);
        r.delegation_token.expiry_ms = t->expiry_ms;
        decision_emit(d, &r);
}

static void renew(struct decision *d, struct controller_alter_token *t)
{
        int64_t period_ms = d->rules->conf->security.delegation_token_expiry_time_ms;
        const struct meta_token *token = find(d, t);

        if (!token || !is_alive(d, t, token) || !may_alter(d, t, token))
                return;
        put_expiry(d, t, token, t->period_ms > 0 ? MIN2(period_ms, t->period_ms) : period_ms);
}

static void remove_token(struct decision *d, const struct meta_token *token)
{
        struct meta_record r;

        meta_record_init(&r, META_DELEGATION_TOKEN_REMOVE);
        r.delegation_token_remove.token_id = token->id;
        decision_emit(d, &r);
}

static void expire(struct decision *d, struct controller_alter_token *t)
{
        const struct meta_token *token = find(d, t);

        if (!token || !may_alter(d, t, token))
                return;
        if (t->period_ms < 0) {
                t->expiry_ms = t->period_ms;
                remove_token(d, token);
        } else if (is_alive(d, t, token)) {
                put_expiry(d, t, token, t->period_ms);
        }
}

void decide_alter_token(struct decision *d, struct controller_alter_token *t, bool expires)
{
        if (expires)
                expire(d, t);
        else
                renew(d, t);
}

/* ---- what nobody asks for ---- */

int decision_sweep_tokens(struct decision *d, bool *ret_more)
{
        struct pmap tokens = pmap_copy(&decision_image(d)->tokens);
        const struct meta_token *t;
        int removed = 0;

        d->may_split = true;
        pmap_for_each (it, t, &tokens)
                if (is_over(d, t) && removed++ < SWEEP_MAX)
                        remove_token(d, t);
        pmap_fini(&tokens);
        *ret_more = removed > SWEEP_MAX;
        return d->failed;
}
