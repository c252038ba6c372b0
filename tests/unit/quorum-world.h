/* A group of quorums in one process: each with a loop, a pool and a folder of its own, over a network in memory
 * (quorum-net.h) or over real connections. Asked synchronously. */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "quorum/quorum.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum { WORLD_NODES = 9 };

struct world_node {
        int32_t id;
        char dir[96], address[32], why[512];
        struct quorum_config cfg;
        struct loop *loop;
        struct iopool *pool;
        struct peer_hub *hub;
        struct quorum *q;
        bool runs;

        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t cond;
        struct quorum_role role;
        int64_t applied;
        struct meta_image *image;
        unsigned led; /* how often it began to lead */
        bool gone;    /* told out of order */
};

static struct world_node world_nodes[WORLD_NODES];
static struct quorum_controller world_list[WORLD_NODES];
static char world_addresses[WORLD_NODES][32];
static size_t world_list_count;
static char world_dir[64];
static bool world_connected; /* over real connections, not over the network in memory */

static inline void world_sleep(int64_t ms)
{
        clock_sleep_ms(ms);
}

/* ---- what a quorum tells ---- */

static inline void world_applied(void *arg, const struct quorum_applied *a)
{
        struct world_node *n = arg;

        pthread_mutex_lock(&n->lock);
        n->gone |= a->last_index <= n->applied || a->after->index != a->last_index || a->before->index != n->applied;
        n->applied = a->last_index;
        meta_image_unref(n->image);
        n->image = meta_image_ref(a->after);
        pthread_cond_broadcast(&n->cond);
        pthread_mutex_unlock(&n->lock);
}

static inline void world_role(void *arg, const struct quorum_role *role)
{
        struct world_node *n = arg;

        pthread_mutex_lock(&n->lock);
        n->gone |= role->term < n->role.term;
        n->led += role->is_leader;
        n->role = *role;
        pthread_cond_broadcast(&n->cond);
        pthread_mutex_unlock(&n->lock);
}

/* ---- on the node's loop, and wait ---- */

struct world_ask {
        struct mail mail;
        struct world_node *n;
        void (*fn)(struct world_ask *a);
        void *arg;
        bool done;
        pthread_mutex_t lock;
        pthread_cond_t cond;
};

static inline void world_answer(struct world_ask *a)
{
        pthread_mutex_lock(&a->lock);
        a->done = true;
        pthread_cond_signal(&a->cond);
        pthread_mutex_unlock(&a->lock);
}

static inline void world_ask_arrived(struct loop *l, struct mail *m)
{
        struct world_ask *a = container_of(m, struct world_ask, mail);

        a->fn(a); /* calls world_answer(), now or later */
}

static inline void world_ask(struct world_node *n, void (*fn)(struct world_ask *a), void *arg)
{
        struct world_ask a = { .n = n, .fn = fn, .arg = arg, .mail = { .fn = world_ask_arrived } };

        pthread_mutex_init(&a.lock, NULL);
        pthread_cond_init(&a.cond, NULL);
        loop_post(n->loop, &a.mail);
        pthread_mutex_lock(&a.lock);
        while (!a.done)
                pthread_cond_wait(&a.cond, &a.lock);
        pthread_mutex_unlock(&a.lock);
}

/* ---- life ---- */

static inline void world_do_start(struct world_ask *a)
{
        quorum_start(a->n->q);
        world_answer(a);
}

static inline void world_stopped(void *arg)
{
        world_answer(arg);
}

static inline void world_do_stop(struct world_ask *a)
{
        quorum_stop(a->n->q, world_stopped, a);
}

struct world_hub_stop {
        struct mail mail;
        struct world_ask *a;
};

static inline void world_hub_stopped(struct loop *l, struct mail *m)
{
        world_answer(container_of(m, struct world_hub_stop, mail)->a);
}

static inline void world_do_stop_hub(struct world_ask *a)
{
        struct world_hub_stop *s = a->arg;

        s->a = a;
        s->mail.fn = world_hub_stopped;
        peer_hub_stop(a->n->hub, 1000, a->n->loop, &s->mail);
}

/* A list of nodes 1..@count, for world_open() from now on; 0: who is opened is alone. @connected: over real connections, to
 * an address of this process's own, with ports from which no connection goes out: no other process can have one of them. */
