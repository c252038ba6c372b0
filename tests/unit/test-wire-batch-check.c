/* Goal: every rule for produced batches has a case that fails without it, uncompressed and compressed alike.
 * Method: one good batch made by hand, then one thing wrong at a time with the CRC renewed. Where a rule is Kafka's,
 * its answer was taken from a Kafka 4.3 broker. */
#include <string.h>

#include "test-wire-batch.h"
#include "unit.h"

static const struct batch_check_args any = {
        .now_ms = MAKE_NOW,
        .timestamp_before_ms_max = INT64_MAX,
        .timestamp_after_ms_max = INT64_MAX,
};

static struct batch_check_result res; /* of the last check */

static int check(const struct strbuf *b)
{
        memset(&res, 0x5a, sizeof res);
        return batch_check(made(b), &any, &res);
}

/* Put @records into a batch of each codec; every one must give @outcome. */
static void check_records_all(const struct strbuf *records, int32_t count, const struct batch_check_args *args,
                              int outcome)
{
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 }, b = { 0 };
                int r;

                CU_ASSERT_EQUAL_FATAL(
                        codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(records->data, records->len), &packed), 0);
                make_batch(&b, (uint16_t)codec, count, &packed);
                memset(&res, 0x5a, sizeof res);
                r = batch_check(made(&b), args, &res);
                CU_ASSERT_EQUAL(r, outcome);
                if (r != outcome)
                        printf("\n    %s: %d for %d: %s\n", codec_name(codec), r, outcome, r ? res.text : "");
                if (r == 0)
                        CU_ASSERT_EQUAL(res.inflated_len, records->len);
        }
}

static void test_good(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

        make_record(&records, 0, 0, "k", "v", false);
        make_record(&records, 1, 50, NULL, NULL, true);
        make_record(&records, 2, -7, "", "", true);
        make_record(&records, 3, 50, "key", "value", true);
        check_records_all(&records, 4, &any, 0);
        CU_ASSERT_EQUAL(res.max_timestamp, MAKE_NOW + 50);
        CU_ASSERT_EQUAL(res.max_timestamp_delta, 1); /* the first of equals */
        CU_ASSERT_EQUAL(res.header.records_count, 4);
        CU_ASSERT_EQUAL(res.errors_count, 0);
        CU_ASSERT_STRING_EQUAL(res.text, "");
}

/* Records that reach over many windows of the decoder, with lengths that put every field at a border. */
static void test_windows(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };
        int32_t count = 0;
        static char value[150001];

        for (size_t i = 0; i < sizeof value - 1; i++)
                value[i] = (char)('a' + i * i % 23);
        for (size_t len = 65400; len < 65560; len += 9) {
                char kept = value[len];

                value[len] = '\0';
                make_record(&records, count++, 0, "key", value, true);
                value[len] = kept;
        }
        make_record(&records, count++, 0, value, value, true);
        check_records_all(&records, count, &any, 0);
        check_records_all(&records, count + 1, &any, BATCH_E_INVALID);
        check_records_all(&records, count - 1, &any, BATCH_E_INVALID);
        records.len--;
        check_records_all(&records, count, &any, BATCH_E_INVALID);
}

static void test_frame(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_check_args args = any;

        make_plain(&b, 2);
        CU_ASSERT_EQUAL(check(&b), 0);
        args.len_max = b.len;
        CU_ASSERT_EQUAL(batch_check(made(&b), &args, &res), 0);
        args.len_max = b.len - 1;
        CU_ASSERT_EQUAL(batch_check(made(&b), &args, &res), BATCH_E_TOO_LARGE);
        for (size_t len = 0; len < b.len; len++)
                CU_ASSERT_EQUAL(batch_check(span_of(b.data, len), &any, &res), BATCH_E_TRUNCATED);
        for (size_t bit = BATCH_CRC_AT * 8; bit < b.len * 8; bit++) {
                b.data[bit / 8] ^= (char)(1 << bit % 8);
                CU_ASSERT_EQUAL(check(&b), BATCH_E_CRC);
                b.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        strbuf_add(&b, "", 1);
        CU_ASSERT_EQUAL(check(&b), BATCH_E_LENGTH);
        b.len--;
        b.data[BATCH_MAGIC_AT] = 1;
        CU_ASSERT_EQUAL(check(&b), BATCH_E_MAGIC_OLD);
        b.data[BATCH_MAGIC_AT] = 3;
        CU_ASSERT_EQUAL(check(&b), BATCH_E_MAGIC);
        CU_ASSERT_PTR_NOT_NULL(strstr(res.text, "magic 3"));
}

/* Check with 16 bits at @at of the good batch set to @value. */
static int check_with16(size_t at, uint16_t value)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };

        make_plain(&b, 2);
        store_be16(b.data + at, value);
        make_crc(&b);
        return check(&b);
}

