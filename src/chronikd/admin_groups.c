/* /v1/groups of the admin listener: list and describe, with lag. A group is known to its coordinator, which may be another node: the
 * node that is asked looks there. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"

void admin_here_groups(struct node *n, struct http_request *rq, const char *arg)
{
        struct coord_list ask = { 0 };
        json_t *list = json_array();

        (void)arg;
        coord_request_init(&ask.rq, COORD_LIST, STR_NULL);
        ask_coord(n, &ask.rq);
        for (int32_t i = 0; i < ask.ret_groups_count; i++) {
                const struct coord_listed_group *g = &ask.ret_groups[i];

                json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:o}", "name", admin_json_str(g->group_id),
                                                      "state", coord_group_state_name(g->state), "type",
                                                      coord_group_type_name(g->type), "protocol_type",
                                                      admin_json_str(g->protocol_type)));
        }
        admin_answer_json(rq, json_pack("{s:o, s:b}", "groups", list, "complete", ask.rq.outcome == COORD_OK));
        coord_request_fini(&ask.rq);
}

/* What a function below /v1/here/ answers on this node. @ret_status may be NULL. NULL: memory is out. */
static json_t *here(struct node *n, void (*fn)(struct node *n, struct http_request *rq, const char *name),
                    const char *name, unsigned *ret_status)
{
        struct http_request rq = { .method = "GET", .path = "", .status = 200 };
        json_t *out;

        fn(n, &rq, name);
        out = rq.out.failed ? NULL : json_loadb(rq.out.data, rq.out.len, 0, NULL);
        strbuf_fini(&rq.out);
        if (ret_status)
                *ret_status = rq.status;
        return out;
}

void admin_get_groups(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        struct look_ask *asks = NULL;
        size_t count = look_ask_others(n, image, "/v1/here/groups", &asks);
        json_t *out =
                n->store ? here(n, admin_here_groups, arg, NULL) : json_pack("{s:[], s:b}", "groups", "complete", true);
        json_t *list = json_object_get(out, "groups");
        bool complete = json_is_true(json_object_get(out, "complete"));

        for (size_t i = 0; i < count; i++) {
                complete &= json_is_true(json_object_get(asks[i].body, "complete"));
                json_array_extend(list, json_object_get(asks[i].body, "groups"));
        }
        json_object_set_new(out, "complete", json_boolean(complete));
        look_asks_free(asks, count);
        meta_image_unref(image);
        admin_answer_json(rq, out);
}

/* ---- one ---- */

/* Where the partition ends, and what the group has to do until there. */
static void set_end(json_t *offset, json_int_t end)
{
        const json_t *start = json_object_get(offset, "start_offset"); /* of a share group */
        json_int_t at = json_integer_value(start ? start : json_object_get(offset, "committed_offset"));

        json_object_set_new(offset, "end_offset", json_integer(end));
        if (start && at < 0) /* nobody has decided where it begins */
                return;
        at += json_integer_value(json_object_get(offset, "done_records"));
        json_object_set_new(offset, "lag", json_integer(MAX2(end - at, (json_int_t)0)));
}

/* The end of a partition that has a replica here. */
static void set_end_here(struct node *n, struct uuid topic_id, int32_t partition, json_t *offset)
{
        struct partition *p = partition_table_find(n->table, topic_id, partition);
        struct partition_view view;

        if (!p)
                return;
        partition_view(p, &view);
        set_end(offset, view.high_watermark);
        partition_unref(p);
}

