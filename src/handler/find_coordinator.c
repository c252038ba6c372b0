/* FindCoordinator (key 10): which broker keeps a group, or a transactional id. The internal topic is made when the first client asks.
 * Sources: KIP-98, KIP-699 (several keys in one request). */
#include "coord/place.h"
#include "handler/authorize.h"
#include "handler/cluster_view.h"
#include "handler/internal_topic.h"
#include "wire/messages.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

struct find_op {
        struct rq *rq;
        struct find_coordinator_request req;
        struct find_coordinator_response rsp;
        struct internal_topic_get topic;
};

static void find_fail(struct find_op *op, struct find_coordinator_response_coordinator *out, int16_t error,
                      const char *text)
{
        out->node_id = -1;
        out->host = STR_LIT("");
        out->port = -1;
        out->error_code = error;
        out->error_message = str_of(text);
        handler_count_error(op->rq, error);
}

/* What keys of a kind are names of; false: there is no such kind. */
static bool kind_of(int8_t key_type, enum acl_resource *ret)
{
        *ret = key_type == KEY_TRANSACTION ? ACL_TRANSACTIONAL_ID : ACL_GROUP;
        return key_type == KEY_GROUP || key_type == KEY_TRANSACTION;
}

static struct str key_at(const struct find_op *op, int32_t i)
{
        return op->rq->version >= 4 ? op->req.coordinator_keys[i] : op->req.key;
}

static int32_t keys_count(const struct find_op *op)
{
        return op->rq->version >= 4 ? op->req.coordinator_keys_count : 1;
}

/* Who may not ask of any of them does not bring topics into being. */
static bool may_ask(struct find_op *op, enum acl_resource kind)
{
        for (int32_t i = 0; i < keys_count(op); i++)
                if (authorize_quietly(op->rq, ACL_DESCRIBE, kind, key_at(op, i)))
                        return true;
        return false;
}

static void find_one(struct find_op *op, struct str key, struct find_coordinator_response_coordinator *out)
{
        struct rq *rq = op->rq;
        const struct meta_topic *t = internal_topic(rq, op->topic.which);
        const struct meta_partition *p;
        const struct meta_endpoint *e;
        enum acl_resource kind;
        int32_t leader;

        find_coordinator_response_coordinator_init(out);
        out->key = key;
        if (!kind_of(op->req.key_type, &kind)) {
                find_fail(op, out, KERR_INVALID_REQUEST, "The key type is not known.");
                return;
        }
        if (!authorize(rq, ACL_DESCRIBE, kind, key)) {
                find_fail(op, out, error_of_authorization(kind), wire_error_message(error_of_authorization(kind)).p);
                return;
        }
        p = t ? meta_topic_partition(t, coord_partition_of(key, (int32_t)t->partitions_count)) : NULL;
        leader = p ? meta_image_leader(rq->image, p) : -1;
        e = leader >= 0 ? told_endpoint(rq, meta_image_broker(rq->image, leader)) : NULL;
        if (!e) {
                find_fail(op, out, KERR_COORDINATOR_NOT_AVAILABLE, "The coordinator is not available.");
                return;
        }
        out->node_id = leader;
        out->host = e->host;
        out->port = e->port;
}

static void answer(struct find_op *op)
{
        struct rq *rq = op->rq;
        int32_t count = keys_count(op);
        struct find_coordinator_response_coordinator *out =
                ARENA_NEW_ARRAY(&rq->arena, struct find_coordinator_response_coordinator, count);

        if (!out) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++)
                find_one(op, key_at(op, i), &out[i]);
        find_coordinator_response_init(&op->rsp);
        if (rq->version >= 4) {
                op->rsp.coordinators = out;
                op->rsp.coordinators_count = count;
        } else {
                op->rsp.error_code = out->error_code;
                op->rsp.error_message = out->error_message;
                op->rsp.node_id = out->node_id;
                op->rsp.host = out->host;
                op->rsp.port = out->port;
        }
        RQ_REPLY(rq, find_coordinator_response, &op->rsp);
}

static void got_topic(struct internal_topic_get *g)
{
        answer(container_of(g, struct find_op, topic));
}

void handler_find_coordinator(struct rq *rq)
{
        struct find_op *op = ARENA_NEW(&rq->arena, struct find_op);
        enum acl_resource kind;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, find_coordinator_request, &op->req))
                return;
        op->topic = (struct internal_topic_get){
                .rq = rq,
                .which = op->req.key_type == KEY_TRANSACTION ? INTERNAL_TRANSACTIONS : INTERNAL_OFFSETS,
                .done = got_topic,
        };
        if (kind_of(op->req.key_type, &kind) && may_ask(op, kind))
                internal_topic_get(&op->topic);
        else
                answer(op);
}
