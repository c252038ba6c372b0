/* Goal: a broker tells its configuration under the names that Kafka's tools ask for, truly, and lets only that be
 * changed which can be. Method: layers made here. */
#include <errno.h>
#include <stdio.h>

#include "conf/broker.h"
#include "unit.h"

static const struct conf_machine machine = { .cpus = 2, .hostname = "node-7" };

static struct conf *conf_of(const char *text)
{
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        struct conf *c = NULL;

        CU_ASSERT_EQUAL_FATAL(conf_parse("f", str_of(text), NULL, 0, &machine, &c, &errors), 0);
        return c;
}

static const struct conf_entry *entry(struct conf_entries list, const char *name)
{
        for (size_t i = 0; i < list.count; i++)
                if (str_equal_c(list.at[i].name, name))
                        return &list.at[i];
        return NULL;
}

static void check_value(struct conf_entries list, const char *name, const char *value, enum conf_source source,
                        enum conf_kafka_type type, bool read_only)
{
        const struct conf_entry *e = entry(list, name);

        if (!e || (value ? !str_equal_c(e->value, value) : e->value.p != NULL))
                fprintf(stderr, "\n%s is '%.*s', not '%s'\n", name, STR_FMT(e ? e->value : STR_NULL),
                        value ? value : "null");
        CU_ASSERT_PTR_NOT_NULL_FATAL(e);
        CU_ASSERT(value ? str_equal_c(e->value, value) : str_is_null(e->value));
        CU_ASSERT_EQUAL(e->source, source);
        CU_ASSERT_EQUAL(e->type, type);
        CU_ASSERT_EQUAL(e->read_only, read_only);
        CU_ASSERT(e->synonym_count >= 1 && e->text.len > 10);
}

static void test_describe(void)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(conf_unrefp)
        struct conf *start = conf_of("server:\n  node_id: 7\n  kafka: 0.0.0.0:9092\n"
                                     "storage:\n  retention_ms: 7h\n  compression_type: zstd\n"
                                     "  compression_level: 6\n");
        struct conf_layers layers = { .start = start, .now = start };
        struct conf_entries l;
        const struct str names[] = { STR_LIT("num.partitions"), STR_LIT("broker.id") };

        CU_ASSERT_EQUAL_FATAL(broker_conf_describe(&layers, NULL, 0, &mem, &l), 0);
        check_value(l, "node.id", "7", CONF_SOURCE_STATIC, CONF_KAFKA_INT, true);
        check_value(l, "broker.id", "7", CONF_SOURCE_STATIC, CONF_KAFKA_INT, true);
        check_value(l, "process.roles", "broker,controller", CONF_SOURCE_DEFAULT, CONF_KAFKA_LIST, true);
        check_value(l, "listeners", "PLAINTEXT://0.0.0.0:9092", CONF_SOURCE_STATIC, CONF_KAFKA_STRING, true);
        check_value(l, "advertised.listeners", "PLAINTEXT://node-7:9092", CONF_SOURCE_DEFAULT, CONF_KAFKA_STRING, true);
        check_value(l, "log.dirs", "chronik-data", CONF_SOURCE_DEFAULT, CONF_KAFKA_STRING, true);
        check_value(l, "broker.rack", NULL, CONF_SOURCE_DEFAULT, CONF_KAFKA_STRING, true);
        check_value(l, "num.network.threads", "2", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, true);
        check_value(l, "num.partitions", "1", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, true);
        check_value(l, "default.replication.factor", "1", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, true);
        check_value(l, "auto.create.topics.enable", "true", CONF_SOURCE_DEFAULT, CONF_KAFKA_BOOLEAN, true);
        check_value(l, "delete.topic.enable", "true", CONF_SOURCE_DEFAULT, CONF_KAFKA_BOOLEAN, true);
        check_value(l, "log.retention.ms", "25200000", CONF_SOURCE_STATIC, CONF_KAFKA_LONG, false);
        check_value(l, "log.retention.hours", "7", CONF_SOURCE_STATIC, CONF_KAFKA_INT, true);
        check_value(l, "log.retention.minutes", "420", CONF_SOURCE_STATIC, CONF_KAFKA_INT, true);
        check_value(l, "log.cleanup.policy", "delete", CONF_SOURCE_DEFAULT, CONF_KAFKA_LIST, false);
        check_value(l, "compression.type", "zstd", CONF_SOURCE_STATIC, CONF_KAFKA_STRING, false);
        check_value(l, "compression.zstd.level", "6", CONF_SOURCE_STATIC, CONF_KAFKA_INT, true);
        check_value(l, "compression.lz4.level", "9", CONF_SOURCE_STATIC, CONF_KAFKA_INT, true);
        check_value(l, "offsets.topic.num.partitions", "50", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, true);
        check_value(l, "offsets.topic.replication.factor", "1", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, true);
        check_value(l, "message.max.bytes", "1048588", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, false);
        check_value(l, "socket.request.max.bytes", "104857600", CONF_SOURCE_DEFAULT, CONF_KAFKA_INT, true);

        CU_ASSERT_EQUAL_FATAL(broker_conf_describe(&layers, names, 2, &mem, &l), 0);
        CU_ASSERT_EQUAL(l.count, 2);
}

