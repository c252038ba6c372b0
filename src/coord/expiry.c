/* Offsets that nobody will come back for, and groups that hold nothing (KIP-211). */
#include "coord/group_priv.h"

enum { SCAN_GROUPS_MAX = 200, SCAN_RECORDS_MAX = 1000, SCAN_PAUSE_MS = 5 };

/* Since when an offset of this group has been of no use, by the group's kind and state.
 * Return: false when it is in use. */
static bool unused_since(const struct group *g, const struct offset_version *v, int64_t *ret_ms)
{
        if (str_is_null(g->protocol_type) || !g->protocol_type.len) {
                *ret_ms = v->commit_ms; /* no membership: its consumer lives as long as it commits */
                return true;
        }
        if (g->consumer) { /* what it is subscribed to is in use, which the caller asks; since when the rest is not, no record says */
                *ret_ms = v->commit_ms;
                return true;
        }
        if (g->state == COORD_GROUP_EMPTY) {
                *ret_ms = g->state_since_ms >= 0 ? g->state_since_ms : v->commit_ms;
                return true;
        }
        /* A live group: only what it no longer subscribes to, which the caller asks. */
        *ret_ms = v->commit_ms;
        return g->state == COORD_GROUP_STABLE && group_is_consumer(g) && g->subscribed_known;
}

static bool is_expired(const struct group *g, const struct offset_version *v)
{
        int64_t now_ms = g->owner->now.wall_ms, since_ms;

        if (!unused_since(g, v, &since_ms))
                return false;
        if (v->expire_ms >= 0)
                return now_ms >= v->expire_ms;
        return now_ms - since_ms >= g->owner->conf.offsets_retention_ms;
}

/* Return: true when no offset is left, nor may come from an open transaction. */
bool group_expire_offsets(struct group *g)
{
        ilist_for_each (t, &g->topics_list, struct group_topic, link) {
                if (group_is_subscribed(g, t->name))
                        continue;
                for (size_t i = 0; i < t->offsets_count; i++) {
                        const struct offset_version *v = offset_latest(t->offsets[i]);

                        if (v && ilist_is_empty(&t->offsets[i]->staged) && is_expired(g, v)) {
                                group_remove_offset(g, t->offsets[i]);
                                g->owner->stats.offsets_expired++;
                        }
                }
        }
        return !g->offsets_count && !g->staged_count;
}

static void scan_group(struct group *g)
{
        if (g->state == COORD_GROUP_DEAD)
                return;
        if (group_expire_offsets(g) && g->state == COORD_GROUP_EMPTY && !g->pending_count &&
            group_type(g) != COORD_GROUP_SHARE) /* those stay until an operator deletes them */
                group_bury(g);
}

/* A part of the scan; the groups go round in their list, so that it can pause anywhere. */
void groups_expiry_due(void *arg, struct timer *t)
{
        struct groups *gs = arg;

        if (!gs->expiry_left)
                gs->expiry_left = gs->stats.groups;
        for (unsigned i = 0; i < SCAN_GROUPS_MAX && gs->expiry_left && gs->acts->records_count < SCAN_RECORDS_MAX;
             i++) {
                struct group *g = ilist_first(&gs->all, struct group, link);

                gs->expiry_left--;
                if (!g)
                        break;
                ilist_unlink(&g->link);
                ilist_push_back(&gs->all, &g->link);
                scan_group(g);
        }
        if (ilist_is_empty(&gs->all))
                gs->expiry_left = 0;
        groups_timer_set(gs, t, gs->expiry_left ? SCAN_PAUSE_MS : gs->conf.offsets_check_interval_ms);
}
