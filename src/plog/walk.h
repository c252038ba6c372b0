/* Walk over the batch headers of a segment file, and scan whole batches with their CRC. The bytes are untrusted. */
#pragma once

#include "wire/batch_records.h"

/* No batch begins above: an offset and a batch's count of records never overflow when they are added. */
#define PLOG_OFFSET_MAX (INT64_MAX - INT32_MAX - 1)

/* Bytes of the whole batch, as positions are counted. */
static inline int64_t batch_size(const struct batch_header *h)
{
        return (int64_t)batch_len(h);
}

/* Read a header that lies on disk; false when nothing that was appended could look so. The CRC is not looked at. */
static inline bool batch_read(const uint8_t *p, struct batch_header *ret)
{
        return batch_parse_header(span_of(p, BATCH_HEADER_LEN), ret) == BATCH_OK && ret->last_offset_delta >= 0 &&
               ret->base_offset >= 0 && ret->base_offset <= PLOG_OFFSET_MAX;
}

/* Bytes that a walk leaves out because they are known to be damaged (damage.h), rising. */
struct walk_skip {
        int64_t pos, end_pos;
        int64_t next_offset; /* of the batch at end_pos at least */
};
struct walk_skips {
        unsigned count;
        struct walk_skip list[128];
};
/* Files are read where they are asked to, and no further (files.c). Who reads on in order says so with this: the kernel is
 * asked for more and more before it is needed, up to 1 MiB. Zero to begin with. */
struct read_ahead {
        int64_t to, len;
};
/* @pos is about to be read from @fd, and then on, up to @end. May wait for the disk. */
void read_ahead(struct read_ahead *a, int fd, int64_t pos, int64_t end);

/* Headers only: small reads through the page cache, larger ones while batches are small. */
struct walk {
        int fd;
        int64_t pos;                   /* of the next batch */
        int64_t end;                   /* of whole batches */
        int64_t next_offset;           /* the next batch does not begin below */
        int64_t end_offset;            /* no batch reaches this */
        const struct walk_skip *skips; /* those ahead */
        unsigned skips_count;
        bool nowait;
        bool small; /* the last batch was small: read more at a time */
        struct read_ahead ahead;
        int64_t buf_pos;
        size_t buf_len;
        uint8_t buf[8192];
};

struct walk_range {
        int64_t pos, end;     /* bytes; a batch begins at pos */
        int64_t first_offset; /* no batch begins below; then they rise: the base offset is not covered by the CRC */
        int64_t end_offset;   /* no batch reaches this */
        /* Borrowed for the walk; NULL: none. */
        const struct walk_skips *skips;
};

void walk_init(struct walk *w, int fd, const struct walk_range *range, bool nowait);
/* The header at @w->pos, and step over its batch. Return: 1 with @ret_head and @ret_pos; 0 at the end; -EAGAIN when it is
 * not in the page cache (nowait only); -EUCLEAN when there is no batch that belongs there; negative errno. */
int walk_next(struct walk *w, struct batch_header *ret_head, int64_t *ret_pos);

/* What the control batch of header @h at @pos says. Return: 1 a transaction's end; 0 nothing of that kind, or unreadable;
 * negative errno. */
int walk_marker(int fd, int64_t pos, const struct batch_header *h, struct batch_marker *ret);

/* Read all bytes from @pos to @end and call @fn for each whole batch whose CRC is right and whose offsets do not go back
 * (the first may not be below @first_offset). Stops at the first that is not so.
 * Return: 0 with @ret_pos, the end of the last good batch; what @fn returned; negative errno. */
int scan_batches(int fd, int64_t pos, int64_t end, int64_t first_offset,
                 int (*fn)(void *arg, const struct batch_header *head, int64_t pos), void *arg, int64_t *ret_pos);
