/* Groups as operators see them: DescribeGroups (15), ListGroups (16), DeleteGroups (42).
 * Sources: KIP-518 (states), KIP-848 (types), KIP-1043 (unknown groups). */
#include "handler/group_ask.h"
#include "wire/messages.h"

/* ---- describe ---- */

struct describe_groups_op;

struct describe_one {
        struct coord_describe ask;
        struct describe_groups_op *op;
        struct describe_groups_response_group *out;
};

struct describe_groups_op {
        struct group_fan fan;
        struct describe_groups_request req;
        struct describe_groups_response rsp;
        struct describe_one *groups;
};

static bool describe_members(struct describe_one *g)
{
        struct describe_groups_response_member *m = ARENA_NEW_ARRAY(
                &g->op->fan.rq->arena, struct describe_groups_response_member, g->ask.ret_members_count);

        if (!m)
                return false;
        g->out->members = m;
        g->out->members_count = g->ask.ret_members_count;
        for (int32_t i = 0; i < g->ask.ret_members_count; i++, m++) {
                const struct coord_described_member *in = &g->ask.ret_members[i];

                describe_groups_response_member_init(m);
                m->member_id = in->member_id;
                m->group_instance_id = in->instance_id;
                m->client_id = in->client_id;
                m->client_host = in->client_host;
                m->member_metadata = in->metadata;
                m->member_assignment = in->assignment;
        }
        return true;
}

static void describe_fill(struct describe_one *g)
{
        struct describe_groups_response_group *out = g->out;
        struct rq *rq = g->op->fan.rq;
        int outcome = g->ask.rq.outcome;

        out->group_state = STR_LIT("");
        out->protocol_type = out->protocol_data = STR_LIT("");
        if (outcome == COORD_E_GROUP_NOT_FOUND) {
                /* KIP-1043: before version 6 a group that does not exist is shown as a dead one. */
                out->group_state = str_of(coord_group_state_name(COORD_GROUP_DEAD));
                if (g->op->req.include_authorized_operations && rq->version < 6)
                        out->authorized_operations = authorized_operations(rq, ACL_GROUP, out->group_id);
                if (rq->version >= 6) {
                        out->error_code = KERR_GROUP_ID_NOT_FOUND;
                        out->error_message = RQ_TEXT(rq, "Group %.*s %s.", STR_FMT(out->group_id),
                                                     g->ask.ret_is_other_type ? "is not a classic group" : "not found");
                }
                return;
        }
        out->error_code = error_of_coord(outcome);
        if (out->error_code) {
                handler_count_error(rq, out->error_code);
                return;
        }
        out->group_state = str_of(coord_group_state_name(g->ask.ret_state));
        out->protocol_type = g->ask.ret_protocol_type;
        out->protocol_data = g->ask.ret_protocol_name;
        if (g->op->req.include_authorized_operations)
                out->authorized_operations = authorized_operations(rq, ACL_GROUP, out->group_id);
        g->op->fan.failed |= !describe_members(g);
}

static void describe_reply(struct group_fan *fan)
{
        struct describe_groups_op *op = container_of(fan, struct describe_groups_op, fan);

        RQ_REPLY(fan->rq, describe_groups_response, &op->rsp);
}

static void describe_done(struct coord_request *crq)
{
        struct describe_one *g = container_of(crq, struct describe_one, ask.rq);

        describe_fill(g);
        group_fan_answered(&g->op->fan);
}

void handler_describe_groups(struct rq *rq)
{
        struct describe_groups_op *op = ARENA_NEW(&rq->arena, struct describe_groups_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, describe_groups_request, &op->req))
                return;
        describe_groups_response_init(&op->rsp);
        count = op->rsp.groups_count = op->req.groups_count;
        op->rsp.groups = ARENA_NEW_ARRAY(&rq->arena, struct describe_groups_response_group, count);
        op->groups = ARENA_NEW_ARRAY(&rq->arena, struct describe_one, count);
        if (!op->rsp.groups || !op->groups || !group_fan_init(&op->fan, rq, count, describe_reply)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                describe_groups_response_group_init(&op->rsp.groups[i]);
                op->rsp.groups[i].group_id = op->req.groups[i];
                op->groups[i].op = op;
                op->groups[i].out = &op->rsp.groups[i];
                coord_request_init(&op->groups[i].ask.rq, COORD_DESCRIBE, op->req.groups[i]);
                op->fan.asks[i] = &op->groups[i].ask.rq;
        }
        group_fan_ask_for(&op->fan, ACL_DESCRIBE, describe_done);
}

/* ---- list ---- */

struct list_op {
        struct rq *rq;
        struct list_groups_request req;
        struct coord_list ask;
};

