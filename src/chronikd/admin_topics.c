/* /v1/topics of the admin listener: list, describe, create, delete. */
#include <jansson.h>
#include <stdio.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "conf/limits.h"
#include "meta/names.h"

/* What the metadata says beside replicas and ISR, and @state unless this node knows better. */
static void add_lists(json_t *out, const struct meta_image *image, const struct meta_partition *mp)
{
        json_object_set_new(out, "elr", admin_json_ids(meta_partition_elr(mp), mp->elr_count));
        json_object_set_new(out, "last_known_elr",
                            admin_json_ids(meta_partition_last_known_elr(mp), mp->last_known_elr_count));
        json_object_set_new(out, "adding", admin_json_ids(meta_partition_adding(mp), mp->adding_count));
        json_object_set_new(out, "removing", admin_json_ids(meta_partition_removing(mp), mp->removing_count));
        json_object_set_new(out, "partition_epoch", json_integer(mp->partition_epoch));
        json_object_set_new(out, "state",
                            json_string(meta_image_leader(image, mp) == META_NO_NODE ? "offline"
                                        : mp->recovering                             ? "recovering"
                                        : mp->adding_count || mp->removing_count     ? "moving"
                                        : mp->isr_count < mp->replicas_count         ? "behind"
                                                                                     : "ok"));
}

static json_t *json_partition(struct node *n, const struct meta_image *image, const struct meta_topic *t, int32_t index)
{
        const struct meta_partition *mp = meta_topic_partition(t, index);
        struct partition *p = partition_table_find(n->table, t->id, index);
        json_t *out = json_pack("{s:i, s:i, s:i, s:o, s:o}", "partition", index, "leader", meta_image_leader(image, mp),
                                "leader_epoch", mp->leader_epoch, "replicas",
                                admin_json_ids(meta_partition_replicas(mp), mp->replicas_count), "isr",
                                admin_json_ids(meta_partition_isr(mp), mp->isr_count));
        CLEANUP(freep) struct plog_damaged_range *damaged = NULL;
        struct partition_view view;
        struct plog_ends ends;

        add_lists(out, image, mp);
        if (!p)
                return out;
        partition_view(p, &view);
        plog_ends(partition_log(p), &ends);
        json_object_set_new(out, "start_offset", json_integer(view.start_offset));
        json_object_set_new(out, "high_watermark", json_integer(view.high_watermark));
        json_object_set_new(out, "end_offset", json_integer(view.end_offset));
        json_object_set_new(out, "size_bytes", json_integer(ends.size_bytes));
        if (view.failed || ends.damaged_ranges)
                json_object_set_new(out, "state", json_string(view.failed ? "read-only" : "damaged"));
        damaged = ends.damaged_ranges ? calloc(ends.damaged_ranges, sizeof *damaged) : NULL;
        if (damaged)
                json_object_set_new(
                        out, "damaged",
                        admin_json_damage(damaged, MIN2(plog_damaged(partition_log(p), ends.damaged_ranges, damaged),
                                                        (size_t)ends.damaged_ranges)));
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
                json_object_set_new(configs, name, admin_json_str(set->items[i].value));
        }
        uuid_format(t->id, id);
        out = json_pack("{s:o, s:s, s:b, s:i, s:i, s:I, s:I, s:o}", "name", admin_json_str(t->name), "id", id,
                        "internal", meta_topic_is_internal(t->name), "partitions", (int)t->partitions_count,
                        "replication_factor", t->partitions_count ? meta_topic_partition(t, 0)->replicas_count : 0,
                        "size_bytes", (json_int_t)size, "offsets", (json_int_t)records, "configs", configs);
        if (detailed)
                json_object_set(out, "partition_list", partitions);
        json_decref(partitions);
        return out;
}

void admin_get_topics(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *list = json_array();
        const struct meta_topic *t;

        (void)arg;
        pmap_for_each (it, t, &image->topics_by_name)
                json_array_append_new(list, json_topic(n, image, t, false));
        admin_answer_json(rq, json_pack("{s:o}", "topics", list));
        meta_image_unref(image);
}

void admin_get_topic(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic(image, str_of(name));

        if (t)
                admin_answer_json(rq, json_topic(n, image, t, true));
        else
                admin_answer_error(rq, 404, "There is no topic '%s'. `chronik-ctl topic list` shows what there is.",
                                   name);
        meta_image_unref(image);
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

        if (!admin_members_known(body, known, ARRAY_LEN(known), why, size))
                return false;
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

void admin_post_topics(struct node *n, struct http_request *rq, const char *name)
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
                admin_answer_error(rq, 400,
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
        admin_answer_result(rq, &ask, &topic.result, json_pack("{s:s}", "result", "created"));
        arena_fini(&mem);
        json_decref(body);
}

void admin_delete_topic(struct node *n, struct http_request *rq, const char *name)
{
        struct controller_delete_topic topic = { .name = str_of(name) };
        struct controller_request ask = {
                .op = CONTROLLER_DELETE_TOPICS, .wait_applied = true, .items = &topic, .items_count = 1
        };
        struct arena mem;

        arena_init(&mem, 0);
        ask.mem = &mem;
        ask_controller(n, &ask);
        admin_answer_result(rq, &ask, &topic.result, json_pack("{s:s}", "result", "deleted"));
        arena_fini(&mem);
}
