/* Asking the controller from a handler: one request with items, answered on the reactor. */
#pragma once

#include "controller/controller.h"
#include "handler/authorize.h"
#include "handler/internal.h"

/* Kafka's code for what the controller says. */
int16_t error_of_controller(enum controller_outcome outcome);

/* An ask: embedded in a handler's operation in the request's arena. */
struct ask {
        struct controller_request rq;
        struct audit_change change;
        struct rq *asker;
        void (*done)(struct controller_request *crq);
        struct arena mem; /* for the results' text; ended by ask_fini() */
};

/* Submit @op over @items; @done runs on the request's reactor and finds the ask by container_of(). */
void ask_submit(struct rq *rq, struct ask *a, enum controller_op op, void *items, uint32_t count, bool validate_only,
                void (*done)(struct controller_request *crq));
/* Before anything is submitted: when the client may not do @operation with the cluster, @a's request has ended as a whole with
 * CONTROLLER_E_DENIED, and the caller calls what would take its answer. */
bool ask_refused(struct rq *rq, struct ask *a, enum acl_operation operation);
void ask_fini(struct ask *a);
/* The result that counts for one item: that of the whole request when it failed as a whole. */
const struct controller_result *ask_result(const struct ask *a, const struct controller_result *item);
