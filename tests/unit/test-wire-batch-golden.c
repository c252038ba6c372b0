/* Goal: batches of real clients pass the check, read as they were sent and survive recompression.
 * Method: files of tests/data/batches (its README says how they were made and what is in them). */
#include <stdio.h>
#include <string.h>

#include "test-wire-batch.h"
#include "unit.h"
#include "wire/batch_records.h"

static const char *const files[] = {
        "java-none",         "java-gzip",           "java-snappy",      "java-lz4",
        "java-zstd",         "java-zstd-22",        "librdkafka-none",  "librdkafka-gzip",
        "librdkafka-snappy", "librdkafka-lz4",      "librdkafka-zstd",  "kafka-python-none",
        "kafka-python-gzip", "kafka-python-snappy", "kafka-python-lz4", "kafka-python-zstd",
};

static const struct batch_check_args any = {
        .now_ms = MAKE_NOW,
        .timestamp_before_ms_max = INT64_MAX,
        .timestamp_after_ms_max = INT64_MAX,
        .keys_required = false,
};

static void load(const char *name, struct strbuf *out)
{
        char path[500];
        FILE *f;
        size_t len;

        snprintf(path, sizeof path, "%s/batches/%s.bin", TEST_DATA_DIR, name);
        f = fopen(path, "rb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        CU_ASSERT_PTR_NOT_NULL_FATAL(strbuf_reserve(out, 65536));
        len = fread(out->data, 1, 65536, f);
        fclose(f);
        CU_ASSERT(len > BATCH_HEADER_LEN);
        out->len = len;
}

static int64_t time_of(int i)
{
        return 1700000000000 + 10 * i - 25 * (i % 4);
}

static void expect_text(struct span s, bool present, const struct strbuf *text)
{
        CU_ASSERT(span_equal(s, present ? made(text) : SPAN_NULL));
}

static void expect_headers(struct batch_record *rec, int i, bool null_value)
{
        struct batch_record_header h = { 0 };
        char x[16];

        snprintf(x, sizeof x, "x%d", i);
        CU_ASSERT_EQUAL(rec->headers_count, i % 3 ? 0 : 1 + null_value);
        if (i % 3)
                return;
        CU_ASSERT(batch_record_header_next(&rec->headers, &h));
        CU_ASSERT(span_equal(h.key, span_of("h1", 2)) && span_equal(h.value, span_of(x, strlen(x))));
        if (null_value) {
                CU_ASSERT(batch_record_header_next(&rec->headers, &h));
                CU_ASSERT(span_equal(h.key, span_of("h2", 2)) && !h.value.data);
        }
        CU_ASSERT_FALSE(batch_record_header_next(&rec->headers, &h));
}

/* All records of one batch against what the clients were given. */
static void expect_records(struct span batch, int factor, bool null_value, bool times)
{
        struct batch_records it;
        struct batch_record rec;
        int i = 0;

        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, batch, 0), 0);
        for (; batch_records_next(&it, &rec) == 0; i++) {
                CLEANUP(strbuf_finip) struct strbuf key = { 0 }, value = { 0 };

                strbuf_printf(&key, "key-%d", i);
                strbuf_printf(&value, "value-%d:", i);
                for (int k = 0; k < i * factor; k++)
                        strbuf_add_c(&value, "lorem ipsum ");
                CU_ASSERT_EQUAL(rec.offset, it.header.base_offset + i);
                if (times)
                        CU_ASSERT_EQUAL(rec.timestamp, time_of(i));
                expect_text(rec.key, i % 5 != 4, &key);
                expect_text(rec.value, i % 7 != 6, &value);
                expect_headers(&rec, i, null_value);
        }
        CU_ASSERT_EQUAL(i, it.header.records_count);
        CU_ASSERT(i >= 13);
        batch_records_close(&it);
}

static void test_read(void)
{
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                CLEANUP(strbuf_finip) struct strbuf b = { 0 };
                bool python = strstr(files[i], "python");

                load(files[i], &b);
                expect_records(made(&b), strstr(files[i], "none") ? 1 : 20, !python, true);
                for (int codec = 0; codec < CODEC_COUNT; codec++) {
                        CLEANUP(strbuf_finip) struct strbuf other = { 0 };

                        CU_ASSERT_EQUAL(batch_recompress(made(&b), codec, CODEC_LEVEL_DEFAULT, 0, &other), 0);
                        expect_records(made(&other), strstr(files[i], "none") ? 1 : 20, !python, true);
                }
        }
}

