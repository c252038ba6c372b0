/* A transaction of a producer: AddPartitionsToTxn (24), AddOffsetsToTxn (25), EndTxn (26). Sources: KIP-98, KIP-890. */
#include "handler/group_ask.h"
#include "handler/internal_topic.h"
#include "handler/producer_id.h"
#include "wire/messages.h"

/* Clients before that version know one name for whoever is not the producer in force. */
static int16_t error_for(const struct rq *rq, int outcome)
{
        int16_t error = error_of_coord(outcome);

        return error == KERR_PRODUCER_FENCED && rq->version < 2 ? KERR_INVALID_PRODUCER_EPOCH : error;
}

/* ---- partitions ---- */

struct add_op;

/* One transaction of the request: versions before 4 have one. */
struct add_txn {
        struct add_op *op;
        struct coord_txn_add ask;
        struct add_partitions_to_txn_response_partition **rows; /* of each item */
};

struct add_op {
        struct rq *rq;
        struct add_partitions_to_txn_request req;
        struct add_partitions_to_txn_response rsp;
        struct add_txn *txns;
        int32_t left;
};

/* Who verifies is another node's leader; nodes of ours do that between themselves (coord/txn_link.h). */
static int16_t error_of_add(const struct rq *rq, int outcome)
{
        return outcome == COORD_E_INVALID_TXN_STATE && rq->version >= 5 ? KERR_TRANSACTION_ABORTABLE
                                                                        : error_for(rq, outcome);
}

static void add_done(struct coord_request *crq)
{
        struct add_txn *x = container_of(crq, struct add_txn, ask.rq);
        struct add_op *op = x->op;

        for (int32_t i = 0; i < x->ask.items_count; i++) {
                int16_t error = error_of_add(op->rq, crq->outcome ? crq->outcome : x->ask.items[i].ret_outcome);

                x->rows[i]->partition_error_code = error;
                if (error)
                        handler_count_error(op->rq, error);
        }
        coord_request_fini(crq);
        if (!--op->left)
                RQ_REPLY(op->rq, add_partitions_to_txn_response, &op->rsp);
}

/* The answer's rows for @in; NULL: no memory. */
static struct add_partitions_to_txn_response_topic *
add_topics(struct add_txn *x, const struct add_partitions_to_txn_request_topic *in, int32_t topics_count)
{
        struct arena *a = &x->op->rq->arena;
        struct add_partitions_to_txn_response_topic *topics =
                ARENA_NEW_ARRAY(a, struct add_partitions_to_txn_response_topic, topics_count);
        size_t count = 0;

        for (int32_t i = 0; i < topics_count; i++)
                count += (size_t)in[i].partitions_count;
        x->ask.items = ARENA_NEW_ARRAY(a, struct coord_txn_item, count);
        x->rows = ARENA_NEW_ARRAY(a, struct add_partitions_to_txn_response_partition *, count);
        if (!topics || !x->ask.items || !x->rows)
                return NULL;
        for (int32_t i = 0; i < topics_count; i++) {
                struct add_partitions_to_txn_response_topic *t = &topics[i];

                add_partitions_to_txn_response_topic_init(t);
                t->name = in[i].name;
                t->results_by_partition =
                        ARENA_NEW_ARRAY(a, struct add_partitions_to_txn_response_partition, in[i].partitions_count);
                if (!t->results_by_partition)
                        return NULL;
                t->results_by_partition_count = in[i].partitions_count;
                for (int32_t k = 0; k < in[i].partitions_count; k++) {
                        add_partitions_to_txn_response_partition_init(&t->results_by_partition[k]);
                        t->results_by_partition[k].partition_index = in[i].partitions[k];
                        x->rows[x->ask.items_count] = &t->results_by_partition[k];
                        x->ask.items[x->ask.items_count++] =
                                (struct coord_txn_item){ .topic = in[i].name, .partition = in[i].partitions[k] };
                }
        }
        return topics;
}

/* Versions before 4 as a list of one. */
static bool add_one(struct add_op *op)
{
        struct add_txn *x = &op->txns[0];

        coord_request_init(&x->ask.rq, COORD_TXN_ADD, op->req.v3_and_below_transactional_id);
        x->ask.producer_id = op->req.v3_and_below_producer_id;
        x->ask.producer_epoch = op->req.v3_and_below_producer_epoch;
        x->ask.version = COORD_TXN_VERSION_1;
        op->rsp.results_by_topic_v3_and_below =
                add_topics(x, op->req.v3_and_below_topics, op->req.v3_and_below_topics_count);
        op->rsp.results_by_topic_v3_and_below_count = op->req.v3_and_below_topics_count;
        return op->rsp.results_by_topic_v3_and_below;
}

