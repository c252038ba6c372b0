/* Goal: followers have what their leader has, whatever happened to either; the ISR and acknowledgements follow the rules.
 * Method: three nodes in one process, with real logs and a real peer hub on loopback; leaders change, logs diverge, nodes
 * stop, disks fail and bytes rot; in the end all logs are compared byte by byte. */
#include <stdlib.h>

#include "replica-cluster.h"
#include "replica/watermarks.h"

/* ---- a disk that fails: syncs of files below one node's folder ---- */

static char failing_dir[500];
static pthread_mutex_t failing_lock = PTHREAD_MUTEX_INITIALIZER;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
        char link[64], path[1000];
        ssize_t len;
        bool fails;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        len = readlink(link, path, sizeof path - 1);
        path[len > 0 ? len : 0] = '\0';
        pthread_mutex_lock(&failing_lock);
        fails = *failing_dir && !strncmp(path, failing_dir, strlen(failing_dir));
        pthread_mutex_unlock(&failing_lock);
        if (!fails)
                return __real_fdatasync(fd);
        errno = EIO;
        return -1;
}

static void set_failing(const char *dir)
{
        pthread_mutex_lock(&failing_lock);
        snprintf(failing_dir, sizeof failing_dir, "%s", dir);
        pthread_mutex_unlock(&failing_lock);
}

/* ---- cases ---- */

static void test_replicates(void)
{
        struct replicator_stats stats;
        struct waiter ack;
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        CU_ASSERT_EQUAL(cnode_append(&c.nodes[1], 1, 10, 'x', true), PARTITION_E_NOT_LEADER);
        for (int i = 0; i < 300; i++) {
                CU_ASSERT_EQUAL_FATAL(cnode_append(&c.nodes[0], 2, 500, (uint8_t)i, true), PLOG_OK);
                if (i % 50 == 0) {
                        wait_ack(&c, &ack, 0, cview(&c.nodes[0]).end_offset);
                        AWAIT(told(&c, &ack));
                        CU_ASSERT_EQUAL(ack.wait.outcome, 0);
                        for (int k = 0; k < NODES; k++) /* acknowledged is on stable storage everywhere */
                                CU_ASSERT(ends_of(c.nodes[k].log).durable_end_offset >= ack.wait.offset);
                }
        }
        AWAIT(all_have(&c, 0));
        all_same(&c);
        CU_ASSERT_EQUAL(c.alters, 0);
        replicator_stats(c.nodes[0].r, &stats);
        CU_ASSERT_EQUAL(stats.bytes_served,
                        2 * (uint64_t)ends_of(c.nodes[0].log).size_bytes); /* nothing is sent twice */
        replicator_stats(c.nodes[1].r, &stats);
        CU_ASSERT_EQUAL(stats.bytes_fetched, (uint64_t)ends_of(c.nodes[0].log).size_bytes);
        cluster_fini(&c);
}

/* All that is fetched has to be read from the disk first, while more comes in. */
static void test_cold_reads(void)
{
        struct cluster c;

        cluster_init(&c);
        cnode_close(&c.nodes[2]);
        cluster_elect(&c, 0, 3);
        append_some(&c, 0, 100);
        AWAIT(all_have(&c, 0));
        atomic_store(&reads_are_cold, true);
        cnode_open(&c.nodes[2]);
        for (int i = 0; i < 10; i++) {
                append_some(&c, 0, 10);
                usleep(2000);
        }
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        atomic_store(&reads_are_cold, false);
        all_same(&c);
        cluster_fini(&c);
}

/* The connection breaks and nothing else happens: another session goes on where the one before was. */
static void test_connection_lost(void)
{
        char address[40];
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        for (int i = 0; i < 5; i++) {
                CU_ASSERT_EQUAL(peer_hub_set_address(c.nodes[1].hub, 0, "127.0.0.1:1"), 0);
                append_some(&c, 0, 10);
                usleep(20000);
                snprintf(address, sizeof address, "127.0.0.1:%u", c.nodes[0].port);
                CU_ASSERT_EQUAL(peer_hub_set_address(c.nodes[1].hub, 0, address), 0);
                append_some(&c, 0, 10);
                AWAIT(all_have(&c, 0));
        }
        AWAIT(isr_is(&c, 7));
        all_same(&c);
        cluster_fini(&c);
}

