/* The admin listener: health, metrics, and the REST interface of chronik-ctl.
 *
 *   GET /livez /readyz /metrics
 *   GET /v1/cluster
 *   GET /v1/topics          POST /v1/topics {"name", "partitions", "replication_factor", "configs": {}}
 *   GET /v1/topics/NAME     DELETE /v1/topics/NAME
 *   GET /v1/groups          GET /v1/groups/NAME
 *
 * HEAD goes wherever GET does. Errors: {"error": "what was wrong and what would be right"}. */
#include <jansson.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chronikd/ask.h"
#include "conf/limits.h"
#include "meta/names.h"
#include "sys/file.h"

static void answer_json(struct http_request *rq, json_t *value)
{
        char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

        if (!text)
                rq->out.failed = true;
        else
                strbuf_printf(&rq->out, "%s\n", text);
        free(text);
        json_decref(value);
}

static void answer_error(struct http_request *rq, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void answer_error(struct http_request *rq, unsigned status, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        rq->status = status;
        answer_json(rq, json_pack("{s:o}", "error", json_vsprintf(fmt, ap)));
        va_end(ap);
}

/* What clients call themselves and their groups need not be UTF-8, JSON must be. */
static json_t *json_str(struct str s)
{
        CLEANUP(strbuf_finip) struct strbuf clean = { 0 };

        if (!s.p)
                return json_null();
        if (utf8_is_valid(s))
                return json_stringn(s.p, s.len);
        utf8_add_clean(&clean, s);
        return clean.failed ? NULL : json_stringn(clean.data, clean.len);
}

static json_t *json_ids(const int32_t *ids, size_t count)
{
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++)
                json_array_append_new(list, json_integer(ids[i]));
        return list;
}

/* ---- cluster ---- */

static json_t *json_broker(const struct meta_broker *b)
{
        const struct meta_endpoint *e = b->endpoints_count ? &b->endpoints[0] : NULL;

        return json_pack("{s:i, s:b, s:o, s:o, s:i}", "id", b->id, "fenced", b->fenced, "rack", json_str(b->rack),
                         "host", json_str(e ? e->host : STR_NULL), "port", e ? e->port : 0);
}

static void get_cluster(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        struct controller_status controller;
        struct coord_stats groups;
        uint64_t bytes_free = 0, bytes_total = 0;
        json_t *brokers = json_array();
        const struct meta_broker *b;
        int live = 0;

        (void)arg;
        controller_status(n->controller, &controller);
        coord_stats(n->coord, &groups);
        file_space(n->conf->server.data_dir, &bytes_free, &bytes_total);
        pmap_for_each (it, b, &image->brokers) {
                live += !b->fenced;
                json_array_append_new(brokers, json_broker(b));
        }
        answer_json(rq,
                    json_pack("{s:o, s:s, s:s, s:i, s:i, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:o}", "cluster_id",
                              json_str(image->cluster_id), "version", CHRONIK_VERSION, "health",
                              live == (int)image->brokers.count ? "ok" : "degraded", "controller", controller.leader_id,
                              "controller_term", controller.term, "metadata_index", (json_int_t)image->index, "topics",
                              (int)image->topics_by_name.count, "partitions", (json_int_t)image->partitions_count,
                              "groups", (json_int_t)groups.groups, "group_members", (json_int_t)groups.members,
                              "disk_free_bytes", (json_int_t)bytes_free, "disk_size_bytes", (json_int_t)bytes_total,
                              "nodes", brokers));
        meta_image_unref(image);
}

/* ---- topics ---- */

static json_t *json_partition(struct node *n, const struct meta_image *image, const struct meta_topic *t, int32_t index)
{
        const struct meta_partition *mp = meta_topic_partition(t, index);
        struct partition *p = partition_table_find(n->table, t->id, index);
        json_t *out = json_pack("{s:i, s:i, s:i, s:o, s:o}", "partition", index, "leader", meta_image_leader(image, mp),
                                "leader_epoch", mp->leader_epoch, "replicas",
                                json_ids(meta_partition_replicas(mp), mp->replicas_count), "isr",
                                json_ids(meta_partition_isr(mp), mp->isr_count));
        struct partition_view view;
        struct plog_ends ends;

        if (!p)
                return out;
        partition_view(p, &view);
        plog_ends(partition_log(p), &ends);
        json_object_set_new(out, "start_offset", json_integer(view.start_offset));
        json_object_set_new(out, "high_watermark", json_integer(view.high_watermark));
        json_object_set_new(out, "end_offset", json_integer(view.end_offset));
        json_object_set_new(out, "size_bytes", json_integer(ends.size_bytes));
        json_object_set_new(out, "state", json_string(view.failed ? "read-only" : "ok"));
        partition_unref(p);
        return out;
}

