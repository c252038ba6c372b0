/* Names that a request gives more than once. A request may hold a million, so comparing each with each would stop the
 * reactor for minutes. */
#pragma once

#include "base/span.h"

struct twice_item {
        struct str name;
        int32_t kind; /* names of different kinds are different names */
        int32_t row;  /* of the request; below @count */
};

/* Set ret_twice[row] for all rows whose name is there more than once. @items are sorted. @ret_twice has @count places. */
void twice_find(struct twice_item *items, size_t count, bool *ret_twice);
