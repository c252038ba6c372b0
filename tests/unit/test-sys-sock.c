/* Goal: addresses are read and written as documented, and the socket calls tell success, waiting and failure apart.
 * Method: tables of texts; loopback sockets. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/sock.h"
#include "unit.h"

static void test_split(void)
{
        static const struct {
                const char *text, *host;
                int port; /* -1: refused */
        } rows[] = {
                { "localhost:9092", "localhost", 9092 },
                { "127.0.0.1:0", "127.0.0.1", 0 },
                { "[::1]:65535", "::1", 65535 },
                { ":9092", "", 9092 },
                { "*:9092", "", 9092 },
                { "[fe80::1%lo]:1", "fe80::1%lo", 1 },
                { "", NULL, -1 },
                { "host", NULL, -1 },
                { "host:", NULL, -1 },
                { "host:65536", NULL, -1 },
                { "host:123456", NULL, -1 },
                { "host:-1", NULL, -1 },
                { "host:+1", NULL, -1 },
                { "host: 1", NULL, -1 },
                { "host:1x", NULL, -1 },
                { "::1:9092", NULL, -1 },
                { "[::1]", NULL, -1 },
                { "[]:1", NULL, -1 },
                { "[::1:9092", NULL, -1 },
                { "[::1]9092", NULL, -1 },
                { "a b:1", NULL, -1 },
                { "http://h:1", NULL, -1 },
        };
        char long_text[400], host[SOCK_HOST_SIZE];
        uint16_t port;

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                int r;

                strcpy(host, "kept");
                port = 7;
                r = sock_split_host_port(rows[i].text, host, &port);
                CU_ASSERT_EQUAL(r, rows[i].port < 0 ? -EINVAL : 0);
                CU_ASSERT_STRING_EQUAL(host, rows[i].port < 0 ? "kept" : rows[i].host);
                CU_ASSERT_EQUAL(port, rows[i].port < 0 ? 7 : rows[i].port);
        }
        memset(long_text, 'x', 256);
        strcpy(long_text + 256, ":1");
        CU_ASSERT_EQUAL(sock_split_host_port(long_text, host, &port), -EINVAL);
        CU_ASSERT_EQUAL(sock_split_host_port(long_text + 1, host, &port), 0);
}

static struct sock_address numeric(const char *host, uint16_t port)
{
        struct sock_address found[SOCK_RESOLVE_COUNT_MAX];
        unsigned count = 0;

        CU_ASSERT_EQUAL_FATAL(sock_resolve(host, port, true, found, &count), 0);
        CU_ASSERT_EQUAL(count, 1);
        return found[0];
}

static void expect_text(const char *host, uint16_t port, const char *text, const char *host_text)
{
        struct sock_address a = numeric(host, port);
        char got[SOCK_TEXT_SIZE];

        sock_format(&a, got);
        CU_ASSERT_STRING_EQUAL(got, text);
        sock_format_host(&a, got);
        CU_ASSERT_STRING_EQUAL(got, host_text);
}

static void test_format(void)
{
        struct sock_address found[SOCK_RESOLVE_COUNT_MAX], a, b;
        uint8_t key_a[16], key_b[16];
        unsigned count = 0;

        expect_text("127.0.0.1", 80, "127.0.0.1:80", "127.0.0.1");
        expect_text("::1", 9092, "[::1]:9092", "::1");
        expect_text("::ffff:10.1.2.3", 5, "10.1.2.3:5", "10.1.2.3");
        CU_ASSERT_EQUAL(sock_resolve("localhost", 1, true, found, &count), -EINVAL);
        CU_ASSERT_EQUAL(sock_resolve("localhost", 1, false, found, &count), 0);
        CU_ASSERT(count >= 1 && sock_address_port(&found[0]) == 1);
        CU_ASSERT_EQUAL(sock_resolve("", 1, true, found, &count), 0);
        a = numeric("10.1.2.3", 1);
        b = numeric("::ffff:10.1.2.3", 2);
        sock_address_key(&a, key_a);
        sock_address_key(&b, key_b);
        CU_ASSERT(!memcmp(key_a, key_b, 16));
        b = numeric("10.1.2.4", 1);
        sock_address_key(&b, key_b);
        CU_ASSERT(memcmp(key_a, key_b, 16));
}

static bool wait_for(int fd, short events)
{
        struct pollfd p = { fd, events, 0 };

        return poll(&p, 1, 5000) == 1;
}

struct pair {
        int listener, client, server;
};

static struct pair pair_open(void)
{
        struct sock_address a = numeric("127.0.0.1", 0), peer;
        struct pair p;

