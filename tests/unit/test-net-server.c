/* Goal: answers leave in request order, lengths that lie close the connection, file pieces arrive whole, half-closed
 * peers are answered, nobody's work holds up another's, and the idle and the too many are closed. Method: loopback
 * sockets with time-outs against a real server. */
#include <sys/resource.h>

#include "test-net-world.h"

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

enum { DELAY_MS = 300 };
static atomic_uint delays;

/* The first is let in at once, the second later, the third not at all; @host is what the owner is told. */
static int64_t delay_by_turn(void *owner, unsigned reactor, const char *host)
{
        static const int64_t turns[] = { 0, DELAY_MS, -1 };

        CU_ASSERT_EQUAL(reactor, 0);
        CU_ASSERT_STRING_EQUAL(host, "127.0.0.1");
        return turns[atomic_fetch_add(&delays, 1) % ARRAY_LEN(turns)];
}

static void test_delays(void)
{
        struct net_config cfg = config();
        struct net_stats stats;
        int64_t begun_ms;
        int fds[4];

        cfg.ops.delay = delay_by_turn;
        cfg.idle_ms_max = 5000;
        cfg.stall_ms_max = DELAY_MS / 4; /* who has to wait is not stalled */
        atomic_store(&delays, 0);
        start_with(cfg);
        begun_ms = clock_mono_ms();
        for (int i = 0; i < 4; i++)
                fds[i] = dial();
        say(fds[3], "e3");
        expect(fds[3], "e3");
        CU_ASSERT(clock_mono_ms() - begun_ms < DELAY_MS);
        expect_closed(fds[2]);
        say(fds[1], "e1");
        expect(fds[1], "e1");
        CU_ASSERT(clock_mono_ms() - begun_ms >= DELAY_MS);
        say(fds[0], "e0");
        expect(fds[0], "e0");
        stats = stats_when_open(3);
        CU_ASSERT_EQUAL(stats.connections_delayed, 1);
        CU_ASSERT_EQUAL(stats.closed_rate, 1);
        atomic_store(&delays, 1);
        close(fds[2]);
        fds[2] = dial(); /* waits when the server stops, which does not wait for it */
        stats_when_open(4);
        stop();
        for (int i = 0; i < 4; i++)
                close(fds[i]);
}

/* A second's worth at once, then one after the other; nobody is refused. */
static void test_rate(void)
{
        struct net_config cfg = config();
        int64_t begun_ms;
        int fds[5];

        cfg.connection_rate_max = 3;
        cfg.idle_ms_max = 5000;
        start_with(cfg);
        begun_ms = clock_mono_ms();
        for (int i = 0; i < 5; i++) {
                fds[i] = dial();
                say(fds[i], "e");
                expect(fds[i], "e");
        }
        CU_ASSERT(clock_mono_ms() - begun_ms >= 650); /* the last two, a third of a second each */
        stop();
        for (int i = 0; i < 5; i++)
                close(fds[i]);
}

/* Connections in all are counted over every address, and there is room again when one has gone. */
static void test_total_limit(void)
{
        struct net_config cfg = config();
        int fds[9];

        cfg.connections_per_ip_max = 8;
        cfg.idle_ms_max = 5000;
        start_with(cfg);
        for (int i = 0; i < 9; i++)
                fds[i] = dial();
        expect_closed(fds[8]);
        CU_ASSERT_EQUAL(stats_when_open(8).closed_limit, 1);
        CU_ASSERT_EQUAL(stats_when_open(8).closed_per_ip, 0);
        close(fds[0]);
        stats_when_open(7);
        fds[0] = dial();
        say(fds[0], "e1");
        expect(fds[0], "e1");
        for (int i = 0; i < 8; i++)
                close(fds[i]);
        stop();
}

static int64_t cpu_ms(void)
{
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* No descriptor is left: those who wait are turned away one after the other, without a busy loop, and when there are
 * descriptors again the rest is served. */
static void test_descriptors_run_out(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        struct rlimit before, low;
        int fds[6];
        int64_t from_ms;

        start();
        a.sin_port = htons(port);
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int i = 0; i < 6; i++)
                fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        usleep(20000);
        getrlimit(RLIMIT_NOFILE, &before);
        low = before;
        low.rlim_cur = (rlim_t)dup(0);
        close((int)low.rlim_cur);
        CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (int i = 0; i < 6; i++)
                CU_ASSERT_EQUAL(connect(fds[i], (struct sockaddr *)&a, sizeof a), 0);
        from_ms = cpu_ms();
        usleep(250000);
        CU_ASSERT(cpu_ms() - from_ms < 100);
        CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
        expect_closed(fds[0]);
        say(fds[5], "e1");
        expect(fds[5], "e1");
        CU_ASSERT(stats_when_open(0).closed_limit >= 1);
        for (int i = 1; i < 6; i++)
                close(fds[i]);
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

/* What is in work when the peer has said its last word is answered, and only then the connection closes; an answer that
 * never comes does not hold it for ever. */
static void test_half_closed(void)
{
        int fd, stuck;

        start();
        fd = dial();
        say(fd, "l1");
        shutdown(fd, SHUT_WR);
        expect(fd, "l1");
        expect_closed(fd);
        fd = dial();
        say(fd, "l1");
        say(fd, "e2");
        say(fd, "l3");
        say_part(fd, "e", 1, 2); /* half a frame: nothing to answer */
        shutdown(fd, SHUT_WR);
        expect(fd, "l1");
        expect(fd, "e2");
        expect(fd, "l3");
        expect_closed(fd);
        stuck = dial();
        say(stuck, "o1");
        shutdown(stuck, SHUT_WR);
        expect_closed(stuck);
        CU_ASSERT_EQUAL(stats_when_open(0).closed_stalled, 1);
        stop();
}

static unsigned hear_number(int fd)
{
        char text[4 + 16];

        CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, text, sizeof text), sizeof text);
        return (unsigned)strtoul(text + 4, NULL, 10);
}

