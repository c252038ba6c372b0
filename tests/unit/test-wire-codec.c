/* Goal: every codec gives back what it took, in pieces as in one go, keeps limits to the byte and refuses damage.
 * Method: round trips over many sizes and kinds of data, then cutting and flipping. */
#include <errno.h>
#include <lz4frame.h>
#include <pthread.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "unit.h"
#include "wire/codec.h"

enum { BIG = 200 * 1024 };

static uint8_t data[BIG + 1];

/* Text-like, random, or all the same. */
static void data_fill(int kind)
{
        uint32_t seed = 12345;

        for (size_t i = 0; i < sizeof data; i++) {
                seed = seed * 1664525 + 1013904223;
                data[i] = kind == 0 ? (uint8_t)("abcdefgh"[seed >> 29]) : kind == 1 ? (uint8_t)(seed >> 24) : 'x';
        }
}

static void expect_decode(int codec, struct span packed, struct span plain)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };

        CU_ASSERT_EQUAL(codec_decode(codec, packed, plain.len, &out), 0);
        CU_ASSERT(out.len == plain.len && (plain.len == 0 || !memcmp(out.data, plain.data, plain.len)));
}

/* The outcome alone. */
static int decode(int codec, struct span packed, size_t len_max)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };

        return codec_decode(codec, packed, len_max, &out);
}

/* The same through a stream, @step bytes at a time. */
static void expect_stream(int codec, struct span packed, struct span plain, size_t step)
{
        CLEANUP(codec_stream_closep) struct codec_stream *s = NULL;
        static uint8_t out[BIG + 1];
        size_t at = 0, len = 0;

        CU_ASSERT_EQUAL_FATAL(codec_stream_open(codec, packed, plain.len, &s), 0);
        do {
                CU_ASSERT_EQUAL_FATAL(codec_stream_read(s, out + at, MIN2(step, sizeof out - at), &len), 0);
                at += len;
        } while (len > 0 && at < sizeof out);
        CU_ASSERT(at == plain.len && (at == 0 || !memcmp(out, plain.data, at)));
}

static void test_round_trips(void)
{
        static const size_t sizes[] = { 0,     1,     2,     15,    64,    1000,   4095,   16384,  32767, 32768,
                                        32769, 65535, 65536, 65537, 99999, 131072, 131073, 200000, BIG };

        for (int kind = 0; kind < 3; kind++) {
                data_fill(kind);
                for (int codec = 0; codec < CODEC_COUNT; codec++)
                        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
                                CLEANUP(strbuf_finip) struct strbuf packed = { 0 };
                                struct span plain = span_of(data, sizes[i]), in;

                                CU_ASSERT_EQUAL_FATAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, plain, &packed), 0);
                                in = span_of(packed.data, packed.len);
                                expect_decode(codec, in, plain);
                                expect_stream(codec, in, plain, 65536);
                                expect_stream(codec, in, plain, 1009);
                                if (sizes[i] <= 4095)
                                        expect_stream(codec, in, plain, 1);
                                if (kind == 2 && sizes[i] > 4095 && codec != CODEC_NONE)
                                        CU_ASSERT(packed.len < sizes[i] / 4);
                        }
        }
}

static void test_levels(void)
{
        static const int levels[] = { CODEC_LEVEL_DEFAULT, -200000, -5, -1, 0, 1, 3, 6, 9, 12, 17, 22, 1000 };

        data_fill(0);
        for (int codec = 0; codec < CODEC_COUNT; codec++)
                for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
                        CLEANUP(strbuf_finip) struct strbuf packed = { 0 };
                        struct span plain = span_of(data, 50000);

                        CU_ASSERT_EQUAL(codec_encode(codec, levels[i], plain, &packed), 0);
                        expect_decode(codec, span_of(packed.data, packed.len), plain);
                }
        CU_ASSERT_EQUAL(codec_levels(CODEC_ZSTD).max, 22);
        CU_ASSERT_EQUAL(codec_levels(CODEC_GZIP).standard, -1);
}

