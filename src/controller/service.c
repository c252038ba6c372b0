/* Askers on other nodes: what they send is decided here, if this node is active, and answered. Everything comes from a node that
 * has proved who it is, and speaks for itself only where it speaks for a broker. */
#include <errno.h>
#include <stdio.h>

#include "controller/host.h"
#include "controller/marshal.h"
#include "peer/peer.h"

/* One request of another node; in the peer request's memory. */
struct service_ask {
        struct controller_request rq;
        struct peer_request *from;
        struct arena mem; /* results' text: the controller's thread fills it while the reactor may use the other one */
};

static void ask_answer(struct service_ask *a)
{
        struct peer_request *from = a->from;
        int16_t version = from->version;
        struct peer_out out;
        int r = peer_out_begin(&out, marshal_answer_size(&a->rq, version), 0);

        if (!r)
                marshal_answer_write(&a->rq, &out.w, version);
        arena_fini(&a->mem);
        if (r)
                peer_refuse(from, r);
        else
                peer_answer(from, &out);
}

static void ask_done(struct controller_request *rq)
{
        ask_answer(rq->arg);
}

/* The broker that item @i speaks for; META_NO_NODE: for none. */
static int32_t speaks_for(const struct controller_request *rq, uint32_t i)
{
        switch (rq->op) {
        case CONTROLLER_ALLOCATE_IDS:
                return rq->allocate_ids[i].broker_id;
        case CONTROLLER_REGISTER_BROKER:
                return rq->register_broker[i].broker.broker_id;
        case CONTROLLER_HEARTBEAT:
                return rq->heartbeat[i].broker_id;
        case CONTROLLER_REPORT_LOSS:
                return rq->report_loss[i].broker_id;
        case CONTROLLER_ALTER_PARTITION:
                return rq->alter_partition[i].broker_id;
        default:
                return META_NO_NODE;
        }
}

static bool speaks_for_itself(struct service_ask *a)
{
        for (uint32_t i = 0; i < a->rq.items_count; i++) {
                int32_t broker = speaks_for(&a->rq, i);

                if (broker == META_NO_NODE || broker == a->from->peer->node)
                        continue;
                a->rq.result = (struct controller_result){ CONTROLLER_E_INVALID,
                                                           arena_printf(&a->mem, "Node %d cannot speak for broker %d.",
                                                                        a->from->peer->node, broker) };
                return false;
        }
        return true;
}

/* ---- connections ---- */

/* A connection over which a broker sends heartbeats: the peer request's user. */
struct service_link {
        struct controller *c;
        int32_t broker_id;
        struct mail lost_mail;
};

static void link_lost(struct loop *l, struct mail *m)
{
        struct service_link *link = container_of(m, struct service_link, lost_mail);

        controller_link_lost(link->c, link->broker_id);
        free(link);
}

static void service_closed(void *arg, const struct peer_identity *peer, void *user)
{
        struct service_link *link = user;

        if (atomic_load(&link->c->deaf)) {
                free(link);
                return;
        }
        link->lost_mail.fn = link_lost;
        loop_post(link->c->loop, &link->lost_mail);
}

/* When memory is out, the lease alone tells that the broker is gone. */
static void note_link(struct controller *c, struct peer_request *from)
{
        struct service_link *link;

        if (peer_request_user(from) || peer_request_is_gone(from))
                return;
        link = malloc(sizeof *link);
        if (!link)
                return;
        *link = (struct service_link){ .c = c, .broker_id = from->peer->node };
        peer_request_set_user(from, link);
}

/* ---- requests ---- */

static void service_asked(void *arg, struct peer_request *from)
{
        struct controller *c = arg;
        struct service_ask *a = ARENA_NEW(&from->arena, struct service_ask);
        int r = a ? marshal_ask_read(from->body, &a->rq, &from->arena, from->version) : -ENOMEM;

        if (r) {
                peer_refuse(from, r);
                return;
        }
        a->from = from;
        arena_init(&a->mem, 0);
        a->rq.mem = &a->mem;
        a->rq.arg = a;
        a->rq.here_only = true;
        a->rq.reply_loop = peer_request_loop(from);
        a->rq.done = ask_done;
        if (a->rq.op == CONTROLLER_HEARTBEAT)
                note_link(c, from);
        if (speaks_for_itself(a))
                controller_submit(c, &a->rq);
        else
                ask_answer(a);
}

int controller_serve_peers(struct controller *c, struct peer_hub *hub)
{
        struct peer_service s = {
                .key = CONTROLLER_PEER_KEY,
                .version_min = 0,
                .version_max = MARSHAL_VERSION,
                .request = service_asked,
                .closed = service_closed,
                .arg = c,
        };

        int r = c->quorum ? quorum_attach(c->quorum, hub) : 0;

        if (r)
                return r;
        c->hub = hub;
        return peer_hub_register(hub, &s);
}
