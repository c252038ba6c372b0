/* A node as a member of its cluster: registration, the metadata that it follows from then on, heartbeats (KIP-631).
 *
 * Everything on the main loop. The node is ready at the first heartbeat that leaves the node unfenced: then every partition
 * that the metadata placed here is open. */
#include <stdio.h>

#include "chronikd/node.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/process.h"

enum { HEARTBEAT_MS = 2000, STARTING_MS = 5 };

static void on_delta(struct meta_subscriber *s, struct meta_delta *d)
{
        struct node *n = s->arg;

        led_apply(&n->led, d);
}

void member_applied(void *arg, int64_t index)
{
        struct node *n = arg;

        meta_subscriber_ack(&n->subscriber, index);
}

static void ask(struct node *n, enum controller_op op, void *item, void (*done)(struct controller_request *rq))
{
        arena_fini(&n->rq_mem);
        n->rq = (struct controller_request){
                .op = op,
                .reply_loop = n->loop,
                .done = done,
                .arg = n,
                .mem = &n->rq_mem,
                .items = item,
                .items_count = 1,
        };
        controller_submit(n->controller, &n->rq);
}

static void beat_done(struct controller_request *rq)
{
        struct node *n = rq->arg;

        if (!rq->result.outcome && !n->heartbeat.result.outcome && !n->heartbeat.fenced && !n->ready && !n->stopping) {
                n->ready = true;
                progress_end(n);
                if (n->on_ready)
                        n->on_ready(n->arg);
        }
        loop_timer_start(&n->beat, n->ready ? HEARTBEAT_MS : STARTING_MS);
}

static void on_beat(struct loop_timer *t)
{
        struct node *n = container_of(t, struct node, beat);

        if (n->stopping)
                return;
        n->heartbeat = (struct controller_heartbeat){
                .broker_id = n->led.node_id,
                .broker_epoch = n->registration.epoch,
                .applied_index = n->led.reported_index,
        };
        ask(n, CONTROLLER_HEARTBEAT, &n->heartbeat, beat_done);
}

/* What is on disk is looked at in the light of metadata that is as new as our registration. */
static int follow_metadata(struct node *n)
{
        struct meta_image *image = controller_image(n->controller);
        const char *why = "out of memory";
        int r = plog_store_bind(n->store, image->cluster_id, &why);

        meta_image_unref(image);
        if (r) {
                diag(DIAG_ERROR, "cannot open the data directory: %s", why);
                return r;
        }
        plog_store_set_clean_note(n->store, n->registration.epoch);
        progress_begin(n);
        n->subscriber = (struct meta_subscriber){ .loop = n->loop, .fn = on_delta, .arg = n, .acks = true };
        return meta_subscribe(controller_publisher(n->controller), &n->subscriber);
}

static void registered(struct controller_request *rq)
{
        struct node *n = rq->arg;
        const struct controller_result *r = rq->result.outcome ? &rq->result : &n->registration.result;

        if (n->stopping)
                return;
        if (r->outcome) {
                diag(DIAG_ERROR, "the controller refuses this node: %.*s", STR_FMT(r->message));
                process_end(1);
        }
        if (follow_metadata(n))
                process_end(1);
        on_beat(&n->beat);
}

void member_start(struct node *n)
{
        struct conf_addr advertised = conf_advertised(n->conf, n->port);

        n->endpoint = (struct rec_broker_endpoint){
                .listener = STR_LIT("PLAINTEXT"),
                .host = str_of(advertised.host),
                .port = advertised.port,
        };
        n->directory = plog_store_dir_id(n->store);
        rec_broker_init(&n->registration.broker);
        n->registration.broker.broker_id = n->led.node_id;
        n->registration.broker.incarnation = random_uuid();
        n->registration.broker.endpoints = &n->endpoint;
        n->registration.broker.endpoints_count = 1;
        n->registration.broker.directories = &n->directory;
        n->registration.broker.directories_count = 1;
        /* After a clean stop nothing that we led has changed; the controller then leaves leaders and epochs as they
         * are. */
        n->registration.previous_epoch = plog_store_clean_note(n->store);
        loop_timer_init(&n->beat, n->loop, on_beat);
        snprintf(n->kafka, sizeof n->kafka, "%s:%u", advertised.host, advertised.port);
        ask(n, CONTROLLER_REGISTER_BROKER, &n->registration, registered);
}

void member_stop(struct node *n)
{
        loop_timer_stop(&n->beat);
}
