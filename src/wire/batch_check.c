/* Validation of a produced batch, in the order a broker needs it: what is cheap and protects the rest comes first, and
 * nothing but the length is believed before the CRC was right. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "wire/batch_feed.h"

PRINTF_LIKE(3, 4)
static int refuse(struct batch_check_result *res, int outcome, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(res->text, sizeof res->text, fmt, ap);
        va_end(ap);
        return outcome;
}

static int check_frame(struct span batch, const struct batch_check_args *args, struct batch_check_result *res)
{
        const struct batch_header *h = &res->header;
        uint32_t crc;
        int r = batch_parse_header(batch, &res->header);

        switch (r) {
        case BATCH_OK:
                break;
        case BATCH_E_MAGIC_OLD:
        case BATCH_E_MAGIC:
                return refuse(res, r, "The batch has magic %u; only magic 2 is accepted.", batch.data[BATCH_MAGIC_AT]);
        default:
                return refuse(res, r, "The batch is shorter than its header or its length field is impossible.");
        }
        if (batch.len != batch_len(h))
                return refuse(res, batch.len < batch_len(h) ? BATCH_E_TRUNCATED : BATCH_E_LENGTH,
                              "The batch says it has %zu bytes and came with %zu.", batch_len(h), batch.len);
        if (args->len_max && batch.len > args->len_max)
                return refuse(res, BATCH_E_TOO_LARGE,
                              "The batch has %zu bytes, which is more than the %zu of max.message.bytes.", batch.len,
                              args->len_max);
        crc = crc32c(0, batch.data + BATCH_ATTRIBUTES_AT, batch.len - BATCH_ATTRIBUTES_AT);
        if (crc != h->crc)
                return refuse(res, BATCH_E_CRC,
                              "The batch is corrupt (CRC-32C is %08" PRIx32 ", it says %08" PRIx32 ").", crc, h->crc);
        return 0;
}

static int check_header(struct batch_check_result *res)
{
        const struct batch_header *h = &res->header;

        if (batch_codec(h) >= CODEC_COUNT)
                return refuse(res, BATCH_E_CODEC, "The batch is compressed with codec %d, which does not exist.",
                              batch_codec(h));
        if (h->base_offset != 0)
                return refuse(res, BATCH_E_INVALID,
                              "The base offset of a produced batch should be 0, it is %" PRId64 ".", h->base_offset);
        if (h->records_count <= 0)
                return refuse(res, BATCH_E_INVALID, "The batch says it has %" PRId32 " records.", h->records_count);
        if (h->records_count - 1 != h->last_offset_delta)
                return refuse(res, BATCH_E_INVALID,
                              "The batch says it has %" PRId32 " records, but its last offset delta is %" PRId32 ".",
                              h->records_count, h->last_offset_delta);
        if (batch_is_control(h))
                return refuse(res, BATCH_E_INVALID, "Clients are not allowed to write control records.");
        if (batch_has_delete_horizon(h))
                return refuse(res, BATCH_E_INVALID, "Clients are not allowed to set a delete horizon.");
        if (batch_has_producer(h) && h->base_sequence < 0)
                return refuse(res, BATCH_E_INVALID,
                              "The batch has producer id %" PRId64 " but the invalid sequence %" PRId32 ".",
                              h->producer_id, h->base_sequence);
        if (batch_is_log_append_time(h))
                return refuse(res, BATCH_E_TIMESTAMP, "Producers should not set the timestamp type to LogAppendTime.");
        return 0;
}

/* Kafka's rule, written so that no difference overflows. */
static bool time_is_near(const struct batch_check_args *args, int64_t timestamp)
{
        int64_t diff;

        if (__builtin_sub_overflow(args->now_ms, timestamp, &diff)) /* the clock is not negative: it is far before */
                return args->timestamp_before_ms_max == INT64_MAX;
        return diff <= args->timestamp_before_ms_max && (diff >= 0 || -diff <= args->timestamp_after_ms_max);
}

static void note_error(struct batch_check_result *res, int32_t index, enum batch_record_fault fault, int64_t timestamp)
{
        if (res->errors_count < BATCH_ERRORS_MAX)
                res->errors[res->errors_count] = (struct batch_record_error){ index, fault, timestamp };
        res->errors_count++;
}

