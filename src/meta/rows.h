/* What differs between two images, as rows: a key, and the record that stands there or stands there no more. The store keeps rows
 * (store.h), a snapshot is the records of all of them. Pure; any thread. Keys: FORMAT.md. */
#pragma once

#include "meta/delta.h"

#define META_ROW_KEY_LEN_MAX 511 /* LMDB's */

/* First byte of a key. In the order in which loading must meet them: a partition needs its topic. */
enum meta_row {
        META_ROW_HEAD = 'a',
        META_ROW_FEATURE = 'f',
        META_ROW_BROKER = 'g',
        META_ROW_DISRUPTION = 'h',
        META_ROW_DELEGATION_TOKEN = 'k',
        META_ROW_ACL = 'l',
        META_ROW_DECOY_SEED = 'r',
        META_ROW_SCRAM_CREDENTIAL = 's',
        META_ROW_TOPIC = 't',
        META_ROW_PARTITION = 'u',
        META_ROW_CONFIG = 'v'
};

struct meta_rows_sink {
        /* Everything is borrowed for the call; a non-zero return ends the walk. */
        int (*put)(void *arg, struct span key, const struct meta_record *rec);
        int (*remove)(void *arg, struct span key); /* NULL: rows that go are passed over */
        void *arg;
};

/* Hand the rows in which @d->after differs from @d->before to @sink; the head row, which is no record, is not among them.
 * Return: 0, -ENOMEM, or what the sink returned. */
int meta_rows_walk(const struct meta_delta *d, const struct meta_rows_sink *sink);

/* Hand every record that makes @image out of the empty image to @fn, in an order in which they can be applied: a snapshot.
 * Borrowed for the call. A non-zero return of @fn ends it and is returned.
 * Return: 0, -ENOMEM, or what @fn returned. */
int meta_image_records(struct meta_image *image, int (*fn)(void *arg, const struct meta_record *rec), void *arg);
