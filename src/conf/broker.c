/* Broker configurations: names, values and where each comes from. */
#include "conf/broker.h"

#include <errno.h>
#include <string.h>

/* One name. Exactly one of: plain parameter (param only), made from a parameter (param and make), fixed. */
struct broker_row {
        const char *name;
        enum conf_kafka_type type;
        int param; /* -1: none */
        void (*make)(const struct conf *c, struct strbuf *out);
        const char *fixed;
        const char *text;
};

static void make_roles(const struct conf *c, struct strbuf *out)
{
        bool ingest = c->server.roles & CONF_ROLE_INGEST, controller = c->server.roles & CONF_ROLE_CONTROLLER;

        strbuf_printf(out, "%s%s%s", ingest ? "broker" : "", ingest && controller ? "," : "",
                      controller ? "controller" : "");
}

static void make_authorizer(const struct conf *c, struct strbuf *out)
{
        if (c->security.authorizer == CONF_AUTHORIZER_STANDARD)
                strbuf_add_c(out, "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
}

static void add_listener(const struct conf_listener *l, struct conf_addr a, struct strbuf *out)
{
        strbuf_printf(out, strchr(a.host, ':') ? "%s%s://[%s]:%u" : "%s%s://%s:%u", out->len ? "," : "", l->name,
                      a.host, a.port);
}

static void make_listeners(const struct conf *c, struct strbuf *out)
{
        for (unsigned i = 0; i < c->listeners_count; i++)
                add_listener(&c->listeners[i], c->listeners[i].address, out);
}

static void make_advertised(const struct conf *c, struct strbuf *out)
{
        for (unsigned i = 0; i < c->listeners_count; i++)
                add_listener(&c->listeners[i], conf_advertised(c, &c->listeners[i], c->listeners[i].address.port), out);
}

static void make_protocols(const struct conf *c, struct strbuf *out)
{
        for (unsigned i = 0; i < c->listeners_count; i++)
                strbuf_printf(out, "%s%s:%s", i ? "," : "", c->listeners[i].name,
                              conf_protocol_name(c->listeners[i].protocol));
}

/* -1, for no limit, stays; what Kafka types as INT is cut to it. */
static void add_scaled(struct strbuf *out, int64_t ms, int64_t unit)
{
        strbuf_printf(out, "%lld", ms < 0 ? -1LL : (long long)MIN2(ms / unit, (int64_t)INT32_MAX));
}

static void make_roll_hours(const struct conf *c, struct strbuf *out)
{
        add_scaled(out, c->storage.segment_ms, 3600000);
}

static void make_jitter_hours(const struct conf *c, struct strbuf *out)
{
        add_scaled(out, c->storage.segment_jitter_ms, 3600000);
}

static void make_retention_minutes(const struct conf *c, struct strbuf *out)
{
        add_scaled(out, c->storage.retention_ms, 60000);
}

static void make_retention_hours(const struct conf *c, struct strbuf *out)
{
        add_scaled(out, c->storage.retention_ms, 3600000);
}

static void make_imbalance_seconds(const struct conf *c, struct strbuf *out)
{
        add_scaled(out, c->replication.leader_imbalance_check_interval_ms, 1000);
}

static void make_preallocate(const struct conf *c, struct strbuf *out)
{
        strbuf_add_c(out, c->storage.preallocate_step_bytes ? "true" : "false");
}

/* compression_level belongs to compression_type; the other codecs have their own default, and so has a codec that was
 * chosen at run time beside a level that was meant for another. */
static void add_level(const struct conf *c, struct strbuf *out, int codec, int64_t min, int64_t max, int64_t otherwise)
{
        int64_t level = c->storage.compression_level;
        bool ours = c->storage.compression_type == codec && level && level >= min && level <= max;

        strbuf_printf(out, "%lld", (long long)(ours ? level : otherwise));
}

static void make_gzip_level(const struct conf *c, struct strbuf *out)
{
        add_level(c, out, CONF_COMPRESSION_GZIP, 1, 9, -1);
}

static void make_lz4_level(const struct conf *c, struct strbuf *out)
{
        add_level(c, out, CONF_COMPRESSION_LZ4, 1, 17, 9);
}

static void make_zstd_level(const struct conf *c, struct strbuf *out)
{
        add_level(c, out, CONF_COMPRESSION_ZSTD, -131072, 22, 3);
}

static const struct broker_row extra_rows[] = {
#define B_ALSO(n, s, k) { .name = n, .param = PARAM_##s##_##k },
#define B_MADE(n, t, f, s, k, txt) { .name = n, .type = t, .param = PARAM_##s##_##k, .make = f, .text = txt },
#define B_FIXED(n, t, v, txt) { .name = n, .type = t, .param = -1, .fixed = v, .text = txt },
#include "conf/brokers.def"
};

/* A parameter whose Kafka name has a row of its own in brokers.def is told in that form only. */
static bool is_extra(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(extra_rows); i++)
                if (!strcmp(extra_rows[i].name, name))
                        return true;
        return false;
}

