/* The admin listener: health, metrics, and the REST interface of chronik-ctl.
 *
 *   GET /livez /readyz /metrics
 *   GET /v1/cluster
 *   GET /v1/disruption      POST /v1/disruption {"op", "node", "who", "reason", "ttl_ms"}
 *   GET /v1/nodes           GET /v1/nodes/ID   GET /v1/nodes/ID/may-stop
 *                           POST /v1/nodes/ID/drain, /undrain, /decommission
 *   GET /v1/controllers     POST /v1/controllers {"id", "address"}   DELETE /v1/controllers/ID, /ID/DIRECTORY
 *   POST /v1/transfer {"id"}
 *   GET /v1/reassignments   POST /v1/reassignments {"partitions": [{"topic", "partition", "replicas"}]}
 *   POST /v1/elections {"topic", "partitions", "type"}
 *   GET /v1/topics          POST /v1/topics {"name", "partitions", "replication_factor", "configs": {}}
 *   GET /v1/topics/NAME     DELETE /v1/topics/NAME
 *   GET /v1/groups          GET /v1/groups/NAME
 *   GET /v1/users           POST /v1/users {"name": "", "credentials": []}   DELETE /v1/users/NAME
 *   GET /v1/quotas          POST /v1/quotas {"entity": {}, "set": {}, "unset": []}
 *   GET /v1/acls            POST /v1/acls {"add": [{...}]} or {"remove": {...}}
 *   GET /v1/audit, /v1/audit/entries, /v1/audit/verify   of this node only
 *   GET /v1/transactions    GET /v1/transactions/ID   POST /v1/transactions {"op", "id"}
 *   GET /v1/here/health, /v1/here/node, /v1/here/topics, /v1/here/topics/NAME, /v1/here/groups, /v1/here/groups/NAME,
 *       /v1/here/transactions, /v1/here/transactions/ID   of this node only: others ask for it
 *   POST /v1/verify {"topic", "partition", "bytes_per_second"}   GET /v1/verify
 *
 * Each needs a role, where there are roles (admin_gate.h): its row in the table says which.
 * HEAD goes wherever GET does. Errors: {"error": "what was wrong and what would be right"}. */
#include <jansson.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chronikd/admin.h"

/* ---- routes ---- */

static void get_live(struct node *n, struct http_request *rq, const char *name)
{
        (void)n;
        (void)name;
        rq->content_type = "text/plain; charset=utf-8";
        strbuf_add_c(&rq->out, "alive\n");
}

static void get_ready(struct node *n, struct http_request *rq, const char *name)
{
        bool stopping = atomic_load(&n->stopping), ready = atomic_load(&n->ready) && !stopping;
        char progress[PROGRESS_TEXT_SIZE];

        (void)name;
        if (n->store)
                progress_text(n, progress);
        else
                snprintf(progress, sizeof progress, "waiting for a controller: none is active");
        rq->content_type = "text/plain; charset=utf-8";
        rq->status = ready ? 200 : 503;
        strbuf_add_c(&rq->out, ready ? "ready" : stopping ? "stopping" : progress);
        strbuf_add_c(&rq->out, "\n");
}

static void get_metrics(struct node *n, struct http_request *rq, const char *name)
{
        (void)name;
        rq->content_type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_write(n, &rq->out);
}

enum needs {
        NEEDS_NOTHING, /* asks the metadata, or is about the node itself */
        NEEDS_READY,   /* shows also what this node has, so it is answered only while the node serves */
        NEEDS_INGEST,  /* shows that only: what a node without the role has not got */
};

struct route {
        const char *method, *path;
        bool named; /* a name follows */
        enum needs needs;
        enum operator_role role; /* the least that may */
        void (*fn)(struct node *n, struct http_request *rq, const char *name);
        unsigned open; /* of CONF_OPEN_...: where that is set, everybody may */
};

