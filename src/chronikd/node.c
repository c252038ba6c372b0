/* One node's life: open what is on disk, find the others, serve, and stop in good order. What a node says to the system it runs
 * on (signals, READY, the admin listener) is serve.c's: a simulation has several nodes in one process. */
#include "chronikd/node.h"

#include <errno.h>
#include <stdio.h>

#include "chronikd/datadir.h"
#include "chronikd/ingest.h"
#include "chronikd/levels.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum { ALONE_SESSION_MS = 9000, LOOK_MS = 50 };

/* ---- stop: clients and logs first, then the metadata, then the way to other nodes, then what was recorded ---- */

static void audit_is_stopped(void *arg)
{
        struct node *n = arg;

        loop_stop(n->loop);
}

static void replication_stopped(void *arg)
{
        struct node *n = arg;

        audit_stop(&n->audit, audit_is_stopped, n);
}

static void link_stopped(void *arg)
{
        struct node *n = arg;

        replication_hub_stopped(&n->replication, replication_stopped, n);
}

static void mesh_stopped(void *arg)
{
        struct node *n = arg;

        txn_link_stop(&n->txn_link, n->loop, link_stopped, n);
}

static void controller_stopped(void *arg)
{
        struct node *n = arg;

        mesh_stop(&n->mesh, n->loop, mesh_stopped, n);
}

static void ingest_is_stopped(struct node *n)
{
        controller_stop(n->controller, n->loop, controller_stopped, n);
}

void node_leave(struct node *n, void (*left)(void *arg), void *arg)
{
        n->stopping = true;
        if (n->store)
                member_leave(&n->member, left, arg);
        else
                left(arg);
}

void node_stop(struct node *n)
{
        loop_timer_stop(&n->tick);
        if (n->store)
                ingest_stop(n, ingest_is_stopped);
        else
                ingest_is_stopped(n);
}

/* ---- start ---- */

int node_fail(const char *what, const char *why)
{
        diag(DIAG_ERROR, "%s: %s", what, why);
        return 1;
}

/* A node alone waits for nobody to be given up, and must not give itself up because its machine stalls. */
static int64_t session_timeout_ms(const struct conf *c)
{
        return c->cluster.listen.host[0] ? c->cluster.session_timeout_ms : ALONE_SESSION_MS;
}

static int node_open(struct node *n)
{
        struct mesh_controllers controllers;
        struct file_info info;
        char text[512];
        int r = loop_new("main", &n->loop);

        if (!r)
                r = iopool_new((unsigned)n->conf->server.num_io_threads, &n->pool);
        if (!r)
                r = partition_table_new(&n->table);
        if (r)
                return node_fail("cannot start", strerror(-r));
        if (audit_open(&n->audit, n))
                return 1;
        secret_ages_init(&n->secret_ages, n->conf->server.data_dir);
        transactions_init(n);
        snprintf(n->meta_dir, sizeof n->meta_dir, "%s/meta", n->conf->server.data_dir);
        snprintf(n->log_dir, sizeof n->log_dir, "%s/log", n->conf->server.data_dir);
        if (n->conf->server.roles & CONF_ROLE_INGEST && ingest_open(n))
                return 1;
        if (n->conf->server.roles & CONF_ROLE_CONTROLLER &&
            first_user_read(n->conf, file_info(n->meta_dir, &info) == -ENOENT, &n->first_user))
                return 1;
        mesh_controllers(n->conf, &controllers);
        r = controller_new(
                &(struct controller_config){
                        .dir = n->meta_dir,
                        .node_id = n->led.node_id,
                        .conf = n->conf,
                        .pool = n->pool,
                        .features = levels_known,
                        .features_count = levels_count,
                        .first_user = n->first_user.credentials,
                        .first_user_count = n->first_user.count,
                        .follows_only = !(n->conf->server.roles & CONF_ROLE_CONTROLLER),
                        .quorum = { .controllers = controllers.at,
                                    .controllers_count = controllers.count,
                                    .advertised = controllers.advertised,
                                    .election_ms = n->conf->cluster.election_timeout_ms,
                                    .volume_bytes_max = n->conf->cluster.metadata_bytes_max },
                        .session_timeout_ms = session_timeout_ms(n->conf),
                        .cluster_id = *n->conf->server.cluster_id ? str_of(n->conf->server.cluster_id) : STR_NULL },
                &n->controller, text, sizeof text);
        if (r)
                return node_fail("cannot open the metadata", text);
        r = datadir_note_roles(n->conf->server.data_dir, n->conf->server.roles);
        return r ? node_fail("cannot write to the data directory", strerror(-r)) : 0;
}

