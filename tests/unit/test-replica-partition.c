/* Goal: the high watermark follows what the topic promises, whoever waits is told exactly once and with the right outcome,
 * and epochs and the minimum in sync are kept. Method: a real log; its flusher is held up by blocking the I/O pool, its
 * disk fails by a wrapped fdatasync(); then loops, appenders and waiters on many threads at once. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "replica-scene.h"

/* ---- a disk that fails ---- */

static atomic_bool sync_fails;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
        if (!atomic_load(&sync_fails))
                return __real_fdatasync(fd);
        errno = EIO;
        return -1;
}

/* ---- cases ---- */

static void test_watermark_follows_flush(void)
{
        struct waiter acks[3] = { 0 }, data = { 0 };
        struct scene s;
        int64_t end;

        scene_init(&s);
        gate_shut(&s.gate, s.f.pool);
        append_two(s.p);
        append_two(s.p);
        end = append_two(s.p);
        CU_ASSERT_EQUAL(view_of(s.p).end_offset, 6);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 0); /* nothing is on stable storage */
        wait_for(&s, &acks[2], PARTITION_WAIT_ACK, end);
        wait_for(&s, &acks[0], PARTITION_WAIT_LOCAL, 2);
        wait_for(&s, &acks[1], PARTITION_WAIT_ACK, 4);
        wait_for(&s, &data, PARTITION_WAIT_DATA, 0);
        turn(&s);
        CU_ASSERT(!acks[0].told && !acks[1].told && !acks[2].told && !data.told);
        gate_open(&s.gate);
        turn_until(&s, &acks[2], 1);
        turn_until(&s, &acks[1], 1);
        turn_until(&s, &acks[0], 1);
        turn_until(&s, &data, 1);
        CU_ASSERT(!acks[0].wait.outcome && !acks[1].wait.outcome && !acks[2].wait.outcome && !data.wait.outcome);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, end);
        CU_ASSERT_EQUAL(view_of(s.p).stable_offset, end);
        scene_fini(&s);
}

static void test_relaxed(void)
{
        struct partition_conf conf = conf_durable();
        struct waiter acks[2] = { 0 }, local = { 0 };
        struct scene s;

        conf.flush_before_ack = false;
        scene_init_with(&s, &conf);
        gate_shut(&s.gate, s.f.pool);
        wait_for(&s, &acks[0], PARTITION_WAIT_ACK, 2); /* waits for what is not appended yet */
        turn(&s);
        CU_ASSERT_EQUAL(acks[0].told, 0);
        append_two(s.p);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2); /* written is enough */
        wait_for(&s, &acks[1], PARTITION_WAIT_ACK, 2);
        wait_for(&s, &local, PARTITION_WAIT_LOCAL, 2);
        turn(&s);
        CU_ASSERT(acks[0].told == 1 && acks[1].told == 1 && local.told == 1);
        /* Durable from now on: the watermark stays where it was, what comes next waits for the disk. */
        set_relaxed(&s, false);
        append_two(s.p);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2);
        acks[0].told = acks[1].told = 0;
        wait_for(&s, &acks[0], PARTITION_WAIT_ACK, 4);
        wait_for(&s, &acks[1], PARTITION_WAIT_LOCAL, 2); /* acks=1 to a record that is not on the disk yet */
        turn(&s);
        CU_ASSERT(!acks[0].told && !acks[1].told);
        /* And relaxed again: those who wait are owed nothing more. */
        set_relaxed(&s, true);
        turn(&s);
        CU_ASSERT(acks[0].told == 1 && acks[1].told == 1);
        gate_open(&s.gate);
        scene_fini(&s);
}

/* Offsets that are reached one after the other, by whoever waited in whatever order. */
static void test_order_of_acks(void)
{
        static const int64_t offsets[] = { 4, 2, 6, 1, 5, 2 };
        struct partition_conf conf = conf_durable();
        struct waiter acks[ARRAY_LEN(offsets)] = { 0 }, locals[ARRAY_LEN(offsets)] = { 0 };
        struct scene s;

        conf.flush_before_ack = false;
        scene_init_with(&s, &conf);
        for (unsigned i = 0; i < ARRAY_LEN(offsets); i++) {
                wait_for(&s, &acks[i], PARTITION_WAIT_ACK, offsets[i]);
                wait_for(&s, &locals[i], PARTITION_WAIT_LOCAL, offsets[i]);
        }
        for (int64_t end = 2; end <= 6; end += 2) {
                append_two(s.p);
                turn(&s);
                for (unsigned i = 0; i < ARRAY_LEN(offsets); i++) {
                        CU_ASSERT_EQUAL(acks[i].told, offsets[i] <= end);
                        CU_ASSERT_EQUAL(locals[i].told, offsets[i] <= end);
                }
        }
        scene_fini(&s);
}

