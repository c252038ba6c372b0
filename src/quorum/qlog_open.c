/* Opening the metadata log: which segments count, what is a torn tail, what is damage. A bad entry is a torn tail when
 * nothing behind it shows that it had been synced (qlog_scan.c).
 *
 * Segments in order of edition, then index. One of a new edition cuts off all older entries from its first index on
 * (the names of those that it cuts off whole may still be there after a crash), or, where its header says so, replaces all. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "quorum/qlog_internal.h"
#include "sys/diag.h"
#include "sys/file.h"

#define SEGMENT_FILE_LEN_MAX ((int64_t)256 << 20) /* a segment ends soon after segment_len; more is not ours */

struct recovery {
        struct qlog *log;
        const struct qlog_config *cfg;
        int (*fn)(void *arg, const struct qlog_entry *e);
        void *arg;
        char *why;
        size_t why_size;
        struct qlog_segment *segment; /* being read */
        struct ilist cut;             /* segments that a later one has cut off or replaced */
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
        struct qlog_header h = { .first_index = 0 };
        struct qlog_segment *n;
        char again[64];
        long long first = 0;

        if (sscanf(name, "%20lld-%u", &first, &h.edition) < 1 || first < 1)
                first = 0;
        if (h.edition)
                snprintf(again, sizeof again, "%020lld-%u.qlog", first, h.edition);
        else
                snprintf(again, sizeof again, "%020lld.qlog", first);
        if (!first || strcmp(again, name))
                return refuse(rc, QLOG_E_FOREIGN, "%s/%s is no file of a metadata log; move it elsewhere", rc->log->dir,
                              name);
        h.first_index = first;
        n = qlog_segment_add(rc->log, &h);
        if (!n)
                return -ENOMEM;
        ilist_for_each (s, &rc->log->segments, struct qlog_segment, link) {
                if (s->edition > n->edition || (s->edition == n->edition && s->first_index > n->first_index)) {
                        ilist_unlink(&n->link);
                        ilist_insert_before(&s->link, &n->link);
                        break;
                }
        }
        return 0;
}

