/* Topic configurations: the table as data, and everything that is done with it. */
#include "conf/topic.h"

#include <errno.h>
#include <string.h>

#include "conf/broker.h"

#define ROW(n, t, c, lo, hi, vals, from, def, txt, off) \
        { .key = n, \
          .type = t, \
          .check = c, \
          .min = lo, \
          .max = hi, \
          .values = vals, \
          .kafka = from, \
          .default_value = def, \
          .text = txt, \
          .offset = off, \
          .dynamic = true },

const struct conf_row topic_conf_rows[] = {
#define T_INT(f, n, lo, hi, from, def, txt) \
        ROW(n, CONF_INT, CONF_CHECK_NONE, lo, hi, NULL, from, def, txt, offsetof(struct topic_conf, f))
#define T_RATIO(f, n, from, def, txt) \
        ROW(n, CONF_RATIO, CONF_CHECK_NONE, 0, 1, NULL, from, def, txt, offsetof(struct topic_conf, f))
#define T_BOOL(f, n, from, def, txt) \
        ROW(n, CONF_BOOL, CONF_CHECK_NONE, 0, 1, NULL, from, def, txt, offsetof(struct topic_conf, f))
#define T_ENUM(f, n, values, from, def, txt) \
        ROW(n, CONF_ENUM, CONF_CHECK_NONE, 0, 0, values, from, def, txt, offsetof(struct topic_conf, f))
#define T_SET(f, n, values, from, def, txt) \
        ROW(n, CONF_SET, CONF_CHECK_NONE, 0, 0, values, from, def, txt, offsetof(struct topic_conf, f))
#define T_LIST(n, check, def, txt) ROW(n, CONF_STR, check, 0, 32768, NULL, NULL, def, txt, SIZE_MAX)
#include "conf/topics.def"
};
const size_t topic_conf_row_count = ARRAY_LEN(topic_conf_rows);

static const struct conf_row *row_find(struct str name)
{
        for (size_t i = 0; i < ARRAY_LEN(topic_conf_rows); i++)
                if (str_equal_c(name, topic_conf_rows[i].key))
                        return &topic_conf_rows[i];
        return NULL;
}

/* What no row can say: gzip has no level 0, and what a topic cannot have yet is refused instead of kept without effect.
 */
static int check_value(const struct conf_row *row, struct conf_value value, struct strbuf *why)
{
        if (row->offset == offsetof(struct topic_conf, compression_gzip_level) && value.i == 0)
                strbuf_add_c(why, "is 0; give 1 to 9, or -1 for the codec's own level");
        else if (row->offset == offsetof(struct topic_conf, remote_storage_enable) && value.i)
                strbuf_add_c(why, "is true, but this cluster has no object tier for topics; leave it false");
        else
                return 0;
        return why->failed ? -ENOMEM : CONF_E_INVALID;
}

static int read_value(const struct conf_row *row, struct str text, struct arena *mem, struct conf_value *ret_value,
                      struct strbuf *why)
{
        struct conf_value value;
        int r = conf_value_parse(row, text, CONF_SYNTAX_PLAIN, mem, &value, why);

        if (!r)
                r = check_value(row, value, why);
        if (!r)
                *ret_value = value;
        return r;
}

int topic_conf_validate(struct str name, struct str value, struct strbuf *why)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        const struct conf_row *row = row_find(name);
        struct conf_value ignored;

        if (!row) {
                strbuf_printf(why, "%.*s: a topic has no such configuration", (int)MIN2(name.len, (size_t)100),
                              name.p ? name.p : "");
                return why->failed ? -ENOMEM : CONF_E_UNKNOWN;
        }
        strbuf_printf(why, "%s: ", row->key);
        return read_value(row, value, &mem, &ignored, why);
}

int topic_conf_validate_set(const struct topic_conf *defaults, struct conf_pairs set, struct strbuf *why)
{
        struct topic_conf t;

        for (size_t i = 0; i < set.count; i++) {
                CLEANUP(strbuf_finip) struct strbuf one = { 0 };
                int r = topic_conf_validate(set.at[i].name, set.at[i].value, &one);

                if (r > 0)
                        strbuf_add(why, one.data, one.len);
                if (r)
                        return why->failed ? -ENOMEM : r;
        }
        (void)topic_conf_resolve(defaults, set, &t); /* nothing is left out: each was judged above */
        if (t.min_compaction_lag_ms > t.max_compaction_lag_ms) {
                strbuf_printf(why,
                              "min.compaction.lag.ms: is %lld, more than max.compaction.lag.ms, which is %lld; give at "
                              "most that, or raise the other",
                              (long long)t.min_compaction_lag_ms, (long long)t.max_compaction_lag_ms);
                return why->failed ? -ENOMEM : CONF_E_INVALID;
        }
        return 0;
}

