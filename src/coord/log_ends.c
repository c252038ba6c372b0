#include "coord/log_ends.h"

#include <errno.h>
#include <stdlib.h>

#include "coord/peer_txn.h"

enum { CALL_MS = 3000, PIECE_MAX = 5000 };

/* What one leader is asked: neighbours in the items. */
struct piece {
        struct peer_call call;
        struct log_ends *of;
        struct log_end *items;
        size_t count;
};

static int64_t end_here(struct txn_link *l, struct uuid topic_id, int32_t index)
{
        struct partition *p = partition_table_find(l->table, topic_id, index);
        struct partition_view view;
        bool leads;

        if (!p)
                return LOG_END_UNKNOWN;
        leads = !partition_check_epoch(p, -1);
        partition_view(p, &view);
        partition_unref(p);
        return leads && view.watermark_known ? view.high_watermark : LOG_END_UNKNOWN;
}

/* ---- asking ---- */

static void answered(struct log_ends *e)
{
        if (--e->left == 0)
                e->done(e);
}

static void called(struct peer_call *call)
{
        struct piece *piece = container_of(call, struct piece, call);
        struct log_ends *e = piece->of;
        struct txn_link *l = e->link;
        struct peer_log_ends_response rsp;

        if (call->outcome == PEER_OK && !PEER_DECODE(peer_log_ends_response, &rsp, call->body, 0, e->arena) &&
            (size_t)rsp.ends_count == piece->count)
                for (size_t i = 0; i < piece->count; i++)
                        piece->items[i].ret_end = MAX2(rsp.ends[i], (int64_t)LOG_END_UNKNOWN);
        iobuf_unref(call->frame);
        answered(e);
        txn_link_end(l);
}

/* Without memory they stay unknown. */
static void call(struct log_ends *e, struct log_end *items, size_t count)
{
        struct piece *piece = ARENA_NEW(e->arena, struct piece);
        struct peer_log_ends_request m;

        peer_log_ends_request_init(&m);
        m.partitions = ARENA_NEW_ARRAY(e->arena, struct peer_log_ends_request_partition, count);
        if (!piece || !m.partitions)
                return;
        m.partitions_count = (int32_t)count;
        for (size_t i = 0; i < count; i++)
                m.partitions[i] = (struct peer_log_ends_request_partition){ .topic_id = items[i].topic_id,
                                                                            .index = items[i].partition };
        *piece = (struct piece){ .of = e, .items = items, .count = count };
        piece->call = (struct peer_call){ .node = items->leader,
                                          .lane = PEER_CONTROL,
                                          .key = PEER_LOG_ENDS_REQUEST_KEY,
                                          .timeout_ms = CALL_MS,
                                          .loop = e->loop,
                                          .done = called };
        if (PEER_ENCODE(&piece->call.out, peer_log_ends_request, &m, 0, 0))
                return;
        e->left++;
        txn_link_begin(e->link);
        peer_call_submit(e->link->hub, &piece->call);
}

static int by_leader(const void *a, const void *b)
{
        const struct log_end *x = a, *y = b;

        return (x->leader > y->leader) - (x->leader < y->leader);
}

void log_ends_ask(struct txn_link *l, struct log_ends *e)
{
        e->link = l;
        e->left = 1;
        if (e->count)
                qsort(e->items, e->count, sizeof *e->items, by_leader);
        for (size_t i = 0, next; i < e->count; i = next) {
                struct log_end *first = &e->items[i];

                for (next = i; next < e->count && e->items[next].leader == first->leader && next - i < PIECE_MAX;
                     next++)
                        e->items[next].ret_end = first->leader == l->node_id ? end_here(l, e->items[next].topic_id,
                                                                                        e->items[next].partition)
                                                                             : LOG_END_UNKNOWN;
                if (first->leader >= 0 && first->leader != l->node_id && l->hub && !atomic_load(&l->stopping))
                        call(e, first, next - i);
        }
        answered(e);
}

/* ---- answering ---- */

static void serve(void *arg, struct peer_request *rq)
{
        struct txn_link *l = arg;
        struct peer_log_ends_request m;
        struct peer_log_ends_response rsp;
        struct peer_out out;
        int r = PEER_DECODE(peer_log_ends_request, &m, rq->body, rq->version, &rq->arena);

        peer_log_ends_response_init(&rsp);
        if (!r) {
                rsp.ends = ARENA_NEW_ARRAY(&rq->arena, int64_t, m.partitions_count);
                rsp.ends_count = m.partitions_count;
                for (int32_t i = 0; rsp.ends && i < m.partitions_count; i++)
                        rsp.ends[i] = end_here(l, m.partitions[i].topic_id, m.partitions[i].index);
                r = rsp.ends ? PEER_ENCODE(&out, peer_log_ends_response, &rsp, rq->version, 0) : -ENOMEM;
        }
        if (r)
                peer_refuse(rq, r);
        else
                peer_answer(rq, &out);
}

int log_ends_register(struct txn_link *l)
{
        return peer_hub_register(
                l->hub, &(struct peer_service){ .key = PEER_LOG_ENDS_REQUEST_KEY, .request = serve, .arg = l });
}