/* Thousands of frames of one connection and one frame of another are there when the reactor looks: the one is served
 * among the first, and the thousands are all served in the end. */
static void test_turns_are_short(void)
{
        enum { COUNT = 3000 };
        static char many[COUNT * 5];
        int busy, many_fd, before, after; /* in whatever order the kernel tells of them */

        start();
        for (int i = 0; i < COUNT; i++)
                memcpy(many + i * 5, "\0\0\0\1n", 5);
        busy = dial();
        many_fd = dial();
        before = dial();
        after = dial();
        usleep(20000);
        say(busy, "b");
        usleep(20000); /* the reactor is busy now: what comes is looked at in one turn */
        say(before, "c");
        usleep(10000);
        CU_ASSERT_EQUAL(send(many_fd, many, sizeof many, 0), sizeof many);
        usleep(10000);
        say(after, "c");
        CU_ASSERT(hear_number(before) <= 100);
        CU_ASSERT(hear_number(after) <= 100);
        say(many_fd, "c");
        CU_ASSERT_EQUAL(hear_number(many_fd), COUNT);
        close(busy);
        close(many_fd);
        close(before);
        close(after);
        stop();
}

/* What came before a request of its connection, in a row. */
static void say_patient(int fd, int count)
{
        for (int i = 0; i < count; i++)
                say(fd, "p");
        for (int i = 0; i < count; i++)
                expect(fd, "p");
}

/* A connection is patient after four such requests, one after the other or together, until another one comes. Its requests are
 * answered in order, however they are cut; it is closed when its peer is, when it is idle, and when a frame stops in the middle. */
static void test_patience(void)
{
        int fd, gone, stalled;

        start();
        fd = dial();
        say(fd, "q");
        expect(fd, "0-");
        for (int i = 0; i < 3; i++)
                say_patient(fd, 1);
        say(fd, "q");
        expect(fd, "3-");
        say(fd, "q");
        expect(fd, "0-");
        for (int i = 0; i < 4; i++)
                say_patient(fd, 1);
        say(fd, "q");
        expect(fd, "4p");
        say(fd, "q");
        expect(fd, "0-");
        for (int i = 0; i < 50; i++)
                say_patient(fd, 10);
        say(fd, "hello");
        expect(fd, "hello");
        say(fd, "q");
        expect(fd, "0-");

        gone = dial();
        say_patient(gone, 8);
        close(gone);
        CU_ASSERT_EQUAL(stats_when_open(1).closed_idle, 0);
        stalled = dial();
        say_patient(fd, 8);
        say_patient(stalled, 8);
        say_part(stalled, "p", 1, 10);
        expect_closed(stalled);
        CU_ASSERT_EQUAL(stats_when_open(1).closed_stalled, 1);
        expect_closed(fd);
        CU_ASSERT_EQUAL(stats_when_open(0).closed_idle, 1);
        CU_ASSERT_EQUAL(stats_when_open(0).frames_patient, 3 + 4 + 50 * 10 + 3 * 8);
        stop();
}

#ifndef TEST_TLS
static const struct unit_case cases[] = {
        { "answers in request order, overlapping or not", test_order },
        { "lengths that lie close the connection", test_lengths_that_lie },
        { "file pieces arrive whole", test_file_pieces },
        { "too many and idle connections are closed", test_limits_and_idle },
        { "connections that come too often wait, or are closed", test_delays },
        { "connections of a listener come at a rate", test_rate },
        { "too many connections in all", test_total_limit },
        { "no descriptor is left", test_descriptors_run_out },
        { "a half-closed peer gets its answers", test_half_closed },
        { "one connection's work does not hold up another's", test_turns_are_short },
        { "connections whose requests are in no haste", test_patience },
        { "a stop ends although an answer is missing", test_stop_with_work },
};
UNIT_MAIN("net/server", cases)
#endif
