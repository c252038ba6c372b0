/* Registration, heartbeats and leaving: see member.h. The node is ready at the first heartbeat that leaves it unfenced: then
 * every partition that the metadata placed here is open, and clients are let in. */
#include "chronikd/member.h"

#include <stdio.h>

#include "chronikd/node.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/process.h"

enum {
        ALONE_HEARTBEAT_MS = 2000, /* nobody waits for a node alone to be given up */
        STARTING_MS = 5,           /* between heartbeats until it serves */
        AGAIN_MS = 100,            /* between registrations that came to nothing */
        LEAVING_MS = 50,           /* between heartbeats while leadership moves away */
        LEAVE_MS = 15000,          /* for that */
        LEAVE_UNHEARD_MAX =
                2, /* heartbeats, each tried for a session's time: all stop together, and the controllers are gone */
};

static bool is_alone(const struct member *m)
{
        return !m->n->mesh.hub;
}

static void on_delta(struct meta_subscriber *s, struct meta_delta *d)
{
        struct node *n = s->arg;

        led_apply(&n->led, d);
        changes_count(&n->changes, d);
}

void member_applied(void *arg, int64_t index)
{
        struct node *n = arg;

        meta_subscriber_ack(&n->member.subscriber, index);
}

static void ask(struct member *m, enum controller_op op, void *items, uint32_t count,
                void (*done)(struct controller_request *rq))
{
        const struct conf *c = m->n->conf;

        m->rq = (struct controller_request){
                .op = op,
                .reply_loop = m->n->loop,
                .done = done,
                .arg = m,
                .mem = &m->mem,
                .items = items,
                .items_count = count,
                .timeout_ms = c->cluster.session_timeout_ms,
                .wait_applied = op == CONTROLLER_REGISTER_BROKER, /* what is on disk is judged by metadata so new */
        };
        m->is_asking = true;
        controller_submit(m->n->controller, &m->rq);
}

/* ---- heartbeats ---- */

static void leave_end(struct member *m)
{
        void (*left)(void *arg) = TAKE_PTR(m->left);

        member_stop(m);
        if (left)
                left(m->arg);
}

static void beat_done(struct controller_request *rq);

static void beat(struct member *m)
{
        m->asked_ms = clock_mono_ms();
        m->heartbeat = (struct controller_heartbeat){
                .broker_id = m->n->led.node_id,
                .broker_epoch = m->registration.epoch,
                .applied_index = m->n->led.reported_index,
                .want_shutdown = m->state == MEMBER_LEAVING,
        };
        ask(m, CONTROLLER_HEARTBEAT, &m->heartbeat, 1, beat_done);
}

static int64_t beat_interval_ms(const struct member *m)
{
        if (!m->n->ready)
                return STARTING_MS;
        if (m->state == MEMBER_LEAVING)
                return LEAVING_MS;
        return is_alone(m) ? ALONE_HEARTBEAT_MS : m->n->conf->cluster.heartbeat_interval_ms;
}

static void register_again(struct member *m);

/* Clients are let in when what they are told has this node among the brokers, and as the leader of what it leads; so does Kafka. A
 * client that is told of no broker at all forgets those it knew: librdkafka may then wait for ever. An observer's image can be older
 * than the controller's answer. */
static bool is_told_live(const struct node *n)
{
        struct meta_image *image = controller_image(n->controller);
        bool live = meta_image_broker_is_live(image, n->led.node_id);

        meta_image_unref(image);
        return live;
}

static void beat_answered(struct member *m)
{
        struct node *n = m->n;

        if (m->heartbeat.result.outcome == CONTROLLER_E_BROKER_UNKNOWN) {
                diag_about(DIAG_ERROR, DIAG_ABOUT(NODE_REMOVED),
                           "this node was removed from the cluster and takes no part in it any more: stop it, or start "
                           "it again to have it join anew");
                n->ready = false;
                member_stop(m);
                return;
        }
        if (m->heartbeat.result.outcome) { /* another process took our place while we were not heard of */
                diag(DIAG_WARN, "the controller does not know this node's registration any more: %.*s",
                     STR_FMT(m->heartbeat.result.message));
                register_again(m);
                return;
        }
        atomic_store(&n->replication.lease_until_ms,
                     m->heartbeat.fenced ? 0 : m->asked_ms + n->conf->cluster.session_timeout_ms);
        if (m->heartbeat.fenced)
                return;
        if (!n->ready && is_told_live(n)) {
                n->ready = true;
                progress_end(n);
                net_server_admit(n->net);
                if (n->on_ready)
                        n->on_ready(n->arg);
        }
}

