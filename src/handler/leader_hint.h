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

/* Fill in @rsp->node_endpoints, each of struct @type, with those that were collected. Without memory the client asks for metadata. */
#define LEADER_HINTS_TELL(rq, hints, type, rsp) \
        do { \
                if ((hints)->count) \
                        (rsp)->node_endpoints = ARENA_NEW_ARRAY(&(rq)->arena, struct type, (hints)->count); \
                for (int32_t i_ = 0; (rsp)->node_endpoints && i_ < (hints)->count; i_++) { \
                        struct type *n_ = &(rsp)->node_endpoints[(rsp)->node_endpoints_count++]; \
                        struct leader_place place_ = leader_hints_place((rq), (hints), i_); \
\
                        type##_init(n_); \
                        n_->node_id = place_.id; \
                        n_->host = place_.host; \
                        n_->port = place_.port; \
                        n_->rack = place_.rack; \
                } \
        } while (0)
