/* Requests of share groups' members that no good client sends: each is refused as the protocol says it, and changes nothing. */
#include <stdio.h>
#include <string.h>

#include "client_share.h"

#define NOWHERE INT64_C(1000000000000) /* no log is so long */

/* One ShareAcknowledge, or with @fetches one ShareFetch, and the answer that is due. */
struct misuse {
        const char *what;
        bool fetches;
        const char *member;
        int32_t epoch;
        struct uuid topic_id;
        int32_t part;
        struct share_acknowledge_request_ack_batch batches[2];
        int32_t batches_count;
        int whole, row; /* codes that are due: of all, or else of the partition */
};

/* As an answer has it. Return: 0 or SHARE_NO_ANSWER. */
static int acknowledge(struct share_member *m, int node, const struct misuse *u, int *ret_whole, int *ret_row)
{
        struct share_acknowledge_request_partition partition;
        struct share_acknowledge_request_topic topic;
        struct share_acknowledge_request rq;
        struct share_acknowledge_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_acknowledge_request_init(&rq);
        share_acknowledge_request_topic_init(&topic);
        share_acknowledge_request_partition_init(&partition);
        partition.partition_index = u->part;
        partition.acknowledgement_batches = (void *)(uintptr_t)u->batches;
        partition.acknowledgement_batches_count = u->batches_count;
        topic.topic_id = u->topic_id;
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(u->member);
        rq.share_session_epoch = u->epoch;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(m->client, node, CLIENT_API(share_acknowledge, SHARE_ACKNOWLEDGE_REQUEST_KEY, 2), &rq, &rs,
                        &mem))
                return SHARE_NO_ANSWER;
        *ret_whole = rs.error_code;
        if (!rs.error_code && (rs.responses_count != 1 || rs.responses[0].partitions_count != 1))
                world_fail("%s: ShareAcknowledge, %s, is answered for %d topics", m->client->name, u->what,
                           rs.responses_count);
        *ret_row = rs.error_code ? 0 : rs.responses[0].partitions[0].error_code;
        return 0;
}

/* Likewise. Those that are tried here are refused as a whole: none of them is given records. */
static int fetch(struct share_member *m, int node, const struct misuse *u, int *ret_whole, int *ret_row)
{
        struct share_fetch_request_ack_batch batch;
        struct share_fetch_request_partition partition;
        struct share_fetch_request_topic topic;
        struct share_fetch_request rq;
        struct share_fetch_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_fetch_request_init(&rq);
        share_fetch_request_topic_init(&topic);
        share_fetch_request_partition_init(&partition);
        share_fetch_request_ack_batch_init(&batch);
        batch.first_offset = u->batches[0].first_offset;
        batch.last_offset = u->batches[0].last_offset;
        batch.acknowledge_types = u->batches[0].acknowledge_types;
        batch.acknowledge_types_count = u->batches[0].acknowledge_types_count;
        partition.partition_index = u->part;
        partition.acknowledgement_batches = &batch;
        partition.acknowledgement_batches_count = 1;
        topic.topic_id = u->topic_id;
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(u->member);
        rq.share_session_epoch = u->epoch;
        rq.max_records = rq.batch_size = 1;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(m->client, node, CLIENT_API(share_fetch, SHARE_FETCH_REQUEST_KEY, 2), &rq, &rs, &mem))
                return SHARE_NO_ANSWER;
        *ret_whole = rs.error_code;
        *ret_row = 0;
        return 0;
}

/* Return: false, the session was given up. */
static bool refused(struct share_member *m, int node, const struct misuse *u, uint64_t disturbed)
{
        const char *api = u->fetches ? "ShareFetch" : "ShareAcknowledge";
        int whole, row;

        if ((u->fetches ? fetch : acknowledge)(m, node, u, &whole, &row)) {
                share_session_failed(m, api, node, SHARE_NO_ANSWER);
                return false;
        }
        world_say("%s: %s, %s, is answered with %d and %d", m->client->name, api, u->what, whole, row);
        if (whole == u->whole && row == u->row)
                share_counts.misused++;
        else if (!(whole || row) || (!client_is_passing(whole ? whole : row) && share_now().disturbed == disturbed))
                world_fail("%s: %s, %s, is answered with %d and %d instead of %d and %d", m->client->name, api, u->what,
                           whole, row, u->whole, u->row);
        else if (whole) {
                share_session_failed(m, api, node, whole);
                return false;
        }
        m->sessions[node] += !whole && u->member == m->id;
        return true;
}

/* ---- what is tried ---- */

static void epoch_of_none(struct share_member *m, int node, struct misuse *u)
{
        struct chance *c = &m->client->chance;

        u->what = "of an epoch that is not the session's";
        u->fetches = chance_one_in(c, 2);
        u->epoch = m->sessions[node] > 1 && chance_one_in(c, 2)
                           ? m->sessions[node] - 1
                           : m->sessions[node] + 1 + (int32_t)chance_below(c, 1000);
        u->whole = KERR_INVALID_SHARE_SESSION_EPOCH;
}

