/* See qlog.h; layout in FORMAT.md. What this file is: writing. Reading back is in qlog_scan.c.
 * Invariants:
 *  1. A write starts only after the one before it was synced. So bytes can be torn only within the last group, and an
 *     entry of a later group proves that everything before its group was durable once.
 *  2. A segment's header is durable, and so is its name, before an entry is written into it. */
#include "quorum/qlog_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "sys/diag.h"
#include "sys/file.h"

/* Enough for a topic of many partitions; less where the volume is small. */
enum { RESERVE_STEP_MAX = 4 << 20, RESERVE_STEP_MIN = 64 << 10, RESERVE_PART = 256 };

size_t qlog_entry_size(size_t payload_len)
{
        return QLOG_ENTRY_HEAD_LEN + (payload_len + 7) / 8 * 8;
}

void qlog_entry_write(const struct qlog_entry *e, int64_t group_first, struct writer *w)
{
        static const uint8_t zeros[8];
        size_t pad = qlog_entry_size(e->payload.len) - QLOG_ENTRY_HEAD_LEN - e->payload.len;
        uint8_t *crc = writer_take(w, 4), *body = w->at;

        assert(e->payload.len <= QLOG_PAYLOAD_LEN_MAX);
        assert(group_first <= e->index);
        writer_be32(w, (uint32_t)e->payload.len);
        writer_be64(w, (uint64_t)e->index);
        writer_be64(w, (uint64_t)group_first);
        writer_be32(w, (uint32_t)e->term);
        writer_u8(w, e->type);
        writer_bytes(w, zeros, 3);
        writer_bytes(w, e->payload.data, e->payload.len);
        writer_bytes(w, zeros, pad);
        store_be32(crc, crc32c(0, body, (size_t)(w->at - body)));
}

void qlog_header_write(struct writer *w, const struct qlog_header *h)
{
        uint8_t *start = w->at;

        writer_bytes(w, QLOG_MAGIC, 8);
        writer_be16(w, QLOG_FORMAT);
        writer_be16(w, h->resets);
        writer_be32(w, (uint32_t)h->prev_term);
        writer_be64(w, (uint64_t)h->first_index);
        writer_be32(w, h->edition);
        writer_be32(w, crc32c(0, start, (size_t)(w->at - start)));
}

/* A log that was never cut has names without a edition. */
void qlog_segment_path(const struct qlog *l, int64_t first_index, uint32_t edition, char ret_path[QLOG_PATH_SIZE])
{
        if (edition)
                snprintf(ret_path, QLOG_PATH_SIZE, "%s/%020lld-%u.qlog", l->dir, (long long)first_index, edition);
        else
                snprintf(ret_path, QLOG_PATH_SIZE, "%s/%020lld.qlog", l->dir, (long long)first_index);
}

struct qlog_segment *qlog_segment_add(struct qlog *l, const struct qlog_header *h)
{
        struct qlog_segment *s = malloc(sizeof *s);

        if (!s)
                return NULL;
        *s = (struct qlog_segment){
                .first_index = h->first_index, .edition = h->edition, .prev_term = h->prev_term, .len = QLOG_HEADER_LEN
        };
        ilist_push_back(&l->segments, &s->link);
        return s;
}

void qlog_segment_free(struct qlog_segment *s)
{
        ilist_unlink(&s->link);
        free(s->marks);
        free(s);
}

void qlog_segment_mark(struct qlog_segment *s, int64_t index, int64_t pos)
{
        if (s->marks_count && pos - s->marks[s->marks_count - 1].pos < QLOG_MARK_STEP)
                return;
        if (s->marks_count == s->marks_size) {
                size_t size = s->marks_size ? s->marks_size * 2 : 8;
                struct qlog_mark *marks = realloc(s->marks, size * sizeof *marks);

                if (!marks)
                        return;
                s->marks = marks;
                s->marks_size = size;
        }
        s->marks[s->marks_count++] = (struct qlog_mark){ index, pos };
}

int qlog_segment_begin(struct qlog *l, const struct qlog_header *h)
{
        uint8_t header[QLOG_HEADER_LEN];
        struct writer w = writer_of(header, sizeof header);
        char path[QLOG_PATH_SIZE];
        const struct qlog_segment *last = qlog_active(l);
        struct qlog_segment *s;
        int fd, r;

        qlog_segment_path(l, h->first_index, h->edition, path);
        fd = file_open(path, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0)
                return fd;
        qlog_header_write(&w, h);
        r = file_pwrite_all(fd, header, sizeof header, 0);
        if (!r)
                r = file_sync(fd);
        if (!r)
                r = file_sync_dir(l->dir);
        s = r ? NULL : qlog_segment_add(l, h);
        if (!s) {
                int undone = file_unlink(path); /* nothing is in it */

                file_close(fd);
                if (!undone)
                        undone = file_sync_dir(
                                l->dir); /* or a crash brings it back, in the middle of what is written next */
                return undone ? undone : r ? r : -ENOMEM;
        }
        if (last && l->reserved_end > last->len)
                (void)file_truncate(l->fd, last->len); /* what was reserved is given back; it costs room only */
        file_close(l->fd);
        l->fd = fd;
        l->reserved_end = 0;
        return 0;
}

