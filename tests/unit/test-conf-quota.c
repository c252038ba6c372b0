/* Goal: the names under which quotas are kept can be read back, and every other name and value is refused. Method: tables. */
#include <string.h>

#include "conf/conf.h"
#include "conf/quota.h"
#include "unit.h"

static const struct {
        struct quota_entity e;
        const char *name;
} entities[] = {
        { { { [QUOTA_CLIENT_ID] = { true, { "app", 3 } } } }, "client-id=app" },
        { { { [QUOTA_CLIENT_ID] = { true, { NULL, 0 } } } }, "client-id" },
        { { { [QUOTA_USER] = { true, { NULL, 0 } } } }, "user" },
        { { { { true, { "app", 3 } }, { true, { NULL, 0 } } } }, "client-id=app,user" },
        { { { { true, { NULL, 0 } }, { true, { "me", 2 } } } }, "client-id,user=me" },
        { { { [QUOTA_USER] = { true, { "a,b=100%", 8 } } } }, "user=a%2Cb=100%25" },
};

static void test_names(void)
{
        for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
                CLEANUP(arena_fini) struct arena a = { 0 };
                struct str name = quota_entity_format(&entities[i].e, &a);
                struct quota_entity back;

                CU_ASSERT(str_equal_c(name, entities[i].name));
                CU_ASSERT_FATAL(quota_entity_parse(name, &a, &back));
                for (int k = 0; k < QUOTA_PARTS; k++) {
                        CU_ASSERT_EQUAL(back.parts[k].is_set, entities[i].e.parts[k].is_set);
                        CU_ASSERT_EQUAL(str_is_null(back.parts[k].name), str_is_null(entities[i].e.parts[k].name));
                        CU_ASSERT(str_is_null(back.parts[k].name) ||
                                  str_equal(back.parts[k].name, entities[i].e.parts[k].name));
                }
        }
}

static void test_bad_names(void)
{
        static const char *const bad[] = {
                "",       ",",       "user,",    ",user",    "user,user",   "client",  "client-ids",
                "user=%", "user=%2", "user=%zz", "user=%2c", "ip=10.0.0.1", "user=a,", "client-id,user,client-id"
        };
        CLEANUP(arena_fini) struct arena a = { 0 };
        struct quota_entity e = { 0 };
        char text[QUOTA_NAME_LEN_MAX + 1];

        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CU_ASSERT_FALSE(quota_entity_parse(str_of(bad[i]), &a, &e));
        e = (struct quota_entity){ 0 };
        CU_ASSERT(str_is_null(quota_entity_format(&e, &a)));
        memset(text, 'x', sizeof text);
        e.parts[QUOTA_USER] = (struct quota_entity_part){ true, { text, QUOTA_NAME_LEN_MAX - strlen("user=") } };
        CU_ASSERT_FALSE(str_is_null(quota_entity_format(&e, &a)));
        e.parts[QUOTA_USER].name.len++;
        CU_ASSERT(str_is_null(quota_entity_format(&e, &a)));
}

static int validate(const char *key, const char *value)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = quota_validate(str_of(key), str_of(value), &why);

        CU_ASSERT_EQUAL(!r, !why.len);
        return r;
}

static void test_values(void)
{
        static const char *const bad[] = { "",      "0",   "-1", "nan", "inf",
                                           "1e999", "ten", "1 ", "1x",  "1000000000000000000000000000000000" };

        for (int k = 0; k < QUOTA_KEYS; k++) {
                CU_ASSERT_EQUAL(validate(quota_key_name(k), "0.5"), 0);
                CU_ASSERT_EQUAL(validate(quota_key_name(k), "1.7976931348623157e+308"), 0);
                for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                        CU_ASSERT_EQUAL(validate(quota_key_name(k), bad[i]), CONF_E_INVALID);
        }
        CU_ASSERT_EQUAL(validate("connection_creation_rate", "1"), CONF_E_UNKNOWN);
        CU_ASSERT_EQUAL(quota_value(STR_LIT("1234.5")), 1234.5);
}

static const struct unit_case cases[] = {
        { "names", test_names },
        { "bad names", test_bad_names },
        { "values", test_values },
};

UNIT_MAIN("conf-quota", cases)
