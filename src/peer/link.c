/* The outgoing connection of one lane to one node.
 *
 *   IDLE --a call waits--> RESOLVE --> CONNECT --> HELLO --accepted--> UP
 *    ^                        |           |          |                  |
 *    |                        `-----------+----------+--- it failed ----'--> BACK_OFF --time--> IDLE, or RESOLVE when
 * calls wait
 *    `--- the address was taken away (from every state)
 *
 * Invariants:
 * 1. Everything but what hub->lock guards is touched on the link's loop only.
 * 2. A call in `flight` was handed to the connection that is there; when that goes, so do they. A call in `queued` was
 * never sent.
 * 3. When an attempt fails, the calls that waited for it fail with it. When an open connection is lost, those that were
 * not sent wait for the next attempt. */
#include <errno.h>
#include <stdio.h>

#include "peer/peer_internal.h"
#include "sys/clock.h"
#include "sys/diag.h"

enum {
        BACK_OFF_MS_MIN = 50,
        STEADY_MS = 1000, /* a connection that lasted so long lets the next attempt begin anew */
        TICKS = 12,       /* looks for silence in the time that it may last */
        FRAME_ARENA_MAX = 64 * 1024,
};

static void link_begin(struct peer_link *l);

/* Add what the connection carried since the last look. */
static void note_bytes(struct peer_link *l)
{
        uint64_t in, out;

        net_conn_bytes(l->conn, &in, &out);
        pthread_mutex_lock(&l->hub->lock);
        l->info.bytes_in += in - l->bytes_in_noted;
        l->info.bytes_out += out - l->bytes_out_noted;
        pthread_mutex_unlock(&l->hub->lock);
        l->bytes_in_noted = in;
        l->bytes_out_noted = out;
}

static void tell_watches(struct peer_link *l, bool up)
{
        struct peer_hub *h = l->hub;

        pthread_mutex_lock(&h->lock);
        l->info.up = up;
        l->info.since_ms = clock_wall_ms();
        l->info.connects_total += up;
        pthread_mutex_unlock(&h->lock);
        for (unsigned i = 0; i < h->watches_count; i++)
                h->watches[i].link(h->watches[i].arg, &l->them.id, l->lane, up);
}

/* Half of the time is chance, so that nodes that lost each other at once do not meet again all at once. */
static void back_off(struct peer_link *l)
{
        int64_t ms = l->back_off_ms;

        l->state = LINK_BACK_OFF;
        l->back_off_ms = MIN2(2 * ms, l->hub->conf.back_off_ms_max);
        loop_timer_start(&l->timer, ms / 2 + (int64_t)(random_u64() % (uint64_t)(ms / 2 + 1)));
}

/* An attempt has failed, or the connection is gone. */
static void link_failed(struct peer_link *l, const char *why)
{
        bool was_up = l->state == LINK_UP;

        loop_timer_stop(&l->timer);
        l->conn = NULL;
        if (l->stopped) {
                l->state = LINK_IDLE;
        } else {
                if (was_up && loop_now_ms(l->loop) - l->up_ms >= STEADY_MS)
                        l->back_off_ms = BACK_OFF_MS_MIN;
                back_off(l);
                if (!l->quiet)
                        peer_node_note_error(l->hub, l->node->id, why);
        }
        if (was_up)
                tell_watches(l, false);
        peer_calls_lost(l);
        if (!was_up)
                peer_calls_fail_queued(l, l->refused ? PEER_E_REFUSED : PEER_E_UNREACHABLE);
        peer_link_check_stopped(l);
}

void peer_link_end(struct peer_link *l, const char *why)
{
        if (l->conn)
                net_conn_drop(l->conn, why); /* on_close() does the rest */
}

/* The nodes do not accept each other. */
static void link_refused(struct peer_link *l, const char *why)
{
        l->refused = true;
        atomic_fetch_add_explicit(&l->hub->refused, 1, memory_order_relaxed);
        peer_link_end(l, why);
}

/* ---- silence ---- */

