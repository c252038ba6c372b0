/* Goal: a partition takes the role that the metadata says, once, in order, and refuses what belongs to another role or
 * epoch; no role is taken while its log is cut. Method: one partition on a real log, followers whose fetches are made up,
 * a disk that is held up in the midst of a truncation. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "replica-scene.h"
#include "replica/partition_replica.h"

/* ---- a disk that is held up ---- */

static atomic_bool sync_waits, sync_is_in;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
        while (atomic_load(&sync_waits)) {
                atomic_store(&sync_is_in, true);
                usleep(1000);
        }
        return __real_fdatasync(fd);
}

/* ---- what followers and leaders send ---- */

static int fetch(struct scene *s, int32_t node, int32_t epoch, int64_t offset, int32_t last_epoch,
                 struct partition_fetch_answer *ret)
{
        return partition_replica_fetch(s->p,
                                       &(struct partition_fetch){ .node = node,
                                                                  .broker_epoch = 10,
                                                                  .leader_epoch = epoch,
                                                                  .fetch_offset = offset,
                                                                  .durable_end = offset,
                                                                  .last_epoch = last_epoch },
                                       ret);
}

/* Two records of @batch_epoch at @offset, as the leader of @epoch has them. */
static int follow_older(struct scene *s, int32_t epoch, int64_t offset, int32_t batch_epoch)
{
        struct strbuf b = batch_make(&(struct batch_want){ .count = 2, .value_len = 20 });
        struct plog_run_result res;
        int r;

        batch_set_base((uint8_t *)b.data, offset, batch_epoch);
        r = partition_follow_append(s->p, epoch, span_of(b.data, b.len), &res);
        strbuf_fini(&b);
        return r;
}

static int follow(struct scene *s, int32_t epoch, int64_t offset)
{
        return follow_older(s, epoch, offset, epoch);
}

static void test_states(void)
{
        struct partition_conf conf = conf_durable();
        struct plog_append_result res;
        struct scene s;

        conf.flush_before_ack = false;
        scene_init_with(&s, &conf); /* leads alone in epoch 5 */
        append_two(s.p);
        CU_ASSERT(view_of(s.p).role == PARTITION_LEADER && view_of(s.p).watermark_known);
        say(s.p, 1, 6, 1, 3, 3);
        CU_ASSERT(view_of(s.p).role == PARTITION_FOLLOWER && view_of(s.p).leader == 1);
        CU_ASSERT_EQUAL(view_of(s.p).leader_epoch, 6);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), PARTITION_E_NOT_LEADER);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 6), PARTITION_E_NOT_LEADER);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 5), PARTITION_E_FENCED_EPOCH);
        CU_ASSERT_EQUAL(partition_check_read(s.p, 6), 0);
        CU_ASSERT_EQUAL(partition_check_read(s.p, 7), PARTITION_E_UNKNOWN_EPOCH);
        say(s.p, 0, 5, 9, 3, 3); /* old news */
        CU_ASSERT(view_of(s.p).role == PARTITION_FOLLOWER);
        say(s.p, -1, 7, 2, 3, 3);
        CU_ASSERT(view_of(s.p).role == PARTITION_IDLE);
        CU_ASSERT_EQUAL(partition_check_read(s.p, 7), PARTITION_E_NOT_LEADER);
        say(s.p, 0, 8, 3, 3, 3);
        CU_ASSERT(view_of(s.p).role == PARTITION_LEADER);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2); /* whoever was told of it relies on it */
        CU_ASSERT(view_of(s.p).watermark_known);         /* nothing lies between */
        append_two(s.p);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2);
        say(s.p, 0, 9, 4, 3, 3); /* elected again: what was appended may have been acknowledged, or not */
        CU_ASSERT(!view_of(s.p).watermark_known);
        CU_ASSERT_EQUAL(partition_append_in(s.p, 8, &(struct plog_append_args){ 0 }, false, &res),
                        PARTITION_E_NOT_LEADER);
        scene_fini(&s);
}

