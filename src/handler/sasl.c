/* SaslHandshake (key 17), SaslAuthenticate (key 36), and what else may come when. */
#include "handler/sasl_internal.h"

#include <errno.h>

#include "base/utf8.h"
#include "conf/limits.h"
#include "sys/diag.h"
#include "wire/messages.h"

enum { AGAIN_MS_MIN = 1000 }; /* between two re-authentications, as in Kafka */

struct sasl *sasl_new(void)
{
        return calloc(1, sizeof(struct sasl));
}

struct sasl *sasl_free(struct sasl *s)
{
        if (!s)
                return NULL;
        scram_free(s->scram);
        free(s);
        return NULL;
}

static struct sasl *sasl_of(const struct rq *rq)
{
        struct client_conn *cc = client_conn_of(rq->net.conn);

        return cc ? cc->sasl : NULL;
}

struct str sasl_mechanism_name(enum sasl_mechanism m)
{
        return conf_values_at(conf_listener_rows[LISTENER_sasl_mechanisms].values, m);
}

const char *sasl_what(const struct sasl *s)
{
        return s->again ? "re-authentication" : "authentication";
}

/* ---- answers ---- */

static void reply_raw(struct rq *rq, struct span data)
{
        uint8_t *copy = malloc(data.len + 1);
        struct net_piece piece = { .data = copy, .fd = -1, .len = data.len, .release = free, .release_arg = copy };

        if (!copy) {
                rq_close_nomem(rq);
                return;
        }
        if (data.len)
                memcpy(copy, data.data, data.len);
        rq_reply_piece(rq, &piece);
}

static void answer(struct rq *rq, bool raw, struct span data, int64_t lifetime_ms)
{
        struct sasl_authenticate_response rsp;

        if (raw) {
                reply_raw(rq, data);
                return;
        }
        sasl_authenticate_response_init(&rsp);
        rsp.error_message = STR_NULL;
        rsp.auth_bytes = span_of(data.data ? data.data : (const uint8_t *)"", data.len);
        rsp.session_lifetime_ms = lifetime_ms;
        RQ_REPLY(rq, sasl_authenticate_response, &rsp);
}

void sasl_answer(struct rq *rq, struct span data)
{
        answer(rq, sasl_of(rq)->raw, data, 0);
}

/* What is said a little later, so that guessing takes time. */
struct late {
        struct rq *rq;
        struct loop_timer timer;
        bool handshake, raw;
        union {
                struct sasl_handshake_response of_handshake;
                struct sasl_authenticate_response of_authenticate;
        };
};

static void late_say(struct loop_timer *t)
{
        struct late *l = container_of(t, struct late, timer);
        struct rq *rq = l->rq;

        if (l->raw) {
                rq_close(rq, "failed authentication");
                return;
        }
        if (!net_conn_is_gone(rq->net.conn))
                net_conn_hang_up(rq->net.conn, "failed authentication");
        if (l->handshake)
                RQ_REPLY(rq, sasl_handshake_response, &l->of_handshake);
        else
                RQ_REPLY(rq, sasl_authenticate_response, &l->of_authenticate);
}

static void say_late(struct late *l)
{
        struct rq *rq = l->rq;

        sasl_of(rq)->state = SASL_FAILED;
        loop_timer_init(&l->timer, rq_loop(rq), late_say);
        loop_timer_start(&l->timer, rq->h->deps.conf->server.failed_authentication_delay_ms);
}

void sasl_fail(struct rq *rq, struct str user, struct str text, const char *why)
{
        struct late *l = ARENA_NEW(&rq->arena, struct late);
        const struct sasl *s = sasl_of(rq);
        struct str mechanism = sasl_mechanism_name(s->mechanism);

        if (str_is_null(text))
                text = RQ_TEXT(rq,
                               "Authentication failed during %s due to invalid credentials with SASL mechanism %.*s",
                               sasl_what(s), STR_FMT(mechanism));
        if (!l || !text.p) {
                rq_close_nomem(rq);
                return;
        }
        audit_login(rq, user, mechanism, str_of(why));
        diag_about_limited(DIAG_NOTICE,
                           DIAG_ABOUT(LOGIN_FAILED, { "USER", .text = user.p ? user : STR_LIT("") },
                                      { "CLIENT", .text = str_of(net_conn_peer(rq->net.conn)) },
                                      { "LISTENER", .text = str_of(net_conn_listener(rq->net.conn)) },
                                      { "MECHANISM", .text = mechanism }),
                           "client %s: %s%s%.*s by %.*s failed: %s", net_conn_peer(rq->net.conn), sasl_what(s),
                           user.len ? " as " : "", STR_FMT(user), STR_FMT(mechanism), why);
        l->rq = rq;
        l->raw = s->raw;
        sasl_authenticate_response_init(&l->of_authenticate);
        l->of_authenticate.error_code = KERR_SASL_AUTHENTICATION_FAILED;
        l->of_authenticate.error_message = text;
        l->of_authenticate.auth_bytes = span_of("", 0);
        handler_count_error(rq, KERR_SASL_AUTHENTICATION_FAILED);
        say_late(l);
}

