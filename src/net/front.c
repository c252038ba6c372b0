/* See front.h.
 *
 *   accept -> SHAKING --handshake--> OPEN --one side ended, the rest was passed on--> gone
 *
 * Each direction has one buffer, which is filled when it is empty and emptied before it is filled again. */
#include "net/front.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "net/tls_internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "sys/loop.h"

enum { PIECE_LEN = 16 * 1024, BACK_OFF_MS = 100, MOVES_MAX = 16 /* in a turn */ };

struct piece {
        size_t at, len;
        uint8_t data[PIECE_LEN];
};

struct link {
        struct ilist all;
        struct front *front;
        SSL *ssl;
        int outer_fd, inner_fd; /* inner: -1 while shaking */
        struct loop_io outer, inner;
        struct loop_timer timer;
        struct loop_timer again; /* there may be more to move, of which the sockets do not tell */
        struct sock_address address;
        uint64_t moved; /* bytes, in and out of the buffers, and ends */
        bool in_ended, out_ended, read_wants_write, write_wants_read;
        struct piece in, out; /* from the other end to the server, and back */
};

struct front {
        struct loop *loop;
        struct tls_slot *slot;
        void (*connected)(void *owner, int fd, const struct front_peer *peer);
        void *owner;
        int fd;
        struct loop_io io;
        struct loop_timer back_off;
        struct ilist links;
        unsigned links_count;
        bool running;
        struct mail starting, ending;
        bool stopped;
};

/* ---- the end ---- */

static void watch_listener(struct front *f)
{
        loop_io_set(&f->io, f->stopped || f->links_count >= FRONT_CONNECTIONS_MAX ? 0 : LOOP_READ);
}

static void link_close(struct link *k)
{
        struct front *f = k->front;

        loop_io_set(&k->outer, 0);
        if (k->inner_fd >= 0)
                loop_io_set(&k->inner, 0);
        loop_timer_stop(&k->timer);
        loop_timer_stop(&k->again);
        if (SSL_is_init_finished(k->ssl))
                SSL_shutdown(k->ssl); /* says goodbye; nobody waits for the answer */
        ERR_clear_error();
        SSL_free(k->ssl);
        file_close(k->outer_fd);
        file_close(k->inner_fd);
        ilist_unlink(&k->all);
        f->links_count--;
        OPENSSL_cleanse(&k->in, sizeof k->in); /* it may have been a token, or a credential */
        free(k);
        watch_listener(f);
}

static void on_late(struct loop_timer *t)
{
        link_close(container_of(t, struct link, timer));
}

/* ---- moving bytes ---- */

/* What an operation of OpenSSL says. Return: 0: it waits for the socket; 1: the other end has ended; negative: it broke. */
static int ssl_outcome(struct link *k, int r, bool *ret_wants_other, int other)
{
        int e = SSL_get_error(k->ssl, r);

        ERR_clear_error();
        if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
                *ret_wants_other = e == other;
                return 0;
        }
        return e == SSL_ERROR_ZERO_RETURN ? 1 : -EPROTO;
}

/* From the other end into the buffer. */
static int read_outer(struct link *k)
{
        size_t n = 0;
        int r;

        if (k->in.len || k->in_ended)
                return 0;
        k->read_wants_write = false;
        ERR_clear_error();
        r = SSL_read_ex(k->ssl, k->in.data, sizeof k->in.data, &n);
        if (r == 1) {
                k->in.len = n;
                k->in.at = 0;
                k->moved += n;
                return 0;
        }
        r = ssl_outcome(k, r, &k->read_wants_write, SSL_ERROR_WANT_WRITE);
        if (r == 1) {
                k->in_ended = true;
                k->moved++;
                r = 0;
        }
        return r;
}

static int write_inner(struct link *k)
{
        struct iovec iov = { k->in.data + k->in.at, k->in.len - k->in.at };
        ssize_t n;

        if (!k->in.len)
                return 0;
        n = sock_writev(k->inner_fd, &iov, 1, false);
        if (n == -EAGAIN)
                return 0;
        if (n < 0)
                return (int)n;
        k->in.at += (size_t)n;
        k->moved += (size_t)n;
        if (k->in.at == k->in.len) {
                OPENSSL_cleanse(k->in.data, k->in.len);
                k->in.len = k->in.at = 0;
        }
        return 0;
}