/* The @place-th row: extra rows first, then the parameters; gaps where a parameter has no row of its own. */
#define ROW_COUNT (ARRAY_LEN(extra_rows) + PARAM_COUNT)
static bool row_at(size_t place, struct broker_row *ret_row)
{
        const struct conf_row *param;

        if (place < ARRAY_LEN(extra_rows)) {
                *ret_row = extra_rows[place];
                if (ret_row->param >= 0 && !ret_row->make) {
                        ret_row->type = conf_row_kafka_type(&conf_params[ret_row->param]);
                        ret_row->text = conf_params[ret_row->param].text;
                }
                return true;
        }
        param = &conf_params[place - ARRAY_LEN(extra_rows)];
        if (!param->kafka || is_extra(param->kafka))
                return false;
        *ret_row = (struct broker_row){ .name = param->kafka,
                                        .type = conf_row_kafka_type(param),
                                        .param = (int)(param - conf_params),
                                        .text = param->text };
        return true;
}

static bool row_find(struct str name, struct broker_row *ret_row)
{
        for (size_t i = 0; i < ROW_COUNT; i++)
                if (row_at(i, ret_row) && str_equal_c(name, ret_row->name))
                        return true;
        return false;
}

bool broker_conf_exists(const char *name)
{
        struct broker_row row;

        return row_find(str_of(name), &row);
}

/* Only a plain parameter can be set: of a made value it would not be clear what to do with the other forms. */
static bool row_is_dynamic(const struct broker_row *row)
{
        return row->param >= 0 && !row->make && conf_params[row->param].dynamic && conf_params[row->param].kafka &&
               !strcmp(conf_params[row->param].kafka, row->name);
}

bool broker_conf_at(size_t place, struct broker_conf_info *ret_info)
{
        struct broker_row row;

        for (size_t i = 0; i < ROW_COUNT; i++) {
                if (!row_at(i, &row) || place--)
                        continue;
                *ret_info = (struct broker_conf_info){ .name = row.name,
                                                       .type = row.type,
                                                       .param = row.param >= 0 ? &conf_params[row.param] : NULL,
                                                       .fixed = row.fixed,
                                                       .text = row.text,
                                                       .dynamic = row_is_dynamic(&row) };
                return true;
        }
        return false;
}

static void add_value(const struct conf *c, const struct broker_row *row, struct strbuf *out)
{
        if (row->fixed)
                strbuf_add_c(out, row->fixed);
        else if (row->make)
                row->make(c, out);
        else
                conf_value_format(&conf_params[row->param], conf_value_get(&conf_params[row->param], c), out);
}

void broker_conf_value(const struct conf *conf, const char *name, struct strbuf *out)
{
        struct broker_row row;

        if (row_find(str_of(name), &row))
                add_value(conf, &row, out);
}

