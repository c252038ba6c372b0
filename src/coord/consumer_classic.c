/* Members of a consumer group that still speak the classic protocol (KIP-848, online migration). To them the group looks like one whose
 * leader is somebody else: they join, are given a generation (their epoch), fetch their part with SyncGroup, and are told by Heartbeat when to
 * join again. Nobody waits for them, nor they for others. */
#include <errno.h>

#include "coord/consumer_priv.h"
#include "coord/subscription.h"

/* ---- which protocol ---- */

static bool has_protocol(const struct consumer_member *m, struct str name)
{
        for (int32_t i = 0; i < m->classic->protocols_count; i++)
                if (str_compare(m->classic->protocols[i].name, name) == 0)
                        return true;
        return false;
}

/* The first that all classic members have, should there be no group but a classic one again. NULL: none. */
static const struct coord_protocol *common(const struct group *g, const struct coord_protocol *protocols, int32_t count)
{
        for (int32_t i = 0; i < count; i++) {
                bool all = true;

                ilist_for_each (m, &g->consumer->members, struct consumer_member, link)
                        all &= !m->classic || has_protocol(m, protocols[i].name);
                if (all)
                        return &protocols[i];
        }
        return NULL;
}

/* ---- join ---- */

static int find_joiner(struct group *g, const struct coord_join *rq, struct consumer_member **ret)
{
        struct consumer_member *m;

        if (str_is_null(rq->instance_id)) {
                *ret = consumer_find(g, rq->member_id); /* NULL: new; it was given its id before, perhaps */
                return COORD_OK;
        }
        *ret = m = consumer_find_instance(g, rq->instance_id);
        if (!m)
                return rq->member_id.len ? COORD_E_UNKNOWN_MEMBER : COORD_OK;
        return rq->member_id.len && !str_equal(m->id, rq->member_id) ? COORD_E_FENCED_INSTANCE : COORD_OK;
}

static int check_join(struct group *g, const struct coord_join *rq, struct arena *a, struct subscription *ret)
{
        const struct groups_conf *conf = &g->owner->conf;
        int r;

        if (!conf->upgrades && !conf->downgrades) /* groups do not mix the protocols at all */
                return COORD_E_INCONSISTENT_PROTOCOL;
        if (!str_equal_c(rq->protocol_type, "consumer") || !common(g, rq->protocols, rq->protocols_count))
                return COORD_E_INCONSISTENT_PROTOCOL;
        r = subscription_read(rq->protocols[0].metadata, groups_image(g->owner), a, ret);
        return r == -EINVAL ? COORD_E_INCONSISTENT_PROTOCOL : r;
}

static struct consumer_member *admit(struct group *g, struct coord_join *rq, struct consumer_member *m, bool *ret_new,
                                     int *ret_outcome)
{
        struct groups *gs = g->owner;
        struct str id = rq->member_id.len ? rq->member_id : join_make_member_id(gs, rq);

        *ret_new = !m;
        if (str_is_null(id)) {
                *ret_outcome = -ENOMEM;
                return NULL;
        }
        if (m) {
                if (!str_equal(m->id, id) && consumer_member_replace(m, id))
                        groups_fail(gs, -ENOMEM);
                return m;
        }
        if (g->consumer->members_count >= gs->conf.consumer_group_size_max) {
                gs->stats.joins_refused++;
                *ret_outcome = COORD_E_GROUP_FULL;
                return NULL;
        }
        if (!rq->member_id.len && str_is_null(rq->instance_id) && rq->require_member_id) {
                join_reply_error(gs, g, rq, id, COORD_E_MEMBER_ID_REQUIRED);
                return NULL;
        }
        m = consumer_member_new(g, id, rq->instance_id);
        if (!m)
                groups_fail(gs, *ret_outcome = -ENOMEM);
        return m;
}

