/* Goal: what the builder writes the reader reads, and both agree with batches made by hand; searches by time are exact;
 * recompression changes nothing but the codec; damage is an outcome.
 * Method: all codecs, records smaller and larger than the decoder's window, gaps as compaction leaves them. */
#include <string.h>

#include "test-wire-batch.h"
#include "unit.h"
#include "wire/batch_records.h"

static char blob[300100]; /* a text of 200 characters, then more */

__attribute__((constructor)) static void blob_fill(void)
{
        for (size_t i = 0; i < sizeof blob; i++)
                blob[i] = (char)("abcdefghij"[i * i / 7 % 10]);
        blob[200] = '\0';
}

static struct span text(const char *s)
{
        return s ? span_of(s, strlen(s)) : SPAN_NULL;
}

/* The next record must be there; only then anything is worth comparing. */
static struct batch_record next(struct batch_records *it)
{
        struct batch_record rec = { 0 };

        CU_ASSERT_EQUAL_FATAL(batch_records_next(it, &rec), 0);
        return rec;
}

static void test_by_hand(void)
{
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf records = { 0 }, packed = { 0 }, b = { 0 };
                struct batch_records it;
                struct batch_record rec;
                struct batch_record_header h;

                make_record(&records, 0, 0, "k", "v", true);
                make_record(&records, 1, -5, NULL, "", false);
                make_record(&records, 2, 7, "", NULL, false);
                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, made(&records), &packed), 0);
                make_batch(&b, (uint16_t)codec, 3, &packed);
                batch_set_base((uint8_t *)b.data, 1000, 4);
                CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&b), 0), 0);
                rec = next(&it);
                CU_ASSERT_EQUAL(rec.offset, 1000);
                CU_ASSERT_EQUAL(rec.timestamp, MAKE_NOW);
                CU_ASSERT(span_equal(rec.key, text("k")) && span_equal(rec.value, text("v")));
                CU_ASSERT_EQUAL(rec.headers_count, 1);
                CU_ASSERT(batch_record_header_next(&rec.headers, &h));
                CU_ASSERT(span_equal(h.key, text("h")) && span_equal(h.value, text("v")));
                CU_ASSERT_FALSE(batch_record_header_next(&rec.headers, &h));
                rec = next(&it);
                CU_ASSERT_EQUAL(rec.offset, 1001);
                CU_ASSERT_EQUAL(rec.timestamp, MAKE_NOW - 5);
                CU_ASSERT(!rec.key.data && rec.value.data && rec.value.len == 0);
                rec = next(&it);
                CU_ASSERT(rec.key.data && rec.key.len == 0 && !rec.value.data);
                CU_ASSERT_FALSE(batch_record_header_next(&rec.headers, &h));
                CU_ASSERT_EQUAL(batch_records_next(&it, &rec), BATCH_END);
                CU_ASSERT_EQUAL(batch_records_next(&it, &rec), BATCH_END);
                batch_records_close(&it);
                batch_records_close(&it);
        }
}

/* Sizes around the window of 64 KiB and well above it. */
static const size_t value_lens[] = { 0, 1, 100, 65000, 65500, 65530, 65536, 70000, 131072, 299999, 3 };

static void build_mixed(const struct batch_build_args *args, struct strbuf *out)
{
        CLEANUP(strbuf_finip) struct strbuf headers = { 0 };
        struct batch_builder b;

        batch_record_header_add(&headers, text("trace"), text("0123"));
        batch_record_header_add(&headers, text(""), SPAN_NULL);
        batch_builder_init(&b, args);
        for (size_t i = 0; i < ARRAY_LEN(value_lens); i++)
                CU_ASSERT_EQUAL_FATAL(
                        batch_builder_add(&b, &(struct batch_record){ .offset = args->base_offset + (int64_t)i * 3,
                                                                      .timestamp = MAKE_NOW + (int64_t)i % 4,
                                                                      .key = i % 3 ? span_of(blob, i) : SPAN_NULL,
                                                                      .value = span_of(blob + i, value_lens[i]),
                                                                      .headers = made(&headers),
                                                                      .headers_count = 2 }),
                        0);
        CU_ASSERT_EQUAL_FATAL(batch_builder_finish(&b, out), 0);
        batch_builder_fini(&b);
}

