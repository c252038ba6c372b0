/* Names that a request gives more than once. A request may hold a million, so comparing each with each would stop the
 * reactor for minutes. */
#pragma once

#include "base/span.h"

struct twice_item {
        struct str name;
        int32_t kind; /* names of different kinds are different names */
        int32_t row;  /* of the request; below @count */
};

enum {
        TWICE_NOT,
        TWICE_FIRST, /* the first row with a name that comes again */
        TWICE_AGAIN, /* one of the rows after it */
};

/* Say so for each row, in ret_twice[row]. @items are sorted. @ret_twice has @count places. */
void twice_find(struct twice_item *items, size_t count, uint8_t *ret_twice);
