/* Goal: a configuration is read, refused and derived as docs/PARAMETERS.md promises, every mistake with its place and
 * its remedy. Method: texts given to conf_parse() on a machine of two processors, the errors compared. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/address.h"
#include "conf/conf.h"
#include "conf/limits.h"
#include "unit.h"

static const struct conf_machine machine = { .cpus = 2, .hostname = "node-7" };

/* The values of the deployment guide. */
static const char guide[] = "# config/production.yaml\n"
                            "server:\n"
                            "  num_network_threads: 16\n"
                            "  num_io_threads: 32\n"
                            "  socket_send_buffer_bytes: 1048576\n"
                            "  socket_receive_buffer_bytes: 1048576\n"
                            "  max_connections: 10000\n"
                            "\n"
                            "storage:\n"
                            "  segment_size: 1073741824  # 1GB\n"
                            "  compression_type: zstd\n"
                            "  compression_level: 3\n"
                            "  flush_interval_ms: 100\n"
                            "  flush_messages: 10000\n"
                            "\n"
                            "replication:\n"
                            "  factor: 3\n"
                            "  min_insync_replicas: 2\n"
                            "  ack_timeout_ms: 30000\n"
                            "\n"
                            "performance:\n"
                            "  batch_size: 16384\n"
                            "  linger_ms: 5\n"
                            "  buffer_memory: 67108864  # 64MB\n"
                            "  prefetch_count: 10\n";

static struct conf *must_parse(const char *text, const char *const *sets, size_t n)
{
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        struct conf *c = NULL;

        CU_ASSERT_EQUAL(conf_parse("f.yaml", str_of(text), sets, n, &machine, &c, &errors), 0);
        if (errors.data)
                fprintf(stderr, "%s", errors.data);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT_PTR_NULL(errors.data);
        return c;
}

static void expect_errors(struct str text, const char *const *sets, size_t n, const char *expected)
{
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        struct conf *c = NULL;

        CU_ASSERT_EQUAL(conf_parse("f.yaml", text, sets, n, &machine, &c, &errors), CONF_E_INVALID);
        CU_ASSERT_PTR_NULL(c);
        CU_ASSERT_PTR_NOT_NULL_FATAL(errors.data);
        if (strcmp(errors.data, expected))
                fprintf(stderr, "\ngot:\n%sexpected:\n%s", errors.data, expected);
        CU_ASSERT_STRING_EQUAL(errors.data, expected);
}

#define REFUSED(text, expected) expect_errors(str_of(text), NULL, 0, expected)
#define SET_REFUSED(set, expected) \
        do { \
                const char *const sets_[] = { set }; \
                expect_errors(STR_NULL, sets_, 1, expected); \
        } while (0)

static void test_defaults(void)
{
        CLEANUP(conf_unrefp) struct conf *c = must_parse(NULL, NULL, 0);

        CU_ASSERT_EQUAL(c->server.num_network_threads, 2);
        CU_ASSERT_EQUAL(c->server.num_io_threads, 4);
        CU_ASSERT_EQUAL(c->server.roles, CONF_ROLE_CONTROLLER | CONF_ROLE_INGEST);
        CU_ASSERT_EQUAL(c->server.max_request_bytes, 104857600);
        CU_ASSERT_EQUAL(c->storage.compression_type, CONF_COMPRESSION_PRODUCER);
        CU_ASSERT_EQUAL(c->storage.cleanup_policy, CONF_CLEANUP_DELETE);
        CU_ASSERT_EQUAL(c->storage.timestamp_type, CONF_TIMESTAMP_CREATE);
        CU_ASSERT(c->storage.flush_before_ack);
        CU_ASSERT_DOUBLE_EQUAL(c->storage.min_cleanable_ratio, 0.5, 0);
        CU_ASSERT_EQUAL(c->diag.level, CONF_DIAG_INFO);
        CU_ASSERT_STRING_EQUAL(c->server.cluster_id, "");
        CU_ASSERT_EQUAL(c->source[PARAM_server_node_id], CONF_SOURCE_DEFAULT);
}

