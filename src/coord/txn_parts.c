/* The partitions that take part in a transaction: few topics, partitions in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/txn_priv.h"

static struct txn_topic *find_topic(const struct txn *t, struct str name)
{
        for (size_t i = 0; i < t->topics_count; i++)
                if (str_equal(t->topics[i].name, name))
                        return &t->topics[i];
        return NULL;
}

/* Where @partition is or belongs. */
static size_t place_of(const struct txn_topic *p, int32_t partition)
{
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (p->partitions[mid] < partition)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static bool has_partition(const struct txn_topic *p, int32_t partition)
{
        size_t i = place_of(p, partition);

        return i < p->count && p->partitions[i] == partition;
}

bool txn_has(const struct txn *t, struct str topic, int32_t partition)
{
        const struct txn_topic *p = find_topic(t, topic);

        return p && has_partition(p, partition);
}

size_t txn_part_len(struct str topic)
{
        return sizeof(struct txn_topic) + topic.len + sizeof(int32_t);
}

static struct txn_topic *add_topic(struct txn *t, struct str name)
{
        struct txn_topic *p;
        char *copy;

        if (t->topics_count == t->topics_size) {
                size_t size = t->topics_size ? t->topics_size * 2 : 4;
                struct txn_topic *topics = reallocarray(t->topics, size, sizeof *topics);

                if (!topics)
                        return NULL;
                t->topics = topics;
                t->topics_size = size;
        }
        copy = malloc(name.len + 1);
        if (!copy)
                return NULL;
        memcpy(copy, name.p, name.len);
        p = &t->topics[t->topics_count++];
        *p = (struct txn_topic){ .name = { copy, name.len } };
        t->parts_len += sizeof *p + name.len;
        t->owner->stats.memory += sizeof *p + name.len;
        return p;
}

int txn_put(struct txn *t, struct str topic, int32_t partition)
{
        struct txn_topic *p = find_topic(t, topic);
        size_t i;

        if (!p)
                p = add_topic(t, topic);
        if (!p)
                return -ENOMEM;
        if (has_partition(p, partition))
                return 0;
        if (p->count == p->size) {
                size_t size = p->size ? p->size * 2 : 4;
                int32_t *partitions = reallocarray(p->partitions, size, sizeof *partitions);

                if (!partitions)
                        return -ENOMEM;
                p->partitions = partitions;
                p->size = size;
        }
        i = place_of(p, partition);
        memmove(&p->partitions[i + 1], &p->partitions[i], (p->count - i) * sizeof *p->partitions);
        p->partitions[i] = partition;
        p->count++;
        t->partitions_count++;
        t->parts_len += sizeof partition;
        t->owner->stats.memory += sizeof partition;
        return 0;
}

void txn_clear(struct txn *t)
{
        for (size_t i = 0; i < t->topics_count; i++) {
                free((char *)t->topics[i].name.p);
                free(t->topics[i].partitions);
        }
        free(t->topics);
        t->owner->stats.memory -= t->parts_len;
        t->topics = NULL;
        t->topics_count = t->topics_size = t->partitions_count = t->parts_len = 0;
}
