/* Replication on this node: fetches what it follows, serves who follows it, and asks the controller for changes of ISRs.
 *
 * One thread of its own does the fetching side for all leaders, the questions and the clockwork; the serving side runs on
 * the peer hub's reactors (serve.h). The owner (chronikd) tells of partitions' news and answers questions; it stops the
 * peer hub between replicator_stop() and its report. */
#pragma once

#include "peer/peer.h"
#include "replica/table.h"

struct replicator;

/* Changes of ISRs, asked for together. */
struct replica_alter_item {
        struct partition *partition; /* held */
        struct insync_ask ask;
        enum insync_outcome outcome; /* to be filled in */
};

struct replica_alter {
        struct replica_alter_item *items;
        size_t count;
        struct replicator *replicator;
        struct mail mail;
};

/* What the owner does for replication. On the replicator's thread. */
struct replica_ops {
        /* Ask the controller. Answered exactly once, now or later, from any thread, with replica_alter_answer(). */
        void (*alter)(void *arg, struct replica_alter *a);
        /* The partition's log has failed here. May be NULL. */
        void (*failed)(void *arg, struct partition *p);
        void *arg;
};

struct replicator_config {
        int32_t node_id;
        struct partition_table *table;
        struct peer_hub *hub;
        struct iopool *pool;
        struct replica_ops ops;
        /* The file of high watermarks (watermarks.h), saved every watermarks_ms (0: 5 s, as Kafka does) and at the stop; NULL: none.
         * Outlives it. */
        const char *watermarks_path;
        int64_t watermarks_ms;
        int64_t tick_ms;       /* how often lags are looked at; 0: 1 s */
        int32_t fetch_wait_ms; /* long poll of a follower; 0: 500 */
        int32_t fetch_bytes;   /* of one answer; 0: 8 MiB */
};

/* Make it, with its thread, and register its service: before the hub starts. Return: 0 or negative errno. */
int replicator_new(const struct replicator_config *cfg, struct replicator **ret_replicator);
/* Ends what runs. Then @done is called on @loop, when also the hub's stop was reported (replicator_hub_stopped()) and
 * nothing of it runs any more; until then the hub is not freed. Any thread, once. */
void replicator_stop(struct replicator *r, struct loop *loop, void (*done)(void *arg), void *arg);
/* The hub's stop was reported. Any thread. */
void replicator_hub_stopped(struct replicator *r);
/* After the stop was reported, and before the hub is freed. NULL is fine. Returns NULL. */
struct replicator *replicator_free(struct replicator *r);

/* This node has registered: its fetches carry the epoch (KIP-903). Nothing is fetched before. Any thread. */
void replicator_set_broker_epoch(struct replicator *r, int64_t epoch);
/* Every partition that this node has is in the table: from now on their high watermarks are saved. Any thread. */
void replicator_opened(struct replicator *r);
/* Bytes in a second that replicas which are not in sync copy, as leader and as follower; 0: no limit. Any thread. */
void replicator_set_rates(struct replicator *r, int64_t leader_bytes, int64_t follower_bytes);

/* For struct partition_events, with @r as the argument. Any thread. */
void replicator_role(void *r, struct partition *p);
void replicator_ask(void *r, struct partition *p);
void replicator_failed(void *r, struct partition *p);

/* The answer to ops.alter: every item's outcome is set. @a is gone afterwards. Any thread. */
void replica_alter_answer(struct replica_alter *a);

/* Sums since the start; any thread. */
struct replicator_stats {
        uint64_t bytes_fetched, bytes_served, batches_refused, fetches, truncations, restarts;
        uint64_t following, serving; /* now: partitions that are followed, followers' sessions */
};
void replicator_stats(const struct replicator *r, struct replicator_stats *ret);
