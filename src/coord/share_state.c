/* What leaders of partitions ask about a share group (KIP-932): how far it is, and that it has come further. */
#include <errno.h>

#include "coord/share_priv.h"

int share_find_group(struct groups *gs, struct str id, struct group **ret_group)
{
        struct group *g = groups_find(gs, id);

        *ret_group = g;
        if (!g)
                return COORD_E_GROUP_NOT_FOUND;
        if (g->state == COORD_GROUP_DEAD)
                return COORD_E_NOT_AVAILABLE;
        return g->consumer && g->consumer->share ? COORD_OK : COORD_E_GROUP_NOT_FOUND;
}

static int find(struct groups *gs, struct str group, struct uuid id, int32_t partition, struct group **ret_group)
{
        const struct meta_topic *t;
        int outcome = share_find_group(gs, group, ret_group);

        if (outcome)
                return outcome;
        if (!gs->conf.image)
                return COORD_E_NOT_AVAILABLE;
        t = meta_image_topic_by_id(groups_image(gs), id);
        return t && partition >= 0 && (uint32_t)partition < t->partitions_count ? COORD_OK : COORD_E_UNKNOWN_PARTITION;
}

/* What the answer rests on. */
static void reply(struct groups *gs, const struct group *g, const struct share_progress *p, struct coord_request *rq,
                  int outcome)
{
        groups_reply(gs, rq, outcome, p ? p->seq : g ? g->state_seq : 0);
}

/* ---- read ---- */

/* A leader that reads fences the ones before it, and what it has sent itself so far: also where nothing was written yet, and also when
 * the group's coordinator moves. */
static int fence(struct group *g, const struct coord_share_read *rq, struct share_progress **ret)
{
        struct share_progress *p = share_find(g, rq->topic_id, rq->partition);
        bool is_new = !p;

        *ret = p;
        if (p && rq->leader_epoch < p->leader_epoch)
                return COORD_E_FENCED_LEADER;
        if (is_new && !groups_has_room(g->owner, sizeof *p + sizeof *p->topic))
                return COORD_E_NO_ROOM;
        if (is_new)
                p = *ret = share_get(g, rq->topic_id, rq->partition);
        if (!p) {
                groups_fail(g->owner, -ENOMEM);
                return -ENOMEM;
        }
        share_renew(p);
        p->leader_epoch = rq->leader_epoch;
        share_record(p);
        return COORD_OK;
}

void groups_share_read(struct groups *gs, struct coord_share_read *rq)
{
        struct share_progress *p = NULL;
        struct group *g;
        int outcome = find(gs, rq->rq.id, rq->topic_id, rq->partition, &g);

        rq->ret_start = COORD_SHARE_START_UNKNOWN;
        if (!outcome && rq->leader_epoch < 0)
                outcome = COORD_E_INVALID_REQUEST;
        if (!outcome)
                outcome = fence(g, rq, &p);
        if (!outcome) {
                rq->ret_state_epoch = p->state_epoch;
                rq->ret_start = p->start;
                rq->ret_runs = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_share_run, p->runs_count);
                if (rq->ret_runs && p->runs_count)
                        memcpy(rq->ret_runs, p->runs, sizeof *p->runs * (size_t)p->runs_count);
                rq->ret_runs_count = rq->ret_runs ? p->runs_count : 0;
                outcome = rq->ret_runs ? COORD_OK : -ENOMEM;
        }
        reply(gs, g, p, &rq->rq, outcome);
}

/* ---- write ---- */

static int check_write(const struct groups *gs, const struct share_progress *p, const struct coord_share_write *rq)
{
        size_t len = sizeof *rq->runs * (size_t)MAX2(rq->runs_count, 0), has;

        if (!p) /* it was forgotten since it was read */
                return COORD_E_FENCED_STATE;
        if (rq->leader_epoch < p->leader_epoch)
                return COORD_E_FENCED_LEADER;
        if (rq->state_epoch != p->state_epoch || rq->number <= p->number)
                return COORD_E_FENCED_STATE;
        if (rq->runs_count > COORD_SHARE_RUNS_MAX)
                return COORD_E_TOO_LARGE;
        if (!share_runs_are_sound(rq->start, rq->runs, rq->runs_count))
                return COORD_E_INVALID_REQUEST;
        has = sizeof *p->runs * (size_t)p->runs_count;
        return len <= has || groups_has_room(gs, len - has) ? COORD_OK : COORD_E_NO_ROOM;
}

static bool same_runs(const struct coord_share_run *a, const struct coord_share_run *b, int32_t count)
{
        for (int32_t i = 0; i < count; i++)
                if (a[i].first != b[i].first || a[i].last != b[i].last || a[i].state != b[i].state ||
                    a[i].deliveries != b[i].deliveries)
                        return false;
        return true;
}

static bool is_same(const struct share_progress *p, const struct coord_share_write *rq)
{
        return p->leader_epoch == rq->leader_epoch && p->start == rq->start && p->runs_count == rq->runs_count &&
               same_runs(p->runs, rq->runs, rq->runs_count);
}

void groups_share_write(struct groups *gs, struct coord_share_write *rq)
{
        struct share_progress *p = NULL;
        struct group *g;
        int outcome = find(gs, rq->rq.id, rq->topic_id, rq->partition, &g);

        if (!outcome) {
                p = share_find(g, rq->topic_id, rq->partition);
                outcome = check_write(gs, p, rq);
        }
        if (!outcome && !is_same(p, rq)) {
                if (share_set_runs(p, rq->runs, rq->runs_count))
                        groups_fail(gs, outcome = -ENOMEM);
                p->leader_epoch = rq->leader_epoch;
                p->start = rq->start;
                p->number = rq->number;
                share_record(p);
        } else if (!outcome) {
                p->number = rq->number;
        }
        reply(gs, g, p, &rq->rq, outcome);
}