static void test_check(void)
{
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                CLEANUP(strbuf_finip) struct strbuf b = { 0 };
                struct batch_check_args compacted = any;
                struct batch_check_result res;
                int r;

                load(files[i], &b);
                batch_set_base((uint8_t *)b.data, 0, -1); /* as it came from the client */
                r = batch_check(made(&b), &any, &res);
                CU_ASSERT_EQUAL(r, 0);
                if (r)
                        printf("\n    %s: %d %s\n", files[i], r, res.text);
                CU_ASSERT_STRING_EQUAL(codec_name(batch_codec(&res.header)),
                                       strstr(files[i], "zstd") ? "zstd" : strrchr(files[i], '-') + 1);
                CU_ASSERT_EQUAL(res.max_timestamp, res.header.max_timestamp);
                CU_ASSERT_EQUAL(res.max_timestamp, time_of(res.max_timestamp_delta));
                compacted.keys_required = true;
                CU_ASSERT_EQUAL(batch_check(made(&b), &compacted, &res), BATCH_E_RECORDS);
                CU_ASSERT_EQUAL(res.errors[0].index, 4);
                CU_ASSERT_EQUAL(res.errors[1].index, 9);
                b.data[b.len - 1] ^= 1;
                CU_ASSERT_EQUAL(batch_check(made(&b), &any, &res), BATCH_E_CRC);
        }
}

/* The same answer as by looking at all records. */
static void test_find(void)
{
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                CLEANUP(strbuf_finip) struct strbuf b = { 0 };
                struct batch_header h = { 0 };

                load(files[i], &b);
                CU_ASSERT_EQUAL_FATAL(batch_parse_header(made(&b), &h), 0);
                for (int64_t t = time_of(0) - 80; t < time_of(24) + 80; t++) {
                        struct batch_found f = { -1, -1 };
                        int want = 0;

                        while (want < h.records_count && time_of(want) < t)
                                want++;
                        CU_ASSERT_EQUAL(batch_find_timestamp(made(&b), t, 0, &f),
                                        want < h.records_count ? 0 : BATCH_END);
                        if (want < h.records_count)
                                CU_ASSERT(f.offset == h.base_offset + want && f.timestamp == time_of(want));
                }
        }
}

/* A data batch and the marker that ends its transaction. */
static void expect_marker(struct batch_iter *it, int16_t type, int64_t producer_id)
{
        struct batch_header h;
        struct batch_records records;
        struct batch_record rec;
        struct batch_marker m = { 0 }, again = { 0 };
        struct batch_build_args a = batch_build_args();
        CLEANUP(strbuf_finip) struct strbuf ours = { 0 };
        struct span one;

        CU_ASSERT_EQUAL_FATAL(batch_iter_next(it, &one, &h), 0);
        CU_ASSERT(batch_is_control(&h) && batch_is_transactional(&h));
        CU_ASSERT_EQUAL(h.producer_id, producer_id);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&records, one, 0), 0);
        CU_ASSERT_EQUAL_FATAL(batch_records_next(&records, &rec), 0);
        CU_ASSERT_EQUAL(batch_marker_parse(&rec, &m), 0);
        CU_ASSERT_EQUAL(m.type, type);
        CU_ASSERT_EQUAL(batch_marker_of(one, &again), 0);
        CU_ASSERT(again.type == m.type && again.coordinator_epoch == m.coordinator_epoch);
        /* Ours is Kafka's, byte for byte. */
        a.base_offset = h.base_offset;
        a.leader_epoch = h.leader_epoch;
        a.producer_id = h.producer_id;
        a.producer_epoch = h.producer_epoch;
        CU_ASSERT_EQUAL(batch_marker_build(&a, &m, rec.timestamp, &ours), 0);
        CU_ASSERT(span_equal(made(&ours), one));
        CU_ASSERT_EQUAL(batch_records_next(&records, &rec), BATCH_END);
        batch_records_close(&records);
}

static void test_transactions(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_iter it;
        struct batch_header h;
        struct span one;

        load("java-txn", &b);
        it = batch_iter_of(made(&b));
        CU_ASSERT_EQUAL_FATAL(batch_iter_next(&it, &one, &h), 0);
        CU_ASSERT(batch_is_transactional(&h) && !batch_is_control(&h));
        expect_records(one, 1, true, false);
        expect_marker(&it, BATCH_MARKER_COMMIT, h.producer_id);
        CU_ASSERT_EQUAL_FATAL(batch_iter_next(&it, &one, &h), 0);
        CU_ASSERT_EQUAL(batch_check_crc(one, &h), 0);
        expect_marker(&it, BATCH_MARKER_ABORT, h.producer_id);
        CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), BATCH_END);
}

static const struct unit_case cases[] = {
        { "read and recompressed", test_read },
        { "pass the check", test_check },
        { "searched by time", test_find },
        { "a log with transactions", test_transactions },
};
UNIT_MAIN("wire-batch-golden", cases)
