/* Who of a consumer group shall have which partition (KIP-848's assignors on the server). Pure: subscriptions and what was assigned before go
 * in, sets of partitions come out. The same input gives the same output, on every node.
 *
 * - uniform: members have equally many partitions, within one, as far as their subscriptions allow, and as few partitions as possible
 *   move from one member to another.
 * - range: of each topic every subscribed member has a run of neighbouring partitions, in order of the members, the first ones one more: members
 *   with the same subscriptions have the same partitions of topics with equally many (joins).
 *
 * Each partition of a subscribed topic belongs to exactly one member of those that are subscribed to it.
 *
 * - simple, of share groups (KIP-932): a partition may belong to several members. Each partition of a subscribed topic has at least one, each
 *   member has at least one where its subscription allows, and few move. */
#pragma once

#include "coord/assignment.h"

struct assignor_topic {
        struct uuid id;
        int32_t partitions_count; /* 0.. */
};

/* Members with the same subscription share one, so that a group in which all are subscribed to the same is known by it. */
struct assignor_subscription {
        const uint32_t *topics; /* indices into the topics, ascending, each once */
        uint32_t topics_count;
};

struct assignor_member {
        const struct assignor_subscription *subscription;
        struct assignment
                *before; /* borrowed; may have topics and partitions that are gone or no longer subscribed to */
        struct assignment *ret_after; /* one reference; that of @before where nothing changed. NULL: nothing */
};

/* @topics: those that anybody is subscribed to, by id ascending. @members: in the order that matters (by instance id, or by member id).
 * Return: 0, or -ENOMEM: then no ret_after is set. */
typedef int assignor_fn(const struct assignor_topic *topics, size_t topics_count, struct assignor_member *members,
                        size_t members_count);
assignor_fn assignor_uniform, assignor_range, assignor_simple;
