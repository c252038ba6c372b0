/* Kafka's record batch, version 2 ("magic 2", KIP-98): the unit that producers send, that lies on disk and that
 * consumers read. Here: layout, header, splitting, validation of what a client produced, and the few fields a broker
 * may change in place. Reading and building records is batch_records.h.
 * Versions 0 and 1 are recognised, to be refused by name; nothing here reads them.
 * Pure: bytes in, struct or outcome out; no I/O, no clock. Any thread; bytes are borrowed for the call.
 *
 *   at  0 base offset          8      at 21 attributes          2    covered by the CRC from here to the end
 *       8 length after this    4         23 last offset delta   4
 *      12 leader epoch         4         27 base timestamp      8
 *      16 magic (2)            1         35 max timestamp       8
 *      17 CRC-32C              4         43 producer id         8
 *                                        51 producer epoch      2
 *                                        53 base sequence       4
 *                                        57 records count       4
 *                                        61 records, compressed as a whole when the attributes name a codec */
#pragma once

#include "base/span.h"
#include "wire/codec.h"

enum {
        BATCH_BASE_OFFSET_AT = 0,
        BATCH_LENGTH_AT = 8,
        BATCH_PREFIX_LEN = 12, /* base offset and length: what the length field does not count */
        BATCH_LEADER_EPOCH_AT = 12,
        BATCH_MAGIC_AT = 16,
        BATCH_CRC_AT = 17,
        BATCH_ATTRIBUTES_AT = 21,
        BATCH_LAST_OFFSET_DELTA_AT = 23,
        BATCH_BASE_TIMESTAMP_AT = 27,
        BATCH_MAX_TIMESTAMP_AT = 35,
        BATCH_PRODUCER_ID_AT = 43,
        BATCH_PRODUCER_EPOCH_AT = 51,
        BATCH_BASE_SEQUENCE_AT = 53,
        BATCH_COUNT_AT = 57,
        BATCH_HEADER_LEN = 61,
};

enum {
        BATCH_CODEC_MASK = 0x07, /* enum codec */
        BATCH_LOG_APPEND_TIME = 0x08,
        BATCH_TRANSACTIONAL = 0x10,
        BATCH_CONTROL = 0x20,
        BATCH_DELETE_HORIZON = 0x40, /* the base timestamp is the delete horizon (KIP-534) */
};

#define BATCH_NO_TIMESTAMP (-1)
#define BATCH_NO_PRODUCER (-1)

/* Outcomes of this header and batch_records.h; each function names those it has. */
enum {
        BATCH_OK,
        BATCH_END,         /* iterators: nothing is left; searches: no such record */
        BATCH_E_TRUNCATED, /* fewer bytes than the batch says it has; at the end of fetched bytes this is usual */
        BATCH_E_LENGTH,    /* the length field is impossible. Kafka: CORRUPT_MESSAGE */
        BATCH_E_MAGIC_OLD, /* magic 0 or 1. Kafka, for Produce: INVALID_RECORD */
        BATCH_E_MAGIC,     /* no known magic. Kafka: CORRUPT_MESSAGE */
        BATCH_E_NOT_ONE,   /* not exactly one batch. Kafka: INVALID_RECORD */
        BATCH_E_TOO_LARGE, /* longer than the limit. Kafka: MESSAGE_TOO_LARGE */
        BATCH_E_CRC,       /* Kafka: CORRUPT_MESSAGE */
        BATCH_E_CODEC,     /* codec number without a codec. Kafka: UNSUPPORTED_COMPRESSION_TYPE */
        BATCH_E_INVALID,   /* the batch as a whole breaks a rule or cannot be read. Kafka: INVALID_RECORD */
        BATCH_E_RECORDS,   /* single records break a rule; they are listed. Kafka: INVALID_RECORD */
        BATCH_E_TIMESTAMP, /* as before, and at least one by its timestamp. Kafka: INVALID_TIMESTAMP */
};

struct batch_header {
        int64_t base_offset;
        int32_t length; /* bytes after the length field; the whole batch is batch_len() */
        int32_t leader_epoch;
        int8_t magic;
        uint32_t crc;
        uint16_t attributes;
        int32_t last_offset_delta;
        int64_t base_timestamp; /* ms; with BATCH_DELETE_HORIZON the horizon */
        int64_t max_timestamp;  /* ms; the time of every record with BATCH_LOG_APPEND_TIME */
        int64_t producer_id;    /* -1: none */
        int16_t producer_epoch;
        int32_t base_sequence; /* -1: none */
        int32_t records_count;
};

static inline size_t batch_len(const struct batch_header *h)
{
        return (size_t)h->length + BATCH_PREFIX_LEN;
}

static inline int64_t batch_last_offset(const struct batch_header *h)
{
        return (int64_t)((uint64_t)h->base_offset + (uint64_t)h->last_offset_delta);
}

/* A number that may have no codec behind it: see batch_check(). */
static inline int batch_codec(const struct batch_header *h)
{
        return h->attributes & BATCH_CODEC_MASK;
}

static inline bool batch_is_log_append_time(const struct batch_header *h)
{
        return h->attributes & BATCH_LOG_APPEND_TIME;
}

static inline bool batch_is_transactional(const struct batch_header *h)
{
        return h->attributes & BATCH_TRANSACTIONAL;
}

static inline bool batch_is_control(const struct batch_header *h)
{
        return h->attributes & BATCH_CONTROL;
}

static inline bool batch_has_delete_horizon(const struct batch_header *h)
{
        return h->attributes & BATCH_DELETE_HORIZON;
}

static inline bool batch_has_producer(const struct batch_header *h)
{
        return h->producer_id > BATCH_NO_PRODUCER;
}

