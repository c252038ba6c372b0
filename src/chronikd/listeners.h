/* Where clients are served: the listeners of the configuration, their certificates and the keys of tokens (read again when the files change),
 * and how subjects of certificates are mapped to names. On the main loop, where nothing else is said. */
#pragma once

#include "chronikd/lookout.h"
#include "chronikd/token_secret.h"
#include "conf/conf.h"
#include "net/server.h"
#include "net/tls.h"
#include "security/jwt.h"
#include "security/mapping.h"

struct listeners {
        const struct conf *conf;
        struct iopool *pool;
        struct token_secrets *token_secrets; /* of delegation tokens, by which clients come in as well */
        struct {
                struct tls_slot *tls; /* NULL: without TLS */
                uint16_t port;        /* that is bound */
                int64_t seen;         /* what the files looked like; the job's while it runs */
                int64_t end_ms, warned_ms;
        } at[CONF_LISTENERS_MAX]; /* as in conf->listeners */
        struct mapping *mappings[CONF_LISTENERS_MAX];
        struct jwks_slot *jwks[CONF_LISTENERS_MAX]; /* NULL: without OAUTHBEARER */
        int64_t jwks_seen[CONF_LISTENERS_MAX];      /* as @seen, of their files */
        struct lookout lookout;
};

/* Judge what conf/ cannot: rules that map subjects. No files are read. Return: 0, or 1 after saying what is wrong. */
int listeners_check(const struct conf *conf);
/* Load certificates, keys and rules. Blocks. What is given is borrowed; @secrets are looked after from listeners_start() on. Return: 0, or 1
 * after saying why not. */
int listeners_open(struct listeners *l, const struct conf *conf, struct token_secrets *secrets, struct iopool *pool);
/* Bind them all. Return: 0, or 1 after saying why not. */
int listeners_listen(struct listeners *l, struct net_server *net);
/* Look after certificates and keys from now on, until l->lookout is stopped. */
void listeners_start(struct listeners *l, struct loop *loop);
/* When no connection is left. */
void listeners_close(struct listeners *l);
