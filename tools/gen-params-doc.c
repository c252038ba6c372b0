/* Prints the tables of src/conf: as docs/PARAMETERS.md, or as nixos/parameters.json, from which the options of NixOS are made.
 *
 *   gen-params-doc                        the document
 *   gen-params-doc --json                 the same facts as JSON
 *   gen-params-doc [--json] --check FILE  exit 1 when FILE is not that, saying how to make it so */
#include <stdio.h>
#include <string.h>

#include "conf/broker.h"
#include "conf/group_settings.h"
#include "conf/topic.h"

static const char *const kafka_types[] = {
        [CONF_KAFKA_BOOLEAN] = "boolean", [CONF_KAFKA_STRING] = "string", [CONF_KAFKA_INT] = "int",
        [CONF_KAFKA_LONG] = "long",       [CONF_KAFKA_DOUBLE] = "double", [CONF_KAFKA_LIST] = "list",
};

static const char *const types[] = {
        [CONF_INT] = "int",     [CONF_SIZE] = "bytes", [CONF_TIME] = "milliseconds",
        [CONF_RATIO] = "ratio", [CONF_BOOL] = "bool",  [CONF_ENUM] = "enum",
        [CONF_SET] = "set",     [CONF_STR] = "string", [CONF_ADDR] = "address",
};

static bool is_number(const struct conf_row *row)
{
        return row->type == CONF_INT || row->type == CONF_SIZE || row->type == CONF_TIME;
}

/* ---- Markdown ---- */

/* A large count of bytes or milliseconds in a form that one can read; nothing when the digits are as good. */
static void add_readable(struct strbuf *out, const struct conf_row *row, int64_t v)
{
        static const struct {
                enum conf_type type;
                int64_t factor;
                const char *unit;
        } units[] = {
                { CONF_SIZE, INT64_C(1) << 30, "GiB" },
                { CONF_SIZE, INT64_C(1) << 20, "MiB" },
                { CONF_SIZE, 1 << 10, "KiB" },
                { CONF_TIME, 86400000, "d" },
                { CONF_TIME, 3600000, "h" },
                { CONF_TIME, 60000, "m" },
                { CONF_TIME, 1000, "s" },
        };

        for (size_t i = 0; i < ARRAY_LEN(units); i++)
                if (units[i].type == row->type && v >= units[i].factor && v % units[i].factor == 0) {
                        strbuf_printf(out, "%lld%s", (long long)(v / units[i].factor), units[i].unit);
                        return;
                }
        strbuf_printf(out, "%lld", (long long)v);
}

static void add_number(struct strbuf *out, const struct conf_row *row, int64_t v)
{
        if (v == INT64_MAX)
                strbuf_add_c(out, "no limit");
        else
                add_readable(out, row, v);
}

static void add_range(struct strbuf *out, const struct conf_row *row)
{
        struct str word;

        if (is_number(row)) {
                strbuf_printf(out, "%s, ", types[row->type]);
                add_number(out, row, row->min);
                strbuf_add_c(out, " to ");
                add_number(out, row, row->max);
                return;
        }
        switch (row->type) {
        case CONF_RATIO:
                strbuf_add_c(out, "0 to 1");
                return;
        case CONF_BOOL:
                strbuf_add_c(out, "`true` or `false`");
                return;
        case CONF_ADDR:
                strbuf_add_c(out, "HOST:PORT");
                return;
        case CONF_STR:
                if (row->check == CONF_CHECK_PATH)
                        strbuf_add_c(out, "path");
                else if (row->check == CONF_CHECK_THROTTLED)
                        strbuf_add_c(out, "`PARTITION:NODE,...` or `*`");
                else if (row->check == CONF_CHECK_CONTROLLERS)
                        strbuf_add_c(out, "`ID@HOST:PORT,...`");
                else if (row->check == CONF_CHECK_OFFSET_RESET)
                        strbuf_add_c(out, "`latest`, `earliest` or `by_duration:` and an ISO 8601 duration");
                else if (row->check == CONF_CHECK_NONE)
                        strbuf_printf(out, "text, at most %lld characters", (long long)row->max);
                else
                        strbuf_printf(out, "name, at most %lld characters", (long long)row->max);
                return;
        default:
                strbuf_add_c(out, row->type == CONF_ENUM ? "one of " : "some of ");
                for (int i = 0; !str_is_null(word = conf_values_at(row->values, i)); i++)
                        strbuf_printf(out, "%s`%.*s`", i ? ", " : "", STR_FMT(word));
        }
}

