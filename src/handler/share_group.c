/* Members of share groups (KIP-932): ShareGroupHeartbeat (76), ShareGroupDescribe (77). Served once share.version is finalised at 1. */
#include "handler/share.h"
#include "wire/messages.h"

bool share_is_enabled(const struct rq *rq)
{
        return meta_image_feature_level(rq->image, STR_LIT("share.version")) >= 1;
}

/* ---- heartbeat ---- */

struct beat_op {
        struct rq *rq;
        struct share_group_heartbeat_request req;
        struct coord_share_heartbeat ask;
};

GROUP_ASSIGNMENT_FILL(beat_fill_assignment, coord_share_heartbeat, share_group_heartbeat_response)

static void beat_done(struct coord_request *crq)
{
        struct beat_op *op = container_of(crq, struct beat_op, ask.rq);
        struct share_group_heartbeat_response rsp;

        share_group_heartbeat_response_init(&rsp);
        rsp.error_code = error_of_coord(crq->outcome);
        rsp.error_message = op->ask.ret_why;
        rsp.member_id = op->ask.ret_member_id;
        rsp.member_epoch = op->ask.ret_epoch;
        rsp.heartbeat_interval_ms = op->ask.ret_heartbeat_interval_ms;
        if (rsp.error_code)
                handler_count_error(op->rq, rsp.error_code);
        if (!beat_fill_assignment(&op->rq->arena, &op->ask, &rsp)) {
                coord_request_fini(crq);
                rq_close_nomem(op->rq);
                return;
        }
        GROUP_REPLY(op->rq, share_group_heartbeat_response, &rsp, crq);
}

static void beat_refuse(struct beat_op *op, int outcome, const char *why)
{
        coord_request_refuse(&op->ask.rq, outcome);
        op->ask.ret_why = str_of(why);
        beat_done(&op->ask.rq);
}

/* May the client know of all topics that it names? */
static bool may_subscribe(struct beat_op *op)
{
        const struct str *names = op->req.subscribed_topic_names;

        for (int32_t i = 0; names && i < op->req.subscribed_topic_names_count; i++)
                if (!authorize(op->rq, ACL_DESCRIBE, ACL_TOPIC, names[i]))
                        return false;
        return true;
}

void handler_share_group_heartbeat(struct rq *rq)
{
        struct beat_op *op = ARENA_NEW(&rq->arena, struct beat_op);
        struct coord_share_heartbeat *ask;

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, share_group_heartbeat_request, &op->req))
                return;
        ask = &op->ask;
        coord_request_init(&ask->rq, COORD_SHARE_HEARTBEAT, op->req.group_id);
        ask->member_id = op->req.member_id;
        ask->rack_id = op->req.rack_id;
        ask->client_id = rq->client_id.p ? rq->client_id : STR_LIT("");
        ask->client_host = RQ_TEXT(rq, "/%s", net_conn_peer_host(rq->net.conn));
        ask->epoch = op->req.member_epoch;
        if (op->req.subscribed_topic_names_count >= 0) {
                ask->names = op->req.subscribed_topic_names ? op->req.subscribed_topic_names : &STR_NULL;
                ask->names_count = op->req.subscribed_topic_names_count;
        }
        if (!ask->client_host.p)
                rq_close_nomem(rq);
        else if (!share_is_enabled(rq))
                beat_refuse(op, COORD_E_UNSUPPORTED_VERSION, SHARE_DISABLED);
        else if (!authorize(rq, ACL_READ, ACL_GROUP, op->req.group_id))
                beat_refuse(op, COORD_E_GROUP_DENIED, NULL);
        else if (!may_subscribe(op))
                beat_refuse(op, COORD_E_TOPIC_DENIED, NULL);
        else if (!op->req.group_id.len) /* no INVALID_GROUP_ID: Kafka's clients know this one here */
                beat_refuse(op, COORD_E_INVALID_REQUEST, "The group id must not be empty.");
        else
                group_ask(rq, &ask->rq, beat_done);
}

/* ---- describe ---- */

struct describe_op;

struct describe_one {
        struct coord_share_describe ask;
        struct describe_op *op;
        struct share_group_describe_response_group *out;
};

struct describe_op {
        struct group_fan fan;
        struct share_group_describe_request req;
        struct share_group_describe_response rsp;
        struct describe_one *groups;
};

static bool fill_member(struct rq *rq, const struct coord_share_member *in,
                        struct share_group_describe_response_member *out)
{
        struct share_group_describe_response_topic *t =
                ARENA_NEW_ARRAY(&rq->arena, struct share_group_describe_response_topic, in->assigned_count);