/* The constants of conf.h are the places of the words in the table. */
static void test_words_of_the_table(void)
{
        static const struct {
                enum conf_param id;
                int place;
                const char *word;
        } words[] = {
                { PARAM_server_roles, 0, "controller" },
                { PARAM_server_roles, 1, "ingest" },
                { PARAM_storage_cleanup_policy, 0, "delete" },
                { PARAM_storage_cleanup_policy, 1, "compact" },
                { PARAM_storage_timestamp_type, CONF_TIMESTAMP_CREATE, "CreateTime" },
                { PARAM_storage_timestamp_type, CONF_TIMESTAMP_LOG_APPEND, "LogAppendTime" },
                { PARAM_storage_compression_type, CONF_COMPRESSION_UNCOMPRESSED, "uncompressed" },
                { PARAM_storage_compression_type, CONF_COMPRESSION_GZIP, "gzip" },
                { PARAM_storage_compression_type, CONF_COMPRESSION_SNAPPY, "snappy" },
                { PARAM_storage_compression_type, CONF_COMPRESSION_LZ4, "lz4" },
                { PARAM_storage_compression_type, CONF_COMPRESSION_ZSTD, "zstd" },
                { PARAM_storage_compression_type, CONF_COMPRESSION_PRODUCER, "producer" },
                { PARAM_groups_consumer_migration_policy, CONF_MIGRATION_BOTH, "bidirectional" },
                { PARAM_groups_consumer_migration_policy, CONF_MIGRATION_UPGRADE, "upgrade" },
                { PARAM_groups_consumer_migration_policy, CONF_MIGRATION_DOWNGRADE, "downgrade" },
                { PARAM_groups_consumer_migration_policy, CONF_MIGRATION_NONE, "disabled" },
                { PARAM_diag_level, CONF_DIAG_ERROR, "error" },
                { PARAM_diag_level, CONF_DIAG_WARNING, "warning" },
                { PARAM_diag_level, CONF_DIAG_NOTICE, "notice" },
                { PARAM_diag_level, CONF_DIAG_INFO, "info" },
                { PARAM_diag_level, CONF_DIAG_DEBUG, "debug" },
        };

        for (size_t i = 0; i < ARRAY_LEN(words); i++)
                CU_ASSERT(str_equal_c(conf_values_at(conf_params[words[i].id].values, words[i].place), words[i].word));
}

static void test_every_row_is_complete(void)
{
        for (int i = 0; i < PARAM_COUNT; i++) {
                const struct conf_row *row = &conf_params[i];

                CU_ASSERT_PTR_NOT_NULL_FATAL(row->key);
                CU_ASSERT(strlen(row->text) > 20 && row->text[strlen(row->text) - 1] == '.');
                CU_ASSERT(row->min <= row->max);
                CU_ASSERT_EQUAL(conf_param_find(str_of(row->section), str_of(row->key)), i);
        }
}

static void test_guide(void)
{
        CLEANUP(conf_unrefp) struct conf *c = must_parse(guide, NULL, 0);

        CU_ASSERT_EQUAL(c->server.num_network_threads, 16);
        CU_ASSERT_EQUAL(c->server.num_io_threads, 32);
        CU_ASSERT_EQUAL(c->server.socket_send_buffer_bytes, 1048576);
        CU_ASSERT_EQUAL(c->server.socket_receive_buffer_bytes, 1048576);
        CU_ASSERT_EQUAL(c->server.max_connections, 10000);
        CU_ASSERT_EQUAL(c->storage.segment_size, 1073741824);
        CU_ASSERT_EQUAL(c->storage.compression_type, CONF_COMPRESSION_ZSTD);
        CU_ASSERT_EQUAL(c->storage.compression_level, 3);
        CU_ASSERT_EQUAL(c->storage.flush_interval_ms, 100);
        CU_ASSERT_EQUAL(c->storage.flush_messages, 10000);
        CU_ASSERT_EQUAL(c->replication.factor, 3);
        CU_ASSERT_EQUAL(c->replication.min_insync_replicas, 2);
        CU_ASSERT_EQUAL(c->replication.ack_timeout_ms, 30000);
        CU_ASSERT_EQUAL(c->performance.batch_size, 16384);
        CU_ASSERT_EQUAL(c->performance.linger_ms, 5);
        CU_ASSERT_EQUAL(c->performance.buffer_memory, 67108864);
        CU_ASSERT_EQUAL(c->performance.prefetch_count, 10);
        CU_ASSERT_EQUAL(c->source[PARAM_performance_linger_ms], CONF_SOURCE_STATIC);
        CU_ASSERT_EQUAL(c->source[PARAM_storage_retention_ms], CONF_SOURCE_DEFAULT);
}

