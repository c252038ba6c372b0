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
/* Replicas of one partition: lists of them are searched from end to end, and more copies than this protect nothing. */
#define LIMIT_REPLICAS 32
static_assert(LIMIT_TOPIC_NAME_LEN + 1 + 5 <= 255, "topic-partition is a file name");

/* Memory that one request may take when it is decoded and answered, for each byte of its frame: a name of one letter is three
 * bytes of a frame, and some dozen in each of the request's, the controller's and the answer's structs. */
#define LIMIT_DECODED_PER_FRAME_BYTE 64
#define LIMIT_DECODED_BYTES_MIN (1 << 20)
/* What a request takes before it takes from what all requests may have together: nearly all stay below. */
#define LIMIT_DECODED_FREE_BYTES (64 << 10)
/* What all may have together, for each byte of performance.buffer_memory; enough for one request of many names where that
 * is small. */
#define LIMIT_DECODED_PER_BUFFER_BYTE 2
#define LIMIT_DECODED_TOTAL_BYTES_MIN (128 << 20)

/* Messages in answers. They quote what was sent, and the protocol's strings end at 32,767 bytes: an answer that quotes a
 * longest name whole could not be written. */
#define LIMIT_TEXT_LEN 1000

/* A group that has configurations of its own. */
#define LIMIT_GROUP_ID_LEN 1024

/* Partitions that one request may create; a mistake that creates a million is refused whole. Kafka's figure. */
#define LIMIT_CREATE_PARTITIONS 10000
/* Topics that one Metadata request may create by naming them; the others are unknown. */
#define LIMIT_AUTO_CREATE_TOPICS 1000

/* Rules of access: every node has all of them in memory, some 200 bytes each. Rules that one filter may delete; Kafka's figure. */
#define LIMIT_ACLS 100000
#define LIMIT_ACLS_PER_DELETE 10000

/* Subscriptions to client metrics: each new client is compared with all of them. */
#define LIMIT_CLIENT_METRICS_SUBSCRIPTIONS 100
/* Clients that push metrics which a node remembers; the one that was not heard of for longest goes. Kafka's figure. */
#define LIMIT_CLIENT_INSTANCES 16384
/* Series of one client, some five times what a Java client has; and bytes of the series of all, for a scrape must stay small. */
#define LIMIT_CLIENT_SERIES 1000
#define LIMIT_CLIENT_SERIES_BYTES (16 << 20)

/* Work of one turn of a loop before it looks at its other connections again: about a millisecond of parsing. */
#define LIMIT_TURN_FRAMES 32
#define LIMIT_TURN_BYTES (1 << 20)

/* A frame of a client that has not said who it is: a token of SASL is some hundred bytes, a signed one some thousand. */
#define LIMIT_SASL_FRAME_BYTES (64 << 10)
/* Credentials of users, two to each: all of them are in the memory of every node, some 400 bytes each. */
#define LIMIT_SCRAM_CREDENTIALS 100000
/* Delegation tokens, likewise, some 700 bytes each and 50 for each renewer; and those that one principal has asked for, so that nobody
 * takes the room of all. */
#define LIMIT_DELEGATION_TOKENS 20000
#define LIMIT_DELEGATION_TOKENS_OF_ONE 2000