static void expect_mixed(struct span batch, int64_t base_offset)
{
        struct batch_records it;
        struct batch_record rec;
        struct batch_record_header h;

        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, batch, 0), 0);
        for (size_t i = 0; i < ARRAY_LEN(value_lens); i++) {
                rec = next(&it);
                CU_ASSERT_EQUAL(rec.offset, base_offset + (int64_t)i * 3);
                CU_ASSERT_EQUAL(rec.timestamp, MAKE_NOW + (int64_t)i % 4);
                CU_ASSERT(span_equal(rec.key, i % 3 ? span_of(blob, i) : SPAN_NULL));
                CU_ASSERT(span_equal(rec.value, span_of(blob + i, value_lens[i])));
                CU_ASSERT_EQUAL(rec.headers_count, 2);
                CU_ASSERT(batch_record_header_next(&rec.headers, &h));
                CU_ASSERT(span_equal(h.key, text("trace")) && span_equal(h.value, text("0123")));
                CU_ASSERT(batch_record_header_next(&rec.headers, &h));
                CU_ASSERT(span_equal(h.key, text("")) && !h.value.data);
                CU_ASSERT_FALSE(batch_record_header_next(&rec.headers, &h));
        }
        CU_ASSERT_EQUAL(batch_records_next(&it, &rec), BATCH_END);
        batch_records_close(&it);
}

static void test_builder(void)
{
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                struct batch_build_args args = batch_build_args();
                CLEANUP(strbuf_finip) struct strbuf out = { 0 };
                struct batch_header h;

                args.codec = codec;
                args.base_offset = 5000;
                args.leader_epoch = 8;
                args.producer_id = 77;
                args.producer_epoch = 3;
                args.base_sequence = 9;
                args.transactional = true;
                build_mixed(&args, &out);
                CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&out), &h), 0);
                CU_ASSERT_EQUAL(h.base_offset, 5000);
                CU_ASSERT_EQUAL(h.leader_epoch, 8);
                CU_ASSERT_EQUAL(h.attributes, BATCH_TRANSACTIONAL | codec);
                CU_ASSERT_EQUAL(h.last_offset_delta, 30);
                CU_ASSERT_EQUAL(h.base_timestamp, MAKE_NOW);
                CU_ASSERT_EQUAL(h.max_timestamp, MAKE_NOW + 3);
                CU_ASSERT_EQUAL(h.producer_id, 77);
                CU_ASSERT_EQUAL(h.producer_epoch, 3);
                CU_ASSERT_EQUAL(h.base_sequence, 9);
                CU_ASSERT_EQUAL(h.records_count, (int32_t)ARRAY_LEN(value_lens));
                expect_mixed(made(&out), 5000);
        }
}

/* Built batches pass the check of produced ones. */
static void test_builder_is_checked(void)
{
        static const struct batch_check_args any = { .now_ms = MAKE_NOW,
                                                     .timestamp_before_ms_max = INT64_MAX,
                                                     .timestamp_after_ms_max = INT64_MAX };

        for (int codec = 0; codec < CODEC_COUNT; codec++)
                for (int count = 1; count < 3000; count = count * 3 + 1) {
                        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
                        struct batch_build_args args = batch_build_args();
                        struct batch_check_result res;
                        struct batch_builder b;

                        args.codec = codec;
                        batch_builder_init(&b, &args);
                        for (int i = 0; i < count; i++)
                                CU_ASSERT_EQUAL(batch_builder_add(&b, &(struct batch_record){ .offset = i,
                                                                                              .timestamp = i,
                                                                                              .key = text("k"),
                                                                                              .value = text(blob) }),
                                                0);
                        CU_ASSERT_EQUAL(batch_builder_finish(&b, &out), 0);
                        CU_ASSERT_EQUAL(batch_check(made(&out), &any, &res), 0);
                        CU_ASSERT_EQUAL(res.max_timestamp_delta, count - 1);
                        batch_builder_fini(&b);
                }
}