static void test_forms(void)
{
        CLEANUP(conf_unrefp)
        struct conf *c = must_parse("server:\n"
                                    "  roles: [controller]\n"
                                    "  rack: \"12\"\n"
                                    "  kafka: '[::]:9092'\n"
                                    "  connections_max_idle_ms: 5m\n"
                                    "storage: {segment_size: 64MiB, cleanup_policy: [compact, delete]}\n",
                                    NULL, 0);

        CU_ASSERT_EQUAL(c->server.roles, CONF_ROLE_CONTROLLER);
        CU_ASSERT_STRING_EQUAL(c->server.rack, "12");
        CU_ASSERT_STRING_EQUAL(c->server.kafka.host, "::");
        CU_ASSERT_EQUAL(c->server.connections_max_idle_ms, 300000);
        CU_ASSERT_EQUAL(c->storage.segment_size, 64 << 20);
        CU_ASSERT_EQUAL(c->storage.cleanup_policy, CONF_CLEANUP_DELETE | CONF_CLEANUP_COMPACT);
}

static void test_set(void)
{
        static const char *const sets[] = { "server.num_io_threads=8", "server.rack=a", "storage.segment_size=1GB",
                                            "server.rack=b", "server.roles=controller" };
        CLEANUP(conf_unrefp) struct conf *c = must_parse(guide, sets, ARRAY_LEN(sets));

        CU_ASSERT_EQUAL(c->server.num_io_threads, 8); /* over the file */
        CU_ASSERT_STRING_EQUAL(c->server.rack, "b");  /* the later one */
        CU_ASSERT_EQUAL(c->storage.segment_size, 1 << 30);
        CU_ASSERT_EQUAL(c->server.roles, CONF_ROLE_CONTROLLER);

        SET_REFUSED("server.num_io_threads=0",
                    "--set: server.num_io_threads: is '0'; give a whole number from 1 to 1024\n");
        SET_REFUSED("num_io_threads=4", "--set: 'num_io_threads=4' is not section.key=value; write for example "
                                        "--set server.num_io_threads=4\n");
        SET_REFUSED("servre.num_io_threads=4", "--set: servre: there is no such section; did you mean server?\n");
        SET_REFUSED("server.num_io_thread=4",
                    "--set: server.num_io_thread: there is no such parameter; did you mean server.num_io_threads?\n");
}

static void test_values_refused(void)
{
        REFUSED("server:\n  num_io_threads: many\n",
                "f.yaml:2: server.num_io_threads: is 'many'; give a whole number from 1 to 1024\n");
        REFUSED("server:\n  num_io_threads: \"32\"\n", "f.yaml:2: server.num_io_threads: is text in quotes; give a "
                                                       "whole number from 1 to 1024 without quotes\n");
        REFUSED("server:\n\n  num_io_threads:\n", "f.yaml:3: server.num_io_threads: has no value; give a whole number "
                                                  "from 1 to 1024, or leave the line out\n");
        REFUSED("server:\n  num_io_threads: [1, 2]\n",
                "f.yaml:2: server.num_io_threads: is a list; give a whole number from 1 to 1024\n");
        REFUSED("server:\n  num_io_threads: {a: [b, {c: d}]}\n  node_id: -1\n",
                "f.yaml:2: server.num_io_threads: is a mapping; give a whole number from 1 to 1024\n"
                "f.yaml:3: server.node_id: is '-1'; give a whole number from 0 to 2147483647\n");
        REFUSED("storage:\n  flush_before_ack: yes\n",
                "f.yaml:2: storage.flush_before_ack: is 'yes'; give true or false\n");
        REFUSED("storage:\n  compression_type: brotli\n", "f.yaml:2: storage.compression_type: is 'brotli'; give one "
                                                          "of uncompressed, gzip, snappy, lz4, zstd, producer\n");
        REFUSED("server:\n  roles: []\n", "f.yaml:2: server.roles: is ''; give one or more of controller, ingest\n");
        REFUSED("server:\n  node_id: &a 1\n  num_io_threads: *a\n",
                "f.yaml:3: server.num_io_threads: is a YAML alias; give a whole number from 1 to 1024\n");
}

