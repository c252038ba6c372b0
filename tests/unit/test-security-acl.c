/* Goal: only rules that Kafka takes are taken, and filters mean the rules that Kafka's mean. Method: by example. */
#include "security/acl.h"
#include "unit.h"

static struct meta_acl_entry rule(int type, int pattern, const char *name)
{
        return (struct meta_acl_entry){
                .resource_type = (int8_t)type,
                .pattern_type = (int8_t)pattern,
                .operation = ACL_READ,
                .permission = ACL_ALLOW,
                .resource_name = str_of(name),
                .principal = STR_LIT("User:alice"),
                .host = STR_LIT("*"),
        };
}

static void test_checks(void)
{
        struct meta_acl_entry e = rule(ACL_TOPIC, ACL_LITERAL, "t");

        CU_ASSERT_PTR_NULL(acl_check(&e));
#define REFUSED(set) \
        do { \
                e = rule(ACL_TOPIC, ACL_LITERAL, "t"); \
                set; \
                CU_ASSERT_PTR_NOT_NULL(acl_check(&e)); \
        } while (0)
        REFUSED(e.resource_type = ACL_RESOURCE_ANY);
        REFUSED(e.resource_type = ACL_RESOURCES_END);
        REFUSED(e.resource_type = -1);
        REFUSED(e.pattern_type = ACL_PATTERN_MATCH);
        REFUSED(e.pattern_type = ACL_PATTERN_ANY);
        REFUSED(e.operation = ACL_OPERATION_ANY);
        REFUSED(e.operation = ACL_OPERATIONS_END);
        REFUSED(e.permission = ACL_PERMISSION_ANY);
        REFUSED(e.resource_name = STR_LIT(""));
        REFUSED(e.principal = STR_LIT("alice"));
        REFUSED(e.principal = STR_LIT(""));
        REFUSED(e.host = STR_LIT(""));
        REFUSED(e.resource_type = ACL_CLUSTER);
#undef REFUSED
        e = rule(ACL_CLUSTER, ACL_LITERAL, ACL_CLUSTER_NAME);
        CU_ASSERT_PTR_NULL(acl_check(&e));
}

static bool means(int type, int pattern, const char *name, struct meta_acl_entry e)
{
        struct acl_filter f = {
                .resource_type = (int8_t)type,
                .pattern_type = (int8_t)pattern,
                .operation = ACL_OPERATION_ANY,
                .permission = ACL_PERMISSION_ANY,
                .resource_name = str_of(name),
        };

        return acl_filter_matches(&f, &e);
}

static void test_patterns(void)
{
        struct meta_acl_entry literal = rule(ACL_TOPIC, ACL_LITERAL, "foo"), all = rule(ACL_TOPIC, ACL_LITERAL, "*"),
                              prefix = rule(ACL_TOPIC, ACL_PREFIXED, "fo");

        CU_ASSERT(means(ACL_RESOURCE_ANY, ACL_PATTERN_ANY, NULL, literal));
        CU_ASSERT(!means(ACL_GROUP, ACL_PATTERN_ANY, NULL, literal));
        CU_ASSERT(means(ACL_TOPIC, ACL_LITERAL, "foo", literal));
        CU_ASSERT(!means(ACL_TOPIC, ACL_LITERAL, "foo", all));
        CU_ASSERT(means(ACL_TOPIC, ACL_LITERAL, "*", all));
        CU_ASSERT(!means(ACL_TOPIC, ACL_LITERAL, "fo", prefix));
        CU_ASSERT(means(ACL_TOPIC, ACL_PREFIXED, "fo", prefix));
        CU_ASSERT(!means(ACL_TOPIC, ACL_PREFIXED, "foo", prefix));
        CU_ASSERT(means(ACL_TOPIC, ACL_PATTERN_ANY, "fo", prefix));
        CU_ASSERT(!means(ACL_TOPIC, ACL_PATTERN_ANY, "foo", prefix));
        CU_ASSERT(means(ACL_TOPIC, ACL_PATTERN_MATCH, "foo", literal));
        CU_ASSERT(means(ACL_TOPIC, ACL_PATTERN_MATCH, "foo", all));
        CU_ASSERT(means(ACL_TOPIC, ACL_PATTERN_MATCH, "foo", prefix));
        CU_ASSERT(!means(ACL_TOPIC, ACL_PATTERN_MATCH, "f", prefix));
        CU_ASSERT(!means(ACL_TOPIC, ACL_PATTERN_MATCH, "bar", literal));
        CU_ASSERT(means(ACL_TOPIC, ACL_PATTERN_MATCH, NULL, prefix));
}

static void test_entries(void)
{
        struct meta_acl_entry e = rule(ACL_TOPIC, ACL_LITERAL, "foo");
        struct acl_filter f = {
                .resource_type = ACL_TOPIC,
                .pattern_type = ACL_LITERAL,
                .operation = ACL_READ,
                .permission = ACL_ALLOW,
                .principal = STR_LIT("User:alice"),
                .host = STR_LIT("*"),
        };

        CU_ASSERT(acl_filter_matches(&f, &e));
        f.principal = STR_LIT("User:*"); /* a name like any other here */
        CU_ASSERT(!acl_filter_matches(&f, &e));
        f.principal = STR_NULL;
        f.host = STR_LIT("10.0.0.1");
        CU_ASSERT(!acl_filter_matches(&f, &e));
        f.host = STR_NULL;
        f.operation = ACL_ALL;
        CU_ASSERT(!acl_filter_matches(&f, &e));
        f.operation = ACL_READ;
        f.permission = ACL_DENY;
        CU_ASSERT(!acl_filter_matches(&f, &e));
        CU_ASSERT_PTR_NULL(acl_filter_check(&f));
        f.permission = 0;
        CU_ASSERT_PTR_NOT_NULL(acl_filter_check(&f));
}

static void test_names(void)
{
        CU_ASSERT_STRING_EQUAL(acl_operation_name(ACL_IDEMPOTENT_WRITE), "IDEMPOTENT_WRITE");
        CU_ASSERT_STRING_EQUAL(acl_resource_name(-1), "?");
        CU_ASSERT_EQUAL(acl_operation_of(STR_LIT("two_phase_commit")), 15);
        CU_ASSERT_EQUAL(acl_resource_of(STR_LIT("Transactional_Id")), ACL_TRANSACTIONAL_ID);
        CU_ASSERT_EQUAL(acl_pattern_of(STR_LIT("prefixed")), ACL_PREFIXED);
        CU_ASSERT_EQUAL(acl_permission_of(STR_LIT("nobody")), 0);
}

static const struct unit_case cases[] = {
        { "what a rule may say", test_checks },
        { "filters by name", test_patterns },
        { "filters by entry", test_entries },
        { "names of numbers", test_names },
};
UNIT_MAIN("acl", cases)
