/* From one image to the next: a builder starts from an image, takes records, and gives a new image. The old one is not
 * touched; what did not change is shared. Pure: the same image and records give the same image everywhere, whether the
 * records come from a decision, the log, or the store. One thread at a time. */
#pragma once

#include "meta/image.h"

struct meta_builder {
        struct meta_image *next; /* ours alone until finished */
        char why[160];           /* after an outcome: which record does not fit, and why */
};

/* Start from @base (a reference is taken for as long as needed). Return: 0 or -ENOMEM. */
int meta_builder_init(struct meta_builder *b, const struct meta_image *base);
/* Drop what was built and not finished. */
void meta_builder_fini(struct meta_builder *b);

/* Apply one record of the entry at @index. Return: 0; META_E_CONFLICT (@b->why says what) or -ENOMEM, after which the
 * builder may only be ended. */
int meta_builder_apply(struct meta_builder *b, const struct meta_record *r, int64_t index);

/* Apply all records of an entry's payload (FORMAT.md). Return: also META_E_MALFORMED, META_E_UNKNOWN. */
int meta_builder_apply_entry(struct meta_builder *b, struct span payload, int64_t index);

/* Hand the image over, stamped with the last entry it holds. The builder is empty afterwards. */
struct meta_image *meta_builder_finish(struct meta_builder *b, int64_t index, int32_t term);

/* ---- payloads ---- */

/* Records on their way into one entry. */
struct meta_batch {
        uint8_t *data; /* the payload so far; NULL when empty */
        size_t len;
        size_t size;
        uint32_t count; /* records */
};

void meta_batch_fini(struct meta_batch *b);
/* Add a record. Return: 0; -ENOMEM; -E2BIG when the payload would pass META_PAYLOAD_LEN_MAX. */
int meta_batch_add(struct meta_batch *b, const struct meta_record *r);
static inline struct span meta_batch_payload(const struct meta_batch *b)
{
        return span_of(b->data, b->len);
}

/* One decision is one entry: 10,000 partitions with three replicas and their directories are 1.2 MB. */
#define META_PAYLOAD_LEN_MAX (8u << 20)
