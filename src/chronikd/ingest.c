/* The role ingest: logs, clients, coordinators, and the background work on them. node.c knows the order of the whole.
 * On the main loop. */
#include "chronikd/ingest.h"

#include <errno.h>
#include <stdio.h>

#include "chronikd/sharing.h"
#include "sys/clock.h"
#include "sys/diag.h"

enum { COMMIT_MS = 5000 }; /* an answer waits so long for its write */

enum {
        TICK_MS = 100,
        RETRY_MS = 60000,
        STOP_MS = 10000,
        STALL_MS = 60000,
        HURRY_MS = 5000,
        OVERLAP_MAX = 64,
        SHAKE_MS = 10000
};

static void on_tick(struct loop_timer *t)
{
        struct node *n = container_of(t, struct node, tick);
        int64_t now_ms = clock_mono_ms();

        plog_store_tick(n->store, now_ms);
        progress_tick(n, now_ms);
        if (now_ms - n->retained_ms >= n->conf->storage.retention_check_interval_ms) {
                n->retained_ms = now_ms;
                retain_start(&n->retain);
        }
        if (now_ms - n->retried_ms >= RETRY_MS) {
                n->retried_ms = now_ms;
                led_retry(&n->led);
        }
        loop_timer_start(&n->tick, TICK_MS);
}

/* ---- stop: clients first, then the logs ---- */

static void logs_closed(void *arg)
{
        struct node *n = arg;

        n->ingest_stopped(n);
}

static void scrub_stopped(void *arg)
{
        struct node *n = arg;

        replication_stop(&n->replication);
        led_close(&n->led, logs_closed);
}

static void compactor_stopped(void *arg)
{
        struct node *n = arg;

        scrub_stop(&n->scrub, scrub_stopped, n);
}

static void retain_stopped(void *arg)
{
        struct node *n = arg;

        compactor_stop(&n->compactor, compactor_stopped, n);
}

static void unsubscribed(struct meta_subscriber *s)
{
        struct node *n = s->arg;

        retain_stop(&n->retain, retain_stopped, n);
}

static void handler_is_stopped(void *arg)
{
        struct node *n = arg;

        if (n->member.follows)
                meta_unsubscribe(&n->member.subscriber, unsubscribed);
        else /* stopped before it was registered */
                scrub_stopped(n);
}

static void shares_are_stopped(void *arg)
{
        struct node *n = arg;

        handler_stop(n->handler, n->loop, handler_is_stopped, n);
}

static void net_is_stopped(struct loop *l, struct mail *m)
{
        struct node *n = container_of(m, struct node, net_stopped);

        (void)l;
        shares_stop(n->shares, n->loop, shares_are_stopped, n);
}

/* Members that were waiting for a rebalance have been answered; now the answers may leave. */
static void txns_are_stopped(void *arg)
{
        struct node *n = arg;

        handler_drain(n->handler);
        n->net_stopped.fn = net_is_stopped;
        net_server_stop(n->net, STOP_MS, n->loop, &n->net_stopped);
}

static void coord_is_stopped(void *arg)
{
        struct node *n = arg;

        coord_stop(n->txns, n->loop, txns_are_stopped, n);
}

static void listeners_are_stopped(void *arg)
{
        struct node *n = arg;

        coord_stop(n->coord, n->loop, coord_is_stopped, n);
}

void ingest_stop(struct node *n, void (*stopped)(struct node *n))
{
        n->ingest_stopped = stopped;
        shares_drain(n->shares);
        lookout_stop(&n->listeners.lookout, listeners_are_stopped, n);
}

/* ---- start ---- */

int ingest_open(struct node *n)
{
        const char *why = NULL;
        int r;

        r = plog_store_open(
                &(struct plog_store_config){ .dir = n->log_dir,
                                             .pool = n->pool,
                                             .files_open_max = (unsigned)n->conf->storage.open_files_max,
                                             .preallocate_step_len = n->conf->storage.preallocate_step_bytes,
                                             .recovery_bytes_max = n->conf->storage.recovery_bytes_max },
                &n->store, &why);
        if (r)
                return node_fail("cannot open the data directory", why ? why : strerror(-r));
        return 0;
}

