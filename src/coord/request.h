/* What is asked of a coordinator, and what it answers: one typed struct per operation, outcomes that are not Kafka's
 * codes, and the actions that the pure state machine hands back. No behaviour here.
 *
 * Ownership: the asker allocates the request and keeps it, and all that its input fields point to, until it is answered.
 * Output that is longer than the struct lies in the request's own arena, so that it can be read on any thread after
 * the answer and goes with coord_request_fini(). Every request is answered exactly once. */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "base/span.h"
#include "base/uuid.h"
#include "replica/partition.h"
#include "security/authorizer.h"
#include "sys/loop.h"

/* Outcomes of requests and of their items. A negative errno means that this node failed (memory). Nodes tell them to each other
 * (schema/peer_txn.wire): new ones come at the end. */
enum coord_outcome {
        COORD_OK,
        COORD_E_NOT_COORDINATOR, /* this node does not lead the group's partition (any more) */
        COORD_E_LOADING,         /* it does, and still reads it */
        COORD_E_NOT_AVAILABLE,   /* try again: the write is not confirmed in time, or the group is being removed */
        COORD_E_INVALID_GROUP_ID,
        COORD_E_GROUP_NOT_FOUND,
        COORD_E_NON_EMPTY_GROUP,
        COORD_E_UNKNOWN_MEMBER,
        COORD_E_MEMBER_ID_REQUIRED, /* join again with the member id of this answer (KIP-394) */
        COORD_E_FENCED_INSTANCE,    /* another member took the group instance id over (KIP-345) */
        COORD_E_ILLEGAL_GENERATION,
        COORD_E_REBALANCING,
        COORD_E_INCONSISTENT_PROTOCOL,
        COORD_E_INVALID_SESSION_TIMEOUT,
        COORD_E_GROUP_FULL,
        COORD_E_METADATA_TOO_LARGE, /* the metadata of one committed offset */
        COORD_E_SUBSCRIBED,         /* offsets of a topic that the group is subscribed to are not deleted */
        COORD_E_TOO_LARGE,          /* a text, a subscription or the record that would hold it passes our limits */
        COORD_E_NO_ROOM,            /* the node's bound for group state is reached */
        COORD_E_UNSTABLE_OFFSET,    /* a transaction that is open may yet commit another one (KIP-447) */
        /* Of transactions: */
        COORD_E_INVALID_TXN_ID,
        COORD_E_TXN_NOT_FOUND,          /* whom an operator asks for */
        COORD_E_UNKNOWN_PRODUCER,       /* the transactional id is not known, or belongs to another producer id */
        COORD_E_PRODUCER_FENCED,        /* another epoch of the producer is in force */
        COORD_E_INVALID_PRODUCER_EPOCH, /* likewise, as a log knows it */
        COORD_E_CONCURRENT_TXN,         /* the transaction before is not ended everywhere: try again */
        COORD_E_INVALID_TXN_STATE,
        COORD_E_NEED_PRODUCER_ID, /* ask again with a producer id that nobody has */
        COORD_E_UNKNOWN_PARTITION,
        COORD_E_NOT_ATTEMPTED,      /* the item alone would do, but not all others */
        COORD_E_COORDINATOR_FENCED, /* a newer coordinator of the transaction is known to the log */
        /* Of groups whose members the coordinator assigns to (KIP-848): */
        COORD_E_INVALID_REQUEST,     /* what is said makes no sense; the answer tells why */
        COORD_E_FENCED_EPOCH,        /* the member is to give up all that it has, and join again */
        COORD_E_STALE_EPOCH,         /* it commits, or reads, as it was in an earlier epoch: again with the newer one */
        COORD_E_UNRELEASED_INSTANCE, /* another member has the group instance id, and has not left */
        COORD_E_UNSUPPORTED_ASSIGNOR, /* no assignor of that name */
        COORD_E_INVALID_REGEX,
        COORD_E_UNSUPPORTED_VERSION, /* members of such a group speak newer versions */
        /* Of share groups (KIP-932): */
        COORD_E_FENCED_LEADER, /* a newer leader of the partition has read its state */
        COORD_E_FENCED_STATE,  /* the state was altered, or deleted, since it was read: read it again */
        /* Said before a coordinator is asked: the client may not do that with the group, the transactional id, the topic. */
        COORD_E_GROUP_DENIED,
        COORD_E_TXN_DENIED,
        COORD_E_TOPIC_DENIED,
};

