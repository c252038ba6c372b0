/* Checking one segment file; see check.h.
 *
 * Base offset, length and leader epoch of a batch are not covered by its CRC. A length is believed when what follows is a
 * batch; otherwise the next batch is looked for where the index says that one begins, which is believed when its CRC is
 * right, and else everything up to the segment's end is given up. A base offset that is too high is seen when the next one is
 * below its end: then it is the earlier batch that is wrong. Gaps are no damage, because compaction leaves them. */
#include "plog/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "plog/walk.h"
#include "sys/file.h"

enum { WINDOW_LEN = 256 * 1024, BLOCK_LEN = FILE_DIRECT_ALIGN };
static_assert(WINDOW_LEN % FILE_DIRECT_ALIGN == 0 && WINDOW_LEN >= 4 * BLOCK_LEN, "reads past the page cache");

int check_init(struct check *c, const struct check_args *a)
{
        *c = (struct check){ .a = *a,
                             .direct_fd = -1,
                             .next_offset = a->base_offset,
                             .before_pos = -1,
                             .max_timestamp = -1,
                             .max_timestamp_offset = -1,
                             .first_timestamp = -1 };
        if (posix_memalign((void **)&c->buf, FILE_DIRECT_ALIGN, WINDOW_LEN))
                return -ENOMEM;
        if (a->direct)
                c->direct_fd = MAX2(file_reopen_direct(a->fd), -1); /* else through the page cache */
        return 0;
}

void check_fini(struct check *c)
{
        c->direct_fd = file_close(c->direct_fd);
        free(c->buf);
        c->buf = NULL;
}

/* ---- bytes ---- */

static ssize_t read_at(struct check *c, int64_t pos, size_t len)
{
        ssize_t n = -EOPNOTSUPP;

        if (c->direct_fd >= 0) {
                n = file_pread_direct(c->direct_fd, c->buf, len, pos);
                if (n == -EOPNOTSUPP)
                        c->direct_fd = file_close(c->direct_fd);
        }
        if (n == -EOPNOTSUPP)
                n = file_pread_aside(c->a.fd, c->buf, MIN2(len, (size_t)MAX2(c->a.size - pos, INT64_C(0))), pos);
        if (n > 0)
                c->bytes += n;
        return n;
}

/* Read what begins at @pos, or some bytes before it. After an error in small pieces, so that no more is given up than cannot
 * be read. */
static ssize_t fill(struct check *c, int64_t pos)
{
        int64_t from = pos / BLOCK_LEN * BLOCK_LEN;
        ssize_t n = -EIO;

        if (from >= c->blocks_until) {
                n = read_at(c, from, WINDOW_LEN);
                if (n == -EIO)
                        c->blocks_until = from + WINDOW_LEN;
        }
        if (n == -EIO)
                n = read_at(c, from, 2 * BLOCK_LEN);
        if (n == -EIO)
                n = read_at(c, from, BLOCK_LEN);
        c->buf_pos = from;
        c->buf_len = n < 0 ? 0 : (size_t)MIN2((int64_t)n, MAX2(c->a.size - from, INT64_C(0)));
        return n;
}

/* At least @need bytes at @pos, up to the end of the buffer. Return: 0 with @ret; PLOG_DAMAGE_UNREADABLE;
 * PLOG_DAMAGE_HEADER: the file ends before; negative errno. */
static int bytes_at(struct check *c, int64_t pos, size_t need, const uint8_t **ret, size_t *ret_len)
{
        if (pos < c->buf_pos || pos + (int64_t)need > c->buf_pos + (int64_t)c->buf_len) {
                ssize_t n = fill(c, pos);

                if (n < 0)
                        return n == -EIO ? PLOG_DAMAGE_UNREADABLE : (int)n;
                if (pos + (int64_t)need > c->buf_pos + (int64_t)c->buf_len)
                        return c->buf_pos + n < pos + (int64_t)need && pos < c->blocks_until ? PLOG_DAMAGE_UNREADABLE
                                                                                             : PLOG_DAMAGE_HEADER;
        }
        *ret = c->buf + (pos - c->buf_pos);
        *ret_len = c->buf_len - (size_t)(pos - c->buf_pos);
        return 0;
}

/* A header that could be one. Return: 0 with @ret; enum plog_damage_why; negative errno. */
static int head_at(struct check *c, int64_t pos, struct batch_header *ret)
{
        const uint8_t *p;
        size_t len;
        int r = pos + BATCH_HEADER_LEN > c->a.size ? PLOG_DAMAGE_HEADER : bytes_at(c, pos, BATCH_HEADER_LEN, &p, &len);

        if (r)
                return r;
        return batch_read(p, ret) && batch_size(ret) <= c->a.size - pos ? 0 : PLOG_DAMAGE_HEADER;
}

