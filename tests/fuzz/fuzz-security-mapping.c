/* Rules from a certificate's subject to a name, and a subject behind a 0. What a rule makes of it is the same each time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "security/mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
        struct str rules = { (const char *)data, zero ? (size_t)(zero - data) : size };
        struct str subject = zero ? (struct str){ (const char *)zero + 1, size - rules.len - 1 } : STR_LIT("CN=a,OU=b");
        CLEANUP(mapping_freep) struct mapping *m = NULL;
        CLEANUP(strbuf_finip) struct strbuf out = { 0 }, again = { 0 };
        char why[MAPPING_WHY_SIZE] = "";
        int r = mapping_new(rules, &m, why);

        if (r) {
                must(!m && (r == -ENOMEM || (r == -EINVAL && *why && memchr(why, '\0', sizeof why))));
                return 0;
        }
        r = mapping_apply(m, subject, &out);
        must(!r || r == -ENOENT);
        must(mapping_apply(m, subject, &again) == r);
        must(r || (out.len == again.len && (!out.len || !memcmp(out.data, again.data, out.len))));
        return 0;
}
