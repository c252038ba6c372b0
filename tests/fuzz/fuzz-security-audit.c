/* An audit log from whoever has it: lines, the first of them what must be there. What is found to be whole was signed by the key that it
 * names. */
#include <stdlib.h>

#include "security/audit_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct str text = { (const char *)data, size };
        struct audit_check c = { 0 };
        enum audit_fault fault = AUDIT_WHOLE;
        bool is_first = true;

        while (text.len && !fault) {
                const char *end = memchr(text.p, '\n', text.len);
                struct str line = { text.p, end ? (size_t)(end - text.p) : text.len };

                if (is_first && audit_head_read(line, &c.head) == AUDIT_WHOLE)
                        c.has_head = true;
                else
                        fault = audit_check_line(&c, line);
                is_first = false;
                text = (struct str){ text.p + line.len + (end != NULL), text.len - line.len - (end != NULL) };
        }
        must(!c.entries || (c.has_key && c.signed_to >= c.first && c.chain.seq == c.first + c.entries - 1));
        if (!fault && audit_check_end(&c) == AUDIT_WHOLE && c.has_head)
                must(c.chain.seq >= c.head.last);
        return 0;
}
