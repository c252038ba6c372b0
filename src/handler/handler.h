/* The Kafka protocol on top of the node: one file per API (or family), each a function from decoded request to answer.
 * Together with wire/ the only place that knows Kafka's error codes. */
#pragma once

#include "base/strbuf.h"
#include "conf/conf.h"
#include "net/server.h"
#include "sys/iopool.h"

struct handler;
struct controller;
struct coord;
struct txn_link;
struct partition_table;
struct shares;
struct jwks_slot;
struct mapping;
struct plog_store;
struct audit_sink;

struct handler_deps {
        const struct conf *conf;
        struct controller *controller;
        struct coord *coord, *txns; /* of groups, of transactions */
        struct txn_link *txn_link;
        struct shares *shares;
        struct partition_table *partitions;
        struct plog_store *store;
        struct iopool *pool;
        const struct audit_sink *audit;   /* NULL: nothing is recorded */
        struct mapping *const *mappings;  /* of subjects of certificates, one for each of conf->listeners */
        struct jwks_slot *const *jwks;    /* of OAUTHBEARER, likewise; NULL where that is not used */
        struct token_ring *token_secrets; /* of delegation tokens */
        int32_t node_id;
        unsigned reactors_count; /* of the net server that will carry the requests */
};

/* Everything in @deps stays the caller's and must outlive the handler. Return: 0 or negative errno. */
int handler_new(const struct handler_deps *deps, struct handler **ret_handler);
/* No request may be in work any more. NULL is fine. Returns NULL. */
struct handler *handler_free(struct handler *h);

/* The node stops: fetches that wait for data are answered with what there is, now and from now on. Any thread. */
void handler_drain(struct handler *h);

/* The coordinators live on the reactors, so they come after them: set once, before anything listens. */
void handler_set_coord(struct handler *h, struct coord *groups, struct coord *txns, struct txn_link *link);

/* Likewise, of share groups. */
void handler_set_shares(struct handler *h, struct shares *shares);

/* The metadata is followed on the reactors (reactors_count loops) from now on: once, before anything listens. Until
 * handler_stop() an answered change waits for the reactors to have it. Return: 0 or negative errno. */
int handler_start(struct handler *h, struct loop *const *reactors);
/* After the net server has stopped and while its loops still run; @stopped is called on @reply_loop. */
void handler_stop(struct handler *h, struct loop *reply_loop, void (*stopped)(void *arg), void *arg);

/* Add the protocol's metrics: requests, errors, latencies, records. Any thread. */
void handler_expose(struct handler *h, struct strbuf *out);

/* For struct net_ops: requests come in here. */
struct net_ops handler_net_ops(void);