static void test_data_and_start(void)
{
        struct waiter at_end = { 0 }, below = { 0 }, deleted = { 0 };
        struct scene s;
        int64_t start;

        scene_init(&s);
        append_two(s.p);
        wait_durable(s.log);
        wait_for(&s, &below, PARTITION_WAIT_DATA, 0);
        turn_until(&s, &below, 1); /* there is something already */
        wait_for(&s, &at_end, PARTITION_WAIT_DATA, 2);
        turn(&s);
        CU_ASSERT_EQUAL(at_end.told, 0);
        append_two(s.p);
        turn_until(&s, &at_end, 1);
        /* The start moves over one who waits far ahead only when it passes him. */
        wait_durable(s.log);
        wait_for(&s, &deleted, PARTITION_WAIT_DATA, 4);
        CU_ASSERT_EQUAL(plog_delete_records(s.log, 4, &start), 0);
        partition_start_moved(s.p);
        turn(&s);
        CU_ASSERT_EQUAL(deleted.told, 0);
        append_two(s.p);
        turn_until(&s, &deleted, 1);
        CU_ASSERT_EQUAL(plog_delete_records(s.log, 6, &start), 0);
        CU_ASSERT_EQUAL(view_of(s.p).start_offset, 6);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 6);
        scene_fini(&s);
}

/* What is deleted while the watermark lags lies above it: one who waits below is told that the start passed him. */
static void test_start_passes_the_waiter(void)
{
        struct waiter w = { 0 };
        struct scene s;
        int64_t start;

        scene_init(&s);
        wait_for(&s, &w, PARTITION_WAIT_DATA, 1);
        partition_set_conf(s.p, &(struct partition_conf){ .flush_before_ack = true });
        gate_shut(&s.gate, s.f.pool);
        append_two(s.p);
        CU_ASSERT_EQUAL(plog_delete_records(s.log, 2, &start), 0); /* flushes by itself */
        partition_start_moved(s.p);
        turn_until(&s, &w, 1);
        CU_ASSERT_EQUAL(w.wait.outcome, 0);
        gate_open(&s.gate);
        scene_fini(&s);
}

static void test_unwait(void)
{
        struct waiter w[3] = { 0 };
        struct scene s;

        scene_init(&s);
        CU_ASSERT(partition_unwait(&w[0].wait)); /* never waited */
        gate_shut(&s.gate, s.f.pool);
        append_two(s.p);
        for (int i = 0; i < 3; i++)
                wait_for(&s, &w[i], i == 2 ? PARTITION_WAIT_DATA : PARTITION_WAIT_ACK, i == 2 ? 0 : 2);
        CU_ASSERT(partition_unwait(&w[0].wait));
        CU_ASSERT(w[0].wait.mail.fn == on_told && !w[0].wait.partition);
        CU_ASSERT(partition_unwait(&w[0].wait));
        wait_for(&s, &w[0], PARTITION_WAIT_ACK, 2); /* it may wait again */
        CU_ASSERT(partition_unwait(&w[0].wait));
        gate_open(&s.gate);
        wait_durable(s.log);
        for (int i = 0; i < 10000 && partition_unwait(&w[1].wait); i++) { /* the flusher is about to tell */
                wait_for(&s, &w[1], PARTITION_WAIT_ACK, 2);
                usleep(100);
        }
        CU_ASSERT_EQUAL(w[1].told, 0);
        turn_until(&s, &w[1], 1);
        turn_until(&s, &w[2], 1);
        CU_ASSERT_EQUAL(w[0].told, 0);
        CU_ASSERT(partition_unwait(&w[1].wait)); /* told: no mail is under way any more */
        scene_fini(&s);
}

