/* The leader's side of replication: what followers say of themselves, questions about the ISR, who else may be read. */
#include <errno.h>
#include <string.h>

#include "replica/partition_priv.h"
#include "sys/clock.h"

enum {
        NO_ROOM_MS_MAX = 3000,  /* a leader's disk may be full for so long while others are in sync */
        DAMAGE_TOLD_MS = 10000, /* between two attempts to have a damaged leader replaced */
};

/* ---- news ---- */

void partition_watch(struct partition *p, struct partition_watch *w)
{
        pthread_mutex_lock(&p->lock);
        ilist_push_back(&p->watches, &w->link);
        pthread_mutex_unlock(&p->lock);
}

void partition_unwatch(struct partition *p, struct partition_watch *w)
{
        pthread_mutex_lock(&p->lock);
        ilist_unlink(&w->link);
        pthread_mutex_unlock(&p->lock);
}

/* ---- the ISR ---- */

void partition_ask(struct partition *p, int64_t now_ms)
{
        if (p->closed || p->role != PARTITION_LEADER || p->insync.count <= 1 || p->ask_waits ||
            !partition_has_lease(p, now_ms))
                return;
        p->ask_waits = insync_ask(&p->insync, now_ms, p->lag_max_ms, &p->ask);
        if (p->ask_waits && p->events.ask)
                p->events.ask(p->events.arg, p);
}

bool partition_take_ask(struct partition *p, struct insync_ask *ret_ask)
{
        bool taken;

        pthread_mutex_lock(&p->lock);
        taken = p->ask_waits && !p->closed;
        p->ask_waits = false;
        if (taken)
                *ret_ask = p->ask;
        pthread_mutex_unlock(&p->lock);
        return taken;
}

