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

/* Where an entry lies, noted every QLOG_MARK_STEP bytes so that reading from the middle does not begin at the start. */
struct qlog_mark {
        int64_t index;
        int64_t pos;
};
#define QLOG_MARK_STEP (64 << 10)

struct qlog_segment {
        struct ilist link;
        int64_t first_index;
        uint32_t edition;  /* more than that of the segments that it cuts off or replaces */
        int32_t prev_term; /* of the entry before the first one */
        int64_t len;
        struct qlog_mark *marks;
        size_t marks_count, marks_size;
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

/* The first bytes of a segment, as in the file. */
struct qlog_header {
        int64_t first_index;
        int32_t prev_term; /* of the entry before the first one */
        uint32_t edition;
        bool resets; /* nothing of an earlier edition counts, whatever its index */
};
void qlog_header_write(struct writer *w, const struct qlog_header *h);
/* Where that segment lies. */
void qlog_segment_path(const struct qlog *l, int64_t first_index, uint32_t edition, char ret_path[QLOG_PATH_SIZE]);
/* Note a segment as the newest; no file is touched. NULL: out of memory. */
struct qlog_segment *qlog_segment_add(struct qlog *l, const struct qlog_header *h);
/* Out of the list, and its memory. No file is touched. */
void qlog_segment_free(struct qlog_segment *s);
/* Note where entry @index begins, when it is far enough from the last one noted. Forgotten when memory is out. */
void qlog_segment_mark(struct qlog_segment *s, int64_t index, int64_t pos);
/* The segment that is written to. */
static inline struct qlog_segment *qlog_active(const struct qlog *l)
{
        return ilist_last(&l->segments, struct qlog_segment, link);
}
/* Make the file of a segment, which becomes the active one; its name and header are durable on 0. Else negative errno. */
int qlog_segment_begin(struct qlog *l, const struct qlog_header *h);

/* Make the first segment. */
int qlog_create(struct qlog *l);

/* ---- pure reading of a segment's bytes ---- */

/* Return: 0; QLOG_E_FOREIGN (not ours); QLOG_E_DAMAGED (short, or the checksum is wrong). */
int qlog_header_read(struct span bytes, struct qlog_header *ret_header);

/* The entry that starts at @pos. Return: its framed length, 0 when there is no valid entry. */
size_t qlog_entry_read(struct span bytes, size_t pos, struct qlog_entry *ret_entry, int64_t *ret_group_first);

/* Where reading stopped. */
struct qlog_scan {
        int64_t next_index; /* in: of the first entry; out: after the last valid one */
        int64_t end_index;  /* in: entries from here on were cut off and are not looked at; 0: none */
        int32_t term;       /* in: of the entry before the first; out: of the last valid one */
        size_t pos;         /* out: end of the last valid entry */
        bool synced_after;  /* out: what follows @pos was synced once, so that its damage is no torn tail */
};

/* Read the entries of one segment (header included in @bytes). @fn gets the place of each, too.
 * Return: 0, or what @fn returned. */
int qlog_scan_entries(struct span bytes, struct qlog_scan *scan,
                      int (*fn)(void *arg, const struct qlog_entry *e, size_t pos), void *arg);
