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

void qlog_header_write(struct writer *w, int64_t first_index, int32_t prev_term)
{
        uint8_t *start = w->at;

        writer_bytes(w, QLOG_MAGIC, 8);
        writer_be16(w, QLOG_FORMAT);
        writer_be16(w, 0);
        writer_be32(w, (uint32_t)prev_term);
        writer_be64(w, (uint64_t)first_index);
        writer_be32(w, 0);
        writer_be32(w, crc32c(0, start, (size_t)(w->at - start)));
}

void qlog_segment_path(const struct qlog *l, int64_t first_index, char ret_path[QLOG_PATH_SIZE])
{
        snprintf(ret_path, QLOG_PATH_SIZE, "%s/%020lld.qlog", l->dir, (long long)first_index);
}

struct qlog_segment *qlog_segment_add(struct qlog *l, int64_t first_index)
{
        struct qlog_segment *s = malloc(sizeof *s);

        if (!s)
                return NULL;
        *s = (struct qlog_segment){ .first_index = first_index };
        ilist_push_back(&l->segments, &s->link);
        return s;
}

static struct qlog_segment *active(const struct qlog *l)
{
        return ilist_last(&l->segments, struct qlog_segment, link);
}

/* Start the segment that the next entry goes into. */
int qlog_roll(struct qlog *l)
{
        uint8_t header[QLOG_HEADER_LEN];
        struct writer w = writer_of(header, sizeof header);
        char path[QLOG_PATH_SIZE];
        const struct qlog_segment *last = active(l);
        struct qlog_segment *s;
        int fd, r;

        qlog_segment_path(l, l->last_index + 1, path);
        fd = file_open(path, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0)
                return fd;
        qlog_header_write(&w, l->last_index + 1, l->last_term);
        r = file_pwrite_all(fd, header, sizeof header, 0);
        if (!r)
                r = file_sync(fd);
        if (!r)
                r = file_sync_dir(l->dir);
        s = r ? NULL : qlog_segment_add(l, l->last_index + 1);
        if (!s) {
                int undone = file_unlink(path); /* nothing is in it */

                file_close(fd);
                if (!undone)
                        undone = file_sync_dir(
                                l->dir); /* or a crash brings it back, in the middle of what is written next */
                return undone ? undone : r ? r : -ENOMEM;
        }
        s->len = QLOG_HEADER_LEN;
        if (last && l->reserved_end > last->len)
                (void)file_truncate(l->fd, last->len); /* what was reserved is given back; it costs room only */
        file_close(l->fd);
        l->fd = fd;
        l->reserved_end = 0;
        return 0;
}

static bool is_full(int error)
{
        return error == -ENOSPC || error == -EDQUOT;
}

/* Keep blocks ahead of the end, so that a disk that others have filled still takes what matters. A file system that cannot
 * reserve is used as it is. */
void qlog_reserve(struct qlog *l)
{
        const struct qlog_segment *s = active(l);
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
                diag(DIAG_ERROR,
                     "metadata: the disk of %s is full: no topics, partitions or configurations are made until there "
                     "is "
                     "room again; free some, deleting topics still works",
                     l->dir);
        atomic_store(&l->low, is_full(r));
}

bool qlog_is_low(const struct qlog *l)
{
        return atomic_load(&l->low);
}

int qlog_append(struct qlog *l, const struct qlog_group *g)
{
        struct qlog_segment *s = active(l);
        int r;

        assert(g->first == l->last_index + 1);
        assert(g->last >= g->first);
        if (s->len >= l->segment_len) {
                r = qlog_roll(l);
                if (r && !is_full(r)) /* a longer segment does no harm */
                        return r;
                s = active(l);
        }
        r = file_pwrite_all(l->fd, g->bytes.data, g->bytes.len, s->len);
        if (!r)
                r = file_sync(l->fd);
        if (r)
                return r;
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
                if (s == active(l) || s_next->first_index > index + 1)
                        break;
                qlog_segment_path(l, s->first_index, path);
                r = file_unlink(path);
                if (!r)
                        r = file_sync_dir(l->dir); /* one after the other: a crash must not leave a gap */
                if (r)
                        return r;
                ilist_unlink(&s->link);
                free(s);
                count++;
        }
        return count;
}

struct qlog *qlog_close(struct qlog *l)
{
        if (!l)
                return NULL;
        ilist_for_each (s, &l->segments, struct qlog_segment, link)
                free(s);
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
