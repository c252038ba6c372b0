/* One connection's life.
 *
 *   NEW --start mail, its delay-------> OPEN --net_conn_drain()--> DRAIN --all sent--> GONE
 *    |  \                               /                                               ^
 *    |   `--with TLS--> WAIT --> SHAKE-'          net_conn_close(), from every state ---'
 *    `--net_dial()----> CONNECT -^--> OPEN
 *
 * GONE connections stay in memory while a request is in work or mail is on its way (holds). */
#include <errno.h>

#include "net/net_internal.h"
#include "sys/file.h"

void net_conn_release(struct net_conn *c)
{
        assert(c->holds);
        if (--c->holds || c->requests_count || c->state != CONN_GONE)
                return;
        net_conn_free_gone(c);
}

void net_conn_free_gone(struct net_conn *c)
{
        ilist_unlink(&c->link);
        c->magic = 0;
        free(c->dial);
        free(c);
}

/* Its place in the limits, and its owner. */
static void tell_closed(struct net_conn *c, const char *reason)
{
        struct net_server *s = c->reactor->server;
        uint8_t key[16];

        if (c->dial) {
                c->dial->close(c->dial->arg, c, reason);
                return;
        }
        atomic_fetch_sub_explicit(&c->reactor->counters.connections_open, 1, memory_order_relaxed);
        sock_address_key(&c->address, key);
        net_limits_give(s->limits, key);
        if (c->opened && s->cfg.ops.close)
                s->cfg.ops.close(s->cfg.owner, c, reason);
}

void net_conn_close(struct net_conn *c, const char *reason, _Atomic uint64_t *counter)
{
        struct net_reactor *r = c->reactor;

        if (c->state == CONN_GONE)
                return;
        assert(r);
        net_conn_hold(c);
        c->state = CONN_GONE;
        if (counter)
                counter_add(counter, 1);
        loop_io_set(&c->io, 0);
        loop_timer_stop(&c->mute);
        ilist_unlink(&c->link);
        ilist_unlink(&c->ready_link);
        ilist_unlink(&c->partial_link);
        ilist_unlink(&c->sender_link);
        ilist_push_back(&r->gone, &c->link);
        tell_closed(c, reason);
        if (c->slot)
                net_tls_drop(c);
        c->fd = file_close(c->fd);
        net_read_drop(c);
        net_send_drop(c);
        net_request_drop_answered(c);
        r->conns_count--;
        net_conn_release(c); /* the one that kept it open */
        net_conn_release(c);
        net_reactor_check_stopped(r);
}

void net_conn_drain(struct net_conn *c, const char *reason)
{
        if (c->state != CONN_OPEN)
                return;
        c->state = CONN_DRAIN;
        c->close_reason = reason;
        ilist_unlink(&c->partial_link); /* a new reason to wait: its time begins now */
        net_read_drop(c);
        net_reactor_kick(c->reactor, c);
}

static void link_when(struct ilist *list, struct ilist *link, bool wanted)
{
        if (wanted && ilist_is_empty(link))
                ilist_push_back(list, link);
        else if (!wanted)
                ilist_unlink(link);
}

/* What the loop is to watch for, and who is to be looked at by the sweep. */
static void watch(struct net_conn *c)
{
        struct net_reactor *r = c->reactor;
        bool opening = c->state < CONN_OPEN && c->state != CONN_NEW; /* NEW: it is we who let it wait */
        bool partial = net_read_is_partial(c) || c->state == CONN_DRAIN || opening;
        bool write = c->send_blocked || c->state == CONN_CONNECT;
        bool read = net_read_is_wanted(c) || c->state == CONN_SHAKE;

        loop_io_set_patient(&c->io, c->patient_count == NET_PATIENT_MIN);
        loop_io_set(&c->io, (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0));
        if (partial && ilist_is_empty(&c->partial_link)) {
                c->partial_ms = loop_now_ms(r->loop);
                c->partial_got = c->frame_got;
        }
        link_when(&r->partials, &c->partial_link, partial);
        if (c->send_blocked && ilist_is_empty(&c->sender_link))
                c->progress_ms = loop_now_ms(r->loop);
        link_when(&r->senders, &c->sender_link, c->send_blocked);
}

