#include "share/shares.h"

#include <errno.h>
#include <stdlib.h>

#include "share/shares_priv.h"
#include "sys/clock.h"

enum { STOP_LOOK_MS = 10 };

bool shares_are_draining(const struct shares *s)
{
        return atomic_load(&s->draining);
}

void shares_stats(const struct shares *s, struct shares_stats *ret)
{
        uint64_t *out = (uint64_t *)ret;

        for (size_t i = 0; i < ARRAY_LEN(s->stats); i++)
                out[i] = atomic_load_explicit(&s->stats[i], memory_order_relaxed);
}

/* ---- answers ---- */

static void on_answer(struct loop *l, struct mail *m)
{
        struct share_ask *a = container_of(m, struct share_ask, mail);

        (void)l;
        a->done(a);
}

void ask_answer(struct share_ask *a)
{
        assert(!a->parked && !a->waits_left && !a->acks_left);
        loop_timer_stop(&a->timer);
        ilist_unlink(&a->link);
        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_row *row = &a->ret_rows[i];

                if (!row->cell)
                        continue;
                row->partition = partition_ref(row->cell->partition);
                cell_unref(row->cell);
                row->cell = NULL;
        }
        a->mail.fn = on_answer;
        loop_post(a->reply_loop, &a->mail);
}

void share_ask_fini(struct share_ask *a)
{
        for (size_t i = 0; i < a->ret_rows_count; i++) {
                struct share_row *row = &a->ret_rows[i];

                partition_unref(row->partition);
                if (row->slice.len)
                        plog_slice_release(&row->slice);
        }
        a->ret_rows_count = 0;
        arena_fini(&a->arena);
}

/* ---- looked at again ---- */

static void look_again(struct share_ask *a)
{
        if (a->answered || a->kind == SHARE_ACKNOWLEDGE) {
                if (!a->acks_left)
                        ask_answer(a);
        } else {
                ask_fetch(a);
        }
}

static void on_ready(struct loop *l, struct mail *m)
{
        struct share_shard *sh = container_of(m, struct share_shard, ready_mail);
        struct ilist now;

        (void)l;
        sh->ready_posted = false;
        ilist_init(&now);
        ilist_splice_back(&now, &sh->ready);
        for (struct share_ask *a; (a = ilist_first(&now, struct share_ask, link));) {
                ilist_unlink(&a->link);
                ilist_push_back(&sh->asks, &a->link);
                if (!a->waits_left && !a->in_job) /* else it is looked at when they come */
                        look_again(a);
        }
}

void ask_make_ready(struct share_ask *a)
{
        struct share_shard *sh = a->shard;

        ask_unpark(a);
        ilist_unlink(&a->link);
        ilist_push_back(&sh->ready, &a->link);
        if (sh->ready_posted)
                return;
        sh->ready_posted = true;
        sh->ready_mail.fn = on_ready;
        loop_post(sh->loop, &sh->ready_mail);
}

/* ---- a request ---- */

static struct share_shard *shard_of(struct shares *s, struct str group)
{
        return &s->shards[map_hash(&s->shards[0].cells, group) % s->cfg.loops_count];
}

static void session_end(struct share_shard *sh, struct share_session *ss)
{
        session_release(sh, ss);
        if (!share_sessions_has_other(&sh->sessions, ss))
                cells_leave(sh, share_session_group(ss));
        share_session_close(&sh->sessions, ss);
        SHARES_COUNT(sh->owner, sessions, -1);
        atomic_fetch_sub(&sh->owner->sessions_count, 1);
}

static int session_open(struct share_ask *a, struct share_session **ret)
{
        struct share_sessions *all = &a->shard->sessions;
        struct shares *s = a->shares;
        bool is_new = !share_session_find(all, a->group, a->member);

        if (is_new && atomic_fetch_add(&s->sessions_count, 1) >= s->cfg.sessions_max) {
                atomic_fetch_sub(&s->sessions_count, 1);
                return SHARES_E_SESSIONS_FULL;
        }
        *ret = share_session_open(all, a->group, a->member);
        if (!*ret) {
                atomic_fetch_sub(&s->sessions_count, is_new);
                return -ENOMEM;
        }
        SHARES_COUNT(s, sessions, is_new);
        return SHARES_OK;
}

static int session_of(struct share_ask *a, struct share_session **ret)
{
        struct share_session *ss;

        if (a->epoch == SHARE_EPOCH_OPEN)
                return a->kind == SHARE_FETCH ? session_open(a, ret) : SHARES_E_SESSION_EPOCH;
        ss = share_session_find(&a->shard->sessions, a->group, a->member);
        if (!ss)
                return SHARES_E_NO_SESSION;
        if (a->epoch != SHARE_EPOCH_CLOSE) {
                if (a->epoch != ss->epoch)
                        return SHARES_E_SESSION_EPOCH;
                share_session_step(ss);
        }
        *ret = ss;
        return SHARES_OK;
}

