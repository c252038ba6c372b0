/* Where share groups stand, for operators (KIP-932): DescribeShareGroupOffsets (90), AlterShareGroupOffsets (91), DeleteShareGroupOffsets (92).
 * Lag is KIP-1226's: what was not yet acknowledged, or given up. */
#include <stdlib.h>

#include "coord/log_ends.h"
#include "handler/share.h"
#include "wire/messages.h"

/* ---- describe ---- */

struct describe_op;

struct describe_one {
        struct coord_share_offsets ask;
        struct describe_op *op;
        const struct describe_share_group_offsets_request_group *in;
        struct describe_share_group_offsets_response_group *out;
        struct log_ends ends;
};

struct describe_op {
        struct group_fan fan;
        struct describe_share_group_offsets_request req;
        struct describe_share_group_offsets_response rsp;
        struct describe_one *groups;
};

/* A partition that does not exist is told as one of which nothing is known, as Kafka does. Lag comes later. */
static void fill_partition(const struct coord_share_offset *in,
                           struct describe_share_group_offsets_response_partition *out)
{
        describe_share_group_offsets_response_partition_init(out);
        out->partition_index = in->partition;
        out->start_offset = in->start;
        out->leader_epoch = in->leader_epoch;
        out->lag = -1;
        if (in->ret_outcome != COORD_E_TOPIC_DENIED)
                return;
        out->error_code = error_of_coord(in->ret_outcome);
        out->error_message = wire_error_message(out->error_code);
}

/* What the client may not know of is refused where it names it, and else left out. */
static void hide_topics(struct describe_one *g)
{
        struct rq *rq = g->op->fan.rq;
        int32_t kept = 0;

        for (int32_t i = 0; i < g->ask.items_count; i++) {
                struct coord_share_offset *item = &g->ask.items[i];

                if (g->ask.all && !authorize_quietly(rq, ACL_DESCRIBE, ACL_TOPIC, item->topic))
                        continue;
                if (!g->ask.all && !authorize(rq, ACL_DESCRIBE, ACL_TOPIC, item->topic))
                        *item = (struct coord_share_offset){ .topic = item->topic,
                                                             .partition = item->partition,
                                                             .start = COORD_SHARE_START_UNKNOWN,
                                                             .ret_outcome = COORD_E_TOPIC_DENIED };
                g->ask.items[kept++] = *item;
        }
        g->ask.items_count = kept;
}

/* Items come by topic. */
static bool fill_topics(struct describe_one *g)
{
        struct describe_share_group_offsets_response_group *out = g->out;
        struct describe_share_group_offsets_response_partition *p;
        struct describe_share_group_offsets_response_topic *t = NULL;
        struct rq *rq = g->op->fan.rq;
        int32_t count = g->ask.items_count;

        out->topics = ARENA_NEW_ARRAY(&rq->arena, struct describe_share_group_offsets_response_topic, count);
        p = ARENA_NEW_ARRAY(&rq->arena, struct describe_share_group_offsets_response_partition, count);
        if (!out->topics || !p)
                return false;
        for (int32_t i = 0; i < count; i++, p++) {
                const struct coord_share_offset *item = &g->ask.items[i];

                if (!t || !str_equal(t->topic_name, item->topic)) {
                        t = &out->topics[out->topics_count++];
                        describe_share_group_offsets_response_topic_init(t);
                        t->topic_name = item->topic;
                        t->topic_id = item->topic_id;
                        t->partitions = p;
                }
                t->partitions_count++;
                fill_partition(item, p);
        }
        return true;
}

/* ---- lag ---- */

static int by_place(const void *a, const void *b)
{
        const struct log_end *x = a, *y = b;
        int r = memcmp(x->topic_id.b, y->topic_id.b, sizeof x->topic_id.b);

        return r ? r : (x->partition > y->partition) - (x->partition < y->partition);
}

static void got_ends(struct log_ends *e)
{
        struct describe_one *g = container_of(e, struct describe_one, ends);
        const struct coord_share_offset *item = g->ask.items;

        if (e->count)
                qsort(e->items, e->count, sizeof *e->items, by_place);
        for (int32_t i = 0; i < g->out->topics_count; i++)
                for (int32_t k = 0; k < g->out->topics[i].partitions_count; k++, item++) {
                        struct log_end key = { .topic_id = item->topic_id, .partition = item->partition };
                        const struct log_end *found =
                                e->count ? bsearch(&key, e->items, e->count, sizeof key, by_place) : NULL;

                        if (found && found->ret_end >= 0)
                                g->out->topics[i].partitions[k].lag =
                                        MAX2(found->ret_end - item->start - item->done, INT64_C(0));
                }
        group_fan_answered(&g->op->fan);
}

