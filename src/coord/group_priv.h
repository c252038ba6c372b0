/* One group as the files of this state machine see it. Nobody else includes this.
 *
 * Invariants
 *  1. joined members are in `members` in order of joining, and in `by_id`; a pending member (told its id, not back yet)
 *     is in `by_id` only.
 *  2. `joining_count` members have await_join set, `pending_sync_count` have pending_sync set.
 *  3. `leader` is a joined member; NULL exactly when there is none.
 *  4. a parked request is in exactly one await_ field; it leaves it when it is answered. */
#pragma once

#include "coord/groups.h"
#include "coord/map.h"
#include "coord/timer.h"

/* Longest text that the records of __consumer_offsets can hold, less what a member id adds to a client id. */
enum { TEXT_LEN_MAX = 32767, MEMBER_ID_SUFFIX_LEN = 37, CLIENT_LEN_MAX = TEXT_LEN_MAX - MEMBER_ID_SUFFIX_LEN };
enum { PROTOCOLS_MAX = 100 };

struct group_member {
        struct map_node by_id, by_instance;
        struct ilist link;
        struct group *group;
        struct timer session;
        struct str id, instance_id, client_id, client_host; /* each allocated for itself */
        int32_t session_timeout_ms, rebalance_timeout_ms;
        struct coord_protocol *protocols; /* one allocation with names and metadata */
        int32_t protocols_count;
        struct span assignment; /* allocated */
        struct coord_join *await_join;
        struct coord_sync *await_sync;
        bool pending;      /* has only its id so far (KIP-394) */
        bool is_new;       /* has not been answered its first join */
        bool pending_sync; /* has not asked for the assignment of this generation */
        size_t memory;     /* charged to the machine */
};

struct group_protocol {
        struct str name;        /* allocated */
        unsigned members_count; /* that have it */
        unsigned votes;         /* of the last group_select_protocol() */
};

/* What was committed for a partition, newest first. A version whose write is not committed yet is not shown; the ones
 * behind the newest committed version are dropped. */
struct offset_version {
        struct offset_version *older;
        uint64_t seq;
        uint64_t order; /* of its record among all of the log: the later one counts */
        bool removed;
        bool of_txn; /* it came with a marker */
        int64_t offset;
        int64_t commit_ms;
        int64_t expire_ms; /* -1: by the node's retention */
        int32_t leader_epoch;
        uint32_t metadata_len;
        char metadata[];
};

struct group_offset {
        struct group_topic *topic;
        struct ilist doomed; /* groups.doomed while the newest version is a removal */
        int32_t partition;
        struct offset_version *newest; /* NULL: there is none yet, but staged ones */
        struct ilist staged;           /* struct staged_offset.of_offset */
};

/* What a transaction that is open would commit. */
struct staged_offset {
        struct ilist of_offset, of_txn;
        struct group_offset *offset;
        struct groups_txn *txn;
        struct offset_version *version;
};

/* A producer that has staged something. */
struct groups_txn {
        struct map_node node;
        int64_t producer_id;
        struct ilist staged; /* struct staged_offset.of_txn, in order */
};

struct group_topic {
        struct map_node node;
        struct ilist link;
        struct group *group;
        struct str name;               /* allocated */
        struct group_offset **offsets; /* by partition */
        size_t offsets_count, offsets_size;
};

struct consumer;

struct group {
        struct map_node node;
        struct ilist link; /* groups.all */
        struct ilist dead; /* groups.dead */
        struct groups *owner;
        struct str id;
        enum coord_group_state state, prev_state;
        int64_t state_since_ms; /* wall clock; -1 unknown (old records) */
        int32_t generation;
        struct consumer *
                consumer; /* NULL: a classic group. Else what follows on members and protocols is empty. Share groups have one, too */
        struct str protocol_type, protocol_name; /* allocated; null when there is none */
        struct group_member *leader;
        struct ilist members;
        struct map by_id, by_instance;
        unsigned members_count, joining_count, pending_count, pending_sync_count;
        struct group_protocol *protocols;
        unsigned protocols_count, protocols_size;
        bool subscribed_known; /* to the topics in: */
        struct map subscribed; /* struct subscribed_topic */
        bool new_member_added; /* extends the initial delay */
        bool has_record;       /* its GroupMetadata is in the log */
        bool waits_initially;  /* join_timer is the initial delay */
        int64_t initial_delay_ms, initial_remaining_ms;
        struct timer join_timer, sync_timer;
        struct map topics;
        struct ilist topics_list;
        size_t offsets_count; /* not removed */
        size_t staged_count;
        uint64_t state_seq; /* last write of its metadata */
};

struct subscribed_topic {
        struct map_node node;
        char name[];
};

