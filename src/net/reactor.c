/* A loop with its connections: who is to be looked at, who has been silent or stuck for too long, the stop. */
#include <errno.h>
#include <stdio.h>

#include "net/net_internal.h"

enum { SWEEP_MS_MIN = 20, SWEEP_MS_MAX = 1000, WAIT_FACTOR = 4 };

/* Those who come now have their own mail. */
static void turn_all(struct ilist *list)
{
        struct ilist now = ILIST_INIT(now);
        struct ilist *node;

        ilist_splice_back(&now, list);
        while ((node = ilist_pop_front(&now)))
                net_conn_turn(ilist_entry(node, struct net_conn, ready_link));
}

static void on_ready(struct loop *l, struct mail *m)
{
        struct net_reactor *r = container_of(m, struct net_reactor, ready_mail);

        (void)l;
        r->ready_posted = false;
        turn_all(&r->ready);
}

static void on_yielded(struct loop *l, struct mail *m)
{
        struct net_reactor *r = container_of(m, struct net_reactor, yielded_mail);

        (void)l;
        r->yielded_posted = false;
        turn_all(&r->yielded);
}

void net_reactor_kick(struct net_reactor *r, struct net_conn *c)
{
        if (c->state == CONN_GONE || !ilist_is_empty(&c->ready_link))
                return;
        ilist_push_back(&r->ready, &c->ready_link);
        if (!r->ready_posted) {
                r->ready_posted = true;
                loop_post(r->loop, &r->ready_mail);
        }
}

void net_reactor_yield(struct net_reactor *r, struct net_conn *c)
{
        if (c->state == CONN_GONE || !ilist_is_empty(&c->ready_link))
                return;
        ilist_push_back(&r->yielded, &c->ready_link);
        if (!r->yielded_posted) {
                r->yielded_posted = true;
                loop_post_later(r->loop, &r->yielded_mail);
        }
}

static void sweep_idle(struct net_reactor *r, int64_t now_ms)
{
        int64_t idle_ms = r->server->cfg.idle_ms_max;

        ilist_for_each (c, &r->conns, struct net_conn, link) {
                if (now_ms - c->active_ms < idle_ms)
                        break;
                if (!c->requests_count && !c->sends_count && c->state != CONN_NEW) {
                        net_conn_close(c, "idle", &r->counters.closed_idle);
                        continue;
                }
                c->active_ms = now_ms; /* it waits for us, not we for it */
                ilist_unlink(&c->link);
                ilist_push_back(&r->conns, &c->link);
        }
}

/* Of one that is not open yet. Those that wait for their handshake wait for others, who each have their whole time. */
static void sweep_opening(struct net_reactor *r, struct net_conn *c, int64_t now_ms)
{
        int64_t ms = r->server->cfg.open_ms_max * (c->state == CONN_WAIT ? WAIT_FACTOR : 1);
        bool counted = c->dial || (c->tls && net_tls_is_refused(c));

        if (now_ms - c->partial_ms < ms)
                return;
        if (c->state == CONN_CONNECT)
                net_conn_close(c, "no connection came about in time", NULL);
        else
                net_conn_close(c, "the TLS handshake took too long", counted ? NULL : &r->counters.closed_tls);
}

static void sweep_stalled(struct net_reactor *r, int64_t now_ms)
{
        int64_t stall_ms = r->server->cfg.stall_ms_max;

        ilist_for_each (c, &r->partials, struct net_conn, partial_link) {
                if (c->state < CONN_OPEN)
                        sweep_opening(r, c, now_ms);
                else if (c->state == CONN_DRAIN && now_ms - c->partial_ms >= stall_ms)
                        net_conn_close(c, "an answer took too long for a connection that is to close",
                                       &r->counters.closed_stalled);
                else if (c->state == CONN_OPEN && net_read_is_stalled(c, now_ms))
                        net_conn_close(c, "a request stopped in the middle", &r->counters.closed_stalled);
        }
        ilist_for_each (c, &r->senders, struct net_conn, sender_link)
                if (!c->dial && now_ms - c->progress_ms >= stall_ms)
                        net_conn_close(c, "the peer takes no answers", &r->counters.closed_stalled);
}

