/* What the controller decides by itself, now and then: leases that have ended, duties, balance; and what a predecessor left
 * undone. */
#include "controller/controller_priv.h"
#include "sys/diag.h"

#define BALANCE_SOON_MS 1000 /* to the next round when one was not enough */
#define SOON_MS 20           /* to the next look when something could not be proposed, or was done in part */

/* Make a decision that nobody asked for. Return: whether something was left undone. */
static bool decide_own(struct controller *c, int (*fn)(struct decision *d, bool *ret_more))
{
        struct arena mem;
        struct decision d;
        bool more = true;

        arena_init(&mem, 0);
        if (!controller_decision_start(c, &d, &mem)) {
                more = false;
                if (fn(&d, &more) || controller_propose_own(c, &d))
                        more = true;
                else if (d.news[0])
                        diag(DIAG_WARN, "controller: %s", d.news);
                decision_fini(&d);
        }
        arena_fini(&mem);
        return more;
}

static int expire_leases(struct decision *d, bool *ret_more)
{
        struct controller *c = container_of(d->memory, struct controller, memory);

        return decision_expire_leases(d, &c->lease_ms);
}

static int duties(struct decision *d, bool *ret_more)
{
        return decision_duties(d);
}

static int heal(struct decision *d, bool *ret_more)
{
        return decision_heal(d);
}

static bool some_broker_has_a_duty(const struct meta_image *image)
{
        const struct meta_broker *b;

        pmap_for_each (it, b, &image->brokers)
                if (b->duty != META_DUTY_NONE)
                        return true;
        return false;
}

static bool balance_is_due(const struct controller *c)
{
        return c->rules.conf->replication.auto_leader_rebalance && loop_now_ms(c->loop) >= c->balance_ms;
}

static void round_timer_fired(struct loop_timer *t)
{
        struct controller *c = container_of(t, struct controller, round_timer);
        int64_t wait_ms = c->rules.session_timeout_ms / 4;

        if (decide_own(c, expire_leases))
                wait_ms = SOON_MS;
        else
                wait_ms = MAX2(MIN2(wait_ms, c->lease_ms - loop_now_ms(c->loop)), (int64_t)SOON_MS);
        if (some_broker_has_a_duty(c->decided) && decide_own(c, duties))
                wait_ms = SOON_MS;
        if (balance_is_due(c)) {
                bool more = decide_own(c, decision_balance);

                c->balance_ms =
                        loop_now_ms(c->loop) +
                        (more ? BALANCE_SOON_MS : c->rules.conf->replication.leader_imbalance_check_interval_ms);
        }
        /* When that fails the hints stay as they are: too many, but not wrong. */
        if (places_are_stale(&c->memory.places))
                (void)places_rebuild(&c->memory.places, c->decided);
        loop_timer_start(t, wait_ms);
}

void controller_rounds_init(struct controller *c)
{
        loop_timer_init(&c->round_timer, c->loop, round_timer_fired);
}

void controller_rounds_start(struct controller *c)
{
        c->balance_ms = loop_now_ms(c->loop) + c->rules.conf->replication.leader_imbalance_check_interval_ms;
        (void)decide_own(c, heal); /* what is left comes with the next change of each partition */
        loop_timer_start(&c->round_timer, MAX2(c->rules.session_timeout_ms / 4, (int64_t)SOON_MS));
}

void controller_rounds_stop(struct controller *c)
{
        loop_timer_stop(&c->round_timer);
}
