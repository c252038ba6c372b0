/* What a client of librdkafka gets: one producer or one consumer with the library's own settings, but for acks, codec and
 * what is named on the command line. One line of JSON; status 1 and a message otherwise.
 * usage: bench-rdkafka produce|consume BROKER TOPIC MESSAGES BYTES [NAME=VALUE]... */
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_MS = 60000, ERROR_MAX = 512 };

struct load {
        rd_kafka_conf_t *conf;
        const char *topic;
        long messages;
        size_t bytes;
        long done;
};

static void die(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        fprintf(stderr, "bench-rdkafka: ");
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

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
        char why[ERROR_MAX];

        if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
                die("%s", why);
}

static void report(const struct load *l, double took)
{
        printf("{\"seconds\": %.4f, \"records\": %ld, \"bytes\": %.0f, \"mb_s\": %.2f, \"records_s\": %.0f}\n", took,
               l->done, (double)l->done * (double)l->bytes, (double)l->done * (double)l->bytes / took / 1e6,
               (double)l->done / took);
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
        struct load *l = arg;

        (void)rk;
        if (m->err)
                die("not delivered: %s", rd_kafka_err2str(m->err));
        l->done++;
}

static void produce_one(rd_kafka_t *rk, struct load *l, const void *value)
{
        rd_kafka_resp_err_t r;

        do {
                r = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(l->topic), RD_KAFKA_V_VALUE((void *)value, l->bytes),
                                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
                rd_kafka_poll(rk, r ? 10 : 0);
        } while (r == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        if (r)
                die("produce: %s", rd_kafka_err2str(r));
}

static void produce(struct load *l)
{
        char why[ERROR_MAX], *value = malloc(l->bytes);
        unsigned seed = 1;
        rd_kafka_t *rk;
        double start;

        if (!value)
                die("out of memory");
        for (size_t i = 0; i < l->bytes; i++)
                value[i] = (char)('a' + ((seed = seed * 1664525 + 1013904223) >> 24) % 26);
        rd_kafka_conf_set_dr_msg_cb(l->conf, delivered);
        rd_kafka_conf_set_opaque(l->conf, l);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, l->conf, why, sizeof(why));
        if (!rk)
                die("%s", why);
        start = now_s();
        for (long i = 0; i < l->messages; i++)
                produce_one(rk, l, value);
        if (rd_kafka_flush(rk, TIMEOUT_MS) || l->done != l->messages)
                die("%ld of %ld messages were delivered", l->done, l->messages);
        report(l, now_s() - start);
        rd_kafka_destroy(rk);
        free(value);
}

/* Every partition from its start, until all messages have come. */
static void assign_all(rd_kafka_t *rk, const char *topic)
{
        const struct rd_kafka_metadata *meta;
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
        rd_kafka_topic_t *rt = rd_kafka_topic_new(rk, topic, NULL);

        if (!rt || rd_kafka_metadata(rk, 0, rt, &meta, TIMEOUT_MS) || meta->topic_cnt != 1)
                die("no metadata of %s", topic);
        for (int i = 0; i < meta->topics[0].partition_cnt; i++)
                rd_kafka_topic_partition_list_add(list, topic, meta->topics[0].partitions[i].id)->offset =
                        RD_KAFKA_OFFSET_BEGINNING;
        if (rd_kafka_assign(rk, list))
                die("the partitions of %s cannot be assigned", topic);
        rd_kafka_metadata_destroy(meta);
        rd_kafka_topic_partition_list_destroy(list);
        rd_kafka_topic_destroy(rt);
}

static void consume(struct load *l)
{
        char why[ERROR_MAX];
        rd_kafka_message_t *got[1024];
        rd_kafka_queue_t *queue;
        rd_kafka_t *rk;
        double start;

        set(l->conf, "group.id", "bench");
        set(l->conf, "enable.auto.commit", "false");
        rk = rd_kafka_new(RD_KAFKA_CONSUMER, l->conf, why, sizeof(why));
        if (!rk)
                die("%s", why);
        rd_kafka_poll_set_consumer(rk);
        start = now_s();
        assign_all(rk, l->topic);
        queue = rd_kafka_queue_get_consumer(rk);
        while (l->done < l->messages) {
                ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, got, sizeof(got) / sizeof(got[0]));

                if (now_s() - start > TIMEOUT_MS / 1000.0)
                        die("%ld of %ld messages came in %d s", l->done, l->messages, TIMEOUT_MS / 1000);
                for (ssize_t i = 0; i < n; i++) {
                        if (!got[i]->err && got[i]->len == l->bytes)
                                l->done++;
                        else if (got[i]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
                                die("consume: %s", rd_kafka_message_errstr(got[i]));
                        rd_kafka_message_destroy(got[i]);
                }
        }
        report(l, now_s() - start);
        rd_kafka_queue_destroy(queue);
        rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
        struct load l;

        if (argc < 6)
                die("usage: bench-rdkafka produce|consume BROKER TOPIC MESSAGES BYTES [NAME=VALUE]...");
        l = (struct load){
                .conf = rd_kafka_conf_new(), .topic = argv[3], .messages = atol(argv[4]), .bytes = (size_t)atol(argv[5])
        };
        set(l.conf, "bootstrap.servers", argv[2]);
        for (int i = 6; i < argc; i++) {
                char *eq = strchr(argv[i], '=');

                if (!eq)
                        die("%s is not NAME=VALUE", argv[i]);
                *eq = '\0';
                set(l.conf, argv[i], eq + 1);
        }
        if (!strcmp(argv[1], "produce"))
                produce(&l);
        else if (!strcmp(argv[1], "consume"))
                consume(&l);
        else
                die("%s is neither produce nor consume", argv[1]);
        return 0;
}
