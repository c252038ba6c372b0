/* What can be asked of the controller, and what it answers. A request is its asker's until controller_submit(), the
 * controller's until done(), and its asker's again. No error codes of the protocol here: handlers map the outcomes. */
#pragma once

#include "base/arena.h"
#include "conf/entry.h"
#include "meta/record.h"
#include "quorum/quorum.h"
#include "security/acl.h"

/* Of a request as a whole, or of one item of it. */
enum controller_outcome {
        CONTROLLER_OK,
        CONTROLLER_E_NOT_ACTIVE, /* this node is not the active controller */
        CONTROLLER_E_LOST,       /* it stopped being that before the outcome was known */
        CONTROLLER_E_BUSY,       /* too much is on its way; try again */
        CONTROLLER_E_TOO_LARGE,  /* more than one request may change at once */
        CONTROLLER_E_NO_MEMORY,
        CONTROLLER_E_NO_SPACE,      /* the disk of the metadata is full */
        CONTROLLER_E_INVALID,       /* the request contradicts itself */
        CONTROLLER_E_TOPIC_NAME,    /* not a name a topic can have */
        CONTROLLER_E_TOPIC_EXISTS,  /* or one whose name would be the same in metrics */
        CONTROLLER_E_TOPIC_UNKNOWN, /* no topic of that name */
        CONTROLLER_E_TOPIC_ID_UNKNOWN,
        CONTROLLER_E_PARTITIONS,  /* not a possible number of partitions */
        CONTROLLER_E_REPLICATION, /* not a possible replication factor */
        CONTROLLER_E_ASSIGNMENT,  /* not a possible assignment of replicas */
        CONTROLLER_E_CONFIG,      /* unknown, read-only or wrong configuration */
        CONTROLLER_E_RESOURCE,    /* no such broker or resource type to configure */
        CONTROLLER_E_BROKER_UNKNOWN,
        CONTROLLER_E_BROKER_EPOCH,            /* of an older registration */
        CONTROLLER_E_BROKER_DUPLICATE,        /* another process has this id, and its lease is valid */
        CONTROLLER_E_CLUSTER,                 /* the broker belongs to another cluster */
        CONTROLLER_E_FEATURE,                 /* not a possible level, or a node cannot do what is finalised */
        CONTROLLER_E_PARTITION_UNKNOWN,       /* the topic is there, the partition is not */
        CONTROLLER_E_AHEAD,                   /* an epoch is newer than what this controller knows: ask another one */
        CONTROLLER_E_LEADER_EPOCH,            /* of an older leader, or the asker does not lead */
        CONTROLLER_E_PARTITION_EPOCH,         /* the partition has changed since */
        CONTROLLER_E_INELIGIBLE,              /* a member is fenced, stopping, or of an older registration */
        CONTROLLER_E_NEW_LEADER,              /* done, and the partition now has another leader than the asker */
        CONTROLLER_E_ELECTION_NOT_NEEDED,     /* it is led by whom the election would choose */
        CONTROLLER_E_PREFERRED_NOT_AVAILABLE, /* the preferred leader is not in sync or not live */
        CONTROLLER_E_ELIGIBLE_NOT_AVAILABLE,  /* no replica is live that could lead */
        CONTROLLER_E_NO_REASSIGNMENT,         /* nothing to cancel */
        CONTROLLER_E_UNSAFE_TO_STOP,          /* the drain guard says no */
        CONTROLLER_E_DISRUPTION_HELD,         /* another one holds the disruption token, or the asker does not */
        CONTROLLER_E_TOO_FEW_BROKERS,         /* the others cannot hold what this broker has to give away */
        CONTROLLER_E_VOTER_KNOWN,             /* it is one of the controllers already */
        CONTROLLER_E_VOTER_UNKNOWN,           /* no such one is among the controllers */
        CONTROLLER_E_VOTER_CHANGE,            /* the controllers cannot be changed so, or not now */
        CONTROLLER_E_DENIED,                  /* said before a controller is asked: the client may not do that */
        CONTROLLER_E_CREDENTIAL,              /* a credential that nobody may have: no name, too few iterations... */
        CONTROLLER_E_CREDENTIAL_UNKNOWN,      /* the user has none for this mechanism */
        CONTROLLER_E_MECHANISM,               /* no mechanism of SCRAM */
        CONTROLLER_E_TOKEN_UNKNOWN,           /* no delegation token has this HMAC */
        CONTROLLER_E_TOKEN_EXPIRED,           /* it is there, but its time is over */
        CONTROLLER_E_TOKEN_STRANGER,          /* the asker neither owns it nor may renew it */
        CONTROLLER_E_TOKENS_FULL,             /* there are as many as there may be, of all or of this asker */
        CONTROLLER_E_LEVEL,                   /* chronik.version is not raised to the level that this belongs to */
        CONTROLLER_E_ROTATION,                /* this password cannot be rotated so, or not now */
        CONTROLLER_OUTCOMES_END
};