static json_t *json_topic(struct node *n, const struct meta_image *image, const struct meta_topic *t, bool detailed)
{
        char id[UUID_TEXT_SIZE];
        int64_t size = 0, records = 0;
        json_t *partitions = json_array(), *configs = json_object(), *out;
        const struct meta_configs *set = meta_image_configs(image, META_RESOURCE_TOPIC, t->name);

        for (uint32_t i = 0; i < t->partitions_count; i++) {
                json_t *p = json_partition(n, image, t, (int32_t)i);

                size += json_integer_value(json_object_get(p, "size_bytes"));
                records += json_integer_value(json_object_get(p, "high_watermark")) -
                           json_integer_value(json_object_get(p, "start_offset"));
                json_array_append_new(partitions, p);
        }
        for (uint32_t i = 0; set && i < set->count; i++) {
                char name[256];

                snprintf(name, sizeof name, "%.*s", STR_FMT(set->items[i].name));
                json_object_set_new(configs, name, json_str(set->items[i].value));
        }
        uuid_format(t->id, id);
        out = json_pack("{s:o, s:s, s:b, s:i, s:i, s:I, s:I, s:o}", "name", json_str(t->name), "id", id, "internal",
                        meta_topic_is_internal(t->name), "partitions", (int)t->partitions_count, "replication_factor",
                        t->partitions_count ? meta_topic_partition(t, 0)->replicas_count : 0, "size_bytes",
                        (json_int_t)size, "offsets", (json_int_t)records, "configs", configs);
        if (detailed)
                json_object_set(out, "partition_list", partitions);
        json_decref(partitions);
        return out;
}

static void get_topics(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *list = json_array();
        const struct meta_topic *t;

        (void)arg;
        pmap_for_each (it, t, &image->topics_by_name)
                json_array_append_new(list, json_topic(n, image, t, false));
        answer_json(rq, json_pack("{s:o}", "topics", list));
        meta_image_unref(image);
}

static void get_topic(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic(image, str_of(name));

        if (t)
                answer_json(rq, json_topic(n, image, t, true));
        else
                answer_error(rq, 404, "There is no topic '%s'. `chronik-ctl topic list` shows what there is.", name);
        meta_image_unref(image);
}

/* The status of what the controller said, and its text. */
static void answer_result(struct http_request *rq, const struct controller_request *crq,
                          const struct controller_result *item, const char *done)
{
        const struct controller_result *result = crq->result.outcome ? &crq->result : item;
        unsigned status = result->outcome == CONTROLLER_E_TOPIC_UNKNOWN  ? 404
                          : result->outcome == CONTROLLER_E_TOPIC_EXISTS ? 409
                          : crq->result.outcome                          ? 503
                                                                         : 400;

        if (result->outcome == CONTROLLER_OK)
                answer_json(rq, json_pack("{s:s}", "result", done));
        else
                answer_error(rq, status, "%.*s", STR_FMT(result->message));
}

/* What is read of the body of POST /v1/topics. Texts are the JSON value's. */
struct topic_body {
        const char *name;
        int partitions, replication_factor; /* -1: the node's default */
        struct conf_pair configs[64];
        int32_t configs_count;
};

/* A member of @body that is a number from 1 to @max or absent. */
static bool number_read(json_t *body, const char *key, int max, int *ret, char *why, size_t size)
{
        json_t *v = json_object_get(body, key);

        if (v && (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > max)) {
                snprintf(why, size, "\"%s\" must be a number from 1 to %d.", key, max);
                return false;
        }
        *ret = v ? (int)json_integer_value(v) : -1;
        return true;
}

static bool configs_read(json_t *object, struct topic_body *ret, char *why, size_t size)
{
        const char *name;
        json_t *value;

        ret->configs_count = 0;
        if (object && !json_is_object(object)) {
                snprintf(why, size, "\"configs\" must be an object of texts.");
                return false;
        }
        json_object_foreach (object, name, value) {
                if (!json_is_string(value)) {
                        snprintf(why, size, "\"configs\": %.100s must be a text in quotation marks.", name);
                        return false;
                }
                if (ret->configs_count == ARRAY_LEN(ret->configs)) {
                        snprintf(why, size, "\"configs\" has more than %zu members.", ARRAY_LEN(ret->configs));
                        return false;
                }
                ret->configs[ret->configs_count++] =
                        (struct conf_pair){ str_of(name), str_of(json_string_value(value)) };
        }
        return true;
}