static void test_names_refused(void)
{
        REFUSED("servers:\n  node_id: 1\n", "f.yaml:1: servers: there is no such section; did you mean server?\n");
        REFUSED("kubernetes:\n  node_id: 1\n",
                "f.yaml:1: kubernetes: there is no such section; there are server, "
                "storage, cluster, replication, performance, "
                "topics, groups, producers, fetch, transactions, security, audit, admin, diag\n");
        REFUSED("server:\n  num.network.threads: 3\n",
                "f.yaml:2: server.num.network.threads: there is no such parameter; "
                "did you mean server.num_network_threads?\n");
        REFUSED("server:\n  linger_ms: 3\n",
                "f.yaml:2: server.linger_ms: there is no such parameter; did you mean performance.linger_ms?\n");
        REFUSED("server:\n  colour: red\n",
                "f.yaml:2: server.colour: there is no such parameter; docs/PARAMETERS.md has all of them\n");
        REFUSED("server:\n  node_id: 1\n  rack: a\n  node_id: 2\n",
                "f.yaml:4: server.node_id: was given in line 2 already; leave one of the two out\n");
        REFUSED("server:\n  node_id: 1\nfetch:\n  session_cache: 5\nserver:\n  node_id: 2\n",
                "f.yaml:5: server: this section was begun in line 1 already; put both together\n"
                "f.yaml:6: server.node_id: was given in line 2 already; leave one of the two out\n");
}

static void test_documents_refused(void)
{
        static const char wanted[] = "write sections such as `server:` with `key: value` lines below them";
        char expected[256];

        snprintf(expected, sizeof expected, "f.yaml: is empty; %s, or start without a file\n", wanted);
        REFUSED("", expected);
        REFUSED("# only a comment\n", expected);
        snprintf(expected, sizeof expected, "f.yaml:1: is not a mapping; %s\n", wanted);
        REFUSED("hello\n", expected);
        REFUSED("- a\n- b\n", expected);
        REFUSED("server:\n\tnode_id: 1\n", "f.yaml:2: the line is indented with a tab; YAML wants spaces\n");
        REFUSED("server:\n  node_id: 1\n---\nserver: {}\n",
                "f.yaml:3: a second document begins here; one file holds one\n");
        REFUSED("server:\nstorage:\n  segment_size: 1GB\n",
                "f.yaml:1: server: holds no keys; write `key: value` lines below it, indented by spaces, or leave the "
                "section out\n");
        expect_errors((struct str){ "server:\n  rack: \xff\n", 17 }, NULL, 0,
                      "f.yaml: is not text (invalid leading UTF-8 octet at byte 16); give UTF-8 without control "
                      "characters\n");
}

static void test_syntax_error_keeps_what_was_found(void)
{
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        struct conf *c = NULL;

        CU_ASSERT_EQUAL(
                conf_parse("f.yaml", STR_LIT("server:\n  node_id: x\n  rack: [a\n"), NULL, 0, &machine, &c, &errors),
                CONF_E_INVALID);
        CU_ASSERT_PTR_NOT_NULL_FATAL(errors.data);
        CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "f.yaml:2: server.node_id: is 'x'"));
        CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "this is not YAML"));
}

static void test_checks_of_groups(void)
{
        REFUSED("groups:\n  consumer_session_timeout_ms: 10s\n",
                "f.yaml:2: groups.consumer_session_timeout_ms: is 10000, less than "
                "groups.consumer_min_session_timeout_ms, which is 45000; give at least that, or lower the other\n");
        REFUSED("groups:\n  share_max_heartbeat_interval_ms: 6s\n  share_heartbeat_interval_ms: 7s\n",
                "f.yaml:3: groups.share_heartbeat_interval_ms: is 7000, more than "
                "groups.share_max_heartbeat_interval_ms, which is 6000; give at most that, or raise the other\n");
        REFUSED("groups:\n  consumer_max_heartbeat_interval_ms: 45s\n  consumer_heartbeat_interval_ms: 45s\n",
                "f.yaml:3: groups.consumer_heartbeat_interval_ms: is 45000, as much as "
                "groups.consumer_session_timeout_ms; give less\n");
        REFUSED("groups:\n  share_max_delivery_count_limit: 30\n",
                "f.yaml:2: groups.share_max_delivery_count_limit: is '30'; give a whole number from 5 to 25\n");
}