/* Outcome and its text for people; the text lives in the request's memory. */
struct controller_result {
        enum controller_outcome outcome;
        struct str message; /* null when OK */
};

/* ---- topics ---- */

struct controller_assignment {
        int32_t partition;
        const int32_t *replicas;
        int32_t replicas_count;
};

struct controller_create_topic {
        struct str name;
        int32_t partitions_count;   /* -1: the default. Becomes the number given */
        int16_t replication_factor; /* -1: the default. Becomes the number given */
        const struct controller_assignment *assignments;
        int32_t assignments_count;
        const struct conf_pair *configs;
        int32_t configs_count;
        struct uuid id; /* out */
        struct controller_result result;
};

/* By name, or by id when the name is null; the other is filled in when the topic is known. */
struct controller_delete_topic {
        struct str name;
        struct uuid id;
        struct controller_result result;
};

struct controller_create_partitions {
        struct str name;
        int32_t count; /* in all, afterwards */
        const struct controller_assignment
                *assignments; /* of the new ones in order (their partition is not read); NULL: chosen */
        int32_t assignments_count;
        struct controller_result result;
};

/* ---- configurations ---- */

enum controller_config_op {
        CONTROLLER_CONFIG_SET,
        CONTROLLER_CONFIG_DELETE,
        CONTROLLER_CONFIG_APPEND,
        CONTROLLER_CONFIG_SUBTRACT,
};

struct controller_config_change {
        struct str name;
        enum controller_config_op op;
        struct str value;
};

/* All changes of one resource, or none. */
struct controller_alter_configs {
        int8_t type; /* enum meta_resource, as it came */
        struct str name;
        bool replace; /* what is not among the changes (all SET) goes */
        const struct controller_config_change *changes;
        int32_t changes_count;
        struct controller_result result;
};

/* ---- producer ids ---- */

struct controller_allocate_ids {
        int32_t broker_id;
        int64_t broker_epoch;
        int64_t first; /* out */
        int32_t count; /* out */
        struct controller_result result;
};

/* ---- brokers ---- */

/* One partition, named by its topic's id. */
struct controller_partition {
        struct uuid topic_id;
        int32_t partition;
};

/* What became of a broker's replicas when its last stop was not clean: nothing is lost of a topic that flushes before it
 * acknowledges, and those keep their places. Replicas of relaxed topics lose theirs unless @same_boot, those in @lost
 * in any case, and those whose directory is not among broker.directories as well. A broker that does not yet know
 * what it lost registers without @lost, keeps itself fenced (want_fence), and reports with CONTROLLER_REPORT_LOSS. */
struct controller_register_broker {
        struct rec_broker broker; /* epoch, fenced, in_shutdown, duty are not read. Initialise with rec_broker_init() */
        struct str cluster_id;    /* null: not checked */
        int64_t previous_epoch;   /* of the registration that ended in a clean stop, -1: the last stop was not clean */
        bool same_boot;           /* only the process ended since it ran last: what was written is still there */
        const struct controller_partition *lost; /* may miss acknowledged records */
        int32_t lost_count;
        int64_t epoch; /* out */
        struct controller_result result;
};

/* A replica may miss acknowledged records: found by recovery or scrubbing, or after a failed write. It leaves ISR and
 * ELR (the only replica of a partition stays, with a new leader epoch); one that is complete leaves as if its broker stopped, so that
 * the last one in sync stays, and may be elected again. Its broker must not lead the partition before its
 * image is at the request's index: followers would cut what it lacks. */
struct controller_report_loss {
        int32_t broker_id;
        int64_t broker_epoch;
        struct uuid topic_id;
        int32_t partition;
        bool is_complete; /* it takes nothing more, but all that it has acknowledged is there */
        struct controller_result result;
};