/* How long the session lasts: as long as the listener allows, and as what the user has shown is good for. 0: without end. */
static int64_t lifetime_of(const struct client_conn *cc, const struct sasl_user *user)
{
        int64_t max_ms = cc->listener->connections_max_reauth_ms, left_ms;

        if (!user->until_ms)
                return max_ms;
        left_ms = MAX2(user->until_ms - clock_wall_ms(), INT64_C(1));
        return max_ms ? MIN2(max_ms, left_ms) : left_ms;
}

void sasl_succeed(struct rq *rq, const struct sasl_user *user, struct span data)
{
        CLEANUP(principal_unrefp) struct principal *p = NULL;
        struct client_conn *cc = client_conn_of(rq->net.conn);
        int64_t lifetime_ms = lifetime_of(cc, user);
        struct sasl *s = cc->sasl;
        bool raw = s->raw;

        if (principal_new(STR_LIT("User"), user->name, &p)) {
                rq_close_nomem(rq);
                return;
        }
        p->by_token = user->by_token;
        if (cc->principal && !principal_equals(cc->principal, p)) {
                sasl_fail(rq, user->name,
                          RQ_TEXT(rq, "Cannot change principals during re-authentication from %.*s.%.*s: %.*s.%.*s",
                                  STR_FMT(cc->principal->type), STR_FMT(cc->principal->name), STR_FMT(p->type),
                                  STR_FMT(p->name)),
                          "it was somebody else before");
                return;
        }
        if (!cc->principal || cc->principal->by_token != p->by_token) {
                principal_unref(cc->principal);
                cc->principal = TAKE_PTR(p);
        }
        audit_login(rq, user->name, sasl_mechanism_name(s->mechanism), STR_NULL);
        s->scram = scram_free(s->scram);
        s->state = SASL_DONE;
        s->ends_ms = lifetime_ms ? loop_now_ms(rq_loop(rq)) + MIN2(lifetime_ms, INT64_MAX / 2) : 0;
        net_conn_limit_frames(rq->net.conn, (size_t)rq->h->deps.conf->server.max_request_bytes);
        s->raw = false;
        answer(rq, raw, data, lifetime_ms); /* the last: the connection may end with it */
}

/* ---- tokens ---- */

static void take_token(struct rq *rq, struct span token)
{
        struct sasl *s = sasl_of(rq);
        struct str mechanism = sasl_mechanism_name(s->mechanism);

        if (s->bad_mechanism)
                sasl_fail(rq, STR_NULL,
                          RQ_TEXT(rq,
                                  "SASL mechanism '%.*s' requested by client is not supported for re-authentication of "
                                  "mechanism '%.*s'",
                                  STR_FMT(sasl_mechanism_name(s->wanted)), STR_FMT(mechanism)),
                          "it used another mechanism before");
        else if (s->mechanism == SASL_PLAIN)
                sasl_plain_token(rq, token);
        else if (s->mechanism == SASL_OAUTHBEARER)
                sasl_oauth_token(rq, token);
        else
                sasl_scram_token(rq, token);
}

bool sasl_take_token(struct rq *rq)
{
        struct sasl *s = sasl_of(rq);

        if (!s || !s->raw || s->state != SASL_AUTHENTICATE)
                return false;
        rq->api = handler_api_find(KAPI_SASL_AUTHENTICATE);
        if (!handler_image_take(rq)) {
                rq_close_nomem(rq);
                return true;
        }
        handler_count_start(rq);
        take_token(rq, rq->net.body);
        return true;
}

void handler_sasl_authenticate(struct rq *rq)
{
        struct sasl_authenticate_request req;
        struct sasl_authenticate_response rsp;
        struct sasl *s;

        if (!RQ_DECODE(rq, sasl_authenticate_request, &req))
                return;
        s = sasl_of(rq);
        if (s && s->state == SASL_AUTHENTICATE) {
                take_token(rq, req.auth_bytes);
                return;
        }
        sasl_authenticate_response_init(&rsp);
        rsp.error_code = KERR_ILLEGAL_SASL_STATE;
        rsp.error_message = STR_LIT("SaslAuthenticate request received after successful authentication");
        rsp.auth_bytes = span_of("", 0);
        handler_count_error(rq, rsp.error_code);
        RQ_REPLY(rq, sasl_authenticate_response, &rsp);
}

/* ---- handshake ---- */

/* What the listener allows, told in the order of the table. False: out of memory. */
static bool fill_mechanisms(struct rq *rq, unsigned allowed, struct sasl_handshake_response *rsp)
{
        rsp->mechanisms = ARENA_NEW_ARRAY(&rq->arena, struct str, SASL_MECHANISMS);
        if (!rsp->mechanisms)
                return false;
        for (enum sasl_mechanism m = 0; m < SASL_MECHANISMS; m++)
                if (allowed & 1u << m)
                        rsp->mechanisms[rsp->mechanisms_count++] = sasl_mechanism_name(m);
        return true;
}