static void test_checks(void)
{
        REFUSED("replication:\n  factor: 2\n  min_insync_replicas: 3\n",
                "f.yaml:3: replication.min_insync_replicas: is 3, more than replication.factor, which is 2; give at "
                "most "
                "that, or raise the other\n");
        REFUSED("server:\n  max_request_bytes: 1MiB\n", "f.yaml:2: server.max_request_bytes: is 1048576, less than "
                                                        "storage.max_message_bytes, which is 1048588; "
                                                        "give at least that, or lower the other\n");
        REFUSED("server:\n  kafka: 0.0.0.0:9092\n  advertised: 0.0.0.0:9092\n",
                "f.yaml:3: server.advertised: is 0.0.0.0, to which no client can connect; give a host name or address "
                "of "
                "this node, or leave it out\n");
        REFUSED("server:\n  advertised: '[::]:9092'\n",
                "f.yaml:2: server.advertised: is ::, to which no client can connect; give a host name or address of "
                "this node, or leave it out\n");
        REFUSED("server:\n  kafka: 10.0.0.1:9092\n  admin: 0.0.0.0:9092\n",
                "f.yaml:3: server.admin: port 9092 is wanted by server.kafka and by server.admin; give them different "
                "ports\n");
        REFUSED("storage:\n  compression_type: snappy\n  compression_level: 3\n",
                "f.yaml:3: storage.compression_level: is 3, but compression_type snappy has no levels; leave it out, "
                "or "
                "choose gzip, lz4 or zstd\n");
        REFUSED("storage:\n  compression_type: gzip\n  compression_level: 10\n",
                "f.yaml:3: storage.compression_level: is 10; give 1 to 9 for gzip, or 0 for its default\n");
        REFUSED("server:\n  socket_send_buffer_bytes: 100\n", "f.yaml:2: server.socket_send_buffer_bytes: is 100; give "
                                                              "at least 1024, or -1 to leave it to the kernel\n");
        SET_REFUSED("server.data_dir=", "--set: server.data_dir: is empty; give a directory\n");
        REFUSED("security:\n  super_users: User:a\n", "f.yaml:2: security.super_users: is set, but security.authorizer "
                                                      "is none, and everybody may do everything; "
                                                      "set that to standard, or leave this out\n");
        /* a refused value takes no part in further checks */
        REFUSED("replication:\n  factor: none\n  min_insync_replicas: 3\n",
                "f.yaml:2: replication.factor: is 'none'; give a whole number from 1 to 32\n");
}

#define TWO "cluster:\n  listen: 127.0.0.1:9093\n  plaintext: true\n"
#define ONE TWO "  controllers: 1@a:9093\n"

static void test_cluster(void)
{
        struct conf_controller list[CONF_CONTROLLERS_MAX];
        struct conf *c = must_parse(TWO "  controllers: 1@a.example:9093, 2@[::1]:9094,3@10.0.0.3:9093\n", NULL, 0);

        CU_ASSERT_EQUAL(conf_controllers_parse(str_of(c->cluster.controllers), list), 3);
        CU_ASSERT_EQUAL(list[0].id, 1);
        CU_ASSERT(str_equal_c(list[0].host, "a.example"));
        CU_ASSERT(str_equal_c(list[1].host, "::1"));
        CU_ASSERT_EQUAL(list[1].port, 9094);
        CU_ASSERT_EQUAL(list[2].id, 3);
        CU_ASSERT_STRING_EQUAL(conf_cluster_advertised(c, 9093).host, "127.0.0.1");
        conf_unref(c);

        REFUSED("cluster:\n  controllers: 1@a:9093\n",
                "f.yaml:2: cluster.controllers: names other nodes, but this one does not listen for them; set "
                "cluster.listen, for example to 0.0.0.0:9093\n");
        REFUSED("server:\n  roles: ingest\n",
                "f.yaml:2: server.roles: leaves out controller, but without cluster.listen this node is alone; set "
                "cluster.listen and cluster.controllers, or add the role\n");
        REFUSED(TWO,
                "f.yaml: cluster.controllers: is empty, so nodes cannot find each other; give ID@HOST:PORT of each "
                "controller\n");
        REFUSED(ONE "  tls_ca: /etc/ca.pem\n",
                "f.yaml:3: cluster.plaintext: is true beside certificates; leave one of them out\n");
        REFUSED("cluster:\n  listen: 127.0.0.1:9093\n  controllers: 1@a:1\n  tls_ca: /ca\n  tls_key: /k\n",
                "f.yaml: cluster.tls_certificate: is empty, and nodes talk with TLS; give the file (`chronik-ctl tls "
                "init` makes all three), or set cluster.plaintext for a network that nobody else can reach\n");
        REFUSED(ONE "  heartbeat_interval_ms: 600ms\n",
                "f.yaml:5: cluster.heartbeat_interval_ms: heartbeats come every 600 ms and a node is given up after "
                "1500 ms; a third of that or less lets one be lost\n");
}

