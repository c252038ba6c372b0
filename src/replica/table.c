/* Hash table in shards, each under a read-write lock, so that lookups from many reactors seldom meet. */
#include "replica/table.h"

#include <errno.h>
#include <pthread.h>

#define HASH_NONFATAL_OOM 1 /* what could not be added has no hh.tbl; else uthash ends the process */
#include "base/hash.h"

enum { SHARDS_COUNT = 64 };

struct key {
        struct uuid topic_id;
        int32_t index;
};

struct entry {
        struct key key;
        struct partition *partition;
        UT_hash_handle hh;
};

struct shard {
        pthread_rwlock_t lock;
        struct entry *entries;
};

struct partition_table {
        struct shard shards[SHARDS_COUNT];
};

static struct shard *shard_of(struct partition_table *t, const struct key *key)
{
        uint32_t h;

        memcpy(&h, key->topic_id.b + 4, sizeof h); /* topic ids are random: any part of them spreads */
        return &t->shards[(h + (uint32_t)key->index) % SHARDS_COUNT];
}

static struct key key_of(struct uuid topic_id, int32_t index)
{
        struct key key;

        memset(&key, 0, sizeof key);
        key.topic_id = topic_id;
        key.index = index;
        return key;
}

int partition_table_new(struct partition_table **ret_table)
{
        struct partition_table *t = calloc(1, sizeof *t);

        if (!t)
                return -ENOMEM;
        for (int i = 0; i < SHARDS_COUNT; i++)
                pthread_rwlock_init(&t->shards[i].lock, NULL);
        *ret_table = t;
        return 0;
}

struct partition_table *partition_table_free(struct partition_table *t)
{
        if (!t)
                return NULL;
        for (int i = 0; i < SHARDS_COUNT; i++) {
                assert(!t->shards[i].entries);
                pthread_rwlock_destroy(&t->shards[i].lock);
        }
        free(t);
        return NULL;
}

int partition_table_put(struct partition_table *t, struct partition *p)
{
        struct entry *e = calloc(1, sizeof *e), *found;
        struct shard *s;

        if (!e)
                return -ENOMEM;
        e->key = key_of(partition_topic_id(p), partition_index(p));
        e->partition = p;
        s = shard_of(t, &e->key);
        pthread_rwlock_wrlock(&s->lock);
        HASH_FIND(hh, s->entries, &e->key, sizeof e->key, found);
        if (!found)
                HASH_ADD(hh, s->entries, key, sizeof e->key, e);
        pthread_rwlock_unlock(&s->lock);
        if (!found && e->hh.tbl)
                return 0;
        free(e);
        return found ? -EEXIST : -ENOMEM;
}

struct partition *partition_table_take(struct partition_table *t, struct uuid topic_id, int32_t index)
{
        struct key key = key_of(topic_id, index);
        struct shard *s = shard_of(t, &key);
        struct partition *p = NULL;
        struct entry *e;

        pthread_rwlock_wrlock(&s->lock);
        HASH_FIND(hh, s->entries, &key, sizeof key, e);
        if (e)
                HASH_DEL(s->entries, e);
        pthread_rwlock_unlock(&s->lock);
        if (e) {
                p = e->partition;
                free(e);
        }
        return p;
}

struct partition *partition_table_find(struct partition_table *t, struct uuid topic_id, int32_t index)
{
        struct key key = key_of(topic_id, index);
        struct shard *s = shard_of(t, &key);
        struct partition *p = NULL;
        struct entry *e;

        pthread_rwlock_rdlock(&s->lock);
        HASH_FIND(hh, s->entries, &key, sizeof key, e);
        if (e)
                p = partition_ref(e->partition);
        pthread_rwlock_unlock(&s->lock);
        return p;
}

/* The partitions of one shard, each with a reference. NULL with @ret_count 0 when empty; -ENOMEM as a count of -1. */
static struct partition **shard_snapshot(struct shard *s, int *ret_count)
{
        struct partition **list = NULL;
        struct entry *e, *next;
        int n = 0;

        pthread_rwlock_rdlock(&s->lock);
        if (s->entries) {
                list = calloc(HASH_COUNT(s->entries), sizeof *list);
                if (!list)
                        n = -1;
                HASH_ITER (hh, s->entries, e, next)
                        if (list)
                                list[n++] = partition_ref(e->partition);
        }
        pthread_rwlock_unlock(&s->lock);
        *ret_count = n;
        return list;
}

int partition_table_visit(struct partition_table *t, int (*fn)(void *arg, struct partition *p), void *arg)
{
        int r = 0;

        for (int i = 0; i < SHARDS_COUNT && r == 0; i++) {
                int count;
                struct partition **list = shard_snapshot(&t->shards[i], &count);

                if (count < 0)
                        return -ENOMEM;
                for (int k = 0; k < count; k++) {
                        if (r == 0)
                                r = fn(arg, list[k]);
                        partition_unref(list[k]);
                }
                free(list);
        }
        return r;
}

size_t partition_table_count(struct partition_table *t)
{
        size_t n = 0;

        for (int i = 0; i < SHARDS_COUNT; i++) {
                pthread_rwlock_rdlock(&t->shards[i].lock);
                n += HASH_COUNT(t->shards[i].entries);
                pthread_rwlock_unlock(&t->shards[i].lock);
        }
        return n;
}
