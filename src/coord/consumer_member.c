/* One member of a consumer group: its memory, what it has, its records, its time-outs. */
#include <errno.h>
#include <string.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"

struct consumer_member *consumer_member_new(struct group *g, struct str id, struct str instance_id)
{
        struct consumer *c = g->consumer;
        struct consumer_member *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        m->group = g;
        ilist_init(&m->link);
        m->session.fn = consumer_session_due;
        m->revocation.fn = consumer_revocation_due;
        m->names = consumer_names_get(g, NULL, 0);
        if (!m->names || text_dup(id, &m->id) || text_dup(instance_id, &m->instance_id) ||
            map_insert(&c->by_id, &m->by_id, m->id))
                goto no;
        if (!str_is_null(instance_id) && map_insert(&c->by_instance, &m->by_instance, m->instance_id)) {
                map_remove(&c->by_id, &m->by_id);
                goto no;
        }
        ilist_push_back(&c->members, &m->link);
        c->members_count++;
        g->owner->stats.members++;
        consumer_member_charge(m);
        return m;
no:
        if (m->names)
                consumer_names_put(g, m->names);
        text_free(&m->id);
        text_free(&m->instance_id);
        free(m);
        return NULL;
}

struct consumer_member *consumer_member_free(struct consumer_member *m)
{
        struct group *g = m->group;
        struct groups *gs = g->owner;

        timer_unset(&gs->timers, &m->session);
        timer_unset(&gs->timers, &m->revocation);
        (void)consumer_member_hold(m, NULL, NULL); /* to have nothing takes no memory */
        map_remove(&g->consumer->by_id, &m->by_id);
        if (!str_is_null(m->instance_id))
                map_remove(&g->consumer->by_instance, &m->by_instance);
        ilist_unlink(&m->link);
        g->consumer->members_count--;
        gs->stats.members--;
        gs->stats.memory -= m->memory;
        consumer_names_put(g, m->names);
        if (m->regex)
                consumer_regex_put(g, m->regex, gs->acts != NULL);
        m->target = assignment_unref(m->target);
        (void)consumer_member_set_classic(m, 0, NULL, -1); /* takes no memory */
        text_free(&m->id);
        text_free(&m->instance_id);
        text_free(&m->rack_id);
        text_free(&m->client_id);
        text_free(&m->client_host);
        text_free(&m->assignor);
        free(m);
        return NULL;
}

int consumer_member_set_classic(struct consumer_member *m, int32_t session_timeout_ms,
                                const struct coord_protocol *protocols, int32_t count)
{
        struct consumer_classic *classic = NULL;

        if (count >= 0) {
                classic = calloc(1, sizeof *classic);
                if (!classic || protocols_dup(protocols, count, &classic->protocols)) {
                        free(classic);
                        return -ENOMEM;
                }
                classic->session_timeout_ms = session_timeout_ms;
                classic->protocols_count = count;
        }
        m->group->consumer->classic_count += (classic != NULL) - (m->classic != NULL);
        if (m->classic)
                free(m->classic->protocols);
        free(m->classic);
        m->classic = classic;
        return 0;
}

int consumer_member_replace(struct consumer_member *m, struct str id)
{
        struct group *g = m->group;
        struct str copy;

        if (text_dup(id, &copy))
                return -ENOMEM;
        consumer_member_bury(m);
        map_remove(&g->consumer->by_id, &m->by_id);
        text_free(&m->id);
        m->id = copy;
        (void)map_insert(&g->consumer->by_id, &m->by_id, m->id); /* has buckets: it was in there */
        consumer_member_charge(m);
        consumer_member_record(m);
        consumer_target_record(m);
        m->previous_epoch = m->epoch;
        m->epoch = EPOCH_JOIN;
        m->state = CONSUMER_STABLE;
        consumer_current_record(m);
        return 0;
}

void consumer_member_reset_session(struct consumer_member *m)
{
        const struct group_settings *s = consumer_settings(m->group);
        int64_t timeout_ms = s->consumer_session_timeout_ms;

        if (m->group->consumer->share)
                timeout_ms = s->share_session_timeout_ms;
        else if (m->classic)
                timeout_ms = m->classic->session_timeout_ms;
        groups_timer_set(m->group->owner, &m->session, timeout_ms);
}

