/* (Not features.h, which would hide the system's.)
 * What this program can do that all nodes of a cluster must be able to do before one does it (KIP-584). */
#pragma once

#include "controller/decide.h"
#include "peer/peer.h"

/* chronik.version: formats of the metadata and messages between nodes. A level stands for everything that was added with it; nodes
 * write and send what belongs to a level only once it is finalised, so that a cluster can be upgraded node by node: first every
 * program, then the level (`kafka-features.sh upgrade --feature chronik.version=N`). 1: what came first. 2: the records of rules of
 * access, credentials and delegation tokens; a program of level 1 cannot read them, so going down below 2 is unsafe.
 *
 * group.version: Kafka's. With 1 groups whose members the coordinator assigns to are let in (KIP-848), and their records written.
 *
 * share.version: likewise, of share groups (KIP-932).
 *
 * transaction.version: Kafka's, for clients alone. With 2 they use transactions version 2 (KIP-890); below they add partitions themselves,
 * which is served at any level. */
extern const struct controller_feature levels_known[];
extern const size_t levels_count;

enum { LEVELS_MAX = PEER_LEVELS_MAX };

/* For a broker's registration. @ret has room for LEVELS_MAX; text is static. Return: how many. */
int32_t levels_ranges(struct rec_broker_feature ret[LEVELS_MAX]);
/* The same for the hello between nodes. */
unsigned levels_said(struct peer_level ret[LEVELS_MAX]);