static void test_level_matters(void)
{
        static const int codecs[] = { CODEC_GZIP, CODEC_LZ4, CODEC_ZSTD };

        data_fill(0);
        for (size_t i = 0, len; i + 64 < sizeof data; i += len) /* matches near and far, for an effort to find */
                len = (size_t)snprintf((char *)data + i, 64, "{\"user\":%zu,\"city\":\"%zu\"},", i * i % 997,
                                       i * 31 % 5003);
        for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
                CLEANUP(strbuf_finip) struct strbuf low = { 0 }, high = { 0 };

                CU_ASSERT_EQUAL(codec_encode(codecs[i], 1, span_of(data, BIG), &low), 0);
                CU_ASSERT_EQUAL(codec_encode(codecs[i], 9, span_of(data, BIG), &high), 0);
                CU_ASSERT(high.len < low.len);
        }
}

static void test_limits(void)
{
        data_fill(2);
        for (int codec = 0; codec < CODEC_COUNT; codec++)
                for (size_t len = 1; len <= BIG; len = len * 7 + 1) {
                        CLEANUP(strbuf_finip) struct strbuf packed = { 0 }, out = { 0 };

                        CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, len), &packed), 0);
                        CU_ASSERT_EQUAL(codec_decode(codec, span_of(packed.data, packed.len), len - 1, &out),
                                        CODEC_E_TOO_LARGE);
                }
}

static void test_cut(void)
{
        data_fill(0);
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 };

                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, 3000), &packed), 0);
                for (size_t len = 0; len < packed.len; len++) {
                        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
                        int r = codec_decode(codec, span_of(packed.data, len), BIG, &out);

                        if (codec == CODEC_SNAPPY && len == 16)
                                CU_ASSERT(r == 0 && out.len == 0) /* xerial has no end mark: a header alone is whole */
                        else
                                CU_ASSERT_EQUAL(r, CODEC_E_MALFORMED);
                }
        }
}

/* Any flip gives either an outcome or bytes within the limit; gzip has a checksum and must find it. */
static void test_flips(void)
{
        data_fill(0);
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 };

                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, 700), &packed), 0);
                for (size_t bit = 0; bit < packed.len * 8; bit++) {
                        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
                        int r;

                        packed.data[bit / 8] ^= (char)(1 << bit % 8);
                        r = codec_decode(codec, span_of(packed.data, packed.len), 5000, &out);
                        CU_ASSERT(r == 0 || r == CODEC_E_MALFORMED || r == CODEC_E_TOO_LARGE);
                        if (codec == CODEC_GZIP && r == 0) /* a bit that nothing depends on */
                                CU_ASSERT(out.len == 700 && !memcmp(out.data, data, 700));
                        if (r == 0)
                                CU_ASSERT(out.len <= 5000);
                        packed.data[bit / 8] ^= (char)(1 << bit % 8);
                }
        }
}

static void test_joined(void)
{
        data_fill(0);
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 };

                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, 70000), &packed), 0);
                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data + 70000, 100), &packed), 0);
                expect_decode(codec, span_of(packed.data, packed.len), span_of(data, 70100));
                expect_stream(codec, span_of(packed.data, packed.len), span_of(data, 70100), 777);
                strbuf_add(&packed, "\1", 1); /* and then something else */
                CU_ASSERT_EQUAL(decode(codec, span_of(packed.data, packed.len), BIG), CODEC_E_MALFORMED);
        }
}

/* What librdkafka sends: one block without xerial's frame. */
static void test_snappy_raw(void)
{
        static char raw[BIG * 2];

        data_fill(0);
        for (size_t len = 0; len <= BIG; len = len * 5 + 1) {
                size_t raw_len = sizeof raw;
                CLEANUP(strbuf_finip) struct strbuf out = { 0 };

                CU_ASSERT_EQUAL(snappy_compress((char *)data, len, raw, &raw_len), SNAPPY_OK);
                expect_decode(CODEC_SNAPPY, span_of(raw, raw_len), span_of(data, len));
                expect_stream(CODEC_SNAPPY, span_of(raw, raw_len), span_of(data, len), 4096);
                if (len)
                        CU_ASSERT_EQUAL(codec_decode(CODEC_SNAPPY, span_of(raw, raw_len), len - 1, &out),
                                        CODEC_E_TOO_LARGE);
        }
}

