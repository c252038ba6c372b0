/* The admin HTTP listener. A bounded number of connections, a thread each while it lasts, so that the owner's function
 * may wait for loops to answer. Plain HTTP: it listens on loopback unless the operator says otherwise. */
#pragma once

#include "base/strbuf.h"

struct http_server;

struct http_request {
        const char *method; /* "GET" (HEAD too: its body is left out here), "POST", "DELETE", ... */
        const char *path;   /* without the query, decoded; may be no UTF-8 */
        struct str body;
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
/* Stop and free; requests in work are waited for. NULL is fine. Returns NULL. */
struct http_server *http_server_free(struct http_server *s);