/* The builder's bytes are the hand-made ones. */
static void test_builder_bytes(void)
{
        CLEANUP(strbuf_finip) struct strbuf hand = { 0 }, built = { 0 }, headers = { 0 };
        struct batch_build_args args = batch_build_args();
        struct batch_builder b;

        batch_record_header_add(&headers, text("h"), text("v"));
        batch_builder_init(&b, &args);
        for (int i = 0; i < 100; i++) {
                char key[16], value[16];

                snprintf(key, sizeof key, "k%d", i);
                snprintf(value, sizeof value, "v%d", i);
                CU_ASSERT_EQUAL(batch_builder_add(&b,
                                                  &(struct batch_record){
                                                          .offset = i,
                                                          .timestamp = MAKE_NOW + i,
                                                          .key = text(key),
                                                          .value = text(value),
                                                          .headers = i & 1 ? made(&headers) : SPAN_NULL,
                                                          .headers_count = i & 1,
                                                  }),
                                0);
        }
        CU_ASSERT(batch_builder_len(&b) > BATCH_HEADER_LEN);
        CU_ASSERT_EQUAL(batch_builder_finish(&b, &built), 0);
        CU_ASSERT_EQUAL(batch_builder_len(&b), BATCH_HEADER_LEN); /* empty again */
        make_plain(&hand, 100);
        store_be64(hand.data + BATCH_MAX_TIMESTAMP_AT, MAKE_NOW + 99);
        make_crc(&hand);
        CU_ASSERT(span_equal(made(&hand), made(&built)));
        batch_builder_fini(&b);
}

static void test_log_append_time(void)
{
        struct batch_build_args args = batch_build_args();
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct batch_builder b;
        struct batch_records it;
        struct batch_found found;

        args.log_append_time = true;
        args.append_time_ms = 4242;
        batch_builder_init(&b, &args);
        for (int i = 0; i < 3; i++)
                CU_ASSERT_EQUAL(batch_builder_add(&b, &(struct batch_record){ .offset = i, .timestamp = 10 + i }), 0);
        CU_ASSERT_EQUAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&out), 0), 0);
        for (int i = 0; i < 3; i++)
                CU_ASSERT_EQUAL(next(&it).timestamp, 4242);
        batch_records_close(&it);
        CU_ASSERT_EQUAL(batch_find_timestamp(made(&out), 4242, 1, &found), 0);
        CU_ASSERT(found.offset == 1 && found.timestamp == 4242);
        CU_ASSERT_EQUAL(batch_find_max_timestamp(made(&out), INT64_MIN, &found), 0);
        CU_ASSERT(found.offset == 0 && found.timestamp == 4242);
        CU_ASSERT_EQUAL(batch_find_timestamp(made(&out), 4243, 0, &found), BATCH_END);
}

/* What compaction makes: gaps, the original's extent, a delete horizon; and a header without records. */
static void test_compacted(void)
{
        struct batch_build_args args = batch_build_args();
        CLEANUP(strbuf_finip) struct strbuf out = { 0 }, empty = { 0 }, same = { 0 };
        struct batch_builder b;
        struct batch_records it;
        struct batch_record rec;
        struct batch_found found;

        args.base_offset = 100;
        args.last_offset_delta = 50;
        args.delete_horizon_ms = MAKE_NOW + 999;
        args.codec = CODEC_ZSTD;
        batch_builder_init(&b, &args);
        CU_ASSERT_EQUAL(batch_builder_add(&b, &(struct batch_record){ .offset = 110, .timestamp = MAKE_NOW }), 0);
        CU_ASSERT_EQUAL(batch_builder_finish(&b, &out), 0);
        CU_ASSERT_EQUAL(batch_builder_finish(&b, &empty), 0);
        batch_builder_fini(&b);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&out), 0), 0);
        CU_ASSERT_EQUAL(batch_last_offset(&it.header), 150);
        CU_ASSERT(batch_has_delete_horizon(&it.header));
        CU_ASSERT_EQUAL(it.header.base_timestamp, MAKE_NOW + 999);
        rec = next(&it);
        CU_ASSERT(rec.offset == 110 && rec.timestamp == MAKE_NOW);
        CU_ASSERT_EQUAL(batch_records_next(&it, &rec), BATCH_END);
        batch_records_close(&it);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&empty), 0), 0);
        CU_ASSERT_EQUAL(it.header.records_count, 0);
        CU_ASSERT_EQUAL(batch_last_offset(&it.header), 150);
        CU_ASSERT_EQUAL(batch_records_next(&it, &rec), BATCH_END);
        batch_records_close(&it);
        CU_ASSERT_EQUAL(batch_find_max_timestamp(made(&empty), INT64_MIN, &found), BATCH_END);
        CU_ASSERT_EQUAL(batch_recompress(made(&empty), CODEC_GZIP, CODEC_LEVEL_DEFAULT, 0, &same), 0);
        CU_ASSERT(span_equal(made(&empty), made(&same)));
        store_be16(empty.data + BATCH_ATTRIBUTES_AT, CODEC_LZ4); /* Kafka leaves the codec of the original there */
        make_crc(&empty);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&empty), 0), 0);
        CU_ASSERT_EQUAL(batch_records_next(&it, &rec), BATCH_END);
        batch_records_close(&it);
}

