/* Goal: the host loads, writes, holds answers and undoes what was not written. Method: real loops, pool and log; the
 * partition is a double whose high watermark the test moves. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "coord/coord.h"
#include "coord/groups.h"
#include "plog-fixture.h"
#include "sys/clock.h"

/* ---- the double ---- */

struct partition {
        struct plog *log;
        pthread_mutex_t lock;
        unsigned refs;
        int64_t hw;
        bool stalled;     /* the high watermark stays */
        bool unsure;      /* its lease is over */
        int append_fails; /* outcome of appends */
        int32_t epoch;    /* of its leader */
        struct ilist waits;
};

static void tell(struct partition_wait *w, int outcome)
{
        ilist_unlink(&w->link);
        w->outcome = outcome;
        w->state = 2;
        loop_post(w->loop, &w->mail);
}

static void move_hw(struct partition *p)
{
        struct plog_ends e;

        plog_ends(p->log, &e);
        if (!p->stalled)
                p->hw = e.end_offset;
        ilist_for_each (w, &p->waits, struct partition_wait, link)
                if (w->offset <= p->hw)
                        tell(w, 0);
}

struct partition *partition_ref(struct partition *p)
{
        __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
        return p;
}

struct partition *partition_unref(struct partition *p)
{
        __atomic_sub_fetch(&p->refs, 1, __ATOMIC_RELAXED);
        return NULL;
}

const char *partition_topic_name(const struct partition *p)
{
        return "__consumer_offsets";
}

struct plog *partition_log(struct partition *p)
{
        return p->log;
}

void partition_view(struct partition *p, struct partition_view *ret)
{
        pthread_mutex_lock(&p->lock);
        *ret = (struct partition_view){ .high_watermark = p->hw, .leader_epoch = p->epoch };
        pthread_mutex_unlock(&p->lock);
}

bool partition_leads_surely(struct partition *p)
{
        bool surely;

        pthread_mutex_lock(&p->lock);
        surely = !p->unsure;
        pthread_mutex_unlock(&p->lock);
        return surely;
}

int partition_append_in(struct partition *p, int32_t leader_epoch, struct plog_append_args *args, bool need_min_isr,
                        struct plog_append_result *ret)
{
        int r;

        pthread_mutex_lock(&p->lock);
        CU_ASSERT(need_min_isr);
        r = leader_epoch != p->epoch ? PARTITION_E_NOT_LEADER
            : p->append_fails        ? p->append_fails
                                     : plog_append(p->log, args, ret);
        move_hw(p);
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_append_marker_in(struct partition *p, int32_t leader_epoch, struct plog_marker_args *args,
                               struct plog_append_result *ret)
{
        int r;

