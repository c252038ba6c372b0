/* OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete (KIP-211, KIP-447, KIP-496). */
#include <errno.h>

#include "coord/consumer_priv.h"
#include "coord/records.h"
#include "coord/utf16.h"

/* ---- commit ---- */

static bool is_txn(const struct coord_offset_commit *rq)
{
        return rq->rq.op == COORD_TXN_OFFSET_COMMIT;
}

/* Members of a consumer group say their epoch, and before version 9 cannot (KIP-848). */
static int check_epoch(const struct group *g, struct str member_id, int32_t epoch)
{
        const struct consumer_member *m = consumer_find(g, member_id);

        if (!m)
                return COORD_E_UNKNOWN_MEMBER;
        if (m->epoch == epoch)
                return COORD_OK;
        return m->classic ? COORD_E_ILLEGAL_GENERATION : COORD_E_STALE_EPOCH;
}

/* A member may be told of a newer epoch while its commit is on the way. The older one counts for partitions that it has had all along:
 * then nobody else has committed them. One that it has not refuses all (KIP-1251). */
static int check_since(const struct group *g, const struct consumer_member *m, const struct coord_offset_commit *rq)
{
        const struct meta_image *image = g->owner->conf.image ? groups_image(g->owner) : NULL;
        int outcome = m->classic ? COORD_E_ILLEGAL_GENERATION : COORD_E_STALE_EPOCH;

        if (rq->generation > m->epoch || !image)
                return outcome;
        for (int32_t i = 0; i < rq->items_count; i++) {
                const struct meta_topic *t = meta_image_topic(image, rq->items[i].topic);

                if (!t || !consumer_member_had(m, t->id, rq->items[i].partition, rq->generation))
                        return outcome;
        }
        return COORD_OK;
}

static int check_consumer(const struct group *g, const struct coord_offset_commit *rq)
{
        const struct consumer_member *m;

        if (rq->generation < 0 && g->state == COORD_GROUP_EMPTY)
                return COORD_OK;
        if (is_txn(rq) && rq->generation < 0 && !rq->member_id.len && str_is_null(rq->instance_id))
                return COORD_OK; /* it could not always say who consumes for it (KIP-447) */
        m = consumer_find(g, rq->member_id);
        if (!m)
                return COORD_E_UNKNOWN_MEMBER;
        if (!is_txn(rq) && !rq->knows_epochs && !m->classic)
                return COORD_E_UNSUPPORTED_VERSION;
        return m->epoch == rq->generation ? COORD_OK : check_since(g, m, rq);
}

static int check_committer(const struct group *g, const struct coord_offset_commit *rq)
{
        bool is_member = rq->generation >= 0 || rq->member_id.len || !str_is_null(rq->instance_id);
        int outcome;

        /* A consumer without membership creates its group by committing. One that says it is in a generation of a group
         * that does not exist has been forgotten. */
        if (!g)
                return rq->generation < 0 ? COORD_OK : COORD_E_GROUP_NOT_FOUND;
        if (g->state == COORD_GROUP_DEAD)
                return COORD_E_NOT_AVAILABLE;
        if (group_type(g) == COORD_GROUP_SHARE)
                return COORD_E_GROUP_NOT_FOUND; /* such a group commits nothing */
        if (g->consumer)
                return check_consumer(g, rq);
        if (rq->generation < 0 && g->state == COORD_GROUP_EMPTY)
                return COORD_OK;
        /* Transactional producers could not always say who consumes for them (KIP-447). */
        if (!is_member)
                return g->state == COORD_GROUP_EMPTY || is_txn(rq) ? COORD_OK : COORD_E_UNKNOWN_MEMBER;
        outcome = group_check_member(g, rq->member_id, rq->instance_id);
        if (outcome)
                return outcome;
        if (rq->generation != g->generation)
                return COORD_E_ILLEGAL_GENERATION;
        /* While members are being joined the last generation may still say how far it came; once the next one is
         * decided they no longer own what they would commit. */
        return g->state == COORD_GROUP_COMPLETING && !is_txn(rq) ? COORD_E_REBALANCING : COORD_OK;
}