/* Of partitions that the group has begun; their leaders know where they end. */
static void ask_ends(struct describe_one *g)
{
        struct rq *rq = g->op->fan.rq;
        struct log_ends *e = &g->ends;

        *e = (struct log_ends){ .arena = &rq->arena, .loop = rq_loop(rq), .done = got_ends };
        e->items = ARENA_NEW_ARRAY(&rq->arena, struct log_end, g->ask.items_count);
        g->op->fan.failed |= !e->items;
        for (int32_t i = 0; e->items && rq->version >= 1 && i < g->ask.items_count; i++) {
                const struct coord_share_offset *item = &g->ask.items[i];
                const struct meta_topic *t = meta_image_topic_by_id(rq->image, item->topic_id);
                const struct meta_partition *p = t ? meta_topic_partition(t, item->partition) : NULL;

                if (p && item->start >= 0)
                        e->items[e->count++] = (struct log_end){ .topic_id = item->topic_id,
                                                                 .partition = item->partition,
                                                                 .leader = meta_image_leader(rq->image, p) };
        }
        log_ends_ask(rq->h->deps.txn_link, e);
}

/* Of a group that is not there nothing is known, which is no error. */
static void fill_unknown(const struct rq *rq, struct coord_share_offsets *ask)
{
        for (int32_t i = 0; i < ask->items_count; i++) {
                const struct meta_topic *t = meta_image_topic(rq->image, ask->items[i].topic);

                ask->items[i].topic_id = t ? t->id : UUID_ZERO;
                ask->items[i].start = COORD_SHARE_START_UNKNOWN;
        }
}

static void describe_done(struct coord_request *crq)
{
        struct describe_one *g = container_of(crq, struct describe_one, ask.rq);
        struct rq *rq = g->op->fan.rq;

        if (crq->outcome == COORD_E_GROUP_NOT_FOUND || crq->outcome == COORD_E_INVALID_GROUP_ID) {
                fill_unknown(rq, &g->ask);
        } else if (crq->outcome) {
                g->out->error_code = error_of_coord(crq->outcome);
                g->out->error_message = crq->outcome == COORD_E_UNSUPPORTED_VERSION
                                                ? STR_LIT(SHARE_DISABLED)
                                                : wire_error_message(g->out->error_code);
                handler_count_error(rq, g->out->error_code);
        }
        if (!g->out->error_code)
                hide_topics(g);
        if (!g->out->error_code && !fill_topics(g))
                g->op->fan.failed = true;
        else if (!g->out->error_code) {
                ask_ends(g);
                return;
        }
        group_fan_answered(&g->op->fan);
}

static void describe_reply(struct group_fan *fan)
{
        struct describe_op *op = container_of(fan, struct describe_op, fan);

        RQ_REPLY(fan->rq, describe_share_group_offsets_response, &op->rsp);
}

static bool describe_prepare(struct describe_op *op, struct describe_one *g,
                             const struct describe_share_group_offsets_request_group *in)
{
        size_t count = 0;

        coord_request_init(&g->ask.rq, COORD_SHARE_OFFSETS, in->group_id);
        g->op = op;
        g->ask.all = in->topics_count < 0; /* null */
        for (int32_t i = 0; i < in->topics_count; i++)
                count += (size_t)in->topics[i].partitions_count;
        g->ask.items = ARENA_NEW_ARRAY(&op->fan.rq->arena, struct coord_share_offset, count);
        for (int32_t i = 0; g->ask.items && i < in->topics_count; i++)
                for (int32_t k = 0; k < in->topics[i].partitions_count; k++)
                        g->ask.items[g->ask.items_count++] =
                                (struct coord_share_offset){ .topic = in->topics[i].topic_name,
                                                             .partition = in->topics[i].partitions[k] };
        return g->ask.items;
}

