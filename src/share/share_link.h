/* The state of share groups, asked of a group's coordinator wherever it is: on this node without a connection, else on the node that leads the
 * group's partition of __consumer_offsets. Uses what transactions have for that (coord/txn_link.h): its life is theirs.
 * Any thread, unless it says otherwise. */
#pragma once

#include "coord/txn_link.h"

/* Embedded in its owner, who fills in @read or @write (coord_request_init() with COORD_SHARE_READ or COORD_SHARE_WRITE, its input, reply_loop, done)
 * and keeps it, and all that its input points to, until done(). */
struct share_call {
        union {
                struct coord_request rq;
                struct coord_share_read read;
                struct coord_share_write write;
        };
        struct txn_link *link;
        struct peer_call call;
        struct mail mail;
};

/* Serve other nodes; without a hub nothing. Before the hub starts. Return: as peer_hub_register(). */
int share_link_register(struct txn_link *l);

/* Answered once, on the reply loop, perhaps at once. COORD_E_NOT_AVAILABLE: the coordinator cannot be reached. */
void share_link_ask(struct txn_link *l, struct share_call *c);
