/* /v1/verify of the admin listener: check logs for rot at once, and how that goes.
 *
 * POST {"topic", "partition", "bytes_per_second"}, all of which may be left out, begins a verification of what this node leads.
 * GET says how far it is and, at its end, what was found. Whoever has begun it asks now and then: a verification that nobody
 * asks for any more ends after VERIFY_PATIENCE_MS. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "chronikd/admin.h"
#include "conf/limits.h"

json_t *admin_json_damage(const struct plog_damaged_range *ranges, size_t count)
{
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++) {
                const struct plog_damaged_range *r = &ranges[i];
                json_t *range = json_pack("{s:I, s:I, s:s, s:I}", "first_offset", (json_int_t)r->from_offset,
                                          "last_offset", (json_int_t)r->to_offset - 1, "why", plog_damage_text(r->why),
                                          "found_ms", (json_int_t)r->found_ms);

                if (r->segment_base >= 0) {
                        char file[32];

                        snprintf(file, sizeof file, "%020lld.log", (long long)r->segment_base);
                        json_object_set_new(range, "file", json_string(file));
                        json_object_set_new(range, "position", json_integer(r->pos));
                        json_object_set_new(range, "bytes", json_integer(r->end_pos - r->pos));
                }
                json_array_append_new(list, range);
        }
        return list;
}

/* ---- how it goes ---- */

static const char *result_text(const struct verify *v, const struct verify_item *item)
{
        return !item->done || item->outcome == 1 ? (v->running ? "waits" : "not checked")
               : item->outcome < 0               ? "failed"
               : item->outcome > 0               ? "gone"
               : item->damaged_count             ? "damaged"
                                                 : "ok";
}

static json_t *json_item(const struct verify *v, const struct verify_item *item)
{
        json_t *out = json_pack(
                "{s:o, s:i, s:s, s:I, s:I, s:I, s:I, s:i, s:I, s:I}", "topic", admin_json_str(str_of(item->topic)),
                "partition", item->index, "result", result_text(v, item), "start_offset",
                (json_int_t)item->result.from_offset, "end_offset", (json_int_t)item->result.to_offset, "bytes",
                (json_int_t)item->result.bytes, "batches", (json_int_t)item->result.batches, "indexes_rebuilt",
                (int)item->result.indexes_rebuilt, "healed_offsets", (json_int_t)item->result.healed_offsets,
                "damaged_ranges", (json_int_t)item->damaged_count);

        if (item->outcome < 0)
                json_object_set_new(out, "error", json_string(strerror(-item->outcome)));
        if (item->damaged)
                json_object_set_new(out, "damaged", admin_json_damage(item->damaged, item->damaged_count));
        return out;
}

/* Results only at the end: progress is asked for often. */
static void look(void *arg, const struct verify *v)
{
        json_t *out = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I}", "id", (json_int_t)v->id, "state",
                                v->running     ? "running"
                                : v->abandoned ? "abandoned"
                                               : "done",
                                "partitions", (json_int_t)v->items_count, "partitions_done", (json_int_t)v->at, "bytes",
                                (json_int_t)v->bytes, "bytes_all", (json_int_t)v->bytes_all);

        if (!v->running) {
                json_t *results = json_array();

                for (size_t i = 0; i < v->items_count; i++)
                        json_array_append_new(results, json_item(v, &v->items[i]));
                json_object_set_new(out, "results", results);
        }
        *(json_t **)arg = v->id ? out : NULL;
        if (!v->id)
                json_decref(out);
}

void admin_get_verify(struct node *n, struct http_request *rq, const char *name)
{
        json_t *out = NULL;

        (void)name;
        verify_look(&n->scrub, look, &out);
        if (out)
                admin_answer_json(rq, out);
        else
                admin_answer_error(rq, 404, "No verification was asked for since this node started.");
}

/* ---- beginning one ---- */

