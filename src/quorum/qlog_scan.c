/* Reading the metadata log back (see qlog.h): the pure part, which a fuzz target shares, and recovery of the folder.
 * A bad entry is a torn tail, and cut off, when nothing behind it shows that it had been synced; else it is damage, and
 * refused, because silently losing a committed entry would lose what clients were told. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "quorum/qlog_internal.h"
#include "sys/diag.h"
#include "sys/file.h"

#define SEGMENT_FILE_LEN_MAX ((int64_t)256 << 20) /* a segment ends soon after segment_len; more is not ours */

int qlog_header_read(struct span bytes, struct qlog_header *ret_header)
{
        struct cursor c = cursor_of(bytes);
        const uint8_t *magic = cursor_take(&c, 8);
        struct qlog_header h;
        uint16_t format;

        if (!magic)
                return QLOG_E_DAMAGED;
        if (memcmp(magic, QLOG_MAGIC, 8))
                return QLOG_E_FOREIGN;
        format = cursor_be16(&c);
        cursor_be16(&c);
        h.prev_term = cursor_be32s(&c);
        h.first_index = cursor_be64s(&c);
        cursor_be32(&c);
        if (cursor_be32(&c) != crc32c(0, bytes.data, MIN2(bytes.len, (size_t)QLOG_HEADER_LEN - 4)) || !cursor_ok(&c) ||
            h.first_index < 1)
                return QLOG_E_DAMAGED;
        if (format != QLOG_FORMAT)
                return QLOG_E_FOREIGN;
        *ret_header = h;
        return 0;
}

size_t qlog_entry_read(struct span bytes, size_t pos, struct qlog_entry *ret_entry, int64_t *ret_group_first)
{
        struct cursor c = cursor_of(span_of(bytes.data + pos, bytes.len - pos));
        uint32_t crc = cursor_be32(&c), len = cursor_be32(&c);
        struct qlog_entry e = { .index = cursor_be64s(&c) };
        size_t size;

        *ret_group_first = cursor_be64s(&c);
        e.term = cursor_be32s(&c);
        e.type = cursor_u8(&c);
        cursor_take(&c, 3);
        if (!cursor_ok(&c) || len > QLOG_PAYLOAD_LEN_MAX)
                return 0;
        size = qlog_entry_size(len);
        if (size > bytes.len - pos || crc32c(0, bytes.data + pos + 4, size - 4) != crc)
                return 0;
        e.payload = span_of(bytes.data + pos + QLOG_ENTRY_HEAD_LEN, len);
        *ret_entry = e;
        return size;
}

/* Does any entry behind @pos belong to a group that was written later than entry @index? Then @index had been synced.
 * Entries are 8-byte aligned; the cheap test of the numbers comes before the checksum. */
static bool synced_after(struct span bytes, size_t pos, int64_t index)
{
        for (pos += 8 - pos % 8; pos + QLOG_ENTRY_HEAD_LEN <= bytes.len; pos += 8) {
                int64_t at_index = (int64_t)load_be64(bytes.data + pos + 8);
                int64_t at_group = (int64_t)load_be64(bytes.data + pos + 16), group;
                struct qlog_entry e;

                if (at_group > index && at_index >= at_group && at_index - index < (int64_t)bytes.len &&
                    qlog_entry_read(bytes, pos, &e, &group))
                        return true;
        }
        return false;
}

int qlog_scan_entries(struct span bytes, struct qlog_scan *scan, int (*fn)(void *arg, const struct qlog_entry *e),
                      void *arg)
{
        struct qlog_entry e;
        int64_t group;
        size_t size;
        int r;

        scan->pos = MIN2((size_t)QLOG_HEADER_LEN, bytes.len);
        scan->synced_after = false;
        while (scan->pos < bytes.len) {
                size = qlog_entry_read(bytes, scan->pos, &e, &group);
                if (!size || e.index != scan->next_index || e.term < scan->term || group > e.index || group < 1) {
                        /* A valid entry in a wrong place was never a torn one. */
                        scan->synced_after = size || synced_after(bytes, scan->pos, scan->next_index);
                        return 0;
                }
                r = fn(arg, &e);
                if (r)
                        return r;
                scan->pos += size;
                scan->next_index++;
                scan->term = e.term;
        }
        return 0;
}

