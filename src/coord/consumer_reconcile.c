/* A member's way to its target (KIP-848): first it gives up what it shall no longer have, then its epoch becomes the target's, and it is given
 * what nobody else has any more.
 *
 *                        gives up what it must               has all of its target
 *      STABLE --> UNREVOKED ----------------> UNRELEASED --------------------> STABLE
 *        |   to give up      |                    ^  |  others give up
 *        |                   | nothing to wait for|  +--+
 *        +-------------------+--> STABLE          |
 *        +----------------------------------------+ nothing to give up, but something to wait for */
#include <errno.h>

#include "coord/consumer_priv.h"

/* Does it still have some of @set? Who does not say what it has, may. */
static bool may_have(const struct assignment *set, bool knows_owned, const struct assignment *owned)
{
        return !assignment_is_empty(set) && (!knows_owned || assignment_meets(set, owned));
}

static void move(struct consumer_member *m, int32_t epoch, enum consumer_state state, struct assignment *assigned,
                 struct assignment *revoking)
{
        if (assigned != m->target && assignment_equal(assigned, m->target)) { /* one set in memory */
                assignment_unref(assigned);
                assigned = assignment_ref(m->target);
        }
        m->previous_epoch = m->epoch;
        m->epoch = epoch;
        m->state = state;
        if (consumer_member_hold(m, assigned, revoking))
                groups_fail(m->group->owner, -ENOMEM);
        consumer_current_record(m);
        if (state == CONSUMER_UNREVOKED) /* for what it has to give up now it has all of its time */
                groups_timer_set(m->group->owner, &m->revocation, m->rebalance_timeout_ms);
        else
                timer_unset(&m->group->owner->timers, &m->revocation);
}

/* Does the member stay as it is? A record that says nothing new is none. */
static bool is_same(const struct consumer_member *m, int32_t epoch, enum consumer_state state,
                    const struct assignment *assigned, const struct assignment *revoking)
{
        return m->epoch == epoch && m->state == state && assignment_equal(m->assigned, assigned) &&
               assignment_equal(m->revoking, revoking);
}

/* One step. @epoch: the one that it keeps while it has something to give up. */
static int step(struct consumer_member *m, int32_t epoch, bool knows_owned, struct assignment *owned)
{
        CLEANUP(assignment_unrefp)
        struct assignment *kept = NULL, *dropped = NULL, *wanted = NULL, *given = NULL, *all = NULL;
        const struct consumer *c = m->group->consumer;
        enum consumer_state state;
        int r = assignment_and(m->assigned, m->target, &kept);

        if (!r)
                r = assignment_minus(m->assigned, m->target, &dropped);
        if (!r && may_have(dropped, knows_owned, owned)) {
                if (!is_same(m, epoch, CONSUMER_UNREVOKED, kept, dropped))
                        move(m, epoch, CONSUMER_UNREVOKED, TAKE_PTR(kept), TAKE_PTR(dropped));
                return 0;
        }
        if (!r)
                r = assignment_minus(m->target, kept, &wanted);
        if (!r)
                r = assignment_filter(wanted, consumer_is_free, m->group, &given);
        if (!r)
                r = assignment_or(kept, given, &all);
        if (r)
                return r;
        state = assignment_equal(wanted, given) ? CONSUMER_STABLE : CONSUMER_UNRELEASED;
        if (!is_same(m, c->target_epoch, state, all, NULL))
                move(m, c->target_epoch, state, TAKE_PTR(all), NULL);
        return 0;
}

void consumer_reconcile(struct consumer_member *m, bool knows_owned, struct assignment *owned)
{
        const struct consumer *c = m->group->consumer;
        int r = 0;

        if (c->share) { /* what it shall have is not another's that must give it up first */
                if (!is_same(m, c->target_epoch, CONSUMER_STABLE, m->target, NULL))
                        move(m, c->target_epoch, CONSUMER_STABLE, assignment_ref(m->target), NULL);
                return;
        }
        switch (m->state) {
        case CONSUMER_STABLE:
                if (m->epoch != c->target_epoch)
                        r = step(m, m->epoch, knows_owned, owned);
                break;
        case CONSUMER_UNREVOKED:
        case CONSUMER_UNKNOWN:
                if (may_have(m->revoking, knows_owned, owned))
                        break;
                r = consumer_member_hold(m, assignment_ref(m->assigned), NULL); /* free for all, itself too */
                if (!r)
                        r = step(m, c->target_epoch, knows_owned, owned);
                break;
        case CONSUMER_UNRELEASED:
                r = step(m, c->target_epoch, knows_owned, owned);
                break;
        }
        if (r)
                groups_fail(m->group->owner, r);
}