static bool is_newest(const struct recovery *rc, const struct qlog_segment *s)
{
        return s->link.next == &rc->log->segments;
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

static int note_entry(void *arg, const struct qlog_entry *e, size_t pos)
{
        struct recovery *rc = arg;

        qlog_segment_mark(rc->segment, e->index, (int64_t)pos);
        return rc->fn(rc->arg, e);
}

static int recover_segment(struct recovery *rc, struct qlog_segment *s, const char *path, struct span bytes)
{
        struct qlog *l = rc->log;
        const struct qlog_segment *next =
                is_newest(rc, s) ? NULL : ilist_entry(s->link.next, struct qlog_segment, link);
        struct qlog_scan scan;
        struct qlog_header h;
        int r = qlog_header_read(bytes, &h);

        if (r == QLOG_E_FOREIGN)
                return refuse(rc, r, "%s is no metadata log of format %d", path, QLOG_FORMAT);
        if (r || h.first_index != s->first_index || h.edition != s->edition)
                return refuse(rc, QLOG_E_DAMAGED, "%s has a damaged header; restore it from another controller", path);
        if (l->last_index < 0) { /* the oldest one */
                l->last_index = h.first_index - 1;
                l->last_term = h.prev_term;
        }
        if (h.first_index != l->last_index + 1 || h.prev_term != l->last_term)
                return refuse(rc, QLOG_E_DAMAGED, "%s does not continue index %lld term %d: a segment is missing", path,
                              (long long)l->last_index, l->last_term);
        scan = (struct qlog_scan){ .next_index = h.first_index,
                                   .term = h.prev_term,
                                   .end_index = next ? next->first_index : 0 };
        rc->segment = s;
        s->prev_term = h.prev_term;
        r = qlog_scan_entries(bytes, &scan, note_entry, rc);
        if (r)
                return r;
        l->last_index = scan.next_index - 1;
        l->last_term = scan.term;
        s->len = (int64_t)bytes.len;
        if (scan.pos == bytes.len || (next && scan.next_index == next->first_index && next->edition > s->edition))
                return 0;
        if (scan.synced_after || next)
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

static int read_header(const char *path, uint8_t bytes[QLOG_HEADER_LEN + 1], ssize_t *ret_len)
{
        int fd = file_open(path, O_RDONLY);

        if (fd < 0)
                return fd;
        *ret_len = file_pread(fd, bytes, QLOG_HEADER_LEN + 1, 0);
        file_close(fd);
        return *ret_len < 0 ? (int)*ret_len : 0;
}

/* The newest segment may have been left without a whole header by a crash while it was made: it holds nothing then, and
 * nothing was done yet that relies on it. */
static bool is_unborn(const struct recovery *rc, const struct qlog_segment *s, struct span bytes)
{
        const struct qlog_segment *before =
                s->link.prev == &rc->log->segments ? NULL : ilist_entry(s->link.prev, struct qlog_segment, link);
        struct qlog_header h;

        return is_newest(rc, s) && bytes.len <= QLOG_HEADER_LEN && qlog_header_read(bytes, &h) &&
               (before || s->first_index == rc->cfg->first_index);
}

/* Set aside what @s, which is the first of its edition, has cut off. */
static void cut_off(struct recovery *rc, struct qlog_segment *s, const struct qlog_header *h)
{
        ilist_for_each (old, &rc->log->segments, struct qlog_segment, link) {
                if (old == s)
                        break;
                if (h->resets || old->first_index >= s->first_index) {
                        ilist_unlink(&old->link);
                        ilist_push_back(&rc->cut, &old->link);
                }
        }
}

/* Find out which of the files count. */
static int choose(struct recovery *rc)
{
        uint8_t bytes[QLOG_HEADER_LEN + 1];
        char path[QLOG_PATH_SIZE];
        struct qlog_header h;
        uint32_t edition = 0;
        ssize_t len;
        int r;

        ilist_for_each (s, &rc->log->segments, struct qlog_segment, link) {
                qlog_segment_path(rc->log, s->first_index, s->edition, path);
                r = is_newest(rc, s) ? settle(rc, path) : 0; /* older ones were synced */
                if (!r)
                        r = read_header(path, bytes, &len);
                if (r)
                        return refuse(rc, r, "%s cannot be read: %s", path, strerror(-r));
                if (is_unborn(rc, s, span_of(bytes, (size_t)len))) {
                        qlog_segment_free(s);
                        r = file_unlink(path);
                        if (!r)
                                r = file_sync_dir(rc->log->dir); /* its name will be used again */
                        if (r)
                                return r;
                        continue;
                }
                if (s->edition > edition &&
                    !qlog_header_read(span_of(bytes, MIN2((size_t)len, (size_t)QLOG_HEADER_LEN)), &h))
                        cut_off(rc, s, &h);
                edition = s->edition;
        }
        return 0;
}

/* What was cut off must be gone before anything is appended, or it could come back when the segment that cut it off is
 * removed one day. */
static int remove_cut(struct recovery *rc)
{
        char path[QLOG_PATH_SIZE];
        int r;

        if (ilist_is_empty(&rc->cut))
                return 0;
        ilist_for_each (s, &rc->cut, struct qlog_segment, link) {
                qlog_segment_path(rc->log, s->first_index, s->edition, path);
                r = file_unlink(path);
                if (r)
                        return refuse(rc, r, "%s cannot be removed: %s", path, strerror(-r));
                qlog_segment_free(s);
        }
        return file_sync_dir(rc->log->dir);
}

static int recover(struct recovery *rc)
{
        char path[QLOG_PATH_SIZE];
        int r = choose(rc);

        if (r)
                return r;
        ilist_for_each (s, &rc->log->segments, struct qlog_segment, link) {
                CLEANUP(freep) char *data = NULL;
                size_t len;

                qlog_segment_path(rc->log, s->first_index, s->edition, path);
                r = file_read_whole(path, SEGMENT_FILE_LEN_MAX, &data, &len);
                if (r)
                        return refuse(rc, r, "%s cannot be read: %s", path, strerror(-r));
                r = recover_segment(rc, s, path, span_of(data, len));
                if (r)
                        return r;
        }
        return remove_cut(rc);
}

int qlog_open(const struct qlog_config *cfg, int (*fn)(void *arg, const struct qlog_entry *e), void *arg,
              struct qlog **ret_log, char *why, size_t why_size)
{
        CLEANUP(qlog_closep) struct qlog *l = calloc(1, sizeof *l);
        struct recovery rc = { .log = l, .cfg = cfg, .fn = fn, .arg = arg, .why = why, .why_size = why_size };
        char path[QLOG_PATH_SIZE];
        int r;

        if (!l)
                return -ENOMEM;
        why[0] = 0;
        ilist_init(&l->segments);
        ilist_init(&rc.cut);
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
        ilist_for_each (s, &rc.cut, struct qlog_segment, link) /* after a failure */
                qlog_segment_free(s);
        if (r)
                return r;
        if (ilist_is_empty(&l->segments)) {
                l->last_index = cfg->first_index - 1;
                r = file_sync_parents(cfg->dir); /* before anything that says that there is a log */
                if (!r)
                        r = qlog_create(l);
        } else {
                qlog_segment_path(l, qlog_active(l)->first_index, qlog_active(l)->edition, path);
                l->fd = file_open(path, O_RDWR);
                r = l->fd < 0 ? l->fd : 0;
        }
        if (r)
                return refuse(&rc, r, "%s cannot be written: %s", cfg->dir, strerror(-r));
        *ret_log = TAKE_PTR(l);
        return 0;
}