/* The value of @row as text in @mem; null for a parameter that is empty text. */
static int value_text(const struct conf *c, const struct broker_row *row, struct arena *mem, struct str *ret)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        char *copy;

        add_value(c, row, &text);
        if (text.failed)
                return -ENOMEM;
        if (!text.len && !row->fixed) {
                *ret = STR_NULL;
                return 0;
        }
        copy = arena_strdup0(mem, (struct str){ text.data ? text.data : "", text.len });
        if (!copy)
                return -ENOMEM;
        *ret = (struct str){ copy, text.len };
        return 0;
}

/* The default of a plain parameter as text in @mem. */
static int default_text(const struct conf *c, const struct broker_row *row, struct arena *mem, struct str *ret)
{
        const struct conf_machine machine = { .cpus = c->cpus, .hostname = c->hostname };
        char scratch[24];
        struct str text = str_of(conf_param_default(&conf_params[row->param], &machine, scratch));
        char *copy;

        if (!text.len) {
                *ret = STR_NULL;
                return 0;
        }
        copy = arena_strdup0(mem, text);
        if (!copy)
                return -ENOMEM;
        *ret = (struct str){ copy, text.len };
        return 0;
}

static void add_synonym(struct conf_synonym *list, unsigned *count, const struct broker_row *row, struct str value,
                        enum conf_source source)
{
        list[(*count)++] = (struct conf_synonym){ str_of(row->name), value, source };
}

static int row_synonyms(const struct conf_layers *layers, const struct broker_row *row, struct arena *mem,
                        struct conf_synonym ret[4], unsigned *ret_count)
{
        const struct conf *now = layers->now ? layers->now : layers->start;
        const struct conf_pair *pair;
        struct str name = str_of(row->name), text;
        unsigned n = 0;
        int r;

        if (row_is_dynamic(row)) {
                if ((pair = conf_pairs_find(layers->this_broker, name)))
                        add_synonym(ret, &n, row, pair->value, CONF_SOURCE_BROKER);
                if ((pair = conf_pairs_find(layers->all_brokers, name)))
                        add_synonym(ret, &n, row, pair->value, CONF_SOURCE_BROKER_DEFAULT);
        }
        if (row->param < 0 || row->make) {
                /* made from what the broker runs with, wherever that comes from */
                r = value_text(now, row, mem, &text);
                if (r)
                        return r;
                add_synonym(ret, &n, row, text, row->make ? now->source[row->param] : CONF_SOURCE_DEFAULT);
                *ret_count = n;
                return 0;
        }
        if (layers->start->source[row->param] == CONF_SOURCE_STATIC) {
                r = value_text(layers->start, row, mem, &text);
                if (r)
                        return r;
                add_synonym(ret, &n, row, text, CONF_SOURCE_STATIC);
        }
        r = default_text(layers->start, row, mem, &text);
        if (r)
                return r;
        add_synonym(ret, &n, row, text, CONF_SOURCE_DEFAULT);
        *ret_count = n;
        return 0;
}

int broker_conf_synonyms(const struct conf_layers *layers, const char *name, struct arena *mem,
                         struct conf_synonym ret_synonyms[4], unsigned *ret_count)
{
        struct broker_row row;

        *ret_count = 0;
        return row_find(str_of(name), &row) ? row_synonyms(layers, &row, mem, ret_synonyms, ret_count) : 0;
}

int broker_conf_describe(const struct conf_layers *layers, const struct str *names, size_t name_count,
                         struct arena *mem, struct conf_entries *ret_entries)
{
        struct conf_entry *list = ARENA_NEW_ARRAY(mem, struct conf_entry, ROW_COUNT);
        size_t n = 0;
        int r;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < ROW_COUNT; i++) {
                struct conf_entry *e = &list[n];
                struct broker_row row;

                if (!row_at(i, &row) || !conf_names_contain(names, name_count, str_of(row.name)))
                        continue;
                r = row_synonyms(layers, &row, mem, e->synonyms, &e->synonym_count);
                if (r)
                        return r;
                e->value = e->synonyms[0].value;
                e->name = str_of(row.name);
                e->source = e->synonyms[0].source;
                e->type = row.type;
                e->read_only = !row_is_dynamic(&row);
                e->text = str_of(row.text);
                n++;
        }
        *ret_entries = (struct conf_entries){ list, n };
        return 0;
}

