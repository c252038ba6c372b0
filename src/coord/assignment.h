/* Sets of partitions: what a member of a consumer group has, or shall have. A set is immutable and counted, so that what a member
 * shall have and what it has can be one; NULL is the empty set, of which nothing is counted. Pure; one thread at a time. */
#pragma once

#include "base/macros.h"
#include "base/uuid.h"

struct assignment_topic {
        struct uuid id;
        int32_t partitions_count;  /* 1.. */
        const int32_t *partitions; /* ascending, each once */
};

struct assignment {
        unsigned refs;
        uint32_t topics_count;
        size_t partitions_count;          /* of all topics */
        struct assignment_topic topics[]; /* by id, ascending, each once; then the partitions */
};

struct assignment *assignment_ref(struct assignment *a);
/* Returns NULL. */
struct assignment *assignment_unref(struct assignment *a);
DEFINE_FREEP(struct assignment, assignment_unref)

static inline bool assignment_is_empty(const struct assignment *a)
{
        return !a;
}

/* Partitions come in any order, also more than once. */
struct assignment_entry {
        struct uuid id;
        int32_t partition; /* 0.. */
};

/* @entries is sorted in place. Return: 0 or -ENOMEM; *@ret_set is one reference, NULL when there are none. */
int assignment_new(struct assignment_entry *entries, size_t count, struct assignment **ret_set);

/* The same partitions. */
bool assignment_equal(const struct assignment *a, const struct assignment *b);
/* Is the partition in it? */
bool assignment_has(const struct assignment *a, struct uuid id, int32_t partition);
/* The partitions of one topic; NULL when there are none. */
const struct assignment_topic *assignment_find(const struct assignment *a, struct uuid id);
/* Is every partition of @a in @b? */
bool assignment_is_subset(const struct assignment *a, const struct assignment *b);
/* Is a partition in both? */
bool assignment_meets(const struct assignment *a, const struct assignment *b);

/* Each gives one reference, which is that of an operand where the result equals it. Return: 0 or -ENOMEM. */
int assignment_and(struct assignment *a, struct assignment *b, struct assignment **ret_set);
int assignment_minus(struct assignment *a, struct assignment *b, struct assignment **ret_set);
int assignment_or(struct assignment *a, struct assignment *b, struct assignment **ret_set);
/* Those of @a for which @keep says so. */
int assignment_filter(struct assignment *a, bool (*keep)(void *arg, struct uuid id, int32_t partition), void *arg,
                      struct assignment **ret_set);

/* Bytes on the heap. */
size_t assignment_bytes(const struct assignment *a);
