/* ListPartitionReassignments (key 46): partitions whose replicas move, as the metadata says. What is asked for and is not
 * there, or does not move, is left out. Source: KIP-455. */
#include "handler/internal.h"
#include "wire/messages.h"

typedef struct list_partition_reassignments_response_partition out_partition;
typedef struct list_partition_reassignments_response_topic out_topic;

static bool is_moving(const struct meta_partition *p)
{
        return p && (p->adding_count || p->removing_count);
}

/* Lists are borrowed from the image, which is held until the answer; the encoder only reads them. */
static void tell(out_partition *out, const struct meta_partition *p)
{
        list_partition_reassignments_response_partition_init(out);
        out->partition_index = p->index;
        out->replicas = (int32_t *)meta_partition_replicas(p);
        out->replicas_count = p->replicas_count;
        out->adding_replicas = (int32_t *)meta_partition_adding(p);
        out->adding_replicas_count = p->adding_count;
        out->removing_replicas = (int32_t *)meta_partition_removing(p);
        out->removing_replicas_count = p->removing_count;
}

/* @indexes NULL: all partitions. A topic that has nothing to tell takes no row. Return: false when memory is out. */
static bool tell_topic(struct rq *rq, struct list_partition_reassignments_response *rsp, const struct meta_topic *t,
                       const int32_t *indexes, int32_t count)
{
        out_topic *out = &rsp->topics[rsp->topics_count];
        int32_t moving = 0;

        for (int32_t i = 0; i < count; i++)
                moving += is_moving(meta_topic_partition(t, indexes ? indexes[i] : i));
        if (!moving)
                return true;
        list_partition_reassignments_response_topic_init(out);
        out->name = t->name;
        out->partitions = ARENA_NEW_ARRAY(&rq->arena, out_partition, moving);
        if (!out->partitions)
                return false;
        rsp->topics_count++;
        for (int32_t i = 0; i < count; i++) {
                const struct meta_partition *p = meta_topic_partition(t, indexes ? indexes[i] : i);

                if (is_moving(p))
                        tell(&out->partitions[out->partitions_count++], p);
        }
        return true;
}

void handler_list_partition_reassignments(struct rq *rq)
{
        struct list_partition_reassignments_request req;
        struct list_partition_reassignments_response rsp;
        const struct meta_topic *t;
        bool ok = true;

        if (!RQ_DECODE(rq, list_partition_reassignments_request, &req))
                return;
        list_partition_reassignments_response_init(&rsp);
        rsp.error_message = STR_NULL;
        if (!authorize_cluster(rq, ACL_DESCRIBE)) {
                rsp.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
                rsp.error_message = wire_error_message(rsp.error_code);
                handler_count_error(rq, rsp.error_code);
                RQ_REPLY(rq, list_partition_reassignments_response, &rsp);
                return;
        }
        rsp.topics =
                ARENA_NEW_ARRAY(&rq->arena, out_topic,
                                req.topics_count < 0 ? rq->image->topics_by_name.count : (uint32_t)req.topics_count);
        ok = rsp.topics;
        for (int32_t i = 0; ok && i < req.topics_count; i++) {
                t = meta_image_topic(rq->image, req.topics[i].name);
                if (t)
                        ok = tell_topic(rq, &rsp, t, req.topics[i].partition_indexes,
                                        req.topics[i].partition_indexes_count);
        }
        if (req.topics_count < 0)
                pmap_for_each (it, t, &rq->image->topics_by_name)
                        ok = ok && tell_topic(rq, &rsp, t, NULL, (int32_t)t->partitions_count);
        if (ok)
                RQ_REPLY(rq, list_partition_reassignments_response, &rsp);
        else
                rq_close_nomem(rq);
}
