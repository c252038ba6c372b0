/* A group's states and life.
 *
 *              group_rebalance()          group_complete_join()           groups_sync() of the leader
 *      Empty ----------------> Preparing ----------------> Completing ----------------> Stable
 *        ^ |                    ^  | ^  ^                      |                          |
 *        | |                    |  | |  +----------------------+   a member joins, leaves |
 *        | |                    |  | |                             or expires:            |
 *        | |                    |  | +---------------------------- group_rebalance() -----+
 *        | |                    |  |
 *        +-|--------------------|--+  group_complete_join() without members
 *          +--> Dead (group_bury(): deleted or expired; removed when its tombstone is committed)
 *
 * A consumer group (consumer_priv.h), or a share group, is Empty, Dead, or, while it has members, Reconciling here: consumer_state() tells more.
 *
 * Dead answers COORD_E_NOT_AVAILABLE: a client tries again and meets a new group. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"

#define TO(s) (1u << COORD_GROUP_##s)

static const struct {
        const char *name;
        unsigned next; /* allowed moves */
} states[] = {
        [COORD_GROUP_EMPTY] = { "Empty", TO(PREPARING) | TO(RECONCILING) | TO(DEAD) },
        [COORD_GROUP_PREPARING] = { "PreparingRebalance", TO(COMPLETING) | TO(EMPTY) },
        [COORD_GROUP_COMPLETING] = { "CompletingRebalance", TO(STABLE) | TO(PREPARING) },
        [COORD_GROUP_STABLE] = { "Stable", TO(PREPARING) },
        [COORD_GROUP_ASSIGNING] = { "Assigning", 0 },
        [COORD_GROUP_RECONCILING] = { "Reconciling", TO(EMPTY) },
        [COORD_GROUP_DEAD] = { "Dead", 0 },
};

static const char *const types[] = {
        [COORD_GROUP_CLASSIC] = "classic", [COORD_GROUP_CONSUMER] = "consumer", [COORD_GROUP_SHARE] = "share"
};

const char *coord_group_state_name(enum coord_group_state s)
{
        return states[s].name;
}

const char *coord_group_type_name(enum coord_group_type t)
{
        return types[t];
}

static bool same_name(struct str s, const char *name)
{
        return s.p && s.len == strlen(name) && !strncasecmp(s.p, name, s.len);
}

bool coord_group_state_parse(struct str name, enum coord_group_state *ret_state)
{
        for (unsigned i = 0; i < ARRAY_LEN(states); i++)
                if (same_name(name, states[i].name)) {
                        *ret_state = i;
                        return true;
                }
        return false;
}

bool coord_group_type_parse(struct str name, enum coord_group_type *ret_type)
{
        for (unsigned i = 0; i < ARRAY_LEN(types); i++)
                if (same_name(name, types[i])) {
                        *ret_type = i;
                        return true;
                }
        return false;
}

void group_set_state(struct group *g, enum coord_group_state to)
{
        assert(states[g->state].next & 1u << to);
        g->prev_state = g->state;
        g->state = to;
        g->state_since_ms = g->owner->now.wall_ms;
}

/* ---- life ---- */

struct group *group_new(struct groups *owner, struct str id)
{
        struct group *g = calloc(1, sizeof *g);

        if (!g)
                return NULL;
        if (text_dup(id, &g->id)) {
                free(g);
                return NULL;
        }
        g->owner = owner;
        g->state = g->prev_state = COORD_GROUP_EMPTY;
        g->state_since_ms = owner->now.wall_ms;
        ilist_init(&g->link);
        ilist_init(&g->dead);
        ilist_init(&g->members);
        ilist_init(&g->topics_list);
        map_init(&g->by_id, owner->conf.hash_seed);
        map_init(&g->by_instance, owner->conf.hash_seed);
        map_init(&g->topics, owner->conf.hash_seed);
        map_init(&g->subscribed, owner->conf.hash_seed);
        g->join_timer.fn = group_join_due;
        g->sync_timer.fn = group_sync_due;
        return g;
}

static void free_members(struct group *g)
{
        for (size_t i = 0; i < g->by_id.buckets_count; i++)
                for (struct map_node *n = g->by_id.buckets[i], *next; n; n = next) {
                        next = n->next;
                        member_free(container_of(n, struct group_member, by_id));
                }
}

void group_clear_members(struct group *g)
{
        free_members(g);
        map_fini(&g->by_id);
        map_fini(&g->by_instance);
        ilist_init(&g->members);
        g->leader = NULL;
        g->members_count = g->joining_count = g->pending_count = g->pending_sync_count = 0;
        for (unsigned i = 0; i < g->protocols_count; i++)
                text_free(&g->protocols[i].name);
        g->protocols_count = 0;
        group_clear_subscribed(g);
}

struct group *group_free(struct group *g)
{
        if (!g)
                return NULL;
        group_clear_members(g);
        consumer_free(g);
        group_drop_offsets(g);
        timer_unset(&g->owner->timers, &g->join_timer);
        timer_unset(&g->owner->timers, &g->sync_timer);
        free(g->protocols);
        map_fini(&g->topics);
        ilist_unlink(&g->dead);
        text_free(&g->id);
        text_free(&g->protocol_type);
        text_free(&g->protocol_name);
        free(g);
        return NULL;
}

void group_collect(struct group *g)
{
        if (g->state == COORD_GROUP_EMPTY && !g->has_record && (!g->consumer || consumer_is_blank(g)) &&
            !g->members_count && !g->pending_count && ilist_is_empty(&g->topics_list))
                groups_remove(g->owner, g);
}