struct controller_heartbeat {
        int32_t broker_id;
        int64_t broker_epoch;
        int64_t applied_index; /* of the metadata that the broker works with */
        bool want_fence;       /* not ready, or not well */
        bool want_shutdown;
        bool guarded;         /* with want_shutdown: only when the drain guard has nothing against it */
        bool fenced;          /* out: from now on. Then it has no lease, and acknowledges nothing */
        bool caught_up;       /* out: it knows of its registration, and of what fenced it last */
        bool should_shutdown; /* out: all that others could lead has moved, and they know */
        bool held;            /* out: want_shutdown was not followed because of the guard; result.message says why */
        struct controller_result result;
};

struct controller_unregister_broker {
        int32_t broker_id;
        struct controller_result result;
};

/* What is asked of a broker for longer than a restart; kept in the metadata. Drained: it gets no new replicas, and leads
 * only what nobody else can. Decommissioned: its replicas move to others too, a few at a time, and then it is
 * unregistered. Asking for what is already so changes nothing. For CONTROLLER_DRAIN_BROKER, _UNDRAIN_ and
 * _DECOMMISSION_. */
struct controller_broker_duty {
        int32_t broker_id;
        struct controller_result result;
};

/* ---- partitions ---- */

struct controller_isr_member {
        int32_t broker_id;
        int64_t broker_epoch; /* under which the leader knows it; -1: not checked */
};

/* A partition as it is after the decision. */
struct controller_partition_state {
        int32_t leader;
        int32_t leader_epoch;
        int32_t partition_epoch;
        int32_t min_isr;    /* effective: not more than there are replicas */
        bool recovering;    /* elected uncleanly, and the leader has not yet said that it is done (KIP-704) */
        const int32_t *isr; /* in the request's memory */
        int32_t isr_count;
};

/* The leader says who is in sync: compare-and-set on both epochs (KIP-497, KIP-841, KIP-903). The leader may count on
 * the new ISR only when its image is at the request's index. */
struct controller_alter_partition {
        int32_t broker_id; /* the leader */
        int64_t broker_epoch;
        struct uuid topic_id;
        int32_t partition;
        int32_t leader_epoch;
        int32_t partition_epoch;
        bool recovering; /* still, after an unclean election */
        const struct controller_isr_member *isr;
        int32_t isr_count;
        struct controller_partition_state state; /* out, whenever the partition is known */
        struct controller_result result;
};

enum controller_election {
        CONTROLLER_ELECT_PREFERRED, /* the first replica, when it is in sync */
        CONTROLLER_ELECT_UNCLEAN,   /* anyone live, when there is no leader: acknowledged records may be lost */
};

struct controller_elect_leader {
        struct str topic;
        int32_t partition;
        enum controller_election type;
        struct controller_result result;
};

/* Reassignment (KIP-455). A new one takes the place of one that is going on. */
struct controller_reassign {
        struct str topic;
        int32_t partition;
        bool cancel;
        bool keep_factor; /* refuse another number of replicas (KIP-860) */
        const int32_t *replicas;
        int32_t replicas_count;
        struct controller_result result;
};

/* ---- disruption ---- */

/* May this node stop now? What only the node knows of the quorum comes in; the answer changes nothing. */
struct controller_guard {
        int32_t node_id;
        bool quorum_would_be_lost; /* by the stop of the node, if it is a voter */
        bool safe;                 /* out; otherwise: */
        int32_t below_min_isr;     /* partitions that would take no acks=all any more */
        int32_t offline;           /* partitions that would have no leader (among those above) */
        struct str partitions;     /* "t-0, t-7, ...": the first few of them */
        struct controller_result result;
};

enum controller_disruption_op {
        CONTROLLER_DISRUPTION_ACQUIRE,  /* refused while another one holds it, or the guard says no */
        CONTROLLER_DISRUPTION_RELEASE,  /* by its holder */
        CONTROLLER_DISRUPTION_OVERRIDE, /* acquire in spite of holder and guard; recorded in the metadata with @reason */
};

/* The cluster's one disruption token: who is taking a node down on purpose. */
struct controller_disruption {
        enum controller_disruption_op op;
        int32_t node_id; /* that is to be disturbed */
        struct str who;  /* principal or host that asks; the same one may acquire again, and so prolong */
        struct str reason;
        int64_t ttl_ms;            /* after which the token is free by itself */
        bool quorum_would_be_lost; /* as in controller_guard */
        int64_t until_ms;          /* out: wall clock */
        struct controller_result result;
};

/* ---- features ---- */

enum controller_feature_change {
        CONTROLLER_FEATURE_UPGRADE,
        CONTROLLER_FEATURE_SAFE_DOWNGRADE,   /* refused when something finalised could be lost */
        CONTROLLER_FEATURE_UNSAFE_DOWNGRADE, /* not refused for that */
};