static void test_snappy_claims(void)
{
        static const uint8_t claims[][12] = {
                { 0xff, 0xff, 0xff, 0xff, 0x0f, 0 },                /* 4 GiB in one byte */
                { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },             /* a number without an end */
                { 0x80, 0x80, 0x80, 0x20, 0x01, 0x02, 0x03, 0x04 }, /* 64 MiB in eight bytes */
        };
        uint8_t framed[32] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1 };
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };

        for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
                CU_ASSERT_EQUAL(codec_decode(CODEC_SNAPPY, span_of(claims[i], 12), SIZE_MAX, &out), CODEC_E_MALFORMED);
                memcpy(framed + 20, claims[i], 12);
                store_be32(framed + 16, 12);
                CU_ASSERT_EQUAL(codec_decode(CODEC_SNAPPY, span_of(framed, 32), SIZE_MAX, &out), CODEC_E_MALFORMED);
        }
        store_be32(framed + 16, 13); /* a block longer than what is there */
        CU_ASSERT_EQUAL(codec_decode(CODEC_SNAPPY, span_of(framed, 32), SIZE_MAX, &out), CODEC_E_MALFORMED);
        store_be32(framed + 16, 0xffffffff);
        CU_ASSERT_EQUAL(codec_decode(CODEC_SNAPPY, span_of(framed, 32), SIZE_MAX, &out), CODEC_E_MALFORMED);
        store_be32(framed + 8, 0); /* version 0 */
        CU_ASSERT_EQUAL(codec_decode(CODEC_SNAPPY, span_of(framed, 16), SIZE_MAX, &out), CODEC_E_MALFORMED);
        CU_ASSERT_EQUAL(out.len, 0);
}

/* All that an lz4 frame may be. */
static void test_lz4_frames(void)
{
        static uint8_t frame[BIG * 2];

        data_fill(0);
        for (int i = 0; i < 32; i++) {
                LZ4F_preferences_t p = {
                        .frameInfo = { .blockSizeID = i & 1 ? LZ4F_max4MB : LZ4F_max64KB,
                                       .blockMode = i & 2 ? LZ4F_blockIndependent : LZ4F_blockLinked,
                                       .contentChecksumFlag = i & 4 ? LZ4F_contentChecksumEnabled : 0,
                                       .blockChecksumFlag = i & 8 ? LZ4F_blockChecksumEnabled : 0,
                                       .contentSize = i & 16 ? BIG : 0 },
                };
                size_t len = LZ4F_compressFrame(frame, sizeof frame, data, BIG, &p);

                CU_ASSERT_FATAL(!LZ4F_isError(len));
                expect_decode(CODEC_LZ4, span_of(frame, len), span_of(data, BIG));
                expect_stream(CODEC_LZ4, span_of(frame, len), span_of(data, BIG), 1000);
                if (!(i & 4))
                        continue;
                frame[len - 1] ^= 1; /* the content checksum is looked at */
                CU_ASSERT_EQUAL(decode(CODEC_LZ4, span_of(frame, len), BIG), CODEC_E_MALFORMED);
        }
}

/* Java's consumer reads independent blocks only, and xerial's frame. */
static void test_written_for_java(void)
{
        CLEANUP(strbuf_finip) struct strbuf lz4 = { 0 }, snappy = { 0 };

        data_fill(0);
        CU_ASSERT_EQUAL(codec_encode(CODEC_LZ4, 9, span_of(data, BIG), &lz4), 0);
        CU_ASSERT_EQUAL(lz4.data[4] & 0x20, 0x20); /* FLG: block independence */
        CU_ASSERT_EQUAL(lz4.data[5] & 0x70, 0x40); /* BD: blocks of 64 KiB */
        CU_ASSERT_EQUAL(codec_encode(CODEC_SNAPPY, CODEC_LEVEL_DEFAULT, span_of(data, BIG), &snappy), 0);
        CU_ASSERT_EQUAL(memcmp(snappy.data, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16), 0);
}

