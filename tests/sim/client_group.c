/* Consumer groups of the classic protocol: members join, one of them assigns the partitions, they read and commit, leave and
 * come back. What a member of a generation committed is never less than what was committed before. */
#include <stdio.h>

#include "client.h"

enum { SESSION_MS = 6000, REBALANCE_MS = 5000, GROUPS_MAX = 4, ID_SIZE = 128 };

struct group {
        const char *name;
        struct history_topic *topic;
        struct history_commit commits[HISTORY_PARTITIONS_MAX];
};

struct member {
        struct client *client;
        struct group *group;
        char id[ID_SIZE];
        int32_t generation;
        int node; /* coordinator; -1: not known */
        bool owned[HISTORY_PARTITIONS_MAX];
        struct client_reader readers[HISTORY_PARTITIONS_MAX];
};

static struct group groups[GROUPS_MAX];
static unsigned groups_count;

/* ---- coordinator ---- */

/* Return: Kafka's code of @code, or -1, counted and looked at. */
static int looked_at(struct member *m, const char *what, int code)
{
        if (!code)
                return 0;
        if (code > 0)
                client_error(m->client, what, code);
        switch (code) {
        case KERR_UNKNOWN_MEMBER_ID:
                m->id[0] = '\0';
                break;
        case KERR_ILLEGAL_GENERATION:
        case KERR_REBALANCE_IN_PROGRESS:
        case KERR_MEMBER_ID_REQUIRED:
                break;
        default:
                if (code > 0 && !client_is_passing(code))
                        world_fail("%s: %s is refused with error %d", m->client->name, what, code);
                m->node = -1;
        }
        return code;
}

/* ---- joining ---- */

static int sync_with(struct member *m, const struct join_group_response *joined)
{
        struct sync_group_request_assignment list[8];
        uint8_t shares[8][HISTORY_PARTITIONS_MAX];
        struct sync_group_request rq;
        struct sync_group_response rs;
        CLEANUP(arena_finip) struct arena mem;
        int r;

        arena_init(&mem, 0);
        sync_group_request_init(&rq);
        rq.group_id = str_of(m->group->name);
        rq.generation_id = m->generation;
        rq.member_id = str_of(m->id);
        rq.protocol_type = str_of("consumer");
        rq.protocol_name = str_of("spread");
        if (str_equal_c(joined->leader, m->id)) {
                assert(joined->members_count <= 8);
                for (int32_t i = 0; i < joined->members_count; i++) {
                        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                                shares[i][k] = k % joined->members_count == i;
                        sync_group_request_assignment_init(&list[i]);
                        list[i].member_id = joined->members[i].member_id;
                        list[i].assignment = span_of(shares[i], (size_t)m->group->topic->parts_count);
                }
                rq.assignments = list;
                rq.assignments_count = joined->members_count;
        }
        r = client_call(m->client, m->node, CLIENT_API(sync_group, SYNC_GROUP_REQUEST_KEY, 5), &rq, &rs, &mem);
        r = looked_at(m, "SyncGroup", r ? -1 : rs.error_code);
        for (int32_t k = 0; !r && k < m->group->topic->parts_count; k++)
                m->owned[k] = k < (int32_t)rs.assignment.len && rs.assignment.data[k];
        return r;
}

static int join(struct member *m)
{
        struct join_group_request_protocol protocol;
        struct join_group_request rq;
        struct join_group_response rs;
        CLEANUP(arena_finip) struct arena mem;
        int r;

        arena_init(&mem, 0);
        join_group_request_init(&rq);
        join_group_request_protocol_init(&protocol);
        protocol.name = str_of("spread");
        protocol.metadata = span_of("any", 3);
        rq.group_id = str_of(m->group->name);
        rq.session_timeout_ms = SESSION_MS;
        rq.rebalance_timeout_ms = REBALANCE_MS;
        rq.member_id = str_of(m->id);
        rq.protocol_type = str_of("consumer");
        rq.protocols = &protocol;
        rq.protocols_count = 1;
        client_counts.joins++;
        r = client_call(m->client, m->node, CLIENT_API(join_group, JOIN_GROUP_REQUEST_KEY, 7), &rq, &rs, &mem);
        if (!r && (!rs.error_code || rs.error_code == KERR_MEMBER_ID_REQUIRED))
                snprintf(m->id, sizeof m->id, "%.*s", STR_FMT(rs.member_id));
        r = looked_at(m, "JoinGroup", r ? -1 : rs.error_code);
        if (r)
                return r;
        m->generation = rs.generation_id;
        return sync_with(m, &rs);
}

