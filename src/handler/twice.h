/* Names that a request gives more than once. A request may hold a million, so comparing each with each would stop the
 * reactor for minutes. */
#pragma once

#include "base/arena.h"

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

/* The same for an array of @count structs of @size bytes, each with a struct str at @name_at.
 * Return: by row, in @a; NULL when memory is out. */
uint8_t *twice_names(struct arena *a, const void *rows, size_t size, size_t name_at, size_t count);
