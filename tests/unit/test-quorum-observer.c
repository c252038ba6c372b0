/* Goal: a node without a vote follows the committed log, goes on where it was after a restart, gets a snapshot when the log
 * does not reach back, is refused when its store is of another history, and costs little while nothing happens. Method:
 * observers that share a loop, and a group of quorums, over a network in memory; 200 observers are counted and timed. */
#include <sys/resource.h>

#include "quorum-net.h"
#include "quorum-world.h"
#include "quorum/observer.h"
#include "unit.h"

enum { FOLLOWERS = 200, FIRST_ID = 100 };

struct follower {
        char dir[96];
        struct observer *o;
        struct peer_hub *hub;
        atomic_llong applied;
        atomic_int leader;
        atomic_int refused;
        struct meta_image *image; /* under @lock */
        pthread_mutex_t lock;
        char why[512];
        bool out_of_order;
};

static struct follower followers[FOLLOWERS];
static struct loop *loop;
static struct iopool *pool;
static struct world_node around; /* for world_ask() on the followers' loop */

static void applied(void *arg, const struct quorum_applied *a)
{
        struct follower *f = arg;

        pthread_mutex_lock(&f->lock);
        f->out_of_order |= a->last_index <= f->applied || a->before->index != f->applied;
        meta_image_unref(f->image);
        f->image = meta_image_ref(a->after);
        pthread_mutex_unlock(&f->lock);
        atomic_store(&f->applied, a->last_index);
}

static void role(void *arg, const struct quorum_role *r)
{
        struct follower *f = arg;

        atomic_store(&f->leader, r->leader_id);
}

static void refused(void *arg, const char *why)
{
        struct follower *f = arg;

        snprintf(f->why, sizeof f->why, "%s", why);
        atomic_store(&f->refused, 1);
}

static void begin(const char *name, size_t controllers, struct quorum_config cfg)
{
        diag_set_level(DIAG_ERROR);
        net_begin();
        world_begin(name, controllers, false);
        for (size_t i = 1; i <= controllers; i++)
                CU_ASSERT_EQUAL_FATAL(world_open((int32_t)i, cfg), 0);
        CU_ASSERT_FATAL(world_voters((uint32_t)controllers, 10000) > 0);
        assert(!loop_new("followers", &loop));
        assert(!iopool_new(2, &pool));
        assert(!loop_start_thread(loop));
        around.loop = loop;
}

static void do_start(struct world_ask *a)
{
        struct follower *f = a->arg;

        observer_start(f->o, f->hub);
        world_answer(a);
}

static int open_one(int i, const char *cluster_id)
{
        static const struct quorum_events events = { .applied = applied, .role = role };
        struct follower *f = &followers[i];
        struct observer_config cfg = { .dir = f->dir,
                                       .node_id = FIRST_ID + i,
                                       .loop = loop,
                                       .pool = pool,
                                       .controllers = world_list,
                                       .controllers_count = world_list_count,
                                       .cluster_id = str_of(cluster_id),
                                       .refused = refused };
        int r;

        memset(f, 0, sizeof *f);
        pthread_mutex_init(&f->lock, NULL);
        snprintf(f->dir, sizeof f->dir, "%s/o%d", world_dir, i);
        r = observer_open(&cfg, &events, f, &f->o, f->why, sizeof f->why);
        if (r)
                return r;
        f->image = observer_image(f->o);
        atomic_store(&f->applied, f->image->index);
        atomic_store(&f->leader, -1);
        assert(!peer_hub_new(&(struct peer_conf){ .node = FIRST_ID + i, .directory = observer_directory(f->o) },
                             &f->hub));
        assert(!peer_hub_start(f->hub, NULL));
        world_ask(&around, do_start, f);
        return 0;
}

static void do_stop(struct world_ask *a)
{
        struct follower *f = a->arg;

        observer_stop(f->o, world_stopped, a);
}

