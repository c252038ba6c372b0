/* Requests in work and their answers: handed over one at a time or overlapping, answered in any order, sent in order.
 */
#include <errno.h>
#include <string.h>

#include "net/net_internal.h"

enum request_state { REQUEST_IN_WORK = 1, REQUEST_ANSWERED };

bool net_request_may_start(struct net_conn *c)
{
        const struct net_config *cfg = &c->reactor->server->cfg;

        if (c->state != CONN_OPEN || c->muted || net_send_is_full(c))
                return false;
        if (!c->requests_count) /* as on every outgoing connection */
                return true;
        /* Answers that wait for their turn count too: they are what a stuck first request would pile up. */
        return !c->barrier && c->frame_overlap && c->requests_count < cfg->overlap_max;
}

void net_request_start(struct net_conn *c)
{
        const struct net_config *cfg = &c->reactor->server->cfg;
        struct net_request *rq;

        if (c->dial) {
                net_dial_frame(c);
                return;
        }
        rq = malloc(cfg->ops.request_size); /* glibc's calloc passes by what the thread has ready */
        if (!rq) {
                net_conn_close(c, "no memory for a request", &c->reactor->counters.closed_error);
                return;
        }
        memset(rq, 0, cfg->ops.request_size);
        rq->conn = c;
        rq->frame = TAKE_PTR(c->frame);
        rq->body = span_of(rq->frame->data, rq->frame->size);
        rq->arrived_ns = c->frame_ns;
        rq->state = REQUEST_IN_WORK;
        rq->overlap = c->frame_overlap;
        c->head_len = 0;
        c->frame_got = 0;
        c->barrier = !rq->overlap;
        ilist_push_back(&c->requests, &rq->link);
        c->requests_count++;
        rq->patients = c->patient_count;
        c->patient_count = 0; /* unless the owner says otherwise: the next one is not to wait */
        counter_add(&c->reactor->counters.frames_in, 1);
        cfg->ops.request(cfg->owner, rq);
}

void net_request_hold(struct net_request *rq)
{
        rq->conn->barrier = true;
}

void net_request_set_patient(struct net_request *rq)
{
        assert(rq->state == REQUEST_IN_WORK);
        counter_add(&rq->conn->reactor->counters.frames_patient, 1);
        rq->conn->patient_count = (uint8_t)MIN2(rq->patients + 1, (int)NET_PATIENT_MIN);
}

void net_request_go_on(struct net_request *rq)
{
        struct net_conn *c = rq->conn;

        loop_assert_here(c->reactor->loop);
        assert(rq->state == REQUEST_IN_WORK && rq->link.next == &c->requests); /* none came after it */
        c->barrier = !rq->overlap;
        if (c->state != CONN_GONE)
                net_reactor_kick(c->reactor, c);
}

static void request_free(struct net_request *rq)
{
        struct net_conn *c = rq->conn;

        assert(c->requests_count);
        ilist_unlink(&rq->link);
        c->requests_count--;
        net_send_free(rq->send);
        iobuf_unref(rq->frame);
        free(rq);
}

void net_request_drop_answered(struct net_conn *c)
{
        ilist_for_each (rq, &c->requests, struct net_request, link)
                if (rq->state == REQUEST_ANSWERED)
                        request_free(rq);
}

void net_request_drop_all(struct net_conn *c)
{
        ilist_for_each (rq, &c->requests, struct net_request, link)
                request_free(rq);
}

/* Answers at the front of the order go to the send queue. */
static void request_advance(struct net_conn *c)
{
        struct net_request *rq;

        while ((rq = ilist_first(&c->requests, struct net_request, link)) && rq->state == REQUEST_ANSWERED) {
                if (rq->send)
                        net_send_queue(c, TAKE_PTR(rq->send));
                request_free(rq);
        }
}

static void request_answered(struct net_request *rq, struct net_send *send)
{
        struct net_conn *c = rq->conn;

        loop_assert_here(c->reactor->loop);
        assert(c->magic == NET_CONN_MAGIC);
        assert(rq->state == REQUEST_IN_WORK); /* answered exactly once */
        rq->state = REQUEST_ANSWERED;
        rq->send = send;
        rq->frame = iobuf_unref(rq->frame); /* its memory is of use to others at once */
        if (c->state == CONN_GONE) {
                net_conn_hold(c);
                request_free(rq);
                net_conn_release(c);
                return;
        }
        if (c->reactor->server->cfg.unordered) {
                if (send)
                        net_send_queue(c, TAKE_PTR(rq->send));
                request_free(rq);
        } else {
                request_advance(c);
        }
        net_reactor_kick(c->reactor, c);
}

void net_reply(struct net_request *rq, const struct net_piece *pieces, unsigned pieces_count)
{
        struct net_send *send;

        assert(pieces_count >= 1 && pieces_count <= 4096);
        send = net_send_new(pieces, pieces_count);
        if (send) {
                request_answered(rq, send);
                return;
        }
        for (unsigned i = 0; i < pieces_count; i++)
                if (pieces[i].release)
                        pieces[i].release(pieces[i].release_arg);
        net_reply_close(rq, "no memory for a response");
}

void net_reply_none(struct net_request *rq)
{
        request_answered(rq, NULL);
}

void net_reply_close(struct net_request *rq, const char *reason)
{
        struct net_conn *c = rq->conn;
        struct ilist *next;

        loop_assert_here(c->reactor->loop);
        if (c->state != CONN_GONE) {
                /* Answers that are to come after this one will not be sent: those that wait are released here, those
                 * in work find the connection gone. */
                for (struct ilist *at = rq->link.next; at != &c->requests; at = next) {
                        struct net_request *later = ilist_entry(at, struct net_request, link);

                        next = at->next;
                        if (later->state != REQUEST_ANSWERED)
                                continue;
                        net_send_free(TAKE_PTR(later->send));
                }
                net_conn_drain(c, reason);
        }
        request_answered(rq, NULL);
}
