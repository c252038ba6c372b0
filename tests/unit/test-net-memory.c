/* Goal: the memory of frames is bounded and nobody can keep it from others: half frames, mere announcements, slow
 * peers, oversize frames, bytes that were read too early. Method: loopback sockets against a real server with a budget
 * of 20,000 bytes: 10,000 for large frames, 7,500 for small ones (of up to 1,250), 2,500 for what was read too early.
 */
#include "test-net-world.h"

enum { BIG_LEN = 30000 };

static char big[BIG_LEN + 1];

static void start_memory(size_t memory_max)
{
        struct net_config cfg = config();

        cfg.memory_max = memory_max;
        cfg.connections_max = cfg.connections_per_ip_max = 100;
        cfg.idle_ms_max = 5000;
        memset(big, 'n', BIG_LEN);
        start_with(cfg);
}

static uint64_t memory_used(void)
{
        struct net_stats stats;

        net_server_stats(server, &stats);
        return stats.memory_used;
}

/* What was answered gives its memory back right after; what a client sees does not say when. */
static bool memory_is_given_back(void)
{
        for (int i = 0; i < 200 && memory_used(); i++)
                usleep(10000);
        return !memory_used();
}

/* Bytes of a frame that come one by one. */
static void trickle(int fd, const char *bytes, size_t len, unsigned gap_ms)
{
        for (size_t i = 0; i < len; i++) {
                (void)!send(fd, bytes + i, 1, MSG_NOSIGNAL);
                usleep(gap_ms * 1000);
        }
}

/* A half frame fills the budget of the large ones; two others wait; the stalled are evicted and the third is served. */
static void test_half_frames(void)
{
        struct net_stats stats;
        int a, b, c;

        start_memory(20000);
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
        say_part(c, big, BIG_LEN, BIG_LEN); /* larger than the whole budget: runs alone */
        say(c, "e4");
        expect(c, "e4");
        stats = stats_when_open(1);
        CU_ASSERT_EQUAL(stats.closed_stalled, 2);
        CU_ASSERT(stats.waits_memory >= 1);
        CU_ASSERT_EQUAL(stats.memory_used, 0);
        close(c);
        stop();
}

/* A length in front is no reason to set memory aside; a byte of the body is. */
static void test_announcements(void)
{
        int fds[50];
        struct net_stats stats;

        start_memory(20000);
        for (int i = 0; i < 50; i++) {
                fds[i] = dial();
                say_part(fds[i], "", 0, 9000);
        }
        stats = stats_when_open(50);
        usleep(20000);
        CU_ASSERT_EQUAL(memory_used(), 0);
        for (int i = 0; i < 50; i++)
                expect_closed(fds[i]);
        stats = stats_when_open(0);
        CU_ASSERT_EQUAL(stats.closed_stalled, 50);
        CU_ASSERT_EQUAL(stats.waits_memory, 0);
        stop();
}

/* Forty peers begin frames that are larger than the whole budget: small requests go on meanwhile, at most one of the
 * large ones has memory, and all forty are given up together, not one after the other. */
static void test_many_large_beginnings(void)
{
        int fds[40], small, large;
        int64_t from_ms;

        start_memory(20000);
        small = dial();
        for (int i = 0; i < 40; i++) {
                fds[i] = dial();
                say_part(fds[i], "n", 1, 90000);
        }
        large = dial();
        say_part(large, big, BIG_LEN, BIG_LEN);
        say(large, "e2");
        from_ms = clock_mono_ms();
        say(small, "e1");
        expect(small, "e1");
        CU_ASSERT(clock_mono_ms() - from_ms < 80);
        CU_ASSERT(memory_used() < 2 * 90000); /* one of them, and what was read of the last */
        expect(large, "e2");
        CU_ASSERT(clock_mono_ms() - from_ms < 1500);
        for (int i = 0; i < 40; i++)
                expect_closed(fds[i]);
        CU_ASSERT_EQUAL(stats_when_open(2).closed_stalled, 40);
        CU_ASSERT(memory_is_given_back());
        close(small);
        close(large);
        stop();
}