void partition_ask_answered(struct partition *p, const struct insync_ask *ask, enum insync_outcome outcome)
{
        struct ilist told = ILIST_INIT(told);
        int64_t now_ms = clock_mono_ms();

        pthread_mutex_lock(&p->lock);
        if (!p->closed && p->role == PARTITION_LEADER) {
                insync_answered(&p->insync, ask, outcome, now_ms);
                partition_advance(p, &told); /* who counts no more holds nobody up */
                partition_ask(p, now_ms);
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

/* ---- when this node cannot go on, and others could ---- */

/* With the lock. It goes on leading until the metadata names another one, which may be never: then it is the best there is. */
static void give_up(struct partition *p)
{
        if (p->insync.isr_count > 1 && p->events.failed)
                p->events.failed(p->events.arg, p);
}

void partition_note_room(struct partition *p, int append_outcome)
{
        int64_t now_ms = clock_mono_ms();

        if (append_outcome != -ENOSPC) {
                p->no_room_ms = 0;
        } else if (!p->no_room_ms) {
                p->no_room_ms = now_ms;
        } else if (now_ms - p->no_room_ms >= MIN2(p->lag_max_ms, (int64_t)NO_ROOM_MS_MAX)) {
                p->no_room_ms = now_ms;
                give_up(p);
        }
}

/* With the lock. Records that cannot be served here can be had from others, and are then fetched from them (mend.c). A disk that
 * hangs: followers that make nothing durable leave the ISR after the same time. */
static void look_at_log(struct partition *p, int64_t now_ms)
{
        struct plog_ends ends;

        plog_ends(p->log, &ends);
        if (ends.damaged_ranges && insync_has_sound(&p->insync) && now_ms >= p->damage_told_ms + DAMAGE_TOLD_MS) {
                p->damage_told_ms = now_ms;
                give_up(p);
        }
        if (!p->conf.flush_before_ack || ends.failed || ends.durable_end_offset == ends.end_offset) {
                p->stall_ms = 0;
        } else if (!p->stall_ms || ends.durable_end_offset != p->stall_end) {
                p->stall_ms = now_ms;
                p->stall_end = ends.durable_end_offset;
        } else if (now_ms - p->stall_ms >= p->lag_max_ms) {
                p->stall_ms = now_ms;
                give_up(p);
        }
}

void partition_tick(struct partition *p)
{
        struct ilist told = ILIST_INIT(told);

        pthread_mutex_lock(&p->lock);
        if (!p->closed && p->role == PARTITION_LEADER && p->insync.count > 1) {
                look_at_log(p, clock_mono_ms());
                partition_advance(p, &told);
                partition_ask(p, clock_mono_ms());
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

/* ---- fetches of followers ---- */

/* With the lock. */
static int check_fetch(const struct partition *p, const struct partition_fetch *f)
{
        const struct insync_member *m;

        if (p->closed || p->role != PARTITION_LEADER)
                return PARTITION_E_NOT_LEADER;
        if (f->leader_epoch != p->leader_epoch)
                return f->leader_epoch < p->leader_epoch ? PARTITION_E_FENCED_EPOCH : PARTITION_E_UNKNOWN_EPOCH;
        m = insync_find(&p->insync, f->node);
        return m && m->id != p->node_id && m->broker_epoch <= f->broker_epoch ? 0 : PARTITION_E_NOT_REPLICA;
}

/* Is the follower's log a prefix of ours? KIP-101, KIP-279: an epoch that we do not know, or that ended sooner here. */
static void find_divergence(struct partition *p, const struct partition_fetch *f, struct partition_fetch_answer *ret)
{
        int32_t epoch;
        int64_t end;

        if (f->last_epoch < 0)
                return;
        if (plog_epoch_end(p->log, f->last_epoch, &epoch, &end)) { /* newer than all of ours, or we have none */
                ret->diverging_epoch = plog_latest_epoch(p->log);
                ret->diverging_end = ret->diverging_epoch < 0 ? ret->start_offset : ret->end_offset;
        } else if (epoch < f->last_epoch || end < f->fetch_offset) {
                ret->diverging_epoch = epoch;
                ret->diverging_end = end;
        }
}

static void note_log(struct partition *p, const struct partition_fetch *f)
{
        insync_begins(&p->insync, f->node, f->start_offset);
        insync_damaged(&p->insync, f->node, f->damaged);
}

int partition_replica_fetch(struct partition *p, const struct partition_fetch *f, struct partition_fetch_answer *ret)
{
        struct ilist told = ILIST_INIT(told);
        int64_t now_ms = clock_mono_ms();
        struct plog_ends ends;
        int r;

        pthread_mutex_lock(&p->lock);
        r = check_fetch(p, f);
        if (!r) {
                plog_ends(p->log, &ends);
                *ret = (struct partition_fetch_answer){ .start_offset = ends.start_offset,
                                                        .end_offset = ends.failed && ends.settled
                                                                              ? ends.durable_end_offset
                                                                              : ends.end_offset,
                                                        .leader_epoch = p->leader_epoch,
                                                        .diverging_epoch = -1 };
                find_divergence(p, f, ret);
                if (ret->diverging_epoch < 0 &&
                    (f->fetch_offset < ret->start_offset || f->fetch_offset > ret->end_offset))
                        r = PLOG_E_OUT_OF_RANGE;
                if (!r && ret->diverging_epoch < 0) {
                        if (insync_fetched(&p->insync, f->node, f->broker_epoch, f->fetch_offset, f->durable_end,
                                           now_ms))
                                note_log(p, f);
                        partition_advance(p, &told);
                        partition_ask(p, now_ms);
                }
                ret->high_watermark = p->insync.high_watermark;
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        return r;
}

int partition_check_replica(struct partition *p, int32_t node, int64_t broker_epoch, int32_t leader_epoch)
{
        int r;

        pthread_mutex_lock(&p->lock);
        r = check_fetch(p, &(struct partition_fetch){
                                   .node = node, .broker_epoch = broker_epoch, .leader_epoch = leader_epoch });
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_replica_failed(struct partition *p, const struct partition_fetch *f)
{
        int r;

        pthread_mutex_lock(&p->lock);
        r = check_fetch(p, f);
        if (!r && insync_failed(&p->insync, f->node, f->broker_epoch))
                partition_ask(p, clock_mono_ms());
        pthread_mutex_unlock(&p->lock);
        return r;
}

bool partition_replica_in_sync(struct partition *p, int32_t node)
{
        const struct insync_member *m;
        bool in_sync;

        pthread_mutex_lock(&p->lock);
        m = p->role == PARTITION_LEADER ? insync_find(&p->insync, node) : NULL;
        in_sync = m && m->in_isr;
        pthread_mutex_unlock(&p->lock);
        return in_sync;
}

unsigned partition_readers(struct partition *p, int64_t offset, struct partition_reader *ret, unsigned max)
{
        unsigned n = 0;

        pthread_mutex_lock(&p->lock);
        if (p->role == PARTITION_LEADER && !p->closed && p->insync.count > 1)
                for (int32_t i = 0; i < p->insync.count && n < max; i++) {
                        const struct insync_member *m = &p->insync.members[i];

                        if (m->id != p->node_id && m->in_isr && !m->failed && m->end_offset >= offset)
                                ret[n++] = (struct partition_reader){ .node = m->id, .end_offset = m->end_offset };
                }
        pthread_mutex_unlock(&p->lock);
        return n;
}
