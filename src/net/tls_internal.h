/* TLS of one connection; for this folder only. The plain path never comes here. */
#pragma once

#include <openssl/ssl.h>

#include "base/strbuf.h"
#include "net/net_internal.h"
#include "net/tls.h"

enum {
        TLS_BLOCK_LEN = 64 * 1024,     /* of plaintext that is encrypted at a time: four records */
        TLS_OUT_LEN = 128 * 1024,      /* room for what that becomes, or for a handshake's certificates */
        TLS_PENDING_MAX = 1024 * 1024, /* encrypted bytes that the socket does not take; a block's, and answers to the
                                          peer's key updates */
};

struct net_tls {
        struct net_conn *conn;
        SSL *ssl;
        bool shaken, broken, eof;
        bool more;    /* a read stopped because its target was full: what is left may lie here and not in the socket */
        bool no_tls;  /* nor would the peer understand an alert */
        bool refused; /* it is TLS that is at fault: certificates, versions, what is no TLS */
        unsigned thrown_away; /* reads after a handshake that failed */
        int sock_error;       /* of the socket below, negative errno */
        uint8_t *out;         /* encrypted, and not taken by the socket; malloc */
        size_t out_len, out_at;
        char why[256]; /* it broke */
};

/* ---- tls_context.c ---- */

/* NULL: out of memory. */
SSL *tls_context_ssl(const struct tls_context *x);
/* As tls_context_uri(). */
int tls_certificate_uri(const X509 *cert, const char *prefix, char ret_uri[TLS_URI_SIZE]);

/* ---- tls_name.c ---- */

/* Append the subject as net_conn_certificate_name() has it. Return: 0; -EINVAL; -ENOMEM. */
int tls_name_add(const X509_NAME *name, struct strbuf *out);

/* ---- tls_conn.c ---- */

/* On the reactor. NULL: out of memory. */
struct net_tls *net_tls_new(struct net_conn *c, struct tls_slot *slot, bool server);
/* Says goodbye where that makes sense; before the socket is closed. NULL is fine. Returns NULL. */
struct net_tls *net_tls_free(struct net_tls *t);
/* Go on with the handshake. Return: 0: done; -EAGAIN: the socket will say when to go on; -EPROTO: @t->why. */
int net_tls_shake(struct net_tls *t);
