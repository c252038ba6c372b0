/* DescribeClientQuotas (key 48), AlterClientQuotas (key 49). Sources: KIP-546, KIP-612 (addresses). */
#include <stdio.h>

#include "conf/quota.h"
#include "handler/ask.h"
#include "handler/twice.h"
#include "wire/messages.h"

static bool part_of(struct str type, enum quota_part *ret)
{
        for (int i = 0; i < QUOTA_PARTS; i++)
                if (str_equal_c(type, quota_part_name(i))) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* ---- describe ---- */

enum { MATCH_EXACT, MATCH_DEFAULT, MATCH_ANY };

struct wanted {
        bool is_wanted[QUOTA_PARTS];
        int8_t match[QUOTA_PARTS];
        struct str name[QUOTA_PARTS];
        bool strict;
};

static bool matches(const struct wanted *w, const struct quota_entity *e)
{
        for (int i = 0; i < QUOTA_PARTS; i++) {
                const struct quota_entity_part *p = &e->parts[i];

                if (!w->is_wanted[i]) {
                        if (w->strict && p->is_set)
                                return false;
                        continue;
                }
                if (!p->is_set ||
                    (w->match[i] == MATCH_EXACT && (str_is_null(p->name) || !str_equal(p->name, w->name[i]))) ||
                    (w->match[i] == MATCH_DEFAULT && !str_is_null(p->name)))
                        return false;
        }
        return true;
}

/* As quotas are kept. What is no address stays as it is, and matches nobody. */
static struct str canonical_address(struct rq *rq, struct str name)
{
        struct quota_entity e = { .parts = { [QUOTA_IP] = { true, name } } };

        (void)quota_entity_check(&e, &rq->arena);
        return e.parts[QUOTA_IP].name;
}

static const char unknown_type[] = "Quotas are for the entity types user, client-id and ip.";

/* Return: NULL, or what is wrong. */
static const char *read_filter(struct rq *rq, const struct describe_client_quotas_request *req, struct wanted *ret)
{
        *ret = (struct wanted){ .strict = req->strict };
        for (int32_t i = 0; i < req->components_count; i++) {
                const struct describe_client_quotas_request_component *c = &req->components[i];
                enum quota_part part;

                if (!part_of(c->entity_type, &part))
                        return unknown_type;
                if (ret->is_wanted[part])
                        return "An entity type is named twice.";
                if (c->match_type < MATCH_EXACT || c->match_type > MATCH_ANY ||
                    (c->match_type == MATCH_EXACT) == str_is_null(c->match))
                        return "A match type is 0 (this name), 1 (the default) or 2 (any); the first has a name.";
                ret->is_wanted[part] = true;
                ret->match[part] = c->match_type;
                ret->name[part] = c->match;
        }
        if (ret->is_wanted[QUOTA_IP] && (ret->is_wanted[QUOTA_CLIENT_ID] || ret->is_wanted[QUOTA_USER]))
                return "Nobody has quotas for an ip together with others: ask for one, then for the other.";
        if (ret->is_wanted[QUOTA_IP] && ret->match[QUOTA_IP] == MATCH_EXACT)
                ret->name[QUOTA_IP] = canonical_address(rq, ret->name[QUOTA_IP]);
        return NULL;
}

static bool fill_entry(struct rq *rq, const struct quota_entity *e, const struct meta_configs *c,
                       struct describe_client_quotas_response_entry *ret)
{
        describe_client_quotas_response_entry_init(ret);
        ret->entity = ARENA_NEW_ARRAY(&rq->arena, struct describe_client_quotas_response_entity, QUOTA_PARTS);
        ret->values = ARENA_NEW_ARRAY(&rq->arena, struct describe_client_quotas_response_value, c->count);
        if (!ret->entity || !ret->values)
                return false;
        for (int i = 0; i < QUOTA_PARTS; i++)
                if (e->parts[i].is_set)
                        ret->entity[ret->entity_count++] = (struct describe_client_quotas_response_entity){
                                .entity_type = str_of(quota_part_name(i)), .entity_name = e->parts[i].name
                        };
        for (uint32_t i = 0; i < c->count; i++)
                ret->values[ret->values_count++] =
                        (struct describe_client_quotas_response_value){ .key = c->items[i].name,
                                                                        .value = quota_value(c->items[i].value) };
        return true;
}

static size_t count_quotas(const struct meta_image *image)
{
        const struct meta_configs *c;
        size_t count = 0;

        pmap_for_each (it, c, &image->configs)
                count += c->key.type == META_RESOURCE_QUOTA;
        return count;
}

static bool fill_entries(struct rq *rq, const struct wanted *w, struct describe_client_quotas_response *rsp)
{
        const struct meta_configs *c;

        rsp->entries =
                ARENA_NEW_ARRAY(&rq->arena, struct describe_client_quotas_response_entry, count_quotas(rq->image));
        if (!rsp->entries)
                return false;
        rsp->entries_count = 0;
        pmap_for_each (it, c, &rq->image->configs) {
                struct quota_entity e;

                if (c->key.type != META_RESOURCE_QUOTA || !quota_entity_parse(c->key.name, &rq->arena, &e) ||
                    !matches(w, &e))
                        continue;
                if (!fill_entry(rq, &e, c, &rsp->entries[rsp->entries_count++]))
                        return false;
        }
        return true;
}

void handler_describe_client_quotas(struct rq *rq)
{
        struct describe_client_quotas_request req;
        struct describe_client_quotas_response rsp;
        struct wanted wanted;
        const char *wrong;

        if (!RQ_DECODE(rq, describe_client_quotas_request, &req))
                return;
        describe_client_quotas_response_init(&rsp);
        rsp.error_message = STR_NULL;
        wrong = read_filter(rq, &req, &wanted);
        if (!authorize_cluster(rq, ACL_DESCRIBE_CONFIGS)) {
                rsp.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
                rsp.error_message = wire_error_message(rsp.error_code);
                rsp.entries_count = -1;
                handler_count_error(rq, rsp.error_code);
        } else if (wrong) {
                rsp.error_code = wrong == unknown_type ? KERR_UNSUPPORTED_VERSION : KERR_INVALID_REQUEST;
                rsp.error_message = str_of(wrong);
                rsp.entries_count = -1;
                handler_count_error(rq, rsp.error_code);
        } else if (!fill_entries(rq, &wanted, &rsp)) {
                rq_close_nomem(rq);
                return;
        }
        RQ_REPLY(rq, describe_client_quotas_response, &rsp);
}

/* ---- alter ---- */

struct alter_op {
        struct rq *rq;
        struct alter_client_quotas_request req;
        struct alter_client_quotas_response rsp;
        struct controller_alter_configs *items;
        int32_t *rows; /* of each item */
        uint32_t items_count;
        bool is_denied;
        struct ask ask;
};

static void fail(struct alter_op *op, int32_t row, int16_t error, struct str text)
{
        op->rsp.entries[row].error_code = error;
        op->rsp.entries[row].error_message = text;
        handler_count_error(op->rq, error);
}

static void alter_done(struct controller_request *crq)
{
        struct alter_op *op = container_of(crq, struct alter_op, ask.rq);

        for (uint32_t i = 0; i < op->items_count; i++) {
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);

                if (result->outcome)
                        fail(op, op->rows[i],
                             result->outcome == CONTROLLER_E_CONFIG ? KERR_INVALID_REQUEST
                                                                    : error_of_controller(result->outcome),
                             RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message)));
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, alter_client_quotas_response, &op->rsp);
}

