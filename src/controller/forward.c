/* Requests for an active controller that is another node: sent to it, and sent again while that is safe.
 *
 *   WAITING --a leader is known--> SENT --answered--> pending (controller.c) or answered
 *      ^                            |
 *      +--certainly not decided, or harmless to ask twice--+
 *   SENT to a node that does not lead any more --harmless to ask twice--> a new one is sent, the old one's answer means nothing
 *   either way: the time is up, or the node stops --> answered NOT_ACTIVE, or LOST when it may have been decided
 *
 * A forward that is SENT belongs to the hub until its call is done. */
#include <errno.h>
#include <stdio.h>

#include "controller/host.h"
#include "controller/marshal.h"
#include "peer/peer.h"
#include "sys/diag.h"

/* Longest time for one attempt: a controller that needs longer for an answer is as good as gone, and a node that stops waits as
 * long for those that are on their way. */
enum { TIMEOUT_MS = 30000, ATTEMPT_MS = 10000, AGAIN_MS = 50 };

struct controller_forward {
        struct ilist link;
        struct controller *c;
        struct controller_request *rq;
        struct peer_call call;
        struct loop_timer timer; /* to try again, or the end of the time */
        int64_t deadline_ms;
        bool sent;
        bool may_be_decided;
};

/* Asking twice does what asking once does, or no harm. */
static bool is_harmless_twice(const struct controller_request *rq)
{
        switch (rq->op) {
        case CONTROLLER_ALLOCATE_IDS: /* some ids are never used */
        case CONTROLLER_REGISTER_BROKER:
        case CONTROLLER_HEARTBEAT:
        case CONTROLLER_REPORT_LOSS:
        case CONTROLLER_ALTER_PARTITION: /* compare-and-set; the answer tells what is so now */
        case CONTROLLER_DRAIN_BROKER:
        case CONTROLLER_UNDRAIN_BROKER:
        case CONTROLLER_GUARD:
        case CONTROLLER_DISRUPTION:
                return true;
        default:
                return rq->validate_only;
        }
}

static void forward_end(struct controller_forward *f)
{
        ilist_unlink(&f->link);
        loop_timer_stop(&f->timer);
        controller_answer_soon(f->c);
        free(f);
}

static void forward_give_up(struct controller_forward *f)
{
        if (f->may_be_decided)
                controller_answer_whole(f->rq, CONTROLLER_E_LOST,
                                        "The active controller did not answer, and may have done what was asked.");
        else
                controller_answer_whole(f->rq, CONTROLLER_E_NOT_ACTIVE, "No active controller can be reached.");
        forward_end(f);
}

/* What was decided stands; its asker may still want to see it here. */
static void forward_answered(struct controller_forward *f)
{
        struct controller_request *rq = f->rq;

        rq->controller = f->c;
        rq->proposed = false;
        rq->decided_here = false;
        if (rq->wait_applied && !rq->result.outcome)
                controller_pend(f->c, rq);
        else
                controller_answer(rq);
        forward_end(f);
}

static void forward_try(struct controller_forward *f);

static void forward_timer_fired(struct loop_timer *t)
{
        forward_try(container_of(t, struct controller_forward, timer));
}

static void forward_later(struct controller_forward *f, int64_t ms)
{
        int64_t left = f->deadline_ms - loop_now_ms(f->c->loop);

        if (left <= 0 || f->c->stopping)
                forward_give_up(f);
        else
                loop_timer_start(&f->timer, MIN2(ms, left));
}

static void forward_done(struct peer_call *call)
{
        struct controller_forward *f = container_of(call, struct controller_forward, call);
        int r = call->outcome;

        f->sent = false;
        if (!f->rq) { /* another one was asked meanwhile */
                if (r == PEER_OK)
                        iobuf_unref(TAKE_PTR(call->frame));
                forward_end(f);
                return;
        }
        if (r == PEER_OK) {
                r = marshal_answer_read(call->body, f->rq, call->version);
                iobuf_unref(TAKE_PTR(call->frame));
                if (!r && f->rq->result.outcome != CONTROLLER_E_NOT_ACTIVE) {
                        forward_answered(f);
                        return;
                }
                if (r) {
                        diag(DIAG_WARN, "controller: node %d answered with what this program cannot read", call->node);
                        f->may_be_decided = true;
                }
        } else if (peer_outcome_may_be_done(r)) {
                f->may_be_decided = true;
        }
        if (f->may_be_decided && !is_harmless_twice(f->rq))
                forward_give_up(f);
        else
                forward_later(f, AGAIN_MS);
}

