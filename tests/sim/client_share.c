/* Share groups (KIP-932): members join, work, leave, die and come back. client_share_fetch.c has what they fetch and what they say of
 * it, client_share_misuse.c what they do wrong, share_book.h what must hold. */
#include <stdio.h>
#include <string.h>

#include "client_share.h"
#include "nemesis.h"
#include "network.h"
#include "watch.h"

enum { GROUPS_MAX = 3, DELIVERIES_MAX = 10, GROUP_RESOURCE = 32 };

static struct share_group groups[GROUPS_MAX];
static unsigned groups_count, members_count;

static uint64_t mixed(uint64_t sum, const uint64_t *counts, size_t count)
{
        for (size_t i = 0; i < count; i++)
                sum = chance_seed(sum, counts[i]);
        return sum;
}

/* Another one after all that may take a record from who holds it: leaders and coordinators that change, processes and connections that
 * end, states that are read again because they could not be written. */
static uint64_t disturbances(void)
{
        const struct watch_counts *w = &watch_counts;
        uint64_t sum;

        watch_look();
        sum = mixed(watch_leading(), (const uint64_t *)&nemesis_counts, sizeof nemesis_counts / sizeof(uint64_t));
        sum = mixed(sum,
                    (const uint64_t[]){ w->leader_epochs, w->restarts, w->coordinators_dropped, w->coordinator_moves,
                                        w->controller_elections, w->fenced, client_counts.moves, client_counts.failed },
                    8);
        for (unsigned i = 0; i < nodes_count; i++)
                sum = mixed(
                        sum,
                        (const uint64_t[]){ nodes[i].machine->lives, nodes[i].ready_count, nodes[i].machine->is_up },
                        3);
        return sum;
}

struct share_now share_now(void)
{
        return (struct share_now){ sim_now(), disturbances() };
}

/* ---- sessions ---- */

void share_forget_session(struct share_member *m, int node)
{
        m->sessions[node] = SHARE_NEW_SESSION;
        if (m->later_node == node)
                m->later.types_count = 0;
        memset(m->in_session[node], 0, sizeof m->in_session[node]);
        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                share_book_let_all_go(m->group->books[k], m->number);
}

static void lose_connection(struct share_member *m, int node)
{
        client_close(m->client, node);
        share_forget_session(m, node);
}

static void be_new(struct share_member *m)
{
        struct uuid id;

        for (size_t i = 0; i < sizeof id.b; i++)
                id.b[i] = (uint8_t)(1 + chance_below(&m->client->chance, 255));
        uuid_format(id, m->id);
        m->epoch = SHARE_JOIN;
        m->beat_ns = 0;
        memset(m->owned, 0, sizeof m->owned);
        m->later.types_count = 0;
        for (int i = 0; i < NODES_MAX; i++)
                lose_connection(m, i);
}

void share_session_failed(struct share_member *m, const char *what, int node, int code)
{
        if (code > 0)
                client_error(m->client, what, code);
        switch (code) {
        case SHARE_NO_ANSWER:
        case KERR_SHARE_SESSION_NOT_FOUND:
        case KERR_INVALID_SHARE_SESSION_EPOCH:
        case KERR_UNKNOWN_MEMBER_ID:
        case KERR_GROUP_ID_NOT_FOUND:
                break;
        default:
                if (!client_is_passing(code))
                        world_fail("%s: %s is refused with error %d", m->client->name, what, code);
        }
        lose_connection(m, node);
        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                client_forget_leader(m->client, &m->group->topic->parts[k]);
        client_pause(m->client);
}

/* ---- membership ---- */

static void heartbeat_failed(struct share_member *m, int code)
{
        if (code > 0)
                client_error(m->client, "ShareGroupHeartbeat", code);
        if (code == KERR_UNKNOWN_MEMBER_ID || code == KERR_FENCED_MEMBER_EPOCH) {
                m->epoch = SHARE_JOIN;
                return;
        }
        if (code > 0 && !client_is_passing(code))
                world_fail("%s: ShareGroupHeartbeat is refused with error %d", m->client->name, code);
        m->coordinator = -1;
        client_pause(m->client);
}

