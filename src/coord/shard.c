/* States of a shard.
 *
 *      coord_shard_new()
 *            |
 *            v      shard_load.c                 shard_activate()
 *        Loading ----------------> Confirming -----------------> Active
 *          ^ |                          |                          |
 *          | +--------------------------+------ shard_fail() ------+
 *          |                            v
 *          +------- timer ---------- Failed          any ---> Closing (coord_shard_close()) ---> gone */
#include "coord/shard_priv.h"

#include <errno.h>
#include <string.h>

#include "sys/diag.h"

enum { RETRY_MS_MIN = 100, RETRY_MS_MAX = 5000 };

#define TO(s) (1u << SHARD_##s)

static const unsigned next_states[] = {
        [SHARD_LOADING] = TO(CONFIRMING) | TO(FAILED) | TO(CLOSING),
        [SHARD_CONFIRMING] = TO(ACTIVE) | TO(FAILED) | TO(CLOSING),
        [SHARD_ACTIVE] = TO(FAILED) | TO(CLOSING),
        [SHARD_FAILED] = TO(LOADING) | TO(CLOSING),
        [SHARD_CLOSING] = 0,
};

void shard_set_state(struct coord_shard *s, enum shard_state to)
{
        assert(next_states[s->state] & 1u << to);
        pthread_mutex_lock(s->args.lock);
        s->state = to;
        pthread_mutex_unlock(s->args.lock);
}

/* ---- answers ---- */

static void on_answer(struct loop *l, struct mail *m)
{
        struct coord_request *rq = container_of(m, struct coord_request, mail);

        assert(rq->magic == COORD_REQUEST_MAGIC);
        rq->done(rq);
}

void coord_request_answer(struct coord_request *rq)
{
        rq->mail.fn = on_answer;
        loop_post(rq->reply_loop, &rq->mail);
}

static void publish_stats(struct coord_shard *s)
{
        struct coord_stats now = { 0 };
        const uint64_t *a = (const uint64_t *)&now, *b = (const uint64_t *)&s->published;

        if (s->machine)
                s->args.ops->stats(s->machine, &now);
        for (unsigned i = 0; i < COORD_STATS_COUNT; i++)
                if (a[i] != b[i])
                        atomic_fetch_add_explicit(&s->args.stats[i], a[i] - b[i], memory_order_relaxed);
        s->published = now;
}

/* The machine's counters go on where they were; its gauges are given back. */
static void unpublish_gauges(struct coord_shard *s)
{
        const uint64_t *gauges = (const uint64_t *)&s->published;

        for (unsigned i = 0; i < COORD_GAUGES_COUNT; i++)
                atomic_fetch_sub_explicit(&s->args.stats[i], gauges[i], memory_order_relaxed);
        s->published = (struct coord_stats){ 0 };
}

/* ---- what an event brings ---- */

static void set_timer(struct coord_shard *s)
{
        struct coord_request *first = ilist_first(&s->held, struct coord_request, link);
        int64_t at_ms = s->args.ops->next_ms(s->machine);

        if (first)
                at_ms = MIN2(at_ms, first->deadline_ms);
        if (loop_timer_is_active(&s->timer) && s->timer_ms <= at_ms)
                return; /* it comes too early, and is set again then: cheaper than to set it with every request */
        s->timer_ms = at_ms;
        if (at_ms != INT64_MAX)
                loop_timer_start(&s->timer, MAX2(at_ms - loop_now_ms(s->args.loop), (int64_t)0));
}

/* Answers that do not depend on the failed write may still leave. */
static void refuse_dependent(struct coord_shard *s, struct coord_actions *acts, int outcome)
{
        struct ilist *l;

        while ((l = ilist_pop_front(&acts->replies))) {
                struct coord_request *rq = ilist_entry(l, struct coord_request, link);

                if (rq->need_seq > s->committed_seq)
                        coord_request_refuse(rq, outcome);
                coord_request_answer(rq);
        }
}

static void send_marks(struct coord_shard *s, struct coord_actions *acts)
{
        for (struct ilist *l; (l = ilist_pop_front(&acts->marks));) {
                struct coord_marks *m = ilist_entry(l, struct coord_marks, link);

                m->shard = s;
                m->coordinator_epoch = s->leader_epoch;
                ilist_push_back(&s->marks, &m->link);
                s->args.send(s->args.send_arg, m);
        }
}

