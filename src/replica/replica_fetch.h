/* What both ends of a follower's fetch agree on, beside the schema (schema/peer_replica.wire). */
#pragma once

#include <stdint.h>

enum { REPLICA_FETCH_KEY = 10030, REPLICA_READ_KEY = 10031, REPLICA_FETCH_VERSION = 0 };

enum {
        /* Slots of one session. A node has no more partitions of one leader than this; each costs the leader about 250
         * bytes once it is named. */
        REPLICA_SLOTS_MAX = 1 << 17,
        REPLICA_FETCHERS_MAX = 16, /* of one connection: a node has a few threads that fetch */
};

enum replica_fetch_error {
        REPLICA_FETCH_OK,
        REPLICA_FETCH_E_SESSION,       /* of the whole: no such session, or a message is missing: name all anew */
        REPLICA_FETCH_E_UNKNOWN,       /* the leader has no such partition (yet) */
        REPLICA_FETCH_E_NOT_LEADER,    /* it does not lead it (yet, or any more) */
        REPLICA_FETCH_E_FENCED_EPOCH,  /* the follower's leader epoch is over */
        REPLICA_FETCH_E_UNKNOWN_EPOCH, /* the leader does not know of that epoch yet */
        REPLICA_FETCH_E_NOT_REPLICA,   /* the follower is none, or registered anew since */
        REPLICA_FETCH_E_OUT_OF_RANGE,  /* the follower's log ends before the leader's start, or behind its end */
        REPLICA_FETCH_E_LOG,           /* the leader cannot read its log there */
};