/* Nothing is left to be moved away, or nobody is there who could have it moved. */
static bool may_leave(struct member *m)
{
        if (m->rq.result.outcome)
                m->unheard++;
        else if (m->heartbeat.should_shutdown || m->heartbeat.result.outcome)
                return true;
        return m->unheard >= LEAVE_UNHEARD_MAX || loop_now_ms(m->n->loop) >= m->leave_ms;
}

static void beat_done(struct controller_request *rq)
{
        struct member *m = rq->arg;

        m->is_asking = false;
        if (m->state == MEMBER_LEAVING && may_leave(m)) {
                leave_end(m);
                return;
        }
        if (m->state == MEMBER_SERVING && !rq->result.outcome)
                beat_answered(m);
        if (m->state == MEMBER_SERVING || m->state == MEMBER_LEAVING)
                loop_timer_start(&m->timer, beat_interval_ms(m));
}

/* ---- registration ---- */

/* What is on disk is looked at in the light of metadata that is as new as our registration. */
static int follow_metadata(struct member *m)
{
        struct node *n = m->n;
        struct meta_image *image = controller_image(n->controller);
        const char *why = "out of memory";
        int r = plog_store_bind(n->store, image->cluster_id, &why);

        meta_image_unref(image);
        if (r) {
                diag(DIAG_ERROR, "cannot open the data directory: %s", why);
                return r;
        }
        progress_begin(n);
        m->subscriber = (struct meta_subscriber){ .loop = n->loop, .fn = on_delta, .arg = n, .acks = true };
        m->follows = true;
        return meta_subscribe(controller_publisher(n->controller), &m->subscriber);
}

/* Another process with our id may just have been killed: its lease ends soon. */
static bool is_worth_waiting(struct member *m, enum controller_outcome outcome)
{
        int64_t now_ms = loop_now_ms(m->n->loop);

        if (outcome != CONTROLLER_E_BROKER_DUPLICATE)
                return false;
        if (!m->refused_ms)
                m->refused_ms = now_ms;
        return now_ms - m->refused_ms < 3 * m->n->conf->cluster.session_timeout_ms;
}

static void registered(struct controller_request *rq)
{
        struct member *m = rq->arg;
        const struct controller_result *r = &m->registration.result;

        m->is_asking = false;
        if (m->state == MEMBER_LEAVING) {
                leave_end(m);
                return;
        }
        if (m->state != MEMBER_REGISTERING)
                return;
        if (rq->result.outcome || is_worth_waiting(m, r->outcome)) {
                loop_timer_start(&m->timer, AGAIN_MS);
                return;
        }
        if (r->outcome) {
                diag(DIAG_ERROR, "the controller refuses this node: %.*s", STR_FMT(r->message));
                process_end(1);
        }
        m->refused_ms = 0;
        m->losses_told = false;
        plog_store_set_clean_note(m->n->store, m->registration.epoch);
        replication_registered(&m->n->replication, m->registration.epoch);
        if (!m->follows && follow_metadata(m))
                process_end(1);
        m->state = MEMBER_SERVING;
        loop_timer_start(&m->timer, 0);
}

static void losses_told(struct controller_request *rq)
{
        struct member *m = rq->arg;

        m->is_asking = false;
        m->losses_told = !rq->result.outcome;
        if (m->state == MEMBER_LEAVING || m->state == MEMBER_SERVING)
                loop_timer_start(&m->timer, m->losses_told ? 0 : AGAIN_MS);
}

/* Everything is open now, and this node is about to count as live again: first the controller learns which of its replicas may
 * miss what was acknowledged. Return: it was asked. */
