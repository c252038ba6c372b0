/* The admin HTTP listener, by libmicrohttpd. */
#include "obs/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "sys/diag.h"
#include "sys/file.h"
#include "sys/sock.h"

enum { CONNECTIONS_MAX = 64, TIMEOUT_S = 30, BODY_LEN_MAX = 1 << 20 };

struct http_server {
        struct MHD_Daemon *daemon;
        void (*answer)(void *owner, struct http_request *rq);
        void *owner;
        /* Fed, and not begun by libmicrohttpd: their descriptors are open, so that each stands for one connection. */
        pthread_mutex_t lock; /* of fed */
        struct {
                int fd;
                struct http_caller *caller;
        } fed[CONNECTIONS_MAX];
        unsigned fed_count;
};

/* A request whose body is still coming. */
struct incoming {
        struct strbuf body;
        bool too_long;
};

#define OUT_OF_MEMORY "{\"error\": \"The node is out of memory; try again.\"}\n"

static void refuse(struct http_request *rq, unsigned status, const char *text)
{
        strbuf_fini(&rq->out);
        rq->out.failed = false;
        rq->status = status;
        rq->content_type = "application/json";
        strbuf_add_c(&rq->out, text);
}

static enum MHD_Result send_answer(struct MHD_Connection *c, struct http_request *rq)
{
        struct MHD_Response *rsp;
        enum MHD_Result r;

        if (rq->out.failed)
                refuse(rq, MHD_HTTP_SERVICE_UNAVAILABLE, OUT_OF_MEMORY);
        rsp = MHD_create_response_from_buffer(rq->out.len, rq->out.data, MHD_RESPMEM_MUST_COPY);
        if (!rsp)
                return MHD_NO;
        MHD_add_response_header(rsp, MHD_HTTP_HEADER_CONTENT_TYPE, rq->content_type);
        if (rq->status == MHD_HTTP_UNAUTHORIZED)
                MHD_add_response_header(rsp, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"chronik\"");
        if (*rq->allow)
                MHD_add_response_header(rsp, MHD_HTTP_HEADER_ALLOW, rq->allow);
        r = MHD_queue_response(c, rq->status, rsp);
        MHD_destroy_response(rsp);
        return r;
}

/* ---- who calls ---- */

static struct http_caller *caller_of(struct MHD_Connection *c)
{
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

static struct http_caller *take_fed(struct http_server *s, int fd)
{
        struct http_caller *caller = NULL;

        pthread_mutex_lock(&s->lock);
        for (unsigned i = 0; i < s->fed_count; i++)
                if (s->fed[i].fd == fd) {
                        caller = s->fed[i].caller;
                        s->fed[i] = s->fed[--s->fed_count];
                        break;
                }
        pthread_mutex_unlock(&s->lock);
        return caller;
}

/* Of a connection that came to the own address. NULL: memory is out. */
static struct http_caller *caller_new(struct MHD_Connection *c)
{
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        struct http_caller *caller = calloc(1, sizeof *caller);

        if (!caller || !info || !info->client_addr)
                return caller;
        if (info->client_addr->sa_family == AF_INET)
                memcpy(&caller->address.v4, info->client_addr, sizeof caller->address.v4);
        else if (info->client_addr->sa_family == AF_INET6)
                memcpy(&caller->address.v6, info->client_addr, sizeof caller->address.v6);
        return caller;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
        struct http_server *s = arg;

