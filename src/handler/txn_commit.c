/* TxnOffsetCommit (key 28): offsets that are committed with a transaction. The group's partition must take part in it: clients of
 * transactions version 2 leave saying so to us, of others we ask the coordinator whether they have (KIP-890).
 * Sources: KIP-98, KIP-447 (the group's generation is checked). */
#include "handler/group_ask.h"
#include "handler/internal_topic.h"
#include "wire/batch.h"
#include "wire/messages.h"

enum { VERSION_ABORTABLE = 4, VERSION_ADDS = 5 };

struct txn_commit_op {
        struct rq *rq;
        struct txn_offset_commit_request req;
        struct txn_offset_commit_response rsp;
        struct txn_offset_commit_response_partition **rows; /* of each item */
        int16_t denied;                                     /* why nothing at all is committed, or 0 */
        struct partition_txn_guard guard;
        struct coord_txn_item item; /* the group's partition */
        struct txn_ask verify;
        struct coord_offset_commit ask;
};

static void fail_row(struct txn_commit_op *op, struct txn_offset_commit_response_partition *row, int16_t error)
{
        row->error_code = error;
        if (error)
                handler_count_error(op->rq, error);
}

static void fail_all(struct txn_commit_op *op, int16_t error)
{
        for (int32_t i = 0; i < op->ask.items_count; i++)
                fail_row(op, op->rows[i], error);
        RQ_REPLY(op->rq, txn_offset_commit_response, &op->rsp);
}

/* ---- the commit ---- */

static int16_t error_of(int outcome)
{
        switch (outcome) {
        case COORD_E_GROUP_NOT_FOUND: /* a generation of a group that is not there is over */
        case COORD_E_STALE_EPOCH:     /* its clients do not know the error of the newer groups' epochs */
                return KERR_ILLEGAL_GENERATION;
        default:
                return error_of_coord(outcome);
        }
}

static void committed(struct coord_request *crq)
{
        struct txn_commit_op *op = container_of(crq, struct txn_commit_op, ask.rq);

        for (int32_t i = 0; i < op->ask.items_count; i++)
                fail_row(op, op->rows[i], error_of(crq->outcome ? crq->outcome : op->ask.items[i].ret_outcome));
        GROUP_REPLY(op->rq, txn_offset_commit_response, &op->rsp, crq);
}

static void commit(struct txn_commit_op *op)
{
        op->ask.generation = op->req.generation_id;
        op->ask.member_id = op->req.member_id;
        op->ask.instance_id = op->req.group_instance_id;
        op->ask.retention_ms = -1;
        op->ask.producer_id = op->req.producer_id;
        op->ask.producer_epoch = op->req.producer_epoch;
        op->ask.txn_guard = op->guard;
        group_ask(op->rq, &op->ask.rq, committed);
}

/* ---- before it ---- */

static int16_t error_of_verify(const struct rq *rq, int outcome)
{
        switch (outcome) {
        case COORD_E_INVALID_TXN_STATE:
                return rq->version >= VERSION_ABORTABLE ? KERR_TRANSACTION_ABORTABLE : KERR_INVALID_TXN_STATE;
        case COORD_E_PRODUCER_FENCED: /* as for records: here the producer speaks with the group's coordinator */
                return KERR_INVALID_PRODUCER_EPOCH;
        case COORD_E_CONCURRENT_TXN: /* older clients do not expect it here, but try again for this: */
                return rq->version >= VERSION_ADDS ? KERR_CONCURRENT_TRANSACTIONS : KERR_COORDINATOR_NOT_AVAILABLE;
        case COORD_E_NOT_COORDINATOR: /* of the transaction, of which this client does not know */
        case COORD_E_UNKNOWN_PARTITION:
                return KERR_COORDINATOR_NOT_AVAILABLE;
        default:
                return error_of_coord(outcome);
        }
}

static void verified(struct coord_request *crq)
{
        struct txn_commit_op *op = container_of(crq, struct txn_commit_op, verify.add.rq);
        int outcome = crq->outcome ? crq->outcome : op->item.ret_outcome;

        coord_request_fini(crq);
        if (outcome)
                fail_all(op, error_of_verify(op->rq, outcome));
        else
                commit(op);
}

static void verify(struct txn_commit_op *op)
{
        coord_request_init(&op->verify.add.rq, COORD_TXN_ADD, op->req.transactional_id);
        op->verify.add.producer_id = op->req.producer_id;
        op->verify.add.producer_epoch = op->req.producer_epoch;
        op->verify.add.verify_only = op->rq->version < VERSION_ADDS;
        op->verify.add.version = COORD_TXN_VERSION_2;
        op->verify.add.items = &op->item;
        op->verify.add.items_count = 1;
        op->verify.add.rq.reply_loop = rq_loop(op->rq);
        op->verify.add.rq.done = verified;
        txn_link_ask(op->rq->h->deps.txn_link, &op->verify);
}

