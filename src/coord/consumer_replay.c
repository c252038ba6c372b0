/* Building consumer groups again from the log (KIP-848): records in order, the last one of a key wins. The log is untrusted too.
 *
 * A member may have records of what it shall have, or has, before the one that says what it is: compaction keeps the last of each key. Each of
 * them makes a member; one that has not been told what it is when the log ends is none. */
#include <errno.h>

#include "coord/records.h"
#include "coord/share_priv.h"

/* *@ret_group: NULL with 0: there is none, and none was to be made. */
static int group_of(struct groups *gs, struct str id, bool add, bool share, struct group **ret_group)
{
        struct group *g = groups_find(gs, id);

        if (!g && add)
                g = groups_add(gs, id);
        *ret_group = g;
        if (!g)
                return add ? -ENOMEM : 0;
        if (g->consumer && !g->consumer->share == share) { /* of the other type: that had to be removed first */
                if (!add || !consumer_is_blank(g)) {
                        *ret_group = NULL;
                        return add ? RECORDS_E_OTHER : 0;
                }
                consumer_free(g);
        }
        if (g->consumer || !add)
                return 0;
        if (g->members_count) /* a classic group's record comes before ours: it was converted, and its tombstone is to come */
                group_clear_members(g);
        g->state = g->prev_state = COORD_GROUP_EMPTY;
        g->has_record = false;
        text_free(&g->protocol_type);
        text_free(&g->protocol_name);
        return text_dup(share ? STR_LIT("share") : STR_LIT("consumer"), &g->protocol_type) ?: consumer_new(g, share);
}

static int member_of(struct group *g, struct str id, struct consumer_member **ret)
{
        *ret = consumer_find(g, id);
        if (!*ret)
                *ret = consumer_member_new(g, id, STR_NULL);
        return *ret ? 0 : -ENOMEM;
}

/* Two members cannot have one instance id: the later record counts. */
static int set_instance(struct consumer_member *m, struct str instance_id)
{
        struct consumer *c = m->group->consumer;
        struct consumer_member *other;

        if (!str_is_null(m->instance_id)) {
                map_remove(&c->by_instance, &m->by_instance);
                text_free(&m->instance_id);
        }
        if (str_is_null(instance_id))
                return 0;
        other = consumer_find_instance(m->group, instance_id);
        if (other)
                (void)set_instance(other, STR_NULL); /* takes no memory */
        if (text_dup(instance_id, &m->instance_id))
                return -ENOMEM;
        return map_insert(&c->by_instance, &m->by_instance, m->instance_id);
}

static int set_classic(struct consumer_member *m, struct arena *a,
                       const struct consumer_group_member_metadata_value_classic *v)
{
        struct coord_protocol *p;

        if (!v)
                return consumer_member_set_classic(m, 0, NULL, -1);
        p = ARENA_NEW_ARRAY(a, struct coord_protocol, v->supported_protocols_count);
        if (!p)
                return -ENOMEM;
        for (int32_t i = 0; i < v->supported_protocols_count; i++)
                p[i] = (struct coord_protocol){ v->supported_protocols[i].name, v->supported_protocols[i].metadata };
        return consumer_member_set_classic(m, MAX2(v->session_timeout_ms, 0), p, v->supported_protocols_count);
}

static int replay_member(struct group *g, struct arena *a, struct str id,
                         const struct consumer_group_member_metadata_value *v)
{
        struct consumer_regex *regex = NULL;
        struct consumer_member *m;

        if (member_of(g, id, &m))
                return -ENOMEM;
        if (consumer_member_set_names(m, v->subscribed_topic_names, v->subscribed_topic_names_count, NULL))
                return -ENOMEM;
        if (v->subscribed_topic_regex.len && consumer_regex_get(g, v->subscribed_topic_regex, &regex, NULL))
                return -ENOMEM;
        if (m->regex)
                consumer_regex_put(g, m->regex, false);
        m->regex = regex;
        if (set_instance(m, v->instance_id) || text_replace(&m->rack_id, v->rack_id) ||
            text_replace(&m->client_id, v->client_id) || text_replace(&m->client_host, v->client_host) ||
            text_replace(&m->assignor, v->server_assignor) || set_classic(m, a, v->classic_member_metadata))
                return -ENOMEM;
        m->rebalance_timeout_ms = MAX2(v->rebalance_timeout_ms, 0);
        m->is_told = true;
        consumer_member_charge(m);
        return 0;
}

static int replay_target(struct group *g, struct str id, struct assignment *target)
{
        struct consumer_member *m;

        if (member_of(g, id, &m)) {
                assignment_unref(target);
                return -ENOMEM;
        }
        assignment_unref(m->target);
        m->target = target;
        consumer_member_charge(m);
        return 0;
}

static int replay_current(struct group *g, struct str id, const struct records_current *v)
{
        struct consumer_member *m;

        if (member_of(g, id, &m)) {
                assignment_unref(v->assigned);
                assignment_unref(v->revoking);
                return -ENOMEM;
        }
        m->epoch = v->epoch;
        m->previous_epoch = v->previous_epoch;
        m->state = v->state >= CONSUMER_STABLE && v->state <= CONSUMER_UNRELEASED ? (enum consumer_state)v->state
                                                                                  : CONSUMER_UNKNOWN;
        if (consumer_member_hold(m, v->assigned, v->revoking))
                return -ENOMEM;
        for (size_t i = 0; i < v->since_count; i++)
                if (v->since[i].partition >= 0)
                        consumer_set_since(g, v->since[i].id, v->since[i].partition, v->since[i].epoch);
        return 0;
}

