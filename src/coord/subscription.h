/* What consumers tell each other in classic groups, inside the metadata and the assignments that the coordinator hands on: read and written
 * while a group moves to or from the protocol in which the coordinator assigns (KIP-848). Layouts: wire/schema/stored.wire. Pure. */
#pragma once

#include "coord/assignment.h"
#include "meta/image.h"

struct arena;

struct subscription {
        int16_t version; /* 0.. */
        const struct str *topics;
        int32_t topics_count;
        struct str rack;          /* null: it has none, or does not say */
        struct assignment *owned; /* one reference; topics that are gone are left out */
};

/* Memory comes from @a, texts are borrowed. Return: 0, -EINVAL, -ENOMEM. */
int subscription_read(struct span metadata, const struct meta_image *image, struct arena *a, struct subscription *ret);

/* The same for an assignment; empty bytes are the empty set. *@ret_set: one reference. */
int subscription_read_assignment(struct span data, const struct meta_image *image, struct arena *a,
                                 struct assignment **ret_set);

/* An assignment for a member whose subscription has @version. Return: 0 or -ENOMEM. */
int subscription_write_assignment(const struct assignment *set, int16_t version, const struct meta_image *image,
                                  struct arena *a, struct span *ret_data);