static void test_waits_end(void)
{
        struct waiter ack = { 0 }, local = { 0 }, data = { 0 }, more = { 0 };
        struct scene s;

        scene_init(&s);
        say(s.p, 0, 6, 1, 3, 3);
        gate_shut(&s.gate, s.f.pool);
        append_two(s.p);
        wait_for(&s, &ack, PARTITION_WAIT_ACK, 2);
        wait_for(&s, &local, PARTITION_WAIT_LOCAL, 2);
        wait_for(&s, &data, PARTITION_WAIT_DATA, 0);
        turn(&s);
        CU_ASSERT(!ack.told && !local.told && !data.told);
        say(s.p, 0, 6, 2, 3, 2); /* another ISR is no news for them */
        turn(&s);
        CU_ASSERT(!ack.told && !local.told && !data.told);
        say(s.p, 2, 7, 3, 3, 3);
        turn(&s);
        CU_ASSERT(ack.told && local.told && data.told);
        CU_ASSERT(ack.wait.outcome == PARTITION_E_NOT_LEADER && local.wait.outcome == PARTITION_E_NOT_LEADER);
        wait_for(&s, &ack, PARTITION_WAIT_ACK, 2);
        wait_for(&s, &more, PARTITION_WAIT_DATA, 0); /* a follower's readers wait as well */
        turn(&s);
        CU_ASSERT(ack.told == 2 && ack.wait.outcome == PARTITION_E_NOT_LEADER);
        CU_ASSERT(!more.told);
        CU_ASSERT_EQUAL(partition_follow_watermark(s.p, 6, 2), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(partition_follow_watermark(s.p, 7, 99), 0);
        turn(&s);
        CU_ASSERT_EQUAL(more.told, 1);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2); /* no further than the log */
        CU_ASSERT_EQUAL(partition_follow_watermark(s.p, 7, 1), 0);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2); /* and not back */
        gate_open(&s.gate);
        scene_fini(&s);
}

static void test_follows_its_leader_only(void)
{
        struct partition_position pos;
        struct scene s;

        scene_init(&s);
        CU_ASSERT_EQUAL(follow(&s, 5, 0), PARTITION_E_NOT_FOLLOWER); /* it leads */
        CU_ASSERT_EQUAL(partition_position(s.p, &pos), PARTITION_E_NOT_FOLLOWER);
        say(s.p, 1, 6, 1, 3, 3);
        CU_ASSERT_EQUAL(follow(&s, 5, 0), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(follow(&s, 7, 0), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(follow(&s, 6, 0), 0);
        CU_ASSERT_EQUAL(follow(&s, 6, 0), -EINVAL);
        CU_ASSERT_EQUAL(partition_position(s.p, &pos), 0);
        CU_ASSERT(pos.leader == 1 && pos.leader_epoch == 6 && pos.end_offset == 2 && pos.last_epoch == 6);
        CU_ASSERT_EQUAL(partition_follow_truncate(s.p, 5, 0, 0), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(partition_follow_restart(s.p, 5, 7), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(partition_follow_start(s.p, 5, 1), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(view_of(s.p).end_offset, 2);
        partition_close(s.p);
        CU_ASSERT_EQUAL(follow(&s, 6, 2), PARTITION_E_NOT_FOLLOWER);
        scene_fini(&s);
}

static void test_serves_its_replicas_only(void)
{
        struct partition_fetch_answer a;
        struct scene s;

        scene_init(&s);
        say(s.p, 0, 6, 1, 3, 3);
        append_two(s.p);
        append_two(s.p);
        CU_ASSERT_EQUAL(fetch(&s, 3, 6, 0, -1, &a), PARTITION_E_NOT_REPLICA);
        CU_ASSERT_EQUAL(fetch(&s, 0, 6, 0, -1, &a), PARTITION_E_NOT_REPLICA);
        CU_ASSERT_EQUAL(fetch(&s, 1, 5, 0, -1, &a), PARTITION_E_FENCED_EPOCH);
        CU_ASSERT_EQUAL(fetch(&s, 1, 7, 0, -1, &a), PARTITION_E_UNKNOWN_EPOCH);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 5, -1, &a), PLOG_E_OUT_OF_RANGE);
        CU_ASSERT(a.start_offset == 0 && a.end_offset == 4);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 2, 6, &a), 0);
        CU_ASSERT(a.diverging_epoch == -1 && a.end_offset == 4 && a.leader_epoch == 6);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 3, 4, &a), 0); /* it has an epoch of which we have nothing */
        CU_ASSERT(a.diverging_epoch == 4 && a.diverging_end == 0);
        say(s.p, 0, 8, 2, 3, 3);
        append_two(s.p);
        CU_ASSERT_EQUAL(fetch(&s, 1, 8, 5, 6, &a), 0); /* it has more of epoch 6 than we have */
        CU_ASSERT(a.diverging_epoch == 6 && a.diverging_end == 4);
        CU_ASSERT_EQUAL(fetch(&s, 1, 8, 5, 7, &a), 0); /* and of 7, which we do not know */
        CU_ASSERT(a.diverging_epoch == 6 && a.diverging_end == 4);
        CU_ASSERT_EQUAL(fetch(&s, 1, 8, 3, 7, &a), 0); /* what it has is shorter than ours, and another epoch's */
        CU_ASSERT(a.diverging_epoch == 6 && a.diverging_end == 4);
        say(s.p, 1, 9, 3, 3, 3);
        CU_ASSERT_EQUAL(fetch(&s, 1, 9, 0, -1, &a), PARTITION_E_NOT_LEADER);
        scene_fini(&s);
}

