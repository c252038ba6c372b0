/* Goal: one value of each type is read, written and refused as its row says. Method: small rows made here. */
#include <errno.h>

#include "conf/row.h"
#include "unit.h"

static struct arena mem;
static struct strbuf why;

static const struct conf_row row_int = { .key = "n", .type = CONF_INT, .min = 1, .max = 256 };
static const struct conf_row row_any = { .key = "n", .type = CONF_INT, .min = INT64_MIN, .max = INT64_MAX };
static const struct conf_row row_size = { .key = "s", .type = CONF_SIZE, .min = -1, .max = INT64_MAX };
static const struct conf_row row_time = { .key = "t", .type = CONF_TIME, .min = 0, .max = INT64_MAX };
static const struct conf_row row_ratio = { .key = "r", .type = CONF_RATIO, .max = 1 };
static const struct conf_row row_bool = { .key = "b", .type = CONF_BOOL };
static const struct conf_row row_enum = { .key = "e", .type = CONF_ENUM, .values = "none|gzip|zstd" };
static const struct conf_row row_set = { .key = "l", .type = CONF_SET, .values = "delete|compact" };
static const struct conf_row row_name = { .key = "m", .type = CONF_STR, .check = CONF_CHECK_NAME, .max = 8 };
static const struct conf_row row_path = { .key = "p", .type = CONF_STR, .check = CONF_CHECK_PATH, .max = 100 };
static const struct conf_row row_who = { .key = "p", .type = CONF_STR, .check = CONF_CHECK_PRINCIPALS, .max = 100 };
static const struct conf_row row_thr = { .key = "p", .type = CONF_STR, .check = CONF_CHECK_THROTTLED, .max = 100 };
static const struct conf_row row_addr = { .key = "a", .type = CONF_ADDR };
static const struct conf_row row_addr0 = { .key = "a", .type = CONF_ADDR, .default_value = "" };

static int parse(const struct conf_row *row, const char *text, struct conf_value *v)
{
        strbuf_fini(&why);
        return conf_value_parse(row, str_of(text), CONF_SYNTAX_UNITS, &mem, v, &why);
}

/* The number that @text is read as, or INT64_MIN + 1 when it is refused. */
static int64_t num(const struct conf_row *row, const char *text)
{
        struct conf_value v;

        return parse(row, text, &v) ? INT64_MIN + 1 : v.i;
}

static bool refused(const struct conf_row *row, const char *text)
{
        struct conf_value v = { .i = 77 };
        int r = parse(row, text, &v);

        /* what is refused leaves the value alone and says what would be right */
        return r == CONF_E_INVALID && v.i == 77 && why.data && strstr(why.data, "give ");
}

static void test_numbers(void)
{
        CU_ASSERT_EQUAL(num(&row_int, "1"), 1);
        CU_ASSERT_EQUAL(num(&row_int, " 256 "), 256);
        CU_ASSERT(refused(&row_int, "0"));
        CU_ASSERT_STRING_EQUAL(why.data, "is '0'; give a whole number from 1 to 256");
        CU_ASSERT(refused(&row_int, "257"));
        CU_ASSERT(refused(&row_int, ""));
        CU_ASSERT(refused(&row_int, "-"));
        CU_ASSERT(refused(&row_int, "1.5"));
        CU_ASSERT(refused(&row_int, "1k"));
        CU_ASSERT(refused(&row_int, "0x10"));
        CU_ASSERT(refused(&row_int, "four"));
        CU_ASSERT_EQUAL(num(&row_any, "9223372036854775807"), INT64_MAX);
        CU_ASSERT_EQUAL(num(&row_any, "-9223372036854775808"), INT64_MIN);
        CU_ASSERT(refused(&row_any, "9223372036854775808"));
        CU_ASSERT(refused(&row_any, "-9223372036854775809"));
        CU_ASSERT(refused(&row_any, "99999999999999999999999999"));
}

