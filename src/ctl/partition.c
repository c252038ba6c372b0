/* Commands about partitions: where their replicas are, and who leads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

static bool partition_read(const char *text, long long *ret)
{
        if (number_read(text, 0, INT32_MAX, ret))
                return true;
        ctl_usage("'%s' is no partition; a number such as 0 is needed", text);
        return false;
}

/* ---- what is going on ---- */

int reassign_list(struct ctl *c, const char *topic)
{
        static const char *const titles[] = { "TOPIC",  "PARTITION>", "REPLICAS", "IN SYNC",
                                              "ADDING", "REMOVING",   "BEHIND>" };
        json_t *answer, *r;
        struct table *t;
        size_t i;
        int status;

        if (!ask(c, "GET", "/v1/reassignments", NULL, NULL, &answer, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(answer, "reassignments"), i, r) {
                if (topic && strcmp(topic, text_of(r, "topic")) != 0)
                        continue;
                table_cell(t, "%s", text_of(r, "topic"));
                cell_number(t, r, "partition");
                table_cell(t, "%s", ids_of(r, "replicas"));
                table_cell(t, "%s", ids_of(r, "isr"));
                table_cell(t, "%s", ids_of(r, "adding"));
                table_cell(t, "%s", ids_of(r, "removing"));
                cell_number(t, r, "behind");
        }
        if (json_array_size(json_object_get(answer, "reassignments")))
                table_print(t);
        else
                puts("nothing moves");
        json_decref(answer);
        return CTL_OK;
}

/* ---- asking ---- */

/* {"partitions": [...]} of a file; NULL has been told. */
static json_t *file_read(const char *path)
{
        json_error_t fault;
        json_t *whole = json_load_file(path, JSON_REJECT_DUPLICATES, &fault),
               *list = json_object_get(whole, "partitions");

        if (json_is_array(list)) {
                json_t *body = json_pack("{s:O}", "partitions", list);

                json_decref(whole);
                return body;
        }
        if (whole)
                fprintf(stderr,
                        "chronik-ctl: %s is not {\"version\": 1, \"partitions\": [{\"topic\": \"orders\", "
                        "\"partition\": 0, "
                        "\"replicas\": [1, 2, 3]}, ...]}\n",
                        path);
        else if (fault.line > 0)
                fprintf(stderr, "chronik-ctl: %s, line %d: %s\n", path, fault.line, fault.text);
        else
                fprintf(stderr, "chronik-ctl: %s\n", fault.text);
        json_decref(whole);
        return NULL;
}

/* The partitions of a topic that the metadata has; -1 has been told. */
static long long partitions_of(struct ctl *c, const char *topic)
{
        char *escaped = ctl_escape(topic), *path;
        long long count = -1;
        json_t *answer;

        if (!escaped || asprintf(&path, "/v1/topics/%s", escaped) < 0)
                abort();
        if (ctl_ask(c, "GET", path, NULL, &answer) == CTL_OK) {
                count = number_of(answer, "partitions");
                json_decref(answer);
        }
        free(path);
        free(escaped);
        return count;
}

/* @replicas from the @by-th on, and around. */
static json_t *turned(json_t *replicas, size_t by)
{
        json_t *out = json_array();
        size_t count = json_array_size(replicas);

        for (size_t i = 0; i < count; i++)
                json_array_append(out, json_array_get(replicas, (i + by) % count));
        return out;
}

/* One partition, or all of the topic. @replicas: NULL to cancel. NULL has been told, or there is none. */
static json_t *partitions_named(struct ctl *c, const char *topic, json_t *replicas, int *ret_status)
{
        long long first = 0, end;
        json_t *list = json_array();

        *ret_status = CTL_USAGE;
        if (c->second && !partition_read(c->second, &first))
                return NULL;
        end = c->second ? first + 1 : partitions_of(c, topic);
        *ret_status = CTL_FAILED;
        if (end < 0)
                return NULL;
        for (long long i = first; i < end; i++) {
                json_t *one = json_pack("{s:s, s:I}", "topic", topic, "partition", (json_int_t)i);

                if (!one)
                        return fputs("chronik-ctl: the name is not UTF-8\n", stderr), NULL;
                json_object_set_new(one, "replicas",
                                    replicas ? turned(replicas, c->second ? 0 : (size_t)i) : json_null());
                json_array_append_new(list, one);
        }
        return json_pack("{s:o}", "partitions", list);
}

static int show_results(const json_t *answer, const json_t *body)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>", "BEFORE", "TO BE", "RESULT" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *r;
        size_t i;

        json_array_foreach (json_object_get(answer, "results"), i, r) {
                table_cell(t, "%s", text_of(r, "topic"));
                cell_number(t, r, "partition");
                table_cell(t, "%s", ids_of(r, "before"));
                table_cell(t, "%s", ids_of(json_array_get(json_object_get(body, "partitions"), i), "replicas"));
                table_cell(t, "%s", is_true(r, "done") ? "ok" : text_of(r, "error"));
        }
        table_print(t);
        return number_of(answer, "failed") ? CTL_FAILED : CTL_OK;
}

