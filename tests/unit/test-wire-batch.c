/* Goal: header, splitting and patching of record batches. Method: batches made by hand, cut and changed at every place.
 */
#include <string.h>

#include "test-wire-batch.h"
#include "unit.h"

static void test_header(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h;

        make_plain(&b, 3);
        store_be64(b.data + BATCH_PRODUCER_ID_AT, 77);
        store_be16(b.data + BATCH_PRODUCER_EPOCH_AT, 5);
        store_be32(b.data + BATCH_BASE_SEQUENCE_AT, INT32_MAX - 1);
        store_be16(b.data + BATCH_ATTRIBUTES_AT, BATCH_TRANSACTIONAL | BATCH_CONTROL | CODEC_LZ4);
        make_crc(&b);
        CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&b), &h), 0);
        CU_ASSERT_EQUAL(h.base_offset, 0);
        CU_ASSERT_EQUAL(batch_len(&h), b.len);
        CU_ASSERT_EQUAL(h.leader_epoch, -1);
        CU_ASSERT_EQUAL(h.magic, 2);
        CU_ASSERT_EQUAL(h.last_offset_delta, 2);
        CU_ASSERT_EQUAL(h.base_timestamp, MAKE_NOW);
        CU_ASSERT_EQUAL(h.max_timestamp, MAKE_NOW);
        CU_ASSERT_EQUAL(h.producer_id, 77);
        CU_ASSERT_EQUAL(h.producer_epoch, 5);
        CU_ASSERT_EQUAL(h.records_count, 3);
        CU_ASSERT_EQUAL(batch_codec(&h), CODEC_LZ4);
        CU_ASSERT(batch_is_transactional(&h) && batch_is_control(&h));
        CU_ASSERT_FALSE(batch_is_log_append_time(&h) || batch_has_delete_horizon(&h));
        CU_ASSERT_EQUAL(batch_last_offset(&h), 2);
        CU_ASSERT_EQUAL(batch_last_sequence(&h), 0); /* 2^31-2, 2^31-1, 0 */
}

static void test_header_cut(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h;

        make_plain(&b, 1);
        for (size_t len = 0; len < BATCH_HEADER_LEN; len++)
                CU_ASSERT_EQUAL(batch_parse_header(span_of(b.data, len), &h), BATCH_E_TRUNCATED);
        for (size_t len = BATCH_HEADER_LEN; len < b.len; len++) {
                CU_ASSERT_EQUAL(batch_parse_header(span_of(b.data, len), &h), 0);
                CU_ASSERT_EQUAL(batch_check_crc(span_of(b.data, len), &h), BATCH_E_TRUNCATED);
        }
        strbuf_add(&b, "", 1);
        CU_ASSERT_EQUAL(batch_check_crc(made(&b), &h), BATCH_E_LENGTH);
}

static void test_header_refused(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        static const int32_t lengths[] = { INT32_MIN, -1, 0, 13, 14, 48 };
        struct batch_header h;

        make_plain(&b, 1);
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
                store_be32(b.data + BATCH_LENGTH_AT, (uint32_t)lengths[i]);
                CU_ASSERT_EQUAL(batch_parse_header(made(&b), &h), BATCH_E_LENGTH);
        }
        store_be32(b.data + BATCH_LENGTH_AT, 49);
        CU_ASSERT_EQUAL(batch_parse_header(made(&b), &h), 0);
        for (int magic = 0; magic < 256; magic++) {
                b.data[BATCH_MAGIC_AT] = (char)magic;
                CU_ASSERT_EQUAL(batch_parse_header(made(&b), &h), magic < 2    ? BATCH_E_MAGIC_OLD
                                                                  : magic == 2 ? 0
                                                                               : BATCH_E_MAGIC);
        }
}

static void test_crc_every_bit(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h;

        make_plain(&b, 2);
        for (size_t bit = BATCH_CRC_AT * 8; bit < b.len * 8; bit++) {
                b.data[bit / 8] ^= (char)(1 << bit % 8);
                CU_ASSERT_EQUAL(batch_check_crc(made(&b), &h), BATCH_E_CRC);
                b.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        CU_ASSERT_EQUAL(batch_check_crc(made(&b), &h), 0);
}

static void test_iter(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h;
        struct batch_iter it;
        struct span one;
        size_t lens[3];

        for (int i = 0; i < 3; i++) {
                size_t before = b.len;

                make_plain(&b, i + 1);
                lens[i] = b.len - before;
        }
        it = batch_iter_of(made(&b));
        for (int i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL_FATAL(batch_iter_next(&it, &one, &h), 0);
                CU_ASSERT_EQUAL(one.len, lens[i]);
                CU_ASSERT_EQUAL(h.records_count, i + 1);
        }
        CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), BATCH_END);
        for (size_t cut = 1; cut < lens[2]; cut++) {
                it = batch_iter_of(span_of(b.data, b.len - cut));
                CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), 0);
                CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), 0);
                CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), BATCH_E_TRUNCATED);
                CU_ASSERT_EQUAL(it.left.len, lens[2] - cut); /* stays where it was */
        }
        b.data[lens[0] + BATCH_MAGIC_AT] = 1;
        it = batch_iter_of(made(&b));
        CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), 0);
        CU_ASSERT_EQUAL(batch_iter_next(&it, &one, &h), BATCH_E_MAGIC_OLD);
}

