/* Which partition of __consumer_offsets a group lives in. Every client and tool computes the same (Burrow does). */
#pragma once

#include "base/span.h"

/* Java: Utils.abs(group_id.hashCode()) % partitions_count. @partitions_count: 1 or more. Return: 0..partitions_count-1. */
int32_t coord_partition_of(struct str group_id, int32_t partitions_count);
