/* The admin HTTP listener, by libmicrohttpd. */
#include "obs/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>

#include "sys/diag.h"
#include "sys/file.h"
#include "sys/sock.h"

enum { CONNECTIONS_MAX = 64, TIMEOUT_S = 30, BODY_LEN_MAX = 1 << 20 };

struct http_server {
        struct MHD_Daemon *daemon;
        void (*answer)(void *owner, struct http_request *rq);
        void *owner;
};

/* A request whose body is still coming. */
struct incoming {
        struct strbuf body;
        bool too_long;
};

static enum MHD_Result send_answer(struct MHD_Connection *c, struct http_request *rq)
{
        struct MHD_Response *rsp;
        enum MHD_Result r;

        if (rq->out.failed) {
                strbuf_fini(&rq->out);
                rq->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        }
        rsp = MHD_create_response_from_buffer(rq->out.len, rq->out.data, MHD_RESPMEM_MUST_COPY);
        if (!rsp)
                return MHD_NO;
        MHD_add_response_header(rsp, MHD_HTTP_HEADER_CONTENT_TYPE, rq->content_type);
        r = MHD_queue_response(c, rq->status, rsp);
        MHD_destroy_response(rsp);
        return r;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_len, void **state)
{
        struct http_server *s = arg;
        struct incoming *in = *state;
        struct http_request rq = { .method = method, .path = url, .status = MHD_HTTP_OK,
                                   .content_type = "application/json" };
        enum MHD_Result r;

        (void)version;
        if (!in) {
                *state = calloc(1, sizeof *in);
                return *state ? MHD_YES : MHD_NO;
        }
        if (*data_len) {
                in->too_long |= in->body.len + *data_len > BODY_LEN_MAX;
                if (!in->too_long)
                        strbuf_add(&in->body, data, *data_len);
                *data_len = 0;
                return MHD_YES;
        }
        rq.body = (struct str){ in->body.data, in->body.len };
        if (in->too_long)
                rq.status = MHD_HTTP_CONTENT_TOO_LARGE;
        else
                s->answer(s->owner, &rq);
        r = send_answer(c, &rq);
        strbuf_fini(&rq.out);
        return r;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode how)
{
        struct incoming *in = *state;

        (void)arg;
        (void)c;
        (void)how;
        if (in)
                strbuf_fini(&in->body);
        free(in);
}

static void on_log(void *arg, const char *fmt, va_list ap)
{
        char text[256];

        (void)arg;
        vsnprintf(text, sizeof text, fmt, ap);
        diag_limited(DIAG_DEBUG, "admin HTTP: %s", text);
}

static int listen_on(const char *address, uint16_t *ret_port)
{
        struct sock_address addresses[SOCK_RESOLVE_COUNT_MAX], bound;
        char host[SOCK_HOST_SIZE];
        unsigned count;
        uint16_t port;
        int r = sock_split_host_port(address, host, &port), fd;

        if (!r)
                r = sock_resolve(host, port, false, addresses, &count);
        if (r)
                return r;
        fd = sock_listen(&addresses[0], false);
        if (fd < 0)
                return fd;
        r = sock_local(fd, &bound);
        if (r) {
                file_close(fd);
                return r;
        }
        *ret_port = sock_address_port(&bound);
        return fd;
}

int http_server_new(const char *address, void (*answer)(void *owner, struct http_request *rq), void *owner,
                    struct http_server **ret_server, uint16_t *ret_port)
{
        struct http_server *s = calloc(1, sizeof *s);
        uint16_t port;
        int fd;

        if (!s)
                return -ENOMEM;
        s->answer = answer;
        s->owner = owner;
        fd = listen_on(address, &port);
        if (fd < 0) {
                free(s);
                return fd;
        }
        s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                                             MHD_USE_ERROR_LOG,
                                     0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                                     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED,
                                     on_completed, NULL, MHD_OPTION_THREAD_STACK_SIZE, (size_t)256 * 1024, MHD_OPTION_END);
        if (!s->daemon) {
                file_close(fd);
                free(s);
                return -EIO;
        }
        *ret_server = s;
        *ret_port = port;
        return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
        if (!s)
                return NULL;
        MHD_stop_daemon(s->daemon);
        free(s);
        return NULL;
}
