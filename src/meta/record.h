/* Records of the metadata log: the union of what schema/records.wire declares, and their frame in an entry.
 * Pure. Layout of the frame: FORMAT.md. */
#pragma once

#include "meta/records.h"

/* Type of a record, as it is written: the key of its schema. */
enum meta_record_type {
        META_TOPIC = REC_TOPIC_KEY,
        META_TOPIC_REMOVE = REC_TOPIC_REMOVE_KEY,
        META_PARTITION = REC_PARTITION_KEY,
        META_PARTITION_CHANGE = REC_PARTITION_CHANGE_KEY,
        META_CONFIG = REC_CONFIG_KEY,
        META_BROKER = REC_BROKER_KEY,
        META_BROKER_CHANGE = REC_BROKER_CHANGE_KEY,
        META_BROKER_REMOVE = REC_BROKER_REMOVE_KEY,
        META_PRODUCER_IDS = REC_PRODUCER_IDS_KEY,
        META_FEATURE = REC_FEATURE_KEY,
        META_CLUSTER = REC_CLUSTER_KEY,
        META_DISRUPTION = REC_DISRUPTION_KEY,
        META_ACL = REC_ACL_KEY,
        META_ACL_REMOVE = REC_ACL_REMOVE_KEY,
        META_SCRAM_CREDENTIAL = REC_SCRAM_CREDENTIAL_KEY,
        META_SCRAM_CREDENTIAL_REMOVE = REC_SCRAM_CREDENTIAL_REMOVE_KEY,
        META_DECOY_SEED = REC_DECOY_SEED_KEY,
        META_DELEGATION_TOKEN = REC_DELEGATION_TOKEN_KEY,
        META_DELEGATION_TOKEN_REMOVE = REC_DELEGATION_TOKEN_REMOVE_KEY,
        META_RECORD_TYPE_END
};

/* Resource types of configurations, numbered as Kafka numbers them so that nobody needs a table. */
enum meta_resource {
        META_RESOURCE_TOPIC = 2,
        META_RESOURCE_BROKER = 4, /* the name is the broker's id in decimal, or "" for all brokers */
        META_RESOURCE_CLIENT_METRICS = 16,
        META_RESOURCE_GROUP = 32,
        META_RESOURCE_QUOTA = 64, /* ours alone: whom client quotas are for (conf/quota.h) */
};

/* Set in rec_partition_change.leader: the leader and its epoch stay. */
#define META_LEADER_STAYS (-2)
#define META_NO_NODE (-1)

struct meta_record {
        enum meta_record_type type;
        union {
                struct rec_topic topic;
                struct rec_topic_remove topic_remove;
                struct rec_partition partition;
                struct rec_partition_change partition_change;
                struct rec_config config;
                struct rec_broker broker;
                struct rec_broker_change broker_change;
                struct rec_broker_remove broker_remove;
                struct rec_producer_ids producer_ids;
                struct rec_feature feature;
                struct rec_cluster cluster;
                struct rec_disruption disruption;
                struct rec_acl acl;
                struct rec_acl_remove acl_remove;
                struct rec_scram_credential scram_credential;
                struct rec_scram_credential_remove scram_credential_remove;
                struct rec_decoy_seed decoy_seed;
                struct rec_delegation_token delegation_token;
                struct rec_delegation_token_remove delegation_token_remove;
        };
};

/* Outcomes of everything here and in builder.h that reads records. */
enum {
        META_OK,
        META_E_MALFORMED, /* the bytes are no record */
        META_E_UNKNOWN,   /* a record, or a version of one, that this program is too old for */
        META_E_CONFLICT,  /* the record does not fit what is known: no such topic, partition out of order... */
        META_END,         /* no record left */
};

/* Start @r as a record of @type with the defaults of its schema. */
void meta_record_init(struct meta_record *r, enum meta_record_type type);

/* "topic", "partition change"...; "?" for what is no type. */
const char *meta_record_name(enum meta_record_type type);

/* Bytes of one framed record, exactly what meta_record_write() writes. */
size_t meta_record_size(const struct meta_record *r);
void meta_record_write(const struct meta_record *r, struct writer *w);

/* Read the next framed record. Text and arrays point into the bytes under @c and into @mem.
 * Return: 0; META_END; META_E_MALFORMED; META_E_UNKNOWN; -ENOMEM. */
int meta_record_read(struct cursor *c, struct arena *mem, struct meta_record *ret_record);
