/* A client of librdkafka for clusters: topics made and deleted, a producer that runs for a time, and how long a cluster
 * gave no answer. The library's own settings, but for what is named on the command line. One line of JSON; status 1 and a
 * message otherwise.
 * usage: bench-cluster create BROKERS TOPIC PARTITIONS REPLICAS [NAME=VALUE]...   topic configs; until all is in sync
 *        bench-cluster delete BROKERS TOPIC
 *        bench-cluster insync BROKERS TOPIC REPLICAS         wait until every partition has so many in sync
 *        bench-cluster produce BROKERS TOPIC SECONDS BYTES RATE [NAME=VALUE]...   records/s (0: all that it takes)
 *        bench-cluster creates BROKERS PREFIX SECONDS NODE   topics one after the other, asked of that node */
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        TIMEOUT_MS = 30000,
        TRY_MS = 500, /* one CreateTopics of 'creates' */
        ERROR_MAX = 512,
        SAMPLES_MAX = 1 << 21, /* latencies of one run; beyond, none are kept */
};
#define WARM_S 0.4 /* after the first record that was acknowledged; it does not count */

struct run {
        double seconds;                 /* that are counted */
        double count_from, count_until; /* on the monotonic clock */
        size_t bytes;
        long counted, all;
        double last_s, gap_s, gap_at_s; /* the longest time between two deliveries, and when it began */
        float *ms;
        int ms_count;
};

static void die(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        fprintf(stderr, "bench-cluster: ");
        vfprintf(stderr, fmt, ap);
        fprintf(stderr, "\n");
        va_end(ap);
        exit(1);
}

static double now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static rd_kafka_t *client(const char *brokers, rd_kafka_conf_t *conf)
{
        char why[ERROR_MAX];
        rd_kafka_t *rk;

        if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) != RD_KAFKA_CONF_OK)
                die("%s", why);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
        if (!rk)
                die("%s", why);
        return rk;
}

/* ---- topics ---- */

/* @node: who is asked; -1: whom the library finds. Return: the code, and its text in @why. */
static rd_kafka_resp_err_t create_one(rd_kafka_t *rk, const char *topic, int partitions, int replicas, int node,
                                      int timeout_ms, char **configs, char why[ERROR_MAX])
{
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(topic, partitions, replicas, why, ERROR_MAX);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        rd_kafka_resp_err_t r;
        rd_kafka_event_t *ev;

        for (; *configs; configs++) {
                char *name = strdup(*configs), *eq = strchr(name, '=');

                if (!eq)
                        die("%s is not NAME=VALUE", name);
                *eq = '\0';
                rd_kafka_NewTopic_set_config(new_topic, name, eq + 1);
                free(name);
        }
        rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, ERROR_MAX);
        if (node >= 0)
                rd_kafka_AdminOptions_set_broker(options, node, why, ERROR_MAX);
        rd_kafka_CreateTopics(rk, &new_topic, 1, options, queue);
        ev = rd_kafka_queue_poll(queue, timeout_ms + TIMEOUT_MS);
        if (!ev)
                die("CreateTopics was never answered");
        r = rd_kafka_event_error(ev);
        snprintf(why, ERROR_MAX, "%s", r ? rd_kafka_event_error_string(ev) : "");
        if (!r) {
                size_t n;
                const rd_kafka_topic_result_t **results =
                        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &n);

                r = rd_kafka_topic_result_error(results[0]);
                snprintf(why, ERROR_MAX, "%s", r ? rd_kafka_topic_result_error_string(results[0]) : "");
        }
        rd_kafka_event_destroy(ev);
        rd_kafka_queue_destroy(queue);
        rd_kafka_NewTopic_destroy(new_topic);
        rd_kafka_AdminOptions_destroy(options);
        return r;
}

