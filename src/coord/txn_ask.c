/* Asking a transaction's coordinator, wherever it is. */
#include <errno.h>

#include "coord/peer_txn.h"
#include "coord/txn_link.h"

enum { CALL_MS = 5000 };

static const struct str state_topic = { "__transaction_state", 19 };

/* ---- asking ---- */

static void end(struct txn_ask *a, int outcome)
{
        a->add.rq.outcome = outcome;
        a->add.rq.done(&a->add.rq);
}

static void called(struct peer_call *call)
{
        struct txn_ask *a = container_of(call, struct txn_ask, call);
        struct peer_txn_add_response rsp;
        int outcome = COORD_E_NOT_AVAILABLE;

        if (call->outcome == PEER_OK && !PEER_DECODE(peer_txn_add_response, &rsp, call->body, 0, &a->add.rq.arena) &&
            (rsp.outcome || rsp.outcomes_count == a->add.items_count)) {
                outcome = rsp.outcome;
                for (int32_t i = 0; !outcome && i < rsp.outcomes_count; i++)
                        a->add.items[i].ret_outcome = rsp.outcomes[i];
        }
        iobuf_unref(call->frame);
        txn_link_end(a->link);
        end(a, outcome);
}

/* Items of one topic come one after the other. */
static bool fill_topics(struct txn_ask *a, struct peer_txn_add_request *m)
{
        struct peer_txn_add_request_topic *t = NULL;
        int32_t count = a->add.items_count;
        int32_t *partitions = ARENA_NEW_ARRAY(&a->add.rq.arena, int32_t, count);

        m->topics = ARENA_NEW_ARRAY(&a->add.rq.arena, struct peer_txn_add_request_topic, count);
        if (!m->topics || !partitions)
                return false;
        for (int32_t i = 0; i < count; i++) {
                const struct coord_txn_item *item = &a->add.items[i];

                if (!t || !str_equal(t->name, item->topic)) {
                        t = &m->topics[m->topics_count++];
                        peer_txn_add_request_topic_init(t);
                        t->name = item->topic;
                        t->partitions = &partitions[i];
                }
                partitions[i] = item->partition;
                t->partitions_count++;
        }
        return true;
}

static bool call(struct txn_ask *a, int32_t node)
{
        struct peer_txn_add_request m;

        peer_txn_add_request_init(&m);
        m.transactional_id = a->add.rq.id;
        m.producer_id = a->add.producer_id;
        m.producer_epoch = a->add.producer_epoch;
        m.verify_only = a->add.verify_only;
        m.client_version = a->add.version;
        a->call = (struct peer_call){ .node = node,
                                      .lane = PEER_CONTROL,
                                      .key = PEER_TXN_ADD_REQUEST_KEY,
                                      .timeout_ms = CALL_MS,
                                      .loop = a->add.rq.reply_loop,
                                      .done = called };
        if (!fill_topics(a, &m) || PEER_ENCODE(&a->call.out, peer_txn_add_request, &m, 0, 0))
                return false;
        txn_link_begin(a->link);
        peer_call_submit(a->link->hub, &a->call);
        return true;
}

static void on_refused(struct loop *l, struct mail *m)
{
        struct txn_ask *a = container_of(m, struct txn_ask, mail);

        (void)l;
        end(a, COORD_E_NOT_AVAILABLE);
}

void txn_link_ask(struct txn_link *l, struct txn_ask *a)
{
        struct coord *txns = atomic_load(&l->txns);
        int32_t partitions = txns ? coord_partitions(txns) : 0;
        struct txn_place place;

        a->link = l;
        if (partitions > 0 && l->find(l->arg, state_topic, coord_partition_of(a->add.rq.id, partitions), &place)) {
                if (place.leader == l->node_id) {
                        coord_submit(txns, &a->add.rq);
                        return;
                }
                if (place.leader >= 0 && l->hub && !atomic_load(&l->stopping) && call(a, place.leader))
                        return;
        }
        a->mail.fn = on_refused;
        loop_post(a->add.rq.reply_loop, &a->mail);
}

/* ---- answering ---- */

struct serving {
        struct coord_txn_add add;
        struct peer_request *rq;
        struct txn_link *link;
};

static int16_t told(int outcome)
{
        return (int16_t)(outcome < 0 ? COORD_E_NOT_AVAILABLE : outcome);
}

static void served(struct coord_request *crq)
{
        struct serving *s = container_of(crq, struct serving, add.rq);
        struct txn_link *l = s->link;
        struct peer_txn_add_response rsp;
        struct peer_out out;
        int r = -ENOMEM;

        peer_txn_add_response_init(&rsp);
        rsp.outcome = told(crq->outcome);
        rsp.outcomes = ARENA_NEW_ARRAY(&s->rq->arena, int16_t, s->add.items_count);
        rsp.outcomes_count = s->add.items_count;
        for (int32_t i = 0; rsp.outcomes && i < s->add.items_count; i++)
                rsp.outcomes[i] = told(s->add.items[i].ret_outcome);
        coord_request_fini(crq);
        if (rsp.outcomes)
                r = PEER_ENCODE(&out, peer_txn_add_response, &rsp, s->rq->version, 0);
        if (r)
                peer_refuse(s->rq, r);
        else
                peer_answer(s->rq, &out);
        txn_link_end(l);
}

static int fill(struct serving *s, const struct peer_txn_add_request *m)
{
        size_t count = 0;

        for (int32_t i = 0; i < m->topics_count; i++)
                count += (size_t)m->topics[i].partitions_count;
        s->add.items = ARENA_NEW_ARRAY(&s->rq->arena, struct coord_txn_item, count);
        if (!s->add.items)
                return -ENOMEM;
        for (int32_t i = 0; i < m->topics_count; i++)
                for (int32_t k = 0; k < m->topics[i].partitions_count; k++)
                        s->add.items[s->add.items_count++] =
                                (struct coord_txn_item){ .topic = m->topics[i].name,
                                                         .partition = m->topics[i].partitions[k] };
        s->add.producer_id = m->producer_id;
        s->add.producer_epoch = m->producer_epoch;
        s->add.verify_only = m->verify_only;
        s->add.version = m->client_version;
        return 0;
}

static void serve(void *arg, struct peer_request *rq)
{
        struct serving *s = ARENA_NEW(&rq->arena, struct serving);
        struct txn_link *l = arg;
        struct coord *txns = atomic_load(&l->txns);
        struct peer_txn_add_request m;
        int r = s ? PEER_DECODE(peer_txn_add_request, &m, rq->body, rq->version, &rq->arena) : -ENOMEM;

        if (!r && (!txns || atomic_load(&l->stopping)))
                r = -EBUSY;
        if (!r) {
                coord_request_init(&s->add.rq, COORD_TXN_ADD, m.transactional_id);
                s->rq = rq;
                s->link = l;
                r = fill(s, &m);
        }
        if (r) {
                peer_refuse(rq, r);
                return;
        }
        s->add.rq.reply_loop = peer_request_loop(rq);
        s->add.rq.done = served;
        txn_link_begin(l);
        coord_submit(txns, &s->add.rq);
}

int txn_ask_register(struct txn_link *l)
{
        return peer_hub_register(l->hub,
                                 &(struct peer_service){ .key = PEER_TXN_ADD_REQUEST_KEY, .request = serve, .arg = l });
}
