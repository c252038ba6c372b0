/* One marker into logs of this node: for a coordinator here, for one on another node, for an operator. A partition of the groups'
 * coordinator is written by that, which has to know what the transaction has staged there. */
#include <errno.h>

#include "coord/peer_txn.h"
#include "coord/txn_link.h"
#include "sys/clock.h"

enum { WAIT_MS = 5000 }; /* for replication; then it is tried again from the beginning */

static const struct str offsets_topic = { "__consumer_offsets", 18 };

static void end(struct mark_write *w)
{
        if (--w->left)
                return;
        loop_timer_stop(&w->timer);
        w->done(w);
}

static void item_end(struct mark_item *i, int outcome)
{
        struct mark_write *w = i->write;

        i->outcome = outcome;
        partition_unref(TAKE_PTR(i->p));
        end(w);
}

/* ---- partitions of records ---- */

static void on_wait(struct loop *l, struct mail *m)
{
        struct mark_item *i = container_of(m, struct mark_item, wait.mail);

        (void)l;
        item_end(i, i->wait.outcome ? coord_outcome_of_log(i->wait.outcome) : i->outcome);
}

static void on_timer(struct loop_timer *t)
{
        struct mark_write *w = container_of(t, struct mark_write, timer);

        w->left++; /* so that it does not end in the midst of this */
        for (size_t i = 0; i < w->items_count; i++)
                if (w->items[i].wait.partition && partition_unwait(&w->items[i].wait))
                        item_end(&w->items[i], COORD_E_NOT_AVAILABLE);
        end(w);
}

static void append(struct mark_item *i)
{
        struct mark_write *w = i->write;
        struct plog_marker_args args = { .producer_id = w->producer_id,
                                         .producer_epoch = w->producer_epoch,
                                         .coordinator_epoch = w->coordinator_epoch,
                                         .commit = w->commit,
                                         .bumped = w->bumped,
                                         .now_ms = clock_wall_ms() };
        struct plog_append_result result;
        struct partition_view view;
        int r = partition_append_marker_in(i->p, -1, &args, &result);
        int64_t offset = result.last_offset + 1;

        i->outcome = r ? coord_outcome_of_log(r) : COORD_OK;
        if (i->outcome ==
            COORD_E_INVALID_PRODUCER_EPOCH) { /* the one that has come before counts when it is replicated */
                partition_view(i->p, &view);
                offset = view.end_offset;
        } else if (r) {
                item_end(i, i->outcome);
                return;
        }
        i->wait.mail.fn = on_wait;
        partition_wait(i->p, &i->wait, PARTITION_WAIT_ACK, offset, w->loop);
}

/* ---- partitions of groups ---- */

static void asked(struct coord_request *rq)
{
        struct mark_item *i = container_of(rq, struct mark_item, ask.rq);
        int outcome = rq->outcome;

        coord_request_fini(rq);
        item_end(i, outcome);
}

static void ask(struct mark_item *i, struct coord *groups)
{
        struct mark_write *w = i->write;

        coord_request_init(&i->ask.rq, COORD_TXN_MARKER, STR_NULL);
        i->ask.partition = i->partition;
        i->ask.producer_id = w->producer_id;
        i->ask.producer_epoch = w->producer_epoch;
        i->ask.coordinator_epoch = w->coordinator_epoch;
        i->ask.commit = w->commit;
        i->ask.bumped = w->bumped;
        i->ask.rq.reply_loop = w->loop;
        i->ask.rq.done = asked;
        coord_submit(groups, &i->ask.rq);
}

static void item_start(struct mark_item *i)
{
        struct txn_link *l = i->write->link;
        struct coord *groups = atomic_load(&l->groups);
        struct txn_place place;

        if (!l->find(l->arg, i->topic, i->partition, &place)) {
                item_end(i, COORD_E_UNKNOWN_PARTITION);
                return;
        }
        if (str_equal(i->topic, offsets_topic)) {
                if (groups)
                        ask(i, groups);
                else
                        item_end(i, COORD_E_NOT_COORDINATOR);
                return;
        }
        i->p = partition_table_find(l->table, place.topic_id, i->partition);
        if (i->p)
                append(i);
        else
                item_end(i, COORD_E_NOT_COORDINATOR);
}

void mark_write_start(struct mark_write *w)
{
        loop_timer_init(&w->timer, w->loop, on_timer);
        loop_timer_start(&w->timer, WAIT_MS);
        w->left = w->items_count + 1;
        for (size_t i = 0; i < w->items_count; i++) {
                w->items[i].write = w;
                item_start(&w->items[i]);
        }
        end(w);
}

/* ---- for a coordinator on another node ---- */

struct serving {
        struct mark_write write;
        struct peer_request *rq;
};

static void served(struct mark_write *w)
{
        struct serving *s = container_of(w, struct serving, write);
        struct txn_link *l = w->link;
        struct peer_txn_markers_response rsp;
        struct peer_out out;
        int r = -ENOMEM;

        peer_txn_markers_response_init(&rsp);
        rsp.outcomes = ARENA_NEW_ARRAY(&s->rq->arena, int16_t, w->items_count);
        rsp.outcomes_count = (int32_t)w->items_count;
        for (size_t i = 0; rsp.outcomes && i < w->items_count; i++)
                rsp.outcomes[i] = (int16_t)(w->items[i].outcome < 0 ? COORD_E_NOT_AVAILABLE : w->items[i].outcome);
        if (rsp.outcomes)
                r = PEER_ENCODE(&out, peer_txn_markers_response, &rsp, s->rq->version, 0);
        if (r)
                peer_refuse(s->rq, r);
        else
                peer_answer(s->rq, &out);
        txn_link_end(l);
}

static int fill(struct serving *s, const struct peer_txn_markers_request *m)
{
        struct mark_write *w = &s->write;
        size_t count = 0;

        for (int32_t i = 0; i < m->topics_count; i++)
                count += (size_t)m->topics[i].partitions_count;
        w->items = ARENA_NEW_ARRAY(&s->rq->arena, struct mark_item, count);
        if (!w->items)
                return -ENOMEM;
        for (int32_t i = 0; i < m->topics_count; i++)
                for (int32_t k = 0; k < m->topics[i].partitions_count; k++)
                        w->items[w->items_count++] = (struct mark_item){ .topic = m->topics[i].name,
                                                                         .partition = m->topics[i].partitions[k] };
        w->producer_id = m->producer_id;
        w->producer_epoch = m->producer_epoch;
        w->coordinator_epoch = m->coordinator_epoch;
        w->commit = m->commit;
        w->bumped = m->bumped;
        return 0;
}

static void serve(void *arg, struct peer_request *rq)
{
        struct serving *s = ARENA_NEW(&rq->arena, struct serving);
        struct peer_txn_markers_request m;
        struct txn_link *l = arg;
        int r = s ? PEER_DECODE(peer_txn_markers_request, &m, rq->body, rq->version, &rq->arena) : -ENOMEM;

        if (!r && atomic_load(&l->stopping))
                r = -EBUSY;
        if (!r) {
                s->rq = rq;
                r = fill(s, &m);
        }
        if (r) {
                peer_refuse(rq, r);
                return;
        }
        s->write.link = l;
        s->write.loop = peer_request_loop(rq);
        s->write.done = served;
        txn_link_begin(l);
        mark_write_start(&s->write);
}

int mark_write_register(struct txn_link *l)
{
        return peer_hub_register(
                l->hub, &(struct peer_service){ .key = PEER_TXN_MARKERS_REQUEST_KEY, .request = serve, .arg = l });
}
