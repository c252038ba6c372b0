/* The newest offset of each key in a part of a log, in bounded memory: 24 bytes for a key, whatever its length.
 *
 * Keys are told apart by 128 bits of SipHash under a random key, so nobody can make two keys meet. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct keymap_slot;

struct keymap {
        struct keymap_slot *slots;
        size_t size, size_max; /* powers of two */
        size_t count;
        void *mac;
};

enum { KEYMAP_FULL = 1 };

/* @bytes_max: at most so much memory; at least one slot's page is taken. Return: 0 or -ENOMEM. */
int keymap_init(struct keymap *m, size_t bytes_max);
void keymap_fini(struct keymap *m);
/* Note that @key was written at @offset, which is not below any that it was noted with.
 * Return: 0; KEYMAP_FULL when there is no room for another key (nothing changed); -ENOMEM, -EIO. */
int keymap_put(struct keymap *m, struct span key, int64_t offset);
/* The newest offset of @key; -1 when it was not noted; -2 when it cannot be computed. */
int64_t keymap_get(const struct keymap *m, struct span key);
