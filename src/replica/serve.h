/* The leader's end of replication: a service of the peer hub that answers followers' fetches.
 *
 * A session belongs to one connection and remembers what the follower wants, so that a request names only what changed.
 * It watches its partitions: news puts one of them on a list, and a fetch that waits is answered from that list; nobody
 * looks at partitions without news.
 *
 * Thread: sessions live on their connection's reactor. */
#pragma once

#include <stdatomic.h>

#include "peer/peer.h"
#include "replica/table.h"
#include "replica/throttle.h"
#include "sys/iopool.h"

struct serve {
        /* By the owner, before serve_register(). */
        struct partition_table *table;
        struct iopool *pool;       /* for reads that need the disk */
        struct throttle *throttle; /* of this node as a leader */
        atomic_uint sessions;      /* alive */
        atomic_uint reads;         /* for followers that mend their logs, in work */
        atomic_ullong bytes;       /* of records that were sent, since the start */
};

/* Before the hub starts. @s outlives the hub. Return: as peer_hub_register(). */
int serve_register(struct serve *s, struct peer_hub *hub);
/* After the hub's stop was reported: does anything of it still run (a read on the pool)? The hub's loops must run until
 * this says no. Any thread. */
bool serve_is_busy(struct serve *s);
