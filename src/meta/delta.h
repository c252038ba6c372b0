/* What is different between two images, whatever lies between them: one entry, a snapshot, or nothing. Found by walking
 * only what the two do not share. Immutable and counted; holds both images. Pure; any thread may read. */
#pragma once

#include "meta/image.h"

/* One thing that is not the same in both images; the side that lacks it is NULL. A topic that was deleted and created
 * again under its name is two changes, because its id differs. Borrowed from the delta's images. */
struct meta_topic_change {
        const struct meta_topic *before;
        const struct meta_topic *after;
};
struct meta_broker_change {
        const struct meta_broker *before;
        const struct meta_broker *after;
};
struct meta_configs_change {
        const struct meta_configs *before;
        const struct meta_configs *after;
};

struct meta_delta {
        atomic_uint refs;
        struct meta_image *before;
        struct meta_image *after;
        struct meta_topic_change *topics; /* by topic id; what was removed comes where its id stands */
        struct meta_broker_change *brokers;
        struct meta_configs_change *configs;
        uint32_t topics_count;
        uint32_t brokers_count;
        uint32_t configs_count;
        bool features_changed;
        bool cluster_changed; /* the cluster id came into being */
};

/* Return: 0 with one reference, or -ENOMEM. */
int meta_delta_new(struct meta_image *before, struct meta_image *after, struct meta_delta **ret_delta);
struct meta_delta *meta_delta_ref(struct meta_delta *d);
struct meta_delta *meta_delta_unref(struct meta_delta *d);
DEFINE_FREEP(struct meta_delta, meta_delta_unref)

/* Call @fn for each partition that is not the same object in both topics (either may be NULL), by index. Chunks that both
 * share are skipped. A non-zero return of @fn ends it and is returned. */
int meta_topic_diff(const struct meta_topic *before, const struct meta_topic *after,
                    int (*fn)(void *arg, const struct meta_partition *before, const struct meta_partition *after),
                    void *arg);