/* ---- the folder ---- */

struct recovery {
        struct qlog *log;
        const struct qlog_config *cfg;
        int (*fn)(void *arg, const struct qlog_entry *e);
        void *arg;
        char *why;
        size_t why_size;
};

PRINTF_LIKE(3, 4)
static int refuse(struct recovery *rc, int outcome, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(rc->why, rc->why_size, fmt, ap);
        va_end(ap);
        return outcome;
}

/* Segments are kept in order; a folder lists them in any. */
static int note_file(void *arg, const char *name)
{
        struct recovery *rc = arg;
        long long first;
        char rest[8];

        if (sscanf(name, "%20lld%7s", &first, rest) != 2 || strcmp(rest, ".qlog") || strlen(name) != 25 || first < 1)
                return refuse(rc, QLOG_E_FOREIGN, "%s/%s is no file of a metadata log; move it elsewhere", rc->log->dir,
                              name);
        ilist_for_each (s, &rc->log->segments, struct qlog_segment, link) {
                if (s->first_index > first) {
                        struct qlog_segment *n = malloc(sizeof *n);

                        if (!n)
                                return -ENOMEM;
                        *n = (struct qlog_segment){ .first_index = first };
                        ilist_insert_before(&s->link, &n->link);
                        return 0;
                }
        }
        return qlog_segment_add(rc->log, first) ? 0 : -ENOMEM;
}

/* The newest segment may have been left without a whole header by a crash while it was made: it holds nothing then. */
static bool is_unborn(const struct qlog *l, const struct qlog_segment *s, struct span bytes)
{
        struct qlog_header h;

        return s->link.next == &l->segments && bytes.len <= QLOG_HEADER_LEN && qlog_header_read(bytes, &h);
}

static int cut_tail(struct recovery *rc, struct qlog_segment *s, const char *path, size_t pos, size_t len)
{
        int fd = file_open(path, O_RDWR), r;

        if (fd < 0)
                return fd;
        r = file_truncate(fd, (int64_t)pos);
        if (!r)
                r = file_sync(fd);
        file_close(fd);
        if (r)
                return r;
        s->len = (int64_t)pos;
        diag(DIAG_NOTICE, "metadata log: %s: %zu bytes that were never acknowledged cut off behind index %lld", path,
             len - pos, (long long)rc->log->last_index);
        return 0;
}

static int recover_segment(struct recovery *rc, struct qlog_segment *s, const char *path, struct span bytes)
{
        struct qlog *l = rc->log;
        struct qlog_scan scan;
        struct qlog_header h;
        int r = qlog_header_read(bytes, &h);

        if (r == QLOG_E_FOREIGN)
                return refuse(rc, r, "%s is no metadata log of format %d", path, QLOG_FORMAT);
        if (r || h.first_index != s->first_index)
                return refuse(rc, QLOG_E_DAMAGED, "%s has a damaged header; restore it from another controller", path);
        if (l->last_index < 0) { /* the oldest one */
                l->last_index = h.first_index - 1;
                l->last_term = h.prev_term;
        }
        if (h.first_index != l->last_index + 1 || h.prev_term != l->last_term)
                return refuse(rc, QLOG_E_DAMAGED, "%s does not continue index %lld term %d: a segment is missing", path,
                              (long long)l->last_index, l->last_term);
        scan = (struct qlog_scan){ .next_index = h.first_index, .term = h.prev_term };
        r = qlog_scan_entries(bytes, &scan, rc->fn, rc->arg);
        if (r)
                return r;
        l->last_index = scan.next_index - 1;
        l->last_term = scan.term;
        s->len = (int64_t)bytes.len;
        if (scan.pos == bytes.len)
                return 0;
        if (scan.synced_after || s->link.next != &l->segments)
                return refuse(rc, QLOG_E_DAMAGED,
                              "%s is damaged at byte %zu (index %lld), before entries that were synced; "
                              "restore it from another controller",
                              path, scan.pos, (long long)scan.next_index);
        return cut_tail(rc, s, path, scan.pos, bytes.len);
}

