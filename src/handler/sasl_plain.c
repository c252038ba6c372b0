/* SASL PLAIN: the password itself, compared with what SCRAM keeps of it. That takes milliseconds (slow.h). */
#include <errno.h>
#include <string.h>

#include "handler/sasl_internal.h"
#include "handler/slow.h"
#include "security/plain.h"

struct plain_op {
        struct rq *rq;
        struct plain plain; /* in the arena */
        enum scram_mechanism mechanism;
        struct scram_credential credential; /* its salt in @salt */
        uint8_t salt[SCRAM_SALT_LEN_MAX];
        bool known;
        enum scram_match match;
        int error;
        struct slow slow;
};

/* The password, and what it is compared with. */
static void forget(struct plain_op *op)
{
        explicit_bzero((void *)(uintptr_t)op->plain.password.data, op->plain.password.len);
        explicit_bzero(&op->credential.keys, sizeof op->credential.keys);
        explicit_bzero(&op->credential.earlier, sizeof op->credential.earlier);
}

/* On the pool. */
static void check(struct slow *s)
{
        struct plain_op *op = container_of(s, struct plain_op, slow);
        uint8_t salted[SCRAM_KEY_LEN_MAX];
        struct scram_keys keys = { 0 };

        op->error = scram_salt_password(op->mechanism, op->plain.password, op->credential.salt,
                                        op->credential.iterations, salted);
        if (!op->error)
                op->error = scram_derive(op->mechanism, salted, &keys);
        if (!op->error)
                op->match = scram_match(op->mechanism, &keys, &op->credential);
        explicit_bzero(salted, sizeof salted);
        explicit_bzero(&keys, sizeof keys);
}

static void checked(struct slow *s)
{
        struct plain_op *op = container_of(s, struct plain_op, slow);
        struct sasl_user user = { .name = op->plain.user };
        struct rq *rq = op->rq;
        bool proven = (int)(op->match != SCRAM_NO_MATCH) & (int)op->known;

        forget(op);
        if (op->error)
                rq_close_nomem(rq);
        else if (!client_conn_of(rq->net.conn)) /* it has gone meanwhile */
                rq_reply_none(rq);
        else if (proven && op->match == SCRAM_MATCH)
                sasl_succeed(rq, &user, SPAN_NULL);
        else if (proven && sasl_earlier_password(rq, op->mechanism, &user))
                sasl_succeed(rq, &user, SPAN_NULL);
        else
                sasl_fail(rq, op->plain.user, STR_LIT("Authentication failed: Invalid username or password"),
                          proven ? SASL_EARLIER_IS_OVER : "invalid user or password");
}

/* A user may have a credential for either mechanism; the password is the same or ought to be. */
static int find_credential(struct plain_op *op)
{
        struct scram_credential c;
        int r;

        for (op->mechanism = SCRAM_SHA_512; op->mechanism > SCRAM_SHA_256; op->mechanism--)
                if (meta_image_credential(op->rq->image, op->plain.user, (int8_t)op->mechanism))
                        break;
        r = sasl_credential(op->rq, op->mechanism, op->plain.user, op->salt, &c, &op->known);
        if (r)
                return r;
        op->credential = c;
        explicit_bzero(&c.keys, sizeof c.keys);
        explicit_bzero(&c.earlier, sizeof c.earlier);
        if (c.salt.data != op->salt) /* the image's, which may go while the pool works */
                memcpy(op->salt, c.salt.data, c.salt.len);
        op->credential.salt.data = op->salt;
        return 0;
}

static int read_token(struct plain_op *op, struct span token)
{
        struct plain p;
        int r = plain_read(token, &p);

        if (r)
                return r;
        op->plain.user = (struct str){ arena_memdup(&op->rq->arena, p.user.p, p.user.len), p.user.len };
        op->plain.password = span_of(arena_memdup(&op->rq->arena, p.password.data, p.password.len), p.password.len);
        explicit_bzero((void *)(uintptr_t)p.password.data, p.password.len); /* in the frame */
        return op->plain.user.p && op->plain.password.data ? 0 : -ENOMEM;
}

void sasl_plain_token(struct rq *rq, struct span token)
{
        static const char *const why[] = { [PLAIN_E_MALFORMED] = "the message is malformed",
                                           [PLAIN_E_NO_USER] = "no user is named",
                                           [PLAIN_E_NO_PASSWORD] = "there is no password",
                                           [PLAIN_E_AUTHZID] = "it wants to act as somebody else" };
        struct plain_op *op = ARENA_NEW(&rq->arena, struct plain_op);
        int r;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        r = read_token(op, token);
        if (r > 0) {
                sasl_fail(rq, STR_NULL,
                          r == PLAIN_E_AUTHZID ? STR_LIT("Authentication failed: Client requested an authorization id "
                                                         "that is different "
                                                         "from username")
                                               : STR_NULL,
                          why[r]);
                return;
        }
        if (r || find_credential(op)) {
                rq_close_nomem(rq);
                return;
        }
        op->slow = (struct slow){ .rq = rq, .run = check, .done = checked };
        slow_submit(&op->slow);
}
