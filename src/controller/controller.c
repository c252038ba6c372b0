/* See controller.h. The way of a request:
 *
 *   controller_submit --mail--> arrived --+--> waiting          (until this node is active)
 *                                         +--> decide: refused, nothing to write, or records
 *                                                     records --> quorum_propose --> pending
 *   pending: leaves when what it changed or saw is applied, published, and (wait_applied) taken up by all that ack
 *   --mail--> done() on the asker's loop
 *
 * Decisions stand on @decided: the committed image plus everything proposed and not yet committed. When nothing is on its
 * way it is the committed image itself again, so that the two do not drift apart in memory. */
#include "controller/controller_priv.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/diag.h"

#define SESSION_TIMEOUT_MS 9000 /* as Kafka's broker.session.timeout.ms */
#define PART_LEN (1u << 20)     /* of an entry: some 20,000 partitions; the log takes and sends it in one go */
#define BALANCE_MAX 1000        /* leaders moved in one round, as in Kafka */

static void update_status(struct controller *c)
{
        struct quorum_role role = quorum_role(c->quorum);

        pthread_mutex_lock(&c->lock);
        c->status.active = c->active;
        c->status.term = role.term;
        c->status.leader_id = role.leader_id;
        c->status.requests = c->requests;
        quorum_stats(c->quorum, &c->status.quorum);
        pthread_mutex_unlock(&c->lock);
}

/* ---- answering ---- */

static void answer_arrived(struct loop *l, struct mail *m)
{
        struct controller_request *rq = container_of(m, struct controller_request, mail);

        rq->done(rq);
}

static void answer(struct controller_request *rq)
{
        rq->mail.fn = answer_arrived;
        loop_post(rq->reply_loop, &rq->mail);
}

static void answer_whole(struct controller_request *rq, enum controller_outcome outcome, const char *message)
{
        rq->result = (struct controller_result){ outcome, str_of(message) };
        answer(rq);
}

static void stop_continue(struct controller *c);

/* Answer what has come as far as it must. */
static void answer_ready(struct controller *c)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = meta_current(&c->publisher);
        int64_t acked = meta_acked_index(&c->publisher);

        ilist_for_each (rq, &c->pending, struct controller_request, link) {
                if (rq->proposed || rq->index > image->index)
                        continue;
                if (rq->wait_applied && rq->index > acked && !c->quorum_stopped)
                        continue;
                ilist_unlink(&rq->link);
                answer(rq);
        }
        update_status(c);
        stop_continue(c);
}

static void subscribers_acked(void *arg)
{
        answer_ready(arg);
}

static void answer_mail_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, answer_mail);

        c->answer_posted = false;
        answer_ready(c);
}

static void answer_soon(struct controller *c)
{
        if (c->answer_posted)
                return;
        c->answer_posted = true;
        loop_post(c->loop, &c->answer_mail);
}

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
        answer_soon(c);
}

static void request_committed(struct quorum_proposal *p, int result)
{
        struct controller_request *rq = container_of(p, struct controller_request, proposal);
        struct controller *c = rq->controller;

        rq->proposed = false;
        if (result) {
                ilist_unlink(&rq->link);
                answer_whole(rq, CONTROLLER_E_LOST, "The controller changed before the outcome was known.");
        }
        proposal_ended(c);
}

static void own_committed(struct quorum_proposal *p, int result)
{
        struct own_proposal *own = container_of(p, struct own_proposal, proposal);

        proposal_ended(own->controller);
        free(own);
}