static void turn_send(struct net_conn *c)
{
        int r = net_send_some(c);

        c->send_blocked = r == -EAGAIN;
        if (r && r != -EAGAIN)
                net_conn_close(c, r == -EPROTO && c->tls ? net_tls_why(c) : "write error",
                               sock_is_peer_error(r) ? NULL : &c->reactor->counters.closed_error);
}

/* Bytes that were kept because the send queue was full, or because others had to have their turn, can go on; nobody
 * else would say so. */
static bool can_go_on(struct net_conn *c)
{
        bool complete = c->frame && c->frame_got == c->frame->size;

        if (c->tls && net_tls_has_more(c) && net_read_is_wanted(c))
                return true;
        return c->state == CONN_OPEN && !c->waits_memory && (c->left || complete) && net_request_may_start(c);
}

void net_conn_turn(struct net_conn *c)
{
        net_conn_hold(c);
        if (c->state == CONN_WAIT)
                net_tls_begin(c);
        if (c->state == CONN_OPEN)
                net_read_resume(c);
        if (c->tls && net_tls_has_more(c) && net_read_is_wanted(c))
                net_read_socket(c);
        if (c->state >= CONN_OPEN && c->state != CONN_GONE)
                turn_send(c);
        c->turn_frames = 0;
        if (can_go_on(c))
                net_reactor_yield(c->reactor, c);
        if (c->state == CONN_DRAIN && !c->requests_count && !c->sends_count && (!c->tls || net_tls_is_flushed(c)))
                net_conn_close(c, c->close_reason, NULL);
        if (c->state != CONN_GONE)
                watch(c);
        net_conn_release(c);
}

static void on_io(struct loop_io *w, int events)
{
        struct net_conn *c = container_of(w, struct net_conn, io);

        net_conn_hold(c);
        if (c->state == CONN_CONNECT)
                net_dial_connected(c);
        else if (c->state == CONN_SHAKE)
                net_tls_turn(c);
        if (c->state == CONN_OPEN && (events & LOOP_READ)) {
                net_read_socket(c);
                if (c->state != CONN_GONE && !c->dial) {
                        ilist_unlink(&c->link); /* longest silent first */
                        ilist_push_back(&c->reactor->conns, &c->link);
                }
        }
        if (c->state != CONN_GONE)
                net_conn_turn(c);
        net_conn_release(c);
}

void net_conn_opened(struct net_conn *c)
{
        struct net_server *s = c->reactor->server;

        c->state = CONN_OPEN;
        c->opened = true;
        c->active_ms = loop_now_ms(c->reactor->loop);
        ilist_unlink(&c->partial_link); /* opening is over */
        if (c->dial)
                c->dial->open(c->dial->arg, c);
        else if (s->cfg.ops.open)
                s->cfg.ops.open(s->cfg.owner, c);
}

/* Its delay, if it had one, is over. */
static void begin(struct net_conn *c)
{
        net_conn_hold(c);
        if (c->slot)
                net_tls_begin(c);
        else
                net_conn_opened(c);
        if (c->state != CONN_GONE)
                watch(c);
        net_conn_release(c);
}

static void on_mute_end(struct loop_timer *t)
{
        struct net_conn *c = container_of(t, struct net_conn, mute);

        if (c->state == CONN_NEW) {
                c->active_ms = loop_now_ms(c->reactor->loop);
                ilist_unlink(&c->link);
                ilist_push_back(&c->reactor->conns, &c->link);
                begin(c);
                return;
        }
        c->muted = false;
        net_reactor_kick(c->reactor, c);
}