/* Prints who leads partition 0 when all partitions have @replicas in sync and every node of the list knows. */
static void wait_insync(rd_kafka_t *rk, const char *topic, int replicas)
{
        rd_kafka_topic_t *rt = rd_kafka_topic_new(rk, topic, NULL);
        double start = now_s();

        for (int leader = -1, good = 0;; usleep(20000)) {
                const struct rd_kafka_metadata *meta;

                if (now_s() - start > TIMEOUT_MS / 1000.0)
                        die("%s does not have %d replicas in sync after %d s", topic, replicas, TIMEOUT_MS / 1000);
                if (rd_kafka_metadata(rk, 0, rt, &meta, TIMEOUT_MS))
                        continue;
                good = meta->topic_cnt == 1 && !meta->topics[0].err && meta->topics[0].partition_cnt ? good + 1 : 0;
                for (int i = 0; good && i < meta->topics[0].partition_cnt; i++) {
                        const rd_kafka_metadata_partition_t *p = &meta->topics[0].partitions[i];

                        if (p->leader < 0 || p->isr_cnt < replicas)
                                good = 0;
                        else if (p->id == 0)
                                leader = p->leader;
                }
                rd_kafka_metadata_destroy(meta);
                if (good < 3) /* answers come from any node, and all should know */
                        continue;
                printf("{\"leader\": %d, \"seconds\": %.3f}\n", leader, now_s() - start);
                break;
        }
        rd_kafka_topic_destroy(rt);
}

static void create(int argc, char **argv)
{
        rd_kafka_t *rk = client(argv[2], rd_kafka_conf_new());
        char why[ERROR_MAX];

        (void)argc;
        if (create_one(rk, argv[3], atoi(argv[4]), atoi(argv[5]), -1, TIMEOUT_MS, argv + 6, why))
                die("%s: %s", argv[3], why);
        wait_insync(rk, argv[3], atoi(argv[5]));
        rd_kafka_destroy(rk);
}

static void insync(int argc, char **argv)
{
        rd_kafka_t *rk = client(argv[2], rd_kafka_conf_new());

        (void)argc;
        wait_insync(rk, argv[3], atoi(argv[4]));
        rd_kafka_destroy(rk);
}

static void delete_topic(int argc, char **argv)
{
        rd_kafka_t *rk = client(argv[2], rd_kafka_conf_new());
        rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(argv[3]);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        rd_kafka_event_t *ev;

        (void)argc;
        rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
        ev = rd_kafka_queue_poll(queue, TIMEOUT_MS);
        if (!ev || rd_kafka_event_error(ev))
                die("%s is not deleted", argv[3]);
        printf("{}\n");
        rd_kafka_event_destroy(ev);
        rd_kafka_queue_destroy(queue);
        rd_kafka_DeleteTopic_destroy(topic);
        rd_kafka_destroy(rk);
}

/* Whom the measured time without an answer concerns: the longest between two successes, the end of the run included. */
static void gap_until(struct run *run, double now)
{
        if (run->last_s && now - run->last_s > run->gap_s) {
                run->gap_s = now - run->last_s;
                run->gap_at_s = run->last_s;
        }
        run->last_s = now;
}

static void creates(int argc, char **argv)
{
        rd_kafka_t *rk = client(argv[2], rd_kafka_conf_new());
        double start = now_s(), until = start + atof(argv[4]);
        char topic[256], why[ERROR_MAX] = "";
        int done = 0, failed = 0;
        struct run run = { 0 };
        char *none = NULL;

        (void)argc;
        for (int i = 0; now_s() < until; i++) {
                snprintf(topic, sizeof(topic), "%s-%d", argv[3], i);
                if (create_one(rk, topic, 1, 1, atoi(argv[5]), TRY_MS, &none, why)) {
                        failed++;
                        usleep(10000);
                        continue;
                }
                done++;
                gap_until(&run, now_s());
                usleep(20000);
        }
        if (!done)
                die("no topic was created: %s", why);
        gap_until(&run, now_s());
        printf("{\"created\": %d, \"failed\": %d, \"gap_s\": %.3f, \"gap_at_s\": %.3f}\n", done, failed, run.gap_s,
               run.gap_at_s - start);
        rd_kafka_destroy(rk);
}

/* ---- producing ---- */

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
        struct run *run = arg;
        double now = now_s();

        (void)rk;
        if (m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE)
                return;
        if (m->err)
                die("not delivered: %s", rd_kafka_err2str(m->err));
        if (!run->all++) {
                run->count_from = now + WARM_S;
                run->count_until = run->count_from + run->seconds;
        }
        if (now <= run->count_until)
                gap_until(run, now);
        if (now < run->count_from || now > run->count_until)
                return;
        run->counted++;
        if (run->ms_count < SAMPLES_MAX)
                run->ms[run->ms_count++] = (float)((now - (double)(uintptr_t)m->_private / 1e6) * 1e3);
}

