/* The bytes of every file that a log leaves on disk, as FORMAT.md tells them. Our own files are big-endian, carry a
 * magic number, a version and a CRC-32C, and can all be rebuilt from the segments except the start offset.
 * Structs here are images of the disk: their fields are big-endian and are touched only by the encoders. */
#pragma once

#include <stdint.h>

#include "base/macros.h"

enum {
        FORMAT_VERSION = 1,

        STORE_META_MAGIC = 0x4348524b,           /* "CHRK" */
        STORE_CLEAN_MAGIC = 0x434c4541,          /* "CLEA" */
        PARTITION_META_MAGIC = 0x43485250,       /* "CHRP" */
        INDEX_MAGIC = 0x4958,                    /* "IX" */
        INDEX_FOOTER_MAGIC = 0x4958454e,         /* "IXEN" */
        EPOCHS_MAGIC = 0x45504f43,               /* "EPOC" */
        SNAPSHOT_MAGIC = 0x50534e50,             /* "PSNP" */
        CHECKPOINT_MAGIC = 0x434b5054,           /* "CKPT" */
        SWAP_MAGIC = 0x53574150,                 /* "SWAP" */
        DAMAGE_MAGIC = 0x444d4745,               /* "DMGE" */
        ABORTED_MAGIC = 0x41425254,              /* "ABRT" */
        INDEX_FOOTER_ABORTED_MAGIC = 0x49584541, /* "IXEA": as "IXEN", and there is a .txn file */

        SNAPSHOT_VERSION = 2, /* 1: without transactions */
        SWAP_HAS_ABORTED = 1, /* the new segment has a .txn file */

        /* Two slots, written in turn, in different pages: a torn write leaves the other one. */
        CHECKPOINT_SLOT_STEP = 4096,
        CHECKPOINT_SLOTS = 2,

        PRODUCER_BATCHES = 5, /* Kafka's NUM_BATCHES_TO_RETAIN */
};

#define STORE_META_NAME "chronik.meta"
#define STORE_LOCK_NAME ".lock"
#define STORE_CLEAN_NAME "clean"
#define STORE_CLUSTER_NAME "cluster"
#define PARTITION_META_NAME "partition.meta"
#define EPOCHS_NAME "epochs"
#define CHECKPOINT_NAME "checkpoint"
#define SWAP_NAME "swap"
#define DAMAGE_NAME "damage"
#define SEGMENT_SUFFIX ".log"
#define INDEX_SUFFIX ".index"
#define SNAPSHOT_SUFFIX ".snapshot"
#define ABORTED_SUFFIX ".txn"
#define DELETED_SUFFIX ".deleted"    /* a file whose removal is due */
#define DELETED_DIR_SUFFIX "-delete" /* a log's folder whose removal is due */

struct disk_store_meta {
        uint32_t magic;
        uint32_t version;
        uint8_t dir_id[16];
        int64_t created_ms;
        uint8_t reserved[28];
        uint32_t crc; /* of all before */
};
static_assert(sizeof(struct disk_store_meta) == 64, "FORMAT.md");

struct disk_store_clean {
        uint32_t magic;
        int32_t reserved;
        int64_t note;
        uint32_t reserved2;
        uint32_t crc; /* of all before */
};
static_assert(sizeof(struct disk_store_clean) == 24, "FORMAT.md");

struct disk_partition_meta {
        uint32_t magic;
        uint32_t version;
        uint8_t topic_id[16];
        int32_t partition;
        uint8_t reserved[32];
        uint32_t crc;
};
static_assert(sizeof(struct disk_partition_meta) == 64, "FORMAT.md");

struct disk_index_header {
        uint16_t magic;
        uint8_t version;
        uint8_t entry_len;
        uint32_t reserved;
};
static_assert(sizeof(struct disk_index_header) == 8, "FORMAT.md");

struct disk_index_entry {
        uint32_t rel_offset;          /* base offset of the batch minus the segment's base */
        uint32_t pos;                 /* where that batch starts */
        int64_t max_timestamp_before; /* the largest of all batches that lie before pos */
};
static_assert(sizeof(struct disk_index_entry) == 16, "FORMAT.md");

/* Behind the entries of a sealed segment. Written after the segment's data was synced: its presence says so. */
struct disk_index_footer {
        uint32_t magic;
        uint32_t count;
        int64_t size; /* bytes of the segment that are covered: all of them */
        int64_t next_offset;
        int64_t max_timestamp;
        int64_t max_timestamp_offset; /* base offset of the first batch that has it */
        int64_t first_timestamp;
        uint32_t entries_crc;
        uint32_t crc; /* of the footer before */
};
static_assert(sizeof(struct disk_index_footer) == 56, "FORMAT.md");

struct disk_epochs_header {
        uint32_t magic;
        uint16_t version;
        uint16_t entry_len;
        uint32_t count;
        uint32_t crc; /* of the entries */
};
static_assert(sizeof(struct disk_epochs_header) == 16, "FORMAT.md");

struct disk_epoch {
        int32_t epoch;
        uint32_t reserved;
        int64_t start_offset;
};
static_assert(sizeof(struct disk_epoch) == 16, "FORMAT.md");