        p.listener = sock_listen(&a, false);
        CU_ASSERT_FATAL(p.listener >= 0);
        CU_ASSERT_EQUAL(sock_local(p.listener, &a), 0);
        CU_ASSERT(sock_address_port(&a) != 0);
        CU_ASSERT_EQUAL(sock_accept(p.listener, &peer), -EAGAIN);
        p.client = sock_connect(&a);
        CU_ASSERT_FATAL(p.client >= 0);
        CU_ASSERT(wait_for(p.client, POLLOUT));
        CU_ASSERT_EQUAL(sock_error(p.client), 0);
        CU_ASSERT(wait_for(p.listener, POLLIN));
        p.server = sock_accept(p.listener, &peer);
        CU_ASSERT_FATAL(p.server >= 0);
        CU_ASSERT_EQUAL(sock_local(p.client, &a), 0);
        CU_ASSERT_EQUAL(sock_address_port(&a), sock_address_port(&peer));
        CU_ASSERT_EQUAL(sock_tune(p.server), 0);
        CU_ASSERT_EQUAL(sock_set_buffers(p.server, 16384, 0), 0);
        return p;
}

static void pair_close(struct pair *p)
{
        close(p->listener);
        close(p->client);
        close(p->server);
}

static void test_transfer(void)
{
        struct pair p = pair_open();
        struct iovec iov[2] = { { (char[]){ "abc" }, 3 }, { (char[]){ "defg" }, 4 } };
        char buf[16] = { 0 };
        struct iovec into = { buf, sizeof buf };
        int file_fd = memfd_create("x", MFD_CLOEXEC);

        CU_ASSERT_EQUAL(sock_readv(p.client, &into, 1), -EAGAIN);
        CU_ASSERT_EQUAL(sock_writev(p.server, iov, 2, false), 7);
        CU_ASSERT(wait_for(p.client, POLLIN));
        CU_ASSERT_EQUAL(sock_readv(p.client, &into, 1), 7);
        CU_ASSERT_STRING_EQUAL(buf, "abcdefg");
        CU_ASSERT_EQUAL(write(file_fd, "0123456789", 10), 10);
        CU_ASSERT_EQUAL(sock_sendfile(p.server, file_fd, 4, 3), 3);
        CU_ASSERT(wait_for(p.client, POLLIN));
        CU_ASSERT_EQUAL(sock_readv(p.client, &into, 1), 3);
        CU_ASSERT(!memcmp(buf, "456", 3));
        CU_ASSERT_EQUAL(sock_sendfile(p.server, file_fd, 10, 3), 0);
        close(file_fd);
        close(p.server);
        p.server = -1;
        CU_ASSERT(wait_for(p.client, POLLIN));
        CU_ASSERT_EQUAL(sock_readv(p.client, &into, 1), 0);
        pair_close(&p);
}

static void test_peer_gone(void)
{
        struct pair p = pair_open();
        struct iovec iov = { (char[]){ "abc" }, 3 };
        ssize_t r = 0;

        signal(SIGPIPE, SIG_DFL); /* would end this program if it were raised */
        close(p.client);
        p.client = -1;
        for (int i = 0; i < 100 && r >= 0; i++) {
                r = sock_writev(p.server, &iov, 1, false);
                usleep(1000);
        }
        CU_ASSERT(sock_is_peer_error((int)r));
        CU_ASSERT_FALSE(sock_is_peer_error(-EBADF));
        pair_close(&p);
}

static void test_listen_errors(void)
{
        struct sock_address a = numeric("127.0.0.1", 0), far = numeric("192.0.2.1", 0), peer;
        int first, second, refused;

        CU_ASSERT_EQUAL(sock_listen(&far, false), -EADDRNOTAVAIL);
        first = sock_listen(&a, true);
        CU_ASSERT_EQUAL_FATAL(sock_local(first, &a), 0);
        second = sock_listen(&a, true);
        CU_ASSERT(second >= 0);
        CU_ASSERT_EQUAL(sock_listen(&a, false), -EADDRINUSE);
        close(first);
        close(second);
        refused = sock_connect(&a);
        if (refused >= 0) {
                CU_ASSERT(wait_for(refused, POLLOUT));
                CU_ASSERT_EQUAL(sock_error(refused), -ECONNREFUSED);
                close(refused);
        } else {
                CU_ASSERT_EQUAL(refused, -ECONNREFUSED);
        }
        CU_ASSERT_EQUAL(sock_accept(-1, &peer), -EBADF);
}

static const struct unit_case cases[] = {
        { "HOST:PORT is split or refused", test_split },
        { "addresses as text and as keys", test_format },
        { "bytes and file ranges are sent", test_transfer },
        { "a peer that is gone is an error, not a signal", test_peer_gone },
        { "addresses in use or not ours", test_listen_errors },
};
UNIT_MAIN("sys/sock", cases)
