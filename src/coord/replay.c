/* Building the state again from the log: records in order, the last one of a key wins. The log is untrusted too. */
#include <errno.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"

static int replay_offset(struct groups *gs, int64_t producer_id, const struct records_key *key,
                         const struct offset_commit_value *v)
{
        struct group *g = groups_find(gs, key->group);
        struct offset_value value = {
                .offset = v->offset,
                .commit_ms = v->commit_timestamp,
                .expire_ms = v->expire_timestamp,
                .leader_epoch = v->leader_epoch,
                .metadata = v->metadata,
        };

        if (!g)
                g = groups_add(gs, key->group);
        if (!g)
                return -ENOMEM;
        return producer_id < 0 ? group_put_offset(g, key->topic, key->partition, &value, 0)
                               : group_stage_offset(g, producer_id, key->topic, key->partition, &value);
}

static void forget_offset(struct groups *gs, const struct records_key *key)
{
        struct group *g = groups_find(gs, key->group);
        struct group_offset *o = g ? group_find_offset(g, key->topic, key->partition) : NULL;

        if (o)
                group_drop_offset(o);
}

static int fill_member(struct group_member *m, const struct group_metadata_value_member *v, struct str protocol)
{
        struct coord_protocol p = { .name = protocol, .metadata = v->subscription };

        m->session_timeout_ms = MAX2(v->session_timeout, 0);
        m->rebalance_timeout_ms = v->rebalance_timeout < 0 ? m->session_timeout_ms : v->rebalance_timeout;
        if (text_dup(v->group_instance_id, &m->instance_id) || text_dup(v->client_id, &m->client_id) ||
            text_dup(v->client_host, &m->client_host) || member_set_assignment(m, v->assignment))
                return -ENOMEM;
        return member_set_protocols(m, &p, str_is_null(protocol) ? 0 : 1);
}

static int replay_member(struct group *g, const struct group_metadata_value_member *v, struct str protocol)
{
        struct group_member *m;

        if (group_find_member(g, v->member_id) ||
            (!str_is_null(v->group_instance_id) && group_find_instance(g, v->group_instance_id))) {
                g->owner->stats.records_skipped++;
                return 0;
        }
        m = member_new(g, v->member_id);
        if (!m || fill_member(m, v, protocol))
                return -ENOMEM;
        return group_join_member(g, m);
}

static int replay_group(struct groups *gs, struct str id, const struct group_metadata_value *v)
{
        struct group *g = groups_find(gs, id);
        struct group_member *leader;

        if (!g)
                g = groups_add(gs, id);
        if (!g)
                return -ENOMEM;
        consumer_free(g); /* one that became a classic group: its tombstones came before, or were compacted away */
        group_clear_members(g);
        if (text_replace(&g->protocol_type, v->protocol_type.len ? v->protocol_type : STR_NULL) ||
            text_replace(&g->protocol_name, v->protocol))
                return -ENOMEM;
        for (int32_t i = 0; i < v->members_count; i++) {
                int r = replay_member(g, &v->members[i], v->protocol);

                if (r)
                        return r;
        }
        leader = str_is_null(v->leader) ? NULL : group_find_member(g, v->leader);
        if (leader)
                g->leader = leader;
        g->generation = MAX2(v->generation, 0);
        g->state_since_ms = v->current_state_timestamp;
        g->has_record = true;
        g->state = g->prev_state = g->members_count ? COORD_GROUP_STABLE : COORD_GROUP_EMPTY;
        return 0;
}

/* Its offsets have tombstones of their own, which came before. Should one have none, the group lives on as its holder. */
static void forget_group(struct groups *gs, struct str id)
{
        struct group *g = groups_find(gs, id);

        if (!g || g->consumer) /* the tombstone of a classic group that became a consumer group */
                return;
        group_clear_members(g);
        text_free(&g->protocol_type);
        text_free(&g->protocol_name);
        g->generation = 0;
        g->state_since_ms = -1;
        g->has_record = false;
        g->state = g->prev_state = COORD_GROUP_EMPTY;
        group_collect(g);
}

static int apply(struct groups *gs, int64_t producer_id, struct arena *a, struct span key_bytes, struct span value)
{
        struct offset_commit_value offset;
        struct group_metadata_value group;
        struct records_key key;
        int r = records_decode_key(key_bytes, a, &key);

        if (r)
                return r;
        if (records_is_consumer(key.kind))
                return consumer_replay(gs, a, &key, value);
        if (!value.data && key.kind == RECORDS_OFFSET)
                forget_offset(gs, &key);
        else if (!value.data)
                forget_group(gs, key.group);
        else if (key.kind == RECORDS_OFFSET)
                r = records_decode_offset(value, a, &offset) ?: replay_offset(gs, producer_id, &key, &offset);
        else
                r = records_decode_group(value, a, &group) ?: replay_group(gs, key.group, &group);
        return r;
}

int groups_replay(struct groups *gs, int64_t producer_id, struct span key, struct span value)
{
        CLEANUP(arena_finip) struct arena a;
        int r;

        arena_init(&a, 0);
        r = apply(gs, producer_id, &a, key, value);
        if (r > 0) { /* of a kind, or in a version, that is not ours; or no record at all */
                gs->stats.records_skipped++;
                return 0;
        }
        return r;
}
