/* The admin listener: health, metrics, and the REST interface of chronik-ctl.
 *
 *   GET /livez /readyz /metrics
 *   GET /v1/cluster
 *   GET /v1/topics          POST /v1/topics {"name", "partitions", "replication_factor", "configs": {}}
 *   GET /v1/topics/NAME     DELETE /v1/topics/NAME
 *   GET /v1/groups          GET /v1/groups/NAME
 *   POST /v1/verify {"topic", "partition", "bytes_per_second"}   GET /v1/verify
 *
 * HEAD goes wherever GET does. Errors: {"error": "what was wrong and what would be right"}. */
#include <jansson.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chronikd/admin.h"
#include "sys/file.h"

/* ---- cluster ---- */

static json_t *json_broker(const struct meta_broker *b)
{
        const struct meta_endpoint *e = b->endpoints_count ? &b->endpoints[0] : NULL;

        return json_pack("{s:i, s:b, s:o, s:o, s:i}", "id", b->id, "fenced", b->fenced, "rack", admin_json_str(b->rack),
                         "host", admin_json_str(e ? e->host : STR_NULL), "port", e ? e->port : 0);
}

static void get_cluster(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        struct controller_status controller;
        struct coord_stats groups;
        struct plog_store_stats logs;
        uint64_t bytes_free = 0, bytes_total = 0;
        json_t *brokers = json_array();
        const struct meta_broker *b;
        int live = 0;

        (void)arg;
        controller_status(n->controller, &controller);
        coord_stats(n->coord, &groups);
        plog_store_stats(n->store, &logs);
        file_space(n->conf->server.data_dir, &bytes_free, &bytes_total);
        pmap_for_each (it, b, &image->brokers) {
                live += !b->fenced;
                json_array_append_new(brokers, json_broker(b));
        }
        admin_answer_json(
                rq,
                json_pack("{s:o, s:s, s:s, s:i, s:i, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:o}", "cluster_id",
                          admin_json_str(image->cluster_id), "version", CHRONIK_VERSION, "health",
                          live == (int)image->brokers.count && !logs.logs_failed ? "ok" : "degraded", "controller",
                          controller.leader_id, "controller_term", controller.term, "metadata_index",
                          (json_int_t)image->index, "topics", (int)image->topics_by_name.count, "partitions",
                          (json_int_t)image->partitions_count, "groups", (json_int_t)groups.groups, "group_members",
                          (json_int_t)groups.members, "disk_free_bytes", (json_int_t)bytes_free, "disk_size_bytes",
                          (json_int_t)bytes_total, "partitions_read_only", (int)logs.logs_failed, "nodes", brokers));
        meta_image_unref(image);
}

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
        progress_text(n, progress);
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

struct route {
        const char *method, *path;
        bool named; /* a name follows */
        bool ready; /* answered only while the node serves */
        void (*fn)(struct node *n, struct http_request *rq, const char *name);
};

static const struct route routes[] = {
        { "GET", "/livez", false, false, get_live },
        { "GET", "/readyz", false, false, get_ready },
        { "GET", "/metrics", false, false, get_metrics },
        { "GET", "/v1/cluster", false, true, get_cluster },
        { "GET", "/v1/topics", false, true, admin_get_topics },
        { "POST", "/v1/topics", false, true, admin_post_topics },
        { "GET", "/v1/topics/", true, true, admin_get_topic },
        { "DELETE", "/v1/topics/", true, true, admin_delete_topic },
        { "GET", "/v1/groups", false, true, admin_get_groups },
        { "GET", "/v1/groups/", true, true, admin_get_group },
        { "GET", "/v1/verify", false, true, admin_get_verify },
        { "POST", "/v1/verify", false, true, admin_post_verify },
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
                                   "There is no %s. There are /livez, /readyz, /metrics, /v1/cluster, /v1/topics, "
                                   "/v1/groups and /v1/verify.",
                                   rq->path);
}

void admin_answer(void *node, struct http_request *rq)
{
        struct node *n = node;
        const char *name;

        if (!utf8_is_valid(str_of(rq->path))) {
                admin_answer_error(rq, 400, "The path is not UTF-8.");
                return;
        }
        for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
                if (strcmp(rq->method, routes[i].method) != 0 || !route_fits(&routes[i], rq->path, &name))
                        continue;
                if (routes[i].ready && (!atomic_load(&n->ready) || atomic_load(&n->stopping)))
                        admin_answer_error(rq, 503, "This node is %s; try again.",
                                           atomic_load(&n->stopping) ? "stopping" : "starting");
                else
                        routes[i].fn(n, rq, name);
                return;
        }
        answer_no_route(rq);
}
