/* Asking the controller from a handler. */
#include "handler/ask.h"

int16_t error_of_controller(enum controller_outcome outcome)
{
        switch (outcome) {
        case CONTROLLER_OK:
                return 0;
        case CONTROLLER_E_NOT_ACTIVE:
        case CONTROLLER_E_LOST:
                return KERR_NOT_CONTROLLER;
        case CONTROLLER_E_BUSY:
                return KERR_REQUEST_TIMED_OUT;
        case CONTROLLER_E_TOO_LARGE:
                return KERR_POLICY_VIOLATION;
        case CONTROLLER_E_INVALID:
                return KERR_INVALID_REQUEST;
        case CONTROLLER_E_TOPIC_NAME:
                return KERR_INVALID_TOPIC_EXCEPTION;
        case CONTROLLER_E_TOPIC_EXISTS:
                return KERR_TOPIC_ALREADY_EXISTS;
        case CONTROLLER_E_TOPIC_UNKNOWN:
                return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        case CONTROLLER_E_TOPIC_ID_UNKNOWN:
                return KERR_UNKNOWN_TOPIC_ID;
        case CONTROLLER_E_PARTITIONS:
                return KERR_INVALID_PARTITIONS;
        case CONTROLLER_E_REPLICATION:
                return KERR_INVALID_REPLICATION_FACTOR;
        case CONTROLLER_E_ASSIGNMENT:
                return KERR_INVALID_REPLICA_ASSIGNMENT;
        case CONTROLLER_E_CONFIG:
                return KERR_INVALID_CONFIG;
        case CONTROLLER_E_BROKER_UNKNOWN:
                return KERR_BROKER_ID_NOT_REGISTERED;
        case CONTROLLER_E_VOTER_KNOWN:
                return KERR_DUPLICATE_VOTER;
        case CONTROLLER_E_VOTER_UNKNOWN:
                return KERR_VOTER_NOT_FOUND;
        case CONTROLLER_E_VOTER_CHANGE: /* asking again would not help: a client gives up */
                return KERR_INVALID_REQUEST;
        case CONTROLLER_E_NO_SPACE:
                return KERR_KAFKA_STORAGE_ERROR;
        case CONTROLLER_E_RESOURCE:
                return KERR_INVALID_REQUEST;
        case CONTROLLER_E_PARTITION_UNKNOWN:
                return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        case CONTROLLER_E_ELECTION_NOT_NEEDED:
                return KERR_ELECTION_NOT_NEEDED;
        case CONTROLLER_E_PREFERRED_NOT_AVAILABLE:
                return KERR_PREFERRED_LEADER_NOT_AVAILABLE;
        case CONTROLLER_E_ELIGIBLE_NOT_AVAILABLE:
                return KERR_ELIGIBLE_LEADERS_NOT_AVAILABLE;
        case CONTROLLER_E_NO_REASSIGNMENT:
                return KERR_NO_REASSIGNMENT_IN_PROGRESS;
        case CONTROLLER_E_DENIED:
                return KERR_CLUSTER_AUTHORIZATION_FAILED;
        case CONTROLLER_E_LEVEL: /* as Kafka's controller, where metadata.version is too low */
                return KERR_UNSUPPORTED_VERSION;
        case CONTROLLER_E_FEATURE:
                return KERR_FEATURE_UPDATE_FAILED;
        default:
                return KERR_UNKNOWN_SERVER_ERROR;
        }
}

/* What was changed is recorded before the client knows. */
static void answered(struct controller_request *crq)
{
        struct ask *a = container_of(crq, struct ask, rq);

        audit_change_end_rq(&a->change, a->asker, crq);
        a->done(crq);
}

void ask_submit(struct rq *rq, struct ask *a, enum controller_op op, void *items, uint32_t count, bool validate_only,
                void (*done)(struct controller_request *crq))
{
        arena_init(&a->mem, 0);
        a->rq = (struct controller_request){
                .op = op,
                .validate_only = validate_only,
                .wait_applied = true,
                .reply_loop = rq_loop(rq),
                .done = answered,
                .mem = &a->mem,
                .items = items,
                .items_count = count,
        };
        a->asker = rq;
        a->done = done;
        audit_change_begin(&a->change, rq->h->deps.audit, rq->image, &a->rq);
        controller_submit(rq->h->deps.controller, &a->rq);
}

bool ask_refused(struct rq *rq, struct ask *a, enum acl_operation operation)
{
        if (authorize_cluster(rq, operation))
                return false;
        arena_init(&a->mem, 0);
        a->rq.result = (struct controller_result){ CONTROLLER_E_DENIED, STR_LIT("Not allowed for the cluster.") };
        return true;
}

void ask_fini(struct ask *a)
{
        arena_fini(&a->mem);
}

const struct controller_result *ask_result(const struct ask *a, const struct controller_result *item)
{
        return a->rq.result.outcome ? &a->rq.result : item;
}
