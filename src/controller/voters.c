/* What is asked of the quorum through the active controller: how it is, and changes of its voters. Nothing here is a decision, and
 * nothing is written to the metadata. */
#include <stdio.h>

#include "controller/host.h"
#include "sys/clock.h"

static void refuse(struct controller_request *rq, struct controller_result *result, enum controller_outcome outcome,
                   const char *text)
{
        *result = (struct controller_result){ outcome, str_of(text) };
        (void)rq;
}

static void describe(struct controller *c, struct controller_request *rq, struct controller_describe_quorum *q)
{
        struct quorum_role role = quorum_role(c->quorum);
        struct controller_member *m = ARENA_NEW(rq->mem, struct controller_member);
        struct quorum_stats s;

        quorum_stats(c->quorum, &s);
        if (!m) {
                refuse(rq, &q->result, CONTROLLER_E_NO_MEMORY, "The controller has no memory for this request.");
                return;
        }
        *m = (struct controller_member){ .node_id = c->rules.node_id,
                                         .kind = CONTROLLER_VOTER,
                                         .directory = quorum_directory(c->quorum),
                                         .end_index = s.committed_index,
                                         .heard_ms = clock_wall_ms(),
                                         .caught_up_ms = clock_wall_ms() };
        *q = (struct controller_describe_quorum){ .leader_id = role.leader_id,
                                                  .term = role.term,
                                                  .committed_index = s.committed_index,
                                                  .log_first_index = s.log_first_index,
                                                  .log_bytes = s.log_bytes,
                                                  .members = m,
                                                  .members_count = 1 };
}

bool controller_ask_quorum(struct controller *c, struct controller_request *rq)
{
        switch (rq->op) {
        case CONTROLLER_DESCRIBE_QUORUM:
                rq->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
                for (uint32_t i = 0; i < rq->items_count; i++)
                        describe(c, rq, &rq->describe_quorum[i]);
                break;
        case CONTROLLER_ADD_VOTER:
        case CONTROLLER_REMOVE_VOTER:
        case CONTROLLER_TRANSFER:
                rq->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
                for (uint32_t i = 0; i < rq->items_count; i++)
                        refuse(rq, &rq->voter_change[i].result, CONTROLLER_E_VOTER_CHANGE,
                               "This node is alone: without cluster.listen it has no controllers beside itself.");
                break;
        default:
                return false;
        }
        controller_answer(rq);
        return true;
}