static int by_value(const void *a, const void *b)
{
        float x = *(const float *)a, y = *(const float *)b;

        return (x > y) - (x < y);
}

static void report(struct run *run, double start)
{
        double took = run->count_until - run->count_from, bytes = (double)run->counted * (double)run->bytes;

        if (!run->counted)
                die("nothing was acknowledged");
        gap_until(run, run->count_until);
        qsort(run->ms, (size_t)run->ms_count, sizeof(*run->ms), by_value);
        printf("{\"mb_s\": %.3f, \"records_s\": %.1f, \"bytes_all\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
               "\"gap_s\": %.3f, \"gap_at_s\": %.3f}\n",
               bytes / took / 1e6, (double)run->counted / took, (double)run->all * (double)run->bytes,
               (double)run->ms[run->ms_count / 2], (double)run->ms[(int)(run->ms_count * 0.99)], run->gap_s,
               run->gap_at_s - start);
}

/* Until the time is over. A record's latency begins when it was due, so that a client that waits hides nothing. */
static void send_all(rd_kafka_t *rk, struct run *run, const char *topic, const char *value, double rate, double start)
{
        for (long i = 0;; i++) {
                double now = now_s(), due = rate > 0 ? start + (double)i / rate : now;
                rd_kafka_resp_err_t r;

                for (; now < due && now < run->count_until; now = now_s())
                        rd_kafka_poll(rk, due - now > 0.002 ? 1 : 0);
                if (now >= run->count_until)
                        return;
                r = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE((void *)value, run->bytes),
                                      RD_KAFKA_V_OPAQUE((void *)(uintptr_t)(due * 1e6)), RD_KAFKA_V_END);
                if (r == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                        i -= 1;
                        rd_kafka_poll(rk, 5);
                } else if (r) {
                        die("produce: %s", rd_kafka_err2str(r));
                } else if (i % 64 == 0 || rate > 0) {
                        rd_kafka_poll(rk, 0);
                }
        }
}

static void produce(int argc, char **argv)
{
        struct run run = { .bytes = (size_t)atol(argv[5]),
                           .seconds = atof(argv[4]),
                           .ms = calloc(SAMPLES_MAX, sizeof(float)) };
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char why[ERROR_MAX], *value = malloc(run.bytes);
        unsigned seed = 1;
        rd_kafka_t *rk;
        double start;

        if (!value || !run.ms)
                die("out of memory");
        for (size_t i = 0; i < run.bytes; i++)
                value[i] = (char)('a' + ((seed = seed * 1664525 + 1013904223) >> 24) % 26);
        for (int i = 7; i < argc; i++) {
                char *eq = strchr(argv[i], '=');

                if (!eq)
                        die("%s is not NAME=VALUE", argv[i]);
                *eq = '\0';
                if (rd_kafka_conf_set(conf, argv[i], eq + 1, why, sizeof(why)) != RD_KAFKA_CONF_OK)
                        die("%s", why);
        }
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
        rd_kafka_conf_set_opaque(conf, &run);
        rk = client(argv[2], conf);
        start = now_s();
        run.count_from = run.count_until = start + TIMEOUT_MS / 1000.0;
        send_all(rk, &run, argv[3], value, atof(argv[6]), start);
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE);
        if (rd_kafka_flush(rk, TIMEOUT_MS))
                die("what was on its way is not acknowledged after %d s", TIMEOUT_MS / 1000);
        report(&run, start);
        rd_kafka_destroy(rk);
        free(value);
        free(run.ms);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int args;
                void (*run)(int argc, char **argv);
        } commands[] = {
                { "create", 6, create },   { "delete", 4, delete_topic }, { "insync", 5, insync },
                { "creates", 6, creates }, { "produce", 7, produce },
        };

        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && argc > 1; i++)
                if (!strcmp(commands[i].name, argv[1]) && argc >= commands[i].args) {
                        commands[i].run(argc, argv);
                        return 0;
                }
        die("usage: see the head of cluster-load.c");
}