int broker_conf_validate(struct str name, struct str value, struct strbuf *why)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        struct conf_value ignored;
        struct broker_row row;
        int len = (int)MIN2(name.len, (size_t)100);

        if (!row_find(name, &row)) {
                strbuf_printf(why, "%.*s: a broker has no such configuration", len, name.p);
                return why->failed ? -ENOMEM : CONF_E_UNKNOWN;
        }
        if (!row_is_dynamic(&row)) {
                if (row.fixed)
                        strbuf_printf(why, "%s: is always '%s'", row.name, row.fixed);
                else
                        strbuf_printf(
                                why,
                                "%s: cannot be changed while the broker runs; set %s.%s in its file and restart it",
                                row.name, conf_params[row.param].section, conf_params[row.param].key);
                return why->failed ? -ENOMEM : CONF_E_READ_ONLY;
        }
        strbuf_printf(why, "%s: ", row.name);
        return conf_value_parse(&conf_params[row.param], value, CONF_SYNTAX_PLAIN, &mem, &ignored, why);
}

int broker_conf_edit(const struct conf_layers *layers, bool per_broker, struct str name, enum conf_edit edit,
                     struct str operand, struct arena *mem, struct str *ret_value, struct strbuf *why)
{
        struct conf_layers below = *layers;
        struct conf_synonym synonyms[4];
        struct broker_row row;
        unsigned count;
        int r;

        if (row_find(name, &row) && row_is_dynamic(&row) && row.type != CONF_KAFKA_LIST) {
                strbuf_printf(why, "%s: is not a list; set it instead", row.name);
                return why->failed ? -ENOMEM : CONF_E_INVALID;
        }
        if (!per_broker)
                below.this_broker = (struct conf_pairs){ 0 };
        if (row_find(name, &row) && row_is_dynamic(&row)) {
                r = row_synonyms(&below, &row, mem, synonyms, &count);
                if (!r)
                        r = conf_list_edit(synonyms[0].value, edit, operand, mem, &operand);
                if (r)
                        return r;
        }
        r = broker_conf_validate(name, operand, why);
        if (!r)
                *ret_value = operand;
        return r;
}

int broker_conf_derive(const struct conf_layers *layers, struct conf **ret_conf, struct strbuf *skipped)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        enum conf_param ids[PARAM_COUNT];
        struct conf_value values[PARAM_COUNT];
        enum conf_source sources[PARAM_COUNT];
        size_t n = 0;

        for (size_t i = 0; i < ROW_COUNT; i++) {
                const struct conf_pair *pair;
                CLEANUP(strbuf_finip) struct strbuf why = { 0 };
                struct broker_row row;
                int r;

                if (!row_at(i, &row) || !row_is_dynamic(&row))
                        continue;
                sources[n] = CONF_SOURCE_BROKER;
                pair = conf_pairs_find(layers->this_broker, str_of(row.name));
                if (!pair) {
                        sources[n] = CONF_SOURCE_BROKER_DEFAULT;
                        pair = conf_pairs_find(layers->all_brokers, str_of(row.name));
                }
                if (!pair)
                        continue;
                ids[n] = (enum conf_param)row.param;
                r = conf_value_parse(&conf_params[row.param], pair->value, CONF_SYNTAX_PLAIN, &mem, &values[n], &why);
                if (r < 0)
                        return r;
                if (!r)
                        n++;
                else if (skipped)
                        strbuf_printf(skipped, "%s: %s\n", row.name, why.data ? why.data : "");
        }
        return conf_derive(layers->start, n, ids, values, sources, ret_conf);
}
