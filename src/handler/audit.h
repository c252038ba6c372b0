/* What clients do that is to be recorded: who they are, what they may not and may, what they change. The log is written elsewhere
 * (chronikd/audit.h); without one nothing here costs more than a comparison.
 *
 * When there is no room for entries and none may be lost (audit.on_full block), requests wait at the door before anything is done for them,
 * in the order in which they came; those that are in work end, so that what waits in memory is bounded by the queue and what they make. */
#pragma once

#include "controller/request.h"
#include "handler/rq.h"
#include "security/acl.h"
#include "security/audit_entry.h"

struct meta_image;
struct handler;

/* Where entries go. Both functions: any thread. */
struct audit_sink {
        void (*put)(void *arg, const struct audit_entry *e); /* copies it */
        bool (*is_full)(void *arg);                          /* and nothing may be lost */
        void *arg;
        int32_t node;
        bool grants_admin, grants_all; /* which grants are recorded; the latter are all */
};

/* ---- of requests; on their reactor ---- */

void audit_denied(const struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name);
void audit_granted(const struct rq *rq, enum acl_operation operation, enum acl_resource type, struct str name);
/* A client said who it is, by @mechanism. @why: not null when it is not believed. @user: null when it is not known. */
void audit_login(const struct rq *rq, struct str user, struct str mechanism, struct str why);
/* The same by its certificate. */
void audit_certificate(const struct handler *h, const struct net_conn *c, struct str user, struct str why);
/* Something that is no request of the controller's: @operation of @name was done, or not: the client gets the code @error. */
void audit_done(const struct rq *rq, struct str operation, struct str resource, struct str name, int16_t error);

/* Must @rq wait? Then audit_door calls @admit with it when there is room, or it has ended otherwise. */
bool audit_must_wait(struct rq *rq, void (*admit)(struct rq *rq));
/* For handler_new() and handler_free(). Return: 0; -ENOMEM. */
int audit_doors_init(struct handler *h, unsigned reactors_count);
void audit_doors_fini(struct handler *h);

/* ---- changes that the controller makes (audit_change.c); also for who asks it without a client ---- */

/* What was there before. */
struct audit_change {
        struct strbuf before; /* a JSON value of each item, each ended by a NUL */
        bool is_recorded;     /* the request is one that changes something for an operator */
};
/* Before the request is submitted. NULL for @sink is fine. */
void audit_change_begin(struct audit_change *c, const struct audit_sink *sink, const struct meta_image *image,
                        const struct controller_request *rq);
/* After it was answered, once: an entry for each item, with what @who says of the asker. */
void audit_change_end(struct audit_change *c, const struct audit_sink *sink, const struct meta_image *image,
                      const struct controller_request *rq, const struct audit_entry *who);
/* The same of a client's request. */
void audit_change_end_rq(struct audit_change *c, const struct rq *rq, const struct controller_request *crq);