static int session_change(struct share_ask *a, struct share_session *ss)
{
        int r = 0;

        ss->connection = a->connection;
        a->number = ss->number;
        if (a->kind != SHARE_FETCH)
                return 0;
        for (size_t i = 0; !r && i < a->rows_count; i++)
                if (!a->rows[i].refused)
                        r = share_session_add(ss, &a->rows[i].place);
        for (size_t i = 0; i < a->forgets_count; i++)
                share_session_remove(ss, &a->forgets[i]);
        return r;
}

static int by_place(const void *a, const void *b)
{
        return share_place_compare(&(*(struct share_row *const *)a)->place, &(*(struct share_row *const *)b)->place);
}

static int place_of(const void *key, const void *row)
{
        return share_place_compare(key, &(*(struct share_row *const *)row)->place);
}

static void row_init(struct share_ask *a, struct share_row *row)
{
        row->fetches = false;
        row->outcome = row->ack_outcome = row->refused;
        row->ask = a;
        row->wait = (struct partition_wait){ 0 };
        ilist_init(&row->ack_link);
        ilist_init(&row->wait_link);
}

/* Those that the request names, then the others of the session. Return: 0 or -ENOMEM. */
static int rows_make(struct share_ask *a, const struct share_session *ss)
{
        bool fetches = a->kind == SHARE_FETCH && a->epoch != SHARE_EPOCH_CLOSE && !a->only_renews;
        size_t places = fetches ? ss->places_count : 0, count = a->rows_count;
        struct share_row **sorted = ARENA_NEW_ARRAY(&a->arena, struct share_row *, a->rows_count);

        a->ret_rows = ARENA_NEW_ARRAY(&a->arena, struct share_row, a->rows_count + places);
        a->readings = ARENA_NEW_ARRAY(&a->arena, struct share_reading, a->rows_count + places);
        if (!sorted || !a->ret_rows || !a->readings)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
                a->ret_rows[i] = a->rows[i];
                row_init(a, &a->ret_rows[i]);
                sorted[i] = &a->ret_rows[i];
        }
        if (count)
                qsort(sorted, count, sizeof(struct share_row *), by_place);
        for (size_t i = 0; i < places; i++) {
                struct share_row **named =
                        bsearch(&ss->places[i], sorted, a->rows_count, sizeof(struct share_row *), place_of);
                struct share_row *row = named ? *named : &a->ret_rows[count++];

                if (!named) {
                        *row = (struct share_row){ .place = ss->places[i] };
                        row_init(a, row);
                }
                row->fetches = !row->refused;
        }
        a->ret_rows_count = count;
        return 0;
}

static void work(struct share_ask *a, struct share_session *ss)
{
        bool closes = a->epoch == SHARE_EPOCH_CLOSE;
        bool fetches = a->kind == SHARE_FETCH && !closes && !a->only_renews;

        a->first_row = a->ret_rows_count ? ss->turn++ % a->ret_rows_count : 0;
        ask_acknowledge(a);
        if (closes)
                session_end(a->shard, ss);
        if (fetches) {
                ask_fetch(a);
                return;
        }
        a->answered = true;
        if (!a->acks_left)
                ask_answer(a);
}

static void on_submit(struct loop *l, struct mail *m)
{
        struct share_ask *a = container_of(m, struct share_ask, mail);
        struct share_session *ss;

        loop_timer_init(&a->timer, l, ask_time_is_up);
        ilist_push_back(&a->shard->asks, &a->link);
        a->deadline_ms = clock_mono_ms() + MAX2(a->wait_ms, (int64_t)0);
        a->outcome = a->shard->stopping ? SHARES_E_NOT_AVAILABLE : session_of(a, &ss);
        if (!a->outcome) {
                a->ret_settings = a->shares->cfg.settings(a->shares->cfg.arg, a->group);
                a->outcome = session_change(a, ss);
        }
        if (!a->outcome)
                a->outcome = rows_make(a, ss);
        if (a->outcome)
                ask_answer(a);
        else
                work(a, ss);
}

void share_ask_submit(struct shares *s, struct share_ask *a)
{
        a->shares = s;
        a->shard = shard_of(s, a->group);
        a->outcome = 0;
        a->ret_rows = NULL;
        a->ret_rows_count = 0;
        a->acks_left = a->waits_left = 0;
        a->has_acks = a->parked = a->in_job = a->late = a->abandoned = a->answered = false;
        arena_init(&a->arena, 0);
        ilist_init(&a->link);
        a->mail.fn = on_submit;
        loop_post(a->shard->loop, &a->mail);
}

/* ---- connections ---- */

struct closing {
        struct mail mail;
        struct share_shard *shard;
        uint64_t connection;
};

