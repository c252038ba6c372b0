/* The markers of one transaction on their way to the leaders, again and again until all of them have theirs:
 *
 *      round: every partition without a marker --by leader--> a call each, or a write here
 *        ^                                                       |
 *        +---- a little later, when some came to nothing <-------+----> all done: coord_shard_marked()
 *
 * Nobody waits for it any more when the coordinator has gone: whoever is it next begins anew. */
#include <errno.h>
#include <stdlib.h>

#include "coord/peer_txn.h"
#include "coord/shard.h"
#include "coord/txn_link.h"
#include "sys/diag.h"

enum { CALL_MS = 10000, AGAIN_MS_MIN = 20, AGAIN_MS_MAX = 200, TELL_ROUNDS = 100 };

struct sending;

/* What one leader is asked for in one round. */
struct part {
        struct sending *s;
        int32_t node;
        struct coord_mark **marks;
        size_t count;
        struct peer_call call;
        struct mark_write write; /* when it is this node */
};

struct sending {
        struct txn_link *link;
        struct coord_marks *m;
        struct loop *loop;
        struct loop_timer timer;
        int64_t again_ms;
        unsigned rounds;
        bool is_fenced;   /* there is a newer coordinator */
        struct arena mem; /* of the round */
        struct part *parts;
        size_t parts_count, left;
};

static void free_sending(struct sending *s)
{
        struct txn_link *l = s->link;

        loop_timer_stop(&s->timer);
        arena_fini(&s->mem);
        free(s);
        txn_link_end(l);
}

static void give_up(struct sending *s)
{
        coord_marks_free(s->m);
        free_sending(s);
}

static bool is_done(const struct coord_marks *m)
{
        for (size_t i = 0; i < m->items_count; i++)
                if (!m->items[i].done)
                        return false;
        return true;
}

static void tell(const struct sending *s)
{
        for (size_t i = 0; i < s->m->items_count; i++)
                if (!s->m->items[i].done) {
                        diag_limited(DIAG_WARN,
                                     "transaction %.*s is decided, but the leader of %.*s-%d does not take its marker; "
                                     "readers of committed records wait there until it does",
                                     STR_FMT(s->m->id), STR_FMT(s->m->items[i].topic), s->m->items[i].partition);
                        return;
                }
}

static void again(struct sending *s)
{
        if (++s->rounds % TELL_ROUNDS == 0)
                tell(s);
        s->again_ms = MIN2(MAX2(s->again_ms * 2, (int64_t)AGAIN_MS_MIN), (int64_t)AGAIN_MS_MAX);
        loop_timer_start(&s->timer, s->again_ms);
}

static void round_end(struct sending *s)
{
        struct coord_marks *m = s->m;

        arena_fini(&s->mem);
        s->parts = NULL;
        s->parts_count = 0;
        if (!m->shard || s->is_fenced || atomic_load(&s->link->stopping)) {
                give_up(s);
        } else if (is_done(m)) {
                free_sending(s);
                coord_shard_marked(m);
        } else {
                again(s);
        }
}

static void part_end(struct part *p)
{
        struct sending *s = p->s;

        if (!--s->left)
                round_end(s);
}

static void take_outcome(struct part *p, size_t i, int outcome)
{
        switch (outcome) {
        case COORD_OK:
        case COORD_E_INVALID_PRODUCER_EPOCH: /* it has come before, or the producer is beyond it */
                p->marks[i]->done = true;
                break;
        case COORD_E_COORDINATOR_FENCED:
                p->s->is_fenced = true;
                break;
        default:
                break;
        }
}

/* ---- to this node ---- */

static void written(struct mark_write *w)
{
        struct part *p = container_of(w, struct part, write);

        for (size_t i = 0; i < p->count; i++)
                take_outcome(p, i, w->items[i].outcome);
        part_end(p);
}

static bool part_write(struct part *p)
{
        struct coord_marks *m = p->s->m;

        p->write = (struct mark_write){
                .link = p->s->link,
                .loop = p->s->loop,
                .producer_id = m->producer_id,
                .producer_epoch = m->producer_epoch,
                .coordinator_epoch = m->coordinator_epoch,
                .commit = m->commit,
                .bumped = m->bumped,
                .items = ARENA_NEW_ARRAY(&p->s->mem, struct mark_item, p->count),
                .items_count = p->count,
                .done = written,
        };
        if (!p->write.items)
                return false;
        for (size_t i = 0; i < p->count; i++) {
                p->write.items[i].topic = p->marks[i]->topic;
                p->write.items[i].partition = p->marks[i]->partition;
        }
        mark_write_start(&p->write);
        return true;
}

/* ---- to another one ---- */