/* A follower that has nothing to fetch, only something to cut, learns the watermark all the same. */
static void test_cut_only(void)
{
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 1, 7);
        append_some(&c, 1, 10);
        AWAIT(all_have(&c, 1));
        cnode_close(&c.nodes[0]);
        cnode_close(&c.nodes[2]);
        append_some(&c, 1, 5);
        wait_durable(c.nodes[1].log);
        cnode_close(&c.nodes[1]);
        cluster_elect(&c, 0, 5);
        cnode_open(&c.nodes[0]);
        cnode_open(&c.nodes[2]);
        AWAIT(all_have(&c, 0));
        cnode_open(&c.nodes[1]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        all_same(&c);
        cluster_fini(&c);
}

/* An answer holds one batch and not much more, so that all has to be fetched in many. */
static void test_small_answers(void)
{
        struct cluster c;
        struct partition_conf conf = { .min_insync_replicas = 1,
                                       .flush_before_ack = true,
                                       .max_message_bytes = 1 << 20 };

        cluster_init_with(&c, &conf, 100);
        append_some(&c, 0, 0);
        cluster_elect(&c, 0, 1);
        append_some(&c, 0, 200);
        AWAIT(all_have(&c, 0));
        AWAIT(isr_is(&c, 7)); /* they joined */
        all_same(&c);
        cluster_fini(&c);
}

static void test_relaxed(void)
{
        struct partition_conf conf = { .min_insync_replicas = 3, .max_message_bytes = 1 << 20 };
        struct waiter ack;
        struct cluster c;

        cluster_init_with(&c, &conf, 0);
        for (int i = 0; i < NODES; i++)
                set_failing(""); /* nothing is synced anyway */
        cluster_elect(&c, 2, 7);
        append_some(&c, 2, 50);
        wait_ack(&c, &ack, 2, cview(&c.nodes[2]).end_offset);
        AWAIT(told(&c, &ack));
        CU_ASSERT_EQUAL(ack.wait.outcome, 0);
        AWAIT(all_have(&c, 2));
        for (int k = 0; k < NODES; k++)
                CU_ASSERT_EQUAL(ends_of(c.nodes[k].log).durable_end_offset, 0);
        all_same(&c);
        cluster_fini(&c);
}

/* Logs part twice, and the one that is elected in the end decides. */
static void test_divergence(void)
{
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7); /* epoch 1 */
        append_some(&c, 0, 20);
        AWAIT(all_have(&c, 0));
        for (int i = 1; i < NODES; i++) /* 1 and 2 hear nothing */
                cnode_close(&c.nodes[i]);
        append_some(&c, 0, 7); /* in epoch 1, on node 0 alone */
        cluster_elect(&c, 0, 1);
        append_some(&c, 0, 5); /* and in epoch 2 */
        wait_durable(c.nodes[0].log);
        cnode_close(&c.nodes[0]);
        cnode_open(&c.nodes[1]);
        cluster_elect(&c, 1, 2); /* an election that loses records: nobody had said that they were safe */
        append_some(&c, 1, 3);   /* in epoch 3 */
        cluster_elect(&c, 1, 2);
        append_some(&c, 1, 4); /* in epoch 4 */
        cnode_open(&c.nodes[2]);
        cnode_open(&c.nodes[0]);
        AWAIT(all_have(&c, 1));
        AWAIT(isr_is(&c, 7));
        all_same(&c);
        CU_ASSERT_EQUAL(plog_latest_epoch(c.nodes[0].log), 4);
        cluster_fini(&c);
}

/* A leader whose epoch left no records, and one that wrote nothing at all. */
static void test_empty_epochs(void)
{
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 5);
        AWAIT(all_have(&c, 0));
        cnode_close(&c.nodes[1]);
        for (int i = 0; i < 3; i++)
                cluster_elect(&c, i & 1 ? 0 : 2, 5);
        cnode_open(&c.nodes[1]);
        cluster_elect(&c, 1, 7);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 5);
        AWAIT(all_have(&c, 0));
        cluster_elect(&c, 2, 7);
        append_some(&c, 2, 1);
        AWAIT(all_have(&c, 2));
        all_same(&c);
        cluster_fini(&c);
}