static int64_t sweep_period(const struct net_reactor *r)
{
        int64_t ms = MIN2(r->server->cfg.idle_ms_max, r->server->cfg.stall_ms_max);

        ms = MIN2(ms, r->server->cfg.hurry_ms_max);
        if (r->server->cfg.open_ms_max)
                ms = MIN2(ms, r->server->cfg.open_ms_max);
        ms /= 4;
        ms = MIN2(ms, (int64_t)SWEEP_MS_MAX);
        return MAX2(ms, (int64_t)SWEEP_MS_MIN);
}

static void on_sweep(struct loop_timer *t)
{
        struct net_reactor *r = container_of(t, struct net_reactor, sweep);
        int64_t now_ms = loop_now_ms(r->loop);

        sweep_idle(r, now_ms);
        sweep_stalled(r, now_ms);
        loop_timer_start(&r->sweep, sweep_period(r));
}

void net_reactor_check_stopped(struct net_reactor *r)
{
        struct net_server *s = r->server;

        if (!r->stopping || r->conns_count || r->warms_count || r->stop_reported)
                return;
        r->stop_reported = true;
        loop_timer_stop(&r->deadline);
        if (atomic_fetch_sub(&s->reactors_left, 1) == 1)
                loop_post(s->stop_loop, s->stop_done);
}

static void on_deadline(struct loop_timer *t)
{
        struct net_reactor *r = container_of(t, struct net_reactor, deadline);

        ilist_for_each (c, &r->conns, struct net_conn, link)
                net_conn_close(c, "stopping", NULL);
}

static void on_stop(struct loop *l, struct mail *m)
{
        struct net_reactor *r = container_of(m, struct net_reactor, stop_mail);
        struct net_server *s = r->server;

        (void)l;
        r->stopping = true;
        for (unsigned i = 0; i < s->listeners_count; i++)
                if (s->listeners[i]->reactor == r)
                        net_listener_close(s->listeners[i]);
        ilist_for_each (c, &r->conns, struct net_conn, link)
                net_conn_hang_up(c, "stopping");
        ilist_for_each (c, &r->dials, struct net_conn, link)
                net_conn_close(c, "stopping", NULL);
        loop_timer_start(&r->deadline, s->stop_timeout_ms);
        net_reactor_check_stopped(r);
}

static void on_start(struct loop *l, struct mail *m)
{
        struct net_reactor *r = container_of(m, struct net_reactor, start_mail);

        (void)l;
        loop_timer_start(&r->sweep, sweep_period(r));
}

int net_reactor_init(struct net_reactor *r, struct net_server *s, unsigned number)
{
        char name[16];
        int e;

        r->magic = NET_REACTOR_MAGIC;
        r->number = number;
        r->server = s;
        ilist_init(&r->conns);
        ilist_init(&r->dials);
        ilist_init(&r->partials);
        ilist_init(&r->shake_waits);
        ilist_init(&r->senders);
        ilist_init(&r->ready);
        ilist_init(&r->yielded);
        ilist_init(&r->gone);
        r->ready_mail.fn = on_ready;
        r->yielded_mail.fn = on_yielded;
        r->start_mail.fn = on_start;
        r->stop_mail.fn = on_stop;
        r->scratch = malloc(SCRATCH_LEN);
        if (!r->scratch)
                return -ENOMEM;
        snprintf(name, sizeof name, "%s-%u", s->cfg.name ? s->cfg.name : "net", number);
        e = loop_new(name, &r->loop);
        if (e)
                return e;
        loop_timer_init(&r->sweep, r->loop, on_sweep);
        loop_timer_init(&r->deadline, r->loop, on_deadline);
        loop_post(r->loop, &r->start_mail);
        return loop_start_thread(r->loop);
}

void net_reactor_fini(struct net_reactor *r)
{
        if (!r->magic)
                return; /* the server failed before it came to this one */
        if (r->loop) {
                loop_stop(r->loop);
                loop_join(r->loop);
        }
        ilist_for_each (c, &r->gone, struct net_conn, link) {
                net_request_drop_all(c);
                net_conn_free_gone(c);
        }
        r->loop = loop_free(r->loop);
        free(TAKE_PTR(r->scratch));
        free(TAKE_PTR(r->tls_out));
}
