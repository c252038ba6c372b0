/* Responses, which our own clients read from other nodes, and stored records, which come from disks and buckets. */
#include "fuzz-wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        return fuzz_wire(data, size, false);
}
