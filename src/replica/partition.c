/* A led partition: appends under leadership, moves the high watermark, tells those who wait.
 *
 *   wait states:   IDLE --partition_wait()--> WAITING --watermark, close--> POSTED --mail--> IDLE
 *                                                \------partition_unwait()-----------------> IDLE
 *
 * Invariants: 1. a wait is in exactly one list while WAITING and in none otherwise;
 *             2. a wait holds a reference to its partition until its mail has run or it was taken back;
 *             3. the high watermark never moves back while the partition is open;
 *             4. w->partition is set while not IDLE, and touched on the waiter's loop only. */
#include "replica/partition.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/err.h"

enum { WAIT_IDLE, WAIT_WAITING, WAIT_POSTED };

struct partition {
        atomic_uint refs;
        struct uuid topic_id;
        int32_t index;
        char *topic_name;
        struct plog *log;

        pthread_mutex_t lock; /* guards all below */
        struct partition_conf conf;
        int32_t leader_epoch;
        int64_t high_watermark;
        bool closed;
        struct ilist acks;   /* PARTITION_WAIT_ACK by offset, smallest first */
        struct ilist locals; /* PARTITION_WAIT_LOCAL likewise */
        struct ilist datas;  /* PARTITION_WAIT_DATA and _STABLE, no order: nearly all wait at the end */
};

/* What this node promises to hold: on stable storage, or written where the topic asks for no more. */
static int64_t held_end(const struct partition *p, const struct plog_ends *ends)
{
        return p->conf.flush_before_ack || ends->failed ? ends->durable_end_offset : ends->end_offset;
}

/* Runs on the waiter's loop: gives the reference back, then tells the owner with its own function in place again. */
static void wait_deliver(struct loop *l, struct mail *m)
{
        struct partition_wait *w = container_of(m, struct partition_wait, mail);
        struct partition *p = TAKE_PTR(w->partition);

        assert(w->state == WAIT_POSTED);
        w->state = WAIT_IDLE;
        m->fn = w->fn;
        partition_unref(p);
        m->fn(l, m);
}

/* With the lock: take a wait out of its list and put it on @ret_told. */
static void wait_end(struct partition_wait *w, int outcome, struct ilist *ret_told)
{
        ilist_unlink(&w->link);
        w->state = WAIT_POSTED;
        w->outcome = outcome;
        ilist_push_back(ret_told, &w->link);
}

/* Without the lock. The mail may free the wait at once, so the list is walked by popping. */
static void waits_post(struct ilist *told)
{
        struct ilist *node;

        while ((node = ilist_pop_front(told))) {
                struct partition_wait *w = ilist_entry(node, struct partition_wait, link);

                loop_post(w->loop, &w->mail);
        }
}

/* With the lock: those that waited for an end that is reached. */
static void acks_end(struct ilist *waits, int64_t end_offset, struct ilist *ret_told)
{
        ilist_for_each (w, waits, struct partition_wait, link) {
                if (w->offset > end_offset)
                        break;
                wait_end(w, 0, ret_told);
        }
}

static void all_end(struct ilist *waits, int outcome, struct ilist *ret_told)
{
        ilist_for_each (w, waits, struct partition_wait, link)
                wait_end(w, outcome, ret_told);
}

/* With the lock. Without transactions that is the high watermark. */
static int64_t stable_offset(struct partition *p, const struct plog_ends *ends)
{
        return ends->unstable_offset == INT64_MAX ? p->high_watermark : plog_stable_offset(p->log, p->high_watermark);
}

/* With the lock: move the watermark to what the log holds and collect whom that concerns. */
static void advance(struct partition *p, struct ilist *ret_told)
{
        struct plog_ends ends;
        int64_t held, stable;

        plog_ends(p->log, &ends);
        held = held_end(p, &ends);
        p->high_watermark = MAX2(p->high_watermark, held); /* the only replica in sync is this one */
        acks_end(&p->acks, p->high_watermark, ret_told);
        acks_end(&p->locals, held, ret_told);
        stable = stable_offset(p, &ends);
        ilist_for_each (w, &p->datas, struct partition_wait, link) {
                int64_t visible = w->kind == PARTITION_WAIT_STABLE ? stable : p->high_watermark;

                if (visible > w->offset || ends.start_offset > w->offset)
                        wait_end(w, 0, ret_told);
        }
        if (ends.failed) {
                all_end(&p->acks, PLOG_E_FAILED, ret_told);
                all_end(&p->locals, PLOG_E_FAILED, ret_told);
        }
}

