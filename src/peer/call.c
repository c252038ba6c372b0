/* Calls: from whoever asks to a link, to its connection, and back with one outcome.
 *
 * The hub counts a call in when it is submitted and out when its outcome is posted; a stop waits for the difference. */
#include <errno.h>

#include "base/bytes.h"
#include "peer/peer_internal.h"
#include "sys/clock.h"

enum { FLIGHT_BITS = 8 };
static_assert(PEER_FLIGHT_MAX == 1 << FLIGHT_BITS, "a correlation id holds the slot");

const char *peer_outcome_name(int outcome)
{
        static const char *const names[] = {
                [PEER_OK] = "done",
                [PEER_E_NO_ADDRESS] = "no address is known",
                [PEER_E_UNREACHABLE] = "not reachable",
                [PEER_E_REFUSED] = "the nodes do not accept each other",
                [PEER_E_FULL] = "too many calls wait",
                [PEER_E_UNSUPPORTED] = "not supported by the other node",
                [PEER_E_MALFORMED] = "not understood by the other node",
                [PEER_E_BUSY] = "the other node is out of memory",
                [PEER_E_STOPPED] = "stopping",
                [PEER_E_LOST] = "the connection was lost",
                [PEER_E_TIMEOUT] = "no answer in time",
        };

        if (outcome < 0)
                return "failed";
        return outcome < (int)ARRAY_LEN(names) ? names[outcome] : "unknown";
}

static void on_done(struct loop *l, struct mail *m)
{
        struct peer_call *call = container_of(m, struct peer_call, mail);

        call->done(call);
}

/* Nothing of @call may be touched afterwards. */
static void call_post(struct peer_call *call, int outcome)
{
        call->outcome = outcome;
        peer_out_fini(&call->out);
        call->mail.fn = on_done;
        loop_post(call->loop, &call->mail);
}

static void call_finish(struct peer_link *l, struct peer_call *call, int outcome)
{
        loop_timer_stop(&call->timer);
        ilist_unlink(&call->link);
        pthread_mutex_lock(&l->hub->lock);
        assert(l->info.calls && l->calls_bytes >= call->len);
        l->info.calls--;
        l->calls_bytes -= call->len;
        l->info.calls_failed += outcome != PEER_OK;
        pthread_mutex_unlock(&l->hub->lock);
        call_post(call, outcome);
}

/* ---- in flight ---- */

static int flight_slot(int32_t id)
{
        return id & (PEER_FLIGHT_MAX - 1);
}

static void flight_add(struct peer_link *l, struct peer_call *call)
{
        while (l->flight_ids[l->flight_at] >= 0)
                l->flight_at = (l->flight_at + 1) % PEER_FLIGHT_MAX;
        l->flight_seq = (l->flight_seq + 1) & (INT32_MAX >> FLIGHT_BITS);
        call->correlation_id = (int32_t)(l->flight_seq << FLIGHT_BITS | l->flight_at);
        l->flight_ids[l->flight_at] = call->correlation_id;
        l->flight[l->flight_at] = call;
        l->flight_count++;
}

static void flight_remove(struct peer_link *l, int slot)
{
        assert(l->flight_count);
        l->flight_ids[slot] = -1;
        l->flight[slot] = NULL;
        l->flight_count--;
}

int peer_send(struct peer_link *l, int16_t key, int16_t version, int32_t id, struct peer_out *o)
{
        struct net_piece few[PEER_FEW_PIECES], *pieces;
        uint8_t *head = peer_out_head(o, PEER_REQUEST_HEAD_LEN);
        unsigned count;
        int r;

        store_be16(head, (uint16_t)key);
        store_be16(head + 2, (uint16_t)version);
        store_be32(head + 4, (uint32_t)id);
        r = peer_out_cut(o, PEER_REQUEST_HEAD_LEN, few, &pieces, &count);
        if (!r) {
                r = net_conn_send(l->conn, pieces, count);
                if (pieces != few)
                        free(pieces);
        }
        if (r)
                peer_out_fini(o);
        o->buf = NULL; /* the connection's now */
        return r;
}

void peer_calls_pump(struct peer_link *l)
{
        while (l->state == LINK_UP && l->flight_count < PEER_FLIGHT_MAX) {
                struct peer_call *call = ilist_first(&l->queued, struct peer_call, link);
                int r;

                if (!call)
                        return;
                ilist_unlink(&call->link);
                flight_add(l, call);
                r = peer_send(l, call->key, call->version, call->correlation_id, &call->out);
                if (!r) {
                        call->sent = true;
                        continue;
                }
                flight_remove(l, flight_slot(call->correlation_id));
                if (r == -ENOTCONN) { /* it is about to be reported as closed; whoever is left waits for the next one */
                        call_finish(l, call, PEER_E_UNREACHABLE);
                        return;
                }
                call_finish(l, call, r);
        }
}