static void stranger(struct misuse *u)
{
        u->what = "of who has no session";
        u->member = "nobody";
        u->whole = KERR_SHARE_SESSION_NOT_FOUND;
}

static void begins_with_words(struct misuse *u)
{
        u->what = "of a new session that has something to say";
        u->fetches = true;
        u->epoch = SHARE_NEW_SESSION;
        u->whole = KERR_INVALID_REQUEST;
}

static void opens_by_words(struct misuse *u)
{
        u->what = "of a session that is to begin with it";
        u->epoch = SHARE_NEW_SESSION;
        u->whole = KERR_INVALID_SHARE_SESSION_EPOCH;
}

static void topic_of_none(struct misuse *u)
{
        u->what = "of a topic that does not exist";
        memset(u->topic_id.b, 0x5a, sizeof u->topic_id.b);
        u->row = KERR_UNKNOWN_TOPIC_ID;
}

/* The first batch is right, and must not count either. */
static void bad_batch(struct share_member *m, struct misuse *u, const struct share_batch *held)
{
        static const int8_t accept[] = { SHARE_ACCEPT, SHARE_ACCEPT, SHARE_ACCEPT }, renew[] = { SHARE_RENEW },
                            none[] = { 9 };
        struct share_acknowledge_request_ack_batch *bad = &u->batches[1];

        *bad = (struct share_acknowledge_request_ack_batch){ held->last + 1, held->last + 1,
                                                             (int8_t *)(uintptr_t)accept, 1 };
        u->batches_count = 2;
        u->row = KERR_INVALID_REQUEST;
        switch (chance_below(&m->client->chance, 7)) {
        case 0:
                u->what = "with a range that ends before it begins";
                bad->last_offset = held->last - 1;
                break;
        case 1:
                u->what = "with ranges that do not ascend";
                bad->first_offset = held->last;
                break;
        case 2:
                u->what = "with more types than records";
                bad->acknowledge_types_count = 3;
                break;
        case 3:
                u->what = "without a type";
                bad->acknowledge_types_count = 0;
                break;
        case 4:
                u->what = "with a type that is none";
                bad->acknowledge_types = (int8_t *)(uintptr_t)none;
                break;
        case 5:
                u->what = "that renews, and does not say so";
                bad->acknowledge_types = (int8_t *)(uintptr_t)renew;
                break;
        case 6:
                u->what = "with records that nobody was given";
                bad->first_offset = NOWHERE;
                bad->last_offset = NOWHERE + 5;
                break;
        }
}

/* ---- members ---- */

/* Its own epoch is good afterwards. */
static void beat_of_the_future(struct share_member *m, uint64_t disturbed)
{
        struct share_group_heartbeat_request rq;
        struct share_group_heartbeat_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        if (m->coordinator < 0 || m->epoch == SHARE_JOIN)
                return;
        share_group_heartbeat_request_init(&rq);
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(m->id);
        rq.member_epoch = m->epoch + 1000;
        if (client_call(m->client, m->coordinator,
                        CLIENT_API(share_group_heartbeat, SHARE_GROUP_HEARTBEAT_REQUEST_KEY, 1), &rq, &rs, &mem)) {
                share_session_failed(m, "ShareGroupHeartbeat", m->coordinator, SHARE_NO_ANSWER);
                m->coordinator = -1;
                return;
        }
        if (rs.error_code == KERR_FENCED_MEMBER_EPOCH)
                share_counts.misused++;
        else if (!rs.error_code || (!client_is_passing(rs.error_code) &&
                                    rs.error_code != KERR_UNKNOWN_MEMBER_ID && /* it was silent too long */
                                    rs.error_code != KERR_GROUP_ID_NOT_FOUND && share_now().disturbed == disturbed))
                world_fail("%s: ShareGroupHeartbeat with an epoch of the future is answered with %d", m->client->name,
                           rs.error_code);
}

bool share_misuse(struct share_member *m, int node, const struct share_batch *held, uint64_t disturbed)
{
        static const int8_t accept = SHARE_ACCEPT;
        struct misuse u = { .member = m->id,
                            .epoch = m->sessions[node],
                            .topic_id = m->topic_id,
                            .part = held->part,
                            .batches = { { held->first, held->last, (int8_t *)(uintptr_t)&accept, 1 } },
                            .batches_count = 1 };

        switch (chance_below(&m->client->chance, 10)) {
        case 0:
        case 1:
                epoch_of_none(m, node, &u);
                break;
        case 2:
                stranger(&u);
                break;
        case 3:
                begins_with_words(&u);
                break;
        case 4:
                opens_by_words(&u);
                break;
        case 5:
                topic_of_none(&u);
                break;
        case 6: {
                int32_t session = m->sessions[node];

                beat_of_the_future(m, disturbed);
                return m->sessions[node] == session;
        }
        default:
                bad_batch(m, &u, held);
        }
        return refused(m, node, &u, disturbed);
}
