/* Groups whose members the coordinator assigns to (KIP-848): ConsumerGroupHeartbeat (68), ConsumerGroupDescribe (69).
 * Served once group.version is finalised at 1: until then a node that does not know their records may be the next coordinator. */
#include "handler/group_ask.h"
#include "wire/messages.h"

static bool is_enabled(const struct rq *rq)
{
        return meta_image_feature_level(rq->image, STR_LIT("group.version")) >= 1;
}

/* ---- heartbeat ---- */

struct beat_op {
        struct rq *rq;
        struct consumer_group_heartbeat_request req;
        struct coord_consumer_heartbeat ask;
};

GROUP_ASSIGNMENT_FILL(beat_fill_assignment, coord_consumer_heartbeat, consumer_group_heartbeat_response)

static void beat_done(struct coord_request *crq)
{
        struct beat_op *op = container_of(crq, struct beat_op, ask.rq);
        struct consumer_group_heartbeat_response rsp;

        consumer_group_heartbeat_response_init(&rsp);
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
        GROUP_REPLY(op->rq, consumer_group_heartbeat_response, &rsp, crq);
}

static bool beat_fill_owned(struct beat_op *op)
{
        int32_t count = op->req.topic_partitions_count;
        struct coord_partitions *owned;

        if (count < 0) /* null */
                return true;
        owned = ARENA_NEW_ARRAY(&op->rq->arena, struct coord_partitions, count);
        for (int32_t i = 0; owned && i < count; i++)
                owned[i] =
                        (struct coord_partitions){ .id = op->req.topic_partitions[i].topic_id,
                                                   .partitions = op->req.topic_partitions[i].partitions,
                                                   .partitions_count = op->req.topic_partitions[i].partitions_count };
        op->ask.owned = owned;
        op->ask.owned_count = count;
        return owned;
}

static bool beat_fill(struct beat_op *op)
{
        struct coord_consumer_heartbeat *ask = &op->ask;
        struct rq *rq = op->rq;

        ask->member_id = op->req.member_id;
        ask->instance_id = op->req.instance_id;
        ask->rack_id = op->req.rack_id;
        ask->client_id = rq->client_id.p ? rq->client_id : STR_LIT("");
        ask->client_host = group_client_host(rq);
        ask->epoch = op->req.member_epoch;
        ask->rebalance_timeout_ms = op->req.rebalance_timeout_ms;
        if (op->req.subscribed_topic_names_count >= 0) {
                ask->names = op->req.subscribed_topic_names ? op->req.subscribed_topic_names : &STR_NULL;
                ask->names_count = op->req.subscribed_topic_names_count;
        }
        ask->regex = op->req.subscribed_topic_regex;
        ask->assignor = op->req.server_assignor;
        ask->must_have_id = rq->version >= 1;
        ask->rights =
                (struct coord_rights){ authorization_authorizer(rq->h->authorization), authorization_subject(rq) };
        return ask->client_host.p && beat_fill_owned(op);
}

/* May the client know of all topics that it names? Those that an expression means it need not know. */
static bool may_subscribe(struct beat_op *op)
{
        for (int32_t i = 0; i < op->req.subscribed_topic_names_count; i++)
                if (!authorize(op->rq, ACL_DESCRIBE, ACL_TOPIC, op->req.subscribed_topic_names[i]))
                        return false;
        return true;
}

static void beat_refuse(struct beat_op *op, int outcome, const char *why)
{
        coord_request_refuse(&op->ask.rq, outcome);
        op->ask.ret_why = str_of(why);
        beat_done(&op->ask.rq);
}

void handler_consumer_group_heartbeat(struct rq *rq)
{
        struct beat_op *op = ARENA_NEW(&rq->arena, struct beat_op);

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, consumer_group_heartbeat_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_CONSUMER_HEARTBEAT, op->req.group_id);
        if (!beat_fill(op)) {
                rq_close_nomem(rq);
                return;
        }
        if (!is_enabled(rq))
                beat_refuse(op, COORD_E_UNSUPPORTED_VERSION,
                            "The consumer group protocol is not enabled: finalise group.version at 1.");
        else if (!authorize(rq, ACL_READ, ACL_GROUP, op->req.group_id))
                beat_refuse(op, COORD_E_GROUP_DENIED, NULL);
        else if (!may_subscribe(op))
                beat_refuse(op, COORD_E_TOPIC_DENIED, NULL);
        else if (!op->req.group_id.len) /* no INVALID_GROUP_ID: Kafka's clients know this one here */
                beat_refuse(op, COORD_E_INVALID_REQUEST, "The group id must not be empty.");
        else
                group_ask(rq, &op->ask.rq, beat_done);
}

/* ---- describe ---- */

struct describe_op;

struct describe_one {
        struct coord_consumer_describe ask;
        struct describe_op *op;
        struct consumer_group_describe_response_group *out;
};

struct describe_op {
        struct group_fan fan;
        struct consumer_group_describe_request req;
        struct consumer_group_describe_response rsp;
        struct describe_one *groups;
};

static bool fill_partitions(struct rq *rq, const struct coord_partitions *in, int32_t count,
                            struct consumer_group_describe_response_assignment *out)
{
        struct consumer_group_describe_response_topic *t =
                ARENA_NEW_ARRAY(&rq->arena, struct consumer_group_describe_response_topic, count);

