#include "coord/subscription.h"

#include <errno.h>

#include "wire/messages.h"

/* Each version begins as the one before it: what newer ones have behind that is not read. */
static int16_t readable(int16_t version, int16_t most)
{
        return MIN2(version, most);
}

/* Both messages list partitions by topics, each in a struct of its own with the same fields. */
#define GATHER(name, topic_type) \
        static int name(const struct topic_type *topics, int32_t count, const struct meta_image *image, \
                        struct arena *a, struct assignment **ret) \
        { \
                struct assignment_entry *entries; \
                size_t n = 0, filled = 0; \
\
                for (int32_t i = 0; i < count; i++) \
                        n += (size_t)topics[i].partitions_count; \
                entries = ARENA_NEW_ARRAY(a, struct assignment_entry, n); \
                if (!entries) \
                        return -ENOMEM; \
                for (int32_t i = 0; i < count; i++) { \
                        const struct meta_topic *t = meta_image_topic(image, topics[i].topic); \
\
                        for (int32_t p = 0; t && p < topics[i].partitions_count; p++) \
                                if (meta_topic_partition(t, topics[i].partitions[p])) \
                                        entries[filled++] = \
                                                (struct assignment_entry){ t->id, topics[i].partitions[p] }; \
                } \
                return assignment_new(entries, filled, ret); \
        }

GATHER(gather_owned, consumer_protocol_subscription_topic)
GATHER(gather_assigned, consumer_protocol_assignment_topic)

int subscription_read(struct span metadata, const struct meta_image *image, struct arena *a, struct subscription *ret)
{
        struct consumer_protocol_subscription v;
        struct cursor c = cursor_of(metadata);
        int16_t version = cursor_be16s(&c);
        int r;

        if (!cursor_ok(&c) || version < 0)
                return -EINVAL;
        r = consumer_protocol_subscription_decode(&v, &c, readable(version, CONSUMER_PROTOCOL_SUBSCRIPTION_VERSION_MAX),
                                                  a);
        if (r)
                return r < 0 ? r : -EINVAL;
        *ret = (struct subscription){
                .version = version, .topics = v.topics, .topics_count = v.topics_count, .rack = v.rack_id
        };
        return gather_owned(v.owned_partitions, v.owned_partitions_count, image, a, &ret->owned);
}

int subscription_read_assignment(struct span data, const struct meta_image *image, struct arena *a,
                                 struct assignment **ret_set)
{
        struct consumer_protocol_assignment v;
        struct cursor c = cursor_of(data);
        int16_t version;
        int r;

        *ret_set = NULL;
        if (!data.len)
                return 0;
        version = cursor_be16s(&c);
        if (!cursor_ok(&c) || version < 0)
                return -EINVAL;
        r = consumer_protocol_assignment_decode(&v, &c, readable(version, CONSUMER_PROTOCOL_ASSIGNMENT_VERSION_MAX), a);
        if (r)
                return r < 0 ? r : -EINVAL;
        return gather_assigned(v.assigned_partitions, v.assigned_partitions_count, image, a, ret_set);
}

int subscription_write_assignment(const struct assignment *set, int16_t version, const struct meta_image *image,
                                  struct arena *a, struct span *ret_data)
{
        uint32_t count = set ? set->topics_count : 0;
        struct consumer_protocol_assignment v;
        struct writer w;
        uint8_t *buf;
        size_t len;

        version = readable(version, CONSUMER_PROTOCOL_ASSIGNMENT_VERSION_MAX);
        consumer_protocol_assignment_init(&v);
        v.assigned_partitions = ARENA_NEW_ARRAY(a, struct consumer_protocol_assignment_topic, count);
        if (!v.assigned_partitions)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++) {
                const struct meta_topic *t = meta_image_topic_by_id(image, set->topics[i].id);
                struct consumer_protocol_assignment_topic *to = &v.assigned_partitions[v.assigned_partitions_count];

                if (!t) /* gone meanwhile */
                        continue;
                consumer_protocol_assignment_topic_init(to);
                to->topic = t->name;
                to->partitions = (int32_t *)set->topics[i].partitions;
                to->partitions_count = set->topics[i].partitions_count;
                v.assigned_partitions_count++;
        }
        len = 2 + consumer_protocol_assignment_size(&v, version);
        buf = arena_alloc(a, len);
        if (!buf)
                return -ENOMEM;
        w = writer_of(buf, len);
        writer_be16(&w, (uint16_t)version);
        consumer_protocol_assignment_encode(&v, &w, version);
        *ret_data = span_of(buf, len);
        return 0;
}