static inline void world_begin(const char *name, size_t count, bool connected)
{
        unsigned pid = (unsigned)getpid();

        snprintf(world_dir, sizeof world_dir, "/tmp/chronik-test-%s-%d", name, (int)getpid());
        file_remove_tree(world_dir);
        world_connected = connected;
        world_list_count = count;
        memset(world_nodes, 0, sizeof world_nodes);
        for (int i = 0; i < WORLD_NODES; i++) {
                snprintf(world_addresses[i], sizeof world_addresses[i], "127.%u.%u.%u:%d", 1 + pid / 65536 % 255,
                         pid / 256 % 256, pid % 256, 9000 + i);
                world_list[i] = (struct quorum_controller){ i + 1, world_addresses[i] };
        }
}

/* Open node @id (1..) and let it run. @cfg: limits; the rest is filled in. Return: as quorum_open(). */
static inline int world_open(int32_t id, struct quorum_config cfg)
{
        static const struct quorum_events events = { .applied = world_applied, .role = world_role };
        struct world_node *n = &world_nodes[id - 1];
        int r;

        *n = (struct world_node){ .id = id, .cfg = cfg };
        snprintf(n->dir, sizeof n->dir, "%s/%d", world_dir, id);
        snprintf(n->address, sizeof n->address, "%.31s", world_addresses[id - 1]);
        pthread_mutex_init(&n->lock, NULL);
        pthread_cond_init(&n->cond, NULL);
        n->role.leader_id = -1;
        assert(!loop_new("node", &n->loop));
        assert(!iopool_new(2, &n->pool));
        n->cfg.dir = n->dir;
        n->cfg.node_id = id;
        n->cfg.loop = n->loop;
        n->cfg.pool = n->pool;
        n->cfg.election_ms = cfg.election_ms ? cfg.election_ms : 300;
        if (!n->cfg.controllers) {
                n->cfg.controllers = world_list;
                n->cfg.controllers_count = world_list_count;
        }
        n->cfg.advertised = n->address;
        r = quorum_open(&n->cfg, &events, n, &n->q, n->why, sizeof n->why);
        if (r) {
                n->pool = iopool_free(n->pool);
                n->loop = loop_free(n->loop);
                return r;
        }
        n->image = quorum_image(n->q);
        n->applied = n->image->index;
        if (n->cfg.controllers_count) {
                assert(!peer_hub_new(&(struct peer_conf){ .node = id,
                                                          .directory = quorum_directory(n->q),
                                                          .program = "test",
                                                          .pool = n->pool,
                                                          .listen = world_connected ? n->address : NULL,
                                                          .back_off_ms_max = 200 },
                                     &n->hub));
                assert(!quorum_attach(n->q, n->hub));
                assert(!peer_hub_start(n->hub, NULL));
        }
        assert(!loop_start_thread(n->loop));
        n->runs = true;
        world_ask(n, world_do_start, NULL);
        return 0;
}

static inline void world_close(int32_t id)
{
        struct world_node *n = &world_nodes[id - 1];
        struct world_hub_stop s;

        if (!n->runs)
                return;
        world_ask(n, world_do_stop, NULL);
        if (n->hub)
                world_ask(n, world_do_stop_hub, &s);
        loop_stop(n->loop);
        loop_join(n->loop);
        n->q = quorum_close(n->q);
        n->pool = iopool_free(n->pool);
        n->loop = loop_free(n->loop);
        n->hub = peer_hub_free(n->hub);
        n->image = meta_image_unref(n->image);
        n->runs = false;
}

static inline void world_end(void)
{
        for (int i = 1; i <= WORLD_NODES; i++)
                world_close(i);
        file_remove_tree(world_dir);
}

/* ---- looking ---- */

static inline struct quorum_role world_role_of(int32_t id)
{
        struct world_node *n = &world_nodes[id - 1];
        struct quorum_role role = { false, 0, -1 };

        if (!n->runs)
                return role;
        pthread_mutex_lock(&n->lock);
        role = n->role;
        pthread_mutex_unlock(&n->lock);
        return role;
}

static inline int64_t world_applied_of(int32_t id)
{
        struct world_node *n = &world_nodes[id - 1];
        int64_t applied;

        pthread_mutex_lock(&n->lock);
        applied = n->applied;
        pthread_mutex_unlock(&n->lock);
        return applied;
}

static inline struct meta_image *world_image_of(int32_t id)
{
        struct world_node *n = &world_nodes[id - 1];
        struct meta_image *i;

        pthread_mutex_lock(&n->lock);
        i = meta_image_ref(n->image);
        pthread_mutex_unlock(&n->lock);
        return i;
}

/* The node that leads in the newest term; 0: none does within the time. */
static inline int32_t world_leader(int64_t wait_ms)
{
        int64_t end_ms = clock_mono_ms() + wait_ms;

        for (;;) {
                int32_t leader = 0, term = 0;

                for (int32_t i = 1; i <= WORLD_NODES; i++) {
                        struct quorum_role role = world_role_of(i);

                        if (role.is_leader && role.term > term) {
                                leader = i;
                                term = role.term;
                        }
                }
                if (leader || clock_mono_ms() >= end_ms)
                        return leader;
                world_sleep(5);
        }
}