static void do_stop_hub(struct world_ask *a)
{
        struct {
                struct world_hub_stop s;
                struct follower *f;
        } *s = a->arg;

        s->s.a = a;
        s->s.mail.fn = world_hub_stopped;
        peer_hub_stop(s->f->hub, 1000, loop, &s->s.mail);
}

static void do_nothing(struct world_ask *a)
{
        world_answer(a);
}

static void close_one(int i)
{
        struct follower *f = &followers[i];
        struct {
                struct world_hub_stop s;
                struct follower *f;
        } s = { .f = f };

        if (!f->o)
                return;
        CU_ASSERT(!f->out_of_order);
        world_ask(&around, do_stop, f);
        world_ask(&around, do_stop_hub, &s);
        world_ask(&around, do_nothing, NULL);
        f->o = observer_close(f->o);
        f->hub = peer_hub_free(f->hub);
        f->image = meta_image_unref(f->image);
}

static void end(void)
{
        for (int i = 0; i < FOLLOWERS; i++)
                close_one(i);
        loop_stop(loop);
        loop_join(loop);
        pool = iopool_free(pool);
        loop = loop_free(loop);
        for (int i = 0; i < WORLD_NODES; i++) {
                world_close(i + 1);
                CU_ASSERT(!world_nodes[i].gone);
        }
        world_end();
        net_end();
        memset(followers, 0, sizeof followers);
}

static void do_stats(struct world_ask *a)
{
        observer_stats(followers[0].o, a->arg);
        observer_stats(followers[1].o, (struct observer_stats *)a->arg + 1);
        world_answer(a);
}

static bool reaches(int i, int64_t index, int64_t wait_ms)
{
        int64_t end_ms = clock_mono_ms() + wait_ms;

        while (atomic_load(&followers[i].applied) < index) {
                if (clock_mono_ms() > end_ms)
                        return false;
                world_sleep(2);
        }
        return true;
}

static bool has(int i, const char *name)
{
        struct follower *f = &followers[i];
        bool there;

        pthread_mutex_lock(&f->lock);
        there = meta_image_feature_level(f->image, str_of(name)) == 1;
        pthread_mutex_unlock(&f->lock);
        return there;
}

static bool becomes(atomic_int *what, int value, int64_t wait_ms)
{
        int64_t end_ms = clock_mono_ms() + wait_ms;

        while (atomic_load(what) != value) {
                if (clock_mono_ms() > end_ms)
                        return false;
                world_sleep(2);
        }
        return true;
}

static void test_follows(void)
{
        int32_t leader, next;
        const struct quorum_description *d;

        begin("follow", 3, (struct quorum_config){ 0 });
        leader = world_leader(1000);
        CU_ASSERT_EQUAL(world_propose(leader, "one"), QUORUM_OK);
        CU_ASSERT_EQUAL_FATAL(open_one(0, NULL), 0);
        CU_ASSERT(reaches(0, world_applied_of(leader), 3000));
        CU_ASSERT(has(0, "one"));
        CU_ASSERT(becomes(&followers[0].leader, leader, 3000));
        CU_ASSERT_EQUAL(world_propose(leader, "two"), QUORUM_OK);
        CU_ASSERT(reaches(0, world_applied_of(leader), 500)); /* it was waiting for it */
        CU_ASSERT(has(0, "two"));
        /* The leader goes: it follows on, and knows the next one. */
        world_close(leader);
        next = world_leader(5000);
        CU_ASSERT_FATAL(next > 0);
        CU_ASSERT_EQUAL(world_propose(next, "three"), QUORUM_OK);
        CU_ASSERT(reaches(0, world_applied_of(next), 5000));
        CU_ASSERT(becomes(&followers[0].leader, next, 5000));
        /* It comes again with what it had. */
        close_one(0);
        CU_ASSERT_EQUAL_FATAL(open_one(0, NULL), 0);
        CU_ASSERT(has(0, "three"));
        CU_ASSERT_EQUAL(world_propose(next, "four"), QUORUM_OK);
        CU_ASSERT(reaches(0, world_applied_of(next), 5000));
        CU_ASSERT(has(0, "four"));
        /* The leader knows it, whomever it asks. */
        for (int i = 0; i < 700; i++) {
                d = world_describe(next);
                if (d->observers_count == 1 && d->observers[0].log_end == world_applied_of(next) + 1)
                        break;
                world_sleep(10);
        }
        CU_ASSERT_EQUAL_FATAL(d->observers_count, 1);
        CU_ASSERT_EQUAL(d->observers[0].node, FIRST_ID);
        CU_ASSERT_EQUAL(d->observers[0].log_end, world_applied_of(next) + 1);
        CU_ASSERT(uuid_equal(d->observers[0].directory, observer_directory(followers[0].o)));
        end();
}

