/* All groups of one partition: who they are, the event in hand, answers and records on their way out. */
#include <errno.h>
#include <string.h>

#include "coord/records.h"
#include "coord/share_priv.h"

enum { TICK_TIMERS_MAX = 1000 };

void groups_conf_init(struct groups_conf *conf)
{
        *conf = (struct groups_conf){
                .session_timeout_min_ms = 6000,
                .session_timeout_max_ms = 1800000,
                .initial_rebalance_delay_ms = 3000,
                .new_member_join_timeout_ms = 300000,
                .group_size_max = 10000, /* Kafka has no bound; the leader's answer and the record hold all members */
                .offset_metadata_len_max = 4096,
                .consumer_group_size_max = 10000, /* likewise: an answer to an operator holds all members */
                .share_group_size_max = 200,
                .upgrades = true,
                .downgrades = true,
                .offsets_retention_ms = 7LL * 24 * 3600 * 1000,
                .offsets_check_interval_ms = 600000,
                .member_metadata_len_max = 1 << 20, /* the record of the group must stay below a batch's limit */
                .record_len_max = 32u << 20,        /* a third of the topic's segments */
                .memory_max = 256u << 20,
        };
        group_rules_init(&conf->rules, NULL);
}

int groups_new(const struct groups_conf *conf, struct groups **ret_groups)
{
        struct groups *gs = calloc(1, sizeof *gs);

        if (!gs)
                return -ENOMEM;
        gs->conf = *conf;
        map_init(&gs->by_id, conf->hash_seed);
        ilist_init(&gs->all);
        ilist_init(&gs->dead);
        ilist_init(&gs->doomed);
        map_init(&gs->txns, conf->hash_seed);
        timer_heap_init(&gs->timers);
        gs->expiry.fn = groups_expiry_due;
        *ret_groups = gs;
        return 0;
}

struct groups *groups_free(struct groups *gs)
{
        if (!gs)
                return NULL;
        ilist_for_each (g, &gs->all, struct group, link)
                groups_remove(gs, g);
        timer_heap_fini(&gs->timers);
        groups_free_txns(gs);
        map_fini(&gs->by_id);
        free(gs);
        return NULL;
}

/* ---- groups by id ---- */

struct group *groups_find(struct groups *gs, struct str id)
{
        for (struct map_node *n = map_first(&gs->by_id, id); n; n = map_next_same(n)) {
                struct group *g = container_of(n, struct group, node);

                if (str_equal(g->id, id))
                        return g;
        }
        return NULL;
}

struct group *groups_add(struct groups *gs, struct str id)
{
        struct group *g = group_new(gs, id);

        if (!g || map_insert(&gs->by_id, &g->node, g->id)) {
                group_free(g);
                return NULL;
        }
        ilist_push_back(&gs->all, &g->link);
        gs->stats.groups++;
        gs->stats.memory += sizeof *g + g->id.len;
        return g;
}

void groups_remove(struct groups *gs, struct group *g)
{
        map_remove(&gs->by_id, &g->node);
        ilist_unlink(&g->link);
        gs->stats.groups--;
        gs->stats.memory -= sizeof *g + g->id.len;
        group_free(g);
}

/* ---- the event in hand ---- */

static void begin(struct groups *gs, struct coord_time now, struct coord_actions *acts)
{
        assert(!gs->acts);
        gs->now = now;
        gs->acts = acts;
        acts->seq = gs->write_seq + 1;
}

static int finish(struct groups *gs)
{
        if (gs->acts->records_count)
                gs->write_seq = gs->acts->seq;
        gs->acts = NULL;
        gs->image = meta_image_unref(gs->image);
        return gs->err;
}

void groups_fail(struct groups *gs, int err)
{
        if (!gs->err)
                gs->err = err;
}

const struct meta_image *groups_image(struct groups *gs)
{
        if (!gs->image)
                gs->image = gs->conf.image(gs->conf.image_arg);
        return gs->image;
}

uint64_t groups_seq(const struct groups *gs)
{
        return gs->acts->seq;
}

bool groups_has_room(const struct groups *gs, size_t len)
{
        return gs->stats.memory <= gs->conf.memory_max && len <= gs->conf.memory_max - gs->stats.memory;
}

void groups_timer_set(struct groups *gs, struct timer *t, int64_t after_ms)
{
        if (timer_set(&gs->timers, t, gs->now.mono_ms + after_ms))
                groups_fail(gs, -ENOMEM);
}