struct controller_update_feature {
        struct str name;
        int16_t level; /* 0: not finalised any more */
        enum controller_feature_change change;
        struct controller_result result;
};

/* ---- rules of access ---- */

/* One that is there already is fine. */
struct controller_create_acl {
        struct meta_acl_entry entry;
        struct controller_result result;
};

/* All that the filter means; that there is none is fine. */
struct controller_delete_acls {
        struct acl_filter filter;
        const struct meta_acl_entry *deleted; /* out, in the request's memory */
        int32_t deleted_count;
        struct controller_result result;
};

/* ---- users ---- */

/* One credential of a user: what is to be known of it from now on, or nothing. */
struct controller_alter_credential {
        struct str user;
        int8_t mechanism; /* enum scram_mechanism, as it came */
        bool remove;
        int32_t iterations; /* this and what follows: unless @remove */
        struct span salt, stored_key, server_key;
        struct span decoy_seed; /* random: the cluster's, if it has none yet */
        struct controller_result result;
};

/* A password set in place of another one, which counts as well until the overlap is over. */
struct controller_rotated {
        int8_t mechanism;
        int32_t iterations;
        struct span salt; /* with @iterations: those that the user has */
        struct span stored_key, server_key;
};

/* A user's new password, for every mechanism that the user has, or for none of them; with @finish the end of an overlap. */
struct controller_rotate_user {
        struct str user;
        bool finish;
        int64_t overlap_ms; /* up to CONTROLLER_OVERLAP_MS_MAX; this and what follows: unless @finish */
        const struct controller_rotated *credentials;
        int32_t credentials_count;
        int64_t until_ms; /* out: wall clock, when the earlier password ends */
        struct controller_result result;
};

/* Two passwords with one salt are for the time in which clients are told the new one: a month. */
#define CONTROLLER_OVERLAP_MS_MAX (INT64_C(31) * 24 * 3600 * 1000)

/* ---- delegation tokens ---- */

/* A new one (KIP-48). Who asks made it, with the secret of the cluster; here it gets its times. Principals: "User:alice". */
struct controller_create_token {
        struct str id, owner, requester;
        const struct str *renewers;
        int32_t renewers_count;
        int64_t lifetime_ms; /* at most; not above 0: as long as there may be */
        int32_t iterations;  /* this and what follows: see RecDelegationToken */
        struct span digest, salt;
        struct span sha256_stored_key, sha256_server_key, sha512_stored_key, sha512_server_key;
        int64_t issue_ms, expiry_ms, max_ms; /* out: wall clock */
        struct controller_result result;
};

/* Another end for the one whose HMAC has @digest: CONTROLLER_RENEW_TOKENS, so long from now; CONTROLLER_EXPIRE_TOKENS likewise, or at
 * once. */
struct controller_alter_token {
        struct span digest;
        struct str id;     /* its own, as far as the asker knows it, who may record it; the controller never sees it */
        struct str who;    /* asks */
        int64_t period_ms; /* renew: not above 0: as long as there may be. expire: below 0: the token goes now */
        int64_t expiry_ms; /* out: wall clock; of a token that has gone @period_ms, as in Kafka */
        struct controller_result result;
};

/* ---- the quorum ---- */

enum controller_member_kind {
        CONTROLLER_VOTER,
        CONTROLLER_LEARNER,  /* copies the metadata log in order to become a voter */
        CONTROLLER_OBSERVER, /* follows what is committed */
        CONTROLLER_MEMBER_KINDS_END
};

/* One that has the metadata, as the active controller sees it. */
struct controller_member {
        int32_t node_id;
        enum controller_member_kind kind;
        struct uuid directory;
        struct str address;   /* HOST:PORT of its peer listener; null: not known */
        int64_t end_index;    /* the last entry that it has; -1: not known */
        int64_t heard_ms;     /* wall clock: when it asked for entries last, or took some; -1: not in this reign */
        int64_t caught_up_ms; /* likewise: when it last had all that there was; -1: not in this reign */
};

/* How the metadata log is kept. */
struct controller_describe_quorum {
        int32_t leader_id; /* out, likewise what follows */
        int32_t term;
        int64_t committed_index;
        int64_t log_first_index; /* of the leader's log; what came before is in its image */
        int64_t log_bytes;
        const struct controller_member *members; /* in the request's memory: voters first, by rising id */
        int32_t members_count;
        struct str trouble; /* what keeps the controllers from being as they should be; null: nothing */
        struct controller_result result;
};

