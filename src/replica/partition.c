/* A partition: its life, what it says of itself, appends under leadership, and how the high watermark moves. Roles are
 * partition_role.c, waits partition_wait.c, the two sides of replication partition_lead.c and partition_follow.c.
 *
 * Invariant: the high watermark never moves back while the partition is open, unless its log is cut below it because the
 * cluster elected a leader without those records (an unclean election). */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "replica/partition_priv.h"
#include "sys/clock.h"

/* What this node promises to hold: on stable storage, or written where the topic asks for no more. */
static int64_t held_end(const struct partition *p, const struct plog_ends *ends)
{
        return p->conf.flush_before_ack || ends->failed ? ends->durable_end_offset : ends->end_offset;
}

int64_t partition_stable_offset(struct partition *p, const struct plog_ends *ends)
{
        int64_t hw = p->insync.high_watermark;

        return ends->unstable_offset == INT64_MAX ? hw : plog_stable_offset(p->log, hw);
}

/* Who leads alone needs no lease: nobody else can be elected (an unclean election needs an operator). */
bool partition_has_lease(const struct partition *p, int64_t now_ms)
{
        return p->insync.count <= 1 || !p->lease_until_ms || atomic_load(p->lease_until_ms) > now_ms;
}

void partition_tell(struct partition *p, unsigned news)
{
        ilist_for_each (w, &p->watches, struct partition_watch, link)
                w->fn(w, news);
}

static void tell_moved(struct partition *p, const struct plog_ends *ends)
{
        unsigned news = 0;

        if (ends->end_offset != p->told_end)
                news |= PARTITION_NEWS_DATA;
        if (ends->durable_end_offset != p->told_durable)
                news |= PARTITION_NEWS_DURABLE;
        if (ends->start_offset != p->told_start || p->insync.high_watermark != p->told_watermark)
                news |= PARTITION_NEWS_WATERMARK;
        p->told_end = ends->end_offset;
        p->told_durable = ends->durable_end_offset;
        p->told_start = ends->start_offset;
        p->told_watermark = p->insync.high_watermark;
        if (news)
                partition_tell(p, news);
}

static void lead_on(struct partition *p, const struct plog_ends *ends, struct ilist *ret_told)
{
        int64_t now_ms = p->insync.count > 1 ? clock_mono_ms() : 0, held = held_end(p, ends);

        /* What a failed log has not flushed is gone (plog/flush.c). */
        insync_self(&p->insync, ends->failed ? ends->durable_end_offset : ends->end_offset, ends->durable_end_offset,
                    now_ms);
        insync_begins(&p->insync, p->node_id, ends->start_offset);
        if (partition_has_lease(p, now_ms))
                (void)insync_advance(&p->insync);
        waits_end_up_to(&p->acks, p->insync.high_watermark, ret_told);
        waits_end_up_to(&p->locals, held, ret_told);
        if (!ilist_is_empty(&p->starts))
                waits_end_up_to(&p->starts, insync_low_start(&p->insync), ret_told);
        /* The watermark stands still until there are enough again, and whoever waits would wait for that. */
        if (!insync_has_min_isr(&p->insync))
                waits_end_all(&p->acks, PARTITION_E_NOT_ENOUGH_AFTER, ret_told);
}

void partition_advance(struct partition *p, struct ilist *ret_told)
{
        struct plog_ends ends;

        plog_ends(p->log, &ends);
        if (p->role == PARTITION_LEADER)
                lead_on(p, &ends, ret_told);
        if (!ilist_is_empty(&p->datas))
                waits_end_datas(p, partition_stable_offset(p, &ends), ends.start_offset, ret_told);
        if (!ilist_is_empty(&p->watches))
                tell_moved(p, &ends);
        if (!ends.failed)
                return;
        waits_end_all(&p->acks, PLOG_E_FAILED, ret_told);
        waits_end_all(&p->locals, PLOG_E_FAILED, ret_told);
        waits_end_all(&p->starts, PLOG_E_FAILED, ret_told);
        if (p->told_failed)
                return;
        p->told_failed = true;
        partition_tell(p, PARTITION_NEWS_FAILED);
        if (p->events.failed)
                p->events.failed(p->events.arg, p);
}

