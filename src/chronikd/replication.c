/* Replication as part of a node: see replication.h. Questions arise on the replicator's thread, or on that on which a log failed;
 * the controller's answers arrive on the main loop. */
#include "chronikd/replication.h"

#include <errno.h>

#include "sys/diag.h"

/* ---- changes of ISRs ---- */

/* One question to the controller about some partitions. */
struct alter {
        struct replication *r;
        struct replica_alter *from;
        struct controller_request rq;
        struct arena mem;
};

static enum insync_outcome outcome_of(const struct controller_request *rq, const struct controller_result *item)
{
        if (rq->result.outcome)
                return INSYNC_E_UNKNOWN;
        switch (item->outcome) {
        case CONTROLLER_OK:
                return INSYNC_OK;
        case CONTROLLER_E_INELIGIBLE:
        case CONTROLLER_E_AHEAD: /* this controller has yet to learn what we know: nothing was done */
                return INSYNC_E_INELIGIBLE;
        case CONTROLLER_E_NEW_LEADER:
        case CONTROLLER_E_LEADER_EPOCH:
        case CONTROLLER_E_PARTITION_EPOCH:
        case CONTROLLER_E_TOPIC_ID_UNKNOWN:
        case CONTROLLER_E_PARTITION_UNKNOWN:
        case CONTROLLER_E_BROKER_UNKNOWN:
        case CONTROLLER_E_BROKER_EPOCH:
                return INSYNC_E_STALE;
        default:
                return INSYNC_E_UNKNOWN;
        }
}

static void alter_end(struct replica_alter *a, enum insync_outcome outcome)
{
        for (size_t i = 0; i < a->count; i++)
                a->items[i].outcome = outcome;
        replica_alter_answer(a);
}

static void alter_done(struct controller_request *rq)
{
        struct alter *q = rq->arg;
        struct replica_alter *a = q->from;

        for (size_t i = 0; i < a->count; i++)
                a->items[i].outcome = outcome_of(rq, &rq->alter_partition[i].result);
        replica_alter_answer(a);
        arena_fini(&q->mem);
        free(q);
}

static bool alter_item(struct alter *q, const struct replica_alter_item *from, struct controller_alter_partition *to)
{
        struct controller_isr_member *isr = ARENA_NEW_ARRAY(&q->mem, struct controller_isr_member, from->ask.isr_count);

        if (!isr)
                return false;
        for (int32_t i = 0; i < from->ask.isr_count; i++)
                isr[i] = (struct controller_isr_member){ from->ask.isr[i], from->ask.broker_epochs[i] };
        *to = (struct controller_alter_partition){
                .broker_id = q->r->node_id,
                .broker_epoch = atomic_load(&q->r->broker_epoch),
                .topic_id = partition_topic_id(from->partition),
                .partition = partition_index(from->partition),
                .leader_epoch = from->ask.leader_epoch,
                .partition_epoch = from->ask.partition_epoch,
                .isr = isr,
                .isr_count = from->ask.isr_count,
        };
        return true;
}

static void alter(void *arg, struct replica_alter *a)
{
        struct replication *r = arg;
        struct alter *q = atomic_load(&r->stopping) ? NULL : malloc(sizeof *q);
        struct controller_alter_partition *items;
        bool made;

        if (!q) {
                alter_end(a, INSYNC_E_UNKNOWN);
                return;
        }
        *q = (struct alter){ .r = r, .from = a };
        arena_init(&q->mem, 0);
        items = ARENA_NEW_ARRAY(&q->mem, struct controller_alter_partition, a->count);
        made = items;
        for (size_t i = 0; i < a->count && made; i++)
                made = alter_item(q, &a->items[i], &items[i]);
        if (!made) {
                arena_fini(&q->mem);
                free(q);
                alter_end(a, INSYNC_E_UNKNOWN);
                return;
        }
        q->rq = (struct controller_request){ .op = CONTROLLER_ALTER_PARTITION,
                                             .reply_loop = r->loop,
                                             .done = alter_done,
                                             .arg = q,
                                             .mem = &q->mem,
                                             .alter_partition = items,
                                             .items_count = (uint32_t)a->count };
        controller_submit(r->controller, &q->rq);
}

/* ---- logs that failed ---- */

struct loss {
        struct replication *r;
        struct controller_request rq;
        struct controller_report_loss item;
        struct arena mem;
};

static void loss_done(struct controller_request *rq);

static void loss_ask(struct loss *l)
{
        arena_init(&l->mem, 0);
        l->item.broker_epoch = atomic_load(&l->r->broker_epoch);
        l->rq = (struct controller_request){ .op = CONTROLLER_REPORT_LOSS,
                                             .reply_loop = l->r->loop,
                                             .done = loss_done,
                                             .arg = l,
                                             .mem = &l->mem,
                                             .report_loss = &l->item,
                                             .items_count = 1 };
        controller_submit(l->r->controller, &l->rq);
}