enum coord_op {
        COORD_JOIN,
        COORD_SYNC,
        COORD_HEARTBEAT,
        COORD_LEAVE,
        COORD_OFFSET_COMMIT,
        COORD_OFFSET_FETCH,
        COORD_OFFSET_DELETE,
        COORD_DESCRIBE,
        COORD_DELETE,
        COORD_TXN_OFFSET_COMMIT, /* a struct coord_offset_commit whose offsets count when their transaction is committed */
        COORD_CONSUMER_HEARTBEAT,
        COORD_CONSUMER_DESCRIBE,
        COORD_SHARE_HEARTBEAT,
        COORD_SHARE_DESCRIBE,
        COORD_SHARE_READ, /* by the leader of a partition: a group's state in it */
        COORD_SHARE_WRITE,
        COORD_SHARE_OFFSETS, /* by operators: where a group stands; likewise: */
        COORD_SHARE_ALTER,
        COORD_SHARE_REMOVE,
        COORD_TXN_MARKER, /* of the host itself: the end of a transaction in one coordinator partition */
        /* Asked of every coordinator partition of this node: */
        COORD_LIST,
        COORD_SNAPSHOT,
        /* Of the transaction coordinator: */
        COORD_TXN_INIT,
        COORD_TXN_ADD,
        COORD_TXN_END,
        COORD_TXN_ABORT, /* by an operator, whatever its producer thinks; a plain struct coord_request. COORD_E_TXN_NOT_FOUND;
                          * COORD_E_INVALID_TXN_STATE: none is open; COORD_E_CONCURRENT_TXN: it is ending already */
        COORD_TXN_DESCRIBE,
        COORD_TXN_LIST, /* every partition, too */
};

static inline bool coord_op_visits(enum coord_op op)
{
        return op == COORD_LIST || op == COORD_SNAPSHOT || op == COORD_TXN_LIST;
}

enum coord_group_state {
        COORD_GROUP_EMPTY,
        COORD_GROUP_PREPARING,  /* "PreparingRebalance": waits for members to join */
        COORD_GROUP_COMPLETING, /* "CompletingRebalance": waits for the leader's assignment */
        COORD_GROUP_STABLE,
        COORD_GROUP_ASSIGNING,   /* consumer groups: its target is of an earlier epoch */
        COORD_GROUP_RECONCILING, /* consumer groups: some members are on their way to the target */
        COORD_GROUP_DEAD,
};

enum coord_group_type {
        COORD_GROUP_CLASSIC,
        COORD_GROUP_CONSUMER, /* the coordinator assigns (KIP-848) */
        COORD_GROUP_SHARE,    /* records are shared, not partitions (KIP-932) */
        COORD_GROUP_TYPES_COUNT,
};

/* As Kafka writes them ("PreparingRebalance", "classic"). */
const char *coord_group_state_name(enum coord_group_state s);
const char *coord_group_type_name(enum coord_group_type t);
/* Any case (KIP-518). Return: true when @name is a state (a type). */
bool coord_group_state_parse(struct str name, enum coord_group_state *ret_state);
bool coord_group_type_parse(struct str name, enum coord_group_type *ret_type);

struct coord;

#define COORD_REQUEST_MAGIC 0x434f5251u

struct coord_request {
        uint32_t magic;
        enum coord_op op;
        struct str
                id; /* of the group, or the transactional id: where it lives. Not used by those that are asked of every partition */
        struct loop *reply_loop;
        /* On @reply_loop's thread. May free the request. */
        void (*done)(struct coord_request *rq);
        int outcome;        /* enum coord_outcome or negative errno */
        struct arena arena; /* memory of the answer */
        /* The coordinator's, from submit until done(): */
        struct mail mail;
        struct ilist link;
        uint64_t need_seq; /* the write that must be committed before this answer may leave */
        int64_t deadline_ms;
        struct coord *coord;
        unsigned hop; /* the partition, or the loop that is visited */
};

static inline void coord_request_init(struct coord_request *rq, enum coord_op op, struct str id)
{
        *rq = (struct coord_request){ .magic = COORD_REQUEST_MAGIC, .op = op, .id = id };
        ilist_init(&rq->link);
        arena_init(&rq->arena, 0);
}

