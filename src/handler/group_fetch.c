/* OffsetFetch (9): what groups have committed; one group up to version 7, several from version 8 (KIP-709). A group or
 * partition without a committed offset is no error: it gets offset -1. */
#include "handler/group_ask.h"
#include "wire/messages.h"

struct fetch_group {
        struct coord_offset_fetch ask;
        struct fetch_offsets_op *op;
        const struct offset_fetch_request_group *in;
        struct offset_fetch_response_group out;
};

struct fetch_offsets_op {
        struct rq *rq;
        struct offset_fetch_request req;
        struct fetch_group *groups;
        int32_t groups_count;
        int32_t left;
        bool nomem;
};

/* ---- answering ---- */

static bool same_topic(const struct coord_fetch_item *a, const struct coord_fetch_item *b)
{
        return str_equal(a->topic, b->topic);
}

/* Items of one group, neighbours of one topic together. Topics of which the coordinator was not asked have been
 * answered before and stand in front. */
static bool group_fill(struct fetch_group *g)
{
        struct rq *rq = g->op->rq;
        const struct coord_offset_fetch *ask = &g->ask;
        struct offset_fetch_response_group_topic *topics, *t = NULL;
        struct offset_fetch_response_group_partition *p;

        g->out.error_code = error_of_coord(ask->rq.outcome);
        if (g->out.error_code) {
                g->out.topics_count = 0;
                handler_count_error(rq, g->out.error_code);
                return true;
        }
        topics = ARENA_NEW_ARRAY(&rq->arena, struct offset_fetch_response_group_topic,
                                 ask->items_count + g->out.topics_count);
        p = ARENA_NEW_ARRAY(&rq->arena, struct offset_fetch_response_group_partition, ask->items_count);
        if (!topics || !p)
                return false;
        if (g->out.topics_count)
                memcpy(topics, g->out.topics, (size_t)g->out.topics_count * sizeof *topics);
        g->out.topics = topics;
        for (int32_t i = 0; i < ask->items_count; i++, p++) {
                const struct coord_fetch_item *item = &ask->items[i];
                const struct meta_topic *known;

                /* Of all that is committed only what the client may know of. */
                if (ask->all && !authorize_quietly(rq, ACL_DESCRIBE, ACL_TOPIC, item->topic))
                        continue;
                if (!t || !same_topic(item, item - 1)) {
                        known = meta_image_topic(rq->image, item->topic);
                        t = &topics[g->out.topics_count++];
                        offset_fetch_response_group_topic_init(t);
                        t->name = item->topic;
                        t->topic_id = known ? known->id : UUID_ZERO;
                        t->partitions = p;
                }
                offset_fetch_response_group_partition_init(p);
                t->partitions_count++;
                p->partition_index = item->partition;
                p->committed_offset = item->ret_offset;
                p->committed_leader_epoch = item->ret_leader_epoch;
                p->metadata = item->ret_metadata;
                p->error_code = error_of_coord(item->ret_outcome);
        }
        return true;
}

/* Up to version 7 the one group stands on top. */
static bool fill_single(struct fetch_offsets_op *op, struct offset_fetch_response *rsp)
{
        const struct offset_fetch_response_group *g = &op->groups[0].out;

        rsp->error_code = g->error_code;
        rsp->topics = ARENA_NEW_ARRAY(&op->rq->arena, struct offset_fetch_response_topic, g->topics_count);
        if (!rsp->topics)
                return false;
        rsp->topics_count = g->topics_count;
        for (int32_t i = 0; i < g->topics_count; i++) {
                struct offset_fetch_response_topic *t = &rsp->topics[i];

                offset_fetch_response_topic_init(t);
                t->name = g->topics[i].name;
                t->partitions_count = g->topics[i].partitions_count;
                t->partitions =
                        ARENA_NEW_ARRAY(&op->rq->arena, struct offset_fetch_response_partition, t->partitions_count);
                if (!t->partitions)
                        return false;
                for (int32_t k = 0; k < t->partitions_count; k++) {
                        const struct offset_fetch_response_group_partition *in = &g->topics[i].partitions[k];

                        offset_fetch_response_partition_init(&t->partitions[k]);
                        t->partitions[k].partition_index = in->partition_index;
                        t->partitions[k].committed_offset = in->committed_offset;
                        t->partitions[k].committed_leader_epoch = in->committed_leader_epoch;
                        t->partitions[k].metadata = in->metadata;
                        t->partitions[k].error_code = in->error_code;
                }
        }
        return true;
}

