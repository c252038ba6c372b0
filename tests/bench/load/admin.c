/* Topics made and deleted, and connections that do nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "load.h"

enum { READY_LIMIT_S = 60 };

/* One fetch of every partition that waits for nothing; true when each of them is served. */
static bool all_served(const struct options *o, struct conn *c)
{
        struct fetch_part *parts = must_alloc((size_t)o->partitions, sizeof(*parts));
        struct fetch_response m;
        struct frame f = { 0 };
        struct arena a;
        struct cursor in;
        int served = 0;

        arena_init(&a, 0);
        for (int i = 0; i < o->partitions; i++)
                parts[i].index = i;
        fetch_put(&f, o, parts, o->partitions, 0, &a);
        answer_begin(conn_ask(c, &f), true, &in);
        if (fetch_response_decode(&m, &in, FETCH_VERSION, &a))
                die("the answer to a fetch cannot be read");
        for (int t = 0; t < m.responses_count; t++)
                for (int p = 0; p < m.responses[t].partitions_count; p++)
                        served += m.responses[t].partitions[p].error_code == 0;
        arena_fini(&a);
        free(parts);
        free(f.data);
        return served == o->partitions;
}

static void send_create(const struct options *o, struct conn *c)
{
        struct create_topics_request_config configs[ARRAY_LEN(((struct options *)0)->configs)];
        struct create_topics_request_topic topic;
        struct create_topics_request m;
        struct create_topics_response got;
        struct frame f = { 0 };
        struct cursor in;
        struct arena a;

        arena_init(&a, 0);
        create_topics_request_init(&m);
        create_topics_request_topic_init(&topic);
        topic.name = str_of(o->topic);
        topic.num_partitions = o->partitions;
        topic.replication_factor = 1;
        for (int i = 0; i < o->configs_count; i++) {
                const char *eq = strchr(o->configs[i], '=');

                if (!eq)
                        die("--config %s has no '='", o->configs[i]);
                configs[i] =
                        (struct create_topics_request_config){ .name = { o->configs[i], (size_t)(eq - o->configs[i]) },
                                                               .value = str_of(eq + 1) };
        }
        topic.configs = configs;
        topic.configs_count = o->configs_count;
        m.topics = &topic;
        m.topics_count = 1;
        FRAME_PUT(&f, CREATE_TOPICS_REQUEST_KEY, CREATE_TOPICS_VERSION, 0, 0, create_topics_request, &m);
        answer_begin(conn_ask(c, &f), true, &in);
        if (create_topics_response_decode(&got, &in, CREATE_TOPICS_VERSION, &a) || got.topics_count != 1)
                die("the answer to CreateTopics cannot be read");
        if (got.topics[0].error_code)
                die("topic %s: error %d: %.*s", o->topic, got.topics[0].error_code,
                    STR_FMT(got.topics[0].error_message));
        arena_fini(&a);
        free(f.data);
}

void load_create(const struct options *o)
{
        int64_t start = now_ns(), created;
        struct conn c;

        conn_open(&c, o, 0, -1);
        send_create(o, &c);
        created = now_ns();
        while (!all_served(o, &c)) {
                if (now_ns() - start > READY_LIMIT_S * INT64_C(1000000000))
                        die("not all of %d partitions of %s are served after %d s", o->partitions, o->topic,
                            READY_LIMIT_S);
                usleep(10000);
        }
        printf("{\"answered_s\": %.4f, \"served_s\": %.4f}\n", (double)(created - start) / 1e9,
               (double)(now_ns() - start) / 1e9);
        conn_close(&c);
}

void load_delete(const struct options *o)
{
        struct str name = str_of(o->topic);
        struct delete_topics_request m;
        struct delete_topics_response got;
        int64_t start = now_ns();
        struct frame f = { 0 };
        struct cursor in;
        struct arena a;
        struct conn c;

        arena_init(&a, 0);
        conn_open(&c, o, 0, -1);
        delete_topics_request_init(&m);
        m.topic_names = &name;
        m.topic_names_count = 1;
        m.timeout_ms = 60000;
        FRAME_PUT(&f, DELETE_TOPICS_REQUEST_KEY, DELETE_TOPICS_VERSION, 0, 0, delete_topics_request, &m);
        answer_begin(conn_ask(&c, &f), true, &in);
        if (delete_topics_response_decode(&got, &in, DELETE_TOPICS_VERSION, &a) || got.responses_count != 1)
                die("the answer to DeleteTopics cannot be read");
        if (got.responses[0].error_code)
                die("topic %s is not deleted: error %d", o->topic, got.responses[0].error_code);
        printf("{\"answered_s\": %.4f}\n", (double)(now_ns() - start) / 1e9);
        arena_fini(&a);
        free(f.data);
        conn_close(&c);
}

/* Connections that have said hello as every client does, and then nothing, until standard input ends. */
void load_idle(const struct options *o)
{
        struct conn *conns = must_alloc((size_t)o->connections, sizeof(*conns));
        struct api_versions_request m;
        struct frame f = { 0 };
        int64_t start = now_ns();
        char byte;

        api_versions_request_init(&m);
        m.client_software_name = STR_LIT("bench-load");
        m.client_software_version = STR_LIT("1");
        for (int i = 0; i < o->connections; i++) {
                conn_open(&conns[i], o, i, -1);
                FRAME_PUT(&f, API_VERSIONS_REQUEST_KEY, API_VERSIONS_VERSION, i, 0, api_versions_request, &m);
                if (conn_ask(&conns[i], &f).len < 6)
                        die("connection %d: no answer to ApiVersions", i);
                free(conns[i].in);
                free(conns[i].out);
                conns[i].in = NULL;
                conns[i].out = NULL;
        }
        printf("{\"connections\": %d, \"seconds\": %.4f}\n", o->connections, (double)(now_ns() - start) / 1e9);
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        for (int i = 0; i < o->connections; i++)
                close(conns[i].fd);
        free(conns);
        free(f.data);
}
