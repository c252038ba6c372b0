/* See audit.h. */
#include "handler/audit.h"

#include <errno.h>
#include <stdio.h>

#include "handler/client_conn.h"
#include "handler/internal.h"
#include "security/principal.h"

enum { DOOR_MS = 10, WHO_SIZE = PRINCIPAL_TYPE_LEN_MAX + PRINCIPAL_NAME_LEN_MAX + 2 };

static const struct audit_sink *sink_of(const struct rq *rq)
{
        return rq->h->deps.audit;
}

/* ---- entries ---- */

static void describe_connection(const struct net_conn *c, struct audit_entry *e)
{
        e->host = str_of(net_conn_peer_host(c));
        e->listener = str_of(net_conn_listener(c));
}

/* What is known of a request; @who holds the text of its principal. */
static struct audit_entry entry_of(const struct rq *rq, enum audit_kind kind, char who[WHO_SIZE])
{
        struct audit_entry e = {
                .kind = kind,
                .time_ms = clock_wall_ms(),
                .node = sink_of(rq)->node,
                .api = rq->api ? str_of(rq->api->name) : STR_NULL,
                .has_correlation_id = true,
                .correlation_id = rq->correlation_id,
                .client_id = rq->client_id,
        };

        describe_connection(rq->net.conn, &e);
        if (rq->principal) {
                int n = snprintf(who, WHO_SIZE, "%.*s:%.*s", STR_FMT(rq->principal->type),
                                 STR_FMT(rq->principal->name));

                e.principal = (struct str){ who, (size_t)n };
        }
        return e;
}

static void name_user(struct audit_entry *e, struct str user, char who[WHO_SIZE])
{
        if (user.p)
                e->principal = (struct str){ who, MIN2((size_t)snprintf(who, WHO_SIZE, "User:%.*s", STR_FMT(user)),
                                                       (size_t)WHO_SIZE - 1) };
}

static void put_decision(const struct rq *rq, enum audit_kind kind, enum acl_operation operation,
                         enum acl_resource type, struct str name)
{
        char who[WHO_SIZE];
        struct audit_entry e = entry_of(rq, kind, who);

        e.operation = str_of(acl_operation_name(operation));
        e.resource = str_of(acl_resource_name(type));
        e.name = name;
        sink_of(rq)->put(sink_of(rq)->arg, &e);
}

void audit_denied(const struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name)
{
        if (sink_of(rq))
                put_decision(rq, AUDIT_DENIED, operation, type, name);
}

/* What goes with producing and consuming, which many clients do all the time. */
static bool is_of_data(enum acl_operation operation)
{
        return operation == ACL_READ || operation == ACL_WRITE || operation == ACL_DESCRIBE ||
               operation == ACL_DESCRIBE_CONFIGS || operation == ACL_IDEMPOTENT_WRITE;
}

void audit_granted(const struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name)
{
        const struct audit_sink *s = sink_of(rq);

        if (s && (s->grants_all || (s->grants_admin && !is_of_data(operation))))
                put_decision(rq, AUDIT_GRANTED, operation, type, name);
}

void audit_login(const struct rq *rq, struct str user, struct str mechanism, struct str why)
{
        struct audit_entry e;
        char who[WHO_SIZE];

        if (!sink_of(rq))
                return;
        e = entry_of(rq, why.p ? AUDIT_LOGIN_FAILED : AUDIT_LOGIN, who);
        name_user(&e, user, who);
        e.operation = mechanism;
        e.outcome = why;
        sink_of(rq)->put(sink_of(rq)->arg, &e);
}

void audit_certificate(const struct handler *h, const struct net_conn *c, struct str user, struct str why)
{
        const struct audit_sink *s = h->deps.audit;
        struct audit_entry e;
        char who[WHO_SIZE];

        if (!s)
                return;
        e = (struct audit_entry){ .kind = why.p ? AUDIT_LOGIN_FAILED : AUDIT_LOGIN,
                                  .time_ms = clock_wall_ms(),
                                  .node = s->node,
                                  .operation = STR_LIT("SSL"),
                                  .outcome = why };
        describe_connection(c, &e);
        name_user(&e, user, who);
        s->put(s->arg, &e);
}