static void test_single(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h;
        struct span one;

        CU_ASSERT_EQUAL(batch_single(SPAN_NULL, &one, &h), BATCH_E_NOT_ONE);
        make_plain(&b, 2);
        CU_ASSERT_EQUAL(batch_single(made(&b), &one, &h), 0);
        CU_ASSERT_EQUAL(one.len, b.len);
        CU_ASSERT_EQUAL(batch_single(span_of(b.data, b.len - 1), &one, &h), BATCH_E_NOT_ONE);
        strbuf_add(&b, "\0\0\0", 3);
        CU_ASSERT_EQUAL(batch_single(made(&b), &one, &h), BATCH_E_NOT_ONE);
        b.len -= 3;
        make_plain(&b, 2);
        CU_ASSERT_EQUAL(batch_single(made(&b), &one, &h), BATCH_E_NOT_ONE);
        b.data[BATCH_MAGIC_AT] = 0;
        CU_ASSERT_EQUAL(batch_single(made(&b), &one, &h), BATCH_E_MAGIC_OLD);
        b.data[BATCH_MAGIC_AT] = 3;
        CU_ASSERT_EQUAL(batch_single(made(&b), &one, &h), BATCH_E_MAGIC);
        store_be32(b.data + BATCH_LENGTH_AT, 0x80000000);
        CU_ASSERT_EQUAL(batch_single(made(&b), &one, &h), BATCH_E_LENGTH);
}

static void test_set_base(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h;

        make_plain(&b, 2);
        batch_set_base((uint8_t *)b.data, INT64_MAX - 5, 9);
        CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&b), &h), 0);
        CU_ASSERT_EQUAL(h.base_offset, INT64_MAX - 5);
        CU_ASSERT_EQUAL(h.leader_epoch, 9);
        CU_ASSERT_EQUAL(batch_last_offset(&h), INT64_MAX - 4);
}

static void test_set_timestamps(void)
{
        CLEANUP(strbuf_finip) struct strbuf b = { 0 };
        struct batch_header h, before;

        make_plain(&b, 2);
        store_be16(b.data + BATCH_ATTRIBUTES_AT, 0x8000 | BATCH_TRANSACTIONAL);
        make_crc(&b);
        CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&b), &before), 0);
        batch_set_timestamps((uint8_t *)b.data, b.len, false, MAKE_NOW); /* is so already */
        CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&b), &h), 0);
        CU_ASSERT_EQUAL(h.crc, before.crc);
        batch_set_timestamps((uint8_t *)b.data, b.len, true, MAKE_NOW + 1000);
        CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&b), &h), 0);
        CU_ASSERT(batch_is_log_append_time(&h));
        CU_ASSERT_EQUAL(h.attributes, 0x8000 | BATCH_TRANSACTIONAL | BATCH_LOG_APPEND_TIME);
        CU_ASSERT_EQUAL(h.max_timestamp, MAKE_NOW + 1000);
        CU_ASSERT_EQUAL(h.base_timestamp, MAKE_NOW);
        batch_set_timestamps((uint8_t *)b.data, b.len, false, MAKE_NOW);
        CU_ASSERT_EQUAL_FATAL(batch_check_crc(made(&b), &h), 0);
        CU_ASSERT_EQUAL(h.crc, before.crc);
}

static void test_sequences(void)
{
        struct batch_header h = { .base_sequence = -1, .last_offset_delta = 5 };

        CU_ASSERT_EQUAL(batch_last_sequence(&h), -1);
        CU_ASSERT_EQUAL(batch_sequence_add(INT32_MAX, 1), 0);
        CU_ASSERT_EQUAL(batch_sequence_add(INT32_MAX, INT32_MAX), INT32_MAX - 1);
        CU_ASSERT_EQUAL(batch_sequence_add(0, 7), 7);
}

static const struct unit_case cases[] = {
        { "header fields", test_header },
        { "header cut at every byte", test_header_cut },
        { "impossible lengths and other magics are refused", test_header_refused },
        { "one flipped bit anywhere is found", test_crc_every_bit },
        { "batches one after the other", test_iter },
        { "exactly one batch", test_single },
        { "base offset and epoch lie outside the CRC", test_set_base },
        { "timestamps are set with a new CRC", test_set_timestamps },
        { "sequences wrap to 0", test_sequences },
};
UNIT_MAIN("wire-batch", cases)
