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
        { { { [QUOTA_CLIENT_ID] = { true, { "app", 3 } }, [QUOTA_USER] = { true, { NULL, 0 } } } },
          "client-id=app,user" },
        { { { [QUOTA_CLIENT_ID] = { true, { NULL, 0 } }, [QUOTA_USER] = { true, { "me", 2 } } } },
          "client-id,user=me" },
        { { { [QUOTA_IP] = { true, { NULL, 0 } } } }, "ip" },
        { { { [QUOTA_IP] = { true, { "10.0.0.1", 8 } } } }, "ip=10.0.0.1" },
        { { { [QUOTA_IP] = { true, { "fe80::1", 7 } } } }, "ip=fe80::1" },
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
        static const char *const bad[] = { "",           ",",
                                           "user,",      ",user",
                                           "user,user",  "client",
                                           "client-ids", "user=%",
                                           "user=%2",    "user=%zz",
                                           "user=%2c",   "ip=10.0.0",
                                           "user=a,",    "client-id,user,client-id",
                                           "ip,user",    "client-id=a,ip=10.0.0.1",
                                           "ip=",        "ip=localhost",
                                           "ip=0:0::1",  "user=" };
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

/* NULL: not named; "*": the default. */
static struct quota_entity entity(const char *client_id, const char *ip, const char *user)
{
        const char *const names[] = { [QUOTA_CLIENT_ID] = client_id, [QUOTA_IP] = ip, [QUOTA_USER] = user };
        struct quota_entity e = { 0 };

        for (int i = 0; i < QUOTA_PARTS; i++)
                if (names[i])
                        e.parts[i] = (struct quota_entity_part){ true, *names[i] == '*' ? STR_NULL : str_of(names[i]) };
        return e;
}

static void test_entities(void)
{
        static const struct {
                const char *client_id, *ip, *user, *ip_then; /* "*": the default */
        } rows[] = {
                { "a", NULL, NULL, NULL },          { "*", NULL, "*", NULL },
                { NULL, "*", NULL, "*" },           { NULL, "127.0.0.1", NULL, "127.0.0.1" },
                { NULL, "10.1", NULL, "10.0.0.1" }, { NULL, "0:0:0:0:0:0:0:1", NULL, "::1" },
                { NULL, "::1", NULL, "::1" },       { NULL, "::ffff:10.0.0.1", NULL, "10.0.0.1" },
        };
        static const struct {
                const char *client_id, *ip, *user;
        } bad[] = {
                { NULL, NULL, NULL },
                { "a", "*", NULL },
                { NULL, "127.0.0.1", "*" },
                { "", NULL, NULL },
                { NULL, "", NULL },
                { NULL, "localhost", NULL },
                { NULL, "[::1]", NULL },
                { NULL, "10.0.0.0/8", NULL },
                { NULL, "fe80::1%lo", NULL },
                { NULL, "1111111111111111111111111111111111111111111111111111111111111111111111111111111111", NULL },
        };
        CLEANUP(arena_fini) struct arena a = { 0 };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct quota_entity e = entity(rows[i].client_id, rows[i].ip, rows[i].user);

                CU_ASSERT_PTR_NULL(quota_entity_check(&e, &a));
                CU_ASSERT_EQUAL(e.parts[QUOTA_IP].is_set, !!rows[i].ip_then);
                if (rows[i].ip_then && *rows[i].ip_then != '*')
                        CU_ASSERT(str_equal_c(e.parts[QUOTA_IP].name, rows[i].ip_then));
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct quota_entity e = entity(bad[i].client_id, bad[i].ip, bad[i].user);

                CU_ASSERT_PTR_NOT_NULL(quota_entity_check(&e, &a));
        }
}

static int validate(const char *name, const char *key, const char *value)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int r = quota_validate(str_of(name), str_of(key), str_of(value), &why);

        CU_ASSERT_EQUAL(!r, !why.len);
        return r;
}

static void test_values(void)
{
        static const char *const bad[] = { "",      "0",   "-1", "nan", "inf",
                                           "1e999", "ten", "1 ", "1x",  "1000000000000000000000000000000000" };

        for (int k = 0; k < QUOTA_KEYS; k++) {
                const char *name = k == QUOTA_CONNECTION ? "ip" : "user=u";
                int large = k == QUOTA_CONNECTION ? CONF_E_INVALID : 0;
                int fraction =
                        k == QUOTA_PRODUCE || k == QUOTA_FETCH ? CONF_E_INVALID : large; /* half a byte is none */

                CU_ASSERT_EQUAL(validate(name, quota_key_name(k), "5"), 0);
                CU_ASSERT_EQUAL(validate(name, quota_key_name(k), "0.5"), fraction);
                CU_ASSERT_EQUAL(validate(name, quota_key_name(k), "1.7976931348623157e+308"), large);
                for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                        CU_ASSERT_EQUAL(validate(name, quota_key_name(k), bad[i]), CONF_E_INVALID);
                CU_ASSERT_EQUAL(
                        validate(k == QUOTA_CONNECTION ? "client-id=ip" : "ip=10.0.0.1", quota_key_name(k), "1"),
                        CONF_E_UNKNOWN);
        }
        CU_ASSERT_EQUAL(validate("ip", "connection_creation_rate", "2147483647"), 0);
        CU_ASSERT_EQUAL(validate("ip", "connection_creation_rate", "2147483648"), CONF_E_INVALID);
        CU_ASSERT_EQUAL(validate("ip", "no_such_rate", "1"), CONF_E_UNKNOWN);
        CU_ASSERT_EQUAL(quota_value(STR_LIT("1234.5")), 1234.5);
}

static const struct unit_case cases[] = {
        { "names", test_names },
        { "bad names", test_bad_names },
        { "entities", test_entities },
        { "values", test_values },
};

UNIT_MAIN("conf-quota", cases)