void audit_done(const struct rq *rq, struct str operation, struct str resource, struct str name, int16_t error)
{
        struct audit_entry e;
        char who[WHO_SIZE];

        if (!sink_of(rq))
                return;
        e = entry_of(rq, AUDIT_CHANGE, who);
        e.operation = operation;
        e.resource = resource;
        e.name = name;
        e.outcome = error ? str_of(wire_error_name(error)) : STR_LIT("done");
        sink_of(rq)->put(sink_of(rq)->arg, &e);
}

void audit_change_end_rq(struct audit_change *c, const struct rq *rq, const struct controller_request *crq)
{
        const struct meta_image *image = handler_image_peek(rq->h, net_conn_reactor(rq->net.conn));
        struct audit_entry e;
        char who[WHO_SIZE];

        if (!c->is_recorded)
                return;
        e = entry_of(rq, AUDIT_CHANGE, who);
        audit_change_end(c, sink_of(rq), image ? image : rq->image, crq, &e);
}

/* ---- the door ---- */

/* Of one reactor. */
struct audit_door {
        struct ilist waiting;
        struct loop_timer timer;
        bool is_made;
} __attribute__((aligned(64)));

/* In the request's arena. */
struct door_place {
        struct ilist link;
        struct rq *rq;
        void (*admit)(struct rq *rq);
};

static void on_door(struct loop_timer *t)
{
        struct audit_door *d = container_of(t, struct audit_door, timer);

        while (!ilist_is_empty(&d->waiting)) {
                struct door_place *p = container_of(d->waiting.next, struct door_place, link);
                const struct audit_sink *s = sink_of(p->rq);
                bool is_full = s->is_full(s->arg);

                if (net_conn_is_gone(p->rq->net.conn)) {
                        ilist_unlink(&p->link);
                        rq_reply_none(p->rq);
                } else if (is_full && atomic_load(&p->rq->h->stopping)) {
                        ilist_unlink(&p->link);
                        rq_close(p->rq, "the audit log takes nothing more, and the node stops");
                } else if (is_full) {
                        loop_timer_start(t, DOOR_MS);
                        return;
                } else {
                        ilist_unlink(&p->link);
                        p->admit(p->rq);
                }
        }
}

bool audit_must_wait(struct rq *rq, void (*admit)(struct rq *rq))
{
        const struct audit_sink *s = sink_of(rq);
        struct audit_door *d;
        struct door_place *p;

        if (likely(!s))
                return false;
        d = &rq->h->audit_doors[net_conn_reactor(rq->net.conn)];
        if (ilist_is_empty(&d->waiting) && !s->is_full(s->arg))
                return false;
        p = ARENA_NEW(&rq->arena, struct door_place);
        if (!p) {
                rq_close_nomem(rq);
                return true;
        }
        *p = (struct door_place){ .rq = rq, .admit = admit };
        ilist_push_back(&d->waiting, &p->link);
        if (!d->is_made)
                loop_timer_init(&d->timer, rq_loop(rq), on_door);
        d->is_made = true;
        if (!loop_timer_is_active(&d->timer))
                loop_timer_start(&d->timer, DOOR_MS);
        return true;
}

int audit_doors_init(struct handler *h, unsigned reactors_count)
{
        if (!h->deps.audit)
                return 0;
        if (posix_memalign((void **)&h->audit_doors, 64, reactors_count * sizeof *h->audit_doors)) {
                h->audit_doors = NULL;
                return -ENOMEM;
        }
        for (unsigned i = 0; i < reactors_count; i++) {
                h->audit_doors[i] = (struct audit_door){ .is_made = false };
                ilist_init(&h->audit_doors[i].waiting);
        }
        return 0;
}

void audit_doors_fini(struct handler *h)
{
        free(h->audit_doors);
}
