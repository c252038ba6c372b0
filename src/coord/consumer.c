/* Life of a group whose members the coordinator assigns to (KIP-848): its states, its epochs, and who is in it. */
#include <errno.h>
#include <string.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"
#include "coord/share_priv.h"

/* The first is the one of those who want none. */
static const struct consumer_assignor assignors[] = { { "uniform", assignor_uniform }, { "range", assignor_range } };
static const struct consumer_assignor of_share = { "simple", assignor_simple };

int consumer_new(struct group *g, bool share)
{
        struct consumer *c = calloc(1, sizeof *c);

        assert(!g->consumer);
        if (!c || (share && !(c->share = share_group_new(g)))) {
                free(c);
                return -ENOMEM;
        }
        ilist_init(&c->members);
        ilist_init(&c->names);
        ilist_init(&c->regexes);
        map_init(&c->by_id, g->owner->conf.hash_seed);
        map_init(&c->by_instance, g->owner->conf.hash_seed);
        map_init(&c->owners, g->owner->conf.hash_seed);
        c->epoch = c->target_epoch = CONSUMER_EPOCH_NEW;
        c->seen_index = -1;
        g->consumer = c;
        g->owner->stats.memory += sizeof *c;
        return 0;
}

static void free_owners(struct consumer *c)
{
        for (size_t i = 0; i < c->owners.buckets_count; i++)
                for (struct map_node *n = c->owners.buckets[i], *next; n; n = next) {
                        struct consumer_owners *o = container_of(n, struct consumer_owners, node);

                        next = n->next;
                        free(o->owners);
                        free(o);
                }
        map_fini(&c->owners);
}

void consumer_free(struct group *g)
{
        struct consumer *c = g->consumer;

        if (!c)
                return;
        ilist_for_each (m, &c->members, struct consumer_member, link)
                consumer_member_free(m);
        ilist_for_each (r, &c->regexes, struct consumer_regex, link) { /* of records that nobody is subscribed to */
                r->members_count = 1;
                consumer_regex_put(g, r, false);
        }
        share_group_free(g, c->share);
        map_fini(&c->by_id);
        map_fini(&c->by_instance);
        free_owners(c);
        group_config_fini(&c->config);
        g->owner->stats.memory -= sizeof *c;
        g->consumer = NULL;
        free(c);
}

bool consumer_is_blank(const struct group *g)
{
        const struct consumer *c = g->consumer;

        return !g->has_record && !c->members_count && (!c->share || share_is_blank(c->share));
}

const struct group_settings *consumer_settings(const struct group *g)
{
        struct groups *gs = g->owner;

        if (!gs->conf.image)
                return &gs->conf.rules.unset;
        return group_config_get(&g->consumer->config, &gs->conf.rules, groups_image(gs), g->id);
}

/* ---- states ---- */

static bool is_reconciled(const struct consumer_member *m)
{
        return m->state == CONSUMER_STABLE && m->epoch == m->group->consumer->target_epoch;
}

enum coord_group_state consumer_state(const struct group *g)
{
        const struct consumer *c = g->consumer;

        if (g->state == COORD_GROUP_DEAD || !c->members_count)
                return g->state;
        if (c->share) /* as in Kafka: nobody waits for anybody */
                return COORD_GROUP_STABLE;
        if (c->epoch > c->target_epoch)
                return COORD_GROUP_ASSIGNING;
        ilist_for_each (m, &c->members, struct consumer_member, link)
                if (!is_reconciled(m))
                        return COORD_GROUP_RECONCILING;
        return COORD_GROUP_STABLE;
}

void consumer_sync_state(struct group *g)
{
        /* Which of the states of a group that has members it is, depends on all of them: told when somebody asks. */
        enum coord_group_state to = g->consumer->members_count ? COORD_GROUP_RECONCILING : COORD_GROUP_EMPTY;

        if (g->state != to)
                group_set_state(g, to);
}

/* ---- who is in it ---- */

