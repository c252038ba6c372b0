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
#include "sys/loop.h"

/* Outcomes of requests and of their items. A negative errno means that this node failed (memory). */
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
        /* Asked of every coordinator partition of this node: */
        COORD_LIST,
        COORD_SNAPSHOT,
};

enum coord_group_state {
        COORD_GROUP_EMPTY,
        COORD_GROUP_PREPARING,  /* "PreparingRebalance": waits for members to join */
        COORD_GROUP_COMPLETING, /* "CompletingRebalance": waits for the leader's assignment */
        COORD_GROUP_STABLE,
        COORD_GROUP_DEAD,
};

enum coord_group_type {
        COORD_GROUP_CLASSIC,
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
        struct str group_id; /* not used by COORD_LIST and COORD_SNAPSHOT */
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

static inline void coord_request_init(struct coord_request *rq, enum coord_op op, struct str group_id)
{
        *rq = (struct coord_request){ .magic = COORD_REQUEST_MAGIC, .op = op, .group_id = group_id };
        ilist_init(&rq->link);
        arena_init(&rq->arena, 0);
}

static inline void coord_request_fini(struct coord_request *rq)
{
        arena_fini(&rq->arena);
}

/* ---- membership ---- */

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
        int64_t retention_ms; /* -1: the node's */
        struct coord_commit_item *items;
        int32_t items_count;
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
        bool all; /* every committed offset: @items is filled by the answer, grouped by topic */
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
        enum coord_group_state ret_state;
        enum coord_group_type ret_type;
        struct str ret_protocol_type, ret_protocol_name; /* empty when there is none */
        int32_t ret_generation;
        struct coord_described_member *ret_members;
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

/* Set @outcome, and the output fields to what a refusal shows (no generation, empty texts, null texts of protocols). */
void coord_request_refuse(struct coord_request *rq, int outcome);
