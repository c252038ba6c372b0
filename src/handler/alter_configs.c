/* IncrementalAlterConfigs (key 44) and the older AlterConfigs (key 33), which replaces all that is set. Both become the
 * same request to the controller. Sources: KIP-133, KIP-339. */
#include <errno.h>

#include "handler/ask.h"
#include "handler/config_view.h"
#include "handler/twice.h"
#include "wire/messages.h"

/* What both responses say of a resource. */
struct altered {
        int8_t type;
        struct str name;
        int16_t error;
        struct str text;
};

struct alter_op {
        struct rq *rq;
        bool incremental;
        struct altered *rows;
        uint8_t *named_twice; /* of each row */
        int32_t rows_count;
        struct controller_alter_configs *items;
        int32_t *row_of_item;
        uint32_t items_count;
        struct ask ask;
};

static void answer(struct alter_op *op)
{
        struct rq *rq = op->rq;
        struct incremental_alter_configs_response inc;
        struct alter_configs_response old;
        int32_t n = op->rows_count;

        incremental_alter_configs_response_init(&inc);
        alter_configs_response_init(&old);
        inc.responses = ARENA_NEW_ARRAY(&rq->arena, struct incremental_alter_configs_response_resource, n);
        old.responses = ARENA_NEW_ARRAY(&rq->arena, struct alter_configs_response_resource, n);
        if (!inc.responses || !old.responses) {
                rq_close_nomem(rq);
                return;
        }
        inc.responses_count = old.responses_count = n;
        for (int32_t i = 0; i < n; i++) {
                const struct altered *a = &op->rows[i];

                inc.responses[i] =
                        (struct incremental_alter_configs_response_resource){ a->error, a->text, a->type, a->name };
                old.responses[i] = (struct alter_configs_response_resource){ a->error, a->text, a->type, a->name };
                if (a->error)
                        handler_count_error(rq, a->error);
        }
        if (op->incremental)
                RQ_REPLY(rq, incremental_alter_configs_response, &inc);
        else
                RQ_REPLY(rq, alter_configs_response, &old);
}

static void done(struct controller_request *crq)
{
        struct alter_op *op = container_of(crq, struct alter_op, ask.rq);

        for (uint32_t i = 0; i < op->items_count; i++) {
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);
                struct altered *a = &op->rows[op->row_of_item[i]];

                /* as Kafka: only where a broker itself is the matter, BROKER_ID_NOT_REGISTERED is said */
                a->error = result->outcome == CONTROLLER_E_BROKER_UNKNOWN ? KERR_INVALID_REQUEST
                                                                          : error_of_controller(result->outcome);
                if (a->error)
                        a->text = RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message));
        }
        ask_fini(&op->ask);
        answer(op);
}

static bool find_named_twice(struct alter_op *op)
{
        size_t count = (size_t)op->rows_count;
        struct twice_item *names = ARENA_NEW_ARRAY(&op->rq->arena, struct twice_item, count);

        op->named_twice = ARENA_NEW_ARRAY(&op->rq->arena, uint8_t, count);
        if (!names || !op->named_twice)
                return false;
        for (size_t i = 0; i < count; i++)
                names[i] = (struct twice_item){ op->rows[i].name, op->rows[i].type, (int32_t)i };
        twice_find(names, count, op->named_twice);
        return true;
}

/* The configuration that is changed more than once; null text when there is none, -ENOMEM when it cannot be told. */
static int change_twice(struct rq *rq, const struct controller_config_change *c, int32_t count, struct str *ret_name)
{
        uint8_t *twice =
                twice_names(&rq->arena, c, sizeof *c, offsetof(struct controller_config_change, name), (size_t)count);

        if (!twice)
                return -ENOMEM;
        for (int32_t i = 0; i < count; i++)
                if (twice[i]) {
                        *ret_name = c[i].name;
                        return 0;
                }
        *ret_name = STR_NULL;
        return 0;
}

/* What is wrong with the changes before anybody looks at names and values; null text when nothing is. */
static struct str changes_fault(struct rq *rq, const struct controller_config_change *c, int32_t count)
{
        struct str twice;

        for (int32_t i = 0; i < count; i++) {
                if ((int)c[i].op < CONTROLLER_CONFIG_SET || (int)c[i].op > CONTROLLER_CONFIG_SUBTRACT)
                        return RQ_TEXT(rq,
                                       "%.*s: operation %d is not known; 0 sets, 1 deletes, 2 appends, 3 subtracts.",
                                       STR_FMT(c[i].name), (int)c[i].op);
                if (c[i].op != CONTROLLER_CONFIG_DELETE && !c[i].value.p)
                        return RQ_TEXT(rq, "%.*s: a null value is no value; to go back to the default delete it.",
                                       STR_FMT(c[i].name));
        }
        if (change_twice(rq, c, count, &twice))
                return STR_LIT("The server is out of memory.");
        if (twice.p)
                return RQ_TEXT(rq, "%.*s is changed twice in one request; change it once.", STR_FMT(twice));
        return STR_NULL;
}

