/* Answers of the admin listener as JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "chronikd/admin.h"

void admin_answer_json(struct http_request *rq, json_t *value)
{
        char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

        if (!text)
                rq->out.failed = true;
        else
                strbuf_printf(&rq->out, "%s\n", text);
        free(text);
        json_decref(value);
}

void admin_answer_error(struct http_request *rq, unsigned status, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        rq->status = status;
        admin_answer_json(rq, json_pack("{s:o}", "error", json_vsprintf(fmt, ap)));
        va_end(ap);
}

/* What clients call themselves and their groups need not be UTF-8, JSON must be. */
json_t *admin_json_str(struct str s)
{
        CLEANUP(strbuf_finip) struct strbuf clean = { 0 };

        if (!s.p)
                return json_null();
        if (utf8_is_valid(s))
                return json_stringn(s.p, s.len);
        utf8_add_clean(&clean, s);
        return clean.failed ? NULL : json_stringn(clean.data, clean.len);
}

bool admin_members_known(json_t *body, const char *const *known, size_t count, char *why, size_t size)
{
        const char *key;
        json_t *value;

        json_object_foreach (body, key, value) {
                size_t i = 0;

                while (i < count && strcmp(key, known[i]) != 0)
                        i++;
                if (i == count) {
                        snprintf(why, size, "\"%.100s\" is not known.", key);
                        return false;
                }
        }
        return true;
}

json_t *admin_json_configs(const struct meta_image *image, enum meta_resource type, struct str name)
{
        const struct meta_configs *set = meta_image_configs(image, type, name);
        json_t *configs = json_object();

        for (uint32_t i = 0; set && i < set->count; i++) {
                char key[256];

                snprintf(key, sizeof key, "%.*s", STR_FMT(set->items[i].name));
                json_object_set_new(configs, key, admin_json_str(set->items[i].value));
        }
        return configs;
}

json_t *admin_json_ids(const int32_t *ids, size_t count)
{
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++)
                json_array_append_new(list, json_integer(ids[i]));
        return list;
}

/* ---- bodies and numbers ---- */

json_t *admin_body(struct http_request *rq, const char *const *known, size_t count, const char *shape)
{
        json_error_t fault;
        json_t *body = json_loadb(rq->body.len ? rq->body.p : "{}", rq->body.len ? rq->body.len : 2,
                                  JSON_REJECT_DUPLICATES, &fault);
        char why[256];

        if (!body)
                snprintf(why, sizeof why, "It is not JSON: %s.", fault.text);
        else if (!json_is_object(body))
                snprintf(why, sizeof why, "It is not an object.");
        else if (admin_members_known(body, known, count, why, sizeof why))
                return body;
        admin_answer_error(rq, 400, "The body must be %s. %s", shape, why);
        json_decref(body);
        return NULL;
}

bool admin_id_of(const json_t *value, int32_t *ret_id)
{
        json_int_t id = json_integer_value(value);

        if (!json_is_integer(value) || id < 0 || id > INT32_MAX)
                return false;
        *ret_id = (int32_t)id;
        return true;
}

bool admin_id_read(struct http_request *rq, const char *text, int32_t *ret_id)
{
        char *end;
        long id;

        errno = 0;
        id = strtol(text, &end, 10);
        if (errno || *text < '0' || *text > '9' || *end || id > INT32_MAX) {
                admin_answer_error(rq, 404, "'%s' is no node: nodes have numbers. `chronik-ctl node list` shows them.",
                                   text);
                return false;
        }
        *ret_id = (int32_t)id;
        return true;
}

bool admin_path_read(struct http_request *rq, const char *path, int32_t *ret_id, const char **ret_rest)
{
        const char *slash = strchrnul(path, '/');
        char text[32];

        snprintf(text, sizeof text, "%.*s", (int)MIN2(slash - path, 31), path);
        *ret_rest = *slash ? slash + 1 : slash;
        return admin_id_read(rq, text, ret_id);
}

/* ---- what the controller says ---- */

static unsigned status_of(enum controller_outcome outcome)
{
        switch (outcome) {
        case CONTROLLER_E_NOT_ACTIVE:
        case CONTROLLER_E_LOST:
        case CONTROLLER_E_BUSY:
        case CONTROLLER_E_NO_MEMORY:
        case CONTROLLER_E_NO_SPACE:
                return 503;
        case CONTROLLER_E_TOPIC_UNKNOWN:
        case CONTROLLER_E_PARTITION_UNKNOWN:
        case CONTROLLER_E_BROKER_UNKNOWN:
        case CONTROLLER_E_VOTER_UNKNOWN:
        case CONTROLLER_E_NO_REASSIGNMENT:
        case CONTROLLER_E_CREDENTIAL_UNKNOWN:
                return 404;
        case CONTROLLER_E_TOPIC_EXISTS:
        case CONTROLLER_E_DISRUPTION_HELD:
        case CONTROLLER_E_UNSAFE_TO_STOP:
        case CONTROLLER_E_TOO_FEW_BROKERS:
        case CONTROLLER_E_VOTER_KNOWN:
        case CONTROLLER_E_VOTER_CHANGE:
        case CONTROLLER_E_LEVEL:
        case CONTROLLER_E_ROTATION:
                return 409;
        default:
                return 400;
        }
}

void admin_answer_result(struct http_request *rq, const struct controller_request *crq,
                         const struct controller_result *item, json_t *done)
{
        const struct controller_result *result = crq->result.outcome ? &crq->result : item;

        if (result->outcome == CONTROLLER_OK) {
                admin_answer_json(rq, done);
                return;
        }
        admin_answer_error(rq, status_of(result->outcome), "%.*s", STR_FMT(result->message));
        json_decref(done);
}
