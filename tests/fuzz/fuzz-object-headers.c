/* Header lines of an object store's answer, and a file of credentials: the first byte chooses. */
#include <stdlib.h>

#include "object/answer.h"
#include "object/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

static void read_headers(struct str text)
{
        struct object_answer a;

        object_answer_init(&a);
        while (text.len) {
                const char *end = memchr(text.p, '\n', text.len);
                size_t len = end ? (size_t)(end - text.p) + 1 : text.len;

                object_answer_header(&a, (struct str){ text.p, len });
                text.p += len;
                text.len -= len;
        }
        must(a.content_len >= -1 && a.range_total >= -1 && a.range_first <= a.range_last);
        must(a.range_total < 0 || a.range_last < a.range_total);
        must(strlen(a.etag) < sizeof a.etag && strlen(a.put_id) < sizeof a.put_id &&
             strlen(a.request_id) < sizeof a.request_id);
        must(a.retry_after_ms >= -1 && a.retry_after_ms <= 86400000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct str text = { (const char *)data + 1, size - 1 };
        struct object_credentials c;

        if (!size)
                return 0;
        if (data[0] & 1)
                read_headers(text);
        else if (!object_credentials_parse(text, data[0] & 2 ? "backup" : NULL, &c))
                must((*c.access_key && *c.secret_key) || *c.token);
        return 0;
}
