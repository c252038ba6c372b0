/* The file of operators' tokens, and what somebody shows as a token, behind a 0. What is read has each name once, and finds nobody by a
 * token whose hash is not in the file. */
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "security/operators.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
        struct str file = { (const char *)data, zero ? (size_t)(zero - data) : size };
        struct str token = zero ? (struct str){ (const char *)zero + 1, size - file.len - 1 } : STR_LIT("");
        CLEANUP(operators_freep) struct operators *o = NULL;
        char why[OPERATORS_WHY_SIZE] = "", hash[OPERATOR_HASH_SIZE];
        enum operator_role role;
        const char *name = NULL;
        int r = operators_read(file, &o, why);

        if (r) {
                must(!o && *why && memchr(why, '\0', sizeof why) && !memchr(why, '\n', strlen(why)));
                return 0;
        }
        role = operators_find(o, token, &name);
        must((role == OPERATOR_NOBODY) == !name);
        operator_token_hash(token, hash);
        if (role != OPERATOR_NOBODY)
                must(role <= OPERATOR_ADMIN && operator_name_is_valid(str_of(name)) &&
                     memmem(file.p, file.len, name, strlen(name)));
        else
                must(!file.len || !memmem(file.p, file.len, hash, strlen(hash)) || memchr(file.p, '#', file.len));
        return 0;
}
