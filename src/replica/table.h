/* The partitions of which this node has a replica, found by topic id and index. Looked up by every request, changed rarely. */
#pragma once

#include "replica/partition.h"

struct partition_table;

/* Return: 0 or negative errno. */
int partition_table_new(struct partition_table **ret_table);
/* Every partition must have been taken out. NULL is fine. Returns NULL. */
struct partition_table *partition_table_free(struct partition_table *t);
DEFINE_FREEP(struct partition_table, partition_table_free)

/* Put in (reference taken over). Return: 0, -EEXIST, -ENOMEM; on failure the reference stays the caller's. */
int partition_table_put(struct partition_table *t, struct partition *p);
/* Take out; the reference goes to the caller. NULL when not there. */
struct partition *partition_table_take(struct partition_table *t, struct uuid topic_id, int32_t index);
/* Find; a new reference, or NULL. Any thread. */
struct partition *partition_table_find(struct partition_table *t, struct uuid topic_id, int32_t index);
/* Call @fn for each partition that was there when its shard was visited, without a lock held; in no order. */
int partition_table_visit(struct partition_table *t, int (*fn)(void *arg, struct partition *p), void *arg);
size_t partition_table_count(struct partition_table *t);
