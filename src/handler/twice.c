/* By sorting: no hash that a client could choose names against. */
#include "handler/twice.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
        const struct twice_item *x = a, *y = b;

        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        if (x->name.len != y->name.len)
                return x->name.len < y->name.len ? -1 : 1;
        return x->name.len ? memcmp(x->name.p, y->name.p, x->name.len) : 0;
}

static int compare_with_row(const void *a, const void *b)
{
        const struct twice_item *x = a, *y = b;
        int r = compare(a, b);

        return r ? r : (x->row > y->row) - (x->row < y->row);
}

void twice_find(struct twice_item *items, size_t count, uint8_t *ret_twice)
{
        for (size_t i = 0; i < count; i++)
                ret_twice[items[i].row] = TWICE_NOT;
        if (count < 2)
                return;
        qsort(items, count, sizeof *items, compare_with_row);
        for (size_t i = 1; i < count; i++)
                if (compare(&items[i - 1], &items[i]) == 0) {
                        ret_twice[items[i].row] = TWICE_AGAIN;
                        if (!ret_twice[items[i - 1].row])
                                ret_twice[items[i - 1].row] = TWICE_FIRST;
                }
}

uint8_t *twice_names(struct arena *a, const void *rows, size_t size, size_t name_at, size_t count)
{
        struct twice_item *names = ARENA_NEW_ARRAY(a, struct twice_item, count);
        uint8_t *twice = ARENA_NEW_ARRAY(a, uint8_t, count);

        if (!names || !twice)
                return NULL;
        for (size_t i = 0; i < count; i++)
                names[i] = (struct twice_item){ .name = *(const struct str *)((const char *)rows + i * size + name_at),
                                                .row = (int32_t)i };
        twice_find(names, count, twice);
        return twice;
}