/* As Java writes: a stream of unknown length, at the level with the largest window. */
static void test_zstd_unknown_size(void)
{
        static uint8_t frame[BIG * 2];
        ZSTD_CCtx *c = ZSTD_createCCtx();
        ZSTD_outBuffer out = { frame, sizeof frame, 0 };

        data_fill(0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
        for (size_t at = 0; at < BIG; at += 10240) {
                ZSTD_inBuffer in = { data + at, 10240, 0 };

                CU_ASSERT_FATAL(!ZSTD_isError(ZSTD_compressStream2(c, &out, &in, ZSTD_e_flush)));
        }
        CU_ASSERT_EQUAL_FATAL(ZSTD_compressStream2(c, &out, &(ZSTD_inBuffer){ 0 }, ZSTD_e_end), 0);
        ZSTD_freeCCtx(c);
        CU_ASSERT_EQUAL(ZSTD_getFrameContentSize(frame, out.pos), ZSTD_CONTENTSIZE_UNKNOWN);
        expect_decode(CODEC_ZSTD, span_of(frame, out.pos), span_of(data, BIG));
        expect_stream(CODEC_ZSTD, span_of(frame, out.pos), span_of(data, BIG), 5000);
}

static void test_names(void)
{
        enum codec c = CODEC_ZSTD;

        for (int i = 0; i < CODEC_COUNT; i++) {
                CU_ASSERT_EQUAL(codec_parse(str_of(codec_name(i)), &c), 0);
                CU_ASSERT_EQUAL((int)c, i);
        }
        CU_ASSERT_EQUAL(codec_parse(STR_LIT("uncompressed"), &c), 0);
        CU_ASSERT_EQUAL(c, CODEC_NONE);
        CU_ASSERT_EQUAL(codec_parse(STR_LIT("brotli"), &c), CODEC_E_UNKNOWN);
        CU_ASSERT_STRING_EQUAL(codec_name(5), "unknown");
        CU_ASSERT_STRING_EQUAL(codec_name(-1), "unknown");
        CU_ASSERT_EQUAL(decode(5, span_of("x", 1), 1), CODEC_E_UNKNOWN);
        CU_ASSERT_EQUAL(codec_encode(-1, 0, span_of("x", 1), &(struct strbuf){ 0 }), CODEC_E_UNKNOWN);
}

/* Two streams of one codec at a time on a thread, one failing before the other is read on. */
static void test_side_by_side(void)
{
        data_fill(0);
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 };
                CLEANUP(codec_stream_closep) struct codec_stream *a = NULL, *b = NULL;
                uint8_t x[1000], y[1000];
                size_t len;

                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, BIG), &packed), 0);
                CU_ASSERT_EQUAL_FATAL(codec_stream_open(codec, span_of(packed.data, packed.len), BIG, &a), 0);
                CU_ASSERT_EQUAL_FATAL(codec_stream_open(codec, span_of(packed.data, packed.len), 5, &b), 0);
                CU_ASSERT_EQUAL(codec_stream_read(a, x, sizeof x, &len), 0);
                CU_ASSERT_EQUAL(codec_stream_read(b, y, sizeof y, &len), CODEC_E_TOO_LARGE);
                b = codec_stream_close(b);
                CU_ASSERT_EQUAL(codec_stream_read(a, y, sizeof y, &len), 0);
                CU_ASSERT(len == sizeof y && !memcmp(y, data + 1000, sizeof y));
        }
}