static void probe(struct peer_link *l)
{
        struct peer_probe_request m;
        struct peer_out o;

        peer_probe_request_init(&m);
        if (PEER_ENCODE(&o, peer_probe_request, &m, 0, 0))
                return; /* the next look tries again */
        if (peer_send(l, PEER_KEY_PROBE, 0, PEER_ID_PROBE, &o))
                return;
        l->probing = true;
        l->probe_ms = loop_now_ms(l->loop);
}

static void look_for_silence(struct peer_link *l)
{
        int64_t max_ms = l->hub->conf.silence_ms_max, alive_ms = net_conn_alive_ms(l->conn);
        int64_t now_ms = loop_now_ms(l->loop);
        int64_t quiet_ms = l->flight_count ? max_ms / 3 : max_ms;
        char why[PEER_TEXT_SIZE];

        note_bytes(l);
        if (l->probing && alive_ms >= l->probe_ms)
                l->probing = false;
        if (l->probing && now_ms - l->probe_ms >= max_ms / 3 && now_ms - alive_ms >= max_ms) {
                snprintf(why, sizeof why, "nothing came from it for %lld ms, not even an answer to a probe",
                         (long long)(now_ms - alive_ms));
                peer_link_end(l, why);
                return;
        }
        if (!l->probing && now_ms - alive_ms >= quiet_ms)
                probe(l);
        loop_timer_start(&l->timer, MAX2(max_ms / TICKS, (int64_t)1));
}

/* ---- hello ---- */

static void send_hello(struct peer_link *l)
{
        struct peer_side us;
        struct peer_out o;
        int r;

        peer_hub_self(l->hub, &us);
        r = peer_hello_write(&o, &us, l->node->id, l->lane);
        if (!r)
                r = peer_send(l, PEER_KEY_HELLO, 0, PEER_ID_HELLO, &o);
        if (r)
                peer_link_end(l, "out of memory");
}

static void link_up(struct peer_link *l)
{
        loop_timer_stop(&l->timer);
        l->state = LINK_UP;
        net_conn_limit_frames(l->conn, l->hub->conf.frame_len_max);
        l->refused = l->probing = false;
        l->up_ms = loop_now_ms(l->loop);
        peer_node_note_hello(l->hub, &l->them);
        tell_watches(l, true);
        loop_timer_start(&l->timer, MAX2(l->hub->conf.silence_ms_max / TICKS, (int64_t)1));
        peer_calls_pump(l);
}

static void on_hello_answer(struct peer_link *l, struct span body)
{
        char why[PEER_TEXT_SIZE], refusal[PEER_TEXT_SIZE];
        struct peer_side us;
        struct arena arena;
        int r;

        arena_init(&arena, FRAME_ARENA_MAX);
        r = peer_hello_read_answer(body, &arena, &l->them, refusal);
        arena_fini(&arena);
        if (r) {
                peer_link_end(l, r < 0 ? "out of memory" : "its answer to hello is malformed; is that a chronik node?");
                return;
        }
        peer_hub_self(l->hub, &us);
        if (*refusal) {
                snprintf(why, sizeof why, "it refuses this node: %.480s", refusal);
                link_refused(l, why);
        } else if (!peer_hello_judge(&us, &l->them, l->proven, l->node->id, l->hub->conf.clock_apart_ms_max, why)) {
                link_refused(l, why);
        } else {
                link_up(l);
        }
}

void peer_link_check_cluster(struct peer_link *l)
{
        char why[PEER_TEXT_SIZE];
        struct peer_side us;

        if (l->state != LINK_UP)
                return;
        peer_hub_self(l->hub, &us);
        us.wall_ms = l->them.wall_ms; /* that was judged when it was new */
        if (!peer_hello_judge(&us, &l->them, l->proven, l->node->id, l->hub->conf.clock_apart_ms_max, why))
                link_refused(l, why);
}

/* ---- the connection ---- */

static void on_open(void *arg, struct net_conn *c)
{
        struct peer_link *l = arg;

        l->conn = c; /* also when net_dial() has not returned yet */
        l->state = LINK_HELLO;
        l->proven = peer_proven(c, l->hub->conf.tls);
        loop_timer_start(&l->timer, l->hub->conf.connect_ms_max);
        send_hello(l);
}

