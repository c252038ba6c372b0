/* Snapshots of a log's producer state; see producers.h and FORMAT.md "Snapshot". */
#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/producers.h"
#include "sys/file.h"

enum { SNAPSHOT_FILE_MAX = 1 << 30 };

/* ---- writing ---- */

static struct disk_producer encode_one(const struct producer *x)
{
        struct disk_producer d = {
                .id = (int64_t)htobe64((uint64_t)x->id),
                .last_used_ms = (int64_t)htobe64((uint64_t)x->last_used_ms),
                .txn_first_offset = (int64_t)htobe64((uint64_t)x->txn_first_offset),
                .coordinator_epoch = (int32_t)htobe32((uint32_t)x->coordinator_epoch),
                .epoch = (int16_t)htobe16((uint16_t)x->epoch),
                .batch_count = (int16_t)htobe16(x->batch_count),
        };

        for (unsigned i = 0; i < x->batch_count; i++)
                d.batches[i] = (struct disk_producer_batch){
                        .first_sequence = (int32_t)htobe32((uint32_t)x->batches[i].first_sequence),
                        .last_sequence = (int32_t)htobe32((uint32_t)x->batches[i].last_sequence),
                        .last_offset = (int64_t)htobe64((uint64_t)x->batches[i].last_offset),
                        .timestamp = (int64_t)htobe64((uint64_t)x->batches[i].timestamp),
                };
        return d;
}

static size_t body_len(uint32_t count, uint32_t finished_count, uint32_t aborted_count)
{
        return (size_t)count * sizeof(struct disk_producer) + (size_t)finished_count * sizeof(struct disk_finished) +
               (size_t)aborted_count * sizeof(struct disk_aborted);
}

int producers_encode(const struct producers *p, int64_t offset, void **ret_data, size_t *ret_len)
{
        size_t len = sizeof(struct disk_snapshot_header) + body_len(p->count, p->finished_count, p->aborted.count);
        struct disk_snapshot_header *h = calloc(1, len);
        struct disk_producer *d = (struct disk_producer *)(h + 1);
        struct disk_finished *f;

        if (!h)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (const struct producer *x = p->buckets[i]; x; x = x->next)
                        *d++ = encode_one(x);
        f = (struct disk_finished *)d;
        for (uint32_t i = 0; i < p->finished_count; i++)
                *f++ = (struct disk_finished){ (int64_t)htobe64((uint64_t)p->finished[i].first_offset),
                                               (int64_t)htobe64((uint64_t)p->finished[i].last_offset) };
        aborted_encode_entries(&p->aborted, (struct disk_aborted *)f);
        h->magic = htobe32(SNAPSHOT_MAGIC);
        h->version = htobe16(SNAPSHOT_VERSION);
        h->entry_len = htobe16(sizeof *d);
        h->offset = (int64_t)htobe64((uint64_t)offset);
        h->count = htobe32(p->count);
        h->finished_count = htobe32(p->finished_count);
        h->aborted_count = htobe32(p->aborted.count);
        h->aborted_from = (int64_t)htobe64((uint64_t)p->aborted_from);
        h->entries_crc = htobe32(crc32c(0, h + 1, len - sizeof *h));
        h->crc = htobe32(crc32c(0, h, offsetof(struct disk_snapshot_header, crc)));
        *ret_data = h;
        *ret_len = len;
        return 0;
}

/* ---- reading ---- */

/* What both versions of the header say. */
struct counts {
        uint32_t producers, finished, aborted;
        int64_t aborted_from;
        size_t header_len;
};

static bool read_header_1(const char *data, size_t len, int64_t offset, struct counts *ret)
{
        const struct disk_snapshot_header_1 *h = (const struct disk_snapshot_header_1 *)data;

        if (be32toh(h->crc) != crc32c(0, h, offsetof(struct disk_snapshot_header_1, crc)) ||
            (int64_t)be64toh((uint64_t)h->offset) != offset || len - sizeof *h != body_len(be32toh(h->count), 0, 0) ||
            be32toh(h->entries_crc) != crc32c(0, h + 1, len - sizeof *h))
                return false;
        *ret = (struct counts){ .producers = be32toh(h->count), .header_len = sizeof *h };
        return true;
}

static bool read_header(const char *data, size_t len, int64_t offset, struct counts *ret)
{
        const struct disk_snapshot_header *h = (const struct disk_snapshot_header *)data;

        if (len < sizeof(struct disk_snapshot_header_1) || be32toh(h->magic) != SNAPSHOT_MAGIC ||
            be16toh(h->entry_len) != sizeof(struct disk_producer))
                return false;
        if (be16toh(h->version) == 1)
                return read_header_1(data, len, offset, ret);
        if (be16toh(h->version) != SNAPSHOT_VERSION || len < sizeof *h ||
            be32toh(h->crc) != crc32c(0, h, offsetof(struct disk_snapshot_header, crc)) ||
            (int64_t)be64toh((uint64_t)h->offset) != offset)
                return false;
        *ret = (struct counts){ .producers = be32toh(h->count),
                                .finished = be32toh(h->finished_count),
                                .aborted = be32toh(h->aborted_count),
                                .aborted_from = (int64_t)be64toh((uint64_t)h->aborted_from),
                                .header_len = sizeof *h };
        return len - sizeof *h == body_len(ret->producers, ret->finished, ret->aborted) &&
               be32toh(h->entries_crc) == crc32c(0, h + 1, len - sizeof *h);
}

