/* AlterReplicaLogDirs (key 34): in which data directory of this node a replica is to be. A node has one, so that nothing ever moves:
 * what is to be where it is succeeds, every other directory is one that we do not have. Sources: KIP-113, KIP-858. */
#include <stdlib.h>

#include "handler/internal.h"
#include "wire/messages.h"

/* One partition as it was named. */
struct wish {
        struct str topic;
        int32_t partition;
        size_t place; /* in the request: the last one counts where a partition is named more than once, as in Kafka */
        bool is_ours; /* the directory */
};

static int compare(const void *a, const void *b)
{
        const struct wish *x = a, *y = b;
        int r = str_compare(x->topic, y->topic);

        if (r)
                return r;
        if (x->partition != y->partition)
                return x->partition < y->partition ? -1 : 1;
        return x->place < y->place ? -1 : x->place > y->place;
}

static bool same_partition(const struct wish *a, const struct wish *b)
{
        return a->partition == b->partition && str_equal(a->topic, b->topic);
}

static size_t count_wishes(const struct alter_replica_log_dirs_request *req)
{
        size_t n = 0;

        for (int32_t i = 0; i < req->dirs_count; i++)
                for (int32_t k = 0; k < req->dirs[i].topics_count; k++)
                        n += (size_t)req->dirs[i].topics[k].partitions_count;
        return n;
}

static void read_wishes(struct rq *rq, const struct alter_replica_log_dirs_request *req, struct wish *ret)
{
        size_t n = 0;

        for (int32_t i = 0; i < req->dirs_count; i++) {
                bool is_ours = str_equal_c(req->dirs[i].path, rq->h->deps.conf->server.data_dir);

                for (int32_t k = 0; k < req->dirs[i].topics_count; k++) {
                        const struct alter_replica_log_dirs_request_topic *t = &req->dirs[i].topics[k];

                        for (int32_t m = 0; m < t->partitions_count; m++, n++)
                                ret[n] = (struct wish){ t->name, t->partitions[m], n, is_ours };
                }
        }
        qsort(ret, n, sizeof *ret, compare);
}

static int16_t grant(struct rq *rq, const struct wish *w, bool is_denied)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;

        if (is_denied)
                return KERR_CLUSTER_AUTHORIZATION_FAILED;
        if (!w->is_ours)
                return KERR_LOG_DIR_NOT_FOUND;
        return resolve_partition(rq, (struct uuid){ 0 }, w->topic, w->partition, &p);
}

/* From @wishes, which are in order, to the answer. False: out of memory. */
static bool fill(struct rq *rq, const struct wish *wishes, size_t count, struct alter_replica_log_dirs_response *rsp)
{
        struct alter_replica_log_dirs_response_partition *parts =
                ARENA_NEW_ARRAY(&rq->arena, struct alter_replica_log_dirs_response_partition, count);
        struct alter_replica_log_dirs_response_topic *topic = NULL;
        bool is_denied = !authorize_cluster(rq, ACL_ALTER);

        rsp->results = ARENA_NEW_ARRAY(&rq->arena, struct alter_replica_log_dirs_response_topic, count);
        if (!parts || !rsp->results)
                return false;
        for (size_t i = 0; i < count; i++) {
                int16_t error;

                if (i + 1 < count && same_partition(&wishes[i], &wishes[i + 1]))
                        continue;
                if (!topic || !str_equal(topic->topic_name, wishes[i].topic)) {
                        topic = &rsp->results[rsp->results_count++];
                        *topic = (struct alter_replica_log_dirs_response_topic){ .topic_name = wishes[i].topic,
                                                                                 .partitions = parts };
                }
                error = grant(rq, &wishes[i], is_denied);
                if (error)
                        handler_count_error(rq, error);
                *parts++ = (struct alter_replica_log_dirs_response_partition){ wishes[i].partition, error };
                topic->partitions_count++;
        }
        return true;
}

void handler_alter_replica_log_dirs(struct rq *rq)
{
        struct alter_replica_log_dirs_request req;
        struct alter_replica_log_dirs_response rsp;
        struct wish *wishes;
        size_t count;

        if (!RQ_DECODE(rq, alter_replica_log_dirs_request, &req))
                return;
        alter_replica_log_dirs_response_init(&rsp);
        count = count_wishes(&req);
        wishes = ARENA_NEW_ARRAY(&rq->arena, struct wish, count);
        if (!wishes) {
                rq_close_nomem(rq);
                return;
        }
        read_wishes(rq, &req, wishes);
        if (fill(rq, wishes, count, &rsp))
                RQ_REPLY(rq, alter_replica_log_dirs_response, &rsp);
        else
                rq_close_nomem(rq);
}
