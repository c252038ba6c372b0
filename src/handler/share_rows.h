/* What ShareFetch and ShareAcknowledge have in common: acknowledgements as clients say them, and the outcomes of share/shares.h as Kafka's codes. */
#pragma once

#include "handler/leader_hint.h"
#include "handler/share.h"
#include "share/shares.h"

/* Kafka's code for an outcome of the shares. */
int16_t error_of_share(int outcome);

/* One batch of acknowledgements, as both requests have it. */
struct share_ack_batch {
        int64_t first, last;
        const int8_t *types; /* one for all records, or one for each */
        int32_t types_count;
};
/* Gathers the acknowledgements of one row: batches in order. Of the request's arena. */
struct share_acks {
        struct share_row *row;
        struct share_ack_range *ranges;
        bool may_renew;
        int64_t next; /* no batch begins below */
};
/* @size: of all types of all batches, and one for each batch. False: out of memory. */
bool share_acks_begin(struct rq *rq, struct share_acks *a, struct share_row *row, size_t size, bool may_renew);
void share_acks_add(struct share_acks *a, const struct share_ack_batch *b);

/* @row is that of a partition, which the client may read or not. */
void share_row_name(struct rq *rq, struct share_row *row, struct uuid topic_id, int32_t index);

/* A request that cannot be asked about. @ret_why: for people. Return: 0 or Kafka's code. */
int16_t share_check(struct rq *rq, struct str group, struct str member, struct str *ret_why);

/* What an outcome of a row means to people; null where the code says it all. */
struct str share_words(int outcome);

/* Fill in @a what both have: who asks, on which connection, and answer with @done. */
void share_ask_init(struct rq *rq, struct share_ask *a, enum share_ask_kind kind, struct str group, struct str member,
                    int32_t epoch, void (*done)(struct share_ask *a));

/* The rows that an answer tells of, by place. NULL: out of memory. */
struct share_row **share_rows_told(struct rq *rq, struct share_ask *a, size_t *ret_count);
/* Who leads instead, where @error says that this node does not; else -1. */
struct leader_hint share_leader_hint(struct rq *rq, const struct share_row *row, int16_t error,
                                     struct leader_hints *hints);

/* static bool @name(rq, req, ask): the rows of a request, struct @message, with what it acknowledges. False: out of memory. */
#define SHARE_ROWS_FILL(name, message) \
        static bool name##_one(struct rq *rq, const struct message##_partition *p, bool may_renew, \
                               struct share_row *row) \
        { \
                struct share_acks acks; \
                size_t size = 0; \
\
                for (int32_t i = 0; i < p->acknowledgement_batches_count; i++) \
                        size += (size_t)p->acknowledgement_batches[i].acknowledge_types_count; \
                if (!share_acks_begin(rq, &acks, row, size, may_renew)) \
                        return false; \
                for (int32_t i = 0; i < p->acknowledgement_batches_count; i++) { \
                        const struct message##_ack_batch *b = &p->acknowledgement_batches[i]; \
\
                        share_acks_add(&acks, \
                                       &(struct share_ack_batch){ b->first_offset, b->last_offset, \
                                                                  b->acknowledge_types, b->acknowledge_types_count }); \
                } \
                return true; \
        } \
        static bool name(struct rq *rq, const struct message *req, struct share_ask *a) \
        { \
                size_t count = 0; \
\
                for (int32_t i = 0; i < req->topics_count; i++) \
                        count += (size_t)req->topics[i].partitions_count; \
                a->rows = ARENA_NEW_ARRAY(&rq->arena, struct share_row, count); \
                if (!a->rows) \
                        return false; \
                for (int32_t i = 0; i < req->topics_count; i++) \
                        for (int32_t k = 0; k < req->topics[i].partitions_count; k++) { \
                                const struct message##_partition *p = &req->topics[i].partitions[k]; \
                                struct share_row *row = &a->rows[a->rows_count++]; \
\
                                share_row_name(rq, row, req->topics[i].topic_id, p->partition_index); \
                                if (!name##_one(rq, p, req->is_renew_ack, row)) \
                                        return false; \
                        } \
                return true; \
        }
