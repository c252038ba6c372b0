/* Topics: those of the history, and others that come and go. */
#include <stdio.h>
#include <string.h>

#include "client.h"

struct config {
        const char *name, *value;
};

static const struct config configs_of[][6] = {
        [PROMISE_SAFE] = { { "retention.ms", "-1" } },
        [PROMISE_RELAXED] = { { "chronik.flush.before.ack", "false" }, { "retention.ms", "-1" } },
        [PROMISE_NEWEST] = { { "cleanup.policy", "compact" },
                             { "segment.bytes", "8192" },
                             { "min.cleanable.dirty.ratio", "0.2" },
                             { "segment.ms", "30000" } },
        [PROMISE_LEDGER] = { { "segment.bytes", "16384" }, { "retention.ms", "-1" } },
        [PROMISE_STRICT] = { { "min.insync.replicas", "2" }, { "retention.ms", "-1" } },
        [PROMISE_TRIMMED] = { { "segment.bytes", "16384" }, { "retention.ms", "-1" } },
        [PROMISE_RECENT] = { { "retention.bytes", "100000" }, { "segment.bytes", "16384" } },
};

/* Return: Kafka's code; -1: no answer. */
static int create(struct client *c, const char *name, int32_t partitions, int16_t replicas, enum promise promise)
{
        struct create_topics_request_config configs[6];
        struct create_topics_request_topic topic;
        struct create_topics_request rq;
        struct create_topics_response rs;
        CLEANUP(arena_finip) struct arena mem;
        int32_t n = 0;

        arena_init(&mem, 0);
        create_topics_request_init(&rq);
        create_topics_request_topic_init(&topic);
        for (; n < 6 && configs_of[promise][n].name; n++) {
                create_topics_request_config_init(&configs[n]);
                configs[n].name = str_of(configs_of[promise][n].name);
                configs[n].value = str_of(configs_of[promise][n].value);
        }
        topic.name = str_of(name);
        topic.num_partitions = partitions;
        topic.replication_factor = replicas;
        topic.configs = configs;
        topic.configs_count = n;
        rq.topics = &topic;
        rq.topics_count = 1;
        rq.timeout_ms = 5000;
        if (client_call(c, client_any_node(c), CLIENT_API(create_topics, CREATE_TOPICS_REQUEST_KEY, 7), &rq, &rs, &mem))
                return -1;
        if (rs.topics_count != 1)
                world_fail("%s: CreateTopics is answered for %d topics", c->name, rs.topics_count);
        if (rs.topics[0].error_code)
                client_error(c, "CreateTopics", rs.topics[0].error_code);
        return rs.topics[0].error_code;
}

static int delete (struct client *c, const char *name)
{
        struct delete_topics_request rq;
        struct delete_topics_response rs;
        struct str names[1] = { str_of(name) };
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        delete_topics_request_init(&rq);
        rq.topic_names = names;
        rq.topic_names_count = 1;
        rq.timeout_ms = 5000;
        if (client_call(c, client_any_node(c), CLIENT_API(delete_topics, DELETE_TOPICS_REQUEST_KEY, 5), &rq, &rs, &mem))
                return -1;
        if (rs.responses_count != 1)
                world_fail("%s: DeleteTopics is answered for %d topics", c->name, rs.responses_count);
        if (rs.responses[0].error_code)
                client_error(c, "DeleteTopics", rs.responses[0].error_code);
        return rs.responses[0].error_code;
}

void client_create_topics(struct client *c, int16_t replicas)
{
        for (unsigned i = 0; i < history_topics_count; i++)
                for (;;) {
                        const struct history_topic *t = &history_topics[i];
                        int code = create(c, t->name, t->parts_count, replicas, t->promise);

                        if (!code || code == KERR_TOPIC_ALREADY_EXISTS)
                                break;
                        client_pause(c);
                }
}

/* ---- topics that come and go ---- */

/* Is it in the metadata that a node tells? 1 yes, 0 no, -1 no answer. */
static int is_known(struct client *c, const char *name)
{
        struct metadata_request rq;
        struct metadata_request_topic topic;
        struct metadata_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        metadata_request_init(&rq);
        metadata_request_topic_init(&topic);
        topic.name = str_of(name);
        rq.topics = &topic;
        rq.topics_count = 1;
        rq.allow_auto_topic_creation = false;
        if (client_call(c, client_any_node(c), CLIENT_API(metadata, METADATA_REQUEST_KEY, 12), &rq, &rs, &mem))
                return -1;
        if (rs.topics_count != 1)
                world_fail("%s: Metadata is answered for %d topics", c->name, rs.topics_count);
        return rs.topics[0].error_code != KERR_UNKNOWN_TOPIC_OR_PARTITION;
}

/* What was done and answered is seen, at once by who asks the only node, by others a little later. */
static void expect_known(struct client *c, const char *name, int known)
{
        int64_t until_ns = sim_now() + SECOND * 30;
        bool again = false;

        for (;;) {
                int found = is_known(c, name);

                if (found == known)
                        return;
                if (found >= 0 && (nodes_count == 1 || (again && sim_now() > until_ns)))
                        world_fail("%s: topic %s was %s, and is %s", c->name, name, known ? "created" : "deleted",
                                   known ? "not known" : "known");
                again = found >= 0;
                if (found < 0)
                        until_ns = sim_now() + SECOND * 30;
                client_pause(c);
        }
}

static void refused(const struct client *c, const char *what, int code)
{
        if (code > 0 && !client_is_passing(code) &&
            code != KERR_INVALID_REPLICATION_FACTOR) /* too few nodes are there */
                world_fail("%s: %s is refused with error %d", c->name, what, code);
}

static void administer(void *arg)
{
        struct client *c = arg;
        char name[64];

        for (unsigned n = 0; !clients_are_done; n++) {
                bool asked = false, unsure;
                int code;

                snprintf(name, sizeof name, "passing-%s-%u", c->name, n);
                while ((code = create(c, name, 1 + (int32_t)chance_below(&c->chance, 4), -1, PROMISE_SAFE))) {
                        if (code == KERR_TOPIC_ALREADY_EXISTS && asked)
                                break; /* by ourselves, without an answer */
                        if (code == KERR_TOPIC_ALREADY_EXISTS)
                                world_fail("%s: topic %s exists before it is created", c->name, name);
                        asked = true;
                        refused(c, "CreateTopics", code);
                        client_pause(c);
                }
                client_counts.created++;
                expect_known(c, name, 1);
                fiber_sleep((int64_t)chance_below(&c->chance, SECOND * 10));
                expect_known(c, name, 1);
                unsure = asked;
                asked = false;
                while ((code = delete (c, name))) {
                        if (code == KERR_UNKNOWN_TOPIC_OR_PARTITION && asked)
                                break;
                        if (code == KERR_UNKNOWN_TOPIC_OR_PARTITION && nodes_count == 1)
                                world_fail("%s: topic %s is not there to be deleted", c->name, name);
                        asked = true;
                        refused(c, "DeleteTopics", code);
                        client_pause(c);
                }
                client_counts.deleted++;
                if (!asked && !unsure) /* else one of the requests may still be under way */
                        expect_known(c, name, 0);
                fiber_sleep((int64_t)chance_below(&c->chance, SECOND * 10));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(c, i);
}

void client_start_admin(unsigned number)
{
        char name[24];
        struct client *c;

        snprintf(name, sizeof name, "admin%u", number);
        c = client_new(name);
        client_run(c, administer, c);
}
