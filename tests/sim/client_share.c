/* Share groups (KIP-932): members fetch what nobody else has, accept, release, reject or renew it, or say nothing; leave, die and
 * come back. share_book.h has what must hold. */
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "client.h"
#include "nemesis.h"
#include "network.h"
#include "share_book.h"
#include "watch.h"

enum { GROUPS_MAX = 2, RECORDS_MAX = 40, DELIVERIES_MAX = 10, GROUP_RESOURCE = 32, NO_ANSWER = -1, MANY = 1000000 };
/* As groups.share_record_lock_duration_ms is set (nodes.c). */
#define LOCK_NS (SECOND * 5)
/* Clocks of nodes go faster or slower, and are read in milliseconds. */
#define SURE_NS (LOCK_NS * 8 / 10)
enum { ACCEPT = 1, RELEASE, REJECT, RENEW };
static const char *const types[] = { "gap", "accept", "release", "reject", "renew" };
enum { JOIN = 0, LEAVE = -1, NEW_SESSION = 0 };

struct share_group {
        const char *name;
        struct history_topic *topic;
        struct share_book books[HISTORY_PARTITIONS_MAX];
        bool is_through[HISTORY_PARTITIONS_MAX];
};

/* What a member has been given and still has to speak of. */
struct share_run {
        int32_t part;
        int64_t first, last;
};

struct share_runs {
        struct share_run at[RECORDS_MAX];
        unsigned count;
};

struct share_member {
        struct client *client;
        struct share_group *group;
        unsigned number; /* of all members, from 1 on */
        char id[UUID_TEXT_SIZE];
        int32_t epoch;
        int coordinator; /* -1: not known */
        struct uuid topic_id;
        bool owned[HISTORY_PARTITIONS_MAX];
        int32_t sessions[NODES_MAX]; /* the next epoch of it */
        bool in_session[NODES_MAX][HISTORY_PARTITIONS_MAX];
        int64_t beat_ns; /* when the next heartbeat is due */
};

static struct share_group groups[GROUPS_MAX];
static unsigned groups_count, members_count;

/* All that may take a record from who holds it: leaders and coordinators that change, processes and connections that end, states that
 * are read again because they could not be written. */
static uint64_t disturbances(void)
{
        const struct nemesis_counts *n = &nemesis_counts;
        const struct watch_counts *w = &watch_counts;
        uint64_t sum;

        watch_look();
        sum = n->kills + n->power_cuts + n->crashes_in_write + n->stops + n->pauses + n->cuts + n->one_way_cuts +
              n->isolations + n->blackouts + n->resets + n->slow_disks + n->slow_networks + n->sync_fails +
              n->write_fails + n->full_disks + n->jumps + n->drifts + w->leader_epochs + client_counts.moves +
              w->restarts + w->coordinators_dropped + w->coordinator_moves + w->controller_elections + w->fenced +
              client_counts.failed + watch_leading();

        for (unsigned i = 0; i < nodes_count; i++)
                sum += MANY * nodes[i].machine->lives + nodes[i].ready_count + (nodes[i].machine->is_up ? 0 : 1);
        return sum;
}

/* ---- sessions ---- */

static void forget_session(struct share_member *m, int node)
{
        m->sessions[node] = NEW_SESSION;
        memset(m->in_session[node], 0, sizeof m->in_session[node]);
        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                share_book_let_all_go(&m->group->books[k], m->number);
}

static void lose_connection(struct share_member *m, int node)
{
        client_close(m->client, node);
        forget_session(m, node);
}

static void be_new(struct share_member *m)
{
        struct uuid id;

        for (size_t i = 0; i < sizeof id.b; i++)
                id.b[i] = (uint8_t)(1 + chance_below(&m->client->chance, 255));
        uuid_format(id, m->id);
        m->epoch = JOIN;
        m->beat_ns = 0;
        memset(m->owned, 0, sizeof m->owned);
        for (int i = 0; i < NODES_MAX; i++)
                lose_connection(m, i);
}

