/* Producer state of one log; see producers.h and FORMAT.md "snapshot".
 * The rules are Kafka's (KIP-98, KAFKA-5793): the numbers in comments are those of the list of server behaviours that
 * docs/ cites: 20 duplicates, 21 new epochs, unknown producers and wrap-around, 22 stale epochs. */
#include "plog/producers.h"

#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "plog/plog.h"
#include "sys/file.h"

enum { BUCKETS_MIN = 8, SNAPSHOT_FILE_MAX = 1 << 30 };

void producers_fini(struct producers *p)
{
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer *at = p->buckets[i], *next; at; at = next) {
                        next = at->next;
                        free(at);
                }
        free(p->buckets);
        *p = (struct producers){ 0 };
}

static uint32_t bucket_of(const struct producers *p, int64_t id)
{
        return (uint32_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 32) & (p->buckets_count - 1);
}

struct producer *producers_find(const struct producers *p, int64_t id)
{
        if (!p->count)
                return NULL;
        for (struct producer *at = p->buckets[bucket_of(p, id)]; at; at = at->next)
                if (at->id == id)
                        return at;
        return NULL;
}

static int grow(struct producers *p)
{
        struct producers n = { .buckets_count = p->buckets_count ? p->buckets_count * 2 : BUCKETS_MIN };

        n.buckets = calloc(n.buckets_count, sizeof *n.buckets);
        if (!n.buckets)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer *at = p->buckets[i], *next; at; at = next) {
                        uint32_t b = bucket_of(&n, at->id);

                        next = at->next;
                        at->next = n.buckets[b];
                        n.buckets[b] = at;
                }
        free(p->buckets);
        p->buckets = n.buckets;
        p->buckets_count = n.buckets_count;
        return 0;
}

struct producer *producers_get(struct producers *p, int64_t id)
{
        struct producer *found = producers_find(p, id);
        uint32_t b;

        if (found)
                return found;
        if (p->count >= p->buckets_count && grow(p) && !p->buckets_count)
                return NULL;
        found = calloc(1, sizeof *found);
        if (!found)
                return NULL;
        found->id = id;
        found->epoch = -1;
        found->coordinator_epoch = -1;
        found->txn_first_offset = -1;
        b = bucket_of(p, id);
        found->next = p->buckets[b];
        p->buckets[b] = found;
        p->count++;
        return found;
}

int producer_check(const struct producer *producer, const struct batch_header *h,
                   const struct producer_batch **ret_known)
{
        int32_t last = -1;

        if (!producer || producer->epoch < 0)
                return PLOG_OK; /* 21: nothing is known, so any sequence is taken */
        if (producer->epoch == h->producer_epoch)
                for (unsigned i = 0; i < producer->batch_count; i++)
                        if (producer->batches[i].first_sequence == h->base_sequence &&
                            producer->batches[i].last_sequence == batch_last_sequence(h)) {
                                *ret_known = &producer->batches[i];
                                return PLOG_E_DUPLICATE; /* 20 */
                        }
        if (h->producer_epoch < producer->epoch)
                return PLOG_E_INVALID_PRODUCER_EPOCH; /* 22 */
        if (h->producer_epoch > producer->epoch)
                return h->base_sequence == 0 ? PLOG_OK : PLOG_E_OUT_OF_ORDER_SEQUENCE; /* 21 */
        if (producer->batch_count)
                last = producer->batches[producer->batch_count - 1].last_sequence;
        return h->base_sequence == (last < 0 ? 0 : batch_sequence_add(last, 1)) ? PLOG_OK
                                                                                : PLOG_E_OUT_OF_ORDER_SEQUENCE;
}

void producer_note(struct producer *producer, const struct batch_header *h, int64_t now_ms)
{
        producer->last_used_ms = now_ms;
        if (producer->epoch != h->producer_epoch) {
                producer->epoch = h->producer_epoch;
                producer->batch_count = 0;
        }
        if (batch_is_control(h) || h->base_sequence < 0)
                return; /* a transaction's marker has an epoch but no sequence */
        if (producer->batch_count == PRODUCER_BATCHES) {
                memmove(producer->batches, producer->batches + 1, (PRODUCER_BATCHES - 1) * sizeof *producer->batches);
                producer->batch_count--;
        }
        producer->batches[producer->batch_count++] = (struct producer_batch){
                .first_sequence = h->base_sequence,
                .last_sequence = batch_last_sequence(h),
                .first_offset = h->base_offset,
                .last_offset = batch_last_offset(h),
                .timestamp = h->max_timestamp,
        };
}

void producers_expire(struct producers *p, int64_t now_ms, int64_t expiry_ms)
{
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (struct producer **at = &p->buckets[i]; *at;) {
                        struct producer *x = *at;

                        if (x->txn_first_offset >= 0 || now_ms - x->last_used_ms < expiry_ms) {
                                at = &x->next;
                                continue;
                        }
                        *at = x->next;
                        free(x);
                        p->count--;
                }
}

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

int producers_encode(const struct producers *p, int64_t offset, void **ret_data, size_t *ret_len)
{
        size_t len = sizeof(struct disk_snapshot_header) + p->count * sizeof(struct disk_producer);
        struct disk_snapshot_header *h = calloc(1, len);
        struct disk_producer *d = (struct disk_producer *)(h + 1);

        if (!h)
                return -ENOMEM;
        for (uint32_t i = 0; i < p->buckets_count; i++)
                for (const struct producer *x = p->buckets[i]; x; x = x->next)
                        *d++ = encode_one(x);
        h->magic = htobe32(SNAPSHOT_MAGIC);
        h->version = htobe16(FORMAT_VERSION);
        h->entry_len = htobe16(sizeof *d);
        h->offset = (int64_t)htobe64((uint64_t)offset);
        h->count = htobe32(p->count);
        h->entries_crc = htobe32(crc32c(0, h + 1, len - sizeof *h));
        h->crc = htobe32(crc32c(0, h, offsetof(struct disk_snapshot_header, crc)));
        *ret_data = h;
        *ret_len = len;
        return 0;
}

static bool header_fits(const struct disk_snapshot_header *h, size_t len, int64_t offset)
{
        return len >= sizeof *h && be32toh(h->magic) == SNAPSHOT_MAGIC && be16toh(h->version) == FORMAT_VERSION &&
               be16toh(h->entry_len) == sizeof(struct disk_producer) &&
               be32toh(h->crc) == crc32c(0, h, offsetof(struct disk_snapshot_header, crc)) &&
               (int64_t)be64toh((uint64_t)h->offset) == offset &&
               len - sizeof *h == (uint64_t)be32toh(h->count) * sizeof(struct disk_producer) &&
               be32toh(h->entries_crc) == crc32c(0, h + 1, len - sizeof *h);
}

static int decode_one(struct producers *p, const struct disk_producer *d)
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

int producers_load(struct producers *p, const char *path, int64_t offset)
{
        CLEANUP(freep) char *data = NULL;
        const struct disk_snapshot_header *h;
        size_t len;
        int r;

        r = file_read_whole(path, SNAPSHOT_FILE_MAX, &data, &len);
        if (r)
                return r;
        h = (const struct disk_snapshot_header *)data;
        if (!header_fits(h, len, offset))
                return -EUCLEAN;
        for (uint32_t i = 0; i < be32toh(h->count); i++) {
                r = decode_one(p, (const struct disk_producer *)(h + 1) + i);
                if (r) {
                        producers_fini(p);
                        return r;
                }
        }
        return 0;
}