static void test_shrink_and_expand(void)
{
        struct waiter ack;
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        cnode_close(&c.nodes[1]);
        append_some(&c, 0, 1);
        wait_ack(&c, &ack, 0, cview(&c.nodes[0]).end_offset);
        CU_ASSERT(!told(&c, &ack)); /* until node 1 is out */
        AWAIT(isr_is(&c, 5));
        AWAIT(told(&c, &ack));
        CU_ASSERT_EQUAL(ack.wait.outcome, 0);
        /* Below the minimum: what waits is told, what comes is refused, the watermark stands. */
        cnode_close(&c.nodes[2]);
        append_some(&c, 0, 1);
        wait_ack(&c, &ack, 0, cview(&c.nodes[0]).end_offset);
        AWAIT(isr_is(&c, 1));
        AWAIT(told(&c, &ack));
        CU_ASSERT_EQUAL(ack.wait.outcome, PARTITION_E_NOT_ENOUGH_AFTER);
        CU_ASSERT_EQUAL(cnode_append(&c.nodes[0], 1, 10, 'x', true), PARTITION_E_NOT_ENOUGH_REPLICAS);
        CU_ASSERT_EQUAL(cnode_append(&c.nodes[0], 1, 10, 'x', false), PLOG_OK); /* acks=1 */
        wait_durable(c.nodes[0].log);
        CU_ASSERT(cview(&c.nodes[0]).high_watermark < cview(&c.nodes[0]).end_offset - 1);
        /* They come back. */
        cnode_open(&c.nodes[1]);
        AWAIT(isr_is(&c, 3));
        AWAIT(cview(&c.nodes[0]).high_watermark == cview(&c.nodes[0]).end_offset);
        cnode_open(&c.nodes[2]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        all_same(&c);
        cluster_fini(&c);
}

/* Nobody knows what became of a question: the watermark waits for both, and it is asked again. */
static void test_controller_away(void)
{
        struct cluster c;
        int64_t before;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        pthread_mutex_lock(&c.lock);
        c.controller_is_deaf = true;
        pthread_mutex_unlock(&c.lock);
        cnode_close(&c.nodes[1]);
        before = cview(&c.nodes[0]).high_watermark;
        append_some(&c, 0, 1);
        AWAIT(c.alters >= 2);
        CU_ASSERT_EQUAL(cview(&c.nodes[0]).high_watermark, before);
        pthread_mutex_lock(&c.lock);
        c.controller_is_deaf = false;
        pthread_mutex_unlock(&c.lock);
        AWAIT(isr_is(&c, 5));
        AWAIT(cview(&c.nodes[0]).high_watermark == cview(&c.nodes[0]).end_offset);
        cluster_fini(&c);
}

static void test_lease(void)
{
        struct waiter ack;
        struct cluster c;
        int64_t before;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 3);
        AWAIT(all_have(&c, 0));
        before = cview(&c.nodes[0]).high_watermark;
        CU_ASSERT_EQUAL(cnode_append(&c.nodes[0], 1, 10, 'x', true), PLOG_OK);
        atomic_store(&c.lease, 0);
        AWAIT(ends_of(c.nodes[1].log).durable_end_offset == cview(&c.nodes[0]).end_offset &&
              ends_of(c.nodes[2].log).durable_end_offset == cview(&c.nodes[0]).end_offset);
        CU_ASSERT_EQUAL(cnode_append(&c.nodes[0], 1, 10, 'x', true), PARTITION_E_NOT_LEADER);
        append_some(&c, 0, 1);
        wait_ack(&c, &ack, 0, cview(&c.nodes[0]).end_offset);
        before = cview(&c.nodes[0]).high_watermark;
        usleep(200000);
        CU_ASSERT_EQUAL(cview(&c.nodes[0]).high_watermark, before);
        CU_ASSERT(!told(&c, &ack));
        atomic_store(&c.lease, INT64_MAX); /* the heartbeat is answered after all */
        AWAIT(told(&c, &ack));
        CU_ASSERT_EQUAL(ack.wait.outcome, 0);
        cluster_fini(&c);
}

