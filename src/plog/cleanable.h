/* Which segments of a log may be compacted. */
#pragma once

#include "plog/internal.h"

/* Return: 0; PLOG_E_CLOSED, PLOG_E_FAILED, PLOG_E_DAMAGED when the log is not to be compacted as it is. plog.lock held. */
int cleanable_state(const struct plog *pl);

struct cleanable {
        struct segment **segments; /* oldest first; counted */
        size_t count;
        int64_t dirty_from; /* what lies below was compacted before */
        int64_t oldest_ms;  /* time of the first segment that was not; INT64_MAX when there is none */
};

/* The sealed segments below @below_offset and the last stable offset, up to the first that holds a record which is too young.
 * Blocks. Return: 0; as cleanable_state(); negative errno. */
int cleanable_take(struct plog *pl, int64_t now_ms, int64_t below_offset, struct cleanable *ret);
void cleanable_fini(struct cleanable *c);

/* Times of the first and the last record of @s; its index is loaded then. Blocks. Return: 0, PLOG_E_DAMAGED, negative errno. */
int cleanable_times(struct plog *pl, struct segment *s, int64_t *ret_first_ms, int64_t *ret_last_ms);