int controller_decision_start(struct controller *c, struct decision *d, struct arena *mem)
{
        *d = (struct decision){
                .rules = &c->rules,
                .memory = &c->memory,
                .now_ms = loop_now_ms(c->loop),
                .wall_ms = clock_wall_ms(),
                .index = MAX2(c->last_index, c->decided->index) + 1,
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

int controller_propose_own(struct controller *c, struct decision *d)
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
        rq->index = c->last_index; /* it may have seen what is not yet committed */
        if (d->batch.count) {
                rq->proposal = (struct quorum_proposal){ .done = request_committed };
                r = propose(c, d, &rq->proposal);
                rq->proposed = !r;
                rq->index = rq->proposal.index;
        }
        if (r == QUORUM_E_NOT_LEADER)
                answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node is not the active controller.");
        else if (r == QUORUM_E_FULL)
                answer_whole(rq, CONTROLLER_E_BUSY, "The metadata log cannot keep up; try again.");
        else if (r)
                answer_whole(rq, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
        else
                ilist_push_back(&c->pending, &rq->link);
}

/* What may wait for a disk that is full. Removing things is how it gets room again. */
static bool is_growth(const struct controller_request *rq)
{
        return !rq->validate_only && (rq->op == CONTROLLER_CREATE_TOPICS || rq->op == CONTROLLER_CREATE_PARTITIONS ||
                                      rq->op == CONTROLLER_ALTER_CONFIGS);
}

static void decide(struct controller *c, struct controller_request *rq)
{
        struct decision d;

        c->requests++;
        if (is_growth(rq) && quorum_is_low(c->quorum)) {
                answer_whole(rq, CONTROLLER_E_NO_SPACE,
                             "The disk of the metadata is full; free space, then try again.");
                return;
        }
        if (controller_decision_start(c, &d, rq->mem)) {
                answer_whole(rq, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
                return;
        }
        if (decision_run(&d, rq))
                answer(rq);
        else
                request_propose(c, rq, &d);
        decision_fini(&d);
        answer_soon(c);
}

static void request_arrived(struct loop *l, struct mail *m)
{
        struct controller_request *rq = container_of(m, struct controller_request, mail);
        struct controller *c = rq->controller;

        if (c->stopping || (c->role_known && !c->active))
                answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node is not the active controller.");
        else if (!c->role_known)
                ilist_push_back(&c->waiting, &rq->link);
        else
                decide(c, rq);
}

void controller_submit(struct controller *c, struct controller_request *rq)
{
        rq->controller = c;
        rq->mail.fn = request_arrived;
        loop_post(c->loop, &rq->mail);
}

/* ---- what the quorum says ---- */

static void applied(void *arg, const struct quorum_applied *a)
{
        struct controller *c = arg;

        meta_publish(&c->publisher, a->after);
        answer_soon(c);
}

/* The cluster's first records, unless it has them. */
static void bootstrap(struct controller *c)
{
        struct arena mem;
        struct decision d;
        int r;

        arena_init(&mem, 0);
        r = controller_decision_start(c, &d, &mem);
        if (!r)
                r = decision_bootstrap(&d, str_of(c->cluster_id));
        if (!r)
                r = controller_propose_own(c, &d);
        decision_fini(&d);
        arena_fini(&mem);
        if (!r)
                return;
        diag(DIAG_ERROR, "controller: no memory to begin a cluster");
        _exit(70);
}

static bool cluster_is_ours(const struct controller *c, const struct meta_image *image)
{
        return !c->cluster_id || str_is_null(image->cluster_id) || str_equal_c(image->cluster_id, c->cluster_id);
}

static void activate(struct controller *c)
{
        decided_reset(c);
        if (!cluster_is_ours(c, c->decided)) {
                diag(DIAG_ERROR,
                     "controller: the metadata is of cluster %.*s, but the configuration says %s; correct one of them",
                     STR_FMT(c->decided->cluster_id), c->cluster_id);
                _exit(70);
        }
        if (places_rebuild(&c->memory.places, c->decided)) {
                diag(DIAG_ERROR, "controller: no memory to know which broker has which partitions");
                _exit(70);
        }
        if (str_is_null(c->decided->cluster_id))
                bootstrap(c);
        if (controller_leases_start(&c->memory.leases, c->decided, loop_now_ms(c->loop), c->rules.session_timeout_ms)) {
                diag(DIAG_ERROR, "controller: no memory for the leases of the brokers");
                _exit(70);
        }
        controller_rounds_start(c);
}

static void role_changed(void *arg, const struct quorum_role *role)
{
        struct controller *c = arg;
        struct ilist waiting;

        c->role_known = true;
        c->active = role->is_leader;
        c->term = role->term;
        if (c->active)
                activate(c);
        else
                controller_rounds_stop(c);
        update_status(c);
        ilist_init(&waiting);
        ilist_splice_back(&waiting, &c->waiting);
        ilist_for_each (rq, &waiting, struct controller_request, link) {
                ilist_unlink(&rq->link);
                request_arrived(c->loop, &rq->mail);
        }
}

/* ---- life ---- */

static void start_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, start_mail);

        controller_rounds_init(c);
        quorum_start(c->quorum);
}

static void stopped_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, stopped_mail);

        c->stop_done(c->stop_arg);
}

static void stop_continue(struct controller *c)
{
        if (!c->quorum_stopped || c->stopped || !ilist_is_empty(&c->pending))
                return;
        c->stopped = true;
        loop_stop(c->loop);
        c->stopped_mail.fn = stopped_arrived;
        if (c->stop_loop)
                loop_post(c->stop_loop, &c->stopped_mail);
        else
                c->stop_done(c->stop_arg);
}