static int forward_send(struct controller_forward *f, int32_t leader)
{
        struct peer_call *call = &f->call;
        int64_t left = f->deadline_ms - loop_now_ms(f->c->loop);
        int r;

        *call = (struct peer_call){
                .node = leader,
                .lane = PEER_CONTROL,
                .key = CONTROLLER_PEER_KEY,
                .version = MARSHAL_VERSION,
                .timeout_ms = MAX2(MIN2(left, (int64_t)ATTEMPT_MS), (int64_t)1),
                .loop = f->c->loop,
                .done = forward_done,
        };
        r = peer_out_begin(&call->out, marshal_ask_size(f->rq, call->version), 0);
        if (r)
                return r;
        marshal_ask_write(f->rq, &call->out.w, call->version);
        f->sent = true;
        peer_call_submit(f->c->hub, call);
        return 0;
}

static void forward_try(struct controller_forward *f)
{
        struct controller *c = f->c;
        int32_t leader = c->leader_id;

        if (c->stopping || loop_now_ms(c->loop) >= f->deadline_ms) {
                forward_give_up(f);
        } else if (c->active) {
                controller_decide(c, f->rq);
                forward_end(f);
        } else if (leader == META_NO_NODE || leader == c->rules.node_id) {
                forward_later(f, INT64_MAX); /* controller_forward_retry() comes before */
        } else if (forward_send(f, leader)) {
                forward_later(f, AGAIN_MS);
        }
}

static struct controller_forward *forward_new(struct controller *c, struct controller_request *rq, int64_t deadline_ms)
{
        struct controller_forward *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->c = c;
        f->rq = rq;
        f->deadline_ms = deadline_ms;
        loop_timer_init(&f->timer, c->loop, forward_timer_fired);
        ilist_push_back(&c->forwards, &f->link);
        return f;
}

void controller_forward(struct controller *c, struct controller_request *rq)
{
        struct controller_forward *f =
                forward_new(c, rq, loop_now_ms(c->loop) + (rq->timeout_ms ? rq->timeout_ms : TIMEOUT_MS));

        if (f)
                forward_try(f);
        else
                controller_answer_whole(rq, CONTROLLER_E_NO_MEMORY, "This node has no memory for the request.");
}

/* @f is on its way to a node that does not lead any more, and may wait for a long time there for a connection. A call cannot be taken
 * back; the request goes on without it. */
static void forward_overtake(struct controller_forward *f)
{
        struct controller_forward *again;

        if (!f->rq || f->call.node == f->c->leader_id || f->c->stopping || !is_harmless_twice(f->rq))
                return;
        again = forward_new(f->c, f->rq, f->deadline_ms);
        if (!again)
                return;
        again->may_be_decided = true;
        f->rq = NULL;
        forward_try(again);
}

void controller_forward_retry(struct controller *c)
{
        struct ilist all;

        ilist_init(&all);
        ilist_splice_back(&all, &c->forwards);
        ilist_for_each (f, &all, struct controller_forward, link) {
                ilist_unlink(&f->link);
                ilist_push_back(&c->forwards, &f->link);
                if (f->sent) {
                        forward_overtake(f);
                        continue;
                }
                loop_timer_stop(&f->timer);
                forward_try(f);
        }
}

bool controller_forward_stop(struct controller *c)
{
        ilist_for_each (f, &c->forwards, struct controller_forward, link)
                if (!f->sent)
                        forward_give_up(f);
        return ilist_is_empty(&c->forwards);
}
