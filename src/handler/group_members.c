/* Membership of classic groups: JoinGroup (11), SyncGroup (14), Heartbeat (12), LeaveGroup (13).
 * Sources: KIP-62, KIP-345 (static members), KIP-394 (member ids), KIP-559 (protocol echo), KIP-800, KIP-814. */
#include "handler/group_ask.h"
#include "wire/messages.h"

/* ---- join ---- */

struct join_op {
        struct rq *rq;
        struct join_group_request req;
        struct coord_join ask;
};

static bool join_fill_members(struct join_op *op, struct join_group_response *rsp)
{
        int32_t count = op->ask.ret_members_count;

        rsp->members = ARENA_NEW_ARRAY(&op->rq->arena, struct join_group_response_member, count);
        if (!rsp->members)
                return false;
        rsp->members_count = count;
        for (int32_t i = 0; i < count; i++) {
                join_group_response_member_init(&rsp->members[i]);
                rsp->members[i].member_id = op->ask.ret_members[i].member_id;
                rsp->members[i].group_instance_id = op->ask.ret_members[i].instance_id;
                rsp->members[i].metadata = op->ask.ret_members[i].metadata;
        }
        return true;
}

static void join_done(struct coord_request *crq)
{
        struct join_op *op = container_of(crq, struct join_op, ask.rq);
        struct join_group_response rsp;

        join_group_response_init(&rsp);
        rsp.error_code = error_of_coord(crq->outcome);
        rsp.generation_id = op->ask.ret_generation;
        rsp.protocol_type = op->ask.ret_protocol_type;
        rsp.protocol_name = op->ask.ret_protocol_name;
        rsp.leader = op->ask.ret_leader;
        rsp.skip_assignment = op->ask.ret_skip_assignment;
        rsp.member_id = op->ask.ret_member_id;
        if (rsp.error_code)
                handler_count_error(op->rq, rsp.error_code);
        if (!join_fill_members(op, &rsp)) {
                coord_request_fini(crq);
                rq_close_nomem(op->rq);
                return;
        }
        GROUP_REPLY(op->rq, join_group_response, &rsp, crq);
}

void handler_join_group(struct rq *rq)
{
        struct join_op *op = ARENA_NEW(&rq->arena, struct join_op);
        struct coord_protocol *protocols;

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, join_group_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_JOIN, op->req.group_id);
        protocols = ARENA_NEW_ARRAY(&rq->arena, struct coord_protocol, op->req.protocols_count);
        op->ask.client_host = group_client_host(rq);
        if (!protocols || !op->ask.client_host.p) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < op->req.protocols_count; i++)
                protocols[i] = (struct coord_protocol){ op->req.protocols[i].name, op->req.protocols[i].metadata };
        op->ask.member_id = op->req.member_id;
        op->ask.instance_id = op->req.group_instance_id;
        op->ask.client_id = rq->client_id.p ? rq->client_id : STR_LIT("");
        op->ask.session_timeout_ms = op->req.session_timeout_ms;
        op->ask.rebalance_timeout_ms = rq->version == 0 ? op->req.session_timeout_ms : op->req.rebalance_timeout_ms;
        op->ask.protocol_type = op->req.protocol_type;
        op->ask.protocols = protocols;
        op->ask.protocols_count = op->req.protocols_count;
        op->ask.require_member_id = rq->version >= 4;
        op->ask.ret_generation = -1;
        op->ask.can_skip_assignment = rq->version >= 9;
        group_ask(rq, &op->ask.rq, join_done);
}

/* ---- sync ---- */

struct sync_op {
        struct rq *rq;
        struct sync_group_request req;
        struct coord_sync ask;
};

static void sync_done(struct coord_request *crq)
{
        struct sync_op *op = container_of(crq, struct sync_op, ask.rq);
        struct sync_group_response rsp;

        sync_group_response_init(&rsp);
        rsp.error_code = error_of_coord(crq->outcome);
        rsp.protocol_type = op->ask.ret_protocol_type;
        rsp.protocol_name = op->ask.ret_protocol_name;
        rsp.assignment = op->ask.ret_assignment;
        if (rsp.error_code)
                handler_count_error(op->rq, rsp.error_code);
        GROUP_REPLY(op->rq, sync_group_response, &rsp, crq);
}