/* Sequence @delta after @sequence; they run to 2^31-1 and go on at 0. Neither may be negative. */
static inline int32_t batch_sequence_add(int32_t sequence, int32_t delta)
{
        return (int32_t)(((uint32_t)sequence + (uint32_t)delta) & INT32_MAX);
}

/* Sequence of the last record; -1 without sequences. */
static inline int32_t batch_last_sequence(const struct batch_header *h)
{
        return h->base_sequence < 0 ? -1 : batch_sequence_add(h->base_sequence, h->last_offset_delta);
}

/* Read the header at the start of @in, which may hold less than the batch or more. The length is at least that of the
 * header, so batch_len() can be relied on; all else is as it was found.
 * Return: 0; BATCH_E_TRUNCATED (fewer than 61 bytes), BATCH_E_LENGTH, BATCH_E_MAGIC_OLD, BATCH_E_MAGIC. */
int batch_parse_header(struct span in, struct batch_header *ret_header);

/* Is @batch exactly one batch, undamaged? For recovery and for what a leader sends to a follower: no other rule.
 * Return: 0; as batch_parse_header(); BATCH_E_LENGTH when @batch is longer than the batch; BATCH_E_CRC. */
int batch_check_crc(struct span batch, struct batch_header *ret_header);

/* ---- bytes that hold several batches ---- */

struct batch_iter {
        struct span left; /* not yet given */
};

static inline struct batch_iter batch_iter_of(struct span in)
{
        return (struct batch_iter){ in };
}

/* The next whole batch. The CRC is not checked.
 * Return: 0; BATCH_END; otherwise nothing moves: BATCH_E_TRUNCATED, BATCH_E_LENGTH, BATCH_E_MAGIC_OLD, BATCH_E_MAGIC.
 */
int batch_iter_next(struct batch_iter *it, struct span *ret_batch, struct batch_header *ret_header);

/* The only batch of a Produce request's records field (KAFKA-5316: v3 and later carry exactly one per partition).
 * Return: 0; BATCH_E_NOT_ONE also when it is cut short; BATCH_E_LENGTH, BATCH_E_MAGIC_OLD, BATCH_E_MAGIC. */
int batch_single(struct span records, struct span *ret_batch, struct batch_header *ret_header);

/* ---- validation of what a client produced ---- */

struct batch_check_args {
        int64_t now_ms;
        /* Allowed distance of CreateTime from now (message.timestamp.before.max.ms and .after.max.ms); INT64_MAX: any.
         */
        int64_t timestamp_before_ms_max;
        int64_t timestamp_after_ms_max;
        bool log_append_time;      /* the topic's own time is used: those of the records do not matter */
        bool keys_required;        /* compacted topic */
        size_t len_max;            /* max.message.bytes, header included; 0: any */
        uint64_t inflated_len_max; /* most bytes of decompressed records; 0: batch_inflated_len_max() */
};

enum batch_record_fault {
        BATCH_RECORD_NULL_KEY,  /* in a compacted topic */
        BATCH_RECORD_TIMESTAMP, /* out of the allowed distance */
};

struct batch_record_error {
        int32_t index; /* of the record in the batch (KIP-467 batch_index) */
        enum batch_record_fault fault;
        int64_t timestamp;
};

enum {
        BATCH_ERRORS_MAX = 16, /* errors listed one by one; a batch may hold millions of records */
        BATCH_TEXT_SIZE = 160,
};

struct batch_check_result {
        struct batch_header header;  /* valid from BATCH_E_TOO_LARGE on (the order of the enum) and for 0 */
        int64_t max_timestamp;       /* for 0: largest of the records, -1 when none has one */
        int32_t max_timestamp_delta; /* for 0: offset delta of the first record that has it, -1 likewise */
        uint64_t inflated_len;       /* for 0: bytes of all records, decompressed */
        uint32_t errors_count;       /* for BATCH_E_RECORDS and BATCH_E_TIMESTAMP: how many records */
        struct batch_record_error errors[BATCH_ERRORS_MAX]; /* the first of them */
        char text[BATCH_TEXT_SIZE]; /* for every outcome but 0: what is wrong, as a sentence for the client's log */
};

/* A limit for decompressed records that no honest batch of @len bytes meets. */
uint64_t batch_inflated_len_max(size_t len);

/* Check a batch as it came from a producer, as a Kafka broker does and a little more strictly: length, size limit, CRC,
 * header (base offset 0, count and last offset delta, no control or delete-horizon bit, CreateTime, sequence when there
 * is a producer id) and every record (offset deltas 0..n-1, lengths, header counts, nothing left over).
 * Compressed records are decoded in a window of 64 KiB and not kept (a raw snappy block excepted, which is one piece).
 * The maximum timestamp of the header is not compared but reported: see batch_set_timestamps().
 * @ret is filled for every outcome as said there; not for negative errno.
 * Return: 0; BATCH_E_* but not BATCH_E_NOT_ONE; -ENOMEM. Source: KIP-98, KIP-467; Kafka's own answers, as tested. */
int batch_check(struct span batch, const struct batch_check_args *args, struct batch_check_result *ret);

/* The message for one listed error, as a sentence. Always ends in NUL. */
void batch_record_error_format(const struct batch_record_error *e, const struct batch_check_args *args, char *buf,
                               size_t size);

/* ---- what a broker writes into a batch ---- */

/* Give a batch its place. The CRC does not cover these fields. @batch: at least the header. */
void batch_set_base(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);

/* Set time type and maximum timestamp of a whole valid batch of @len bytes and renew the CRC, unless they are so
 * already. LogAppendTime: (true, now). CreateTime: (false, max_timestamp of batch_check()), which mends a wrong header
 * as Kafka does. */
void batch_set_timestamps(uint8_t *batch, size_t len, bool log_append_time, int64_t max_timestamp);
