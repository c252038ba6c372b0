/* Who may do what at the admin listener: its certificate and its tokens (both read again when their files change), and the role that a
 * request has. Made on the main thread before requests come; asked on theirs. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "chronikd/credential.h"
#include "chronikd/lookout.h"
#include "conf/conf.h"
#include "net/tls.h"
#include "obs/http.h"
#include "security/mapping.h"
#include "security/operators.h"

struct audit;

struct admin_gate {
        const struct conf *conf;
        struct audit *audit; /* the owner's to set before requests come; NULL: nothing is recorded */
        struct iopool *pool;
        char tokens_path[CREDENTIAL_PATH_SIZE]; /* "": there are no tokens */
        bool guarded;                           /* otherwise everybody may do everything */
        struct mapping *mapping;
        struct tls_slot *tls; /* NULL: without TLS */
        pthread_mutex_t lock; /* of operators */
        struct operators *operators;
        atomic_uint_least64_t unknown, refused; /* requests: of nobody that is known; of somebody who may not */

        /* Looking after the files: the main loop's, and the job's while that runs. */
        int64_t tokens_seen, tls_seen, end_ms, warned_ms;
        struct lookout lookout;
};

/* Judge what conf/ cannot: rules that map certificates, and whether the address may be open as it is. No files are read.
 * Return: 0, or 1 after saying what is wrong. */
int admin_gate_check(const struct conf *conf);
/* Load certificates, rules and tokens. Blocks. @conf and @pool are borrowed. Return: 0, or 1 after saying why not. */
int admin_gate_open(struct admin_gate *g, const struct conf *conf, struct iopool *pool);
/* Look after the files from now on, until g->lookout is stopped. On @loop. */
void admin_gate_start(struct admin_gate *g, struct loop *loop);
/* When nobody asks any more. */
void admin_gate_close(struct admin_gate *g);

/* Call @fn for each token, of which there is the hash; not to be long. Any thread. */
void admin_gate_each_token(struct admin_gate *g, void (*fn)(void *arg, const char *name, const uint8_t *hash),
                           void *arg);

/* Find out who asks. Sets rq->rights to the role, and rq->who to the name of a token or the subject of a certificate, "" for nobody.
 * False has been answered: a token is shown that is not known, or nothing that gives @needed. With @needed OPERATOR_NOBODY
 * everybody passes. Any thread. */
bool admin_gate_lets(struct admin_gate *g, struct http_request *rq, enum operator_role needed);
/* Say who did what, where somebody has a role at all. Any thread. */
void admin_gate_note(const struct admin_gate *g, const struct http_request *rq);
/* 403 for who has a role, but not @needed. Any thread. */
void admin_gate_refuse(struct admin_gate *g, struct http_request *rq, enum operator_role needed);
