/* What the tests of shares share: a partition on a real log, a coordinator that keeps what is written and can be held up or fail, and members that
 * fetch and acknowledge, with the test's own thread as the loop of all. */
#pragma once

#include "replica-scene.h"
#include "replica/table.h"
#include "share/share_link.h"
#include "share/shares.h"

enum { WORLD_RUNS_MAX = 256, WORLD_ROWS_MAX = 4 };

struct world {
        struct scene scene;
        struct partition_table *table;
        struct shares *shares;
        struct loop *loops[1];
        struct share_settings settings;
        unsigned sessions_max;
        /* What the coordinator knows of the group in the partition. */
        int32_t leader_epoch, state_epoch;
        int64_t start;
        struct coord_share_run runs[WORLD_RUNS_MAX];
        int32_t runs_count;
        int fails_with; /* not 0: all calls end so, or the next: */
        unsigned fails_calls;
        bool held;                /* calls wait in: */
        struct share_call *waits; /* one at a time */
        unsigned reads, writes;
        bool stopped;
};

struct member {
        const char *id;
        uint64_t connection;
        int32_t epoch;
};

/* A request on its way, or answered. */
struct asked {
        struct share_ask ask;
        struct share_row rows[WORLD_ROWS_MAX];
        struct share_ack_range acks[16];
        bool done;
};

/* ---- the coordinator ---- */

static int coordinator_read(struct world *w, struct coord_share_read *r)
{
        if (r->leader_epoch < w->leader_epoch)
                return COORD_E_FENCED_LEADER;
        w->leader_epoch = r->leader_epoch;
        w->reads++;
        r->ret_state_epoch = w->state_epoch;
        r->ret_start = w->start;
        r->ret_runs_count = w->runs_count;
        r->ret_runs = arena_memdup(&r->rq.arena, w->runs, sizeof *w->runs * (size_t)w->runs_count);
        return COORD_OK;
}

static int coordinator_write(struct world *w, const struct coord_share_write *r)
{
        if (r->leader_epoch < w->leader_epoch)
                return COORD_E_FENCED_LEADER;
        if (r->state_epoch != w->state_epoch)
                return COORD_E_FENCED_STATE;
        CU_ASSERT_FATAL(r->runs_count <= WORLD_RUNS_MAX);
        for (int32_t i = 0; i < r->runs_count; i++) {
                CU_ASSERT(r->runs[i].first <= r->runs[i].last);
                CU_ASSERT(r->runs[i].first >= (i ? r->runs[i - 1].last + 1 : r->start));
                CU_ASSERT(r->runs[i].state == SHARE_AVAILABLE || r->runs[i].state == SHARE_ACKNOWLEDGED ||
                          r->runs[i].state == SHARE_ARCHIVED);
                w->runs[i] = r->runs[i];
        }
        w->writes++;
        w->start = r->start;
        w->runs_count = r->runs_count;
        return COORD_OK;
}

static void coordinator_answers(struct loop *l, struct mail *m)
{
        struct share_call *c = container_of(m, struct share_call, mail);

        (void)l;
        c->rq.done(&c->rq);
}

static void coordinator_serve(struct world *w, struct share_call *c)
{
        c->rq.outcome = w->fails_with;
        if (w->fails_calls && !--w->fails_calls)
                w->fails_with = 0;
        if (!c->rq.outcome)
                c->rq.outcome =
                        c->rq.op == COORD_SHARE_READ ? coordinator_read(w, &c->read) : coordinator_write(w, &c->write);
        c->mail.fn = coordinator_answers;
        loop_post(c->rq.reply_loop, &c->mail);
}

static void coordinator_ask(void *arg, struct share_call *c)
{
        struct world *w = arg;

        if (!w->held) {
                coordinator_serve(w, c);
                return;
        }
        CU_ASSERT_PTR_NULL_FATAL(w->waits);
        w->waits = c;
}

static inline void coordinator_let_go(struct world *w)
{
        w->held = false;
        if (w->waits)
                coordinator_serve(w, TAKE_PTR(w->waits));
}

/* ---- the node ---- */

static struct share_settings world_settings(void *arg, struct str group)
{
        return ((struct world *)arg)->settings;
}

/* Of partitions that are not in the table the second one is another node's. */
static int world_known(void *arg, const struct share_place *place)
{
        if (!uuid_equal(place->topic_id, topic_id))
                return SHARES_E_UNKNOWN_TOPIC;
        return place->index <= 1 ? SHARES_OK : SHARES_E_UNKNOWN_PARTITION;
}

static inline void world_open(struct world *w)
{
        struct shares_config cfg = { .loops = w->loops,
                                     .loops_count = 1,
                                     .pool = w->scene.f.pool,
                                     .table = w->table,
                                     .sessions_max = w->sessions_max,
                                     .cells_max = 100,
                                     .hash_seed = 7,
                                     .ask = coordinator_ask,
                                     .settings = world_settings,
                                     .known = world_known,
                                     .arg = w };

        CU_ASSERT_EQUAL_FATAL(shares_new(&cfg, &w->shares), 0);
}

