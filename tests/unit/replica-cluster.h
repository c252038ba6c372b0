/* Nodes of a cluster in one process, for tests of replication: each with a store, a peer hub without TLS on loopback and a
 * replicator, and a controller that decides by the rules of AlterPartition and tells every node at once. One partition,
 * t-0, on all of them. */
#pragma once

#include <errno.h>
#include <pthread.h>

#include "plog-fixture.h"
#include "replica/partition_replica.h"
#include "replica/replicator.h"

enum { NODES = 3 };

static int64_t cluster_lag_max_ms = 300;
static const struct uuid cluster_topic = { { 1, 2, 3 } };

struct cluster;

struct cnode {
        struct cluster *c;
        int32_t id;
        struct fixture f;
        struct partition_table *table;
        struct peer_hub *hub;
        struct replicator *r;
        struct plog *log;
        struct partition *p; /* NULL: not open. The cluster's lock, but for reading by the test's thread */
        uint16_t port;
        char watermarks[500];
        int64_t broker_epoch;
        atomic_bool up;
        atomic_uint failed; /* times that its log was said to have failed */
};

struct cluster {
        struct cnode nodes[NODES];
        struct loop *loop; /* the test's thread */
        struct partition_conf conf;
        atomic_llong lease;
        pthread_mutex_t lock; /* guards the controller's state */
        int32_t leader, leader_epoch, partition_epoch;
        bool in_isr[NODES];
        atomic_uint alters, refused;
        bool controller_is_deaf; /* questions stay without an answer that says anything */
        int32_t fetch_bytes;
};

/* ---- the controller ---- */

static inline void cluster_tell(struct cluster *c, struct cnode *n)
{
        static const int32_t all[] = { 0, 1, 2 };
        int32_t isr[NODES];
        struct replica_state s = { .replicas = all, .replicas_count = NODES, .isr = isr };

        struct partition *p;

        pthread_mutex_lock(&c->lock);
        p = n->p ? partition_ref(n->p) : NULL;
        s.leader = c->leader;
        s.leader_epoch = c->leader_epoch;
        s.partition_epoch = c->partition_epoch;
        for (int32_t i = 0; i < NODES; i++)
                if (c->in_isr[i])
                        isr[s.isr_count++] = i;
        pthread_mutex_unlock(&c->lock);
        while (p && partition_set_state(p, &s) == -ENOMEM)
                ; /* told again until there is memory */
        partition_unref(p);
}

static inline void cluster_tell_all(struct cluster *c)
{
        for (int i = 0; i < NODES; i++)
                cluster_tell(c, &c->nodes[i]);
}

static inline enum insync_outcome cluster_decide(struct cluster *c, const struct insync_ask *ask)
{
        bool isr[NODES] = { 0 };

        c->alters++;
        if (c->controller_is_deaf)
                return INSYNC_E_UNKNOWN;
        if (ask->leader_epoch != c->leader_epoch || ask->partition_epoch != c->partition_epoch) {
                c->refused++;
                return INSYNC_E_STALE;
        }
        for (int32_t i = 0; i < ask->isr_count; i++) {
                const struct cnode *n = &c->nodes[ask->isr[i]];

                if (!n->up || (ask->broker_epochs[i] >= 0 && ask->broker_epochs[i] != n->broker_epoch))
                        return INSYNC_E_INELIGIBLE;
                isr[ask->isr[i]] = true;
        }
        memcpy(c->in_isr, isr, sizeof isr);
        c->partition_epoch++;
        return INSYNC_OK;
}

static inline void cluster_alter(void *arg, struct replica_alter *a)
{
        struct cluster *c = ((struct cnode *)arg)->c;

        for (size_t i = 0; i < a->count; i++) {
                pthread_mutex_lock(&c->lock);
                a->items[i].outcome = cluster_decide(c, &a->items[i].ask);
                pthread_mutex_unlock(&c->lock);
        }
        cluster_tell_all(c);
        replica_alter_answer(a);
}

