/* The state machine of one partition of __consumer_offsets: all groups of consumers whose id hashes to it.
 *
 * Pure: it owns no loop, file, clock or thread. Requests, timers that are due, news of committed writes and of deleted
 * topics go in with the time; answers and records to append come out (struct coord_actions). Changes are made in memory
 * when they are asked for and count as speculative until groups_committed() names their write; an answer must not
 * leave before the write in its need_seq is committed. When a write fails the owner drops the whole machine and builds
 * it again from the log.
 *
 * It is not: the host (shard.c), and knows no Kafka error codes. Source: KIP-62, KIP-134, KIP-211, KIP-345, KIP-394,
 * KIP-447, KIP-496, KIP-518, KIP-800, KIP-814, KIP-848, KIP-932, KIP-1082 and the behaviour of Kafka 4.x. */
#pragma once

#include "base/uuid.h"
#include "conf/group_settings.h"
#include "coord/machine.h"
#include "meta/image.h"

struct groups;

struct groups_conf {
        int32_t session_timeout_min_ms;
        int32_t session_timeout_max_ms;
        int32_t initial_rebalance_delay_ms; /* a group that was empty waits so long for more members */
        int32_t new_member_join_timeout_ms; /* a first join that waits longer is given up (its client is gone) */
        uint32_t group_size_max;            /* members of one group */
        uint32_t offset_metadata_len_max;   /* UTF-16 units, as Kafka counts */
        int64_t offsets_retention_ms;
        int64_t offsets_check_interval_ms;
        size_t member_metadata_len_max;   /* bytes of all protocols of one member */
        size_t record_len_max;            /* bytes of a group's record: it must fit into a segment of the log */
        size_t memory_max;                /* bytes of this machine's state; joins and commits beyond are refused */
        uint32_t consumer_group_size_max; /* members of one consumer group (KIP-848) */
        uint32_t share_group_size_max;    /* members of one share group (KIP-932) */
        struct group_rules rules;         /* what a group is configured to do, and may be */
        bool upgrades;                    /* a classic group with members may become a consumer group */
        bool downgrades;                  /* and the other way round */
        /* The metadata as it is now, one reference: what consumer groups are assigned; and, when the log has been read, which topics are gone
         * whose offsets nobody could note as gone. NULL: all topics are there, and no consumer group is let in. */
        struct meta_image *(*image)(void *arg);
        void *image_arg;
        uint64_t hash_seed;
        struct uuid (*new_uuid)(void *arg); /* chance, for member ids */
        void *new_uuid_arg;
};

/* Kafka's defaults, our bounds. hash_seed and new_uuid are left to the owner. */
void groups_conf_init(struct groups_conf *conf);

/* @conf is copied. Return: 0 or -ENOMEM. */
int groups_new(const struct groups_conf *conf, struct groups **ret_groups);
/* Parked requests must have been taken out (groups_abort()). NULL is fine. Returns NULL. */
struct groups *groups_free(struct groups *gs);
DEFINE_FREEP(struct groups, groups_free)

/* ---- loading ---- */

/* Apply one record of the log, in order. @producer_id: whose transaction it belongs to; -1: nobody's. @value null: a tombstone. Bytes
 * are borrowed. Return: 0 (also for a record of a kind that is not ours: skipped and counted), -ENOMEM. */
int groups_replay(struct groups *gs, int64_t producer_id, struct span key, struct span value);
/* The end of the log is reached: sessions start, expiry is planned. Return: 0 or negative errno. */
int groups_loaded(struct groups *gs, struct coord_time now, struct coord_actions *acts);

/* ---- events; each fills @acts (initialised by the caller). Return: 0, or -ENOMEM: drop the machine and load again;
 *      what @acts holds then is still to be answered. ---- */

int groups_request(struct groups *gs, struct coord_request *rq, struct coord_time now, struct coord_actions *acts);
/* Answer a heartbeat at once that only says that its member lives. Return: false: ask groups_request(). See coord_machine_ops.quick. */
bool groups_quick(struct groups *gs, struct coord_request *rq, int64_t mono_ms);
/* Fire what is due; bounded work, so ask groups_next_ms() again. */
int groups_tick(struct groups *gs, struct coord_time now, struct coord_actions *acts);
int groups_topic_deleted(struct groups *gs, struct str topic, struct coord_time now, struct coord_actions *acts);
/* The end of a producer's transaction was written as acts->seq. */
int groups_marker(struct groups *gs, int64_t producer_id, bool commit, struct coord_time now,
                  struct coord_actions *acts);

/* Every write up to @seq is committed. */
void groups_committed(struct groups *gs, uint64_t seq);
/* Give every parked request back, unanswered, and every later write up. */
void groups_abort(struct groups *gs, int outcome, struct coord_actions *acts);

/* When groups_tick() has something to do (monotonic ms); INT64_MAX: nothing planned. */
int64_t groups_next_ms(const struct groups *gs);

/* Counts as they are now. */
void groups_stats(const struct groups *gs, struct coord_stats *ret);

/* The same functions as a table, for a host: machine is struct groups, arg is struct groups_conf. */
extern const struct coord_machine_ops groups_ops;
