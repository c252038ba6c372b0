/* How brokers and partitions are told to clients: shared by Metadata, DescribeCluster, DescribeTopicPartitions and
 * FindCoordinator. A broker is told only on the listener that the client came in by (KIP-103). */
#pragma once

#include "handler/internal.h"

/* A partition as clients see it. Arrays are borrowed from the request's image or live in its arena. */
struct partition_told {
        int16_t error; /* LEADER_NOT_AVAILABLE (or LISTENER_NOT_FOUND) when clients can reach no leader */
        int32_t leader, leader_epoch;
        int32_t *replicas, *isr, *offline;
        int32_t replicas_count, isr_count, offline_count;
};

/* Address of @broker for this request's listener, or NULL when it has none there or is fenced. */
const struct meta_endpoint *told_endpoint(const struct rq *rq, const struct meta_broker *broker);
/* Return: false when memory is out. */
bool told_partition(struct rq *rq, const struct meta_partition *p, struct partition_told *ret);
/* Brokers that are told to this client; the first of them when @ret is short. */
int32_t told_brokers_count(const struct rq *rq);