/* A change of the controllers, one at a time: CONTROLLER_ADD_VOTER, _REMOVE_VOTER; or CONTROLLER_TRANSFER: this one is to be
 * the active controller, -1 for the one with most of the log. */
struct controller_voter_change {
        int32_t node_id;
        struct uuid directory; /* zero: whichever it has */
        struct str address;    /* add: HOST:PORT of its peer listener */
        struct controller_result result;
};

/* ---- the request ---- */

enum controller_op {
        CONTROLLER_CREATE_TOPICS,
        CONTROLLER_DELETE_TOPICS,
        CONTROLLER_CREATE_PARTITIONS,
        CONTROLLER_ALTER_CONFIGS,
        CONTROLLER_ALLOCATE_IDS,
        CONTROLLER_REGISTER_BROKER,
        CONTROLLER_HEARTBEAT,
        CONTROLLER_UNREGISTER_BROKER,
        CONTROLLER_UPDATE_FEATURES,
        CONTROLLER_REPORT_LOSS,
        CONTROLLER_ALTER_PARTITION,
        CONTROLLER_ELECT_LEADERS,
        CONTROLLER_ALTER_REASSIGNMENTS,
        CONTROLLER_DRAIN_BROKER,
        CONTROLLER_UNDRAIN_BROKER,
        CONTROLLER_DECOMMISSION_BROKER,
        CONTROLLER_GUARD,
        CONTROLLER_DISRUPTION,
        CONTROLLER_DESCRIBE_QUORUM,
        CONTROLLER_ADD_VOTER,
        CONTROLLER_REMOVE_VOTER,
        CONTROLLER_TRANSFER,
        CONTROLLER_CREATE_ACLS,
        CONTROLLER_DELETE_ACLS,
        CONTROLLER_ALTER_CREDENTIALS,
        CONTROLLER_CREATE_TOKENS,
        CONTROLLER_RENEW_TOKENS,
        CONTROLLER_EXPIRE_TOKENS,
        CONTROLLER_ROTATE_USERS,
};
#define CONTROLLER_OPS_COUNT (CONTROLLER_ROTATE_USERS + 1)

struct controller_request {
        /* By the asker. Items, text and arrays are borrowed until done(). */
        enum controller_op op;
        bool validate_only; /* topics, partitions, configs, features: judge, change nothing */
        bool wait_applied;  /* done() comes after every subscriber that acks has taken the change up */
        bool here_only;     /* not to be passed on when another node is active. DESCRIBE_QUORUM: what this node knows */
        int64_t timeout_ms; /* how long an active controller may be looked for; 0: 30 s */
        struct loop *reply_loop;
        void (*done)(struct controller_request *rq); /* on @reply_loop, exactly once; may free the request */
        void *arg;
        struct arena *mem; /* for text of results; not to be touched by the asker until done() */
        union {
                struct controller_create_topic *create_topics;
                struct controller_delete_topic *delete_topics;
                struct controller_create_partitions *create_partitions;
                struct controller_alter_configs *alter_configs;
                struct controller_allocate_ids *allocate_ids;
                struct controller_register_broker *register_broker;
                struct controller_heartbeat *heartbeat;
                struct controller_unregister_broker *unregister_broker;
                struct controller_update_feature *update_features;
                struct controller_report_loss *report_loss;
                struct controller_alter_partition *alter_partition;
                struct controller_elect_leader *elect_leaders;
                struct controller_reassign *reassign;
                struct controller_broker_duty *broker_duty; /* drain, undrain, decommission */
                struct controller_guard *guard;
                struct controller_disruption *disruption;
                struct controller_describe_quorum *describe_quorum;
                struct controller_voter_change *voter_change; /* add, remove, transfer */
                struct controller_create_acl *create_acls;
                struct controller_delete_acls *delete_acls;
                struct controller_alter_credential *alter_credentials;
                struct controller_create_token *create_tokens;
                struct controller_alter_token *alter_tokens; /* renew, expire */
                struct controller_rotate_user *rotate_users;
                void *items;
        };
        uint32_t items_count;

        /* Of the whole; only when this is CONTROLLER_OK the items have results of their own. */
        struct controller_result result;
        int64_t index; /* of the metadata that holds what was changed or seen */

        /* The controller's. */
        struct mail mail;
        struct ilist link;
        struct quorum_proposal proposal;
        struct controller *controller;
        bool proposed;     /* @proposal is on its way */
        bool decided_here; /* it stands on what this node has proposed up to @index and not seen committed */
};
