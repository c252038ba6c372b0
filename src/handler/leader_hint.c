/* Who leads; see leader_hint.h. */
#include "handler/leader_hint.h"

#include "handler/cluster_view.h"

static void collect(struct rq *rq, struct leader_hints *hints, int32_t id)
{
        for (int32_t i = 0; i < hints->count; i++)
                if (hints->ids[i] == id)
                        return;
        if (hints->count < LEADER_HINTS_MAX && told_endpoint(rq, meta_image_broker(rq->image, id)))
                hints->ids[hints->count++] = id;
}

struct leader_hint leader_hint(struct rq *rq, struct uuid topic_id, struct str topic_name, int32_t index,
                               struct partition *p, struct leader_hints *hints)
{
        struct leader_hint hint = { -1, -1 };
        const struct meta_partition *mp;
        const struct meta_topic *t;
        struct partition_view view;

        if (!resolve_topic(rq, topic_id, topic_name, &t) && (mp = meta_topic_partition(t, index)))
                hint = (struct leader_hint){ mp->leader < 0 ? -1 : mp->leader, mp->leader_epoch };
        if (p) {
                partition_view(p, &view);
                if (view.leader_epoch > hint.epoch)
                        hint = (struct leader_hint){ view.leader, view.leader_epoch };
        }
        if (hint.leader >= 0)
                collect(rq, hints, hint.leader);
        return hint;
}

struct leader_place leader_hints_place(const struct rq *rq, const struct leader_hints *hints, int32_t i)
{
        const struct meta_broker *b = meta_image_broker(rq->image, hints->ids[i]);
        const struct meta_endpoint *e = told_endpoint(rq, b);

        return (struct leader_place){ .id = hints->ids[i], .port = e->port, .host = e->host, .rack = b->rack };
}
