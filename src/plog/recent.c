/* The last batches of a log, in memory: where a consumer that keeps up reads. Guarded by the log's lock. */
#include <string.h>

#include "plog/internal.h"

enum { RECENT_FIRST_SIZE = 8 };

void recent_fini(struct recent *r)
{
        free(r->ring);
        *r = (struct recent){ 0 };
}

void recent_reset(struct recent *r)
{
        r->first = r->count = 0;
}

/* Twice the room, while it pays: a log that is written seldom stays small. Without memory it stays as it is. */
static void recent_grow(struct recent *r)
{
        unsigned size = r->size ? r->size * 2 : RECENT_FIRST_SIZE;
        struct recent_batch *ring = malloc(size * sizeof *ring);

        if (!ring)
                return;
        for (unsigned i = 0; i < r->count; i++)
                ring[i] = *recent_at(r, i);
        free(r->ring);
        *r = (struct recent){ .ring = ring, .size = size, .count = r->count };
}

void recent_add(struct recent *r, const struct recent_batch *b)
{
        if (r->count == r->size && r->size < RECENT_MAX)
                recent_grow(r);
        if (!r->size)
                return;
        if (r->count == r->size) {
                r->first = (r->first + 1) & (r->size - 1);
                r->count--;
        }
        r->ring[(r->first + r->count++) & (r->size - 1)] = *b;
}

int recent_find(const struct recent *r, int64_t offset)
{
        unsigned lo = 0, hi = r->count;

        while (lo < hi) {
                unsigned mid = lo + (hi - lo) / 2;

                if (recent_at(r, mid)->last_offset < offset)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        if (lo == r->count || (lo == 0 && recent_at(r, 0)->base_offset > offset))
                return -1;
        return (int)lo;
}
