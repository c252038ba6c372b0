/* Snapshots of the metadata on any bytes: as they are, and with the checksums of their chunks put right. What is accepted
 * makes an image, and the members are within the bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "quorum/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct span file, struct snapshot_id id)
{
        struct meta_image *image = NULL;
        struct snapshot_voters voters;
        uint8_t *mem = NULL;
        char why[200];
        bool is_last;

        (void)snapshot_chunk_check(file, 0, &is_last);
        if (snapshot_decode(file, id, &image, &voters, &mem, why, sizeof why))
                return;
        assert(image->index == id.index && image->term == id.term && voters.index <= id.index);
        assert(voters.payload.data >= mem && voters.payload.len <= file.len);
        meta_image_unref(image);
        free(mem);
}

/* Checksums and numbers are what random bytes never get right. */
static void mend(uint8_t *bytes, size_t len)
{
        uint32_t number = 0;

        for (size_t pos = 0; pos < len; pos += SNAPSHOT_CHUNK_LEN, number++) {
                size_t n = len - pos < SNAPSHOT_CHUNK_LEN ? len - pos : SNAPSHOT_CHUNK_LEN;

                if (n < SNAPSHOT_CHUNK_HEAD_LEN)
                        return;
                store_be32(bytes + pos + 4, number);
                store_be32(bytes + pos + 8, (uint32_t)(n - SNAPSHOT_CHUNK_HEAD_LEN));
                store_be32(bytes + pos + 12, pos + n == len);
                store_be32(bytes + pos, crc32c(0, bytes + pos + 4, n - 4));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct snapshot_id id = { 1, 1 };
        uint8_t *copy = malloc(size + 1);

        assert(copy);
        if (size)
                memcpy(copy, data, size);
        if (size >= SNAPSHOT_CHUNK_HEAD_LEN + 24) { /* as its name would say */
                id.term = (int32_t)load_be32(copy + SNAPSHOT_CHUNK_HEAD_LEN + 12);
                id.index = (int64_t)load_be64(copy + SNAPSHOT_CHUNK_HEAD_LEN + 16);
        }
        decode((struct span){ copy, size }, id);
        mend(copy, size);
        decode((struct span){ copy, size }, id);
        free(copy);
        return 0;
}
