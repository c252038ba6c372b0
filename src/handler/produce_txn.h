/* Before records are appended to a transaction: does their partition take part in it? What this node's log says of itself needs no
 * asking; of the rest the transaction's coordinator is asked once for the whole request. Clients of Produce 12 and later leave it to
 * us to say that a partition takes part, of older ones it is checked that they have said so (KIP-890). Where the transaction before has
 * not quite ended, its markers are waited for, for half a second at most: clients that are told to come again do so much later. */
#pragma once

#include "coord/txn_link.h"
#include "handler/internal.h"
#include "wire/messages.h"

struct produce_txn_part {
        bool is_asked;
        struct partition_txn_guard guard;
        int16_t error; /* Kafka's, once the coordinator has answered; 0: it takes part */
};

/* Embedded in its owner. */
struct produce_txn {
        struct rq *rq;
        const struct produce_request *req;
        const int16_t *denied;               /* of each topic: not 0 where nothing will be written; may be NULL */
        void (*done)(struct produce_txn *t); /* on the reactor, later */

        struct produce_txn_part *parts;  /* in the order of the request; NULL: it is no request of a transaction */
        struct produce_txn_part **asked; /* of each item */
        struct txn_ask ask;
        struct loop_timer again; /* the transaction before is about to end */
        int64_t until_ms;
};

/* @parts_count: all partitions of the request. Return: 0: go on at once; 1: done() comes; -ENOMEM. */
int produce_txn_begin(struct produce_txn *t, size_t parts_count);