/* The follower's whole node goes and comes back; then the leader's. */
static void test_nodes_restart(void)
{
        struct watermarks *w;
        struct cluster c;
        int64_t saved;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 30);
        AWAIT(all_have(&c, 0));
        cnode_close(&c.nodes[2]);
        cnode_stop(&c.nodes[2]);
        append_some(&c, 0, 30);
        AWAIT(isr_is(&c, 3));
        cnode_start(&c.nodes[2]);
        cnode_open(&c.nodes[2]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        AWAIT(!watermarks_load(c.nodes[0].watermarks, &w) &&
              (saved = watermarks_find(w, cluster_topic, 0), watermarks_free(w),
               saved == cview(&c.nodes[0]).end_offset));
        cnode_close(&c.nodes[0]);
        cnode_stop(&c.nodes[0]);
        cluster_elect(&c, 1, 6);
        CU_ASSERT(cview(&c.nodes[1]).role == PARTITION_LEADER);
        append_some(&c, 1, 30);
        AWAIT(all_have(&c, 1));
        cnode_start(&c.nodes[0]);
        cnode_open(&c.nodes[0]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 1));
        all_same(&c);
        cluster_fini(&c);
}

/* The controller fences a node for a moment and takes it out of the ISR; its session goes on, nothing is appended, and it is
 * back all the same. */
static void test_fenced_for_a_moment(void)
{
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 5);
        AWAIT(all_have(&c, 0));
        AWAIT(isr_is(&c, 7));
        c.nodes[2].up = false;
        pthread_mutex_lock(&c.lock);
        c.in_isr[2] = false;
        c.partition_epoch++;
        pthread_mutex_unlock(&c.lock);
        cluster_tell_all(&c);
        AWAIT(c.alters > 0); /* refused as long as it is fenced */
        CU_ASSERT(isr_is(&c, 3));
        c.nodes[2].up = true;
        AWAIT(isr_is(&c, 7));
        all_same(&c);
        cluster_fini(&c);
}

static void test_far_behind(void)
{
        struct replicator_stats stats;
        struct cluster c;
        int64_t start;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 30);
        AWAIT(all_have(&c, 0));
        cnode_close(&c.nodes[2]);
        append_some(&c, 0, 200);
        AWAIT(isr_is(&c, 3));
        AWAIT(cview(&c.nodes[0]).high_watermark == cview(&c.nodes[0]).end_offset);
        CU_ASSERT_EQUAL(plog_delete_records(c.nodes[0].log, cview(&c.nodes[0]).end_offset - 20, &start), 0);
        partition_start_moved(c.nodes[0].p);
        AWAIT(cview(&c.nodes[1]).start_offset == start); /* followers' logs begin where the leader's does */
        cnode_open(&c.nodes[2]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        CU_ASSERT_EQUAL(cview(&c.nodes[2]).start_offset, start);
        replicator_stats(c.nodes[2].r, &stats);
        CU_ASSERT_EQUAL(stats.restarts, 1);
        all_same(&c);
        cluster_fini(&c);
}

/* The leader's log begins in the middle of a batch: that of a follower that begins anew gets the whole batch, and begins there, too. */
static void test_far_behind_in_batch(void)
{
        struct cluster c;
        int64_t start;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 30);
        AWAIT(all_have(&c, 0));
        cnode_close(&c.nodes[2]);
        append_some(&c, 0, 200);
        CU_ASSERT(cnode_append(&c.nodes[0], 10, 20, 'x', true) >= 0);
        AWAIT(isr_is(&c, 3));
        AWAIT(cview(&c.nodes[0]).high_watermark == cview(&c.nodes[0]).end_offset);
        CU_ASSERT_EQUAL(plog_delete_records(c.nodes[0].log, cview(&c.nodes[0]).end_offset - 5, &start), 0);
        partition_start_moved(c.nodes[0].p);
        cnode_open(&c.nodes[2]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        CU_ASSERT_EQUAL(cview(&c.nodes[2]).start_offset, start);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        cluster_fini(&c);
}

/* The same, and the follower has records up to where the leader's log begins: of another past, and below that start. */
static void test_other_past_in_batch(void)
{
        struct cluster c;
        int64_t start, end;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 30);
        AWAIT(all_have(&c, 0));
        end = cview(&c.nodes[0]).end_offset;
        cnode_close(&c.nodes[0]);
        cnode_close(&c.nodes[1]);
        cluster_elect(&c, 2, 4);
        for (int i = 0; i < 6; i++)
                CU_ASSERT(cnode_append(&c.nodes[2], 1, 20, 'y', false) >= 0);
        cnode_close(&c.nodes[2]);
        cnode_open(&c.nodes[0]);
        cnode_open(&c.nodes[1]);
        cluster_elect(&c, 0, 3); /* an unclean election */
        CU_ASSERT(cnode_append(&c.nodes[0], 10, 20, 'x', true) >= 0);
        AWAIT(cview(&c.nodes[0]).high_watermark == end + 10);
        CU_ASSERT_EQUAL(plog_delete_records(c.nodes[0].log, end + 5, &start), 0);
        partition_start_moved(c.nodes[0].p);
        cnode_open(&c.nodes[2]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        CU_ASSERT_EQUAL(cview(&c.nodes[2]).start_offset, end + 5);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        cluster_fini(&c);
}

