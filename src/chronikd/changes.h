/* What happens to the partitions of this node, counted from the metadata as it changes: for /metrics. Each change is counted by
 * one node, so that sums over nodes are those of the cluster. Written on the main loop, read by any thread. */
#pragma once

#include <stdatomic.h>

#include "meta/delta.h"

struct changes {
        int32_t node_id;
        bool began;                      /* the first delta is all that there is, not what changed */
        atomic_ullong elected;           /* this node began to lead a partition that another one led, or nobody */
        atomic_ullong elected_uncleanly; /* among these, without what was acknowledged being known to be there */
        atomic_ullong resigned;          /* it ceased to lead one that is still there */
        atomic_ullong isr_shrinks;       /* a replica left the ISR of a partition that it led before or after */
        atomic_ullong isr_expands;       /* likewise: joined */
};

/* Take up what changed. @d as it comes to a subscriber, each once. */
void changes_count(struct changes *c, const struct meta_delta *d);