static inline void coord_request_fini(struct coord_request *rq)
{
        arena_fini(&rq->arena);
}

/* ---- membership ---- */

/* Who asks, for what the coordinator finds for him: a regular expression means topics that he may know of. Borrowed until the answer. */
struct coord_rights {
        const struct authorizer *authorizer; /* NULL: he may know of all */
        struct authorizer_subject who;
};

struct coord_protocol {
        struct str name;
        struct span metadata;
};

struct coord_join_member {
        struct str member_id;
        struct str instance_id; /* may be null */
        struct span metadata;   /* for the protocol that was chosen */
};

struct coord_join {
        struct coord_request rq;
        struct str member_id;   /* empty: a new member */
        struct str instance_id; /* null: a dynamic member */
        struct str client_id, client_host;
        int32_t session_timeout_ms;
        int32_t rebalance_timeout_ms; /* version 0 has none: the session timeout */
        struct str protocol_type;
        const struct coord_protocol *protocols;
        int32_t protocols_count;
        bool require_member_id;   /* version 4 and later (KIP-394) */
        bool can_skip_assignment; /* version 9 and later (KIP-814) */
        struct coord_rights rights;
        /* Answer. @ret_member_id is set for refusals too: the id that was sent, or the one to come back with. */
        int32_t ret_generation;
        struct str ret_protocol_type, ret_protocol_name; /* null when there is none */
        struct str ret_leader, ret_member_id;
        bool ret_skip_assignment;
        struct coord_join_member *ret_members; /* the leader gets them */
        int32_t ret_members_count;
};

struct coord_assignment {
        struct str member_id;
        struct span data;
};

struct coord_sync {
        struct coord_request rq;
        struct str member_id, instance_id;
        int32_t generation;
        struct str protocol_type, protocol_name; /* null before version 5: not checked */
        const struct coord_assignment *assignments;
        int32_t assignments_count;
        struct str ret_protocol_type, ret_protocol_name;
        struct span ret_assignment; /* empty, not null, for a member that the leader left out */
};

struct coord_heartbeat {
        struct coord_request rq;
        struct str member_id, instance_id;
        int32_t generation;
};

struct coord_leave_member {
        struct str member_id; /* empty: the member that has @instance_id (administrative removal) */
        struct str instance_id;
        struct str reason; /* for diagnostics (KIP-800); may be null */
        int ret_outcome;
};

struct coord_leave {
        struct coord_request rq;
        struct coord_leave_member *members;
        int32_t members_count;
};

/* ---- membership of consumer groups (KIP-848) ---- */

/* Partitions of a topic. */
struct coord_partitions {
        struct uuid id;
        struct str name; /* of describing alone; empty: the topic is gone */
        const int32_t *partitions;
        int32_t partitions_count;
};

struct coord_consumer_heartbeat {
        struct coord_request rq;
        struct str member_id;   /* empty: the coordinator makes one up (version 0) */
        struct str instance_id; /* null: a dynamic member */
        struct str rack_id, client_id, client_host;
        int32_t epoch; /* of the member; 0: it joins; -1: it leaves; -2: a static one leaves for a while */
        int32_t rebalance_timeout_ms; /* -1: as before */
        const struct str *names;      /* topics; NULL: as before */
        int32_t names_count;
        struct str regex;                     /* null: as before; empty: none */
        struct str assignor;                  /* null: as before, or any */
        const struct coord_partitions *owned; /* what it has; NULL: as before */
        int32_t owned_count;
        bool must_have_id; /* version 1 and later (KIP-1082) */
        struct coord_rights rights;
        /* Answer. */
        struct str ret_member_id;
        int32_t ret_epoch;
        int32_t ret_heartbeat_interval_ms;
        bool ret_has_assignment; /* false: as it was told before */
        struct coord_partitions *ret_assignment;
        int32_t ret_assignment_count;
        struct str ret_why; /* what is wrong, for people; null: the outcome says it */
};

/* ---- share groups (KIP-932) ---- */