/* Everything that is not a list of controllers. */
static void test_controllers_refused(void)
{
        static const char *const bad[] = { "1",      "1@a",          "1@a:0",          "@a:1",        "-1@a:1",
                                           "1@a:1,", "1@a:1,,2@b:1", "1@a:1 2@b:1",    "1@a:1,1@b:1", "1@*:1",
                                           "x@a:1",  "1@a:65536",    "99999999999@a:1" };
        struct conf_controller list[CONF_CONTROLLERS_MAX];

        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CU_ASSERT_EQUAL(conf_controllers_parse(str_of(bad[i]), list), -1);
        CU_ASSERT_EQUAL(conf_controllers_parse(str_of(""), list), 0);
        CU_ASSERT_EQUAL(
                conf_controllers_parse(str_of("1@a:1,2@a:1,3@a:1,4@a:1,5@a:1,6@a:1,7@a:1,8@a:1,9@a:1,10@a:1,11@a:1,"
                                              "12@a:1,13@a:1,14@a:1,15@a:1,16@a:1"),
                                       list),
                -1);
}

static void test_errors_are_bounded(void)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 }, errors = { 0 };
        struct conf *c = NULL;
        unsigned lines = 0;

        strbuf_add_c(&text, "server:\n");
        for (int i = 0; i < 100; i++)
                strbuf_printf(&text, "  colour%d: 1\n", i);
        CU_ASSERT_EQUAL(conf_parse("f.yaml", (struct str){ text.data, text.len }, NULL, 0, &machine, &c, &errors),
                        CONF_E_INVALID);
        for (const char *p = errors.data; (p = strchr(p, '\n')); p++)
                lines++;
        CU_ASSERT_EQUAL(lines, LIMIT_CONF_ERRORS + 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "and 80 mistakes more"));
}

static void test_advertised(void)
{
        static const char *const wild[] = { "server.kafka=0.0.0.0:0" };
        static const char *const bound[] = { "server.kafka=10.1.2.3:9092" };
        static const char *const given[] = { "server.kafka=0.0.0.0:9092", "server.advertised=b1.example:19092" };
        CLEANUP(conf_unrefp) struct conf *a = must_parse(NULL, wild, 1);
        CLEANUP(conf_unrefp) struct conf *b = must_parse(NULL, bound, 1);
        CLEANUP(conf_unrefp) struct conf *c = must_parse(NULL, given, 2);

        CU_ASSERT_STRING_EQUAL(conf_advertised(a, &a->listeners[0], 4711).host, "node-7");
        CU_ASSERT_EQUAL(conf_advertised(a, &a->listeners[0], 4711).port, 4711);
        CU_ASSERT_STRING_EQUAL(conf_advertised(b, &b->listeners[0], 9092).host, "10.1.2.3");
        CU_ASSERT_STRING_EQUAL(conf_advertised(c, &c->listeners[0], 9092).host, "b1.example");
        CU_ASSERT_EQUAL(conf_advertised(c, &c->listeners[0], 9092).port, 19092);
}

static void test_derive(void)
{
        CLEANUP(conf_unrefp) struct conf *base = must_parse(guide, NULL, 0);
        CLEANUP(conf_unrefp) struct conf *next = NULL;
        enum conf_param ids[] = { PARAM_storage_retention_ms, PARAM_server_rack };
        struct conf_value values[] = { { .i = 5 }, { .s = "r9" } };
        enum conf_source sources[] = { CONF_SOURCE_BROKER, CONF_SOURCE_BROKER_DEFAULT };

        CU_ASSERT_EQUAL_FATAL(conf_derive(base, 2, ids, values, sources, &next), 0);
        CU_ASSERT_EQUAL(next->storage.retention_ms, 5);
        CU_ASSERT_STRING_EQUAL(next->server.rack, "r9");
        CU_ASSERT_EQUAL(next->source[PARAM_storage_retention_ms], CONF_SOURCE_BROKER);
        CU_ASSERT_EQUAL(next->source[PARAM_storage_segment_size], CONF_SOURCE_STATIC);
        CU_ASSERT_EQUAL(base->storage.retention_ms, 604800000); /* the base did not move */
        base = conf_unref(base);
        CU_ASSERT_STRING_EQUAL(next->server.data_dir, "chronik-data"); /* text is the new one's own */
        CU_ASSERT_EQUAL(next->server.num_io_threads, 32);
}

