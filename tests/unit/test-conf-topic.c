/* Goal: topic configurations are judged, resolved and described as Kafka's tools expect. Method: layers made here. */
#include <errno.h>
#include <stdio.h>

#include "conf/broker.h"
#include "conf/topic.h"
#include "unit.h"

static const struct conf_machine machine = { .cpus = 2, .hostname = "node-7" };

#define PAIR(n, v) \
        { \
                STR_LIT(n), STR_LIT(v) \
        }
#define PAIRS(...) \
        ((struct conf_pairs){ (const struct conf_pair[]){ __VA_ARGS__ }, \
                              sizeof((const struct conf_pair[]){ __VA_ARGS__ }) / sizeof(struct conf_pair) })
#define NO_PAIRS ((struct conf_pairs){ 0 })

static struct conf *conf_of(const char *text)
{
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        struct conf *c = NULL;

        CU_ASSERT_EQUAL_FATAL(conf_parse("f", str_of(text), NULL, 0, &machine, &c, &errors), 0);
        return c;
}

static struct topic_conf defaults_of(const char *text)
{
        CLEANUP(conf_unrefp) struct conf *c = conf_of(text);
        struct topic_conf t;

        CU_ASSERT_EQUAL_FATAL(topic_conf_defaults(c, &t), 0);
        return t;
}

static int validate(const char *name, const char *value, const char *expected)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = topic_conf_validate(str_of(name), str_of(value), &why);

        if (r > 0 && expected) {
                if (strcmp(why.data, expected))
                        fprintf(stderr, "\ngot:      %s\nexpected: %s\n", why.data, expected);
                CU_ASSERT_STRING_EQUAL(why.data, expected);
        }
        return r;
}

static void test_defaults(void)
{
        struct topic_conf t = defaults_of(NULL);

        CU_ASSERT_EQUAL(t.retention_ms, 604800000);
        CU_ASSERT_EQUAL(t.segment_bytes, 1073741824);
        CU_ASSERT_EQUAL(t.max_message_bytes, 1048588);
        CU_ASSERT_EQUAL(t.cleanup_policy, CONF_CLEANUP_DELETE);
        CU_ASSERT_EQUAL(t.compression_type, CONF_COMPRESSION_PRODUCER);
        CU_ASSERT_EQUAL(t.compression_gzip_level, -1);
        CU_ASSERT_EQUAL(t.compression_zstd_level, 3);
        CU_ASSERT_EQUAL(topic_conf_level(&t), 0);
        CU_ASSERT(t.flush_before_ack && t.preallocate && !t.unclean_leader_election_enable);
        CU_ASSERT_EQUAL(t.local_retention_ms, -2);
        CU_ASSERT_DOUBLE_EQUAL(t.min_cleanable_ratio, 0.5, 0);

        t = defaults_of("storage:\n  compression_type: zstd\n  compression_level: -5\n  preallocate_step_bytes: 0\n"
                        "  cleanup_policy: [delete, compact]\n");
        CU_ASSERT_EQUAL(topic_conf_level(&t), -5);
        CU_ASSERT_FALSE(t.preallocate);
        CU_ASSERT_EQUAL(t.cleanup_policy, CONF_CLEANUP_DELETE | CONF_CLEANUP_COMPACT);
}

/* A value that the broker accepts must be one that a topic may have, else the defaults could not be made. */
static void test_broker_ranges_fit(void)
{
        for (size_t i = 0; i < topic_conf_row_count; i++) {
                const struct conf_row *t = &topic_conf_rows[i];

                CU_ASSERT(!t->kafka != !t->default_value);
                CU_ASSERT(!t->kafka || broker_conf_exists(t->kafka));
                for (int p = 0; p < PARAM_COUNT; p++) {
                        const struct conf_row *b = &conf_params[p];

                        if (!t->kafka || !b->kafka || strcmp(t->kafka, b->kafka))
                                continue;
                        CU_ASSERT(b->min >= t->min && b->max <= t->max);
                        CU_ASSERT(!b->values == !t->values && (!b->values || !strcmp(b->values, t->values)));
                        CU_ASSERT(b->dynamic);
                }
        }
}

