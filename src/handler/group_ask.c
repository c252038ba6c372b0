/* Asking a coordinator from a handler. */
#include <errno.h>
#include <string.h>

#include "handler/group_ask.h"

int16_t error_of_coord(int outcome)
{
        static const int16_t errors[] = {
                [COORD_OK] = 0,
                [COORD_E_NOT_COORDINATOR] = KERR_NOT_COORDINATOR,
                [COORD_E_LOADING] = KERR_COORDINATOR_LOAD_IN_PROGRESS,
                [COORD_E_NOT_AVAILABLE] = KERR_COORDINATOR_NOT_AVAILABLE,
                [COORD_E_INVALID_GROUP_ID] = KERR_INVALID_GROUP_ID,
                [COORD_E_GROUP_NOT_FOUND] = KERR_GROUP_ID_NOT_FOUND,
                [COORD_E_NON_EMPTY_GROUP] = KERR_NON_EMPTY_GROUP,
                [COORD_E_UNKNOWN_MEMBER] = KERR_UNKNOWN_MEMBER_ID,
                [COORD_E_MEMBER_ID_REQUIRED] = KERR_MEMBER_ID_REQUIRED,
                [COORD_E_FENCED_INSTANCE] = KERR_FENCED_INSTANCE_ID,
                [COORD_E_ILLEGAL_GENERATION] = KERR_ILLEGAL_GENERATION,
                [COORD_E_REBALANCING] = KERR_REBALANCE_IN_PROGRESS,
                [COORD_E_INCONSISTENT_PROTOCOL] = KERR_INCONSISTENT_GROUP_PROTOCOL,
                [COORD_E_INVALID_SESSION_TIMEOUT] = KERR_INVALID_SESSION_TIMEOUT,
                [COORD_E_GROUP_FULL] = KERR_GROUP_MAX_SIZE_REACHED,
                [COORD_E_METADATA_TOO_LARGE] = KERR_OFFSET_METADATA_TOO_LARGE,
                [COORD_E_SUBSCRIBED] = KERR_GROUP_SUBSCRIBED_TO_TOPIC,
                /* Kafka has neither limit; the first will not pass by trying again, the second may. */
                [COORD_E_TOO_LARGE] = KERR_INVALID_REQUEST,
                [COORD_E_NO_ROOM] = KERR_COORDINATOR_NOT_AVAILABLE,
                [COORD_E_UNSTABLE_OFFSET] = KERR_UNSTABLE_OFFSET_COMMIT,
                [COORD_E_INVALID_TXN_ID] = KERR_INVALID_REQUEST,
                [COORD_E_TXN_NOT_FOUND] = KERR_TRANSACTIONAL_ID_NOT_FOUND,
                [COORD_E_UNKNOWN_PRODUCER] = KERR_INVALID_PRODUCER_ID_MAPPING,
                [COORD_E_PRODUCER_FENCED] = KERR_PRODUCER_FENCED,
                [COORD_E_INVALID_PRODUCER_EPOCH] = KERR_INVALID_PRODUCER_EPOCH,
                [COORD_E_CONCURRENT_TXN] = KERR_CONCURRENT_TRANSACTIONS,
                [COORD_E_INVALID_TXN_STATE] = KERR_INVALID_TXN_STATE,
                [COORD_E_NEED_PRODUCER_ID] = KERR_COORDINATOR_NOT_AVAILABLE,
                [COORD_E_UNKNOWN_PARTITION] = KERR_UNKNOWN_TOPIC_OR_PARTITION,
                [COORD_E_NOT_ATTEMPTED] = KERR_OPERATION_NOT_ATTEMPTED,
                [COORD_E_COORDINATOR_FENCED] = KERR_TRANSACTION_COORDINATOR_FENCED,
                [COORD_E_INVALID_REQUEST] = KERR_INVALID_REQUEST,
                [COORD_E_FENCED_EPOCH] = KERR_FENCED_MEMBER_EPOCH,
                [COORD_E_STALE_EPOCH] = KERR_STALE_MEMBER_EPOCH,
                [COORD_E_UNRELEASED_INSTANCE] = KERR_UNRELEASED_INSTANCE_ID,
                [COORD_E_UNSUPPORTED_ASSIGNOR] = KERR_UNSUPPORTED_ASSIGNOR,
                [COORD_E_INVALID_REGEX] = KERR_INVALID_REGULAR_EXPRESSION,
                [COORD_E_UNSUPPORTED_VERSION] = KERR_UNSUPPORTED_VERSION,
                [COORD_E_FENCED_LEADER] = KERR_FENCED_LEADER_EPOCH,
                [COORD_E_FENCED_STATE] = KERR_FENCED_STATE_EPOCH,
                [COORD_E_GROUP_DENIED] = KERR_GROUP_AUTHORIZATION_FAILED,
                [COORD_E_TXN_DENIED] = KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                [COORD_E_TOPIC_DENIED] = KERR_TOPIC_AUTHORIZATION_FAILED,
        };

        switch (outcome) {
        case -ENOMEM:
        case -ENOSPC: /* a full disk gets room again: clients are to go on then */
        case -EDQUOT:
        case -EIO:
        case -EROFS:
                return KERR_COORDINATOR_NOT_AVAILABLE;
        default:
                if (outcome < 0)
                        return KERR_UNKNOWN_SERVER_ERROR;
        }
        return outcome < (int)ARRAY_LEN(errors) ? errors[outcome] : KERR_UNKNOWN_SERVER_ERROR;
}