static int check_with32(size_t at, uint32_t value)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };

        make_plain(&b, 2);
        store_be32(b.data + at, value);
        make_crc(&b);
        return check(&b);
}

static void test_header_rules(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };

        for (uint16_t codec = CODEC_COUNT; codec < 8; codec++)
                CU_ASSERT_EQUAL(check_with16(BATCH_ATTRIBUTES_AT, codec), BATCH_E_CODEC);
        CU_ASSERT_EQUAL(check_with16(BATCH_ATTRIBUTES_AT, BATCH_CONTROL), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with16(BATCH_ATTRIBUTES_AT, BATCH_DELETE_HORIZON), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with16(BATCH_ATTRIBUTES_AT, BATCH_LOG_APPEND_TIME), BATCH_E_TIMESTAMP);
        CU_ASSERT_EQUAL(res.errors_count, 0);
        CU_ASSERT_EQUAL(check_with16(BATCH_ATTRIBUTES_AT, BATCH_TRANSACTIONAL), 0);
        CU_ASSERT_EQUAL(check_with16(BATCH_ATTRIBUTES_AT, 0xff80), 0); /* Kafka does not look at them either */
        CU_ASSERT_EQUAL(check_with32(BATCH_BASE_OFFSET_AT + 4, 5), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_LAST_OFFSET_DELTA_AT, 0), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_LAST_OFFSET_DELTA_AT, 2), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_LAST_OFFSET_DELTA_AT, (uint32_t)-1), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_COUNT_AT, 1), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_COUNT_AT, 3), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_COUNT_AT, 0), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_COUNT_AT, (uint32_t)-5), BATCH_E_INVALID);
        CU_ASSERT_EQUAL(check_with32(BATCH_LEADER_EPOCH_AT, 12345), 0); /* the broker writes its own */
        make_plain(&b, 1);
        store_be64(b.data + BATCH_PRODUCER_ID_AT, 9);
        make_crc(&b);
        CU_ASSERT_EQUAL(check(&b), BATCH_E_INVALID); /* producer without sequence */
        store_be32(b.data + BATCH_BASE_SEQUENCE_AT, 0);
        make_crc(&b);
        CU_ASSERT_EQUAL(check(&b), 0);
}

/* A count and a last offset delta that agree with each other but not with the records. */
static void test_counts(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

        check_records_all(&records, 0, &any, BATCH_E_INVALID);
        check_records_all(&records, 1, &any, BATCH_E_INVALID);
        for (int i = 0; i < 3; i++)
                make_record(&records, i, i, "k", "v", false);
        check_records_all(&records, 3, &any, 0);
        check_records_all(&records, 2, &any, BATCH_E_INVALID);
        check_records_all(&records, 4, &any, BATCH_E_INVALID);
        check_records_all(&records, INT32_MAX, &any, BATCH_E_INVALID);
}

static void test_deltas(void)
{
        static const int32_t wrong[][3] = { { 0, 0, 0 }, { 1, 2, 3 }, { 0, 2, 1 }, { 0, 1, 3 }, { 0, 1, -1 } };

        for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
                CLEANUP(strbuf_finip) struct strbuf records = { 0 };

                for (int k = 0; k < 3; k++)
                        make_record(&records, wrong[i][k], 0, "k", "v", false);
                check_records_all(&records, 3, &any, BATCH_E_INVALID);
        }
}

static void test_trailing(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

        make_record(&records, 0, 0, "k", "v", false);
        strbuf_add(&records, "", 1);
        check_records_all(&records, 1, &any, BATCH_E_INVALID);
}

/* Good but for the end: cut at every byte, in the batch and in what was compressed. */
static void test_cut_records(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

        make_record(&records, 0, 300, "key", "value", true);
        make_record(&records, 1, -300, "key", "value", true);
        while (records.len > 0) {
                records.len--;
                check_records_all(&records, 2, &any, BATCH_E_INVALID);
        }
}

enum field { KEY_LEN, VALUE_LEN, HEADERS, HEADER_KEY_LEN, HEADER_VALUE_LEN, RECORD_LEN, FIELDS };