static void test_recompress(void)
{
        for (int from = 0; from < CODEC_COUNT; from++)
                for (int to = 0; to < CODEC_COUNT; to++) {
                        struct batch_build_args args = batch_build_args();
                        CLEANUP(strbuf_finip) struct strbuf in = { 0 }, out = { 0 };
                        struct batch_header h, g;

                        args.codec = from;
                        args.base_offset = 30;
                        args.producer_id = 5;
                        args.base_sequence = 7;
                        args.transactional = true;
                        build_mixed(&args, &in);
                        strbuf_add_c(&out, "before");
                        CU_ASSERT_EQUAL_FATAL(batch_recompress(made(&in), to, CODEC_LEVEL_DEFAULT, 0, &out), 0);
                        CU_ASSERT_EQUAL_FATAL(batch_check_crc(span_of(out.data + 6, out.len - 6), &h), 0);
                        CU_ASSERT_EQUAL(batch_codec(&h), to);
                        CU_ASSERT_EQUAL(batch_parse_header(made(&in), &g), 0);
                        g.crc = h.crc;
                        g.length = h.length;
                        g.attributes = (uint16_t)((g.attributes & ~BATCH_CODEC_MASK) | to);
                        CU_ASSERT(g.attributes == h.attributes && g.producer_id == h.producer_id &&
                                  g.base_sequence == h.base_sequence && g.base_offset == h.base_offset &&
                                  g.max_timestamp == h.max_timestamp && g.records_count == h.records_count);
                        expect_mixed(span_of(out.data + 6, out.len - 6), 30);
                }
}

static void test_recompress_refused(void)
{
        struct batch_build_args args = batch_build_args();
        CLEANUP(strbuf_finip) struct strbuf in = { 0 }, out = { 0 };
        struct batch_header h;

        args.codec = CODEC_LZ4;
        build_mixed(&args, &in);
        CU_ASSERT_EQUAL(batch_recompress(made(&in), 7, CODEC_LEVEL_DEFAULT, 0, &out), BATCH_E_CODEC);
        CU_ASSERT_EQUAL(batch_recompress(made(&in), CODEC_ZSTD, CODEC_LEVEL_DEFAULT, 1000, &out), BATCH_E_TOO_LARGE);
        CU_ASSERT_EQUAL(batch_recompress(span_of(in.data, in.len - 1), CODEC_ZSTD, 1, 0, &out), BATCH_E_TRUNCATED);
        store_be16(in.data + BATCH_ATTRIBUTES_AT, CODEC_ZSTD);
        CU_ASSERT_EQUAL(batch_recompress(made(&in), CODEC_ZSTD, CODEC_LEVEL_DEFAULT, 0, &out), BATCH_E_INVALID);
        store_be16(in.data + BATCH_ATTRIBUTES_AT, 6);
        CU_ASSERT_EQUAL(batch_recompress(made(&in), CODEC_ZSTD, CODEC_LEVEL_DEFAULT, 0, &out), BATCH_E_CODEC);
        CU_ASSERT_EQUAL(out.len, 0);
        CU_ASSERT_EQUAL(batch_parse_header(made(&in), &h), 0);
}