/* A frame that is larger than all of the budget runs alone: the second waits until the first is answered. */
static void test_oversize_runs_alone(void)
{
        static char got[4 + BIG_LEN];
        struct net_stats stats;
        int64_t from_ms;
        int a, b;

        start_memory(20000);
        big[0] = 'l';
        a = dial();
        b = dial();
        say(a, big);
        usleep(30000);
        say(b, big);
        usleep(30000);
        CU_ASSERT(memory_used() >= BIG_LEN);
        CU_ASSERT_EQUAL(hear_bytes(a, got, sizeof got), sizeof got);
        from_ms = clock_mono_ms();
        CU_ASSERT_EQUAL(hear_bytes(b, got, sizeof got), sizeof got);
        CU_ASSERT(clock_mono_ms() - from_ms >= 60); /* an answer takes 100 ms */
        CU_ASSERT(!memcmp(got + 4, big, BIG_LEN));
        net_server_stats(server, &stats);
        CU_ASSERT_EQUAL(stats.waits_memory, 1);
        CU_ASSERT_EQUAL(stats.memory_used, 0);
        close(a);
        close(b);
        stop();
}

/* A frame that comes byte by byte must be whole within the time for stalled ones. */
static void test_slow_peer(void)
{
        static const char frame[] = "\0\0\0\144eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
        int64_t from_ms;
        int fd;

        start_memory(20000);
        fd = dial();
        from_ms = clock_mono_ms();
        trickle(fd, frame, sizeof frame - 1, 10);
        expect_closed(fd);
        CU_ASSERT(clock_mono_ms() - from_ms >= 200);
        CU_ASSERT_EQUAL(stats_when_open(0).closed_stalled, 1);
        stop();
}

/* A stream that is cut in the middle of a frame whenever somebody looks is not stalled: frames keep coming. */
static void test_stream_is_not_stalled(void)
{
        int fd;

        start_memory(20000);
        fd = dial();
        (void)!send(fd, "\0\0\0\2e", 5, 0);
        for (int i = 0; i < 20; i++) { /* 500 ms; a frame that stalls has 200 */
                usleep(25000);
                (void)!send(fd, "z\0\0\0\2e", 6, MSG_NOSIGNAL);
                expect(fd, "ez");
        }
        close(fd);
        CU_ASSERT_EQUAL(stats_when_open(0).closed_stalled, 0);
        stop();
}

/* What was read behind a request in work is accounted, bounded, and looked at later. */
static void test_read_too_early(void)
{
        enum { PEERS = 20, FRAMES = 8000 };
        static char many[FRAMES * 5];
        int fds[PEERS];

        start_memory(1 << 20); /* 128 KiB for what is read too early */
        for (int i = 0; i < FRAMES; i++)
                memcpy(many + i * 5, "\0\0\0\1n", 5);
        for (int i = 0; i < PEERS; i++) {
                fds[i] = dial();
                say(fds[i], "l1");
                CU_ASSERT_EQUAL(send(fds[i], many, sizeof many, 0), sizeof many);
        }
        usleep(30000);
        CU_ASSERT(memory_used() > 30000);
        CU_ASSERT(memory_used() <= (128 + 64 + 8) * 1024);
        for (int i = 0; i < PEERS; i++) {
                expect(fds[i], "l1");
                say(fds[i], "e2");
                expect(fds[i], "e2");
                close(fds[i]);
        }
        stats_when_open(0);
        CU_ASSERT_EQUAL(memory_used(), 0);
        stop();
        CU_ASSERT_EQUAL(nothings, PEERS * FRAMES);
}

static const struct unit_case cases[] = {
        { "half frames do not block each other", test_half_frames },
        { "announcements take no memory", test_announcements },
        { "many beginnings of large frames", test_many_large_beginnings },
        { "an oversize frame runs alone", test_oversize_runs_alone },
        { "a frame byte by byte is given up", test_slow_peer },
        { "a steady stream is not stalled", test_stream_is_not_stalled },
        { "bytes that are read too early", test_read_too_early },
};
UNIT_MAIN("net/memory", cases)