struct str group_client_host(struct rq *rq)
{
        const char *host = net_conn_peer_host(rq->net.conn);
        size_t len = strlen(host);
        char *text = arena_alloc(&rq->arena, len + 2);

        if (!text)
                return STR_NULL;
        text[0] = '/';
        memcpy(text + 1, host, len + 1);
        return (struct str){ text, len + 1 };
}

void txn_ask_here(struct rq *rq, struct coord_request *crq, void (*done)(struct coord_request *crq))
{
        crq->reply_loop = rq_loop(rq);
        crq->done = done;
        coord_submit(rq->h->deps.txns, crq);
}

void group_ask(struct rq *rq, struct coord_request *crq, void (*done)(struct coord_request *crq))
{
        crq->reply_loop = rq_loop(rq);
        crq->done = done;
        if (coord_submit(rq->h->deps.coord, crq)) /* who only says that it is alive waits for nothing */
                net_request_set_patient(&rq->net);
}

void group_ask_for(struct rq *rq, struct coord_request *crq, enum acl_operation operation,
                   void (*done)(struct coord_request *crq))
{
        if (authorize(rq, operation, ACL_GROUP, crq->id)) {
                group_ask(rq, crq, done);
                return;
        }
        coord_request_refuse(crq, COORD_E_GROUP_DENIED);
        done(crq);
}

/* ---- of several groups ---- */

bool group_fan_init(struct group_fan *f, struct rq *rq, int32_t count, void (*reply)(struct group_fan *f))
{
        *f = (struct group_fan){ .rq = rq, .count = count, .left = count, .reply = reply };
        f->asks = ARENA_NEW_ARRAY(&rq->arena, struct coord_request *, count);
        return f->asks;
}

/* The questions lie in the request's arena, which goes with the answer; the answers' memory must go after it. */
static void finish(struct group_fan *f)
{
        int32_t count = f->count;
        struct arena *kept = malloc(sizeof *kept * (size_t)MAX2(count, 1));

        if (!kept || f->failed) {
                for (int32_t i = 0; i < count; i++)
                        coord_request_fini(f->asks[i]);
                free(kept);
                rq_close_nomem(f->rq);
                return;
        }
        for (int32_t i = 0; i < count; i++)
                kept[i] = f->asks[i]->arena;
        f->reply(f);
        for (int32_t i = 0; i < count; i++)
                arena_fini(&kept[i]);
        free(kept);
}

void group_fan_answered(struct group_fan *f)
{
        if (--f->left == 0)
                finish(f);
}

void group_fan_refuse(struct group_fan *f, int outcome, void (*done)(struct coord_request *crq))
{
        int32_t count = f->count;
        struct coord_request **asks = f->asks;

        if (!count)
                finish(f);
        for (int32_t i = 0; i < count; i++) {
                coord_request_refuse(asks[i], outcome);
                done(asks[i]);
        }
}

void group_fan_ask_for(struct group_fan *f, enum acl_operation operation, void (*done)(struct coord_request *crq))
{
        int32_t count = f->count;
        struct coord_request **asks = f->asks;
        struct rq *rq = f->rq;

        if (!count) {
                finish(f);
                return;
        }
        for (int32_t i = 0; i < count; i++)
                group_ask_for(rq, asks[i], operation, done); /* the last one may end it all */
}
