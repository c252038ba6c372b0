/* Variable-length numbers as Kafka and protobuf write them. */
#include "base/cursor.h"

uint32_t cursor_uvarint(struct cursor *c)
{
        uint32_t v = 0;

        for (unsigned shift = 0; shift < 35; shift += 7) {
                uint8_t b = cursor_u8(c);

                if (shift == 28 && b > 0x0f)
                        break; /* would not fit into 32 bits */
                v |= (uint32_t)(b & 0x7f) << shift;
                if (!(b & 0x80))
                        return c->failed ? 0 : v;
        }
        c->failed = true;
        return 0;
}

uint64_t cursor_uvarlong(struct cursor *c)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 70; shift += 7) {
                uint8_t b = cursor_u8(c);

                if (shift == 63 && b > 1)
                        break; /* would not fit into 64 bits */
                v |= (uint64_t)(b & 0x7f) << shift;
                if (!(b & 0x80))
                        return c->failed ? 0 : v;
        }
        c->failed = true;
        return 0;
}