/* @leader (-1: nobody) leads in the next epoch, with the ISR that the bits of @isr say. */
static inline void cluster_elect(struct cluster *c, int32_t leader, unsigned isr)
{
        pthread_mutex_lock(&c->lock);
        c->leader = leader;
        c->leader_epoch++;
        c->partition_epoch++;
        for (int i = 0; i < NODES; i++)
                c->in_isr[i] = isr >> i & 1;
        pthread_mutex_unlock(&c->lock);
        cluster_tell_all(c);
}

/* ---- nodes ---- */

static inline void cluster_failed(void *arg, struct partition *p)
{
        ((struct cnode *)arg)->failed++;
        (void)p;
}

static inline void cnode_open(struct cnode *n)
{
        struct partition *p;
        struct partition_open_args args = {
                .topic_name = "t",
                .topic_id = cluster_topic,
                .node_id = n->id,
                .leader_epoch = -1,
                .conf = n->c->conf,
                .events = { .role = replicator_role, .ask = replicator_ask, .failed = replicator_failed, .arg = n->r },
                .lag_max_ms = cluster_lag_max_ms,
                .lease_until_ms = &n->c->lease
        };

        n->log = fixture_open(&n->f, "t-0");
        args.log = plog_ref(n->log);
        CU_ASSERT_EQUAL_FATAL(partition_new(&args, &p), 0);
        CU_ASSERT_EQUAL_FATAL(partition_table_put(n->table, partition_ref(p)), 0);
        pthread_mutex_lock(&n->c->lock);
        n->p = p;
        pthread_mutex_unlock(&n->c->lock);
        cluster_tell(n->c, n);
}

static inline void cnode_close(struct cnode *n)
{
        struct partition *p = n->p;

        if (!p)
                return;
        pthread_mutex_lock(&n->c->lock);
        n->p = NULL;
        pthread_mutex_unlock(&n->c->lock);
        partition_unref(partition_table_take(n->table, cluster_topic, 0));
        partition_close(p);
        replicator_role(n->r, p);
        plog_close(n->log);
        partition_unref(p);
}

static inline void cnode_addresses(struct cluster *c)
{
        char address[40];

        for (int i = 0; i < NODES; i++)
                for (int k = 0; k < NODES; k++) {
                        if (i == k || !c->nodes[i].hub || !c->nodes[k].up)
                                continue;
                        snprintf(address, sizeof address, "127.0.0.1:%u", c->nodes[k].port);
                        CU_ASSERT_EQUAL(peer_hub_set_address(c->nodes[i].hub, k, address), 0);
                }
}

/* The network and the process's threads of a node begin; its partition is opened by cnode_open(). */
static inline void cnode_start(struct cnode *n)
{
        struct peer_conf pc = { .node = n->id,
                                .directory = { { (uint8_t)(n->id + 1) } },
                                .program = "test",
                                .listen = "127.0.0.1:0",
                                .pool = n->f.pool };
        struct replicator_config rc = { .node_id = n->id,
                                        .table = n->table,
                                        .pool = n->f.pool,
                                        .ops = { .alter = cluster_alter, .failed = cluster_failed, .arg = n },
                                        .watermarks_path = n->watermarks,
                                        .watermarks_ms = 100,
                                        .tick_ms = 50,
                                        .fetch_bytes = n->c->fetch_bytes };

        snprintf(n->watermarks, sizeof n->watermarks, "%s/high-watermarks", n->f.dir);
        CU_ASSERT_EQUAL_FATAL(peer_hub_new(&pc, &n->hub), 0);
        rc.hub = n->hub;
        CU_ASSERT_EQUAL_FATAL(replicator_new(&rc, &n->r), 0);
        CU_ASSERT_EQUAL_FATAL(peer_hub_start(n->hub, &n->port), 0);
        n->broker_epoch += 10;
        replicator_set_broker_epoch(n->r, n->broker_epoch);
        replicator_opened(n->r);
        n->up = true;
        cnode_addresses(n->c);
}

static inline void cnode_stopped(void *arg)
{
        struct cnode *n = arg;

        loop_stop(n->c->loop);
}

struct hub_stop {
        struct mail mail;
        struct cnode *n;
};

