/* TLS in front of a server that knows none: accepts, shakes hands, and hands on a socket of this machine on which the other end's
 * bytes are in clear text. One loop of its own, a bounded number of connections with two bounded buffers each. What the server reads
 * and writes is moved to and fro until one side ends. Certificates are those of a tls_slot, as everywhere. */
#pragma once

#include <stdint.h>

#include "net/tls.h"
#include "sys/sock.h"

struct front;

enum {
        FRONT_CONNECTIONS_MAX = 64, /* a further one waits in the kernel */
        FRONT_SHAKE_MS = 10000,     /* a handshake may take so long */
        FRONT_LINGER_MS =
                30000, /* and so long the other end may take nothing of what is left when the server has ended */
};

/* Who is at the other end. */
struct front_peer {
        struct sock_address address;
        const char *subject; /* of its certificate, as net_conn_certificate_name() has it; NULL: it showed none */
        const char *uri;     /* the one URI in it; NULL: none, or several */
};

/* Bind @address ("HOST:PORT", port 0 picks one). @connected is called on the front's loop for each connection whose handshake is done; @fd is the
 * owner's, and @peer borrowed for the call. It is never called after front_free() has returned. Blocks on names.
 * @slot is borrowed. Return: 0; -ENOENT: no such host; -EADDRINUSE, ... */
int front_new(const char *address, struct tls_slot *slot,
              void (*connected)(void *owner, int fd, const struct front_peer *peer), void *owner,
              struct front **ret_front, uint16_t *ret_port);
/* Accept from now on. Return: 0 or negative errno. */
int front_start(struct front *f);
/* Close what is open and free. Not on its loop. NULL is fine. Returns NULL. */
struct front *front_free(struct front *f);
