/* SASL OAUTHBEARER: a signed token says who it is. One that is not accepted is answered with an error in JSON; the client says with the byte
 * 1 that it has read it, and only then the exchange fails. Sources: RFC 7628, KIP-255, KIP-768. */
#include <errno.h>

#include "handler/sasl_internal.h"
#include "security/jwt.h"
#include "security/oauth.h"

static const struct str invalid_token = { "{\"status\":\"invalid_token\"}", 26 };

static int check(const struct rq *rq, struct str token, struct jwt_claims *ret)
{
        const struct client_conn *cc = client_conn_of(rq->net.conn);
        const struct conf *conf = rq->h->deps.conf;
        CLEANUP(jwks_unrefp) struct jwks *keys = jwks_slot_get(rq->h->deps.jwks[cc->listener - conf->listeners]);
        const struct jwt_rules rules = { .issuer = str_of(cc->listener->oauth_issuer),
                                         .audiences = str_of(cc->listener->oauth_audience),
                                         .subject_claim = str_of(cc->listener->oauth_subject_claim),
                                         .skew_ms = cc->listener->oauth_clock_skew_ms,
                                         .now_ms = clock_wall_ms() };

        return jwt_check(keys, token, &rules, ret);
}

/* A token is good for as long as its claims say; the difference of clocks is not the session's. */
static void succeed(struct rq *rq, const struct oauth *o, const struct jwt_claims *c)
{
        struct str subject = { c->subject, c->subject_len };

        if (o->authzid.len && !str_equal(o->authzid, subject)) {
                sasl_fail(rq, subject,
                          RQ_TEXT(rq,
                                  "Authentication failed: Client requested an authorization id (%.*s) that is "
                                  "different from the token's principal name (%.*s)",
                                  STR_FMT(o->authzid), STR_FMT(subject)),
                          "it wants to act as somebody else");
                return;
        }
        sasl_succeed(rq, &(struct sasl_user){ .name = subject, .until_ms = c->expires_ms }, SPAN_NULL);
}

void sasl_oauth_token(struct rq *rq, struct span token)
{
        struct sasl *s = client_conn_of(rq->net.conn)->sasl;
        struct jwt_claims claims;
        struct oauth o;
        int r;

        if (s->refused) { /* whatever it says now */
                sasl_fail(rq, STR_NULL, invalid_token, s->refused);
                return;
        }
        if (!oauth_read(token, &o)) {
                sasl_fail(rq, STR_NULL, STR_NULL, "the message is malformed");
                return;
        }
        r = check(rq, o.token, &claims);
        if (r == JWT_OK) {
                succeed(rq, &o, &claims);
        } else if (r < 0) {
                rq_close_nomem(rq);
        } else {
                s->refused = jwt_error_text(r);
                sasl_answer(rq, span_of(invalid_token.p, invalid_token.len));
        }
}
