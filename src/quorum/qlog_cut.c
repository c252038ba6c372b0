/* Taking entries off the end of the metadata log, replacing it whole, and reading some of it back while it is in use.
 *
 * Bytes that were synced are never changed: a cut is a new segment of the next edition, whose first index says from
 * where on older entries do not count. Its name and header are one step, before which the old log is whole, and after which
 * the new one is; so a tail that was cut off and written anew cannot be mistaken for damage. */
#include <errno.h>

#include "quorum/qlog_internal.h"
#include "sys/file.h"

/* Begin a new edition behind @last_index; what it replaces is removed, newest first. */
static int begin_edition(struct qlog *l, int64_t last_index, int32_t last_term, bool resets)
{
        struct qlog_header h = { .first_index = last_index + 1,
                                 .prev_term = last_term,
                                 .edition = qlog_active(l)->edition + 1,
                                 .resets = resets };
        char path[QLOG_PATH_SIZE];
        int r = qlog_segment_begin(l, &h);
        bool removed = false;

        if (r)
                return r;
        l->last_index = last_index;
        l->last_term = last_term;
        ilist_for_each (s, &l->segments, struct qlog_segment, link) {
                if (s == qlog_active(l) || (!resets && s->first_index <= last_index))
                        continue;
                qlog_segment_path(l, s->first_index, s->edition, path);
                r = file_unlink(path);
                if (r)
                        return r;
                qlog_segment_free(s);
                removed = true;
        }
        return removed ? file_sync_dir(l->dir) : 0;
}

int qlog_truncate(struct qlog *l, int64_t last_index, int32_t last_term)
{
        assert(last_index >= qlog_first_index(l) - 1);
        assert(last_index < l->last_index);
        return begin_edition(l, last_index, last_term, false);
}

int qlog_reset(struct qlog *l, int64_t last_index, int32_t last_term)
{
        return begin_edition(l, last_index, last_term, true);
}

/* ---- reading ---- */

struct range {
        struct qlog_read *rd;
        size_t len;
        int (*fn)(void *arg, const struct qlog_entry *e);
        void *arg;
        int64_t next;
};

enum { ENOUGH = 1 };

/* Return: 0; ENOUGH; what the caller's function returned. */
static int give(struct range *g, const struct qlog_entry *e)
{
        size_t len = qlog_entry_size(e->payload.len);
        int r;

        if (e->index < g->rd->first)
                return 0;
        if (e->index > g->rd->last || (g->len && g->len + len > g->rd->len_max))
                return ENOUGH;
        r = g->fn(g->arg, e);
        if (r)
                return r;
        g->len += len;
        g->next = e->index + 1;
        return g->len >= g->rd->len_max ? ENOUGH : 0;
}

/* Entries of one segment from a mark on. @end_index: the first one that is not its. */
static int read_segment(struct qlog *l, const struct qlog_segment *s, int64_t end_index, struct range *g)
{
        char path[QLOG_PATH_SIZE];
        CLEANUP(freep) uint8_t *bytes = NULL;
        struct qlog_mark at = { s->first_index, QLOG_HEADER_LEN };
        int64_t group, want;
        size_t pos = 0;
        ssize_t len;
        int fd, r = 0;

        for (size_t i = 0; i < s->marks_count && s->marks[i].index <= g->next; i++)
                at = s->marks[i];
        /* What is asked for, and what may lie between the mark and it. An entry that is cut by the end is read by the next call. */
        want = MIN2(s->len - at.pos, (int64_t)(g->rd->len_max + 2 * (QLOG_PAYLOAD_LEN_MAX + QLOG_MARK_STEP)));
        qlog_segment_path(l, s->first_index, s->edition, path);
        bytes = malloc((size_t)want + 1);
        if (!bytes)
                return -ENOMEM;
        fd = file_open(path, O_RDONLY);
        if (fd < 0)
                return fd;
        len = file_pread(fd, bytes, (size_t)want, at.pos);
        file_close(fd);
        if (len < 0)
                return (int)len;
        while (!r && pos < (size_t)len && at.index < end_index) {
                struct qlog_entry e;
                size_t size = qlog_entry_read(span_of(bytes, (size_t)len), pos, &e, &group);

                if (!size || e.index != at.index)
                        return g->len ? ENOUGH : -EBADMSG;
                r = give(g, &e);
                pos += size;
                at.index++;
        }
        return r;
}

int qlog_read(struct qlog *l, struct qlog_read *rd, int (*fn)(void *arg, const struct qlog_entry *e), void *arg)
{
        struct range g = { .rd = rd, .fn = fn, .arg = arg, .next = rd->first };
        int r = 0;

        assert(rd->first >= qlog_first_index(l));
        ilist_for_each (s, &l->segments, struct qlog_segment, link) {
                int64_t end_index = s == qlog_active(l) ? l->last_index + 1 : s_next->first_index;

                if (end_index <= g.next)
                        continue;
                if (g.next > rd->last)
                        break;
                r = read_segment(l, s, end_index, &g);
                if (r)
                        break;
        }
        return r == ENOUGH ? 0 : r;
}
