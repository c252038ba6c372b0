/* What a client calls the library that it uses, in its ApiVersions request (KIP-511): kept for as long as its connection. */
#pragma once

#include "net/server.h"

enum { CLIENT_SOFTWARE_LEN_MAX = 60 }; /* of each of the two; more is cut off */

struct client_software {
        char name[CLIENT_SOFTWARE_LEN_MAX + 1], version[CLIENT_SOFTWARE_LEN_MAX + 1];
};

/* Texts that were checked. When memory is out it is not known. On the connection's reactor, as what follows. */
void client_software_note(struct net_conn *c, struct str name, struct str version);
/* Borrowed until its close; NULL: it has not said. */
const struct client_software *client_software_of(const struct net_conn *c);
/* For struct net_ops. */
void client_software_close(void *owner, struct net_conn *c, const char *reason);