/* Bits of the names that are known; @ret_none: names were given and none is known, so that nothing matches. */
static uint32_t states_mask(const struct list_groups_request *req, bool *ret_none)
{
        uint32_t mask = 0;

        for (int32_t i = 0; i < req->states_filter_count; i++) {
                enum coord_group_state state;

                if (coord_group_state_parse(req->states_filter[i], &state))
                        mask |= 1u << state;
        }
        *ret_none |= req->states_filter_count > 0 && !mask;
        return mask;
}

static uint32_t types_mask(const struct list_groups_request *req, bool *ret_none)
{
        uint32_t mask = 0;

        for (int32_t i = 0; i < req->types_filter_count; i++) {
                enum coord_group_type type;

                if (coord_group_type_parse(req->types_filter[i], &type))
                        mask |= 1u << type;
        }
        *ret_none |= req->types_filter_count > 0 && !mask;
        return mask;
}

static void list_done(struct coord_request *crq)
{
        struct list_op *op = container_of(crq, struct list_op, ask.rq);
        struct list_groups_response rsp;
        bool all;

        list_groups_response_init(&rsp);
        rsp.error_code = error_of_coord(crq->outcome);
        if (rsp.error_code)
                handler_count_error(op->rq, rsp.error_code);
        rsp.groups = ARENA_NEW_ARRAY(&op->rq->arena, struct list_groups_response_group, op->ask.ret_groups_count);
        if (!rsp.groups) {
                coord_request_fini(crq);
                rq_close_nomem(op->rq);
                return;
        }
        all = authorize_cluster_quietly(op->rq, ACL_DESCRIBE);
        for (int32_t i = 0; i < op->ask.ret_groups_count; i++) {
                const struct coord_listed_group *g = &op->ask.ret_groups[i];
                struct list_groups_response_group *out = &rsp.groups[rsp.groups_count];

                if (!all && !authorize_quietly(op->rq, ACL_DESCRIBE, ACL_GROUP, g->group_id))
                        continue;
                rsp.groups_count++;
                list_groups_response_group_init(out);
                out->group_id = g->group_id;
                out->protocol_type = g->protocol_type;
                out->group_state = str_of(coord_group_state_name(g->state));
                out->group_type = str_of(coord_group_type_name(g->type));
        }
        GROUP_REPLY(op->rq, list_groups_response, &rsp, crq);
}

void handler_list_groups(struct rq *rq)
{
        struct list_op *op = ARENA_NEW(&rq->arena, struct list_op);
        bool none = false;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, list_groups_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_LIST, STR_NULL);
        op->ask.states_mask = states_mask(&op->req, &none);
        op->ask.types_mask = types_mask(&op->req, &none);
        if (none)
                list_done(&op->ask.rq);
        else
                group_ask(rq, &op->ask.rq, list_done);
}

/* ---- delete ---- */

struct delete_groups_op;

struct delete_one {
        struct coord_delete ask;
        struct delete_groups_op *op;
        struct delete_groups_response_result *out;
};

struct delete_groups_op {
        struct group_fan fan;
        struct delete_groups_request req;
        struct delete_groups_response rsp;
        struct delete_one *groups;
};

static void delete_done(struct coord_request *crq)
{
        struct delete_one *g = container_of(crq, struct delete_one, ask.rq);
        struct delete_groups_op *op = g->op;

        g->out->error_code = error_of_coord(crq->outcome);
        if (g->out->error_code)
                handler_count_error(op->fan.rq, g->out->error_code);
        if (g->out->error_code != KERR_GROUP_AUTHORIZATION_FAILED) /* which has been recorded */
                audit_done(op->fan.rq, STR_LIT("DELETE_GROUP"), STR_LIT("GROUP"), g->out->group_id, g->out->error_code);
        group_fan_answered(&op->fan);
}

static void delete_reply(struct group_fan *fan)
{
        struct delete_groups_op *op = container_of(fan, struct delete_groups_op, fan);

        RQ_REPLY(fan->rq, delete_groups_response, &op->rsp);
}

void handler_delete_groups(struct rq *rq)
{
        struct delete_groups_op *op = ARENA_NEW(&rq->arena, struct delete_groups_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, delete_groups_request, &op->req))
                return;
        delete_groups_response_init(&op->rsp);
        count = op->rsp.results_count = op->req.groups_names_count;
        op->rsp.results = ARENA_NEW_ARRAY(&rq->arena, struct delete_groups_response_result, count);
        op->groups = ARENA_NEW_ARRAY(&rq->arena, struct delete_one, count);
        if (!op->rsp.results || !op->groups || !group_fan_init(&op->fan, rq, count, delete_reply)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                delete_groups_response_result_init(&op->rsp.results[i]);
                op->rsp.results[i].group_id = op->req.groups_names[i];
                op->groups[i].op = op;
                op->groups[i].out = &op->rsp.results[i];
                coord_request_init(&op->groups[i].ask.rq, COORD_DELETE, op->req.groups_names[i]);
                op->fan.asks[i] = &op->groups[i].ask.rq;
        }
        group_fan_ask_for(&op->fan, ACL_DELETE, delete_done);
}
