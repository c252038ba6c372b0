/* The metadata log on disk: entries one after the other in checksummed, append-only segment files. It knows indexes and
 * terms, not what entries mean, and does not decide what is committed. Files: FORMAT.md.
 * Functions block: not for loops. One thread at a time. */
#pragma once

#include "base/macros.h"
#include "base/span.h"
#include "base/writer.h"

struct qlog;

enum qlog_type {
        QLOG_NOOP = 0,    /* a leader's first entry of its term; no payload */
        QLOG_RECORDS = 1, /* a payload of metadata records (src/meta/FORMAT.md) */
        QLOG_VOTERS = 2,  /* who the voters and learners are from here on (voters.h) */
};

struct qlog_entry {
        int64_t index;
        int32_t term;
        uint8_t type; /* enum qlog_type */
        struct span payload;
};

enum {
        QLOG_OK,
        QLOG_E_DAMAGED, /* bytes that were once synced are not what was written, or a file is missing */
        QLOG_E_FOREIGN, /* a file of something else, or of another format version */
};

#define QLOG_PAYLOAD_LEN_MAX (16u << 20) /* twice what meta/ makes */
#define QLOG_SEGMENT_LEN (4 << 20)       /* default: small, because the log is truncated segment by segment */

struct qlog_config {
        const char *dir;     /* made when missing; borrowed for the call */
        int64_t segment_len; /* a new segment starts when one has reached this; 0: the default */
        int64_t first_index; /* of a log that is made new; a log that is there must continue from before or from here */
        bool may_create;     /* false: a folder without segments is an error (something removed them) */
};

/* Open, check all that is there and hand each entry to @fn in order (payload borrowed for that call). A tail that was
 * never synced is cut off. A non-zero return of @fn ends the opening and is returned.
 * @why, @why_size: gets one line for the operator after an outcome or error.
 * Return: 0; an outcome above; negative errno. */
int qlog_open(const struct qlog_config *cfg, int (*fn)(void *arg, const struct qlog_entry *e), void *arg,
              struct qlog **ret_log, char *why, size_t why_size);
/* NULL is fine. Returns NULL. */
struct qlog *qlog_close(struct qlog *l);
DEFINE_FREEP(struct qlog, qlog_close)

int64_t qlog_first_index(const struct qlog *l); /* of the oldest entry still there (or that would be) */
int64_t qlog_last_index(const struct qlog *l);  /* qlog_first_index() - 1 when empty */
int32_t qlog_prev_term(const struct qlog *l);   /* of the entry before the first one */
int32_t qlog_last_term(const struct qlog *l);   /* 0 when nothing was ever written */
int64_t qlog_bytes(const struct qlog *l);       /* of all segments */

/* The disk is full: what is reserved is kept for what must be written even then (removals, registrations). Any thread. */
bool qlog_is_low(const struct qlog *l);
/* Reserve what is missing, if there is room. Blocks; never together with other functions that write. */
void qlog_reserve(struct qlog *l);

/* Bytes of one framed entry, and the frame itself. @group_first: index of the first entry of the write it belongs to. */
size_t qlog_entry_size(size_t payload_len);
void qlog_entry_write(const struct qlog_entry *e, int64_t group_first, struct writer *w);

/* Append entries that were framed one after the other, all of one group, and make them durable.
 * @first, @last: their indexes; @first follows qlog_last_index(). @last_term: of the last one.
 * Return: 0 or negative errno, after which the log must be closed: what is on disk is not known. */
struct qlog_group {
        int64_t first;
        int64_t last;
        int32_t last_term;
        struct span bytes;
};
int qlog_append(struct qlog *l, const struct qlog_group *g);

/* Remove segments of which every entry is at or below @index. The newest one always stays.
 * Return: number of segments removed, or negative errno. */
int qlog_drop_head(struct qlog *l, int64_t index);
/* The last entry that qlog_drop_head() may be told to remove so that only segments go whose entries are at or below @index,
 * and what stays has at least @keep bytes; 0: none. */
int64_t qlog_head_end(const struct qlog *l, int64_t index, int64_t keep);

/* Take off all entries behind @last_index, durably. It lies between qlog_first_index() - 1 and qlog_last_index().
 * @last_term: of that entry. A crash leaves the log as it was or cut.
 * Return: 0 or negative errno, after which the log must be closed. */
int qlog_truncate(struct qlog *l, int64_t last_index, int32_t last_term);
/* Begin anew behind entry @last_index of @last_term, which a snapshot holds: nothing that was there counts any more.
 * Return: as qlog_truncate(). */
int qlog_reset(struct qlog *l, int64_t last_index, int32_t last_term);

/* Hand entries @first to @last to @fn in order, as many as have @len_max bytes when framed, at least one. @first is in the
 * log. The payload is borrowed for the call. A non-zero return of @fn ends the reading and is returned.
 * Return: 0; negative errno; -EBADMSG when bytes on the disk are not what was written. */
struct qlog_read {
        int64_t first;
        int64_t last;
        size_t len_max;
};
int qlog_read(struct qlog *l, struct qlog_read *rd, int (*fn)(void *arg, const struct qlog_entry *e), void *arg);
