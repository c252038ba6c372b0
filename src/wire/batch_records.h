/* The records inside a batch: reading them one by one, finding one by time, building batches, changing their codec.
 * For the log's time index and compaction, coordinators that replay their partition, recompression and chronik-ctl.
 * Checking what a client produced is batch.h's; here a batch is expected to be good and damage is an outcome.
 * Pure. One thread at a time per object. */
#pragma once

#include "wire/batch_feed.h"

struct batch_record {
        int64_t offset;
        int64_t timestamp; /* ms; -1: none. With LogAppendTime that of the batch */
        struct span key;   /* may be null */
        struct span value; /* may be null */
        /* Headers as they are encoded, without their count: batch_record_header_next(), batch_record_header_add(). */
        struct span headers;
        int32_t headers_count;
};

struct batch_record_header {
        struct span key;   /* UTF-8, never null */
        struct span value; /* may be null */
};

/* ---- reading ---- */

struct batch_records {
        struct batch_header header;
        struct batch_feed feed;
        int32_t left;       /* records not yet given */
        int32_t last_delta; /* offset delta of the last one given, -1 before the first */
};

/* Start reading the one batch that @batch is; it is borrowed until close. The CRC is not checked.
 * @inflated_len_max: most bytes of decompressed records, 0 for batch_inflated_len_max(). A record is held whole.
 * Return: 0; BATCH_E_TRUNCATED, BATCH_E_LENGTH, BATCH_E_MAGIC_OLD, BATCH_E_MAGIC, BATCH_E_CODEC, BATCH_E_INVALID,
 * -ENOMEM; nothing is to be closed then. */
int batch_records_open(struct batch_records *it, struct span batch, uint64_t inflated_len_max);

/* The next record. Its spans live until the next call or close; those of an uncompressed batch as long as the batch.
 * Return: 0; BATCH_END after the last one, everything being as it should; BATCH_E_INVALID, BATCH_E_TOO_LARGE, -ENOMEM,
 * after which only close is allowed (feed.why says what is wrong with an outcome). */
int batch_records_next(struct batch_records *it, struct batch_record *ret_record);

/* Harmless twice and after a failed open. */
void batch_records_close(struct batch_records *it);

/* Take the first header off @headers. False at the end. Headers of a record that was read are sound. */
bool batch_record_header_next(struct span *headers, struct batch_record_header *ret_header);

/* ---- finding ---- */

struct batch_found {
        int64_t offset;
        int64_t timestamp; /* ms */
};

/* The first record at or after @from_offset whose timestamp is >= @timestamp; keys and values are skipped, not held.
 * Return: 0; BATCH_END when there is none; otherwise as batch_records_open() and batch_records_next(). */
int batch_find_timestamp(struct span batch, int64_t timestamp, int64_t from_offset, struct batch_found *ret_found);

/* The first record that has the largest timestamp of those at or after @from_offset. Return: as batch_find_timestamp();
 * BATCH_END: there are none. */
int batch_find_max_timestamp(struct span batch, int64_t from_offset, struct batch_found *ret_found);

/* ---- building ---- */

struct batch_build_args {
        int codec;
        int level;
        int64_t base_offset;
        int32_t leader_epoch;
        int64_t producer_id;
        int16_t producer_epoch;
        int32_t base_sequence;
        bool transactional;
        bool control;
        bool log_append_time;
        int64_t append_time_ms;    /* for log_append_time */
        int64_t delete_horizon_ms; /* compaction: -1, or the time after which tombstones may go (KIP-534) */
        int32_t last_offset_delta; /* compaction keeps that of the original; -1: that of the last record */
};

/* To start from: no codec, no producer, offset 0, CreateTime. */
static inline struct batch_build_args batch_build_args(void)
{
        return (struct batch_build_args){
                .level = CODEC_LEVEL_DEFAULT,
                .leader_epoch = -1,
                .producer_id = BATCH_NO_PRODUCER,
                .producer_epoch = -1,
                .base_sequence = -1,
                .delete_horizon_ms = -1,
                .last_offset_delta = -1,
        };
}

struct batch_builder {
        struct batch_build_args args;
        struct strbuf buf; /* room for the header, then the records, not compressed */
        int64_t base_timestamp;
        int64_t max_timestamp;
        int32_t count;
        int32_t last_delta;
};

/* Start a batch. Takes no memory yet. @args: batch_build_args() with what is to be different; copied. */
void batch_builder_init(struct batch_builder *b, const struct batch_build_args *args);
void batch_builder_fini(struct batch_builder *b);

/* Append a record, which is copied. Its offset is absolute, at least base_offset and more than the one before.
 * Return: 0; BATCH_E_TOO_LARGE when the batch would pass 2 GiB (it stays as it was); -ENOMEM. */
int batch_builder_add(struct batch_builder *b, const struct batch_record *record);

/* Bytes that the batch has by now, before compression. */
size_t batch_builder_len(const struct batch_builder *b);

/* Append the whole batch to @out; the builder is empty again, with the same args, and keeps its memory.
 * Without records it is a header only, which last_offset_delta must give an extent to.
 * Return: 0; BATCH_E_TOO_LARGE; BATCH_E_CODEC; -ENOMEM. */
int batch_builder_finish(struct batch_builder *b, struct strbuf *out);

/* Append a header to a list of them for batch_record.headers; count them yourself. @key is not null.
 * Failure of memory latches in @list. */
void batch_record_header_add(struct strbuf *list, struct span key, struct span value);

/* Append to @out the batch that @batch is, its records compressed with another codec; all else stays, the CRC is new.
 * Return: 0; BATCH_E_CODEC, BATCH_E_INVALID (records that cannot be decompressed), BATCH_E_TOO_LARGE, and as
 * batch_parse_header(); -ENOMEM. */
int batch_recompress(struct span batch, int codec, int level, uint64_t inflated_len_max, struct strbuf *out);

/* ---- control records ---- */

enum batch_marker_type { BATCH_MARKER_ABORT = 0, BATCH_MARKER_COMMIT = 1 };

/* The end of a transaction in one partition (KIP-98, "Control Records"). */
struct batch_marker {
        int16_t type;              /* enum batch_marker_type; other numbers are control records of other kinds */
        int32_t coordinator_epoch; /* of a transaction's end only, else -1 */
};

/* What the record of a control batch says. Return: 0; BATCH_E_INVALID. */
int batch_marker_parse(const struct batch_record *record, struct batch_marker *ret_marker);

/* What a whole control batch says: its one record. The CRC is not checked.
 * Return: 0; BATCH_END when it has no record (compaction took it); BATCH_E_INVALID when it is none or cannot be read;
 * -ENOMEM. */
int batch_marker_of(struct span batch, struct batch_marker *ret_marker);

/* Append to @out a control batch of one marker. @args gives producer, epoch and offset; control and transactional are
 * set, codec and sequence are not used. Return: 0; -ENOMEM. */
int batch_marker_build(const struct batch_build_args *args, const struct batch_marker *marker, int64_t timestamp,
                       struct strbuf *out);
