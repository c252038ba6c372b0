/* Goal: whatever nodes, lanes, sizes and times calls have, and whichever node stops or moves meanwhile, each call ends
 * once, with its own answer or an outcome that fits; nothing is left over. Method: seeded rounds of calls among three
 * hubs, from two threads, with nodes that stop and come back elsewhere, and addresses that are taken away; every second
 * seed with TLS. A failure prints its seed. */
#include "sys/diag.h"
#include "test-peer-world.h"

enum { SEEDS = 16, ROUNDS = 12, CALLS_MAX = 60, NODES = 3, LEN_MAX = 300000 };

struct random_call {
        struct peer_call call;
        struct mail mail; /* to there, to be submitted; or back from it */
        unsigned from;
        bool pending;
        size_t len;
        uint8_t *bytes;
};

static struct random_call calls[CALLS_MAX];
static struct loop *there; /* another thread's */
static uint64_t rng;
static unsigned seed, outcomes[32];

static unsigned rnd(unsigned n)
{
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(rng >> 33) % n;
}

/* @cond is looked at twice. */
#define MUST(cond) \
        do { \
                if (!(cond)) \
                        fprintf(stderr, "seed %u: %s\n", seed, #cond); \
                CU_ASSERT_FATAL(cond); \
        } while (0)

static void check_answer(const struct random_call *rc)
{
        struct span body = rc->call.body;

        switch (rc->bytes[0]) {
        case 'f':
                MUST(body.len == FILE_LEN + 2 && body.data[0] == '<' && body.data[FILE_LEN + 1] == '>');
                break;
        case 't':
                MUST(body.len == 9);
                break;
        case 'i':
                MUST(body.len == strlen("1 test") && body.data[0] == '0' + rc->from);
                break;
        default:
                MUST(body.len == rc->len && !memcmp(body.data, rc->bytes, rc->len));
        }
}

/* On here. */
static void ended(struct random_call *rc)
{
        int r = rc->call.outcome;

        MUST(rc->pending);
        rc->pending = false;
        MUST(r >= 0 && r < (int)ARRAY_LEN(outcomes));
        MUST(r != PEER_E_REFUSED && r != PEER_E_UNSUPPORTED && r != PEER_E_FULL);
        MUST((r == PEER_E_MALFORMED) == (rc->bytes[0] == 'm' && r != PEER_E_LOST && r != PEER_E_TIMEOUT &&
                                         r != PEER_E_UNREACHABLE && r != PEER_E_NO_ADDRESS && r != PEER_E_STOPPED));
        MUST(r != PEER_E_BUSY || rc->bytes[0] == 'b' || rc->bytes[0] == 'T');
        outcomes[r]++;
        if (r == PEER_OK)
                check_answer(rc);
        MUST((r == PEER_OK) == (rc->call.frame != NULL));
        call_fini(&rc->call);
        free(rc->bytes);
        on_done(NULL);
}

static void on_back(struct loop *l, struct mail *m)
{
        ended(container_of(m, struct random_call, mail));
}

static void on_call_done(struct peer_call *call)
{
        struct random_call *rc = container_of(call, struct random_call, call);

        if (loop_current() == here) {
                ended(rc);
                return;
        }
        rc->mail.fn = on_back;
        loop_post(here, &rc->mail);
}

static void on_submit_there(struct loop *l, struct mail *m)
{
        struct random_call *rc = container_of(m, struct random_call, mail);

        peer_call_submit(nodes[rc->from].hub, &rc->call);
}

static void call_random(struct random_call *rc)
{
        static const char kinds[] = "eeeeeelllfttTibm";
        bool mine = rnd(2);

        *rc = (struct random_call){ .from = 1 + rnd(NODES), .pending = true };
        rc->len = 2 + (rnd(6) ? rnd(400) : rnd(LEN_MAX));
        rc->bytes = malloc(rc->len);
        for (size_t i = 0; i < rc->len; i++)
                rc->bytes[i] = (uint8_t)rnd(256);
        rc->bytes[0] = (uint8_t)kinds[rnd(sizeof kinds - 1)];
        rc->bytes[1] %= 60;
        rc->call = (struct peer_call){ .node = (int32_t)(1 + (rc->from + rnd(NODES - 1)) % NODES),
                                       .lane = rnd(PEER_LANES_COUNT),
                                       .key = KEY,
                                       .timeout_ms = rnd(4) ? 5000 : 1 + rnd(60),
                                       .loop = mine ? here : there,
                                       .done = on_call_done };
        CU_ASSERT_EQUAL_FATAL(peer_out_begin(&rc->call.out, rc->len, 0), 0);
        writer_bytes(&rc->call.out.w, rc->bytes, rc->len);
        waiting++;
        if (mine) {
                peer_call_submit(nodes[rc->from].hub, &rc->call);
        } else {
                rc->mail.fn = on_submit_there;
                loop_post(there, &rc->mail);
        }
}

static void node_begin(unsigned at)
{
        struct peer_conf conf = conf_of((int32_t)at);

        conf.reactors_count = 2;
        node_start(at, &conf);
        for (unsigned i = 1; i <= NODES; i++) {
                if (i == at || !nodes[i].hub)
                        continue;
                know(i, (int32_t)at, nodes[at].port);
                know(at, (int32_t)i, nodes[i].port);
        }
}

static void on_stopped(struct loop *l, struct mail *m)
{
        on_done(NULL);
}

static void run_round(void)
{
        struct mail stopped = { .fn = on_stopped };
        unsigned count = 1 + rnd(CALLS_MAX), stop_at = rnd(count), victim = rnd(3) ? 0 : 1 + rnd(NODES);
        unsigned from = 1 + rnd(NODES), of = 1 + (from + rnd(NODES - 1)) % NODES;
        bool forget = !rnd(4);

        for (unsigned i = 0; i < count; i++) {
                call_random(&calls[i]);
                if (i != stop_at)
                        continue;
                if (forget)
                        know(from, (int32_t)of, 0);
                if (rnd(2))
                        usleep(rnd(3000));
                if (victim) {
                        waiting++;
                        peer_hub_stop(nodes[victim].hub, 200, here, &stopped);
                }
        }
        wait_all(); /* nothing hangs: the longest time of a call is five seconds */
        if (victim) {
                nodes[victim].hub = peer_hub_free(nodes[victim].hub);
                node_begin(victim);
        }
        know(from, (int32_t)of, nodes[of].port);
}

static void check_idle(unsigned at)
{
        struct peer_info infos[8];
        unsigned n = peer_hub_list(nodes[at].hub, infos, ARRAY_LEN(infos));

        MUST(n == NODES - 1);
        for (unsigned i = 0; i < n; i++)
                for (unsigned lane = 0; lane < PEER_LANES_COUNT; lane++)
                        MUST(infos[i].links[lane].calls == 0);
}

static void run_seed(void)
{
        rng = seed;
        world_begin();
        CU_ASSERT_EQUAL_FATAL(loop_new("there", &there), 0);
        CU_ASSERT_EQUAL_FATAL(loop_start_thread(there), 0);
        for (unsigned i = 1; i <= NODES; i++)
                node_begin(i);
        for (unsigned i = 0; i < ROUNDS; i++)
                run_round();
        for (unsigned i = 1; i <= NODES; i++)
                check_idle(i);
        loop_stop(there);
        loop_join(there);
        there = loop_free(there);
        world_end();
}

static void test_random(void)
{
        file_fd = memfd_create("piece", MFD_CLOEXEC);
        CU_ASSERT_EQUAL_FATAL(ftruncate(file_fd, FILE_LEN), 0);
        for (seed = 1; seed <= SEEDS; seed++) {
                if (seed % 2)
                        tls_begin();
                run_seed();
                if (seed % 2)
                        tls_end();
        }
        close(file_fd);
        CU_ASSERT(outcomes[PEER_OK] > 1000);
        CU_ASSERT(outcomes[PEER_E_LOST] && outcomes[PEER_E_TIMEOUT] && outcomes[PEER_E_STOPPED]);
        CU_ASSERT(outcomes[PEER_E_NO_ADDRESS] && outcomes[PEER_E_UNREACHABLE]);
}

static const struct unit_case cases[] = {
        { "random calls, nodes that come and go", test_random },
};

int main(void)
{
        diag_set_level(DIAG_ERROR);
        return unit_run("peer random", cases, ARRAY_LEN(cases));
}
