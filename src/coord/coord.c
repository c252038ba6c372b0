#include "coord/coord.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "coord/shard.h"
#include "sys/clock.h"
#include "sys/diag.h"

/* What lives on one loop; touched there only, but for what a lock guards. */
struct coord_home {
        struct coord *coord;
        struct loop *loop;
        pthread_mutex_t
                lock; /* which shards there are, and the machines of those that are active: see answer_quickly() */
        unsigned index;
        struct coord_shard **shards; /* by partition index / loops_count; NULL where nothing is led */
        size_t shards_size;
        unsigned shards_count; /* with those that are closing */
        bool stopped;
};

struct coord {
        struct coord_config cfg;
        _Atomic int32_t partitions;
        _Atomic uint64_t stats[COORD_STATS_COUNT];
        /* Stopping goes from home to home. */
        struct mail stop_mail;
        unsigned stop_at;
        struct loop *stop_loop;
        void (*stop_done)(void *arg);
        void *stop_arg;
        struct coord_home homes[];
};

enum note_kind { NOTE_OPEN, NOTE_CLOSE, NOTE_TOPIC_DELETED };

/* News for one home. */
struct note {
        struct mail mail;
        struct coord_home *home;
        enum note_kind kind;
        int32_t index;
        struct partition *partition; /* a reference */
        size_t len;
        char topic[];
};

/* ---- life ---- */

int coord_new(const struct coord_config *cfg, struct coord **ret_coord)
{
        struct coord *c = calloc(1, sizeof *c + cfg->loops_count * sizeof c->homes[0]);

        if (!c)
                return -ENOMEM;
        c->cfg = *cfg;
        for (unsigned i = 0; i < cfg->loops_count; i++) {
                c->homes[i] = (struct coord_home){ .coord = c, .loop = cfg->loops[i], .index = i };
                pthread_mutex_init(&c->homes[i].lock, NULL);
        }
        *ret_coord = c;
        return 0;
}

struct coord *coord_free(struct coord *c)
{
        if (!c)
                return NULL;
        for (unsigned i = 0; i < c->cfg.loops_count; i++) {
                assert(!c->homes[i].shards_count);
                pthread_mutex_destroy(&c->homes[i].lock);
                free(c->homes[i].shards);
        }
        free(c);
        return NULL;
}

static struct coord_home *home_of(struct coord *c, int32_t index)
{
        return &c->homes[(unsigned)index % c->cfg.loops_count];
}

static struct coord_shard **slot_of(struct coord_home *h, int32_t index)
{
        size_t at = (size_t)index / h->coord->cfg.loops_count;

        return at < h->shards_size ? &h->shards[at] : NULL;
}

static int grow_slots(struct coord_home *h, int32_t index)
{
        size_t size = (size_t)index / h->coord->cfg.loops_count + 1;
        struct coord_shard **shards;

        if (size <= h->shards_size)
                return 0;
        shards = calloc(size, sizeof *shards);
        if (!shards)
                return -ENOMEM;
        if (h->shards_size)
                memcpy(shards, h->shards, h->shards_size * sizeof *shards);
        pthread_mutex_lock(&h->lock);
        free(h->shards);
        h->shards = shards;
        h->shards_size = size;
        pthread_mutex_unlock(&h->lock);
        return 0;
}

/* Return: what was there. */
static struct coord_shard *set_slot(struct coord_home *h, struct coord_shard **slot, struct coord_shard *s)
{
        struct coord_shard *before;

        pthread_mutex_lock(&h->lock);
        before = *slot;
        *slot = s;
        pthread_mutex_unlock(&h->lock);
        return before;
}

/* ---- stopping ---- */

static void on_stopped(struct loop *l, struct mail *m)
{
        struct coord *c = container_of(m, struct coord, stop_mail);

        c->stop_done(c->stop_arg);
}

static void on_stop(struct loop *l, struct mail *m);

/* This home is empty: on to the next one. */
static void stop_next(struct coord *c)
{
        c->stop_at++;
        if (c->stop_at < c->cfg.loops_count) {
                c->stop_mail.fn = on_stop;
                loop_post(c->homes[c->stop_at].loop, &c->stop_mail);
                return;
        }
        c->stop_mail.fn = on_stopped;
        loop_post(c->stop_loop, &c->stop_mail);
}

