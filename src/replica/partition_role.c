/* The role of this node in a partition, as the metadata says it; see partition.h. */
#include <errno.h>
#include <string.h>

#include "replica/partition_priv.h"
#include "sys/clock.h"

static bool contains(const int32_t *ids, int32_t count, int32_t id)
{
        for (int32_t i = 0; i < count; i++)
                if (ids[i] == id)
                        return true;
        return false;
}

static enum partition_role role_of(const struct partition *p, const struct replica_state *s)
{
        if (s->leader < 0)
                return PARTITION_IDLE;
        if (s->leader == p->node_id)
                return PARTITION_LEADER;
        return contains(s->replicas, s->replicas_count, p->node_id) ? PARTITION_FOLLOWER : PARTITION_IDLE;
}

static int lead(struct partition *p, const struct replica_state *s, int64_t now_ms)
{
        struct plog_ends ends;
        int r;

        if (p->role == PARTITION_LEADER && p->leader_epoch == s->leader_epoch) {
                r = insync_change(&p->insync, s, now_ms);
                if (!r)
                        partition_tell(p, PARTITION_NEWS_ISR);
                return r;
        }
        plog_ends(p->log, &ends);
        r = insync_lead(&p->insync, s, ends.end_offset, now_ms);
        /* Where it cannot be noted, the first batch says it (the epoch is in its header). */
        if (!r && plog_assign_epoch(p->log, s->leader_epoch) == PLOG_E_CLOSED)
                r = PLOG_E_CLOSED;
        return r;
}

/* With the lock. *@ret_news: the owner is to be told. */
static int apply(struct partition *p, const struct replica_state *s, struct ilist *ret_told, bool *ret_news)
{
        enum partition_role role = role_of(p, s);
        int64_t now_ms = clock_mono_ms();
        int r = 0;

        if (role == PARTITION_LEADER) {
                r = lead(p, s, now_ms);
                if (r)
                        return r;
        } else if (p->role != role || p->leader_epoch != s->leader_epoch) {
                /* Nobody may take an epoch that we began and wrote nothing in for one of the log's. */
                plog_forget_epochs(p->log);
                p->ask_waits = false;
        }
        *ret_news = p->role != role || p->leader != s->leader || p->leader_epoch != s->leader_epoch;
        if (*ret_news)
                p->no_room_ms = p->stall_ms = 0;
        p->role = role;
        p->leader = s->leader;
        p->leader_epoch = s->leader_epoch;
        p->partition_epoch = s->partition_epoch;
        p->in_isr = contains(s->isr, s->isr_count, p->node_id);
        if (role != PARTITION_LEADER) {
                waits_end_all(&p->acks, PARTITION_E_NOT_LEADER, ret_told);
                waits_end_all(&p->locals, PARTITION_E_NOT_LEADER, ret_told);
                waits_end_all(&p->starts, PARTITION_E_NOT_LEADER, ret_told);
        }
        if (*ret_news) {
                waits_end_all(&p->datas, PARTITION_E_NOT_LEADER, ret_told);
                partition_tell(p, PARTITION_NEWS_ROLE);
        }
        partition_advance(p, ret_told);
        partition_ask(p, now_ms);
        return 0;
}

/* A copy in one piece; free() it. */
static struct replica_state *copy_of(const struct replica_state *s)
{
        size_t replicas_len = (size_t)s->replicas_count * sizeof *s->replicas;
        size_t isr_len = (size_t)s->isr_count * sizeof *s->isr;
        struct replica_state *c = malloc(sizeof *c + replicas_len + isr_len);
        int32_t *ids = (int32_t *)(c + 1);

        if (!c)
                return NULL;
        *c = *s;
        memcpy(ids, s->replicas, replicas_len);
        c->replicas = ids;
        ids += s->replicas_count;
        if (isr_len)
                memcpy(ids, s->isr, isr_len);
        c->isr = ids;
        return c;
}

static bool is_old(const struct replica_state *s, int32_t leader_epoch, int32_t partition_epoch)
{
        if (s->leader_epoch != leader_epoch)
                return s->leader_epoch < leader_epoch;
        return s->partition_epoch <= partition_epoch;
}

int partition_set_state(struct partition *p, const struct replica_state *s)
{
        struct ilist told = ILIST_INIT(told);
        bool news = false;
        int r = 0;

        pthread_mutex_lock(&p->lock);
        if (p->closed || is_old(s, p->leader_epoch, p->partition_epoch) ||
            (p->next && is_old(s, p->next->leader_epoch, p->next->partition_epoch))) {
                r = 0;
        } else if (p->cutting) {
                struct replica_state *next = copy_of(s);

                r = next ? 0 : -ENOMEM;
                if (next) {
                        free(p->next);
                        p->next = next;
                }
        } else {
                r = apply(p, s, &told, &news);
        }
        pthread_mutex_unlock(&p->lock);
        waits_post(&told);
        if (news)
                partition_tell_role(p);
        return r;
}

bool partition_apply_next(struct partition *p, struct ilist *ret_told)
{
        struct replica_state *s = TAKE_PTR(p->next);
        bool news = false;

        /* What memory does not suffice for comes again with the next change, and until then the partition follows an
         * epoch that is over, which changes nothing. */
        if (s && !p->closed)
                (void)apply(p, s, ret_told, &news);
        free(s);
        return news;
}

void partition_tell_role(struct partition *p)
{
        if (p->events.role)
                p->events.role(p->events.arg, p);
}