static bool add_many(struct add_op *op)
{
        int32_t count = op->req.transactions_count;

        op->rsp.results_by_transaction =
                ARENA_NEW_ARRAY(&op->rq->arena, struct add_partitions_to_txn_response_txn, count);
        if (!op->rsp.results_by_transaction)
                return false;
        op->rsp.results_by_transaction_count = count;
        for (int32_t i = 0; i < count; i++) {
                const struct add_partitions_to_txn_request_txn *in = &op->req.transactions[i];
                struct add_partitions_to_txn_response_txn *out = &op->rsp.results_by_transaction[i];
                struct add_txn *x = &op->txns[i];

                coord_request_init(&x->ask.rq, COORD_TXN_ADD, in->transactional_id);
                x->ask.producer_id = in->producer_id;
                x->ask.producer_epoch = in->producer_epoch;
                x->ask.verify_only = in->verify_only;
                x->ask.version = op->rq->version >= 5 && !in->verify_only ? COORD_TXN_VERSION_2 : COORD_TXN_VERSION_1;
                add_partitions_to_txn_response_txn_init(out);
                out->transactional_id = in->transactional_id;
                out->topic_results = add_topics(x, in->topics, in->topics_count);
                out->topic_results_count = in->topics_count;
                if (!out->topic_results)
                        return false;
        }
        return true;
}

/* Nothing is added where something may not be: what it is not about was not tried. */
static bool add_refuse_topics(struct add_txn *x)
{
        const struct meta_topic *t;
        bool refused = false;

        for (int32_t i = 0; i < x->ask.items_count; i++) {
                struct coord_txn_item *item = &x->ask.items[i];

                t = meta_image_topic(x->op->rq->image, item->topic);
                item->ret_outcome = t && meta_topic_partition(t, item->partition) ? COORD_E_NOT_ATTEMPTED
                                                                                  : COORD_E_UNKNOWN_PARTITION;
                if (!authorize_topic(x->op->rq, ACL_WRITE, UUID_ZERO, item->topic))
                        continue;
                item->ret_outcome = COORD_E_TOPIC_DENIED;
                refused = true;
        }
        return refused;
}

/* Versions up to 3 are a client's, which writes in its own transaction to topics of its own; later ones another broker's, which may
 * ask for anybody. True: all transactions have been answered. */
static bool add_refused(struct add_op *op, int32_t count)
{
        struct rq *rq = op->rq;
        struct coord_request *crq = &op->txns[0].ask.rq;

        if (rq->version < 4) {
                if (!authorize(rq, ACL_WRITE, ACL_TRANSACTIONAL_ID, crq->id))
                        coord_request_refuse(crq, COORD_E_TXN_DENIED);
                else if (!rq->h->authorization || !add_refuse_topics(&op->txns[0]))
                        return false;
                add_done(crq);
                return true;
        }
        if (authorize_cluster(rq, ACL_CLUSTER_ACTION))
                return false;
        op->rsp.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
        op->rsp.results_by_transaction_count = 0;
        handler_count_error(rq, op->rsp.error_code);
        RQ_REPLY(rq, add_partitions_to_txn_response, &op->rsp);
        return true;
}

void handler_add_partitions_to_txn(struct rq *rq)
{
        struct add_op *op = ARENA_NEW(&rq->arena, struct add_op);
        bool one = rq->version < 4, ok;
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, add_partitions_to_txn_request, &op->req))
                return;
        add_partitions_to_txn_response_init(&op->rsp);
        count = op->left = one ? 1 : op->req.transactions_count;
        op->txns = ARENA_NEW_ARRAY(&rq->arena, struct add_txn, count);
        for (int32_t i = 0; op->txns && i < count; i++)
                op->txns[i].op = op;
        ok = op->txns && (one ? add_one(op) : add_many(op));
        if (!ok) {
                rq_close_nomem(rq);
                return;
        }
        if (!count)
                RQ_REPLY(rq, add_partitions_to_txn_response, &op->rsp);
        else if (add_refused(op, count))
                return;
        for (int32_t i = 0; i < count; i++) /* the answers come by mail */
                txn_ask_here(rq, &op->txns[i].ask.rq, add_done);
}

/* ---- offsets: the group's partition takes part ---- */

struct offsets_op {
        struct rq *rq;
        struct add_offsets_to_txn_request req;
        struct internal_topic_get topic;
        struct coord_txn_item item;
        struct coord_txn_add ask;
};

