/* The active controller: what it decides, proposes, and does by itself while this node leads.
 *
 * Decisions stand on @decided: the committed image plus everything proposed and not yet committed. When nothing is on its
 * way it is the committed image itself again, so that the two do not drift apart in memory. */
#include <errno.h>
#include <stdio.h>

#include "controller/host.h"
#include "peer/peer.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/process.h"

#define BALANCE_SOON_MS 1000 /* to the next round when one was not enough */
#define SOON_MS 20           /* to the next look when something could not be proposed, or was done in part */

/* A proposal that no request waits for. */
struct own_proposal {
        struct controller *controller;
        struct quorum_proposal proposal;
};

/* ---- proposing ---- */

static void decided_reset(struct controller *c)
{
        meta_image_unref(c->decided);
        c->decided = quorum_image(c->quorum);
        c->last_index = c->decided->index;
}

static void proposal_ended(struct controller *c)
{
        assert(c->in_flight > 0);
        if (!--c->in_flight)
                decided_reset(c);
        controller_answer_soon(c);
}

static void request_committed(struct quorum_proposal *p, int result)
{
        struct controller_request *rq = container_of(p, struct controller_request, proposal);
        struct controller *c = rq->controller;

        rq->proposed = rq->decided_here = false; /* committed: it only waits to be seen */
        if (result) {
                ilist_unlink(&rq->link);
                controller_answer_whole(rq, CONTROLLER_E_LOST, "The controller changed before the outcome was known.");
        }
        proposal_ended(c);
}

static void own_committed(struct quorum_proposal *p, int result)
{
        struct own_proposal *own = container_of(p, struct own_proposal, proposal);

        proposal_ended(own->controller);
        free(own);
}

static int decision_start(struct controller *c, struct decision *d, struct arena *mem)
{
        *d = (struct decision){
                .rules = &c->rules,
                .memory = &c->memory,
                .now_ms = loop_now_ms(c->loop),
                .wall_ms = clock_wall_ms(),
                .index = quorum_next_index(c->quorum),
                .term = c->term,
                .random = &c->random,
                .mem = mem,
        };
        return decision_init(d, c->decided);
}

/* Propose one entry. On 0 @image, what it makes of the metadata, is what has been decided; the reference is taken over.
 * Return: as quorum_propose(). */
static int propose_entry(struct controller *c, struct quorum_proposal *p, struct meta_batch *batch,
                         struct meta_image *image)
{
        int r;

        p->term = c->term;
        r = quorum_propose(c->quorum, p, batch);
        if (r)
                return r;
        /* Only this thread proposes and only in this term, so the index was known. */
        assert(p->index == image->index);
        c->last_index = p->index;
        meta_image_unref(c->decided);
        c->decided = image;
        c->in_flight++;
        return 0;
}

/* Propose what @d has decided; @p stands for the last entry. When it fails after some entries, those are decided: they are
 * consistent without the rest. Return: as quorum_propose(). */
static int propose(struct controller *c, struct decision *d, struct quorum_proposal *p)
{
        struct meta_image *image;
        int r;

        for (size_t i = 0; i < d->parts_count; i++) {
                struct own_proposal *own = malloc(sizeof *own);

                if (!own)
                        return -ENOMEM;
                *own = (struct own_proposal){ c, { .done = own_committed } };
                r = propose_entry(c, &own->proposal, &d->parts[i].batch, d->parts[i].image);
                if (r) {
                        free(own);
                        return r;
                }
                d->parts[i].image = NULL;
        }
        image = meta_builder_finish(&d->builder, d->index, c->term);
        r = propose_entry(c, p, &d->batch, image);
        if (r)
                meta_image_unref(image);
        return r;
}

/* Decisions that nobody asked for. */
static int propose_own(struct controller *c, struct decision *d)
{
        struct own_proposal *own;
        int r;

        if (!d->batch.count)
                return 0;
        own = malloc(sizeof *own);
        if (!own)
                return -ENOMEM;
        *own = (struct own_proposal){ c, { .done = own_committed } };
        r = propose(c, d, &own->proposal);
        if (r)
                free(own);
        return r;
}

