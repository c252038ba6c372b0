/* Intrusive hash table by text: nodes are members of their owners, the table owns only its buckets.
 * Hashes are seeded, because the keys (group and member ids) are chosen by clients. Not thread safe. */
#pragma once

#include "base/macros.h"
#include "base/span.h"

struct map_node {
        struct map_node *next;
        uint64_t hash;
};

struct map {
        struct map_node **buckets; /* a power of two of them; NULL while empty */
        size_t buckets_count;
        size_t count;
        uint64_t seed;
};

static inline void map_init(struct map *m, uint64_t seed)
{
        *m = (struct map){ .seed = seed };
}

/* Free the buckets; the nodes stay with their owners. */
void map_fini(struct map *m);

/* What @key hashes to in this table; another table has another seed. */
uint64_t map_hash(const struct map *m, struct str key);

/* First node whose hash is @key's; the caller compares keys and goes on with map_next_same(). NULL: none. */
struct map_node *map_first(const struct map *m, struct str key);
struct map_node *map_next_same(const struct map_node *n);

/* Insert @n under @key. Return: 0, or -ENOMEM only when the table had no bucket yet. */
int map_insert(struct map *m, struct map_node *n, struct str key);
/* @n must be in the table. */
void map_remove(struct map *m, struct map_node *n);
