/* What operators ask of transactions and do to them: WriteTxnMarkers (27), DescribeProducers (61), DescribeTransactions (65),
 * ListTransactions (66). Source: KIP-664. */
#include "base/pattern.h"
#include "handler/group_ask.h"
#include "wire/messages.h"

/* ---- markers, to abort what hangs ---- */

struct markers_op;

struct marker {
        struct markers_op *op;
        struct mark_write write;
        struct write_txn_markers_response_partition **rows; /* of each item */
};

struct markers_op {
        struct rq *rq;
        struct write_txn_markers_request req;
        struct write_txn_markers_response rsp;
        struct marker *markers;
        size_t left;
};

static int16_t error_of_marker(int outcome)
{
        switch (outcome) {
        case COORD_E_NOT_COORDINATOR:
                return KERR_NOT_LEADER_OR_FOLLOWER;
        case COORD_E_NOT_AVAILABLE:
                return KERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        default:
                return error_of_coord(outcome);
        }
}

static void marker_written(struct mark_write *w)
{
        struct marker *m = container_of(w, struct marker, write);
        struct markers_op *op = m->op;

        for (size_t i = 0; i < w->items_count; i++) {
                m->rows[i]->error_code = error_of_marker(w->items[i].outcome);
                if (m->rows[i]->error_code)
                        handler_count_error(op->rq, m->rows[i]->error_code);
        }
        if (!--op->left)
                RQ_REPLY(op->rq, write_txn_markers_response, &op->rsp);
}

static bool marker_topic(struct marker *m, const struct write_txn_markers_request_topic *in,
                         struct write_txn_markers_response_topic *t)
{
        write_txn_markers_response_topic_init(t);
        t->name = in->name;
        t->partitions = ARENA_NEW_ARRAY(&m->op->rq->arena, struct write_txn_markers_response_partition,
                                        in->partition_indexes_count);
        if (!t->partitions)
                return false;
        t->partitions_count = in->partition_indexes_count;
        for (int32_t k = 0; k < in->partition_indexes_count; k++) {
                write_txn_markers_response_partition_init(&t->partitions[k]);
                t->partitions[k].partition_index = in->partition_indexes[k];
                m->rows[m->write.items_count] = &t->partitions[k];
                m->write.items[m->write.items_count++] =
                        (struct mark_item){ .topic = in->name, .partition = in->partition_indexes[k] };
        }
        return true;
}

static bool marker_prepare(struct marker *m, const struct write_txn_markers_request_marker *in,
                           struct write_txn_markers_response_marker *out)
{
        struct arena *a = &m->op->rq->arena;
        size_t count = 0;

        for (int32_t i = 0; i < in->topics_count; i++)
                count += (size_t)in->topics[i].partition_indexes_count;
        write_txn_markers_response_marker_init(out);
        out->producer_id = in->producer_id;
        out->topics = ARENA_NEW_ARRAY(a, struct write_txn_markers_response_topic, in->topics_count);
        m->rows = ARENA_NEW_ARRAY(a, struct write_txn_markers_response_partition *, count);
        m->write = (struct mark_write){ .link = m->op->rq->h->deps.txn_link,
                                        .loop = rq_loop(m->op->rq),
                                        .producer_id = in->producer_id,
                                        .producer_epoch = in->producer_epoch,
                                        .coordinator_epoch = in->coordinator_epoch,
                                        .commit = in->transaction_result,
                                        .bumped = in->transaction_version >= COORD_TXN_VERSION_2,
                                        .items = ARENA_NEW_ARRAY(a, struct mark_item, count),
                                        .done = marker_written };
        if (!out->topics || !m->rows || !m->write.items)
                return false;
        out->topics_count = in->topics_count;
        for (int32_t i = 0; i < in->topics_count; i++)
                if (!marker_topic(m, &in->topics[i], &out->topics[i]))
                        return false;
        return true;
}

static bool markers_prepare(struct markers_op *op)
{
        int32_t count = op->req.markers_count;

        write_txn_markers_response_init(&op->rsp);
        op->rsp.markers = ARENA_NEW_ARRAY(&op->rq->arena, struct write_txn_markers_response_marker, count);
        op->markers = ARENA_NEW_ARRAY(&op->rq->arena, struct marker, count);
        if (!op->rsp.markers || !op->markers)
                return false;
        op->rsp.markers_count = count;
        for (int32_t i = 0; i < count; i++) {
                op->markers[i].op = op;
                if (!marker_prepare(&op->markers[i], &op->req.markers[i], &op->rsp.markers[i]))
                        return false;
        }
        return true;
}