void handler_sync_group(struct rq *rq)
{
        struct sync_op *op = ARENA_NEW(&rq->arena, struct sync_op);
        struct coord_assignment *assignments;

        if (!op || !rq_detach(rq)) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, sync_group_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_SYNC, op->req.group_id);
        assignments = ARENA_NEW_ARRAY(&rq->arena, struct coord_assignment, op->req.assignments_count);
        if (!assignments) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < op->req.assignments_count; i++)
                assignments[i] = (struct coord_assignment){ op->req.assignments[i].member_id,
                                                            op->req.assignments[i].assignment };
        op->ask.member_id = op->req.member_id;
        op->ask.instance_id = op->req.group_instance_id;
        op->ask.generation = op->req.generation_id;
        op->ask.protocol_type = op->req.protocol_type;
        op->ask.protocol_name = op->req.protocol_name;
        op->ask.assignments = assignments;
        op->ask.assignments_count = op->req.assignments_count;
        /* From version 5 on a member must say which protocol it means (KIP-559). */
        if (rq->version >= 5 && (str_is_null(op->req.protocol_type) || str_is_null(op->req.protocol_name))) {
                coord_request_refuse(&op->ask.rq, COORD_E_INCONSISTENT_PROTOCOL);
                sync_done(&op->ask.rq);
                return;
        }
        group_ask(rq, &op->ask.rq, sync_done);
}

/* ---- heartbeat ---- */

struct heartbeat_op {
        struct rq *rq;
        struct coord_heartbeat ask;
};

static void heartbeat_done(struct coord_request *crq)
{
        struct heartbeat_op *op = container_of(crq, struct heartbeat_op, ask.rq);
        struct heartbeat_response rsp;

        heartbeat_response_init(&rsp);
        rsp.error_code = error_of_coord(crq->outcome);
        if (rsp.error_code)
                handler_count_error(op->rq, rsp.error_code);
        GROUP_REPLY(op->rq, heartbeat_response, &rsp, crq);
}

void handler_heartbeat(struct rq *rq)
{
        struct heartbeat_op *op = ARENA_NEW(&rq->arena, struct heartbeat_op);
        struct heartbeat_request req;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, heartbeat_request, &req))
                return;
        coord_request_init(&op->ask.rq, COORD_HEARTBEAT, req.group_id);
        op->ask.member_id = req.member_id;
        op->ask.instance_id = req.group_instance_id;
        op->ask.generation = req.generation_id;
        group_ask(rq, &op->ask.rq, heartbeat_done);
}

/* ---- leave ---- */

struct leave_op {
        struct rq *rq;
        struct leave_group_request req;
        struct coord_leave ask;
};

static void leave_done(struct coord_request *crq)
{
        struct leave_op *op = container_of(crq, struct leave_op, ask.rq);
        struct leave_group_response rsp;

        leave_group_response_init(&rsp);
        rsp.error_code = error_of_coord(crq->outcome);
        /* Before version 3 there is one member, and what became of it stands on top. */
        if (!rsp.error_code && op->rq->version < 3)
                rsp.error_code = error_of_coord(op->ask.members[0].ret_outcome);
        if (rsp.error_code)
                handler_count_error(op->rq, rsp.error_code);
        rsp.members = ARENA_NEW_ARRAY(&op->rq->arena, struct leave_group_response_member, op->ask.members_count);
        if (!rsp.members) {
                coord_request_fini(crq);
                rq_close_nomem(op->rq);
                return;
        }
        for (int32_t i = 0; i < op->ask.members_count && !crq->outcome; i++) {
                struct leave_group_response_member *m = &rsp.members[rsp.members_count++];

                leave_group_response_member_init(m);
                m->member_id = op->ask.members[i].member_id;
                m->group_instance_id = op->ask.members[i].instance_id;
                m->error_code = error_of_coord(op->ask.members[i].ret_outcome);
        }
        GROUP_REPLY(op->rq, leave_group_response, &rsp, crq);
}

void handler_leave_group(struct rq *rq)
{
        struct leave_op *op = ARENA_NEW(&rq->arena, struct leave_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, leave_group_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_LEAVE, op->req.group_id);
        op->ask.members_count = rq->version < 3 ? 1 : op->req.members_count;
        op->ask.members = ARENA_NEW_ARRAY(&rq->arena, struct coord_leave_member, op->ask.members_count);
        if (!op->ask.members) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < op->ask.members_count; i++)
                op->ask.members[i] = rq->version < 3 ? (struct coord_leave_member){ .member_id = op->req.member_id }
                                                     : (struct coord_leave_member){
                                                               .member_id = op->req.members[i].member_id,
                                                               .instance_id = op->req.members[i].group_instance_id,
                                                               .reason = op->req.members[i].reason,
                                                       };
        group_ask(rq, &op->ask.rq, leave_done);
}
