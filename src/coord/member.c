/* One member of a group: its memory, its place in the group, its session. */
#include <errno.h>
#include <string.h>

#include "coord/group_priv.h"

struct group_member *member_new(struct group *g, struct str id)
{
        struct group_member *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        m->group = g;
        ilist_init(&m->link);
        m->session.fn = member_session_due;
        m->pending = true;
        if (text_dup(id, &m->id) || map_insert(&g->by_id, &m->by_id, m->id)) {
                text_free(&m->id);
                free(m);
                return NULL;
        }
        g->pending_count++;
        g->owner->stats.members++;
        return m;
}

/* Free the memory only; group_remove_member() mends the group. */
struct group_member *member_free(struct group_member *m)
{
        struct groups *gs = m->group->owner;

        assert(!m->await_join && !m->await_sync);
        timer_unset(&gs->timers, &m->session);
        gs->stats.members--;
        gs->stats.memory -= m->memory;
        ilist_unlink(&m->link);
        text_free(&m->id);
        text_free(&m->instance_id);
        text_free(&m->client_id);
        text_free(&m->client_host);
        free(m->protocols);
        free((void *)m->assignment.data);
        free(m);
        return NULL;
}

/* ---- what it brought ---- */

static void charge(struct group_member *m)
{
        size_t memory =
                sizeof *m + m->id.len + m->instance_id.len + m->client_id.len + m->client_host.len + m->assignment.len;

        for (int32_t i = 0; i < m->protocols_count; i++)
                memory += sizeof *m->protocols + m->protocols[i].name.len + m->protocols[i].metadata.len;
        m->group->owner->stats.memory += memory - m->memory;
        m->memory = memory;
}

int protocols_dup(const struct coord_protocol *protocols, int32_t count, struct coord_protocol **ret)
{
        size_t len = sizeof *protocols * (size_t)count;
        struct coord_protocol *copy;
        uint8_t *at;

        for (int32_t i = 0; i < count; i++)
                len += protocols[i].name.len + protocols[i].metadata.len;
        copy = malloc(len + 1);
        if (!copy)
                return -ENOMEM;
        at = (uint8_t *)(copy + count);
        for (int32_t i = 0; i < count; i++) {
                copy[i].name = (struct str){ (char *)at, protocols[i].name.len };
                at = (uint8_t *)mempcpy(at, protocols[i].name.p ? protocols[i].name.p : "", protocols[i].name.len);
                copy[i].metadata = span_of(at, protocols[i].metadata.len);
                if (protocols[i].metadata.len)
                        at = (uint8_t *)mempcpy(at, protocols[i].metadata.data, protocols[i].metadata.len);
        }
        *ret = copy;
        return 0;
}

bool protocols_equal(const struct coord_protocol *a, int32_t a_count, const struct coord_protocol *b, int32_t b_count)
{
        if (a_count != b_count)
                return false;
        for (int32_t i = 0; i < a_count; i++)
                if (str_compare(a[i].name, b[i].name) != 0 || a[i].metadata.len != b[i].metadata.len ||
                    (a[i].metadata.len && memcmp(a[i].metadata.data, b[i].metadata.data, a[i].metadata.len)))
                        return false;
        return true;
}

int member_set_protocols(struct group_member *m, const struct coord_protocol *protocols, int32_t count)
{
        struct coord_protocol *copy;

        if (protocols_dup(protocols, count, &copy))
                return -ENOMEM;
        free(m->protocols);
        m->protocols = copy;
        m->protocols_count = count;
        charge(m);
        return 0;
}

int member_set_assignment(struct group_member *m, struct span data)
{
        uint8_t *copy = NULL;

        if (data.len) {
                copy = malloc(data.len);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, data.data, data.len);
        }
        free((void *)m->assignment.data);
        m->assignment = span_of(copy, data.len);
        charge(m);
        return 0;
}

int member_set_id(struct group_member *m, struct str id)
{
        struct str copy;

        if (text_dup(id, &copy))
                return -ENOMEM;
        map_remove(&m->group->by_id, &m->by_id);
        text_free(&m->id);
        m->id = copy;
        (void)map_insert(&m->group->by_id, &m->by_id, m->id); /* has buckets: it was in there */
        charge(m);
        return 0;
}

bool member_has_protocols(const struct group_member *m, const struct coord_protocol *protocols, int32_t count)
{
        return protocols_equal(m->protocols, m->protocols_count, protocols, count);
}

struct span member_metadata(const struct group_member *m, struct str protocol)
{
        for (int32_t i = 0; i < m->protocols_count; i++)
                if (!str_is_null(protocol) && str_equal(m->protocols[i].name, protocol))
                        return m->protocols[i].metadata;
        return span_of("", 0);
}

/* ---- its place ---- */

/* A pending member becomes a joined one; its fields are set. */
int group_join_member(struct group *g, struct group_member *m)
{
        int r;

        assert(m->pending);
        if (!str_is_null(m->instance_id)) {
                assert(!group_find_instance(g, m->instance_id));
                r = map_insert(&g->by_instance, &m->by_instance, m->instance_id);
                if (r)
                        return r;
        }
        r = group_count_protocols(g, m, +1);
        if (r)
                return r;
        m->pending = false;
        g->pending_count--;
        g->members_count++;
        ilist_push_back(&g->members, &m->link);
        if (!g->leader)
                g->leader = m;
        return 0;
}

static void answer_parked(struct group_member *m, int outcome)
{
        struct group *g = m->group;
        struct coord_join *join = TAKE_PTR(m->await_join);

        if (join) {
                g->joining_count--;
                join_reply_error(g->owner, g, join, m->id, outcome);
        }
        if (m->await_sync)
                sync_reply(g->owner, m, outcome);
}

void group_remove_member(struct group *g, struct group_member *m)
{
        answer_parked(m, COORD_E_UNKNOWN_MEMBER);
        map_remove(&g->by_id, &m->by_id);
        if (m->pending) {
                g->pending_count--;
        } else {
                if (!str_is_null(m->instance_id))
                        map_remove(&g->by_instance, &m->by_instance);
                group_synced(m);
                (void)group_count_protocols(g, m, -1); /* takes no memory */
                g->members_count--;
                ilist_unlink(&m->link);
                if (g->leader == m)
                        g->leader = ilist_first(&g->members, struct group_member, link);
        }
        member_free(m);
}

void member_reset_session(struct group_member *m)
{
        groups_timer_set(m->group->owner, &m->session, m->session_timeout_ms);
}