void net_conn_start(struct net_conn *c)
{
        struct net_reactor *r = c->reactor;

        ilist_push_back(c->dial ? &r->dials : &r->conns, &c->link);
        r->conns_count++;
        loop_io_init(&c->io, r->loop, c->fd, on_io);
        loop_timer_init(&c->mute, r->loop, on_mute_end);
        net_conn_hold(c);
        if (r->stopping)
                net_conn_close(c, "stopping", NULL);
        else if (c->dial)
                c->state = CONN_CONNECT;
        else if (c->delay_ms)
                loop_timer_start(&c->mute, c->delay_ms);
        else
                begin(c);
        if (c->state != CONN_GONE)
                watch(c);
        net_conn_release(c);
}

static void on_start(struct loop *l, struct mail *m)
{
        struct net_conn *c = container_of(m, struct net_conn, start_mail);

        c->active_ms = loop_now_ms(l);
        counter_add(&c->reactor->counters.connections_open, 1);
        counter_add(&c->reactor->counters.connections_total, 1);
        net_conn_start(c);
}

struct net_conn *net_conn_alloc(struct net_reactor *r, int fd, const struct sock_address *a)
{
        struct net_conn *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->magic = NET_CONN_MAGIC;
        c->fd = fd;
        c->holds = 1;
        c->reactor = r;
        c->memory = r->server->memory;
        c->frame_len_max = r->server->cfg.request_len_max;
        c->id = atomic_fetch_add(&r->server->next_conn_id, 1) + 1;
        c->address = *a;
        sock_format(a, c->peer);
        sock_format_host(a, c->peer_host);
        ilist_init(&c->link);
        ilist_init(&c->ready_link);
        ilist_init(&c->partial_link);
        ilist_init(&c->sender_link);
        ilist_init(&c->shake_link);
        ilist_init(&c->wait.link);
        ilist_init(&c->requests);
        ilist_init(&c->sends);
        return c;
}

int net_conn_new(struct net_reactor *r, const struct net_listener *l, int fd, const struct sock_address *a,
                 int64_t delay_ms)
{
        struct net_conn *c = net_conn_alloc(r, fd, a);

        if (!c)
                return -ENOMEM;
        c->listener = l->name;
        c->slot = l->tls;
        c->delay_ms = delay_ms;
        c->start_mail.fn = on_start;
        loop_post(r->loop, &c->start_mail);
        return 0;
}

/* ---- as the owner sees it ---- */

void net_conn_hang_up(struct net_conn *c, const char *reason)
{
        loop_assert_here(c->reactor->loop);
        if (c->state < CONN_OPEN)
                net_conn_close(c, reason, NULL);
        else
                net_conn_drain(c, reason);
}

void net_conn_drop(struct net_conn *c, const char *reason)
{
        loop_assert_here(c->reactor->loop);
        net_conn_close(c, reason, NULL);
}

void net_conn_limit_frames(struct net_conn *c, size_t len_max)
{
        c->frame_len_max = len_max;
}

int64_t net_conn_alive_ms(const struct net_conn *c)
{
        return MAX2(c->active_ms, c->drained_ms);
}

void net_conn_bytes(const struct net_conn *c, uint64_t *ret_in, uint64_t *ret_out)
{
        *ret_in = c->bytes_in;
        *ret_out = c->bytes_out;
}

void net_conn_mute(struct net_conn *c, int64_t ms)
{
        if (c->state == CONN_GONE || ms <= 0)
                return;
        c->muted = true;
        loop_timer_start(&c->mute, ms);
        net_reactor_kick(c->reactor, c);
}

struct loop *net_conn_loop(const struct net_conn *c)
{
        return c->reactor->loop;
}

unsigned net_conn_reactor(const struct net_conn *c)
{
        return c->reactor->number;
}

bool net_conn_is_gone(const struct net_conn *c)
{
        return c->state == CONN_GONE;
}

const char *net_conn_peer(const struct net_conn *c)
{
        return c->peer;
}

const char *net_conn_peer_host(const struct net_conn *c)
{
        return c->peer_host;
}

const char *net_conn_listener(const struct net_conn *c)
{
        return c->listener;
}

void *net_conn_user(const struct net_conn *c)
{
        return c->user;
}

void net_conn_set_user(struct net_conn *c, void *user)
{
        c->user = user;
}

uint64_t net_conn_id(const struct net_conn *c)
{
        return c->id;
}