int topic_conf_defaults(const struct conf *conf, struct topic_conf *ret_topic)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(strbuf_finip) struct strbuf text = { 0 }, why = { 0 };
        struct topic_conf t = { 0 };

        for (size_t i = 0; i < ARRAY_LEN(topic_conf_rows); i++) {
                const struct conf_row *row = &topic_conf_rows[i];
                struct conf_value value;
                int r;

                if (row->offset == SIZE_MAX)
                        continue;
                strbuf_fini(&text);
                if (row->kafka)
                        broker_conf_value(conf, row->kafka, &text);
                else
                        strbuf_add_c(&text, row->default_value);
                if (text.failed)
                        return -ENOMEM;
                r = read_value(row, (struct str){ text.data, text.len }, &mem, &value, &why);
                assert(r <= 0); /* a broker's range is never wider than the topic's; a unit test holds that */
                if (r)
                        return r;
                conf_value_put(row, value, &t);
        }
        *ret_topic = t;
        return 0;
}

unsigned topic_conf_resolve(const struct topic_conf *defaults, struct conf_pairs set, struct topic_conf *ret_topic)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        struct topic_conf t = *defaults;
        unsigned left_out = 0;

        for (size_t i = 0; i < set.count; i++) {
                const struct conf_row *row = row_find(set.at[i].name);
                struct conf_value value;

                if (row && row->offset == SIZE_MAX)
                        continue;
                if (!row || read_value(row, set.at[i].value, &mem, &value, &why))
                        left_out++;
                else
                        conf_value_put(row, value, &t);
        }
        *ret_topic = t;
        return left_out;
}

int topic_conf_level(const struct topic_conf *topic)
{
        switch (topic->compression_type) {
        case CONF_COMPRESSION_GZIP:
                return (int)topic->compression_gzip_level;
        case CONF_COMPRESSION_LZ4:
                return (int)topic->compression_lz4_level;
        case CONF_COMPRESSION_ZSTD:
                return (int)topic->compression_zstd_level;
        default:
                return 0;
        }
}

/* What the topic sets, then where the broker's value comes from. */
static int row_synonyms(const struct conf_layers *layers, const struct conf_row *row, const struct conf_pair *pair,
                        struct arena *mem, struct conf_synonym ret[CONF_SYNONYMS_MAX], unsigned *ret_count)
{
        unsigned n = 0, more = 0;
        int r;

        if (pair)
                ret[n++] = (struct conf_synonym){ str_of(row->key), pair->value, CONF_SOURCE_TOPIC };
        if (row->kafka) {
                r = broker_conf_synonyms(layers, row->kafka, mem, ret + n, &more);
                if (r)
                        return r;
        } else {
                ret[n + more++] =
                        (struct conf_synonym){ str_of(row->key), str_of(row->default_value), CONF_SOURCE_DEFAULT };
        }
        *ret_count = n + more;
        return 0;
}

int topic_conf_describe(const struct conf_layers *layers, struct conf_pairs set, const struct str *names,
                        size_t name_count, struct arena *mem, struct conf_entries *ret_entries)
{
        struct conf_entry *list = ARENA_NEW_ARRAY(mem, struct conf_entry, ARRAY_LEN(topic_conf_rows));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_LEN(topic_conf_rows); i++) {
                const struct conf_row *row = &topic_conf_rows[i];
                struct conf_entry *e = &list[n];
                int r;

                if (!conf_names_contain(names, name_count, str_of(row->key)))
                        continue;
                r = row_synonyms(layers, row, conf_pairs_find(set, str_of(row->key)), mem, e->synonyms,
                                 &e->synonym_count);
                if (r)
                        return r;
                e->name = str_of(row->key);
                e->value = e->synonyms[0].value;
                e->source = e->synonyms[0].source;
                e->type = conf_row_kafka_type(row);
                e->text = str_of(row->text);
                n++;
        }
        *ret_entries = (struct conf_entries){ list, n };
        return 0;
}

int topic_conf_edit(const struct conf_layers *layers, struct conf_pairs set, struct str name, enum conf_edit edit,
                    struct str operand, struct arena *mem, struct str *ret_value, struct strbuf *why)
{
        const struct conf_row *row = row_find(name);
        struct conf_synonym synonyms[CONF_SYNONYMS_MAX];
        unsigned count;
        int r;

        if (row && conf_row_kafka_type(row) != CONF_KAFKA_LIST) {
                strbuf_printf(why, "%s: is not a list; set it instead", row->key);
                return why->failed ? -ENOMEM : CONF_E_INVALID;
        }
        if (row) {
                r = row_synonyms(layers, row, conf_pairs_find(set, name), mem, synonyms, &count);
                if (!r)
                        r = conf_list_edit(synonyms[0].value, edit, operand, mem, &operand);
                if (r)
                        return r;
        }
        r = topic_conf_validate(name, operand, why);
        if (!r)
                *ret_value = operand;
        return r;
}
