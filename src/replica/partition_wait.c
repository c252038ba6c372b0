/* Waiting on a partition.
 *
 *   wait states:   IDLE --partition_wait()--> WAITING --watermark, close, role--> POSTED --mail--> IDLE
 *                                                \------partition_unwait()---------------------> IDLE
 *
 * Invariants: 1. a wait is in exactly one list while WAITING and in none otherwise;
 *             2. a wait holds a reference to its partition until its mail has run or it was taken back;
 *             3. w->partition is set while not IDLE, and touched on the waiter's loop only. */
#include "replica/partition_priv.h"

enum { WAIT_IDLE, WAIT_WAITING, WAIT_POSTED };

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

/* The mail may free the wait at once, so the list is walked by popping. */
void waits_post(struct ilist *told)
{
        struct ilist *node;

        while ((node = ilist_pop_front(told))) {
                struct partition_wait *w = ilist_entry(node, struct partition_wait, link);

                loop_post(w->loop, &w->mail);
        }
}

void waits_end_up_to(struct ilist *waits, int64_t end_offset, struct ilist *ret_told)
{
        ilist_for_each (w, waits, struct partition_wait, link) {
                if (w->offset > end_offset)
                        break;
                wait_end(w, 0, ret_told);
        }
}

void waits_end_all(struct ilist *waits, int outcome, struct ilist *ret_told)
{
        ilist_for_each (w, waits, struct partition_wait, link)
                wait_end(w, outcome, ret_told);
}

void waits_end_datas(struct partition *p, int64_t stable_offset, int64_t start_offset, struct ilist *ret_told)
{
        ilist_for_each (w, &p->datas, struct partition_wait, link) {
                int64_t visible = w->kind == PARTITION_WAIT_STABLE ? stable_offset : p->insync.high_watermark;

                if (visible > w->offset || start_offset > w->offset)
                        wait_end(w, 0, ret_told);
        }
}

/* The list of those who wait for an offset to be passed. */
static struct ilist *waits_of(struct partition *p, enum partition_wait_kind kind)
{
        switch (kind) {
        case PARTITION_WAIT_ACK:
                return &p->acks;
        case PARTITION_WAIT_LOCAL:
                return &p->locals;
        default:
                return &p->starts;
        }
}

static void acks_insert(struct ilist *waits, struct partition_wait *w)
{
        struct ilist *at = waits;

        /* Offsets nearly always grow, so the place is found from the back. */
        while (at->prev != waits && ilist_entry(at->prev, struct partition_wait, link)->offset > w->offset)
                at = at->prev;
        ilist_insert_before(at, &w->link);
}

/* May one wait for this here at all? */
static bool role_allows(const struct partition *p, enum partition_wait_kind kind)
{
        if (p->closed || p->role == PARTITION_IDLE)
                return false;
        return p->role == PARTITION_LEADER || kind == PARTITION_WAIT_DATA || kind == PARTITION_WAIT_STABLE;
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
                acks_insert(waits_of(p, kind), w);
        if (!role_allows(p, kind))
                wait_end(w, PARTITION_E_NOT_LEADER, &told);
        else
                partition_advance(p, &told);
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
