/* The follower's side of replication: taking what the leader sent, and cutting the log where it parts from the leader's.
 *
 * Cutting blocks, so it happens on the I/O pool and without the partition's lock. While it lasts (p->cutting) nothing is
 * appended and no other role is taken; a state that comes meanwhile waits in p->next. */
#include "replica/partition_priv.h"
#include "sys/clock.h"

/* With the lock. */
static bool follows(const struct partition *p, int32_t leader_epoch)
{
        return !p->closed && p->role == PARTITION_FOLLOWER && p->leader_epoch == leader_epoch;
}

int partition_position(struct partition *p, struct partition_position *ret)
{
        struct plog_ends ends;
        int r;

        pthread_mutex_lock(&p->lock);
        r = !p->closed && p->role == PARTITION_FOLLOWER ? 0 : PARTITION_E_NOT_FOLLOWER;
        if (!r) {
                plog_ends(p->log, &ends);
                *ret = (struct partition_position){
                        .leader = p->leader,
                        .leader_epoch = p->leader_epoch,
                        .start_offset = ends.start_offset,
                        .durable_start = ends.durable_start_offset,
                        .durable_end = ends.durable_end_offset,
                        .end_offset = ends.end_offset,
                        .last_epoch =
                                ends.end_offset > ends.start_offset ? plog_epoch_at(p->log, ends.end_offset - 1) : -1,
                        .failed = ends.failed,
                        .damaged = ends.damaged_ranges > 0,
                        .throttled = p->conf.follower_throttled && !p->in_isr,
                };
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_follow_append(struct partition *p, int32_t leader_epoch, struct span batches, struct plog_run_result *ret)
{
        struct plog_run_args args = { .batches = batches, .now_ms = clock_wall_ms() };
        struct ilist told = ILIST_INIT(told);
        int r = PARTITION_E_NOT_FOLLOWER;

        *ret = (struct plog_run_result){ 0 };
        pthread_mutex_lock(&p->lock);
        if (follows(p, leader_epoch) && !p->cutting) {
                r = plog_append_run(p->log, &args, ret);
                partition_advance(p, &told);
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        return r;
}

int partition_follow_watermark(struct partition *p, int32_t leader_epoch, int64_t high_watermark)
{
        struct ilist told = ILIST_INIT(told);
        struct plog_ends ends;
        int r = PARTITION_E_NOT_FOLLOWER;

        pthread_mutex_lock(&p->lock);
        if (follows(p, leader_epoch)) {
                plog_ends(p->log, &ends);
                high_watermark = MIN2(high_watermark, ends.end_offset);
                if (high_watermark > p->insync.high_watermark) {
                        p->insync.high_watermark = high_watermark;
                        partition_advance(p, &told);
                }
                r = 0;
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        return r;
}

/* ---- cutting ---- */

static int cut_begin(struct partition *p, int32_t leader_epoch)
{
        int r = PARTITION_E_NOT_FOLLOWER;

        pthread_mutex_lock(&p->lock);
        if (follows(p, leader_epoch) && !p->cutting) {
                p->cutting = true;
                r = 0;
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

static void cut_end(struct partition *p)
{
        struct ilist told = ILIST_INIT(told);
        struct plog_ends ends;
        bool news;

        pthread_mutex_lock(&p->lock);
        plog_ends(p->log, &ends);
        /* Below the watermark it is cut only when a leader was elected that did not have it. */
        p->insync.high_watermark = MIN2(p->insync.high_watermark, ends.end_offset);
        p->cutting = false;
        if (!p->closed)
                partition_advance(p, &told);
        news = partition_apply_next(p, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        if (news)
                partition_tell_role(p);
}

/* As far as both logs are known to be the same, given that the leader's epoch @epoch (the largest that it knows and that
 * is not above our last one) ended at @end_offset. When we know no such epoch, the next fetch asks about an older one. */
static int64_t common_end(struct partition *p, int32_t epoch, int64_t end_offset)
{
        struct plog_ends ends;
        int32_t our_epoch;
        int64_t our_end;

        plog_ends(p->log, &ends);
        if (plog_epoch_end(p->log, epoch, &our_epoch, &our_end))
                our_end = ends.end_offset;
        return MAX2(MIN2(MIN2(our_end, end_offset), ends.end_offset), 0);
}

int partition_follow_truncate(struct partition *p, int32_t leader_epoch, int32_t diverging_epoch, int64_t diverging_end)
{
        int r = cut_begin(p, leader_epoch);

        if (r)
                return r;
        r = plog_truncate(p->log, common_end(p, diverging_epoch, diverging_end));
        if (!r)
                plog_forget_epochs(p->log);
        cut_end(p);
        return r;
}

int partition_follow_restart(struct partition *p, int32_t leader_epoch, int64_t offset)
{
        int r = cut_begin(p, leader_epoch);

        if (r)
                return r;
        r = plog_restart(p->log, offset);
        cut_end(p);
        return r;
}

int partition_follow_start(struct partition *p, int32_t leader_epoch, int64_t offset)
{
        struct plog_ends ends;
        int r = cut_begin(p, leader_epoch);
        int64_t start;

        if (r)
                return r;
        plog_ends(p->log, &ends);
        r = plog_delete_records(p->log, MIN2(offset, ends.end_offset), &start);
        cut_end(p);
        return r;
}
