/* Goal: processes that end at any moment lose nothing that the group has acknowledged, over real connections.
 * Method: three processes, each a controller; whoever leads proposes as fast as it can and writes to a pipe what was
 * acknowledged. The parent kills one after the other with SIGKILL and starts it again; some end themselves right after the
 * n-th durable step (log, store, members, snapshot, ...), for any n. One stays away for long, so that it needs a snapshot. In
 * the end each is asked to stop, and tells what its image has. QUORUM_S=N: so many seconds. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "quorum-world.h"
#include "unit.h"

enum { NODES = 3, NAMES_MAX = 400000 };

/* What a child tells. */
struct told {
        int32_t node;
        char what; /* 'a' acknowledged, 'h' has it, 'i' index of the image */
        int64_t n;
};

enum { STEPPED = 77 }; /* exit status of one that ended itself */

static volatile sig_atomic_t ends;
static atomic_int steps_left;

static void step(void *arg, const char *what)
{
        if (atomic_fetch_sub(&steps_left, 1) == 1)
                _exit(STEPPED);
}

static void on_term(int signo)
{
        ends = 1;
}

static void tell(int fd, int32_t node, char what, int64_t n)
{
        struct told t = { .node = node, .what = what, .n = n };

        if (write(fd, &t, sizeof t) != sizeof t)
                _exit(9);
}

static struct quorum_config small(void)
{
        return (struct quorum_config){ .segment_len = 20000,
                                       .store_after_bytes = 20000,
                                       .store_after_ms = 100,
                                       .cache_bytes = 20000,
                                       .election_ms = 300,
                                       .step = step,
                                       .volume_bytes_max = 100000 };
}

/* Names are numbers of the parent's giving: @from on. */
static void child(int32_t id, int fd, int64_t from, int die_after)
{
        struct meta_image *image;
        struct pmap_iter it;
        const struct meta_feature *f;

        signal(SIGTERM, on_term);
        atomic_store(&steps_left, die_after);
        diag_set_level(DIAG_ERROR);
        if (world_open(id, small())) {
                fprintf(stderr, "node %d: %s\n", id, world_nodes[id - 1].why);
                _exit(3);
        }
        while (!ends) {
                char name[32];

                if (!world_role_of(id).is_leader) {
                        world_sleep(5);
                        continue;
                }
                snprintf(name, sizeof name, "%lld", (long long)from);
                if (world_propose(id, name) == QUORUM_OK)
                        tell(fd, id, 'a', from);
                from++;
        }
        image = world_image_of(id);
        pmap_iter_init(&it, &image->features, NULL);
        while ((f = pmap_next(&it)))
                tell(fd, id, 'h', atoll(f->name.p));
        tell(fd, id, 'i', image->index);
        world_close(id);
        _exit(0);
}

static struct {
        int fds[2];
        pid_t pids[NODES];
        int64_t next; /* names: each child gets a range */
        bool acked[NAMES_MAX];
        uint8_t has[NAMES_MAX];
        int64_t acked_count, index[NODES];
} family;

static void spawn(int i, int die_after)
{
        family.next += 5000;
        fflush(NULL);
        family.pids[i] = fork();
        if (family.pids[i])
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody */
        child(i + 1, family.fds[1], family.next, die_after);
}

static void listen_for(int64_t ms)
{
        int64_t end_ms = clock_mono_ms() + ms, left;
        struct told t;

        while ((left = end_ms - clock_mono_ms()) > 0) {
                struct pollfd p = { .fd = family.fds[0], .events = POLLIN };

                if (poll(&p, 1, (int)left) != 1 || read(family.fds[0], &t, sizeof t) != sizeof t)
                        continue;
                if (t.n < 0 || t.n >= NAMES_MAX)
                        continue;
                if (t.what == 'a') {
                        family.acked[t.n] = true;
                        family.acked_count++;
                } else if (t.what == 'h') {
                        family.has[t.n] |= (uint8_t)(1 << t.node);
                } else {
                        family.index[t.node - 1] = t.n;
                }
        }
}

/* Ask all to end, hear what they have, and see that each has ended as it should. One that has much to tell waits for who reads
 * it: it is listened to until it has ended. */
static void end_all(void)
{
        int status, ended = 0;

        for (int i = 0; i < NODES; i++)
                kill(family.pids[i], SIGTERM);
        for (int64_t end_ms = clock_mono_ms() + 60000; ended < NODES && clock_mono_ms() < end_ms;) {
                listen_for(20);
                for (int i = 0; i < NODES; i++) {
                        if (!family.pids[i] || waitpid(family.pids[i], &status, WNOHANG) != family.pids[i])
                                continue;
                        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
                        family.pids[i] = 0;
                        ended++;
                }
        }
        CU_ASSERT_EQUAL_FATAL(ended, NODES);
        listen_for(200);
        CU_ASSERT(family.index[0] && family.index[1] && family.index[2]);
}

