/* The hub: its server, its services, its start and stop. */
#include <errno.h>
#include <stdio.h>

#include "peer/peer_internal.h"
#include "sys/clock.h"

enum {
        MEMORY_MAX = 128 << 20,
        FRAME_LEN_MAX = 64 << 20, /* a whole share of that memory: larger ones could be read only alone */
        CALLS_MAX = 1024,
        CALLS_BYTES_MAX = 64 << 20,
        CLOCK_APART_MS_MAX =
                120 * 1000, /* times in records and leases are compared; NTP keeps clocks within a second */
        CONNECT_MS_MAX = 3000,
        SILENCE_MS_MAX = 3000,
        BACK_OFF_MS_MAX = 2000,
        CONNECTIONS_MAX = 4 * PEER_NODES_MAX, /* two lanes each, and old connections that are not known to be gone */
        IDLE_MS_MIN = 30 * 1000,
        STALL_MS_MAX = 30 * 1000,
        HURRY_MS_MAX = 10 * 1000,
};

static bool can_overlap(void *hub, struct span frame)
{
        return true;
}

static void conf_defaults(struct peer_conf *c)
{
        c->reactors_count = c->reactors_count ? c->reactors_count : 1;
        c->memory_max = c->memory_max ? c->memory_max : MEMORY_MAX;
        c->frame_len_max = c->frame_len_max ? c->frame_len_max : FRAME_LEN_MAX;
        c->calls_max = c->calls_max ? c->calls_max : CALLS_MAX;
        c->calls_bytes_max = c->calls_bytes_max ? c->calls_bytes_max : CALLS_BYTES_MAX;
        c->clock_apart_ms_max = c->clock_apart_ms_max ? c->clock_apart_ms_max : CLOCK_APART_MS_MAX;
        c->connect_ms_max = c->connect_ms_max ? c->connect_ms_max : CONNECT_MS_MAX;
        c->silence_ms_max = c->silence_ms_max ? c->silence_ms_max : SILENCE_MS_MAX;
        c->back_off_ms_max = c->back_off_ms_max ? c->back_off_ms_max : BACK_OFF_MS_MAX;
}

static int server_new(struct peer_hub *h)
{
        struct net_config cfg = {
                .ops = { sizeof(struct peer_request), peer_in_request, can_overlap, peer_in_open, peer_in_close },
                .owner = h,
                .name = "peer",
                .pool = h->conf.pool,
                .reactors_count = h->conf.reactors_count,
                .request_len_max = h->conf.frame_len_max,
                .memory_max = h->conf.memory_max,
                .overlap_max = PEER_IN_WORK_MAX,
                .connections_max = CONNECTIONS_MAX,
                .connections_per_ip_max = CONNECTIONS_MAX, /* many nodes may stand behind one address */
                .idle_ms_max = MAX2((int64_t)IDLE_MS_MIN, 4 * h->conf.silence_ms_max),
                .stall_ms_max = STALL_MS_MAX,
                .hurry_ms_max = HURRY_MS_MAX,
                .unordered = true,
                .end_closes = true, /* a process that has ended does not keep the place of the next one */
                .dial_memory_max = h->conf.memory_max,
                .open_ms_max = h->conf.connect_ms_max,
        };

        return net_server_new(&cfg, &h->server);
}

static void on_cluster(struct loop *l, struct mail *m)
{
        struct peer_reactor *r = container_of(m, struct peer_reactor, cluster_mail);
        struct peer_hub *h = r->hub;

        pthread_mutex_lock(&h->lock);
        r->cluster_posted = false;
        pthread_mutex_unlock(&h->lock);
        ilist_for_each (in, &r->ins, struct peer_in, link)
                peer_in_check_cluster(in);
        for (unsigned i = 0;; i++) {
                struct peer_node *n;

                pthread_mutex_lock(&h->lock);
                n = i < h->nodes_count ? h->nodes[i]
                                       : NULL; /* a new one moves others back: seen twice, never left out */
                pthread_mutex_unlock(&h->lock);
                if (!n)
                        break;
                for (unsigned lane = 0; lane < PEER_LANES_COUNT; lane++)
                        if (n->links[lane].loop == l)
                                peer_link_check_cluster(&n->links[lane]);
        }
}

int peer_hub_new(const struct peer_conf *conf, struct peer_hub **ret_hub)
{
        unsigned reactors_count = conf->reactors_count ? conf->reactors_count : 1;
        CLEANUP(peer_hub_freep) struct peer_hub *h = calloc(1, sizeof *h + reactors_count * sizeof h->reactors[0]);
        int r;

        assert(conf->node >= 0 && conf->levels_count <= PEER_LEVELS_MAX);
        if (!h)
                return -ENOMEM;
        h->conf = *conf;
        conf_defaults(&h->conf);
        pthread_mutex_init(&h->lock, NULL);
        for (unsigned i = 0; i < reactors_count; i++) {
                h->reactors[i].hub = h;
                h->reactors[i].cluster_mail.fn = on_cluster;
                ilist_init(&h->reactors[i].ins);
        }
        h->incarnation = random_uuid();
        h->listen = conf->listen ? strdup(conf->listen) : NULL;
        h->program = strdup(conf->program ? conf->program : "");
        h->conf.listen = h->listen;
        h->conf.program = h->program;
        h->conf.cluster_id = STR_NULL;
        for (unsigned i = 0; i < conf->levels_count; i++)
                h->levels[i] = conf->levels[i];
        h->conf.levels = h->levels;
        if (!h->program || (conf->listen && !h->listen))
                return -ENOMEM;
        if (conf->cluster_id.len >= sizeof h->cluster_id)
                return -EINVAL;
        if (conf->cluster_id.len)
                memcpy(h->cluster_id, conf->cluster_id.p, conf->cluster_id.len);
        r = conf->pool ? iopool_new(1, &h->names) : 0;
        if (!r)
                r = server_new(h);
        if (r)
                return r;
        *ret_hub = TAKE_PTR(h);
        return 0;
}

