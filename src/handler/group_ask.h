/* Asking a coordinator from a handler, and what its outcomes are called in the protocol. */
#pragma once

#include "coord/coord.h"
#include "coord/txn_link.h"
#include "handler/internal.h"

/* Kafka's code for an outcome of the coordinator (or a negative errno). */
int16_t error_of_coord(int outcome);

/* Submit @crq, whose inputs are set; @done runs on this request's reactor. The frame's bytes, which the inputs borrow,
 * stay until the answer. */
void group_ask(struct rq *rq, struct coord_request *crq, void (*done)(struct coord_request *crq));

/* The same for the coordinator of transactions on this node. */
void txn_ask_here(struct rq *rq, struct coord_request *crq, void (*done)(struct coord_request *crq));

/* Answer with *@msg, which may borrow from @crq's answer; both go afterwards. */
#define GROUP_REPLY(rq, type, msg, crq) \
        do { \
                struct arena answer_ = (crq)->arena; /* @crq itself lies in the request's arena */ \
                RQ_REPLY(rq, type, msg); \
                arena_fini(&answer_); \
        } while (0)
