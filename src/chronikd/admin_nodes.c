/* /v1/nodes of the admin listener: brokers as the metadata has them, controllers as the active one knows them, and what is asked
 * of a broker for longer than a restart. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "sys/clock.h"

static const char *duty_name(uint8_t duty)
{
        return duty == META_DUTY_LEAVING ? "leaving" : duty == META_DUTY_DRAINED ? "drained" : "none";
}

/* Where clients find it: the first endpoint that is not for other nodes. */
static const struct meta_endpoint *client_endpoint(const struct meta_broker *b)
{
        for (uint32_t i = 0; i < b->endpoints_count; i++)
                if (!str_equal_c(b->endpoints[i].listener, "PEER"))
                        return &b->endpoints[i];
        return NULL;
}

static void add_broker(json_t *out, const struct meta_broker *b, const struct tally_node *t)
{
        const struct meta_endpoint *e = client_endpoint(b), *peer = meta_broker_endpoint(b, STR_LIT("PEER"));
        char address[300];

        json_object_set_new(out, "state", json_string(tally_state(b, t)));
        json_object_set_new(out, "fenced", json_boolean(b->fenced));
        json_object_set_new(out, "stopping", json_boolean(b->in_shutdown));
        json_object_set_new(out, "duty", json_string(duty_name(b->duty)));
        json_object_set_new(out, "rack", admin_json_str(b->rack));
        json_object_set_new(out, "host", admin_json_str(e ? e->host : STR_NULL));
        json_object_set_new(out, "port", json_integer(e ? e->port : 0));
        if (peer) {
                snprintf(address, sizeof address, "%.*s:%u", STR_FMT(peer->host), peer->port);
                json_object_set_new(out, "peer_address", admin_json_str(str_of(address)));
        }
        json_object_set_new(out, "epoch", json_integer(b->epoch));
        json_object_set_new(out, "leaders", json_integer(t->leads));
        json_object_set_new(out, "leaders_movable", json_integer(t->leads_movable));
        json_object_set_new(out, "leaders_under_replicated", json_integer(t->leads_under_replicated));
        json_object_set_new(out, "leaders_below_min_isr", json_integer(t->leads_below_min_isr));
        json_object_set_new(out, "replicas", json_integer(t->replicas));
        json_object_set_new(out, "replicas_behind", json_integer(t->behind));
}

/* How this node gets on with another one: what it dialled, and why that failed last. */
static void add_link(json_t *out, struct node *n, int32_t id)
{
        struct peer_info info;
        json_t *link;
        bool up = false;

        if (!n->mesh.hub || id == n->led.node_id || !peer_hub_find(n->mesh.hub, id, &info))
                return;
        for (size_t i = 0; i < PEER_LANES_COUNT; i++)
                up |= info.links[i].up;
        link = json_pack("{s:i, s:b, s:b}", "from", n->led.node_id, "up", up, "connected", up || info.in_count);
        if (info.error[0]) {
                json_object_set_new(link, "error", admin_json_str(str_of(info.error)));
                json_object_set_new(link, "error_ms_ago",
                                    json_integer(MAX2(clock_wall_ms() - info.error_ms, INT64_C(0))));
        }
        if (info.known) {
                json_object_set_new(out, "program", admin_json_str(str_of(info.peer.program)));
                json_object_set_new(link, "clock_ahead_ms", json_integer(info.clock_ahead_ms));
        }
        json_object_set_new(out, "link", link);
}

/* @b, @m: either may be NULL, not both. */
static json_t *json_node(struct node *n, const struct meta_broker *b, const struct tally_node *t,
                         const struct quorum_view *v, const struct controller_member *m)
{
        json_t *out = json_object(), *roles = json_array();
        bool controls = m && m->kind != CONTROLLER_OBSERVER;

        json_object_set_new(out, "id", json_integer(b ? b->id : m->node_id));
        if (controls)
                json_array_append_new(roles, json_string("controller"));
        if (b)
                json_array_append_new(roles, json_string("ingest"));
        json_object_set_new(out, "roles", roles);
        if (b)
                add_broker(out, b, t);
        else
                json_object_set_new(out, "state", json_string(quorum_member_is_silent(v, m) ? "silent" : "active"));
        add_link(out, n, b ? b->id : m->node_id);
        if (!m)
                return out;
        if (!json_object_get(out, "peer_address"))
                json_object_set_new(out, "peer_address", admin_json_str(m->address));
        json_object_set_new(out, "metadata", quorum_json_member(v, m));
        return out;
}

/* ---- what a node has itself ---- */

static int count_damage(void *arg, struct partition *p)
{
        struct plog_ends ends;

        plog_ends(partition_log(p), &ends);
        *(json_int_t *)arg += ends.damaged_ranges;
        return 0;
}