static void heartbeat(struct share_member *m, int32_t epoch)
{
        struct str name = str_of(m->group->topic->name);
        struct share_group_heartbeat_request rq;
        struct share_group_heartbeat_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_group_heartbeat_request_init(&rq);
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(m->id);
        rq.member_epoch = epoch;
        if (epoch == SHARE_JOIN) {
                rq.subscribed_topic_names = &name;
                rq.subscribed_topic_names_count = 1;
        }
        if (client_call(m->client, m->coordinator,
                        CLIENT_API(share_group_heartbeat, SHARE_GROUP_HEARTBEAT_REQUEST_KEY, 1), &rq, &rs, &mem)) {
                share_forget_session(m, m->coordinator);
                heartbeat_failed(m, SHARE_NO_ANSWER);
                return;
        }
        if (rs.error_code) {
                heartbeat_failed(m, rs.error_code);
                return;
        }
        m->epoch = rs.member_epoch;
        m->beat_ns = sim_now() + SECOND + (int64_t)chance_below(&m->client->chance, SECOND);
        if (!rs.assignment)
                return;
        memset(m->owned, 0, sizeof m->owned);
        for (int32_t i = 0; i < rs.assignment->topic_partitions_count; i++) {
                const struct share_group_heartbeat_response_topic *t = &rs.assignment->topic_partitions[i];

                m->topic_id = t->topic_id;
                for (int32_t k = 0; k < t->partitions_count; k++)
                        m->owned[t->partitions[k]] = true;
        }
}

/* ---- where the group stands ---- */

/* -1: it is not known. */
static int64_t described(struct share_member *m, int32_t k)
{
        struct describe_share_group_offsets_request_topic topic;
        struct describe_share_group_offsets_request_group group;
        struct describe_share_group_offsets_request rq;
        struct describe_share_group_offsets_response rs;
        int64_t before = m->group->books[k]->start_told, start;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        describe_share_group_offsets_request_init(&rq);
        describe_share_group_offsets_request_group_init(&group);
        describe_share_group_offsets_request_topic_init(&topic);
        topic.topic_name = str_of(m->group->topic->name);
        topic.partitions = &k;
        topic.partitions_count = 1;
        group.group_id = str_of(m->group->name);
        group.topics = &topic;
        group.topics_count = 1;
        rq.groups = &group;
        rq.groups_count = 1;
        if (client_call(m->client, m->coordinator,
                        CLIENT_API(describe_share_group_offsets, DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_KEY, 1), &rq, &rs,
                        &mem)) {
                share_forget_session(m, m->coordinator);
                heartbeat_failed(m, SHARE_NO_ANSWER);
                return -1;
        }
        if (rs.groups_count != 1 || rs.groups[0].error_code || rs.groups[0].topics_count != 1) {
                heartbeat_failed(m, rs.groups_count == 1 && rs.groups[0].error_code ? rs.groups[0].error_code
                                                                                    : SHARE_NO_ANSWER);
                return -1;
        }
        if (rs.groups[0].topics[0].partitions[0].error_code)
                return -1;
        start = rs.groups[0].topics[0].partitions[0].start_offset;
        if (start >= 0)
                share_book_start(m->group->books[k], before, start);
        return start;
}

static bool is_through(struct share_member *m)
{
        bool all = true;

        for (int32_t k = 0; k < m->group->topic->parts_count; k++) {
                struct client_reader r = { .client = m->client, .part = &m->group->topic->parts[k] };
                int leader = client_leader(m->client, r.part);
                int64_t end = leader >= 0 ? client_list_offset(&r, leader, -1) : -1;

                if (leader >= 0 && end < 0)
                        lose_connection(m, leader);
                if (!m->group->is_through[k] && m->coordinator >= 0 && end >= 0 && described(m, k) == end) {
                        share_book_finish(m->group->books[k], end);
                        m->group->is_through[k] = true;
                }
                all &= m->group->is_through[k];
        }
        return all;
}

/* ---- a member's life ---- */

static void leave(struct share_member *m)
{
        for (int i = 0; i < NODES_MAX; i++)
                if (m->sessions[i] != SHARE_NEW_SESSION)
                        share_close_session(m, i);
        if (m->coordinator >= 0)
                heartbeat(m, SHARE_LEAVE);
}

