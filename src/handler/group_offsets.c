/* Committed offsets: OffsetCommit (8), OffsetDelete (47). Reading them is group_fetch.c.
 * Sources: KIP-211 (retention), KIP-320 (leader epochs), KIP-496 (deletion). */
#include "handler/group_ask.h"
#include "wire/messages.h"

/* ---- commit ---- */

struct commit_op {
        struct rq *rq;
        struct offset_commit_request req;
        struct offset_commit_response rsp;
        struct coord_offset_commit ask;
        struct offset_commit_response_partition **rows; /* of each item */
        bool is_denied;                                 /* the client may not commit in this group */
};

static void commit_fail(struct commit_op *op, struct offset_commit_response_partition *p, int16_t error)
{
        p->error_code = error;
        if (error)
                handler_count_error(op->rq, error);
}

static void commit_done(struct coord_request *crq)
{
        struct commit_op *op = container_of(crq, struct commit_op, ask.rq);

        /* Who committed before version 9 knows no groups that are not there, only generations that are over. */
        if (crq->outcome == COORD_E_GROUP_NOT_FOUND && op->rq->version < 9 && !op->ask.ret_is_other_type)
                crq->outcome = COORD_E_ILLEGAL_GENERATION;
        for (int32_t i = 0; i < op->ask.items_count; i++)
                commit_fail(op, op->rows[i],
                            error_of_coord(crq->outcome ? crq->outcome : op->ask.items[i].ret_outcome));
        GROUP_REPLY(op->rq, offset_commit_response, &op->rsp, crq);
}

/* What is wrong with all partitions of the topic; else 0 with @ret_topic. */
static int16_t commit_topic(struct commit_op *op, const struct offset_commit_request_topic *in,
                            const struct meta_topic **ret_topic)
{
        *ret_topic = NULL;
        return op->is_denied ? KERR_GROUP_AUTHORIZATION_FAILED
                             : resolve_topic_for(op->rq, ACL_READ, in->topic_id,
                                                 op->rq->version >= 10 ? STR_NULL : in->name, ret_topic);
}

/* An item for the coordinator, or an error at once when there is no such partition. */
static void commit_item(struct commit_op *op, const struct meta_topic *t, int16_t error,
                        const struct offset_commit_request_partition *in, struct offset_commit_response_partition *out)
{
        offset_commit_response_partition_init(out);
        out->partition_index = in->partition_index;
        if (!error && !meta_topic_partition(t, in->partition_index))
                error = KERR_UNKNOWN_TOPIC_OR_PARTITION;
        if (error) {
                commit_fail(op, out, error);
                return;
        }
        op->rows[op->ask.items_count] = out;
        op->ask.items[op->ask.items_count++] = (struct coord_commit_item){
                .topic = t->name,
                .partition = in->partition_index,
                .offset = in->committed_offset,
                .leader_epoch = in->committed_leader_epoch,
                .metadata = in->committed_metadata,
        };
}

static bool commit_prepare(struct commit_op *op)
{
        struct arena *a = &op->rq->arena;
        size_t count = 0;

        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += (size_t)op->req.topics[i].partitions_count;
        offset_commit_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(a, struct offset_commit_response_topic, op->req.topics_count);
        op->ask.items = ARENA_NEW_ARRAY(a, struct coord_commit_item, count);
        op->rows = ARENA_NEW_ARRAY(a, struct offset_commit_response_partition *, count);
        if (!op->rsp.topics || !op->ask.items || !op->rows)
                return false;
        op->rsp.topics_count = op->req.topics_count;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct offset_commit_request_topic *in = &op->req.topics[i];
                struct offset_commit_response_topic *t = &op->rsp.topics[i];
                const struct meta_topic *known;
                int16_t error = commit_topic(op, in, &known);

                offset_commit_response_topic_init(t);
                t->name = in->name;
                t->topic_id = in->topic_id;
                t->partitions = ARENA_NEW_ARRAY(a, struct offset_commit_response_partition, in->partitions_count);
                if (!t->partitions)
                        return false;
                t->partitions_count = in->partitions_count;
                for (int32_t k = 0; k < in->partitions_count; k++)
                        commit_item(op, known, error, &in->partitions[k], &t->partitions[k]);
        }
        return true;
}

