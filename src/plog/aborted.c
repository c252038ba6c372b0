/* Lists of aborted transactions; see aborted.h and FORMAT.md "Aborted transactions". */
#include "plog/aborted.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "plog/format.h"

void aborted_fini(struct aborted *a)
{
        free(a->entries);
        *a = (struct aborted){ 0 };
}

int aborted_reserve(struct aborted *a)
{
        uint32_t size = a->size ? a->size * 2 : 4;
        struct plog_aborted *n;

        if (a->count < a->size)
                return 0;
        n = realloc(a->entries, size * sizeof *n);
        if (!n)
                return -ENOMEM;
        a->entries = n;
        a->size = size;
        return 0;
}

void aborted_add(struct aborted *a, const struct plog_aborted *t)
{
        assert(a->count < a->size);
        if (a->count && a->entries[a->count - 1].last_offset >= t->last_offset)
                return; /* rotten base offsets, which no CRC covers: found again where they are read */
        a->entries[a->count++] = *t;
}

/* The first that ends at or above @offset. */
static uint32_t find(const struct aborted *a, int64_t offset)
{
        uint32_t lo = 0, hi = a->count;

        while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;

                if (a->entries[mid].last_offset < offset)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

void aborted_drop_below(struct aborted *a, int64_t offset)
{
        uint32_t gone = find(a, offset);

        if (!gone)
                return;
        a->count -= gone;
        memmove(a->entries, a->entries + gone, a->count * sizeof *a->entries);
}

int aborted_select(const struct aborted *a, const struct aborted_range *range, struct aborted *out)
{
        for (uint32_t i = find(a, MAX2(range->from, range->last_from)); i < a->count; i++) {
                const struct plog_aborted *t = &a->entries[i];

                if (t->last_offset >= range->last_to)
                        return 0;
                if (t->first_offset < range->to) {
                        int r = aborted_reserve(out);

                        if (r)
                                return r;
                        out->entries[out->count++] = *t;
                }
                /* Whatever ends later was open behind this marker, or began there. */
                if (t->stable_offset >= range->to)
                        return 1;
        }
        return 0;
}

/* ---- on disk ---- */

void aborted_encode_entries(const struct aborted *a, struct disk_aborted *ret)
{
        for (uint32_t i = 0; i < a->count; i++) {
                const struct plog_aborted *t = &a->entries[i];

                ret[i] = (struct disk_aborted){ .producer_id = (int64_t)htobe64((uint64_t)t->producer_id),
                                                .first_offset = (int64_t)htobe64((uint64_t)t->first_offset),
                                                .last_offset = (int64_t)htobe64((uint64_t)t->last_offset),
                                                .stable_offset = (int64_t)htobe64((uint64_t)t->stable_offset) };
        }
}

int aborted_decode_entries(struct aborted *a, const struct disk_aborted *d, uint32_t count, int64_t last_from)
{
        for (uint32_t i = 0; i < count; i++) {
                struct plog_aborted t = { .producer_id = (int64_t)be64toh((uint64_t)d[i].producer_id),
                                          .first_offset = (int64_t)be64toh((uint64_t)d[i].first_offset),
                                          .last_offset = (int64_t)be64toh((uint64_t)d[i].last_offset),
                                          .stable_offset = (int64_t)be64toh((uint64_t)d[i].stable_offset) };
                int r;

                /* The offset behind a transaction's marker is the most that can be stable then. */
                if (t.producer_id < 0 || t.first_offset < 0 || t.last_offset <= t.first_offset ||
                    t.last_offset == INT64_MAX || t.last_offset < last_from || t.stable_offset < 0 ||
                    t.stable_offset > t.last_offset + 1)
                        return -EUCLEAN;
                r = aborted_reserve(a);
                if (r)
                        return r;
                aborted_add(a, &t);
                last_from = t.last_offset + 1;
        }
        return 0;
}

int aborted_encode(const struct aborted *a, int64_t base_offset, void **ret_data, size_t *ret_len)
{
        size_t len = sizeof(struct disk_aborted_header) + a->count * sizeof(struct disk_aborted);
        struct disk_aborted_header *h = calloc(1, len);

        if (!h)
                return -ENOMEM;
        aborted_encode_entries(a, (struct disk_aborted *)(h + 1));
        h->magic = htobe32(ABORTED_MAGIC);
        h->version = htobe16(FORMAT_VERSION);
        h->entry_len = htobe16(sizeof(struct disk_aborted));
        h->base_offset = (int64_t)htobe64((uint64_t)base_offset);
        h->count = htobe32(a->count);
        h->entries_crc = htobe32(crc32c(0, h + 1, len - sizeof *h));
        h->crc = htobe32(crc32c(0, h, offsetof(struct disk_aborted_header, crc)));
        *ret_data = h;
        *ret_len = len;
        return 0;
}

static bool header_fits(const struct disk_aborted_header *h, size_t len, int64_t base_offset)
{
        return len >= sizeof *h && be32toh(h->magic) == ABORTED_MAGIC && be16toh(h->version) == FORMAT_VERSION &&
               be16toh(h->entry_len) == sizeof(struct disk_aborted) &&
               be32toh(h->crc) == crc32c(0, h, offsetof(struct disk_aborted_header, crc)) &&
               (int64_t)be64toh((uint64_t)h->base_offset) == base_offset &&
               len - sizeof *h == (uint64_t)be32toh(h->count) * sizeof(struct disk_aborted) &&
               be32toh(h->entries_crc) == crc32c(0, h + 1, len - sizeof *h);
}

int aborted_decode(struct aborted *a, struct span bytes, int64_t base_offset)
{
        struct disk_aborted_header h;
        int r;

        if (bytes.len < sizeof h ||
            !header_fits((const struct disk_aborted_header *)bytes.data, bytes.len, base_offset))
                return -EUCLEAN;
        memcpy(&h, bytes.data, sizeof h);
        r = aborted_decode_entries(a, (const struct disk_aborted *)(bytes.data + sizeof h), be32toh(h.count),
                                   base_offset);
        if (r)
                aborted_fini(a);
        return r;
}