struct coord_share_heartbeat {
        struct coord_request rq;
        struct str member_id; /* the client makes it up */
        struct str rack_id, client_id, client_host;
        int32_t epoch;           /* of the member; 0: it joins; -1: it leaves */
        const struct str *names; /* topics; NULL: as before */
        int32_t names_count;
        /* Answer. */
        struct str ret_member_id;
        int32_t ret_epoch;
        int32_t ret_heartbeat_interval_ms;
        bool ret_has_assignment; /* false: as it was told before */
        struct coord_partitions *ret_assignment;
        int32_t ret_assignment_count;
        struct str ret_why; /* as of coord_consumer_heartbeat */
};

struct coord_share_member {
        struct str member_id, rack_id, client_id, client_host; /* rack may be null */
        int32_t epoch;
        const struct str *names;
        int32_t names_count;
        struct coord_partitions *assigned;
        int32_t assigned_count;
};

struct coord_share_describe {
        struct coord_request rq; /* COORD_E_GROUP_NOT_FOUND */
        bool ret_is_other_type;  /* as of coord_consumer_describe */
        enum coord_group_state ret_state;
        int32_t ret_epoch, ret_target_epoch;
        struct str ret_assignor;
        struct coord_share_member *ret_members;
        int32_t ret_members_count;
};

/* Records of one fate: those between two runs, and after the last, are available and were never delivered. */
struct coord_share_run {
        int64_t first, last; /* both of the run */
        int8_t state;        /* as they are written: 0 available, 2 acknowledged, 4 archived */
        int16_t deliveries;
};

enum { COORD_SHARE_START_UNKNOWN = -1 }; /* nobody has decided where the group begins */

/* The state of one group in one partition. Whoever reads it fences the leaders before: what is lower than @leader_epoch neither reads
 * nor writes any more, and what was read before, by the same leader, is not good for writing. There need not be any yet; then @ret_start is
 * COORD_SHARE_START_UNKNOWN.
 * COORD_E_GROUP_NOT_FOUND: no share group has that name; COORD_E_UNKNOWN_PARTITION: there is no such topic; COORD_E_FENCED_LEADER. */
struct coord_share_read {
        struct coord_request rq;
        struct uuid topic_id;
        int32_t partition;
        int32_t leader_epoch;
        int32_t ret_state_epoch; /* for writing */
        int64_t ret_start;
        struct coord_share_run *ret_runs; /* ascending, of the answer's memory */
        int32_t ret_runs_count;
};

/* All of it anew. As above, and COORD_E_FENCED_STATE; COORD_E_TOO_LARGE: more runs than COORD_SHARE_RUNS_MAX; COORD_E_INVALID_REQUEST: they make no
 * sense (not ascending, below the start, an unknown state). Writing the same again is fine. */
struct coord_share_write {
        struct coord_request rq;
        struct uuid topic_id;
        int32_t partition;
        int32_t leader_epoch, state_epoch;
        int64_t number; /* of the writes since it was read: a lower one that comes late, by a connection that was lost, is refused */
        int64_t start;
        const struct coord_share_run *runs;
        int32_t runs_count;
};
enum { COORD_SHARE_RUNS_MAX = 10000 };

struct coord_share_offset {
        struct str topic;     /* of a whole-group question and its answer; of the answer's memory then */
        struct uuid topic_id; /* of the answer; zero: there is no such topic */
        int32_t partition;
        int64_t start;        /* of the answer; COORD_SHARE_ALTER: what it shall be */
        int32_t leader_epoch; /* of the answer: of the leader that wrote it */
        int64_t done;         /* of the answer: records from the start on that are acknowledged or archived */
        int ret_outcome;      /* COORD_E_UNKNOWN_PARTITION */
};

/* COORD_SHARE_OFFSETS: where the group stands; COORD_E_GROUP_NOT_FOUND.
 * COORD_SHARE_ALTER: where it shall begin. A group that is not there is made, once something is set; COORD_E_GROUP_NOT_FOUND: it is of another type;
 * COORD_E_NON_EMPTY_GROUP. Of items also COORD_E_INVALID_REQUEST (a negative offset), COORD_E_NO_ROOM. */
struct coord_share_offsets {
        struct coord_request rq;
        bool all; /* COORD_SHARE_OFFSETS: of every partition that has a state: @items is filled by the answer, grouped by topic */
        struct coord_share_offset *items;
        int32_t items_count;
};

/* COORD_SHARE_REMOVE: forget where the group stands in whole topics. As COORD_SHARE_ALTER. */
struct coord_share_remove {
        struct coord_request rq;
        struct coord_share_offset *items; /* topic in; topic_id and ret_outcome out */
        int32_t items_count;
};