static void markers_refuse(struct markers_op *op, int16_t error)
{
        for (int32_t i = 0; i < op->req.markers_count; i++)
                for (size_t k = 0; k < op->markers[i].write.items_count; k++) {
                        op->markers[i].rows[k]->error_code = error;
                        handler_count_error(op->rq, error);
                }
        RQ_REPLY(op->rq, write_txn_markers_response, &op->rsp);
}

void handler_write_txn_markers(struct rq *rq)
{
        struct markers_op *op = ARENA_NEW(&rq->arena, struct markers_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, write_txn_markers_request, &op->req))
                return;
        if (!markers_prepare(op)) {
                rq_close_nomem(rq);
                return;
        }
        count = op->req.markers_count;
        if (!count) {
                RQ_REPLY(rq, write_txn_markers_response, &op->rsp);
                return;
        }
        if (!authorize_cluster_first(rq, ACL_ALTER) && !authorize_cluster(rq, ACL_CLUSTER_ACTION)) {
                markers_refuse(op, KERR_CLUSTER_AUTHORIZATION_FAILED);
                return;
        }
        op->left = (size_t)count;
        for (int32_t i = 0; i < count; i++) /* the last one may end it all */
                mark_write_start(&op->markers[i].write);
}

/* ---- producers of a partition ---- */

static bool fill_producers(struct rq *rq, struct partition *p, struct describe_producers_response_partition *ret)
{
        CLEANUP(freep) struct plog_producer *list = NULL;
        size_t count;

        if (plog_producers(partition_log(p), &list, &count))
                return false;
        ret->active_producers = ARENA_NEW_ARRAY(&rq->arena, struct describe_producers_response_producer, count);
        if (!ret->active_producers)
                return false;
        ret->active_producers_count = (int32_t)count;
        for (size_t i = 0; i < count; i++) {
                describe_producers_response_producer_init(&ret->active_producers[i]);
                ret->active_producers[i].producer_id = list[i].id;
                ret->active_producers[i].producer_epoch = list[i].epoch;
                ret->active_producers[i].last_sequence = list[i].last_sequence;
                ret->active_producers[i].last_timestamp = list[i].last_timestamp;
                ret->active_producers[i].coordinator_epoch = list[i].coordinator_epoch;
                ret->active_producers[i].current_txn_start_offset = list[i].txn_first_offset;
        }
        return true;
}

static bool describe_partition(struct rq *rq, struct str topic, int32_t index, int16_t denied,
                               struct describe_producers_response_partition *ret)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        int16_t error = resolve_partition(rq, UUID_ZERO, topic, index, &p);

        describe_producers_response_partition_init(ret);
        ret->partition_index = index;
        if (denied) {
                ret->error_code = denied;
                handler_count_error(rq, denied);
                return true;
        }
        if (!meta_topic_name_is_valid(topic)) {
                error = KERR_INVALID_TOPIC_EXCEPTION;
                ret->error_message = RQ_TEXT(rq, "'%.*s' is no name of a topic.", STR_FMT(topic));
        } else if (error == KERR_UNKNOWN_TOPIC_OR_PARTITION) {
                ret->error_message = RQ_TEXT(rq, "There is no partition %d of a topic '%.*s'.", index, STR_FMT(topic));
        } else if (!error) {
                error = error_of_log(partition_check_epoch(p, -1));
        }
        ret->error_code = error;
        if (error)
                handler_count_error(rq, error);
        return error || fill_producers(rq, p, ret);
}

static bool describe_topic(struct rq *rq, const struct describe_producers_request_topic *in,
                           struct describe_producers_response_topic *ret)
{
        int16_t denied = authorize_topic(rq, ACL_READ, UUID_ZERO, in->name);

        describe_producers_response_topic_init(ret);
        ret->name = in->name;
        ret->partitions =
                ARENA_NEW_ARRAY(&rq->arena, struct describe_producers_response_partition, in->partition_indexes_count);
        if (!ret->partitions)
                return false;
        ret->partitions_count = in->partition_indexes_count;
        for (int32_t i = 0; i < in->partition_indexes_count; i++)
                if (!describe_partition(rq, in->name, in->partition_indexes[i], denied, &ret->partitions[i]))
                        return false;
        return true;
}

