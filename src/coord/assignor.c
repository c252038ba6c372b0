/* Both assignors fill in a table with the owner of each partition of each topic; what they share is how it is made, and how the members' sets
 * are made of it. */
#include "coord/assignor.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"

enum { NOBODY = -1 };

struct work {
        const struct assignor_topic *topics;
        size_t topics_count;
        struct assignor_member *members;
        size_t members_count;
        struct arena arena;
        size_t *first;      /* where each topic's partitions begin in @owner; one more than there are topics */
        int32_t *owner;     /* of each partition: index of a member, or NOBODY */
        size_t *subs_first; /* where each topic's subscribers begin in @subs; one more than there are topics */
        uint32_t *subs;     /* indices of members, ascending */
        size_t *counts;     /* partitions of each member */
        bool *stuck;        /* of each member: nothing can be taken from it, as things are */
};

/* ---- the table ---- */

static bool list_subscribers(struct work *w)
{
        size_t *at = ARENA_NEW_ARRAY(&w->arena, size_t, w->topics_count + 1);
        size_t total = 0;

        w->subs_first = ARENA_NEW_ARRAY(&w->arena, size_t, w->topics_count + 1);
        if (!at || !w->subs_first)
                return false;
        for (size_t m = 0; m < w->members_count; m++)
                for (uint32_t i = 0; i < w->members[m].subscription->topics_count; i++)
                        at[w->members[m].subscription->topics[i]]++;
        for (size_t t = 0; t <= w->topics_count; t++) {
                w->subs_first[t] = total;
                total += at[t];
                at[t] = w->subs_first[t];
        }
        w->subs = ARENA_NEW_ARRAY(&w->arena, uint32_t, total);
        if (!w->subs)
                return false;
        for (size_t m = 0; m < w->members_count; m++)
                for (uint32_t i = 0; i < w->members[m].subscription->topics_count; i++)
                        w->subs[at[w->members[m].subscription->topics[i]]++] = (uint32_t)m;
        return true;
}

static bool begin(struct work *w, const struct assignor_topic *topics, size_t topics_count,
                  struct assignor_member *members, size_t members_count)
{
        size_t total = 0;

        *w = (struct work){ topics, topics_count, members, members_count };
        arena_init(&w->arena, 0);
        for (size_t m = 0; m < members_count; m++)
                members[m].ret_after = NULL;
        w->first = ARENA_NEW_ARRAY(&w->arena, size_t, topics_count + 1);
        w->counts = ARENA_NEW_ARRAY(&w->arena, size_t, members_count);
        w->stuck = ARENA_NEW_ARRAY(&w->arena, bool, members_count);
        if (!w->first || !w->counts || !w->stuck || !list_subscribers(w))
                return false;
        for (size_t t = 0; t < topics_count; t++) {
                w->first[t] = total;
                total += (size_t)topics[t].partitions_count;
        }
        w->first[topics_count] = total;
        w->owner = ARENA_NEW_ARRAY(&w->arena, int32_t, total);
        for (size_t i = 0; w->owner && i < total; i++)
                w->owner[i] = NOBODY;
        return w->owner;
}

static void give(struct work *w, size_t at, uint32_t member)
{
        if (w->owner[at] != NOBODY)
                w->counts[w->owner[at]]--;
        w->owner[at] = (int32_t)member;
        w->counts[member]++;
}

static int end(struct work *w, int r)
{
        for (size_t m = 0; r && m < w->members_count; m++)
                w->members[m].ret_after = assignment_unref(w->members[m].ret_after);
        arena_fini(&w->arena);
        return r;
}

/* The sets of all members, from the table. */
static int finish(struct work *w)
{
        size_t *at = ARENA_NEW_ARRAY(&w->arena, size_t, w->members_count), total = 0;
        struct assignment_entry *entries =
                ARENA_NEW_ARRAY(&w->arena, struct assignment_entry, w->first[w->topics_count]);
        int r = at && entries ? 0 : -ENOMEM;

        for (size_t m = 0; !r && m < w->members_count; m++) {
                at[m] = total;
                total += w->counts[m];
        }
        for (size_t t = 0; !r && t < w->topics_count; t++)
                for (size_t i = w->first[t]; i < w->first[t + 1]; i++)
                        if (w->owner[i] != NOBODY)
                                entries[at[w->owner[i]]++] =
                                        (struct assignment_entry){ w->topics[t].id, (int32_t)(i - w->first[t]) };
        for (size_t m = 0; !r && m < w->members_count; m++) {
                struct assignor_member *member = &w->members[m];

                r = assignment_new(entries + at[m] - w->counts[m], w->counts[m], &member->ret_after);
                if (!r && assignment_equal(member->before, member->ret_after)) {
                        assignment_unref(member->ret_after);
                        member->ret_after = assignment_ref(member->before);
                }
        }
        return end(w, r);
}

/* ---- range ---- */

int assignor_range(const struct assignor_topic *topics, size_t topics_count, struct assignor_member *members,
                   size_t members_count)
{
        struct work w;

        if (!begin(&w, topics, topics_count, members, members_count))
                return end(&w, -ENOMEM);
        for (size_t t = 0; t < topics_count; t++) {
                size_t subs = w.subs_first[t + 1] - w.subs_first[t], parts = w.first[t + 1] - w.first[t];
                size_t at = w.first[t];

                for (size_t s = 0; s < subs; s++)
                        for (size_t n = parts / subs + (s < parts % subs); n; n--)
                                give(&w, at++, w.subs[w.subs_first[t] + s]);
        }
        return finish(&w);
}

