/* Consumers with fetch sessions (KIP-227), as real ones have: all partitions of a topic that a node leads are asked for together; a
 * request names only those whose place has changed, an answer only those that have something to tell. */
#include <stdio.h>

#include "client.h"

#define CATCH_UP_NS (SECOND * 120)

enum { NOT_IN_IT = -1, ASK_AGAIN = -2 };

struct session {
        struct client *client;
        struct history_topic *topic;
        struct client_reader readers[HISTORY_PARTITIONS_MAX];
        int64_t asked[HISTORY_PARTITIONS_MAX]; /* place that the session knows, or an enum above */
        int node;                              /* -1: it has none */
        int32_t id, epoch;
        unsigned reached; /* bits of partitions that were read to the end, when all is done */
};

static void forget(struct session *s)
{
        s->id = s->epoch = 0;
        for (int i = 0; i < HISTORY_PARTITIONS_MAX; i++)
                s->asked[i] = NOT_IN_IT;
}

/* ---- one request ---- */

/* What is not as the session knows it; into the request. */
static void ask(struct session *s, struct fetch_request_topic *topic, struct fetch_request_forgotten_topic *gone)
{
        topic->partitions_count = gone->partitions_count = 0;
        for (int32_t i = 0; i < s->topic->parts_count; i++) {
                struct client_reader *r = &s->readers[i];
                struct fetch_request_partition p;

                if (client_leader(s->client, r->part) != s->node) {
                        if (s->asked[i] != NOT_IN_IT)
                                gone->partitions[gone->partitions_count++] = i;
                        s->asked[i] = NOT_IN_IT;
                        continue;
                }
                client_reader_ask(r, s->node, &p); /* also what was known when it was asked for */
                if (s->asked[i] == r->at)
                        continue;
                topic->partitions[topic->partitions_count++] = p;
                s->asked[i] = r->at;
        }
}

static void take(struct session *s, const struct fetch_response_topic *t)
{
        if (!str_equal_c(t->topic, s->topic->name))
                world_fail("%s: a session of %s is told of another topic", s->client->name, s->topic->name);
        for (int32_t i = 0; i < t->partitions_count; i++) {
                const struct fetch_response_partition *p = &t->partitions[i];
                struct client_reader *r;
                int code;

                if (p->partition_index < 0 || p->partition_index >= s->topic->parts_count ||
                    s->asked[p->partition_index] == NOT_IN_IT)
                        world_fail("%s: a session is told of partition %d, which is not in it", s->client->name,
                                   p->partition_index);
                r = &s->readers[p->partition_index];
                code = client_reader_take(r, s->node, p);
                if (code == KERR_OFFSET_OUT_OF_RANGE)
                        client_out_of_range(r, s->node);
                else if (code)
                        client_fetch_failed(r, code);
                if (code) /* it is asked for again, wherever it is read from */
                        s->asked[p->partition_index] = ASK_AGAIN;
        }
}

/* False: the session is no more. */
static bool fetch(struct session *s)
{
        struct fetch_request_partition partitions[HISTORY_PARTITIONS_MAX];
        int32_t indexes[HISTORY_PARTITIONS_MAX];
        struct fetch_request_topic topic;
        struct fetch_request_forgotten_topic gone;
        struct fetch_request rq;
        struct fetch_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        fetch_request_init(&rq);
        fetch_request_topic_init(&topic);
        fetch_request_forgotten_topic_init(&gone);
        topic.topic = gone.topic = str_of(s->topic->name);
        topic.partitions = partitions;
        gone.partitions = indexes;
        ask(s, &topic, &gone);
        rq.topics = &topic;
        rq.topics_count = topic.partitions_count ? 1 : 0;
        rq.forgotten_topics_data = &gone;
        rq.forgotten_topics_data_count = gone.partitions_count ? 1 : 0;
        rq.session_id = s->id;
        rq.session_epoch = s->epoch;
        rq.max_wait_ms = 500;
        rq.min_bytes = 1;
        client_counts.fetches++;
        if (client_call(s->client, s->node, CLIENT_API(fetch, FETCH_REQUEST_KEY, 12), &rq, &rs, &mem))
                return false;
        if (rs.error_code) {
                client_error(s->client, "fetch in a session", rs.error_code);
                if (rs.error_code != KERR_FETCH_SESSION_ID_NOT_FOUND && !client_is_passing(rs.error_code))
                        world_fail("%s: a session of node %d is refused with error %d", s->client->name, s->node + 1,
                                   rs.error_code);
                return false;
        }
        client_counts.sessions += !s->id && rs.session_id;
        client_counts.session_fetches += s->id != 0;
        s->id = rs.session_id;
        s->epoch = s->id ? s->epoch + 1 : 0;
        for (int32_t i = 0; i < rs.responses_count; i++)
                take(s, &rs.responses[i]);
        return true;
}