static void test_kill(void)
{
        const char *s = getenv("QUORUM_S");
        int64_t end_ms = clock_mono_ms() + (s ? atoll(s) : 10) * 1000, before;
        int kills = 0, stepped = 0, status, lost = 0;

        world_begin("kill", NODES, true);
        CU_ASSERT_EQUAL_FATAL(pipe(family.fds), 0);
        for (int i = 0; i < NODES; i++)
                spawn(i, 0);
        for (int i = 0; i < 300 && !family.acked_count; i++)
                listen_for(100);
        CU_ASSERT_FATAL(family.acked_count > 0);
        while (clock_mono_ms() < end_ms) {
                int i = (int)(random_u64() % NODES);

                listen_for(50 + (int64_t)(random_u64() % 700));
                kill(family.pids[i], SIGKILL);
                waitpid(family.pids[i], &status, 0);
                if (WIFEXITED(status) && WEXITSTATUS(status) == STEPPED)
                        stepped++;
                else
                        CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                kills++;
                listen_for((int64_t)(random_u64() % (kills % 5 ? 300 : 2000)));
                spawn(i, random_u64() % 2 ? 0 : 1 + (int)(random_u64() % (random_u64() % 2 ? 30 : 300)));
        }
        for (int i = 0; i < NODES; i++) { /* those that would end themselves */
                kill(family.pids[i], SIGKILL);
                waitpid(family.pids[i], &status, 0);
                spawn(i, 0);
        }
        /* It is alive still; then all are asked. What comes last is committed by all before they are. */
        before = family.acked_count;
        for (int i = 0; i < 300 && family.acked_count < before + 20; i++)
                listen_for(100);
        CU_ASSERT(family.acked_count >= before + 20);
        /* Followers first: they have what the leader has, up to now. */
        listen_for(500);
        end_all();
        for (int64_t n = 0; n < NAMES_MAX; n++)
                lost += family.acked[n] && !family.has[n]; /* by nobody */
        CU_ASSERT_EQUAL(lost, 0);
        printf("%d ends, %d of them after a step, %lld acknowledged ", kills, stepped, (long long)family.acked_count);
        file_remove_tree(world_dir);
}

/* A voter that needs a snapshot ends after each of the steps by which that takes the place of what it had, one after the other,
 * and comes up again each time. */
static void test_end_while_installing(void)
{
        static typeof(family.acked) older;
        int status, stepped = 0, lost = 0, behind = 0;
        int64_t before;

        memset(&family, 0, sizeof family);
        world_begin("install", NODES, true);
        CU_ASSERT_EQUAL_FATAL(pipe(family.fds), 0);
        for (int i = 0; i < NODES; i++)
                spawn(i, 0);
        for (int i = 0; i < 300 && family.acked_count < 100; i++)
                listen_for(100);
        CU_ASSERT_FATAL(family.acked_count >= 100);
        for (int n = 1; n <= 9; n++) {
                kill(family.pids[2], SIGKILL);
                waitpid(family.pids[2], &status, 0);
                CU_ASSERT(WIFSIGNALED(status) || WEXITSTATUS(status) == STEPPED);
                stepped += n > 1 && WIFEXITED(status);
                before = family.acked_count; /* so many that the others have cut their logs */
                for (int i = 0; i < 600 && family.acked_count < before + 2500; i++)
                        listen_for(50);
                CU_ASSERT(family.acked_count >= before + 2500);
                spawn(2, n);
                listen_for(1000);
        }
        kill(family.pids[2], SIGKILL);
        waitpid(family.pids[2], &status, 0);
        CU_ASSERT(stepped >= 6);
        memcpy(older, family.acked, sizeof older);
        spawn(2, 0);
        listen_for(4000); /* it gets what it lacks */
        end_all();
        for (int64_t n = 0; n < NAMES_MAX; n++) {
                lost += family.acked[n] && !family.has[n];
                behind += older[n] && !(family.has[n] & 1 << 3);
        }
        CU_ASSERT_EQUAL(lost, 0);
        CU_ASSERT_EQUAL(behind, 0); /* how much of what came since the third has, too, is a matter of speed */
        printf("%d ends after a step, %lld acknowledged ", stepped, (long long)family.acked_count);
        file_remove_tree(world_dir);
}

static const struct unit_case cases[] = {
        { "killed at any moment", test_kill },
        { "ended while a snapshot takes over", test_end_while_installing },
};
UNIT_MAIN("quorum-kill", cases)
