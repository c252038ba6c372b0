/* Commands of topics and groups: what each asks for and how the answer is shown; and what all commands share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/ctl.h"

const char *text_of(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));
        char *copy = strdup(s && *s ? s : "-");

        if (!copy)
                abort();
        return text_clean(copy);
}

json_int_t number_of(const json_t *object, const char *key)
{
        return json_integer_value(json_object_get(object, key));
}

const char *ids_of(const json_t *object, const char *key)
{
        json_t *list = json_object_get(object, key), *id;
        struct strbuf text = { 0 };
        size_t i;

        json_array_foreach (list, i, id)
                strbuf_printf(&text, "%s%" JSON_INTEGER_FORMAT, i ? "," : "", json_integer_value(id));
        if (!text.len)
                strbuf_add_c(&text, "-");
        if (text.failed)
                abort();
        return strbuf_take(&text);
}

bool is_true(const json_t *object, const char *key)
{
        return json_is_true(json_object_get(object, key));
}

void cell_number(struct table *t, const json_t *object, const char *key)
{
        json_t *v = json_object_get(object, key);

        if (v)
                table_cell(t, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        else
                table_cell(t, "-");
}

void print_json(json_t *value)
{
        json_dumpf(value, stdout, JSON_INDENT(2));
        putchar('\n');
}

bool ask(struct ctl *c, const char *method, const char *path, const char *name, json_t *body, json_t **ret,
         int *ret_status)
{
        char *escaped = name ? ctl_escape(name) : NULL, *whole;

        if (asprintf(&whole, "%s%s", path, escaped ? escaped : "") < 0)
                abort();
        *ret_status = ctl_ask(c, method, whole, body, ret);
        free(escaped);
        free(whole);
        if (*ret_status != CTL_OK)
                return false;
        if (!c->json)
                return true;
        print_json(*ret);
        json_decref(*ret);
        return false;
}

/* ---- topics ---- */

/* What is behind a figure that not all leaders of the topic's partitions have told. */
static const char *some(const json_t *topic)
{
        return number_of(topic, "partitions_heard") < number_of(topic, "partitions") ? "+" : "";
}

int topic_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "TOPIC", "PARTITIONS>", "REPLICAS>", "OFFSETS>", "SIZE>" };
        json_t *answer, *topic;
        struct table *t;
        char size[32];
        size_t i, missing = 0;
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/topics", NULL, NULL, &answer, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(answer, "topics"), i, topic) {
                table_cell(t, "%s", text_of(topic, "name"));
                cell_number(t, topic, "partitions");
                cell_number(t, topic, "replication_factor");
                if (number_of(topic, "partitions_heard") < number_of(topic, "partitions"))
                        missing++;
                table_cell(t, "%" JSON_INTEGER_FORMAT "%s", number_of(topic, "offsets"), some(topic));
                table_cell(t, "%s%s", table_bytes(number_of(topic, "size_bytes"), size), some(topic));
        }
        table_print(t);
        if (missing)
                fputs("chronik-ctl: + is of some partitions only: others have no leader that answers\n", stderr);
        json_decref(answer);
        return CTL_OK;
}

struct table *damage_table(void)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>", "FIRST DAMAGED>", "LAST DAMAGED>",
                                              "FILE",  "POSITION>",  "BYTES>",         "WHAT" };

        return table_new(titles, ARRAY_LEN(titles));
}

void damage_rows(struct table *t, const char *topic, json_int_t partition, json_t *ranges)
{
        json_t *r;
        size_t i;

        json_array_foreach (ranges, i, r) {
                table_cell(t, "%s", topic);
                table_cell(t, "%" JSON_INTEGER_FORMAT, partition);
                cell_number(t, r, "first_offset");
                cell_number(t, r, "last_offset");
                table_cell(t, "%s", text_of(r, "file"));
                cell_number(t, r, "position");
                cell_number(t, r, "bytes");
                table_cell(t, "%s", text_of(r, "why"));
        }
}

