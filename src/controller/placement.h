/* Where replicas go. Pure; chance comes from a seeded source, so that tests and the simulator repeat. */
#pragma once

#include "base/arena.h"
#include "base/span.h"

/* A small generator (splitmix64) for ties and identifiers. */
struct random_source {
        uint64_t state;
};
uint64_t random_source_next(struct random_source *r);

struct placement_broker {
        int32_t id;
        struct str rack;  /* null: a rack of its own kind, shared by all without one */
        bool can_lead;    /* not fenced, not stopping */
        uint32_t leaders; /* in: what it has already. Counts what is placed */
        uint32_t replicas;
};

/* Choose replicas for one partition: the first of them is to lead. Leaders are spread evenly, then replicas; a rack is used
 * twice only when every rack is used. Brokers that can lead come before those that cannot.
 * @brokers       their counts are updated, so that calling it again continues evenly.
 * @replicas_count  1 .. brokers_count.
 * Return: false when no broker can lead (nothing is chosen). */
bool placement_choose(struct placement_broker *brokers, size_t brokers_count, size_t replicas_count,
                      struct random_source *random, int32_t *ret_replicas);
