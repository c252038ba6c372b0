/* The other nodes: see mesh.h. */
#include "chronikd/mesh.h"

#include <errno.h>
#include <stdio.h>

#include "chronikd/levels.h"
#include "chronikd/node.h"
#include "net/tls.h"
#include "sys/diag.h"

enum { STOP_MS = 3000 };

int mesh_open(struct mesh *m, const struct conf *conf, struct uuid directory, struct iopool *pool)
{
        struct peer_level levels[LEVELS_MAX];
        char address[300];
        int r;

        m->conf = conf;
        if (!conf->cluster.listen.host[0])
                return 0;
        m->pool = pool;
        if (mesh_tls_open(m))
                return 1;
        node_format_address(conf->cluster.listen, address, sizeof address);
        r = peer_hub_new(&(struct peer_conf){ .node = (int32_t)conf->server.node_id,
                                              .directory = directory,
                                              .program = CHRONIK_VERSION,
                                              .levels = levels,
                                              .levels_count = levels_said(levels),
                                              .cluster_id = *conf->server.cluster_id ? str_of(conf->server.cluster_id)
                                                                                     : STR_NULL,
                                              .listen = address,
                                              .tls = m->tls,
                                              .pool = pool },
                         &m->hub);
        return r ? node_fail("cannot speak with other nodes", strerror(-r)) : 0;
}

void mesh_controllers(const struct conf *conf, struct mesh_controllers *ret)
{
        struct str list = str_of(conf->cluster.controllers);
        struct conf_controller c;

        ret->count = 0;
        node_format_address(conf_cluster_advertised(conf, conf->cluster.listen.port), ret->advertised,
                            sizeof ret->advertised);
        while (conf_controllers_next(&list, &c) > 0) {
                bool v6 = memchr(c.host.p, ':', c.host.len);
                char *text = ret->texts[ret->count];

                snprintf(text, PEER_ADDRESS_SIZE, v6 ? "[%.*s]:%u" : "%.*s:%u", STR_FMT(c.host), c.port);
                ret->at[ret->count++] = (struct quorum_controller){ c.id, text };
        }
}

/* ---- where they are ---- */

static void set_address(struct mesh *m, int32_t node, const char *host, size_t host_len, unsigned port)
{
        char address[PEER_ADDRESS_SIZE];
        bool v6 = memchr(host, ':', host_len);
        int r;

        if (node == (int32_t)m->conf->server.node_id)
                return;
        snprintf(address, sizeof address, v6 ? "[%.*s]:%u" : "%.*s:%u", (int)host_len, host, port);
        r = peer_hub_set_address(m->hub, node, address);
        if (r)
                diag(DIAG_WARN, "node %d cannot be reached: %s is no address (%s)", node, address, strerror(-r));
}

static void set_controllers(struct mesh *m)
{
        struct str list = str_of(m->conf->cluster.controllers);
        struct conf_controller c;

        while (conf_controllers_next(&list, &c) > 0)
                set_address(m, c.id, c.host.p, c.host.len, c.port);
}

static bool is_controller(const struct mesh *m, int32_t node)
{
        struct str list = str_of(m->conf->cluster.controllers);
        struct conf_controller c;

        while (conf_controllers_next(&list, &c) > 0)
                if (c.id == node)
                        return true;
        return false;
}

static void on_delta(struct meta_subscriber *s, struct meta_delta *d)
{
        struct mesh *m = s->arg;

        if (!str_is_null(d->after->cluster_id))
                (void)peer_hub_set_cluster(m->hub, d->after->cluster_id); /* refuses only what is no cluster id */
        for (uint32_t i = 0; i < d->brokers_count; i++) {
                const struct meta_broker *after = d->brokers[i].after, *before = d->brokers[i].before;
                const struct meta_endpoint *e = after ? meta_broker_endpoint(after, STR_LIT(MESH_LISTENER)) : NULL;

                if (e)
                        set_address(m, after->id, e->host.p, e->host.len, e->port);
                else if (before && !is_controller(m, before->id))
                        (void)peer_hub_set_address(m->hub, before->id, NULL);
        }
}

/* ---- life ---- */

int mesh_start(struct mesh *m, struct loop *loop, struct meta_publisher *metadata)
{
        char address[300];
        int r;

        if (!m->hub)
                return 0;
        set_controllers(m);
        r = peer_hub_start(m->hub, &m->port);
        if (r) {
                node_format_address(m->conf->cluster.listen, address, sizeof address);
                diag(DIAG_ERROR, "cannot serve other nodes on cluster.listen %s: %s. Choose another address", address,
                     node_why_not(r));
                return 1;
        }
        m->subscriber = (struct meta_subscriber){ .loop = loop, .fn = on_delta, .arg = m };
        r = meta_subscribe(metadata, &m->subscriber);
        m->follows = !r;
        mesh_tls_start(m, loop);
        return r ? 1 : 0;
}

static void hub_stopped(struct loop *l, struct mail *mail)
{
        struct mesh *m = container_of(mail, struct mesh, stopped_mail);

        m->stopped(m->arg);
}

static void tls_is_stopped(void *arg)
{
        struct mesh *m = arg;

        m->stopped_mail.fn = hub_stopped;
        peer_hub_stop(m->hub, STOP_MS, m->subscriber.loop, &m->stopped_mail);
}

static void unsubscribed(struct meta_subscriber *s)
{
        struct mesh *m = s->arg;

        lookout_stop(&m->lookout, tls_is_stopped, m);
}

void mesh_stop(struct mesh *m, struct loop *loop, void (*stopped)(void *arg), void *arg)
{
        m->stopped = stopped;
        m->arg = arg;
        if (m->follows)
                meta_unsubscribe(&m->subscriber, unsubscribed);
        else
                stopped(arg);
}

void mesh_close(struct mesh *m)
{
        m->hub = peer_hub_free(m->hub);
        m->tls = tls_slot_free(m->tls);
}
