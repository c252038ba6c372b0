#include "coord/map.h"

#include <errno.h>

#include "base/bytes.h"

enum { BUCKETS_MIN = 8 };

/* Multiply and fold, eight bytes at a time (the scheme of wyhash and its kin), with the table's seed. */
static uint64_t fold(uint64_t a, uint64_t b)
{
        unsigned __int128 p = (unsigned __int128)a * b;

        return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t map_hash(const struct map *m, struct str key)
{
        const uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0xd6e8feb86659fd93u;
        uint64_t h = m->seed ^ k0, word;
        size_t at = 0;

        for (; key.len - at >= 8; at += 8) {
                memcpy(&word, key.p + at, 8);
                h = fold(h ^ word, k1);
        }
        word = 0;
        if (key.len > at)
                memcpy(&word, key.p + at, key.len - at);
        return fold(h ^ word, k0 ^ key.len);
}

void map_fini(struct map *m)
{
        free(m->buckets);
        map_init(m, m->seed);
}

struct map_node *map_first(const struct map *m, struct str key)
{
        uint64_t hash;
        struct map_node *n;

        if (!m->count)
                return NULL;
        hash = map_hash(m, key);
        n = m->buckets[hash & (m->buckets_count - 1)];
        while (n && n->hash != hash)
                n = n->next;
        return n;
}

struct map_node *map_next_same(const struct map_node *n)
{
        struct map_node *at = n->next;

        while (at && at->hash != n->hash)
                at = at->next;
        return at;
}

/* A failure to grow only makes chains longer. */
static void grow(struct map *m)
{
        size_t new_count = m->buckets_count ? m->buckets_count * 2 : BUCKETS_MIN;
        struct map_node **buckets = calloc(new_count, sizeof *buckets);

        if (!buckets)
                return;
        for (size_t i = 0; i < m->buckets_count; i++)
                for (struct map_node *n = m->buckets[i], *next; n; n = next) {
                        struct map_node **slot = &buckets[n->hash & (new_count - 1)];

                        next = n->next;
                        n->next = *slot;
                        *slot = n;
                }
        free(m->buckets);
        m->buckets = buckets;
        m->buckets_count = new_count;
}

int map_insert(struct map *m, struct map_node *n, struct str key)
{
        struct map_node **slot;

        if (m->count >= m->buckets_count)
                grow(m);
        if (!m->buckets)
                return -ENOMEM;
        n->hash = map_hash(m, key);
        slot = &m->buckets[n->hash & (m->buckets_count - 1)];
        n->next = *slot;
        *slot = n;
        m->count++;
        return 0;
}

void map_remove(struct map *m, struct map_node *n)
{
        struct map_node **slot = &m->buckets[n->hash & (m->buckets_count - 1)];

        while (*slot != n) {
                assert(*slot);
                slot = &(*slot)->next;
        }
        *slot = n->next;
        n->next = NULL;
        m->count--;
}