/* When the leader ends, observers hear of the next one without waiting for an entry: brokers' heartbeats go there. */
static void test_next_leader(void)
{
        enum { COUNT = 20 };
        int32_t leader, next;

        begin("next-leader", 3, (struct quorum_config){ 0 });
        for (int i = 0; i < COUNT; i++)
                CU_ASSERT_EQUAL_FATAL(open_one(i, NULL), 0);
        leader = world_leader(1000);
        for (int i = 0; i < COUNT; i++)
                CU_ASSERT(becomes(&followers[i].leader, leader, 5000));
        world_close(leader);
        next = world_leader(5000);
        CU_ASSERT_FATAL(next > 0);
        for (int i = 0; i < COUNT; i++)
                CU_ASSERT(becomes(&followers[i].leader, next, 2000)); /* a long poll takes 5 s */
        end();
}

static void test_catches_up_by_snapshot(void)
{
        struct quorum_config small = { .segment_len = 2000,
                                       .store_after_bytes = 1000,
                                       .store_after_ms = 20,
                                       .cache_bytes = 2000,
                                       .volume_bytes_max = 8000 };
        char name[200];
        struct observer_stats stats[2];

        begin("observer-snapshot", 1, small);
        CU_ASSERT_EQUAL_FATAL(open_one(0, NULL), 0);
        CU_ASSERT_EQUAL(world_propose(1, "early"), QUORUM_OK);
        CU_ASSERT(reaches(0, world_applied_of(1), 3000));
        close_one(0);
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof name, "s%0150d", i);
                CU_ASSERT_EQUAL(world_propose(1, name), QUORUM_OK);
        }
        CU_ASSERT_EQUAL_FATAL(open_one(0, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(open_one(1, NULL), 0); /* a new one */
        for (int i = 0; i < 2; i++) {
                CU_ASSERT(reaches(i, world_applied_of(1), 10000));
                CU_ASSERT(has(i, name) && has(i, "early"));
        }
        world_ask(&around, do_stats, stats);
        CU_ASSERT(stats[0].snapshots == 1 && stats[1].snapshots == 1);
        CU_ASSERT_EQUAL(world_propose(1, "late"), QUORUM_OK);
        CU_ASSERT(reaches(1, world_applied_of(1), 3000));
        close_one(1);
        CU_ASSERT_EQUAL_FATAL(open_one(1, NULL), 0);
        CU_ASSERT(has(1, "late"));
        end();
}

static void test_refused(void)
{
        char copy[100], from[100], command[512];

        begin("observer-refused", 1, (struct quorum_config){ 0 });
        CU_ASSERT_EQUAL(world_propose(1, "one"), QUORUM_OK);
        world_close(1);
        snprintf(copy, sizeof copy, "%s/copy", world_dir);
        snprintf(from, sizeof from, "%s/1", world_dir);
        snprintf(command, sizeof command, "cp -r %s %s", from, copy);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        CU_ASSERT_EQUAL_FATAL(world_open(1, (struct quorum_config){ 0 }), 0);
        CU_ASSERT_EQUAL(world_leader(5000), 1);
        for (int i = 0; i < 20; i++)
                CU_ASSERT_EQUAL(world_propose(1, i % 2 ? "odd" : "even"), QUORUM_OK);
        CU_ASSERT_EQUAL_FATAL(open_one(0, NULL), 0);
        CU_ASSERT(reaches(0, world_applied_of(1), 3000));
        /* The controllers are set back to a copy: what the observer has was never committed, as they see it. */
        world_close(1);
        snprintf(command, sizeof command, "rm -r %s && mv %s %s", from, copy, from);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        CU_ASSERT_EQUAL_FATAL(world_open(1, (struct quorum_config){ 0 }), 0);
        CU_ASSERT_EQUAL(world_leader(5000), 1);
        CU_ASSERT(becomes(&followers[0].refused, 1, 5000));
        CU_ASSERT_PTR_NOT_NULL(strstr(followers[0].why, "set back"));
        close_one(0);
        /* And when they have gone on since, the terms differ (unless by chance they do not, and nobody can tell). */
        world_close(1);
        CU_ASSERT_EQUAL_FATAL(world_open(1, (struct quorum_config){ 0 }), 0);
        CU_ASSERT_EQUAL(world_leader(5000), 1);
        for (int i = 0; i < 30; i++)
                CU_ASSERT_EQUAL(world_propose(1, "again"), QUORUM_OK);
        CU_ASSERT_EQUAL_FATAL(open_one(0, NULL), 0);
        CU_ASSERT(becomes(&followers[0].refused, 1, 5000));
        CU_ASSERT_PTR_NOT_NULL(strstr(followers[0].why, "another history"));
        close_one(0);
        /* A controller's folder is none for an observer. */
        world_close(1);
        snprintf(command, sizeof command, "rm -r %s/o0 && mv %s %s/o0", world_dir, from, world_dir);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        CU_ASSERT_EQUAL(open_one(0, NULL), QUORUM_E_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(followers[0].why, "controller's"));
        end();
}

static int64_t cpu_ms(void)
{
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
               (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void test_two_hundred(void)
{
        int64_t cpu, start_ms, took_ms;
        uint64_t requests;

        begin("two-hundred", 3, (struct quorum_config){ 0 });
        for (int i = 0; i < FOLLOWERS; i++)
                CU_ASSERT_EQUAL_FATAL(open_one(i, NULL), 0);
        for (int i = 0; i < FOLLOWERS; i++)
                CU_ASSERT(reaches(i, world_applied_of(world_leader(1000)), 10000));
        world_sleep(500);
        cpu = cpu_ms();
        requests = net_requests();
        world_sleep(5000);
        cpu = cpu_ms() - cpu;
        requests = net_requests() - requests;
        /* 40 long polls a second, and what three controllers say to each other. */
        printf("idle: %.1f %% of a core for all, %.0f requests/s; ", (double)cpu / 50, (double)requests / 5);
        CU_ASSERT(requests / 5 < 150);
        cpu = cpu_ms();
        start_ms = clock_mono_ms();
        for (int n = 0; n < 20; n++)
                CU_ASSERT_EQUAL(world_propose(world_leader(1000), n % 2 ? "odd" : "even"), QUORUM_OK);
        for (int i = 0; i < FOLLOWERS; i++)
                CU_ASSERT(reaches(i, world_applied_of(world_leader(1000)), 10000));
        took_ms = clock_mono_ms() - start_ms;
        printf("20 entries to 200 observers: %lld ms, %lld ms of CPU ", (long long)took_ms,
               (long long)(cpu_ms() - cpu));
        end();
}

static const struct unit_case cases[] = {
        { "follows, restarts, is known", test_follows },
        { "the next leader", test_next_leader },
        { "a snapshot when the log is cut", test_catches_up_by_snapshot },
        { "stores that are refused", test_refused },
        { "two hundred of them", test_two_hundred },
};
UNIT_MAIN("quorum-observer", cases)
