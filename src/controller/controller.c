/* See controller.h. The way of a request:
 *
 *   controller_submit --mail--> arrived --+--> waiting              (until a role is known)
 *                                         +--> active.c: refused, nothing to write, or records
 *                                         |            records --> quorum_propose --> pending
 *                                         +--> forward.c            (another node is active, or nobody is)
 *                                                      its answer --> pending
 *   pending: leaves when what it changed or saw is applied here, published, and (wait_applied) taken up by all that ack
 *   --mail--> done() on the asker's loop */
#include "controller/controller.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "controller/host.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/process.h"

#define SESSION_TIMEOUT_MS 9000 /* as Kafka's broker.session.timeout.ms */
#define PART_LEN (1u << 20)     /* of an entry: some 20,000 partitions; the log takes and sends it in one go */
#define BALANCE_MAX 1000        /* leaders moved in one round, as in Kafka */

void controller_update_status(struct controller *c)
{
        struct quorum_role role = c->quorum ? quorum_role(c->quorum) : observer_role(c->observer);

        pthread_mutex_lock(&c->lock);
        c->status.active = c->active;
        c->status.term = role.term;
        c->status.leader_id = role.leader_id;
        c->status.requests = c->requests;
        c->status.follows_only = c->observer;
        if (c->quorum)
                quorum_stats(c->quorum, &c->status.quorum);
        else
                observer_stats(c->observer, &c->status.observer);
        pthread_mutex_unlock(&c->lock);
}

/* ---- answering ---- */

static void answer_arrived(struct loop *l, struct mail *m)
{
        struct controller_request *rq = container_of(m, struct controller_request, mail);

        rq->done(rq);
}

void controller_answer(struct controller_request *rq)
{
        rq->mail.fn = answer_arrived;
        loop_post(rq->reply_loop, &rq->mail);
}

void controller_answer_whole(struct controller_request *rq, enum controller_outcome outcome, const char *message)
{
        rq->result = (struct controller_result){ outcome, str_of(message) };
        controller_answer(rq);
}

static void stop_continue(struct controller *c);

/* Answer what has come as far as it must; after the quorum has stopped nothing comes any further. */
static void answer_ready(struct controller *c)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = meta_current(&c->publisher);
        int64_t acked = meta_acked_index(&c->publisher);

        ilist_for_each (rq, &c->pending, struct controller_request, link) {
                if (rq->proposed || (rq->index > image->index && !c->quorum_stopped))
                        continue;
                if (rq->wait_applied && rq->index > acked && !c->quorum_stopped)
                        continue;
                ilist_unlink(&rq->link);
                controller_answer(rq);
        }
        controller_update_status(c);
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

void controller_answer_soon(struct controller *c)
{
        if (c->answer_posted)
                return;
        c->answer_posted = true;
        loop_post(c->loop, &c->answer_mail);
}

void controller_pend(struct controller *c, struct controller_request *rq)
{
        ilist_push_back(&c->pending, &rq->link);
}

static void request_arrived(struct loop *l, struct mail *m)
{
        struct controller_request *rq = container_of(m, struct controller_request, mail);
        struct controller *c = rq->controller;

        if (c->stopping)
                controller_answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node stops.");
        else if (rq->op == CONTROLLER_DESCRIBE_QUORUM && rq->here_only)
                (void)controller_ask_quorum(c, rq); /* what this node knows of it */
        else if (!c->role_known && c->hub && rq->timeout_ms)
                controller_forward(c, rq); /* not for longer than that */
        else if (!c->role_known)
                ilist_push_back(&c->waiting, &rq->link);
        else if (c->active)
                controller_decide(c, rq);
        else if (rq->here_only || !c->hub)
                controller_answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node is not the active controller.");
        else
                controller_forward(c, rq);
}

void controller_submit(struct controller *c, struct controller_request *rq)
{
        rq->controller = c;
        rq->mail.fn = request_arrived;
        loop_post(c->loop, &rq->mail);
}

static void applied(void *arg, const struct quorum_applied *a)
{
        struct controller *c = arg;
        char why[300];

        if (!controller_can(&c->rules, a->after, why, sizeof why)) {
                diag(DIAG_ERROR, "this node takes no part in the cluster any more: %s", why);
                process_end(1);
        }
        meta_publish(&c->publisher, a->after);
        controller_answer_soon(c);
}

/* Requests that changed nothing may stand on what another did change; whether that is ever committed is not known when this node
 * leads no more. */
static void answer_undecided(struct controller *c)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = meta_current(&c->publisher);

        ilist_for_each (rq, &c->pending, struct controller_request, link)
                if (rq->decided_here && !rq->proposed && rq->index > image->index) {
                        ilist_unlink(&rq->link);
                        controller_answer_whole(rq, CONTROLLER_E_NOT_ACTIVE,
                                                "The controller changed before the outcome was known.");
                }
}

