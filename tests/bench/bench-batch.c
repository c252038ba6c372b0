/* How fast produced batches are checked: records of 1 KB of JSON-like text in batches of 64 KB, per codec.
 * Not a timed test: it prints figures for a person. usage: bench-batch [SECONDS per line, 1] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"
#include "wire/batch_records.h"

enum { RECORD_LEN = 1024, RECORDS_COUNT = 64, VALUE_COUNT = 97 };

static double now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Text that compresses about as well as log lines do. */
static void fill_value(char *value, unsigned seed)
{
        size_t at = 0;

        while (at < RECORD_LEN - 80) {
                seed = seed * 1664525 + 1013904223;
                at += (size_t)snprintf(value + at, RECORD_LEN - at,
                                       "{\"user\":%u,\"action\":\"view\",\"item\":\"%08x\"},", seed % VALUE_COUNT,
                                       seed);
        }
        memset(value + at, ' ', RECORD_LEN - at);
}

static int build(int codec, int records_count, size_t value_len, struct strbuf *out)
{
        struct batch_build_args args = batch_build_args();
        struct batch_builder b;
        char value[RECORD_LEN];
        int r = 0;

        args.codec = codec;
        batch_builder_init(&b, &args);
        for (int i = 0; i < records_count && !r; i++) {
                fill_value(value, (unsigned)i);
                r = batch_builder_add(&b, &(struct batch_record){ .offset = i,
                                                                  .timestamp = i,
                                                                  .key = span_of(value, 8),
                                                                  .value = span_of(value, value_len) });
        }
        if (!r)
                r = batch_builder_finish(&b, out);
        batch_builder_fini(&b);
        return r;
}

static int run(int codec, int records_count, size_t value_len, double seconds)
{
        static const struct batch_check_args args = { .timestamp_before_ms_max = INT64_MAX,
                                                      .timestamp_after_ms_max = INT64_MAX };
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_check_result res = { 0 };
        double start, took;
        uint64_t rounds = 0;
        int r = build(codec, records_count, value_len, &b);

        start = now_s();
        do {
                for (int i = 0; i < 100 && !r; i++, rounds++)
                        r = batch_check(span_of(b.data, b.len), &args, &res);
                took = now_s() - start;
        } while (!r && took < seconds);
        if (r)
                return r;
        printf("%-8s %5d x %4zu B  %7zu B stored  %6.2f GB/s of records  %6.2f GB/s stored  %6.2f M records/s\n",
               codec_name(codec), records_count, value_len, b.len,
               (double)res.inflated_len * (double)rounds / took / 1e9, (double)b.len * (double)rounds / took / 1e9,
               (double)records_count * (double)rounds / took / 1e6);
        return 0;
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? atof(argv[1]) : 1;
        int r = 0;

        printf("batch_check(), one thread, CRC-32C by %s\n", crc32c_method());
        for (int codec = 0; codec < CODEC_COUNT && !r; codec++)
                r = run(codec, RECORDS_COUNT, RECORD_LEN, seconds);
        for (int codec = 0; codec < CODEC_COUNT && !r; codec++)
                r = run(codec, RECORDS_COUNT * 10, RECORD_LEN / 10, seconds);
        if (r)
                fprintf(stderr, "bench-batch: a batch was not built or not accepted (%d)\n", r);
        return r != 0;
}
