/* The names in a log's folder that begin with an offset. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plog;

/* Offsets in rising order. */
struct offset_list {
        int64_t *at;
        size_t count, size;
};
bool offset_list_has(const struct offset_list *list, int64_t offset);
void offset_list_fini(struct offset_list *list);

struct folder {
        struct offset_list segments, snapshots, indexes,
                aborted; /* by suffix; the bases of segments, the ends of snapshots */
};

/* What there is at a start. Files that were being written or removed when the last one ended go on the way. folder_fini() in
 * any case. Blocks. Return: 0 or negative errno. */
int folder_read(struct plog *pl, struct folder *ret);
void folder_fini(struct folder *f);
/* Only the snapshots, and nothing is removed. offset_list_fini() in any case. Blocks. Return: 0 or negative errno. */
int folder_snapshots(struct plog *pl, struct offset_list *ret);
