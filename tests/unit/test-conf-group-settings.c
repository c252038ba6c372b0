/* Goal: configurations of groups are judged by the node's bounds, read as they are told, and told with where they come from. Method:
 * tables; nodes that are configured otherwise. */
#include "conf/group_settings.h"
#include "unit.h"

static struct group_rules rules;

static struct conf *conf_of(const char *const *sets, size_t count)
{
        const struct conf_machine machine = { .cpus = 2, .hostname = "here" };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        struct conf *conf = NULL;

        CU_ASSERT_EQUAL(conf_parse("-", STR_NULL, sets, count, &machine, &conf, &errors), 0);
        return conf;
}

static int validate(const char *name, const char *value)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = group_settings_validate(&rules, str_of(name), str_of(value), &why);

        CU_ASSERT(!r || !strncmp(why.data, name, strlen(name)));
        return r;
}

static void test_values(void)
{
        static const struct {
                const char *name, *value;
                int outcome;
        } rows[] = {
                { "consumer.session.timeout.ms", "45000", 0 },
                { "consumer.session.timeout.ms", "60000", 0 },
                { "consumer.session.timeout.ms", "44999", CONF_E_INVALID },
                { "consumer.session.timeout.ms", "60001", CONF_E_INVALID },
                { "consumer.session.timeout.ms", "0", CONF_E_INVALID },
                { "consumer.session.timeout.ms", "45s", CONF_E_INVALID },
                { "consumer.session.timeout.ms", "", CONF_E_INVALID },
                { "consumer.heartbeat.interval.ms", "15000", 0 },
                { "consumer.heartbeat.interval.ms", "15001", CONF_E_INVALID },
                { "share.session.timeout.ms", "50000", 0 },
                { "share.heartbeat.interval.ms", "4999", CONF_E_INVALID },
                { "share.record.lock.duration.ms", "15000", 0 },
                { "share.record.lock.duration.ms", "60001", CONF_E_INVALID },
                { "share.delivery.count.limit", "10", 0 },
                { "share.delivery.count.limit", "11", CONF_E_INVALID },
                { "share.partition.max.record.locks", "4000", 0 },
                { "share.partition.max.record.locks", "99", CONF_E_INVALID },
                { "share.auto.offset.reset", "earliest", 0 },
                { "share.auto.offset.reset", " latest ", 0 },
                { "share.auto.offset.reset", "by_duration:PT36H", 0 },
                { "share.auto.offset.reset", "none", CONF_E_INVALID },
                { "share.isolation.level", "read_committed", 0 },
                { "share.isolation.level", "committed", CONF_E_INVALID },
                { "share.renew.acknowledge.enable", "false", 0 },
                { "share.renew.acknowledge.enable", "no", CONF_E_INVALID },
                { "group.consumer.session.timeout.ms", "45000", CONF_E_UNKNOWN },
                { "retention.ms", "1", CONF_E_UNKNOWN },
                { "", "1", CONF_E_UNKNOWN },
        };

        group_rules_init(&rules, NULL);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                CU_ASSERT_EQUAL(validate(rows[i].name, rows[i].value), rows[i].outcome);
}

static void test_durations(void)
{
        static const struct {
                const char *text;
                int64_t ms; /* -1: refused */
        } rows[] = {
                { "PT0S", 0 },
                { "P1D", 86400000 },
                { "P2DT3H4M5.678S", 183845678 },
                { "pt1h", 3600000 },
                { "PT1,5S", 1500 },
                { "PT1.S", 1000 },
                { "PT0.0009999S", 0 },
                { "PT0.001S", 1 },
                { "PT2H-30M", 5400000 },
                { "-PT-1S", 1000 },
                { "+P+1D", 86400000 },
                { "PT1S", 1000 },
                { "PT1M-0.5S", 59500 },
                { "PT-1S", -1 },
                { "PT-0.001S", -1 },
                { "-P1D", -1 },
                { "PT1H-2H", -1 },
                { "P", -1 },
                { "PT", -1 },
                { "P1DT", -1 },
                { "P1H", -1 },
                { "PT1D", -1 },
                { "P1Y", -1 },
                { "PT1M1H", -1 },
                { "PT1.5M", -1 },
                { "PT1.0000000001S", -1 },
                { "PT", -1 },
                { "PT1", -1 },
                { "1D", -1 },
                { "", -1 },
                { "P106751991168D", -1 },
                { "P106751991167D", 9223372036828800000 },
                { "PT9223372036854775808S", -1 },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                char text[80];
                struct conf_offset_reset r = { CONF_OFFSET_RESET_EARLIEST, 7 };
                bool good;

                snprintf(text, sizeof text, "by_duration:%s", rows[i].text);
                good = conf_offset_reset_parse(str_of(text), &r);
                CU_ASSERT_EQUAL(good, rows[i].ms >= 0);
                CU_ASSERT_EQUAL(r.kind, good ? CONF_OFFSET_RESET_BY_DURATION : CONF_OFFSET_RESET_EARLIEST);
                CU_ASSERT_EQUAL(r.duration_ms, good ? rows[i].ms : 7);
        }
        CU_ASSERT_FALSE(conf_offset_reset_parse(STR_LIT("by_duration"), &(struct conf_offset_reset){ 0 }));
        CU_ASSERT_FALSE(conf_offset_reset_parse(STR_LIT("Latest"), &(struct conf_offset_reset){ 0 }));
        CU_ASSERT_FALSE(conf_offset_reset_parse(STR_NULL, &(struct conf_offset_reset){ 0 }));
}