static void test_close(void)
{
        struct waiter w[4] = { 0 };
        struct plog_append_result res;
        struct scene s;
        int64_t start;

        scene_init(&s);
        gate_shut(&s.gate, s.f.pool);
        append_two(s.p);
        wait_for(&s, &w[0], PARTITION_WAIT_ACK, 2);
        wait_for(&s, &w[1], PARTITION_WAIT_LOCAL, 2);
        wait_for(&s, &w[2], PARTITION_WAIT_DATA, 0);
        partition_close(s.p);
        wait_for(&s, &w[3], PARTITION_WAIT_DATA, 0);
        turn(&s);
        for (int i = 0; i < 4; i++) {
                CU_ASSERT_EQUAL(w[i].told, 1);
                CU_ASSERT_EQUAL(w[i].wait.outcome, PARTITION_E_NOT_LEADER);
        }
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), PARTITION_E_NOT_LEADER);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 5), PARTITION_E_NOT_LEADER);
        CU_ASSERT(view_of(s.p).closed);
        gate_open(&s.gate);
        turn(&s);
        CU_ASSERT_EQUAL(w[0].told, 1);
        /* The watermark stands still now; what is shown never lies below the start. */
        CU_ASSERT_EQUAL(plog_delete_records(s.log, 2, &start), 0);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2);
        CU_ASSERT_EQUAL(view_of(s.p).stable_offset, 2);
        scene_fini(&s); /* closes again: harmless */
}

static void test_failed_disk(void)
{
        struct waiter ack = { 0 }, local = { 0 }, data = { 0 }, late = { 0 }, good = { 0 };
        struct plog_append_result res;
        struct scene s;

        scene_init(&s);
        append_two(s.p);
        wait_durable(s.log);
        atomic_store(&sync_fails, true);
        wait_for(&s, &data, PARTITION_WAIT_DATA, 2);
        append_two(s.p);
        wait_for(&s, &ack, PARTITION_WAIT_ACK, 4);
        wait_for(&s, &local, PARTITION_WAIT_LOCAL, 4);
        turn_until(&s, &ack, 1);
        turn_until(&s, &local, 1);
        CU_ASSERT_EQUAL(ack.wait.outcome, PLOG_E_FAILED);
        CU_ASSERT_EQUAL(local.wait.outcome, PLOG_E_FAILED);
        CU_ASSERT_EQUAL(data.told, 0); /* there is nothing new to read */
        CU_ASSERT(view_of(s.p).failed);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2);
        atomic_store(&sync_fails, false);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), PLOG_E_FAILED); /* a failed sync is believed for good */
        wait_for(&s, &late, PARTITION_WAIT_ACK, 4);
        wait_for(&s, &good, PARTITION_WAIT_ACK, 2); /* that one is safe */
        turn(&s);
        CU_ASSERT_EQUAL(late.wait.outcome, PLOG_E_FAILED);
        CU_ASSERT(late.told == 1 && good.told == 1 && good.wait.outcome == 0);
        scene_fini(&s);
        CU_ASSERT(data.told == 1 && data.wait.outcome == PARTITION_E_NOT_LEADER);
}

/* Acknowledged on the word of the page cache only: the word stands, but nobody is told so any more. */
static void test_failed_disk_relaxed(void)
{
        struct partition_conf conf = conf_durable();
        struct waiter before = { 0 }, after = { 0 };
        struct scene s;

        conf.flush_before_ack = false;
        scene_init_with(&s, &conf);
        s.f.conf.flush_messages = 4;
        plog_set_conf(s.log, &s.f.conf);
        atomic_store(&sync_fails, true);
        append_two(s.p);
        wait_for(&s, &before, PARTITION_WAIT_LOCAL, 2);
        append_two(s.p); /* enough for a sync */
        for (int i = 0; i < 10000 && !view_of(s.p).failed; i++)
                usleep(1000);
        CU_ASSERT(view_of(s.p).failed);
        wait_for(&s, &after, PARTITION_WAIT_LOCAL, 2);
        turn(&s);
        CU_ASSERT(before.told == 1 && before.wait.outcome == 0);
        CU_ASSERT(after.told == 1 && after.wait.outcome == PLOG_E_FAILED);
        CU_ASSERT(view_of(s.p).high_watermark >= 2); /* never back; 4 when the append was seen before the failure */
        atomic_store(&sync_fails, false);
        scene_fini(&s);
}

