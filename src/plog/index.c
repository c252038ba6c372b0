/* Sparse index of one segment; see index.h and FORMAT.md "index". */
#include "plog/index.h"

#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "sys/file.h"

enum { SEARCH_BLOCK = 256 }; /* entries read at once at the end of a search */

static int64_t entry_pos(uint32_t i)
{
        return (int64_t)sizeof(struct disk_index_header) + (int64_t)i * (int64_t)sizeof(struct disk_index_entry);
}

static struct disk_index_entry entry_encode(const struct index_entry *e)
{
        return (struct disk_index_entry){ .rel_offset = htobe32(e->rel_offset),
                                          .pos = htobe32(e->pos),
                                          .max_timestamp_before = (int64_t)htobe64((uint64_t)e->max_before) };
}

static struct index_entry entry_decode(const struct disk_index_entry *d)
{
        return (struct index_entry){ be32toh(d->rel_offset), be32toh(d->pos),
                                     (int64_t)be64toh((uint64_t)d->max_timestamp_before) };
}

static bool not_after(const struct index_entry *e, struct index_key key)
{
        switch (key.by) {
        case INDEX_BY_OFFSET:
                return e->rel_offset <= key.value;
        case INDEX_BY_POS:
                return e->pos <= key.value;
        case INDEX_BY_TIME:
                return e->max_before < key.value;
        }
        return false;
}

void index_fini(struct index *ix)
{
        pin_file_unref(ix->file);
        free(ix->tail);
        *ix = (struct index){ 0 };
}

uint32_t index_count(const struct index *ix)
{
        return ix->filed_count + ix->tail_count;
}

static int make_file(struct index *ix, struct files *files, const char *path)
{
        const struct disk_index_header h = { .magic = htobe16(INDEX_MAGIC),
                                             .version = FORMAT_VERSION,
                                             .entry_len = sizeof(struct disk_index_entry) };
        int fd, r = 0;

        if (!ix->file)
                r = pin_file_new(files, path, &ix->file);
        if (r)
                return r;
        fd = pin_file_pin(ix->file, O_CREAT);
        if (fd < 0)
                return fd;
        if (!ix->filed_count) {
                r = file_truncate(fd, 0);
                if (!r)
                        r = file_pwrite_all(fd, &h, sizeof h, 0);
        }
        if (r)
                pin_file_unpin(ix->file);
        return r ? r : fd;
}

int index_spill(struct index *ix, struct files *files, const char *path)
{
        struct disk_index_entry block[INDEX_TAIL_MAX];
        size_t len = ix->tail_count * sizeof block[0];
        int fd, r;

        if (!ix->tail_count)
                return 0;
        fd = make_file(ix, files, path);
        if (fd < 0)
                return fd;
        for (uint32_t i = 0; i < ix->tail_count; i++)
                block[i] = entry_encode(&ix->tail[i]);
        r = file_pwrite_all(fd, block, len, entry_pos(ix->filed_count));
        pin_file_unpin(ix->file);
        if (r)
                return r;
        ix->filed_crc = crc32c(ix->filed_crc, block, len);
        ix->filed_count += ix->tail_count;
        ix->tail_count = 0;
        return 0;
}

bool index_is_full(const struct index *ix)
{
        return ix->tail_count == INDEX_TAIL_MAX;
}

static void thin_out(struct index *ix)
{
        for (uint32_t i = 0; i < INDEX_TAIL_MAX / 2; i++)
                ix->tail[i] = ix->tail[i * 2];
        ix->tail_count = INDEX_TAIL_MAX / 2;
}

void index_add(struct index *ix, const struct index_entry *e)
{
        if (index_is_full(ix))
                thin_out(ix);
        if (ix->tail_count == ix->tail_size) {
                uint32_t size = ix->tail_size ? ix->tail_size * 2 : 8;
                struct index_entry *t = realloc(ix->tail, size * sizeof *t);

                if (!t)
                        return;
                ix->tail = t;
                ix->tail_size = size;
        }
        ix->tail[ix->tail_count++] = *e;
}

int index_seal(struct index *ix, struct files *files, const char *path, const struct index_footer *footer)
{
        struct disk_index_footer d = {
                .magic = htobe32(footer->aborted ? INDEX_FOOTER_ABORTED_MAGIC : INDEX_FOOTER_MAGIC),
                .size = (int64_t)htobe64((uint64_t)footer->size),
                .next_offset = (int64_t)htobe64((uint64_t)footer->next_offset),
                .max_timestamp = (int64_t)htobe64((uint64_t)footer->max_timestamp),
                .max_timestamp_offset = (int64_t)htobe64((uint64_t)footer->max_timestamp_offset),
                .first_timestamp = (int64_t)htobe64((uint64_t)footer->first_timestamp),
        };
        int fd, r;

        r = index_spill(ix, files, path);
        if (r)
                return r;
        fd = make_file(ix, files, path);
        if (fd < 0)
                return fd;
        d.count = htobe32(ix->filed_count);
        d.entries_crc = htobe32(ix->filed_crc);
        d.crc = htobe32(crc32c(0, &d, offsetof(struct disk_index_footer, crc)));
        r = file_truncate(fd, entry_pos(ix->filed_count));
        if (!r)
                r = file_pwrite_all(fd, &d, sizeof d, entry_pos(ix->filed_count));
        pin_file_unpin(ix->file);
        if (!r) {
                free(ix->tail);
                ix->tail = NULL;
                ix->tail_size = 0;
        }
        return r;
}

int index_search_tail(const struct index *ix, struct index_key key, struct index_entry *ret)
{
        uint32_t lo = 0, hi = ix->tail_count;

        while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;

                if (not_after(&ix->tail[mid], key))
                        lo = mid + 1;
                else
                        hi = mid;
        }
        if (!lo)
                return 0;
        *ret = ix->tail[lo - 1];
        return 1;
}

