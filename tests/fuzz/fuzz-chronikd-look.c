/* What one node asks another about what it has, and the answer, on any bytes: the first byte says which. What is accepted is
 * written again in as many bytes as its size says, and read as the same. */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "chronikd/peer_look.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRY(NAME, same) \
        do { \
                struct NAME m, again; \
                if (!NAME##_decode(&m, &c, 0, &mem)) { \
                        size_t len = NAME##_size(&m, 0); \
                        uint8_t *bytes = malloc(len + 1); \
                        struct writer w = writer_of(bytes, len); \
                        struct cursor back = cursor_of(span_of(bytes, len)); \
                        assert(bytes); \
                        NAME##_encode(&m, &w, 0); \
                        assert(writer_pos(&w) == len); \
                        assert(!NAME##_decode(&again, &back, 0, &mem) && !cursor_left(&back)); \
                        assert(same); \
                        free(bytes); \
                } \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cursor c;
        struct arena mem;

        if (!size)
                return 0;
        c = cursor_of(span_of(data + 1, size - 1));
        arena_init(&mem, 1 << 20);
        if (data[0] % 2)
                TRY(peer_look_request, str_equal(m.path, again.path));
        else
                TRY(peer_look_response, m.status == again.status && span_equal(m.body, again.body));
        arena_fini(&mem);
        return 0;
}