        consumer_group_describe_response_assignment_init(out);
        if (!t)
                return false;
        out->topic_partitions = t;
        out->topic_partitions_count = count;
        for (int32_t i = 0; i < count; i++) {
                consumer_group_describe_response_topic_init(&t[i]);
                t[i].topic_id = in[i].id;
                t[i].topic_name = in[i].name;
                t[i].partitions = (int32_t *)in[i].partitions;
                t[i].partitions_count = in[i].partitions_count;
        }
        return true;
}

static bool fill_member(struct rq *rq, const struct coord_consumer_member *in,
                        struct consumer_group_describe_response_member *out)
{
        enum { MEMBER_TYPE_CONSUMER = 1 };

        consumer_group_describe_response_member_init(out);
        out->member_id = in->member_id;
        out->instance_id = in->instance_id;
        out->rack_id = in->rack_id;
        out->member_epoch = in->epoch;
        out->client_id = in->client_id;
        out->client_host = in->client_host;
        out->subscribed_topic_names = (struct str *)in->names;
        out->subscribed_topic_names_count = in->names_count;
        out->subscribed_topic_regex =
                str_is_null(in->regex) ? STR_LIT("") : in->regex; /* as Kafka says that there is none */
        out->member_type = MEMBER_TYPE_CONSUMER;
        return fill_partitions(rq, in->assigned, in->assigned_count, &out->assignment) &&
               fill_partitions(rq, in->target, in->target_count, &out->target_assignment);
}

static void fill_error(struct rq *rq, struct consumer_group_describe_response_group *out,
                       const struct coord_consumer_describe *ask)
{
        out->error_code = error_of_coord(ask->rq.outcome);
        if (ask->rq.outcome == COORD_E_GROUP_NOT_FOUND)
                out->error_message = RQ_TEXT(rq, "Group %.*s %s.", STR_FMT(out->group_id),
                                             ask->ret_is_other_type ? "is not a consumer group" : "not found");
        handler_count_error(rq, out->error_code);
}

static bool may_know(struct rq *rq, const struct coord_partitions *in, int32_t count)
{
        for (int32_t i = 0; i < count; i++)
                if (in[i].name.p && !authorize(rq, ACL_DESCRIBE, ACL_TOPIC, in[i].name))
                        return false;
        return true;
}

/* Who may not know of one of the group's topics is told nothing of its members. */
static bool may_know_members(struct rq *rq, const struct coord_consumer_describe *ask)
{
        for (int32_t i = 0; i < ask->ret_members_count; i++) {
                const struct coord_consumer_member *m = &ask->ret_members[i];

                if (!may_know(rq, m->assigned, m->assigned_count) || !may_know(rq, m->target, m->target_count))
                        return false;
        }
        return true;
}

static void fill_group(struct describe_one *g)
{
        struct consumer_group_describe_response_group *out = g->out;
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
                ARENA_NEW_ARRAY(&rq->arena, struct consumer_group_describe_response_member, g->ask.ret_members_count);
        g->op->fan.failed |= !out->members;
        out->members_count = out->members ? g->ask.ret_members_count : 0;
        for (int32_t i = 0; i < out->members_count; i++)
                g->op->fan.failed |= !fill_member(rq, &g->ask.ret_members[i], &out->members[i]);
}

static void describe_done(struct coord_request *crq)
{
        struct describe_one *g = container_of(crq, struct describe_one, ask.rq);
        struct consumer_group_describe_response_group *out = g->out;

        out->group_state = out->assignor_name = STR_LIT("");
        if (crq->outcome)
                fill_error(g->op->fan.rq, out, &g->ask);
        else
                fill_group(g);
        group_fan_answered(&g->op->fan);
}

static void describe_reply(struct group_fan *fan)
{
        struct describe_op *op = container_of(fan, struct describe_op, fan);

        RQ_REPLY(fan->rq, consumer_group_describe_response, &op->rsp);
}

void handler_consumer_group_describe(struct rq *rq)
{
        struct describe_op *op = ARENA_NEW(&rq->arena, struct describe_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, consumer_group_describe_request, &op->req))
                return;
        consumer_group_describe_response_init(&op->rsp);
        count = op->rsp.groups_count = op->req.group_ids_count;
        op->rsp.groups = ARENA_NEW_ARRAY(&rq->arena, struct consumer_group_describe_response_group, count);
        op->groups = ARENA_NEW_ARRAY(&rq->arena, struct describe_one, count);
        if (!op->rsp.groups || !op->groups || !group_fan_init(&op->fan, rq, count, describe_reply)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                consumer_group_describe_response_group_init(&op->rsp.groups[i]);
                op->rsp.groups[i].group_id = op->req.group_ids[i];
                op->groups[i].op = op;
                op->groups[i].out = &op->rsp.groups[i];
                coord_request_init(&op->groups[i].ask.rq, COORD_CONSUMER_DESCRIBE, op->req.group_ids[i]);
                op->fan.asks[i] = &op->groups[i].ask.rq;
        }
        group_fan_ask_for(&op->fan, ACL_DESCRIBE, describe_done);
}
