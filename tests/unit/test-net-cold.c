/* Goal: a file piece that is not in the page cache is read by the pool, a stretch at a time, while others on the
 * reactor are served; it arrives whole, and a peer that goes meanwhile takes nothing with it. Method: a real file whose
 * pages are dropped (POSIX_FADV_DONTNEED), a pool that the test can hold up, a real server. Where pages cannot be
 * dropped (a file system in memory) the test says so and fails, for it would show nothing; TMPDIR moves it to a disk.
 */
#include <fcntl.h>
#include <semaphore.h>

#include "sys/file.h"
#include "test-net-world.h"

static uint8_t want[FILE_LEN], got[FILE_LEN];
static struct iopool *pool;
static char path[256];
static struct io_job obstacle;
static sem_t obstacle_ends;

/* The kernel keeps pages that sockets still refer to: try again for at most two seconds. */
static void drop_pages(int64_t pos, int64_t len)
{
        for (int i = 0; i < 200; i++) {
                CU_ASSERT_EQUAL_FATAL(posix_fadvise(file_fd, pos, len, POSIX_FADV_DONTNEED), 0);
                if (!file_is_cached(file_fd, pos, (size_t)len))
                        return;
                usleep(10000);
        }
        CU_FAIL_FATAL("pages cannot be dropped here; set TMPDIR to a folder on a disk");
}

static atomic_bool plenty;

static bool is_plenty(void)
{
        return atomic_load(&plenty);
}

static void start_cold(void)
{
        const char *dir = getenv("TMPDIR");
        struct net_config cfg = config();

        snprintf(path, sizeof path, "%s/chronik-cold-XXXXXX", dir ? dir : "/tmp");
        file_fd = mkstemp(path);
        CU_ASSERT_FATAL(file_fd >= 0);
        unlink(path);
        for (size_t i = 0; i < FILE_LEN; i++)
                want[i] = (uint8_t)(i * 2654435761u >> 13);
        for (int64_t pos = 0; pos < FILE_LEN; pos += 4096) /* page by page, so that the kernel keeps them apart */
                CU_ASSERT_EQUAL_FATAL(file_pwrite_all(file_fd, want + pos, 4096, pos), 0);
        CU_ASSERT_EQUAL_FATAL(fsync(file_fd), 0);
        CU_ASSERT_EQUAL_FATAL(iopool_new(1, &pool), 0);
        cfg.pool = pool;
        cfg.memory_is_plenty = is_plenty;
        cfg.connections_max = cfg.connections_per_ip_max = 100;
        cfg.send_buffer_len = 1 << 20;
        start_with(cfg);
}

static void stop_cold(void)
{
        stop();
        iopool_free(pool);
        close(file_fd);
}

static void fetch_file(int fd)
{
        uint8_t head[5];

        say(fd, "f");
        CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, head, 5), 5);
        memset(got, 0, sizeof got);
        CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, got, FILE_LEN), FILE_LEN);
        CU_ASSERT(!memcmp(got, want, FILE_LEN));
}

static struct net_stats stats_now(void)
{
        struct net_stats stats;

        net_server_stats(server, &stats);
        return stats;
}

static void test_cold_and_warm(void)
{
        int fd;

        start_cold();
        fd = dial();
        fetch_file(fd); /* just written: warm, in three stretches of 1 MiB */
        CU_ASSERT_EQUAL(stats_now().sends_warm, 3);
        CU_ASSERT_EQUAL(stats_now().sends_cold, 0);
        drop_pages(0, FILE_LEN);
        fetch_file(fd);
        CU_ASSERT(stats_now().sends_cold >= 1); /* the kernel may have read ahead of the pool */
        CU_ASSERT_EQUAL(stats_now().sends_cold + stats_now().sends_warm, 6);
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 0, FILE_LEN), 1);
        close(fd);
        stop_cold();
}

/* Both ends are there and the middle is not. */
static void test_hole(void)
{
        uint64_t cold;
        int fd;

        start_cold();
        fd = dial();
        drop_pages((1 << 20) + (300 << 10), 300 << 10);
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 0, 1 << 20), 1);
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 1 << 20, 1 << 20), 0);
        cold = stats_now().sends_cold;
        fetch_file(fd);
        CU_ASSERT_EQUAL(stats_now().sends_cold - cold, 1);
        CU_ASSERT_EQUAL(stats_now().sends_warm, 2);
        close(fd);
        stop_cold();
}

static void fetch_megabyte(int fd, int number)
{
        uint8_t head[5];
        char text[3] = { 'm', (char)('0' + number), '\0' };

        say(fd, text);
        CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, head, 5), 5);
        CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, got, 1 << 20), 1 << 20);
        CU_ASSERT(!memcmp(got, want + ((size_t)number << 20), 1 << 20));
}

