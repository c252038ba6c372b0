/* Group configurations: the table as data, and everything that is done with it. */
#include "conf/group_settings.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/broker.h"

#define ROW(n, t, c, lo, hi, vals, from, def, txt, f) \
        { .key = n, \
          .type = t, \
          .check = c, \
          .min = lo, \
          .max = hi, \
          .values = vals, \
          .kafka = from, \
          .default_value = def, \
          .text = txt, \
          .offset = offsetof(struct group_settings, f), \
          .dynamic = true },

const struct conf_row group_settings_rows[] = {
#define G_INT(kind, what, n, from, lo, txt) \
        ROW(n, CONF_INT, CONF_CHECK_NONE, lo, INT32_MAX, NULL, from, NULL, txt, kind##_##what)
#define G_ENUM(f, n, words, def, txt) ROW(n, CONF_ENUM, CONF_CHECK_NONE, 0, 0, words, NULL, def, txt, f)
#define G_BOOL(f, n, def, txt) ROW(n, CONF_BOOL, CONF_CHECK_NONE, 0, 1, NULL, NULL, def, txt, f)
#define G_RESET(f, n, def, txt) ROW(n, CONF_STR, CONF_CHECK_OFFSET_RESET, 0, 100, NULL, NULL, def, txt, f)
#include "conf/groups.def"
};
const size_t group_settings_row_count = ARRAY_LEN(group_settings_rows);

/* The parameters that a number falls back to and lies between; zeros for the other rows. */
static const struct row_params {
        enum conf_param unset, least, most;
} row_params[] = {
#define G_INT(kind, what, ...) \
        { PARAM_groups_##kind##_##what, PARAM_groups_##kind##_min_##what, PARAM_groups_##kind##_max_##what },
#define G_ENUM(...) { 0 },
#define G_BOOL(...) { 0 },
#define G_RESET(...) { 0 },
#include "conf/groups.def"
};

static bool is_number(const struct conf_row *row)
{
        return row->type == CONF_INT;
}

static const struct conf_row *row_find(struct str name)
{
        for (size_t i = 0; i < ARRAY_LEN(group_settings_rows); i++)
                if (str_equal_c(name, group_settings_rows[i].key))
                        return &group_settings_rows[i];
        return NULL;
}

/* ---- reading ---- */

/* Read @text into its field of @ret. Return: as conf_value_parse(). */
static int read_value(const struct conf_row *row, struct str text, struct group_settings *ret, struct strbuf *why)
{
        bool is_reset = row->check == CONF_CHECK_OFFSET_RESET;
        CLEANUP(arena_finip) struct arena mem = { 0 };
        struct conf_value value;
        int r;

        if (is_reset && conf_offset_reset_parse(text, &ret->share_auto_offset_reset))
                return 0;
        r = conf_value_parse(row, text, CONF_SYNTAX_PLAIN, &mem, &value, why);
        if (r)
                return r;
        if (is_reset)
                (void)conf_offset_reset_parse(str_of(value.s), &ret->share_auto_offset_reset); /* it was judged */
        else
                conf_value_put(row, value, ret);
        return 0;
}

static void put_param(const struct conf *conf, enum conf_param param, const struct conf_row *row,
                      struct group_settings *ret)
{
        const struct conf_row *p = &conf_params[param];
        struct conf_value value = { .i = conf ? conf_value_get(p, conf).i : strtoll(p->default_value, NULL, 10) };

        conf_value_put(row, value, ret);
}

void group_rules_init(struct group_rules *rules, const struct conf *conf)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };

        *rules = (struct group_rules){ 0 };
        for (size_t i = 0; i < ARRAY_LEN(group_settings_rows); i++) {
                const struct conf_row *row = &group_settings_rows[i];
                int r = 0;

                if (is_number(row)) {
                        put_param(conf, row_params[i].unset, row, &rules->unset);
                        put_param(conf, row_params[i].least, row, &rules->least);
                        put_param(conf, row_params[i].most, row, &rules->most);
                } else {
                        r = read_value(row, str_of(row->default_value), &rules->unset, &why);
                }
                assert(!r);
        }
}

void group_settings_put(const struct group_rules *rules, struct str name, struct str value,
                        struct group_settings *settings)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        const struct conf_row *row = row_find(name);
        struct conf_value v;

        if (!row || read_value(row, value, settings, &why) || !is_number(row))
                return;
        v = conf_value_get(row, settings);
        v.i = MAX2(v.i, conf_value_get(row, &rules->least).i);
        v.i = MIN2(v.i, conf_value_get(row, &rules->most).i);
        conf_value_put(row, v, settings);
}

struct group_settings group_settings_read(const struct group_rules *rules, struct conf_pairs set)
{
        struct group_settings s = rules->unset;

