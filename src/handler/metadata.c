/* Metadata (key 3): brokers, topics, leaders; and creation of topics that a client asks for by name.
 * A topic that is created here is told when it is ready, so that the client need not ask again.
 * Sources: KIP-4 (auto-creation is the client's choice), KIP-516 (topic ids). */
#include "conf/conf.h"
#include "conf/limits.h"
#include "handler/ask.h"
#include "handler/cluster_view.h"
#include "handler/twice.h"
#include "wire/messages.h"

enum { CREATE_DENIED = UINT32_MAX };

struct metadata_op {
        struct rq *rq;
        struct metadata_request req;
        uint8_t *twice; /* by row of the request: see twice.h */
        struct controller_create_topic *creates;
        uint32_t *create_of; /* by row: place in creates plus one, 0 none, or CREATE_DENIED; NULL: nothing is created */
        uint32_t creates_count;
        struct ask ask;
};

static bool add_partitions(struct rq *rq, const struct meta_topic *t, struct metadata_response_topic *out)
{
        out->partitions = ARENA_NEW_ARRAY(&rq->arena, struct metadata_response_partition, t->partitions_count);
        if (!out->partitions)
                return false;
        for (uint32_t i = 0; i < t->partitions_count; i++) {
                struct metadata_response_partition *p = &out->partitions[out->partitions_count++];
                const struct meta_partition *in = meta_topic_partition(t, (int32_t)i);
                struct partition_told told;

                metadata_response_partition_init(p);
                if (!told_partition(rq, in, &told))
                        return false;
                /* KIP-103: versions before 6 do not know LISTENER_NOT_FOUND. */
                p->error_code = told.error == KERR_LISTENER_NOT_FOUND && rq->version < 6 ? KERR_LEADER_NOT_AVAILABLE
                                                                                         : told.error;
                p->partition_index = (int32_t)i;
                p->leader_id = told.leader;
                p->leader_epoch = told.leader_epoch;
                p->replica_nodes = told.replicas;
                p->replica_nodes_count = told.replicas_count;
                p->isr_nodes = told.isr;
                p->isr_nodes_count = told.isr_count;
                p->offline_replicas = told.offline;
                p->offline_replicas_count = told.offline_count;
        }
        return true;
}

static bool add_topic(struct metadata_op *op, const struct meta_topic *t, struct metadata_response_topic *out)
{
        metadata_response_topic_init(out);
        out->name = t->name;
        out->topic_id = t->id;
        out->is_internal = meta_topic_is_internal(t->name);
        if (op->req.include_topic_authorized_operations)
                out->topic_authorized_operations = authorized_operations(op->rq, ACL_TOPIC, t->name);
        return add_partitions(op->rq, t, out);
}

static bool add_brokers(struct rq *rq, struct metadata_response *rsp)
{
        const struct meta_broker *b;

        rsp->brokers = ARENA_NEW_ARRAY(&rq->arena, struct metadata_response_broker, rq->image->brokers.count);
        if (!rsp->brokers)
                return false;
        rsp->controller_id = -1;
        pmap_for_each (it, b, &rq->image->brokers) {
                const struct meta_endpoint *e = told_endpoint(rq, b);
                struct metadata_response_broker *out;

                if (!e)
                        continue;
                out = &rsp->brokers[rsp->brokers_count++];
                metadata_response_broker_init(out);
                out->node_id = b->id;
                out->host = e->host;
                out->port = e->port;
                out->rack = b->rack;
                if (rsp->controller_id < 0)
                        rsp->controller_id = b->id; /* any live broker passes requests on */
        }
        return true;
}

static bool add_all(struct metadata_op *op, struct metadata_response *rsp)
{
        struct rq *rq = op->rq;
        const struct meta_topic *t;

        rsp->topics = ARENA_NEW_ARRAY(&rq->arena, struct metadata_response_topic, rq->image->topics_by_name.count);
        if (!rsp->topics)
                return false;
        pmap_for_each (it, t, &rq->image->topics_by_name)
                if (authorize_quietly(rq, ACL_DESCRIBE, ACL_TOPIC, t->name) &&
                    !add_topic(op, t, &rsp->topics[rsp->topics_count++]))
                        return false;
        return true;
}

/* The name that counts: none when the topic is named by its id (some clients send an empty name beside it). */
static struct str topic_name(const struct metadata_request_topic *in)
{
        return uuid_is_zero(in->topic_id) ? in->name : STR_NULL;
}

static int16_t create_error(const struct metadata_op *op, int32_t row)
{
        const struct controller_result *result;

        if (op->create_of && op->create_of[row] == CREATE_DENIED)
                return KERR_TOPIC_AUTHORIZATION_FAILED;
        if (!op->create_of || !op->create_of[row])
                return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        result = ask_result(&op->ask, &op->creates[op->create_of[row] - 1].result);
        return result->outcome == CONTROLLER_OK ? KERR_LEADER_NOT_AVAILABLE : error_of_controller(result->outcome);
}

/* What is said of a topic that cannot be told of. The name beside an id would tell who may not know it. */
static void add_refused(struct metadata_op *op, int32_t row, struct str name, int16_t error,
                        struct metadata_response_topic *out)
{
        metadata_response_topic_init(out);
        out->name = name;
        out->topic_id = name.p && error == KERR_TOPIC_AUTHORIZATION_FAILED ? UUID_ZERO : op->req.topics[row].topic_id;
        out->error_code = !name.p || error == KERR_TOPIC_AUTHORIZATION_FAILED ? error
                          : !meta_topic_name_is_valid(name)                   ? KERR_INVALID_TOPIC_EXCEPTION
                                                                              : create_error(op, row);
        handler_count_error(op->rq, out->error_code);
}

