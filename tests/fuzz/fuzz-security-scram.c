/* What a client may say before it is known: both messages of SCRAM, with a 0 between them, and a message of PLAIN. Nobody gets in: the
 * user is one whom nobody knows. */
#include <stdlib.h>

#include "security/plain.h"
#include "security/principal.h"
#include "security/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

static void scram(enum scram_mechanism m, struct span in)
{
        const uint8_t *zero = in.len ? memchr(in.data, 0, in.len) : NULL;
        struct span first = { in.data, zero ? (size_t)(zero - in.data) : in.len };
        CLEANUP(scram_freep) struct scram *s = scram_new(m);
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        uint8_t salt[SCRAM_SALT_LEN_MAX];
        struct scram_credential c;

        if (!s || scram_take_first(s, first))
                return;
        must(scram_user(s).len > 0 && scram_user(s).len <= PRINCIPAL_NAME_LEN_MAX);
        if (scram_decoy(m, span_of("seed", 4), scram_user(s), NULL, salt, &c) ||
            scram_challenge(s, &c, false, STR_LIT("nonce"), &out) || !zero)
                return;
        must(scram_take_final(s, span_of(zero + 1, in.len - first.len - 1), &out) != SCRAM_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct plain p;

        if (!size)
                return 0;
        if (data[0] % 3 == 2) {
                if (plain_read(span_of(data + 1, size - 1), &p) == PLAIN_OK)
                        must(p.user.len > 0 && p.password.len > 0);
        } else {
                scram(data[0] % 3 ? SCRAM_SHA_512 : SCRAM_SHA_256, span_of(data + 1, size - 1));
        }
        return 0;
}
