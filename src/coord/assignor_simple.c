/* Who of a share group shall have which partitions (KIP-932): several members may have one.
 *
 * Each topic is dealt by the uniform assignor as if it had its partitions several times, often enough that there is one for each member; who gets
 * one twice has it once. How often, k: for members of subscription s let N be the number of members that are subscribed to some topic of s, and P
 * the partitions of those topics. With k * P >= N there is one for each of them: where a member had none, N - 1 others would have all of those, one
 * of them two, and the uniform assignor lets nobody have two that another could have who has none. N is not counted, but
 * bounded by the sum of the subscribers of each topic, and by all members. */
#include <errno.h>

#include "base/arena.h"
#include "coord/assignor.h"

struct simple {
        const struct assignor_topic *topics;
        size_t topics_count;
        const struct assignor_member *members;
        size_t members_count;
        struct arena arena;
        struct assignor_topic *dealt; /* with the partitions that are dealt */
        size_t *first;  /* where each topic's partitions begin in @given; one more than there are topics */
        int32_t *given; /* how often each partition was found in what members had before */
        struct assignor_member *asked;
};

static const struct assignor_subscription *sub(const struct simple *s, size_t member)
{
        return s->members[member].subscription;
}

/* ---- how often ---- */

static bool count_times(const struct simple *s, int32_t *times)
{
        struct arena *a = (struct arena *)&s->arena;
        size_t *subscribers = ARENA_NEW_ARRAY(a, size_t, s->topics_count);

        if (!subscribers)
                return false;
        for (size_t m = 0; m < s->members_count; m++)
                for (uint32_t i = 0; i < sub(s, m)->topics_count; i++)
                        subscribers[sub(s, m)->topics[i]]++;
        for (size_t t = 0; t < s->topics_count; t++)
                times[t] = 1;
        for (size_t m = 0; m < s->members_count; m++) {
                size_t wanting = 0, parts = 0, k;

                if (m && sub(s, m) == sub(s, m - 1)) /* most have the same */
                        continue;
                for (uint32_t i = 0; i < sub(s, m)->topics_count; i++) {
                        wanting += subscribers[sub(s, m)->topics[i]];
                        parts += (size_t)s->topics[sub(s, m)->topics[i]].partitions_count;
                }
                wanting = MIN2(wanting, s->members_count);
                k = parts ? (wanting + parts - 1) / parts : 0;
                for (uint32_t i = 0; i < sub(s, m)->topics_count; i++)
                        times[sub(s, m)->topics[i]] = MAX2(times[sub(s, m)->topics[i]], (int32_t)k);
        }
        return true;
}

static bool begin(struct simple *s)
{
        int32_t *times = ARENA_NEW_ARRAY(&s->arena, int32_t, s->topics_count);
        size_t total = 0;

        s->dealt = ARENA_NEW_ARRAY(&s->arena, struct assignor_topic, s->topics_count);
        s->first = ARENA_NEW_ARRAY(&s->arena, size_t, s->topics_count + 1);
        s->asked = ARENA_NEW_ARRAY(&s->arena, struct assignor_member, s->members_count);
        if (!times || !s->dealt || !s->first || !s->asked || !count_times(s, times))
                return false;
        for (size_t t = 0; t < s->topics_count; t++) {
                s->dealt[t] = (struct assignor_topic){ s->topics[t].id, s->topics[t].partitions_count * times[t] };
                s->first[t] = total;
                total += (size_t)s->topics[t].partitions_count;
        }
        s->first[s->topics_count] = total;
        s->given = ARENA_NEW_ARRAY(&s->arena, int32_t, total);
        return s->given;
}

/* ---- what members had ---- */

/* As one of the times that a partition is dealt: the first that is not another's. */
static bool claim(struct simple *s, uint32_t topic, int32_t partition, struct assignment_entry *ret)
{
        int32_t parts = s->topics[topic].partitions_count, *given;

        if (partition >= parts)
                return false;
        given = &s->given[s->first[topic] + (size_t)partition];
        if (*given >= s->dealt[topic].partitions_count / parts)
                return false;
        *ret = (struct assignment_entry){ s->topics[topic].id, partition + parts * (*given)++ };
        return true;
}

static int had(struct simple *s, size_t member, struct assignment **ret)
{
        const struct assignment *before = s->members[member].before;
        struct assignment_entry *entries;
        size_t count = 0;

        *ret = NULL;
        if (!before)
                return 0;
        entries = ARENA_NEW_ARRAY(&s->arena, struct assignment_entry, before->partitions_count);
        if (!entries)
                return -ENOMEM;
        for (uint32_t i = 0; i < sub(s, member)->topics_count; i++) {
                uint32_t topic = sub(s, member)->topics[i];
                const struct assignment_topic *t = assignment_find(before, s->topics[topic].id);

                for (int32_t p = 0; t && p < t->partitions_count; p++)
                        count += claim(s, topic, t->partitions[p], &entries[count]);
        }
        return assignment_new(entries, count, ret);
}

/* ---- what they get ---- */

static int get(struct simple *s, size_t member, struct assignment **ret)
{
        const struct assignment *dealt = s->asked[member].ret_after;
        struct assignment_entry *entries;
        size_t count = 0;
        uint32_t i = 0;
        int r;

        *ret = NULL;
        if (!dealt)
                return 0;
        entries = ARENA_NEW_ARRAY(&s->arena, struct assignment_entry, dealt->partitions_count);
        if (!entries)
                return -ENOMEM;
        for (size_t t = 0; t < s->topics_count && i < dealt->topics_count; t++) {
                if (!uuid_equal(s->topics[t].id, dealt->topics[i].id)) /* both are by id */
                        continue;
                for (int32_t p = 0; p < dealt->topics[i].partitions_count; p++)
                        entries[count++] =
                                (struct assignment_entry){ s->topics[t].id, dealt->topics[i].partitions[p] %
                                                                                    s->topics[t].partitions_count };
                i++;
        }
        r = assignment_new(entries, count, ret);
        if (!r && assignment_equal(*ret, s->members[member].before)) {
                assignment_unref(*ret);
                *ret = assignment_ref(s->members[member].before);
        }
        return r;
}

int assignor_simple(const struct assignor_topic *topics, size_t topics_count, struct assignor_member *members,
                    size_t members_count)
{
        struct simple s = { topics, topics_count, members, members_count };
        int r;

        arena_init(&s.arena, 0);
        r = begin(&s) ? 0 : -ENOMEM;
        for (size_t m = 0; m < members_count; m++) {
                members[m].ret_after = NULL;
                if (!r)
                        s.asked[m].subscription = members[m].subscription;
        }
        for (size_t m = 0; !r && m < members_count; m++)
                r = had(&s, m, &s.asked[m].before);
        if (!r)
                r = assignor_uniform(s.dealt, topics_count, s.asked, members_count);
        for (size_t m = 0; !r && m < members_count; m++)
                r = get(&s, m, &members[m].ret_after);
        for (size_t m = 0; s.asked && m < members_count; m++) {
                assignment_unref(s.asked[m].before);
                assignment_unref(s.asked[m].ret_after);
                if (r)
                        members[m].ret_after = assignment_unref(members[m].ret_after);
        }
        arena_fini(&s.arena);
        return r;
}