void consumer_member_charge(struct consumer_member *m)
{
        size_t memory = sizeof *m + m->id.len + m->instance_id.len + m->rack_id.len + m->client_id.len +
                        m->client_host.len + m->assignor.len + assignment_bytes(m->assigned) +
                        assignment_bytes(m->revoking);

        for (int32_t i = 0; m->classic && i < m->classic->protocols_count; i++)
                memory += sizeof *m->classic->protocols + m->classic->protocols[i].name.len +
                          m->classic->protocols[i].metadata.len;
        if (m->target != m->assigned)
                memory += assignment_bytes(m->target);
        m->group->owner->stats.memory += memory - m->memory;
        m->memory = memory;
}

int consumer_member_set_names(struct consumer_member *m, const struct str *names, int32_t count, bool *ret_changed)
{
        struct consumer_names *before = m->names, *now = consumer_names_get(m->group, names, count);

        if (!now)
                return -ENOMEM;
        m->names = now;
        consumer_names_put(m->group, before);
        if (ret_changed)
                *ret_changed = now != before; /* sets are one where they are equal */
        return 0;
}

/* ---- what it has ---- */

static struct consumer_owners *find_owners(const struct consumer *c, struct uuid id)
{
        struct str key = { (const char *)id.b, sizeof id.b };

        for (struct map_node *n = map_first(&c->owners, key); n; n = map_next_same(n)) {
                struct consumer_owners *o = container_of(n, struct consumer_owners, node);

                if (uuid_equal(o->id, id))
                        return o;
        }
        return NULL;
}

static struct consumer_owners *add_owners(struct group *g, struct uuid id)
{
        struct consumer_owners *o = calloc(1, sizeof *o);

        if (!o)
                return NULL;
        o->id = id;
        if (map_insert(&g->consumer->owners, &o->node, (struct str){ (const char *)id.b, sizeof id.b })) {
                free(o);
                return NULL;
        }
        return o;
}

static int grow_owners(struct consumer_owners *o, int32_t size)
{
        struct consumer_owner *owners = reallocarray(o->owners, (size_t)size, sizeof *owners);

        if (!owners)
                return -ENOMEM;
        memset(owners + o->size, 0, sizeof *owners * (size_t)(size - o->size));
        o->owners = owners;
        o->size = size;
        return 0;
}

/* @epoch: of what is nobody's yet. */
static int count_owner(struct group *g, const struct assignment *a, int by, int32_t epoch)
{
        if (g->consumer->share)
                return 0;
        for (uint32_t i = 0; a && i < a->topics_count; i++) {
                const struct assignment_topic *t = &a->topics[i];
                int32_t size = t->partitions[t->partitions_count - 1] + 1;
                struct consumer_owners *o = find_owners(g->consumer, t->id);

                if (!o && by > 0)
                        o = add_owners(g, t->id);
                if (!o || (o->size < size && grow_owners(o, size)))
                        return -ENOMEM;
                for (int32_t p = 0; p < t->partitions_count; p++) {
                        struct consumer_owner *owner = &o->owners[t->partitions[p]];

                        if (!owner->count)
                                owner->since = epoch;
                        owner->count = (uint16_t)(owner->count + by);
                }
        }
        return 0;
}

int consumer_member_hold(struct consumer_member *m, struct assignment *assigned, struct assignment *revoking)
{
        int r = count_owner(m->group, assigned, +1, m->epoch);

        if (!r)
                r = count_owner(m->group, revoking, +1, m->epoch);
        (void)count_owner(m->group, m->assigned, -1, 0); /* all of it is counted: takes no memory */
        (void)count_owner(m->group, m->revoking, -1, 0);
        assignment_unref(m->assigned);
        assignment_unref(m->revoking);
        m->assigned = assigned;
        m->revoking = revoking;
        consumer_member_charge(m);
        return r; /* the machine is dropped on a failure: counts need not be put right */
}

bool consumer_is_free(void *group, struct uuid id, int32_t partition)
{
        const struct group *g = group;
        const struct consumer_owners *o = find_owners(g->consumer, id);

        return !o || partition >= o->size || !o->owners[partition].count;
}

static int32_t since(const void *arg, struct uuid id, int32_t partition)
{
        const struct consumer *c = arg;
        const struct consumer_owners *o = find_owners(c, id);

        return o && partition < o->size ? o->owners[partition].since : 0;
}

bool consumer_member_had(const struct consumer_member *m, struct uuid id, int32_t partition, int32_t epoch)
{
        return (assignment_has(m->assigned, id, partition) || assignment_has(m->revoking, id, partition)) &&
               since(m->group->consumer, id, partition) <= epoch;
}

void consumer_set_since(struct group *g, struct uuid id, int32_t partition, int32_t epoch)
{
        struct consumer_owners *o = find_owners(g->consumer, id);

        if (o && partition < o->size)
                o->owners[partition].since = epoch;
}

/* ---- records ---- */

