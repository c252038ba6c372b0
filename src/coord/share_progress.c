/* How far a share group is in each partition (KIP-932): memory and records. */
#include <errno.h>

#include "coord/records.h"
#include "coord/share_priv.h"

/* What a partition is found by. */
struct part_key {
        struct uuid id;
        int32_t partition;
};
static_assert(sizeof(struct part_key) == sizeof(struct uuid) + sizeof(int32_t), "without gaps");

static struct str key_text(const struct part_key *k)
{
        return (struct str){ (const char *)k, sizeof *k };
}

static struct str id_text(const struct uuid *id)
{
        return (struct str){ (const char *)id->b, sizeof id->b };
}

struct share_group *share_group_new(struct group *g)
{
        struct share_group *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        map_init(&s->by_partition, g->owner->conf.hash_seed);
        map_init(&s->by_id, g->owner->conf.hash_seed);
        ilist_init(&s->topics);
        g->owner->stats.memory += sizeof *s;
        return s;
}

void share_group_free(struct group *g, struct share_group *s)
{
        if (!s)
                return;
        ilist_for_each (t, &s->topics, struct share_topic, link) {
                size_t left = t->parts_count; /* the topic goes with the last */

                while (left--)
                        share_drop(ilist_first(&t->parts, struct share_progress, link));
        }
        map_fini(&s->by_partition);
        map_fini(&s->by_id);
        g->owner->stats.memory -= sizeof *s;
        free(s);
}

bool share_is_blank(const struct share_group *s)
{
        return ilist_is_empty(&s->topics);
}

/* ---- find and add ---- */

struct share_topic *share_find_topic(const struct group *g, struct uuid id)
{
        for (struct map_node *n = map_first(&g->consumer->share->by_id, id_text(&id)); n; n = map_next_same(n)) {
                struct share_topic *t = container_of(n, struct share_topic, node);

                if (uuid_equal(t->id, id))
                        return t;
        }
        return NULL;
}

struct share_progress *share_find(const struct group *g, struct uuid id, int32_t partition)
{
        struct part_key key = { id, partition };

        for (struct map_node *n = map_first(&g->consumer->share->by_partition, key_text(&key)); n;
             n = map_next_same(n)) {
                struct share_progress *p = container_of(n, struct share_progress, node);

                if (p->partition == partition && uuid_equal(p->topic->id, id))
                        return p;
        }
        return NULL;
}

static struct share_topic *add_topic(struct group *g, struct uuid id)
{
        struct share_topic *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->group = g;
        t->id = id;
        ilist_init(&t->link);
        ilist_init(&t->parts);
        if (map_insert(&g->consumer->share->by_id, &t->node, id_text(&id))) {
                free(t);
                return NULL;
        }
        ilist_push_back(&g->consumer->share->topics, &t->link);
        g->owner->stats.memory += sizeof *t;
        return t;
}

/* Drop a topic that has nothing. */
static void collect_topic(struct share_topic *t)
{
        if (t->parts_count)
                return;
        map_remove(&t->group->consumer->share->by_id, &t->node);
        ilist_unlink(&t->link);
        t->group->owner->stats.memory -= sizeof *t;
        free(t);
}

struct share_progress *share_get(struct group *g, struct uuid id, int32_t partition)
{
        struct part_key key = { id, partition };
        struct share_progress *p = share_find(g, id, partition);
        struct share_topic *t;

        if (p)
                return p;
        t = share_find_topic(g, id);
        if (!t)
                t = add_topic(g, id);
        if (!t)
                return NULL;
        p = calloc(1, sizeof *p);
        if (!p || map_insert(&g->consumer->share->by_partition, &p->node, key_text(&key))) {
                free(p);
                collect_topic(t);
                return NULL;
        }
        p->topic = t;
        p->partition = partition;
        p->start = COORD_SHARE_START_UNKNOWN;
        ilist_init(&p->link);
        ilist_push_back(&t->parts, &p->link);
        t->parts_count++;
        g->owner->stats.memory += sizeof *p;
        return p;
}

/* ---- change ---- */

