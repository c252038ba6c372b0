/* What qlog.c and qlog_scan.c share. */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "quorum/qlog.h"

#define QLOG_MAGIC "CHRONQLG"
#define QLOG_FORMAT 1
#define QLOG_HEADER_LEN 32
#define QLOG_ENTRY_HEAD_LEN 32
#define QLOG_PATH_SIZE 4096

struct qlog_segment {
        struct ilist link;
        int64_t first_index;
        int64_t len;
};

struct qlog {
        char *dir;
        struct ilist segments; /* oldest first, never empty once open */
        int64_t segment_len;
        int64_t last_index;
        int32_t last_term;
        int fd; /* of the newest segment */
        int64_t reserve_step;
        int64_t reserved_end; /* in it: blocks up to here are ours, whatever others write to the disk */
        atomic_bool low;      /* no more could be reserved */
};

/* The first bytes of a segment that begins with entry @first_index, whose predecessor was of @prev_term. */
void qlog_header_write(struct writer *w, int64_t first_index, int32_t prev_term);
/* Where that segment lies. */
void qlog_segment_path(const struct qlog *l, int64_t first_index, char ret_path[QLOG_PATH_SIZE]);
/* Note a segment as the newest; no file is touched. NULL: out of memory. */
struct qlog_segment *qlog_segment_add(struct qlog *l, int64_t first_index);
/* Start the segment that the next entry goes into; its name and header are durable on 0. Else negative errno. */
int qlog_roll(struct qlog *l);

/* ---- pure reading of a segment's bytes ---- */

struct qlog_header {
        int64_t first_index;
        int32_t prev_term;
};

/* Return: 0; QLOG_E_FOREIGN (not ours); QLOG_E_DAMAGED (short, or the checksum is wrong). */
int qlog_header_read(struct span bytes, struct qlog_header *ret_header);

/* The entry that starts at @pos. Return: its framed length, 0 when there is no valid entry. */
size_t qlog_entry_read(struct span bytes, size_t pos, struct qlog_entry *ret_entry, int64_t *ret_group_first);

/* Where reading stopped. */
struct qlog_scan {
        int64_t next_index; /* in: of the first entry; out: after the last valid one */
        int32_t term;       /* in: of the entry before the first; out: of the last valid one */
        size_t pos;         /* out: end of the last valid entry */
        bool synced_after;  /* out: what follows @pos was synced once, so that its damage is no torn tail */
};

/* Read the entries of one segment (header included in @bytes). Return: 0, or what @fn returned. */
int qlog_scan_entries(struct span bytes, struct qlog_scan *scan, int (*fn)(void *arg, const struct qlog_entry *e),
                      void *arg);