void handler_describe_producers(struct rq *rq)
{
        struct describe_producers_request req;
        struct describe_producers_response rsp;
        bool ok;

        if (!RQ_DECODE(rq, describe_producers_request, &req))
                return;
        describe_producers_response_init(&rsp);
        rsp.topics = ARENA_NEW_ARRAY(&rq->arena, struct describe_producers_response_topic, req.topics_count);
        ok = rsp.topics;
        rsp.topics_count = req.topics_count;
        for (int32_t i = 0; ok && i < req.topics_count; i++)
                ok = describe_topic(rq, &req.topics[i], &rsp.topics[i]);
        if (ok)
                RQ_REPLY(rq, describe_producers_response, &rsp);
        else
                rq_close_nomem(rq);
}

/* ---- transactions by id ---- */

struct described {
        struct describe_op *op;
        struct coord_txn_describe ask;
        struct describe_transactions_response_txn *row;
};

struct describe_op {
        struct rq *rq;
        struct describe_transactions_request req;
        struct describe_transactions_response rsp;
        struct described *txns;
        int32_t left;
        bool failed;
};

/* Items of one topic come one after the other. */
static bool fill_topics(struct rq *rq, const struct coord_txn_describe *ask,
                        struct describe_transactions_response_txn *row)
{
        struct describe_transactions_response_topic *t = NULL;
        int32_t *partitions = ARENA_NEW_ARRAY(&rq->arena, int32_t, ask->ret_items_count);

        row->topics = ARENA_NEW_ARRAY(&rq->arena, struct describe_transactions_response_topic, ask->ret_items_count);
        if (!partitions || !row->topics)
                return false;
        for (int32_t i = 0; i < ask->ret_items_count; i++) {
                const struct coord_txn_item *item = &ask->ret_items[i];

                if (!authorize_quietly(rq, ACL_DESCRIBE, ACL_TOPIC, item->topic))
                        continue;
                if (!t || !str_equal(t->topic, item->topic)) {
                        t = &row->topics[row->topics_count++];
                        describe_transactions_response_topic_init(t);
                        t->topic = (struct str){ arena_memdup(&rq->arena, item->topic.p, item->topic.len),
                                                 item->topic.len };
                        t->partitions = &partitions[i]; /* all of a topic are told, or none */
                        if (!t->topic.p)
                                return false;
                }
                partitions[i] = item->partition;
                t->partitions_count++;
        }
        return true;
}

static void describe_done(struct coord_request *crq)
{
        struct described *d = container_of(crq, struct described, ask.rq);
        struct describe_op *op = d->op;
        struct describe_transactions_response_txn *row = d->row;

        row->error_code = error_of_coord(crq->outcome);
        if (row->error_code) {
                handler_count_error(op->rq, row->error_code);
        } else {
                row->transaction_state = str_of(coord_txn_state_name(d->ask.ret_state));
                row->transaction_timeout_ms = d->ask.ret_timeout_ms;
                row->transaction_start_time_ms = d->ask.ret_start_ms;
                row->producer_id = d->ask.ret_producer_id;
                row->producer_epoch = d->ask.ret_producer_epoch;
                op->failed |= !fill_topics(op->rq, &d->ask, row);
        }
        coord_request_fini(crq);
        if (--op->left)
                return;
        if (op->failed)
                rq_close_nomem(op->rq);
        else
                RQ_REPLY(op->rq, describe_transactions_response, &op->rsp);
}

void handler_describe_transactions(struct rq *rq)
{
        struct describe_op *op = ARENA_NEW(&rq->arena, struct describe_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, describe_transactions_request, &op->req))
                return;
        count = op->left = op->req.transactional_ids_count;
        describe_transactions_response_init(&op->rsp);
        op->rsp.transaction_states = ARENA_NEW_ARRAY(&rq->arena, struct describe_transactions_response_txn, count);
        op->rsp.transaction_states_count = count;
        op->txns = ARENA_NEW_ARRAY(&rq->arena, struct described, count);
        if (!op->rsp.transaction_states || !op->txns) {
                rq_close_nomem(rq);
                return;
        }
        if (!count) {
                RQ_REPLY(rq, describe_transactions_response, &op->rsp);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                struct described *d = &op->txns[i];

                *d = (struct described){ .op = op, .row = &op->rsp.transaction_states[i] };
                describe_transactions_response_txn_init(d->row);
                d->row->transactional_id = op->req.transactional_ids[i];
                coord_request_init(&d->ask.rq, COORD_TXN_DESCRIBE, d->row->transactional_id);
                if (authorize(rq, ACL_DESCRIBE, ACL_TRANSACTIONAL_ID, d->row->transactional_id)) {
                        txn_ask_here(rq, &d->ask.rq, describe_done);
                } else {
                        coord_request_refuse(&d->ask.rq, COORD_E_TXN_DENIED);
                        describe_done(&d->ask.rq); /* the last one may end it all */
                }
        }
}

