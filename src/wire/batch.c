/* Header, splitting and patching of record batches. What the records hold is not looked at here. */
#include "wire/batch.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"

static_assert(BATCH_COUNT_AT + 4 == BATCH_HEADER_LEN, "the header ends with the records count");

enum {
        LENGTH_MIN = BATCH_HEADER_LEN - BATCH_PREFIX_LEN,
        OLD_LENGTH_MIN = 14, /* of magic 0: crc, magic, attributes, key length, value length */
        MAGIC_OLD_MAX = 1,
        MAGIC = 2,
        INFLATED_FACTOR = 100,     /* text and JSON reach 10 to 30 */
        INFLATED_FLOOR = 64 << 20, /* small batches of one repeated record may reach any factor */
};

/* What can be told from the first 17 bytes, whatever the version. */
static int prefix_check(struct span in)
{
        int32_t length;
        uint8_t magic;

        if (in.len < BATCH_PREFIX_LEN)
                return BATCH_E_TRUNCATED;
        length = (int32_t)load_be32(in.data + BATCH_LENGTH_AT);
        if (length < OLD_LENGTH_MIN)
                return BATCH_E_LENGTH;
        if (in.len <= BATCH_MAGIC_AT)
                return BATCH_E_TRUNCATED;
        magic = in.data[BATCH_MAGIC_AT];
        if (magic <= MAGIC_OLD_MAX)
                return BATCH_E_MAGIC_OLD;
        if (magic != MAGIC)
                return BATCH_E_MAGIC;
        if (length < LENGTH_MIN)
                return BATCH_E_LENGTH;
        return in.len < BATCH_HEADER_LEN ? BATCH_E_TRUNCATED : 0;
}

int batch_parse_header(struct span in, struct batch_header *ret_header)
{
        struct cursor c = cursor_of(in);
        int r = prefix_check(in);

        if (r)
                return r;
        ret_header->base_offset = cursor_be64s(&c);
        ret_header->length = cursor_be32s(&c);
        ret_header->leader_epoch = cursor_be32s(&c);
        ret_header->magic = cursor_s8(&c);
        ret_header->crc = cursor_be32(&c);
        ret_header->attributes = cursor_be16(&c);
        ret_header->last_offset_delta = cursor_be32s(&c);
        ret_header->base_timestamp = cursor_be64s(&c);
        ret_header->max_timestamp = cursor_be64s(&c);
        ret_header->producer_id = cursor_be64s(&c);
        ret_header->producer_epoch = cursor_be16s(&c);
        ret_header->base_sequence = cursor_be32s(&c);
        ret_header->records_count = cursor_be32s(&c);
        assert(cursor_ok(&c));
        return 0;
}

int batch_check_crc(struct span batch, struct batch_header *ret_header)
{
        struct batch_header h;
        int r = batch_parse_header(batch, &h);

        if (r)
                return r;
        if (batch.len < batch_len(&h))
                return BATCH_E_TRUNCATED;
        if (batch.len > batch_len(&h))
                return BATCH_E_LENGTH;
        if (crc32c(0, batch.data + BATCH_ATTRIBUTES_AT, batch.len - BATCH_ATTRIBUTES_AT) != h.crc)
                return BATCH_E_CRC;
        *ret_header = h;
        return 0;
}

int batch_iter_next(struct batch_iter *it, struct span *ret_batch, struct batch_header *ret_header)
{
        struct batch_header h;
        size_t len;
        int r;

        if (it->left.len == 0)
                return BATCH_END;
        r = batch_parse_header(it->left, &h);
        if (r)
                return r;
        len = batch_len(&h);
        if (it->left.len < len)
                return BATCH_E_TRUNCATED;
        *ret_batch = span_of(it->left.data, len);
        *ret_header = h;
        it->left.data += len;
        it->left.len -= len;
        return 0;
}

int batch_single(struct span records, struct span *ret_batch, struct batch_header *ret_header)
{
        struct batch_iter it = batch_iter_of(records);
        struct batch_header h;
        struct span batch;
        int r = batch_iter_next(&it, &batch, &h);

        if (r == BATCH_END || r == BATCH_E_TRUNCATED)
                return BATCH_E_NOT_ONE;
        if (r)
                return r;
        if (it.left.len)
                return BATCH_E_NOT_ONE;
        *ret_batch = batch;
        *ret_header = h;
        return 0;
}

uint64_t batch_inflated_len_max(size_t len)
{
        return MAX2((uint64_t)len * INFLATED_FACTOR, (uint64_t)INFLATED_FLOOR);
}

void batch_set_base(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
        store_be64(batch + BATCH_BASE_OFFSET_AT, (uint64_t)base_offset);
        store_be32(batch + BATCH_LEADER_EPOCH_AT, (uint32_t)leader_epoch);
}

void batch_set_timestamps(uint8_t *batch, size_t len, bool log_append_time, int64_t max_timestamp)
{
        uint16_t attributes, old;

        assert(len >= BATCH_HEADER_LEN);
        old = load_be16(batch + BATCH_ATTRIBUTES_AT);
        attributes = (uint16_t)((old & ~BATCH_LOG_APPEND_TIME) | (log_append_time ? BATCH_LOG_APPEND_TIME : 0));
        if (attributes == old && (int64_t)load_be64(batch + BATCH_MAX_TIMESTAMP_AT) == max_timestamp)
                return;
        store_be16(batch + BATCH_ATTRIBUTES_AT, attributes);
        store_be64(batch + BATCH_MAX_TIMESTAMP_AT, (uint64_t)max_timestamp);
        store_be32(batch + BATCH_CRC_AT, crc32c(0, batch + BATCH_ATTRIBUTES_AT, len - BATCH_ATTRIBUTES_AT));
}
