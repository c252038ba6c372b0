/* Goal: subscriptions to client metrics are judged and read as they are told. Method: tables. */
#include "conf/client_metrics.h"
#include "unit.h"

static int validate(const char *name, const char *value)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = client_metrics_validate(str_of(name), str_of(value), &why);

        CU_ASSERT_EQUAL(!r, !why.len);
        return r;
}

static void test_values(void)
{
        static const struct {
                const char *name, *value;
                int outcome;
        } rows[] = {
                { "interval.ms", "100", 0 },
                { "interval.ms", "3600000", 0 },
                { "interval.ms", "99", CONF_E_RANGE },
                { "interval.ms", "3600001", CONF_E_RANGE },
                { "interval.ms", "-5", CONF_E_RANGE },
                { "interval.ms", "", CONF_E_INVALID },
                { "interval.ms", " 100", CONF_E_INVALID },
                { "interval.ms", "100ms", CONF_E_INVALID },
                { "interval.ms", "1000000000000000000000", CONF_E_INVALID },
                { "metrics", "", 0 },
                { "metrics", "*", 0 },
                { "metrics", "a, b", 0 },
                { "match", "", 0 },
                { "match", "client_id=a", 0 },
                { "match", "client_id=a, client_software_name=b=c", 0 },
                { "match", "client_id=a,", CONF_E_INVALID },
                { "match", ",", CONF_E_INVALID },
                { "match", "client_id", CONF_E_INVALID },
                { "match", "client_id=", CONF_E_INVALID },
                { "match", "=a", CONF_E_INVALID },
                { "match", "client=a", CONF_E_INVALID },
                { "match", "client_id=(", CONF_E_INVALID },
                { "interval", "100", CONF_E_UNKNOWN },
                { "", "", CONF_E_UNKNOWN },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                CU_ASSERT_EQUAL(validate(rows[i].name, rows[i].value), rows[i].outcome);
}

static void test_read(void)
{
        static const struct conf_pair pairs[] = {
                { STR_LIT("interval.ms"), STR_LIT("2500") },
                { STR_LIT("match"), STR_LIT("client_id=first, client_source_port=9.* ,client_id=last") },
                { STR_LIT("metrics"), STR_LIT("a.,b.") },
        };
        static const struct conf_pair wrong[] = {
                { STR_LIT("interval.ms"), STR_LIT("5") },
                { STR_LIT("match"), STR_LIT("client=first") },
        };
        struct client_metrics m = client_metrics_read((struct conf_pairs){ pairs, ARRAY_LEN(pairs) });

        CU_ASSERT_EQUAL(m.interval_ms, 2500);
        CU_ASSERT(str_equal_c(m.metrics, "a.,b."));
        CU_ASSERT(str_equal_c(m.match[CLIENT_METRICS_CLIENT_ID], "last"));
        CU_ASSERT(str_equal_c(m.match[CLIENT_METRICS_SOURCE_PORT], "9.*"));
        CU_ASSERT(str_is_null(m.match[CLIENT_METRICS_SOURCE_ADDRESS]));
        for (int i = 0; i < 2; i++) {
                m = client_metrics_read((struct conf_pairs){ wrong, i ? ARRAY_LEN(wrong) : 0 });
                CU_ASSERT_EQUAL(m.interval_ms, CLIENT_METRICS_INTERVAL_MS_DEFAULT);
                CU_ASSERT_EQUAL(m.metrics.len, 0);
                for (int k = 0; k < CLIENT_METRICS_SELECTORS; k++)
                        CU_ASSERT(str_is_null(m.match[k]));
        }
}

static const struct unit_case cases[] = {
        { "values", test_values },
        { "read", test_read },
};

UNIT_MAIN("conf-client-metrics", cases)