/* The default for a human. Computed ones are told as what they are computed from. */
static void add_default(struct strbuf *out, const struct conf_row *row)
{
        const struct conf_machine machine = { .cpus = 2, .hostname = "" };
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        struct conf_value value;
        char scratch[24];

        if (!row->default_value[0])
                strbuf_add_c(out, "empty");
        else if (conf_param_default(row, &machine, scratch) != row->default_value)
                strbuf_printf(out, "%s", row->default_value);
        else if (is_number(row) &&
                 !conf_value_parse(row, str_of(row->default_value), CONF_SYNTAX_UNITS, &mem, &value, &why))
                add_number(out, row, value.i);
        else
                strbuf_printf(out, "`%s`", row->default_value);
}

static void add_params(struct strbuf *out)
{
        for (size_t s = 0; s < conf_section_count; s++) {
                strbuf_printf(
                        out,
                        "\n## %s\n%s\n\n| key | value | default | Kafka's name | meaning |\n|---|---|---|---|---|\n",
                        conf_sections[s].name, conf_sections[s].text);
                for (int i = 0; i < PARAM_COUNT; i++) {
                        const struct conf_row *row = &conf_params[i];

                        if (strcmp(row->section, conf_sections[s].name))
                                continue;
                        strbuf_printf(out, "| `%s` | ", row->key);
                        add_range(out, row);
                        strbuf_add_c(out, " | ");
                        add_default(out, row);
                        strbuf_printf(out, " | %s%s | %s |\n", row->kafka ? row->kafka : "",
                                      row->dynamic && row->kafka ? " *" : "", row->text);
                }
        }
}

/* One configuration of a topic or a group. */
static void add_resource_row(struct strbuf *out, const struct conf_row *row)
{
        strbuf_printf(out, "| %s | ", row->key);
        add_range(out, row);
        if (row->kafka)
                strbuf_printf(out, " | %s | %s |\n", row->kafka, row->text);
        else
                strbuf_printf(out, " | %s%s%s | %s |\n", *row->default_value ? "`" : "empty", row->default_value,
                              *row->default_value ? "`" : "", row->text);
}

static void add_listeners(struct strbuf *out)
{
        strbuf_printf(
                out,
                "\n## listeners\nListeners for clients, each below a name of its own: at most %d letters, digits, "
                "underscores and hyphens. At most %d of them.\n`server.kafka` is the short form of one with "
                "protocol PLAINTEXT and this name; it is there where it is given, or no other is.\n"
                "docs/AUTHENTICATION.md has an example.\n\n"
                "| key | value | default | Kafka's name | meaning |\n|---|---|---|---|---|\n",
                CONF_LISTENER_NAME_LEN_MAX, CONF_LISTENERS_MAX - 1);
        for (int i = 0; i < CONF_LISTENER_KEYS; i++) {
                const struct conf_row *row = &conf_listener_rows[i];

                strbuf_printf(out, "| `%s` | ", row->key);
                add_range(out, row);
                strbuf_add_c(out, " | ");
                add_default(out, row);
                strbuf_printf(out, " | %s | %s |\n", row->kafka ? row->kafka : "", row->text);
        }
}

static void add_topics(struct strbuf *out)
{
        strbuf_add_c(out, "\n## Topics\nSet when a topic is created or later, with Kafka's own tools. A topic that "
                          "sets none of these has "
                          "the value\nof the broker's configuration in the third column.\n\n"
                          "| name | value | unless set | meaning |\n|---|---|---|---|\n");
        for (size_t i = 0; i < topic_conf_row_count; i++)
                add_resource_row(out, &topic_conf_rows[i]);
}