void handler_offset_commit(struct rq *rq)
{
        struct commit_op *op = ARENA_NEW(&rq->arena, struct commit_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, offset_commit_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_OFFSET_COMMIT, op->req.group_id);
        op->is_denied = !authorize(rq, ACL_READ, ACL_GROUP, op->req.group_id);
        if (!commit_prepare(op)) {
                rq_close_nomem(rq);
                return;
        }
        op->ask.generation = op->req.generation_id_or_member_epoch;
        op->ask.knows_epochs = rq->version >= 9;
        op->ask.member_id = op->req.member_id;
        op->ask.instance_id = op->req.group_instance_id;
        op->ask.retention_ms = op->req.retention_time_ms;
        if (op->is_denied)
                commit_done(&op->ask.rq);
        else
                group_ask(rq, &op->ask.rq, commit_done);
}

/* ---- delete ---- */

struct offset_delete_op {
        struct rq *rq;
        struct offset_delete_request req;
        struct offset_delete_response rsp;
        struct coord_offset_delete ask;
        struct offset_delete_response_partition **rows;
};

static void offset_delete_done(struct coord_request *crq)
{
        struct offset_delete_op *op = container_of(crq, struct offset_delete_op, ask.rq);

        op->rsp.error_code = error_of_coord(crq->outcome);
        if (op->rsp.error_code) {
                handler_count_error(op->rq, op->rsp.error_code);
                op->rsp.topics_count = 0;
        }
        if (op->rsp.error_code != KERR_GROUP_AUTHORIZATION_FAILED) /* which has been recorded */
                audit_done(op->rq, STR_LIT("DELETE_OFFSETS"), STR_LIT("GROUP"), crq->id, op->rsp.error_code);
        for (int32_t i = 0; i < op->ask.items_count; i++)
                op->rows[i]->error_code = error_of_coord(op->ask.items[i].ret_outcome);
        GROUP_REPLY(op->rq, offset_delete_response, &op->rsp, crq);
}

static bool offset_delete_topic(struct offset_delete_op *op, const struct offset_delete_request_topic *in,
                                struct offset_delete_response_topic *t)
{
        const struct meta_topic *known = meta_image_topic(op->rq->image, in->name);
        int16_t denied = authorize_topic(op->rq, ACL_READ, UUID_ZERO, in->name);

        offset_delete_response_topic_init(t);
        t->name = in->name;
        t->partitions = ARENA_NEW_ARRAY(&op->rq->arena, struct offset_delete_response_partition, in->partitions_count);
        if (!t->partitions)
                return false;
        t->partitions_count = in->partitions_count;
        for (int32_t k = 0; k < in->partitions_count; k++) {
                struct offset_delete_response_partition *p = &t->partitions[k];

                offset_delete_response_partition_init(p);
                p->partition_index = in->partitions[k].partition_index;
                if (denied || !known || !meta_topic_partition(known, p->partition_index)) {
                        p->error_code = denied ? denied : KERR_UNKNOWN_TOPIC_OR_PARTITION;
                        continue;
                }
                op->rows[op->ask.items_count] = p;
                op->ask.items[op->ask.items_count++] =
                        (struct coord_delete_item){ .topic = in->name, .partition = p->partition_index };
        }
        return true;
}

void handler_offset_delete(struct rq *rq)
{
        struct offset_delete_op *op = ARENA_NEW(&rq->arena, struct offset_delete_op);
        size_t count = 0;
        bool ok;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, offset_delete_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_OFFSET_DELETE, op->req.group_id);
        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += (size_t)op->req.topics[i].partitions_count;
        offset_delete_response_init(&op->rsp);
        op->rsp.topics = ARENA_NEW_ARRAY(&rq->arena, struct offset_delete_response_topic, op->req.topics_count);
        op->ask.items = ARENA_NEW_ARRAY(&rq->arena, struct coord_delete_item, count);
        op->rows = ARENA_NEW_ARRAY(&rq->arena, struct offset_delete_response_partition *, count);
        ok = op->rsp.topics && op->ask.items && op->rows;
        for (int32_t i = 0; ok && i < op->req.topics_count; i++)
                ok = offset_delete_topic(op, &op->req.topics[i], &op->rsp.topics[op->rsp.topics_count++]);
        if (ok)
                group_ask_for(rq, &op->ask.rq, ACL_DELETE, offset_delete_done);
        else
                rq_close_nomem(rq);
}