static bool topic_body_read(json_t *body, struct topic_body *ret, char *why, size_t size)
{
        static const char *const known[] = { "name", "partitions", "replication_factor", "configs" };
        const char *key;
        json_t *value;

        json_object_foreach (body, key, value) {
                size_t i = 0;

                while (i < ARRAY_LEN(known) && strcmp(key, known[i]) != 0)
                        i++;
                if (i == ARRAY_LEN(known)) {
                        snprintf(why, size, "\"%.100s\" is not known.", key);
                        return false;
                }
        }
        ret->name = json_string_value(json_object_get(body, "name"));
        if (!ret->name) {
                snprintf(why, size,
                         json_is_object(body) ? "\"name\" must be there, and a text." : "It is not an object.");
                return false;
        }
        return number_read(body, "partitions", LIMIT_PARTITIONS_PER_TOPIC, &ret->partitions, why, size) &&
               number_read(body, "replication_factor", INT16_MAX, &ret->replication_factor, why, size) &&
               configs_read(json_object_get(body, "configs"), ret, why, size);
}

static void post_topics(struct node *n, struct http_request *rq, const char *name)
{
        json_error_t fault;
        json_t *body = json_loadb(rq->body.p ? rq->body.p : "", rq->body.len, JSON_REJECT_DUPLICATES, &fault);
        struct controller_create_topic topic = { 0 };
        struct controller_request ask = {
                .op = CONTROLLER_CREATE_TOPICS, .wait_applied = true, .items = &topic, .items_count = 1
        };
        struct topic_body in;
        struct arena mem;
        char why[256];

        (void)name;
        if (!body)
                snprintf(why, sizeof why, "It is not JSON: %s.", fault.text);
        if (!body || !topic_body_read(body, &in, why, sizeof why)) {
                answer_error(rq, 400,
                             "The body must be {\"name\": text, \"partitions\": number, \"replication_factor\": "
                             "number, \"configs\": {name: text}}; all but the name may be left out. %s",
                             why);
                json_decref(body);
                return;
        }
        arena_init(&mem, 0);
        ask.mem = &mem;
        topic.name = str_of(in.name);
        topic.partitions_count = in.partitions;
        topic.replication_factor = (int16_t)in.replication_factor;
        topic.configs = in.configs;
        topic.configs_count = in.configs_count;
        ask_controller(n, &ask);
        answer_result(rq, &ask, &topic.result, "created");
        arena_fini(&mem);
        json_decref(body);
}

static void delete_topic(struct node *n, struct http_request *rq, const char *name)
{
        struct controller_delete_topic topic = { .name = str_of(name) };
        struct controller_request ask = {
                .op = CONTROLLER_DELETE_TOPICS, .wait_applied = true, .items = &topic, .items_count = 1
        };
        struct arena mem;

        arena_init(&mem, 0);
        ask.mem = &mem;
        ask_controller(n, &ask);
        answer_result(rq, &ask, &topic.result, "deleted");
        arena_fini(&mem);
}

/* ---- groups ---- */

static void get_groups(struct node *n, struct http_request *rq, const char *arg)
{
        struct coord_list ask = { 0 };
        json_t *list = json_array();

        (void)arg;
        coord_request_init(&ask.rq, COORD_LIST, STR_NULL);
        ask_coord(n, &ask.rq);
        for (int32_t i = 0; i < ask.ret_groups_count; i++) {
                const struct coord_listed_group *g = &ask.ret_groups[i];

                json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:o}", "name", json_str(g->group_id), "state",
                                                      coord_group_state_name(g->state), "type",
                                                      coord_group_type_name(g->type), "protocol_type",
                                                      json_str(g->protocol_type)));
        }
        answer_json(rq, json_pack("{s:o, s:b}", "groups", list, "complete", ask.rq.outcome == COORD_OK));
        coord_request_fini(&ask.rq);
}

