/* Commands of client quotas: who has which, and changing them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

/* The words of an entity in the order in which they are shown; as the node names them. */
static const char *const kinds[] = { "user", "client-id", "ip" };

/* ---- list ---- */

/* "alice", or "(default)" for those who have none of their own; "-" where the quota is not about this kind. */
static void cell_name(struct table *t, const json_t *entity, const char *kind)
{
        const json_t *name = json_object_get(entity, kind);

        if (!name)
                table_cell(t, "-");
        else if (json_is_null(name))
                table_cell(t, "(default)");
        else
                table_cell(t, "%s", json_string_value(name));
}

int quota_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "USER", "CLIENT ID", "ADDRESS", "QUOTA", "VALUE>" };
        json_t *answer, *one, *value;
        const char *key;
        struct table *t;
        int status;
        size_t i;

        (void)arg;
        if (!ask(c, "GET", "/v1/quotas", NULL, NULL, &answer, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(answer, "quotas"), i, one)
                json_object_foreach (json_object_get(one, "quotas"), key, value) {
                        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
                                cell_name(t, json_object_get(one, "entity"), kinds[k]);
                        table_cell(t, "%s", key);
                        table_cell(t, "%.15g", json_number_value(value));
                }
        table_print(t);
        json_decref(answer);
        return CTL_OK;
}

/* ---- set, unset ---- */

/* "50M", "0.5": a number, with K, M or G for multiples of 1024. */
static bool amount_read(const char *text, double *ret)
{
        static const double units[] = { 1 << 10, 1 << 20, 1 << 30 };
        static const char letters[] = "KMG";
        char *end;
        double v = strtod(text, &end);
        const char *at = *end ? strchr(letters, *end) : NULL;

        if (end == text || strspn(text, "0123456789.") != (size_t)(end - text) || (*end && (!at || end[1])))
                return false;
        *ret = at ? v * units[at - letters] : v;
        return true;
}

/* An object for whom the quota is. Return: CTL_OK; otherwise why there is none has been told. */
static int entity_of(const struct ctl *c, const char *what, json_t **ret_entity)
{
        const char *const names[] = { c->user, c->client_id, c->ip };
        json_t *entity = json_object();

        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
                json_t *name = names[i] ? json_string(names[i]) : c->defaults & 1u << i ? json_null() : NULL;

                if (names[i] && c->defaults & 1u << i)
                        return ctl_usage("--%s and --default %s cannot both be meant", kinds[i], kinds[i]);
                if (names[i] && !name)
                        return fputs("chronik-ctl: the name is not UTF-8\n", stderr), CTL_FAILED;
                if (name)
                        json_object_set_new(entity, kinds[i], name);
        }
        if (!json_object_size(entity))
                return ctl_usage(
                        "'%s' needs --user, --client-id or --ip: whose is it? --default is for those who have none of "
                        "their own",
                        what);
        *ret_entity = entity;
        return CTL_OK;
}

/* Ask for it; true when it is done and to be told in words. */
static bool change(struct ctl *c, json_t *entity, const char *how, json_t *what, int *ret_status)
{
        json_t *answer;

        if (!ask(c, "POST", "/v1/quotas", NULL, json_pack("{s:o, s:o}", "entity", entity, how, what), &answer,
                 ret_status))
                return false;
        json_decref(answer);
        return true;
}

int quota_set(struct ctl *c, const char *key)
{
        json_t *entity = NULL;
        double amount;
        int status = entity_of(c, "quota set", &entity);

        if (status)
                return status;
        if (!amount_read(c->second, &amount))
                return ctl_usage("'%s' is no amount: a number is needed, such as 1000, 0.5 or 50M", c->second);
        if (change(c, entity, "set", json_pack("{s:f}", key, amount), &status))
                printf("set %s to %.15g\n", key, amount);
        return status;
}

/* What @entity has: the names of its quotas. NULL: asking failed, with @ret_status. */
static json_t *quotas_of(struct ctl *c, const json_t *entity, int *ret_status)
{
        json_t *answer, *one, *keys = json_array();
        const char *key;
        json_t *value;
        size_t i;

        *ret_status = ctl_ask(c, "GET", "/v1/quotas", NULL, &answer);
        if (*ret_status)
                return NULL;
        json_array_foreach (json_object_get(answer, "quotas"), i, one)
                if (json_equal(json_object_get(one, "entity"), entity))
                        json_object_foreach (json_object_get(one, "quotas"), key, value)
                                json_array_append_new(keys, json_string(key));
        json_decref(answer);
        return keys;
}

int quota_unset(struct ctl *c, const char *key)
{
        json_t *entity = NULL, *keys;
        int status = entity_of(c, "quota unset", &entity);

        if (status)
                return status;
        keys = key ? json_pack("[s]", key) : quotas_of(c, entity, &status);
        if (!keys)
                return status;
        if (!json_array_size(keys))
                return fputs("chronik-ctl: it has no quota of its own; 'quota list' shows who has\n", stderr),
                       CTL_FAILED;
        if (change(c, entity, "unset", keys, &status))
                printf("unset %s\n", key ? key : "all of its quotas");
        return status;
}