enum coord_group_type group_type(const struct group *g)
{
        if (!g->consumer)
                return COORD_GROUP_CLASSIC;
        return g->consumer->share ? COORD_GROUP_SHARE : COORD_GROUP_CONSUMER;
}

enum coord_group_state group_shown_state(const struct group *g)
{
        return g->consumer ? consumer_state(g) : g->state;
}

void group_bury_record(struct group *g)
{
        struct groups *gs = g->owner;
        struct span key = SPAN_NULL;

        (void)records_encode_group_key(g->id, &gs->acts->arena, &key); /* a null key latches the failure */
        groups_record(gs, key, SPAN_NULL);
        g->has_record = false;
        g->state_seq = groups_seq(gs);
}

int group_become_consumer(struct group *g)
{
        assert(g->state == COORD_GROUP_EMPTY && !g->pending_count);
        if (g->has_record)
                group_bury_record(g);
        g->generation = 0;
        text_free(&g->protocol_name);
        text_free(&g->protocol_type);
        if (text_dup(STR_LIT("consumer"), &g->protocol_type))
                return -ENOMEM;
        return consumer_new(g, false);
}

int group_become_share(struct group *g)
{
        assert(g->state == COORD_GROUP_EMPTY && !g->has_record && !g->pending_count && ilist_is_empty(&g->topics_list));
        if (text_dup(STR_LIT("share"), &g->protocol_type))
                return -ENOMEM;
        return consumer_new(g, true);
}

void group_become_classic(struct group *g)
{
        assert(g->state == COORD_GROUP_EMPTY && !g->consumer->members_count);
        consumer_bury_records(g);
        g->state_seq = groups_seq(g->owner);
        g->has_record = false;
        consumer_free(g);
}

void group_bury(struct group *g)
{
        struct groups *gs = g->owner;

        assert(g->state == COORD_GROUP_EMPTY && !g->offsets_count);
        /* A group that only ever held offsets has no record of its own; a tombstone for it does no harm, and without
         * one there would be no write to wait for. */
        if (g->consumer)
                consumer_bury_records(g);
        else
                group_bury_record(g);
        group_set_state(g, COORD_GROUP_DEAD);
        g->state_seq = groups_seq(gs);
        ilist_push_back(&gs->dead, &g->dead);
}

/* ---- members by id ---- */

struct group_member *group_find_member(const struct group *g, struct str id)
{
        for (struct map_node *n = map_first(&g->by_id, id); n; n = map_next_same(n)) {
                struct group_member *m = container_of(n, struct group_member, by_id);

                if (str_equal(m->id, id))
                        return m;
        }
        return NULL;
}

struct group_member *group_find_instance(const struct group *g, struct str instance_id)
{
        for (struct map_node *n = map_first(&g->by_instance, instance_id); n; n = map_next_same(n)) {
                struct group_member *m = container_of(n, struct group_member, by_instance);

                if (str_equal(m->instance_id, instance_id))
                        return m;
        }
        return NULL;
}

int group_check_member(const struct group *g, struct str member_id, struct str instance_id)
{
        struct group_member *m;

        if (!str_is_null(instance_id)) {
                m = group_find_instance(g, instance_id);
                if (!m)
                        return COORD_E_UNKNOWN_MEMBER;
                if (!str_equal(m->id, member_id))
                        return COORD_E_FENCED_INSTANCE;
        }
        m = group_find_member(g, member_id);
        return m && !m->pending ? COORD_OK : COORD_E_UNKNOWN_MEMBER;
}

bool group_has_all_joined(const struct group *g)
{
        return g->joining_count == g->members_count && !g->pending_count;
}

int64_t group_rebalance_timeout_ms(const struct group *g)
{
        int64_t most = 0;

        ilist_for_each (m, &g->members, struct group_member, link)
                most = MAX2(most, (int64_t)m->rebalance_timeout_ms);
        return most;
}

/* ---- its record ---- */

static void fill_member(const struct group_member *m, struct str protocol, struct group_metadata_value_member *ret)
{
        group_metadata_value_member_init(ret);
        ret->member_id = m->id;
        ret->group_instance_id = m->instance_id;
        ret->client_id = m->client_id;
        ret->client_host = m->client_host;
        ret->rebalance_timeout = m->rebalance_timeout_ms;
        ret->session_timeout = m->session_timeout_ms;
        ret->subscription = member_metadata(m, protocol);
        ret->assignment = m->assignment;
}

void group_record(struct group *g)
{
        struct groups *gs = g->owner;
        struct group_metadata_value v;
        struct span key = SPAN_NULL, value = SPAN_NULL;
        int32_t i = 0;

        group_metadata_value_init(&v);
        v.protocol_type = g->protocol_type;
        v.generation = g->generation;
        v.protocol = g->protocol_name;
        v.leader = g->leader ? g->leader->id : STR_NULL;
        v.current_state_timestamp = g->state_since_ms;
        v.members = ARENA_NEW_ARRAY(&gs->acts->arena, struct group_metadata_value_member, g->members_count);
        if (!v.members) {
                groups_fail(gs, -ENOMEM);
                return;
        }
        ilist_for_each (m, &g->members, struct group_member, link)
                fill_member(m, g->protocol_name, &v.members[i++]);
        v.members_count = i;
        if (records_encode_group(&v, &gs->acts->arena, &value) ||
            records_encode_group_key(g->id, &gs->acts->arena, &key)) {
                groups_fail(gs, -ENOMEM); /* texts were checked when they came in */
                return;
        }
        groups_record(gs, key, value);
        g->has_record = true;
        g->state_seq = groups_seq(gs);
}
