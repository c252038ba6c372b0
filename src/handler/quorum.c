/* DescribeQuorum (key 55), AddRaftVoter (80) and RemoveRaftVoter (81): who keeps the metadata. Kafka calls the metadata log
 * partition 0 of the topic __cluster_metadata; here it is no topic, and only these requests know that name. Each goes to the
 * active controller, whichever broker was asked. Sources: KIP-595, KIP-836, KIP-853. */
#include <stdlib.h>
#include <string.h>

#include "handler/ask.h"
#include "wire/messages.h"

#define METADATA_TOPIC "__cluster_metadata"
#define PEER_LISTENER "PEER" /* as brokers register it */

/* ---- describing ---- */

struct describe_op {
        struct rq *rq;
        struct controller_describe_quorum item;
        struct ask ask;
};

static void fill_replica(struct describe_quorum_response_replica *out, const struct controller_member *m)
{
        describe_quorum_response_replica_init(out);
        out->replica_id = m->node_id;
        out->replica_directory_id = m->directory;
        out->log_end_offset = m->end_index < 0 ? -1 : m->end_index + 1;
        out->last_fetch_timestamp = m->heard_ms;
        out->last_caught_up_timestamp = m->caught_up_ms;
}

/* "HOST:PORT" or "[HOST]:PORT" in two; false: it is none. */
static bool address_split(struct str address, struct str *ret_host, uint16_t *ret_port)
{
        const char *colon = address.p ? memrchr(address.p, ':', address.len) : NULL;
        char port[8] = "";
        size_t len;

        if (!colon || colon == address.p)
                return false;
        len = address.len - (size_t)(colon + 1 - address.p);
        memcpy(port, colon + 1, MIN2(len, sizeof port - 1));
        *ret_port = (uint16_t)strtoul(port, NULL, 10);
        *ret_host = (struct str){ address.p, (size_t)(colon - address.p) };
        if (ret_host->len > 2 && ret_host->p[0] == '[')
                *ret_host = (struct str){ ret_host->p + 1, ret_host->len - 2 };
        return true;
}

static bool fill_node(struct rq *rq, struct describe_quorum_response_node *out, const struct controller_member *m)
{
        struct describe_quorum_response_listener *l = ARENA_NEW(&rq->arena, struct describe_quorum_response_listener);

        describe_quorum_response_node_init(out);
        out->node_id = m->node_id;
        if (!l)
                return false;
        describe_quorum_response_listener_init(l);
        l->name = STR_LIT(PEER_LISTENER);
        if (address_split(m->address, &l->host, &l->port) && l->port) { /* 0: it is alone and does not listen */
                out->listeners = l;
                out->listeners_count = 1;
        }
        return true;
}

static bool fill_members(struct describe_op *op, struct describe_quorum_response *rsp,
                         struct describe_quorum_response_partition *p)
{
        const struct controller_describe_quorum *q = &op->item;
        struct rq *rq = op->rq;

        p->current_voters = ARENA_NEW_ARRAY(&rq->arena, struct describe_quorum_response_replica, q->members_count);
        p->observers = ARENA_NEW_ARRAY(&rq->arena, struct describe_quorum_response_replica, q->members_count);
        rsp->nodes = ARENA_NEW_ARRAY(&rq->arena, struct describe_quorum_response_node, q->members_count);
        if (!p->current_voters || !p->observers || !rsp->nodes)
                return false;
        for (int32_t i = 0; i < q->members_count; i++) {
                const struct controller_member *m = &q->members[i];

                if (m->kind != CONTROLLER_VOTER) {
                        fill_replica(&p->observers[p->observers_count++], m);
                        continue;
                }
                fill_replica(&p->current_voters[p->current_voters_count++], m);
                if (!fill_node(rq, &rsp->nodes[rsp->nodes_count++], m))
                        return false;
        }
        return true;
}

static void described(struct controller_request *crq)
{
        struct describe_op *op = container_of(crq, struct describe_op, ask.rq);
        const struct controller_result *result = ask_result(&op->ask, &op->item.result);
        struct describe_quorum_response_partition partition;
        struct describe_quorum_response_topic topic;
        struct describe_quorum_response rsp;
        struct arena mem = op->ask.mem; /* holds addresses until they are written; @op is gone before */
        struct rq *rq = op->rq;
        bool enough = true;

        describe_quorum_response_init(&rsp);
        describe_quorum_response_topic_init(&topic);
        describe_quorum_response_partition_init(&partition);
        rsp.error_code = error_of_controller(result->outcome);
        if (rsp.error_code) {
                rsp.error_message = RQ_TEXT(rq, "%.*s", STR_FMT(result->message));
                handler_count_error(rq, rsp.error_code);
        } else {
                partition.leader_id = op->item.leader_id;
                partition.leader_epoch = op->item.term;
                partition.high_watermark = op->item.committed_index + 1;
                topic.topic_name = STR_LIT(METADATA_TOPIC);
                topic.partitions = &partition;
                rsp.topics = &topic;
                topic.partitions_count = rsp.topics_count = 1;
                enough = fill_members(op, &rsp, &partition);
        }
        if (enough)
                RQ_REPLY(rq, describe_quorum_response, &rsp);
        else
                rq_close_nomem(rq);
        arena_fini(&mem);
}

