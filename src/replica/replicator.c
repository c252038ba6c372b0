/* The thread of replication: news of partitions comes in by mail, one after the other, and starts or ends the fetching of
 * each. See replicator.h. */
#include "replica/replicator.h"

#include <errno.h>
#include <string.h>

#include "replica/replicator_priv.h"
#include "replica/watermarks.h"
#include "sys/clock.h"
#include "sys/diag.h"

enum { TICK_MS = 1000, FETCH_WAIT_MS = 500, FETCH_BYTES = 8 << 20, WATERMARKS_MS = 5000, STOP_LOOK_MS = 5 };

enum note_kind { NOTE_ROLE, NOTE_ASK, NOTE_FAILED };

struct note {
        struct mail mail;
        struct replicator *r;
        struct partition *partition; /* held */
        enum note_kind kind;
};

/* ---- following what the metadata says ---- */

static struct follow *follow_find(struct replicator *r, struct partition *p)
{
        struct follow_key key;
        struct follow *w;

        memset(&key, 0, sizeof key);
        key.topic_id = partition_topic_id(p);
        key.index = partition_index(p);
        HASH_FIND(hh, r->follows, &key, sizeof key, w);
        return w;
}

static void follow_as_told(struct replicator *r, struct partition *p)
{
        struct follow *w = follow_find(r, p);
        struct partition_position pos;
        struct fetcher *f;
        int no = partition_position(p, &pos);

        if (w && w->partition != p && no)
                return; /* news of an object that is no more, behind that of its successor */
        if (w && (no || w->partition != p || w->leader_epoch != pos.leader_epoch || w->fetcher->node != pos.leader)) {
                f = w->fetcher;
                follow_remove(w);
                fetcher_run(f);
                w = NULL;
        }
        if (no || w || r->stopping)
                return;
        f = fetcher_find(r, pos.leader);
        if (!f || follow_new(f, p, pos.leader_epoch)) {
                r->rescan = true;
                return;
        }
        fetcher_run(f);
}

/* ---- mail ---- */

static void on_note(struct loop *l, struct mail *m)
{
        struct note *n = container_of(m, struct note, mail);
        struct replicator *r = n->r;

        (void)l;
        switch (n->kind) {
        case NOTE_ROLE:
                follow_as_told(r, n->partition);
                break;
        case NOTE_ASK:
                if (!r->stopping)
                        asks_add(r, n->partition);
                break;
        case NOTE_FAILED:
                if (r->cfg.ops.failed && !r->stopping)
                        r->cfg.ops.failed(r->cfg.ops.arg, n->partition);
                break;
        }
        partition_unref(n->partition);
        free(n);
}

static void note(struct replicator *r, struct partition *p, enum note_kind kind)
{
        struct note *n = malloc(sizeof *n);

        if (!n) {
                diag_limited(DIAG_WARN, "no memory to take note of a change of %s-%d; it is looked for in a while",
                             partition_topic_name(p), partition_index(p));
                __atomic_store_n(&r->rescan, true, __ATOMIC_RELAXED);
                return;
        }
        *n = (struct note){ .mail.fn = on_note, .r = r, .partition = partition_ref(p), .kind = kind };
        loop_post(r->loop, &n->mail);
}

void replicator_role(void *r, struct partition *p)
{
        note(r, p, NOTE_ROLE);
}

void replicator_ask(void *r, struct partition *p)
{
        note(r, p, NOTE_ASK);
}

void replicator_failed(void *r, struct partition *p)
{
        note(r, p, NOTE_FAILED);
}

/* ---- clockwork ---- */

static int tick_one(void *arg, struct partition *p)
{
        (void)arg;
        partition_tick(p);
        return 0;
}

static int rescan_one(void *arg, struct partition *p)
{
        follow_as_told(arg, p);
        asks_add(arg, p); /* dropped again when there is no question */
        return 0;
}

static void save_run(struct io_job *job)
{
        struct replicator *r = container_of(job, struct replicator, saving);
        int e = watermarks_save(r->cfg.watermarks_path, r->cfg.table);

        if (e && !r->save_failed) /* the next start takes longer to show what is there: no more than that */
                diag(DIAG_WARN, "high watermarks cannot be written to %s: %s", r->cfg.watermarks_path, strerror(-e));
        r->save_failed = e != 0;
}

static void save_done(struct io_job *job)
{
        struct replicator *r = container_of(job, struct replicator, saving);

        r->saves = false;
        r->busy--;
}

static void save(struct replicator *r)
{
        if (r->saves || !r->cfg.watermarks_path || !atomic_load(&r->opened))
                return;
        r->saves = true;
        r->busy++;
        r->saved_ms = clock_mono_ms();
        r->saving = (struct io_job){ .run = save_run, .done = save_done, .reply_loop = r->loop };
        iopool_submit(r->cfg.pool, &r->saving);
}

static void on_tick(struct loop_timer *t)
{
        struct replicator *r = container_of(t, struct replicator, tick);

        if (r->stopping)
                return;
        if (clock_mono_ms() - r->saved_ms >= r->cfg.watermarks_ms)
                save(r);
        (void)partition_table_visit(r->cfg.table, tick_one, r);
        if (__atomic_exchange_n(&r->rescan, false, __ATOMIC_RELAXED))
                (void)partition_table_visit(r->cfg.table, rescan_one, r);
        mend_look(r);
        loop_timer_start(&r->tick, r->cfg.tick_ms);
}

/* ---- life ---- */