/* Whether resources of a type have configurations that can be altered. */
static bool config_is_kept(int8_t type)
{
        return type == RESOURCE_TOPIC || type == RESOURCE_BROKER || type == RESOURCE_CLIENT_METRICS ||
               type == RESOURCE_GROUP;
}

static void add_item(struct alter_op *op, int32_t row, struct controller_config_change *changes, int32_t count)
{
        struct altered *a = &op->rows[row];

        a->error = KERR_INVALID_REQUEST;
        a->text = STR_NULL;
        if (op->named_twice[row])
                a->text = RQ_TEXT(op->rq, "The resource is named twice in this request; name it once.");
        else if (!config_is_kept(a->type))
                a->text = RQ_TEXT(op->rq, "Resource type %d has no configurations here; " CONFIG_RESOURCES, a->type);
        else if (a->type == RESOURCE_TOPIC && !a->name.len)
                a->text = STR_LIT("There are no configurations of all topics; those of brokers are their defaults.");
        else if (a->type == RESOURCE_TOPIC && !meta_topic_name_is_valid(a->name)) {
                a->error = KERR_INVALID_TOPIC_EXCEPTION;
                a->text = RQ_TEXT(op->rq, "'%.*s' is no name of a topic.", STR_FMT(a->name));
        } else
                a->text = changes_fault(op->rq, changes, count);
        if (a->text.p)
                return;
        a->error = 0;
        op->row_of_item[op->items_count] = row;
        op->items[op->items_count++] = (struct controller_alter_configs){
                .type = a->type,
                .name = a->name,
                .replace = !op->incremental,
                .changes = changes,
                .changes_count = count,
        };
}

static struct alter_op *op_new(struct rq *rq, bool incremental)
{
        struct alter_op *op = ARENA_NEW(&rq->arena, struct alter_op);

        if (op) {
                op->rq = rq;
                op->incremental = incremental;
        }
        return op;
}

static bool op_prepare(struct alter_op *op, int32_t count)
{
        struct arena *a = &op->rq->arena;

        op->rows_count = count;
        op->rows = ARENA_NEW_ARRAY(a, struct altered, count);
        op->items = ARENA_NEW_ARRAY(a, struct controller_alter_configs, count);
        op->row_of_item = ARENA_NEW_ARRAY(a, int32_t, count);
        return op->rows && op->items && op->row_of_item;
}

static void op_submit(struct alter_op *op, bool validate_only)
{
        if (op->items_count)
                ask_submit(op->rq, &op->ask, CONTROLLER_ALTER_CONFIGS, op->items, op->items_count, validate_only, done);
        else
                answer(op);
}

void handler_incremental_alter_configs(struct rq *rq)
{
        struct alter_op *op = op_new(rq, true);
        struct incremental_alter_configs_request req;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, incremental_alter_configs_request, &req))
                return;
        if (!op_prepare(op, req.resources_count)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < req.resources_count; i++)
                op->rows[i] = (struct altered){ .type = req.resources[i].resource_type,
                                                .name = req.resources[i].resource_name };
        if (!find_named_twice(op)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < req.resources_count; i++) {
                const struct incremental_alter_configs_request_resource *in = &req.resources[i];
                struct controller_config_change *c =
                        ARENA_NEW_ARRAY(&rq->arena, struct controller_config_change, in->configs_count);

                if (!c) {
                        rq_close_nomem(rq);
                        return;
                }
                for (int32_t k = 0; k < in->configs_count; k++)
                        c[k] = (struct controller_config_change){
                                in->configs[k].name,
                                (enum controller_config_op)in->configs[k].config_operation,
                                in->configs[k].value,
                        };
                add_item(op, i, c, in->configs_count);
        }
        op_submit(op, req.validate_only);
}

void handler_alter_configs(struct rq *rq)
{
        struct alter_op *op = op_new(rq, false);
        struct alter_configs_request req;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, alter_configs_request, &req))
                return;
        if (!op_prepare(op, req.resources_count)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < req.resources_count; i++)
                op->rows[i] = (struct altered){ .type = req.resources[i].resource_type,
                                                .name = req.resources[i].resource_name };
        if (!find_named_twice(op)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < req.resources_count; i++) {
                const struct alter_configs_request_resource *in = &req.resources[i];
                struct controller_config_change *c =
                        ARENA_NEW_ARRAY(&rq->arena, struct controller_config_change, in->configs_count);

                if (!c) {
                        rq_close_nomem(rq);
                        return;
                }
                for (int32_t k = 0; k < in->configs_count; k++)
                        c[k] = (struct controller_config_change){ in->configs[k].name, CONTROLLER_CONFIG_SET,
                                                                  in->configs[k].value };
                add_item(op, i, c, in->configs_count);
        }
        op_submit(op, req.validate_only);
}
