/* Distinguished names as text, to the letter as Java's X500Principal.getName() gives them: rules that map them to users are written
 * for that. Sources: RFC 2253; what it leaves open is done as the JDK does it. */
#include <errno.h>
#include <stdio.h>

#include <openssl/x509.h>

#include "net/tls_internal.h"

/* The nine attributes that have a word in RFC 2253; others are numbers, and their values bytes. */
static const char *keyword(int nid)
{
        switch (nid) {
        case NID_commonName:
                return "CN";
        case NID_countryName:
                return "C";
        case NID_localityName:
                return "L";
        case NID_stateOrProvinceName:
                return "ST";
        case NID_organizationName:
                return "O";
        case NID_organizationalUnitName:
                return "OU";
        case NID_streetAddress:
                return "STREET";
        case NID_domainComponent:
                return "DC";
        case NID_userId:
                return "UID";
        default:
                return NULL;
        }
}

static bool is_text(int type)
{
        return type == V_ASN1_PRINTABLESTRING || type == V_ASN1_UTF8STRING || type == V_ASN1_T61STRING ||
               type == V_ASN1_IA5STRING || type == V_ASN1_GENERALSTRING || type == V_ASN1_BMPSTRING ||
               type == V_ASN1_UNIVERSALSTRING;
}

static void add_escaped(struct strbuf *out, const char *text, size_t len)
{
        size_t first = 0, last = len;

        while (first < len && (text[first] == ' ' || text[first] == '\r'))
                first++;
        while (last > first && (text[last - 1] == ' ' || text[last - 1] == '\r'))
                last--;
        for (size_t i = 0; i < len; i++) {
                if (!text[i]) {
                        strbuf_add_c(out, "\\00");
                        continue;
                }
                if (i < first || i >= last || strchr(",=+<>#;\"\\", text[i]))
                        strbuf_add_c(out, "\\");
                strbuf_add(out, text + i, 1);
        }
}

static int add_bytes(struct strbuf *out, const ASN1_STRING *value)
{
        ASN1_TYPE type = { .type = ASN1_STRING_type(value), .value.asn1_string = (ASN1_STRING *)(uintptr_t)value };
        uint8_t *der = NULL;
        int len = i2d_ASN1_TYPE(&type, &der);

        if (len < 0)
                return -EINVAL;
        strbuf_add_c(out, "#");
        for (int i = 0; i < len; i++)
                strbuf_printf(out, "%02x", der[i]);
        OPENSSL_free(der);
        return 0;
}

static int add_attribute(struct strbuf *out, const X509_NAME_ENTRY *e)
{
        const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(e);
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(e);
        const char *word = keyword(OBJ_obj2nid(object));
        uint8_t *text = NULL;
        char number[128];
        int len;

        len = word ? snprintf(number, sizeof number, "%s", word) : OBJ_obj2txt(number, sizeof number, object, 1);
        if (len <= 0 || len >= (int)sizeof number)
                return -EINVAL;
        strbuf_printf(out, "%s=", number);
        if (!word || !is_text(ASN1_STRING_type(value)))
                return add_bytes(out, value);
        len = ASN1_STRING_to_UTF8(&text, value);
        if (len < 0)
                return -EINVAL;
        add_escaped(out, (const char *)text, (size_t)len);
        OPENSSL_free(text);
        return 0;
}

/* The last part comes first; those that belong together keep their order. */
int tls_name_add(const X509_NAME *name, struct strbuf *out)
{
        int count = X509_NAME_entry_count(name), r = 0;

        for (int end = count; end > 0 && !r;) {
                int begin = end - 1;

                while (begin > 0 && X509_NAME_ENTRY_set(X509_NAME_get_entry(name, begin - 1)) ==
                                            X509_NAME_ENTRY_set(X509_NAME_get_entry(name, end - 1)))
                        begin--;
                for (int i = begin; i < end && !r; i++) {
                        if (i > begin)
                                strbuf_add_c(out, "+");
                        else if (end < count)
                                strbuf_add_c(out, ",");
                        r = add_attribute(out, X509_NAME_get_entry(name, i));
                }
                end = begin;
        }
        return !r && out->failed ? -ENOMEM : r;
}
