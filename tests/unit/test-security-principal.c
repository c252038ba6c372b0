/* Goal: names of principals are taken apart as Kafka does, and what names nobody is refused. Method: by example. */
#include <errno.h>

#include "security/principal.h"
#include "unit.h"

static void test_parses_type_and_name(void)
{
        struct principal *p = NULL, *q = NULL, *anonymous = principal_anonymous();

        CU_ASSERT_EQUAL_FATAL(principal_parse(STR_LIT("User:CN=a:b"), &p), 0);
        CU_ASSERT(str_equal(p->type, STR_LIT("User")));
        CU_ASSERT(str_equal(p->name, STR_LIT("CN=a:b")));
        CU_ASSERT_EQUAL_FATAL(principal_new(STR_LIT("User"), STR_LIT("CN=a:b"), &q), 0);
        CU_ASSERT(principal_equals(p, q));
        CU_ASSERT(!principal_equals(p, anonymous));
        principal_unref(q);
        principal_unref(principal_ref(p));
        principal_unref(p);
        principal_unref(anonymous);
}

static void test_refuses_what_names_nobody(void)
{
        struct principal *p = NULL;

        CU_ASSERT_EQUAL(principal_parse(STR_LIT("alice"), &p), -EINVAL);
        CU_ASSERT_EQUAL(principal_parse(STR_LIT("User:"), &p), -EINVAL);
        CU_ASSERT_EQUAL(principal_parse(STR_LIT(":alice"), &p), -EINVAL);
        CU_ASSERT_EQUAL(principal_parse(STR_NULL, &p), -EINVAL);
        char name[PRINCIPAL_NAME_LEN_MAX + 1];
        memset(name, 'a', sizeof(name));
        CU_ASSERT_EQUAL(principal_new(STR_LIT("User"), (struct str){ name, sizeof(name) }, &p), -EINVAL);
        CU_ASSERT_PTR_NULL(p);
}

static const struct unit_case cases[] = {
        { "type and name", test_parses_type_and_name },
        { "names of nobody", test_refuses_what_names_nobody },
};
UNIT_MAIN("principals", cases)