static inline void world_do_stats(struct world_ask *a)
{
        quorum_stats(a->n->q, a->arg);
        world_answer(a);
}

static inline struct quorum_stats world_stats(int32_t id)
{
        struct quorum_stats s;

        world_ask(&world_nodes[id - 1], world_do_stats, &s);
        return s;
}

static inline void world_do_describe(struct world_ask *a)
{
        quorum_describe(a->n->q, a->arg);
        world_answer(a);
}

static inline struct quorum_description *world_describe(int32_t id)
{
        static struct quorum_description d;

        world_ask(&world_nodes[id - 1], world_do_describe, &d);
        return &d;
}

/* Wait until the leader says that there are so many voters and nobody is missing. Return: the leader, 0: in vain. */
static inline int32_t world_voters(uint32_t count, int64_t wait_ms)
{
        int64_t end_ms = clock_mono_ms() + wait_ms;

        while (clock_mono_ms() < end_ms) {
                int32_t leader = world_leader(100);
                uint32_t voters = 0;

                if (leader) {
                        const struct quorum_description *d = world_describe(leader);

                        for (uint32_t i = 0; i < d->members_count; i++)
                                voters += d->members[i].is_voter;
                        if (voters == count && d->members_count == count && world_role_of(leader).is_leader)
                                return leader;
                }
                world_sleep(10);
        }
        return 0;
}

/* ---- proposing ---- */

struct world_proposal {
        struct quorum_proposal p;
        struct world_ask *a;
        const char *name;
        int result;
};

static inline void world_proposal_done(struct quorum_proposal *p, int result)
{
        struct world_proposal *w = container_of(p, struct world_proposal, p);

        w->result = result;
        world_answer(w->a);
}

static inline void world_do_propose(struct world_ask *a)
{
        struct world_proposal *w = a->arg;
        struct meta_batch batch = { 0 };
        struct meta_record rec;
        int r;

        meta_record_init(&rec, META_FEATURE);
        rec.feature.name = str_of(w->name);
        rec.feature.level = 1;
        assert(!meta_batch_add(&batch, &rec));
        w->a = a;
        w->p = (struct quorum_proposal){ .term = quorum_role(a->n->q).term, .done = world_proposal_done };
        r = quorum_propose(a->n->q, &w->p, &batch);
        if (!r)
                return;
        meta_batch_fini(&batch);
        w->result = r;
        world_answer(a);
}

/* Propose at node @id a feature called @name, and wait. Return: as quorum_propose() and its done(). */
static inline int world_propose(int32_t id, const char *name)
{
        struct world_proposal w = { .name = name };

        if (!world_nodes[id - 1].runs)
                return QUORUM_E_NOT_LEADER;
        world_ask(&world_nodes[id - 1], world_do_propose, &w);
        return w.result;
}

static inline bool world_has(int32_t id, const char *name)
{
        CLEANUP(meta_image_unrefp) struct meta_image *i = world_image_of(id);

        return meta_image_feature_level(i, str_of(name)) == 1;
}

/* Wait until node @id has applied up to @index. */
static inline bool world_reaches(int32_t id, int64_t index, int64_t wait_ms)
{
        int64_t end_ms = clock_mono_ms() + wait_ms;

        while (world_applied_of(id) < index) {
                if (clock_mono_ms() >= end_ms)
                        return false;
                world_sleep(5);
        }
        return true;
}

/* ---- changes ---- */

struct world_change {
        struct quorum_change ch;
        struct world_ask *a;
        bool is_add;
        int result;
};

static inline void world_change_done(struct quorum_change *ch, int result)
{
        struct world_change *w = container_of(ch, struct world_change, ch);

        w->result = result;
        world_answer(w->a);
}

static inline void world_do_change(struct world_ask *a)
{
        struct world_change *w = a->arg;

        w->a = a;
        w->ch.done = world_change_done;
        if (w->is_add)
                quorum_add_voter(a->n->q, &w->ch);
        else
                quorum_remove_voter(a->n->q, &w->ch);
}

static inline int world_change(int32_t at, bool is_add, int32_t node, struct uuid directory, int64_t timeout_ms)
{
        struct world_change w = { .is_add = is_add, .ch = { .id = { node, directory }, .timeout_ms = timeout_ms } };

        memcpy(w.ch.address, world_addresses[node - 1], sizeof world_addresses[0]);
        world_ask(&world_nodes[at - 1], world_do_change, &w);
        return w.result;
}