bool groups_timer_defer(struct groups *gs, struct timer *t, int64_t after_ms)
{
        int64_t at_ms = gs->now.mono_ms + after_ms;

        return timer_is_set(t) && at_ms >= t->heap_ms && !timer_set(&gs->timers, t, at_ms);
}

void groups_reply(struct groups *gs, struct coord_request *rq, int outcome, uint64_t need_seq)
{
        assert(rq->magic == COORD_REQUEST_MAGIC);
        assert(ilist_is_empty(&rq->link));
        rq->outcome = outcome;
        rq->need_seq = need_seq;
        ilist_push_back(&gs->acts->replies, &rq->link);
}

void group_reply(struct groups *gs, struct group *g, struct coord_request *rq, int outcome)
{
        groups_reply(gs, rq, outcome, g ? g->state_seq : 0);
}

void groups_record(struct groups *gs, struct span key, struct span value)
{
        struct coord_record *rec = key.data ? ARENA_NEW(&gs->acts->arena, struct coord_record) : NULL;

        if (!rec) {
                groups_fail(gs, -ENOMEM);
                return;
        }
        *rec = (struct coord_record){ .key = key, .value = value };
        *gs->acts->records_tail = rec;
        gs->acts->records_tail = &rec->next;
        gs->acts->records_count++;
}

/* ---- events ---- */

#define AS(rq, type) container_of(rq, struct type, rq)

static void dispatch_share(struct groups *gs, struct coord_request *rq)
{
        switch (rq->op) {
        case COORD_SHARE_HEARTBEAT:
                groups_share_heartbeat(gs, AS(rq, coord_share_heartbeat));
                break;
        case COORD_SHARE_DESCRIBE:
                groups_share_describe(gs, AS(rq, coord_share_describe));
                break;
        case COORD_SHARE_READ:
                groups_share_read(gs, AS(rq, coord_share_read));
                break;
        case COORD_SHARE_WRITE:
                groups_share_write(gs, AS(rq, coord_share_write));
                break;
        case COORD_SHARE_OFFSETS:
                groups_share_offsets(gs, AS(rq, coord_share_offsets));
                break;
        case COORD_SHARE_ALTER:
                groups_share_alter(gs, AS(rq, coord_share_offsets));
                break;
        case COORD_SHARE_REMOVE:
                groups_share_remove(gs, AS(rq, coord_share_remove));
                break;
        default:
                assert(!"asked of a coordinator of groups");
        }
}

static void dispatch(struct groups *gs, struct coord_request *rq)
{
        switch (rq->op) {
        case COORD_JOIN:
                groups_join(gs, AS(rq, coord_join));
                break;
        case COORD_SYNC:
                groups_sync(gs, AS(rq, coord_sync));
                break;
        case COORD_HEARTBEAT:
                groups_heartbeat(gs, AS(rq, coord_heartbeat));
                break;
        case COORD_LEAVE:
                groups_leave(gs, AS(rq, coord_leave));
                break;
        case COORD_OFFSET_COMMIT:
        case COORD_TXN_OFFSET_COMMIT:
                groups_offset_commit(gs, AS(rq, coord_offset_commit));
                break;
        case COORD_OFFSET_FETCH:
                groups_offset_fetch(gs, AS(rq, coord_offset_fetch));
                break;
        case COORD_OFFSET_DELETE:
                groups_offset_delete(gs, AS(rq, coord_offset_delete));
                break;
        case COORD_DESCRIBE:
                groups_describe(gs, AS(rq, coord_describe));
                break;
        case COORD_DELETE:
                groups_delete(gs, AS(rq, coord_delete));
                break;
        case COORD_LIST:
                groups_list(gs, AS(rq, coord_list));
                break;
        case COORD_SNAPSHOT:
                groups_snapshot(gs, AS(rq, coord_snapshot));
                break;
        case COORD_CONSUMER_HEARTBEAT:
                groups_consumer_heartbeat(gs, AS(rq, coord_consumer_heartbeat));
                break;
        case COORD_CONSUMER_DESCRIBE:
                groups_consumer_describe(gs, AS(rq, coord_consumer_describe));
                break;
        default:
                dispatch_share(gs, rq);
                break;
        }
}

/* Operations that a group without a name may be asked: Kafka let consumers commit to and read from it, so those who
 * did can still read and delete what they left. */