static json_t *json_here(struct node *n)
{
        struct plog_store_stats logs = { 0 };
        struct coord_stats groups = { 0 };
        uint64_t bytes_free, bytes_total;
        json_int_t damaged = 0;

        if (n->coord)
                coord_stats(n->coord, &groups);
        if (n->store) {
                plog_store_stats(n->store, &logs);
                (void)partition_table_visit(n->table, count_damage, &damaged); /* when memory is out: the next time */
        }
        node_disk_space(n, &bytes_free, &bytes_total);
        return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "groups", (json_int_t)groups.groups, "group_members",
                         (json_int_t)groups.members, "disk_free_bytes", (json_int_t)bytes_free, "disk_size_bytes",
                         (json_int_t)bytes_total, "partitions_read_only", (json_int_t)logs.logs_failed,
                         "damaged_ranges", damaged);
}

void admin_here_node(struct node *n, struct http_request *rq, const char *name)
{
        (void)name;
        admin_answer_json(rq, json_here(n));
}

/* ---- nodes ---- */

/* Does @m follow the metadata without being a broker, or registered? Observers without a registration come and go. */
static bool is_controller_only(const struct meta_image *image, const struct controller_member *m)
{
        return m->kind != CONTROLLER_OBSERVER && !meta_image_broker(image, m->node_id);
}

static json_t *json_one(struct node *n, const struct meta_image *image, const struct tally *t,
                        const struct quorum_view *v, int32_t id)
{
        const struct meta_broker *b = meta_image_broker(image, id);
        const struct controller_member *m = quorum_view_find(v, id);

        return b || (m && is_controller_only(image, m)) ? json_node(n, b, tally_find(t, id), v, m) : NULL;
}

static int compare_ids(const void *a, const void *b)
{
        int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

        return (x > y) - (x < y);
}

static void add_said(struct node *n, json_t *node, const struct look_ask *said)
{
        struct peer_info info;
        bool known = peer_hub_find(n->mesh.hub, said->node, &info) && info.error[0];

        if (said->status == 200)
                json_object_update_missing(node, said->body);
        else if (!said->status)
                json_object_set_new(node, "unanswered",
                                    json_sprintf("%s%s%s", said->why, known ? ": " : "", known ? info.error : ""));
}

/* What each node says of itself, or why it does not answer. */
static void add_here(struct node *n, const struct meta_image *image, json_t *nodes)
{
        struct look_ask *asks = NULL;
        size_t count = look_ask_others(n, image, "/v1/here/node", &asks), i;
        json_t *node, *own;

        json_array_foreach (nodes, i, node) {
                int32_t id = (int32_t)json_integer_value(json_object_get(node, "id"));

                for (size_t k = 0; k < count; k++)
                        if (asks[k].node == id)
                                add_said(n, node, &asks[k]);
                if (id != n->led.node_id)
                        continue;
                own = json_here(n);
                json_object_update_missing(node, own);
                json_decref(own);
        }
        look_asks_free(asks, count);
}

json_t *admin_json_nodes(struct node *n, const struct meta_image *image, const struct tally *t,
                         const struct quorum_view *v)
{
        size_t members = v->is_known ? (size_t)v->told.members_count : 0, count = 0;
        CLEANUP(freep) int32_t *ids = calloc(t->nodes_count + members + 1, sizeof *ids);
        json_t *list = ids ? json_array() : NULL;

        for (size_t i = 0; ids && i < t->nodes_count; i++)
                ids[count++] = t->nodes[i].id;
        for (size_t i = 0; ids && i < members; i++)
                if (is_controller_only(image, &v->told.members[i]))
                        ids[count++] = v->told.members[i].node_id;
        if (count)
                qsort(ids, count, sizeof *ids, compare_ids);
        for (size_t i = 0; i < count; i++)
                if (!i || ids[i] != ids[i - 1])
                        json_array_append_new(list, json_one(n, image, t, v, ids[i]));
        add_here(n, image, list);
        return list;
}

/* ---- routes ---- */

void admin_get_nodes(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        struct quorum_view v;
        struct tally t;

        (void)name;
        quorum_view_take(n, &v);
        if (tally_take(image, n->conf, &t)) {
                admin_answer_json(rq, NULL);
        } else {
                admin_answer_json(rq, json_pack("{s:o, s:o}", "nodes", admin_json_nodes(n, image, &t, &v), "quorum",
                                                quorum_json(&v)));
                tally_fini(&t);
        }
        quorum_view_fini(&v);
        meta_image_unref(image);
}

static void answer_unknown(struct http_request *rq, int32_t id)
{
        admin_answer_error(rq, 404, "There is no node %d. `chronik-ctl node list` shows those that there are.", id);
}

