/* The APIs that are served, one row each: this table is what ApiVersions advertises and what dispatch uses. A row exists
 * only when its handler does. Versions: what a Kafka 4.3 broker serves, restricted to what is implemented here. */
#pragma once

#include <stdint.h>

struct rq;
struct wire_api;

/* Keys of the protocol that are served here. */
enum {
        KAPI_PRODUCE = 0,
        KAPI_FETCH = 1,
        KAPI_LIST_OFFSETS = 2,
        KAPI_METADATA = 3,
        KAPI_OFFSET_COMMIT = 8,
        KAPI_OFFSET_FETCH = 9,
        KAPI_FIND_COORDINATOR = 10,
        KAPI_JOIN_GROUP = 11,
        KAPI_HEARTBEAT = 12,
        KAPI_LEAVE_GROUP = 13,
        KAPI_SYNC_GROUP = 14,
        KAPI_DESCRIBE_GROUPS = 15,
        KAPI_LIST_GROUPS = 16,
        KAPI_SASL_HANDSHAKE = 17,
        KAPI_API_VERSIONS = 18,
        KAPI_CREATE_TOPICS = 19,
        KAPI_DELETE_TOPICS = 20,
        KAPI_DELETE_RECORDS = 21,
        KAPI_INIT_PRODUCER_ID = 22,
        KAPI_OFFSET_FOR_LEADER_EPOCH = 23,
        KAPI_ADD_PARTITIONS_TO_TXN = 24,
        KAPI_ADD_OFFSETS_TO_TXN = 25,
        KAPI_END_TXN = 26,
        KAPI_WRITE_TXN_MARKERS = 27,
        KAPI_TXN_OFFSET_COMMIT = 28,
        KAPI_DESCRIBE_ACLS = 29,
        KAPI_CREATE_ACLS = 30,
        KAPI_DELETE_ACLS = 31,
        KAPI_DESCRIBE_CONFIGS = 32,
        KAPI_ALTER_CONFIGS = 33,
        KAPI_ALTER_REPLICA_LOG_DIRS = 34,
        KAPI_DESCRIBE_LOG_DIRS = 35,
        KAPI_SASL_AUTHENTICATE = 36,
        KAPI_CREATE_PARTITIONS = 37,
        KAPI_CREATE_DELEGATION_TOKEN = 38,
        KAPI_RENEW_DELEGATION_TOKEN = 39,
        KAPI_EXPIRE_DELEGATION_TOKEN = 40,
        KAPI_DESCRIBE_DELEGATION_TOKEN = 41,
        KAPI_DELETE_GROUPS = 42,
        KAPI_ELECT_LEADERS = 43,
        KAPI_INCREMENTAL_ALTER_CONFIGS = 44,
        KAPI_ALTER_PARTITION_REASSIGNMENTS = 45,
        KAPI_LIST_PARTITION_REASSIGNMENTS = 46,
        KAPI_OFFSET_DELETE = 47,
        KAPI_DESCRIBE_CLIENT_QUOTAS = 48,
        KAPI_ALTER_CLIENT_QUOTAS = 49,
        KAPI_DESCRIBE_USER_SCRAM_CREDENTIALS = 50,
        KAPI_ALTER_USER_SCRAM_CREDENTIALS = 51,
        KAPI_DESCRIBE_QUORUM = 55,
        KAPI_UPDATE_FEATURES = 57,
        KAPI_DESCRIBE_CLUSTER = 60,
        KAPI_DESCRIBE_PRODUCERS = 61,
        KAPI_UNREGISTER_BROKER = 64,
        KAPI_DESCRIBE_TRANSACTIONS = 65,
        KAPI_LIST_TRANSACTIONS = 66,
        KAPI_CONSUMER_GROUP_HEARTBEAT = 68,
        KAPI_CONSUMER_GROUP_DESCRIBE = 69,
        KAPI_GET_TELEMETRY_SUBSCRIPTIONS = 71,
        KAPI_PUSH_TELEMETRY = 72,
        KAPI_LIST_CONFIG_RESOURCES = 74,
        KAPI_DESCRIBE_TOPIC_PARTITIONS = 75,
        KAPI_SHARE_GROUP_HEARTBEAT = 76,
        KAPI_SHARE_GROUP_DESCRIBE = 77,
        KAPI_SHARE_FETCH = 78,
        KAPI_SHARE_ACKNOWLEDGE = 79,
        KAPI_ADD_RAFT_VOTER = 80,
        KAPI_REMOVE_RAFT_VOTER = 81,
        KAPI_DESCRIBE_SHARE_GROUP_OFFSETS = 90,
        KAPI_ALTER_SHARE_GROUP_OFFSETS = 91,
        KAPI_DELETE_SHARE_GROUP_OFFSETS = 92,
};