static void on_durable(void *arg, struct plog *pl)
{
        struct partition *p = arg;
        struct ilist told = ILIST_INIT(told);

        pthread_mutex_lock(&p->lock);
        if (!p->closed)
                advance(p, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

int partition_new(const struct partition_open_args *args, struct partition **ret_partition)
{
        struct partition *p = calloc(1, sizeof *p);
        struct plog_ends ends;
        int r;

        if (!p)
                return -ENOMEM;
        p->topic_name = strdup(args->topic_name);
        if (!p->topic_name) {
                free(p);
                return -ENOMEM;
        }
        atomic_init(&p->refs, 1);
        pthread_mutex_init(&p->lock, NULL);
        ilist_init(&p->acks);
        ilist_init(&p->locals);
        ilist_init(&p->datas);
        p->topic_id = args->topic_id;
        p->index = args->index;
        p->conf = args->conf;
        p->leader_epoch = args->leader_epoch;
        p->log = args->log;
        r = plog_assign_epoch(p->log, p->leader_epoch);
        if (r < 0) {
                pthread_mutex_destroy(&p->lock);
                free(p->topic_name);
                free(p);
                return err_trace(r);
        }
        plog_ends(p->log, &ends);
        p->high_watermark = held_end(p, &ends);
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
        plog_unref(p->log);
        pthread_mutex_destroy(&p->lock);
        free(p->topic_name);
        free(p);
        return NULL;
}

void partition_close(struct partition *p)
{
        struct ilist told = ILIST_INIT(told);

        /* First the listener: when this returns no flush thread is inside on_durable() with this partition. */
        plog_set_listener(p->log, (struct plog_listener){ 0 });
        pthread_mutex_lock(&p->lock);
        p->closed = true;
        all_end(&p->acks, PARTITION_E_NOT_LEADER, &told);
        all_end(&p->locals, PARTITION_E_NOT_LEADER, &told);
        all_end(&p->datas, PARTITION_E_NOT_LEADER, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

void partition_set_conf(struct partition *p, const struct partition_conf *conf)
{
        struct ilist told = ILIST_INIT(told);

        pthread_mutex_lock(&p->lock);
        p->conf = *conf;
        if (!p->closed)
                advance(p, &told); /* a topic that became relaxed owes its waiters an answer now */
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
        all_end(&p->datas, 0, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

int partition_set_leader_epoch(struct partition *p, int32_t leader_epoch)
{
        int r = 0;

        pthread_mutex_lock(&p->lock);
        if (leader_epoch > p->leader_epoch) {
                r = plog_assign_epoch(p->log, leader_epoch);
                if (r == 0)
                        p->leader_epoch = leader_epoch;
        }
        pthread_mutex_unlock(&p->lock);
        return r;
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

void partition_view(struct partition *p, struct partition_view *ret)
{
        struct plog_ends ends;

        pthread_mutex_lock(&p->lock);
        plog_ends(p->log, &ends);
        *ret = (struct partition_view){
                .start_offset = ends.start_offset,
                /* Records may be deleted up to the end; what is shown never lies below the start. */
                .high_watermark = MAX2(p->high_watermark, ends.start_offset),
                .stable_offset = MAX2(stable_offset(p, &ends), ends.start_offset),
                .end_offset = ends.end_offset,
                .leader_epoch = p->leader_epoch,
                .closed = p->closed,
                .failed = ends.failed,
        };
        pthread_mutex_unlock(&p->lock);
}

int partition_check_epoch(struct partition *p, int32_t current_leader_epoch)
{
        int r = 0;

        pthread_mutex_lock(&p->lock);
        if (p->closed)
                r = PARTITION_E_NOT_LEADER;
        else if (current_leader_epoch >= 0 && current_leader_epoch < p->leader_epoch)
                r = PARTITION_E_FENCED_EPOCH;
        else if (current_leader_epoch > p->leader_epoch)
                r = PARTITION_E_UNKNOWN_EPOCH;
        pthread_mutex_unlock(&p->lock);
        return r;
}

int partition_append(struct partition *p, struct plog_append_args *args, bool need_min_isr,
                     struct plog_append_result *ret)
{
        struct ilist told = ILIST_INIT(told);
        int r;

        pthread_mutex_lock(&p->lock);
        if (p->closed) {
                r = PARTITION_E_NOT_LEADER;
        } else if (need_min_isr && MIN2(p->conf.min_insync_replicas, p->conf.replicas_count) > 1) {
                r = PARTITION_E_NOT_ENOUGH_REPLICAS; /* the only replica in sync is this one */
        } else {
                args->leader_epoch = p->leader_epoch;
                args->keep_base_offset = -1;
                r = plog_append(p->log, args, ret);
                if (r == PLOG_OK && !p->conf.flush_before_ack)
                        advance(p, &told);
                else if (r == PLOG_E_FAILED)
                        advance(p, &told);
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        return r;
}

static void acks_insert(struct ilist *waits, struct partition_wait *w)
{
        struct ilist *at = waits;

        /* Offsets nearly always grow, so the place is found from the back. */
        while (at->prev != waits && ilist_entry(at->prev, struct partition_wait, link)->offset > w->offset)
                at = at->prev;
        ilist_insert_before(at, &w->link);
}

void partition_wait(struct partition *p, struct partition_wait *w, enum partition_wait_kind kind, int64_t offset,
                    struct loop *loop)
{
        struct ilist told = ILIST_INIT(told);

        assert(w->state == WAIT_IDLE && w->mail.fn);
        w->fn = w->mail.fn;
        w->mail.fn = wait_deliver;
        w->partition = partition_ref(p);
        w->offset = offset;
        w->kind = (uint8_t)kind;
        w->loop = loop;
        w->state = WAIT_WAITING;

        pthread_mutex_lock(&p->lock);
        if (kind == PARTITION_WAIT_DATA || kind == PARTITION_WAIT_STABLE)
                ilist_push_back(&p->datas, &w->link);
        else
                acks_insert(kind == PARTITION_WAIT_ACK ? &p->acks : &p->locals, w);
        if (p->closed)
                wait_end(w, PARTITION_E_NOT_LEADER, &told);
        else
                advance(p, &told);
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
}

bool partition_unwait(struct partition_wait *w)
{
        struct partition *p = w->partition;
        bool taken;

        if (!p) /* the state is another thread's to change while the wait is in a list; this is the loop's alone */
                return true;
        pthread_mutex_lock(&p->lock);
        taken = w->state == WAIT_WAITING;
        if (taken) {
                ilist_unlink(&w->link);
                w->state = WAIT_IDLE;
        }
        pthread_mutex_unlock(&p->lock);
        if (taken) {
                w->mail.fn = w->fn;
                w->partition = NULL;
                partition_unref(p);
        }
        return taken;
}