static inline void world_init(struct world *w)
{
        *w = (struct world){ .start = COORD_SHARE_START_UNKNOWN, .state_epoch = 3, .sessions_max = 10 };
        w->settings = (struct share_settings){
                .part = { .deliveries_max = 5, .records_max = 200, .lock_ms = 30000 },
                .reset = SHARE_RESET_EARLIEST,
                .may_renew = true,
        };
        scene_init(&w->scene);
        w->loops[0] = w->scene.loop;
        CU_ASSERT_EQUAL_FATAL(partition_table_new(&w->table), 0);
        CU_ASSERT_EQUAL_FATAL(partition_table_put(w->table, partition_ref(w->scene.p)), 0);
        world_open(w);
}

static void world_look(struct loop_timer *t)
{
        loop_stop(t->loop);
}

/* Run the loop, timers too, until @done, for @ms at most. */
static inline bool world_wait(struct world *w, const bool *done, int64_t ms)
{
        int64_t until = clock_mono_ms() + ms;
        struct loop_timer look;

        loop_timer_init(&look, w->scene.loop, world_look);
        do {
                loop_timer_start(&look, 1);
                loop_run(w->scene.loop);
        } while (!*done && clock_mono_ms() < until);
        return *done;
}

static void world_stopped(void *arg)
{
        ((struct world *)arg)->stopped = true;
}

static inline void world_close(struct world *w)
{
        w->stopped = false;
        shares_drain(w->shares);
        shares_stop(w->shares, w->scene.loop, world_stopped, w);
        CU_ASSERT(world_wait(w, &w->stopped, 5000));
        w->shares = shares_free(w->shares);
}

static inline void world_fini(struct world *w)
{
        world_close(w);
        partition_unref(partition_table_take(w->table, topic_id, 0));
        partition_table_free(w->table);
        scene_fini(&w->scene);
}

/* One batch of @count records. Return: the offset of its first. */
static inline int64_t world_append(struct world *w, int32_t count)
{
        int64_t first = append_simple(w->scene.log, count, 20, 'v');

        wait_durable(w->scene.log);
        return first;
}

/* ---- members ---- */

static void asked_done(struct share_ask *a)
{
        container_of(a, struct asked, ask)->done = true;
}

static inline void asked_init(struct asked *q, struct member *m, enum share_ask_kind kind)
{
        *q = (struct asked){ 0 };
        q->rows[0].place = (struct share_place){ topic_id, 0 };
        q->ask = (struct share_ask){ .kind = kind,
                                     .group = STR_LIT("g"),
                                     .member = str_of(m->id),
                                     .epoch = m->epoch,
                                     .connection = m->connection,
                                     .rows = q->rows,
                                     .rows_count = 1,
                                     .records_max = 100,
                                     .bytes_max = 1 << 20,
                                     .done = asked_done };
}

static inline void asked_submit(struct world *w, struct asked *q, struct member *m)
{
        q->ask.reply_loop = w->scene.loop;
        if (m->epoch >= 0)
                m->epoch++;
        share_ask_submit(w->shares, &q->ask);
}

static inline void asked_ack(struct asked *q, int64_t first, int64_t last, enum share_ack type)
{
        struct share_row *row = &q->rows[0];

        q->acks[row->acks_count++] = (struct share_ack_range){ first, last, type };
        row->acks = q->acks;
}

/* Ask and wait for the answer. */
static inline void asked_run(struct world *w, struct asked *q, struct member *m)
{
        asked_submit(w, q, m);
        CU_ASSERT_FATAL(world_wait(w, &q->done, 5000));
}

static inline void fetch(struct world *w, struct asked *q, struct member *m, int64_t wait_ms)
{
        asked_init(q, m, SHARE_FETCH);
        q->ask.wait_ms = wait_ms;
        asked_run(w, q, m);
}

/* The row tells of exactly one run. */
static inline bool got(const struct asked *q, int64_t first, int64_t last, int deliveries)
{
        const struct share_row *row = &q->ask.ret_rows[0];

        return !q->ask.outcome && q->ask.ret_rows_count == 1 && !row->outcome && row->acquired_count == 1 &&
               row->acquired[0].first == first && row->acquired[0].last == last &&
               row->acquired[0].deliveries == deliveries && row->slice.len;
}

static inline bool got_nothing(const struct asked *q)
{
        const struct share_row *row = q->ask.ret_rows;

        return !q->ask.outcome &&
               (!q->ask.ret_rows_count || (!row->outcome && !row->acquired_count && !row->slice.len));
}

/* Acknowledge and nothing else. Return: the row's outcome. */
static inline int acknowledge(struct world *w, struct member *m, int64_t first, int64_t last, enum share_ack type)
{
        struct asked q;
        int outcome;

        asked_init(&q, m, SHARE_ACKNOWLEDGE);
        asked_ack(&q, first, last, type);
        asked_run(w, &q, m);
        outcome = q.ask.outcome ? q.ask.outcome : q.ask.ret_rows[0].ack_outcome;
        share_ask_fini(&q.ask);
        return outcome;
}