static bool tell_losses(struct member *m)
{
        struct controller_report_loss *items;
        uint32_t count;

        if (is_alone(m) || m->losses_told || m->n->led.reported_index < m->registration.epoch)
                return false;
        if (replication_losses(&m->n->replication, &m->mem, &items, &count)) {
                loop_timer_start(&m->timer, AGAIN_MS); /* without memory it stays fenced */
                return true;
        }
        m->losses_told = !count;
        if (count)
                ask(m, CONTROLLER_REPORT_LOSS, items, count, losses_told);
        return count > 0;
}

static void on_timer(struct loop_timer *t)
{
        struct member *m = container_of(t, struct member, timer);

        if (m->state == MEMBER_REGISTERING) {
                arena_fini(&m->mem);
                ask(m, CONTROLLER_REGISTER_BROKER, &m->registration, 1, registered);
        } else if (m->state == MEMBER_SERVING || m->state == MEMBER_LEAVING) {
                arena_fini(&m->mem);
                if (!tell_losses(m))
                        beat(m);
        }
}

/* The process goes on as it is, so nothing was lost; but that is only known of what the last registration covered. */
static void register_again(struct member *m)
{
        m->state = MEMBER_REGISTERING;
        m->registration.broker.incarnation = random_uuid();
        m->registration.previous_epoch = m->registration.epoch;
        loop_timer_start(&m->timer, AGAIN_MS);
}

static void describe(struct member *m)
{
        struct node *n = m->n;
        struct rec_broker *b = &m->registration.broker;
        const struct conf *c = n->conf;

        b->endpoints_count = 0;
        for (unsigned i = 0; i < c->listeners_count; i++) {
                struct conf_addr at = conf_advertised(c, &c->listeners[i], n->listeners.at[i].port);

                m->endpoints[b->endpoints_count++] =
                        (struct rec_broker_endpoint){ .listener = str_of(c->listeners[i].name),
                                                      .host = str_of(at.host),
                                                      .port = at.port,
                                                      .security = (int16_t)c->listeners[i].protocol };
        }
        if (!is_alone(m)) {
                struct conf_addr peers = conf_cluster_advertised(n->conf, n->mesh.port);

                m->endpoints[b->endpoints_count++] =
                        (struct rec_broker_endpoint){ .listener = STR_LIT(MESH_LISTENER),
                                                      .host = str_of(peers.host),
                                                      .port = peers.port,
                                                      .security = (int16_t)!n->conf->cluster.plaintext };
        }
        m->directory = plog_store_dir_id(n->store);
        b->broker_id = n->led.node_id;
        b->incarnation = random_uuid();
        b->rack = n->conf->server.rack[0] ? str_of(n->conf->server.rack) : STR_NULL;
        b->endpoints = m->endpoints;
        b->features = m->features;
        b->features_count = levels_ranges(m->features);
        b->directories = &m->directory;
        b->directories_count = 1;
        node_format_address(conf_advertised(c, &c->listeners[0], n->listeners.at[0].port), n->kafka, sizeof n->kafka);
}

void member_start(struct member *m, struct node *n)
{
        m->n = n;
        m->state = MEMBER_REGISTERING;
        rec_broker_init(&m->registration.broker);
        describe(m);
        /* After a clean stop nothing that we led has changed; the controller then leaves leaders and epochs as they are. */
        m->registration.previous_epoch = plog_store_clean_note(n->store);
        loop_timer_init(&m->timer, n->loop, on_timer);
        loop_timer_start(&m->timer, 0);
}

/* ---- leaving ---- */

void member_leave(struct member *m, void (*left)(void *arg), void *arg)
{
        bool was_serving = m->state == MEMBER_SERVING;

        m->left = left;
        m->arg = arg;
        if (!was_serving || is_alone(m) || !m->n->ready) {
                leave_end(m);
                return;
        }
        m->state = MEMBER_LEAVING;
        m->leave_ms = loop_now_ms(m->n->loop) + LEAVE_MS;
        if (!m->is_asking)
                loop_timer_start(&m->timer, 0);
}

void member_stop(struct member *m)
{
        m->state = MEMBER_LEFT;
        if (m->n)
                loop_timer_stop(&m->timer);
}

void member_fini(struct member *m)
{
        arena_fini(&m->mem);
}
