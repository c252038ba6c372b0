/* DescribeLogDirs (key 35): the data directory and what the partitions in it take. Sources: KIP-113, KIP-827. */
#include "handler/internal.h"
#include "sys/file.h"
#include "wire/messages.h"

struct log_dirs_op {
        struct rq *rq;
        struct describe_log_dirs_request req;
        struct describe_log_dirs_response rsp;
        struct io_job job;
        bool nomem;
};

static void add_partition(struct log_dirs_op *op, const struct meta_topic *t, int32_t index,
                          struct describe_log_dirs_response_topic *out)
{
        CLEANUP(partition_unrefp) struct partition *p = partition_table_find(op->rq->h->deps.partitions, t->id, index);
        struct describe_log_dirs_response_partition *part;
        struct plog_ends ends;

        if (!p)
                return;
        plog_ends(partition_log(p), &ends);
        part = &out->partitions[out->partitions_count++];
        describe_log_dirs_response_partition_init(part);
        part->partition_index = index;
        part->partition_size = ends.size_bytes;
}

/* @in: the partitions that were asked for, which may be none; NULL for all. */
static void add_topic(struct log_dirs_op *op, struct describe_log_dirs_response_dir *dir, const struct meta_topic *t,
                      const struct describe_log_dirs_request_topic *in)
{
        struct describe_log_dirs_response_topic *out = &dir->topics[dir->topics_count];
        int32_t count = in ? in->partitions_count : (int32_t)t->partitions_count;

        describe_log_dirs_response_topic_init(out);
        out->name = t->name;
        out->partitions = ARENA_NEW_ARRAY(&op->rq->arena, struct describe_log_dirs_response_partition, count);
        if (!out->partitions) {
                op->nomem = true;
                return;
        }
        for (int32_t i = 0; i < count; i++)
                add_partition(op, t, in ? in->partitions[i] : i, out);
        dir->topics_count += out->partitions_count > 0;
}

static void add_topics(struct log_dirs_op *op, struct describe_log_dirs_response_dir *dir)
{
        const struct meta_topic *t;
        int32_t count = op->req.topics_count;

        if (count < 0)
                pmap_for_each (counting, t, &op->rq->image->topics_by_name)
                        count = MAX2(count, 0) + 1;
        dir->topics = ARENA_NEW_ARRAY(&op->rq->arena, struct describe_log_dirs_response_topic, MAX2(count, 0));
        op->nomem |= !dir->topics;
        if (op->req.topics_count < 0) {
                pmap_for_each (it, t, &op->rq->image->topics_by_name)
                        if (!op->nomem)
                                add_topic(op, dir, t, NULL);
                return;
        }
        for (int32_t i = 0; i < op->req.topics_count && !op->nomem; i++) {
                t = meta_image_topic(op->rq->image, op->req.topics[i].topic);
                if (t)
                        add_topic(op, dir, t, &op->req.topics[i]);
        }
}

/* On the pool: asking the file system for its space may block. */
static void job_run(struct io_job *job)
{
        struct log_dirs_op *op = container_of(job, struct log_dirs_op, job);
        struct describe_log_dirs_response_dir *dir = ARENA_NEW(&op->rq->arena, struct describe_log_dirs_response_dir);
        const char *path = op->rq->h->deps.conf->server.data_dir;
        uint64_t bytes_free, bytes_total;

        if (!dir) {
                op->nomem = true;
                return;
        }
        describe_log_dirs_response_init(&op->rsp);
        describe_log_dirs_response_dir_init(dir);
        dir->log_dir = str_of(path);
        if (file_space(path, &bytes_free, &bytes_total) == 0) {
                dir->total_bytes = (int64_t)bytes_total;
                dir->usable_bytes = (int64_t)bytes_free;
        }
        add_topics(op, dir);
        op->rsp.results = dir;
        op->rsp.results_count = 1;
}

static void job_done(struct io_job *job)
{
        struct log_dirs_op *op = container_of(job, struct log_dirs_op, job);

        if (op->nomem)
                rq_close_nomem(op->rq);
        else
                RQ_REPLY(op->rq, describe_log_dirs_response, &op->rsp);
}

void handler_describe_log_dirs(struct rq *rq)
{
        struct log_dirs_op *op = ARENA_NEW(&rq->arena, struct log_dirs_op);

        if (!op) {
                rq_close_nomem(rq);
                return;
        }
        op->rq = rq;
        if (!RQ_DECODE(rq, describe_log_dirs_request, &op->req))
                return;
        if (!authorize_cluster(rq, ACL_DESCRIBE)) { /* before version 3 nothing says why nothing is told */
                describe_log_dirs_response_init(&op->rsp);
                op->rsp.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
                handler_count_error(rq, op->rsp.error_code);
                RQ_REPLY(rq, describe_log_dirs_response, &op->rsp);
                return;
        }
        op->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = rq_loop(rq) };
        iopool_submit(rq->h->deps.pool, &op->job);
}