static bool allows_empty_id(enum coord_op op)
{
        return op == COORD_OFFSET_COMMIT || op == COORD_OFFSET_FETCH || op == COORD_OFFSET_DELETE ||
               op == COORD_DELETE || op == COORD_DESCRIBE;
}

int groups_request(struct groups *gs, struct coord_request *rq, struct coord_time now, struct coord_actions *acts)
{
        begin(gs, now, acts);
        if (coord_op_visits(rq->op))
                dispatch(gs, rq);
        else if (str_is_null(rq->id) || (!rq->id.len && !allows_empty_id(rq->op)) || rq->id.len > TEXT_LEN_MAX)
                groups_reply(gs, rq, COORD_E_INVALID_GROUP_ID, 0);
        else
                dispatch(gs, rq);
        return finish(gs);
}

bool groups_quick(struct groups *gs, struct coord_request *rq, int64_t mono_ms)
{
        bool done = false;

        assert(!gs->acts);
        gs->now.mono_ms = MAX2(gs->now.mono_ms, mono_ms);
        if (rq->op == COORD_CONSUMER_HEARTBEAT)
                done = gs->conf.image && groups_consumer_quick(gs, AS(rq, coord_consumer_heartbeat));
        else if (rq->op == COORD_HEARTBEAT)
                done = groups_heartbeat_quick(gs, AS(rq, coord_heartbeat));
        gs->image = meta_image_unref(gs->image);
        if (done)
                rq->outcome = COORD_OK;
        return done;
}

int groups_tick(struct groups *gs, struct coord_time now, struct coord_actions *acts)
{
        struct timer *t;

        begin(gs, now, acts);
        for (unsigned i = 0; i < TICK_TIMERS_MAX && (t = timer_pop_due(&gs->timers, now.mono_ms)); i++)
                t->fn(gs, t);
        return finish(gs);
}

static void remove_topic(struct group *g, struct group_topic *t)
{
        for (size_t i = 0; t && i < t->offsets_count; i++)
                if (offset_is_held(t->offsets[i]))
                        group_remove_offset(g, t->offsets[i]);
}

/* A topic of the name may be there again, under another id. */
static void remove_gone_progress(struct groups *gs, struct group *g)
{
        if (gs->conf.image && group_type(g) == COORD_GROUP_SHARE)
                share_bury_gone(g, groups_image(gs));
}

int groups_topic_deleted(struct groups *gs, struct str topic, struct coord_time now, struct coord_actions *acts)
{
        begin(gs, now, acts);
        ilist_for_each (g, &gs->all, struct group, link) {
                remove_topic(g, group_find_topic(g, topic));
                remove_gone_progress(gs, g);
        }
        return finish(gs);
}

int groups_marker(struct groups *gs, int64_t producer_id, bool commit, struct coord_time now,
                  struct coord_actions *acts)
{
        begin(gs, now, acts);
        gs->write_seq = acts->seq;
        groups_end_txn(gs, producer_id, commit, acts->seq);
        return finish(gs);
}

/* A crash may have come between the deletion of a topic and the tombstones of its offsets. */
static void remove_gone_topics(struct groups *gs, struct group *g)
{
        if (gs->conf.image)
                ilist_for_each (t, &g->topics_list, struct group_topic, link)
                        if (!meta_image_topic(groups_image(gs), t->name))
                                remove_topic(g, t);
}

int groups_loaded(struct groups *gs, struct coord_time now, struct coord_actions *acts)
{
        begin(gs, now, acts);
        ilist_for_each (g, &gs->all, struct group, link) {
                if (group_compute_subscribed(g))
                        groups_fail(gs, -ENOMEM);
                remove_gone_topics(gs, g);
                remove_gone_progress(gs, g);
                if (g->consumer)
                        consumer_loaded(g);
                ilist_for_each (m, &g->members, struct group_member, link)
                        member_reset_session(m);
                /* The limit may be lower than when the group was written: its members have to join again. */
                if (g->members_count > gs->conf.group_size_max)
                        group_rebalance(g);
        }
        groups_timer_set(gs, &gs->expiry, gs->conf.offsets_check_interval_ms);
        return finish(gs);
}

void groups_committed(struct groups *gs, uint64_t seq)
{
        struct group_offset *o;
        struct group *g;

        assert(seq <= gs->write_seq);
        gs->committed_seq = MAX2(gs->committed_seq, seq);
        /* Both lists are in order of their writes: a member that was written anew has left its place. */
        while ((o = ilist_first(&gs->doomed, struct group_offset, doomed)) && o->newest->seq <= gs->committed_seq)
                group_offset_removed(o);
        while ((g = ilist_first(&gs->dead, struct group, dead)) && g->state_seq <= gs->committed_seq)
                groups_remove(gs, g);
}