/* What is asked for beside the metadata log is told to be unknown, and then nothing else is told (as Kafka). */
static void answer_unknown(struct rq *rq, const struct describe_quorum_request *req)
{
        struct describe_quorum_response rsp;

        describe_quorum_response_init(&rsp);
        rsp.topics = ARENA_NEW_ARRAY(&rq->arena, struct describe_quorum_response_topic, req->topics_count);
        for (int32_t i = 0; rsp.topics && i < req->topics_count; i++) {
                const struct describe_quorum_request_topic *in = &req->topics[i];
                struct describe_quorum_response_topic *out = &rsp.topics[rsp.topics_count++];

                describe_quorum_response_topic_init(out);
                out->topic_name = in->topic_name;
                out->partitions =
                        ARENA_NEW_ARRAY(&rq->arena, struct describe_quorum_response_partition, in->partitions_count);
                if (!out->partitions) {
                        rsp.topics = NULL;
                        break;
                }
                for (int32_t k = 0; k < in->partitions_count; k++) {
                        struct describe_quorum_response_partition *p = &out->partitions[out->partitions_count++];

                        describe_quorum_response_partition_init(p);
                        p->partition_index = in->partitions[k].partition_index;
                        p->error_code = KERR_UNKNOWN_TOPIC_OR_PARTITION;
                        p->error_message = wire_error_message(p->error_code);
                }
        }
        if (!rsp.topics) {
                rq_close_nomem(rq);
                return;
        }
        handler_count_error(rq, KERR_UNKNOWN_TOPIC_OR_PARTITION);
        RQ_REPLY(rq, describe_quorum_response, &rsp);
}

void handler_describe_quorum(struct rq *rq)
{
        struct describe_op *op = ARENA_NEW(&rq->arena, struct describe_op);
        struct describe_quorum_request req;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, describe_quorum_request, &req))
                return;
        if (ask_refused(rq, &op->ask, ACL_DESCRIBE))
                described(&op->ask.rq);
        else if (req.topics_count != 1 || !str_equal_c(req.topics[0].topic_name, METADATA_TOPIC) ||
                 req.topics[0].partitions_count != 1 || req.topics[0].partitions[0].partition_index != 0)
                answer_unknown(rq, &req);
        else
                ask_submit(rq, &op->ask, CONTROLLER_DESCRIBE_QUORUM, &op->item, 1, false, described);
}

/* ---- changing ---- */

struct voter_op {
        struct rq *rq;
        bool adds;
        struct controller_voter_change item;
        struct ask ask;
};

static void answer_change(struct voter_op *op, int16_t error, struct str message)
{
        struct remove_raft_voter_response removed;
        struct add_raft_voter_response added;

        if (error)
                handler_count_error(op->rq, error);
        if (op->adds) {
                add_raft_voter_response_init(&added);
                added.error_code = error;
                added.error_message = message;
                RQ_REPLY(op->rq, add_raft_voter_response, &added);
        } else {
                remove_raft_voter_response_init(&removed);
                removed.error_code = error;
                removed.error_message = message;
                RQ_REPLY(op->rq, remove_raft_voter_response, &removed);
        }
}

static void changed(struct controller_request *crq)
{
        struct voter_op *op = container_of(crq, struct voter_op, ask.rq);
        const struct controller_result *result = ask_result(&op->ask, &op->item.result);
        int16_t error = error_of_controller(result->outcome);
        struct str message = error ? RQ_TEXT(op->rq, "%.*s", STR_FMT(result->message)) : STR_NULL;

        ask_fini(&op->ask);
        answer_change(op, error, message);
}

static void submit_change(struct voter_op *op, struct str cluster_id)
{
        if (cluster_id.p && !str_equal(cluster_id, op->rq->image->cluster_id))
                answer_change(op, KERR_INCONSISTENT_CLUSTER_ID,
                              RQ_TEXT(op->rq, "This is cluster %.*s, not %.*s.", STR_FMT(op->rq->image->cluster_id),
                                      STR_FMT(cluster_id)));
        else
                ask_submit(op->rq, &op->ask, op->adds ? CONTROLLER_ADD_VOTER : CONTROLLER_REMOVE_VOTER, &op->item, 1,
                           false, changed);
}

static struct voter_op *voter_op_new(struct rq *rq, bool adds)
{
        struct voter_op *op = ARENA_NEW(&rq->arena, struct voter_op);

        if (!op) {
                rq_close_nomem(rq);
                return NULL;
        }
        op->rq = rq;
        op->adds = adds;
        return op;
}

/* The answer comes when the change is committed, also when ack_when_committed does not ask for that. */
void handler_add_raft_voter(struct rq *rq)
{
        struct voter_op *op = voter_op_new(rq, true);
        struct add_raft_voter_request req;

        if (!op || !RQ_DECODE(rq, add_raft_voter_request, &req))
                return;
        if (ask_refused(rq, &op->ask, ACL_ALTER)) {
                changed(&op->ask.rq);
                return;
        }
        if (req.listeners_count < 1 || !req.listeners[0].host.len || !req.listeners[0].port) {
                answer_change(
                        op, KERR_INVALID_REQUEST,
                        RQ_TEXT(rq, "A listener is needed: host and port of the new controller's cluster.listen."));
                return;
        }
        op->item.node_id = req.voter_id;
        op->item.directory = req.voter_directory_id;
        op->item.address =
                RQ_TEXT(rq, memchr(req.listeners[0].host.p, ':', req.listeners[0].host.len) ? "[%.*s]:%u" : "%.*s:%u",
                        STR_FMT(req.listeners[0].host), req.listeners[0].port);
        submit_change(op, req.cluster_id);
}

void handler_remove_raft_voter(struct rq *rq)
{
        struct voter_op *op = voter_op_new(rq, false);
        struct remove_raft_voter_request req;

        if (!op || !RQ_DECODE(rq, remove_raft_voter_request, &req))
                return;
        if (ask_refused(rq, &op->ask, ACL_ALTER)) {
                changed(&op->ask.rq);
                return;
        }
        op->item.node_id = req.voter_id;
        op->item.directory = req.voter_directory_id;
        submit_change(op, req.cluster_id);
}