static void refuse_mechanism(struct rq *rq, const struct sasl_handshake_response *rsp, struct str wanted)
{
        struct late *l = ARENA_NEW(&rq->arena, struct late);

        if (!l) {
                rq_close_nomem(rq);
                return;
        }
        diag_limited(DIAG_NOTICE, "client %s: the SASL mechanism %.*s is not enabled on its listener",
                     net_conn_peer(rq->net.conn), STR_FMT(utf8_clip(wanted, 60)));
        audit_login(rq, STR_NULL, utf8_clip(wanted, 60), STR_LIT("the mechanism is not enabled on this listener"));
        *l = (struct late){ .rq = rq, .handshake = true, .of_handshake = *rsp };
        l->of_handshake.error_code = KERR_UNSUPPORTED_SASL_MECHANISM;
        handler_count_error(rq, KERR_UNSUPPORTED_SASL_MECHANISM);
        say_late(l);
}

/* Return: 0; -ENOMEM. */
static int begin(struct sasl *s, enum sasl_mechanism m, bool raw)
{
        s->wanted = m;
        s->bad_mechanism = s->again && m != s->mechanism;
        if (!s->bad_mechanism)
                s->mechanism = m;
        s->scram = scram_free(s->scram);
        s->refused = NULL;
        if (m == SASL_SCRAM_SHA_256 || m == SASL_SCRAM_SHA_512) {
                s->scram = scram_new(m == SASL_SCRAM_SHA_256 ? SCRAM_SHA_256 : SCRAM_SHA_512);
                if (!s->scram)
                        return -ENOMEM;
        }
        s->raw = raw;
        s->state = SASL_AUTHENTICATE;
        return 0;
}

void handler_sasl_handshake(struct rq *rq)
{
        const struct client_conn *cc = client_conn_of(rq->net.conn);
        struct sasl_handshake_request req;
        struct sasl_handshake_response rsp;
        enum sasl_mechanism m = 0;

        if (!RQ_DECODE(rq, sasl_handshake_request, &req))
                return;
        sasl_handshake_response_init(&rsp);
        if (!cc->sasl || cc->sasl->state != SASL_HANDSHAKE) {
                rsp.error_code = KERR_ILLEGAL_SASL_STATE;
                handler_count_error(rq, rsp.error_code);
                RQ_REPLY(rq, sasl_handshake_response, &rsp);
                return;
        }
        if (!fill_mechanisms(rq, cc->listener->sasl_mechanisms, &rsp)) {
                rq_close_nomem(rq);
                return;
        }
        while (m < SASL_MECHANISMS &&
               (!(cc->listener->sasl_mechanisms & 1u << m) || !str_equal(req.mechanism, sasl_mechanism_name(m))))
                m++;
        if (m == SASL_MECHANISMS)
                refuse_mechanism(rq, &rsp, req.mechanism);
        else if (begin(cc->sasl, m, rq->version == 0))
                rq_close_nomem(rq);
        else
                RQ_REPLY(rq, sasl_handshake_response, &rsp);
}

/* ---- what may come when ---- */

/* The session of a client goes on: it says again who it is (KIP-368). */
static bool begins_again(const struct rq *rq, struct sasl *s, int16_t key)
{
        int64_t now_ms = loop_now_ms(rq_loop(rq));

        if (key != KAPI_SASL_HANDSHAKE || !s->ends_ms ||
            (s->began_again_ms && now_ms - s->began_again_ms < AGAIN_MS_MIN))
                return false;
        s->began_again_ms = now_ms;
        s->again = true;
        s->state = SASL_HANDSHAKE;
        return true;
}

bool sasl_admit(struct rq *rq, int16_t key)
{
        struct sasl *s = sasl_of(rq);

        if (!s)
                return true;
        switch (s->state) {
        case SASL_VERSIONS:
                if (key == KAPI_API_VERSIONS) {
                        if (rq->version >= rq->api->version_min && rq->version <= rq->api->version_max)
                                s->state = SASL_HANDSHAKE;
                        return true;
                }
                if (key == KAPI_SASL_HANDSHAKE) {
                        s->state = SASL_HANDSHAKE;
                        return true;
                }
                break;
        case SASL_HANDSHAKE:
                if (key == KAPI_SASL_HANDSHAKE)
                        return true;
                break;
        case SASL_AUTHENTICATE:
                if (key == KAPI_SASL_AUTHENTICATE)
                        return true;
                break;
        case SASL_DONE:
                if (begins_again(rq, s, key))
                        return true;
                if (!s->ends_ms || loop_now_ms(rq_loop(rq)) < s->ends_ms)
                        return true;
                rq_close(rq, "its session has ended, and it did not authenticate again");
                return false;
        case SASL_FAILED:
                break;
        }
        s->state = SASL_FAILED;
        rq_close(rq, "this request does not fit this point of the SASL exchange");
        return false;
}