struct consumer_member *consumer_find(const struct group *g, struct str id)
{
        for (struct map_node *n = map_first(&g->consumer->by_id, id); n; n = map_next_same(n)) {
                struct consumer_member *m = container_of(n, struct consumer_member, by_id);

                if (str_equal(m->id, id))
                        return m;
        }
        return NULL;
}

struct consumer_member *consumer_find_instance(const struct group *g, struct str instance_id)
{
        for (struct map_node *n = map_first(&g->consumer->by_instance, instance_id); n; n = map_next_same(n)) {
                struct consumer_member *m = container_of(n, struct consumer_member, by_instance);

                if (str_equal(m->instance_id, instance_id))
                        return m;
        }
        return NULL;
}

bool consumer_is_subscribed(const struct group *g, struct str topic)
{
        ilist_for_each (n, &g->consumer->names, struct consumer_names, link)
                if (consumer_names_have(n, topic))
                        return true;
        ilist_for_each (r, &g->consumer->regexes, struct consumer_regex, link)
                if (consumer_names_have(r->found, topic))
                        return true;
        return false;
}

/* ---- assignors ---- */

bool consumer_has_assignor(struct str name)
{
        for (unsigned i = 0; i < ARRAY_LEN(assignors); i++)
                if (str_equal(name, str_of(assignors[i].name)))
                        return true;
        return false;
}

const struct consumer_assignor *consumer_assignor(const struct group *g)
{
        unsigned votes[ARRAY_LEN(assignors)] = { 0 }, best = 0;

        if (g->consumer->share)
                return &of_share;
        ilist_for_each (m, &g->consumer->members, struct consumer_member, link)
                for (unsigned i = 0; i < ARRAY_LEN(assignors); i++)
                        votes[i] += !str_is_null(m->assignor) && str_equal(m->assignor, str_of(assignors[i].name));
        for (unsigned i = 1; i < ARRAY_LEN(assignors); i++)
                if (votes[i] > votes[best])
                        best = i;
        return &assignors[best];
}

/* ---- its records ---- */

enum records_kind consumer_kind(const struct group *g, enum records_kind kind)
{
        return g->consumer->share ? kind + (RECORDS_SHARE_GROUP - RECORDS_CONSUMER_GROUP) : kind;
}

void consumer_record(struct group *g)
{
        struct groups *gs = g->owner;
        struct arena *a = &gs->acts->arena;
        struct consumer_group_metadata_value v;
        struct span key = SPAN_NULL, value = SPAN_NULL;

        consumer_group_metadata_value_init(&v);
        v.epoch = g->consumer->epoch;
        v.metadata_hash = g->consumer->metadata_hash;
        if ((g->consumer->share ? records_encode_share_group(&v, a, &value)
                                : records_encode_consumer_group(&v, a, &value)) ||
            records_encode_consumer_key(consumer_kind(g, RECORDS_CONSUMER_GROUP), g->id, STR_NULL, a, &key))
                key = SPAN_NULL;
        groups_record(gs, key, value);
        g->has_record = true;
        g->state_seq = groups_seq(gs);
}

void consumer_bump(struct group *g)
{
        g->consumer->epoch = g->consumer->epoch == INT32_MAX ? 1 : g->consumer->epoch + 1;
        g->owner->stats.rebalances++;
        consumer_record(g);
}

void consumer_bury_records(struct group *g)
{
        struct arena *a = &g->owner->acts->arena;
        struct span key;

        ilist_for_each (r, &g->consumer->regexes, struct consumer_regex, link) {
                r->members_count = 1;
                consumer_regex_put(g, r, true);
        }
        if (g->consumer->share)
                share_bury_all(g);
        for (unsigned i = 0; i < 2; i++) {
                key = SPAN_NULL;
                (void)records_encode_consumer_key(
                        consumer_kind(g, i ? RECORDS_CONSUMER_GROUP : RECORDS_CONSUMER_TARGET), g->id, STR_NULL, a,
                        &key); /* a null key latches the failure */
                groups_record(g->owner, key, SPAN_NULL);
        }
}
