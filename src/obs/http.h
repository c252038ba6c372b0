/* The admin HTTP listener. A bounded number of connections, a thread each while it lasts, so that the owner's function
 * may wait for loops to answer. Plain HTTP; where it is to be TLS, somebody in front of it (net/front.h) feeds it with the
 * connections that it has decrypted. */
#pragma once

#include "base/strbuf.h"
#include "sys/sock.h"

struct http_server;

enum { HTTP_WHO_SIZE = 256 };

/* Who is at the other end of a connection. One piece of memory: free() it. */
struct http_caller {
        struct sock_address address;
        char known_as[HTTP_WHO_SIZE]; /* for the owner: whom it knows to be there; "" at first. One request at a time */
        char *subject; /* of its certificate, which was accepted; NULL: it showed none. In the same memory */
        char *uri;     /* the one URI in it; NULL: none, or several. Likewise */
};

struct http_request {
        const char *method; /* "GET" (HEAD too: its body is left out here), "POST", "DELETE", ... */
        const char *path;   /* without the query, decoded; may be no UTF-8 */
        struct str body;
        const char *authorization;  /* the header; NULL: none */
        struct http_caller *caller; /* NULL: not known */
        unsigned rights;            /* of the caller; the owner's to find out and to use */
        char who[HTTP_WHO_SIZE];    /* the same: its name, for people; "" at first */
        /* The answer: */
        unsigned status;          /* 200 at first */
        const char *content_type; /* "application/json" at first; static text */
        char allow[64];           /* with 405: the methods that the path has */
        struct strbuf out;
};

/* @address "HOST:PORT" (port 0 picks one). @answer is called on threads of the server's, several at once.
 * Return: 0; -EADDRINUSE, ... */
int http_server_new(const char *address, void (*answer)(void *owner, struct http_request *rq), void *owner,
                    struct http_server **ret_server, uint16_t *ret_port);
/* The same without an address of its own: it serves what it is fed with. */
int http_server_new_fed(void (*answer)(void *owner, struct http_request *rq), void *owner,
                        struct http_server **ret_server);
/* Serve @fd, a stream socket, and close it when that is done. @fd and @caller are the server's from now on, whatever is
 * returned. One thread at a time.
 * Return: 0; -ENOBUFS: there are too many connections. */
int http_server_feed(struct http_server *s, int fd, struct http_caller *caller);
/* Stop and free; requests in work are waited for. NULL is fine. Returns NULL. */
struct http_server *http_server_free(struct http_server *s);
