/* Checking one segment file, batch by batch: header, base offsets, CRC, leader epochs, and the entries of its index.
 *
 * Pure but for reading: it knows no log and no lock, so that a running node (scrub.c) and a folder at rest
 * (check_folder.c) are checked by the same code. Blocks. */
#pragma once

#include "plog/damage.h"
#include "plog/epochs.h"
#include "plog/index.h"

/* As long as it is checked, everything here is the caller's and stays. */
struct check_args {
        int fd;
        bool direct;                       /* read past the page cache where that can be done */
        int64_t base_offset;               /* the file's name */
        int64_t size;                      /* so many bytes of it */
        int64_t end_offset;                /* what begins at or above is not looked at */
        bool whole;                        /* the last batch ends at end_offset and size, or something is lost */
        const struct epochs *epochs;       /* NULL: not compared */
        const struct index_entry *entries; /* of its index, rising; they are not believed */
        uint32_t entries_count;
        /* A damaged range was found; no two overlap, but they may touch and may come out of order by one batch. */
        void (*found)(void *arg, const struct plog_damaged_range *r);
        void *arg;
        int64_t now_ms; /* for found_ms */
};

struct check {
        struct check_args a;
        int direct_fd; /* -1: through the page cache */
        uint8_t *buf;
        int64_t buf_pos, blocks_until; /* up to there in small pieces: some of it cannot be read */
        size_t buf_len;
        int64_t pos, next_offset;
        int64_t before_pos, before_from, before_base; /* of the batch before; before_pos -1: none, or damaged */
        uint32_t entry;                               /* of the index, to be met next */

        /* What was found. */
        int64_t bytes, batches;
        int64_t max_timestamp, max_timestamp_offset, first_timestamp;
        bool damaged;   /* a range was told */
        bool index_bad; /* an entry points elsewhere or says something else */
};

/* Return: 0 or -ENOMEM. */
int check_init(struct check *c, const struct check_args *a);
void check_fini(struct check *c);
/* Go on until @left, less what was read, is used up. Return: 1 there is more; 0 the end; negative errno (a disk that
 * cannot read is damage, not an error). */
int check_step(struct check *c, int64_t *left);
