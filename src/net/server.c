/* The server: reactors, listeners, what they share, and the stop. */
#include <errno.h>

#include "net/net_internal.h"
#include "sys/file.h"

/* Each takes up to a millisecond of signing and verifying, and the memory of a half-open connection. */
enum { HANDSHAKES_MAX = 64 };

static struct net_server *server_free_all(struct net_server *s)
{
        for (unsigned i = 0; i < s->cfg.reactors_count; i++)
                net_reactor_fini(&s->reactors[i]);
        for (unsigned i = 0; i < s->listeners_count; i++) {
                file_close(s->listeners[i]->fd);
                file_close(s->listeners[i]->reserve_fd);
                free(s->listeners[i]);
        }
        if (s->memory)
                net_memory_close(s->memory);
        if (s->dial_memory)
                net_memory_close(s->dial_memory);
        net_limits_free(s->limits);
        pthread_mutex_destroy(&s->listeners_lock);
        free(s);
        return NULL;
}

int net_server_new(const struct net_config *cfg, struct net_server **ret_server)
{
        struct net_server *s = calloc(1, sizeof *s + cfg->reactors_count * sizeof s->reactors[0]);
        int r = 0;

        if (!s)
                return -ENOMEM;
        s->cfg = *cfg;
        if (!s->cfg.handshakes_max)
                s->cfg.handshakes_max = HANDSHAKES_MAX;
        pthread_mutex_init(&s->listeners_lock, NULL);
        s->memory = net_memory_new(cfg->memory_max);
        s->limits = net_limits_new(cfg->connections_max, cfg->connections_per_ip_max);
        if (cfg->dial_memory_max)
                s->dial_memory = net_memory_new(cfg->dial_memory_max);
        if (!s->memory || !s->limits || (cfg->dial_memory_max && !s->dial_memory))
                r = -ENOMEM;
        atomic_init(&s->reactors_left, cfg->reactors_count);
        for (unsigned i = 0; i < cfg->reactors_count && !r; i++)
                r = net_reactor_init(&s->reactors[i], s, i);
        if (r) {
                server_free_all(s);
                return r;
        }
        *ret_server = s;
        return 0;
}

int net_server_listen_tls(struct net_server *s, const char *name, const char *address, struct tls_slot *tls,
                          uint16_t *ret_port)
{
        struct sock_address addresses[SOCK_RESOLVE_COUNT_MAX], bound;
        char host[SOCK_HOST_SIZE];
        struct net_listener *l;
        unsigned count;
        uint16_t port;
        bool starts;
        int r;

        assert(!tls || s->cfg.open_ms_max > 0);
        r = sock_split_host_port(address, host, &port);
        if (!r)
                r = sock_resolve(host, port, false, addresses, &count);
        if (r)
                return r;
        l = calloc(1, sizeof *l);
        if (!l)
                return -ENOMEM;
        l->fd = l->reserve_fd = -1;
        l->tls = tls;
        r = net_listener_open(l, s, name, &addresses[0]);
        if (!r)
                r = sock_local(l->fd, &bound);
        pthread_mutex_lock(&s->listeners_lock);
        starts = !s->cfg.holds || s->admits;
        if (!r && (s->stopping || s->listeners_count == NET_LISTENERS_MAX))
                r = -ESHUTDOWN;
        if (!r) {
                l->reactor = &s->reactors[s->listeners_count % s->cfg.reactors_count];
                s->listeners[s->listeners_count++] = l;
        }
        pthread_mutex_unlock(&s->listeners_lock);
        if (r) {
                file_close(l->fd);
                file_close(l->reserve_fd);
                free(l);
                return r;
        }
        *ret_port = sock_address_port(&bound);
        if (starts)
                net_listener_start(l);
        return 0;
}

int net_server_listen(struct net_server *s, const char *name, const char *address, uint16_t *ret_port)
{
        return net_server_listen_tls(s, name, address, NULL, ret_port);
}

void net_server_admit(struct net_server *s)
{
        pthread_mutex_lock(&s->listeners_lock);
        assert(s->cfg.holds && !s->admits);
        s->admits = true;
        for (unsigned i = 0; i < s->listeners_count && !s->stopping; i++)
                net_listener_start(s->listeners[i]);
        pthread_mutex_unlock(&s->listeners_lock);
}

struct loop *net_server_loop(struct net_server *s, unsigned reactor)
{
        return s->reactors[reactor].loop;
}

unsigned net_server_reactors_count(const struct net_server *s)
{
        return s->cfg.reactors_count;
}

void net_server_stop(struct net_server *s, int64_t timeout_ms, struct loop *reply, struct mail *done)
{
        pthread_mutex_lock(&s->listeners_lock);
        assert(!s->stopping);
        s->stopping = true;
        s->stop_timeout_ms = timeout_ms;
        s->stop_loop = reply;
        s->stop_done = done;
        pthread_mutex_unlock(&s->listeners_lock);
        for (unsigned i = 0; i < s->cfg.reactors_count; i++)
                loop_post(s->reactors[i].loop, &s->reactors[i].stop_mail);
}

void net_server_join(struct net_server *s)
{
        for (unsigned i = 0; i < s->cfg.reactors_count; i++) {
                loop_stop(s->reactors[i].loop);
                loop_join(s->reactors[i].loop);
        }
}

struct net_server *net_server_free(struct net_server *s)
{
        return s ? server_free_all(s) : NULL;
}