int ingest_join(struct node *n)
{
        struct replication *r = &n->replication;
        int e;

        r->controller = n->controller;
        r->loop = n->loop;
        r->table = n->table;
        r->node_id = n->led.node_id;
        r->fetch_wait_ms = (int32_t)n->conf->replication.fetch_wait_ms;
        r->fetch_bytes = (int32_t)n->conf->replication.fetch_response_bytes;
        snprintf(r->watermarks_path, sizeof r->watermarks_path, "%s/high-watermarks", n->log_dir);
        e = transactions_join(n);
        if (!e)
                e = sharing_join(n);
        return e ? e : replication_open(r, n->mesh.hub, n->pool);
}

static struct meta_image *image_now(void *arg)
{
        struct node *n = arg;

        return controller_image(n->controller);
}

static struct uuid new_uuid(void *arg)
{
        return random_uuid();
}

/* The coordinators live on the reactors. */
static int node_coordinate(struct node *n)
{
        const struct conf *c = n->conf;
        struct groups_conf *g = &n->groups_conf;
        struct coord_config cfg = { .loops = n->reactors,
                                    .loops_count = net_server_reactors_count(n->net),
                                    .pool = n->pool,
                                    .ops = &groups_ops,
                                    .machine_arg = g,
                                    .commit_timeout_ms = COMMIT_MS };
        int policy = c->groups.consumer_migration_policy;
        int r;

        for (unsigned i = 0; i < cfg.loops_count; i++)
                n->reactors[i] = net_server_loop(n->net, i);
        groups_conf_init(g);
        g->hash_seed = random_u64();
        g->new_uuid = new_uuid;
        g->session_timeout_min_ms = (int32_t)c->groups.min_session_timeout_ms;
        g->session_timeout_max_ms = (int32_t)c->groups.max_session_timeout_ms;
        g->initial_rebalance_delay_ms = (int32_t)c->groups.initial_rebalance_delay_ms;
        g->group_size_max = (uint32_t)MIN2(c->groups.max_size, (int64_t)g->group_size_max);
        group_rules_init(&g->rules, c);
        g->upgrades = policy == CONF_MIGRATION_BOTH || policy == CONF_MIGRATION_UPGRADE;
        g->downgrades = policy == CONF_MIGRATION_BOTH || policy == CONF_MIGRATION_DOWNGRADE;
        g->consumer_group_size_max = (uint32_t)MIN2(c->groups.consumer_max_size, (int64_t)g->consumer_group_size_max);
        g->share_group_size_max = (uint32_t)c->groups.share_max_size;
        g->offset_metadata_len_max = (uint32_t)c->groups.offset_metadata_max_bytes;
        g->offsets_retention_ms = c->groups.offsets_retention_minutes * 60000;
        g->offsets_check_interval_ms = c->groups.offsets_retention_check_interval_ms;
        g->image = image_now;
        g->image_arg = n;
        r = coord_new(&cfg, &n->coord);
        if (!r)
                r = transactions_open(n);
        if (!r)
                r = sharing_open(n);
        n->led.coord = n->coord;
        n->led.txns = n->txns;
        handler_set_coord(n->handler, n->coord, n->txns, &n->txn_link);
        return r;
}

/* Logs that are opened or closed at a time: one thread of the pool is left for flushes. */
static unsigned led_jobs_max(const struct conf *c)
{
        return (unsigned)MAX2(c->server.num_io_threads - 1, INT64_C(1));
}

static struct net_config net_config_of(const struct node *n)
{
        const struct conf *c = n->conf;

        return (struct net_config){
                .ops = handler_net_ops(),
                .pool = n->pool,
                .holds = true,
                .reactors_count = (unsigned)c->server.num_network_threads,
                .request_len_max = (size_t)c->server.max_request_bytes,
                .memory_max = (size_t)c->performance.buffer_memory,
                .overlap_max = OVERLAP_MAX,
                .connections_max = (unsigned)c->server.max_connections,
                .connections_per_ip_max = (unsigned)c->server.max_connections_per_ip,
                .connection_rate_max = c->server.max_connection_creation_rate == INT32_MAX
                                               ? 0
                                               : (unsigned)c->server.max_connection_creation_rate,
                .idle_ms_max = c->server.connections_max_idle_ms,
                .stall_ms_max = STALL_MS,
                .hurry_ms_max = HURRY_MS,
                .open_ms_max = SHAKE_MS,
                .send_buffer_len = (int)MAX2(c->server.socket_send_buffer_bytes, (int64_t)0),
                .receive_buffer_len = (int)MAX2(c->server.socket_receive_buffer_bytes, (int64_t)0),
        };
}