static const struct route routes[] = {
        { "GET", "/livez", false, NEEDS_NOTHING, OPERATOR_VIEWER, get_live, CONF_OPEN_HEALTH },
        { "GET", "/readyz", false, NEEDS_NOTHING, OPERATOR_VIEWER, get_ready, CONF_OPEN_HEALTH },
        { "GET", "/metrics", false, NEEDS_NOTHING, OPERATOR_VIEWER, get_metrics, CONF_OPEN_METRICS },
        { "GET", "/v1/cluster", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_cluster },
        { "GET", "/v1/disruption", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_disruption },
        { "POST", "/v1/disruption", false, NEEDS_NOTHING, OPERATOR_OPERATOR, admin_post_disruption },
        { "GET", "/v1/nodes", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_nodes },
        { "GET", "/v1/nodes/", true, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_node },
        { "POST", "/v1/nodes/", true, NEEDS_NOTHING, OPERATOR_OPERATOR, admin_post_node },
        { "GET", "/v1/controllers", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_controllers },
        { "POST", "/v1/controllers", false, NEEDS_NOTHING, OPERATOR_ADMIN, admin_post_controllers },
        { "DELETE", "/v1/controllers/", true, NEEDS_NOTHING, OPERATOR_ADMIN, admin_delete_controller },
        { "POST", "/v1/transfer", false, NEEDS_NOTHING, OPERATOR_OPERATOR, admin_post_transfer },
        { "GET", "/v1/topics", false, NEEDS_READY, OPERATOR_VIEWER, admin_get_topics },
        { "POST", "/v1/topics", false, NEEDS_READY, OPERATOR_ADMIN, admin_post_topics },
        { "GET", "/v1/topics/", true, NEEDS_READY, OPERATOR_VIEWER, admin_get_topic },
        { "DELETE", "/v1/topics/", true, NEEDS_READY, OPERATOR_ADMIN, admin_delete_topic },
        { "GET", "/v1/reassignments", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_reassignments },
        { "POST", "/v1/reassignments", false, NEEDS_NOTHING, OPERATOR_OPERATOR, admin_post_reassignments },
        { "POST", "/v1/elections", false, NEEDS_NOTHING, OPERATOR_OPERATOR, admin_post_elections },
        { "GET", "/v1/groups", false, NEEDS_READY, OPERATOR_VIEWER, admin_get_groups },
        { "GET", "/v1/groups/", true, NEEDS_READY, OPERATOR_VIEWER, admin_get_group },
        { "GET", "/v1/quotas", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_quotas },
        { "POST", "/v1/quotas", false, NEEDS_NOTHING, OPERATOR_OPERATOR, admin_post_quotas },
        { "GET", "/v1/acls", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_acls },
        { "POST", "/v1/acls", false, NEEDS_NOTHING, OPERATOR_ADMIN, admin_post_acls },
        { "GET", "/v1/audit", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_audit },
        { "GET", "/v1/audit/entries", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_audit_entries },
        { "GET", "/v1/audit/verify", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_audit_verify },
        { "POST", "/v1/audit/key", false, NEEDS_NOTHING, OPERATOR_ADMIN, admin_post_audit_key },
        { "GET", "/v1/users", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_get_users },
        { "POST", "/v1/users", false, NEEDS_NOTHING, OPERATOR_ADMIN, admin_post_users },
        { "GET", "/v1/users/", true, NEEDS_NOTHING, OPERATOR_ADMIN, admin_get_user },
        { "DELETE", "/v1/users/", true, NEEDS_NOTHING, OPERATOR_ADMIN, admin_delete_user },
        { "POST", "/v1/rotations", false, NEEDS_NOTHING, OPERATOR_ADMIN, admin_post_rotations },
        { "GET", "/v1/transactions", false, NEEDS_READY, OPERATOR_VIEWER, admin_get_txns },
        { "POST", "/v1/transactions", false, NEEDS_READY, OPERATOR_OPERATOR, admin_post_txns },
        { "GET", "/v1/transactions/", true, NEEDS_READY, OPERATOR_VIEWER, admin_get_txn },
        { "GET", "/v1/here/health", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_here_health },
        { "GET", "/v1/here/node", false, NEEDS_NOTHING, OPERATOR_VIEWER, admin_here_node },
        { "GET", "/v1/here/topics", false, NEEDS_INGEST, OPERATOR_VIEWER, admin_here_topics },
        { "GET", "/v1/here/topics/", true, NEEDS_INGEST, OPERATOR_VIEWER, admin_here_topic },
        { "GET", "/v1/here/groups", false, NEEDS_INGEST, OPERATOR_VIEWER, admin_here_groups },
        { "GET", "/v1/here/groups/", true, NEEDS_INGEST, OPERATOR_VIEWER, admin_here_group },
        { "GET", "/v1/here/transactions", false, NEEDS_INGEST, OPERATOR_VIEWER, admin_here_txns },
        { "GET", "/v1/here/transactions/", true, NEEDS_INGEST, OPERATOR_VIEWER, admin_here_txn },
        { "GET", "/v1/verify", false, NEEDS_INGEST, OPERATOR_VIEWER, admin_get_verify },
        { "POST", "/v1/verify", false, NEEDS_INGEST, OPERATOR_OPERATOR, admin_post_verify },
};