struct handler_api {
        int16_t key;
        int16_t version_min, version_max; /* implemented */
        int16_t advertised_min;           /* may be lower than version_min: see Produce */
        const char *name;
        void (*fn)(struct rq *rq);
        const struct wire_api *wire; /* flexible versions */
        unsigned number;             /* row in the table: index of counters */
};

/*      key                            min max advertised min, function */
#define HANDLER_APIS(API) \
        API(PRODUCE, 3, 13, 0, produce) \
        API(FETCH, 4, 18, 4, fetch) \
        API(LIST_OFFSETS, 1, 11, 1, list_offsets) \
        API(METADATA, 0, 13, 0, metadata) \
        API(OFFSET_COMMIT, 2, 10, 2, offset_commit) \
        API(OFFSET_FETCH, 1, 10, 1, offset_fetch) \
        API(FIND_COORDINATOR, 0, 6, 0, find_coordinator) \
        API(JOIN_GROUP, 0, 9, 0, join_group) \
        API(HEARTBEAT, 0, 4, 0, heartbeat) \
        API(LEAVE_GROUP, 0, 5, 0, leave_group) \
        API(SYNC_GROUP, 0, 5, 0, sync_group) \
        API(DESCRIBE_GROUPS, 0, 6, 0, describe_groups) \
        API(LIST_GROUPS, 0, 5, 0, list_groups) \
        API(SASL_HANDSHAKE, 0, 1, 0, sasl_handshake) \
        API(API_VERSIONS, 0, 4, 0, api_versions) \
        API(CREATE_TOPICS, 2, 7, 2, create_topics) \
        API(DELETE_TOPICS, 1, 6, 1, delete_topics) \
        API(DELETE_RECORDS, 0, 2, 0, delete_records) \
        API(INIT_PRODUCER_ID, 0, 5, 0, init_producer_id) \
        API(OFFSET_FOR_LEADER_EPOCH, 2, 4, 2, offset_for_leader_epoch) \
        API(ADD_PARTITIONS_TO_TXN, 0, 5, 0, add_partitions_to_txn) \
        API(ADD_OFFSETS_TO_TXN, 0, 4, 0, add_offsets_to_txn) \
        API(END_TXN, 0, 5, 0, end_txn) \
        API(WRITE_TXN_MARKERS, 1, 2, 1, write_txn_markers) \
        API(TXN_OFFSET_COMMIT, 0, 5, 0, txn_offset_commit) \
        API(DESCRIBE_ACLS, 1, 3, 1, describe_acls) \
        API(CREATE_ACLS, 1, 3, 1, create_acls) \
        API(DELETE_ACLS, 1, 3, 1, delete_acls) \
        API(DESCRIBE_CONFIGS, 1, 4, 1, describe_configs) \
        API(ALTER_CONFIGS, 0, 2, 0, alter_configs) \
        API(ALTER_REPLICA_LOG_DIRS, 1, 2, 1, alter_replica_log_dirs) \
        API(DESCRIBE_LOG_DIRS, 1, 5, 1, describe_log_dirs) \
        API(SASL_AUTHENTICATE, 0, 2, 0, sasl_authenticate) \
        API(CREATE_PARTITIONS, 0, 3, 0, create_partitions) \
        API(CREATE_DELEGATION_TOKEN, 1, 3, 1, create_delegation_token) \
        API(RENEW_DELEGATION_TOKEN, 1, 2, 1, renew_delegation_token) \
        API(EXPIRE_DELEGATION_TOKEN, 1, 2, 1, expire_delegation_token) \
        API(DESCRIBE_DELEGATION_TOKEN, 1, 3, 1, describe_delegation_token) \
        API(DELETE_GROUPS, 0, 2, 0, delete_groups) \
        API(ELECT_LEADERS, 0, 2, 0, elect_leaders) \
        API(INCREMENTAL_ALTER_CONFIGS, 0, 1, 0, incremental_alter_configs) \
        API(ALTER_PARTITION_REASSIGNMENTS, 0, 1, 0, alter_partition_reassignments) \
        API(LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, list_partition_reassignments) \
        API(OFFSET_DELETE, 0, 0, 0, offset_delete) \
        API(DESCRIBE_CLIENT_QUOTAS, 0, 1, 0, describe_client_quotas) \
        API(ALTER_CLIENT_QUOTAS, 0, 1, 0, alter_client_quotas) \
        API(DESCRIBE_USER_SCRAM_CREDENTIALS, 0, 0, 0, describe_user_scram_credentials) \
        API(ALTER_USER_SCRAM_CREDENTIALS, 0, 0, 0, alter_user_scram_credentials) \
        API(DESCRIBE_QUORUM, 0, 2, 0, describe_quorum) \
        API(UPDATE_FEATURES, 0, 2, 0, update_features) \
        API(DESCRIBE_CLUSTER, 0, 2, 0, describe_cluster) \
        API(DESCRIBE_PRODUCERS, 0, 0, 0, describe_producers) \
        API(UNREGISTER_BROKER, 0, 0, 0, unregister_broker) \
        API(DESCRIBE_TRANSACTIONS, 0, 0, 0, describe_transactions) \
        API(LIST_TRANSACTIONS, 0, 2, 0, list_transactions) \
        API(CONSUMER_GROUP_HEARTBEAT, 0, 1, 0, consumer_group_heartbeat) \
        API(CONSUMER_GROUP_DESCRIBE, 0, 1, 0, consumer_group_describe) \
        API(GET_TELEMETRY_SUBSCRIPTIONS, 0, 0, 0, get_telemetry_subscriptions) \
        API(PUSH_TELEMETRY, 0, 0, 0, push_telemetry) \
        API(LIST_CONFIG_RESOURCES, 0, 1, 0, list_config_resources) \
        API(DESCRIBE_TOPIC_PARTITIONS, 0, 0, 0, describe_topic_partitions) \
        API(SHARE_GROUP_HEARTBEAT, 1, 1, 1, share_group_heartbeat) \
        API(SHARE_GROUP_DESCRIBE, 1, 1, 1, share_group_describe) \
        API(SHARE_FETCH, 1, 2, 1, share_fetch) \
        API(SHARE_ACKNOWLEDGE, 1, 2, 1, share_acknowledge) \
        API(ADD_RAFT_VOTER, 0, 1, 0, add_raft_voter) \
        API(REMOVE_RAFT_VOTER, 0, 0, 0, remove_raft_voter) \
        API(DESCRIBE_SHARE_GROUP_OFFSETS, 0, 1, 0, describe_share_group_offsets) \
        API(ALTER_SHARE_GROUP_OFFSETS, 0, 0, 0, alter_share_group_offsets) \
        API(DELETE_SHARE_GROUP_OFFSETS, 0, 0, 0, delete_share_group_offsets)

#define API_FUNCTION(NAME, min, max, advertised, fn) void handler_##fn(struct rq *rq);
HANDLER_APIS(API_FUNCTION)
#undef API_FUNCTION

/* The row of @key, or NULL when it is not served. */
const struct handler_api *handler_api_find(int16_t key);
/* All rows in order of key. */
const struct handler_api *handler_apis(unsigned *ret_count);