static json_t *json_offset(struct node *n, const struct meta_image *image, const struct coord_fetch_item *item)
{
        const struct meta_topic *t = meta_image_topic(image, item->topic);
        json_t *out = json_pack("{s:o, s:i, s:I}", "topic", admin_json_str(item->topic), "partition", item->partition,
                                "committed_offset", (json_int_t)item->ret_offset);

        if (t)
                set_end_here(n, t->id, item->partition, out);
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

static json_t *json_member(struct str id, struct str instance_id, struct str client_id, struct str host)
{
        return json_pack("{s:o, s:o, s:o, s:o}", "id", admin_json_str(id), "instance_id", admin_json_str(instance_id),
                         "client_id", admin_json_str(client_id), "host", admin_json_str(host));
}

static void answer_group(struct http_request *rq, json_t *group, enum coord_group_state state,
                         enum coord_group_type type, struct str protocol_type, struct str assignor)
{
        json_object_set_new(group, "state", json_string(coord_group_state_name(state)));
        json_object_set_new(group, "type", json_string(coord_group_type_name(type)));
        json_object_set_new(group, "protocol_type", admin_json_str(protocol_type));
        json_object_set_new(group, "assignor", admin_json_str(assignor));
        admin_answer_json(rq, group);
}

/* Return: the outcome; answered when that is COORD_OK. */
static int here_classic(struct node *n, struct http_request *rq, const char *name)
{
        struct coord_describe ask = { 0 };
        json_t *members = json_array();
        int outcome;

        coord_request_init(&ask.rq, COORD_DESCRIBE, str_of(name));
        ask_coord(n, &ask.rq);
        outcome = ask.rq.outcome;
        for (int32_t i = 0; i < ask.ret_members_count; i++) {
                const struct coord_described_member *m = &ask.ret_members[i];

                json_array_append_new(members, json_member(m->member_id, m->instance_id, m->client_id, m->client_host));
        }
        if (outcome == COORD_OK)
                answer_group(rq,
                             json_pack("{s:s, s:i, s:O, s:o}", "name", name, "generation", ask.ret_generation,
                                       "members", members, "offsets", json_offsets(n, name)),
                             ask.ret_state, ask.ret_type, ask.ret_protocol_type, ask.ret_protocol_name);
        json_decref(members);
        coord_request_fini(&ask.rq);
        return outcome;
}

/* [{"topic": "orders", "partitions": [0, 1]}]; a topic that is gone has no name. */
static json_t *json_partitions(const struct coord_partitions *list, int32_t count)
{
        json_t *out = json_array();

        for (int32_t i = 0; i < count; i++) {
                json_t *numbers = json_array();

                for (int32_t p = 0; p < list[i].partitions_count; p++)
                        json_array_append_new(numbers, json_integer(list[i].partitions[p]));
                json_array_append_new(
                        out, json_pack("{s:o, s:o}", "topic", admin_json_str(list[i].name), "partitions", numbers));
        }
        return out;
}

/* Likewise, of a consumer group (KIP-848). */
static int here_consumer(struct node *n, struct http_request *rq, const char *name)
{
        struct coord_consumer_describe ask = { 0 };
        json_t *members = json_array();
        int outcome;

        coord_request_init(&ask.rq, COORD_CONSUMER_DESCRIBE, str_of(name));
        ask_coord(n, &ask.rq);
        outcome = ask.rq.outcome;
        for (int32_t i = 0; i < ask.ret_members_count; i++) {
                const struct coord_consumer_member *m = &ask.ret_members[i];
                json_t *out = json_member(m->member_id, m->instance_id, m->client_id, m->client_host);

                json_object_set_new(out, "epoch", json_integer(m->epoch));
                json_object_set_new(out, "assigned", json_partitions(m->assigned, m->assigned_count));
                json_object_set_new(out, "target", json_partitions(m->target, m->target_count));
                json_array_append_new(members, out);
        }
        if (outcome == COORD_OK)
                answer_group(rq,
                             json_pack("{s:s, s:i, s:i, s:O, s:o}", "name", name, "epoch", ask.ret_epoch,
                                       "target_epoch", ask.ret_target_epoch, "members", members, "offsets",
                                       json_offsets(n, name)),
                             ask.ret_state, COORD_GROUP_CONSUMER, STR_LIT("consumer"), ask.ret_assignor);
        json_decref(members);
        coord_request_fini(&ask.rq);
        return outcome;
}

static int by_partition(const void *a, const void *b)
{
        const struct coord_share_offset *x = a, *y = b;
        int r = str_compare(x->topic, y->topic);

        return r ? r : (x->partition > y->partition) - (x->partition < y->partition);
}

static json_t *json_share_offsets(struct node *n, const char *name)
{
        struct coord_share_offsets ask = { .all = true };
        json_t *list = json_array();

        coord_request_init(&ask.rq, COORD_SHARE_OFFSETS, str_of(name));
        ask_coord(n, &ask.rq);
        if (ask.items_count)
                qsort(ask.items, (size_t)ask.items_count, sizeof *ask.items, by_partition);
        for (int32_t i = 0; i < ask.items_count; i++) {
                const struct coord_share_offset *item = &ask.items[i];
                json_t *out = json_pack("{s:o, s:i, s:I, s:I, s:i}", "topic", admin_json_str(item->topic), "partition",
                                        item->partition, "start_offset", (json_int_t)item->start, "done_records",
                                        (json_int_t)item->done, "leader_epoch", item->leader_epoch);

                set_end_here(n, item->topic_id, item->partition, out);
                json_array_append_new(list, out);
        }
        coord_request_fini(&ask.rq);
        return list;
}

/* Likewise, of a share group (KIP-932). */
static int here_share(struct node *n, struct http_request *rq, const char *name)
{
        struct coord_share_describe ask = { 0 };
        json_t *members = json_array();
        int outcome;

        coord_request_init(&ask.rq, COORD_SHARE_DESCRIBE, str_of(name));
        ask_coord(n, &ask.rq);
        outcome = ask.rq.outcome;
        for (int32_t i = 0; i < ask.ret_members_count; i++) {
                const struct coord_share_member *m = &ask.ret_members[i];
                json_t *out = json_member(m->member_id, STR_NULL, m->client_id, m->client_host);

                json_object_set_new(out, "epoch", json_integer(m->epoch));
                json_object_set_new(out, "assigned", json_partitions(m->assigned, m->assigned_count));
                json_array_append_new(members, out);
        }
        if (outcome == COORD_OK)
                answer_group(rq,
                             json_pack("{s:s, s:i, s:i, s:O, s:o}", "name", name, "epoch", ask.ret_epoch,
                                       "target_epoch", ask.ret_target_epoch, "members", members, "offsets",
                                       json_share_offsets(n, name)),
                             ask.ret_state, COORD_GROUP_SHARE, STR_LIT("share"), ask.ret_assignor);
        json_decref(members);
        coord_request_fini(&ask.rq);
        return outcome;
}

void admin_here_group(struct node *n, struct http_request *rq, const char *name)
{
        int outcome = here_classic(n, rq, name);

        if (outcome == COORD_E_GROUP_NOT_FOUND)
                outcome = here_consumer(n, rq, name);
        if (outcome == COORD_E_GROUP_NOT_FOUND)
                outcome = here_share(n, rq, name);
        if (outcome == COORD_E_GROUP_NOT_FOUND || outcome == COORD_E_NOT_COORDINATOR)
                admin_answer_error(rq, 404, "There is no group '%s'. `chronik-ctl group list` shows what there is.",
                                   name);
        else if (outcome)
                admin_answer_error(rq, 503, "The coordinator of group '%s' is not ready yet; try again.", name);
}

/* @led: what one node leads of @topic. */
static void fill_ends(json_t *offsets, const char *topic, const json_t *led)
{
        json_t *o, *p;
        size_t i, k;

        json_array_foreach (json_object_get(led, "partition_list"), k, p)
                json_array_foreach (offsets, i, o) {
                        if (strcmp(json_string_value(json_object_get(o, "topic")), topic) != 0 ||
                            !json_equal(json_object_get(o, "partition"), json_object_get(p, "partition")))
                                continue;
                        set_end(o, json_integer_value(json_object_get(p, "high_watermark")));
                }
}

/* The ends of partitions that the coordinator does not lead, from their leaders: a question for each topic and leader. */
static void add_ends_of(struct node *n, const struct meta_image *image, json_t *offsets, const char *topic)
{
        struct look_ask *asks = NULL;
        size_t count;
        char *path;

        if (asprintf(&path, "/v1/here/topics/%s", topic) < 0)
                return;
        count = look_ask_others(n, image, path, &asks);
        for (size_t a = 0; a < count; a++)
                fill_ends(offsets, topic, asks[a].body);
        if (n->store) {
                json_t *own = here(n, admin_here_topic, topic, NULL);

                fill_ends(offsets, topic, own);
                json_decref(own);
        }
        look_asks_free(asks, count);
        free(path);
}

static void add_ends(struct node *n, const struct meta_image *image, json_t *group)
{
        json_t *offsets = json_object_get(group, "offsets"), *o, *asked = json_object();
        const char *topic;
        size_t i;

        json_array_foreach (offsets, i, o) {
                topic = json_string_value(json_object_get(o, "topic"));
                if (!topic || json_object_get(asked, topic))
                        continue;
                json_object_set_new(asked, topic, json_true());
                add_ends_of(n, image, offsets, topic);
        }
        json_decref(asked);
}

/* What this node knows of a group, and its coordinator does not tell. */
static void add_configs(const struct meta_image *image, const char *name, json_t *group)
{
        json_object_set_new(group, "configs", admin_json_configs(image, META_RESOURCE_GROUP, str_of(name)));
}

static void look_at_group(struct node *n, struct http_request *rq, const struct meta_image *image, int32_t coordinator,
                          const char *name)
{
        json_t *group = admin_ask_coordinator(n, rq, coordinator, "groups", name);

        if (!group)
                return;
        if (rq->status == 200) {
                add_configs(image, name, group);
                add_ends(n, image, group);
        }
        admin_answer_json(rq, group);
}

void admin_get_group(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        int32_t partition, coordinator = META_NO_NODE;
        bool any = admin_find_coordinator(image, STR_LIT("__consumer_offsets"), name, &partition, &coordinator);

        if (any && coordinator == META_NO_NODE) {
                admin_answer_error(rq, 503, "The coordinator of group '%s' has no node to be on just now; try again.",
                                   name);
        } else if (any && coordinator != n->led.node_id) {
                look_at_group(n, rq, image, coordinator, name);
        } else if (any) {
                json_t *group = here(n, admin_here_group, name, &rq->status);

                if (rq->status == 200)
                        add_configs(image, name, group);
                if (rq->status == 200 && n->mesh.hub)
                        add_ends(n, image, group);
                admin_answer_json(rq, group);
        } else {
                admin_answer_error(rq, 404, "There is no group '%s'. `chronik-ctl group list` shows what there is.",
                                   name);
        }
        meta_image_unref(image);
}
