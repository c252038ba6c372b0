/* Goal: controllers and an observer work over real connections: they form a group, the observer follows and is fed a snapshot,
 * and nodes of another cluster are told why they are not spoken with. Method: all in one process, plaintext over loopback. */
#include "quorum-world.h"
#include "quorum/observer.h"
#include "unit.h"

static struct {
        char dir[96], why[512];
        struct loop *loop;
        struct iopool *pool;
        struct peer_hub *hub;
        struct observer *o;
        atomic_llong applied;
        atomic_int leader;
} seen;
static struct world_node around; /* for world_ask() on its loop */

static void applied(void *arg, const struct quorum_applied *a)
{
        atomic_store(&seen.applied, a->last_index);
}

static void role(void *arg, const struct quorum_role *r)
{
        atomic_store(&seen.leader, r->leader_id);
}

static void do_start(struct world_ask *a)
{
        observer_start(seen.o, seen.hub);
        world_answer(a);
}

static void do_stop(struct world_ask *a)
{
        observer_stop(seen.o, world_stopped, a);
}

static void do_stop_hub(struct world_ask *a)
{
        struct world_hub_stop *s = a->arg;

        s->a = a;
        s->mail.fn = world_hub_stopped;
        peer_hub_stop(seen.hub, 1000, seen.loop, &s->mail);
}

static void do_stats(struct world_ask *a)
{
        observer_stats(seen.o, a->arg);
        world_answer(a);
}

static void open_observer(const char *cluster_id)
{
        static const struct quorum_events events = { .applied = applied, .role = role };
        struct observer_config cfg = { .dir = seen.dir,
                                       .node_id = 50,
                                       .controllers = world_list,
                                       .controllers_count = world_list_count,
                                       .cluster_id = str_of(cluster_id) };

        snprintf(seen.dir, sizeof seen.dir, "%s/observer", world_dir);
        CU_ASSERT_EQUAL_FATAL(loop_new("observer", &seen.loop), 0);
        CU_ASSERT_EQUAL_FATAL(iopool_new(1, &seen.pool), 0);
        cfg.loop = around.loop = seen.loop;
        cfg.pool = seen.pool;
        CU_ASSERT_EQUAL_FATAL(observer_open(&cfg, &events, NULL, &seen.o, seen.why, sizeof seen.why), 0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_new(&(struct peer_conf){ .node = 50,
                                                                .directory = observer_directory(seen.o),
                                                                .program = "test",
                                                                .pool = seen.pool,
                                                                .back_off_ms_max = 200 },
                                           &seen.hub),
                              0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_start(seen.hub, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(loop_start_thread(seen.loop), 0);
        world_ask(&around, do_start, NULL);
}

static void close_observer(void)
{
        struct world_hub_stop s;

        world_ask(&around, do_stop, NULL);
        world_ask(&around, do_stop_hub, &s);
        loop_stop(seen.loop);
        loop_join(seen.loop);
        seen.o = observer_close(seen.o);
        seen.pool = iopool_free(seen.pool);
        seen.loop = loop_free(seen.loop);
        seen.hub = peer_hub_free(seen.hub);
}

static bool follows(int64_t index)
{
        for (int i = 0; i < 1000 && atomic_load(&seen.applied) < index; i++)
                world_sleep(5);
        return atomic_load(&seen.applied) >= index;
}

static void do_found_cluster(struct world_ask *a)
{
        struct world_proposal *w = a->arg;
        struct meta_batch batch = { 0 };
        struct meta_record rec;

        meta_record_init(&rec, META_CLUSTER);
        rec.cluster.cluster_id = STR_LIT("the-one");
        assert(!meta_batch_add(&batch, &rec));
        w->a = a;
        w->p = (struct quorum_proposal){ .term = quorum_role(a->n->q).term, .done = world_proposal_done };
        assert(!quorum_propose(a->n->q, &w->p, &batch));
}

static void test_over_connections(void)
{
        struct quorum_config small = { .segment_len = 2000,
                                       .store_after_bytes = 1000,
                                       .store_after_ms = 20,
                                       .cache_bytes = 2000,
                                       .volume_bytes_max = 8000 };
        struct world_proposal founding = { .result = -1 };
        struct observer_stats stats;
        char name[200];
        int32_t leader;

        diag_set_level(DIAG_ERROR);
        world_begin("peers", 3, true);
        for (int i = 1; i <= 3; i++)
                CU_ASSERT_EQUAL_FATAL(world_open(i, small), 0);
        leader = world_voters(3, 15000);
        CU_ASSERT_FATAL(leader > 0);
        open_observer(NULL);
        world_ask(&world_nodes[leader - 1], do_found_cluster, &founding);
        CU_ASSERT_EQUAL(founding.result, QUORUM_OK);
        CU_ASSERT(follows(world_applied_of(leader)));
        CU_ASSERT_EQUAL(atomic_load(&seen.leader), leader);
        close_observer();
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof name, "s%0150d", i);
                CU_ASSERT_EQUAL(world_propose(leader, name), QUORUM_OK);
        }
        open_observer("the-one");
        CU_ASSERT(follows(world_applied_of(leader)));
        world_ask(&around, do_stats, &stats);
        CU_ASSERT_EQUAL(stats.snapshots, 1);
        CU_ASSERT_EQUAL(stats.trouble[0], 0);
        close_observer();
        /* One that belongs elsewhere is told so. */
        file_remove_tree(seen.dir);
        atomic_store(&seen.applied, 0);
        open_observer("another");
        for (int i = 0; i < 600; i++) {
                world_ask(&around, do_stats, &stats);
                if (strstr(stats.trouble, "the-one"))
                        break;
                world_sleep(5);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(stats.trouble, "the-one"));
        CU_ASSERT_PTR_NOT_NULL(strstr(stats.trouble, "another"));
        CU_ASSERT_EQUAL(atomic_load(&seen.applied), 0);
        close_observer();
        world_end();
}

static const struct unit_case cases[] = { { "over connections", test_over_connections } };
UNIT_MAIN("quorum-peers", cases)