int share_set_runs(struct share_progress *p, const struct coord_share_run *runs, int32_t count)
{
        struct groups *gs = p->topic->group->owner;
        struct coord_share_run *copy = NULL;

        if (count) {
                copy = malloc(sizeof *copy * (size_t)count);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, runs, sizeof *copy * (size_t)count);
        }
        gs->stats.memory += sizeof *copy * (size_t)count - sizeof *copy * (size_t)p->runs_count;
        free(p->runs);
        p->runs = copy;
        p->runs_count = count;
        return 0;
}

void share_renew(struct share_progress *p)
{
        struct groups *gs = p->topic->group->owner;
        struct uuid u = gs->conf.new_uuid(gs->conf.new_uuid_arg);
        uint32_t by_chance = 0;

        for (unsigned i = 0; i < sizeof u.b; i++)
                by_chance = by_chance * 31 + u.b[i];
        by_chance &= INT32_MAX;
        if ((int32_t)by_chance == p->state_epoch)
                by_chance ^= 1;
        p->state_epoch = (int32_t)by_chance;
        p->number = 0;
}

bool share_runs_are_sound(int64_t start, const struct coord_share_run *runs, int32_t count)
{
        int64_t next = start;

        if (count < 0 || start < COORD_SHARE_START_UNKNOWN || (start == COORD_SHARE_START_UNKNOWN && count))
                return false;
        for (int32_t i = 0; i < count; i++) {
                const struct coord_share_run *r = &runs[i];

                if (r->first < next || r->last < r->first || r->last == INT64_MAX || r->deliveries < 0 ||
                    (r->state != 0 && r->state != 2 && r->state != 4))
                        return false;
                next = r->last + 1;
        }
        return true;
}

void share_drop(struct share_progress *p)
{
        struct share_topic *t;
        struct group *g;

        assert(p);
        t = p->topic;
        g = t->group;
        (void)share_set_runs(p, NULL, 0); /* takes no memory */
        map_remove(&g->consumer->share->by_partition, &p->node);
        ilist_unlink(&p->link);
        t->parts_count--;
        g->owner->stats.memory -= sizeof *p;
        free(p);
        collect_topic(t);
}

/* ---- records ---- */

static bool fill(const struct share_progress *p, struct arena *a, struct share_progress_value *ret)
{
        share_progress_value_init(ret);
        ret->state_epoch = p->state_epoch;
        ret->leader_epoch = p->leader_epoch;
        ret->write_number = p->number;
        ret->start = p->start;
        ret->runs = ARENA_NEW_ARRAY(a, struct share_progress_value_run, p->runs_count);
        ret->runs_count = p->runs_count;
        for (int32_t i = 0; ret->runs && i < p->runs_count; i++)
                ret->runs[i] = (struct share_progress_value_run){ .first = p->runs[i].first,
                                                                  .last = p->runs[i].last,
                                                                  .state = p->runs[i].state,
                                                                  .deliveries = p->runs[i].deliveries };
        return ret->runs;
}

static void write_key(struct share_progress *p, bool ok, struct span value)
{
        struct group *g = p->topic->group;
        struct groups *gs = g->owner;
        struct span key = SPAN_NULL;

        if (!ok || records_encode_share_progress_key(g->id, p->topic->id, p->partition, &gs->acts->arena, &key))
                key = SPAN_NULL; /* latches the failure */
        groups_record(gs, key, value);
        p->seq = groups_seq(gs);
}

void share_record(struct share_progress *p)
{
        struct arena *a = &p->topic->group->owner->acts->arena;
        struct share_progress_value v;
        struct span value = SPAN_NULL;

        write_key(p, fill(p, a, &v) && !records_encode_share_progress(&v, a, &value), value);
}

void share_bury_topic(struct share_topic *t)
{
        size_t left = t->parts_count; /* the topic goes with the last */

        while (left--) {
                struct share_progress *p = ilist_first(&t->parts, struct share_progress, link);

                write_key(p, true, SPAN_NULL);
                share_drop(p);
        }
}

void share_bury_all(struct group *g)
{
        ilist_for_each (t, &g->consumer->share->topics, struct share_topic, link)
                share_bury_topic(t);
}

void share_bury_gone(struct group *g, const struct meta_image *image)
{
        ilist_for_each (t, &g->consumer->share->topics, struct share_topic, link)
                if (!meta_image_topic_by_id(image, t->id))
                        share_bury_topic(t);
}