/* A follower's disk fails: it says so, leaves the ISR at once, and does not come back by itself. */
static void test_follower_disk_fails(void)
{
        struct waiter ack;
        struct cluster c;

        cluster_lag_max_ms = 60000; /* it does not leave for its lag */
        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        set_failing(c.nodes[1].f.dir);
        append_some(&c, 0, 1);
        wait_ack(&c, &ack, 0, cview(&c.nodes[0]).end_offset);
        AWAIT(isr_is(&c, 5));
        AWAIT(told(&c, &ack));
        CU_ASSERT_EQUAL(ack.wait.outcome, 0);
        AWAIT(c.nodes[1].failed == 1);
        set_failing("");
        usleep(100000);
        CU_ASSERT(isr_is(&c, 5));
        cnode_close(&c.nodes[1]);
        cnode_open(&c.nodes[1]); /* the node was started anew */
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        all_same(&c);
        cluster_fini(&c);
        cluster_lag_max_ms = 300;
}

static void test_leader_disk_fails(void)
{
        struct waiter ack;
        struct cluster c;
        int64_t end;
        int r;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        end = cview(&c.nodes[0]).end_offset;
        set_failing(c.nodes[0].f.dir);
        r = cnode_append(&c.nodes[0], 1, 10, 'x', false);
        CU_ASSERT_FATAL(r == PLOG_OK || r == PLOG_E_FAILED); /* a checkpoint may have met the disk first */
        wait_ack(&c, &ack, 0, end + 1);
        AWAIT(told(&c, &ack));
        CU_ASSERT_EQUAL(ack.wait.outcome, PLOG_E_FAILED);
        AWAIT(c.nodes[0].failed == 1);
        CU_ASSERT(!partition_leads_surely(c.nodes[0].p)); /* another one may lead by now, whatever its lease */
        cluster_elect(&c, 1, 6);
        AWAIT(cview(&c.nodes[1]).role == PARTITION_LEADER); /* it may be cutting what the old leader had cut */
        append_some(&c, 1, 2);
        AWAIT(cview(&c.nodes[1]).high_watermark == cview(&c.nodes[1]).end_offset);
        set_failing("");
        cnode_close(&c.nodes[0]);
        cnode_open(&c.nodes[0]);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 1));
        all_same(&c);
        cluster_fini(&c);
}

/* What rots on the leader is not taken; when it is whole again, all goes on. */
static void test_rotten_bytes(void)
{
        struct partition_conf conf = { .min_insync_replicas = 1,
                                       .flush_before_ack = true,
                                       .max_message_bytes = 1 << 20 };
        struct replicator_stats stats;
        struct cluster c;
        char path[600];
        uint8_t byte;
        int fd;

        cluster_init_with(&c, &conf, 0);
        cnode_close(&c.nodes[1]);
        cnode_close(&c.nodes[2]);
        cluster_elect(&c, 0, 1);
        append_some(&c, 0, 5);
        wait_durable(c.nodes[0].log);
        snprintf(path, sizeof path, "%s/t-0/00000000000000000000.log", c.nodes[0].f.dir);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(file_pread(fd, &byte, 1, 200), 1);
        byte ^= 1;
        CU_ASSERT_EQUAL(file_pwrite_all(fd, &byte, 1, 200), 0);
        cnode_open(&c.nodes[1]);
        AWAIT((replicator_stats(c.nodes[1].r, &stats), stats.batches_refused > 1));
        CU_ASSERT(isr_is(&c, 1));
        CU_ASSERT(cview(&c.nodes[1]).end_offset < 9);
        byte ^= 1;
        CU_ASSERT_EQUAL(file_pwrite_all(fd, &byte, 1, 200), 0);
        file_close(fd);
        AWAIT(isr_is(&c, 3));
        cnode_open(&c.nodes[2]);
        AWAIT(all_have(&c, 0));
        all_same(&c);
        cluster_fini(&c);
}

