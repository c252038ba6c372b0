#include "conf/client_metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pattern.h"

#define TEXT_OF_NUMBER_(n) #n
#define TEXT_OF_NUMBER(n) TEXT_OF_NUMBER_(n)
#define INTERVAL_DEFAULT 300000

static_assert(INTERVAL_DEFAULT == CLIENT_METRICS_INTERVAL_MS_DEFAULT, "told and used are the same");

enum row { ROW_INTERVAL, ROW_MATCH, ROW_METRICS };

/* In the order in which they are told. */
static const struct {
        const char *name, *default_value, *text;
        enum conf_kafka_type type;
} rows[] = {
        [ROW_INTERVAL] = { "interval.ms", TEXT_OF_NUMBER(INTERVAL_DEFAULT), "How often a client pushes its metrics.",
                           CONF_KAFKA_INT },
        [ROW_MATCH] = { "match", "",
                        "Which clients push: attribute=regular expression, between commas. Empty: all of them.",
                        CONF_KAFKA_LIST },
        [ROW_METRICS] = { "metrics", "",
                          "What is pushed: prefixes of metrics' names, between commas. *: everything; empty: nothing.",
                          CONF_KAFKA_LIST },
};

static const char *const selectors[] = {
        [CLIENT_METRICS_INSTANCE_ID] = "client_instance_id",
        [CLIENT_METRICS_CLIENT_ID] = "client_id",
        [CLIENT_METRICS_SOFTWARE_NAME] = "client_software_name",
        [CLIENT_METRICS_SOFTWARE_VERSION] = "client_software_version",
        [CLIENT_METRICS_SOURCE_ADDRESS] = "client_source_address",
        [CLIENT_METRICS_SOURCE_PORT] = "client_source_port",
};

static bool read_number(struct str value, int64_t *ret)
{
        char text[16], *end;

        if (!value.len || value.len >= sizeof text || value.p[0] == ' ')
                return false;
        snprintf(text, sizeof text, "%.*s", STR_FMT(value));
        *ret = strtoll(text, &end, 10);
        return !*end;
}

static int judge_interval(struct str value, struct strbuf *why)
{
        int64_t ms;

        if (!read_number(value, &ms)) {
                strbuf_printf(why, "%s: is %.*s; right is a number of milliseconds", rows[ROW_INTERVAL].name,
                              STR_FMT(value));
                return CONF_E_INVALID;
        }
        if (ms >= CLIENT_METRICS_INTERVAL_MS_MIN && ms <= CLIENT_METRICS_INTERVAL_MS_MAX)
                return 0;
        strbuf_printf(why, "%s: is %lld; right is a number of milliseconds from %d to %d", rows[ROW_INTERVAL].name,
                      (long long)ms, CLIENT_METRICS_INTERVAL_MS_MIN, CLIENT_METRICS_INTERVAL_MS_MAX);
        return CONF_E_RANGE;
}

/* One word of match: attribute=expression. False: it is none. */
static bool read_selector(struct str word, enum client_metrics_selector *ret_selector, struct str *ret_expression)
{
        size_t len = 0;

        while (len < word.len && word.p[len] != '=')
                len++;
        if (len + 1 >= word.len)
                return false;
        *ret_expression = (struct str){ word.p + len + 1, word.len - len - 1 };
        for (int i = 0; i < CLIENT_METRICS_SELECTORS; i++)
                if (str_equal_c((struct str){ word.p, len }, selectors[i])) {
                        *ret_selector = i;
                        return true;
                }
        return false;
}

static int judge_selector(struct str word, struct strbuf *why)
{
        enum client_metrics_selector selector;
        struct pattern *pattern = NULL;
        char reason[PATTERN_WHY_SIZE];
        struct str expression;
        int r;

        if (!read_selector(word, &selector, &expression)) {
                strbuf_printf(why, "%s: %.*s is not attribute=expression; the attributes are", rows[ROW_MATCH].name,
                              STR_FMT(word));
                for (int i = 0; i < CLIENT_METRICS_SELECTORS; i++)
                        strbuf_printf(why, "%s %s", i ? "," : "", selectors[i]);
                return CONF_E_INVALID;
        }
        r = pattern_new(expression, &pattern, reason);
        pattern_free(pattern);
        if (r != -EINVAL)
                return r;
        strbuf_printf(why, "%s: %.*s: %s", rows[ROW_MATCH].name, STR_FMT(word), reason);
        return CONF_E_INVALID;
}

static int judge_match(struct str value, struct strbuf *why)
{
        struct str rest = value, word;
        int r = 0;

        while (!r && value.len && conf_list_next(&rest, &word))
                r = judge_selector(word, why);
        return r;
}

int client_metrics_validate(struct str name, struct str value, struct strbuf *why)
{
        int r = CONF_E_UNKNOWN;

        if (str_equal_c(name, rows[ROW_INTERVAL].name))
                r = judge_interval(value, why);
        else if (str_equal_c(name, rows[ROW_MATCH].name))
                r = judge_match(value, why);
        else if (str_equal_c(name, rows[ROW_METRICS].name))
                r = 0;
        else
                strbuf_printf(why, "%.*s: a subscription to client metrics has no such configuration", STR_FMT(name));
        return why->failed ? -ENOMEM : r;
}

static struct str value_of(struct conf_pairs set, enum row row)
{
        const struct conf_pair *pair = conf_pairs_find(set, str_of(rows[row].name));

        return pair ? pair->value : str_of(rows[row].default_value);
}

struct client_metrics client_metrics_read(struct conf_pairs set)
{
        struct client_metrics m = { .interval_ms = CLIENT_METRICS_INTERVAL_MS_DEFAULT,
                                    .metrics = value_of(set, ROW_METRICS) };
        struct str rest = value_of(set, ROW_MATCH), word, expression;
        enum client_metrics_selector selector;
        int64_t ms;

        if (read_number(value_of(set, ROW_INTERVAL), &ms) && ms >= CLIENT_METRICS_INTERVAL_MS_MIN &&
            ms <= CLIENT_METRICS_INTERVAL_MS_MAX)
                m.interval_ms = (int32_t)ms;
        while (conf_list_next(&rest, &word))
                if (read_selector(word, &selector, &expression))
                        m.match[selector] = expression;
        return m;
}

int client_metrics_describe(struct conf_pairs set, const struct str *names, size_t name_count, struct arena *mem,
                            struct conf_entries *ret_entries)
{
        struct conf_entry *list = ARENA_NEW_ARRAY(mem, struct conf_entry, ARRAY_LEN(rows));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct conf_pair *pair = conf_pairs_find(set, str_of(rows[i].name));
                struct conf_entry *e = &list[n];

                if (!conf_names_contain(names, name_count, str_of(rows[i].name)))
                        continue;
                e->name = str_of(rows[i].name);
                e->value = pair ? pair->value : str_of(rows[i].default_value);
                e->source = pair ? CONF_SOURCE_CLIENT_METRICS : CONF_SOURCE_DEFAULT;
                e->type = rows[i].type;
                e->text = str_of(rows[i].text);
                if (pair)
                        e->synonyms[e->synonym_count++] = (struct conf_synonym){ e->name, e->value, e->source };
                n++;
        }
        *ret_entries = (struct conf_entries){ list, n };
        return 0;
}