/* ---- offsets ---- */

struct coord_commit_item {
        struct str topic;
        int32_t partition;
        int64_t offset;
        int32_t leader_epoch; /* -1: not known */
        struct str metadata;  /* null counts as empty */
        int ret_outcome;
};

struct coord_offset_commit {
        struct coord_request rq;
        int32_t generation; /* -1 with an empty member id: a consumer without group membership */
        struct str member_id, instance_id;
        bool knows_epochs;    /* version 9 and later: @generation is the member's epoch in a consumer group */
        int64_t retention_ms; /* -1: the node's */
        struct coord_commit_item *items;
        int32_t items_count;
        bool ret_is_other_type; /* with COORD_E_GROUP_NOT_FOUND: there is one of the name, which commits nothing */
        /* COORD_TXN_OFFSET_COMMIT: */
        int64_t producer_id;
        int16_t producer_epoch;
        struct partition_txn_guard
                txn_guard; /* taken before the transaction's coordinator was asked about the partition */
};

/* The end of a producer's transaction goes into the log of one coordinator partition of this node, and what it has staged there
 * counts from now on, or goes. */
struct coord_txn_marker {
        struct coord_request rq;
        int32_t partition;
        int64_t producer_id;
        int16_t producer_epoch;
        int32_t coordinator_epoch; /* of the transaction's coordinator */
        bool commit, bumped;       /* see struct plog_marker_args */
};

struct coord_fetch_item {
        struct str topic;
        int32_t partition;
        int64_t ret_offset; /* -1: nothing is committed; that is no error */
        int32_t ret_leader_epoch;
        struct str ret_metadata; /* empty, never null */
        int ret_outcome;
};

struct coord_offset_fetch {
        struct coord_request rq;
        bool all;             /* every committed offset: @items is filled by the answer, grouped by topic */
        bool require_stable;  /* offsets that an open transaction may change are COORD_E_UNSTABLE_OFFSET (KIP-447) */
        struct str member_id; /* null or empty with @member_epoch below 0: not a member of a consumer group */
        int32_t member_epoch;
        struct coord_fetch_item *items;
        int32_t items_count;
};

struct coord_delete_item {
        struct str topic;
        int32_t partition;
        int ret_outcome;
};

struct coord_offset_delete {
        struct coord_request rq;
        struct coord_delete_item *items;
        int32_t items_count;
};

/* ---- for operators ---- */

struct coord_described_member {
        struct str member_id, instance_id, client_id, client_host;
        struct span metadata;   /* empty while the group is not Stable */
        struct span assignment; /* the last that it was given */
};

struct coord_describe {
        struct coord_request rq; /* COORD_E_GROUP_NOT_FOUND: Kafka shows it as Dead before version 6 */
        bool ret_is_other_type;  /* with that: there is one of the name, for which another request is */
        enum coord_group_state ret_state;
        enum coord_group_type ret_type;
        struct str ret_protocol_type, ret_protocol_name; /* empty when there is none */
        int32_t ret_generation;
        struct coord_described_member *ret_members;
        int32_t ret_members_count;
};

struct coord_consumer_member {
        struct str member_id, instance_id, rack_id, client_id, client_host; /* instance and rack may be null */
        int32_t epoch;
        const struct str *names;
        int32_t names_count;
        struct str regex;                           /* may be null */
        struct coord_partitions *assigned, *target; /* assigned: with what it has to give up */
        int32_t assigned_count, target_count;
};

struct coord_consumer_describe {
        struct coord_request rq; /* COORD_E_GROUP_NOT_FOUND */
        bool ret_is_other_type;  /* with that: there is one of the name, for which another request is */
        enum coord_group_state ret_state;
        int32_t ret_epoch, ret_target_epoch;
        struct str ret_assignor;
        struct coord_consumer_member *ret_members;
        int32_t ret_members_count;
};

struct coord_delete {
        struct coord_request rq;
};

struct coord_listed_group {
        struct str group_id, protocol_type;
        enum coord_group_state state;
        enum coord_group_type type;
};

