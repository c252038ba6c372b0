/* Who the observers are, as operators want to know it. A controller sees those that ask it; what it sees it tells the leader
 * now and then. */
#include <errno.h>
#include <string.h>

#include "quorum/quorum_internal.h"
#include "sys/clock.h"

#define REPORT_MS 5000        /* between reports to the leader: for people, who do not look more often */
#define FORGET_MS (5 * 60000) /* an observer that was not heard of for so long is gone */

struct quorum_observer {
        int32_t node;
        struct uuid directory;
        int64_t index; /* it has everything up to here */
        int64_t fetched_ms;
        int64_t caught_up_ms; /* -1: never */
        bool fetches_here;    /* or another controller says so */
};

static struct quorum_observer *observer_of(struct quorum *q, int32_t node)
{
        struct quorum_observer *oldest = NULL;

        for (uint32_t i = 0; i < q->observers_count; i++) {
                struct quorum_observer *o = &q->observers[i];

                if (o->node == node)
                        return o;
                if (!oldest || o->fetched_ms < oldest->fetched_ms)
                        oldest = o;
        }
        if (!q->observers)
                q->observers = calloc(QUORUM_OBSERVERS_MAX, sizeof *q->observers);
        if (!q->observers)
                return NULL;
        if (q->observers_count < QUORUM_OBSERVERS_MAX)
                oldest = &q->observers[q->observers_count++];
        *oldest = (struct quorum_observer){ .node = node, .caught_up_ms = -1 };
        return oldest;
}

void quorum_observer_note(struct quorum *q, int32_t node, const struct quorum_fetch_request *m)
{
        struct quorum_observer *o = observer_of(q, node);

        if (!o)
                return;
        o->directory = m->directory;
        o->index = m->next - 1;
        o->fetched_ms = loop_now_ms(q->cfg.loop);
        o->fetches_here = true;
        if (o->index >= q->image->index)
                o->caught_up_ms = o->fetched_ms;
}

static void forget_silent(struct quorum *q)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);

        for (uint32_t i = 0; i < q->observers_count;) {
                if (now_ms - q->observers[i].fetched_ms > FORGET_MS)
                        q->observers[i] = q->observers[--q->observers_count];
                else
                        i++;
        }
}

void quorum_feed_describe(struct quorum *q, struct quorum_description *ret)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop), wall_ms = clock_wall_ms();

        forget_silent(q);
        for (uint32_t i = 0; i < q->observers_count; i++) {
                const struct quorum_observer *o = &q->observers[i];

                ret->observers[ret->observers_count++] = (struct quorum_replica){
                        .node = o->node,
                        .directory = o->directory,
                        .log_end = o->index + 1,
                        .heard_ms = wall_ms - (now_ms - o->fetched_ms),
                        .caught_up_ms = o->caught_up_ms < 0 ? -1 : wall_ms - (now_ms - o->caught_up_ms),
                };
        }
}

/* ---- telling the leader ---- */

static void report_done(struct quorum_call *c)
{
        struct quorum *q = c->q;

        quorum_call_free(c);
        quorum_stop_continue(q);
}

void quorum_feed_report(struct quorum *q)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);
        CLEANUP(freep) struct quorum_observers_request_observer *list = NULL;
        struct quorum_observers_request rq;
        struct quorum_call *c;

        if (q->leader < 0 || q->leader == q->cfg.node_id || !q->observers_count ||
            now_ms - q->observers_told_ms < REPORT_MS)
                return;
        q->observers_told_ms = now_ms;
        list = calloc(q->observers_count, sizeof *list);
        c = list ? quorum_call_new(q, q->leader, QUORUM_OBSERVERS_REQUEST_KEY, REPORT_MS, report_done) : NULL;
        if (!c)
                return;
        quorum_observers_request_init(&rq);
        rq.observers = list;
        for (uint32_t i = 0; i < q->observers_count; i++) {
                const struct quorum_observer *o = &q->observers[i];

                if (!o->fetches_here || now_ms - o->fetched_ms > FORGET_MS)
                        continue;
                list[rq.observers_count++] = (struct quorum_observers_request_observer){
                        .node = o->node,
                        .directory = o->directory,
                        .index = o->index,
                        .fetched_ago_ms = now_ms - o->fetched_ms,
                        .caught_up_ago_ms = o->caught_up_ms < 0 ? -1 : now_ms - o->caught_up_ms,
                };
        }
        if (PEER_ENCODE(&c->call.out, quorum_observers_request, &rq, 0, 0)) {
                quorum_call_drop(c);
                return;
        }
        quorum_call_submit(c);
}

void quorum_observers_told(struct quorum *q, struct peer_request *rq, const struct quorum_observers_request *m)
{
        int64_t now_ms = loop_now_ms(q->cfg.loop);
        struct quorum_observers_response a;

        for (int32_t i = 0; i < m->observers_count && i < QUORUM_OBSERVERS_MAX; i++) {
                const struct quorum_observers_request_observer *from = &m->observers[i];
                struct quorum_observer *o;
                int64_t at_ms = now_ms - MAX2(from->fetched_ago_ms, (int64_t)0);

                if (from->fetched_ago_ms > FORGET_MS)
                        continue;
                o = observer_of(q, from->node);
                if (!o || o->fetched_ms > at_ms)
                        continue;
                o->directory = from->directory;
                o->index = from->index;
                o->fetched_ms = at_ms;
                o->fetches_here = false;
                o->caught_up_ms = from->caught_up_ago_ms < 0 ? -1 : now_ms - from->caught_up_ago_ms;
        }
        quorum_observers_response_init(&a);
        QUORUM_ANSWER(rq, quorum_observers_response, &a);
}