struct verify_body {
        const char *topic; /* NULL: all */
        json_int_t partition, bytes_per_second;
};

static bool number_read(json_t *body, const char *key, json_int_t max, json_int_t missing, json_int_t *ret)
{
        json_t *v = json_object_get(body, key);

        *ret = v ? json_integer_value(v) : missing;
        return !v || (json_is_integer(v) && *ret >= 0 && *ret <= max);
}

static bool body_read(json_t *body, struct verify_body *ret, char *why, size_t size)
{
        static const char *const known[] = { "topic", "partition", "bytes_per_second" };
        json_t *topic = json_object_get(body, "topic");

        ret->topic = json_string_value(topic);
        if (!json_is_object(body))
                snprintf(why, size, "It is not an object.");
        else if (topic && !ret->topic)
                snprintf(why, size, "\"topic\" must be a text.");
        else if (!number_read(body, "partition", LIMIT_PARTITIONS_PER_TOPIC - 1, -1, &ret->partition))
                snprintf(why, size, "\"partition\" must be a number from 0 to %d.", LIMIT_PARTITIONS_PER_TOPIC - 1);
        else if (ret->partition >= 0 && !topic)
                snprintf(why, size, "\"partition\" needs a \"topic\".");
        else if (!number_read(body, "bytes_per_second", INT64_MAX, 0, &ret->bytes_per_second))
                snprintf(why, size, "\"bytes_per_second\" must be a number; 0 is as fast as it goes.");
        else
                return admin_members_known(body, known, ARRAY_LEN(known), why, size);
        return false;
}

static bool find_topic(struct node *n, struct http_request *rq, const char *name, struct uuid *ret_id)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic(image, str_of(name));

        if (t)
                *ret_id = t->id;
        else
                admin_answer_error(rq, 404, "There is no topic '%s'. `chronik-ctl topic list` shows what there is.",
                                   name);
        meta_image_unref(image);
        return t;
}

static void begin(struct node *n, struct http_request *rq, const struct verify_body *in)
{
        struct verify_args args = { .partition = (int32_t)in->partition, .bytes_per_second_max = in->bytes_per_second };
        uint64_t id = 0;
        int r;

        if (in->topic && !find_topic(n, rq, in->topic, &args.topic_id))
                return;
        r = verify_ask(&n->scrub, &args, &id);
        if (r == VERIFY_E_RUNNING)
                admin_answer_error(rq, 409,
                                   "A verification runs already, and there is one at a time: wait for its end.");
        else if (r == VERIFY_E_NO_PARTITION && in->partition >= 0)
                admin_answer_error(rq, 404, "This node does not lead partition %d of topic '%s'.", (int)in->partition,
                                   in->topic);
        else if (r == VERIFY_E_NO_PARTITION)
                admin_answer_error(rq, 404, "This node leads no partition%s%s%s, so there is nothing to verify.",
                                   in->topic ? " of topic '" : "", in->topic ? in->topic : "", in->topic ? "'" : "");
        else if (r)
                admin_answer_error(rq, 503, "Memory is out; try again.");
        else
                admin_answer_json(rq, json_pack("{s:I}", "id", (json_int_t)id));
}

void admin_post_verify(struct node *n, struct http_request *rq, const char *name)
{
        json_error_t fault;
        json_t *body = json_loadb(rq->body.len ? rq->body.p : "{}", rq->body.len ? rq->body.len : 2,
                                  JSON_REJECT_DUPLICATES, &fault);
        struct verify_body in;
        char why[256];

        (void)name;
        if (!body)
                snprintf(why, sizeof why, "It is not JSON: %s.", fault.text);
        if (body && body_read(body, &in, why, sizeof why))
                begin(n, rq, &in);
        else
                admin_answer_error(rq, 400,
                                   "The body must be {\"topic\": text, \"partition\": number, \"bytes_per_second\": "
                                   "number}, all of which may be left out. %s",
                                   why);
        json_decref(body);
}
