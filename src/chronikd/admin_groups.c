/* /v1/groups of the admin listener: list and describe, with lag. */
#include <jansson.h>
#include <stdio.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"

void admin_get_groups(struct node *n, struct http_request *rq, const char *arg)
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

static json_t *json_offset(struct node *n, const struct meta_image *image, const struct coord_fetch_item *item)
{
        const struct meta_topic *t = meta_image_topic(image, item->topic);
        struct partition *p = t ? partition_table_find(n->table, t->id, item->partition) : NULL;
        json_t *out = json_pack("{s:o, s:i, s:I}", "topic", admin_json_str(item->topic), "partition", item->partition,
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

void admin_get_group(struct node *n, struct http_request *rq, const char *name)
{
        struct coord_describe ask = { 0 };
        json_t *members = json_array();

        coord_request_init(&ask.rq, COORD_DESCRIBE, str_of(name));
        ask_coord(n, &ask.rq);
        for (int32_t i = 0; i < ask.ret_members_count; i++) {
                const struct coord_described_member *m = &ask.ret_members[i];

                json_array_append_new(members,
                                      json_pack("{s:o, s:o, s:o, s:o}", "id", admin_json_str(m->member_id),
                                                "instance_id", admin_json_str(m->instance_id), "client_id",
                                                admin_json_str(m->client_id), "host", admin_json_str(m->client_host)));
        }
        if (ask.rq.outcome == COORD_OK)
                admin_answer_json(rq, json_pack("{s:s, s:s, s:o, s:o, s:i, s:O, s:o}", "name", name, "state",
                                                coord_group_state_name(ask.ret_state), "protocol_type",
                                                admin_json_str(ask.ret_protocol_type), "assignor",
                                                admin_json_str(ask.ret_protocol_name), "generation", ask.ret_generation,
                                                "members", members, "offsets", json_offsets(n, name)));
        else if (ask.rq.outcome == COORD_E_GROUP_NOT_FOUND || ask.rq.outcome == COORD_E_NOT_COORDINATOR)
                admin_answer_error(rq, 404, "There is no group '%s'. `chronik-ctl group list` shows what there is.",
                                   name);
        else
                admin_answer_error(rq, 503, "The coordinator of group '%s' is not ready yet; try again.", name);
        json_decref(members);
        coord_request_fini(&ask.rq);
}