/* Return: NULL, or what is wrong. */
static const char *read_entity(struct rq *rq, const struct alter_client_quotas_request_entry *in,
                               struct quota_entity *ret)
{
        enum quota_part part;

        *ret = (struct quota_entity){ 0 };
        for (int32_t i = 0; i < in->entity_count; i++) {
                if (!part_of(in->entity[i].entity_type, &part))
                        return unknown_type;
                if (ret->parts[part].is_set)
                        return "An entity type is named twice.";
                ret->parts[part] = (struct quota_entity_part){ true, in->entity[i].entity_name };
        }
        return quota_entity_check(ret, &rq->arena);
}

static bool changes_of(struct alter_op *op, const struct alter_client_quotas_request_entry *in,
                       struct controller_alter_configs *ret)
{
        struct controller_config_change *changes =
                ARENA_NEW_ARRAY(&op->rq->arena, struct controller_config_change, in->ops_count);

        if (!changes)
                return false;
        for (int32_t i = 0; i < in->ops_count; i++) {
                changes[i].name = in->ops[i].key;
                changes[i].op = in->ops[i].remove ? CONTROLLER_CONFIG_DELETE : CONTROLLER_CONFIG_SET;
                changes[i].value = in->ops[i].remove ? STR_NULL : RQ_TEXT(op->rq, "%.17g", in->ops[i].value);
                if (!in->ops[i].remove && !changes[i].value.p)
                        return false;
        }
        ret->changes = changes;
        ret->changes_count = in->ops_count;
        return true;
}

