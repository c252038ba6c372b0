/* OffsetForLeaderEpoch (key 23): where a leader epoch ended, so that a client finds where its log parts from ours.
 * Sources: KIP-101, KIP-279, KIP-320. */
#include "handler/internal.h"
#include "wire/messages.h"

static int16_t lookup(struct rq *rq, struct str topic, const struct offset_for_leader_epoch_request_partition *in,
                      struct offset_for_leader_epoch_response_partition *ret)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        struct partition_view view;
        int32_t epoch;
        int64_t end_offset;
        int16_t error = resolve_partition(rq, UUID_ZERO, topic, in->partition, &p);
        int r;

        if (!error)
                error = error_of_log(partition_check_epoch(p, in->current_leader_epoch));
        if (error)
                return error;
        partition_view(p, &view);
        if (in->leader_epoch == view.leader_epoch) {
                ret->leader_epoch = view.leader_epoch;
                ret->end_offset = view.end_offset;
                return 0;
        }
        r = plog_epoch_end(partition_log(p), in->leader_epoch, &epoch, &end_offset);
        if (r == PLOG_E_NOT_FOUND || in->leader_epoch > view.leader_epoch)
                return 0; /* stays (-1, -1): unknown */
        if (r)
                return error_of_log(r);
        ret->leader_epoch = epoch;
        ret->end_offset = end_offset;
        return 0;
}

void handler_offset_for_leader_epoch(struct rq *rq)
{
        struct offset_for_leader_epoch_request req;
        struct offset_for_leader_epoch_response rsp;
        bool all; /* followers once asked for this, too */

        if (!RQ_DECODE(rq, offset_for_leader_epoch_request, &req))
                return;
        offset_for_leader_epoch_response_init(&rsp);
        rsp.topics = ARENA_NEW_ARRAY(&rq->arena, struct offset_for_leader_epoch_response_topic, req.topics_count);
        if (!rsp.topics) {
                rq_close_nomem(rq);
                return;
        }
        rsp.topics_count = req.topics_count;
        all = authorize_cluster_first(rq, ACL_CLUSTER_ACTION);
        for (int32_t i = 0; i < req.topics_count; i++) {
                struct offset_for_leader_epoch_response_topic *t = &rsp.topics[i];
                int16_t denied = all ? 0 : authorize_topic(rq, ACL_DESCRIBE, UUID_ZERO, req.topics[i].topic);

                offset_for_leader_epoch_response_topic_init(t);
                t->topic = req.topics[i].topic;
                t->partitions_count = req.topics[i].partitions_count;
                t->partitions = ARENA_NEW_ARRAY(&rq->arena, struct offset_for_leader_epoch_response_partition,
                                                t->partitions_count);
                if (!t->partitions) {
                        rq_close_nomem(rq);
                        return;
                }
                for (int32_t k = 0; k < t->partitions_count; k++) {
                        struct offset_for_leader_epoch_response_partition *p = &t->partitions[k];

                        offset_for_leader_epoch_response_partition_init(p);
                        p->partition = req.topics[i].partitions[k].partition;
                        p->error_code = denied ? denied : lookup(rq, t->topic, &req.topics[i].partitions[k], p);
                        if (p->error_code)
                                handler_count_error(rq, p->error_code);
                }
        }
        RQ_REPLY(rq, offset_for_leader_epoch_response, &rsp);
}