/* The group's partition, and what is open there. Return: 0 or Kafka's code; @ret_settled: nobody need be asked. */
static int16_t look(struct txn_commit_op *op, bool *ret_settled)
{
        const struct meta_topic *t = internal_topic(op->rq, INTERNAL_OFFSETS);
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        struct batch_header h = { .producer_id = op->req.producer_id,
                                  .producer_epoch = op->req.producer_epoch,
                                  .base_sequence = -1 };

        if (!t)
                return KERR_COORDINATOR_NOT_AVAILABLE;
        op->item = (struct coord_txn_item){
                .topic = t->name, .partition = coord_partition_of(op->req.group_id, (int32_t)t->partitions_count)
        };
        p = partition_table_find(op->rq->h->deps.partitions, t->id, op->item.partition);
        if (!p || partition_check_epoch(p, -1))
                return KERR_NOT_COORDINATOR;
        *ret_settled = partition_txn_look(p, &h, &op->guard);
        return 0;
}

/* ---- the request ---- */

static void prepare_item(struct txn_commit_op *op, const struct txn_offset_commit_request_topic *topic,
                         const struct txn_offset_commit_request_partition *in,
                         struct txn_offset_commit_response_partition *out)
{
        const struct meta_topic *t = meta_image_topic(op->rq->image, topic->name);
        int16_t denied = op->denied ? op->denied : authorize_topic(op->rq, ACL_READ, UUID_ZERO, topic->name);

        txn_offset_commit_response_partition_init(out);
        out->partition_index = in->partition_index;
        if (denied || !t || !meta_topic_partition(t, in->partition_index)) {
                fail_row(op, out, denied ? denied : KERR_UNKNOWN_TOPIC_OR_PARTITION);
                return;
        }
        op->rows[op->ask.items_count] = out;
        op->ask.items[op->ask.items_count++] = (struct coord_commit_item){ .topic = topic->name,
                                                                           .partition = in->partition_index,
                                                                           .offset = in->committed_offset,
                                                                           .leader_epoch = in->committed_leader_epoch,
                                                                           .metadata = in->committed_metadata };
}

static bool prepare(struct txn_commit_op *op)
{
        struct arena *a = &op->rq->arena;
        size_t count = 0;

        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += (size_t)op->req.topics[i].partitions_count;
        txn_offset_commit_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(a, struct txn_offset_commit_response_topic, op->req.topics_count);
        op->ask.items = ARENA_NEW_ARRAY(a, struct coord_commit_item, count);
        op->rows = ARENA_NEW_ARRAY(a, struct txn_offset_commit_response_partition *, count);
        if (!op->rsp.topics || !op->ask.items || !op->rows)
                return false;
        op->rsp.topics_count = op->req.topics_count;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct txn_offset_commit_request_topic *in = &op->req.topics[i];
                struct txn_offset_commit_response_topic *t = &op->rsp.topics[i];

                txn_offset_commit_response_topic_init(t);
                t->name = in->name;
                t->partitions = ARENA_NEW_ARRAY(a, struct txn_offset_commit_response_partition, in->partitions_count);
                if (!t->partitions)
                        return false;
                t->partitions_count = in->partitions_count;
                for (int32_t k = 0; k < in->partitions_count; k++)
                        prepare_item(op, in, &in->partitions[k], &t->partitions[k]);
        }
        return true;
}

void handler_txn_offset_commit(struct rq *rq)
{
        struct txn_commit_op *op = ARENA_NEW(&rq->arena, struct txn_commit_op);
        bool settled = false;
        int16_t error;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, txn_offset_commit_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_TXN_OFFSET_COMMIT, op->req.group_id);
        if (!authorize(rq, ACL_WRITE, ACL_TRANSACTIONAL_ID, op->req.transactional_id))
                op->denied = KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        else if (!authorize(rq, ACL_READ, ACL_GROUP, op->req.group_id))
                op->denied = KERR_GROUP_AUTHORIZATION_FAILED;
        if (!prepare(op)) {
                rq_close_nomem(rq);
                return;
        }
        if (op->denied) { /* each row says it */
                fail_all(op, op->denied);
                return;
        }
        error = !op->req.group_id.len           ? KERR_INVALID_GROUP_ID
                : op->req.producer_id < 0       ? KERR_INVALID_PRODUCER_ID_MAPPING
                : op->req.producer_epoch < 0    ? KERR_INVALID_PRODUCER_EPOCH
                : !op->req.transactional_id.len ? KERR_INVALID_REQUEST
                                                : look(op, &settled);
        if (error)
                fail_all(op, error);
        else if (settled || !op->ask.items_count)
                commit(op);
        else
                verify(op);
}