static void called(struct peer_call *call)
{
        struct part *p = container_of(call, struct part, call);
        struct peer_txn_markers_response rsp;

        if (call->outcome == PEER_OK && !PEER_DECODE(peer_txn_markers_response, &rsp, call->body, 0, &p->s->mem) &&
            (size_t)rsp.outcomes_count == p->count)
                for (size_t i = 0; i < p->count; i++)
                        take_outcome(p, i, rsp.outcomes[i]);
        iobuf_unref(call->frame);
        part_end(p);
}

/* Marks of one topic come one after the other. */
static bool fill_topics(struct part *p, struct peer_txn_markers_request *m)
{
        struct peer_txn_markers_request_topic *t = NULL;
        int32_t *partitions = ARENA_NEW_ARRAY(&p->s->mem, int32_t, p->count);

        m->topics = ARENA_NEW_ARRAY(&p->s->mem, struct peer_txn_markers_request_topic, p->count);
        if (!m->topics || !partitions)
                return false;
        for (size_t i = 0; i < p->count; i++) {
                if (!t || !str_equal(t->name, p->marks[i]->topic)) {
                        t = &m->topics[m->topics_count++];
                        peer_txn_markers_request_topic_init(t);
                        t->name = p->marks[i]->topic;
                        t->partitions = &partitions[i];
                }
                partitions[i] = p->marks[i]->partition;
                t->partitions_count++;
        }
        return true;
}

static bool part_call(struct part *p)
{
        struct coord_marks *marks = p->s->m;
        struct peer_txn_markers_request m;

        peer_txn_markers_request_init(&m);
        m.producer_id = marks->producer_id;
        m.producer_epoch = marks->producer_epoch;
        m.coordinator_epoch = marks->coordinator_epoch;
        m.commit = marks->commit;
        m.bumped = marks->bumped;
        p->call = (struct peer_call){ .node = p->node,
                                      .lane = PEER_CONTROL,
                                      .key = PEER_TXN_MARKERS_REQUEST_KEY,
                                      .timeout_ms = CALL_MS,
                                      .loop = p->s->loop,
                                      .done = called };
        if (!fill_topics(p, &m) || PEER_ENCODE(&p->call.out, peer_txn_markers_request, &m, 0, 0))
                return false;
        peer_call_submit(p->s->link->hub, &p->call);
        return true;
}

/* ---- a round ---- */

/* Return: NULL when memory is out. */
static struct part *part_of(struct sending *s, int32_t node)
{
        struct part *p;

        for (size_t i = 0; i < s->parts_count; i++)
                if (s->parts[i].node == node)
                        return &s->parts[i];
        p = &s->parts[s->parts_count++];
        *p = (struct part){ .s = s,
                            .node = node,
                            .marks = ARENA_NEW_ARRAY(&s->mem, struct coord_mark *, s->m->items_count) };
        return p->marks ? p : NULL;
}

static bool sort_by_leader(struct sending *s)
{
        struct txn_link *l = s->link;
        struct txn_place place;
        struct part *p;

        s->parts = ARENA_NEW_ARRAY(&s->mem, struct part, s->m->items_count);
        if (!s->parts)
                return false;
        for (size_t i = 0; i < s->m->items_count; i++) {
                struct coord_mark *mark = &s->m->items[i];

                if (mark->done)
                        continue;
                if (!l->find(l->arg, mark->topic, mark->partition, &place)) {
                        mark->done = true; /* its topic was deleted */
                } else if (place.leader >= 0 && (place.leader == l->node_id || l->hub)) {
                        p = part_of(s, place.leader);
                        if (!p)
                                return false;
                        p->marks[p->count++] = mark;
                }
        }
        return true;
}

static void round_begin(struct sending *s)
{
        bool ok = sort_by_leader(s);

        s->left = 1; /* so that it does not end in the midst of this */
        for (size_t i = 0; ok && i < s->parts_count; i++) {
                s->left++;
                if (!(s->parts[i].node == s->link->node_id ? part_write(&s->parts[i]) : part_call(&s->parts[i])))
                        s->left--; /* no memory: the next round */
        }
        if (!--s->left)
                round_end(s);
}

static void on_timer(struct loop_timer *t)
{
        struct sending *s = container_of(t, struct sending, timer);

        if (s->m->shard && !atomic_load(&s->link->stopping))
                round_begin(s);
        else
                give_up(s);
}

void txn_link_send(void *link, struct coord_marks *m)
{
        struct sending *s = calloc(1, sizeof *s);
        struct txn_link *l = link;

        if (!s) {
                diag(DIAG_ERROR,
                     "no memory to send the markers of transaction %.*s: it is ended when its coordinator is "
                     "started or moved",
                     STR_FMT(m->id));
                coord_marks_free(m);
                return;
        }
        *s = (struct sending){ .link = l, .m = m, .loop = loop_current() };
        arena_init(&s->mem, 0);
        loop_timer_init(&s->timer, s->loop, on_timer);
        txn_link_begin(l);
        /* Not at once: the shard is in the midst of what led here. */
        loop_timer_start(&s->timer, 0);
}