static void test_units(void)
{
        struct conf_value v;

        CU_ASSERT_EQUAL(num(&row_size, "1073741824"), 1 << 30);
        CU_ASSERT_EQUAL(num(&row_size, "64MiB"), 64 << 20);
        CU_ASSERT_EQUAL(num(&row_size, "64MB"), 64 << 20); /* as the deployment guide uses it */
        CU_ASSERT_EQUAL(num(&row_size, "1 GB"), 1 << 30);
        CU_ASSERT_EQUAL(num(&row_size, "2tib"), INT64_C(2) << 40);
        CU_ASSERT_EQUAL(num(&row_size, "-1"), -1);
        CU_ASSERT(refused(&row_size, "1GBs"));
        CU_ASSERT(refused(&row_size, "GB"));
        CU_ASSERT(refused(&row_size, "9999999999TiB")); /* does not fit */
        CU_ASSERT(refused(&row_size, "5s"));
        CU_ASSERT_EQUAL(num(&row_time, "100"), 100);
        CU_ASSERT_EQUAL(num(&row_time, "100ms"), 100);
        CU_ASSERT_EQUAL(num(&row_time, "30s"), 30000);
        CU_ASSERT_EQUAL(num(&row_time, "7d"), 604800000);
        CU_ASSERT(refused(&row_time, "7w"));
        CU_ASSERT(refused(&row_time, "-1"));
        /* Kafka's protocol knows no units */
        CU_ASSERT_EQUAL(conf_value_parse(&row_size, STR_LIT("64MiB"), CONF_SYNTAX_PLAIN, &mem, &v, &why),
                        CONF_E_INVALID);
        CU_ASSERT_EQUAL(conf_value_parse(&row_size, STR_LIT("64"), CONF_SYNTAX_PLAIN, &mem, &v, &why), 0);
}

static void test_words(void)
{
        CU_ASSERT_EQUAL(num(&row_bool, "true"), 1);
        CU_ASSERT_EQUAL(num(&row_bool, "False"), 0);
        CU_ASSERT(refused(&row_bool, "yes"));
        CU_ASSERT(refused(&row_bool, "1"));
        CU_ASSERT_EQUAL(num(&row_enum, "none"), 0);
        CU_ASSERT_EQUAL(num(&row_enum, "zstd"), 2);
        CU_ASSERT(refused(&row_enum, "zst"));
        CU_ASSERT(refused(&row_enum, "ZSTD"));
        CU_ASSERT(refused(&row_enum, "none|gzip"));
        CU_ASSERT(refused(&row_enum, ""));
        CU_ASSERT_STRING_EQUAL(why.data, "is ''; give one of none, gzip, zstd");
        CU_ASSERT_EQUAL(num(&row_set, "compact"), 2);
        CU_ASSERT_EQUAL(num(&row_set, "compact, delete"), 3);
        CU_ASSERT(refused(&row_set, ""));
        CU_ASSERT(refused(&row_set, "compact,"));
        CU_ASSERT(refused(&row_set, "compact,shrink"));
}

static void test_ratio(void)
{
        struct conf_value v;

        CU_ASSERT_EQUAL(parse(&row_ratio, "0.25", &v), 0);
        CU_ASSERT_DOUBLE_EQUAL(v.r, 0.25, 0);
        CU_ASSERT(refused(&row_ratio, "1.01"));
        CU_ASSERT(refused(&row_ratio, "-0.1"));
        CU_ASSERT(refused(&row_ratio, "nan"));
        CU_ASSERT(refused(&row_ratio, "0.5x"));
        CU_ASSERT(refused(&row_ratio, ""));
}

static void test_text(void)
{
        struct conf_value v;

        CU_ASSERT_EQUAL(parse(&row_name, "rack-1.b", &v), 0);
        CU_ASSERT_STRING_EQUAL(v.s, "rack-1.b");
        CU_ASSERT(refused(&row_name, "rack 1"));
        CU_ASSERT(refused(&row_name, "123456789"));
        CU_ASSERT_EQUAL(parse(&row_path, "/var/lib/a b", &v), 0);
        CU_ASSERT(refused(&row_path, "/var\nlib"));
        CU_ASSERT_PTR_NULL(strchr(why.data, '\n')); /* what an error shows stays on its line */
        CU_ASSERT_EQUAL(parse(&row_who, "User:a; User:CN=b,O=c:d;", &v), 0);
        CU_ASSERT_EQUAL(parse(&row_who, "", &v), 0);
        CU_ASSERT(refused(&row_who, "a"));
        CU_ASSERT(refused(&row_who, "User:a;b"));
        CU_ASSERT(refused(&row_who, "User:"));
        CU_ASSERT(refused(&row_who, ":a"));
        CU_ASSERT_EQUAL(parse(&row_thr, "0:1,1:2, 3:4", &v), 0);
        CU_ASSERT_EQUAL(parse(&row_thr, "*", &v), 0);
        CU_ASSERT_EQUAL(parse(&row_thr, "", &v), 0);
        CU_ASSERT(refused(&row_thr, "0:1,"));
        CU_ASSERT(refused(&row_thr, "0:1,2"));
        CU_ASSERT(refused(&row_thr, "0:-1"));
}