/* Version 1 has no error on top: each partition says it. */
static bool fill_errors_v1(struct fetch_offsets_op *op, struct offset_fetch_response_group *g)
{
        struct arena *a = &op->rq->arena;

        g->topics = ARENA_NEW_ARRAY(a, struct offset_fetch_response_group_topic, op->req.topics_count);
        if (!g->topics)
                return false;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct offset_fetch_request_topic *in = &op->req.topics[i];
                struct offset_fetch_response_group_topic *t = &g->topics[g->topics_count++];

                offset_fetch_response_group_topic_init(t);
                t->name = in->name;
                t->partitions =
                        ARENA_NEW_ARRAY(a, struct offset_fetch_response_group_partition, in->partition_indexes_count);
                if (!t->partitions)
                        return false;
                for (int32_t k = 0; k < in->partition_indexes_count; k++) {
                        struct offset_fetch_response_group_partition *p = &t->partitions[t->partitions_count++];

                        offset_fetch_response_group_partition_init(p);
                        p->partition_index = in->partition_indexes[k];
                        p->committed_offset = -1;
                        p->metadata = STR_LIT("");
                        p->error_code = g->error_code;
                }
        }
        return true;
}

static void answer(struct fetch_offsets_op *op)
{
        struct rq *rq = op->rq;
        struct offset_fetch_response rsp;
        bool ok = !op->nomem;

        offset_fetch_response_init(&rsp);
        if (ok && rq->version == 1 && op->groups[0].out.error_code)
                ok = fill_errors_v1(op, &op->groups[0].out);
        if (ok && rq->version < 8)
                ok = fill_single(op, &rsp);
        if (ok && rq->version >= 8) {
                rsp.groups = ARENA_NEW_ARRAY(&rq->arena, struct offset_fetch_response_group, op->groups_count);
                ok = rsp.groups;
                for (int32_t i = 0; ok && i < op->groups_count; i++)
                        rsp.groups[rsp.groups_count++] = op->groups[i].out;
        }
        if (ok) {
                /* Encoding borrows from the coordinator's answers, which go with rq: copy the few headers first. */
                struct arena *kept = malloc(sizeof *kept * (size_t)MAX2(op->groups_count, 1));
                int32_t count = op->groups_count;

                if (kept) {
                        for (int32_t i = 0; i < count; i++)
                                kept[i] = op->groups[i].ask.rq.arena;
                        RQ_REPLY(rq, offset_fetch_response, &rsp);
                        for (int32_t i = 0; i < count; i++)
                                arena_fini(&kept[i]);
                        free(kept);
                        return;
                }
        }
        for (int32_t i = 0; i < op->groups_count; i++)
                coord_request_fini(&op->groups[i].ask.rq);
        rq_close_nomem(rq);
}

static void group_done(struct coord_request *crq)
{
        struct fetch_group *g = container_of(crq, struct fetch_group, ask.rq);
        struct fetch_offsets_op *op = g->op;

        op->nomem |= !group_fill(g);
        if (--op->left == 0)
                answer(op);
}

/* ---- asking ---- */

/* A topic of which the coordinator is not asked: it knows names only, and not who asks. */
static bool add_refused(struct fetch_group *g, const struct offset_fetch_request_group_topic *in, int16_t error)
{
        struct offset_fetch_response_group_topic *t = &g->out.topics[g->out.topics_count++];

        offset_fetch_response_group_topic_init(t);
        t->name = in->name;
        t->topic_id = in->topic_id;
        t->partitions = ARENA_NEW_ARRAY(&g->op->rq->arena, struct offset_fetch_response_group_partition,
                                        in->partition_indexes_count);
        if (!t->partitions)
                return false;
        for (int32_t k = 0; k < in->partition_indexes_count; k++) {
                struct offset_fetch_response_group_partition *p = &t->partitions[t->partitions_count++];

                offset_fetch_response_group_partition_init(p);
                p->partition_index = in->partition_indexes[k];
                p->committed_offset = -1;
                p->metadata = STR_LIT("");
                p->error_code = error;
        }
        return true;
}