static int crc_at(struct check *c, int64_t pos, const struct batch_header *h)
{
        int64_t at = pos + BATCH_ATTRIBUTES_AT, end = pos + batch_size(h);
        uint32_t crc = 0;

        while (at < end) {
                const uint8_t *p;
                size_t len;
                int r = bytes_at(c, at, 1, &p, &len);

                if (r)
                        return r;
                len = (size_t)MIN2((int64_t)len, end - at);
                crc = crc32c(crc, p, len);
                at += (int64_t)len;
        }
        return crc == h->crc ? 0 : PLOG_DAMAGE_CRC;
}

/* ---- behind damage ---- */

struct place {
        int64_t pos, offset;
};

/* The header's length leads to a batch, or to the end. Return: 1 with @ret; 0 it does not; negative errno. */
static int follow(struct check *c, int64_t pos, const struct batch_header *h, struct place *ret)
{
        struct batch_header next;
        int r;

        ret->pos = pos + batch_size(h);
        ret->offset = c->a.end_offset;
        if (ret->pos == c->a.size)
                return 1;
        r = head_at(c, ret->pos, &next);
        if (r)
                return r < 0 ? r : 0;
        ret->offset = MIN2(next.base_offset, c->a.end_offset);
        return ret->offset > c->next_offset;
}

/* The first batch behind @pos of which the index knows and which is whole. As follow(). */
static int follow_index(struct check *c, int64_t pos, struct place *ret)
{
        for (uint32_t i = c->entry; i < c->a.entries_count && c->a.entries[i].pos < c->a.size; i++) {
                const struct index_entry *e = &c->a.entries[i];
                struct batch_header h;
                int r;

                if (e->pos <= pos)
                        continue;
                r = head_at(c, e->pos, &h);
                if (!r && (h.base_offset != c->a.base_offset + e->rel_offset || h.base_offset <= c->next_offset ||
                           h.base_offset > c->a.end_offset))
                        r = PLOG_DAMAGE_OFFSET;
                if (!r)
                        r = crc_at(c, e->pos, &h);
                if (r < 0)
                        return r;
                if (!r) {
                        *ret = (struct place){ e->pos, h.base_offset };
                        return 1;
                }
        }
        return 0;
}

static void tell(struct check *c, const struct place *from, const struct place *to, enum plog_damage_why why)
{
        c->damaged = true;
        if (from->offset < to->offset)
                c->a.found(c->a.arg, &(struct plog_damaged_range){ .from_offset = from->offset,
                                                                   .to_offset = to->offset,
                                                                   .segment_base = c->a.base_offset,
                                                                   .pos = from->pos,
                                                                   .end_pos = to->pos,
                                                                   .found_ms = c->a.now_ms,
                                                                   .why = why });
}

/* @h is damaged, and its length leads to @to: where there is a gap beside it. Its offsets are believed when they fit what
 * lies behind, or when its CRC is right. */
static void narrow(const struct check *c, const struct batch_header *h, enum plog_damage_why why, struct place *from,
                   struct place *to)
{
        int64_t behind = batch_last_offset(h) + 1;

        if (why == PLOG_DAMAGE_OFFSET)
                return;
        if (h->base_offset >= c->next_offset && behind == to->offset)
                from->offset = h->base_offset;
        else if (why == PLOG_DAMAGE_EPOCH && h->base_offset == c->next_offset)
                to->offset = behind; /* its CRC says how many there are */
}

/* The batch at the position is damaged; go on behind it. @h: NULL when there is no header. */
static int give_up(struct check *c, const struct batch_header *h, enum plog_damage_why why)
{
        struct place from = { c->pos, c->next_offset }, to;
        int r = h ? follow(c, c->pos, h, &to) : 0;

        if (r > 0)
                narrow(c, h, why, &from, &to);
        else if (!r)
                r = follow_index(c, c->pos, &to);
        if (r < 0)
                return r;
        if (!r)
                to = (struct place){ c->a.size, c->a.end_offset };
        tell(c, &from, &to, why);
        c->pos = to.pos;
        c->next_offset = MAX2(c->next_offset, to.offset);
        c->before_pos = -1;
        while (c->entry < c->a.entries_count && c->a.entries[c->entry].pos < c->pos)
                c->entry++;
        return 0;
}

/* ---- batches ---- */