/* A stream that is left in the middle must not harm the next one of its codec, which uses the same context. */
static void test_left_in_the_middle(void)
{
        static uint8_t frame[BIG * 2];
        LZ4F_preferences_t p = { .frameInfo = { .contentSize = BIG } };
        size_t len;

        data_fill(0);
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 };

                CU_ASSERT_EQUAL(codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, BIG), &packed), 0);
                for (size_t read = 0; read < 3; read++) {
                        CLEANUP(codec_stream_closep) struct codec_stream *s = NULL;

                        CU_ASSERT_EQUAL_FATAL(codec_stream_open(codec, span_of(packed.data, packed.len), BIG, &s), 0);
                        for (size_t i = 0; i < read; i++)
                                CU_ASSERT_EQUAL(codec_stream_read(s, frame, 5000, &len), 0);
                        s = codec_stream_close(s);
                        expect_decode(codec, span_of(packed.data, packed.len), span_of(data, BIG));
                }
        }
        /* This one made every other frame of the thread fail (see codec_lz4.c). */
        len = LZ4F_compressFrame(frame, sizeof frame, data, BIG, &p);
        CU_ASSERT_FATAL(!LZ4F_isError(len));
        CU_ASSERT_EQUAL(decode(CODEC_LZ4, span_of(frame, len - 100), BIG), CODEC_E_MALFORMED);
        p.frameInfo.contentSize = 0;
        len = LZ4F_compressFrame(frame, sizeof frame, data, BIG, &p);
        expect_decode(CODEC_LZ4, span_of(frame, len), span_of(data, BIG));
}

/* A frame that promises 10,598 bytes and ends without any. */
static void test_zstd_broken_promise(void)
{
        static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x66, 0x28, 0x01, 0, 0 };
        uint8_t buf[100];
        CLEANUP(codec_stream_closep) struct codec_stream *s = NULL;
        size_t len;

        CU_ASSERT_EQUAL(decode(CODEC_ZSTD, span_of(frame, sizeof frame), BIG), CODEC_E_MALFORMED);
        CU_ASSERT_EQUAL_FATAL(codec_stream_open(CODEC_ZSTD, span_of(frame, sizeof frame), BIG, &s), 0);
        CU_ASSERT_EQUAL(codec_stream_read(s, buf, sizeof buf, &len), CODEC_E_MALFORMED);
}

static void *thread_main(void *arg)
{
        for (int codec = 0; codec < CODEC_COUNT; codec++) {
                CLEANUP(strbuf_finip) struct strbuf packed = { 0 }, out = { 0 };

                if (codec_encode(codec, CODEC_LEVEL_DEFAULT, span_of(data, 1000), &packed) ||
                    codec_decode(codec, span_of(packed.data, packed.len), 1000, &out) || out.len != 1000)
                        return arg;
        }
        return NULL;
}

/* Contexts go with their thread; the leak checker of the sanitized build is the judge. */
static void test_threads(void)
{
        pthread_t t[4];
        void *failed = NULL;

        for (int i = 0; i < 4; i++)
                CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, thread_main, data), 0);
        for (int i = 0; i < 4; i++) {
                CU_ASSERT_EQUAL(pthread_join(t[i], &failed), 0);
                CU_ASSERT_PTR_NULL(failed);
        }
        codec_thread_trim();
        codec_thread_trim();
        CU_ASSERT_PTR_NULL(thread_main(data));
}

static const struct unit_case cases[] = {
        { "round trips, in one go and in pieces", test_round_trips },
        { "any level", test_levels },
        { "the level has an effect", test_level_matters },
        { "limits to the byte", test_limits },
        { "cut at every byte", test_cut },
        { "one flipped bit", test_flips },
        { "members and frames in a row", test_joined },
        { "raw snappy blocks", test_snappy_raw },
        { "snappy claims more than its bytes can hold", test_snappy_claims },
        { "every kind of lz4 frame", test_lz4_frames },
        { "what is written can be read by Java", test_written_for_java },
        { "zstd without content size, largest window", test_zstd_unknown_size },
        { "names", test_names },
        { "two streams side by side", test_side_by_side },
        { "a stream left in the middle", test_left_in_the_middle },
        { "zstd promises what does not come", test_zstd_broken_promise },
        { "contexts end with their thread", test_threads },
};
UNIT_MAIN("wire-codec", cases)
