/* Who leads, for a client that asked another node (KIP-951): the leader of each partition, and where those leaders are. */
#pragma once

#include "handler/internal.h"

enum { LEADER_HINTS_MAX = 64 }; /* nodes told of in one answer; of the others the client asks for metadata */

struct leader_hints {
        int32_t ids[LEADER_HINTS_MAX];
        int32_t count;
};

/* The leader that this node knows of, and its epoch: the newer of what the partition (NULL: it is not here) and the
 * request's metadata say. -1: none, or no such partition. Collected in @hints when it can be told where it is. */
struct leader_hint {
        int32_t leader, epoch;
};
struct leader_hint leader_hint(struct rq *rq, struct uuid topic_id, struct str topic_name, int32_t index,
                               struct partition *p, struct leader_hints *hints);

/* Where a node that was collected is, on the listener that the client came in by, and its rack. */
struct leader_place {
        int32_t id, port;
        struct str host, rack;
};
struct leader_place leader_hints_place(const struct rq *rq, const struct leader_hints *hints, int32_t i);
