/* Brokers and partitions as clients see them. */
#include "handler/cluster_view.h"

const struct meta_endpoint *told_endpoint(const struct rq *rq, const struct meta_broker *broker)
{
        if (!broker || broker->fenced)
                return NULL;
        return meta_broker_endpoint(broker, str_of(net_conn_listener(rq->net.conn)));
}

int32_t told_brokers_count(const struct rq *rq)
{
        const struct meta_broker *b;
        int32_t n = 0;

        pmap_for_each (it, b, &rq->image->brokers)
                n += told_endpoint(rq, b) != NULL;
        return n;
}

bool told_partition(struct rq *rq, const struct meta_partition *p, struct partition_told *ret)
{
        const int32_t *replicas = meta_partition_replicas(p), *isr = meta_partition_isr(p);
        struct partition_told told = { .leader = meta_image_leader(rq->image, p), .leader_epoch = p->leader_epoch };

        told.replicas = arena_memdup(&rq->arena, replicas, p->replicas_count * sizeof *replicas);
        told.isr = arena_memdup(&rq->arena, isr, p->isr_count * sizeof *isr);
        told.offline = ARENA_NEW_ARRAY(&rq->arena, int32_t, p->replicas_count);
        if (!told.replicas || !told.isr || !told.offline)
                return false;
        told.replicas_count = p->replicas_count;
        told.isr_count = p->isr_count;
        for (int32_t i = 0; i < told.replicas_count; i++)
                if (!told_endpoint(rq, meta_image_broker(rq->image, replicas[i])))
                        told.offline[told.offline_count++] = replicas[i];
        if (told.leader < 0) {
                told.leader = -1;
                told.error = KERR_LEADER_NOT_AVAILABLE;
        } else if (!told_endpoint(rq, meta_image_broker(rq->image, told.leader))) {
                told.leader = -1;
                told.error = KERR_LISTENER_NOT_FOUND;
        }
        *ret = told;
        return true;
}
