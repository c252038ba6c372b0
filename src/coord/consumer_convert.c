/* A group changes its type while it has members (KIP-848, online migration): consumers are upgraded one by one, and while they are, classic
 * ones and new ones are in one group. */
#include <errno.h>

#include "coord/consumer_priv.h"
#include "coord/subscription.h"

/* ---- to a consumer group ---- */

struct read_member {
        struct subscription says;
        struct assignment *assigned;
};

static void drop_read(struct read_member *read, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                assignment_unref(read[i].says.owned);
                assignment_unref(read[i].assigned);
        }
}

static int read_one(const struct group *g, const struct group_member *m, struct arena *a, struct read_member *ret)
{
        const struct meta_image *image = groups_image(g->owner);
        int r = m->protocols_count ? subscription_read(m->protocols[0].metadata, image, a, &ret->says) : -EINVAL;

        return r ? r : subscription_read_assignment(m->assignment, image, a, &ret->assigned);
}

/* Whoever waits for an answer of the rebalance that ends now is to join again. */
static void answer_parked(struct group *g)
{
        struct groups *gs = g->owner;

        ilist_for_each (m, &g->members, struct group_member, link) {
                struct coord_join *join = TAKE_PTR(m->await_join);

                if (join)
                        join_reply_error(gs, g, join, m->id, COORD_E_REBALANCING);
                if (m->await_sync)
                        sync_reply(gs, m, COORD_E_REBALANCING);
        }
        timer_unset(&gs->timers, &g->join_timer);
        timer_unset(&gs->timers, &g->sync_timer);
        g->joining_count = 0;
}

static int take_over(struct group *g, const struct group_member *from, struct read_member *read)
{
        struct consumer_member *m = consumer_member_new(g, from->id, from->instance_id);
        struct assignment *assigned;

        if (!m || text_dup(from->client_id, &m->client_id) || text_dup(from->client_host, &m->client_host) ||
            text_dup(read->says.rack, &m->rack_id))
                return -ENOMEM;
        m->rebalance_timeout_ms = from->rebalance_timeout_ms;
        m->epoch = m->previous_epoch = g->consumer->epoch;
        if (consumer_member_set_names(m, read->says.topics, read->says.topics_count, NULL) ||
            assignment_filter(read->assigned, consumer_is_free, g, &assigned))
                return -ENOMEM;
        m->target = assignment_ref(assigned);
        if (consumer_member_hold(m, assigned, NULL) ||
            consumer_member_set_classic(m, from->session_timeout_ms, from->protocols, from->protocols_count))
                return -ENOMEM;
        consumer_member_charge(m);
        consumer_member_record(m);
        consumer_target_record(m);
        consumer_current_record(m);
        consumer_member_reset_session(m);
        return 0;
}

static int convert(struct group *g, struct read_member *read)
{
        unsigned i = 0;

        answer_parked(g);
        group_bury_record(g);
        if (consumer_new(g, false))
                return -ENOMEM;
        g->consumer->epoch = g->consumer->target_epoch = MAX2(g->generation, 1);
        ilist_for_each (m, &g->members, struct group_member, link) {
                int r = take_over(g, m, &read[i++]);

                if (r)
                        return r;
        }
        group_clear_members(g);
        g->generation = 0;
        text_free(&g->protocol_name);
        g->state = g->prev_state = COORD_GROUP_EMPTY;
        consumer_sync_state(g);
        consumer_record(g);
        consumer_record_target_epoch(g);
        return 0;
}

int consumer_upgrade(struct group *g, const char **why)
{
        struct read_member *read;
        unsigned count = 0;
        struct arena a;
        int r = 0;

        if (!g->owner->conf.upgrades) {
                *why = "The group has classic members, and groups.consumer_migration_policy lets it not change while "
                       "it has any.";
                return COORD_E_GROUP_NOT_FOUND;
        }
        if (!group_is_consumer(g)) {
                *why = "The group has members of another kind than consumers.";
                return COORD_E_GROUP_NOT_FOUND;
        }
        if (g->members_count > g->owner->conf.consumer_group_size_max) {
                *why = "The group has more classic members than a consumer group may have.";
                return COORD_E_GROUP_NOT_FOUND;
        }
        arena_init(&a, 0);
        read = ARENA_NEW_ARRAY(&a, struct read_member, g->members_count);
        if (!read)
                r = -ENOMEM;
        ilist_for_each (m, &g->members, struct group_member, link)
                if (!r)
                        r = read_one(g, m, &a, &read[count++]);
        if (!r)
                r = convert(g, read);
        if (r == -ENOMEM)
                groups_fail(g->owner, r);
        if (r == -EINVAL) {
                *why = "The group has classic members whose subscriptions or assignments cannot be read.";
                r = COORD_E_GROUP_NOT_FOUND;
        }
        drop_read(read, count);
        arena_fini(&a);
        return r;
}

/* ---- to a classic group ---- */

static int give_back(struct group *g, const struct consumer_member *from, const struct meta_image *image)
{
        struct group_member *m = member_new(g, from->id);
        struct subscription s = { 0 };
        struct span data;
        struct arena a;
        int r;

        if (!m || text_dup(from->instance_id, &m->instance_id) || text_dup(from->client_id, &m->client_id) ||
            text_dup(from->client_host, &m->client_host) ||
            member_set_protocols(m, from->classic->protocols, from->classic->protocols_count))
                return -ENOMEM;
        m->session_timeout_ms = from->classic->session_timeout_ms;
        m->rebalance_timeout_ms = from->rebalance_timeout_ms;
        arena_init(&a, 0);
        r = subscription_read(from->classic->protocols[0].metadata, image, &a, &s);
        if (!r || r == -EINVAL)
                r = subscription_write_assignment(from->assigned, s.version, image, &a, &data);
        if (!r)
                r = member_set_assignment(m, data);
        assignment_unref(s.owned);
        arena_fini(&a);
        if (!r)
                r = group_join_member(g, m);
        member_reset_session(m);
        return r;
}

bool consumer_may_downgrade(const struct group *g)
{
        const struct consumer *c = g->consumer;
        const struct groups_conf *conf = &g->owner->conf;

        return c->classic_count && c->classic_count == c->members_count && conf->downgrades &&
               c->members_count <= conf->group_size_max;
}

void consumer_downgrade(struct group *g)
{
        struct groups *gs = g->owner;
        struct consumer *c = g->consumer;
        int r = 0;

        ilist_for_each (m, &c->members, struct consumer_member, link)
                consumer_member_bury(m);
        consumer_bury_records(g);
        g->generation = c->epoch;
        ilist_for_each (m, &c->members, struct consumer_member, link)
                if (!r)
                        r = give_back(g, m, groups_image(gs));
        consumer_free(g);
        if (!r)
                r = group_set_protocol(g, group_select_protocol(g));
        if (!r)
                r = group_compute_subscribed(g);
        if (r) {
                groups_fail(gs, r);
                return;
        }
        g->state = g->prev_state = COORD_GROUP_STABLE;
        g->state_since_ms = gs->now.wall_ms;
        group_record(g);
        group_rebalance(g); /* who is left shares out what the others had */
}
