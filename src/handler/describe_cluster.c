/* DescribeCluster (key 60): the brokers of this cluster. Source: KIP-700, KIP-919. */
#include "handler/authorize.h"
#include "handler/cluster_view.h"
#include "wire/messages.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static bool fill_brokers(struct rq *rq, bool with_fenced, struct describe_cluster_response *rsp)
{
        const struct meta_broker *b;
        int32_t count = 0;

        pmap_for_each (counting, b, &rq->image->brokers)
                count++;
        rsp->brokers = ARENA_NEW_ARRAY(&rq->arena, struct describe_cluster_response_broker, count);
        if (!rsp->brokers)
                return false;
        pmap_for_each (it, b, &rq->image->brokers) {
                const struct meta_endpoint *e = meta_broker_endpoint(b, str_of(net_conn_listener(rq->net.conn)));
                struct describe_cluster_response_broker *out;

                if (!e || (b->fenced && !with_fenced))
                        continue;
                out = &rsp->brokers[rsp->brokers_count++];
                describe_cluster_response_broker_init(out);
                out->broker_id = b->id;
                out->host = e->host;
                out->port = e->port;
                out->rack = b->rack;
                out->is_fenced = b->fenced;
        }
        return true;
}

void handler_describe_cluster(struct rq *rq)
{
        struct describe_cluster_request req;
        struct describe_cluster_response rsp;

        if (!RQ_DECODE(rq, describe_cluster_request, &req))
                return;
        describe_cluster_response_init(&rsp);
        if (req.include_cluster_authorized_operations)
                rsp.cluster_authorized_operations = authorized_cluster_operations(rq);
        if (req.endpoint_type != ENDPOINT_BROKERS) {
                rsp.error_code = req.endpoint_type == ENDPOINT_CONTROLLERS ? KERR_MISMATCHED_ENDPOINT_TYPE
                                                                           : KERR_UNSUPPORTED_ENDPOINT_TYPE;
                rsp.error_message =
                        RQ_TEXT(rq, "This listener serves brokers (endpoint type 1), not type %d.", req.endpoint_type);
                handler_count_error(rq, rsp.error_code);
        } else {
                if (!fill_brokers(rq, req.include_fenced_brokers, &rsp)) {
                        rq_close_nomem(rq);
                        return;
                }
                rsp.cluster_id = rq->image->cluster_id;
                rsp.controller_id = rsp.brokers_count ? rsp.brokers[0].broker_id : -1;
        }
        RQ_REPLY(rq, describe_cluster_response, &rsp);
}