static void on_durable(void *arg, struct plog *pl)
{
        struct partition *p = arg;
        struct ilist told = ILIST_INIT(told);

        pthread_mutex_lock(&p->lock);
        if (!p->closed)
                partition_advance(p, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

/* ---- life ---- */

static struct partition *allocate(const struct partition_open_args *args)
{
        struct partition *p = calloc(1, sizeof *p);

        if (!p)
                return NULL;
        p->topic_name = strdup(args->topic_name);
        if (!p->topic_name) {
                free(p);
                return NULL;
        }
        atomic_init(&p->refs, 1);
        pthread_mutex_init(&p->lock, NULL);
        ilist_init(&p->acks);
        ilist_init(&p->locals);
        ilist_init(&p->starts);
        ilist_init(&p->datas);
        ilist_init(&p->watches);
        p->topic_id = args->topic_id;
        p->index = args->index;
        p->node_id = args->node_id;
        p->conf = args->conf;
        p->events = args->events;
        p->lag_max_ms = args->lag_max_ms;
        p->lease_until_ms = args->lease_until_ms;
        p->leader = p->leader_epoch = p->partition_epoch = -1;
        p->log = args->log;
        insync_init(&p->insync, args->node_id);
        insync_set_conf(&p->insync, args->conf.flush_before_ack, args->conf.min_insync_replicas);
        return p;
}

static void deallocate(struct partition *p)
{
        insync_fini(&p->insync);
        pthread_mutex_destroy(&p->lock);
        free(p->next);
        free(p->topic_name);
        free(p);
}

int partition_new(const struct partition_open_args *args, struct partition **ret_partition)
{
        struct partition *p = allocate(args);
        struct plog_ends ends;
        int r;

        if (!p)
                return -ENOMEM;
        plog_ends(p->log, &ends);
        p->insync.high_watermark = MIN2(MAX2(args->high_watermark, ends.start_offset), ends.end_offset);
        if (args->leader_epoch >= 0) {
                struct replica_state alone = { .leader = p->node_id,
                                               .leader_epoch = args->leader_epoch,
                                               .replicas = &p->node_id,
                                               .replicas_count = 1,
                                               .isr = &p->node_id,
                                               .isr_count = 1 };

                r = partition_set_state(p, &alone);
                if (r) {
                        deallocate(p);
                        return r < 0 ? err_trace(r) : -EBADF;
                }
        }
        plog_set_listener(p->log, (struct plog_listener){ .durable = on_durable, .arg = p });
        *ret_partition = p;
        return 0;
}

struct partition *partition_ref(struct partition *p)
{
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
        return p;
}

struct partition *partition_unref(struct partition *p)
{
        if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        assert(p->closed);
        assert(ilist_is_empty(&p->acks) && ilist_is_empty(&p->locals) && ilist_is_empty(&p->datas));
        assert(ilist_is_empty(&p->starts) && ilist_is_empty(&p->watches) && !p->cutting);
        plog_unref(p->log);
        deallocate(p);
        return NULL;
}

void partition_close(struct partition *p)
{
        struct ilist told = ILIST_INIT(told);

        /* First the listener: when this returns no flush thread is inside on_durable() with this partition. */
        plog_set_listener(p->log, (struct plog_listener){ 0 });
        pthread_mutex_lock(&p->lock);
        p->closed = true;
        waits_end_all(&p->acks, PARTITION_E_NOT_LEADER, &told);
        waits_end_all(&p->locals, PARTITION_E_NOT_LEADER, &told);
        waits_end_all(&p->starts, PARTITION_E_NOT_LEADER, &told);
        waits_end_all(&p->datas, PARTITION_E_NOT_LEADER, &told);
        partition_tell(p, PARTITION_NEWS_ROLE);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

void partition_set_conf(struct partition *p, const struct partition_conf *conf)
{
        struct ilist told = ILIST_INIT(told);

        pthread_mutex_lock(&p->lock);
        p->conf = *conf;
        insync_set_conf(&p->insync, conf->flush_before_ack, conf->min_insync_replicas);
        if (!p->closed)
                partition_advance(p, &told); /* a topic that became relaxed owes its waiters an answer now */
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

void partition_get_conf(struct partition *p, struct partition_conf *ret)
{
        pthread_mutex_lock(&p->lock);
        *ret = p->conf;
        pthread_mutex_unlock(&p->lock);
}

bool partition_is_deletable(struct partition *p)
{
        struct partition_conf conf;

        partition_get_conf(p, &conf);
        return conf.deletable;
}

void partition_start_moved(struct partition *p)
{
        on_durable(p, p->log);
}

void partition_wake(struct partition *p)
{
        struct ilist told = ILIST_INIT(told);

        pthread_mutex_lock(&p->lock);
        waits_end_all(&p->datas, 0, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

const char *partition_topic_name(const struct partition *p)
{
        return p->topic_name;
}

struct uuid partition_topic_id(const struct partition *p)
{
        return p->topic_id;
}

int32_t partition_index(const struct partition *p)
{
        return p->index;
}

struct plog *partition_log(struct partition *p)
{
        return p->log;
}

/* ---- what it says of itself ---- */

void partition_view(struct partition *p, struct partition_view *ret)
{
        struct plog_ends ends;

        pthread_mutex_lock(&p->lock);
        plog_ends(p->log, &ends);
        *ret = (struct partition_view){
                .role = p->role,
                .leader = p->leader,
                .start_offset = ends.start_offset,
                /* Records may be deleted up to the end; what is shown never lies below the start. */
                .high_watermark = MAX2(p->insync.high_watermark, ends.start_offset),
                .watermark_known = p->role == PARTITION_LEADER && p->insync.high_watermark >= p->insync.epoch_start,
                .stable_offset = MAX2(partition_stable_offset(p, &ends), ends.start_offset),
                .end_offset = ends.end_offset,
                .leader_epoch = p->leader_epoch,
                .closed = p->closed,
                .failed = ends.failed,
        };
        pthread_mutex_unlock(&p->lock);
}

static int check(struct partition *p, int32_t current_leader_epoch, bool from_follower)
{
        int r = 0;

        pthread_mutex_lock(&p->lock);
        if (p->closed)
                r = PARTITION_E_NOT_LEADER;
        else if (current_leader_epoch >= 0 && current_leader_epoch < p->leader_epoch)
                r = PARTITION_E_FENCED_EPOCH;
        else if (current_leader_epoch > p->leader_epoch)
                r = PARTITION_E_UNKNOWN_EPOCH;
        else if (p->role != PARTITION_LEADER && !(from_follower && p->role == PARTITION_FOLLOWER))
                r = PARTITION_E_NOT_LEADER;
        else if (p->role == PARTITION_LEADER && !partition_has_lease(p, clock_mono_ms()))
                r = PARTITION_E_NOT_LEADER; /* another one may lead and have told more than is known here */
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_check_epoch(struct partition *p, int32_t current_leader_epoch)
{
        return check(p, current_leader_epoch, false);
}

int partition_check_read(struct partition *p, int32_t current_leader_epoch)
{
        return check(p, current_leader_epoch, true);
}

bool partition_leads_surely(struct partition *p)
{
        bool surely;

        pthread_mutex_lock(&p->lock);
        /* Who has said that its log failed is replaced at once, lease or not. */
        surely = !p->closed && p->role == PARTITION_LEADER &&
                 (p->insync.count <= 1 || (partition_has_lease(p, clock_mono_ms()) && !p->told_failed));
        pthread_mutex_unlock(&p->lock);
        return surely;
}

/* ---- appending ---- */

/* With the lock. */
static int may_append(const struct partition *p, bool need_min_isr)
{
        if (p->closed || p->role != PARTITION_LEADER)
                return PARTITION_E_NOT_LEADER;
        if (!need_min_isr)
                return 0;
        if (!insync_has_min_isr(&p->insync))
                return PARTITION_E_NOT_ENOUGH_REPLICAS;
        return p->insync.count > 1 && !partition_has_lease(p, clock_mono_ms()) ? PARTITION_E_NOT_LEADER : 0;
}

/* With the lock. */
static void appended(struct partition *p, int r, struct ilist *ret_told)
{
        if (r == -ENOSPC || p->no_room_ms)
                partition_note_room(p, r);
        /* A flush tells of the rest. Followers do not wait for ours. */
        if ((r == PLOG_OK && (!p->conf.flush_before_ack || p->insync.count > 1)) || r == PLOG_E_FAILED)
                partition_advance(p, ret_told);
}

/* With the lock. */
static int may_append_in(const struct partition *p, int32_t leader_epoch, bool need_min_isr)
{
        return leader_epoch >= 0 && leader_epoch != p->leader_epoch ? PARTITION_E_NOT_LEADER
                                                                    : may_append(p, need_min_isr);
}

int partition_append_in(struct partition *p, int32_t leader_epoch, struct plog_append_args *args, bool need_min_isr,
                        struct plog_append_result *ret)
{
        struct ilist told = ILIST_INIT(told);
        int r;

        pthread_mutex_lock(&p->lock);
        r = may_append_in(p, leader_epoch, need_min_isr);
        if (!r) {
                args->leader_epoch = p->leader_epoch;
                args->keep_base_offset = -1;
                r = plog_append(p->log, args, ret);
                appended(p, r, &told);
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        return r;
}

int partition_append_marker_in(struct partition *p, int32_t leader_epoch, struct plog_marker_args *args,
                               struct plog_append_result *ret)
{
        struct ilist told = ILIST_INIT(told);
        int r;

        pthread_mutex_lock(&p->lock);
        r = may_append_in(p, leader_epoch, true);
        if (!r) {
                args->leader_epoch = p->leader_epoch;
                r = plog_append_marker(p->log, args, ret);
                appended(p, r, &told);
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        return r;
}

bool partition_txn_look(struct partition *p, const struct batch_header *h, struct partition_txn_guard *ret_guard)
{
        struct plog_txn_look look;

        pthread_mutex_lock(&p->lock);
        plog_txn_look(p->log, h, &look);
        *ret_guard = (struct partition_txn_guard){ p->leader_epoch, look.marker_offset };
        pthread_mutex_unlock(&p->lock);
        return look.is_settled;
}

int partition_txn_check(struct partition *p, int64_t producer_id, int16_t producer_epoch,
                        const struct partition_txn_guard *guard)
{
        int r;

        pthread_mutex_lock(&p->lock);
        r = guard->leader_epoch == p->leader_epoch
                    ? plog_txn_check(p->log, producer_id, producer_epoch, guard->marker_offset)
                    : PARTITION_E_NOT_LEADER;
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_append(struct partition *p, struct plog_append_args *args, bool need_min_isr,
                     struct plog_append_result *ret)
{
        return partition_append_in(p, -1, args, need_min_isr, ret);
}