static void record(struct consumer_member *m, enum records_kind kind, int r, struct span value)
{
        struct groups *gs = m->group->owner;
        struct span key = SPAN_NULL;

        if (r ||
            records_encode_consumer_key(consumer_kind(m->group, kind), m->group->id, m->id, &gs->acts->arena, &key))
                key = SPAN_NULL; /* latches the failure */
        groups_record(gs, key, value);
        m->group->state_seq = groups_seq(gs);
}

static bool fill_classic(const struct consumer_member *m, struct arena *a,
                         struct consumer_group_member_metadata_value_classic *ret)
{
        struct consumer_group_member_metadata_value_protocol *p =
                ARENA_NEW_ARRAY(a, struct consumer_group_member_metadata_value_protocol, m->classic->protocols_count);

        consumer_group_member_metadata_value_classic_init(ret);
        ret->session_timeout_ms = m->classic->session_timeout_ms;
        ret->supported_protocols = p;
        ret->supported_protocols_count = m->classic->protocols_count;
        for (int32_t i = 0; p && i < m->classic->protocols_count; i++) {
                consumer_group_member_metadata_value_protocol_init(&p[i]);
                p[i].name = m->classic->protocols[i].name;
                p[i].metadata = m->classic->protocols[i].metadata;
        }
        return p;
}

void consumer_member_record(struct consumer_member *m)
{
        struct arena *a = &m->group->owner->acts->arena;
        struct consumer_group_member_metadata_value_classic classic;
        struct consumer_group_member_metadata_value v;
        struct span value = SPAN_NULL;

        consumer_group_member_metadata_value_init(&v);
        v.instance_id = m->instance_id;
        v.rack_id = m->rack_id;
        v.client_id = m->client_id;
        v.client_host = m->client_host;
        v.subscribed_topic_names = m->names->names;
        v.subscribed_topic_names_count = (int32_t)m->names->count;
        v.subscribed_topic_regex = m->regex ? m->regex->text : STR_NULL;
        v.rebalance_timeout_ms = m->rebalance_timeout_ms;
        v.server_assignor = m->assignor;
        if (m->classic && fill_classic(m, a, &classic))
                v.classic_member_metadata = &classic;
        if (m->classic && !v.classic_member_metadata)
                groups_fail(m->group->owner, -ENOMEM);
        record(m, RECORDS_CONSUMER_MEMBER,
               m->group->consumer->share ? records_encode_share_member(&v, a, &value)
                                         : records_encode_consumer_member(&v, a, &value),
               value);
}

void consumer_target_record(struct consumer_member *m)
{
        struct span value = SPAN_NULL;

        record(m, RECORDS_CONSUMER_TARGET_MEMBER,
               records_encode_consumer_target(m->target, &m->group->owner->acts->arena, &value), value);
}

void consumer_current_record(struct consumer_member *m)
{
        struct consumer *c = m->group->consumer;
        struct arena *a = &m->group->owner->acts->arena;
        struct span value = SPAN_NULL;
        struct records_current v = { .epoch = m->epoch,
                                     .previous_epoch = m->previous_epoch,
                                     .state = (int8_t)m->state,
                                     .assigned = m->assigned,
                                     .revoking = m->revoking };

        record(m, RECORDS_CONSUMER_CURRENT,
               c->share ? records_encode_share_current(&v, a, &value)
                        : records_encode_consumer_current(&v, since, c, a, &value),
               value);
}

void consumer_member_bury(struct consumer_member *m)
{
        record(m, RECORDS_CONSUMER_CURRENT, 0, SPAN_NULL);
        record(m, RECORDS_CONSUMER_TARGET_MEMBER, 0, SPAN_NULL);
        record(m, RECORDS_CONSUMER_MEMBER, 0, SPAN_NULL);
}

/* ---- its end ---- */

void consumer_remove(struct consumer_member *m)
{
        struct group *g = m->group;

        consumer_member_bury(m);
        consumer_member_free(m);
        consumer_sync_state(g);
        if (consumer_may_downgrade(g))
                consumer_downgrade(g);
        else
                consumer_bump(g); /* the next heartbeat of any member computes the target */
}

void consumer_session_due(void *arg, struct timer *t)
{
        struct groups *gs = arg;

        gs->stats.session_expiries++;
        consumer_remove(container_of(t, struct consumer_member, session));
}

/* It was told to give partitions up and had the time to: others wait for them. */
void consumer_revocation_due(void *arg, struct timer *t)
{
        struct groups *gs = arg;

        gs->stats.session_expiries++;
        consumer_remove(container_of(t, struct consumer_member, revocation));
}