static int read_entries(int fd, uint32_t first, uint32_t count, bool nowait, struct disk_index_entry *ret)
{
        size_t len = count * sizeof *ret;
        ssize_t n =
                nowait ? file_pread_nowait(fd, ret, len, entry_pos(first)) : file_pread(fd, ret, len, entry_pos(first));

        if (n == -EOPNOTSUPP && nowait)
                n = -EAGAIN;
        if (n < 0)
                return (int)n;
        return (size_t)n == len ? 0 : -EUCLEAN;
}

int index_search_file(int fd, uint32_t count, struct index_key key, bool nowait, struct index_entry *ret)
{
        struct disk_index_entry block[SEARCH_BLOCK];
        uint32_t lo = 0, hi = count; /* the answer's successor is in lo..hi */
        struct index_entry e;
        int r;

        while (hi - lo > SEARCH_BLOCK - 1) {
                uint32_t mid = lo + (hi - lo) / 2;

                r = read_entries(fd, mid, 1, nowait, block);
                if (r)
                        return r;
                e = entry_decode(block);
                if (not_after(&e, key))
                        lo = mid; /* may be the answer itself: kept inside */
                else
                        hi = mid;
        }
        if (lo == hi)
                return 0;
        r = read_entries(fd, lo, hi - lo, nowait, block);
        if (r)
                return r;
        for (uint32_t i = hi - lo; i-- > 0;) {
                e = entry_decode(&block[i]);
                if (not_after(&e, key)) {
                        *ret = e;
                        return 1;
                }
        }
        return 0;
}

int index_read_footer(int fd, struct index_footer *ret)
{
        struct disk_index_footer d;
        struct disk_index_header h;
        int64_t size = file_size(fd);

        if (size < 0)
                return (int)size;
        if (size < (int64_t)(sizeof h + sizeof d) || file_pread(fd, &h, sizeof h, 0) != sizeof h ||
            file_pread(fd, &d, sizeof d, size - (int64_t)sizeof d) != sizeof d)
                return -EUCLEAN;
        if (be16toh(h.magic) != INDEX_MAGIC || h.version != FORMAT_VERSION ||
            h.entry_len != sizeof(struct disk_index_entry) ||
            (be32toh(d.magic) != INDEX_FOOTER_MAGIC && be32toh(d.magic) != INDEX_FOOTER_ABORTED_MAGIC) ||
            be32toh(d.crc) != crc32c(0, &d, offsetof(struct disk_index_footer, crc)) ||
            entry_pos(be32toh(d.count)) + (int64_t)sizeof d != size)
                return -EUCLEAN;
        *ret = (struct index_footer){
                .count = be32toh(d.count),
                .size = (int64_t)be64toh((uint64_t)d.size),
                .next_offset = (int64_t)be64toh((uint64_t)d.next_offset),
                .max_timestamp = (int64_t)be64toh((uint64_t)d.max_timestamp),
                .max_timestamp_offset = (int64_t)be64toh((uint64_t)d.max_timestamp_offset),
                .first_timestamp = (int64_t)be64toh((uint64_t)d.first_timestamp),
                .entries_crc = be32toh(d.entries_crc),
                .aborted = be32toh(d.magic) == INDEX_FOOTER_ABORTED_MAGIC,
        };
        return 0;
}

static int crc_entries(int fd, uint32_t count, uint32_t *ret_crc)
{
        struct disk_index_entry block[SEARCH_BLOCK];
        uint32_t crc = 0;

        for (uint32_t i = 0, n; i < count; i += n) {
                int r;

                n = MIN2(count - i, (uint32_t)SEARCH_BLOCK);
                r = read_entries(fd, i, n, false, block);
                if (r)
                        return r;
                crc = crc32c(crc, block, n * sizeof block[0]);
        }
        *ret_crc = crc;
        return 0;
}

int index_check_entries(int fd, uint32_t count, uint32_t crc)
{
        uint32_t found;
        int r = crc_entries(fd, count, &found);

        if (r)
                return r;
        return found == crc ? 0 : -EUCLEAN;
}

int index_read_entries(int fd, uint32_t count, uint32_t crc, struct index_entry **ret)
{
        CLEANUP(freep) struct index_entry *list = NULL;
        struct disk_index_entry block[SEARCH_BLOCK];
        uint32_t found = 0;

        if (count > INDEX_ENTRIES_MAX + INDEX_TAIL_MAX)
                return -EUCLEAN;
        list = calloc(count + 1, sizeof *list);
        if (!list)
                return -ENOMEM;
        for (uint32_t i = 0, n; i < count; i += n) {
                int r;

                n = MIN2(count - i, (uint32_t)SEARCH_BLOCK);
                r = read_entries(fd, i, n, false, block);
                if (r)
                        return r;
                found = crc32c(found, block, n * sizeof block[0]);
                for (uint32_t k = 0; k < n; k++)
                        list[i + k] = entry_decode(&block[k]);
        }
        if (found != crc)
                return -EUCLEAN;
        *ret = TAKE_PTR(list);
        return 0;
}

int index_cut(struct index *ix, uint32_t count)
{
        int fd, r;

        if (count >= ix->filed_count) {
                ix->tail_count = MIN2(ix->tail_count, count - ix->filed_count);
                return 0;
        }
        fd = pin_file_pin(ix->file, 0);
        if (fd < 0)
                return fd;
        r = crc_entries(fd, count, &ix->filed_crc);
        if (!r)
                r = file_truncate(fd, entry_pos(count));
        if (!r) {
                ix->filed_count = count;
                ix->tail_count = 0;
        }
        pin_file_unpin(ix->file);
        return r;
}