/* One record "k"="v" with a header "h"="v", the named number being @v instead of what is right. */
static void record_with(struct strbuf *records, enum field field, int64_t v)
{
        CLEANUP(strbuf_finip) struct strbuf body = { 0 };
        int64_t right[FIELDS] = {
                [KEY_LEN] = 1, [VALUE_LEN] = 1, [HEADERS] = 1, [HEADER_KEY_LEN] = 1, [HEADER_VALUE_LEN] = 1
        };

        right[field] = v;
        make_record_start(&body, 0, 0);
        make_varlong(&body, right[KEY_LEN]);
        strbuf_add(&body, "k", 1);
        make_varlong(&body, right[VALUE_LEN]);
        strbuf_add(&body, "v", 1);
        make_varlong(&body, right[HEADERS]);
        make_varlong(&body, right[HEADER_KEY_LEN]);
        strbuf_add(&body, "h", 1);
        make_varlong(&body, right[HEADER_VALUE_LEN]);
        strbuf_add(&body, "v", 1);
        make_varlong(records, field == RECORD_LEN ? v : (int64_t)body.len);
        strbuf_add(records, body.data, body.len);
}

static void test_lengths(void)
{
        static const int64_t values[] = { -2, -100, INT32_MIN, 0, 2, 1000, INT32_MAX, INT32_MAX + 1ll, INT64_MAX };

        for (int field = 0; field < FIELDS; field++)
                for (size_t i = 0; i < ARRAY_LEN(values); i++) {
                        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

                        record_with(&records, field, values[i]);
                        check_records_all(&records, 1, &any, BATCH_E_INVALID);
                }
        for (int field = 0; field < FIELDS; field++) {
                CLEANUP(strbuf_finip) struct strbuf records = { 0 };

                record_with(&records, field, field == RECORD_LEN ? 12 : 1);
                check_records_all(&records, 1, &any, 0);
        }
}

/* A header key may not be null; the value may. */
static void test_header_null(void)
{
        for (int null_key = 0; null_key < 2; null_key++) {
                CLEANUP(strbuf_finip) struct strbuf body = { 0 }, records = { 0 };

                make_record_start(&body, 0, 0);
                make_sized(&body, "k");
                make_sized(&body, "v");
                make_varlong(&body, 1);
                make_sized(&body, null_key ? NULL : "h");
                make_sized(&body, NULL);
                make_body(&records, &body);
                check_records_all(&records, 1, &any, null_key ? BATCH_E_INVALID : 0);
        }
}

/* Numbers that go on for ever, at every place where one stands. */
static void test_endless_numbers(void)
{
        static const char endless[12] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

        for (size_t at = 0; at < 8; at++) {
                CLEANUP(strbuf_finip) struct strbuf records = { 0 };

                strbuf_add(&records, "\x0c\0\0\0\x01\x01\0", at > 7 ? 7 : at);
                strbuf_add(&records, endless, sizeof endless);
                check_records_all(&records, 1, &any, BATCH_E_INVALID);
        }
}

static void test_null_keys(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };
        struct batch_check_args args = any;
        char text[BATCH_TEXT_SIZE];

        for (int i = 0; i < 40; i++)
                make_record(&records, i, 0, i % 2 ? NULL : "k", "v", false);
        check_records_all(&records, 40, &args, 0);
        args.keys_required = true;
        check_records_all(&records, 40, &args, BATCH_E_RECORDS);
        CU_ASSERT_EQUAL(res.errors_count, 20);
        for (int i = 0; i < BATCH_ERRORS_MAX; i++) {
                CU_ASSERT_EQUAL(res.errors[i].index, 2 * i + 1);
                CU_ASSERT_EQUAL(res.errors[i].fault, BATCH_RECORD_NULL_KEY);
        }
        batch_record_error_format(&res.errors[0], &args, text, sizeof text);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "without key"));
        strbuf_add(&records, "", 1); /* an unreadable batch outweighs it */
        check_records_all(&records, 40, &args, BATCH_E_INVALID);
}

