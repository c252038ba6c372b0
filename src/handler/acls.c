/* DescribeAcls (key 29), CreateAcls (key 30), DeleteAcls (key 31). Sources: KIP-140, KIP-290 (patterns).
 * Without an authorizer there are no rules, and all three say so. For numbers of 0 Kafka closes the connection, and for a rule that is
 * for any resource, pattern or operation it fails the whole request with UNKNOWN_SERVER_ERROR; here both are INVALID_REQUEST, of
 * their item alone. */
#include "handler/ask.h"
#include "handler/authorize.h"
#include "wire/messages.h"

static struct str no_authorizer(struct rq *rq)
{
        return RQ_TEXT(rq, "No authorizer is configured (security.authorizer is none).");
}

static struct str not_allowed(struct rq *rq)
{
        return RQ_TEXT(rq, "%s needs the right to %s the cluster.", rq->api->wire->name,
                       rq->api->key == KAPI_DESCRIBE_ACLS ? "DESCRIBE" : "ALTER");
}

/* Whether the request is one to answer with something else than an error; else the error, and its text. */
static int16_t refusal(struct rq *rq, enum acl_operation operation, struct str *ret_text)
{
        int16_t error = 0;

        if (!rq->h->authorization) {
                error = KERR_SECURITY_DISABLED;
                *ret_text = no_authorizer(rq);
        } else if (!authorize_cluster(rq, operation)) {
                error = KERR_CLUSTER_AUTHORIZATION_FAILED;
                *ret_text = not_allowed(rq);
        }
        return error;
}

/* ---- describe ---- */

static bool is_same_pattern(const struct describe_acls_response_resource *r, const struct meta_acl_entry *e)
{
        return r->resource_type == e->resource_type && r->pattern_type == e->pattern_type &&
               str_equal(r->resource_name, e->resource_name);
}

/* A number that is not known means rules that nobody has (as in Kafka); 0 is no number of anything. */
static const char *describe_fault(const struct acl_filter *f)
{
        return f->resource_type && f->pattern_type && f->operation && f->permission
                       ? NULL
                       : "A filter's resource type, pattern type, operation and permission are not 0; any is 1.";
}

/* Rules of one pattern are neighbours in the map. */
static bool describe_fill(struct rq *rq, const struct acl_filter *f, struct describe_acls_response *rsp)
{
        struct describe_acls_response_resource *resource = NULL;
        struct describe_acls_response_acl *acls;
        const struct meta_acl *a;
        size_t count = 0;

        pmap_for_each (counting, a, &rq->image->acls)
                count += acl_filter_matches(f, &a->entry);
        rsp->resources = ARENA_NEW_ARRAY(&rq->arena, struct describe_acls_response_resource, count);
        acls = ARENA_NEW_ARRAY(&rq->arena, struct describe_acls_response_acl, count);
        if (!rsp->resources || !acls)
                return false;
        pmap_for_each (it, a, &rq->image->acls) {
                const struct meta_acl_entry *e = &a->entry;

                if (!acl_filter_matches(f, e))
                        continue;
                if (!resource || !is_same_pattern(resource, e)) {
                        resource = &rsp->resources[rsp->resources_count++];
                        describe_acls_response_resource_init(resource);
                        resource->resource_type = e->resource_type;
                        resource->resource_name = e->resource_name;
                        resource->pattern_type = e->pattern_type;
                        resource->acls = acls;
                        resource->acls_count = 0;
                }
                *acls++ = (struct describe_acls_response_acl){ .principal = e->principal,
                                                               .host = e->host,
                                                               .operation = e->operation,
                                                               .permission_type = e->permission };
                resource->acls_count++;
        }
        return true;
}

void handler_describe_acls(struct rq *rq)
{
        struct describe_acls_request req;
        struct describe_acls_response rsp;
        struct acl_filter f;
        const char *wrong;

        if (!RQ_DECODE(rq, describe_acls_request, &req))
                return;
        describe_acls_response_init(&rsp);
        rsp.error_message = STR_LIT(""); /* as Kafka where nothing is wrong */
        f = (struct acl_filter){ .resource_type = req.resource_type_filter,
                                 .pattern_type = req.pattern_type_filter,
                                 .operation = req.operation,
                                 .permission = req.permission_type,
                                 .resource_name = req.resource_name_filter,
                                 .principal = req.principal_filter,
                                 .host = req.host_filter };
        wrong = describe_fault(&f);
        rsp.error_code = refusal(rq, ACL_DESCRIBE, &rsp.error_message);
        if (!rsp.error_code && wrong) {
                rsp.error_code = KERR_INVALID_REQUEST;
                rsp.error_message = str_of(wrong);
        }
        if (rsp.error_code) {
                handler_count_error(rq, rsp.error_code);
        } else if (!describe_fill(rq, &f, &rsp)) {
                rq_close_nomem(rq);
                return;
        }
        RQ_REPLY(rq, describe_acls_response, &rsp);
}

/* ---- create ---- */

struct create_op {
        struct rq *rq;
        struct create_acls_request req;
        struct create_acls_response rsp;
        struct controller_create_acl *items;
        struct ask ask;
};

static void create_fail(struct create_op *op, int32_t i, int16_t error, struct str text)
{
        op->rsp.results[i].error_code = error;
        op->rsp.results[i].error_message = text;
        handler_count_error(op->rq, error);
}

static void create_done(struct controller_request *crq)
{
        struct create_op *op = container_of(crq, struct create_op, ask.rq);

        for (int32_t i = 0; i < op->rsp.results_count; i++) {
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);

                if (result->outcome)
                        create_fail(op, i, error_of_controller(result->outcome),
                                    RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message)));
        }
        ask_fini(&op->ask);
        RQ_REPLY(op->rq, create_acls_response, &op->rsp);
}