/* Start the segment that the next entry goes into. */
static int roll(struct qlog *l)
{
        const struct qlog_segment *last = qlog_active(l);

        return qlog_segment_begin(l, &(struct qlog_header){ .first_index = l->last_index + 1,
                                                            .prev_term = l->last_term,
                                                            .edition = last ? last->edition : 0 });
}

static bool is_full(int error)
{
        return error == -ENOSPC || error == -EDQUOT;
}

/* Keep blocks ahead of the end, so that a disk that others have filled still takes what matters. A file system that cannot
 * reserve is used as it is. */
void qlog_reserve(struct qlog *l)
{
        const struct qlog_segment *s = qlog_active(l);
        int64_t end = MAX2(l->reserved_end, s->len), step;
        uint64_t unused = 0, total = 0;
        int r;

        if (l->reserved_end && end - s->len >= l->reserve_step / 4)
                return;
        if (!l->reserve_step) {
                (void)file_space(l->dir, &unused, &total); /* 0 when it cannot be told */
                step = (int64_t)(total / RESERVE_PART);
                l->reserve_step = MAX2(MIN2(step, (int64_t)RESERVE_STEP_MAX), (int64_t)RESERVE_STEP_MIN);
        }
        r = file_reserve(l->fd, end, l->reserve_step);
        if (!r)
                l->reserved_end = end + l->reserve_step;
        if (is_full(r) && !atomic_load(&l->low))
                diag_about(DIAG_ERROR, DIAG_ABOUT(METADATA_DISK_FULL, { "PATH", .text = str_of(l->dir) }),
                           "metadata: the disk of %s is full: no topics, partitions or configurations are made until "
                           "there "
                           "is "
                           "room again; free some, deleting topics still works",
                           l->dir);
        atomic_store(&l->low, is_full(r));
}

bool qlog_is_low(const struct qlog *l)
{
        return atomic_load(&l->low);
}

static void mark_entries(struct qlog_segment *s, const struct qlog_group *g)
{
        size_t pos = 0;

        for (int64_t i = g->first; i <= g->last; i++) {
                qlog_segment_mark(s, i, s->len + (int64_t)pos);
                pos += qlog_entry_size(load_be32(g->bytes.data + pos + 4));
        }
}

int qlog_append(struct qlog *l, const struct qlog_group *g)
{
        struct qlog_segment *s = qlog_active(l);
        int r;

        assert(g->first == l->last_index + 1);
        assert(g->last >= g->first);
        if (s->len >= l->segment_len) {
                r = roll(l);
                if (r && !is_full(r)) /* a longer segment does no harm */
                        return r;
                s = qlog_active(l);
        }
        r = file_pwrite_all(l->fd, g->bytes.data, g->bytes.len, s->len);
        if (!r)
                r = file_sync(l->fd);
        if (r)
                return r;
        mark_entries(s, g);
        s->len += (int64_t)g->bytes.len;
        l->last_index = g->last;
        l->last_term = g->last_term;
        return 0;
}

int qlog_drop_head(struct qlog *l, int64_t index)
{
        char path[QLOG_PATH_SIZE];
        int count = 0, r;

        ilist_for_each (s, &l->segments, struct qlog_segment, link) {
                if (s == qlog_active(l) || s_next->first_index > index + 1)
                        break;
                qlog_segment_path(l, s->first_index, s->edition, path);
                r = file_unlink(path);
                if (!r)
                        r = file_sync_dir(l->dir); /* one after the other: a crash must not leave a gap */
                if (r)
                        return r;
                qlog_segment_free(s);
                count++;
        }
        return count;
}

int64_t qlog_head_end(const struct qlog *l, int64_t index, int64_t keep)
{
        int64_t bytes = qlog_bytes(l), end = 0;

        ilist_for_each (s, &l->segments, struct qlog_segment, link) {
                bytes -= s->len;
                if (s == qlog_active(l) || s_next->first_index > index + 1 || bytes < keep)
                        break;
                end = s_next->first_index - 1;
        }
        return end;
}

int qlog_create(struct qlog *l)
{
        return roll(l);
}

struct qlog *qlog_close(struct qlog *l)
{
        if (!l)
                return NULL;
        ilist_for_each (s, &l->segments, struct qlog_segment, link)
                qlog_segment_free(s);
        file_close(l->fd);
        free(l->dir);
        free(l);
        return NULL;
}

int64_t qlog_first_index(const struct qlog *l)
{
        const struct qlog_segment *oldest = ilist_first(&l->segments, struct qlog_segment, link);

        assert(oldest);
        return oldest->first_index;
}

int64_t qlog_last_index(const struct qlog *l)
{
        return l->last_index;
}

int32_t qlog_prev_term(const struct qlog *l)
{
        const struct qlog_segment *oldest = ilist_first(&l->segments, struct qlog_segment, link);

        assert(oldest);
        return oldest->prev_term;
}

int32_t qlog_last_term(const struct qlog *l)
{
        return l->last_term;
}

int64_t qlog_bytes(const struct qlog *l)
{
        int64_t bytes = 0;

        ilist_for_each (s, &l->segments, struct qlog_segment, link)
                bytes += s->len;
        return bytes;
}