static void test_files(void)
{
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        CLEANUP(conf_unrefp) struct conf *c = NULL;
        char path[] = "/tmp/test-conf-XXXXXX";
        int fd = mkstemp(path);

        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(write(fd, guide, sizeof guide - 1), sizeof guide - 1);
        close(fd);
        CU_ASSERT_EQUAL(conf_load(path, NULL, 0, NULL, &c, &errors), 0);
        CU_ASSERT(c && c->server.num_io_threads == 32 && c->hostname[0] && c->cpus >= 1);
        unlink(path);
        c = conf_unref(c);
        CU_ASSERT_EQUAL(conf_load("/nonexistent/f.yaml", NULL, 0, NULL, &c, &errors), CONF_E_INVALID);
        CU_ASSERT_STRING_EQUAL(errors.data, "/nonexistent/f.yaml: cannot be read (No such file or directory); give "
                                            "--config a readable YAML file\n");
        strbuf_fini(&errors);
        CU_ASSERT_EQUAL(conf_load("/", NULL, 0, NULL, &c, &errors), CONF_E_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "Is a directory"));
}

/* Several listeners by name, beside the short form or without it; each value is judged where it stands. */
static void test_listeners(void)
{
        static const char text[] = "listeners:\n"
                                   "  INSIDE:\n"
                                   "    address: 0.0.0.0:9093\n"
                                   "    protocol: SASL_PLAINTEXT\n"
                                   "  OUT:\n"
                                   "    address: 0.0.0.0:9094\n"
                                   "    advertised: kafka.example.org:443\n"
                                   "    protocol: SASL_SSL\n"
                                   "    tls_certificate: c.pem\n"
                                   "    tls_key: k.pem\n"
                                   "    sasl_mechanisms: [PLAIN, SCRAM-SHA-512]\n"
                                   "    connections_max_reauth_ms: 1h\n";
        const char *const sets[] = { "listeners.OUT.address=1.2.3.4:9095", "server.kafka=127.0.0.1:9092" };
        CLEANUP(conf_unrefp) struct conf *a = must_parse(text, NULL, 0), *b = must_parse(text, sets, 2), *c = NULL;
        CLEANUP(conf_unrefp) struct conf *none = must_parse(NULL, NULL, 0);
        const struct conf_listener *out = &b->listeners[2];

        CU_ASSERT_EQUAL_FATAL(a->listeners_count, 2);
        CU_ASSERT_STRING_EQUAL(a->listeners[0].name, "INSIDE");
        CU_ASSERT_EQUAL(a->listeners[0].sasl_mechanisms, CONF_SASL_SCRAM_SHA_256 | CONF_SASL_SCRAM_SHA_512);
        CU_ASSERT_STRING_EQUAL(conf_advertised(a, &a->listeners[0], 9093).host, "node-7");
        CU_ASSERT_EQUAL_FATAL(b->listeners_count, 3);
        CU_ASSERT_STRING_EQUAL(b->listeners[0].name, "PLAINTEXT");
        CU_ASSERT_EQUAL(out->address.port, 9095);
        CU_ASSERT_EQUAL(out->protocol, CONF_PROTOCOL_SASL_SSL);
        CU_ASSERT_EQUAL(out->sasl_mechanisms, CONF_SASL_PLAIN | CONF_SASL_SCRAM_SHA_512);
        CU_ASSERT_EQUAL(out->connections_max_reauth_ms, 3600000);
        CU_ASSERT_STRING_EQUAL(conf_advertised(b, out, 9095).host, "kafka.example.org");
        CU_ASSERT_EQUAL(conf_advertised(b, out, 9095).port, 443);
        CU_ASSERT_EQUAL_FATAL(none->listeners_count, 1);
        CU_ASSERT_STRING_EQUAL(none->listeners[0].name, "PLAINTEXT");
        CU_ASSERT_EQUAL(none->listeners[0].address.port, 9092);
        CU_ASSERT_EQUAL(conf_derive(b, 0, NULL, NULL, NULL, &c), 0);
        b = conf_unref(b);
        CU_ASSERT_EQUAL_FATAL(c->listeners_count, 3);
        CU_ASSERT_STRING_EQUAL(c->listeners[2].name, "OUT");
        CU_ASSERT_STRING_EQUAL(c->listeners[2].tls_certificate, "c.pem");
}

