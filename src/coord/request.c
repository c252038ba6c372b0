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

void coord_request_refuse(struct coord_request *rq, int outcome)
{
        assert(rq->magic == COORD_REQUEST_MAGIC);
        if (rq->op == COORD_JOIN)
                refuse_join(container_of(rq, struct coord_join, rq));
        else if (rq->op == COORD_SYNC)
                refuse_sync(container_of(rq, struct coord_sync, rq));
        rq->outcome = outcome;
}