static void test_find(void)
{
        static const int64_t times[] = { 50, 10, 90, 90, 20, 91, 5 };
        static const struct {
                int64_t timestamp, from, offset, found;
        } steps[] = {
                { 0, 0, 700, 50 },   { 50, 0, 700, 50 },   { 51, 0, 702, 90 },        { 90, 703, 703, 90 },
                { 0, 701, 701, 10 }, { 15, 701, 702, 90 }, { 91, 0, 705, 91 },        { 0, 706, 706, 5 },
                { 92, 0, -1, 0 },    { 6, 706, -1, 0 },    { INT64_MIN, 707, -1, 0 },
        };

        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                struct batch_build_args args = batch_build_args();
                CLEANUP(strbuf_finip) struct strbuf out = { 0 };
                struct batch_builder b;
                struct batch_found f;

                args.codec = codec;
                args.base_offset = 700;
                batch_builder_init(&b, &args);
                for (size_t i = 0; i < ARRAY_LEN(times); i++)
                        CU_ASSERT_EQUAL(batch_builder_add(&b, &(struct batch_record){ .offset = 700 + (int64_t)i,
                                                                                      .timestamp = times[i],
                                                                                      .value = text(blob) }),
                                        0);
                CU_ASSERT_EQUAL(batch_builder_finish(&b, &out), 0);
                batch_builder_fini(&b);
                for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                        int r = batch_find_timestamp(made(&out), steps[i].timestamp, steps[i].from, &f);

                        CU_ASSERT_EQUAL(r, steps[i].offset < 0 ? BATCH_END : 0);
                        if (r == 0)
                                CU_ASSERT(f.offset == steps[i].offset && f.timestamp == steps[i].found);
                }
                CU_ASSERT_EQUAL(batch_find_max_timestamp(made(&out), INT64_MIN, &f), 0);
                CU_ASSERT(f.offset == 705 && f.timestamp == 91);
        }
}

/* Read to the end or to the first outcome. */
static int read_all(struct span batch, uint64_t len_max)
{
        struct batch_records it;
        struct batch_record rec;
        int r = batch_records_open(&it, batch, len_max);

        if (r)
                return r;
        do
                r = batch_records_next(&it, &rec);
        while (r == 0);
        batch_records_close(&it);
        return r;
}

static void test_damage(void)
{
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                struct batch_build_args args = batch_build_args();
                CLEANUP(strbuf_finip) struct strbuf out = { 0 };

                args.codec = codec;
                build_mixed(&args, &out);
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_END);
                CU_ASSERT_EQUAL(read_all(span_of(out.data, out.len - 1), 0), BATCH_E_TRUNCATED);
                store_be32(out.data + BATCH_COUNT_AT, 12); /* there are 11 */
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_E_INVALID);
                store_be32(out.data + BATCH_COUNT_AT, 10);
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_E_INVALID);
                store_be32(out.data + BATCH_COUNT_AT, (uint32_t)-1);
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_E_INVALID);
                store_be32(out.data + BATCH_COUNT_AT, 11);
                store_be32(out.data + BATCH_LAST_OFFSET_DELTA_AT, 29);
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_E_INVALID);
                store_be32(out.data + BATCH_LAST_OFFSET_DELTA_AT, 31);
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_END);
                if (codec != CODEC_NONE)
                        CU_ASSERT_EQUAL(read_all(made(&out), 200000), BATCH_E_TOO_LARGE);
                store_be16(out.data + BATCH_ATTRIBUTES_AT, 5);
                CU_ASSERT_EQUAL(read_all(made(&out), 0), BATCH_E_CODEC);
        }
}