/* ---- uniform ---- */

/* What was assigned before stays with its member, where it still may. */
static void keep(struct work *w)
{
        for (size_t m = 0; m < w->members_count; m++) {
                const struct assignor_subscription *s = w->members[m].subscription;
                const struct assignment *before = w->members[m].before;
                uint32_t b = 0;

                /* Both are by topic id. */
                for (uint32_t i = 0; i < s->topics_count && before && b < before->topics_count;) {
                        const struct assignor_topic *t = &w->topics[s->topics[i]];
                        const struct assignment_topic *had = &before->topics[b];
                        int r = memcmp(had->id.b, t->id.b, sizeof t->id.b);

                        for (int32_t p = 0; !r && p < had->partitions_count; p++) {
                                size_t at = w->first[s->topics[i]] + (size_t)had->partitions[p];

                                if (had->partitions[p] < t->partitions_count && w->owner[at] == NOBODY)
                                        give(w, at, (uint32_t)m);
                        }
                        b += r <= 0;
                        i += r >= 0;
                }
        }
}

/* A subscriber with the fewest partitions; the topic has one. */
static uint32_t lightest(const struct work *w, size_t t)
{
        uint32_t best = w->subs[w->subs_first[t]];

        for (size_t s = w->subs_first[t]; s < w->subs_first[t + 1]; s++)
                if (w->counts[w->subs[s]] < w->counts[best])
                        best = w->subs[s];
        return best;
}

/* Partitions that nobody has. */
static void deal(struct work *w, size_t t)
{
        for (size_t i = w->first[t]; i < w->first[t + 1]; i++)
                if (w->owner[i] == NOBODY)
                        give(w, i, lightest(w, t));
}

static bool is_empty(const struct work *w, size_t t)
{
        return w->first[t] == w->first[t + 1] || w->subs_first[t] == w->subs_first[t + 1];
}

/* The most that anybody has of whom something may yet be taken. */
static size_t heaviest(const struct work *w)
{
        size_t most = 0;

        for (size_t m = 0; m < w->members_count; m++)
                if (!w->stuck[m])
                        most = MAX2(most, w->counts[m]);
        return most;
}

/* Take one partition after the other from those who have the most, the last ones first, so that members keep their first ones, and give each to
 * whoever may have it and has the fewest. Return: true when something was moved. */
static bool sweep(struct work *w)
{
        size_t most = heaviest(w);
        bool moved = false;

        for (size_t t = w->topics_count; t-- > 0;) {
                uint32_t to;

                if (is_empty(w, t))
                        continue;
                to = lightest(w, t);
                for (size_t i = w->first[t + 1]; i-- > w->first[t] && most >= w->counts[to] + 2;) {
                        if (w->stuck[w->owner[i]] || w->counts[w->owner[i]] != most)
                                continue;
                        give(w, i, to);
                        moved = true;
                        to = lightest(w, t);
                        most = heaviest(w);
                }
        }
        return moved;
}

/* Who has the most gives first: so nobody gives who is to get. Each move makes the sum of the squares of what members have smaller: it
 * comes to an end. Return: true when something was moved. */
static bool balance(struct work *w)
{
        bool moved = false;
        size_t most;

        memset(w->stuck, 0, w->members_count * sizeof *w->stuck);
        while ((most = heaviest(w)) > 1) {
                if (sweep(w)) {
                        moved = true;
                        continue;
                }
                for (size_t m = 0; m < w->members_count; m++)
                        w->stuck[m] |= w->counts[m] == most; /* whom nobody can take from, for now */
        }
        return moved;
}

/* Topics with few subscribers come first: where there is a choice, it is made last. */
static int by_subscribers(const void *a, const void *b, void *arg)
{
        const struct work *sorted = arg;
        size_t x = *(const size_t *)a, y = *(const size_t *)b;
        size_t x_subs = sorted->subs_first[x + 1] - sorted->subs_first[x];
        size_t y_subs = sorted->subs_first[y + 1] - sorted->subs_first[y];

        return x_subs != y_subs ? (x_subs > y_subs) - (x_subs < y_subs) : (x > y) - (x < y);
}

int assignor_uniform(const struct assignor_topic *topics, size_t topics_count, struct assignor_member *members,
                     size_t members_count)
{
        struct work w;
        size_t *order, count = 0;

        if (!begin(&w, topics, topics_count, members, members_count))
                return end(&w, -ENOMEM);
        order = ARENA_NEW_ARRAY(&w.arena, size_t, topics_count);
        if (!order)
                return end(&w, -ENOMEM);
        for (size_t t = 0; t < topics_count; t++)
                if (!is_empty(&w, t))
                        order[count++] = t;
        keep(&w);
        qsort_r(order, count, sizeof *order, by_subscribers, &w);
        for (size_t i = 0; i < count; i++)
                deal(&w, order[i]);
        while (balance(&w))
                ; /* what was moved may have made room for more */
        return finish(&w);
}
