/* Kafka's error codes: one table of code, name, whether a client may try again, and what we say when nothing more exact
 * is known. Source: the protocol guide of Kafka 4.3. Used only by handler/ and wire/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define WIRE_RETRIES true
#define WIRE_FINAL false

/* KERR(code, NAME, retriable, message) */
#define WIRE_ERRORS(KERR) \
        KERR(-1, UNKNOWN_SERVER_ERROR, WIRE_FINAL, "The server failed in a way it did not expect.") \
        KERR(0, NONE, WIRE_FINAL, "") \
        KERR(1, OFFSET_OUT_OF_RANGE, WIRE_FINAL, "The offset is not within the log of this partition.") \
        KERR(2, CORRUPT_MESSAGE, WIRE_RETRIES, "The record batch fails its checksum or is damaged in another way.") \
        KERR(3, UNKNOWN_TOPIC_OR_PARTITION, WIRE_RETRIES, "This server does not host this topic or partition.") \
        KERR(4, INVALID_FETCH_SIZE, WIRE_FINAL, "The fetch size must be positive.") \
        KERR(5, LEADER_NOT_AVAILABLE, WIRE_RETRIES, "The partition has no leader at the moment.") \
        KERR(6, NOT_LEADER_OR_FOLLOWER, WIRE_RETRIES, "This broker is not the leader, or holds no replica.") \
        KERR(7, REQUEST_TIMED_OUT, WIRE_RETRIES, "The request was not finished within its time.") \
        KERR(8, BROKER_NOT_AVAILABLE, WIRE_FINAL, "The broker is not available.") \
        KERR(9, REPLICA_NOT_AVAILABLE, WIRE_RETRIES, "The replica is not available on this broker.") \
        KERR(10, MESSAGE_TOO_LARGE, WIRE_FINAL, "The batch is larger than the topic allows (max.message.bytes).") \
        KERR(11, STALE_CONTROLLER_EPOCH, WIRE_FINAL, "The controller has moved to another node.") \
        KERR(12, OFFSET_METADATA_TOO_LARGE, WIRE_FINAL, "The text beside the committed offset is too long.") \
        KERR(13, NETWORK_EXCEPTION, WIRE_RETRIES, "The connection broke before an answer came.") \
        KERR(14, COORDINATOR_LOAD_IN_PROGRESS, WIRE_RETRIES, "The coordinator is still reading its log.") \
        KERR(15, COORDINATOR_NOT_AVAILABLE, WIRE_RETRIES, "The coordinator is not available.") \
        KERR(16, NOT_COORDINATOR, WIRE_RETRIES, "This broker is not the coordinator.") \
        KERR(17, INVALID_TOPIC_EXCEPTION, WIRE_FINAL, \
             "The topic name is not valid, or the topic is not for this use.") \
        KERR(18, RECORD_LIST_TOO_LARGE, WIRE_FINAL, "The record batches are larger than a segment.") \
        KERR(19, NOT_ENOUGH_REPLICAS, WIRE_RETRIES, "Fewer replicas are in sync than min.insync.replicas asks for.") \
        KERR(20, NOT_ENOUGH_REPLICAS_AFTER_APPEND, WIRE_RETRIES, \
             "The records were appended, then replicas in sync fell below min.insync.replicas.") \
        KERR(21, INVALID_REQUIRED_ACKS, WIRE_FINAL, "acks must be 0, 1 or -1.") \
        KERR(22, ILLEGAL_GENERATION, WIRE_FINAL, "The generation is not that of the group.") \
        KERR(23, INCONSISTENT_GROUP_PROTOCOL, WIRE_FINAL, \
             "The member shares no protocol type or protocol with the rest of the group.") \
        KERR(24, INVALID_GROUP_ID, WIRE_FINAL, "The group id is not valid.") \
        KERR(25, UNKNOWN_MEMBER_ID, WIRE_FINAL, "The group has no such member.") \
        KERR(26, INVALID_SESSION_TIMEOUT, WIRE_FINAL, "The session time-out is outside of what the broker allows.") \
        KERR(27, REBALANCE_IN_PROGRESS, WIRE_FINAL, "The group is rebalancing; join again.") \
        KERR(28, INVALID_COMMIT_OFFSET_SIZE, WIRE_FINAL, "The offset to commit is too large to be stored.") \
        KERR(29, TOPIC_AUTHORIZATION_FAILED, WIRE_FINAL, "Not allowed for this topic.") \
        KERR(30, GROUP_AUTHORIZATION_FAILED, WIRE_FINAL, "Not allowed for this group.") \
        KERR(31, CLUSTER_AUTHORIZATION_FAILED, WIRE_FINAL, "Not allowed for the cluster.") \
        KERR(32, INVALID_TIMESTAMP, WIRE_FINAL, "A record's timestamp is outside of what the topic allows.") \
        KERR(33, UNSUPPORTED_SASL_MECHANISM, WIRE_FINAL, "The SASL mechanism is not enabled here.") \
        KERR(34, ILLEGAL_SASL_STATE, WIRE_FINAL, "The request does not fit this point of the SASL exchange.") \
        KERR(35, UNSUPPORTED_VERSION, WIRE_FINAL, "This version of the API is not served.") \
        KERR(36, TOPIC_ALREADY_EXISTS, WIRE_FINAL, "A topic of this name exists.") \
        KERR(37, INVALID_PARTITIONS, WIRE_FINAL, "The number of partitions is not valid.") \
        KERR(38, INVALID_REPLICATION_FACTOR, WIRE_FINAL, \
             "The replication factor is below 1 or above the number of brokers.") \
        KERR(39, INVALID_REPLICA_ASSIGNMENT, WIRE_FINAL, "The replica assignment is not valid.") \
        KERR(40, INVALID_CONFIG, WIRE_FINAL, "The configuration is not valid.") \
        KERR(41, NOT_CONTROLLER, WIRE_RETRIES, "This node is not the active controller.") \
        KERR(42, INVALID_REQUEST, WIRE_FINAL, "The request does not make sense; see the server's diagnostics.") \
        KERR(43, UNSUPPORTED_FOR_MESSAGE_FORMAT, WIRE_FINAL, "The record format on the server does not support this.") \
        KERR(44, POLICY_VIOLATION, WIRE_FINAL, "The request is against the policy of this cluster.") \
        KERR(45, OUT_OF_ORDER_SEQUENCE_NUMBER, WIRE_FINAL, "The batch does not follow this producer's last one.") \
        KERR(46, DUPLICATE_SEQUENCE_NUMBER, WIRE_FINAL, "The batch was appended before.") \
        KERR(47, INVALID_PRODUCER_EPOCH, WIRE_FINAL, "The producer's epoch is older than the one known here.") \
        KERR(48, INVALID_TXN_STATE, WIRE_FINAL, "The transaction is not in a state that allows this.") \
        KERR(49, INVALID_PRODUCER_ID_MAPPING, WIRE_FINAL, \
             "The producer id is not the one that belongs to this transactional id.") \
        KERR(50, INVALID_TRANSACTION_TIMEOUT, WIRE_FINAL, \
             "The transaction time-out is above what the broker allows (transaction.max.timeout.ms).") \
        KERR(51, CONCURRENT_TRANSACTIONS, WIRE_RETRIES, \
             "An earlier operation on this transaction has not finished yet.") \
        KERR(52, TRANSACTION_COORDINATOR_FENCED, WIRE_FINAL, "The transaction coordinator has been replaced.") \
        KERR(53, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, WIRE_FINAL, "Not allowed for this transactional id.") \
        KERR(54, SECURITY_DISABLED, WIRE_FINAL, "No access lists are kept here.") \
        KERR(55, OPERATION_NOT_ATTEMPTED, WIRE_FINAL, "Not tried, because another part of the request failed.") \
        KERR(56, KAFKA_STORAGE_ERROR, WIRE_RETRIES, "The disk below this partition failed.") \
        KERR(57, LOG_DIR_NOT_FOUND, WIRE_FINAL, "The broker has no such data directory.") \
        KERR(58, SASL_AUTHENTICATION_FAILED, WIRE_FINAL, "Authentication failed.") \
        KERR(59, UNKNOWN_PRODUCER_ID, WIRE_FINAL, "Nothing is known of this producer here.") \
        KERR(60, REASSIGNMENT_IN_PROGRESS, WIRE_FINAL, "The partition is being reassigned.") \
        KERR(61, DELEGATION_TOKEN_AUTH_DISABLED, WIRE_FINAL, "Delegation tokens are not enabled.") \
        KERR(62, DELEGATION_TOKEN_NOT_FOUND, WIRE_FINAL, "There is no such delegation token.") \
        KERR(63, DELEGATION_TOKEN_OWNER_MISMATCH, WIRE_FINAL, "The principal is neither owner nor renewer.") \
        KERR(64, DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, WIRE_FINAL, \
             "Delegation token requests need a connection that is authenticated, and not by such a token.") \
        KERR(65, DELEGATION_TOKEN_AUTHORIZATION_FAILED, WIRE_FINAL, "Not allowed for this delegation token.") \
        KERR(66, DELEGATION_TOKEN_EXPIRED, WIRE_FINAL, "The delegation token has expired.") \
        KERR(67, INVALID_PRINCIPAL_TYPE, WIRE_FINAL, "This type of principal is not supported.") \
        KERR(68, NON_EMPTY_GROUP, WIRE_FINAL, "The group still has members.") \
        KERR(69, GROUP_ID_NOT_FOUND, WIRE_FINAL, "There is no such group.") \
        KERR(70, FETCH_SESSION_ID_NOT_FOUND, WIRE_RETRIES, "There is no such fetch session.") \
        KERR(71, INVALID_FETCH_SESSION_EPOCH, WIRE_RETRIES, "The fetch session's epoch is not the expected one.") \
        KERR(72, LISTENER_NOT_FOUND, WIRE_RETRIES, "The leader has no listener of the name that was used here.") \
        KERR(73, TOPIC_DELETION_DISABLED, WIRE_FINAL, "Deleting topics is switched off.") \
        KERR(74, FENCED_LEADER_EPOCH, WIRE_RETRIES, "The leader epoch of the request is older than this broker's.") \
        KERR(75, UNKNOWN_LEADER_EPOCH, WIRE_RETRIES, "The leader epoch of the request is newer than this broker's.") \
        KERR(76, UNSUPPORTED_COMPRESSION_TYPE, WIRE_FINAL, \
             "The client's version of the API does not know the compression of these records.") \
        KERR(77, STALE_BROKER_EPOCH, WIRE_FINAL, "The broker's epoch is not its present one.") \
        KERR(78, OFFSET_NOT_AVAILABLE, WIRE_RETRIES, \
             "The leader's high watermark has not caught up after its election.") \
        KERR(79, MEMBER_ID_REQUIRED, WIRE_FINAL, "Join again with the member id of this answer.") \
        KERR(80, PREFERRED_LEADER_NOT_AVAILABLE, WIRE_RETRIES, "The preferred leader is not available.") \
        KERR(81, GROUP_MAX_SIZE_REACHED, WIRE_FINAL, "The group is full.") \
        KERR(82, FENCED_INSTANCE_ID, WIRE_FINAL, "Another member has taken over this group.instance.id.") \
        KERR(83, ELIGIBLE_LEADERS_NOT_AVAILABLE, WIRE_RETRIES, "No replica that may lead is available.") \
        KERR(84, ELECTION_NOT_NEEDED, WIRE_RETRIES, "The partition has the wanted leader already.") \
        KERR(85, NO_REASSIGNMENT_IN_PROGRESS, WIRE_FINAL, "The partition is not being reassigned.") \
        KERR(86, GROUP_SUBSCRIBED_TO_TOPIC, WIRE_FINAL, "Members of the group are subscribed to the topic.") \
        KERR(87, INVALID_RECORD, WIRE_FINAL, "A record breaks a rule of the topic or of the format.") \
        KERR(88, UNSTABLE_OFFSET_COMMIT, WIRE_RETRIES, "A transaction on these offsets is not decided yet.") \
        KERR(89, THROTTLING_QUOTA_EXCEEDED, WIRE_RETRIES, "The quota is used up; wait for the given time.") \
        KERR(90, PRODUCER_FENCED, WIRE_FINAL, "A newer producer has taken over this transactional id.") \
        KERR(91, RESOURCE_NOT_FOUND, WIRE_FINAL, "There is no such resource.") \
        KERR(92, DUPLICATE_RESOURCE, WIRE_FINAL, "The resource is named more than once.") \
        KERR(93, UNACCEPTABLE_CREDENTIAL, WIRE_FINAL, "The credential does not meet the requirements.") \
        KERR(94, INCONSISTENT_VOTER_SET, WIRE_FINAL, "The sender's voters are not the ones known here.") \
        KERR(95, INVALID_UPDATE_VERSION, WIRE_FINAL, "The version of the update is not the expected one.") \
        KERR(96, FEATURE_UPDATE_FAILED, WIRE_FINAL, "The feature could not be changed.") \
        KERR(97, PRINCIPAL_DESERIALIZATION_FAILURE, WIRE_FINAL, "The forwarded principal cannot be read.") \
        KERR(98, SNAPSHOT_NOT_FOUND, WIRE_FINAL, "There is no such snapshot.") \
        KERR(99, POSITION_OUT_OF_RANGE, WIRE_FINAL, "The position is not within the snapshot.") \
        KERR(100, UNKNOWN_TOPIC_ID, WIRE_RETRIES, "This server hosts no topic of this id.") \
        KERR(101, DUPLICATE_BROKER_REGISTRATION, WIRE_FINAL, "Another broker is registered under this id.") \
        KERR(102, BROKER_ID_NOT_REGISTERED, WIRE_FINAL, "No broker is registered under this id.") \
        KERR(103, INCONSISTENT_TOPIC_ID, WIRE_RETRIES, "The topic's id is not the one known here.") \
        KERR(104, INCONSISTENT_CLUSTER_ID, WIRE_FINAL, "The request is meant for another cluster.") \
        KERR(105, TRANSACTIONAL_ID_NOT_FOUND, WIRE_FINAL, "There is no such transactional id.") \
        KERR(106, FETCH_SESSION_TOPIC_ID_ERROR, WIRE_RETRIES, "The fetch session mixes topic names and topic ids.") \
        KERR(107, INELIGIBLE_REPLICA, WIRE_FINAL, "The new in-sync set holds a replica that may not be in it.") \
        KERR(108, NEW_LEADER_ELECTED, WIRE_FINAL, "The change made another replica the leader.") \
        KERR(109, OFFSET_MOVED_TO_TIERED_STORAGE, WIRE_FINAL, "The offset is in object storage only.") \
        KERR(110, FENCED_MEMBER_EPOCH, WIRE_FINAL, "The member's epoch is not valid; join again.") \
        KERR(111, UNRELEASED_INSTANCE_ID, WIRE_FINAL, "Another member still holds this group.instance.id.") \
        KERR(112, UNSUPPORTED_ASSIGNOR, WIRE_FINAL, "The broker has no such assignor.") \
        KERR(113, STALE_MEMBER_EPOCH, WIRE_FINAL, "The member's epoch is older than the one known here.") \
        KERR(114, MISMATCHED_ENDPOINT_TYPE, WIRE_FINAL, "The request went to the wrong type of endpoint.") \
        KERR(115, UNSUPPORTED_ENDPOINT_TYPE, WIRE_FINAL, "This type of endpoint is not supported here.") \
        KERR(116, UNKNOWN_CONTROLLER_ID, WIRE_FINAL, "No controller has this id.") \
        KERR(117, UNKNOWN_SUBSCRIPTION_ID, WIRE_FINAL, "The subscription id is not the present one.") \
        KERR(118, TELEMETRY_TOO_LARGE, WIRE_FINAL, "The metrics are larger than the broker takes.") \
        KERR(119, INVALID_REGISTRATION, WIRE_FINAL, "The registration is not valid.") \
        KERR(120, TRANSACTION_ABORTABLE, WIRE_FINAL, "The transaction failed; abort it and go on.") \
        KERR(121, INVALID_RECORD_STATE, WIRE_FINAL, "The record is not in a state that can be acknowledged so.") \
        KERR(122, SHARE_SESSION_NOT_FOUND, WIRE_RETRIES, "There is no such share session.") \
        KERR(123, INVALID_SHARE_SESSION_EPOCH, WIRE_RETRIES, "The share session's epoch is not the expected one.") \
        KERR(124, FENCED_STATE_EPOCH, WIRE_FINAL, "The share state's epoch is older than the one known here.") \
        KERR(125, INVALID_VOTER_KEY, WIRE_FINAL, "The voter's id and directory are not those of this node.") \
        KERR(126, DUPLICATE_VOTER, WIRE_FINAL, "The voter is a member already.") \
        KERR(127, VOTER_NOT_FOUND, WIRE_FINAL, "There is no such voter.") \
        KERR(128, INVALID_REGULAR_EXPRESSION, WIRE_FINAL, "The regular expression is not valid.") \
        KERR(129, REBOOTSTRAP_REQUIRED, WIRE_FINAL, "Start again from the bootstrap servers.") \
        KERR(130, STREAMS_INVALID_TOPOLOGY, WIRE_FINAL, "The topology is not valid.") \
        KERR(131, STREAMS_INVALID_TOPOLOGY_EPOCH, WIRE_FINAL, "The topology's epoch is not valid.") \
        KERR(132, STREAMS_TOPOLOGY_FENCED, WIRE_FINAL, "The topology's epoch is older than the group's.") \
        KERR(133, SHARE_SESSION_LIMIT_REACHED, WIRE_RETRIES, "The broker holds as many share sessions as it may.")

#define WIRE_ERROR_ENUM(code, name, retriable, message) KERR_##name = code,
enum wire_error { WIRE_ERRORS(WIRE_ERROR_ENUM) };
#undef WIRE_ERROR_ENUM

/* Text of a code. A code that is not in the table gives the row of UNKNOWN_SERVER_ERROR. Never NULL, lives forever. */
const char *wire_error_name(int16_t code);
struct str wire_error_message(int16_t code);
/* Whether clients try again by themselves. */
bool wire_error_retriable(int16_t code);