/* An error of a whole answer of @node; NO_ANSWER: none came. */
static void session_failed(struct share_member *m, const char *what, int node, int code)
{
        if (code > 0)
                client_error(m->client, what, code);
        switch (code) {
        case NO_ANSWER:
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

/* ---- acknowledgements ---- */

static void count_ack(int type, uint64_t records)
{
        uint64_t *of[] = { NULL, &share_counts.accepted, &share_counts.released, &share_counts.rejected,
                           &share_counts.renewed };

        *of[type] += records;
}

/* What a partition answers to an acknowledgement. */
static void acknowledged(struct share_member *m, const struct share_run *run, int type, int code, int64_t sent_ns,
                         bool was_held)
{
        struct share_book *b = &m->group->books[run->part];
        bool ends = type == ACCEPT || type == REJECT;

        share_counts.held += was_held;
        world_say("%s: %s-%d from %lld to %lld: %s is answered with %d%s", m->client->name, b->part->topic->name,
                  run->part, (long long)run->first, (long long)run->last, types[type], code,
                  was_held ? ", it was held" : "");
        if (code)
                client_error(m->client, "ShareAcknowledge", code);
        if (!code && ends)
                share_book_ended(b, run->first, run->last);
        if (!code && type == RENEW)
                for (int64_t o = run->first; o <= run->last; o++) {
                        struct share_hold *h = &b->records[o].hold;

                        h->until_ns = h->member == m->number ? sent_ns + SURE_NS : h->until_ns;
                }
        if (!code) {
                count_ack(type, (uint64_t)(run->last - run->first + 1));
                return;
        }
        share_counts.refused++;
        if (code == KERR_INVALID_RECORD_STATE && was_held)
                world_fail("%s: %s-%d from %lld to %lld is refused to who holds it", m->client->name,
                           b->part->topic->name, run->part, (long long)run->first, (long long)run->last);
        /* INVALID_REQUEST: a leader that came since has given nobody anything of it. */
        if (code != KERR_INVALID_RECORD_STATE && code != KERR_INVALID_REQUEST && code != KERR_FENCED_STATE_EPOCH &&
            !client_is_passing(code))
                world_fail("%s: an acknowledgement is refused with error %d", m->client->name, code);
}

/* Return: false, the session is no more. */
static bool acknowledge(struct share_member *m, int node, const struct share_run *run, int8_t type)
{
        struct share_acknowledge_request_ack_batch batch;
        struct share_acknowledge_request_partition partition;
        struct share_acknowledge_request_topic topic;
        struct share_acknowledge_request rq;
        struct share_acknowledge_response rs;
        struct share_book *b = &m->group->books[run->part];
        uint64_t disturbed = disturbances();
        int64_t held_ns = share_book_held_until(b, m->number, run->first, disturbed);
        int64_t sent_ns = sim_now();
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_acknowledge_request_init(&rq);
        share_acknowledge_request_topic_init(&topic);
        share_acknowledge_request_partition_init(&partition);
        share_acknowledge_request_ack_batch_init(&batch);
        batch = (struct share_acknowledge_request_ack_batch){ run->first, run->last, &type, 1 };
        partition.partition_index = run->part;
        partition.acknowledgement_batches = &batch;
        partition.acknowledgement_batches_count = 1;
        topic.topic_id = m->topic_id;
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(m->id);
        rq.share_session_epoch = m->sessions[node];
        rq.is_renew_ack = type == RENEW;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (type != RENEW) /* from now on others may have it */
                share_book_let_go(b, m->number, run->first, run->last);
        if (type == ACCEPT || type == REJECT)
                share_book_asks(b, run->first, run->last);
        if (client_call(m->client, node, CLIENT_API(share_acknowledge, SHARE_ACKNOWLEDGE_REQUEST_KEY, 2), &rq, &rs,
                        &mem)) {
                share_counts.unsure++;
                session_failed(m, "ShareAcknowledge", node, NO_ANSWER);
                return false;
        }
        if (rs.error_code) {
                session_failed(m, "ShareAcknowledge", node, rs.error_code);
                return false;
        }
        m->sessions[node]++;
        if (rs.responses_count != 1 || rs.responses[0].partitions_count != 1)
                world_fail("%s: ShareAcknowledge is answered for %d topics", m->client->name, rs.responses_count);
        acknowledged(m, run, type, rs.responses[0].partitions[0].error_code, sent_ns,
                     sim_now() < held_ns && disturbances() == disturbed);
        return true;
}

/* What is said of what came. Return: as acknowledge(). */
static bool decide(struct share_member *m, int node, struct share_run run)
{
        struct chance *c = &m->client->chance;
        unsigned what = (unsigned)chance_below(c, 20);
        struct share_run half = { run.part, run.first, run.first + (run.last - run.first) / 2 };

        if (clients_are_done || what < 11)
                return acknowledge(m, node, &run, ACCEPT);
        if (what < 13)
                return acknowledge(m, node, &half, RELEASE);
        if (what < 14)
                return acknowledge(m, node, &half, REJECT);
        if (what < 16)
                return acknowledge(m, node, &run, RENEW) && acknowledge(m, node, &run, ACCEPT);
        if (what < 17) { /* when others may have it */
                fiber_sleep(LOCK_NS / 2 + (int64_t)chance_below(c, LOCK_NS));
                return acknowledge(m, node, &run, ACCEPT);
        }
        if (what < 18) { /* what has its end is not changed by anybody */
                int64_t o = share_book_some_ended(&m->group->books[run.part], run.first / 2);
                struct share_run ended = { run.part, o, o };

                return o < 0 || acknowledge(m, node, &ended, RELEASE);
        }
        return true; /* the lock's time has to pass */
}

/* ---- fetching ---- */

static void see_records(struct share_member *m, int32_t k, const struct share_fetch_response_partition *p)
{
        struct client_reader reader = { .client = m->client, .part = &m->group->topic->parts[k], .high = -1 };

        if (p->records.data)
                client_reader_see(&reader, span_of(p->records.data, p->records.len));
}

/* @runs: what is acquired is added to it. */
static void take(struct share_member *m, const struct share_fetch_response_partition *p, const struct share_hold *hold,
                 struct share_runs *runs)
{
        struct share_book *b = &m->group->books[p->partition_index];

        see_records(m, p->partition_index, p);
        for (int32_t i = 0; i < p->acquired_records_count; i++) {
                const struct share_fetch_response_acquired *a = &p->acquired_records[i];

                world_say("%s: %s-%d from %lld to %lld is acquired, delivery %d", m->client->name, b->part->topic->name,
                          b->part->index, (long long)a->first_offset, (long long)a->last_offset, a->delivery_count);
                share_book_acquired(b, a->first_offset, a->last_offset, a->delivery_count, hold, disturbances());
                if (runs->count == RECORDS_MAX)
                        world_fail("%s: more is acquired than was asked for", m->client->name);
                runs->at[runs->count++] = (struct share_run){ p->partition_index, a->first_offset, a->last_offset };
        }
}

/* All of the answer is noted before anything is said of any of it. */
static void taken(struct share_member *m, int node, const struct share_fetch_response *rs,
                  const struct share_hold *hold)
{
        struct share_runs runs = { 0 };
        int code = 0;

        for (int32_t i = 0; i < rs->responses_count; i++)
                for (int32_t k = 0; k < rs->responses[i].partitions_count; k++) {
                        const struct share_fetch_response_partition *p = &rs->responses[i].partitions[k];

                        if (p->error_code)
                                code = p->error_code;
                        else
                                take(m, p, hold, &runs);
                }
        for (unsigned i = 0; i < runs.count; i++)
                if (!decide(m, node, runs.at[i]))
                        return;
        if (code)
                session_failed(m, "ShareFetch", node, code);
}

/* What @node leads and the session does not know is added, and taken out what the member does not have any more. */
static void ask(struct share_member *m, int node, struct share_fetch_request_topic *topic,
                struct share_fetch_request_forgotten_topic *gone)
{
        for (int32_t k = 0; k < m->group->topic->parts_count; k++) {
                bool wanted = m->owned[k] && client_leader(m->client, &m->group->topic->parts[k]) == node;

                if (wanted && !m->in_session[node][k]) {
                        struct share_fetch_request_partition *p = &topic->partitions[topic->partitions_count++];

                        share_fetch_request_partition_init(p);
                        p->partition_index = k;
                } else if (!wanted && m->in_session[node][k]) {
                        gone->partitions[gone->partitions_count++] = k;
                }
                m->in_session[node][k] = wanted;
        }
}

static void fetch(struct share_member *m, int node)
{
        struct share_fetch_request_partition partitions[HISTORY_PARTITIONS_MAX];
        int32_t indexes[HISTORY_PARTITIONS_MAX];
        struct share_fetch_request_topic topic;
        struct share_fetch_request_forgotten_topic gone;
        struct share_fetch_request rq;
        struct share_fetch_response rs;
        struct share_hold hold = { .member = m->number };
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_fetch_request_init(&rq);
        share_fetch_request_topic_init(&topic);
        share_fetch_request_forgotten_topic_init(&gone);
        topic.topic_id = gone.topic_id = m->topic_id;
        topic.partitions = partitions;
        gone.partitions = indexes;
        ask(m, node, &topic, &gone);
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(m->id);
        rq.share_session_epoch = m->sessions[node];
        rq.max_wait_ms = 300;
        rq.min_bytes = 1;
        rq.max_records = rq.batch_size =
                clients_are_done ? RECORDS_MAX : 1 + (int32_t)chance_below(&m->client->chance, RECORDS_MAX);
        rq.share_acquire_mode = 1; /* no more than was asked for */
        rq.topics = &topic;
        rq.topics_count = topic.partitions_count ? 1 : 0;
        rq.forgotten_topics_data = &gone;
        rq.forgotten_topics_data_count = gone.partitions_count ? 1 : 0;
        hold.asked_ns = sim_now();
        hold.until_ns = hold.asked_ns + SURE_NS;
        hold.disturbed = disturbances();
        if (client_call(m->client, node, CLIENT_API(share_fetch, SHARE_FETCH_REQUEST_KEY, 2), &rq, &rs, &mem)) {
                for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                        m->group->books[k].lost += m->in_session[node][k] ? (uint64_t)rq.max_records : 0;
                session_failed(m, "ShareFetch", node, NO_ANSWER);
                return;
        }
        if (rs.error_code) {
                session_failed(m, "ShareFetch", node, rs.error_code);
                return;
        }
        m->sessions[node]++;
        taken(m, node, &rs, &hold);
}

/* ---- membership ---- */

static void heartbeat_failed(struct share_member *m, int code)
{
        if (code > 0)
                client_error(m->client, "ShareGroupHeartbeat", code);
        if (code == KERR_UNKNOWN_MEMBER_ID || code == KERR_FENCED_MEMBER_EPOCH) {
                m->epoch = JOIN;
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
        if (epoch == JOIN) {
                rq.subscribed_topic_names = &name;
                rq.subscribed_topic_names_count = 1;
        }
        if (client_call(m->client, m->coordinator,
                        CLIENT_API(share_group_heartbeat, SHARE_GROUP_HEARTBEAT_REQUEST_KEY, 1), &rq, &rs, &mem)) {
                forget_session(m, m->coordinator);
                heartbeat_failed(m, NO_ANSWER);
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
        int64_t before = m->group->books[k].start_told, start;
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
                forget_session(m, m->coordinator);
                heartbeat_failed(m, NO_ANSWER);
                return -1;
        }
        if (rs.groups_count != 1 || rs.groups[0].error_code || rs.groups[0].topics_count != 1) {
                heartbeat_failed(m,
                                 rs.groups_count == 1 && rs.groups[0].error_code ? rs.groups[0].error_code : NO_ANSWER);
                return -1;
        }
        if (rs.groups[0].topics[0].partitions[0].error_code)
                return -1;
        start = rs.groups[0].topics[0].partitions[0].start_offset;
        if (start >= 0)
                share_book_start(&m->group->books[k], before, start);
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
                        share_book_finish(&m->group->books[k], end);
                        m->group->is_through[k] = true;
                }
                all &= m->group->is_through[k];
        }
        return all;
}

/* ---- a member's life ---- */

static void work(struct share_member *m)
{
        struct chance *c = &m->client->chance;
        int32_t k = (int32_t)chance_below(c, (uint64_t)m->group->topic->parts_count);
        int node = -1;

        if (m->coordinator < 0)
                m->coordinator = client_coordinator(m->client, m->group->name);
        if (m->coordinator >= 0 && (m->epoch == JOIN || sim_now() >= m->beat_ns))
                heartbeat(m, m->epoch);
        if (m->owned[k])
                node = client_leader(m->client, &m->group->topic->parts[k]);
        if (node >= 0)
                fetch(m, node);
        fiber_sleep((int64_t)chance_below(c, SECOND / 4));
        if (m->coordinator >= 0 && chance_one_in(c, 50))
                (void)described(m, k);
        if (!clients_are_done && chance_one_in(c, 100)) { /* killed, or it leaves as it should */
                if (m->coordinator >= 0 && m->epoch > 0 && chance_one_in(c, 2))
                        heartbeat(m, LEAVE);
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
                                          (long long)m->group->books[k].start_told);
                        nodes_say();
                        world_fail("%s: group %s does not come to the end of %s", m->client->name, m->group->name,
                                   m->group->topic->name);
                }
                work(m);
        }
        if (m->coordinator >= 0 && m->epoch > 0)
                heartbeat(m, LEAVE);
        for (int i = 0; i < NODES_MAX; i++)
                client_close(m->client, i);
}

/* ---- the beginning ---- */

static bool configure(struct client *c, const struct share_group *g)
{
        struct incremental_alter_configs_request_config configs[2];
        struct incremental_alter_configs_request_resource resource;
        struct incremental_alter_configs_request rq;
        struct incremental_alter_configs_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        incremental_alter_configs_request_init(&rq);
        incremental_alter_configs_request_resource_init(&resource);
        for (int i = 0; i < 2; i++)
                incremental_alter_configs_request_config_init(&configs[i]);
        configs[0].name = str_of("share.auto.offset.reset");
        configs[0].value = str_of("earliest");
        configs[1].name = str_of("share.delivery.count.limit");
        configs[1].value = str_of("10");
        resource.resource_type = GROUP_RESOURCE;
        resource.resource_name = str_of(g->name);
        resource.configs = configs;
        resource.configs_count = 2;
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
        *g = (struct share_group){ .name = name, .topic = t };
        for (int32_t k = 0; k < t->parts_count; k++)
                g->books[k] =
                        (struct share_book){ .group = name, .part = &t->parts[k], .deliveries_max = DELIVERIES_MAX };
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
