/* DescribeTopicPartitions (key 75): topics in order of name, a page at a time. Source: KIP-966. */
#include "handler/authorize.h"
#include "handler/cluster_view.h"
#include "wire/messages.h"

enum { PAGE_MAX = 2000 }; /* partitions in one answer, whatever the client asks (Kafka's own limit) */

struct page {
        struct rq *rq;
        struct describe_topic_partitions_response rsp;
        int32_t topics_max;
        int32_t left; /* partitions that still fit */
        bool full, nomem;
};

static void add_partition(struct page *pg, const struct meta_partition *p,
                          struct describe_topic_partitions_response_partition *out)
{
        struct partition_told told;

        describe_topic_partitions_response_partition_init(out);
        if (!told_partition(pg->rq, p, &told)) {
                pg->nomem = true;
                return;
        }
        out->error_code = told.error;
        out->partition_index = p->index;
        out->leader_id = told.leader;
        out->leader_epoch = told.leader_epoch;
        out->replica_nodes = told.replicas;
        out->replica_nodes_count = told.replicas_count;
        out->isr_nodes = told.isr;
        out->isr_nodes_count = told.isr_count;
        out->eligible_leader_replicas =
                arena_memdup(&pg->rq->arena, meta_partition_elr(p), p->elr_count * sizeof(int32_t));
        out->eligible_leader_replicas_count = p->elr_count;
        out->last_known_elr = arena_memdup(&pg->rq->arena, meta_partition_last_known_elr(p),
                                           p->last_known_elr_count * sizeof(int32_t));
        out->last_known_elr_count = p->last_known_elr_count;
        out->offline_replicas = told.offline;
        out->offline_replicas_count = told.offline_count;
        pg->nomem |= !out->eligible_leader_replicas || !out->last_known_elr;
}

static void set_cursor(struct page *pg, struct str topic, int32_t index)
{
        struct describe_topic_partitions_response_cursor *c =
                ARENA_NEW(&pg->rq->arena, struct describe_topic_partitions_response_cursor);

        pg->full = true;
        if (!c) {
                pg->nomem = true;
                return;
        }
        c->topic_name = topic;
        c->partition_index = index;
        pg->rsp.next_cursor = c;
}

static void add_topic(struct page *pg, const struct meta_topic *t, int32_t from_index)
{
        struct describe_topic_partitions_response_topic *out;
        int32_t count = (int32_t)t->partitions_count - from_index;

        if (pg->left == 0) {
                set_cursor(pg, t->name, from_index);
                return;
        }
        count = MIN2(MAX2(count, 0), pg->left);
        out = &pg->rsp.topics[pg->rsp.topics_count++];
        describe_topic_partitions_response_topic_init(out);
        out->name = t->name;
        out->topic_id = t->id;
        out->is_internal = meta_topic_is_internal(t->name);
        out->topic_authorized_operations = authorized_operations(pg->rq, ACL_TOPIC, t->name);
        out->partitions = ARENA_NEW_ARRAY(&pg->rq->arena, struct describe_topic_partitions_response_partition, count);
        if (!out->partitions) {
                pg->nomem = true;
                return;
        }
        for (int32_t i = 0; i < count && !pg->nomem; i++)
                add_partition(pg, meta_topic_partition(t, from_index + i), &out->partitions[out->partitions_count++]);
        pg->left -= count;
        if (from_index + count < (int32_t)t->partitions_count)
                set_cursor(pg, t->name, from_index + count);
}

static void add_refused(struct page *pg, struct str name, int16_t error)
{
        struct describe_topic_partitions_response_topic *out = &pg->rsp.topics[pg->rsp.topics_count++];

        describe_topic_partitions_response_topic_init(out);
        out->name = name;
        out->error_code = error;
        if (error != KERR_TOPIC_AUTHORIZATION_FAILED)
                out->topic_authorized_operations = authorized_operations(pg->rq, ACL_TOPIC, name);
        handler_count_error(pg->rq, out->error_code);
}

