/* Messages between controllers, and from and to observers, on any bytes: the first says which message, the rest is its body.
 * What is accepted can be written again in as many bytes as its size says; entries in it are read without passing their end. */
#include <assert.h>
#include <stdlib.h>

#include "quorum/peer_quorum.h"
#include "quorum/qlog_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct span entries)
{
        size_t pos = 0, n;
        struct qlog_entry e;
        int64_t group;

        while (pos < entries.len && (n = qlog_entry_read(entries, pos, &e, &group))) {
                assert(n <= entries.len - pos);
                pos += n;
        }
}

#define TRY(NAME, after) \
        do { \
                struct NAME m; \
                if (!NAME##_decode(&m, &c, 0, &mem)) { \
                        size_t len = NAME##_size(&m, 0); \
                        uint8_t *bytes = malloc(len + 1); \
                        struct writer w = writer_of(bytes, len); \
                        assert(bytes); \
                        NAME##_encode(&m, &w, 0); \
                        assert(writer_pos(&w) == len); \
                        after; \
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
        arena_init(&mem, 1 << 24);
        switch (data[0] % 12) {
        case 0:
                TRY(quorum_raft_request, walk(m.entries));
                break;
        case 1:
                TRY(quorum_raft_response, );
                break;
        case 2:
                TRY(quorum_hello_request, );
                break;
        case 3:
                TRY(quorum_hello_response, );
                break;
        case 4:
                TRY(quorum_snapshot_request, );
                break;
        case 5:
                TRY(quorum_snapshot_response, );
                break;
        case 6:
                TRY(quorum_fetch_request, );
                break;
        case 7:
                TRY(quorum_fetch_response, walk(m.entries));
                break;
        case 8:
                TRY(quorum_fetch_snapshot_request, );
                break;
        case 9:
                TRY(quorum_fetch_snapshot_response, );
                break;
        case 10:
                TRY(quorum_observers_request, );
                break;
        case 11:
                TRY(quorum_voters, );
                break;
        }
        arena_fini(&mem);
        return 0;
}
