/* CreateTopics (key 19) and DeleteTopics (key 20). Sources: KIP-4, KIP-525 (what was created), KIP-516 (topic ids), KIP-599 (quotas:
 * from versions 6 and 5 on a request is refused where older ones only wait). */
#include "conf/limits.h"
#include "handler/ask.h"
#include "handler/authorize.h"
#include "handler/config_view.h"
#include "handler/quota.h"
#include "handler/twice.h"
#include "wire/messages.h"

/* ---- create ---- */

struct create_op {
        struct rq *rq;
        struct create_topics_request req;
        struct create_topics_response rsp;
        struct controller_create_topic *items;
        int32_t *rows; /* row of the response of each item */
        uint32_t items_count;
        struct ask ask;
};

static void create_fail(struct create_op *op, struct create_topics_response_topic *out, int16_t error, struct str text)
{
        out->error_code = error;
        out->error_message = text;
        out->num_partitions = -1;
        out->replication_factor = -1;
        handler_count_error(op->rq, error);
}

/* KIP-525: what the topic was created with. When it cannot be told the configs stay null; to who may not know it, it is not
 * told with how many partitions and replicas, either. */
static void create_tell_configs(struct create_op *op, const struct controller_create_topic *item,
                                struct create_topics_response_topic *out)
{
        struct conf_pairs set = { item->configs, (size_t)item->configs_count };
        struct conf_entries entries;

        out->configs_count = -1;
        if (!authorize_quietly(op->rq, ACL_DESCRIBE_CONFIGS, ACL_TOPIC, item->name)) {
                out->topic_config_error_code = KERR_TOPIC_AUTHORIZATION_FAILED;
                out->configs_count = 0;
                out->num_partitions = -1;
                out->replication_factor = -1;
                return;
        }
        if (config_entries(op->rq, set, NULL, 0, &entries))
                return;
        out->configs = ARENA_NEW_ARRAY(&op->rq->arena, struct create_topics_response_config, entries.count);
        if (!out->configs)
                return;
        out->configs_count = (int32_t)entries.count;
        for (size_t i = 0; i < entries.count; i++) {
                create_topics_response_config_init(&out->configs[i]);
                out->configs[i].name = entries.at[i].name;
                out->configs[i].value = entries.at[i].value;
                out->configs[i].read_only = entries.at[i].read_only;
                out->configs[i].config_source = (int8_t)entries.at[i].source;
        }
}

static void create_done(struct controller_request *crq)
{
        struct create_op *op = container_of(crq, struct create_op, ask.rq);

        for (uint32_t i = 0; i < op->items_count; i++) {
                struct create_topics_response_topic *out = &op->rsp.topics[op->rows[i]];
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);

                if (result->outcome) {
                        create_fail(op, out, error_of_controller(result->outcome), result->message);
                        continue;
                }
                out->topic_id = op->items[i].id;
                out->num_partitions = op->items[i].partitions_count;
                out->replication_factor = op->items[i].replication_factor;
                if (op->rq->version >= 5)
                        create_tell_configs(op, &op->items[i], out);
        }
        for (uint32_t i = 0; i < op->items_count; i++) {
                struct str *text = &op->rsp.topics[op->rows[i]].error_message;

                if (text->p)
                        *text = RQ_TEXT(op->rq, "%.*s", STR_FMT(*text));
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, create_topics_response, &op->rsp);
}

static bool create_item(struct create_op *op, const struct create_topics_request_topic *in)
{
        struct arena *a = &op->rq->arena;
        struct controller_create_topic *item = &op->items[op->items_count++];
        struct controller_assignment *assignments =
                ARENA_NEW_ARRAY(a, struct controller_assignment, in->assignments_count);
        struct conf_pair *configs = ARENA_NEW_ARRAY(a, struct conf_pair, in->configs_count);

        if (!assignments || !configs)
                return false;
        for (int32_t i = 0; i < in->assignments_count; i++)
                assignments[i] = (struct controller_assignment){
                        .partition = in->assignments[i].partition_index,
                        .replicas = in->assignments[i].broker_ids,
                        .replicas_count = in->assignments[i].broker_ids_count,
                };
        for (int32_t i = 0; i < in->configs_count; i++) {
                configs[i].name = in->configs[i].name;
                configs[i].value = in->configs[i].value;
        }
        item->name = in->name;
        item->partitions_count = in->num_partitions;
        item->replication_factor = in->replication_factor;
        item->assignments = in->assignments_count ? assignments : NULL;
        item->assignments_count = in->assignments_count;
        item->configs = configs;
        item->configs_count = in->configs_count;
        return true;
}

/* Partitions that are asked for, as far as that can be told before it is decided. */
static int32_t create_count_of(const struct create_topics_request_topic *t)
{
        return t->assignments_count > 0 ? t->assignments_count : t->num_partitions < 0 ? 1 : t->num_partitions;
}