static int check_records(struct batch_feed *f, const struct batch_check_args *args, struct batch_check_result *res)
{
        const struct batch_header *h = &res->header;
        int outcome = BATCH_OK;

        for (int32_t i = 0; i < h->records_count; i++) {
                struct batch_walk_record rec = { 0 };
                int64_t timestamp;
                int r = batch_walk_next(f, &rec);

                if (r > 0)
                        return refuse(res, r, "Record %" PRId32 " of %" PRId32 ": %s.", i, h->records_count, f->why);
                if (r)
                        return err_trace(r);
                if (rec.offset_delta != i)
                        return refuse(res, BATCH_E_INVALID, "Record %" PRId32 " has offset delta %" PRId32 ".", i,
                                      rec.offset_delta);
                if (__builtin_add_overflow(h->base_timestamp, rec.timestamp_delta, &timestamp))
                        return refuse(res, BATCH_E_INVALID, "Record %" PRId32 " has an impossible timestamp.", i);
                if (timestamp > res->max_timestamp) {
                        res->max_timestamp = timestamp;
                        res->max_timestamp_delta = i;
                }
                if (args->keys_required && rec.key_is_null) {
                        note_error(res, i, BATCH_RECORD_NULL_KEY, timestamp);
                        outcome = MAX2(outcome, (int)BATCH_E_RECORDS);
                } else if (!args->log_append_time && timestamp != BATCH_NO_TIMESTAMP &&
                           !time_is_near(args, timestamp)) {
                        note_error(res, i, BATCH_RECORD_TIMESTAMP, timestamp);
                        outcome = BATCH_E_TIMESTAMP;
                }
        }
        return outcome;
}

int batch_check(struct span batch, const struct batch_check_args *args, struct batch_check_result *ret)
{
        struct batch_check_result *res = ret; /* all of it is the answer, whatever the outcome */
        struct batch_feed f;
        int r, outcome;

        static_assert(BATCH_E_TIMESTAMP > BATCH_E_RECORDS, "a wrong time outweighs a missing key");
        res->max_timestamp = BATCH_NO_TIMESTAMP;
        res->max_timestamp_delta = -1;
        res->errors_count = 0;
        res->text[0] = '\0';
        r = check_frame(batch, args, res);
        if (!r)
                r = check_header(res);
        if (r)
                return r;
        r = batch_feed_open(&f, batch, &res->header, args->inflated_len_max);
        if (r)
                return r < 0 ? err_trace(r) : refuse(res, r, "The batch cannot be read: %s.", f.why);
        outcome = check_records(&f, args, res);
        if (outcome == BATCH_OK || outcome == BATCH_E_RECORDS || outcome == BATCH_E_TIMESTAMP) {
                r = batch_feed_end(&f);
                if (r > 0)
                        outcome = refuse(res, r, "The batch says it has %" PRId32 " records: %s.",
                                         res->header.records_count, f.why);
                else if (r)
                        outcome = r;
        }
        res->inflated_len = f.given;
        batch_feed_close(&f);
        if (outcome == BATCH_E_RECORDS)
                return refuse(res, outcome, "%" PRIu32 " records were rejected: a compacted topic needs a key in each.",
                              res->errors_count);
        if (outcome == BATCH_E_TIMESTAMP)
                return refuse(res, outcome, "%" PRIu32 " records were rejected, some because of their timestamps.",
                              res->errors_count);
        return outcome;
}

void batch_record_error_format(const struct batch_record_error *e, const struct batch_check_args *args, char *buf,
                               size_t size)
{
        int64_t low, high;

        if (e->fault == BATCH_RECORD_NULL_KEY) {
                snprintf(buf, size, "A compacted topic cannot accept a message without key.");
                return;
        }
        if (__builtin_sub_overflow(args->now_ms, args->timestamp_before_ms_max, &low))
                low = INT64_MIN;
        if (__builtin_add_overflow(args->now_ms, args->timestamp_after_ms_max, &high))
                high = INT64_MAX;
        snprintf(buf, size, "Timestamp %" PRId64 " is out of range; it should be within [%" PRId64 ", %" PRId64 "].",
                 e->timestamp, low, high);
}
