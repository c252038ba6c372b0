/* The members of the group, as an entry of the log and as the file, on any bytes: what is accepted can be written, and is then
 * the same. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "quorum/voters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct span payload)
{
        struct voters v, again;
        struct raft_members members;
        uint8_t *bytes;
        size_t len;

        if (voters_decode(payload, &v))
                return;
        assert(v.count >= 1 && v.count <= RAFT_MEMBERS_MAX && v.expected_count <= RAFT_MEMBERS_MAX);
        voters_members(&v, &members);
        assert(raft_members_find(&members, v.at[0].raft.id.node));
        assert(!voters_encode(&v, &bytes, &len));
        assert(!voters_decode(span_of(bytes, len), &again));
        assert(again.count == v.count && again.expected_count == v.expected_count);
        for (uint32_t i = 0; i < v.count; i++)
                assert(raft_id_equal(v.at[i].raft.id, again.at[i].raft.id) &&
                       v.at[i].raft.is_voter == again.at[i].raft.is_voter &&
                       !strcmp(v.at[i].address, again.at[i].address));
        free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size + 1);
        struct voters v;
        int64_t index;

        assert(copy);
        if (size)
                memcpy(copy, data, size);
        decode(span_of(copy, size));
        (void)voters_file_decode(span_of(copy, size), &index, &v);
        if (size >= 4) {
                store_be32(copy + size - 4, crc32c(0, copy, size - 4));
                if (!voters_file_decode(span_of(copy, size), &index, &v))
                        assert(index >= 0 && v.count >= 1);
        }
        free(copy);
        return 0;
}