static json_t *json_offset(struct node *n, const struct meta_image *image, const struct coord_fetch_item *item)
{
        const struct meta_topic *t = meta_image_topic(image, item->topic);
        struct partition *p = t ? partition_table_find(n->table, t->id, item->partition) : NULL;
        json_t *out = json_pack("{s:o, s:i, s:I}", "topic", json_str(item->topic), "partition", item->partition,
                                "committed_offset", (json_int_t)item->ret_offset);
        struct partition_view view;

        if (!p)
                return out;
        partition_view(p, &view);
        json_object_set_new(out, "end_offset", json_integer(view.high_watermark));
        json_object_set_new(out, "lag", json_integer(MAX2(view.high_watermark - item->ret_offset, (int64_t)0)));
        partition_unref(p);
        return out;
}

static json_t *json_offsets(struct node *n, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        struct coord_offset_fetch ask = { .all = true };
        json_t *list = json_array();

        coord_request_init(&ask.rq, COORD_OFFSET_FETCH, str_of(name));
        ask.all = true;
        ask_coord(n, &ask.rq);
        for (int32_t i = 0; i < ask.items_count; i++)
                json_array_append_new(list, json_offset(n, image, &ask.items[i]));
        coord_request_fini(&ask.rq);
        meta_image_unref(image);
        return list;
}

static void get_group(struct node *n, struct http_request *rq, const char *name)
{
        struct coord_describe ask = { 0 };
        json_t *members = json_array();

        coord_request_init(&ask.rq, COORD_DESCRIBE, str_of(name));
        ask_coord(n, &ask.rq);
        for (int32_t i = 0; i < ask.ret_members_count; i++) {
                const struct coord_described_member *m = &ask.ret_members[i];

                json_array_append_new(members, json_pack("{s:o, s:o, s:o, s:o}", "id", json_str(m->member_id),
                                                         "instance_id", json_str(m->instance_id), "client_id",
                                                         json_str(m->client_id), "host", json_str(m->client_host)));
        }
        if (ask.rq.outcome == COORD_OK)
                answer_json(rq, json_pack("{s:s, s:s, s:o, s:o, s:i, s:O, s:o}", "name", name, "state",
                                          coord_group_state_name(ask.ret_state), "protocol_type",
                                          json_str(ask.ret_protocol_type), "assignor", json_str(ask.ret_protocol_name),
                                          "generation", ask.ret_generation, "members", members, "offsets",
                                          json_offsets(n, name)));
        else if (ask.rq.outcome == COORD_E_GROUP_NOT_FOUND || ask.rq.outcome == COORD_E_NOT_COORDINATOR)
                answer_error(rq, 404, "There is no group '%s'. `chronik-ctl group list` shows what there is.", name);
        else
                answer_error(rq, 503, "The coordinator of group '%s' is not ready yet; try again.", name);
        json_decref(members);
        coord_request_fini(&ask.rq);
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

        (void)name;
        rq->content_type = "text/plain; charset=utf-8";
        rq->status = ready ? 200 : 503;
        strbuf_add_c(&rq->out, ready ? "ready\n" : stopping ? "stopping\n" : "starting\n");
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
        { "GET", "/livez", false, false, get_live },      { "GET", "/readyz", false, false, get_ready },
        { "GET", "/metrics", false, false, get_metrics }, { "GET", "/v1/cluster", false, true, get_cluster },
        { "GET", "/v1/topics", false, true, get_topics }, { "POST", "/v1/topics", false, true, post_topics },
        { "GET", "/v1/topics/", true, true, get_topic },  { "DELETE", "/v1/topics/", true, true, delete_topic },
        { "GET", "/v1/groups", false, true, get_groups }, { "GET", "/v1/groups/", true, true, get_group },
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
                answer_error(rq, 405, "%s has no %s; it has %s.", rq->path, rq->method, rq->allow);
        else
                answer_error(rq, 404,
                             "There is no %s. There are /livez, /readyz, /metrics, /v1/cluster, /v1/topics and "
                             "/v1/groups.",
                             rq->path);
}

void admin_answer(void *node, struct http_request *rq)
{
        struct node *n = node;
        const char *name;

        if (!utf8_is_valid(str_of(rq->path))) {
                answer_error(rq, 400, "The path is not UTF-8.");
                return;
        }
        for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
                if (strcmp(rq->method, routes[i].method) != 0 || !route_fits(&routes[i], rq->path, &name))
                        continue;
                if (routes[i].ready && (!atomic_load(&n->ready) || atomic_load(&n->stopping)))
                        answer_error(rq, 503, "This node is %s; try again.",
                                     atomic_load(&n->stopping) ? "stopping" : "starting");
                else
                        routes[i].fn(n, rq, name);
                return;
        }
        answer_no_route(rq);
}
