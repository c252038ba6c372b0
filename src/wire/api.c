/* Looking up an API by its key. The table itself is generated. */
#include "wire/api.h"

const struct wire_api *wire_api_find(int16_t key)
{
        size_t low = 0, high = wire_apis_count;

        while (low < high) {
                size_t mid = (low + high) / 2;

                if (wire_apis[mid].key == key)
                        return &wire_apis[mid];
                if (wire_apis[mid].key < key)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}