static bool group_items(struct fetch_group *g)
{
        struct rq *rq = g->op->rq;
        const struct offset_fetch_request_group *in = g->in;
        size_t count = 0;

        for (int32_t i = 0; i < in->topics_count; i++)
                count += (size_t)in->topics[i].partition_indexes_count;
        g->ask.items = ARENA_NEW_ARRAY(&rq->arena, struct coord_fetch_item, count);
        g->out.topics =
                ARENA_NEW_ARRAY(&rq->arena, struct offset_fetch_response_group_topic, MAX2(in->topics_count, 0));
        if (!g->ask.items || !g->out.topics)
                return false;
        for (int32_t i = 0; i < in->topics_count; i++) {
                const struct offset_fetch_request_group_topic *t = &in->topics[i];
                const struct meta_topic *known =
                        rq->version >= 10 ? meta_image_topic_by_id(rq->image, t->topic_id) : NULL;

                int16_t error = rq->version >= 10 && !known
                                        ? KERR_UNKNOWN_TOPIC_ID
                                        : authorize_topic(rq, ACL_DESCRIBE, UUID_ZERO, known ? known->name : t->name);

                if (error) {
                        if (!add_refused(g, t, error))
                                return false;
                        continue;
                }
                for (int32_t k = 0; k < t->partition_indexes_count; k++)
                        g->ask.items[g->ask.items_count++] = (struct coord_fetch_item){
                                .topic = known ? known->name : t->name,
                                .partition = t->partition_indexes[k],
                        };
        }
        return true;
}

/* Versions before 8 as a list of one group. */
static bool single_to_groups(struct fetch_offsets_op *op)
{
        struct offset_fetch_request_group *g = ARENA_NEW(&op->rq->arena, struct offset_fetch_request_group);

        if (!g)
                return false;
        offset_fetch_request_group_init(g);
        g->group_id = op->req.group_id;
        g->member_epoch = -1;
        g->topics_count = op->req.topics_count;
        g->topics =
                ARENA_NEW_ARRAY(&op->rq->arena, struct offset_fetch_request_group_topic, MAX2(op->req.topics_count, 0));
        if (!g->topics)
                return false;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                g->topics[i].name = op->req.topics[i].name;
                g->topics[i].partition_indexes = op->req.topics[i].partition_indexes;
                g->topics[i].partition_indexes_count = op->req.topics[i].partition_indexes_count;
        }
        op->req.groups = g;
        op->req.groups_count = 1;
        return true;
}

static bool groups_prepare(struct fetch_offsets_op *op)
{
        if (op->rq->version < 8 && !single_to_groups(op))
                return false;
        op->groups_count = op->left = op->req.groups_count;
        op->groups = ARENA_NEW_ARRAY(&op->rq->arena, struct fetch_group, op->groups_count);
        if (!op->groups)
                return false;
        for (int32_t i = 0; i < op->groups_count; i++) {
                struct fetch_group *g = &op->groups[i];

                g->op = op;
                g->in = &op->req.groups[i];
                offset_fetch_response_group_init(&g->out);
                g->out.group_id = g->in->group_id;
                coord_request_init(&g->ask.rq, COORD_OFFSET_FETCH, g->in->group_id);
                g->ask.all = g->in->topics_count < 0;
                g->ask.require_stable = op->req.require_stable;
                g->ask.member_id = g->in->member_id;
                g->ask.member_epoch = g->in->member_epoch;
                if (!group_items(g))
                        return false;
        }
        return true;
}

void handler_offset_fetch(struct rq *rq)
{
        struct fetch_offsets_op *op = ARENA_NEW(&rq->arena, struct fetch_offsets_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, offset_fetch_request, &op->req))
                return;
        if (!groups_prepare(op)) {
                rq_close_nomem(rq);
                return;
        }
        if (op->groups_count == 0) {
                answer(op);
                return;
        }
        count = op->groups_count; /* the last submission may already be the end of op */
        for (int32_t i = 0; i < count; i++)
                group_ask_for(rq, &op->groups[i].ask.rq, ACL_DESCRIBE, group_done);
}
