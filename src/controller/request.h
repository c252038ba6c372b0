/* What can be asked of the controller, and what it answers. A request is its asker's until controller_submit(), the
 * controller's until done(), and its asker's again. No error codes of the protocol here: handlers map the outcomes. */
#pragma once

#include "base/arena.h"
#include "conf/entry.h"
#include "meta/record.h"
#include "quorum/quorum.h"

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
        CONTROLLER_E_BROKER_EPOCH,     /* of an older registration */
        CONTROLLER_E_BROKER_DUPLICATE, /* another process has this id, and its lease is valid */
        CONTROLLER_E_CLUSTER,          /* the broker belongs to another cluster */
        CONTROLLER_E_FEATURE,          /* not a possible level, or a broker cannot do what is finalised */
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

struct controller_register_broker {
        struct rec_broker broker; /* epoch, fenced and in_shutdown are not read. Initialise with rec_broker_init() */
        struct str cluster_id;    /* null: not checked */
        int64_t previous_epoch;   /* of the registration that ended in a clean stop, -1: the last stop was not clean */
        int64_t epoch;            /* out */
        struct controller_result result;
};

struct controller_heartbeat {
        int32_t broker_id;
        int64_t broker_epoch;
        int64_t applied_index; /* of the metadata that the broker works with */
        bool want_fence;       /* not ready, or not well */
        bool want_shutdown;
        bool fenced;          /* out: from now on */
        bool caught_up;       /* out */
        bool should_shutdown; /* out: nothing is left that could be moved away */
        struct controller_result result;
};

struct controller_unregister_broker {
        int32_t broker_id;
        struct controller_result result;
};

/* ---- features ---- */

struct controller_update_feature {
        struct str name;
        int16_t level; /* 0: not finalised any more */
        bool allow_downgrade;
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
};

struct controller_request {
        /* By the asker. Items, text and arrays are borrowed until done(). */
        enum controller_op op;
        bool validate_only; /* topics, partitions, configs, features: judge, change nothing */
        bool wait_applied;  /* done() comes after every subscriber that acks has taken the change up */
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
        bool proposed; /* @proposal is on its way */
};