/* Version 1, which had no transactions. Read, not written any more. */
struct disk_snapshot_header_1 {
        uint32_t magic;
        uint16_t version;
        uint16_t entry_len;
        int64_t offset; /* state before this offset */
        uint32_t count;
        uint32_t reserved;
        uint32_t entries_crc;
        uint32_t crc; /* of the header before */
};
static_assert(sizeof(struct disk_snapshot_header_1) == 32, "FORMAT.md");

/* Behind it: producers, transactions that are finished, transactions that were aborted. */
struct disk_snapshot_header {
        uint32_t magic;
        uint16_t version;
        uint16_t entry_len;
        int64_t offset; /* state before this offset */
        uint32_t count;
        uint32_t finished_count;
        uint32_t aborted_count;
        uint32_t reserved;
        int64_t aborted_from; /* all aborted transactions that ended at or above it are here */
        uint32_t entries_crc; /* of all behind the header */
        uint32_t crc;         /* of the header before */
};
static_assert(sizeof(struct disk_snapshot_header) == 48, "FORMAT.md");

struct disk_finished {
        int64_t first_offset;
        int64_t last_offset;
};
static_assert(sizeof(struct disk_finished) == 16, "FORMAT.md");

struct disk_producer_batch {
        int32_t first_sequence;
        int32_t last_sequence;
        int64_t last_offset;
        int64_t timestamp;
};
static_assert(sizeof(struct disk_producer_batch) == 24, "FORMAT.md");

struct disk_producer {
        int64_t id;
        int64_t last_used_ms;
        int64_t txn_first_offset; /* of an open transaction; -1 none */
        int32_t coordinator_epoch;
        int16_t epoch;
        int16_t batch_count; /* 0..5, oldest first */
        struct disk_producer_batch batches[PRODUCER_BATCHES];
};
static_assert(sizeof(struct disk_producer) == 152, "FORMAT.md");

struct disk_checkpoint {
        uint32_t magic;
        uint32_t version;
        uint64_t sequence; /* the slot with the larger one is in force */
        int64_t start_offset;
        int64_t end_offset;   /* durable end: everything below is on stable storage */
        int64_t segment_base; /* where recovery starts to read; -1: no segment */
        int64_t segment_pos;
        int64_t max_timestamp; /* of that segment up to the position, and so on */
        int64_t max_timestamp_offset;
        int64_t first_timestamp;
        uint32_t index_count;
        uint32_t index_crc;
        int64_t snapshot_offset; /* producer state to start from; -1: none was needed */
        int64_t damaged_from;    /* offsets that are lost on this disk; equal: none */
        int64_t damaged_to;
        uint32_t segments_count; /* that hold something, and the crc of their names (8 bytes each) */
        uint32_t segments_crc;
        int64_t cleaned_end;       /* compaction has seen everything below */
        uint32_t aborted_segments; /* sealed segments before segment_base that have a .txn file */
        uint32_t crc;
};
static_assert(sizeof(struct disk_checkpoint) == 128, "FORMAT.md");

/* Which segments are being replaced: all from base_offset to end_offset by one of so many bytes. */
struct disk_swap {
        uint32_t magic;
        uint32_t version;
        int64_t base_offset;
        int64_t end_offset;
        int64_t size;
        uint32_t flags; /* SWAP_HAS_ABORTED */
        uint32_t crc;
};
static_assert(sizeof(struct disk_swap) == 40, "FORMAT.md");

/* When a log was checked last, and what of it is rotten. */
struct disk_damage_header {
        uint32_t magic;
        uint16_t version;
        uint16_t entry_len;
        uint32_t count;
        uint32_t reserved;
        int64_t checked_ms; /* 1970; 0 never */
        uint32_t entries_crc;
        uint32_t crc; /* of the header before */
};
static_assert(sizeof(struct disk_damage_header) == 32, "FORMAT.md");

struct disk_damaged_range {
        int64_t from_offset;
        int64_t to_offset;    /* the first one behind */
        int64_t segment_base; /* where its last bytes lie; -1 not known */
        int64_t pos;
        int64_t end_pos;
        int64_t found_ms;
        uint32_t why; /* enum plog_damage_why */
        uint32_t reserved;
};
static_assert(sizeof(struct disk_damaged_range) == 56, "FORMAT.md");

/* The aborted transactions that end in one sealed segment. */
struct disk_aborted_header {
        uint32_t magic;
        uint16_t version;
        uint16_t entry_len;
        int64_t base_offset; /* the segment's name */
        uint32_t count;
        uint32_t reserved;
        uint32_t entries_crc;
        uint32_t crc; /* of the header before */
};
static_assert(sizeof(struct disk_aborted_header) == 32, "FORMAT.md");

struct disk_aborted {
        int64_t producer_id;
        int64_t first_offset;
        int64_t last_offset;   /* of the marker */
        int64_t stable_offset; /* of the earliest transaction that was open behind the marker, or the offset after it */
};
static_assert(sizeof(struct disk_aborted) == 32, "FORMAT.md");