/* It led, and wrote nothing; whoever leads now has more of the epoch before. */
static void test_empty_epoch_is_forgotten(void)
{
        struct partition_position pos;
        struct scene s;

        scene_init(&s);
        say(s.p, 1, 6, 1, 3, 3);
        CU_ASSERT_EQUAL(follow(&s, 6, 0), 0);
        say(s.p, 0, 7, 2, 3, 3);
        CU_ASSERT_EQUAL(plog_latest_epoch(s.log), 7);
        say(s.p, 1, 8, 3, 3, 3);
        CU_ASSERT_EQUAL(partition_position(s.p, &pos), 0);
        CU_ASSERT_EQUAL(pos.last_epoch, 6);
        CU_ASSERT_EQUAL(follow_older(&s, 8, 2, 6), 0);
        CU_ASSERT_EQUAL(plog_epoch_at(s.log, 3), 6);
        CU_ASSERT_EQUAL(follow(&s, 8, 4), 0);
        CU_ASSERT_EQUAL(plog_epoch_at(s.log, 4), 8);
        scene_fini(&s);
}

/* A position that is not ours moves nothing. */
static void test_only_prefixes_count(void)
{
        struct partition_fetch_answer a;
        struct scene s;

        scene_init(&s);
        say(s.p, 0, 6, 1, 2, 2);
        append_two(s.p);
        append_two(s.p);
        wait_durable(s.log);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 4, 3, &a), 0);
        CU_ASSERT(a.diverging_epoch >= 0);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 9, -1, &a), PLOG_E_OUT_OF_RANGE);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 0);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 3, 6, &a), 0);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 3);
        CU_ASSERT_EQUAL(a.high_watermark, 3);
        scene_fini(&s);
}

