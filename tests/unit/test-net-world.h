/* A real server on loopback for the tests of net, and peers with time-outs. A frame's first byte says what the owner
 * does with it (see on_request). Everything here is static: a test program includes it once. */
#pragma once

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "net/net_internal.h"
#include "sys/clock.h"
#include "sys/sock.h"
#include "unit.h"
#ifdef TEST_TLS
#include "tls-files.h"
#include "tls-tunnel.h"

static struct tls_slot *tls_slot;
static SSL_CTX *tls_client;
#endif

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

enum { FILE_LEN = 3 << 20, PATIENCE_S = 5 };

static struct net_server *server;
static uint16_t port;
static int file_fd = -1;
static atomic_uint closes, echoes, releases;
static struct net_request *held[8]; /* on the only reactor */
static unsigned held_count;
static unsigned nothings; /* frames that were answered by nothing, on the only reactor */

struct test_request {
        struct net_request net;
        struct loop_timer late;
};

static void on_release(void *arg)
{
        atomic_fetch_add(&releases, 1);
        free(arg);
}

static void echo(struct net_request *rq)
{
        char *copy = malloc(rq->body.len);
        struct net_piece p = { .data = copy, .len = rq->body.len, .release = on_release, .release_arg = copy };

        memcpy(copy, rq->body.data, rq->body.len);
        atomic_fetch_add(&echoes, 1);
        net_reply(rq, &p, 1);
}

static void on_late(struct loop_timer *t)
{
        echo(&container_of(t, struct test_request, late)->net);
}

static void echo_late(struct net_request *rq, int64_t ms)
{
        struct test_request *tr = container_of(rq, struct test_request, net);

        loop_timer_init(&tr->late, net_conn_loop(rq->conn), on_late);
        loop_timer_start(&tr->late, ms);
}

static void tell_nothings(struct net_request *rq)
{
        static char text[16];
        struct net_piece p = { .data = text, .len = sizeof text };

        snprintf(text, sizeof text, "%u", nothings);
        net_reply(rq, &p, 1);
}

static void tell_patience(struct net_request *rq)
{
        static char text[2];
        struct net_piece p = { .data = text, .len = sizeof text };

        text[0] = (char)('0' + rq->patients);
        text[1] = rq->conn->io.patient ? 'p' : '-';
        net_reply(rq, &p, 1);
}

/* e: echo; o: hold (overlaps); O: echo (overlaps); r: echo what is held, last first, then this; f: the file; m: a
 * megabyte of it, by the digit that follows; n: nothing; x: close after what is to come before; l: echo after 100 ms; k, K (overlaps): echo after 0 to 7 ms by the
 * last byte; b: be busy for 100 ms; c: the count of n; p: echo in no haste; q: how many of these
 * came before it in a row, and whether the connection is patient. */
static void on_request(void *owner, struct net_request *rq)
{
        struct net_piece p[2] = { { .data = "F", .len = 1 }, { .fd = file_fd, .len = FILE_LEN } };

        switch (rq->body.len ? rq->body.data[0] : 'e') {
        case 'o':
                held[held_count++] = rq;
                return;
        case 'r':
                echo(rq);
                while (held_count)
                        echo(held[--held_count]);
                return;
        case 'f':
                net_reply(rq, p, 2);
                return;
        case 'm':
                p[1].pos = (int64_t)(rq->body.data[1] - '0') << 20;
                p[1].len = 1 << 20;
                net_reply(rq, p, 2);
                return;
        case 'n':
                nothings++;
                net_reply_none(rq);
                return;
        case 'l':
                echo_late(rq, 100);
                return;
        case 'k':
        case 'K':
                echo_late(rq, rq->body.data[rq->body.len - 1] % 8);
                return;
        case 'b':
                usleep(100000);
                net_reply_none(rq);
                return;
        case 'c':
                tell_nothings(rq);
                return;
        case 'p':
                net_request_set_patient(rq);
                echo(rq);
                return;
        case 'q':
                tell_patience(rq);
                return;
        case 'x':
                net_reply_close(rq, "asked for");
                return;
        default:
                echo(rq);
        }
}

static bool can_overlap(void *owner, struct span frame)
{
        return frame.len && strchr("oOrK", frame.data[0]);
}

static void on_close(void *owner, struct net_conn *c, const char *reason)
{
        atomic_fetch_add(&closes, 1);
}