/* Every Kafka name in the table of parameters is told, and none twice. */
static void test_names(void)
{
        struct broker_conf_info a, b;

        for (int i = 0; i < PARAM_COUNT; i++)
                CU_ASSERT(!conf_params[i].kafka || broker_conf_exists(conf_params[i].kafka));
        for (size_t i = 0; broker_conf_at(i, &a); i++)
                for (size_t j = 0; j < i && broker_conf_at(j, &b); j++)
                        CU_ASSERT_STRING_NOT_EQUAL(a.name, b.name);
        CU_ASSERT_FALSE(broker_conf_exists("zookeeper.connect"));
}

static int validate(const char *name, const char *value, const char *expected)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = broker_conf_validate(str_of(name), str_of(value), &why);

        if (r > 0 && strcmp(why.data, expected))
                fprintf(stderr, "\ngot:      %s\nexpected: %s\n", why.data, expected);
        if (r > 0)
                CU_ASSERT_STRING_EQUAL(why.data, expected);
        return r;
}

static void test_validate(void)
{
        CU_ASSERT_EQUAL(validate("log.retention.ms", "5", NULL), 0);
        CU_ASSERT_EQUAL(validate("log.retention.ms", "5s",
                                 "log.retention.ms: is '5s'; give a number of milliseconds from -1 "
                                 "to 9223372036854775807 (no limit)"),
                        CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("num.io.threads", "8",
                                 "num.io.threads: cannot be changed while the broker runs; set "
                                 "server.num_io_threads in its file and restart it"),
                        CONF_E_READ_ONLY);
        CU_ASSERT_EQUAL(validate("delete.topic.enable", "false", "delete.topic.enable: is always 'true'"),
                        CONF_E_READ_ONLY);
        CU_ASSERT_EQUAL(validate("zookeeper.connect", "a", "zookeeper.connect: a broker has no such configuration"),
                        CONF_E_UNKNOWN);
}

static void test_derive(void)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(strbuf_finip) struct strbuf skipped = { 0 };
        CLEANUP(conf_unrefp) struct conf *start = conf_of(NULL);
        CLEANUP(conf_unrefp) struct conf *now = NULL;
        const struct conf_pair all[] = { { STR_LIT("log.retention.ms"), STR_LIT("7200000") },
                                         { STR_LIT("compression.type"), STR_LIT("lz4") } };
        const struct conf_pair one[] = { { STR_LIT("compression.type"), STR_LIT("gzip") },
                                         { STR_LIT("log.segment.bytes"), STR_LIT("lots") },
                                         { STR_LIT("num.io.threads"), STR_LIT("99") } };
        struct conf_layers layers = { .start = start, .all_brokers = { all, 2 }, .this_broker = { one, 3 } };
        struct conf_entries l;

        CU_ASSERT_EQUAL_FATAL(broker_conf_derive(&layers, &now, &skipped), 0);
        CU_ASSERT_EQUAL(now->storage.retention_ms, 7200000);
        CU_ASSERT_EQUAL(now->storage.compression_type, CONF_COMPRESSION_GZIP);
        CU_ASSERT_EQUAL(now->storage.segment_size, 1 << 30);
        CU_ASSERT_EQUAL(now->server.num_io_threads, 4);
        CU_ASSERT_EQUAL(now->source[PARAM_storage_retention_ms], CONF_SOURCE_BROKER_DEFAULT);
        CU_ASSERT(skipped.data && !strncmp(skipped.data, "log.segment.bytes: is 'lots'", 28));

        layers.now = now;
        CU_ASSERT_EQUAL_FATAL(broker_conf_describe(&layers, NULL, 0, &mem, &l), 0);
        check_value(l, "compression.type", "gzip", CONF_SOURCE_BROKER, CONF_KAFKA_STRING, false);
        CU_ASSERT_EQUAL(entry(l, "compression.type")->synonym_count, 3);
        check_value(l, "log.retention.hours", "2", CONF_SOURCE_BROKER_DEFAULT, CONF_KAFKA_INT, true);
}

static void test_edit(void)
{
        CLEANUP(arena_finip) struct arena mem = { 0 };
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        CLEANUP(conf_unrefp) struct conf *start = conf_of(NULL);
        const struct conf_pair one[] = { { STR_LIT("log.cleanup.policy"), STR_LIT("compact") } };
        struct conf_layers layers = { .start = start, .now = start, .this_broker = { one, 1 } };
        struct str v = STR_NULL;

        CU_ASSERT_EQUAL(broker_conf_edit(&layers, false, STR_LIT("log.cleanup.policy"), CONF_EDIT_APPEND,
                                         STR_LIT("compact"), &mem, &v, &why),
                        0);
        CU_ASSERT(str_equal_c(v, "delete,compact"));
        CU_ASSERT_EQUAL(broker_conf_edit(&layers, true, STR_LIT("log.cleanup.policy"), CONF_EDIT_SUBTRACT,
                                         STR_LIT("compact"), &mem, &v, &why),
                        CONF_E_INVALID); /* nothing would be left */
        strbuf_fini(&why);
        CU_ASSERT_EQUAL(broker_conf_edit(&layers, true, STR_LIT("log.segment.bytes"), CONF_EDIT_APPEND, STR_LIT("1"),
                                         &mem, &v, &why),
                        CONF_E_INVALID);
        strbuf_fini(&why);
        CU_ASSERT_EQUAL(broker_conf_edit(&layers, true, STR_LIT("process.roles"), CONF_EDIT_APPEND, STR_LIT("x"), &mem,
                                         &v, &why),
                        CONF_E_READ_ONLY);
}

static const struct unit_case cases[] = {
        { "describe", test_describe },        { "names", test_names },
        { "validate", test_validate },        { "derive", test_derive },
        { "append and subtract", test_edit },
};

UNIT_MAIN("conf-broker", cases)