static int apply(struct group *g, struct arena *a, const struct records_key *key, struct span value)
{
        struct consumer_group_metadata_value group;
        struct consumer_group_member_metadata_value member;
        struct consumer_group_regular_expression_value regex;
        struct records_current current;
        struct assignment *target;
        bool share = records_is_share(key->kind);
        int r;

        switch (key->kind) {
        case RECORDS_CONSUMER_GROUP:
        case RECORDS_SHARE_GROUP:
                r = share ? records_decode_share_group(value, a, &group)
                          : records_decode_consumer_group(value, a, &group);
                if (r)
                        return r;
                g->consumer->epoch = group.epoch;
                g->consumer->metadata_hash = group.metadata_hash;
                g->has_record = true;
                return 0;
        case RECORDS_CONSUMER_MEMBER:
        case RECORDS_SHARE_MEMBER:
                r = share ? records_decode_share_member(value, a, &member)
                          : records_decode_consumer_member(value, a, &member);
                return r ? r : replay_member(g, a, key->member, &member);
        case RECORDS_CONSUMER_TARGET:
        case RECORDS_SHARE_TARGET:
                return records_decode_consumer_epoch(value, a, &g->consumer->target_epoch);
        case RECORDS_CONSUMER_TARGET_MEMBER:
        case RECORDS_SHARE_TARGET_MEMBER:
                r = records_decode_consumer_target(value, a, &target);
                return r ? r : replay_target(g, key->member, target);
        case RECORDS_CONSUMER_CURRENT:
        case RECORDS_SHARE_CURRENT:
                r = share ? records_decode_share_current(value, a, &current)
                          : records_decode_consumer_current(value, a, &current);
                return r ? r : replay_current(g, key->member, &current);
        case RECORDS_CONSUMER_REGEX:
                r = records_decode_consumer_regex(value, a, &regex);
                return r ? r : consumer_regex_found(g, key->member, regex.topics, regex.topics_count);
        case RECORDS_SHARE_PROGRESS:
                return share_replay(g, a, key, value);
        default:
                return RECORDS_E_OTHER;
        }
}

/* ---- tombstones ---- */

static void forget_regex(struct group *g, struct str text)
{
        ilist_for_each (r, &g->consumer->regexes, struct consumer_regex, link)
                if (str_equal(r->text, text) && !r->members_count) {
                        r->members_count = 1;
                        consumer_regex_put(g, r, false);
                }
}

/* Forget a group that holds nothing any more. */
static void collect(struct group *g)
{
        if (!consumer_is_blank(g))
                return;
        consumer_free(g);
        text_free(&g->protocol_type);
        group_collect(g);
}

/* What is left has tombstones of its own. */
static void forget_group(struct group *g)
{
        g->consumer->epoch = g->consumer->target_epoch = 0;
        g->has_record = false;
        collect(g);
}

static int forget(struct group *g, struct arena *a, const struct records_key *key)
{
        struct consumer_member *m = str_is_null(key->member) ? NULL : consumer_find(g, key->member);

        switch (key->kind) {
        case RECORDS_CONSUMER_GROUP:
        case RECORDS_SHARE_GROUP:
                forget_group(g);
                break;
        case RECORDS_CONSUMER_MEMBER:
        case RECORDS_SHARE_MEMBER:
                if (m)
                        consumer_member_free(m);
                break;
        case RECORDS_CONSUMER_TARGET_MEMBER:
        case RECORDS_SHARE_TARGET_MEMBER:
                if (m)
                        m->target = assignment_unref(m->target);
                break;
        case RECORDS_CONSUMER_CURRENT:
        case RECORDS_SHARE_CURRENT:
                if (m)
                        return consumer_member_hold(m, NULL, NULL);
                break;
        case RECORDS_CONSUMER_REGEX:
                forget_regex(g, key->member);
                break;
        case RECORDS_SHARE_PROGRESS:
                (void)share_replay(g, a, key, SPAN_NULL); /* takes no memory */
                collect(g);
                break;
        default:
                break;
        }
        return 0;
}

int consumer_replay(struct groups *gs, struct arena *a, const struct records_key *key, struct span value)
{
        struct group *g;
        int r = group_of(gs, key->group, value.data != NULL, records_is_share(key->kind), &g);

        if (r)
                return r;
        if (value.data)
                return apply(g, a, key, value);
        return g && g->consumer ? forget(g, a, key) : 0;
}

void consumer_loaded(struct group *g)
{
        struct groups *gs = g->owner;

        ilist_for_each (m, &g->consumer->members, struct consumer_member, link) {
                if (!m->is_told) {
                        consumer_member_free(m);
                        continue;
                }
                if (assignment_equal(m->target, m->assigned)) { /* one set in memory */
                        assignment_unref(m->target);
                        m->target = assignment_ref(m->assigned);
                        consumer_member_charge(m);
                }
                consumer_member_reset_session(m);
                if (m->state == CONSUMER_UNREVOKED)
                        groups_timer_set(gs, &m->revocation, m->rebalance_timeout_ms);
        }
        consumer_sync_state(g);
}