static void test_truncation_by_epoch(void)
{
        struct scene s;

        scene_init(&s);
        say(s.p, 1, 6, 1, 3, 3);
        CU_ASSERT_EQUAL(follow(&s, 6, 0), 0);
        CU_ASSERT_EQUAL(partition_follow_watermark(s.p, 6, 2), 0);
        say(s.p, 0, 7, 2, 3, 3);
        append_two(s.p); /* 2, 3 in epoch 7 */
        say(s.p, 1, 9, 3, 3, 3);
        /* The leader has epoch 6 up to 8: we have it up to 2 only, and cut there. */
        CU_ASSERT_EQUAL(partition_follow_truncate(s.p, 9, 6, 8), 0);
        CU_ASSERT_EQUAL(view_of(s.p).end_offset, 2);
        CU_ASSERT_EQUAL(plog_latest_epoch(s.log), 6);
        /* An unclean election: the watermark goes back with the log. */
        CU_ASSERT_EQUAL(partition_follow_truncate(s.p, 9, 5, 0), 0);
        CU_ASSERT(view_of(s.p).end_offset == 0 && view_of(s.p).high_watermark == 0);
        CU_ASSERT_EQUAL(partition_follow_restart(s.p, 9, 100), 0);
        CU_ASSERT(view_of(s.p).end_offset == 100 && view_of(s.p).start_offset == 100);
        CU_ASSERT_EQUAL(follow(&s, 9, 100), 0);
        CU_ASSERT_EQUAL(partition_follow_start(s.p, 9, 101), 0);
        CU_ASSERT_EQUAL(view_of(s.p).start_offset, 101);
        CU_ASSERT_EQUAL(partition_follow_start(s.p, 9, 999), 0); /* as far as it reaches */
        CU_ASSERT_EQUAL(view_of(s.p).start_offset, 102);
        scene_fini(&s);
}

static void *cut(void *arg)
{
        struct scene *s = arg;

        CU_ASSERT_EQUAL(partition_follow_truncate(s->p, 6, 5, 2), 0);
        return NULL;
}

static void test_no_role_while_cut(void)
{
        struct plog_append_result res;
        struct scene s;
        pthread_t thread;

        scene_init(&s);
        append_two(s.p);
        append_two(s.p);
        wait_durable(s.log);
        say(s.p, 1, 6, 1, 3, 3);
        atomic_store(&sync_is_in, false);
        atomic_store(&sync_waits, true);
        pthread_create(&thread, NULL, cut, &s);
        while (!atomic_load(&sync_is_in))
                usleep(1000);
        CU_ASSERT_EQUAL(follow(&s, 6, 4), PARTITION_E_NOT_FOLLOWER);
        CU_ASSERT_EQUAL(partition_follow_truncate(s.p, 6, 5, 0), PARTITION_E_NOT_FOLLOWER);
        say(s.p, 0, 7, 2, 3, 3); /* waits ... */
        say(s.p, 0, 8, 3, 3, 2);
        say(s.p, 2, 7, 2, 3, 3); /* and is not overtaken by old news */
        CU_ASSERT(view_of(s.p).role == PARTITION_FOLLOWER);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), PARTITION_E_NOT_LEADER);
        atomic_store(&sync_waits, false);
        pthread_join(thread, NULL);
        CU_ASSERT(view_of(s.p).role == PARTITION_LEADER && view_of(s.p).leader_epoch == 8);
        CU_ASSERT_EQUAL(view_of(s.p).end_offset, 2);
        CU_ASSERT_EQUAL(append_two(s.p), 4);
        CU_ASSERT_EQUAL(plog_epoch_at(s.log, 3), 8);
        scene_fini(&s);
}

static void count_failed(void *arg, struct partition *p)
{
        (void)p;
        ++*(int *)arg;
}

