/* Messages between followers and leaders on any bytes: they decode or are malformed; what decodes is encoded again, and
 * decodes to the same. The first byte says which message. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "replica/peer_replica.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AGAIN(NAME) \
        do { \
                struct arena arena; \
                struct cursor c = cursor_of(span_of(data + 1, size - 1)); \
                struct NAME m, m2; \
                int r; \
                arena_init(&arena, 64 * size + 65536); \
                r = NAME##_decode(&m, &c, 0, &arena); \
                assert(r == WIRE_OK || r == WIRE_E_MALFORMED || r == -ENOMEM); \
                if (!r) { \
                        size_t len = NAME##_size(&m, 0); \
                        uint8_t *out = malloc(len + 1), *out2 = malloc(len + 1); \
                        struct writer w = writer_of(out, len); \
                        NAME##_encode(&m, &w, 0); \
                        assert(writer_pos(&w) == len); \
                        c = cursor_of(span_of(out, len)); \
                        assert(!NAME##_decode(&m2, &c, 0, &arena) && !cursor_left(&c)); \
                        assert(NAME##_size(&m2, 0) == len); \
                        w = writer_of(out2, len); \
                        NAME##_encode(&m2, &w, 0); \
                        assert(!memcmp(out, out2, len)); \
                        free(out); \
                        free(out2); \
                } \
                arena_fini(&arena); \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;
        switch (data[0] & 3) {
        case 0:
                AGAIN(replica_fetch_request);
                break;
        case 1:
                AGAIN(replica_fetch_response);
                break;
        case 2:
                AGAIN(replica_read_request);
                break;
        default:
                AGAIN(replica_read_response);
        }
        return 0;
}