/* The other nodes are to find every service when they find us. */
static int node_join(struct node *n)
{
        int r = 0;

        if (mesh_open(&n->mesh, n->conf, n->store ? plog_store_dir_id(n->store) : controller_directory(n->controller),
                      n->pool))
                return 1;
        n->txn_link.hub = n->mesh.hub; /* also where there is no coordinator: operators ask any node */
        if (n->mesh.hub)
                r = controller_serve_peers(n->controller, n->mesh.hub);
        if (!r && n->mesh.hub)
                r = look_register(n);
        if (!r && n->mesh.hub && n->store)
                r = ingest_join(n);
        if (r)
                return node_fail("cannot serve other nodes", strerror(-r));
        if (mesh_start(&n->mesh, n->loop, controller_publisher(n->controller)))
                return 1;
        r = controller_start(n->controller);
        return r ? node_fail("cannot start the controller", strerror(-r)) : 0;
}

void node_format_address(struct conf_addr a, char *text, size_t size)
{
        snprintf(text, size, strchr(a.host, ':') ? "[%s]:%u" : "%s:%u", a.host, a.port);
}

const char *node_why_not(int error)
{
        return error == -ENOENT ? "no such host is known" : strerror(-error);
}

void node_disk_space(const struct node *n, uint64_t *ret_free, uint64_t *ret_total)
{
        *ret_free = *ret_total = 0;
        (void)file_space(n->conf->server.roles & CONF_ROLE_INGEST ? n->log_dir : n->meta_dir, ret_free, ret_total);
}

int node_new(struct conf *conf, struct node **ret_node)
{
        struct node *n = calloc(1, sizeof *n);

        if (!n)
                return node_fail("cannot start", strerror(ENOMEM));
        n->conf = conf;
        n->led.node_id = n->changes.node_id = (int32_t)conf->server.node_id;
        if (node_open(n) || node_join(n) || (n->store && ingest_serve(n)))
                return 1;
        *ret_node = n;
        return 0;
}

/* Without clients to serve, a node is ready when it takes part: it knows of an active controller. */
static void look_for_leader(struct loop_timer *t)
{
        struct node *n = container_of(t, struct node, tick);
        struct controller_status s;

        controller_status(n->controller, &s);
        if (s.leader_id == META_NO_NODE) {
                progress_tick(n, clock_mono_ms());
                loop_timer_start(t, LOOK_MS);
                return;
        }
        n->ready = true;
        if (n->on_ready)
                n->on_ready(n->arg);
}

void node_start(struct node *n)
{
        audit_start(&n->audit);
        if (n->store) {
                ingest_start(n);
                return;
        }
        loop_timer_init(&n->tick, n->loop, look_for_leader);
        loop_timer_start(&n->tick, LOOK_MS);
}

struct node *node_free(struct node *n)
{
        if (!n)
                return NULL;
        if (n->store)
                ingest_free_serving(n);
        n->controller = controller_free(n->controller);
        replication_close(&n->replication);
        mesh_close(&n->mesh);
        if (n->store)
                ingest_close(n);
        iopool_free(n->pool);
        audit_close(&n->audit);
        secret_ages_fini(&n->secret_ages);
        partition_table_free(n->table);
        loop_free(n->loop);
        free(n);
        return NULL;
}
