/* Incoming connections: hello first, then requests of the node that it named, each to its service. */
#include <stdio.h>

#include "base/bytes.h"
#include "peer/peer_internal.h"
#include "sys/clock.h"
#include "sys/diag.h"

enum {
        HELLO_ARENA_MAX = 64 * 1024,
        /* What a service may take for a request: its bytes decoded, and as much again to answer with. */
        ARENA_PER_FRAME_BYTE = 64,
        ARENA_LEN_MIN = 1 << 20,
};

/* ---- answers ---- */

static void in_release(struct peer_in *in)
{
        if (in->conn || !ilist_is_empty(&in->requests))
                return;
        ilist_unlink(&in->link);
        free(in);
}

/* On the reactor: answer and forget. The arena is not in use any more. */
static void answer_now(struct peer_request *rq, int status, struct peer_out *o)
{
        struct net_piece few[PEER_FEW_PIECES], *pieces;
        uint8_t *head = peer_out_head(o, PEER_ANSWER_HEAD_LEN);
        struct peer_in *in = rq->in;
        unsigned count;

        ilist_unlink(&rq->link);
        store_be32(head, (uint32_t)rq->correlation_id);
        store_be16(head + 4, (uint16_t)status);
        if (peer_out_cut(o, PEER_ANSWER_HEAD_LEN, few, &pieces, &count)) {
                peer_out_fini(o);
                net_reply_close(&rq->net, "out of memory");
        } else {
                o->buf = NULL; /* the connection's now */
                net_reply(&rq->net, pieces, count);
                if (pieces != few)
                        free(pieces);
        }
        in_release(in);
}

static void refuse_now(struct peer_request *rq, int status)
{
        struct peer_in *in = rq->in;
        struct peer_out o;

        if (!peer_out_begin(&o, 0, 0)) {
                answer_now(rq, status, &o);
                return;
        }
        ilist_unlink(&rq->link);
        net_reply_close(&rq->net, "out of memory");
        in_release(in);
}

static void on_answer(struct loop *l, struct mail *m)
{
        struct peer_request *rq = container_of(m, struct peer_request, mail);
        struct peer_out o = rq->out;

        if (o.buf)
                answer_now(rq, PEER_STATUS_DONE, &o);
        else
                refuse_now(rq, rq->status);
}

void peer_answer(struct peer_request *rq, struct peer_out *out)
{
        struct loop *l = net_conn_loop(rq->net.conn);

        peer_out_seal(out);
        arena_fini(&rq->arena);
        if (loop_current() == l) {
                answer_now(rq, PEER_STATUS_DONE, out);
                return;
        }
        rq->out = *out;
        out->buf = NULL;
        rq->mail.fn = on_answer;
        loop_post(l, &rq->mail);
}

void peer_refuse(struct peer_request *rq, int why)
{
        struct loop *l = net_conn_loop(rq->net.conn);
        int status = why == WIRE_E_MALFORMED ? PEER_STATUS_MALFORMED : PEER_STATUS_BUSY;

        assert(why == WIRE_E_MALFORMED || why < 0);
        arena_fini(&rq->arena);
        if (loop_current() == l) {
                refuse_now(rq, status);
                return;
        }
        rq->out.buf = NULL;
        rq->status = status;
        rq->mail.fn = on_answer;
        loop_post(l, &rq->mail);
}

/* ---- requests ---- */

static void close_malformed(struct peer_request *rq, const char *reason)
{
        struct peer_in *in = rq->in;

        diag_limited(DIAG_WARN, "a node's connection from %s is closed: %s", net_conn_peer(rq->net.conn), reason);
        ilist_unlink(&rq->link);
        arena_fini(&rq->arena);
        net_reply_close(&rq->net, reason);
        in_release(in);
}

static void on_probe(struct peer_request *rq)
{
        struct peer_probe_response m;
        struct peer_out o;

        peer_probe_response_init(&m);
        if (PEER_ENCODE(&o, peer_probe_response, &m, 0, 0))
                refuse_now(rq, PEER_STATUS_BUSY);
        else
                answer_now(rq, PEER_STATUS_DONE, &o); /* its arena is empty */
}

static const struct peer_service *service_find(const struct peer_hub *h, int16_t key, int16_t version)
{
        for (unsigned i = 0; i < h->services_count; i++)
                if (h->services[i].key == key && version >= h->services[i].version_min &&
                    version <= h->services[i].version_max)
                        return &h->services[i];
        return NULL;
}

static void on_known_request(struct peer_hub *h, struct peer_request *rq)
{
        if (rq->in->node)
                atomic_store_explicit(&rq->in->node->in_heard_ms, clock_mono_ms(), memory_order_relaxed);
        if (rq->key == PEER_KEY_PROBE) {
                on_probe(rq);
                return;
        }
        rq->service = service_find(h, rq->key, rq->version);
        if (!rq->service) {
                refuse_now(rq, PEER_STATUS_UNSUPPORTED);
                return;
        }
        atomic_fetch_add_explicit(&h->requests, 1, memory_order_relaxed);
        rq->service->request(rq->service->arg, rq);
}

/* Answer hello; @why: with a refusal, after which the connection closes. */
static void answer_hello(struct peer_request *rq, const struct peer_side *us, const char *why)
{
        struct net_conn *c = rq->net.conn;
        struct peer_out o;

        if (peer_hello_write_answer(&o, us, why)) {
                close_malformed(rq, "out of memory");
                return;
        }
        arena_fini(&rq->arena);
        answer_now(rq, PEER_STATUS_DONE, &o);
        if (*why)
                net_conn_hang_up(c, "refused");
}