        share_group_describe_response_member_init(out);
        out->member_id = in->member_id;
        out->rack_id = in->rack_id;
        out->member_epoch = in->epoch;
        out->client_id = in->client_id;
        out->client_host = in->client_host;
        out->subscribed_topic_names = (struct str *)in->names;
        out->subscribed_topic_names_count = in->names_count;
        out->assignment.topic_partitions = t;
        out->assignment.topic_partitions_count = t ? in->assigned_count : 0;
        for (int32_t i = 0; t && i < in->assigned_count; i++) {
                share_group_describe_response_topic_init(&t[i]);
                t[i].topic_id = in->assigned[i].id;
                t[i].topic_name = in->assigned[i].name;
                t[i].partitions = (int32_t *)in->assigned[i].partitions;
                t[i].partitions_count = in->assigned[i].partitions_count;
        }
        return t;
}

static void fill_error(struct rq *rq, struct share_group_describe_response_group *out,
                       const struct coord_share_describe *ask)
{
        out->error_code = error_of_coord(ask->rq.outcome);
        if (ask->rq.outcome == COORD_E_GROUP_NOT_FOUND)
                out->error_message = RQ_TEXT(rq, "Group %.*s %s.", STR_FMT(out->group_id),
                                             ask->ret_is_other_type ? "is not a share group" : "not found");
        else if (ask->rq.outcome == COORD_E_UNSUPPORTED_VERSION)
                out->error_message = STR_LIT(SHARE_DISABLED);
        handler_count_error(rq, out->error_code);
}

/* Who may not know of one of the group's topics is told nothing of its members. */
static bool may_know_members(struct rq *rq, const struct coord_share_describe *ask)
{
        for (int32_t i = 0; i < ask->ret_members_count; i++)
                for (int32_t k = 0; k < ask->ret_members[i].assigned_count; k++) {
                        struct str name = ask->ret_members[i].assigned[k].name;

                        if (name.p && !authorize(rq, ACL_DESCRIBE, ACL_TOPIC, name))
                                return false;
                }
        return true;
}

static void fill_group(struct describe_one *g)
{
        struct share_group_describe_response_group *out = g->out;
        struct rq *rq = g->op->fan.rq;

        if (g->op->req.include_authorized_operations)
                out->authorized_operations = authorized_operations(rq, ACL_GROUP, out->group_id);
        if (!may_know_members(rq, &g->ask)) {
                out->error_code = KERR_TOPIC_AUTHORIZATION_FAILED;
                out->error_message =
                        STR_LIT("The group has described topic(s) that the client is not authorized to describe.");
                handler_count_error(rq, out->error_code);
                return;
        }
        out->group_state = str_of(coord_group_state_name(g->ask.ret_state));
        out->group_epoch = g->ask.ret_epoch;
        out->assignment_epoch = g->ask.ret_target_epoch;
        out->assignor_name = g->ask.ret_assignor;
        out->members =
                ARENA_NEW_ARRAY(&rq->arena, struct share_group_describe_response_member, g->ask.ret_members_count);
        g->op->fan.failed |= !out->members;
        out->members_count = out->members ? g->ask.ret_members_count : 0;
        for (int32_t i = 0; i < out->members_count; i++)
                g->op->fan.failed |= !fill_member(rq, &g->ask.ret_members[i], &out->members[i]);
}

static void describe_done(struct coord_request *crq)
{
        struct describe_one *g = container_of(crq, struct describe_one, ask.rq);

        g->out->group_state = g->out->assignor_name = STR_LIT("");
        if (crq->outcome)
                fill_error(g->op->fan.rq, g->out, &g->ask);
        else
                fill_group(g);
        group_fan_answered(&g->op->fan);
}

static void describe_reply(struct group_fan *fan)
{
        struct describe_op *op = container_of(fan, struct describe_op, fan);

        RQ_REPLY(fan->rq, share_group_describe_response, &op->rsp);
}

void handler_share_group_describe(struct rq *rq)
{
        struct describe_op *op = ARENA_NEW(&rq->arena, struct describe_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, share_group_describe_request, &op->req))
                return;
        share_group_describe_response_init(&op->rsp);
        count = op->rsp.groups_count = op->req.group_ids_count;
        op->rsp.groups = ARENA_NEW_ARRAY(&rq->arena, struct share_group_describe_response_group, count);
        op->groups = ARENA_NEW_ARRAY(&rq->arena, struct describe_one, count);
        if (!op->rsp.groups || !op->groups || !group_fan_init(&op->fan, rq, count, describe_reply)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                share_group_describe_response_group_init(&op->rsp.groups[i]);
                op->rsp.groups[i].group_id = op->req.group_ids[i];
                op->groups[i].op = op;
                op->groups[i].out = &op->rsp.groups[i];
                coord_request_init(&op->groups[i].ask.rq, COORD_SHARE_DESCRIBE, op->req.group_ids[i]);
                op->fan.asks[i] = &op->groups[i].ask.rq;
        }
        if (share_is_enabled(rq))
                group_fan_ask_for(&op->fan, ACL_DESCRIBE, describe_done);
        else
                group_fan_refuse(&op->fan, COORD_E_UNSUPPORTED_VERSION, describe_done);
}
