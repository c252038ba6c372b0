/* /v1/topics of the admin listener: list, describe, create, delete. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What this node has of a partition that it leads: figures and state. False: it does not lead it. */
static bool add_log(json_t *out, struct node *n, const struct meta_topic *t, int32_t index)
{
        struct partition *p = partition_table_find(n->table, t->id, index);
        CLEANUP(freep) struct plog_damaged_range *damaged = NULL;
        struct partition_view view;
        struct plog_ends ends;

        if (!p)
                return false;
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
        return true;
}

static bool leads_here(const struct node *n, const struct meta_image *image, const struct meta_topic *t, uint32_t i)
{
        return meta_image_leader(image, meta_topic_partition(t, (int32_t)i)) == n->led.node_id;
}

/* What the metadata says of a partition, and what this node knows of it when it leads it. */
static json_t *json_partition(struct node *n, const struct meta_image *image, const struct meta_topic *t, int32_t index)
{
        const struct meta_partition *mp = meta_topic_partition(t, index);
        json_t *out = json_pack("{s:i, s:i, s:i, s:o, s:o}", "partition", index, "leader", meta_image_leader(image, mp),
                                "leader_epoch", mp->leader_epoch, "replicas",
                                admin_json_ids(meta_partition_replicas(mp), mp->replicas_count), "isr",
                                admin_json_ids(meta_partition_isr(mp), mp->isr_count));

        add_lists(out, image, mp);
        if (leads_here(n, image, t, (uint32_t)index))
                (void)add_log(out, n, t, index);
        return out;
}

static json_t *json_topic(const struct meta_image *image, const struct meta_topic *t)
{
        char id[UUID_TEXT_SIZE];

        uuid_format(t->id, id);
        return json_pack("{s:o, s:s, s:b, s:i, s:i, s:o}", "name", admin_json_str(t->name), "id", id, "internal",
                         meta_topic_is_internal(t->name), "partitions", (int)t->partitions_count, "replication_factor",
                         t->partitions_count ? meta_topic_partition(t, 0)->replicas_count : 0, "configs",
                         admin_json_configs(image, META_RESOURCE_TOPIC, t->name));
}

/* ---- what this node leads ---- */

/* Sums over the partitions that are led here; partitions: how many these are. */
struct sums {
        json_int_t partitions, size, offsets;
};

static void sums_add(struct sums *s, const json_t *partition)
{
        s->partitions++;
        s->size += json_integer_value(json_object_get(partition, "size_bytes"));
        s->offsets += json_integer_value(json_object_get(partition, "high_watermark")) -
                      json_integer_value(json_object_get(partition, "start_offset"));
}

static struct sums sums_here(struct node *n, const struct meta_image *image, const struct meta_topic *t)
{
        struct sums s = { 0 };

        for (uint32_t i = 0; i < t->partitions_count; i++) {
                json_t *p = json_object();

                if (leads_here(n, image, t, i) && add_log(p, n, t, (int32_t)i))
                        sums_add(&s, p);
                json_decref(p);
        }
        return s;
}

static json_t *sums_json(struct sums s)
{
        return json_pack("[I, I, I]", s.partitions, s.size, s.offsets);
}

void admin_here_topics(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *out = json_object();
        const struct meta_topic *t;

        (void)arg;
        pmap_for_each (it, t, &image->topics_by_name) {
                struct sums s = sums_here(n, image, t);
                char name[META_TOPIC_NAME_LEN_MAX + 1];

                snprintf(name, sizeof name, "%.*s", STR_FMT(t->name));
                if (s.partitions)
                        json_object_set_new(out, name, sums_json(s));
        }
        admin_answer_json(rq, out);
        meta_image_unref(image);
}

void admin_here_topic(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic(image, str_of(name));
        json_t *list = json_array();

        for (uint32_t i = 0; t && i < t->partitions_count; i++) {
                json_t *p = leads_here(n, image, t, i) ? json_pack("{s:i}", "partition", (int)i) : NULL;

                if (p && add_log(p, n, t, (int32_t)i))
                        json_array_append(list, p);
                json_decref(p);
        }
        admin_answer_json(rq, json_pack("{s:o}", "partition_list", list));
        meta_image_unref(image);
}

/* ---- what all lead together ---- */

static void add_sums(json_t *topic, const struct look_ask *asks, size_t count, struct sums s)
{
        for (size_t i = 0; i < count; i++) {
                json_t *more = json_object_get(asks[i].body, json_string_value(json_object_get(topic, "name")));

                s.partitions += json_integer_value(json_array_get(more, 0));
                s.size += json_integer_value(json_array_get(more, 1));
                s.offsets += json_integer_value(json_array_get(more, 2));
        }
        json_object_set_new(topic, "partitions_heard", json_integer(s.partitions));
        json_object_set_new(topic, "size_bytes", json_integer(s.size));
        json_object_set_new(topic, "offsets", json_integer(s.offsets));
}

/* The partition list with what their leaders say; those of this node are filled in already. */
static void add_leaders(struct node *n, json_t *list, const char *topic)
{
        struct meta_image *image = controller_image(n->controller);
        struct look_ask *asks;
        size_t count, k;
        json_t *p;
        char *path;

        if (asprintf(&path, "/v1/here/topics/%s", topic) < 0)
                path = NULL;
        count = path ? look_ask_others(n, image, path, &asks) : 0;
        for (size_t i = 0; i < count; i++)
                json_array_foreach (json_object_get(asks[i].body, "partition_list"), k, p) {
                        size_t index = (size_t)json_integer_value(json_object_get(p, "partition"));
                        json_t *mine = json_array_get(list, index);

                        /* Of two that both say that they lead it, the metadata knows which one does. */
                        if (mine && json_integer_value(json_object_get(mine, "leader")) == asks[i].node)
                                json_object_update(mine, p);
                }
        if (path)
                look_asks_free(asks, count);
        free(path);
        meta_image_unref(image);
}

void admin_get_topics(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        struct look_ask *asks;
        size_t count = look_ask_others(n, image, "/v1/here/topics", &asks);
        json_t *list = json_array();
        const struct meta_topic *t;

        (void)arg;
        pmap_for_each (it, t, &image->topics_by_name) {
                json_t *topic = json_topic(image, t);

                add_sums(topic, asks, count, sums_here(n, image, t));
                json_array_append_new(list, topic);
        }
        look_asks_free(asks, count);
        admin_answer_json(rq, json_pack("{s:o}", "topics", list));
        meta_image_unref(image);
}

static json_t *json_whole(struct node *n, const struct meta_image *image, const struct meta_topic *t, const char *name)
{
        json_t *topic = json_topic(image, t), *list = json_array(), *p;
        struct sums s = { 0 };
        size_t i;

        for (uint32_t k = 0; k < t->partitions_count; k++)
                json_array_append_new(list, json_partition(n, image, t, (int32_t)k));
        if (n->mesh.hub)
                add_leaders(n, list, name);
        json_array_foreach (list, i, p)
                if (json_object_get(p, "size_bytes"))
                        sums_add(&s, p);
        add_sums(topic, NULL, 0, s);
        json_object_set_new(topic, "partition_list", list);
        return topic;
}

void admin_get_topic(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic(image, str_of(name));

        if (t)
                admin_answer_json(rq, json_whole(n, image, t, name));
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
        ask_controller(n, rq, &ask);
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
        ask_controller(n, rq, &ask);
        admin_answer_result(rq, &ask, &topic.result, json_pack("{s:s}", "result", "deleted"));
        arena_fini(&mem);
}