static void print_partitions(json_t *topic)
{
        static const char *const titles[] = { "PARTITION>", "LEADER>",  "EPOCH>", "REPLICAS", "IN SYNC", "ELIGIBLE",
                                              "ADDING",     "REMOVING", "START>", "END>",     "SIZE>",   "STATE" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *p;
        size_t i;

        json_array_foreach (json_object_get(topic, "partition_list"), i, p) {
                char size[32];

                cell_number(t, p, "partition");
                if (number_of(p, "leader") < 0)
                        table_cell(t, "-");
                else
                        cell_number(t, p, "leader");
                cell_number(t, p, "leader_epoch");
                table_cell(t, "%s", ids_of(p, "replicas"));
                table_cell(t, "%s", ids_of(p, "isr"));
                table_cell(t, "%s", ids_of(p, "elr"));
                table_cell(t, "%s", ids_of(p, "adding"));
                table_cell(t, "%s", ids_of(p, "removing"));
                cell_number(t, p, "start_offset");
                cell_number(t, p, "high_watermark");
                table_cell(t, "%s",
                           json_object_get(p, "size_bytes") ? table_bytes(number_of(p, "size_bytes"), size) : "-");
                table_cell(t, "%s", text_of(p, "state"));
        }
        putchar('\n');
        table_print(t);
        t = damage_table();
        json_array_foreach (json_object_get(topic, "partition_list"), i, p)
                damage_rows(t, text_of(topic, "name"), number_of(p, "partition"), json_object_get(p, "damaged"));
        table_print_rows(t);
}

/* What is set on a topic or a group. */
static void print_configs(json_t *object)
{
        const char *name;
        json_t *value;

        json_object_foreach (json_object_get(object, "configs"), name, value)
                printf("config       %s=%s\n", name, json_string_value(value));
}

int topic_get(struct ctl *c, const char *arg)
{
        json_t *topic;
        char size[32];
        int status;

        if (!ask(c, "GET", "/v1/topics/", arg, NULL, &topic, &status))
                return status;
        printf("topic        %s\nid           %s\npartitions   %" JSON_INTEGER_FORMAT
               "\nreplicas     %" JSON_INTEGER_FORMAT "\noffsets      %" JSON_INTEGER_FORMAT "%s\nsize         %s%s\n",
               text_of(topic, "name"), text_of(topic, "id"), number_of(topic, "partitions"),
               number_of(topic, "replication_factor"), number_of(topic, "offsets"), some(topic),
               table_bytes(number_of(topic, "size_bytes"), size), some(topic));
        print_configs(topic);
        if (c->detailed)
                print_partitions(topic);
        json_decref(topic);
        return CTL_OK;
}

int topic_create(struct ctl *c, const char *arg)
{
        json_t *body = json_pack("{s:s, s:O}", "name", arg, "configs", c->configs);
        json_t *answer;
        int status;

        if (!body)
                return fputs("chronik-ctl: the name is not UTF-8\n", stderr), CTL_FAILED;
        if (c->partitions > 0)
                json_object_set_new(body, "partitions", json_integer(c->partitions));
        if (c->replication_factor > 0)
                json_object_set_new(body, "replication_factor", json_integer(c->replication_factor));
        if (!ask(c, "POST", "/v1/topics", NULL, body, &answer, &status))
                return status;
        printf("created topic %s\n", arg);
        json_decref(answer);
        return CTL_OK;
}

int topic_delete(struct ctl *c, const char *arg)
{
        json_t *answer;
        int status;

        if (!ask(c, "DELETE", "/v1/topics/", arg, NULL, &answer, &status))
                return status;
        printf("deleted topic %s\n", arg);
        json_decref(answer);
        return CTL_OK;
}

/* ---- groups ---- */

int group_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "GROUP", "STATE", "TYPE", "PROTOCOL" };
        json_t *answer, *group;
        struct table *t;
        size_t i;
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/groups", NULL, NULL, &answer, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(answer, "groups"), i, group) {
                table_cell(t, "%s", text_of(group, "name"));
                table_cell(t, "%s", text_of(group, "state"));
                table_cell(t, "%s", text_of(group, "type"));
                table_cell(t, "%s", text_of(group, "protocol_type"));
        }
        table_print(t);
        if (json_is_false(json_object_get(answer, "complete")))
                fputs("chronik-ctl: some groups are still being loaded and are missing here; ask again\n", stderr);
        json_decref(answer);
        return CTL_OK;
}

/* "orders:0,1 payments:2" */
static void cell_partitions(struct table *t, const json_t *list)
{
        struct strbuf out = { 0 };
        const json_t *topic, *p;
        size_t i, k;

        json_array_foreach (list, i, topic) {
                strbuf_printf(&out, "%s%s:", i ? " " : "", text_of(topic, "topic"));
                json_array_foreach (json_object_get(topic, "partitions"), k, p)
                        strbuf_printf(&out, "%s%" JSON_INTEGER_FORMAT, k ? "," : "", json_integer_value(p));
        }
        table_cell(t, "%s", out.len ? out.data : "-");
        strbuf_fini(&out);
}