static int reassign(struct ctl *c, json_t *body)
{
        json_t *answer;
        int status;

        status = ctl_ask(c, "POST", "/v1/reassignments", json_incref(body), &answer);
        if (status == CTL_OK) {
                if (c->json)
                        print_json(answer);
                status = c->json ? (number_of(answer, "failed") ? CTL_FAILED : CTL_OK) : show_results(answer, body);
                json_decref(answer);
        }
        json_decref(body);
        return status;
}

int reassign_set(struct ctl *c, const char *topic)
{
        int status = CTL_FAILED;
        json_t *body;

        if (!topic == !c->file || !topic == !!c->replicas)
                return ctl_usage(
                        "'topic reassign set' needs NAME [PARTITION] and --replicas ID,ID,..., or --file FILE");
        body = topic ? partitions_named(c, topic, c->replicas, &status) : file_read(c->file);
        return body ? reassign(c, body) : status;
}

/* All of a topic that move, as what cancels them. NULL has been told. */
static json_t *moving_of(struct ctl *c, const char *topic)
{
        json_t *answer, *r, *list = json_array();
        size_t i;

        if (ctl_ask(c, "GET", "/v1/reassignments", NULL, &answer))
                return NULL;
        json_array_foreach (json_object_get(answer, "reassignments"), i, r)
                if (!strcmp(json_string_value(json_object_get(r, "topic")), topic))
                        json_array_append_new(
                                list, json_pack("{s:s, s:I}", "topic", topic, "partition", number_of(r, "partition")));
        json_decref(answer);
        if (json_array_size(list))
                return json_pack("{s:o}", "partitions", list);
        fprintf(stderr, "chronik-ctl: no partition of %s is being moved\n", text_clean(strdup(topic)));
        return NULL;
}

int reassign_cancel(struct ctl *c, const char *topic)
{
        int status = CTL_FAILED;
        json_t *body, *one;
        size_t i;

        if (!topic == !c->file)
                return ctl_usage("'topic reassign cancel' needs NAME [PARTITION], or --file FILE");
        body = !topic      ? file_read(c->file)
               : c->second ? partitions_named(c, topic, NULL, &status)
                           : moving_of(c, topic);
        json_array_foreach (json_object_get(body, "partitions"), i, one)
                json_object_set_new(one, "replicas", json_null());
        return body ? reassign(c, body) : status;
}

/* ---- elections ---- */

int topic_elect(struct ctl *c, const char *topic)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>", "LEADER>", "RESULT" };
        json_t *body = json_pack("{s:s, s:s}", "topic", topic, "type", c->unclean ? "unclean" : "preferred");
        json_t *answer, *r;
        long long partition;
        struct table *t;
        size_t i;
        int status;

        if (!body)
                return fputs("chronik-ctl: the name is not UTF-8\n", stderr), CTL_FAILED;
        if (c->second && !partition_read(c->second, &partition))
                return CTL_USAGE;
        if (c->second)
                json_object_set_new(body, "partitions", json_pack("[I]", (json_int_t)partition));
        status = ctl_ask(c, "POST", "/v1/elections", body, &answer);
        if (status)
                return status;
        status = number_of(answer, "failed") ? CTL_FAILED : CTL_OK;
        if (c->json) {
                print_json(answer);
        } else {
                t = table_new(titles, ARRAY_LEN(titles));
                json_array_foreach (json_object_get(answer, "results"), i, r) {
                        table_cell(t, "%s", text_of(r, "topic"));
                        cell_number(t, r, "partition");
                        cell_number(t, r, "leader");
                        table_cell(t, "%s",
                                   strcmp(text_of(r, "result"), "failed") ? text_of(r, "result") : text_of(r, "error"));
                }
                table_print(t);
        }
        json_decref(answer);
        return status;
}
