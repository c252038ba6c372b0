/* The high watermarks that this node knew, in a file, so that after a start a replica shows at once what was replicated long
 * since, whoever else is there. Nothing relies on it: what the file lacks is found again from the replicas, and what it
 * says is never more than the log holds. FORMAT.md describes the file. */
#pragma once

#include "replica/table.h"

struct watermarks;

/* What @path says; an empty one when there is no such file, or it is not as it was written. Blocks. Return: 0; -ENOMEM. */
int watermarks_load(const char *path, struct watermarks **ret_watermarks);
struct watermarks *watermarks_free(struct watermarks *w);
/* 0: not known. NULL for @w is fine. Any thread. */
int64_t watermarks_find(const struct watermarks *w, struct uuid topic_id, int32_t index);
size_t watermarks_count(const struct watermarks *w);
/* The content of such a file. Return: 0; -EUCLEAN; -ENOMEM. */
int watermarks_decode(struct span data, struct watermarks **ret_watermarks);

/* Write down those of all partitions in @t that have more than one replica, or none yet. Blocks. Return: 0 or negative
 * errno. */
int watermarks_save(const char *path, struct partition_table *t);