static void add_groups(struct strbuf *out)
{
        strbuf_add_c(out,
                     "\n## Groups\nSet on a group, with Kafka's own tools (`kafka-configs --entity-type groups`); it "
                     "need not be there yet. A group that sets none of\nthese has the value of the broker's "
                     "configuration in the third column, and no number is outside of its `min` and `max`.\n\n"
                     "| name | value | unless set | meaning |\n|---|---|---|---|\n");
        for (size_t i = 0; i < group_settings_row_count; i++)
                add_resource_row(out, &group_settings_rows[i]);
}

static void add_brokers(struct strbuf *out)
{
        struct broker_conf_info info;

        strbuf_add_c(out, "\n## What a broker tells about itself\nNames in DescribeConfigs of a broker beyond those in "
                          "the tables above. They are "
                          "read-only.\n\n| name | type | from | meaning |\n|---|---|---|---|\n");
        for (size_t i = 0; broker_conf_at(i, &info); i++) {
                if (info.param && info.param->kafka && !strcmp(info.param->kafka, info.name) &&
                    info.text == info.param->text)
                        continue;
                strbuf_printf(out, "| %s | %s | ", info.name, kafka_types[info.type]);
                if (info.fixed)
                        strbuf_printf(out, *info.fixed ? "always `%s`" : "always empty%s", info.fixed);
                else
                        strbuf_printf(out, "%s.%s", info.param->section, info.param->key);
                strbuf_printf(out, " | %s |\n", info.text);
        }
}

static void add_document(struct strbuf *out)
{
        strbuf_add_c(
                out,
                "# Parameters\n"
                "<!-- Made from src/conf/params.def, listeners.def, topics.def, groups.def and brokers.def by `make "
                "docs`. "
                "Change those, not this "
                "file. -->\n"
                "A node reads one YAML file (`chronikd --config FILE`): sections, and in each `key: value`. `--set "
                "section.key=value` gives one\nvalue on the command line and counts more than the file. "
                "`chronikd --check --config FILE` reads and judges a file and changes\nnothing. What is not set has "
                "its default; "
                "a node needs no file at all.\n\n"
                "Unknown names, wrong values and combinations that cannot work are refused, all of them at once, each "
                "with "
                "its line and with\nwhat would be right.\n\n"
                "- **bytes** may carry a unit: `KiB`, `MiB`, `GiB`, `TiB`. `KB`, `MB`, `GB` and `TB` mean the same "
                "powers of 1024.\n"
                "- **milliseconds** may be written as `ms`, `s`, `m`, `h` or `d`: `30s`, `7d`.\n"
                "- **some of** is a YAML list, or words with commas between them.\n"
                "- **cpus** is the number of processors that the process may use.\n"
                "- `*` after Kafka's name: can also be changed while the node runs, for one node or for all "
                "(`kafka-configs --entity-type brokers`).\n");
        add_params(out);
        add_listeners(out);
        add_topics(out);
        add_groups(out);
        add_brokers(out);
}

/* ---- JSON ---- */

static void add_string(struct strbuf *out, const char *s)
{
        strbuf_add_c(out, "\"");
        for (; *s; s++) {
                if (*s == '"' || *s == '\\')
                        strbuf_add_c(out, "\\");
                strbuf_add(out, s, 1);
        }
        strbuf_add_c(out, "\"");
}

static void add_words(struct strbuf *out, const char *values)
{
        struct str word;

        strbuf_add_c(out, ", \"values\": [");
        for (int i = 0; !str_is_null(word = conf_values_at(values, i)); i++)
                strbuf_printf(out, "%s\"%.*s\"", i ? ", " : "", STR_FMT(word));
        strbuf_add_c(out, "]");
}

static void add_member(struct strbuf *out, const char *name, const char *value)
{
        if (!value)
                return;
        strbuf_printf(out, ", \"%s\": ", name);
        add_string(out, value);
}