/* What the tests start from; each says what it changes. */
static struct net_config config(void)
{
        return (struct net_config){
                .ops = { sizeof(struct test_request), on_request, can_overlap, NULL, on_close },
                .reactors_count = 1,
                .request_len_max = 100000,
                .memory_max = 20000,
                .overlap_max = 5,
                .connections_max = 8,
                .connections_per_ip_max = 6,
                .idle_ms_max = 400,
                .stall_ms_max = 200,
                .hurry_ms_max = 100,
                .send_buffer_len = 4096,
        };
}

#ifdef TEST_TLS
/* A server that anybody may speak with, and a client that accepts anybody. */
static void tls_world_begin(void)
{
        struct tls_pair ca;

        tls_dir_begin();
        ca = tls_authority("test");
        tls_issue_files("server", NULL, &ca, -HOUR_S, HOUR_S);
        tls_slot = tls_slot_of("server", NULL, false);
        tls_client = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_options(tls_client, SSL_OP_IGNORE_UNEXPECTED_EOF);
        tls_pair_fini(&ca);
        tls_dir_end();
}

static void tls_world_end(void)
{
        tunnels_end();
        SSL_CTX_free(tls_client);
        tls_slot = tls_slot_free(tls_slot);
}
#endif

static void start_with(struct net_config cfg)
{
        atomic_store(&closes, 0);
        held_count = nothings = 0;
#ifdef TEST_TLS
        tls_world_begin();
        cfg.open_ms_max = cfg.open_ms_max ? cfg.open_ms_max : 2000;
        CU_ASSERT_EQUAL_FATAL(net_server_new(&cfg, &server), 0);
        CU_ASSERT_EQUAL_FATAL(net_server_listen_tls(server, "test", "127.0.0.1:0", tls_slot, &port), 0);
#else
        CU_ASSERT_EQUAL_FATAL(net_server_new(&cfg, &server), 0);
        CU_ASSERT_EQUAL_FATAL(net_server_listen(server, "test", "127.0.0.1:0", &port), 0);
#endif
}

static void start(void)
{
        start_with(config());
}

static void on_stopped(struct loop *l, struct mail *m)
{
        loop_stop(l);
}

static void stop(void)
{
        struct mail done = { .fn = on_stopped };
        struct loop *l;

        CU_ASSERT_EQUAL_FATAL(loop_new("main", &l), 0);
        net_server_stop(server, 300, l, &done);
        loop_run(l);
        loop_free(l);
        server = net_server_free(server);
#ifdef TEST_TLS
        tls_world_end();
#endif
}

static int dial_plain(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct timeval limit = { .tv_sec = PATIENCE_S };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

static int dial(void)
{
#ifdef TEST_TLS
        int fd = tunnel_dial(tls_client, port);

        CU_ASSERT_FATAL(fd >= 0);
        return fd;
#else
        return dial_plain();
#endif
}

static void say_part(int fd, const char *text, size_t len, size_t len_said)
{
        uint8_t head[4];

        store_be32(head, (uint32_t)len_said);
        (void)!send(fd, head, 4, MSG_NOSIGNAL);
        (void)!send(fd, text, len, MSG_NOSIGNAL);
}

static void say(int fd, const char *text)
{
        say_part(fd, text, strlen(text), strlen(text));
}

static ssize_t hear_bytes(int fd, void *buf, size_t len)
{
        return recv(fd, buf, len, MSG_WAITALL);
}

static void expect(int fd, const char *text)
{
        uint8_t head[4];
        char body[64] = { 0 };

        CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, head, 4), 4);
        CU_ASSERT_EQUAL_FATAL(load_be32(head), strlen(text));
        CU_ASSERT_EQUAL(hear_bytes(fd, body, strlen(text)), (ssize_t)strlen(text));
        CU_ASSERT_STRING_EQUAL(body, text);
}

static void expect_closed(int fd)
{
        char byte;
        ssize_t n = recv(fd, &byte, 1, 0);

        CU_ASSERT(n == 0 || (n < 0 && errno == ECONNRESET));
        close(fd);
}

/* The peer sees its socket closed before the reactor has counted it: wait until @open are left, at most two seconds. */
static struct net_stats stats_when_open(uint64_t open)
{
        struct net_stats stats;

        for (int i = 0; i < 200; i++) {
                net_server_stats(server, &stats);
                if (stats.connections_open == open)
                        break;
                usleep(10000);
        }
        return stats;
}
