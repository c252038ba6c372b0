/* Connections: a queue of borrowed pieces out, whole frames in. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { READ_LEN = 256 << 10, IOV_BATCH = 64 };

struct writer frame_begin(struct frame *f, int16_t key, int16_t version, int32_t correlation_id, size_t body_len,
                          size_t ext_len)
{
        struct request_header h;
        int16_t header_version = wire_api_request_header(wire_api_find(key), version);
        struct writer w;

        request_header_init(&h);
        h.request_api_key = key;
        h.request_api_version = version;
        h.correlation_id = correlation_id;
        h.client_id = STR_LIT("bench-load");
        f->len = 4 + request_header_size(&h, header_version) + body_len;
        if (f->len > f->size) {
                free(f->data);
                f->size = f->len * 2;
                f->data = must_alloc(1, f->size);
        }
        w = writer_of(f->data, f->len);
        w.exts = &f->ext;
        w.exts_max = 1;
        writer_be32(&w, (uint32_t)(f->len - 4 + ext_len));
        request_header_encode(&h, &w, header_version);
        return w;
}

void conn_open(struct conn *c, const struct options *o, int index, int epoll_fd)
{
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)o->port) };
        int one = 1;

        *c = (struct conn){ .index = index, .epoll_fd = epoll_fd };
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
                die("no socket for connection %d: %m", index);
        if (inet_pton(AF_INET, o->host, &to.sin_addr) != 1)
                die("%s is not an IPv4 address", o->host);
        if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)))
                die("connection %d to %s:%d: %m", index, o->host, o->port);
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* slower without, not wrong */
        if (epoll_fd >= 0) {
                struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

                if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e))
                        die("epoll: %m");
        }
}

void conn_close(struct conn *c)
{
        close(c->fd);
        free(c->out);
        free(c->in);
        *c = (struct conn){ .fd = -1 };
}

void conn_put(struct conn *c, const void *data, size_t len)
{
        if (!len)
                return;
        if (c->out_at == c->out_count)
                c->out_at = c->out_count = 0;
        if (c->out_count == c->out_size) {
                c->out_size = c->out_size ? c->out_size * 2 : 64;
                c->out = realloc(c->out, c->out_size * sizeof(*c->out));
                if (!c->out)
                        die("out of memory");
        }
        c->out[c->out_count++] = (struct iovec){ (void *)(uintptr_t)data, len };
}

static void want_write(struct conn *c, bool wanted)
{
        struct epoll_event e = { .events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c };

        if (c->wants_write == wanted)
                return;
        c->wants_write = wanted;
        if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, c->fd, &e))
                die("epoll: %m");
}

void conn_flush(struct conn *c)
{
        while (c->out_at < c->out_count) {
                struct msghdr m = { .msg_iov = c->out + c->out_at,
                                    .msg_iovlen = MIN2(c->out_count - c->out_at, (size_t)IOV_BATCH) };
                ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | (c->epoll_fd >= 0 ? MSG_DONTWAIT : 0));

                if (n < 0 && errno == EAGAIN) {
                        want_write(c, true);
                        return;
                }
                if (n < 0)
                        die("connection %d: sending: %m", c->index);
                while (n > 0) {
                        struct iovec *v = &c->out[c->out_at];
                        size_t took = MIN2((size_t)n, v->iov_len);

                        v->iov_base = (uint8_t *)v->iov_base + took;
                        v->iov_len -= took;
                        n -= (ssize_t)took;
                        if (!v->iov_len)
                                c->out_at++;
                }
        }
        if (c->epoll_fd >= 0)
                want_write(c, false);
}

static size_t frame_len(const struct conn *c)
{
        return c->in_len - c->in_at < 4 ? 4 : 4 + load_be32(c->in + c->in_at);
}

void conn_read(struct conn *c)
{
        size_t want = frame_len(c);
        ssize_t n;

        if (c->in_at) {
                memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
                c->in_len -= c->in_at;
                c->in_at = 0;
        }
        want = MAX2(want, c->in_len + READ_LEN);
        if (want > c->in_size) {
                c->in_size = want + want / 2;
                c->in = realloc(c->in, c->in_size);
                if (!c->in)
                        die("out of memory");
        }
        n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, c->epoll_fd >= 0 ? MSG_DONTWAIT : 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0)
                die("connection %d: %s", c->index, n ? strerror(errno) : "closed by the broker");
        c->in_len += (size_t)n;
}

bool conn_next(struct conn *c, struct span *ret_frame)
{
        size_t len = frame_len(c);

        if (c->in_len - c->in_at < len || len == 4)
                return false;
        *ret_frame = span_of(c->in + c->in_at + 4, len - 4);
        c->in_at += len;
        return true;
}

struct span conn_ask(struct conn *c, const struct frame *f)
{
        struct span answer;

        conn_put(c, f->data, f->len);
        conn_flush(c);
        while (!conn_next(c, &answer))
                conn_read(c);
        return answer;
}

int32_t answer_begin(struct span frame, bool flexible, struct cursor *c)
{
        struct response_header h;

        *c = cursor_of(frame);
        if (response_header_decode(&h, c, flexible ? 1 : 0, NULL))
                die("an answer has no header");
        return h.correlation_id;
}

void load_turn(int epoll_fd, int64_t timeout_ns, load_answer_fn *fn, void *owner)
{
        struct epoll_event events[EVENTS_MAX];
        struct timespec t = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
        int n = epoll_pwait2(epoll_fd, events, EVENTS_MAX, &t, NULL);

        if (n < 0 && errno != EINTR)
                die("epoll: %m");
        for (int i = 0; i < n; i++) {
                struct conn *c = events[i].data.ptr;
                struct span frame;

                if (!c)
                        continue; /* the clock of a caller that has one */
                if (events[i].events & EPOLLOUT)
                        conn_flush(c);
                if (!(events[i].events & ~(uint32_t)EPOLLOUT))
                        continue;
                conn_read(c);
                while (conn_next(c, &frame))
                        fn(owner, c, frame);
        }
}