/* A reader of cold ranges that reads on: where memory is scarce nothing stays in the page cache behind it, so that it drives
 * nothing out. What is warm stays, and so does all where there is room. */
static void test_backfill(void)
{
        uint64_t cold;
        int fd;

        start_cold();
        file_read_no_ahead(file_fd);
        fd = dial();
        for (int i = 0; i < 3; i++)
                fetch_megabyte(fd, i);
        CU_ASSERT_EQUAL(stats_now().sends_cold, 0);
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 0, FILE_LEN), 1);
        drop_pages(0, FILE_LEN);
        atomic_store(&plenty, true);
        for (int i = 0; i < 3; i++)
                fetch_megabyte(fd, i);
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 0, FILE_LEN), 1);
        close(fd);
        fd = dial(); /* the other one is in the middle of a cold run */
        drop_pages(0, FILE_LEN);
        atomic_store(&plenty, false);
        cold = stats_now().sends_cold;
        for (int i = 0; i < 3; i++)
                fetch_megabyte(fd, i);
        cold = stats_now().sends_cold - cold;
        CU_ASSERT(cold >= 1);
#ifndef TEST_TLS             /* where nothing but the kernel's reading ahead takes time */
        CU_ASSERT(cold < 3); /* the others were read ahead */
#endif
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 0, 1 << 20), 0);
        CU_ASSERT_EQUAL(file_is_cached(file_fd, 2 << 20, 1 << 20), 1);
        close(fd);
        stop_cold();
}

static void obstacle_run(struct io_job *job)
{
        sem_wait(&obstacle_ends);
}

static void obstacle_done(struct io_job *job)
{
}

/* The pool's only thread is held up: what is cold waits, others are served. */
static void test_disk_is_slow(void)
{
        uint8_t head[5], byte;
        int cold, other;

        start_cold();
        sem_init(&obstacle_ends, 0, 0);
        obstacle = (struct io_job){ .run = obstacle_run, .done = obstacle_done };
        iopool_submit(pool, &obstacle);
        drop_pages(0, FILE_LEN);
        cold = dial();
        other = dial();
        say(cold, "f");
        say(cold, "e2");
        for (int i = 0; i < 10; i++) {
                say(other, "e1");
                expect(other, "e1");
                usleep(5000);
        }
        CU_ASSERT_EQUAL(stats_now().sends_cold, 1);
        CU_ASSERT_EQUAL(hear_bytes(cold, head, 5), 5); /* what lies in memory has left */
        CU_ASSERT(recv(cold, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
        sem_post(&obstacle_ends);
        CU_ASSERT_EQUAL_FATAL(hear_bytes(cold, got, FILE_LEN), FILE_LEN);
        CU_ASSERT(!memcmp(got, want, FILE_LEN));
        expect(cold, "e2");
        close(cold);
        close(other);
        stop_cold();
}

/* Peers go, and the server stops, while the pool is reading for them. */
static void test_gone_meanwhile(void)
{
        struct linger at_once = { .l_onoff = 1 };
        int fds[20];

        start_cold();
        sem_init(&obstacle_ends, 0, 0);
        obstacle = (struct io_job){ .run = obstacle_run, .done = obstacle_done };
        iopool_submit(pool, &obstacle);
        drop_pages(0, FILE_LEN);
        for (int i = 0; i < 20; i++) {
                fds[i] = dial();
                setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
                say(fds[i], "f");
        }
        for (int i = 0; i < 200 && stats_now().sends_cold < 20; i++)
                usleep(10000);
        CU_ASSERT_EQUAL(stats_now().sends_cold, 20);
        for (int i = 0; i < 10; i++)
                close(fds[i]);
        stats_when_open(10);
        sem_post(&obstacle_ends);
        stop_cold();
        for (int i = 10; i < 20; i++)
                close(fds[i]);
#ifdef TEST_TLS
        tunnels_end();
#endif
}

static const struct unit_case cases[] = {
        { "cold is read first, warm is not", test_cold_and_warm },
        { "a hole in the middle is cold", test_hole },
        { "a backfill leaves nothing behind", test_backfill },
        { "a slow disk holds up nobody else", test_disk_is_slow },
        { "peers that go while the disk is asked", test_gone_meanwhile },
};

int main(void)
{
        if (getenv("MESON_EXE_WRAPPER")) {
                puts("skip: an emulated program cannot tell which pages of a file are in memory");
                return 77;
        }
        return unit_run("net/cold", cases, sizeof cases / sizeof cases[0]);
}
