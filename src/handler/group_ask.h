/* Asking a coordinator from a handler, and what its outcomes are called in the protocol. */
#pragma once

#include "coord/coord.h"
#include "coord/txn_link.h"
#include "handler/authorize.h"
#include "handler/internal.h"

/* Where the client is, as groups show it: "/ADDRESS"; of the request's arena, null when memory is out. */
struct str group_client_host(struct rq *rq);
/* Kafka's code for an outcome of the coordinator (or a negative errno). */
int16_t error_of_coord(int outcome);

/* Submit @crq, whose inputs are set; @done runs on this request's reactor. The frame's bytes, which the inputs borrow,
 * stay until the answer. */
void group_ask(struct rq *rq, struct coord_request *crq, void (*done)(struct coord_request *crq));

/* The same for who may do @operation with the group; others are told so at once, perhaps before this returns. */
void group_ask_for(struct rq *rq, struct coord_request *crq, enum acl_operation operation,
                   void (*done)(struct coord_request *crq));

/* The same for the coordinator of transactions on this node. */
void txn_ask_here(struct rq *rq, struct coord_request *crq, void (*done)(struct coord_request *crq));

/* One request that asks of several groups, each a question of its own, and is answered when all are. */
struct group_fan {
        struct rq *rq;
        struct coord_request **asks; /* the caller fills in @count of them; of the request's arena */
        int32_t count, left;
        bool failed; /* no memory: the connection is closed instead */
        void (*reply)(struct group_fan *f);
};

/* @reply answers with what was filled in; it may borrow from all answers. Return: false: no memory. */
bool group_fan_init(struct group_fan *f, struct rq *rq, int32_t count, void (*reply)(struct group_fan *f));
/* Ask of each group with which the client may do @operation. @done takes each answer, also that the client may not, and ends with
 * group_fan_answered(). @f may be gone when this returns. */
void group_fan_ask_for(struct group_fan *f, enum acl_operation operation, void (*done)(struct coord_request *crq));
void group_fan_answered(struct group_fan *f);
/* Instead of asking: all are answered with @outcome. */
void group_fan_refuse(struct group_fan *f, int outcome, void (*done)(struct coord_request *crq));

/* Answer with *@msg, which may borrow from @crq's answer; both go afterwards. */
#define GROUP_REPLY(rq, type, msg, crq) \
        do { \
                struct arena answer_ = (crq)->arena; /* @crq itself lies in the request's arena */ \
                RQ_REPLY(rq, type, msg); \
                arena_fini(&answer_); \
        } while (0)

/* static bool @name(a, ask, rsp): what a heartbeat of struct @asked was answered, into @rsp->assignment of struct @message. False: no memory. */
#define GROUP_ASSIGNMENT_FILL(name, asked, message) \
        static bool name(struct arena *a, const struct asked *ask, struct message *rsp) \
        { \
                int32_t count = ask->ret_assignment_count; \
                struct message##_topic *topics; \
\
                if (!ask->ret_has_assignment) \
                        return true; \
                rsp->assignment = ARENA_NEW(a, struct message##_assignment); \
                topics = ARENA_NEW_ARRAY(a, struct message##_topic, count); \
                if (!rsp->assignment || !topics) \
                        return false; \
                message##_assignment_init(rsp->assignment); \
                rsp->assignment->topic_partitions = topics; \
                rsp->assignment->topic_partitions_count = count; \
                for (int32_t i = 0; i < count; i++) { \
                        const struct coord_partitions *in = &ask->ret_assignment[i]; \
\
                        message##_topic_init(&topics[i]); \
                        topics[i].topic_id = in->id; \
                        topics[i].partitions = (int32_t *)in->partitions; \
                        topics[i].partitions_count = in->partitions_count; \
                } \
                return true; \
        }
