/* Goal: subjects become the names that Kafka gives them, and rules that cannot be read are refused with a reason. Method: rules and
 * names in pairs; the results are those of Kafka's SslPrincipalMapper. */
#include "security/mapping.h"
#include "unit.h"

#include <errno.h>

#define DN "CN=Duke,OU=ServiceUsers,O=Org,C=US"

static void expect(const char *rules, const char *name, const char *wanted)
{
        CLEANUP(mapping_freep) struct mapping *m = NULL;
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        char why[MAPPING_WHY_SIZE] = "";
        int r;

        CU_ASSERT_EQUAL(mapping_new(str_of(rules), &m, why), 0);
        if (!m) {
                fprintf(stderr, "%s: %s\n", rules, why);
                return;
        }
        r = mapping_apply(m, str_of(name), &out);
        CU_ASSERT_EQUAL(r, wanted ? 0 : -ENOENT);
        CU_ASSERT_EQUAL(out.len, wanted ? strlen(wanted) : 0);
        if (wanted && (!out.data || strcmp(out.data, wanted))) {
                fprintf(stderr, "%s of %s: %s\n", rules, name, out.data ? out.data : "nothing");
                CU_FAIL("another name");
        }
}

static void test_maps(void)
{
        expect("DEFAULT", DN, DN);
        expect("RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/", DN, "Duke");
        expect("RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L", DN, "duke");
        expect("RULE:^CN=(.*?),OU=ServiceUsers.*$/$1@$2/U", DN, "DUKE@$2");
        expect("RULE:^CN=(.*?),OU=Other.*$/$1/", DN, NULL);
        expect("RULE:^CN=(.*?),OU=Other.*$/$1/, RULE:^cn=(.*?)$/$1/, DEFAULT", DN, DN);
        expect(" RULE:^CN=([^,]*),OU=([^,]*),.*$/$2-$1/L ,DEFAULT", DN, "serviceusers-duke");
        expect("RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L,DEFAULT", DN, "duke");
        expect("RULE:.*/$0/", "a", "a"); /* also the empty match behind it */
        expect("RULE:.*/x/", "abc", "xx");
        expect("RULE:^CN=(.*?)/$1/", "CN=ab", "ab"); /* matched as a whole, replaced as found */
        expect("RULE:(a)(b)?.*/[$1$2$10]/", "a", "[aa0]");
        expect("RULE:^(.*)\\/(.*)$/$2\\/$1\\$/", "a/b", "b/a$");
        expect("RULE:^CN=(.*)$/\\x$1/", "CN=\xc3\xa9", "x\xc3\xa9");
        expect("DEFAULT,", DN, DN);
}

static void refuse(const char *rules, const char *wanted)
{
        struct mapping *m = NULL;
        char why[MAPPING_WHY_SIZE] = "";

        CU_ASSERT_EQUAL(mapping_new(str_of(rules), &m, why), -EINVAL);
        CU_ASSERT_STRING_EQUAL(why, wanted);
        CU_ASSERT_PTR_NULL(m);
}

static void test_refuses(void)
{
        refuse("", "there is no rule; give DEFAULT to take subjects as they are");
        refuse("RULE:^CN=(.*?)/$1", "a rule is RULE:PATTERN/REPLACEMENT/, with a '/' behind each of the two");
        refuse("RULE:a(/b/", "the pattern 'a(' cannot be read: missing closing parenthesis at character 3");
        refuse("RULE:a/$x/", "the replacement '$x' has a $ without the number of a group, or a \\ at its end");
        refuse("RULE:a/b/LU", "'U' is neither DEFAULT nor a RULE:, with a comma behind it");
        refuse("DEFAULTRULE:a/b/", "'RULE:a/b/' is neither DEFAULT nor a RULE:, with a comma behind it");
        refuse("nobody", "'nobody' is neither DEFAULT nor a RULE:, with a comma behind it");
}

static void test_gives_up_in_time(void)
{
        char name[2000];

        memset(name, 'a', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        expect("RULE:(a+)+b/$1/", name, NULL);
}

static const struct unit_case cases[] = {
        { "subjects and names", test_maps },
        { "rules that cannot be read", test_refuses },
        { "an expression that takes for ever", test_gives_up_in_time },
};
UNIT_MAIN("mapping of subjects", cases)