static int check_item(const struct groups *gs, const struct coord_commit_item *item)
{
        /* No text has more UTF-16 units than bytes. */
        if (item->metadata.len > gs->conf.offset_metadata_len_max &&
            utf16_len(item->metadata) > gs->conf.offset_metadata_len_max)
                return COORD_E_METADATA_TOO_LARGE;
        if (item->topic.len > TEXT_LEN_MAX || item->metadata.len > TEXT_LEN_MAX)
                return COORD_E_TOO_LARGE;
        return groups_has_room(gs, sizeof(struct group_offset) + sizeof(struct offset_version) + item->topic.len +
                                           item->metadata.len)
                       ? COORD_OK
                       : COORD_E_NO_ROOM;
}

static int commit_one(struct group *g, const struct coord_offset_commit *rq, const struct coord_commit_item *item,
                      int64_t expire_ms)
{
        struct groups *gs = g->owner;
        int r;
        struct offset_value stored = {
                .offset = item->offset,
                .commit_ms = gs->now.wall_ms,
                .expire_ms = expire_ms,
                .leader_epoch = item->leader_epoch,
                .metadata = str_is_null(item->metadata) ? STR_LIT("") : item->metadata,
        };
        struct offset_commit_value v;
        struct span key = SPAN_NULL, value = SPAN_NULL;

        offset_commit_value_init(&v);
        v.offset = stored.offset;
        v.leader_epoch = stored.leader_epoch;
        v.metadata = stored.metadata;
        v.commit_timestamp = stored.commit_ms;
        v.expire_timestamp = expire_ms;
        if (records_encode_offset(&v, &gs->acts->arena, &value) ||
            records_encode_offset_key(g->id, item->topic, item->partition, &gs->acts->arena, &key))
                return -ENOMEM;
        r = is_txn(rq) ? group_stage_offset(g, rq->producer_id, item->topic, item->partition, &stored)
                       : group_put_offset(g, item->topic, item->partition, &stored, groups_seq(gs));
        if (r)
                return r;
        groups_record(gs, key, value);
        gs->stats.offsets_committed++;
        return COORD_OK;
}

static void commit_all(struct group *g, struct coord_offset_commit *rq)
{
        struct groups *gs = g->owner;
        int64_t expire_ms = rq->retention_ms < 0 ? -1 : gs->now.wall_ms + rq->retention_ms;
        uint64_t need_seq = g->state_seq;

        if (is_txn(rq)) {
                gs->acts->producer_id = rq->producer_id;
                gs->acts->producer_epoch = rq->producer_epoch;
        }
        for (int32_t i = 0; i < rq->items_count; i++) {
                struct coord_commit_item *item = &rq->items[i];

                item->ret_outcome = check_item(gs, item);
                if (item->ret_outcome)
                        continue;
                item->ret_outcome = commit_one(g, rq, item, expire_ms);
                if (item->ret_outcome)
                        groups_fail(gs, item->ret_outcome);
                need_seq = groups_seq(gs);
        }
        groups_reply(gs, &rq->rq, COORD_OK, need_seq);
        group_collect(g);
}

void groups_offset_commit(struct groups *gs, struct coord_offset_commit *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        int outcome = check_committer(g, rq);
        struct group_member *m;

        if (!outcome && !g) {
                g = groups_has_room(gs, sizeof *g) ? groups_add(gs, rq->rq.id) : NULL;
                outcome = g ? COORD_OK : COORD_E_NO_ROOM;
        }
        if (outcome) {
                rq->ret_is_other_type = g && group_type(g) == COORD_GROUP_SHARE;
                group_reply(gs, g, &rq->rq, outcome);
                return;
        }
        m = group_find_member(g, rq->member_id);
        if (m && !m->pending)
                member_reset_session(m); /* a commit is a sign of life */
        commit_all(g, rq);
}

/* ---- fetch ---- */