void shard_act(struct coord_shard *s, struct coord_actions *acts, int r)
{
        struct ilist *l;

        if (!r && acts->records_count)
                r = shard_append(s, acts);
        if (r) {
                refuse_dependent(s, acts, r);
                while ((l = ilist_pop_front(&acts->marks)))
                        coord_marks_free(ilist_entry(l, struct coord_marks, link));
                coord_actions_fini(acts);
                shard_fail(s, r);
                return;
        }
        send_marks(s, acts);
        while ((l = ilist_pop_front(&acts->replies))) {
                struct coord_request *rq = ilist_entry(l, struct coord_request, link);

                if (rq->need_seq > s->committed_seq)
                        shard_hold(s, rq);
                else
                        coord_request_answer(rq);
        }
        coord_actions_fini(acts);
        publish_stats(s);
        set_timer(s);
}

/* Whoever leads the partition next sends them again. */
static void forget_marks(struct coord_shard *s)
{
        for (struct ilist *l; (l = ilist_pop_front(&s->marks));)
                ilist_entry(l, struct coord_marks, link)->shard = NULL;
}

static void drop_machine(struct coord_shard *s, int outcome)
{
        struct coord_actions acts;
        void *machine;

        shard_refuse_held(s, outcome);
        forget_marks(s);
        if (!s->machine)
                return;
        pthread_mutex_lock(s->args.lock);
        machine = TAKE_PTR(s->machine);
        pthread_mutex_unlock(s->args.lock);
        coord_actions_init(&acts);
        s->args.ops->abort(machine, outcome, &acts);
        for (struct ilist *l; (l = ilist_pop_front(&acts.replies));)
                coord_request_answer(ilist_entry(l, struct coord_request, link));
        coord_actions_fini(&acts);
        s->args.ops->free(machine);
        unpublish_gauges(s);
        s->committed_seq = 0;
        s->writes_count = 0;
}

void shard_fail(struct coord_shard *s, int outcome)
{
        /* A node without its lease reads it again and again. */
        diag_limited(
                DIAG_WARN, "%s: coordinator state is dropped and read again in %lld ms (%s %d); its clients try again",
                s->name, (long long)s->retry_ms, outcome < 0 ? "errno" : "outcome", outcome < 0 ? -outcome : outcome);
        drop_machine(s, outcome);
        shard_unwait(s);
        shard_set_state(s, SHARD_FAILED);
        loop_timer_start(&s->timer, s->retry_ms);
        s->retry_ms = MIN2(s->retry_ms * 2, (int64_t)RETRY_MS_MAX);
}

static void drop_deleted_topics(struct coord_shard *s)
{
        ilist_for_each (t, &s->deleted_topics, struct deleted_topic, link) {
                ilist_unlink(&t->link);
                free(t);
        }
}

void shard_activate(struct coord_shard *s)
{
        struct coord_actions acts;
        int r;

        shard_set_state(s, SHARD_ACTIVE);
        s->retry_ms = RETRY_MS_MIN;
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, loaded(s->machine, shard_now(s), &acts));
        shard_act(s, &acts, r);
        ilist_for_each (t, &s->deleted_topics, struct deleted_topic, link)
                if (s->state == SHARD_ACTIVE)
                        coord_shard_topic_deleted(s, (struct str){ t->name, t->len });
        if (s->state == SHARD_ACTIVE)
                drop_deleted_topics(s);
}

static void on_timer(struct loop_timer *t)
{
        struct coord_shard *s = container_of(t, struct coord_shard, timer);
        struct coord_actions acts;
        int r;

        if (s->state == SHARD_FAILED) {
                if (s->wait_runs) /* its mail is on its way and may not be posted twice */
                        loop_timer_start(t, RETRY_MS_MIN);
                else
                        shard_load(s);
                return;
        }
        if (s->state != SHARD_ACTIVE)
                return;
        shard_expire_held(s);
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, tick(s->machine, shard_now(s), &acts));
        shard_act(s, &acts, r);
}

/* ---- requests ---- */

bool coord_shard_is_active(const struct coord_shard *s)
{
        return s->state == SHARD_ACTIVE;
}

int32_t coord_shard_index(const struct coord_shard *s)
{
        return s->args.index;
}

static void refuse(struct coord_request *rq, int outcome)
{
        coord_request_refuse(rq, outcome);
        coord_request_answer(rq);
}

/* Does an answer to it rest on what was read, and not on a write of its own? */
static bool is_read(enum coord_op op)
{
        return op == COORD_OFFSET_FETCH || (op >= COORD_TXN_INIT && op <= COORD_TXN_DESCRIBE);
}

/* May the offsets be written as part of the producer's transaction? Only this loop writes to the log, so what is true now is true
 * when they are. */
static int check_txn(struct coord_shard *s, const struct coord_offset_commit *rq)
{
        return coord_outcome_of_log(
                partition_txn_check(s->args.partition, rq->producer_id, rq->producer_epoch, &rq->txn_guard));
}

