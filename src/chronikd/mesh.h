/* The other nodes of the cluster: the hub that speaks with them, and where it finds them. A controller of the configuration is
 * found where that says until the metadata says otherwise; brokers are where they registered. On the main loop. */
#pragma once

#include "chronikd/lookout.h"
#include "conf/address.h"
#include "conf/conf.h"
#include "meta/publish.h"
#include "peer/peer.h"
#include "quorum/quorum.h"

#define MESH_LISTENER "PEER" /* name of the brokers' endpoints that nodes, not clients, connect to */

struct mesh {
        struct peer_hub *hub; /* NULL: this node is alone */
        struct tls_slot *tls; /* NULL: plaintext */
        const struct conf *conf;
        struct iopool *pool;
        uint16_t port;
        bool follows;
        struct meta_subscriber subscriber;
        struct mail stopped_mail;
        void (*stopped)(void *arg);
        void *arg;

        /* mesh_tls.c: the job's while it runs */
        struct lookout lookout;
        int64_t tls_seen, tls_end_ms, tls_warned_ms;
};

/* Make the hub, unless the configuration leaves this node alone. Blocks (reads certificates).
 * @directory  identity of the folder that makes this node what it is.
 * Return: 0, or 1 after saying why not. */
int mesh_open(struct mesh *m, const struct conf *conf, struct uuid directory, struct iopool *pool);
/* Listen, and find the others: when every service is registered. Return: 0, or 1 after saying why not. */
int mesh_start(struct mesh *m, struct loop *loop, struct meta_publisher *metadata);
struct mesh_controllers {
        struct quorum_controller at[CONF_CONTROLLERS_MAX];
        char texts[CONF_CONTROLLERS_MAX][PEER_ADDRESS_SIZE];
        char advertised[PEER_ADDRESS_SIZE]; /* of this node */
        size_t count;
};
/* The controllers that the configuration names, as quorum/ wants them; @ret stays where it is while they are used. */
void mesh_controllers(const struct conf *conf, struct mesh_controllers *ret);
/* No calls and no requests any more; @stopped on @loop, also when there is no hub. */
void mesh_stop(struct mesh *m, struct loop *loop, void (*stopped)(void *arg), void *arg);
/* After the loops that use it have ended. */
void mesh_close(struct mesh *m);

/* ---- mesh_tls.c ---- */

/* Load and check the certificate, unless nodes speak in plaintext. Return: 0, or 1 after saying why not. */
int mesh_tls_open(struct mesh *m);
/* From now on changed files are taken up, until m->lookout is stopped. */
void mesh_tls_start(struct mesh *m, struct loop *loop);