static int fill_item(struct coord_offset_fetch *rq, struct coord_fetch_item *item, struct group_offset *o)
{
        const struct offset_version *v = o ? offset_committed(o) : NULL;

        item->ret_outcome = COORD_OK;
        if (rq->require_stable && o && offset_is_unstable(o)) {
                item->ret_outcome = COORD_E_UNSTABLE_OFFSET;
                v = NULL;
        }
        item->ret_offset = v ? v->offset : -1;
        item->ret_leader_epoch = v ? v->leader_epoch : -1;
        item->ret_metadata = STR_LIT("");
        if (v && v->metadata_len) {
                item->ret_metadata.p = arena_memdup(&rq->rq.arena, v->metadata, v->metadata_len);
                item->ret_metadata.len = v->metadata_len;
                if (str_is_null(item->ret_metadata))
                        return -ENOMEM;
        }
        return 0;
}

static int fetch_topic(struct coord_offset_fetch *rq, struct group_topic *t)
{
        struct str name = { arena_memdup(&rq->rq.arena, t->name.p, t->name.len), t->name.len };

        if (str_is_null(name))
                return -ENOMEM;
        for (size_t i = 0; i < t->offsets_count; i++) {
                struct coord_fetch_item *item = &rq->items[rq->items_count];

                if (!offset_committed(t->offsets[i]))
                        continue;
                *item = (struct coord_fetch_item){ .topic = name, .partition = t->offsets[i]->partition };
                if (fill_item(rq, item, t->offsets[i]))
                        return -ENOMEM;
                rq->items_count++;
        }
        return 0;
}

static int fetch_all(struct coord_offset_fetch *rq, struct group *g)
{
        size_t count = 0;

        rq->items = NULL;
        rq->items_count = 0;
        if (!g)
                return 0;
        ilist_for_each (t, &g->topics_list, struct group_topic, link)
                count += t->offsets_count;
        rq->items = ARENA_NEW_ARRAY(&rq->rq.arena, struct coord_fetch_item, count);
        if (!rq->items)
                return -ENOMEM;
        ilist_for_each (t, &g->topics_list, struct group_topic, link)
                if (fetch_topic(rq, t))
                        return -ENOMEM;
        return 0;
}

void groups_offset_fetch(struct groups *gs, struct coord_offset_fetch *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        int r = 0;

        if (g && group_type(g) == COORD_GROUP_CONSUMER && (rq->member_id.len || rq->member_epoch >= 0)) {
                r = check_epoch(g, rq->member_id, rq->member_epoch);
                if (r) {
                        group_reply(gs, g, &rq->rq, r);
                        return;
                }
        }
        if (rq->all)
                r = fetch_all(rq, g);
        for (int32_t i = 0; !rq->all && !r && i < rq->items_count; i++) {
                struct coord_fetch_item *item = &rq->items[i];

                r = fill_item(rq, item, g ? group_find_offset(g, item->topic, item->partition) : NULL);
        }
        groups_reply(gs, &rq->rq, r, 0); /* only committed offsets are shown: there is nothing to wait for */
}

/* ---- delete ---- */

static int check_deleter(const struct group *g)
{
        if (!g || g->state == COORD_GROUP_DEAD || group_type(g) == COORD_GROUP_SHARE)
                return COORD_E_GROUP_NOT_FOUND;
        /* Which topics are in use can be known of consumers only. */
        return g->state == COORD_GROUP_EMPTY || group_is_consumer(g) ? COORD_OK : COORD_E_NON_EMPTY_GROUP;
}

void groups_offset_delete(struct groups *gs, struct coord_offset_delete *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        int outcome = check_deleter(g);
        uint64_t need_seq = g ? g->state_seq : 0;

        for (int32_t i = 0; !outcome && i < rq->items_count; i++) {
                struct coord_delete_item *item = &rq->items[i];
                struct group_offset *o = group_find_offset(g, item->topic, item->partition);

                item->ret_outcome = COORD_OK; /* also when nothing was committed for it */
                if (group_is_subscribed(g, item->topic)) {
                        item->ret_outcome = COORD_E_SUBSCRIBED;
                } else if (o && offset_is_held(o)) {
                        group_remove_offset(g, o);
                        need_seq = groups_seq(gs);
                }
        }
        groups_reply(gs, &rq->rq, outcome, need_seq);
}