static void request_propose(struct controller *c, struct controller_request *rq, struct decision *d)
{
        int r = 0;

        rq->controller = c;
        rq->proposed = false;
        rq->decided_here = true;
        rq->index = c->last_index; /* it may have seen what is not yet committed */
        if (d->batch.count) {
                rq->proposal = (struct quorum_proposal){ .done = request_committed };
                r = propose(c, d, &rq->proposal);
                rq->proposed = !r;
                rq->index = rq->proposal.index;
        }
        if (r == QUORUM_E_NOT_LEADER)
                controller_answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node is not the active controller.");
        else if (r == QUORUM_E_FULL)
                controller_answer_whole(rq, CONTROLLER_E_BUSY, "The metadata log cannot keep up; try again.");
        else if (r)
                controller_answer_whole(rq, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
        else
                controller_pend(c, rq);
}

/* What may wait for a disk that is full. Removing things is how it gets room again. */
static bool is_growth(const struct controller_request *rq)
{
        return !rq->validate_only && (rq->op == CONTROLLER_CREATE_TOPICS || rq->op == CONTROLLER_CREATE_PARTITIONS ||
                                      rq->op == CONTROLLER_ALTER_CONFIGS || rq->op == CONTROLLER_CREATE_ACLS ||
                                      rq->op == CONTROLLER_CREATE_TOKENS);
}

void controller_decide(struct controller *c, struct controller_request *rq)
{
        struct decision d;

        c->requests++;
        if (controller_ask_quorum(c, rq))
                return;
        if (is_growth(rq) && quorum_is_low(c->quorum)) {
                controller_answer_whole(rq, CONTROLLER_E_NO_SPACE,
                                        "The disk of the metadata is full; free space, then try again.");
                return;
        }
        if (decision_start(c, &d, rq->mem)) {
                controller_answer_whole(rq, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
                return;
        }
        if (rq->op == CONTROLLER_UPDATE_FEATURES && controller_abilities(c, &d))
                controller_answer_whole(rq, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
        else if (decision_run(&d, rq))
                controller_answer(rq);
        else
                request_propose(c, rq, &d);
        decision_fini(&d);
        controller_answer_soon(c);
}

/* ---- while it leads ---- */

/* Make a decision that nobody asked for. Return: whether something was left undone. */
static bool decide_own(struct controller *c, int (*fn)(struct decision *d, bool *ret_more))
{
        struct arena mem;
        struct decision d;
        bool more = true;

        arena_init(&mem, 0);
        if (!decision_start(c, &d, &mem)) {
                more = false;
                if (fn(&d, &more) || propose_own(c, &d))
                        more = true;
                else if (d.news[0])
                        diag(DIAG_WARN, "controller: %s", d.news);
                decision_fini(&d);
        }
        arena_fini(&mem);
        return more;
}

static int expire_leases(struct decision *d, bool *ret_more)
{
        return decision_expire_leases(d, &d->memory->leases.next_ms);
}

static int duties(struct decision *d, bool *ret_more)
{
        return decision_duties(d);
}

static int heal(struct decision *d, bool *ret_more)
{
        return decision_heal(d);
}

static bool some_broker_has_a_duty(const struct meta_image *image)
{
        const struct meta_broker *b;

        pmap_for_each (it, b, &image->brokers)
                if (b->duty != META_DUTY_NONE)
                        return true;
        return false;
}

static bool balance_is_due(const struct controller *c)
{
        return c->rules.conf->replication.auto_leader_rebalance && loop_now_ms(c->loop) >= c->balance_ms;
}

/* What has ended by itself, and lets nobody in any more: delegation tokens, passwords from before a rotation. */
static void sweep(struct controller *c)
{
        int64_t interval_ms = c->rules.conf->security.delegation_token_expiry_check_interval_ms;

        if (c->decided->tokens.count && decide_own(c, decision_sweep_tokens))
                return; /* the rest in the next round */
        if (c->decided->credentials.count && decide_own(c, decision_sweep_users))
                return;
        c->sweep_ms = loop_now_ms(c->loop) + MIN2(interval_ms, INT64_MAX / 2);
}

static void round_timer_fired(struct loop_timer *t)
{
        struct controller *c = container_of(t, struct controller, round_timer);
        int64_t wait_ms = MAX2(c->rules.session_timeout_ms / 4, (int64_t)SOON_MS);

        if (decide_own(c, expire_leases))
                wait_ms = SOON_MS;
        if (some_broker_has_a_duty(c->decided) && decide_own(c, duties))
                wait_ms = SOON_MS;
        if (balance_is_due(c)) {
                bool more = decide_own(c, decision_balance);

                c->balance_ms =
                        loop_now_ms(c->loop) +
                        (more ? BALANCE_SOON_MS : c->rules.conf->replication.leader_imbalance_check_interval_ms);
        }
        if (loop_now_ms(c->loop) >= c->sweep_ms)
                sweep(c);
        /* When that fails the hints stay as they are: too many, but not wrong. */
        if (places_are_stale(&c->memory.places))
                (void)places_rebuild(&c->memory.places, c->decided);
        loop_timer_start(t, MIN2(wait_ms, MAX2(c->memory.leases.next_ms - loop_now_ms(c->loop), (int64_t)SOON_MS)));
}

void controller_link_lost(struct controller *c, int32_t broker_id)
{
        int64_t grace_ms = c->rules.conf->cluster.heartbeat_interval_ms * 5 / 4;

        if (c->active && controller_lease_shorten(&c->memory.leases, broker_id, loop_now_ms(c->loop) + grace_ms))
                loop_timer_start(&c->round_timer, SOON_MS);
}

/* Every broker gets a whole lease, but for those whose node has just stopped answering this one: the active controller that ended
 * may have been a broker, too, and its partitions have waited long enough. */
static void shorten_leases(struct controller *c)
{
        const struct meta_broker *b;
        struct peer_info info;

        if (!c->hub)
                return;
        pmap_for_each (it, b, &c->decided->brokers)
                if (peer_hub_find(c->hub, b->id, &info) && info.error[0] && !info.links[PEER_CONTROL].up &&
                    info.links[PEER_CONTROL].connects_total)
                        controller_link_lost(c, b->id);
}

/* The cluster's first records, unless it has them. */
static void bootstrap(struct controller *c)
{
        struct arena mem;
        struct decision d;
        int r;

        arena_init(&mem, 0);
        r = decision_start(c, &d, &mem);
        if (!r)
                r = decision_bootstrap(&d, str_of(c->cluster_id));
        if (!r)
                r = propose_own(c, &d);
        decision_fini(&d);
        arena_fini(&mem);
        if (!r || r == QUORUM_E_NOT_LEADER) /* who leads next begins it */
                return;
        diag(DIAG_ERROR, "controller: no memory to begin a cluster");
        process_end(70);
}

bool controller_cluster_is_ours(const struct controller *c, const struct meta_image *image)
{
        return !c->cluster_id || str_is_null(image->cluster_id) || str_equal_c(image->cluster_id, c->cluster_id);
}

void controller_activate(struct controller *c)
{
        decided_reset(c);
        if (!controller_cluster_is_ours(c, c->decided)) {
                diag(DIAG_ERROR,
                     "controller: the metadata is of cluster %.*s, but the configuration says %s; correct one of them",
                     STR_FMT(c->decided->cluster_id), c->cluster_id);
                process_end(70);
        }
        if (places_rebuild(&c->memory.places, c->decided)) {
                diag(DIAG_ERROR, "controller: no memory to know which broker has which partitions");
                process_end(70);
        }
        if (str_is_null(c->decided->cluster_id))
                bootstrap(c);
        if (controller_leases_start(&c->memory.leases, c->decided, loop_now_ms(c->loop), c->rules.session_timeout_ms)) {
                diag(DIAG_ERROR, "controller: no memory for the leases of the brokers");
                process_end(70);
        }
        c->balance_ms = loop_now_ms(c->loop) + c->rules.conf->replication.leader_imbalance_check_interval_ms;
        c->sweep_ms = loop_now_ms(c->loop);
        shorten_leases(c);
        (void)decide_own(c, heal); /* what is left comes with the next change of each partition */
        loop_timer_start(&c->round_timer, SOON_MS);
}

void controller_deactivate(struct controller *c)
{
        loop_timer_stop(&c->round_timer);
}

void controller_active_init(struct controller *c)
{
        loop_timer_init(&c->round_timer, c->loop, round_timer_fired);
}