/* ---- offsets ---- */

/* What is committed for partition @k. False: no answer. */
static bool fetch_committed(struct client *c, int node, struct group *g, int32_t k, int64_t *ret_offset)
{
        struct offset_fetch_request_topic topic;
        struct offset_fetch_request rq;
        struct offset_fetch_response rs;
        int64_t acked = g->commits[k].acked;
        CLEANUP(arena_finip) struct arena mem;
        char what[64];
        int code;

        arena_init(&mem, 0);
        offset_fetch_request_init(&rq);
        offset_fetch_request_topic_init(&topic);
        topic.name = str_of(g->topic->name);
        topic.partition_indexes = &k;
        topic.partition_indexes_count = 1;
        rq.group_id = str_of(g->name);
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(c, node, CLIENT_API(offset_fetch, OFFSET_FETCH_REQUEST_KEY, 7), &rq, &rs, &mem))
                return false;
        code = rs.error_code          ? rs.error_code
               : rs.topics_count == 1 ? rs.topics[0].partitions[0].error_code
                                      : KERR_UNKNOWN_SERVER_ERROR;
        if (code) {
                client_error(c, "OffsetFetch", code);
                if (!client_is_passing(code))
                        world_fail("%s: OffsetFetch is refused with error %d", c->name, code);
                return false;
        }
        *ret_offset = rs.topics[0].partitions[0].committed_offset;
        world_say("%s: %s-%d of group %s is committed up to %lld, says node %d", c->name, g->topic->name, k, g->name,
                  (long long)*ret_offset, node + 1);
        snprintf(what, sizeof what, "group %s, %s-%d", g->name, g->topic->name, k);
        history_committed(&g->commits[k], acked, *ret_offset, what);
        return true;
}

static int commit(struct member *m, int32_t k)
{
        struct offset_commit_request_partition partition;
        struct offset_commit_request_topic topic;
        struct offset_commit_request rq;
        struct offset_commit_response rs;
        struct history_commit *c = &m->group->commits[k];
        int64_t offset = m->readers[k].at;
        CLEANUP(arena_finip) struct arena mem;
        int r;

        arena_init(&mem, 0);
        offset_commit_request_init(&rq);
        offset_commit_request_topic_init(&topic);
        offset_commit_request_partition_init(&partition);
        partition.partition_index = k;
        partition.committed_offset = offset;
        topic.name = str_of(m->group->topic->name);
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.group_id = str_of(m->group->name);
        rq.generation_id_or_member_epoch = m->generation;
        rq.member_id = str_of(m->id);
        rq.topics = &topic;
        rq.topics_count = 1;
        c->tried = MAX2(c->tried, offset);
        r = client_call(m->client, m->node, CLIENT_API(offset_commit, OFFSET_COMMIT_REQUEST_KEY, 8), &rq, &rs, &mem);
        if (r) /* it may come into effect later; a generation of its own must not be behind it */
                m->id[0] = '\0';
        r = looked_at(m, "OffsetCommit", r ? -1 : rs.topics[0].partitions[0].error_code);
        if (!r) {
                world_say("%s: %s-%d committed up to %lld at node %d, generation %d", m->client->name,
                          m->group->topic->name, k, (long long)offset, m->node + 1, m->generation);
                c->acked = MAX2(c->acked, offset);
                client_counts.commits++;
        }
        return r;
}

/* ---- a member's life ---- */

static int heartbeat(struct member *m)
{
        struct heartbeat_request rq;
        struct heartbeat_response rs;
        CLEANUP(arena_finip) struct arena mem;
        int r;

        arena_init(&mem, 0);
        heartbeat_request_init(&rq);
        rq.group_id = str_of(m->group->name);
        rq.generation_id = m->generation;
        rq.member_id = str_of(m->id);
        r = client_call(m->client, m->node, CLIENT_API(heartbeat, HEARTBEAT_REQUEST_KEY, 4), &rq, &rs, &mem);
        return looked_at(m, "Heartbeat", r ? -1 : rs.error_code);
}

