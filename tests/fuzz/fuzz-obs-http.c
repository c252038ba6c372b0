/* What somebody sends to the admin listener, on one connection. What it answers with is HTTP, and what is asked of the owner is whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "obs/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

static void answer(void *owner, struct http_request *rq)
{
        (void)owner;
        must(rq->method && *rq->method && rq->path && rq->status == 200);
        must(!rq->body.len || rq->body.p);
        must(!rq->who[0] && !rq->rights && rq->caller && !rq->caller->known_as[0]);
        strbuf_printf(&rq->out, "%zu %zu %zu", strlen(rq->path), rq->body.len,
                      rq->authorization ? strlen(rq->authorization) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct http_server *server;
        struct http_caller *caller = calloc(1, sizeof *caller);
        char got[4096];
        ssize_t n, first = 0;
        int pair[2];

        if (!server)
                must(!http_server_new_fed(answer, NULL, &server));
        if (!caller || size > 32 * 1024) { /* more may not fit into the socket's buffer while nobody reads */
                free(caller);
                return 0;
        }
        caller->address.v4.sin_family = AF_INET;
        must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        must(send(pair[0], data, size, MSG_NOSIGNAL) == (ssize_t)size);
        must(!shutdown(pair[0], SHUT_WR));
        if (!http_server_feed(server, pair[1], caller))
                while ((n = read(pair[0], got, sizeof got)) > 0)
                        if (!first++)
                                must(n < 7 || !memcmp(got, "HTTP/1.", 7));
        close(pair[0]);
        return 0;
}