void handler_create_acls(struct rq *rq)
{
        struct create_op *op = ARENA_NEW(&rq->arena, struct create_op);
        struct str text = STR_NULL;
        int16_t error;
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, create_acls_request, &op->req))
                return;
        count = op->req.creations_count;
        create_acls_response_init(&op->rsp);
        op->rsp.results = ARENA_NEW_ARRAY(&rq->arena, struct create_acls_response_result, count);
        op->rsp.results_count = count;
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_create_acl, count);
        if (!op->rsp.results || !op->items) {
                rq_close_nomem(rq);
                return;
        }
        error = refusal(rq, ACL_ALTER, &text);
        for (int32_t i = 0; i < count; i++) {
                const struct create_acls_request_creation *in = &op->req.creations[i];

                create_acls_response_result_init(&op->rsp.results[i]);
                op->rsp.results[i].error_message = STR_LIT(""); /* likewise */
                if (error)
                        create_fail(op, i, error, text);
                op->items[i].entry = (struct meta_acl_entry){ .resource_type = in->resource_type,
                                                              .pattern_type = in->resource_pattern_type,
                                                              .operation = in->operation,
                                                              .permission = in->permission_type,
                                                              .resource_name = in->resource_name,
                                                              .principal = in->principal,
                                                              .host = in->host };
        }
        if (error || !count)
                RQ_REPLY(rq, create_acls_response, &op->rsp);
        else
                ask_submit(rq, &op->ask, CONTROLLER_CREATE_ACLS, op->items, (uint32_t)count, false, create_done);
}

/* ---- delete ---- */

struct delete_op {
        struct rq *rq;
        struct delete_acls_request req;
        struct delete_acls_response rsp;
        struct controller_delete_acls *items;
        struct ask ask;
};

static void delete_fail(struct delete_op *op, int32_t i, int16_t error, struct str text)
{
        op->rsp.filter_results[i].error_code = error;
        op->rsp.filter_results[i].error_message = text;
        handler_count_error(op->rq, error);
}

/* What one filter took away; the texts live until ask_fini(), which is after the answer. False: out of memory. */
static bool delete_tell(struct delete_op *op, int32_t i)
{
        const struct controller_delete_acls *item = &op->items[i];
        struct delete_acls_response_filter_result *out = &op->rsp.filter_results[i];

        out->matching_acls =
                ARENA_NEW_ARRAY(&op->rq->arena, struct delete_acls_response_matching_acl, item->deleted_count);
        if (!out->matching_acls)
                return false;
        out->matching_acls_count = item->deleted_count;
        for (int32_t k = 0; k < item->deleted_count; k++) {
                const struct meta_acl_entry *e = &item->deleted[k];

                out->matching_acls[k] = (struct delete_acls_response_matching_acl){ .error_message = STR_NULL,
                                                                                    .resource_type = e->resource_type,
                                                                                    .resource_name = e->resource_name,
                                                                                    .pattern_type = e->pattern_type,
                                                                                    .principal = e->principal,
                                                                                    .host = e->host,
                                                                                    .operation = e->operation,
                                                                                    .permission_type = e->permission };
        }
        return true;
}

static void delete_done(struct controller_request *crq)
{
        struct delete_op *op = container_of(crq, struct delete_op, ask.rq);
        struct arena mem;
        bool ok = true;

        for (int32_t i = 0; i < op->rsp.filter_results_count && ok; i++) {
                const struct controller_result *result = ask_result(&op->ask, &op->items[i].result);

                if (result->outcome)
                        delete_fail(op, i, error_of_controller(result->outcome),
                                    RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message)));
                else
                        ok = delete_tell(op, i);
        }
        mem = op->ask.mem; /* the request's memory, and the ask in it, ends with the answer */
        if (ok)
                RQ_REPLY(op->rq, delete_acls_response, &op->rsp);
        else
                rq_close_nomem(op->rq);
        arena_fini(&mem);
}

void handler_delete_acls(struct rq *rq)
{
        struct delete_op *op = ARENA_NEW(&rq->arena, struct delete_op);
        struct str text = STR_NULL;
        int16_t error;
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, delete_acls_request, &op->req))
                return;
        count = op->req.filters_count;
        delete_acls_response_init(&op->rsp);
        op->rsp.filter_results = ARENA_NEW_ARRAY(&rq->arena, struct delete_acls_response_filter_result, count);
        op->rsp.filter_results_count = count;
        op->items = ARENA_NEW_ARRAY(&rq->arena, struct controller_delete_acls, count);
        if (!op->rsp.filter_results || !op->items) {
                rq_close_nomem(rq);
                return;
        }
        error = refusal(rq, ACL_ALTER, &text);
        for (int32_t i = 0; i < count; i++) {
                const struct delete_acls_request_filter *in = &op->req.filters[i];

                delete_acls_response_filter_result_init(&op->rsp.filter_results[i]);
                op->rsp.filter_results[i].error_message = STR_NULL;
                if (error)
                        delete_fail(op, i, error, text);
                op->items[i].filter = (struct acl_filter){ .resource_type = in->resource_type_filter,
                                                           .pattern_type = in->pattern_type_filter,
                                                           .operation = in->operation,
                                                           .permission = in->permission_type,
                                                           .resource_name = in->resource_name_filter,
                                                           .principal = in->principal_filter,
                                                           .host = in->host_filter };
        }
        if (error || !count)
                RQ_REPLY(rq, delete_acls_response, &op->rsp);
        else
                ask_submit(rq, &op->ask, CONTROLLER_DELETE_ACLS, op->items, (uint32_t)count, false, delete_done);
}