/* ---- all of this node ---- */

struct list_op {
        struct rq *rq;
        struct list_transactions_request req;
        struct list_transactions_response rsp;
        struct coord_txn_list ask;
        struct pattern *pattern; /* NULL: any id */
};

static bool is_wanted(struct list_op *op, const struct coord_listed_txn *t)
{
        if (!authorize_quietly(op->rq, ACL_DESCRIBE, ACL_TRANSACTIONAL_ID, t->id))
                return false;
        return !op->pattern || pattern_matches(op->pattern, t->id);
}

static void list_done(struct coord_request *crq)
{
        struct list_op *op = container_of(crq, struct list_op, ask.rq);
        struct list_transactions_response *rsp = &op->rsp;

        rsp->error_code = error_of_coord(crq->outcome);
        if (rsp->error_code)
                handler_count_error(op->rq, rsp->error_code);
        rsp->transaction_states =
                ARENA_NEW_ARRAY(&op->rq->arena, struct list_transactions_response_txn, op->ask.ret_txns_count);
        if (!rsp->transaction_states) {
                pattern_free(op->pattern);
                coord_request_fini(crq);
                rq_close_nomem(op->rq);
                return;
        }
        for (int32_t i = 0; !rsp->error_code && i < op->ask.ret_txns_count; i++) {
                struct list_transactions_response_txn *t = &rsp->transaction_states[rsp->transaction_states_count];

                if (!is_wanted(op, &op->ask.ret_txns[i]))
                        continue;
                rsp->transaction_states_count++;
                list_transactions_response_txn_init(t);
                t->transactional_id = op->ask.ret_txns[i].id;
                t->producer_id = op->ask.ret_txns[i].producer_id;
                t->transaction_state = str_of(coord_txn_state_name(op->ask.ret_txns[i].state));
        }
        pattern_free(op->pattern);
        GROUP_REPLY(op->rq, list_transactions_response, rsp, crq);
}

/* Return: 0 or Kafka's code. */
static int16_t take_pattern(struct list_op *op)
{
        char why[PATTERN_WHY_SIZE];

        if (!op->req.transactional_id_pattern.len)
                return 0;
        return pattern_new(op->req.transactional_id_pattern, &op->pattern, why) ? KERR_INVALID_REGULAR_EXPRESSION : 0;
}

void handler_list_transactions(struct rq *rq)
{
        struct list_op *op = ARENA_NEW(&rq->arena, struct list_op);
        enum coord_txn_state state;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, list_transactions_request, &op->req))
                return;
        list_transactions_response_init(&op->rsp);
        op->rsp.unknown_state_filters = ARENA_NEW_ARRAY(&rq->arena, struct str, op->req.state_filters_count);
        if (!op->rsp.unknown_state_filters) {
                rq_close_nomem(rq);
                return;
        }
        coord_request_init(&op->ask.rq, COORD_TXN_LIST, STR_NULL);
        for (int32_t i = 0; i < op->req.state_filters_count; i++) {
                if (coord_txn_state_parse(op->req.state_filters[i], &state))
                        op->ask.states_mask |= 1u << state;
                else
                        op->rsp.unknown_state_filters[op->rsp.unknown_state_filters_count++] = op->req.state_filters[i];
        }
        op->rsp.error_code = take_pattern(op);
        if (op->rsp.error_code) {
                handler_count_error(rq, op->rsp.error_code);
                RQ_REPLY(rq, list_transactions_response, &op->rsp);
                return;
        }
        if (op->req.state_filters_count &&
            !op->ask.states_mask) { /* no transaction is in a state that does not exist */
                RQ_REPLY(rq, list_transactions_response, &op->rsp);
                return;
        }
        op->ask.producer_ids = op->req.producer_id_filters;
        op->ask.producer_ids_count = op->req.producer_id_filters_count;
        op->ask.running_ms = op->req.duration_filter;
        txn_ask_here(rq, &op->ask.rq, list_done);
}