static int64_t create_count(const struct create_op *op)
{
        int64_t count = 0;

        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += create_count_of(&op->req.topics[i]);
        return count;
}

static bool create_may(const struct create_op *op, const struct create_topics_request_topic *t)
{
        return op->req.validate_only || quota_try(op->rq, QUOTA_MUTATION, create_count_of(t), op->rq->version >= 6);
}

/* One row for each name, so a name that comes again has been answered. */
static bool create_prepare(struct create_op *op)
{
        struct arena *a = &op->rq->arena;
        int32_t count = op->req.topics_count;
        bool too_many = create_count(op) > LIMIT_CREATE_PARTITIONS;
        bool all = authorize_cluster_first(op->rq, ACL_CREATE);
        uint8_t *twice = twice_names(a, op->req.topics, sizeof *op->req.topics,
                                     offsetof(struct create_topics_request_topic, name), (size_t)count);

        create_topics_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(a, struct create_topics_response_topic, count);
        op->items = ARENA_NEW_ARRAY(a, struct controller_create_topic, count);
        op->rows = ARENA_NEW_ARRAY(a, int32_t, count);
        if (!twice || !op->rsp.topics || !op->items || !op->rows)
                return false;
        for (int32_t i = 0; i < count; i++) {
                struct create_topics_response_topic *out = &op->rsp.topics[op->rsp.topics_count];

                if (twice[i] == TWICE_AGAIN)
                        continue;
                create_topics_response_topic_init(out);
                out->name = op->req.topics[i].name;
                out->error_message = STR_NULL;
                op->rows[op->items_count] = op->rsp.topics_count++;
                if (twice[i])
                        create_fail(op, out, KERR_INVALID_REQUEST,
                                    RQ_TEXT(op->rq, "The topic is named twice in this request; name it once."));
                else if (!all && !authorize(op->rq, ACL_CREATE, ACL_TOPIC, out->name))
                        create_fail(op, out, KERR_TOPIC_AUTHORIZATION_FAILED, STR_LIT("Authorization failed."));
                else if (too_many)
                        create_fail(op, out, KERR_POLICY_VIOLATION,
                                    RQ_TEXT(op->rq, "One request creates at most %d partitions; send several.",
                                            LIMIT_CREATE_PARTITIONS));
                else if (!create_may(op, &op->req.topics[i]))
                        create_fail(op, out, KERR_THROTTLING_QUOTA_EXCEEDED, quota_mutation_text());
                else if (!create_item(op, &op->req.topics[i]))
                        return false;
        }
        return true;
}

void handler_create_topics(struct rq *rq)
{
        struct create_op *op = ARENA_NEW(&rq->arena, struct create_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, create_topics_request, &op->req))
                return;
        if (!create_prepare(op))
                rq_close_nomem(rq);
        else
                ask_submit(rq, &op->ask, CONTROLLER_CREATE_TOPICS, op->items, op->items_count, op->req.validate_only,
                           create_done);
}

/* ---- delete ---- */

struct delete_op {
        struct rq *rq;
        struct delete_topics_request req;
        struct delete_topics_response rsp;
        struct controller_delete_topic *items;
        int32_t *rows; /* row of the response of each item */
        uint32_t items_count;
        struct ask ask;
};

static void delete_fail(struct delete_op *op, struct delete_topics_response_topic *out, int16_t error, struct str text)
{
        out->error_code = error;
        out->error_message = text;
        handler_count_error(op->rq, error);
}

static void delete_done(struct controller_request *crq)
{
        struct delete_op *op = container_of(crq, struct delete_op, ask.rq);

        for (uint32_t i = 0; i < op->items_count; i++) {
                struct delete_topics_response_topic *out = &op->rsp.responses[op->rows[i]];
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);

                out->name = op->items[i].name.p ? RQ_TEXT(op->rq, "%.*s", STR_FMT(op->items[i].name)) : STR_NULL;
                out->topic_id = op->items[i].id;
                if (result->outcome)
                        delete_fail(op, out, error_of_controller(result->outcome),
                                    RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message)));
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, delete_topics_response, &op->rsp);
}

static struct delete_topics_request_topic delete_named(const struct delete_op *op, int32_t i)
{
        if (op->rq->version >= 6)
                return op->req.topics[i];
        return (struct delete_topics_request_topic){ .name = op->req.topic_names[i] };
}

/* The id of what is named, by its name or its id; zero when the name is nobody's. */
static struct uuid delete_id(const struct delete_op *op, const struct delete_topics_request_topic *in)
{
        const struct meta_topic *t = in->name.p ? meta_image_topic(op->rq->image, in->name) : NULL;

