#include "coord/assignment.h"

#include <errno.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
        const struct assignment_entry *x = a, *y = b;
        int r = memcmp(x->id.b, y->id.b, sizeof x->id.b);

        return r ? r : (x->partition > y->partition) - (x->partition < y->partition);
}

struct assignment *assignment_ref(struct assignment *a)
{
        if (a)
                a->refs++;
        return a;
}

struct assignment *assignment_unref(struct assignment *a)
{
        if (a && !--a->refs)
                free(a);
        return NULL;
}

/* @entries: ascending, each once. */
static int make(const struct assignment_entry *entries, size_t count, struct assignment **ret_set)
{
        size_t topics = 0;
        struct assignment *a;
        int32_t *partition;

        *ret_set = NULL;
        if (!count)
                return 0;
        for (size_t i = 0; i < count; i++)
                topics += !i || !uuid_equal(entries[i - 1].id, entries[i].id);
        a = malloc(sizeof *a + topics * sizeof a->topics[0] + count * sizeof *partition);
        if (!a)
                return -ENOMEM;
        *a = (struct assignment){ .refs = 1, .partitions_count = count };
        partition = (int32_t *)&a->topics[topics];
        for (size_t i = 0; i < count; i++) {
                if (!i || !uuid_equal(entries[i - 1].id, entries[i].id))
                        a->topics[a->topics_count++] = (struct assignment_topic){ entries[i].id, 0, partition };
                *partition++ = entries[i].partition;
                a->topics[a->topics_count - 1].partitions_count++;
        }
        *ret_set = a;
        return 0;
}

int assignment_new(struct assignment_entry *entries, size_t count, struct assignment **ret_set)
{
        size_t kept = 0;

        if (count)
                qsort(entries, count, sizeof *entries, compare);
        for (size_t i = 0; i < count; i++)
                if (!kept || compare(&entries[kept - 1], &entries[i]) != 0)
                        entries[kept++] = entries[i];
        return make(entries, kept, ret_set);
}

size_t assignment_bytes(const struct assignment *a)
{
        return a ? sizeof *a + a->topics_count * sizeof a->topics[0] + a->partitions_count * sizeof(int32_t) : 0;
}

/* ---- asking ---- */

static int by_id(const void *id, const void *topic)
{
        return memcmp(id, &((const struct assignment_topic *)topic)->id, sizeof(struct uuid));
}

static int by_number(const void *a, const void *b)
{
        int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

        return (x > y) - (x < y);
}

const struct assignment_topic *assignment_find(const struct assignment *a, struct uuid id)
{
        return a ? bsearch(&id, a->topics, a->topics_count, sizeof a->topics[0], by_id) : NULL;
}

bool assignment_has(const struct assignment *a, struct uuid id, int32_t partition)
{
        const struct assignment_topic *t = assignment_find(a, id);

        return t && bsearch(&partition, t->partitions, (size_t)t->partitions_count, sizeof partition, by_number);
}

bool assignment_equal(const struct assignment *a, const struct assignment *b)
{
        if (a == b)
                return true;
        if (!a || !b || a->topics_count != b->topics_count || a->partitions_count != b->partitions_count)
                return false;
        for (uint32_t i = 0; i < a->topics_count; i++) {
                const struct assignment_topic *x = &a->topics[i], *y = &b->topics[i];

                if (!uuid_equal(x->id, y->id) || x->partitions_count != y->partitions_count ||
                    memcmp(x->partitions, y->partitions, sizeof *x->partitions * (size_t)x->partitions_count) != 0)
                        return false;
        }
        return true;
}

/* ---- two sets, side by side ---- */

struct place {
        const struct assignment *a;
        uint32_t topic;
        int32_t partition; /* of the topic's list */
};

static bool at_end(const struct place *p)
{
        return !p->a || p->topic == p->a->topics_count;
}

static struct assignment_entry entry(const struct place *p)
{
        const struct assignment_topic *t = &p->a->topics[p->topic];

