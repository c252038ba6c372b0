/* Commands about the controllers: who keeps the metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

int controller_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "NODE>", "STATE", "ADDRESS", "ENTRY>", "LAG>", "HEARD OF", "FOLDER" };
        json_t *q, *member;
        struct table *t;
        size_t i;
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/controllers", NULL, NULL, &q, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(q, "controllers"), i, member) {
                json_t *heard = json_object_get(member, "heard_ms_ago");
                char ago[32];

                cell_number(t, member, "id");
                table_cell(t, "%s", is_true(member, "active") ? "active" : text_of(member, "kind"));
                table_cell(t, "%s", text_of(member, "address"));
                cell_number(t, member, "end_index");
                cell_number(t, member, "lag");
                if (is_true(member, "active") || !heard)
                        table_cell(t, heard ? "-" : "not yet");
                else
                        table_cell(t, "%s ago", table_span(json_integer_value(heard), ago));
                table_cell(t, "%s", text_of(member, "directory"));
        }
        table_print(t);
        json_decref(q);
        return CTL_OK;
}

int controller_add(struct ctl *c, const char *at)
{
        const char *sign = strchr(at, '@'), *colon = strrchr(at, ':');
        char *id = strndup(at, sign ? (size_t)(sign - at) : 0);
        long long node;
        json_t *body, *answer;
        int status;

        if (!id || !sign || !colon || colon < sign + 2 || !colon[1] || !number_read(id, 0, INT32_MAX, &node))
                return ctl_usage("'%s' is not ID@HOST:PORT, such as 4@10.0.0.4:9093 (its cluster.listen)", at);
        free(id);
        body = json_pack("{s:I, s:s}", "id", (json_int_t)node, "address", sign + 1);
        if (!body)
                return fputs("chronik-ctl: the address is not UTF-8\n", stderr), CTL_FAILED;
        if (c->directory)
                json_object_set_new(body, "directory", json_string(c->directory));
        if (!ask(c, "POST", "/v1/controllers", NULL, body, &answer, &status))
                return status;
        printf("node %lld is a controller; put it into cluster.controllers of the nodes' configuration too\n", node);
        json_decref(answer);
        return CTL_OK;
}

int controller_remove(struct ctl *c, const char *id)
{
        json_t *answer;
        char *path;
        long long node;
        int status;

        if (!number_read(id, 0, INT32_MAX, &node))
                return ctl_usage("'%s' is no node; a number such as 3 is needed", id);
        if (asprintf(&path, "/v1/controllers/%lld%s%s", node, c->directory ? "/" : "",
                     c->directory ? c->directory : "") < 0)
                abort();
        if (!ask(c, "DELETE", path, NULL, NULL, &answer, &status))
                return status;
        printf("node %lld is no controller any more; take it out of cluster.controllers of the nodes' configuration "
               "too, and start it without the role controller: until then it serves no clients\n",
               node);
        json_decref(answer);
        return CTL_OK;
}

int controller_transfer(struct ctl *c, const char *id)
{
        json_t *body = json_object(), *answer;
        long long node;
        int status;

        if (id && !number_read(id, 0, INT32_MAX, &node))
                return ctl_usage("'%s' is no node; a number such as 3 is needed", id);
        if (id)
                json_object_set_new(body, "id", json_integer(node));
        if (!ask(c, "POST", "/v1/transfer", NULL, body, &answer, &status))
                return status;
        if (number_of(answer, "id") >= 0)
                printf("node %" JSON_INTEGER_FORMAT " is the active controller\n", number_of(answer, "id"));
        else
                printf("another node is the active controller\n");
        json_decref(answer);
        return CTL_OK;
}
