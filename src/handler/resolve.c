/* From a client's words to a partition, and from outcomes below to Kafka's error codes. */
#include <errno.h>

#include "handler/internal.h"

#include "sys/diag.h"

int16_t resolve_topic(struct rq *rq, struct uuid id, struct str name, const struct meta_topic **ret_topic)
{
        const struct meta_topic *t;

        if (name.p) {
                t = meta_image_topic(rq->image, name);
                if (!t)
                        return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
                t = meta_image_topic_by_id(rq->image, id);
                if (!t)
                        return KERR_UNKNOWN_TOPIC_ID;
        }
        *ret_topic = t;
        return 0;
}

int16_t authorize_topic(struct rq *rq, enum acl_operation operation, struct uuid id, struct str name)
{
        const struct meta_topic *t;

        if (!rq->h->authorization)
                return 0;
        if (!name.p) {
                t = meta_image_topic_by_id(rq->image, id);
                if (!t)
                        return 0;
                name = t->name;
        }
        return authorize(rq, operation, ACL_TOPIC, name) ? 0 : KERR_TOPIC_AUTHORIZATION_FAILED;
}

int16_t resolve_topic_for(struct rq *rq, enum acl_operation operation, struct uuid id, struct str name,
                          const struct meta_topic **ret_topic)
{
        int16_t error = authorize_topic(rq, operation, id, name);

        return error ? error : resolve_topic(rq, id, name, ret_topic);
}

int16_t resolve_partition(struct rq *rq, struct uuid topic_id, struct str topic_name, int32_t index,
                          struct partition **ret_partition)
{
        const struct meta_topic *t;
        int16_t error = resolve_topic(rq, topic_id, topic_name, &t);

        if (error)
                return error;
        if (!meta_topic_partition(t, index))
                return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        *ret_partition = partition_table_find(rq->h->deps.partitions, t->id, index);
        return *ret_partition ? 0 : KERR_NOT_LEADER_OR_FOLLOWER;
}

int16_t error_of_log(int outcome)
{
        switch (outcome) {
        case 0:
                return 0;
        case PLOG_E_OUT_OF_ORDER_SEQUENCE:
                return KERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        case PLOG_E_INVALID_PRODUCER_EPOCH:
                return KERR_INVALID_PRODUCER_EPOCH;
        case PLOG_E_INVALID_TXN_STATE:
                return KERR_INVALID_TXN_STATE;
        case PLOG_E_COORDINATOR_FENCED:
                return KERR_TRANSACTION_COORDINATOR_FENCED;
        case PLOG_E_SEGMENT_LIMIT:
                return KERR_RECORD_LIST_TOO_LARGE;
        case PLOG_E_OUT_OF_RANGE:
                return KERR_OFFSET_OUT_OF_RANGE;
        case PLOG_E_CLOSED:
        case PARTITION_E_NOT_LEADER:
                return KERR_NOT_LEADER_OR_FOLLOWER;
        case PARTITION_E_FENCED_EPOCH:
                return KERR_FENCED_LEADER_EPOCH;
        case PARTITION_E_UNKNOWN_EPOCH:
                return KERR_UNKNOWN_LEADER_EPOCH;
        case PARTITION_E_NOT_ENOUGH_REPLICAS:
                return KERR_NOT_ENOUGH_REPLICAS;
        case PARTITION_E_NOT_ENOUGH_AFTER:
                return KERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        case PLOG_E_FAILED:
        case PLOG_E_DAMAGED:
        case -EIO:
        case -ENOSPC:
        case -EDQUOT:
        case -EROFS:
                return KERR_KAFKA_STORAGE_ERROR;
        default:
                diag_limited(DIAG_WARN,
                             "a partition's log answered %d, for which clients have no better code than "
                             "UNKNOWN_SERVER_ERROR",
                             outcome);
                return KERR_UNKNOWN_SERVER_ERROR;
        }
}