        pthread_mutex_lock(&p->lock);
        args->leader_epoch = p->epoch;
        r = leader_epoch != p->epoch ? PARTITION_E_NOT_LEADER : plog_append_marker(p->log, args, ret);
        move_hw(p);
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_txn_check(struct partition *p, int64_t producer_id, int16_t producer_epoch,
                        const struct partition_txn_guard *guard)
{
        return plog_txn_check(p->log, producer_id, producer_epoch, guard->marker_offset);
}

void partition_wait(struct partition *p, struct partition_wait *w, enum partition_wait_kind kind, int64_t offset,
                    struct loop *loop)
{
        pthread_mutex_lock(&p->lock);
        CU_ASSERT_EQUAL(kind, PARTITION_WAIT_ACK);
        w->offset = offset;
        w->loop = loop;
        w->partition = p;
        w->state = 1;
        ilist_push_back(&p->waits, &w->link);
        move_hw(p);
        pthread_mutex_unlock(&p->lock);
}

bool partition_unwait(struct partition_wait *w)
{
        struct partition *p = w->partition;
        bool waits;

        pthread_mutex_lock(&p->lock);
        waits = w->state == 1;
        if (waits)
                ilist_unlink(&w->link);
        w->state = 2;
        pthread_mutex_unlock(&p->lock);
        return waits;
}

static void set_stalled(struct partition *p, bool stalled)
{
        pthread_mutex_lock(&p->lock);
        p->stalled = stalled;
        move_hw(p);
        pthread_mutex_unlock(&p->lock);
}

/* All but the last @count records are replicated. Stalled. */
static void replicate_but(struct partition *p, int64_t count)
{
        struct plog_ends e;

        pthread_mutex_lock(&p->lock);
        plog_ends(p->log, &e);
        p->hw = e.end_offset - count;
        move_hw(p);
        pthread_mutex_unlock(&p->lock);
}

static void set_append_fails(struct partition *p, int outcome)
{
        pthread_mutex_lock(&p->lock);
        p->append_fails = outcome;
        pthread_mutex_unlock(&p->lock);
}

static void end_waits(struct partition *p, int outcome)
{
        pthread_mutex_lock(&p->lock);
        ilist_for_each (w, &p->waits, struct partition_wait, link)
                tell(w, outcome);
        pthread_mutex_unlock(&p->lock);
}

/* ---- the node ---- */

enum { LOOPS = 2, PARTITIONS = 3 };

struct node {
        struct fixture f;
        struct loop *loops[LOOPS];
        struct coord *coord;
        struct groups_conf conf;
        struct partition partitions[PARTITIONS];
};

static void open_all(struct node *n)
{
        coord_set_partitions(n->coord, PARTITIONS);
        for (int i = 0; i < PARTITIONS; i++)
                CU_ASSERT_EQUAL(coord_partition_open(n->coord, i, &n->partitions[i]), 0);
}

static struct uuid new_uuid(void *arg)
{
        return random_uuid();
}

static void node_init(struct node *n, int64_t commit_timeout_ms)
{
        struct coord_config cfg = { .commit_timeout_ms = commit_timeout_ms,
                                    .ops = &groups_ops,
                                    .machine_arg = &n->conf };
        char name[32];

        memset(n, 0, sizeof *n);
        fixture_init(&n->f);
        for (int i = 0; i < LOOPS; i++) {
                CU_ASSERT_EQUAL_FATAL(loop_new("test", &n->loops[i]), 0);
                CU_ASSERT_EQUAL_FATAL(loop_start_thread(n->loops[i]), 0);
        }
        for (int i = 0; i < PARTITIONS; i++) {
                snprintf(name, sizeof name, "__consumer_offsets-%d", i);
                n->partitions[i] = (struct partition){ .log = fixture_open(&n->f, name), .refs = 1 };
                pthread_mutex_init(&n->partitions[i].lock, NULL);
                ilist_init(&n->partitions[i].waits);
        }
        groups_conf_init(&n->conf);
        n->conf.new_uuid = new_uuid;
        n->conf.initial_rebalance_delay_ms = 10;
        cfg.loops = n->loops;
        cfg.loops_count = LOOPS;
        cfg.pool = n->f.pool;
        CU_ASSERT_EQUAL_FATAL(coord_new(&cfg, &n->coord), 0);
        open_all(n);
}

static void on_stopped(void *arg)
{
        sem_post(arg);
}

static void node_stop(struct node *n)
{
        sem_t done;

        sem_init(&done, 0, 0);
        coord_stop(n->coord, n->loops[0], on_stopped, &done);
        sem_wait(&done);
        sem_destroy(&done);
}

/* After node_stop(). */
static void node_end(struct node *n)
{
        for (int i = 0; i < LOOPS; i++) {
                loop_stop(n->loops[i]);
                loop_join(n->loops[i]);
        }
        coord_free(n->coord);
        for (int i = 0; i < LOOPS; i++)
                loop_free(n->loops[i]);
        for (int i = 0; i < PARTITIONS; i++) {
                CU_ASSERT_EQUAL(n->partitions[i].refs, 1);
                plog_close(n->partitions[i].log);
        }
        fixture_fini(&n->f);
}

static void node_fini(struct node *n)
{
        node_stop(n);
        node_end(n);
}

/* ---- asking ---- */

/* A request with its own semaphore, found by the address of the request. */
struct call {
        struct coord_request *rq;
        sem_t answered;
        bool quick; /* it was answered on the thread that asked */
        struct call *next;
};

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;
static struct call *calls;

static void answered(struct coord_request *rq)
{
        pthread_mutex_lock(&calls_lock);
        for (struct call *c = calls; c; c = c->next)
                if (c->rq == rq)
                        sem_post(&c->answered);
        pthread_mutex_unlock(&calls_lock);
}

static void start(struct node *n, struct call *c, struct coord_request *rq)
{
        c->rq = rq;
        sem_init(&c->answered, 0, 0);
        pthread_mutex_lock(&calls_lock);
        c->next = calls;
        calls = c;
        pthread_mutex_unlock(&calls_lock);
        rq->reply_loop = n->loops[1];
        rq->done = answered;
        c->quick = coord_submit(n->coord, rq);
}

static bool is_answered(struct call *c, int within_ms)
{
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += within_ms / 1000;
        until.tv_nsec += within_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        return !sem_timedwait(&c->answered, &until);
}

static void finish(struct call *c)
{
        struct call **at = &calls;

        pthread_mutex_lock(&calls_lock);
        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
        pthread_mutex_unlock(&calls_lock);
}

/* Ask and wait; again while the shard loads. */
static bool last_was_quick;

static int call(struct node *n, struct coord_request *rq)
{
        for (int i = 0; i < 500; i++) {
                struct call c;

                start(n, &c, rq);
                last_was_quick = c.quick;
                CU_ASSERT_FATAL(is_answered(&c, 10000));
                finish(&c);
                if (rq->outcome != COORD_E_LOADING)
                        break;
                usleep(5000);
        }
        return rq->outcome;
}

static void init_commit(struct coord_offset_commit *rq, struct coord_commit_item *item, const char *group,
                        int64_t offset)
{
        *item = (struct coord_commit_item){
                .topic = STR_LIT("t"), .partition = 1, .offset = offset, .leader_epoch = 3
        };
        *rq = (struct coord_offset_commit){
                .generation = -1, .member_id = STR_LIT(""), .retention_ms = -1, .items = item, .items_count = 1
        };
        coord_request_init(&rq->rq, COORD_OFFSET_COMMIT, str_of(group));
}

static int commit(struct node *n, const char *group, int64_t offset)
{
        struct coord_commit_item item;
        struct coord_offset_commit rq;

        init_commit(&rq, &item, group, offset);
        call(n, &rq.rq);
        coord_request_fini(&rq.rq);
        return rq.rq.outcome;
}

static int64_t fetch(struct node *n, const char *group)
{
        struct coord_fetch_item item = { .topic = STR_LIT("t"), .partition = 1, .ret_offset = -2 };
        struct coord_offset_fetch rq = { .items = &item, .items_count = 1 };

        coord_request_init(&rq.rq, COORD_OFFSET_FETCH, str_of(group));
        CU_ASSERT_EQUAL(call(n, &rq.rq), COORD_OK);
        coord_request_fini(&rq.rq);
        return item.ret_offset;
}

static struct coord_protocol range = { .name = { "range", 5 } };

static void init_join(struct coord_join *rq, const char *group)
{
        *rq = (struct coord_join){ .client_id = STR_LIT("c"),
                                   .client_host = STR_LIT("/h"),
                                   .session_timeout_ms = 10000,
                                   .rebalance_timeout_ms = 10000,
                                   .protocol_type = STR_LIT("consumer"),
                                   .protocols = &range,
                                   .protocols_count = 1 };
        coord_request_init(&rq->rq, COORD_JOIN, str_of(group));
}

static int32_t partition_of(const char *group)
{
        return coord_partition_of(str_of(group), PARTITIONS);
}

/* ---- stories ---- */

static void reopen(struct node *n, int32_t i)
{
        CU_ASSERT_EQUAL(coord_partition_close(n->coord, i), 0);
        CU_ASSERT_EQUAL(coord_partition_open(n->coord, i, &n->partitions[i]), 0);
}

static void test_membership_survives_a_load(void)
{
        struct coord_heartbeat beat = { .generation = 1 };
        struct coord_assignment plan;
        struct coord_sync sync = { .generation = 1, .assignments = &plan, .assignments_count = 1 };
        struct coord_join join;
        struct node n;

        node_init(&n, 5000);
        init_join(&join, "g");
        CU_ASSERT_EQUAL(call(&n, &join.rq), COORD_OK);
        CU_ASSERT_EQUAL(join.ret_generation, 1);
        plan = (struct coord_assignment){ join.ret_member_id, span_of("xyz", 3) };
        sync.member_id = beat.member_id = join.ret_member_id;
        coord_request_init(&sync.rq, COORD_SYNC, STR_LIT("g"));
        CU_ASSERT_EQUAL(call(&n, &sync.rq), COORD_OK);
        coord_request_fini(&sync.rq);
        reopen(&n, partition_of("g"));
        coord_request_init(&beat.rq, COORD_HEARTBEAT, STR_LIT("g"));
        CU_ASSERT_EQUAL(call(&n, &beat.rq), COORD_OK);
        coord_request_fini(&beat.rq);
        sync.assignments_count = 0;
        coord_request_init(&sync.rq, COORD_SYNC, STR_LIT("g"));
        CU_ASSERT_EQUAL(call(&n, &sync.rq), COORD_OK);
        CU_ASSERT(span_equal(sync.ret_assignment, span_of("xyz", 3)));
        coord_request_fini(&sync.rq);
        coord_request_fini(&join.rq);
        node_fini(&n);
}

/* Heartbeats are answered on the thread that they come to, while the shard reads its log, is closed and opened, and writes. */
struct beater {
        struct node *n;
        struct str member_id;
        atomic_bool stop;
        unsigned fine, other;
};

static void *beat_on(void *arg)
{
        struct beater *b = arg;

        while (!atomic_load(&b->stop)) {
                struct coord_heartbeat beat = { .generation = 1, .member_id = b->member_id };
                struct call c;

                coord_request_init(&beat.rq, COORD_HEARTBEAT, STR_LIT("g"));
                start(b->n, &c, &beat.rq);
                CU_ASSERT_FATAL(is_answered(&c, 10000));
                finish(&c);
                coord_request_fini(&beat.rq);
                if (beat.rq.outcome == COORD_OK)
                        b->fine++;
                else
                        b->other++;
                CU_ASSERT(beat.rq.outcome == COORD_OK || beat.rq.outcome == COORD_E_LOADING ||
                          beat.rq.outcome == COORD_E_NOT_COORDINATOR);
        }
        return NULL;
}

static void test_heartbeats_beside_all_else(void)
{
        struct coord_heartbeat beat = { .generation = 1 };
        struct coord_assignment plan;
        struct coord_sync sync = { .generation = 1, .assignments = &plan, .assignments_count = 1 };
        struct coord_join join;
        struct beater beaters[3];
        pthread_t threads[3];
        struct node n;

        node_init(&n, 5000);
        init_join(&join, "g");
        CU_ASSERT_EQUAL(call(&n, &join.rq), COORD_OK);
        plan = (struct coord_assignment){ join.ret_member_id, span_of("xyz", 3) };
        sync.member_id = beat.member_id = join.ret_member_id;
        coord_request_init(&sync.rq, COORD_SYNC, STR_LIT("g"));
        CU_ASSERT_EQUAL(call(&n, &sync.rq), COORD_OK);
        CU_ASSERT_FALSE(last_was_quick);
        coord_request_fini(&sync.rq);
        for (int i = 0; i < 3; i++) {
                beaters[i] = (struct beater){ .n = &n, .member_id = join.ret_member_id };
                CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, beat_on, &beaters[i]), 0);
        }
        for (int i = 0; i < 20; i++) {
                CU_ASSERT_EQUAL(commit(&n, "other", i), COORD_OK);
                reopen(&n, partition_of("g"));
                usleep(5000);
        }
        coord_request_init(&beat.rq, COORD_HEARTBEAT, STR_LIT("g"));
        CU_ASSERT_EQUAL(call(&n, &beat.rq), COORD_OK);
        for (int i = 0; i < 3; i++) {
                atomic_store(&beaters[i].stop, true);
                pthread_join(threads[i], NULL);
                CU_ASSERT(beaters[i].fine > 0);
        }
        for (int i = 0; i < 100 && !last_was_quick; i++) /* one may meet an event of the shard */
                CU_ASSERT_EQUAL(call(&n, &beat.rq), COORD_OK);
        CU_ASSERT(last_was_quick);
        coord_request_fini(&beat.rq);
        coord_request_fini(&join.rq);
        node_fini(&n);
}