static void offsets_reply(struct offsets_op *op, int16_t error)
{
        struct add_offsets_to_txn_response rsp;

        add_offsets_to_txn_response_init(&rsp);
        rsp.error_code = error;
        if (error)
                handler_count_error(op->rq, error);
        RQ_REPLY(op->rq, add_offsets_to_txn_response, &rsp);
}

static void offsets_done(struct coord_request *crq)
{
        struct offsets_op *op = container_of(crq, struct offsets_op, ask.rq);

        coord_request_fini(crq);
        offsets_reply(op, error_for(op->rq, crq->outcome ? crq->outcome : op->item.ret_outcome));
}

static void got_topic(struct internal_topic_get *g)
{
        struct offsets_op *op = container_of(g, struct offsets_op, topic);
        const struct meta_topic *t = internal_topic(op->rq, INTERNAL_OFFSETS);

        if (!t) {
                offsets_reply(op, KERR_COORDINATOR_NOT_AVAILABLE);
                return;
        }
        coord_request_init(&op->ask.rq, COORD_TXN_ADD, op->req.transactional_id);
        op->item = (struct coord_txn_item){
                .topic = t->name, .partition = coord_partition_of(op->req.group_id, (int32_t)t->partitions_count)
        };
        op->ask.items = &op->item;
        op->ask.items_count = 1;
        op->ask.producer_id = op->req.producer_id;
        op->ask.producer_epoch = op->req.producer_epoch;
        op->ask.version = COORD_TXN_VERSION_1;
        txn_ask_here(op->rq, &op->ask.rq, offsets_done);
}

void handler_add_offsets_to_txn(struct rq *rq)
{
        struct offsets_op *op = ARENA_NEW(&rq->arena, struct offsets_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, add_offsets_to_txn_request, &op->req))
                return;
        if (!authorize(rq, ACL_WRITE, ACL_TRANSACTIONAL_ID, op->req.transactional_id)) {
                offsets_reply(op, KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
                return;
        }
        if (!authorize(rq, ACL_READ, ACL_GROUP, op->req.group_id)) {
                offsets_reply(op, KERR_GROUP_AUTHORIZATION_FAILED);
                return;
        }
        op->topic = (struct internal_topic_get){ .rq = rq, .which = INTERNAL_OFFSETS, .done = got_topic };
        internal_topic_get(&op->topic);
}

/* ---- the end ---- */

struct end_op {
        struct rq *rq;
        struct end_txn_request req;
        struct producer_id_get id;
        struct coord_txn_end ask;
};

static void end_reply(struct end_op *op, int16_t error)
{
        struct end_txn_response rsp;

        end_txn_response_init(&rsp);
        rsp.error_code = error;
        rsp.producer_id = error ? -1 : op->ask.ret_producer_id;
        rsp.producer_epoch = error ? -1 : op->ask.ret_producer_epoch;
        if (error)
                handler_count_error(op->rq, error);
        RQ_REPLY(op->rq, end_txn_response, &rsp);
}

static void end_done(struct coord_request *crq);

static void end_ask(struct end_op *op, int64_t new_id)
{
        coord_request_init(&op->ask.rq, COORD_TXN_END, op->req.transactional_id);
        op->ask.producer_id = op->req.producer_id;
        op->ask.producer_epoch = op->req.producer_epoch;
        op->ask.commit = op->req.committed;
        op->ask.version = op->rq->version >= 5 ? COORD_TXN_VERSION_2 : COORD_TXN_VERSION_1;
        op->ask.new_producer_id = new_id;
        txn_ask_here(op->rq, &op->ask.rq, end_done);
}

static void end_got_id(struct producer_id_get *g, int64_t id)
{
        struct end_op *op = container_of(g, struct end_op, id);

        if (id < 0)
                end_reply(op, KERR_COORDINATOR_NOT_AVAILABLE);
        else
                end_ask(op, id);
}

static void end_done(struct coord_request *crq)
{
        struct end_op *op = container_of(crq, struct end_op, ask.rq);

        coord_request_fini(crq);
        if (crq->outcome == COORD_E_NEED_PRODUCER_ID) {
                op->id = (struct producer_id_get){ .rq = op->rq, .done = end_got_id };
                producer_id_get(&op->id);
                return;
        }
        end_reply(op, error_for(op->rq, crq->outcome));
}

void handler_end_txn(struct rq *rq)
{
        struct end_op *op = ARENA_NEW(&rq->arena, struct end_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, end_txn_request, &op->req))
                return;
        if (authorize(rq, ACL_WRITE, ACL_TRANSACTIONAL_ID, op->req.transactional_id))
                end_ask(op, -1);
        else
                end_reply(op, KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}