static void on_frame(void *arg, struct net_conn *c, struct iobuf *frame)
{
        struct peer_link *l = arg;
        struct span body;
        int16_t status;
        int32_t id;

        if (peer_answer_head(span_of(frame->data, frame->size), &id, &status, &body)) {
                peer_link_end(l, "an answer of it is malformed; is that a chronik node?");
        } else if (l->state == LINK_HELLO) {
                if (id != PEER_ID_HELLO || status)
                        peer_link_end(l, "it does not answer hello; is that a chronik node?");
                else
                        on_hello_answer(l, body);
        } else if (id == PEER_ID_PROBE && !body.len) {
                l->probing = false;
        } else if (id >= 0 && peer_calls_answer(l, id, status, frame, body)) {
                return; /* the frame is the call's now */
        } else if (id != PEER_ID_PROBE && l->conn) {
                peer_link_end(l, "it answers what was not asked");
        }
        iobuf_unref(frame);
}

static void on_close(void *arg, struct net_conn *c, const char *reason)
{
        struct peer_link *l = arg;
        char why[PEER_TEXT_SIZE];

        snprintf(why, sizeof why, "%s%s", reason,
                 l->state == LINK_HELLO && !l->refused && !l->hub->conf.tls
                         ? ", before it answered hello; it may expect TLS"
                         : "");
        l->conn = c; /* also when net_dial() has not returned yet */
        note_bytes(l);
        if (net_conn_is_refused(c)) {
                l->refused = true;
                atomic_fetch_add_explicit(&l->hub->refused, 1, memory_order_relaxed);
        }
        link_failed(l, why);
}

static void on_timer(struct loop_timer *t)
{
        struct peer_link *l = container_of(t, struct peer_link, timer);

        if (l->state == LINK_UP) {
                look_for_silence(l);
        } else if (l->state == LINK_HELLO) {
                peer_link_end(l, "it does not answer hello in time");
        } else {
                assert(l->state == LINK_BACK_OFF);
                l->state = LINK_IDLE;
                if (!ilist_is_empty(&l->queued))
                        link_begin(l);
        }
}

static void link_dial(struct peer_link *l)
{
        struct net_dial d = { .address = l->resolved[l->attempts++ % l->resolved_count],
                              .tls = l->hub->conf.tls,
                              .frame_len_max = PEER_HELLO_LEN_MAX,
                              .open = on_open,
                              .frame = on_frame,
                              .close = on_close,
                              .arg = l };
        struct net_conn *c;
        char why[128];
        int r;

        l->state = LINK_CONNECT;
        l->refused = false;
        l->bytes_in_noted = l->bytes_out_noted = 0;
        r = net_dial(l->hub->server, l->reactor, &d, &c);
        if (r) {
                snprintf(why, sizeof why, "cannot connect: %s", strerrordesc_np(-r));
                link_failed(l, why);
        } else if (l->state == LINK_CONNECT) {
                l->conn = c;
        }
}

/* ---- the address ---- */

static void link_resolved(struct peer_link *l, int r)
{
        char why[PEER_TEXT_SIZE];

        if (!r || (r == -EAGAIN && l->resolved_count)) { /* where it was before is better than nowhere */
                link_dial(l);
                return;
        }
        if (r == -ENOENT)
                snprintf(why, sizeof why, "there is no host of the name in \"%s\"; correct it, or the name service",
                         l->address);
        else if (r == -EINVAL)
                snprintf(why, sizeof why, "\"%s\" has to be numbers here", l->address);
        else
                snprintf(why, sizeof why, "the name in \"%s\" cannot be looked up: %s", l->address,
                         strerrordesc_np(-r));
        link_failed(l, why);
}

static int look_up(struct peer_link *l, bool numeric_only)
{
        char host[SOCK_HOST_SIZE];
        uint16_t port;
        int r = sock_split_host_port(l->address, host, &port);

        return r ? r : sock_resolve(host, port, numeric_only, l->resolved, &l->resolved_count);
}

static void resolve_run(struct io_job *job)
{
        struct peer_link *l = container_of(job, struct peer_link, resolve);

        l->resolve_r = look_up(l, false);
}

