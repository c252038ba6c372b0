/* Where a share group stands, for operators: shown, set, and forgotten (KIP-932). What leaders know of it is fenced by what is set here. */
#include <errno.h>

#include "coord/share_priv.h"

static int find_group(struct groups *gs, struct str id, bool must_be_empty, struct group **ret_group)
{
        int outcome = share_find_group(gs, id, ret_group);

        if (!outcome && !gs->conf.image)
                outcome = COORD_E_NOT_AVAILABLE;
        if (!outcome && must_be_empty && (*ret_group)->consumer->members_count)
                outcome = COORD_E_NON_EMPTY_GROUP;
        return outcome;
}

/* NULL: there is no such partition. What topic it is of is told in any case. */
static const struct meta_topic *find_partition(struct groups *gs, struct coord_share_offset *item)
{
        const struct meta_topic *t = meta_image_topic(groups_image(gs), item->topic);

        item->topic_id = t ? t->id : UUID_ZERO;
        return t && item->partition >= 0 && (uint32_t)item->partition < t->partitions_count ? t : NULL;
}

/* ---- shown ---- */

/* Without anything known, as Kafka shows it. */
static void fill(struct coord_share_offset *item, const struct share_progress *p)
{
        item->start = p ? p->start : COORD_SHARE_START_UNKNOWN;
        item->leader_epoch = p ? p->leader_epoch : 0;
        item->done = 0;
        for (int32_t i = 0; p && i < p->runs_count; i++)
                if (p->runs[i].state != 0)
                        item->done += p->runs[i].last - p->runs[i].first + 1;
        item->ret_outcome = COORD_OK;
}

static int fill_all(struct groups *gs, struct group *g, struct coord_share_offsets *rq, uint64_t *need_seq)
{
        size_t count = 0;
        bool failed = false;

        rq->items_count = 0;
        ilist_for_each (t, &g->consumer->share->topics, struct share_topic, link)
                count += t->parts_count;
        rq->items = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_share_offset, count);
        if (!rq->items)
                return -ENOMEM;
        ilist_for_each (t, &g->consumer->share->topics, struct share_topic, link) {
                const struct meta_topic *topic = meta_image_topic_by_id(groups_image(gs), t->id);
                struct str name;

                if (!topic) /* it is gone, which we are told soon */
                        continue;
                name = coord_request_keep(&rq->rq, topic->name, &failed);
                ilist_for_each (p, &t->parts, struct share_progress, link) {
                        struct coord_share_offset *item = &rq->items[rq->items_count++];

                        *item = (struct coord_share_offset){ .topic = name,
                                                             .topic_id = t->id,
                                                             .partition = p->partition };
                        fill(item, p);
                        *need_seq = MAX2(*need_seq, p->seq);
                }
        }
        return failed ? -ENOMEM : COORD_OK;
}

static void fill_asked(struct groups *gs, struct group *g, struct coord_share_offset *item, uint64_t *need_seq)
{
        const struct meta_topic *t = find_partition(gs, item);
        const struct share_progress *p = t ? share_find(g, t->id, item->partition) : NULL;

        fill(item, p);
        if (!t)
                item->ret_outcome = COORD_E_UNKNOWN_PARTITION;
        if (p)
                *need_seq = MAX2(*need_seq, p->seq);
}

void groups_share_offsets(struct groups *gs, struct coord_share_offsets *rq)
{
        struct group *g;
        int outcome = find_group(gs, rq->rq.id, false, &g);
        uint64_t need_seq = g ? g->state_seq : 0;

        if (!outcome && rq->all)
                outcome = fill_all(gs, g, rq, &need_seq);
        else if (!outcome)
                for (int32_t i = 0; i < rq->items_count; i++)
                        fill_asked(gs, g, &rq->items[i], &need_seq);
        groups_reply(gs, &rq->rq, outcome, need_seq);
}

/* ---- set ---- */

/* A group that nobody has joined yet may be told where it begins. */
static int add_group(struct groups *gs, struct str id, struct group **ret_group)
{
        if (*ret_group)
                return COORD_OK;
        if (!groups_has_room(gs, sizeof(struct group) + sizeof(struct consumer) + sizeof(struct share_group) + id.len))
                return COORD_E_NO_ROOM;
        *ret_group = groups_add(gs, id);
        if (!*ret_group || group_become_share(*ret_group)) {
                groups_fail(gs, -ENOMEM);
                return -ENOMEM;
        }
        consumer_record(*ret_group);
        return COORD_OK;
}

/* A leader may have read the group's progress, and may serve it yet: it finds itself fenced when it writes. */
static int set_start(struct groups *gs, struct group *g, const struct meta_topic *t,
                     const struct coord_share_offset *item)
{
        struct share_progress *p = share_find(g, t->id, item->partition);

        if (!p && !groups_has_room(gs, sizeof *p + sizeof *p->topic))
                return COORD_E_NO_ROOM;
        if (!p)
                p = share_get(g, t->id, item->partition);
        if (!p) {
                groups_fail(gs, -ENOMEM);
                return -ENOMEM;
        }
        (void)share_set_runs(p, NULL, 0); /* takes no memory */
        p->start = item->start;
        share_renew(p);
        share_record(p);
        return COORD_OK;
}

void groups_share_alter(struct groups *gs, struct coord_share_offsets *rq)
{
        struct group *g;
        int outcome = find_group(gs, rq->rq.id, true, &g);
        uint64_t need_seq = g ? g->state_seq : 0;

        if (!g && gs->conf.image)
                outcome = COORD_OK;
        for (int32_t i = 0; !outcome && i < rq->items_count; i++) {
                struct coord_share_offset *item = &rq->items[i];
                const struct meta_topic *t = find_partition(gs, item);

                if (!t)
                        item->ret_outcome = COORD_E_UNKNOWN_PARTITION;
                else if (item->start < 0)
                        item->ret_outcome = COORD_E_INVALID_REQUEST;
                else
                        item->ret_outcome = add_group(gs, rq->rq.id, &g) ?: set_start(gs, g, t, item);
                if (!item->ret_outcome)
                        need_seq = groups_seq(gs);
        }
        groups_reply(gs, &rq->rq, outcome, need_seq);
}

/* ---- forgotten ---- */

void groups_share_remove(struct groups *gs, struct coord_share_remove *rq)
{
        struct group *g;
        int outcome = find_group(gs, rq->rq.id, true, &g);
        uint64_t need_seq = g ? g->state_seq : 0;

        for (int32_t i = 0; !outcome && i < rq->items_count; i++) {
                struct coord_share_offset *item = &rq->items[i];
                const struct meta_topic *topic = meta_image_topic(groups_image(gs), item->topic);
                struct share_topic *t = topic ? share_find_topic(g, topic->id) : NULL;

                item->topic_id = topic ? topic->id : UUID_ZERO;
                item->ret_outcome = t ? COORD_OK : COORD_E_UNKNOWN_PARTITION;
                if (t) {
                        share_bury_topic(t);
                        need_seq = groups_seq(gs);
                }
        }
        groups_reply(gs, &rq->rq, outcome, need_seq);
}