static bool add_named(struct metadata_op *op, struct metadata_response *rsp)
{
        struct rq *rq = op->rq;

        rsp->topics = ARENA_NEW_ARRAY(&rq->arena, struct metadata_response_topic, op->req.topics_count);
        if (!rsp->topics)
                return false;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct metadata_request_topic *in = &op->req.topics[i];
                struct metadata_response_topic *out = &rsp->topics[rsp->topics_count];
                const struct meta_topic *t;
                struct str name = topic_name(in);
                int16_t error;

                if (op->twice[i] == TWICE_AGAIN)
                        continue;
                rsp->topics_count++;
                error = resolve_topic_for(rq, ACL_DESCRIBE, in->topic_id, name, &t);
                if (error)
                        add_refused(op, i, name, error, out);
                else if (!add_topic(op, t, out))
                        return false;
        }
        return true;
}

static void answer(struct metadata_op *op)
{
        struct rq *rq = op->rq;
        struct metadata_response rsp;
        bool all = op->req.topics_count < 0 || (rq->version == 0 && op->req.topics_count == 0);

        metadata_response_init(&rsp);
        rsp.cluster_id = rq->image->cluster_id;
        if (op->req.include_cluster_authorized_operations)
                rsp.cluster_authorized_operations = authorized_cluster_operations(rq);
        if (!add_brokers(rq, &rsp) || !(all ? add_all(op, &rsp) : add_named(op, &rsp))) {
                rq_close_nomem(rq);
                return;
        }
        RQ_REPLY(rq, metadata_response, &rsp);
}

static void created(struct controller_request *crq)
{
        struct metadata_op *op = container_of(crq, struct metadata_op, ask.rq);

        ask_fini(&op->ask);             /* the texts of the results are not told */
        if (handler_image_take(op->rq)) /* with what was created */
                answer(op);
        else
                rq_close_nomem(op->rq);
}

static bool twice_fill(struct metadata_op *op)
{
        size_t count = (size_t)MAX2(op->req.topics_count, 0);
        struct twice_item *items = ARENA_NEW_ARRAY(&op->rq->arena, struct twice_item, count);

        op->twice = ARENA_NEW_ARRAY(&op->rq->arena, uint8_t, count);
        if (!items || !op->twice)
                return false;
        for (size_t i = 0; i < count; i++) {
                const struct metadata_request_topic *in = &op->req.topics[i];
                bool by_id = !uuid_is_zero(in->topic_id);

                items[i] = (struct twice_item){
                        .name = by_id ? (struct str){ (const char *)in->topic_id.b, sizeof in->topic_id.b } : in->name,
                        .kind = by_id,
                        .row = (int32_t)i,
                };
        }
        twice_find(items, count, op->twice);
        return true;
}

static bool creates_fill(struct metadata_op *op)
{
        uint32_t count_max = (uint32_t)MIN2(MAX2(op->req.topics_count, 0), LIMIT_AUTO_CREATE_TOPICS);
        bool all = authorize_cluster_first(op->rq, ACL_CREATE);

        op->creates = ARENA_NEW_ARRAY(&op->rq->arena, struct controller_create_topic, count_max);
        op->create_of = ARENA_NEW_ARRAY(&op->rq->arena, uint32_t, MAX2(op->req.topics_count, 0));
        if (!op->creates || !op->create_of)
                return false;
        for (int32_t i = 0; i < op->req.topics_count && op->creates_count < count_max; i++) {
                struct str name = topic_name(&op->req.topics[i]);

                if (op->twice[i] == TWICE_AGAIN || !name.p || !meta_topic_name_is_valid(name) ||
                    meta_image_topic(op->rq->image, name) || meta_topic_is_internal(name) ||
                    !authorize_quietly(op->rq, ACL_DESCRIBE, ACL_TOPIC, name))
                        continue;
                if (!all && !authorize(op->rq, ACL_CREATE, ACL_TOPIC, name)) {
                        op->create_of[i] = CREATE_DENIED;
                } else {
                        op->creates[op->creates_count++] = (struct controller_create_topic){
                                .name = name,
                                .partitions_count = -1,
                                .replication_factor = -1,
                        };
                        op->create_of[i] = op->creates_count;
                }
        }
        return true;
}

void handler_metadata(struct rq *rq)
{
        struct metadata_op *op = ARENA_NEW(&rq->arena, struct metadata_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        arena_init(&op->ask.mem, 0);
        if (!RQ_DECODE(rq, metadata_request, &op->req))
                return;
        /* Versions before 4 cannot say no. */
        if (!twice_fill(op)) {
                rq_close_nomem(rq);
                return;
        }
        if (rq->h->deps.conf->topics.auto_create && (rq->version < 4 || op->req.allow_auto_topic_creation) &&
            !creates_fill(op)) {
                rq_close_nomem(rq);
                return;
        }
        if (op->creates_count)
                ask_submit(rq, &op->ask, CONTROLLER_CREATE_TOPICS, op->creates, op->creates_count, false, created);
        else
                answer(op);
}