int ingest_serve(struct node *n)
{
        const struct conf *c = n->conf;
        struct net_config net = net_config_of(n);
        int r;

        if (token_secrets_open(&n->token_secrets, c) || listeners_open(&n->listeners, c, &n->token_secrets, n->pool))
                return 1;
        n->led = (struct led){ .conf = c,
                               .store = n->store,
                               .table = n->table,
                               .dir = n->log_dir,
                               .pool = n->pool,
                               .loop = n->loop,
                               .jobs_max = led_jobs_max(c),
                               .applied = member_applied,
                               .arg = n,
                               .node_id = n->led.node_id,
                               .is_cluster = n->mesh.hub,
                               .replicator = n->replication.replicator,
                               .replica_lag_max_ms = c->replication.lag_time_max_ms,
                               .lease_until_ms = &n->replication.lease_until_ms };
        n->retain = (struct retain){ .table = n->table, .pool = n->pool, .loop = n->loop };
        n->compactor.table = n->table;
        n->compactor.pool = n->pool;
        n->compactor.loop = n->loop;
        n->compactor.interval_ms = c->storage.compaction_interval_ms;
        n->compactor.bytes_per_second_max = c->storage.compaction_bytes_per_second;
        n->compactor.map_bytes_max = (size_t)c->storage.compaction_memory_bytes;
        n->scrub.table = n->table;
        n->scrub.pool = n->pool;
        n->scrub.loop = n->loop;
        n->scrub.interval_ms = c->storage.scrub_interval_ms;
        n->scrub.bytes_per_second_max = c->storage.scrub_bytes_per_second;
        r = n->mesh.hub ? watermarks_load(n->replication.watermarks_path, &n->led.watermarks) : 0;
        if (!r)
                r = led_init(&n->led);
        if (r)
                return node_fail("cannot start", strerror(-r));
        r = handler_new(&(struct handler_deps){ .conf = c,
                                                .controller = n->controller,
                                                .partitions = n->table,
                                                .store = n->store,
                                                .pool = n->pool,
                                                .audit = audit_sink_of(&n->audit),
                                                .mappings = n->listeners.mappings,
                                                .jwks = n->listeners.jwks,
                                                .token_secrets = n->token_secrets.ring,
                                                .node_id = n->led.node_id,
                                                .reactors_count = net.reactors_count },
                        &n->handler);
        net.owner = n->handler;
        if (!r)
                r = net_server_new(&net, &n->net);
        if (!r)
                r = node_coordinate(n);
        if (!r)
                r = handler_start(n->handler, n->reactors);
        if (r)
                return node_fail("cannot serve clients", strerror(-r));
        return listeners_listen(&n->listeners, n->net);
}

void ingest_start(struct node *n)
{
        loop_timer_init(&n->tick, n->loop, on_tick);
        loop_timer_start(&n->tick, TICK_MS);
        n->retained_ms = clock_mono_ms();
        compactor_start(&n->compactor);
        scrub_start(&n->scrub);
        listeners_start(&n->listeners, n->loop);
        member_start(&n->member, n);
}

void ingest_free_serving(struct node *n)
{
        n->net = net_server_free(n->net);
        scrub_fini(&n->scrub);
        led_fini(&n->led);
        n->coord = coord_free(n->coord);
        n->txns = coord_free(n->txns);
        n->shares = shares_free(n->shares);
        n->handler = handler_free(n->handler);
        listeners_close(&n->listeners);
        token_secrets_close(&n->token_secrets);
}

void ingest_close(struct node *n)
{
        plog_store_close(n->store);
        member_fini(&n->member);
}
