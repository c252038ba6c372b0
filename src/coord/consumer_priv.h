/* A group whose members are assigned to by the coordinator (KIP-848), as the files of this state machine see it. Nobody else includes
 * this. Share groups are one kind of them: share_priv.h says what is different.
 *
 * Three epochs. The group's grows when its members, their subscriptions or their topics change. The target's is that for which the
 * target, who shall have what, was computed. A member's is that up to which it has come: it gets there once it has given up what it shall no
 * longer have, and is then given what nobody else has.
 *
 *      STABLE       has all that it shall have
 *      UNREVOKED    has partitions to give up first, and rebalance_timeout_ms to do so
 *      UNRELEASED   waits for partitions that others have not given up yet
 *      UNKNOWN      of a newer version's record: counts as UNREVOKED
 *
 * Invariants
 *  1. every member is in `members` and in `by_id`, the static ones in `by_instance`, too.
 *  2. `owners` counts, for each partition, the members that have it assigned or to give up, and knows since which epoch it is one's. Not of a
 *     share group.
 *  3. `names` and `regexes` hold what at least one member is subscribed to. */
#pragma once

#include "base/pattern.h"
#include "coord/assignor.h"
#include "coord/group_config.h"
#include "coord/group_priv.h"
#include "coord/records.h"
#include "meta/image.h"

enum { EPOCH_JOIN = 0, EPOCH_LEAVE = -1, EPOCH_LEAVE_STATIC = -2 };
/* Of a group that nobody has joined; its first member makes it one more. As in Kafka 4.3. */
enum { CONSUMER_EPOCH_NEW = 1 };

/* As they are on disk. */
enum consumer_state {
        CONSUMER_STABLE = 0,
        CONSUMER_UNREVOKED = 1,
        CONSUMER_UNRELEASED = 2,
        CONSUMER_UNKNOWN = 127,
};

/* Names of topics, sorted, each once. Members that are subscribed to the same share one. */
struct consumer_names {
        struct ilist link; /* consumer.names; in no list: what an expression has found */
        unsigned refs;
        uint32_t count;
        size_t memory;
        struct str names[]; /* then their texts */
};

/* A regular expression that members are subscribed to, and the topics that it matches. */
struct consumer_regex {
        struct ilist link;
        unsigned members_count;
        struct str text;              /* allocated */
        struct pattern *pattern;      /* NULL: a stored one that is none for us; it matches nothing */
        struct consumer_names *found; /* never NULL */
        int64_t found_index;          /* of the image in which they were looked for; -1: never */
        int64_t found_ms;             /* monotonic */
};

/* What a member that speaks the classic protocol has brought, while a group moves from one to the other. */
struct consumer_classic {
        int32_t session_timeout_ms;
        int32_t protocols_count;
        struct coord_protocol *protocols; /* one allocation with names and metadata */
};

struct consumer_member {
        struct map_node by_id, by_instance;
        struct ilist link;
        struct group *group;
        struct timer session;    /* none was heard of it */
        struct timer revocation; /* it does not give up what it has to; a classic one: it does not join, or sync */
        struct consumer_classic *classic; /* NULL: it speaks the protocol of consumer groups */
        struct str id, instance_id, rack_id, client_id, client_host,
                assignor;             /* each allocated for itself; may be null */
        struct consumer_names *names; /* never NULL */
        struct consumer_regex *regex; /* may be NULL */
        int32_t rebalance_timeout_ms;
        int32_t epoch, previous_epoch;
        enum consumer_state state;
        struct assignment *assigned, *revoking, *target;
        size_t memory; /* charged to the machine */
        bool is_told;  /* by a record; while the log is read */
};

struct consumer_owner {
        int32_t since; /* the epoch in which the member got it that has it */
        uint16_t count;
};

/* How many members have a partition. */
struct consumer_owners {
        struct map_node node;
        struct uuid id;
        int32_t size;
        struct consumer_owner *owners; /* by partition */
};

struct share_group;

struct consumer {
        struct share_group *share; /* NULL: not a share group (KIP-932) */
        struct ilist members;
        struct map by_id, by_instance;
        unsigned members_count, classic_count;
        int32_t epoch, target_epoch;
        int64_t metadata_hash; /* of the topics that the target is computed from */
        int64_t seen_index;    /* of the image from which that is; -1: none yet */
        struct ilist names, regexes;
        struct map owners; /* struct consumer_owners, by topic id */
        struct group_config config;
};