/* Of a consumer group: how far each has come. */
static void print_consumers(json_t *group)
{
        static const char *const titles[] = { "MEMBER", "INSTANCE", "CLIENT", "HOST", "EPOCH>", "HAS", "SHALL HAVE" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *m;
        size_t i;

        json_array_foreach (json_object_get(group, "members"), i, m) {
                const json_t *target = json_object_get(m, "target");

                table_cell(t, "%s", text_of(m, "id"));
                table_cell(t, "%s", text_of(m, "instance_id"));
                table_cell(t, "%s", text_of(m, "client_id"));
                table_cell(t, "%s", text_of(m, "host"));
                cell_number(t, m, "epoch");
                cell_partitions(t, json_object_get(m, "assigned"));
                if (json_equal(target, json_object_get(m, "assigned")))
                        table_cell(t, "the same");
                else
                        cell_partitions(t, target);
        }
        putchar('\n');
        table_print(t);
}

static void print_members(json_t *group)
{
        static const char *const titles[] = { "MEMBER", "INSTANCE", "CLIENT", "HOST" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *m;
        size_t i;

        json_array_foreach (json_object_get(group, "members"), i, m) {
                table_cell(t, "%s", text_of(m, "id"));
                table_cell(t, "%s", text_of(m, "instance_id"));
                table_cell(t, "%s", text_of(m, "client_id"));
                table_cell(t, "%s", text_of(m, "host"));
        }
        putchar('\n');
        table_print(t);
}

/* Of a share group: members have what they shall have. */
static void print_sharers(json_t *group)
{
        static const char *const titles[] = { "MEMBER", "CLIENT", "HOST", "EPOCH>", "HAS" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *m;
        size_t i;

        json_array_foreach (json_object_get(group, "members"), i, m) {
                table_cell(t, "%s", text_of(m, "id"));
                table_cell(t, "%s", text_of(m, "client_id"));
                table_cell(t, "%s", text_of(m, "host"));
                cell_number(t, m, "epoch");
                cell_partitions(t, json_object_get(m, "assigned"));
        }
        putchar('\n');
        table_print(t);
}

static void print_progress(json_t *group)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>", "START>", "DONE BEHIND IT>", "END>", "LAG>" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *o;
        size_t i;

        json_array_foreach (json_object_get(group, "offsets"), i, o) {
                table_cell(t, "%s", text_of(o, "topic"));
                cell_number(t, o, "partition");
                if (number_of(o, "start_offset") < 0)
                        table_cell(t, "-"); /* nobody has decided */
                else
                        cell_number(t, o, "start_offset");
                cell_number(t, o, "done_records");
                cell_number(t, o, "end_offset");
                cell_number(t, o, "lag");
        }
        putchar('\n');
        table_print(t);
}

static void print_offsets(json_t *group)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>", "COMMITTED>", "END>", "LAG>" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *o;
        size_t i;

        json_array_foreach (json_object_get(group, "offsets"), i, o) {
                table_cell(t, "%s", text_of(o, "topic"));
                cell_number(t, o, "partition");
                cell_number(t, o, "committed_offset");
                cell_number(t, o, "end_offset");
                cell_number(t, o, "lag");
        }
        putchar('\n');
        table_print(t);
}

static void print_epochs(json_t *group)
{
        printf("epoch        %" JSON_INTEGER_FORMAT ", of the target %" JSON_INTEGER_FORMAT "\n",
               number_of(group, "epoch"), number_of(group, "target_epoch"));
}

int group_get(struct ctl *c, const char *arg)
{
        json_t *group;
        int status;

        if (!ask(c, "GET", "/v1/groups/", arg, NULL, &group, &status))
                return status;
        printf("group        %s\nstate        %s\ntype         %s\nassignor     %s\n", text_of(group, "name"),
               text_of(group, "state"), text_of(group, "type"), text_of(group, "assignor"));
        print_configs(group);
        if (strcmp(text_of(group, "type"), "consumer") == 0) {
                print_epochs(group);
                print_consumers(group);
        } else if (strcmp(text_of(group, "type"), "share") == 0) {
                print_epochs(group);
                print_sharers(group);
                print_progress(group);
                json_decref(group);
                return CTL_OK;
        } else {
                printf("generation   %" JSON_INTEGER_FORMAT "\n", number_of(group, "generation"));
                print_members(group);
        }
        print_offsets(group);
        json_decref(group);
        return CTL_OK;
}