static int decode_one(struct producers *p, const struct disk_producer *d, int64_t offset)
{
        unsigned batch_count = be16toh((uint16_t)d->batch_count);
        struct producer *x;

        if (batch_count > PRODUCER_BATCHES)
                return -EUCLEAN;
        x = producers_get(p, (int64_t)be64toh((uint64_t)d->id));
        if (!x)
                return -ENOMEM;
        x->last_used_ms = (int64_t)be64toh((uint64_t)d->last_used_ms);
        x->txn_first_offset = (int64_t)be64toh((uint64_t)d->txn_first_offset);
        if (x->txn_first_offset < -1 || x->txn_first_offset >= offset)
                return -EUCLEAN;
        x->coordinator_epoch = (int32_t)be32toh((uint32_t)d->coordinator_epoch);
        x->epoch = (int16_t)be16toh((uint16_t)d->epoch);
        x->batch_count = (uint8_t)batch_count;
        for (unsigned i = 0; i < batch_count; i++) {
                struct producer_batch *b = &x->batches[i];

                b->first_sequence = (int32_t)be32toh((uint32_t)d->batches[i].first_sequence);
                b->last_sequence = (int32_t)be32toh((uint32_t)d->batches[i].last_sequence);
                b->last_offset = (int64_t)be64toh((uint64_t)d->batches[i].last_offset);
                b->timestamp = (int64_t)be64toh((uint64_t)d->batches[i].timestamp);
                /* Sequences run on at 0 behind 2^31-1, so the count of records is their distance in 31 bits. */
                b->first_offset = b->last_offset -
                                  (int64_t)(((uint32_t)b->last_sequence - (uint32_t)b->first_sequence) & INT32_MAX);
        }
        return 0;
}

static int decode_finished(struct producers *p, const struct disk_finished *d, uint32_t count, int64_t offset)
{
        int64_t last = -1;

        if (count > FINISHED_MAX)
                return -EUCLEAN;
        for (uint32_t i = 0; i < count; i++) {
                struct finished f = { (int64_t)be64toh((uint64_t)d[i].first_offset),
                                      (int64_t)be64toh((uint64_t)d[i].last_offset) };
                int r;

                if (f.first_offset < 0 || f.first_offset >= f.last_offset || f.last_offset <= last ||
                    f.last_offset >= offset)
                        return -EUCLEAN;
                r = producers_reserve(p);
                if (r)
                        return r;
                p->finished[p->finished_count++] = f;
                last = f.last_offset;
        }
        return 0;
}

static int compare_txns(const void *a, const void *b)
{
        const struct producer *x = *(struct producer *const *)a, *y = *(struct producer *const *)b;

        return (x->txn_first_offset > y->txn_first_offset) - (x->txn_first_offset < y->txn_first_offset);
}

/* Put those with an open transaction in order. */
static int link_txns(struct producers *p)
{
        CLEANUP(freep) struct producer **open = calloc(p->count + 1, sizeof(struct producer *));
        size_t count = 0;

        if (!open)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer *x = p->buckets[i]; x; x = x->next)
                        if (x->txn_first_offset >= 0)
                                open[count++] = x;
        qsort(open, count, sizeof(struct producer *), compare_txns);
        for (size_t i = 0; i < count; i++) {
                open[i]->txn_prev = i ? open[i - 1] : NULL;
                open[i]->txn_next = i + 1 < count ? open[i + 1] : NULL;
        }
        p->txn_first = count ? open[0] : NULL;
        p->txn_last = count ? open[count - 1] : NULL;
        return 0;
}

static int decode_body(struct producers *p, const char *body, const struct counts *n, int64_t offset)
{
        const struct disk_producer *d = (const struct disk_producer *)body;
        const struct disk_finished *f = (const struct disk_finished *)(d + n->producers);
        int r = 0;

        for (uint32_t i = 0; !r && i < n->producers; i++)
                r = decode_one(p, d + i, offset);
        if (!r)
                r = decode_finished(p, f, n->finished, offset);
        if (!r)
                r = aborted_decode_entries(&p->aborted, (const struct disk_aborted *)(f + n->finished), n->aborted,
                                           n->aborted_from);
        if (!r && p->aborted.count && p->aborted.entries[p->aborted.count - 1].last_offset >= offset)
                r = -EUCLEAN;
        p->aborted_from = n->aborted_from;
        return r ? r : link_txns(p);
}

int producers_load(struct producers *p, const char *path, int64_t offset)
{
        CLEANUP(freep) char *data = NULL;
        struct counts n;
        size_t len;
        int r;

        r = file_read_whole(path, SNAPSHOT_FILE_MAX, &data, &len);
        if (r)
                return r;
        if (!read_header(data, len, offset, &n))
                return -EUCLEAN;
        r = decode_body(p, data + n.header_len, &n, offset);
        if (r)
                producers_fini(p);
        return r;
}
