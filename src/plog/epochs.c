/* Leader epochs of one log; see epochs.h and FORMAT.md "epochs". Source: KIP-101, KIP-279. */
#include "plog/epochs.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/format.h"
#include "sys/file.h"

enum { EPOCHS_FILE_MAX = 16 * 1024 * 1024 };

void epochs_fini(struct epochs *e)
{
        free(e->entries);
        *e = (struct epochs){ 0 };
}

int epochs_reserve(struct epochs *e)
{
        uint32_t size = e->size ? e->size * 2 : 4;
        struct epoch_entry *n;

        if (e->count < e->size)
                return 0;
        n = realloc(e->entries, size * sizeof *n);
        if (!n)
                return -ENOMEM;
        e->entries = n;
        e->size = size;
        return 0;
}

bool epochs_assign(struct epochs *e, int32_t epoch, int64_t start_offset)
{
        if (epoch < 0 || epoch <= epochs_latest(e))
                return false;
        /* An epoch in which nothing was written leaves no trace: its successor begins at the same place. */
        while (e->count && e->entries[e->count - 1].start_offset >= start_offset)
                e->count--;
        assert(e->count < e->size);
        e->entries[e->count++] = (struct epoch_entry){ epoch, start_offset };
        return true;
}

int32_t epochs_latest(const struct epochs *e)
{
        return e->count ? e->entries[e->count - 1].epoch : -1;
}

int32_t epochs_at(const struct epochs *e, int64_t offset)
{
        for (uint32_t i = e->count; i-- > 0;)
                if (e->entries[i].start_offset <= offset)
                        return e->entries[i].epoch;
        return -1;
}

bool epochs_end(const struct epochs *e, int32_t epoch, int64_t end_offset, int32_t *ret_epoch, int64_t *ret_end_offset)
{
        uint32_t i = 0;

        if (!e->count || epoch < 0 || epoch > epochs_latest(e))
                return false;
        while (i < e->count && e->entries[i].epoch <= epoch)
                i++;
        /* Older than all we know: it ended before the first that we know began. */
        *ret_epoch = i ? e->entries[i - 1].epoch : epoch;
        *ret_end_offset = i < e->count ? e->entries[i].start_offset : end_offset;
        return true;
}

bool epochs_truncate_end(struct epochs *e, int64_t end_offset)
{
        uint32_t before = e->count;

        while (e->count && e->entries[e->count - 1].start_offset >= end_offset)
                e->count--;
        return e->count != before;
}

bool epochs_truncate_start(struct epochs *e, int64_t start_offset)
{
        uint32_t gone = 0;

        while (gone + 1 < e->count && e->entries[gone + 1].start_offset <= start_offset)
                gone++;
        if (!e->count || (!gone && e->entries[0].start_offset >= start_offset))
                return false;
        memmove(e->entries, e->entries + gone, (e->count - gone) * sizeof *e->entries);
        e->count -= gone;
        e->entries[0].start_offset = MAX2(e->entries[0].start_offset, start_offset);
        return true;
}

int epochs_encode(const struct epochs *e, void **ret_data, size_t *ret_len)
{
        size_t len = sizeof(struct disk_epochs_header) + e->count * sizeof(struct disk_epoch);
        struct disk_epochs_header *h = calloc(1, len);
        struct disk_epoch *d = (struct disk_epoch *)(h + 1);

        if (!h)
                return -ENOMEM;
        for (uint32_t i = 0; i < e->count; i++) {
                d[i].epoch = (int32_t)htobe32((uint32_t)e->entries[i].epoch);
                d[i].start_offset = (int64_t)htobe64((uint64_t)e->entries[i].start_offset);
        }
        h->magic = htobe32(EPOCHS_MAGIC);
        h->version = htobe16(FORMAT_VERSION);
        h->entry_len = htobe16(sizeof *d);
        h->count = htobe32(e->count);
        h->crc = htobe32(crc32c(0, d, e->count * sizeof *d));
        *ret_data = h;
        *ret_len = len;
        return 0;
}

static bool header_fits(const struct disk_epochs_header *h, size_t len)
{
        return len >= sizeof *h && be32toh(h->magic) == EPOCHS_MAGIC && be16toh(h->version) == FORMAT_VERSION &&
               be16toh(h->entry_len) == sizeof(struct disk_epoch) &&
               (len - sizeof *h) == (uint64_t)be32toh(h->count) * sizeof(struct disk_epoch) &&
               be32toh(h->crc) == crc32c(0, h + 1, len - sizeof *h);
}

static bool follows(const struct epochs *e, struct epoch_entry x)
{
        const struct epoch_entry *last = e->count ? &e->entries[e->count - 1] : &(struct epoch_entry){ -1, -1 };

        return x.epoch > last->epoch && x.start_offset > last->start_offset;
}

int epochs_load(struct epochs *e, const char *dir, bool *ret_found)
{
        char path[4096];
        CLEANUP(freep) char *data = NULL;
        const struct disk_epochs_header *h;
        const struct disk_epoch *d;
        size_t len;
        int r;

        *ret_found = false;
        snprintf(path, sizeof path, "%s/%s", dir, EPOCHS_NAME);
        r = file_read_whole(path, EPOCHS_FILE_MAX, &data, &len);
        if (r && r != -ENOENT && r != -EFBIG)
                return r; /* one that is there and cannot be read now is not to be taken for lost */
        h = (const struct disk_epochs_header *)data;
        if (r || !header_fits(h, len))
                return 0;
        d = (const struct disk_epoch *)(h + 1);
        for (uint32_t i = 0; i < be32toh(h->count); i++) {
                struct epoch_entry x = { (int32_t)be32toh((uint32_t)d[i].epoch),
                                         (int64_t)be64toh((uint64_t)d[i].start_offset) };

                if (!follows(e, x)) {
                        epochs_fini(e); /* nothing that we wrote: the batches say it again */
                        return 0;
                }
                r = epochs_reserve(e);
                if (r)
                        return r;
                e->entries[e->count++] = x;
        }
        *ret_found = true;
        return 0;
}
