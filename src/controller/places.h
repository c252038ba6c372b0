/* Which partitions have a replica on which broker: found from the image once, and kept up as decisions are made, so that
 * the loss of a broker walks its partitions and not all. A hint: it may name partitions that the broker does not hold any
 * more, but never lacks one that it holds. Who walks it looks each partition up in the image. Pure; one thread. */
#pragma once

#include "meta/image.h"

struct place {
        struct uuid topic_id;
        int32_t partition;
};

struct places_broker {
        int32_t id;
        uint32_t count;
        uint32_t size;
        struct place *at;
};

struct places {
        struct places_broker *brokers; /* by id */
        size_t brokers_count;
        size_t brokers_size;
        size_t count;          /* of all places */
        size_t count_at_build; /* right after places_rebuild() */
};

void places_fini(struct places *p);
/* Begin anew from @image. Return: 0; or -ENOMEM, and nothing has changed. */
int places_rebuild(struct places *p, const struct meta_image *image);
/* Return: 0 or -ENOMEM. */
int places_add(struct places *p, int32_t broker_id, struct uuid topic_id, int32_t partition);
/* Those of one broker; NULL: none. Valid until the next places_add() or places_rebuild(). */
const struct places_broker *places_of(const struct places *p, int32_t broker_id);
/* So many names are out of date that building anew pays. */
bool places_are_stale(const struct places *p);