static int outcome_of(int16_t status)
{
        switch (status) {
        case PEER_STATUS_DONE:
                return PEER_OK;
        case PEER_STATUS_UNSUPPORTED:
                return PEER_E_UNSUPPORTED;
        case PEER_STATUS_MALFORMED:
                return PEER_E_MALFORMED;
        case PEER_STATUS_BUSY:
                return PEER_E_BUSY;
        default:
                return PEER_E_REFUSED;
        }
}

bool peer_calls_answer(struct peer_link *l, int32_t id, int16_t status, struct iobuf *frame, struct span body)
{
        int slot = flight_slot(id), outcome = outcome_of(status);
        struct peer_call *call = l->flight[slot];

        if (l->flight_ids[slot] != id)
                return false;
        flight_remove(l, slot);
        if (!call) { /* it was given up */
                iobuf_unref(frame);
        } else if (outcome == PEER_OK) {
                call->frame = frame;
                call->body = body;
                call_finish(l, call, outcome);
        } else {
                iobuf_unref(frame);
                call_finish(l, call, outcome);
        }
        peer_calls_pump(l);
        return true;
}

void peer_calls_lost(struct peer_link *l)
{
        for (int i = 0; i < PEER_FLIGHT_MAX && l->flight_count; i++) {
                struct peer_call *call = l->flight[i];

                if (l->flight_ids[i] < 0)
                        continue;
                flight_remove(l, i);
                if (call)
                        call_finish(l, call, PEER_E_LOST);
        }
}

void peer_calls_fail_queued(struct peer_link *l, int outcome)
{
        ilist_for_each (call, &l->queued, struct peer_call, link)
                call_finish(l, call, outcome);
}

static void on_time_out(struct loop_timer *t)
{
        struct peer_call *call = container_of(t, struct peer_call, timer);
        struct peer_link *l = call->to;

        if (call->sent)
                l->flight[flight_slot(call->correlation_id)] = NULL; /* its place stays taken until the answer comes */
        call_finish(l, call, call->sent ? PEER_E_TIMEOUT : PEER_E_UNREACHABLE);
}

/* ---- submit ---- */

static void on_submit(struct loop *loop, struct mail *m)
{
        struct peer_call *call = container_of(m, struct peer_call, mail);
        struct peer_link *l = call->to;
        int64_t left_ms = call->deadline_ms - clock_mono_ms();

        loop_timer_init(&call->timer, loop, on_time_out);
        if (l->stopped || left_ms <= 0) {
                call_finish(l, call, l->stopped ? PEER_E_STOPPED : PEER_E_UNREACHABLE);
                peer_link_check_stopped(l);
                return;
        }
        loop_timer_start(&call->timer, left_ms);
        ilist_push_back(&l->queued, &call->link);
        if (l->state == LINK_UP)
                peer_calls_pump(l);
        else
                peer_link_want(l);
}

/* With the lock held: count it in, or say why not. */
static int call_admit(struct peer_hub *h, struct peer_call *call)
{
        struct peer_node *n = h->started && !h->stopping ? peer_node_find(h, call->node) : NULL;
        struct peer_link *l;

        if (!h->started || h->stopping)
                return PEER_E_STOPPED;
        if (!n || !*n->address)
                return PEER_E_NO_ADDRESS;
        l = &n->links[call->lane];
        l->info.calls_total++;
        if (l->info.calls >= h->conf.calls_max ||
            (l->info.calls &&
             (l->calls_bytes > h->conf.calls_bytes_max || call->len > h->conf.calls_bytes_max - l->calls_bytes))) {
                l->info.calls_failed++;
                return PEER_E_FULL;
        }
        l->info.calls++;
        l->calls_bytes += call->len;
        call->to = l;
        return PEER_OK;
}

void peer_call_submit(struct peer_hub *h, struct peer_call *call)
{
        int r;

        assert(call->out.buf && call->done && call->timeout_ms > 0 && call->lane < PEER_LANES_COUNT);
        call->frame = NULL;
        call->body = SPAN_NULL;
        call->sent = false;
        peer_out_seal(&call->out);
        call->len = peer_out_len(&call->out);
        call->deadline_ms = clock_mono_ms() + call->timeout_ms;
        ilist_init(&call->link);
        pthread_mutex_lock(&h->lock);
        r = call_admit(h, call);
        if (!r) { /* within the lock: a stop that begins now finds the call counted, and calls of one thread stay in
                     order */
                call->mail.fn = on_submit;
                loop_post(call->to->loop, &call->mail);
        }
        pthread_mutex_unlock(&h->lock);
        if (r)
                call_post(call, r);
}