void handler_describe_share_group_offsets(struct rq *rq)
{
        struct describe_op *op = ARENA_NEW(&rq->arena, struct describe_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        if (!RQ_DECODE(rq, describe_share_group_offsets_request, &op->req))
                return;
        describe_share_group_offsets_response_init(&op->rsp);
        count = op->rsp.groups_count = op->req.groups_count;
        op->rsp.groups = ARENA_NEW_ARRAY(&rq->arena, struct describe_share_group_offsets_response_group, count);
        op->groups = ARENA_NEW_ARRAY(&rq->arena, struct describe_one, count);
        if (!op->rsp.groups || !op->groups || !group_fan_init(&op->fan, rq, count, describe_reply)) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                describe_share_group_offsets_response_group_init(&op->rsp.groups[i]);
                op->rsp.groups[i].group_id = op->req.groups[i].group_id;
                op->groups[i].out = &op->rsp.groups[i];
                op->fan.asks[i] = &op->groups[i].ask.rq;
                if (!describe_prepare(op, &op->groups[i], &op->req.groups[i])) {
                        rq_close_nomem(rq);
                        return;
                }
        }
        if (share_is_enabled(rq))
                group_fan_ask_for(&op->fan, ACL_DESCRIBE, describe_done);
        else
                group_fan_refuse(&op->fan, COORD_E_UNSUPPORTED_VERSION, describe_done);
}

/* ---- alter, delete ---- */

/* Of a whole request. */
static int16_t error_of_all(struct rq *rq, int outcome, struct str group, struct str *ret_why)
{
        int16_t error = error_of_coord(outcome);

        if (!error)
                return 0;
        handler_count_error(rq, error);
        if (outcome == COORD_E_UNSUPPORTED_VERSION)
                *ret_why = STR_LIT(SHARE_DISABLED);
        else if (outcome == COORD_E_GROUP_NOT_FOUND)
                *ret_why = RQ_TEXT(rq, "There is no share group %.*s.", STR_FMT(group));
        else
                *ret_why = wire_error_message(error);
        return error;
}

struct alter_op {
        struct rq *rq;
        struct alter_share_group_offsets_request req;
        struct alter_share_group_offsets_response rsp;
        struct coord_share_offsets ask;
};

static void alter_fill(struct alter_op *op)
{
        const struct coord_share_offset *item = op->ask.items;

        for (int32_t i = 0; i < op->rsp.responses_count; i++) {
                struct alter_share_group_offsets_response_topic *t = &op->rsp.responses[i];

                for (int32_t k = 0; k < t->partitions_count; k++) {
                        if (t->partitions[k].error_code) /* was not asked for */
                                continue;
                        t->topic_id = item->topic_id;
                        t->partitions[k].error_code = error_of_coord(item->ret_outcome);
                        item++;
                        if (!t->partitions[k].error_code)
                                continue;
                        t->partitions[k].error_message = item[-1].ret_outcome == COORD_E_INVALID_REQUEST
                                                                 ? STR_LIT("The start offset must not be negative.")
                                                                 : wire_error_message(t->partitions[k].error_code);
                        handler_count_error(op->rq, t->partitions[k].error_code);
                }
        }
}

static void alter_done(struct coord_request *crq)
{
        struct alter_op *op = container_of(crq, struct alter_op, ask.rq);

        op->rsp.error_code = error_of_all(op->rq, crq->outcome, op->req.group_id, &op->rsp.error_message);
        if (op->rsp.error_code)
                op->rsp.responses_count = 0;
        else
                alter_fill(op);
        GROUP_REPLY(op->rq, alter_share_group_offsets_response, &op->rsp, crq);
}

static bool alter_prepare(struct alter_op *op)
{
        struct arena *a = &op->rq->arena;
        size_t count = 0;

        alter_share_group_offsets_response_init(&op->rsp);
        for (int32_t i = 0; i < op->req.topics_count; i++)
                count += (size_t)op->req.topics[i].partitions_count;
        op->ask.items = ARENA_NEW_ARRAY(a, struct coord_share_offset, count);
        op->rsp.responses = ARENA_NEW_ARRAY(a, struct alter_share_group_offsets_response_topic, op->req.topics_count);
        if (!op->ask.items || !op->rsp.responses)
                return false;
        op->rsp.responses_count = op->req.topics_count;
        for (int32_t i = 0; i < op->req.topics_count; i++) {
                const struct alter_share_group_offsets_request_topic *in = &op->req.topics[i];
                struct alter_share_group_offsets_response_topic *t = &op->rsp.responses[i];
                int16_t denied = authorize_topic(op->rq, ACL_READ, UUID_ZERO, in->topic_name);

                alter_share_group_offsets_response_topic_init(t);
                t->topic_name = in->topic_name;
                t->partitions =
                        ARENA_NEW_ARRAY(a, struct alter_share_group_offsets_response_partition, in->partitions_count);
                if (!t->partitions)
                        return false;
                t->partitions_count = in->partitions_count;
                for (int32_t k = 0; k < in->partitions_count; k++) {
                        alter_share_group_offsets_response_partition_init(&t->partitions[k]);
                        t->partitions[k].partition_index = in->partitions[k].partition_index;
                        t->partitions[k].error_code = denied;
                        if (denied) {
                                t->partitions[k].error_message = wire_error_message(denied);
                                continue;
                        }
                        op->ask.items[op->ask.items_count++] =
                                (struct coord_share_offset){ .topic = in->topic_name,
                                                             .partition = in->partitions[k].partition_index,
                                                             .start = in->partitions[k].start_offset };
                }
        }
        return true;
}