static void test_uncommitted_is_not_shown(void)
{
        struct coord_commit_item item;
        struct coord_offset_commit rq;
        struct node n;
        struct call c;

        node_init(&n, 60000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        set_stalled(&n.partitions[partition_of("g")], true);
        init_commit(&rq, &item, "g", 8);
        start(&n, &c, &rq.rq);
        CU_ASSERT_FALSE(is_answered(&c, 50));
        CU_ASSERT_EQUAL(fetch(&n, "g"), 7);
        set_stalled(&n.partitions[partition_of("g")], false);
        CU_ASSERT(is_answered(&c, 5000));
        finish(&c);
        coord_request_fini(&rq.rq);
        CU_ASSERT_EQUAL(rq.rq.outcome, COORD_OK);
        CU_ASSERT_EQUAL(fetch(&n, "g"), 8);
        node_fini(&n);
}

/* That an earlier write is replicated says nothing of the next. */
static void test_each_write_waits_for_itself(void)
{
        struct coord_commit_item items[2];
        struct coord_offset_commit rqs[2];
        struct partition *p;
        struct call calls_of[2];
        struct node n;

        node_init(&n, 60000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        p = &n.partitions[partition_of("g")];
        set_stalled(p, true);
        for (int i = 0; i < 2; i++) {
                init_commit(&rqs[i], &items[i], "g", 8 + i);
                start(&n, &calls_of[i], &rqs[i].rq);
                CU_ASSERT_FALSE(is_answered(&calls_of[i], 50));
        }
        replicate_but(p, 1);
        CU_ASSERT(is_answered(&calls_of[0], 5000));
        CU_ASSERT_FALSE(is_answered(&calls_of[1], 50));
        CU_ASSERT_EQUAL(fetch(&n, "g"), 8);
        set_stalled(p, false);
        CU_ASSERT(is_answered(&calls_of[1], 5000));
        CU_ASSERT_EQUAL(fetch(&n, "g"), 9);
        for (int i = 0; i < 2; i++) {
                finish(&calls_of[i]);
                CU_ASSERT_EQUAL(rqs[i].rq.outcome, COORD_OK);
                coord_request_fini(&rqs[i].rq);
        }
        node_fini(&n);
}

static void test_commit_times_out(void)
{
        struct node n;

        node_init(&n, 50);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        set_stalled(&n.partitions[partition_of("g")], true);
        CU_ASSERT_EQUAL(commit(&n, "g", 8), COORD_E_NOT_AVAILABLE);
        CU_ASSERT_EQUAL(fetch(&n, "g"), 7);
        set_stalled(&n.partitions[partition_of("g")], false);
        for (int i = 0; i < 1000 && fetch(&n, "g") != 8; i++)
                usleep(1000);
        CU_ASSERT_EQUAL(fetch(&n, "g"), 8); /* it was written after all */
        node_fini(&n);
}

static void test_failed_append_is_undone(void)
{
        struct coord_join join;
        struct node n;
        struct call c;

        node_init(&n, 5000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        init_join(&join, "g");
        set_append_fails(&n.partitions[partition_of("g")], PARTITION_E_NOT_ENOUGH_REPLICAS);
        CU_ASSERT_EQUAL(commit(&n, "g", 8), COORD_E_NOT_AVAILABLE);
        set_append_fails(&n.partitions[partition_of("g")], 0);
        CU_ASSERT_EQUAL(fetch(&n, "g"), 7);
        CU_ASSERT_EQUAL(commit(&n, "g", 9), COORD_OK);
        CU_ASSERT_EQUAL(fetch(&n, "g"), 9);
        start(&n, &c, &join.rq);
        CU_ASSERT(is_answered(&c, 5000));
        finish(&c);
        coord_request_fini(&join.rq);
        node_fini(&n);
}

static void test_lost_leadership(void)
{
        struct coord_commit_item item;
        struct coord_offset_commit rq;
        struct coord_join join;
        struct node n;
        struct call c, j;
        int32_t i = partition_of("g");

        node_init(&n, 60000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        init_join(&join, "g");
        join.rebalance_timeout_ms = 100000;
        set_stalled(&n.partitions[i], true);
        init_commit(&rq, &item, "g", 8);
        start(&n, &c, &rq.rq);
        CU_ASSERT_FALSE(is_answered(&c, 20));
        start(&n, &j, &join.rq);
        set_append_fails(&n.partitions[i], PARTITION_E_NOT_LEADER);
        end_waits(&n.partitions[i], PARTITION_E_NOT_LEADER);
        CU_ASSERT(is_answered(&c, 5000));
        CU_ASSERT_EQUAL(rq.rq.outcome, COORD_E_NOT_COORDINATOR);
        CU_ASSERT(is_answered(&j, 5000));
        finish(&c);
        finish(&j);
        coord_request_fini(&rq.rq);
        coord_request_fini(&join.rq);
        CU_ASSERT_EQUAL(coord_partition_close(n.coord, i), 0);
        CU_ASSERT_EQUAL(commit(&n, "g", 9), COORD_E_NOT_COORDINATOR);
        node_fini(&n);
}

/* A commit is written, and then too few replicas are left: the client tries again, here. */
static void test_too_few_replicas_after(void)
{
        struct coord_commit_item item;
        struct coord_offset_commit rq;
        struct node n;
        struct call c;
        int32_t i = partition_of("g");

        node_init(&n, 60000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        set_stalled(&n.partitions[i], true);
        init_commit(&rq, &item, "g", 8);
        start(&n, &c, &rq.rq);
        CU_ASSERT_FALSE(is_answered(&c, 20));
        end_waits(&n.partitions[i], PARTITION_E_NOT_ENOUGH_AFTER);
        CU_ASSERT(is_answered(&c, 5000));
        CU_ASSERT_EQUAL(rq.rq.outcome, COORD_E_NOT_AVAILABLE);
        finish(&c);
        coord_request_fini(&rq.rq);
        set_stalled(&n.partitions[i], false);
        node_fini(&n);
}

/* Led again, but in between somebody else did: what is in memory may be old, and nothing is written on top of it. */
static void test_led_in_another_epoch(void)
{
        struct partition *p;
        struct node n;

        node_init(&n, 5000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        p = &n.partitions[partition_of("g")];
        pthread_mutex_lock(&p->lock);
        p->epoch++;
        pthread_mutex_unlock(&p->lock);
        CU_ASSERT_EQUAL(commit(&n, "g", 8), COORD_E_NOT_COORDINATOR);
        for (int i = 0; i < 1000 && fetch(&n, "g") != 7; i++)
                usleep(1000); /* it is read anew */
        CU_ASSERT_EQUAL(fetch(&n, "g"), 7);
        CU_ASSERT_EQUAL(commit(&n, "g", 9), COORD_OK);
        node_fini(&n);
}

/* Its lease is over: somebody else may lead by now, and have newer offsets. */
static void test_reads_need_a_lease(void)
{
        struct coord_fetch_item item = { .topic = STR_LIT("t"), .partition = 1, .ret_offset = -2 };
        struct coord_offset_fetch rq = { .items = &item, .items_count = 1 };
        struct partition *p;
        struct node n;

        node_init(&n, 5000);
        CU_ASSERT_EQUAL(commit(&n, "g", 7), COORD_OK);
        p = &n.partitions[partition_of("g")];
        for (int i = 0; i < 2; i++) {
                pthread_mutex_lock(&p->lock);
                p->unsure = !i;
                pthread_mutex_unlock(&p->lock);
                coord_request_init(&rq.rq, COORD_OFFSET_FETCH, STR_LIT("g"));
                CU_ASSERT_EQUAL(call(&n, &rq.rq), i ? COORD_OK : COORD_E_NOT_COORDINATOR);
                coord_request_fini(&rq.rq);
        }
        CU_ASSERT_EQUAL(item.ret_offset, 7);
        node_fini(&n);
}

static void test_all_shards(void)
{
        struct coord_snapshot snap = { 0 };
        struct coord_list list = { 0 };
        struct coord_stats stats;
        char group[8];
        struct node n;

        node_init(&n, 5000);
        for (int i = 0; i < 20; i++) {
                snprintf(group, sizeof group, "g%d", i);
                CU_ASSERT_EQUAL(commit(&n, group, i), COORD_OK);
        }
        coord_request_init(&list.rq, COORD_LIST, STR_NULL);
        CU_ASSERT_EQUAL(call(&n, &list.rq), COORD_OK);
        CU_ASSERT_EQUAL(list.ret_groups_count, 20);
        coord_request_fini(&list.rq);
        coord_request_init(&snap.rq, COORD_SNAPSHOT, STR_NULL);
        CU_ASSERT_EQUAL(call(&n, &snap.rq), COORD_OK);
        CU_ASSERT_EQUAL(snap.ret_items_count, 20);
        coord_request_fini(&snap.rq);
        coord_stats(n.coord, &stats);
        CU_ASSERT_EQUAL(stats.groups, 20);
        CU_ASSERT_EQUAL(stats.offsets_committed, 20);
        CU_ASSERT_EQUAL(coord_topic_deleted(n.coord, STR_LIT("t")), 0);
        for (int i = 0; i < 1000 && fetch(&n, "g3") != -1; i++)
                usleep(1000);
        CU_ASSERT_EQUAL(fetch(&n, "g3"), -1);
        for (int i = 0; i < PARTITIONS; i++)
                reopen(&n, i);
        CU_ASSERT_EQUAL(fetch(&n, "g3"), -1); /* also in the log */
        node_fini(&n);
}

static void test_big_load(void)
{
        char group[16];
        struct node n;

        node_init(&n, 5000);
        for (int i = 0; i < 3000; i++) {
                snprintf(group, sizeof group, "g%d", i % 300);
                CU_ASSERT_EQUAL_FATAL(commit(&n, group, i), COORD_OK);
        }
        for (int i = 0; i < PARTITIONS; i++)
                reopen(&n, i);
        for (int i = 0; i < 300; i++) {
                snprintf(group, sizeof group, "g%d", i);
                CU_ASSERT_EQUAL(fetch(&n, group), 2700 + i); /* the last value of each key */
        }
        node_fini(&n);
}

static void test_stop_answers_the_parked(void)
{
        struct coord_join join;
        struct node n;
        struct call c;

        node_init(&n, 5000);
        CU_ASSERT_EQUAL(commit(&n, "g", 1), COORD_OK); /* loaded */
        init_join(&join, "g");
        join.session_timeout_ms = 5; /* refused at once: out of bounds */
        CU_ASSERT_EQUAL(call(&n, &join.rq), COORD_E_INVALID_SESSION_TIMEOUT);
        coord_request_fini(&join.rq);
        init_join(&join, "g");
        start(&n, &c, &join.rq);
        node_stop(&n);
        CU_ASSERT(is_answered(&c, 5000)); /* the answer may still be on its way to the asker's loop */
        finish(&c);
        node_end(&n);
        coord_request_fini(&join.rq);
}

static const struct unit_case cases[] = {
        { "membership survives a load", test_membership_survives_a_load },
        { "heartbeats beside all else", test_heartbeats_beside_all_else },
        { "uncommitted is not shown", test_uncommitted_is_not_shown },
        { "each write waits for itself", test_each_write_waits_for_itself },
        { "commit times out", test_commit_times_out },
        { "failed append is undone", test_failed_append_is_undone },
        { "too few replicas after the append", test_too_few_replicas_after },
        { "led in another epoch", test_led_in_another_epoch },
        { "reads need a lease", test_reads_need_a_lease },
        { "lost leadership", test_lost_leadership },
        { "all shards", test_all_shards },
        { "big load", test_big_load },
        { "stop answers the parked", test_stop_answers_the_parked },
};

UNIT_MAIN("coord-shard", cases)