        for (size_t i = 0; i < set.count; i++)
                group_settings_put(rules, set.at[i].name, set.at[i].value, &s);
        return s;
}

/* ---- judging ---- */

static int check_bounds(const struct group_rules *rules, const struct conf_row *row, const struct group_settings *s,
                        struct strbuf *why)
{
        const struct row_params *p = &row_params[row - group_settings_rows];
        int64_t v = conf_value_get(row, s).i, least = conf_value_get(row, &rules->least).i,
                most = conf_value_get(row, &rules->most).i;

        if (v >= least && v <= most)
                return 0;
        strbuf_printf(why, "is %lld; give %lld to %lld, which are the node's groups.%s and groups.%s", (long long)v,
                      (long long)least, (long long)most, conf_params[p->least].key, conf_params[p->most].key);
        return why->failed ? -ENOMEM : CONF_E_INVALID;
}

int group_settings_validate(const struct group_rules *rules, struct str name, struct str value, struct strbuf *why)
{
        const struct conf_row *row = row_find(name);
        struct group_settings s;
        int r;

        if (!row) {
                strbuf_printf(why, "%.*s: a group has no such configuration", (int)MIN2(name.len, (size_t)100),
                              name.p ? name.p : "");
                return why->failed ? -ENOMEM : CONF_E_UNKNOWN;
        }
        strbuf_printf(why, "%s: ", row->key);
        r = read_value(row, value, &s, why);
        return !r && is_number(row) ? check_bounds(rules, row, &s, why) : r;
}

static int check_heartbeat(const char *kind, int64_t heartbeat_ms, int64_t session_ms, struct strbuf *why)
{
        if (heartbeat_ms < session_ms)
                return 0;
        strbuf_printf(why,
                      "%s.heartbeat.interval.ms: is %lld, but a session ends after %lld (%s.session.timeout.ms); give "
                      "less, or raise that",
                      kind, (long long)heartbeat_ms, (long long)session_ms, kind);
        return why->failed ? -ENOMEM : CONF_E_INVALID;
}

int group_settings_validate_set(const struct group_rules *rules, struct conf_pairs set, struct strbuf *why)
{
        struct group_settings s;
        int r;

        for (size_t i = 0; i < set.count; i++) {
                CLEANUP(strbuf_finip) struct strbuf one = { 0 };

                r = group_settings_validate(rules, set.at[i].name, set.at[i].value, &one);
                if (r > 0)
                        strbuf_add(why, one.data, one.len);
                if (r)
                        return why->failed ? -ENOMEM : r;
        }
        s = group_settings_read(rules, set);
        r = check_heartbeat("consumer", s.consumer_heartbeat_interval_ms, s.consumer_session_timeout_ms, why);
        return r ? r : check_heartbeat("share", s.share_heartbeat_interval_ms, s.share_session_timeout_ms, why);
}

/* ---- telling ---- */

/* What the group sets, then where the node's value comes from. */
static int synonyms_of(const struct conf_layers *layers, const struct conf_row *row, const struct conf_pair *pair,
                       struct arena *mem, struct conf_entry *e)
{
        unsigned n = 0, more = 1;
        int r = 0;

        if (pair)
                e->synonyms[n++] = (struct conf_synonym){ str_of(row->key), pair->value, CONF_SOURCE_GROUP };
        if (row->kafka)
                r = broker_conf_synonyms(layers, row->kafka, mem, e->synonyms + n, &more);
        else
                e->synonyms[n] =
                        (struct conf_synonym){ str_of(row->key), str_of(row->default_value), CONF_SOURCE_DEFAULT };
        e->synonym_count = n + more;
        return r;
}

int group_settings_describe(const struct conf_layers *layers, struct conf_pairs set, const struct str *names,
                            size_t name_count, struct arena *mem, struct conf_entries *ret_entries)
{
        struct conf_entry *list = ARENA_NEW_ARRAY(mem, struct conf_entry, ARRAY_LEN(group_settings_rows));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_LEN(group_settings_rows); i++) {
                const struct conf_row *row = &group_settings_rows[i];
                struct conf_entry *e = &list[n];
                int r;

                if (!conf_names_contain(names, name_count, str_of(row->key)))
                        continue;
                r = synonyms_of(layers, row, conf_pairs_find(set, str_of(row->key)), mem, e);
                if (r)
                        return r;
                e->name = str_of(row->key);
                e->synonyms[0].value = conf_value_trim(e->synonyms[0].value); /* as it is read */
                e->value = e->synonyms[0].value;
                e->source = e->synonyms[0].source;
                e->type = conf_row_kafka_type(row);
                e->text = str_of(row->text);
                n++;
        }
        *ret_entries = (struct conf_entries){ list, n };
        return 0;
}
