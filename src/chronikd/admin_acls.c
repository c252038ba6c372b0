/* /v1/acls of the admin listener: rules of access, told, made and taken away (security/acl.h). */
#include <jansson.h>
#include <string.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "security/acl.h"

static const char shape[] =
        "{\"add\": [RULE, ...]} or {\"remove\": FILTER}; a RULE has resource, name, pattern, principal, host, "
        "operation and permission, a FILTER some of them";

enum { RULES_MAX = 10000 };

/* ---- told ---- */

static json_t *json_rule(const struct meta_acl_entry *e)
{
        return json_pack("{s:s, s:o, s:s, s:o, s:o, s:s, s:s}", "resource", acl_resource_name(e->resource_type), "name",
                         admin_json_str(e->resource_name), "pattern", acl_pattern_name(e->pattern_type), "principal",
                         admin_json_str(e->principal), "host", admin_json_str(e->host), "operation",
                         acl_operation_name(e->operation), "permission", acl_permission_name(e->permission));
}

void admin_get_acls(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_acl *a;
        json_t *list = json_array();

        (void)arg;
        pmap_for_each (it, a, &image->acls)
                json_array_append_new(list, json_rule(&a->entry));
        meta_image_unref(image);
        admin_answer_json(rq, json_pack("{s:o}", "acls", list));
}

/* ---- read ---- */

/* A member that is a text; false: it is something else. @ret is null when it is not there. */
static bool read_text(const json_t *object, const char *key, struct str *ret)
{
        const json_t *value = json_object_get(object, key);

        *ret = str_of(json_string_value(value));
        return !value || json_is_string(value);
}

/* A word as its number, @otherwise when it is not there; false: there is no such word. */
static bool read_word(const json_t *object, const char *key, int (*number_of)(struct str name), int8_t otherwise,
                      int8_t *ret)
{
        struct str word;

        if (!read_text(object, key, &word))
                return false;
        *ret = word.p ? (int8_t)number_of(word) : otherwise;
        return *ret > ACL_RESOURCE_ANY || !word.p; /* any is what is left out */
}

/* Return: NULL, or what is wrong. What is left out means any, as in a filter. */
static const char *read_rule(json_t *object, struct acl_filter *ret)
{
        static const char *const known[] = { "resource", "name",      "pattern",   "principal",
                                             "host",     "operation", "permission" };
        char why[200];

        if (!json_is_object(object) || !admin_members_known(object, known, ARRAY_LEN(known), why, sizeof why))
                return "A rule is an object of resource, name, pattern, principal, host, operation and permission.";
        if (!read_word(object, "resource", acl_resource_of, ACL_RESOURCE_ANY, &ret->resource_type))
                return "\"resource\" is topic, group, cluster, transactional_id, delegation_token or user.";
        if (!read_word(object, "pattern", acl_pattern_of, ACL_PATTERN_ANY, &ret->pattern_type))
                return "\"pattern\" is literal or prefixed; of a filter also match.";
        if (!read_word(object, "operation", acl_operation_of, ACL_OPERATION_ANY, &ret->operation))
                return "\"operation\" is one that Kafka has, such as read, or all.";
        if (!read_word(object, "permission", acl_permission_of, ACL_PERMISSION_ANY, &ret->permission))
                return "\"permission\" is allow or deny.";
        if (!read_text(object, "name", &ret->resource_name) || !read_text(object, "principal", &ret->principal) ||
            !read_text(object, "host", &ret->host))
                return "\"name\", \"principal\" and \"host\" are texts.";
        return NULL;
}

/* ---- changed ---- */

static void ask(struct node *n, const struct http_request *who, struct controller_request *rq, enum controller_op op,
                void *items, uint32_t count, struct arena *mem)
{
        *rq = (struct controller_request){ .op = op,
                                           .wait_applied = true,
                                           .items = items,
                                           .items_count = count,
                                           .timeout_ms = CHANGE_MS,
                                           .mem = mem };
        ask_controller(n, who, rq);
}

/* All are judged before one is made. Return: NULL, or what is wrong. */
static const char *read_rules(json_t *array, struct controller_create_acl *items)
{
        json_t *one;
        size_t i;

        json_array_foreach (array, i, one) {
                struct acl_filter f;
                const char *wrong = read_rule(one, &f);

                if (wrong)
                        return wrong;
                items[i].entry = (struct meta_acl_entry){
                        .resource_type = f.resource_type,
                        .pattern_type = f.pattern_type == ACL_PATTERN_ANY ? ACL_LITERAL : f.pattern_type,
                        .operation = f.operation,
                        .permission = f.permission == ACL_PERMISSION_ANY ? ACL_ALLOW : f.permission,
                        .resource_name = f.resource_name,
                        .principal = f.principal,
                        .host = f.host.p ? f.host : STR_LIT(ACL_WILDCARD),
                };
                wrong = acl_check(&items[i].entry);
                if (wrong)
                        return wrong;
        }
        return NULL;
}

static void add(struct node *n, struct http_request *rq, json_t *array, struct arena *mem)
{
        size_t count = json_array_size(array);
        struct controller_create_acl *items = ARENA_NEW_ARRAY(mem, struct controller_create_acl, count);
        const struct controller_result *result;
        struct controller_request crq;
        const char *wrong;

        if (!items || !count || count > RULES_MAX) {
                admin_answer_error(rq, 400, "\"add\" must be an array of 1 to %d rules.", RULES_MAX);
                return;
        }
        wrong = read_rules(array, items);
        if (wrong) {
                admin_answer_error(rq, 400, "The body must be %s. %s", shape, wrong);
                return;
        }
        ask(n, rq, &crq, CONTROLLER_CREATE_ACLS, items, (uint32_t)count, mem);
        result = &items[0].result;
        for (size_t i = 0; i < count && !crq.result.outcome && !result->outcome; i++)
                result = &items[i].result;
        admin_answer_result(rq, &crq, result, json_pack("{s:i}", "added", (int)count));
}

static void take_away(struct node *n, struct http_request *rq, json_t *filter, struct arena *mem)
{
        struct controller_delete_acls item = { 0 };
        const char *wrong = read_rule(filter, &item.filter);
        struct controller_request crq;
        json_t *list = json_array();

        if (!wrong && !json_object_size(filter))
                wrong = "A filter of nothing would take all rules away.";
        if (wrong) {
                json_decref(list);
                admin_answer_error(rq, 400, "The body must be %s. %s", shape, wrong);
                return;
        }
        ask(n, rq, &crq, CONTROLLER_DELETE_ACLS, &item, 1, mem);
        for (int32_t i = 0; i < item.deleted_count && !crq.result.outcome; i++)
                json_array_append_new(list, json_rule(&item.deleted[i]));
        admin_answer_result(rq, &crq, &item.result, json_pack("{s:o}", "removed", list));
}

void admin_post_acls(struct node *n, struct http_request *rq, const char *arg)
{
        static const char *const known[] = { "add", "remove" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), shape), *rules, *filter;
        CLEANUP(arena_finip) struct arena mem = { 0 };

        (void)arg;
        if (!body)
                return;
        rules = json_object_get(body, "add");
        filter = json_object_get(body, "remove");
        if (!rules == !filter)
                admin_answer_error(rq, 400, "The body must be %s.", shape);
        else if (rules)
                add(n, rq, rules, &mem);
        else
                take_away(n, rq, filter, &mem);
        json_decref(body);
}