struct consumer_assignor {
        const char *name;
        assignor_fn *assign;
};

/* ---- consumer.c: life, and who is in it ---- */

/* Let @g, which has no members, be such a group from now on; @share: a share group. Return: 0 or -ENOMEM. */
int consumer_new(struct group *g, bool share);
/* Its members go with it. */
void consumer_free(struct group *g);
/* Does it hold nothing that is its type's own? */
bool consumer_is_blank(const struct group *g);
/* What the group is configured to do, as of the event in hand; borrowed from it. */
const struct group_settings *consumer_settings(const struct group *g);
/* As records and operators see it. */
enum coord_group_state consumer_state(const struct group *g);
/* Set the group's state after members came or went. */
void consumer_sync_state(struct group *g);
struct consumer_member *consumer_find(const struct group *g, struct str id);
struct consumer_member *consumer_find_instance(const struct group *g, struct str instance_id);
/* The log has been read: sessions start. */
void consumer_loaded(struct group *g);
/* Is any member subscribed to it? */
bool consumer_is_subscribed(const struct group *g, struct str topic);
/* What a kind of record of consumer groups is for @g, which may be a share group. */
enum records_kind consumer_kind(const struct group *g, enum records_kind kind);
/* Which assignor most members want; the first of them where that is none's. Share groups have one of their own. */
const struct consumer_assignor *consumer_assignor(const struct group *g);
/* Is there an assignor of that name? */
bool consumer_has_assignor(struct str name);
/* Grow the group's epoch, and write it. */
void consumer_bump(struct group *g);
/* Write the group's own record. */
void consumer_record(struct group *g);
/* Tombstones of the group's own records; it has no members. */
void consumer_bury_records(struct group *g);

/* ---- consumer_member.c ---- */

/* Not yet in the group's records. NULL: no memory. */
struct consumer_member *consumer_member_new(struct group *g, struct str id, struct str instance_id);
/* Out of memory's state: nothing is written. Returns NULL. */
struct consumer_member *consumer_member_free(struct consumer_member *m);
/* What it has, and has to give up, from now on: takes over both references. Return: 0 or -ENOMEM. */
int consumer_member_hold(struct consumer_member *m, struct assignment *assigned, struct assignment *revoking);
/* Count its memory anew. */
void consumer_member_charge(struct consumer_member *m);
/* Is the partition nobody's? @group: struct group; a filter for assignment_filter(). */
bool consumer_is_free(void *group, struct uuid id, int32_t partition);
/* Has the member had the partition since @epoch, or for longer? Then it may commit as it was in that epoch (KIP-1251). */
bool consumer_member_had(const struct consumer_member *m, struct uuid id, int32_t partition, int32_t epoch);
/* From a record: the epoch since which it has a partition. */
void consumer_set_since(struct group *g, struct uuid id, int32_t partition, int32_t epoch);
/* What it is subscribed to by name. @ret_changed may be NULL. Return: 0 or -ENOMEM. */
int consumer_member_set_names(struct consumer_member *m, const struct str *names, int32_t count, bool *ret_changed);
/* What it brought as a classic member, from now on; @count below 0: it is none. Return: 0 or -ENOMEM. */
int consumer_member_set_classic(struct consumer_member *m, int32_t session_timeout_ms,
                                const struct coord_protocol *protocols, int32_t count);
/* A static member is back under a new id: what its former self had is its own. Return: 0 or -ENOMEM. */
int consumer_member_replace(struct consumer_member *m, struct str id);
/* It was heard of. */
void consumer_member_reset_session(struct consumer_member *m);
/* It is gone: tombstones, and a new epoch for the others; or a classic group, when they are all classic members. */
void consumer_remove(struct consumer_member *m);
/* Records of what it is, what it shall have, and what it has. */
void consumer_member_record(struct consumer_member *m);
void consumer_target_record(struct consumer_member *m);
void consumer_current_record(struct consumer_member *m);
/* Tombstones of all three. */
void consumer_member_bury(struct consumer_member *m);
void consumer_session_due(void *arg, struct timer *t);
void consumer_revocation_due(void *arg, struct timer *t);

/* ---- consumer_topics.c: what members are subscribed to ---- */