/* Only words that say what to do; who looks for figures finds them beside. */
static json_t *json_may_stop(const struct controller_guard *g)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int32_t named = !str_is_null(g->partitions);

        for (size_t i = 0; i < g->partitions.len; i++)
                named += g->partitions.p[i] == ',';
        if (g->quorum_would_be_lost)
                strbuf_add_c(&why, "the controllers would lose their majority; ");
        if (g->offline)
                strbuf_printf(&why, "%d partition%s would have no leader; ", g->offline, g->offline == 1 ? "" : "s");
        if (g->below_min_isr)
                strbuf_printf(&why, "%d partition%s would have fewer replicas in sync than acks=all needs: %.*s%s; ",
                              g->below_min_isr, g->below_min_isr == 1 ? "" : "s", STR_FMT(g->partitions),
                              named < g->below_min_isr ? ", ..." : "");
        return json_pack("{s:i, s:b, s:o, s:b, s:i, s:i, s:o}", "id", g->node_id, "safe", g->safe, "why",
                         why.len ? json_stringn(why.data, why.len - 2) : json_null(), "quorum_would_be_lost",
                         g->quorum_would_be_lost, "below_min_isr", g->below_min_isr, "offline", g->offline,
                         "partitions", admin_json_str(g->partitions));
}

static void answer_may_stop(struct node *n, struct http_request *rq, int32_t id, const struct quorum_view *v)
{
        struct controller_guard item = { .node_id = id, .quorum_would_be_lost = quorum_view_would_be_lost(v, id) };
        struct controller_request ask = {
                .op = CONTROLLER_GUARD, .items = &item, .items_count = 1, .timeout_ms = QUORUM_VIEW_MS
        };
        struct arena mem;

        arena_init(&mem, 0);
        ask.mem = &mem;
        ask_controller(n, rq, &ask);
        /* Without an active controller nobody can say, and nobody would take over. */
        if (ask.result.outcome)
                admin_answer_json(rq, json_pack("{s:i, s:b, s:o}", "id", id, "safe", 0, "why",
                                                admin_json_str(ask.result.message)));
        else
                admin_answer_result(rq, &ask, &item.result, json_may_stop(&item));
        arena_fini(&mem);
}

/* @one with what it says of itself; a new reference. */
static json_t *with_here(struct node *n, const struct meta_image *image, json_t *one)
{
        json_t *list = json_pack("[O]", one);

        add_here(n, image, list);
        json_decref(list);
        return json_incref(one);
}

static void answer_node(struct node *n, struct http_request *rq, int32_t id, bool may_stop)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *out = NULL;
        struct quorum_view v;
        struct tally t;

        quorum_view_take(n, &v);
        if (tally_take(image, n->conf, &t)) {
                admin_answer_json(rq, NULL);
        } else {
                out = json_one(n, image, &t, &v, id);
                tally_fini(&t);
                if (!out)
                        answer_unknown(rq, id);
                else if (may_stop)
                        answer_may_stop(n, rq, id, &v);
                else
                        admin_answer_json(rq, with_here(n, image, out));
                json_decref(out);
        }
        quorum_view_fini(&v);
        meta_image_unref(image);
}

void admin_get_node(struct node *n, struct http_request *rq, const char *name)
{
        const char *verb;
        int32_t id;

        if (!admin_path_read(rq, name, &id, &verb))
                return;
        if (*verb && strcmp(verb, "may-stop") != 0)
                admin_answer_error(rq, 404, "Of a node there is /v1/nodes/ID and /v1/nodes/ID/may-stop.");
        else
                answer_node(n, rq, id, *verb);
}

void admin_post_node(struct node *n, struct http_request *rq, const char *name)
{
        static const struct {
                const char *verb, *done;
                enum controller_op op;
        } duties[] = {
                { "drain", "draining", CONTROLLER_DRAIN_BROKER },
                { "undrain", "active", CONTROLLER_UNDRAIN_BROKER },
                { "decommission", "leaving", CONTROLLER_DECOMMISSION_BROKER },
        };
        struct controller_broker_duty item = { 0 };
        struct controller_request ask = {
                .wait_applied = true, .items = &item, .items_count = 1, .timeout_ms = CHANGE_MS
        };
        struct arena mem;
        const char *verb;
        size_t i = 0;

        if (!admin_path_read(rq, name, &item.broker_id, &verb))
                return;
        while (i < ARRAY_LEN(duties) && strcmp(verb, duties[i].verb) != 0)
                i++;
        if (i == ARRAY_LEN(duties)) {
                admin_answer_error(rq, 404, "A node can be asked to drain, undrain and decommission, not to '%s'.",
                                   verb);
                return;
        }
        arena_init(&mem, 0);
        ask.op = duties[i].op;
        ask.mem = &mem;
        ask_controller(n, rq, &ask);
        admin_answer_result(rq, &ask, &item.result,
                            json_pack("{s:s, s:i}", "result", duties[i].done, "id", item.broker_id));
        arena_fini(&mem);
}