/* A record that claims 2 GB inside a small compressed batch must not make us take 2 GB. */
static void test_claimed_length(void)
{
        CLEANUP(strbuf_finip) struct strbuf records = { 0 }, packed = { 0 }, b = { 0 };

        make_varlong(&records, INT32_MAX);
        strbuf_add(&records, blob, 1000);
        CU_ASSERT_EQUAL(codec_encode(CODEC_ZSTD, CODEC_LEVEL_DEFAULT, made(&records), &packed), 0);
        make_batch(&b, CODEC_ZSTD, 1, &packed);
        CU_ASSERT_EQUAL(read_all(made(&b), 0), BATCH_E_INVALID);
}

static void test_extreme_times(void)
{
        static const int64_t times[] = { -1, INT64_MAX, INT64_MIN, 0, INT64_MAX };
        struct batch_build_args args = batch_build_args();
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct batch_builder b;
        struct batch_records it;

        batch_builder_init(&b, &args);
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
                CU_ASSERT_EQUAL(
                        batch_builder_add(&b, &(struct batch_record){ .offset = (int64_t)i, .timestamp = times[i] }),
                        0);
        CU_ASSERT_EQUAL(batch_builder_finish(&b, &out), 0);
        batch_builder_fini(&b);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&out), 0), 0);
        CU_ASSERT_EQUAL(it.header.max_timestamp, INT64_MAX);
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
                CU_ASSERT_EQUAL(next(&it).timestamp, times[i]);
        batch_records_close(&it);
}

static void test_markers(void)
{
        struct batch_build_args args = batch_build_args();
        struct batch_marker m = { BATCH_MARKER_COMMIT, 31 }, got = { 0 };
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct batch_records it;
        struct batch_record rec;

        args.base_offset = 12;
        args.producer_id = 7;
        args.producer_epoch = 1;
        args.base_sequence = 99;
        args.codec = CODEC_GZIP;
        CU_ASSERT_EQUAL(batch_marker_build(&args, &m, 1234, &out), 0);
        CU_ASSERT_EQUAL_FATAL(batch_records_open(&it, made(&out), 0), 0);
        CU_ASSERT(batch_is_control(&it.header) && batch_is_transactional(&it.header));
        CU_ASSERT_EQUAL(batch_codec(&it.header), CODEC_NONE);
        CU_ASSERT_EQUAL(it.header.base_sequence, -1);
        CU_ASSERT_EQUAL(it.header.producer_id, 7);
        rec = next(&it);
        CU_ASSERT(rec.offset == 12 && rec.timestamp == 1234);
        CU_ASSERT_EQUAL(batch_marker_parse(&rec, &got), 0);
        CU_ASSERT(got.type == BATCH_MARKER_COMMIT && got.coordinator_epoch == 31);
        rec.key.len = 3;
        CU_ASSERT_EQUAL(batch_marker_parse(&rec, &got), BATCH_E_INVALID);
        rec.key.len = 4;
        rec.value.len = 5;
        CU_ASSERT_EQUAL(batch_marker_parse(&rec, &got), BATCH_E_INVALID);
        rec.key = span_of("\0\0\0\2", 4); /* a leader change says more than we read, in another form */
        CU_ASSERT_EQUAL(batch_marker_parse(&rec, &got), 0);
        CU_ASSERT(got.type == 2 && got.coordinator_epoch == -1);
        rec.key = span_of("\xff\0\0\1", 4);
        CU_ASSERT_EQUAL(batch_marker_parse(&rec, &got), BATCH_E_INVALID);
        batch_records_close(&it);
}

static const struct unit_case cases[] = {
        { "a batch made by hand is read", test_by_hand },
        { "built and read with every codec", test_builder },
        { "built batches pass the check", test_builder_is_checked },
        { "built bytes are the hand-made ones", test_builder_bytes },
        { "LogAppendTime", test_log_append_time },
        { "what compaction makes", test_compacted },
        { "every codec to every other", test_recompress },
        { "recompression of what is broken", test_recompress_refused },
        { "searches by time", test_find },
        { "damage is an outcome", test_damage },
        { "a record that claims 2 GB", test_claimed_length },
        { "times at the ends of their range", test_extreme_times },
        { "transaction markers", test_markers },
};
UNIT_MAIN("wire-batch-records", cases)