static void test_listeners_refused(void)
{
        REFUSED("listeners:\n  A:\n    protocol: SSL\n",
                "f.yaml:2: listeners.A.address: is missing; give HOST:PORT, for example 0.0.0.0:9093\n"
                "f.yaml:2: listeners.A.tls_certificate: is empty, and protocol SSL needs it; give a PEM file\n"
                "f.yaml:2: listeners.A.tls_key: is empty, and protocol SSL needs it; give a PEM file\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    client_auth: required\n    tls_ca: ca.pem\n",
                "f.yaml:2: listeners.A.tls_ca: is given, but protocol PLAINTEXT has no TLS; give SSL or SASL_SSL\n"
                "f.yaml:2: listeners.A.client_auth: needs TLS; give the protocol SSL or SASL_SSL\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    protocol: SASL_PLAINTEXT\n    sasl_mechanisms: "
                "OAUTHBEARER\n"
                "    oauth_jwks_file: /keys\n",
                "f.yaml:2: listeners.A.sasl_mechanisms: has OAUTHBEARER, which sends tokens in clear text over "
                "SASL_PLAINTEXT; give SASL_SSL, leave it out, or set oauth_without_tls\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    protocol: SASL_PLAINTEXT\n    oauth_jwks_file: /keys\n",
                "f.yaml:2: listeners.A.oauth_jwks_file: is given, but OAUTHBEARER is not among the sasl_mechanisms\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    oauth_jwks_file: /keys\n",
                "f.yaml:2: listeners.A.oauth_jwks_file: is given, but protocol PLAINTEXT has no SASL\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    protocol: SASL_PLAINTEXT\n    sasl_mechanisms: PLAIN\n",
                "f.yaml:2: listeners.A.sasl_mechanisms: has PLAIN, which sends passwords in clear text over "
                "SASL_PLAINTEXT; give "
                "SASL_SSL, leave PLAIN out, or set sasl_plain_without_tls\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    colour: red\n    protocol: TLS\n",
                "f.yaml:4: listeners.A.colour: there is no such parameter of a listener; docs/PARAMETERS.md has all of "
                "them\n"
                "f.yaml:5: listeners.A.protocol: is 'TLS'; give one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL\n");
        REFUSED("listeners:\n  A:\n    address: 1.2.3.4:1\n    address: 1.2.3.4:2\n  B:\n    address: 0.0.0.0:1\n  "
                "PEER: {}\n"
                "  A: {}\n  C:\n",
                "f.yaml:4: listeners.A.address: was given already; leave one of the two out\n"
                "f.yaml:7: listeners.PEER: is no name for a listener; give at most 64 letters, digits, underscores and "
                "hyphens, "
                "and not PEER, which is for other nodes\n"
                "f.yaml:8: listeners.A: was begun already; put both together\n"
                "f.yaml:9: listeners.C: holds no keys; write `address: HOST:PORT` below it\n"
                "f.yaml:5: listeners.B.address: port 1 is wanted by listener A, too; give them different ports\n"
                "f.yaml:9: listeners.C.address: is missing; give HOST:PORT, for example 0.0.0.0:9093\n");
        REFUSED("server:\n  kafka: 1.2.3.4:1\nlisteners:\n  PLAINTEXT:\n    address: 1.2.3.4:2\n",
                "f.yaml:4: listeners.PLAINTEXT: server.kafka is a listener of this name already; call this one "
                "otherwise, or "
                "leave the other out\n");
        SET_REFUSED("listeners.A=x", "--set: listeners.A: names no parameter; write for example --set "
                                     "listeners.CLIENTS.address=0.0.0.0:9093\n");
}

static const struct unit_case cases[] = {
        { "listeners", test_listeners },
        { "listeners that are refused", test_listeners_refused },
        { "defaults", test_defaults },
        { "words of the table", test_words_of_the_table },
        { "every row is complete", test_every_row_is_complete },
        { "the deployment guide", test_guide },
        { "forms", test_forms },
        { "--set", test_set },
        { "values refused", test_values_refused },
        { "names refused", test_names_refused },
        { "documents refused", test_documents_refused },
        { "a syntax error keeps what was found", test_syntax_error_keeps_what_was_found },
        { "checks of several values", test_checks },
        { "checks_of_groups", test_checks_of_groups },
        { "nodes of a cluster", test_cluster },
        { "no lists of controllers", test_controllers_refused },
        { "errors are bounded", test_errors_are_bounded },
        { "advertised", test_advertised },
        { "derive", test_derive },
        { "files", test_files },
};

UNIT_MAIN("conf", cases)