static int read_inner(struct link *k)
{
        struct iovec iov = { k->out.data, sizeof k->out.data };
        ssize_t n;

        if (k->out.len || k->out_ended)
                return 0;
        n = sock_readv(k->inner_fd, &iov, 1);
        if (n == -EAGAIN)
                return 0;
        if (n <= 0) { /* a server that closes with something unread resets, and has said all it had to say */
                k->out_ended = true;
                k->moved++;
                return 0;
        }
        k->out.len = (size_t)n;
        k->out.at = 0;
        k->moved += (size_t)n;
        return 0;
}

static int write_outer(struct link *k)
{
        size_t n = 0;
        int r;

        if (!k->out.len)
                return 0;
        k->write_wants_read = false;
        ERR_clear_error();
        r = SSL_write_ex(k->ssl, k->out.data + k->out.at, k->out.len - k->out.at, &n);
        if (r != 1) {
                r = ssl_outcome(k, r, &k->write_wants_read, SSL_ERROR_WANT_READ);
                return r == 1 ? -EPIPE : r;
        }
        k->out.at += n;
        k->moved += n;
        if (k->out.at == k->out.len)
                k->out.len = k->out.at = 0;
        return 0;
}

static void watch(struct link *k)
{
        int outer = 0, inner = 0;

        if ((!k->in.len && !k->in_ended && !k->read_wants_write) || (k->out.len && k->write_wants_read))
                outer |= LOOP_READ;
        if ((k->out.len && !k->write_wants_read) || (!k->in.len && k->read_wants_write))
                outer |= LOOP_WRITE;
        if (!k->out.len && !k->out_ended)
                inner |= LOOP_READ;
        if (k->in.len)
                inner |= LOOP_WRITE;
        loop_io_set(&k->outer, outer);
        loop_io_set(&k->inner, inner);
}

/* Move what can be moved, for a bounded while. The link may be gone afterwards. */
static void move(struct link *k)
{
        bool had_ended = k->in_ended, moves = true;
        int r = 0;

        for (int i = 0; i < MOVES_MAX && moves && !r; i++) {
                uint64_t before = k->moved;

                r = read_outer(k);
                if (!r)
                        r = write_inner(k);
                if (!r)
                        r = read_inner(k);
                if (!r)
                        r = write_outer(k);
                moves = k->moved != before;
        }
        if (!r && k->in_ended && !had_ended)
                (void)sock_end_writing(k->inner_fd); /* it may be gone, which is seen when it is read */
        if (r || (k->out_ended && !k->out.len)) {
                link_close(k);
                return;
        }
        if (k->out_ended && !loop_timer_is_active(&k->timer))
                loop_timer_start(&k->timer, FRONT_LINGER_MS);
        watch(k);
        if (moves) /* it had its share. OpenSSL may have bytes, of which the socket does not tell */
                loop_timer_start(&k->again, 0);
}

static void on_again(struct loop_timer *t)
{
        move(container_of(t, struct link, again));
}

static void on_inner(struct loop_io *w, int events)
{
        (void)events;
        move(container_of(w, struct link, inner));
}

/* ---- shaking hands ---- */

static void tell_owner(struct link *k, int fd)
{
        CLEANUP(strbuf_finip) struct strbuf subject = { 0 };
        X509 *cert = SSL_get_verify_result(k->ssl) == X509_V_OK ? SSL_get0_peer_certificate(k->ssl) : NULL;
        struct front_peer peer = { .address = k->address };
        char uri[TLS_URI_SIZE];

        if (cert && !tls_name_add(X509_get_subject_name(cert), &subject))
                peer.subject = subject.data;
        if (cert && !tls_certificate_uri(cert, "", uri))
                peer.uri = uri;
        k->front->connected(k->front->owner, fd, &peer);
}

/* False: it failed, and the link is gone. */
static bool open_inner(struct link *k)
{
        int fds[2], r = sock_pair(fds);

        if (r) {
                diag_limited(DIAG_WARN, "admin TLS: a connection is closed: %s", strerror(-r));
                link_close(k);
                return false;
        }
        k->inner_fd = fds[0];
        loop_io_init(&k->inner, k->front->loop, k->inner_fd, on_inner);
        loop_timer_stop(&k->timer);
        tell_owner(k, fds[1]);
        return true;
}

static void shake(struct link *k)
{
        int r, e;

        ERR_clear_error();
        r = SSL_do_handshake(k->ssl);
        if (r == 1) {
                if (open_inner(k))
                        move(k);
                return;
        }
        e = SSL_get_error(k->ssl, r);
        if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
                loop_io_set(&k->outer, e == SSL_ERROR_WANT_READ ? LOOP_READ : LOOP_WRITE);
                return;
        }
        if (ERR_peek_last_error()) {
                char from[SOCK_TEXT_SIZE];

                sock_format(&k->address, from);
                diag_limited(DIAG_INFO, "admin TLS: the handshake with %s failed: %s", from,
                             ERR_reason_error_string(ERR_peek_last_error()));
        }
        link_close(k);
}

