/* Goal: however a stream of frames is cut, and whatever the peers do beside it, the answers are those of the whole
 * frames, in order, and nothing is left behind. Method: seeded peers against a real server under memory pressure, each
 * with a stream of random frames that ends well, in the middle of a frame, with a length that lies or at once; written
 * and read in random pieces. A failure prints its seed. */
#include "test-net-world.h"

enum { SEEDS = 60, PEERS = 10, FRAMES_MAX = 40, STREAM_MAX = 1 << 20, LIMIT_MS = 20000 };

enum ending { HALF_CLOSE, CUT, LYING_LENGTH, GONE_AT_ONCE, ENDINGS_COUNT };

struct peer {
        int fd;
        enum ending ending;
        uint8_t *stream, *answers; /* to be sent; to be received */
        size_t stream_len, sent, answers_len, received;
        bool shut;
};

static struct peer peers[PEERS];
static uint64_t rng;
static unsigned seed;

static unsigned rnd(unsigned n)
{
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(rng >> 33) % n;
}

#define MUST(cond) \
        do { \
                if (!(cond)) \
                        fprintf(stderr, "seed %u: %s\n", seed, #cond); \
                CU_ASSERT_FATAL(cond); \
        } while (0)

static void add_frame(struct peer *p)
{
        static const char kinds[] = "eepppppppppOOOnkKKK"; /* n: nothing; all others: the frame itself */
        size_t len = 1 + (rnd(8) ? rnd(600) : rnd(30000));
        uint8_t *at = p->stream + p->stream_len;

        store_be32(at, (uint32_t)len);
        for (size_t i = 0; i < len; i++)
                at[4 + i] = (uint8_t)rnd(256);
        at[4] = (uint8_t)kinds[rnd(sizeof kinds - 1)];
        p->stream_len += 4 + len;
        if (at[4] == 'n')
                return;
        memcpy(p->answers + p->answers_len, at, 4 + len);
        p->answers_len += 4 + len;
}

static void add_ending(struct peer *p)
{
        static const uint32_t lies[] = { 0, 0xffffffff, 0x80000000, 100001, 0x7fffffff, 0x47455420 };
        uint8_t *at = p->stream + p->stream_len;
        size_t len;

        p->ending = rnd(ENDINGS_COUNT);
        if (p->ending == CUT) {
                len = 1 + rnd(5000);
                store_be32(at, (uint32_t)len);
                memset(at + 4, 'e', len);
                p->stream_len += rnd((unsigned)len + 4);
        } else if (p->ending == LYING_LENGTH) {
                store_be32(at, lies[rnd(ARRAY_LEN(lies))]);
                p->stream_len += 4;
        }
}

static void peer_start(struct peer *p)
{
        unsigned frames = rnd(FRAMES_MAX);

        *p = (struct peer){ .stream = malloc(STREAM_MAX), .answers = malloc(STREAM_MAX) };
        for (unsigned i = 0; i < frames && p->stream_len < STREAM_MAX / 2; i++)
                add_frame(p);
        add_ending(p);
        p->fd = dial();
}

static void peer_end(struct peer *p)
{
        close(p->fd);
        p->fd = -1;
        free(p->stream);
        free(p->answers);
}

static void peer_send(struct peer *p)
{
        static const unsigned pieces[] = { 1, 5, 700, 70000 };
        size_t len = 1 + rnd(pieces[rnd(ARRAY_LEN(pieces))]);
        ssize_t n;

        if (p->sent < p->stream_len) {
                n = send(p->fd, p->stream + p->sent, MIN2(len, p->stream_len - p->sent), MSG_DONTWAIT | MSG_NOSIGNAL);
                MUST(n > 0 || errno == EAGAIN);
                p->sent += (size_t)MAX2(n, 0);
        } else if (!p->shut && p->ending != LYING_LENGTH) {
                shutdown(p->fd, SHUT_WR);
                p->shut = true;
        }
}

/* Return: false once the server has closed. */
static bool peer_receive(struct peer *p)
{
        static uint8_t buf[100000];
        ssize_t n = recv(p->fd, buf, 1 + rnd(sizeof buf - 1), MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
                return true;
        MUST(n >= 0);
        MUST((size_t)n <= p->answers_len - p->received);
        MUST(!memcmp(buf, p->answers + p->received, (size_t)n));
        p->received += (size_t)n;
        return n > 0;
}

/* A step of one peer. Return: false when it is done. */
static bool peer_step(struct peer *p)
{
        if (p->ending == GONE_AT_ONCE && p->sent >= p->stream_len / 2)
                return false; /* with answers that it never reads */
        if (rnd(3))
                peer_send(p);
        if (rnd(4) || p->ending == GONE_AT_ONCE || peer_receive(p))
                return true;
        MUST(p->sent == p->stream_len);
        MUST(p->received == p->answers_len);
        return false;
}

static void run_seed(void)
{
        int64_t from_ms = clock_mono_ms();
        unsigned open = PEERS;

        for (int i = 0; i < PEERS; i++)
                peer_start(&peers[i]);
        while (open) {
                struct peer *p = &peers[rnd(PEERS)];

                MUST(clock_mono_ms() - from_ms < LIMIT_MS);
                if (p->fd < 0 || peer_step(p)) {
                        if (!rnd(200))
                                usleep(1000);
                        continue;
                }
                peer_end(p);
                open--;
        }
}

static void test_random_streams(void)
{
        struct net_config cfg = config();
        struct net_stats stats;

        cfg.connections_max = cfg.connections_per_ip_max =
                3 * PEERS; /* those of the seed before may not be counted out */
        cfg.memory_max = 60000;
        cfg.idle_ms_max = cfg.stall_ms_max = cfg.hurry_ms_max = 2 * LIMIT_MS;
        start_with(cfg);
        for (seed = 1; seed <= SEEDS; seed++) {
                rng = seed;
                run_seed();
        }
        stats = stats_when_open(0);
        CU_ASSERT_EQUAL(stats.connections_open, 0);
        CU_ASSERT(stats.waits_memory > 0 && stats.closed_bad_frame > 0);
        CU_ASSERT_EQUAL(stats.closed_stalled, 0);
        stop();
        CU_ASSERT_EQUAL(atomic_load(&releases), atomic_load(&echoes));
}

static const struct unit_case cases[] = {
        { "random streams, cut at random", test_random_streams },
};
UNIT_MAIN("net/random", cases)
