/* /v1/reassignments and /v1/elections of the admin listener: where replicas are, and who leads. */
#include <jansson.h>
#include <stdio.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "conf/limits.h"

#define PARTITIONS_MAX LIMIT_PARTITIONS_PER_TOPIC /* of one request: what a body of this size can name */

/* ---- what is going on ---- */

static json_t *json_reassignment(const struct meta_topic *t, const struct meta_partition *p)
{
        int32_t behind = 0;

        for (uint32_t i = 0; i < p->adding_count; i++)
                behind += !meta_ids_contain(meta_partition_isr(p), p->isr_count, meta_partition_adding(p)[i]);
        return json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:i}", "topic", admin_json_str(t->name), "partition", p->index,
                         "replicas", admin_json_ids(meta_partition_replicas(p), p->replicas_count), "isr",
                         admin_json_ids(meta_partition_isr(p), p->isr_count), "adding",
                         admin_json_ids(meta_partition_adding(p), p->adding_count), "removing",
                         admin_json_ids(meta_partition_removing(p), p->removing_count), "behind", behind);
}

void admin_get_reassignments(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *list = json_array();
        const struct meta_topic *t;

        (void)name;
        pmap_for_each (it, t, &image->topics_by_name)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);

                        if (p->adding_count || p->removing_count)
                                json_array_append_new(list, json_reassignment(t, p));
                }
        admin_answer_json(rq, json_pack("{s:o}", "reassignments", list));
        meta_image_unref(image);
}

/* ---- asking for some ---- */

/* An array of partitions as kafka-reassign-partitions has it; what it says beside (log_dirs) means nothing here. @ret: in
 * @mem. */
static const char *reassign_read(json_t *one, struct controller_reassign *ret, struct arena *mem)
{
        const char *topic = json_string_value(json_object_get(one, "topic"));
        json_t *replicas = json_object_get(one, "replicas"), *id;
        int32_t *ids;
        size_t i;

        if (!topic)
                return "\"topic\" must be a text.";
        if (!admin_id_of(json_object_get(one, "partition"), &ret->partition))
                return "\"partition\" must be a number.";
        ret->topic = str_of(topic);
        ret->cancel = json_is_null(replicas);
        if (ret->cancel)
                return NULL;
        if (!json_is_array(replicas) || !json_array_size(replicas) || json_array_size(replicas) > LIMIT_REPLICAS)
                return "\"replicas\" must be an array of node numbers, or null to cancel what is going on.";
        ids = ARENA_NEW_ARRAY(mem, int32_t, json_array_size(replicas));
        if (!ids)
                return "Memory is out; try again.";
        json_array_foreach (replicas, i, id)
                if (!admin_id_of(id, &ids[i]))
                        return "\"replicas\" must be an array of node numbers, or null to cancel what is going on.";
        ret->replicas = ids;
        ret->replicas_count = (int32_t)json_array_size(replicas);
        return NULL;
}

/* One partition's result, beside others. @before: of the image when it was asked. */
static json_t *json_result(const struct meta_image *before, struct str topic, int32_t partition,
                           const struct controller_result *r)
{
        const struct meta_topic *t = meta_image_topic(before, topic);
        const struct meta_partition *p = t ? meta_topic_partition(t, partition) : NULL;
        json_t *out = json_pack("{s:o, s:i, s:b}", "topic", admin_json_str(topic), "partition", partition, "done",
                                r->outcome == CONTROLLER_OK);

        if (p)
                json_object_set_new(out, "before", admin_json_ids(meta_partition_replicas(p), p->replicas_count));
        if (r->outcome)
                json_object_set_new(out, "error", admin_json_str(r->message));
        return out;
}

static void answer_reassigned(struct http_request *rq, const struct meta_image *before,
                              const struct controller_request *ask)
{
        json_t *list = json_array();
        int failed = 0;

        for (uint32_t i = 0; i < ask->items_count && !ask->result.outcome; i++) {
                const struct controller_reassign *r = &ask->reassign[i];

                failed += r->result.outcome != CONTROLLER_OK;
                json_array_append_new(list, json_result(before, r->topic, r->partition, &r->result));
        }
        admin_answer_result(rq, ask, &ask->result, json_pack("{s:o, s:i}", "results", list, "failed", failed));
}

void admin_post_reassignments(struct node *n, struct http_request *rq, const char *name)
{
        static const char *const known[] = { "version", "partitions", "keep_factor" };
        static const char shape[] = "{\"partitions\": [{\"topic\": text, \"partition\": number, \"replicas\": "
                                    "[number, ...]}, ...]}";
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), shape), *list = json_object_get(body, "partitions"),
               *one;
        struct controller_request ask = { .op = CONTROLLER_ALTER_REASSIGNMENTS, .timeout_ms = CHANGE_MS };
        const char *why = NULL;
        struct arena mem;
        size_t i;

        (void)name;
        if (!body)
                return;
        arena_init(&mem, 0);
        ask.mem = &mem;
        ask.items_count = (uint32_t)json_array_size(list);
        ask.reassign = ARENA_NEW_ARRAY(&mem, struct controller_reassign, ask.items_count);
        if (!ask.items_count || ask.items_count > PARTITIONS_MAX || !ask.reassign)
                why = "\"partitions\" must be an array that has some and not too many.";
        json_array_foreach (why ? NULL : list, i, one) {
                ask.reassign[i].keep_factor = json_is_true(json_object_get(body, "keep_factor"));
                why = reassign_read(one, &ask.reassign[i], &mem);
                if (why)
                        break;
        }
        if (why) {
                admin_answer_error(rq, 400, "The body must be %s. %s", shape, why);
        } else {
                struct meta_image *before = controller_image(n->controller);

                ask_controller(n, rq, &ask);
                answer_reassigned(rq, before, &ask);
                meta_image_unref(before);
        }
        arena_fini(&mem);
        json_decref(body);
}