/* What is read is acted upon, so it must be on the disk and not in the page cache only: a process that ended early left it
 * there, or a sync that failed. */
static int settle(struct recovery *rc, const char *path)
{
        int fd = file_open(path, O_RDWR), r;

        if (fd < 0)
                return fd;
        r = file_forget(fd, 0);
        file_close(fd);
        return r ? r : file_sync_dir(rc->log->dir);
}

static int recover(struct recovery *rc)
{
        char path[QLOG_PATH_SIZE];
        int r;

        ilist_for_each (s, &rc->log->segments, struct qlog_segment, link) {
                CLEANUP(freep) char *data = NULL;
                size_t len;

                qlog_segment_path(rc->log, s->first_index, path);
                r = s->link.next == &rc->log->segments ? settle(rc, path) : 0; /* older ones were synced */
                if (!r)
                        r = file_read_whole(path, SEGMENT_FILE_LEN_MAX, &data, &len);
                if (r)
                        return refuse(rc, r, "%s cannot be read: %s", path, strerror(-r));
                if (is_unborn(rc->log, s, span_of(data, len)) &&
                    (rc->log->last_index < 0 ? s->first_index == rc->cfg->first_index
                                             : s->first_index == rc->log->last_index + 1)) {
                        ilist_unlink(&s->link);
                        free(s);
                        r = file_unlink(path);
                } else {
                        r = recover_segment(rc, s, path, span_of(data, len));
                }
                if (r)
                        return r;
        }
        return 0;
}

int qlog_open(const struct qlog_config *cfg, int (*fn)(void *arg, const struct qlog_entry *e), void *arg,
              struct qlog **ret_log, char *why, size_t why_size)
{
        CLEANUP(qlog_closep) struct qlog *l = calloc(1, sizeof *l);
        struct recovery rc = { l, cfg, fn, arg, why, why_size };
        char path[QLOG_PATH_SIZE];
        int r;

        if (!l)
                return -ENOMEM;
        why[0] = 0;
        ilist_init(&l->segments);
        l->fd = -1;
        l->last_index = -1;
        l->segment_len = cfg->segment_len ? cfg->segment_len : QLOG_SEGMENT_LEN;
        l->dir = strdup(cfg->dir);
        r = l->dir ? file_mkdirs(cfg->dir) : -ENOMEM;
        if (r)
                return refuse(&rc, r, "%s cannot be made: %s", cfg->dir, strerror(-r));
        r = file_list(cfg->dir, note_file, &rc);
        if (!r && ilist_is_empty(&l->segments) && !cfg->may_create)
                return refuse(&rc, QLOG_E_DAMAGED,
                              "%s holds no metadata log although this node had one; restore it from "
                              "another controller",
                              cfg->dir);
        if (!r)
                r = recover(&rc);
        if (r)
                return r;
        if (ilist_is_empty(&l->segments)) {
                l->last_index = cfg->first_index - 1;
                r = file_sync_parents(cfg->dir); /* before anything that says that there is a log */
                if (!r)
                        r = qlog_roll(l);
        } else {
                qlog_segment_path(l, ilist_last(&l->segments, struct qlog_segment, link)->first_index, path);
                l->fd = file_open(path, O_RDWR);
                r = l->fd < 0 ? l->fd : 0;
        }
        if (r)
                return refuse(&rc, r, "%s cannot be written: %s", cfg->dir, strerror(-r));
        *ret_log = TAKE_PTR(l);
        return 0;
}