static void role_changed(void *arg, const struct quorum_role *role)
{
        struct controller *c = arg;
        struct ilist waiting;

        c->role_known = true;
        c->active = role->is_leader && !c->stopping;
        c->term = role->term;
        c->leader_id = role->leader_id;
        answer_undecided(c);
        if (c->active)
                controller_activate(c);
        else
                controller_deactivate(c);
        controller_update_status(c);
        ilist_init(&waiting);
        ilist_splice_back(&waiting, &c->waiting);
        ilist_for_each (rq, &waiting, struct controller_request, link) {
                ilist_unlink(&rq->link);
                request_arrived(c->loop, &rq->mail);
        }
        controller_forward_retry(c);
}

/* ---- life ---- */

static void start_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, start_mail);

        controller_active_init(c);
        c->role_known = c->hub; /* until there is one, another node may be active */
        if (c->quorum)
                quorum_start(c->quorum);
        else
                observer_start(c->observer, c->hub);
}

static void stopped_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, stopped_mail);

        c->stop_done(c->stop_arg);
}

static void quorum_has_stopped(void *arg)
{
        struct controller *c = arg;

        c->quorum_stopped = true;
        controller_answer_soon(c);
}

static void stop_continue(struct controller *c)
{
        if (!c->stopping || c->stopped || !controller_forward_stop(c))
                return;
        if (!c->quorum_stopping) {
                c->quorum_stopping = true;
                if (c->quorum)
                        quorum_stop(c->quorum, quorum_has_stopped, c);
                else
                        observer_stop(c->observer, quorum_has_stopped, c);
        }
        if (!c->quorum_stopped || c->voter_changes || !ilist_is_empty(&c->pending))
                return;
        c->stopped = true;
        atomic_store(&c->deaf, true);
        loop_stop(c->loop);
        c->stopped_mail.fn = stopped_arrived;
        if (c->stop_loop)
                loop_post(c->stop_loop, &c->stopped_mail);
        else
                c->stop_done(c->stop_arg);
}

static void stop_arrived(struct loop *l, struct mail *m)
{
        struct controller *c = container_of(m, struct controller, stop_mail);

        c->stopping = true;
        controller_deactivate(c);
        ilist_for_each (rq, &c->waiting, struct controller_request, link) {
                ilist_unlink(&rq->link);
                controller_answer_whole(rq, CONTROLLER_E_NOT_ACTIVE, "This node stops.");
        }
        stop_continue(c);
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

/* The observer's metadata turned out to be of another history or cluster. */
static void refused(void *arg, const char *why)
{
        diag(DIAG_ERROR, "this node cannot follow the cluster: %s", why);
        process_end(1);
}

static const struct quorum_events events = { .applied = applied, .role = role_changed };

static int open_source(struct controller *c, const struct controller_config *cfg, char *why, size_t why_size)
{
        struct quorum_config q = cfg->quorum;

        q.dir = cfg->dir;
        q.node_id = cfg->node_id;
        q.loop = c->loop;
        q.pool = cfg->pool;
        if (!cfg->follows_only)
                return quorum_open(&q, &events, c, &c->quorum, why, why_size);
        return observer_open(&(struct observer_config){ .dir = q.dir,
                                                        .node_id = q.node_id,
                                                        .loop = q.loop,
                                                        .pool = q.pool,
                                                        .controllers = q.controllers,
                                                        .controllers_count = q.controllers_count,
                                                        .cluster_id = cfg->cluster_id,
                                                        .refused = refused },
                             &events, c, &c->observer, why, why_size);
}

struct meta_image *controller_applied(const struct controller *c)
{
        return c->quorum ? quorum_image(c->quorum) : observer_image(c->observer);
}

static int open_metadata(struct controller *c, const struct controller_config *cfg, char *why, size_t why_size)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = NULL;
        int r = open_source(c, cfg, why, why_size);

        if (r)
                return r;
        image = controller_applied(c);
        if (!controller_cluster_is_ours(c, image)) {
                snprintf(why, why_size,
                         "metadata folder %s is of cluster %.*s, but the configuration says %s; correct one of them",
                         cfg->dir, STR_FMT(image->cluster_id), c->cluster_id);
                return QUORUM_E_REFUSED;
        }
        if (!controller_can(&c->rules, image, why, why_size))
                return QUORUM_E_REFUSED;
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
                .first_user = cfg->first_user,
                .first_user_count = cfg->first_user_count,
        };
        c->status.leader_id = META_NO_NODE;
        c->random.state = random_u64();
        c->answer_mail.fn = answer_mail_arrived;
        ilist_init(&c->waiting);
        ilist_init(&c->pending);
        ilist_init(&c->forwards);
        if (!str_is_null(cfg->cluster_id)) {
                c->cluster_id = strndup(cfg->cluster_id.p, cfg->cluster_id.len);
                if (!c->cluster_id)
                        return -ENOMEM;
        }
        r = loop_new("controller", &c->loop);
        if (!r)
                r = open_metadata(c, cfg, why, why_size);
        if (r)
                return r;
        c->decided = controller_applied(c);
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
        observer_close(c->observer);
        loop_free(c->loop);
        controller_memory_fini(&c->memory);
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

struct uuid controller_directory(const struct controller *c)
{
        return c->quorum ? quorum_directory(c->quorum) : observer_directory(c->observer);
}