static void append_bulk(struct cluster *c, int count)
{
        for (int i = 0; i < count; i++)
                CU_ASSERT_EQUAL(cnode_append(&c->nodes[0], 1, 10000, (uint8_t)i, false), PLOG_OK);
}

/* Node 2 catches up at 200 kB/s, held back by itself (@by_leader: by its leader); node 1 is in sync and is not. */
static void throttle(bool by_leader)
{
        struct cluster c;
        int64_t begin;

        cluster_init(&c);
        cnode_close(&c.nodes[2]);
        cluster_elect(&c, 0, 3);
        append_bulk(&c, 60);
        AWAIT(all_have(&c, 0));
        c.conf.follower_throttled = c.conf.leader_throttled = true;
        for (int i = 0; i < 2; i++) {
                partition_set_conf(c.nodes[i].p, &c.conf);
                replicator_set_rates(c.nodes[i].r, 200000, 200000);
        }
        begin = clock_mono_ms();
        append_bulk(&c, 300);
        AWAIT(all_have(&c, 0));
        CU_ASSERT(clock_mono_ms() - begin < 10000); /* 3 MB: 15 s at that rate */
        usleep(1100000);                            /* what they copied counts, in its window */
        if (by_leader)
                c.conf.follower_throttled = false;
        else
                replicator_set_rates(c.nodes[0].r, 0, 0);
        begin = clock_mono_ms();
        cnode_open(&c.nodes[2]);
        partition_set_conf(c.nodes[2].p, &c.conf);
        replicator_set_rates(c.nodes[2].r, 0, by_leader ? 0 : 200000);
        while (clock_mono_ms() - begin < 3000) {
                CU_ASSERT(isr_is(&c, 3));
                usleep(10000);
        }
        CU_ASSERT(cview(&c.nodes[2]).end_offset > 0);
        replicator_set_rates(c.nodes[0].r, 0, 0);
        replicator_set_rates(c.nodes[2].r, 0, 0);
        AWAIT(isr_is(&c, 7));
        AWAIT(all_have(&c, 0));
        all_same(&c);
        cluster_fini(&c);
}

static void test_throttle(void)
{
        cluster_lag_max_ms = 60000; /* a slow machine makes nobody lag */
        throttle(false);
        throttle(true);
        cluster_lag_max_ms = 300;
}

/* The leader's partition becomes another object, under the same epoch and on the same connections. */
static void test_leader_opens_anew(void)
{
        struct cluster c;

        cluster_init(&c);
        cluster_elect(&c, 0, 7);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        cnode_close(&c.nodes[0]);
        usleep(50000);
        cnode_open(&c.nodes[0]);
        CU_ASSERT(cview(&c.nodes[0]).role == PARTITION_LEADER);
        append_some(&c, 0, 10);
        AWAIT(all_have(&c, 0));
        AWAIT(isr_is(&c, 7));
        all_same(&c);
        cluster_fini(&c);
}

static const struct unit_case cases[] = {
        { "replicates", test_replicates },
        { "cold reads", test_cold_reads },
        { "a connection is lost", test_connection_lost },
        { "something to cut only", test_cut_only },
        { "small answers", test_small_answers },
        { "a relaxed topic", test_relaxed },
        { "logs that part", test_divergence },
        { "epochs without records", test_empty_epochs },
        { "the ISR shrinks and grows", test_shrink_and_expand },
        { "the controller is away", test_controller_away },
        { "the lease is over", test_lease },
        { "fenced for a moment, and nothing happens meanwhile", test_fenced_for_a_moment },
        { "nodes start anew", test_nodes_restart },
        { "far behind", test_far_behind },
        { "a log begins in the middle of a batch", test_far_behind_in_batch },
        { "a log begins in the middle of a batch that another past ends in", test_other_past_in_batch },
        { "a follower's disk fails", test_follower_disk_fails },
        { "the leader's disk fails", test_leader_disk_fails },
        { "rotten bytes", test_rotten_bytes },
        { "the leader opens its log anew", test_leader_opens_anew },
        { "throttled", test_throttle },
};
UNIT_MAIN("replica/cluster", cases)
