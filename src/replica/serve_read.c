/* Records for followers that mend their logs (mend.c). It happens seldom, and what is asked for is cold: the pool reads and copies. */
#include <errno.h>
#include <stdlib.h>

#include "replica/serve_priv.h"

struct read {
        struct io_job job;
        struct serve *serve;
        struct peer_request *rq;
        struct partition *partition; /* held */
        struct replica_read_request req;
        struct peer_out out;
        int r;
};

static int answer_fill(struct peer_out *o, int16_t version, enum replica_fetch_error error, struct span records)
{
        struct replica_read_response rsp;

        replica_read_response_init(&rsp);
        rsp.error = (int8_t)error;
        rsp.records = (struct wire_records){ .data = records.data, .len = records.len };
        return PEER_ENCODE(o, replica_read_response, &rsp, version, 0);
}

static void answer_error(struct peer_request *rq, enum replica_fetch_error error)
{
        struct peer_out out;
        int r = answer_fill(&out, rq->version, error, span_of("", 0));

        if (r)
                peer_refuse(rq, r);
        else
                peer_answer(rq, &out);
}

static int read_records(struct read *d, uint8_t **ret_data, size_t *ret_len)
{
        struct plog_slice slice;
        int r = plog_read(
                partition_log(d->partition),
                &(struct plog_read_args){ .from_offset = d->req.from_offset,
                                          .below_offset = d->req.to_offset,
                                          .len_max = MIN2((size_t)d->req.max_bytes, (size_t)SERVE_PARTITION_LEN_MAX),
                                          .at_least_one = true },
                true, &slice);

        if (r || !slice.len)
                return r ? r : PLOG_E_OUT_OF_RANGE;
        *ret_data = malloc(slice.len);
        *ret_len = slice.len;
        r = *ret_data ? plog_slice_copy(&slice, *ret_data) : -ENOMEM;
        plog_slice_release(&slice);
        return r;
}

static void read_run(struct io_job *job)
{
        struct read *d = container_of(job, struct read, job);
        CLEANUP(freep) uint8_t *data = NULL;
        size_t len = 0;
        int r = read_records(d, &data, &len);

        d->r = answer_fill(&d->out, d->rq->version, r ? serve_error_of(r) : REPLICA_FETCH_OK,
                           r ? span_of("", 0) : span_of(data, len));
}

static void read_done(struct io_job *job)
{
        struct read *d = container_of(job, struct read, job);

        if (d->r)
                peer_refuse(d->rq, d->r);
        else
                peer_answer(d->rq, &d->out);
        partition_unref(d->partition);
        atomic_fetch_sub(&d->serve->reads, 1);
        free(d);
}

static void on_read(void *arg, struct peer_request *rq)
{
        CLEANUP(partition_unrefp) struct partition *p = NULL;
        struct replica_read_request req;
        struct serve *serve = arg;
        struct read *d;
        int r = PEER_DECODE(replica_read_request, &req, rq->body, rq->version, &rq->arena);

        if (!r && (req.from_offset < 0 || req.to_offset <= req.from_offset || req.max_bytes < 0))
                r = WIRE_E_MALFORMED;
        if (r) {
                peer_refuse(rq, r);
                return;
        }
        p = partition_table_find(serve->table, req.topic_id, req.index);
        r = p ? partition_check_replica(p, rq->peer->node, req.broker_epoch, req.leader_epoch) : 0;
        if (!p || r) {
                answer_error(rq, p ? serve_error_of(r) : REPLICA_FETCH_E_UNKNOWN);
                return;
        }
        d = malloc(sizeof *d);
        if (!d) {
                peer_refuse(rq, -ENOMEM);
                return;
        }
        *d = (struct read){ .job = { .run = read_run, .done = read_done, .reply_loop = peer_request_loop(rq) },
                            .serve = serve,
                            .rq = rq,
                            .partition = TAKE_PTR(p),
                            .req = req };
        atomic_fetch_add(&serve->reads, 1);
        iopool_submit(serve->pool, &d->job);
}

int serve_read_register(struct serve *s, struct peer_hub *hub)
{
        return peer_hub_register(hub, &(struct peer_service){ .key = REPLICA_READ_KEY,
                                                              .version_min = REPLICA_FETCH_VERSION,
                                                              .version_max = REPLICA_FETCH_VERSION,
                                                              .request = on_read,
                                                              .arg = s });
}
