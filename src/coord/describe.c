/* What operators ask: one group, all groups, all offsets; and the removal of a group. */
#include <errno.h>

#include "coord/group_priv.h"

/* Never null. */
static struct str keep(struct coord_request *rq, struct str s, bool *failed)
{
        return coord_request_keep(rq, str_is_null(s) ? STR_LIT("") : s, failed);
}

static void describe_member(struct coord_describe *rq, const struct group_member *m, struct coord_described_member *ret,
                            bool *failed)
{
        bool settled = m->group->state == COORD_GROUP_STABLE;

        ret->member_id = keep(&rq->rq, m->id, failed);
        ret->instance_id = coord_request_keep(&rq->rq, m->instance_id, failed);
        ret->client_id = keep(&rq->rq, m->client_id, failed);
        ret->client_host = keep(&rq->rq, m->client_host, failed);
        ret->metadata = coord_request_keep_bytes(
                &rq->rq, settled ? member_metadata(m, m->group->protocol_name) : SPAN_NULL, failed);
        /* The last one that it was given, also while the next is made. */
        ret->assignment = coord_request_keep_bytes(&rq->rq, m->assignment, failed);
}

void groups_describe(struct groups *gs, struct coord_describe *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        bool failed = false;
        int32_t i = 0;

        rq->ret_state = COORD_GROUP_DEAD;
        rq->ret_type = COORD_GROUP_CLASSIC;
        rq->ret_protocol_type = rq->ret_protocol_name = STR_LIT("");
        if (!g || g->state == COORD_GROUP_DEAD || g->consumer) { /* the other type has a request of its own */
                rq->ret_is_other_type = g && g->consumer;
                group_reply(gs, g, &rq->rq, COORD_E_GROUP_NOT_FOUND);
                return;
        }
        rq->ret_state = g->state;
        rq->ret_generation = g->generation;
        rq->ret_protocol_type = keep(&rq->rq, g->protocol_type, &failed);
        if (g->state == COORD_GROUP_STABLE)
                rq->ret_protocol_name = keep(&rq->rq, g->protocol_name, &failed);
        rq->ret_members = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_described_member, g->members_count);
        failed |= !rq->ret_members;
        if (!failed)
                ilist_for_each (m, &g->members, struct group_member, link)
                        describe_member(rq, m, &rq->ret_members[i++], &failed);
        rq->ret_members_count = i;
        group_reply(gs, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}

/* Room for one more element of @size bytes. The array lives in an arena: growing leaves the old one behind. */
static void *grown(struct arena *a, void *array, size_t count, size_t *array_size, size_t element_len)
{
        size_t size = *array_size ? *array_size * 2 : 64;
        void *bigger;

        if (count < *array_size)
                return array;
        bigger = arena_alloc_array(a, size, element_len);
        if (!bigger)
                return NULL;
        if (count)
                memcpy(bigger, array, count * element_len);
        *array_size = size;
        return bigger;
}

static bool is_wanted(uint32_t mask, unsigned bit)
{
        return !mask || mask & 1u << bit;
}

static bool list_group(struct coord_list *rq, const struct group *g)
{
        size_t size = (size_t)rq->groups_size;
        struct coord_listed_group *groups;
        bool failed = false;

        groups = grown(&rq->rq.arena, rq->ret_groups, (size_t)rq->ret_groups_count, &size, sizeof *groups);
        if (!groups)
                return true;
        rq->ret_groups = groups;
        rq->groups_size = (int32_t)size;
        groups[rq->ret_groups_count] = (struct coord_listed_group){
                .group_id = keep(&rq->rq, g->id, &failed),
                .protocol_type = keep(&rq->rq, g->protocol_type, &failed),
                .state = group_shown_state(g),
                .type = group_type(g),
        };
        rq->ret_groups_count += !failed;
        return failed;
}

void groups_list(struct groups *gs, struct coord_list *rq)
{
        bool failed = false;

        ilist_for_each (g, &gs->all, struct group, link)
                if (is_wanted(rq->types_mask, group_type(g)) && is_wanted(rq->states_mask, group_shown_state(g)) &&
                    !failed)
                        failed = list_group(rq, g);
        groups_reply(gs, &rq->rq, failed ? -ENOMEM : rq->rq.outcome, 0);
}

static bool snapshot_offset(struct coord_snapshot *rq, struct str group_id, struct str topic, struct group_offset *o)
{
        const struct offset_version *v = offset_committed(o);
        struct coord_snapshot_item *items;

        if (!v)
                return false;
        items = grown(&rq->rq.arena, rq->ret_items, rq->ret_items_count, &rq->items_size, sizeof *items);
        if (!items)
                return true;
        rq->ret_items = items;
        items[rq->ret_items_count++] = (struct coord_snapshot_item){
                .group_id = group_id,
                .topic = topic,
                .partition = o->partition,
                .offset = v->offset,
                .commit_ms = v->commit_ms,
        };
        return false;
}

static bool snapshot_group(struct coord_snapshot *rq, struct group *g)
{
        bool failed = false;
        struct str group_id;

        if (ilist_is_empty(&g->topics_list))
                return false;
        group_id = keep(&rq->rq, g->id, &failed);
        ilist_for_each (t, &g->topics_list, struct group_topic, link) {
                struct str topic = keep(&rq->rq, t->name, &failed);

                for (size_t i = 0; i < t->offsets_count && !failed; i++)
                        failed = snapshot_offset(rq, group_id, topic, t->offsets[i]);
        }
        return failed;
}

void groups_snapshot(struct groups *gs, struct coord_snapshot *rq)
{
        bool failed = false;

        ilist_for_each (g, &gs->all, struct group, link)
                if (!failed)
                        failed = snapshot_group(rq, g);
        groups_reply(gs, &rq->rq, failed ? -ENOMEM : rq->rq.outcome, 0);
}

void groups_delete(struct groups *gs, struct coord_delete *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);

        if (!g || g->state == COORD_GROUP_DEAD) {
                group_reply(gs, g, &rq->rq, COORD_E_GROUP_NOT_FOUND);
                return;
        }
        if (g->state != COORD_GROUP_EMPTY) {
                group_reply(gs, g, &rq->rq, COORD_E_NON_EMPTY_GROUP);
                return;
        }
        ilist_for_each (t, &g->topics_list, struct group_topic, link)
                for (size_t i = 0; i < t->offsets_count; i++)
                        if (offset_is_held(t->offsets[i]))
                                group_remove_offset(g, t->offsets[i]);
        if (gs->err) { /* some removal found no memory: the machine is dropped, nothing may be buried half */
                group_reply(gs, g, &rq->rq, gs->err);
                return;
        }
        group_bury(g);
        group_reply(gs, g, &rq->rq, COORD_OK);
}