/* They must not be given any more. */
static void abandon(struct ilist *asks, uint64_t connection)
{
        ilist_for_each (a, asks, struct share_ask, link)
                if (a->connection == connection && !a->abandoned) {
                        a->abandoned = a->late = true;
                        ask_make_ready(a);
                }
}

static void on_closed(struct loop *l, struct mail *m)
{
        struct closing *c = container_of(m, struct closing, mail);

        (void)l;
        abandon(&c->shard->asks, c->connection);
        abandon(&c->shard->ready, c->connection);
        ilist_for_each (ss, &c->shard->sessions.all, struct share_session, link)
                if (ss->connection == c->connection)
                        session_end(c->shard, ss);
        free(c);
}

void shares_connection_closed(struct shares *s, uint64_t connection)
{
        if (!atomic_load(&s->sessions_count))
                return;
        for (unsigned i = 0; i < s->cfg.loops_count; i++) {
                struct closing *c = malloc(sizeof *c);

                if (!c) /* the time of what is under way runs out */
                        return;
                *c = (struct closing){ .mail.fn = on_closed, .shard = &s->shards[i], .connection = connection };
                loop_post(s->shards[i].loop, &c->mail);
        }
}

/* ---- life ---- */

int shares_new(const struct shares_config *cfg, struct shares **ret_shares)
{
        struct shares *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->cfg = *cfg;
        s->shards = calloc(cfg->loops_count, sizeof *s->shards);
        if (!s->shards) {
                free(s);
                return -ENOMEM;
        }
        for (unsigned i = 0; i < cfg->loops_count; i++) {
                struct share_shard *sh = &s->shards[i];

                sh->owner = s;
                sh->loop = cfg->loops[i];
                map_init(&sh->cells, cfg->hash_seed);
                ilist_init(&sh->cells_list);
                ilist_init(&sh->asks);
                ilist_init(&sh->ready);
                share_sessions_init(&sh->sessions, cfg->hash_seed);
                loop_timer_init(&sh->sweep, sh->loop, cells_sweep);
        }
        *ret_shares = s;
        return 0;
}

static void on_drain(struct loop *l, struct mail *m)
{
        struct share_shard *sh = container_of(m, struct share_shard, drain_mail);

        (void)l;
        ilist_for_each (a, &sh->asks, struct share_ask, link)
                if (a->parked)
                        ask_make_ready(a);
}

void shares_drain(struct shares *s)
{
        if (atomic_exchange(&s->draining, true))
                return;
        for (unsigned i = 0; i < s->cfg.loops_count; i++) {
                s->shards[i].drain_mail.fn = on_drain;
                loop_post(s->shards[i].loop, &s->shards[i].drain_mail);
        }
}

static void on_stopped(struct loop *l, struct mail *m)
{
        struct shares *s = container_of(m, struct shares, stop_mail);

        (void)l;
        s->stopped(s->stopped_arg);
}

/* Calls that are on their way come back: the coordinator or its connection tells them their end. */
static void look_whether_stopped(struct share_shard *sh)
{
        struct shares *s = sh->owner;

        if (sh->work || !ilist_is_empty(&sh->asks) || !ilist_is_empty(&sh->ready)) {
                loop_timer_start(&sh->sweep, STOP_LOOK_MS);
                return;
        }
        share_sessions_fini(&sh->sessions);
        map_fini(&sh->cells);
        if (atomic_fetch_sub(&s->shards_left, 1) != 1)
                return;
        s->stop_mail.fn = on_stopped;
        loop_post(s->stop_loop, &s->stop_mail);
}

static void on_stop_look(struct loop_timer *t)
{
        look_whether_stopped(container_of(t, struct share_shard, sweep));
}

static void on_stop(struct loop *l, struct mail *m)
{
        struct share_shard *sh = container_of(m, struct share_shard, stop_mail);

        (void)l;
        sh->stopping = true;
        loop_timer_stop(&sh->sweep);
        sh->sweep.fn = on_stop_look;
        ilist_for_each (c, &sh->cells_list, struct share_cell, link)
                cell_end(c, SHARES_E_NOT_AVAILABLE);
        look_whether_stopped(sh);
}

void shares_stop(struct shares *s, struct loop *loop, void (*stopped)(void *arg), void *arg)
{
        s->stop_loop = loop;
        s->stopped = stopped;
        s->stopped_arg = arg;
        atomic_store(&s->shards_left, s->cfg.loops_count);
        for (unsigned i = 0; i < s->cfg.loops_count; i++) {
                s->shards[i].stop_mail.fn = on_stop;
                loop_post(s->shards[i].loop, &s->shards[i].stop_mail);
        }
}

struct shares *shares_free(struct shares *s)
{
        if (!s)
                return NULL;
        for (unsigned i = 0; i < s->cfg.loops_count; i++) {
                share_sessions_fini(&s->shards[i].sessions);
                map_fini(&s->shards[i].cells);
        }
        free(s->shards);
        free(s);
        return NULL;
}
