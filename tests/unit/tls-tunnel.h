/* A socket whose other end is a thread that speaks TLS with a server: so tests that were written for plain sockets try
 * TLS as well. Everything here is static: a test program includes it once. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "unit.h"

struct tunnel {
        int plain, fd;
        SSL *ssl;
        bool plain_ended;
        uint8_t to_tls[16384], to_plain[16384];
        size_t to_tls_len, to_plain_len, to_plain_at;
};

static atomic_uint tunnels;
static atomic_int tunnel_update_every; /* renew the keys every so many writes; 0: never */

/* Return: false when this side has ended for good. */
static bool tunnel_out(struct tunnel *t)
{
        static _Thread_local int writes;
        size_t n;
        ssize_t got;

        if (!t->to_tls_len && !t->plain_ended) {
                got = recv(t->plain, t->to_tls, sizeof t->to_tls, MSG_DONTWAIT);
                if (got < 0)
                        return errno == EAGAIN;
                if (!got) {
                        t->plain_ended = true;
                        SSL_shutdown(t->ssl);
                        return true;
                }
                t->to_tls_len = (size_t)got;
        }
        if (!t->to_tls_len)
                return true;
        if (atomic_load(&tunnel_update_every) && ++writes % atomic_load(&tunnel_update_every) == 0)
                SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED);
        if (SSL_write_ex(t->ssl, t->to_tls, t->to_tls_len, &n) == 1) {
                memmove(t->to_tls, t->to_tls + n, t->to_tls_len - n);
                t->to_tls_len -= n;
        }
        return true;
}

static bool tunnel_in(struct tunnel *t)
{
        ssize_t n;
        int r;

        if (t->to_plain_at == t->to_plain_len) {
                t->to_plain_at = t->to_plain_len = 0;
                r = SSL_read_ex(t->ssl, t->to_plain, sizeof t->to_plain, &t->to_plain_len);
                if (r != 1) {
                        r = SSL_get_error(t->ssl, r);
                        return r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE;
                }
        }
        n = send(t->plain, t->to_plain + t->to_plain_at, t->to_plain_len - t->to_plain_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN;
        t->to_plain_at += (size_t)n;
        return true;
}

static void *tunnel_run(void *arg)
{
        struct tunnel *t = arg;

        while (tunnel_out(t) && tunnel_in(t)) {
                bool full = t->to_plain_at < t->to_plain_len;
                struct pollfd p[2] = {
                        { t->plain, (short)((full ? POLLOUT : 0) | (t->to_tls_len || t->plain_ended ? 0 : POLLIN)), 0 },
                        { t->fd, (short)((full ? 0 : POLLIN) | (t->to_tls_len ? POLLOUT : 0)), 0 },
                };

                if (!full && SSL_pending(t->ssl))
                        continue;
                poll(p, 2, t->plain_ended ? 20 : 1000);
        }
        SSL_free(t->ssl);
        close(t->fd);
        close(t->plain);
        free(t);
        OPENSSL_thread_stop(); /* what it keeps for the thread; nobody waits for the thread itself */
        atomic_fetch_sub(&tunnels, 1);
        return NULL;
}

/* Connect through @ctx (as a client) to @port of this machine. Return: our end; or -1 when the handshake fails. */
static int tunnel_dial(SSL_CTX *ctx, uint16_t port)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct timeval limit = { .tv_sec = 5 };
        struct tunnel *t = calloc(1, sizeof *t);
        pthread_t thread;
        int ends[2], one = 1;

        signal(SIGPIPE, SIG_IGN);
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        t->plain = ends[1];
        t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        for (int i = 0; i < 2; i++) {
                setsockopt(i ? t->fd : ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
                setsockopt(i ? t->fd : ends[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        }
        CU_ASSERT_EQUAL_FATAL(connect(t->fd, (struct sockaddr *)&a, sizeof a), 0);
        t->ssl = SSL_new(ctx);
        SSL_set_fd(t->ssl, t->fd);
        if (SSL_connect(t->ssl) != 1) {
                SSL_free(t->ssl);
                close(t->fd);
                close(ends[0]);
                close(ends[1]);
                free(t);
                return -1;
        }
        SSL_set_mode(t->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        fcntl(t->fd, F_SETFL, fcntl(t->fd, F_GETFL) | O_NONBLOCK);
        atomic_fetch_add(&tunnels, 1);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, tunnel_run, t), 0);
        pthread_detach(thread);
        return ends[0];
}

/* Wait for the threads to end; not for long, because some ends may still be open. */
static void tunnels_end(void)
{
        for (int i = 0; i < 100 && atomic_load(&tunnels); i++)
                usleep(5000);
}