/* One reference, of the group's own set when it has the same. @names in any order, also twice. NULL: no memory. */
struct consumer_names *consumer_names_get(struct group *g, const struct str *names, int32_t count);
void consumer_names_put(struct group *g, struct consumer_names *n);
bool consumer_names_have(const struct consumer_names *n, struct str name);
/* Find or add. @why: PATTERN_WHY_SIZE bytes, or NULL: a text that is no expression is kept, and matches nothing. Return: 0, -EINVAL with @why,
 * -ENOMEM. */
int consumer_regex_get(struct group *g, struct str text, struct consumer_regex **ret_regex, char *why);
/* One member less; the last one takes it away, with a tombstone when @write. */
void consumer_regex_put(struct group *g, struct consumer_regex *r, bool write);
/* Look for the topics of expressions again where that is due. Return: true when other ones were found. */
bool consumer_regexes_refresh(struct group *g, const struct meta_image *image);
/* From a record. */
int consumer_regex_found(struct group *g, struct str text, const struct str *topics, int32_t count);
/* What the topics of the group are: changes when one comes, goes or gets partitions. */
int64_t consumer_topics_hash(struct group *g, const struct meta_image *image);

/* ---- consumer_target.c ---- */

/* Compute who shall have what, when that is not of the group's epoch. */
void consumer_retarget(struct group *g, const struct meta_image *image);
/* Write of which epoch the target is. */
void consumer_record_target_epoch(struct group *g);

/* ---- consumer_reconcile.c ---- */

/* Bring @m nearer to what it shall have. @owned: what it says it has; @knows_owned false: it did not say. */
void consumer_reconcile(struct consumer_member *m, bool knows_owned, struct assignment *owned);

/* ---- consumer_heartbeat.c ---- */
void groups_consumer_heartbeat(struct groups *gs, struct coord_consumer_heartbeat *rq);
/* Does what it says fit into records, and into memory? Return: 0, COORD_E_TOO_LARGE, COORD_E_NO_ROOM. */
int consumer_check_limits(const struct groups *gs, const struct coord_consumer_heartbeat *says);
/* An assignment as answers hold it, in @a. NULL: no memory. */
struct coord_partitions *consumer_list(const struct assignment *set, struct arena *a, int32_t *ret_count);
/* Of a member that has all that it shall have and says nothing new, while nothing is to be told: fills in the answer. False: it is
 * none such. */
bool groups_consumer_quick(struct groups *gs, struct coord_consumer_heartbeat *rq);
/* @m says what it wants and has; nothing is answered. @says: what is absent in it stays. */
void consumer_advance(struct consumer_member *m, const struct coord_consumer_heartbeat *says, struct assignment *owned,
                      bool is_new);
/* A member leaves, or an administrator removes it (LeaveGroup). */
int consumer_leave_one(struct group *g, const struct coord_leave_member *who);

/* ---- consumer_classic.c: requests of classic members; the group has members ---- */
void consumer_join(struct group *g, struct coord_join *rq);
void consumer_sync(struct group *g, struct coord_sync *rq);
int consumer_check_beat(struct group *g, const struct coord_heartbeat *rq);

/* ---- consumer_convert.c: from one type of group to the other while it has members ---- */

/* A classic group that has members becomes a consumer group. Return: 0; COORD_E_GROUP_NOT_FOUND when it cannot, with @why; -ENOMEM. */
int consumer_upgrade(struct group *g, const char **why);
/* Whether all members speak the classic protocol, and the group may become a classic one. */
bool consumer_may_downgrade(const struct group *g);
/* It becomes one. */
void consumer_downgrade(struct group *g);

/* ---- consumer_describe.c ---- */
void groups_consumer_describe(struct groups *gs, struct coord_consumer_describe *rq);
/* As consumer_list(), with the names of the topics. */
struct coord_partitions *consumer_list_named(struct coord_request *rq, const struct meta_image *image,
                                             const struct assignment *a, int32_t *ret_count, bool *failed);
/* Copies of the names; NULL: no memory. */
struct str *consumer_list_names(struct coord_request *rq, const struct consumer_names *n, bool *failed);

/* ---- consumer_replay.c ---- */

/* One record of such a group. Return: 0, RECORDS_E_OTHER, RECORDS_E_MALFORMED, -ENOMEM. */
int consumer_replay(struct groups *gs, struct arena *a, const struct records_key *key, struct span value);
