/* Walking and scanning segments; see walk.h. */
#include "plog/walk.h"

#include "base/crc32c.h"
#include "base/err.h"
#include "base/macros.h"
#include "sys/file.h"

enum {
        SCAN_BUF_LEN = 256 * 1024,
        SMALL_BATCH_LEN = 2048,
        AHEAD_LEN_MIN = 64 * 1024,
        AHEAD_LEN_MAX = 1 << 20,
        MARKER_LEN_MAX = 4096,
};

void read_ahead(struct read_ahead *a, int fd, int64_t pos, int64_t end)
{
        if (pos + a->len / 2 < a->to || a->to >= end)
                return;
        a->len = a->len ? MIN2(a->len * 2, (int64_t)AHEAD_LEN_MAX) : AHEAD_LEN_MIN;
        pos = MAX2(pos, a->to);
        a->to = MIN2(pos + a->len, end);
        file_read_ahead(fd, pos, a->to - pos);
}

void walk_init(struct walk *w, int fd, const struct walk_range *range, bool nowait)
{
        w->fd = fd;
        w->pos = range->pos;
        w->end = range->end;
        w->next_offset = range->first_offset;
        w->end_offset = range->end_offset;
        w->skips = range->skips ? range->skips->list : NULL;
        w->skips_count = range->skips ? range->skips->count : 0;
        w->nowait = nowait;
        w->small = true;
        w->ahead = (struct read_ahead){ 0 };
        w->buf_len = 0;
}

static int walk_fill(struct walk *w)
{
        size_t want = w->small ? sizeof w->buf : 512;
        ssize_t n;

        want = (size_t)MIN2((int64_t)want, w->end - w->pos);
        if (!w->nowait)
                read_ahead(&w->ahead, w->fd, w->pos, w->end);
        n = w->nowait ? file_pread_nowait(w->fd, w->buf, want, w->pos) : file_pread(w->fd, w->buf, want, w->pos);
        if (n == -EOPNOTSUPP && w->nowait)
                n = -EAGAIN;
        if (n < 0)
                return (int)n;
        w->buf_pos = w->pos;
        w->buf_len = (size_t)n;
        return n < BATCH_HEADER_LEN ? -EUCLEAN : 0;
}

static void skip(struct walk *w)
{
        for (; w->skips_count && w->skips->pos <= w->pos; w->skips++, w->skips_count--)
                if (w->skips->end_pos > w->pos) {
                        w->pos = w->skips->end_pos;
                        w->next_offset = MAX2(w->next_offset, w->skips->next_offset);
                }
}

int walk_next(struct walk *w, struct batch_header *ret_head, int64_t *ret_pos)
{
        int64_t at;

        skip(w);
        at = w->pos - w->buf_pos;
        if (w->pos >= w->end)
                return 0;
        if (!w->buf_len || at + BATCH_HEADER_LEN > (int64_t)w->buf_len) {
                int r = walk_fill(w);

                if (r)
                        return r;
                at = 0;
        }
        if (!batch_read(w->buf + at, ret_head) || batch_size(ret_head) > w->end - w->pos ||
            ret_head->base_offset < w->next_offset || batch_last_offset(ret_head) >= w->end_offset)
                return -EUCLEAN;
        *ret_pos = w->pos;
        w->next_offset = batch_last_offset(ret_head) + 1;
        w->pos += batch_size(ret_head);
        w->small = batch_size(ret_head) < SMALL_BATCH_LEN;
        return 1;
}

int walk_marker(int fd, int64_t pos, const struct batch_header *h, struct batch_marker *ret)
{
        uint8_t buf[MARKER_LEN_MAX];
        struct batch_header again;
        struct batch_marker m;
        struct span batch;
        ssize_t n;

        if (batch_len(h) > sizeof buf)
                return 0;
        n = file_pread(fd, buf, batch_len(h), pos);
        if (n < 0)
                return (int)n;
        batch = span_of(buf, (size_t)n);
        if (batch_check_crc(batch, &again) || batch_marker_of(batch, &m) ||
            (m.type != BATCH_MARKER_COMMIT && m.type != BATCH_MARKER_ABORT))
                return 0;
        *ret = m;
        return 1;
}

/* A window over the file that moves forward. */
struct window {
        int fd;
        int64_t end;
        int64_t pos; /* of buf[0] */
        size_t len;
        uint8_t *buf;
        struct read_ahead ahead;
};

/* Bytes at @pos, as many as there are up to the buffer's size, at least @need of them. NULL at the end of the file. */
static const uint8_t *window_at(struct window *w, int64_t pos, size_t need, size_t *ret_len, int *ret_error)
{
        ssize_t n;

        if (pos < w->pos || pos + (int64_t)need > w->pos + (int64_t)w->len) {
                read_ahead(&w->ahead, w->fd, pos, w->end);
                n = file_pread(w->fd, w->buf, (size_t)MIN2((int64_t)SCAN_BUF_LEN, w->end - pos), pos);
                w->pos = pos;
                w->len = n < 0 ? 0 : (size_t)n;
                if (n < 0) {
                        *ret_error = (int)n;
                        return NULL;
                }
                if ((size_t)n < need)
                        return NULL;
        }
        *ret_len = w->len - (size_t)(pos - w->pos);
        return w->buf + (pos - w->pos);
}

/* Check the CRC of the batch at @pos. Return: 1 right, 0 wrong or cut short, negative errno. */
static int check_crc(struct window *w, const struct batch_header *h, int64_t pos)
{
        int64_t at = pos + BATCH_ATTRIBUTES_AT, end = pos + batch_size(h);
        uint32_t crc = 0;

        while (at < end) {
                size_t len = 0;
                int error = 0;
                const uint8_t *p = window_at(w, at, 1, &len, &error);

                if (!p)
                        return error;
                len = (size_t)MIN2((int64_t)len, end - at);
                crc = crc32c(crc, p, len);
                at += (int64_t)len;
        }
        return crc == h->crc;
}

int scan_batches(int fd, int64_t pos, int64_t end, int64_t first_offset,
                 int (*fn)(void *arg, const struct batch_header *head, int64_t pos), void *arg, int64_t *ret_pos)
{
        CLEANUP(freep) uint8_t *buf = malloc(SCAN_BUF_LEN);
        struct window w = { .fd = fd, .end = end, .pos = pos, .buf = buf };
        int64_t next_offset = first_offset;
        int r;

        if (!buf)
                return -ENOMEM;
        while (end - pos >= BATCH_HEADER_LEN) {
                struct batch_header h;
                size_t len = 0;
                int error = 0;
                const uint8_t *p = window_at(&w, pos, BATCH_HEADER_LEN, &len, &error);

                if (error)
                        return error;
                if (!p || !batch_read(p, &h) || batch_size(&h) > end - pos || h.base_offset < next_offset)
                        break;
                r = check_crc(&w, &h, pos);
                if (r < 0)
                        return r;
                if (!r)
                        break;
                r = fn(arg, &h, pos);
                if (r)
                        return r;
                pos += batch_size(&h);
                next_offset = batch_last_offset(&h) + 1;
        }
        *ret_pos = pos;
        return 0;
}