static int epoch_check(const struct check *c, const struct batch_header *h)
{
        int32_t epoch = c->a.epochs ? epochs_at(c->a.epochs, h->base_offset) : -1;

        return epoch < 0 || epoch == h->leader_epoch ? 0 : PLOG_DAMAGE_EPOCH;
}

/* The index's entry for this batch, if it has one. What lies in damage is not known, so that times behind it may be larger. */
static void entries_check(struct check *c, const struct batch_header *h)
{
        const struct index_entry *e = &c->a.entries[c->entry];

        for (; c->entry < c->a.entries_count && e->pos < c->pos; c->entry++, e++)
                c->index_bad = true; /* no batch begins there */
        if (c->entry == c->a.entries_count || e->pos != c->pos)
                return;
        if (e->rel_offset != h->base_offset - c->a.base_offset ||
            (c->damaged ? e->max_before < c->max_timestamp : e->max_before != c->max_timestamp))
                c->index_bad = true;
        c->entry++;
}

static void take_batch(struct check *c, const struct batch_header *h)
{
        entries_check(c, h);
        if (!c->pos)
                c->first_timestamp = h->max_timestamp;
        if (h->max_timestamp > c->max_timestamp || c->max_timestamp_offset < 0) {
                c->max_timestamp = h->max_timestamp;
                c->max_timestamp_offset = h->base_offset;
        }
        c->batches++;
        c->before_pos = c->pos;
        c->before_from = c->next_offset;
        c->before_base = h->base_offset;
        c->next_offset = batch_last_offset(h) + 1;
        c->pos += batch_size(h);
}

/* This batch begins below the end of the one before, which left a gap that this one fits into: that one's base is wrong. */
static bool before_is_wrong(const struct check *c, const struct batch_header *h)
{
        return c->before_pos >= 0 && c->before_base > c->before_from && h->base_offset > c->before_from &&
               h->base_offset < c->next_offset;
}

static void blame_before(struct check *c, const struct batch_header *h)
{
        tell(c, &(struct place){ c->before_pos, c->before_from }, &(struct place){ c->pos, h->base_offset },
             PLOG_DAMAGE_OFFSET);
        c->batches--;
        c->next_offset = h->base_offset;
        c->before_pos = -1;
}

static int offsets_check(struct check *c, const struct batch_header *h)
{
        if (h->base_offset < c->next_offset && !before_is_wrong(c, h))
                return PLOG_DAMAGE_OFFSET;
        return batch_last_offset(h) >= c->a.end_offset ? PLOG_DAMAGE_OFFSET : 0;
}

static int check_batch(struct check *c)
{
        struct batch_header h;
        bool headed;
        int r = head_at(c, c->pos, &h);

        headed = !r;
        if (!r)
                r = offsets_check(c, &h);
        if (headed && (!r || r == PLOG_DAMAGE_OFFSET)) {
                int crc = crc_at(c, c->pos, &h);

                r = crc ? crc : r;
        }
        if (!r && h.base_offset < c->next_offset)
                blame_before(c, &h);
        if (!r)
                r = epoch_check(c, &h);
        if (r < 0)
                return r;
        if (r)
                return give_up(c, headed ? &h : NULL, r);
        take_batch(c, &h);
        return 0;
}

/* All bytes are seen. Offsets up to the end may be missing from a segment that must reach it. */
static void finish(struct check *c)
{
        if (c->a.whole && c->entry < c->a.entries_count)
                c->index_bad = true;
        if (!c->a.whole || c->next_offset >= c->a.end_offset)
                return;
        /* The last base offset is wrong, when there is a gap before it as well; otherwise the end is lost. */
        if (c->before_pos >= 0 && c->before_base > c->before_from && c->pos == c->a.size)
                tell(c, &(struct place){ c->before_pos, c->before_from }, &(struct place){ c->a.size, c->a.end_offset },
                     PLOG_DAMAGE_OFFSET);
        else
                tell(c, &(struct place){ c->pos, c->next_offset }, &(struct place){ c->a.size, c->a.end_offset },
                     PLOG_DAMAGE_HEADER);
}

static bool is_at_end(const struct check *c)
{
        return c->pos >= c->a.size || (!c->a.whole && c->next_offset >= c->a.end_offset);
}

int check_step(struct check *c, int64_t *left)
{
        while (*left > 0 && !is_at_end(c)) {
                int64_t before = c->bytes;
                int r = check_batch(c);

                if (r)
                        return r;
                *left -= c->bytes - before;
        }
        if (!is_at_end(c))
                return 1;
        finish(c);
        return 0;
}