static bool alter_entry(struct alter_op *op, int32_t row)
{
        const struct alter_client_quotas_request_entry *in = &op->req.entries[row];
        struct alter_client_quotas_response_entry *out = &op->rsp.entries[row];
        struct controller_alter_configs *item = &op->items[op->items_count];
        struct quota_entity e;
        const char *wrong = read_entity(op->rq, in, &e);

        alter_client_quotas_response_entry_init(out);
        out->error_message = STR_NULL;
        out->entity = ARENA_NEW_ARRAY(&op->rq->arena, struct alter_client_quotas_response_entity, in->entity_count);
        if (!out->entity)
                return false;
        out->entity_count = in->entity_count;
        for (int32_t i = 0; i < in->entity_count; i++)
                out->entity[i] = (struct alter_client_quotas_response_entity){ in->entity[i].entity_type,
                                                                               in->entity[i].entity_name };
        if (op->is_denied) {
                fail(op, row, KERR_CLUSTER_AUTHORIZATION_FAILED, wire_error_message(KERR_CLUSTER_AUTHORIZATION_FAILED));
                return true;
        }
        *item = (struct controller_alter_configs){ .type = META_RESOURCE_QUOTA,
                                                   .name = wrong ? STR_NULL : quota_entity_format(&e, &op->rq->arena) };
        if (!wrong && !item->name.p)
                wrong = "The names are too long; together they may have about 200 bytes.";
        if (wrong) {
                fail(op, row, KERR_INVALID_REQUEST, str_of(wrong));
                return true;
        }
        op->rows[op->items_count++] = row;
        return changes_of(op, in, item);
}

/* Whom the request names twice, it says two things of: neither is done. False: out of memory. */
static bool refuse_named_twice(struct alter_op *op)
{
        uint8_t *twice = twice_names(&op->rq->arena, op->items, sizeof *op->items,
                                     offsetof(struct controller_alter_configs, name), op->items_count);
        uint32_t kept = 0;

        if (!twice)
                return false;
        for (uint32_t i = 0; i < op->items_count; i++) {
                if (twice[i]) {
                        fail(op, op->rows[i], KERR_INVALID_REQUEST,
                             STR_LIT("The entity is named twice in this request; name it once."));
                        continue;
                }
                op->items[kept] = op->items[i];
                op->rows[kept++] = op->rows[i];
        }
        op->items_count = kept;
        return true;
}

void handler_alter_client_quotas(struct rq *rq)
{
        struct alter_op *op = ARENA_NEW(&rq->arena, struct alter_op);
        int32_t count;
        bool ok;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, alter_client_quotas_request, &op->req))
                return;
        count = op->req.entries_count;
        op->is_denied = !authorize_cluster(rq, ACL_ALTER_CONFIGS);
        alter_client_quotas_response_init(&op->rsp);
        op->rsp.entries = ARENA_NEW_ARRAY(&rq->arena, struct alter_client_quotas_response_entry, count);
        op->rsp.entries_count = count;
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_alter_configs, count);
        op->rows = ARENA_NEW_ARRAY(&rq->arena, int32_t, count);
        ok = op->rsp.entries && op->items && op->rows;
        for (int32_t i = 0; ok && i < count; i++)
                ok = alter_entry(op, i);
        ok = ok && refuse_named_twice(op);
        if (!ok)
                rq_close_nomem(rq);
        else if (op->items_count)
                ask_submit(rq, &op->ask, CONTROLLER_ALTER_CONFIGS, op->items, op->items_count, op->req.validate_only,
                           alter_done);
        else
                RQ_REPLY(rq, alter_client_quotas_response, &op->rsp);
}
