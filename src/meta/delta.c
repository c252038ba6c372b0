/* See delta.h. */
#include "meta/delta.h"

#include <errno.h>

/* Make room for one more element in an array that grows by halves of powers of two. */
static void *grown(void *items, uint32_t count, size_t elem_size)
{
        if (count & (count - 1)) /* neither 0 nor a power of two: there is room */
                return items;
        return realloc(items, (count ? 2 * (size_t)count : 1) * elem_size);
}

#define ADD_CHANGE(fn_name, list, type) \
        static int fn_name(void *arg, void *before, void *after) \
        { \
                struct meta_delta *d = arg; \
                void *items = grown(d->list, d->list##_count, sizeof *d->list); \
\
                if (!items) \
                        return -ENOMEM; \
                d->list = items; \
                d->list[d->list##_count++] = (type){ before, after }; \
                return 0; \
        }
ADD_CHANGE(add_topic, topics, struct meta_topic_change)
ADD_CHANGE(add_broker, brokers, struct meta_broker_change)
ADD_CHANGE(add_configs, configs, struct meta_configs_change)

static int note_feature(void *arg, void *before, void *after)
{
        struct meta_delta *d = arg;

        d->features_changed = true;
        return 0;
}

int meta_delta_new(struct meta_image *before, struct meta_image *after, struct meta_delta **ret_delta)
{
        CLEANUP(meta_delta_unrefp) struct meta_delta *d = calloc(1, sizeof *d);
        int r;

        if (!d)
                return -ENOMEM;
        atomic_init(&d->refs, 1);
        d->before = meta_image_ref(before);
        d->after = meta_image_ref(after);
        d->cluster_changed = !str_equal(before->cluster_id, after->cluster_id);
        r = pmap_diff(&before->topics_by_id, &after->topics_by_id, add_topic, d);
        if (!r)
                r = pmap_diff(&before->brokers, &after->brokers, add_broker, d);
        if (!r)
                r = pmap_diff(&before->configs, &after->configs, add_configs, d);
        if (!r)
                r = pmap_diff(&before->features, &after->features, note_feature, d);
        if (r)
                return r;
        *ret_delta = TAKE_PTR(d);
        return 0;
}

struct meta_delta *meta_delta_ref(struct meta_delta *d)
{
        if (d)
                atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
        return d;
}

struct meta_delta *meta_delta_unref(struct meta_delta *d)
{
        if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        free(d->topics);
        free(d->brokers);
        free(d->configs);
        meta_image_unref(d->before);
        meta_image_unref(d->after);
        free(d);
        return NULL;
}

int meta_topic_diff(const struct meta_topic *before, const struct meta_topic *after,
                    int (*fn)(void *arg, const struct meta_partition *before, const struct meta_partition *after),
                    void *arg)
{
        uint32_t before_count = before ? before->partitions_count : 0,
                 after_count = after ? after->partitions_count : 0;

        for (uint32_t i = 0; i < MAX2(before_count, after_count); i++) {
                const struct meta_partition *b = i < before_count ? meta_topic_partition(before, (int32_t)i) : NULL;
                const struct meta_partition *a = i < after_count ? meta_topic_partition(after, (int32_t)i) : NULL;
                int r;

                if (i % META_CHUNK_LEN == 0 && b && a &&
                    before->chunks[i / META_CHUNK_LEN] == after->chunks[i / META_CHUNK_LEN] &&
                    before_count == after_count) {
                        i += META_CHUNK_LEN - 1;
                        continue;
                }
                r = a == b ? 0 : fn(arg, b, a);
                if (r)
                        return r;
        }
        return 0;
}