struct groups {
        struct groups_conf conf;
        struct map by_id;
        struct ilist all;
        struct ilist dead;
        struct ilist doomed;
        struct map txns; /* struct groups_txn, by producer id */
        uint64_t order;  /* of the newest record of an offset */
        struct timer_heap timers;
        struct timer expiry;
        size_t expiry_left; /* groups of the running scan */
        uint64_t write_seq, committed_seq;
        struct coord_time now;
        struct coord_actions *acts; /* of the event in hand */
        struct meta_image *image;   /* likewise; NULL: nobody has asked for it yet */
        int err;                    /* latched: the machine is to be dropped */
        struct coord_stats stats;
};

/* ---- groups.c ---- */
struct group *groups_find(struct groups *gs, struct str id);
struct group *groups_add(struct groups *gs, struct str id);
void groups_remove(struct groups *gs, struct group *g);
/* Answer @rq now; it leaves when write @need_seq is committed. */
void groups_reply(struct groups *gs, struct coord_request *rq, int outcome, uint64_t need_seq);
/* Answer by the group's state. @g may be NULL. */
void group_reply(struct groups *gs, struct group *g, struct coord_request *rq, int outcome);
/* Append @key and @value (both in acts->arena); a NULL key latches -ENOMEM. */
void groups_record(struct groups *gs, struct span key, struct span value);
/* The metadata during this event, borrowed. */
const struct meta_image *groups_image(struct groups *gs);
/* The number that the write of this event has or would have. */
uint64_t groups_seq(const struct groups *gs);
void groups_fail(struct groups *gs, int err);
bool groups_has_room(const struct groups *gs, size_t len);
void groups_timer_set(struct groups *gs, struct timer *t, int64_t after_ms);
/* The same outside of an event: false, and nothing is done, unless it only becomes later. */
bool groups_timer_defer(struct groups *gs, struct timer *t, int64_t after_ms);

/* A copy on the heap (null stays null). Return: 0 or -ENOMEM. */
int text_dup(struct str s, struct str *ret);
/* Put a copy of @s in place of *@at, which stays on a failure. */
int text_replace(struct str *at, struct str s);
void text_free(struct str *s);

/* ---- group.c ---- */
struct group *group_new(struct groups *owner, struct str id);
struct group *group_free(struct group *g);
/* Forget all members; none may have a request parked. */
void group_clear_members(struct group *g);
void group_set_state(struct group *g, enum coord_group_state to);
struct group_member *group_find_member(const struct group *g, struct str id);
struct group_member *group_find_instance(const struct group *g, struct str instance_id);
/* Is it who it says it is? Return: 0, COORD_E_UNKNOWN_MEMBER, COORD_E_FENCED_INSTANCE. */
int group_check_member(const struct group *g, struct str member_id, struct str instance_id);
bool group_has_all_joined(const struct group *g);
int64_t group_rebalance_timeout_ms(const struct group *g);
enum coord_group_type group_type(const struct group *g);
/* What operators are told. */
enum coord_group_state group_shown_state(const struct group *g);
/* Let @g, which has no members, be a classic group, or a consumer group, from now on; what it has committed stays. Return: 0 or -ENOMEM. */
void group_become_classic(struct group *g);
int group_become_consumer(struct group *g);
/* Likewise a share group; it is new. */
int group_become_share(struct group *g);
/* The tombstone of a classic group's record. */
void group_bury_record(struct group *g);
/* Write the group as it is. */
void group_record(struct group *g);
/* Forget a group that holds nothing and was never written. @g may be gone afterwards. */
void group_collect(struct group *g);
/* Tombstone and Dead; removed when that is committed. Its offsets must have been removed. */
void group_bury(struct group *g);

/* ---- member.c ---- */
struct group_member *member_new(struct group *g, struct str id);
struct group_member *member_free(struct group_member *m);
/* One allocation with all texts. Return: 0 or -ENOMEM. */
int protocols_dup(const struct coord_protocol *protocols, int32_t count, struct coord_protocol **ret);
bool protocols_equal(const struct coord_protocol *a, int32_t a_count, const struct coord_protocol *b, int32_t b_count);
int member_set_protocols(struct group_member *m, const struct coord_protocol *protocols, int32_t count);
int member_set_assignment(struct group_member *m, struct span data);
int member_set_id(struct group_member *m, struct str id);
bool member_has_protocols(const struct group_member *m, const struct coord_protocol *protocols, int32_t count);
struct span member_metadata(const struct group_member *m, struct str protocol);
int group_join_member(struct group *g, struct group_member *m);
/* Take it out of the group and free it; what it has parked is answered with COORD_E_UNKNOWN_MEMBER. */
void group_remove_member(struct group *g, struct group_member *m);
void member_reset_session(struct group_member *m);

