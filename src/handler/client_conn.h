/* What is known of a client's connection for as long as it lasts: the listener it came by, who speaks on it, and what the client calls
 * the library that it uses (KIP-511). On the connection's reactor. */
#pragma once

#include "conf/listener.h"
#include "net/server.h"
#include "security/principal.h"

struct sasl;

enum { CLIENT_SOFTWARE_LEN_MAX = 60 }; /* of each of the two; more is cut off */

struct client_software {
        char name[CLIENT_SOFTWARE_LEN_MAX + 1], version[CLIENT_SOFTWARE_LEN_MAX + 1];
};

struct client_conn {
        const struct conf_listener *listener; /* the configuration's */
        /* The same user from beginning to end, by whatever proof it was last. NULL: not known yet, and nothing is served but what makes it
         * known (sasl.h). */
        struct principal *principal;
        struct sasl *sasl;               /* of a listener with SASL; else NULL */
        struct client_software software; /* empty: it has not said */
};

/* For struct net_ops: each connection has one from the first to the last. A client whose certificate is mapped to nobody is dropped. */
void client_conn_open(void *handler, struct net_conn *c);
void client_conn_close(void *handler, struct net_conn *c, const char *reason);

/* Borrowed until its close; NULL afterwards, when requests may still be unanswered. */
struct client_conn *client_conn_of(const struct net_conn *c);
/* Who speaks, with a new reference; NULL: not known yet. Before its close. */
struct principal *client_principal(const struct net_conn *c);
/* Texts that were checked. */
void client_software_note(struct net_conn *c, struct str name, struct str version);
/* Borrowed until its close; NULL: it has not said. */
const struct client_software *client_software_of(const struct net_conn *c);