static void test_timestamps(void)
{
        struct batch_check_args args = any;
        static const struct {
                int64_t delta;
                int outcome;
        } steps[] = {
                { 0, 0 },
                { -1000, 0 },
                { -1001, BATCH_E_TIMESTAMP },
                { 50, 0 },
                { 51, BATCH_E_TIMESTAMP },
                { -MAKE_NOW - 1, 0 }, /* no timestamp */
                { -MAKE_NOW - 2, BATCH_E_TIMESTAMP },
                { INT64_MIN, BATCH_E_TIMESTAMP },
                { INT64_MAX - MAKE_NOW, BATCH_E_TIMESTAMP },
                { INT64_MAX - MAKE_NOW + 1, BATCH_E_INVALID }, /* does not fit */
        };

        args.timestamp_before_ms_max = 1000;
        args.timestamp_after_ms_max = 50;
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                CLEANUP(strbuf_finip) struct strbuf records = { 0 };

                make_record(&records, 0, -1, "k", "v", false);
                make_record(&records, 1, steps[i].delta, "k", "v", false);
                check_records_all(&records, 2, &args, steps[i].outcome);
                if (steps[i].outcome == BATCH_E_TIMESTAMP) {
                        CU_ASSERT_EQUAL(res.errors_count, 1);
                        CU_ASSERT_EQUAL(res.errors[0].index, 1);
                        CU_ASSERT_EQUAL(res.errors[0].fault, BATCH_RECORD_TIMESTAMP);
                        CU_ASSERT_EQUAL(res.errors[0].timestamp, MAKE_NOW + steps[i].delta);
                }
                args.log_append_time = true;
                check_records_all(&records, 2, &args, steps[i].outcome == BATCH_E_TIMESTAMP ? 0 : steps[i].outcome);
                args.log_append_time = false;
                check_records_all(&records, 2, &any, steps[i].outcome == BATCH_E_TIMESTAMP ? 0 : steps[i].outcome);
        }
}

static void test_timestamp_text(void)
{
        struct batch_check_args args = any;
        struct batch_record_error e = { 3, BATCH_RECORD_TIMESTAMP, 5 };
        char text[BATCH_TEXT_SIZE];

        args.timestamp_before_ms_max = 1000;
        args.timestamp_after_ms_max = 50;
        batch_record_error_format(&e, &args, text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text,
                               "Timestamp 5 is out of range; it should be within [1699999999000, 1700000000050].");
}

static void test_no_timestamps(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

        make_record(&records, 0, -MAKE_NOW - 1, "k", "v", false);
        check_records_all(&records, 1, &any, 0);
        CU_ASSERT_EQUAL(res.max_timestamp, BATCH_NO_TIMESTAMP);
        CU_ASSERT_EQUAL(res.max_timestamp_delta, -1);
}

/* A record of zeros that shrinks to nothing: limits are kept to the byte by every codec. */
static void test_bomb(void)
{
        CLEANUP(strbuf_finip) struct strbuf body = { 0 }, records = { 0 };
        struct batch_check_args args = any;
        size_t zeros_len = 3 << 20;
        char *zeros = calloc(1, zeros_len);

        CU_ASSERT_PTR_NOT_NULL_FATAL(zeros);
        make_record_start(&body, 0, 0);
        make_varlong(&body, -1);
        make_varlong(&body, (int64_t)zeros_len);
        strbuf_add(&body, zeros, zeros_len);
        make_varlong(&body, 0);
        make_body(&records, &body);
        free(zeros);
        args.inflated_len_max = records.len;
        check_records_all(&records, 1, &args, 0);
        args.inflated_len_max = records.len - 1;
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 }, b = { 0 };

                CU_ASSERT_EQUAL_FATAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, made(&records), &packed), 0);
                make_batch(&b, (uint16_t)codec, 1, &packed);
                CU_ASSERT_EQUAL(batch_check(made(&b), &args, &res), BATCH_E_TOO_LARGE);
                CU_ASSERT(res.text[0] != '\0');
        }
        CU_ASSERT_EQUAL(batch_inflated_len_max(100), 64 << 20);
        CU_ASSERT_EQUAL(batch_inflated_len_max(10 << 20), 1000ull << 20);
}

/* Compressed bytes that are none. */
static void test_garbage(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 };

        make_record(&records, 0, 0, "k", "v", false);
        for (uint16_t codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf b = { 0 };

                make_batch(&b, codec, 1, &records);
                CU_ASSERT_EQUAL(check(&b), BATCH_E_INVALID);
                CU_ASSERT_PTR_NOT_NULL(strstr(res.text, "malformed"));
        }
}

static const struct unit_case cases[] = {
        { "a good batch and its timestamps", test_good },
        { "records over many windows", test_windows },
        { "length, size limit, CRC, magic", test_frame },
        { "rules of the header", test_header_rules },
        { "counts that lie", test_counts },
        { "offset deltas run 0..n-1", test_deltas },
        { "nothing after the last record", test_trailing },
        { "records cut at every byte", test_cut_records },
        { "impossible lengths inside a record", test_lengths },
        { "null header key and value", test_header_null },
        { "numbers without an end", test_endless_numbers },
        { "null keys in a compacted topic", test_null_keys },
        { "timestamps too far off", test_timestamps },
        { "the text of a refused timestamp", test_timestamp_text },
        { "records without timestamps", test_no_timestamps },
        { "decompression bombs stop at the limit", test_bomb },
        { "garbage instead of compressed records", test_garbage },
};
UNIT_MAIN("wire-batch-check", cases)
