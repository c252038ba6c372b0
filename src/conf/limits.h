/* Limits that no configuration changes, each with its reason. What an operator may reasonably want to move is a row of
 * params.def instead. */
#pragma once

#include <assert.h>
#include <stdint.h>

/* Configuration file: a complete one is below 16 KiB; more than this is not a configuration. */
#define LIMIT_CONF_FILE_BYTES (1 << 20)
/* Mistakes reported for one file: a screen of them. */
#define LIMIT_CONF_ERRORS 20

/* Kafka's limit; 249 + '-' + 5 digits of a partition make a file name below 255 bytes (NAME_MAX). */
#define LIMIT_TOPIC_NAME_LEN 249
/* Partition numbers in directory names keep to 5 digits. */
#define LIMIT_PARTITIONS_PER_TOPIC 10000
static_assert(LIMIT_TOPIC_NAME_LEN + 1 + 5 <= 255, "topic-partition is a file name");

/* Smallest request: key, version, correlation id, null client id. */
#define LIMIT_FRAME_BYTES_MIN 10
/* Hard ceiling above server.max_request_bytes: lengths stay far from INT32_MAX, so sums of two fit into 31 bits. */
#define LIMIT_FRAME_BYTES (1 << 30)
static_assert((int64_t)LIMIT_FRAME_BYTES * 2 - 1 <= INT32_MAX, "two frames can be added in 32 bits");

/* Memory that decoding one request may take: decoded structs are larger than their bytes (a 4-byte array element
 * becomes a struct of some dozen bytes). Eight times the frame, never less than 64 KiB. */
#define LIMIT_ARENA_FACTOR 8
#define LIMIT_ARENA_BYTES_MIN (64 * 1024)
static_assert((int64_t)LIMIT_FRAME_BYTES * LIMIT_ARENA_FACTOR <= INT64_MAX / 2, "arena limits can be added");

/* Strings of the protocol that we keep: client id, group id, member id, transactional id. The wire allows 32767; what
 * is kept for longer than a request is cut off here. 256 holds every name that tools make (host name + UUID). */
#define LIMIT_CLIENT_ID_LEN 256
#define LIMIT_GROUP_ID_LEN 1024
#define LIMIT_MEMBER_ID_LEN 512
/* One member's subscription or assignment: 10,000 partitions named once each stay below. */
#define LIMIT_MEMBER_METADATA_BYTES (4 << 20)

/* Partitions that one request may create; a mistake that creates a million is refused whole. Kafka's figure. */
#define LIMIT_CREATE_PARTITIONS 10000
/* Topics that one Metadata request may create by naming them; the others are unknown. */
#define LIMIT_AUTO_CREATE_TOPICS 1000
/* One configuration value set through the protocol: the longest sensible one is a list of throttled replicas. */
#define LIMIT_CONFIG_VALUE_LEN (32 * 1024)

/* Batches per producer and partition that are remembered to recognise a repetition; what Kafka clients rely on. */
#define LIMIT_PRODUCER_BATCHES 5

/* Work of one turn of a loop before it looks at its other connections again: about a millisecond of parsing. */
#define LIMIT_TURN_FRAMES 32
#define LIMIT_TURN_BYTES (1 << 20)
