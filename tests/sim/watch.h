/* What became of the cluster, seen from outside: how often the events happened that the rules are for, and who leads what in the
 * trace. From the metadata that the nodes have applied, and from what they say to people. */
#pragma once

#include "nodes.h"

struct watch_counts {
        /* partitions */
        uint64_t leader_epochs, elections, elections_elr, elections_unclean, elections_moving, left_without,
                isr_shrinks, isr_expands, elr_joins, moves_done, moves_cancelled;
        /* replicas */
        uint64_t truncations, restarts, logs_failed, coordinators_dropped, coordinator_moves;
        /* the quorum and registration */
        uint64_t controller_elections, snapshots_controller, snapshots_observer, fenced, refused, without_lease;
};
extern struct watch_counts watch_counts;

/* Begin to look, on a fiber of the world's; until the end of the run. */
void watch_start(void);
/* Look now: for who has to know what has become of the cluster until this moment. */
void watch_look(void);
/* Changes whenever a node that runs leads a partition anew, or could not write how far a share group is. */
uint64_t watch_leading(void);
/* A node says so. */
void watch_line(const char *line);
