/* A file of high watermarks of any bytes, as they are and with the checksum put right: it is refused, or read into no more
 * entries than it has, none of them negative. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "replica/watermarks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(const uint8_t *data, size_t size)
{
        struct watermarks *w;
        int r = watermarks_decode(span_of(data, size), &w);

        assert(r == 0 || r == -EUCLEAN);
        if (r)
                return;
        assert(watermarks_count(w) <= (size - 16) / 32);
        for (size_t at = 16; at + 32 <= size; at += 32) {
                struct uuid id;

                memcpy(id.b, data + at, sizeof id.b);
                assert(watermarks_find(w, id, (int32_t)load_be32(data + at + 16)) >= 0);
        }
        watermarks_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size + 1);

        load(data, size);
        memcpy(copy, data, size);
        if (size >= 16) {
                store_be32(copy + 12, crc32c(0, copy + 16, size - 16));
                load(copy, size);
        }
        free(copy);
        return 0;
}
