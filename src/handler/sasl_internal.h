/* Inside of sasl*.c: the state of an exchange, and how it ends. */
#pragma once

#include "handler/client_conn.h"
#include "handler/sasl.h"
#include "security/scram.h"

/*                 ApiVersions               SaslHandshake                  proof
 *   VERSIONS ------------------> HANDSHAKE ---------------> AUTHENTICATE ---------> DONE
 *       '-------------------------------------------------------^ ^                  |
 *                            SaslHandshake again (KIP-368)        '------------------'
 *   each with anything else -> FAILED, and the connection is closed. */
enum sasl_state { SASL_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE, SASL_DONE, SASL_FAILED };

enum sasl_mechanism {
        SASL_PLAIN,
        SASL_SCRAM_SHA_256,
        SASL_SCRAM_SHA_512,
        SASL_OAUTHBEARER,
        SASL_MECHANISMS
}; /* places of the words in the table */

struct sasl {
        enum sasl_state state;
        enum sasl_mechanism mechanism, wanted; /* another one than before is wanted in vain */
        bool raw;                              /* tokens are frames by themselves: SaslHandshake had version 0 */
        bool again;                            /* it was DONE before */
        bool bad_mechanism;                    /* another one than before */
        struct scram *scram;                   /* of the mechanisms that are SCRAM */
        const char *refused;    /* OAUTHBEARER: why the token is not accepted; NULL: it has not been seen */
        int64_t began_again_ms; /* loop_now_ms(); 0: never */
        int64_t ends_ms;        /* likewise: when the session ends; 0: it does not */
};

/* "SCRAM-SHA-256". Static. */
struct str sasl_mechanism_name(enum sasl_mechanism m);
/* "authentication" or "re-authentication". Static. */
const char *sasl_what(const struct sasl *s);

/* Answer with the token @data (copied); the exchange goes on. @rq is gone. */
void sasl_answer(struct rq *rq, struct span data);
/* Who has proven to be whom, and by what. */
struct sasl_user {
        struct str name;
        bool by_token;    /* a delegation token of this user's */
        int64_t until_ms; /* wall clock: when what it has shown ends, and the session with it; 0: it does not */
};
/* It is @user: end the exchange, with the last token @data (copied). @rq is gone. */
void sasl_succeed(struct rq *rq, const struct sasl_user *user, struct span data);
/* It is not: say so after a while, and close the connection. @text: for the client; null: as Kafka does. @why: for the operator. @user: null
 * when it is not known. @rq is gone. */
void sasl_fail(struct rq *rq, struct str user, struct str text, const char *why);

/* The credential of @user for a mechanism of SCRAM, or one that is made up. @salt_mem: for the latter's salt. @ret_known: false: made up.
 * Return: 0; -ENOMEM. */
int sasl_credential(struct rq *rq, enum scram_mechanism m, struct str user, uint8_t salt_mem[SCRAM_SALT_LEN_MAX],
                    struct scram_credential *ret, bool *ret_known);

/* @user has shown the password from before a rotation. False: it does not count any more; otherwise the session lasts as long as it does.
 * Asked at the end of an exchange, which may have begun before the overlap ended. */
bool sasl_earlier_password(struct rq *rq, enum scram_mechanism m, struct sasl_user *user);
#define SASL_EARLIER_IS_OVER "the password is the one from before a rotation, and does not count any more"

/* ---- a token of a mechanism; @rq is gone, now or later ---- */

void sasl_scram_token(struct rq *rq, struct span token);
void sasl_plain_token(struct rq *rq, struct span token);
void sasl_oauth_token(struct rq *rq, struct span token);