static int judge(const struct conf_pair *pairs, size_t count, const char *says)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = group_settings_validate_set(&rules, (struct conf_pairs){ pairs, count }, &why);

        CU_ASSERT_EQUAL(!!r, !!says);
        CU_ASSERT(!says || (why.data && strstr(why.data, says)));
        return r;
}

static void test_set(void)
{
        static const char *const sets[] = { "groups.consumer_min_session_timeout_ms=100",
                                            "groups.consumer_min_heartbeat_interval_ms=10",
                                            "groups.share_min_session_timeout_ms=100" };
        static const struct conf_pair late[] = { { STR_LIT("consumer.heartbeat.interval.ms"), STR_LIT("200") },
                                                 { STR_LIT("consumer.session.timeout.ms"), STR_LIT("200") } };
        static const struct conf_pair soon[] = { { STR_LIT("consumer.heartbeat.interval.ms"), STR_LIT("199") },
                                                 { STR_LIT("consumer.session.timeout.ms"), STR_LIT("200") } };
        static const struct conf_pair share[] = { { STR_LIT("share.session.timeout.ms"), STR_LIT("5000") } };
        static const struct conf_pair wrong[] = { { STR_LIT("share.session.timeout.ms"), STR_LIT("45000") },
                                                  { STR_LIT("share.delivery.count.limit"), STR_LIT("1") } };
        CLEANUP(conf_unrefp) struct conf *conf = conf_of(sets, ARRAY_LEN(sets));

        group_rules_init(&rules, conf);
        CU_ASSERT_EQUAL(judge(NULL, 0, NULL), 0);
        CU_ASSERT_EQUAL(judge(late, 2, "consumer.session.timeout.ms"), CONF_E_INVALID);
        CU_ASSERT_EQUAL(judge(late + 1, 1, "consumer.heartbeat.interval.ms: is 5000"), CONF_E_INVALID);
        CU_ASSERT_EQUAL(judge(soon, 2, NULL), 0);
        CU_ASSERT_EQUAL(judge(share, 1, "share.heartbeat.interval.ms"), CONF_E_INVALID);
        CU_ASSERT_EQUAL(judge(wrong, 2, "share.delivery.count.limit: is '1'"), CONF_E_INVALID);
}