        if (what == MHD_CONNECTION_NOTIFY_STARTED) {
                const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

                *context = info ? take_fed(s, info->connect_fd) : NULL;
                if (!*context)
                        *context = caller_new(c);
        } else {
                free(*context);
                *context = NULL;
        }
}

/* ---- requests ---- */

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_len, void **state)
{
        struct http_server *s = arg;
        struct incoming *in = *state;
        /* libmicrohttpd leaves the body of an answer to HEAD out by itself. */
        struct http_request rq = { .method = strcmp(method, "HEAD") ? method : "GET",
                                   .path = url,
                                   .status = MHD_HTTP_OK,
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
        rq.authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
        rq.caller = caller_of(c);
        if (in->too_long)
                refuse(&rq, MHD_HTTP_CONTENT_TOO_LARGE, "{\"error\": \"The body is longer than 1 MiB.\"}\n");
        else if (in->body.failed)
                refuse(&rq, MHD_HTTP_SERVICE_UNAVAILABLE, OUT_OF_MEMORY);
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
        if (in && in->body.data)
                explicit_bzero(in->body.data, in->body.len); /* some have keys in them */
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

static int hex_of(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

/* Decode %xx in place, except %00: paths are handed on as C strings, and 'a%00b' must not become 'a'. */
static size_t on_unescape(void *arg, struct MHD_Connection *c, char *s)
{
        char *to = s;

        (void)arg;
        (void)c;
        for (const char *at = s; *at;) {
                int high = *at == '%' ? hex_of(at[1]) : -1, low = high >= 0 ? hex_of(at[2]) : -1;

                if (low >= 0 && (high || low)) {
                        *to++ = (char)(high << 4 | low);
                        at += 3;
                } else {
                        *to++ = *at++;
                }
        }
        *to = '\0';
        return (size_t)(to - s);
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

/* @fd: -1: it is fed. */
static int start(int fd, void (*answer)(void *owner, struct http_request *rq), void *owner, struct http_server **ret)
{
        struct http_server *s = calloc(1, sizeof *s);
        unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                         MHD_USE_ERROR_LOG | (fd < 0 ? MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC : 0);

        if (!s)
                return -ENOMEM;
        s->answer = answer;
        s->owner = owner;
        pthread_mutex_init(&s->lock, NULL);
        /* Without a descriptor the list ends before it. */
        s->daemon = MHD_start_daemon(
                flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                (unsigned)TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
                on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_THREAD_STACK_SIZE,
                (size_t)256 * 1024, fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
        if (!s->daemon) {
                pthread_mutex_destroy(&s->lock);
                free(s);
                return -EIO;
        }
        *ret = s;
        return 0;
}

int http_server_new(const char *address, void (*answer)(void *owner, struct http_request *rq), void *owner,
                    struct http_server **ret_server, uint16_t *ret_port)
{
        uint16_t port = 0;
        int fd = listen_on(address, &port), r;

        if (fd < 0)
                return fd;
        r = start(fd, answer, owner, ret_server);
        if (r)
                file_close(fd);
        else
                *ret_port = port;
        return r;
}

int http_server_new_fed(void (*answer)(void *owner, struct http_request *rq), void *owner,
                        struct http_server **ret_server)
{
        return start(-1, answer, owner, ret_server);
}

int http_server_feed(struct http_server *s, int fd, struct http_caller *caller)
{
        bool full;

        /* One of that number was given up before it began: now it is this one's, and nobody may be taken for another. */
        free(take_fed(s, fd));
        pthread_mutex_lock(&s->lock);
        full = s->fed_count == CONNECTIONS_MAX;
        if (!full) {
                s->fed[s->fed_count].fd = fd;
                s->fed[s->fed_count++].caller = caller;
        }
        pthread_mutex_unlock(&s->lock);
        if (full) {
                file_close(fd);
                free(caller);
                return -ENOBUFS;
        }
        /* When it is refused the descriptor is closed within, and may be somebody else's when that is told. But only one
         * thread feeds, so that nobody else has put the same number into the table. */
        if (MHD_add_connection(s->daemon, fd, &caller->address.any,
                               caller->address.any.sa_family == AF_INET ? sizeof caller->address.v4
                                                                        : sizeof caller->address.v6) == MHD_YES)
                return 0;
        free(take_fed(s, fd));
        return -ENOBUFS;
}

struct http_server *http_server_free(struct http_server *s)
{
        if (!s)
                return NULL;
        MHD_stop_daemon(s->daemon);
        while (s->fed_count)
                free(s->fed[--s->fed_count].caller);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
}
