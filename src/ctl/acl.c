/* Commands of rules of access: which there are, and making and removing them. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

static const char *const members[] = { "permission", "operation", "resource", "name", "pattern", "principal", "host" };

static void print_rules(json_t *rules)
{
        static const char *const titles[] = { "PERMISSION", "OPERATION", "RESOURCE", "NAME",
                                              "PATTERN",    "PRINCIPAL", "HOST" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *one;
        size_t i;

        json_array_foreach (rules, i, one)
                for (size_t k = 0; k < ARRAY_LEN(members); k++)
                        table_cell(t, "%s", text_of(one, members[k]));
        table_print(t);
}

int acl_list(struct ctl *c, const char *arg)
{
        json_t *answer;
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/acls", NULL, NULL, &answer, &status))
                return status;
        print_rules(json_object_get(answer, "acls"));
        json_decref(answer);
        return CTL_OK;
}

static void put(json_t *object, const char *key, const char *text)
{
        if (text)
                json_object_set_new(object, key, json_string(text));
}

/* What the options say of a rule; members that are not given are left out. */
static json_t *rule_of(const struct ctl *c)
{
        const char *const names[] = { c->topic, c->group, c->cluster ? "kafka-cluster" : NULL, c->txn_id };
        static const char *const kinds[] = { "topic", "group", "cluster", "transactional_id" };
        json_t *rule = json_object();

        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
                if (names[i]) {
                        put(rule, "resource", kinds[i]);
                        put(rule, "name", names[i]);
                }
        put(rule, "principal", c->principal);
        put(rule, "host", c->host);
        put(rule, "operation", c->operation);
        if (c->deny)
                put(rule, "permission", "deny");
        if (c->prefixed)
                put(rule, "pattern", "prefixed");
        return rule;
}

static bool is_one_resource(const struct ctl *c)
{
        return !!c->topic + !!c->group + c->cluster + !!c->txn_id == 1;
}

int acl_add(struct ctl *c, const char *arg)
{
        json_t *answer;
        int status;

        (void)arg;
        if (!is_one_resource(c))
                return ctl_usage("'acl add' needs one of --topic, --group, --txn-id and --cluster: what is it for?");
        if (!c->principal || !c->operation)
                return ctl_usage("'acl add' needs --principal and --operation: who may do what?");
        if (!ask(c, "POST", "/v1/acls", NULL, json_pack("{s:[o]}", "add", rule_of(c)), &answer, &status))
                return status;
        json_decref(answer);
        printf("%s: %s may%s %s\n", "added", c->principal, c->deny ? " not" : "", c->operation);
        return CTL_OK;
}

int acl_remove(struct ctl *c, const char *arg)
{
        json_t *answer, *rule;
        int status;

        (void)arg;
        if (!!c->topic + !!c->group + c->cluster + !!c->txn_id > 1)
                return ctl_usage("'acl remove' takes one of --topic, --group, --txn-id and --cluster");
        rule = rule_of(c);
        if (!json_object_size(rule))
                return json_decref(rule),
                       ctl_usage("'acl remove' needs to know which: all rules that fit what is given are removed");
        if (!ask(c, "POST", "/v1/acls", NULL, json_pack("{s:o}", "remove", rule), &answer, &status))
                return status;
        if (!json_array_size(json_object_get(answer, "removed")))
                fputs("chronik-ctl: no rule fits; 'acl list' shows them\n", stderr);
        else
                print_rules(json_object_get(answer, "removed"));
        status = json_array_size(json_object_get(answer, "removed")) ? CTL_OK : CTL_FAILED;
        json_decref(answer);
        return status;
}