static void test_read(void)
{
        static const char *const sets[] = { "groups.consumer_max_session_timeout_ms=50000",
                                            "groups.share_delivery_count_limit=7" };
        static const struct conf_pair pairs[] = {
                { STR_LIT("consumer.session.timeout.ms"), STR_LIT("60000") }, /* set when more was allowed */
                { STR_LIT("consumer.heartbeat.interval.ms"), STR_LIT("6000") },
                { STR_LIT("share.heartbeat.interval.ms"), STR_LIT("x") },
                { STR_LIT("share.auto.offset.reset"), STR_LIT("by_duration:PT1S") },
                { STR_LIT("share.isolation.level"), STR_LIT("read_committed") },
                { STR_LIT("share.renew.acknowledge.enable"), STR_LIT("false") },
                { STR_LIT("of.a.newer.version"), STR_LIT("1") },
        };
        CLEANUP(conf_unrefp) struct conf *conf = conf_of(sets, ARRAY_LEN(sets));
        struct group_settings s;

        group_rules_init(&rules, conf);
        s = group_settings_read(&rules, (struct conf_pairs){ 0 });
        CU_ASSERT_EQUAL(s.consumer_session_timeout_ms, 45000);
        CU_ASSERT_EQUAL(s.consumer_heartbeat_interval_ms, 5000);
        CU_ASSERT_EQUAL(s.share_record_lock_duration_ms, 30000);
        CU_ASSERT_EQUAL(s.share_delivery_count_limit, 7);
        CU_ASSERT_EQUAL(s.share_partition_max_record_locks, 2000);
        CU_ASSERT_EQUAL(s.share_auto_offset_reset.kind, CONF_OFFSET_RESET_LATEST);
        CU_ASSERT_EQUAL(s.share_isolation_level, GROUP_ISOLATION_READ_UNCOMMITTED);
        CU_ASSERT(s.share_renew_acknowledge_enable);
        s = group_settings_read(&rules, (struct conf_pairs){ pairs, ARRAY_LEN(pairs) });
        CU_ASSERT_EQUAL(s.consumer_session_timeout_ms, 50000);
        CU_ASSERT_EQUAL(s.consumer_heartbeat_interval_ms, 6000);
        CU_ASSERT_EQUAL(s.share_heartbeat_interval_ms, 5000);
        CU_ASSERT_EQUAL(s.share_auto_offset_reset.kind, CONF_OFFSET_RESET_BY_DURATION);
        CU_ASSERT_EQUAL(s.share_auto_offset_reset.duration_ms, 1000);
        CU_ASSERT_EQUAL(s.share_isolation_level, GROUP_ISOLATION_READ_COMMITTED);
        CU_ASSERT(!s.share_renew_acknowledge_enable);
}

static void test_describe(void)
{
        static const char *const sets[] = { "groups.consumer_session_timeout_ms=50000" };
        static const struct conf_pair pairs[] = { { STR_LIT("consumer.session.timeout.ms"), STR_LIT(" 55000") },
                                                  { STR_LIT("share.isolation.level"), STR_LIT("read_committed") } };
        static const struct str names[] = { STR_LIT("share.isolation.level"), STR_LIT("consumer.session.timeout.ms"),
                                            STR_LIT("no.such") };
        CLEANUP(conf_unrefp) struct conf *conf = conf_of(sets, ARRAY_LEN(sets));
        const struct conf_layers layers = { .start = conf, .now = conf };
        struct conf_pairs set = { pairs, ARRAY_LEN(pairs) };
        CLEANUP(arena_finip) struct arena mem = { 0 };
        const struct conf_entry *e;
        struct conf_entries list;

        CU_ASSERT_EQUAL_FATAL(group_settings_describe(&layers, set, NULL, 0, &mem, &list), 0);
        CU_ASSERT_EQUAL(list.count, group_settings_row_count);
        for (size_t i = 0; i < list.count; i++) {
                CU_ASSERT(list.at[i].synonym_count > 0);
                CU_ASSERT(list.at[i].text.len > 0);
                CU_ASSERT(!list.at[i].read_only);
        }
        CU_ASSERT_EQUAL_FATAL(group_settings_describe(&layers, set, names, ARRAY_LEN(names), &mem, &list), 0);
        CU_ASSERT_EQUAL_FATAL(list.count, 2);
        e = &list.at[0];
        CU_ASSERT(str_equal_c(e->name, "consumer.session.timeout.ms"));
        CU_ASSERT(str_equal_c(e->value, "55000"));
        CU_ASSERT_EQUAL(e->source, CONF_SOURCE_GROUP);
        CU_ASSERT_EQUAL(e->type, CONF_KAFKA_INT);
        CU_ASSERT_EQUAL_FATAL(e->synonym_count, 3);
        CU_ASSERT(str_equal_c(e->synonyms[1].name, "group.consumer.session.timeout.ms"));
        CU_ASSERT(str_equal_c(e->synonyms[1].value, "50000"));
        CU_ASSERT_EQUAL(e->synonyms[1].source, CONF_SOURCE_STATIC);
        CU_ASSERT(str_equal_c(e->synonyms[2].value, "45000"));
        CU_ASSERT_EQUAL(e->synonyms[2].source, CONF_SOURCE_DEFAULT);
        e = &list.at[1];
        CU_ASSERT_EQUAL(e->type, CONF_KAFKA_STRING);
        CU_ASSERT_EQUAL(e->synonym_count, 2);
        CU_ASSERT(str_equal_c(e->synonyms[1].value, "read_uncommitted"));
}

static const struct unit_case cases[] = {
        { "values", test_values }, { "durations", test_durations }, { "set", test_set },
        { "read", test_read },     { "describe", test_describe },
};

UNIT_MAIN("conf-group-settings", cases)
