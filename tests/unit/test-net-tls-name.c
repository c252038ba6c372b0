/* Goal: subjects are written to the letter as Java's X500Principal.getName() writes them, because mapping rules are made for that.
 * Method: names built part by part; what is expected is what Java printed. */
#include "net/tls_internal.h"
#include "unit.h"

static void add(X509_NAME *name, const char *field, const char *text, bool beside)
{
        CU_ASSERT_EQUAL_FATAL(
                X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const uint8_t *)text, -1, -1, beside ? -1 : 0),
                1);
}

static void test_writes_what_java_writes(void)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        X509_NAME *name = X509_NAME_new();

        CU_ASSERT_PTR_NOT_NULL_FATAL(name);
        add(name, "C", "DE", false);
        add(name, "ST", "A+B", false);
        add(name, "L", " lead and trail  ", false);
        add(name, "O", "a,b=c;d\"e\\f<g>h#i", false);
        add(name, "CN", "\xc3\xbc", false);
        add(name, "OU", "one", true);
        add(name, "DC", "example", false);
        add(name, "UID", "u1", false);
        add(name, "emailAddress", "a@b", false);
        add(name, "serialNumber", "12", false);
        add(name, "street", "s t", false);
        add(name, "title", "T", false);
        add(name, "CN", "#x", false);
        CU_ASSERT_EQUAL(tls_name_add(name, &out), 0);
        CU_ASSERT_STRING_EQUAL(
                out.data,
                "CN=\\#x,2.5.4.12=#0c0154,STREET=s t,2.5.4.5=#13023132,1.2.840.113549.1.9.1=#1603614062,UID=u1,"
                "DC=example,CN=\xc3\xbc+OU=one,O=a\\,b\\=c\\;d\\\"e\\\\f\\<g\\>h\\#i,"
                "L=\\ lead and trail\\ \\ ,ST=A\\+B,C=DE");
        X509_NAME_free(name);
}

static void test_writes_an_empty_name(void)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        X509_NAME *name = X509_NAME_new();

        CU_ASSERT_EQUAL(tls_name_add(name, &out), 0);
        CU_ASSERT_EQUAL(out.len, 0);
        X509_NAME_free(name);
}

static const struct unit_case cases[] = {
        { "what Java writes", test_writes_what_java_writes },
        { "an empty name", test_writes_an_empty_name },
};
UNIT_MAIN("names of certificates", cases)