static inline void cnode_hub_stopped(struct loop *l, struct mail *m)
{
        (void)l;
        replicator_hub_stopped(container_of(m, struct hub_stop, mail)->n->r);
}

/* The partition is closed. */
static inline void cnode_stop(struct cnode *n)
{
        struct hub_stop stop = { .mail.fn = cnode_hub_stopped, .n = n };

        n->up = false;
        replicator_stop(n->r, n->c->loop, cnode_stopped, n);
        peer_hub_stop(n->hub, 100, n->c->loop, &stop.mail);
        loop_run(n->c->loop);
        n->r = replicator_free(n->r);
        n->hub = peer_hub_free(n->hub);
}

static inline void cluster_init_with(struct cluster *c, const struct partition_conf *conf, int32_t fetch_bytes)
{
        *c = (struct cluster){
                .lock = PTHREAD_MUTEX_INITIALIZER, .leader = -1, .conf = *conf, .fetch_bytes = fetch_bytes
        };
        atomic_store(&c->lease, INT64_MAX);
        CU_ASSERT_EQUAL_FATAL(loop_new("test", &c->loop), 0);
        for (int i = 0; i < NODES; i++) {
                struct cnode *n = &c->nodes[i];

                *n = (struct cnode){ .c = c, .id = i };
                fixture_init(&n->f);
                n->f.conf.segment_bytes = 64 << 10;
                n->f.conf.flush_before_ack = conf->flush_before_ack;
                CU_ASSERT_EQUAL_FATAL(partition_table_new(&n->table), 0);
                cnode_start(n);
        }
        diag_set_level(0);
        for (int i = 0; i < NODES; i++)
                cnode_open(&c->nodes[i]);
}

static inline void cluster_init(struct cluster *c)
{
        struct partition_conf conf = { .min_insync_replicas = 2,
                                       .flush_before_ack = true,
                                       .deletable = true,
                                       .max_message_bytes = 1 << 20,
                                       .compression = -1 };

        cluster_init_with(c, &conf, 0);
}

static inline void cluster_fini(struct cluster *c)
{
        for (int i = 0; i < NODES; i++)
                cnode_close(&c->nodes[i]);
        for (int i = 0; i < NODES; i++)
                if (c->nodes[i].up)
                        cnode_stop(&c->nodes[i]);
        for (int i = 0; i < NODES; i++) {
                partition_table_free(c->nodes[i].table);
                fixture_fini(&c->nodes[i].f);
        }
        loop_free(c->loop);
}

/* ---- what tests do ---- */

static inline struct partition_view cview(struct cnode *n)
{
        struct partition_view v = { 0 };

        if (n->p)
                partition_view(n->p, &v);
        return v;
}

/* A batch of @count records with values that begin with @fill. Return: the outcome. */
static inline int cnode_append(struct cnode *n, int32_t count, size_t value_len, uint8_t fill, bool all)
{
        struct strbuf b = batch_make(&(struct batch_want){ .count = count, .value_len = value_len, .fill = fill });
        struct plog_append_args args = { .batch = (uint8_t *)b.data, .len = b.len, .now_ms = NOW_MS };
        struct plog_append_result res;
        int r = partition_append(n->p, &args, all, &res);

        strbuf_fini(&b);
        return r;
}

/* Wait up to twenty seconds for @condition. */
#define AWAIT(condition) \
        do { \
                int await_i; \
                for (await_i = 0; await_i < 20000 && !(condition); await_i++) \
                        usleep(1000); \
                CU_ASSERT_FATAL(await_i < 20000); \
        } while (0)

static inline bool isr_is(struct cluster *c, unsigned isr)
{
        bool is = true;

        pthread_mutex_lock(&c->lock);
        for (int i = 0; i < NODES; i++)
                is &= c->in_isr[i] == (isr >> i & 1);
        pthread_mutex_unlock(&c->lock);
        return is;
}