int peer_hub_register(struct peer_hub *h, const struct peer_service *s)
{
        assert(!h->started && s->request);
        assert(s->key != PEER_KEY_HELLO && s->key != PEER_KEY_PROBE);
        for (unsigned i = 0; i < h->services_count; i++)
                if (h->services[i].key == s->key)
                        return -EEXIST;
        if (h->services_count == PEER_SERVICES_MAX)
                return -ENOSPC;
        h->services[h->services_count++] = *s;
        return 0;
}

int peer_hub_watch(struct peer_hub *h, const struct peer_watch *w)
{
        assert(!h->started);
        if (h->watches_count == PEER_WATCHES_MAX)
                return -ENOSPC;
        h->watches[h->watches_count++] = *w;
        return 0;
}

int peer_hub_start(struct peer_hub *h, uint16_t *ret_port)
{
        uint16_t port = 0;
        int r = 0;

        pthread_mutex_lock(&h->lock);
        h->started = true; /* before the first connection may come */
        pthread_mutex_unlock(&h->lock);
        if (h->listen)
                r = net_server_listen_tls(h->server, "peer", h->listen, h->conf.tls, &port);
        if (r) {
                pthread_mutex_lock(&h->lock);
                h->started = false;
                pthread_mutex_unlock(&h->lock);
                return r;
        }
        if (ret_port)
                *ret_port = port;
        return 0;
}

/* ---- the stop: first the links, then the server ---- */

static void server_stop(struct peer_hub *h)
{
        net_server_stop(h->server, h->stop_timeout_ms, h->stop_loop, h->stop_done);
}

void peer_hub_link_stopped(struct peer_hub *h)
{
        bool last;

        pthread_mutex_lock(&h->lock);
        last = --h->links_left == 0;
        pthread_mutex_unlock(&h->lock);
        if (last)
                server_stop(h);
}

void peer_hub_stop(struct peer_hub *h, int64_t timeout_ms, struct loop *reply, struct mail *done)
{
        bool none;

        pthread_mutex_lock(&h->lock);
        assert(h->started && !h->stopping);
        h->stopping = true;
        h->stop_timeout_ms = timeout_ms;
        h->stop_loop = reply;
        h->stop_done = done;
        h->links_left = h->nodes_count * PEER_LANES_COUNT;
        none = !h->links_left;
        for (unsigned i = 0; i < h->nodes_count; i++)
                for (unsigned lane = 0; lane < PEER_LANES_COUNT; lane++)
                        loop_post(h->nodes[i]->links[lane].loop, &h->nodes[i]->links[lane].stop_mail);
        pthread_mutex_unlock(&h->lock);
        if (none)
                server_stop(h);
}

struct peer_hub *peer_hub_free(struct peer_hub *h)
{
        if (!h)
                return NULL;
        if (h->server)
                net_server_join(h->server);
        for (unsigned i = 0; i < h->conf.reactors_count; i++)
                ilist_for_each (in, &h->reactors[i].ins, struct peer_in, link)
                        peer_in_free(in);
        iopool_free(h->names);
        net_server_free(h->server);
        peer_nodes_free(h);
        pthread_mutex_destroy(&h->lock);
        free(h->listen);
        free(h->program);
        free(h);
        return NULL;
}

/* ---- what is to be seen ---- */

void peer_hub_self(struct peer_hub *h, struct peer_side *ret)
{
        *ret = (struct peer_side){
                .id = { .node = h->conf.node, .directory = h->conf.directory, .incarnation = h->incarnation },
                .wall_ms = clock_wall_ms(),
                .protocol_min = PEER_PROTOCOL_MIN,
                .protocol_max = PEER_PROTOCOL_MAX
        };
        peer_text_copy(ret->id.program, sizeof ret->id.program, str_of(h->program));
        ret->id.levels_count = h->conf.levels_count;
        memcpy(ret->id.levels, h->levels, sizeof h->levels);
        pthread_mutex_lock(&h->lock);
        memcpy(ret->id.cluster_id, h->cluster_id, sizeof h->cluster_id);
        pthread_mutex_unlock(&h->lock);
}

int peer_hub_set_cluster(struct peer_hub *h, struct str cluster_id)
{
        bool news;

        if (!cluster_id.len || cluster_id.len >= sizeof h->cluster_id || memchr(cluster_id.p, '\0', cluster_id.len))
                return -EINVAL;
        pthread_mutex_lock(&h->lock);
        news = !str_equal(cluster_id, str_of(h->cluster_id));
        memcpy(h->cluster_id, cluster_id.p, cluster_id.len);
        h->cluster_id[cluster_id.len] = '\0';
        /* Mail that is still on its way will see the newest id. */
        for (unsigned i = 0; news && i < h->conf.reactors_count; i++) {
                if (h->reactors[i].cluster_posted)
                        continue;
                h->reactors[i].cluster_posted = true;
                loop_post(net_server_loop(h->server, i), &h->reactors[i].cluster_mail);
        }
        pthread_mutex_unlock(&h->lock);
        return 0;
}

void peer_hub_stats(struct peer_hub *h, struct peer_stats *ret_stats)
{
        net_server_stats(h->server, &ret_stats->net);
        ret_stats->refused = ret_stats->net.closed_tls + atomic_load_explicit(&h->refused, memory_order_relaxed);
        ret_stats->requests = atomic_load_explicit(&h->requests, memory_order_relaxed);
}
