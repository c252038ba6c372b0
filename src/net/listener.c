/* Accepts connections on one reactor and hands them to all in turn: with few connections the kernel's own spreading
 * (SO_REUSEPORT) would leave reactors idle. */
#include <errno.h>
#include <unistd.h>

#include "net/net_internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum { ACCEPT_TURN_MAX = 64, BACK_OFF_MS = 100 };

/* Out of descriptors: let one waiting peer know by closing it, with the descriptor that was kept for this. */
static void shed_one(struct net_listener *l)
{
        struct sock_address peer;
        int fd;

        diag_limited(DIAG_ERROR,
                     "no descriptor is left for a connection to listener %s; raise LimitNOFILE or lower "
                     "server.max_connections",
                     l->name);
        file_close(l->reserve_fd);
        fd = sock_accept(l->fd, &peer);
        if (fd >= 0) {
                file_close(fd);
                counter_add(&l->reactor->counters.closed_limit, 1);
        }
        l->reserve_fd = file_open("/dev/null", O_RDONLY);
}

/* Its place in the limits. False: there is none for it. */
static bool take_place(struct net_listener *l, const uint8_t key[16])
{
        struct net_counters *n = &l->reactor->counters;
        int r = net_limits_take(l->server->limits, key);

        if (!r)
                return true;
        counter_add(r == LIMITS_E_TOTAL    ? &n->closed_limit
                    : r == LIMITS_E_PER_IP ? &n->closed_per_ip
                                           : &n->closed_error,
                    1);
        diag_limited(DIAG_WARN, "a connection was refused: %s",
                     r == LIMITS_E_TOTAL    ? "server.max_connections are open"
                     : r == LIMITS_E_PER_IP ? "server.max_connections_per_ip are open from its address"
                                            : "out of memory");
        return false;
}

/* What the owner says to one more connection from this address. Return: milliseconds, -1: no. */
static int64_t delay_of(struct net_listener *l, const struct sock_address *peer)
{
        const struct net_config *cfg = &l->server->cfg;
        struct net_counters *n = &l->reactor->counters;
        char host[SOCK_TEXT_SIZE];
        int64_t ms;

        if (!cfg->ops.delay)
                return 0;
        sock_format_host(peer, host);
        ms = cfg->ops.delay(cfg->owner, l->reactor->number, host);
        if (ms > 0)
                counter_add(&n->connections_delayed, 1);
        if (ms < 0) {
                counter_add(&n->closed_rate, 1);
                diag_limited(DIAG_WARN, "a connection was refused: too many come from %s", host);
        }
        return ms;
}

static void adopt(struct net_listener *l, int fd, const struct sock_address *peer)
{
        struct net_server *s = l->server;
        unsigned to = atomic_fetch_add(&s->next_reactor, 1) % s->cfg.reactors_count;
        uint8_t key[16];
        int64_t delay_ms;

        sock_address_key(peer, key);
        if (!take_place(l, key)) {
                file_close(fd);
                return;
        }
        delay_ms = delay_of(l, peer);
        if (delay_ms >= 0) {
                sock_tune(fd);
                sock_set_buffers(fd, s->cfg.send_buffer_len, s->cfg.receive_buffer_len);
                if (!net_conn_new(&s->reactors[to], l, fd, peer, delay_ms))
                        return;
                counter_add(&l->reactor->counters.closed_error, 1);
        }
        net_limits_give(s->limits, key);
        file_close(fd);
}

/* With a limit of their rate a second's worth of connections may come at once. Return: milliseconds until the next may. */
static int64_t rate_wait_ms(struct net_listener *l)
{
        double rate = l->server->cfg.connection_rate_max;
        int64_t now_ns = clock_mono_ns();

        if (rate == 0)
                return 0;
        l->left = l->left_ns ? MIN2(l->left + (double)(now_ns - l->left_ns) / 1e9 * rate, rate) : rate;
        l->left_ns = now_ns;
        return l->left >= 1 ? 0 : (int64_t)((1 - l->left) / rate * 1000) + 1;
}

static void pause_accepting(struct net_listener *l, int64_t ms)
{
        loop_io_set(&l->io, 0);
        loop_timer_start(&l->back_off, ms);
}

static void on_accept(struct loop_io *w, int events)
{
        struct net_listener *l = container_of(w, struct net_listener, io);

        (void)events;
        for (int i = 0; i < ACCEPT_TURN_MAX; i++) {
                int64_t wait_ms = rate_wait_ms(l);
                struct sock_address peer;
                int fd;

                if (wait_ms) {
                        pause_accepting(l, wait_ms);
                        return;
                }
                fd = sock_accept(l->fd, &peer);
                if (fd >= 0) {
                        l->left -= 1;
                        adopt(l, fd, &peer);
                        continue;
                }
                if (fd == -EAGAIN)
                        return;
                if (fd == -EMFILE || fd == -ENFILE)
                        shed_one(l);
                pause_accepting(l, BACK_OFF_MS);
                return;
        }
}

static void on_back_off(struct loop_timer *t)
{
        struct net_listener *l = container_of(t, struct net_listener, back_off);

        if (l->fd >= 0)
                loop_io_set(&l->io, LOOP_READ);
}

static void on_start(struct loop *loop, struct mail *m)
{
        struct net_listener *l = container_of(m, struct net_listener, start_mail);

        if (l->fd < 0)
                return; /* the stop was quicker */
        loop_io_init(&l->io, loop, l->fd, on_accept);
        loop_timer_init(&l->back_off, loop, on_back_off);
        loop_io_set(&l->io, LOOP_READ);
}

int net_listener_open(struct net_listener *l, struct net_server *s, const char *name, const struct sock_address *a)
{
        l->server = s;
        l->name = name;
        l->fd = sock_listen(a, false);
        if (l->fd < 0)
                return l->fd;
        l->reserve_fd = file_open("/dev/null", O_RDONLY);
        return 0;
}

void net_listener_start(struct net_listener *l)
{
        l->start_mail.fn = on_start;
        loop_post(l->reactor->loop, &l->start_mail);
}

void net_listener_close(struct net_listener *l)
{
        if (l->fd < 0)
                return;
        if (l->io.loop) { /* else it never began to accept */
                loop_io_set(&l->io, 0);
                loop_timer_stop(&l->back_off);
        }
        l->fd = file_close(l->fd);
        l->reserve_fd = file_close(l->reserve_fd);
}