static void give_up(struct groups *gs, struct coord_request *rq, int outcome)
{
        coord_request_refuse(rq, outcome);
        groups_reply(gs, rq, outcome, 0);
}

void groups_abort(struct groups *gs, int outcome, struct coord_actions *acts)
{
        begin(gs, gs->now, acts);
        ilist_for_each (g, &gs->all, struct group, link) {
                ilist_for_each (m, &g->members, struct group_member, link) {
                        if (m->await_join)
                                give_up(gs, &TAKE_PTR(m->await_join)->rq, outcome);
                        if (m->await_sync)
                                give_up(gs, &TAKE_PTR(m->await_sync)->rq, outcome);
                }
                g->joining_count = 0;
        }
        (void)finish(gs); /* the machine is dropped in any case */
}

int64_t groups_next_ms(const struct groups *gs)
{
        return timer_next_ms(&gs->timers);
}

void groups_stats(const struct groups *gs, struct coord_stats *ret)
{
        *ret = gs->stats;
}

/* ---- as a machine for a host ---- */

static int machine_new(const void *arg, void **ret)
{
        return groups_new(arg, (struct groups **)ret);
}

static void machine_free(void *m)
{
        groups_free(m);
}

static int machine_replay(void *m, int64_t producer_id, struct span key, struct span value)
{
        return groups_replay(m, producer_id, key, value);
}

static int machine_replay_marker(void *m, int64_t producer_id, bool commit)
{
        groups_end_txn(m, producer_id, commit, 0);
        return 0;
}

static int machine_loaded(void *m, struct coord_time now, struct coord_actions *acts)
{
        return groups_loaded(m, now, acts);
}

static int machine_request(void *m, struct coord_request *rq, struct coord_time now, struct coord_actions *acts)
{
        return groups_request(m, rq, now, acts);
}

static bool machine_quick(void *m, struct coord_request *rq, int64_t mono_ms)
{
        return groups_quick(m, rq, mono_ms);
}

static int machine_tick(void *m, struct coord_time now, struct coord_actions *acts)
{
        return groups_tick(m, now, acts);
}

static int machine_topic_deleted(void *m, struct str topic, struct coord_time now, struct coord_actions *acts)
{
        return groups_topic_deleted(m, topic, now, acts);
}

static int machine_marker(void *m, int64_t producer_id, bool commit, struct coord_time now, struct coord_actions *acts)
{
        return groups_marker(m, producer_id, commit, now, acts);
}

static int machine_committed(void *m, uint64_t seq, struct coord_time now, struct coord_actions *acts)
{
        (void)now;
        (void)acts;
        groups_committed(m, seq);
        return 0;
}

static void machine_abort(void *m, int outcome, struct coord_actions *acts)
{
        groups_abort(m, outcome, acts);
}

static int64_t machine_next_ms(const void *m)
{
        return groups_next_ms(m);
}

static void machine_stats(const void *m, struct coord_stats *ret)
{
        groups_stats(m, ret);
}

const struct coord_machine_ops groups_ops = {
        .new = machine_new,
        .free = machine_free,
        .replay = machine_replay,
        .replay_marker = machine_replay_marker,
        .loaded = machine_loaded,
        .request = machine_request,
        .quick = machine_quick,
        .tick = machine_tick,
        .topic_deleted = machine_topic_deleted,
        .marker = machine_marker,
        .committed = machine_committed,
        .abort = machine_abort,
        .next_ms = machine_next_ms,
        .stats = machine_stats,
};

/* ---- text ---- */

int text_dup(struct str s, struct str *ret)
{
        char *p;

        if (str_is_null(s)) {
                *ret = STR_NULL;
                return 0;
        }
        p = malloc(s.len + 1);
        if (!p)
                return -ENOMEM;
        if (s.len)
                memcpy(p, s.p, s.len);
        p[s.len] = '\0';
        *ret = (struct str){ p, s.len };
        return 0;
}

int text_replace(struct str *at, struct str s)
{
        struct str copy;

        if (text_dup(s, &copy))
                return -ENOMEM;
        text_free(at);
        *at = copy;
        return 0;
}

void text_free(struct str *s)
{
        free((char *)s->p);
        *s = STR_NULL;
}