static void check_addr(const char *text, const char *host, unsigned port)
{
        struct conf_value v;
        CLEANUP(strbuf_finip) struct strbuf back = { 0 };

        CU_ASSERT_EQUAL_FATAL(parse(&row_addr, text, &v), 0);
        CU_ASSERT_STRING_EQUAL(v.addr.host, host);
        CU_ASSERT_EQUAL(v.addr.port, port);
        conf_value_format(&row_addr, v, &back);
        CU_ASSERT_STRING_EQUAL(back.data, text);
}

static void test_addresses(void)
{
        struct conf_value v;

        check_addr("127.0.0.1:9092", "127.0.0.1", 9092);
        check_addr("[::1]:0", "::1", 0);
        check_addr("broker-1.example:65535", "broker-1.example", 65535);
        CU_ASSERT(refused(&row_addr, "9092"));
        CU_ASSERT(refused(&row_addr, ":9092"));
        CU_ASSERT(refused(&row_addr, "host:"));
        CU_ASSERT(refused(&row_addr, "host:65536"));
        CU_ASSERT(refused(&row_addr, "host:-1"));
        CU_ASSERT(refused(&row_addr, "::1:9092")); /* ambiguous without brackets */
        CU_ASSERT(refused(&row_addr, "PLAINTEXT://host:9092"));
        CU_ASSERT(refused(&row_addr, ""));
        CU_ASSERT_EQUAL(parse(&row_addr0, "", &v), 0); /* only where empty is the default */
        CU_ASSERT_STRING_EQUAL(v.addr.host, "");
        CU_ASSERT(conf_host_is_wildcard("0.0.0.0") && conf_host_is_wildcard("::") && conf_host_is_wildcard(""));
        CU_ASSERT(conf_host_is_wildcard("0") && conf_host_is_wildcard("00.0.0.0") && conf_host_is_wildcard("0::0") &&
                  conf_host_is_wildcard("::ffff:0.0.0.0"));
        CU_ASSERT(!conf_host_is_wildcard("10.0.0.1") && !conf_host_is_wildcard("::1") &&
                  !conf_host_is_wildcard("0.example") && !conf_host_is_wildcard("::ffff:10.0.0.0"));
}

static void test_names(void)
{
        CU_ASSERT_EQUAL(conf_name_distance(STR_LIT("linger_ms"), STR_LIT("linger_ms")), 0);
        CU_ASSERT_EQUAL(conf_name_distance(STR_LIT("lniger_ms"), STR_LIT("linger_ms")), 1);
        CU_ASSERT_EQUAL(conf_name_distance(STR_LIT("linger"), STR_LIT("linger_ms")), 3);
        CU_ASSERT_EQUAL(conf_name_distance(STR_LIT(""), STR_LIT("abc")), 3);
        CU_ASSERT_EQUAL(conf_values_find("a|bc|d", STR_LIT("bc")), 1);
        CU_ASSERT_EQUAL(conf_values_find("a|bc|d", STR_LIT("b")), -1);
        CU_ASSERT(str_is_null(conf_values_at("a|bc|d", 3)));
}

static const struct unit_case cases[] = {
        { "numbers", test_numbers }, { "units", test_units },         { "words", test_words }, { "ratio", test_ratio },
        { "text", test_text },       { "addresses", test_addresses }, { "names", test_names },
};

int main(void)
{
        int r = unit_run("conf-row", cases, ARRAY_LEN(cases));

        strbuf_fini(&why);
        arena_fini(&mem);
        return r;
}