/* No active controller for a while: it is asked until one answers, each time for as long as forward.c tries. */
static void loss_done(struct controller_request *rq)
{
        struct loss *l = rq->arg;

        arena_fini(&l->mem);
        if (rq->result.outcome && !atomic_load(&l->r->stopping)) {
                loss_ask(l);
                return;
        }
        free(l);
}

/* What was flushed before it was acknowledged is there, whatever became of later writes; a log that did not fail has all. */
static bool is_complete(struct partition *p)
{
        struct partition_conf conf;
        struct plog_ends ends;

        partition_get_conf(p, &conf);
        plog_ends(partition_log(p), &ends);
        return (conf.flush_before_ack || !ends.failed) && !ends.damaged_ranges;
}

/* The replica takes no more, for good or just now: others must lead. */
static void failed(void *arg, struct partition *p)
{
        struct replication *r = arg;
        struct loss *l = malloc(sizeof *l);
        struct plog_ends ends;

        plog_ends(partition_log(p), &ends);
        if (!ends.failed)
                diag(DIAG_WARN, "%s-%d: %s: another replica is asked to lead", partition_topic_name(p),
                     partition_index(p),
                     ends.damaged_ranges ? "records here are damaged"
                                         : "this node's disk has no room, or makes nothing durable");
        if (!l) {
                diag(DIAG_ERROR, "out of memory: the controller does not learn that %s-%d failed here",
                     partition_topic_name(p), partition_index(p));
                return;
        }
        *l = (struct loss){ .r = r,
                            .item = { .broker_id = r->node_id,
                                      .topic_id = partition_topic_id(p),
                                      .partition = partition_index(p),
                                      .is_complete = is_complete(p) } };
        loss_ask(l);
}

struct losses {
        struct replication *r;
        struct arena *mem;
        struct controller_report_loss *items;
        uint32_t count, size;
};

static int look_for_loss(void *arg, struct partition *p)
{
        struct losses *l = arg;
        struct plog_ends ends;

        plog_ends(partition_log(p), &ends);
        if (!ends.failed && !ends.damaged_ranges)
                return 0;
        if (l->count < l->size)
                l->items[l->count] = (struct controller_report_loss){ .broker_id = l->r->node_id,
                                                                      .broker_epoch = atomic_load(&l->r->broker_epoch),
                                                                      .topic_id = partition_topic_id(p),
                                                                      .partition = partition_index(p),
                                                                      .is_complete = is_complete(p) };
        l->count++;
        return 0;
}

int replication_losses(struct replication *r, struct arena *mem, struct controller_report_loss **ret_items,
                       uint32_t *ret_count)
{
        struct losses l = { .r = r, .size = (uint32_t)partition_table_count(r->table) };
        int e;

        l.items = ARENA_NEW_ARRAY(mem, struct controller_report_loss, l.size);
        e = l.items ? partition_table_visit(r->table, look_for_loss, &l) : -ENOMEM;
        if (e)
                return e;
        *ret_items = l.items;
        *ret_count = MIN2(l.count, l.size);
        return 0;
}

/* ---- life ---- */

int replication_open(struct replication *r, struct peer_hub *hub, struct iopool *pool)
{
        return replicator_new(&(struct replicator_config){ .node_id = r->node_id,
                                                           .table = r->table,
                                                           .hub = hub,
                                                           .pool = pool,
                                                           .watermarks_path = r->watermarks_path,
                                                           .fetch_wait_ms = r->fetch_wait_ms,
                                                           .fetch_bytes = r->fetch_bytes,
                                                           .ops = { .alter = alter, .failed = failed, .arg = r } },
                              &r->replicator);
}

void replication_registered(struct replication *r, int64_t broker_epoch)
{
        atomic_store(&r->broker_epoch, broker_epoch);
        if (r->replicator)
                replicator_set_broker_epoch(r->replicator, broker_epoch);
}

static void look_for_end(struct replication *r)
{
        if (r->stopped && r->hub_stopped && (r->replicator_stopped || !r->replicator))
                r->stopped(r->arg);
}

static void replicator_has_stopped(void *arg)
{
        struct replication *r = arg;

        r->replicator_stopped = true;
        look_for_end(r);
}

void replication_stop(struct replication *r)
{
        atomic_store(&r->stopping, true);
        if (r->replicator)
                replicator_stop(r->replicator, r->loop, replicator_has_stopped, r);
}

void replication_hub_stopped(struct replication *r, void (*stopped)(void *arg), void *arg)
{
        r->hub_stopped = true;
        r->stopped = stopped;
        r->arg = arg;
        if (r->replicator)
                replicator_hub_stopped(r->replicator);
        look_for_end(r);
}

void replication_close(struct replication *r)
{
        r->replicator = replicator_free(r->replicator);
}
