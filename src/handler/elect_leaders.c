/* ElectLeaders (key 43): preferred leaders get their partitions back, or, when asked for, anyone alive leads what nobody
 * complete can. Without a list all partitions are meant, and only those are told for which there was something to do.
 * Sources: KIP-183, KIP-460. */
#include "handler/ask.h"
#include "wire/messages.h"

struct elect_op {
        struct rq *rq;
        struct elect_leaders_request req;
        struct elect_leaders_response rsp;
        struct controller_elect_leader *items;
        uint32_t items_count;
        bool all;
        struct ask ask;
};

static const enum controller_election types[] = { CONTROLLER_ELECT_PREFERRED, CONTROLLER_ELECT_UNCLEAN };

/* Answers follow the items: partitions of one topic are next to each other in both. */
static bool tell(struct elect_op *op)
{
        struct elect_leaders_response_topic *t = NULL;

        op->rsp.replica_election_results =
                ARENA_NEW_ARRAY(&op->rq->arena, struct elect_leaders_response_topic, op->items_count);
        if (!op->rsp.replica_election_results)
                return false;
        for (uint32_t i = 0; i < op->items_count; i++) {
                const struct controller_elect_leader *item = &op->items[i];
                const struct controller_result *result = ask_result(&op->ask, &item->result);
                struct elect_leaders_response_partition *p;

                if (op->all && result->outcome == CONTROLLER_E_ELECTION_NOT_NEEDED)
                        continue;
                if (!t || !str_equal(t->topic, item->topic)) {
                        t = &op->rsp.replica_election_results[op->rsp.replica_election_results_count++];
                        elect_leaders_response_topic_init(t);
                        t->topic = item->topic;
                        t->partition_result = ARENA_NEW_ARRAY(&op->rq->arena, struct elect_leaders_response_partition,
                                                              op->items_count - i);
                        if (!t->partition_result)
                                return false;
                }
                p = &t->partition_result[t->partition_result_count++];
                elect_leaders_response_partition_init(p);
                p->error_message = STR_NULL;
                p->partition_id = item->partition;
                p->error_code = error_of_controller(result->outcome);
                if (!p->error_code)
                        continue;
                p->error_message = RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message));
                handler_count_error(op->rq, p->error_code);
        }
        return true;
}

static void done(struct controller_request *crq)
{
        struct elect_op *op = container_of(crq, struct elect_op, ask.rq);

        op->rsp.error_code = error_of_controller(crq->result.outcome);
        if (!tell(op)) {
                ask_fini(&op->ask);
                rq_close_nomem(op->rq);
                return;
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, elect_leaders_response, &op->rsp);
}

static void add(struct elect_op *op, struct str topic, int32_t partition, enum controller_election type)
{
        op->items[op->items_count++] =
                (struct controller_elect_leader){ .topic = topic, .partition = partition, .type = type };
}

/* Something to do for an election of @type? Only that is asked for; whether it can be done the controller says. */
static bool is_wanted(const struct meta_image *image, const struct meta_partition *p, enum controller_election type)
{
        return type == CONTROLLER_ELECT_PREFERRED ? p->leader != meta_partition_replicas(p)[0]
                                                  : meta_image_leader(image, p) == META_NO_NODE;
}

static bool take_all(struct elect_op *op, enum controller_election type)
{
        const struct meta_image *image = op->rq->image;
        const struct meta_topic *t;
        size_t count = 0;

        pmap_for_each (it, t, &image->topics_by_name)
                for (int32_t i = 0; i < (int32_t)t->partitions_count; i++)
                        count += is_wanted(image, meta_topic_partition(t, i), type);
        op->items = ARENA_NEW_ARRAY(&op->rq->arena, struct controller_elect_leader, count);
        if (!op->items)
                return false;
        pmap_for_each (it, t, &image->topics_by_name)
                for (int32_t i = 0; i < (int32_t)t->partitions_count; i++)
                        if (is_wanted(image, meta_topic_partition(t, i), type))
                                add(op, t->name, i, type); /* the image is held until the answer */
        return true;
}

static bool take_named(struct elect_op *op, enum controller_election type)
{
        size_t count = 0;

        for (int32_t i = 0; i < op->req.topic_partitions_count; i++)
                count += (size_t)op->req.topic_partitions[i].partitions_count;
        op->items = ARENA_NEW_ARRAY(&op->rq->arena, struct controller_elect_leader, count);
        if (!op->items)
                return false;
        for (int32_t i = 0; i < op->req.topic_partitions_count; i++)
                for (int32_t k = 0; k < op->req.topic_partitions[i].partitions_count; k++)
                        add(op, op->req.topic_partitions[i].topic, op->req.topic_partitions[i].partitions[k], type);
        return true;
}

void handler_elect_leaders(struct rq *rq)
{
        struct elect_op *op = ARENA_NEW(&rq->arena, struct elect_op);
        enum controller_election type;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, elect_leaders_request, &op->req))
                return;
        elect_leaders_response_init(&op->rsp);
        if (ask_refused(rq, &op->ask, ACL_ALTER)) {
                if (take_named(op, CONTROLLER_ELECT_PREFERRED)) /* each that is named is told so */
                        done(&op->ask.rq);
                else
                        rq_close_nomem(rq);
                return;
        }
        if (op->req.election_type < 0 || op->req.election_type >= (int8_t)ARRAY_LEN(types)) {
                op->rsp.error_code = KERR_INVALID_REQUEST;
                handler_count_error(rq, op->rsp.error_code);
                RQ_REPLY(rq, elect_leaders_response, &op->rsp);
                return;
        }
        type = types[op->req.election_type];
        op->all = op->req.topic_partitions_count < 0;
        if (op->all ? take_all(op, type) : take_named(op, type))
                ask_submit(rq, &op->ask, CONTROLLER_ELECT_LEADERS, op->items, op->items_count, false, done);
        else
                rq_close_nomem(rq);
}