static void on_begin(struct loop *l, struct mail *m)
{
        struct replicator *r = container_of(m, struct replicator, begin_mail);

        (void)l;
        loop_timer_start(&r->tick, r->cfg.tick_ms);
}

int replicator_new(const struct replicator_config *cfg, struct replicator **ret_replicator)
{
        struct replicator *r = calloc(1, sizeof *r);
        int e;

        if (!r)
                return -ENOMEM;
        r->cfg = *cfg;
        if (!r->cfg.tick_ms)
                r->cfg.tick_ms = TICK_MS;
        if (!r->cfg.watermarks_ms)
                r->cfg.watermarks_ms = WATERMARKS_MS;
        r->saved_ms = clock_mono_ms();
        if (!r->cfg.fetch_wait_ms)
                r->cfg.fetch_wait_ms = FETCH_WAIT_MS;
        if (!r->cfg.fetch_bytes)
                r->cfg.fetch_bytes = FETCH_BYTES;
        r->serve.table = cfg->table;
        r->serve.pool = cfg->pool;
        r->serve.throttle = &r->leader_throttle;
        atomic_init(&r->broker_epoch, -1);
        ilist_init(&r->fetchers);
        e = loop_new("replication", &r->loop);
        if (!e)
                e = serve_register(&r->serve, cfg->hub);
        if (!e) {
                loop_timer_init(&r->tick, r->loop, on_tick);
                asks_init(r);
                e = loop_start_thread(r->loop);
        }
        if (e) {
                loop_free(r->loop);
                free(r);
                return e;
        }
        r->begin_mail.fn = on_begin;
        loop_post(r->loop, &r->begin_mail);
        *ret_replicator = r;
        return 0;
}

static void on_stopped(struct loop *l, struct mail *m)
{
        struct replicator *r = container_of(m, struct replicator, stopped_mail);

        (void)l;
        r->stopped(r->stopped_arg);
}

/* Calls come back when the hub stops, jobs and questions when they are done. */
static void on_stop_look(struct loop_timer *t)
{
        struct replicator *r = container_of(t, struct replicator, tick);

        if (r->busy || !atomic_load(&r->hub_stopped) || serve_is_busy(&r->serve)) {
                loop_timer_start(&r->tick, STOP_LOOK_MS);
                return;
        }
        r->stopped_mail.fn = on_stopped;
        loop_post(r->stop_loop, &r->stopped_mail);
}

static void on_stop(struct loop *l, struct mail *m)
{
        struct replicator *r = container_of(m, struct replicator, stop_mail);
        struct follow *w, *next;

        (void)l;
        r->stopping = true;
        HASH_ITER (hh, r->follows, w, next)
                follow_remove(w);
        ilist_for_each (f, &r->fetchers, struct fetcher, link)
                loop_timer_stop(&f->timer);
        asks_fini(r);
        loop_timer_stop(&r->tick);
        r->tick.fn = on_stop_look;
        loop_timer_start(&r->tick, 0);
}

void replicator_stop(struct replicator *r, struct loop *loop, void (*done)(void *arg), void *arg)
{
        r->stop_loop = loop;
        r->stopped = done;
        r->stopped_arg = arg;
        r->stop_mail.fn = on_stop;
        loop_post(r->loop, &r->stop_mail);
}

void replicator_hub_stopped(struct replicator *r)
{
        atomic_store(&r->hub_stopped, true);
}

/* What was posted since the stop: partitions are given back. */
static void on_last(struct loop *l, struct mail *m)
{
        (void)m;
        loop_stop(l);
}

struct replicator *replicator_free(struct replicator *r)
{
        struct mail last = { .fn = on_last };

        if (!r)
                return NULL;
        loop_post(r->loop, &last);
        loop_join(r->loop);
        ilist_for_each (f, &r->fetchers, struct fetcher, link)
                fetcher_free(f);
        loop_free(r->loop);
        free(r);
        return NULL;
}

/* ---- from outside ---- */

struct wake {
        struct mail mail;
        struct replicator *r;
};

static void on_wake(struct loop *l, struct mail *m)
{
        struct wake *w = container_of(m, struct wake, mail);

        (void)l;
        ilist_for_each (f, &w->r->fetchers, struct fetcher, link)
                fetcher_run(f);
        free(w);
}

void replicator_set_broker_epoch(struct replicator *r, int64_t epoch)
{
        struct wake *w = malloc(sizeof *w);

        atomic_store(&r->broker_epoch, epoch);
        if (!w) {
                __atomic_store_n(&r->rescan, true, __ATOMIC_RELAXED);
                return;
        }
        *w = (struct wake){ .mail.fn = on_wake, .r = r };
        loop_post(r->loop, &w->mail);
}

void replicator_opened(struct replicator *r)
{
        atomic_store(&r->opened, true);
}

void replicator_set_rates(struct replicator *r, int64_t leader_bytes, int64_t follower_bytes)
{
        atomic_store(&r->leader_throttle.bytes_per_second, leader_bytes);
        atomic_store(&r->follower_throttle.bytes_per_second, follower_bytes);
}

void replicator_stats(const struct replicator *r, struct replicator_stats *ret)
{
        *ret = (struct replicator_stats){
                .bytes_fetched = atomic_load(&r->bytes_fetched),
                .bytes_served = atomic_load(&r->serve.bytes),
                .batches_refused = atomic_load(&r->batches_refused),
                .fetches = atomic_load(&r->fetches),
                .truncations = atomic_load(&r->truncations),
                .restarts = atomic_load(&r->restarts),
                .following = atomic_load(&r->following),
                .serving = atomic_load(&r->serve.sessions),
        };
}
