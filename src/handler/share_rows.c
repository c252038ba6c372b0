#include "handler/share_rows.h"

#include <errno.h>
#include <stdlib.h>

int16_t error_of_share(int outcome)
{
        switch (outcome) {
        case SHARES_OK:
                return 0;
        case SHARES_E_STATE:
                return KERR_INVALID_RECORD_STATE;
        case SHARES_E_INVALID:
                return KERR_INVALID_REQUEST;
        case SHARES_E_UNKNOWN_TOPIC:
                return KERR_UNKNOWN_TOPIC_ID;
        case SHARES_E_UNKNOWN_PARTITION:
                return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        case SHARES_E_NO_GROUP:
                return KERR_GROUP_ID_NOT_FOUND;
        case SHARES_E_NOT_AVAILABLE:
        case -ENOMEM:
                return KERR_COORDINATOR_NOT_AVAILABLE;
        case SHARES_E_DENIED:
                return KERR_TOPIC_AUTHORIZATION_FAILED;
        case SHARES_E_NO_SESSION:
                return KERR_SHARE_SESSION_NOT_FOUND;
        case SHARES_E_SESSION_EPOCH:
                return KERR_INVALID_SHARE_SESSION_EPOCH;
        case SHARES_E_SESSIONS_FULL:
                return KERR_SHARE_SESSION_LIMIT_REACHED;
        default:
                return error_of_log(outcome);
        }
}

struct str share_words(int outcome)
{
        switch (outcome) {
        case SHARES_E_STATE:
                return STR_LIT("Some of these records are not with this member, or may not be renewed.");
        case SHARES_E_INVALID:
                return STR_LIT(
                        "Ranges must ascend, lie among the records that were given, and have one type, or one for "
                        "each offset.");
        case SHARES_E_NO_GROUP:
                return STR_LIT("The coordinator knows no such group.");
        case SHARES_E_NOT_AVAILABLE:
                return STR_LIT("The group's coordinator does not answer, or this node has too many partitions of share "
                               "groups.");
        default:
                return STR_NULL;
        }
}

/* ---- acknowledgements ---- */

bool share_acks_begin(struct rq *rq, struct share_acks *a, struct share_row *row, size_t size, bool may_renew)
{
        *a = (struct share_acks){ .row = row, .may_renew = may_renew };
        a->ranges = ARENA_NEW_ARRAY(&rq->arena, struct share_ack_range, size);
        row->acks = a->ranges;
        return a->ranges;
}

static bool is_valid(const struct share_acks *a, const struct share_ack_batch *b)
{
        if (b->first < a->next || b->last < b->first || b->types_count < 1)
                return false;
        if (b->types_count > 1 && (uint64_t)b->types_count != (uint64_t)b->last - (uint64_t)b->first + 1)
                return false;
        for (int32_t i = 0; i < b->types_count; i++)
                if (b->types[i] < SHARE_GAP || b->types[i] > (a->may_renew ? SHARE_RENEW : SHARE_REJECT))
                        return false;
        return b->last < INT64_MAX;
}

void share_acks_add(struct share_acks *a, const struct share_ack_batch *b)
{
        struct share_row *row = a->row;

        if (!is_valid(a, b)) {
                row->ack_fault = SHARES_E_INVALID;
                return;
        }
        a->next = b->last + 1;
        for (int32_t i = 0; i < b->types_count; i++) {
                int64_t first = b->first + i, last = b->types_count > 1 ? first : b->last;
                enum share_ack type = (enum share_ack)b->types[i];

                if (i && a->ranges[row->acks_count - 1].type == type)
                        a->ranges[row->acks_count - 1].last = last;
                else
                        a->ranges[row->acks_count++] = (struct share_ack_range){ first, last, type };
        }
}

/* ---- asking ---- */

int16_t share_check(struct rq *rq, struct str group, struct str member, struct str *ret_why)
{
        if (!share_is_enabled(rq)) {
                *ret_why = STR_LIT(SHARE_DISABLED);
                return KERR_UNSUPPORTED_VERSION;
        }
        if (!group.len || !member.len) {
                *ret_why = STR_LIT("The group id and the member id must not be empty.");
                return KERR_INVALID_REQUEST;
        }
        if (!authorize(rq, ACL_READ, ACL_GROUP, group)) {
                *ret_why = wire_error_message(KERR_GROUP_AUTHORIZATION_FAILED);
                return KERR_GROUP_AUTHORIZATION_FAILED;
        }
        return 0;
}

void share_row_name(struct rq *rq, struct share_row *row, struct uuid topic_id, int32_t index)
{
        row->place = (struct share_place){ topic_id, index };
        if (authorize_topic(rq, ACL_READ, topic_id, STR_NULL))
                row->refused = SHARES_E_DENIED;
}

void share_ask_init(struct rq *rq, struct share_ask *a, enum share_ask_kind kind, struct str group, struct str member,
                    int32_t epoch, void (*done)(struct share_ask *a))
{
        *a = (struct share_ask){ .kind = kind,
                                 .group = group,
                                 .member = member,
                                 .epoch = epoch,
                                 .connection = net_conn_id(rq->net.conn),
                                 .reply_loop = rq_loop(rq),
                                 .done = done,
                                 .arg = rq };
}

/* ---- answering ---- */

static int by_place(const void *a, const void *b)
{
        return share_place_compare(&(*(struct share_row *const *)a)->place, &(*(struct share_row *const *)b)->place);
}

struct share_row **share_rows_told(struct rq *rq, struct share_ask *a, size_t *ret_count)
{
        struct share_row **told = ARENA_NEW_ARRAY(&rq->arena, struct share_row *, a->ret_rows_count);
        size_t count = 0;

        for (size_t i = 0; told && i < a->ret_rows_count; i++) {
                struct share_row *row = &a->ret_rows[i];

                if (a->kind == SHARE_ACKNOWLEDGE || row->outcome || row->acquired_count || row->acks_count ||
                    row->ack_fault)
                        told[count++] = row;
        }
        if (count)
                qsort(told, count, sizeof(struct share_row *), by_place);
        *ret_count = count;
        return told;
}

struct leader_hint share_leader_hint(struct rq *rq, const struct share_row *row, int16_t error,
                                     struct leader_hints *hints)
{
        if (error != KERR_NOT_LEADER_OR_FOLLOWER && error != KERR_FENCED_LEADER_EPOCH)
                return (struct leader_hint){ -1, -1 };
        return leader_hint(rq, row->place.topic_id, STR_NULL, row->place.index, row->partition, hints);
}
