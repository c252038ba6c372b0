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
        uint32_t rack_number; /* by placement_init() */
        bool is_chosen;       /* while one partition is placed */
};

struct placement {
        struct placement_broker *brokers; /* by id */
        size_t count;
        uint32_t *rack_used; /* by number: replicas of the partition that is being placed */
        uint32_t racks_count;
};

/* Begin with @brokers, ordered by id, with what they have; they are used from now on and must stay. Memory comes from
 * @mem. Return: 0 or -ENOMEM. */
int placement_init(struct placement *p, struct placement_broker *brokers, size_t count, struct arena *mem);

/* The broker with @id, or NULL. */
struct placement_broker *placement_broker(const struct placement *p, int32_t id);

/* Choose replicas for one partition: the first of them is to lead. Leaders are spread evenly, then replicas. Racks get
 * numbers of replicas that differ as little as they can. Brokers that can lead come before those that cannot. The
 * brokers' counts grow, so that calling it again continues evenly.
 * @replicas_count  1 .. p->count.
 * Return: false when no broker can lead (nothing is chosen). */
bool placement_choose(struct placement *p, size_t replicas_count, struct random_source *random, int32_t *ret_replicas);

/* Choose one more replica beside @replicas, by the same rules, but none of @without (which are not among @replicas). Its count grows. Return: its id, or -1 when there is none that can lead. */
int32_t placement_choose_one(struct placement *p, const int32_t *replicas, size_t replicas_count,
                             const int32_t *without, size_t without_count, struct random_source *random);