static void work(struct share_member *m)
{
        struct chance *c = &m->client->chance;
        int32_t k = (int32_t)chance_below(c, (uint64_t)m->group->topic->parts_count);
        int node = -1;

        if (m->coordinator < 0)
                m->coordinator = client_coordinator(m->client, m->group->name);
        if (m->coordinator >= 0 && (m->epoch == SHARE_JOIN || sim_now() >= m->beat_ns))
                heartbeat(m, m->epoch);
        if (m->owned[k])
                node = client_leader(m->client, &m->group->topic->parts[k]);
        if (node >= 0)
                share_fetch(m, node);
        fiber_sleep((int64_t)chance_below(c, SECOND / 4));
        if (m->coordinator >= 0 && chance_one_in(c, 50))
                (void)described(m, k);
        if (!clients_are_done && chance_one_in(c, 100)) { /* killed, or it leaves as it should */
                if (m->coordinator >= 0 && m->epoch > 0 && chance_one_in(c, 2))
                        leave(m);
                be_new(m);
                share_counts.deaths++;
        }
}

static void live(void *arg)
{
        struct share_member *m = arg;
        int64_t until_ns = 0;

        while (!clients_are_done || !is_through(m)) {
                if (clients_are_done && !until_ns)
                        until_ns = sim_now() + SECOND * 200;
                if (until_ns && sim_now() > until_ns) {
                        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                                world_say("%s: %s-%d begins at %lld", m->client->name, m->group->topic->name, k,
                                          (long long)m->group->books[k]->start_told);
                        nodes_say();
                        world_fail("%s: group %s does not come to the end of %s", m->client->name, m->group->name,
                                   m->group->topic->name);
                }
                work(m);
        }
        if (m->coordinator >= 0 && m->epoch > 0)
                leave(m);
        for (int i = 0; i < NODES_MAX; i++)
                client_close(m->client, i);
}

/* ---- the beginning ---- */

static bool configure(struct client *c, const struct share_group *g)
{
        static const char *const settings[][2] = { { "share.auto.offset.reset", "earliest" },
                                                   { "share.delivery.count.limit", "10" },
                                                   { "share.isolation.level", "read_committed" } };
        int count = g->books[0]->committed ? 3 : 2;
        struct incremental_alter_configs_request_config configs[3];
        struct incremental_alter_configs_request_resource resource;
        struct incremental_alter_configs_request rq;
        struct incremental_alter_configs_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        incremental_alter_configs_request_init(&rq);
        incremental_alter_configs_request_resource_init(&resource);
        for (int i = 0; i < count; i++) {
                incremental_alter_configs_request_config_init(&configs[i]);
                configs[i].name = str_of(settings[i][0]);
                configs[i].value = str_of(settings[i][1]);
        }
        resource.resource_type = GROUP_RESOURCE;
        resource.resource_name = str_of(g->name);
        resource.configs = configs;
        resource.configs_count = count;
        rq.resources = &resource;
        rq.resources_count = 1;
        if (client_call(c, client_any_node(c),
                        CLIENT_API(incremental_alter_configs, INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY, 1), &rq, &rs,
                        &mem))
                return false;
        if (rs.responses_count == 1 && rs.responses[0].error_code)
                client_error(c, "IncrementalAlterConfigs", rs.responses[0].error_code);
        return rs.responses_count == 1 && !rs.responses[0].error_code;
}

static void begin(void *arg)
{
        struct share_member *m = arg;

        while (!configure(m->client, m->group))
                client_pause(m->client);
        fiber_sleep(SECOND); /* until all nodes have heard of it */
        be_new(m);
        live(m);
}

void client_start_share(const char *name, struct history_topic *t, unsigned members)
{
        struct share_group *g = &groups[groups_count++];

        assert(groups_count <= GROUPS_MAX);
        *g = (struct share_group){ .name = name, .topic = t, .takes_more = t->promise == PROMISE_STRICT };
        for (int32_t k = 0; k < t->parts_count; k++)
                g->books[k] = share_book_new(name, &t->parts[k], DELIVERIES_MAX);
        for (unsigned i = 0; i < members; i++) {
                struct share_member *m = calloc(1, sizeof *m);
                char text[24];

                assert(m);
                snprintf(text, sizeof text, "%s-member%u", name, i);
                m->client = client_new(text);
                m->client->timeout_ns = SECOND * 6;
                m->group = g;
                m->number = ++members_count;
                m->coordinator = -1;
                client_run(m->client, begin, m);
        }
}
