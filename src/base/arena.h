/* Memory that lives as long as one request: many small allocations, one free. Not thread safe; one owner at a time.
 * An arena has a limit, so that what a peer makes us decode is bounded whatever its frame claims. */
#pragma once

#include <stdarg.h>

#include "base/budget.h"
#include "base/macros.h"
#include "base/span.h"

struct arena_block;

struct arena {
        struct arena_block *blocks; /* newest first */
        size_t used;                /* bytes handed out */
        size_t limit;               /* 0: none */
        struct budget *shared;      /* NULL: none. What was taken from it is given back at the end */
        size_t free_len, taken;
};

/* Start an arena in place. @limit: most bytes it may hand out, 0 for no limit. Allocates nothing yet. */
void arena_init(struct arena *a, size_t limit);

/* The same for one of many arenas: memory beyond the first @free_len bytes of each is taken from @shared, which outlives
 * the arena; when that is used up the arena gives no more, unless it alone has used it up. */
void arena_init_shared(struct arena *a, size_t limit, struct budget *shared, size_t free_len);

/* Free everything that was handed out; @a can be used again. Keeps nothing. */
void arena_fini(struct arena *a);

/* @size zeroed bytes aligned for any type. NULL when the limit would be passed or memory is out.
 * Size 0 gives a valid, unique pointer. */
void *arena_alloc(struct arena *a, size_t size);

/* @count zeroed elements of @size bytes; NULL also when the product overflows. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size);

/* Copies that live in the arena. A null input stays null; check for failure by comparing with the input.
 * arena_strdup0() also adds a NUL after the text. NULL pointer on failure. */
void *arena_memdup(struct arena *a, const void *data, size_t len);
char *arena_strdup0(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_NEW_ARRAY(a, type, count) ((type *)arena_alloc_array((a), (size_t)(count), sizeof(type)))

static inline void arena_finip(struct arena *a)
{
        arena_fini(a);
}