struct coord_list {
        struct coord_request rq; /* COORD_E_LOADING: some partitions are not read yet; the list holds the others */
        uint32_t states_mask;    /* 1 << state; 0: any */
        uint32_t types_mask;
        struct coord_listed_group *ret_groups;
        int32_t ret_groups_count, groups_size;
};

struct coord_snapshot_item {
        struct str group_id, topic;
        int32_t partition;
        int64_t offset;
        int64_t commit_ms;
};

/* Every committed offset of every group on this node, for lag. */
struct coord_snapshot {
        struct coord_request rq;
        struct coord_snapshot_item *ret_items;
        size_t ret_items_count, items_size;
};

/* ---- transactions ---- */

/* As they are on disk. */
enum coord_txn_state {
        COORD_TXN_EMPTY,
        COORD_TXN_ONGOING,
        COORD_TXN_PREPARE_COMMIT, /* it will be committed, and not every log says so yet */
        COORD_TXN_PREPARE_ABORT,
        COORD_TXN_COMPLETE_COMMIT,
        COORD_TXN_COMPLETE_ABORT,
        COORD_TXN_DEAD,                /* Kafka's; never written */
        COORD_TXN_PREPARE_EPOCH_FENCE, /* likewise */
        COORD_TXN_STATES_COUNT,
};

/* As Kafka writes them ("PrepareCommit"). */
const char *coord_txn_state_name(enum coord_txn_state s);
/* Return: true when @name is a state. */
bool coord_txn_state_parse(struct str name, enum coord_txn_state *ret_state);

/* What a client can do: with 2 its epoch grows with every transaction (KIP-890). */
enum { COORD_TXN_VERSION_1 = 1, COORD_TXN_VERSION_2 = 2 };

struct coord_txn_init {
        struct coord_request rq;
        int32_t timeout_ms;
        int64_t producer_id; /* what the producer had, to be found in force; -1: it is a new one, and fences the one before */
        int16_t producer_epoch;
        int64_t new_producer_id; /* one that nobody has, should it be needed; -1: none, and COORD_E_NEED_PRODUCER_ID */
        int64_t ret_producer_id;
        int16_t ret_producer_epoch;
};

struct coord_txn_item {
        struct str topic;
        int32_t partition;
        int ret_outcome;
};

/* Partitions become part of the transaction, all or none; or are found to be. */
struct coord_txn_add {
        struct coord_request rq;
        int64_t producer_id;
        int16_t producer_epoch;
        bool verify_only; /* each for itself: COORD_E_INVALID_TXN_STATE where it is not part of an open transaction */
        int16_t version;  /* COORD_TXN_VERSION_ */
        struct coord_txn_item *items;
        int32_t items_count;
};

struct coord_txn_end {
        struct coord_request rq;
        int64_t producer_id;
        int16_t producer_epoch;
        bool commit;
        int16_t version;
        int64_t new_producer_id; /* as of coord_txn_init */
        int64_t ret_producer_id; /* for the next transaction */
        int16_t ret_producer_epoch;
};

struct coord_txn_describe {
        struct coord_request rq;
        enum coord_txn_state ret_state;
        int32_t ret_timeout_ms;
        int64_t ret_start_ms; /* wall clock; -1: none is open */
        int64_t ret_producer_id;
        int16_t ret_producer_epoch;
        struct coord_txn_item *ret_items; /* by topic */
        int32_t ret_items_count;
};

struct coord_listed_txn {
        struct str id;
        int64_t producer_id;
        enum coord_txn_state state;
};

struct coord_txn_list {
        struct coord_request rq;     /* as of coord_list */
        uint32_t states_mask;        /* 1 << state; 0: any */
        const int64_t *producer_ids; /* of one of these */
        int32_t producer_ids_count;  /* 0: of any */
        int64_t running_ms;          /* open for longer; below 0: any */
        struct coord_listed_txn *ret_txns;
        int32_t ret_txns_count, txns_size;
};

/* Copies in the answer's memory; null stays null. Without memory @failed is set. */
struct str coord_request_keep(struct coord_request *rq, struct str s, bool *failed);
struct span coord_request_keep_bytes(struct coord_request *rq, struct span s, bool *failed);

/* What an outcome of a partition or its log is called here. */
int coord_outcome_of_log(int r);

/* Set @outcome, and the output fields to what a refusal shows (no generation, empty texts, null texts of protocols). */
void coord_request_refuse(struct coord_request *rq, int outcome);