static void reply_join(struct consumer_member *m, struct coord_join *rq)
{
        struct group *g = m->group;
        const struct coord_protocol *p = common(g, rq->protocols, rq->protocols_count);
        bool failed = false;

        rq->ret_generation = m->epoch;
        rq->ret_protocol_type = STR_LIT("consumer");
        rq->ret_protocol_name = coord_request_keep(&rq->rq, p ? p->name : STR_LIT(""), &failed);
        rq->ret_leader = STR_LIT(""); /* nobody that it knows: it is not asked to assign */
        rq->ret_member_id = coord_request_keep(&rq->rq, m->id, &failed);
        group_reply(g->owner, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}

static void join_as(struct consumer_member *m, struct coord_join *rq, const struct subscription *s, bool is_new)
{
        static const struct coord_partitions some = { 0 };
        struct group *g = m->group;
        struct groups *gs = g->owner;
        bool changed = !m->classic || !protocols_equal(m->classic->protocols, m->classic->protocols_count,
                                                       rq->protocols, rq->protocols_count);
        struct coord_consumer_heartbeat says = { .rack_id = s->rack,
                                                 .client_id = rq->client_id,
                                                 .client_host = rq->client_host,
                                                 .rebalance_timeout_ms = rq->rebalance_timeout_ms,
                                                 .names = s->topics ? s->topics : &STR_NULL,
                                                 .names_count = s->topics_count,
                                                 .regex = STR_LIT(""),
                                                 .owned = &some /* it always says what it has */ };

        if (consumer_member_set_classic(m, rq->session_timeout_ms, rq->protocols, rq->protocols_count))
                groups_fail(gs, -ENOMEM);
        consumer_advance(m, &says, s->owned, is_new);
        if (changed && !is_new)
                consumer_member_record(m);
        groups_timer_set(gs, &m->revocation, m->rebalance_timeout_ms); /* until it asks for its part */
        reply_join(m, rq);
        if (consumer_may_downgrade(g))
                consumer_downgrade(g); /* it took the place of the last one that spoke the other protocol */
}

void consumer_join(struct group *g, struct coord_join *rq)
{
        struct subscription s = { 0 };
        struct consumer_member *m = NULL;
        struct arena a;
        bool is_new;
        int outcome;

        arena_init(&a, 0);
        outcome = check_join(g, rq, &a, &s);
        if (!outcome)
                outcome = find_joiner(g, rq, &m);
        if (!outcome)
                m = admit(g, rq, m, &is_new, &outcome);
        if (outcome)
                join_reply_error(g->owner, g, rq, rq->member_id, outcome);
        else if (m)
                join_as(m, rq, &s, is_new);
        assignment_unref(s.owned);
        arena_fini(&a);
}

/* ---- sync, heartbeat ---- */

static int check(const struct group *g, struct str member_id, struct str instance_id, int32_t generation,
                 struct consumer_member **ret)
{
        struct consumer_member *m = consumer_find(g, member_id);

        if (!str_is_null(instance_id)) {
                const struct consumer_member *of_instance = consumer_find_instance(g, instance_id);

                if (!of_instance)
                        return COORD_E_UNKNOWN_MEMBER;
                if (of_instance != m)
                        return COORD_E_FENCED_INSTANCE;
        }
        if (!m || !m->classic)
                return COORD_E_UNKNOWN_MEMBER;
        *ret = m;
        return m->epoch == generation ? COORD_OK : COORD_E_ILLEGAL_GENERATION;
}

/* It is to join again: in its time, or it is put out. */
static int join_again(struct consumer_member *m)
{
        if (!timer_is_set(&m->revocation))
                groups_timer_set(m->group->owner, &m->revocation, m->rebalance_timeout_ms);
        return COORD_E_REBALANCING;
}

static bool waits_in_vain(const struct consumer_member *m)
{
        for (uint32_t i = 0; m->target && i < m->target->topics_count; i++) {
                const struct assignment_topic *t = &m->target->topics[i];

                for (int32_t p = 0; p < t->partitions_count; p++)
                        if (!assignment_has(m->assigned, t->id, t->partitions[p]) &&
                            !consumer_is_free(m->group, t->id, t->partitions[p]))
                                return true;
        }
        return false;
}

int consumer_check_beat(struct group *g, const struct coord_heartbeat *rq)
{
        struct consumer_member *m;
        int outcome = check(g, rq->member_id, rq->instance_id, rq->generation, &m);

        if (outcome)
                return outcome;
        consumer_member_reset_session(m);
        /* What it waits for may have been given up: it is told when joining again brings it something. */
        if (m->epoch < g->consumer->epoch || m->state == CONSUMER_UNREVOKED ||
            (m->state == CONSUMER_UNRELEASED && !waits_in_vain(m)))
                return join_again(m);
        return COORD_OK;
}

static bool differs(struct str asked, const char *ours)
{
        return !str_is_null(asked) && !str_equal_c(asked, ours);
}

static int check_sync(struct group *g, const struct coord_sync *rq, struct consumer_member **ret)
{
        int outcome = check(g, rq->member_id, rq->instance_id, rq->generation, ret);

        if (outcome)
                return outcome;
        if (differs(rq->protocol_type, "consumer") ||
            (!str_is_null(rq->protocol_name) && !has_protocol(*ret, rq->protocol_name)))
                return COORD_E_INCONSISTENT_PROTOCOL;
        /* One that has something to give up is told of that first. */
        if (g->consumer->epoch > (*ret)->epoch && (*ret)->state != CONSUMER_UNREVOKED)
                return join_again(*ret);
        return COORD_OK;
}

void consumer_sync(struct group *g, struct coord_sync *rq)
{
        struct groups *gs = g->owner;
        struct subscription s = { 0 };
        struct consumer_member *m;
        bool failed = false;
        struct arena a;
        int outcome = check_sync(g, rq, &m), r;

        coord_request_refuse(&rq->rq, outcome);
        if (outcome) {
                group_reply(gs, g, &rq->rq, outcome);
                return;
        }
        timer_unset(&gs->timers, &m->revocation);
        consumer_member_reset_session(m);
        arena_init(&a, 0);
        r = subscription_read(m->classic->protocols[0].metadata, groups_image(gs), &a, &s);
        if (!r || r == -EINVAL)
                r = subscription_write_assignment(m->assigned, s.version, groups_image(gs), &rq->rq.arena,
                                                  &rq->ret_assignment);
        assignment_unref(s.owned);
        arena_fini(&a);
        rq->ret_protocol_type = STR_LIT("consumer");
        rq->ret_protocol_name = coord_request_keep(
                &rq->rq, str_is_null(rq->protocol_name) ? m->classic->protocols[0].name : rq->protocol_name, &failed);
        group_reply(gs, g, &rq->rq, r || failed ? -ENOMEM : COORD_OK);
}