static void test_validate(void)
{
        CU_ASSERT_EQUAL(validate("retention.ms", "-1", NULL), 0);
        CU_ASSERT_EQUAL(validate("retention.ms", "-2",
                                 "retention.ms: is '-2'; give a whole number from -1 to "
                                 "9223372036854775807 (no limit)"),
                        CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("retention.ms", "7d", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("retention.ms", NULL, NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("retention", "1", "retention: a topic has no such configuration"), CONF_E_UNKNOWN);
        CU_ASSERT_EQUAL(validate("cleanup.policy", "compact,delete", NULL), 0);
        CU_ASSERT_EQUAL(validate("cleanup.policy", "", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(
                validate("compression.type", "none",
                         "compression.type: is 'none'; give one of uncompressed, gzip, snappy, lz4, zstd, producer"),
                CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("compression.gzip.level", "0",
                                 "compression.gzip.level: is 0; give 1 to 9, or -1 for the codec's own level"),
                        CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("min.insync.replicas", "0", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("segment.bytes", "10", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("max.message.bytes", "-1", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("remote.storage.enable", "false", NULL), 0);
        CU_ASSERT_EQUAL(validate("remote.storage.enable", "true", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("leader.replication.throttled.replicas", "0:1,1:2", NULL), 0);
        CU_ASSERT_EQUAL(validate("leader.replication.throttled.replicas", "zero", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("message.timestamp.type", "LogAppendTime", NULL), 0);
        CU_ASSERT_EQUAL(validate("min.cleanable.dirty.ratio", "1.5", NULL), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("chronik.flush.before.ack", "false", NULL), 0);
}

static void test_validate_set(void)
{
        struct topic_conf t = defaults_of(NULL);
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };

        CU_ASSERT_EQUAL(topic_conf_validate_set(&t, PAIRS(PAIR("min.compaction.lag.ms", "5")), &why), 0);
        CU_ASSERT_PTR_NULL(why.data);
        CU_ASSERT_EQUAL(
                topic_conf_validate_set(
                        &t, PAIRS(PAIR("min.compaction.lag.ms", "5"), PAIR("max.compaction.lag.ms", "4")), &why),
                CONF_E_INVALID);
        CU_ASSERT_STRING_EQUAL(why.data,
                               "min.compaction.lag.ms: is 5, more than max.compaction.lag.ms, which is 4; give at "
                               "most that, or raise the other");
        strbuf_fini(&why);
        CU_ASSERT_EQUAL(topic_conf_validate_set(&t, PAIRS(PAIR("retention.ms", "5"), PAIR("segment.ms", "x")), &why),
                        CONF_E_INVALID);
        CU_ASSERT_PTR_NOT_NULL_FATAL(why.data);
        CU_ASSERT_EQUAL(strncmp(why.data, "segment.ms: is 'x'", 18), 0); /* only what is wrong */
}

static void test_resolve(void)
{
        struct topic_conf base = defaults_of(NULL), t;

        CU_ASSERT_EQUAL(
                topic_conf_resolve(&base,
                                   PAIRS(PAIR("retention.ms", "1000"), PAIR("cleanup.policy", "compact"),
                                         PAIR("compression.type", "lz4"), PAIR("chronik.flush.before.ack", "false"),
                                         PAIR("leader.replication.throttled.replicas", "*")),
                                   &t),
                0);
        CU_ASSERT_EQUAL(t.retention_ms, 1000);
        CU_ASSERT_EQUAL(t.cleanup_policy, CONF_CLEANUP_COMPACT);
        CU_ASSERT_EQUAL(topic_conf_level(&t), 9);
        CU_ASSERT_FALSE(t.flush_before_ack);
        CU_ASSERT_EQUAL(t.segment_bytes, base.segment_bytes);
        /* what a later version may have stored does no harm here, and is told */
        CU_ASSERT_EQUAL(topic_conf_resolve(&base, PAIRS(PAIR("new.in.2030", "1"), PAIR("segment.ms", "soon")), &t), 2);
        CU_ASSERT_EQUAL(t.segment_ms, base.segment_ms);
}

static const struct conf_entry *entry(struct conf_entries list, const char *name)
{
        for (size_t i = 0; i < list.count; i++)
                if (str_equal_c(list.at[i].name, name))
                        return &list.at[i];
        return NULL;
}

static void check_entry(const struct conf_entry *e, const char *value, enum conf_source source, unsigned synonyms)
{
        CU_ASSERT_PTR_NOT_NULL_FATAL(e);
        CU_ASSERT(str_equal_c(e->value, value));
        CU_ASSERT_EQUAL(e->source, source);
        CU_ASSERT_EQUAL(e->synonym_count, synonyms);
        CU_ASSERT(str_equal(e->value, e->synonyms[0].value) && e->source == e->synonyms[0].source);
        CU_ASSERT(e->text.len > 20 && e->type >= CONF_KAFKA_BOOLEAN && e->type <= CONF_KAFKA_LIST);
}

static void test_describe(void)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(conf_unrefp) struct conf *start = conf_of("storage:\n  retention_ms: 7h\n");
        CLEANUP(conf_unrefp) struct conf *now = NULL;
        struct conf_layers layers = { .start = start,
                                      .all_brokers =
                                              PAIRS(PAIR("log.retention.ms", "500"), PAIR("log.segment.bytes", "5000")),
                                      .this_broker = PAIRS(PAIR("log.retention.ms", "400")) };
        struct conf_pairs set = PAIRS(PAIR("retention.ms", "300"), PAIR("flush.messages", "1"));
        const struct str names[] = { STR_LIT("flush.ms"), STR_LIT("no.such") };
        struct conf_entries list;
        const struct conf_entry *e;

        CU_ASSERT_EQUAL_FATAL(broker_conf_derive(&layers, &now, NULL), 0);
        layers.now = now;
        CU_ASSERT_EQUAL_FATAL(topic_conf_describe(&layers, set, NULL, 0, &mem, &list), 0);
        CU_ASSERT_EQUAL(list.count, topic_conf_row_count);

        e = entry(list, "retention.ms");
        check_entry(e, "300", CONF_SOURCE_TOPIC, 5);
        CU_ASSERT_EQUAL(e->type, CONF_KAFKA_LONG);
        CU_ASSERT(str_equal_c(e->synonyms[0].name, "retention.ms"));
        CU_ASSERT(str_equal_c(e->synonyms[1].name, "log.retention.ms") && str_equal_c(e->synonyms[1].value, "400"));
        CU_ASSERT_EQUAL(e->synonyms[1].source, CONF_SOURCE_BROKER);
        CU_ASSERT_EQUAL(e->synonyms[2].source, CONF_SOURCE_BROKER_DEFAULT);
        CU_ASSERT(str_equal_c(e->synonyms[3].value, "25200000") && e->synonyms[3].source == CONF_SOURCE_STATIC);
        CU_ASSERT(str_equal_c(e->synonyms[4].value, "604800000") && e->synonyms[4].source == CONF_SOURCE_DEFAULT);

        e = entry(list, "segment.bytes");
        check_entry(e, "5000", CONF_SOURCE_BROKER_DEFAULT, 2);
        CU_ASSERT_EQUAL(e->type, CONF_KAFKA_INT);
        check_entry(entry(list, "flush.messages"), "1", CONF_SOURCE_TOPIC, 2);
        check_entry(entry(list, "cleanup.policy"), "delete", CONF_SOURCE_DEFAULT, 1);
        CU_ASSERT_EQUAL(entry(list, "cleanup.policy")->type, CONF_KAFKA_LIST);
        check_entry(entry(list, "remote.storage.enable"), "false", CONF_SOURCE_DEFAULT, 1);
        check_entry(entry(list, "preallocate"), "true", CONF_SOURCE_DEFAULT, 1);
        CU_ASSERT_EQUAL(entry(list, "preallocate")->type, CONF_KAFKA_BOOLEAN);
        check_entry(entry(list, "min.cleanable.dirty.ratio"), "0.5", CONF_SOURCE_DEFAULT, 1);
        check_entry(entry(list, "follower.replication.throttled.replicas"), "", CONF_SOURCE_DEFAULT, 1);

        CU_ASSERT_EQUAL_FATAL(topic_conf_describe(&layers, set, names, 2, &mem, &list), 0);
        CU_ASSERT_EQUAL(list.count, 1);
        CU_ASSERT(str_equal_c(list.at[0].name, "flush.ms"));
}

static void test_edit(void)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        CLEANUP(conf_unrefp) struct conf *start = conf_of(NULL);
        struct conf_layers layers = { .start = start, .now = start };
        struct conf_pairs set = PAIRS(PAIR("leader.replication.throttled.replicas", "0:1,0:2"));
        struct str v;

        /* nothing is set: the broker's value is what is appended to */
        CU_ASSERT_EQUAL(topic_conf_edit(&layers, NO_PAIRS, STR_LIT("cleanup.policy"), CONF_EDIT_APPEND,
                                        STR_LIT("compact"), &mem, &v, &why),
                        0);
        CU_ASSERT(str_equal_c(v, "delete,compact"));
        CU_ASSERT_EQUAL(topic_conf_edit(&layers, set, STR_LIT("leader.replication.throttled.replicas"),
                                        CONF_EDIT_APPEND, STR_LIT("0:2, 1:3"), &mem, &v, &why),
                        0);
        CU_ASSERT(str_equal_c(v, "0:1,0:2,1:3"));
        CU_ASSERT_EQUAL(topic_conf_edit(&layers, set, STR_LIT("leader.replication.throttled.replicas"),
                                        CONF_EDIT_SUBTRACT, STR_LIT("0:1,0:2"), &mem, &v, &why),
                        0);
        CU_ASSERT(str_equal_c(v, ""));
        CU_ASSERT_EQUAL(topic_conf_edit(&layers, NO_PAIRS, STR_LIT("cleanup.policy"), CONF_EDIT_APPEND, STR_LIT("burn"),
                                        &mem, &v, &why),
                        CONF_E_INVALID);
        strbuf_fini(&why);
        CU_ASSERT_EQUAL(topic_conf_edit(&layers, NO_PAIRS, STR_LIT("retention.ms"), CONF_EDIT_APPEND, STR_LIT("1"),
                                        &mem, &v, &why),
                        CONF_E_INVALID);
        CU_ASSERT_STRING_EQUAL(why.data, "retention.ms: is not a list; set it instead");
        strbuf_fini(&why);
        CU_ASSERT_EQUAL(
                topic_conf_edit(&layers, NO_PAIRS, STR_LIT("no.such"), CONF_EDIT_APPEND, STR_LIT("1"), &mem, &v, &why),
                CONF_E_UNKNOWN);
}

static const struct unit_case cases[] = {
        { "defaults", test_defaults },        { "broker ranges fit", test_broker_ranges_fit },
        { "validate", test_validate },        { "validate a set", test_validate_set },
        { "resolve", test_resolve },          { "describe", test_describe },
        { "append and subtract", test_edit },
};

UNIT_MAIN("conf-topic", cases)