        return in->name.p ? (t ? t->id : UUID_ZERO) : in->topic_id;
}

/* Is the @i-th topic named once more, from place @from to before @to? By id one time and by name the other counts. */
static bool delete_is_named_again(const struct delete_op *op, int32_t i, int32_t from, int32_t to)
{
        struct delete_topics_request_topic a = delete_named(op, i);
        struct uuid id = delete_id(op, &a);

        for (int32_t k = from; k < to; k++) {
                struct delete_topics_request_topic b = delete_named(op, k);

                if (a.name.p && b.name.p ? str_equal(a.name, b.name)
                                         : !uuid_is_zero(id) && uuid_equal(id, delete_id(op, &b)))
                        return true;
        }
        return false;
}

static bool delete_may(const struct delete_op *op, const struct delete_topics_request_topic *in)
{
        const struct meta_topic *t = in->name.p ? meta_image_topic(op->rq->image, in->name)
                                                : meta_image_topic_by_id(op->rq->image, in->topic_id);

        return !t || quota_try(op->rq, QUOTA_MUTATION, t->partitions_count, op->rq->version >= 5);
}

/* May the client delete what is named? Who may not even know of a topic is not told its name beside its id. */
static bool delete_authorize(struct delete_op *op, const struct delete_topics_request_topic *in,
                             struct delete_topics_response_topic *out)
{
        const struct meta_topic *t = in->name.p ? NULL : meta_image_topic_by_id(op->rq->image, in->topic_id);
        struct str name = in->name.p ? in->name : t ? t->name : STR_NULL;
        bool all = authorize_cluster_first(op->rq, ACL_DELETE);
        bool may_know;

        if (!name.p) /* an id of nothing: the controller says so */
                return true;
        may_know = all || authorize_quietly(op->rq, ACL_DESCRIBE, ACL_TOPIC, name);
        if (in->name.p && may_know && !meta_image_topic(op->rq->image, name))
                return true;
        if (may_know && (all || authorize(op->rq, ACL_DELETE, ACL_TOPIC, name)))
                return true;
        out->name = in->name.p || may_know ? name : STR_NULL;
        delete_fail(op, out, KERR_TOPIC_AUTHORIZATION_FAILED, STR_NULL);
        return false;
}

/* One row for each topic. Nothing is deleted where it is not clear what is meant. */
static void delete_prepare(struct delete_op *op, int32_t count)
{
        for (int32_t i = 0; i < count; i++) {
                struct delete_topics_request_topic in = delete_named(op, i);
                struct delete_topics_response_topic *out = &op->rsp.responses[op->rsp.responses_count];

                if (delete_is_named_again(op, i, 0, i))
                        continue;
                delete_topics_response_topic_init(out);
                out->name = in.name;
                out->topic_id = in.topic_id;
                op->rows[op->items_count] = op->rsp.responses_count++;
                if (in.name.p && !uuid_is_zero(in.topic_id))
                        delete_fail(op, out, KERR_INVALID_REQUEST,
                                    RQ_TEXT(op->rq, "A topic is named by its name or by its id, not by both."));
                else if (!in.name.p && uuid_is_zero(in.topic_id))
                        delete_fail(op, out, KERR_INVALID_REQUEST,
                                    RQ_TEXT(op->rq, "Neither a name nor an id says which topic is meant."));
                else if (delete_is_named_again(op, i, i + 1, count))
                        delete_fail(op, out, KERR_INVALID_REQUEST,
                                    RQ_TEXT(op->rq, "The topic is named twice in this request; name it once."));
                else if (!delete_authorize(op, &in, out))
                        continue;
                else if (!delete_may(op, &in))
                        delete_fail(op, out, KERR_THROTTLING_QUOTA_EXCEEDED, quota_mutation_text());
                else
                        op->items[op->items_count++] =
                                (struct controller_delete_topic){ .name = in.name, .id = in.topic_id };
        }
}

void handler_delete_topics(struct rq *rq)
{
        struct delete_op *op = ARENA_NEW(&rq->arena, struct delete_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, delete_topics_request, &op->req))
                return;
        count = rq->version >= 6 ? op->req.topics_count : op->req.topic_names_count;
        delete_topics_response_init(&op->rsp);
        op->rsp.responses = ARENA_NEW_ARRAY(&rq->arena, struct delete_topics_response_topic, count);
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_delete_topic, count);
        op->rows = ARENA_NEW_ARRAY(&rq->arena, int32_t, count);
        if (!op->rsp.responses || !op->items || !op->rows) {
                rq_close_nomem(rq);
                return;
        }
        delete_prepare(op, count);
        ask_submit(rq, &op->ask, CONTROLLER_DELETE_TOPICS, op->items, op->items_count, false, delete_done);
}
