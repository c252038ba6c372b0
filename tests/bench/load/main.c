/* bench-load: the command line. One command, one line of JSON on standard output; status 1 and a message otherwise. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

static const struct {
        const char *name;
        void (*run)(const struct options *o);
        const char *text;
} commands[] = {
        { "create", load_create, "make a topic; returns when every partition is served" },
        { "delete", load_delete, "delete a topic" },
        { "idle", load_idle, "hold idle connections until standard input ends" },
        { "produce", load_produce, "send batches: throughput and latency" },
        { "consume", load_consume, "read all from the start: throughput" },
        { "e2e", load_e2e, "send at a fixed rate and read it back: latency" },
        { "groups", load_groups,
          "members of consumer groups: join, heartbeat at a fixed rate, one more in each group" },
};

enum {
        HOST = 1,
        PORT,
        TOPIC,
        CONFIG,
        PARTITIONS,
        CONNECTIONS,
        IN_FLIGHT,
        ACKS,
        CODEC,
        BATCH,
        RECORD,
        SECONDS,
        BYTES,
        BATCHES,
        RATE,
        EXPECT,
        GROUPS,
        MEMBERS
};

static const struct option table[] = {
        { "host", 1, NULL, HOST },
        { "port", 1, NULL, PORT },
        { "topic", 1, NULL, TOPIC },
        { "config", 1, NULL, CONFIG },
        { "partitions", 1, NULL, PARTITIONS },
        { "connections", 1, NULL, CONNECTIONS },
        { "in-flight", 1, NULL, IN_FLIGHT },
        { "acks", 1, NULL, ACKS },
        { "codec", 1, NULL, CODEC },
        { "batch-bytes", 1, NULL, BATCH },
        { "record-bytes", 1, NULL, RECORD },
        { "seconds", 1, NULL, SECONDS },
        { "bytes-max", 1, NULL, BYTES },
        { "batches-max", 1, NULL, BATCHES },
        { "rate", 1, NULL, RATE },
        { "expect-records", 1, NULL, EXPECT },
        { "groups", 1, NULL, GROUPS },
        { "members", 1, NULL, MEMBERS },
        { NULL, 0, NULL, 0 },
};

static void usage(void)
{
        fprintf(stderr, "usage: bench-load COMMAND [--OPTION VALUE]...\n");
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                fprintf(stderr, "  %-8s %s\n", commands[i].name, commands[i].text);
        fprintf(stderr, "options:");
        for (size_t i = 0; table[i].name; i++)
                fprintf(stderr, " --%s", table[i].name);
        fprintf(stderr, "\n");
        exit(2);
}

static double number(const char *text, double min, double max)
{
        char *end;
        double v = strtod(text, &end);

        if (end == text || *end || v < min || v > max)
                die("%s is not a number from %g to %g", text, min, max);
        return v;
}

static enum codec codec_named(const char *name)
{
        enum codec codec;

        if (codec_parse(str_of(name), &codec))
                die("%s is no codec: none, gzip, snappy, lz4, zstd", name);
        return codec;
}

static void set(struct options *o, int which, const char *v)
{
        switch (which) {
        case HOST:
                o->host = v;
                break;
        case PORT:
                o->port = (int)number(v, 1, 65535);
                break;
        case TOPIC:
                o->topic = v;
                break;
        case CONFIG:
                if (o->configs_count == (int)ARRAY_LEN(o->configs))
                        die("too many --config");
                o->configs[o->configs_count++] = v;
                break;
        case PARTITIONS:
                o->partitions = (int)number(v, 1, 100000);
                break;
        case CONNECTIONS:
                o->connections = (int)number(v, 1, 20000);
                break;
        case IN_FLIGHT:
                o->in_flight = (int)number(v, 1, 10000);
                break;
        case ACKS:
                o->acks = !strcmp(v, "all") ? -1 : (int)number(v, 1, 1);
                break;
        case CODEC:
                o->codec = codec_named(v);
                break;
        case BATCH:
                o->batch_bytes = (size_t)number(v, 1, 1 << 30);
                break;
        case RECORD:
                o->record_bytes = (size_t)number(v, RECORD_STAMP_LEN, 1 << 30);
                break;
        case SECONDS:
                o->seconds = number(v, 0, 86400);
                break;
        case BYTES:
                o->bytes_max = (int64_t)number(v, 0, 1e15);
                break;
        case BATCHES:
                o->batches_max = (int64_t)number(v, 1, 1e15);
                break;
        case RATE:
                o->rate = number(v, 0, 1e12);
                break;
        case EXPECT:
                o->expect_records = (int64_t)number(v, 0, 1e15);
                break;
        case GROUPS:
                o->groups = (int)number(v, 1, 1000000);
                break;
        case MEMBERS:
                o->members = (int)number(v, 1, 100000);
                break;
        default:
                usage();
        }
}

int main(int argc, char **argv)
{
        struct options o = { .host = "127.0.0.1",
                             .port = 9092,
                             .topic = "bench",
                             .partitions = 1,
                             .connections = 1,
                             .in_flight = 1,
                             .acks = -1,
                             .batch_bytes = 65536,
                             .record_bytes = 1024,
                             .batches_max = INT64_MAX,
                             .groups = 1,
                             .members = 1,
                             .expect_records = -1 };
        int which;

        if (argc < 2)
                usage();
        while ((which = getopt_long(argc - 1, argv + 1, "", table, NULL)) != -1)
                set(&o, which, optarg);
        if (optind != argc - 1)
                usage();
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (!strcmp(commands[i].name, argv[1])) {
                        commands[i].run(&o);
                        return 0;
                }
        usage();
}