static void close_slot(struct coord_home *h, struct coord_shard **slot)
{
        if (slot && *slot)
                coord_shard_close(set_slot(h, slot, NULL));
}

static void on_stop(struct loop *l, struct mail *m)
{
        struct coord *c = container_of(m, struct coord, stop_mail);
        struct coord_home *h = &c->homes[c->stop_at];

        h->shards_count++; /* so that the last of them to go is not taken for the end in between */
        h->stopped = true;
        for (size_t i = 0; i < h->shards_size; i++)
                close_slot(h, &h->shards[i]);
        if (!--h->shards_count)
                stop_next(c);
}

static void on_shard_gone(void *arg, struct coord_shard *s)
{
        struct coord_home *h = arg;

        if (!--h->shards_count && h->stopped)
                stop_next(h->coord);
}

void coord_stop(struct coord *c, struct loop *loop, void (*done)(void *arg), void *arg)
{
        c->stop_loop = loop;
        c->stop_done = done;
        c->stop_arg = arg;
        c->stop_at = 0;
        c->stop_mail.fn = on_stop;
        loop_post(c->homes[0].loop, &c->stop_mail);
}

/* ---- news ---- */

void coord_set_partitions(struct coord *c, int32_t count)
{
        atomic_store_explicit(&c->partitions, count, memory_order_release);
}

int32_t coord_partitions(const struct coord *c)
{
        return atomic_load_explicit(&c->partitions, memory_order_acquire);
}

static void open_shard(struct coord_home *h, struct note *n)
{
        struct coord *c = h->coord;
        struct coord_shard *s;
        char name[280];
        int r = grow_slots(h, n->index);

        snprintf(name, sizeof name, "%s-%d", partition_topic_name(n->partition), n->index);
        if (!r) {
                close_slot(h, slot_of(h, n->index)); /* led again, as another object */
                r = coord_shard_new(&(struct coord_shard_args){ .name = name,
                                                                .index = n->index,
                                                                .loop = h->loop,
                                                                .lock = &h->lock,
                                                                .pool = c->cfg.pool,
                                                                .partition = n->partition,
                                                                .ops = c->cfg.ops,
                                                                .machine_arg = c->cfg.machine_arg,
                                                                .send = c->cfg.send,
                                                                .send_arg = c->cfg.send_arg,
                                                                .commit_timeout_ms = c->cfg.commit_timeout_ms,
                                                                .stats = c->stats,
                                                                .gone = on_shard_gone,
                                                                .gone_arg = h },
                                    &s);
        }
        if (r) {
                diag(DIAG_ERROR,
                     "%s: no memory to load it: what it coordinates is not served here; restart with more memory",
                     name);
                return;
        }
        n->partition = NULL;
        h->shards_count++;
        (void)set_slot(h, slot_of(h, n->index), s); /* nothing was there any more */
}

static void on_note(struct loop *l, struct mail *m)
{
        struct note *n = container_of(m, struct note, mail);
        struct coord_home *h = n->home;

        switch (n->kind) {
        case NOTE_OPEN:
                if (!h->stopped)
                        open_shard(h, n);
                break;
        case NOTE_CLOSE:
                close_slot(h, slot_of(h, n->index));
                break;
        case NOTE_TOPIC_DELETED:
                for (size_t i = 0; i < h->shards_size; i++)
                        if (h->shards[i])
                                coord_shard_topic_deleted(h->shards[i], (struct str){ n->topic, n->len });
                break;
        }
        if (n->partition)
                partition_unref(n->partition);
        free(n);
}

static struct note *new_note(struct coord_home *h, enum note_kind kind, struct str topic)
{
        struct note *n = calloc(1, sizeof *n + topic.len);

        if (!n)
                return NULL;
        n->mail.fn = on_note;
        n->home = h;
        n->kind = kind;
        n->len = topic.len;
        if (topic.len)
                memcpy(n->topic, topic.p, topic.len);
        return n;
}

int coord_partition_open(struct coord *c, int32_t index, struct partition *p)
{
        struct note *n = new_note(home_of(c, index), NOTE_OPEN, STR_NULL);

        if (!n)
                return -ENOMEM;
        n->index = index;
        n->partition = partition_ref(p);
        loop_post(n->home->loop, &n->mail);
        return 0;
}