static void test_min_isr(void)
{
        static const struct {
                int32_t min, replicas;
                bool need;
                int expect;
        } t[] = {
                { 1, 3, true, PLOG_OK },
                { 2, 1, true, PLOG_OK }, /* the minimum is never more than there are replicas */
                { 2, 3, true, PARTITION_E_NOT_ENOUGH_REPLICAS },
                { 3, 2, true, PARTITION_E_NOT_ENOUGH_REPLICAS },
                { 2, 3, false, PLOG_OK }, /* acks=1 does not ask */
                { 0, 1, true, PLOG_OK },
        };
        struct plog_append_result res;
        struct scene s;

        scene_init(&s);
        for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
                struct partition_conf conf = conf_durable(), got;
                int64_t end = view_of(s.p).end_offset;

                conf.min_insync_replicas = t[i].min;
                conf.deletable = i & 1;
                partition_set_conf(s.p, &conf);
                say(s.p, 0, 5, (int32_t)i + 1, t[i].replicas, 1);
                partition_get_conf(s.p, &got);
                CU_ASSERT_EQUAL(got.min_insync_replicas, t[i].min);
                CU_ASSERT_EQUAL(partition_is_deletable(s.p), i & 1);
                CU_ASSERT_EQUAL(append_need(s.p, t[i].need, &res), t[i].expect);
                CU_ASSERT_EQUAL(view_of(s.p).end_offset, end + (t[i].expect ? 0 : 2)); /* refused before the append */
        }
        scene_fini(&s);
}

static void test_epochs(void)
{
        struct plog_append_result res;
        struct scene s;
        int32_t epoch;
        int64_t end;

        scene_init(&s);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, -1), 0);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 5), 0);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 4), PARTITION_E_FENCED_EPOCH);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 0), PARTITION_E_FENCED_EPOCH);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 6), PARTITION_E_UNKNOWN_EPOCH);
        CU_ASSERT_EQUAL(append_need(s.p, false, &res), 0);
        CU_ASSERT_EQUAL(res.base_offset, 0);         /* what the caller asked for (12345) is the leader's to say */
        CU_ASSERT_EQUAL(plog_epoch_at(s.log, 0), 5); /* not the caller's 99 */
        say(s.p, 0, 7, 1, 1, 1);
        say(s.p, 0, 6, 2, 1, 1); /* never back */
        CU_ASSERT_EQUAL(view_of(s.p).leader_epoch, 7);
        CU_ASSERT_EQUAL(partition_check_epoch(s.p, 5), PARTITION_E_FENCED_EPOCH);
        append_two(s.p);
        CU_ASSERT_EQUAL(plog_epoch_at(s.log, 2), 7);
        CU_ASSERT_EQUAL(plog_epoch_end(s.log, 5, &epoch, &end), 0);
        CU_ASSERT(epoch == 5 && end == 2);
        scene_fini(&s);
}

/* A new leader of a log that holds something: all that is durable is shown at once. */
static void test_opens_at_durable_end(void)
{
        struct partition_conf conf = conf_durable();
        struct scene s;

        scene_init(&s);
        append_two(s.p);
        wait_durable(s.log);
        partition_close(s.p);
        gate_shut(&s.gate, s.f.pool);
        append_simple(s.log, 1, 10, 'x');
        partition_unref(s.p);
        s.p = open_partition(s.log, &conf);
        CU_ASSERT_EQUAL(view_of(s.p).high_watermark, 2);
        CU_ASSERT_EQUAL(view_of(s.p).end_offset, 3);
        CU_ASSERT_STRING_EQUAL(partition_topic_name(s.p), "t");
        CU_ASSERT_EQUAL(partition_index(s.p), 0);
        CU_ASSERT(uuid_equal(partition_topic_id(s.p), topic_id));
        CU_ASSERT_PTR_EQUAL(partition_log(s.p), s.log);
        gate_open(&s.gate);
        scene_fini(&s);
}

/* ---- all at once ---- */

enum { LOOPS = 3, WAITERS = 24, APPENDERS = 2, APPENDS = 400 };

struct storm {
        struct partition *p;
        struct storm_loop *loops;
        atomic_bool go;
};

struct storm_waiter {
        struct partition_wait wait;
        struct storm_loop *home;
        bool armed, done;
        int64_t next;
};

/* Its waiters are touched on its thread only. */
struct storm_loop {
        struct storm *storm;
        struct loop *loop;
        struct mail start;
        struct storm_waiter waiters[WAITERS];
        unsigned arms, told, taken_back, wrong, done;
        uint32_t chance;
};

static uint32_t chance(struct storm_loop *sl)
{
        sl->chance = sl->chance * 1664525u + 1013904223u;
        return sl->chance >> 16;
}

static void storm_arm(struct storm_waiter *w)
{
        static const enum partition_wait_kind kinds[] = { PARTITION_WAIT_ACK, PARTITION_WAIT_LOCAL,
                                                          PARTITION_WAIT_DATA };

        w->armed = true;
        w->home->arms++;
        partition_wait(w->home->storm->p, &w->wait, kinds[chance(w->home) % 3], w->next, w->home->loop);
}

