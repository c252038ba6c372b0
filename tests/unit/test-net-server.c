/* Goal: answers leave in request order, lengths that lie close the connection, file pieces arrive whole, half frames
 * cannot block each other, and the stalled, the idle and the too many are closed. Method: loopback sockets with
 * time-outs against a real server. A frame's first byte says what the owner does. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "net/server.h"
#include "sys/clock.h"
#include "sys/sock.h"
#include "unit.h"

enum { FILE_LEN = 3 << 20 };

static struct net_server *server;
static uint16_t port;
static int file_fd = -1;
static atomic_uint closes, releases;
static struct net_request *held[8]; /* on the only reactor */
static unsigned held_count;

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
        net_reply(rq, &p, 1);
}

/* e: echo; o: hold (overlaps); O: echo (overlaps); r: echo what is held, last first, then this; f: the file; n:
 * nothing; x: close after what is to come before. */
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
        case 'n':
                net_reply_none(rq);
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
        return frame.len && strchr("oOr", frame.data[0]);
}

static void on_close(void *owner, struct net_conn *c, const char *reason)
{
        atomic_fetch_add(&closes, 1);
}

static void start(void)
{
        struct net_config cfg = {
                .ops = { sizeof(struct net_request), on_request, can_overlap, NULL, on_close },
                .reactors_count = 1,
                .request_len_max = 100000,
                .memory_max = 20000,
                .overlap_max = 5,
                .connections_max = 8,
                .connections_per_ip_max = 6,
                .idle_ms_max = 400,
                .stall_ms_max = 200,
                .send_buffer_len = 4096,
        };

        atomic_store(&closes, 0);
        CU_ASSERT_EQUAL_FATAL(net_server_new(&cfg, &server), 0);
        CU_ASSERT_EQUAL_FATAL(net_server_listen(server, "test", "127.0.0.1:0", &port), 0);
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
}

static int dial(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct timeval limit = { .tv_sec = 5 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
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

static void test_order(void)
{
        int fd;

        start();
        fd = dial();
        say(fd, "e1");
        say(fd, "o2");
        say(fd, "o3");
        say(fd, "O4");
        say(fd, "r5");
        say(fd, "n6");
        say(fd, "e7");
        expect(fd, "e1");
        expect(fd, "o2");
        expect(fd, "o3");
        expect(fd, "O4");
        expect(fd, "r5");
        expect(fd, "e7");
        say(fd, "e8");
        say(fd, "x");
        say(fd, "e9");
        expect(fd, "e8");
        expect_closed(fd);
        stop();
        CU_ASSERT_EQUAL(atomic_load(&closes), 1);
}

static void test_lengths_that_lie(void)
{
        struct net_stats stats;
        int fd;

        start();
        fd = dial();
        say_part(fd, "e", 1, 0x80000000u);
        expect_closed(fd);
        fd = dial();
        say_part(fd, "e", 1, 100001);
        expect_closed(fd);
        fd = dial();
        for (int i = 0; i < 3; i++) { /* byte by byte is fine as long as it goes on */
                const char frame[] = { 0, 0, 0, 2, 'e', 'z' };

                for (size_t k = 0; k < sizeof frame; k++) {
                        (void)!send(fd, frame + k, 1, 0);
                        usleep(1000);
                }
                expect(fd, "ez");
        }
        close(fd);
        net_server_stats(server, &stats);
        CU_ASSERT_EQUAL(stats.closed_bad_frame, 2);
        stop();
}

static void test_file_pieces(void)
{
        static uint8_t want[FILE_LEN], got[FILE_LEN];
        uint8_t head[5];
        int fd;

        for (size_t i = 0; i < FILE_LEN; i++)
                want[i] = (uint8_t)(i * 2654435761u >> 13);
        file_fd = memfd_create("piece", MFD_CLOEXEC);
        CU_ASSERT_EQUAL_FATAL(write(file_fd, want, FILE_LEN), FILE_LEN);
        start();
        fd = dial();
        say(fd, "f");
        say(fd, "e2");
        CU_ASSERT_EQUAL(hear_bytes(fd, head, 5), 5);
        CU_ASSERT_EQUAL(load_be32(head), FILE_LEN + 1);
        CU_ASSERT_EQUAL(hear_bytes(fd, got, FILE_LEN), FILE_LEN);
        CU_ASSERT(!memcmp(got, want, FILE_LEN));
        expect(fd, "e2");
        close(fd);
        stop();
        close(file_fd);
}

/* Two half frames fill the budget; a third waits; the stalled are evicted and the third is served. */
static void test_half_frames(void)
{
        struct net_stats stats;
        char *big = malloc(30000);
        int a, b, c;

        memset(big, 'n', 30000);
        start();
        a = dial();
        b = dial();
        c = dial();
        say_part(a, big, 10, 9500);
        say_part(b, big, 10, 9500);
        usleep(50000);
        say_part(c, big, 15000, 15000);
        say(c, "e3");
        expect(c, "e3");
        expect_closed(a);
        expect_closed(b);
        say_part(c, big, 30000, 30000); /* larger than the whole budget: runs alone */
        say(c, "e4");
        expect(c, "e4");
        stats = stats_when_open(1);
        CU_ASSERT_EQUAL(stats.closed_stalled, 2);
        CU_ASSERT(stats.waits_memory >= 1);
        CU_ASSERT_EQUAL(stats.memory_used, 0);
        close(c);
        stop();
        free(big);
}

static void test_limits_and_idle(void)
{
        struct net_stats stats;
        int fds[7];

        start();
        for (int i = 0; i < 7; i++)
                fds[i] = dial();
        expect_closed(fds[6]); /* the seventh of one address */
        for (int i = 0; i < 6; i++)
                expect_closed(fds[i]); /* idle */
        stats = stats_when_open(0);
        CU_ASSERT_EQUAL(stats.closed_per_ip, 1);
        CU_ASSERT_EQUAL(stats.closed_idle, 6);
        CU_ASSERT_EQUAL(stats.connections_open, 0);
        stop();
}

static void test_stop_with_work(void)
{
        int fd, gone;

        start();
        fd = dial();
        say(fd, "o1"); /* is never answered: the deadline of the stop ends it */
        gone = dial();
        say(gone, "e");
        close(gone);
        usleep(20000);
        stop();
        expect_closed(fd);
        held_count = 0;
        CU_ASSERT_EQUAL(atomic_load(&closes), 2);
}

static const struct unit_case cases[] = {
        { "answers in request order, overlapping or not", test_order },
        { "lengths that lie close the connection", test_lengths_that_lie },
        { "file pieces arrive whole", test_file_pieces },
        { "half frames do not block each other", test_half_frames },
        { "too many and idle connections are closed", test_limits_and_idle },
        { "a stop ends although an answer is missing", test_stop_with_work },
};
UNIT_MAIN("net/server", cases)