/* What both tables have in common; the object is left open. */
static void add_row(struct strbuf *out, const struct conf_row *row)
{
        const struct conf_machine machine = { .cpus = 2, .hostname = "" };
        char scratch[24];

        strbuf_add_c(out, "{\"name\": ");
        add_string(out, row->key);
        add_member(out, "type", types[row->type]);
        if (is_number(row))
                strbuf_printf(out, ", \"min\": %lld, \"max\": %lld", (long long)row->min, (long long)row->max);
        if (row->values)
                add_words(out, row->values);
        /* a default that the machine decides has no value here, only the words for it */
        if (row->default_value && row->section && conf_param_default(row, &machine, scratch) != row->default_value)
                add_member(out, "computed", row->default_value);
        else
                add_member(out, "default", row->default_value);
        add_member(out, "kafka", row->kafka);
        add_member(out, "text", row->text);
}

static void add_json_rows(struct strbuf *out, const char *name, const struct conf_row *rows, size_t count)
{
        strbuf_printf(out, ",\n  \"%s\": [", name);
        for (size_t i = 0; i < count; i++) {
                strbuf_add_c(out, i ? ",\n    " : "\n    ");
                add_row(out, &rows[i]);
                strbuf_add_c(out, "}");
        }
        strbuf_add_c(out, "]");
}

static void add_json(struct strbuf *out)
{
        strbuf_add_c(out, "{\n  \"sections\": [");
        for (size_t s = 0; s < conf_section_count; s++) {
                bool first = true;

                strbuf_printf(out, "%s\n    {\"name\": \"%s\", \"text\": ", s ? "," : "", conf_sections[s].name);
                add_string(out, conf_sections[s].text);
                strbuf_add_c(out, ", \"parameters\": [");
                for (int i = 0; i < PARAM_COUNT; i++) {
                        if (strcmp(conf_params[i].section, conf_sections[s].name))
                                continue;
                        strbuf_add_c(out, first ? "\n      " : ",\n      ");
                        add_row(out, &conf_params[i]);
                        strbuf_printf(out, ", \"dynamic\": %s}",
                                      conf_params[i].dynamic && conf_params[i].kafka ? "true" : "false");
                        first = false;
                }
                strbuf_add_c(out, "]}");
        }
        strbuf_add_c(out, "]");
        add_json_rows(out, "listeners", conf_listener_rows, CONF_LISTENER_KEYS);
        add_json_rows(out, "topics", topic_conf_rows, topic_conf_row_count);
        add_json_rows(out, "groups", group_settings_rows, group_settings_row_count);
        strbuf_add_c(out, "\n}\n");
}

/* ---- */

static int check(const char *path, const struct strbuf *wanted)
{
        CLEANUP(freep) char *got = calloc(1, wanted->len + 2);
        FILE *f = fopen(path, "re");
        size_t len;

        if (!got || !f) {
                fprintf(stderr, "%s: cannot be read; run `make docs`\n", path);
                if (f)
                        fclose(f);
                return 1;
        }
        len = fread(got, 1, wanted->len + 1, f);
        fclose(f);
        if (len == wanted->len && !memcmp(got, wanted->data, len))
                return 0;
        fprintf(stderr, "%s: is not what src/conf says; run `make docs` and commit the result\n", path);
        return 1;
}

int main(int argc, char **argv)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        int at = argc > 1 && !strcmp(argv[1], "--json") ? 2 : 1;
        const char *file = argc == at + 2 && !strcmp(argv[at], "--check") ? argv[at + 1] : NULL;

        if (argc != at && !file) {
                fprintf(stderr, "usage: gen-params-doc [--json] [--check FILE]\n");
                return 2;
        }
        if (at == 2)
                add_json(&out);
        else
                add_document(&out);
        if (out.failed) {
                fprintf(stderr, "gen-params-doc: out of memory\n");
                return 1;
        }
        if (file)
                return check(file, &out);
        return fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 1;
}