/* A leader whose disk hangs, or is full, has it told that others should lead: while there are others, and not at once. */
static void test_gives_up(void)
{
        struct partition_conf conf = conf_durable();
        struct rlimit before, full = { 0 };
        struct partition_fetch_answer a;
        struct plog_append_result res;
        struct scene s;
        int told = 0;

        scene_init(&s);
        partition_close(s.p);
        partition_unref(s.p);
        CU_ASSERT_EQUAL_FATAL(
                partition_new(&(struct partition_open_args){ .topic_name = "t",
                                                             .topic_id = topic_id,
                                                             .leader_epoch = -1,
                                                             .log = plog_ref(s.log),
                                                             .conf = conf,
                                                             .lag_max_ms = 30,
                                                             .events = { .failed = count_failed, .arg = &told } },
                              &s.p),
                0);
        say(s.p, 0, 6, 1, 3, 3);
        CU_ASSERT_EQUAL(append_two(s.p), 2);
        atomic_store(&sync_waits, true);
        CU_ASSERT_EQUAL(append_two(s.p), 4);
        partition_tick(s.p);
        partition_tick(s.p);
        CU_ASSERT_EQUAL(told, 0);
        usleep(35000);
        partition_tick(s.p);
        CU_ASSERT_EQUAL(told, 1);
        partition_tick(s.p); /* again only when it has lasted as long again */
        CU_ASSERT_EQUAL(told, 1);
        say(s.p, 0, 6, 2, 3, 1); /* nobody else is in sync */
        usleep(35000);
        partition_tick(s.p);
        CU_ASSERT_EQUAL(told, 1);
        atomic_store(&sync_waits, false);
        while (view_of(s.p).high_watermark < 4)
                usleep(1000);
        usleep(35000);
        partition_tick(s.p);
        CU_ASSERT_EQUAL(told, 1);

        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before);
        full = (struct rlimit){ 1, before.rlim_max };
        setrlimit(RLIMIT_FSIZE, &full);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), -ENOSPC);
        usleep(35000);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), -ENOSPC);
        CU_ASSERT_EQUAL(told, 1);
        say(s.p, 0, 6, 3, 3, 3);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 4, 6, &a), 0);
        usleep(35000);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), -ENOSPC);
        CU_ASSERT_EQUAL(told, 2);
        setrlimit(RLIMIT_FSIZE, &before);
        CU_ASSERT_EQUAL(append_two(s.p), 6);
        scene_fini(&s);
}

struct watcher {
        struct partition_watch watch;
        unsigned data, watermark, durable, role;
};

static void count_news(struct partition_watch *watch, unsigned news)
{
        struct watcher *w = container_of(watch, struct watcher, watch);

        w->data += !!(news & PARTITION_NEWS_DATA);
        w->watermark += !!(news & PARTITION_NEWS_WATERMARK);
        w->durable += !!(news & PARTITION_NEWS_DURABLE);
        w->role += !!(news & PARTITION_NEWS_ROLE);
}

static void test_news(void)
{
        struct watcher w = { .watch.fn = count_news };
        struct partition_fetch_answer a;
        struct scene s;

        scene_init(&s);
        say(s.p, 0, 6, 1, 2, 2);
        partition_watch(s.p, &w.watch);
        gate_shut(&s.gate, s.f.pool);
        append_two(s.p);
        CU_ASSERT(w.data == 1 && !w.durable && !w.watermark); /* followers need not wait for our disk */
        gate_open(&s.gate);
        wait_durable(s.log);
        for (int i = 0; i < 1000 && !w.durable; i++)
                usleep(1000);
        CU_ASSERT(w.data == 1 && w.durable == 1 && !w.watermark);
        CU_ASSERT_EQUAL(fetch(&s, 1, 6, 2, 6, &a), 0);
        CU_ASSERT(w.watermark == 1 && !w.role);
        say(s.p, 1, 7, 2, 2, 2);
        CU_ASSERT_EQUAL(w.role, 1);
        partition_unwatch(s.p, &w.watch);
        say(s.p, 0, 8, 3, 2, 2);
        CU_ASSERT_EQUAL(w.role, 1);
        scene_fini(&s);
}

static const struct unit_case cases[] = {
        { "states follow the metadata", test_states },
        { "waits end with the role", test_waits_end },
        { "it follows its leader only", test_follows_its_leader_only },
        { "it serves its replicas only", test_serves_its_replicas_only },
        { "an epoch without records is forgotten", test_empty_epoch_is_forgotten },
        { "only prefixes count", test_only_prefixes_count },
        { "truncation by epoch", test_truncation_by_epoch },
        { "no role while the log is cut", test_no_role_while_cut },
        { "it gives up when its disk does not serve", test_gives_up },
        { "news", test_news },
};
UNIT_MAIN("replica/role", cases)