        return (struct assignment_entry){ t->id, t->partitions[p->partition] };
}

static void advance(struct place *p)
{
        if (++p->partition == p->a->topics[p->topic].partitions_count) {
                p->topic++;
                p->partition = 0;
        }
}

/* The next partition that is in either, and which of them have it. Return: false at the end. */
static bool next(struct place *a, struct place *b, struct assignment_entry *ret, bool *ret_in_a, bool *ret_in_b)
{
        struct assignment_entry x, y;
        int r;

        if (at_end(a) && at_end(b))
                return false;
        if (!at_end(a))
                x = entry(a);
        if (!at_end(b))
                y = entry(b);
        r = at_end(a) ? 1 : at_end(b) ? -1 : compare(&x, &y);
        *ret = r <= 0 ? x : y;
        *ret_in_a = r <= 0;
        *ret_in_b = r >= 0;
        if (*ret_in_a)
                advance(a);
        if (*ret_in_b)
                advance(b);
        return true;
}

bool assignment_is_subset(const struct assignment *a, const struct assignment *b)
{
        struct place x = { a }, y = { b };
        struct assignment_entry e;
        bool in_a, in_b;

        while (next(&x, &y, &e, &in_a, &in_b))
                if (in_a && !in_b)
                        return false;
        return true;
}

bool assignment_meets(const struct assignment *a, const struct assignment *b)
{
        struct place x = { a }, y = { b };
        struct assignment_entry e;
        bool in_a, in_b;

        while (next(&x, &y, &e, &in_a, &in_b))
                if (in_a && in_b)
                        return true;
        return false;
}

enum { ONLY_A = 1, ONLY_B = 2, BOTH = 4 };

static int combine(struct assignment *a, struct assignment *b, unsigned wanted, struct assignment **ret_set)
{
        size_t a_count = a ? a->partitions_count : 0, b_count = b ? b->partitions_count : 0, count = 0;
        struct assignment_entry e, *entries = malloc(sizeof e * (a_count + b_count + 1));
        struct place x = { a }, y = { b };
        bool in_a, in_b, all_a = true, all_b = true;
        int r = 0;

        if (!entries)
                return -ENOMEM;
        while (next(&x, &y, &e, &in_a, &in_b)) {
                bool taken = wanted & (in_a && in_b ? BOTH : in_a ? ONLY_A : ONLY_B);

                if (taken)
                        entries[count++] = e;
                all_a &= taken == in_a;
                all_b &= taken == in_b;
        }
        if (all_a)
                *ret_set = assignment_ref(a);
        else if (all_b)
                *ret_set = assignment_ref(b);
        else
                r = make(entries, count, ret_set);
        free(entries);
        return r;
}

int assignment_and(struct assignment *a, struct assignment *b, struct assignment **ret_set)
{
        return combine(a, b, BOTH, ret_set);
}

int assignment_minus(struct assignment *a, struct assignment *b, struct assignment **ret_set)
{
        return combine(a, b, ONLY_A, ret_set);
}

int assignment_or(struct assignment *a, struct assignment *b, struct assignment **ret_set)
{
        return combine(a, b, ONLY_A | ONLY_B | BOTH, ret_set);
}

int assignment_filter(struct assignment *a, bool (*keep)(void *arg, struct uuid id, int32_t partition), void *arg,
                      struct assignment **ret_set)
{
        struct assignment_entry *entries;
        size_t count = 0;
        int r = 0;

        *ret_set = NULL;
        if (!a)
                return 0;
        entries = malloc(sizeof *entries * a->partitions_count);
        if (!entries)
                return -ENOMEM;
        for (struct place p = { a }; !at_end(&p); advance(&p)) {
                struct assignment_entry e = entry(&p);

                if (keep(arg, e.id, e.partition))
                        entries[count++] = e;
        }
        if (count == a->partitions_count)
                *ret_set = assignment_ref(a);
        else
                r = make(entries, count, ret_set);
        free(entries);
        return r;
}
