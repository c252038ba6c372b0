#include "coord/request.h"

static void refuse_join(struct coord_join *rq)
{
        rq->ret_generation = -1;
        rq->ret_protocol_type = rq->ret_protocol_name = STR_NULL;
        rq->ret_leader = rq->ret_member_id = STR_LIT("");
        rq->ret_skip_assignment = false;
        rq->ret_members = NULL;
        rq->ret_members_count = 0;
}

static void refuse_sync(struct coord_sync *rq)
{
        rq->ret_protocol_type = rq->ret_protocol_name = STR_NULL;
        rq->ret_assignment = span_of("", 0);
}

static void refuse_init(struct coord_txn_init *rq)
{
        rq->ret_producer_id = -1;
        rq->ret_producer_epoch = -1;
}

static void refuse_end(struct coord_txn_end *rq)
{
        rq->ret_producer_id = -1;
        rq->ret_producer_epoch = -1;
}

static void refuse_heartbeat(struct coord_consumer_heartbeat *rq)
{
        rq->ret_member_id = STR_NULL;
        rq->ret_epoch = 0;
        rq->ret_heartbeat_interval_ms = 0;
        rq->ret_has_assignment = false;
}

static void refuse_share_heartbeat(struct coord_share_heartbeat *rq)
{
        rq->ret_member_id = STR_NULL;
        rq->ret_epoch = 0;
        rq->ret_heartbeat_interval_ms = 0;
        rq->ret_has_assignment = false;
}

void coord_request_refuse(struct coord_request *rq, int outcome)
{
        assert(rq->magic == COORD_REQUEST_MAGIC);
        if (rq->op == COORD_JOIN)
                refuse_join(container_of(rq, struct coord_join, rq));
        else if (rq->op == COORD_SYNC)
                refuse_sync(container_of(rq, struct coord_sync, rq));
        else if (rq->op == COORD_TXN_INIT)
                refuse_init(container_of(rq, struct coord_txn_init, rq));
        else if (rq->op == COORD_TXN_END)
                refuse_end(container_of(rq, struct coord_txn_end, rq));
        else if (rq->op == COORD_CONSUMER_HEARTBEAT)
                refuse_heartbeat(container_of(rq, struct coord_consumer_heartbeat, rq));
        else if (rq->op == COORD_SHARE_HEARTBEAT)
                refuse_share_heartbeat(container_of(rq, struct coord_share_heartbeat, rq));
        rq->outcome = outcome;
}

struct str coord_request_keep(struct coord_request *rq, struct str s, bool *failed)
{
        struct str copy;

        if (str_is_null(s))
                return STR_NULL;
        copy = (struct str){ arena_memdup(&rq->arena, s.p, s.len), s.len };
        *failed |= str_is_null(copy);
        return copy;
}

struct span coord_request_keep_bytes(struct coord_request *rq, struct span s, bool *failed)
{
        struct span copy = { arena_memdup(&rq->arena, s.data ? s.data : (const uint8_t *)"", s.len), s.len };

        *failed |= !copy.data;
        return copy;
}

int coord_outcome_of_log(int r)
{
        switch (r) {
        case 0:
                return 0;
        case PLOG_E_INVALID_PRODUCER_EPOCH:
                return COORD_E_INVALID_PRODUCER_EPOCH;
        case PLOG_E_COORDINATOR_FENCED:
                return COORD_E_COORDINATOR_FENCED;
        case PLOG_E_INVALID_TXN_STATE:
                return COORD_E_INVALID_TXN_STATE;
        case PARTITION_E_NOT_ENOUGH_REPLICAS:
        case PARTITION_E_NOT_ENOUGH_AFTER:
                return COORD_E_NOT_AVAILABLE;
        case PLOG_E_SEGMENT_LIMIT:
                return COORD_E_TOO_LARGE;
        default: /* closed, failed, or led by somebody else */
                return r < 0 ? r : COORD_E_NOT_COORDINATOR;
        }
}