static void leave(struct member *m)
{
        struct leave_group_request_member who;
        struct leave_group_request rq;
        struct leave_group_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        leave_group_request_init(&rq);
        leave_group_request_member_init(&who);
        who.member_id = str_of(m->id);
        rq.group_id = str_of(m->group->name);
        rq.members = &who;
        rq.members_count = 1;
        if (m->node >= 0 && m->id[0])
                (void)client_call(m->client, m->node, CLIENT_API(leave_group, LEAVE_GROUP_REQUEST_KEY, 4), &rq, &rs,
                                  &mem);
        m->id[0] = '\0';
}

static bool positions(struct member *m)
{
        for (int32_t k = 0; k < m->group->topic->parts_count; k++) {
                int64_t offset;

                if (!m->owned[k])
                        continue;
                if (!fetch_committed(m->client, m->node, m->group, k, &offset))
                        return false;
                m->readers[k] = (struct client_reader){ .client = m->client,
                                                        .part = &m->group->topic->parts[k],
                                                        .at = MAX2(offset, INT64_C(0)) };
        }
        return true;
}

/* Read and commit, until the group rebalances or something fails. */
static void work(struct member *m)
{
        while (!clients_are_done) {
                for (int32_t k = 0; k < m->group->topic->parts_count; k++) {
                        struct client_reader *r = &m->readers[k];
                        int64_t before = r->at;
                        int node = m->owned[k] ? client_leader(m->client, &m->group->topic->parts[k]) : -1, code;

                        if (!m->owned[k])
                                continue;
                        code = node >= 0 ? client_fetch(r, node, 10) : -1;
                        if (code == KERR_OFFSET_OUT_OF_RANGE)
                                client_out_of_range(r, node);
                        else if (code)
                                client_fetch_failed(r, code);
                        if (r->at > before && commit(m, k))
                                return;
                }
                fiber_sleep(SECOND / 2 + chance_below(&m->client->chance, SECOND));
                if (chance_one_in(&m->client->chance, 60)) {
                        leave(m);
                        return;
                }
                if (chance_one_in(&m->client->chance, 80)) { /* as if it hung */
                        fiber_sleep(SECOND * 8);
                        continue;
                }
                if (heartbeat(m))
                        return;
        }
}

static void live(void *arg)
{
        struct member *m = arg;

        while (!clients_are_done) {
                if (m->node < 0)
                        m->node = client_coordinator(m->client, m->group->name);
                if (m->node < 0 || join(m) || !positions(m)) {
                        client_pause(m->client);
                        continue;
                }
                work(m);
                client_counts.rejoins++;
        }
        leave(m);
        for (int i = 0; i < NODES_MAX; i++)
                client_close(m->client, i);
}

void client_start_group(const char *name, struct history_topic *t, unsigned members)
{
        struct group *g = &groups[groups_count++];

        assert(groups_count <= GROUPS_MAX);
        *g = (struct group){ .name = name, .topic = t };
        for (int i = 0; i < HISTORY_PARTITIONS_MAX; i++)
                g->commits[i] = history_commit_none();
        for (unsigned i = 0; i < members; i++) {
                struct member *m = calloc(1, sizeof *m);
                char text[24];

                assert(m);
                snprintf(text, sizeof text, "%s-member%u", name, i);
                m->client = client_new(text);
                m->client->timeout_ns = SECOND * 12;
                m->group = g;
                m->node = -1;
                client_run(m->client, live, m);
        }
}

void client_check_groups(struct client *c)
{
        for (unsigned i = 0; i < groups_count; i++)
                for (int32_t k = 0; k < groups[i].topic->parts_count; k++) {
                        int64_t until_ns = sim_now() + SECOND * 60, offset;

                        for (;;) {
                                int node = client_coordinator(c, groups[i].name);

                                if (node >= 0 && fetch_committed(c, node, &groups[i], k, &offset))
                                        break;
                                if (sim_now() > until_ns)
                                        world_fail("group %s has no coordinator", groups[i].name);
                                client_pause(c);
                        }
                }
}