/* Does @path lead to @r? Then *@ret_name is what follows. */
static bool route_fits(const struct route *r, const char *path, const char **ret_name)
{
        size_t len = strlen(r->path);

        *ret_name = path + len;
        return !strncmp(path, r->path, len) && r->named == (path[len] != '\0');
}

static void answer_no_route(struct http_request *rq)
{
        const char *name;
        size_t len = 0;

        for (size_t i = 0; i < ARRAY_LEN(routes); i++)
                if (route_fits(&routes[i], rq->path, &name) && len + 16 < sizeof rq->allow)
                        len += (size_t)snprintf(rq->allow + len, sizeof rq->allow - len, "%s%s%s", len ? ", " : "",
                                                routes[i].method, strcmp(routes[i].method, "GET") ? "" : ", HEAD");
        if (len)
                admin_answer_error(rq, 405, "%s has no %s; it has %s.", rq->path, rq->method, rq->allow);
        else
                admin_answer_error(rq, 404,
                                   "There is no %s. There are /livez, /readyz, /metrics, /v1/cluster, /v1/nodes, "
                                   "/v1/controllers, /v1/transfer, /v1/disruption, /v1/topics, /v1/reassignments, "
                                   "/v1/elections, /v1/groups, /v1/quotas, /v1/acls, /v1/audit, /v1/users, "
                                   "/v1/rotations, /v1/transactions and "
                                   "/v1/verify.",
                                   rq->path);
}

/* False has been answered. */
static bool may_answer(struct node *n, struct http_request *rq, enum needs needs)
{
        bool stopping = atomic_load(&n->stopping);

        if (needs == NEEDS_INGEST && !n->store)
                admin_answer_error(rq, 404,
                                   "Node %d has no records: it is a controller only. Ask a node with the "
                                   "role ingest; `chronik-ctl node list` shows them.",
                                   n->led.node_id);
        else if (needs != NEEDS_NOTHING && (stopping || (n->store && !atomic_load(&n->ready))))
                admin_answer_error(rq, 503, "This node is %s; try again.", stopping ? "stopping" : "starting");
        else
                return true;
        return false;
}

/* False has been answered. */
static bool is_readable(struct http_request *rq)
{
        bool readable = utf8_is_valid(str_of(rq->path));

        if (!readable)
                admin_answer_error(rq, 400, "The path is not UTF-8.");
        return readable;
}

/* NULL: there is none. */
static const struct route *find_route(const struct http_request *rq, const char **ret_name)
{
        for (size_t i = 0; i < ARRAY_LEN(routes); i++)
                if (!strcmp(rq->method, routes[i].method) && route_fits(&routes[i], rq->path, ret_name))
                        return &routes[i];
        return NULL;
}

static void take_route(struct node *n, struct http_request *rq, const struct route *r, const char *name)
{
        if (!r)
                answer_no_route(rq);
        else if (may_answer(n, rq, r->needs))
                r->fn(n, rq, name);
}

/* The role that @rq needs. Two paths are worse than their neighbours: they may lose records, or a node. */
static enum operator_role role_needed(const struct node *n, const struct http_request *rq, const struct route *r)
{
        static const char decommission[] = "/decommission";
        size_t len = strlen(rq->path);

        if (!r)
                return OPERATOR_VIEWER; /* also what there is, is told to those that have a role */
        if (r->open & n->conf->admin.open)
                return OPERATOR_NOBODY;
        if (r->fn == admin_post_node && len >= sizeof decommission - 1 &&
            !strcmp(rq->path + len - (sizeof decommission - 1), decommission))
                return OPERATOR_ADMIN;
        return r->role;
}

void admin_serve(void *node, struct http_request *rq)
{
        struct node *n = node;
        const struct route *r;
        const char *name = NULL;

        if (!is_readable(rq))
                return;
        r = find_route(rq, &name);
        if (!admin_gate_lets(n->gate, rq, role_needed(n, rq, r)))
                return;
        take_route(n, rq, r, name);
        admin_gate_note(n->gate, rq);
}

void admin_answer(struct node *n, struct http_request *rq)
{
        const struct route *r;
        const char *name = NULL;

        rq->rights = OPERATOR_ADMIN;
        if (is_readable(rq)) {
                r = find_route(rq, &name);
                take_route(n, rq, r, name);
        }
}