/* Take one that waits on this loop back, if its mail is not under way, and let it wait for something else. */
static void storm_take_back(struct storm_loop *sl)
{
        struct storm_waiter *w = &sl->waiters[chance(sl) % WAITERS];

        if (!w->armed || !partition_unwait(&w->wait))
                return;
        sl->taken_back++;
        w->armed = false;
        w->next = view_of(sl->storm->p).high_watermark;
        storm_arm(w);
}

static void storm_told(struct loop *l, struct mail *m)
{
        struct storm_waiter *w = container_of(m, struct storm_waiter, wait.mail);
        struct storm_loop *sl = w->home;

        sl->wrong += !w->armed || loop_current() != sl->loop ||
                     (w->wait.outcome && w->wait.outcome != PARTITION_E_NOT_LEADER);
        /* Whoever was told of an end may rely on it. */
        sl->wrong += !w->wait.outcome && w->wait.kind != PARTITION_WAIT_DATA &&
                     w->next > view_of(sl->storm->p).high_watermark;
        w->armed = false;
        sl->told++;
        if (w->wait.outcome) {
                if (++sl->done == WAITERS)
                        loop_stop(l);
                return;
        }
        w->next = view_of(sl->storm->p).high_watermark + 1 + chance(sl) % 4;
        storm_arm(w);
        for (uint32_t n = chance(sl) % 8; n; n--)
                storm_take_back(sl);
}

static void storm_start(struct loop *l, struct mail *m)
{
        struct storm_loop *sl = container_of(m, struct storm_loop, start);

        (void)l;
        for (int i = 0; i < WAITERS; i++) {
                sl->waiters[i].home = sl;
                sl->waiters[i].wait.mail.fn = storm_told;
                storm_arm(&sl->waiters[i]);
        }
}

static void *storm_append(void *arg)
{
        struct storm *st = arg;

        for (int i = 0; i < APPENDS; i++) {
                append_two(st->p);
                if (i % 16 == 0)
                        usleep(500);
        }
        return NULL;
}

static void test_storm(void)
{
        struct storm_loop *loops = calloc(LOOPS, sizeof *loops);
        pthread_t appenders[APPENDERS];
        struct storm st = { .loops = loops };
        struct scene s;

        scene_init(&s);
        st.p = s.p;
        for (int i = 0; i < LOOPS; i++) {
                loops[i].storm = &st;
                loops[i].chance = (uint32_t)i + 1;
                loops[i].start.fn = storm_start;
                CU_ASSERT_EQUAL_FATAL(loop_new("storm", &loops[i].loop), 0);
                CU_ASSERT_EQUAL_FATAL(loop_start_thread(loops[i].loop), 0);
                loop_post(loops[i].loop, &loops[i].start);
        }
        for (int i = 0; i < APPENDERS; i++)
                pthread_create(&appenders[i], NULL, storm_append, &st);
        for (int i = 0; i < 20; i++) { /* settings change under way */
                set_relaxed(&s, i & 1);
                usleep(1000);
        }
        for (int i = 0; i < APPENDERS; i++)
                pthread_join(appenders[i], NULL);
        partition_close(s.p);
        for (int i = 0; i < LOOPS; i++) {
                loop_join(loops[i].loop);
                CU_ASSERT_EQUAL(loops[i].wrong, 0);
                CU_ASSERT_EQUAL(loops[i].done, WAITERS);
                CU_ASSERT_EQUAL(loops[i].arms, loops[i].told + loops[i].taken_back);
                CU_ASSERT(loops[i].told > WAITERS);
                loop_free(loops[i].loop);
        }
        scene_fini(&s);
        free(loops);
}

static const struct unit_case cases[] = {
        { "the watermark follows the flush", test_watermark_follows_flush },
        { "a relaxed topic", test_relaxed },
        { "acknowledged in order of offset", test_order_of_acks },
        { "waiting for data; the start moves", test_data_and_start },
        { "the start passes one who waits", test_start_passes_the_waiter },
        { "taking a wait back", test_unwait },
        { "closing tells everybody", test_close },
        { "a disk that fails", test_failed_disk },
        { "a disk that fails under a relaxed topic", test_failed_disk_relaxed },
        { "minimum in sync", test_min_isr },
        { "leader epochs", test_epochs },
        { "opens at the durable end", test_opens_at_durable_end },
        { "loops, appenders and waiters on many threads", test_storm },
};
UNIT_MAIN("replica/partition", cases)