static void resolve_done(struct io_job *job)
{
        struct peer_link *l = container_of(job, struct peer_link, resolve);

        assert(l->state == LINK_RESOLVE);
        l->resolving = false;
        if (!l->stopped && !l->stale) {
                link_resolved(l, l->resolve_r);
                return;
        }
        l->state = LINK_IDLE;
        if (!ilist_is_empty(&l->queued)) /* for the new address; a link that is stopped has none */
                link_begin(l);
        peer_link_check_stopped(l);
}

static void link_begin(struct peer_link *l)
{
        int r;

        assert(l->state == LINK_IDLE && !l->conn);
        pthread_mutex_lock(&l->hub->lock);
        if (strcmp(l->address, l->node->address))
                l->resolved_count = 0;
        memcpy(l->address, l->node->address, sizeof l->address);
        pthread_mutex_unlock(&l->hub->lock);
        if (!*l->address) {
                peer_calls_fail_queued(l, PEER_E_NO_ADDRESS);
                return;
        }
        l->state = LINK_RESOLVE;
        l->stale = false;
        r = look_up(l, true);
        if (r != -EINVAL || !l->hub->names) {
                link_resolved(l, r);
                return;
        }
        l->resolving = true;
        l->resolve = (struct io_job){ .run = resolve_run, .done = resolve_done, .reply_loop = l->loop };
        iopool_submit(l->hub->names, &l->resolve);
}

void peer_link_want(struct peer_link *l)
{
        if (l->state == LINK_IDLE)
                link_begin(l);
}

static void on_address(struct loop *loop, struct mail *m)
{
        struct peer_link *l = container_of(m, struct peer_link, address_mail);
        bool same, none;

        pthread_mutex_lock(&l->hub->lock);
        l->address_posted = false;
        same = !strcmp(l->address, l->node->address);
        none = !*l->node->address;
        pthread_mutex_unlock(&l->hub->lock);
        if (l->stopped)
                return;
        if (none)
                peer_calls_fail_queued(l, PEER_E_NO_ADDRESS);
        l->stale = !same; /* an answer that the name service is about to give */
        l->quiet = true;
        if (!same && l->conn)
                peer_link_end(l, "its address was changed");
        l->quiet = false;
        if (l->state == LINK_BACK_OFF) { /* the new one deserves an attempt at once */
                loop_timer_stop(&l->timer);
                l->back_off_ms = BACK_OFF_MS_MIN;
                l->state = LINK_IDLE;
                if (!ilist_is_empty(&l->queued))
                        link_begin(l);
        }
}

/* ---- life ---- */

void peer_link_check_stopped(struct peer_link *l)
{
        bool calls;

        if (!l->stopped || l->stop_reported || l->resolving || l->conn)
                return;
        pthread_mutex_lock(&l->hub->lock);
        calls = l->info.calls;
        pthread_mutex_unlock(&l->hub->lock);
        if (calls)
                return; /* their mail is on its way here */
        l->stop_reported = true;
        peer_hub_link_stopped(l->hub);
}

static void on_stop(struct loop *loop, struct mail *m)
{
        struct peer_link *l = container_of(m, struct peer_link, stop_mail);

        l->stopped = true;
        peer_calls_fail_queued(l, PEER_E_STOPPED);
        if (l->conn) {
                peer_link_end(l, "stopping");
        } else if (l->state == LINK_BACK_OFF) {
                loop_timer_stop(&l->timer);
                l->state = LINK_IDLE;
        }
        peer_link_check_stopped(l);
}

void peer_link_init(struct peer_link *l, struct peer_node *n, struct peer_hub *h, enum peer_lane lane)
{
        l->hub = h;
        l->node = n;
        l->lane = lane;
        l->reactor = ((unsigned)n->id + (unsigned)lane) % h->conf.reactors_count;
        l->loop = net_server_loop(h->server, l->reactor);
        l->back_off_ms = BACK_OFF_MS_MIN;
        ilist_init(&l->queued);
        for (unsigned i = 0; i < PEER_FLIGHT_MAX; i++)
                l->flight_ids[i] = -1;
        loop_timer_init(&l->timer, l->loop, on_timer);
        l->address_mail.fn = on_address;
        l->stop_mail.fn = on_stop;
}
