/* Goal: a process that dies right after any durable step (vote, log append, image stored, log truncated) loses nothing that
 * was acknowledged, repeats no producer id, and its log stays short. Folders that do not fit together are refused.
 * Method: a child process does a story and ends itself after the n-th step, for n = 1, 2, ... until it comes to the end;
 * it tells through a pipe what was acknowledged. The folder is then opened twice more, once dying again. */
#include <sys/wait.h>

#include "controller-host.h"
#include "sys/diag.h"
#include "unit.h"

struct told {
        char what; /* 't' topic created, 'd' topic removed, 'i' ids, 'e' the end */
        int64_t n;
};

struct killer {
        atomic_int left;
};

static void step(void *arg, const char *what)
{
        struct killer *k = arg;

        if (atomic_fetch_sub(&k->left, 1) == 1)
                _exit(0);
}

static struct host h;
static char why[512];

static struct quorum_config small(struct killer *k)
{
        return (struct quorum_config){
                .segment_len = 600, .store_after_bytes = 300, .store_after_ms = 20, .step = step, .step_arg = k
        };
}

static void tell(int fd, char what, int64_t n)
{
        struct told t = { .what = what, .n = n };

        assert(write(fd, &t, sizeof t) == sizeof t);
}

/* What the child does; topics round+0 .. */
static void story(int fd, int round, int die_after)
{
        struct killer k = { die_after };
        struct controller_allocate_ids a = { .broker_id = 1 };
        struct controller_request rq = { .op = CONTROLLER_ALLOCATE_IDS, .allocate_ids = &a };

        if (host_open(&h, small(&k), why, sizeof why)) {
                fprintf(stderr, "%s\n", why);
                _exit(3);
        }
        a.broker_epoch = host_add_broker(&h, 1, -1);
        for (int i = 0; i < 6; i++) {
                char name[32];

                snprintf(name, sizeof name, "t-%d", round * 100 + i);
                if (host_create_topic(&h, name, 2) == CONTROLLER_OK)
                        tell(fd, 't', round * 100 + i);
                if (host_ask(&h, &rq) == CONTROLLER_OK && a.result.outcome == CONTROLLER_OK)
                        tell(fd, 'i', a.first);
                if (i % 3 == 2) {
                        struct controller_delete_topic del = { .name = str_of(name) };
                        struct controller_request drq = { .op = CONTROLLER_DELETE_TOPICS, .delete_topics = &del };

                        tell(fd, 'd', round * 100 + i); /* from here on it may or may not be there */
                        host_ask(&h, &drq);
                }
                usleep(3000); /* let the store have its turn */
        }
        host_close(&h);
        tell(fd, 'e', 0);
        _exit(0);
}

struct ledger {
        bool created[1000], maybe_gone[1000];
        int64_t last_id;
        bool ended, ids_ok;
};

static bool run_child(struct ledger *l, int round, int die_after)
{
        struct told t;
        int fds[2], status;
        pid_t pid;

        assert(!pipe(fds));
        pid = fork();
        if (!pid) {
                close(fds[0]);
                story(fds[1], round, die_after);
        }
        close(fds[1]);
        l->ended = false;
        while (read(fds[0], &t, sizeof t) == sizeof t) {
                if (t.what == 't')
                        l->created[t.n] = true;
                else if (t.what == 'd')
                        l->maybe_gone[t.n] = true;
                else if (t.what == 'e')
                        l->ended = true;
                else {
                        l->ids_ok &= t.n > l->last_id;
                        l->last_id = t.n + 999;
                }
        }
        close(fds[0]);
        waitpid(pid, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool nothing_is_lost(const struct ledger *l)
{
        CLEANUP(meta_image_unrefp) struct meta_image *i = NULL;
        struct controller_allocate_ids a = { .broker_id = 1 };
        struct controller_request rq = { .op = CONTROLLER_ALLOCATE_IDS, .allocate_ids = &a };
        struct controller_status status;
        bool ok = true;

        if (host_open(&h, (struct quorum_config){ .segment_len = 600 }, why, sizeof why)) {
                printf("%s ", why);
                host_close(&h);
                return false;
        }
        a.broker_epoch = host_add_broker(&h, 1, -1); /* after that everything is applied */
        ok &= host_ask(&h, &rq) == CONTROLLER_OK && a.first > l->last_id;
        i = controller_image(h.c);
        for (int n = 0; n < 1000; n++) {
                char name[16];
                const struct meta_topic *t;

                snprintf(name, sizeof name, "t-%d", n);
                t = meta_image_topic(i, str_of(name));
                ok &= t ? t->partitions_count == 2 : !l->created[n] || l->maybe_gone[n];
        }
        controller_status(h.c, &status);
        ok &= status.quorum.log_bytes < 16 << 10;
        host_close(&h);
        return ok;
}

static void test_die_after_every_step(void)
{
        diag_set_level(DIAG_WARN);
        for (int n = 1; n < 200; n++) {
                static struct ledger l;
                bool ended;

                l = (struct ledger){ .last_id = -1, .ids_ok = true };
                host_dir(&h, "die");
                CU_ASSERT(run_child(&l, 0, n));
                ended = l.ended;
                CU_ASSERT(run_child(&l, 1, 1 + n % 5)); /* and again while it comes back */
                CU_ASSERT(nothing_is_lost(&l));
                CU_ASSERT(l.ids_ok);
                if (ended) {
                        CU_ASSERT(n > 20);
                        printf("%d steps ", n - 1);
                        file_remove_tree(h.dir);
                        return;
                }
        }
        CU_FAIL("the story never came to its end");
}

static void refused(const char *text)
{
        CU_ASSERT_EQUAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), QUORUM_E_REFUSED);
        if (!strstr(why, text))
                printf("'%s' ", why);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, text));
        host_close(&h);
}

static void used_folder(void)
{
        host_dir(&h, "refused");
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        host_add_broker(&h, 1, -1);
        host_close(&h);
}

static void test_refused_folders(void)
{
        char path[128];

        diag_set_level(DIAG_WARN);
        used_folder();
        snprintf(path, sizeof path, "%s/log", h.dir);
        file_remove_tree(path);
        refused("no metadata log");

        used_folder();
        snprintf(path, sizeof path, "%s/image", h.dir);
        file_remove_tree(path);
        /* The whole log is there still, so nothing is lost. */
        CU_ASSERT_EQUAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        host_close(&h);

        used_folder();
        snprintf(path, sizeof path, "%s/vote", h.dir);
        file_replace(path, span_of("nonsense", 8));
        refused("damaged");
        file_unlink(
                path); /* without a vote but with an image: a log is there, a vote in an old term could be repeated */
        refused("vote");

        used_folder();
        snprintf(path, sizeof path, "%s/image/data.mdb", h.dir);
        file_replace(path, span_of("nonsense", 8));
        refused("image");
        file_remove_tree(h.dir);
}

static void test_other_node(void)
{
        struct quorum *q = NULL;
        struct quorum_events events = { 0 };

        used_folder();
        CU_ASSERT_EQUAL(
                quorum_open(&(struct quorum_config){ .dir = h.dir, .node_id = 2 }, &events, NULL, &q, why, sizeof why),
                QUORUM_E_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "node 1, this is node 2"));
        file_remove_tree(h.dir);
}

static const struct unit_case cases[] = {
        { "dying after every durable step", test_die_after_every_step },
        { "folders that do not fit are refused", test_refused_folders },
        { "the folder of another node", test_other_node },
};
UNIT_MAIN("quorum", cases)