int coord_partition_close(struct coord *c, int32_t index)
{
        struct note *n = new_note(home_of(c, index), NOTE_CLOSE, STR_NULL);

        if (!n)
                return -ENOMEM;
        n->index = index;
        loop_post(n->home->loop, &n->mail);
        return 0;
}

int coord_topic_deleted(struct coord *c, struct str topic)
{
        for (unsigned i = 0; i < c->cfg.loops_count; i++) {
                struct note *n = new_note(&c->homes[i], NOTE_TOPIC_DELETED, topic);

                if (!n)
                        return -ENOMEM;
                loop_post(n->home->loop, &n->mail);
        }
        return 0;
}

/* ---- requests ---- */

static void refuse(struct coord_request *rq)
{
        coord_request_refuse(rq, COORD_E_NOT_COORDINATOR);
        coord_request_answer(rq);
}

static void on_request(struct loop *l, struct mail *m)
{
        struct coord_request *rq = container_of(m, struct coord_request, mail);
        struct coord_home *h = &rq->coord->homes[rq->hop % rq->coord->cfg.loops_count];
        struct coord_shard **slot = slot_of(h, (int32_t)rq->hop);

        assert(rq->magic == COORD_REQUEST_MAGIC);
        if (slot && *slot)
                coord_shard_request(*slot, rq);
        else
                refuse(rq);
}

/* A request about everything: all shards of this loop, then on to the next loop. */
static void on_visit(struct loop *l, struct mail *m)
{
        struct coord_request *rq = container_of(m, struct coord_request, mail);
        struct coord *c = rq->coord;
        struct coord_home *h = &c->homes[rq->hop];

        for (size_t i = 0; i < h->shards_size; i++)
                if (h->shards[i])
                        coord_shard_collect(h->shards[i], rq);
        if (++rq->hop < c->cfg.loops_count)
                loop_post(c->homes[rq->hop].loop, &rq->mail);
        else
                coord_request_answer(rq);
}

/* Most requests are heartbeats of those who have nothing to say, and whose coordinator has nothing to tell them. They are answered
 * on the thread that they came to: to wake the coordinator's loop, and then one's own, costs the kernel several times
 * what the answer does. Who finds the lock taken goes by mail. A client's later request cannot overtake an earlier one: it is
 * read when that is answered. */
static bool answer_quickly(struct coord *c, struct coord_request *rq, int32_t index)
{
        struct coord_home *h = home_of(c, index);
        struct coord_shard **slot;
        bool done;

        if ((rq->op != COORD_CONSUMER_HEARTBEAT && rq->op != COORD_HEARTBEAT) || pthread_mutex_trylock(&h->lock))
                return false;
        slot = slot_of(h, index);
        done = slot && *slot && coord_shard_quick(*slot, rq);
        pthread_mutex_unlock(&h->lock);
        if (done)
                coord_request_answer(rq);
        return done;
}

bool coord_submit(struct coord *c, struct coord_request *rq)
{
        int32_t partitions = coord_partitions(c);

        assert(rq->magic == COORD_REQUEST_MAGIC);
        rq->coord = c;
        rq->outcome = COORD_OK;
        rq->hop = 0;
        if (coord_op_visits(rq->op)) {
                rq->mail.fn = on_visit;
                loop_post(c->homes[0].loop, &rq->mail);
                return false;
        }
        if (partitions <= 0) {
                refuse(rq);
                return false;
        }
        rq->hop = (unsigned)(rq->op == COORD_TXN_MARKER ? container_of(rq, struct coord_txn_marker, rq)->partition
                                                        : coord_partition_of(rq->id, partitions));
        if (answer_quickly(c, rq, (int32_t)rq->hop))
                return true;
        rq->mail.fn = on_request;
        loop_post(home_of(c, (int32_t)rq->hop)->loop, &rq->mail);
        return false;
}

void coord_stats(const struct coord *c, struct coord_stats *ret)
{
        uint64_t *out = (uint64_t *)ret;

        for (unsigned i = 0; i < COORD_STATS_COUNT; i++)
                out[i] = atomic_load_explicit(&c->stats[i], memory_order_relaxed);
}