void coord_shard_request(struct coord_shard *s, struct coord_request *rq)
{
        struct coord_actions acts;
        int r = 0;

        if (s->state != SHARD_ACTIVE) {
                refuse(rq, s->state == SHARD_CLOSING ? COORD_E_NOT_COORDINATOR : COORD_E_LOADING);
                return;
        }
        /* What is written waits for the replicas anyway; what is read would be what another coordinator has gone beyond. */
        if (is_read(rq->op) && !partition_leads_surely(s->args.partition))
                r = COORD_E_NOT_COORDINATOR;
        else if (rq->op == COORD_TXN_OFFSET_COMMIT)
                r = check_txn(s, container_of(rq, struct coord_offset_commit, rq));
        if (r) {
                refuse(rq, r);
                return;
        }
        if (rq->op == COORD_TXN_MARKER) {
                shard_write_marker(s, container_of(rq, struct coord_txn_marker, rq));
                return;
        }
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, request(s->machine, rq, shard_now(s), &acts));
        shard_act(s, &acts, r);
}

bool coord_shard_quick(struct coord_shard *s, struct coord_request *rq)
{
        struct loop *here = loop_current();

        return s->state == SHARD_ACTIVE && s->machine && s->args.ops->quick &&
               s->args.ops->quick(s->machine, rq, here ? loop_now_ms(here) : clock_mono_ms());
}

void coord_shard_collect(struct coord_shard *s, struct coord_request *rq)
{
        struct coord_actions acts;

        if (s->state == SHARD_CLOSING)
                return;
        if (s->state != SHARD_ACTIVE) {
                if (!rq->outcome)
                        rq->outcome = COORD_E_LOADING;
                return;
        }
        coord_actions_init(&acts);
        (void)SHARD_EVENT(s,
                          request(s->machine, rq, shard_now(s), &acts)); /* changes nothing, so nothing can be wrong */
        ilist_unlink(&rq->link);
        coord_actions_fini(&acts);
}

static void note_deleted(struct coord_shard *s, struct str topic)
{
        struct deleted_topic *t = malloc(sizeof *t + topic.len);

        if (!t) {
                diag(DIAG_WARN, "%s: no memory to note that topic %.*s was deleted; its offsets stay until they expire",
                     s->name, STR_FMT(topic));
                return;
        }
        t->len = topic.len;
        memcpy(t->name, topic.p, topic.len);
        ilist_push_back(&s->deleted_topics, &t->link);
}

void coord_shard_marked(struct coord_marks *m)
{
        struct coord_shard *s = m->shard;
        struct coord_actions acts;
        int r;

        ilist_unlink(&m->link);
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, marked(s->machine, m, shard_now(s), &acts));
        shard_act(s, &acts, r);
}

void coord_shard_topic_deleted(struct coord_shard *s, struct str topic)
{
        struct coord_actions acts;
        int r;

        if (s->state != SHARD_ACTIVE) {
                if (s->state != SHARD_CLOSING)
                        note_deleted(s, topic);
                return;
        }
        coord_actions_init(&acts);
        r = SHARD_EVENT(s, topic_deleted(s->machine, topic, shard_now(s), &acts));
        shard_act(s, &acts, r);
}

/* ---- life ---- */

int coord_shard_new(const struct coord_shard_args *args, struct coord_shard **ret_shard)
{
        struct coord_shard *s = calloc(1, sizeof *s);

        loop_assert_here(args->loop);
        if (!s)
                return -ENOMEM;
        s->args = *args;
        s->name = strdup(args->name);
        if (!s->name) {
                free(s);
                return -ENOMEM;
        }
        s->state = SHARD_FAILED; /* nothing is loaded yet */
        s->retry_ms = RETRY_MS_MIN;
        ilist_init(&s->held);
        ilist_init(&s->marks);
        ilist_init(&s->deleted_topics);
        loop_timer_init(&s->timer, args->loop, on_timer);
        shard_load(s);
        *ret_shard = s;
        return 0;
}

void shard_maybe_gone(struct coord_shard *s)
{
        if (s->state != SHARD_CLOSING || s->load_runs || s->wait_runs)
                return;
        drop_machine(s, COORD_E_NOT_COORDINATOR);
        drop_deleted_topics(s);
        s->args.gone(s->args.gone_arg, s);
        partition_unref(s->args.partition);
        free(s->load_buf);
        free(s->writes);
        free(s->name);
        free(s);
}

void coord_shard_close(struct coord_shard *s)
{
        if (s->state == SHARD_CLOSING)
                return;
        loop_timer_stop(&s->timer);
        /* While a job reads, the machine is the job's; it holds no requests then. */
        if (!s->load_runs)
                drop_machine(s, COORD_E_NOT_COORDINATOR);
        shard_unwait(s);
        shard_set_state(s, SHARD_CLOSING);
        shard_maybe_gone(s);
}
