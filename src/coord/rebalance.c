/* The join phase: when it starts, whom it waits for, and what its end brings. */
#include <errno.h>

#include "coord/group_priv.h"

/* Joined members whose join is parked have rejoined. Return: false when there is none to lead. */
static bool elect_joined_leader(struct group *g)
{
        if (g->leader && g->leader->await_join)
                return true;
        ilist_for_each (m, &g->members, struct group_member, link)
                if (m->await_join) {
                        g->leader = m;
                        return true;
                }
        return false;
}

/* Dynamic members that did not come back in time are gone; static ones keep their place until their session ends
 * (KIP-345). */
static void drop_absent(struct group *g)
{
        ilist_for_each (m, &g->members, struct group_member, link)
                if (!m->await_join && str_is_null(m->instance_id))
                        group_remove_member(g, m);
}

static void next_generation(struct group *g)
{
        g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
        if (group_set_protocol(g, g->members_count ? group_select_protocol(g) : STR_NULL) ||
            group_compute_subscribed(g))
                groups_fail(g->owner, -ENOMEM);
        group_set_state(g, g->members_count ? COORD_GROUP_COMPLETING : COORD_GROUP_EMPTY);
        g->pending_sync_count = 0;
        ilist_for_each (m, &g->members, struct group_member, link)
                m->pending_sync = false;
        g->owner->stats.rebalances++;
}

static void answer_joined(struct group *g)
{
        ilist_for_each (m, &g->members, struct group_member, link) {
                struct coord_join *rq = TAKE_PTR(m->await_join);

                m->pending_sync = true;
                g->pending_sync_count++;
                if (!rq)
                        continue; /* a static member that is away: its session runs on */
                g->joining_count--;
                m->is_new = false;
                join_reply_current(g->owner, g, m, rq, m == g->leader);
                member_reset_session(m);
        }
        groups_timer_set(g->owner, &g->sync_timer, group_rebalance_timeout_ms(g));
}

static void complete_join(struct group *g)
{
        struct groups *gs = g->owner;

        timer_unset(&gs->timers, &g->join_timer);
        g->waits_initially = false;
        drop_absent(g);
        if (!elect_joined_leader(g) && g->members_count) {
                /* Only absent static members are left. They are given another round, and their sessions end it. */
                groups_timer_set(gs, &g->join_timer, group_rebalance_timeout_ms(g));
                return;
        }
        next_generation(g);
        if (g->members_count) {
                answer_joined(g);
                return;
        }
        group_record(g); /* the offsets' expiry counts from this moment (KIP-211) */
}

/* A group that was empty waits for more members to come: one delay, again while new ones come, as long as the rebalance
 * time-out allows (KIP-134). */
static void wait_initially(struct group *g)
{
        struct groups *gs = g->owner;
        int64_t delay_ms = gs->conf.initial_rebalance_delay_ms;

        g->waits_initially = true;
        g->new_member_added = false;
        g->initial_delay_ms = delay_ms;
        g->initial_remaining_ms = MAX2(group_rebalance_timeout_ms(g) - delay_ms, (int64_t)0);
        groups_timer_set(gs, &g->join_timer, delay_ms);
}

void group_join_due(void *arg, struct timer *t)
{
        struct groups *gs = arg;
        struct group *g = container_of(t, struct group, join_timer);

        assert(g->state == COORD_GROUP_PREPARING);
        if (g->waits_initially && g->new_member_added && g->initial_remaining_ms) {
                int64_t delay_ms = MIN2((int64_t)gs->conf.initial_rebalance_delay_ms, g->initial_remaining_ms);

                g->new_member_added = false;
                g->initial_remaining_ms = MAX2(g->initial_remaining_ms - g->initial_delay_ms, (int64_t)0);
                g->initial_delay_ms = delay_ms;
                groups_timer_set(gs, &g->join_timer, delay_ms);
                return;
        }
        complete_join(g);
}

/* Those who wait for an assignment of the generation that ends now must join again. */
static void refuse_syncs(struct group *g)
{
        ilist_for_each (m, &g->members, struct group_member, link) {
                if (member_set_assignment(m, SPAN_NULL))
                        groups_fail(g->owner, -ENOMEM);
                if (m->await_sync) {
                        sync_reply(g->owner, m, COORD_E_REBALANCING);
                        member_reset_session(m);
                }
        }
}

void group_rebalance(struct group *g)
{
        bool was_empty = g->state == COORD_GROUP_EMPTY;

        if (g->state == COORD_GROUP_COMPLETING)
                refuse_syncs(g);
        timer_unset(&g->owner->timers, &g->sync_timer);
        group_set_state(g, COORD_GROUP_PREPARING);
        if (was_empty)
                wait_initially(g);
        else if (group_has_all_joined(g))
                complete_join(g);
        else
                groups_timer_set(g->owner, &g->join_timer, group_rebalance_timeout_ms(g));
}

void group_maybe_complete_join(struct group *g)
{
        if (g->state == COORD_GROUP_PREPARING && group_has_all_joined(g) && !g->waits_initially)
                complete_join(g);
}

void group_rebalance_or_complete(struct group *g)
{
        if (g->state == COORD_GROUP_PREPARING)
                group_maybe_complete_join(g);
        else
                group_rebalance(g);
}