/* ---- elections ---- */

/* The partitions to elect leaders of: those of the body, or all. NULL: there is none, answered. In @mem. */
static struct controller_elect_leader *elections_read(struct node *n, struct http_request *rq, json_t *body,
                                                      const struct meta_topic *t, struct arena *mem,
                                                      uint32_t *ret_count)
{
        json_t *list = json_object_get(body, "partitions");
        size_t count = list ? json_array_size(list) : t->partitions_count;
        const char *type = json_string_value(json_object_get(body, "type"));
        struct controller_elect_leader *items = ARENA_NEW_ARRAY(mem, struct controller_elect_leader, count);

        if (!items || !count || count > PARTITIONS_MAX || !type ||
            (strcmp(type, "preferred") != 0 && strcmp(type, "unclean") != 0)) {
                admin_answer_error(rq, 400,
                                   "\"type\" must be \"preferred\" or \"unclean\", and \"partitions\" an array of "
                                   "numbers, or be left out for all.");
                return NULL;
        }
        if (!strcmp(type, "unclean") && rq->rights < OPERATOR_ADMIN) {
                admin_gate_refuse(n->gate, rq, OPERATOR_ADMIN); /* it may lose records */
                return NULL;
        }
        for (size_t i = 0; i < count; i++) {
                items[i].topic = t->name;
                items[i].partition = (int32_t)i;
                items[i].type = strcmp(type, "unclean") ? CONTROLLER_ELECT_PREFERRED : CONTROLLER_ELECT_UNCLEAN;
                if (list && !admin_id_of(json_array_get(list, i), &items[i].partition)) {
                        admin_answer_error(rq, 400, "\"partitions\" must be an array of numbers.");
                        return NULL;
                }
        }
        *ret_count = (uint32_t)count;
        return items;
}

/* Whoever leads already as asked is no failure. */
static void answer_elected(struct node *n, struct http_request *rq, const struct controller_request *ask)
{
        struct meta_image *after = controller_image(n->controller);
        json_t *list = json_array();
        int failed = 0, elected = 0;

        for (uint32_t i = 0; i < ask->items_count && !ask->result.outcome; i++) {
                const struct controller_elect_leader *e = &ask->elect_leaders[i];
                const struct meta_topic *t = meta_image_topic(after, e->topic);
                const struct meta_partition *p = t ? meta_topic_partition(t, e->partition) : NULL;
                bool not_needed = e->result.outcome == CONTROLLER_E_ELECTION_NOT_NEEDED;
                bool is_failure = e->result.outcome && !not_needed;

                failed += is_failure;
                elected += !e->result.outcome;
                json_array_append_new(list, json_pack("{s:o, s:i, s:s, s:i, s:o}", "topic", admin_json_str(e->topic),
                                                      "partition", e->partition, "result",
                                                      is_failure   ? "failed"
                                                      : not_needed ? "not needed"
                                                                   : "elected",
                                                      "leader", p ? meta_image_leader(after, p) : META_NO_NODE, "error",
                                                      is_failure ? admin_json_str(e->result.message) : json_null()));
        }
        admin_answer_result(rq, ask, &ask->result,
                            json_pack("{s:o, s:i, s:i}", "results", list, "elected", elected, "failed", failed));
        meta_image_unref(after);
}

void admin_post_elections(struct node *n, struct http_request *rq, const char *name)
{
        static const char *const known[] = { "topic", "partitions", "type" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known),
                                  "{\"topic\": text, \"partitions\": [number, ...], \"type\": \"preferred\"}");
        struct controller_request ask = { .op = CONTROLLER_ELECT_LEADERS,
                                          .wait_applied = true,
                                          .timeout_ms = CHANGE_MS };
        struct meta_image *image = controller_image(n->controller);
        const char *topic = json_string_value(json_object_get(body, "topic"));
        const struct meta_topic *t = meta_image_topic(image, str_of(topic ? topic : ""));
        struct arena mem;

        (void)name;
        arena_init(&mem, 0);
        ask.mem = &mem;
        if (body && !topic)
                admin_answer_error(rq, 400, "\"topic\" must be there, and a text.");
        else if (body && !t)
                admin_answer_error(rq, 404, "There is no topic '%s'. `chronik-ctl topic list` shows what there is.",
                                   topic);
        else if (body)
                ask.elect_leaders = elections_read(n, rq, body, t, &mem, &ask.items_count);
        if (ask.elect_leaders) {
                ask_controller(n, rq, &ask);
                answer_elected(n, rq, &ask);
        }
        arena_fini(&mem);
        meta_image_unref(image);
        json_decref(body);
}
