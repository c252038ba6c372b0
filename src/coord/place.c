#include "coord/place.h"

#include <assert.h>

#include "coord/utf16.h"

/* String.hashCode(): h = 31 * h + unit, modulo 2^32. */
static uint32_t java_hash(struct str s)
{
        uint16_t units[2];
        uint32_t h = 0;

        while (s.len) {
                unsigned n;

                if ((uint8_t)s.p[0] < 0x80) { /* most ids are nothing but such */
                        h = 31 * h + (uint8_t)s.p[0];
                        s.p++;
                        s.len--;
                        continue;
                }
                n = utf16_next(&s, units);
                for (unsigned i = 0; i < n; i++)
                        h = 31 * h + units[i];
        }
        return h;
}

int32_t coord_partition_of(struct str group_id, int32_t partitions_count)
{
        int32_t h = (int32_t)java_hash(group_id);

        assert(partitions_count > 0);
        /* Kafka's Utils.abs(): the smallest number, which has no positive counterpart, counts as 0. */
        if (h == INT32_MIN)
                return 0;
        return (h < 0 ? -h : h) % partitions_count;
}
