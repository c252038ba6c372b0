/* An operator's end of a transaction, told to its coordinator, wherever that is. */
#include <errno.h>

#include "coord/peer_txn.h"
#include "coord/txn_link.h"

enum { CALL_MS = 5000 };

static const struct str state_topic = { "__transaction_state", 19 };

/* ---- asking ---- */

static void end(struct txn_abort *a, int outcome)
{
        a->rq.outcome = outcome;
        a->rq.done(&a->rq);
}

static void called(struct peer_call *call)
{
        struct txn_abort *a = container_of(call, struct txn_abort, call);
        struct peer_txn_abort_response rsp;
        int outcome = COORD_E_NOT_AVAILABLE;

        if (call->outcome == PEER_OK && !PEER_DECODE(peer_txn_abort_response, &rsp, call->body, 0, &a->rq.arena))
                outcome = rsp.outcome;
        iobuf_unref(call->frame);
        txn_link_end(a->link);
        end(a, outcome);
}

static bool call(struct txn_abort *a, int32_t node)
{
        struct peer_txn_abort_request m;

        peer_txn_abort_request_init(&m);
        m.transactional_id = a->rq.id;
        a->call = (struct peer_call){ .node = node,
                                      .lane = PEER_CONTROL,
                                      .key = PEER_TXN_ABORT_REQUEST_KEY,
                                      .timeout_ms = CALL_MS,
                                      .loop = a->rq.reply_loop,
                                      .done = called };
        if (PEER_ENCODE(&a->call.out, peer_txn_abort_request, &m, 0, 0))
                return false;
        txn_link_begin(a->link);
        peer_call_submit(a->link->hub, &a->call);
        return true;
}

static void on_refused(struct loop *l, struct mail *m)
{
        struct txn_abort *a = container_of(m, struct txn_abort, mail);

        (void)l;
        end(a, a->rq.outcome);
}

void txn_link_abort(struct txn_link *l, struct txn_abort *a)
{
        struct coord *txns = atomic_load(&l->txns);
        struct txn_place place;

        a->link = l;
        a->rq.outcome = COORD_E_NOT_AVAILABLE;
        if (l->find(l->arg, state_topic, a->partition, &place)) {
                if (place.leader == l->node_id && txns) {
                        coord_submit(txns, &a->rq);
                        return;
                }
                if (place.leader >= 0 && l->hub && !atomic_load(&l->stopping) && call(a, place.leader))
                        return;
        }
        a->mail.fn = on_refused;
        loop_post(a->rq.reply_loop, &a->mail);
}

/* ---- answering ---- */

struct serving {
        struct coord_request crq;
        struct peer_request *rq;
        struct txn_link *link;
};

static void served(struct coord_request *crq)
{
        struct serving *s = container_of(crq, struct serving, crq);
        struct txn_link *l = s->link;
        struct peer_txn_abort_response rsp;
        struct peer_out out;
        int r;

        peer_txn_abort_response_init(&rsp);
        rsp.outcome = (int16_t)(crq->outcome < 0 ? COORD_E_NOT_AVAILABLE : crq->outcome);
        coord_request_fini(crq);
        r = PEER_ENCODE(&out, peer_txn_abort_response, &rsp, s->rq->version, 0);
        if (r)
                peer_refuse(s->rq, r);
        else
                peer_answer(s->rq, &out);
        txn_link_end(l);
}

static void serve(void *arg, struct peer_request *rq)
{
        struct serving *s = ARENA_NEW(&rq->arena, struct serving);
        struct txn_link *l = arg;
        struct coord *txns = atomic_load(&l->txns);
        struct peer_txn_abort_request m;
        int r = s ? PEER_DECODE(peer_txn_abort_request, &m, rq->body, rq->version, &rq->arena) : -ENOMEM;

        if (!r && (!txns || atomic_load(&l->stopping)))
                r = -EBUSY;
        if (r) {
                peer_refuse(rq, r);
                return;
        }
        coord_request_init(&s->crq, COORD_TXN_ABORT, m.transactional_id);
        s->rq = rq;
        s->link = l;
        s->crq.reply_loop = peer_request_loop(rq);
        s->crq.done = served;
        txn_link_begin(l);
        coord_submit(txns, &s->crq);
}

int txn_abort_register(struct txn_link *l)
{
        return peer_hub_register(
                l->hub, &(struct peer_service){ .key = PEER_TXN_ABORT_REQUEST_KEY, .request = serve, .arg = l });
}