/* ---- protocol.c ---- */
int group_count_protocols(struct group *g, const struct group_member *m, int by);
bool group_supports(const struct group *g, struct str type, const struct coord_protocol *protocols, int32_t count);
/* The protocol that all members have and most vote for. The group has members. */
struct str group_select_protocol(struct group *g);
int group_set_protocol(struct group *g, struct str name);
int group_compute_subscribed(struct group *g);
bool group_is_consumer(const struct group *g);
bool group_is_subscribed(const struct group *g, struct str topic);
void group_clear_subscribed(struct group *g);

/* ---- join.c, rebalance.c ---- */
void groups_join(struct groups *gs, struct coord_join *rq);
/* A name for a new member, in the answer's memory; null: no memory. */
struct str join_make_member_id(struct groups *gs, struct coord_join *rq);
void join_reply_error(struct groups *gs, struct group *g, struct coord_join *rq, struct str member_id, int outcome);
void join_reply_current(struct groups *gs, struct group *g, struct group_member *m, struct coord_join *rq,
                        bool with_members);
void group_rebalance(struct group *g);
void group_maybe_complete_join(struct group *g);
void group_rebalance_or_complete(struct group *g);
void group_join_due(void *arg, struct timer *t);

/* ---- sync.c ---- */
void groups_sync(struct groups *gs, struct coord_sync *rq);
void sync_reply(struct groups *gs, struct group_member *m, int outcome);
void group_sync_due(void *arg, struct timer *t);
void group_synced(struct group_member *m);

/* ---- heartbeat.c ---- */
void groups_heartbeat(struct groups *gs, struct coord_heartbeat *rq);
/* Of a member of a group that is stable, while nothing is to be told. False: it is none such. */
bool groups_heartbeat_quick(struct groups *gs, const struct coord_heartbeat *rq);
void member_session_due(void *arg, struct timer *t);

/* ---- leave.c ---- */
void groups_leave(struct groups *gs, struct coord_leave *rq);

/* ---- offsets.c: requests; offset_store.c: what is committed ---- */
void groups_offset_commit(struct groups *gs, struct coord_offset_commit *rq);
void groups_offset_fetch(struct groups *gs, struct coord_offset_fetch *rq);
void groups_offset_delete(struct groups *gs, struct coord_offset_delete *rq);
struct group_topic *group_find_topic(const struct group *g, struct str name);
struct group_offset *group_find_offset(const struct group *g, struct str topic, int32_t partition);
struct offset_value {
        int64_t offset, commit_ms, expire_ms;
        int32_t leader_epoch;
        struct str metadata;
};
int group_put_offset(struct group *g, struct str topic, int32_t partition, const struct offset_value *v, uint64_t seq);
/* For txn_offsets.c. Find or add; NULL: no memory. A version on the heap, and away again. In front of the others, owned from here. */
struct group_offset *group_get_offset(struct group *g, struct str topic, int32_t partition);
struct offset_version *offset_version_new(struct groups *gs, const struct offset_value *v);
void offset_version_free(struct groups *gs, struct offset_version *v);
void offset_push_version(struct group_offset *o, struct offset_version *v, uint64_t seq);
/* Drop an offset that holds nothing. */
void group_collect_offset(struct group_offset *o);
/* Removal by this event's write, with its tombstone; of what is staged, too. */
void group_remove_offset(struct group *g, struct group_offset *o);
/* The removal is committed. */
void group_offset_removed(struct group_offset *o);
/* Something is committed, or may be by a transaction that is open. */
bool offset_is_held(const struct group_offset *o);
/* A transaction may yet make it another one, or has and that is not committed (KIP-447). */
bool offset_is_unstable(const struct group_offset *o);
void group_drop_offset(struct group_offset *o);
void group_drop_offsets(struct group *g);
/* What a reader may see: the newest committed version; NULL when there is none or it is a removal. */
const struct offset_version *offset_committed(struct group_offset *o);
/* The newest version, committed or not; NULL when it is a removal. */
const struct offset_version *offset_latest(const struct group_offset *o);

/* ---- txn_offsets.c: what open transactions would commit (KIP-98, KIP-447) ---- */
int group_stage_offset(struct group *g, int64_t producer_id, struct str topic, int32_t partition,
                       const struct offset_value *v);
/* Forget what is staged for @o. */
void offset_unstage(struct group_offset *o);
/* The producer's transaction ended, by this event's write @seq (0: before the log was read). */
void groups_end_txn(struct groups *gs, int64_t producer_id, bool commit, uint64_t seq);
void groups_free_txns(struct groups *gs);

/* ---- expiry.c ---- */
void groups_expiry_due(void *arg, struct timer *t);
bool group_expire_offsets(struct group *g);

/* ---- describe.c ---- */
void groups_describe(struct groups *gs, struct coord_describe *rq);
void groups_list(struct groups *gs, struct coord_list *rq);
void groups_snapshot(struct groups *gs, struct coord_snapshot *rq);
void groups_delete(struct groups *gs, struct coord_delete *rq);