static int compare_names(const void *a, const void *b)
{
        return str_compare(((const struct describe_topic_partitions_request_topic *)a)->name,
                           ((const struct describe_topic_partitions_request_topic *)b)->name);
}

static void add_named(struct page *pg, struct describe_topic_partitions_request *req)
{
        struct str last = STR_NULL;

        qsort(req->topics, (size_t)req->topics_count, sizeof *req->topics, compare_names);
        for (int32_t i = 0; i < req->topics_count && !pg->full && !pg->nomem; i++) {
                struct str name = req->topics[i].name;
                const struct meta_topic *t = meta_image_topic(pg->rq->image, name);
                int after = req->cursor ? str_compare(name, req->cursor->topic_name) : 1;

                if (after < 0 || (last.p && str_equal(last, name)))
                        continue;
                last = name;
                if (!authorize(pg->rq, ACL_DESCRIBE, ACL_TOPIC, name))
                        add_refused(pg, name, KERR_TOPIC_AUTHORIZATION_FAILED);
                else if (t)
                        add_topic(pg, t, after == 0 ? req->cursor->partition_index : 0);
                else
                        add_refused(pg, name,
                                    meta_topic_name_is_valid(name) ? KERR_UNKNOWN_TOPIC_OR_PARTITION
                                                                   : KERR_INVALID_TOPIC_EXCEPTION);
        }
}

static void add_all(struct page *pg, const struct describe_topic_partitions_request *req)
{
        struct pmap_iter it = meta_image_topics_from(pg->rq->image, req->cursor ? req->cursor->topic_name : STR_NULL);
        const struct meta_topic *t;

        while (!pg->full && !pg->nomem && (t = pmap_next(&it)))
                if (authorize_quietly(pg->rq, ACL_DESCRIBE, ACL_TOPIC, t->name))
                        add_topic(pg, t,
                                  req->cursor && str_equal(t->name, req->cursor->topic_name)
                                          ? req->cursor->partition_index
                                          : 0);
}

/* A cursor is one of ours: a place in one of the topics asked for. */
static bool cursor_is_fine(const struct describe_topic_partitions_request *req)
{
        if (!req->cursor)
                return true;
        if (req->cursor->partition_index < 0)
                return false;
        for (int32_t i = 0; i < req->topics_count; i++)
                if (str_equal(req->topics[i].name, req->cursor->topic_name))
                        return true;
        return req->topics_count == 0;
}

/* There is no place for an error of the whole request, so each topic has it. */
static void refuse_all(struct page *pg, const struct describe_topic_partitions_request *req)
{
        for (int32_t i = 0; i < req->topics_count; i++) {
                struct describe_topic_partitions_response_topic *out = &pg->rsp.topics[pg->rsp.topics_count++];

                describe_topic_partitions_response_topic_init(out);
                out->name = req->topics[i].name;
                out->error_code = KERR_INVALID_REQUEST;
                handler_count_error(pg->rq, out->error_code);
        }
}

void handler_describe_topic_partitions(struct rq *rq)
{
        struct describe_topic_partitions_request req;
        struct page pg = { .rq = rq };

        if (!RQ_DECODE(rq, describe_topic_partitions_request, &req))
                return;
        describe_topic_partitions_response_init(&pg.rsp);
        pg.left = req.response_partition_limit < 1 ? 1 : MIN2(req.response_partition_limit, (int32_t)PAGE_MAX);
        /* Every topic takes at least one partition of the limit, so no more topics than that fit a page of all. */
        pg.topics_max = req.topics_count ? req.topics_count : pg.left;
        pg.rsp.topics = ARENA_NEW_ARRAY(&rq->arena, struct describe_topic_partitions_response_topic, pg.topics_max);
        if (!pg.rsp.topics) {
                rq_close_nomem(rq);
                return;
        }
        if (!cursor_is_fine(&req))
                refuse_all(&pg, &req);
        else if (req.topics_count)
                add_named(&pg, &req);
        else
                add_all(&pg, &req);
        if (pg.nomem) {
                rq_close_nomem(rq);
                return;
        }
        RQ_REPLY(rq, describe_topic_partitions_response, &pg.rsp);
}
