/* /v1/quotas of the admin listener: client quotas, told and changed (conf/quota.h). */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "conf/quota.h"

enum { CHANGES_MAX = QUOTA_KEYS * 2 };

static const char shape[] =
        "{\"entity\": {\"user\": text or null, ...}, \"set\": {quota: number, ...}, \"unset\": [quota, ...]}";

/* ---- told ---- */

/* The default is null. */
static json_t *json_entity(const struct quota_entity *e)
{
        json_t *out = json_object();

        for (int i = 0; i < QUOTA_PARTS; i++)
                if (e->parts[i].is_set)
                        json_object_set_new(out, quota_part_name(i), admin_json_str(e->parts[i].name));
        return out;
}

static json_t *json_quotas(const struct meta_configs *c)
{
        json_t *out = json_object();

        for (int i = 0; i < QUOTA_KEYS; i++) {
                struct str value = meta_configs_get(c, str_of(quota_key_name(i)));

                if (!str_is_null(value))
                        json_object_set_new(out, quota_key_name(i), json_real(quota_value(value)));
        }
        return out;
}

void admin_get_quotas(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_configs *c;
        json_t *list = json_array();

        (void)arg;
        pmap_for_each (it, c, &image->configs) {
                struct quota_entity e;
                struct arena mem;

                if (c->key.type != META_RESOURCE_QUOTA)
                        continue;
                arena_init(&mem, 0);
                if (quota_entity_parse(c->key.name, &mem, &e))
                        json_array_append_new(
                                list, json_pack("{s:o, s:o}", "entity", json_entity(&e), "quotas", json_quotas(c)));
                arena_fini(&mem);
        }
        meta_image_unref(image);
        admin_answer_json(rq, json_pack("{s:o}", "quotas", list));
}

/* ---- changed ---- */

/* What is read of a body. Texts are the JSON value's, or in @mem. */
struct quota_body {
        struct arena *mem;
        struct str name; /* of the resource */
        struct controller_config_change changes[CHANGES_MAX];
        int32_t count;
};

/* Return: NULL, or what is wrong. */
static const char *read_entity(json_t *value, struct quota_body *ret)
{
        struct quota_entity e = { 0 };
        const char *type, *wrong;
        json_t *name;

        if (!json_is_object(value))
                return "\"entity\" must be there, and an object.";
        json_object_foreach (value, type, name) {
                int i = 0;

                while (i < QUOTA_PARTS && strcmp(type, quota_part_name(i)) != 0)
                        i++;
                if (i == QUOTA_PARTS)
                        return "\"entity\" has user, client-id or ip.";
                if (!json_is_string(name) && !json_is_null(name))
                        return "\"entity\" has texts as names, or null for those who have no quota of their own.";
                e.parts[i] = (struct quota_entity_part){ true, json_is_null(name) ? STR_NULL
                                                                                  : str_of(json_string_value(name)) };
        }
        wrong = quota_entity_check(&e, ret->mem);
        if (wrong)
                return wrong;
        ret->name = quota_entity_format(&e, ret->mem);
        return str_is_null(ret->name) ? "The names are too long; together they may have about 200 bytes." : NULL;
}

static const char *read_set(json_t *object, struct quota_body *ret)
{
        const char *key;
        json_t *value;

        if (object && !json_is_object(object))
                return "\"set\" must be an object of numbers.";
        json_object_foreach (object, key, value) {
                struct str text = arena_printf(ret->mem, "%.17g", json_number_value(value));

                if (!json_is_number(value))
                        return "\"set\" must be an object of numbers.";
                if (ret->count == CHANGES_MAX)
                        return "There are more quotas than exist.";
                ret->changes[ret->count++] =
                        (struct controller_config_change){ str_of(key), CONTROLLER_CONFIG_SET, text };
        }
        return NULL;
}

static const char *read_unset(json_t *array, struct quota_body *ret)
{
        json_t *value;
        size_t i;

        if (array && !json_is_array(array))
                return "\"unset\" must be an array of quotas' names.";
        json_array_foreach (array, i, value) {
                if (!json_is_string(value))
                        return "\"unset\" must be an array of quotas' names.";
                if (ret->count == CHANGES_MAX)
                        return "There are more quotas than exist.";
                ret->changes[ret->count++] = (struct controller_config_change){ str_of(json_string_value(value)),
                                                                                CONTROLLER_CONFIG_DELETE, STR_NULL };
        }
        return NULL;
}

static void change(struct node *n, struct http_request *rq, struct quota_body *in)
{
        struct controller_alter_configs item = {
                .type = META_RESOURCE_QUOTA, .name = in->name, .changes = in->changes, .changes_count = in->count
        };
        struct controller_request ask = { .op = CONTROLLER_ALTER_CONFIGS,
                                          .wait_applied = true,
                                          .items = &item,
                                          .items_count = 1,
                                          .timeout_ms = CHANGE_MS,
                                          .mem = in->mem };

        ask_controller(n, rq, &ask);
        admin_answer_result(rq, &ask, &item.result, json_pack("{s:i}", "changed", in->count));
}

void admin_post_quotas(struct node *n, struct http_request *rq, const char *arg)
{
        static const char *const known[] = { "entity", "set", "unset" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), shape);
        CLEANUP(arena_finip) struct arena mem = { 0 };
        struct quota_body in = { .mem = &mem };
        const char *wrong;

        (void)arg;
        if (!body)
                return;
        wrong = read_entity(json_object_get(body, "entity"), &in);
        if (!wrong)
                wrong = read_set(json_object_get(body, "set"), &in);
        if (!wrong)
                wrong = read_unset(json_object_get(body, "unset"), &in);
        if (!wrong && !in.count)
                wrong = "Nothing is set or unset.";
        if (wrong)
                admin_answer_error(rq, 400, "The body must be %s. %s", shape, wrong);
        else
                change(n, rq, &in);
        json_decref(body);
}