void handler_alter_share_group_offsets(struct rq *rq)
{
        struct alter_op *op = ARENA_NEW(&rq->arena, struct alter_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, alter_share_group_offsets_request, &op->req))
                return;
        coord_request_init(&op->ask.rq, COORD_SHARE_ALTER, op->req.group_id);
        if (!alter_prepare(op)) {
                rq_close_nomem(rq);
                return;
        }
        if (!share_is_enabled(rq))
                op->ask.rq.outcome = COORD_E_UNSUPPORTED_VERSION;
        if (op->ask.rq.outcome || (!op->req.topics_count && op->req.group_id.len))
                alter_done(&op->ask.rq);
        else
                group_ask_for(rq, &op->ask.rq, ACL_READ, alter_done);
}

struct delete_op {
        struct rq *rq;
        struct delete_share_group_offsets_request req;
        struct delete_share_group_offsets_response rsp;
        struct coord_share_remove ask;
};

static void delete_done(struct coord_request *crq)
{
        struct delete_op *op = container_of(crq, struct delete_op, ask.rq);
        const struct coord_share_offset *item = op->ask.items;

        op->rsp.error_code = error_of_all(op->rq, crq->outcome, op->req.group_id, &op->rsp.error_message);
        if (op->rsp.error_code)
                op->rsp.responses_count = 0;
        for (int32_t i = 0; i < op->rsp.responses_count; i++) {
                struct delete_share_group_offsets_response_topic *t = &op->rsp.responses[i];

                if (t->error_code) /* was not asked for */
                        continue;
                t->error_code = error_of_coord(item->ret_outcome);
                item++;
                if (!t->error_code) {
                        t->topic_id = item[-1].topic_id;
                        continue;
                }
                t->error_message = uuid_equal(item[-1].topic_id, UUID_ZERO)
                                           ? wire_error_message(t->error_code)
                                           : STR_LIT("Nothing is known of the group in this topic.");
                handler_count_error(op->rq, t->error_code);
        }
        GROUP_REPLY(op->rq, delete_share_group_offsets_response, &op->rsp, crq);
}

void handler_delete_share_group_offsets(struct rq *rq)
{
        struct delete_op *op = ARENA_NEW(&rq->arena, struct delete_op);
        int32_t count;

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, delete_share_group_offsets_request, &op->req))
                return;
        delete_share_group_offsets_response_init(&op->rsp);
        coord_request_init(&op->ask.rq, COORD_SHARE_REMOVE, op->req.group_id);
        count = op->rsp.responses_count = op->req.topics_count;
        op->rsp.responses = ARENA_NEW_ARRAY(&rq->arena, struct delete_share_group_offsets_response_topic, count);
        op->ask.items = ARENA_NEW_ARRAY(&rq->arena, struct coord_share_offset, count);
        if (!op->rsp.responses || !op->ask.items) {
                rq_close_nomem(rq);
                return;
        }
        for (int32_t i = 0; i < count; i++) {
                struct delete_share_group_offsets_response_topic *t = &op->rsp.responses[i];

                delete_share_group_offsets_response_topic_init(t);
                t->topic_name = op->req.topics[i].topic_name;
                t->error_code = authorize_topic(rq, ACL_READ, UUID_ZERO, t->topic_name);
                if (t->error_code)
                        t->error_message = wire_error_message(t->error_code);
                else
                        op->ask.items[op->ask.items_count++].topic = t->topic_name;
        }
        if (!share_is_enabled(rq))
                op->ask.rq.outcome = COORD_E_UNSUPPORTED_VERSION;
        if (op->ask.rq.outcome || (!count && op->req.group_id.len))
                delete_done(&op->ask.rq);
        else
                group_ask_for(rq, &op->ask.rq, ACL_DELETE, delete_done);
}
