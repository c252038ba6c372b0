/* The applied image on disk: one LMDB row to an object, and with them, in the same transaction, the index and term that
 * they stand for. The metadata log may be truncated up to that index once a commit has returned. Files: FORMAT.md.
 * Functions block (they write and sync): not for loops. One thread at a time. */
#pragma once

#include "meta/image.h"

struct meta_store;

enum {
        META_STORE_OK,
        META_STORE_E_FOREIGN, /* not a store of ours, or of another format version */
        META_STORE_E_CORRUPT, /* a row that cannot be what was written */
};

struct meta_store_config {
        const char *dir;        /* folder of the store; made when missing. Borrowed for the call */
        size_t map_len_initial; /* address space to start with, 0 for the usual; grows by itself */
};

/* Open and load. @ret_image: what the store holds (index 0 when it is new), one reference.
 * @why, @why_size: gets one line for the operator after an outcome or error.
 * Return: 0, an outcome above, or negative errno. */
int meta_store_open(const struct meta_store_config *cfg, struct meta_store **ret_store, struct meta_image **ret_image,
                    char *why, size_t why_size);
/* NULL is fine. Returns NULL. */
struct meta_store *meta_store_close(struct meta_store *s);
DEFINE_FREEP(struct meta_store, meta_store_close)

/* Make the store hold @image, durably, when this returns 0. Only rows of objects that differ from what the store holds
 * are written. A failure leaves it as it was.
 * Return: 0 or negative errno; -ENOSPC when the volume is full. */
int meta_store_commit(struct meta_store *s, struct meta_image *image);

/* Bytes of its file, which are what it once had at most: LMDB gives none back. 0 when it cannot be told. */
int64_t meta_store_bytes(const struct meta_store *s);

/* The index of the image that it holds. */
int64_t meta_store_index(const struct meta_store *s);