static void quorum_has_stopped(void *arg)
{
        struct controller *c = arg;

        c->quorum_stopped = true;
        answer_soon(c);
}

static void stop_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, stop_mail);

        c->stopping = true;
        controller_rounds_stop(c);
        ilist_for_each (rq, &c->waiting, struct controller_request, link) {
                ilist_unlink(&rq->link);
                answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node stops.");
        }
        quorum_stop(c->quorum, quorum_has_stopped, c);
}

void controller_stop(struct controller *c, struct loop *reply_loop, void (*done)(void *arg), void *arg)
{
        c->stop_loop = reply_loop;
        c->stop_done = done;
        c->stop_arg = arg;
        c->stop_mail.fn = stop_arrived;
        loop_post(c->loop, &c->stop_mail);
}

int controller_start(struct controller *c)
{
        int r = loop_start_thread(c->loop);

        if (r)
                return r;
        c->running = true;
        c->start_mail.fn = start_arrived;
        loop_post(c->loop, &c->start_mail);
        return 0;
}

static int open_quorum(struct controller *c, const struct controller_config *cfg, char *why, size_t why_size)
{
        static const struct quorum_events events = { .applied = applied, .role = role_changed };
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL;
        struct quorum_config q = cfg->quorum;
        int r;

        q.dir = cfg->dir;
        q.node_id = cfg->node_id;
        q.loop = c->loop;
        q.pool = cfg->pool;
        r = quorum_open(&q, &events, c, &c->quorum, why, why_size);
        if (r)
                return r;
        image = quorum_image(c->quorum);
        if (!cluster_is_ours(c, image)) {
                snprintf(why, why_size,
                         "metadata folder %s is of cluster %.*s, but the configuration says %s; correct one of them",
                         cfg->dir, STR_FMT(image->cluster_id), c->cluster_id);
                return QUORUM_E_REFUSED;
        }
        meta_publisher_init(&c->publisher, c->loop, image);
        c->publisher.acked = subscribers_acked;
        c->publisher.arg = c;
        return 0;
}

int controller_new(const struct controller_config *cfg, struct controller **ret_controller, char *why, size_t why_size)
{
        CLEANUP(controller_freep) struct controller *c = calloc(1, sizeof *c);
        int r;

        why[0] = 0;
        if (!c)
                return -ENOMEM;
        pthread_mutex_init(&c->lock, NULL);
        c->conf = conf_ref((struct conf *)cfg->conf);
        c->rules = (struct controller_rules){
                .conf = c->conf,
                .node_id = cfg->node_id,
                .features = cfg->features,
                .features_count = cfg->features_count,
                .session_timeout_ms = cfg->session_timeout_ms ? cfg->session_timeout_ms : SESSION_TIMEOUT_MS,
                .imbalance_percent = (int32_t)c->conf->replication.leader_imbalance_percentage,
                .balance_max = BALANCE_MAX,
                .part_len = PART_LEN,
                .moves_max = (int32_t)c->conf->replication.moves_max,
        };
        c->random.state = random_u64();
        c->answer_mail.fn = answer_mail_arrived;
        ilist_init(&c->waiting);
        ilist_init(&c->pending);
        if (!str_is_null(cfg->cluster_id)) {
                c->cluster_id = strndup(cfg->cluster_id.p, cfg->cluster_id.len);
                if (!c->cluster_id)
                        return -ENOMEM;
        }
        r = loop_new("controller", &c->loop);
        if (!r)
                r = open_quorum(c, cfg, why, why_size);
        if (r)
                return r;
        c->decided = quorum_image(c->quorum);
        *ret_controller = TAKE_PTR(c);
        return 0;
}

struct controller *controller_free(struct controller *c)
{
        if (!c)
                return NULL;
        if (c->running)
                loop_join(c->loop);
        if (c->publisher.current)
                meta_publisher_fini(&c->publisher);
        meta_image_unref(c->decided);
        quorum_close(c->quorum);
        loop_free(c->loop);
        controller_memory_fini(&c->memory);
        controller_abilities_free(c->abilities);
        conf_unref(c->conf);
        pthread_mutex_destroy(&c->lock);
        free(c->cluster_id);
        free(c);
        return NULL;
}

struct meta_image *controller_image(struct controller *c)
{
        return meta_current(&c->publisher);
}

struct meta_publisher *controller_publisher(struct controller *c)
{
        return &c->publisher;
}

void controller_status(struct controller *c, struct controller_status *ret)
{
        pthread_mutex_lock(&c->lock);
        *ret = c->status;
        pthread_mutex_unlock(&c->lock);
}
