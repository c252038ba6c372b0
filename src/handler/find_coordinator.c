/* FindCoordinator (key 10): which broker keeps a group. The internal topic of groups is made when the first client asks.
 * Sources: KIP-699 (several keys in one request). */
#include "conf/conf.h"
#include "coord/place.h"
#include "handler/ask.h"
#include "handler/cluster_view.h"
#include "wire/messages.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

static const struct str offsets_topic = { "__consumer_offsets", 18 };

struct find_op {
        struct rq *rq;
        struct find_coordinator_request req;
        struct find_coordinator_response rsp;
        struct controller_create_topic create;
        struct ask ask;
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

static void find_one(struct find_op *op, struct str key, struct find_coordinator_response_coordinator *out)
{
        struct rq *rq = op->rq;
        const struct meta_topic *t = meta_image_topic(rq->image, offsets_topic);
        const struct meta_partition *p;
        const struct meta_endpoint *e;
        int32_t leader;

        find_coordinator_response_coordinator_init(out);
        out->key = key;
        if (op->req.key_type != KEY_GROUP) {
                find_fail(op, out,
                          op->req.key_type == KEY_TRANSACTION ? KERR_COORDINATOR_NOT_AVAILABLE : KERR_INVALID_REQUEST,
                          op->req.key_type == KEY_TRANSACTION ? "Transactions are not served by this cluster."
                                                              : "The key type is not known.");
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
        int32_t count = rq->version >= 4 ? op->req.coordinator_keys_count : 1;
        struct find_coordinator_response_coordinator *out =
                ARENA_NEW_ARRAY(&rq->arena, struct find_coordinator_response_coordinator, count);

        if (!out) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++)
                find_one(op, rq->version >= 4 ? op->req.coordinator_keys[i] : op->req.key, &out[i]);
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

static void created(struct controller_request *crq)
{
        struct find_op *op = container_of(crq, struct find_op, ask.rq);

        ask_fini(&op->ask);
        if (handler_image_take(op->rq)) /* with the topic, whoever made it */
                answer(op);
        else
                rq_close_nomem(op->rq);
}

/* What the internal topic is made with. In the request's arena; NULL: no memory. */
static struct conf_pair *offsets_configs(struct rq *rq, int32_t *ret_count)
{
        const struct conf_pair configs[] = {
                { .name = STR_LIT("cleanup.policy"), .value = STR_LIT("compact") },
                { .name = STR_LIT("compression.type"), .value = STR_LIT("producer") },
                { .name = STR_LIT("segment.bytes"),
                  .value = RQ_TEXT(rq, "%lld", (long long)rq->h->deps.conf->groups.offsets_segment_bytes) },
        };

        *ret_count = ARRAY_LEN(configs);
        return configs[2].value.p ? arena_memdup(&rq->arena, configs, sizeof configs) : NULL;
}

void handler_find_coordinator(struct rq *rq)
{
        struct find_op *op = ARENA_NEW(&rq->arena, struct find_op);
        const struct conf_pair *configs;
        int32_t configs_count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, find_coordinator_request, &op->req))
                return;
        if (op->req.key_type != KEY_GROUP || meta_image_topic(rq->image, offsets_topic)) {
                answer(op);
                return;
        }
        configs = offsets_configs(rq, &configs_count);
        if (!configs) {
                rq_close_nomem(rq);
                return;
        }
        op->create = (struct controller_create_topic){
                .name = offsets_topic,
                .partitions_count = (int32_t)rq->h->deps.conf->groups.offsets_partitions,
                .replication_factor = (int16_t)MIN2(3, MAX2(told_brokers_count(rq), 1)),
                .configs = configs,
                .configs_count = configs_count,
        };
        ask_submit(rq, &op->ask, CONTROLLER_CREATE_TOPICS, &op->create, 1, false, created);
}
