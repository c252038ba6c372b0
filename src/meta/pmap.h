/* Ordered map that shares structure between versions: a copy costs one reference, a change costs the nodes on one path.
 * A balanced tree (AVL) with counted nodes. A node that only one version holds is changed in place; every other one is
 * copied first, so what another version sees never changes. Pure; a map value is touched by one thread at a time, while
 * maps that share nodes may live on different threads (the counts are atomic). */
#pragma once

#include <stdatomic.h>

#include "base/macros.h"

/* What the values are. A value carries its key. */
struct pmap_ops {
        const void *(*key)(const void *value);
        int (*compare)(const void *key_a, const void *key_b);
        void (*ref)(void *value);
        void (*unref)(void *value);
};

struct pmap_node;

struct pmap {
        const struct pmap_ops *ops;
        struct pmap_node *root;
        uint32_t count;
};

static inline void pmap_init(struct pmap *m, const struct pmap_ops *ops)
{
        *m = (struct pmap){ .ops = ops };
}

void pmap_fini(struct pmap *m);

/* A second map with the same content. Allocates nothing. */
struct pmap pmap_copy(const struct pmap *m);

/* The value with @key, borrowed from the map, or NULL. */
void *pmap_get(const struct pmap *m, const void *key);

/* Put @value in, in place of the one with an equal key if there is one. Takes a reference of its own.
 * Return: 0 or -ENOMEM, after which the map is unchanged. */
int pmap_put(struct pmap *m, void *value);

/* Take the value with @key out. Return: 0; -ENOENT; -ENOMEM, after which the map may only be freed. */
int pmap_remove(struct pmap *m, const void *key);

/* Values in key order. The map must not change meanwhile. */
#define PMAP_DEPTH_MAX 48 /* an AVL tree of 2^32 values is at most 1.44 * 32 deep */
struct pmap_iter {
        const struct pmap_node *path[PMAP_DEPTH_MAX];
        unsigned depth;
};

/* Start before the first value whose key is >= @from; NULL starts at the first. */
void pmap_iter_init(struct pmap_iter *it, const struct pmap *m, const void *from);
/* The next value, borrowed from the map; NULL at the end. */
void *pmap_next(struct pmap_iter *it);

/* @it names the iterator; @value is a pointer variable of the caller. */
#define pmap_for_each(it, value, m) for (struct pmap_iter it = pmap_iter_start(m); (value = pmap_next(&it));)

static inline struct pmap_iter pmap_iter_start(const struct pmap *m)
{
        struct pmap_iter it;

        pmap_iter_init(&it, m, NULL);
        return it;
}

/* Call @fn for each key whose value is not the same object in @a and @b, in key order; the side that lacks it is NULL.
 * Subtrees that both share are skipped unread, so that the cost is that of the differences. A non-zero return of @fn ends
 * it and is returned. */
int pmap_diff(const struct pmap *a, const struct pmap *b, int (*fn)(void *arg, void *value_a, void *value_b),
              void *arg);

/* Check order, balance and count; for tests. */
bool pmap_is_sound(const struct pmap *m);
/* Bytes that one node takes, for accounting. */
size_t pmap_node_size(void);