static void refuse_hello(struct peer_request *rq, const struct peer_side *us, const char *why)
{
        atomic_fetch_add_explicit(&rq->hub->refused, 1, memory_order_relaxed);
        diag_limited(DIAG_WARN, "a node's connection from %s was refused: %s", net_conn_peer(rq->net.conn), why);
        answer_hello(rq, us, why);
}

static void on_hello(struct peer_hub *h, struct peer_request *rq)
{
        struct peer_in *in = rq->in;
        char why[PEER_TEXT_SIZE];
        struct peer_side us;
        int32_t to_node;
        int lane, r;

        if (rq->key != PEER_KEY_HELLO || rq->version != 0) {
                close_malformed(rq, "it does not begin with hello; is that a chronik node?");
                return;
        }
        r = peer_hello_read(rq->body, &rq->arena, &in->them, &to_node, &lane);
        if (r) {
                close_malformed(rq, r < 0 ? "out of memory" : "its hello is malformed; is that a chronik node?");
                return;
        }
        peer_hub_self(h, &us);
        if (to_node != us.id.node) {
                snprintf(why, sizeof why,
                         "node %d was called, and this is node %d; correct the address of node %d on node %d", to_node,
                         us.id.node, to_node, in->them.id.node);
                refuse_hello(rq, &us, why);
        } else if (!peer_hello_judge(&us, &in->them, in->proven, -1, h->conf.clock_apart_ms_max, why) ||
                   !peer_node_note_caller(h, &in->them, &in->node, why)) {
                refuse_hello(rq, &us, why);
        } else {
                in->greeted = true;
                net_conn_limit_frames(rq->net.conn, h->conf.frame_len_max);
                answer_hello(rq, &us, "");
        }
}

void peer_in_request(void *hub, struct net_request *net)
{
        struct peer_request *rq = container_of(net, struct peer_request, net);
        struct peer_hub *h = hub;

        rq->hub = h;
        rq->in = net_conn_user(net->conn);
        rq->peer = &rq->in->them.id;
        arena_init(&rq->arena, MAX2(net->body.len * ARENA_PER_FRAME_BYTE, (size_t)ARENA_LEN_MIN));
        ilist_init(&rq->link);
        ilist_push_back(&rq->in->requests, &rq->link);
        if (peer_request_head(net->body, &rq->key, &rq->version, &rq->correlation_id, &rq->body))
                close_malformed(rq, "a request is malformed");
        else if (!rq->in->greeted)
                on_hello(h, rq);
        else
                on_known_request(h, rq);
}

/* ---- connections ---- */

void peer_in_open(void *hub, struct net_conn *c)
{
        struct peer_hub *h = hub;
        struct peer_in *in = calloc(1, sizeof *in);

        if (!in) {
                net_conn_drop(c, "out of memory");
                return;
        }
        in->hub = h;
        in->conn = c;
        in->proven = peer_proven(c, h->conf.tls);
        ilist_init(&in->requests);
        ilist_push_back(&h->reactors[net_conn_reactor(c)].ins, &in->link);
        net_conn_limit_frames(c, PEER_HELLO_LEN_MAX);
        net_conn_set_user(c, in);
}

void peer_in_close(void *hub, struct net_conn *c, const char *reason)
{
        struct peer_in *in = net_conn_user(c);
        struct peer_hub *h = hub;

        if (!in)
                return;
        for (unsigned i = 0; i < h->services_count; i++)
                if (in->users[i] && h->services[i].closed)
                        h->services[i].closed(h->services[i].arg, &in->them.id, TAKE_PTR(in->users[i]));
        in->conn = NULL; /* not before: a service may have answered its last request just now, which would free @in */
        if (in->greeted)
                peer_node_note_gone(h, in->them.id.node);
        in_release(in);
}

void peer_in_check_cluster(struct peer_in *in)
{
        char why[PEER_TEXT_SIZE];
        struct peer_side us;

        if (!in->conn || !in->greeted)
                return;
        peer_hub_self(in->hub, &us);
        us.wall_ms = in->them.wall_ms; /* that was judged when it was new */
        if (peer_hello_judge(&us, &in->them, in->proven, -1, in->hub->conf.clock_apart_ms_max, why))
                return;
        diag_limited(DIAG_WARN, "a node's connection from %s is closed: %s", net_conn_peer(in->conn), why);
        net_conn_drop(in->conn, why);
}

void peer_in_free(struct peer_in *in)
{
        ilist_for_each (rq, &in->requests, struct peer_request, link) {
                ilist_unlink(&rq->link);
                arena_fini(&rq->arena);
                peer_out_fini(&rq->out);
        }
        ilist_unlink(&in->link);
        free(in);
}

/* ---- as the service sees it ---- */

void peer_request_detach(struct peer_request *rq)
{
        loop_assert_here(net_conn_loop(rq->net.conn));
        rq->body = SPAN_NULL;
        rq->net.body = SPAN_NULL;
        iobuf_unref(TAKE_PTR(rq->net.frame));
}

bool peer_request_is_gone(const struct peer_request *rq)
{
        return !rq->in->conn;
}

struct loop *peer_request_loop(const struct peer_request *rq)
{
        return net_conn_loop(rq->net.conn);
}

void *peer_request_user(const struct peer_request *rq)
{
        return rq->in->users[rq->service - rq->hub->services];
}

void peer_request_set_user(struct peer_request *rq, void *user)
{
        loop_assert_here(net_conn_loop(rq->net.conn));
        assert(rq->in->conn);
        rq->in->users[rq->service - rq->hub->services] = user;
}
