/* Who of a consumer group shall have what: asked of the assignor when the group's epoch has grown (KIP-848). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"

/* What members with the same names and the same expression are subscribed to. */
struct subscription {
        const struct consumer_names *names;
        const struct consumer_regex *regex;
        struct assignor_subscription of;
};

struct target {
        struct group *g;
        const struct meta_image *image;
        struct arena arena;
        struct assignor_topic *topics;
        uint32_t topics_count;
        struct subscription *subscriptions;
        uint32_t subscriptions_count;
        struct consumer_member **members;
        struct assignor_member *asked;
        uint32_t members_count;
};

/* ---- topics ---- */

static int by_id(const void *a, const void *b)
{
        return memcmp(&((const struct assignor_topic *)a)->id, &((const struct assignor_topic *)b)->id,
                      sizeof(struct uuid));
}

static void add_topics(struct target *t, const struct consumer_names *n)
{
        for (uint32_t i = 0; i < n->count; i++) {
                const struct meta_topic *topic = meta_image_topic(t->image, n->names[i]);

                if (topic)
                        t->topics[t->topics_count++] =
                                (struct assignor_topic){ topic->id, (int32_t)topic->partitions_count };
        }
}

/* All that anybody is subscribed to, each once. */
static bool gather_topics(struct target *t)
{
        struct consumer *c = t->g->consumer;
        uint32_t most = 0, count = 0;

        ilist_for_each (n, &c->names, struct consumer_names, link)
                most += n->count;
        ilist_for_each (r, &c->regexes, struct consumer_regex, link)
                most += r->found->count;
        t->topics = ARENA_NEW_ARRAY(&t->arena, struct assignor_topic, most);
        if (!t->topics)
                return false;
        ilist_for_each (n, &c->names, struct consumer_names, link)
                add_topics(t, n);
        ilist_for_each (r, &c->regexes, struct consumer_regex, link)
                add_topics(t, r->found);
        qsort(t->topics, t->topics_count, sizeof *t->topics, by_id);
        for (uint32_t i = 0; i < t->topics_count; i++)
                if (!count || !uuid_equal(t->topics[count - 1].id, t->topics[i].id))
                        t->topics[count++] = t->topics[i];
        t->topics_count = count;
        return true;
}

/* ---- subscriptions ---- */

static int by_index(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

static uint32_t add_indices(const struct target *t, const struct consumer_names *n, uint32_t *indices, uint32_t count)
{
        for (uint32_t i = 0; n && i < n->count; i++) {
                const struct meta_topic *topic = meta_image_topic(t->image, n->names[i]);
                const struct assignor_topic *found;
                struct assignor_topic key;

                if (!topic)
                        continue;
                key.id = topic->id;
                found = bsearch(&key, t->topics, t->topics_count, sizeof key, by_id);
                indices[count++] = (uint32_t)(found - t->topics);
        }
        return count;
}

static bool fill_subscription(struct target *t, struct subscription *s)
{
        const struct consumer_names *found = s->regex ? s->regex->found : NULL;
        uint32_t *indices = ARENA_NEW_ARRAY(&t->arena, uint32_t, s->names->count + (found ? found->count : 0));
        uint32_t count, kept = 0;

        if (!indices)
                return false;
        count = add_indices(t, found, indices, add_indices(t, s->names, indices, 0));
        qsort(indices, count, sizeof *indices, by_index);
        for (uint32_t i = 0; i < count; i++)
                if (!kept || indices[kept - 1] != indices[i])
                        indices[kept++] = indices[i];
        s->of = (struct assignor_subscription){ indices, kept };
        return true;
}

/* Find or add. Groups have few different ones; where each member has its own this is quadratic in thousands, not more. */
static const struct assignor_subscription *subscription_of(struct target *t, const struct consumer_member *m)
{
        struct subscription *s;

        for (uint32_t i = 0; i < t->subscriptions_count; i++) {
                s = &t->subscriptions[i];
                if (s->names == m->names && s->regex == m->regex)
                        return &s->of;
        }
        s = &t->subscriptions[t->subscriptions_count++];
        s->names = m->names;
        s->regex = m->regex;
        return fill_subscription(t, s) ? &s->of : NULL;
}

/* ---- members ---- */

static struct str order_of(const struct consumer_member *m)
{
        return str_is_null(m->instance_id) ? m->id : m->instance_id; /* a static one keeps its place under a new id */
}

static int by_order(const void *a, const void *b)
{
        return str_compare(order_of(*(struct consumer_member *const *)a),
                           order_of(*(struct consumer_member *const *)b));
}

static bool gather_members(struct target *t)
{
        struct consumer *c = t->g->consumer;

        t->members = ARENA_NEW_ARRAY(&t->arena, struct consumer_member *, c->members_count);
        t->asked = ARENA_NEW_ARRAY(&t->arena, struct assignor_member, c->members_count);
        t->subscriptions = ARENA_NEW_ARRAY(&t->arena, struct subscription, c->members_count);
        if (!t->members || !t->asked || !t->subscriptions)
                return false;
        ilist_for_each (m, &c->members, struct consumer_member, link)
                t->members[t->members_count++] = m;
        qsort(t->members, t->members_count, sizeof(struct consumer_member *), by_order);
        for (uint32_t i = 0; i < t->members_count; i++) {
                t->asked[i] = (struct assignor_member){ .subscription = subscription_of(t, t->members[i]),
                                                        .before = t->members[i]->target };
                if (!t->asked[i].subscription)
                        return false;
        }
        return true;
}

/* ---- the target ---- */

static void set_targets(struct target *t)
{
        for (uint32_t i = 0; i < t->members_count; i++) {
                struct consumer_member *m = t->members[i];
                bool changed = !assignment_equal(m->target, t->asked[i].ret_after);

                assignment_unref(m->target);
                m->target = t->asked[i].ret_after;
                if (assignment_equal(m->target, m->assigned)) { /* one set in memory */
                        assignment_unref(m->target);
                        m->target = assignment_ref(m->assigned);
                }
                consumer_member_charge(m);
                if (changed)
                        consumer_target_record(m);
        }
}

void consumer_record_target_epoch(struct group *g)
{
        struct groups *gs = g->owner;
        struct span key = SPAN_NULL, value = SPAN_NULL;

        if (records_encode_consumer_epoch(g->consumer->target_epoch, gs->now.wall_ms, &gs->acts->arena, &value) ||
            records_encode_consumer_key(consumer_kind(g, RECORDS_CONSUMER_TARGET), g->id, STR_NULL, &gs->acts->arena,
                                        &key))
                key = SPAN_NULL; /* latches the failure */
        groups_record(gs, key, value);
        g->state_seq = groups_seq(gs);
}

void consumer_retarget(struct group *g, const struct meta_image *image)
{
        struct target t = { .g = g, .image = image };

        if (g->consumer->epoch == g->consumer->target_epoch)
                return;
        arena_init(&t.arena, 0);
        if (gather_topics(&t) && gather_members(&t) &&
            !consumer_assignor(g)->assign(t.topics, t.topics_count, t.asked, t.members_count)) {
                set_targets(&t);
                g->consumer->target_epoch = g->consumer->epoch;
                consumer_record_target_epoch(g);
        } else {
                groups_fail(g->owner, -ENOMEM);
        }
        arena_fini(&t.arena);
}