/* ---- the fiber ---- */

/* The leader of a partition that is not read to the end. */
static int some_leader(struct session *s)
{
        struct client *c = s->client;

        int32_t at = (int32_t)chance_below(&c->chance, (uint64_t)s->topic->parts_count);

        while (s->reached & 1u << at) /* there is one that is not */
                at = (at + 1) % s->topic->parts_count;
        return client_leader(c, &s->topic->parts[at]);
}

/* All that is there is told in the sessions, too: a partition that one forgets of would wait for ever. */
static bool has_caught_up(struct session *s)
{
        for (int32_t i = 0; i < s->topic->parts_count; i++) {
                struct client_reader *r = &s->readers[i];
                int leader = client_leader(s->client, r->part);

                if (leader >= 0 && !(s->reached & 1u << i) && r->at >= client_list_offset(r, leader, -1))
                        s->reached |= 1u << i;
        }
        return s->reached == (1u << s->topic->parts_count) - 1;
}

/* Is all that the session's node leads read to the end? */
static bool is_through(struct session *s)
{
        for (int32_t i = 0; i < s->topic->parts_count; i++)
                if (!(s->reached & 1u << i) && client_leader(s->client, s->readers[i].part) == s->node)
                        return false;
        return true;
}

static void read_on(struct session *s)
{
        if (s->node < 0 || (clients_are_done && is_through(s)) || chance_one_in(&s->client->chance, 50)) {
                if (s->node >= 0)
                        client_close(s->client, s->node);
                s->node = some_leader(s);
                forget(s);
        }
        if (s->node >= 0 && fetch(s)) {
                fiber_sleep((int64_t)chance_below(&s->client->chance, SECOND / 4));
                return;
        }
        for (int32_t i = 0; i < s->topic->parts_count; i++)
                client_forget_leader(s->client, &s->topic->parts[i]);
        s->node = -1;
        client_pause(s->client);
}

static void consume(void *arg)
{
        struct session *s = arg;
        int64_t until_ns = 0;

        forget(s);
        while (!clients_are_done || !has_caught_up(s)) {
                if (clients_are_done && !until_ns)
                        until_ns = sim_now() + CATCH_UP_NS;
                if (until_ns && sim_now() > until_ns) {
                        for (int32_t i = 0; i < s->topic->parts_count; i++)
                                world_say("%s: read %s-%d up to %lld, asked for %lld, session %d in %d of node %d",
                                          s->client->name, s->topic->name, i, (long long)s->readers[i].at,
                                          (long long)s->asked[i], s->id, s->epoch, s->node + 1);
                        nodes_say();
                        world_fail("%s: the sessions do not tell of all that is in %s", s->client->name,
                                   s->topic->name);
                }
                read_on(s);
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(s->client, i);
}

void client_start_session(unsigned number, struct history_topic *t)
{
        struct session *s = calloc(1, sizeof *s);
        char name[24];

        assert(s);
        snprintf(name, sizeof name, "session%u", number);
        s->client = client_new(name);
        s->topic = t;
        s->node = -1;
        for (int32_t i = 0; i < t->parts_count; i++)
                s->readers[i] = (struct client_reader){ .client = s->client, .part = &t->parts[i], .preferred = -1 };
        client_run(s->client, consume, s);
}