/* Everybody has what node @from has, and knows that it is replicated. */
static inline bool all_have(struct cluster *c, int from)
{
        struct partition_view v = cview(&c->nodes[from]);

        for (int i = 0; i < NODES; i++) {
                struct partition_view w = cview(&c->nodes[i]);

                if (c->nodes[i].p && (w.end_offset != v.end_offset || w.high_watermark != v.end_offset))
                        return false;
        }
        return true;
}

static inline uint8_t *cnode_bytes(struct cnode *n, int64_t from, size_t *ret_len)
{
        uint8_t *all = NULL;
        size_t len = 0;

        for (int64_t at = from;;) {
                struct plog_slice s;
                struct plog_read_args args = {
                        .from_offset = at, .below_offset = INT64_MAX, .len_max = 1 << 20, .at_least_one = true
                };

                CU_ASSERT_EQUAL_FATAL(plog_read(n->log, &args, true, &s), 0);
                if (!s.len)
                        break;
                all = realloc(all, len + s.len);
                CU_ASSERT_EQUAL_FATAL(plog_slice_copy(&s, all + len), 0);
                len += s.len;
                at = s.next_offset;
                plog_slice_release(&s);
        }
        *ret_len = len;
        return all;
}

/* The logs of all nodes that are open are the same, byte by byte, with the same epochs. */
static inline void all_same(struct cluster *c)
{
        int64_t from = 0;
        uint8_t *first = NULL;
        size_t first_len = 0;
        int first_node = -1;

        for (int i = 0; i < NODES; i++)
                if (c->nodes[i].p)
                        from = from > cview(&c->nodes[i]).start_offset ? from : cview(&c->nodes[i]).start_offset;
        for (int i = 0; i < NODES; i++) {
                size_t len;
                uint8_t *bytes;

                if (!c->nodes[i].p)
                        continue;
                bytes = cnode_bytes(&c->nodes[i], from, &len);
                if (first_node < 0) {
                        first_node = i;
                        first = bytes;
                        first_len = len;
                        continue;
                }
                CU_ASSERT_EQUAL(len, first_len);
                CU_ASSERT(len == first_len && !memcmp(bytes, first, len));
                free(bytes);
                for (int64_t at = from; at < cview(&c->nodes[i]).end_offset; at++)
                        CU_ASSERT_EQUAL(plog_epoch_at(c->nodes[i].log, at),
                                        plog_epoch_at(c->nodes[first_node].log, at));
        }
        free(first);
}

/* ---- a page cache that has nothing ---- */

static atomic_bool reads_are_cold;

int __real_plog_read(struct plog *pl, const struct plog_read_args *args, bool may_block, struct plog_slice *ret);
int __wrap_plog_read(struct plog *pl, const struct plog_read_args *args, bool may_block, struct plog_slice *ret);

int __wrap_plog_read(struct plog *pl, const struct plog_read_args *args, bool may_block, struct plog_slice *ret)
{
        if (!may_block && atomic_load(&reads_are_cold))
                return -EAGAIN;
        return __real_plog_read(pl, args, may_block, ret);
}

/* ---- who waits ---- */

struct waiter {
        struct partition_wait wait;
        unsigned told;
};

static inline void on_told(struct loop *l, struct mail *m)
{
        (void)l;
        container_of(m, struct waiter, wait.mail)->told++;
}

static inline void on_last(struct loop *l, struct mail *m)
{
        (void)m;
        loop_stop(l);
}

static inline bool told(struct cluster *c, struct waiter *w)
{
        struct mail last = { .fn = on_last };

        loop_post(c->loop, &last);
        loop_run(c->loop);
        return w->told;
}

static inline void wait_ack(struct cluster *c, struct waiter *w, int node, int64_t offset)
{
        *w = (struct waiter){ .wait.mail.fn = on_told };
        partition_wait(c->nodes[node].p, &w->wait, PARTITION_WAIT_ACK, offset, c->loop);
}

static inline void append_some(struct cluster *c, int node, int count)
{
        for (int i = 0; i < count; i++)
                CU_ASSERT_EQUAL_FATAL(
                        cnode_append(&c->nodes[node], 1 + i % 3, 10 + (size_t)i * 37 % 900, (uint8_t)i, false),
                        PLOG_OK);
}
