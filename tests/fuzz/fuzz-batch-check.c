/* A produced batch as a client may send it. The first byte says how it is checked; the CRC is mended, so that the
 * fuzzer gets behind it. What passes the check must be readable record by record and survive recompression, and the two
 * ways to walk over records must agree. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "wire/batch_records.h"

enum { INFLATED_LEN_MAX = 4 << 20 }; /* keeps one input quick */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read all; the outcome that ended it. */
static int read_all(struct span batch, int32_t *ret_count, int64_t *ret_max)
{
        struct batch_records it;
        struct batch_record rec;
        int r = batch_records_open(&it, batch, INFLATED_LEN_MAX);

        *ret_count = 0;
        *ret_max = BATCH_NO_TIMESTAMP;
        if (r)
                return r;
        while ((r = batch_records_next(&it, &rec)) == 0) {
                struct batch_record_header h;
                int32_t headers = 0;

                while (batch_record_header_next(&rec.headers, &h))
                        headers++;
                assert(headers == rec.headers_count);
                *ret_max = MAX2(*ret_max, rec.timestamp);
                ++*ret_count;
        }
        batch_records_close(&it);
        return r;
}

static void check_again(struct span batch, const struct batch_check_result *res)
{
        CLEANUP(strbuf_finip) struct strbuf other = { 0 };
        struct batch_found found;
        struct batch_header h;
        int32_t count;
        int64_t max;
        int r;

        r = read_all(batch, &count, &max);
        assert(r == BATCH_END && count == res->header.records_count && max == res->max_timestamp);
        r = batch_recompress(batch, (batch_codec(&res->header) + 1) % CODEC_COUNT, CODEC_LEVEL_DEFAULT, 0, &other);
        assert(r == 0);
        r = batch_check_crc(span_of(other.data, other.len), &h);
        assert(r == 0 && h.records_count == count);
        r = read_all(span_of(other.data, other.len), &count, &max);
        assert(r == BATCH_END && count == h.records_count && max == res->max_timestamp);
        r = batch_find_max_timestamp(batch, INT64_MIN, &found);
        assert(r == 0 && MAX2(found.timestamp, (int64_t)BATCH_NO_TIMESTAMP) == max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct batch_check_args args = {
                .now_ms = 1700000000000,
                .timestamp_before_ms_max = INT64_MAX,
                .timestamp_after_ms_max = INT64_MAX,
                .inflated_len_max = INFLATED_LEN_MAX,
        };
        struct batch_check_result res;
        int32_t count;
        int64_t max;
        uint8_t *batch;
        int r;

        if (size < 1)
                return 0;
        args.keys_required = data[0] & 1;
        args.log_append_time = data[0] & 2;
        if (data[0] & 4)
                args.timestamp_before_ms_max = args.timestamp_after_ms_max = 1000;
        size--;
        batch = malloc(size + !size);
        if (!batch)
                return 0;
        memcpy(batch, data + 1, size);
        if (size >= BATCH_HEADER_LEN && !(data[0] & 8)) {
                store_be32(batch + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_LEN));
                store_be32(batch + BATCH_CRC_AT, crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
        }
        r = batch_check(span_of(batch, size), &args, &res);
        if (r == 0)
                check_again(span_of(batch, size), &res);
        else if (r > 0)
                assert(res.text[0]);
        (void)read_all(span_of(batch, size), &count, &max); /* any outcome: what lies on a disk was not checked now */
        free(batch);
        return 0;
}