static void on_outer(struct loop_io *w, int events)
{
        struct link *k = container_of(w, struct link, outer);

        (void)events;
        if (k->inner_fd < 0)
                shake(k);
        else
                move(k);
}

/* ---- accepting ---- */

static void link_begin(struct front *f, int fd, const struct sock_address *address)
{
        struct tls_context *x = tls_slot_get(f->slot);
        struct link *k = calloc(1, sizeof *k);

        if (k)
                k->ssl = tls_context_ssl(x);
        tls_context_unref(x);
        if (!k || !k->ssl || !SSL_set_fd(k->ssl, fd)) {
                if (k)
                        SSL_free(k->ssl);
                free(k);
                file_close(fd);
                ERR_clear_error();
                return;
        }
        (void)sock_tune(fd); /* without it it is only slower */
        SSL_set_accept_state(k->ssl);
        SSL_set_mode(k->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        k->front = f;
        k->outer_fd = fd;
        k->inner_fd = -1;
        k->address = *address;
        loop_io_init(&k->outer, f->loop, fd, on_outer);
        loop_timer_init(&k->timer, f->loop, on_late);
        loop_timer_init(&k->again, f->loop, on_again);
        loop_timer_start(&k->timer, FRONT_SHAKE_MS);
        ilist_push_back(&f->links, &k->all);
        f->links_count++;
        shake(k);
}

static void on_accept(struct loop_io *w, int events)
{
        struct front *f = container_of(w, struct front, io);

        (void)events;
        for (int i = 0; i < MOVES_MAX && f->links_count < FRONT_CONNECTIONS_MAX; i++) {
                struct sock_address peer;
                int fd = sock_accept(f->fd, &peer);

                if (fd == -EAGAIN)
                        break;
                if (fd < 0) { /* no room for one: it is there again at once, so wait */
                        diag_limited(DIAG_WARN, "admin TLS: cannot accept a connection: %s", strerror(-fd));
                        loop_io_set(&f->io, 0);
                        loop_timer_start(&f->back_off, BACK_OFF_MS);
                        return;
                }
                link_begin(f, fd, &peer);
        }
        watch_listener(f);
}

static void on_back_off(struct loop_timer *t)
{
        watch_listener(container_of(t, struct front, back_off));
}

/* ---- life ---- */

static void starting(struct loop *l, struct mail *m)
{
        struct front *f = container_of(m, struct front, starting);

        loop_io_init(&f->io, l, f->fd, on_accept);
        loop_timer_init(&f->back_off, l, on_back_off);
        watch_listener(f);
}

static void ending(struct loop *l, struct mail *m)
{
        struct front *f = container_of(m, struct front, ending);

        f->stopped = true;
        loop_timer_stop(&f->back_off);
        while (!ilist_is_empty(&f->links))
                link_close(container_of(f->links.next, struct link, all));
        watch_listener(f);
        loop_stop(l);
}

static int bind_address(const char *address, uint16_t *ret_port)
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

int front_new(const char *address, struct tls_slot *slot,
              void (*connected)(void *owner, int fd, const struct front_peer *peer), void *owner,
              struct front **ret_front, uint16_t *ret_port)
{
        struct front *f = calloc(1, sizeof *f);
        uint16_t port = 0;
        int r;

        if (!f)
                return -ENOMEM;
        *f = (struct front){ .slot = slot, .connected = connected, .owner = owner };
        ilist_init(&f->links);
        f->fd = bind_address(address, &port);
        r = f->fd < 0 ? f->fd : loop_new("admin-tls", &f->loop);
        if (r) {
                if (f->fd >= 0)
                        file_close(f->fd);
                free(f);
                return r;
        }
        *ret_front = f;
        *ret_port = port;
        return 0;
}

int front_start(struct front *f)
{
        int r = loop_start_thread(f->loop);

        f->running = !r;
        f->starting.fn = starting;
        if (!r)
                loop_post(f->loop, &f->starting);
        return r;
}

struct front *front_free(struct front *f)
{
        if (!f)
                return NULL;
        if (f->running) {
                f->ending.fn = ending;
                loop_post(f->loop, &f->ending);
                loop_join(f->loop);
        }
        loop_free(f->loop);
        file_close(f->fd);
        free(f);
        return NULL;
}
